/**
 * One entry of the log and its record: the bytes that travel and rest. They are made and checksummed once, on the leader,
 * and stay the same on every replica; every read, send and receive checks them again. The position is inside the
 * checksum, so a record that was written to the wrong place is found too. Source: the replicated log, C1 and C11.
 *
 * Record, big-endian: magic u16, version u8, type u8, flags u16, zero u16, position u64, round u64, member id u32, payload
 * length u32, CRC-32C u32 over everything before it and the payload; then the payload.
 */
import { assert } from '../base/assert.ts'
import { type Ballot, NO_BALLOT } from './ballot.ts'
import { crc32c } from './crc.ts'

export const ENTRY_TYPES = { NOP: 1, DATA: 2, TRUNCATE: 3, CONFIG: 4, LEADER: 5, CHECKPOINT: 6 } as const
export type EntryType = keyof typeof ENTRY_TYPES

/** `record` is the whole record, `payload` the part of it after the header: the same memory, perhaps with others. */
export interface Entry {
  readonly position: number
  readonly ballot: Ballot
  readonly type: EntryType
  readonly payload: Uint8Array
  readonly crc: number
  readonly record: Uint8Array
}

export const RECORD_HEADER_BYTES = 36
export const RECORD_VERSION = 1
/** Largest payload of one position. */
export const PAYLOAD_BYTES_MAX = 1024 * 1024
const MAGIC = 0xdb10
const CRC_AT = 32
const NAMES = new Map<number, EntryType>(Object.entries(ENTRY_TYPES).map(([name, id]) => [id, name as EntryType]))

export function makeEntry(position: number, ballot: Ballot, type: EntryType, payload: Uint8Array): Entry {
  return makeEntries(position, ballot, type, [payload])[0]!
}

/** At consecutive positions. All records lie in one piece of memory: it is pieces that cost, far more than bytes. */
export function makeEntries(
  first: number,
  ballot: Ballot,
  type: EntryType,
  payloads: readonly Uint8Array[],
): readonly Entry[] {
  assert(Number.isSafeInteger(first) && first > 0, 'a position is a whole number from 1', { position: first })
  let total = 0
  for (const { length } of payloads) {
    assert(length <= PAYLOAD_BYTES_MAX, 'a payload fits one position', { bytes: length })
    total += RECORD_HEADER_BYTES + length
  }
  const bytes = new Uint8Array(total)
  const view = new DataView(bytes.buffer)
  const entries: Entry[] = []
  let at = 0
  for (const payload of payloads) {
    const position = first + entries.length
    const to = at + RECORD_HEADER_BYTES + payload.length
    view.setUint16(at, MAGIC)
    view.setUint8(at + 2, RECORD_VERSION)
    view.setUint8(at + 3, ENTRY_TYPES[type])
    setUint53(view, at + 8, position)
    setUint53(view, at + 16, ballot[0])
    view.setUint32(at + 24, ballot[1])
    view.setUint32(at + 28, payload.length)
    bytes.set(payload, at + RECORD_HEADER_BYTES)
    const crc = checksum(bytes, at, to)
    view.setUint32(at + CRC_AT, crc)
    entries.push(entryOf(bytes, at, to, { position, ballot, type, crc }))
    at = to
  }
  return entries
}

export type ReadRecord =
  | { readonly ok: true; readonly entry: Entry }
  | { readonly ok: false; readonly reason: string; readonly version?: number }

/** Reads a record that should be the one of `position`. Never throws: damage is an answer. Keeps `bytes`, no copy. */
export function readRecord(bytes: Uint8Array, position: number): ReadRecord {
  return readFrom(bytes, viewOf(bytes), 0, bytes.length, position, NO_BALLOT)
}

/** Records that follow each other in `bytes[from..to)`, up to the first one that is bad. */
export function readRecords(bytes: Uint8Array, from: number, to: number, first: number): readonly ReadRecord[] {
  const view = viewOf(bytes)
  const records: ReadRecord[] = []
  for (let at = from; at < to; ) {
    const isCut = to - at < RECORD_HEADER_BYTES
    const end = isCut ? to : Math.min(to, at + RECORD_HEADER_BYTES + view.getUint32(at + 28))
    const before = records.at(-1)
    const record = readFrom(bytes, view, at, end, first + records.length, before?.ok ? before.entry.ballot : NO_BALLOT)
    records.push(record)
    if (!record.ok) break
    at = end
  }
  return records
}

/** `before`: the ballot of the record before it, which nearly always is its own. */
function readFrom(
  bytes: Uint8Array,
  view: DataView,
  from: number,
  to: number,
  position: number,
  before: Ballot,
): ReadRecord {
  if (to - from < RECORD_HEADER_BYTES) return { ok: false, reason: `only ${to - from} bytes long` }
  if (view.getUint16(from) !== MAGIC) return { ok: false, reason: 'does not begin like a record' }
  const length = view.getUint32(from + 28)
  if (length !== to - from - RECORD_HEADER_BYTES) {
    return { ok: false, reason: `says ${length} bytes of payload and has ${to - from - RECORD_HEADER_BYTES}` }
  }
  const crc = view.getUint32(from + CRC_AT)
  if (crc !== checksum(bytes, from, to)) return { ok: false, reason: 'the checksum does not match' }
  const version = view.getUint8(from + 2)
  if (version !== RECORD_VERSION) {
    return { ok: false, version, reason: `record version ${version}; this software reads ${RECORD_VERSION}` }
  }
  const type = NAMES.get(view.getUint8(from + 3))
  if (type === undefined) {
    return { ok: false, reason: `entry type ${view.getUint8(from + 3)} is not known to this software` }
  }
  const written = getUint53(view, from + 8)
  if (written !== position) return { ok: false, reason: `is the record of position ${written}` }
  const round = getUint53(view, from + 16)
  const memberId = view.getUint32(from + 24)
  const ballot: Ballot = before[0] === round && before[1] === memberId ? before : [round, memberId]
  return { ok: true, entry: entryOf(bytes, from, to, { position, ballot, type, crc }) }
}

/** Its memory is that of `bytes`. */
function entryOf(
  { buffer, byteOffset }: Uint8Array,
  from: number,
  to: number,
  { position, ballot, type, crc }: Omit<Entry, 'payload' | 'record'>,
): Entry {
  const payload = new Uint8Array(buffer, byteOffset + from + RECORD_HEADER_BYTES, to - from - RECORD_HEADER_BYTES)
  const record = new Uint8Array(buffer, byteOffset + from, to - from)
  return { position, ballot, type, payload, crc, record }
}

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.length)

function checksum(bytes: Uint8Array, from: number, to: number): number {
  return crc32c(bytes, from + RECORD_HEADER_BYTES, to, crc32c(bytes, from, from + CRC_AT))
}

/** 8 bytes, big-endian, so that byte order is numeric order: also the key of a position in a store. */
export function setUint53(view: DataView, at: number, value: number): void {
  view.setUint32(at, Math.floor(value / 0x1_0000_0000))
  view.setUint32(at + 4, value >>> 0)
}

export function getUint53(view: DataView, at: number): number {
  return view.getUint32(at) * 0x1_0000_0000 + view.getUint32(at + 4)
}

/** What a LEADER entry says: who took over and when. */
export interface LeaderNote {
  readonly memberId: number
  readonly wallMs: number
  readonly software: string
}

/** What a TRUNCATE entry says: nobody needs positions before `to` any more. */
export interface TruncateNote {
  readonly to: number
}

/** What a CHECKPOINT entry says: the digest that the row tables have when everything up to `position` has taken effect. */
export interface CheckpointNote {
  readonly position: number
  readonly rowsDigest: number
}

export function encodeNote(note: LeaderNote | TruncateNote | CheckpointNote): Uint8Array {
  return new TextEncoder().encode(JSON.stringify({ v: 1, ...note }))
}

export function leaderNote(entry: Pick<Entry, 'payload'>): LeaderNote {
  const { memberId, wallMs, software } = noteOf<LeaderNote>(entry)
  return { memberId, wallMs, software }
}

export function truncateNote(entry: Pick<Entry, 'payload'>): TruncateNote {
  return { to: noteOf<TruncateNote>(entry).to }
}

export function checkpointNote(entry: Pick<Entry, 'payload'>): CheckpointNote {
  const { position, rowsDigest } = noteOf<CheckpointNote>(entry)
  return { position, rowsDigest }
}

function noteOf<T>({ payload }: Pick<Entry, 'payload'>): T {
  return JSON.parse(new TextDecoder().decode(payload)) as T
}
