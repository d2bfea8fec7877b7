import { expect, test } from 'vitest'
import { configId } from '../../../src/core/base/ids.ts'
import { Tables } from '../../../src/core/ledger/tables.ts'
import { jobChange } from '../../../src/core/quota/job-change.ts'
import { configRow, HELLO, putConfig, putTask, taskConfig, taskRow } from '../../fixtures/rows.ts'

const OLD = taskConfig({ priority: 1 })
const NEW = taskConfig({ priority: 2 })

/** Instances that run with the configuration `old` or `new`; what the job is to be with `new`. */
function change(running: Readonly<Record<number, 'old' | 'new'>>, instanceCount: number, task = NEW) {
  const tables = new Tables()
  tables.apply([putConfig(configRow('old', OLD)), putConfig(configRow('new', task))])
  for (const [instance, config] of Object.entries(running)) {
    const row = { instance: Number(instance), configId: configId(config), status: 'RUNNING' } as const
    tables.apply([putTask(taskRow(`t${instance}`, row))])
  }
  const { initial, desired } = jobChange(tables, { key: HELLO, owner: 'ann', instanceCount, task }, configId('new'))
  return { gone: initial.map(part => [part.config.priority, part.instances]), come: desired?.instances }
}

test('a job that is not there: all of it comes', () => {
  expect(change({}, 3)).toEqual({ gone: [], come: [[0, 2]] })
})

test('instances that are as they are to be stay out of it', () => {
  expect(change({ 0: 'new', 1: 'old', 2: 'new' }, 5)).toEqual({
    gone: [[1, [[1, 1]]]],
    come: [
      [1, 1],
      [3, 4],
    ],
  })
})

test('instances that only go: nothing is desired', () => {
  expect(change({ 0: 'new', 1: 'new', 2: 'new' }, 1)).toEqual({ gone: [[2, [[1, 2]]]], come: undefined })
  expect(change({ 0: 'new' }, 1)).toEqual({ gone: [], come: undefined })
})

test('one instance on every host: those there are stay whatever their numbers, so many more come as hosts lack', () => {
  expect(change({ 1: 'new', 7: 'new' }, 4, taskConfig({ ...NEW, everyHost: true }))).toEqual({
    gone: [],
    come: [
      [0, 0],
      [2, 2],
    ],
  })
})
