/**
 * What a leader knows of its members' logs and how it brings them up to its own: what is new goes out at once, what a
 * member has missed comes from memory or, further back, from the store. Where the logs part is found by small ACCEPTs, one
 * at a time, a whole ballot further back with each answer. A member that lags by very much, or lacks what the leader no
 * longer holds, is only kept informed: it fetches the rest by itself, from whom it likes, and shows by its answers how
 * far it has come. One feed per reign; it ends with it. Source: the replicated log, C4, C5 (4) and C8.
 */
import { assert } from '../base/assert.ts'
import type { Now } from '../base/time.ts'
import { type Ballot, type LogEnd, sameBallot } from './ballot.ts'
import type { BallotRuns } from './ballot-runs.ts'
import type { Entry } from './entry.ts'
import type { LogLimits } from './limits.ts'
import type { Accept, Accepted, Nack, PeerMessage, Sender } from './messages.ts'

export const BATCH_ENTRIES_MAX = 1_024
export const BATCH_BYTES_MAX = 1024 * 1024
/** What a follower may have received and not answered. */
const FOLLOWER_AHEAD_MAX = 2_048

export type FeedEffect =
  | { readonly type: 'send'; readonly to: number; readonly message: PeerMessage }
  | { readonly type: 'load'; readonly peer: number; readonly from: number; readonly countMax: number }

export interface Follower {
  readonly sender: Sender
  matched: number
  /** Up to where its tables stand for the log, on its disk. */
  snapshot: number
  /** The next position to send. */
  next: number
  /** Looking for where the logs part: one ACCEPT at a time, known by its number. */
  probeSeq: number | null
  /** Too far behind for the stream. */
  isCatchingUp: boolean
  loading: boolean
  /** Own send time of the newest ACCEPT it answered. */
  echoMs: number
  sentMs: number
  probedMs: number
  answeredMs: number
}

export interface FeedOptions {
  readonly self: Sender
  readonly ballot: Ballot
  readonly voters: readonly Sender[]
  readonly limits: LogLimits
  /** The leader's log; the feed adds to it what it is given. */
  readonly runs: BallotRuns
  readonly begin: number
  readonly commit: number
  /** The last entry of a member's log on disk, if it has said. */
  readonly lastOf: (memberId: number) => LogEnd | undefined
  /** Where the numbers of ACCEPTs go on: an answer to an earlier reign must not be taken for one to this. */
  readonly seq: number
}

export class FollowerFeed {
  commit: number
  /** The first position that the own store still holds. */
  begin: number
  readonly #options: FeedOptions
  readonly #runs: BallotRuns
  readonly #followers: ReadonlyMap<number, Follower>
  /** Not yet both committed and flushed here: followers are fed from memory. */
  #recent: Entry[] = []
  #seq: number

  constructor(options: FeedOptions, now: Now) {
    this.#options = options
    this.#runs = options.runs
    this.#seq = options.seq
    this.commit = options.commit
    this.begin = options.begin
    const { end } = options.runs
    this.#followers = new Map(
      options.voters.map(sender => {
        const last = options.lastOf(sender.memberId)
        // Logs that agree on an entry agree on all before it.
        const held = last === undefined ? undefined : options.runs.ballotAt(last.position)
        const isOurs = last !== undefined && held !== undefined && sameBallot(held, last.ballot)
        const follower: Follower = {
          sender,
          matched: isOurs ? last.position : 0,
          snapshot: 0,
          next: Math.min(end, last?.position ?? end) + 1,
          probeSeq: null,
          isCatchingUp: false,
          loading: false,
          echoMs: now.monoMs,
          sentMs: now.monoMs,
          probedMs: now.monoMs,
          answeredMs: now.monoMs,
        }
        return [sender.memberId, follower]
      }),
    )
  }

  get seq(): number {
    return this.#seq
  }
  get all(): Iterable<Follower> {
    return this.#followers.values()
  }
  of(memberId: number): Follower | undefined {
    return this.#followers.get(memberId)
  }
  /** Up to where the own replica has flushed. */
  get held(): number {
    return this.#followers.get(this.#options.self.memberId)!.matched
  }

  /** Up to where the own tables stand for the log, on disk. */
  ownTables(snapshot: number): void {
    const own = this.#followers.get(this.#options.self.memberId)!
    own.snapshot = Math.max(own.snapshot, snapshot)
  }

  /** The value that so many members reach or surpass. */
  reachedBy(count: number, value: (follower: Follower) => number): number {
    return [...this.#followers.values()].map(value).sort((a, b) => b - a)[count - 1]!
  }

  /** New entries of this leader, for everybody. */
  push(entries: readonly Entry[], now: Now): readonly FeedEffect[] {
    const first = entries[0]!.position
    for (const entry of entries) {
      this.#runs.push(entry.position, entry.ballot)
      this.#recent.push(entry)
    }
    const effects: FeedEffect[] = []
    for (const follower of this.#followers.values()) {
      if (follower.sender.memberId !== this.#options.self.memberId) effects.push(...this.feed(follower, now))
      else effects.push(this.#accept(follower, first - 1, entries, now))
    }
    return effects
  }

  /** Entries up to here are in the own store for good and need not be kept in memory. */
  forget(upTo: number): void {
    const first = this.#recent[0]?.position ?? upTo + 1
    if (upTo + 1 > first) this.#recent = this.#recent.slice(upTo + 1 - first)
  }

  /** Sends what a follower has not been sent, from memory or, further back, from the store. */
  feed(follower: Follower, now: Now): readonly FeedEffect[] {
    const effects: FeedEffect[] = []
    while (
      follower.probeSeq === null &&
      !follower.loading &&
      !follower.isCatchingUp &&
      follower.next <= this.#runs.end &&
      follower.next - 1 - follower.matched < FOLLOWER_AHEAD_MAX
    ) {
      const recentFirst = this.#recent[0]?.position ?? this.#runs.end + 1
      if (follower.next < recentFirst) {
        if (this.#isFar(follower)) follower.isCatchingUp = true
        else effects.push(this.#load(follower))
        break
      }
      const entries = chunk(this.#recent, follower.next - recentFirst)
      effects.push(this.#accept(follower, follower.next - 1, entries, now))
    }
    return effects
  }

  accepted(follower: Follower, message: Accepted, now: Now): void {
    follower.echoMs = Math.max(follower.echoMs, message.sentAtMs)
    follower.answeredMs = now.monoMs
    follower.matched = Math.max(follower.matched, message.matched)
    follower.snapshot = Math.max(follower.snapshot, message.snapshot)
    if (message.seq === follower.probeSeq) {
      follower.probeSeq = null
      follower.next = message.matched + 1
    }
    follower.next = Math.max(follower.next, follower.matched + 1)
    if (!this.#isFar(follower)) follower.isCatchingUp = false
  }

  /** A follower does not hold what an ACCEPT builds on. It is there all the same, which is what a lease counts. */
  mismatched(follower: Follower, message: Nack, next: number, now: Now): readonly FeedEffect[] {
    follower.answeredMs = now.monoMs
    if (message.sentAtMs !== undefined) follower.echoMs = Math.max(follower.echoMs, message.sentAtMs)
    if (follower.isCatchingUp) follower.next = Math.max(1, Math.min(next, this.#runs.end + 1))
    else {
      if (follower.probeSeq !== null && message.seq !== follower.probeSeq) return []
      follower.probeSeq = null
      follower.next = Math.max(1, Math.min(next, follower.next - 1))
    }
    follower.isCatchingUp = this.#isFar(follower)
    return follower.isCatchingUp ? [] : [this.probe(follower, now)]
  }

  /** Entries that were asked of the store. Null: they are not of the log that this leader was elected with. */
  loaded(peer: number, from: number, entries: readonly Entry[], now: Now): readonly FeedEffect[] | null {
    const follower = this.#followers.get(peer)
    if (follower === undefined || !follower.loading) return []
    follower.loading = false
    if (from !== follower.next || entries.length === 0) return []
    const isOurLog = entries.every(entry => {
      const ballot = this.#runs.ballotAt(entry.position)
      return ballot !== undefined && sameBallot(ballot, entry.ballot)
    })
    if (!isOurLog) return null
    const sent = this.#accept(follower, from - 1, chunk(entries, 0), now)
    return [sent, ...this.feed(follower, now)]
  }

  /** One small ACCEPT to find where the logs part; the answer brings the rest. */
  probe(follower: Follower, now: Now): FeedEffect {
    const effect = this.#accept(follower, follower.next - 1, [], now)
    follower.probeSeq = this.#seq
    follower.probedMs = now.monoMs
    return effect
  }

  /**
   * What is due to the others when nothing else was sent, looked at once in a heartbeat: with the whole of one as the
   * limit, a timer that is early by a hair would skip every second one. A lost batch shows by the answer to the next heartbeat. While a
   * probe is out other answers are passed over, so a probe that was lost itself has to be sent again.
   */
  beat(timing: { readonly heartbeatMs: number; readonly retransmitMs: number }, now: Now): readonly FeedEffect[] {
    const effects: FeedEffect[] = []
    for (const follower of this.#followers.values()) {
      if (follower.sender.memberId === this.#options.self.memberId) continue
      if (follower.next < this.begin) {
        follower.isCatchingUp = true
        follower.probeSeq = null
      }
      if (follower.probeSeq !== null && now.monoMs - follower.probedMs >= timing.retransmitMs) {
        effects.push(this.probe(follower, now))
      } else if (now.monoMs - follower.sentMs >= timing.heartbeatMs / 2) {
        // Who catches up is shown where the log ends; the refusal says how far it has come.
        const prev = follower.isCatchingUp ? this.#runs.end : follower.next - 1
        effects.push(this.#accept(follower, prev, [], now))
      }
    }
    return effects
  }

  /** By what is committed: the rest is nowhere else to be had, and is never much. */
  #isFar({ next }: Follower): boolean {
    return next < this.begin || this.commit + 1 - next > this.#options.limits.lagMax
  }

  #load(follower: Follower): FeedEffect {
    follower.loading = true
    return { type: 'load', peer: follower.sender.memberId, from: follower.next, countMax: BATCH_ENTRIES_MAX }
  }

  #accept(follower: Follower, prevPosition: number, entries: readonly Entry[], now: Now): FeedEffect {
    const prevBallot = this.#runs.ballotAt(prevPosition)
    assert(prevBallot !== undefined, 'a leader knows the ballots of its log', { position: prevPosition })
    const { self, ballot } = this.#options
    const message: Accept = {
      type: 'accept',
      from: self,
      ballot,
      seq: ++this.#seq,
      prev: { ballot: prevBallot, position: prevPosition },
      entries,
      commit: this.commit,
      begin: this.begin,
      sentAtMs: now.monoMs,
    }
    if (entries.length > 0) follower.next = Math.max(follower.next, prevPosition + entries.length + 1)
    follower.sentMs = now.monoMs
    return { type: 'send', to: follower.sender.memberId, message }
  }
}

function chunk(entries: readonly Entry[], from: number): readonly Entry[] {
  let to = from
  for (let bytes = 0; to < entries.length && to - from < BATCH_ENTRIES_MAX && bytes < BATCH_BYTES_MAX; to++) {
    bytes += entries[to]!.record.length
  }
  return entries.slice(from, to)
}
