import { expect, test } from 'vitest'
import { agentId, jobKeyText } from '../../../src/core/base/ids.ts'
import type { TaskConfig } from '../../../src/core/job/task-config.ts'
import { affinityClaim } from '../../../src/core/scheduling/update-affinity.ts'
import { taskConfig } from '../../fixtures/rows.ts'

const OVERHEAD = { cpusMilli: 10, ramMb: 8, diskMb: 0, gpus: 0 }
const before = taskConfig({
  resources: { cpusMilli: 1000, ramMb: 64, diskMb: 64, gpus: 0 },
  ports: [],
  constraints: [],
})
const claim = (after: Partial<TaskConfig>) =>
  affinityClaim({ instance: 3, agentId: agentId('a'), before, after: { ...before, ...after } }, OVERHEAD, 1000, 500)

test('sched-48: equal or smaller, and allowed on the same machines: the new room is kept for the instance for a while', () => {
  expect(claim({ resources: { ...before.resources, cpusMilli: 500 } })).toEqual({
    id: `affinity ${jobKeyText(before.job)}/3`,
    agentId: agentId('a'),
    needs: { cpusMilli: 510, ramMb: 72, diskMb: 64, ports: 0, gpus: 0 },
    owner: { type: 'instance', job: jobKeyText(before.job), instance: 3 },
    expiresMs: 1500,
  })
})

test('sched-49: more of anything, or other constraints: no claim', () => {
  const { resources } = before
  for (const more of ['cpusMilli', 'ramMb', 'diskMb', 'gpus'] as const)
    expect(claim({ resources: { ...resources, [more]: resources[more] + 1 } })).toBeNull()
  expect(claim({ ports: ['http'] })).toBeNull()
  expect(claim({ constraints: [{ name: 'host', rule: { type: 'limit', limit: 1 } }] })).toBeNull()
})
