/**
 * What to do when an agent has told all the tasks it knows: the leader's rows against the agent's list, sorted into
 * named buckets; nothing is done here. Source: the agent spec, section 19 (reconciliation after a reconnect).
 *
 * A leader with an older store could kill everything this way, so a brake holds the kills of unknown tasks when they
 * are many: more than 20 and more than a tenth of what lives there.
 */
import { type AgentId, compareIds, type TaskId } from '../base/ids.ts'
import type { TaskRow } from '../ledger/rows.ts'
import { HOST_ASSIGNED, isTerminal, type TaskStatus } from './status.ts'

/** One task in an agent's words. */
export interface ReportedTask {
  readonly taskId: string
  readonly state: 'ACCEPTED' | 'STARTING' | 'RUNNING' | 'KILLING' | 'FINISHED' | 'FAILED' | 'KILLED' | 'LOST'
  /** Numbers of its status updates, from 1: the last one, and the last one that a leader acknowledged. */
  readonly lastSeq: number
  readonly ackedSeq: number
}

export interface ListedTask {
  readonly taskId: string
  /** Any state in which processes may still run. */
  readonly live: boolean
  /** The terminal status was acknowledged by a leader before: nothing more will come. */
  readonly settled: boolean
}

export interface ListVerdict {
  /** Alive there, but ended, replaced, asked to end or bound to another machine here. */
  readonly kill: readonly TaskId[]
  /** Alive there and unknown here, held back by the brake: an operator decides. */
  readonly held: readonly TaskId[]
  /** Ended on both sides and acknowledged: the agent may drop its record. */
  readonly forget: readonly TaskId[]
  /** Bound to the agent here, and the agent does not know it. (Not ASSIGNED: then its launch is sent again.) */
  readonly lost: readonly TaskId[]
}

export const UNKNOWN_KILLS_MAX = 20
export const UNKNOWN_SHARE_MAX = 0.1
export const LOST_MESSAGE = 'Task is unknown to the agent'

/**
 * `bound`: the rows that this agent should hold. `rowOf`: any row by id. `released`: unknown tasks that no brake holds
 * any more. All buckets are sorted by id.
 */
export function compareAgentList(
  listed: readonly ListedTask[],
  bound: readonly TaskRow[],
  rowOf: (id: TaskId) => TaskRow | undefined,
  released: ReadonlySet<string> = new Set(),
): ListVerdict {
  const kill: TaskId[] = []
  const unknownLive: TaskId[] = []
  const forget: TaskId[] = []
  const seen = new Set<string>()
  const here = new Set<TaskId>(bound.map(row => row.taskId))
  let live = 0
  for (const one of listed) {
    const id = one.taskId as TaskId
    seen.add(id)
    if (one.live) live++
    const row = rowOf(id)
    if (row === undefined) {
      if (one.live) (released.has(id) ? kill : unknownLive).push(id)
      else forget.push(id)
    } else if (isTerminal(row.status)) {
      if (one.live) kill.push(id)
      else if (one.settled) forget.push(id)
    } else if (one.live && (isKillOwed(row) || !here.has(id))) {
      kill.push(id)
    }
  }
  const braked = unknownLive.length > UNKNOWN_KILLS_MAX && unknownLive.length > live * UNKNOWN_SHARE_MAX
  if (!braked) kill.push(...unknownLive)
  const missing = bound.filter(row => !seen.has(row.taskId))
  const byId = (ids: TaskId[]): TaskId[] => ids.sort(compareIds)
  return {
    kill: byId(kill),
    held: braked ? byId(unknownLive) : [],
    forget: byId(forget),
    lost: byId(missing.filter(row => row.status !== 'ASSIGNED').map(row => row.taskId)),
  }
}

export function listedTask({ taskId, state, ackedSeq, lastSeq }: ReportedTask): ListedTask {
  const ended = state === 'FINISHED' || state === 'FAILED' || state === 'KILLED' || state === 'LOST'
  return { taskId, live: !ended, settled: ended && ackedSeq >= lastSeq }
}

/** What a live task of an agent that is back goes back to. */
const HEALED_STATES: Readonly<Partial<Record<ReportedTask['state'], TaskStatus>>> = {
  ACCEPTED: 'ASSIGNED',
  STARTING: 'STARTING',
  RUNNING: 'RUNNING',
}

/** The agent was away and is back in time: its PARTITIONED tasks are what it says they are. In the order of the list. */
export function healedTasks(
  reported: readonly ReportedTask[],
  rowOf: (id: TaskId) => TaskRow | undefined,
): readonly { readonly taskId: TaskId; readonly to: TaskStatus }[] {
  return reported.flatMap(({ taskId, state }) => {
    const id = taskId as TaskId
    const to = HEALED_STATES[state]
    return to !== undefined && rowOf(id)?.status === 'PARTITIONED' ? [{ taskId: id, to }] : []
  })
}

/** What an agent's report may still move a task on to, by the order in which tasks go. */
const ORDER: Readonly<Partial<Record<TaskStatus, number>>> = { ASSIGNED: 0, STARTING: 1, RUNNING: 2 }

/**
 * Reports of a connected agent that are ahead of the rows although no status is on its way any more: what the agent said
 * was acknowledged and is not in the ledger, or was never said. With the version of the row they are ahead of.
 */
export function overdueReports(
  reported: readonly ReportedTask[],
  rowOf: (id: TaskId) => TaskRow | undefined,
  agent: AgentId,
): readonly { readonly taskId: TaskId; readonly to: TaskStatus; readonly version: number }[] {
  return reported.flatMap(one => {
    const row = rowOf(one.taskId as TaskId)
    if (row === undefined || row.agentId !== agent || isTerminal(row.status)) return []
    const { taskId, status, version } = row
    const to = HEALED_STATES[one.state] ?? (listedTask(one).live ? undefined : (one.state as TaskStatus))
    if (to === undefined) return []
    if (status === 'PARTITIONED' && !isTerminal(to)) return [{ taskId, to, version }]
    const from = ORDER[status]
    const isAhead = isTerminal(to) || (from !== undefined && (ORDER[to] ?? 0) > from)
    return isAhead && one.ackedSeq >= one.lastSeq ? [{ taskId, to, version }] : []
  })
}

/** Bound to a machine that may be away for good, and not known to be cut off yet. */
export function isPartitionable({ status }: TaskRow): boolean {
  return HOST_ASSIGNED.has(status) && status !== 'PARTITIONED'
}

/** The states whose task was asked to end. */
export function isKillOwed(row: TaskRow): boolean {
  return (
    row.status === 'KILLING' || row.status === 'RESTARTING' || row.status === 'PREEMPTING' || row.status === 'DRAINING'
  )
}
