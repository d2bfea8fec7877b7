import type { JobKey } from '../base/ids.ts'
import type { Instant } from '../base/time.ts'
import type { Resources } from '../job/task-config.ts'
import type { EndState } from './run-state.ts'

/**
 * What an agent has promised: which tasks it took, what they may use, which leaders it still listens to and which
 * statuses nobody has acknowledged. Placement is decided elsewhere; this book only refuses what cannot be right.
 * Source: the agent spec, sections 14 and 18.
 */

export interface LaunchInfo {
  readonly job: JobKey
  readonly instance: number
  readonly tier: string
  readonly resources: Resources
  readonly ports: Readonly<Record<string, number>>
  readonly executor: { readonly name: string; readonly data: string }
}

export type RecordState = 'ACCEPTED' | 'STARTING' | 'RUNNING' | 'KILLING' | EndState | 'LOST'

/** One task this agent answers for, from its acceptance until the leader lets it be forgotten. Stored durably. */
export interface TaskRecord {
  readonly taskId: string
  readonly digest: string
  /** Null: never launched here; the record stands for a kill that came first. */
  readonly info: LaunchInfo | null
  readonly acceptedAtMs: Instant
  /** The kernel's boot during which it was accepted: its processes cannot outlive that. */
  readonly bootId: string
  readonly state: RecordState
  readonly kill: { readonly graceMs: number | null; readonly atMs: Instant } | null
  /** Statuses are numbered per task from 1. */
  readonly lastSeq: number
  readonly ackedSeq: number
}

/** What the agent knows of its cluster. Stored durably before it is acted on. */
export interface AgentIdentity {
  readonly agentId: string | null
  readonly clusterId: string | null
  readonly maxEpoch: readonly [number, number] | null
  readonly maxPosition: number
}

export const NO_IDENTITY: AgentIdentity = { agentId: null, clusterId: null, maxEpoch: null, maxPosition: 0 }

/** The one executor that every agent has: it runs the processes of a job file itself. */
export const EXECUTOR_NAME = 'AuroraExecutor'

export interface Capacity {
  readonly resources: Resources
  /** Beside `resources`: cores that are only lent, for revocable tasks. Absent: none. */
  readonly revocableCpusMilli?: number
  readonly portRanges: readonly (readonly [number, number])[]
  readonly draining: boolean
  readonly executors: readonly string[]
}

export interface LaunchRequest {
  readonly taskId: string
  readonly digest: string
  readonly info: LaunchInfo
  readonly deadlineMs: number
}

export type LaunchCode =
  | 'ok'
  | 'duplicate_task'
  | 'does_not_fit'
  | 'draining'
  | 'expired'
  | 'unknown_executor'
  | 'invalid'

export interface LaunchDecision {
  readonly code: LaunchCode
  readonly message: string
  /** True: a record is to be written and the task to be run. A repeated launch is `ok` without. */
  readonly fresh: boolean
}

/** A task's id names its folders: nothing that leads elsewhere may pass. */
const TASK_ID = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}$/

export const isEnd = (state: RecordState): state is EndState | 'LOST' =>
  state === 'FINISHED' || state === 'FAILED' || state === 'KILLED' || state === 'LOST'

export const isLive = (record: TaskRecord): boolean => !isEnd(record.state)

/** A task that was just taken. `bootId`: of the machine, now. */
export function takenRecord(request: LaunchRequest, atMs: Instant, bootId: string): TaskRecord {
  const { taskId, digest, info } = request
  return { taskId, digest, info, acceptedAtMs: atMs, bootId, state: 'ACCEPTED', kill: null, lastSeq: 0, ackedSeq: 0 }
}

/** A task that was to be killed and was never seen: a launch that comes late must find the door shut. */
export function shutRecord(taskId: string, atMs: Instant, bootId: string): TaskRecord {
  const kill = { graceMs: null, atMs }
  return {
    taskId,
    digest: 'none',
    info: null,
    acceptedAtMs: atMs,
    bootId,
    state: 'ACCEPTED',
    kill,
    lastSeq: 0,
    ackedSeq: 0,
  }
}

/** A task that is being killed shows as such until it has ended, whatever it reports. */
export function recordAfterStatus(record: TaskRecord, state: Exclude<RecordState, 'ACCEPTED' | 'KILLING'>): TaskRecord {
  const shown = record.kill !== null && !isEnd(state) ? 'KILLING' : state
  return { ...record, state: shown, lastSeq: record.lastSeq + 1 }
}

export function recordAfterKill(record: TaskRecord, kill: NonNullable<TaskRecord['kill']>): TaskRecord {
  // A runner that has not told STARTING yet is on its way; its record says that it must not start anything.
  return { ...record, kill, state: record.state === 'ACCEPTED' ? 'ACCEPTED' : 'KILLING' }
}

/**
 * Whether to take a task. `waitedMs` since the request arrived; `tombstones` are ids that were killed or forgotten here
 * within a day.
 */
export function decideLaunch(
  request: LaunchRequest,
  records: ReadonlyMap<string, TaskRecord>,
  tombstones: ReadonlySet<string>,
  capacity: Capacity,
  waitedMs: number,
): LaunchDecision {
  const refuse = (code: LaunchCode, message: string): LaunchDecision => ({ code, message, fresh: false })
  if (!TASK_ID.test(request.taskId)) return refuse('invalid', `${request.taskId} cannot be a task id`)
  const known = records.get(request.taskId)
  if (known !== undefined) {
    if (known.info === null) return refuse('duplicate_task', 'the task was killed before it was launched')
    if (known.digest !== request.digest) return refuse('duplicate_task', 'a task of that id and other content is here')
    if (isEnd(known.state)) return refuse('duplicate_task', `the task has ended here: ${known.state}`)
    return { code: 'ok', message: '', fresh: false }
  }
  if (tombstones.has(request.taskId)) return refuse('duplicate_task', 'the task has ended or was killed here')
  if (capacity.draining) return refuse('draining', 'the agent is draining')
  if (waitedMs >= request.deadlineMs) return refuse('expired', `the launch came ${waitedMs} ms after it was sent`)
  if (!capacity.executors.includes(request.info.executor.name)) {
    return refuse('unknown_executor', `executor ${request.info.executor.name} is not known here`)
  }
  const lacking = lacks(request.info, records, capacity)
  return lacking === null ? { code: 'ok', message: '', fresh: true } : refuse('does_not_fit', lacking)
}

/**
 * Why a task does not fit beside those that live here; null when it does. Goes through the records once: this is asked
 * for every launch, on machines with hundreds of tasks.
 */
export function lacks(info: LaunchInfo, records: ReadonlyMap<string, TaskRecord>, capacity: Capacity): string | null {
  const used = { cpusMilli: 0, ramMb: 0, diskMb: 0, gpus: 0 }
  const ports = Object.entries(info.ports)
  const taken = new Map<number, string>()
  for (const record of records.values()) {
    if (record.info === null || !isLive(record)) continue
    const { resources } = record.info
    used.cpusMilli += resources.cpusMilli
    used.ramMb += resources.ramMb
    used.diskMb += resources.diskMb
    used.gpus += resources.gpus
    if (ports.length > 0) for (const port of Object.values(record.info.ports)) taken.set(port, record.taskId)
  }
  for (const name of ['cpusMilli', 'ramMb', 'diskMb', 'gpus'] as const) {
    // Which task runs on lent cores is the scheduler's business; together they never exceed both.
    const lent = name === 'cpusMilli' ? (capacity.revocableCpusMilli ?? 0) : 0
    const free = capacity.resources[name] + lent - used[name]
    if (info.resources[name] > free) return `${name}: ${info.resources[name]} asked, ${Math.max(free, 0)} free`
  }
  for (const [name, port] of ports) {
    if (!capacity.portRanges.some(([from, to]) => port >= from && port <= to)) {
      return `port ${name}: ${port} is not among the ports of this agent`
    }
    const holder = taken.get(port)
    if (holder !== undefined) return `port ${name}: ${port} belongs to ${holder}`
    taken.set(port, 'another name of the same task')
  }
  return null
}

export type Epoch = readonly [number, number]

export function compareEpochs(a: Epoch, b: Epoch): number {
  return a[0] - b[0] || a[1] - b[1]
}

/** Why a leader is not to be listened to; null when it is. */
export function fence(
  identity: AgentIdentity,
  leader: { readonly epoch: Epoch; readonly clusterId?: string; readonly position?: number },
): string | null {
  if (leader.clusterId !== undefined && identity.clusterId !== null && leader.clusterId !== identity.clusterId) {
    return `foreign cluster ${leader.clusterId}, this agent belongs to ${identity.clusterId}`
  }
  if (identity.maxEpoch !== null && compareEpochs(leader.epoch, identity.maxEpoch) < 0) {
    return `stale leader epoch ${leader.epoch.join('.')} < ${identity.maxEpoch.join('.')}`
  }
  if (leader.position !== undefined && leader.position < identity.maxPosition) {
    return `leader's log went backwards: position ${leader.position} < ${identity.maxPosition}`
  }
  return null
}

/**
 * How long the sandbox of a forgotten task may stay, ms: less as the disk fills, nothing from 90 % on.
 * `usedFraction` of the file system, 0–1.
 */
export function sandboxKeepMs(keepMs: number, usedFraction: number): number {
  return keepMs * Math.max(0, 1 - 0.1 - usedFraction)
}
