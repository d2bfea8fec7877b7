/**
 * One run of whole schedulers: each simulated node has the real log and the real scheduler over it, machines with agents
 * speak with whoever leads, clients want jobs, and everything fails. Then all is healed, and what must hold must hold.
 */
import type { Logger } from '../../../src/actors/ports.ts'
import { silentLogger } from '../../../src/actors/ports.ts'
import type { Cell } from '../../../src/actors/shell/cell.ts'
import { recordsText, rowsText } from '../../../src/core/agents/task-digest.ts'
import type { AgentId } from '../../../src/core/base/ids.ts'
import type { Prng } from '../../../src/core/base/prng.ts'
import { isEnd } from '../../../src/core/executor/agent-book.ts'
import type { TaskRow } from '../../../src/core/ledger/rows.ts'
import { isActive } from '../../../src/core/task/status.ts'
import { encodeRow } from '../../../src/wire/ledger-rows.ts'
import { Cluster, type Failure, PROBE_MS, RECOVERY_LEASES_MAX, randomStreams, shownNode } from '../log/cluster.ts'
import type { Process } from '../log/node.ts'
import { drawPlan, type Plan } from '../log/plan.ts'
import type { RunOptions } from '../log/simulation.ts'
import { holds } from '../log/violation.ts'
import { JobClients } from './clients.ts'
import { Machines } from './machines.ts'
import { TaskOracle } from './oracle.ts'
import { drawTaskPlan, type TaskPlan } from './plan.ts'
import { NodeScheduler, type SchedulerWorld } from './scheduler.ts'

export interface TaskRunResult {
  readonly seed: number
  readonly plan: Plan
  readonly failure: Failure | null
  readonly simulatedMs: number
  readonly turns: number
  readonly committed: number
  readonly leaders: number
  /** From the healing of a quorum until clients find a leader. */
  readonly recoveredMs: number | null
  /** From the healing of everything until nothing moves. */
  readonly quietMs: number | null
  readonly faults: ReadonlyMap<string, number>
  readonly requests: JobClients['counts']
  readonly tasks: TaskOracle['counts'] & { readonly jobs: number; readonly staleLeaders: number }
  readonly traceHash: string
}

/** Every time-out and every sweep of the scheduler has come round some times by then. */
const QUIET_MS_MAX = 600_000
const QUIET_LOOK_MS = 500
/** Beside the election: rows are read, and the actors of the reign begin. */
const OPENING_MS_MAX = 5_000

const TASK_ROW_FACTOR = 20
/** More links than any chain of promises between the end of an actor and whoever waits for it has. */
const PROMISE_CHAIN_MAX = 24

export function simulateTasks(seed: number, options: RunOptions = {}): Promise<TaskRunResult> {
  return new TaskSimulation(seed, options).run()
}

export class TaskSimulation extends Cluster<NodeScheduler> implements SchedulerWorld {
  readonly tasks: TaskPlan
  readonly clients: JobClients
  readonly machines: Machines
  readonly committed: TaskOracle
  readonly #seed: number
  /** A promise of the language may have been made or settled: whoever waits for it comes before time goes on. */
  #isUnsettled = false
  #uuids = 0

  constructor(seed: number, options: RunOptions = {}) {
    const random = randomStreams(seed)
    const drawn = drawPlan(seed, random(1), options)
    // Rows of tasks are larger than those for which the pages were made small.
    const pageBytes = drawn.limits.pageBytes * TASK_ROW_FACTOR
    const plan: Plan = { ...drawn, limits: { ...drawn.limits, pageBytes } }
    super({ plan, random, trace: options.trace })
    this.#seed = seed
    this.tasks = drawTaskPlan(random(8), plan.timing.leaseMs, options.only)
    const shared = { plan: this.tasks, queue: this.queue, schedulers: () => this.schedulers() }
    this.committed = new TaskOracle(key => this.clients.jobs.get(key))
    this.oracle.onCommitted = entry => this.committed.committed(entry)
    const agents: Prng = random(9)
    this.machines = new Machines({
      ...shared,
      random: agents,
      nodeIds: () => this.nodes.map(({ id }) => id),
      watch: {
        started: ({ host, agentId }, taskId) => this.committed.started(host, agentId, taskId),
        obeyed: (agent, message) => {
          this.committed.obeyed(agent.host, message.type, message.epoch)
          if (message.type !== 'STATUS_ACK') return
          for (const { taskId, seq } of message.acks) {
            const status = agent.outbox.get(taskId)?.find(waiting => waiting.seq === seq)
            if (status !== undefined && isEnd(status.state)) this.committed.endAcknowledged(agent.agentId, taskId)
          }
        },
        delivered: ({ host }, messages) => this.note(0, 100 + messages, host),
      },
    })
    this.clients = new JobClients({
      ...shared,
      random: random(10),
      acknowledged: request => {
        this.note(0, 0, request.id)
        this.committed.acknowledged(request)
      },
    })
    this.start()
  }

  async run(): Promise<TaskRunResult> {
    let failure: Failure | null = null
    let recoveredMs: number | null = null
    let quietMs: number | null = null
    try {
      await this.pass(this.plan.minutes * 60_000)
      recoveredMs = await this.recover()
      quietMs = await this.calm()
      for (const ms of this.converging()) await this.pass(ms)
      // What is committed last reaches those who follow with the next heartbeat.
      await this.pass(1_000)
      this.checkEnd()
    } catch (error) {
      failure = this.failureOf(error)
    }
    return {
      seed: this.#seed,
      plan: this.plan,
      failure,
      simulatedMs: this.queue.nowMs,
      turns: this.turns,
      committed: this.oracle.committed,
      leaders: this.oracle.leadersSeen,
      recoveredMs,
      quietMs,
      faults: new Map([...this.faults.counts, ...Object.entries(this.network.counts), ...this.machines.counts]),
      requests: this.clients.counts,
      tasks: {
        ...this.committed.counts,
        jobs: this.clients.jobs.size,
        staleLeaders: this.machines.all.reduce((sum, { agent }) => sum + agent.staleLeaders, 0),
      },
      traceHash: this.traceHash,
    }
  }

  /** As `advance`, in which promises of the language settle too. */
  async pass(ms: number): Promise<void> {
    const untilMs = this.queue.nowMs + ms
    do {
      this.drain()
      while (this.#isUnsettled) {
        this.#isUnsettled = false
        for (let link = 0; link < PROMISE_CHAIN_MAX; link++) await null
        this.drain()
      }
    } while (this.queue.step(untilMs))
    this.queue.nowMs = untilMs
  }

  async recover(): Promise<number> {
    const { queue, plan } = this
    this.healQuorum()
    const healedMs = queue.nowMs
    const limitMs = RECOVERY_LEASES_MAX * plan.timing.leaseMs + OPENING_MS_MAX
    while (!this.schedulers().some(({ leads, ledger }) => leads && ledger.refusal() === null)) {
      holds(queue.nowMs - healedMs <= limitMs, 'a healed quorum has a scheduler that serves, within 20 leases', () =>
        this.nodes.map(shownNode).join('; '),
      )
      await this.pass(PROBE_MS)
    }
    return queue.nowMs - healedMs
  }

  /** Nothing strikes any more; ends when nothing moves. */
  async calm(): Promise<number> {
    const { queue } = this
    this.clients.isStopped = true
    this.faults.heal(this.sound())
    this.machines.heal()
    const healedMs = queue.nowMs
    while (!this.isQuiet()) {
      holds(queue.nowMs - healedMs <= QUIET_MS_MAX, 'once all is healed, everything comes to rest', () =>
        this.#unrest(),
      )
      await this.pass(QUIET_LOOK_MS)
    }
    this.committed.settled(this.clients.jobs.values())
    this.#checkAgents()
    return queue.nowMs - healedMs
  }

  isQuiet(): boolean {
    return this.#unrest() === ''
  }

  /** All who follow have what is committed. */
  checkEnd(): void {
    const rows = shownTasks(this.committed.tasks.values())
    for (const node of this.sound()) {
      const ledger = node.process?.scheduler.ledger
      holds(ledger !== undefined, 'healed nodes run', () => shownNode(node))
      const seen = shownTasks(ledger.view.tasks())
      holds(
        seen.length === rows.length && seen.every((line, at) => line === rows[at]),
        'all nodes end with equal rows',
        () =>
          `node ${node.id}: ${seen.filter(line => !rows.includes(line)).join()} instead of ${rows.filter(line => !seen.includes(line)).join()}`,
      )
    }
  }

  // ---- The world, as its schedulers see it ----

  makeScheduler(process: Process<NodeScheduler>): NodeScheduler {
    return new NodeScheduler(process, this, this.plan.nodes)
  }

  override turned({ scheduler }: Process<NodeScheduler>, { name }: Cell): void {
    if (name === 'scheduler-lifecycle' || scheduler.stopsOpen > 0) this.#isUnsettled = true
  }

  uuid(): string {
    return `uuid-${++this.#uuids}`
  }

  schedulerGone(scheduler: NodeScheduler): void {
    this.machines.gone(scheduler)
  }

  loggerOf(node: number): Logger {
    const { trace } = this
    if (trace === undefined) return silentLogger
    const say = (event: string, fields?: object): void =>
      trace(`${this.queue.nowMs.toFixed(3)} node ${node} says ${event} ${JSON.stringify(fields ?? {})}`)
    const logger: Logger = { debug: () => {}, info: say, warn: say, error: say, child: () => logger }
    return logger
  }

  schedulers(): readonly NodeScheduler[] {
    return this.nodes.flatMap(({ process }) => (process === null ? [] : [process.scheduler]))
  }

  // ---- Details ----

  /** What still moves or waits; empty when nothing does. */
  #unrest(): string {
    const leader = this.schedulers().find(({ leads }) => leads)
    if (leader === undefined) return 'nobody leads'
    if (this.clients.open.size > 0) return `requests are open: ${[...this.clients.open].map(({ id }) => id).join()}`
    const away = this.machines.all.filter(({ agent }) => !agent.isReady)
    if (away.length > 0) return `agents are away: ${away.map(({ agent }) => agent.host).join()}`
    const unsent = this.machines.all.filter(({ agent }) => agent.outbox.size > 0 || !agent.isIdle)
    if (unsent.length > 0) return `agents have something to say: ${unsent.map(({ agent }) => agent.host).join()}`
    const groups = leader.tree.leading?.placement.pending() ?? []
    const explained = new Set<string>(
      groups.filter(({ reasons }) => reasons.length > 0).flatMap(({ taskIds }) => taskIds),
    )
    const live = new Set(this.machines.all.flatMap(({ agent }) => agent.live.map(({ taskId }) => taskId)))
    for (const { taskId, status } of leader.ledger.view.tasks()) {
      if (!isActive(status)) continue
      const rests = status === 'RUNNING' ? live.delete(taskId) : status === 'PENDING' && explained.has(taskId)
      if (!rests) return `${taskId} is ${status}`
    }
    return live.size === 0 ? '' : `machines run what nobody wants: ${[...live].join()}`
  }

  #checkAgents(): void {
    const leader = this.schedulers().find(({ leads }) => leads)
    for (const { agent } of this.machines.all) {
      holds(agent.faults.length === 0, 'no leader breaks the protocol of agents', () => agent.faults.join())
      const bound = leader?.ledger.view.tasksOnAgent(agent.agentId as AgentId) ?? []
      const [seen, known] = [recordsText(agent.records.values()), rowsText(bound)]
      holds(seen === known, 'agents and the ledger agree', () => `${agent.host}\n${seen}\n---\n${known}`)
    }
  }
}

function shownTasks(rows: Iterable<TaskRow>): string[] {
  const lines = [...rows].map(
    row => `${row.taskId} ${row.status} ${Buffer.from(encodeRow('task', row)).toString('base64')}`,
  )
  return lines.sort()
}
