import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Ballot, compareBallots, sameBallot } from '../../../src/core/log/ballot.ts'
import { foldDigest } from '../../../src/core/log/crc.ts'
import { type Entry, makeEntry } from '../../../src/core/log/entry.ts'
import type { LogBase, LogMeta } from '../../../src/core/log/meta.ts'
import { restoreLog } from '../../../src/core/log/restore.ts'
import {
  installedLog,
  isUseful,
  type SnapshotHeader,
  snapshotId,
  snapshotSource,
} from '../../../src/core/log/snapshot.ts'
import { metaOf } from './log-cluster.ts'

const header = (position: number, ballot: Ballot, digest = 0): SnapshotHeader => ({
  id: snapshotId(2, 0xabc),
  clusterId: 'c',
  position,
  base: { ballot, digest },
  rowsDigest: 1,
})
const log = (change: Partial<LogMeta>): LogMeta => metaOf(1, 3, { promised: [3, 2], ...change })

describe('whether a snapshot is of use', () => {
  test('only one that goes further than the tables in use, and only of this cluster', () => {
    const of = header(10, [1, 1])
    expect(isUseful(of, log({}), 9)).toBe(true)
    expect(isUseful(of, log({}), 10)).toBe(false)
    expect(isUseful(of, log({ clusterId: 'other' }), 0)).toBe(false)
  })

  test('tables that cannot be used, log truncated: it must reach to where the log begins, else there would be a gap', () => {
    const truncated = log({ begin: 8, end: 20, commit: 15 })
    expect(isUseful(header(6, [1, 1]), truncated, 0)).toBe(false)
    expect(isUseful(header(7, [1, 1]), truncated, 0)).toBe(true)
  })

  test('its name says whose it is', () => {
    expect(snapshotSource(snapshotId(12, 0xf00))).toBe(12)
    expect(Number.isNaN(snapshotSource('what is this'))).toBe(true)
  })
})

describe('the log beneath an installed snapshot', () => {
  test('beyond the end: all goes, and the log goes on after the snapshot', () => {
    const { meta, keepsTail } = installedLog(log({ end: 5, commit: 3 }), undefined, header(40, [4, 3], 77))
    expect(keepsTail).toBe(false)
    expect(meta).toMatchObject({ begin: 41, end: 40, commit: 40, digest: 77, base: { ballot: [4, 3], digest: 77 } })
    expect(meta.promised).toEqual([4, 3])
  })

  test('in the middle of the same history: what follows stays, with commit and digest where they were further', () => {
    const before = log({ end: 60, commit: 50, digest: 5 })
    const { meta, keepsTail } = installedLog(before, [2, 2], header(40, [2, 2], 77))
    expect(keepsTail).toBe(true)
    expect(meta).toMatchObject({ begin: 41, end: 60, commit: 50, digest: 5, promised: [3, 2] })
  })

  test('in the middle, commit behind it: it is committed up to the snapshot', () => {
    const { meta } = installedLog(log({ end: 60, commit: 10, digest: 5 }), [2, 2], header(40, [2, 2], 77))
    expect(meta).toMatchObject({ begin: 41, end: 60, commit: 40, digest: 77 })
  })

  test('another history at its position: the tail goes, as it would before an ACCEPT', () => {
    const { meta, keepsTail } = installedLog(log({ end: 60, commit: 10 }), [1, 3], header(40, [2, 2], 77))
    expect(keepsTail).toBe(false)
    expect(meta).toMatchObject({ begin: 41, end: 40, commit: 40 })
  })

  test('what is committed after it does not follow from it: agreement is broken, nothing is done', () => {
    expect(() => installedLog(log({ end: 60, commit: 50 }), [1, 3], header(40, [2, 2]))).toThrow('follows from it')
  })

  test('done again after a crash: nothing changes but the count of writes', () => {
    const of = header(40, [4, 3], 77)
    const first = installedLog(log({ end: 60, commit: 10 }), [4, 3], of).meta
    const second = installedLog(first, first.base.ballot, of)
    expect(second.keepsTail).toBe(true)
    expect({ ...second.meta, generation: 0 }).toEqual({ ...first, generation: 0 })
  })
})

/** A committed history, and a member's log that is equal to it for a while and then may go another way. */
const histories = fc
  .record({
    committed: fc.array(fc.nat({ max: 2 }), { minLength: 1, maxLength: 30 }),
    own: fc.array(fc.nat({ max: 2 }), { maxLength: 30 }),
    shared: fc.nat({ max: 30 }),
    position: fc.integer({ min: 1, max: 30 }),
    begin: fc.nat({ max: 30 }),
    commit: fc.nat({ max: 30 }),
    promised: fc.nat({ max: 5 }),
  })
  .map(drawn => {
    const share = Math.min(drawn.shared, drawn.committed.length)
    // Ballots never go back along a log; the own tail is by a leader that did not win in the end.
    const committed = entriesOf(drawn.committed, 2)
    const own = [...committed.slice(0, share), ...entriesOf(drawn.own, 3, committed.slice(0, share))]
    const commit = Math.min(drawn.commit, share)
    const begin = Math.min(drawn.begin, commit) + 1
    const position = Math.min(drawn.position, committed.length)
    return { committed, own, commit, begin, position, promised: drawn.promised }
  })
  .filter(({ position, begin }) => position >= begin)

function entriesOf(raises: readonly number[], memberId: number, after: readonly Entry[] = []): Entry[] {
  let round = after.at(-1)?.ballot[0] ?? 1
  return raises.map((raise, at) => {
    round += raise
    return makeEntry(after.length + at + 1, [round, memberId], 'DATA', new Uint8Array([raise]))
  })
}

function baseAt(entries: readonly Entry[], position: number): LogBase {
  const digest = entries.slice(0, position).reduce((sum, { crc }) => foldDigest(sum, crc), 0)
  return { ballot: entries[position - 1]?.ballot ?? [0, 0], digest }
}

describe('any log, any snapshot', () => {
  test('what follows the snapshot in its own history is kept, nothing else; it opens, and the promise never falls', () => {
    fc.assert(
      fc.property(histories, ({ committed, own, commit, begin, position, promised }) => {
        const last = own.at(-1)?.ballot ?? ([0, 0] as const)
        const meta = log({
          begin,
          base: baseAt(own, begin - 1),
          end: own.length,
          commit,
          digest: baseAt(own, commit).digest,
          promised: [Math.max(promised, last[0]), 9],
        })
        const of: SnapshotHeader = { ...header(position, [0, 0]), base: baseAt(committed, position) }
        const held = own[position - 1]?.ballot
        const { meta: after, keepsTail } = installedLog(meta, held, of)

        const isSame = held !== undefined && sameBallot(held, of.base.ballot)
        expect(keepsTail).toBe(isSame)
        const kept = keepsTail ? own.slice(position) : []
        const found = kept.map(entry => ({ position: entry.position, record: { ok: true, entry } as const }))
        const opened = restoreLog(after, found)
        expect(opened).toMatchObject({ ok: true })
        expect(after.begin).toBe(position + 1)
        expect(after.commit).toBe(Math.max(position, commit))
        expect(compareBallots(after.promised, meta.promised)).toBeGreaterThanOrEqual(0)
        const end = opened.ok ? opened.restored.runs.last : { ballot: [0, 0] as const, position: 0 }
        expect(compareBallots(after.promised, end.ballot)).toBeGreaterThanOrEqual(0)
        expect(end.position).toBe(position + kept.length)
      }),
    )
  })
})
