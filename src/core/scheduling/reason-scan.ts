/**
 * Why nobody takes a task: one pass over all connected hosts that counts what each objects to. Only numbers are touched
 * until the pass is over; then each kind of objection is put into words once.
 */
import { assert } from '../base/assert.ts'
import type { HostColumns } from '../offers/host-columns.ts'
import { NEED_KINDS, type Needs } from '../offers/needs.ts'
import type { OfferBook } from '../offers/offer-book.ts'
import type { HostFilter, PreparedAsk } from './host-filter.ts'
import { type Reasons, ReasonTally, scoreOf } from './pending-reasons.ts'
import { ALLOWED, isOfMachine } from './shape.ts'
import {
  gangVeto,
  limitReachedVeto,
  RESERVED_VETO,
  shortageScore,
  shortages,
  unavailabilityVeto,
  type Veto,
} from './veto.ts'
import type { VetoCounts } from './veto-counts.ts'

/** Equal objections: how many hosts have them. */
interface Objection {
  readonly vetoes: readonly Veto[]
  score: number
  hosts: number
}

/** `found`: of a gang, how many tasks would have found a host. What objects is added to `counts`. */
export function scanReasons(
  book: OfferBook,
  filter: HostFilter,
  prepared: PreparedAsk,
  found: number,
  counts: VetoCounts,
): Reasons {
  const { ask, shape, nowMs } = prepared
  const { columns } = book
  const objections = new Map<string | number, Objection>()
  const note = (key: string | number, make: () => readonly Veto[]): void => {
    const known = objections.get(key)
    if (known !== undefined) {
      known.hosts++
      return
    }
    const vetoes = make()
    objections.set(key, { vetoes, hosts: 1, score: scoreOf(vetoes) })
  }
  const short = new Shortage(columns, ask.needs, ask.isRevocable)
  const largest = NEED_KINDS.map(() => -1)

  for (let slot = 0; slot < book.slotsMax; slot++) {
    if (columns.connected[slot] === 0) continue
    const verdict = shape.verdict(slot)
    const isAway = filter.isAway(slot, nowMs)
    if (verdict !== ALLOWED && (!isAway || isOfMachine(verdict))) {
      note(verdict, () => [shape.veto(verdict, book.at(slot))])
      continue
    }
    if (isAway) {
      const { awayFromMs } = book.at(slot)
      note(`away ${awayFromMs}`, () => [unavailabilityVeto(awayFromMs)])
      continue
    }
    const limit = filter.limitReached(prepared, slot)
    if (limit !== null) {
      note(`limit ${limit}`, () => [limitReachedVeto(limit)])
      continue
    }
    short.look(slot)
    if (short.mask === 0) {
      const isReserved = columns.claimed[slot] === 1 && filter.times(prepared, slot, 1) === 0
      assert(isReserved || ask.gang > 1, 'a task is left over only when every host refuses it', {
        host: book.at(slot).row.host,
      })
      if (isReserved) note('reserved', () => [RESERVED_VETO])
      else note('gang', () => [gangVeto(ask.gang, found)])
      continue
    }
    const key = SHORT + short.mask
    note(key, () => shortages(freeOf(book, slot, ask.isRevocable), ask.needs))
    const objection = objections.get(key)!
    if (short.score < objection.score) objection.score = short.score
    for (let kind = 0; kind < NEED_KINDS.length; kind++) {
      if ((short.mask & (1 << kind)) === 0) continue
      const { type } = NEED_KINDS[kind]!
      const known = largest[kind]!
      if (known < 0 || isLarger(book, slot, known, type)) largest[kind] = slot
    }
  }

  const tally = new ReasonTally()
  for (const { vetoes, hosts, score } of objections.values()) {
    tally.add(vetoes, hosts, score)
    counts.note(vetoes, hosts)
  }
  largest.forEach((slot, kind) => {
    if (slot >= 0) tally.noteSize(NEED_KINDS[kind]!, book.at(slot))
  })
  return tally.finish(ask.needs)
}

/** Keys of objections from here on: the mask of the types that are short. */
const SHORT = 1000

const freeOf = (book: OfferBook, slot: number, isRevocable: boolean): Needs =>
  isRevocable ? book.at(slot).freeRevocable : book.at(slot).free

function isLarger(book: OfferBook, slot: number, than: number, type: keyof Needs): boolean {
  const a = book.at(slot)
  const b = book.at(than)
  return a.total[type] !== b.total[type] ? a.total[type] > b.total[type] : a.free[type] > b.free[type]
}

/** What one host lacks, without an object per host: the same types and the same score as `shortages`. */
class Shortage {
  /** Bit by bit, in the order of NEED_KINDS. */
  mask = 0
  score = 0
  readonly #columns: HostColumns
  readonly #isRevocable: boolean
  readonly #needs: readonly number[]

  constructor(columns: HostColumns, needs: Needs, isRevocable: boolean) {
    this.#needs = NEED_KINDS.map(({ type }) => needs[type])
    this.#columns = columns
    this.#isRevocable = isRevocable
  }

  look(slot: number): void {
    const columns = this.#columns
    this.mask = 0
    this.score = 0
    for (let kind = 0; kind < this.#needs.length; kind++) {
      const asked = this.#needs[kind]!
      if (asked <= 0) continue
      const free = kind === 0 && this.#isRevocable ? columns.revocableMilli[slot]! : columns.freeOfNth(slot, kind)
      const missing = asked - free
      if (missing <= 0) continue
      this.mask |= 1 << kind
      this.score += shortageScore(NEED_KINDS[kind]!, missing)
    }
  }
}
