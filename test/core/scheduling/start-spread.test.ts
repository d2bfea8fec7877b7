import { expect, test } from 'vitest'
import { startSpreadMs } from '../../../src/core/scheduling/start-spread.ts'

test.each([
  [100, 1_000, 30_000],
  [500, 80_000, 30_000],
  [1, 3, 90],
  [1, 4_000, 300],
  [10, 10, 300],
  [50, 10_000, 15_000],
  [200, 500, 15_000],
  [0, 0, 0],
])('%i groups of %i tasks in all, full spread 30 s: %i ms', (groups, tasks, spreadMs) => {
  expect(startSpreadMs(groups, tasks, 30_000)).toBe(spreadMs)
})

test('no spread configured: none, however many', () => {
  expect(startSpreadMs(1_000, 100_000, 0)).toBe(0)
})
