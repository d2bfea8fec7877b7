/** The faults of a seed, in its order. All that chance decides about a fault is drawn before it begins. */
import type { Prng } from '../../src/core/base/prng.ts'
import { type FaultName, kindOf } from './catalogue.ts'

const PAIR_CHANCE = 0.3

export interface DrawnFault {
  readonly name: FaultName
  /** How long it lasts, or how long a killed process stays dead; in leases. */
  readonly leases: number
  /** Which follower, link or record. */
  readonly which: number
  /** When within what it does, and how; from 0 up to 1. */
  readonly moment: number
  readonly second: number
}

/** Draws without putting back until every kind has been drawn, so that a run of some minutes sees all of them. */
export class FaultBag {
  readonly #random: Prng
  readonly #names: readonly FaultName[]
  #left: FaultName[] = []

  constructor(random: Prng, names: readonly FaultName[]) {
    this.#random = random
    this.#names = names
  }

  /** One fault, or two at a time. */
  next(): readonly DrawnFault[] {
    const first = this.#draw()
    if (this.#random.next() >= PAIR_CHANCE || kindOf(first.name).alone === true) return [first]
    const pairs = this.#names.filter(name => kindOf(name).alone !== true)
    return [first, drawn(this.#random, pairs[this.#random.int(0, pairs.length)]!)]
  }

  #draw(): DrawnFault {
    if (this.#left.length === 0) this.#left = [...this.#names]
    const [name] = this.#left.splice(this.#random.int(0, this.#left.length), 1)
    return drawn(this.#random, name!)
  }
}

export function drawn(random: Prng, name: FaultName): DrawnFault {
  return {
    name,
    leases: 0.2 + random.next() * 2.8,
    which: random.int(0, 1_000_000),
    moment: random.next(),
    second: random.next(),
  }
}
