/**
 * How many host-assigned tasks of a job are on hosts with a given attribute value: what limits compare with, and what a
 * spread evens out. An attribute is counted once for a job when somebody first asks, then kept up to date task by task,
 * tentative placements of the running round included, so that one round cannot break a limit twice over (D1, D14).
 * Values are those that hosts have now: when a host's attributes change, which is rare, everything is counted anew at
 * the next question.
 */
import { assert } from '../base/assert.ts'
import type { AgentId } from '../base/ids.ts'
import type { AttributeSet } from './constraints.ts'

/** Counted like an attribute of which every agent has a value of its own; no attribute has such a name. */
export const AGENT = '\0agent'

/** By value; absent is 0. */
export type ValueCounts = ReadonlyMap<string, number>

export interface CountedHost {
  readonly agentId: AgentId
  readonly attributes: Pick<AttributeSet, 'get'>
}

export class LimitCounters {
  /** By job key text, then by attribute. Only what has been asked for is here. */
  readonly #jobs = new Map<string, Map<string, Map<string, number>>>()

  /** `hosts` yields the host of each host-assigned or held task of the job; read only if the attribute is new. */
  countsOf(job: string, attribute: string, hosts: () => Iterable<CountedHost>): ValueCounts {
    let attributes = this.#jobs.get(job)
    if (attributes === undefined) {
      attributes = new Map()
      this.#jobs.set(job, attributes)
    }
    let counts = attributes.get(attribute)
    if (counts === undefined) {
      counts = new Map()
      attributes.set(attribute, counts)
      for (const host of hosts()) bump(counts, valuesOf(host, attribute), 1)
    }
    return counts
  }

  isTracked(job: string): boolean {
    return this.#jobs.has(job)
  }

  add(job: string, host: CountedHost): void {
    this.#bump(job, host, 1)
  }

  remove(job: string, host: CountedHost): void {
    this.#bump(job, host, -1)
  }

  /** Counted anew at the next question. */
  forget(job: string): void {
    this.#jobs.delete(job)
  }

  /** An attribute has changed somewhere: what was counted under the old value could not be taken back. */
  clear(): void {
    this.#jobs.clear()
  }

  #bump(job: string, host: CountedHost, by: 1 | -1): void {
    const attributes = this.#jobs.get(job)
    if (attributes === undefined) return
    for (const [attribute, counts] of attributes) bump(counts, valuesOf(host, attribute), by)
  }
}

function valuesOf({ agentId, attributes }: CountedHost, attribute: string): readonly string[] {
  return attribute === AGENT ? [agentId] : (attributes.get(attribute) ?? [])
}

function bump(counts: Map<string, number>, values: readonly string[], by: 1 | -1): void {
  for (const value of values) {
    const next = (counts.get(value) ?? 0) + by
    assert(next >= 0, 'no fewer than no tasks are on a host', { value })
    if (next === 0) counts.delete(value)
    else counts.set(value, next)
  }
}
