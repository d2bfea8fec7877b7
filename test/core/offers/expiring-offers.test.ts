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
    expect(offers.use(agentId('a'))).toBeNull()
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
    expect(offers.use(agentId('a'))).toMatchObject({ offerId: '1' })
  })
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
