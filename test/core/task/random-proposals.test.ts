import fc from 'fast-check'
import { expect, test } from 'vitest'
import { agentId, configId, type JobKey, taskId } from '../../../src/core/base/ids.ts'
import { prng } from '../../../src/core/base/prng.ts'
import type { TaskConfig } from '../../../src/core/job/task-config.ts'
import type { TaskRow } from '../../../src/core/ledger/rows.ts'
import { insertTasks } from '../../../src/core/task/creation.ts'
import { FLAPPING_SETTINGS } from '../../../src/core/task/flapping.ts'
import { isActive, isTerminal, TASK_STATUSES, type TaskStatusOrDeleted } from '../../../src/core/task/status.ts'
import { decide } from '../../../src/core/task/transitions.ts'

const JOB: JobKey = { role: 'r', environment: 'devel', name: 'n' }
const INSTANCES = 8
const STATES = [...Object.keys(TASK_STATUSES), 'DELETED'] as TaskStatusOrDeleted[]

function config(isService: boolean, maxTaskFailures: number): TaskConfig {
  return {
    job: JOB,
    owner: 'r',
    isService,
    maxTaskFailures,
    priority: 0,
    production: false,
    tier: 'preemptible',
    resources: { cpusMilli: 1, ramMb: 1, diskMb: 1, gpus: 0 },
    ports: [],
    constraints: [],
    metadata: [],
    executor: { name: 'AuroraExecutor', data: '' },
  }
}

/** Plays random proposals against a store of rows, and checks it after each. */
function play(
  seed: number,
  steps: number,
  { isService, maxTaskFailures }: Pick<TaskConfig, 'isService' | 'maxTaskFailures'>,
) {
  const random = prng(seed)
  const rows = new Map<string, TaskRow>()
  const everBorn = new Set<string>()
  const reached = new Set<string>()
  const of = config(isService, maxTaskFailures)
  const pick = <T>(from: readonly T[]): T => from[random.int(0, from.length)] as T
  let nowMs = 0
  const newTaskId = () => taskId(`t${everBorn.size}-${random.int(0, 1e9)}`)
  const active = () => [...rows.values()].filter(row => isActive(row.status))

  for (let step = 0; step < steps; step++) {
    nowMs += random.int(-50, 1000)
    const free = Array.from({ length: INSTANCES }, (_, n) => n)
    if (random.next() < 0.02) {
      const taken = new Set(active().map(row => row.instance))
      const facts = { job: JOB, configId: configId('c'), taken, nowMs, scheduler: 's', newTaskId }
      const instances = free.filter(() => random.next() < 0.5)
      const inserted = insertTasks({ ...facts, instances })
      if (inserted.type === 'inserted')
        for (const change of inserted.changes) if (change.type === 'put') rows.set(change.key, change.row as TaskRow)
    }
    if (random.next() < 0.01)
      for (const row of [...rows.values()]) if (isTerminal(row.status) && random.next() < 0.5) rows.delete(row.taskId)

    const id = random.next() < 0.02 || rows.size === 0 ? taskId('stranger') : pick([...rows.keys()])
    const row = rows.get(id)
    const to = pick(STATES)
    const decision = decide(
      row === undefined ? null : { row, config: of },
      {
        taskId: taskId(id),
        to,
        ...(random.next() < 0.3 ? { agentSeq: random.int(0, 5) } : {}),
        ...(random.next() < 0.8 ? { placement: { agentId: agentId('a'), host: 'h', ports: { http: 31_000 } } } : {}),
      },
      {
        nowMs,
        scheduler: 's',
        flapping: FLAPPING_SETTINGS,
        random: prng(nowMs),
        heldBackMs: () => pick([0, 1000]),
        newTaskId,
      },
    )
    if (decision.result !== 'SUCCESS') expect(decision.changes).toEqual([])
    for (const change of decision.changes) {
      expect(change.table).toBe('task')
      if (change.type === 'delete') rows.delete(change.key)
      else rows.set(change.key, change.row as TaskRow)
    }

    const slots = active().map(one => one.instance)
    expect(new Set(slots).size).toBe(slots.length)
    for (const one of rows.values()) everBorn.add(one.taskId)
    if (decision.replacement !== null) {
      expect(everBorn.has(decision.replacement.ancestorId ?? '')).toBe(true)
      expect(decision.replacement).not.toHaveProperty('host')
    }
    const next = decision.row
    if (next === null) continue
    reached.add(next.status)
    expect(next.events.at(-1)?.status).toBe(next.status)
    for (const [at, event] of next.events.entries())
      if (at > 0) expect(event.atMs).toBeGreaterThanOrEqual(next.events[at - 1]?.atMs ?? 0)
  }
  return reached
}

test('10,000 random proposals, legal and illegal: at most one active task per instance, every ancestor known', () => {
  const reached = play(7, 10_000, { isService: true, maxTaskFailures: 1 })
  // Else the run would have proved nothing: all but INIT has been seen.
  expect([...reached].sort()).toEqual(
    Object.keys(TASK_STATUSES)
      .filter(status => status !== 'INIT')
      .sort(),
  )
})

test('any seed, services and ad-hoc jobs, any limit: the same holds', () => {
  fc.assert(
    fc.property(fc.integer(), fc.boolean(), fc.integer({ min: -1, max: 3 }), (seed, isService, maxTaskFailures) => {
      play(seed, 300, { isService, maxTaskFailures })
    }),
    { numRuns: 40 },
  )
})
