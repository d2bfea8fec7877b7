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
import { rankOf } from '../offers/candidate-order.ts'
import type { Host, OfferBook } from '../offers/offer-book.ts'
import type { CountsOf, HostFilter, PreparedAsk } from './host-filter.ts'
import {
  FallingHeap,
  type Scored,
  type SoftRules,
  type SpreadFacts,
  scoreOfHost,
  spreadFacts,
  type ValuesOf,
} from './soft-rules.ts'

export interface Choice {
  readonly host: Host
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
  readonly #count: (job: string, host: Host) => void

  constructor(book: OfferBook, filter: HostFilter, countsOf: CountsOf, count: (job: string, host: Host) => void) {
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

  #take(prepared: PreparedAsk, host: Host): boolean {
    if (!this.#filter.isWithinLimits(prepared, host.slot)) return false
    this.#count(prepared.ask.job, host)
    return true
  }

  #first(prepared: PreparedAsk, count: number, random: Prng): Choices {
    const { candidates } = this.#book
    const chosen: Choice[] = []
    let looked = 0
    // Hosts that are alike in what comes before the policy.
    let rank = -1
    let awayFromMs = Number.NaN
    let withRoom: { readonly host: Host; left: number }[] = []
    const take = (host: Host): boolean => {
      if (!this.#take(prepared, host)) return false
      chosen.push({ host, scored: null })
      return true
    }
    const useUpRank = (): void => {
      while (withRoom.length > 0 && chosen.length < count) {
        withRoom = withRoom.filter(entry => {
          if (chosen.length === count || !take(entry.host)) return false
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
      const host = this.#book.at(slot)
      if (rankOf(host) !== rank || host.awayFromMs !== awayFromMs) {
        useUpRank()
        rank = rankOf(host)
        awayFromMs = host.awayFromMs
        if (chosen.length === count) return true
      }
      if (candidates.isPacking) {
        for (let n = 0; n < times; n++) if (!take(host)) break
      } else if (take(host) && times > 1) {
        withRoom.push({ host, left: times - 1 })
      }
      return chosen.length === count
    })
    useUpRank()
    return { chosen, looked, others: [] }
  }

  #best(prepared: PreparedAsk, soft: SoftRules, count: number, random: Prng): Choices {
    const { candidates } = this.#book
    const { ask } = prepared
    const classes = new Map<string, HostClass>()
    const columns = [...soft.prefer, ...soft.spread].map(({ attribute }) => this.#book.attributes.column(attribute))
    let looked = 0
    candidates.walk(random, slot => {
      looked++
      const times = this.#filter.times(prepared, slot, count)
      if (times === 0) return false
      const host = this.#book.at(slot)
      // The rank comes first: a host that is about to be maintained is no better for being preferred.
      const key = `${rankOf(host)}/${columns.map(column => column.of[slot]).join('/')}`
      const known = classes.get(key)
      const entry = { host, left: times }
      if (known === undefined)
        classes.set(key, { rank: rankOf(host), valuesOf: valuesOf(host), entries: [entry], at: 0, kept: 0 })
      else known.entries.push(entry)
      return false
    })

    const spreads = soft.spread.map((rule): SpreadFacts => {
      const values = new Set<string>()
      for (const { valuesOf: of } of classes.values()) for (const value of of(rule.attribute) ?? []) values.add(value)
      const counts = this.#countsOf(ask, rule.attribute)
      let instances = count
      for (const n of counts.values()) instances += n
      return spreadFacts(rule, counts, values, instances)
    })
    const score = ({ valuesOf: of }: HostClass): Scored => scoreOfHost(soft, spreads, of)
    const heap = new FallingHeap<HostClass>(hosts => score(hosts).score - hosts.rank * RANK_WEIGHT)
    for (const hosts of classes.values()) heap.push(hosts)

    const chosen: Choice[] = []
    const taken = new Set<Host>()
    while (chosen.length < count) {
      const best = heap.pop()
      if (best === undefined) break
      const scored = score(best)
      const host = this.#takeOf(prepared, best)
      if (host === null) continue
      chosen.push({ host, scored })
      taken.add(host)
      heap.push(best)
    }
    return { chosen, looked, others: bestOthers(classes.values(), taken, score) }
  }

  /** The next host of the class that may take one; null when none is left, and then the class is of no use any more. */
  #takeOf(prepared: PreparedAsk, hosts: HostClass): Host | null {
    const { entries } = hosts
    for (;;) {
      if (hosts.at === entries.length) {
        if (hosts.kept === 0) return null
        entries.length = hosts.kept
        hosts.at = 0
        hosts.kept = 0
      }
      const entry = entries[hosts.at]!
      const isTaken = this.#take(prepared, entry.host)
      if (isTaken) entry.left--
      const mayTakeMore = isTaken && entry.left > 0
      if (mayTakeMore && this.#book.candidates.isPacking) return entry.host
      hosts.at++
      if (mayTakeMore) entries[hosts.kept++] = entry
      if (isTaken) return entry.host
    }
  }
}

/** More than all soft rules of a job together. */
const RANK_WEIGHT = 1_000_000

/** Hosts that are equal for the soft rules, in the order of candidates. */
interface HostClass {
  readonly rank: number
  readonly valuesOf: ValuesOf
  /** Gone through turn by turn. In front those that stay for the next turn, then used up ones, then those to come. */
  readonly entries: { readonly host: Host; left: number }[]
  /** The next one to be tried. */
  at: number
  /** So many stay for the next turn. */
  kept: number
}

/** The first of a class that took none: whoever stays for the next turn has taken one in this. */
function nextFree({ entries, at }: HostClass, taken: ReadonlySet<Host>): HostClass['entries'][number] | undefined {
  for (let n = at; n < entries.length; n++) if (!taken.has(entries[n]!.host)) return entries[n]
  return undefined
}

function valuesOf(host: Host): ValuesOf {
  return attribute => host.attributes.get(attribute)
}

function bestOthers(
  classes: Iterable<HostClass>,
  taken: ReadonlySet<Host>,
  score: (hosts: HostClass) => Scored,
): readonly PlacementCandidate[] {
  const others: (PlacementCandidate & { readonly rank: number })[] = []
  for (const hosts of classes) {
    const free = nextFree(hosts, taken)
    if (free !== undefined) others.push({ host: free.host.row.host, ...score(hosts), rank: hosts.rank })
  }
  return others
    .sort((a, b) => a.rank - b.rank || (b.score ?? 0) - (a.score ?? 0))
    .slice(0, OTHERS_MAX)
    .map(({ rank: _, ...candidate }) => candidate)
}
