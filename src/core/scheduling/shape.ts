/**
 * What follows from a machine alone (dedicated, mode, attributes), for one list of constraints. Each rule is judged once
 * per set of attribute values and remembered by the number of that set, so a look at a host is a few reads of arrays,
 * and a host that changes is judged by what it has become and no other is (D6). Many groups share one shape.
 */
import type { Constraint } from '../job/task-config.ts'
import { ABSENT, type AttributeColumn, type AttributeColumns } from '../offers/attribute-columns.ts'
import type { HostColumns } from '../offers/host-columns.ts'
import type { Host } from '../offers/offer-book.ts'
import { isLimitable, isValueSatisfied } from './constraints.ts'
import { DEDICATED, dedicatedVeto } from './dedicated.ts'
import { staticVeto, type Veto } from './veto.ts'

const SHAPES_MAX = 4096
/** All remembered judgements together; a set of values takes one. */
const JUDGEMENTS_MAX = 64 * 1024 * 1024

const UNKNOWN = 0
const HOLDS = 1
const FAILS = 2

/** The host may take tasks of the shape, as far as the machine goes. */
export const ALLOWED = -1
const CLOSED = 0
const DRAINING = 1
const DRAINED = 2
/** Verdicts from here on: the rule of that index fails. */
const RULES = 3

/** What refuses is the machine as it is, whatever the constraints say. */
export const isOfMachine = (verdict: number): boolean => verdict >= 0 && verdict < RULES

export class Shape {
  readonly constraints: readonly Constraint[]
  readonly #rules: readonly Rule[]
  readonly #columns: HostColumns
  readonly #dedicated: AttributeColumn
  readonly #asksDedicated: boolean
  readonly #vetoes: (Veto | undefined)[] = []

  constructor(constraints: readonly Constraint[], rules: readonly Rule[], columns: HostColumns, all: AttributeColumns) {
    this.constraints = constraints
    this.#rules = rules
    this.#columns = columns
    this.#dedicated = all.column(DEDICATED)
    this.#asksDedicated = constraints.some(({ name }) => name === DEDICATED)
  }

  /** ALLOWED, or a number that stands for one veto of this shape: see `veto`. */
  verdict(slot: number): number {
    if (!this.#asksDedicated && this.#dedicated.of[slot] !== ABSENT) return CLOSED
    const mode = this.#columns.modes[slot]!
    if (mode >= 2) return mode === 2 ? DRAINING : DRAINED
    const rules = this.#rules
    for (let i = 0; i < rules.length; i++) if (!rules[i]!.holds(slot)) return RULES + i
    return ALLOWED
  }

  /** The veto that a verdict stands for; `host` is any host that has it. */
  veto(verdict: number, host: Host): Veto {
    const known = this.#vetoes[verdict]
    if (known !== undefined) return known
    const veto = staticVeto(host, this.constraints)
    if (veto === null) throw new Error(`the verdict ${verdict} on ${host.row.host} is not that of its attributes`)
    this.#vetoes[verdict] = veto
    return veto
  }
}

/** One constraint over one column. */
class Rule {
  readonly #column: AttributeColumn
  readonly #judge: (values: readonly string[] | undefined) => boolean
  #judgements = new Uint8Array(0)
  #generation = -1
  readonly #onJudged: (grown: number) => void

  constructor(
    column: AttributeColumn,
    judge: (values: readonly string[] | undefined) => boolean,
    onJudged: (grown: number) => void,
  ) {
    this.#column = column
    this.#judge = judge
    this.#onJudged = onJudged
  }

  holds(slot: number): boolean {
    const column = this.#column
    if (this.#generation !== column.generation) {
      this.#generation = column.generation
      this.#judgements = new Uint8Array(0)
    }
    const number = column.of[slot]!
    const known = number < this.#judgements.length ? this.#judgements[number]! : UNKNOWN
    return (known === UNKNOWN ? this.#judged(number) : known) === HOLDS
  }

  #judged(number: number): number {
    const { sets } = this.#column
    let grown = 0
    if (number >= this.#judgements.length) {
      const larger = new Uint8Array(Math.max(8, sets.length * 2))
      larger.set(this.#judgements)
      grown = larger.length - this.#judgements.length
      this.#judgements = larger
    }
    const verdict = this.#judge(number === ABSENT ? undefined : sets[number]) ? HOLDS : FAILS
    this.#judgements[number] = verdict
    this.#onJudged(grown)
    return verdict
  }
}

export class Shapes {
  /** How often a rule was really judged; for tests and metrics. */
  judged = 0
  readonly #columns: HostColumns
  readonly #attributes: AttributeColumns
  readonly #shapes = new Map<string, Shape>()
  readonly #rules = new Map<string, Rule>()
  #judgements = 0

  constructor(columns: HostColumns, attributes: AttributeColumns) {
    this.#columns = columns
    this.#attributes = attributes
  }

  shape(constraints: readonly Constraint[]): Shape {
    const key = JSON.stringify(constraints)
    let shape = this.#shapes.get(key)
    if (shape === undefined) {
      if (this.#shapes.size >= SHAPES_MAX || this.#judgements > JUDGEMENTS_MAX) this.#forget()
      shape = new Shape(constraints, this.#rulesOf(constraints), this.#columns, this.#attributes)
      this.#shapes.set(key, shape)
    }
    return shape
  }

  #forget(): void {
    this.#shapes.clear()
    this.#rules.clear()
    this.#judgements = 0
  }

  /** In the order in which `staticVeto` asks them. */
  #rulesOf(constraints: readonly Constraint[]): readonly Rule[] {
    const values = constraints.filter(({ rule }) => rule.type === 'value')
    const limits = constraints.filter(({ rule }) => rule.type === 'limit')
    const rules = [...values, ...limits].map(({ name, rule }) =>
      this.#rule(JSON.stringify([name, rule.type === 'limit' ? 'limit' : rule]), name, of =>
        rule.type === 'limit' ? isLimitable(of) : isValueSatisfied(rule, of),
      ),
    )
    const dedicated = constraints.filter(({ name }) => name === DEDICATED)
    if (dedicated.length === 0) return rules
    // The plain rule is wider than the dedicated one: it would let a negation pass.
    const strict = this.#rule(
      JSON.stringify([DEDICATED, dedicated]),
      DEDICATED,
      of => dedicatedVeto(of, dedicated) === null,
    )
    return [...rules, strict]
  }

  #rule(key: string, name: string, judge: (values: readonly string[] | undefined) => boolean): Rule {
    const known = this.#rules.get(key)
    if (known !== undefined) return known
    const rule = new Rule(this.#attributes.column(name), judge, grown => {
      this.judged++
      this.#judgements += grown
    })
    this.#rules.set(key, rule)
    return rule
  }
}
