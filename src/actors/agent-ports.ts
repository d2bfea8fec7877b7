/**
 * What the agent's actors ask of the machine they sit on. The real bodies are in `src/runtime/agent/`: process groups
 * under shims, files, LMDB.
 */
import type { AgentIdentity, TaskRecord } from '../core/executor/agent-book.ts'
import type { OutboxEntry } from '../core/executor/outbox.ts'
import type { FoundRun, RunState } from '../core/executor/run-state.ts'
import type { ProcessSpec } from '../core/executor/task-data.ts'
import type { Resources } from '../core/job/task-config.ts'
import type { LogData } from '../wire/messages/agent.ts'

export type RunEnded = (process: string, run: number, code: number | null) => void

/** Starts, finds and ends the processes of tasks. Promises settle; trouble comes back as a text for people. */
export interface TaskMachine {
  /** The kernel's boot id. */
  readonly bootId: string
  /** Makes the sandbox folder, owned by the account the task runs as. Harmless to repeat. */
  prepare(task: { readonly taskId: string; readonly role: string }): Promise<Outcome>
  /**
   * Starts one run under its shim. After `ok` the process exists and `ended` will be called once, also when its shim
   * dies (`code` null). Asked for a run that has a folder already it refuses: runs are never started twice.
   */
  startRun(
    run: { readonly taskId: string; readonly role: string; readonly process: ProcessSpec; readonly run: number },
    ended: RunEnded,
  ): Promise<Outcome>
  /** Every run that has a folder. `ended` will be called once for each that still runs. */
  findRuns(taskId: string, ended: RunEnded): Promise<readonly FoundRun[]>
  /** SIGKILL to what is left in the session of a run that is over. */
  sweepRun(taskId: string, process: string, run: number): void
  /** SIGTERM to every process of the task but its shims. */
  terminate(taskId: string): void
  /**
   * Calls `empty` once after two clean looks 100 ms apart. With `kill`, everything found gets SIGKILL before the next
   * look. A second call for the same task replaces the first.
   */
  awaitEmpty(taskId: string, options: { readonly kill: boolean }, empty: () => void): void
  /** Nobody waits for this task any more. */
  release(taskId: string): void
  /** SIGKILL to processes that carry the id of a task that is not among `known`; answers how many tasks those were. */
  killOrphans(known: ReadonlySet<string>, graceMs: number): number
  removeSandbox(taskId: string): Promise<void>
  /** The ids of all sandboxes on disk. */
  sandboxes(): Promise<readonly string[]>
  readLog(query: LogQuery): Promise<LogChunk>
  vitals(): Vitals
}

export type Outcome = { readonly ok: true } | { readonly ok: false; readonly text: string }

export interface LogQuery {
  readonly taskId: string
  /** Null: the process that started last. */
  readonly process: string | null
  /** Null: its newest run. */
  readonly run: number | null
  readonly stream: 'stdout' | 'stderr'
  /** Bytes; -1 asks for the size only. */
  readonly offset: number
  readonly length: number
}

export interface LogChunk {
  readonly offset: number
  readonly size: number
  readonly data: LogData['data']
  readonly rotated: boolean
  readonly error: string | null
  readonly process: string
  readonly run: number
}

export interface Vitals {
  readonly load1: number
  readonly freeRamMb: number
  readonly freeDiskMb: number
  /** Of the file system of the work folder, 0–1. */
  readonly diskUsedFraction: number
}

/** What an agent must not forget. One call is one transaction; it settles after the flush, in the order of the calls. */
export interface AgentStore {
  load(): StoredAgent
  write(change: StoreChange): Promise<void>
}

export interface StoredAgent {
  readonly identity: AgentIdentity
  readonly records: readonly TaskRecord[]
  readonly checkpoints: ReadonlyMap<string, RunState>
  /** By task, then by seq. The last entry of an ended task stays until the task is forgotten. */
  readonly statuses: readonly OutboxEntry[]
  readonly tombstones: ReadonlyMap<string, number>
  /** Keys of entries that could not be read; they were put aside. */
  readonly quarantined: readonly string[]
}

export interface StoreChange {
  readonly identity?: AgentIdentity
  readonly records?: readonly TaskRecord[]
  readonly checkpoint?: { readonly taskId: string; readonly state: RunState }
  readonly statuses?: readonly OutboxEntry[]
  readonly dropStatuses?: readonly { readonly taskId: string; readonly seq: number }[]
  /** Removes the record, its checkpoint and all its statuses. */
  readonly dropTasks?: readonly string[]
  readonly tombstones?: readonly { readonly taskId: string; readonly atMs: number }[]
  readonly dropTombstones?: readonly string[]
}

/** Both sides of the handshake's proof; null in the options when the cluster has no secret. */
export interface AgentSecret {
  prove(listenerNonce: string, agentNonce: string): string
  /** In constant time. */
  verify(proof: string, listenerNonce: string, agentNonce: string): boolean
}

export interface MachineOffer {
  /** Cores that are only lent, beside those of `resources`, in thousandths. Absent: none. */
  readonly revocableCpusMilli?: number
  readonly resources: Resources
  readonly portRanges: readonly (readonly [number, number])[]
}
