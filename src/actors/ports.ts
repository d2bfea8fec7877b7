/** What actors ask of the world. `src/runtime` has the real bodies, tests and the simulation have others. */
import type { Now } from '../core/base/time.ts'
import type { Ballot } from '../core/log/ballot.ts'
import type { AppendBasis, AppendOutcome as AppendResult } from '../core/log/coordinator-core.ts'
import type { RowCursor, StoredRow } from '../core/log/snapshot.ts'
import type { TransferRefusal } from '../core/log/succession.ts'

export interface Clock {
  read(): Now
  /** The monotonic part alone, for places that look at the clock at every turn. Absent: `read` is asked. */
  monoMs?(): number
}

/** Log lines are events: a fixed name and fields. Names are listed in `docs/operating/log-events.md`. */
export interface Logger {
  debug(event: string, fields?: LogFields): void
  /** True while nobody would see a `debug` line: who says many saves the work. Absent: it is not known. */
  readonly isDebugOff?: () => boolean
  info(event: string, fields?: LogFields): void
  warn(event: string, fields?: LogFields): void
  error(event: string, fields?: LogFields): void
  child(scope: string): Logger
}
export type LogFields = Readonly<Record<string, unknown>>

/** Numbers for `/metrics` and `/vars`. Names: snake case with the unit last, without the `daybreak_` prefix. */
export interface Metrics {
  count(name: string, by?: number, labels?: Readonly<Record<string, string>>): void
  gauge(name: string, value: number, labels?: Readonly<Record<string, string>>): void
  observe(name: string, seconds: number, labels?: Readonly<Record<string, string>>): void
}

export const silentLogger: Logger = {
  debug: () => {},
  isDebugOff: () => true,
  info: () => {},
  warn: () => {},
  error: () => {},
  child: () => silentLogger,
}
export const silentMetrics: Metrics = { count: () => {}, gauge: () => {}, observe: () => {} }

// ---- The log thread, as the scheduler thread sees it -------------------------------------------------------------

export type ReplicaStatus = 'EMPTY' | 'STARTING' | 'RECOVERING' | 'VOTING'

/** A leader's ballot: `[round, memberId]`, compared in that order. Agents know it as the epoch. */
export type { Ballot } from '../core/log/ballot.ts'

/** Views only move forward: a listener ignores one whose version is not higher than the last. */
export interface LeaderView {
  readonly version: number
  readonly role: 'LEADER' | 'CANDIDATE' | 'FOLLOWER' | 'LEARNER' | 'NONE'
  readonly ballot: Ballot | null
  /** The member that leads, if known, and where clients reach it. */
  readonly leader: { readonly memberId: number; readonly httpUrl: string } | null
}

export interface LogStatusReport {
  readonly status: ReplicaStatus
  readonly view: LeaderView
  /** When this node learned that the present leader leads, ms since the epoch; null while nobody is known to. */
  readonly leaderSinceMs: number | null
  /** How long this node may still count on its quorum, while it leads others; null otherwise. */
  readonly leaseLeftMs: number | null
  readonly clusterId: string | null
  readonly memberId: number
  readonly members: readonly { readonly memberId: number; readonly name: string; readonly address: string }[]
  readonly quorum: number
  readonly promised: Ballot
  /** First and last position held, and the last known to be committed and applied; 0 when none. */
  readonly begin: number
  readonly end: number
  readonly commit: number
  readonly applied: number
  readonly bootCounter: number
  readonly path: string
  readonly diskFreeBytes: number
  /** What a node that is not VOTING waits for and from whom, and what to run; null when nothing is wrong. */
  readonly waitingFor: string | null
  /** Why nothing can be appended right now, such as a full disk; null when all is well. */
  readonly notWritable: string | null
  /** The other members, as this node sees them. */
  readonly peers: readonly PeerReport[]
}

/** Positions are what the peer has acknowledged to this node while it leads; null otherwise. */
export interface PeerReport {
  readonly memberId: number
  /** In both directions. */
  readonly connected: boolean
  /** As it said last; null when it was never reached. */
  readonly status: ReplicaStatus | null
  /** Where clients reach it, by its own word. */
  readonly httpUrl: string | null
  readonly matched: number | null
  readonly applied: number | null
  /** A committed position that its disk is known to hold, from any leader: one that shows less is an older copy. */
  readonly committed: number | null
  readonly acknowledgedMsAgo: number | null
  readonly rttMs: number | null
  /** Why it is not connected. */
  readonly trouble: string | null
}

/** How a hand-over of leadership ended that was asked for. `moved`: that member leads now, which took so long. */
export type TransferOutcome =
  | { readonly type: 'moved'; readonly memberId: number; readonly tookMs: number }
  | { readonly type: 'already'; readonly memberId: number }
  | TransferRefusal
  /** This node leads no longer, and has not seen who does. */
  | { readonly type: 'unknown'; readonly detail: string; readonly remedy: string }

/** How an append ended; `unknown`: leadership was lost with it under way. */
export type { AppendOutcome as AppendResult } from '../core/log/coordinator-core.ts'

export type { RowCursor, StoredRow } from '../core/log/snapshot.ts'

/**
 * The narrow door between the two threads (comlink over a MessagePort). Payloads are made by the Ledger; the log thread
 * only reads their row changes (`core/ledger/payload.ts`) to write them into its tables.
 */
export interface LogPort {
  readonly lease: LeaseView
  /** Opens the store and takes part. `listener` is told of everything from here on. */
  start(listener: LogListener): Promise<LogStatusReport>
  status(): Promise<LogStatusReport>
  /**
   * One position. Settles after the commit (or the refusal); results come strictly in position order. `basis` is what
   * the payload was computed on: see there when it is refused.
   */
  append(payload: Uint8Array, basis?: AppendBasis): Promise<AppendResult>
  /**
   * The tables, page by page: rows after `cursor` in (table, key) order. `done` on the last page. `applied`: every
   * entry up to there has taken effect in them; a transaction of which only some parts are in the log has not.
   * All pages with the same `applied` are of one state; if `applied` has moved, begin again.
   */
  readRows(cursor: RowCursor | null, rowsMax: number): Promise<RowPage>
  /** Committed entries, both ends inclusive. */
  read(from: number, to: number): Promise<readonly LogEntryView[]>
  /** Whether all rows are in memory here. A member that still reads them takes over only if nobody else can. */
  rowsLoaded(loaded: boolean): void
  /** Hands leadership over to that member, or to whoever holds most. Settles when it leads, or when it will not. */
  transfer(to: number | null): Promise<TransferOutcome>
  stop(): Promise<void>
}

/** The lease of this node, from memory that both threads share: looking at it asks nobody and waits for nothing. */
export interface LeaseView {
  /**
   * Whether the lease of that reign runs at the moment of this call: if so, no other node can have led before it, and
   * what was evaluated in this reign until now is true. Looking first and evaluating afterwards proves nothing, because
   * the process may stand still in between.
   */
  holds(ballot: Ballot): boolean
}

export interface RowPage {
  readonly applied: number
  readonly rows: readonly StoredRow[]
  readonly done: boolean
}
export interface LogEntryView {
  readonly position: number
  readonly ballot: Ballot
  readonly type: 'NOP' | 'DATA' | 'TRUNCATE' | 'CONFIG' | 'LEADER' | 'CHECKPOINT'
  readonly payload: Uint8Array
}

export interface LogListener {
  viewChanged(view: LeaderView, report: LogStatusReport): void
  /**
   * Entries that others wrote (a follower's feed), in order. The leader's own appends are told by their result only.
   */
  committed(entries: readonly LogEntryView[]): void
  /** Storage trouble came or went; `reason` null means all is well again. */
  writable(reason: string | null): void
}

// ---- What a reign acts through ------------------------------------------------------------------------------------

/**
 * The way to the machines, which may have to be let in by somebody else before a leader may act: a Mesos master lets a
 * framework in; our own agents come to whoever leads, so their driver registers at once. One registration a reign.
 */
export interface DriverPort {
  /** Named in log lines. */
  readonly name: string
  /** Begins to register. `events` are told at any time until `stop`, also within this call. */
  start(epoch: Ballot, events: DriverEvents): void
  /** Settles, within seconds, when it does nothing more; then it may be started again. Harmless when it was not. */
  stop(): Promise<void>
}

export interface DriverEvents {
  registered(): void
  /** It has ended by itself, before or after it was registered. */
  exited(reason: string): void
}

// ---- Agents, as the leader sees them, and the leader, as an agent sees it -----------------------------------------

/** One message-level connection: framing, batching and bounds are below it. */
export interface Connection<In, Out> {
  /** `127.0.0.1:40112`, for logs. */
  readonly remote: string
  /** Queued and sent with the other messages of this turn as one frame. */
  send(message: Out): void
  readonly bufferedBytes: number
  close(code: number, reason: string): void
  /** Set once by the owner, before the first turn ends. */
  onMessage: (message: In) => void
  onClose: (code: number, reason: string) => void
}

/** Accepts agents at `/agent/v1`. */
export interface AgentListener<In, Out> {
  /** `nonce` was sent with the upgrade's answer; the HELLO proves the secret over it. */
  onConnection: ((connection: Connection<In, Out>, nonce: string) => void) | null
}

/** Dials a leader. */
export interface AgentDialer<In, Out> {
  dial(
    url: string,
  ): Promise<{ readonly connection: Connection<In, Out>; readonly nonce: string } | { readonly redirect: string }>
}
