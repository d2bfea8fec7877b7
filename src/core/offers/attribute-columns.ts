/**
 * The attributes of all hosts, a column per name. Equal sets of values are kept once per column and known by a number,
 * so whatever is worked out for a set of values (does `rack in {a, b}` hold?) holds for every host that has it, and
 * never goes out of date: a host that changes gets another number.
 */
import type { AttributeSet } from '../scheduling/constraints.ts'

/** The number of a host that lacks the attribute. An attribute without values has a number of its own. */
export const ABSENT = 0

/** A column is made anew, with other numbers, when it remembers this many times as many sets as it has hosts. */
const SETS_PER_HOST_MAX = 4
const SETS_MIN = 1024

export class AttributeColumn {
  /** By slot: the number of the host's set of values. */
  of: Int32Array
  /** By number. The first stands for no attribute. */
  sets: (readonly string[])[] = [[]]
  /** Rises when numbers are given out anew. */
  generation = 0
  #numbers = new Map<string, number>()

  constructor(capacity: number) {
    this.of = new Int32Array(capacity)
  }

  ensure(capacity: number): void {
    if (this.of.length >= capacity) return
    const larger = new Int32Array(capacity)
    larger.set(this.of)
    this.of = larger
  }

  /** Sorted values without duplicates; undefined: the host has no such attribute. */
  set(slot: number, values: readonly string[] | undefined): void {
    this.of[slot] = values === undefined ? ABSENT : this.#numberOf(values)
  }

  valuesOf(slot: number): readonly string[] | undefined {
    const number = this.of[slot]!
    return number === ABSENT ? undefined : this.sets[number]
  }

  #numberOf(values: readonly string[]): number {
    const key = values.length === 1 ? values[0]! : values.join('\0')
    // One empty value and no value at all are different sets.
    const full = values.length === 0 ? '\0\0' : key
    const known = this.#numbers.get(full)
    if (known !== undefined) return known
    if (this.sets.length > Math.max(SETS_MIN, SETS_PER_HOST_MAX * this.of.length)) this.#renumber()
    const number = this.sets.push(values) - 1
    this.#numbers.set(full, number)
    return number
  }

  /** Forgets the sets that no host has any more. */
  #renumber(): void {
    const before = this.sets
    this.generation++
    this.sets = [[]]
    this.#numbers = new Map()
    const moved = new Map<number, number>([[ABSENT, ABSENT]])
    for (let slot = 0; slot < this.of.length; slot++) {
      const old = this.of[slot]!
      let number = moved.get(old)
      if (number === undefined) {
        const values = before[old]!
        number = this.sets.push(values) - 1
        this.#numbers.set(values.length === 0 ? '\0\0' : values.join('\0'), number)
        moved.set(old, number)
      }
      this.of[slot] = number
    }
  }
}

export class AttributeColumns {
  readonly #columns = new Map<string, AttributeColumn>()
  #capacity: number

  constructor(capacity: number) {
    this.#capacity = capacity
  }

  ensure(capacity: number): void {
    if (capacity <= this.#capacity) return
    this.#capacity = capacity
    for (const column of this.#columns.values()) column.ensure(capacity)
  }

  /** Made when nobody has asked for it yet. */
  column(name: string): AttributeColumn {
    let column = this.#columns.get(name)
    if (column === undefined) {
      column = new AttributeColumn(this.#capacity)
      this.#columns.set(name, column)
    }
    return column
  }

  /** What the host has now, in place of whatever it had. */
  set(slot: number, attributes: AttributeSet): void {
    for (const [name, column] of this.#columns) if (!attributes.has(name)) column.set(slot, undefined)
    for (const [name, values] of attributes) this.column(name).set(slot, values)
  }
}
