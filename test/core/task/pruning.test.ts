import { expect, test } from 'vitest'
import { configId, taskId } from '../../../src/core/base/ids.ts'
import type { TaskRow } from '../../../src/core/ledger/rows.ts'
import { PRUNE_SETTINGS, pruneChanges } from '../../../src/core/task/pruning.ts'
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
const pruned = (tasks: TaskRow[]) => pruneChanges(tasks, NOW, PRUNE_SETTINGS).map(change => change.key)

test('100 ended tasks older than an hour and one more ends: exactly the oldest goes', () => {
  expect(pruned([ended(999, 0), ...many(100, HOUR)])).toEqual(['t00000'])
})

test('101 ended tasks, all younger than an hour: none goes', () => {
  expect(pruned(many(101, HOUR - 1000))).toEqual([])
})

test('older than two days: goes whatever the number; active tasks never', () => {
  expect(pruned([ended(1, 49 * HOUR), ended(2, 49 * HOUR, 'RUNNING')])).toEqual(['t00001'])
})

test('a task that ends every second: no more than 1,000 are kept even within the hour', () => {
  expect(pruned(many(1003, 0))).toEqual(['t00000', 't00001', 't00002'])
})
