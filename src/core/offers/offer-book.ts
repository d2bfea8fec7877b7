/**
 * What every known agent can still take: its total minus what is bound to it in the store, minus what a round has
 * chosen but not yet staged (holds). The store is the truth: a bound task counts even where it overcommits the host,
 * and free amounts are then negative until something ends. One standing offer per agent, never two.
 *
 * The book keeps amounts only. Who may go where is the matcher's business; who changes it is the matcher alone.
 * Source: the scheduling spec, sections 4 and 17, items D2, D6, D7, D13.
 */
import { assert } from '../base/assert.ts'
import type { AgentId, TaskId } from '../base/ids.ts'
import type { Prng } from '../base/prng.ts'
import type { AgentRow, HostMode } from '../ledger/rows.ts'
import { type AttributeSet, attributeSet } from '../scheduling/constraints.ts'
import { type CandidateOrder, candidateOrder, type OfferOrder } from './candidate-order.ts'
import { NEED_KINDS, type Needs } from './needs.ts'
import { PortSpace } from './port-space.ts'

type Amounts = { -readonly [K in keyof Needs]: Needs[K] }

/** Read by everybody, changed by the book only. */
export interface Host {
  /** Dense number, reused after a removal. */
  readonly slot: number
  readonly row: AgentRow
  readonly mode: HostMode
  readonly attributes: AttributeSet
  readonly total: Needs
  readonly free: Needs
  readonly ports: PortSpace
  readonly connected: boolean
  /** Differs whenever mode or attributes differ, over all hosts that ever had the slot: verdicts are remembered by it. */
  readonly factsVersion: number
  /** Rises with every change: the `n` of the offer id. */
  readonly changes: number
}
type OwnHost = { -readonly [K in keyof Omit<Host, 'free'>]: Host[K] } & { free: Amounts }

/** What one task takes. */
export interface Claim {
  readonly needs: Needs
  readonly ports: readonly number[]
}
interface Taken extends Claim {
  readonly host: OwnHost
  readonly isHold: boolean
}

export class OfferBook {
  readonly candidates: CandidateOrder
  /** Slots of hosts that have more to give than when this was last emptied. */
  readonly grown = new Set<number>()
  readonly #random: Prng
  readonly #slots: (OwnHost | undefined)[] = []
  readonly #freeSlots: number[] = []
  readonly #byAgent = new Map<AgentId, OwnHost>()
  readonly #taken = new Map<TaskId, Taken>()
  #holds = 0
  #connected = 0
  #versions = 0

  constructor(order: readonly OfferOrder[], random: Prng) {
    this.#random = random
    this.candidates = candidateOrder(order, random)
  }

  get hostCount(): number {
    return this.#byAgent.size
  }
  get connectedCount(): number {
    return this.#connected
  }
  get holdCount(): number {
    return this.#holds
  }
  get slotsMax(): number {
    return this.#slots.length
  }

  hosts(): Iterable<Host> {
    return this.#byAgent.values()
  }
  host(agentId: AgentId): Host | undefined {
    return this.#byAgent.get(agentId)
  }
  at(slot: number): Host {
    const host = this.#slots[slot]
    assert(host !== undefined, 'the slot is in use', { slot })
    return host
  }

  /** A new agent (not connected yet), or what has changed of a known one. True when mode or attributes differ. */
  describe(row: AgentRow): boolean {
    const known = this.#byAgent.get(row.agentId)
    if (known === undefined) {
      this.#insert(row)
      return true
    }
    const factsDiffer =
      known.mode !== row.mode || JSON.stringify(known.row.attributes) !== JSON.stringify(row.attributes)
    known.row = row
    known.mode = row.mode
    if (factsDiffer) {
      known.attributes = attributeSet(row.attributes)
      known.factsVersion = ++this.#versions
    }
    known.ports.setRanges(row.portRanges)
    const total: Needs = { ...row.total, ports: known.ports.total }
    for (const { type } of NEED_KINDS) {
      if (type !== 'ports') known.free[type] += total[type] - known.total[type]
    }
    known.total = total
    this.#changed(known, true)
    return factsDiffer
  }

  /** The agent is gone for good. What was bound to it is forgotten with it. */
  forget(agentId: AgentId): void {
    const host = this.#byAgent.get(agentId)
    if (host === undefined) return
    this.disconnect(agentId)
    for (const [taskId, taken] of this.#taken) if (taken.host === host) this.#drop(taskId, taken)
    this.#byAgent.delete(agentId)
    this.#slots[host.slot] = undefined
    this.#freeSlots.push(host.slot)
    this.grown.delete(host.slot)
  }

  connect(agentId: AgentId): void {
    const host = this.#byAgent.get(agentId)
    if (host === undefined || host.connected) return
    host.connected = true
    this.#connected++
    this.candidates.add(host)
    this.#changed(host, true)
  }

  disconnect(agentId: AgentId): void {
    const host = this.#byAgent.get(agentId)
    if (host === undefined || !host.connected) return
    host.connected = false
    this.#connected--
    this.candidates.remove(host)
    host.changes++
  }

  /** The store has bound the task to the agent. Ignored where the agent is not known: its tasks are read when it is. */
  bind(taskId: TaskId, agentId: AgentId, claim: Claim): void {
    const host = this.#byAgent.get(agentId)
    const taken = this.#taken.get(taskId)
    if (taken?.isHold && taken.host === host && isSame(taken, claim)) {
      // The usual end of a hold: the amounts stay as they are.
      this.#taken.set(taskId, { ...taken, isHold: false })
      this.#holds--
      return
    }
    if (taken !== undefined) this.#drop(taskId, taken, taken.host !== host)
    if (host !== undefined) this.#take(taskId, host, claim, false)
  }

  /** A round has chosen the host; the ports are chosen here. Ends with `bind` or `release`. */
  hold(taskId: TaskId, host: Host, needs: Needs): readonly number[] {
    assert(!this.#taken.has(taskId), 'a task takes room once', { taskId })
    const ports = host.ports.choose(needs.ports, this.#random)
    this.#take(taskId, this.#slots[host.slot]!, { needs, ports }, true)
    for (const { type } of NEED_KINDS) {
      assert(needs[type] <= 0 || host.free[type] >= 0, 'a hold never exceeds what is free', { taskId, type })
    }
    return ports
  }

  isTaken(taskId: TaskId): boolean {
    return this.#taken.has(taskId)
  }

  isHeld(taskId: TaskId): boolean {
    return this.#taken.get(taskId)?.isHold ?? false
  }

  /** True while exactly this room is held for the task. */
  isHeldFor(taskId: TaskId, agentId: AgentId, ports: readonly number[]): boolean {
    const taken = this.#taken.get(taskId)
    if (taken === undefined || !taken.isHold || taken.host.row.agentId !== agentId) return false
    return taken.ports.length === ports.length && ports.every(port => taken.ports.includes(port))
  }

  /** Where the task takes room, bound or held. */
  agentOf(taskId: TaskId): AgentId | undefined {
    return this.#taken.get(taskId)?.host.row.agentId
  }

  /** The task has ended, or its hold came to nothing. Unknown ids are ignored: they were on agents not known here. */
  release(taskId: TaskId): void {
    const taken = this.#taken.get(taskId)
    if (taken !== undefined) this.#drop(taskId, taken)
  }

  /** Throws when the book does not add up. For tests and after a doubtful step: it walks everything. */
  check(): void {
    const used = new Map<OwnHost, Amounts>()
    for (const host of this.#byAgent.values()) used.set(host, { cpusMilli: 0, ramMb: 0, diskMb: 0, ports: 0, gpus: 0 })
    let holds = 0
    for (const { host, needs, isHold } of this.#taken.values()) {
      const sum = used.get(host)
      assert(sum !== undefined, 'room is taken on known hosts only', { host: host.row.host })
      for (const { type } of NEED_KINDS) sum[type] += needs[type]
      if (isHold) holds++
    }
    assert(holds === this.#holds, 'holds are counted', { holds, counted: this.#holds })
    for (const [host, sum] of used) {
      for (const { type } of NEED_KINDS) {
        if (type === 'ports') continue
        assert(host.free[type] === host.total[type] - sum[type], 'free is total minus taken', {
          host: host.row.host,
          type,
          free: host.free[type],
          total: host.total[type],
          taken: sum[type],
        })
      }
    }
  }

  #insert(row: AgentRow): void {
    const ports = new PortSpace(row.portRanges)
    const total: Needs = { ...row.total, ports: ports.total }
    const host: OwnHost = {
      slot: this.#freeSlots.pop() ?? this.#slots.length,
      row,
      mode: row.mode,
      attributes: attributeSet(row.attributes),
      total,
      free: { ...total },
      ports,
      connected: false,
      factsVersion: ++this.#versions,
      changes: 1,
    }
    this.#slots[host.slot] = host
    this.#byAgent.set(row.agentId, host)
  }

  #take(taskId: TaskId, host: OwnHost, { needs, ports }: Claim, isHold: boolean): void {
    this.#taken.set(taskId, { host, needs, ports, isHold })
    if (isHold) this.#holds++
    for (const { type } of NEED_KINDS) host.free[type] -= needs[type]
    host.ports.use(ports)
    this.#changed(host, false)
  }

  #drop(taskId: TaskId, { host, needs, ports, isHold }: Taken, grows = true): void {
    this.#taken.delete(taskId)
    if (isHold) this.#holds--
    for (const { type } of NEED_KINDS) host.free[type] += needs[type]
    host.ports.release(ports)
    this.#changed(host, grows)
  }

  #changed(host: OwnHost, grows: boolean): void {
    // Ports outside the present ranges do not count, so this type is asked for, not summed.
    host.free.ports = host.ports.free
    host.changes++
    if (!host.connected) return
    this.candidates.changed(host)
    if (grows) this.grown.add(host.slot)
  }
}

function isSame(a: Claim, b: Claim): boolean {
  return (
    NEED_KINDS.every(({ type }) => a.needs[type] === b.needs[type]) &&
    a.ports.length === b.ports.length &&
    a.ports.every(port => b.ports.includes(port))
  )
}
