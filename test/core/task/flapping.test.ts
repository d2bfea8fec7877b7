import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { prng } from '../../../src/core/base/prng.ts'
import type { TaskRow } from '../../../src/core/ledger/rows.ts'
import { FLAPPING_SETTINGS, flapsBehind, isFlap, penaltyMs } from '../../../src/core/task/flapping.ts'
import type { TaskStatus } from '../../../src/core/task/status.ts'
import { taskRow } from '../../fixtures/rows.ts'

const SECOND = 1000
const MINUTE = 60 * SECOND
const DAY = 24 * 60 * MINUTE

/** Events with the moments at which they came, ms. */
function ended(...history: readonly (readonly [TaskStatus, number])[]): TaskRow {
  const events = history.map(([status, atMs]) => ({ status, atMs, scheduler: 'leader' }))
  return { ...taskRow('t'), status: events.at(-1)?.status ?? 'INIT', events }
}
const flaps = (...history: readonly (readonly [TaskStatus, number])[]) => isFlap(ended(...history), FLAPPING_SETTINGS)

describe('what a flap is', () => {
  test('up for 4:59.999: a flap; for exactly 5:00: none, and the count begins anew', () => {
    const run = (upMs: number) => ended(['PENDING', 0], ['ASSIGNED', 1], ['RUNNING', 10], ['FAILED', 10 + upMs])
    const behind = (upMs: number) => flapsBehind({ ...run(upMs), flapCount: 3 }, FLAPPING_SETTINGS)
    expect([behind(5 * MINUTE - 1), behind(5 * MINUTE)]).toEqual([4, 0])
  })

  test('every end counts, FINISHED and LOST too, and time spent starting counts as up', () => {
    for (const end of ['FINISHED', 'FAILED', 'KILLED', 'LOST'] as const)
      expect(flaps(['ASSIGNED', 0], ['STARTING', 1], ['RUNNING', 2], [end, 3])).toBe(true)
    expect(flaps(['ASSIGNED', 0], ['STARTING', 1], ['RUNNING', 4 * MINUTE], ['FAILED', 6 * MINUTE])).toBe(false)
  })

  test('never started: measured from its assignment, so a launch that fails is a flap', () => {
    expect(flaps(['PENDING', 0], ['ASSIGNED', DAY], ['FAILED', DAY + SECOND])).toBe(true)
    expect(flaps(['PENDING', 0], ['ASSIGNED', DAY], ['LOST', DAY + 5 * MINUTE])).toBe(false)
    expect(flaps(['PENDING', 0], ['LOST', 1])).toBe(false)
  })

  test('RESTARTING, KILLING, DRAINING or PREEMPTING in its history: none, however short it ran', () => {
    for (const status of ['RESTARTING', 'KILLING', 'DRAINING', 'PREEMPTING'] as const) {
      const row = ended(['ASSIGNED', 0], ['RUNNING', 1], [status, 2], ['FAILED', 3])
      expect(flapsBehind({ ...row, flapCount: 5 }, FLAPPING_SETTINGS)).toBe(0)
    }
  })

  test('up for days, then PARTITIONED and LOST: none, however short it was away; young and LOST by partition: none either', () => {
    expect(flaps(['RUNNING', 0], ['PARTITIONED', 3 * DAY], ['LOST', 3 * DAY + SECOND])).toBe(false)
    expect(flaps(['ASSIGNED', 0], ['RUNNING', 1], ['PARTITIONED', 2], ['LOST', 3])).toBe(false)
    expect(flaps(['ASSIGNED', 0], ['PARTITIONED', 2], ['LOST', 3])).toBe(false)
  })

  test('links that broke in between: up since the first report, so days are days', () => {
    const healed = [['PARTITIONED', 3 * DAY] as const, ['RUNNING', 3 * DAY + SECOND] as const]
    expect(flaps(['RUNNING', 0], ...healed, ['FAILED', 3 * DAY + 2 * SECOND])).toBe(false)
    expect(flaps(['RUNNING', 3 * DAY - SECOND], ...healed, ['FAILED', 3 * DAY + 2 * SECOND])).toBe(true)
  })
})

describe('penalties', () => {
  test('none after the first flap, then growing from 30 s with up to 100 % by chance to 5 min', () => {
    fc.assert(
      fc.property(fc.nat(), fc.integer({ min: 1, max: 100_000 }), (seed, count) => {
        const pauseMs = penaltyMs(count, FLAPPING_SETTINGS, prng(seed))
        const steps = Math.min(count - 1, 10)
        const leastMs = steps === 0 ? 0 : 30 * SECOND
        const mostMs = steps === 0 ? 0 : Math.min(5 * MINUTE, 30 * SECOND * 2 ** steps)
        expect(pauseMs).toBeGreaterThanOrEqual(leastMs)
        expect(pauseMs).toBeLessThanOrEqual(mostMs)
      }),
    )
  })

  test.each([
    [2, 45],
    [3, 68],
    [4, 101],
    [6, 210],
    [9, 295],
  ])('after %i flaps in a row: %i s on average', (count, seconds) => {
    const random = prng(count)
    const draws = Array.from({ length: 4000 }, () => penaltyMs(count, FLAPPING_SETTINGS, random))
    const meanMs = draws.reduce((sum, pauseMs) => sum + pauseMs, 0) / draws.length
    expect(Math.abs(meanMs / SECOND - seconds)).toBeLessThan(0.05 * seconds)
  })

  test('chance that always draws nothing: still bounded, and never below the first pause', () => {
    const never = { next: () => 0, int: (from: number) => from }
    expect(penaltyMs(1_000_000, FLAPPING_SETTINGS, never)).toBe(30 * SECOND)
  })

  test('first pause 0: there are none', () => {
    expect(penaltyMs(50, { ...FLAPPING_SETTINGS, pauseMsMin: 0 }, prng(1))).toBe(0)
  })
})
