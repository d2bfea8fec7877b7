/** What a replica does besides promising and accepting: it learns what others have committed, and drops what nobody needs. */
import { describe, expect, test } from 'vitest'
import type { Ballot } from '../../../src/core/log/ballot.ts'
import { foldDigest } from '../../../src/core/log/crc.ts'
import { type Entry, makeEntry } from '../../../src/core/log/entry.ts'
import type { LogMeta } from '../../../src/core/log/meta.ts'
import { ReplicaCore, type ReplicaEffect, type ReplicaMessage } from '../../../src/core/log/replica-core.ts'
import { restoreLog } from '../../../src/core/log/restore.ts'
import { LOG_TIMING } from '../../../src/core/log/timing.ts'
import { Disk, metaOf, text } from './log-cluster.ts'

const data = (position: number, ballot: Ballot, value = `v${position}`): Entry =>
  makeEntry(position, ballot, 'DATA', text(value))
const range = (from: number, to: number, ballot: Ballot): Entry[] =>
  Array.from({ length: to - from + 1 }, (_, at) => data(from + at, ballot))
const sender = { memberId: 2, incarnation: 'disk-2' }
const now = { wallMs: 0, monoMs: 0 }

/** Member 1 of three. Effects come out as the core lets them go; writes wait in the disk until they are flushed. */
class Bench {
  readonly disk: Disk
  core: ReplicaCore

  constructor(change: Partial<LogMeta> = {}) {
    this.disk = new Disk(metaOf(1, 3, change))
    this.core = this.#opened()
  }

  #opened(): ReplicaCore {
    const { meta, entries } = this.disk
    const positions = [...entries.keys()].sort((a, b) => a - b)
    const found = positions.map(at => ({ position: at, record: { ok: true, entry: entries.get(at)! } as const }))
    const result = restoreLog(meta, found)
    if (!result.ok) throw new Error(result.reason)
    return new ReplicaCore(result.restored, { timing: LOG_TIMING, openedAt: { wallMs: 0, monoMs: -10_000 } })
  }

  /** As an opening of the store does it, checks included. */
  reopen(): void {
    this.disk.pending = []
    this.core = this.#opened()
  }

  tell(message: ReplicaMessage): ReplicaEffect[] {
    const effects = this.core.handle(message, now)
    this.core.invariants()
    for (const effect of effects) if (effect.type === 'persist') this.disk.pending.push(effect.write)
    return effects.filter(effect => effect.type !== 'persist')
  }

  flush(): ReplicaEffect[] {
    return this.disk.flush().flatMap(ticket => this.tell({ type: 'flushed', ticket }))
  }

  /** From a leader of this ballot; flushed. */
  accept(ballot: Ballot, prev: Entry | null, entries: readonly Entry[], commit: number): void {
    this.tell({
      type: 'accept',
      from: { memberId: ballot[1], incarnation: `disk-${ballot[1]}` },
      ballot,
      seq: 1,
      prev: { position: prev?.position ?? 0, ballot: prev?.ballot ?? [0, 0] },
      entries,
      commit,
      begin: 1,
      sentAtMs: 0,
    })
    this.flush()
  }

  /** As the actor does it: checksums of the first records held. */
  drop(count: number): ReplicaEffect[] {
    const { begin } = this.core.meta
    const crcs = Array.from({ length: count }, (_, at) => this.disk.entries.get(begin + at)!.crc)
    return this.tell({ type: 'drop', crcs })
  }

  held(): string {
    const positions = [...this.disk.entries.keys()].sort((a, b) => a - b)
    return positions.length === 0 ? 'nothing' : `${positions[0]} to ${positions.at(-1)}`
  }
}

describe('learning what others have committed', () => {
  test('taken as it is, after the own end; told and committed when it is on disk, and not before', () => {
    const bench = new Bench()
    bench.accept([1, 2], null, range(1, 3, [1, 2]), 3)
    expect(bench.tell({ type: 'learn', entries: range(4, 6, [2, 3]) })).toEqual([])
    expect(bench.core.durable.commit).toBe(3)
    expect(bench.flush()).toEqual([
      { type: 'committed', upTo: 6 },
      { type: 'learned', commit: 6 },
    ])
    expect(bench.disk.meta).toMatchObject({ end: 6, commit: 6, promised: [2, 3] })
    bench.reopen()
    expect(bench.core.last).toEqual({ ballot: [2, 3], position: 6 })
  })

  test('a tail that conflicts is replaced in the same write; what is equal stays', () => {
    const bench = new Bench()
    bench.accept([1, 2], null, range(1, 9, [1, 2]), 2)
    bench.tell({ type: 'learn', entries: [...range(3, 4, [1, 2]), ...range(5, 6, [2, 3])] })
    expect(bench.disk.pending).toMatchObject([{ cutFrom: 5, entries: [{ position: 5 }, { position: 6 }] }])
    bench.flush()
    expect(bench.held()).toBe('1 to 6')
    bench.reopen()
    expect(bench.core.meta).toMatchObject({ end: 6, commit: 6 })
  })

  test('held already: only the commit moves, and nothing is written', () => {
    const bench = new Bench()
    bench.accept([1, 2], null, range(1, 9, [1, 2]), 2)
    expect(bench.tell({ type: 'learn', entries: range(3, 5, [1, 2]) })).toEqual([
      { type: 'committed', upTo: 5 },
      { type: 'learned', commit: 5 },
    ])
    expect(bench.disk.pending).toEqual([])
    expect(bench.core.meta.end).toBe(9)
  })

  test('the promise is raised to what was learned and never lowered, so that older leaders are refused', () => {
    const bench = new Bench({ promised: [7, 2] })
    bench.tell({ type: 'learn', entries: range(1, 2, [3, 3]) })
    bench.flush()
    expect(bench.core.meta.promised).toEqual([7, 2])
    bench.tell({ type: 'learn', entries: range(3, 3, [8, 3]) })
    bench.flush()
    expect(bench.core.meta.promised).toEqual([8, 3])
  })

  test('at or below the commit: passed over; a gap after it: refused, nothing changes', () => {
    const bench = new Bench()
    bench.accept([1, 2], null, range(1, 4, [1, 2]), 4)
    expect(bench.tell({ type: 'learn', entries: range(1, 4, [9, 9]) })).toEqual([{ type: 'learned', commit: 4 }])
    expect(bench.tell({ type: 'learn', entries: range(6, 8, [1, 2]) })).toEqual([{ type: 'learned', commit: 4 }])
    expect(bench.tell({ type: 'learn', entries: [] })).toEqual([{ type: 'learned', commit: 4 }])
    bench.tell({ type: 'learn', entries: range(3, 6, [1, 2]) })
    bench.flush()
    expect(bench.core.meta).toMatchObject({ end: 6, commit: 6 })
    expect(bench.core.meta.promised).toEqual([1, 2])
  })

  test.each<[string, ReplicaMessage | null, Partial<LogMeta>]>([
    ['disk full', { type: 'space', full: true, freeBytes: 0 }, {}],
    ['a damaged record', { type: 'damaged' }, {}],
    ['not a voter yet', null, { status: 'STARTING', descriptor: null }],
  ])('%s: refused, which is told, and nothing changes', (_name, message, change) => {
    const bench = new Bench(change)
    if (message !== null) bench.tell(message)
    expect(bench.tell({ type: 'learn', entries: range(1, 3, [1, 2]) })).toEqual([{ type: 'learned', commit: 0 }])
    expect(bench.core.meta).toMatchObject({ end: 0, commit: 0, promised: [0, 0] })
  })

  test('the refusal too waits for what was written before: the commit that it names is on disk', () => {
    const bench = new Bench()
    bench.tell({ type: 'learn', entries: range(1, 2, [1, 2]) })
    bench.tell({ type: 'space', full: true, freeBytes: 0 })
    expect(bench.tell({ type: 'learn', entries: range(3, 4, [1, 2]) })).toEqual([])
    expect(bench.flush().map(effect => effect.type)).toEqual(['committed', 'learned', 'learned'])
  })

  test('the same position and ballot with another content: fail-stop', () => {
    const bench = new Bench()
    bench.accept([1, 2], null, range(1, 3, [1, 2]), 1)
    const [effect] = bench.tell({ type: 'learn', entries: [data(2, [1, 2], 'forged')] })
    expect(effect).toMatchObject({
      type: 'failStop',
      reason: expect.stringContaining('agreement broken at position 2'),
    })
  })

  test('a leader that is not followed: told what it has, so that the rest can be fetched', () => {
    const bench = new Bench()
    bench.accept([1, 2], null, range(1, 3, [1, 2]), 3)
    const ballot: Ballot = [1, 2]
    const prev = { position: 90, ballot }
    const beat = { type: 'accept', from: sender, ballot, seq: 2, prev, entries: [], commit: 88, sentAtMs: 0 } as const
    const effects = bench.tell({ ...beat, begin: 40 })
    expect(effects).toContainEqual({ type: 'behind', leader: 2, begin: 40, end: 88, commit: 3 })
    expect(effects).toContainEqual(
      expect.objectContaining({ message: expect.objectContaining({ reason: { type: 'MISMATCH', next: 4 } }) }),
    )
  })
})

describe('dropping what nobody needs', () => {
  /** 20 positions, all committed; by ballot 1.2 up to 9. */
  const filled = (): Bench => {
    const bench = new Bench()
    bench.accept([2, 3], null, [...range(1, 9, [1, 2]), ...range(10, 20, [2, 3])], 20)
    return bench
  }
  const upTo = (bench: Bench, snapshot: number, to: number): Bench => {
    bench.tell({ type: 'applied', position: 20, snapshot })
    bench.tell({ type: 'truncate', to })
    return bench
  }

  test('nothing before a TRUNCATE entry, nor before the own tables stand for it', () => {
    const bench = filled()
    expect(bench.core.droppable).toBe(0)
    bench.tell({ type: 'truncate', to: 15 })
    expect(bench.core.droppable).toBe(0)
    expect(bench.drop(5)).toEqual([])
    expect(bench.disk.pending).toEqual([])
  })

  test.each<[string, number, number, ReplicaMessage | null, number]>([
    ['what the leader says', 20, 12, null, 11],
    ['the own tables', 7, 12, null, 7],
    ['the last committed entry, which stays', 20, 900, null, 19],
    ['an entry that another member is being brought up with', 20, 12, { type: 'hold', from: 5 }, 4],
  ])('it ends at %s', (_name, snapshot, to, message, droppable) => {
    const bench = upTo(filled(), snapshot, to)
    if (message !== null) bench.tell(message)
    expect(bench.core.droppable).toBe(droppable)
  })

  test('a hold is let go: the rest may go too; a late word of a smaller TRUNCATE changes nothing', () => {
    const bench = upTo(filled(), 20, 12)
    bench.tell({ type: 'hold', from: 5 })
    bench.tell({ type: 'hold', from: null })
    bench.tell({ type: 'truncate', to: 3 })
    expect(bench.core.droppable).toBe(11)
  })

  test('some at a time: deleted with the bounds in one write, and told when it is on disk', () => {
    const bench = upTo(filled(), 20, 12)
    expect(bench.drop(4)).toEqual([])
    expect(bench.disk.pending).toMatchObject([{ dropBefore: 5, cutFrom: null, entries: [], meta: { begin: 5 } }])
    expect(bench.flush()).toEqual([{ type: 'dropped', begin: 5 }])
    expect(bench.held()).toBe('5 to 20')
    expect(bench.core.droppable).toBe(7)
  })

  test('more checksums than may go: only those that may', () => {
    const bench = upTo(filled(), 20, 4)
    bench.drop(10)
    bench.flush()
    expect(bench.held()).toBe('4 to 20')
  })

  test('the base has the ballot and the digest of all that is gone, and every opening finds the log whole', () => {
    const bench = upTo(filled(), 20, 15)
    for (const count of [3, 1, 6, 4]) {
      bench.drop(count)
      bench.flush()
      bench.reopen()
      upTo(bench, 20, 15)
      const { begin, base } = bench.core.meta
      const gone = [...range(1, 9, [1, 2]), ...range(10, 20, [2, 3])].slice(0, begin - 1)
      expect(base).toEqual({
        ballot: gone.at(-1)!.ballot,
        digest: gone.reduce((sum, { crc }) => foldDigest(sum, crc), 0),
      })
    }
    expect(bench.held()).toBe('15 to 20')
  })

  test('another record in place of the first one held: the digest does not match, and the opening is refused', () => {
    const bench = upTo(filled(), 20, 15)
    bench.drop(5)
    bench.flush()
    bench.disk.entries.set(6, data(6, [1, 2], 'forged'))
    expect(() => bench.reopen()).toThrow('digest')
  })

  test('an ACCEPT of what is gone: answered as held, with what follows it taken', () => {
    const bench = upTo(filled(), 20, 15)
    bench.drop(14)
    bench.flush()
    const entries = [...range(5, 9, [1, 2]), ...range(10, 20, [2, 3]), data(21, [2, 3])]
    bench.accept([2, 3], data(4, [1, 2]), entries, 20)
    expect(bench.held()).toBe('15 to 21')
  })

  test('a candidate is shown the log from where it begins', () => {
    const bench = upTo(filled(), 20, 15)
    bench.drop(14)
    bench.flush()
    const candidacy = bench.tell({ type: 'stand', roundSeen: 0 }).find(effect => effect.type === 'candidacy')
    expect(candidacy).toMatchObject({ begin: 15, commit: 20 })
    expect(candidacy?.runs.ballotAt(14)).toEqual([2, 3])
    expect(candidacy?.runs.ballotAt(13)).toBeUndefined()
  })
})
