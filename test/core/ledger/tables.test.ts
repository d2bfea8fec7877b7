import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { agentId, compareIds, configId, type JobKey, jobKeyText } from '../../../src/core/base/ids.ts'
import { coalesce, netChanges } from '../../../src/core/ledger/net-changes.ts'
import type { JobRow, TaskRow } from '../../../src/core/ledger/rows.ts'
import { Tables } from '../../../src/core/ledger/tables.ts'
import type { RowChange } from '../../../src/core/ledger/transaction.ts'
import { ACTIVE, HOST_ASSIGNED, TASK_STATUSES, type TaskStatus } from '../../../src/core/task/status.ts'
import {
  agentRow,
  configRow,
  deleteTask,
  HELLO,
  jobRow,
  putAgent,
  putConfig,
  putJob,
  putTask,
  taskRow,
} from '../../fixtures/rows.ts'

const BYE: JobKey = { role: 'www-data', environment: 'devel', name: 'bye' }
const roleOf = (key: string): string => key.slice(0, key.indexOf('/'))
const STATUSES = Object.keys(TASK_STATUSES) as TaskStatus[]
const ids = (rows: Iterable<TaskRow>): string[] => [...rows].map(row => row.taskId).sort()

/** What every index says, by looking at all rows: slow and plainly right. */
function recomputed(tasks: readonly TaskRow[], jobs: readonly JobRow[]) {
  const keys = [...new Set([...tasks.map(task => jobKeyText(task.job)), ...jobs.map(job => jobKeyText(job.key))])]
  const uses = (id: string): number => [...tasks, ...jobs].filter(row => row.configId === id).length
  return {
    jobKeys: keys.sort(compareIds),
    byJob: [HELLO, BYE].map(key => ids(tasks.filter(task => jobKeyText(task.job) === jobKeyText(key)))),
    active: [HELLO, BYE].map(key =>
      ids(tasks.filter(task => jobKeyText(task.job) === jobKeyText(key) && ACTIVE.has(task.status))),
    ),
    byAgent: ['a1', 'a2'].map(id => ids(tasks.filter(task => task.agentId === id && HOST_ASSIGNED.has(task.status)))),
    byStatus: STATUSES.map(status => ids(tasks.filter(task => task.status === status))),
    counts: [HELLO, BYE].map(key =>
      STATUSES.map(
        status => tasks.filter(task => jobKeyText(task.job) === jobKeyText(key) && task.status === status).length,
      ),
    ),
    uses: ['c1', 'c2'].map(uses),
    tasks: tasks.length,
    taskIds: ids(tasks),
    roles: [...new Set(keys.map(roleOf))].sort(compareIds).map(role => {
      const withTasks = new Set(tasks.map(task => jobKeyText(task.job)))
      const own = keys.filter(key => roleOf(key) === role)
      const cronJobs = jobs.filter(({ key, cron }) => key.role === role && cron !== undefined).length
      return { role, jobs: own.length, jobsWithTasks: own.filter(key => withTasks.has(key)).length, cronJobs }
    }),
  }
}

function shown(tables: Tables) {
  return {
    jobKeys: tables.jobKeys().map(jobKeyText),
    byJob: [HELLO, BYE].map(key => ids(tables.tasksOfJob(key))),
    active: [HELLO, BYE].map(key => ids(tables.activeTasksOfJob(key))),
    byAgent: ['a1', 'a2'].map(id => ids(tables.tasksOnAgent(agentId(id)))),
    byStatus: STATUSES.map(status => ids(tables.tasksByStatus(status))),
    counts: [HELLO, BYE].map(key => STATUSES.map(status => tables.statusCountsOfJob(key).get(status) ?? 0)),
    uses: ['c1', 'c2'].map(id => tables.configUses(configId(id))),
    tasks: tables.counts.tasks,
    taskIds: [...tables.names.taskIdsFrom('')],
    roles: [...tables.rolesFrom('')].map(role => ({ ...role })),
  }
}

type Operation =
  | { readonly type: 'task'; readonly id: number; readonly row: Partial<TaskRow> }
  | { readonly type: 'deleteTask'; readonly id: number }
  | { readonly type: 'job'; readonly key: JobKey; readonly config: 'c1' | 'c2' }
  | { readonly type: 'deleteJob'; readonly key: JobKey }

const job = fc.constantFrom(HELLO, BYE)
const config = fc.constantFrom('c1', 'c2') as fc.Arbitrary<'c1' | 'c2'>
const operation: fc.Arbitrary<Operation> = fc.oneof(
  fc.record({
    type: fc.constant('task' as const),
    id: fc.nat(7),
    row: fc.record(
      {
        job,
        instance: fc.nat(2),
        status: fc.constantFrom(...STATUSES),
        configId: config.map(configId),
        agentId: fc.constantFrom('a1', 'a2').map(agentId),
      },
      { requiredKeys: ['job', 'instance', 'status', 'configId'] },
    ),
  }),
  fc.record({ type: fc.constant('deleteTask' as const), id: fc.nat(7) }),
  fc.record({ type: fc.constant('job' as const), key: job, config }),
  fc.record({ type: fc.constant('deleteJob' as const), key: job }),
)

/** Two tasks never hold one slot: an operation that would make it so is left out, as the ledger would refuse it. */
function toChange(operation: Operation, tasks: ReadonlyMap<string, TaskRow>): RowChange | null {
  switch (operation.type) {
    case 'deleteTask':
      return deleteTask(`t${operation.id}`)
    case 'job':
      return putJob(jobRow(operation.key, { configId: configId(operation.config) }))
    case 'deleteJob':
      return { type: 'delete', table: 'job', key: jobKeyText(operation.key) }
    case 'task': {
      const row = taskRow(`t${operation.id}`, operation.row)
      const holder = [...tasks.values()].find(
        other =>
          other.taskId !== row.taskId &&
          jobKeyText(other.job) === jobKeyText(row.job) &&
          other.instance === row.instance &&
          ACTIVE.has(other.status),
      )
      return holder !== undefined && ACTIVE.has(row.status) ? null : putTask(row)
    }
  }
}

describe('tables', () => {
  test('any sequence of changes: every index equals what looking at all rows says', () => {
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 60 }), operations => {
        const tables = new Tables()
        const tasks = new Map<string, TaskRow>()
        const jobs = new Map<string, JobRow>()
        for (const each of operations) {
          const change = toChange(each, tasks)
          if (change === null) continue
          tables.apply([change])
          if (change.table === 'task')
            change.type === 'put' ? tasks.set(change.key, change.row) : tasks.delete(change.key)
          if (change.table === 'job') change.type === 'put' ? jobs.set(change.key, change.row) : jobs.delete(change.key)
          expect(shown(tables)).toEqual(recomputed([...tasks.values()], [...jobs.values()]))
        }
      }),
      { numRuns: 200 },
    )
  })

  test('loaded in any order of rows, cleared and loaded again: the same rows, the same indices', () => {
    const changes = Array.from({ length: 9 }, (_, i) =>
      putTask(taskRow(`t${i}`, { instance: i, status: STATUSES[i] as TaskStatus, agentId: agentId('a1') })),
    )
    fc.assert(
      fc.property(fc.shuffledSubarray(changes, { minLength: 9, maxLength: 9 }), shuffled => {
        const tables = new Tables()
        tables.apply(changes)
        const before = shown(tables)
        tables.clear()
        expect(shown(tables)).toEqual(recomputed([], []))
        tables.beginLoading()
        tables.apply(shuffled)
        tables.endLoading()
        expect(shown(tables)).toEqual(before)
      }),
      { numRuns: 20 },
    )
  })

  test('pages of different moments show two tasks in one slot: after the entries between them, one holds it', () => {
    const tables = new Tables()
    tables.beginLoading()
    tables.apply([putTask(taskRow('new', { status: 'PENDING' }))])
    tables.apply([putTask(taskRow('old', { status: 'RUNNING' }))])
    tables.apply([putTask(taskRow('old', { status: 'LOST' })), putTask(taskRow('new', { status: 'PENDING' }))])
    tables.endLoading()
    expect(tables.activeTask(HELLO, 0)?.taskId).toBe('new')
  })

  test('a task whose agent changes or is cleared leaves no stale entry; unknown deletes do no harm', () => {
    const tables = new Tables()
    tables.apply([putTask(taskRow('t', { status: 'RUNNING', agentId: agentId('a1') }))])
    tables.apply([putTask(taskRow('t', { status: 'RUNNING', agentId: agentId('a2') }))])
    expect(tables.tasksOnAgent(agentId('a1'))).toEqual([])
    expect(ids(tables.tasksOnAgent(agentId('a2')))).toEqual(['t'])
    tables.apply([putTask(taskRow('t', { status: 'PENDING' }))])
    expect(tables.tasksOnAgent(agentId('a2'))).toEqual([])
    expect(tables.apply([deleteTask('nobody')])).toEqual([])
    tables.apply([deleteTask('t')])
    expect(tables.jobKeys()).toEqual([])
  })

  test('an ending together with its replacement: the slot changes hands, whichever is listed first', () => {
    for (const order of [0, 1]) {
      const tables = new Tables()
      tables.apply([putTask(taskRow('old', { status: 'RUNNING' }))])
      const pair = [putTask(taskRow('old', { status: 'LOST' })), putTask(taskRow('new'))]
      tables.apply(order === 0 ? pair : pair.reverse())
      expect(tables.activeTask(HELLO, 0)?.taskId).toBe('new')
    }
  })

  test('tasks of a job come by instance, the newest first; jobs and agents by key', () => {
    const tables = new Tables()
    const at = (atMs: number) => [{ atMs, status: 'LOST' as const, scheduler: 'n' }]
    tables.apply([
      putTask(taskRow('b', { instance: 1, status: 'LOST', events: at(5) })),
      putTask(taskRow('a', { instance: 1, status: 'LOST', events: at(9) })),
      putTask(taskRow('c', { instance: 0 })),
      putJob(jobRow(HELLO)),
      putJob(jobRow(BYE)),
      putAgent(agentRow('z')),
      putAgent(agentRow('y')),
    ])
    expect(tables.tasksOfJob(HELLO).map(task => task.taskId)).toEqual(['c', 'a', 'b'])
    expect(tables.jobs().map(row => row.key.name)).toEqual(['bye', 'hello'])
    expect(tables.agents().map(row => row.agentId)).toEqual(['y', 'z'])
    expect(tables.counts).toEqual({ tasks: 3, jobs: 2, agents: 2, configs: 0 })
  })
})

describe('net changes of a transaction', () => {
  test('several changes of one row: the last version, once, whatever came before it', () => {
    const change = fc.oneof(
      fc.nat(3).map(id => deleteTask(`t${id}`)),
      fc
        .record({ id: fc.nat(3), version: fc.nat() })
        .map(({ id, version }) => putTask(taskRow(`t${id}`, { version, instance: id }))),
    )
    fc.assert(
      fc.property(fc.array(change), changes => {
        const net = coalesce(changes)
        expect(new Set(net.map(each => each.key)).size).toBe(net.length)
        for (const each of net) expect(each).toBe(changes.findLast(other => other.key === each.key))
        expect(new Set(net.map(each => each.key))).toEqual(new Set(changes.map(each => each.key)))
      }),
    )
  })

  test('two saves of one host in a transaction: the later mode stays', () => {
    const net = netChanges(new Tables(), [
      putAgent(agentRow('a', { mode: 'DRAINING' })),
      putAgent(agentRow('a', { mode: 'DRAINED' })),
    ])
    expect(net).toEqual([putAgent(agentRow('a', { mode: 'DRAINED' }))])
  })

  test('a host saved unchanged, a row deleted that is not there: no change at all', () => {
    const tables = new Tables()
    tables.apply([putAgent(agentRow('a'))])
    expect(netChanges(tables, [putAgent(agentRow('a')), deleteTask('nobody')])).toEqual([])
    expect(netChanges(tables, [putAgent(agentRow('a', { mode: 'DRAINING' }))])).toHaveLength(1)
    expect(netChanges(tables, [putAgent(agentRow('a', { logUrl: 'http://x' }))])).toHaveLength(1)
  })

  test('10,000 tasks of one configuration: stored once; it goes with the last of them and not before', () => {
    const tables = new Tables()
    tables.apply(netChanges(tables, [putConfig(configRow()), putJob(jobRow())]))
    for (let i = 0; i < 10_000; i++) {
      tables.apply(netChanges(tables, [putConfig(configRow()), putTask(taskRow(`t${i}`, { instance: i }))]))
    }
    expect(tables.counts.configs).toBe(1)
    const all = Array.from({ length: 10_000 }, (_, i) => deleteTask(`t${i}`))
    tables.apply(netChanges(tables, all.slice(1)))
    tables.apply(netChanges(tables, [{ type: 'delete', table: 'job', key: jobKeyText(HELLO) }]))
    expect(tables.counts.configs).toBe(1)
    const last = netChanges(tables, [deleteTask('t0')])
    expect(last).toEqual([deleteTask('t0'), { type: 'delete', table: 'config', key: 'c1' }])
    tables.apply(last)
    expect(tables.counts).toMatchObject({ tasks: 0, configs: 0 })
  })

  test('the last user goes and another of the same configuration comes: the configuration stays', () => {
    const tables = new Tables()
    tables.apply(netChanges(tables, [putConfig(configRow()), putTask(taskRow('old'))]))
    tables.apply(netChanges(tables, [deleteTask('old'), putTask(taskRow('new')), putConfig(configRow())]))
    expect(tables.config(configId('c1'))).toBeDefined()
  })

  test('a configuration that changes its only user for another one: the old goes, the new stays', () => {
    const tables = new Tables()
    tables.apply(netChanges(tables, [putConfig(configRow()), putTask(taskRow('t'))]))
    tables.apply(netChanges(tables, [putConfig(configRow('c2')), putTask(taskRow('t', { configId: configId('c2') }))]))
    expect(tables.config(configId('c1'))).toBeUndefined()
    expect(tables.config(configId('c2'))).toBeDefined()
  })

  test('a second active task for an instance is a bug, in one transaction or in two', () => {
    const tables = new Tables()
    expect(() => netChanges(tables, [putTask(taskRow('a')), putTask(taskRow('b'))])).toThrow('at most one')
    tables.apply([putTask(taskRow('a'))])
    expect(() => netChanges(tables, [putTask(taskRow('b'))])).toThrow('at most one active task')
    expect(netChanges(tables, [putTask(taskRow('b')), putTask(taskRow('a', { status: 'LOST' }))])).toHaveLength(2)
    expect(netChanges(tables, [putTask(taskRow('b')), deleteTask('a')])).toHaveLength(2)
  })

  test('one task alone, whatever its status, slot and configuration: as beside a change of something else', () => {
    const tables = new Tables()
    const known = taskRow('a')
    const ended = taskRow('ended', { status: 'FINISHED' })
    tables.apply([putConfig(configRow()), putConfig(configRow('c2')), putTask(known), putTask(ended)])
    const rows = STATUSES.flatMap(status =>
      ['a', 'ended', 'fresh'].flatMap(id =>
        [0, 1].flatMap(instance =>
          ['c1', 'c2'].map(config => taskRow(id, { status, instance, configId: configId(config) })),
        ),
      ),
    )
    const said = (changes: readonly RowChange[]): unknown => {
      try {
        return netChanges(tables, changes)
      } catch (cause) {
        return (cause as Error).message
      }
    }
    const beside = putAgent(agentRow('beside'))
    for (const row of [known, ...rows]) {
      const alone = said([putTask(row)])
      const together = said([putTask(row), beside])
      const without = Array.isArray(together) ? together.filter(change => change.table !== 'agent') : together
      expect(alone).toEqual(without)
    }
  })

  test('a row under a key that is not its own is a bug', () => {
    const wrong: RowChange = { type: 'put', table: 'task', key: 'other', row: taskRow('t') }
    expect(() => netChanges(new Tables(), [wrong])).toThrow('own key')
  })
})
