/**
 * In which order hosts are tried for a task. First by mode (a host about to be maintained is used last), then hosts
 * with GPUs after those without (D21; a task that wants a GPU skips the others anyway), then by policy:
 *
 * - RANDOM first in the list: a fresh random order for every walk, drawn one host at a time, so that a walk that ends
 *   at the first host costs one draw. A restarted task usually escapes a bad host this way.
 * - any other list: an index kept sorted, fullest host first by the named amounts.
 *
 * Every order ends in the slot number, so that no two hosts ever compare equal (D2).
 */
import { assert } from '../base/assert.ts'
import type { Prng } from '../base/prng.ts'
import type { HostMode } from '../ledger/rows.ts'
import type { Needs } from './needs.ts'

/** Source: Aurora's `offer_order`; compounded left to right. */
export type OfferOrder = 'RANDOM' | 'CPU' | 'MEMORY' | 'DISK'
export const OFFER_ORDER_DEFAULT: readonly OfferOrder[] = ['RANDOM']
/** Fullest host first: fewest hosts in use. */
export const OFFER_ORDER_PACKING: readonly OfferOrder[] = ['CPU', 'MEMORY', 'RANDOM']

export interface Candidate {
  readonly slot: number
  readonly mode: HostMode
  readonly total: Needs
  readonly free: Needs
}

export interface CandidateOrder {
  /** True when hosts are to be filled one by one; false when a group is to be spread over them. */
  readonly isPacking: boolean
  add(host: Candidate): void
  remove(host: Candidate): void
  /** Its free amounts, mode or GPUs have changed. Never during a walk. */
  changed(host: Candidate): void
  /** Best first; ends early when `visit` answers true. The order must not be changed meanwhile. */
  walk(visit: (slot: number) => boolean): void
}

export function candidateOrder(order: readonly OfferOrder[], random: Prng): CandidateOrder {
  return order.length === 0 || order[0] === 'RANDOM' ? new RandomOrder(random) : new SortedOrder(order, random)
}

const MODE_RANKS: Readonly<Record<HostMode, number>> = { NONE: 0, SCHEDULED: 1, DRAINING: 2, DRAINED: 3 }
const RANKS = 8

/** Hosts of a lower rank are used up before one of a higher rank is touched. */
export function rankOf(host: Candidate): number {
  return MODE_RANKS[host.mode] * 2 + (host.total.gpus > 0 ? 1 : 0)
}

class RandomOrder implements CandidateOrder {
  readonly isPacking = false
  readonly #random: Prng
  readonly #slotsByRank: number[][] = Array.from({ length: RANKS }, () => [])
  readonly #places = new Map<number, { rank: number; index: number }>()

  constructor(random: Prng) {
    this.#random = random
  }

  add(host: Candidate): void {
    assert(!this.#places.has(host.slot), 'a host is a candidate once', { slot: host.slot })
    const rank = rankOf(host)
    const slots = this.#slotsByRank[rank]!
    this.#places.set(host.slot, { rank, index: slots.length })
    slots.push(host.slot)
  }

  remove(host: Candidate): void {
    const place = this.#places.get(host.slot)
    assert(place !== undefined, 'only a candidate is removed', { slot: host.slot })
    const slots = this.#slotsByRank[place.rank]!
    const last = slots.pop()!
    if (last !== host.slot) {
      slots[place.index] = last
      this.#places.get(last)!.index = place.index
    }
    this.#places.delete(host.slot)
  }

  changed(host: Candidate): void {
    if (this.#places.get(host.slot)?.rank === rankOf(host)) return
    this.remove(host)
    this.add(host)
  }

  walk(visit: (slot: number) => boolean): void {
    for (const slots of this.#slotsByRank) {
      // Fisher and Yates, one step per host that is looked at: any start order gives a uniform one.
      for (let i = 0; i < slots.length; i++) {
        const j = this.#random.int(i, slots.length)
        const slot = slots[j]!
        if (i !== j) {
          slots[j] = slots[i]!
          slots[i] = slot
          this.#places.get(slots[j]!)!.index = j
          this.#places.get(slot)!.index = i
        }
        if (visit(slot)) return
      }
    }
  }
}

class SortedOrder implements CandidateOrder {
  readonly isPacking = true
  readonly #order: readonly OfferOrder[]
  readonly #random: Prng
  /** Slots, best first. */
  readonly #sorted: number[] = []
  /** By slot: what it was sorted by, rank first and slot last. */
  readonly #keys = new Map<number, readonly number[]>()
  readonly #randomRanks = new Map<number, number>()

  constructor(order: readonly OfferOrder[], random: Prng) {
    this.#order = order
    this.#random = random
  }

  add(host: Candidate): void {
    assert(!this.#keys.has(host.slot), 'a host is a candidate once', { slot: host.slot })
    this.#randomRanks.set(host.slot, this.#random.next())
    this.#insert(host)
  }

  remove(host: Candidate): void {
    this.#cut(host.slot)
    this.#randomRanks.delete(host.slot)
  }

  changed(host: Candidate): void {
    this.#cut(host.slot)
    this.#insert(host)
  }

  walk(visit: (slot: number) => boolean): void {
    for (const slot of this.#sorted) if (visit(slot)) return
  }

  #insert(host: Candidate): void {
    const key = [rankOf(host), ...this.#order.map(by => this.#amount(host, by)), host.slot]
    this.#sorted.splice(this.#search(key), 0, host.slot)
    this.#keys.set(host.slot, key)
  }

  #cut(slot: number): void {
    const key = this.#keys.get(slot)
    assert(key !== undefined, 'only a candidate is removed', { slot })
    const index = this.#search(key)
    assert(this.#sorted[index] === slot, 'the index is sorted by the keys it remembers', { slot, index })
    this.#sorted.splice(index, 1)
    this.#keys.delete(slot)
  }

  #amount(host: Candidate, by: OfferOrder): number {
    switch (by) {
      case 'CPU':
        return host.free.cpusMilli
      case 'MEMORY':
        return host.free.ramMb
      case 'DISK':
        return host.free.diskMb
      case 'RANDOM':
        return this.#randomRanks.get(host.slot)!
    }
  }

  /** Index of the first slot whose key is not below `key`. */
  #search(key: readonly number[]): number {
    let low = 0
    let high = this.#sorted.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (isBelow(this.#keys.get(this.#sorted[middle]!)!, key)) low = middle + 1
      else high = middle
    }
    return low
  }
}

function isBelow(a: readonly number[], b: readonly number[]): boolean {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return a[i]! < b[i]!
  return false
}
