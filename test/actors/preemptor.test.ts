import { afterEach, describe, expect, test } from 'vitest'
import { createPlacement, type Placement } from '../../src/actors/placement.ts'
import { silentMetrics } from '../../src/actors/ports.ts'
import { PREEMPTOR_SETTINGS, type PreemptorSettings } from '../../src/actors/preemptor.ts'
import { createSimSystem, type SimSystem } from '../../src/actors/sim-shell.ts'
import type { Propose, TaskDirectory, TransitionResult } from '../../src/actors/task-state-machine.ts'
import { agentId, configId, type TaskId, taskId } from '../../src/core/base/ids.ts'
import type { TaskConfig } from '../../src/core/job/task-config.ts'
import type { AgentRow } from '../../src/core/ledger/rows.ts'
import type { TaskStatus } from '../../src/core/task/status.ts'
import { InstantLedger } from '../fixtures/instant-ledger.ts'
import { agentRow, configRow, HELLO, putAgent, putConfig, putTask, taskRow } from '../fixtures/rows.ts'

const cores = (n: number) => ({ cpusMilli: n * 1000, ramMb: 64, diskMb: 64, gpus: 0 })
const { delayMs, intervalMs, reservationMs } = PREEMPTOR_SETTINGS
const LIVE: readonly TaskStatus[] = ['ASSIGNED', 'STARTING', 'RUNNING']

/** Hosts of four cores and nothing beside; tasks decide as their own actors do, and end when the test says so. */
class World implements TaskDirectory {
  readonly ledger = new InstantLedger()
  readonly sim: SimSystem
  readonly proposals: Propose[] = []
  /** What the next victims that are asked have become just before. */
  readonly meanwhile: TaskStatus[] = []
  placement: Placement
  failuresExpected = 0
  isBroken = false
  #instances = 0

  constructor(preemption: Partial<PreemptorSettings> = {}, seed = 1) {
    this.sim = createSimSystem({ seed })
    const { ledger } = this
    const options = {
      executorOverhead: { cpusMilli: 0, ramMb: 0, diskMb: 0, gpus: 0 },
      preemption: { ...PREEMPTOR_SETTINGS, ...preemption },
    }
    this.placement = createPlacement({
      parent: this.sim,
      ledger,
      metrics: silentMetrics,
      tasks: this,
      isConnected: () => true,
      options,
    })
    this.sim.run()
    opened.push(this)
  }

  tell(command: Parameters<TaskDirectory['tell']>[0]): void {
    if (this.isBroken) {
      this.isBroken = false
      throw new Error('the test breaks the preemptor')
    }
    const { taskId: id } = command
    let result: TransitionResult = 'INVALID_CAS_STATE'
    const moved = command.type === 'propose' ? this.meanwhile.shift() : undefined
    if (moved !== undefined) this.becomes(id, moved)
    const row = this.ledger.view.task(id)
    if (command.type === 'assign') {
      if (row?.status === 'PENDING' && command.isHeld?.() !== false) {
        const { agentId: on, host, ports } = command
        this.ledger.put(putTask({ ...row, status: 'ASSIGNED', agentId: on, host, ports }))
        result = 'SUCCESS'
      }
    } else {
      this.proposals.push(command)
      if (row !== undefined && row.status === command.expectStatus && LIVE.includes(row.status)) {
        this.becomes(id, 'PREEMPTING', command.message)
        result = 'SUCCESS'
      }
    }
    command.replyTo?.tell({ taskId: id, result })
  }

  agent(id: string, more: Partial<AgentRow> = {}): void {
    this.ledger.put(putAgent(agentRow(id, { total: { ...cores(4), ramMb: 8192, diskMb: 8192 }, ...more })))
    this.placement.broker.tell({ type: 'agentUp', agentId: agentId(id) })
    this.sim.run()
  }

  config(name: string, more: Partial<TaskConfig>): void {
    const { tier = 'preemptible', job = { ...HELLO, name } } = more
    this.ledger.put(putConfig(configRow(name, { ports: [], ...more, tier, production: tier === 'preferred', job })))
  }

  running(id: string, config: string, on: string): void {
    const { job } = this.ledger.view.config(configId(config))!
    const of = { job, instance: this.#instances++, configId: configId(config) }
    const where = { status: 'RUNNING', agentId: agentId(on), host: on } as const
    this.ledger.put(putTask(taskRow(id, { ...of, ...where })))
  }

  /** New PENDING tasks of the configuration: `<config>-0` and so on. */
  pending(config: string, count = 1): void {
    const { job } = this.ledger.view.config(configId(config))!
    const { wallMs: atMs } = this.sim.now()
    for (let n = 0; n < count; n++) {
      const events = [{ atMs, status: 'PENDING', scheduler: 'node-1' }] as const
      const of = { job, instance: this.#instances++, configId: configId(config), events }
      this.ledger.put(putTask(taskRow(`${config}-${n}`, of)))
    }
  }

  becomes(id: string, status: TaskStatus, message?: string): void {
    const row = this.ledger.view.task(taskId(id))!
    const event = {
      atMs: this.sim.now().wallMs,
      status,
      scheduler: 'node-1',
      ...(message === undefined ? {} : { message }),
    }
    this.ledger.put(putTask({ ...row, status, version: row.version + 1, events: [...row.events, event] }))
  }

  end(...ids: string[]): void {
    for (const id of ids) this.becomes(id, 'KILLED')
    this.sim.advance(10)
  }

  status(id: string): TaskStatus | undefined {
    return this.ledger.view.task(taskId(id))?.status
  }

  /** Who was asked to go, for which configuration. */
  asked(): string[] {
    return this.proposals.map(({ taskId: id, message }) => `${id} for ${message?.split(' ').at(-1)?.split('-')[0]}`)
  }

  claims(): unknown {
    const summary = this.sim.inspection.actor('/offer-broker')?.stateSummary as { claims: number }
    return summary.claims
  }

  details(config: string): readonly string[] {
    return this.placement.view.pending().find(group => group.configId === config)?.details ?? []
  }

  /** The cluster that most tests have: on each of so many hosts a task that may be preempted. */
  full(hosts: number): this {
    this.config('victim', { job: { ...HELLO, role: 'other', name: 'victim' }, resources: cores(4) })
    for (let n = 0; n < hosts; n++) {
      this.agent(`h${n}`)
      this.running(`v${n}`, 'victim', `h${n}`)
    }
    this.config('a', { tier: 'preferred', resources: cores(3) })
    return this
  }
}

let opened: World[] = []
afterEach(async () => {
  for (const { sim, failuresExpected } of opened) {
    expect(sim.failures).toHaveLength(failuresExpected)
    await sim.stop()
  }
  opened = []
})

describe('a production task waits in a full cluster', () => {
  test('after the delay a victim is asked to go, by the preemptor and for that task; then the task takes its place', () => {
    const world = new World().full(1)
    world.pending('a')
    world.sim.advance(delayMs - 2 * intervalMs)
    expect(world.proposals).toEqual([])
    world.sim.advance(4 * intervalMs)
    expect(world.proposals).toHaveLength(1)
    expect(world.proposals[0]).toMatchObject({ who: 'preemptor', message: 'Preempting in favor of a-0' })
    expect(world.status('v0')).toBe('PREEMPTING')
    expect(world.details('a')).toContain('preempting 1 task on h0.example for this group')
    expect(world.claims()).toBe(1)
    world.end('v0')
    expect(world.status('a-0')).toBe('ASSIGNED')
    expect(world.claims()).toBe(0)
    world.sim.advance(10 * intervalMs)
    expect(world.proposals).toHaveLength(1)
  })

  test('sched-47: others may not take the room that is made for it, and it may land elsewhere itself', () => {
    const world = new World().full(1)
    world.pending('a')
    world.sim.advance(delayMs + intervalMs)
    expect(world.status('v0')).toBe('PREEMPTING')
    world.config('b', { tier: 'preferred', priority: 1000, resources: cores(2) })
    world.pending('b')
    world.sim.advance(10)
    world.end('v0')
    expect(world.status('b-0')).toBe('PENDING')
    expect(world.status('a-0')).toBe('ASSIGNED')

    const elsewhere = new World().full(1)
    elsewhere.pending('a')
    elsewhere.sim.advance(delayMs + intervalMs)
    elsewhere.config('b', { tier: 'preferred', resources: cores(4) })
    elsewhere.pending('b')
    elsewhere.agent('new', { total: { ...cores(3), ramMb: 8192, diskMb: 8192 } })
    elsewhere.sim.advance(10)
    expect(elsewhere.ledger.view.task(taskId('a-0'))).toMatchObject({ status: 'ASSIGNED', agentId: 'new' })
    // Nobody of the group waits any more, so its claim is gone with it.
    elsewhere.end('v0')
    expect(elsewhere.status('b-0')).toBe('ASSIGNED')
  })

  test('sched-68: the preemptor is disabled: nobody ever has to go', () => {
    const world = new World({ isEnabled: false }).full(2)
    world.pending('a', 2)
    world.sim.advance(10 * delayMs)
    expect(world.proposals).toEqual([])
    expect([world.status('v0'), world.status('v1')]).toEqual(['RUNNING', 'RUNNING'])
  })

  test('nobody may be preempted for it: the explanation counts the hosts and says why', () => {
    const world = new World()
    world.config('other', { job: { ...HELLO, role: 'other', name: 'x' }, tier: 'preferred', resources: cores(4) })
    world.agent('h0')
    world.running('p0', 'other', 'h0')
    world.config('a', { tier: 'preferred', resources: cores(3) })
    world.pending('a')
    world.sim.advance(delayMs + intervalMs)
    expect(world.proposals).toEqual([])
    expect(world.details('a')).toContain(
      'no preemption: 1 host searched, of which 1 has no task that this one may preempt',
    )
  })
})

describe('several groups wait', () => {
  test('sched-63: a search serves so many tasks of a group, then it is the turn of the next one', () => {
    const world = new World({ slotsMax: 2 }).full(7)
    world.config('b', { tier: 'preferred', resources: cores(3) })
    world.pending('a', 5)
    world.pending('b', 2)
    world.sim.advance(delayMs + 3 * intervalMs)
    expect(world.asked().map(text => text.split(' ').at(-1))).toEqual(['a', 'a', 'b', 'b', 'a', 'a', 'a'])
  })

  test('production comes first, then the higher priority; and no victim is asked to go for two', () => {
    for (let seed = 0; seed < 20; seed++) {
      const world = new World({}, seed).full(2)
      world.config('low', { job: { ...HELLO, role: 'other', name: 'low' }, priority: 5, resources: cores(3) })
      world.config('high', { job: { ...HELLO, role: 'other', name: 'high' }, priority: 9, resources: cores(3) })
      for (const config of ['low', 'high', 'a']) world.pending(config)
      world.sim.advance(delayMs + 2 * intervalMs)
      expect(world.asked().map(text => text.split(' ').at(-1))).toEqual(['a', 'high'])
      expect(new Set(world.proposals.map(proposal => proposal.taskId)).size).toBe(2)
    }
  })
})

describe('the world moves on between search and end', () => {
  test('sched-64: nothing found is remembered: a host that has lost its room meanwhile is passed over', () => {
    const world = new World().full(2)
    world.pending('a')
    world.sim.advance(delayMs - intervalMs)
    world.ledger.put(putAgent({ ...world.ledger.view.agent(agentId('h0'))!, total: { ...cores(2), ramMb: 8192 } }))
    world.sim.advance(2 * intervalMs)
    expect(world.asked()).toEqual(['v1 for a'])
  })

  test('sched-65: a victim that has ended or is dying is not counted', () => {
    const world = new World()
    world.config('victim', { job: { ...HELLO, role: 'other', name: 'victim' }, resources: cores(1) })
    for (const host of ['h0', 'h1']) world.agent(host)
    for (let n = 0; n < 8; n++) world.running(`v${n}`, 'victim', n < 4 ? 'h0' : 'h1')
    world.config('a', { tier: 'preferred', resources: cores(4) })
    world.pending('a')
    world.sim.advance(delayMs - intervalMs)
    world.becomes('v0', 'KILLING')
    world.sim.advance(2 * intervalMs)
    expect(world.asked().sort()).toEqual(['v4 for a', 'v5 for a', 'v6 for a', 'v7 for a'])
  })

  test('a victim goes from STARTING to RUNNING before it decides: it is asked again', () => {
    const world = new World().full(1)
    world.becomes('v0', 'STARTING')
    world.meanwhile.push('RUNNING')
    world.pending('a')
    world.sim.advance(delayMs + intervalMs)
    expect(world.proposals.map(({ expectStatus }) => expectStatus)).toEqual(['STARTING', 'RUNNING'])
    expect(world.status('v0')).toBe('PREEMPTING')
  })

  test('a victim is partitioned before it decides: the claim is given up, and another host is searched for', () => {
    const world = new World().full(2)
    world.meanwhile.push('PARTITIONED')
    world.pending('a')
    world.sim.advance(delayMs + intervalMs)
    const [first] = world.proposals
    expect(world.status(first!.taskId)).toBe('PARTITIONED')
    world.sim.advance(intervalMs)
    expect(world.claims()).toBe(1)
    const second = world.proposals[1]!
    expect(second.taskId).not.toBe(first!.taskId)
    expect(world.status(second.taskId)).toBe('PREEMPTING')
  })

  test('all victims have gone and the room is too small after all: the claim is given up, and the group searched for again', () => {
    const world = new World().full(2)
    world.pending('a')
    world.sim.advance(delayMs + intervalMs)
    const first = world.proposals[0]!.taskId
    const host = world.ledger.view.task(first)!.agentId!
    world.ledger.put(putAgent({ ...world.ledger.view.agent(host)!, total: { ...cores(2), ramMb: 8192 } }))
    world.end(first)
    expect(world.status('a-0')).toBe('PENDING')
    world.sim.advance(4 * intervalMs)
    expect(world.proposals).toHaveLength(2)
    expect(world.proposals[1]!.taskId).not.toBe(first)
  })

  test('victims that take too long: the claim ends with the reservation, and the room is for whoever is first in turn', () => {
    const world = new World({ reservationMs }).full(1)
    world.pending('a')
    world.sim.advance(delayMs + intervalMs)
    expect(world.claims()).toBe(1)
    world.sim.advance(reservationMs)
    expect(world.claims()).toBe(0)
    expect(world.status('v0')).toBe('PREEMPTING')
    expect(world.proposals).toHaveLength(1)
  })
})

test('the preemptor crashes while it asks: claims that are left serve the group, and nobody is asked in vain', () => {
  const world = new World().full(3)
  world.pending('a', 2)
  world.sim.advance(delayMs - 2 * intervalMs)
  world.isBroken = true
  world.failuresExpected = 1
  world.sim.advance(20 * intervalMs)
  const asked = world.proposals.map(({ taskId: id }): TaskId => id)
  expect(new Set(asked).size).toBe(asked.length)
  for (const id of ['v0', 'v1', 'v2']) if (world.status(id) === 'PREEMPTING') world.end(id)
  world.sim.advance(reservationMs + 4 * intervalMs)
  for (const id of ['v0', 'v1', 'v2']) if (world.status(id) === 'PREEMPTING') world.end(id)
  expect([world.status('a-0'), world.status('a-1')]).toEqual(['ASSIGNED', 'ASSIGNED'])
})
