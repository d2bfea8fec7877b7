import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  agentId,
  type ConfigId,
  configId,
  type JobKey,
  jobKeyText,
  type TaskId,
  taskId,
} from '../../../src/core/base/ids.ts'
import { prng } from '../../../src/core/base/prng.ts'
import type { Constraint, TaskConfig } from '../../../src/core/job/task-config.ts'
import type { AgentRow } from '../../../src/core/ledger/rows.ts'
import { Tables } from '../../../src/core/ledger/tables.ts'
import type { RowChange } from '../../../src/core/ledger/transaction.ts'
import { OFFER_ORDER_PACKING, type OfferOrder } from '../../../src/core/offers/candidate-order.ts'
import { NEED_KINDS, type Needs, needsOf } from '../../../src/core/offers/needs.ts'
import { attributeSet } from '../../../src/core/scheduling/constraints.ts'
import { type Match, Matcher } from '../../../src/core/scheduling/matcher.ts'
import { vetoes } from '../../../src/core/scheduling/veto.ts'
import { HOST_ASSIGNED } from '../../../src/core/task/status.ts'
import { agentRow, configRow, deleteTask, HELLO, putAgent, putConfig, putTask, taskRow } from '../../fixtures/rows.ts'

const OVERHEAD = { cpusMilli: 10, ramMb: 8, diskMb: 0, gpus: 0 }
const value = (name: string, ...values: string[]): Constraint => ({
  name,
  rule: { type: 'value', negated: false, values },
})
const limit = (name: string, count: number): Constraint => ({ name, rule: { type: 'limit', limit: count } })
const attributes = (of: Readonly<Record<string, string>>) =>
  Object.entries(of).map(([name, text]) => ({ name, values: [text] }))
const cpus = (cores: number) => ({ cpusMilli: cores * 1000, ramMb: 64, diskMb: 64, gpus: 0 })

/** A matcher over tables, and the hands to change both as the ledger would. */
class World {
  readonly tables = new Tables()
  readonly matcher: Matcher
  #instances = 0

  constructor({ offerOrder = ['RANDOM'], seed = 1 }: { offerOrder?: readonly OfferOrder[]; seed?: number } = {}) {
    this.matcher = new Matcher({ view: this.tables, overhead: OVERHEAD, offerOrder, random: prng(seed) })
  }

  put(...changes: RowChange[]): void {
    for (const { change, before } of this.tables.apply(changes)) this.matcher.apply(change, before)
  }

  agent(id: string, more: Partial<AgentRow> = {}): void {
    this.put(putAgent(agentRow(id, more)))
    this.matcher.agentUp(agentId(id))
  }

  /** A configuration and that many PENDING tasks of it, `<config>-0` and so on. */
  tasks(config: string, count: number, more: Partial<TaskConfig> = {}): TaskId[] {
    const job: JobKey = more.job ?? { ...HELLO, name: config }
    this.put(putConfig(configRow(config, { ports: [], ...more, job })))
    return Array.from({ length: count }, () => {
      const instance = this.#instances++
      const id = `${config}-${instance}`
      this.put(putTask(taskRow(id, { job, instance, configId: configId(config) })))
      return taskId(id)
    })
  }

  match(config: string, taskIds: readonly TaskId[]) {
    return this.matcher.match({ configId: configId(config), taskIds }, 0)
  }

  /** What the ledger says when the assignment of a match is staged. */
  assign(...matches: readonly Match[]): void {
    for (const { taskId: id, agentId: on, host, ports } of matches) {
      this.put(putTask({ ...this.tables.task(id)!, status: 'ASSIGNED', agentId: on, host, ports }))
    }
  }

  end(id: TaskId): void {
    this.put(putTask({ ...this.tables.task(id)!, status: 'FINISHED' }))
  }

  reasons(config: string): readonly string[] | undefined {
    return this.matcher.reasonsOf(configId(config))?.reasons
  }
}

const onHosts = (matches: readonly Match[]): string[] => matches.map(match => match.agentId).sort()

describe('one round', () => {
  test('two tasks of a group, one host with room for both: both are placed there at once', () => {
    const world = new World()
    world.agent('h1')
    const { placed, unplaced } = world.match('c', world.tasks('c', 2))
    expect(onHosts(placed)).toEqual(['h1', 'h1'])
    expect(unplaced).toEqual([])
  })

  test('ports by name, and two tasks on one host never share one', () => {
    const world = new World()
    world.agent('h1', { portRanges: [[31_000, 31_003]] })
    const { placed, unplaced } = world.match('c', world.tasks('c', 3, { ports: ['admin', 'http'] }))
    expect(placed.map(match => Object.keys(match.ports))).toEqual([
      ['admin', 'http'],
      ['admin', 'http'],
    ])
    expect(new Set(placed.flatMap(match => Object.values(match.ports))).size).toBe(4)
    expect(unplaced).toHaveLength(1)
    expect(world.reasons('c')).toEqual(['Insufficient: ports'])
  })

  test('rack limit 1, 5 tasks, 3 racks of 4 hosts: exactly 3 are placed, one per rack', () => {
    for (const offerOrder of [['RANDOM'], OFFER_ORDER_PACKING] as const) {
      const world = new World({ offerOrder })
      for (let i = 0; i < 12; i++) world.agent(`h${i}`, { attributes: attributes({ rack: `r${i % 3}` }) })
      const { placed, unplaced } = world.match('c', world.tasks('c', 5, { constraints: [limit('rack', 1)] }))
      const racks = placed.map(match => world.tables.agent(match.agentId)?.attributes[0]?.values[0])
      expect([...racks].sort()).toEqual(['r0', 'r1', 'r2'])
      expect(unplaced).toHaveLength(2)
      expect(world.reasons('c')).toEqual(['Limit not satisfied: rack'])
    }
  })

  test('a host limit counts killing and partitioned tasks, not pending ones and not other jobs', () => {
    const world = new World()
    world.agent('h1', { attributes: attributes({ host: 'h1' }) })
    const other = world.tasks('other', 1)
    world.assign(...world.match('other', other).placed)
    const rule = { constraints: [limit('host', 2)] }
    const [first, second, third] = world.tasks('c', 3, rule) as [TaskId, TaskId, TaskId]
    world.assign(...world.match('c', [first]).placed)
    world.put(putTask({ ...world.tables.task(first)!, status: 'KILLING' }))
    world.assign(...world.match('c', [second]).placed)
    world.put(putTask({ ...world.tables.task(second)!, status: 'PARTITIONED' }))
    expect(world.match('c', [third]).unplaced).toEqual([third])
    world.end(first)
    expect(world.matcher.takeWakes(0)).toEqual([configId('c')])
    expect(onHosts(world.match('c', [third]).placed)).toEqual(['h1'])
  })

  test('a host moves to another rack: its tasks count there, and who waited for the old rack is woken', () => {
    const world = new World()
    const tight = { cpusMilli: 1010, ramMb: 8192, diskMb: 65_536, gpus: 0 }
    const rack = (name: string) => ({ total: tight, attributes: attributes({ rack: name }) })
    world.agent('h1', rack('a'))
    const rule = { resources: cpus(1), constraints: [limit('rack', 1)] }
    const [first, second] = world.tasks('c', 2, rule) as [TaskId, TaskId]
    world.assign(...world.match('c', [first]).placed)
    world.agent('h2', rack('a'))
    world.matcher.takeWakes(0)
    expect(world.match('c', [second]).unplaced).toEqual([second])
    world.put(putAgent(agentRow('h1', rack('b'))))
    expect(world.matcher.takeWakes(0)).toEqual([configId('c')])
    expect(onHosts(world.match('c', [second]).placed)).toEqual(['h2'])
  })

  test('random order: a group is spread before a host takes its second; packing fills a host first', () => {
    const spread = new World()
    const packed = new World({ offerOrder: OFFER_ORDER_PACKING })
    for (const world of [spread, packed]) for (let i = 0; i < 4; i++) world.agent(`h${i}`)
    expect(onHosts(spread.match('c', spread.tasks('c', 4)).placed)).toEqual(['h0', 'h1', 'h2', 'h3'])
    expect(new Set(onHosts(packed.match('c', packed.tasks('c', 4)).placed)).size).toBe(1)
  })

  test('a host about to be maintained is used only for what others have no room for', () => {
    const world = new World()
    world.agent('h1')
    world.agent('h2', { mode: 'SCHEDULED' })
    const { placed } = world.match('c', world.tasks('c', 5, { resources: cpus(0.99) }))
    expect(onHosts(placed)).toEqual(['h1', 'h1', 'h1', 'h1', 'h2'])
  })

  test('a task without GPU goes to a host without GPU, one with GPU to the other', () => {
    const gpu = { cpusMilli: 8000, ramMb: 8192, diskMb: 65_536, gpus: 2 }
    for (let seed = 0; seed < 10; seed++) {
      const world = new World({ seed })
      world.agent('plain')
      world.agent('gpu', { total: gpu })
      expect(onHosts(world.match('c', world.tasks('c', 2)).placed)).toEqual(['plain', 'plain'])
      const wanted = world.tasks('g', 1, { resources: { ...cpus(1), gpus: 1 } })
      expect(onHosts(world.match('g', wanted).placed)).toEqual(['gpu'])
    }
  })

  test('an id killed meanwhile is reported as gone, and its peers are placed', () => {
    const world = new World()
    world.agent('h1')
    const ids = world.tasks('c', 3)
    world.put(deleteTask(ids[0]!))
    world.put(putTask({ ...world.tables.task(ids[1]!)!, status: 'KILLED' }))
    const result = world.match('c', [...ids, taskId('never-was')])
    expect(result.gone).toEqual([ids[0], ids[1], 'never-was'])
    expect(result.placed.map(match => match.taskId)).toEqual([ids[2]])
  })

  test('a task that is held already is not placed twice, and is not forgotten: its hold may come to nothing', () => {
    const world = new World()
    world.agent('h1')
    const ids = world.tasks('c', 1)
    expect(world.match('c', ids).placed).toHaveLength(1)
    expect(world.match('c', ids)).toEqual({ placed: [], unplaced: ids, gone: [] })
  })
})

describe('capacity', () => {
  const full = { resources: { cpusMilli: 3990, ramMb: 64, diskMb: 64, gpus: 0 } }

  test('held, then staged, then ended: the room is taken once and comes back once', () => {
    const world = new World()
    world.agent('h1')
    const [first, second] = world.tasks('c', 2, full) as [TaskId, TaskId]
    const free = () => world.matcher.book.host(agentId('h1'))!.free.cpusMilli
    const { placed, unplaced } = world.match('c', [first, second])
    expect([placed.length, unplaced, free()]).toEqual([1, [second], 0])
    world.assign(...placed)
    expect([free(), world.matcher.book.holdCount]).toEqual([0, 0])
    world.matcher.release([first])
    expect(free()).toBe(0)
    world.end(first)
    expect(free()).toBe(4000)
  })

  test('a hold given back is free again; one whose task was killed is free without being given back', () => {
    const world = new World()
    world.agent('h1')
    const [first, second] = world.tasks('c', 2, full) as [TaskId, TaskId]
    world.match('c', [first])
    world.matcher.release([first, first])
    expect(world.match('c', [first]).placed).toHaveLength(1)
    world.put(putTask({ ...world.tables.task(first)!, status: 'KILLED' }))
    expect(world.match('c', [second]).placed).toHaveLength(1)
  })

  test('a second report of an agent: one offer, and no capacity counted twice', () => {
    const world = new World()
    world.agent('h1')
    world.agent('h1')
    expect([world.matcher.book.hostCount, world.matcher.book.connectedCount]).toEqual([1, 1])
    expect(world.match('c', world.tasks('c', 2, full)).placed).toHaveLength(1)
  })

  test('an agent that comes back after a restart of the leader: what is bound to it in the store is not free', () => {
    const before = new World()
    before.agent('h1')
    before.assign(...before.match('c', before.tasks('c', 1, full)).placed)
    const matcher = new Matcher({
      view: before.tables,
      overhead: OVERHEAD,
      offerOrder: ['RANDOM'],
      random: prng(2),
    })
    matcher.agentUp(agentId('h1'))
    expect(matcher.book.host(agentId('h1'))?.free.cpusMilli).toBe(0)
  })

  test('a lost connection: nothing is placed there, and what ends meanwhile is free when it is back', () => {
    const world = new World()
    world.agent('h1')
    const [first, second] = world.tasks('c', 2, full) as [TaskId, TaskId]
    world.assign(...world.match('c', [first]).placed)
    world.matcher.agentDown(agentId('h1'))
    world.end(first)
    expect(world.match('c', [second]).unplaced).toEqual([second])
    expect(world.matcher.reasonsOf(configId('c'))).toEqual({ reasons: [], details: ['No agents available'] })
    world.matcher.agentUp(agentId('h1'))
    expect(world.matcher.takeWakes(0)).toEqual([configId('c')])
    expect(world.match('c', [second]).placed).toHaveLength(1)
  })

  test('an agent that shrinks under its tasks: overcommitted, nothing new, until enough has ended', () => {
    const world = new World()
    world.agent('h1')
    const ids = world.tasks('c', 3, { resources: cpus(1.5) })
    const { placed } = world.match('c', ids.slice(0, 2))
    world.assign(...placed)
    world.put(putAgent(agentRow('h1', { total: { cpusMilli: 2000, ramMb: 8192, diskMb: 65_536, gpus: 0 } })))
    expect(world.matcher.book.host(agentId('h1'))?.free.cpusMilli).toBe(-1020)
    expect(world.match('c', ids.slice(2)).unplaced).toHaveLength(1)
    world.matcher.book.check()
  })
})

describe('an agent of a resource manager', () => {
  test('a task ends: neither its room nor its port comes back before the next offer', () => {
    const world = new World()
    world.agent('h1')
    const room = {
      cpusMilli: 4000,
      ramMb: 4096,
      diskMb: 4096,
      gpus: 0,
      revocableMilli: 0,
      portRanges: [[31_000, 31_000]],
    } as const
    world.matcher.offered(agentId('h1'), room, new Set())
    const [first, second] = world.tasks('c', 2, { ports: ['http'] }) as [TaskId, TaskId]
    world.assign(...world.match('c', [first]).placed)
    world.end(first)
    expect(world.match('c', [second]).unplaced).toEqual([second])
    expect(world.reasons('c')).toEqual(['Insufficient: ports'])
    world.matcher.offered(agentId('h1'), room, new Set())
    expect(onHosts(world.match('c', [second]).placed)).toEqual(['h1'])
  })
})

describe('dedicated hosts', () => {
  const ads = { job: { role: 'ads', environment: 'prod', name: 'x' }, constraints: [value('dedicated', 'ads/x')] }

  test('an ordinary task never, its owner always, and the owner nowhere else', () => {
    const world = new World()
    world.agent('own', { attributes: attributes({ dedicated: 'ads/x' }) })
    expect(world.match('c', world.tasks('c', 1)).placed).toEqual([])
    expect(world.reasons('c')).toEqual(['Host is dedicated'])
    world.agent('plain')
    expect(onHosts(world.match('d', world.tasks('d', 3, ads)).placed)).toEqual(['own', 'own', 'own'])
    world.matcher.agentDown(agentId('own'))
    expect(world.match('d', world.tasks('d', 1, ads)).placed).toEqual([])
    expect(world.reasons('d')).toEqual(['Constraint not satisfied: dedicated'])
  })

  test('a host that becomes dedicated under a foreign task keeps it, and takes no other', () => {
    const world = new World()
    world.agent('h1')
    const [first, second] = world.tasks('c', 2) as [TaskId, TaskId]
    world.assign(...world.match('c', [first]).placed)
    world.put(putAgent(agentRow('h1', { attributes: attributes({ dedicated: 'ads/x' }) })))
    expect(world.tables.task(first)?.status).toBe('ASSIGNED')
    expect(world.match('c', [second]).unplaced).toEqual([second])
  })
})

describe('verdicts that follow from the machine alone', () => {
  test('a mismatch is worked out once per set of values and rule, until a host has another one', () => {
    const world = new World()
    for (let i = 0; i < 10; i++) world.agent(`h${i}`, { attributes: attributes({ rack: 'a' }) })
    const ids = world.tasks('c', 1, { constraints: [value('rack', 'b')] })
    world.match('c', ids)
    expect(world.matcher.shapes.judged).toBe(1)
    world.match('c', ids)
    const sibling = world.tasks('d', 1, { constraints: [value('rack', 'b')] })
    world.match('d', sibling)
    expect(world.matcher.shapes.judged).toBe(1)
    world.put(putAgent(agentRow('h3', { attributes: attributes({ rack: 'b' }) })))
    expect(world.matcher.takeWakes(0)).toHaveLength(2)
    expect(onHosts(world.match('c', ids).placed)).toEqual(['h3'])
    expect(world.matcher.shapes.judged).toBe(2)
  })

  test('a host put to DRAINING and back to NONE may be used at once', () => {
    const world = new World()
    world.agent('h1')
    const ids = world.tasks('c', 1)
    world.put(putAgent(agentRow('h1', { mode: 'DRAINING' })))
    expect(world.match('c', ids).unplaced).toEqual(ids)
    expect(world.reasons('c')).toEqual(['Host draining for maintenance'])
    world.put(putAgent(agentRow('h1', { mode: 'NONE' })))
    expect(world.matcher.takeWakes(0)).toEqual([configId('c')])
    expect(world.match('c', ids).placed).toHaveLength(1)
  })
})

describe('waking and reasons', () => {
  test('a parked group is woken by room that is enough for it, once, and not by room that is too small', () => {
    const world = new World()
    world.agent('h1')
    const running = world.tasks('r', 4, { resources: cpus(0.9) })
    world.assign(...world.match('r', running).placed)
    const waiting = world.tasks('c', 1, { resources: cpus(2) })
    world.match('c', waiting)
    world.matcher.takeWakes(0)
    world.end(running[0]!)
    expect(world.matcher.takeWakes(0)).toEqual([])
    world.end(running[1]!)
    expect(world.matcher.takeWakes(0)).toEqual([configId('c')])
    world.end(running[2]!)
    expect(world.matcher.takeWakes(0)).toEqual([])
  })

  test('a task whose instance has a claim: woken when there is room for it there, and when the claim has come to nothing', () => {
    const world = new World()
    world.agent('h1')
    const full = { resources: { ...cpus(0), cpusMilli: 3990 }, ports: [] }
    const old = world.tasks('c', 1, full)
    world.assign(...world.match('c', old).placed)
    const next = world.tasks('d', 1, { ...full, job: { ...HELLO, name: 'c' } })
    const { instance, job } = world.tables.task(next[0]!)!
    const needs = needsOf(world.tables.config(configId('d'))!, OVERHEAD)
    const claim = (id: string, on: string): void => {
      const owner = { type: 'instance', job: jobKeyText(job), instance } as const
      world.matcher.claim({ id, agentId: agentId(on), needs, owner, expiresMs: 10 })
    }
    claim('first', 'h1')
    world.matcher.takeWakes(0)
    world.match('d', next)
    world.end(old[0]!)
    expect(world.matcher.takeWakes(0)).toEqual([configId('d')])

    world.matcher.agentDown(agentId('h1'))
    world.match('d', next)
    world.agent('h2')
    world.matcher.takeWakes(0)
    world.match('d', next)
    expect(world.reasons('d')).toEqual(['Waiting for reserved agent'])
    expect(world.matcher.takeWakes(0)).toEqual([])
    world.matcher.expireClaims(10)
    expect(world.matcher.takeWakes(10)).toEqual([configId('d')])
    expect(onHosts(world.match('d', next).placed)).toEqual(['h2'])
  })

  test('placed, or no task left: the reason is gone', () => {
    const world = new World()
    world.agent('h1', { total: { cpusMilli: 100, ramMb: 8192, diskMb: 65_536, gpus: 0 } })
    const ids = world.tasks('c', 1, { resources: cpus(1) })
    world.match('c', ids)
    expect(world.reasons('c')).toEqual(['Insufficient: CPU'])
    world.agent('h2')
    world.match('c', ids)
    expect(world.reasons('c')).toBeUndefined()
    const others = world.tasks('d', 1, { resources: cpus(100) })
    world.match('d', others)
    world.matcher.groupGone(configId('d'))
    expect(world.reasons('d')).toBeUndefined()
  })

  test('the details count hosts and name the largest one', () => {
    const world = new World()
    for (let i = 0; i < 3; i++) world.agent(`h${i}`)
    world.agent('own', { attributes: attributes({ dedicated: 'ads' }) })
    world.match('c', world.tasks('c', 1, { resources: cpus(64) }))
    expect(world.matcher.reasonsOf(configId('c'))).toEqual({
      reasons: ['Insufficient: CPU'],
      details: [
        'Insufficient: CPU (3 hosts)',
        'Host is dedicated (1 host)',
        'can never fit: largest host h0.example has 4 core(s), 4 core(s) free; 64.01 core(s) of CPU asked',
      ],
    })
  })

  test('no agents at all: a detail says so', () => {
    const world = new World()
    world.match('c', world.tasks('c', 1))
    expect(world.matcher.reasonsOf(configId('c'))).toEqual({ reasons: [], details: ['No agents available'] })
  })
})

describe('any sequence of events, against a dumb twin', () => {
  const RACKS = ['a', 'b']
  const CONFIGS: readonly Partial<TaskConfig>[] = [
    { resources: cpus(1), ports: ['http'] },
    { resources: cpus(0.5), ports: ['a', 'b'], constraints: [limit('rack', 2)] },
    { resources: cpus(0.3), constraints: [value('dedicated', 'www-data/x')] },
    { resources: cpus(2), constraints: [value('rack', 'a')] },
    { resources: cpus(0.7), constraints: [limit('host', 1), limit('rack', 3)] },
    { resources: { ...cpus(0.2), gpus: 1 } },
  ]
  const event = fc.oneof(
    fc.record({
      type: fc.constant('agent' as const),
      n: fc.integer({ min: 0, max: 4 }),
      rack: fc.option(fc.constantFrom(...RACKS)),
      dedicated: fc.option(fc.constantFrom('www-data/x', 'ads')),
      cores: fc.integer({ min: 0, max: 4 }),
      gpus: fc.integer({ min: 0, max: 1 }),
      ports: fc.integer({ min: 1, max: 4 }),
      mode: fc.constantFrom('NONE' as const, 'NONE' as const, 'SCHEDULED' as const, 'DRAINING' as const),
    }),
    fc.record({ type: fc.constant('down' as const), n: fc.integer({ min: 0, max: 4 }) }),
    fc.record({
      type: fc.constant('round' as const),
      config: fc.integer({ min: 0, max: CONFIGS.length - 1 }),
      count: fc.integer({ min: 1, max: 5 }),
      /** What becomes of each match. */
      fates: fc.array(fc.constantFrom('assign', 'assign', 'release', 'kill', 'later'), { minLength: 5, maxLength: 5 }),
    }),
    fc.record({ type: fc.constant('end' as const), n: fc.nat() }),
  )

  test.each<[readonly OfferOrder[]]>([[['RANDOM']], [OFFER_ORDER_PACKING]])(
    'under %j: capacity, ports, limits and dedicated hosts hold, and who is left over fits nowhere',
    offerOrder => {
      fc.assert(
        fc.property(fc.array(event, { maxLength: 40, size: 'max' }), fc.nat(), (events, seed) => {
          const world = new World({ offerOrder, seed })
          const twin = new Twin(world.tables)
          for (const step of events) {
            switch (step.type) {
              case 'agent': {
                const of: Record<string, string> = { host: `h${step.n}` }
                if (step.rack !== null) of.rack = step.rack
                if (step.dedicated !== null) of.dedicated = step.dedicated
                const total = { cpusMilli: step.cores * 1000, ramMb: 4096, diskMb: 4096, gpus: step.gpus }
                const id = `h${step.n}`
                const portRanges = [[31_000, 30_999 + step.ports]] as const
                world.agent(id, { attributes: attributes(of), total, mode: step.mode, portRanges })
                twin.connected.add(id)
                break
              }
              case 'down':
                world.matcher.agentDown(agentId(`h${step.n}`))
                twin.connected.delete(`h${step.n}`)
                break
              case 'round': {
                const config = `c${step.config}`
                const ids = world.tasks(config, step.count, CONFIGS[step.config])
                const { placed, unplaced } = world.match(config, ids)
                for (const match of placed) twin.take(match)
                if (unplaced.length > 0) expect(twin.whereItFits(configId(config))).toEqual([])
                placed.forEach((match, i) => {
                  const fate = step.fates[i]!
                  if (fate === 'later') return
                  if (fate === 'assign') world.assign(match)
                  if (fate === 'release') world.matcher.release([match.taskId])
                  if (fate === 'kill') world.put(deleteTask(match.taskId))
                  twin.holds.delete(match.taskId)
                })
                break
              }
              case 'end': {
                const running = [...world.tables.tasks()].filter(task => HOST_ASSIGNED.has(task.status))
                if (running.length > 0) world.end(running[step.n % running.length]!.taskId)
              }
            }
            world.matcher.book.check()
            twin.check(world.matcher)
            world.matcher.takeWakes(0)
          }
        }),
        { numRuns: 200 },
      )
    },
  )

  test.each<[readonly OfferOrder[]]>([[['RANDOM']], [OFFER_ORDER_PACKING]])(
    'under %j: one seed gives one outcome',
    offerOrder => {
      const run = () => {
        const world = new World({ offerOrder, seed: 5 })
        for (let i = 0; i < 20; i++) world.agent(`h${i}`)
        return world.match('c', world.tasks('c', 50, { ports: ['http'] })).placed
      }
      expect(run()).toEqual(run())
    },
  )
})

/** Adds everything up from the rows, every time. */
class Twin {
  readonly connected = new Set<string>()
  readonly holds = new Map<TaskId, Match>()
  readonly #tables: Tables

  constructor(tables: Tables) {
    this.#tables = tables
  }

  /** A new placement must be allowed at this very moment. */
  take(match: Match): void {
    expect(this.#vetoesOn(match.agentId, match.configId)).toEqual([])
    expect(this.connected.has(match.agentId)).toBe(true)
    const [[from, to] = [0, -1]] = this.#tables.agent(match.agentId)!.portRanges
    for (const port of Object.values(match.ports)) {
      expect(port >= from && port <= to && !this.#portsOn(match.agentId).includes(port)).toBe(true)
    }
    this.holds.set(match.taskId, match)
  }

  whereItFits(config: ConfigId): string[] {
    return [...this.connected].filter(id => this.#vetoesOn(id, config).length === 0)
  }

  check(matcher: Matcher): void {
    for (const { agentId: id } of this.#tables.agents()) {
      const free = matcher.book.host(id)?.free
      const amounts = free && Object.fromEntries(NEED_KINDS.map(({ type }) => [type, free[type]]))
      expect(amounts).toEqual(this.#free(id))
    }
  }

  #taken(agent: string): { configId: ConfigId; ports: Readonly<Record<string, number>> }[] {
    const bound = [...this.#tables.tasks()].filter(task => HOST_ASSIGNED.has(task.status) && task.agentId === agent)
    return [...bound, ...[...this.holds.values()].filter(hold => hold.agentId === agent)]
  }

  #portsOn(agent: string): number[] {
    return this.#taken(agent).flatMap(task => Object.values(task.ports))
  }

  #free(agent: string): Needs {
    const row = this.#tables.agent(agentId(agent))!
    const [from, to] = row.portRanges[0]!
    const used = new Set(this.#portsOn(agent).filter(port => port >= from && port <= to))
    const free = { ...row.total, ports: to - from + 1 - used.size }
    for (const { configId: config } of this.#taken(agent)) {
      const needs = needsOf(this.#tables.config(config)!, OVERHEAD)
      for (const { type } of NEED_KINDS) if (type !== 'ports') free[type] -= needs[type]
    }
    return free
  }

  #vetoesOn(agent: string, config: ConfigId) {
    const row = this.#tables.agent(agentId(agent))!
    const { job, constraints, ...rest } = this.#tables.config(config)!
    const countOf = (name: string, text: string): number => {
      const hostOf = (id: string) => this.#tables.agent(agentId(id))!
      const has = (id: string) => hostOf(id).attributes.some(is => is.name === name && is.values.includes(text))
      const bound = [...this.#tables.tasks()].filter(
        task => HOST_ASSIGNED.has(task.status) && task.job.name === job.name,
      )
      const held = [...this.holds.values()].filter(hold => this.#tables.config(hold.configId)!.job.name === job.name)
      return [...bound.map(task => task.agentId!), ...held.map(hold => hold.agentId)].filter(has).length
    }
    const facts = { mode: row.mode, attributes: attributeSet(row.attributes), free: this.#free(agent) }
    return vetoes(facts, { needs: needsOf(rest, OVERHEAD), constraints, countOf })
  }
}
