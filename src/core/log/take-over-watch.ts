/** How long each part of a take-over of the log took, as the election of the winner saw it. */
import type { ElectionEffect, ElectionMessage } from './election-core.ts'

/** ms. */
export interface TakeOverMs {
  /** From the last word of the leader before to the first question to a quorum; null: none was heard here. */
  readonly silence: number | null
  /** From that question to the candidacy that won: more than a moment when it had to be asked again. */
  readonly canvass: number
  /** From that candidacy until appends are taken: promises, and the first entry of the reign on the disks of a quorum. */
  readonly election: number
}

export class TakeOverWatch {
  #heardMs: number | null = null
  #askedMs: number | null = null
  #stoodMs = 0

  /** To be called with each message of an election and what came of it; an answer at the end of a take-over. */
  look(message: ElectionMessage, effects: readonly ElectionEffect[], monoMs: number): TakeOverMs | null {
    if (message.type === 'heardLeader') {
      this.#heardMs = monoMs
      this.#askedMs = null
    }
    for (const { type } of effects) {
      if (type !== 'canvass' && type !== 'stand') continue
      this.#askedMs ??= monoMs
      if (type === 'stand') this.#stoodMs = monoMs
    }
    if (message.type !== 'serving') return null
    const askedMs = this.#askedMs ?? this.#stoodMs
    const silence = this.#heardMs === null ? null : askedMs - this.#heardMs
    const took = { silence, canvass: this.#stoodMs - askedMs, election: monoMs - this.#stoodMs }
    this.#heardMs = null
    this.#askedMs = null
    return took
  }
}
