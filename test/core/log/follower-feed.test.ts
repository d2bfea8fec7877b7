import { describe, expect, test } from 'vitest'
import type { Ballot, LogEnd } from '../../../src/core/log/ballot.ts'
import { BallotRuns } from '../../../src/core/log/ballot-runs.ts'
import { type Entry, makeEntry } from '../../../src/core/log/entry.ts'
import { BATCH_ENTRIES_MAX, type FeedEffect, type Follower, FollowerFeed } from '../../../src/core/log/follower-feed.ts'
import { LOG_LIMITS, type LogLimits, limitsFor } from '../../../src/core/log/limits.ts'
import type { Accept, Accepted, Nack } from '../../../src/core/log/messages.ts'

const BALLOT: Ballot = [5, 1]
const OLD: Ballot = [4, 2]
const timing = { heartbeatMs: 150, retransmitMs: 500 }
const sender = (memberId: number) => ({ memberId, incarnation: `disk-${memberId}` })
const made = (from: number, count: number, ballot: Ballot = BALLOT, bytes = 1): Entry[] =>
  Array.from({ length: count }, (_, at) => makeEntry(from + at, ballot, 'DATA', new Uint8Array(bytes)))

interface BenchOptions {
  readonly begin?: number
  readonly end?: number
  readonly commit?: number
  readonly limits?: Partial<LogLimits>
  /** What members 2 and 3 said of the end of their logs. */
  readonly last?: Readonly<Record<number, LogEnd>>
}

/** Member 1 leads 2 and 3 with a log of ballot 4.2; what it sends is shown in short. */
class Bench {
  readonly feed: FollowerFeed
  atMs = 0
  sent: Accept[] = []

  constructor({ begin = 1, end = 100, commit = end, limits = {}, last = {} }: BenchOptions = {}) {
    const runs = new BallotRuns(begin, begin > 1 ? OLD : undefined)
    for (let at = begin; at <= end; at++) runs.push(at, OLD)
    const ends: Readonly<Record<number, LogEnd>> = { 1: { ballot: OLD, position: end }, ...last }
    this.feed = new FollowerFeed(
      {
        self: sender(1),
        ballot: BALLOT,
        voters: [1, 2, 3].map(sender),
        limits: { ...LOG_LIMITS, ...limits },
        runs,
        begin,
        commit,
        lastOf: memberId => ends[memberId],
        seq: 0,
      },
      this.now,
    )
  }

  get now() {
    return { wallMs: 0, monoMs: this.atMs }
  }
  follower(memberId: number): Follower {
    return this.feed.of(memberId)!
  }

  shown(effects: readonly FeedEffect[] | null): string[] {
    if (effects === null) return ['not our log']
    return effects.map(effect => {
      if (effect.type === 'load') return `load ${effect.from} for ${effect.peer}`
      const message = effect.message as Accept
      this.sent.push(message)
      const { prev, entries } = message
      const what = entries.length === 0 ? 'probe' : `${entries[0]!.position} to ${entries.at(-1)!.position}`
      return `${effect.to}: ${what} after ${prev.position}`
    })
  }

  push(entries: readonly Entry[]): string[] {
    return this.shown(this.feed.push(entries, this.now))
  }
  beat(afterMs = 150): string[] {
    this.atMs += afterMs
    return this.shown(this.feed.beat(timing, this.now))
  }
  mismatched(memberId: number, next: number, seq = this.#seqTo(memberId)): string[] {
    const nack: Nack = {
      type: 'nack',
      from: sender(memberId),
      ballot: BALLOT,
      promised: BALLOT,
      reason: { type: 'MISMATCH', next },
      seq,
      sentAtMs: this.atMs,
    }
    return this.shown(this.feed.mismatched(this.follower(memberId), nack, next, this.now))
  }
  accepted(memberId: number, matched: number, change: Partial<Accepted> = {}): string[] {
    const message: Accepted = {
      type: 'accepted',
      from: sender(memberId),
      ballot: BALLOT,
      seq: this.#seqTo(memberId),
      matched,
      sentAtMs: this.atMs,
      applied: 0,
      snapshot: 0,
      freeBytes: null,
      ...change,
    }
    this.feed.accepted(this.follower(memberId), message, this.now)
    return this.shown(this.feed.feed(this.follower(memberId), this.now))
  }
  loaded(memberId: number, from: number, entries: readonly Entry[]): string[] {
    return this.shown(this.feed.loaded(memberId, from, entries, this.now))
  }

  /** Of the last ACCEPT; each has a number of its own, whoever it is for. */
  #seqTo(memberId: number): number {
    return this.follower(memberId).probeSeq ?? this.feed.seq
  }
}

describe('what is new', () => {
  test('goes to everybody at once, also on a long log of which the followers hold all', () => {
    const last = { ballot: OLD, position: 5_000 }
    const bench = new Bench({ end: 5_000, last: { 2: last, 3: last } })
    expect(bench.push(made(5_001, 1))).toEqual([
      '1: 5001 to 5001 after 5000',
      '2: 5001 to 5001 after 5000',
      '3: 5001 to 5001 after 5000',
    ])
  })

  test('a follower that ends with an entry of another ballot: what it holds is not taken for equal', () => {
    const bench = new Bench({ last: { 2: { ballot: [3, 3], position: 90 } } })
    expect(bench.follower(2)).toMatchObject({ matched: 0, next: 91 })
  })

  test('a follower beyond the end of the leader is asked at the end', () => {
    const bench = new Bench({ last: { 2: { ballot: [3, 3], position: 900 } } })
    expect(bench.follower(2)).toMatchObject({ matched: 0, next: 101 })
  })

  test('2,048 positions sent and not answered: the rest waits for an answer', () => {
    const bench = new Bench()
    bench.push(made(101, 1))
    bench.accepted(2, 101)
    for (let from = 102; from < 102 + 3 * 1_024; from += 256) bench.push(made(from, 256))
    expect(bench.follower(2).next).toBe(102 + 2_048)
    expect(bench.accepted(2, 101 + 256)).toEqual([
      `2: ${102 + 2_048} to ${102 + 2_048 + BATCH_ENTRIES_MAX - 1} after ${101 + 2_048}`,
    ])
  })

  test('large entries: batches of about 1 MiB, at least one entry each', () => {
    const bench = new Bench()
    bench.push(made(101, 1))
    bench.sent = []
    bench.push(made(102, 5, BALLOT, 700 * 1_024))
    const toTwo = bench.sent.filter(({ entries }) => entries.length < 5)
    expect(toTwo.map(({ entries }) => entries.length)).toEqual([2, 2, 1, 2, 2, 1])
  })
})

describe('what was missed', () => {
  test('the logs part: back by what the refusal says, one ACCEPT at a time, then all from there', () => {
    const bench = new Bench({ last: { 2: { ballot: [3, 3], position: 100 } } })
    bench.push(made(101, 2))
    expect(bench.mismatched(2, 71)).toEqual(['2: probe after 70'])
    // What was sent before is answered too: only the answer to the probe counts.
    expect(bench.mismatched(2, 1, 1)).toEqual([])
    expect(bench.mismatched(2, 41)).toEqual(['2: probe after 40'])
    expect(bench.accepted(2, 40)).toEqual(['load 41 for 2'])
    expect(bench.accepted(2, 40)).toEqual([])
    expect(bench.loaded(2, 41, made(41, 60, OLD))).toEqual(['2: 41 to 100 after 40', '2: 101 to 102 after 100'])
  })

  test('a hint that does not go back: one position back all the same', () => {
    const bench = new Bench()
    bench.push(made(101, 1))
    bench.follower(2).next = 50
    expect(bench.mismatched(2, 90)).toEqual(['2: probe after 48'])
  })

  test('entries that were read are of another ballot than this log: the leader must not go on', () => {
    const bench = new Bench({ last: { 2: { ballot: OLD, position: 40 } } })
    bench.push(made(101, 1))
    bench.accepted(2, 40)
    expect(bench.loaded(2, 41, made(41, 3, [3, 3]))).toEqual(['not our log'])
  })

  test('entries nobody waits for any more, and none at all because they were just dropped: passed over', () => {
    const bench = new Bench({ last: { 2: { ballot: OLD, position: 40 } } })
    expect(bench.loaded(2, 41, made(41, 3, OLD))).toEqual([])
    expect(bench.push(made(101, 1))).toContain('load 41 for 2')
    expect(bench.loaded(2, 7, made(7, 3, OLD))).toEqual([])
    expect(bench.accepted(2, 40)).toEqual(['load 41 for 2'])
    expect(bench.loaded(2, 41, [])).toEqual([])
    expect(bench.loaded(9, 41, made(41, 3, OLD))).toEqual([])
  })

  test('a probe that is lost is sent again, and meanwhile no heartbeat', () => {
    const bench = new Bench({ last: { 2: { ballot: [3, 3], position: 100 } } })
    bench.push(made(101, 1))
    bench.mismatched(2, 50)
    expect(bench.beat(timing.retransmitMs)).toContain('2: probe after 49')
    expect(bench.follower(2).probeSeq).not.toBeNull()
  })

  test('what is committed and flushed is forgotten, and read again for who lags', () => {
    const bench = new Bench()
    bench.push(made(101, 10))
    bench.feed.forget(105)
    bench.follower(2).next = 103
    expect(bench.accepted(2, 102)).toEqual(['load 103 for 2'])
    bench.follower(3).next = 106
    expect(bench.accepted(3, 105)).toEqual(['3: 106 to 110 after 105'])
  })
})

describe('who lags by very much', () => {
  const far = (change: BenchOptions = {}): Bench =>
    new Bench({ limits: { lagMax: 50 }, last: { 2: { ballot: OLD, position: 20 } }, ...change })

  test('by more than the limit: not fed, only shown where the log ends, and what is new does not reach it', () => {
    const bench = far()
    expect(bench.push(made(101, 1))).toEqual(['1: 101 to 101 after 100', '3: 101 to 101 after 100'])
    expect(bench.follower(2).isCatchingUp).toBe(true)
    expect(bench.beat()).toContain('2: probe after 101')
    expect(bench.push(made(102, 1)).some(line => line.startsWith('2:'))).toBe(false)
  })

  test('lag is counted by what is committed: a long tail that is not cannot be had elsewhere, so it is fed', () => {
    const bench = far({ commit: 60 })
    expect(bench.push(made(101, 1))).toContain('load 21 for 2')
  })

  test('refusals show how far it has come; at the limit it is probed, and fed from there', () => {
    const bench = far()
    bench.push(made(101, 1))
    bench.beat()
    expect(bench.mismatched(2, 50)).toEqual([])
    expect(bench.follower(2)).toMatchObject({ next: 50, isCatchingUp: true })
    expect(bench.mismatched(2, 51)).toEqual(['2: probe after 50'])
    expect(bench.follower(2).isCatchingUp).toBe(false)
    expect(bench.accepted(2, 50)).toEqual(['load 51 for 2'])
  })

  test('it lacks what the leader no longer holds: not fed however small the lag, until it is past that', () => {
    const bench = new Bench({ begin: 90, last: { 2: { ballot: OLD, position: 80 } } })
    expect(bench.push(made(101, 1)).some(line => line.startsWith('2:'))).toBe(false)
    expect(bench.beat()).toContain('2: probe after 101')
    expect(bench.mismatched(2, 89)).toEqual([])
    expect(bench.mismatched(2, 90)).toEqual(['2: probe after 89'])
  })

  test('the leader drops what a probe asks about: no probe any more, the follower catches up by itself', () => {
    const bench = new Bench({ last: { 2: { ballot: [3, 3], position: 60 } } })
    bench.push(made(101, 1))
    bench.mismatched(2, 50)
    bench.feed.begin = 80
    expect(bench.beat()).toContain('2: probe after 101')
    expect(bench.follower(2)).toMatchObject({ isCatchingUp: true, probeSeq: null })
  })

  test('every message says where the log begins and up to where it is committed: the follower judges by the same', () => {
    const bench = new Bench({ begin: 90, commit: 99 })
    bench.push(made(101, 1))
    bench.feed.begin = 95
    bench.feed.commit = 100
    bench.sent = []
    bench.beat()
    expect(bench.sent.map(({ begin, commit }) => [begin, commit])).toEqual([
      [95, 100],
      [95, 100],
    ])
  })

  test('all answers prove that a member is there, for the lease too', () => {
    const bench = far()
    bench.push(made(101, 1))
    bench.beat(400)
    bench.mismatched(2, 30)
    expect(bench.follower(2)).toMatchObject({ echoMs: 400, answeredMs: 400 })
  })

  test('whatever a member keeps, it has the limit of the others: else one waits for the other for ever', () => {
    const limits = [100, 10_000, 10_000_000].map(limitsFor)
    expect(new Set(limits.map(({ lagMax }) => lagMax))).toEqual(new Set([LOG_LIMITS.lagMax]))
    expect(limits.map(({ truncateStep }) => truncateStep)).toEqual([100, 10_000, 10_000])
  })
})
