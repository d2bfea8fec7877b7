/**
 * A simulated cluster and the one loop that runs it: nodes, network, disks, faults, the oracle of the log, and the choice
 * of whose turn it is. What stands over the logs is the matter of whoever extends it. Everything that happens is drawn
 * from the seed, so the same seed with the same code is the same run; the trace hash says whether it was.
 */
import type { Cell } from '../../../src/actors/shell/cell.ts'
import { typeOfMessage } from '../../../src/actors/shell/cell.ts'
import { type Prng, prng } from '../../../src/core/base/prng.ts'
import { type ClusterDescriptor, quorumOf } from '../../../src/core/log/descriptor.ts'
import { leaseLeftMs } from '../../../src/core/log/lease.ts'
import type { PeerMessage } from '../../../src/core/log/messages.ts'
import { type LogMeta, NO_BASE } from '../../../src/core/log/meta.ts'
import { SimDisk } from './disk.ts'
import { EventQueue } from './event-queue.ts'
import { Faults } from './faults.ts'
import { SimNetwork } from './network.ts'
import { type Process, type Scheduler, SimNode, type World } from './node.ts'
import { Oracle } from './oracle.ts'
import type { Plan } from './plan.ts'
import { holds, Violation } from './violation.ts'

export interface ClusterOptions {
  readonly plan: Plan
  readonly random: RandomStreams
  /** Told one line per event. */
  readonly trace?: ((line: string) => void) | undefined
}

/** One stream for each purpose: a draw more in one place does not shift the others. */
export type RandomStreams = (purpose: number) => Prng

export function randomStreams(seed: number): RandomStreams {
  return purpose => prng(Math.imul(seed + 1, 0x9e37_79b1) ^ Math.imul(purpose, 0x85eb_ca6b))
}

export interface Failure {
  readonly invariant: string
  readonly message: string
  readonly atMs: number
}

/** Once healed, so many leases for a leader to emerge and commit. */
export const RECOVERY_LEASES_MAX = 20
export const PROBE_MS = 50
/** Beyond this a run is taken for an endless exchange of messages. */
const TURNS_AT_ONE_MOMENT_MAX = 200_000

export abstract class Cluster<S extends Scheduler> implements World<S> {
  readonly plan: Plan
  readonly queue: EventQueue
  readonly oracle = new Oracle()
  readonly random: Prng
  readonly nodes: readonly SimNode<S>[]
  readonly network: SimNetwork
  readonly faults: Faults
  readonly trace: ((line: string) => void) | undefined
  readonly #choice: Prng
  readonly #ready: { readonly process: Process<S>; readonly cell: Cell }[] = []
  #failure: unknown = null
  #turns = 0
  #hash = 0x811c_9dc5

  /** The nodes start with `start`, once everything else is there. */
  constructor({ plan, random, trace }: ClusterOptions) {
    this.trace = trace
    this.plan = plan
    this.queue = new EventQueue(random(2))
    this.random = random(3)
    this.#choice = random(4)
    const { nodes: count } = plan
    this.nodes = Array.from(
      { length: count },
      (_, at) => new SimNode<S>(this, at + 1, new SimDisk(metaOf(at + 1, count))),
    )
    this.network = new SimNetwork(plan.network, this.queue, random(5), (to, from, message) =>
      this.#arrive(to, from, message),
    )
    this.faults = new Faults(plan, this.queue, random(6), this.nodes, this.network)
  }

  /** After a turn of an actor. */
  turned(_process: Process<S>, _cell: Cell): void {}

  abstract makeScheduler(process: Process<S>): S

  get turns(): number {
    return this.#turns
  }

  start(): void {
    for (const node of this.nodes) node.start()
  }

  get traceHash(): string {
    return this.#hash.toString(16).padStart(8, '0')
  }

  advance(ms: number): void {
    const untilMs = this.queue.nowMs + ms
    this.drain()
    while (this.queue.step(untilMs)) this.drain()
    this.queue.nowMs = untilMs
  }

  /** What a run that threw has found. */
  failureOf(error: unknown): Failure {
    const message = error instanceof Error ? error.message : String(error)
    const invariant = error instanceof Violation ? error.invariant : 'the simulation itself runs'
    const where = error instanceof Violation ? '' : `\n${error instanceof Error ? error.stack : ''}`
    return { invariant, message: `${message}${where}`, atMs: this.queue.nowMs }
  }

  /** Heals a quorum for good and answers it. */
  healQuorum(): readonly SimNode<S>[] {
    const { plan, random } = this
    const alive = this.sound()
    const well: SimNode<S>[] = []
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
    return well
  }

  /**
   * With everything healed that can be, and nobody appending any more, all end with one and the same log. Asks for time
   * to pass, ms at a time.
   */
  *converging(): Generator<number> {
    const { plan, queue } = this
    const well = this.sound()
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
      yield PROBE_MS
    }
  }

  // ---- The world, as its nodes see it -------------------------------------------------------------------------------

  send(from: number, to: number, message: PeerMessage): void {
    if (message.type === 'entries') this.oracle.serves(from, message)
    this.network.send(from, to, message)
  }

  makeReady(process: Process<S>, cell: Cell): void {
    this.#ready.push({ process, cell })
  }

  leaseChanged(node: SimNode<S>): void {
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

  /** Whoever may still be healed. */
  sound(): SimNode<S>[] {
    return this.nodes.filter(node => node.status !== 'lost' && !this.faults.ruined.has(node))
  }

  #arrive(to: number, from: number, message: PeerMessage): void {
    const node = this.nodes[to - 1]!
    this.note(to, 100 + from, message.type)
    node.process?.receive(message)
  }

  /** Until no actor of any node has anything to do at this moment. */
  drain(): void {
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
    this.note(node.id, 0, cell.status === 'running' ? typeOfMessage(cell.ring?.peek()) : cell.status, cell.name)
    kernel.beginTurns()
    kernel.turn(cell, 1)
    this.turned(process, cell)
    if (this.#failure !== null) throw this.#failure
    const core = process.replicaCore
    if (core !== null && !process.isOver) this.oracle.looks(node.id, core.meta, core.applied)
    const { countdown } = node
    if (countdown !== null && --countdown.turns < 0) {
      node.countdown = null
      countdown.strike()
    }
  }

  /** Into the trace hash. */
  note(node: number, from: number, what: string, who = ''): void {
    let hash = this.#hash
    const mix = (value: number): void => {
      hash = Math.imul(hash ^ value, 0x0100_0193) >>> 0
    }
    mix(Math.floor(this.queue.nowMs * 1_000) | 0)
    mix(node * 1_000 + from)
    for (let at = 0; at < what.length; at++) mix(what.charCodeAt(at))
    this.#hash = hash
    if (this.trace === undefined) return
    const source = from === 0 ? who : `from ${from - 100}`
    this.trace(`${this.queue.nowMs.toFixed(3)} node ${node} ${source} ${what}`)
  }
}

export function shownNode(node: SimNode): string {
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
