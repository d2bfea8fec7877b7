/**
 * The log of one member on LMDB. Its own environment with `overlappingSync` off: a value becomes visible only after its
 * flush, and a write's promise settles only then. Still both are waited for, the promise and `flushed`, captured in the
 * turn of the write, because `flushed` always means the latest batch and the package has changed its ways before.
 * Writes of one event turn share one transaction, so a write is issued whole in one turn.
 *
 * Layout: `entries` maps an 8-byte big-endian position to its record; `meta` holds copies A and B. Opening reads and
 * checks every record: a bad or missing one is never taken for "not written", because this replica may have voted for
 * it. Protocol state is served from memory, never from here. Source: the replicated log, C10 and C11.
 */
import { existsSync } from 'node:fs'
import { mkdir, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { type Database, open, type RootDatabase } from 'lmdb'
import { DamagedRecord, type LogStore, StoreFailed } from '../../actors/log-ports.ts'
import { NO_BALLOT } from '../../core/log/ballot.ts'
import { type Entry, getUint53, readRecord, setUint53 } from '../../core/log/entry.ts'
import { encodeMeta, type LogMeta, NO_BASE, readMeta } from '../../core/log/meta.ts'
import type { LogWrite, RestoredLog } from '../../core/log/replica-core.ts'
import { type FoundRecord, restoreLog } from '../../core/log/restore.ts'
import { installedLog, type SnapshotHeader } from '../../core/log/snapshot.ts'
import { beginOpening, isDamage, readInAnotherProcess, suspectedDamage } from '../lmdb-opening.ts'
import { syncFolder } from './durable-file.ts'
import { refuseFull, storeTrouble } from './lmdb-trouble.ts'
import { LogLacks, LogRefused } from './log-refused.ts'

/** A write that takes longer has hung: nothing may be believed any more. */
export const FLUSH_MS_MAX = 30_000

interface Tables {
  readonly root: RootDatabase<Buffer, Buffer>
  readonly entries: Database<Buffer, Buffer>
  readonly meta: Database<Buffer, Buffer>
}

export function logStoreExists(folder: string): boolean {
  return existsSync(join(folder, 'data.mdb'))
}

/** What a new store begins with; the rest of its meta record follows from it. */
export type Genesis = Pick<LogMeta, 'clusterId' | 'genesisHash' | 'memberId' | 'incarnation' | 'genesisMembers'>

/**
 * Formats a store as STARTING. Made beside its place, flushed, then renamed, so that a crash leaves either no store or a
 * whole one. Refuses where one exists.
 */
export async function formatLogStore(folder: string, genesis: Genesis): Promise<LogMeta> {
  if (existsSync(folder)) throw new LogRefused('The log is not empty')
  const fresh = `${folder}.formatting`
  await rm(fresh, { recursive: true, force: true })
  await mkdir(fresh, { recursive: true })
  const meta: LogMeta = {
    formatVersion: 1,
    generation: 1,
    ...genesis,
    descriptor: null,
    status: 'STARTING',
    bootCounter: 0,
    promised: NO_BALLOT,
    begin: 1,
    base: NO_BASE,
    end: 0,
    commit: 0,
    digest: 0,
  }
  const tables = openTables(fresh, false)
  await putMeta(tables, meta)
  await tables.root.close()
  syncFolder(fresh)
  await rename(fresh, folder)
  syncFolder(dirname(folder))
  return meta
}

export interface OpenLogOptions {
  readonly flushMsMax?: number | undefined
  /** Default: the file system's word. */
  readonly freeBytesOf?: ((folder: string) => number) | undefined
  /** Throws if this store is not the one that is meant; asked before anything is written. */
  readonly refuseForeign?: (meta: LogMeta) => void
}

/** What the store says about itself, without opening it for use; null when that cannot be read. */
export async function metaOfLog(folder: string): Promise<LogMeta | null> {
  if (!logStoreExists(folder)) return null
  const opening = await beginOpening(folder, TABLE_NAMES)
  if (opening.damage !== null) return null
  const tables = openTables(folder, false)
  try {
    const read = readMeta([tables.meta.get(META_KEYS[0]!), tables.meta.get(META_KEYS[1]!)])
    return read.ok ? read.meta : null
  } finally {
    await tables.root.close()
    opening.passed()
  }
}

/** Opens, checks everything, raises the boot counter and flushes it. Throws LogRefused with the reason. */
export async function openLogStore(folder: string, options: OpenLogOptions = {}): Promise<LmdbLogStore> {
  if (!logStoreExists(folder)) throw new LogRefused(`There is no log at ${folder}`)
  const opening = await beginOpening(folder, TABLE_NAMES)
  if (opening.damage !== null) throw damaged(folder, opening.damage)
  try {
    return await openSound(folder, options)
  } finally {
    opening.passed()
  }
}

async function openSound(folder: string, options: OpenLogOptions): Promise<LmdbLogStore> {
  const tables = openTables(folder, false)
  try {
    const restored = restore(tables, folder)
    options.refuseForeign?.(restored.meta)
    const meta: LogMeta = {
      ...restored.meta,
      generation: restored.meta.generation + 1,
      bootCounter: restored.meta.bootCounter + 1,
    }
    refuseFull(folder, 'opening the log', options.freeBytesOf)
    // A killed process may have left records in the page cache only; this flush makes them durable before any answer.
    await putMeta(tables, meta)
    return new LmdbLogStore(folder, tables, { ...restored, meta }, options)
  } catch (cause) {
    await tables.root.close()
    throw cause
  }
}

/**
 * Makes a snapshot that has arrived the beginning of the log: one transaction, so a crash leaves the log as it was or as
 * it will be, and doing it again changes nothing. The caller holds the lock, and the store is not open.
 */
export async function installInLog(folder: string, header: SnapshotHeader): Promise<void> {
  const tables = openTables(folder, false)
  try {
    const { meta } = metaOf(tables, folder)
    const { begin, base, end } = meta
    const { position } = header
    const isHeld = position >= begin && position <= end
    const record = isHeld ? readOne(tables, position) : null
    if (record?.ok === false) throw damaged(folder, `the record of position ${position}: ${record.reason}`)
    const held = record?.ok ? record.entry.ballot : position === begin - 1 ? base.ballot : undefined
    const installed = installedLog(meta, held, header)
    const last = installed.keepsTail ? position : end
    const removed: Promise<boolean>[] = []
    for (let at = begin; at <= last; at++) removed.push(tables.entries.remove(keyOf(at)))
    await Promise.all([...removed, putMeta(tables, installed.meta)])
  } finally {
    await tables.root.close()
  }
}

/** Puts records in place of those that were bad or gone. The caller holds the lock, and the store is not open. */
export async function mendLog(folder: string, entries: readonly Entry[]): Promise<void> {
  const tables = openTables(folder, false)
  try {
    await Promise.all(entries.map(entry => tables.entries.put(keyOf(entry.position), entry.record as Buffer)))
    await tables.root.flushed
  } finally {
    await tables.root.close()
  }
}

export interface InspectedLog {
  readonly meta: LogMeta
  read(from: number, to: number): readonly InspectedRecord[]
  close(): Promise<void>
}
/** `entry` null: damaged or missing, and why. */
export type InspectedRecord =
  | { readonly position: number; readonly entry: Entry }
  | { readonly position: number; readonly entry: null; readonly damage: string }

/** Read-only and lenient: for people who look at a store, also while a node runs on it. Changes nothing, makes nothing. */
export async function inspectLogStore(folder: string): Promise<InspectedLog> {
  if (!logStoreExists(folder)) throw new LogRefused(`There is no log at ${folder}`)
  const damage = await suspectedDamage(folder, TABLE_NAMES)
  if (damage !== null) throw damaged(folder, damage)
  const tables = openTables(folder, true)
  const read = readMeta([tables.meta.get(META_KEYS[0]!), tables.meta.get(META_KEYS[1]!)])
  if (!read.ok) {
    void tables.root.close()
    throw new LogRefused(`The log at ${folder} is damaged: ${read.reason}`)
  }
  return {
    meta: read.meta,
    read: (from, to) => {
      const records: InspectedRecord[] = []
      for (let position = from; position <= to; position++) {
        const found = readOne(tables, position)
        records.push(found.ok ? { position, entry: found.entry } : { position, entry: null, damage: found.reason })
      }
      return records
    },
    close: () => tables.root.close(),
  }
}

/** Checks every record as an opening does, without opening for use. Null when all is well, else what is wrong. */
export async function verifyLogStore(folder: string): Promise<string | null> {
  if (!logStoreExists(folder)) throw new LogRefused(`There is no log at ${folder}`)
  try {
    const damage = await readInAnotherProcess(folder, TABLE_NAMES)
    if (damage !== null) throw damaged(folder, damage)
    const tables = openTables(folder, true)
    try {
      restore(tables, folder)
    } finally {
      await tables.root.close()
    }
    return null
  } catch (cause) {
    if (cause instanceof LogRefused) return cause.message
    throw cause
  }
}

/** A write that has been asked for and not been answered. */
interface WriteOut {
  readonly write: LogWrite
  readonly sinceMs: number
  readonly resolve: () => void
  readonly reject: (cause: Error) => void
}

export class LmdbLogStore implements LogStore {
  readonly restored: RestoredLog
  readonly #tables: Tables
  #begin: number
  #end: number
  /** Up to here records are on disk and no write under way takes them away: what has not been flushed cannot be read. */
  #readableEnd: number
  /**
   * One transaction at a time; what comes meanwhile is the next one. Were the next one begun before the outcome is known,
   * it could be written after one that found the disk full, and a log with a gap would be left.
   */
  #underWay: readonly WriteOut[] = []
  #waiting: WriteOut[] = []
  /** After a failed write nothing is written any more: everything later builds on it. */
  #trouble: Error | null = null
  #last: Promise<void> = Promise.resolve()
  #watchdog: NodeJS.Timeout | null = null

  readonly #folder: string
  readonly #flushMsMax: number
  readonly #freeBytesOf: ((folder: string) => number) | undefined

  constructor(folder: string, tables: Tables, restored: RestoredLog, options: OpenLogOptions) {
    this.#folder = folder
    this.#flushMsMax = options.flushMsMax ?? FLUSH_MS_MAX
    this.#freeBytesOf = options.freeBytesOf
    this.#tables = tables
    this.restored = restored
    this.#begin = restored.meta.begin
    this.#end = restored.meta.end
    this.#readableEnd = restored.meta.end
  }

  write(write: LogWrite): Promise<void> {
    this.#last = new Promise<void>((resolve, reject) => {
      if (this.#trouble !== null) return reject(this.#trouble)
      this.#waiting.push({ write, sinceMs: performance.now(), resolve, reject })
      this.#watch()
      // All of this turn are in one transaction.
      if (this.#waiting.length === 1 && this.#underWay.length === 0) queueMicrotask(() => this.#issue())
    })
    return this.#last
  }

  #issue(): void {
    if (this.#waiting.length === 0 || this.#underWay.length > 0) return
    this.#underWay = this.#waiting
    this.#waiting = []
    const fail = (cause: unknown): void =>
      void storeTrouble(cause, this.#folder, 'a write of the log').then(trouble => this.#fail(trouble))
    try {
      refuseFull(this.#folder, 'a write of the log', this.#freeBytesOf)
      // LMDB has one promise for what goes into one transaction: it is waited for once, not once a record.
      const settled = new Set<PromiseLike<unknown>>()
      for (const { write } of this.#underWay) this.#put(write, settled)
      // One transaction, so what the last of them says is all that would be left of it.
      const record = encodeMeta(this.#underWay.at(-1)!.write.meta) as Buffer
      for (const key of META_KEYS) settled.add(this.#tables.meta.put(key, record))
      let left = 2
      const done = (): void => {
        if (--left === 0) this.#done()
      }
      // Both in this very turn: later, `flushed` would mean a later batch.
      this.#tables.root.flushed.then(done, fail)
      Promise.all(settled).then(done, fail)
    } catch (cause) {
      fail(cause)
    }
  }

  #put(write: LogWrite, settled: Set<PromiseLike<unknown>>): void {
    const { entries } = this.#tables
    if (write.dropBefore !== null) {
      for (; this.#begin < write.dropBefore; this.#begin++) settled.add(entries.remove(keyOf(this.#begin)))
    }
    if (write.cutFrom !== null) {
      this.#readableEnd = Math.min(this.#readableEnd, write.cutFrom - 1)
      for (let position = write.cutFrom; position <= this.#end; position++) {
        settled.add(entries.remove(keyOf(position)))
      }
    }
    for (const entry of write.entries) settled.add(entries.put(keyOf(entry.position), entry.record as Buffer))
    this.#end = write.meta.end
  }

  #done(): void {
    if (this.#trouble !== null) return
    const done = this.#underWay
    this.#underWay = []
    this.#readableEnd = this.#end
    this.#issue()
    for (const { resolve } of done) resolve()
  }

  #fail(trouble: Error): void {
    if (this.#trouble !== null) return
    this.#trouble = trouble
    const failed = [...this.#underWay, ...this.#waiting]
    this.#underWay = []
    this.#waiting = []
    for (const { reject } of failed) reject(trouble)
  }

  read(from: number, to: number, countMax: number, bytesMax = Number.POSITIVE_INFINITY): readonly Entry[] {
    this.#tables.root.resetReadTxn()
    const found: Entry[] = []
    if (from < this.#begin) return found
    let bytes = 0
    const last = Math.min(to, this.#readableEnd, from + countMax - 1)
    for (let position = from; position <= last && bytes < bytesMax; position++) {
      const read = readOne(this.#tables, position)
      if (!read.ok) throw new DamagedRecord(position, read.reason)
      found.push(read.entry)
      bytes += read.entry.record.length
    }
    return found
  }

  async close(): Promise<void> {
    // Its caller was told already if it failed.
    await this.#last.catch(() => {})
    if (this.#watchdog !== null) clearTimeout(this.#watchdog)
    await this.#tables.root.close()
  }

  /** One timer for all writes, and none while nothing is out. */
  #watch(): void {
    if (this.#watchdog !== null) return
    const check = (): void => {
      this.#watchdog = null
      const oldest = this.#underWay[0] ?? this.#waiting[0]
      if (oldest === undefined) return
      const leftMs = oldest.sinceMs + this.#flushMsMax - performance.now()
      if (leftMs > 0) {
        this.#watchdog = setTimeout(check, leftMs)
        this.#watchdog.unref()
        return
      }
      this.#fail(new StoreFailed(`a write of the log has not been flushed for ${this.#flushMsMax / 1_000} s`))
    }
    this.#watchdog = setTimeout(check, this.#flushMsMax)
    this.#watchdog.unref()
  }
}

const META_KEYS = [Buffer.from('A'), Buffer.from('B')]
const TABLE_NAMES = ['entries', 'meta'] as const

function openTables(folder: string, readOnly: boolean): Tables {
  return refusingDamage(folder, () => openAll(folder, readOnly))
}

function openAll(folder: string, readOnly: boolean): Tables {
  const root = open<Buffer, Buffer>({
    path: folder,
    noSubdir: false,
    maxDbs: 4,
    encoding: 'binary',
    keyEncoding: 'binary',
    overlappingSync: false,
    readOnly,
  })
  const options = { encoding: 'binary', keyEncoding: 'binary' } as const
  const [entries, meta] = TABLE_NAMES
  return { root, entries: root.openDB(entries, options), meta: root.openDB(meta, options) }
}

const KEY = Buffer.allocUnsafeSlow(8)
const KEY_VIEW = new DataView(KEY.buffer)

/** Good until the next call: LMDB copies it in the turn in which it is given. */
function keyOf(position: number): Buffer {
  setUint53(KEY_VIEW, 0, position)
  return KEY
}

function putMeta(tables: Tables, meta: LogMeta): Promise<void> {
  return new Promise((resolve, reject) => {
    const record = encodeMeta(meta) as Buffer
    const put = Promise.all(META_KEYS.map(key => tables.meta.put(key, record)))
    tables.root.flushed.then(() => put.then(() => resolve(), reject), reject)
  })
}

function readOne(tables: Tables, position: number): ReturnType<typeof readRecord> {
  const bytes = tables.entries.getBinary(keyOf(position))
  return bytes === undefined ? { ok: false, reason: 'it is missing' } : readRecord(bytes, position)
}

function restore(tables: Tables, folder: string): RestoredLog {
  return refusingDamage(folder, () => restoreAll(tables, folder))
}

function restoreAll(tables: Tables, folder: string): RestoredLog {
  const { meta } = metaOf(tables, folder)
  const result = restoreLog(meta, recordsOf(tables, folder))
  if (result.ok) return result.restored
  const { reason, mendable } = result
  throw mendable.length === 0 ? damaged(folder, reason) : new LogLacks(damaged(folder, reason).message, meta, mendable)
}

function metaOf(tables: Tables, folder: string): { readonly meta: LogMeta } {
  const read = readMeta([tables.meta.get(META_KEYS[0]!), tables.meta.get(META_KEYS[1]!)])
  if (!read.ok) throw damaged(folder, read.reason)
  return read
}

function* recordsOf(tables: Tables, folder: string): Iterable<FoundRecord> {
  for (const { key, value } of tables.entries.getRange({})) {
    if (key.length !== 8) throw damaged(folder, `a key of ${key.length} bytes is no position`)
    const position = getUint53(new DataView(key.buffer, key.byteOffset, key.length), 0)
    yield { position, record: readRecord(value, position) }
  }
}

/** What LMDB itself finds wrong with its pages is damage too. */
function refusingDamage<T>(folder: string, run: () => T): T {
  try {
    return run()
  } catch (cause) {
    throw isDamage(cause) ? damaged(folder, (cause as Error).message) : cause
  }
}

function damaged(folder: string, reason: string): LogRefused {
  return new LogRefused(
    `The log at ${folder} is damaged: ${reason}. It may have been voted for, so it is not treated as never written; ` +
      'nothing was changed. Restore the folder from a backup',
  )
}
