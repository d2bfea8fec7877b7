/** The links between members, each direction for itself: late, lossy, doubled, garbled, cut. Never believed by anybody. */
import type { Prng } from '../../../src/core/base/prng.ts'
import type { PeerMessage } from '../../../src/core/log/messages.ts'
import { decodePeerFrame, encodeBatch } from '../../../src/wire/messages/peer.ts'
import type { EventQueue } from './event-queue.ts'
import type { NetworkPlan } from './plan.ts'

export class SimNetwork {
  plan: NetworkPlan
  /** Links that carry nothing now; counted, because several faults may cut the same one. */
  readonly #cuts = new Map<number, number>()
  /** These have no faults any more. */
  sound: ReadonlySet<number> = new Set()
  readonly counts: Record<string, number> = {}
  readonly #queue: EventQueue
  readonly #random: Prng
  readonly #deliver: (to: number, from: number, message: PeerMessage) => void
  /** When the last message of an orderly link arrives. */
  readonly #arrivals = new Map<number, number>()

  constructor(
    plan: NetworkPlan,
    queue: EventQueue,
    random: Prng,
    deliver: (to: number, from: number, message: PeerMessage) => void,
  ) {
    this.plan = plan
    this.#queue = queue
    this.#random = random
    this.#deliver = deliver
  }

  cut(from: number, to: number): void {
    const link = linkOf(from, to)
    this.#cuts.set(link, (this.#cuts.get(link) ?? 0) + 1)
  }

  mend(from: number, to: number): void {
    const link = linkOf(from, to)
    this.#cuts.set(link, Math.max(0, (this.#cuts.get(link) ?? 0) - 1))
  }

  isCut(from: number, to: number): boolean {
    return (this.#cuts.get(linkOf(from, to)) ?? 0) > 0
  }

  send(from: number, to: number, message: PeerMessage): void {
    const random = this.#random
    const { plan } = this
    if (this.sound.has(from) && this.sound.has(to)) {
      this.#queue.after(plan.latencyMsMin + random.next() * 2, () => this.#deliver(to, from, message))
      return
    }
    if (this.isCut(from, to)) return this.#count('cut')
    if (plan.drop > 0 && random.next() < plan.drop) return this.#count('dropped')
    this.#carry(from, to, message)
    if (plan.duplicate > 0 && random.next() < plan.duplicate) {
      this.#count('doubled')
      this.#carry(from, to, message)
    }
  }

  #carry(from: number, to: number, message: PeerMessage): void {
    const random = this.#random
    const { plan } = this
    let delayMs = plan.latencyMsMin + random.next() * (plan.latencyMsMax - plan.latencyMsMin)
    if (plan.late > 0 && random.next() < plan.late) {
      this.#count('late')
      delayMs += random.next() * plan.lateMsMax
    }
    if (plan.inOrder) {
      const link = linkOf(from, to)
      const arrivesMs = Math.max(this.#queue.nowMs + delayMs, (this.#arrivals.get(link) ?? 0) + 0.001)
      this.#arrivals.set(link, arrivesMs)
      delayMs = arrivesMs - this.#queue.nowMs
    }
    const isGarbled = plan.corrupt > 0 && random.next() < plan.corrupt
    const arrived = isGarbled ? this.#garble(message) : [message]
    // A link that was cut meanwhile loses what is under way, or lets it through: both happen.
    const isSticky = random.next() < 0.5
    this.#queue.after(delayMs, () => {
      if (isSticky && this.isCut(from, to)) this.#count('cut')
      else for (const one of arrived) this.#deliver(to, from, one)
    })
  }

  /** One bit flipped or the end cut off, in the bytes as they travel. What a receiver takes for whole arrives. */
  #garble(message: PeerMessage): readonly PeerMessage[] {
    this.#count('garbled')
    const random = this.#random
    const whole = encodeBatch(message.from, 0, [message])
    const bytes = random.next() < 0.5 ? whole : whole.slice(0, random.int(0, whole.length))
    if (bytes === whole) bytes[random.int(0, bytes.length)]! ^= 1 << random.int(0, 8)
    const decoded = decodePeerFrame(bytes)
    if (!decoded.ok || decoded.frame.type !== 'batch') return []
    const { from, messages } = decoded.frame
    const isPeer = from.memberId === message.from.memberId && from.incarnation === message.from.incarnation
    return isPeer ? messages : []
  }

  #count(kind: string): void {
    this.counts[kind] = (this.counts[kind] ?? 0) + 1
  }
}

function linkOf(from: number, to: number): number {
  return from * 100 + to
}
