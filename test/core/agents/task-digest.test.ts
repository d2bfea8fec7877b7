import { describe, expect, test } from 'vitest'
import { DigestWatch } from '../../../src/core/agents/digest-watch.ts'
import { recordsText, rowsText } from '../../../src/core/agents/task-digest.ts'
import { agentId } from '../../../src/core/base/ids.ts'
import { isEnd, type TaskRecord } from '../../../src/core/executor/agent-book.ts'
import type { TaskStatus } from '../../../src/core/task/status.ts'
import { taskRow } from '../../fixtures/rows.ts'

const record = (taskId: string, state: TaskRecord['state'], isKilled = false): TaskRecord => ({
  taskId,
  digest: 'd',
  info: null,
  acceptedAtMs: 1,
  bootId: 'b',
  state,
  kill: isKilled ? { graceMs: null, atMs: 1 } : null,
  lastSeq: 1,
  ackedSeq: 1,
})
const row = (id: string, status: TaskStatus) => taskRow(id, { status, agentId: agentId('a') })

describe('one form for what leader and agent say of tasks', () => {
  test.each<[TaskStatus, TaskRecord]>([
    ['ASSIGNED', record('t', 'ACCEPTED')],
    ['STARTING', record('t', 'STARTING')],
    ['RUNNING', record('t', 'RUNNING')],
    ['KILLING', record('t', 'KILLING', true)],
    ['KILLING', record('t', 'ACCEPTED', true)],
    ['RESTARTING', record('t', 'KILLING', true)],
    ['PREEMPTING', record('t', 'KILLING', true)],
    ['DRAINING', record('t', 'KILLING', true)],
  ])('%s in the ledger agrees with what the agent has', (status, there) => {
    expect(rowsText([row('t', status)])).toBe(recordsText([there]))
  })

  test('ended on both sides: not in it; PARTITIONED agrees with nothing', () => {
    expect(rowsText([row('t', 'FINISHED')])).toBe(recordsText([record('t', 'LOST')]))
    for (const state of ['ACCEPTED', 'STARTING', 'RUNNING', 'KILLING', 'FINISHED'] as const) {
      expect(isEnd(state) ? '' : recordsText([record('t', state)])).not.toBe(rowsText([row('t', 'PARTITIONED')]))
    }
  })

  test('the order in which tasks are told does not matter', () => {
    const text = rowsText([row('b', 'RUNNING'), row('a', 'STARTING')])
    expect(text).toBe('a:STARTING\nb:RUNNING')
    expect(recordsText([record('a', 'STARTING'), record('b', 'RUNNING')])).toBe(text)
  })
})

describe('digests that differ', () => {
  test('something moves: waited for; nothing has moved from one heartbeat to the next: asked, once', () => {
    const watch = new DigestWatch()
    expect(watch.differs('1', 'a', 0)).toBe(false)
    expect(watch.differs('2', 'a', 5_000)).toBe(false)
    expect(watch.differs('2', 'a', 10_000)).toBe(true)
    expect(watch.differs('2', 'a', 15_000)).toBe(false)
    expect(watch.differs('2', 'a', 20_000)).toBe(false)
  })

  test('what asking did not mend: asked again after a minute, not before', () => {
    const watch = new DigestWatch()
    const asked = Array.from({ length: 30 }, (_, n) => n * 5_000).filter(atMs => watch.differs('1', 'a', atMs))
    expect(asked).toEqual([5_000, 65_000, 125_000])
  })

  test('they agree in between: it begins anew', () => {
    const watch = new DigestWatch()
    expect(watch.differs('1', 'a', 0)).toBe(false)
    watch.agrees()
    expect(watch.differs('1', 'a', 5_000)).toBe(false)
    expect(watch.differs('1', 'a', 10_000)).toBe(true)
  })

  test('always something moving: asked after twelve heartbeats', () => {
    const watch = new DigestWatch()
    const asked = Array.from({ length: 24 }, (_, n) => n).filter(n => watch.differs(`${n}`, 'a', n * 5_000))
    expect(asked).toEqual([11, 23])
  })
})
