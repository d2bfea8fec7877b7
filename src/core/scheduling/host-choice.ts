/**
 * Which hosts a group of equal tasks goes to. A group is served in one pass over the candidates, and the pass is never
 * begun again for the next task.
 *
 * Under a random order a group is spread: one task per host and turn, as Aurora's one task per offer does; under a
 * packing order each host is filled as far as resources and limits allow. With soft rules all hosts that fit are
 * compared, and the order decides between equals.
 *
 * Whoever is chosen is counted at once, so that a limit holds inside the pass too (D1).
 */
import type { Prng } from '../base/prng.ts'
import type { PlacementCandidate } from '../ledger/rows.ts'
import type { OfferBook } from '../offers/offer-book.ts'
import { type HostClass, HostClasses } from './host-class.ts'
import type { CountsOf, HostFilter, PreparedAsk } from './host-filter.ts'
import {
  FallingHeap,
  type Scored,
  type SoftRules,
  type SpreadFacts,
  scoredHost,
  scoreOfHost,
  spreadFacts,
} from './soft-rules.ts'

export interface Choice {
  /** Of the host. */
  readonly slot: number
  /** Null where hosts were not compared. */
  readonly scored: Scored | null
}

export interface Choices {
  readonly chosen: readonly Choice[]
  /** Hosts that were looked at. */
  readonly looked: number
  /** The best hosts that fitted and took none, best first; empty where hosts were not compared. */
  readonly others: readonly PlacementCandidate[]
}

const OTHERS_MAX = 3

export class HostChoice {
  readonly #book: OfferBook
  readonly #filter: HostFilter
  readonly #countsOf: CountsOf
  /** The host gets one more task of the job. */
  readonly #count: (job: string, slot: number) => void

  constructor(book: OfferBook, filter: HostFilter, countsOf: CountsOf, count: (job: string, slot: number) => void) {
    this.#book = book
    this.#filter = filter
    this.#countsOf = countsOf
    this.#count = count
  }

  /** One host per task that finds one, at most `count`. `waiting`: tasks of the group, those that find none included. */
  choose(prepared: PreparedAsk, count: number, random: Prng): Choices {
    const { soft } = prepared.ask
    return soft === null ? this.#first(prepared, count, random) : this.#best(prepared, soft, count, random)
  }

  #take(prepared: PreparedAsk, slot: number): boolean {
    if (!this.#filter.isWithinLimits(prepared, slot)) return false
    this.#count(prepared.ask.job, slot)
    return true
  }

  #first(prepared: PreparedAsk, count: number, random: Prng): Choices {
    const { candidates, columns } = this.#book
    const { job } = prepared.ask
    const chosen: Choice[] = []
    let looked = 0
    // Hosts that are alike in what comes before the policy.
    let rank = -1
    let awayFromMs = Number.NaN
    let withRoom: { readonly slot: number; left: number }[] = []
    const take = (slot: number): boolean => {
      if (!this.#take(prepared, slot)) return false
      chosen.push({ slot, scored: null })
      return true
    }
    const useUpRank = (): void => {
      while (withRoom.length > 0 && chosen.length < count) {
        withRoom = withRoom.filter(entry => {
          if (chosen.length === count || !take(entry.slot)) return false
          return --entry.left > 0
        })
      }
      withRoom = []
    }
    candidates.walk(random, slot => {
      looked++
      const times = this.#filter.times(prepared, slot, count - chosen.length)
      // A limit that is used up stays so in this pass: most hosts of a full job end here, and none is touched as an object.
      if (times === 0 || !this.#filter.isWithinLimits(prepared, slot)) return false
      if (columns.ranks[slot] !== rank || columns.awayFromMs(slot) !== awayFromMs) {
        useUpRank()
        rank = columns.ranks[slot]!
        awayFromMs = columns.awayFromMs(slot)
        if (chosen.length === count) return true
        // Those of the rank before may have used up a limit.
        if (!this.#filter.isWithinLimits(prepared, slot)) return false
      }
      this.#count(job, slot)
      chosen.push({ slot, scored: null })
      if (candidates.isPacking) {
        for (let n = 1; n < times; n++) if (!take(slot)) break
      } else if (times > 1) {
        withRoom.push({ slot, left: times - 1 })
      }
      return chosen.length === count
    })
    useUpRank()
    return { chosen, looked, others: [] }
  }

  #best(prepared: PreparedAsk, soft: SoftRules, count: number, random: Prng): Choices {
    const { candidates } = this.#book
    const { ask } = prepared
    const names = new Set([...soft.prefer, ...soft.spread].map(({ attribute }) => attribute))
    const classes = new HostClasses([...names].map(name => this.#book.attributes.column(name)))
    const classesMax = soft.prefer.length > 0 ? Number.POSITIVE_INFINITY : Math.max(CLASSES_MAX, 2 * count)
    let looked = 0
    candidates.walk(random, slot => {
      looked++
      if (this.#filter.times(prepared, slot, 1) > 0) classes.add(this.#book.at(slot))
      return classes.all.length >= classesMax
    })

    const spreads = soft.spread.map((rule): SpreadFacts => {
      const values = new Set<string>()
      for (const { attributes } of classes.all)
        for (const value of attributes.get(rule.attribute) ?? []) values.add(value)
      const counts = this.#countsOf(ask, rule.attribute)
      let instances = count
      for (const n of counts.values()) instances += n
      return spreadFacts(rule, counts, values, instances)
    })
    const heap = new FallingHeap<HostClass>(({ attributes, rank }) => {
      return scoreOfHost(soft, spreads, attributes) - rank * RANK_WEIGHT
    })
    for (const hosts of classes.all) heap.push(hosts)

    const chosen: Choice[] = []
    const taken = new Set<number>()
    const timesOf = (slot: number): number => this.#filter.times(prepared, slot, count)
    const take = (slot: number): boolean => this.#take(prepared, slot)
    while (chosen.length < count) {
      const best = heap.pop()
      if (best === undefined) break
      const scored = scoredHost(soft, spreads, best.attributes)
      const slot = best.take(timesOf, take, candidates.isPacking)
      if (slot === null) continue
      chosen.push({ slot, scored })
      taken.add(slot)
      heap.push(best)
    }

    const others: PlacementCandidate[] = []
    while (others.length < OTHERS_MAX) {
      const best = heap.pop()
      if (best === undefined) break
      const slot = best.firstFree(taken)
      if (slot === null) continue
      others.push({ host: this.#book.nameAt(slot), ...scoredHost(soft, spreads, best.attributes) })
    }
    return { chosen, looked, others }
  }
}

/**
 * A spread over an attribute that tells every host apart makes as many classes as hosts. So many that fit, drawn by chance,
 * are choice enough; comparing fifty thousand would make a turn long. A preferred host, though, may be the last one.
 */
const CLASSES_MAX = 10_000

/** More than all soft rules of a job together. */
const RANK_WEIGHT = 1_000_000
