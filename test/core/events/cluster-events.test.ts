import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { agentId, taskId } from '../../../src/core/base/ids.ts'
import { type ClusterEvent, eventsOf, leaderEvent } from '../../../src/core/events/cluster-events.ts'
import { compareEventCursors, eventCursorText, readEventCursor } from '../../../src/core/events/event-cursor.ts'
import { readJobFilter, wantsEvent } from '../../../src/core/events/event-filter.ts'
import type { TaskEvent } from '../../../src/core/ledger/rows.ts'
import type { RowChange } from '../../../src/core/ledger/transaction.ts'
import type { TaskStatus } from '../../../src/core/task/status.ts'
import { newTaskId } from '../../../src/core/task/task-id.ts'
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
  taskRow,
} from '../../fixtures/rows.ts'

const UUID = '00000000-0000-4000-8000-000000000001'
const events = (...statuses: TaskStatus[]): TaskEvent[] =>
  statuses.map((status, at) => ({ atMs: 1_000 + at, status, scheduler: 'node-1' }))
const of = (...changes: RowChange[]): ClusterEvent[] => eventsOf(7, [{ cause: CAUSE, changes }])
const states = (found: readonly ClusterEvent[]): string[] =>
  found.map(event => (event.type === 'task.transition' ? `${event.oldStatus}>${event.event.status}` : event.type))

describe('events of a position', () => {
  test('a new task, and one that went on: the status before is told from the row alone', () => {
    expect(states(of(putTask(taskRow('a'))))).toEqual(['null>PENDING'])
    const row = taskRow('a', { status: 'RUNNING', events: events('PENDING', 'ASSIGNED', 'RUNNING') })
    expect(states(of(putTask(row)))).toEqual(['ASSIGNED>RUNNING'])
  })

  test('several events of one task in one transaction: each of them, in order; none when none is new', () => {
    const list = events('PENDING', 'RUNNING', 'RESTARTING', 'PARTITIONED', 'LOST')
    const row = taskRow('a', { status: 'LOST', events: list, freshEvents: 2 })
    expect(states(of(putTask(row)))).toEqual(['RESTARTING>PARTITIONED', 'PARTITIONED>LOST'])
    expect(of(putTask({ ...row, freshEvents: 0 }))).toEqual([])
  })

  test('assignment: the ASSIGNED event carries host and ports', () => {
    const placed = { agentId: agentId('g'), host: 'h1', ports: { http: 31_000 } }
    const [event] = of(putTask(taskRow('a', { status: 'ASSIGNED', events: events('PENDING', 'ASSIGNED'), ...placed })))
    expect(event).toMatchObject({ type: 'task.transition', oldStatus: 'PENDING', row: placed })
  })

  test('many transactions in one position: numbers run over all of them from 1; configurations tell nothing', () => {
    const found = eventsOf(7, [
      { cause: CAUSE, changes: [putConfig(configRow()), putJob(jobRow()), putTask(taskRow('a'))] },
      { cause: CAUSE, changes: [] },
      { cause: CAUSE, changes: [putAgent(agentRow('g')), { type: 'delete', table: 'task', key: 'a' }] },
    ])
    expect(found.map(({ type, n }) => `${n} ${type}`)).toEqual([
      '1 job.changed',
      '2 task.transition',
      '3 agent.changed',
      '4 task.deleted',
    ])
  })
})

describe('cursor', () => {
  test('any cursor: its text reads back equal, and order is position, then number', () => {
    const cursor = fc.record({ position: fc.integer({ min: 1, max: 2 ** 50 }), seen: fc.nat(10_000) })
    fc.assert(
      fc.property(cursor, cursor, (a, b) => {
        expect(readEventCursor(eventCursorText(a))).toEqual(a)
        const order = Math.sign(a.position === b.position ? a.seen - b.seen : a.position - b.position)
        expect(Math.sign(compareEventCursors(a, b))).toBe(order)
      }),
    )
  })

  test('a position alone stands before its first event; anything else is no cursor', () => {
    expect(readEventCursor('12')).toEqual({ position: 12, seen: 0 })
    for (const text of ['', '0', '-1', '1-', '1-2-3', 'x', '1.5', '99999999999999999']) {
      expect(readEventCursor(text), text).toBe(null)
    }
  })
})

describe('filter', () => {
  const deleted = (id: string): ClusterEvent => of({ type: 'delete', table: 'task', key: taskId(id) })[0]!
  const transition = of(putTask(taskRow('a')))[0]!

  test('job, role, environment: tasks and jobs of that key, no machines and leaders', () => {
    const filter = readJobFilter('www-data/devel/hello')!
    expect(wantsEvent(filter, transition)).toBe(true)
    expect(wantsEvent({ ...filter, name: 'other' }, transition)).toBe(false)
    expect(wantsEvent({ role: 'www-data' }, of(putJob(jobRow()))[0]!)).toBe(true)
    expect(wantsEvent({ role: 'bob' }, of(putJob(jobRow()))[0]!)).toBe(false)
    expect(wantsEvent(filter, leaderEvent(3, [1, 1]))).toBe(false)
    expect(wantsEvent({}, leaderEvent(3, [1, 1]))).toBe(true)
    expect(readJobFilter('a/b')).toBe(null)
  })

  test('a deleted task, of which the id is left: shown to whoever follows its whole job, and to no other', () => {
    const id = newTaskId(HELLO, 12, UUID)
    expect(wantsEvent({ ...HELLO }, deleted(id))).toBe(true)
    expect(wantsEvent({ ...HELLO, name: 'hell' }, deleted(id))).toBe(false)
    expect(wantsEvent({ ...HELLO }, deleted(newTaskId({ ...HELLO, name: 'hello-2' }, 0, UUID)))).toBe(false)
    expect(wantsEvent({ taskId: id }, deleted(id))).toBe(true)
  })

  test('task and type: nothing else', () => {
    expect(wantsEvent({ taskId: 'a' }, transition)).toBe(true)
    expect(wantsEvent({ taskId: 'b' }, transition)).toBe(false)
    expect(wantsEvent({ types: ['job.changed'] }, transition)).toBe(false)
  })
})
