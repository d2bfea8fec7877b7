import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { open } from 'lmdb'
import { describe, expect, onTestFinished, test } from 'vitest'
import { DamagedRecord, type LogStore, StoreFull } from '../../../src/actors/log-ports.ts'
import { prng } from '../../../src/core/base/prng.ts'
import { rowHash, rowKey } from '../../../src/core/ledger/rows-digest.ts'
import type { Entry } from '../../../src/core/log/entry.ts'
import { type LogMeta, NO_BASE } from '../../../src/core/log/meta.ts'
import {
  formatLogStore,
  inspectLogStore,
  openLogStore,
  verifyLogStore,
} from '../../../src/runtime/log/lmdb-log-store.ts'
import { openStateStore } from '../../../src/runtime/log/lmdb-state-store.ts'
import { LogLacks } from '../../../src/runtime/log/log-refused.ts'
import { temporaryFolder } from './log-folders.ts'
import { data, genesis, LOG_STORES, owner, STATE_STORES, Writer } from './store-bodies.ts'

describe.each(LOG_STORES)('log store, %s', (_name, make) => {
  const opened = async (reopen: () => Promise<LogStore>): Promise<LogStore> => {
    const store = await reopen()
    onTestFinished(() => store.close())
    return store
  }

  test('reopened: entries, promise and end are what was written, the boot counter is one more', async () => {
    const reopen = await make()
    const first = await reopen()
    await new Writer(first).write([data(1), data(2)])
    await first.close()
    const second = await opened(reopen)
    expect(second.restored.meta).toMatchObject({ bootCounter: 2, promised: [1, 1], begin: 1, end: 2 })
    expect(second.restored.runs.last).toEqual({ ballot: [1, 1], position: 2 })
    expect(second.read(1, 9, 10).map(entry => new TextDecoder().decode(entry.payload))).toEqual(['v1', 'v2'])
  })

  test('cut and write in one: the old tail is gone, the new one is there', async () => {
    const store = await opened(await make())
    const writer = new Writer(store)
    await writer.write([data(1), data(2), data(3)])
    await writer.write([data(2, 'new')], {}, 2)
    expect(store.read(1, 9, 10).map(entry => new TextDecoder().decode(entry.payload))).toEqual(['v1', 'new'])
  })

  test('many writes of one turn: settled in order, all readable', async () => {
    const store = await opened(await make())
    const writer = new Writer(store)
    const settled: number[] = []
    await Promise.all(
      Array.from({ length: 50 }, (_, at) => writer.write([data(at + 1)]).then(() => settled.push(at + 1))),
    )
    expect(settled).toEqual(Array.from({ length: 50 }, (_, at) => at + 1))
    expect(store.read(1, 50, 100)).toHaveLength(50)
  })

  test('read while a write is under way: what is flushed, and what is not there yet is no damage', async () => {
    const store = await opened(await make())
    const writer = new Writer(store)
    await writer.write([data(1), data(2)])
    const later = writer.write([data(3)])
    expect(store.read(1, 9, 10).length).toBeGreaterThanOrEqual(2)
    const cut = writer.write([data(2, 'new')], {}, 2)
    expect(store.read(1, 9, 10).length).toBeGreaterThanOrEqual(1)
    await later
    expect(store.read(1, 9, 10).length).toBeGreaterThanOrEqual(1)
    await cut
    expect(store.read(1, 9, 10).map(entry => new TextDecoder().decode(entry.payload))).toEqual(['v1', 'new'])
  })

  test('read: at most as many as asked, and a missing record is damage', async () => {
    const store = await opened(await make())
    const writer = new Writer(store)
    await writer.write([data(1), data(2), data(3)])
    expect(store.read(2, 3, 1).map(entry => entry.position)).toEqual([2])
    await writer.write([], { end: 5 })
    expect(() => store.read(3, 5, 10)).toThrow(DamagedRecord)
  })

  test('positions beyond 2^31, 2^32 and 10^10: order and reads are right', async () => {
    for (const begin of [2 ** 31 - 1, 2 ** 32 - 1, 10 ** 10 - 1]) {
      const reopen = await make()
      const store = await reopen()
      const positions = [begin, begin + 1, begin + 2]
      await new Writer(store).write(
        positions.map(at => data(at)),
        { begin },
      )
      expect(store.read(begin, begin + 2, 10).map(entry => entry.position)).toEqual(positions)
      await store.close()
      const again = await opened(reopen)
      expect(again.restored.runs.last.position).toBe(begin + 2)
    }
  })
})

describe.each(STATE_STORES)('state store, %s', (_name, make) => {
  test('rows changed again and again, reopened in between: the digest is that of the rows that are there', async () => {
    const reopen = make()
    const chance = prng(7)
    for (let opening = 0, applied = 0; opening < 4; opening++) {
      const state = await reopen()
      for (let at = 0; at < 6; at++) {
        const rows = Array.from({ length: 5 }, (_, row) => ({
          table: 1 + chance.int(0, 2),
          key: `k${5 * chance.int(0, 4) + row}`,
          bytes: chance.next() < 0.3 ? null : Uint8Array.of(chance.int(0, 256)),
        }))
        await state.write({ rows, applied: ++applied, resumeFrom: applied + 1, base: NO_BASE })
        const present = state.readRows(null, 100).rows
        expect(state.rowsDigest).toBe(
          present.reduce((sum, { table, key, bytes }) => (sum + rowHash(rowKey(table, key), bytes)) >>> 0, 0),
        )
      }
      await state.close()
    }
  })

  test('rows of every size come back as they were written', async () => {
    const state = await make()()
    onTestFinished(() => state.close())
    const sizes = [0, 1, 31, 4_095, 4_096, 4_097, 16_384, 70_000, 300_000, 5]
    const rows = sizes.map((size, at) => ({ table: 1, key: `k${at}`, bytes: new Uint8Array(size).fill(at + 1) }))
    await state.write({ rows, applied: 1, resumeFrom: 2, base: NO_BASE })
    const page = state.readRows(null, 100).rows
    expect(page.map(({ bytes }) => [bytes.length, ...new Set(bytes)])).toEqual(
      sizes.map((size, at) => (size === 0 ? [0] : [size, at + 1])),
    )
    // Copies: neither a later page nor a later write shows in them.
    await state.write({
      rows: [{ table: 1, key: 'k1', bytes: Uint8Array.of(99) }],
      applied: 2,
      resumeFrom: 3,
      base: NO_BASE,
    })
    state.readRows(null, 100)
    expect([...page[1]!.bytes]).toEqual([2])
  })

  test('rows come page by page in (table, key) order, all of one applied position', async () => {
    const state = await make()()
    onTestFinished(() => state.close())
    const bytes = new Uint8Array([1, 2, 3])
    const keys = ['b', 'a', 'ab', 'a/b', 'ä']
    const rows = [2, 1].flatMap(table => keys.map(key => ({ table, key, bytes })))
    await state.write({
      rows: [...rows, { table: 1, key: 'b', bytes: null }],
      applied: 7,
      resumeFrom: 8,
      base: NO_BASE,
    })
    const found: string[] = []
    let cursor = null
    for (;;) {
      const page = state.readRows(cursor, 2)
      expect(page.applied).toBe(7)
      found.push(...page.rows.map(row => `${row.table}${row.key}`))
      for (const row of page.rows) expect([...row.bytes]).toEqual([1, 2, 3])
      const last = page.rows.at(-1)
      if (page.done || last === undefined) break
      cursor = { table: last.table, key: last.key }
    }
    expect(found).toEqual(['1a', '1a/b', '1ab', '1ä', '2a', '2a/b', '2ab', '2b', '2ä'])
  })

  test('some parts of a transaction in the log: the rows are of the position before the first part', async () => {
    const state = await make()()
    onTestFinished(() => state.close())
    await state.write({ rows: [], applied: 9, resumeFrom: 8, base: NO_BASE })
    expect(state.applied).toBe(9)
    expect(state.readRows(null, 10)).toEqual({ applied: 7, rows: [], done: true })
  })
})

describe('LMDB log store', () => {
  const formatted = async (entries: readonly Entry[], change: Partial<LogMeta> = {}): Promise<string> => {
    const folder = join(temporaryFolder(), 'store')
    await formatLogStore(folder, genesis)
    const store = await openLogStore(folder)
    await new Writer(store).write(entries, change)
    await store.close()
    return folder
  }
  /** Changes raw bytes below the store, as a bad disk would. */
  const tamper = async (
    folder: string,
    table: 'entries' | 'meta' | 'rows',
    change: (bytes: Buffer, key: Buffer) => Buffer | null,
  ) => {
    const root = open<Buffer, Buffer>({
      path: folder,
      encoding: 'binary',
      keyEncoding: 'binary',
      overlappingSync: false,
    })
    const db = root.openDB<Buffer, Buffer>(table, { encoding: 'binary', keyEncoding: 'binary' })
    for (const { key, value } of [...db.getRange({})]) {
      const changed = change(Buffer.from(value), Buffer.from(key))
      await (changed === null ? db.remove(key) : db.put(key, changed))
    }
    await root.close()
  }
  const positionOf = (key: Buffer): number => Number(key.readBigUInt64BE())

  test('less room than a commit may need: refused before LMDB meets the full disk, which ends its process; whole when opened again', async () => {
    const MIB = 1024 * 1024
    const disk = { freeBytes: 900 * MIB }
    const freeBytesOf = (): number => disk.freeBytes
    const folder = await formatted([data(1)])
    const store = await openLogStore(folder, { freeBytesOf })
    const writer = new Writer(store)
    disk.freeBytes = 15 * MIB
    await expect(writer.write([data(2)])).rejects.toThrow(StoreFull)
    await store.close()
    await expect(openLogStore(folder, { freeBytesOf })).rejects.toThrow(StoreFull)
    disk.freeBytes = 900 * MIB
    const again = await openLogStore(folder, { freeBytesOf })
    onTestFinished(() => again.close())
    expect(again.restored.meta.end).toBe(1)
  })

  test('a write fails: what was asked for meanwhile and later fails too, for it builds on that', async () => {
    const folder = await formatted([data(1)])
    const store = await openLogStore(folder)
    onTestFinished(() => store.close())
    const writer = new Writer(store)
    const broken = { ...data(2), record: 9 as unknown as Uint8Array }
    const ends: Promise<string>[] = []
    const write = (entry: Entry): void => {
      const end = writer.write([entry])
      ends.push(
        end.then(
          () => 'written',
          () => 'failed',
        ),
      )
    }
    write(broken)
    await Promise.resolve()
    write(data(3))
    await Promise.all(ends)
    write(data(4))
    expect(await Promise.all(ends)).toEqual(['failed', 'failed', 'failed'])
    await store.close()
    expect((await openLogStore(folder)).restored.meta.end).toBe(1)
  })

  test('formatting where a log exists: refused, nothing changed', async () => {
    const folder = await formatted([data(1)])
    await expect(formatLogStore(folder, genesis)).rejects.toThrow('The log is not empty')
    expect(await verifyLogStore(folder)).toBeNull()
  })

  test('opening or looking where no log is: an error, and none is made', async () => {
    const folder = join(temporaryFolder(), 'store')
    await expect(openLogStore(folder)).rejects.toThrow('There is no log')
    await expect(inspectLogStore(folder)).rejects.toThrow('There is no log')
    await expect(verifyLogStore(folder)).rejects.toThrow('There is no log')
    expect(existsSync(folder)).toBe(false)
  })

  test('one flipped bit in any record, committed or not: refused, naming the position', async () => {
    for (const commit of [0, 2]) {
      for (const at of [0, 3, 15, 27, 40]) {
        const folder = await formatted([data(1, 'some payload'), data(2, 'some payload')])
        await tamper(folder, 'entries', (value, key) => {
          if (positionOf(key) === 2) value[at]! ^= 1
          return value
        })
        await expect(openLogStore(folder), `byte ${at}, commit ${commit}`).rejects.toThrow(
          /damaged: the record of position 2/,
        )
      }
    }
  })

  test('record silently missing, first, middle or last: refused, naming it', async () => {
    for (const gone of [1, 2, 3]) {
      const folder = await formatted([data(1), data(2), data(3)])
      await tamper(folder, 'entries', (value, key) => (positionOf(key) === gone ? null : value))
      await expect(openLogStore(folder)).rejects.toThrow(`the record of position ${gone} is missing`)
    }
  })

  test('record of another position in its place: refused', async () => {
    const folder = await formatted([data(1), data(2)])
    await tamper(folder, 'entries', (value, key) => (positionOf(key) === 2 ? Buffer.from(data(1).record) : value))
    await expect(openLogStore(folder)).rejects.toThrow('is the record of position 1')
  })

  test('committed record replaced by another whole one: the digest of the committed prefix tells', async () => {
    const { foldDigest } = await import('../../../src/core/log/crc.ts')
    const folder = await formatted([data(1)], { commit: 1, digest: foldDigest(0, data(1).crc) })
    expect(await verifyLogStore(folder)).toBeNull()
    await tamper(folder, 'entries', () => Buffer.from(data(1, 'forged').record))
    await expect(openLogStore(folder)).rejects.toThrow('the digest of positions 1 to 1')
  })

  test('one copy of meta damaged: the other has the same promise; both: refused', async () => {
    const flip = (value: Buffer): Buffer => {
      value[10]! ^= 1
      return value
    }
    for (const bad of ['A', 'B']) {
      const folder = await formatted([data(1)], { promised: [7, 3] })
      await tamper(folder, 'meta', (value, key) => (key.toString() === bad ? flip(value) : value))
      const store = await openLogStore(folder)
      expect(store.restored.meta).toMatchObject({ promised: [7, 3], end: 1, bootCounter: 2 })
      await store.close()
    }
    const folder = await formatted([data(1)])
    await tamper(folder, 'meta', flip)
    await expect(openLogStore(folder)).rejects.toThrow('no copy of the meta record is whole')
  })

  test('state tables of another log, or ahead of it: thrown away while the log has position 1, else refused', async () => {
    const folder = join(temporaryFolder(), 'state')
    const state = await openStateStore(folder, owner, { begin: 1, end: 9 })
    await state.write({
      rows: [{ table: 1, key: 'k', bytes: new Uint8Array(1) }],
      applied: 9,
      resumeFrom: 10,
      base: NO_BASE,
    })
    await state.close()
    const other = { ...owner, incarnation: 'other' }
    await expect(openStateStore(folder, other, { begin: 5, end: 9 })).rejects.toThrow('the log beside them begins at 5')
    const again = await openStateStore(folder, owner, { begin: 1, end: 8 })
    expect(again.applied).toBe(0)
    expect(again.readRows(null, 9).rows).toEqual([])
    await again.close()
  })

  test.each([
    ['a byte of a row flipped', (bytes: Buffer) => Buffer.from([(bytes[0] ?? 0) ^ 1])],
    ['a row gone', () => null],
  ])(
    'state tables, %s below the store: thrown away while the log has position 1, else refused; never believed',
    async (_what, change) => {
      const folder = join(temporaryFolder(), 'state')
      const state = await openStateStore(folder, owner, { begin: 1, end: 9 })
      const rows = ['a', 'b', 'c'].map(key => ({ table: 1, key, bytes: new Uint8Array([1, 2, 3]) }))
      await state.write({ rows, applied: 8, resumeFrom: 9, base: NO_BASE })
      const changed = { table: 1, key: 'b', bytes: new Uint8Array([4]) }
      await state.write({
        rows: [changed, { table: 1, key: 'c', bytes: null }],
        applied: 9,
        resumeFrom: 10,
        base: NO_BASE,
      })
      await state.close()
      const untouched = await openStateStore(folder, owner, { begin: 1, end: 9 })
      expect(untouched.applied).toBe(9)
      await untouched.close()
      await tamper(folder, 'rows', (bytes, key) => (key.toString('utf8', 1) === 'b' ? change(bytes) : bytes))
      await expect(openStateStore(folder, owner, { begin: 5, end: 9 })).rejects.toThrow(LogLacks)
      const told: string[] = []
      const again = await openStateStore(folder, owner, { begin: 1, end: 9 }, because => told.push(because))
      onTestFinished(() => again.close())
      expect(told).toHaveLength(1)
      expect([again.applied, again.resumeFrom, again.readRows(null, 9).rows]).toEqual([0, 1, []])
    },
  )
})
