import { expect, test } from 'vitest'
import { RowHashes } from '../../../src/core/ledger/row-hashes.ts'

test('more rows than it has room for: what it knows is right, what it has forgotten it does not know', () => {
  const hashes = new RowHashes()
  const known = (): number => {
    let count = 0
    for (let at = 0; at < 150_000; at++) {
      const hash = hashes.get(1 + (at % 3), `k${at}`)
      if (hash === undefined) continue
      expect(hash).toBe(at)
      count++
    }
    return count
  }
  for (let at = 0; at < 150_000; at++) {
    hashes.set(1 + (at % 3), `k${at}`, at)
    hashes.set(1 + (at % 3), `k${at}`, at)
  }
  expect(hashes.get(1, 'k1')).toBeUndefined()
  expect(known()).toBeGreaterThan(0)
  expect(known()).toBeLessThanOrEqual(65_536)
})
