import fc from 'fast-check'
import { expect, test } from 'vitest'
import { prng } from '../../../src/core/base/prng.ts'
import { type PortRanges, PortSpace } from '../../../src/core/offers/port-space.ts'

const ranges = fc
  .uniqueArray(fc.integer({ min: 1, max: 60 }), { minLength: 2, maxLength: 8 })
  .map((edges): PortRanges => {
    const sorted = [...edges].sort((a, b) => a - b)
    const made: [number, number][] = []
    for (let i = 0; i + 1 < sorted.length; i += 2) made.push([sorted[i]!, sorted[i + 1]! - 1])
    return made
  })

test('any ranges, any order of taking and giving back: chosen ports are free, in range, and counted', () => {
  const steps = fc.array(fc.oneof(fc.integer({ min: 0, max: 6 }), fc.constant('release' as const)), {
    maxLength: 30,
    size: 'max',
  })
  fc.assert(
    fc.property(ranges, steps, fc.nat(), (given, plan, seed) => {
      const space = new PortSpace(given)
      const inRange = new Set(given.flatMap(([a, b]) => Array.from({ length: b - a + 1 }, (_, i) => a + i)))
      const used = new Set<number>()
      const taken: (readonly number[])[] = []
      const random = prng(seed)
      for (const step of plan) {
        if (step === 'release') {
          const ports = taken.shift() ?? []
          space.release(ports)
          for (const port of ports) used.delete(port)
        } else if (step <= space.free) {
          const ports = space.choose(step, random)
          expect(new Set(ports).size).toBe(step)
          for (const port of ports) {
            expect(inRange.has(port) && !used.has(port)).toBe(true)
            used.add(port)
          }
          space.use(ports)
          taken.push(ports)
        }
        expect(space.free).toBe(inRange.size - used.size)
      }
    }),
  )
})

test('as many as are free: every last port is found, whatever the start', () => {
  const space = new PortSpace([
    [10, 12],
    [20, 20],
  ])
  space.use([11])
  for (let seed = 0; seed < 20; seed++) {
    expect([...space.choose(3, prng(seed))].sort((a, b) => a - b)).toEqual([10, 12, 20])
  }
})

test('one free port of many: starts differ by chance, one seed repeats itself', () => {
  const space = new PortSpace([[31_000, 31_999]])
  const first = (seed: number) => space.choose(1, prng(seed))[0]
  expect(new Set(Array.from({ length: 20 }, (_, seed) => first(seed))).size).toBeGreaterThan(10)
  expect(first(7)).toBe(first(7))
})

test('what is free as ranges: used ports cut them, used ends go, an emptied range is not there', () => {
  const space = new PortSpace([
    [10, 19],
    [30, 31],
    [40, 44],
  ])
  space.use([10, 14, 15, 19, 30, 31, 25])
  expect(space.freeRanges()).toEqual([
    [11, 13],
    [16, 18],
    [40, 44],
  ])
  space.release([10, 14, 15, 19, 30, 31, 25])
  expect(space.freeRanges()).toEqual([
    [10, 19],
    [30, 31],
    [40, 44],
  ])
})

test('ranges shrink under a port in use: it stays in use and no longer counts', () => {
  const space = new PortSpace([[10, 19]])
  space.use([10, 19])
  space.setRanges([[15, 19]])
  expect(space.free).toBe(4)
  space.release([10])
  expect(space.free).toBe(4)
  space.setRanges([[10, 19]])
  expect(space.free).toBe(9)
})

test('a port that the store gave to two tasks is free only when both have ended', () => {
  const space = new PortSpace([[10, 11]])
  space.use([10])
  space.use([10])
  expect(space.free).toBe(1)
  space.release([10])
  expect(space.isUsed(10)).toBe(true)
  space.release([10])
  expect(space.free).toBe(2)
})
