import { expect, test } from 'vitest'
import { OFFER_ORDER_PACKING } from '../../../src/core/offers/candidate-order.ts'
import { PackingMix } from '../../fixtures/packing-mix.ts'

test.each([1, 2, 3])(
  'sched-95: a replayed mix, seed %i: at most 1.10 of the fewest hosts, and never more than under CPU,MEMORY',
  seed => {
    const ours = new PackingMix(20, OFFER_ORDER_PACKING, seed)
    const auroras = new PackingMix(20, ['CPU', 'MEMORY'], seed)
    for (const load of [0.4, 0.7, 0.9]) {
      expect([ours.fillTo(load), auroras.fillTo(load)]).toEqual([true, true])
      const { ratio, hostsUsed, lowerBound } = ours.measure()
      expect(lowerBound).toBeGreaterThanOrEqual(20 * load)
      expect(ratio).toBeLessThanOrEqual(1.1)
      expect(hostsUsed).toBeLessThanOrEqual(auroras.measure().hostsUsed)
    }
  },
)

test('the mix tells packing from spreading: a random order uses every host, and leaves less room for large tasks', () => {
  const packed = new PackingMix(20, OFFER_ORDER_PACKING, 1)
  const spread = new PackingMix(20, ['RANDOM'], 1)
  for (const mix of [packed, spread]) mix.fillTo(0.7)
  expect(packed.measure().lowerBound).toBe(spread.measure().lowerBound)
  expect([packed.measure().hostsUsed, spread.measure().hostsUsed]).toEqual([packed.measure().lowerBound, 20])
  expect(packed.measure().slots.xlarge).toBeGreaterThan(spread.measure().slots.xlarge)
  expect(packed.measure().largestCores).toBeGreaterThan(spread.measure().largestCores)
})
