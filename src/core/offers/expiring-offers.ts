/**
 * Offers of a resource manager, such as Mesos: room that is lent for a while, and may be taken back before it is used.
 * One offer per agent is held at a time; a second one for the same agent means that the manager has more to give there,
 * so both go back and come as one. An offer that is not used in time goes back too.
 *
 * Messages overtake each other: the word that an offer is taken back may come before the offer itself, which is then
 * never used. What has been used is gone as a whole: the rest comes with the next offer of that agent. An offer may have
 * taken the place of the one that a task was placed on, so what is to be launched is measured against it once more.
 *
 * Events in, effects out; time and chance come with the events.
 * Source: the scheduling spec, section 4, items D10 and D11.
 */
import type { AgentId } from '../base/ids.ts'
import type { Prng } from '../base/prng.ts'
import { NEED_KINDS, type Needs } from './needs.ts'
import type { OfferedRoom } from './offer-book.ts'

export interface Offer {
  readonly offerId: string
  readonly agentId: AgentId
  readonly room: OfferedRoom
}

export interface ExpiringOffersOptions {
  /** An unused offer is held at least so long, ms. */
  readonly holdMs: number
  /** Up to so much longer, drawn per offer, so that not all go back at once; 0: none. */
  readonly jitterMs: number
}
/** Source: Aurora's `min_offer_hold_time` and `offer_hold_jitter_window`. */
export const EXPIRING_OFFERS: ExpiringOffersOptions = { holdMs: 5 * 60_000, jitterMs: 60_000 }

/** What a task that was placed on the agent takes of its offer. */
export interface Launching<Id> {
  readonly id: Id
  readonly needs: Needs
  /** Its cores are lent ones. */
  readonly isRevocable: boolean
  readonly ports: readonly number[]
}

export interface OfferUse<Id> {
  /** Null: there is none, or none of the tasks fits it. */
  readonly offerId: string | null
  /** In the order given. */
  readonly launched: readonly Id[]
  /** The offer that they were placed on has vanished. */
  readonly vanished: readonly Id[]
  readonly effects: readonly OfferEffect[]
}

export type OfferEffect =
  /** The manager may offer them to others. */
  | { readonly type: 'decline'; readonly offerIds: readonly string[] }
  /** What the agent has to give now; null: nothing. */
  | { readonly type: 'room'; readonly agentId: AgentId; readonly room: OfferedRoom | null }

export interface OfferCounts {
  readonly received: number
  readonly rescinded: number
  /** Taken back before they came. */
  readonly cancelFailures: number
}

interface Held extends Offer {
  readonly dueMs: number
}

export class ExpiringOffers {
  readonly #options: ExpiringOffersOptions
  readonly #random: Prng
  readonly #byAgent = new Map<AgentId, Held>()
  readonly #agentOf = new Map<string, AgentId>()
  /** Taken back before they came, and until when that is remembered. */
  readonly #banned = new Map<string, number>()
  readonly #counts = { received: 0, rescinded: 0, cancelFailures: 0 }
  /** Nothing is due before it. */
  #quietUntilMs = Number.POSITIVE_INFINITY

  constructor(options: ExpiringOffersOptions, random: Prng) {
    this.#options = options
    this.#random = random
  }

  get size(): number {
    return this.#byAgent.size
  }
  get bannedCount(): number {
    return this.#banned.size
  }
  get counts(): OfferCounts {
    return this.#counts
  }

  heldOf(agentId: AgentId): Offer | undefined {
    return this.#byAgent.get(agentId)
  }

  received(offers: readonly Offer[], nowMs: number): readonly OfferEffect[] {
    const effects: OfferEffect[] = []
    for (const offer of offers) {
      this.#counts.received++
      if (this.#banned.delete(offer.offerId)) continue
      const held = this.#byAgent.get(offer.agentId)
      if (held !== undefined) {
        this.#forget(held)
        effects.push(gone(offer.agentId), { type: 'decline', offerIds: [held.offerId, offer.offerId] })
        continue
      }
      const jitterMs = Math.floor(this.#random.next() * this.#options.jitterMs)
      const dueMs = nowMs + this.#options.holdMs + jitterMs
      this.#byAgent.set(offer.agentId, { ...offer, dueMs })
      this.#noteDue(dueMs)
      this.#agentOf.set(offer.offerId, offer.agentId)
      effects.push({ type: 'room', agentId: offer.agentId, room: offer.room })
    }
    return effects
  }

  rescinded(offerId: string, nowMs: number): readonly OfferEffect[] {
    const held = this.#heldById(offerId)
    this.#counts.rescinded++
    if (held === undefined) {
      this.#counts.cancelFailures++
      const untilMs = nowMs + this.#options.holdMs + this.#options.jitterMs
      this.#banned.set(offerId, untilMs)
      this.#noteDue(untilMs)
      return []
    }
    this.#forget(held)
    return [gone(held.agentId)]
  }

  /** `isInUse`: a round is about to launch there, so the offer is kept a little longer. */
  expire(nowMs: number, isInUse: (agentId: AgentId) => boolean): readonly OfferEffect[] {
    const effects: OfferEffect[] = []
    for (const held of [...this.#byAgent.values()]) {
      if (held.dueMs > nowMs || isInUse(held.agentId)) continue
      this.#forget(held)
      effects.push(gone(held.agentId), { type: 'decline', offerIds: [held.offerId] })
    }
    for (const [offerId, untilMs] of this.#banned) if (untilMs <= nowMs) this.#banned.delete(offerId)
    this.#quietUntilMs = Number.POSITIVE_INFINITY
    for (const { dueMs } of this.#byAgent.values()) this.#noteDue(dueMs)
    for (const untilMs of this.#banned.values()) this.#noteDue(untilMs)
    return effects
  }

  /**
   * The agent's offer is accepted for the tasks, first come first served, and gone with that. One that fits none of them
   * goes back: it is not the one that they were placed on.
   */
  use<Id>(agentId: AgentId, tasks: readonly Launching<Id>[]): OfferUse<Id> {
    const held = this.#byAgent.get(agentId)
    if (held === undefined) return { offerId: null, launched: [], vanished: tasks.map(({ id }) => id), effects: [] }
    this.#forget(held)
    const { launched, vanished } = fitting(held.room, tasks)
    const isUsed = launched.length > 0
    return {
      offerId: isUsed ? held.offerId : null,
      launched,
      vanished,
      effects: isUsed ? [gone(agentId)] : [gone(agentId), { type: 'decline', offerIds: [held.offerId] }],
    }
  }

  /** What is held, once more: whoever was told has forgotten it, or what was placed there will not be launched. */
  again(agentId?: AgentId): readonly OfferEffect[] {
    const held = agentId === undefined ? [...this.#byAgent.values()] : [this.#byAgent.get(agentId)]
    return held.flatMap(offer =>
      offer === undefined ? [] : { type: 'room', agentId: offer.agentId, room: offer.room },
    )
  }

  /** The manager is gone, and all that it lent with it. */
  disconnected(): readonly OfferEffect[] {
    const effects = Array.from(this.#byAgent.keys(), gone)
    this.#byAgent.clear()
    this.#agentOf.clear()
    this.#banned.clear()
    return effects
  }

  /** Before it `expire` has nothing to do, and maybe not even then; null when nothing is held or remembered. */
  nextDueMs(): number | null {
    return this.#byAgent.size + this.#banned.size === 0 ? null : this.#quietUntilMs
  }

  #noteDue(dueMs: number): void {
    this.#quietUntilMs = Math.min(this.#quietUntilMs, dueMs)
  }

  #heldById(offerId: string): Held | undefined {
    const agentId = this.#agentOf.get(offerId)
    return agentId === undefined ? undefined : this.#byAgent.get(agentId)
  }

  #forget({ offerId, agentId }: Held): void {
    this.#byAgent.delete(agentId)
    this.#agentOf.delete(offerId)
  }
}

function gone(agentId: AgentId): OfferEffect {
  return { type: 'room', agentId, room: null }
}

function fitting<Id>({ portRanges, revocableMilli, ...room }: OfferedRoom, tasks: readonly Launching<Id>[]) {
  const left = { ...room, revocableMilli }
  const usedPorts = new Set<number>()
  const isFree = (port: number): boolean =>
    !usedPorts.has(port) && portRanges.some(([begin, end]) => port >= begin && port <= end)
  const launched: Id[] = []
  const vanished: Id[] = []
  for (const { id, needs, isRevocable, ports } of tasks) {
    const amounts = NEED_KINDS.flatMap(({ type }) => {
      if (type === 'ports') return []
      const from: keyof typeof left = isRevocable && type === 'cpusMilli' ? 'revocableMilli' : type
      return { from, asked: needs[type] }
    })
    const fits = amounts.every(({ from, asked }) => asked <= 0 || asked <= left[from]) && ports.every(isFree)
    if (fits) {
      for (const { from, asked } of amounts) left[from] -= asked
      for (const port of ports) usedPorts.add(port)
    }
    ;(fits ? launched : vanished).push(id)
  }
  return { launched, vanished }
}
