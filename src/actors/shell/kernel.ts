/**
 * The one engine of both bodies: it keeps the tree of actors and their mailboxes, and runs an actor's turn when the
 * executor says so. Who runs next, what time it is and when to wake up are injected: lanes on nact and the real clock
 * (`../shell.ts`), or a seeded choice and a virtual clock (`../sim-shell.ts`). What is not done for every message
 * stands beside it: timers, watches, failures and endings.
 *
 * Rules it keeps:
 * - User code of an actor runs only in that actor's turn, one turn at a time, never nested. `tell`, `stop`, timers and
 *   promises only mark and queue.
 * - What an actor asked for itself (timers, watches, answers, promises) is never refused by a full mailbox: its number
 *   is bounded by what it asked for.
 */
import { assert } from '../../core/base/assert.ts'
import type { Prng } from '../../core/base/prng.ts'
import type { Now } from '../../core/base/time.ts'
import type { ActorSpec, ActorSystem, AnyRef, Nest, Ref } from '../actor.ts'
import type { Clock, Logger, Metrics } from '../ports.ts'
import { Cell, Envelope, isForeign, type Lane, type Message, QuestionEnvelope, rareOf, typeOfMessage } from './cell.ts'
import { ActorContext } from './context.ts'
import { cleanUp, requestStop } from './endings.ts'
import { failed } from './failures.ts'
import { Inspector } from './inspection.ts'
import { RingPool } from './mailbox.ts'
import { TimerQueue, type TimerSource } from './timer-queue.ts'

export interface KernelParts {
  readonly name: string
  readonly clock: Clock
  readonly random: Prng
  readonly log: Logger
  readonly metrics: Metrics
  readonly timerSource: TimerSource
  /** A lane for a top-level actor and all that will be below it. */
  readonly laneFor: (name: string) => Lane
  /** Called for an actor without which the process must not go on. May return (in a test); the actor is stopped then. */
  readonly onEndProcess: (error: unknown, path: string) => void
  readonly onFailure?: (error: unknown, path: string) => void
}

/** Default of `ActorSpec.sliceMsMax`. */
export const SLICE_MS_MAX = 4
/** Longest run of messages between two looks at the clock. */
const MESSAGES_PER_LOOK_MAX = 64

const NAME = /^[A-Za-z0-9_.~-]+$/

export class Kernel {
  readonly clock: Clock
  readonly random: Prng
  readonly log: Logger
  readonly metrics: Metrics
  readonly timers: TimerQueue
  readonly inspector: Inspector
  readonly root: Cell
  /** The face that actors get; set by the body right after making the kernel. */
  system!: ActorSystem
  readonly parts: KernelParts
  readonly rings = new RingPool()
  readonly #loggers = new Map<string, Logger>()
  /** Whose turn it is; null between turns. */
  #current: Cell | null = null
  /** The reading shared by all who ask during one message. */
  #reading: Now | null = null
  /** The last look at the monotonic clock; only good during a turn. */
  #lookMs = 0
  #asks = 0
  #isStopping = false

  constructor(parts: KernelParts) {
    this.parts = parts
    const clock = parts.clock
    this.clock = clock
    this.monoMs = clock.monoMs === undefined ? () => clock.read().monoMs : () => clock.monoMs!()
    this.random = parts.random
    this.log = parts.log
    this.metrics = parts.metrics
    this.timers = new TimerQueue(this.monoMs, parts.timerSource)
    this.inspector = new Inspector(this)
    this.root = new Cell(this, null, '', null, null)
  }

  // ---- Time ---------------------------------------------------------------------------------------------------------

  now(): Now {
    if (this.#current === null) return this.clock.read()
    this.#reading ??= this.clock.read()
    return this.#reading
  }

  /** Asked at every turn, so it is one call and no object where the clock can do that. */
  readonly monoMs: () => number

  wallMs(): number {
    return this.clock.read().wallMs
  }

  turnSoFarMs(cell: Cell): number {
    return cell === this.#current ? Math.max(0, this.monoMs() - this.#lookMs) : 0
  }

  nextAskNumber(): number {
    return ++this.#asks
  }

  loggerOfKind(kind: string): Logger {
    let logger = this.#loggers.get(kind)
    if (logger === undefined) {
      logger = this.log.child(kind)
      this.#loggers.set(kind, logger)
    }
    return logger
  }

  // ---- The tree -----------------------------------------------------------------------------------------------------

  spawn<M>(parent: Cell, spec: ActorSpec<M>): Ref<M> {
    assert((spec.mailbox?.capacity ?? 1) >= 1, 'a mailbox holds at least one message', { name: spec.name })
    const cell = this.#newCell(parent, spec.name, spec as ActorSpec<Message>)
    this.wake(cell)
    return cell.ref as Ref<M>
  }

  spawnSilent(parent: Cell, name: string): Nest {
    const cell = this.#newCell(parent, name, null)
    return {
      path: cell.path,
      spawn: spec => this.spawn(cell, spec),
      child: childName => this.childOf(cell, childName),
      get size() {
        return cell.children?.size ?? 0
      },
    }
  }

  childOf(parent: Cell, name: string): AnyRef | undefined {
    return parent.children?.get(name)?.ref
  }

  #newCell(parent: Cell, name: string, spec: ActorSpec<Message> | null): Cell {
    assert(NAME.test(name), 'the name of an actor is made of letters, digits and _.~-', { name, parent: parent.path })
    assert(!parent.children?.has(name), 'the name of a new actor is free', { name, parent: parent.path })
    const isTop = parent === this.root
    const isOver = isTop ? this.#isStopping : parent.status === 'stopping' || parent.status === 'gone'
    const lane = isOver ? null : isTop ? this.parts.laneFor(name) : parent.lane
    const cell = new Cell(this, parent, name, spec, lane)
    if (isOver) {
      // Its parent ends in this very turn or has ended: nobody would ever stop it, so it does not begin.
      cell.status = 'gone'
      return cell
    }
    if (spec === null) cell.status = 'running'
    parent.children ??= new Map()
    parent.children.set(name, cell)
    return cell
  }

  // ---- Messages -----------------------------------------------------------------------------------------------------

  /** `isOwn`: the actor asked for it itself, so it is taken however full the mailbox is. */
  enqueue(cell: Cell, item: Message, isOwn: boolean): boolean {
    const status = cell.status
    if (status === 'stopping' || status === 'gone') {
      if (!isOwn) this.deadLetter(cell.path, item)
      return false
    }
    let ring = cell.ring
    if (ring === null) {
      if (cell.spec === null) {
        this.deadLetter(cell.path, item)
        return false
      }
      ring = this.rings.take()
      ring.stamp(this.#current === null ? this.monoMs() : this.#lookMs)
      cell.ring = ring
    } else if (ring.size >= cell.capacity && !isOwn && !this.#makeRoom(cell, item)) {
      return false
    }
    ring.push(item)
    if (!cell.scheduled && status !== 'restarting') this.wake(cell)
    return true
  }

  signal(cell: Cell, envelope: Envelope): void {
    this.enqueue(cell, envelope, true)
  }

  /** The mailbox is full. True when the oldest message has made way. */
  #makeRoom(cell: Cell, item: Message): boolean {
    const rare = rareOf(cell)
    rare.refused++
    const mailbox = cell.spec?.mailbox
    this.metrics.count('mailbox_refusals', 1, { kind: cell.spec?.kind ?? 'Nest' })
    if (mailbox?.overflow === 'dropOldest') {
      const dropped = cell.ring?.removeFirst(isForeign)
      if (dropped instanceof QuestionEnvelope) dropped.unread()
      return dropped !== undefined
    }
    if (mailbox?.onRefused !== undefined) {
      try {
        mailbox.onRefused(item instanceof Envelope ? item.content : item)
      } catch (error) {
        // It runs in the turn of the sender, who did nothing wrong.
        this.log.error('on-refused-failed', { actor: cell.path, error })
      }
    }
    return false
  }

  deadLetter(path: string, item: Message): void {
    this.metrics.count('dead_letters')
    this.inspector.noteDeadLetter(path, item)
    if (item instanceof QuestionEnvelope) item.unread()
  }

  // ---- Turns --------------------------------------------------------------------------------------------------------

  /** The executor begins a run of turns: looks at the clock once for all of them. */
  beginTurns(): number {
    this.#lookMs = this.monoMs()
    return this.#lookMs
  }

  /** Gives the cell at the head of a lane its turn; answers the monotonic time at its end. */
  turn(cell: Cell, messagesMax: number): number {
    assert(this.#current === null, 'one actor at a time has its turn', { path: cell.path })
    const beganMs = this.#lookMs
    this.#current = cell
    this.#reading = null
    let endedMs: number
    try {
      if (cell.status === 'running') this.#drain(cell, beganMs, messagesMax)
      else if (cell.status === 'new') this.#start(cell)
      else if (cell.step === 'cleanup') cleanUp(this, cell)
    } finally {
      this.#current = null
      endedMs = this.monoMs()
      this.#lookMs = endedMs
      cell.busyMs += endedMs - beganMs
    }
    cell.scheduled = false
    this.wake(cell)
    return endedMs
  }

  /** Puts the cell in line if it has something to do and is not in line yet. */
  wake(cell: Cell): void {
    if (cell.scheduled) return
    const status = cell.status
    const isReady =
      status === 'running' ? cell.ring !== null && cell.ring.size > 0 : status === 'new' || cell.step === 'cleanup'
    if (!isReady || status === 'gone') return
    cell.scheduled = true
    cell.lane!.makeReady(cell)
  }

  #start(cell: Cell): void {
    cell.context ??= new ActorContext(cell)
    try {
      cell.behaviour = cell.spec!.start(cell.context)
    } catch (error) {
      failed(this, cell, error, 'start')
      return
    }
    if (cell.status === 'new') cell.status = 'running'
  }

  #drain(cell: Cell, beganMs: number, messagesMax: number): void {
    const ring = cell.ring
    const behaviour = cell.behaviour
    if (ring === null || behaviour === null) return
    cell.lastMessageMs = beganMs
    const sliceMs = cell.spec!.sliceMsMax ?? SLICE_MS_MAX
    // What is told from here on waits for the next turn, so actors that keep telling each other alternate.
    const batch = Math.min(ring.size, messagesMax)
    let taken = 0
    let nextLook = 1
    let item: Message = null
    try {
      while (taken < batch) {
        item = ring.shift()
        taken++
        cell.processed++
        this.#reading = null
        if (item instanceof Envelope) item.open(cell, behaviour)
        else behaviour.receive(item)
        if (cell.status !== 'running') break
        if (taken === nextLook && taken < batch) {
          // Looks at the clock as often as the pace so far asks for: after half of what would still fit.
          const leftMs = beganMs + sliceMs - this.monoMs()
          if (leftMs <= 0) break
          const perMessageMs = (sliceMs - leftMs) / taken
          nextLook = taken + Math.min(MESSAGES_PER_LOOK_MAX, Math.max(1, Math.floor(leftMs / (2 * perMessageMs))))
        }
      }
    } catch (error) {
      failed(this, cell, error, typeOfMessage(item))
    }
    if (ring.size > 0) {
      ring.remark(taken, this.#lookMs)
    } else {
      cell.ring = null
      this.rings.give(ring)
    }
  }

  // ---- The end of actors -------------------------------------------------------------------------------------------

  requestStop(cell: Cell): void {
    requestStop(this, cell)
  }

  stopActor(cell: Cell): Promise<void> {
    return new Promise(resolve => {
      if (cell.status === 'gone') return resolve()
      const rare = rareOf(cell)
      rare.whenGone ??= []
      rare.whenGone.push(resolve)
      requestStop(this, cell)
    })
  }

  async stopAll(): Promise<void> {
    this.#isStopping = true
    for (const cell of [...(this.root.children?.values() ?? [])].reverse()) await this.stopActor(cell)
    this.timers.close()
  }
}
