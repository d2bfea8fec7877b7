/**
 * The machines of a simulated cluster, each with an agent: their connections to whoever leads, the steps of their tasks,
 * and what strikes them. An agent may reach some nodes and not others, and knows of the leader only what it finds.
 */
import type { Prng } from '../../../src/core/base/prng.ts'
import type { LeaderToAgent } from '../../../src/wire/messages/agent.ts'
import { SimAgent } from '../../fixtures/sim-agent.ts'
import type { EventQueue } from '../log/event-queue.ts'
import { AGENT_FAULTS, type AgentFault, type TaskPlan } from './plan.ts'
import type { NodeScheduler } from './scheduler.ts'

export interface MachineWatch {
  started(agent: SimAgent, taskId: string): void
  obeyed(agent: SimAgent, message: LeaderToAgent): void
  delivered(agent: SimAgent, messages: number): void
}

export interface MachineWorld {
  readonly plan: TaskPlan
  readonly queue: EventQueue
  readonly random: Prng
  readonly watch: MachineWatch
  schedulers(): readonly NodeScheduler[]
  nodeIds(): readonly number[]
}

const FAULT_MS_MAX = 30_000
const RESET_MS_MAX = 3_000

class Machine {
  readonly agent: SimAgent
  readonly started: string[] = []
  isDown = false
  /** Whom it speaks with. */
  scheduler: NodeScheduler | null = null
  /** Whom it spoke with before that. */
  #previous: NodeScheduler | null = null
  /** Members of the cluster that it cannot reach now; counted, since several faults may cut the same one. */
  readonly cuts = new Map<number, number>()
  readonly #world: MachineWorld
  #isPumping = false
  #lastHeardMs = 0

  constructor(world: MachineWorld, host: string) {
    this.#world = world
    this.agent = new SimAgent(host, this.started)
    this.agent.onWaiting = () => this.#pumpSoon()
    this.agent.onObeyed = message => {
      this.#lastHeardMs = world.queue.nowMs
      world.watch.obeyed(this.agent, message)
    }
  }

  isCut(node: number): boolean {
    return (this.cuts.get(node) ?? 0) > 0
  }

  /** Tries one node, and another the next time. */
  dial(): void {
    const { queue, random } = this.#world
    const { agent } = this
    if (agent.link !== null || this.isDown || agent.isFrozen) return
    const found = this.#world.schedulers()
    const leading = found.filter(({ listener }) => listener.onConnection !== null)
    const from = random.next() < 0.7 && leading.length > 0 ? leading : found
    // It may have an old address: that of a leader that stands still, for instance, and does not know of its end.
    const isOld = random.next() < 0.4 && this.#previous !== null && leading.includes(this.#previous)
    const scheduler = isOld ? this.#previous! : from[random.int(0, from.length)]
    if (scheduler === undefined || scheduler.listener.onConnection === null || this.isCut(scheduler.nodeId)) return
    if (this.scheduler !== scheduler) this.#previous = this.scheduler
    this.scheduler = scheduler
    this.#lastHeardMs = queue.nowMs
    agent.connect(scheduler.listener)
  }

  /** Says that it lives, and notices if the other side does not. */
  beat(): void {
    const { agent } = this
    const { queue, plan } = this.#world
    if (agent.link === null || agent.isFrozen) return
    if (queue.nowMs - this.#lastHeardMs > 3 * plan.heartbeatMs) agent.disconnect()
    else agent.heartbeat()
  }

  step(isCalm: boolean): void {
    const { agent } = this
    if (this.isDown || agent.isFrozen) return
    for (let n = agent.live.length; n > 0; n--) agent.step(this.#world.random, isCalm)
  }

  thaw(): void {
    this.agent.isFrozen = false
    this.#pumpSoon()
  }

  mended(): void {
    this.#pumpSoon()
  }

  #pumpSoon(): void {
    if (this.#isPumping) return
    this.#isPumping = true
    const { queue, random, plan } = this.#world
    queue.after(0.05 + random.next() ** 2 * plan.agentLatencyMsMax, () => {
      this.#isPumping = false
      this.#pump()
    })
  }

  #pump(): void {
    const { agent, scheduler } = this
    if (agent.isFrozen || this.isDown || agent.isIdle || scheduler === null) return
    // What cannot get through waits, until somebody gives up.
    if (scheduler.isOver || this.isCut(scheduler.nodeId)) return
    const { random, watch } = this.#world
    const before = this.started.length
    const most = 1 + random.int(0, 6)
    agent.pump(most)
    watch.delivered(agent, most)
    for (const taskId of this.started.slice(before)) watch.started(agent, taskId)
    if (!agent.isIdle) this.#pumpSoon()
  }
}

export class Machines {
  readonly counts = new Map<string, number>()
  readonly all: readonly Machine[]
  isCalm = false
  readonly #world: MachineWorld

  constructor(world: MachineWorld) {
    this.#world = world
    const { plan } = world
    this.all = Array.from({ length: plan.agents }, (_, n) => new Machine(world, `h${n}`))
    for (const machine of this.all) {
      this.#every(400, () => machine.dial())
      this.#every(plan.heartbeatMs, () => machine.beat())
      this.#every(5_000, () => machine.agent.resend())
      this.#every(plan.stepMs, () => machine.step(this.isCalm))
    }
    for (const fault of AGENT_FAULTS) {
      const everyMs = plan.faults.get(fault)
      if (everyMs !== undefined) this.#await(fault, everyMs)
    }
  }

  /** Nothing strikes any more. */
  heal(): void {
    this.isCalm = true
    for (const machine of this.all) {
      machine.isDown = false
      machine.cuts.clear()
      machine.thaw()
      machine.mended()
    }
  }

  /** The other side is gone: its machine says so sooner or later. */
  gone(scheduler: NodeScheduler): void {
    const { queue, random } = this.#world
    for (const machine of this.all) {
      const { link } = machine.agent
      if (machine.scheduler !== scheduler || link === null) continue
      queue.after(random.next() * RESET_MS_MAX, () => {
        if (machine.agent.link === link) machine.agent.disconnect()
      })
    }
  }

  #every(meanMs: number, run: () => void): void {
    this.#world.queue.after(meanMs * (0.5 + this.#world.random.next()), () => {
      run()
      this.#every(meanMs, run)
    })
  }

  #await(fault: AgentFault, everyMs: number): void {
    this.#world.queue.after(-Math.log(1 - this.#world.random.next()) * everyMs, () => {
      if (this.isCalm) return
      this.#strike(fault)
      this.#await(fault, everyMs)
    })
  }

  #strike(fault: AgentFault): void {
    const { random, queue } = this.#world
    const machine = this.all[random.int(0, this.all.length)]!
    const forMs = random.next() ** 2 * FAULT_MS_MAX
    this.counts.set(fault, (this.counts.get(fault) ?? 0) + 1)
    switch (fault) {
      case 'agentReboot':
        machine.agent.reboot()
        machine.isDown = true
        queue.after(forMs / 3, () => {
          machine.isDown = false
        })
        return
      case 'agentFreeze':
        machine.agent.isFrozen = true
        queue.after(forMs, () => machine.thaw())
        return
      case 'agentCut':
        return machine.agent.disconnect()
      case 'agentPartition': {
        const nodes = this.#world.nodeIds().filter(() => random.next() < 0.7)
        for (const node of nodes) machine.cuts.set(node, (machine.cuts.get(node) ?? 0) + 1)
        queue.after(forMs, () => {
          for (const node of nodes) machine.cuts.set(node, Math.max(0, (machine.cuts.get(node) ?? 0) - 1))
          machine.mended()
        })
        return
      }
    }
  }
}
