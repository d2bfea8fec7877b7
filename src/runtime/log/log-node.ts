/**
 * The log of one node, put together: folder, lock, stores, and the actors over them. When its stores are closed and opened
 * again, `core/log/opening.ts` decides. Runs in the log thread; tests also run it in their own. Everything it has to tell
 * goes through `emit`, in order.
 */
import type { ActorReport } from '../../actors/actor.ts'
import { DamagedRecord, noPeers, StoreFull } from '../../actors/log-ports.ts'
import type {
  LeaseView,
  LogEntryView,
  LogStatusReport,
  RowCursor,
  RowPage,
  TransferOutcome,
} from '../../actors/ports.ts'
import type { AppendRequest } from '../../core/log/coordinator-core.ts'
import type { Entry } from '../../core/log/entry.ts'
import { LOG_LIMITS } from '../../core/log/limits.ts'
import type { LogMeta } from '../../core/log/meta.ts'
import type { SnapshotHeader } from '../../core/log/snapshot.ts'
import { checkTiming, LOG_TIMING, type LogTiming } from '../../core/log/timing.ts'
import { EXIT } from '../exit.ts'
import { AppendGate } from './append-gate.ts'
import { LeaderViews } from './leader-views.ts'
import { LeadershipTransfer, notLeading } from './leadership-transfer.ts'
import { LeaseMemory } from './lease-memory.ts'
import { LogBeginning } from './log-beginning.ts'
import { LogEnding } from './log-ending.ts'
import { drawClusterId, formatLog, isFormatted } from './log-folder.ts'
import type { LogNodePorts } from './log-node-ports.ts'
import { type OpenedStores, openStores } from './log-opening.ts'
import type { LogNodeOptions } from './log-options.ts'
import { type LogLacks, LogRefused } from './log-refused.ts'
import { reportOf } from './log-report.ts'
import { LogRoom } from './log-room.ts'
import { LogWaiting } from './log-waiting.ts'
import { LogMending } from './mender.ts'
import { logReadError, OpenLog, viewOf } from './open-log.ts'
import { OpeningKeeper } from './opening-keeper.ts'
import { Peers } from './peers.ts'
import { NO_READING, type RowReading } from './row-reading.ts'
import { lockFolder, type StoreLock } from './store-lock.ts'

const SOFTWARE = '0.1.0'

export class LogNode {
  readonly #options: LogNodeOptions
  readonly #ports: LogNodePorts
  readonly #timing: LogTiming
  readonly #peers: Peers | null
  readonly #lease: LeaseMemory
  readonly #transfer: LeadershipTransfer
  readonly #room: LogRoom
  readonly #views: LeaderViews
  readonly #waiting: LogWaiting
  readonly #gate: AppendGate
  readonly #stores: OpeningKeeper
  readonly #ending: LogEnding
  readonly #beginning: LogBeginning
  #mending: LogMending | null = null
  #lock: StoreLock | null = null
  #opened: OpenLog | null = null
  #areRowsLoaded = true
  /** What the store held when it was closed, for want of room or of records: this member is still the one it was. */
  #closedAs: LogMeta | null = null

  constructor(options: LogNodeOptions, ports: LogNodePorts) {
    this.#options = options
    this.#ports = ports
    this.#timing = { ...LOG_TIMING, ...options.timing }
    checkTiming(this.#timing)
    this.#lease = ports.lease ?? new LeaseMemory()
    const { members, memberId } = options
    const { emit, log, metrics, transport, freeBytesOf } = ports
    this.#transfer = new LeadershipTransfer({
      memberId,
      tell: to => this.#opened?.actors.coordinator.tell({ type: 'transfer', to }) ?? false,
      leaseMs: this.#timing.leaseMs,
    })
    this.#peers = Peers.of(options, transport, {
      log,
      metrics,
      durable: () => this.#opened?.durable ?? this.#closedAs,
      commit: () => this.#opened?.meta.commit ?? 0,
      onChange: () => this.#lookAround(),
    })
    this.#views = new LeaderViews({
      httpUrlOf: id => (id === memberId ? options.httpUrl : (this.#peers?.httpUrlOf(id) ?? '')),
      onView: view => emit({ type: 'view', view, report: this.report() }),
    })
    this.#waiting = new LogWaiting(options, {
      log,
      peers: this.#peers,
      stage: () => (this.#opened !== null ? 'open' : this.#closedAs !== null ? 'closed' : 'empty'),
      hasLeader: () => this.#views.last.leader !== null,
    })
    this.#room = new LogRoom(options.path, options.space, {
      log,
      metrics,
      freeBytesOf,
      onReading: (reading, limits) => this.#opened?.tellSpace(reading, limits),
      onWritable: reason => emit({ type: 'writable', reason }),
      leadsOthers: () => this.#views.isLeading && members.length > 1,
    })
    this.#gate = new AppendGate({
      tell: requests => this.#opened?.actors.coordinator.tell({ type: 'append', requests }) ?? null,
      onResults: results => emit({ type: 'results', results }),
    })
    this.#stores = new OpeningKeeper({
      open: () => this.#open(),
      close: handOver => this.#close(handOver),
      mend: lacks => this.#mend(lacks as LogLacks),
      stopMending: () => this.#mending?.stop(),
      tellFull: cause => this.#room.tellFull(cause),
      awaitRoom: onRoom => this.#room.awaitRoom(onRoom),
      stopWaiting: () => this.#room.stopWaiting(),
      troubleOf: cause =>
        this.#ending.troubleOf(cause, this.#closedAs === null ? 'opening it' : 'opening the log again'),
      die: cause => this.#ending.broken(cause),
    })
    this.#beginning = new LogBeginning(options, {
      peers: this.#peers,
      waiting: this.#waiting,
      open: () => this.#stores.open(),
      admit: descriptor => void this.#opened?.actors.replica.tell({ type: 'admitted', descriptor }),
      onBroken: cause => this.#ending.broken(cause),
    })
    this.#ending = new LogEnding(options, {
      log,
      hasOthers: () => this.#peers !== null,
      onEnd: () => {
        this.#stores.tell({ type: 'halt' })
        this.#lease.publish(null)
      },
      onDeath: (status, reason) => emit({ type: 'death', status, reason }),
    })
  }

  /** Opens the store, or begins to wait for one. Throws LogRefused, and then holds nothing any more. */
  async open(): Promise<LogStatusReport> {
    try {
      this.#ending.refuseStart()
      this.#waiting.start()
      // Nobody is spoken to before this member knows who it is.
      if (isFormatted(this.#options.path)) await this.#stores.open()
      await this.#peers?.start()
      if (this.#opened === null && this.#closedAs === null) await this.#beginning.empty()
      return this.report()
    } catch (cause) {
      await this.stop()
      throw this.#ending.refusalOf(cause)
    }
  }

  append(requests: readonly AppendRequest[]): void {
    this.#gate.append(requests)
  }

  readRows(cursor: RowCursor | null, rowsMax: number): RowPage {
    if (this.#opened === null) throw new LogRefused(`The log is ${this.report().status}: it has no rows yet`)
    return this.#opened.readRows(cursor, rowsMax)
  }

  /** The ledger above has begun to read the rows, or has them all: until then this member leads only if nobody else can. */
  rowsLoaded(loaded: boolean): void {
    this.#areRowsLoaded = loaded
    this.#opened?.tellRows(loaded)
  }

  /** A reading of the row tables, if they stand for that position; see `RowReading`. */
  beginReading(positionMin: number): SnapshotHeader | null {
    return this.#opened?.beginReading(positionMin) ?? null
  }

  /** Of the stores that are open now. */
  get reading(): Pick<RowReading, 'page' | 'end'> {
    return this.#opened?.reading ?? NO_READING
  }

  read(from: number, to: number): readonly LogEntryView[] {
    if (this.#opened === null) throw logReadError('PAST_COMMIT: the log is empty')
    return this.#opened.read(from, to)
  }

  get lease(): LeaseView {
    return this.#lease
  }

  /** Hands leadership over, to that member or to whoever holds most; settles when another leads, or why none does. */
  async transfer(to: number | null): Promise<TransferOutcome> {
    if (this.#views.isLeading) return this.#transfer.ask(to)
    return notLeading(this.#views.last, this.#waiting.what())
  }

  /** For the inspector; empty while nothing is open. */
  actors(): readonly ActorReport[] {
    return this.#opened?.system.inspection.actors() ?? []
  }

  report(): LogStatusReport {
    return reportOf({
      options: this.#options,
      views: this.#views,
      room: this.#room,
      waiting: this.#waiting,
      peers: this.#peers,
      opened: this.#opened,
      meta: this.#opened?.meta ?? this.#closedAs,
    })
  }

  /** A leader first hands over to the member that holds most, so that the others need not wait for its lease to end. */
  async stop(): Promise<void> {
    this.#ending.planned()
    this.#beginning.stop()
    this.#waiting.stop()
    await this.#stores.stop()
    this.#room.stop()
    await this.#peers?.stop()
    await this.#lock?.release()
    this.#lock = null
  }

  /** A peer has come, gone or changed. */
  #lookAround(): void {
    if (this.#ending.isOver) return
    this.#beginning.lookAround(this.#opened?.meta)
    this.#views.lookForUrl()
  }

  async #open(): Promise<void> {
    const { path, clusterId } = this.#options
    this.#lock ??= await lockFolder(path)
    // Somebody may have been quicker before the lock was ours.
    const mayFormat = this.#beginning.takeFormat()
    if (mayFormat && !isFormatted(path)) await formatLog(this.#options, clusterId ?? drawClusterId())
    this.#room.watch()
    const stores = await openStores(this.#options, this.#ports)
    const { meta } = stores.store.restored
    this.#opened = this.#spawn(stores)
    this.#opened.tellRows(this.#areRowsLoaded)
    this.#closedAs = null
    this.#waiting.over()
    this.#peers?.remember(path)
    this.#peers?.tellPresence()
    this.#room.opened()
    if (meta.status === 'VOTING') this.#ready()
    else this.#beginning.formatted(meta)
  }

  #spawn(stores: OpenedStores): OpenLog {
    const { metrics, emit, transport = this.#peers?.transport ?? noPeers } = this.#ports
    const system = this.#ports.makeSystem((error, path) =>
      this.#ending.die(EXIT.bug, `${path}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`),
    )
    return new OpenLog(stores, system, {
      memberId: this.#options.memberId,
      software: SOFTWARE,
      transport,
      timing: this.#timing,
      limits: { ...LOG_LIMITS, ...this.#options.limits },
      metrics,
      onView: view => this.#views.elected(view),
      onVoting: () => this.#ready(),
      onResults: results => emit({ type: 'results', results }),
      onLease: lease => this.#lease.publish(lease),
      onTransfer: answer => this.#transfer.answered(answer),
      onApplied: entries => this.#onApplied(entries),
      onInstall: () => this.#stores.tell({ type: 'outdated' }),
      onStoreTrouble: cause => this.#onStoreTrouble(cause),
      onFailStop: reason => this.#ending.inDoubt({ kind: 'agreement', reason }),
    })
  }

  #ready(): void {
    this.#waiting.over()
    this.#peers?.tellPresence()
    this.#opened?.begin()
  }

  #onApplied(entries: readonly Entry[]): void {
    for (const entry of entries) if (entry.type === 'LEADER') this.#transfer.took(entry.ballot)
    const others = this.#options.members.length === 1 ? [] : this.#views.ofOthers(entries)
    if (others.length > 0) this.#ports.emit({ type: 'committed', entries: others.map(viewOf) })
  }

  /** What this disk has lost is had from the others; until then this member takes no part. */
  async #mend(lacks: LogLacks): Promise<void> {
    const mending = new LogMending(this.#options, this.#ports, this.#peers!.transport, lacks)
    this.#mending = mending
    this.#closedAs = { ...lacks.meta!, status: 'RECOVERING' }
    this.#waiting.waitFor(mending.waitingFor)
    this.#peers!.tellPresence()
    await mending.run()
    this.#waiting.over()
  }

  async #close(handOver: boolean): Promise<void> {
    const opened = this.#opened!
    if (handOver && this.#peers !== null) {
      await this.#views.letGo(() => void opened.actors.coordinator.tell({ type: 'handOver' }))
    }
    await opened.stopActors()
    this.#lease.publish(null)
    this.#transfer.closed()
    this.#closedAs = opened.durable
    this.#opened = null
    await opened.closeStores()
    if (!this.#ending.isOver) this.#views.nobody()
  }

  #onStoreTrouble(cause: unknown): void {
    if (cause instanceof StoreFull) return this.#stores.tell({ type: 'diskFull', cause })
    // The opening reads everything, and has what others hold mended.
    if (cause instanceof DamagedRecord && this.#peers !== null) return this.#stores.tell({ type: 'outdated' })
    if (cause instanceof DamagedRecord && this.#ending.isOver) return
    // A planned stop writes too: what failed then is in doubt all the same.
    this.#ending.storeFailed(cause)
  }
}
