/**
 * Which ballot each held position carries, as runs: leaders change rarely, so a log of millions of positions has a
 * handful. Answers the prefix check of an ACCEPT without touching the disk. Source: the replicated log, C4.
 */
import { assert } from '../base/assert.ts'
import { type Ballot, compareBallots, type LogEnd, NO_BALLOT, sameBallot } from './ballot.ts'

export class BallotRuns {
  /** Ascending by `from`; a run reaches to the next one's `from` - 1, the last one to `end`. */
  readonly #runs: { readonly from: number; readonly ballot: Ballot }[] = []
  #begin: number
  /** Of the position before the first: everything up to there has been truncated. */
  #before: Ballot
  #end: number

  /** `begin` is the first position that may be held, `before` the ballot of the one before it. */
  constructor(begin = 1, before: Ballot = NO_BALLOT) {
    this.#begin = begin
    this.#before = before
    this.#end = begin - 1
  }

  get end(): number {
    return this.#end
  }

  /** Ballot and position of the last entry, also when that was truncated; (0.0, 0) before the log. */
  get last(): LogEnd {
    return { ballot: this.#runs.at(-1)?.ballot ?? this.#before, position: this.#end }
  }

  push(position: number, ballot: Ballot): void {
    assert(position === this.#end + 1, 'entries are added without gaps', { position, end: this.#end })
    const run = this.#runs.at(-1)
    if (run === undefined || !sameBallot(run.ballot, ballot)) {
      const before = run?.ballot ?? this.#before
      assert(compareBallots(before, ballot) <= 0, 'ballots never go back along the log', {
        position,
        before: String(before),
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

  /** Drops every position before `begin`, which is at most one past the end. */
  dropBefore(begin: number): void {
    const before = this.ballotAt(begin - 1)
    assert(before !== undefined, 'what is dropped is held', { begin, end: this.#end })
    this.#before = before
    this.#begin = begin
    while (this.#runs.length > 0 && (this.#runs[1]?.from ?? this.#end + 1) <= begin) this.#runs.shift()
    const first = this.#runs[0]
    if (first !== undefined && first.from < begin) this.#runs[0] = { from: begin, ballot: first.ballot }
  }

  copy(): BallotRuns {
    const copy = new BallotRuns(this.#begin, this.#before)
    copy.#runs.push(...this.#runs)
    copy.#end = this.#end
    return copy
  }

  /** Of a position held, or of the one before the first. Undefined for any other. */
  ballotAt(position: number): Ballot | undefined {
    if (position === this.#begin - 1) return this.#before
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
