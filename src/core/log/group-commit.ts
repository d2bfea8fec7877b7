/**
 * When waiting appends become a batch. What a batch costs hardly depends on how much is in it, so few large ones are wanted;
 * but a batch that is cut whenever the own disk is free divides writers that wait for their answers into two halves which
 * follow each other for ever, each with a batch of its own. So a batch is held while it will soon be a larger one: until
 * what is in flight is committed, and then until as many appends have come as were just answered, for whoever was answered
 * often goes on at once. It is never held for longer than the last batch took to reach the own disk, and where waiting for
 * new appends does not pay, because writers do not wait for their answers, it is seldom tried. A quorum that is farther away
 * than the own disk is slow does not hold a batch: then batches follow each other before they are committed. Nobody who is
 * alone waits at all.
 */

/** However slow the disk is. */
export const HOLD_MS_MAX = 20
/** So many appends are a large batch by themselves: twice as many would cost each of them little less. */
export const WORTH_HOLDING_MAX = 256
/** Answers that are not waited for after fruitless waits: doubled each time, up to this. */
const PASSES_MAX = 64

/** Of the appends that wait now. */
export interface Waiting {
  readonly queued: number
  /** A batch has not reached the own disk yet, or not yet a quorum. */
  readonly isFlushing: boolean
  readonly isCommitted: boolean
}

export class GroupCommit {
  /** What the last batch took to reach the own disk. */
  #holdMs = 0
  #untilMs = 0
  /** How many have just been answered, and how many wait once as many have come. */
  #answered = 0
  #whenQueued = 0
  /** How many answers are still to be passed over, and how many will be after the next fruitless wait. */
  #passes = 0
  #passesNext = 1

  /** A batch has reached the own disk. */
  flushed(tookMs: number, nowMs: number): void {
    this.#holdMs = Math.min(HOLD_MS_MAX, tookMs)
    this.#untilMs = nowMs + this.#holdMs
  }

  /** So many appends are answered now, while `queued` others wait. */
  committed(answered: number, queued: number, nowMs: number): void {
    this.#untilMs = nowMs + this.#holdMs
    this.#answered = answered
    this.#whenQueued = queued + answered
    if (this.#passes === 0) return
    this.#passes--
    this.#whenQueued = 0
  }

  /** For how long those that wait are to be held, ms; 0: they are a batch now; infinite: until something has happened. */
  heldMs({ queued, isFlushing, isCommitted }: Waiting, nowMs: number): number {
    if (isFlushing) return Number.POSITIVE_INFINITY
    if (queued >= WORTH_HOLDING_MAX || (isCommitted && queued >= this.#whenQueued)) return 0
    return Math.max(0, this.#untilMs - nowMs)
  }

  /** `queued` appends are a batch now. */
  cut(queued: number): void {
    if (this.#whenQueued === 0) return
    const missing = Math.max(0, this.#whenQueued - queued)
    const isFruitless = missing * 2 > this.#answered
    if (isFruitless) this.#passes = this.#passesNext
    this.#passesNext = isFruitless ? Math.min(this.#passesNext * 2, PASSES_MAX) : 1
    this.#whenQueued = 0
  }
}
