import { describe, expect, test } from 'vitest'
import {
  expiredRequests,
  REQUEST_KEPT_MS_MAX,
  REQUEST_KEPT_MS_MIN,
  REQUESTS_MAX,
  requestChange,
  requestOutcome,
} from '../../../src/core/ledger/request-outcomes.ts'
import type { RequestRow } from '../../../src/core/ledger/rows.ts'
import { Tables } from '../../../src/core/ledger/tables.ts'

const request = (id: number, atMs: number): RequestRow => ({
  v: 1,
  requestId: `r${String(id).padStart(7, '0')}`,
  fingerprint: 'f',
  outcome: null,
  atMs,
})
const keys = (changes: readonly { key: string }[]): string[] => changes.map(change => change.key)

describe('request outcomes', () => {
  test('a new id: to be done; the same request again: the first answer; another request under it: refused', () => {
    const tables = new Tables()
    expect(requestOutcome(tables, 'r', 'f')).toEqual({ type: 'new' })
    tables.apply([requestChange('r', 'f', { instances: [0] }, 5)])
    expect(requestOutcome(tables, 'r', 'f')).toEqual({ type: 'done', outcome: { instances: [0] } })
    const other = requestOutcome(tables, 'r', 'g')
    expect(other).toMatchObject({ type: 'conflict', rejection: { code: 'INVALID_REQUEST' } })
  })

  test('24 hours old: dropped; a millisecond less: kept', () => {
    const rows = [request(1, 0), request(2, 1)]
    expect(keys(expiredRequests(rows, REQUEST_KEPT_MS_MAX - 1))).toEqual([])
    expect(keys(expiredRequests(rows, REQUEST_KEPT_MS_MAX))).toEqual(['r0000001'])
  })

  test('more than 100,000: the oldest go, but none younger than 10 minutes', () => {
    const rows = Array.from({ length: REQUESTS_MAX + 3 }, (_, i) => request(i, i < 2 ? 0 : 1_000))
    expect(keys(expiredRequests(rows, REQUEST_KEPT_MS_MIN - 1))).toEqual([])
    expect(keys(expiredRequests(rows, REQUEST_KEPT_MS_MIN))).toEqual(['r0000000', 'r0000001'])
    expect(keys(expiredRequests(rows, REQUEST_KEPT_MS_MIN + 1_000))).toEqual(['r0000000', 'r0000001', 'r0000002'])
  })

  test('many to drop: at most so many in one transaction, the oldest first', () => {
    const rows = Array.from({ length: 10 }, (_, i) => request(9 - i, 9 - i))
    const changes = expiredRequests(rows, REQUEST_KEPT_MS_MAX + 100, { changesMax: 3 })
    expect(keys(changes)).toEqual(['r0000000', 'r0000001', 'r0000002'])
  })
})
