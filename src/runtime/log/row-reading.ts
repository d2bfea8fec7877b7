/**
 * One reading of the row tables for a backup: pages of one read transaction, packed as payloads of puts, so that one buffer
 * changes hands instead of thousands. Whoever does not ask for a while has given it up, because an open reading keeps the
 * store from using freed pages again.
 */
import { randomUUID } from 'node:crypto'
import type { SnapshotReader, StateStore } from '../../actors/log-ports.ts'
import { batchPayload, encodeTransaction } from '../../core/ledger/payload.ts'
import type { RowCursor, SnapshotHeader } from '../../core/log/snapshot.ts'

/** A page is read in one turn: no longer than a batch of appends is written in. */
const PAGE_BYTES = 128 * 1024
const IDLE_MS_MAX = 30_000

export interface PackedPage {
  readonly payload: Uint8Array
  /** How many rows, by number of their table. */
  readonly rows: Readonly<Record<string, number>>
  readonly done: boolean
}

export class RowReading {
  #reader: SnapshotReader | null = null
  #cursor: RowCursor | null = null
  #idle: NodeJS.Timeout | null = null
  readonly #state: Pick<StateStore, 'snapshot' | 'resumeFrom'>

  constructor(state: Pick<StateStore, 'snapshot' | 'resumeFrom'>) {
    this.#state = state
  }

  /** Null while the tables do not stand for that position. Gives up an earlier reading. */
  begin(positionMin: number): SnapshotHeader | null {
    if (this.#state.resumeFrom - 1 < positionMin) return null
    this.close()
    const reader = this.#state.snapshot(`backup-${randomUUID()}`)
    this.#reader = reader
    this.#cursor = null
    this.#keep()
    return reader.header.position < positionMin ? null : reader.header
  }

  /** Throws when it was given up. */
  page(id: string): PackedPage {
    const reader = this.#reader
    if (reader?.header.id !== id) throw new Error('the reading of the row tables was given up')
    this.#keep()
    const { rows, done } = reader.page(this.#cursor, PAGE_BYTES)
    this.#cursor = rows.at(-1) ?? this.#cursor
    const counts: Record<string, number> = {}
    for (const { table } of rows) counts[table] = (counts[table] ?? 0) + 1
    const payload = batchPayload([encodeTransaction({ who: 'backup', why: 'page', wallMs: 0 }, rows)])
    return { payload, rows: counts, done }
  }

  end(id: string): void {
    if (this.#reader?.header.id === id) this.close()
  }

  close(): void {
    if (this.#idle !== null) clearTimeout(this.#idle)
    this.#idle = null
    this.#reader?.close()
    this.#reader = null
  }

  #keep(): void {
    if (this.#idle !== null) clearTimeout(this.#idle)
    this.#idle = setTimeout(() => this.close(), IDLE_MS_MAX)
    this.#idle.unref()
  }
}
