/**
 * Every moment that actors of one system wait for, in one heap: keyed timers, ask deadlines, back-offs. The world is
 * asked for a single wake-up, at the earliest of them, and for none at all when nothing waits: an idle system costs no
 * CPU. A heap and not a wheel, because moments stay exact, which the simulation needs, and equal moments fire in the
 * order they were asked for.
 */
import { assert } from '../../core/base/assert.ts'

/** Where wake-ups come from: the event loop, a virtual clock, or a test's hand. */
export interface TimerSource {
  /** Calls `wake` once after that time, not before it; answers how to call it off. */
  wakeAfter(afterMs: number, wake: () => void): () => void
}

export abstract class TimerEntry {
  /** On the monotonic clock. */
  dueMs = 0
  /** Breaks ties in the order of asking. */
  order = 0
  /** Place in the heap, -1 while not waiting. */
  place = -1
  abstract fire(): void
  /** The queue is closed: it will never fire. */
  abandon(): void {}
}

export class CallTimer extends TimerEntry {
  readonly #call: () => void

  constructor(call: () => void) {
    super()
    this.#call = call
  }

  override fire(): void {
    this.#call()
  }
}

export class TimerQueue {
  readonly #heap: TimerEntry[] = []
  readonly #monoMs: () => number
  readonly #source: TimerSource
  #orders = 0
  #armedForMs = Number.POSITIVE_INFINITY
  #disarm: (() => void) | null = null

  constructor(monoMs: () => number, source: TimerSource) {
    this.#monoMs = monoMs
    this.#source = source
  }

  get size(): number {
    return this.#heap.length
  }

  /** Infinity when nothing waits. */
  get nextDueMs(): number {
    return this.#heap[0]?.dueMs ?? Number.POSITIVE_INFINITY
  }

  add(entry: TimerEntry, dueMs: number): void {
    assert(entry.place === -1, 'a timer waits at most once')
    entry.dueMs = dueMs
    entry.order = ++this.#orders
    this.#heap.push(entry)
    this.#up(entry, this.#heap.length - 1)
    if (dueMs < this.#armedForMs) this.#arm()
  }

  remove(entry: TimerEntry): void {
    const place = entry.place
    if (place === -1) return
    entry.place = -1
    const last = this.#heap.pop()!
    if (last === entry) return
    this.#up(last, place)
    this.#down(last, last.place)
    // The wake-up stays armed: a spurious one costs less than arming anew for every ask that was answered in time.
  }

  /** Fires what is due, in order of moment and asking; entries added meanwhile wait for the next call. */
  fireDue(): void {
    const now = this.#monoMs()
    const ordersMax = this.#orders
    for (;;) {
      const first = this.#heap[0]
      if (first === undefined || first.dueMs > now || first.order > ordersMax) break
      this.remove(first)
      first.fire()
    }
    this.#arm()
  }

  /** Forgets everything. */
  close(): void {
    const abandoned = this.#heap.splice(0)
    for (const entry of abandoned) entry.place = -1
    for (const entry of abandoned) entry.abandon()
    this.#arm()
  }

  #arm(): void {
    const dueMs = this.nextDueMs
    this.#disarm?.()
    this.#disarm = null
    this.#armedForMs = dueMs
    if (dueMs === Number.POSITIVE_INFINITY) return
    this.#disarm = this.#source.wakeAfter(Math.max(0, dueMs - this.#monoMs()), () => {
      this.#disarm = null
      this.#armedForMs = Number.POSITIVE_INFINITY
      this.fireDue()
    })
  }

  #up(entry: TimerEntry, from: number): void {
    const heap = this.#heap
    let place = from
    while (place > 0) {
      const above = (place - 1) >> 1
      const other = heap[above]!
      if (!isBefore(entry, other)) break
      heap[place] = other
      other.place = place
      place = above
    }
    heap[place] = entry
    entry.place = place
  }

  #down(entry: TimerEntry, from: number): void {
    const heap = this.#heap
    const half = heap.length >> 1
    let place = from
    while (place < half) {
      let below = 2 * place + 1
      if (below + 1 < heap.length && isBefore(heap[below + 1]!, heap[below]!)) below++
      const other = heap[below]!
      if (!isBefore(other, entry)) break
      heap[place] = other
      other.place = place
      place = below
    }
    heap[place] = entry
    entry.place = place
  }
}

function isBefore(a: TimerEntry, b: TimerEntry): boolean {
  return a.dueMs < b.dueMs || (a.dueMs === b.dueMs && a.order < b.order)
}
