import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { changedDigest, rowKey } from '../../../src/core/ledger/rows-digest.ts'

interface Change {
  readonly table: number
  readonly key: string
  readonly bytes: Uint8Array | null
}
const changes = fc.array(
  fc.record({
    table: fc.integer({ min: 1, max: 3 }),
    key: fc.constantFrom('a', 'b', 'ab', 'ä', ''),
    bytes: fc.option(fc.uint8Array({ maxLength: 3 }), { nil: null }),
  }),
  { maxLength: 40 },
)

/** Keeps the digest up to date by each change. */
function kept(list: readonly Change[]): { rows: Map<string, Change>; digest: number } {
  const rows = new Map<string, Change>()
  let digest = 0
  for (const change of list) {
    const id = `${change.table}/${change.key}`
    digest = changedDigest(digest, rowKey(change.table, change.key), rows.get(id)?.bytes, change.bytes)
    if (change.bytes === null) rows.delete(id)
    else rows.set(id, change)
  }
  return { rows, digest }
}

/** Made anew from the rows that are there. */
function anew(rows: Iterable<Change>): number {
  let digest = 0
  for (const { table, key, bytes } of rows) digest = changedDigest(digest, rowKey(table, key), null, bytes)
  return digest
}

describe('the digest of the rows', () => {
  test('kept up to date by each change: equal to that of the rows that are left, in any order', () => {
    fc.assert(
      fc.property(changes, fc.infiniteStream(fc.nat()), (list, draws) => {
        const { rows, digest } = kept(list)
        const shuffled = [...rows.values()]
          .map(row => ({ row, at: draws.next().value as number }))
          .sort((a, b) => a.at - b.at)
          .map(({ row }) => row)
        expect(anew(shuffled)).toBe(digest)
        expect(digest).toBeGreaterThanOrEqual(0)
        expect(Number.isInteger(digest)).toBe(true)
      }),
    )
  })

  test('no rows: 0, also after all are gone', () => {
    const bytes = new Uint8Array([1])
    const put: Change[] = ['a', 'b'].map(key => ({ table: 1, key, bytes }))
    expect(kept([...put, ...put.map(one => ({ ...one, bytes: null }))]).digest).toBe(0)
    expect(changedDigest(0, rowKey(1, 'a'), undefined, null)).toBe(0)
  })

  test('another byte, another key, another table, two values changed for each other: another digest', () => {
    const one = new Uint8Array([1])
    const two = new Uint8Array([2])
    const of = (...list: [number, string, Uint8Array][]) =>
      anew(list.map(([table, key, bytes]) => ({ table, key, bytes })))
    const base = of([1, 'a', one], [1, 'b', two])
    const others = [
      of([1, 'a', one], [1, 'b', one]),
      of([1, 'a', one], [1, 'c', two]),
      of([1, 'a', one], [2, 'b', two]),
      of([1, 'a', two], [1, 'b', one]),
      of([1, 'a', one]),
    ]
    expect(new Set([base, ...others]).size).toBe(1 + others.length)
  })
})
