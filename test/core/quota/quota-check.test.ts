import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { configId, type JobKey, jobKeyText } from '../../../src/core/base/ids.ts'
import type { TaskConfig } from '../../../src/core/job/task-config.ts'
import type { Quota, UpdateRow } from '../../../src/core/ledger/rows.ts'
import { Tables } from '../../../src/core/ledger/tables.ts'
import type { RowChange } from '../../../src/core/ledger/transaction.ts'
import { QuotaCheck } from '../../../src/core/quota/quota-check.ts'
import { type Pools, poolOf, RoleUse } from '../../../src/core/quota/role-use.ts'
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

const ROLE = 'www-data'
const DEDICATED = [
  { name: 'dedicated', rule: { type: 'value', negated: false, values: [`${ROLE}/x`] } },
] as TaskConfig['constraints']
/** As many cores as GB of RAM and disk. */
const size = (n: number, ramMb = n * 1024) => ({ cpusMilli: n * 1000, ramMb, diskMb: n * 1024, gpus: 0 })
const quota = (n: number): Quota => ({ cpusMilli: n * 1000, ramMb: n * 1024, diskMb: n * 1024 })

class World {
  readonly tables = new Tables()
  readonly use = new RoleUse(this.tables)
  readonly check = new QuotaCheck(this.tables, this.use)
  #instances = 0

  put(...changes: RowChange[]): void {
    for (const { change, before } of this.tables.apply(changes)) this.use.apply(change, before)
  }

  quota(n: number): void {
    this.put({ type: 'put', table: 'quota', key: ROLE, row: { v: 1, role: ROLE, quota: quota(n) } })
  }

  config(name: string, n: number, more: Partial<TaskConfig> = {}): TaskConfig {
    const job: JobKey = more.job ?? { role: ROLE, environment: 'prod', name }
    const config = taskConfig({ production: true, resources: size(n), constraints: [], ...more, job })
    this.put(putConfig(configRow(name, config)))
    return config
  }

  tasks(name: string, count: number, status: TaskStatus = 'RUNNING'): void {
    const { job } = this.tables.config(configId(name))!
    for (let n = 0; n < count; n++) {
      const instance = this.#instances++
      this.put(putTask(taskRow(`t${instance}`, { job, instance, configId: configId(name), status })))
    }
  }

  template(name: string, n: number, instanceCount: number, more: Partial<TaskConfig> = {}): void {
    const config = this.config(name, n, more)
    const cron = { schedule: '* * * * *', collisionPolicy: 'KILL_EXISTING' } as const
    const row = { ...jobRow(), key: config.job, configId: configId(name), instanceCount, cron }
    this.put({ type: 'put', table: 'job', key: jobKeyText(config.job), row })
  }

  update(row: UpdateRow, status: 'ROLLING_FORWARD' | 'ROLLED_FORWARD' = 'ROLLING_FORWARD'): void {
    this.put(
      putUpdate(row),
      putUpdateEvent({ v: 1, update: updateKey(row.job, row.updateId), number: 1, atMs: 1, status }),
    )
  }

  cores(): Record<keyof Pools, number> {
    const { prodShared, prodDedicated, nonProdShared, nonProdDedicated } = this.use.of(ROLE)
    return {
      prodShared: prodShared.cpusMilli / 1000,
      prodDedicated: prodDedicated.cpusMilli / 1000,
      nonProdShared: nonProdShared.cpusMilli / 1000,
      nonProdDedicated: nonProdDedicated.cpusMilli / 1000,
    }
  }
}

const part = (config: TaskConfig, from: number, to: number) => ({
  config,
  instances: [[from, to]] as [number, number][],
})

describe('what a role uses', () => {
  test('sched-77: shared, dedicated, not production, an update and templates each count in their pool', () => {
    const world = new World()
    world.config('a', 3)
    world.config('b', 5, { constraints: DEDICATED })
    world.config('c', 2, { production: false })
    world.config('d', 7, { production: false, constraints: DEDICATED })
    for (const name of ['a', 'b', 'c', 'd']) world.tasks(name, 1)
    const updated = taskConfig({
      job: { role: ROLE, environment: 'prod', name: 'u' },
      production: true,
      resources: size(1),
      constraints: [],
    })
    world.update(updateRow('u1', { job: updated.job, initial: [part(updated, 0, 0)], desired: part(updated, 0, 0) }))
    world.template('cron-a', 2, 1)
    world.template('cron-b', 1, 7, { production: false })
    expect(world.cores()).toEqual({ prodShared: 6, prodDedicated: 5, nonProdShared: 9, nonProdDedicated: 7 })
  })

  test('sched-78: a template of 3 with a live run of 6 counts as 6', () => {
    const world = new World()
    world.template('cron', 1, 3)
    expect(world.cores().prodShared).toBe(3)
    world.tasks('cron', 6)
    expect(world.cores().prodShared).toBe(6)
  })

  test('sched-79: an update counts the larger side type by type', () => {
    const world = new World()
    const before = world.config('u', 2, { resources: size(2, 1024) })
    const after = { ...before, resources: size(1, 4096) }
    world.tasks('u', 1)
    world.update(updateRow('u1', { job: before.job, initial: [part(before, 0, 0)], desired: part(after, 0, 0) }))
    expect(world.use.of(ROLE).prodShared).toMatchObject({ cpusMilli: 2000, ramMb: 4096 })
  })

  test('sched-80: an update out of production counts what it was there, and what it is to be elsewhere', () => {
    const world = new World()
    const before = world.config('u', 2)
    const after = { ...before, production: false, resources: size(3) }
    world.tasks('u', 1)
    world.update(updateRow('u1', { job: before.job, initial: [part(before, 0, 0)], desired: part(after, 0, 0) }))
    expect(world.cores()).toMatchObject({ prodShared: 2, nonProdShared: 3 })
  })

  test('an update that has ended, and tasks that have, count no more', () => {
    const world = new World()
    const config = world.config('u', 2)
    world.tasks('u', 1)
    world.tasks('u', 3, 'FINISHED')
    world.update(
      updateRow('u1', { job: config.job, initial: [part(config, 0, 9)], desired: part(config, 0, 9) }),
      'ROLLED_FORWARD',
    )
    expect(world.cores().prodShared).toBe(2)
  })

  test('any sequence of changes: the sums kept are those of a count from scratch', () => {
    const step = fc.record({
      task: fc.integer({ min: 0, max: 9 }),
      config: fc.constantFrom('a', 'b', 'c'),
      status: fc.constantFrom<TaskStatus>('PENDING', 'RUNNING', 'KILLING', 'FINISHED'),
      isDeleted: fc.boolean(),
    })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), steps => {
        const world = new World()
        world.config('a', 1)
        world.config('b', 2, { production: false })
        world.config('c', 3, { constraints: DEDICATED })
        for (const { task, config, status, isDeleted } of steps) {
          const { job } = world.tables.config(configId(config))!
          const id = `t${config}${task}`
          const row = taskRow(id, { job, instance: task, configId: configId(config), status })
          world.put(isDeleted ? { type: 'delete', table: 'task', key: id } : putTask(row))
        }
        const counted = { prodShared: 0, prodDedicated: 0, nonProdShared: 0, nonProdDedicated: 0 }
        for (const task of world.tables.tasks()) {
          const config = world.tables.config(task.configId)!
          if (isActive(task.status)) counted[poolOf(config)] += config.resources.cpusMilli / 1000
        }
        expect(world.cores()).toEqual(counted)
        expect(new RoleUse(world.tables).of(ROLE)).toEqual(world.use.of(ROLE))
      }),
    )
  })
})

describe('what may be added', () => {
  test('sched-74: quota 4, 2 running, 1 being updated: one more passes, two name what is exceeded only', () => {
    const world = new World()
    world.quota(4)
    const config = world.config('a', 1)
    world.tasks('a', 2)
    const updated = { ...config, job: { ...config.job, name: 'u' } }
    world.update(updateRow('u1', { job: updated.job, initial: [part(updated, 0, 0)], desired: part(updated, 0, 0) }))
    expect(world.check.addFault(ROLE, config, 1)).toBeNull()
    const slim = { ...config, resources: { ...size(1), ramMb: 1 } }
    expect(world.check.addFault(ROLE, slim, 2)).toMatchObject({
      code: 'QUOTA_EXCEEDED',
      detail: 'Insufficient resource quota: CPU quota exceeded by 1.00 core(s); disk quota exceeded by 1024.00 MB',
      faults: [
        {
          path: 'task.resources',
          text: 'CPU: production of www-data uses 3 core(s), this adds 2 core(s); the quota is 4 core(s), so 1 core(s) too little',
        },
        { path: 'task.resources' },
      ],
    })
  })

  test('sched-75: without a quota production is refused with the command that helps, and all else is not', () => {
    const world = new World()
    const config = world.config('a', 1)
    const fault = world.check.addFault(ROLE, config, 1)
    expect(fault?.detail).toBe(
      'Insufficient resource quota: CPU quota exceeded by 1.00 core(s); RAM quota exceeded by 1024.00 MB; disk quota exceeded by 1024.00 MB',
    )
    expect(fault?.remedy).toContain('daybreak quota set CLUSTER/www-data')
    expect(world.check.addFault(ROLE, { ...config, production: false }, 1000)).toBeNull()
  })

  test('sched-76: production on dedicated machines needs no quota, as a template neither', () => {
    const world = new World()
    const config = world.config('a', 1, { constraints: DEDICATED })
    expect(world.check.addFault(ROLE, config, 1000)).toBeNull()
    expect(world.check.cronFault(ROLE, config, 1000, undefined)).toBeNull()
  })

  test('sched-81: an update that only takes instances away is not checked', () => {
    const world = new World()
    const config = world.config('a', 1)
    world.tasks('a', 2)
    expect(world.check.updateFault(updateRow('u1', { job: config.job, initial: [part(config, 0, 1)] }))).toBeNull()
    const larger = { ...config, resources: size(2) }
    const update = updateRow('u1', { job: config.job, initial: [part(config, 0, 1)], desired: part(larger, 0, 1) })
    world.quota(3)
    expect(world.check.updateFault(update)?.code).toBe('QUOTA_EXCEEDED')
    world.quota(4)
    expect(world.check.updateFault(update)).toBeNull()
  })

  test('sched-82: a quota below what is used, or negative, is refused in these words; zero with no use is not', () => {
    const world = new World()
    world.config('a', 2)
    expect(world.check.setFault(ROLE, quota(0))).toBeNull()
    world.tasks('a', 1)
    expect(world.check.setFault(ROLE, quota(1))?.detail).toBe(
      'Quota: 1 core(s), 1024 MB RAM, 1024 MB disk is less then current prod reservation: 2 core(s), 2048 MB RAM, 2048 MB disk',
    )
    expect(world.check.setFault(ROLE, { ...quota(4), ramMb: -1 })?.detail).toBe(
      'Negative values in: 4 core(s), -1 MB RAM, 4096 MB disk',
    )
    expect(world.check.setFault(ROLE, quota(2))).toBeNull()
  })

  test('sched-83: a template of 4 replaced by one of 5 fits a quota of 5, one of twice that size does not', () => {
    const world = new World()
    world.quota(5)
    world.template('cron', 1, 4)
    const config = world.tables.config(configId('cron'))!
    const replaced = world.tables.job(config.job)
    expect(world.check.cronFault(ROLE, config, 5, replaced)).toBeNull()
    expect(world.check.cronFault(ROLE, { ...config, resources: size(2) }, 5, replaced)?.code).toBe('QUOTA_EXCEEDED')
  })

  test('a template that comes into production is charged whole: what it was did not count', () => {
    const world = new World()
    world.quota(3)
    world.template('cron', 1, 4, { production: false })
    const config = world.tables.config(configId('cron'))!
    const fault = world.check.cronFault(ROLE, { ...config, production: true }, 4, world.tables.job(config.job))
    expect(fault?.code).toBe('QUOTA_EXCEEDED')
  })
})
