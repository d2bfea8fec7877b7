import { describe, expect, test } from 'vitest'
import { configId } from '../../../src/core/base/ids.ts'
import { addedInstances } from '../../../src/core/job/added-instances.ts'
import { ADMISSION_SETTINGS, admit } from '../../../src/core/job/admission.ts'
import type { JobRow } from '../../../src/core/ledger/rows.ts'
import { Tables } from '../../../src/core/ledger/tables.ts'
import type { TaskStatus } from '../../../src/core/task/status.ts'
import { configRow, HELLO, jobRow, putConfig, putJob, putTask, taskRow } from '../../fixtures/rows.ts'

function world(live: readonly number[], more: Partial<JobRow> = {}): Tables {
  const tables = new Tables()
  const task = (instance: number, status: TaskStatus, id = `t${instance}`) =>
    putTask(taskRow(id, { instance, status, configId: configId(instance === 1 ? 'c2' : 'c1') }))
  tables.apply([
    putConfig(configRow('c1')),
    putConfig(configRow('c2')),
    putJob(jobRow(HELLO, more)),
    ...live.map(instance => task(instance, 'RUNNING')),
    task(9_000, 'FINISHED', 'ended'),
  ])
  return tables
}
const range = (count: number) => Array.from({ length: count }, (_, n) => n)
const add = (tables: Tables, count: number, like = 0) =>
  addedInstances(tables, { key: HELLO, like, count }, ADMISSION_SETTINGS)

describe('instances that are added', () => {
  test('follow the highest live number, whatever has ended, with the configuration of the one named', () => {
    expect(add(world([0, 1, 5]), 3, 1)).toEqual({ type: 'added', configId: 'c2', instances: [6, 7, 8] })
    expect(add(world([0]), 1)).toEqual({ type: 'added', configId: 'c1', instances: [1] })
  })

  test('sched-91: 4,001 instances are too many, and so are 2 more beside 3,999 live ones; 1 more is not', () => {
    const tooMany = 'Instance count must be between 1 and 4000 inclusive.'
    const task = { ...configRow().config, executor: { name: 'AuroraExecutor', data: '{}' } }
    const job = (instanceCount: number) =>
      admit({ key: HELLO, owner: 'www-data', instanceCount, task }, ADMISSION_SETTINGS, {
        hosts: [],
        anyConnected: false,
      })
    expect(job(4001)).toMatchObject({ code: 'INVALID_REQUEST', detail: tooMany })
    expect(job(4000).type).toBe('admitted')
    const live = world(range(3999))
    expect(add(live, 2)).toMatchObject({
      code: 'INVALID_REQUEST',
      detail: tooMany,
      remedy: 'www-data/devel/hello has 3999 live instances: at most 1 more.',
    })
    expect(add(live, 1)).toMatchObject({ instances: [3999] })
  })

  test.each<[string, Tables, number, number, string]>([
    ['none', world([0]), 0, 0, 'Instance count must be positive.'],
    ['fewer than none', world([0]), -1, 0, 'Instance count must be positive.'],
    ['half a one', world([0]), 0.5, 0, 'Instance count must be positive.'],
    ['like one that is not live', world([0]), 1, 1, 'No active task found for a given instance ID.'],
    ['like one that has ended', world([0]), 1, 9_000, 'No active task found for a given instance ID.'],
    [
      'to a template',
      world([0], { cron: { schedule: '* * * * *', collisionPolicy: 'CANCEL_NEW' } }),
      1,
      0,
      'Instances may not be added to cron jobs.',
    ],
  ])('%s: refused', (_case, tables, count, like, detail) => {
    expect(add(tables, count, like)).toMatchObject({ code: 'INVALID_REQUEST', detail })
  })
})
