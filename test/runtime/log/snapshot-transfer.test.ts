/**
 * A snapshot on its way from one member's tables to another one's log folder, cut off everywhere. A crash is a copy of the
 * folder as it lies there at that moment; what opens the copy must find the old store or the new one.
 */
import { cpSync, existsSync, readFileSync, renameSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { Ballot } from '../../../src/core/log/ballot.ts'
import { foldDigest } from '../../../src/core/log/crc.ts'
import { type Entry, makeEntry } from '../../../src/core/log/entry.ts'
import type { SnapshotPage } from '../../../src/core/log/messages.ts'
import type { LogMeta } from '../../../src/core/log/meta.ts'
import type { RowCursor, SnapshotHeader } from '../../../src/core/log/snapshot.ts'
import { hasArrivals, installArrived } from '../../../src/runtime/log/lmdb-incoming.ts'
import {
  formatLogStore,
  installInLog,
  type LmdbLogStore,
  metaOfLog,
  openLogStore,
} from '../../../src/runtime/log/lmdb-log-store.ts'
import { type LmdbStateStore, openStateStore } from '../../../src/runtime/log/lmdb-state-store.ts'
import { stateFolder, storeFolder } from '../../../src/runtime/log/log-folder.ts'
import { temporaryFolder } from './log-folders.ts'
import { genesis, owner, Writer } from './store-bodies.ts'

const POSITION = 30
const entry = (position: number, ballot: Ballot): Entry =>
  makeEntry(position, ballot, 'DATA', new TextEncoder().encode(`v${position}`))
const history = (to: number, ballot: Ballot): Entry[] => Array.from({ length: to }, (_, at) => entry(at + 1, ballot))
const digestOf = (entries: readonly Entry[]): number => entries.reduce((sum, { crc }) => foldDigest(sum, crc), 0)
const rowOf = (key: string, value: string) => ({ table: 1, key, bytes: new TextEncoder().encode(value) })

/** Of the member that gives the snapshot: rows as of position 30, in three pages. */
async function pagesToSend(): Promise<{
  header: SnapshotHeader
  pages: readonly Omit<SnapshotPage, 'type' | 'from' | 'ask'>[]
}> {
  const folder = join(temporaryFolder(), 'state')
  const state = await openStateStore(folder, { clusterId: 'c', incarnation: 'disk-2' }, { begin: 1, end: POSITION })
  const base = { ballot: [2, 2] as const, digest: digestOf(history(POSITION, [2, 2])) }
  const rows = Array.from({ length: 9 }, (_, at) => rowOf(`k${at}`, 'new'))
  await state.write({ rows, applied: POSITION, resumeFrom: POSITION + 1, base })
  const reader = state.snapshot('2-a')
  const pages: Omit<SnapshotPage, 'type' | 'from' | 'ask'>[] = []
  for (let cursor: RowCursor | null = null, done = false; !done; ) {
    const page = reader.page(cursor, 16)
    pages.push({ header: reader.header, cursor, ...page })
    done = page.done
    const last = page.rows.at(-1)!
    cursor = { table: last.table, key: last.key }
  }
  const { header } = reader
  reader.close()
  await state.close()
  return { header, pages }
}

interface Opened {
  readonly store: LmdbLogStore
  readonly state: LmdbStateStore
}

/** As a node does it. */
async function opened(log: string): Promise<Opened> {
  const meta = hasArrivals(stateFolder(log)) ? await metaOfLog(storeFolder(log)) : null
  if (meta !== null) await installArrived(stateFolder(log), meta, header => installInLog(storeFolder(log), header))
  const store = await openLogStore(storeFolder(log))
  const remade: string[] = []
  const found = store.restored.meta
  const state = await openStateStore(stateFolder(log), owner, found, because => remade.push(because))
  expect(remade).toEqual([])
  return { store, state }
}

async function close({ store, state }: Opened): Promise<void> {
  await state.close()
  await store.close()
}

/** What a member had before: entries by this ballot, the tables as of position 10, and rows that are not in the snapshot. */
async function member(ballot: Ballot, end: number, commit: number): Promise<string> {
  const log = temporaryFolder()
  await formatLogStore(storeFolder(log), genesis)
  const store = await openLogStore(storeFolder(log))
  const entries = history(end, ballot)
  const change: Partial<LogMeta> = { status: 'VOTING', commit, digest: digestOf(entries.slice(0, commit)) }
  await new Writer(store).write(entries, { ...change, promised: [5, 3] })
  const state = await openStateStore(stateFolder(log), owner, { begin: 1, end })
  const base = { ballot, digest: digestOf(entries.slice(0, 10)) }
  await state.write({ rows: [rowOf('k0', 'old'), rowOf('gone', 'old')], applied: 10, resumeFrom: 11, base })
  await close({ store, state })
  return log
}

const HISTORIES: [
  string,
  () => Promise<string>,
  { readonly begin: number; readonly end: number; readonly commit: number },
][] = [
  ['the own log ends before it', () => member([2, 2], 20, 15), { begin: 31, end: 30, commit: 30 }],
  ['the own log goes on after it, the same history', () => member([2, 2], 40, 35), { begin: 31, end: 40, commit: 35 }],
  ['the own log has another history there', () => member([1, 3], 40, 10), { begin: 31, end: 30, commit: 30 }],
]

const shown = (state: LmdbStateStore): string =>
  state
    .readRows(null, 99)
    .rows.map(({ key, bytes }) => `${key}=${new TextDecoder().decode(bytes)}`)
    .join(' ')
const NEW_ROWS = Array.from({ length: 9 }, (_, at) => `k${at}=new`).join(' ')

describe.each(HISTORIES)('%s', (_name, make, after) => {
  /** Opens the copy, and says which store it is. A mix fails. */
  const lookAt = async (log: string): Promise<'old' | 'new'> => {
    const one = await opened(log)
    const { meta, runs } = one.store.restored
    expect(meta.promised).toEqual([5, 3])
    const isNew = meta.begin > 1
    if (isNew) {
      expect(meta).toMatchObject(after)
      expect(meta.base).toEqual({ ballot: [2, 2], digest: digestOf(history(POSITION, [2, 2])) })
      expect(one.store.read(31, 40, 99).map(each => each.position)).toEqual(
        Array.from({ length: after.end - POSITION }, (_, at) => 31 + at),
      )
      expect([one.state.applied, one.state.resumeFrom, shown(one.state)]).toEqual([POSITION, POSITION + 1, NEW_ROWS])
      expect(existsSync(`${stateFolder(log)}.incoming`)).toBe(false)
    } else {
      expect(runs.last.position).toBe(meta.end)
      expect([one.state.applied, shown(one.state)]).toEqual([10, 'gone=old k0=old'])
    }
    expect(existsSync(`${stateFolder(log)}.replaced`)).toBe(false)
    await close(one)
    return isNew ? 'new' : 'old'
  }

  /** What is left to send goes on from what the folder says it has; then it is opened twice more. */
  const finish = async (log: string, pages: Awaited<ReturnType<typeof pagesToSend>>['pages']): Promise<void> => {
    const one = await opened(log)
    const cursor = one.state.incoming.progress?.cursor ?? null
    const from = pages.findIndex(page => page.cursor?.key === cursor?.key)
    for (const page of pages.slice(from)) expect(await one.state.incoming.write(page)).toBe(true)
    await close(one)
    expect([await lookAt(log), await lookAt(log)]).toEqual(['new', 'new'])
  }

  const crashed = (log: string): string => {
    const copy = join(temporaryFolder(), 'log')
    cpSync(log, copy, { recursive: true })
    return copy
  }

  test('cut off after any page: the old store, and the transfer goes on from there; after the last one the new store', async () => {
    const log = await make()
    const { pages } = await pagesToSend()
    expect(pages.length).toBeGreaterThan(2)
    const one = await opened(log)
    for (const [at, page] of pages.entries()) {
      const before = crashed(log)
      expect(await lookAt(before), `before page ${at}`).toBe('old')
      await finish(before, pages)
      await one.state.incoming.write(page)
    }
    const copy = crashed(log)
    expect([await lookAt(copy), await lookAt(copy)]).toEqual(['new', 'new'])
    await close(one)
    expect(await lookAt(log)).toBe('new')
  })

  /** A folder in which all has arrived and nothing is installed. */
  const arrived = async (): Promise<string> => {
    const log = await make()
    const one = await opened(log)
    for (const page of (await pagesToSend()).pages) await one.state.incoming.write(page)
    await close(one)
    return log
  }
  const installUntil = async (log: string, where: 'before' | 'after'): Promise<void> => {
    const meta = (await metaOfLog(storeFolder(log)))!
    const install = async (header: SnapshotHeader): Promise<void> => {
      if (where === 'after') await installInLog(storeFolder(log), header)
      throw new Error('power is gone')
    }
    await expect(installArrived(stateFolder(log), meta, install)).rejects.toThrow('power is gone')
  }

  test.each<[string, (log: string) => Promise<void>]>([
    ['before the log was changed', log => installUntil(log, 'before')],
    ['after the log was changed', log => installUntil(log, 'after')],
    [
      'after the old tables were moved away',
      async log => {
        await installUntil(log, 'after')
        renameSync(stateFolder(log), `${stateFolder(log)}.replaced`)
      },
    ],
    [
      'after the old tables were moved away and are gone',
      async log => {
        await installUntil(log, 'after')
        rmSync(stateFolder(log), { recursive: true })
      },
    ],
    [
      'after the new tables were moved in, the old ones not yet removed',
      async log => {
        await installUntil(log, 'after')
        renameSync(stateFolder(log), `${stateFolder(log)}.replaced`)
        renameSync(`${stateFolder(log)}.incoming`, stateFolder(log))
      },
    ],
    [
      'twice, both times after the log was changed',
      async log => {
        await installUntil(log, 'after')
        await installUntil(log, 'after')
      },
    ],
  ])('power lost while it is put in place, %s: the new store', async (_when, crash) => {
    const log = await arrived()
    await crash(log)
    const copy = crashed(log)
    expect([await lookAt(copy), await lookAt(copy)]).toEqual(['new', 'new'])
  })
})

describe('what has arrived is damaged', () => {
  test('cut short or overwritten anywhere: the old store, or the new one if nothing of it was lost; and it can arrive again', {
    timeout: 60_000,
  }, async () => {
    const whole = await member([2, 2], 20, 15)
    const { pages } = await pagesToSend()
    const one = await opened(whole)
    for (const page of pages) await one.state.incoming.write(page)
    await close(one)
    const size = statSync(join(`${stateFolder(whole)}.incoming`, 'data.mdb')).size
    const ends = new Set<string>()
    const damages: ((file: string) => void)[] = [
      ...[0, 1, 4_096, 8_192, size / 2, size - 1].map(length => (file: string) => truncateSync(file, length)),
      file => writeFileSync(file, 'not a store at all'.repeat(1_000)),
      file => writeFileSync(file, readFileSync(file).fill(0, 8_192)),
    ]
    for (const damage of damages) {
      const log = join(temporaryFolder(), 'log')
      cpSync(whole, log, { recursive: true })
      damage(join(`${stateFolder(log)}.incoming`, 'data.mdb'))
      const again = await opened(log)
      const isNew = again.store.restored.meta.begin > 1
      ends.add(isNew ? 'new' : 'old')
      expect(shown(again.state)).toBe(isNew ? NEW_ROWS : 'gone=old k0=old')
      expect(existsSync(`${stateFolder(log)}.incoming.opening`)).toBe(false)
      if (!isNew) for (const page of pages) expect(await again.state.incoming.write(page)).toBe(true)
      await close(again)
      const last = await opened(log)
      expect(shown(last.state)).toBe(NEW_ROWS)
      await close(last)
    }
    expect(ends).toContain('old')
  })

  test('tables in use cannot be read, log truncated: a snapshot that reaches the log is put in place, one before it is not', async () => {
    for (const [begin, isOfUse] of [
      [31, true],
      [33, false],
    ] as const) {
      const log = await member([2, 2], 40, 35)
      const one = await opened(log)
      for (const page of (await pagesToSend()).pages) await one.state.incoming.write(page)
      const base = { ballot: [2, 2] as const, digest: digestOf(history(begin - 1, [2, 2])) }
      await new Writer(one.store).write([], { begin, base, promised: [5, 3] }, null, begin)
      await close(one)
      writeFileSync(join(stateFolder(log), 'data.mdb'), 'not a store at all'.repeat(1_000))
      if (isOfUse) {
        const again = await opened(log)
        expect(shown(again.state)).toBe(NEW_ROWS)
        await close(again)
      } else await expect(opened(log)).rejects.toThrow(`the log beside them begins at ${begin}`)
    }
  })
})
