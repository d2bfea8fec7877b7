import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { LOOK_GRID_MS, SharedMoments, untilGridMs } from '../../../src/runtime/agent/shared-moments.ts'

beforeEach(() => {
  vi.useFakeTimers({ now: 0 })
})
afterEach(() => {
  vi.useRealTimers()
})

test('a moment of the grid is a multiple of it, at least so far away', () => {
  for (const [after, now] of [
    [0, 5],
    [100, 7],
    [2, 38.5],
    [100, 0],
  ] as const) {
    const wait = untilGridMs(after, now)
    expect((now + wait) % LOOK_GRID_MS).toBeCloseTo(0)
    expect(wait).toBeGreaterThan(after)
    expect(wait).toBeLessThanOrEqual(after + LOOK_GRID_MS)
  }
})

test('one that comes alone is told at once; those that follow soon are told together, just before the grid, in order', () => {
  const told: number[] = []
  const moments = new SharedMoments()
  vi.advanceTimersByTime(5 + 10 * LOOK_GRID_MS)
  moments.add(() => told.push(1))
  expect(told).toEqual([1])
  vi.advanceTimersByTime(3)
  moments.add(() => told.push(2))
  vi.advanceTimersByTime(4)
  moments.add(() => told.push(3))
  expect(told).toEqual([1])
  vi.advanceTimersByTime(6)
  expect(told).toEqual([1, 2, 3])
  expect(performance.now() % LOOK_GRID_MS).toBeCloseTo(18)
  vi.advanceTimersByTime(LOOK_GRID_MS)
  moments.add(() => told.push(4))
  expect(told).toEqual([1, 2, 3, 4])
})

test('told without waiting: nothing is told twice', () => {
  const told: number[] = []
  const moments = new SharedMoments()
  for (const n of [1, 2]) moments.add(() => told.push(n))
  moments.tellAll()
  vi.advanceTimersByTime(10 * LOOK_GRID_MS)
  expect(told).toEqual([1, 2])
})
