/**
 * A whole leader on virtual time, and machines that speak the wire messages: a production job comes to a cluster that is
 * full of tasks that may be preempted.
 */
import { afterEach, expect, test } from 'vitest'
import type { JobOutcome } from '../../src/actors/job-keeper.ts'
import { createLedger, type LedgerActor } from '../../src/actors/ledger.ts'
import { type AgentListener, silentLogger, silentMetrics } from '../../src/actors/ports.ts'
import { createSimSystem } from '../../src/actors/sim-shell.ts'
import type { JobKey } from '../../src/core/base/ids.ts'
import type { Rejection } from '../../src/core/base/rejection.ts'
import type { TaskConfig } from '../../src/core/job/task-config.ts'
import type { TaskRow } from '../../src/core/ledger/rows.ts'
import { isActive } from '../../src/core/task/status.ts'
import { readConfig } from '../../src/runtime/config.ts'
import { followLeadership, type LeaderTree } from '../../src/runtime/leadership.ts'
import type { AgentToLeader, LeaderToAgent } from '../../src/wire/messages/agent.ts'
import { MemoryLog } from '../fixtures/memory-log.ts'
import { CAUSE, taskConfig } from '../fixtures/rows.ts'
import { SimAgent } from '../fixtures/sim-agent.ts'
import { SimDriver } from '../fixtures/sim-driver.ts'

const DELAY_S = 180
const key = (role: string, name: string): JobKey => ({ role, environment: 'prod', name })

class Cluster {
  readonly sim = createSimSystem({ seed: 1 })
  readonly log = new MemoryLog()
  readonly listener: AgentListener<AgentToLeader, LeaderToAgent> = { onConnection: null }
  readonly agents: SimAgent[] = []
  readonly started: string[] = []
  readonly ledger: LedgerActor
  readonly driver = new SimDriver()
  readonly tree: LeaderTree
  /** False: what is asked to end takes its time. */
  endsTasks = true
  #serial = 0

  constructor() {
    const { sim, listener, log } = this
    this.driver.registersAtOnce = true
    this.ledger = createLedger({ system: sim, log, clock: sim.clock, metrics: silentMetrics, logger: silentLogger })
    const read = readConfig('scheduler: { startSpread: 0s }')
    if (!read.ok) throw new Error('the config of the test is valid')
    this.tree = followLeadership({
      system: sim,
      ledger: this.ledger,
      listener,
      config: read.config,
      secret: '',
      hostName: 'leader',
      driver: this.driver,
      handOver: () => log.transfer(),
      endProcess: cause => {
        throw cause
      },
      metrics: silentMetrics,
      logger: silentLogger,
      uuid: () => `uuid-${++this.#serial}-${log.entries.length}`,
    })
  }

  async begin(): Promise<this> {
    await this.log.start(this.ledger.listener)
    this.tree.prepared()
    this.log.elect()
    await this.sim.settle()
    return this
  }

  machine(host: string): SimAgent {
    const agent = new SimAgent(host, this.started)
    this.agents.push(agent)
    return agent
  }

  async create(job: JobKey, instanceCount: number, more: Partial<TaskConfig>): Promise<void> {
    const task = taskConfig({ job, ports: [], executor: { name: 'AuroraExecutor', data: '{}' }, ...more })
    const answers: (JobOutcome | Rejection)[] = []
    this.tree.leading?.jobKeeper.tell({
      type: 'create',
      requestId: `request-${++this.#serial}`,
      fingerprint: 'f',
      user: 'alice',
      job: { key: job, owner: job.role, instanceCount, task },
      replyTo: { path: 'test', tell: answer => answers.push(answer) > 0 },
    })
    await this.sim.settle()
    expect(answers.map(answer => answer.type)).toEqual(['done'])
  }

  /** Seconds in which machines report, tasks go a step on each, and those that are asked to end do. */
  async pass(seconds: number): Promise<void> {
    for (let second = 0; second < seconds; second++) {
      for (const agent of this.agents) {
        agent.connect(this.listener)
        if (second % 4 === 0) agent.heartbeat()
        for (const record of agent.live) {
          if (record.state === 'ACCEPTED') agent.report(record, 'STARTING')
          else if (record.state === 'STARTING') agent.report(record, 'RUNNING')
          else if (record.state === 'KILLING' && this.endsTasks) agent.report(record, 'KILLED')
        }
      }
      for (let n = 0; n < 3; n++) {
        await this.sim.settle()
        for (const agent of this.agents) agent.pump(1_000)
      }
      this.sim.advance(1_000)
    }
  }

  tasksOf({ role, name }: JobKey): TaskRow[] {
    return [...this.ledger.view.tasks()].filter(task => task.job.role === role && task.job.name === name)
  }
  activeOf(job: JobKey): string[] {
    return this.tasksOf(job)
      .filter(({ status }) => isActive(status))
      .map(({ status, host }) => `${status}${status === 'RUNNING' ? ` on ${host}` : ''}`)
      .sort()
  }
  endedOf(job: JobKey): TaskRow[] {
    return this.tasksOf(job).filter(({ status }) => !isActive(status))
  }
}

let clusters: Cluster[] = []
afterEach(async () => {
  for (const { tree, sim } of clusters) {
    const stopped = tree.stop()
    await sim.stop()
    await stopped
    expect(sim.failures).toEqual([])
  }
  clusters = []
})

const core = { cpusMilli: 900, ramMb: 64, diskMb: 64, gpus: 0 }
const BATCH = key('team', 'batch')
const SHOP = key('shop', 'web')

/** Two machines of two cores, full of a preemptible service; role `shop` may have production. */
async function fullCluster(): Promise<Cluster> {
  const cluster = await new Cluster().begin()
  clusters.push(cluster)
  cluster.machine('h0')
  cluster.machine('h1')
  const quota = { cpusMilli: 8_000, ramMb: 8_192, diskMb: 8_192 }
  const change = { type: 'put', table: 'quota', key: 'shop', row: { v: 1, role: 'shop', quota } } as const
  cluster.ledger.stage({ cause: CAUSE, changes: [change] })
  await cluster.pass(2)
  await cluster.create(BATCH, 4, { tier: 'preemptible', resources: core })
  await cluster.pass(10)
  expect(cluster.activeOf(BATCH)).toEqual(['RUNNING on h0', 'RUNNING on h0', 'RUNNING on h1', 'RUNNING on h1'])
  return cluster
}

test('a production job comes to a full cluster: victims end, it runs, and they run again when there is room', async () => {
  const cluster = await fullCluster()
  await cluster.create(SHOP, 3, { tier: 'preferred', resources: core })
  await cluster.pass(DELAY_S - 20)
  expect(cluster.activeOf(SHOP)).toEqual(['PENDING', 'PENDING', 'PENDING'])
  expect(cluster.endedOf(BATCH)).toEqual([])
  await cluster.pass(60)
  expect(cluster.activeOf(SHOP).map(text => text.slice(0, 7))).toEqual(['RUNNING', 'RUNNING', 'RUNNING'])
  const victims = cluster.endedOf(BATCH)
  expect(victims).toHaveLength(3)
  const pendingIds = cluster.tasksOf(SHOP).map(({ taskId }) => taskId)
  for (const { events } of victims) {
    const event = events.find(({ status }) => status === 'PREEMPTING')
    expect(event).toMatchObject({ who: 'preemptor' })
    expect(pendingIds.map(id => `Preempting in favor of ${id}`)).toContain(event?.message)
  }
  expect(cluster.activeOf(BATCH).filter(text => text === 'PENDING')).toHaveLength(3)
  cluster.machine('h2')
  cluster.machine('h3')
  await cluster.pass(20)
  expect(cluster.activeOf(BATCH).map(text => text.slice(0, 7))).toEqual(['RUNNING', 'RUNNING', 'RUNNING', 'RUNNING'])
})

test('sched-54: a task that is preempted again and again is never THROTTLED for it', async () => {
  const cluster = await fullCluster()
  for (const name of ['one', 'two', 'three']) {
    await cluster.create(key('shop', name), 1, { tier: 'preferred', resources: core })
    await cluster.pass(DELAY_S + 30)
    expect(cluster.activeOf(key('shop', name)).map(text => text.slice(0, 7))).toEqual(['RUNNING'])
    cluster.machine(`more-${name}`)
    await cluster.pass(10)
  }
  const rows = cluster.tasksOf(BATCH)
  expect(rows.filter(({ events }) => events.some(({ status }) => status === 'PREEMPTING')).length).toBeGreaterThan(0)
  expect(rows.filter(({ events }) => events.some(({ status }) => status === 'THROTTLED'))).toEqual([])
})

test('the leader changes while victims end: they end all the same, and the job that waits gets its place', async () => {
  const cluster = await fullCluster()
  await cluster.create(SHOP, 1, { tier: 'preferred', resources: core })
  cluster.endsTasks = false
  await cluster.pass(DELAY_S + 20)
  expect(cluster.activeOf(BATCH)).toContain('PREEMPTING')
  cluster.log.lose({ type: 'notLeader' })
  await cluster.sim.settle()
  cluster.log.elect()
  cluster.endsTasks = true
  await cluster.pass(30)
  expect(cluster.endedOf(BATCH)).toHaveLength(1)
  await cluster.pass(DELAY_S + 60)
  expect(cluster.activeOf(SHOP).map(text => text.slice(0, 7))).toEqual(['RUNNING'])
})
