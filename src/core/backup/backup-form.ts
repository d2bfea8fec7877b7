/**
 * The bytes of a backup: a magic with the version, then frames. The first frame is the header, the last one the trailer,
 * between them are pages, each a compressed payload of puts as the log itself has them. Pages come in (table, key) order.
 *
 * Form of a frame, big endian: u8 kind, u32 length, u32 CRC-32C over kind and bytes, then the bytes. Header and trailer
 * are JSON. Compression belongs to whoever has the machine; here are lengths, checksums and what a file must say.
 */
import { BadPayload, payloadRows, type RowBytes } from '../ledger/payload.ts'
import { changedDigest, rowKey } from '../ledger/rows-digest.ts'
import type { Ballot } from '../log/ballot.ts'
import { crc32c } from '../log/crc.ts'
import type { StoredRow } from '../log/snapshot.ts'

/** In words that end the sentence `Failed to decode backup …: `. */
export class BadBackup extends Error {
  override readonly name = 'BadBackup'
}

export const BACKUP_VERSION = 1
/** `DAYBRKB` and the version. */
export const MAGIC = new Uint8Array([0x44, 0x41, 0x59, 0x42, 0x52, 0x4b, 0x42, BACKUP_VERSION])
export const FRAME_HEADER_BYTES = 9
export const FRAME = { header: 1, page: 2, trailer: 3 } as const
export type FrameKind = (typeof FRAME)[keyof typeof FRAME]

export interface BackupHeader {
  readonly clusterId: string
  /** The rows are those as of this position of the log, which has this ballot there. */
  readonly position: number
  readonly ballot: Ballot
  readonly rowsDigest: number
  readonly writtenAtMs: number
  readonly software: string
}

/** How many rows there are, by number of their table. */
export interface BackupTrailer {
  readonly rows: Readonly<Record<string, number>>
}

export interface FrameHeader {
  readonly kind: FrameKind
  readonly length: number
  readonly crc: number
}

/** What comes before the bytes of a frame. */
export function frameHeader(kind: FrameKind, bytes: Uint8Array): Uint8Array {
  const header = new Uint8Array(FRAME_HEADER_BYTES)
  const view = new DataView(header.buffer)
  view.setUint8(0, kind)
  view.setUint32(1, bytes.length)
  view.setUint32(5, crc32c(bytes, 0, bytes.length, kind))
  return header
}

/** `left`: bytes of the file behind it. Nothing is made room for that the file cannot hold. */
export function readFrameHeader(bytes: Uint8Array, left: number): FrameHeader {
  const view = new DataView(bytes.buffer, bytes.byteOffset, FRAME_HEADER_BYTES)
  const kind = view.getUint8(0)
  const length = view.getUint32(1)
  if (kind !== FRAME.header && kind !== FRAME.page && kind !== FRAME.trailer) throw new BadBackup(`frame kind ${kind}`)
  if (length > left) throw new BadBackup('the file is cut short')
  return { kind, length, crc: view.getUint32(5) }
}

export function checkMagic(bytes: Uint8Array): void {
  const isOurs = MAGIC.every((byte, at) => at === MAGIC.length - 1 || bytes[at] === byte)
  if (!isOurs || bytes.length < MAGIC.length) throw new BadBackup('it is no backup of Daybreak')
  const version = bytes[MAGIC.length - 1]
  if (version !== BACKUP_VERSION) throw new BadBackup(`form ${version} is not known to this release`)
}

export function checkFrame({ kind, crc }: FrameHeader, bytes: Uint8Array): void {
  if (crc32c(bytes, 0, bytes.length, kind) !== crc) throw new BadBackup('a checksum is wrong')
}

export function jsonBytes(value: BackupHeader | BackupTrailer): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value))
}

/**
 * Follows a file from its first frame to its last and throws BadBackup as soon as it cannot be what was written. What it
 * has answered may be used only after `end`: the digest of all rows is known then.
 */
export class BackupReading {
  readonly counts = new Map<number, number>()
  #header: BackupHeader | null = null
  #trailer: BackupTrailer | null = null
  #digest = 0
  #last: StoredRow | null = null

  header(bytes: Uint8Array): BackupHeader {
    if (this.#header !== null) throw new BadBackup('it has two headers')
    this.#header = headerOf(jsonOf(bytes))
    return this.#header
  }

  /** The rows of a page that is decompressed. They lie in `payload`. */
  page(payload: Uint8Array): readonly StoredRow[] {
    if (this.#header === null || this.#trailer !== null) throw new BadBackup('a page is out of place')
    const rows: StoredRow[] = []
    for (const { table, key, bytes } of rowsOf(payload)) {
      if (bytes === null) throw new BadBackup('a page deletes a row')
      rows.push(this.#row({ table, key, bytes }))
    }
    return rows
  }

  trailer(bytes: Uint8Array): void {
    if (this.#header === null || this.#trailer !== null) throw new BadBackup('its end is out of place')
    this.#trailer = trailerOf(jsonOf(bytes))
  }

  /** Nothing more is in the file. */
  end(): BackupHeader {
    const [header, trailer] = [this.#header, this.#trailer]
    if (header === null || trailer === null) throw new BadBackup('the file is cut short')
    const told = Object.entries(trailer.rows)
    const agrees = told.length === this.counts.size && told.every(([table, rows]) => this.counts.get(+table) === rows)
    if (!agrees) throw new BadBackup('it does not have as many rows as it says')
    if (this.#digest !== header.rowsDigest) throw new BadBackup('its rows do not have the digest that it says')
    return header
  }

  #row(row: StoredRow): StoredRow {
    const last = this.#last
    const follows = last === null || row.table > last.table || (row.table === last.table && isBefore(last.key, row.key))
    if (!follows) throw new BadBackup('its rows are out of order')
    this.#last = row
    this.#digest = changedDigest(this.#digest, rowKey(row.table, row.key), null, row.bytes)
    this.counts.set(row.table, (this.counts.get(row.table) ?? 0) + 1)
    return row
  }
}

// ---- Details ----------------------------------------------------------------------------------------------------

function rowsOf(payload: Uint8Array): readonly RowBytes[] {
  try {
    return payloadRows(payload)
  } catch (cause) {
    if (cause instanceof BadPayload) throw new BadBackup(cause.message, { cause })
    throw cause
  }
}

/** In the order of UTF-8, in which the store has them; that of UTF-16 differs beyond the basic plane. */
function isBefore(a: string, b: string): boolean {
  for (let at = 0; ; at++) {
    const [left, right] = [a.codePointAt(at), b.codePointAt(at)]
    if (left === undefined || right === undefined) return left === undefined && right !== undefined
    if (left !== right) return left < right
  }
}

function jsonOf(bytes: Uint8Array): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>
  } catch {
    // Told below, with the other case.
  }
  throw new BadBackup('its header or trailer cannot be read')
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0

function headerOf({ clusterId, position, ballot, rowsDigest, writtenAtMs, software }: Record<string, unknown>) {
  const [round, memberId] = Array.isArray(ballot) ? (ballot as unknown[]) : []
  const isWhole =
    isCount(position) && isCount(rowsDigest) && isCount(writtenAtMs) && isCount(round) && isCount(memberId)
  if (!isWhole || typeof clusterId !== 'string' || typeof software !== 'string') {
    throw new BadBackup('its header is not whole')
  }
  return { clusterId, position, ballot: [round, memberId] as const, rowsDigest, writtenAtMs, software }
}

function trailerOf({ rows }: Record<string, unknown>): BackupTrailer {
  if (typeof rows !== 'object' || rows === null || !Object.values(rows).every(isCount)) {
    throw new BadBackup('its trailer is not whole')
  }
  return { rows: rows as Record<string, number> }
}
