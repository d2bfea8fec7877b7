import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type AgentId, agentId, configId } from '../../../src/core/base/ids.ts'
import { ADMISSION_SETTINGS } from '../../../src/core/job/admission.ts'
import type { TaskConfig } from '../../../src/core/job/task-config.ts'
import type { AgentRow } from '../../../src/core/ledger/rows.ts'
import { Tables } from '../../../src/core/ledger/tables.ts'
import { type Plan, plan, type WhatIf } from '../../../src/core/whatif/plan.ts'
import { agentRow, configRow, HELLO, putAgent, putConfig, putTask, taskRow } from '../../fixtures/rows.ts'

const cores = (n: number) => ({ cpusMilli: n * 1000, ramMb: 64, diskMb: 64, gpus: 0 })
const NOTHING: WhatIf = { drain: new Set(), lose: new Set(), apply: [] }

/** Hosts of four cores. */
class World {
  readonly tables = new Tables()
  #instances = 0

  agent(id: string, more: Partial<AgentRow> = {}): void {
    const total = { ...cores(4), ramMb: 8192, diskMb: 8192 }
    this.tables.apply([putAgent(agentRow(id, { host: id, total, ...more }))])
  }

  config(name: string, more: Partial<TaskConfig> = {}): TaskConfig {
    const { tier = 'preemptible', job = { ...HELLO, name } } = more
    const made = configRow(name, {
      ports: [],
      resources: cores(1),
      ...more,
      tier,
      production: tier === 'preferred',
      job,
    })
    this.tables.apply([putConfig(made)])
    return made.config
  }

  running(name: string, on: string): void {
    const instance = this.#instances++
    const { job } = this.tables.config(configId(name))!
    const where = { status: 'RUNNING', agentId: agentId(on), host: on } as const
    this.tables.apply([putTask(taskRow(`t${instance}`, { job, instance, configId: configId(name), ...where }))])
  }

  pending(name: string, status: 'PENDING' | 'THROTTLED' = 'PENDING'): void {
    const instance = this.#instances++
    const { job } = this.tables.config(configId(name))!
    this.tables.apply([putTask(taskRow(`t${instance}`, { job, instance, configId: configId(name), status }))])
  }

  try(what: Partial<WhatIf>, seed = 1, away: readonly string[] = []): Plan {
    const steps = plan(
      { ...NOTHING, ...what },
      {
        view: this.tables,
        isConnected: id => !away.includes(id),
        overhead: { cpusMilli: 0, ramMb: 0, diskMb: 0, gpus: 0 },
        tiers: ADMISSION_SETTINGS.tiers,
        offerOrder: ['RANDOM'],
        unavailabilityThresholdMs: 0,
        isPreemptionEnabled: true,
        tasksPerJobMax: ADMISSION_SETTINGS.tasksPerJobMax,
        nowMs: 1_000,
        seed,
      },
    )
    for (;;) {
      const step = steps.next()
      if (step.done === true) return step.value
    }
  }
}

const ids = (...names: string[]): ReadonlySet<AgentId> => new Set(names.map(agentId))

describe('a trial', () => {
  test('nothing is tried on a quiet cluster: an empty plan', () => {
    const world = new World()
    world.agent('h')
    world.config('c')
    world.running('c', 'h')
    expect(world.try({})).toMatchObject({ jobs: [], preempted: [], hosts: { connected: 1, drained: 0, lost: 0 } })
  })

  test('a drained host: its tasks move to where there is room, and what has none says why', () => {
    const world = new World()
    for (const id of ['h', 'i']) world.agent(id)
    world.config('c')
    for (let n = 0; n < 4; n++) world.running('c', 'h')
    for (let n = 0; n < 2; n++) world.running('c', 'i')
    const [job] = world.try({ drain: ids('h') }).jobs
    expect(job).toMatchObject({ asked: 4, displaced: 4, reasons: ['Insufficient: CPU'] })
    expect(job?.placed.map(({ host }) => host)).toEqual(['i', 'i'])
    expect(job?.pending).toHaveLength(2)
    expect(job?.details).toContain('Host draining for maintenance (1 host)')
  })

  test('a lost host is no host at all', () => {
    const world = new World()
    for (const id of ['h', 'i']) world.agent(id)
    world.config('c')
    world.running('c', 'h')
    const { jobs, hosts } = world.try({ lose: ids('h') })
    expect(hosts).toEqual({ connected: 1, drained: 0, lost: 1 })
    expect(jobs[0]?.placed).toEqual([{ instance: 0, host: 'i' }])
  })

  test('a job that is applied: new instances look for a place, kept ones do not, those beyond the count make room', () => {
    const world = new World()
    world.agent('h')
    const config = world.config('c')
    for (let n = 0; n < 4; n++) world.running('c', 'h')
    const job = { key: config.job, owner: 'ann', instanceCount: 2, task: config }
    expect(world.try({ apply: [{ job, configId: configId('c') }] }).jobs).toEqual([])
    const larger = { ...config, resources: cores(2) }
    const changed = { job: { ...job, task: larger }, configId: configId('d') }
    expect(world.try({ apply: [changed] }).jobs[0]).toMatchObject({ asked: 2, pending: [], displaced: 0 })
  })

  test('production that fits nowhere: who would be preempted, and where those would go', () => {
    const world = new World()
    world.agent('h')
    world.config('low', { job: { ...HELLO, role: 'other', name: 'low' } })
    for (let n = 0; n < 4; n++) world.running('low', 'h')
    const prod = world.config('prod', { tier: 'preferred', resources: cores(2) })
    const apply = [{ job: { key: prod.job, owner: 'ann', instanceCount: 1, task: prod }, configId: configId('prod') }]
    const { jobs, preempted } = world.try({ apply })
    expect(preempted).toHaveLength(2)
    expect(preempted[0]).toMatchObject({ host: 'h', inFavorOf: prod.job })
    const byName = new Map(jobs.map(job => [job.key.name, job]))
    expect(byName.get('prod')?.placed).toEqual([{ instance: 0, host: 'h' }])
    expect(byName.get('low')).toMatchObject({ displaced: 2, placed: [] })
  })

  test('one instance on every host: a drained host is one less, and nothing has to move', () => {
    const world = new World()
    for (const id of ['h', 'i']) world.agent(id)
    world.config('c', { everyHost: true })
    world.running('c', 'h')
    world.running('c', 'i')
    expect(world.try({ drain: ids('h') }).jobs).toEqual([])
  })

  test('a task that is held back for a while finds its place like any other', () => {
    const world = new World()
    world.agent('h')
    world.config('c')
    world.pending('c', 'THROTTLED')
    world.pending('c')
    const [job] = world.try({}).jobs
    expect(job).toMatchObject({ asked: 2, pending: [] })
    expect(job?.placed.map(({ host }) => host)).toEqual(['h', 'h'])
  })

  describe('one instance on every host, applied', () => {
    const exporter = { ...HELLO, name: 'exporter' }
    const apply = (config: TaskConfig, instanceCount: number) => {
      return [{ job: { key: config.job, owner: 'ann', instanceCount, task: config }, configId: configId('exporter') }]
    }
    const hosts = (plan: Plan) => plan.jobs[0]?.placed.map(({ host }) => host).sort()

    test('as many look for a place as hosts are allowed: not those that rules, owners, a drain or a loss shut out', () => {
      const world = new World()
      const inRack = (rack: string) => [{ name: 'rack', values: [rack] }]
      for (const id of ['h', 'i', 'j', 'k']) world.agent(id, { attributes: inRack('a') })
      world.agent('away', { attributes: inRack('a') })
      world.agent('far', { attributes: inRack('b') })
      world.agent('owned', { attributes: [...inRack('a'), { name: 'dedicated', values: ['other/x'] }] })
      const rule = { type: 'value', negated: false, values: ['a'] } as const
      const config = world.config('exporter', {
        job: exporter,
        everyHost: true,
        constraints: [{ name: 'rack', rule }],
      })
      const plan = world.try({ apply: apply(config, 1), drain: ids('j'), lose: ids('k') }, 1, ['away'])
      expect(plan.jobs[0]).toMatchObject({ asked: 2, pending: [] })
      expect(hosts(plan)).toEqual(['h', 'i'])
    })

    test('what runs already stays, whatever its number is, and only hosts without an instance get one', () => {
      const world = new World()
      for (const id of ['h', 'i', 'j']) world.agent(id)
      const config = world.config('exporter', { job: exporter, everyHost: true })
      world.config('c')
      world.running('c', 'h')
      for (const id of ['h', 'i']) world.running('exporter', id)
      const plan = world.try({ apply: apply(config, 1) })
      expect(plan.jobs[0]).toMatchObject({ asked: 1, pending: [] })
      expect(hosts(plan)).toEqual(['j'])
    })

    test('a changed configuration: every host gets one anew', () => {
      const world = new World()
      for (const id of ['h', 'i']) world.agent(id)
      world.config('old', { job: exporter, everyHost: true })
      for (const id of ['h', 'i']) world.running('old', id)
      const config = world.config('exporter', { job: exporter, everyHost: true, resources: cores(2) })
      expect(hosts(world.try({ apply: apply(config, 1) }))).toEqual(['h', 'i'])
    })
  })

  test('nothing of it is written, and the same state and seed give the same plan', () => {
    const world = new World()
    for (let i = 0; i < 6; i++) world.agent(`h${i}`)
    world.config('c')
    for (let i = 0; i < 6; i++) world.running('c', `h${i}`)
    const before = JSON.stringify([[...world.tables.tasks()], [...world.tables.agents()]])
    const first = world.try({ drain: ids('h0', 'h1') }, 7)
    expect(world.try({ drain: ids('h0', 'h1') }, 7)).toEqual(first)
    expect(JSON.stringify([[...world.tables.tasks()], [...world.tables.agents()]])).toBe(before)
  })
})

test('any cluster and any drain: no host gets more than it has, nothing lands on a drained one, every task is told once', () => {
  const size = fc.integer({ min: 1, max: 5 })
  fc.assert(
    fc.property(
      size,
      fc.array(fc.tuple(fc.nat(4), fc.nat(2)), { maxLength: 25 }),
      fc.nat(4),
      fc.nat(),
      (n, tasks, drained, seed) => {
        const world = new World()
        for (let i = 0; i < n; i++) world.agent(`h${i}`)
        for (let c = 0; c < 3; c++) world.config(`c${c}`, { resources: cores(c + 1) })
        const used = new Map<string, number>()
        for (const [host, c] of tasks) {
          const on = `h${host % n}`
          if ((used.get(on) ?? 0) + c + 1 > 4) world.pending(`c${c}`)
          else {
            used.set(on, (used.get(on) ?? 0) + c + 1)
            world.running(`c${c}`, on)
          }
        }
        const gone = `h${drained % n}`
        const { jobs, preempted } = world.try({ drain: ids(gone) }, seed)
        used.delete(gone)
        for (const { key, placed, pending, asked } of jobs) {
          expect(placed.length + pending.length).toBe(asked)
          for (const { host } of placed) {
            expect(host).not.toBe(gone)
            used.set(host, (used.get(host) ?? 0) + Number(key.name.slice(1)) + 1)
          }
        }
        expect(preempted).toEqual([])
        for (const sum of used.values()) expect(sum).toBeLessThanOrEqual(4)
      },
    ),
    { numRuns: 200 },
  )
})
