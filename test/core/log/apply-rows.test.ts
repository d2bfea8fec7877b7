import { describe, expect, test } from 'vitest'
import { batchPayload, encodeTransaction, type RowBytes } from '../../../src/core/ledger/payload.ts'
import { Applier } from '../../../src/core/log/apply.ts'
import { makeEntry } from '../../../src/core/log/entry.ts'
import { NO_BASE } from '../../../src/core/log/meta.ts'

const row = (table: number, key: string, value: number | null): RowBytes => ({
  table,
  key,
  bytes: value === null ? null : Uint8Array.of(value),
})

function applied(...transactions: readonly (readonly RowBytes[])[]): Record<string, number | null> {
  const entries = transactions.map((rows, at) =>
    makeEntry(at + 1, [1, 1], 'DATA', batchPayload([encodeTransaction({ who: 'test', why: '', wallMs: 0 }, rows)])),
  )
  const { rows } = new Applier(NO_BASE).apply(entries)
  expect(new Set(rows.map(({ table, key }) => `${table}/${key}`)).size).toBe(rows.length)
  return Object.fromEntries(rows.map(({ table, key, bytes }) => [`${table}/${key}`, bytes?.[0] ?? null]))
}

describe('applying several entries', () => {
  test('a row changed by several of them: only what the last one left', () => {
    expect(applied([row(1, 'a', 1), row(1, 'b', 1)], [row(1, 'a', 2)], [row(1, 'a', 3), row(1, 'c', 1)])).toEqual({
      '1/a': 3,
      '1/b': 1,
      '1/c': 1,
    })
  })

  test('deleted and put again, put and deleted, twice within one transaction: the last change of each', () => {
    expect(applied([row(1, 'a', 1), row(1, 'a', null)], [row(1, 'b', null)], [row(1, 'b', 2)])).toEqual({
      '1/a': null,
      '1/b': 2,
    })
  })

  test('one key in two tables: two rows', () => {
    expect(applied([row(1, 'a', 1)], [row(2, 'a', 2)])).toEqual({ '1/a': 1, '2/a': 2 })
  })
})
