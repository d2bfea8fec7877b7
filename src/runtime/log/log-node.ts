/**
 * The log of one node, put together: folder, lock, stores, and the three actors over them. It knows how a log is opened
 * and why one is refused, how an empty one waits, and what happens when the disk is full (the actors end, the ballast
 * goes, and all opens again once there is room) or fails (the process ends). Runs in the log thread; tests also run it
 * in their own. Everything it has to tell goes through `emit`, in order.
 */
import type { ActorReport, ActorSystem } from '../../actors/actor.ts'
import { type LogActors, spawnLog } from '../../actors/log-actors.ts'
import { DamagedRecord, type LogTransport, noPeers, StoreFull } from '../../actors/log-ports.ts'
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
import { NO_BALLOT, sameBallot } from '../../core/log/ballot.ts'
import type { AppendRequest } from '../../core/log/coordinator-core.ts'
import { quorumOf } from '../../core/log/descriptor.ts'
import type { ElectionView } from '../../core/log/election-core.ts'
import type { Entry } from '../../core/log/entry.ts'
import { leaseLeftMs } from '../../core/log/lease.ts'
import { LOG_LIMITS, type LogLimits } from '../../core/log/limits.ts'
import type { LogMeta } from '../../core/log/meta.ts'
import { readRangeFault } from '../../core/log/read-range.ts'
import type { SnapshotHeader } from '../../core/log/snapshot.ts'
import { checkTiming, LOG_TIMING, type LogTiming } from '../../core/log/timing.ts'
import { realClock } from '../clock.ts'
import { EXIT } from '../exit.ts'
import { DiskSpace, mebibytes, type SpaceReading } from './disk-space.ts'
import { nextWhenFormatted, nextWithoutLog, seenBy } from './first-start.ts'
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
import { type LogNodeOptions, SPACE_LIMITS, type SpaceLimits } from './log-options.ts'
import { LogLacks, LogRefused } from './log-refused.ts'
import { Mender, mend } from './mender.ts'
import { Peers } from './peers.ts'
import { RowReading } from './row-reading.ts'
import { lockFolder, type StoreLock } from './store-lock.ts'
import { WAITING_LINE_MS, WaitingVoice } from './waiting-voice.ts'

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
/** How long a stopping leader waits until it has let go. */
const HAND_OVER_MS_MAX = 300
/** How long a successor may take until it serves, beside the two leases that an election may need. */
const TAKE_OVER_MS_MAX = 3_000
const SOFTWARE = '0.1.0'

interface Opened extends LogActors, OpenedStores {
  readonly system: ActorSystem
}

export class LogNode {
  readonly #options: LogNodeOptions
  readonly #ports: LogNodePorts
  readonly #timing: LogTiming
  readonly #limits: LogLimits
  readonly #spaceLimits: SpaceLimits
  readonly #peers: Peers | null
  readonly #lease: LeaseMemory
  readonly #transfer: LeadershipTransfer
  readonly #reading = new RowReading()
  #space: DiskSpace | null = null
  #lock: StoreLock | null = null
  #opened: Opened | null = null
  #view: LeaderView = { version: 0, role: 'NONE', ballot: null, leader: null }
  #leaderSinceMs = 0
  #waitingFor: string | null = null
  #trouble: string | null = null
  #openingRefused = 0
  #opening: Promise<void> | null = null
  /** What the store held when it was closed, for want of room or of records: this member is still the one it was. */
  #closedAs: LogMeta | null = null
  readonly #voice = new WaitingVoice(
    () => this.#waiting(),
    text => this.#say(text),
  )
  #onLetGo: (() => void) | null = null
  #mender: Mender | null = null
  #mending: Promise<void> = Promise.resolve()
  #timers: NodeJS.Timeout[] = []
  #stopped = false

  constructor(options: LogNodeOptions, ports: LogNodePorts) {
    this.#options = options
    this.#ports = ports
    this.#timing = { ...LOG_TIMING, ...options.timing }
    this.#limits = { ...LOG_LIMITS, ...options.limits }
    this.#spaceLimits = { ...SPACE_LIMITS, ...options.space }
    checkTiming(this.#timing)
    this.#lease = ports.lease ?? new LeaseMemory()
    const { peer, members } = options
    this.#transfer = new LeadershipTransfer({
      memberId: options.memberId,
      tell: to => this.#opened?.coordinator.tell({ type: 'transfer', to }) ?? false,
      takeOverMsMax: 2 * this.#timing.leaseMs + TAKE_OVER_MS_MAX,
    })
    const { log, metrics, transport } = ports
    this.#peers =
      peer === undefined || transport !== undefined || members.length === 1
        ? null
        : new Peers(options, peer, {
            log,
            metrics,
            durable: () => this.#opened?.core().durable ?? this.#closedAs,
            commit: () => this.#opened?.core().meta.commit ?? 0,
            onChange: () => this.#lookAround(),
          })
  }

  /** Opens the store, or begins to wait for one. Throws LogRefused, and then holds nothing any more. */
  async open(): Promise<LogStatusReport> {
    try {
      return await this.#open()
    } catch (cause) {
      await this.stop()
      const { path } = this.#options
      const trouble = await storeTrouble(cause, path, 'opening it')
      if (trouble instanceof StoreFull) {
        throw new LogRefused(`The log at ${path} cannot be opened: ${trouble.message}. Free some space there`)
      }
      if (!isDiskFailure(trouble)) throw cause
      markNeedsVerify(path, trouble.message)
      throw new LogRefused(`The log at ${path} cannot be opened: ${trouble.message}. ${this.#verifyAdvice()}`)
    }
  }

  async #open(): Promise<LogStatusReport> {
    refuseMemberFaults(this.#options)
    const { path } = this.#options
    const doubt = needsVerify(path)
    if (doubt !== null) {
      throw new LogRefused(
        `The log at ${path} ended with a disk failure (${doubt}), so what is read from it may not be what was written. ` +
          this.#verifyAdvice(),
      )
    }
    this.#every(WAITING_LINE_MS, () => this.#voice.speak())
    if (this.#peers !== null) this.#voice.holdBack()
    // Nobody is spoken to before this member knows who it is.
    if (isFormatted(path)) await this.#openStore()
    await this.#peers?.start()
    if (this.#opened === null && this.#closedAs === null) await this.#openEmpty()
    return this.report()
  }

  #verifyAdvice(): string {
    return `Check the disk, then run \`daybreak log verify ${this.#options.configFile} --accept\``
  }

  append(requests: readonly AppendRequest[]): void {
    const refuse = (refused: readonly AppendRequest[], outcome: AppendResult): void => {
      if (refused.length > 0) this.#ports.emit({ type: 'results', results: refused.map(({ id }) => ({ id, outcome })) })
    }
    // What builds on an append that never reached the coordinator must not reach it either.
    const isLate = ({ basis }: AppendRequest): boolean => basis !== undefined && basis.opening <= this.#openingRefused
    refuse(requests.filter(isLate), { type: 'notLeader' })
    const fresh = requests.filter(request => !isLate(request))
    if (this.#opened?.coordinator.tell({ type: 'append', requests: fresh })) return
    for (const { basis } of fresh) this.#openingRefused = Math.max(this.#openingRefused, basis?.opening ?? 0)
    refuse(fresh, { type: this.#opened === null ? 'notLeader' : 'busy' })
  }

  readRows(cursor: RowCursor | null, rowsMax: number): RowPage {
    if (this.#opened === null) throw new LogRefused(`The log is ${this.report().status}: it has no rows yet`)
    return this.#opened.state.readRows(cursor, rowsMax)
  }

  /** A reading of the row tables, if they stand for that position; see `RowReading`. */
  beginReading(positionMin: number): SnapshotHeader | null {
    const opened = this.#opened
    if (opened === null || opened.state.resumeFrom - 1 < positionMin) return null
    const header = this.#reading.begin(opened.state)
    return header.position < positionMin ? null : header
  }

  get reading(): Pick<RowReading, 'page' | 'end'> {
    return this.#reading
  }

  read(from: number, to: number): readonly LogEntryView[] {
    const opened = this.#opened
    const fault = readRangeFault(from, to, opened?.core().meta ?? { begin: 1, commit: 0 })
    if (fault !== null || opened === null) throw namedError('LogReadError', fault ?? 'PAST_COMMIT: the log is empty')
    try {
      return opened.store.read(from, to, to - from + 1).map(viewOf)
    } catch (cause) {
      throw namedError('LogReadError', `DAMAGED: ${(cause as Error).message}`)
    }
  }

  get lease(): LeaseView {
    return this.#lease
  }

  /** Hands leadership over, to that member or to whoever holds most; settles when another leads, or why none does. */
  async transfer(to: number | null): Promise<TransferOutcome> {
    if (this.#view.role === 'LEADER') return this.#transfer.ask(to)
    const detail = this.#view.leader === null ? 'nobody is known to lead' : 'this node does not lead'
    const waits = this.#waiting()
    const remedy = waits === null ? 'see who leads with `daybreak cluster status`' : `its log waits for ${waits}`
    return { type: 'refused', why: 'notLeader', detail, remedy }
  }

  /** For the inspector; empty while nothing is open. */
  actors(): readonly ActorReport[] {
    return this.#opened?.system.inspection.actors() ?? []
  }

  report(): LogStatusReport {
    const meta = this.#opened?.core().meta ?? this.#closedAs
    const options = this.#options
    const members = meta?.descriptor?.members ?? meta?.genesisMembers ?? options.members
    return {
      status: meta?.status ?? 'EMPTY',
      view: this.#view,
      leaderSinceMs: this.#view.leader === null ? null : this.#leaderSinceMs,
      leaseLeftMs: this.#leaseLeftMs(),
      clusterId: meta?.clusterId ?? options.clusterId,
      memberId: options.memberId,
      members: members.map(({ memberId, name, address }) => ({ memberId, name, address })),
      quorum: quorumOf(members.length),
      promised: meta?.promised ?? NO_BALLOT,
      begin: meta === null || meta.end === 0 ? 0 : meta.begin,
      end: meta?.end ?? 0,
      commit: meta?.commit ?? 0,
      applied: this.#opened?.state.applied ?? 0,
      bootCounter: meta?.bootCounter ?? 0,
      path: options.path,
      diskFreeBytes: this.#space?.read().freeBytes ?? 0,
      waitingFor: this.#waiting(),
      notWritable: this.#notWritable(),
      peers: this.#peers?.report(this.#view.role === 'LEADER') ?? [],
    }
  }

  /** A leader first hands over to the member that holds most, so that the others need not wait for its lease to end. */
  async stop(): Promise<void> {
    if (!this.#stopped) await this.#letGo()
    this.#stopped = true
    this.#mender?.stop()
    await this.#mending
    await this.#opening
    for (const timer of this.#timers) clearInterval(timer)
    this.#voice.stop()
    this.#space?.stop()
    await this.#peers?.stop()
    await this.#close()
    await this.#lock?.release()
    this.#lock = null
  }

  #letGo(): Promise<void> {
    if (this.#peers === null || this.#view.role !== 'LEADER') return Promise.resolve()
    return new Promise(resolve => {
      const late = setTimeout(resolve, HAND_OVER_MS_MAX)
      this.#onLetGo = () => {
        clearTimeout(late)
        resolve()
      }
      this.#opened?.coordinator.tell({ type: 'handOver' })
    })
  }

  async #openEmpty(): Promise<void> {
    const { path } = this.#options
    const poll = this.#every(EMPTY_CHECK_MS, () => {
      // Not `#opened`: that is null again while the disk is full.
      if (this.#space !== null) clearInterval(poll)
      else if (isFormatted(path)) this.#openSoon(() => this.#openStore())
    })
    await this.#considerFormat()
  }

  async #considerFormat(): Promise<void> {
    const { path, clusterId } = this.#options
    const step = nextWithoutLog(this.#options, this.#peers)
    if (step.type === 'wait') return this.#wait(step.waitingFor)
    if (step.type !== 'format') return
    this.#lock ??= await lockFolder(path)
    // Somebody may have been quicker before the lock was ours.
    if (!isFormatted(path)) await formatLog(this.#options, clusterId ?? drawClusterId())
    return this.#openStore()
  }

  /** One at a time: what made a first attempt needless is seen by the next look. */
  #openSoon(run: () => Promise<void>): void {
    if (this.#opening !== null || this.#stopped) return
    this.#opening = run()
      .catch(cause => this.#die(EXIT.store, messageOf(cause)))
      .finally(() => {
        this.#opening = null
      })
  }

  /** A peer has come, gone or changed. */
  #lookAround(): void {
    if (this.#stopped) return
    const meta = this.#opened?.core().meta
    if (meta?.status === 'STARTING') this.#start(meta)
    else if (meta === undefined && this.#trouble === null && !isFormatted(this.#options.path)) {
      this.#openSoon(() => this.#considerFormat())
    } else this.#voice.speakSoon()
    const { leader } = this.#view
    if (leader === null) return
    const httpUrl = this.#httpUrlOf(leader.memberId)
    if (httpUrl !== leader.httpUrl && httpUrl !== '') {
      this.#show({ ...this.#view, version: this.#view.version + 1, leader: { ...leader, httpUrl } })
    }
  }

  async #openStore(): Promise<void> {
    try {
      await this.#openStores()
    } catch (cause) {
      if (this.#peers === null || !(cause instanceof LogLacks)) throw cause
      this.#mending = this.#mend(this.#peers, cause).catch(trouble => this.#onReopenFailed(trouble))
    }
  }

  async #openStores(): Promise<void> {
    const { path } = this.#options
    this.#lock ??= await lockFolder(path)
    this.#space ??= this.#watchSpace()
    const stores = await openStores(this.#options, this.#ports)
    const { meta } = stores.store.restored
    this.#opened = { ...stores, ...this.#spawn(stores) }
    this.#closedAs = null
    this.#warnOfSpace(this.#space.check())
    this.#waitingFor = null
    this.#peers?.remember(path)
    this.#peers?.tellPresence()
    if (meta.status === 'VOTING') this.#ready()
    else this.#start(meta)
    void this.#space.makeBallast().catch(cause => this.#ports.log.warn('log-ballast', { cause: messageOf(cause) }))
  }

  /** What this disk has lost is had from the others; until then this member takes no part. */
  async #mend(peers: Peers, lacks: LogLacks): Promise<void> {
    const { path, memberId, members } = this.#options
    const { log, metrics } = this.#ports
    const meta = lacks.meta!
    const what = lacks.positions === null ? 'row tables' : `${lacks.positions.length} records`
    const others = members.map(member => member.memberId).filter(id => id !== memberId)
    this.#closedAs = { ...meta, status: 'RECOVERING' }
    this.#wait(`${what} that this disk has lost, from any of members ${others.join(', ')}: ${lacks.message}`)
    peers.tellPresence()
    const self = { memberId, incarnation: meta.incarnation }
    const mender = new Mender({ self, others, transport: peers.transport })
    this.#mender = mender
    log.error('log-damaged', { because: lacks.message, lost: what })
    metrics.count('log_records_corrupt', lacks.positions?.length ?? 0)
    const isMended = await mend(mender, path, lacks.positions, meta)
    this.#mender = null
    if (!isMended || this.#stopped) return
    log.warn('log-mended', { lost: what })
    this.#waitingFor = null
    await this.#openStore()
  }

  #start(meta: LogMeta): void {
    const step = nextWhenFormatted(meta, this.#options, this.#peers)
    if (step.type === 'admit') this.#opened?.replica.tell({ type: 'admitted', descriptor: step.descriptor })
    else if (step.type === 'wait') this.#wait(step.waitingFor)
  }

  #spawn({ store, state }: OpenedStores): LogActors & { readonly system: ActorSystem } {
    const { metrics, emit, transport = this.#peers?.transport ?? noPeers } = this.#ports
    const system = this.#ports.makeSystem((error, path) =>
      this.#die(EXIT.bug, `${path}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`),
    )
    const actors = spawnLog({
      system,
      memberId: this.#options.memberId,
      software: SOFTWARE,
      store,
      state,
      transport,
      timing: this.#timing,
      limits: this.#limits,
      metrics,
      onView: view => this.#onView(view),
      onVoting: () => this.#ready(),
      onResults: results => emit({ type: 'results', results }),
      onLease: lease => this.#lease.publish(lease),
      onTransfer: answer => this.#transfer.answered(answer),
      onApplied: entries => this.#onApplied(entries),
      onInstall: () => this.#openSoon(() => this.#reopen()),
      onStoreTrouble: cause => this.#onStoreTrouble(cause),
      onFailStop: reason => this.#die(EXIT.store, reason),
    })
    return { system, ...actors }
  }

  #ready(): void {
    this.#waitingFor = null
    this.#peers?.tellPresence()
    const meta = this.#opened?.core().meta
    const voterCount = meta?.descriptor?.members.filter(member => member.role === 'VOTER').length ?? 1
    this.#opened?.election.tell({ type: 'ready', voterCount })
  }

  #onView({ role, ballot, leaderId }: ElectionView): void {
    const leader = leaderId === null ? null : { memberId: leaderId, httpUrl: this.#httpUrlOf(leaderId) }
    this.#show({ version: this.#view.version + 1, role, ballot, leader })
  }

  #show(view: LeaderView): void {
    const isNewReign = view.ballot === null || !sameBallot(view.ballot, this.#view.ballot ?? NO_BALLOT)
    if (isNewReign) this.#leaderSinceMs = Date.now()
    this.#view = view
    if (view.role !== 'LEADER') this.#onLetGo?.()
    this.#ports.emit({ type: 'view', view, report: this.report() })
  }

  /** Of peers it is known from their handshake. */
  #httpUrlOf(memberId: number): string {
    return memberId === this.#options.memberId ? this.#options.httpUrl : (this.#peers?.httpUrlOf(memberId) ?? '')
  }

  /** A follower's feed: entries of other leaders. The own appends are told by their results. */
  #onApplied(entries: readonly Entry[]): void {
    for (const entry of entries) if (entry.type === 'LEADER') this.#transfer.took(entry.ballot)
    const { role, ballot } = this.#view
    if (role === 'LEADER' || this.#options.members.length === 1) return
    const others = entries.filter(entry => ballot === null || !sameBallot(entry.ballot, ballot) || role === 'FOLLOWER')
    if (others.length > 0) this.#ports.emit({ type: 'committed', entries: others.map(viewOf) })
  }

  #watchSpace(): DiskSpace {
    const onLook = (reading: SpaceReading, hasTurned: boolean): void => {
      this.#tellSpace(reading)
      if (!hasTurned) return
      this.#warnOfSpace(reading)
      this.#ports.emit({ type: 'writable', reason: this.#notWritable() })
    }
    const space = new DiskSpace(this.#options.path, this.#spaceLimits, onLook, this.#ports.freeBytesOf)
    space.watch()
    return space
  }

  #warnOfSpace({ full, low, freeBytes }: SpaceReading): void {
    if (full || low) this.#ports.log.warn('log-disk-space', { freeBytes, path: this.#options.path, refusing: full })
  }

  #tellSpace({ full, freeBytes }: SpaceReading): void {
    const { reserveBytes, checkEveryMs: lookMs } = this.#spaceLimits
    this.#ports.metrics.gauge('log_disk_free_bytes', freeBytes)
    this.#opened?.coordinator.tell({ type: 'space', full, freeBytes, reserveBytes, lookMs })
    this.#opened?.replica.tell({ type: 'space', full, freeBytes })
    this.#opened?.election.tell({ type: 'space', full })
  }

  /** With one voter there is nobody whose answer could be missed. */
  #leaseLeftMs(): number | null {
    const leader = this.#opened?.leader()
    if (!leader?.serving) return null
    const leftMs = leader.lease === null ? 0 : leaseLeftMs(leader.lease, realClock.read())
    return Number.isFinite(leftMs) ? Math.max(0, Math.round(leftMs)) : null
  }

  #notWritable(): string | null {
    if (this.#trouble !== null) return this.#trouble
    const reading = this.#space?.last
    if (!reading?.full) return null
    const { path } = this.#options
    const few = `only ${mebibytes(reading.freeBytes)} are free at ${path}`
    const refusal = `appends are refused below ${mebibytes(this.#spaceLimits.reserveBytes)}`
    const isStaying = this.#view.role === 'LEADER' && this.#options.members.length > 1
    const place = isStaying ? ', and leadership stays here as long as no other member, and a quorum, has room' : ''
    return `${few}${place}; ${refusal} (log.space.reserve): free some space`
  }

  #onStoreTrouble(cause: unknown): void {
    // A planned stop writes too: what failed then is in doubt all the same.
    if (cause instanceof StoreFull) return this.#stopped ? undefined : void this.#reopenWhenRoom(cause.message)
    if (cause instanceof DamagedRecord && (this.#stopped || this.#peers !== null)) {
      // The opening reads everything, and has what others hold mended.
      return this.#stopped ? undefined : this.#openSoon(() => this.#reopen())
    }
    const reason = messageOf(cause)
    try {
      markNeedsVerify(this.#options.path, reason)
    } finally {
      this.#die(EXIT.store, reason)
    }
  }

  /** Nothing of the write that met the full disk is there: memory is dropped and all begins anew from the store. */
  async #reopenWhenRoom(reason: string): Promise<void> {
    if (this.#trouble !== null) return
    this.#trouble = reason
    this.#ports.log.error('log-disk-full', { path: this.#options.path })
    await this.#letGo()
    await this.#close()
    this.#show({ version: this.#view.version + 1, role: 'NONE', ballot: null, leader: null })
    this.#ports.emit({ type: 'writable', reason })
    this.#space?.dropBallast()
    const poll = this.#every(this.#spaceLimits.checkEveryMs / 5, () => {
      if (this.#space?.check().full !== false) return
      clearInterval(poll)
      this.#trouble = null
      this.#openStore().then(
        () => this.#ports.emit({ type: 'writable', reason: this.#notWritable() }),
        problem => this.#onReopenFailed(problem),
      )
    })
  }

  /** Closes and opens again what is on disk: a snapshot takes effect so, the same way as after a crash. */
  async #reopen(): Promise<void> {
    await this.#close()
    if (this.#stopped) return
    this.#show({ version: this.#view.version + 1, role: 'NONE', ballot: null, leader: null })
    await this.#openStore().catch(problem => this.#onReopenFailed(problem))
  }

  /** Others may have been quicker to take the room, or it was not as much as it seemed. */
  async #onReopenFailed(problem: unknown): Promise<void> {
    const trouble = await storeTrouble(problem, this.#options.path, 'opening the log again')
    if (trouble instanceof StoreFull) await this.#reopenWhenRoom(trouble.message)
    else if (isDiskFailure(trouble)) this.#onStoreTrouble(trouble)
    else this.#die(EXIT.store, messageOf(problem))
  }

  async #close(): Promise<void> {
    const opened = this.#opened
    if (opened === null) return
    this.#reading.close()
    await opened.system.stop()
    this.#lease.publish(null)
    this.#transfer.closed()
    this.#closedAs = opened.core().durable
    this.#opened = null
    await opened.state.close()
    await opened.store.close()
  }

  #die(status: number, reason: string): void {
    if (this.#stopped) return
    this.#stopped = true
    this.#lease.publish(null)
    this.#ports.log.error('log-died', { reason })
    this.#ports.emit({ type: 'death', status, reason })
  }

  #wait(text: string): void {
    this.#waitingFor = text
    this.#voice.speak()
  }

  /** What this node waits for and from whom: to begin, or for a quorum. */
  #waiting(): string | null {
    if (this.#waitingFor !== null || this.#opened === null || this.#view.leader !== null) return this.#waitingFor
    return this.#peers?.disksLost() ?? this.#peers?.quorumFault() ?? null
  }

  #say(text: string): void {
    if (text === this.#peers?.disksLost()) return this.#ports.log.error('log-disks-lost', { waitingFor: text })
    if (this.#opened !== null || this.#closedAs !== null) {
      return this.#ports.log.warn('log-waits', { waitingFor: text })
    }
    const { configFile, memberId } = this.#options
    this.#ports.log.warn('Replica in EMPTY status received a broadcasted recover request', {
      waitingFor: text,
      // Never where it would make a second cluster of a disk that was lost.
      ...(this.#peers?.hasData ? {} : { run: `daybreak log initialize ${configFile}` }),
      seen: [
        `member ${memberId} (this node)`,
        ...seenBy(this.#peers).map(member => `member ${member.memberId} ${member.status}`),
      ],
    })
  }

  #every(ms: number, run: () => void): NodeJS.Timeout {
    const timer = setInterval(run, ms)
    timer.unref()
    this.#timers.push(timer)
    return timer
  }
}

function viewOf({ position, ballot, type, payload }: Entry): LogEntryView {
  return { position, ballot, type, payload }
}

/** An error that keeps its name across threads, where classes do not survive. */
function namedError(name: string, message: string): Error {
  const error = new Error(message)
  error.name = name
  return error
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause)
}
