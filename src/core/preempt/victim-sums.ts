/**
 * What several tasks on one host take together, a line of eight numbers a host, side by side in one array: a search over
 * fifty thousand hosts reads one line of memory for each. Amounts are floats that hold integers.
 */
import type { Needs } from '../offers/needs.ts'

/** Lent cores are kept apart: they are no cores for a task that wants cores of its own, and the other way round. */
const FIELDS = { count: 0, priorityMin: 1, cpusMilli: 2, lentMilli: 3, ramMb: 4, diskMb: 5, ports: 6, gpus: 7 } as const
const WIDTH = 8
const LINES_INITIAL = 16

/** The amounts of a line are added here. */
export interface Amounts {
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
  #data = new Float64Array(LINES_INITIAL * WIDTH)

  count(line: number): number {
    return this.#data[line * WIDTH + FIELDS.count]!
  }

  /** Infinite when nobody has said. */
  priorityMin(line: number): number {
    return this.#data[line * WIDTH + FIELDS.priorityMin]!
  }

  setPriorityMin(line: number, priority: number): void {
    this.#data[line * WIDTH + FIELDS.priorityMin] = priority
  }

  /** Begins anew, also one that there was not. */
  clear(line: number): void {
    if ((line + 1) * WIDTH > this.#data.length) {
      const larger = new Float64Array(Math.max(2 * this.#data.length, (line + 1) * WIDTH))
      larger.set(this.#data)
      this.#data = larger
    }
    this.#data.fill(0, line * WIDTH, (line + 1) * WIDTH)
    this.setPriorityMin(line, Number.POSITIVE_INFINITY)
  }

  move(from: number, to: number): void {
    this.#data.copyWithin(to * WIDTH, from * WIDTH, (from + 1) * WIDTH)
  }

  add(line: number, { needs, isRevocable }: Summed, sign: 1 | -1): void {
    const data = this.#data
    const at = line * WIDTH
    data[at + FIELDS.count]! += sign
    data[at + (isRevocable ? FIELDS.lentMilli : FIELDS.cpusMilli)]! += sign * needs.cpusMilli
    data[at + FIELDS.ramMb]! += sign * needs.ramMb
    data[at + FIELDS.diskMb]! += sign * needs.diskMb
    data[at + FIELDS.ports]! += sign * needs.ports
    data[at + FIELDS.gpus]! += sign * needs.gpus
  }

  /** As a task sees it that wants lent cores, or cores of its own. */
  addTo(room: Amounts, line: number, isRevocable: boolean): void {
    const data = this.#data
    const at = line * WIDTH
    room.cpusMilli += data[at + (isRevocable ? FIELDS.lentMilli : FIELDS.cpusMilli)]!
    room.ramMb += data[at + FIELDS.ramMb]!
    room.diskMb += data[at + FIELDS.diskMb]!
    room.ports += data[at + FIELDS.ports]!
    room.gpus += data[at + FIELDS.gpus]!
  }
}

/** Tasks of one role that are alike in being preemptible or not: a line for each agent that has some, without gaps. */
export class PeerSums {
  readonly sums = new VictimSums()
  /** By line: the number of the agent. */
  readonly numbers: number[] = []
  readonly #lines = new Map<number, number>()

  /** -1: none is there. */
  lineOf(number: number): number {
    return this.#lines.get(number) ?? -1
  }

  lineFor(number: number): number {
    const known = this.#lines.get(number)
    if (known !== undefined) return known
    const line = this.numbers.push(number) - 1
    this.#lines.set(number, line)
    this.sums.clear(line)
    return line
  }

  drop(line: number): void {
    this.#lines.delete(this.numbers[line]!)
    const last = this.numbers.length - 1
    const moved = this.numbers.pop()!
    if (line === last) return
    this.numbers[line] = moved
    this.#lines.set(moved, line)
    this.sums.move(last, line)
  }
}
