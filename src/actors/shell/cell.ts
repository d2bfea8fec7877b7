/**
 * What the shell keeps of one actor or one nest, and the three faces of it: the ref others hold, the envelope that
 * carries what is not a plain message, and the lane the actor takes its turns in.
 *
 * A system may hold a million cells, so what most of them never need (watchers, failures, timers, children, a mailbox)
 * is made on first use. Nothing here decides anything: that is the kernel's work.
 */
import type { ActorSpec, AnyRef, Behaviour, Context, Ref } from '../actor.ts'
import type { Kernel } from './kernel.ts'
import type { Ring } from './mailbox.ts'
import type { TimerEntry } from './timer-queue.ts'

/** What any message is to the shell. */
export type Message = unknown

/**
 * `new`: to be started in its next turn. `restarting` and `stopping` go through the steps below. `gone` is final.
 */
export type CellStatus = 'new' | 'running' | 'restarting' | 'stopping' | 'gone'

/**
 * `children`: until the last child is gone. `cleanup`: its own `stopping` is to be called in its next turn.
 * `cleaning`: that answered a promise. `backoff`: until the next start.
 */
export type CellStep = 'none' | 'children' | 'cleanup' | 'cleaning' | 'backoff'

/** A line of cells that take turns. A top-level actor and all below it share one. */
export interface Lane {
  /** Puts the cell at the end of the line; it stands in no line now. */
  makeReady(cell: Cell): void
  /** The top-level actor is gone, nobody will stand in line again. */
  close(): void
}

export class Cell {
  readonly kernel: Kernel
  readonly parent: Cell | null
  readonly name: string
  /** Null for a nest, which has no behaviour and takes no messages. */
  readonly spec: ActorSpec<Message> | null
  readonly ref: ActorRef
  readonly lane: Lane | null
  readonly capacity: number
  readonly startedAtMs: number
  status: CellStatus = 'new'
  step: CellStep = 'none'
  /** True while it stands in its lane or takes its turn. */
  scheduled = false
  /** Goes up with every restart; what was asked for by an earlier one is not delivered. */
  incarnation = 0
  processed = 0
  busyMs = 0
  /** Monotonic time of the last turn with messages; -1 before the first. */
  lastMessageMs = -1
  context: Context<Message> | null = null
  behaviour: Behaviour<Message> | null = null
  ring: Ring<Message> | null = null
  children: Map<string, Cell> | null = null
  timers: Map<string, KeyedTimer> | null = null
  rare: Rare | null = null

  constructor(kernel: Kernel, parent: Cell | null, name: string, spec: ActorSpec<Message> | null, lane: Lane | null) {
    this.kernel = kernel
    this.parent = parent
    this.name = name
    this.spec = spec
    this.lane = lane
    this.capacity = spec?.mailbox?.capacity ?? MAILBOX_CAPACITY
    this.startedAtMs = kernel.wallMs()
    this.ref = new ActorRef(this, parent === null ? '' : `${parent.ref.path}/${name}`)
  }

  get path(): string {
    return this.ref.path
  }
}

/** Default of `Mailbox.capacity`. */
export const MAILBOX_CAPACITY = 10_000

/** What few actors ever have. */
export class Rare {
  failed = 0
  refused = 0
  restarts = 0
  /** Monotonic times of restarts, oldest first, no more than the limit of the supervision. */
  restartedAtMs: number[] = []
  lastError: { atMs: number; message: string; stack: string; messageType: string } | null = null
  watchers: Map<Cell, Message> | null = null
  watching: Set<Cell> | null = null
  whenGone: (() => void)[] | null = null
  /** The back-off, or the longest wait for `stopping`. */
  wait: TimerEntry | null = null
}

export function rareOf(cell: Cell): Rare {
  cell.rare ??= new Rare()
  return cell.rare
}

/** The address of a cell. Its only visible field is the path, so that refs in messages print and compare as such. */
export class ActorRef implements Ref<Message> {
  readonly path: string
  readonly #cell: Cell

  constructor(cell: Cell, path: string) {
    this.#cell = cell
    this.path = path
  }

  tell(message: Message): boolean {
    const cell = this.#cell
    return cell.kernel.enqueue(cell, message, false)
  }

  toString(): string {
    return this.path
  }

  /** The cell behind a ref, or null for a ref of another kind (a function, the answer to an ask). */
  static cellOf(ref: AnyRef): Cell | null {
    return #cell in ref ? ref.#cell : null
  }
}

/** Hands every message to a function of an edge, at once and in the turn of whoever tells. */
export class FunctionRef<M> implements Ref<M> {
  readonly path: string
  readonly #receive: (message: M) => void
  readonly #failed: (error: unknown) => void

  constructor(path: string, receive: (message: M) => void, failed: (error: unknown) => void) {
    this.path = path
    this.#receive = receive
    this.#failed = failed
  }

  tell(message: M): boolean {
    try {
      this.#receive(message)
      return true
    } catch (error) {
      // The fault is the edge's; the actor that told it something must not pay for it.
      this.#failed(error)
      return false
    }
  }
}

/** A queued thing that is more than its message. */
export abstract class Envelope {
  /** The message as dead letters and errors name it. */
  abstract readonly content: Message
  /** In the turn of the receiver. */
  abstract open(cell: Cell, behaviour: Behaviour<Message>): void
}

/** A keyed timer. It stays its actor's timer until its message is handled, so cancelling works to the last moment. */
export class KeyedTimer {
  readonly key: string
  readonly message: Message
  /** Null for a timer that fires once. */
  readonly everyMs: number | null
  entry: TimerEntry | null = null
  isCancelled = false
  /** A tick waits in the mailbox; further ones are left out until it is handled. */
  isQueued = false

  constructor(key: string, message: Message, everyMs: number | null) {
    this.key = key
    this.message = message
    this.everyMs = everyMs
  }
}

export class TimerEnvelope extends Envelope {
  readonly #timer: KeyedTimer

  constructor(timer: KeyedTimer) {
    super()
    this.#timer = timer
  }

  override get content(): Message {
    return this.#timer.message
  }

  override open(cell: Cell, behaviour: Behaviour<Message>): void {
    const timer = this.#timer
    timer.isQueued = false
    if (timer.isCancelled) return
    if (timer.everyMs === null) cell.timers?.delete(timer.key)
    behaviour.receive(timer.message)
  }
}

/** A watch, an answer or the end of a promise: for the incarnation that asked for it and for no later one. */
export class SignalEnvelope extends Envelope {
  readonly #incarnation: number
  readonly #make: () => Message

  constructor(incarnation: number, make: () => Message) {
    super()
    this.#incarnation = incarnation
    this.#make = make
  }

  override get content(): Message {
    return { type: 'signal' }
  }

  override open(cell: Cell, behaviour: Behaviour<Message>): void {
    if (cell.incarnation === this.#incarnation) behaviour.receive(this.#make())
  }
}

/** A question that knows who waits: when it ends unread, the asker learns at once. */
export class QuestionEnvelope extends Envelope {
  override readonly content: Message
  readonly unread: () => void

  constructor(content: Message, unread: () => void) {
    super()
    this.content = content
    this.unread = unread
  }

  override open(_cell: Cell, behaviour: Behaviour<Message>): void {
    behaviour.receive(this.content)
  }
}

/** `type` of a message, or what else names it best. */
export function typeOfMessage(message: Message): string {
  const plain = message instanceof Envelope ? message.content : message
  if (typeof plain !== 'object' || plain === null) return typeof plain
  const type = (plain as { readonly type?: unknown }).type
  return typeof type === 'string' ? type : (plain.constructor?.name ?? 'object')
}

/** Told by somebody else, not asked for by the actor itself. */
export function isForeign(item: Message): boolean {
  return !(item instanceof Envelope) || item instanceof QuestionEnvelope
}
