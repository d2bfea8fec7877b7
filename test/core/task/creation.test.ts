import { expect, test } from 'vitest'
import { configId } from '../../../src/core/base/ids.ts'
import { type Insertion, insertTasks } from '../../../src/core/task/creation.ts'
import { newTaskId } from '../../../src/core/task/task-id.ts'

const UUID = '5fca8d0e-3c9c-4d6e-9a93-0d8c1b2a7f10'
const JOB = { role: 'www-data', environment: 'devel', name: 'hello.web' }
const INSERTION: Insertion = {
  job: JOB,
  configId: configId('c'),
  instances: [3, 4],
  taken: new Set(),
  nowMs: 10,
  scheduler: 'leader-1',
  newTaskId: (job, instance) => newTaskId(job, instance, UUID),
}

test('instance 3 is active, {3, 4} inserted: refused whole', () => {
  expect(insertTasks({ ...INSERTION, taken: new Set([3]) })).toEqual({
    type: 'rejected',
    code: 'INSTANCE_COLLISION',
    detail: 'Instance ID collision detected.',
  })
})

test('nothing in the way: all PENDING, born with one event and without a host', () => {
  const inserted = insertTasks(INSERTION)
  expect(inserted.type).toBe('inserted')
  if (inserted.type !== 'inserted') return
  expect(inserted.changes.map(change => change.key)).toEqual([
    `www-data-devel-hello-web-3-${UUID}`,
    `www-data-devel-hello-web-4-${UUID}`,
  ])
  expect(inserted.changes[0]).toMatchObject({
    type: 'put',
    table: 'task',
    row: {
      instance: 3,
      status: 'PENDING',
      ports: {},
      events: [{ atMs: 10, status: 'PENDING', scheduler: 'leader-1' }],
    },
  })
})

test('no instances: refused', () => {
  expect(insertTasks({ ...INSERTION, instances: [] }).type).toBe('rejected')
})

test('two tasks with one id: a bug, not a row', () => {
  expect(() => insertTasks({ ...INSERTION, newTaskId: () => newTaskId(JOB, 0, UUID) })).toThrow('task ID collision')
})

test('task id, long names: never over 255 characters, the UUID whole', () => {
  const long = { role: 'r'.repeat(255), environment: 'devel', name: 'n'.repeat(255) }
  const id = newTaskId(long, 12, UUID)
  expect(id).toHaveLength(255)
  expect(id.endsWith(`-${UUID}`)).toBe(true)
})
