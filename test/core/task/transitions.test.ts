import { describe, expect, test } from 'vitest'
import { agentId, configId, taskId } from '../../../src/core/base/ids.ts'
import { prng } from '../../../src/core/base/prng.ts'
import type { TaskConfig } from '../../../src/core/job/task-config.ts'
import type { TaskEvent, TaskRow } from '../../../src/core/ledger/rows.ts'
import { FLAPPING_SETTINGS } from '../../../src/core/task/flapping.ts'
import { TASK_STATUSES, type TaskStatus, type TaskStatusOrDeleted } from '../../../src/core/task/status.ts'
import { decide, type Effect, type Facts, LOST_BY_PARTITION } from '../../../src/core/task/transitions.ts'

const NOW = 1_000_000
const CONFIG: TaskConfig = {
  job: { role: 'www-data', environment: 'devel', name: 'hello' },
  owner: 'www-data',
  isService: true,
  maxTaskFailures: 1,
  priority: 0,
  production: false,
  tier: 'preemptible',
  resources: { cpusMilli: 100, ramMb: 64, diskMb: 64, gpus: 0 },
  ports: ['http'],
  constraints: [],
  metadata: [],
  executor: { name: 'AuroraExecutor', data: '{}' },
}
const SERVICE = CONFIG
const ADHOC: TaskConfig = { ...CONFIG, isService: false }
const FACTS: Facts = {
  nowMs: NOW,
  scheduler: 'leader-1',
  flapping: FLAPPING_SETTINGS,
  random: prng(1),
  heldBackMs: () => 0,
  newTaskId: () => taskId('new'),
}
const PLACEMENT = { agentId: agentId('agent-1'), host: 'host-1', ports: { http: 31_000 } }

const UNPLACED: ReadonlySet<TaskStatusOrDeleted> = new Set(['INIT', 'PENDING', 'THROTTLED'])

function task(status: TaskStatus, more: Partial<TaskRow> = {}, history: readonly TaskStatus[] = [status]): TaskRow {
  return {
    v: 1,
    taskId: taskId('old'),
    job: CONFIG.job,
    instance: 3,
    configId: configId('c'),
    status,
    version: 7,
    ...(UNPLACED.has(status) ? { ports: {} } : PLACEMENT),
    failureCount: 0,
    timesPartitioned: 0,
    agentSeq: 0,
    events: status === 'INIT' ? [] : history.map((one, at) => event(one, at)),
    ...more,
  }
}
const JUST_NOW: TaskEvent = { atMs: NOW - 10_000, status: 'RUNNING', scheduler: 'leader-0' }
const event = (status: TaskStatus, at: number): TaskEvent => ({ atMs: 100 + at, status, scheduler: 'leader-0' })

function propose(row: TaskRow | null, to: TaskStatusOrDeleted, config = SERVICE, more: object = {}) {
  const subject = row === null ? null : { row, config }
  return decide(subject, { taskId: taskId('old'), to, placement: PLACEMENT, ...more }, FACTS)
}
const statuses = (row: TaskRow | null): string[] => row?.events.map(one => one.status) ?? []

/**
 * The table of the task life cycle, section 4, with ◆2 to ◆5. `.` noop, blank illegal, `K!` illegal and kill, else the
 * effects of a service: s SAVE, i INC, r RESCHED, l TO_LOST, k KILL, d DEL. Lower case after `/`: those of an ad-hoc
 * task whose only allowed failure this is.
 */
const MATRIX = `
from        | INIT | PENDING | THROTTLED | ASSIGNED | STARTING | RUNNING | FINISHED | FAILED  | KILLED | LOST | PARTITIONED | KILLING | RESTARTING | DRAINING | PREEMPTING | DELETED
INIT        | .    | s       | s         |          |          |         |          |         |        |      |             |         |            |          |            |
THROTTLED   |      | s       | .         |          |          |         |          |         |        |      |             | d       |            |          |            |
PENDING     |      | .       |           | s        |          |         |          |         |        |      |             | d       |            |          |            |
ASSIGNED    |      |         |           | .        | s        | s       | sr/s     | isr/is  | sr     | srk  | slsrk       | sk      | sk         | sk       | sk         |
STARTING    |      |         |           |          | .        | s       | sr/s     | isr/is  | sr     | srk  | s           | sk      | sk         | sk       | sk         |
RUNNING     |      |         |           |          |          | .       | sr/s     | isr/is  | sr     | srk  | s           | sk      | sk         | sk       | sk         |
PARTITIONED |      |         |           | s        | s        | s       | sr/s     | isr/is  | sr     | srk  | .           | slsk    | slsrk      | slsrk    | slsrk      |
PREEMPTING  |      |         |           | K!       | K!       | K!      | sr/s     | sr      | sr     | srk  | slsrk       | s       |            |          | .          |
RESTARTING  |      |         |           | K!       | K!       | K!      | sr       | sr      | sr     | srk  | slsrk       | s       | .          |          |            |
DRAINING    |      |         |           | K!       | K!       | K!      | sr/s     | sr      | sr     | srk  | slsrk       | s       |            | .        |            |
KILLING     |      |         |           | K!       | K!       | K!      | s        | s       | s      | sk   | slsk        | .       |            |          |            | d
FINISHED    |      |         |           | K!       | K!       | K!      | .        |         |        |      |             |         |            |          |            | d
FAILED      |      |         |           | K!       | K!       | K!      |          | .       |        |      |             |         |            |          |            | d
KILLED      |      |         |           | K!       | K!       | K!      |          |         | .      |      |             |         |            |          |            | d
LOST        |      |         |           | K!       | K!       | K!      |          |         |        | .    |             |         |            |          |            | d
DELETED     |      |         |           | K!       | K!       | K!      |          |         |        |      |             |         |            |          |            | .
`
const LETTERS: Record<string, Effect> = { s: 'SAVE', i: 'INC', r: 'RESCHED', l: 'TO_LOST', k: 'KILL', d: 'DEL' }

describe('every state, every proposal', () => {
  const [head = [], ...rows] = MATRIX.trim()
    .split('\n')
    .map(line => line.split('|').map(cell => cell.trim()))
  const columns = head.slice(1) as TaskStatusOrDeleted[]
  const states = [...Object.keys(TASK_STATUSES), 'DELETED'].sort()

  test('the matrix names every state, in both directions', () => {
    expect([...columns].sort()).toEqual(states)
    expect(rows.map(row => row[0]).sort()).toEqual(states)
  })

  for (const [from = '', ...cells] of rows)
    for (const [at, to] of columns.entries()) {
      const cell = cells[at] ?? ''
      test(`${from}, ${to} proposed: ${cell === '' ? 'illegal' : cell}`, () => {
        const [service = '', adhoc = service] = cell.split('/')
        for (const [config, expected] of [[SERVICE, service] as const, [ADHOC, adhoc] as const]) {
          const row = from === 'DELETED' ? null : task(from as TaskStatus)
          const decision = propose(row, to, config)
          if (expected === '') expect(decision).toMatchObject({ result: 'ILLEGAL', effects: [], outputs: [] })
          else if (expected === '.') expect(decision).toMatchObject({ result: 'NOOP', effects: [], outputs: [] })
          else if (expected === 'K!')
            expect(decision).toMatchObject({
              result: 'ILLEGAL_WITH_SIDE_EFFECTS',
              effects: ['KILL'],
              outputs: [{ type: 'kill', taskId: 'old', agentId: from === 'DELETED' ? null : 'agent-1' }],
            })
          else {
            expect(decision.result).toBe('SUCCESS')
            expect(decision.effects).toEqual([...expected].map(letter => LETTERS[letter]))
            expect(decision.outputs.filter(one => one.type === 'kill')).toHaveLength(expected.includes('k') ? 1 : 0)
            expect(decision.replacement !== null).toBe(expected.includes('r'))
            expect(decision.row === null).toBe(expected.includes('d'))
          }
          if (!/[a-z]/.test(expected)) {
            expect(decision.changes).toEqual([])
            expect(decision.row).toBe(row)
          }
        }
      })
    }
})

describe('failures', () => {
  const failed = (config: Partial<TaskConfig>, failureCount: number) =>
    propose(task('RUNNING', { failureCount }), 'FAILED', { ...ADHOC, ...config })

  test('limit 10, 8 failures so far: FAILED counts to 9 and is run again; at 9 it counts to 10 and is not', () => {
    const ninth = failed({ maxTaskFailures: 10 }, 8)
    expect([ninth.row?.failureCount, ninth.replacement?.failureCount, ninth.limitReached]).toEqual([9, 9, false])
    const tenth = failed({ maxTaskFailures: 10 }, 9)
    expect([tenth.row?.failureCount, tenth.replacement, tenth.limitReached]).toEqual([10, null, true])
  })

  test('no limit (-1) and 1,000 failures: run again; limit 0 or 1 and none: not', () => {
    expect(failed({ maxTaskFailures: -1 }, 1000).replacement).not.toBeNull()
    expect(failed({ maxTaskFailures: 0 }, 0).replacement).toBeNull()
    expect(failed({ maxTaskFailures: 1 }, 0).replacement).toBeNull()
  })

  test('service with limit 1 that fails five times: still replaced, the newest carries 5', () => {
    let row = task('RUNNING')
    for (let n = 0; n < 5; n++) {
      const { replacement } = propose(row, 'FAILED', SERVICE)
      expect(replacement).not.toBeNull()
      row = { ...task('RUNNING'), failureCount: replacement?.failureCount ?? -1 }
    }
    expect(row.failureCount).toBe(5)
  })

  test('ad-hoc task with one failure, LOST: the replacement carries the one', () => {
    expect(propose(task('RUNNING', { failureCount: 1 }), 'LOST', ADHOC).replacement?.failureCount).toBe(1)
  })

  test('DRAINING ad-hoc task, FAILED: run again, and the failure is not counted', () => {
    const { row, replacement } = propose(task('DRAINING', {}, ['RUNNING', 'DRAINING']), 'FAILED', ADHOC)
    expect([row?.failureCount, replacement?.failureCount]).toEqual([0, 0])
  })
})

describe('kills', () => {
  test('PENDING, KILLING proposed: the row goes without an event; KILLING once more is illegal', () => {
    const decision = propose(task('PENDING'), 'KILLING')
    expect(decision.result).toBe('SUCCESS')
    expect(decision.changes).toEqual([{ type: 'delete', table: 'task', key: 'old' }])
    expect(decision.outputs).toEqual([])
    expect(propose(null, 'KILLING').result).toBe('ILLEGAL')
  })

  test('KILLING, whatever end arrives: terminal and never replaced', () => {
    for (const end of ['KILLED', 'FAILED', 'FINISHED', 'LOST'] as const) {
      const { row, replacement } = propose(task('KILLING', {}, ['RUNNING', 'KILLING']), end)
      expect([row?.status, replacement]).toEqual([end, null])
    }
  })

  test('KILLING, PARTITIONED arrives: LOST in the same record, no replacement', () => {
    const { row, replacement, changes } = propose(task('KILLING', {}, ['RUNNING', 'KILLING']), 'PARTITIONED')
    expect(statuses(row)).toEqual(['RUNNING', 'KILLING', 'PARTITIONED', 'LOST'])
    expect(row?.events.at(-1)?.message).toBe(LOST_BY_PARTITION)
    expect(replacement).toBeNull()
    expect(changes).toHaveLength(1)
  })

  test('RESTARTING, PARTITIONED arrives: LOST in the same record and replaced, even with reschedule=false', () => {
    const config = { ...SERVICE, partitionPolicy: { reschedule: false, delaySecs: 0 } }
    const { row, replacement } = propose(task('RESTARTING', {}, ['RUNNING', 'RESTARTING']), 'PARTITIONED', config)
    expect(statuses(row)).toEqual(['RUNNING', 'RESTARTING', 'PARTITIONED', 'LOST'])
    expect(replacement?.status).toBe('PENDING')
  })

  test('RESTARTING, RUNNING arrives: illegal with a kill, state unchanged', () => {
    const row = task('RESTARTING')
    const decision = propose(row, 'RUNNING')
    expect(decision.result).toBe('ILLEGAL_WITH_SIDE_EFFECTS')
    expect(decision.row).toBe(row)
    expect(decision.outputs).toEqual([
      { type: 'kill', taskId: 'old', agentId: 'agent-1', reason: 'Task is RESTARTING.' },
    ])
  })

  test('unknown id, RUNNING: one kill, to the agent that reports it; FINISHED: illegal, nothing', () => {
    expect(propose(null, 'RUNNING', SERVICE, { agentId: agentId('a9') }).outputs).toEqual([
      { type: 'kill', taskId: 'old', agentId: 'a9', reason: 'Unknown task.' },
    ])
    expect(propose(null, 'FINISHED')).toMatchObject({ result: 'ILLEGAL', outputs: [] })
  })

  test('ASSIGNED, PARTITIONED: LOST in the same record, replaced, killed', () => {
    const { row, replacement, outputs } = propose(task('ASSIGNED', {}, ['PENDING', 'ASSIGNED']), 'PARTITIONED')
    expect(statuses(row)).toEqual(['PENDING', 'ASSIGNED', 'PARTITIONED', 'LOST'])
    expect(replacement?.ancestorId).toBe('old')
    expect(outputs.map(one => one.type)).toEqual(['kill'])
  })

  test('a kill was on record when the link broke: the lost task is not replaced', () => {
    const row = task('PARTITIONED', {}, ['RUNNING', 'KILLING', 'PARTITIONED'])
    expect(propose(row, 'LOST').replacement).toBeNull()
  })
})

describe('replacements', () => {
  test('a service that ended by itself: a new id, the same instance and config, no host, no ports, its ancestor named', () => {
    const { replacement, changes } = propose(task('RUNNING', { timesPartitioned: 2 }), 'FINISHED')
    expect(replacement).toEqual({
      v: 1,
      taskId: 'new',
      job: CONFIG.job,
      instance: 3,
      configId: 'c',
      status: 'PENDING',
      version: 1,
      ports: {},
      failureCount: 0,
      timesPartitioned: 0,
      ancestorId: 'old',
      agentSeq: 0,
      events: [
        {
          atMs: NOW,
          status: 'PENDING',
          message: 'Rescheduled',
          scheduler: 'leader-1',
          who: 'rescheduler',
          why: 'was RUNNING, ended FINISHED',
        },
      ],
    })
    expect(changes.map(change => [change.type, change.key])).toEqual([
      ['put', 'old'],
      ['put', 'new'],
    ])
  })

  test('after RESTARTING, DRAINING or PREEMPTING: PENDING at once, without a pause', () => {
    for (const status of ['RESTARTING', 'DRAINING', 'PREEMPTING'] as const) {
      const { replacement } = propose(task(status, {}, ['RUNNING', status]), 'KILLED')
      expect([replacement?.status, replacement?.readyAtMs]).toEqual(['PENDING', undefined])
    }
  })

  test('the second run in a row that ended too soon: THROTTLED until the stored moment, which the message tells', () => {
    const { replacement } = propose(task('RUNNING', { flapCount: 1, events: [JUST_NOW] }), 'FAILED')
    const pauseMs = (replacement?.readyAtMs ?? 0) - NOW
    expect(pauseMs).toBeGreaterThanOrEqual(30_000)
    expect(pauseMs).toBeLessThanOrEqual(60_000)
    expect(replacement).toMatchObject({ status: 'THROTTLED', flapCount: 2 })
    expect(replacement?.events[0]?.message).toBe(`Rescheduled, penalized for ${pauseMs} ms for flapping`)
  })

  test('a run that lasted: PENDING at once, and nothing is counted any more', () => {
    const subject = { row: task('RUNNING', { flapCount: 9 }), config: SERVICE }
    const facts: Facts = { ...FACTS, nowMs: 100 + 300_000, heldBackMs: () => 5000 }
    const { replacement } = decide(subject, { taskId: taskId('old'), to: 'FAILED' }, facts)
    expect(replacement?.status).toBe('PENDING')
    expect(replacement).not.toHaveProperty('flapCount')
  })

  test('its job is held back: THROTTLED even after the first flap; the longer of both waits counts', () => {
    const held = (flapCount: number, heldBackMs: number) =>
      decide(
        { row: task('RUNNING', { flapCount, events: [JUST_NOW] }), config: SERVICE },
        { taskId: taskId('old'), to: 'FAILED' },
        { ...FACTS, heldBackMs: () => heldBackMs },
      ).replacement
    expect(held(0, 70)).toMatchObject({ status: 'THROTTLED', flapCount: 1, readyAtMs: NOW + 70 })
    expect(held(1, 70)?.readyAtMs).toBeGreaterThanOrEqual(NOW + 30_000)
    expect(held(1, 400_000)?.readyAtMs).toBe(NOW + 400_000)
  })

  test('THROTTLED becomes PENDING: the moment it waited for is gone from the row', () => {
    const { row } = propose(task('THROTTLED', { readyAtMs: 5 }), 'PENDING')
    expect(row).not.toHaveProperty('readyAtMs')
  })

  test('PARTITIONED service, FINISHED or KILLED: replaced; DRAINING batch task, FINISHED: not', () => {
    expect(propose(task('PARTITIONED'), 'FINISHED').replacement).not.toBeNull()
    expect(propose(task('PARTITIONED'), 'KILLED').replacement).not.toBeNull()
    expect(propose(task('DRAINING'), 'FINISHED', ADHOC).replacement).toBeNull()
  })
})

describe('compare and set', () => {
  test('another status, or no task: INVALID_CAS_STATE and nothing else', () => {
    const cas = { expectStatus: 'PENDING' }
    expect(propose(task('ASSIGNED'), 'LOST', SERVICE, cas)).toMatchObject({ result: 'INVALID_CAS_STATE', changes: [] })
    expect(propose(null, 'RUNNING', SERVICE, cas)).toMatchObject({ result: 'INVALID_CAS_STATE', outputs: [] })
    expect(propose(task('ASSIGNED'), 'LOST', SERVICE, { expectVersion: 6 }).result).toBe('INVALID_CAS_STATE')
    expect(propose(task('ASSIGNED'), 'LOST', SERVICE, { expectVersion: 7 }).result).toBe('SUCCESS')
  })

  test('PENDING to ASSIGNED: host and ports stand in the very row that has the event, and the launch follows', () => {
    const { row, outputs } = propose(task('PENDING'), 'ASSIGNED')
    expect(row).toMatchObject({ status: 'ASSIGNED', version: 8, ...PLACEMENT })
    expect(outputs).toEqual([{ type: 'launch', taskId: 'old' }])
  })

  test('ASSIGNED proposed without a place: illegal', () => {
    expect(propose(task('PENDING'), 'ASSIGNED', SERVICE, { placement: undefined }).result).toBe('ILLEGAL')
  })
})

describe('reports of agents', () => {
  test('sequence number below the stored one: a no-op, whatever it says', () => {
    const row = task('RUNNING', { agentSeq: 5 })
    expect(propose(row, 'FAILED', SERVICE, { agentSeq: 4 })).toMatchObject({ result: 'NOOP', changes: [] })
  })

  test('the stored number again: decided again, so a healed agent brings a PARTITIONED task back', () => {
    const row = task('PARTITIONED', { agentSeq: 5 }, ['RUNNING', 'PARTITIONED'])
    expect(propose(row, 'RUNNING', SERVICE, { agentSeq: 5 })).toMatchObject({
      result: 'SUCCESS',
      row: { status: 'RUNNING', agentSeq: 5 },
    })
  })

  test('redelivered after its commit: a no-op, and the failure is counted once', () => {
    const { row } = propose(task('RUNNING'), 'FAILED', SERVICE, { agentSeq: 2 })
    expect(row?.failureCount).toBe(1)
    expect(propose(row, 'FAILED', SERVICE, { agentSeq: 2 })).toMatchObject({ result: 'NOOP', changes: [] })
  })

  test('terminal task, the same end again: no-op; another end: illegal, history unchanged', () => {
    const row = task('FAILED')
    expect(propose(row, 'FAILED').result).toBe('NOOP')
    expect(propose(row, 'FINISHED')).toMatchObject({ result: 'ILLEGAL', row, changes: [] })
  })
})

describe('history', () => {
  test('a clock that steps back: the event has the time of the one before', () => {
    const row = task('RUNNING', { flapCount: 1, events: [{ ...JUST_NOW, atMs: NOW + 500 }] })
    const { row: next, replacement } = propose(row, 'FAILED')
    expect(next?.events.at(-1)?.atMs).toBe(NOW + 500)
    expect(replacement?.events[0]?.atMs).toBe(NOW + 500)
    expect(replacement?.readyAtMs).toBeGreaterThanOrEqual(NOW + 500 + 30_000)
  })

  test('a link that flaps: the history stays short and every partition is counted', () => {
    let row: TaskRow | null = task('STARTING')
    for (const to of [
      'PARTITIONED',
      'RUNNING',
      'PARTITIONED',
      'RUNNING',
      'PARTITIONED',
      'RUNNING',
      'PARTITIONED',
    ] as const)
      row = propose(row, to).row
    expect(statuses(row)).toEqual(['STARTING', 'PARTITIONED', 'RUNNING', 'PARTITIONED'])
    expect(row?.timesPartitioned).toBe(4)
  })

  test('something else between the partitions: nothing is dropped', () => {
    const row = task('DRAINING', {}, ['RUNNING', 'PARTITIONED', 'RUNNING', 'DRAINING'])
    expect(statuses(propose(row, 'PARTITIONED').row).slice(0, 5)).toEqual([
      'RUNNING',
      'PARTITIONED',
      'RUNNING',
      'DRAINING',
      'PARTITIONED',
    ])
  })
})
