import { describe, expect, test } from 'vitest'
import type { Ballot } from '../../../src/core/log/ballot.ts'
import { BallotRuns } from '../../../src/core/log/ballot-runs.ts'
import { type Entry, makeEntry } from '../../../src/core/log/entry.ts'
import type { Accept, Prepare, ReplicaReply } from '../../../src/core/log/messages.ts'
import type { LogMeta } from '../../../src/core/log/meta.ts'
import { ReplicaCore, type ReplicaEffect, type ReplicaMessage } from '../../../src/core/log/replica-core.ts'
import { LOG_TIMING } from '../../../src/core/log/timing.ts'
import { Disk, descriptorOf, metaOf, text } from './log-cluster.ts'

const voters = (count: number) =>
  descriptorOf(count).members.map(({ memberId, incarnation }) => ({ memberId, incarnation }))
const sender = (memberId: number) => ({ memberId, incarnation: `disk-${memberId}` })

/** Member 1 of three with a disk; `at` is the monotonic clock. */
class Bench {
  readonly disk: Disk
  core: ReplicaCore
  at = 0
  sent: { to: number; message: ReplicaReply }[] = []
  failStop: string | null = null

  constructor(change: Partial<LogMeta> = {}, count = 3) {
    this.disk = new Disk(metaOf(1, count, change))
    this.core = this.open()
  }

  open(openedAtMs = -10_000): ReplicaCore {
    this.core = new ReplicaCore(this.disk.restored(), {
      timing: LOG_TIMING,
      openedAt: { wallMs: 0, monoMs: openedAtMs },
    })
    return this.core
  }

  /** What has left after the message, without any flush. */
  tell(message: ReplicaMessage): ReplicaReply[] {
    this.sent = []
    this.#run(this.core.handle(message, { wallMs: 0, monoMs: this.at }))
    this.core.invariants()
    return this.sent.map(({ message }) => message)
  }

  flush(count?: number): ReplicaReply[] {
    this.sent = []
    for (const ticket of this.disk.flush(count)) {
      this.#run(this.core.handle({ type: 'flushed', ticket }, { wallMs: 0, monoMs: this.at }))
    }
    return this.sent.map(({ message }) => message)
  }

  /** Tells, flushes, and answers the one reply. */
  ask(message: ReplicaMessage): ReplicaReply {
    const replies = [...this.tell(message), ...this.flush()]
    expect(replies).toHaveLength(1)
    return replies[0]!
  }

  #run(effects: readonly ReplicaEffect[]): void {
    for (const effect of effects) {
      if (effect.type === 'persist') this.disk.pending.push(effect.write)
      if (effect.type === 'send') this.sent.push(effect)
      if (effect.type === 'failStop') this.failStop = effect.reason
    }
  }
}

function prepare(ballot: Ballot, change: Partial<Prepare> = {}): Prepare {
  const last = { ballot: [99, 9] as Ballot, position: 1_000 }
  return { type: 'prepare', from: sender(ballot[1]), ballot, last, voters: voters(3), ...change }
}

let seq = 0
function accept(ballot: Ballot, prev: [number, Ballot], entries: Entry[], commit = 0): Accept {
  return {
    type: 'accept',
    from: sender(ballot[1]),
    ballot,
    seq: ++seq,
    prev: { position: prev[0], ballot: prev[1] },
    entries,
    commit,
    begin: 1,
    sentAtMs: 7,
  }
}
const data = (position: number, ballot: Ballot, value = `v${position}`) =>
  makeEntry(position, ballot, 'DATA', text(value))
const NONE: Ballot = [0, 0]

describe('a replica asked to promise', () => {
  test('promised 2: PREPARE 1 gets NACK with 2, PREPARE 3 is promised and survives a crash', () => {
    const bench = new Bench({ promised: [2, 2] })
    expect(bench.ask(prepare([1, 3]))).toMatchObject({ type: 'nack', promised: [2, 2], reason: { type: 'BALLOT' } })
    expect(bench.ask(prepare([3, 3]))).toMatchObject({ type: 'promise', ballot: [3, 3] })
    expect(bench.open().meta.promised).toEqual([3, 3])
  })

  test('promise not flushed yet: what is durable does not have it, so it is not told to others as kept', () => {
    const bench = new Bench({ promised: [1, 2] })
    bench.tell(prepare([3, 2]))
    expect([bench.core.meta.promised, bench.core.durable.promised]).toEqual([
      [3, 2],
      [1, 2],
    ])
    bench.flush()
    expect(bench.core.durable).toEqual(bench.core.meta)
  })

  test('same ballot again after a lost reply: the same PROMISE, and nothing is written', () => {
    const bench = new Bench()
    const first = bench.ask(prepare([4, 2]))
    expect(bench.tell(prepare([4, 2]))).toEqual([first])
    expect(bench.disk.pending).toEqual([])
  })

  test('STARTING: PREPARE and ACCEPT get NOT_VOTING at once, nothing is persisted', () => {
    const bench = new Bench({ status: 'STARTING', descriptor: null })
    expect(bench.tell(prepare([1, 2]))).toMatchObject([{ type: 'nack', reason: { type: 'NOT_VOTING' } }])
    expect(bench.tell(accept([1, 2], [0, NONE], []))).toMatchObject([{ type: 'nack', reason: { type: 'NOT_VOTING' } }])
    expect(bench.disk.pending).toEqual([])
  })

  test('not a voter of the candidate, or with another disk: NOT_VOTING', () => {
    const bench = new Bench()
    const others = voters(3).map(voter => (voter.memberId === 1 ? { ...voter, incarnation: 'new disk' } : voter))
    expect(bench.ask(prepare([1, 2], { voters: others }))).toMatchObject({ reason: { type: 'NOT_VOTING' } })
  })

  test('candidate with a less advanced log: BEHIND, whatever its length', () => {
    const bench = new Bench()
    bench.ask(accept([3, 2], [0, NONE], [data(1, [2, 3]), data(2, [3, 2])]))
    bench.at = 5_000
    const shorter = prepare([4, 3], { last: { ballot: [2, 3], position: 50 } })
    expect(bench.ask(shorter)).toMatchObject({ reason: { type: 'BEHIND', last: { ballot: [3, 2], position: 2 } } })
    expect(bench.ask(prepare([4, 3], { last: { ballot: [3, 2], position: 2 } }))).toMatchObject({ type: 'promise' })
  })

  test('a live leader holds the lease: another candidate waits, the leader itself and its chosen successor do not', () => {
    const bench = new Bench()
    bench.ask(accept([1, 2], [0, NONE], []))
    expect(bench.ask(prepare([2, 3]))).toMatchObject({ reason: { type: 'LEASE' } })
    expect(bench.ask(prepare([2, 3], { releasedBallot: [1, 2] }))).toMatchObject({ type: 'promise' })
    bench.at = LOG_TIMING.leaseMs
    expect(bench.ask(prepare([3, 3]))).toMatchObject({ type: 'promise' })
  })

  test('restarted voter of three: no promise until a forgotten lease has run out, or its leader has released it', () => {
    const bench = new Bench({ promised: [3, 2] })
    bench.open(0)
    const refusedFor = (releasedBallot?: Ballot) => {
      const reply = bench.ask(prepare([4, 3], releasedBallot === undefined ? {} : { releasedBallot }))
      return reply.type === 'nack' ? reply.reason.type : reply.type
    }
    expect([refusedFor(), refusedFor([2, 2]), refusedFor([3, 1])]).toEqual(['LEASE', 'LEASE', 'LEASE'])
    // A leader that it has heard since, or promised before: released, there is none whose lease could run.
    expect(refusedFor([3, 2])).toBe('promise')
    bench.ask(accept([5, 2], [0, NONE], []))
    expect(bench.ask(prepare([6, 3], { releasedBallot: [4, 3] }))).toMatchObject({ reason: { type: 'LEASE' } })
    expect(bench.ask(prepare([6, 3], { releasedBallot: [5, 2] }))).toMatchObject({ type: 'promise' })
  })

  test('restarted voter of three: without a release it waits, and then it promises', () => {
    const bench = new Bench()
    bench.open(0)
    expect(bench.ask(prepare([1, 2]))).toMatchObject({ reason: { type: 'LEASE' } })
    bench.at = LOG_TIMING.leaseMs * 1.02
    expect(bench.ask(prepare([1, 2]))).toMatchObject({ type: 'promise' })
  })

  test('damaged store: CORRUPT to everything', () => {
    const bench = new Bench()
    bench.tell({ type: 'damaged' })
    expect(bench.ask(prepare([1, 2]))).toMatchObject({ reason: { type: 'CORRUPT' } })
    expect(bench.ask(accept([1, 2], [0, NONE], []))).toMatchObject({ reason: { type: 'CORRUPT' } })
  })
})

describe('a replica asked to accept', () => {
  test('equal ballot is accepted, lower is refused with the promised one', () => {
    const bench = new Bench({ promised: [2, 2] })
    expect(bench.ask(accept([2, 2], [0, NONE], [data(1, [2, 2])]))).toMatchObject({ type: 'accepted', matched: 1 })
    expect(bench.ask(accept([1, 3], [0, NONE], []))).toMatchObject({ type: 'nack', promised: [2, 2] })
  })

  test('accepting a ballot promises it: a delayed ACCEPT of ballot 1 after one of ballot 2 changes nothing', () => {
    const bench = new Bench({ promised: [1, 2] })
    bench.ask(accept([2, 3], [0, NONE], [data(1, [2, 3], 'Y')]))
    expect(bench.ask(accept([1, 2], [0, NONE], [data(1, [1, 2], 'X')]))).toMatchObject({
      type: 'nack',
      promised: [2, 3],
      reason: { type: 'BALLOT' },
    })
    expect(bench.disk.entries.get(1)?.ballot).toEqual([2, 3])
    expect(bench.disk.meta.promised).toEqual([2, 3])
  })

  test('restart: entries, ballots, promise and end are identical', () => {
    const bench = new Bench()
    bench.ask(accept([2, 2], [0, NONE], [data(1, [1, 3]), data(2, [2, 2])], 1))
    const before = { ...bench.core.meta }
    bench.open()
    expect(bench.core.meta).toEqual(before)
    expect(bench.core.last).toEqual({ ballot: [2, 2], position: 2 })
  })

  test('duplicated, reordered and replayed batches: the log never shrinks, has no gap, matched is right', () => {
    const bench = new Bench()
    const first = accept([1, 2], [0, NONE], [data(1, [1, 2]), data(2, [1, 2])])
    const second = accept([1, 2], [2, [1, 2]], [data(3, [1, 2])])
    expect(bench.ask(second)).toMatchObject({ type: 'nack', reason: { type: 'MISMATCH', next: 1 } })
    expect(bench.ask(first)).toMatchObject({ type: 'accepted', matched: 2 })
    expect(bench.ask(second)).toMatchObject({ type: 'accepted', matched: 3 })
    expect(bench.ask(first)).toMatchObject({ type: 'accepted', matched: 2 })
    expect([...bench.disk.entries.keys()]).toEqual([1, 2, 3])
    expect(bench.core.last.position).toBe(3)
  })

  test('position at or below the commit or the beginning: answered, not ignored', () => {
    const bench = new Bench()
    bench.ask(accept([1, 2], [0, NONE], [data(1, [1, 2]), data(2, [1, 2])], 2))
    expect(bench.ask(accept([1, 2], [0, NONE], [data(1, [1, 2])], 2))).toMatchObject({ type: 'accepted', matched: 1 })

    const truncated = new Bench({ begin: 5, end: 4, commit: 4 })
    const old = accept([1, 2], [2, [1, 2]], [data(3, [1, 2]), data(4, [1, 2]), data(5, [1, 2])], 4)
    expect(truncated.ask(old)).toMatchObject({ type: 'accepted', matched: 5 })
    expect([...truncated.disk.entries.keys()]).toEqual([5])
  })

  test('conflict beyond the commit: the own tail goes, and the new entries come, in one write', () => {
    const bench = new Bench()
    bench.ask(
      accept(
        [1, 2],
        [0, NONE],
        [1, 2, 3, 4].map(at => data(at, [1, 2])),
        1,
      ),
    )
    bench.tell(accept([2, 3], [1, [1, 2]], [data(2, [2, 3])], 1))
    expect(bench.disk.pending).toMatchObject([{ cutFrom: 2, meta: { end: 2, promised: [2, 3] } }])
    bench.flush()
    expect([...bench.disk.entries.values()].map(entry => entry.ballot)).toEqual([
      [1, 2],
      [2, 3],
    ])
  })

  test('mismatch: the hint steps back by whole ballots, never below the commit', () => {
    const bench = new Bench()
    const entries = [data(1, [1, 2]), data(2, [2, 3]), data(3, [2, 3]), data(4, [2, 3])]
    bench.ask(accept([2, 3], [0, NONE], entries, 1))
    expect(bench.ask(accept([3, 2], [4, [3, 2]], []))).toMatchObject({ reason: { type: 'MISMATCH', next: 2 } })
    expect(bench.ask(accept([3, 2], [9, [3, 2]], []))).toMatchObject({ reason: { type: 'MISMATCH', next: 5 } })
  })

  test('conflict with a committed position: fail-stop with an agreement alarm, no reply', () => {
    const bench = new Bench()
    bench.ask(accept([1, 2], [0, NONE], [data(1, [1, 2])], 1))
    expect(bench.tell(accept([2, 3], [0, NONE], [data(1, [2, 3])]))).toEqual([])
    expect(bench.failStop).toContain('agreement broken at position 1')
  })

  test('same ballot and position with another content: fail-stop', () => {
    const bench = new Bench()
    bench.ask(accept([1, 2], [0, NONE], [data(1, [1, 2], 'one')]))
    bench.tell(accept([1, 2], [0, NONE], [data(1, [1, 2], 'two')]))
    expect(bench.failStop).toContain('agreement broken')
  })

  test('commit follows the leader as far as this message proves the logs equal', () => {
    const bench = new Bench()
    bench.ask(accept([1, 2], [0, NONE], [data(1, [1, 2]), data(2, [1, 2])], 9))
    expect(bench.core.meta.commit).toBe(2)
    bench.ask(accept([1, 2], [0, NONE], [], 9))
    expect(bench.core.meta.commit).toBe(2)
  })
})

describe('flush before reply', () => {
  test('flush not finished: neither PROMISE nor ACCEPTED leaves, however much time passes', () => {
    const bench = new Bench()
    expect(bench.tell(prepare([1, 2]))).toEqual([])
    expect(bench.tell(accept([1, 2], [0, NONE], [data(1, [1, 2])]))).toEqual([])
    bench.at = 60_000
    expect(bench.tell(accept([1, 2], [1, [1, 2]], []))).toEqual([])
    expect(bench.flush(1)).toMatchObject([{ type: 'promise' }])
    expect(bench.flush(1)).toMatchObject([
      { type: 'accepted', matched: 1 },
      { type: 'accepted', matched: 1 },
    ])
  })

  test('promise pending in the flush: a lower ACCEPT is refused already, and the refusal waits for that flush too', () => {
    const bench = new Bench()
    bench.tell(prepare([5, 3]))
    expect(bench.tell(accept([4, 2], [0, NONE], [data(1, [4, 2])]))).toEqual([])
    expect(bench.flush()).toMatchObject([{ type: 'promise' }, { type: 'nack', promised: [5, 3] }])
    expect(bench.disk.entries.size).toBe(0)
  })

  test('flushes reported out of order: nothing leaves before the earliest is there', () => {
    const bench = new Bench()
    bench.tell(accept([1, 2], [0, NONE], [data(1, [1, 2])]))
    bench.tell(accept([1, 2], [1, [1, 2]], [data(2, [1, 2])]))
    const [first, second] = bench.disk.flush()
    expect(bench.tell({ type: 'flushed', ticket: second! })).toEqual([])
    expect(bench.tell({ type: 'flushed', ticket: first! })).toMatchObject([{ matched: 1 }, { matched: 2 }])
  })

  test('heartbeat with a higher ballot: the promise is flushed before the answer, and a mismatch keeps it too', () => {
    const bench = new Bench()
    expect(bench.tell(accept([3, 2], [7, [3, 2]], []))).toEqual([])
    expect(bench.flush()).toMatchObject([{ reason: { type: 'MISMATCH' } }])
    expect(bench.disk.meta.promised).toEqual([3, 2])
  })

  test('commit is only in memory: resting writes it once', () => {
    const bench = new Bench()
    bench.ask(accept([1, 2], [0, NONE], [data(1, [1, 2])]))
    bench.ask(accept([1, 2], [1, [1, 2]], [], 1))
    expect(bench.disk.meta.commit).toBe(0)
    bench.tell({ type: 'rest' })
    bench.flush()
    expect(bench.disk.meta.commit).toBe(1)
    bench.tell({ type: 'rest' })
    expect(bench.disk.pending).toEqual([])
  })
})

describe('runs of ballots', () => {
  test('positions beyond 2^31, 2^32 and 10^10 keep their order and their ballots', () => {
    for (const start of [2 ** 31, 2 ** 32, 10 ** 10]) {
      const runs = new BallotRuns(start)
      runs.push(start, [1, 1])
      runs.push(start + 1, [2, 1])
      expect(runs.ballotAt(start)).toEqual([1, 1])
      expect(runs.last).toEqual({ ballot: [2, 1], position: start + 1 })
      runs.cutFrom(start + 1)
      expect(runs.last).toEqual({ ballot: [1, 1], position: start })
    }
  })
})
