/**
 * How many members of a gang find a host, one after another: each that is counted takes its room, and counts for the
 * limits of the next. With one limit this is exact; with several it may fall short of the best arrangement, as the
 * placement itself may.
 */
import type { HostFilter, PreparedAsk } from './host-filter.ts'

export class GangRoom {
  readonly #missing: number
  readonly #taken = new Map<string, Map<string, number>>()
  fitting = 0

  /** `missing`: members that have no place yet. */
  constructor(missing: number) {
    this.#missing = missing
  }

  get isShort(): boolean {
    return this.fitting < this.#missing
  }

  /** A host where nothing stands in the way of one member. */
  note(prepared: PreparedAsk, filter: HostFilter, slot: number): void {
    for (let left = filter.times(prepared, slot, this.#missing - this.fitting); left > 0; left--) {
      if (!this.#takeLimits(prepared, slot)) return
      this.fitting++
    }
  }

  /** `2 of 3 members fit`: what would help a gang that is short. */
  help(): string {
    return `${this.fitting} of ${this.#missing} members fit: add hosts or lower gang`
  }

  #takeLimits({ limits }: PreparedAsk, slot: number): boolean {
    const used: [taken: Map<string, number>, value: string, count: number][] = []
    for (const { name, limit, column, counts } of limits) {
      const taken = this.#taken.get(name) ?? new Map<string, number>()
      this.#taken.set(name, taken)
      for (const value of column.valuesOf(slot) ?? []) {
        const count = taken.get(value) ?? 0
        if ((counts.get(value) ?? 0) + count >= limit) return false
        used.push([taken, value, count + 1])
      }
    }
    for (const [taken, value, count] of used) taken.set(value, count)
    return true
  }
}
