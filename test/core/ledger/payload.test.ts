import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  BadPayload,
  batchPayload,
  encodeTransaction,
  PayloadJoiner,
  payloadPart,
  payloadRows,
  payloadTransactions,
  splitPayload,
  type TransactionBytes,
} from '../../../src/core/ledger/payload.ts'

const utf8 = fc.string({ unit: 'grapheme', maxLength: 80 })
const transactions = fc.array(
  fc.record({
    cause: fc.record(
      {
        who: utf8,
        why: utf8,
        requestId: fc.string({ unit: 'grapheme', minLength: 1, maxLength: 40 }),
        wallMs: fc.nat(),
      },
      { requiredKeys: ['who', 'why', 'wallMs'] },
    ),
    rows: fc.array(
      fc.record({
        table: fc.integer({ min: 1, max: 255 }),
        key: utf8,
        bytes: fc.option(fc.uint8Array({ maxLength: 300 }), { nil: null }),
      }),
      { maxLength: 6 },
    ),
  }),
  { maxLength: 6 },
)
const encoded = (list: readonly TransactionBytes[]): Uint8Array =>
  batchPayload(list.map(({ cause, rows }) => encodeTransaction(cause, rows)))

const golden: TransactionBytes[] = [
  {
    cause: { who: 'www-data', why: 'job create', requestId: 'r-1', wallMs: 1_700_000_000_000 },
    rows: [
      { table: 1, key: 'täsk-1', bytes: new Uint8Array([1, 2, 3]) },
      { table: 2, key: 'c', bytes: null },
    ],
  },
]

describe('payload of a position', () => {
  test('any batch of transactions: read back equal, with causes and without', () => {
    fc.assert(
      fc.property(transactions, list => {
        const payload = encoded(list)
        expect(payloadTransactions(payload)).toEqual(list)
        expect(payloadRows(payload)).toEqual(list.flatMap(({ rows }) => rows))
      }),
    )
  })

  test('thousands of transactions held at once, of every size: none overwrites another', () => {
    const list = Array.from({ length: 3_000 }, (_, i) => ({
      cause: { who: `w${i}`, why: 'grüße '.repeat(i % 7), wallMs: i },
      rows: [{ table: 1 + (i % 200), key: `k${i}`, bytes: new Uint8Array((i * 37) % 20_000).fill(i) }],
    }))
    const held = list.map(({ cause, rows }) => encodeTransaction(cause, rows))
    for (const [i, { cause, rows }] of list.entries()) {
      const [read] = payloadTransactions(batchPayload([held[i] as Uint8Array]))
      expect(read?.cause).toEqual(cause)
      expect(Buffer.compare(read?.rows[0]?.bytes ?? Buffer.alloc(0), rows[0]?.bytes ?? Buffer.alloc(0))).toBe(0)
    }
  })

  test('a transaction that is refused for its key: the next one is whole', () => {
    const row = { table: 1, key: 'k'.repeat(2_000), bytes: null }
    expect(() => encodeTransaction({ who: 'w', why: 'y', wallMs: 1 }, [row])).toThrow('row key')
    expect(payloadTransactions(encoded(golden))).toEqual(golden)
  })

  test('version 1: the bytes of a transaction are what they were when the form was fixed', () => {
    const hex =
      'db4c01010000004e' +
      '00000001' +
      '0000003e' +
      '4278bcfe56800000' +
      '00087777772d64617461' +
      '000a6a6f6220637265617465' +
      '0003722d31' +
      '00000002' +
      '0101' +
      '000774c3a4736b2d31' +
      '00000003010203' +
      '0200' +
      '000163'
    expect(Buffer.from(encoded(golden)).toString('hex')).toBe(hex)
    expect(payloadTransactions(Uint8Array.from(Buffer.from(hex, 'hex')))).toEqual(golden)
  })

  test('every truncation of a valid payload is refused', () => {
    const payload = encoded(golden)
    for (let size = 0; size < payload.length; size++) {
      expect(() => payloadRows(payload.subarray(0, size))).toThrow(BadPayload)
    }
  })

  test('bytes after the last transaction are refused', () => {
    const payload = encoded(golden)
    expect(() => payloadRows(Buffer.concat([payload, new Uint8Array(1)]))).toThrow(BadPayload)
  })

  test('random bytes, with and without a valid beginning: refused or read, never another error', () => {
    const beginning = Buffer.from('db4c0101', 'hex')
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), bytes => {
        expect(() => payloadRows(bytes)).toThrow(BadPayload)
        const total = Buffer.alloc(4)
        total.writeUInt32BE(8 + bytes.length)
        try {
          payloadRows(Buffer.concat([beginning, total, bytes]))
        } catch (error) {
          expect(error).toBeInstanceOf(BadPayload)
        }
      }),
    )
  })

  test('one changed byte in any length or header field: refused, or read as another valid payload, never a crash', () => {
    const payload = encoded(golden)
    for (let at = 0; at < payload.length; at++) {
      for (const flip of [1, 0x80, 0xff]) {
        const damaged = Uint8Array.from(payload)
        damaged[at] = (damaged[at] as number) ^ flip
        try {
          payloadTransactions(damaged)
        } catch (error) {
          expect(error).toBeInstanceOf(BadPayload)
        }
      }
    }
  })

  test('a payload of a later version is refused by its number', () => {
    const payload = encoded(golden)
    payload[2] = 2
    expect(() => payloadRows(payload)).toThrow('version 2')
  })
})

describe('a transaction in parts', () => {
  const large = encoded([
    {
      cause: { who: 'w', why: 'y', wallMs: 1 },
      rows: Array.from({ length: 50 }, (_, i) => ({ table: 1, key: `k${i}`, bytes: new Uint8Array(1_000).fill(i) })),
    },
  ])
  const parts = splitPayload(large, 7, 10_000)
  const small = encoded(golden)

  test('smaller than a part: stays one payload', () => {
    expect(splitPayload(small, 1, 10_000)).toEqual([small])
    expect(payloadPart(small)).toBeNull()
  })

  test('parts at consecutive positions: nothing before the last one, then the whole', () => {
    expect(parts.length).toBe(6)
    const joiner = new PayloadJoiner()
    const seen = parts.map((part, i) => joiner.data(10 + i, part))
    expect(seen.slice(0, -1)).toEqual([null, null, null, null, null])
    expect(Buffer.from(seen.at(-1) as Uint8Array).equals(Buffer.from(large))).toBe(true)
    expect(joiner).toMatchObject({ voided: 0, pendingFrom: null })
  })

  test('while parts are missing: says from where the log must be read again', () => {
    const joiner = new PayloadJoiner()
    joiner.data(10, parts[0] as Uint8Array)
    joiner.data(11, parts[1] as Uint8Array)
    expect(joiner.pendingFrom).toBe(10)
  })

  test('2 of 6 parts, then another leader: nothing of it takes effect, later entries do, one voided', () => {
    const joiner = new PayloadJoiner()
    joiner.data(10, parts[0] as Uint8Array)
    joiner.data(11, parts[1] as Uint8Array)
    joiner.other(12, 'LEADER')
    expect(joiner.data(13, small)).toEqual(small)
    expect(parts.slice(2).map((part, i) => joiner.data(14 + i, part))).toEqual([null, null, null, null])
    expect(joiner.voided).toBe(1 + 4)
    expect(joiner.pendingFrom).toBeNull()
  })

  test('a word about the log itself between two parts: the transaction goes on after it', () => {
    const joiner = new PayloadJoiner()
    const read = parts.map((part, i) => {
      if (i === 2) joiner.other(12, 'TRUNCATE')
      return joiner.data(i < 2 ? 10 + i : 11 + i, part)
    })
    expect(read.slice(0, -1).every(one => one === null)).toBe(true)
    expect(read.at(-1)).not.toBeNull()
    expect(joiner.voided).toBe(0)
  })

  test('an orphan part followed by a whole payload: skipped and counted', () => {
    const joiner = new PayloadJoiner()
    expect(joiner.data(5, parts[3] as Uint8Array)).toBeNull()
    expect(joiner.data(6, small)).toEqual(small)
    expect(joiner.voided).toBe(1)
  })

  test('torn, then begun again: the second one is read', () => {
    const joiner = new PayloadJoiner()
    joiner.data(1, parts[0] as Uint8Array)
    const seen = parts.map((part, i) => joiner.data(2 + i, part))
    expect(seen.at(-1)).not.toBeNull()
    expect(joiner.voided).toBe(1)
  })

  test('a flipped bit in a part: the whole is refused', () => {
    const joiner = new PayloadJoiner()
    const damaged = parts.map(part => Uint8Array.from(part))
    const last = damaged.at(-1) as Uint8Array
    last[last.length - 1] = (last.at(-1) as number) ^ 1
    expect(() => damaged.map((part, i) => joiner.data(1 + i, part))).toThrow('checksum')
  })

  test('every truncation of a part is refused', () => {
    const part = parts[0] as Uint8Array
    for (let size = 0; size < 60; size++) expect(() => payloadPart(part.subarray(0, size))).toThrow(BadPayload)
  })
})
