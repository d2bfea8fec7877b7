/**
 * What several tasks on one host take together, a row of eight numbers a host, side by side in one array: a search over
 * fifty thousand hosts reads one line of memory for each. Amounts are floats that hold integers.
 */
import type { Needs } from '../offers/needs.ts'

/** Lent cores are kept apart: they are no cores for a task that wants cores of its own, and the other way round. */
const FIELDS = { count: 0, priorityMin: 1, cpusMilli: 2, lentMilli: 3, ramMb: 4, diskMb: 5, ports: 6, gpus: 7 } as const
const WIDTH = 8
const ROWS_INITIAL = 16

/** The amounts of a row are added here. */
export interface Room {
  cpusMilli: number
  ramMb: number
  diskMb: number
  ports: number
  gpus: number
}

export interface Summed {
  readonly needs: Needs
  readonly isRevocable: boolean
}

export class VictimSums {
  #data = new Float64Array(ROWS_INITIAL * WIDTH)

  count(row: number): number {
    return this.#data[row * WIDTH + FIELDS.count]!
  }

  /** Infinite when nobody has said. */
  priorityMin(row: number): number {
    return this.#data[row * WIDTH + FIELDS.priorityMin]!
  }

  setPriorityMin(row: number, priority: number): void {
    this.#data[row * WIDTH + FIELDS.priorityMin] = priority
  }

  /** Begins anew, also one that there was not. */
  clear(row: number): void {
    if ((row + 1) * WIDTH > this.#data.length) {
      const larger = new Float64Array(Math.max(2 * this.#data.length, (row + 1) * WIDTH))
      larger.set(this.#data)
      this.#data = larger
    }
    this.#data.fill(0, row * WIDTH, (row + 1) * WIDTH)
    this.setPriorityMin(row, Number.POSITIVE_INFINITY)
  }

  move(from: number, to: number): void {
    this.#data.copyWithin(to * WIDTH, from * WIDTH, (from + 1) * WIDTH)
  }

  add(row: number, { needs, isRevocable }: Summed, sign: 1 | -1): void {
    const data = this.#data
    const at = row * WIDTH
    data[at + FIELDS.count]! += sign
    data[at + (isRevocable ? FIELDS.lentMilli : FIELDS.cpusMilli)]! += sign * needs.cpusMilli
    data[at + FIELDS.ramMb]! += sign * needs.ramMb
    data[at + FIELDS.diskMb]! += sign * needs.diskMb
    data[at + FIELDS.ports]! += sign * needs.ports
    data[at + FIELDS.gpus]! += sign * needs.gpus
  }

  /** As a task sees it that wants lent cores, or cores of its own. */
  addTo(room: Room, row: number, isRevocable: boolean): void {
    const data = this.#data
    const at = row * WIDTH
    room.cpusMilli += data[at + (isRevocable ? FIELDS.lentMilli : FIELDS.cpusMilli)]!
    room.ramMb += data[at + FIELDS.ramMb]!
    room.diskMb += data[at + FIELDS.diskMb]!
    room.ports += data[at + FIELDS.ports]!
    room.gpus += data[at + FIELDS.gpus]!
  }
}

/** Tasks of one role that are alike in being preemptible or not: sums for the places that have some, without gaps. */
export class PeerSums {
  readonly sums = new VictimSums()
  /** By row: the place it is about. */
  readonly places: number[] = []
  readonly #rows = new Map<number, number>()

  /** -1: none is there. */
  rowOf(place: number): number {
    return this.#rows.get(place) ?? -1
  }

  rowFor(place: number): number {
    const known = this.#rows.get(place)
    if (known !== undefined) return known
    const row = this.places.push(place) - 1
    this.#rows.set(place, row)
    this.sums.clear(row)
    return row
  }

  drop(row: number): void {
    this.#rows.delete(this.places[row]!)
    const last = this.places.length - 1
    const moved = this.places.pop()!
    if (row === last) return
    this.places[row] = moved
    this.#rows.set(moved, row)
    this.sums.move(last, row)
  }
}
