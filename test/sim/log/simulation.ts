/**
 * One run: a whole cluster through bad days, then with a quorum healed for good. Everything that happens is drawn from
 * the seed, so the same seed with the same code is the same run, event by event; the trace hash says whether it was.
 */
import type { Cell } from '../../../src/actors/shell/cell.ts'
import { typeOfMessage } from '../../../src/actors/shell/cell.ts'
import { type Prng, prng } from '../../../src/core/base/prng.ts'
import { type ClusterDescriptor, quorumOf } from '../../../src/core/log/descriptor.ts'
import { leaseLeftMs } from '../../../src/core/log/lease.ts'
import type { PeerMessage } from '../../../src/core/log/messages.ts'
import { type LogMeta, NO_BASE } from '../../../src/core/log/meta.ts'
import { Clients } from './clients.ts'
import { SimDisk } from './disk.ts'
import { EventQueue } from './event-queue.ts'
import { Faults } from './faults.ts'
import { SimNetwork } from './network.ts'
import { type Process, SimNode, type World } from './node.ts'
import { Oracle } from './oracle.ts'
import { drawPlan, type Plan, type PlanOptions } from './plan.ts'
import { holds, Violation } from './violation.ts'

export interface RunOptions extends PlanOptions {
  /** Told one line per event. */
  readonly trace?: ((line: string) => void) | undefined
}

export interface RunResult {
  readonly seed: number
  readonly plan: Plan
  readonly failure: { readonly invariant: string; readonly message: string; readonly atMs: number } | null
  readonly simulatedMs: number
  readonly turns: number
  readonly committed: number
  readonly leaders: number
  /** From the healing of a quorum to the first append that was begun and acknowledged after it. */
  readonly recoveredMs: number | null
  readonly faults: ReadonlyMap<string, number>
  readonly calls: Clients['counts']
  readonly upkeep: Oracle['counts']
  /** Eight hex digits over everything that ran. */
  readonly traceHash: string
}

/** A leader must emerge and commit within so many leases once a quorum is well. */
const RECOVERY_LEASES_MAX = 20
const PROBE_MS = 50
/** Beyond this a run is taken for an endless exchange of messages. */
const TURNS_AT_ONE_MOMENT_MAX = 200_000

export function simulate(seed: number, options: RunOptions = {}): RunResult {
  return new Simulation(seed, options).run()
}

export class Simulation implements World {
  readonly plan: Plan
  readonly queue: EventQueue
  readonly oracle = new Oracle()
  readonly random: Prng
  readonly nodes: readonly SimNode[]
  readonly network: SimNetwork
  readonly faults: Faults
  readonly clients: Clients
  readonly #choice: Prng
  readonly #ready: { readonly process: Process; readonly cell: Cell }[] = []
  readonly #trace: ((line: string) => void) | undefined
  #failure: unknown = null
  #turns = 0
  #hash = 0x811c_9dc5

  constructor(seed: number, options: RunOptions = {}, plan?: Plan) {
    // One stream for each purpose: a draw more in one place does not shift the others.
    const stream = (purpose: number): Prng => prng(Math.imul(seed + 1, 0x9e37_79b1) ^ Math.imul(purpose, 0x85eb_ca6b))
    this.#trace = options.trace
    this.plan = plan ?? drawPlan(seed, stream(1), options)
    this.queue = new EventQueue(stream(2))
    this.random = stream(3)
    this.#choice = stream(4)
    const { nodes: count } = this.plan
    this.nodes = Array.from({ length: count }, (_, at) => new SimNode(this, at + 1, new SimDisk(metaOf(at + 1, count))))
    this.network = new SimNetwork(this.plan.network, this.queue, stream(5), (to, from, message) =>
      this.#arrive(to, from, message),
    )
    this.faults = new Faults(this.plan, this.queue, stream(6), this.nodes, this.network)
    this.clients = new Clients(this.plan, this.queue, stream(7), this.nodes)
    for (const node of this.nodes) node.start()
  }

  run(): RunResult {
    let failure: RunResult['failure'] = null
    let recoveredMs: number | null = null
    try {
      this.advance(this.plan.minutes * 60_000)
      recoveredMs = this.recover()
      this.converge()
      this.clients.checkAll()
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error)
      const invariant = error instanceof Violation ? error.invariant : 'the simulation itself runs'
      const where = error instanceof Violation ? '' : `\n${error instanceof Error ? error.stack : ''}`
      failure = { invariant, message: `${message}${where}`, atMs: this.queue.nowMs }
    }
    const faults = new Map([...this.faults.counts, ...Object.entries(this.network.counts)])
    return {
      seed: this.plan.seed,
      plan: this.plan,
      failure,
      simulatedMs: this.queue.nowMs,
      turns: this.#turns,
      committed: this.oracle.committed,
      leaders: this.oracle.leadersSeen,
      recoveredMs,
      faults,
      calls: this.clients.counts,
      upkeep: this.oracle.counts,
      traceHash: this.traceHash,
    }
  }

  get traceHash(): string {
    return this.#hash.toString(16).padStart(8, '0')
  }

  advance(ms: number): void {
    const untilMs = this.queue.nowMs + ms
    this.#drain()
    while (this.queue.step(untilMs)) this.#drain()
    this.queue.nowMs = untilMs
  }

  /** Heals a quorum for good and waits until it works. Answers how long that took. */
  recover(): number {
    const { plan, random, queue } = this
    const alive = this.#sound()
    const well: SimNode[] = []
    while (well.length < quorumOf(plan.nodes)) well.push(alive.splice(random.int(0, alive.length), 1)[0]!)
    // Some of the rest are never heard again, or hear nothing.
    for (const node of this.nodes) {
      if (well.includes(node) || random.next() < 0.5) continue
      for (const other of well) {
        if (random.next() < 0.7)
          this.network.cut(...((random.next() < 0.5 ? [node.id, other.id] : [other.id, node.id]) as [number, number]))
      }
    }
    this.faults.heal(well)
    const healedMs = queue.nowMs
    const limitMs = RECOVERY_LEASES_MAX * plan.timing.leaseMs
    let acknowledged = false
    for (let probe = 0; !acknowledged; probe++) {
      holds(
        queue.nowMs - healedMs <= limitMs,
        'a healed quorum elects a leader that commits, within 20 leases',
        () => `well are ${well.map(({ id }) => id).join()}; ${this.nodes.map(shownNode).join('; ')}`,
      )
      for (const node of this.nodes) {
        node.process?.leader?.write('register', `probe-${node.id}`, probe, 1, end => {
          acknowledged ||= end === 'ok'
        })
      }
      this.advance(PROBE_MS)
    }
    return queue.nowMs - healedMs
  }

  /** With everything healed that can be and nobody calling any more, all end with one and the same log. */
  converge(): void {
    const { plan, queue } = this
    this.clients.isStopped = true
    const well = this.#sound()
    this.faults.heal(well)
    const untilMs = queue.nowMs + 2 * RECOVERY_LEASES_MAX * plan.timing.leaseMs
    const isEqual = (): boolean => {
      const { committed } = this.oracle
      return well.every(node => {
        const tip = node.process === null ? null : this.oracle.flushedTip(node.id)
        return tip?.isCommitted === true && tip.position === committed && node.disk.tables.applied === committed
      })
    }
    while (!isEqual()) {
      holds(
        queue.nowMs < untilMs,
        'healed nodes end with equal logs',
        () => `${this.oracle.committed} are committed; ${well.map(shownNode).join('; ')}`,
      )
      this.advance(PROBE_MS)
    }
  }

  // ---- The world, as its nodes see it -------------------------------------------------------------------------------

  send(from: number, to: number, message: PeerMessage): void {
    if (message.type === 'entries') this.oracle.serves(from, message)
    this.network.send(from, to, message)
  }

  makeReady(process: Process, cell: Cell): void {
    this.#ready.push({ process, cell })
  }

  leaseChanged(node: SimNode): void {
    const core = node.process?.coordinatorCore
    if (core == null || !this.plan.leasesHold) return
    const leftMs = core.lease === null ? 0 : leaseLeftMs(core.lease, node.clock.read())
    const { nowMs } = this.queue
    node.leaseEndsMs = leftMs > 0 ? nowMs + node.clock.worldMsOf(leftMs) : Number.NEGATIVE_INFINITY
    if (leftMs <= 0) return
    for (const other of this.nodes) {
      holds(
        other === node || other.leaseEndsMs <= nowMs,
        'at most one node may answer reads at any moment',
        () => `members ${other.id} and ${node.id} at ${nowMs}`,
      )
    }
  }

  failed(error: unknown): void {
    this.#failure ??= error
  }

  #sound(): SimNode[] {
    return this.nodes.filter(node => node.status !== 'lost' && !this.faults.ruined.has(node))
  }

  #arrive(to: number, from: number, message: PeerMessage): void {
    const node = this.nodes[to - 1]!
    this.#note(to, 100 + from, message.type)
    node.process?.receive(message)
  }

  #drain(): void {
    for (let turns = 0; this.#ready.length > 0; turns++) {
      holds(turns < TURNS_AT_ONE_MOMENT_MAX, 'the actors come to rest', () => `at ${this.queue.nowMs}`)
      this.#turn()
    }
    if (this.#failure !== null) throw this.#failure
  }

  #turn(): void {
    const at = this.#choice.int(0, this.#ready.length)
    const { process, cell } = this.#ready[at]!
    const last = this.#ready.pop()!
    if (at < this.#ready.length) this.#ready[at] = last
    if (process.isOver) return
    const { node, kernel } = process
    if (node.isPaused) {
      process.held.push(cell)
      return
    }
    this.#turns++
    this.#note(node.id, 0, cell.status === 'running' ? typeOfMessage(cell.ring?.peek()) : cell.status, cell.name)
    kernel.beginTurns()
    kernel.turn(cell, 1)
    if (this.#failure !== null) throw this.#failure
    const core = process.replicaCore
    if (core !== null && !process.isOver) this.oracle.looks(node.id, core.meta, core.applied)
    const { countdown } = node
    if (countdown !== null && --countdown.turns < 0) {
      node.countdown = null
      countdown.strike()
    }
  }

  #note(node: number, from: number, what: string, who = ''): void {
    let hash = this.#hash
    const mix = (value: number): void => {
      hash = Math.imul(hash ^ value, 0x0100_0193) >>> 0
    }
    mix(Math.floor(this.queue.nowMs * 1_000) | 0)
    mix(node * 1_000 + from)
    for (let at = 0; at < what.length; at++) mix(what.charCodeAt(at))
    this.#hash = hash
    if (this.#trace === undefined) return
    const source = from === 0 ? who : `from ${from - 100}`
    this.#trace(`${this.queue.nowMs.toFixed(3)} node ${node} ${source} ${what}`)
  }
}

function shownNode(node: SimNode): string {
  const { process } = node
  const core = process?.replicaCore
  const is = process === null ? node.status : (process.view?.role ?? 'NONE')
  return `${node.id} ${is} end ${core?.meta.end ?? '?'} commit ${core?.meta.commit ?? '?'} promised ${core?.meta.promised.join('.') ?? '?'}`
}

export function descriptorOf(count: number): ClusterDescriptor {
  const members = Array.from({ length: count }, (_, at) => ({
    memberId: at + 1,
    name: `node-${at + 1}`,
    address: `10.0.0.${at + 1}:8083`,
    incarnation: `disk-${at + 1}`,
    role: 'VOTER' as const,
  }))
  return {
    formatVersion: 1,
    clusterId: 'sim',
    genesisHash: 'genesis',
    configVersion: 0,
    members,
    quorum: quorumOf(count),
    autoReplace: true,
  }
}

function metaOf(memberId: number, count: number): LogMeta {
  const descriptor = descriptorOf(count)
  return {
    formatVersion: 1,
    generation: 1,
    clusterId: descriptor.clusterId,
    genesisHash: descriptor.genesisHash,
    memberId,
    incarnation: `disk-${memberId}`,
    genesisMembers: descriptor.members.map(({ name, address, memberId: id }) => ({ memberId: id, name, address })),
    descriptor,
    status: 'VOTING',
    bootCounter: 0,
    promised: [0, 0],
    begin: 1,
    base: NO_BASE,
    end: 0,
    commit: 0,
    digest: 0,
  }
}
