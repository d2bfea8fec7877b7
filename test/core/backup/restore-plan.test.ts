import { describe, expect, test } from 'vitest'
import { type RestoreFacts, restorePlan } from '../../../src/core/backup/restore-plan.ts'
import { agentId, taskId } from '../../../src/core/base/ids.ts'
import { eventsOf } from '../../../src/core/events/cluster-events.ts'
import { netChanges } from '../../../src/core/ledger/net-changes.ts'
import type { TaskRow } from '../../../src/core/ledger/rows.ts'
import { Tables } from '../../../src/core/ledger/tables.ts'
import type { RowChange } from '../../../src/core/ledger/transaction.ts'
import type { TaskStatus } from '../../../src/core/task/status.ts'
import {
  agentRow,
  CAUSE,
  configRow,
  HELLO,
  jobRow,
  putAgent,
  putConfig,
  putJob,
  putTask,
  putUpdate,
  putUpdateEvent,
  taskRow,
  updateEvent,
  updateRow,
} from '../../fixtures/rows.ts'

const FACTS: RestoreFacts = { name: 'B', nowMs: 900_000, scheduler: 'n2', newTaskId: () => taskId('fresh') }

function tables(...changes: readonly RowChange[]): Tables {
  const made = new Tables()
  made.apply([putConfig(configRow()), ...changes])
  return made
}
const placed = (id: string, status: TaskStatus, more: Partial<TaskRow> = {}): RowChange =>
  putTask(taskRow(id, { status, agentId: agentId('a1'), host: 'h', ...more }))
const plan = (now: Tables, staged: Tables) => restorePlan(now, staged, FACTS)
const ids = (rows: readonly TaskRow[]): readonly string[] => rows.map(row => row.taskId)
/** The rows after it, as the ledger applies it. */
function restored(now: Tables, staged: Tables): Tables {
  const { changes } = plan(now, staged)
  now.apply(netChanges(now, changes))
  return now
}

describe('what a restore makes of tasks', () => {
  test('nothing has changed since: no changes, and nothing happens', () => {
    const rows = [placed('t', 'RUNNING'), putJob(jobRow()), putAgent(agentRow('a1'))]
    const { changes, consequences } = plan(tables(...rows), tables(...rows))
    expect(changes).toEqual([])
    expect([consequences.killed, consequences.lost, consequences.again, consequences.forgotten].flat()).toEqual([])
  })

  test('started since: gone from the rows, and told as killed; it only waits: forgotten', () => {
    const now = tables(placed('new', 'RUNNING'), putTask(taskRow('waits', { instance: 1 })))
    const { consequences } = plan(now, tables())
    expect(ids(consequences.killed)).toEqual(['new'])
    expect(ids(consequences.forgotten)).toEqual(['waits'])
    expect(restored(now, tables()).counts.tasks).toBe(0)
  })

  test('alive then, ended or forgotten since: back as it was, and told as lost', () => {
    const staged = tables(placed('ended', 'RUNNING'), placed('pruned', 'STARTING', { instance: 1 }))
    const now = tables(placed('ended', 'FINISHED'))
    expect(ids(plan(now, staged).consequences.lost)).toEqual(['ended', 'pruned'])
    expect(restored(now, staged).task(taskId('ended'))).toEqual({
      ...staged.task(taskId('ended')),
      freshEvents: 0,
    })
  })

  test.each(['PENDING', 'THROTTLED', 'ASSIGNED'] as const)(
    '%s then, running now: it stays as it is and nothing is killed',
    status => {
      const now = tables(placed('t', 'RUNNING', { version: 5 }))
      const { changes, consequences } = plan(now, tables(putTask(taskRow('t', { status }))))
      expect(changes).toEqual([])
      expect(consequences.killed).toEqual([])
    },
  )

  test('it waited then and has ended since: it waits again under an id that no machine knows', () => {
    const staged = tables(placed('t', 'ASSIGNED', { ports: { http: 31_000 }, failureCount: 2 }))
    const now = tables(placed('t', 'FAILED'))
    expect(ids(plan(now, staged).consequences.again)).toEqual(['t'])
    restored(now, staged)
    expect(now.task(taskId('t'))).toBeUndefined()
    expect(now.task(taskId('fresh'))).toMatchObject({ status: 'PENDING', ports: {}, failureCount: 2, version: 1 })
    expect(now.task(taskId('fresh'))?.agentId).toBeUndefined()
    expect(now.task(taskId('fresh'))?.events).toEqual([
      { atMs: 900_000, status: 'PENDING', scheduler: 'n2', message: 'Restored from B' },
    ])
  })

  test('it waits again: its one event is the only new one, however many were when its row was written', () => {
    for (const freshEvents of [undefined, 0, 3]) {
      const staged = tables(placed('t', 'ASSIGNED', freshEvents === undefined ? {} : { freshEvents }))
      const { changes } = plan(tables(placed('t', 'FAILED')), staged)
      const rows = changes.flatMap(change => (change.type === 'put' && change.table === 'task' ? [change.row] : []))
      expect(rows.map(row => [row.taskId, row.events.length, row.freshEvents])).toEqual([['fresh', 1, undefined]])
      const told = eventsOf(9, [{ cause: CAUSE, changes }]).filter(({ type }) => type === 'task.transition')
      expect(told).toMatchObject([{ oldStatus: null, event: { status: 'PENDING', message: 'Restored from B' } }])
    }
  })

  test('it was being killed: its deadline begins anew, and its history says from where it came', () => {
    const now = restored(tables(), tables(placed('t', 'KILLING')))
    expect(now.task(taskId('t'))?.events.at(-1)).toEqual({
      atMs: 900_000,
      status: 'KILLING',
      scheduler: 'n2',
      message: 'Restored from B',
    })
  })

  test('replaced since: the old one has its slot again, in one transaction', () => {
    const now = tables(placed('old', 'LOST'), placed('replacement', 'RUNNING'))
    const staged = tables(placed('old', 'RUNNING'))
    restored(now, staged)
    expect(now.activeTask(HELLO, 0)?.taskId).toBe('old')
    expect(now.counts.tasks).toBe(1)
  })

  test('events of the past are not told again as news; deletes are told', () => {
    const now = tables(placed('new', 'RUNNING'))
    const { changes } = plan(now, tables(placed('old', 'RUNNING'), placed('k', 'KILLING', { instance: 1 })))
    expect(eventsOf(9, [{ cause: CAUSE, changes }]).map(({ type }) => type)).toEqual(['task.deleted'])
  })
})

describe('what a restore makes of the other tables', () => {
  test('jobs: as then; those that come, go and change are told', () => {
    const [a, b, c] = ['a', 'b', 'c'].map(name => ({ ...HELLO, name })) as [typeof HELLO, typeof HELLO, typeof HELLO]
    const now = tables(putJob(jobRow(b)), putJob(jobRow(c, { instanceCount: 9 })))
    const staged = tables(putJob(jobRow(a)), putJob(jobRow(c)))
    expect(plan(now, staged).consequences).toMatchObject({
      jobsAdded: ['www-data/devel/a'],
      jobsRemoved: ['www-data/devel/b'],
      jobsChanged: ['www-data/devel/c'],
    })
    restored(now, staged)
    expect([...now.rows('job')]).toEqual([...staged.rows('job')].reverse())
  })

  test('agents: those of now stay as they are, those that are gone come back', () => {
    const now = tables(putAgent(agentRow('kept', { mode: 'DRAINED' })), putAgent(agentRow('new')))
    restored(now, tables(putAgent(agentRow('kept')), putAgent(agentRow('gone'))))
    expect(now.agents().map(({ agentId: id, mode }) => [id, mode])).toEqual([
      ['gone', 'NONE'],
      ['kept', 'DRAINED'],
      ['new', 'NONE'],
    ])
  })

  test('facts of the cluster stay; outcomes of requests are those of then', () => {
    const meta = (value: number): RowChange => ({
      type: 'put',
      table: 'meta',
      key: 'm',
      row: { v: 1, name: 'm', value },
    })
    const request = (requestId: string): RowChange => ({
      type: 'put',
      table: 'request',
      key: requestId,
      row: { v: 1, requestId, fingerprint: 'f', outcome: null, atMs: 1 },
    })
    const now = restored(tables(meta(2), request('since')), tables(meta(1), request('before')))
    expect(now.meta('m')?.value).toBe(2)
    expect([...now.rows('request').keys()]).toEqual(['before'])
  })

  test('updates and their events: as then', () => {
    const now = tables(putUpdate(updateRow('u2')), putUpdateEvent(updateEvent('u2', 1, { status: 'ERROR' })))
    const staged = tables(putUpdate(updateRow('u1')), putUpdateEvent(updateEvent('u1', 1, { status: 'ABORTED' })))
    restored(now, staged)
    expect([...now.rows('update')]).toEqual([...staged.rows('update')])
    expect([...now.rows('updateEvent')]).toEqual([...staged.rows('updateEvent')])
    expect(now.updateEvents('www-data/devel/hello/u2')).toEqual([])
  })

  test('quotas: as then; what was set, raised or is new since is undone, and counted', () => {
    const quota = (role: string, cores: number): RowChange => {
      const row = { v: 1, role, quota: { cpusMilli: cores * 1000, ramMb: 1, diskMb: 1 } } as const
      return { type: 'put', table: 'quota', key: role, row }
    }
    const now = tables(quota('new', 1), quota('raised', 2), quota('same', 3))
    const staged = tables(quota('gone', 4), quota('raised', 1), quota('same', 3))
    expect(plan(now, staged).counts).toEqual({ quota: { put: 2, deleted: 1 } })
    restored(now, staged)
    expect([...now.rows('quota').values()].map(row => [row.role, row.quota.cpusMilli]).sort()).toEqual([
      ['gone', 4000],
      ['raised', 1000],
      ['same', 3000],
    ])
  })

  test('a configuration that nobody uses any more goes, one that is used again comes', () => {
    const now = tables(putConfig(configRow('c2')), putTask(taskRow('n', { configId: configRow('c2').configId })))
    restored(now, tables(putTask(taskRow('t'))))
    expect([...now.rows('config').keys()]).toEqual(['c1'])
  })
})

describe('the digest of a diff', () => {
  const staged = tables(placed('t', 'RUNNING'), putJob(jobRow()))
  const digest = (now: Tables): string => plan(now, staged).consequences.digest

  test('a task goes on in its life: the same digest', () => {
    expect(digest(tables(placed('x', 'STARTING')))).toBe(digest(tables(placed('x', 'RUNNING', { version: 2 }))))
  })

  test('one task more would be killed, or one job more go: another digest', () => {
    const one = digest(tables(placed('x', 'RUNNING')))
    expect(digest(tables(placed('x', 'RUNNING'), placed('y', 'RUNNING', { instance: 1 })))).not.toBe(one)
    expect(digest(tables(placed('x', 'RUNNING'), putJob(jobRow({ ...HELLO, name: 'b' }))))).not.toBe(one)
  })
})
