import { describe, expect, test } from 'vitest'
import { agentId, configId, type TaskId } from '../../../src/core/base/ids.ts'
import { prng } from '../../../src/core/base/prng.ts'
import { ADMISSION_SETTINGS } from '../../../src/core/job/admission.ts'
import type { TaskConfig } from '../../../src/core/job/task-config.ts'
import { Tables } from '../../../src/core/ledger/tables.ts'
import type { RowChange } from '../../../src/core/ledger/transaction.ts'
import { SlotSearch } from '../../../src/core/preempt/slot-search.ts'
import { VictimIndex } from '../../../src/core/preempt/victim-index.ts'
import { Matcher } from '../../../src/core/scheduling/matcher.ts'
import { agentRow, configRow, HELLO, putAgent, putConfig, putTask, taskRow } from '../../fixtures/rows.ts'

const { tiers } = ADMISSION_SETTINGS
const cores = (n: number) => ({ cpusMilli: n * 1000, ramMb: 64, diskMb: 64, gpus: 0 })

/** Hosts of four cores, tasks that take whole ones. */
class World {
  readonly tables = new Tables()
  readonly matcher = new Matcher({
    view: this.tables,
    overhead: { cpusMilli: 0, ramMb: 0, diskMb: 0, gpus: 0 },
    offerOrder: ['RANDOM'],
    random: prng(1),
  })
  readonly victims = new VictimIndex(this.tables, task => this.matcher.askOf(task.configId), tiers)
  readonly search = new SlotSearch(this.matcher, this.victims, this.tables)
  #instances = 0

  put(...changes: RowChange[]): void {
    for (const { change, before } of this.tables.apply(changes)) {
      this.matcher.apply(change, before)
      this.victims.apply(change)
    }
  }

  agent(id: string, more: Parameters<typeof agentRow>[1] = {}): void {
    this.put(putAgent(agentRow(id, { total: { ...cores(4), ramMb: 8192, diskMb: 8192 }, ...more })))
    this.matcher.agentUp(agentId(id))
  }

  config(name: string, more: Partial<TaskConfig>): void {
    const { tier = 'preemptible', job = { ...HELLO, name } } = more
    const production = tier === 'preferred'
    this.put(putConfig(configRow(name, { ports: [], ...more, tier, production, job })))
  }

  running(id: string, config: string, on: string, status: 'RUNNING' | 'KILLING' = 'RUNNING'): void {
    const { job } = this.tables.config(configId(config))!
    const where = { agentId: agentId(on), host: on }
    this.put(putTask(taskRow(id, { job, instance: this.#instances++, configId: configId(config), status, ...where })))
  }

  slots(config: string, count = 1, mustStay?: (id: TaskId) => boolean) {
    const request = { configId: configId(config), count, nowMs: 1_000, seed: 1 }
    return this.search.search({
      ...request,
      ...(mustStay === undefined ? {} : { mustStay: victim => mustStay(victim.taskId) }),
    }).slots
  }

  victimsOf(config: string): string[] | undefined {
    return this.slots(config)[0]
      ?.victims.map(victim => victim.taskId)
      .sort()
  }
}

const other = { ...HELLO, role: 'other', name: 'x' }

describe('who may be preempted', () => {
  test('sched-56: production of any priority takes the place of what is preemptible, whatever its role and priority', () => {
    const world = new World()
    world.agent('h')
    world.config('victim', { job: other, priority: 100, resources: cores(4) })
    world.running('v', 'victim', 'h')
    world.config('prod', { tier: 'preferred', priority: -1000, resources: cores(2) })
    expect(world.victimsOf('prod')).toEqual(['v'])
  })

  test('sched-57: production of another role is never preempted', () => {
    const world = new World()
    world.agent('h')
    world.config('victim', { job: other, tier: 'preferred', priority: 0, resources: cores(4) })
    world.running('v', 'victim', 'h')
    world.config('prod', { tier: 'preferred', priority: 1000, resources: cores(2) })
    expect(world.victimsOf('prod')).toBeUndefined()
  })

  test('sched-58, sched-59: within a role only a lower priority goes, and never an equal one', () => {
    const world = new World()
    world.agent('h')
    for (const priority of [100, 99, 1]) {
      world.config(`p${priority}`, { priority, resources: cores(1) })
      world.running(`v${priority}`, `p${priority}`, 'h')
    }
    world.config('equal', { priority: 1, resources: cores(1) })
    world.running('other', 'equal', 'h')
    world.config('pending', { priority: 98, resources: cores(1) })
    expect(world.victimsOf('pending')).toHaveLength(1)
    world.config('same', { priority: 1, resources: cores(1) })
    expect(world.victimsOf('same')).toBeUndefined()
  })

  test('what is dying is no victim', () => {
    const world = new World()
    world.agent('h')
    world.config('victim', { job: other, resources: cores(4) })
    world.running('v', 'victim', 'h', 'KILLING')
    world.config('prod', { tier: 'preferred', resources: cores(2) })
    expect(world.victimsOf('prod')).toBeUndefined()
  })
})

describe('which tasks go', () => {
  const prod = { tier: 'preferred', resources: cores(2) } as const

  test('sched-60: two of one core for two cores; of 4, 1 and 1 only the 4', () => {
    const small = new World()
    small.agent('h', { total: { ...cores(2), ramMb: 8192, diskMb: 8192 } })
    small.config('one', { job: other, resources: cores(1) })
    small.running('a', 'one', 'h')
    small.running('b', 'one', 'h')
    small.config('prod', prod)
    expect(small.victimsOf('prod')).toEqual(['a', 'b'])

    const mixed = new World()
    mixed.agent('h', { total: { ...cores(6), ramMb: 8192, diskMb: 8192 } })
    mixed.config('four', { job: other, resources: cores(4) })
    mixed.config('one', { job: other, resources: cores(1) })
    mixed.running('big', 'four', 'h')
    mixed.running('a', 'one', 'h')
    mixed.running('b', 'one', 'h')
    mixed.config('prod', prod)
    expect(mixed.victimsOf('prod')).toEqual(['big'])
  })

  test('sched-61: what is free counts, lent cores do not, and a revocable victim gives none', () => {
    const world = new World()
    world.agent('h', { total: { ...cores(2), ramMb: 8192, diskMb: 8192 } })
    world.config('one', { job: other, resources: cores(1) })
    world.running('v', 'one', 'h')
    world.config('prod', prod)
    expect(world.victimsOf('prod')).toEqual(['v'])

    const lent = new World()
    lent.agent('h', { total: { ...cores(1), ramMb: 8192, diskMb: 8192 }, revocable: { cpusMilli: 4000 } })
    lent.config('one', { job: other, resources: cores(1) })
    lent.running('v', 'one', 'h')
    lent.config('prod', prod)
    expect(lent.victimsOf('prod')).toBeUndefined()

    lent.agent('i', { total: { ...cores(1), ramMb: 8192, diskMb: 8192 }, revocable: { cpusMilli: 4000 } })
    lent.config('lent', { job: other, tier: 'revocable', resources: cores(4) })
    lent.running('r', 'lent', 'i')
    expect(lent.victimsOf('prod')).toBeUndefined()
  })

  test('sched-62: room without any victim is no slot', () => {
    const world = new World()
    world.agent('h')
    world.config('prod', prod)
    expect(world.victimsOf('prod')).toBeUndefined()
  })

  test('sched-66: a host without a protected victim is chosen; where there is no other, the protected one goes', () => {
    const world = new World()
    for (const id of ['h', 'i']) {
      world.agent(id)
      world.config(`on-${id}`, { job: { ...other, name: id }, priority: id === 'h' ? 0 : 50, resources: cores(4) })
      world.running(`v-${id}`, `on-${id}`, id)
    }
    world.config('prod', prod)
    const staysOnH = (id: string) => id === 'v-h'
    expect(world.slots('prod', 1, staysOnH)[0]?.host).toBe('i.example')
    world.matcher.agentDown(agentId('i'))
    expect(world.slots('prod', 1, staysOnH)[0]).toMatchObject({ host: 'h.example', violations: 1 })
  })

  test('sched-67: 20 pending tasks and 20 full hosts: one search finds a slot for each, no host and no victim twice', () => {
    const world = new World()
    world.config('victim', { job: other, resources: cores(4) })
    for (let i = 0; i < 20; i++) {
      world.agent(`h${i}`)
      world.running(`v${i}`, 'victim', `h${i}`)
    }
    world.config('prod', { tier: 'preferred', resources: cores(4) })
    const slots = world.slots('prod', 20)
    expect(slots).toHaveLength(20)
    expect(new Set(slots.map(slot => slot.agentId)).size).toBe(20)
    expect(new Set(slots.flatMap(slot => slot.victims.map(victim => victim.taskId))).size).toBe(20)
  })

  test('a limit holds over the slots of one search: one rack, one slot', () => {
    const world = new World()
    world.config('victim', { job: other, resources: cores(4) })
    for (let i = 0; i < 4; i++) {
      world.agent(`h${i}`, { attributes: [{ name: 'rack', values: [i < 2 ? 'a' : 'b'] }] })
      world.running(`v${i}`, 'victim', `h${i}`)
    }
    const limit = { name: 'rack', rule: { type: 'limit', limit: 1 } } as const
    world.config('prod', { tier: 'preferred', resources: cores(4), constraints: [limit] })
    const slots = world.slots('prod', 4)
    expect(slots.map(slot => Number(slot.agentId.slice(1)) < 2).sort()).toEqual([false, true])
  })
})
