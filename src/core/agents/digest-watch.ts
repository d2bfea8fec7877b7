/**
 * When digests that differ mean that something was missed. A status, a launch or a kill on its way makes them differ for
 * a moment, so a difference counts when nothing has moved on either side from one heartbeat to the next, or when they
 * have not agreed for a minute's worth of heartbeats. What asking did not mend is asked again at leisure only.
 */
const STILL_BEATS = 2
const ODD_BEATS_MAX = 12
const SAME_AGAIN_MS = 60_000

export class DigestWatch {
  #pair = ''
  #stillBeats = 0
  #oddBeats = 0
  #askedPair = ''
  #askedMonoMs = 0

  /** True: ask the agent for its list now. */
  differs(ours: string, theirs: string, nowMonoMs: number): boolean {
    const pair = `${ours} ${theirs}`
    this.#stillBeats = pair === this.#pair ? this.#stillBeats + 1 : 1
    this.#pair = pair
    this.#oddBeats++
    if (this.#stillBeats < STILL_BEATS && this.#oddBeats < ODD_BEATS_MAX) return false
    if (pair === this.#askedPair && nowMonoMs - this.#askedMonoMs < SAME_AGAIN_MS) return false
    this.#askedPair = pair
    this.#askedMonoMs = nowMonoMs
    this.#stillBeats = 0
    this.#oddBeats = 0
    return true
  }

  agrees(): void {
    this.#pair = ''
    this.#stillBeats = 0
    this.#oddBeats = 0
  }
}
