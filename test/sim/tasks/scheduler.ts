/**
 * The whole scheduler of one simulated process: the real ledger and whatever leads over it, on the kernel and the clock
 * of the process and over its log, wired as `runtime/node.ts` wires them.
 */
import type { ActorSystem } from '../../../src/actors/actor.ts'
import { createLedger, type LedgerActor } from '../../../src/actors/ledger.ts'
import { type AgentListener, type Logger, silentMetrics } from '../../../src/actors/ports.ts'
import type { AppendOutcome } from '../../../src/core/log/coordinator-core.ts'
import type { ElectionView } from '../../../src/core/log/election-core.ts'
import type { Entry } from '../../../src/core/log/entry.ts'
import { followLeadership, type LeaderTree } from '../../../src/runtime/leadership.ts'
import type { AgentToLeader, LeaderToAgent } from '../../../src/wire/messages/agent.ts'
import type { Process, Scheduler } from '../log/node.ts'
import { SimLogPort } from './log-port.ts'
import type { TaskPlan } from './plan.ts'

export interface SchedulerWorld {
  readonly tasks: TaskPlan
  uuid(): string
  loggerOf(node: number): Logger
  /** The agents that speak with it will notice. */
  schedulerGone(scheduler: NodeScheduler): void
  failed(error: unknown): void
}

export class NodeScheduler implements Scheduler {
  readonly nodeId: number
  readonly ledger: LedgerActor
  readonly listener: AgentListener<AgentToLeader, LeaderToAgent> = { onConnection: null }
  readonly tree: LeaderTree
  /** Actors that are being stopped: their end is told through promises of the language. */
  stopsOpen = 0
  isOver = false
  readonly #log: SimLogPort
  readonly #process: Process<NodeScheduler>
  readonly #world: SchedulerWorld

  constructor(process: Process<NodeScheduler>, world: SchedulerWorld, members: number) {
    this.nodeId = process.node.id
    this.#world = world
    this.#process = process
    this.#log = new SimLogPort(process, members)
    const { tasks } = world
    const logger = world.loggerOf(this.nodeId)
    const system = this.#watchedSystem()
    const { clock } = process.node
    this.ledger = createLedger({
      system,
      log: this.#log,
      clock,
      metrics: silentMetrics,
      logger,
      pageRowsMax: tasks.pageRowsMax,
      leaseMs: tasks.leaseMs,
    })
    this.tree = followLeadership({
      system,
      ledger: this.ledger,
      listener: this.listener,
      config: tasks.config,
      secret: '',
      hostName: `node-${this.nodeId}`,
      handOver: () => this.#log.transfer(null),
      endProcess: cause => world.failed(cause),
      metrics: silentMetrics,
      logger,
      uuid: () => world.uuid(),
    })
    this.#log.start(this.ledger.listener)
    this.ledger.began(this.#log.report())
    this.tree.prepared()
  }

  get leads(): boolean {
    return this.tree.leading !== null
  }

  /** As a call of a client reaches it; false: it does not lead. Never while the process stands still. */
  call(run: (leading: NonNullable<LeaderTree['leading']>) => void, notHere: () => void): void {
    this.#process.call(0, () => {
      const { leading } = this.tree
      if (leading === null) notHere()
      else run(leading)
    })
  }

  viewed(view: ElectionView): void {
    this.#log.viewed(view)
  }
  ended(id: number, outcome: AppendOutcome): void {
    this.#log.ended(id, outcome)
  }
  applied(entries: readonly Entry[]): void {
    this.#log.committed(entries)
  }
  spaceTold(full: boolean): void {
    this.#log.writable(full ? 'too little space' : null)
  }
  void(): void {
    this.isOver = true
    this.stopsOpen = 0
    this.#world.schedulerGone(this)
  }

  #watchedSystem(): ActorSystem {
    const { system } = this.#process
    const stopActor: ActorSystem['stopActor'] = ref => {
      this.stopsOpen++
      const stopped = system.stopActor(ref)
      stopped.then(() => {
        if (!this.isOver) this.stopsOpen--
      })
      return stopped
    }
    return Object.create(system, { stopActor: { value: stopActor } }) as ActorSystem
  }
}
