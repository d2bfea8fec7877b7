/**
 * What hosts have and have left, one column per amount and one place per host slot: a pass over fifty thousand hosts
 * reads a few flat arrays and touches no object. Amounts are floats that hold integers, so nothing ever wraps.
 *
 * Only the offer book writes here.
 */
import type { Needs } from './needs.ts'

const SLOTS_INITIAL = 64

export class HostColumns {
  /** Places that exist; grows by doubling. */
  capacity = SLOTS_INITIAL
  cpusMilli = new Float64Array(SLOTS_INITIAL)
  ramMb = new Float64Array(SLOTS_INITIAL)
  diskMb = new Float64Array(SLOTS_INITIAL)
  ports = new Float64Array(SLOTS_INITIAL)
  gpus = new Float64Array(SLOTS_INITIAL)
  /** Thousandths of a core that are only lent: for revocable tasks alone. */
  revocableMilli = new Float64Array(SLOTS_INITIAL)
  /** 1 while the agent is connected. */
  connected = new Uint8Array(SLOTS_INITIAL)
  /** Index into MODES. */
  modes = new Uint8Array(SLOTS_INITIAL)
  /** 1 where somebody has claimed room, so that what is free depends on who asks. */
  claimed = new Uint8Array(SLOTS_INITIAL)
  /** When the machine is planned to be away, wall ms; infinite where nothing is planned. */
  awayFromMs = new Float64Array(SLOTS_INITIAL).fill(Number.POSITIVE_INFINITY)
  awayUntilMs = new Float64Array(SLOTS_INITIAL).fill(Number.POSITIVE_INFINITY)

  ensure(slot: number): void {
    if (slot < this.capacity) return
    let capacity = this.capacity
    while (slot >= capacity) capacity *= 2
    const floats = (old: Float64Array): Float64Array<ArrayBuffer> => {
      const larger = new Float64Array(capacity)
      larger.set(old)
      return larger
    }
    const bytes = (old: Uint8Array): Uint8Array<ArrayBuffer> => {
      const larger = new Uint8Array(capacity)
      larger.set(old)
      return larger
    }
    this.cpusMilli = floats(this.cpusMilli)
    this.ramMb = floats(this.ramMb)
    this.diskMb = floats(this.diskMb)
    this.ports = floats(this.ports)
    this.gpus = floats(this.gpus)
    this.revocableMilli = floats(this.revocableMilli)
    this.connected = bytes(this.connected)
    this.modes = bytes(this.modes)
    this.claimed = bytes(this.claimed)
    const before = this.capacity
    this.awayFromMs = floats(this.awayFromMs).fill(Number.POSITIVE_INFINITY, before)
    this.awayUntilMs = floats(this.awayUntilMs).fill(Number.POSITIVE_INFINITY, before)
    this.capacity = capacity
  }

  /** Whether one task fits; types that are not asked for do not matter. Claims are not looked at. */
  fits(slot: number, needs: Needs, isRevocable: boolean): boolean {
    const cpus = isRevocable ? this.revocableMilli : this.cpusMilli
    return (
      (needs.cpusMilli <= 0 || cpus[slot]! >= needs.cpusMilli) &&
      (needs.ramMb <= 0 || this.ramMb[slot]! >= needs.ramMb) &&
      (needs.diskMb <= 0 || this.diskMb[slot]! >= needs.diskMb) &&
      (needs.ports <= 0 || this.ports[slot]! >= needs.ports) &&
      (needs.gpus <= 0 || this.gpus[slot]! >= needs.gpus)
    )
  }

  /** How many tasks fit, at most `most`. Claims are not looked at. */
  times(slot: number, needs: Needs, isRevocable: boolean, most: number): number {
    if (!this.fits(slot, needs, isRevocable)) return 0
    if (most === 1) return 1
    let times = most
    const cpus = isRevocable ? this.revocableMilli : this.cpusMilli
    if (needs.cpusMilli > 0) times = Math.min(times, Math.floor(cpus[slot]! / needs.cpusMilli))
    if (needs.ramMb > 0) times = Math.min(times, Math.floor(this.ramMb[slot]! / needs.ramMb))
    if (needs.diskMb > 0) times = Math.min(times, Math.floor(this.diskMb[slot]! / needs.diskMb))
    if (needs.ports > 0) times = Math.min(times, Math.floor(this.ports[slot]! / needs.ports))
    if (needs.gpus > 0) times = Math.min(times, Math.floor(this.gpus[slot]! / needs.gpus))
    return times
  }

  /** Something that is asked for is less than nothing now. */
  isOverdrawn(slot: number, needs: Needs, isRevocable: boolean): boolean {
    const cpus = isRevocable ? this.revocableMilli : this.cpusMilli
    return (
      (needs.cpusMilli > 0 && cpus[slot]! < 0) ||
      (needs.ramMb > 0 && this.ramMb[slot]! < 0) ||
      (needs.diskMb > 0 && this.diskMb[slot]! < 0) ||
      (needs.ports > 0 && this.ports[slot]! < 0) ||
      (needs.gpus > 0 && this.gpus[slot]! < 0)
    )
  }

  /** The machine will be away within `thresholdMs`, or is by now, and not back yet. */
  isAway(slot: number, nowMs: number, thresholdMs: number): boolean {
    return nowMs > this.awayFromMs[slot]! - thresholdMs && nowMs < this.awayUntilMs[slot]!
  }

  /** Adds `sign` times the amounts. */
  change(slot: number, needs: Needs, isRevocable: boolean, sign: 1 | -1): void {
    if (isRevocable) this.revocableMilli[slot]! += sign * needs.cpusMilli
    else this.cpusMilli[slot]! += sign * needs.cpusMilli
    this.ramMb[slot]! += sign * needs.ramMb
    this.diskMb[slot]! += sign * needs.diskMb
    this.gpus[slot]! += sign * needs.gpus
  }
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
    return (this.#isRevocable ? this.#columns.revocableMilli : this.#columns.cpusMilli)[this.#slot]!
  }
  get ramMb(): number {
    return this.#columns.ramMb[this.#slot]!
  }
  get diskMb(): number {
    return this.#columns.diskMb[this.#slot]!
  }
  get ports(): number {
    return this.#columns.ports[this.#slot]!
  }
  get gpus(): number {
    return this.#columns.gpus[this.#slot]!
  }
}
