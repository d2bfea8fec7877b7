import { expect, test } from 'vitest'
import { batchesOf, pauseMs, RECONCILIATION_SETTINGS } from '../../../src/core/agents/reconcile-schedule.ts'

test('batches hold every item once, in order; nothing makes no batch', () => {
  expect(batchesOf([1, 2, 3, 4, 5], 2)).toEqual([[1, 2], [3, 4], [5]])
  expect(batchesOf([], 2)).toEqual([])
})

test('an implicit run over many agents is done in half its interval', () => {
  expect(pauseMs('implicit', 10, RECONCILIATION_SETTINGS)).toBe(5_000)
  const pause = pauseMs('implicit', 5_000, RECONCILIATION_SETTINGS)
  expect(pause * 5_000).toBeLessThanOrEqual(30 * 60_000)
  expect(pause).toBeGreaterThan(0)
})
