/**
 * The CatchUp of a node. For the own replica it fetches what was missed (`catch-up-core.ts`); for other members it is the
 * one who answers: committed entries as they stand in the store, and rows of a snapshot, which is one reading of the row
 * tables that stays as it was while it is open.
 */
import { assertNever } from '../core/base/assert.ts'
import { CatchUpCore, type CatchUpEffect, type CatchUpMessage } from '../core/log/catch-up-core.ts'
import { CATCH_UP_BYTES_PER_MS, type LogLimits } from '../core/log/limits.ts'
import type { Fetch, Sender, SnapshotFetch } from '../core/log/messages.ts'
import type { LogMeta } from '../core/log/meta.ts'
import { Serving } from '../core/log/serving.ts'
import { mayReadOn, snapshotId } from '../core/log/snapshot.ts'
import type { ActorSpec, Context, Ref } from './actor.ts'
import type { LogStore, LogTransport, SnapshotReader, StateStore } from './log-ports.ts'
import type { ReplicaCommand } from './replica.ts'

export type CatchUpCommand =
  | CatchUpMessage
  | Fetch
  | SnapshotFetch
  | { readonly type: 'storeFailed'; readonly cause: unknown }
  | { readonly type: 'snapshotIdle' }
  | { readonly type: 'rested' }

export interface CatchUpOptions {
  readonly self: Sender
  readonly store: LogStore
  readonly state: StateStore
  readonly transport: LogTransport
  readonly limits: LogLimits
  readonly replica: () => Ref<ReplicaCommand>
  /** Of the own replica: what is committed and held. */
  readonly meta: () => Pick<LogMeta, 'begin' | 'commit'>
  /** The other voters. */
  readonly others: () => readonly number[]
  /** A whole snapshot is on disk: it takes effect when the log is opened again. */
  readonly onInstall: (position: number) => void
  readonly onStoreTrouble: (cause: unknown) => void
}

const ENTRIES_MAX = 2_048
const PAGE_BYTES_MAX = 1024 * 1024
/** After the last page, and while entries are asked for: what follows the snapshot is kept until its reader is through. */
const SNAPSHOT_IDLE_MS_MAX = 30_000

export function catchUpSpec(options: CatchUpOptions): ActorSpec<CatchUpCommand> {
  return {
    name: 'catch-up',
    kind: 'CatchUp',
    supervision: { type: 'endProcess' },
    start: context => {
      const catchUp = new CatchUp(options, context)
      return {
        receive: message => catchUp.receive(message),
        stopping: () => catchUp.closeSnapshot(),
        summary: () => catchUp.summary(),
      }
    },
  }
}

class CatchUp {
  readonly #options: CatchUpOptions
  readonly #context: Context<CatchUpCommand>
  readonly #core: CatchUpCore
  #snapshot: { readonly reader: SnapshotReader; readonly sinceMs: number; readonly freeBytes: number | null } | null =
    null
  /** Of the own disk, when it was looked at last. */
  #freeBytes: number | null = null
  readonly #serving = new Serving<Fetch | SnapshotFetch>(CATCH_UP_BYTES_PER_MS)
  #served = 0

  constructor(options: CatchUpOptions, context: Context<CatchUpCommand>) {
    this.#options = options
    this.#context = context
    const { self, limits, others, state } = options
    const covered = (): number => state.resumeFrom - 1
    this.#core = new CatchUpCore({ self, limits, others, covered, progress: state.incoming.progress })
  }

  receive(message: CatchUpCommand): void {
    switch (message.type) {
      case 'fetch':
      case 'snapshotFetch':
        this.#serving.ask(message)
        return this.#serve()
      case 'rested':
        this.#serving.rested()
        return this.#serve()
      case 'storeFailed':
        return this.#options.onStoreTrouble(message.cause)
      case 'snapshotIdle':
        return this.closeSnapshot()
      default:
        if (message.type === 'space') this.#freeBytes = message.freeBytes
        for (const effect of this.#core.handle(message)) this.#run(effect)
    }
  }

  #run(effect: CatchUpEffect): void {
    switch (effect.type) {
      case 'send':
        return this.#options.transport.send(effect.to, effect.message)
      case 'learn':
        this.#options.replica().tell(effect)
        return
      case 'store': {
        const { page } = effect
        this.#context.pipe(this.#options.state.incoming.write(page), settled =>
          settled.ok
            ? { type: 'pageStored', ask: page.ask, isSound: settled.value }
            : { type: 'storeFailed', cause: settled.cause },
        )
        return
      }
      case 'install':
        this.#context.log.info('log-snapshot-arrived', { position: effect.position })
        return this.#options.onInstall(effect.position)
      case 'startTimer':
        return this.#context.startTimer('due', effect.afterMs, { type: 'due', ask: effect.ask })
      case 'cancelTimer':
        return this.#context.cancelTimer('due')
      case 'note':
        this.#context.log.info('log-catch-up', { what: effect.what, position: effect.position })
        return
      default:
        return assertNever(effect)
    }
  }

  #serve(): void {
    const question = this.#serving.next()
    if (question === null) return
    const { monoMs } = this.#context.now()
    const bytes = question.type === 'fetch' ? this.#sendEntries(question) : this.#sendRows(question)
    const restMs = this.#serving.answered(bytes, this.#context.now().monoMs - monoMs)
    this.#context.startTimer('rest', restMs, { type: 'rested' })
  }

  /** How many bytes they are. */
  #sendEntries({ from, ask, position, bytesMax }: Fetch): number {
    const { self, store, transport, meta, onStoreTrouble } = this.#options
    const { begin, commit } = meta()
    const isHere = position >= begin && position <= commit
    try {
      const entries = isHere ? store.read(position, commit, ENTRIES_MAX, Math.min(bytesMax, PAGE_BYTES_MAX)) : []
      transport.send(from.memberId, { type: 'entries', from: self, ask, position, entries, begin, commit })
      this.#served += entries.length
      if (this.#snapshot !== null) this.#keepSnapshot()
      return entries.reduce((bytes, entry) => bytes + entry.record.length, 0)
    } catch (cause) {
      onStoreTrouble(cause)
      return 0
    }
  }

  #sendRows({ from, ask, id, cursor, bytesMax }: SnapshotFetch): number {
    const { self, transport } = this.#options
    const open = this.#openSnapshot()
    const { header } = open
    const after = header.id === id ? cursor : null
    const { rows, done } = open.page(after, Math.min(bytesMax, PAGE_BYTES_MAX))
    this.#served += rows.length
    transport.send(from.memberId, { type: 'snapshotPage', from: self, ask, header, cursor: after, rows, done })
    this.#keepSnapshot()
    return rows.reduce((bytes, { key, bytes: value }) => bytes + key.length + value.length, 0)
  }

  #keepSnapshot(): void {
    this.#context.startTimer('snapshotIdle', SNAPSHOT_IDLE_MS_MAX, { type: 'snapshotIdle' })
  }

  /**
   * The one that is open, if it may be read on; else a new one. Also when another one is asked for: two members that lag
   * cost one reading, and one that asks for what is no longer there does not take away what another is reading.
   */
  #openSnapshot(): SnapshotReader {
    const { monoMs } = this.#context.now()
    const open = this.#snapshot
    if (open !== null && mayReadOn(monoMs - open.sinceMs, this.#freeBytes, open.freeBytes)) return open.reader
    this.closeSnapshot()
    const reading = Math.floor(this.#context.random.next() * 2 ** 32)
    const reader = this.#options.state.snapshot(snapshotId(this.#options.self.memberId, reading))
    this.#snapshot = { reader, sinceMs: monoMs, freeBytes: this.#freeBytes }
    this.#options.replica().tell({ type: 'hold', from: reader.header.position + 1 })
    return reader
  }

  closeSnapshot(): void {
    if (this.#snapshot === null) return
    this.#snapshot.reader.close()
    this.#snapshot = null
    this.#options.replica().tell({ type: 'hold', from: null })
    this.#context.cancelTimer('snapshotIdle')
  }

  summary(): Record<string, string | number | boolean | null> {
    return {
      phase: this.#core.phase,
      next: this.#core.next,
      source: this.#core.source,
      snapshotOpen: this.#snapshot?.reader.header.position ?? null,
      served: this.#served,
      waiting: this.#serving.waiting,
      superseded: this.#serving.superseded,
    }
  }
}
