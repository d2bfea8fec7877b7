import { describe, expect, test } from 'vitest'
import { agentId } from '../../../src/core/base/ids.ts'
import { prng } from '../../../src/core/base/prng.ts'
import { ExpiringOffers } from '../../../src/core/offers/expiring-offers.ts'
import { offeredAttributes } from '../../../src/core/offers/offered-attributes.ts'

const room = { cpusMilli: 1000, ramMb: 1, diskMb: 1, gpus: 0, revocableMilli: 0, portRanges: [] }
const offer = (offerId: string, agent = 'a') => ({ offerId, agentId: agentId(agent), room })
const gone = (agent = 'a') => ({ type: 'room', agentId: agentId(agent), room: null })
const make = (jitterMs = 0) => new ExpiringOffers({ holdMs: 1000, jitterMs }, prng(1))
const idle = () => false
const launching = (id: number, cpusMilli: number, isRevocable = false, ports: number[] = []) => {
  return { id, needs: { cpusMilli, ramMb: 1, diskMb: 0, ports: ports.length, gpus: 0 }, isRevocable, ports }
}

describe('one offer per agent', () => {
  test('sched-5: a second offer of an agent: both go back to come as one, and nothing is held', () => {
    const offers = make()
    expect(offers.received([offer('1')], 0)).toEqual([{ type: 'room', agentId: agentId('a'), room }])
    expect(offers.received([offer('2')], 0)).toEqual([gone(), { type: 'decline', offerIds: ['1', '2'] }])
    expect(offers.size).toBe(0)
    expect(offers.received([offer('3')], 0)).toHaveLength(1)
  })
})

describe('taken back', () => {
  test('held: its room is gone', () => {
    const offers = make()
    offers.received([offer('1')], 0)
    expect(offers.rescinded('1', 0)).toEqual([gone()])
    const task = launching(1, 100)
    expect(offers.use(agentId('a'), [task])).toEqual({ offerId: null, launched: [], vanished: [1], effects: [] })
  })

  test('sched-6: the word overtakes the offer, which is then never used; a later offer of the agent is', () => {
    const offers = make()
    expect(offers.rescinded('1', 0)).toEqual([])
    expect(offers.received([offer('1')], 1)).toEqual([])
    expect(offers.size).toBe(0)
    expect(offers.received([offer('2')], 2)).toHaveLength(1)
    expect(offers.counts).toEqual({ received: 2, rescinded: 1, cancelFailures: 1 })
  })

  test('a word about an offer that never comes is forgotten after the time that one could be held', () => {
    const offers = make()
    offers.rescinded('1', 0)
    expect(offers.nextDueMs()).toBe(1000)
    offers.expire(999, idle)
    expect(offers.bannedCount).toBe(1)
    offers.expire(1000, idle)
    expect(offers.bannedCount).toBe(0)
  })
})

describe('not used in time', () => {
  test('sched-7: it goes back when its time is over, to the millisecond, with no chance in it', () => {
    const offers = make(0)
    offers.received([offer('1')], 5)
    expect(offers.nextDueMs()).toBe(1005)
    expect(offers.expire(1004, idle)).toEqual([])
    expect(offers.expire(1005, idle)).toEqual([gone(), { type: 'decline', offerIds: ['1'] }])
    expect(offers.nextDueMs()).toBeNull()
  })

  test('with jitter they do not all go back at once, and none before its time', () => {
    const offers = make(500)
    offers.received(
      Array.from({ length: 50 }, (_, n) => offer(`${n}`, `a${n}`)),
      0,
    )
    expect(offers.expire(999, idle)).toEqual([])
    const atOnce = offers.expire(1250, idle).length / 2
    expect(atOnce).toBeGreaterThan(5)
    expect(atOnce).toBeLessThan(45)
    offers.expire(1500, idle)
    expect(offers.size).toBe(0)
  })

  test('one that a round is about to use is kept', () => {
    const offers = make()
    offers.received([offer('1')], 0)
    expect(offers.expire(2000, () => true)).toEqual([])
    expect(offers.use(agentId('a'), [launching(1, 100)])).toMatchObject({ offerId: '1', launched: [1] })
  })
})

describe('used', () => {
  const rich = { ...room, ramMb: 10, revocableMilli: 500, portRanges: [[31_000, 31_001]] as const }
  const holding = (of: typeof rich = rich) => {
    const offers = make()
    offers.received([{ ...offer('1'), room: of }], 0)
    return offers
  }

  test('as a whole: it is gone with the first accept, whatever is left of it', () => {
    const offers = holding()
    const { offerId, effects } = offers.use(agentId('a'), [launching(1, 100), launching(2, 200)])
    expect([offerId, effects, offers.size]).toEqual(['1', [gone()], 0])
  })

  test.for([
    ['cores up to the last one', [launching(1, 600), launching(2, 400)], [1, 2]],
    ['cores, one more than there are', [launching(1, 600), launching(2, 401)], [1]],
    ['a smaller one after one that does not fit', [launching(1, 1001), launching(2, 1000)], [2]],
    ['lent cores are others', [launching(1, 1000), launching(2, 500, true), launching(3, 1, true)], [1, 2]],
    ['ports that it holds', [launching(1, 1, false, [31_000]), launching(2, 1, false, [31_001])], [1, 2]],
    ['a port that it does not hold', [launching(1, 1, false, [31_002]), launching(2, 1)], [2]],
    ['a port twice', [launching(1, 1, false, [31_000]), launching(2, 1, false, [31_000])], [1]],
    ['RAM', Array.from({ length: 11 }, (_, n) => launching(n, 1)), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]],
  ] as const)('never beyond what it holds: %s', ([, tasks, launched]) => {
    const used = holding().use(agentId('a'), tasks)
    expect(used.launched).toEqual(launched)
    expect(used.vanished).toEqual(tasks.map(({ id }) => id).filter(id => !(launched as readonly number[]).includes(id)))
  })

  test('it fits nothing of what was placed on another: it goes back', () => {
    const offers = holding()
    const { offerId, vanished, effects } = offers.use(agentId('a'), [launching(1, 1001)])
    expect([offerId, vanished, effects]).toEqual([null, [1], [gone(), { type: 'decline', offerIds: ['1'] }]])
    expect(offers.size).toBe(0)
  })
})

test('told again: what is held now, of all or of one agent', () => {
  const offers = make()
  offers.received([offer('1', 'a'), offer('2', 'b'), offer('3', 'c')], 0)
  offers.rescinded('3', 0)
  const told = (agent: string) => ({ type: 'room', agentId: agentId(agent), room })
  expect(offers.again()).toEqual([told('a'), told('b')])
  expect(offers.again(agentId('b'))).toEqual([told('b')])
  expect(offers.again(agentId('c'))).toEqual([])
})

test('sched-12: the manager is gone, and every offer and ban with it', () => {
  const offers = make()
  offers.received([offer('1', 'a'), offer('2', 'b')], 0)
  offers.rescinded('9', 0)
  expect(offers.disconnected()).toEqual([gone('a'), gone('b')])
  expect([offers.size, offers.bannedCount, offers.nextDueMs()]).toEqual([0, 0, null])
})

test('attributes: texts as they are, numbers as doubles, ranges left out, repeated names merged', () => {
  expect(
    offeredAttributes([
      { name: 'rack', type: 'text', value: 'r1' },
      { name: 'gen', type: 'scalar', value: 1 },
      { name: 'gen', type: 'scalar', value: 2.5 },
      { name: 'ports', type: 'ranges' },
      { name: 'dedicated', type: 'ranges' },
    ]),
  ).toEqual([
    { name: 'dedicated', values: [] },
    { name: 'gen', values: ['1.0', '2.5'] },
    { name: 'rack', values: ['r1'] },
  ])
})
