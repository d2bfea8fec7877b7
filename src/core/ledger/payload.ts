/**
 * The bytes of one position of the log: a batch of transactions, or one part of a transaction that is too large for a
 * position. The ledger makes them; the log thread reads only which rows to write (`payloadRows`) and never looks inside
 * a row. Whoever wants causes too asks `payloadTransactions`.
 *
 * A payload is read whole before anything of it is handed out, so a damaged one has no effect at all. The records of the
 * log carry their own checksums; here lengths are checked against the header, and every bound before it is used.
 *
 * Form, big endian: magic `DB 4C`, version, kind, u32 bytes of the whole; then
 * - kind 1, batch: u32 count; per transaction u32 bytes, f64 wallMs, who, why, requestId (u16 length + UTF-8 each; a
 *   missing request id is empty), u32 count of rows; per row u8 table, u8 operation, u16 length + key, and for a put
 *   u32 length + row.
 * - kind 2, part: f64 transaction, u32 index from 0, u32 count, u32 CRC-32C and u32 bytes of the whole, then the bytes.
 */
import { assert } from '../base/assert.ts'
import {
  BadPayload,
  HEADER_BYTES,
  KIND_BATCH,
  openPayload,
  type Reader,
  slabWriter,
  Writer,
  writeHeader,
} from './payload-bytes.ts'
import { PART_BYTES_MAX, TRANSACTION_BYTES_MAX } from './payload-parts.ts'
import type { Cause } from './transaction.ts'

export { BadPayload } from './payload-bytes.ts'
export { PayloadJoiner, type PayloadPart, payloadPart, splitPayload } from './payload-parts.ts'

const OP_DELETE = 0
const OP_PUT = 1

/** A key is also a key of LMDB, which ends at 1,978 bytes with what the store puts before it. */
export const KEY_BYTES_MAX = 1_024
/** A batch of several transactions stays below this. */
export const BATCH_BYTES_MAX = PART_BYTES_MAX
export const BATCH_TRANSACTIONS_MAX = 1_000

/** One row change as the log thread writes it; `bytes` null deletes the row. */
export interface RowBytes {
  readonly table: number
  readonly key: string
  readonly bytes: Uint8Array | null
}

export interface TransactionBytes {
  readonly cause: Cause
  readonly rows: readonly RowBytes[]
}

/** One transaction, encoded; several are joined by `batchPayload`. Throws on a key or text beyond its bounds. */
export function encodeTransaction(cause: Cause, rows: readonly RowBytes[]): Uint8Array {
  const writer = slabWriter(bytesMaxOf(cause, rows))
  writer.u32(0)
  writer.f64(cause.wallMs)
  writer.text(cause.who)
  writer.text(cause.why)
  writer.text(cause.requestId ?? '')
  writer.u32(rows.length)
  for (const row of rows) {
    assert(row.table > 0 && row.table < 256, 'a table number is one byte', { table: row.table })
    writer.u8(row.table)
    writer.u8(row.bytes === null ? OP_DELETE : OP_PUT)
    const bytes = writer.text(row.key)
    assert(bytes <= KEY_BYTES_MAX, 'a row key fits the store', { key: row.key.slice(0, 80) })
    if (row.bytes !== null) {
      writer.u32(row.bytes.length)
      writer.bytes(row.bytes)
    }
  }
  const bytes = writer.done()
  assert(bytes.length <= TRANSACTION_BYTES_MAX, 'a transaction is at most 64 MiB', { bytes: bytes.length })
  new DataView(bytes.buffer, bytes.byteOffset).setUint32(0, bytes.length - 4)
  return bytes
}

/** Joins encoded transactions, in order, into the payload of one position (or one to be split). */
export function batchPayload(transactions: readonly Uint8Array[]): Uint8Array {
  let total = HEADER_BYTES + 4
  for (const bytes of transactions) total += bytes.length
  const writer = new Writer(new Uint8Array(total))
  writeHeader(writer, KIND_BATCH, total)
  writer.u32(transactions.length)
  for (const bytes of transactions) writer.bytes(bytes)
  return writer.done()
}

/**
 * The row changes of a whole payload, in order; a later change of a row replaces an earlier one. The fast path of the
 * log thread: rows are subarrays of the payload, nothing is decoded. Throws BadPayload.
 */
export function payloadRows(payload: Uint8Array): RowBytes[] {
  const rows: RowBytes[] = []
  readBatch(payload, reader => {
    skipCause(reader)
    readRows(reader, rows)
  })
  return rows
}

/** Everything in a whole payload: what an audit trail shows, and what a follower applies. Throws BadPayload. */
export function payloadTransactions(payload: Uint8Array): TransactionBytes[] {
  const transactions: TransactionBytes[] = []
  readBatch(payload, reader => {
    const cause = readCause(reader)
    const rows: RowBytes[] = []
    readRows(reader, rows)
    transactions.push({ cause, rows })
  })
  return transactions
}

// ---- Details ----------------------------------------------------------------------------------------------------

/** `each` reads one transaction, to its end. */
function readBatch(payload: Uint8Array, each: (reader: Reader) => void): void {
  const reader = openPayload(payload)
  if (reader.kind !== KIND_BATCH) throw new BadPayload('a part is not a whole payload')
  const count = reader.u32()
  for (let i = 0; i < count; i++) {
    const bytes = reader.u32()
    const end = reader.at + bytes
    if (bytes > reader.left) throw new BadPayload(`transaction ${i} ends beyond the payload`)
    each(reader)
    if (reader.at !== end) throw new BadPayload(`transaction ${i} does not end where it says`)
  }
  if (reader.left !== 0) throw new BadPayload(`${reader.left} bytes after the last transaction`)
}

function readCause(reader: Reader): Cause {
  const wallMs = reader.f64()
  const who = reader.text()
  const why = reader.text()
  const requestId = reader.text()
  return requestId === '' ? { who, why, wallMs } : { who, why, requestId, wallMs }
}

function skipCause(reader: Reader): void {
  reader.skip(8)
  for (let text = 0; text < 3; text++) reader.skipText()
}

function readRows(reader: Reader, rows: RowBytes[]): void {
  for (let left = reader.u32(); left > 0; left--) rows.push(readRow(reader))
}

function readRow(reader: Reader): RowBytes {
  const table = reader.u8()
  if (table === 0) throw new BadPayload('there is no table 0')
  const operation = reader.u8()
  if (operation !== OP_PUT && operation !== OP_DELETE) throw new BadPayload(`row operation ${operation} is not known`)
  const key = reader.text()
  return { table, key, bytes: operation === OP_PUT ? reader.bytes(reader.u32()) : null }
}

/** Never less than what `encodeTransaction` writes: a UTF-16 unit is at most 3 bytes. */
function bytesMaxOf(cause: Cause, rows: readonly RowBytes[]): number {
  let bytes = 64 + 3 * (cause.who.length + cause.why.length + (cause.requestId?.length ?? 0))
  for (const row of rows) bytes += 8 + 3 * row.key.length + (row.bytes?.length ?? 0)
  return bytes
}
