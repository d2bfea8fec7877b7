/**
 * Whether a history of calls by clients could have come from one object that does one thing at a time (Wing and Gong, with
 * the memory of Lowe): an order of all calls that keeps real time and explains every answer. A call whose end is not
 * known may have taken effect at any later time, or never. Objects are checked one by one, which is enough.
 */
export type ObjectKind = 'register' | 'set' | 'list'

export type Call =
  | { readonly type: 'read'; readonly seen: readonly number[] | null }
  /** Register: becomes the value. Set: is in it. List: is its last. */
  | { readonly type: 'write'; readonly value: number }

export interface Operation {
  readonly call: Call
  /** Order numbers of the world; the end is infinite while nothing is known. */
  readonly began: number
  ended: number
}

export type Verdict = 'linearizable' | 'notLinearizable' | 'undecided'

/** Steps of the search before it gives up. */
const STEPS_MAX = 300_000

export function check(kind: ObjectKind, operations: readonly Operation[]): Verdict {
  // A read that nobody got an answer to says nothing.
  const all = operations
    .filter(operation => operation.call.type === 'write' || Number.isFinite(operation.ended))
    .sort((a, b) => a.began - b.began)
  const count = all.length
  const done = new Array<boolean>(count).fill(false)
  const seen = new Set<string>()
  let mustEnd = all.filter(operation => Number.isFinite(operation.ended)).length
  let steps = 0

  const search = (state: readonly number[]): boolean => {
    if (mustEnd === 0) return true
    if (++steps > STEPS_MAX) return false
    const key = `${done.map(is => (is ? 1 : 0)).join('')}|${state.join()}`
    if (seen.has(key)) return false
    seen.add(key)
    let firstEnd = Number.POSITIVE_INFINITY
    for (let at = 0; at < count; at++) if (!done[at]) firstEnd = Math.min(firstEnd, all[at]!.ended)
    for (let at = 0; at < count && all[at]!.began < firstEnd; at++) {
      if (done[at]) continue
      const { call, ended } = all[at]!
      const after = step(kind, state, call)
      if (after === null) continue
      const counts = Number.isFinite(ended) ? 1 : 0
      done[at] = true
      mustEnd -= counts
      if (search(after)) return true
      done[at] = false
      mustEnd += counts
    }
    return false
  }
  if (search([])) return 'linearizable'
  return steps > STEPS_MAX ? 'undecided' : 'notLinearizable'
}

/** What the object becomes; null when the call could not have answered so. */
function step(kind: ObjectKind, state: readonly number[], call: Call): readonly number[] | null {
  if (call.type === 'read') {
    const { seen } = call
    return seen !== null && seen.length === state.length && seen.every((value, at) => value === state[at])
      ? state
      : null
  }
  return written(kind, state, call.value)
}

/** The object itself, also as the simulated leader keeps it. */
export function written(kind: ObjectKind, state: readonly number[], value: number): readonly number[] {
  if (kind === 'register') return [value]
  if (kind === 'list') return [...state, value]
  return state.includes(value) ? state : [...state, value].sort((a, b) => a - b)
}
