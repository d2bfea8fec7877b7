/**
 * The second body of the actor system: the same kernel on a seeded scheduler with a virtual clock, for tests and the
 * simulation. Nothing happens by itself: actors run when the test says so, one message per turn, and which of the ready
 * actors goes next is drawn from the seed, so one seed gives one run and many seeds give many interleavings.
 *
 * How a test uses it:
 *
 *     const sim = createSimSystem({ seed: 1 })
 *     const keeper = sim.spawn(jobKeeper({ ... }))
 *     keeper.tell({ type: 'create', ... })
 *     sim.run()                 // until nothing can run at the current moment
 *     sim.advance(1_000)        // virtual time: fires timers in order, running to quiet after each
 *     await sim.settle()        // also lets promises (`context.pipe`, answers of `sim.ask`) come in; no time passes
 *     expect(sim.failures).toEqual([])
 *     await sim.stop()          // runs by itself, also through `stopping` promises
 *
 * Other promises of the system (`ask`, `stopActor`) settle when the test runs it: ask, `await sim.settle()`, then await.
 *
 * An actor that throws is restarted as its supervision says, which can hide a mistake: look at `failures`. A failure
 * that would end the process is thrown out of `run` and `advance` instead, unless `onEndProcess` is given.
 * `traceHash` sums up who handled what and when: equal for two runs of one seed.
 */
import { assert } from '../core/base/assert.ts'
import { prng } from '../core/base/prng.ts'
import type { Now } from '../core/base/time.ts'
import type { ActorSystem } from './actor.ts'
import { type Clock, type Logger, type Metrics, silentLogger, silentMetrics } from './ports.ts'
import { type Cell, type Lane, typeOfMessage } from './shell/cell.ts'
import { Kernel } from './shell/kernel.ts'
import { KernelSystem } from './shell/system.ts'
import type { TimerSource } from './shell/timer-queue.ts'

export interface SimOptions {
  readonly seed: number
  /** Default `sim`. */
  readonly name?: string
  /** Wall clock at the start, ms since the epoch. Default 2026-01-01T00:00:00Z; the monotonic clock starts at 0. */
  readonly startWallMs?: number
  readonly log?: Logger
  readonly metrics?: Metrics
  readonly onEndProcess?: (error: unknown, path: string) => void
  /** Told one line per turn: `1500 /leader/jobs receives create`. */
  readonly trace?: (line: string) => void
  /** Turns within one `run` after which it is taken for an endless exchange of messages. Default 10,000,000. */
  readonly turnsMax?: number
}

export interface SimSystem extends ActorSystem {
  /** The virtual clock, to be shared with whatever else the test builds. */
  readonly clock: Clock
  now(): Now
  /** Runs until nothing is ready at the current moment; answers how many turns that took. */
  run(): number
  /** Moves virtual time forward, firing what falls due in order and running to quiet each time. */
  advance(ms: number): void
  /** Runs, and lets settled promises come in, until nothing moves any more. No virtual time passes. */
  settle(): Promise<void>
  readonly pendingTimers: number
  /** Milliseconds until the next timer; null when none waits. */
  readonly nextTimerInMs: number | null
  /** Every throw of an actor, oldest first. */
  readonly failures: readonly { readonly path: string; readonly error: unknown }[]
  /** Eight hex digits over everything that has run so far. */
  readonly traceHash: string
}

export function createSimSystem(options: SimOptions): SimSystem {
  return new SeededSystem(options)
}

const START_WALL_MS = 1_767_225_600_000
const TURNS_MAX = 10_000_000

/** Kept at load, so that a test which replaces the timers of the process does not stop the simulation. */
const nextEventLoopTurn = setImmediate

class SeededSystem extends KernelSystem implements SimSystem {
  readonly clock: Clock
  readonly failures: { path: string; error: unknown }[] = []
  readonly #world: World

  constructor(options: SimOptions) {
    const world = new World(options)
    // Chance for actors and the choice of who is next come from two streams: drawing from one does not shift the other.
    const random = prng(options.seed ^ 0x5eed_ac70)
    const kernel: Kernel = new Kernel({
      name: options.name ?? 'sim',
      clock: world,
      random,
      log: options.log ?? silentLogger,
      metrics: options.metrics ?? silentMetrics,
      timerSource: world,
      laneFor: () => world,
      onEndProcess: options.onEndProcess ?? ((error, path) => world.end(error, path)),
      onFailure: (error, path) => this.failures.push({ path, error }),
    })
    super(options.name ?? 'sim', kernel)
    world.kernel = kernel
    this.#world = world
    this.clock = world
  }

  get pendingTimers(): number {
    return this.kernel.timers.size
  }

  get nextTimerInMs(): number | null {
    const dueMs = this.kernel.timers.nextDueMs
    return dueMs === Number.POSITIVE_INFINITY ? null : Math.max(0, dueMs - this.#world.elapsedMs)
  }

  get traceHash(): string {
    return this.#world.hash.toString(16).padStart(8, '0')
  }

  now(): Now {
    return this.#world.read()
  }

  run(): number {
    return this.#world.run()
  }

  advance(ms: number): void {
    assert(ms >= 0, 'virtual time moves forward', { ms })
    const targetMs = this.#world.elapsedMs + ms
    this.run()
    while (this.kernel.timers.nextDueMs <= targetMs) {
      this.#world.elapsedMs = Math.max(this.#world.elapsedMs, this.kernel.timers.nextDueMs)
      this.kernel.timers.fireDue()
      this.run()
    }
    this.#world.elapsedMs = targetMs
  }

  async settle(): Promise<void> {
    do {
      this.run()
      // All promises that can settle without I/O have done so when the event loop comes round.
      await new Promise<void>(resolve => nextEventLoopTurn(resolve))
    } while (this.#world.readyCount > 0)
  }

  override stop(): Promise<void> {
    return this.#drive(super.stop())
  }

  /** Runs the simulation until `done`, and moves time where only a time limit can bring the end. */
  async #drive(done: Promise<void>): Promise<void> {
    let isDone = false
    const end = done.finally(() => {
      isDone = true
    })
    for (;;) {
      await this.settle()
      if (isDone) return end
      if (this.#world.readyCount === 0 && this.nextTimerInMs !== null) this.advance(this.nextTimerInMs)
    }
  }
}

/** Scheduler, clock and timer source in one: the kernel's whole world. */
class World implements Lane, Clock, TimerSource {
  kernel!: Kernel
  elapsedMs = 0
  hash = 0x811c_9dc5
  readonly #ready: Cell[] = []
  readonly #choice: ReturnType<typeof prng>
  readonly #startWallMs: number
  readonly #trace: ((line: string) => void) | undefined
  readonly #turnsMax: number
  #ended: { readonly error: unknown; readonly path: string } | null = null
  #isRunning = false

  constructor(options: SimOptions) {
    this.#choice = prng(options.seed)
    this.#startWallMs = options.startWallMs ?? START_WALL_MS
    this.#trace = options.trace
    this.#turnsMax = options.turnsMax ?? TURNS_MAX
  }

  get readyCount(): number {
    return this.#ready.length
  }

  read(): Now {
    return { wallMs: this.#startWallMs + this.elapsedMs, monoMs: this.elapsedMs }
  }

  /** Time is moved by `advance` alone, which asks the timers itself. */
  wakeAfter(): () => void {
    return () => {}
  }

  makeReady(cell: Cell): void {
    this.#ready.push(cell)
  }

  close(): void {}

  end(error: unknown, path: string): void {
    this.#ended ??= { error, path }
  }

  run(): number {
    assert(!this.#isRunning, 'the simulation is run from outside its actors')
    this.#isRunning = true
    let turns = 0
    try {
      while (this.#ready.length > 0 && this.#ended === null) {
        this.#turn(this.#take())
        turns++
        assert(turns <= this.#turnsMax, 'the actors come to rest', { turns })
      }
    } finally {
      this.#isRunning = false
    }
    if (this.#ended !== null) {
      const { error, path } = this.#ended
      this.#ended = null
      throw new Error(`${path} would have ended the process: ${String(error)}`, { cause: error })
    }
    return turns
  }

  #take(): Cell {
    const at = this.#choice.int(0, this.#ready.length)
    const cell = this.#ready[at]!
    const last = this.#ready.pop()!
    if (last !== cell) this.#ready[at] = last
    return cell
  }

  #turn(cell: Cell): void {
    const does = cell.status === 'running' ? `receives ${typeOfMessage(cell.ring?.peek())}` : cell.status
    const line = `${this.elapsedMs} ${cell.path} ${does}`
    for (let at = 0; at < line.length; at++) this.hash = Math.imul(this.hash ^ line.charCodeAt(at), 0x0100_0193) >>> 0
    this.#trace?.(line)
    this.kernel.beginTurns()
    this.kernel.turn(cell, 1)
  }
}
