import { describe, expect, test } from 'vitest'
import { agentId, configId, jobKeyText, type TaskId, taskId } from '../../../src/core/base/ids.ts'
import { prng } from '../../../src/core/base/prng.ts'
import type { TaskConfig } from '../../../src/core/job/task-config.ts'
import type { AgentRow } from '../../../src/core/ledger/rows.ts'
import { Tables } from '../../../src/core/ledger/tables.ts'
import type { RowChange } from '../../../src/core/ledger/transaction.ts'
import type { OfferOrder } from '../../../src/core/offers/candidate-order.ts'
import { needsOf } from '../../../src/core/offers/needs.ts'
import { type Match, Matcher } from '../../../src/core/scheduling/matcher.ts'
import { agentRow, configRow, HELLO, putAgent, putConfig, putTask, taskRow } from '../../fixtures/rows.ts'

const OVERHEAD = { cpusMilli: 0, ramMb: 0, diskMb: 0, gpus: 0 }
const cores = (n: number) => ({ cpusMilli: n * 1000, ramMb: 64, diskMb: 64, gpus: 0 })
const attributes = (of: Readonly<Record<string, string>>) =>
  Object.entries(of).map(([name, text]) => ({ name, values: [text] }))

/** Hosts of four cores. */
class World {
  readonly tables = new Tables()
  readonly matcher: Matcher
  nowMs = 0
  #instances = 0

  constructor({ offerOrder = ['RANDOM'], seed = 1 }: { offerOrder?: readonly OfferOrder[]; seed?: number } = {}) {
    const random = prng(seed)
    this.matcher = new Matcher({ view: this.tables, overhead: OVERHEAD, offerOrder, random })
  }

  put(...changes: RowChange[]): void {
    for (const { change, before } of this.tables.apply(changes)) this.matcher.apply(change, before)
  }

  agent(id: string, more: Partial<AgentRow> = {}): void {
    this.put(putAgent(agentRow(id, { host: id, total: { ...cores(4), ramMb: 8192, diskMb: 8192 }, ...more })))
    this.matcher.agentUp(agentId(id))
  }

  tasks(config: string, count: number, more: Partial<TaskConfig> = {}): TaskId[] {
    const job = more.job ?? { ...HELLO, name: config }
    this.put(putConfig(configRow(config, { ports: [], resources: cores(1), ...more, job })))
    return Array.from({ length: count }, () => {
      const instance = this.#instances++
      const id = `${config}-${instance}`
      this.put(putTask(taskRow(id, { job, instance, configId: configId(config) })))
      return taskId(id)
    })
  }

  match(config: string, taskIds: readonly TaskId[], seed?: number) {
    return this.matcher.match({ configId: configId(config), taskIds }, this.nowMs, seed)
  }

  assign(...matches: readonly Match[]): void {
    for (const { taskId: id, agentId: on, host, ports } of matches) {
      this.put(putTask({ ...this.tables.task(id)!, status: 'RUNNING', agentId: on, host, ports }))
    }
  }

  needs(config: string) {
    return needsOf(this.tables.config(configId(config))!, OVERHEAD)
  }
}

const hosts = (matches: readonly Match[]): string[] => matches.map(match => match.host).sort()

describe('soft rules', () => {
  test('prefer: the wanted hosts are used first, the avoided ones last, and none is refused', () => {
    const world = new World()
    world.agent('ssd', { attributes: attributes({ disk: 'ssd' }) })
    world.agent('plain')
    world.agent('old', { attributes: attributes({ disk: 'tape' }) })
    const prefer = [
      { attribute: 'disk', values: ['ssd'], weight: 50 },
      { attribute: 'disk', values: ['tape'], weight: -50 },
    ]
    const { placed, unplaced } = world.match('c', world.tasks('c', 12, { prefer }))
    expect(placed.map(match => match.host)).toEqual([
      ...Array<string>(4).fill('ssd'),
      ...Array<string>(4).fill('plain'),
      ...Array<string>(4).fill('old'),
    ])
    expect(unplaced).toEqual([])
    expect(placed[0]?.record.candidates[0]).toEqual({ host: 'ssd', score: 50, terms: { 'prefer disk': 50 } })
  })

  test('spread: even over the racks, although one has more hosts', () => {
    const world = new World()
    for (let i = 0; i < 8; i++) world.agent(`h${i}`, { attributes: attributes({ rack: i < 6 ? 'a' : 'b' }) })
    const spread = [{ attribute: 'rack', weight: 50 }]
    const { placed } = world.match('c', world.tasks('c', 8, { spread }))
    const onB = placed.filter(match => match.host === 'h6' || match.host === 'h7')
    expect(onB).toHaveLength(4)
  })

  test('spread with targets: seventy and thirty percent, counting what runs already', () => {
    const world = new World()
    for (let i = 0; i < 8; i++) world.agent(`h${i}`, { attributes: attributes({ zone: i < 4 ? 'a' : 'b' }) })
    const spread = [{ attribute: 'zone', weight: 50, targets: { a: 70, b: 30 } }]
    const ids = world.tasks('c', 10, { spread })
    world.assign(...world.match('c', ids.slice(0, 4)).placed)
    world.assign(...world.match('c', ids.slice(4)).placed)
    const onA = ids.filter(id => Number(world.tables.task(id)?.host?.slice(1)) < 4)
    expect(onA).toHaveLength(7)
  })

  test('a limit still holds under a spread, and a full rack sends the rest elsewhere', () => {
    const world = new World()
    world.agent('a1', { attributes: attributes({ rack: 'a', host: 'a1' }) })
    world.agent('b1', { attributes: attributes({ rack: 'b', host: 'b1' }) })
    const rules = {
      spread: [{ attribute: 'rack', weight: 50 }],
      constraints: [{ name: 'host', rule: { type: 'limit' as const, limit: 2 } }],
    }
    const { placed, unplaced } = world.match('c', world.tasks('c', 5, rules))
    expect(hosts(placed)).toEqual(['a1', 'a1', 'b1', 'b1'])
    expect(unplaced).toHaveLength(1)
  })

  test('a value may be named like what every object has: it is spread over and placed as any other', () => {
    const world = new World()
    for (const rack of ['constructor', 'toString']) world.agent(rack, { attributes: attributes({ rack }) })
    const spread = [{ attribute: 'rack', weight: 50, targets: { other: 10 } }]
    const { placed } = world.match('c', world.tasks('c', 4, { spread }))
    expect(hosts(placed)).toEqual(['constructor', 'constructor', 'toString', 'toString'])
    expect(placed.every(({ record }) => Number.isFinite(record.candidates[0]?.score))).toBe(true)
  })

  test('turn by turn over hosts of a class: no host has its second before each has its first, whatever limits refuse', () => {
    const world = new World()
    for (let i = 0; i < 6; i++) {
      world.agent(`h${i}`, { attributes: attributes({ disk: 'ssd', rack: i < 2 ? 'a' : `r${i}` }) })
    }
    const rules = {
      prefer: [{ attribute: 'disk', values: ['ssd'], weight: 10 }],
      constraints: [{ name: 'rack', rule: { type: 'limit' as const, limit: 2 } }],
    }
    const { placed, unplaced } = world.match('c', world.tasks('c', 12, rules))
    const seen = placed.map(({ host }) => host)
    expect(new Set(seen.slice(0, 6)).size).toBe(6)
    expect(hosts(placed).filter(host => host === 'h0' || host === 'h1')).toHaveLength(2)
    expect([placed.length, unplaced.length]).toEqual([10, 2])
  })

  test('each host a value of its own: a thousand tasks over twelve thousand hosts take one host each', () => {
    const world = new World()
    for (let i = 0; i < 12_000; i++) world.agent(`h${i}`, { attributes: attributes({ host: `h${i}` }) })
    const spread = [{ attribute: 'host', weight: 50 }]
    const { placed } = world.match('c', world.tasks('c', 1000, { spread }))
    expect(new Set(placed.map(({ host }) => host)).size).toBe(1000)
    expect(placed[0]?.record.looked).toBe(10_000)
  })

  test('a preferred host that is about to be maintained is no better for it', () => {
    const world = new World()
    world.agent('wanted', { mode: 'SCHEDULED', attributes: attributes({ disk: 'ssd' }) })
    world.agent('plain')
    const prefer = [{ attribute: 'disk', values: ['ssd'], weight: 100 }]
    expect(hosts(world.match('c', world.tasks('c', 1, { prefer })).placed)).toEqual(['plain'])
  })
})

describe('limits', () => {
  const rack = (text: string) => ({ attributes: attributes({ rack: text }) })
  const limit = { constraints: [{ name: 'rack', rule: { type: 'limit' as const, limit: 1 } }] }

  test('a task on an agent that is not known here ends: what it counted for is free again, and nothing is off by one', () => {
    const world = new World()
    world.put(putAgent(agentRow('away', { host: 'away', ...rack('a') })))
    world.agent('h', rack('a'))
    const ids = world.tasks('c', 2, limit) as [TaskId, TaskId]
    world.put(putTask({ ...world.tables.task(ids[0])!, status: 'RUNNING', agentId: agentId('away'), host: 'away' }))
    expect(world.match('c', [ids[1]]).placed).toEqual([])
    // The agent and its task go in one batch, the agent first: of its attributes nothing is known by then.
    world.put({ type: 'delete', table: 'agent', key: agentId('away') }, { type: 'delete', table: 'task', key: ids[0] })
    expect(hosts(world.match('c', [ids[1]]).placed)).toEqual(['h'])
  })

  test('an agent that registers while a task of its own is counted already: the count has its attributes', () => {
    const world = new World()
    world.agent('h', rack('a'))
    const ids = world.tasks('c', 2, limit) as [TaskId, TaskId]
    world.put(putTask({ ...world.tables.task(ids[0])!, status: 'RUNNING', agentId: agentId('late'), host: 'late' }))
    const first = world.match('c', [ids[1]])
    expect(hosts(first.placed)).toEqual(['h'])
    world.matcher.release([ids[1]])
    world.agent('late', rack('a'))
    expect(world.match('c', [ids[1]]).placed).toEqual([])
    world.put({ type: 'delete', table: 'task', key: ids[0] })
    expect(world.match('c', [ids[1]]).placed).toHaveLength(1)
  })
})

describe('gang', () => {
  test('all or none: five of eight find room, so none is placed and the reason says so', () => {
    const world = new World()
    world.agent('h', { total: { ...cores(5), ramMb: 8192, diskMb: 8192 } })
    const ids = world.tasks('c', 8, { gang: 8 })
    expect(world.match('c', ids)).toMatchObject({ placed: [], unplaced: ids })
    expect(world.matcher.reasonsOf(configId('c'))?.reasons).toEqual(['Gang of 8 not satisfied: 5 find a host'])
    expect(world.matcher.book.host(agentId('h'))?.free.cpusMilli).toBe(5000)
    world.agent('i')
    expect(world.match('c', ids).placed).toHaveLength(8)
  })

  test('a gang that finds too few hosts is not woken by what it gives back itself, and is by more room', () => {
    const world = new World()
    world.agent('h')
    const ids = world.tasks('c', 6, { gang: 6 })
    world.matcher.takeWakes(world.nowMs)
    world.match('c', ids)
    expect(world.matcher.takeWakes(world.nowMs)).toEqual([])
    expect(world.matcher.hasWakes).toBe(false)
    world.agent('i')
    expect(world.matcher.takeWakes(world.nowMs)).toEqual([configId('c')])
    expect(world.match('c', ids).placed).toHaveLength(6)
  })

  test('the same with room that was claimed for it: the claim is there again, and nobody is woken', () => {
    const world = new World()
    world.agent('h')
    const ids = world.tasks('c', 6, { gang: 6 })
    const owner = { type: 'group', configId: configId('c') } as const
    const claim = { id: 'k', agentId: agentId('h'), needs: world.needs('c'), isRevocable: false, owner, expiresMs: 1e9 }
    world.matcher.claim(claim)
    world.matcher.takeWakes(world.nowMs)
    expect(world.match('c', ids).placed).toEqual([])
    expect([...world.matcher.claims()]).toMatchObject([{ id: 'k' }])
    expect(world.matcher.takeWakes(world.nowMs)).toEqual([])
  })

  test('those that run count: a replacement of one member starts alone', () => {
    const world = new World()
    world.agent('h')
    const ids = world.tasks('c', 3, { gang: 3 })
    world.assign(...world.match('c', ids).placed)
    world.put(putTask({ ...world.tables.task(ids[0]!)!, status: 'FAILED' }))
    const [next] = world.tasks('c', 1, { gang: 3 })
    expect(world.match('c', [next!]).placed).toHaveLength(1)
  })
})

describe('one instance a host', () => {
  test('never two of the job on one host, whatever room there is, in one round or in two', () => {
    const world = new World()
    world.agent('h')
    world.agent('i')
    const ids = world.tasks('c', 4, { everyHost: true })
    const { placed, unplaced } = world.match('c', ids.slice(0, 3))
    expect(hosts(placed)).toEqual(['h', 'i'])
    expect(unplaced).toHaveLength(1)
    world.assign(...placed)
    expect(world.match('c', ids.slice(3)).placed).toEqual([])
  })
})

describe('lent cores', () => {
  test('sched-34: a revocable task sees lent cores only, and an ordinary one never', () => {
    const world = new World()
    world.agent('plain', { total: { ...cores(8), ramMb: 8192, diskMb: 8192 } })
    const lent = world.tasks('lent', 1, { tier: 'revocable' })
    expect(world.match('lent', lent).placed).toEqual([])
    expect(world.matcher.reasonsOf(configId('lent'))?.reasons).toEqual(['Insufficient: CPU'])
    world.agent('lender', { total: { ...cores(0.5), ramMb: 8192, diskMb: 8192 }, revocable: { cpusMilli: 1000 } })
    expect(hosts(world.match('lent', lent).placed)).toEqual(['lender'])
    world.matcher.agentDown(agentId('plain'))
    expect(world.match('own', world.tasks('own', 1)).placed).toEqual([])
    world.matcher.book.check()
  })
})

describe('planned time away', () => {
  test('sched-33: nothing new on a host that is away soon; not before that, and again when it is over', () => {
    const world = new World()
    const minutes = (n: number) => n * 60_000
    world.agent('h', { unavailability: { fromMs: minutes(9), untilMs: minutes(20) } })
    const ids = world.tasks('c', 1)
    world.nowMs = minutes(3) + 1
    expect(world.match('c', ids).placed).toEqual([])
    expect(world.matcher.reasonsOf(configId('c'))?.reasons).toEqual(['Host unavailable from 1970-01-01T00:09:00.000Z'])
    world.nowMs = minutes(3)
    expect(world.match('c', ids).placed).toHaveLength(1)
    world.matcher.release(ids)
    world.nowMs = minutes(20)
    expect(world.match('c', ids).placed).toHaveLength(1)
  })

  test('sched-1: hosts without one first, then the one that is away latest', () => {
    const world = new World()
    world.agent('b', { unavailability: { fromMs: 10 * 3_600_000 } })
    world.agent('c', { unavailability: { fromMs: 99 * 3_600_000 } })
    world.agent('a')
    const { placed } = world.match('c', world.tasks('c', 12))
    expect(placed.map(match => match.host)).toEqual([...'aaaaccccbbbb'])
  })
})

describe('claims', () => {
  const claim = (world: World, id: string, on: string, config: string, expiresMs = 1_000_000) =>
    world.matcher.claim({
      id,
      agentId: agentId(on),
      needs: world.needs(config),
      owner: { type: 'group', configId: configId(config) },
      expiresMs,
    })

  test('sched-47: the claimed part is kept from others, who may use the rest; the owner takes it', () => {
    const world = new World()
    world.agent('h')
    const owner = world.tasks('a', 1, { resources: cores(3) })
    claim(world, 'k', 'h', 'a')
    const { placed, unplaced } = world.match('b', world.tasks('b', 2))
    expect([placed.length, unplaced.length]).toEqual([1, 1])
    expect(world.matcher.reasonsOf(configId('b'))?.reasons).toEqual(['Agents reserved'])
    const [match] = world.match('a', owner).placed
    expect(match).toMatchObject({ host: 'h', record: { claim: 'preemption' } })
    expect([...world.matcher.claims()]).toEqual([])
  })

  test('a hold that comes to nothing gives its claim back, one that is staged does not', () => {
    const world = new World()
    world.agent('h')
    const owner = world.tasks('a', 1)
    claim(world, 'k', 'h', 'a')
    const first = world.match('a', owner).placed
    world.matcher.release(owner)
    expect([...world.matcher.claims()].map(({ id }) => id)).toEqual(['k'])
    world.assign(...world.match('a', owner).placed)
    expect(first).toHaveLength(1)
    expect([...world.matcher.claims()]).toEqual([])
  })

  test('sched-48: an instance goes back to its agent, waits while it is not there, and goes elsewhere when the claim ends', () => {
    const world = new World()
    world.agent('h')
    world.agent('i')
    const [id] = world.tasks('a', 1) as [TaskId]
    const { job, instance } = world.tables.task(id)!
    const owner = { type: 'instance', job: jobKeyText(job), instance } as const
    world.matcher.claim({ id: 'k', agentId: agentId('h'), needs: world.needs('a'), owner, expiresMs: 100 })
    world.matcher.agentDown(agentId('h'))
    expect(world.match('a', [id]).unplaced).toEqual([id])
    expect(world.matcher.reasonsOf(configId('a'))?.reasons).toEqual(['Waiting for reserved agent'])
    world.nowMs = 100
    expect(hosts(world.match('a', [id]).placed)).toEqual(['i'])
  })

  test('sched-50, sched-51: two instances keep their places on one agent, and others use what is left of it', () => {
    const world = new World()
    world.agent('h')
    const ids = world.tasks('a', 2)
    ids.forEach((id, n) => {
      const { job, instance } = world.tables.task(id)!
      const owner = { type: 'instance', job: jobKeyText(job), instance } as const
      world.matcher.claim({ id: `k${n}`, agentId: agentId('h'), needs: world.needs('a'), owner, expiresMs: 100 })
    })
    expect(world.match('b', world.tasks('b', 4)).placed).toHaveLength(2)
    world.agent('i')
    expect(hosts(world.match('a', ids).placed)).toEqual(['h', 'h'])
  })

  test('a hold that comes to nothing: the claim of its instance stays used when another was made or the task has gone', () => {
    const world = new World()
    for (const id of ['h', 'i']) world.agent(id)
    const ids = world.tasks('a', 2) as [TaskId, TaskId]
    const claimFor = (taskIdOf: TaskId, id: string, on: string): void => {
      const { job, instance } = world.tables.task(taskIdOf)!
      const owner = { type: 'instance', job: jobKeyText(job), instance } as const
      world.matcher.claim({ id, agentId: agentId(on), needs: world.needs('a'), owner, expiresMs: 100 })
    }
    const open = () => [...world.matcher.claims()].map(({ id }) => id)
    claimFor(ids[0], 'old', 'h')
    claimFor(ids[1], 'gone', 'h')
    expect(hosts(world.match('a', ids).placed)).toEqual(['h', 'h'])
    claimFor(ids[0], 'new', 'i')
    world.matcher.release([ids[0]])
    expect(open()).toEqual(['new'])
    world.put({ type: 'delete', table: 'task', key: ids[1] })
    expect(open()).toEqual(['new'])
    world.matcher.book.check()
  })

  test('claims end in any order of their times, also those that were used and are open again', () => {
    const world = new World()
    world.agent('h')
    const owner = world.tasks('a', 1)
    world.tasks('b', 1)
    claim(world, 'late', 'h', 'b', 300)
    claim(world, 'used', 'h', 'a', 200)
    world.match('a', owner)
    world.nowMs = 150
    expect(world.matcher.expireClaims(150)).toEqual([])
    world.matcher.release(owner)
    expect(world.matcher.expireClaims(200).map(({ id }) => id)).toEqual(['used'])
    expect(world.matcher.expireClaims(299)).toEqual([])
    expect(world.matcher.expireClaims(300).map(({ id }) => id)).toEqual(['late'])
  })

  test('a group without waiting tasks needs no claims', () => {
    const world = new World()
    world.agent('h')
    world.tasks('a', 1)
    claim(world, 'k', 'h', 'a')
    world.matcher.groupGone(configId('a'))
    expect([...world.matcher.claims()]).toEqual([])
  })
})

describe('a host where the instance has just failed', () => {
  test('is left out while another one will do, and used when none will', () => {
    for (let seed = 0; seed < 8; seed++) {
      const world = new World({ seed })
      world.agent('bad')
      world.agent('good')
      const [id] = world.tasks('c', 1) as [TaskId]
      const row = world.tables.task(id)!
      const failed = taskRow('old', {
        ...row,
        taskId: taskId('old'),
        status: 'FAILED',
        agentId: agentId('bad'),
        host: 'bad',
      })
      world.put(putTask(failed), putTask({ ...row, ancestorId: taskId('old') }))
      expect(hosts(world.match('c', [id]).placed)).toEqual(['good'])
      world.matcher.release([id])
      world.matcher.agentDown(agentId('good'))
      expect(hosts(world.match('c', [id]).placed)).toEqual(['bad'])
    }
  })
})

describe('the same cluster and the same seed', () => {
  test.each<[readonly OfferOrder[]]>([[['RANDOM']], [['CPU', 'MEMORY', 'RANDOM']]])(
    'give the same hosts and ports under %j, however many attempts came between',
    offerOrder => {
      const world = new World({ offerOrder })
      for (let i = 0; i < 30; i++) world.agent(`h${i}`, { attributes: attributes({ rack: `r${i % 4}` }) })
      const ids = world.tasks('c', 20, { ports: ['http'], spread: [{ attribute: 'rack', weight: 9 }] })
      const others = world.tasks('d', 20, { ports: ['http'] })
      const places = (matches: readonly Match[]) => matches.map(({ taskId: id, host, ports }) => ({ id, host, ports }))
      for (const [config, of] of [
        ['c', ids],
        ['d', others],
      ] as const) {
        const first = world.match(config, of)
        const { seed } = first.placed[0]!.record
        world.matcher.release(of)
        world.match(config, of)
        world.matcher.release(of)
        const again = world.match(config, of, seed)
        expect(places(again.placed)).toEqual(places(first.placed))
        world.matcher.release(of)
      }
    },
  )
})

describe('what is asked for at once', () => {
  test('sched-41: tasks of another configuration in one want are not placed with it, and are not lost', () => {
    const world = new World()
    world.agent('h')
    const ids = world.tasks('a', 1)
    const others = world.tasks('b', 1)
    const { placed, gone } = world.match('a', [...ids, ...others])
    expect(placed.map(match => match.taskId)).toEqual(ids)
    expect(gone).toEqual(others)
    expect(world.match('b', others).placed).toHaveLength(1)
  })

  test('sched-8: a host with no core or no RAM left takes nothing, and its largest size is still told', () => {
    const world = new World()
    world.agent('no-cores', { total: { cpusMilli: 0, ramMb: 8192, diskMb: 8192, gpus: 0 } })
    world.agent('no-ram', { total: { cpusMilli: 4000, ramMb: 0, diskMb: 8192, gpus: 0 } })
    const ids = world.tasks('c', 1)
    expect(world.match('c', ids).placed).toEqual([])
    expect(world.matcher.reasonsOf(configId('c'))?.details).toEqual([
      'Insufficient: RAM (1 host)',
      'Insufficient: CPU (1 host)',
      'can never fit: largest host no-cores has 0 core(s), 0 core(s) free; 1 core(s) of CPU asked',
      'can never fit: largest host no-ram has 0 MB, 0 MB free; 64 MB of RAM asked',
    ])
  })
})
