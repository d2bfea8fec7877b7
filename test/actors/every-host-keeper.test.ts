import { afterEach, expect, test } from 'vitest'
import { everyHostKeeperSpec } from '../../src/actors/every-host-keeper.ts'
import { createSimSystem, type SimSystem } from '../../src/actors/sim-shell.ts'
import type { Propose } from '../../src/actors/task-state-machine.ts'
import { type AgentId, agentId, configId, jobKeyText } from '../../src/core/base/ids.ts'
import { isActive } from '../../src/core/task/status.ts'
import { InstantLedger } from '../fixtures/instant-ledger.ts'
import { agentRow, configRow, HELLO, jobRow, putAgent, putConfig, putTask } from '../fixtures/rows.ts'

class World {
  readonly ledger = new InstantLedger()
  readonly sim: SimSystem = createSimSystem({ seed: 1 })
  readonly proposed: Propose[] = []
  allowed: AgentId[] = []

  constructor(allowed: readonly string[]) {
    this.allowed = allowed.map(agentId)
    let ids = 0
    this.sim.spawn(
      everyHostKeeperSpec({
        ledger: this.ledger,
        tasks: { tell: command => void (command.type === 'propose' && this.proposed.push(command)) },
        placement: { allowedHosts: () => this.allowed } as never,
        quotas: () => ({ addFault: () => null }) as never,
        uuid: () => `uuid-${++ids}`,
        schedulerName: 'leader',
        tasksMax: 100,
      }),
    )
    this.ledger.put(putConfig(configRow('c', { everyHost: true, isService: true, job: HELLO })))
  }

  create(): void {
    const row = { ...jobRow(), key: HELLO, configId: configId('c'), instanceCount: 0 }
    this.ledger.put({ type: 'put', table: 'job', key: jobKeyText(HELLO), row })
  }

  async advance(ms: number): Promise<void> {
    this.sim.advance(ms)
    await this.sim.settle()
  }

  get active() {
    return [...this.ledger.view.tasks()].filter(task => isActive(task.status))
  }

  /** The matcher's part: each waiting task on an agent without one. */
  place(): void {
    const taken = new Set(this.active.map(task => task.agentId))
    const free = this.allowed.filter(id => !taken.has(id))
    for (const task of this.active.filter(({ status }) => status === 'PENDING')) {
      const on = free.shift()
      if (on !== undefined) this.ledger.put(putTask({ ...task, status: 'RUNNING', agentId: on, host: on }))
    }
  }
}

let world: World
afterEach(() => world.sim.stop())

test('created: one instance for each host, shortly after', async () => {
  world = new World(['a', 'b', 'c'])
  world.create()
  await world.advance(1_000)
  expect(world.active.map(task => task.instance)).toEqual([0, 1, 2])
  expect(world.ledger.view.job(HELLO)?.instanceCount).toBe(3)
})

test('a host joins: one more, and no second for the others', async () => {
  world = new World(['a'])
  world.create()
  await world.advance(1_000)
  world.place()
  world.allowed.push(agentId('b'))
  world.ledger.put(putAgent(agentRow('b')))
  await world.advance(1_000)
  expect(world.active.map(task => task.instance)).toEqual([0, 1])
  world.place()
  await world.advance(60_000)
  expect(world.active).toHaveLength(2)
})

test('a host goes for good: the replacement of its task is ended, with the reason, but not before it could be back', async () => {
  world = new World(['a', 'b'])
  world.create()
  await world.advance(1_000)
  world.place()
  world.allowed.pop()
  const lost = world.active[1]!
  world.ledger.put(
    putTask({ ...lost, status: 'LOST' }),
    putTask({ ...lost, taskId: 'next' as typeof lost.taskId, status: 'PENDING', ancestorId: lost.taskId }),
  )
  await world.advance(1_000)
  await world.advance(100_000)
  expect(world.proposed).toEqual([])
  await world.advance(30_000)
  expect(world.proposed[0]).toMatchObject({ taskId: 'next', to: 'KILLING', who: 'every-host keeper' })
})

test('killed whole: nothing is made any more', async () => {
  world = new World(['a'])
  world.create()
  world.ledger.put({ type: 'delete', table: 'job', key: jobKeyText(HELLO) })
  await world.advance(60_000)
  expect(world.active).toEqual([])
})

test('an agent that comes back without a change of any row is seen within seconds', async () => {
  world = new World([])
  world.create()
  await world.advance(1_000)
  expect(world.active).toEqual([])
  world.allowed = [agentId('a')]
  await world.advance(6_000)
  expect(world.active).toHaveLength(1)
})
