/**
 * Where an agent looks for its leader: the addresses it was given, in turn, and whatever one of them sends it on to. A
 * leader that sent us away is asked no more; pauses between dials grow, so that a lost leader is not overrun when it
 * comes back. Source: the agent spec, section 15.
 */
export const REDIRECTS_MAX = 5
export const LOOPBACK_QUICK_DIALS = 50
export const LOOPBACK_REDIAL_MS = 100

export interface DialPause {
  /** The address that failed. */
  readonly url: string
  readonly afterMs: number
  /** Dials that failed in a row, this one included. */
  readonly failures: number
  /** At start on one machine the first dials fail by design; after a while somebody should know. */
  readonly isNews: boolean
}

export class LeaderSearch {
  private readonly schedulers: readonly string[]
  private readonly pauseMsMax: number
  private next = 0
  private redirect: string | null = null
  private redirects = 0
  private failures = 0
  private notBeforeMonoMs = 0

  constructor(schedulers: readonly string[], pauseMsMax: number) {
    this.schedulers = schedulers
    this.pauseMsMax = pauseMsMax
  }

  /** The address to dial now; null when there is none. */
  get url(): string | null {
    return this.redirect ?? this.schedulers[this.next % this.schedulers.length] ?? null
  }

  /** To be dialled next. False: sent on too often, or from https to where all can be read, which counts as a failure. */
  redirected(to: string): boolean {
    if (this.redirects >= REDIRECTS_MAX || (isSecure(this.url ?? '') && !isSecure(to))) return false
    this.redirects += 1
    this.redirect = to
    return true
  }

  /** No dial before that moment. */
  rejected(notBeforeMonoMs: number): void {
    this.notBeforeMonoMs = notBeforeMonoMs
  }

  /** Again after a pause, at the next address. `random` uniform in [0, 1). */
  failed(nowMonoMs: number, random: number): DialPause {
    const url = this.url ?? ''
    const loopback = /\/\/(127\.|localhost|\[::1\])/.test(url)
    const pauseMs = redialDelayMs(this.failures, random, loopback, this.pauseMsMax)
    this.redirect = null
    this.redirects = 0
    this.next += 1
    this.failures += 1
    return {
      url,
      afterMs: Math.max(pauseMs, this.notBeforeMonoMs - nowMonoMs),
      failures: this.failures,
      isNews: this.failures === 1 || this.failures % 20 === 0,
    }
  }

  /** A connection has held for a while. */
  held(): void {
    this.failures = 0
  }
}

const isSecure = (url: string): boolean => /^(https|wss):/i.test(url)

/** Full-jitter back-off, ms: `random` uniform in [0, 1), `attempts` failed dials in a row. */
export function redialDelayMs(attempts: number, random: number, loopback: boolean, maxMs: number): number {
  // A leader on this very machine is most likely about to come up or to come back: ask it often for a little while.
  if (loopback && attempts < LOOPBACK_QUICK_DIALS) return LOOPBACK_REDIAL_MS
  return Math.floor(random * Math.min(maxMs, 500 * 2 ** Math.min(attempts, 16)))
}
