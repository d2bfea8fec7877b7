import { describe, expect, test } from 'vitest'
import { slaPolicyFaults } from '../../../src/core/job/sla-policy-faults.ts'
import type { SlaPolicy } from '../../../src/core/job/task-config.ts'

const PRODUCTION = { preemptible: false, revocable: false }
const of = (slaPolicy: SlaPolicy, instances: number, tier = PRODUCTION) =>
  slaPolicyFaults({ slaPolicy, tier: 'some' }, instances, tier).map(({ text }) => text)

describe('an SLA policy', () => {
  test('that lets an instance be ended at a time is fine', () => {
    expect(of({ type: 'count', count: 19, durationSecs: 7200 }, 20)).toEqual([])
    expect(of({ type: 'percentage', percentage: 95, durationSecs: 0 }, 20)).toEqual([])
    expect(of({ type: 'coordinator', coordinatorUrl: 'http://x', statusKey: 'drain' }, 1)).toEqual([])
  })

  test.each<[string, SlaPolicy, number, string]>([
    [
      'counts the instances of a small job',
      { type: 'count', count: 5, durationSecs: 60 },
      19,
      'Job with fewer than 20 instances cannot have Percentage/Count SlaPolicy.',
    ],
    [
      'keeps all of them',
      { type: 'count', count: 20, durationSecs: 60 },
      20,
      'Current CountSlaPolicy: count=20 will not allow any instances to be killed. Must be less than instanceCount=20.',
    ],
    [
      'keeps so large a part that none is left over',
      { type: 'percentage', percentage: 99, durationSecs: 60 },
      20,
      'Current PercentageSlaPolicy: percentage=99.000000 will not allow any instances to be killed. Must be less than 95.000000.',
    ],
    [
      'watches for too long',
      { type: 'percentage', percentage: 50, durationSecs: 7201 },
      20,
      'PercentageSlaPolicy: durationSecs=7201 must be less than cluster-wide maximum of 7200 secs.',
    ],
  ])('that %s is refused', (_case, policy, instances, text) => {
    expect(of(policy, instances)).toEqual([text])
  })

  test('of a tier that may be preempted is refused: nobody could keep it', () => {
    const policy: SlaPolicy = { type: 'coordinator', coordinatorUrl: 'http://x', statusKey: 'drain' }
    expect(of(policy, 1, { preemptible: true, revocable: false })).toEqual(["Tier 'some' does not support SlaPolicy."])
  })
})
