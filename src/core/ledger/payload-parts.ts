/**
 * A payload that is too large for one position of the log travels in parts, in consecutive positions, and takes effect
 * with the last of them or not at all.
 */
import { crc32c } from '../log/crc.ts'
import { BadPayload, HEADER_BYTES, isBatch, KIND_PART, openPayload, Writer, writeHeader } from './payload-bytes.ts'

/** Of the bytes that one part carries. The log's own limit is 1 MiB. */
export const PART_BYTES_MAX = 512 * 1_024
/** Beyond this a transaction is a bug of whoever made it. */
export const TRANSACTION_BYTES_MAX = 64 * 1_024 * 1_024
const PART_HEADER_BYTES = HEADER_BYTES + 24

export interface PayloadPart {
  /** Unique within one leader's term. */
  readonly transaction: number
  readonly index: number
  readonly count: number
  readonly crc: number
  readonly wholeBytes: number
  readonly bytes: Uint8Array
}

/** The payload itself when one position can hold it, else its parts, for consecutive positions. */
export function splitPayload(payload: Uint8Array, transaction: number, partBytesMax = PART_BYTES_MAX): Uint8Array[] {
  if (payload.length <= partBytesMax + PART_HEADER_BYTES) return [payload]
  const count = Math.ceil(payload.length / partBytesMax)
  const crc = crc32c(payload)
  return Array.from({ length: count }, (_, index) => {
    const bytes = payload.subarray(index * partBytesMax, (index + 1) * partBytesMax)
    const writer = new Writer(new Uint8Array(PART_HEADER_BYTES + bytes.length))
    writeHeader(writer, KIND_PART, PART_HEADER_BYTES + bytes.length)
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
  const reader = openPayload(payload)
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
 * Makes whole payloads of entries read in log order. A part is kept back until the last one of its transaction is
 * there; a LEADER entry, or data that does not continue the transaction, voids what was gathered. What a leader says in
 * between about the log itself (TRUNCATE, CHECKPOINT) is no part and no end of it. That depends on the entries alone, so
 * every replica decides the same.
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
    // Nearly all are: whoever reads them checks the rest.
    const part = isBatch(payload) ? null : payloadPart(payload)
    if (part === null) {
      this.#interrupt()
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
      this.#interrupt()
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

  /** An entry that is not data. After a LEADER entry, a transaction that is not whole by then never will be. */
  other(position: number, type: string): void {
    if (type === 'LEADER') this.#interrupt()
    else if (position === this.#last + 1) this.#last = position
  }

  #interrupt(): void {
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
