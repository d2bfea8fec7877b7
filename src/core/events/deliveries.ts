/**
 * Events on their way to a webhook, one page at a time. Those of one task go one after the other, each when the one before
 * was taken; those of different tasks go side by side. What is not taken is tried again for as long as it takes, with
 * growing pauses, and holds up nothing but its own task until the page is done.
 */

export interface Delivery {
  /** The id of the event. */
  readonly id: string
  /** What keeps its order: the task. */
  readonly lane: string
}

interface Lane<D> {
  readonly waiting: D[]
  isInFlight: boolean
  isPausing: boolean
  failures: number
}

export const DELIVERY_PAUSE_MS_MIN = 1_000
export const DELIVERY_PAUSE_MS_MAX = 60_000
/** At the same time. */
export const DELIVERIES_MAX = 8

/** Doubles with each failure in a row, from 1 s to a minute. */
export function deliveryPauseMs(failures: number): number {
  return Math.min(DELIVERY_PAUSE_MS_MAX, DELIVERY_PAUSE_MS_MIN * 2 ** Math.max(0, Math.min(failures, 30) - 1))
}

export class Deliveries<D extends Delivery> {
  readonly #lanes = new Map<string, Lane<D>>()
  #inFlight = 0

  constructor(deliveries: readonly D[]) {
    for (const delivery of deliveries) {
      const lane = this.#lanes.get(delivery.lane)
      if (lane !== undefined) lane.waiting.push(delivery)
      else this.#lanes.set(delivery.lane, { waiting: [delivery], isInFlight: false, isPausing: false, failures: 0 })
    }
  }

  /** Every one was taken. */
  get isDone(): boolean {
    return this.#lanes.size === 0
  }

  /** How many tasks have one that was refused and will be tried again. */
  get failing(): number {
    return [...this.#lanes.values()].filter(lane => lane.failures > 0).length
  }

  /** What to send now; it counts as being on its way from here on. */
  next(): D[] {
    const sent: D[] = []
    for (const lane of this.#lanes.values()) {
      if (this.#inFlight >= DELIVERIES_MAX) break
      const [first] = lane.waiting
      if (first === undefined || lane.isInFlight || lane.isPausing) continue
      lane.isInFlight = true
      this.#inFlight += 1
      sent.push(first)
    }
    return sent
  }

  taken({ lane: name }: D): void {
    const lane = this.#arrived(name)
    if (lane === null) return
    lane.failures = 0
    lane.waiting.shift()
    if (lane.waiting.length === 0) this.#lanes.delete(name)
  }

  /** Answers how long its lane pauses, ms; `resume` ends the pause. Null: it was not on its way. */
  failed({ lane: name }: D): number | null {
    const lane = this.#arrived(name)
    if (lane === null) return null
    lane.failures += 1
    lane.isPausing = true
    return deliveryPauseMs(lane.failures)
  }

  resume(name: string): void {
    const lane = this.#lanes.get(name)
    if (lane !== undefined) lane.isPausing = false
  }

  #arrived(name: string): Lane<D> | null {
    const lane = this.#lanes.get(name)
    if (lane === undefined || !lane.isInFlight) return null
    lane.isInFlight = false
    this.#inFlight -= 1
    return lane
  }
}
