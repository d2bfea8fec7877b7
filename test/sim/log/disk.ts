/**
 * A simulated disk and the two stores on it. What is written is not there until it is flushed: a loss of power keeps some
 * prefix of the transactions that were not, the end of a process keeps all. A flush takes its time, may hang, fail for
 * ever (EIO) or find no room (ENOSPC); records may rot, vanish or be found in the wrong place.
 */
import {
  DamagedRecord,
  type LogStore,
  type StateStore,
  type StateWrite,
  StoreFailed,
  StoreFull,
} from '../../../src/actors/log-ports.ts'
import type { RowPage } from '../../../src/actors/ports.ts'
import { type Entry, type ReadRecord, readRecord } from '../../../src/core/log/entry.ts'
import type { LogMeta } from '../../../src/core/log/meta.ts'
import type { LogWrite, RestoredLog } from '../../../src/core/log/replica-core.ts'
import { type FoundRecord, restoreLog } from '../../../src/core/log/restore.ts'
import { rowsDigestChange } from './rows-digest.ts'
import { Settlement } from './settlement.ts'

export interface DiskRow {
  readonly table: number
  readonly key: string
  readonly bytes: Uint8Array
}

type Undo = {
  readonly rows: readonly (readonly [string, DiskRow | undefined])[]
  applied: number
  resumeFrom: number
  digest: number
}

/** State writes whose flush may still be pending when the power goes. */
const STATE_WRITES_UNFLUSHED_MAX = 20

export class SimDisk {
  meta: LogMeta
  /** Flushed entries; the index is the position. */
  entries: (Entry | undefined)[] = [undefined]
  /** What a read finds instead of the record; null: nothing. */
  readonly damage = new Map<number, Uint8Array | null>()
  rows = new Map<string, DiskRow>()
  rowsDigest = 0
  applied = 0
  resumeFrom = 1
  #undo: Undo[] = []

  constructor(meta: LogMeta) {
    this.meta = meta
  }

  apply(write: LogWrite): void {
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
    for (let position = 1; position < this.entries.length; position++) {
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
    this.rows.clear()
    Object.assign(this, { rowsDigest: 0, applied: 0, resumeFrom: 1 })
    this.#undo = []
    this.meta = { ...this.meta, promised: [0, 0], end: 0, commit: 0, digest: 0 }
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
    const before: [string, DiskRow | undefined][] = []
    const { applied, resumeFrom, rowsDigest: digest } = this
    for (const { table, key, bytes } of write.rows) {
      const id = `${table}/${key}`
      const old = this.rows.get(id)
      before.push([id, old])
      this.rowsDigest = rowsDigestChange(this.rowsDigest, id, old?.bytes, bytes)
      if (bytes === null) this.rows.delete(id)
      else this.rows.set(id, { table, key, bytes })
    }
    this.applied = write.applied
    this.resumeFrom = write.resumeFrom
    this.#undo.push({ rows: before, applied, resumeFrom, digest })
    if (this.#undo.length > STATE_WRITES_UNFLUSHED_MAX) this.#undo.shift()
  }

  /** Power goes: the last state writes were not flushed yet. */
  loseState(writes: number): void {
    for (let left = writes; left > 0; left--) {
      const undo = this.#undo.pop()
      if (undo === undefined) break
      for (const [id, row] of undo.rows.toReversed()) {
        if (row === undefined) this.rows.delete(id)
        else this.rows.set(id, row)
      }
      this.applied = undo.applied
      this.resumeFrom = undo.resumeFrom
      this.rowsDigest = undo.digest
    }
    this.#undo = []
  }
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

export class SimStateStore implements StateStore {
  readonly #disk: SimDisk
  readonly #onWritten: (disk: SimDisk) => void

  constructor(disk: SimDisk, onWritten: (disk: SimDisk) => void) {
    this.#disk = disk
    this.#onWritten = onWritten
  }

  get applied(): number {
    return this.#disk.applied
  }
  get resumeFrom(): number {
    return this.#disk.resumeFrom
  }

  write(write: StateWrite): Promise<void> {
    const settlement = new Settlement()
    this.#disk.writeState(write)
    this.#onWritten(this.#disk)
    settlement.settle(null)
    return settlement.promise
  }

  readRows(): RowPage {
    return { applied: this.#disk.resumeFrom - 1, rows: [...this.#disk.rows.values()], done: true }
  }

  async close(): Promise<void> {}
}
