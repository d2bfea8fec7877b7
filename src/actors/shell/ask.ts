/**
 * Asking: a question goes out with a ref for its answer, and one entry in the shared timer queue bounds the wait.
 * Numbers come from a counter, so that runs can be repeated. An answer after the end of the wait is a dead letter.
 */
import type { Ref } from '../actor.ts'
import { ActorRef, QuestionEnvelope } from './cell.ts'
import type { Kernel } from './kernel.ts'
import { TimerEntry } from './timer-queue.ts'

/** `answered` carries the answer; the others say why there is none. */
export type AskEnd<A> =
  | { readonly type: 'answered'; readonly answer: A }
  /** Nothing came in time; the question may still have been acted upon. */
  | { readonly type: 'timedOut' }
  /** The asked actor ended, or had ended, without reading the question. */
  | { readonly type: 'gone' }
  /** The mailbox was full and nobody answered in its place. */
  | { readonly type: 'refused' }

class Ask<A> extends TimerEntry implements Ref<A> {
  readonly path: string
  readonly #kernel: Kernel
  #end: ((end: AskEnd<A>) => void) | null

  constructor(kernel: Kernel, path: string, end: (end: AskEnd<A>) => void) {
    super()
    this.#kernel = kernel
    this.path = path
    this.#end = end
  }

  tell(answer: A): boolean {
    if (this.settle({ type: 'answered', answer })) return true
    this.#kernel.deadLetter(this.path, answer)
    return false
  }

  override fire(): void {
    this.#kernel.metrics.count('ask_timeouts')
    this.settle({ type: 'timedOut' })
  }

  override abandon(): void {
    this.settle({ type: 'gone' })
  }

  /** False when it had ended before. */
  settle(end: AskEnd<A>): boolean {
    const settled = this.#end
    if (settled === null) return false
    this.#end = null
    this.#kernel.timers.remove(this)
    settled(end)
    return true
  }
}

export function ask<Q, A>(
  kernel: Kernel,
  ref: Ref<Q>,
  question: (replyTo: Ref<A>) => Q,
  timeoutMs: number,
  end: (end: AskEnd<A>) => void,
): void {
  const asked = new Ask<A>(kernel, `${ref.path}?answer=${kernel.nextAskNumber()}`, end)
  kernel.timers.add(asked, kernel.monoMs() + timeoutMs)
  const message = question(asked)
  const cell = ActorRef.cellOf(ref)
  if (cell === null) {
    if (!ref.tell(message)) asked.settle({ type: 'refused' })
    return
  }
  const unread = (): void => {
    asked.settle({ type: 'gone' })
  }
  if (!cell.kernel.enqueue(cell, new QuestionEnvelope(message, unread), false)) {
    const isOver = cell.status === 'stopping' || cell.status === 'gone'
    asked.settle({ type: isOver ? 'gone' : 'refused' })
  }
}
