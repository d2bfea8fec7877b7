/** The links between members, each direction for itself: late, lossy, doubled, garbled, cut. Never believed by anybody. */
import type { Prng } from '../../../src/core/base/prng.ts'
import { type Entry, readRecord } from '../../../src/core/log/entry.ts'
import type { PeerMessage } from '../../../src/core/log/messages.ts'
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
    let carried: PeerMessage | null = message
    if (plan.corrupt > 0 && random.next() < plan.corrupt) carried = this.#garble(message)
    if (carried === null) return
    const arrived = carried
    // A link that was cut meanwhile loses what is under way, or lets it through: both happen.
    const isSticky = random.next() < 0.5
    this.#queue.after(delayMs, () => {
      if (isSticky && this.isCut(from, to)) this.#count('cut')
      else this.#deliver(to, from, arrived)
    })
  }

  /** One byte flipped or the end cut off, in a record if there is one. What a reader of the record accepts arrives. */
  #garble(message: PeerMessage): PeerMessage | null {
    this.#count('garbled')
    if (message.type !== 'accept' || message.entries.length === 0) return null
    const random = this.#random
    const hit = random.int(0, message.entries.length)
    const entries: Entry[] = []
    for (const [at, entry] of message.entries.entries()) {
      if (at !== hit) {
        entries.push(entry)
        continue
      }
      const bytes = entry.record.slice(
        0,
        random.next() < 0.5 ? entry.record.length : random.int(0, entry.record.length),
      )
      if (bytes.length === entry.record.length) bytes[random.int(0, bytes.length)]! ^= 1 << random.int(0, 8)
      const read = readRecord(bytes, entry.position)
      if (!read.ok) return null
      entries.push(read.entry)
    }
    return { ...message, entries }
  }

  #count(kind: string): void {
    this.counts[kind] = (this.counts[kind] ?? 0) + 1
  }
}

function linkOf(from: number, to: number): number {
  return from * 100 + to
}
