import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Ballot, compareBallots, NO_BALLOT } from '../../../src/core/log/ballot.ts'
import { BallotRuns } from '../../../src/core/log/ballot-runs.ts'

/** The same by one ballot for each position: slow, and without anything to get wrong. */
class Twin {
  readonly #ballots = new Map<number, Ballot>()
  begin: number
  before: Ballot
  end: number

  constructor(begin: number, before: Ballot) {
    this.begin = begin
    this.before = before
    this.end = begin - 1
  }
  push(ballot: Ballot): void {
    this.#ballots.set(++this.end, ballot)
  }
  cutFrom(from: number): void {
    for (; this.end >= from; this.end--) this.#ballots.delete(this.end)
  }
  dropBefore(begin: number): void {
    this.before = this.at(begin - 1)!
    this.begin = begin
  }
  at(position: number): Ballot | undefined {
    if (position === this.begin - 1) return this.before
    return position >= this.begin ? this.#ballots.get(position) : undefined
  }
  firstOfRun(position: number): number {
    let first = position
    while (first > this.begin && String(this.at(first - 1)) === String(this.at(position))) first--
    return first
  }
}

const steps = fc.array(
  fc.oneof(
    { weight: 4, arbitrary: fc.record({ type: fc.constant('push' as const), raise: fc.boolean() }) },
    { weight: 1, arbitrary: fc.record({ type: fc.constant('cut' as const), percent: fc.nat({ max: 100 }) }) },
    { weight: 1, arbitrary: fc.record({ type: fc.constant('drop' as const), percent: fc.nat({ max: 100 }) }) },
    { weight: 1, arbitrary: fc.record({ type: fc.constant('copy' as const) }) },
  ),
  { maxLength: 80 },
)

describe('runs of ballots', () => {
  test('whatever is pushed, cut, dropped and copied: each position has the ballot that a plain list has', () => {
    fc.assert(
      fc.property(steps, fc.integer({ min: 1, max: 5 }), (list, begin) => {
        const before: Ballot = begin === 1 ? NO_BALLOT : [1, 1]
        let runs = new BallotRuns(begin, before)
        const twin = new Twin(begin, before)
        let round = 1
        for (const step of list) {
          const held = twin.end - twin.begin + 1
          if (step.type === 'push') {
            round += Number(step.raise)
            runs.push(twin.end + 1, [round, 1])
            twin.push([round, 1])
          } else if (step.type === 'cut') {
            // A tail that was never committed: what goes on there has a newer ballot.
            const from = twin.end + 1 - Math.floor((step.percent * held) / 100)
            runs.cutFrom(from)
            twin.cutFrom(from)
          } else if (step.type === 'drop') {
            const to = twin.begin + Math.floor((step.percent * held) / 100)
            runs.dropBefore(to)
            twin.dropBefore(to)
          } else runs = runs.copy()
          for (let at = twin.begin - 3; at <= twin.end + 2; at++)
            expect(runs.ballotAt(at), String(at)).toEqual(twin.at(at))
          for (let at = twin.begin; at <= twin.end; at++) expect(runs.firstOfRun(at)).toBe(twin.firstOfRun(at))
          expect(runs.last).toEqual({ ballot: twin.at(twin.end), position: twin.end })
        }
      }),
    )
  })

  test('the edge: of the position before the first one the ballot is known, of any before it not', () => {
    const runs = new BallotRuns()
    expect(runs.ballotAt(0)).toEqual(NO_BALLOT)
    for (let at = 1; at <= 6; at++) runs.push(at, [at < 4 ? 1 : 2, 1])
    runs.dropBefore(4)
    expect([2, 3, 4, 6, 7].map(at => runs.ballotAt(at))).toEqual([undefined, [1, 1], [2, 1], [2, 1], undefined])
  })

  test('all dropped: the end stays where it was, with its ballot, and the log goes on there', () => {
    const runs = new BallotRuns()
    for (let at = 1; at <= 3; at++) runs.push(at, [2, 1])
    runs.dropBefore(4)
    expect(runs.last).toEqual({ ballot: [2, 1], position: 3 })
    expect(() => runs.push(5, [2, 1])).toThrow('without gaps')
    expect(() => runs.push(4, [1, 1])).toThrow('never go back')
    runs.push(4, [2, 1])
    expect(runs.firstOfRun(4)).toBe(4)
  })

  test('more than is held cannot be dropped, and what was dropped not once more', () => {
    const runs = new BallotRuns()
    for (let at = 1; at <= 9; at++) runs.push(at, [1, 1])
    expect(() => runs.dropBefore(11)).toThrow('what is dropped is held')
    runs.dropBefore(5)
    expect(() => runs.dropBefore(4)).toThrow('what is dropped is held')
  })

  test('a copy goes its own way', () => {
    const runs = new BallotRuns()
    for (let at = 1; at <= 9; at++) runs.push(at, [at, 1])
    const copy = runs.copy()
    runs.dropBefore(6)
    copy.cutFrom(4)
    expect(runs.last.position).toBe(9)
    expect([copy.last.position, copy.ballotAt(2)]).toEqual([3, [2, 1]])
    expect(compareBallots(runs.ballotAt(5)!, [5, 1])).toBe(0)
  })
})
