/**
 * One member: a machine with a clock and a disk, and at most one process on it at a time. The process runs the real actors
 * with the real cores on the real kernel of the actor shell; simulated are the clock, the disk, the network and the
 * choice of whose turn it is. Wired as the log node of a real process wires them.
 */
import type { Ref } from '../../../src/actors/actor.ts'
import { spawnLog } from '../../../src/actors/log-actors.ts'
import { DamagedRecord, type LogTransport, StoreFull } from '../../../src/actors/log-ports.ts'
import { silentLogger, silentMetrics } from '../../../src/actors/ports.ts'
import type { ReplicaCommand } from '../../../src/actors/replica.ts'
import type { Cell, Lane } from '../../../src/actors/shell/cell.ts'
import { Kernel } from '../../../src/actors/shell/kernel.ts'
import { KernelSystem } from '../../../src/actors/shell/system.ts'
import { type Prng, prng } from '../../../src/core/base/prng.ts'
import { type Ballot, sameBallot } from '../../../src/core/log/ballot.ts'
import type {
  AppendBasis,
  AppendOutcome,
  CoordinatorCore,
  CoordinatorMessage,
} from '../../../src/core/log/coordinator-core.ts'
import type { ElectionMessage, ElectionView } from '../../../src/core/log/election-core.ts'
import type { Entry } from '../../../src/core/log/entry.ts'
import { leaseLeftMs } from '../../../src/core/log/lease.ts'
import type { Accept, PeerMessage } from '../../../src/core/log/messages.ts'
import type { LogMeta } from '../../../src/core/log/meta.ts'
import type { ReplicaCore, RestoredLog } from '../../../src/core/log/replica-core.ts'
import { SimClock } from './clock.ts'
import { type SimDisk, SimLogStore, SimStateStore } from './disk.ts'
import type { EventQueue } from './event-queue.ts'
import type { Oracle } from './oracle.ts'
import type { Plan } from './plan.ts'
import { Violation } from './violation.ts'

/** What stands over the log of one process. It is told of the log in the order of events, each a moment later. */
export interface Scheduler {
  /** Whether clients find a leader here. */
  readonly leads: boolean
  viewed(view: ElectionView): void
  ended(id: number, outcome: AppendOutcome): void
  /** Entries of other leaders, for whoever follows them. */
  applied?(entries: readonly Entry[]): void
  /** The disk is full, or has room again. */
  spaceTold?(full: boolean): void
  /** Its process is over. */
  void(): void
}

export interface World<S extends Scheduler = Scheduler> {
  readonly plan: Plan
  readonly queue: EventQueue
  readonly oracle: Oracle
  readonly random: Prng
  send(from: number, to: number, message: PeerMessage): void
  makeReady(process: Process<S>, cell: Cell): void
  /** For a process whose log actors are made. */
  makeScheduler(process: Process<S>): S
  /** The lease of this process may have changed. */
  leaseChanged(node: SimNode<S>): void
  failed(error: unknown): void
}

export type NodeStatus =
  /** Runs, or is being opened. */
  | 'up'
  /** Will be started again. */
  | 'down'
  /** Never comes back by itself: its disk is not to be believed. */
  | 'lost'

export class SimNode<S extends Scheduler = Scheduler> {
  readonly id: number
  readonly disk: SimDisk
  readonly clock: SimClock
  status: NodeStatus = 'down'
  process: Process<S> | null = null
  pausedUntilMs = 0
  /** Factor on the time of a flush. */
  slowness = 1
  hangsUntilMs = 0
  nextFlushFault: 'EIO' | 'ENOSPC' | null = null
  isFull = false
  /** Turns until it dies or stops for a while, wherever it then is. */
  countdown: { turns: number; readonly strike: () => void } | null = null
  /** Until when it may answer reads, in world time. */
  leaseEndsMs = Number.NEGATIVE_INFINITY
  #suspendedAtMonoMs: number | null = null
  readonly #world: World<S>

  constructor(world: World<S>, id: number, disk: SimDisk) {
    this.#world = world
    this.id = id
    this.disk = disk
    this.clock = new SimClock(() => world.queue.nowMs, world.random.int(0, 1_000_000))
  }

  get isPaused(): boolean {
    return this.#world.queue.nowMs < this.pausedUntilMs
  }

  start(): void {
    if (this.status !== 'down' || this.process !== null) return
    this.status = 'up'
    this.#world.queue.after(1 + this.#world.random.next() * 50, () => {
      if (this.status === 'up' && this.process === null) this.#open()
    })
  }

  /** The store is closed in order and opened again at once. */
  reopen(): void {
    this.end(unflushed => unflushed)
    this.start()
  }

  #open(): void {
    const diesBetween = this.#world.random.next() < 0.2
    const installed = this.disk.installArrived(diesBetween)
    if (installed !== null && diesBetween) {
      this.status = 'down'
      return this.start()
    }
    if (installed !== null) this.#world.oracle.installed(this.id, installed.position, this.disk)
    const restored = this.disk.open()
    if (typeof restored === 'string') {
      this.status = 'lost'
      return
    }
    this.#world.oracle.opened(this.id, restored.meta.bootCounter, restored.meta, this.disk.entries)
    this.process = new Process(this.#world, this, restored)
  }

  /** The process is gone at once. `keeps`: how many of the unflushed transactions are on the disk afterwards. */
  end(keeps: (unflushed: number) => number): void {
    this.process?.end(keeps)
    this.process = null
    this.leaseEndsMs = Number.NEGATIVE_INFINITY
    this.countdown = null
    if (this.status === 'up') this.status = 'down'
  }

  pause(ms: number): void {
    const { queue } = this.#world
    this.pausedUntilMs = Math.max(this.pausedUntilMs, queue.nowMs + ms)
    queue.after(ms, () => {
      if (!this.isPaused) this.resume()
    })
  }

  /** The whole machine stands still, its monotonic clock too; the wall clock goes on. */
  suspend(ms: number): void {
    this.#suspendedAtMonoMs ??= this.clock.monoMs()
    this.pause(ms)
  }

  resume(): void {
    this.pausedUntilMs = 0
    if (this.#suspendedAtMonoMs !== null) this.clock.jump(this.#suspendedAtMonoMs - this.clock.monoMs())
    this.#suspendedAtMonoMs = null
    // What it believes now of its lease.
    this.#world.leaseChanged(this)
    this.process?.resume()
  }

  flushMs(): number {
    const { plan, queue, random } = this.#world
    if (queue.nowMs < this.hangsUntilMs) return this.hangsUntilMs - queue.nowMs
    return (plan.flushMsMin + random.next() * (plan.flushMsMax - plan.flushMsMin)) * this.slowness
  }

  takeFlushFault(): 'EIO' | 'ENOSPC' | null {
    const fault = this.nextFlushFault
    this.nextFlushFault = null
    return fault
  }

  tellSpace(): void {
    const process = this.process
    if (process === null) return
    const full = this.isFull
    const freeBytes = full ? 0 : 1e9
    process.coordinator.tell({ type: 'space', full, freeBytes, reserveBytes: 1e8, lookMs: 0 })
    process.replica.tell({ type: 'space', full, freeBytes })
    process.election.tell({ type: 'space', full })
    if (process.scheduler.spaceTold !== undefined) process.tellScheduler(() => process.scheduler.spaceTold?.(full))
  }
}

/** A state flush that hangs is no fault of its own here: the log's is the one that everything waits for. */
const STATE_FLUSH_MS_MAX = 1_000

/** One process of a member, from the opening of its store to its end. */
export class Process<S extends Scheduler = Scheduler> {
  readonly node: SimNode<S>
  readonly kernel: Kernel
  readonly system: KernelSystem
  readonly store: SimLogStore
  readonly state: SimStateStore
  readonly replica: Ref<ReplicaCommand>
  readonly coordinator: Ref<CoordinatorMessage>
  readonly election: Ref<ElectionMessage>
  replicaCore: ReplicaCore | null = null
  coordinatorCore: CoordinatorCore | null = null
  view: ElectionView | null = null
  readonly scheduler: S
  isOver = false
  /** Ready while the process is paused. */
  readonly held: Cell[] = []
  readonly #heldCalls: (() => void)[] = []
  readonly #world: World<S>
  readonly #receive: (message: PeerMessage) => void
  readonly #payloads = new Map<number, Uint8Array>()
  #ids = 0
  #openings = 0
  #tellsMs = 0
  /** On their way to the scheduler. */
  readonly #told: (() => void)[] = []

  constructor(world: World<S>, node: SimNode<S>, restored: RestoredLog) {
    const { meta } = restored
    this.#world = world
    this.node = node
    const { queue, oracle, plan } = world
    const { id: memberId, disk } = node
    const lane: Lane = { makeReady: cell => world.makeReady(this, cell), close: () => {} }
    this.kernel = new Kernel({
      name: `node-${memberId}`,
      clock: node.clock,
      random: prng(world.random.int(0, 0x7fff_ffff)),
      log: silentLogger,
      metrics: silentMetrics,
      timerSource: { wakeAfter: (afterMs, wake) => this.#wakeAfter(afterMs, wake) },
      laneFor: () => lane,
      onEndProcess: () => {},
      onFailure: (error, path) => this.#onFailure(error, path),
    })
    this.system = new KernelSystem(`node-${memberId}`, this.kernel)
    this.store = new SimLogStore(disk, restored, {
      after: (ms, run) => queue.after(ms, run),
      flushMs: () => node.flushMs(),
      flushFault: () => node.takeFlushFault(),
      onWrite: write => oracle.writes(memberId, write),
      onDurable: write => oracle.flushed(memberId, write),
    })
    this.state = new SimStateStore(disk, {
      after: (ms, run) => queue.after(ms, run),
      flushMs: () => Math.min(node.flushMs(), STATE_FLUSH_MS_MAX),
      onWritten: written => oracle.rowsWritten(memberId, written),
    })
    const transport: LogTransport = { send: (to, message) => world.send(memberId, to, message), onMessage: () => {} }
    const actors = spawnLog({
      system: this.system,
      memberId,
      software: 'sim',
      store: this.store,
      state: this.state,
      transport,
      timing: plan.timing,
      limits: plan.limits,
      metrics: { ...silentMetrics, count: name => this.#onCount(name) },
      onView: view => this.#onView(view),
      onVoting: () => this.#ready(meta),
      onResults: results => this.#onResults(results),
      onApplied: entries => this.#onApplied(entries),
      // As an ordered stop: what is written is waited for, then the disk is opened again.
      onInstall: () => this.node.reopen(),
      onStoreTrouble: cause => this.#onStoreTrouble(cause),
      onFailStop: reason => world.failed(new Violation('no replica sees agreement broken', reason)),
      onCoordinator: core => this.#watchCoordinator(core),
      onReplica: core => this.#watchReplica(core),
    })
    this.replica = actors.replica
    this.coordinator = actors.coordinator
    this.election = actors.election
    this.#receive = transport.onMessage
    this.scheduler = world.makeScheduler(this)
    if (meta.status === 'VOTING') this.#ready(meta)
    node.tellSpace()
  }

  receive(message: PeerMessage): void {
    this.#receive(message)
  }

  append(payloads: readonly Uint8Array[], basis?: AppendBasis): readonly number[] {
    const requests = payloads.map(payload => ({ id: ++this.#ids, payload, basis }))
    for (const { id, payload } of requests) this.#payloads.set(id, payload)
    this.coordinator.tell({ type: 'append', requests })
    return requests.map(({ id }) => id)
  }

  /** The scheduler has its rows, or begins to read them. */
  rowsLoaded(loaded: boolean): void {
    this.replica.tell({ type: 'rows', loaded })
    this.election.tell({ type: 'rows', loaded })
  }

  nextOpening(): number {
    return ++this.#openings
  }

  /** Runs in this process after that time, never while it is paused, never after its end. */
  call(delayMs: number, run: () => void): void {
    this.#world.queue.after(delayMs, () => {
      if (this.isOver) return
      if (this.node.isPaused) this.#heldCalls.push(run)
      else run()
    })
  }

  resume(): void {
    for (const cell of this.held.splice(0)) this.#world.makeReady(this, cell)
    this.kernel.timers.fireDue()
    for (const run of this.#heldCalls.splice(0)) this.call(this.#world.random.next(), run)
  }

  end(keeps: (unflushed: number) => number): void {
    this.isOver = true
    this.store.end(keeps(this.store.unflushed))
    this.state.end(this.#world.random.next() < 0.5)
    this.scheduler.void()
  }

  /** By the clock of this node, at this moment. */
  holdsLease(ballot: Ballot): boolean {
    const lease = this.coordinatorCore?.lease ?? null
    if (lease === null || !sameBallot(lease.ballot, ballot)) return false
    return leaseLeftMs(lease, this.node.clock.read()) > 0
  }

  #ready(meta: LogMeta): void {
    this.election.tell({
      type: 'ready',
      voters: meta.descriptor?.members.map(member => member.memberId) ?? [meta.memberId],
    })
  }

  #wakeAfter(afterMs: number, wake: () => void): () => void {
    const { clock } = this.node
    // A hair later than asked, so that rounding never wakes before the moment.
    return this.#world.queue.after(clock.worldMsOf(afterMs) + 0.001, () => {
      // A paused process notices when it goes on.
      if (!this.isOver && !this.node.isPaused) wake()
    })
  }

  #onFailure(error: unknown, path: string): void {
    if (error instanceof DamagedRecord) return this.#onStoreTrouble(error)
    const reason = error instanceof Error ? (error.stack ?? error.message) : String(error)
    this.#world.failed(error instanceof Violation ? error : new Violation('no actor fails', `${path}: ${reason}`))
  }

  #onCount(name: string): void {
    if (name === 'log_divergence') this.#world.failed(new Violation('rows never diverge', `node ${this.node.id}`))
  }

  #onStoreTrouble(cause: unknown): void {
    if (this.isOver) return
    this.node.end(() => 0)
    if (!(cause instanceof StoreFull)) this.node.status = 'lost'
  }

  #onView(view: ElectionView): void {
    this.view = view
    this.tellScheduler(() => this.scheduler.viewed(view))
  }

  #onResults(results: readonly { readonly id: number; readonly outcome: AppendOutcome }[]): void {
    for (const { id, outcome } of results) {
      const payload = this.#payloads.get(id)!
      this.#payloads.delete(id)
      if (outcome.type === 'ok') {
        this.#world.oracle.acknowledged(this.coordinatorCore!.ballot, outcome.position, payload)
      }
      this.tellScheduler(() => this.scheduler.ended(id, outcome))
    }
  }

  /** As the log node of a real process feeds those who follow: the own appends are told by their results. */
  #onApplied(entries: readonly Entry[]): void {
    const role = this.view?.role ?? 'NONE'
    if (this.scheduler.applied === undefined || role === 'LEADER') return
    const ballot = this.view?.ballot ?? null
    const others = entries.filter(entry => ballot === null || !sameBallot(entry.ballot, ballot) || role === 'FOLLOWER')
    if (others.length > 0) this.tellScheduler(() => this.scheduler.applied?.(others))
  }

  /** Between the threads of a node messages take a moment and keep their order. */
  tellScheduler(run: () => void): void {
    const { nowMs } = this.#world.queue
    this.#tellsMs = Math.max(this.#tellsMs + 1e-4, nowMs + this.#world.random.next() * 0.2)
    // Whichever wake-up comes first after a pause, the oldest message is taken.
    this.#told.push(run)
    this.call(this.#tellsMs - nowMs, () => this.#told.shift()?.())
  }

  #watchReplica(core: ReplicaCore): void {
    this.replicaCore = core
    const { oracle } = this.#world
    const { id } = this.node
    const handle = core.handle.bind(core)
    core.handle = (message, now) => {
      const effects = handle(message, now)
      for (const effect of effects) if (effect.type === 'send') oracle.replies(id, effect.message)
      return effects
    }
  }

  #watchCoordinator(core: CoordinatorCore): void {
    this.coordinatorCore = core
    const { oracle } = this.#world
    const { id } = this.node
    const handle = core.handle.bind(core)
    core.handle = (message, now) => {
      const effects = handle(message, now)
      const accepts: Accept[] = []
      for (const effect of effects) {
        if (effect.type !== 'send' || effect.message.type !== 'accept') continue
        accepts.push(effect.message)
        if (effect.to === id && effect.message.entries[0]?.type === 'LEADER') oracle.leads(id, effect.message)
      }
      for (const accept of accepts) oracle.sendsAccept(id, accept)
      for (const effect of effects) if (effect.type === 'commit') oracle.commits(id, core.ballot, effect.position)
      this.#world.leaseChanged(this.node)
      return effects
    }
  }
}
