/**
 * The log of one node, put together: folder, lock, stores, and the actors over them. It knows how a log is opened and why
 * one is refused, how an empty one waits, and with what the process must end. When its stores are closed and opened again,
 * `core/log/opening.ts` decides. Runs in the log thread; tests also run it in their own. Everything it has to tell goes
 * through `emit`, in order.
 */
import type { ActorReport, ActorSystem } from '../../actors/actor.ts'
import {
  DamagedRecord,
  type LogTransport,
  noPeers,
  RowsDiverged,
  StoreFailed,
  StoreFull,
} from '../../actors/log-ports.ts'
import type {
  AppendResult,
  LeaderView,
  LeaseView,
  LogEntryView,
  LogStatusReport,
  RowCursor,
  RowPage,
  TransferOutcome,
} from '../../actors/ports.ts'
import { sameBallot } from '../../core/log/ballot.ts'
import type { AppendRequest } from '../../core/log/coordinator-core.ts'
import { type Doubt, doubtRefusal, doubtRemedy } from '../../core/log/doubt.ts'
import type { Entry } from '../../core/log/entry.ts'
import { LOG_LIMITS } from '../../core/log/limits.ts'
import type { LogMeta } from '../../core/log/meta.ts'
import type { OpeningTrouble } from '../../core/log/opening.ts'
import { checkTiming, LOG_TIMING, type LogTiming } from '../../core/log/timing.ts'
import { EXIT } from '../exit.ts'
import { AppendGate } from './append-gate.ts'
import { nextWhenFormatted, nextWithoutLog } from './first-start.ts'
import { LeaderViews } from './leader-views.ts'
import { LeadershipTransfer } from './leadership-transfer.ts'
import { LeaseMemory } from './lease-memory.ts'
import { isDiskFailure, storeTrouble } from './lmdb-trouble.ts'
import {
  drawClusterId,
  formatLog,
  isFormatted,
  markNeedsVerify,
  needsVerify,
  refuseMemberFaults,
} from './log-folder.ts'
import { type OpenedStores, type OpeningPorts, openStores } from './log-opening.ts'
import type { LogNodeOptions } from './log-options.ts'
import { LogLacks, LogRefused } from './log-refused.ts'
import { reportOf } from './log-report.ts'
import { LogRoom } from './log-room.ts'
import { LogWaiting } from './log-waiting.ts'
import { LogMending } from './mender.ts'
import { logReadError, OpenLog, viewOf } from './open-log.ts'
import { OpeningKeeper } from './opening-keeper.ts'
import { Peers } from './peers.ts'
import { lockFolder, type StoreLock } from './store-lock.ts'

export type LogEvent =
  | { readonly type: 'results'; readonly results: readonly { readonly id: number; readonly outcome: AppendResult }[] }
  | { readonly type: 'view'; readonly view: LeaderView; readonly report: LogStatusReport }
  | { readonly type: 'committed'; readonly entries: readonly LogEntryView[] }
  | { readonly type: 'writable'; readonly reason: string | null }
  /** The process must end with this status. */
  | { readonly type: 'death'; readonly status: number; readonly reason: string }

export interface LogNodePorts extends OpeningPorts {
  readonly emit: (event: LogEvent) => void
  /** Where the lease is written, by the clock of `makeSystem`; the default is read by this thread alone, by `realClock`. */
  readonly lease?: LeaseMemory
  /** Makes the actor system of one opening; a new one after the disk was full. */
  readonly makeSystem: (onEndProcess: (error: unknown, path: string) => void) => ActorSystem
  /** Default: WebSockets to the other members, if there are any and the options say where to listen. */
  readonly transport?: LogTransport
  /** Default: the file system's word. Tests hand in disks that fill up. */
  readonly freeBytesOf?: (folder: string) => number
}

/** How often an EMPTY node looks whether somebody has initialized its log. */
const EMPTY_CHECK_MS = 1_000
/** How long a successor may take until it serves, beside the two leases that an election may need. */
const TAKE_OVER_MS_MAX = 3_000
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
  #mending: LogMending | null = null
  #lock: StoreLock | null = null
  #opened: OpenLog | null = null
  /** What the store held when it was closed, for want of room or of records: this member is still the one it was. */
  #closedAs: LogMeta | null = null
  #mayFormat = false
  #emptyCheck: NodeJS.Timeout | null = null
  #stopped = false

  constructor(options: LogNodeOptions, ports: LogNodePorts) {
    this.#options = options
    this.#ports = ports
    this.#timing = { ...LOG_TIMING, ...options.timing }
    checkTiming(this.#timing)
    this.#lease = ports.lease ?? new LeaseMemory()
    const { peer, members, memberId } = options
    const { emit, log, metrics, transport, freeBytesOf } = ports
    this.#transfer = new LeadershipTransfer({
      memberId,
      tell: to => this.#opened?.actors.coordinator.tell({ type: 'transfer', to }) ?? false,
      takeOverMsMax: 2 * this.#timing.leaseMs + TAKE_OVER_MS_MAX,
    })
    this.#peers =
      peer === undefined || transport !== undefined || members.length === 1
        ? null
        : new Peers(options, peer, {
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
      onReading: ({ full, freeBytes }, { reserveBytes, checkEveryMs: lookMs }) => {
        this.#opened?.actors.coordinator.tell({ type: 'space', full, freeBytes, reserveBytes, lookMs })
        this.#opened?.actors.replica.tell({ type: 'space', full, freeBytes })
        this.#opened?.actors.election.tell({ type: 'space', full })
      },
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
      tellFull: cause => this.#room.tellFull(messageOf(cause)),
      awaitRoom: onRoom => this.#room.awaitRoom(onRoom),
      stopWaiting: () => this.#room.stopWaiting(),
      troubleOf: cause => this.#troubleOf(cause),
      die: cause => this.#onBroken(cause),
    })
  }

  /** Opens the store, or begins to wait for one. Throws LogRefused, and then holds nothing any more. */
  async open(): Promise<LogStatusReport> {
    const { path } = this.#options
    try {
      refuseMemberFaults(this.#options)
      const doubt = needsVerify(path)
      if (doubt !== null) throw new LogRefused(doubtRefusal(doubt, this.#options))
      this.#waiting.start()
      // Nobody is spoken to before this member knows who it is.
      if (isFormatted(path)) await this.#stores.open()
      await this.#peers?.start()
      if (this.#opened === null && this.#closedAs === null) await this.#openEmpty()
      return this.report()
    } catch (cause) {
      await this.stop()
      if (cause instanceof StoreFull) {
        throw new LogRefused(`The log at ${path} cannot be opened: ${cause.message}. Free some space there`)
      }
      if (!isFailedDisk(cause)) throw cause
      const doubt = { kind: 'disk', reason: cause.message } as const
      markNeedsVerify(path, doubt)
      throw new LogRefused(
        `The log at ${path} cannot be opened: ${cause.message}. ${doubtRemedy(doubt, this.#options)}`,
      )
    }
  }

  append(requests: readonly AppendRequest[]): void {
    this.#gate.append(requests)
  }

  readRows(cursor: RowCursor | null, rowsMax: number): RowPage {
    if (this.#opened === null) throw new LogRefused(`The log is ${this.report().status}: it has no rows yet`)
    return this.#opened.readRows(cursor, rowsMax)
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
    const detail = this.#views.last.leader === null ? 'nobody is known to lead' : 'this node does not lead'
    const waits = this.#waiting.what()
    const remedy = waits === null ? 'see who leads with `daybreak cluster status`' : `its log waits for ${waits}`
    return { type: 'refused', why: 'notLeader', detail, remedy }
  }

  /** For the inspector; empty while nothing is open. */
  actors(): readonly ActorReport[] {
    return this.#opened?.system.inspection.actors() ?? []
  }

  report(): LogStatusReport {
    const opened = this.#opened
    return reportOf({
      options: this.#options,
      views: this.#views,
      room: this.#room,
      waiting: this.#waiting,
      peers: this.#peers,
      opened,
      meta: opened?.meta ?? this.#closedAs,
    })
  }

  /** A leader first hands over to the member that holds most, so that the others need not wait for its lease to end. */
  async stop(): Promise<void> {
    this.#stopped = true
    if (this.#emptyCheck !== null) clearInterval(this.#emptyCheck)
    this.#waiting.stop()
    await this.#stores.stop()
    this.#room.stop()
    await this.#peers?.stop()
    await this.#lock?.release()
    this.#lock = null
  }

  async #openEmpty(): Promise<void> {
    this.#emptyCheck = setInterval(() => {
      if (!isFormatted(this.#options.path)) return
      clearInterval(this.#emptyCheck!)
      this.#stores.open().catch(cause => this.#onBroken(cause))
    }, EMPTY_CHECK_MS).unref()
    await this.#considerFormat()
  }

  async #considerFormat(): Promise<void> {
    const step = nextWithoutLog(this.#options, this.#peers)
    if (step.type === 'wait') return this.#waiting.waitFor(step.waitingFor)
    if (step.type !== 'format') return
    this.#mayFormat = true
    await this.#stores.open()
  }

  /** A peer has come, gone or changed. */
  #lookAround(): void {
    if (this.#stopped) return
    const meta = this.#opened?.meta
    if (meta?.status === 'STARTING') this.#start(meta)
    else if (meta === undefined && !this.#room.isClosed && !isFormatted(this.#options.path)) {
      this.#considerFormat().catch(cause => this.#onBroken(cause))
    } else this.#waiting.lookSoon()
    this.#views.lookForUrl()
  }

  async #open(): Promise<void> {
    const { path, clusterId } = this.#options
    this.#lock ??= await lockFolder(path)
    // Somebody may have been quicker before the lock was ours.
    if (this.#mayFormat && !isFormatted(path)) await formatLog(this.#options, clusterId ?? drawClusterId())
    this.#mayFormat = false
    this.#room.watch()
    const stores = await openStores(this.#options, this.#ports)
    const { meta } = stores.store.restored
    this.#opened = this.#spawn(stores)
    this.#closedAs = null
    this.#waiting.over()
    this.#peers?.remember(path)
    this.#peers?.tellPresence()
    this.#room.opened()
    if (meta.status === 'VOTING') this.#ready()
    else this.#start(meta)
  }

  #spawn(stores: OpenedStores): OpenLog {
    const { metrics, emit, transport = this.#peers?.transport ?? noPeers } = this.#ports
    const system = this.#ports.makeSystem((error, path) =>
      this.#die(EXIT.bug, `${path}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`),
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
      onFailStop: reason => this.#endInDoubt({ kind: 'agreement', reason }),
    })
  }

  #start(meta: LogMeta): void {
    const step = nextWhenFormatted(meta, this.#options, this.#peers)
    if (step.type === 'admit') this.#opened?.actors.replica.tell({ type: 'admitted', descriptor: step.descriptor })
    else if (step.type === 'wait') this.#waiting.waitFor(step.waitingFor)
  }

  #ready(): void {
    this.#waiting.over()
    this.#peers?.tellPresence()
    const { descriptor } = this.#opened?.meta ?? {}
    const voterCount = descriptor?.members.filter(member => member.role === 'VOTER').length ?? 1
    this.#opened?.actors.election.tell({ type: 'ready', voterCount })
  }

  /** A follower's feed: entries of other leaders. The own appends are told by their results. */
  #onApplied(entries: readonly Entry[]): void {
    for (const entry of entries) if (entry.type === 'LEADER') this.#transfer.took(entry.ballot)
    const { role, ballot } = this.#views.last
    if (role === 'LEADER' || this.#options.members.length === 1) return
    const others = entries.filter(entry => ballot === null || !sameBallot(entry.ballot, ballot) || role === 'FOLLOWER')
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
    this.#mending = null
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
    if (!this.#stopped) this.#views.nobody()
  }

  #onStoreTrouble(cause: unknown): void {
    if (cause instanceof StoreFull) return this.#stores.tell({ type: 'diskFull', cause })
    // The opening reads everything, and has what others hold mended.
    if (cause instanceof DamagedRecord && this.#peers !== null) return this.#stores.tell({ type: 'outdated' })
    if (cause instanceof DamagedRecord && this.#stopped) return
    // A planned stop writes too: what failed then is in doubt all the same.
    this.#endInDoubt({ kind: cause instanceof RowsDiverged ? 'rows' : 'disk', reason: messageOf(cause) })
  }

  /** Of an opening or a closing. */
  async #troubleOf(cause: unknown): Promise<{ readonly why: OpeningTrouble; readonly cause: unknown }> {
    if (cause instanceof LogLacks && this.#peers !== null) return { why: 'lacks', cause }
    const what = this.#closedAs === null ? 'opening it' : 'opening the log again'
    const trouble = await storeTrouble(cause, this.#options.path, what)
    if (trouble instanceof StoreFull) return { why: 'full', cause: trouble }
    return { why: 'broken', cause: isFailedDisk(trouble) ? trouble : cause }
  }

  #onBroken(cause: unknown): void {
    if (isFailedDisk(cause)) this.#endInDoubt({ kind: 'disk', reason: cause.message })
    else this.#die(EXIT.store, messageOf(cause))
  }

  /** The next start must not go on as if nothing had been: its operator decides. */
  #endInDoubt(doubt: Doubt): void {
    try {
      markNeedsVerify(this.#options.path, doubt)
    } finally {
      this.#die(EXIT.store, `${doubt.reason}. ${doubtRemedy(doubt, this.#options)}`)
    }
  }

  #die(status: number, reason: string): void {
    if (this.#stopped) return
    this.#stopped = true
    this.#stores.tell({ type: 'halt' })
    this.#lease.publish(null)
    this.#ports.log.error('log-died', { reason })
    this.#ports.emit({ type: 'death', status, reason })
  }
}

function isFailedDisk(cause: unknown): cause is StoreFailed {
  return cause instanceof StoreFailed && isDiskFailure(cause)
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause)
}
