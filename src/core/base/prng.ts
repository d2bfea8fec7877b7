/**
 * A small seeded generator (mulberry32), kept in the state of whoever draws from it, so that a run can be repeated.
 * Not for secrets.
 */
export interface Prng {
  /** Uniform in [0, 1). */
  next(): number
  /** Uniform integer in [from, to). */
  int(from: number, to: number): number
}

export function prng(seed: number): Prng {
  let state = seed >>> 0
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
  return { next, int: (from, to) => from + Math.floor(next() * (to - from)) }
}
