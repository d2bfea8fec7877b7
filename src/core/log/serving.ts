/**
 * Whom a member answers that is asked for entries or rows, and when. Whoever asks has nothing to lose by waiting, but the
 * one who answers may be the leader, on the thread that its appends go through. So of each member the last question counts
 * (it waits for that answer only), members take turns, and after each answer there is a pause: in proportion to the time
 * it took, so that answers never have more than a quarter of the thread, and to its bytes. A member that asks in a tight
 * loop gets what one that asks in good order gets.
 */
export interface Question {
  readonly from: { readonly memberId: number }
}

/** For one part of work, three of rest. */
const REST_PER_WORK = 3
/** A page that took long is waited for by somebody who gives up after two seconds. */
const REST_FOR_WORK_MS_MAX = 250
/** Questions that find nothing are not for free. */
const REST_MS_MIN = 2

export class Serving<Q extends Question> {
  readonly #bytesPerMs: number
  /** In the order of their turns. */
  readonly #waiting = new Map<number, Q>()
  #isResting = false
  #superseded = 0

  constructor(bytesPerMs: number) {
    this.#bytesPerMs = bytesPerMs
  }

  get waiting(): number {
    return this.#waiting.size
  }
  /** Questions that were followed by another one of their member before their turn came. */
  get superseded(): number {
    return this.#superseded
  }

  /** Takes the place of an earlier one of the same member, and keeps its turn. */
  ask(question: Q): void {
    const { memberId } = question.from
    if (this.#waiting.has(memberId)) this.#superseded++
    this.#waiting.set(memberId, question)
  }

  /** What is to be answered now, if anything. `answered` must follow. */
  next(): Q | null {
    if (this.#isResting) return null
    for (const [memberId, question] of this.#waiting) {
      this.#waiting.delete(memberId)
      this.#isResting = true
      return question
    }
    return null
  }

  /** How long to rest before `rested`. */
  answered(bytes: number, tookMs: number): number {
    return Math.max(REST_MS_MIN, bytes / this.#bytesPerMs, Math.min(tookMs * REST_PER_WORK, REST_FOR_WORK_MS_MAX))
  }

  rested(): void {
    this.#isResting = false
  }
}
