/**
 * The coordinator: the proposer of a member. It wins a ballot from a quorum, writes its LEADER entry first, then appends:
 * batches in flight side by side, commits strictly in position order, results in the same order. One refusal with a
 * higher ballot ends it, for that proves that a newer leader may exist; then what is in flight ends unknown.
 *
 * Appends wait only for the own flush in progress, never for a timer: while one batch is being flushed the next one
 * gathers. Only entries of the own ballot are counted; older ones commit by implication, because copies of an older
 * leader's entry prove nothing. Source: the replicated log, C4 (commit), C5 and C7.
 */
import { assert, assertNever } from '../base/assert.ts'
import type { Now } from '../base/time.ts'
import { type Ballot, ballotText, compareBallots, NO_BALLOT, sameBallot } from './ballot.ts'
import type { BallotRuns } from './ballot-runs.ts'
import { quorumOf } from './descriptor.ts'
import { type Entry, encodeNote, makeEntries, makeEntry, PAYLOAD_BYTES_MAX } from './entry.ts'
import type { Accept, Accepted, Nack, PeerMessage, Prepare, Promised, Sender } from './messages.ts'
import type { LogTiming } from './timing.ts'

export const BATCH_ENTRIES_MAX = 1_024
export const BATCH_BYTES_MAX = 1024 * 1024
export const WINDOW_BATCHES_MAX = 64
export const WINDOW_BYTES_MAX = 16 * 1024 * 1024
export const WINDOW_POSITIONS_MAX = 8_192
export const QUEUE_MAX = 4_096
/** Committed but not yet in the row tables: more of it holds appends back, so that memory stays bounded. */
export const UNAPPLIED_MAX = 16_384

export type AppendOutcome =
  | { readonly type: 'ok'; readonly position: number }
  | { readonly type: 'notLeader' }
  | { readonly type: 'busy' }
  | { readonly type: 'tooLarge'; readonly bytes: number; readonly bytesMax: number }
  | { readonly type: 'noSpace'; readonly freeBytes: number }
  | { readonly type: 'unknown' }

/**
 * What an append was computed on. Another ballot than the leader's own: somebody else may have written since. `opening`
 * counts the times the caller has read its state anew: once an append of one is refused, all later ones of the same
 * opening are, because they build on what was not written.
 */
export interface AppendBasis {
  readonly ballot: Ballot
  readonly opening: number
}

export interface AppendRequest {
  readonly id: number
  readonly payload: Uint8Array
  /** Without one it is taken by whoever leads: for callers whose appends do not build on each other. */
  readonly basis?: AppendBasis | undefined
}

export type CoordinatorMessage =
  | { readonly type: 'candidacy'; readonly prepare: Prepare; readonly runs: BallotRuns; readonly commit: number }
  | Promised
  | Accepted
  | Nack
  | { readonly type: 'append'; readonly requests: readonly AppendRequest[] }
  | { readonly type: 'applied'; readonly position: number }
  /** Entries read for a follower that lags; `from` as asked. */
  | { readonly type: 'loaded'; readonly peer: number; readonly from: number; readonly entries: readonly Entry[] }
  | { readonly type: 'space'; readonly freeBytes: number; readonly full: boolean }
  | { readonly type: 'tick' }
  | { readonly type: 'stepDown'; readonly reason: string }
  /** This node is about to stop: leadership goes to the follower that holds most. */
  | { readonly type: 'handOver' }

export type CoordinatorEffect =
  | { readonly type: 'send'; readonly to: number; readonly message: PeerMessage }
  /** In position order. */
  | { readonly type: 'results'; readonly results: readonly { readonly id: number; readonly outcome: AppendOutcome }[] }
  | { readonly type: 'commit'; readonly position: number }
  | { readonly type: 'load'; readonly peer: number; readonly from: number; readonly countMax: number }
  /** The LEADER entry is committed and applied: appends are taken from here on. */
  | { readonly type: 'serving'; readonly ballot: Ballot; readonly position: number }
  | { readonly type: 'lost'; readonly reason: string; readonly roundSeen: number }
  /** Whether `tick` is wanted every heartbeat; with one voter there is nobody to beat for. */
  | { readonly type: 'ticking'; readonly on: boolean }

interface Follower {
  readonly sender: Sender
  matched: number
  /** The next position to send. */
  next: number
  /** Looking for where the logs part: one ACCEPT at a time, known by its number. */
  probeSeq: number | null
  loading: boolean
  /** Own send time of the newest ACCEPT it answered. */
  echoMs: number
  sentMs: number
  probedMs: number
  answeredMs: number
}

interface Batch {
  readonly last: number
  readonly bytes: number
  readonly count: number
  readonly cutMs: number
}

/** What a follower may have received and not answered. */
const FOLLOWER_AHEAD_MAX = 2_048

export class CoordinatorCore {
  readonly #self: number
  readonly #timing: LogTiming
  readonly #software: string
  #role: 'idle' | 'preparing' | 'leading' = 'idle'
  #ballot: Ballot = NO_BALLOT
  #roundSeen = 0
  #prepare: Prepare | null = null
  #voters: readonly Sender[] = []
  #quorum = 0
  #promises = new Map<number, Promised>()
  #refusals = new Set<number>()
  #prepareSentMs = 0
  #runs: BallotRuns | null = null
  #followers = new Map<number, Follower>()
  /** Entries after `#recentFirst - 1`, not yet both committed and flushed here: followers are fed from memory. */
  #recent: Entry[] = []
  #batches: Batch[] = []
  #inFlight: { readonly position: number; readonly id: number }[] = []
  #inFlightHead = 0
  #queue: AppendRequest[] = []
  #queueHead = 0
  #queueBytes = 0
  #commit = 0
  #applied = 0
  #leaderPosition = 0
  #serving = false
  #seq = 0
  #full = false
  #freeBytes = 0
  #openingRefused = 0

  constructor(options: { readonly self: number; readonly timing: LogTiming; readonly software: string }) {
    this.#self = options.self
    this.#timing = options.timing
    this.#software = options.software
  }

  get role(): 'idle' | 'preparing' | 'leading' {
    return this.#role
  }
  get serving(): boolean {
    return this.#serving
  }
  get ballot(): Ballot {
    return this.#ballot
  }
  get commit(): number {
    return this.#commit
  }
  get queued(): number {
    return this.#queue.length - this.#queueHead
  }
  get inFlight(): number {
    return this.#inFlight.length - this.#inFlightHead
  }

  /** A read under the lease must be evaluated before this moment of the own monotonic clock is looked at. */
  leaseUntilMonoMs(now: Now): number {
    if (!this.#serving) return Number.NEGATIVE_INFINITY
    if (this.#voters.length === 1) return Number.POSITIVE_INFINITY
    return this.#quorumContactMs(now) + this.#timing.leaseMs * (1 - this.#timing.clockDrift)
  }

  handle(message: CoordinatorMessage, now: Now): readonly CoordinatorEffect[] {
    switch (message.type) {
      case 'candidacy':
        return this.#onCandidacy(message)
      case 'promise':
        return this.#onPromise(message, now)
      case 'accepted':
        return this.#onAccepted(message, now)
      case 'nack':
        return this.#onNack(message, now)
      case 'append':
        return this.#onAppend(message.requests, now)
      case 'applied':
        return this.#onApplied(message.position, now)
      case 'loaded':
        return this.#onLoaded(message, now)
      case 'space':
        this.#full = message.full
        this.#freeBytes = message.freeBytes
        return []
      case 'tick':
        return this.#onTick(now)
      case 'stepDown':
        return this.#role === 'idle' ? [] : this.#lose(message.reason)
      case 'handOver':
        return this.#onHandOver(now)
      default:
        return assertNever(message)
    }
  }

  #onCandidacy(message: CoordinatorMessage & { type: 'candidacy' }): readonly CoordinatorEffect[] {
    const effects = this.#role === 'idle' ? [] : [...this.#lose('a new candidacy')]
    const { prepare } = message
    this.#role = 'preparing'
    this.#ballot = prepare.ballot
    this.#roundSeen = Math.max(this.#roundSeen, prepare.ballot[0])
    this.#prepare = prepare
    this.#voters = prepare.voters
    this.#quorum = quorumOf(prepare.voters.length)
    this.#runs = message.runs
    this.#commit = message.commit
    this.#promises = new Map()
    this.#refusals = new Set()
    this.#prepareSentMs = 0
    if (this.#voters.length > 1) effects.push({ type: 'ticking', on: true })
    return effects
  }

  #onPromise(message: Promised, now: Now): readonly CoordinatorEffect[] {
    if (this.#role !== 'preparing' || !sameBallot(message.ballot, this.#ballot) || !this.#counts(message.from))
      return []
    this.#promises.set(message.from.memberId, message)
    this.#refusals.delete(message.from.memberId)
    const effects: CoordinatorEffect[] = []
    // The own promise is on disk now, so the ballot can never be used again: only then do others hear of it.
    if (message.from.memberId === this.#self) effects.push(...this.#sendPrepare(now))
    if (this.#promises.size >= this.#quorum && this.#promises.has(this.#self)) effects.push(...this.#lead(now))
    return effects
  }

  #sendPrepare(now: Now): readonly CoordinatorEffect[] {
    this.#prepareSentMs = now.monoMs
    return this.#voters
      .filter(voter => voter.memberId !== this.#self && !this.#promises.has(voter.memberId))
      .map(voter => ({ type: 'send', to: voter.memberId, message: this.#prepare! }))
  }

  #lead(now: Now): readonly CoordinatorEffect[] {
    this.#role = 'leading'
    const end = this.#runs!.end
    this.#followers = new Map(
      this.#voters.map(sender => [
        sender.memberId,
        {
          sender,
          matched: 0,
          next: Math.min(end, this.#promises.get(sender.memberId)?.last.position ?? end) + 1,
          probeSeq: null,
          loading: false,
          echoMs: now.monoMs,
          sentMs: now.monoMs,
          probedMs: now.monoMs,
          answeredMs: now.monoMs,
        },
      ]),
    )
    this.#recent = []
    this.#batches = []
    this.#leaderPosition = end + 1
    const note = encodeNote({ memberId: this.#self, wallMs: now.wallMs, software: this.#software })
    return this.#sendBatch([makeEntry(end + 1, this.#ballot, 'LEADER', note)], now)
  }

  #onAccepted(message: Accepted, now: Now): readonly CoordinatorEffect[] {
    const follower = this.#followerOf(message)
    if (follower === undefined) return []
    follower.echoMs = Math.max(follower.echoMs, message.sentAtMs)
    follower.answeredMs = now.monoMs
    follower.matched = Math.max(follower.matched, message.matched)
    if (message.seq === follower.probeSeq) {
      follower.probeSeq = null
      follower.next = message.matched + 1
    }
    follower.next = Math.max(follower.next, follower.matched + 1)
    const effects = [...this.#advanceCommit()]
    if (follower.sender.memberId === this.#self) effects.push(...this.#cut(now))
    else effects.push(...this.#feed(follower, now))
    return effects
  }

  #onNack(message: Nack, now: Now): readonly CoordinatorEffect[] {
    if (!this.#counts(message.from) || this.#role === 'idle') return []
    const isOurs = sameBallot(message.ballot, this.#ballot)
    if (compareBallots(message.promised, this.#ballot) > 0) {
      this.#roundSeen = Math.max(this.#roundSeen, message.promised[0])
      // A refusal by one member is enough: a higher ballot exists.
      if (isOurs)
        return this.#lose(`member ${message.from.memberId} has promised ballot ${ballotText(message.promised)}`)
    }
    if (!isOurs) return []
    if (this.#role === 'preparing') return this.#onPrepareRefused(message)
    const follower = this.#followerOf(message)
    if (follower === undefined) return []
    if (follower.sender.memberId === this.#self) {
      return this.#lose(`the own replica refused an entry: ${message.reason.type}`)
    }
    follower.answeredMs = now.monoMs
    if (message.sentAtMs !== undefined && message.reason.type === 'MISMATCH') {
      follower.echoMs = Math.max(follower.echoMs, message.sentAtMs)
    }
    if (message.reason.type !== 'MISMATCH') return []
    if (follower.probeSeq !== null && message.seq !== follower.probeSeq) return []
    follower.probeSeq = null
    follower.next = Math.max(1, Math.min(message.reason.next, follower.next - 1))
    return this.#probe(follower, now)
  }

  #onPrepareRefused(message: Nack): readonly CoordinatorEffect[] {
    const { memberId } = message.from
    this.#promises.delete(memberId)
    this.#refusals.add(memberId)
    const isHopeless = memberId === this.#self || this.#voters.length - this.#refusals.size < this.#quorum
    return isHopeless ? this.#lose(`member ${memberId} refused to promise: ${message.reason.type}`) : []
  }

  #onAppend(requests: readonly AppendRequest[], now: Now): readonly CoordinatorEffect[] {
    const refused: { id: number; outcome: AppendOutcome }[] = []
    for (const request of requests) {
      const outcome = this.#refusal(request)
      if (outcome !== null) {
        refused.push({ id: request.id, outcome })
        this.#openingRefused = Math.max(this.#openingRefused, request.basis?.opening ?? 0)
      } else {
        this.#queue.push(request)
        this.#queueBytes += request.payload.length
      }
    }
    const effects = this.#serving ? [...this.#cut(now)] : []
    if (refused.length > 0) effects.push({ type: 'results', results: refused })
    return effects
  }

  #refusal(request: AppendRequest): AppendOutcome | null {
    const { basis } = request
    if (!this.#serving || (basis !== undefined && !this.#isCurrent(basis))) return { type: 'notLeader' }
    const bytes = request.payload.length
    if (bytes > PAYLOAD_BYTES_MAX) return { type: 'tooLarge', bytes, bytesMax: PAYLOAD_BYTES_MAX }
    if (this.#full) return { type: 'noSpace', freeBytes: this.#freeBytes }
    return this.queued >= QUEUE_MAX ? { type: 'busy' } : null
  }

  #isCurrent({ ballot, opening }: AppendBasis): boolean {
    return sameBallot(ballot, this.#ballot) && opening > this.#openingRefused
  }

  /** Cuts batches off the queue: any size while the own replica is idle, else only full ones. */
  #cut(now: Now): readonly CoordinatorEffect[] {
    const effects: CoordinatorEffect[] = []
    while (this.#serving && this.queued > 0 && this.#hasRoom()) {
      const isFlushing = this.#followers.get(this.#self)!.matched < this.#runs!.end
      if (isFlushing && this.queued < BATCH_ENTRIES_MAX && this.#queueBytes < BATCH_BYTES_MAX) break
      const payloads: Uint8Array[] = []
      let bytes = 0
      const first = this.#runs!.end + 1
      const countMax = Math.min(BATCH_ENTRIES_MAX, WINDOW_POSITIONS_MAX - (first - 1 - this.#commit))
      while (payloads.length < countMax && this.queued > 0) {
        const request = this.#queue[this.#queueHead]!
        if (payloads.length > 0 && bytes + request.payload.length > BATCH_BYTES_MAX) break
        this.#queueHead++
        bytes += request.payload.length
        this.#inFlight.push({ position: first + payloads.length, id: request.id })
        payloads.push(request.payload)
      }
      this.#queueBytes -= bytes
      effects.push(...this.#sendBatch(makeEntries(first, this.#ballot, 'DATA', payloads), now))
    }
    if (this.#queueHead > 0 && (this.#queueHead === this.#queue.length || this.#queueHead > QUEUE_MAX)) {
      this.#queue = this.#queue.slice(this.#queueHead)
      this.#queueHead = 0
    }
    return effects
  }

  #hasRoom(): boolean {
    const positions = this.#runs!.end - this.#commit
    const bytes = this.#batches.reduce((sum, batch) => sum + batch.bytes, 0)
    return (
      this.#batches.length < WINDOW_BATCHES_MAX &&
      bytes < WINDOW_BYTES_MAX &&
      positions < WINDOW_POSITIONS_MAX &&
      this.#commit - this.#applied < UNAPPLIED_MAX
    )
  }

  #sendBatch(entries: readonly Entry[], now: Now): readonly CoordinatorEffect[] {
    const first = entries[0]!.position
    let bytes = 0
    for (const entry of entries) {
      this.#runs!.push(entry.position, entry.ballot)
      this.#recent.push(entry)
      bytes += entry.record.length
    }
    this.#batches.push({ last: this.#runs!.end, bytes, count: entries.length, cutMs: now.monoMs })
    const effects: CoordinatorEffect[] = []
    for (const follower of this.#followers.values()) {
      if (follower.sender.memberId !== this.#self) effects.push(...this.#feed(follower, now))
      else effects.push(this.#accept(follower, first - 1, entries, now))
    }
    return effects
  }

  /** Sends what a follower has not been sent, from memory or, further back, from the store. */
  #feed(follower: Follower, now: Now): readonly CoordinatorEffect[] {
    const effects: CoordinatorEffect[] = []
    while (
      follower.probeSeq === null &&
      !follower.loading &&
      follower.next <= this.#runs!.end &&
      follower.next - 1 - follower.matched < FOLLOWER_AHEAD_MAX
    ) {
      const recentFirst = this.#recent[0]?.position ?? this.#runs!.end + 1
      if (follower.next < recentFirst) return [...effects, this.#load(follower)]
      const from = follower.next - recentFirst
      const entries = this.#chunk(this.#recent, from)
      effects.push(this.#accept(follower, follower.next - 1, entries, now))
    }
    return effects
  }

  #chunk(entries: readonly Entry[], from: number): readonly Entry[] {
    let to = from
    for (let bytes = 0; to < entries.length && to - from < BATCH_ENTRIES_MAX && bytes < BATCH_BYTES_MAX; to++) {
      bytes += entries[to]!.record.length
    }
    return entries.slice(from, to)
  }

  #load(follower: Follower): CoordinatorEffect {
    follower.loading = true
    return { type: 'load', peer: follower.sender.memberId, from: follower.next, countMax: BATCH_ENTRIES_MAX }
  }

  #onLoaded(message: CoordinatorMessage & { type: 'loaded' }, now: Now): readonly CoordinatorEffect[] {
    const follower = this.#followers.get(message.peer)
    if (this.#role !== 'leading' || follower === undefined || !follower.loading) return []
    follower.loading = false
    if (message.from !== follower.next || message.entries.length === 0) return []
    const isOurLog = message.entries.every(entry => {
      const ballot = this.#runs!.ballotAt(entry.position)
      return ballot !== undefined && sameBallot(ballot, entry.ballot)
    })
    if (!isOurLog) return this.#lose('the own log is no longer the one this leader was elected with')
    const sent = this.#accept(follower, message.from - 1, this.#chunk(message.entries, 0), now)
    return [sent, ...this.#feed(follower, now)]
  }

  /** One small ACCEPT to find where the logs part; the answer brings the rest. */
  #probe(follower: Follower, now: Now): readonly CoordinatorEffect[] {
    const effect = this.#accept(follower, follower.next - 1, [], now)
    follower.probeSeq = this.#seq
    follower.probedMs = now.monoMs
    return [effect]
  }

  #accept(follower: Follower, prevPosition: number, entries: readonly Entry[], now: Now): CoordinatorEffect {
    const prevBallot = prevPosition === 0 ? NO_BALLOT : this.#runs!.ballotAt(prevPosition)
    assert(prevBallot !== undefined, 'a leader knows the ballots of its log', { position: prevPosition })
    const message: Accept = {
      type: 'accept',
      from: this.#prepare!.from,
      ballot: this.#ballot,
      seq: ++this.#seq,
      prev: { ballot: prevBallot, position: prevPosition },
      entries,
      commit: this.#commit,
      sentAtMs: now.monoMs,
    }
    follower.next = Math.max(follower.next, prevPosition + entries.length + 1)
    follower.sentMs = now.monoMs
    return { type: 'send', to: follower.sender.memberId, message }
  }

  /** The highest position of the own ballot that a quorum holds on disk, the own replica only after its own flush. */
  #advanceCommit(): readonly CoordinatorEffect[] {
    const matched = [...this.#followers.values()].map(follower => follower.matched).sort((a, b) => b - a)
    const position = matched[this.#quorum - 1]!
    const held = this.#followers.get(this.#self)!.matched
    // The own replica applies what is committed, so it must hold it; it always will, being the source.
    const reached = Math.min(position, held)
    if (reached < this.#leaderPosition || reached <= this.#commit) return this.#forget(held)
    this.#commit = reached
    const results: { id: number; outcome: AppendOutcome }[] = []
    while (this.inFlight > 0 && this.#inFlight[this.#inFlightHead]!.position <= reached) {
      const { id, position: at } = this.#inFlight[this.#inFlightHead++]!
      results.push({ id, outcome: { type: 'ok', position: at } })
    }
    if (this.#inFlightHead > WINDOW_POSITIONS_MAX || this.inFlight === 0) {
      this.#inFlight = this.#inFlight.slice(this.#inFlightHead)
      this.#inFlightHead = 0
    }
    this.#batches = this.#batches.filter(batch => batch.last > reached)
    this.#forget(held)
    const effects: CoordinatorEffect[] = [{ type: 'commit', position: reached }]
    if (results.length > 0) effects.push({ type: 'results', results })
    return effects
  }

  #forget(held: number): readonly CoordinatorEffect[] {
    const keepFrom = Math.min(this.#commit, held) + 1
    const first = this.#recent[0]?.position ?? keepFrom
    if (keepFrom > first) this.#recent = this.#recent.slice(keepFrom - first)
    return []
  }

  #onApplied(position: number, now: Now): readonly CoordinatorEffect[] {
    this.#applied = Math.max(this.#applied, position)
    if (this.#role !== 'leading') return []
    if (!this.#serving && this.#commit >= this.#leaderPosition && position >= this.#leaderPosition) {
      this.#serving = true
      return [{ type: 'serving', ballot: this.#ballot, position: this.#leaderPosition }]
    }
    return this.#cut(now)
  }

  #onTick(now: Now): readonly CoordinatorEffect[] {
    const { retransmitMs, leaseMs, heartbeatMs, undecidedMsMax } = this.#timing
    if (this.#role === 'preparing') {
      const isDue = this.#promises.has(this.#self) && now.monoMs - this.#prepareSentMs >= retransmitMs
      return isDue ? this.#sendPrepare(now) : []
    }
    if (this.#role !== 'leading') return []
    if (now.monoMs - this.#quorumContactMs(now) > leaseMs) return this.#lose('no quorum has answered within the lease')
    const oldest = this.#batches[0]
    if (oldest !== undefined && now.monoMs - oldest.cutMs > undecidedMsMax) {
      return this.#lose(`position ${oldest.last} stayed undecided for ${undecidedMsMax} ms`)
    }
    const effects: CoordinatorEffect[] = []
    for (const follower of this.#followers.values()) {
      if (follower.sender.memberId === this.#self) continue
      // A lost batch shows by the answer to the next heartbeat. While a probe is out other answers are passed over, so a
      // probe that was lost itself has to be sent again.
      if (follower.probeSeq !== null && now.monoMs - follower.probedMs >= retransmitMs) {
        effects.push(...this.#probe(follower, now))
      } else if (now.monoMs - follower.sentMs >= heartbeatMs) {
        effects.push(this.#accept(follower, follower.next - 1, [], now))
      }
    }
    return effects
  }

  /** The leader ends first, so nothing is acknowledged under a ballot that has been released. */
  #onHandOver(now: Now): readonly CoordinatorEffect[] {
    if (this.#role === 'idle') return []
    const successor = [...this.#followers.values()]
      .filter(({ sender, answeredMs }) => {
        return sender.memberId !== this.#self && now.monoMs - answeredMs < this.#timing.leaseMs
      })
      .sort((a, b) => b.matched - a.matched)[0]
    const message = { type: 'release', from: this.#prepare!.from, ballot: this.#ballot, commit: this.#commit } as const
    const wasServing = this.#serving
    const effects = this.#lose('this node stops')
    if (successor === undefined || !wasServing) return effects
    return [...effects, { type: 'send', to: successor.sender.memberId, message }]
  }

  /** When a quorum was last known to be there, by own send times: network delay can only make it earlier. */
  #quorumContactMs(now: Now): number {
    const times = [...this.#followers.values()].map(follower =>
      follower.sender.memberId === this.#self ? now.monoMs : follower.echoMs,
    )
    return times.sort((a, b) => b - a)[this.#quorum - 1]!
  }

  /** Leadership or candidacy is over: in flight ends unknown, in the queue was certainly not written. */
  #lose(reason: string): readonly CoordinatorEffect[] {
    const results: { id: number; outcome: AppendOutcome }[] = []
    for (const { id } of this.#inFlight.slice(this.#inFlightHead)) results.push({ id, outcome: { type: 'unknown' } })
    for (const { id } of this.#queue.slice(this.#queueHead)) results.push({ id, outcome: { type: 'notLeader' } })
    this.#role = 'idle'
    this.#serving = false
    this.#queue = []
    this.#queueHead = 0
    this.#queueBytes = 0
    this.#inFlight = []
    this.#inFlightHead = 0
    this.#batches = []
    this.#recent = []
    this.#followers = new Map()
    this.#promises = new Map()
    const effects: CoordinatorEffect[] = [
      { type: 'ticking', on: false },
      { type: 'lost', reason, roundSeen: this.#roundSeen },
    ]
    if (results.length > 0) effects.push({ type: 'results', results })
    return effects
  }

  #counts(sender: Sender): boolean {
    return this.#voters.some(voter => voter.memberId === sender.memberId && voter.incarnation === sender.incarnation)
  }

  #followerOf(message: Accepted | Nack): Follower | undefined {
    if (this.#role !== 'leading' || !sameBallot(message.ballot, this.#ballot) || !this.#counts(message.from)) return
    return this.#followers.get(message.from.memberId)
  }

  invariants(): void {
    if (this.#role !== 'leading') return
    assert(this.#commit <= this.#runs!.end, 'nothing is committed that was not appended', {
      commit: this.#commit,
      end: this.#runs!.end,
    })
    assert(!this.#serving || this.#commit >= this.#leaderPosition, 'a leader serves after its LEADER entry committed', {
      commit: this.#commit,
      leader: this.#leaderPosition,
    })
  }
}
