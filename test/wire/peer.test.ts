import { createHmac } from 'node:crypto'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { crc32c } from '../../src/core/log/crc.ts'
import { makeEntry } from '../../src/core/log/entry.ts'
import type { PeerMessage } from '../../src/core/log/messages.ts'
import {
  decodePeerFrame,
  encodeBatch,
  encodeControl,
  PEER_FRAME_BYTES_MAX,
  type PeerControl,
} from '../../src/wire/messages/peer.ts'
import { peerKey, peerProof } from '../../src/wire/peer-proof.ts'

const from = { memberId: 2, incarnation: 'ab12' }
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const hex = (data: Uint8Array): string => Buffer.from(data).toString('hex')
const entries = [makeEntry(8, [3, 1], 'DATA', bytes('one')), makeEntry(9, [4, 2], 'LEADER', bytes('two'))]
const last = { ballot: [3, 1] as const, position: 7 }
const voters = [
  { memberId: 1, incarnation: 'cd' },
  { memberId: 2, incarnation: 'ab12' },
]
const header = {
  id: '2-ab',
  clusterId: 'cd',
  position: 7,
  base: { ballot: [3, 1] as const, digest: 4_000_000_000 },
  rowsDigest: 12,
}
const rows = [
  { table: 3, key: 'a/c', bytes: new Uint8Array([1, 2]) },
  { table: 4, key: '', bytes: new Uint8Array(0) },
]
const all: readonly PeerMessage[] = [
  { type: 'prevote', from, ballot: [4, 2], last, voters },
  { type: 'prevoteReply', from, ballot: [4, 1], granted: true, promised: [3, 1] },
  { type: 'prepare', from, ballot: [4, 2], last, voters },
  { type: 'prepare', from, ballot: [4, 2], last, voters, releasedBallot: [3, 1] },
  { type: 'promise', from, ballot: [4, 1], last, commit: 6, begin: 1 },
  { type: 'accept', from, ballot: [4, 2], seq: 5, prev: last, entries, commit: 6, begin: 3, sentAtMs: 12.5 },
  { type: 'accept', from, ballot: [4, 2], seq: 6, prev: last, entries: [], commit: 6, begin: 3, sentAtMs: 13 },
  {
    type: 'accepted',
    from,
    ballot: [4, 1],
    seq: 5,
    matched: 9,
    sentAtMs: 12.5,
    applied: 6,
    snapshot: 5,
    freeBytes: 1e12,
  },
  {
    type: 'accepted',
    from,
    ballot: [4, 1],
    seq: 5,
    matched: 9,
    sentAtMs: 12.5,
    applied: 6,
    snapshot: 5,
    freeBytes: null,
    isLoading: true,
  },
  { type: 'nack', from, ballot: [4, 1], promised: [5, 3], reason: { type: 'BALLOT' } },
  { type: 'nack', from, ballot: [4, 1], promised: [4, 1], reason: { type: 'BEHIND', last } },
  {
    type: 'nack',
    from,
    ballot: [4, 1],
    promised: [4, 1],
    reason: { type: 'MISMATCH', next: 3 },
    seq: 9,
    sentAtMs: 1.5,
  },
  { type: 'nack', from, ballot: [4, 1], promised: [4, 1], reason: { type: 'NO_SPACE' }, seq: 9, sentAtMs: 1.5 },
  { type: 'release', from, ballot: [4, 2], commit: 6, successor: 3 },
  { type: 'fetch', from, ask: 3, position: 8, bytesMax: 1_000 },
  { type: 'entries', from, ask: 3, position: 8, entries, begin: 2, commit: 40 },
  { type: 'snapshotFetch', from, ask: 4, id: null, cursor: null, bytesMax: 1_000 },
  { type: 'snapshotFetch', from, ask: 5, id: '2-ab', cursor: { table: 3, key: 'a/b' }, bytesMax: 1_000 },
  { type: 'snapshotPage', from, ask: 5, header, cursor: { table: 3, key: 'a/b' }, rows, done: false },
  { type: 'snapshotPage', from, ask: 6, header, cursor: null, rows: [], done: true },
  { type: 'prevoteReply', from, ballot: [4, 1], granted: false, promised: [3, 1], freeInMs: 12.25 },
]

const decoded = (data: Uint8Array) => {
  const read = decodePeerFrame(data)
  if (!read.ok) throw new Error(read.reason)
  return read.frame
}
/** Bytes as hex, whatever kind of array they are. */
const plain = (value: unknown): unknown => {
  if (value instanceof Uint8Array) return hex(value)
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, plain(one)]))
}
const refused = (messages: readonly PeerMessage[], sender = from): string => {
  const read = decodePeerFrame(encodeBatch(sender, 0, messages))
  return read.ok ? 'taken' : read.reason
}

describe('batches', () => {
  test('every message comes back as it was, with the sender of the frame', () => {
    expect(plain(decoded(encodeBatch(from, 3, all)))).toEqual(
      plain({ type: 'batch', from, configVersion: 3, messages: all, unknown: 0 }),
    )
  })

  test('the bytes are these: another version of this software must read them', () => {
    const message: PeerMessage = {
      type: 'accept',
      from,
      ballot: [4, 2],
      seq: 5,
      prev: { ballot: [4, 2], position: 8 },
      entries: [makeEntry(9, [4, 2], 'DATA', bytes('x'))],
      commit: 6,
      begin: 1,
      sentAtMs: 12.5,
    }
    expect(hex(encodeBatch(from, 0, [message]))).toBe(
      '96010102a46162313200919807920402059304020806cb40290000000000002501' +
        'db10010200000000000000000000000900000000000000040000000200000001ada16f8278' +
        '000000' +
        '2123b51cb0',
    )
    expect(hex(encodeControl({ type: 'welcome' }))).toBe('93010081a474797065a777656c636f6d6500000011ae9165bd')
  })

  test('a message type of the future is counted and skipped, its neighbours are taken', () => {
    // [1, 1, 2, 'ab12', 0, [[99, 'x'], [15, [4, 2], 6]]]
    const frame = Buffer.from('96010102a46162313200929263a178930f920402060000001524efb48d', 'hex')
    expect(decoded(frame)).toMatchObject({ unknown: 1, messages: [{ type: 'release', ballot: [4, 2], commit: 6 }] })
  })
})

describe('what breaks a rule of the sender is refused', () => {
  const accept = all[5] as PeerMessage & { type: 'accept' }
  test.each<[string, PeerMessage, RegExp]>([
    ['entries with a gap', { ...accept, entries: [entries[1]!] }, /is the record of position 9/],
    ['entries out of order', { ...accept, entries: entries.toReversed() }, /is the record of position 9/],
    [
      'an entry of a newer ballot than its leader',
      { ...accept, entries: [makeEntry(8, [5, 1], 'DATA', bytes('x'))] },
      /its ballot is out of order/,
    ],
    [
      'an entry older than the one before it',
      { ...accept, entries: [makeEntry(8, [2, 1], 'DATA', bytes('x'))] },
      /its ballot is out of order/,
    ],
    ['a ballot of somebody else', { ...accept, ballot: [4, 3] }, /member 2 uses a ballot of member 3/],
    ['a negative position', { ...accept, commit: -1 }, /where a whole number belongs/],
    ['a time that is none', { ...accept, sentAtMs: Number.NaN }, /where a time belongs/],
  ])('%s', (_what, message, reason) => {
    expect(refused([message])).toMatch(reason)
  })

  test('a frame with one flipped bit, anywhere: positions and ballots are not believed either', () => {
    const whole = encodeBatch(from, 0, [{ ...accept, entries: [entries[0]!] }])
    for (let bit = 0; bit < whole.length * 8; bit++) {
      const flipped = Uint8Array.from(whole)
      flipped[bit >> 3]! ^= 1 << (bit & 7)
      expect(decodePeerFrame(flipped).ok).toBe(false)
    }
  })
})

describe('bytes that are no frame', () => {
  /** With the right checksum, so that what is behind it is tried. The first bytes are the array, the others entries. */
  const sealed = (data: Uint8Array, headLength = data.length): Uint8Array => {
    const seal = Buffer.alloc(8)
    seal.writeUInt32BE(headLength)
    seal.writeUInt32BE(crc32c(seal, 0, 4, crc32c(data, 0, headLength)), 4)
    return Buffer.concat([data, seal])
  }

  test('cut anywhere: refused', () => {
    const whole = encodeBatch(from, 0, all)
    for (let length = 0; length < whole.length; length++) {
      expect(decodePeerFrame(whole.subarray(0, length)).ok).toBe(false)
    }
  })

  test('random: never a throw, and nothing but messages that could be sent', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(200), (data, headLength) => {
        const read = decodePeerFrame(sealed(data, Math.min(headLength, data.length)))
        if (read.ok && read.frame.type === 'batch') encodeBatch(read.frame.from, 0, read.frame.messages)
      }),
      { numRuns: 5_000 },
    )
  })

  test('a whole frame with random changes: never a throw', () => {
    const whole = Buffer.from(encodeBatch(from, 0, all))
    const headLength = whole.readUInt32BE(whole.length - 8)
    fc.assert(
      fc.property(fc.nat(whole.length - 1), fc.nat(255), fc.nat(whole.length - 1), fc.nat(255), (a, x, b, y) => {
        const changed = Uint8Array.from(whole)
        changed[a] = x
        changed[b] = y
        decodePeerFrame(sealed(changed.subarray(0, -8), headLength))
      }),
      { numRuns: 5_000 },
    )
  })

  test('entries that belong to no message, and messages whose entries are not there: refused', () => {
    const heartbeat = encodeBatch(from, 0, [{ ...all[5], entries: [] } as PeerMessage]).subarray(0, -8)
    const { record } = entries[0]!
    expect(decodePeerFrame(sealed(heartbeat)).ok).toBe(true)
    expect(decodePeerFrame(sealed(Buffer.concat([heartbeat, record]), heartbeat.length))).toMatchObject({
      ok: false,
      reason: `${record.length} bytes of entries that belong to no message`,
    })
    const whole = Buffer.from(encodeBatch(from, 0, [{ ...all[5], entries: [entries[0]!] } as PeerMessage]))
    const headLength = whole.readUInt32BE(whole.length - 8)
    expect(decodePeerFrame(sealed(whole.subarray(0, headLength)))).toMatchObject({
      ok: false,
      reason: `${record.length} bytes of entries, and the frame has 0 left`,
    })
  })

  test('the largest page of rows, behind other messages in one frame: below the limit', () => {
    const row = (key: string, bytes: number) => ({ table: 2, key, bytes: new Uint8Array(bytes).fill(7) })
    const small = Array.from({ length: 8_000 }, (_, at) => row(`k${at}`, 125))
    const header = {
      id: '2-a',
      clusterId: 'ab',
      position: 9,
      base: { ballot: [1, 2], digest: 1 },
      rowsDigest: 3,
    } as const
    const page = (rows: typeof small) =>
      ({ type: 'snapshotPage', from: from, ask: 1, header, cursor: null, rows, done: false }) as const
    const frame = encodeBatch(from, 0, [page(small), page([...small, row('large', 4 * 1024 * 1024)])])
    const read = decodePeerFrame(frame)
    expect(read).toMatchObject({ ok: true })
  })

  test('over the limit: refused before it is read', () => {
    const read = decodePeerFrame(new Uint8Array(PEER_FRAME_BYTES_MAX + 1))
    expect(read).toMatchObject({ ok: false, reason: expect.stringContaining('over the limit') })
  })
})

describe('control', () => {
  const facts = {
    protocolMin: 1,
    protocolMax: 1,
    formatVersion: 1,
    memberId: 2,
    name: 'node-2',
    httpUrl: 'http://127.0.0.1:8082',
    clusterId: 'ab',
    genesisHash: 'cd',
    genesisMembers: [{ memberId: 2, name: 'node-2', address: '127.0.0.1:8083' }],
    configVersion: 0,
    configHash: null,
    descriptor: null,
    incarnation: 'ef',
    bootCounter: 1,
    status: 'STARTING' as const,
    begin: 1,
    commit: 0,
    end: 0,
    promised: [0, 0] as const,
  }

  test.each<PeerControl>([
    { type: 'hello', nonce: 'n'.repeat(32), facts },
    { type: 'proof', proof: '' },
    { type: 'welcome' },
    { type: 'refuse', code: 'GENESIS', text: 'two lists' },
    { type: 'presence', facts: { ...facts, status: 'VOTING' } },
    { type: 'shown', records: { ab12: { bootCounter: 2, promised: [3, 1], committed: 41 } } },
  ])('$type comes back as it was', control => {
    expect(decoded(encodeControl(control))).toEqual({ type: 'control', control })
  })

  test('a HELLO without a key, or with a wrong one, is refused and the key named', () => {
    const { name: _name, ...nameless } = facts
    const hello = { type: 'hello', nonce: 'n'.repeat(32), facts: nameless } as unknown as PeerControl
    expect(decodePeerFrame(encodeControl(hello))).toMatchObject({
      ok: false,
      reason: expect.stringContaining('facts.name'),
    })
  })
})

test('proofs: a direction, a nonce or a secret that differs gives another; without a secret there is none', () => {
  const hmac = (key: Uint8Array | string, text: string) => createHmac('sha256', key).update(text).digest('hex')
  const key = peerKey(hmac, 'a secret of this cluster')
  const nonces = { dialer: 'd', acceptor: 'a' }
  const proofs = [
    peerProof(hmac, key, 'dialer', nonces),
    peerProof(hmac, key, 'acceptor', nonces),
    peerProof(hmac, key, 'dialer', { ...nonces, acceptor: 'b' }),
    peerProof(hmac, key, 'dialer', { ...nonces, dialer: 'b' }),
    peerProof(hmac, peerKey(hmac, 'another secret'), 'dialer', nonces),
    peerProof(hmac, hmac('a secret of this cluster', 'agent'), 'dialer', nonces),
  ]
  expect(new Set(proofs).size).toBe(proofs.length)
  expect(peerProof(hmac, peerKey(hmac, ''), 'dialer', nonces)).toBe('')
})
