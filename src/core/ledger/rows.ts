/**
 * The rows that make up the state of a cluster. Whoever stores them need not understand them: a row is a key and bytes;
 * this file is what the scheduler thread reads into them. Every row carries `v`, the version of its form.
 */
import type { AgentId, ConfigId, InstanceId, JobKey, TaskId } from '../base/ids.ts'
import type { Instant } from '../base/time.ts'
import type { Resources, TaskConfig } from '../job/task-config.ts'
import type { TaskStatus } from '../task/status.ts'
import type { UpdateAction, UpdateStatus } from '../update/update-status.ts'

export interface TaskEvent {
  readonly atMs: Instant
  readonly status: TaskStatus
  readonly message?: string
  /** Host name of the leader that wrote it. */
  readonly scheduler: string
  /** Who proposed it: a user, an agent, a part of the scheduler. */
  readonly who?: string
  /** The reason that somebody gave for it, beside what the message says. */
  readonly why?: string
}

/** A task. Shape: `events` oldest first, never empty; the last one's status is `status`. */
export interface TaskRow {
  readonly v: 1
  readonly taskId: TaskId
  readonly job: JobKey
  readonly instance: InstanceId
  readonly configId: ConfigId
  readonly status: TaskStatus
  /** Counts changes of this row, from 1; a timer or a retry states the version it was made for. */
  readonly version: number
  readonly agentId?: AgentId
  readonly host?: string
  readonly ports: Readonly<Record<string, number>>
  readonly failureCount: number
  readonly timesPartitioned: number
  readonly ancestorId?: TaskId
  /** THROTTLED only: when it becomes PENDING. */
  readonly readyAtMs?: Instant
  /** The last status update of the agent that was applied. */
  readonly agentSeq: number
  readonly events: readonly TaskEvent[]
  /** How many runs in a row, this one's ancestors, have ended too soon by themselves; absent: none. */
  readonly flapCount?: number
  /**
   * How many of the last `events` came with this version of the row; absent: one. So what has happened can be told from
   * the row alone, without the one it replaced; the status before is that of the event before them.
   */
  readonly freshEvents?: number
  /** Why it stands where it does; written with ASSIGNED. */
  readonly placement?: PlacementRecord
}

/** What a placement was decided on: enough to explain it, and with the cluster as it was, to decide it again. */
export interface PlacementRecord {
  /** Of the draw that the attempt made. */
  readonly seed: number
  /** `RANDOM`, or the amounts by which hosts are filled: `CPU,MEMORY,RANDOM`. */
  readonly policy: string
  /** Equal tasks that were served together, this one included. */
  readonly tasks: number
  /** Hosts that were connected, and how many of them were looked at. */
  readonly hosts: number
  readonly looked: number
  /** The one taken comes first, then the best of those that were not; only hosts that fitted. */
  readonly candidates: readonly PlacementCandidate[]
  /** The room had been claimed for this task: by preemption, or by the update that it belongs to. */
  readonly claim?: 'preemption' | 'affinity'
}

export interface PlacementCandidate {
  readonly host: string
  /** Sum of the terms; higher is better. Absent where hosts were not scored: the first that fitted was taken. */
  readonly score?: number
  /** What the score consists of, such as `prefer disk` or `spread rack`. */
  readonly terms?: Readonly<Record<string, number>>
}

export interface ConfigRow {
  readonly v: 1
  readonly configId: ConfigId
  readonly config: TaskConfig
}

/** A job that was created and not yet killed whole. Shape: `instances` is the wanted count at creation. */
export interface JobRow {
  readonly v: 1
  readonly key: JobKey
  readonly configId: ConfigId
  readonly instanceCount: number
  readonly createdAtMs: Instant
  readonly createdBy: string
  /** A template: instances are made of it at times of its own, not when it is created. */
  readonly cron?: { readonly schedule: string; readonly collisionPolicy: 'KILL_EXISTING' | 'CANCEL_NEW' }
}

export type HostMode = 'NONE' | 'SCHEDULED' | 'DRAINING' | 'DRAINED'

/** A machine, as its agent last described it. Key: agent id. */
export interface AgentRow {
  readonly v: 1
  readonly agentId: AgentId
  readonly host: string
  /** Sorted by name; values sorted. */
  readonly attributes: readonly { readonly name: string; readonly values: readonly string[] }[]
  readonly total: Resources
  /** Closed ranges, ascending, not touching. */
  readonly portRanges: readonly (readonly [number, number])[]
  readonly mode: HostMode
  readonly agentVersion: string
  /** Base URL of the agent's own HTTP, if it has one. */
  readonly logUrl?: string
  readonly firstSeenMs: Instant
  /** Since when nothing is heard of it; absent: it is here, or has not been away for long. */
  readonly awaySinceMs?: Instant
  /** Names its work folder on its machine: two agents of one place cannot both have it. Absent: it did not say. */
  readonly place?: string
  /** Beside `total`: what is only lent and may be taken back; absent: nothing. */
  readonly revocable?: Revocable
  /** When the machine is planned to be away; absent: never. */
  readonly unavailability?: Unavailability
  /** The resource manager that lends it by offers; absent: one of our own agents. */
  readonly manager?: string
  /** Its work folder on its machine, in which sandboxes are; absent: it did not say. */
  readonly workDir?: string
}

export interface Revocable {
  readonly cpusMilli: number
}

export interface Unavailability {
  readonly fromMs: Instant
  /** Absent: nobody has said when it ends. */
  readonly untilMs?: Instant
}

/** The stored outcome of a mutation, so that its retry gets the first answer. Key: request id. */
export interface RequestRow {
  readonly v: 1
  readonly requestId: string
  /** SHA-256 of the request: a different request under a used id is refused. */
  readonly fingerprint: string
  readonly outcome: unknown
  readonly atMs: Instant
}

/** One row of facts about the cluster itself, such as the highest epoch seen. Key: name. */
export interface MetaRow {
  readonly v: 1
  readonly name: string
  readonly value: unknown
}

/** So many instances are to be, or are, of that configuration. Shape: ranges closed, ascending, not touching. */
export interface UpdatePart {
  readonly config: TaskConfig
  readonly instances: readonly (readonly [InstanceId, InstanceId])[]
}

/**
 * An update of a job: what it is to become. What has become of it follows from its events alone. The configurations stand
 * here whole, because an update outlives the tasks that had them. Key: `role/environment/name/updateId`.
 */
export interface UpdateRow {
  readonly v: 1
  readonly updateId: string
  readonly job: JobKey
  readonly user: string
  readonly message?: string
  /** What was there before; empty for a job that was not. */
  readonly initial: readonly UpdatePart[]
  /** Absent: instances only go. */
  readonly desired?: UpdatePart
  /** How it is to go about it, in the words of whoever carries it out. */
  readonly settings: Readonly<Record<string, unknown>>
}

/** Key: that of its update, `/` and its number in six digits or more: their order is that in which they happened. */
export interface UpdateEventRow {
  readonly v: 1
  readonly update: string
  /** From 1. */
  readonly number: number
  readonly atMs: Instant
  /** Exactly one of the two: what the update came to, or what was done to one instance. */
  readonly status?: UpdateStatus
  readonly instance?: { readonly instance: InstanceId; readonly action: UpdateAction }
  readonly user?: string
  readonly message?: string
}

/** What production tasks of a role may take together, on machines that are shared. Key: the role. */
export interface QuotaRow {
  readonly v: 1
  readonly role: string
  readonly quota: Quota
}

/** `gpus` absent: not counted. */
export interface Quota {
  readonly cpusMilli: number
  readonly ramMb: number
  readonly diskMb: number
  readonly gpus?: number
}

export interface Rows {
  task: TaskRow
  config: ConfigRow
  job: JobRow
  agent: AgentRow
  request: RequestRow
  meta: MetaRow
  update: UpdateRow
  updateEvent: UpdateEventRow
  quota: QuotaRow
}

export type TableName = keyof Rows
/** Numbers on the wire and in the log; never reused. */
export const TABLE_NUMBERS = {
  task: 1,
  config: 2,
  job: 3,
  agent: 4,
  request: 5,
  meta: 6,
  update: 7,
  updateEvent: 8,
  quota: 9,
} as const satisfies Record<TableName, number>
