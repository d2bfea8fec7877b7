/**
 * Answers to requests whose effect is in memory alone, kept for a while, so that a client that asks again because it heard
 * nothing gets the first answer and the thing is not done twice.
 */
import { type Rejection, rejected } from '../../core/base/rejection.ts'
import type { Ref } from '../actor.ts'

const KEPT_MAX = 100

interface Known<A> {
  readonly fingerprint: string
  readonly waiting: Ref<A | Rejection>[]
  answer: A | Rejection | null
}

export interface AskedOnce<A> {
  readonly requestId: string
  readonly fingerprint: string
  readonly replyTo: Ref<A | Rejection>
}

export class RequestAnswers<A> {
  readonly #known = new Map<string, Known<A>>()

  /** False: it was asked before, and is or will be answered with the first one. */
  isNew({ requestId, fingerprint, replyTo }: AskedOnce<A>): boolean {
    const known = this.#known.get(requestId)
    if (known === undefined) {
      this.#known.set(requestId, { fingerprint, waiting: [replyTo], answer: null })
      return true
    }
    if (known.fingerprint !== fingerprint) {
      replyTo.tell(rejected('INVALID_REQUEST', `Request id ${requestId} was used before, for another request`))
    } else if (known.answer === null) known.waiting.push(replyTo)
    else replyTo.tell(known.answer)
    return false
  }

  answered(requestId: string, answer: A | Rejection): void {
    const known = this.#known.get(requestId)
    if (known === undefined) return
    known.answer = answer
    for (const ref of known.waiting.splice(0)) ref.tell(answer)
    for (const [id, one] of this.#known) {
      if (this.#known.size <= KEPT_MAX) break
      if (one.answer !== null) this.#known.delete(id)
    }
  }
}
