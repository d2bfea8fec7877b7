import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { agentId, configId } from '../../../src/core/base/ids.ts'
import { prng } from '../../../src/core/base/prng.ts'
import type { Constraint, TaskConfig } from '../../../src/core/job/task-config.ts'
import type { AgentRow, HostMode } from '../../../src/core/ledger/rows.ts'
import { Tables } from '../../../src/core/ledger/tables.ts'
import type { RowChange } from '../../../src/core/ledger/transaction.ts'
import { type Explanation, explain } from '../../../src/core/scheduling/explanation.ts'
import { Matcher } from '../../../src/core/scheduling/matcher.ts'
import { vetoes } from '../../../src/core/scheduling/veto.ts'
import { agentRow, configRow, HELLO, putAgent, putConfig, putTask, taskRow } from '../../fixtures/rows.ts'

const cores = (n: number) => ({ cpusMilli: n * 1000, ramMb: 64, diskMb: 64, gpus: 0 })
const value = (name: string, ...values: string[]): Constraint => ({
  name,
  rule: { type: 'value', negated: false, values },
})
const limit = (name: string, count: number): Constraint => ({ name, rule: { type: 'limit', limit: count } })
const attributes = (of: Readonly<Record<string, string>>) =>
  Object.entries(of).map(([name, text]) => ({ name, values: [text] }))

class World {
  readonly tables = new Tables()
  readonly matcher = new Matcher({
    view: this.tables,
    overhead: { cpusMilli: 0, ramMb: 0, diskMb: 0, gpus: 0 },
    offerOrder: ['RANDOM'],
    random: prng(1),
  })
  #instances = 0

  put(...changes: RowChange[]): void {
    for (const { change, before } of this.tables.apply(changes)) this.matcher.apply(change, before)
  }

  agent(id: string, more: Partial<AgentRow> = {}): void {
    this.put(putAgent(agentRow(id, { host: id, ...more })))
    this.matcher.agentUp(agentId(id))
  }

  config(name: string, more: Partial<TaskConfig>): void {
    this.put(putConfig(configRow(name, { job: { ...HELLO, name }, ports: [], ...more })))
  }

  running(config: string, on: string): void {
    const { job } = this.tables.config(configId(config))!
    const instance = this.#instances++
    const where = { agentId: agentId(on), host: on, status: 'RUNNING' } as const
    this.put(putTask(taskRow(`t${instance}`, { job, instance, configId: configId(config), ...where })))
  }

  explain(config: string): Explanation {
    const steps = explain(this.matcher, this.matcher.askOf(configId(config)), 0)
    for (;;) {
      const step = steps.next()
      if (step.done === true) return step.value
    }
  }

  changes(config: string): readonly string[] {
    return this.explain(config).changes.map(({ text }) => text)
  }
}

describe('what would help', () => {
  test('a limit: the smallest that opens a host, with all the hosts that it opens', () => {
    const world = new World()
    for (let i = 0; i < 4; i++) world.agent(`h${i}`, { attributes: attributes({ host: `h${i}` }) })
    world.config('c', { resources: cores(0.1), constraints: [limit('host', 1)] })
    for (let i = 0; i < 4; i++) world.running('c', `h${i}`)
    world.running('c', 'h3')
    expect(world.explain('c')).toEqual({
      hosts: 4,
      verdicts: [{ text: 'Limit not satisfied: host', hosts: 4 }],
      nearest: ['h0', 'h1', 'h2']
        .map(host => ({ host, lacks: [`host ${host} has 1 of 1`] }))
        .concat([{ host: 'h3', lacks: ['host h3 has 2 of 1'] }]),
      changes: [{ text: '3 hosts fit with limit:host=2: h0, h1, h2', hosts: 3 }],
      never: null,
    })
  })

  test('a gang that fits in part: how many members fit, and never that a task fits now', () => {
    const world = new World()
    for (const id of ['h0', 'h1']) world.agent(id, { attributes: attributes({ host: id }) })
    world.config('c', { resources: cores(0.1), constraints: [limit('host', 1)], gang: 3 })
    expect(world.explain('c')).toMatchObject({
      verdicts: [{ text: 'Has room for members of the gang, not for the whole', hosts: 2 }],
      changes: [{ text: '2 of 3 members fit: add hosts or lower gang', hosts: 2 }],
    })
    world.agent('h2', { attributes: attributes({ host: 'h2' }) })
    expect(world.explain('c')).toMatchObject({ verdicts: [{ text: 'Fits now', hosts: 3 }], changes: [] })
  })

  test('a gang on one host: members share its room, those that run need no more of it', () => {
    const world = new World()
    world.agent('h', { total: { ...cores(5), ramMb: 8192, diskMb: 8192 } })
    world.config('c', { resources: cores(1), gang: 8 })
    expect(world.changes('c')).toEqual(['5 of 8 members fit: add hosts or lower gang'])
    for (let i = 0; i < 3; i++) world.running('c', 'h')
    expect(world.changes('c')).toEqual(['2 of 5 members fit: add hosts or lower gang'])
    world.agent('i', { total: { ...cores(3), ramMb: 8192, diskMb: 8192 } })
    expect(world.explain('c').verdicts).toEqual([{ text: 'Fits now', hosts: 2 }])
  })

  test('a shortage: the nearest host by name, and how much less it would have to be', () => {
    const world = new World()
    world.agent('h17', { total: { ...cores(2), ramMb: 4096, diskMb: 4096 } })
    world.agent('h18', { total: { ...cores(1), ramMb: 4096, diskMb: 4096 } })
    world.config('c', { resources: cores(2.5) })
    const { nearest, changes, never } = world.explain('c')
    expect(nearest[0]).toEqual({ host: 'h17', lacks: ['is short 0.5 core(s) of CPU'] })
    expect(changes[0]?.text).toBe(
      '1 host fits with 2 core(s) of CPU per task instead of 2.5 core(s) (executor included): h17',
    )
    expect(never).toBe(
      'It can never fit: the largest host that would take it, h17, has 2 core(s) of CPU in all, and a task asks for 2.5 core(s) (its executor included).',
    )
  })

  test('a constraint: the value that opens most hosts, and dropping it where that opens more', () => {
    const world = new World()
    for (const [id, rack] of [
      ['h1', 'r1'],
      ['h2', 'r2'],
      ['h3', 'r2'],
    ] as const)
      world.agent(id, { attributes: attributes({ rack }) })
    world.config('c', { constraints: [value('rack', 'r7')] })
    expect(world.changes('c')).toEqual([
      '3 hosts fit without the constraint rack=r7: h1, h2, h3',
      '2 hosts fit with rack=r7,r2: h2, h3',
    ])
  })

  test('drained, dedicated, away and disconnected hosts are each named with what would open them', () => {
    const world = new World()
    world.agent('drained', { mode: 'DRAINED' })
    world.agent('own', { attributes: attributes({ dedicated: 'ads/x' }) })
    world.agent('away', { unavailability: { fromMs: 1 } })
    world.agent('gone')
    world.matcher.agentDown(agentId('gone'))
    world.config('c', {})
    expect(world.explain('c').verdicts.map(({ text }) => text)).toEqual([
      'Agent is not connected',
      'Host drained for maintenance',
      'Host is dedicated',
      'Host unavailable from 1970-01-01T00:00:00.001Z',
    ])
    expect(world.changes('c')).toEqual([
      '1 host fits with the constraint dedicated=ads/x: own',
      '1 host fits when the maintenance of these ends: drained',
      '1 host fits when the planned time away is over: away',
      '1 host fits when the agents of these are back: gone',
    ])
  })

  test('two things in the way on every host: no single change is promised', () => {
    const world = new World()
    world.agent('h', { mode: 'DRAINING', attributes: attributes({ dedicated: 'ads/x' }) })
    world.config('c', {})
    expect(world.changes('c')).toEqual([])
    expect(world.explain('c').nearest).toEqual([
      { host: 'h', lacks: ['is dedicated to ads/x', 'is DRAINING for maintenance'] },
    ])
  })
})

test('any cluster: every host is counted once, and `fits now` is what the filter says', () => {
  const host = fc.record({
    rack: fc.option(fc.constantFrom('a', 'b')),
    dedicated: fc.option(fc.constantFrom('www-data/x', 'ads')),
    cores: fc.integer({ min: 0, max: 3 }),
    mode: fc.constantFrom<HostMode>('NONE', 'NONE', 'SCHEDULED', 'DRAINING'),
    running: fc.integer({ min: 0, max: 2 }),
    isUp: fc.boolean(),
  })
  const asked = fc.record({
    cores: fc.integer({ min: 1, max: 3 }),
    constraints: fc.constantFrom<Constraint[]>(
      [],
      [limit('rack', 2)],
      [value('rack', 'a')],
      [value('dedicated', 'www-data/x')],
    ),
  })
  fc.assert(
    fc.property(fc.array(host, { maxLength: 8 }), asked, (hosts, ask) => {
      const world = new World()
      world.config('c', { resources: cores(ask.cores), constraints: ask.constraints })
      hosts.forEach((made, i) => {
        const named = Object.entries({ rack: made.rack, dedicated: made.dedicated }).filter(([, of]) => of !== null)
        world.agent(`h${i}`, {
          mode: made.mode,
          total: { ...cores(made.cores), ramMb: 4096, diskMb: 4096 },
          attributes: attributes(Object.fromEntries(named) as Record<string, string>),
        })
        for (let n = 0; n < made.running; n++) world.running('c', `h${i}`)
        if (!made.isUp) world.matcher.agentDown(agentId(`h${i}`))
      })
      const explained = world.explain('c')
      expect(explained.verdicts.reduce((sum, { hosts: count }) => sum + count, 0)).toBe(hosts.length)
      const countOf = (name: string, of: string): number => {
        const there = [...world.tables.agents()].filter(row =>
          row.attributes.some(a => a.name === name && a.values.includes(of)),
        )
        return there.reduce((sum, row) => sum + world.tables.tasksOnAgent(row.agentId).length, 0)
      }
      const { needs } = world.matcher.askOf(configId('c'))
      const fitting = [...world.matcher.book.hosts()].filter(
        one => one.connected && vetoes(one, { needs, constraints: ask.constraints, countOf }).length === 0,
      )
      const said = explained.verdicts.find(({ text }) => text === 'Fits now')?.hosts ?? 0
      expect(said).toBe(fitting.length)
    }),
    { numRuns: 200 },
  )
})
