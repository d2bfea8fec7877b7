/**
 * The rows that make up the state of a cluster. Whoever stores them need not understand them: a row is a key and bytes;
 * this file is what the scheduler thread reads into them. Every row carries `v`, the version of its form.
 */
import type { AgentId, ConfigId, InstanceId, JobKey, TaskId } from '../base/ids.ts'
import type { Instant } from '../base/time.ts'
import type { Resources, TaskConfig } from '../job/task-config.ts'
import type { TaskStatus } from '../task/status.ts'

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

export interface Rows {
  task: TaskRow
  config: ConfigRow
  job: JobRow
  agent: AgentRow
  request: RequestRow
  meta: MetaRow
}

export type TableName = keyof Rows
/** Numbers on the wire and in the log; never reused. */
export const TABLE_NUMBERS = { task: 1, config: 2, job: 3, agent: 4, request: 5, meta: 6 } as const satisfies Record<
  TableName,
  number
>
