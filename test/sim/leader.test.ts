/**
 * A whole leader on virtual time: the real ledger over a log in memory, the real life cycle and subtree of
 * `runtime/leadership.ts`, a driver that registers late and exits, and machines that speak the wire messages. Each seed is
 * a day on which everything goes wrong: clients create, kill and restart and repeat what they got no answer to; tasks
 * fail; connections break; machines freeze and reboot; leadership is lost with appends under way; the disk is full; single
 * actors of the leader crash. What must hold is looked at after every step.
 */
import { afterEach, expect, test } from 'vitest'
import type { Ref } from '../../src/actors/actor.ts'
import type { JobOutcome } from '../../src/actors/job-keeper.ts'
import { createLedger, type LedgerActor } from '../../src/actors/ledger.ts'
import { type AgentListener, silentLogger, silentMetrics } from '../../src/actors/ports.ts'
import type { Kernel } from '../../src/actors/shell/kernel.ts'
import { createSimSystem, type SimSystem } from '../../src/actors/sim-shell.ts'
import { recordsText, rowsText } from '../../src/core/agents/task-digest.ts'
import type { AgentId, JobKey } from '../../src/core/base/ids.ts'
import { type Prng, prng } from '../../src/core/base/prng.ts'
import type { Rejection } from '../../src/core/base/rejection.ts'
import type { Constraint } from '../../src/core/job/task-config.ts'
import { HOST_ASSIGNED, isActive } from '../../src/core/task/status.ts'
import { followLeadership, type LeaderTree } from '../../src/runtime/leadership.ts'
import type { AgentToLeader, LeaderToAgent } from '../../src/wire/messages/agent.ts'
import { MemoryLog } from '../fixtures/memory-log.ts'
import { taskConfig } from '../fixtures/rows.ts'
import { SIM_TOTAL, SimAgent } from '../fixtures/sim-agent.ts'
import { SimDriver } from '../fixtures/sim-driver.ts'

const SEEDS = Number(process.env.DAYBREAK_SIM_SEEDS ?? 30)
const STEPS = 120
const AGENTS = 4
/** A client gives up waiting, as the HTTP edge does: what was asked of actors that stopped gets no answer. */
const CLIENT_MS_MAX = 40_000
const OVERHEAD = { cpus: 0.01, ramMb: 8 }

interface Job {
  readonly key: JobKey
  readonly isService: boolean
  readonly instances: number
  isCreated: boolean
  /** Instances that some kill has asked for, answered or not. */
  readonly killAsked: Set<number>
  readonly killDone: Set<number>
  isWholeKillAsked: boolean
}
/** A request that has no final answer; repeated under its id until it has. */
interface Request {
  readonly job: Job
  readonly send: (replyTo: Ref<JobOutcome | Rejection>) => void
  readonly done: (outcome: JobOutcome) => void
  /** Since when an answer is awaited, monotonic ms; null when it is not. */
  waitingSinceMs: number | null
}

class Day {
  readonly sim: SimSystem
  readonly log = new MemoryLog()
  readonly listener: AgentListener<AgentToLeader, LeaderToAgent> = { onConnection: null }
  readonly agents: SimAgent[]
  readonly started: string[] = []
  readonly jobs: Job[] = []
  readonly requests = new Set<Request>()
  readonly said: string[] = []
  readonly ledger: LedgerActor
  readonly driver = new SimDriver()
  readonly tree: LeaderTree
  readonly #random: Prng
  #isLed = false
  #serial = 0

  constructor(seed: number) {
    this.#random = prng(seed * 7919 + 1)
    this.sim = createSimSystem({ seed })
    const { sim, log, listener } = this
    this.agents = Array.from({ length: AGENTS }, (_, n) => new SimAgent(`h${n}`, this.started))
    this.ledger = createLedger({ system: sim, log, clock: sim.clock, metrics: silentMetrics, logger: silentLogger })
    const scheduler = {
      heap: 2 ** 32,
      allowedEnvironments: '^devel$',
      maxTasksPerJob: 100,
      tiersFile: null,
      allowGpus: false,
      transientTimeout: 300_000,
      killRetry: 15_000,
      schedulePenaltyMax: 60_000,
      agentHeartbeat: 5_000,
      agentUnreachable: 75_000,
      agentForget: 7 * 86_400_000,
      registrationDelay: 60_000,
      reconciliation: {
        initialDelay: 20_000,
        explicitInterval: 120_000,
        implicitInterval: 120_000,
        spread: 60_000,
        batchSize: 3,
        batchInterval: 1_000,
      },
      startSpread: 2_000,
      offerOrder: ['RANDOM' as const],
      preemption: { enabled: true, delay: 5_000, interval: 2_000, batch: 100, reservation: 180_000 },
      flapping: { threshold: 300_000, pauseMin: 1_000, pauseMax: 10_000, restartsPerSecond: 100 },
      webhook: { url: null, timeout: 5_000, headersFile: null, secretFile: null, statuses: [], job: null },
      requestOutcomes: { keep: 86_400_000, max: 100_000 },
      pruning: { keep: 172_800_000, keepMin: 3_600_000, perJob: 100 },
      updatePruning: { interval: 900_000, keep: 2_592_000_000, perJob: 10 },
    }
    const executor = { overheadCpus: OVERHEAD.cpus * 1000, overheadRam: OVERHEAD.ramMb * 1024 * 1024 }
    this.tree = followLeadership({
      system: sim,
      ledger: this.ledger,
      listener,
      config: { scheduler, executor },
      secret: '',
      hostName: 'leader',
      driver: this.driver,
      handOver: () => log.transfer(),
      endProcess: cause => {
        throw cause
      },
      metrics: silentMetrics,
      logger: silentLogger,
      uuid: () => `uuid-${++this.#serial}`,
    })
  }

  async begin(): Promise<void> {
    await this.log.start(this.ledger.listener)
    this.tree.prepared()
    await this.elect()
  }

  // ---- what can happen ----

  async step(): Promise<void> {
    const random = this.#random
    const dice = random.int(0, 100)
    if (dice < 12) this.create()
    else if (dice < 22) this.kill()
    else if (dice < 27) this.restart()
    else if (dice < 33) this.repeatRequests()
    else if (dice < 37) this.#anyAgent().disconnect()
    else if (dice < 39) this.#anyAgent().reboot()
    else if (dice < 43) this.#anyAgent().isFrozen = random.next() < 0.5
    else if (dice < 47) this.#say('append held', () => this.log.hold())
    else if (dice < 53) this.log.letGo()
    else if (dice < 56) this.lose()
    else if (dice < 65) this.crashOne()
    else if (dice < 66) this.sim.advance(random.int(0, 120_000))
    else if (dice < 69) this.#say('disk full', () => this.log.setWritable('too little space'))
    else if (dice < 74) this.log.setWritable(null)
    else if (dice < 76) this.#say('driver exits', () => this.driver.exit('gone'))
    else this.sim.advance(random.int(0, 2_000))
    if (!this.#isLed && random.next() < 0.3) await this.elect()
    // Also a driver that was stopped since: word that was under way.
    if (random.next() < 0.6) this.driver.register()
    for (const agent of this.agents) {
      if (random.next() < 0.5) agent.connect(this.listener)
      if (random.next() < 0.7) agent.heartbeat()
      if (random.next() < 0.1) agent.resend()
      for (let n = random.int(0, 4); n > 0; n--) agent.step(random, false)
      this.sim.run()
      agent.pump(random.int(0, 6))
    }
    if (random.next() < 0.7) await this.sim.settle()
    else this.sim.run()
  }

  create(): void {
    const random = this.#random
    const key = { role: 'www-data', environment: 'devel', name: `job${this.jobs.length}` }
    const job: Job = {
      key,
      isService: random.next() < 0.7,
      instances: random.int(1, 4),
      isCreated: false,
      killAsked: new Set(),
      killDone: new Set(),
      isWholeKillAsked: false,
    }
    const limits: Constraint[] = [{ name: 'host', rule: { type: 'limit', limit: 1 } }]
    const config = taskConfig({
      job: key,
      isService: job.isService,
      maxTaskFailures: random.int(-1, 3),
      priority: random.int(0, 4),
      resources: { cpusMilli: random.int(1, 9) * 100, ramMb: 64, diskMb: 64, gpus: 0 },
      ports: random.next() < 0.5 ? ['http'] : [],
      constraints: random.next() < 0.3 ? limits : [],
      executor: { name: 'AuroraExecutor', data: '{}' },
      ...(random.next() < 0.3 ? { partitionPolicy: { reschedule: random.next() < 0.8, delaySecs: 30 } } : {}),
    })
    this.jobs.push(job)
    const ids = this.#ids()
    const submitted = { key, owner: 'www-data', instanceCount: job.instances, task: config }
    this.#request(
      job,
      replyTo => this.tree.leading?.jobKeeper.tell({ type: 'create', ...ids, replyTo, job: submitted }),
      () => {
        job.isCreated = true
      },
    )
  }

  kill(): void {
    const job = this.#anyJob()
    if (job === undefined) return
    const isWhole = this.#random.next() < 0.4
    const instances = isWhole ? null : [this.#random.int(0, job.instances)]
    const meant = instances ?? Array.from({ length: job.instances }, (_, n) => n)
    for (const instance of meant) job.killAsked.add(instance)
    if (isWhole) job.isWholeKillAsked = true
    const ids = this.#ids()
    this.#request(
      job,
      replyTo =>
        this.tree.leading?.jobKeeper.tell({ type: 'kill', ...ids, replyTo, key: job.key, instances, message: null }),
      () => {
        for (const instance of meant) job.killDone.add(instance)
      },
    )
  }

  restart(): void {
    const job = this.#anyJob()
    if (job === undefined) return
    const ids = this.#ids()
    this.#request(
      job,
      replyTo => this.tree.leading?.jobKeeper.tell({ type: 'restart', ...ids, replyTo, key: job.key, instances: null }),
      () => {},
    )
  }

  repeatRequests(): void {
    const before = this.sim.now().monoMs - CLIENT_MS_MAX
    for (const request of this.requests) if ((request.waitingSinceMs ?? before) <= before) this.#send(request)
  }

  /** Another node leads, and what was under way may be gone; a part of it may have been committed before. */
  lose(): void {
    if (!this.#isLed) return
    this.#say('leadership lost')
    this.#isLed = false
    this.log.release(this.#random.int(0, 3))
    this.log.lose(this.#random.next() < 0.5 ? { type: 'unknown' } : { type: 'notLeader' })
  }

  async elect(): Promise<void> {
    this.#say('elected')
    this.#isLed = true
    this.log.letGo()
    this.log.elect()
    await this.sim.settle()
  }

  /** A message that no actor can read: whoever gets it throws and is restarted. */
  crashOne(): void {
    const kernel = (this.sim as unknown as { kernel: Kernel }).kernel
    const leader = kernel.root.children?.get('leader')
    const cells = [...(leader?.children?.values() ?? [])].flatMap(cell =>
      cell.spec === null ? [...(cell.children?.values() ?? [])].slice(0, 1) : [cell],
    )
    const cell = cells[this.#random.int(0, cells.length)]
    if (cell === undefined) return
    this.#say(`crash of ${cell.path}`)
    kernel.enqueue(cell, null, false)
  }

  /** Nothing goes wrong any more; ends when nothing moves. */
  async calm(): Promise<void> {
    this.#say('calm')
    this.log.setWritable(null)
    this.log.letGo()
    if (!this.#isLed) await this.elect()
    for (const agent of this.agents) agent.isFrozen = false
    for (let second = 0; second < 900; second++) {
      this.driver.register()
      this.repeatRequests()
      for (const agent of this.agents) {
        agent.connect(this.listener)
        if (second % 4 === 0) agent.heartbeat()
        if (second % 8 === 7) agent.resend()
        for (let n = agent.live.length; n > 0; n--) agent.step(this.#random, true)
      }
      for (let n = 0; n < 3; n++) {
        await this.sim.settle()
        for (const agent of this.agents) agent.pump(1_000)
      }
      this.sim.advance(1_000)
      this.check()
      if (this.isQuiet()) return
    }
  }

  /** Nothing is under way: what is left RUNNING or PENDING stays so. */
  isQuiet(): boolean {
    if (this.requests.size > 0 || this.agents.some(agent => !agent.isReady)) return false
    const active = [...this.ledger.view.tasks()].filter(task => isActive(task.status))
    if (active.some(task => task.status !== 'RUNNING' && task.status !== 'PENDING')) return false
    const running = active.filter(task => task.status === 'RUNNING').length
    if (this.agents.reduce((sum, agent) => sum + agent.live.length, 0) !== running) return false
    const explained = this.#explained()
    return active.every(task => task.status === 'RUNNING' || explained.has(task.taskId))
  }

  // ---- what must hold ----

  check(): void {
    for (const { faults, staleLeaders } of this.agents) expect([faults, staleLeaders]).toEqual([[], 0])
    const { isRegistered, isAdvertised, state } = this.tree.life
    const acts = this.sim.inspection.actor('/leader')?.status === 'running'
    if (acts) expect([state, isRegistered], 'nothing acts before the registration').toEqual(['ACTIVE', true])
    if (isAdvertised) expect([acts, this.driver.isRunning, this.ledger.open]).toEqual([true, true, true])
    expect(this.started.length, 'a task id was launched twice').toBe(new Set(this.started).size)
    if (!this.ledger.open) return
    const { view } = this.ledger
    const slots = new Map<string, string>()
    const used = new Map<string, { cpusMilli: number; ramMb: number; ports: Set<number> }>()
    for (const task of view.tasks()) {
      if (!isActive(task.status)) continue
      const slot = `${task.job.name}/${task.instance}`
      expect(slots.get(slot), `two active tasks of ${slot}`).toBeUndefined()
      slots.set(slot, task.taskId)
      if (!HOST_ASSIGNED.has(task.status) || task.agentId === undefined) continue
      const resources = view.config(task.configId)?.resources
      const sum = used.get(task.agentId) ?? { cpusMilli: 0, ramMb: 0, ports: new Set() }
      sum.cpusMilli += (resources?.cpusMilli ?? 0) + OVERHEAD.cpus * 1000
      sum.ramMb += (resources?.ramMb ?? 0) + OVERHEAD.ramMb
      for (const port of Object.values(task.ports)) {
        expect(sum.ports.has(port), `port ${port} of ${task.host} belongs to two tasks`).toBe(false)
        sum.ports.add(port)
      }
      used.set(task.agentId, sum)
    }
    for (const [agent, { cpusMilli, ramMb }] of used) {
      expect(cpusMilli, `cores of ${agent}`).toBeLessThanOrEqual(SIM_TOTAL.cpusMilli)
      expect(ramMb, `RAM of ${agent}`).toBeLessThanOrEqual(SIM_TOTAL.ramMb)
    }
    for (const job of this.jobs) this.#checkJob(job)
  }

  #checkJob({ key, isCreated, isService, instances, isWholeKillAsked, killAsked, killDone }: Job): void {
    const { view } = this.ledger
    if (!isCreated) return
    if (!isWholeKillAsked) expect(view.job(key), `${key.name} was acknowledged`).toBeDefined()
    for (let instance = 0; instance < instances; instance++) {
      const active = view.activeTask(key, instance)
      if (killDone.has(instance) && active !== undefined)
        expect(active.status, `${key.name}/${instance} was killed`).toBe('KILLING')
      if (isService && !killAsked.has(instance))
        expect(active, `${key.name}/${instance} is a service and nobody killed it`).toBeDefined()
    }
  }

  checkQuiet(): void {
    const unanswered = [...this.requests].map(request => request.job.key.name)
    expect(unanswered, 'requests without an answer').toEqual([])
    for (const { agentId, host, records } of this.agents)
      if (agentId !== null)
        expect(recordsText(records.values()), `${host} and the ledger agree`).toBe(
          rowsText(this.ledger.view.tasksOnAgent(agentId as AgentId)),
        )
    const explained = this.#explained()
    const live = new Set(this.agents.flatMap(agent => agent.live.map(record => record.taskId)))
    for (const { taskId, status } of this.ledger.view.tasks()) {
      if (!isActive(status)) continue
      if (status === 'PENDING') expect(explained.has(taskId), `${taskId} says why it is PENDING`).toBe(true)
      else expect(`${status} ${live.has(taskId)}`, taskId).toBe('RUNNING true')
      live.delete(taskId)
    }
    expect([...live], 'tasks that nobody asked for any more').toEqual([])
  }

  #explained(): Set<string> {
    const groups = this.tree.leading?.placement.pending() ?? []
    return new Set(groups.filter(group => group.reasons.length > 0).flatMap(group => group.taskIds))
  }

  // ---- details ----

  #request(job: Job, send: Request['send'], done: Request['done']): void {
    const request: Request = { job, send, done, waitingSinceMs: null }
    this.requests.add(request)
    this.#send(request)
  }
  #send(request: Request): void {
    if (this.tree.leading === null) return
    request.waitingSinceMs = this.sim.now().monoMs
    request.send({
      path: '/client',
      tell: said => {
        request.waitingSinceMs = null
        if (said.type === 'done') request.done(said)
        const isFinal = said.type === 'done' || !TRY_AGAIN.has(said.code)
        if (isFinal) this.requests.delete(request)
        return true
      },
    })
  }
  #ids() {
    return { requestId: `request-${++this.#serial}`, fingerprint: 'f', user: 'alice' }
  }
  #anyAgent(): SimAgent {
    return this.agents[this.#random.int(0, AGENTS)] as SimAgent
  }
  #anyJob(): Job | undefined {
    return this.jobs[this.#random.int(Math.max(0, this.jobs.length - 8), this.jobs.length)]
  }
  #say(what: string, run?: () => void): void {
    this.said.push(`${this.sim.now().monoMs} ${what}`)
    run?.()
  }
}

const TRY_AGAIN = new Set(['NOT_LEADER', 'OUTCOME_UNKNOWN', 'BUSY', 'STORAGE_NOT_READY'])

let day: Day | null = null
afterEach(async () => {
  const stopped = day?.tree.stop()
  await day?.sim.stop()
  await stopped
  day = null
})

test.for(Array.from({ length: SEEDS }, (_, n) => n + 1))(
  'whatever fails, the cluster keeps its promises: seed %i',
  async seed => {
    const today = new Day(seed)
    day = today
    try {
      await today.begin()
      for (let n = 0; n < STEPS; n++) {
        await today.step()
        today.check()
      }
      await today.calm()
      today.checkQuiet()
    } catch (cause) {
      const crashes = today.sim.failures.map(({ path, error }) => `${path}: ${String(error)}`)
      const unplanned = crashes.filter(line => !line.includes('null'))
      throw new Error(`seed ${seed}: ${String(cause)}\n${[...today.said.slice(-30), ...unplanned].join('\n')}`, {
        cause,
      })
    }
    const bugs = today.sim.failures.filter(({ error }) => !/null/.test(String(error)))
    expect(bugs, `seed ${seed}`).toEqual([])
  },
)
