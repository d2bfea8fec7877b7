/**
 * A simulated disk and the two stores on it. What is written is not there until it is flushed: a loss of power keeps some
 * prefix of the transactions that were not, the end of a process keeps all. A flush takes its time, may hang, fail for
 * ever (EIO) or find no room (ENOSPC); records may rot, vanish or be found in the wrong place.
 */
import {
  DamagedRecord,
  type IncomingSnapshot,
  type LogStore,
  type SnapshotReader,
  type StateStore,
  type StateWrite,
  StoreFailed,
  StoreFull,
} from '../../../src/actors/log-ports.ts'
import type { RowCursor, RowPage } from '../../../src/actors/ports.ts'
import { changedDigest, rowKey } from '../../../src/core/ledger/rows-digest.ts'
import { type Entry, type ReadRecord, readRecord } from '../../../src/core/log/entry.ts'
import { type LogBase, type LogMeta, NO_BASE } from '../../../src/core/log/meta.ts'
import type { LogWrite, RestoredLog } from '../../../src/core/log/replica-core.ts'
import { type FoundRecord, restoreLog } from '../../../src/core/log/restore.ts'
import { installedLog, isUseful, type SnapshotHeader, type SnapshotProgress } from '../../../src/core/log/snapshot.ts'
import { rowsDigestChange } from './rows-digest.ts'
import { Settlement } from './settlement.ts'

export interface DiskRow {
  readonly table: number
  readonly key: string
  readonly bytes: Uint8Array
}

export class SimDisk {
  meta: LogMeta
  /** Flushed entries; the index is the position. */
  entries: (Entry | undefined)[] = [undefined]
  /** What a read finds instead of the record; null: nothing. */
  readonly damage = new Map<number, Uint8Array | null>()
  tables: SimTables = emptyTables()
  /** Another member's snapshot on its way in. */
  incoming: { progress: SnapshotProgress; readonly tables: SimTables } | null = null

  constructor(meta: LogMeta) {
    this.meta = meta
  }

  apply(write: LogWrite): void {
    for (let at = this.meta.begin; at < (write.dropBefore ?? 0); at++) {
      this.entries[at] = undefined
      this.damage.delete(at)
    }
    if (write.cutFrom !== null) {
      this.entries.length = Math.min(this.entries.length, write.cutFrom)
      for (const position of this.damage.keys()) if (position >= write.cutFrom) this.damage.delete(position)
    }
    for (const entry of write.entries) this.entries[entry.position] = entry
    this.meta = write.meta
  }

  /** What an opening finds: the log, or why it is refused. Raises the boot counter. */
  open(): RestoredLog | string {
    const result = restoreLog(this.meta, this.#records())
    if (!result.ok) return result.reason
    const { meta } = result.restored
    this.entries.length = meta.end + 1
    this.meta = { ...meta, bootCounter: meta.bootCounter + 1, generation: meta.generation + 1 }
    return { ...result.restored, meta: this.meta }
  }

  *#records(): Iterable<FoundRecord> {
    for (let position = this.meta.begin; position < this.entries.length; position++) {
      const bytes = this.damage.get(position)
      if (bytes === null) continue
      const record: ReadRecord =
        bytes === undefined ? { ok: true, entry: this.entries[position]! } : readRecord(bytes, position)
      yield { position, record }
    }
  }

  /** For mutations only: all is forgotten, and nobody notices. */
  wipe(): void {
    this.entries = [undefined]
    this.damage.clear()
    this.tables = emptyTables()
    this.incoming = null
    this.meta = { ...this.meta, promised: [0, 0], begin: 1, base: NO_BASE, end: 0, commit: 0, digest: 0 }
  }

  entryAt(position: number): Entry | string {
    const entry = this.entries[position]
    if (!this.damage.has(position)) return entry ?? 'it is missing'
    const bytes = this.damage.get(position)
    if (!bytes) return 'it is missing'
    const read = readRecord(bytes, position)
    return read.ok ? read.entry : read.reason
  }

  writeState(write: StateWrite): void {
    const { tables } = this
    for (const { table, key, bytes } of write.rows) changeRow(tables, table, key, bytes)
    tables.applied = write.applied
    tables.resumeFrom = write.resumeFrom
    tables.base = write.base
  }

  /** As an opening does it; `diesBetween`: after the log has been changed, before the tables are. */
  installArrived(diesBetween: boolean): SnapshotHeader | null {
    const { incoming, meta } = this
    if (incoming?.progress.isWhole !== true) return null
    const { header } = incoming.progress
    if (!isUseful(header, meta, this.tables.resumeFrom - 1)) {
      this.incoming = null
      return null
    }
    const { position } = header
    const held = position === meta.begin - 1 ? meta.base.ballot : this.entries[position]?.ballot
    const installed = installedLog(meta, held, header)
    for (let at = 1; at <= position && at < this.entries.length; at++) {
      this.entries[at] = undefined
      this.damage.delete(at)
    }
    this.entries.length = installed.meta.end + 1
    this.meta = installed.meta
    if (diesBetween) return header
    this.tables = incoming.tables
    this.incoming = null
    return header
  }
}

/** The row tables of a member. */
export interface SimTables {
  readonly rows: Map<string, DiskRow>
  /** As the oracle counts it, and as the product does. */
  digest: number
  rowsDigest: number
  applied: number
  resumeFrom: number
  base: LogBase
}

function emptyTables(): SimTables {
  return { rows: new Map(), digest: 0, rowsDigest: 0, applied: 0, resumeFrom: 1, base: NO_BASE }
}

/** In the order of (table, key): table numbers have one digit. */
function idOf(table: number, key: string): string {
  return `${table}/${key}`
}

function changeRow(tables: SimTables, table: number, key: string, bytes: Uint8Array | null): void {
  const id = idOf(table, key)
  const old = tables.rows.get(id)
  tables.digest = rowsDigestChange(tables.digest, id, old?.bytes, bytes)
  tables.rowsDigest = changedDigest(tables.rowsDigest, rowKey(table, key), old?.bytes, bytes)
  if (bytes === null) tables.rows.delete(id)
  else tables.rows.set(id, { table, key, bytes })
}

export interface StoreHooks {
  after(delayMs: number, run: () => void): () => void
  /** How long the next flush takes; infinite for one that hangs. */
  flushMs(): number
  /** What the next flush meets. */
  flushFault(): 'EIO' | 'ENOSPC' | null
  onWrite(write: LogWrite): void
  onDurable(write: LogWrite): void
}

interface Pending {
  readonly write: LogWrite
  readonly settlement: Settlement
}

/** One opening of a disk by one process. */
export class SimLogStore implements LogStore {
  readonly restored: RestoredLog
  readonly #disk: SimDisk
  readonly #hooks: StoreHooks
  #pending: Pending[] = []
  #flushing = 0
  #failure: Error | null = null
  #cancelFlush: (() => void) | null = null
  #ended = false

  constructor(disk: SimDisk, restored: RestoredLog, hooks: StoreHooks) {
    this.#disk = disk
    this.restored = restored
    this.#hooks = hooks
  }

  get unflushed(): number {
    return this.#pending.length
  }

  write(write: LogWrite): Promise<void> {
    const settlement = new Settlement()
    if (this.#ended) return settlement.promise
    this.#hooks.onWrite(write)
    if (this.#failure !== null) settlement.settle(this.#failure)
    else {
      this.#pending.push({ write, settlement })
      if (this.#flushing === 0) this.#flush()
    }
    return settlement.promise
  }

  read(from: number, to: number, countMax: number, bytesMax = Number.POSITIVE_INFINITY): readonly Entry[] {
    const found: Entry[] = []
    if (from < this.#disk.meta.begin) return found
    let bytes = 0
    const last = Math.min(to, this.#disk.meta.end, from + countMax - 1)
    for (let position = from; position <= last && bytes < bytesMax; position++) {
      const entry = this.#disk.entryAt(position)
      if (typeof entry === 'string') throw new DamagedRecord(position, entry)
      bytes += entry.record.length
      found.push(entry)
    }
    return found
  }

  async close(): Promise<void> {}

  /** The process is gone. The first `kept` transactions of those not flushed are on the disk. */
  end(kept: number): void {
    this.#ended = true
    this.#cancelFlush?.()
    if (this.#failure !== null) return
    for (const { write } of this.#pending.slice(0, kept)) this.#toDisk(write)
    this.#pending = []
  }

  /** A flush that takes long ends now, at the latest after `withinMs`. */
  hurry(withinMs: number): void {
    if (this.#flushing === 0 || this.#ended) return
    this.#cancelFlush?.()
    this.#cancelFlush = this.#hooks.after(withinMs, () => this.#flushed())
  }

  /** Everything written until now is in one flush; what comes meanwhile waits for the next. */
  #flush(): void {
    this.#flushing = this.#pending.length
    const takesMs = this.#hooks.flushMs()
    this.#cancelFlush = Number.isFinite(takesMs) ? this.#hooks.after(takesMs, () => this.#flushed()) : null
  }

  #flushed(): void {
    const fault = this.#hooks.flushFault()
    if (fault !== null) return this.#fail(fault)
    const done = this.#pending.splice(0, this.#flushing)
    this.#flushing = 0
    for (const { write } of done) this.#toDisk(write)
    if (this.#pending.length > 0) this.#flush()
    for (const { settlement } of done) settlement.settle(null)
  }

  #fail(fault: 'EIO' | 'ENOSPC'): void {
    this.#failure = fault === 'EIO' ? new StoreFailed('EIO') : new StoreFull('ENOSPC')
    const failed = this.#pending.splice(0)
    this.#flushing = 0
    for (const { settlement } of failed) settlement.settle(this.#failure)
  }

  #toDisk(write: LogWrite): void {
    this.#disk.apply(write)
    this.#hooks.onDurable(write)
  }
}

export interface StateHooks {
  after(delayMs: number, run: () => void): () => void
  flushMs(): number
  onWritten(disk: SimDisk): void
}

/** One opening of the row tables by one process. A write is there when it is flushed, and not before. */
export class SimStateStore implements StateStore {
  readonly incoming: IncomingSnapshot
  readonly #disk: SimDisk
  readonly #hooks: StateHooks
  /** Makes what is being flushed be on the disk. */
  #pending: (() => void)[] = []
  #ended = false

  constructor(disk: SimDisk, hooks: StateHooks) {
    this.#disk = disk
    this.#hooks = hooks
    this.incoming = {
      get progress() {
        return disk.incoming?.progress ?? null
      },
      write: page => this.#writePage(page),
    }
  }

  get applied(): number {
    return this.#disk.tables.applied
  }
  get resumeFrom(): number {
    return this.#disk.tables.resumeFrom
  }
  get base(): LogBase {
    return this.#disk.tables.base
  }
  get rowsDigest(): number {
    return this.#disk.tables.rowsDigest
  }

  write(write: StateWrite): Promise<void> {
    return this.#flush<void>(() => {
      this.#disk.writeState(write)
      this.#hooks.onWritten(this.#disk)
    })
  }

  readRows(cursor: RowCursor | null, rowsMax: number): RowPage {
    const { resumeFrom, rows } = this.#disk.tables
    const from = cursor === null ? '' : idOf(cursor.table, cursor.key)
    const later = [...rows].filter(([id]) => id > from).sort(([a], [b]) => (a < b ? -1 : 1))
    const page = later.slice(0, rowsMax).map(([, row]) => row)
    return { applied: resumeFrom - 1, rows: page, done: later.length <= rowsMax }
  }

  snapshot(id: string): SnapshotReader {
    const { tables, meta } = this.#disk
    const { resumeFrom, base, rowsDigest } = tables
    const rows = [...tables.rows].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, row]) => row)
    return {
      header: { id, clusterId: meta.clusterId, position: resumeFrom - 1, base, rowsDigest },
      page: (cursor, bytesMax) => {
        const from =
          cursor === null ? 0 : rows.findIndex(row => row.table === cursor.table && row.key === cursor.key) + 1
        let to = from
        for (let bytes = 0; to < rows.length && bytes < bytesMax; to++) bytes += rows[to]!.bytes.length
        return { rows: rows.slice(from, to), done: to === rows.length }
      },
      close: () => {},
    }
  }

  async close(): Promise<void> {}

  /** The process is gone; what was being flushed is on the disk, or not. */
  end(keeps: boolean): void {
    this.#ended = true
    if (keeps) for (const toDisk of this.#pending) toDisk()
    this.#pending = []
  }

  #writePage({ header, cursor, rows, done }: Parameters<IncomingSnapshot['write']>[0]): Promise<boolean> {
    return this.#flush(() => {
      const disk = this.#disk
      const tables = cursor === null || disk.incoming === null ? emptyTables() : disk.incoming.tables
      for (const { table, key, bytes } of rows) changeRow(tables, table, key, bytes)
      const last = rows.at(-1)
      const next = last === undefined ? cursor : { table: last.table, key: last.key }
      const { position: applied, base } = header
      Object.assign(tables, { applied, resumeFrom: applied + 1, base })
      const isSound = !done || tables.rowsDigest === header.rowsDigest
      disk.incoming = isSound ? { progress: { header, cursor: next, isWhole: done }, tables } : null
      return isSound
    })
  }

  #flush<T>(toDisk: () => T): Promise<T> {
    const settlement = new Settlement<T>()
    if (this.#ended) return settlement.promise
    this.#pending.push(toDisk)
    this.#hooks.after(this.#hooks.flushMs(), () => {
      if (this.#ended) return
      this.#pending = this.#pending.filter(other => other !== toDisk)
      settlement.settle(null, toDisk())
    })
    return settlement.promise
  }
}
