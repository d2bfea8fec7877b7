/**
 * What travels between scheduler nodes: path `/log/v1`, subprotocol `daybreak.log.v1`. One WebSocket binary message is a
 * frame: a msgpack array, the entries of its messages, the length of the array and the CRC-32C of array and length,
 * because a position or a ballot that changed on the way must not be believed, and neither the checksum of TCP nor those
 * of the records would tell. A control frame `[1, 0, object]` opens a
 * connection (HELLO, PROOF, then WELCOME or REFUSE) and later tells of changes (PRESENCE) and of what disks have shown
 * (SHOWN). A batch `[1, 1, memberId, incarnation, configVersion, messages]` carries messages of the log, whose sender is
 * named once for all of them.
 *
 * Messages of the log are arrays by position, `[number, field, …]`: no keys travel, a connection keeps no state to learn
 * or lose, and checking them by hand costs next to nothing, which matters for ACCEPT. Of its entries it holds the size;
 * they lie behind the array (`peer-entries.ts`), and their own checksums are looked at here. Message numbers: the replicated log, C3.
 *
 * Bytes become values once, here, or they do not enter; a batch that breaks a rule of the sender (entries that do not
 * follow each other, a ballot of somebody else) is refused, because the replica takes those rules for granted. Message
 * types that are not known are counted and skipped.
 */
import { Packr, Unpackr } from 'msgpackr'
import { z } from 'zod'
import { type Ballot, type LogEnd, NO_BALLOT } from '../../core/log/ballot.ts'
import { crc32c } from '../../core/log/crc.ts'
import type { PeerFacts, PeerRecord, RefusalCode } from '../../core/log/handshake.ts'
import type { NackReason, PeerMessage, Sender } from '../../core/log/messages.ts'
import type { RowCursor, SnapshotHeader, StoredRow } from '../../core/log/snapshot.ts'
import { EntriesIn, EntriesOut } from './peer-entries.ts'

export const PEER_PATH = '/log/v1'
export const PEER_SUBPROTOCOL = 'daybreak.log.v1'
/**
 * A batch of entries is cut at 1 MiB and may be exceeded by one entry of that size; a page of rows by one row, which the
 * largest request of a client makes nearly 4 MiB large. What cannot be sent would keep a member away for ever.
 */
export const PEER_FRAME_BYTES_MAX = 8 * 1024 * 1024
/** Before the proof nobody may send more than this. */
export const HANDSHAKE_BYTES_MAX = 64 * 1024
/** A frame is closed when its entries reach this. */
export const PEER_FRAME_BYTES_AIM = 1024 * 1024
const FRAME_VERSION = 1
const CONTROL = 0
const BATCH = 1
/** How long the array is, and the checksum. */
const SEAL_BYTES = 8
const MESSAGES_MAX = 10_000
const VOTERS_MAX = 16
const RECORDS_MAX = 64
const ROWS_MAX = 16_384
const KEY_CHARS_MAX = 4_096

export const PEER_CLOSE = { goingAway: 1001, badFrame: 1007, refused: 4403, replaced: 4408 } as const

// ---- control ----------------------------------------------------------------------------------------------------------

const id = z.string().min(1).max(255)
const count = z.number().int().nonnegative().max(Number.MAX_SAFE_INTEGER)
const hex = z.string().regex(/^[0-9a-f]{1,64}$/)
const ballot = z.tuple([count, count])
const status = z.enum(['EMPTY', 'STARTING', 'RECOVERING', 'VOTING'])
const listed = z.object({ memberId: count, name: id, address: id })
const descriptor = z.object({
  formatVersion: z.literal(1),
  clusterId: hex,
  genesisHash: hex,
  configVersion: count,
  members: z
    .array(listed.extend({ incarnation: hex, role: z.enum(['VOTER', 'LEARNER']) }))
    .min(1)
    .max(VOTERS_MAX),
  quorum: count,
  autoReplace: z.boolean(),
})
const facts = z.object({
  protocolMin: count,
  protocolMax: count,
  formatVersion: count,
  memberId: count,
  name: id,
  httpUrl: z.string().max(1024),
  clusterId: hex.nullable(),
  genesisHash: hex.nullable(),
  genesisMembers: z.array(listed).max(VOTERS_MAX),
  configVersion: count,
  configHash: hex.nullable(),
  descriptor: descriptor.nullable(),
  incarnation: hex.nullable(),
  bootCounter: count,
  status,
  begin: count,
  commit: count,
  end: count,
  promised: ballot,
}) satisfies z.ZodType<PeerFacts>
const codes = [
  'AUTH',
  'VERSION',
  'CLUSTER_ID',
  'GENESIS',
  'CONFIG_CONFLICT',
  'NOT_MEMBER',
  'UNKNOWN_MEMBER',
  'INCARNATION',
  'ROLLED_BACK',
] as const satisfies readonly RefusalCode[]

export type PeerControl =
  | { readonly type: 'hello'; readonly nonce: string; readonly facts: PeerFacts }
  | { readonly type: 'proof'; readonly proof: string }
  | { readonly type: 'welcome' }
  | { readonly type: 'refuse'; readonly code: RefusalCode; readonly text: string }
  | { readonly type: 'presence'; readonly facts: PeerFacts }
  /** What disks have shown to the sender, by incarnation. */
  | { readonly type: 'shown'; readonly records: Readonly<Record<string, PeerRecord>> }

const control = z.discriminatedUnion('type', [
  z.object({ type: z.literal('hello'), nonce: z.string().min(16).max(128), facts }),
  z.object({ type: z.literal('proof'), proof: z.string().max(128) }),
  z.object({ type: z.literal('welcome') }),
  z.object({ type: z.literal('refuse'), code: z.enum(codes), text: z.string().max(8192) }),
  z.object({ type: z.literal('presence'), facts }),
  z.object({
    type: z.literal('shown'),
    records: z
      .record(hex, z.object({ bootCounter: count, promised: ballot, committed: count }))
      .refine(records => Object.keys(records).length <= RECORDS_MAX),
  }),
]) satisfies z.ZodType<PeerControl>

// ---- frames -----------------------------------------------------------------------------------------------------------

export type PeerFrame =
  | { readonly type: 'control'; readonly control: PeerControl }
  | {
      readonly type: 'batch'
      readonly from: Sender
      readonly configVersion: number
      readonly messages: readonly PeerMessage[]
      /** Messages of types this side does not know. */
      readonly unknown: number
    }
export type DecodedPeerFrame =
  | { readonly ok: true; readonly frame: PeerFrame }
  | { readonly ok: false; readonly reason: string }

const packr = new Packr({ useRecords: false, variableMapSize: true })
const unpackr = new Unpackr({ useRecords: false, int64AsType: 'number' })

export function encodeControl(message: PeerControl): Uint8Array {
  return pack([FRAME_VERSION, CONTROL, message], new EntriesOut())
}

/** All messages are of `from`: a node speaks for itself only. */
export function encodeBatch(from: Sender, configVersion: number, messages: readonly PeerMessage[]): Uint8Array {
  const entries = new EntriesOut()
  const fields = messages.map(message => fieldsOf(message, entries))
  return pack([FRAME_VERSION, BATCH, from.memberId, from.incarnation, configVersion, fields], entries)
}

export function decodePeerFrame(bytes: Uint8Array): DecodedPeerFrame {
  if (bytes.length > PEER_FRAME_BYTES_MAX) {
    return { ok: false, reason: `a frame of ${bytes.length} bytes is over the limit of ${PEER_FRAME_BYTES_MAX}` }
  }
  const head = headOf(bytes)
  if (head === null) return { ok: false, reason: 'the checksum of the frame does not match' }
  try {
    const entries = new EntriesIn(bytes, head.length, bytes.length - SEAL_BYTES)
    const frame = frameOf(unpackr.unpack(head), entries)
    if (entries.left > 0) throw new Error(`${entries.left} bytes of entries that belong to no message`)
    return { ok: true, frame }
  } catch (cause) {
    // Whatever the bytes made the unpacker or a check say: they are refused, and the connection with them.
    return { ok: false, reason: cause instanceof Error ? cause.message : String(cause) }
  }
}

/** How much a message adds to a frame, roughly. */
export function messageBytes(message: PeerMessage): number {
  let bytes = 64
  if (message.type === 'accept' || message.type === 'entries') {
    for (const entry of message.entries) bytes += entry.record.length + 5
  } else if (message.type === 'snapshotPage') {
    for (const row of message.rows) bytes += row.key.length + row.bytes.length + 12
  }
  return bytes
}

function pack(value: unknown, entries: EntriesOut): Uint8Array {
  // The packer's buffer is its own and may be written again before the socket has sent it.
  const head = packr.pack(value)
  const frame = new Uint8Array(head.length + entries.bytes + SEAL_BYTES)
  frame.set(head)
  entries.writeTo(frame, head.length)
  const sealAt = frame.length - SEAL_BYTES
  const view = new DataView(frame.buffer, sealAt)
  view.setUint32(0, head.length)
  view.setUint32(4, checksumOf(frame, head.length, sealAt))
  return frame
}

/** The array of a frame whose checksum is right. */
function headOf(bytes: Uint8Array): Uint8Array | null {
  const sealAt = bytes.length - SEAL_BYTES
  if (sealAt < 0) return null
  const view = new DataView(bytes.buffer, bytes.byteOffset + sealAt, SEAL_BYTES)
  const length = view.getUint32(0)
  return length <= sealAt && view.getUint32(4) === checksumOf(bytes, length, sealAt) ? bytes.subarray(0, length) : null
}

function checksumOf(bytes: Uint8Array, headLength: number, sealAt: number): number {
  return crc32c(bytes, sealAt, sealAt + 4, crc32c(bytes, 0, headLength))
}

function frameOf(value: unknown, entries: EntriesIn): PeerFrame {
  const [version, kind, ...rest] = listOf(value, 'a frame')
  if (version !== FRAME_VERSION) throw new Error(`frame version ${String(version)} is not known to this software`)
  if (kind === CONTROL) {
    const read = control.safeParse(rest[0])
    if (read.success) return { type: 'control', control: read.data }
    const issue = read.error.issues[0]
    throw new Error(`${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'not a control message'}`)
  }
  if (kind !== BATCH) throw new Error('neither a control frame nor a batch')
  const [memberId, incarnation, configVersion, list] = rest
  const from: Sender = { memberId: countOf(memberId), incarnation: textOf(incarnation) }
  const messages: PeerMessage[] = []
  let unknown = 0
  const all = listOf(list, 'the messages of a batch')
  if (all.length > MESSAGES_MAX) throw new Error(`${all.length} messages in one frame`)
  for (const one of all) {
    const message = messageOf(listOf(one, 'a message'), from, entries)
    if (message === null) unknown++
    else messages.push(message)
  }
  return { type: 'batch', from, configVersion: countOf(configVersion), messages, unknown }
}

// ---- messages of the log ----------------------------------------------------------------------------------------------

const NUMBERS = {
  prevote: 3,
  prevoteReply: 4,
  prepare: 5,
  promise: 6,
  accept: 7,
  accepted: 8,
  nack: 9,
  fetch: 10,
  entries: 11,
  snapshotFetch: 12,
  snapshotPage: 13,
  release: 15,
} as const satisfies Record<PeerMessage['type'], number>
const REASONS = ['BALLOT', 'LEASE', 'BEHIND', 'MISMATCH', 'NOT_VOTING', 'NO_SPACE', 'CORRUPT'] as const

function fieldsOf(message: PeerMessage, entries: EntriesOut): readonly unknown[] {
  const number = NUMBERS[message.type]
  switch (message.type) {
    case 'prevote':
      return [number, message.ballot, endFields(message.last), voterFields(message.voters)]
    case 'prevoteReply':
      return [number, message.ballot, message.granted, message.promised, message.freeInMs ?? null]
    case 'prepare':
      return [
        number,
        message.ballot,
        endFields(message.last),
        voterFields(message.voters),
        message.releasedBallot ?? null,
      ]
    case 'promise':
      return [number, message.ballot, endFields(message.last), message.commit, message.begin]
    case 'accept':
      return [
        number,
        message.ballot,
        message.seq,
        endFields(message.prev),
        message.commit,
        message.sentAtMs,
        entries.add(message.entries),
        message.begin,
      ]
    case 'accepted': {
      const { ballot: accepted, seq, matched, sentAtMs, applied, snapshot, freeBytes, isLoading } = message
      const fields = [number, accepted, seq, matched, sentAtMs, applied, snapshot, freeBytes]
      return isLoading === true ? [...fields, true] : fields
    }
    case 'nack': {
      const { ballot: refused, promised, reason, seq = null, sentAtMs = null } = message
      const detail = reason.type === 'BEHIND' ? endFields(reason.last) : reason.type === 'MISMATCH' ? reason.next : null
      return [number, refused, promised, REASONS.indexOf(reason.type), detail, seq, sentAtMs]
    }
    case 'release':
      return [number, message.ballot, message.commit, message.successor]
    case 'fetch':
      return [number, message.ask, message.position, message.bytesMax]
    case 'entries':
      return [number, message.ask, message.position, entries.add(message.entries), message.begin, message.commit]
    case 'snapshotFetch':
      return [number, message.ask, message.id, cursorFields(message.cursor), message.bytesMax]
    case 'snapshotPage':
      return [
        number,
        message.ask,
        headerFields(message.header),
        cursorFields(message.cursor),
        message.rows.map(({ table, key, bytes }) => [table, key, bytes]),
        message.done,
      ]
  }
}

function messageOf(fields: readonly unknown[], from: Sender, entries: EntriesIn): PeerMessage | null {
  const [number, a, b, c, d, e, f, g, h] = fields
  switch (number) {
    case NUMBERS.prevote:
      return { type: 'prevote', from, ballot: ballotBy(a, from), last: endOf(b), voters: votersOf(c) }
    case NUMBERS.prevoteReply: {
      const reply = {
        type: 'prevoteReply',
        from,
        ballot: ballotOf(a),
        granted: b === true,
        promised: ballotOf(c),
      } as const
      // Earlier versions say nothing of it.
      return d === null || d === undefined ? reply : { ...reply, freeInMs: msOf(d) }
    }
    case NUMBERS.prepare: {
      const prepare = { type: 'prepare', from, ballot: ballotBy(a, from), last: endOf(b), voters: votersOf(c) } as const
      return d === null || d === undefined ? prepare : { ...prepare, releasedBallot: ballotOf(d) }
    }
    case NUMBERS.promise:
      return { type: 'promise', from, ballot: ballotOf(a), last: endOf(b), commit: countOf(c), begin: countOf(d) }
    case NUMBERS.accept: {
      const leads = ballotBy(a, from)
      const prev = endOf(c)
      return {
        type: 'accept',
        from,
        ballot: leads,
        seq: countOf(b),
        prev,
        entries: entries.take(countOf(f), prev, leads),
        commit: countOf(d),
        begin: countOf(g),
        sentAtMs: msOf(e),
      }
    }
    case NUMBERS.accepted:
      return {
        type: 'accepted',
        from,
        ballot: ballotOf(a),
        seq: countOf(b),
        matched: countOf(c),
        sentAtMs: msOf(d),
        applied: countOf(e),
        snapshot: countOf(f),
        freeBytes: countOrNull(g),
        ...(h === true ? { isLoading: true } : {}),
      }
    case NUMBERS.nack:
      return {
        type: 'nack',
        from,
        ballot: ballotOf(a),
        promised: ballotOf(b),
        reason: reasonOf(c, d),
        ...(e === null ? {} : { seq: countOf(e) }),
        ...(f === null ? {} : { sentAtMs: msOf(f) }),
      }
    case NUMBERS.release:
      return { type: 'release', from, ballot: ballotBy(a, from), commit: countOf(b), successor: countOrNull(c) }
    case NUMBERS.fetch:
      return { type: 'fetch', from, ask: countOf(a), position: countOf(b), bytesMax: countOf(c) }
    case NUMBERS.entries: {
      const position = countOf(b)
      const taken = entries.take(countOf(c), { ballot: NO_BALLOT, position: position - 1 }, null)
      return {
        type: 'entries',
        from,
        ask: countOf(a),
        position,
        entries: taken,
        begin: countOf(d),
        commit: countOf(e),
      }
    }
    case NUMBERS.snapshotFetch: {
      const snapshotId = b === null ? null : textOf(b)
      return { type: 'snapshotFetch', from, ask: countOf(a), id: snapshotId, cursor: cursorOf(c), bytesMax: countOf(d) }
    }
    case NUMBERS.snapshotPage: {
      const header = headerOf(b)
      return {
        type: 'snapshotPage',
        from,
        ask: countOf(a),
        header,
        cursor: cursorOf(c),
        rows: rowsOf(d),
        done: e === true,
      }
    }
    default:
      countOf(number)
      return null
  }
}

const cursorFields = (cursor: RowCursor | null) => (cursor === null ? null : [cursor.table, cursor.key])
const headerFields = ({ id: name, clusterId, position, base, rowsDigest }: SnapshotHeader) => [
  name,
  clusterId,
  position,
  base.ballot,
  base.digest,
  rowsDigest,
]

function cursorOf(value: unknown): RowCursor | null {
  if (value === null) return null
  const [table, key] = listOf(value, 'a cursor')
  return { table: tableOf(table), key: keyOf(key) }
}

function headerOf(value: unknown): SnapshotHeader {
  const [name, clusterId, position, baseBallot, digest, rowsDigest] = listOf(value, 'the header of a snapshot')
  return {
    id: textOf(name),
    clusterId: textOf(clusterId),
    position: countOf(position),
    base: { ballot: ballotOf(baseBallot), digest: countOf(digest) },
    rowsDigest: countOf(rowsDigest),
  }
}

function rowsOf(value: unknown): readonly StoredRow[] {
  const list = listOf(value, 'the rows of a snapshot')
  if (list.length > ROWS_MAX) throw new Error(`${list.length} rows in one message`)
  return list.map(one => {
    const [table, key, bytes] = listOf(one, 'a row')
    if (!(bytes instanceof Uint8Array)) throw new Error('a row is not bytes')
    return { table: tableOf(table), key: keyOf(key), bytes }
  })
}

function tableOf(value: unknown): number {
  const table = countOf(value)
  if (table > 255) throw new Error(`there is no table ${table}`)
  return table
}

function keyOf(value: unknown): string {
  if (typeof value !== 'string' || value.length > KEY_CHARS_MAX) throw new Error('a key is a text')
  return value
}

function reasonOf(value: unknown, detail: unknown): NackReason {
  const type = REASONS[countOf(value)]
  if (type === undefined) throw new Error(`reason ${String(value)} of a NACK is not known`)
  if (type === 'BEHIND') return { type, last: endOf(detail) }
  if (type === 'MISMATCH') return { type, next: countOf(detail) }
  return { type }
}

const endFields = ({ ballot: [round, memberId], position }: LogEnd) => [round, memberId, position]
const voterFields = (voters: readonly Sender[]) => voters.map(({ memberId, incarnation }) => [memberId, incarnation])

function votersOf(value: unknown): readonly Sender[] {
  const list = listOf(value, 'the voters')
  if (list.length > VOTERS_MAX) throw new Error(`${list.length} voters`)
  return list.map(one => {
    const [memberId, incarnation] = listOf(one, 'a voter')
    return { memberId: countOf(memberId), incarnation: textOf(incarnation) }
  })
}

function endOf(value: unknown): LogEnd {
  const [round, memberId, position] = listOf(value, 'the end of a log')
  return { ballot: [countOf(round), countOf(memberId)], position: countOf(position) }
}

function ballotOf(value: unknown): Ballot {
  const [round, memberId] = listOf(value, 'a ballot')
  return [countOf(round), countOf(memberId)]
}

/** A ballot that the sender itself claims. */
function ballotBy(value: unknown, from: Sender): Ballot {
  const claimed = ballotOf(value)
  if (claimed[1] !== from.memberId) throw new Error(`member ${from.memberId} uses a ballot of member ${claimed[1]}`)
  return claimed
}

function listOf(value: unknown, what: string): readonly unknown[] {
  if (!Array.isArray(value)) throw new Error(`${what} is not a list`)
  return value
}

function countOf(value: unknown): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value
  throw new Error(`${typeof value} where a whole number belongs`)
}

/** Null also where an older version says nothing. */
const countOrNull = (value: unknown): number | null => (value === undefined || value === null ? null : countOf(value))

function msOf(value: unknown): number {
  if (typeof value === 'number' && Number.isFinite(value)) return value
  throw new Error(`${typeof value} where a time belongs`)
}

function textOf(value: unknown): string {
  if (typeof value === 'string' && value.length > 0 && value.length <= 64) return value
  throw new Error(`${typeof value} where a name belongs`)
}
