import fc from 'fast-check'
import { expect, test } from 'vitest'
import { configId, type JobKey, jobKeyText } from '../../../src/core/base/ids.ts'
import type { Resources, TaskConfig } from '../../../src/core/job/task-config.ts'
import type { UpdateEventRow, UpdatePart, UpdateRow } from '../../../src/core/ledger/rows.ts'
import { Tables } from '../../../src/core/ledger/tables.ts'
import type { RowChange } from '../../../src/core/ledger/transaction.ts'
import { type Pool, poolOf, RoleUse } from '../../../src/core/quota/role-use.ts'
import { isActive, type TaskStatus } from '../../../src/core/task/status.ts'
import { updateKey } from '../../../src/core/update/update-status.ts'
import {
  configRow,
  jobRow,
  putConfig,
  putTask,
  putUpdate,
  putUpdateEvent,
  taskConfig,
  taskRow,
  updateRow,
} from '../../fixtures/rows.ts'

const POOLS: readonly Pool[] = ['prodShared', 'prodDedicated', 'nonProdShared', 'nonProdDedicated']
const KINDS: readonly (keyof Resources)[] = ['cpusMilli', 'ramMb', 'diskMb', 'gpus']
const JOBS: readonly JobKey[] = [
  { role: 'web', environment: 'prod', name: 'a' },
  { role: 'web', environment: 'prod', name: 'b' },
  { role: 'db', environment: 'prod', name: 'a' },
]
const dedicated: TaskConfig['constraints'] = [{ name: 'dedicated', rule: { type: 'limit', limit: 1 } }]

/** Four configurations of every job, one for each pool, all of different size. */
const CONFIGS = JOBS.flatMap((job, at) =>
  POOLS.map((pool, n) => {
    const production = pool.startsWith('prod')
    const constraints = pool.endsWith('Dedicated') ? dedicated : []
    const resources = { cpusMilli: 100 + 10 * at + n, ramMb: 70 - 3 * n, diskMb: 5 + at, gpus: n }
    return { id: `${at}${pool}`, at, config: taskConfig({ job, production, constraints, resources }) }
  }),
)
type Active = 'ROLLING_FORWARD' | 'ROLL_FORWARD_PAUSED' | 'ROLL_BACK_AWAITING_PULSE'
type Ended = 'ROLLED_FORWARD' | 'ABORTED'

/** The words of the spec, counted anew over every row. */
function recount(tables: Tables, role: string): Record<Pool, Resources> {
  const sum = nothing()
  const templates = new Map([...tables.jobs()].filter(job => job.cron !== undefined).map(job => [text(job.key), job]))
  const updates = [...tables.rows('update').values()].filter(update => {
    const events = tables.updateEvents(updateKey(update.job, update.updateId))
    const last = events.toSorted((a, b) => a.number - b.number).at(-1)?.status
    return update.job.role === role && last !== undefined && !['ROLLED_FORWARD', 'ABORTED'].includes(last)
  })
  const runs = new Map([...templates.keys()].map(key => [key, nothing()]))
  for (const task of tables.tasks()) {
    if (task.job.role !== role || !isActive(task.status)) continue
    const config = tables.config(task.configId)!
    const run = runs.get(text(task.job))
    if (run !== undefined) add(run[poolOf(config)], config.resources, 1)
    else if (!updates.some(update => text(update.job) === text(task.job) && covers(update, task.instance)))
      add(sum[poolOf(config)], config.resources, 1)
  }
  for (const update of updates) {
    for (const pool of POOLS) {
      const sides = [update.initial, update.desired === undefined ? [] : [update.desired]].map(parts => {
        const side = nothing()
        for (const { config, instances } of parts)
          for (const [from, to] of instances) add(side[poolOf(config)], config.resources, to - from + 1)
        return side[pool]
      })
      for (const kind of KINDS) sum[pool][kind] += Math.max(...sides.map(side => side[kind]))
    }
  }
  for (const [key, template] of templates) {
    if (template.key.role !== role) continue
    const once = nothing()
    const config = tables.config(template.configId)!
    add(once[poolOf(config)], config.resources, template.instanceCount)
    for (const pool of POOLS)
      for (const kind of KINDS) sum[pool][kind] += Math.max(once[pool][kind], runs.get(key)![pool][kind])
  }
  return sum
}

const text = jobKeyText
const nothing = (): Record<Pool, { -readonly [K in keyof Resources]: number }> => {
  const empty = () => ({ cpusMilli: 0, ramMb: 0, diskMb: 0, gpus: 0 })
  return { prodShared: empty(), prodDedicated: empty(), nonProdShared: empty(), nonProdDedicated: empty() }
}
function add(sum: { -readonly [K in keyof Resources]: number }, each: Resources, count: number): void {
  for (const kind of KINDS) sum[kind] += each[kind] * count
}
const covers = ({ initial, desired }: UpdateRow, instance: number): boolean =>
  [...initial, ...(desired === undefined ? [] : [desired])].some(part =>
    part.instances.some(([from, to]) => instance >= from && instance <= to),
  )

const job = fc.integer({ min: 0, max: 2 })
const pool = fc.integer({ min: 0, max: 3 })
const range = fc.tuple(fc.integer({ min: 0, max: 4 }), fc.integer({ min: 0, max: 4 }))
const chosen = (at: number, n: number) => CONFIGS[at * 4 + n]!
const part = (at: number, n: number, [from, more]: readonly [number, number]): UpdatePart => ({
  config: chosen(at, n).config,
  instances: [[from, from + more]],
})

const change: fc.Arbitrary<RowChange> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc
      .record({
        at: job,
        n: pool,
        instance: fc.integer({ min: 0, max: 6 }),
        status: fc.constantFrom<TaskStatus>('PENDING', 'RUNNING', 'PARTITIONED', 'FINISHED', 'LOST'),
      })
      .map(({ at, n, instance, status }) =>
        putTask(
          taskRow(`${at}-${instance}`, { job: JOBS[at]!, instance, configId: configId(chosen(at, n).id), status }),
        ),
      ),
  },
  {
    weight: 2,
    arbitrary: fc
      .record({ at: job, instance: fc.integer({ min: 0, max: 6 }) })
      .map(({ at, instance }): RowChange => ({ type: 'delete', table: 'task', key: `${at}-${instance}` })),
  },
  fc
    .record({ at: job, n: pool, count: fc.integer({ min: 1, max: 5 }), isCron: fc.boolean() })
    .map(({ at, n, count, isCron }): RowChange => {
      const key = JOBS[at]!
      const cron = { schedule: '* * * * *', collisionPolicy: 'KILL_EXISTING' } as const
      const row = { ...jobRow(), key, configId: configId(chosen(at, n).id), instanceCount: count }
      return { type: 'put', table: 'job', key: text(key), row: isCron ? { ...row, cron } : row }
    }),
  job.map((at): RowChange => ({ type: 'delete', table: 'job', key: text(JOBS[at]!) })),
  fc
    .record({ at: job, before: pool, after: fc.option(pool), ranges: fc.tuple(range, range) })
    .map(({ at, before, after, ranges: [old, young] }) => {
      const desired = after === null ? {} : { desired: part(at, after, young) }
      return putUpdate(updateRow('u', { job: JOBS[at]!, initial: [part(at, before, old)], ...desired }))
    }),
  job.map((at): RowChange => ({ type: 'delete', table: 'update', key: updateKey(JOBS[at]!, 'u') })),
  fc
    .record({
      at: job,
      number: fc.integer({ min: 1, max: 4 }),
      status: fc.constantFrom<Active | Ended>(
        'ROLLING_FORWARD',
        'ROLL_FORWARD_PAUSED',
        'ROLL_BACK_AWAITING_PULSE',
        'ROLLED_FORWARD',
        'ABORTED',
      ),
    })
    .map(({ at, number, status }) => {
      const row: UpdateEventRow = { v: 1, update: updateKey(JOBS[at]!, 'u'), number, atMs: 1, status }
      return putUpdateEvent(row)
    }),
)

/** Names every row at most once, as all do. */
const transaction = fc.uniqueArray(change, { maxLength: 4, selector: ({ table, key }) => `${table} ${key}` })

test('any sequence of changes of tasks, templates and updates: what is kept is what a count of all rows gives', () => {
  let compared = 0
  fc.assert(
    fc.property(fc.array(transaction, { minLength: 10, maxLength: 30 }), batches => {
      const tables = new Tables()
      tables.apply(CONFIGS.map(({ id, config }) => putConfig(configRow(id, config))))
      const use = new RoleUse(tables)
      for (const batch of batches) {
        // As with the keeper, the tables are ahead of what is taken in.
        for (const { change: one, before } of tables.apply(batch)) use.apply(one, before)
        for (const role of ['web', 'db', 'nobody']) {
          const counted = recount(tables, role)
          expect(use.of(role)).toEqual(counted)
          if (counted.prodShared.cpusMilli > 0) compared++
        }
      }
      expect(new RoleUse(tables).of('web')).toEqual(use.of('web'))
      const active = recount(withoutPlans(tables), 'web')
      expect(use.active('web')).toEqual(active)
    }),
    { numRuns: 80 },
  )
  expect(compared).toBeGreaterThan(100)
})

test('a role whose rows are gone: nothing is kept of it', () => {
  const tables = new Tables()
  const use = new RoleUse(tables)
  const put = (...changes: RowChange[]) => {
    for (const { change: one, before } of tables.apply(changes)) use.apply(one, before)
  }
  const { id, config } = chosen(0, 0)
  const cron = { schedule: '* * * * *', collisionPolicy: 'CANCEL_NEW' } as const
  const update = updateRow('u', { job: JOBS[0]!, initial: [part(0, 0, [0, 1])] })
  const key = updateKey(JOBS[0]!, 'u')
  put(
    putConfig(configRow(id, config)),
    putTask(taskRow('t', { job: JOBS[0]!, configId: configId(id), status: 'RUNNING' })),
    {
      type: 'put',
      table: 'job',
      key: text(JOBS[0]!),
      row: { ...jobRow(), key: JOBS[0]!, configId: configId(id), cron },
    },
    putUpdate(update),
    putUpdateEvent({ v: 1, update: key, number: 1, atMs: 1, status: 'ROLLING_FORWARD' }),
  )
  expect([...use.roles()]).toEqual(['web'])
  put(
    { type: 'delete', table: 'task', key: 't' },
    { type: 'delete', table: 'job', key: text(JOBS[0]!) },
    { type: 'delete', table: 'update', key },
  )
  expect([...use.roles()]).toEqual([])
  expect(use.of('web')).toEqual(nothing())
})

test('a task that came and went with its configuration before anybody looked: nothing is counted', () => {
  const tables = new Tables()
  const use = new RoleUse(tables)
  const { id, config } = chosen(0, 0)
  const running = taskRow('t', { job: JOBS[0]!, configId: configId(id), status: 'RUNNING' })
  const applied = [
    ...tables.apply([putConfig(configRow(id, config)), putTask(running)]),
    ...tables.apply([{ type: 'delete', table: 'task', key: 't' }]),
    ...tables.apply([{ type: 'delete', table: 'config', key: id }]),
  ]
  for (const { change: one, before } of applied) use.apply(one, before)
  expect(use.of('web')).toEqual(nothing())
  expect([...use.roles()]).toEqual([])
})

/** The same tasks, and nothing that is planned for them. */
function withoutPlans(tables: Tables): Tables {
  const bare = new Tables()
  bare.apply([
    ...CONFIGS.map(({ id, config }) => putConfig(configRow(id, config))),
    ...[...tables.tasks()].map(task => putTask(task)),
  ])
  return bare
}
