/**
 * Groups whose last attempt left tasks over, and which of them a change may let in. A group is woken once per attempt,
 * and only by something that may help it: a host that has more to give and would take one of its tasks, an attribute
 * that has changed, a task of its own job that has made way under a limit.
 *
 * A thousand hosts may grow in one turn while a hundred thousand groups wait, so the looks are bounded: what no grown
 * host is large enough for is ruled out at once, and of the rest only some hosts are looked at. A group may then be woken
 * in vain, which costs one attempt; it is never left asleep.
 */
import type { ConfigId } from '../base/ids.ts'
import type { Instant } from '../base/time.ts'
import { NEED_KINDS, type Needs } from '../offers/needs.ts'
import type { OfferBook } from '../offers/offer-book.ts'
import { type Ask, isCounted } from './ask.ts'
import type { HostFilter, PreparedAsk } from './host-filter.ts'
import { NO_AGENTS_REASONS, type Reasons } from './pending-reasons.ts'

interface Parked {
  readonly ask: Ask
  readonly reasons: Reasons
  /** Some of its tasks wait for the room that their instance has claimed, and may go nowhere else. */
  readonly isBound: boolean
  isWoken: boolean
}

/** What has changed by the time a pass over the parked groups began. */
interface Waking {
  readonly slots: readonly number[]
  /** Of all those hosts, the most of each type. */
  readonly most: Needs
  readonly mostRevocableMilli: number
  readonly freedJobs: ReadonlySet<string>
  readonly attributesChanged: boolean
  readonly left: Iterator<readonly [ConfigId, Parked]>
}

/** Changes that no pass has begun with yet. */
export interface Unseen {
  readonly slots: readonly number[]
  readonly freedJobs: ReadonlySet<string>
}

/** Hosts looked at for one group. */
const LOOKS_MAX = 32

export class ParkedGroups {
  readonly #book: OfferBook
  readonly #filter: HostFilter
  readonly #groups = new Map<ConfigId, Parked>()
  /** Jobs of which a task has left its host, or an instance its claim, since a pass last began. */
  #freedJobs = new Set<string>()
  #attributesChanged = false
  #waking: Waking | null = null

  constructor(book: OfferBook, filter: HostFilter) {
    this.#book = book
    this.#filter = filter
  }

  get size(): number {
    return this.#groups.size
  }

  park(ask: Ask, reasons: Reasons, isBound = false): void {
    this.#groups.set(ask.configId, { ask, reasons, isBound, isWoken: false })
  }

  unpark(configId: ConfigId): void {
    this.#groups.delete(configId)
  }

  isParked(configId: ConfigId): boolean {
    return this.#groups.has(configId)
  }

  reasonsOf(configId: ConfigId): Reasons | null {
    return this.#groups.get(configId)?.reasons ?? null
  }

  jobFreed(job: string): void {
    this.#freedJobs.add(job)
  }

  attributesChanged(): void {
    this.#attributesChanged = true
  }

  unseen(): Unseen {
    return { slots: [...this.#book.grown], freedJobs: new Set(this.#freedJobs) }
  }

  /** All that came after was an attempt that was undone, so that everything is as it was: nobody is woken for it. */
  undone({ slots, freedJobs }: Unseen): void {
    const { grown } = this.#book
    grown.clear()
    for (const slot of slots) grown.add(slot)
    this.#freedJobs = new Set(freedJobs)
  }

  /** True while a pass has groups left to look at, or changes wait for the next one. */
  get hasWork(): boolean {
    return this.#waking !== null || this.#book.grown.size > 0 || this.#freedJobs.size > 0 || this.#attributesChanged
  }

  /** Goes over at most `groupsMax` groups; ask again while there is work. */
  takeWakes(nowMs: Instant, groupsMax: number): readonly ConfigId[] {
    const waking = this.#waking ?? this.#begin()
    if (waking === null) return []
    const woken: ConfigId[] = []
    for (let looked = 0; ; looked++) {
      if (looked === groupsMax) {
        this.#waking = waking
        return woken
      }
      const next = waking.left.next()
      if (next.done === true) break
      const [configId, parked] = next.value
      if (parked.isWoken || !this.#mayFitNow(parked, waking, nowMs)) continue
      parked.isWoken = true
      woken.push(configId)
    }
    this.#waking = null
    return woken
  }

  #begin(): Waking | null {
    const { grown, columns } = this.#book
    if (!this.hasWork) return null
    const slots = [...grown].filter(slot => columns.connected[slot] === 1)
    const most = { cpusMilli: 0, ramMb: 0, diskMb: 0, ports: 0, gpus: 0 }
    let mostRevocableMilli = 0
    for (const slot of slots) {
      for (const { type } of NEED_KINDS) most[type] = Math.max(most[type], columns.free(slot, type))
      mostRevocableMilli = Math.max(mostRevocableMilli, columns.revocableMilli[slot]!)
    }
    const waking: Waking = {
      slots,
      most,
      mostRevocableMilli,
      freedJobs: this.#freedJobs,
      attributesChanged: this.#attributesChanged,
      left: this.#groups.entries(),
    }
    grown.clear()
    this.#freedJobs = new Set()
    this.#attributesChanged = false
    return waking
  }

  #mayFitNow({ ask, reasons, isBound }: Parked, waking: Waking, nowMs: Instant): boolean {
    if (isCounted(ask) && (waking.attributesChanged || waking.freedJobs.has(ask.job))) return true
    // Whoever was bound to a claim may now go where there was room all along.
    if (isBound && waking.freedJobs.has(ask.job)) return true
    const { slots } = waking
    if (slots.length === 0) return false
    // The reason is not true any more, so that another attempt is due even if it only finds a better one.
    if (reasons === NO_AGENTS_REASONS) return true
    if (isTooLarge(ask, waking)) return false
    const prepared = this.#filter.prepare(ask, nowMs)
    for (let i = 0; i < slots.length; i++) {
      if (i === LOOKS_MAX) return true
      if (this.#book.columns.connected[slots[i]!] === 1 && this.#fits(prepared, slots[i]!)) return true
    }
    return false
  }

  /** For any task of the group, those included whose instance has claimed room there. */
  #fits(prepared: PreparedAsk, slot: number): boolean {
    if (this.#filter.fits(prepared, slot)) return true
    if (this.#book.columns.claimed[slot] === 0) return false
    return this.#book.claims
      .onSlot(slot)
      .some(
        ({ owner }) =>
          owner.type === 'instance' &&
          owner.job === prepared.ask.job &&
          this.#filter.fits({ ...prepared, instance: owner.instance }, slot),
      )
  }
}

function isTooLarge({ needs, isRevocable }: Ask, { most, mostRevocableMilli }: Waking): boolean {
  return NEED_KINDS.some(({ type }) => {
    const there = isRevocable && type === 'cpusMilli' ? mostRevocableMilli : most[type]
    return needs[type] > 0 && needs[type] > there
  })
}
