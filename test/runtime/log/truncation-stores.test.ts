/** What truncation and snapshots ask of the stores: the same of all bodies. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { LogStore, SnapshotReader, StateStore } from '../../../src/actors/log-ports.ts'
import type { RowBytes } from '../../../src/core/ledger/payload.ts'
import { changedDigest, rowKey } from '../../../src/core/ledger/rows-digest.ts'
import { foldDigest } from '../../../src/core/log/crc.ts'
import { RECORD_HEADER_BYTES } from '../../../src/core/log/entry.ts'
import type { LogMeta } from '../../../src/core/log/meta.ts'
import type { RowCursor, SnapshotHeader, StoredRow } from '../../../src/core/log/snapshot.ts'
import { openStateStore } from '../../../src/runtime/log/lmdb-state-store.ts'
import { temporaryFolder } from './log-folders.ts'
import { data, LOG_STORES, owner, STATE_STORES, Writer } from './store-bodies.ts'

const closing = <T extends LogStore | StateStore>(store: T): T => {
  onTestFinished(() => store.close())
  return store
}
const positions = (store: LogStore, first: number): number[] => store.read(first, 99, 99).map(entry => entry.position)
const digestTo = (upTo: number, from = 1): number =>
  numbered(from, upTo).reduce((sum, { crc }) => foldDigest(sum, crc), 0)
const committed = (commit: number): Partial<LogMeta> => ({ commit, digest: digestTo(commit) })
/** What a drop of everything before it says. */
const from = (begin: number): Partial<LogMeta> => ({ begin, base: { ballot: [1, 1], digest: digestTo(begin - 1) } })
const numbered = (first: number, last: number) => Array.from({ length: last - first + 1 }, (_, at) => data(first + at))

describe.each(LOG_STORES)('a truncated log, %s', (_name, make) => {
  test('dropped: what is before it cannot be read, the rest can; a read that begins before it is empty', async () => {
    const store = closing(await (await make())())
    const writer = new Writer(store)
    await writer.write(numbered(1, 9), committed(6))
    await writer.write([], from(5), null, 5)
    expect([1, 4].map(at => positions(store, at))).toEqual([[], []])
    expect(positions(store, 5)).toEqual([5, 6, 7, 8, 9])
  })

  test('dropped, cut and written in one: all of it, and again after a restart', async () => {
    const reopen = await make()
    const store = await reopen()
    const writer = new Writer(store)
    await writer.write(numbered(1, 9), committed(6))
    await writer.write([data(8, 'new')], from(3), 8, 3)
    expect(positions(store, 3)).toEqual([3, 4, 5, 6, 7, 8])
    await store.close()
    const again = closing(await reopen())
    expect(again.restored.meta).toMatchObject({ begin: 3, end: 8, bootCounter: 2 })
    expect(again.restored.runs.ballotAt(2)).toEqual([1, 1])
    expect(new TextDecoder().decode(again.read(8, 8, 1)[0]!.payload)).toBe('new')
  })

  test('dropped in many small steps: each restart finds it whole, and goes on', async () => {
    const reopen = await make()
    let store = await reopen()
    let writer = new Writer(store)
    await writer.write(numbered(1, 40), committed(40))
    for (let begin = 4; begin <= 40; begin += 4) {
      await writer.write([], from(begin), null, begin)
      await store.close()
      store = await reopen()
      writer = new Writer(store)
      expect(store.restored.meta).toMatchObject({ begin, end: 40, commit: 40 })
    }
    expect(positions(closing(store), 40)).toEqual([40])
  })

  test('everything dropped: empty, with its end where it was, and the next position follows', async () => {
    const reopen = await make()
    const store = await reopen()
    const writer = new Writer(store)
    await writer.write(numbered(1, 3), committed(3))
    await writer.write([], from(4), null, 4)
    await store.close()
    const again = closing(await reopen())
    expect(again.restored.runs.last).toEqual({ ballot: [1, 1], position: 3 })
    await new Writer(again).write([data(4)])
    expect(positions(again, 4)).toEqual([4])
  })

  test('read by bytes: no more once there are enough, and always at least one', async () => {
    const store = closing(await (await make())())
    await new Writer(store).write(numbered(1, 9))
    const one = RECORD_HEADER_BYTES + 2
    expect([1, one, one + 1, 3 * one].map(bytes => store.read(1, 9, 9, bytes).length)).toEqual([1, 1, 2, 3])
  })

  test('positions beyond 2^31, 2^32 and 10^10: truncation is right', async () => {
    for (const begin of [2 ** 31 - 1, 2 ** 32 - 1, 10 ** 10 - 1]) {
      const reopen = await make()
      const fresh = await reopen()
      await new Writer(fresh).write(numbered(begin, begin + 4), { begin })
      await fresh.close()
      const store = await reopen()
      const digest = digestTo(begin + 2, begin)
      const dropped = { begin: begin + 3, base: { ballot: [1, 1], digest }, commit: begin + 2, digest } as const
      await new Writer(store).write([], dropped, null, begin + 3)
      expect(store.read(begin + 2, begin + 9, 9)).toEqual([])
      expect(store.read(begin + 3, begin + 9, 9).map(entry => entry.position)).toEqual([begin + 3, begin + 4])
      await store.close()
      const again = closing(await reopen())
      expect(again.restored.meta).toMatchObject({ begin: begin + 3, end: begin + 4 })
    }
  })
})

const bytes = (value: string): Uint8Array => new TextEncoder().encode(value)
const put = (key: string, value: string, table = 1): RowBytes => ({ table, key, bytes: bytes(value) })
const gone = (key: string, table = 1): RowBytes => ({ table, key, bytes: null })
const base = (round: number) => ({ ballot: [round, 1] as const, digest: round })
const writeTo = (state: StateStore, applied: number, rows: readonly RowBytes[]): Promise<void> =>
  state.write({ rows, applied, resumeFrom: applied + 1, base: base(applied) })
const digestOf = (rows: readonly StoredRow[]): number =>
  rows.reduce((digest, row) => changedDigest(digest, rowKey(row.table, row.key), null, row.bytes), 0)
const shown = (rows: readonly StoredRow[]): string =>
  rows.map(row => `${row.table}${row.key}=${new TextDecoder().decode(row.bytes)}`).join(' ')

function pagesOf(reader: SnapshotReader, bytesMax: number, from: RowCursor | null = null): (readonly StoredRow[])[] {
  const pages: (readonly StoredRow[])[] = []
  for (let cursor = from; ; ) {
    const { rows, done } = reader.page(cursor, bytesMax)
    pages.push(rows)
    const last = rows.at(-1)
    if (done || last === undefined) return pages
    cursor = { table: last.table, key: last.key }
  }
}

describe.each(STATE_STORES)('the rows as a snapshot, %s', (_name, make) => {
  test('digest: that of the rows that are there, whatever was put, replaced and deleted, also what was never there', async () => {
    const state = closing(await make()())
    const writes = [
      [put('a', '1'), put('b', '1')],
      [put('a', '2'), put('c', '1', 2)],
      [gone('a'), gone('never'), put('b', '1')],
      [put('b', '9'), gone('c', 2)],
      [gone('c', 2)],
    ]
    for (const [at, rows] of writes.entries()) {
      await writeTo(state, at + 1, rows)
      expect(state.rowsDigest, `write ${at + 1}`).toBe(digestOf(state.readRows(null, 99).rows))
    }
    expect(shown(state.readRows(null, 99).rows)).toBe('1b=9')
  })

  test('opened again: position, base and digest are those of the last write', async () => {
    const reopen = make()
    const state = await reopen()
    await writeTo(state, 7, [put('a', '1')])
    await state.write({ rows: [], applied: 9, resumeFrom: 8, base: base(7) })
    const { rowsDigest } = state
    await state.close()
    const again = closing(await reopen())
    expect(again).toMatchObject({ applied: 9, resumeFrom: 8, base: base(7), rowsDigest })
  })

  test('header: of the position before the first entry that would be replayed, with its base and the digest', async () => {
    const state = closing(await make()())
    await writeTo(state, 5, [put('a', '1')])
    await state.write({ rows: [], applied: 8, resumeFrom: 6, base: base(5) })
    const reader = state.snapshot('1-a')
    expect(reader.header).toEqual({
      id: '1-a',
      clusterId: 'c',
      position: 5,
      base: base(5),
      rowsDigest: digestOf([{ table: 1, key: 'a', bytes: bytes('1') }]),
    })
    reader.close()
  })

  test('writes and reads go on: an open reader stays as it was, a new one is of the newest rows', async () => {
    const state = closing(await make()())
    await writeTo(state, 1, [put('a', '1'), put('b', '1'), put('c', '1')])
    const old = state.snapshot('1-a')
    const first = old.page(null, 1)
    for (let at = 2; at < 30; at++) {
      await writeTo(state, at, [put('a', String(at)), gone('b'), put(`n${at}`, 'x')])
      state.readRows(null, 5)
    }
    const newer = state.snapshot('1-b')
    expect(newer.header.position).toBe(29)
    expect(newer.header.rowsDigest).toBe(digestOf(pagesOf(newer, 20).flat()))
    expect(shown(first.rows)).toBe('1a=1')
    expect(shown(pagesOf(old, 1, { table: 1, key: 'a' }).flat())).toBe('1b=1 1c=1')
    expect(shown(pagesOf(old, 1_000).flat())).toBe('1a=1 1b=1 1c=1')
    expect(old.header).toMatchObject({ position: 1, rowsDigest: digestOf(pagesOf(old, 1).flat()) })
    old.close()
    newer.close()
    await writeTo(state, 30, [put('z', '1')])
  })

  test('opened right after a write: that write is in it', async () => {
    const state = closing(await make()())
    await writeTo(state, 1, [put('a', '1')])
    state.readRows(null, 5)
    await writeTo(state, 2, [put('a', '2')])
    const reader = state.snapshot('1-a')
    expect([reader.header.position, shown(reader.page(null, 99).rows)]).toEqual([2, '1a=2'])
    reader.close()
  })

  test('pages by bytes, with at least one row each, in (table, key) order; the last one says so', async () => {
    const state = closing(await make()())
    const large = 'x'.repeat(500)
    await writeTo(state, 1, [put('b', large), put('a', '1'), put('a', large, 2), put('ä', '1'), put('c', '1', 2)])
    const reader = state.snapshot('1-a')
    const keys = (max: number) => pagesOf(reader, max).map(rows => rows.map(row => `${row.table}${row.key}`).join())
    expect(keys(1)).toEqual(['1a', '1b', '1ä', '2a', '2c'])
    expect(keys(100)).toEqual(['1a,1b', '1ä,2a', '2c'])
    expect(keys(10_000)).toEqual(['1a,1b,1ä,2a,2c'])
    expect(reader.page({ table: 2, key: 'c' }, 100)).toEqual({ rows: [], done: true })
    reader.close()
  })

  test('no rows: one page, empty, the last one', async () => {
    const reader = closing(await make()()).snapshot('1-a')
    expect(reader.header).toMatchObject({ position: 0, rowsDigest: 0 })
    expect(reader.page(null, 100)).toEqual({ rows: [], done: true })
    reader.close()
  })
})

describe.each(STATE_STORES)('a snapshot on its way in, %s', (_name, make) => {
  const rows: StoredRow[] = ['a', 'b', 'c', 'd'].map(key => ({ table: 1, key, bytes: bytes(key) }))
  const header: SnapshotHeader = { id: '2-a', clusterId: 'c', position: 50, base: base(3), rowsDigest: digestOf(rows) }
  const at = (key: string): RowCursor => ({ table: 1, key })
  const page = (cursor: RowCursor | null, from: number, to: number, done = false) => ({
    header,
    cursor,
    rows: rows.slice(from, to),
    done,
  })

  test('page after page: the cursor is the last row on disk, also after the store was opened again', async () => {
    const reopen = make()
    let state = await reopen()
    expect(state.incoming.progress).toBeNull()
    expect(await state.incoming.write(page(null, 0, 2))).toBe(true)
    for (const [cursor, from, to, done] of [
      ['b', 2, 3, false],
      ['c', 3, 4, false],
      ['d', 4, 4, true],
    ] as const) {
      await state.close()
      state = await reopen()
      expect(state.incoming.progress).toMatchObject({ header, cursor: at(cursor), isWhole: false })
      expect(await state.incoming.write(page(at(cursor), from, to, done))).toBe(true)
    }
    expect(state.incoming.progress).toMatchObject({ cursor: at('d'), isWhole: true })
    await state.close()
    expect(closing(await reopen()).incoming.progress).toMatchObject({ isWhole: true })
  })

  test('the tables in use are as they were, until it is whole and after', async () => {
    const state = closing(await make()())
    await writeTo(state, 1, [put('own', '1')])
    await state.incoming.write(page(null, 0, 4, true))
    expect(shown(state.readRows(null, 9).rows)).toBe('1own=1')
    expect(state.applied).toBe(1)
  })

  test('a first page takes the place of whatever was there', async () => {
    const state = closing(await make()())
    await state.incoming.write(page(null, 0, 3))
    const newer = { ...header, id: '3-b', position: 60, rowsDigest: digestOf(rows.slice(1, 2)) }
    // With a row of the old one left over the digest would not match.
    expect(await state.incoming.write({ header: newer, cursor: null, rows: rows.slice(1, 2), done: true })).toBe(true)
    expect(state.incoming.progress).toMatchObject({ header: newer, isWhole: true })
  })

  test('all there, with another digest than the header says: false, and nothing of it is left', async () => {
    const reopen = make()
    const state = await reopen()
    await state.incoming.write(page(null, 0, 2))
    expect(await state.incoming.write(page(at('b'), 3, 4, true))).toBe(false)
    expect(state.incoming.progress).toBeNull()
    await state.close()
    const again = closing(await reopen())
    expect(again.incoming.progress).toBeNull()
    expect(await again.incoming.write(page(null, 0, 4, true))).toBe(true)
  })

  test('no rows at all: one empty page is the whole of it', async () => {
    const state = closing(await make()())
    const empty = { header: { ...header, rowsDigest: 0 }, cursor: null, rows: [], done: true }
    expect(await state.incoming.write(empty)).toBe(true)
    expect(state.incoming.progress).toMatchObject({ cursor: null, isWhole: true })
  })
})

describe('a snapshot on its way in, LMDB', () => {
  test('lies beside the tables, and an unsound one leaves no folder', async () => {
    const folder = join(temporaryFolder(), 'state')
    const state = closing(await openStateStore(folder, owner, { begin: 1, end: 9 }))
    const rows = [{ table: 1, key: 'a', bytes: bytes('a') }]
    const header = { id: '2-a', clusterId: 'c', position: 50, base: base(3), rowsDigest: 1 }
    await state.incoming.write({ header, cursor: null, rows, done: false })
    expect(existsSync(`${folder}.incoming`)).toBe(true)
    expect(await state.incoming.write({ header, cursor: { table: 1, key: 'a' }, rows: [], done: true })).toBe(false)
    expect(existsSync(`${folder}.incoming`)).toBe(false)
  })
})
