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
import { crc32c } from '../log/crc.ts'
import type { Cause } from './transaction.ts'

export const PAYLOAD_VERSION = 1
/** A key is also a key of LMDB, which ends at 1,978 bytes with what the store puts before it. */
export const KEY_BYTES_MAX = 1_024
/** A batch of several transactions stays below this; also the size of a part. The log's own limit is 1 MiB. */
export const BATCH_BYTES_MAX = 512 * 1_024
export const BATCH_TRANSACTIONS_MAX = 1_000
/** Beyond this a transaction is a bug of whoever made it. */
export const TRANSACTION_BYTES_MAX = 64 * 1_024 * 1_024

const MAGIC = 0xdb4c
const KIND_BATCH = 1
const KIND_PART = 2
const HEADER_BYTES = 8
const PART_HEADER_BYTES = HEADER_BYTES + 24
const OP_DELETE = 0
const OP_PUT = 1

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

export interface PayloadPart {
  /** Unique within one leader's term. */
  readonly transaction: number
  readonly index: number
  readonly count: number
  readonly crc: number
  readonly wholeBytes: number
  readonly bytes: Uint8Array
}

/** Thrown for bytes that are no payload of this version. For committed entries that is a reason to stop the node. */
export class BadPayload extends Error {
  override readonly name = 'BadPayload'
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
  header(writer, KIND_BATCH, total)
  writer.u32(transactions.length)
  for (const bytes of transactions) writer.bytes(bytes)
  return writer.done()
}

/** The payload itself when one position can hold it, else its parts, for consecutive positions. */
export function splitPayload(payload: Uint8Array, transaction: number, partBytesMax = BATCH_BYTES_MAX): Uint8Array[] {
  if (payload.length <= partBytesMax + PART_HEADER_BYTES) return [payload]
  const count = Math.ceil(payload.length / partBytesMax)
  const crc = crc32c(payload)
  return Array.from({ length: count }, (_, index) => {
    const bytes = payload.subarray(index * partBytesMax, (index + 1) * partBytesMax)
    const writer = new Writer(new Uint8Array(PART_HEADER_BYTES + bytes.length))
    header(writer, KIND_PART, PART_HEADER_BYTES + bytes.length)
    writer.f64(transaction)
    writer.u32(index)
    writer.u32(count)
    writer.u32(crc)
    writer.u32(payload.length)
    writer.bytes(bytes)
    return writer.done()
  })
}

/** Null when the payload is not a part. */
export function payloadPart(payload: Uint8Array): PayloadPart | null {
  const reader = open(payload)
  if (reader.kind !== KIND_PART) return null
  const transaction = reader.f64()
  const index = reader.u32()
  const count = reader.u32()
  const crc = reader.u32()
  const wholeBytes = reader.u32()
  const bytes = reader.bytes(reader.left)
  if (count < 2 || index >= count) throw new BadPayload(`part ${index} of ${count} cannot be`)
  if (wholeBytes > TRANSACTION_BYTES_MAX * 2) throw new BadPayload(`a transaction of ${wholeBytes} bytes cannot be`)
  return { transaction, index, count, crc, wholeBytes, bytes }
}

/**
 * The row changes of a whole payload, in order; a later change of a row replaces an earlier one. The fast path of the
 * log thread: rows are subarrays of the payload, nothing is decoded. Throws BadPayload.
 */
export function payloadRows(payload: Uint8Array): RowBytes[] {
  const rows: RowBytes[] = []
  readBatch(payload, rows, null)
  return rows
}

/** Everything in a whole payload: what an audit trail shows, and what a follower applies. Throws BadPayload. */
export function payloadTransactions(payload: Uint8Array): TransactionBytes[] {
  const transactions: TransactionBytes[] = []
  readBatch(payload, null, transactions)
  return transactions
}

/**
 * Makes whole payloads of entries read in log order. A part is kept back until the last one of its transaction is
 * there; a LEADER entry, or anything that does not continue the transaction, voids what was gathered. That depends on
 * the entries alone, so every replica decides the same.
 */
export class PayloadJoiner {
  /** The position of the first part gathered: apply must be able to begin here again after a restart. Null: none. */
  pendingFrom: number | null = null
  /** Transactions that began and will never be whole. */
  voided = 0
  #first: PayloadPart | null = null
  #parts: Uint8Array[] = []
  #last = 0

  /** The payload that takes effect at this position, or null when more parts are to come. Throws BadPayload. */
  data(position: number, payload: Uint8Array): Uint8Array | null {
    const part = payloadPart(payload)
    if (part === null) {
      this.interrupt()
      return payload
    }
    const first = this.#first
    const continues =
      first !== null &&
      part.index === this.#parts.length &&
      part.transaction === first.transaction &&
      part.count === first.count &&
      part.crc === first.crc &&
      part.wholeBytes === first.wholeBytes &&
      position === this.#last + 1
    if (!continues) {
      this.interrupt()
      if (part.index !== 0) {
        this.voided++
        return null
      }
      this.#first = part
      this.pendingFrom = position
    }
    this.#parts.push(part.bytes)
    this.#last = position
    if (this.#parts.length < part.count) return null
    const whole = this.#join(part.wholeBytes)
    if (crc32c(whole) !== part.crc) throw new BadPayload('the parts of a transaction do not have its checksum')
    this.#forget()
    return whole
  }

  /** A LEADER entry, or any other that is not data: a transaction that is not whole by now never will be. */
  interrupt(): void {
    if (this.#first !== null) this.voided++
    this.#forget()
  }

  #join(wholeBytes: number): Uint8Array {
    const length = this.#parts.reduce((sum, part) => sum + part.length, 0)
    if (length !== wholeBytes) throw new BadPayload(`${length} bytes of parts for a transaction of ${wholeBytes}`)
    const whole = new Uint8Array(length)
    let at = 0
    for (const part of this.#parts) {
      whole.set(part, at)
      at += part.length
    }
    return whole
  }

  #forget(): void {
    this.#first = null
    this.#parts = []
    this.pendingFrom = null
  }
}

// ---- Details ----------------------------------------------------------------------------------------------------

function readBatch(payload: Uint8Array, rows: RowBytes[] | null, transactions: TransactionBytes[] | null): void {
  const reader = open(payload)
  if (reader.kind !== KIND_BATCH) throw new BadPayload('a part is not a whole payload')
  const count = reader.u32()
  for (let i = 0; i < count; i++) {
    const bytes = reader.u32()
    const end = reader.at + bytes
    if (bytes > reader.left) throw new BadPayload(`transaction ${i} ends beyond the payload`)
    const wallMs = reader.f64()
    const who = reader.text()
    const why = reader.text()
    const requestId = reader.text()
    const rowCount = reader.u32()
    const own: RowBytes[] | null = transactions === null ? rows : []
    for (let r = 0; r < rowCount; r++) own?.push(readRow(reader))
    if (reader.at !== end) throw new BadPayload(`transaction ${i} does not end where it says`)
    if (transactions === null || own === null) continue
    const cause: Cause = requestId === '' ? { who, why, wallMs } : { who, why, requestId, wallMs }
    transactions.push({ cause, rows: own })
  }
  if (reader.left !== 0) throw new BadPayload(`${reader.left} bytes after the last transaction`)
}

function readRow(reader: Reader): RowBytes {
  const table = reader.u8()
  if (table === 0) throw new BadPayload('there is no table 0')
  const operation = reader.u8()
  if (operation !== OP_PUT && operation !== OP_DELETE) throw new BadPayload(`row operation ${operation} is not known`)
  const key = reader.text()
  return { table, key, bytes: operation === OP_PUT ? reader.bytes(reader.u32()) : null }
}

function header(writer: Writer, kind: number, total: number): void {
  writer.u16(MAGIC)
  writer.u8(PAYLOAD_VERSION)
  writer.u8(kind)
  writer.u32(total)
}

function open(payload: Uint8Array): Reader {
  if (payload.length < HEADER_BYTES) throw new BadPayload(`${payload.length} bytes are too few for a payload`)
  const reader = new Reader(payload)
  if (reader.u16() !== MAGIC) throw new BadPayload('the bytes do not begin as a payload does')
  const version = reader.u8()
  if (version !== PAYLOAD_VERSION) throw new BadPayload(`payload version ${version} is not known to this release`)
  reader.kind = reader.u8()
  if (reader.kind !== KIND_BATCH && reader.kind !== KIND_PART) throw new BadPayload(`payload kind ${reader.kind}`)
  const total = reader.u32()
  if (total !== payload.length) throw new BadPayload(`${payload.length} bytes of a payload of ${total}`)
  return reader
}

/** Never less than what `encodeTransaction` writes: a UTF-16 unit is at most 3 bytes. */
function bytesMaxOf(cause: Cause, rows: readonly RowBytes[]): number {
  let bytes = 64 + 3 * (cause.who.length + cause.why.length + (cause.requestId?.length ?? 0))
  for (const row of rows) bytes += 8 + 3 * row.key.length + (row.bytes?.length ?? 0)
  return bytes
}

const SLAB_BYTES = 64 * 1_024
let slab = new Uint8Array(SLAB_BYTES)
let slabView = new DataView(slab.buffer)
let slabUsed = 0

/**
 * Transactions are small and many, and a buffer of its own for each costs more than writing into it: they are cut from
 * slabs. What was handed out is never written again; a slab is freed with the last transaction cut from it.
 */
function slabWriter(bytesMax: number): Writer {
  if (bytesMax > SLAB_BYTES / 8) return new Writer(new Uint8Array(bytesMax))
  if (slabUsed + bytesMax > SLAB_BYTES) {
    slab = new Uint8Array(SLAB_BYTES)
    slabView = new DataView(slab.buffer)
    slabUsed = 0
  }
  return new Writer(slab, slabView, slabUsed, end => {
    slabUsed = end
  })
}

const UTF8 = new TextEncoder()
const FROM_UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Writes into a buffer that is large enough; `done` cuts out what was written. */
class Writer {
  readonly #buffer: Uint8Array
  readonly #view: DataView
  readonly #start: number
  readonly #onDone: ((end: number) => void) | undefined
  #at: number

  constructor(buffer: Uint8Array, view = new DataView(buffer.buffer), start = 0, onDone?: (end: number) => void) {
    this.#buffer = buffer
    this.#view = view
    this.#start = start
    this.#onDone = onDone
    this.#at = start
  }

  u8(value: number): void {
    this.#buffer[this.#at++] = value
  }
  u16(value: number): void {
    this.#view.setUint16(this.#at, value)
    this.#at += 2
  }
  u32(value: number): void {
    this.#view.setUint32(this.#at, value)
    this.#at += 4
  }
  f64(value: number): void {
    this.#view.setFloat64(this.#at, value)
    this.#at += 8
  }
  bytes(bytes: Uint8Array): void {
    this.#buffer.set(bytes, this.#at)
    this.#at += bytes.length
  }
  /**
   * u16 length + UTF-8; answers the bytes of the text. Keys and causes are short and nearly always ASCII: those are
   * written without the encoder.
   */
  text(text: string): number {
    const start = this.#at + 2
    let ascii = true
    for (let i = 0; i < text.length && ascii; i++) {
      const code = text.charCodeAt(i)
      if (code < 0x80) this.#buffer[start + i] = code
      else ascii = false
    }
    const bytes = ascii ? text.length : UTF8.encodeInto(text, this.#buffer.subarray(start)).written
    assert(bytes <= 0xffff, 'a text of a transaction is at most 65,535 bytes', { text: text.slice(0, 80) })
    this.#view.setUint16(this.#at, bytes)
    this.#at = start + bytes
    return bytes
  }
  done(): Uint8Array {
    this.#onDone?.(this.#at)
    const isWhole = this.#start === 0 && this.#at === this.#buffer.length
    return isWhole ? this.#buffer : this.#buffer.subarray(this.#start, this.#at)
  }
}

class Reader {
  at = 0
  kind = 0
  readonly #bytes: Uint8Array
  readonly #view: DataView

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  get left(): number {
    return this.#bytes.length - this.at
  }
  u8(): number {
    return this.#view.getUint8(this.#take(1))
  }
  u16(): number {
    return this.#view.getUint16(this.#take(2))
  }
  u32(): number {
    return this.#view.getUint32(this.#take(4))
  }
  f64(): number {
    return this.#view.getFloat64(this.#take(8))
  }
  bytes(count: number): Uint8Array {
    const from = this.#take(count)
    return this.#bytes.subarray(from, from + count)
  }
  text(): string {
    const bytes = this.bytes(this.u16())
    if (bytes.length < 64) {
      let text = ''
      for (let i = 0; i < bytes.length; i++) {
        const code = bytes[i] as number
        if (code >= 0x80) return decodeUtf8(bytes)
        text += String.fromCharCode(code)
      }
      return text
    }
    return decodeUtf8(bytes)
  }

  #take(count: number): number {
    if (count > this.left) throw new BadPayload(`the payload ends at byte ${this.#bytes.length}, inside a field`)
    const from = this.at
    this.at += count
    return from
  }
}

function decodeUtf8(bytes: Uint8Array): string {
  try {
    return FROM_UTF8.decode(bytes)
  } catch (cause) {
    throw new BadPayload('a text is not UTF-8', { cause })
  }
}
