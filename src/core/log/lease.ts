/**
 * The lease of a leader as a value, and the two clocks it is held against. A lease ends a time after the sending of the
 * ACCEPTs that a quorum has answered, by the own monotonic clock. That clock may stand still while the world goes on
 * (a suspended or migrated machine), and then a lease that is long over would seem to run. So it is never looked at
 * alone: what passed is the longer of what the monotonic and the wall clock say since a reading of both that is older
 * than those ACCEPTs, and when the two are further apart than `CLOCKS_APART_MS_MAX`, in either direction, the lease
 * counts for nothing until it is renewed. A wall clock that is set costs one renewal, and can never lengthen a lease.
 *
 * Two look at it with the same rule: the log thread, which also notices when it was not run for long (`watchLease`), and
 * whoever answers a read, who may have stood still since the log thread last said anything (`leaseLeftMs`).
 *
 * Not seen are a suspend and a wall clock set back by as much within one lease, and a hypervisor that stops both clocks
 * of its guest. Source: the replicated log, C6.
 */
import type { Now } from '../base/time.ts'
import type { Ballot } from './ballot.ts'

/** How far wall and monotonic clock may go apart before neither is believed, ms. */
export const CLOCKS_APART_MS_MAX = 200

export interface Lease {
  /** Of the reign it belongs to: it says nothing about any other, of the same member neither. */
  readonly ballot: Ballot
  /** By the own monotonic clock; infinite for a voter that is alone. */
  readonly untilMonoMs: number
  /** Both clocks, at a moment before the ACCEPTs that it rests on were sent. */
  readonly since: Now
}

/** What is left of it, ms; zero or less: nothing. The answer must be complete before `now` is read. */
export function leaseLeftMs(lease: Lease, now: Now): number {
  // Nobody else can lead where nobody else votes.
  if (lease.untilMonoMs === Number.POSITIVE_INFINITY) return Number.POSITIVE_INFINITY
  const apartMs = clocksApartMs(lease.since, now)
  if (Math.abs(apartMs) > CLOCKS_APART_MS_MAX) return 0
  return lease.untilMonoMs - now.monoMs - Math.max(0, apartMs)
}

/** How much more the wall clock has moved than the monotonic one. */
export function clocksApartMs(since: Now, now: Now): number {
  return now.wallMs - since.wallMs - (now.monoMs - since.monoMs)
}

/** What a leader has seen of its own clocks. */
export interface LeaseWatch {
  /** Never later than the sending of what the lease rests on. */
  readonly since: Now
  /** Takes the place of `since` once the lease rests on what was sent after it. */
  readonly next: Now
  readonly lookedMonoMs: number
  /** What was sent up to this moment proves nothing any more. */
  readonly voidUpToMonoMs: number
}

export interface LeaseDoubt {
  /** `clocks`: they went apart by `byMs`, positive when the wall clock is ahead. `gap`: nothing ran for `byMs`. */
  readonly because: 'clocks' | 'gap'
  readonly byMs: number
}

/** At the beginning of a reign, before its first ACCEPT. */
export function beginWatch(now: Now): LeaseWatch {
  return { since: now, next: now, lookedMonoMs: now.monoMs, voidUpToMonoMs: Number.NEGATIVE_INFINITY }
}

/**
 * To be called before anything is made of a message. `contactMonoMs`: the sending of the newest ACCEPTs that a quorum
 * has answered. A leader has its timer several times in half a lease, so a longer gap means that it did not run.
 */
export function watchLease(
  watch: LeaseWatch,
  now: Now,
  { contactMonoMs, leaseMs }: { readonly contactMonoMs: number; readonly leaseMs: number },
): { readonly watch: LeaseWatch; readonly doubt: LeaseDoubt | null } {
  const doubt = doubtOf(watch, now, leaseMs)
  if (doubt !== null) return { watch: { ...beginWatch(now), voidUpToMonoMs: now.monoMs }, doubt }
  const isRenewed = contactMonoMs > watch.next.monoMs
  const { since, next, voidUpToMonoMs } = watch
  // At every message, so by name: a spread with more fields behind it is slow.
  const watched = isRenewed
    ? { since: next, next: now, lookedMonoMs: now.monoMs, voidUpToMonoMs }
    : { since, next, lookedMonoMs: now.monoMs, voidUpToMonoMs }
  return { watch: watched, doubt: null }
}

function doubtOf({ since, lookedMonoMs }: LeaseWatch, now: Now, leaseMs: number): LeaseDoubt | null {
  const apartMs = clocksApartMs(since, now)
  if (Math.abs(apartMs) > CLOCKS_APART_MS_MAX) return { because: 'clocks', byMs: apartMs }
  const gapMs = now.monoMs - lookedMonoMs
  return gapMs > leaseMs / 2 ? { because: 'gap', byMs: gapMs } : null
}

/** The lease that rests on such a contact; null when there is none. */
export function leaseOf(
  watch: LeaseWatch,
  ballot: Ballot,
  contactMonoMs: number,
  { leaseMs, clockDrift }: { readonly leaseMs: number; readonly clockDrift: number },
): Lease | null {
  if (contactMonoMs <= watch.voidUpToMonoMs) return null
  return { ballot, untilMonoMs: contactMonoMs + leaseMs * (1 - clockDrift), since: watch.since }
}
