/**
 * What every known agent can still take. For our own agents that is their total minus what is bound to them in the
 * store, minus what a round has chosen but not yet staged (holds). The store is the truth: a bound task counts even
 * where it overcommits the host, and free amounts are then negative until something ends. For an agent of a resource
 * manager it is what its offer says, minus holds; what is bound there the manager has taken off already.
 *
 * The book keeps amounts only. Who may go where is the matcher's business; who changes it is the matcher alone.
 * Source: the scheduling spec, sections 4 and 17, items D2, D6 to D8, D13.
 */
import { assert } from '../base/assert.ts'
import type { AgentId, TaskId } from '../base/ids.ts'
import type { Prng } from '../base/prng.ts'
import type { AgentRow, HostMode } from '../ledger/rows.ts'
import { type AttributeSet, attributeSet } from '../scheduling/constraints.ts'
import { AttributeColumns } from './attribute-columns.ts'
import { type CandidateOrder, candidateOrder, type OfferOrder, rankOf } from './candidate-order.ts'
import { ClaimBook } from './claim-book.ts'
import type { RoomClaim } from './claims.ts'
import { FreeAmounts, HostColumns } from './host-columns.ts'
import { NEED_KINDS, type Needs } from './needs.ts'
import { areSameRanges, type PortRanges, PortSpace } from './port-space.ts'

/** Read by everybody, changed by the book only. */
export interface Host {
  /** Dense number, reused after a removal. */
  readonly slot: number
  readonly row: AgentRow
  readonly mode: HostMode
  readonly attributes: AttributeSet
  readonly total: Needs
  /** As it is now: reading it later may tell something else. */
  readonly free: Needs
  /** The same for revocable tasks: lent cores, and everything else as it is. */
  readonly freeRevocable: Needs
  readonly ports: PortSpace
  readonly connected: boolean
  /** Thousandths of a core that are lent and free. */
  readonly revocableMilli: number
  /** Infinite where no time away is planned. */
  readonly awayFromMs: number
  /** Tasks that were chosen for it and are not staged yet. */
  readonly holds: number
  /** Rises with every change: the `n` of the offer id. */
  readonly changes: number
}
/** A class, because fifty thousand objects with an accessor of their own each are slow to make. */
class OwnHost implements Host {
  readonly slot: number
  row: AgentRow
  mode: HostMode
  attributes: AttributeSet
  total: Needs
  readonly free: Needs
  readonly freeRevocable: Needs
  readonly ports: PortSpace
  /** Of tasks that have ended since that offer came: as gone as the rest of what they took of it. */
  spentPorts: number[] = []
  readonly #columns: HostColumns

  constructor(slot: number, row: AgentRow, portRanges: PortRanges, columns: HostColumns) {
    this.slot = slot
    this.row = row
    this.mode = row.mode
    this.attributes = attributeSet(row.attributes)
    this.ports = new PortSpace(portRanges)
    this.total = { ...row.total, ports: this.ports.total }
    this.free = new FreeAmounts(columns, slot)
    this.freeRevocable = new FreeAmounts(columns, slot, true)
    this.#columns = columns
  }

  get connected(): boolean {
    return this.#columns.connected[this.slot] === 1
  }
  get revocableMilli(): number {
    return this.#columns.revocableMilli[this.slot]!
  }
  get awayFromMs(): number {
    return this.#columns.awayFromMs(this.slot)
  }
  get holds(): number {
    return this.#columns.holds(this.slot)
  }
  get changes(): number {
    return this.#columns.changes(this.slot)
  }
  /** Its room is what an offer says. */
  get isOffered(): boolean {
    return this.#columns.offered[this.slot] === 1
  }
}

/** What one task takes. */
export interface Claim {
  readonly needs: Needs
  readonly ports: readonly number[]
  /** Its cores are lent ones. */
  readonly isRevocable: boolean
}
interface Taken extends Claim {
  readonly slot: number
  isHold: boolean
}

/** What the offer of a resource manager holds. */
export interface OfferedRoom {
  readonly cpusMilli: number
  readonly ramMb: number
  readonly diskMb: number
  readonly gpus: number
  readonly revocableMilli: number
  readonly portRanges: PortRanges
}
const NOTHING: OfferedRoom = { cpusMilli: 0, ramMb: 0, diskMb: 0, gpus: 0, revocableMilli: 0, portRanges: [] }

const NO_PORTS: readonly number[] = []

const MODES: readonly HostMode[] = ['NONE', 'SCHEDULED', 'DRAINING', 'DRAINED']

export class OfferBook {
  readonly candidates: CandidateOrder
  readonly columns = new HostColumns()
  readonly attributes = new AttributeColumns(this.columns.capacity)
  readonly claims = new ClaimBook()
  /** Slots of hosts that have more to give than when this was last emptied. */
  readonly grown = new Set<number>()
  /** Rises when a host gets its slot or loses it: what is remembered by slot is out of date then. */
  slotChanges = 0
  readonly #slots: (OwnHost | undefined)[] = []
  /** By slot, beside the objects, so that whoever places a task there need not touch those. */
  readonly #agentIds: AgentId[] = []
  readonly #names: string[] = []
  readonly #freeSlots: number[] = []
  readonly #byAgent = new Map<AgentId, OwnHost>()
  readonly #taken = new Map<TaskId, Taken>()
  #lastRanges: PortRanges = []
  #holds = 0
  #connected = 0

  constructor(order: readonly OfferOrder[], random: Prng) {
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
  /** All slots are below it. */
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

  /** The agent of a slot that is in use. */
  agentAt(slot: number): AgentId {
    return this.#agentIds[slot]!
  }
  /** Name of the host in a slot that is in use. */
  nameAt(slot: number): string {
    return this.#names[slot]!
  }

  /** A new agent (not connected yet), or what has changed of a known one. */
  describe(row: AgentRow): void {
    const known = this.#byAgent.get(row.agentId)
    if (known === undefined) return this.#insert(row)
    const { slot } = known
    if (!isDeepEqual(known.row.attributes, row.attributes)) {
      known.attributes = attributeSet(row.attributes)
      this.attributes.set(slot, known.attributes)
    }
    const revocableBefore = known.row.revocable?.cpusMilli ?? 0
    known.row = row
    this.#names[slot] = row.host
    if (!known.isOffered) {
      known.ports.setRanges(this.#shared(row.portRanges))
      const total: Needs = { ...row.total, ports: known.ports.total }
      this.#addFree(slot, total, known.total)
      this.columns.revocableMilli[slot]! += (row.revocable?.cpusMilli ?? 0) - revocableBefore
      known.total = total
    }
    this.#noteMode(known)
    this.#changed(known, true)
  }

  /**
   * The room of an agent that belongs to a resource manager, from now on; null: nothing is offered now. `unlaunched`:
   * bound there by an offer before this one and to be launched with this one, so they take of it, as holds do.
   */
  setOffered(agentId: AgentId, room: OfferedRoom | null, unlaunched: readonly TaskId[]): void {
    const host = this.#byAgent.get(agentId)
    if (host === undefined) return
    this.columns.offered[host.slot] = 1
    host.ports.release(host.spentPorts)
    host.spentPorts = []
    const { cpusMilli, ramMb, diskMb, gpus, revocableMilli, portRanges } = room ?? NOTHING
    host.ports.setRanges(portRanges)
    host.total = { cpusMilli, ramMb, diskMb, gpus, ports: host.ports.total }
    const { columns } = this
    const { slot } = host
    columns.setFree(slot, host.total, revocableMilli)
    const takeOff = ({ needs, isRevocable }: Taken): void => columns.change(slot, needs, isRevocable, -1)
    if (host.holds > 0)
      for (const taken of this.#taken.values()) if (taken.slot === slot && taken.isHold) takeOff(taken)
    for (const id of unlaunched) {
      const taken = this.#taken.get(id)
      if (taken?.slot === slot && !taken.isHold) takeOff(taken)
    }
    this.#noteMode(host)
    this.#changed(host, room !== null)
  }

  /** The agent is gone for good. What was bound to it is forgotten with it, and so are the claims on it. */
  forget(agentId: AgentId): void {
    const host = this.#byAgent.get(agentId)
    if (host === undefined) return
    this.disconnect(agentId)
    for (const [taskId, taken] of this.#taken) if (taken.slot === host.slot) this.#drop(taskId, taken)
    for (const { id } of this.claims.onSlot(host.slot)) this.claims.remove(id)
    this.attributes.set(host.slot, new Map())
    this.#byAgent.delete(agentId)
    this.#slots[host.slot] = undefined
    this.slotChanges++
    this.#freeSlots.push(host.slot)
    this.grown.delete(host.slot)
  }

  connect(agentId: AgentId): void {
    const host = this.#byAgent.get(agentId)
    if (host === undefined || host.connected) return
    this.columns.connected[host.slot] = 1
    this.#connected++
    this.candidates.add(host)
    this.#changed(host, true)
  }

  disconnect(agentId: AgentId): void {
    const host = this.#byAgent.get(agentId)
    if (host === undefined || !host.connected) return
    this.columns.connected[host.slot] = 0
    this.#connected--
    this.candidates.remove(host)
    this.columns.countChange(host.slot)
  }

  /** The store has bound the task to the agent. Ignored where the agent is not known: its tasks are read when it is. */
  bind(taskId: TaskId, agentId: AgentId, claim: Claim): void {
    const taken = this.#taken.get(taskId)
    if (taken?.isHold && this.#agentIds[taken.slot] === agentId && isSame(taken, claim)) {
      // The usual end of a hold: the amounts stay as they are.
      taken.isHold = false
      this.#countHold(taken.slot, -1)
      return
    }
    const host = this.#byAgent.get(agentId)
    if (taken !== undefined) this.#drop(taskId, taken, taken.slot !== host?.slot)
    if (host !== undefined) this.#take(taskId, host.slot, claim, false)
  }

  /** A round has chosen the host; the ports are chosen here. Ends with `bind` or `release`. */
  hold(taskId: TaskId, slot: number, { needs, isRevocable }: Omit<Claim, 'ports'>, random: Prng): readonly number[] {
    assert(!this.#taken.has(taskId), 'a task takes room once', { taskId })
    const ports = needs.ports === 0 ? NO_PORTS : this.#slots[slot]!.ports.choose(needs.ports, random)
    this.#take(taskId, slot, { needs, ports, isRevocable }, true)
    assert(!this.columns.isOverdrawn(slot, needs, isRevocable), 'a hold never exceeds what is free', { taskId, slot })
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
    if (taken === undefined || !taken.isHold || this.#agentIds[taken.slot] !== agentId) return false
    return taken.ports.length === ports.length && ports.every(port => taken.ports.includes(port))
  }

  /** Where the task takes room, bound or held. */
  agentOf(taskId: TaskId): AgentId | undefined {
    const taken = this.#taken.get(taskId)
    return taken === undefined ? undefined : this.#agentIds[taken.slot]
  }

  /** The task has ended, or its hold came to nothing. Unknown ids are ignored: they were on agents not known here. */
  release(taskId: TaskId): void {
    const taken = this.#taken.get(taskId)
    if (taken !== undefined) this.#drop(taskId, taken)
  }

  /** False when the agent is not known here. */
  claim(claim: RoomClaim): boolean {
    const host = this.#byAgent.get(claim.agentId)
    if (host === undefined) return false
    const elsewhere = this.claims.add(claim, host.slot)
    if (elsewhere !== null) this.#unclaimed(elsewhere)
    this.columns.claimed[host.slot] = 1
    this.columns.countChange(host.slot)
    return true
  }

  /** False when there is no such claim (any more). */
  unclaim(id: string): boolean {
    const slot = this.claims.remove(id)
    if (slot === null) return false
    this.#unclaimed(slot)
    return true
  }

  #unclaimed(slot: number): void {
    this.columns.claimed[slot] = this.claims.onSlot(slot).length > 0 ? 1 : 0
    this.#changed(this.#slots[slot]!, true)
  }

  /** Throws when the book does not add up. For tests and after a doubtful step: it walks everything. */
  check(): void {
    const used = new Map<OwnHost, { [K in keyof Needs | 'revocableMilli']: number }>()
    for (const host of this.#byAgent.values())
      used.set(host, { cpusMilli: 0, ramMb: 0, diskMb: 0, ports: 0, gpus: 0, revocableMilli: 0 })
    let holds = 0
    for (const { slot, needs, isHold, isRevocable } of this.#taken.values()) {
      if (isHold) holds++
      const host = this.#slots[slot]
      assert(host !== undefined, 'room is taken on known hosts only', { slot })
      if (host.isOffered && !isHold) continue
      const sum = used.get(host)
      assert(sum !== undefined, 'room is taken on known hosts only', { host: host.row.host })
      for (const { type } of NEED_KINDS) {
        if (isRevocable && type === 'cpusMilli') sum.revocableMilli += needs.cpusMilli
        else sum[type] += needs[type]
      }
    }
    assert(holds === this.#holds, 'holds are counted', { holds, counted: this.#holds })
    for (const [host, sum] of used) {
      if (host.isOffered) continue
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
      const lent = (host.row.revocable?.cpusMilli ?? 0) - sum.revocableMilli
      assert(host.revocableMilli === lent, 'free lent cores are those lent minus those taken', { host: host.row.host })
    }
  }

  /** Nearly all hosts of a cluster give out the same ports: they share one list, which is then always at hand. */
  #shared(ranges: PortRanges): PortRanges {
    if (!areSameRanges(ranges, this.#lastRanges)) this.#lastRanges = ranges
    return this.#lastRanges
  }

  #insert(row: AgentRow): void {
    const slot = this.#freeSlots.pop() ?? this.#slots.length
    const { columns } = this
    columns.ensure(slot)
    this.attributes.ensure(columns.capacity)
    const host = new OwnHost(slot, row, this.#shared(row.portRanges), columns)
    columns.begin(slot, host.total, row.revocable?.cpusMilli ?? 0)
    this.attributes.set(slot, host.attributes)
    this.#slots[slot] = host
    this.#agentIds[slot] = row.agentId
    this.#names[slot] = row.host
    this.slotChanges++
    this.#byAgent.set(row.agentId, host)
    this.#noteMode(host)
  }

  /** Mode, time away and GPUs: what its rank follows from. */
  #noteMode(host: OwnHost): void {
    const { columns } = this
    const { slot } = host
    const { mode, unavailability } = host.row
    host.mode = mode
    columns.modes[slot] = MODES.indexOf(mode)
    columns.setAway(
      slot,
      unavailability?.fromMs ?? Number.POSITIVE_INFINITY,
      unavailability?.untilMs ?? Number.POSITIVE_INFINITY,
    )
    columns.ranks[slot] = rankOf(host)
  }

  #addFree(slot: number, after: Needs, before: Needs): void {
    this.columns.change(slot, before, false, -1)
    this.columns.change(slot, after, false, 1)
  }

  #take(taskId: TaskId, slot: number, { needs, ports, isRevocable }: Claim, isHold: boolean): void {
    this.#taken.set(taskId, { slot, needs, ports, isRevocable, isHold })
    if (isHold) this.#countHold(slot, 1)
    if (isHold || this.columns.offered[slot] === 0) this.columns.change(slot, needs, isRevocable, -1)
    if (ports.length > 0) {
      const space = this.#slots[slot]!.ports
      space.use(ports)
      this.columns.setFreePorts(slot, space.free)
    }
    this.#amountsChanged(slot, false)
  }

  #drop(taskId: TaskId, { slot, needs, ports, isRevocable, isHold }: Taken, grows = true): void {
    this.#taken.delete(taskId)
    if (isHold) this.#countHold(slot, -1)
    // What was accepted of an offer does not come back with the task, but with the next offer.
    const returns = isHold || this.columns.offered[slot] === 0
    if (returns) this.columns.change(slot, needs, isRevocable, 1)
    if (ports.length > 0) {
      const host = this.#slots[slot]!
      if (returns) host.ports.release(ports)
      else host.spentPorts.push(...ports)
      this.columns.setFreePorts(slot, host.ports.free)
    }
    this.#amountsChanged(slot, grows && returns)
  }

  #countHold(slot: number, by: 1 | -1): void {
    this.#holds += by
    this.columns.countHold(slot, by)
  }

  #changed(host: OwnHost, grows: boolean): void {
    const { slot } = host
    // Ports outside the present ranges do not count, so this type is asked for, not summed.
    this.columns.setFreePorts(slot, host.ports.free)
    this.columns.countChange(slot)
    if (this.columns.connected[slot] === 0) return
    this.candidates.changed(host)
    if (grows) this.grown.add(slot)
  }

  /** What a placement changes: the host as an object is touched only where its amounts give it its place in the order. */
  #amountsChanged(slot: number, grows: boolean): void {
    this.columns.countChange(slot)
    if (this.columns.connected[slot] === 0) return
    if (this.candidates.isByAmounts) this.candidates.changed(this.#slots[slot]!)
    if (grows) this.grown.add(slot)
  }
}

function isDeepEqual(a: AgentRow['attributes'], b: AgentRow['attributes']): boolean {
  return a === b || JSON.stringify(a) === JSON.stringify(b)
}

function isSame(a: Claim, b: Claim): boolean {
  return (
    a.isRevocable === b.isRevocable &&
    (a.needs === b.needs || NEED_KINDS.every(({ type }) => a.needs[type] === b.needs[type])) &&
    a.ports.length === b.ports.length &&
    a.ports.every(port => b.ports.includes(port))
  )
}
