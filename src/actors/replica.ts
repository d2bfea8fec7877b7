/**
 * The Replica of a node: runs the replica core over a store, and applies what is committed to the row tables. It alone
 * writes consensus state. Requests of peers and of the own coordinator reach it as messages; replies leave when the
 * core lets them go, that is, after the flush they rest on. It must not be restarted beside its store: any trouble of
 * the store ends it through `onStoreTrouble`, and a bug ends the process.
 */
import { assertNever } from '../core/base/assert.ts'
import { Applier } from '../core/log/apply.ts'
import type { CatchUpMessage } from '../core/log/catch-up-core.ts'
import type { CoordinatorMessage } from '../core/log/coordinator-core.ts'
import { checksumText } from '../core/log/crc.ts'
import type { ElectionMessage } from '../core/log/election-core.ts'
import { type CheckpointNote, checkpointNote, type Entry, truncateNote } from '../core/log/entry.ts'
import type { LogLimits } from '../core/log/limits.ts'
import type { PeerMessage } from '../core/log/messages.ts'
import { type LogWrite, ReplicaCore, type ReplicaEffect, type ReplicaMessage } from '../core/log/replica-core.ts'
import type { LogTiming } from '../core/log/timing.ts'
import type { ActorSpec, Context, Ref } from './actor.ts'
import { DamagedRecord, type LogStore, type LogTransport, RowsDiverged, type StateStore } from './log-ports.ts'
import type { Metrics } from './ports.ts'

export type ReplicaCommand =
  | ReplicaMessage
  | { readonly type: 'stored'; readonly write: LogWrite; readonly sinceMs: number }
  | { readonly type: 'storeFailed'; readonly cause: unknown }
  | { readonly type: 'stateStored'; readonly entries: readonly Entry[] }
  | { readonly type: 'applyDue' }
  | { readonly type: 'dropDue' }
  | { readonly type: 'scrubDue' }

export interface ReplicaOptions {
  readonly store: LogStore
  readonly state: StateStore
  readonly transport: LogTransport
  readonly timing: LogTiming
  readonly limits: LogLimits
  readonly metrics: Metrics
  /** The other actors of the log; looked up when needed, because they know each other. */
  readonly coordinator: () => Ref<CoordinatorMessage>
  readonly election: () => Ref<ElectionMessage>
  readonly catchUp: () => Ref<CatchUpMessage>
  /** This replica may vote now (its descriptor is complete and on disk). */
  readonly onVoting: () => void
  /** StoreFull, StoreFailed, RowsDiverged, DamagedRecord, or what else a store rejects with. */
  readonly onStoreTrouble: (cause: unknown) => void
  /** Agreement is broken: the process must end and an operator must look. */
  readonly onFailStop: (reason: string) => void
  readonly onApplied: (entries: readonly Entry[]) => void
  /** The core, for reports of the same thread; never changed from outside. */
  readonly onStarted: (core: ReplicaCore) => void
}

/**
 * State commits are few and large: they share the disk with the flushes that callers wait for. (At 20 ms they cost a fifth
 * of all CPU at 64 clients.) Nobody waits for them but a new leader, for its first entry.
 */
const APPLY_EVERY_MS = 100
const APPLY_ENTRIES_MAX = 2_048
/** What is truncated goes in small steps, with pauses: appends must not wait for it. */
const DROP_EVERY_MS = 20
/** Nor for the reading of very large ones, before they go or when they are applied from the store. */
const DROP_BYTES_MAX = 4 * 1024 * 1024
const APPLY_BYTES_MAX = 16 * 1024 * 1024
/** The whole log is read once a day, slowly: a record that has rotted is found while others still hold it. */
const SCRUB_EVERY_MS = 24 * 3_600_000
const SCRUB_STEP_MS = 1_000
const SCRUB_STEP_BYTES = 4 * 1024 * 1024
/** Digests of this many checkpoints are remembered until the leader's word on them arrives. */
const CHECKPOINTS_KEPT = 16
/** Entries kept in memory between their flush and their apply; beyond it they are read back from the store. */
const UNAPPLIED_KEPT_MAX = 32_768

export function replicaSpec(options: ReplicaOptions): ActorSpec<ReplicaCommand> {
  return {
    name: 'replica',
    kind: 'Replica',
    mailbox: { capacity: 100_000 },
    supervision: { type: 'endProcess' },
    start: context => {
      const replica = new Replica(options, context)
      return {
        receive: message => replica.receive(message),
        stopping: () => replica.rest(),
        summary: () => replica.summary(),
      }
    },
  }
}

class Replica {
  readonly #options: ReplicaOptions
  readonly #context: Context<ReplicaCommand>
  readonly #core: ReplicaCore
  readonly #applier: Applier
  readonly #checkpoints = new Map<number, number>()
  /** One is on its way to the disk, or the pause after it. */
  #dropping = false
  /** Up to where the scrub has come; 0 before and after a round. */
  #scrubbed = 0
  #unapplied: Entry[] = []
  #committed = 0
  /** The last position handed to the applier. */
  #handed: number
  #applying = false
  #storeFailed = false
  /** Log or rows are not those of the others: not another word or write, until the process has ended. */
  #failStopped = false
  #appliedAtMs = Number.NEGATIVE_INFINITY

  constructor(options: ReplicaOptions, context: Context<ReplicaCommand>) {
    this.#options = options
    this.#context = context
    const { store, state, timing } = options
    const { applied, resumeFrom } = state
    const opened = { timing, openedAt: context.now(), applied, snapshot: resumeFrom - 1 }
    this.#core = new ReplicaCore(store.restored, opened)
    this.#applier = new Applier(state.base)
    this.#handed = resumeFrom - 1
    this.#committed = store.restored.meta.commit
    options.onStarted(this.#core)
    context.startTimer('scrub', SCRUB_EVERY_MS, { type: 'scrubDue' })
    this.#apply()
  }

  receive(message: ReplicaCommand): void {
    if (this.#failStopped) return
    switch (message.type) {
      case 'stored':
        this.#options.metrics.observe('log_flush_seconds', (this.#context.now().monoMs - message.sinceMs) / 1_000)
        return this.#step({ type: 'flushed', ticket: message.write.ticket })
      case 'storeFailed':
        this.#storeFailed = true
        return this.#options.onStoreTrouble(message.cause)
      case 'stateStored':
        return this.#onStateStored(message.entries)
      case 'applyDue':
        return this.#apply()
      case 'dropDue':
        this.#dropping = false
        return this.#drop()
      case 'scrubDue':
        return this.#scrub()
      case 'space':
        this.#options.catchUp().tell(message)
        return this.#step(message)
      default:
        return this.#step(message)
    }
  }

  #step(message: ReplicaMessage): void {
    const effects = this.#core.handle(message, this.#context.now())
    this.#core.invariants()
    for (const effect of effects) this.#run(effect)
  }

  #run(effect: ReplicaEffect): void {
    const { coordinator, election, catchUp, onVoting, onFailStop } = this.#options
    switch (effect.type) {
      case 'persist':
        return this.#persist(effect.write)
      case 'send':
        return this.#send(effect.to, effect.message)
      case 'committed':
        this.#committed = Math.max(this.#committed, effect.upTo)
        return this.#apply()
      case 'voting':
        return onVoting()
      case 'canvass':
      case 'favoured':
      case 'surpassed':
      case 'promised':
        election().tell(effect)
        return
      case 'candidacy':
        coordinator().tell(effect)
        return
      case 'heardLeader':
        if (effect.memberId !== this.#core.meta.memberId) election().tell(effect)
        return
      case 'behind':
      case 'learned':
        catchUp().tell(effect)
        return
      case 'dropped':
        this.#context.startTimer('drop', DROP_EVERY_MS, { type: 'dropDue' })
        coordinator().tell(effect)
        return
      case 'failStop':
        this.#failStopped = true
        return onFailStop(effect.reason)
      default:
        return assertNever(effect)
    }
  }

  #persist(write: LogWrite): void {
    const sinceMs = this.#context.now().monoMs
    if (write.cutFrom !== null) {
      const { cutFrom } = write
      this.#unapplied = this.#unapplied.filter(entry => entry.position < cutFrom)
    }
    // They must follow each other without a gap, so all of them go, not only the new ones.
    if (this.#unapplied.length >= UNAPPLIED_KEPT_MAX) this.#unapplied = []
    for (const entry of write.entries) this.#unapplied.push(entry)
    this.#context.pipe(this.#options.store.write(write), settled =>
      settled.ok ? { type: 'stored', write, sinceMs } : { type: 'storeFailed', cause: settled.cause },
    )
  }

  #send(to: number, message: PeerMessage): void {
    if (to !== this.#core.meta.memberId) return this.#options.transport.send(to, message)
    if (message.type === 'prevoteReply') this.#options.election().tell(message)
    else if (message.type === 'promise' || message.type === 'accepted' || message.type === 'nack') {
      this.#options.coordinator().tell(message)
    }
  }

  #apply(): void {
    if (this.#applying || this.#handed >= this.#committed) return
    const now = this.#context.now()
    const waitMs = this.#appliedAtMs + APPLY_EVERY_MS - now.monoMs
    if (waitMs > 0 && this.#committed - this.#handed < APPLY_ENTRIES_MAX && !this.#isReignBeginning()) {
      this.#context.startTimer('apply', waitMs, { type: 'applyDue' })
      return
    }
    const entries = this.#take()
    if (entries.length === 0) return
    this.#appliedAtMs = now.monoMs
    this.#applying = true
    const batch = this.#applier.apply(entries)
    this.#handed = batch.applied
    this.#context.pipe(this.#options.state.write(batch), settled =>
      settled.ok ? { type: 'stateStored', entries } : { type: 'storeFailed', cause: settled.cause },
    )
  }

  /** A leader takes no appends before its LEADER entry is applied, so that one is the last committed when it matters. */
  #isReignBeginning(): boolean {
    const first = this.#unapplied[0]?.position ?? Number.POSITIVE_INFINITY
    return this.#unapplied[this.#committed - first]?.type === 'LEADER'
  }

  /** The next committed entries: from memory when they are there, else from the store. */
  #take(): readonly Entry[] {
    const from = this.#handed + 1
    const { checkpointEvery } = this.#options.limits
    // The digest at a checkpoint is that of exactly this position.
    const checkpoint = Math.ceil(from / checkpointEvery) * checkpointEvery
    const to = Math.min(this.#committed, this.#handed + APPLY_ENTRIES_MAX, checkpoint)
    const first = this.#unapplied[0]?.position ?? Number.POSITIVE_INFINITY
    const last = this.#unapplied.at(-1)?.position ?? 0
    if (first > from || last < to) return this.#read(from, to, APPLY_BYTES_MAX)
    const entries = this.#unapplied.slice(from - first, to - first + 1)
    this.#unapplied = this.#unapplied.slice(to - first + 1)
    return entries
  }

  #onStateStored(entries: readonly Entry[]): void {
    this.#applying = false
    const { state, coordinator, onApplied } = this.#options
    const position = entries.at(-1)!.position
    const snapshot = state.resumeFrom - 1
    this.#step({ type: 'applied', position, snapshot })
    const checkpoint = this.#passCheckpoint(position, state.rowsDigest)
    for (const entry of entries) this.#heed(entry)
    if (this.#failStopped) return
    coordinator().tell({ type: 'applied', position, snapshot, ...(checkpoint === null ? {} : { checkpoint }) })
    onApplied(entries)
    this.#apply()
    this.#drop()
  }

  #passCheckpoint(position: number, rowsDigest: number): CheckpointNote | null {
    if (position % this.#options.limits.checkpointEvery !== 0) return null
    this.#checkpoints.set(position, rowsDigest)
    if (this.#checkpoints.size > CHECKPOINTS_KEPT) this.#checkpoints.delete(this.#checkpoints.keys().next().value!)
    return { position, rowsDigest }
  }

  /** What a leader says about the log itself. */
  #heed(entry: Entry): void {
    if (entry.type === 'TRUNCATE') return this.#step({ type: 'truncate', to: truncateNote(entry).to })
    if (entry.type !== 'CHECKPOINT') return
    const { position, rowsDigest } = checkpointNote(entry)
    const own = this.#checkpoints.get(position)
    if (own === undefined || own === rowsDigest || this.#storeFailed || this.#failStopped) return
    this.#failStopped = true
    this.#options.metrics.count('log_divergence')
    // A restart must not go on with these tables as if nothing had been.
    this.#options.onStoreTrouble(
      new RowsDiverged(
        `state divergence at ${position}: the rows of this member have digest ${checksumText(own)}, those of member ` +
          `${entry.ballot[1]}, which led, ${checksumText(rowsDigest)}`,
      ),
    )
  }

  /** Deletes some of what nobody needs any more. The records are read, and so checked, one last time. */
  #drop(): void {
    const count = Math.min(this.#core.droppable, this.#options.limits.dropStep)
    if (this.#dropping || count === 0) return
    const { begin } = this.#core.meta
    const crcs = this.#read(begin, begin + count - 1, DROP_BYTES_MAX).map(entry => entry.crc)
    if (crcs.length === 0) return
    this.#dropping = true
    this.#step({ type: 'drop', crcs })
  }

  #scrub(): void {
    const { begin, commit } = this.#core.meta
    const from = Math.max(this.#scrubbed + 1, begin)
    const read = this.#read(from, Math.min(commit, from + APPLY_ENTRIES_MAX), SCRUB_STEP_BYTES)
    this.#scrubbed = read.at(-1)?.position ?? 0
    this.#context.startTimer('scrub', read.length > 0 ? SCRUB_STEP_MS : SCRUB_EVERY_MS, { type: 'scrubDue' })
  }

  /** Nothing when a record is damaged: the owner is told, and decides. */
  #read(from: number, to: number, bytesMax: number): readonly Entry[] {
    try {
      return this.#options.store.read(from, to, to - from + 1, bytesMax)
    } catch (cause) {
      if (!(cause instanceof DamagedRecord)) throw cause
      this.#storeFailed = true
      this.#options.onStoreTrouble(cause)
      return []
    }
  }

  /** Writes what is only in memory: how far is committed. Not after a failed write: memory is ahead of the disk then. */
  async rest(): Promise<void> {
    if (this.#storeFailed || this.#failStopped) return
    try {
      for (const effect of this.#core.handle({ type: 'rest' }, this.#context.now())) {
        if (effect.type === 'persist') await this.#options.store.write(effect.write)
      }
    } catch (cause) {
      this.#options.onStoreTrouble(cause)
    }
  }

  summary(): Record<string, string | number | boolean | null> {
    const { status, promised, begin, end, commit, bootCounter } = this.#core.meta
    return {
      status,
      promised: `${promised[0]}.${promised[1]}`,
      begin,
      end,
      commit,
      applied: this.#core.applied,
      bootCounter,
      voidedTransactions: this.#applier.voided,
    }
  }
}
