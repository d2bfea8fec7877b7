/**
 * Does what `opening.ts` decides, one piece of work at a time, and tells it how each has ended. What the work is, its
 * owner knows.
 */
import {
  CLOSED,
  type OpeningEffect,
  type OpeningEvent,
  type OpeningState,
  type OpeningTrouble,
  stepOpening,
} from '../../core/log/opening.ts'

export interface OpeningWork {
  readonly open: () => Promise<void>
  readonly close: (handOver: boolean) => Promise<void>
  /** `cause`: what the opening said that lacked it. Ends soon after `stopMending`. */
  readonly mend: (cause: unknown) => Promise<void>
  readonly stopMending: () => void
  readonly tellFull: (cause: unknown) => void
  readonly awaitRoom: (onRoom: () => void) => void
  readonly stopWaiting: () => void
  /** What kind of trouble that is, and the cause in the words of whoever hears of it. */
  readonly troubleOf: (cause: unknown) => Promise<{ readonly why: OpeningTrouble; readonly cause: unknown }>
  readonly die: (cause: unknown) => void
}

interface Caller {
  readonly resolve: () => void
  readonly reject: (cause: unknown) => void
}

export class OpeningKeeper {
  readonly #work: OpeningWork
  #state: OpeningState = CLOSED
  readonly #events: OpeningEvent[] = []
  #opens: Caller[] = []
  #stops: Caller[] = []

  constructor(work: OpeningWork) {
    this.#work = work
  }

  /** Opens, or waits for the opening under way; rejects when a first opening fails. Mending is not waited for. */
  open(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#opens.push({ resolve, reject })
      this.tell({ type: 'wanted' })
    })
  }

  /** Resolves when nothing is open and nothing under way any more; again and again, if asked again. */
  stop(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#stops.push({ resolve, reject })
      this.tell({ type: 'stop' })
    })
  }

  /** What work tells in its own turn is heard after what led to it. */
  tell(event: OpeningEvent): void {
    if (this.#events.push(event) > 1) return
    for (let next = this.#events[0]; next !== undefined; next = this.#events[0]) {
      try {
        const { state, effects } = stepOpening(this.#state, next)
        this.#state = state
        for (const effect of effects) this.#run(effect)
        if (state.type !== 'opening') for (const { resolve } of this.#opens.splice(0)) resolve()
      } finally {
        this.#events.shift()
      }
    }
  }

  #run(effect: OpeningEffect): void {
    const work = this.#work
    switch (effect.type) {
      case 'open':
        return this.#await(work.open(), { type: 'opened' }, (why, cause) => ({ type: 'openFailed', why, cause }))
      case 'close':
        return this.#await(work.close(effect.handOver), { type: 'closed' }, (_, cause) => ({
          type: 'closeFailed',
          cause,
        }))
      case 'mend':
        return this.#await(work.mend(effect.cause), { type: 'mended' }, (why, cause) => ({
          type: 'mendFailed',
          why: why === 'lacks' ? 'broken' : why,
          cause,
        }))
      case 'stopMending':
        return work.stopMending()
      case 'tellFull':
        return work.tellFull(effect.cause)
      case 'awaitRoom':
        return work.awaitRoom(() => this.tell({ type: 'room' }))
      case 'stopWaiting':
        return work.stopWaiting()
      case 'refuse':
        for (const { reject } of this.#opens.splice(0)) reject(effect.cause)
        return
      case 'die':
        return work.die(effect.cause)
      case 'ended':
        for (const { resolve, reject } of this.#stops.splice(0)) 'cause' in effect ? reject(effect.cause) : resolve()
        return
    }
  }

  #await(work: Promise<void>, done: OpeningEvent, failed: (why: OpeningTrouble, cause: unknown) => OpeningEvent): void {
    const settled = work.then(
      () => done,
      async raw => {
        const { why, cause } = await this.#work.troubleOf(raw)
        return failed(why, cause)
      },
    )
    void settled.then(event => this.tell(event))
  }
}
