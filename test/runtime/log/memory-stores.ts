/** The stores of the log in memory, with a flush that a test may hold back or fail. The contract suite holds for them. */
import {
  DamagedRecord,
  type IncomingSnapshot,
  type LogStore,
  type SnapshotReader,
  type StateStore,
  type StateWrite,
} from '../../../src/actors/log-ports.ts'
import type { RowCursor, RowPage, StoredRow } from '../../../src/actors/ports.ts'
import { changedDigest, rowKey } from '../../../src/core/ledger/rows-digest.ts'
import { BallotRuns } from '../../../src/core/log/ballot-runs.ts'
import { type Entry, readRecord } from '../../../src/core/log/entry.ts'
import { type LogBase, type LogMeta, NO_BASE } from '../../../src/core/log/meta.ts'
import type { LogWrite, RestoredLog } from '../../../src/core/log/replica-core.ts'
import type { SnapshotProgress } from '../../../src/core/log/snapshot.ts'

export class MemoryDisk {
  meta: LogMeta
  readonly records = new Map<number, Uint8Array>()
  constructor(meta: LogMeta) {
    this.meta = meta
  }
}

export class MemoryLogStore implements LogStore {
  readonly restored: RestoredLog
  readonly disk: MemoryDisk
  /** While true, writes wait for `flush`. */
  held = false
  failure: Error | null = null
  #waiting: (() => void)[] = []

  constructor(disk: MemoryDisk) {
    this.disk = disk
    const { meta } = disk
    disk.meta = { ...meta, bootCounter: meta.bootCounter + 1, generation: meta.generation + 1 }
    const runs = new BallotRuns(meta.begin, meta.base.ballot)
    const crcs = new Map<number, number>()
    for (let at = meta.begin; at <= meta.end; at++) {
      const entry = this.#read(at)
      runs.push(at, entry.ballot)
      crcs.set(at, entry.crc)
    }
    this.restored = { meta: disk.meta, runs, crcs }
  }

  write(write: LogWrite): Promise<void> {
    return new Promise((resolve, reject) => {
      const flush = (): void => {
        if (this.failure !== null) return reject(this.failure)
        const { records } = this.disk
        const { dropBefore } = write
        if (dropBefore !== null) for (const at of records.keys()) if (at < dropBefore) records.delete(at)
        if (write.cutFrom !== null) for (const at of records.keys()) if (at >= write.cutFrom) records.delete(at)
        for (const entry of write.entries) records.set(entry.position, entry.record)
        this.disk.meta = write.meta
        resolve()
      }
      if (this.held) this.#waiting.push(flush)
      else flush()
    })
  }

  flush(): void {
    for (const flush of this.#waiting.splice(0)) flush()
  }

  read(from: number, to: number, countMax: number, bytesMax = Number.POSITIVE_INFINITY): readonly Entry[] {
    const found: Entry[] = []
    if (from < this.disk.meta.begin) return found
    const last = Math.min(to, this.disk.meta.end, from + countMax - 1)
    for (let at = from, bytes = 0; at <= last && bytes < bytesMax; at++) {
      const entry = this.#read(at)
      found.push(entry)
      bytes += entry.record.length
    }
    return found
  }

  async close(): Promise<void> {}

  #read(position: number): Entry {
    const bytes = this.disk.records.get(position)
    if (bytes === undefined) throw new DamagedRecord(position, 'it is missing')
    const read = readRecord(bytes, position)
    if (!read.ok) throw new DamagedRecord(position, read.reason)
    return read.entry
  }
}

const rowId = (table: number, key: string): string => `${String(table).padStart(3, '0')}/${key}`

export class MemoryStateStore implements StateStore {
  applied = 0
  resumeFrom = 1
  base: LogBase = NO_BASE
  rowsDigest = 0
  rows = new Map<string, StoredRow>()
  readonly incoming = new MemoryIncoming()

  async write(write: StateWrite): Promise<void> {
    for (const { table, key, bytes } of write.rows) {
      const id = rowId(table, key)
      this.rowsDigest = changedDigest(this.rowsDigest, rowKey(table, key), this.rows.get(id)?.bytes, bytes)
      if (bytes === null) this.rows.delete(id)
      else this.rows.set(id, { table, key, bytes: bytes.slice() })
    }
    this.applied = write.applied
    this.resumeFrom = write.resumeFrom
    this.base = write.base
  }

  readRows(cursor: RowCursor | null, rowsMax: number): RowPage {
    const left = rowsAfter(this.rows, cursor)
    return { applied: this.resumeFrom - 1, rows: left.slice(0, rowsMax), done: left.length <= rowsMax }
  }

  snapshot(id: string): SnapshotReader {
    const { base, rowsDigest } = this
    const rows = new Map(this.rows)
    return {
      header: { id, clusterId: 'c', position: this.resumeFrom - 1, base, rowsDigest },
      page: (cursor, bytesMax) => takeBytes(rowsAfter(rows, cursor), bytesMax),
      close: () => {},
    }
  }

  async close(): Promise<void> {}
}

class MemoryIncoming implements IncomingSnapshot {
  progress: SnapshotProgress | null = null
  rows = new Map<string, StoredRow>()

  async write({ header, cursor, rows, done }: Parameters<IncomingSnapshot['write']>[0]): Promise<boolean> {
    if (cursor === null) this.rows = new Map()
    for (const row of rows) this.rows.set(rowId(row.table, row.key), row)
    const last = rows.at(-1)
    this.progress = {
      header,
      cursor: last === undefined ? cursor : { table: last.table, key: last.key },
      isWhole: done,
    }
    if (!done) return true
    let digest = 0
    for (const { table, key, bytes } of this.rows.values()) {
      digest = changedDigest(digest, rowKey(table, key), null, bytes)
    }
    if (digest === header.rowsDigest) return true
    this.progress = null
    return false
  }
}

function rowsAfter(rows: ReadonlyMap<string, StoredRow>, cursor: RowCursor | null): readonly StoredRow[] {
  const after = cursor === null ? '' : rowId(cursor.table, cursor.key)
  return [...rows]
    .filter(([id]) => id > after)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([, row]) => row)
}

function takeBytes(left: readonly StoredRow[], bytesMax: number): { rows: readonly StoredRow[]; done: boolean } {
  let to = 0
  for (let bytes = 0; to < left.length && bytes < bytesMax; to++) bytes += left[to]!.bytes.length + left[to]!.key.length
  return { rows: left.slice(0, to), done: to === left.length }
}
