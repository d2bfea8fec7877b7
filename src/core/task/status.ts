/** The states of a task and the sets that other parts ask for. Source: the task life-cycle spec, section 1; wire numbers are Aurora's. */
export const TASK_STATUSES = {
  INIT: 11,
  THROTTLED: 16,
  PENDING: 0,
  ASSIGNED: 9,
  STARTING: 1,
  RUNNING: 2,
  PARTITIONED: 18,
  PREEMPTING: 13,
  RESTARTING: 12,
  DRAINING: 17,
  KILLING: 6,
  FINISHED: 3,
  FAILED: 4,
  KILLED: 5,
  LOST: 7,
} as const

export type TaskStatus = keyof typeof TASK_STATUSES
/** The pseudo-state of a task id that is not in the store; never on the wire. */
export type TaskStatusOrDeleted = TaskStatus | 'DELETED'
export type TerminalStatus = 'FINISHED' | 'FAILED' | 'KILLED' | 'LOST'

const setOf = (...statuses: TaskStatus[]): ReadonlySet<TaskStatus> => new Set(statuses)

export const TERMINAL = setOf('FINISHED', 'FAILED', 'KILLED', 'LOST')
/** Host chosen: counts for limits and for the agent's capacity. */
export const HOST_ASSIGNED = setOf(
  'ASSIGNED',
  'STARTING',
  'RUNNING',
  'PARTITIONED',
  'PREEMPTING',
  'RESTARTING',
  'DRAINING',
  'KILLING',
)
export const ACTIVE = setOf('THROTTLED', 'PENDING', ...HOST_ASSIGNED)
/** Passing states that time out. STARTING is not one: a slow health gate is legitimate. */
export const TRANSIENT = setOf('ASSIGNED', 'PREEMPTING', 'RESTARTING', 'DRAINING', 'KILLING')

export const isTerminal = (status: TaskStatus): status is TerminalStatus => TERMINAL.has(status)
export const isActive = (status: TaskStatus): boolean => ACTIVE.has(status)
