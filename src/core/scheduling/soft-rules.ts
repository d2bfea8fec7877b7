/**
 * Which of the hosts that fit is best, by what a job would like: hosts that it prefers or avoids, and an even or weighted
 * spread of its instances over the values of an attribute. A host is never refused here.
 *
 * Shape of a score: each rule gives a term between -weight and +weight, and a score is their sum.
 * - prefer: the weight, when the host has one of the values.
 * - spread: weight * (1 - n / wanted), not below -weight, where n instances are on the value now and `wanted` would be its
 *   share: its percent of all instances, or an equal part of what the targets leave over.
 *
 * Hosts with equal terms are a class. The terms of a class only fall while its job is placed, so the best class is found
 * with a heap whose entries are looked at again when they come up: a group of a thousand over ten thousand hosts costs
 * little more than the heap.
 */
import type { Preference, Spread } from '../job/task-config.ts'
import type { AttributeSet } from './constraints.ts'
import type { ValueCounts } from './limit-counters.ts'

export interface SoftRules {
  readonly prefer: readonly Preference[]
  readonly spread: readonly Spread[]
}

export interface Scored {
  readonly score: number
  /** By rule: `prefer disk`, `spread rack`. */
  readonly terms: Readonly<Record<string, number>>
}

/** One spread, with what it needs to know of the whole job. */
export interface SpreadFacts {
  readonly rule: Spread
  readonly counts: ValueCounts
  /** Instances that a value is to have, when it has a target of its own. */
  readonly wantedByTarget: ReadonlyMap<string, number>
  /** Instances that each other value is to have. */
  readonly wantedElse: number
}

/** `values`: those that some candidate has. `instances`: so many there will be when all that wait are placed. */
export function spreadFacts(
  rule: Spread,
  counts: ValueCounts,
  values: ReadonlySet<string>,
  instances: number,
): SpreadFacts {
  const wantedByTarget = new Map<string, number>()
  let left = 100
  for (const [value, percent] of Object.entries(rule.targets ?? {})) {
    wantedByTarget.set(value, (instances * percent) / 100)
    left -= percent
  }
  let others = 0
  for (const value of values) if (!wantedByTarget.has(value)) others++
  const wantedElse = others === 0 ? 0 : (instances * Math.max(0, left)) / 100 / others
  return { rule, counts, wantedByTarget, wantedElse }
}

function preferenceTerm({ attribute, values, weight }: Preference, attributes: AttributeSet): number {
  return attributes.get(attribute)?.some(value => values.includes(value)) ? weight : 0
}

/** A host without the attribute counts as the worst place. */
function spreadTerm(facts: SpreadFacts, attributes: AttributeSet): number {
  const { weight } = facts.rule
  const values = attributes.get(facts.rule.attribute)
  if (values === undefined || values.length === 0) return -weight
  let worst = weight
  for (const value of values) {
    const wanted = facts.wantedByTarget.get(value) ?? facts.wantedElse
    const n = facts.counts.get(value) ?? 0
    const term = wanted <= 0 ? -weight : Math.max(-weight, weight * (1 - n / wanted))
    worst = Math.min(worst, term)
  }
  return worst
}

/** A number alone: fifty thousand hosts may be compared for one task. */
export function scoreOfHost({ prefer }: SoftRules, spreads: readonly SpreadFacts[], attributes: AttributeSet): number {
  let score = 0
  for (const preference of prefer) score += preferenceTerm(preference, attributes)
  for (const facts of spreads) score += spreadTerm(facts, attributes)
  return rounded(score)
}

/** The same with what it is made of, for the records. */
export function scoredHost(rules: SoftRules, spreads: readonly SpreadFacts[], attributes: AttributeSet): Scored {
  const terms: Record<string, number> = {}
  for (const preference of rules.prefer) {
    const term = preferenceTerm(preference, attributes)
    if (term !== 0) terms[`prefer ${preference.attribute}`] = (terms[`prefer ${preference.attribute}`] ?? 0) + term
  }
  for (const facts of spreads) terms[`spread ${facts.rule.attribute}`] = rounded(spreadTerm(facts, attributes))
  return { score: scoreOfHost(rules, spreads, attributes), terms }
}

function rounded(score: number): number {
  return Math.round(score * 100) / 100
}

/** A heap of things whose score may have fallen since it was put in: highest first, equal ones as they came. */
export class FallingHeap<T> {
  readonly #items: { readonly item: T; readonly score: number; readonly order: number }[] = []
  readonly #scoreOf: (item: T) => number
  #orders = 0

  constructor(scoreOf: (item: T) => number) {
    this.#scoreOf = scoreOf
  }

  push(item: T): void {
    this.#add({ item, score: this.#scoreOf(item), order: this.#orders++ })
  }

  /** The best by the scores of now, taken out; undefined when it is empty. */
  pop(): T | undefined {
    while (this.#items.length > 0) {
      const top = this.#removeTop()
      const score = this.#scoreOf(top.item)
      if (!(score < top.score)) return top.item
      this.#add({ ...top, score })
    }
    return undefined
  }

  #add(entry: { readonly item: T; readonly score: number; readonly order: number }): void {
    const items = this.#items
    let at = items.push(entry) - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!isBetter(entry, items[parent]!)) break
      items[at] = items[parent]!
      at = parent
    }
    items[at] = entry
  }

  #removeTop(): { readonly item: T; readonly score: number; readonly order: number } {
    const items = this.#items
    const top = items[0]!
    const last = items.pop()!
    if (items.length === 0) return top
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= items.length) break
      if (child + 1 < items.length && isBetter(items[child + 1]!, items[child]!)) child++
      if (!isBetter(items[child]!, last)) break
      items[at] = items[child]!
      at = child
    }
    items[at] = last
    return top
  }
}

function isBetter(
  a: { readonly score: number; readonly order: number },
  b: { readonly score: number; readonly order: number },
): boolean {
  return a.score !== b.score ? a.score > b.score : a.order < b.order
}
