/**
 * How many host-assigned tasks of a job are on hosts with a given attribute value: what limit constraints compare
 * with. Counted once for a job when a limit first asks, then kept up to date task by task, tentative placements of the
 * running round included, so that one round cannot break a limit twice over (D1, D14). Values are those that hosts have
 * now: when a host's attributes change, which is rare, everything is counted anew at the next question.
 */
import { assert } from '../base/assert.ts'
import type { AttributeSet } from './constraints.ts'

export class LimitCounters {
  /** By job key text, then by `name\0value`. Only jobs that have asked are here. */
  readonly #jobs = new Map<string, Map<string, number>>()

  /** `hosts` yields the attributes of each host-assigned or held task's host; read only if the job is not known yet. */
  countsOf(job: string, hosts: () => Iterable<AttributeSet>): (name: string, value: string) => number {
    let counts = this.#jobs.get(job)
    if (counts === undefined) {
      counts = new Map()
      this.#jobs.set(job, counts)
      for (const attributes of hosts()) bump(counts, attributes, 1)
    }
    const known = counts
    return (name, value) => known.get(keyOf(name, value)) ?? 0
  }

  isTracked(job: string): boolean {
    return this.#jobs.has(job)
  }

  add(job: string, attributes: AttributeSet): void {
    const counts = this.#jobs.get(job)
    if (counts !== undefined) bump(counts, attributes, 1)
  }

  remove(job: string, attributes: AttributeSet): void {
    const counts = this.#jobs.get(job)
    if (counts !== undefined) bump(counts, attributes, -1)
  }

  /** An attribute has changed somewhere: what was counted under the old value could not be taken back. */
  clear(): void {
    this.#jobs.clear()
  }
}

const keyOf = (name: string, value: string): string => `${name}\0${value}`

function bump(counts: Map<string, number>, attributes: AttributeSet, by: number): void {
  for (const [name, values] of attributes) {
    for (const value of values) {
      const key = keyOf(name, value)
      const next = (counts.get(key) ?? 0) + by
      assert(next >= 0, 'no fewer than no tasks are on a host', { name, value })
      if (next === 0) counts.delete(key)
      else counts.set(key, next)
    }
  }
}
