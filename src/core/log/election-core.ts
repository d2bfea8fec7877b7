/**
 * When this member runs for leader. With one voter at once; with more, only when a quorum says beforehand that it would
 * promise: a member that comes back after a partition can then neither raise ballots nor disturb a leader that works.
 *
 * It asks as soon as a lease has passed since the leader was last heard, for that is when the grant of this voter, and
 * of all who heard the same heartbeat, is over. Who leads is known, so it is known too who is next: the voters ask in the
 * order of their ids, half a heartbeat apart, and do not meet; whoever still reads its rows, and would keep everybody
 * waiting, asks behind them. A voter whose grant still runs says for how long, and is asked again right then. Where
 * nobody was heard, a random part of one to two leases keeps them apart. Asking is for free, so it is not backed off
 * from, however often it was in vain; only a candidacy, which raises ballots, is. And whoever hears somebody ask who lacks
 * what it holds itself asks at once, for it may be the only one that can win. Source: the replicated log, C5 and C6; where
 * this differs from them is decided in docs/design/0002-replicated-log.md.
 *
 * It also keeps the one view of leadership that the rest of the node sees; its version only grows.
 */
import { assertNever } from '../base/assert.ts'
import type { Prng } from '../base/prng.ts'
import type { Now } from '../base/time.ts'
import { type Ballot, compareBallots, NO_BALLOT, sameBallot } from './ballot.ts'
import { quorumOf } from './descriptor.ts'
import type { Prevote, PrevoteReply, Release } from './messages.ts'
import type { LogTiming } from './timing.ts'

export type ElectionMessage =
  /** The store is open and this member votes; the ids of all voters of the config in force. */
  | { readonly type: 'ready'; readonly voters: readonly number[] }
  | { readonly type: 'heardLeader'; readonly ballot: Ballot; readonly memberId: number }
  | { readonly type: 'canvass'; readonly prevote: Prevote }
  | PrevoteReply
  /** The own replica has told a member that asked that it would promise. */
  | { readonly type: 'favoured'; readonly memberId: number }
  /** The own replica has told a member that asked that it holds more; no grant keeps this member from leading. */
  | { readonly type: 'surpassed'; readonly memberId: number }
  /** The own replica has promised another member, which is now given the time to win. */
  | { readonly type: 'promised'; readonly ballot: Ballot }
  | Release
  /** A quorum has promised. What is left to wait for is that it holds the first entry of the reign. */
  | { readonly type: 'elected'; readonly ballot: Ballot }
  | { readonly type: 'serving'; readonly ballot: Ballot }
  | { readonly type: 'lost'; readonly reason: string; readonly roundSeen: number; readonly isHandedOver?: boolean }
  | { readonly type: 'space'; readonly full: boolean }
  /** Whether the ledger of this node has all rows in memory. */
  | { readonly type: 'rows'; readonly loaded: boolean }
  | { readonly type: 'timeout'; readonly attempt: number }

export type ElectionEffect =
  | { readonly type: 'startTimer'; readonly afterMs: number; readonly attempt: number }
  | { readonly type: 'cancelTimer' }
  /** To the own replica, which knows where the log ends. */
  | { readonly type: 'canvass'; readonly roundSeen: number }
  | {
      readonly type: 'stand'
      readonly roundSeen: number
      readonly releasedBallot?: Ballot
      /** What a quorum was asked about: whoever has got the promise of this member since then is not disturbed. */
      readonly canvassed?: Ballot
    }
  | { readonly type: 'send'; readonly to: number; readonly message: Prevote }
  | { readonly type: 'giveUp'; readonly reason: string }
  | { readonly type: 'view'; readonly view: ElectionView }

export interface ElectionView {
  readonly version: number
  readonly role: 'LEADER' | 'CANDIDATE' | 'FOLLOWER' | 'NONE'
  readonly ballot: Ballot | null
  readonly leaderId: number | null
}

type Phase = 'closed' | 'waiting' | 'canvassing' | 'standing' | 'leading'

interface Canvass {
  readonly ballot: Ballot
  readonly yes: Set<number>
  /** Who would promise after so many ms, when a grant of its is over. */
  readonly later: Map<number, number>
  /** Asked again at the next time out, because then a quorum is free. */
  isAskedAgain: boolean
}

/**
 * `nobody`: after a question in vain, or where nobody was heard; `rivals`: after a failed candidacy, that its next one does
 * not meet theirs again; `somebody`: a leader, or whoever may become one.
 */
type WaitsFor = 'nobody' | 'rivals' | 'somebody'

export class ElectionCore {
  readonly #self: number
  readonly #timing: LogTiming
  readonly #random: Prng
  #phase: Phase = 'closed'
  /** By id. */
  #voters: readonly number[] = []
  #roundSeen = 0
  #failures = 0
  /** Tells the timer that is meant from one that was overtaken. */
  #attempt = 0
  #nowMs = 0
  /** When the timer that is meant runs out; without one never. */
  #dueMs = Number.POSITIVE_INFINITY
  #canvass: Canvass | null = null
  #heard: Ballot = NO_BALLOT
  #full = false
  #waitsFor: WaitsFor = 'nobody'
  /** Who was let stand first since this member asked last: each once, or one that gets no answers would hold up all. */
  readonly #letFirst = new Set<number>()
  #isLoading = false
  /** What this member stands with, once its own replica has promised it; null before, and until it stands. */
  #bid: Ballot | null = null
  #isElected = false
  #view: ElectionView = { version: 0, role: 'NONE', ballot: null, leaderId: null }

  constructor(options: { readonly self: number; readonly timing: LogTiming; readonly random: Prng }) {
    this.#self = options.self
    this.#timing = options.timing
    this.#random = options.random
  }

  get view(): ElectionView {
    return this.#view
  }
  get phase(): Phase {
    return this.#phase
  }

  handle(message: ElectionMessage, now: Pick<Now, 'monoMs'>): readonly ElectionEffect[] {
    this.#nowMs = now.monoMs
    switch (message.type) {
      case 'ready':
        this.#voters = message.voters.toSorted((a, b) => a - b)
        return this.#voters.length === 1 ? this.#stand() : this.#wait(this.#electionTimeoutMs(), 'nobody')
      case 'heardLeader':
        return this.#onHeardLeader(message.ballot, message.memberId)
      case 'canvass':
        return this.#onCanvass(message.prevote)
      case 'prevoteReply':
        return this.#onPrevoteReply(message)
      case 'favoured':
        return this.#onFavoured(message.memberId)
      case 'surpassed':
        return this.#onSurpassed(message.memberId)
      case 'promised':
        return this.#onPromised(message.ballot)
      case 'release':
        return this.#onRelease(message)
      case 'elected':
        return this.#onElected(message.ballot)
      case 'serving':
        this.#phase = 'leading'
        this.#failures = 0
        this.#dueMs = Number.POSITIVE_INFINITY
        return [{ type: 'cancelTimer' }, ...this.#show('LEADER', message.ballot, this.#self)]
      case 'lost':
        return this.#onLost(message.roundSeen, message.isHandedOver === true)
      case 'space':
        this.#full = message.full
        return []
      case 'rows':
        this.#isLoading = !message.loaded
        return []
      case 'timeout':
        return message.attempt === this.#attempt ? this.#onTimeout() : []
      default:
        return assertNever(message)
    }
  }

  #onHeardLeader(ballot: Ballot, memberId: number): readonly ElectionEffect[] {
    if (memberId === this.#self || this.#phase === 'closed' || compareBallots(ballot, this.#heard) < 0) return []
    this.#heard = ballot
    this.#roundSeen = Math.max(this.#roundSeen, ballot[0])
    const giveUp: ElectionEffect[] =
      this.#phase === 'leading' || this.#phase === 'standing'
        ? [{ type: 'giveUp', reason: `member ${memberId} leads with ballot ${ballot[0]}.${ballot[1]}` }]
        : []
    this.#failures = 0
    this.#letFirst.clear()
    return [...giveUp, ...this.#wait(this.#silenceMs(memberId)), ...this.#show('FOLLOWER', ballot, memberId)]
  }

  #onTimeout(): readonly ElectionEffect[] {
    switch (this.#phase) {
      case 'closed':
      case 'leading':
        return []
      case 'waiting':
        if (this.#voters.length === 1) return this.#stand()
        // A member that could not store what it would lead does not run.
        return this.#full ? this.#wait(this.#electionTimeoutMs(), 'nobody') : this.#startCanvass()
      case 'canvassing':
        return this.#canvass?.isAskedAgain === true ? this.#startCanvass() : this.#pause()
      case 'standing':
        // Its end is not waited for: a candidacy that the own replica has dropped never began, and has none to tell of.
        return [{ type: 'giveUp', reason: this.#lateness() }, ...this.#backOff()]
      default:
        return assertNever(this.#phase)
    }
  }

  #lateness(): string {
    const first = `it was elected, and does not serve after ${this.#timing.undecidedMsMax} ms`
    return this.#isElected ? first : 'no quorum has promised in time'
  }

  #startCanvass(): readonly ElectionEffect[] {
    this.#phase = 'canvassing'
    this.#canvass = null
    this.#letFirst.clear()
    return [
      { type: 'canvass', roundSeen: this.#roundSeen },
      ...this.#timer(this.#timing.retransmitMs),
      ...this.#show('CANDIDATE', null, null),
    ]
  }

  #onCanvass(prevote: Prevote): readonly ElectionEffect[] {
    if (this.#phase !== 'canvassing') return []
    this.#canvass = { ballot: prevote.ballot, yes: new Set(), later: new Map(), isAskedAgain: false }
    return prevote.voters.map(voter => ({ type: 'send', to: voter.memberId, message: prevote }))
  }

  #onPrevoteReply(message: PrevoteReply): readonly ElectionEffect[] {
    this.#roundSeen = Math.max(this.#roundSeen, message.promised[0])
    const canvass = this.#canvass
    if (this.#phase !== 'canvassing' || canvass === null || !sameBallot(canvass.ballot, message.ballot)) return []
    const { memberId } = message.from
    if (message.granted) canvass.yes.add(memberId)
    else if (message.freeInMs !== undefined) canvass.later.set(memberId, message.freeInMs)
    else if (compareBallots(message.promised, canvass.ballot) >= 0) return this.#askHigher(canvass)
    return canvass.yes.size >= quorumOf(this.#voters.length)
      ? this.#stand({ canvassed: canvass.ballot })
      : this.#askAgain(canvass)
  }

  /**
   * Once grants that have nearly run out are all that keeps a quorum from saying yes, it is asked when they have. Not
   * stood for: a leader may be heard by them until then, and would be disturbed.
   */
  #askAgain(canvass: Canvass): readonly ElectionEffect[] {
    const missing = quorumOf(this.#voters.length) - canvass.yes.size
    const later = [...canvass.later].filter(([memberId]) => !canvass.yes.has(memberId)).map(([, afterMs]) => afterMs)
    const afterMs = later.toSorted((a, b) => a - b)[missing - 1]
    if (afterMs === undefined || afterMs > this.#timing.leaseMs / 2) return []
    canvass.isAskedAgain = true
    return this.#timer(Math.max(1, Math.ceil(afterMs)))
  }

  /**
   * That ballot is spent, as happens to a member that was away: the next question names one above all that are known. Or
   * somebody has just been promised it, and would be deposed before it could be heard: so not before it could.
   */
  #askHigher(canvass: Canvass): readonly ElectionEffect[] {
    if (canvass.isAskedAgain) return []
    canvass.isAskedAgain = true
    return this.#timer(this.#pauseMs())
  }

  /** Whoever asks first is left to stand first, for as long as a promise and the first heartbeat take to arrive. */
  #onFavoured(memberId: number): readonly ElectionEffect[] {
    if (memberId === this.#self || this.#phase !== 'waiting' || this.#letFirst.has(memberId)) return []
    this.#letFirst.add(memberId)
    return this.#wait(2 * this.#timing.heartbeatMs + this.#turnMs(memberId))
  }

  /**
   * The one that asks cannot win with the voice of this member, and perhaps nobody can but this one. Never later than it
   * would have asked anyway. What is waited for after a failed candidacy stays: it keeps apart two that would fail again.
   */
  #onSurpassed(memberId: number): readonly ElectionEffect[] {
    if (this.#phase !== 'waiting' || this.#waitsFor !== 'nobody' || this.#full) return []
    const afterMs = Math.max(1, this.#turnMs(memberId))
    return this.#nowMs + afterMs < this.#dueMs ? this.#timer(afterMs) : []
  }

  /**
   * Its followers may lack so much that they are longer on the way to it than a candidacy may take. They hear this leader,
   * and would not have got further with another one. The coordinator gives up by itself when they are gone. Told of an
   * earlier candidacy it says nothing about this one.
   */
  #onElected(ballot: Ballot): readonly ElectionEffect[] {
    const isMeant = this.#phase === 'standing' && this.#bid !== null && sameBallot(ballot, this.#bid)
    if (!isMeant || this.#voters.length === 1) return []
    this.#isElected = true
    return this.#timer(this.#timing.undecidedMsMax)
  }

  /** Whoever has just got the promise of this member would only be deposed by a candidacy of its own. */
  #onPromised(ballot: Ballot): readonly ElectionEffect[] {
    this.#roundSeen = Math.max(this.#roundSeen, ballot[0])
    if (ballot[1] === this.#self && this.#phase === 'standing') this.#bid = ballot
    if (ballot[1] === this.#self || this.#phase === 'closed' || this.#phase === 'leading') return []
    const giveUp: ElectionEffect[] =
      this.#phase === 'standing' ? [{ type: 'giveUp', reason: `member ${ballot[1]} has the promise of this one` }] : []
    return [...giveUp, ...this.#wait(this.#silenceMs(ballot[1]))]
  }

  /** The leader that this member follows has ended in its favour: no pre-vote, for nobody is disturbed. */
  #onRelease({ ballot, successor }: Release): readonly ElectionEffect[] {
    const isMeant = successor === null || successor === this.#self
    const isFollowing = this.#phase === 'waiting' && sameBallot(ballot, this.#heard)
    return isMeant && isFollowing && !this.#full ? this.#stand({ releasedBallot: ballot }) : []
  }

  #stand(how: { readonly releasedBallot?: Ballot; readonly canvassed?: Ballot } = {}): readonly ElectionEffect[] {
    this.#phase = 'standing'
    this.#bid = null
    this.#isElected = false
    const effects: ElectionEffect[] = [
      { type: 'stand', roundSeen: this.#roundSeen, ...how },
      ...this.#show('CANDIDATE', null, null),
    ]
    // Alone, only the own disk is waited for, and the store has its own watchdog.
    return this.#voters.length === 1 ? effects : [...effects, ...this.#timer(this.#electionTimeoutMs())]
  }

  #onLost(roundSeen: number, isHandedOver: boolean): readonly ElectionEffect[] {
    this.#roundSeen = Math.max(this.#roundSeen, roundSeen)
    if (this.#phase !== 'leading' && this.#phase !== 'standing') return []
    if (!isHandedOver) return this.#backOff()
    // The successor is given the time that anybody has to be heard of; its rivals are not helped by the old leader.
    return [...this.#wait(this.#electionTimeoutMs()), ...this.#show('CANDIDATE', null, null)]
  }

  #backOff(): readonly ElectionEffect[] {
    const { electionBackoffMsMin, electionBackoffMsMax } = this.#timing
    const baseMs = electionBackoffMsMin * 2 ** Math.min(this.#failures, 10)
    this.#failures++
    const afterMs = Math.min(electionBackoffMsMax, baseMs * (1 + this.#random.next()))
    return [...this.#wait(afterMs, 'rivals'), ...this.#show('CANDIDATE', null, null)]
  }

  /** Nobody is disturbed by a question, and a quorum may be back at any moment. */
  #pause(): readonly ElectionEffect[] {
    return [...this.#wait(this.#pauseMs(), 'nobody'), ...this.#show('CANDIDATE', null, null)]
  }

  /** No longer than keeps two askers apart, and lets whoever has its rows ask first. */
  #pauseMs(): number {
    return this.#timing.heartbeatMs * (1 + this.#random.next()) + this.#loadingMs()
  }

  #wait(afterMs: number, waitsFor: WaitsFor = 'somebody'): readonly ElectionEffect[] {
    this.#phase = 'waiting'
    this.#waitsFor = waitsFor
    this.#canvass = null
    return this.#timer(afterMs)
  }

  #timer(afterMs: number): readonly ElectionEffect[] {
    this.#dueMs = this.#nowMs + afterMs
    return [{ type: 'startTimer', afterMs, attempt: ++this.#attempt }]
  }

  /** How long nothing may be heard of this leader: until its lease is over, and then those before this member in line. */
  #silenceMs(leaderId: number): number {
    return this.#timing.leaseMs + this.#turnMs(leaderId)
  }

  /** How much later than the first in line this member asks; behind all others while its rows are still read. */
  #turnMs(leaderId: number): number {
    const rank = Math.max(0, this.#voters.filter(memberId => memberId !== leaderId).indexOf(this.#self))
    return (rank * this.#timing.heartbeatMs) / 2 + this.#loadingMs()
  }

  /** Longer than the turns of all others together. */
  #loadingMs(): number {
    return this.#isLoading ? (this.#voters.length * this.#timing.heartbeatMs) / 2 : 0
  }

  #electionTimeoutMs(): number {
    return this.#timing.leaseMs * (1 + this.#random.next())
  }

  #show(role: ElectionView['role'], ballot: Ballot | null, leaderId: number | null): readonly ElectionEffect[] {
    const before = this.#view
    const isSame =
      before.role === role &&
      before.leaderId === leaderId &&
      (before.ballot === null ? ballot === null : ballot !== null && sameBallot(before.ballot, ballot))
    if (isSame) return []
    this.#view = { version: before.version + 1, role, ballot, leaderId }
    return [{ type: 'view', view: this.#view }]
  }
}
