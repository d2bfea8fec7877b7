/**
 * In which order hosts are tried for a task. First by mode (a host about to be maintained is used last), then those for
 * which no time away is planned, then hosts with GPUs after those without (D21; a task that wants a GPU skips the others
 * anyway), then those that will be away latest, then by policy:
 *
 * - RANDOM first in the list: a fresh random order for every walk, drawn one host at a time, so that a walk that ends
 *   at the first host costs one draw. A restarted task usually escapes a bad host this way.
 * - any other list: an index kept sorted, fullest host first by the named amounts.
 *
 * Every order ends in the slot number, so that no two hosts ever compare equal (D2). A walk leaves no trace: the same
 * hosts and the same seed give the same order.
 */
import { assert } from '../base/assert.ts'
import type { Prng } from '../base/prng.ts'
import type { HostMode } from '../ledger/rows.ts'
import type { Needs } from './needs.ts'

/** Source: Aurora's `offer_order`; compounded left to right. */
export const OFFER_ORDERS = ['RANDOM', 'CPU', 'MEMORY', 'DISK', 'REVOCABLE_CPU'] as const
export type OfferOrder = (typeof OFFER_ORDERS)[number]
export const OFFER_ORDER_DEFAULT: readonly OfferOrder[] = ['RANDOM']
/** Fullest host first: fewest hosts in use. */
export const OFFER_ORDER_PACKING: readonly OfferOrder[] = ['CPU', 'MEMORY', 'RANDOM']

export interface Candidate {
  readonly slot: number
  readonly mode: HostMode
  readonly total: Needs
  readonly free: Needs
  /** Thousandths of a core that are lent and free. */
  readonly revocableMilli: number
  /** When it is planned to be away, wall ms; infinite where nothing is planned. */
  readonly awayFromMs: number
}

export interface CandidateOrder {
  /** True when hosts are to be filled one by one; false when a group is to be spread over them. */
  readonly isPacking: boolean
  add(host: Candidate): void
  remove(host: Candidate): void
  /** Its free amounts, mode or GPUs have changed. Never during a walk. */
  changed(host: Candidate): void
  /** Best first; ends early when `visit` answers true. The order must not be changed meanwhile, nor walked. */
  walk(random: Prng, visit: (slot: number) => boolean): void
}

export function candidateOrder(order: readonly OfferOrder[], random: Prng): CandidateOrder {
  return order.length === 0 || order[0] === 'RANDOM' ? new RandomOrder() : new SortedOrder(order, random)
}

const MODE_RANKS: Readonly<Record<HostMode, number>> = { NONE: 0, SCHEDULED: 1, DRAINING: 2, DRAINED: 3 }
const RANKS = 16
/** Of a rank: a time away is planned. */
const IS_AWAY = 2

/** Hosts of a lower rank are used up before one of a higher rank is touched. */
export function rankOf(host: Candidate): number {
  return (
    (host.mode === 'NONE' ? 0 : MODE_RANKS[host.mode] * 4) +
    (host.awayFromMs < Number.POSITIVE_INFINITY ? IS_AWAY : 0) +
    (host.total.gpus > 0 ? 1 : 0)
  )
}

class RandomOrder implements CandidateOrder {
  readonly isPacking = false
  readonly #slotsByRank: number[][] = Array.from({ length: RANKS }, () => [])
  /** By slot: the rank it stands in, -1 when it is no candidate, and where. */
  readonly #ranks: number[] = []
  readonly #indices: number[] = []
  /** By slot; read for hosts with a planned time away only. */
  readonly #awayFromMs: number[] = []
  /** Where the steps of a walk went, to take them back. */
  #steps = new Int32Array(64)

  add(host: Candidate): void {
    const { slot } = host
    assert((this.#ranks[slot] ?? -1) === -1, 'a host is a candidate once', { slot })
    for (let gap = this.#ranks.length; gap < slot; gap++) {
      this.#ranks[gap] = -1
      this.#indices[gap] = -1
      this.#awayFromMs[gap] = 0
    }
    const rank = rankOf(host)
    const slots = this.#slotsByRank[rank]!
    this.#ranks[slot] = rank
    this.#indices[slot] = slots.length
    this.#awayFromMs[slot] = host.awayFromMs
    slots.push(slot)
  }

  remove(host: Candidate): void {
    const { slot } = host
    const rank = this.#ranks[slot] ?? -1
    assert(rank !== -1, 'only a candidate is removed', { slot })
    const slots = this.#slotsByRank[rank]!
    const last = slots.pop()!
    if (last !== slot) {
      slots[this.#indices[slot]!] = last
      this.#indices[last] = this.#indices[slot]!
    }
    this.#ranks[slot] = -1
  }

  changed(host: Candidate): void {
    if (this.#ranks[host.slot] === rankOf(host) && this.#awayFromMs[host.slot] === host.awayFromMs) return
    this.remove(host)
    this.add(host)
  }

  walk(random: Prng, visit: (slot: number) => boolean): void {
    for (let rank = 0; rank < RANKS; rank++) {
      const slots = this.#slotsByRank[rank]!
      if (slots.length === 0) continue
      if ((rank & IS_AWAY) === 0 ? this.#walkDrawn(slots, random, visit) : this.#walkByTime(slots, visit)) return
    }
  }

  /** Fisher and Yates, one step per host that is looked at; the steps are taken back afterwards. */
  #walkDrawn(slots: number[], random: Prng, visit: (slot: number) => boolean): boolean {
    if (this.#steps.length < slots.length) this.#steps = new Int32Array(slots.length * 2)
    const steps = this.#steps
    let taken = 0
    let isOver = false
    while (taken < slots.length && !isOver) {
      const other = random.int(taken, slots.length)
      const slot = slots[other]!
      slots[other] = slots[taken]!
      slots[taken] = slot
      steps[taken++] = other
      isOver = visit(slot)
    }
    while (taken > 0) {
      const other = steps[--taken]!
      const slot = slots[taken]!
      slots[taken] = slots[other]!
      slots[other] = slot
    }
    return isOver
  }

  /** Those that will be away latest come first. There are few. */
  #walkByTime(slots: readonly number[], visit: (slot: number) => boolean): boolean {
    const from = this.#awayFromMs
    return slots.toSorted((a, b) => from[b]! - from[a]! || a - b).some(visit)
  }
}

class SortedOrder implements CandidateOrder {
  readonly isPacking = true
  readonly #order: readonly OfferOrder[]
  readonly #random: Prng
  /** Slots, best first; the first `#count` are in use. */
  #sorted = new Int32Array(64)
  #count = 0
  /** By slot: what it is sorted by, rank first and slot last. */
  readonly #keys: (readonly number[] | undefined)[] = []
  readonly #randomRanks: number[] = []

  constructor(order: readonly OfferOrder[], random: Prng) {
    this.#order = order
    this.#random = random
  }

  add(host: Candidate): void {
    assert(this.#keys[host.slot] === undefined, 'a host is a candidate once', { slot: host.slot })
    this.#randomRanks[host.slot] = this.#random.next()
    if (this.#count === this.#sorted.length) {
      const larger = new Int32Array(this.#count * 2)
      larger.set(this.#sorted)
      this.#sorted = larger
    }
    const key = this.#keyOf(host)
    const index = this.#search(key, 0, this.#count)
    this.#sorted.copyWithin(index + 1, index, this.#count)
    this.#sorted[index] = host.slot
    this.#keys[host.slot] = key
    this.#count++
  }

  remove(host: Candidate): void {
    const index = this.#indexOf(host.slot)
    this.#sorted.copyWithin(index, index + 1, this.#count)
    this.#keys[host.slot] = undefined
    this.#count--
  }

  changed(host: Candidate): void {
    const { slot } = host
    const from = this.#indexOf(slot)
    const key = this.#keyOf(host)
    const sorted = this.#sorted
    if (from > 0 && isBelow(key, this.#keys[sorted[from - 1]!]!)) {
      const to = this.#search(key, 0, from)
      sorted.copyWithin(to + 1, to, from)
      sorted[to] = slot
    } else if (from + 1 < this.#count && isBelow(this.#keys[sorted[from + 1]!]!, key)) {
      const to = this.#search(key, from + 1, this.#count) - 1
      sorted.copyWithin(from, from + 1, to + 1)
      sorted[to] = slot
    }
    this.#keys[slot] = key
  }

  walk(_random: Prng, visit: (slot: number) => boolean): void {
    for (let i = 0; i < this.#count; i++) if (visit(this.#sorted[i]!)) return
  }

  #keyOf(host: Candidate): readonly number[] {
    const { awayFromMs } = host
    const key = [rankOf(host), awayFromMs < Number.POSITIVE_INFINITY ? -awayFromMs : 0]
    for (const by of this.#order) key.push(this.#amount(host, by))
    key.push(host.slot)
    return key
  }

  #indexOf(slot: number): number {
    const key = this.#keys[slot]
    assert(key !== undefined, 'only a candidate has a place', { slot })
    const index = this.#search(key, 0, this.#count)
    assert(this.#sorted[index] === slot, 'the index is sorted by the keys it remembers', { slot, index })
    return index
  }

  #amount(host: Candidate, by: OfferOrder): number {
    switch (by) {
      case 'CPU':
        return host.free.cpusMilli
      case 'MEMORY':
        return host.free.ramMb
      case 'DISK':
        return host.free.diskMb
      case 'REVOCABLE_CPU':
        return host.revocableMilli === 0 ? Number.POSITIVE_INFINITY : host.revocableMilli
      case 'RANDOM':
        return this.#randomRanks[host.slot]!
    }
  }

  /** Index in [from, to] of the first slot whose key is not below `key`. */
  #search(key: readonly number[], from: number, to: number): number {
    let low = from
    let high = to
    while (low < high) {
      const middle = (low + high) >>> 1
      if (isBelow(this.#keys[this.#sorted[middle]!]!, key)) low = middle + 1
      else high = middle
    }
    return low
  }
}

function isBelow(a: readonly number[], b: readonly number[]): boolean {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return a[i]! < b[i]!
  return false
}
