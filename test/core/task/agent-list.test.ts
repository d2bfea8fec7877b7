import { describe, expect, test } from 'vitest'
import { taskId } from '../../../src/core/base/ids.ts'
import type { TaskRow } from '../../../src/core/ledger/rows.ts'
import { compareAgentList, type ListedTask } from '../../../src/core/task/agent-list.ts'
import type { TaskStatus } from '../../../src/core/task/status.ts'
import { taskRow } from '../../fixtures/rows.ts'

const compare = (listed: ListedTask[], rows: TaskRow[]) => {
  const bound = rows.filter(row => !['FINISHED', 'FAILED', 'KILLED', 'LOST'].includes(row.status))
  return compareAgentList(listed, bound, id => rows.find(row => row.taskId === id))
}
const live = (id: string): ListedTask => ({ taskId: id, live: true, settled: false })
const ended = (id: string, settled = true): ListedTask => ({ taskId: id, live: false, settled })
const nothing = { kill: [], held: [], forget: [], lost: [] }

describe("an agent's list against the ledger", () => {
  test.each<[string, TaskStatus | null, ListedTask | null, Partial<Record<keyof typeof nothing, string[]>>]>([
    ['RUNNING here, live there: keep', 'RUNNING', live('t'), {}],
    ['PARTITIONED here, live there: keep', 'PARTITIONED', live('t'), {}],
    ['KILLING here, live there: kill again', 'KILLING', live('t'), { kill: ['t'] }],
    ['RESTARTING here, live there: kill again', 'RESTARTING', live('t'), { kill: ['t'] }],
    ['LOST here, live there: kill, or two copies run', 'LOST', live('t'), { kill: ['t'] }],
    ['unknown here, live there: kill', null, live('t'), { kill: ['t'] }],
    ['RUNNING here, ended there: wait for its status', 'RUNNING', ended('t', false), {}],
    ['ended on both sides, status still owed: wait for it', 'FAILED', ended('t', false), {}],
    ['ended on both sides and acknowledged: forget', 'FAILED', ended('t'), { forget: ['t'] }],
    ['unknown here, ended there: forget', null, ended('t'), { forget: ['t'] }],
    ['ASSIGNED here, not there: the launch is sent again, as for every ASSIGNED task', 'ASSIGNED', null, {}],
    ['RUNNING here, not there: lost', 'RUNNING', null, { lost: ['t'] }],
    ['KILLING here, not there: lost, which ends it', 'KILLING', null, { lost: ['t'] }],
    ['ended here, not there: nothing', 'FINISHED', null, {}],
  ])('%s', (_, status, listed, wanted) => {
    const rows = status === null ? [] : [taskRow('t', { status, agentId: 'a' as never })]
    expect(compare(listed === null ? [] : [listed], rows)).toEqual({ ...nothing, ...wanted })
  })

  test('many unknown tasks, most of what lives there: held, none is killed', () => {
    const strays = Array.from({ length: 30 }, (_, n) => live(`stray-${String(n).padStart(2, '0')}`))
    const verdict = compare(strays, [])
    expect(verdict.kill).toEqual([])
    expect(verdict.held.length).toBe(30)
  })

  test('a few unknown tasks, or few among many: killed', () => {
    const few = Array.from({ length: 20 }, (_, n) => live(`stray-${n}`))
    expect(compare(few, []).kill.length).toBe(20)
    const rows = Array.from({ length: 300 }, (_, n) => taskRow(`t-${n}`, { status: 'RUNNING' }))
    const strays = Array.from({ length: 25 }, (_, n) => live(`stray-${n}`))
    const verdict = compare([...rows.map(row => live(row.taskId)), ...strays], rows)
    expect(verdict.kill).toContain(taskId('stray-7'))
    expect(verdict.held).toEqual([])
  })
})
