/**
 * The log of one node, put together: folder, lock, stores, and the three actors over them. It knows how a log is opened
 * and why one is refused, how an empty one waits, and what happens when the disk is full (the actors end, the ballast
 * goes, and all opens again once there is room) or fails (the process ends). Runs in the log thread; tests also run it
 * in their own. Everything it has to tell goes through `emit`, in order.
 */
import type { ActorReport, ActorSystem, Ref } from '../../actors/actor.ts'
import { coordinatorSpec } from '../../actors/coordinator.ts'
import { leaderElectionSpec } from '../../actors/leader-election.ts'
import { type LogStore, type LogTransport, noPeers, StoreFull } from '../../actors/log-ports.ts'
import type {
  AppendResult,
  LeaderView,
  LogEntryView,
  Logger,
  LogStatusReport,
  Metrics,
  RowCursor,
  RowPage,
} from '../../actors/ports.ts'
import { type ReplicaCommand, replicaSpec } from '../../actors/replica.ts'
import { NO_BALLOT, sameBallot } from '../../core/log/ballot.ts'
import type { AppendRequest, CoordinatorCore, CoordinatorMessage } from '../../core/log/coordinator-core.ts'
import { descriptorConflict, quorumOf } from '../../core/log/descriptor.ts'
import type { ElectionMessage, ElectionView } from '../../core/log/election-core.ts'
import type { Entry } from '../../core/log/entry.ts'
import type { LogMeta } from '../../core/log/meta.ts'
import { readRangeFault } from '../../core/log/read-range.ts'
import type { ReplicaCore } from '../../core/log/replica-core.ts'
import { type SeenMember, stepEmpty, stepStarting } from '../../core/log/start-up.ts'
import { checkTiming, LOG_TIMING, type LogTiming } from '../../core/log/timing.ts'
import { EXIT } from '../exit.ts'
import { DiskSpace, mebibytes, type SpaceReading } from './disk-space.ts'
import { type OpenLogOptions, openLogStore } from './lmdb-log-store.ts'
import { type LmdbStateStore, openStateStore } from './lmdb-state-store.ts'
import { isDiskFailure, storeTrouble } from './lmdb-trouble.ts'
import {
  drawClusterId,
  formatLog,
  genesisHashOf,
  isFormatted,
  markNeedsVerify,
  needsVerify,
  refuseMemberFaults,
  stateFolder,
  storeFolder,
} from './log-folder.ts'
import { type LogNodeOptions, SPACE_LIMITS, type SpaceLimits } from './log-options.ts'
import { LogRefused } from './log-refused.ts'
import { Peers } from './peers.ts'
import { lockFolder, type StoreLock } from './store-lock.ts'

export type LogEvent =
  | { readonly type: 'results'; readonly results: readonly { readonly id: number; readonly outcome: AppendResult }[] }
  | { readonly type: 'view'; readonly view: LeaderView; readonly report: LogStatusReport }
  | { readonly type: 'committed'; readonly entries: readonly LogEntryView[] }
  | { readonly type: 'writable'; readonly reason: string | null }
  /** The process must end with this status. */
  | { readonly type: 'death'; readonly status: number; readonly reason: string }

export interface LogNodePorts {
  readonly log: Logger
  readonly metrics: Metrics
  readonly emit: (event: LogEvent) => void
  /** Makes the actor system of one opening; a new one after the disk was full. */
  readonly makeSystem: (onEndProcess: (error: unknown, path: string) => void) => ActorSystem
  /** Default: WebSockets to the other members, if there are any and the options say where to listen. */
  readonly transport?: LogTransport
  /** Default: the LMDB store, and the file system's word. Tests hand in disks that fail and fill up. */
  readonly openStore?: (folder: string, options: OpenLogOptions) => Promise<LogStore>
  readonly freeBytesOf?: (folder: string) => number
}

/** How often an EMPTY node looks whether somebody has initialized its log. */
const EMPTY_CHECK_MS = 1_000
/** A stuck node says what it waits for, once in this time, and when it changes, though not more often than this. */
const WAITING_LINE_MS = 60_000
const WAITING_CHANGE_MS = 5_000
/** How long a stopping leader waits until it has let go. */
const HAND_OVER_MS_MAX = 300
const SOFTWARE = '0.1.0'

interface Opened {
  readonly store: LogStore
  readonly state: LmdbStateStore
  readonly system: ActorSystem
  readonly core: () => Pick<ReplicaCore, 'meta' | 'durable'>
  readonly leader: () => CoordinatorCore | null
  readonly replica: Ref<ReplicaCommand>
  readonly coordinator: Ref<CoordinatorMessage>
  readonly election: Ref<ElectionMessage>
}

export class LogNode {
  readonly #options: LogNodeOptions
  readonly #ports: LogNodePorts
  readonly #timing: LogTiming
  readonly #limits: SpaceLimits
  readonly #peers: Peers | null
  #space: DiskSpace | null = null
  #lock: StoreLock | null = null
  #opened: Opened | null = null
  #view: LeaderView = { version: 0, role: 'NONE', ballot: null, leader: null }
  #leaderSinceMs = 0
  #waitingFor: string | null = null
  #trouble: string | null = null
  #openingRefused = 0
  #opening: Promise<void> | null = null
  /** What the store held when it was closed for want of room: this member is still the one it was. */
  #closedAs: LogMeta | null = null
  #said: { readonly text: string; readonly atMs: number } | null = null
  #sayLater: NodeJS.Timeout | null = null
  #onLetGo: (() => void) | null = null
  #timers: NodeJS.Timeout[] = []
  #stopped = false

  constructor(options: LogNodeOptions, ports: LogNodePorts) {
    this.#options = options
    this.#ports = ports
    this.#timing = { ...LOG_TIMING, ...options.timing }
    this.#limits = { ...SPACE_LIMITS, ...options.space }
    checkTiming(this.#timing)
    const { peer, members } = options
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
    this.#every(WAITING_LINE_MS, () => this.#sayWaiting())
    // With others about to be reached, the first words would soon be wrong.
    if (this.#peers !== null) this.#said = { text: '', atMs: performance.now() }
    // Nobody is spoken to before this member knows who it is.
    if (isFormatted(path)) await this.#openStore()
    await this.#peers?.start()
    if (this.#opened === null) await this.#openEmpty()
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

  /** For the inspector; empty while nothing is open. */
  actors(): readonly ActorReport[] {
    return this.#opened?.system.inspection.actors() ?? []
  }

  report(): LogStatusReport {
    const meta = this.#opened?.core().meta ?? null
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
    if (!this.#stopped && this.#peers !== null && this.#view.role === 'LEADER') await this.#handOver()
    this.#stopped = true
    for (const timer of this.#timers) clearInterval(timer)
    if (this.#sayLater !== null) clearTimeout(this.#sayLater)
    this.#space?.stop()
    await this.#peers?.stop()
    await this.#close()
    await this.#lock?.release()
    this.#lock = null
  }

  #handOver(): Promise<void> {
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

  /** EMPTY: formats when the config allows it and all members have shown that nothing exists yet. */
  async #considerFormat(): Promise<void> {
    const { path, clusterId, members, memberId } = this.#options
    const genesisHash = genesisHashOf(clusterId ?? '', members)
    const self: SeenMember = { memberId, status: 'EMPTY', genesisHash, incarnation: null, end: 0 }
    const step = stepEmpty({ ...this.#facts(genesisHash, clusterId ?? ''), seen: [self, ...this.#seen()] })
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
    } else this.#sayWaitingIn(WAITING_CHANGE_MS)
    const { leader } = this.#view
    if (leader === null) return
    const httpUrl = this.#httpUrlOf(leader.memberId)
    if (httpUrl !== leader.httpUrl && httpUrl !== '') {
      this.#show({ ...this.#view, version: this.#view.version + 1, leader: { ...leader, httpUrl } })
    }
  }

  #seen(): readonly SeenMember[] {
    return this.#peers?.seen() ?? []
  }

  async #openStore(): Promise<void> {
    const { path, flushMsMax } = this.#options
    this.#lock ??= await lockFolder(path)
    this.#space ??= this.#watchSpace()
    const { openStore = openLogStore } = this.#ports
    const refuseForeign = (meta: LogMeta): void => this.#refuseForeign(meta)
    const store = await openStore(storeFolder(path), { flushMsMax, refuseForeign })
    const { meta } = store.restored
    try {
      const state = await openStateStore(stateFolder(path), meta, meta, because =>
        this.#ports.log.warn('log-rows-remade', { path: stateFolder(path), because }),
      )
      this.#opened = this.#spawn(store, state)
    } catch (cause) {
      await store.close()
      throw cause
    }
    this.#tellSpace(this.#space.check())
    this.#waitingFor = null
    this.#peers?.remember(path)
    this.#peers?.tellPresence()
    if (meta.status === 'VOTING') this.#ready()
    else this.#start(meta)
    void this.#space.makeBallast().catch(cause => this.#ports.log.warn('log-ballast', { cause: messageOf(cause) }))
  }

  #refuseForeign(meta: LogMeta): void {
    const { path, memberId, clusterId, members } = this.#options
    if (meta.memberId !== memberId) {
      throw new LogRefused(`The log at ${path} is that of member ${meta.memberId}, the config is that of ${memberId}`)
    }
    const stored = {
      clusterId: meta.clusterId,
      configVersion: meta.descriptor?.configVersion ?? 0,
      members: meta.descriptor?.members ?? meta.genesisMembers,
    }
    const conflict = descriptorConflict(stored, { clusterId, members })
    if (conflict !== null) throw new LogRefused(`The log at ${path} is not the one of this config: ${conflict}`)
  }

  /** STARTING: all listed members must have shown the same genesis, or one that votes must know this disk. */
  #start(meta: LogMeta): void {
    const { memberId, genesisHash, incarnation, end } = meta
    const self: SeenMember = { memberId, status: 'STARTING', genesisHash, incarnation, end }
    const step = stepStarting({
      ...this.#facts(genesisHash, meta.clusterId),
      seen: [self, ...this.#seen()],
      incarnation,
    })
    if (step.type === 'admit') this.#opened?.replica.tell({ type: 'admitted', descriptor: step.descriptor })
    else if (step.type === 'wait') this.#wait(step.waitingFor)
  }

  #facts(genesisHash: string, clusterId: string) {
    const { members, autoBootstrap, configFile } = this.#options
    const initializeCommand = `daybreak log initialize ${configFile}`
    const hasData = this.#peers?.hasData ?? false
    const trouble = this.#peers?.trouble() ?? new Map()
    return { clusterId, genesisHash, members, autoBootstrap, hasData, initializeCommand, trouble }
  }

  #spawn(store: LogStore, state: LmdbStateStore): Opened {
    const { memberId } = this.#options
    const { metrics, emit, transport = this.#peers?.transport ?? noPeers } = this.#ports
    const system = this.#ports.makeSystem((error, path) =>
      this.#die(EXIT.bug, `${path}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`),
    )
    const timing = this.#timing
    const onStoreTrouble = (cause: unknown): void => this.#onStoreTrouble(cause)
    let core: ReplicaCore | undefined
    let leader: CoordinatorCore | null = null
    const refs: { -readonly [K in 'replica' | 'coordinator' | 'election']?: Opened[K] } = {}
    const replica = (): Ref<ReplicaCommand> => refs.replica!
    const coordinator = (): Ref<CoordinatorMessage> => refs.coordinator!
    const election = (): Ref<ElectionMessage> => refs.election!
    refs.election = system.spawn(
      leaderElectionSpec({ memberId, timing, transport, replica, coordinator, onView: view => this.#onView(view) }),
    )
    refs.coordinator = system.spawn(
      coordinatorSpec({
        memberId,
        software: SOFTWARE,
        store,
        transport,
        timing,
        replica,
        election,
        onStoreTrouble,
        onResults: results => emit({ type: 'results', results }),
        onStarted: started => {
          leader = started
        },
      }),
    )
    refs.replica = system.spawn(
      replicaSpec({
        store,
        state,
        transport,
        timing,
        metrics,
        coordinator,
        election,
        onStoreTrouble,
        onVoting: () => this.#ready(),
        onFailStop: reason => this.#die(EXIT.store, reason),
        onApplied: entries => this.#onApplied(entries),
        onStarted: started => {
          core = started
        },
      }),
    )
    transport.onMessage = message => {
      if (message.type === 'prevote' || message.type === 'prepare' || message.type === 'accept') replica().tell(message)
      else if (message.type === 'prevoteReply' || message.type === 'release') election().tell(message)
      else coordinator().tell(message)
    }
    return {
      store,
      state,
      system,
      // Until the replica's first turn the store's own record is the truth, and reports may be asked for already.
      core: () => core ?? { meta: store.restored.meta, durable: store.restored.meta },
      leader: () => leader,
      replica: refs.replica,
      coordinator: refs.coordinator,
      election: refs.election,
    }
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
    const { role, ballot } = this.#view
    if (role === 'LEADER' || this.#options.members.length === 1) return
    const others = entries.filter(entry => ballot === null || !sameBallot(entry.ballot, ballot) || role === 'FOLLOWER')
    if (others.length > 0) this.#ports.emit({ type: 'committed', entries: others.map(viewOf) })
  }

  #watchSpace(): DiskSpace {
    const onChange = (reading: SpaceReading): void => {
      this.#tellSpace(reading)
      this.#ports.emit({ type: 'writable', reason: this.#notWritable() })
    }
    const space = new DiskSpace(this.#options.path, this.#limits, onChange, this.#ports.freeBytesOf)
    space.watch()
    return space
  }

  #tellSpace({ full, low, freeBytes }: SpaceReading): void {
    if (full || low) this.#ports.log.warn('log-disk-space', { freeBytes, path: this.#options.path, refusing: full })
    this.#ports.metrics.gauge('log_disk_free_bytes', freeBytes)
    this.#opened?.coordinator.tell({ type: 'space', full, freeBytes })
    this.#opened?.replica.tell({ type: 'space', full })
    this.#opened?.election.tell({ type: 'space', full })
  }

  /** With one voter there is nobody whose answer could be missed. */
  #leaseLeftMs(): number | null {
    const monoMs = performance.now()
    const untilMs = this.#opened?.leader()?.leaseUntilMonoMs({ wallMs: Date.now(), monoMs }) ?? Number.NaN
    return Number.isFinite(untilMs) ? Math.max(0, Math.round(untilMs - monoMs)) : null
  }

  #notWritable(): string | null {
    if (this.#trouble !== null) return this.#trouble
    const reading = this.#space?.last
    if (!reading?.full) return null
    const { path } = this.#options
    return `only ${mebibytes(reading.freeBytes)} are free at ${path}; appends are refused below ${mebibytes(this.#limits.reserveBytes)}`
  }

  #onStoreTrouble(cause: unknown): void {
    // A planned stop writes too: what failed then is in doubt all the same.
    if (cause instanceof StoreFull) return this.#stopped ? undefined : void this.#reopenWhenRoom(cause.message)
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
    await this.#close()
    this.#show({ version: this.#view.version + 1, role: 'NONE', ballot: null, leader: null })
    this.#ports.emit({ type: 'writable', reason })
    this.#space?.dropBallast()
    const poll = this.#every(this.#limits.checkEveryMs / 5, () => {
      if (this.#space?.check().full !== false) return
      clearInterval(poll)
      this.#trouble = null
      this.#openStore().then(
        () => this.#ports.emit({ type: 'writable', reason: this.#notWritable() }),
        problem => this.#onReopenFailed(problem),
      )
    })
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
    await opened.system.stop()
    this.#closedAs = opened.core().durable
    this.#opened = null
    await opened.state.close()
    await opened.store.close()
  }

  #die(status: number, reason: string): void {
    if (this.#stopped) return
    this.#stopped = true
    this.#ports.log.error('log-died', { reason })
    this.#ports.emit({ type: 'death', status, reason })
  }

  #wait(text: string): void {
    this.#waitingFor = text
    this.#sayWaiting()
  }

  /** What this node waits for and from whom: to begin, or for a quorum. */
  #waiting(): string | null {
    if (this.#waitingFor !== null || this.#opened === null || this.#view.leader !== null) return this.#waitingFor
    return this.#peers?.quorumFault() ?? null
  }

  #sayWaiting(): void {
    const text = this.#waiting()
    if (text === null) return
    const atMs = performance.now()
    const sinceMs = atMs - (this.#said?.atMs ?? Number.NEGATIVE_INFINITY)
    if (this.#said?.text === text && sinceMs < WAITING_LINE_MS / 2) return
    if (sinceMs < WAITING_CHANGE_MS) return this.#sayWaitingIn(WAITING_CHANGE_MS - sinceMs)
    this.#said = { text, atMs }
    if (this.#opened !== null) return this.#ports.log.warn('log-waits', { waitingFor: text })
    const { configFile, memberId } = this.#options
    this.#ports.log.warn('Replica in EMPTY status received a broadcasted recover request', {
      waitingFor: text,
      run: `daybreak log initialize ${configFile}`,
      seen: [
        `member ${memberId} (this node)`,
        ...this.#seen().map(member => `member ${member.memberId} ${member.status}`),
      ],
    })
  }

  /** A peer that is back in a moment is not worth a line. */
  #sayWaitingIn(ms: number): void {
    this.#sayLater ??= setTimeout(() => {
      this.#sayLater = null
      this.#sayWaiting()
    }, ms).unref()
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
