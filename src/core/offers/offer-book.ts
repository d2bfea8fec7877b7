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
import { type CandidateOrder, candidateOrder, type OfferOrder } from './candidate-order.ts'
import { ClaimBook } from './claim-book.ts'
import type { RoomClaim } from './claims.ts'
import { FreeAmounts, HostColumns } from './host-columns.ts'
import { NEED_KINDS, type Needs } from './needs.ts'
import { type PortRanges, PortSpace } from './port-space.ts'

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
  connected = false
  awayFromMs = Number.POSITIVE_INFINITY
  holds = 0
  changes = 1
  /** Its room is what an offer says. */
  isOffered = false
  /** Of tasks that have ended since that offer came: as gone as the rest of what they took of it. */
  spentPorts: number[] = []
  readonly #columns: HostColumns

  constructor(slot: number, row: AgentRow, columns: HostColumns) {
    this.slot = slot
    this.row = row
    this.mode = row.mode
    this.attributes = attributeSet(row.attributes)
    this.ports = new PortSpace(row.portRanges)
    this.total = { ...row.total, ports: this.ports.total }
    this.free = new FreeAmounts(columns, slot)
    this.freeRevocable = new FreeAmounts(columns, slot, true)
    this.#columns = columns
  }

  get revocableMilli(): number {
    return this.#columns.revocableMilli[this.slot]!
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
  readonly host: OwnHost
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
  readonly #freeSlots: number[] = []
  readonly #byAgent = new Map<AgentId, OwnHost>()
  readonly #taken = new Map<TaskId, Taken>()
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
    this.#noteMode(known)
    if (!known.isOffered) {
      known.ports.setRanges(row.portRanges)
      const total: Needs = { ...row.total, ports: known.ports.total }
      this.#addFree(slot, total, known.total)
      this.columns.revocableMilli[slot]! += (row.revocable?.cpusMilli ?? 0) - revocableBefore
      known.total = total
    }
    this.#changed(known, true)
  }

  /**
   * The room of an agent that belongs to a resource manager, from now on; null: nothing is offered now. `unlaunched`:
   * bound there by an offer before this one and to be launched with this one, so they take of it, as holds do.
   */
  setOffered(agentId: AgentId, room: OfferedRoom | null, unlaunched: readonly TaskId[]): void {
    const host = this.#byAgent.get(agentId)
    if (host === undefined) return
    host.isOffered = true
    host.ports.release(host.spentPorts)
    host.spentPorts = []
    const { cpusMilli, ramMb, diskMb, gpus, revocableMilli, portRanges } = room ?? NOTHING
    host.ports.setRanges(portRanges)
    host.total = { cpusMilli, ramMb, diskMb, gpus, ports: host.ports.total }
    const { columns } = this
    const { slot } = host
    columns.cpusMilli[slot] = cpusMilli
    columns.ramMb[slot] = ramMb
    columns.diskMb[slot] = diskMb
    columns.gpus[slot] = gpus
    columns.revocableMilli[slot] = revocableMilli
    const takeOff = ({ needs, isRevocable }: Taken): void => columns.change(slot, needs, isRevocable, -1)
    if (host.holds > 0)
      for (const taken of this.#taken.values()) if (taken.host === host && taken.isHold) takeOff(taken)
    for (const id of unlaunched) {
      const taken = this.#taken.get(id)
      if (taken?.host === host && !taken.isHold) takeOff(taken)
    }
    this.#changed(host, room !== null)
  }

  /** The agent is gone for good. What was bound to it is forgotten with it, and so are the claims on it. */
  forget(agentId: AgentId): void {
    const host = this.#byAgent.get(agentId)
    if (host === undefined) return
    this.disconnect(agentId)
    for (const [taskId, taken] of this.#taken) if (taken.host === host) this.#drop(taskId, taken)
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
    host.connected = true
    this.columns.connected[host.slot] = 1
    this.#connected++
    this.candidates.add(host)
    this.#changed(host, true)
  }

  disconnect(agentId: AgentId): void {
    const host = this.#byAgent.get(agentId)
    if (host === undefined || !host.connected) return
    host.connected = false
    this.columns.connected[host.slot] = 0
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
      taken.isHold = false
      this.#countHold(taken.host, -1)
      return
    }
    if (taken !== undefined) this.#drop(taskId, taken, taken.host !== host)
    if (host !== undefined) this.#take(taskId, host, claim, false)
  }

  /** A round has chosen the host; the ports are chosen here. Ends with `bind` or `release`. */
  hold(taskId: TaskId, { slot }: Host, { needs, isRevocable }: Omit<Claim, 'ports'>, random: Prng): readonly number[] {
    assert(!this.#taken.has(taskId), 'a task takes room once', { taskId })
    const host = this.#slots[slot]!
    const ports = host.ports.choose(needs.ports, random)
    this.#take(taskId, host, { needs, ports, isRevocable }, true)
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

  /** False when the agent is not known here. */
  claim(claim: RoomClaim): boolean {
    const host = this.#byAgent.get(claim.agentId)
    if (host === undefined) return false
    const elsewhere = this.claims.add(claim, host.slot)
    if (elsewhere !== null) this.#unclaimed(elsewhere)
    this.columns.claimed[host.slot] = 1
    host.changes++
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
    for (const { host, needs, isHold, isRevocable } of this.#taken.values()) {
      if (isHold) holds++
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

  #insert(row: AgentRow): void {
    const slot = this.#freeSlots.pop() ?? this.#slots.length
    const { columns } = this
    columns.ensure(slot)
    this.attributes.ensure(columns.capacity)
    const host = new OwnHost(slot, row, columns)
    const { total } = host
    columns.cpusMilli[slot] = total.cpusMilli
    columns.ramMb[slot] = total.ramMb
    columns.diskMb[slot] = total.diskMb
    columns.gpus[slot] = total.gpus
    columns.ports[slot] = total.ports
    columns.revocableMilli[slot] = row.revocable?.cpusMilli ?? 0
    columns.connected[slot] = 0
    columns.claimed[slot] = 0
    this.attributes.set(slot, host.attributes)
    this.#slots[slot] = host
    this.slotChanges++
    this.#byAgent.set(row.agentId, host)
    this.#noteMode(host)
  }

  #noteMode(host: OwnHost): void {
    const { mode, unavailability } = host.row
    host.mode = mode
    host.awayFromMs = unavailability?.fromMs ?? Number.POSITIVE_INFINITY
    this.columns.modes[host.slot] = MODES.indexOf(mode)
    this.columns.awayFromMs[host.slot] = host.awayFromMs
    this.columns.awayUntilMs[host.slot] = unavailability?.untilMs ?? Number.POSITIVE_INFINITY
  }

  #addFree(slot: number, after: Needs, before: Needs): void {
    this.columns.change(slot, before, false, -1)
    this.columns.change(slot, after, false, 1)
  }

  #take(taskId: TaskId, host: OwnHost, { needs, ports, isRevocable }: Claim, isHold: boolean): void {
    this.#taken.set(taskId, { host, needs, ports, isRevocable, isHold })
    if (isHold) this.#countHold(host, 1)
    if (isHold || !host.isOffered) this.columns.change(host.slot, needs, isRevocable, -1)
    host.ports.use(ports)
    this.#changed(host, false)
  }

  #drop(taskId: TaskId, { host, needs, ports, isRevocable, isHold }: Taken, grows = true): void {
    this.#taken.delete(taskId)
    if (isHold) this.#countHold(host, -1)
    // What was accepted of an offer does not come back with the task, but with the next offer.
    const returns = isHold || !host.isOffered
    if (returns) this.columns.change(host.slot, needs, isRevocable, 1)
    if (returns) host.ports.release(ports)
    else host.spentPorts.push(...ports)
    this.#changed(host, grows && returns)
  }

  #countHold(host: OwnHost, by: 1 | -1): void {
    this.#holds += by
    host.holds += by
  }

  #changed(host: OwnHost, grows: boolean): void {
    // Ports outside the present ranges do not count, so this type is asked for, not summed.
    this.columns.ports[host.slot] = host.ports.free
    host.changes++
    if (!host.connected) return
    this.candidates.changed(host)
    if (grows) this.grown.add(host.slot)
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
