/**
 * The queue of one actor: a ring that grows by doubling and holds what was told, oldest first.
 *
 * Most actors are idle most of the time, so an actor owns a ring only while something is queued: the ring comes from a
 * pool at the first message and goes back when the last one is taken. A ring that a burst has made big is dropped
 * instead, so that one bad minute does not hold memory for a day.
 */

const SLOTS_MIN = 16
/** A ring beyond this is left to the garbage collector when it is empty. */
const SLOTS_POOLED_MAX = 16_384
const RINGS_POOLED_MAX = 64
/** Slots of all pooled rings together: 4 MiB. */
const POOL_SLOTS_MAX = 524_288

export class Ring<T> {
  #slots: (T | undefined)[] = new Array<T | undefined>(SLOTS_MIN).fill(undefined)
  #mask = SLOTS_MIN - 1
  #head = 0
  size = 0
  /** Since when the oldest item has waited, on the monotonic clock; at most one drain too early. */
  oldestMs = 0
  #markMs = 0
  /** Items that were queued before the mark and are still here, as of the last `remark`. */
  #beforeMark = 0

  /** The ring has just been taken for its first item. */
  stamp(nowMs: number): void {
    this.oldestMs = nowMs
    this.#markMs = nowMs
    this.#beforeMark = 0
  }

  /** After a drain that took `taken` items and left some. Two stamps for the whole ring replace one per item. */
  remark(taken: number, nowMs: number): void {
    this.#beforeMark -= taken
    if (this.#beforeMark > 0) return
    this.oldestMs = this.#markMs
    this.#markMs = nowMs
    this.#beforeMark = this.size
  }

  get slots(): number {
    return this.#slots.length
  }

  push(item: T): void {
    if (this.size > this.#mask) this.#grow()
    this.#slots[(this.#head + this.size) & this.#mask] = item
    this.size++
  }

  /** The oldest; never called on an empty ring. */
  shift(): T {
    const head = this.#head
    const item = this.#slots[head] as T
    this.#slots[head] = undefined
    this.#head = (head + 1) & this.#mask
    this.size--
    return item
  }

  /** The oldest, left where it is. */
  peek(): T | undefined {
    return this.#slots[this.#head]
  }

  /** Removes the oldest item that `fits`; what stood before it keeps its order. */
  removeFirst(fits: (item: T) => boolean): T | undefined {
    for (let at = 0; at < this.size; at++) {
      const item = this.#slots[(this.#head + at) & this.#mask] as T
      if (!fits(item)) continue
      for (let back = at; back > 0; back--) {
        this.#slots[(this.#head + back) & this.#mask] = this.#slots[(this.#head + back - 1) & this.#mask]
      }
      this.shift()
      return item
    }
    return undefined
  }

  #grow(): void {
    const grown = new Array<T | undefined>(this.#slots.length * 2).fill(undefined)
    for (let at = 0; at < this.size; at++) grown[at] = this.#slots[(this.#head + at) & this.#mask]
    this.#slots = grown
    this.#mask = grown.length - 1
    this.#head = 0
  }
}

/** Empty rings, shared by all actors of a system. */
export class RingPool {
  readonly #rings: Ring<unknown>[] = []
  #slots = 0

  take(): Ring<unknown> {
    const ring = this.#rings.pop()
    if (ring === undefined) return new Ring<unknown>()
    this.#slots -= ring.slots
    return ring
  }

  /** Only an empty ring may be given back. */
  give(ring: Ring<unknown>): void {
    if (ring.slots > SLOTS_POOLED_MAX || this.#rings.length >= RINGS_POOLED_MAX) return
    if (this.#slots + ring.slots > POOL_SLOTS_MAX) return
    this.#rings.push(ring)
    this.#slots += ring.slots
  }
}
