/**
 * When a leader gives its reign to another member, and to whom: because somebody asked, because its disk has no room and
 * another's has, or because its disk does not flush any more. A hand-over is prepared: while the successor is brought up
 * to the end of the log, appends wait, but not for long; if it does not get there, the leader goes on and says why. Only
 * then is the ballot released, so the successor has all there is, can win at once, and nobody waits for a lease.
 *
 * Leadership never moves back by itself. For want of room it moves only to a member that has twice what it takes to stay
 * a leader, so two disks that are about equally full do not pass it to and fro; only where a quorum has room, since a new
 * reign begins with an entry that a quorum must store; and only after everybody has looked at its own disk since, for
 * disks of one machine fill up together. Source: the replicated log, C6, C7 and C10.
 */
import type { Now } from '../base/time.ts'
import type { Ballot } from './ballot.ts'
import { quorumOf } from './descriptor.ts'
import type { Accepted } from './messages.ts'
import type { LogTiming } from './timing.ts'

/** Who lags by more is not waited for while appends wait too. */
export const SUCCESSOR_LAG_MAX = 2_048
/** How many times the reserve a disk must have free to be given what another has no room for. */
const ROOM_FACTOR = 2

/** Another voter, as the leader knows it. */
export interface Heir {
  readonly memberId: number
  /** Its log equals the leader's up to here, on its disk. */
  readonly matched: number
  /** When it last answered, on the leader's monotonic clock. */
  readonly answeredMs: number
}

export interface Reign {
  readonly serving: boolean
  /** The last position made, the last one committed, the last one that the own replica has flushed. */
  readonly end: number
  readonly commit: number
  readonly held: number
  /** All other voters. */
  readonly others: readonly Heir[]
}

/** What whoever asked for a hand-over is told. `released`: the successor stands now; that it leads is seen later. */
export type TransferAnswer =
  | { readonly type: 'released'; readonly successor: number; readonly ballot: Ballot }
  | { readonly type: 'already' }
  | TransferRefusal

export interface TransferRefusal {
  readonly type: 'refused'
  readonly why: 'notLeader' | 'noSuchMember' | 'notNow'
  readonly detail: string
  /** What to do next. */
  readonly remedy: string
}

/** Of the own disk; `lookMs`: everybody looks at its own at least so often. */
export interface SpaceTold {
  readonly full: boolean
  readonly freeBytes: number
  readonly reserveBytes: number
  readonly lookMs: number
}

export type SuccessionStep =
  | { readonly type: 'nothing' }
  | { readonly type: 'release'; readonly successor: number; readonly because: string; readonly isAsked: boolean }
  /** It did not work out: the leader goes on. */
  | { readonly type: 'goOn'; readonly successor: number; readonly refusal: TransferRefusal; readonly isAsked: boolean }

interface Plan {
  readonly successor: number
  readonly cause: 'asked' | 'noRoom' | 'slowDisk'
  readonly because: string
  readonly untilMs: number
}

const NOTHING: SuccessionStep = { type: 'nothing' }

/** Of one coordinator; `begin` at each reign. */
export class Succession {
  readonly #self: number
  readonly #timing: LogTiming
  readonly #freeBytes = new Map<number, number>()
  readonly #loading = new Set<number>()
  #space: SpaceTold = { full: false, freeBytes: 0, reserveBytes: 0, lookMs: 0 }
  /** Null while there is room. */
  #fullSinceMs: number | null = null
  #plan: Plan | null = null
  /** Since when the own replica has something to flush and has finished nothing; null while it has nothing. */
  #flushSinceMs: number | null = null
  #held = 0
  /** Who has been chosen in this reign and did not get there in time. */
  readonly #late = new Set<number>()
  /** After a hand-over that did not work out none is begun unasked before this. */
  #pauseUntilMs = Number.NEGATIVE_INFINITY

  constructor(self: number, timing: LogTiming) {
    this.#self = self
    this.#timing = timing
  }

  /** New appends wait while this is so. */
  get isPreparing(): boolean {
    return this.#plan !== null
  }

  begin(): void {
    this.#freeBytes.clear()
    this.#loading.clear()
    this.#late.clear()
    this.#plan = null
    this.#flushSinceMs = null
    this.#held = 0
    this.#pauseUntilMs = Number.NEGATIVE_INFINITY
  }

  /** The reign is over. What is to be said to whoever had asked for its end by hand-over. */
  end(reason: string): TransferRefusal | null {
    const plan = this.#plan
    this.begin()
    if (plan?.cause !== 'asked') return null
    const detail = `leadership was lost while the hand-over to member ${plan.successor} was prepared: ${reason}`
    return { type: 'refused', why: 'notNow', detail, remedy: 'see who leads now with `daybreak cluster status`' }
  }

  /** What a member has told about its disk and its rows. */
  heard(memberId: number, { freeBytes, isLoading }: Pick<Accepted, 'freeBytes' | 'isLoading'>): void {
    if (freeBytes !== null) this.#freeBytes.set(memberId, freeBytes)
    if (isLoading === true) this.#loading.add(memberId)
    else this.#loading.delete(memberId)
  }

  space(told: SpaceTold, now: Now): void {
    this.#space = told
    this.#fullSinceMs = told.full ? (this.#fullSinceMs ?? now.monoMs) : null
  }

  /** Somebody wants `to` to lead, or whoever holds most. Null: it is being prepared, `step` says how it ends. */
  ask(to: number | null, reign: Reign, now: Now): TransferAnswer | null {
    if (to === this.#self) return { type: 'already' }
    const { others } = reign
    if (others.length === 0) {
      return refused('noSuchMember', 'this node is the only voter, so nobody else can lead', 'leave it as it is')
    }
    if (to !== null && !others.some(({ memberId }) => memberId === to)) {
      const voters = [this.#self, ...others.map(({ memberId }) => memberId)].sort((a, b) => a - b).join(', ')
      return refused('noSuchMember', `member ${to} is not a voter of this cluster`, `choose one of ${voters}`)
    }
    if (!reign.serving) {
      return refused('notNow', 'this node has only just been elected and does not serve yet', 'ask again in a moment')
    }
    if (this.#plan !== null) {
      const detail = `leadership is being handed over to member ${this.#plan.successor} already`
      return refused('notNow', detail, 'see who leads in a moment with `daybreak cluster status`')
    }
    const asked = to === null ? others : others.filter(({ memberId }) => memberId === to)
    const heir = this.#nextOf(asked.filter(one => this.#fault(one, reign, now) === null))
    if (heir === null) {
      const faults = asked.map(one => this.#fault(one, reign, now)!)
      return refused('notNow', faults.map(({ detail }) => detail).join('; '), faults[0]!.remedy)
    }
    this.#prepare(heir, 'asked', 'it was asked for', now)
    return null
  }

  /** Looked at whenever an answer has come, and with every heartbeat. */
  step(reign: Reign, now: Now): SuccessionStep {
    this.#watchFlush(reign, now)
    if (this.#plan === null) this.#considerItself(reign, now)
    const plan = this.#plan
    if (plan === null) return NOTHING
    const { successor, because, cause } = plan
    const isAsked = cause === 'asked'
    const heir = reign.others.find(({ memberId }) => memberId === successor)
    const isLate = now.monoMs >= plan.untilMs
    const isEqual = heir !== undefined && heir.matched >= reign.end && this.#isThere(heir, now)
    // What is in flight ends well if it is waited for, which a disk that flushes nothing would not let happen.
    const isDecided = reign.commit >= reign.end || cause === 'slowDisk' || isLate
    if (isEqual && isDecided) {
      this.#plan = null
      return { type: 'release', successor, because, isAsked }
    }
    if (!isLate) return NOTHING
    this.#plan = null
    this.#late.add(successor)
    this.#pauseUntilMs = now.monoMs + this.#timing.handOverMsMax
    return { type: 'goOn', successor, refusal: this.#tooLate(heir, successor, reign, now), isAsked }
  }

  /** For a node that stops: whoever answers and holds most, whatever else is the matter with it. */
  bestOf(reign: Reign, now: Now): number | null {
    const there = reign.others.filter(heir => this.#isThere(heir, now))
    // Nobody waits until it has caught up: whoever holds more would refuse it.
    const end = Math.max(...there.map(({ matched }) => matched))
    return this.#bestOf(there.filter(({ matched }) => matched === end))?.memberId ?? null
  }

  #considerItself(reign: Reign, now: Now): void {
    if (reign.others.length === 0 || now.monoMs < this.#pauseUntilMs) return
    const able = reign.others.filter(heir => this.#fault(heir, reign, now) === null)
    const slowMs = this.#flushSinceMs === null ? 0 : now.monoMs - this.#flushSinceMs
    if (slowMs > this.#timing.slowFlushMs) {
      const heir = this.#nextOf(able)
      const because = `the disk of this node has not finished a flush for ${Math.round(slowMs)} ms`
      if (heir !== null) this.#prepare(heir, 'slowDisk', because, now)
      return
    }
    const { freeBytes, reserveBytes, lookMs } = this.#space
    if (this.#fullSinceMs === null || !reign.serving) return
    // By then what the others have seen has come with their answers.
    if (now.monoMs - this.#fullSinceMs < lookMs + this.#timing.leaseMs) return
    const hasMuch = ({ memberId }: Heir): boolean =>
      (this.#freeBytes.get(memberId) ?? 0) >= Math.max(1, ROOM_FACTOR * reserveBytes)
    const heir = this.#nextOf(able.filter(hasMuch))
    if (heir === null) return
    const room = mebibytes(this.#freeBytes.get(heir.memberId) ?? 0)
    const because = `only ${mebibytes(freeBytes)} are free on the disk of this node, and ${room} on that of member ${heir.memberId}`
    this.#prepare(heir, 'noRoom', because, now)
  }

  /** Who was late is tried again after the others: it would be chosen for what it has told, and appends wait each time. */
  #nextOf(heirs: readonly Heir[]): Heir | null {
    const untried = heirs.filter(({ memberId }) => !this.#late.has(memberId))
    if (untried.length > 0) return this.#bestOf(untried)
    for (const { memberId } of heirs) this.#late.delete(memberId)
    return this.#bestOf(heirs)
  }

  /** Whoever holds most; one that still reads its rows, for which everybody would wait, only where there is no other. */
  #bestOf(heirs: readonly Heir[]): Heir | null {
    const ready = heirs.filter(({ memberId }) => !this.#loading.has(memberId))
    return (
      (ready.length > 0 ? ready : heirs).toSorted((a, b) => b.matched - a.matched || a.memberId - b.memberId)[0] ?? null
    )
  }

  #prepare({ memberId }: Heir, cause: Plan['cause'], because: string, now: Now): void {
    this.#plan = { successor: memberId, cause, because, untilMs: now.monoMs + this.#timing.handOverMsMax }
  }

  #watchFlush({ end, held }: Reign, now: Now): void {
    if (end <= held) this.#flushSinceMs = null
    else if (held > this.#held || this.#flushSinceMs === null) this.#flushSinceMs = now.monoMs
    this.#held = held
  }

  #isThere({ answeredMs }: Heir, now: Now): boolean {
    return now.monoMs - answeredMs <= this.#timing.leaseMs
  }

  #hasRoom(memberId: number): boolean {
    return (this.#freeBytes.get(memberId) ?? Number.POSITIVE_INFINITY) >= this.#space.reserveBytes
  }

  /** Why this member could not take over right now. */
  #fault(heir: Heir, reign: Reign, now: Now): { readonly detail: string; readonly remedy: string } | null {
    const { memberId, matched, answeredMs } = heir
    const { end, others } = reign
    if (!this.#isThere(heir, now)) {
      const ms = Math.round(now.monoMs - answeredMs)
      return {
        detail: `member ${memberId} has not answered for ${ms} ms`,
        remedy: '`daybreak cluster status` says what keeps it away; start it, or choose another',
      }
    }
    if (!this.#hasRoom(memberId)) {
      return {
        detail: `member ${memberId} has only ${mebibytes(this.#freeBytes.get(memberId) ?? 0)} free on its disk`,
        remedy: 'free some space there, or choose another',
      }
    }
    if (end - matched > SUCCESSOR_LAG_MAX) {
      return {
        detail: `member ${memberId} is ${end - matched} positions behind`,
        remedy: `wait until \`daybreak cluster status\` shows it less than ${SUCCESSOR_LAG_MAX} behind, or choose another`,
      }
    }
    const withRoom = others.filter(other => this.#hasRoom(other.memberId)).length + (this.#space.full ? 0 : 1)
    const quorum = quorumOf(others.length + 1)
    if (withRoom >= quorum) return null
    return {
      detail: `only ${withRoom} of ${others.length + 1} members have room on their disks, and a new leader needs ${quorum}`,
      remedy: 'free some space: until then the present leader is the one that can still answer',
    }
  }

  #tooLate(heir: Heir | undefined, successor: number, reign: Reign, now: Now): TransferRefusal {
    const fault = heir === undefined ? null : this.#fault(heir, reign, now)
    if (fault !== null) return refused('notNow', fault.detail, fault.remedy)
    const lacks = heir === undefined ? reign.end : reign.end - heir.matched
    const detail = `member ${successor} still lacked ${lacks} positions after ${this.#timing.handOverMsMax} ms`
    return refused('notNow', detail, 'its disk or the network to it is slow: ask again later, or choose another')
  }
}

function refused(why: TransferRefusal['why'], detail: string, remedy: string): TransferRefusal {
  return { type: 'refused', why, detail, remedy }
}

function mebibytes(bytes: number): string {
  return `${Math.floor(bytes / (1024 * 1024))} MiB`
}
