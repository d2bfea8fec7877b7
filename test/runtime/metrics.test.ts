import { expect, test } from 'vitest'
import { createMetrics } from '../../src/runtime/metrics.ts'

test('/vars: a counter of a job or a rack has the name that Aurora gives it', async () => {
  const metrics = createMetrics()
  metrics.count('tasks_LOST', 2, { job: 'www-data/prod/api' })
  metrics.count('tasks_lost_rack', 1, { rack: 'r7' })
  const vars = await metrics.vars()
  expect([vars.get('tasks_LOST_www-data/prod/api'), vars.get('tasks_lost_rack_r7')]).toEqual([2, 1])
})

test('a counter of more than a thousand jobs: those that are new count together, known ones go on', async () => {
  const metrics = createMetrics()
  for (let n = 0; n < 1_005; n++) metrics.count('tasks_FAILED', 1, { job: `j${n}` })
  metrics.count('tasks_FAILED', 1, { job: 'j3' })
  const vars = [...(await metrics.vars())].filter(([name]) => name.startsWith('tasks_FAILED'))
  expect(vars).toHaveLength(1_001)
  expect(Object.fromEntries(vars)).toMatchObject({ tasks_FAILED_other: 5, tasks_FAILED_j3: 2, tasks_FAILED_j999: 1 })
})
