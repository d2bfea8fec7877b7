/**
 * The agents that are not here, and when that is too long. An agent is away from its last frame on; a new leader has
 * heard of none and waits for all of them anew. Whether the tasks of one that stays away are given up depends on the
 * others too: with more than a quarter away at once it is our network and not their machines, and nothing is given up.
 * Source: the agent spec, section 16 (heartbeats).
 */
import type { AgentId } from '../base/ids.ts'

/** Given up at one look, so that a bad day does not become one large transaction. */
export const GIVEN_UP_PER_LOOK_MAX = 5
export const AWAY_SHARE_MAX = 0.25

export type AbsenceVerdict =
  /** The longest known first. */
  | { readonly type: 'giveUp'; readonly agents: readonly AgentId[] }
  /** `isNew`: the look before did not hold them back. */
  | { readonly type: 'hold'; readonly agents: number; readonly of: number; readonly isNew: boolean }

export class Absences {
  readonly #unreachableMsMax: number
  /** Since when (monotonic ms), in the order in which they left. */
  readonly #since = new Map<AgentId, number>()
  /** Held at the last look. */
  #held: readonly AgentId[] = []
  #isTold = false
  /** An operator has said that these are gone. */
  readonly #released = new Set<AgentId>()

  constructor(unreachableMsMax: number) {
    this.#unreachableMsMax = unreachableMsMax
  }

  get size(): number {
    return this.#since.size
  }
  /** So many are away that their tasks are kept; empty: no brake holds. */
  get held(): readonly AgentId[] {
    return this.#held
  }

  /** With the monotonic moment since when each is away, in the order in which they left. */
  all(): IterableIterator<[AgentId, number]> {
    return this.#since.entries()
  }

  left(id: AgentId, lastHeardMonoMs: number): void {
    this.#since.set(id, lastHeardMonoMs)
  }
  returned(id: AgentId): void {
    this.#since.delete(id)
    this.#released.delete(id)
  }

  /** Of those held now, these may be given up (null: all of them). Answers which. */
  release(ids: ReadonlySet<string> | null): readonly AgentId[] {
    const out = this.#held.filter(id => ids === null || ids.has(id))
    for (const id of out) this.#released.add(id)
    return out
  }

  /** `isMissed`: something is bound to that agent that could be given up. `present`: agents that are connected. */
  look(nowMonoMs: number, present: number, isMissed: (id: AgentId) => boolean): AbsenceVerdict {
    const due: AgentId[] = []
    for (const [id, sinceMs] of this.#since) {
      if (nowMonoMs - sinceMs >= this.#unreachableMsMax && isMissed(id)) due.push(id)
    }
    const of = present + due.length
    const free = due.filter(id => this.#released.has(id))
    const rest = due.filter(id => !this.#released.has(id))
    this.#held = rest.length > 1 && rest.length / of > AWAY_SHARE_MAX ? rest : []
    if (this.#held.length === 0) this.#isTold = false
    else if (free.length === 0) {
      const isNew = !this.#isTold
      this.#isTold = true
      return { type: 'hold', agents: rest.length, of, isNew }
    }
    return { type: 'giveUp', agents: (this.#held.length > 0 ? free : due).slice(0, GIVEN_UP_PER_LOOK_MAX) }
  }
}
