import { describe, expect, test } from 'vitest'
import { type JobKey, taskId } from '../../../src/core/base/ids.ts'
import { prng } from '../../../src/core/base/prng.ts'
import type { TaskRow } from '../../../src/core/ledger/rows.ts'
import { Tables } from '../../../src/core/ledger/tables.ts'
import { byPlace, type PagePosition } from '../../../src/core/task/page-order.ts'
import { planTaskQuery, type TaskQuery, tasksMatching } from '../../../src/core/task/query.ts'
import { HELLO, putTask, taskRow } from '../../fixtures/rows.ts'

const OTHER: JobKey = { role: 'ads', environment: 'prod', name: 'web' }
const ROWS: readonly TaskRow[] = [
  taskRow('h0', { instance: 0, status: 'RUNNING', host: 'a' }),
  taskRow('h1', { instance: 1, status: 'FAILED', host: 'b' }),
  taskRow('h1b', { instance: 1, status: 'PENDING' }),
  taskRow('w0', { job: OTHER, instance: 0, status: 'LOST', host: 'a' }),
  taskRow('w2', { job: OTHER, instance: 2, status: 'RUNNING', host: 'b' }),
]
function tables(rows: readonly TaskRow[] = ROWS): Tables {
  const made = new Tables()
  made.apply(rows.map(putTask))
  return made
}
const ids = (query: TaskQuery, view = tables()) => {
  const found = tasksMatching(view, query)
  return 'type' in found ? found : found.map(task => task.taskId)
}
const kind = (query: TaskQuery) => {
  const plan = planTaskQuery(tables(), query)
  return 'type' in plan ? plan.type : plan.kind
}

describe('life-58', () => {
  test('null, empty or unset parts of a query: no restriction', () => {
    const all = ['w0', 'w2', 'h0', 'h1', 'h1b']
    expect(ids({})).toEqual(all)
    expect(ids({ role: null, environment: null, jobName: null, jobKeys: null, taskIds: null })).toEqual(all)
    expect(ids({ role: '  ', jobKeys: [], taskIds: [], statuses: [], instances: [], hosts: [] })).toEqual(all)
    expect(ids({ environment: '' })).toEqual([])
  })

  test('role and job keys: what matches both', () => {
    expect(ids({ role: 'ads', jobKeys: [HELLO, OTHER] })).toEqual(['w0', 'w2'])
    expect(ids({ role: 'ads', jobKeys: [HELLO] })).toEqual([])
  })

  test('task ids and status: what matches both; an id twice or unknown does no harm', () => {
    const asked = ['h1', 'h0', 'h1', 'nope'].map(taskId)
    expect(ids({ taskIds: asked, statuses: ['RUNNING'] })).toEqual(['h0'])
    expect(ids({ taskIds: asked })).toEqual(['h0', 'h1'])
  })
})

test('a name beside job keys without role and environment: refused as a job key that is not valid', () => {
  expect(ids({ jobName: 'web', jobKeys: [OTHER] })).toMatchObject({ code: 'INVALID_REQUEST' })
  expect(ids({ role: 'ads', environment: 'prod', jobName: 'web', jobKeys: [OTHER, HELLO] })).toEqual(['w0', 'w2'])
})

test('plan: ids, then jobs, then hosts, then few tasks of a status, then all', () => {
  expect(kind({ taskIds: [taskId('h0')], hosts: ['a'] })).toBe('id')
  expect(kind({ jobKeys: [OTHER], hosts: ['a'] })).toBe('job')
  expect(kind({ ...HELLO, jobName: HELLO.name, hosts: ['a'] })).toBe('job')
  expect(kind({ role: 'ads', hosts: ['a'] })).toBe('host')
  expect(kind({ role: 'ads', statuses: ['LOST'] })).toBe('status')
  expect(kind({ role: 'ads' })).toBe('all')
})

test('host: also what has ended there; not what has left the machine or the store', () => {
  const view = tables()
  expect(ids({ hosts: ['a'] }, view)).toEqual(['w0', 'h0'])
  view.apply([putTask(taskRow('h0', { status: 'RUNNING', host: 'b', version: 2 }))])
  view.apply([{ type: 'delete', table: 'task', key: 'w0' }])
  expect(ids({ hosts: ['a'] }, view)).toEqual([])
  expect(ids({ hosts: ['b', 'a'] }, view)).toEqual(['w2', 'h0', 'h1'])
})

test('any query, any page size, rows changing in between: every task that stays is given once, in order', () => {
  const random = prng(7)
  const pick = <T>(list: readonly T[]): T => list[random.int(0, list.length)]!
  const jobs = Array.from({ length: 12 }, (_, n) => ({ role: `r${n % 3}`, environment: 'prod', name: `j${n}` }))
  let serial = 0
  const draw = (): TaskRow =>
    taskRow(`t${++serial}`, {
      job: pick(jobs),
      instance: serial,
      status: pick(['RUNNING', 'FAILED', 'PENDING', 'LOST'] as const),
      ...(random.int(0, 3) > 0 ? { host: pick(['a', 'b', 'c']) } : {}),
    })
  for (let round = 0; round < 60; round++) {
    const stable = Array.from({ length: 80 }, draw)
    const view = tables(stable)
    const query: TaskQuery = {
      role: pick([null, 'r1']),
      jobKeys: pick([null, jobs.slice(0, 5)]),
      statuses: pick([null, ['RUNNING', 'LOST']]),
      hosts: pick([null, ['a', 'b']]),
      taskIds: pick([null, null, stable.slice(0, 40).map(row => row.taskId)]),
    }
    const expected = tasksMatching(view, query)
    if ('type' in expected) throw new Error(expected.detail)
    expect(expected).toEqual(expected.toSorted(byPlace))
    const seen: string[] = []
    for (let last: TaskRow | null = null; ; ) {
      const plan = planTaskQuery(view, query)
      if ('type' in plan) throw new Error(plan.detail)
      const after: TaskRow | null = last
      const position: PagePosition | null = after && {
        ...after,
        job: `${after.job.role}/${after.job.environment}/${after.job.name}`,
      }
      const page: TaskRow[] = [...plan.read(position)].slice(0, 7)
      if (page.length === 0) break
      seen.push(...page.map(row => row.taskId))
      last = page.at(-1) ?? null
      const fresh = draw()
      view.apply([putTask(fresh)])
    }
    const old = new Set<string>(stable.map(row => row.taskId))
    expect(seen.filter(id => old.has(id))).toEqual(expected.map(row => row.taskId))
  }
})

test('ended tasks: in the order of their ends, whatever the order in which they came, without those that are gone', () => {
  const at = (id: string, atMs: number) =>
    taskRow(id, { instance: atMs, status: 'FAILED', events: [{ atMs, status: 'FAILED', scheduler: 's' }] })
  const view = tables([at('c', 30), at('a', 10), at('b', 20), at('d', 10)])
  const order = () => [...view.endedTasks()].map(task => task.taskId)
  expect(order()).toEqual(['a', 'd', 'b', 'c'])
  view.apply([{ type: 'delete', table: 'task', key: 'a' }, putTask(at('e', 15))])
  expect(order()).toEqual(['d', 'e', 'b', 'c'])
  view.apply([putTask(at('a', 40))])
  expect(order()).toEqual(['d', 'e', 'b', 'c', 'a'])
  for (let n = 0; n < 3_000; n++) view.apply([putTask(at(`x${n}`, 100 + n))])
  for (let n = 0; n < 2_999; n++) view.apply([{ type: 'delete', table: 'task', key: `x${n}` }])
  expect(order()).toEqual(['d', 'e', 'b', 'c', 'a', 'x2999'])
})
