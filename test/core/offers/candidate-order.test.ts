import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { prng } from '../../../src/core/base/prng.ts'
import type { HostMode } from '../../../src/core/ledger/rows.ts'
import { type Candidate, candidateOrder, type OfferOrder } from '../../../src/core/offers/candidate-order.ts'

function candidate(
  slot: number,
  more: { mode?: HostMode; cpus?: number; ram?: number; gpus?: number; lent?: number } = {},
): Candidate {
  const { mode = 'NONE', cpus = 1, ram = 1, gpus = 0, lent = 0 } = more
  const amounts = { cpusMilli: cpus, ramMb: ram, diskMb: 1, ports: 1, gpus }
  return { slot, mode, total: amounts, free: amounts, revocableMilli: lent, awayFromMs: Number.POSITIVE_INFINITY }
}

function walked(order: readonly OfferOrder[], hosts: readonly Candidate[], seed = 1): number[] {
  const candidates = candidateOrder(order, prng(seed))
  for (const host of hosts) candidates.add(host)
  return slots(candidates, seed)
}

function slots(candidates: ReturnType<typeof candidateOrder>, seed = 1): number[] {
  const seen: number[] = []
  candidates.walk(prng(seed), slot => {
    seen.push(slot)
    return false
  })
  return seen
}

test.each<[readonly OfferOrder[]]>([[['RANDOM']], [['CPU', 'RANDOM']], [['MEMORY', 'CPU']]])(
  'modes DRAINING, NONE, SCHEDULED under %j: NONE, SCHEDULED, DRAINING whatever the amounts',
  order => {
    const hosts = [
      candidate(0, { mode: 'DRAINING', cpus: 1 }),
      candidate(1, { mode: 'NONE', cpus: 9 }),
      candidate(2, { mode: 'SCHEDULED', cpus: 5 }),
    ]
    for (let seed = 0; seed < 10; seed++) expect(walked(order, hosts, seed)).toEqual([1, 2, 0])
  },
)

test.each<[readonly OfferOrder[]]>([[['RANDOM']], [['CPU']]])(
  'hosts with GPUs come last of their mode under %j',
  order => {
    const hosts = [candidate(0, { gpus: 1 }), candidate(1, { cpus: 5 }), candidate(2, { mode: 'SCHEDULED' })]
    for (let seed = 0; seed < 10; seed++) expect(walked(order, hosts, seed)).toEqual([1, 0, 2])
  },
)

describe('order CPU', () => {
  test('1, 5 and 10 free cores come in that order', () => {
    expect(walked(['CPU'], [candidate(0, { cpus: 10 }), candidate(1, { cpus: 1 }), candidate(2, { cpus: 5 })])).toEqual(
      [1, 2, 0],
    )
  })

  test('two equal hosts are both candidates, and removing one leaves the other', () => {
    const candidates = candidateOrder(['CPU'], prng(1))
    const [a, b] = [candidate(0), candidate(1)]
    candidates.add(a)
    candidates.add(b)
    expect(slots(candidates)).toEqual([0, 1])
    candidates.remove(a)
    expect(slots(candidates)).toEqual([1])
  })
})

test('sched-4: order REVOCABLE_CPU: the least lent cores first, hosts without any last', () => {
  const hosts = [candidate(0, { lent: 24 }), candidate(1), candidate(2, { lent: 23 })]
  expect(walked(['REVOCABLE_CPU'], hosts)).toEqual([2, 0, 1])
})

describe('order RANDOM', () => {
  test('every host is first about equally often, and one seed repeats itself', () => {
    const hosts = Array.from({ length: 5 }, (_, slot) => candidate(slot))
    const firsts = [0, 0, 0, 0, 0]
    const candidates = candidateOrder(['RANDOM'], prng(3))
    for (const host of hosts) candidates.add(host)
    const random = prng(3)
    for (let i = 0; i < 5000; i++) {
      candidates.walk(random, slot => {
        firsts[slot]!++
        return true
      })
    }
    for (const times of firsts) expect(Math.abs(times - 1000)).toBeLessThan(150)
    expect(walked(['RANDOM'], hosts, 9)).toEqual(walked(['RANDOM'], hosts, 9))
  })
})

test.each<[readonly OfferOrder[]]>([[['RANDOM']], [['CPU', 'MEMORY', 'RANDOM']]])(
  'any sequence of changes under %j: a walk shows every candidate once, sorted as promised',
  order => {
    const step = fc.record({
      slot: fc.integer({ min: 0, max: 9 }),
      cpus: fc.integer({ min: 0, max: 3 }),
      ram: fc.integer({ min: 0, max: 3 }),
      gpus: fc.integer({ min: 0, max: 1 }),
      mode: fc.constantFrom<HostMode>('NONE', 'SCHEDULED', 'DRAINING', 'DRAINED'),
      remove: fc.boolean(),
    })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40, size: 'max' }), fc.nat(), (steps, seed) => {
        const candidates = candidateOrder(order, prng(seed))
        const model = new Map<number, Candidate>()
        for (const { slot, remove, ...more } of steps) {
          const known = model.get(slot)
          const host = candidate(slot, more)
          if (known === undefined) candidates.add(host)
          else if (remove) candidates.remove(host)
          else candidates.changed(host)
          if (known !== undefined && remove) model.delete(slot)
          else model.set(slot, host)
          const seen = slots(candidates)
          expect([...seen].sort()).toEqual([...model.keys()].sort())
          const keys = seen.map(slot => {
            const { mode, total, free } = model.get(slot)!
            const rank = ['NONE', 'SCHEDULED', 'DRAINING', 'DRAINED'].indexOf(mode) * 2 + total.gpus
            return rank * 10_000 + (order[0] === 'RANDOM' ? 0 : free.cpusMilli * 100 + free.ramMb)
          })
          expect(keys).toEqual([...keys].sort((a, b) => a - b))
        }
      }),
    )
  },
)
