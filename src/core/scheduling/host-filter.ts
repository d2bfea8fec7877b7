/**
 * Whether a task may go to a host, asked of the columns: the same answer as `vetoes` gives for the host as an object,
 * claims of others and planned times away included, in a few reads. Whoever wants to know why asks `reasons`.
 */
import type { InstanceId } from '../base/ids.ts'
import type { Instant } from '../base/time.ts'
import { ABSENT, type AttributeColumn } from '../offers/attribute-columns.ts'
import type { ClaimOwner } from '../offers/claims.ts'
import { timesFitting } from '../offers/needs.ts'
import type { OfferBook } from '../offers/offer-book.ts'
import type { Ask } from './ask.ts'
import { AGENT, type ValueCounts } from './limit-counters.ts'
import { ALLOWED, type Shape, type Shapes } from './shape.ts'

export interface FilterOptions {
  /** A host that is planned to be away within so long takes nothing new, ms. */
  readonly unavailabilityThresholdMs: number
}

export type CountsOf = (ask: Ask, attribute: string) => ValueCounts

/** An ask with everything that is looked up once per pass. */
export interface PreparedAsk {
  readonly ask: Ask
  readonly nowMs: Instant
  readonly shape: Shape
  readonly limits: readonly {
    readonly name: string
    readonly limit: number
    readonly column: AttributeColumn
    readonly counts: ValueCounts
  }[]
  /** Of the job's tasks by agent; null where it does not matter. */
  readonly byAgent: ValueCounts | null
  /** This host will not do: the task has just failed there. */
  readonly avoidedSlot?: number
  /** The instance that asks, where its own claim counts as free. */
  readonly instance?: InstanceId
}

export class HostFilter {
  readonly #book: OfferBook
  readonly #shapes: Shapes
  readonly #countsOf: CountsOf
  readonly #options: FilterOptions

  constructor(book: OfferBook, shapes: Shapes, countsOf: CountsOf, options: FilterOptions) {
    this.#book = book
    this.#shapes = shapes
    this.#countsOf = countsOf
    this.#options = options
  }

  prepare(ask: Ask, nowMs: Instant): PreparedAsk {
    const limits = ask.limits.map(({ name, limit }) => ({
      name,
      limit,
      column: this.#book.attributes.column(name),
      counts: this.#countsOf(ask, name),
    }))
    const byAgent = ask.isEveryHost ? this.#countsOf(ask, AGENT) : null
    return { ask, nowMs, shape: this.#shapes.shape(ask.constraints), limits, byAgent }
  }

  /** How many tasks the host has room for, at most `most`; limits are not looked at. 0 also when the machine refuses. */
  times(prepared: PreparedAsk, slot: number, most: number): number {
    const { ask, nowMs, shape, avoidedSlot } = prepared
    const { columns } = this.#book
    if (slot === avoidedSlot) return 0
    let times = columns.times(slot, ask.needs, ask.isRevocable, most)
    if (times === 0 || shape.verdict(slot) !== ALLOWED || this.isAway(slot, nowMs)) return 0
    if (columns.claimed[slot] === 1) times = this.#timesBesideClaims(prepared, slot, times)
    return times
  }

  isWithinLimits({ limits, byAgent }: PreparedAsk, slot: number): boolean {
    for (const { limit, column, counts } of limits) {
      const number = column.of[slot]!
      if (number === ABSENT) return false
      for (const value of column.sets[number]!) if ((counts.get(value) ?? 0) >= limit) return false
    }
    return byAgent === null || !byAgent.has(this.#book.agentAt(slot))
  }

  /** The first limit that is used up; null when none is. */
  limitReached({ limits, byAgent }: PreparedAsk, slot: number): string | null {
    for (const { name, limit, column, counts } of limits) {
      const values = column.valuesOf(slot) ?? []
      if (values.some(value => (counts.get(value) ?? 0) >= limit)) return name
    }
    return byAgent?.has(this.#book.agentAt(slot)) ? 'host' : null
  }

  fits(prepared: PreparedAsk, slot: number): boolean {
    return this.times(prepared, slot, 1) > 0 && this.isWithinLimits(prepared, slot)
  }

  isAway(slot: number, nowMs: Instant): boolean {
    return this.#book.columns.isAway(slot, nowMs, this.#options.unavailabilityThresholdMs)
  }

  #timesBesideClaims({ ask, instance }: PreparedAsk, slot: number, most: number): number {
    const isMine = (owner: ClaimOwner): boolean =>
      owner.type === 'group' ? owner.configId === ask.configId : owner.instance === instance && owner.job === ask.job
    const host = this.#book.at(slot)
    const free = ask.isRevocable ? host.freeRevocable : host.free
    return timesFitting(this.#book.claims.freeFor(slot, free, ask.isRevocable, isMine), ask.needs, most)
  }
}
