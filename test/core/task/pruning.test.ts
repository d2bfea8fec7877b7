import { expect, test } from 'vitest'
import { configId, taskId } from '../../../src/core/base/ids.ts'
import type { TaskRow } from '../../../src/core/ledger/rows.ts'
import { expiryMs, PRUNE_SETTINGS, surplusOf } from '../../../src/core/task/pruning.ts'
import type { TaskStatus } from '../../../src/core/task/status.ts'

const HOUR = 3_600_000
const NOW = 100 * HOUR
function ended(n: number, ageMs: number, status: TaskStatus = 'FAILED'): TaskRow {
  return {
    v: 1,
    taskId: taskId(`t${String(n).padStart(5, '0')}`),
    job: { role: 'r', environment: 'devel', name: 'n' },
    instance: 0,
    configId: configId('c'),
    status,
    version: 1,
    ports: {},
    failureCount: 0,
    timesPartitioned: 0,
    agentSeq: 0,
    events: [{ atMs: NOW - ageMs, status, scheduler: 's' }],
  }
}
const many = (count: number, ageMs: number) => Array.from({ length: count }, (_, n) => ended(n, ageMs + count - n))
const surplus = (tasks: TaskRow[], settings = PRUNE_SETTINGS) => surplusOf(tasks, NOW, settings)
const pruned = (tasks: TaskRow[]) => surplus(tasks).due.map(task => task.taskId)

test('100 ended tasks older than an hour and one more ends: exactly the oldest goes', () => {
  expect(surplus([ended(999, 0), ...many(100, HOUR)]).due.map(task => task.taskId)).toEqual(['t00000'])
  expect(surplus([ended(999, 0), ...many(100, HOUR)]).nextMs).toBe(null)
})

test('101 ended tasks, all younger than an hour: none goes, and it is known when the first will', () => {
  const tasks = many(101, HOUR - 1000)
  expect(pruned(tasks)).toEqual([])
  expect(surplus(tasks).nextMs).toBe(NOW + 1000 - 101)
})

test('a task that ends every second: all of an hour stay, whatever their number', () => {
  expect(pruned(many(1003, 0))).toEqual([])
})

test('as many as the job keeps: nothing to wait for', () => {
  expect(surplus(many(100, 40 * HOUR))).toEqual({ due: [], nextMs: null })
})

test('expiry: two days after the end, and not within an hour of the change of leader', () => {
  const openedAt = NOW
  expect(expiryMs(openedAt + 5, openedAt, PRUNE_SETTINGS)).toBe(openedAt + 5 + 48 * HOUR)
  expect(expiryMs(openedAt - 47 * HOUR, openedAt, PRUNE_SETTINGS)).toBe(openedAt + HOUR)
  expect(expiryMs(openedAt - 46 * HOUR, openedAt, PRUNE_SETTINGS)).toBe(openedAt + 2 * HOUR)
  expect(expiryMs(openedAt - 240 * HOUR, openedAt, PRUNE_SETTINGS)).toBe(openedAt + HOUR)
})
