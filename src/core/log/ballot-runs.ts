/**
 * Which ballot each held position carries, as runs: leaders change rarely, so a log of millions of positions has a
 * handful. Answers the prefix check of an ACCEPT without touching the disk. Source: the replicated log, C4.
 */
import { assert } from '../base/assert.ts'
import { type Ballot, compareBallots, type LogEnd, NO_BALLOT, sameBallot } from './ballot.ts'

export class BallotRuns {
  /** Ascending by `from`; a run reaches to the next one's `from` - 1, the last one to `end`. */
  readonly #runs: { readonly from: number; readonly ballot: Ballot }[] = []
  #end: number

  /** `begin` is the first position that may be held. */
  constructor(begin = 1) {
    this.#end = begin - 1
  }

  get end(): number {
    return this.#end
  }

  /** Ballot and position of the last entry; (0.0, 0) before the log. */
  get last(): LogEnd {
    const run = this.#runs.at(-1)
    return run === undefined ? { ballot: NO_BALLOT, position: this.#end } : { ballot: run.ballot, position: this.#end }
  }

  push(position: number, ballot: Ballot): void {
    assert(position === this.#end + 1, 'entries are added without gaps', { position, end: this.#end })
    const run = this.#runs.at(-1)
    if (run === undefined || !sameBallot(run.ballot, ballot)) {
      assert(run === undefined || compareBallots(run.ballot, ballot) < 0, 'ballots never go back along the log', {
        position,
        before: String(run?.ballot),
        ballot: String(ballot),
      })
      this.#runs.push({ from: position, ballot })
    }
    this.#end = position
  }

  /** Drops every position from `from` on. */
  cutFrom(from: number): void {
    while ((this.#runs.at(-1)?.from ?? 0) >= from) this.#runs.pop()
    this.#end = Math.min(this.#end, from - 1)
  }

  copy(): BallotRuns {
    const copy = new BallotRuns(this.#end + 1)
    copy.#runs.push(...this.#runs)
    return copy
  }

  /** Undefined for a position that is not held. */
  ballotAt(position: number): Ballot | undefined {
    return position > this.#end ? undefined : this.#runAt(position)?.ballot
  }

  /** First position of the run that holds `position`. */
  firstOfRun(position: number): number {
    return this.#runAt(position)?.from ?? position
  }

  #runAt(position: number): { readonly from: number; readonly ballot: Ballot } | undefined {
    for (let index = this.#runs.length - 1; index >= 0; index--) {
      const run = this.#runs[index]!
      if (run.from <= position) return run
    }
    return undefined
  }
}
