/**
 * What hosts have and have left, by host slot, in flat arrays: a walk over fifty thousand hosts touches no object. What a
 * walk reads of every host lies together, a row of eight places each, because a walk in random order fetches each host
 * from memory and pays for every line of it; what it seldom asks for has a column of its own. Amounts are floats that hold
 * integers, so nothing ever wraps.
 *
 * Only the offer book writes here.
 */
import type { Needs, NeedType } from './needs.ts'

const SLOTS_INITIAL = 64

/** Places of a row: 64 bytes, which is what a processor fetches at once. */
const ROW = 8
// The amounts come first, in the order of NEED_KINDS.
const CPUS = 0
const RAM = 1
const DISK = 2
const PORTS = 3
const GPUS = 4
const AWAY_FROM = 5
const HOLDS = 6
const CHANGES = 7
const PLACES: Readonly<Record<NeedType, number>> = {
  cpusMilli: CPUS,
  ramMb: RAM,
  diskMb: DISK,
  ports: PORTS,
  gpus: GPUS,
}

export class HostColumns {
  /** Places that exist; grows by doubling. */
  capacity = SLOTS_INITIAL
  #rows = new Float64Array(SLOTS_INITIAL * ROW)
  /** Thousandths of a core that are only lent: for revocable tasks alone. */
  revocableMilli = new Float64Array(SLOTS_INITIAL)
  awayUntilMs = new Float64Array(SLOTS_INITIAL)
  /** 1 while the agent is connected. */
  connected = new Uint8Array(SLOTS_INITIAL)
  /** Index into MODES. */
  modes = new Uint8Array(SLOTS_INITIAL)
  /** 1 where somebody has claimed room, so that what is free depends on who asks. */
  claimed = new Uint8Array(SLOTS_INITIAL)
  /** 1 where the room is what an offer of a resource manager says. */
  offered = new Uint8Array(SLOTS_INITIAL)
  /** `rankOf` the host. */
  ranks = new Uint8Array(SLOTS_INITIAL)

  ensure(slot: number): void {
    if (slot < this.capacity) return
    let capacity = this.capacity
    while (slot >= capacity) capacity *= 2
    this.#rows = floats(this.#rows, capacity * ROW)
    this.revocableMilli = floats(this.revocableMilli, capacity)
    this.awayUntilMs = floats(this.awayUntilMs, capacity)
    this.connected = bytes(this.connected, capacity)
    this.modes = bytes(this.modes, capacity)
    this.claimed = bytes(this.claimed, capacity)
    this.offered = bytes(this.offered, capacity)
    this.ranks = bytes(this.ranks, capacity)
    this.capacity = capacity
  }

  /** A host that is new in the slot: nothing of it is taken, and it is not connected. */
  begin(slot: number, total: Needs, revocableMilli: number): void {
    this.setFree(slot, total, revocableMilli)
    this.#rows[slot * ROW + HOLDS] = 0
    this.#rows[slot * ROW + CHANGES] = 1
    this.connected[slot] = 0
    this.claimed[slot] = 0
    this.offered[slot] = 0
  }

  setFree(slot: number, free: Needs, revocableMilli: number): void {
    const rows = this.#rows
    const at = slot * ROW
    rows[at + CPUS] = free.cpusMilli
    rows[at + RAM] = free.ramMb
    rows[at + DISK] = free.diskMb
    rows[at + PORTS] = free.ports
    rows[at + GPUS] = free.gpus
    this.revocableMilli[slot] = revocableMilli
  }

  /** What is free of one kind; `isRevocable`: as a revocable task sees it. */
  free(slot: number, kind: NeedType, isRevocable = false): number {
    return isRevocable && kind === 'cpusMilli' ? this.revocableMilli[slot]! : this.#rows[slot * ROW + PLACES[kind]]!
  }

  /** The same by index into NEED_KINDS, as a look at very many hosts wants it. */
  freeOfNth(slot: number, nth: number): number {
    return this.#rows[slot * ROW + nth]!
  }

  setFreePorts(slot: number, ports: number): void {
    this.#rows[slot * ROW + PORTS] = ports
  }

  /** When the machine is planned to be away, wall ms; infinite where nothing is planned. */
  awayFromMs(slot: number): number {
    return this.#rows[slot * ROW + AWAY_FROM]!
  }

  setAway(slot: number, fromMs: number, untilMs: number): void {
    this.#rows[slot * ROW + AWAY_FROM] = fromMs
    this.awayUntilMs[slot] = untilMs
  }

  /** Tasks that were chosen for it and are not staged yet. */
  holds(slot: number): number {
    return this.#rows[slot * ROW + HOLDS]!
  }

  countHold(slot: number, by: 1 | -1): void {
    this.#rows[slot * ROW + HOLDS]! += by
  }

  /** How often something of the host has changed. */
  changes(slot: number): number {
    return this.#rows[slot * ROW + CHANGES]!
  }

  countChange(slot: number): void {
    this.#rows[slot * ROW + CHANGES]!++
  }

  /** Whether one task fits; types that are not asked for do not matter. Claims are not looked at. */
  fits(slot: number, needs: Needs, isRevocable: boolean): boolean {
    const rows = this.#rows
    const at = slot * ROW
    return (
      (needs.cpusMilli <= 0 || (isRevocable ? this.revocableMilli[slot]! : rows[at + CPUS]!) >= needs.cpusMilli) &&
      (needs.ramMb <= 0 || rows[at + RAM]! >= needs.ramMb) &&
      (needs.diskMb <= 0 || rows[at + DISK]! >= needs.diskMb) &&
      (needs.ports <= 0 || rows[at + PORTS]! >= needs.ports) &&
      (needs.gpus <= 0 || rows[at + GPUS]! >= needs.gpus)
    )
  }

  /** How many tasks fit, at most `most`. Claims are not looked at. */
  times(slot: number, needs: Needs, isRevocable: boolean, most: number): number {
    if (!this.fits(slot, needs, isRevocable)) return 0
    if (most === 1) return 1
    const rows = this.#rows
    const at = slot * ROW
    const cpus = isRevocable ? this.revocableMilli[slot]! : rows[at + CPUS]!
    let times = most
    if (needs.cpusMilli > 0) times = Math.min(times, Math.floor(cpus / needs.cpusMilli))
    if (needs.ramMb > 0) times = Math.min(times, Math.floor(rows[at + RAM]! / needs.ramMb))
    if (needs.diskMb > 0) times = Math.min(times, Math.floor(rows[at + DISK]! / needs.diskMb))
    if (needs.ports > 0) times = Math.min(times, Math.floor(rows[at + PORTS]! / needs.ports))
    if (needs.gpus > 0) times = Math.min(times, Math.floor(rows[at + GPUS]! / needs.gpus))
    return times
  }

  /** Something that is asked for is less than nothing now. */
  isOverdrawn(slot: number, needs: Needs, isRevocable: boolean): boolean {
    const rows = this.#rows
    const at = slot * ROW
    return (
      (needs.cpusMilli > 0 && (isRevocable ? this.revocableMilli[slot]! : rows[at + CPUS]!) < 0) ||
      (needs.ramMb > 0 && rows[at + RAM]! < 0) ||
      (needs.diskMb > 0 && rows[at + DISK]! < 0) ||
      (needs.ports > 0 && rows[at + PORTS]! < 0) ||
      (needs.gpus > 0 && rows[at + GPUS]! < 0)
    )
  }

  /** The machine will be away within `thresholdMs`, or is by now, and not back yet. */
  isAway(slot: number, nowMs: number, thresholdMs: number): boolean {
    const fromMs = this.#rows[slot * ROW + AWAY_FROM]!
    return fromMs < Number.POSITIVE_INFINITY && nowMs > fromMs - thresholdMs && nowMs < this.awayUntilMs[slot]!
  }

  /** Adds `sign` times the amounts; ports are set, not summed. */
  change(slot: number, needs: Needs, isRevocable: boolean, sign: 1 | -1): void {
    const rows = this.#rows
    const at = slot * ROW
    if (isRevocable) this.revocableMilli[slot]! += sign * needs.cpusMilli
    else rows[at + CPUS]! += sign * needs.cpusMilli
    rows[at + RAM]! += sign * needs.ramMb
    rows[at + DISK]! += sign * needs.diskMb
    rows[at + GPUS]! += sign * needs.gpus
  }
}

function floats(old: Float64Array, length: number): Float64Array<ArrayBuffer> {
  const larger = new Float64Array(length)
  larger.set(old)
  return larger
}

function bytes(old: Uint8Array, length: number): Uint8Array<ArrayBuffer> {
  const larger = new Uint8Array(length)
  larger.set(old)
  return larger
}

/** What is free on one host, read from the columns: always as it is now. */
export class FreeAmounts implements Needs {
  readonly #columns: HostColumns
  readonly #slot: number
  readonly #isRevocable: boolean

  /** `isRevocable`: as a revocable task sees it, lent cores and everything else as it is. */
  constructor(columns: HostColumns, slot: number, isRevocable = false) {
    this.#columns = columns
    this.#slot = slot
    this.#isRevocable = isRevocable
  }

  get cpusMilli(): number {
    return this.#columns.free(this.#slot, 'cpusMilli', this.#isRevocable)
  }
  get ramMb(): number {
    return this.#columns.free(this.#slot, 'ramMb')
  }
  get diskMb(): number {
    return this.#columns.free(this.#slot, 'diskMb')
  }
  get ports(): number {
    return this.#columns.free(this.#slot, 'ports')
  }
  get gpus(): number {
    return this.#columns.free(this.#slot, 'gpus')
  }
}
