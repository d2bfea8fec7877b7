/**
 * The actor system of a running node: the kernel (`shell/kernel.ts`) on nact. This is the one file that knows nact.
 *
 * nact gives turns on the event loop; its own costs are kept away from actors (docs/design/0001-actor-shell.md has the
 * measurements). A top-level actor together with everything below it is one *lane*, and a lane is one nact actor. When
 * somebody of the lane has something to do, nact is sent one wake-up, whatever the number of messages. In its turn the
 * lane serves its actors first come first served, each draining its mailbox for at most its slice; while time is left it
 * takes along the lanes that it has woken, so a chain of messages need not go round the event loop at each link. When
 * the slice is over, whoever still has something to do asks nact for a turn of its own, behind the other lanes and the
 * I/O of the process. So a hundred thousand busy tasks under one parent cannot keep the health actor waiting, an idle
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
    this.#ref = spawn(root, () => this.#onWakeUp(), name, {
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
    if (this.#turnstile.isTurning) this.#turnstile.waiting.push(this)
    else this.wakeUp()
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

  /** A turn of nact: for this lane, then for those that it wakes, while the slice lasts. */
  #onWakeUp(): void {
    const { waiting } = this.#turnstile
    const untilMs = this.#kernel.beginTurns() + SLICE_MS_MAX
    this.#turnstile.isTurning = true
    try {
      let nowMs = this.#serve(untilMs)
      while (nowMs < untilMs && waiting.size > 0) nowMs = waiting.shift().#serve(untilMs)
    } finally {
      this.#turnstile.isTurning = false
      while (waiting.size > 0) waiting.shift().wakeUp()
    }
  }

  /** Turns for those in line, until the line is empty or the time is over. Answers the monotonic time at the end. */
  #serve(untilMs: number): number {
    let nowMs = Number.NEGATIVE_INFINITY
    while (this.#ready.size > 0 && nowMs < untilMs) {
      nowMs = this.#kernel.turn(this.#ready.shift(), Number.POSITIVE_INFINITY)
    }
    if (this.#isAwake) {
      if (this.#ready.size > 0) this.wakeUp()
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

/** What the lanes of a system share: whether one has its turn, who became ready meanwhile, and who waits for quiet. */
class Turnstile {
  isTurning = false
  readonly waiting = new Ring<NactLane>()
  /** Lanes with somebody in line. */
  awake = 0
  #untilQuiet: (() => void)[] = []

  whenQuiet(): Promise<void> {
    if (this.awake === 0) return Promise.resolve()
    return new Promise(resolve => this.#untilQuiet.push(resolve))
  }

  tellQuiet(): void {
    const waiting = this.#untilQuiet
    this.#untilQuiet = []
    for (const resolve of waiting) resolve()
  }
}
