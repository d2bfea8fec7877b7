/**
 * The actor system of a running node: the kernel (`shell/kernel.ts`) on nact. This is the one file that knows nact.
 *
 * nact gives turns on the event loop; its own costs are kept away from actors (docs/design/0001-actor-shell.md has the
 * measurements). A top-level actor together with everything below it is one *lane*, and a lane is one nact actor. When
 * somebody of the lane has something to do, nact is sent one wake-up, whatever the number of messages; the lane then
 * gives turns to its actors, first come first served, each draining its mailbox for at most its slice, until the slice
 * of the lane is over, and queues itself again behind the other lanes and the I/O of the process. So a hundred thousand
 * busy tasks under one parent cannot keep the health actor waiting, an idle actor costs no nact actor, and the number of
 * children of an actor costs nothing per message, because nact never sees them.
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
  readonly #quiet: Quiet

  constructor(options: ActorSystemOptions) {
    // nact reads the name from an object, whatever its type declaration says.
    const root = start({ name: `${options.name}-${++systems}` } as unknown as string) as NactRef
    const quiet = new Quiet()
    let lanes = 0
    const kernel: Kernel = new Kernel({
      ...options,
      metrics: options.metrics ?? silentMetrics,
      timerSource: options.timerSource ?? eventLoopTimers,
      laneFor: name =>
        new NactLane(kernel, root, `${name.replaceAll('~', '!')}.${++lanes}`, quiet, error =>
          options.onEndProcess(error, `/${name}`),
        ),
    })
    super(options.name, kernel)
    this.#root = root
    this.#quiet = quiet
  }

  whenQuiet(): Promise<void> {
    return this.#quiet.when()
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
  readonly #quiet: Quiet
  readonly #ref: NactRef
  #ready = new Ring<Cell>()
  #isAwake = false

  constructor(kernel: Kernel, root: NactRef, name: string, quiet: Quiet, onBug: (error: unknown) => void) {
    this.#kernel = kernel
    this.#quiet = quiet
    this.#ref = spawn(root, () => this.#run(), name, {
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
    this.#quiet.awake++
    dispatch(this.#ref, WAKE_UP)
  }

  close(): void {
    stop(this.#ref)
    // Its last actor has just had its last turn, so nobody is in line any more.
    if (this.#isAwake) this.#sleep()
  }

  #run(): void {
    const untilMs = this.#kernel.beginTurns() + SLICE_MS_MAX
    while (this.#ready.size > 0) {
      const nowMs = this.#kernel.turn(this.#ready.shift(), Number.POSITIVE_INFINITY)
      if (nowMs >= untilMs) break
    }
    if (!this.#isAwake) return
    if (this.#ready.size > 0) dispatch(this.#ref, WAKE_UP)
    else this.#sleep()
  }

  #sleep(): void {
    this.#isAwake = false
    this.#ready = this.#ready.slots > READY_SLOTS_KEPT ? new Ring<Cell>() : this.#ready
    this.#quiet.awake--
    if (this.#quiet.awake === 0) this.#quiet.tell()
  }
}

/** A line that was longer than this once gives its memory back when it is empty. */
const READY_SLOTS_KEPT = 4_096

/** Counts lanes that are awake, and tells those who wait for none to be. */
class Quiet {
  awake = 0
  #waiting: (() => void)[] = []

  when(): Promise<void> {
    if (this.awake === 0) return Promise.resolve()
    return new Promise(resolve => this.#waiting.push(resolve))
  }

  tell(): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const resolve of waiting) resolve()
  }
}
