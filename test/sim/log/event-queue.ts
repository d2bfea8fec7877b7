/**
 * Everything that will happen in a simulated world, ordered by moment and, within one moment, by a seeded draw: no order
 * between things of one moment is promised by anybody, so none is relied upon.
 */
import type { Prng } from '../../../src/core/base/prng.ts'

interface Event {
  readonly atMs: number
  readonly tie: number
  run: (() => void) | null
}

export class EventQueue {
  nowMs = 0
  readonly #heap: Event[] = []
  readonly #random: Prng

  constructor(random: Prng) {
    this.#random = random
  }

  /** Answers how to call it off. */
  after(delayMs: number, run: () => void): () => void {
    const event: Event = { atMs: this.nowMs + delayMs, tie: this.#random.next(), run }
    this.#push(event)
    return () => {
      event.run = null
    }
  }

  /** Runs the next event if it is not after `limitMs`; false when there is none. */
  step(limitMs: number): boolean {
    for (let first = this.#heap[0]; first !== undefined; first = this.#heap[0]) {
      if (first.run !== null && first.atMs > limitMs) break
      this.#pop()
      if (first.run === null) continue
      this.nowMs = first.atMs
      first.run()
      return true
    }
    return false
  }

  #push(event: Event): void {
    const heap = this.#heap
    let place = heap.length
    heap.push(event)
    while (place > 0) {
      const above = (place - 1) >> 1
      if (!isBefore(event, heap[above]!)) break
      heap[place] = heap[above]!
      place = above
    }
    heap[place] = event
  }

  #pop(): void {
    const heap = this.#heap
    const last = heap.pop()!
    if (heap.length === 0) return
    let place = 0
    for (;;) {
      let below = 2 * place + 1
      if (below >= heap.length) break
      if (below + 1 < heap.length && isBefore(heap[below + 1]!, heap[below]!)) below++
      if (!isBefore(heap[below]!, last)) break
      heap[place] = heap[below]!
      place = below
    }
    heap[place] = last
  }
}

function isBefore(a: Event, b: Event): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.tie < b.tie)
}
