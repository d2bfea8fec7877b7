/**
 * The header and the fields of a payload, to bytes and back, big endian. Writing is made for transactions that are small
 * and many; reading checks every length before it is used, and throws BadPayload for whatever is not whole.
 */
import { assert } from '../base/assert.ts'

const PAYLOAD_VERSION = 1
export const KIND_BATCH = 1
export const KIND_PART = 2
export const HEADER_BYTES = 8
const MAGIC = 0xdb4c
const KIND_AT = 3

/** Thrown for bytes that are no payload of this version. For committed entries that is a reason to stop the node. */
export class BadPayload extends Error {
  override readonly name = 'BadPayload'
}

export function writeHeader(writer: Writer, kind: number, total: number): void {
  writer.u16(MAGIC)
  writer.u8(PAYLOAD_VERSION)
  writer.u8(kind)
  writer.u32(total)
}

/** A reader that stands behind the header. */
export function openPayload(payload: Uint8Array): Reader {
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

/** Whether it says so; nothing else of it is looked at. */
export function isBatch(payload: Uint8Array): boolean {
  return payload[KIND_AT] === KIND_BATCH
}

const SLAB_BYTES = 64 * 1_024
let slab = new Uint8Array(SLAB_BYTES)
let slabView = new DataView(slab.buffer)
let slabUsed = 0

/**
 * Transactions are small and many, and a buffer of its own for each costs more than writing into it: they are cut from
 * slabs. What was handed out is never written again; a slab is freed with the last transaction cut from it.
 */
export function slabWriter(bytesMax: number): Writer {
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
export class Writer {
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

export class Reader {
  at = 0
  kind = 0
  readonly #bytes: Uint8Array

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  get left(): number {
    return this.#bytes.length - this.at
  }
  u8(): number {
    return this.#bytes[this.#take(1)]!
  }
  // Most payloads are small, and a view of its own for each costs more than putting a few numbers together.
  u16(): number {
    const at = this.#take(2)
    return (this.#bytes[at]! << 8) | this.#bytes[at + 1]!
  }
  u32(): number {
    const at = this.#take(4)
    const bytes = this.#bytes
    return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0
  }
  f64(): number {
    const { buffer, byteOffset } = this.#bytes
    return new DataView(buffer, byteOffset + this.#take(8), 8).getFloat64(0)
  }
  skip(count: number): void {
    this.#take(count)
  }
  skipText(): void {
    this.#take(this.u16())
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
