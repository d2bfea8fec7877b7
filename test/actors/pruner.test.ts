import { expect, test } from 'vitest'
import { silentMetrics } from '../../src/actors/ports.ts'
import { DELETES_MAX, prunerSpec } from '../../src/actors/pruner.ts'
import { createSimSystem, type SimSystem } from '../../src/actors/sim-shell.ts'
import { configId, taskId } from '../../src/core/base/ids.ts'
import type { TaskRow } from '../../src/core/ledger/rows.ts'
import type { RowChange } from '../../src/core/ledger/transaction.ts'
import { PRUNE_SETTINGS, type PruneSettings } from '../../src/core/task/pruning.ts'
import type { TaskStatus } from '../../src/core/task/status.ts'
import { UPDATE_PRUNE_SETTINGS } from '../../src/core/update/history-pruning.ts'
import { InstantLedger } from '../fixtures/instant-ledger.ts'
import { putUpdate, putUpdateEvent, updateEvent, updateRow } from '../fixtures/rows.ts'

const HOUR = 3_600_000
const START = 1_000 * HOUR
const DAY = 24 * HOUR

interface Bench {
  readonly sim: SimSystem
  readonly ledger: InstantLedger
  /** How many rows each transaction of the pruner deleted. */
  readonly deletes: number[]
  timers(): boolean
}

async function bench(
  rows: readonly TaskRow[] = [],
  settings: Partial<PruneSettings> = {},
  updates = { ...UPDATE_PRUNE_SETTINGS, intervalMs: 15 * 60_000 },
): Promise<Bench> {
  const sim = createSimSystem({ seed: 1, startWallMs: START })
  const ledger = new InstantLedger()
  ledger.put(...rows.map(put))
  const deletes: number[] = []
  ledger.subscribe('committed', ({ transaction }) => {
    if (transaction.cause.who === 'pruner') deletes.push(transaction.changes.length)
  })
  const pruner = prunerSpec({ ledger, metrics: silentMetrics, settings: { ...PRUNE_SETTINGS, ...settings }, updates })
  sim.spawn(pruner)
  await sim.settle()
  const timers = () => sim.inspection.actors().find(one => one.kind === 'Pruner')?.stateSummary.isTimerSet === true
  return { sim, ledger, deletes, timers }
}

function row(n: number, atMs: number, status: TaskStatus = 'FAILED', job = 'n'): TaskRow {
  return {
    v: 1,
    taskId: taskId(`t${String(n).padStart(5, '0')}`),
    job: { role: 'r', environment: 'devel', name: job },
    instance: n,
    configId: configId('c'),
    status,
    version: 1,
    ports: {},
    failureCount: 0,
    timesPartitioned: 0,
    agentSeq: 0,
    events: [{ atMs, status, scheduler: 's' }],
  }
}
const put = (task: TaskRow): RowChange => ({ type: 'put', table: 'task', key: task.taskId, row: task })
const range = (count: number) => Array.from({ length: count }, (_, n) => n)
const left = ({ ledger }: Bench) => ledger.view.counts.tasks

test('life-48: 100 tasks that ended over an hour ago, one more ends: exactly the oldest goes', async () => {
  const it = await bench(range(100).map(n => row(n, START - 2 * HOUR + n)))
  expect(left(it)).toBe(100)
  await it.sim.advance(5_000)
  it.ledger.put(put(row(500, START + 5_000)))
  await it.sim.settle()
  expect(left(it)).toBe(100)
  expect(it.ledger.view.task(taskId('t00000'))).toBeUndefined()
  expect(it.deletes).toEqual([1])
})

test('life-48: 101 tasks that ended within the hour: nothing is deleted until the oldest is an hour old', async () => {
  const it = await bench(range(101).map(n => row(n, START - HOUR / 2 + n)))
  await it.sim.advance(HOUR / 2 - 1)
  expect(it.deletes).toEqual([])
  await it.sim.advance(2)
  expect(it.deletes).toEqual([1])
  expect(it.ledger.view.task(taskId('t00000'))).toBeUndefined()
})

test('life-49: found 47 h after its end, or 10 days after: gone an hour after the change of leader', async () => {
  const it = await bench([row(1, START - 47 * HOUR), row(2, START - 10 * DAY), row(3, START - HOUR)])
  await it.sim.advance(HOUR - 1)
  expect(left(it)).toBe(3)
  await it.sim.advance(1)
  expect(left(it)).toBe(1)
  await it.sim.advance(46 * HOUR - 1)
  expect(left(it)).toBe(1)
  await it.sim.advance(1)
  expect(left(it)).toBe(0)
})

test('life-49: a job in which nothing else happens: its ended task goes two days after its end', async () => {
  const it = await bench()
  it.ledger.put(put(row(1, START)))
  await it.sim.advance(2 * DAY - 1)
  expect(left(it)).toBe(1)
  await it.sim.advance(1)
  expect(left(it)).toBe(0)
  expect(it.timers()).toBe(false)
})

test('life-50: a task that comes to run: no timer', async () => {
  const it = await bench()
  it.ledger.put(put(row(1, START, 'ASSIGNED')))
  it.ledger.put(put({ ...row(1, START, 'RUNNING'), version: 2 }))
  await it.sim.settle()
  expect(it.timers()).toBe(false)
})

test('many due at once: no transaction deletes more than 300, and the next waits for the commit of the last', async () => {
  const it = await bench(
    range(700).map(n => row(n, START - 5 * DAY + n)),
    { perJobMax: 1_000 },
  )
  it.ledger.isHeld = true
  await it.sim.advance(HOUR)
  expect(left(it)).toBe(700 - DELETES_MAX)
  await it.sim.advance(HOUR)
  expect(left(it)).toBe(700 - DELETES_MAX)
  it.ledger.isHeld = false
  it.ledger.commit()
  await it.sim.settle()
  expect(it.deletes).toEqual([300, 300, 100])
  expect(left(it)).toBe(0)
})

test('two crowded jobs: each keeps its own number, and neither deletes for the other', async () => {
  const old = START - 5 * HOUR
  const it = await bench([
    ...range(150).map(n => row(n, old + n)),
    ...range(90).map(n => row(1000 + n, old, 'LOST', 'm')),
  ])
  expect(left(it)).toBe(190)
  expect(it.ledger.view.endedCountOfJob({ role: 'r', environment: 'devel', name: 'n' })).toBe(100)
})

test('the ledger takes nothing in: nothing is deleted, and it is tried again', async () => {
  const it = await bench(range(101).map(n => row(n, START - HOUR + n + 10)))
  it.ledger.refused = { type: 'rejected', code: 'BUSY', detail: 'full' }
  await it.sim.advance(10_000)
  expect(it.deletes).toEqual([])
  it.ledger.refused = null
  await it.sim.advance(1_000)
  expect(it.deletes).toEqual([1])
})

test('life-52: every 15 min: ended updates of a job without tasks go with all their events, active ones stay', async () => {
  const it = await bench([row(1, START)])
  const job = { role: 'r', environment: 'devel', name: 'n' }
  const other = { ...job, name: 'gone' }
  it.ledger.put(
    putUpdate(updateRow('kept', { job })),
    putUpdateEvent(updateEvent('kept', 1, { job, atMs: START, status: 'ROLLED_FORWARD' })),
    putUpdate(updateRow('orphan', { job: other })),
    putUpdateEvent(updateEvent('orphan', 1, { job: other, atMs: START, status: 'ROLLING_FORWARD' })),
    putUpdateEvent(updateEvent('orphan', 2, { job: other, atMs: START, status: 'ERROR' })),
    putUpdate(updateRow('active', { job: other })),
    putUpdateEvent(updateEvent('active', 1, { job: other, atMs: START, status: 'ROLLING_BACK' })),
  )
  await it.sim.advance(15 * 60_000 - 1)
  expect(it.deletes).toEqual([])
  await it.sim.advance(1)
  expect([...it.ledger.view.rows('update').keys()]).toEqual(['r/devel/n/kept', 'r/devel/gone/active'])
  expect(it.ledger.view.rows('updateEvent').size).toBe(2)
  expect(it.deletes).toEqual([3])
})

test('life-52: keep 2, 700 ended updates of a job: the two newest stay, and no transaction is much larger than 300 rows', async () => {
  const it = await bench([row(1, START)], {}, { perJobMax: 2, ageMsMax: 30 * DAY, intervalMs: 15 * 60_000 })
  const job = { role: 'r', environment: 'devel', name: 'n' }
  for (const n of range(700)) {
    const event = updateEvent(`u${n}`, 1, { job, atMs: START + n, status: 'FAILED' })
    it.ledger.put(putUpdate(updateRow(`u${n}`, { job })), putUpdateEvent(event))
  }
  await it.sim.advance(15 * 60_000)
  expect([...it.ledger.view.rows('update').keys()]).toEqual(['r/devel/n/u698', 'r/devel/n/u699'])
  expect(it.deletes).toEqual([300, 300, 300, 300, 196])
})
