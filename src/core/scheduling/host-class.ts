/**
 * Hosts that are equal for the soft rules of a job: of one rank, and with the same values of every attribute that the
 * rules name. Fifty thousand hosts may be put into classes for one task, so a host is a number here until it is chosen.
 */
import type { AttributeColumn } from '../offers/attribute-columns.ts'
import { rankOf } from '../offers/candidate-order.ts'
import type { Host } from '../offers/offer-book.ts'
import type { AttributeSet } from './constraints.ts'

/** Its hosts in the order of candidates, turn by turn. */
export class HostClass {
  readonly rank: number
  readonly attributes: AttributeSet
  /** In front those that stay for the next turn, then used up ones, then those to come. */
  readonly #slots: number[] = []
  /** By index: how many more the host takes; absent until it is first tried. */
  readonly #left: (number | undefined)[] = []
  /** The next one to be tried. */
  #at = 0
  /** So many stay for the next turn. */
  #kept = 0

  constructor({ attributes }: Pick<Host, 'attributes'>, rank: number) {
    this.attributes = attributes
    this.rank = rank
  }

  push(slot: number): void {
    this.#slots.push(slot)
  }

  /**
   * The slot of the next host that may take one; null when none is left, and then the class is of no use any more.
   * `timesOf`: how many a host has room for; `take`: false when a limit stands in the way. `isPacking`: a host is filled
   * before the next one has its turn.
   */
  take(timesOf: (slot: number) => number, take: (slot: number) => boolean, isPacking: boolean): number | null {
    for (;;) {
      if (this.#at === this.#slots.length && !this.#nextTurn()) return null
      const at = this.#at
      const slot = this.#slots[at]!
      const isTaken = take(slot)
      const left = isTaken ? (this.#left[at] ?? timesOf(slot)) - 1 : 0
      if (left > 0 && isPacking) {
        this.#left[at] = left
        return slot
      }
      this.#at++
      if (left > 0) {
        this.#slots[this.#kept] = slot
        this.#left[this.#kept++] = left
      }
      if (isTaken) return slot
    }
  }

  /** The first that took none: whoever stays for the next turn has taken one in this. */
  firstFree(taken: ReadonlySet<number>): number | null {
    for (let n = this.#at; n < this.#slots.length; n++) if (!taken.has(this.#slots[n]!)) return this.#slots[n]!
    return null
  }

  #nextTurn(): boolean {
    this.#slots.length = this.#kept
    this.#left.length = this.#kept
    this.#at = 0
    this.#kept = 0
    return this.#slots.length > 0
  }
}

/** The last level holds classes, those above it branches. */
type Branch = Map<number, Branch | HostClass>

export class HostClasses {
  readonly all: HostClass[] = []
  readonly #columns: readonly AttributeColumn[]
  /** By rank, then by column: the number that the host's set of values has in there. */
  readonly #tree: Branch = new Map()

  /** Of the attributes that the rules name, each once. */
  constructor(columns: readonly AttributeColumn[]) {
    this.#columns = columns
  }

  add(host: Host): void {
    // The rank comes first: a host that is about to be maintained is no better for being preferred.
    const rank = rankOf(host)
    let branch = this.#tree
    let number = rank
    for (const { of } of this.#columns) {
      let next = branch.get(number) as Branch | undefined
      if (next === undefined) {
        next = new Map()
        branch.set(number, next)
      }
      branch = next
      number = of[host.slot]!
    }
    let hosts = branch.get(number) as HostClass | undefined
    if (hosts === undefined) {
      hosts = new HostClass(host, rank)
      branch.set(number, hosts)
      this.all.push(hosts)
    }
    hosts.push(host.slot)
  }
}
