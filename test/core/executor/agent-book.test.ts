import { describe, expect, test } from 'vitest'
import {
  type Capacity,
  compareEpochs,
  decideLaunch,
  fence,
  type LaunchInfo,
  type LaunchRequest,
  NO_IDENTITY,
  sandboxKeepMs,
  type TaskRecord,
} from '../../../src/core/executor/agent-book.ts'
import { LOOPBACK_QUICK_DIALS, redialDelayMs } from '../../../src/core/executor/leader-search.ts'

const info: LaunchInfo = {
  job: { role: 'www', environment: 'prod', name: 'hello' },
  instance: 0,
  tier: 'preemptible',
  resources: { cpusMilli: 600, ramMb: 100, diskMb: 100, gpus: 0 },
  ports: { http: 31_000 },
  executor: { name: 'AuroraExecutor', data: '{}' },
}
const capacity: Capacity = {
  resources: { cpusMilli: 1_000, ramMb: 1_000, diskMb: 1_000, gpus: 0 },
  portRanges: [[31_000, 31_010]],
  draining: false,
  executors: ['AuroraExecutor'],
}
const request = (more: Partial<LaunchRequest> = {}): LaunchRequest => ({
  taskId: 'new',
  digest: 'd1',
  info: { ...info, ports: { http: 31_001 } },
  deadlineMs: 60_000,
  ...more,
})
const record = (more: Partial<TaskRecord> = {}): TaskRecord => ({
  taskId: 'old',
  digest: 'd1',
  info,
  acceptedAtMs: 0,
  bootId: 'b',
  state: 'RUNNING',
  kill: null,
  lastSeq: 2,
  ackedSeq: 2,
  ...more,
})
const book = (...records: TaskRecord[]) => new Map(records.map(one => [one.taskId, one]))
const small = { ...info, resources: { ...info.resources, cpusMilli: 100 }, ports: {} }

describe('launches', () => {
  const cases: {
    desc: string
    request?: Partial<LaunchRequest>
    records?: TaskRecord[]
    tombstones?: string[]
    capacity?: Partial<Capacity>
    waitedMs?: number
    code: string
    fresh?: boolean
  }[] = [
    { desc: 'a new task that fits', code: 'ok', fresh: true },
    { desc: 'the same id and digest again', request: { taskId: 'old' }, records: [record()], code: 'ok' },
    {
      desc: 'the same id, another digest',
      request: { taskId: 'old', digest: 'd2' },
      records: [record()],
      code: 'duplicate_task',
    },
    {
      desc: 'a task that has ended here',
      request: { taskId: 'old' },
      records: [record({ state: 'FINISHED' })],
      code: 'duplicate_task',
    },
    {
      desc: 'a task that was killed before',
      request: { taskId: 'old' },
      records: [record({ info: null, state: 'LOST' })],
      code: 'duplicate_task',
    },
    { desc: 'a task that was forgotten within a day', tombstones: ['new'], code: 'duplicate_task' },
    { desc: 'an agent that is draining', capacity: { draining: true }, code: 'draining' },
    {
      desc: 'a repeated launch on a draining agent',
      request: { taskId: 'old' },
      records: [record()],
      capacity: { draining: true },
      code: 'ok',
    },
    { desc: 'a launch that came too late', waitedMs: 60_000, code: 'expired' },
    {
      desc: 'an executor nobody knows',
      request: { info: { ...info, executor: { name: 'x', data: '' } } },
      code: 'unknown_executor',
    },
    { desc: 'more CPU than is left', records: [record()], code: 'does_not_fit' },
    { desc: 'the CPU of a task that has ended', records: [record({ state: 'FAILED' })], code: 'ok', fresh: true },
    { desc: 'a port outside the ranges', request: { info: { ...small, ports: { http: 80 } } }, code: 'does_not_fit' },
    {
      desc: 'a port of another task',
      request: { info: { ...small, ports: { http: 31_000 } } },
      records: [record()],
      code: 'does_not_fit',
    },
    {
      desc: 'one port under two names',
      request: { info: { ...small, ports: { a: 31_001, b: 31_001 } } },
      code: 'does_not_fit',
    },
    { desc: 'an id that leads elsewhere', request: { taskId: '../../etc' }, code: 'invalid' },
  ]
  test.each(cases)(
    '$desc: $code',
    ({ request: more, records = [], tombstones = [], capacity: other, waitedMs = 0, code, fresh = false }) => {
      const decision = decideLaunch(
        request(more),
        book(...records),
        new Set(tombstones),
        { ...capacity, ...other },
        waitedMs,
      )
      expect({ code: decision.code, fresh: decision.fresh }).toEqual({ code, fresh })
      expect(decision.code === 'ok' || decision.message !== '').toBe(true)
    },
  )
})

describe('leaders', () => {
  const known = { ...NO_IDENTITY, clusterId: 'c', maxEpoch: [3, 2] as const, maxPosition: 100 }
  test.each([
    { desc: 'the same epoch', leader: { epoch: [3, 2] as const, clusterId: 'c', position: 100 }, why: null },
    { desc: 'a higher round', leader: { epoch: [4, 1] as const }, why: null },
    { desc: 'a lower round', leader: { epoch: [2, 9] as const }, why: 'stale leader epoch 2.9 < 3.2' },
    {
      desc: 'the same round of a lower member',
      leader: { epoch: [3, 1] as const },
      why: 'stale leader epoch 3.1 < 3.2',
    },
    {
      desc: 'another cluster',
      leader: { epoch: [9, 1] as const, clusterId: 'x' },
      why: 'foreign cluster x, this agent belongs to c',
    },
    {
      desc: 'a log that went backwards',
      leader: { epoch: [9, 1] as const, clusterId: 'c', position: 99 },
      why: "leader's log went backwards: position 99 < 100",
    },
  ])('$desc: $why', ({ leader, why }) => {
    expect(fence(known, leader)).toBe(why)
    expect(fence(NO_IDENTITY, leader)).toBe(null)
  })

  test('epochs are compared round first', () => {
    expect(compareEpochs([2, 1], [1, 9])).toBeGreaterThan(0)
    expect(compareEpochs([1, 1], [1, 1])).toBe(0)
  })
})

test('agent-42: a sandbox may stay for its whole time on an empty disk, not at all on one that is 90 % full', () => {
  expect(sandboxKeepMs(1_000, 0)).toBe(900)
  expect(sandboxKeepMs(1_000, 0.5)).toBe(400)
  expect(sandboxKeepMs(1_000, 0.95)).toBe(0)
})

test('redials: quick at first on one machine, then full jitter that grows to its limit', () => {
  expect(redialDelayMs(0, 0.9, true, 30_000)).toBe(100)
  expect(redialDelayMs(LOOPBACK_QUICK_DIALS, 0.5, true, 30_000)).toBe(15_000)
  expect([0, 1, 2, 3].map(attempts => redialDelayMs(attempts, 1, false, 30_000))).toEqual([500, 1_000, 2_000, 4_000])
  expect(redialDelayMs(99, 0, false, 30_000)).toBe(0)
})
