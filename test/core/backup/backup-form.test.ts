import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  BackupReading,
  BadBackup,
  checkFrame,
  checkMagic,
  FRAME,
  FRAME_HEADER_BYTES,
  frameHeader,
  jsonBytes,
  MAGIC,
  readFrameHeader,
} from '../../../src/core/backup/backup-form.ts'
import { batchPayload, encodeTransaction, splitPayload } from '../../../src/core/ledger/payload.ts'
import { changedDigest, rowKey } from '../../../src/core/ledger/rows-digest.ts'
import { Applier } from '../../../src/core/log/apply.ts'
import { makeEntry } from '../../../src/core/log/entry.ts'
import { NO_BASE } from '../../../src/core/log/meta.ts'
import type { StoredRow } from '../../../src/core/log/snapshot.ts'

const row = (table: number, key: string, ...bytes: number[]): StoredRow => ({
  table,
  key,
  bytes: Uint8Array.from(bytes),
})
const ROWS = [row(1, 'a', 1, 2), row(1, 'b', 3), row(2, 'a', 4), row(7, 'é', 5), row(7, '\u{1f600}', 6)]
const CAUSE = { who: 'backup', why: 'page', wallMs: 0 }
const payloadOf = (rows: readonly StoredRow[]): Uint8Array => batchPayload([encodeTransaction(CAUSE, rows)])
const headerOf = (rows: readonly StoredRow[]) => ({
  clusterId: 'c',
  position: 9,
  ballot: [1, 1] as const,
  rowsDigest: rows.reduce((sum, one) => changedDigest(sum, rowKey(one.table, one.key), null, one.bytes), 0),
  writtenAtMs: 1_000,
  software: '0.1.0',
})

/** Reads pages between a header and a trailer that may say something else. */
function read(pages: readonly Uint8Array[], said: { header?: object; trailer?: object } = {}): readonly StoredRow[] {
  const reading = new BackupReading()
  reading.header(jsonBytes({ ...headerOf(ROWS), ...said.header }))
  const rows = pages.flatMap(page => reading.page(page))
  reading.trailer(jsonBytes({ rows: { 1: 2, 2: 1, 7: 2 }, ...said.trailer }))
  reading.end()
  return rows
}

test('rows in pages of any size: read back as they were', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 5 }), fc.integer({ min: 0, max: 5 }), (a, b) => {
      const [from, to] = [Math.min(a, b), Math.max(a, b)]
      const pages = [ROWS.slice(0, from), ROWS.slice(from, to), ROWS.slice(to)].map(payloadOf)
      expect(read(pages)).toEqual(ROWS)
    }),
  )
})

test.each([
  ['a page is missing', () => read([payloadOf(ROWS.slice(2))])],
  ['a page comes twice', () => read([payloadOf(ROWS), payloadOf(ROWS)])],
  ['pages have changed places', () => read([payloadOf(ROWS.slice(2)), payloadOf(ROWS.slice(0, 2))])],
  ['a row is another one', () => read([payloadOf([row(1, 'a', 9, 9), ...ROWS.slice(1)])])],
  ['a page deletes', () => read([batchPayload([encodeTransaction(CAUSE, [{ table: 1, key: 'a', bytes: null }])])])],
  ['a page is no payload', () => read([Uint8Array.of(1, 2, 3)])],
  ['the digest is that of others', () => read([payloadOf(ROWS)], { header: { rowsDigest: 7 } })],
  ['the counts are those of others', () => read([payloadOf(ROWS)], { trailer: { rows: { 1: 5 } } })],
  ['the header lacks a field', () => read([payloadOf(ROWS)], { header: { clusterId: undefined } })],
  ['there is no trailer', () => new BackupReading().end()],
])('%s: no backup', (_, work) => {
  expect(work).toThrow(BadBackup)
})

test('a frame of which any bit has flipped, or which says more than the file has: refused', () => {
  const bytes = payloadOf(ROWS)
  const header = frameHeader(FRAME.page, bytes)
  checkFrame(readFrameHeader(header, bytes.length), bytes)
  for (let bit = 0; bit < (header.length + bytes.length) * 8; bit++) {
    const [a, b] = [Uint8Array.from(header), Uint8Array.from(bytes)]
    const at = bit >> 3
    if (at < a.length) a[at]! ^= 1 << (bit & 7)
    else b[at - a.length]! ^= 1 << (bit & 7)
    expect(() => {
      const read = readFrameHeader(a, b.length)
      checkFrame(read, b.subarray(0, read.length))
    }, `bit ${bit}`).toThrow(BadBackup)
  }
  expect(header.length).toBe(FRAME_HEADER_BYTES)
})

test('another magic, or the form of a later release: refused by name', () => {
  checkMagic(MAGIC)
  expect(() => checkMagic(new Uint8Array(8))).toThrow('no backup of Daybreak')
  expect(() => checkMagic(Uint8Array.of(...MAGIC.subarray(0, 7), 2))).toThrow('form 2 is not known')
})

test('form 1: the bytes of a frame are what they were when the form was fixed', () => {
  expect(Buffer.from(MAGIC).toString('hex')).toBe('44415942524b4201')
  expect(Buffer.from(frameHeader(FRAME.header, Uint8Array.of(1, 2, 3))).toString('hex')).toBe('010000000354716060')
})

test('a restore that is larger than a position, cut off by a new leader after any of its parts: all of it or nothing', () => {
  const rows = Array.from({ length: 40 }, (_, n) => ({ table: 1, key: `t${n}`, bytes: new Uint8Array(50_000).fill(n) }))
  const parts = splitPayload(payloadOf(rows), 1)
  expect(parts.length).toBeGreaterThan(3)
  for (let kept = 0; kept <= parts.length; kept++) {
    const entries = parts.slice(0, kept).map((part, n) => makeEntry(n + 1, [1, 1], 'DATA', part))
    const applier = new Applier(NO_BASE)
    const before = applier.apply(entries).rows.length
    const after = applier.apply([makeEntry(kept + 1, [2, 2], 'LEADER', new Uint8Array(0))]).rows.length
    expect(before + after).toBe(kept === parts.length ? rows.length : 0)
  }
})
