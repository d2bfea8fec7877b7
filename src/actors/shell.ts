/**
 * The actor system of a running node: the kernel (`shell/kernel.ts`) on nact. This is the one file that knows nact.
 *
 * nact gives turns on the event loop; its own costs are kept away from actors (docs/design/0001-actor-shell.md has the
 * measurements). A top-level actor together with everything below it is one *lane*, and a lane is one nact actor. When
 * somebody of the lane has something to do, the lane enters the round, and nact is sent one wake-up for the lane whose
 * turn it is, whatever the number of messages. In a turn of nact, lane after lane gives one turn to each of its actors
 * in line, and each of them drains its batch for at most its slice, until nobody waits or 4 ms are over; then the I/O of
 * the process has its turn and nact wakes the lane that is next. So a chain of messages need not go round the event loop
 * at each link, a hundred thousand busy tasks under one parent cannot keep the health actor or a socket waiting, an idle
 * actor costs no nact actor, and children cost nothing per message, because nact never sees them.
 */
import { dispatch, spawn, start, stop } from 'nact'
import type { Prng } from '../core/base/prng.ts'
import type { ActorSystem } from './actor.ts'
import { type Clock, type Logger, type Metrics, silentMetrics } from './ports.ts'
import type { Cell, Lane } from './shell/cell.ts'
import { Kernel, SLICE_MS_MAX } from './shell/kernel.ts'
import { Ring } from './shell/mailbox.ts'
import { KernelSystem } from './shell/system.ts'
import type { TimerSource } from './shell/timer-queue.ts'

export interface ActorSystemOptions {
  readonly name: string
  readonly clock: Clock
  readonly random: Prng
  readonly log: Logger
  readonly metrics?: Metrics
  /**
   * A failure after which the process must not go on: an actor supervised with `endProcess`, or a top-level actor whose
   * failure has escalated. The composition ends the process with the status for a bug; a test may return.
   */
  readonly onEndProcess: (error: unknown, path: string) => void
  /** Where wake-ups for timers come from. Default: one timer of the event loop, armed only while something waits. */
  readonly timerSource?: TimerSource
}

export interface NactActorSystem extends ActorSystem {
  /** Settles when no actor has anything to do right now; timers and promises may still be waited for. */
  whenQuiet(): Promise<void>
}

export function createActorSystem(options: ActorSystemOptions): NactActorSystem {
  return new NactSystem(options)
}

/** `setTimeout` fires at once for longer times; the queue is then woken early and waits again. */
const EVENT_LOOP_WAIT_MS_MAX = 2_147_483_647
const WAKE_UP = 'wake-up'
/** nact finds systems by name in one map per process, so each gets a number of its own. */
let systems = 0

const eventLoopTimers: TimerSource = {
  wakeAfter(afterMs, wake) {
    const timer = setTimeout(wake, Math.min(EVENT_LOOP_WAIT_MS_MAX, Math.ceil(afterMs)))
    return () => clearTimeout(timer)
  },
}

class NactSystem extends KernelSystem implements NactActorSystem {
  readonly #root: NactRef
  readonly #turnstile: Turnstile

  constructor(options: ActorSystemOptions) {
    // nact reads the name from an object, whatever its type declaration says.
    const root = start({ name: `${options.name}-${++systems}` } as unknown as string) as NactRef
    const turnstile = new Turnstile()
    let lanes = 0
    const kernel: Kernel = new Kernel({
      ...options,
      metrics: options.metrics ?? silentMetrics,
      timerSource: options.timerSource ?? eventLoopTimers,
      laneFor: name =>
        new NactLane(kernel, root, `${name.replaceAll('~', '!')}.${++lanes}`, turnstile, error =>
          options.onEndProcess(error, `/${name}`),
        ),
    })
    super(options.name, kernel)
    this.#root = root
    this.#turnstile = turnstile
  }

  whenQuiet(): Promise<void> {
    return this.#turnstile.whenQuiet()
  }

  override async stop(): Promise<void> {
    await super.stop()
    stop(this.#root)
  }
}

// biome-ignore lint/suspicious/noExplicitAny: nact's own declaration of an address
type NactRef = import('nact').Ref<any>

class NactLane implements Lane {
  readonly #kernel: Kernel
  readonly #turnstile: Turnstile
  readonly #ref: NactRef
  #ready = new Ring<Cell>()
  #isAwake = false

  constructor(kernel: Kernel, root: NactRef, name: string, turnstile: Turnstile, onBug: (error: unknown) => void) {
    this.#kernel = kernel
    this.#turnstile = turnstile
    this.#ref = spawn(root, () => turnstile.turn(kernel), name, {
      // Failures of actors end in their supervision; what arrives here is a fault of the shell itself.
      onCrash: (_message, error, context) => {
        onBug(error)
        return context.stop
      },
    })
  }

  makeReady(cell: Cell): void {
    this.#ready.push(cell)
    if (this.#isAwake) return
    this.#isAwake = true
    this.#turnstile.awake++
    this.#turnstile.enter(this)
  }

  /** Asks nact for a turn. */
  wakeUp(): void {
    dispatch(this.#ref, WAKE_UP)
  }

  close(): void {
    stop(this.#ref)
    // Its last actor has just had its last turn, so nobody is in line any more.
    if (this.#isAwake) this.#sleep()
  }

  /**
   * One turn for each that is in line now, or as many as the time allows; then the next lane is served. Answers the
   * monotonic time at the end.
   */
  serve(untilMs: number): number {
    let nowMs = Number.NEGATIVE_INFINITY
    for (let left = this.#ready.size; left > 0 && nowMs < untilMs; left--) {
      nowMs = this.#kernel.turn(this.#ready.shift(), Number.POSITIVE_INFINITY)
    }
    if (this.#isAwake) {
      if (this.#ready.size > 0) this.#turnstile.enter(this)
      else this.#sleep()
    }
    return nowMs
  }

  #sleep(): void {
    this.#isAwake = false
    if (this.#ready.slots > READY_SLOTS_KEPT) this.#ready = new Ring<Cell>()
    this.#turnstile.awake--
    if (this.#turnstile.awake === 0) this.#turnstile.tellQuiet()
  }
}

/** A line that was longer than this once gives its memory back when it is empty. */
const READY_SLOTS_KEPT = 4_096

/** The round of awake lanes. At most one wake-up is under way in nact: to the lane whose turn it is. */
class Turnstile {
  /** Lanes with somebody in line. */
  awake = 0
  readonly #waiting = new Ring<NactLane>()
  #isAsked = false
  #isTurning = false
  #untilQuiet: (() => void)[] = []

  /** The lane has somebody in line and stands at the end of the round. */
  enter(lane: NactLane): void {
    this.#waiting.push(lane)
    if (!this.#isTurning && !this.#isAsked) this.#ask()
  }

  /** A turn of nact: lanes are served in the round until nobody waits or the slice is over. */
  turn(kernel: Kernel): void {
    const untilMs = kernel.beginTurns() + SLICE_MS_MAX
    this.#isAsked = false
    this.#isTurning = true
    try {
      let nowMs = Number.NEGATIVE_INFINITY
      while (this.#waiting.size > 0 && nowMs < untilMs) nowMs = this.#waiting.shift().serve(untilMs)
    } finally {
      this.#isTurning = false
      if (this.#waiting.size > 0) this.#ask()
    }
  }

  whenQuiet(): Promise<void> {
    if (this.awake === 0) return Promise.resolve()
    return new Promise(resolve => this.#untilQuiet.push(resolve))
  }

  tellQuiet(): void {
    const waiting = this.#untilQuiet
    this.#untilQuiet = []
    for (const resolve of waiting) resolve()
  }

  /** A lane at the head stays there until it is served, so its nact actor lives until the wake-up arrives. */
  #ask(): void {
    this.#isAsked = true
    this.#waiting.peek()?.wakeUp()
  }
}
