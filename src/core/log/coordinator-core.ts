/**
 * The coordinator: the proposer of a member. It wins a ballot from a quorum, writes its LEADER entry first, then appends:
 * batches in flight side by side, commits strictly in position order, results in the same order. One refusal with a
 * higher ballot ends it, for that proves that a newer leader may exist; then what is in flight ends unknown.
 *
 * While one batch is on its way the next one gathers; when it is cut says `group-commit.ts`. Only entries of the own ballot
 * are counted; older ones commit by implication, because copies of an older leader's entry prove nothing. Source: the
 * replicated log, C4 (commit), C5 and C7.
 */
import { assert, assertNever } from '../base/assert.ts'
import type { Now } from '../base/time.ts'
import { type Ballot, ballotText, compareBallots, NO_BALLOT, sameBallot } from './ballot.ts'
import type { BallotRuns } from './ballot-runs.ts'
import { quorumOf } from './descriptor.ts'
import { type CheckpointNote, type Entry, encodeNote, makeEntries, makeEntry, PAYLOAD_BYTES_MAX } from './entry.ts'
import { BATCH_BYTES_MAX, BATCH_ENTRIES_MAX, type Follower, FollowerFeed } from './follower-feed.ts'
import { GroupCommit } from './group-commit.ts'
import { beginWatch, type Lease, type LeaseDoubt, type LeaseWatch, leaseOf, watchLease } from './lease.ts'
import type { LogLimits } from './limits.ts'
import type { Accepted, Nack, PeerMessage, Prepare, Promised, Sender } from './messages.ts'
import { type Reign, type SpaceTold, Succession, type TransferAnswer } from './succession.ts'
import type { LogTiming } from './timing.ts'

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
  | {
      readonly type: 'candidacy'
      readonly prepare: Prepare
      readonly runs: BallotRuns
      readonly commit: number
      readonly begin: number
    }
  | Promised
  | Accepted
  | Nack
  | { readonly type: 'append'; readonly requests: readonly AppendRequest[] }
  /**
   * `snapshot`: up to where the own tables stand for the log, on disk. `checkpoint`: the digest of the row tables at a
   * position where digests are compared, if one was passed.
   */
  | {
      readonly type: 'applied'
      readonly position: number
      readonly snapshot: number
      readonly checkpoint?: CheckpointNote | undefined
    }
  /** The own store begins here now. */
  | { readonly type: 'dropped'; readonly begin: number }
  /** Entries read for a follower that lags; `from` as asked. */
  | { readonly type: 'loaded'; readonly peer: number; readonly from: number; readonly entries: readonly Entry[] }
  | ({ readonly type: 'space' } & SpaceTold)
  | { readonly type: 'tick' }
  /** The time of a `cutLater` has come. */
  | { readonly type: 'cut' }
  | { readonly type: 'stepDown'; readonly reason: string }
  /** This node is about to stop: leadership goes to the follower that holds most, at once. */
  | { readonly type: 'handOver' }
  /** Somebody wants this member to lead, or whoever holds most; answered by one `transfer` effect. */
  | { readonly type: 'transfer'; readonly to: number | null }

export type CoordinatorEffect =
  | { readonly type: 'send'; readonly to: number; readonly message: PeerMessage }
  /** In position order. */
  | { readonly type: 'results'; readonly results: readonly { readonly id: number; readonly outcome: AppendOutcome }[] }
  | { readonly type: 'commit'; readonly position: number }
  | { readonly type: 'load'; readonly peer: number; readonly from: number; readonly countMax: number }
  /** A quorum has promised; the LEADER entry is on its way to it. */
  | { readonly type: 'elected'; readonly ballot: Ballot }
  /** The LEADER entry is committed and applied: appends are taken from here on. */
  | { readonly type: 'serving'; readonly ballot: Ballot; readonly position: number }
  | { readonly type: 'lost'; readonly reason: string; readonly roundSeen: number; readonly isHandedOver?: boolean }
  | { readonly type: 'transfer'; readonly answer: TransferAnswer }
  /** A hand-over that nobody had asked for did not work out. */
  | { readonly type: 'handOverFailed'; readonly to: number; readonly reason: string }
  /** The own clocks are not to be believed: no lease until a quorum has answered what is sent from here on. */
  | { readonly type: 'leaseDoubted'; readonly doubt: LeaseDoubt }
  /** Appends wait for others to share a batch with, at the longest for so long; in the place of an earlier one. */
  | { readonly type: 'cutLater'; readonly afterMs: number }
  /** Whether `tick` is wanted every heartbeat; with one voter there is nobody to beat for. */
  | { readonly type: 'ticking'; readonly on: boolean }

interface Batch {
  readonly last: number
  readonly bytes: number
  readonly count: number
  readonly cutMs: number
}

export class CoordinatorCore {
  readonly #self: number
  readonly #timing: LogTiming
  readonly #software: string
  readonly #limits: LogLimits
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
  /** Of this reign; null before and after it. */
  #feed: FollowerFeed | null = null
  #begin = 1
  #truncateTo = 1
  #checkpoint = 0
  #batches: Batch[] = []
  #inFlight: { readonly position: number; readonly id: number }[] = []
  #inFlightHead = 0
  #queue: AppendRequest[] = []
  #queueHead = 0
  #queueBytes = 0
  readonly #grouping = new GroupCommit()
  /** When a `cutLater` ends that is under way. */
  #cutDueMs: number | null = null
  #commit = 0
  #applied = 0
  #leaderPosition = 0
  #serving = false
  #seq = 0
  #full = false
  #freeBytes = 0
  #openingRefused = 0
  #watch: LeaseWatch | null = null
  readonly #succession: Succession

  constructor(options: {
    readonly self: number
    readonly timing: LogTiming
    readonly limits: LogLimits
    readonly software: string
  }) {
    this.#self = options.self
    this.#limits = options.limits
    this.#timing = options.timing
    this.#software = options.software
    this.#succession = new Succession(options.self, options.timing)
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

  /** As of the last message. Null without one: not serving, or in doubt. */
  get lease(): Lease | null {
    if (!this.#serving || this.#watch === null) return null
    return leaseOf(this.#watch, this.#ballot, this.#quorumContactMs(Number.POSITIVE_INFINITY), this.#timing)
  }

  handle(message: CoordinatorMessage, now: Now): readonly CoordinatorEffect[] {
    const doubted = this.#lookAtClocks(now)
    const effects = this.#handle(message, now)
    return doubted.length === 0 ? effects : [...doubted, ...effects]
  }

  /** Before the message counts for anything: an answer to what was sent before a suspend must not renew the lease. */
  #lookAtClocks(now: Now): readonly CoordinatorEffect[] {
    if (this.#watch === null || this.#voters.length === 1) return []
    const contactMonoMs = this.#quorumContactMs(now.monoMs)
    const { watch, doubt } = watchLease(this.#watch, now, { contactMonoMs, leaseMs: this.#timing.leaseMs })
    this.#watch = watch
    return doubt === null ? [] : [{ type: 'leaseDoubted', doubt }]
  }

  #handle(message: CoordinatorMessage, now: Now): readonly CoordinatorEffect[] {
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
        return this.#onApplied(message, now)
      case 'dropped':
        this.#begin = message.begin
        if (this.#feed !== null) this.#feed.begin = message.begin
        return []
      case 'loaded':
        return this.#onLoaded(message, now)
      case 'space':
        this.#full = message.full
        this.#freeBytes = message.freeBytes
        this.#succession.space(message, now)
        return []
      case 'tick':
        return this.#onTick(now)
      case 'cut':
        this.#cutDueMs = null
        return this.#cut(now)
      case 'stepDown':
        return this.#role === 'idle' ? [] : this.#lose(message.reason)
      case 'handOver':
        return this.#onHandOver(now)
      case 'transfer':
        return this.#onTransfer(message.to, now)
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
    this.#begin = message.begin
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
    this.#watch = beginWatch(now)
    this.#succession.begin()
    const end = this.#runs!.end
    this.#feed = new FollowerFeed(
      {
        self: this.#prepare!.from,
        ballot: this.#ballot,
        voters: this.#voters,
        limits: this.#limits,
        runs: this.#runs!,
        begin: this.#begin,
        commit: this.#commit,
        lastOf: memberId => this.#promises.get(memberId)?.last,
        seq: this.#seq,
      },
      now,
    )
    this.#batches = []
    // What earlier leaders have said of either is not known here: saying it again does no harm.
    this.#truncateTo = this.#begin
    this.#checkpoint = 0
    this.#leaderPosition = end + 1
    const note = encodeNote({ memberId: this.#self, wallMs: now.wallMs, software: this.#software })
    const elected = { type: 'elected', ballot: this.#ballot } as const
    return [elected, ...this.#sendBatch([makeEntry(end + 1, this.#ballot, 'LEADER', note)], now)]
  }

  #onAccepted(message: Accepted, now: Now): readonly CoordinatorEffect[] {
    const follower = this.#followerOf(message)
    if (follower === undefined) return []
    const feed = this.#feed!
    const { held } = feed
    feed.accepted(follower, message, now)
    if (feed.held > held) this.#ownFlushed(now)
    const effects = [...this.#advanceCommit(now)]
    if (follower.sender.memberId !== this.#self) effects.push(...feed.feed(follower, now))
    effects.push(...this.#cut(now))
    this.#succession.heard(follower.sender.memberId, message)
    return [...effects, ...this.#succeed(now)]
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
    if (message.reason.type === 'MISMATCH') {
      return this.#feed!.mismatched(follower, message, message.reason.next, now)
    }
    follower.answeredMs = now.monoMs
    return []
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

  #ownFlushed(now: Now): void {
    const { held } = this.#feed!
    const batch = this.#batches.findLast(({ last }) => last <= held)
    if (batch !== undefined) this.#grouping.flushed(now.monoMs - batch.cutMs, now.monoMs)
  }

  /** Cuts batches off the queue: full ones, and what is not to be held for others to come. */
  #cut(now: Now): readonly CoordinatorEffect[] {
    const effects: CoordinatorEffect[] = []
    while (this.#serving && !this.#succession.isPreparing && this.queued > 0 && this.#hasRoom()) {
      const heldMs = this.#heldMs(now)
      if (heldMs > 0) {
        effects.push(...this.#cutLater(heldMs, now))
        break
      }
      this.#grouping.cut(this.queued)
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

  #heldMs(now: Now): number {
    if (this.queued >= BATCH_ENTRIES_MAX || this.#queueBytes >= BATCH_BYTES_MAX) return 0
    const { end } = this.#runs!
    const waiting = { queued: this.queued, isFlushing: this.#feed!.held < end, isCommitted: this.#commit >= end }
    return this.#grouping.heldMs(waiting, now.monoMs)
  }

  /** One that is under way and ends earlier is left: then it is looked again. One that ends later would hold too long. */
  #cutLater(afterMs: number, now: Now): readonly CoordinatorEffect[] {
    const dueMs = now.monoMs + afterMs
    if (dueMs === Number.POSITIVE_INFINITY || (this.#cutDueMs !== null && this.#cutDueMs <= dueMs)) return []
    this.#cutDueMs = dueMs
    return [{ type: 'cutLater', afterMs }]
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
    let bytes = 0
    for (const entry of entries) bytes += entry.record.length
    const last = entries.at(-1)!.position
    this.#batches.push({ last, bytes, count: entries.length, cutMs: now.monoMs })
    return this.#feed!.push(entries, now)
  }

  #onLoaded(message: CoordinatorMessage & { type: 'loaded' }, now: Now): readonly CoordinatorEffect[] {
    if (this.#role !== 'leading') return []
    const effects = this.#feed!.loaded(message.peer, message.from, message.entries, now)
    return effects ?? this.#lose('the own log is no longer the one this leader was elected with')
  }

  /** The highest position of the own ballot that a quorum holds on disk, the own replica only after its own flush. */
  #advanceCommit(now: Now): readonly CoordinatorEffect[] {
    const feed = this.#feed!
    const { held } = feed
    const position = feed.reachedBy(this.#quorum, ({ matched }) => matched)
    // The own replica applies what is committed, so it must hold it; it always will, being the source.
    const reached = Math.min(position, held)
    if (reached < this.#leaderPosition || reached <= this.#commit) return this.#forget(held)
    this.#commit = reached
    feed.commit = reached
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
    if (results.length > 0) this.#grouping.committed(results.length, this.queued, now.monoMs)
    this.#forget(held)
    const effects: CoordinatorEffect[] = [{ type: 'commit', position: reached }]
    if (results.length > 0) effects.push({ type: 'results', results })
    return effects
  }

  #forget(held: number): readonly CoordinatorEffect[] {
    this.#feed!.forget(Math.min(this.#commit, held))
    return []
  }

  #onApplied(message: CoordinatorMessage & { type: 'applied' }, now: Now): readonly CoordinatorEffect[] {
    const { position, snapshot, checkpoint } = message
    this.#applied = Math.max(this.#applied, position)
    if (this.#role !== 'leading') return []
    this.#feed!.ownTables(snapshot)
    if (!this.#serving && this.#commit >= this.#leaderPosition && position >= this.#leaderPosition) {
      this.#serving = true
      const serving = { type: 'serving', ballot: this.#ballot, position: this.#leaderPosition } as const
      // That the reign has begun is heard without waiting for a heartbeat: whoever handed over looks for it.
      return [serving, ...this.#feed!.beat({ ...this.#timing, heartbeatMs: 0 }, now)]
    }
    return [...this.#cut(now), ...this.#sayCheckpoint(checkpoint, now), ...this.#truncate(now)]
  }

  /** Every replica compares its own tables at that position with these. */
  #sayCheckpoint(checkpoint: CheckpointNote | undefined, now: Now): readonly CoordinatorEffect[] {
    if (!this.#serving || checkpoint === undefined || checkpoint.position <= this.#checkpoint) return []
    this.#checkpoint = checkpoint.position
    return this.#say('CHECKPOINT', encodeNote(checkpoint), now)
  }

  /** Nobody needs what the tables of a quorum stand for, except those who were away for a moment. */
  #truncate(now: Now): readonly CoordinatorEffect[] {
    if (!this.#serving) return []
    const { entriesKept, truncateStep } = this.#limits
    const snapshot = this.#feed!.reachedBy(this.#quorum, follower => follower.snapshot)
    const to = Math.min(snapshot, this.#commit - entriesKept) + 1
    if (to - this.#truncateTo < truncateStep) return []
    this.#truncateTo = to
    return this.#say('TRUNCATE', encodeNote({ to }), now)
  }

  #say(type: 'CHECKPOINT' | 'TRUNCATE', note: Uint8Array, now: Now): readonly CoordinatorEffect[] {
    return this.#sendBatch([makeEntry(this.#runs!.end + 1, this.#ballot, type, note)], now)
  }

  #onTick(now: Now): readonly CoordinatorEffect[] {
    const { retransmitMs, heartbeatMs, leaseMs, undecidedMsMax, slowFlushMs } = this.#timing
    if (this.#role === 'preparing') {
      // A member that was restarted just now may not have been reached; after a release nobody leads until it is.
      const everyMs = this.#prepare!.releasedBallot === undefined ? retransmitMs : heartbeatMs
      const isDue = this.#promises.has(this.#self) && now.monoMs - this.#prepareSentMs >= everyMs
      return isDue ? this.#sendPrepare(now) : []
    }
    if (this.#role !== 'leading') return []
    if (now.monoMs - this.#quorumContactMs(now.monoMs) > leaseMs)
      return this.#lose('no quorum has answered within the lease')
    const oldest = this.#batches[0]
    // Others cannot be asked to take over what has not begun, but they can lead instead.
    if (!this.#serving && this.#feed!.held < this.#leaderPosition && oldest !== undefined) {
      const flushMs = now.monoMs - oldest.cutMs
      if (flushMs > slowFlushMs) return this.#lose(`the own disk has not taken the first entry for ${flushMs} ms`)
    }
    if (oldest !== undefined && now.monoMs - oldest.cutMs > undecidedMsMax) {
      return this.#lose(`position ${oldest.last} stayed undecided for ${undecidedMsMax} ms`)
    }
    const beat = this.#feed!.beat(this.#timing, now)
    // How far the tables of others are is heard after the own ones got there, and perhaps no append comes any more.
    return [...beat, ...this.#succeed(now), ...this.#truncate(now)]
  }

  /** The leader ends first, so nothing is acknowledged under a ballot that has been released. */
  #onHandOver(now: Now): readonly CoordinatorEffect[] {
    if (this.#role === 'idle') return []
    const successor = this.#serving ? this.#succession.bestOf(this.#reign(), now) : null
    return successor === null ? this.#lose('this node stops') : this.#release(successor, 'this node stops')
  }

  #onTransfer(to: number | null, now: Now): readonly CoordinatorEffect[] {
    if (this.#role !== 'leading') {
      const remedy = 'ask the leader: `daybreak cluster status` names it'
      return [
        {
          type: 'transfer',
          answer: { type: 'refused', why: 'notLeader', detail: 'this node does not lead', remedy },
        },
      ]
    }
    const answer = this.#succession.ask(to, this.#reign(), now)
    return answer === null ? this.#succeed(now) : [{ type: 'transfer', answer }]
  }

  /** Looks whether it is time to hand over, or to give up doing so. */
  #succeed(now: Now): readonly CoordinatorEffect[] {
    if (this.#role !== 'leading') return []
    const step = this.#succession.step(this.#reign(), now)
    switch (step.type) {
      case 'nothing':
        return []
      case 'release': {
        const { successor, because, isAsked } = step
        const answer = { type: 'released', successor, ballot: this.#ballot } as const
        const effects = this.#release(successor, `handed over to member ${successor}: ${because}`)
        return isAsked ? [...effects, { type: 'transfer', answer }] : effects
      }
      case 'goOn': {
        const { successor, refusal, isAsked } = step
        const told = isAsked
          ? ({ type: 'transfer', answer: refusal } as const)
          : ({ type: 'handOverFailed', to: successor, reason: refusal.detail } as const)
        return [told, ...this.#cut(now)]
      }
      default:
        return assertNever(step)
    }
  }

  #release(successor: number, reason: string): readonly CoordinatorEffect[] {
    const { from } = this.#prepare!
    const message = { type: 'release', from, ballot: this.#ballot, commit: this.#commit, successor } as const
    return [...this.#lose(reason, { isHandedOver: true }), { type: 'send', to: successor, message }]
  }

  #reign(): Reign {
    const others = [...this.#feed!.all]
      .filter(({ sender }) => sender.memberId !== this.#self)
      .map(({ sender, matched, answeredMs }) => ({ memberId: sender.memberId, matched, answeredMs }))
    return { serving: this.#serving, end: this.#runs!.end, commit: this.#commit, held: this.#feed!.held, others }
  }

  /** When a quorum was last known to be there, by own send times: network delay can only make it earlier. */
  #quorumContactMs(selfMs: number): number {
    return this.#feed!.reachedBy(this.#quorum, ({ sender, echoMs }) =>
      sender.memberId === this.#self ? selfMs : echoMs,
    )
  }

  /** Leadership or candidacy is over: in flight ends unknown, in the queue was certainly not written. */
  #lose(reason: string, { isHandedOver = false } = {}): readonly CoordinatorEffect[] {
    const unanswered = this.#succession.end(reason)
    const results: { id: number; outcome: AppendOutcome }[] = []
    for (const { id } of this.#inFlight.slice(this.#inFlightHead)) results.push({ id, outcome: { type: 'unknown' } })
    for (const { id } of this.#queue.slice(this.#queueHead)) results.push({ id, outcome: { type: 'notLeader' } })
    this.#role = 'idle'
    this.#serving = false
    this.#watch = null
    this.#queue = []
    this.#queueHead = 0
    this.#queueBytes = 0
    this.#inFlight = []
    this.#inFlightHead = 0
    this.#batches = []
    this.#seq = this.#feed?.seq ?? this.#seq
    this.#feed = null
    this.#promises = new Map()
    const effects: CoordinatorEffect[] = [
      { type: 'ticking', on: false },
      { type: 'lost', reason, roundSeen: this.#roundSeen, isHandedOver },
    ]
    if (unanswered !== null) effects.push({ type: 'transfer', answer: unanswered })
    if (results.length > 0) effects.push({ type: 'results', results })
    return effects
  }

  #counts(sender: Sender): boolean {
    return this.#voters.some(voter => voter.memberId === sender.memberId && voter.incarnation === sender.incarnation)
  }

  #followerOf(message: Accepted | Nack): Follower | undefined {
    if (this.#role !== 'leading' || !sameBallot(message.ballot, this.#ballot) || !this.#counts(message.from)) return
    return this.#feed!.of(message.from.memberId)
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
