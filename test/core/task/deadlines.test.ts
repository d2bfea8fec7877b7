import { expect, test } from 'vitest'
import { configId, taskId } from '../../../src/core/base/ids.ts'
import { prng } from '../../../src/core/base/prng.ts'
import type { TaskConfig } from '../../../src/core/job/task-config.ts'
import type { TaskRow } from '../../../src/core/ledger/rows.ts'
import { DEADLINE_SETTINGS, deadlineOf, dueInMs, killRetryDelayMs } from '../../../src/core/task/deadlines.ts'
import type { TaskStatus } from '../../../src/core/task/status.ts'

const ENTERED_MS = 1_000_000
function row(status: TaskStatus, more: Partial<TaskRow> = {}): TaskRow {
  return {
    v: 1,
    taskId: taskId('t'),
    job: { role: 'r', environment: 'devel', name: 'n' },
    instance: 0,
    configId: configId('c'),
    status,
    version: 1,
    ports: {},
    failureCount: 0,
    timesPartitioned: 0,
    agentSeq: 0,
    events: [{ atMs: ENTERED_MS, status, scheduler: 's' }],
    ...more,
  }
}
const config = (partitionPolicy?: TaskConfig['partitionPolicy']) => ({ partitionPolicy }) as TaskConfig
const due = (status: TaskStatus, more: Partial<TaskRow> = {}, policy?: TaskConfig['partitionPolicy']) =>
  deadlineOf(row(status, more), config(policy), DEADLINE_SETTINGS)

test('passing states: LOST five minutes after they were entered, from the stored event', () => {
  for (const status of ['ASSIGNED', 'PREEMPTING', 'RESTARTING', 'DRAINING', 'KILLING'] as const)
    expect(due(status)).toEqual({
      atMs: ENTERED_MS + 300_000,
      to: 'LOST',
      message: 'Task timed out',
      who: 'transient timer',
    })
})

test('PENDING, STARTING, RUNNING and ended tasks: no deadline', () => {
  for (const status of ['PENDING', 'STARTING', 'RUNNING', 'FAILED', 'KILLED'] as const) expect(due(status)).toBeNull()
})

test('THROTTLED: PENDING at the stored moment', () => {
  expect(due('THROTTLED', { readyAtMs: 7 })).toEqual({ atMs: 7, to: 'PENDING', who: 'throttle timer' })
})

test('the clock of the leader is behind that of the one before: the wait is never longer than the whole of it', () => {
  const assigned = row('ASSIGNED')
  const timesOut = due('ASSIGNED')!
  expect(dueInMs(timesOut, assigned, ENTERED_MS + 100_000)).toBe(200_000)
  expect(dueInMs(timesOut, assigned, ENTERED_MS - 3_600_000)).toBe(300_000)
  expect(dueInMs(timesOut, assigned, ENTERED_MS + 3_600_000)).toBe(0)
  const throttled = row('THROTTLED', { readyAtMs: ENTERED_MS + 5_000 })
  expect(dueInMs(due('THROTTLED', throttled)!, throttled, ENTERED_MS - 3_600_000)).toBe(5_000)
})

test('PARTITIONED: LOST after the delay of the policy, at once without one, never with reschedule=false', () => {
  const lost = { to: 'LOST', message: 'Task partitioned for too long.', who: 'partition timer' }
  expect(due('PARTITIONED')).toEqual({ ...lost, atMs: ENTERED_MS })
  expect(due('PARTITIONED', {}, { reschedule: true, delaySecs: 10 })).toEqual({ ...lost, atMs: ENTERED_MS + 10_000 })
  expect(due('PARTITIONED', {}, { reschedule: false, delaySecs: 10 })).toBeNull()
})

test('kill retries: the first after 15 to 30 s, then up to twice the last, never over 5 min', () => {
  const random = prng(1)
  for (let run = 0; run < 100; run++) {
    let lastMs = killRetryDelayMs(0, DEADLINE_SETTINGS, random)
    expect(lastMs).toBeGreaterThanOrEqual(15_000)
    expect(lastMs).toBeLessThanOrEqual(30_000)
    for (let n = 0; n < 20; n++) {
      const nextMs = killRetryDelayMs(lastMs, DEADLINE_SETTINGS, random)
      expect(nextMs).toBeGreaterThanOrEqual(lastMs)
      expect(nextMs).toBeLessThanOrEqual(Math.min(2 * lastMs, 300_000))
      lastMs = nextMs
    }
    expect(lastMs).toBe(300_000)
  }
})
