import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type AgentId, agentId, configId } from '../../../src/core/base/ids.ts'
import { ADMISSION_SETTINGS } from '../../../src/core/job/admission.ts'
import type { TaskConfig } from '../../../src/core/job/task-config.ts'
import type { AgentRow } from '../../../src/core/ledger/rows.ts'
import { Tables } from '../../../src/core/ledger/tables.ts'
import { namedAgents } from '../../../src/core/whatif/named-hosts.ts'
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

  pending(name: string): void {
    const instance = this.#instances++
    const { job } = this.tables.config(configId(name))!
    this.tables.apply([putTask(taskRow(`t${instance}`, { job, instance, configId: configId(name) }))])
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

describe('hosts by name', () => {
  const agents = [
    agentRow('a1', { host: 'h1', attributes: [{ name: 'rack', values: ['r1'] }] }),
    agentRow('a2', { host: 'h2', attributes: [{ name: 'rack', values: ['r1'] }] }),
  ]

  test('a host, an agent id and an attribute each name agents', () => {
    expect([...namedAgents(['h1', 'a2'], agents, 'drain').ids]).toEqual(['a1', 'a2'])
    expect([...namedAgents(['rack=r1'], agents, 'lose').ids]).toEqual(['a1', 'a2'])
    expect([...namedAgents(['agent=a2'], agents, 'lose').ids]).toEqual(['a2'])
  })

  test('what names nothing is a fault with its place, and with what comes near', () => {
    expect(namedAgents(['h1', 'h3'], agents, 'drain').faults).toEqual([
      { path: 'drain[1]', text: expect.stringContaining('There is no host h3; did you mean h') },
    ])
    expect(namedAgents(['rak=r1'], agents, 'lose').faults[0]?.text).toBe(
      'No agent has the attribute rak; did you mean rack?',
    )
    expect(namedAgents(['h1'], [], 'lose').faults[0]?.text).toBe('No agent has registered, so there is no h1')
  })
})
