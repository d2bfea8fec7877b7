/** The stores of the log in memory, with a flush that a test may hold back or fail. The contract suite holds for them. */
import { DamagedRecord, type LogStore, type StateStore, type StateWrite } from '../../../src/actors/log-ports.ts'
import type { RowCursor, RowPage } from '../../../src/actors/ports.ts'
import { BallotRuns } from '../../../src/core/log/ballot-runs.ts'
import { type Entry, readRecord } from '../../../src/core/log/entry.ts'
import type { LogMeta } from '../../../src/core/log/meta.ts'
import type { LogWrite, RestoredLog } from '../../../src/core/log/replica-core.ts'

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
    const runs = new BallotRuns(meta.begin)
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

  read(from: number, to: number, countMax: number): readonly Entry[] {
    const found: Entry[] = []
    for (let at = from; at <= Math.min(to, this.disk.meta.end, from + countMax - 1); at++) found.push(this.#read(at))
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

export class MemoryStateStore implements StateStore {
  applied = 0
  resumeFrom = 1
  readonly rows = new Map<string, { table: number; key: string; bytes: Uint8Array }>()

  async write(write: StateWrite): Promise<void> {
    for (const { table, key, bytes } of write.rows) {
      const id = `${String(table).padStart(3, '0')}/${key}`
      if (bytes === null) this.rows.delete(id)
      else this.rows.set(id, { table, key, bytes: bytes.slice() })
    }
    this.applied = write.applied
    this.resumeFrom = write.resumeFrom
  }

  readRows(cursor: RowCursor | null, rowsMax: number): RowPage {
    const after = cursor === null ? '' : `${String(cursor.table).padStart(3, '0')}/${cursor.key}`
    const left = [...this.rows].filter(([id]) => id > after).sort(([a], [b]) => (a < b ? -1 : 1))
    return {
      applied: this.resumeFrom - 1,
      rows: left.slice(0, rowsMax).map(([, row]) => row),
      done: left.length <= rowsMax,
    }
  }

  async close(): Promise<void> {}
}
