import { describe, expect, test } from 'vitest'
import { agentId } from '../../../src/core/base/ids.ts'
import { type ManagerOffer, offeredAgent } from '../../../src/core/offers/offered-agent.ts'

const room = (cpusMilli: number, ramMb: number) => {
  return { cpusMilli, ramMb, diskMb: 5, gpus: 0, revocableMilli: 0, portRanges: [[31_000, 31_009]] as const }
}
const offer = (changes: Partial<ManagerOffer> = {}): ManagerOffer => ({
  offerId: 'o1',
  agentId: agentId('S1'),
  host: 'h1.example',
  attributes: [{ name: 'rack', type: 'text', value: 'r1' }],
  room: room(1000, 2000),
  ...changes,
})

describe('the row of an offered agent', () => {
  test('the first offer: known by its agent id, in no maintenance', () => {
    expect(offeredAgent(offer(), undefined, 'mesos', 7)).toEqual({
      v: 1,
      agentId: 'S1',
      host: 'h1.example',
      attributes: [{ name: 'rack', values: ['r1'] }],
      total: { cpusMilli: 1000, ramMb: 2000, diskMb: 5, gpus: 0 },
      portRanges: [[31_000, 31_009]],
      mode: 'NONE',
      agentVersion: 'mesos',
      firstSeenMs: 7,
      manager: 'mesos',
    })
  })

  test('sched-13: a later offer changes neither its mode nor since when it is known', () => {
    const stored = { ...offeredAgent(offer(), undefined, 'mesos', 7), mode: 'DRAINING' as const }
    expect(offeredAgent(offer(), stored, 'mesos', 99)).toEqual(stored)
  })

  test('its size is the largest that was seen, each amount by itself', () => {
    const stored = offeredAgent(offer(), undefined, 'mesos', 7)
    const { total } = offeredAgent(offer({ room: room(500, 3000) }), stored, 'mesos', 8)
    expect(total).toEqual({ cpusMilli: 1000, ramMb: 3000, diskMb: 5, gpus: 0 })
  })

  test('a planned absence holds as long as offers tell of it', () => {
    const stored = offeredAgent(offer({ unavailability: { fromMs: 5 } }), undefined, 'mesos', 7)
    expect(stored.unavailability).toEqual({ fromMs: 5 })
    expect(offeredAgent(offer(), stored, 'mesos', 8)).not.toHaveProperty('unavailability')
  })
})
