/**
 * The replica of one member: acceptor and keeper of the log. It answers PREPARE and ACCEPT, and it is the only one that
 * changes consensus state. One ballot covers the whole log, every entry keeps the ballot of the leader that made it, and
 * the log has no gaps: nothing survives without everything its leader wrote before it. (Per-position rounds that fill
 * holes were rejected: with several appends in flight they may drop p and keep p+1, which was computed on p.)
 *
 * Checks see the effects of earlier requests at once, even while their flush is pending; a reply leaves only when the
 * flush of everything its check looked at is done. A reply that was never sent is always safe.
 *
 * Source: the replicated log, C4; C6 for the grant of a lease.
 */
import { assert, assertNever } from '../base/assert.ts'
import type { Now } from '../base/time.ts'
import { type Ballot, ballotText, compareBallots, compareEnds, type LogEnd, sameBallot } from './ballot.ts'
import type { BallotRuns } from './ballot-runs.ts'
import { checksumText, foldDigest } from './crc.ts'
import { CrcWindow } from './crc-window.ts'
import type { ClusterDescriptor } from './descriptor.ts'
import type { Entry } from './entry.ts'
import type {
  Accept,
  Accepted,
  NackReason,
  Prepare,
  Prevote,
  ReplicaReply,
  ReplicaRequest,
  Sender,
} from './messages.ts'
import type { LogMeta } from './meta.ts'
import type { LogTiming } from './timing.ts'

/** What a store holds at its opening, checked. `crcs` has at least the positions after `meta.commit`. */
export interface RestoredLog {
  readonly meta: LogMeta
  readonly runs: BallotRuns
  readonly crcs: ReadonlyMap<number, number>
}

/** One storage transaction: drop, cut, then the entries, then the meta record. */
export interface LogWrite {
  readonly ticket: number
  /** Positions before this one are deleted: the row tables stand for them. Null when none are. */
  readonly dropBefore: number | null
  /** Positions from here on are deleted first; null when none are. */
  readonly cutFrom: number | null
  readonly entries: readonly Entry[]
  readonly meta: LogMeta
}

export type ReplicaMessage =
  | ReplicaRequest
  /** The store says: everything up to this ticket is on disk. */
  | { readonly type: 'flushed'; readonly ticket: number }
  /** The leader of this very node has committed up to here. */
  | { readonly type: 'commit'; readonly position: number }
  /** All members have shown the same genesis: the descriptor is complete and this replica may vote. */
  | { readonly type: 'admitted'; readonly descriptor: ClusterDescriptor }
  /** The apply loop has reached this position; `snapshot`: the tables on disk need nothing up to there any more. */
  | { readonly type: 'applied'; readonly position: number; readonly snapshot: number }
  /** A committed TRUNCATE entry was applied: nobody needs positions before `to`. */
  | { readonly type: 'truncate'; readonly to: number }
  /** Entries from there on must stay for now: another member is being brought up with them. Null: no longer. */
  | { readonly type: 'hold'; readonly from: number | null }
  /** Checksums of the first records held, as they were read just now: they go. */
  | { readonly type: 'drop'; readonly crcs: readonly number[] }
  /** Committed entries that another member has, following each other; they need not follow the own commit. */
  | { readonly type: 'learn'; readonly entries: readonly Entry[] }
  | { readonly type: 'space'; readonly full: boolean; readonly freeBytes: number }
  /** Whether the ledger of this node has all rows in memory. */
  | { readonly type: 'rows'; readonly loaded: boolean }
  /** A record was found to be bad: no vote until it is repaired. */
  | { readonly type: 'damaged' }
  /** The election of this node wants to know who would promise, or stands. Rounds up to `roundSeen` are taken. */
  | { readonly type: 'canvass'; readonly roundSeen: number }
  | {
      readonly type: 'stand'
      readonly roundSeen: number
      readonly releasedBallot?: Ballot
      /** Nothing is done once this or a higher ballot is promised: another member was faster. */
      readonly canvassed?: Ballot
    }
  /** The coordinator of this node leads no longer, or gave up its candidacy. */
  | { readonly type: 'reignOver' }
  /** The node is about to stop: what is only in memory is written. */
  | { readonly type: 'rest' }

export type ReplicaEffect =
  | { readonly type: 'persist'; readonly write: LogWrite }
  | { readonly type: 'send'; readonly to: number; readonly message: ReplicaReply }
  | { readonly type: 'committed'; readonly upTo: number }
  | { readonly type: 'voting' }
  | { readonly type: 'canvass'; readonly prevote: Prevote }
  /** For the coordinator of this node: its PREPARE, and the ballots of the log it would lead. */
  | {
      readonly type: 'candidacy'
      readonly prepare: Prepare
      readonly runs: BallotRuns
      readonly commit: number
      readonly begin: number
    }
  | { readonly type: 'heardLeader'; readonly ballot: Ballot; readonly memberId: number }
  /** For the election of this node: somebody has asked, and would get the promise. */
  | { readonly type: 'favoured'; readonly memberId: number }
  /** For the election of this node: somebody has asked who lacks what this log holds; no grant runs here. */
  | { readonly type: 'surpassed'; readonly memberId: number }
  /** For the election of this node: somebody has the promise now, which is still on its way to the disk. */
  | { readonly type: 'promised'; readonly ballot: Ballot }
  /** A leader's log does not go on from this one: it begins at `begin` and is committed up to `end`. */
  | {
      readonly type: 'behind'
      readonly leader: number
      readonly begin: number
      readonly end: number
      readonly commit: number
    }
  /** What was to be learned is on disk, or was refused; the commit is here now. */
  | { readonly type: 'learned'; readonly commit: number }
  /** The log begins here now. */
  | { readonly type: 'dropped'; readonly begin: number }
  /** The rule of agreement was seen broken: the process must end and an operator must look. */
  | { readonly type: 'failStop'; readonly reason: string }

/** How many checksums behind the commit are kept to recognize a late duplicate that differs. */
const CHECKSUMS_KEPT = 8_192

export class ReplicaCore {
  #meta: LogMeta
  /** Written and not yet known to be flushed, by ticket. */
  readonly #written = new Map<number, LogMeta>()
  #durable: LogMeta
  readonly #runs: BallotRuns
  readonly #crcs: CrcWindow
  readonly #timing: LogTiming
  readonly #self: Sender
  #ticket = 0
  #flushedTicket = 0
  readonly #early = new Set<number>()
  #waiting: { readonly ticket: number; readonly effect: ReplicaEffect }[] = []
  #applied: number
  #snapshot: number
  /** Nobody needs what is before it, by the last TRUNCATE entry that was applied. */
  #truncateTo = 1
  #holdFrom = Number.POSITIVE_INFINITY
  #commitWritten: number
  #full = false
  #freeBytes: number | null = null
  #isLoading = false
  #damaged = false
  #nowMs = 0
  /** When the oldest write that is not flushed was begun, or the last flush ended, whichever is later. */
  #flushSinceMs = 0
  /** Whom the last acked ACCEPT promised: no PROMISE to anybody else until then. Volatile. */
  #grant: { readonly ballot: Ballot; readonly untilMonoMs: number } | null = null
  /** The ballot with which the coordinator of this very node leads: it counts on this replica for as long as it does. */
  #ownReign: Ballot | null = null
  /** After a restart a grant may have been forgotten. */
  readonly #silentUntilMonoMs: number

  constructor(
    restored: RestoredLog,
    options: { readonly timing: LogTiming; readonly openedAt: Now; applied?: number; snapshot?: number },
  ) {
    const { meta, runs } = restored
    assert(runs.end === meta.end, 'the runs of ballots reach to the end of the log', { runs: runs.end, end: meta.end })
    this.#meta = meta
    this.#durable = meta
    this.#runs = runs
    this.#crcs = new CrcWindow(restored.crcs)
    this.#timing = options.timing
    this.#applied = options.applied ?? 0
    this.#snapshot = options.snapshot ?? 0
    this.#commitWritten = meta.commit
    this.#self = { memberId: meta.memberId, incarnation: meta.incarnation }
    const { leaseMs, clockDrift } = options.timing
    this.#silentUntilMonoMs =
      this.#voterCount() > 1 ? options.openedAt.monoMs + leaseMs * (1 + clockDrift) : Number.NEGATIVE_INFINITY
  }

  get meta(): LogMeta {
    return this.#meta
  }
  /** What a restart would find at least: only this may be told to others as what this disk holds. */
  get durable(): LogMeta {
    return this.#durable
  }
  get last(): LogEnd {
    return this.#runs.last
  }
  get applied(): number {
    return this.#applied
  }
  get flushedTicket(): number {
    return this.#flushedTicket
  }
  /** How many of the first positions held may go: the own tables, on disk, stand for them, and nobody needs them. */
  get droppable(): number {
    const { begin, commit } = this.#meta
    return Math.max(0, Math.min(this.#truncateTo, this.#snapshot + 1, commit, this.#holdFrom) - begin)
  }

  handle(message: ReplicaMessage, now: Now): readonly ReplicaEffect[] {
    this.#nowMs = now.monoMs
    switch (message.type) {
      case 'prevote':
        return this.#onPrevote(message, now)
      case 'prepare':
        return this.#onPrepare(message, now)
      case 'accept':
        return this.#onAccept(message, now)
      case 'flushed':
        return this.#onFlushed(message.ticket)
      case 'commit':
        return this.#advanceCommit(message.position)
      case 'admitted':
        return this.#onAdmitted(message.descriptor)
      case 'applied':
        this.#applied = Math.max(this.#applied, message.position)
        this.#snapshot = Math.max(this.#snapshot, message.snapshot)
        return []
      case 'truncate':
        this.#truncateTo = Math.max(this.#truncateTo, message.to)
        return []
      case 'hold':
        this.#holdFrom = message.from ?? Number.POSITIVE_INFINITY
        return []
      case 'drop':
        return this.#onDrop(message.crcs)
      case 'learn':
        return this.#onLearn(message.entries)
      case 'space':
        this.#full = message.full
        this.#freeBytes = message.freeBytes
        return []
      case 'rows':
        this.#isLoading = !message.loaded
        return []
      case 'damaged':
        this.#damaged = true
        return []
      case 'canvass':
        return this.#onCanvass(message.roundSeen)
      case 'stand':
        return this.#onStand(message, now)
      case 'reignOver':
        this.#ownReign = null
        return []
      case 'rest':
        return this.#meta.commit > this.#commitWritten ? [this.#persist({})] : []
      default:
        return assertNever(message)
    }
  }

  #onPrevote(message: Prevote, now: Now): readonly ReplicaEffect[] {
    const isAble =
      this.#meta.status === 'VOTING' && !this.#damaged && !this.#isSlow() && this.#isVoterIn(message.voters)
    const holdsEnough = compareEnds(message.last, this.last) >= 0
    const wouldPromise = isAble && compareBallots(message.ballot, this.#meta.promised) > 0 && holdsEnough
    const heldMs = this.#heldBackMs(message, now)
    const granted = wouldPromise && heldMs === 0
    const { ballot, from } = message
    const reply = { type: 'prevoteReply', from: this.#self, ballot, granted, promised: this.#meta.promised } as const
    const isHeldOnly = wouldPromise && heldMs > 0 && heldMs < Number.POSITIVE_INFINITY
    const answer = isHeldOnly ? { ...reply, freeInMs: heldMs } : reply
    const sent: ReplicaEffect = { type: 'send', to: from.memberId, message: answer }
    if (granted) return [{ type: 'favoured', memberId: from.memberId }, sent]
    return isAble && !holdsEnough && heldMs === 0 ? [{ type: 'surpassed', memberId: from.memberId }, sent] : [sent]
  }

  #onPrepare(message: Prepare, now: Now): readonly ReplicaEffect[] {
    const { ballot } = message
    if (this.#damaged) return this.#refuse(message, { type: 'CORRUPT' })
    if (this.#meta.status !== 'VOTING' || !this.#isVoterIn(message.voters)) {
      return this.#refuse(message, { type: 'NOT_VOTING' })
    }
    const order = compareBallots(ballot, this.#meta.promised)
    if (order < 0) return this.#refuse(message, { type: 'BALLOT' })
    if (order === 0) return this.#promise(message)
    if (this.#heldBackMs(message, now) > 0) return this.#refuse(message, { type: 'LEASE' })
    if (compareEnds(message.last, this.last) < 0) return this.#refuse(message, { type: 'BEHIND', last: this.last })
    return [this.#persist({ promised: ballot }), { type: 'promised', ballot }, ...this.#promise(message)]
  }

  #promise(message: Prepare): readonly ReplicaEffect[] {
    const { commit, begin } = this.#meta
    const promise = {
      type: 'promise',
      from: this.#self,
      ballot: message.ballot,
      last: this.last,
      commit,
      begin,
    } as const
    return this.#whenFlushed({ type: 'send', to: message.from.memberId, message: promise })
  }

  #onAccept(message: Accept, now: Now): readonly ReplicaEffect[] {
    const { ballot, prev, entries } = message
    if (this.#damaged) return this.#refuse(message, { type: 'CORRUPT' })
    if (this.#meta.status === 'STARTING') return this.#refuse(message, { type: 'NOT_VOTING' })
    if (compareBallots(ballot, this.#meta.promised) < 0) return this.#refuse(message, { type: 'BALLOT' })
    const effects: ReplicaEffect[] = []
    const isNewBallot = compareBallots(ballot, this.#meta.promised) > 0
    this.#grant = { ballot, untilMonoMs: now.monoMs + this.#timing.leaseMs }
    if (ballot[1] === this.#self.memberId) this.#ownReign = ballot
    effects.push({ type: 'heardLeader', ballot, memberId: ballot[1] })
    if (!this.#holds(prev)) {
      if (isNewBallot) effects.push(this.#persist({ promised: ballot }))
      effects.push(...this.#refuse(message, { type: 'MISMATCH', next: this.#hint(prev) }))
      const { commit } = this.#meta
      effects.push({ type: 'behind', leader: ballot[1], begin: message.begin, end: message.commit, commit })
      return effects
    }
    if (this.#full && entries.length > 0 && ballot[1] !== this.#self.memberId) {
      if (isNewBallot) effects.push(this.#persist({ promised: ballot }))
      effects.push(...this.#refuse(message, { type: 'NO_SPACE' }))
      return effects
    }
    assert(entries.length === 0 || entries[0]!.position === prev.position + 1, 'an ACCEPT goes on where it says', {
      position: entries[0]?.position,
      prev: prev.position,
    })
    const taken = this.#take(message)
    if (taken.conflict !== null) return [{ type: 'failStop', reason: taken.conflict }]
    const matched = prev.position + entries.length
    const commit = Math.min(message.commit, matched)
    const committed = this.#moveCommit(commit)
    if (isNewBallot || taken.entries.length > 0) {
      effects.push(this.#persist({ promised: ballot }, taken.cutFrom, taken.entries))
    }
    effects.push(...this.#whenFlushed(...committed))
    const accepted: { -readonly [Field in keyof Accepted]: Accepted[Field] } = {
      type: 'accepted',
      from: this.#self,
      ballot,
      seq: message.seq,
      matched,
      sentAtMs: message.sentAtMs,
      applied: this.#applied,
      snapshot: this.#snapshot,
      freeBytes: this.#freeBytes,
    }
    if (this.#isLoading) accepted.isLoading = true
    effects.push(...this.#whenFlushed({ type: 'send', to: message.from.memberId, message: accepted }))
    return effects
  }

  /**
   * Entries that others have committed are taken as they are, without a ballot of one's own: any conflicting tail goes.
   * The promise is raised to their ballot, so that the rule "no entry is newer than the promise" holds; that disturbs
   * nobody, because only older leaders are refused by it. (The specification leaves the promise alone here.)
   */
  #onLearn(entries: readonly Entry[]): readonly ReplicaEffect[] {
    const { status, commit, promised } = this.#meta
    const fresh = entries.filter(entry => entry.position > commit)
    const last = fresh.at(-1)
    if (this.#damaged || this.#full || status !== 'VOTING' || last === undefined || fresh[0]!.position > commit + 1) {
      return this.#whenFlushed({ type: 'learned', commit })
    }
    const taken = this.#take({ ballot: last.ballot, entries: fresh })
    if (taken.conflict !== null) return [{ type: 'failStop', reason: taken.conflict }]
    const committed = this.#moveCommit(last.position)
    const effects: ReplicaEffect[] = []
    if (taken.entries.length > 0) {
      const raised = compareBallots(last.ballot, promised) > 0 ? last.ballot : promised
      effects.push(this.#persist({ promised: raised }, taken.cutFrom, taken.entries))
    }
    return [...effects, ...this.#whenFlushed(...committed, { type: 'learned', commit: last.position })]
  }

  /** The digest of what goes is folded into the base, so the rest can still be checked at the next opening. */
  #onDrop(crcs: readonly number[]): readonly ReplicaEffect[] {
    const count = Math.min(crcs.length, this.droppable)
    if (count === 0) return []
    const begin = this.#meta.begin + count
    let { digest } = this.#meta.base
    for (const crc of crcs.slice(0, count)) digest = foldDigest(digest, crc)
    this.#runs.dropBefore(begin)
    this.#meta = { ...this.#meta, begin, base: { ballot: this.#runs.ballotAt(begin - 1)!, digest } }
    return [this.#persist({}, null, [], begin), ...this.#whenFlushed({ type: 'dropped', begin })]
  }

  /** Which of the entries are new, and from where the own tail must go. Changes runs and checksums, not yet the disk. */
  #take(message: Pick<Accept, 'ballot' | 'entries'>): {
    conflict: string | null
    cutFrom: number | null
    entries: Entry[]
  } {
    const taken: Entry[] = []
    let cutFrom: number | null = null
    let expected = message.entries[0]?.position ?? 0
    for (const entry of message.entries) {
      assert(entry.position === expected, 'entries of an ACCEPT follow each other', {
        position: entry.position,
        expected,
      })
      assert(compareBallots(entry.ballot, message.ballot) <= 0, 'no entry is newer than its leader', {
        entry: ballotText(entry.ballot),
        leader: ballotText(message.ballot),
      })
      expected++
      if (entry.position < this.#meta.begin) continue
      const held = this.#runs.ballotAt(entry.position)
      if (held !== undefined && sameBallot(held, entry.ballot)) {
        const crc = this.#crcs.get(entry.position)
        if (crc !== undefined && crc !== entry.crc) return { conflict: this.#alarm(entry, held), cutFrom, entries: [] }
        continue
      }
      if (held !== undefined) {
        if (entry.position <= this.#meta.commit) return { conflict: this.#alarm(entry, held), cutFrom, entries: [] }
        for (let gone = entry.position; gone <= this.#runs.end; gone++) this.#crcs.delete(gone)
        this.#runs.cutFrom(entry.position)
        cutFrom = entry.position
      }
      this.#runs.push(entry.position, entry.ballot)
      this.#crcs.set(entry.position, entry.crc)
      taken.push(entry)
    }
    return { conflict: null, cutFrom, entries: taken }
  }

  #alarm(entry: Entry, held: Ballot): string {
    const crc = this.#crcs.get(entry.position)
    const own = `ballot ${ballotText(held)}${crc === undefined ? '' : ` with checksum ${checksumText(crc)}`}`
    const sent = `ballot ${ballotText(entry.ballot)} with checksum ${checksumText(entry.crc)}`
    return `agreement broken at position ${entry.position}: this member holds ${own}, it was sent ${sent}; commit is ${this.#meta.commit}`
  }

  #onFlushed(ticket: number): readonly ReplicaEffect[] {
    assert(ticket <= this.#ticket, 'only what was written can be flushed', { ticket, written: this.#ticket })
    // A later flush covers the earlier ones only once those have been reported too.
    this.#early.add(ticket)
    this.#flushSinceMs = this.#nowMs
    while (this.#early.delete(this.#flushedTicket + 1)) {
      this.#flushedTicket++
      this.#durable = this.#written.get(this.#flushedTicket) ?? this.#durable
      this.#written.delete(this.#flushedTicket)
    }
    let free = 0
    while (free < this.#waiting.length && this.#waiting[free]!.ticket <= this.#flushedTicket) free++
    return this.#waiting.splice(0, free).map(waiting => waiting.effect)
  }

  #advanceCommit(position: number): readonly ReplicaEffect[] {
    assert(position <= this.#meta.end, 'the leader commits what its own replica holds', {
      position,
      end: this.#meta.end,
    })
    return this.#whenFlushed(...this.#moveCommit(position))
  }

  /** Kept in memory and written with the next batch: an election recomputes it. */
  #moveCommit(position: number): readonly ReplicaEffect[] {
    const { commit } = this.#meta
    if (position <= commit) return []
    let digest = this.#meta.digest
    for (let at = commit + 1; at <= position; at++) {
      const crc = this.#crcs.get(at)
      assert(crc !== undefined, 'the checksum of an uncommitted entry is known', { position: at })
      digest = foldDigest(digest, crc)
      this.#crcs.delete(at - CHECKSUMS_KEPT)
    }
    this.#meta = { ...this.#meta, commit: position, digest }
    return [{ type: 'committed', upTo: position }]
  }

  #onAdmitted(descriptor: ClusterDescriptor): readonly ReplicaEffect[] {
    if (this.#meta.status === 'VOTING') return []
    assert(
      descriptor.members.some(
        member => member.memberId === this.#self.memberId && member.incarnation === this.#self.incarnation,
      ),
      'a descriptor names the disk that takes it over',
      { memberId: this.#self.memberId },
    )
    return [this.#persist({ descriptor, status: 'VOTING' }), ...this.#whenFlushed({ type: 'voting' })]
  }

  /** Silent with a disk that flushes nothing: the promise to oneself would not get onto it, and ballots would only grow. */
  #onCanvass(roundSeen: number): readonly ReplicaEffect[] {
    const prevote = { type: 'prevote', ...this.#bid(roundSeen) } as const
    return this.#meta.status === 'VOTING' && !this.#damaged && !this.#isSlow() ? [{ type: 'canvass', prevote }] : []
  }

  #isSlow(): boolean {
    return this.#flushedTicket < this.#ticket && this.#nowMs - this.#flushSinceMs > this.#timing.slowFlushMs
  }

  /** The own PREPARE is judged by the same rules as anybody's, and its ballot is on disk before it goes to others. */
  #onStand(message: ReplicaMessage & { type: 'stand' }, now: Now): readonly ReplicaEffect[] {
    const { roundSeen, releasedBallot, canvassed } = message
    if (canvassed !== undefined && compareBallots(canvassed, this.#meta.promised) <= 0) return []
    const prepare: Prepare = {
      type: 'prepare',
      ...this.#bid(roundSeen),
      ...(releasedBallot === undefined ? {} : { releasedBallot }),
    }
    const { commit, begin } = this.#meta
    const candidacy = { type: 'candidacy', prepare, runs: this.#runs.copy(), commit, begin } as const
    return [candidacy, ...this.#onPrepare(prepare, now)]
  }

  #bid(roundSeen: number) {
    const round = Math.max(this.#meta.promised[0], roundSeen) + 1
    const ballot: Ballot = [round, this.#self.memberId]
    return { from: this.#self, ballot, last: this.last, voters: this.voters }
  }

  /** Voters of the latest config, by id. Empty before the descriptor is complete. */
  get voters(): readonly Sender[] {
    const members = this.#meta.descriptor?.members ?? []
    return members
      .filter(member => member.role === 'VOTER')
      .map(({ memberId, incarnation }) => ({ memberId, incarnation }))
  }

  #persist(
    change: Partial<Pick<LogMeta, 'promised' | 'descriptor' | 'status'>>,
    cutFrom: number | null = null,
    entries: readonly Entry[] = [],
    dropBefore: number | null = null,
  ): ReplicaEffect {
    if (this.#flushedTicket === this.#ticket) this.#flushSinceMs = this.#nowMs
    this.#ticket++
    this.#meta = { ...this.#meta, ...change, end: this.#runs.end, generation: this.#meta.generation + 1 }
    this.#commitWritten = this.#meta.commit
    this.#written.set(this.#ticket, this.#meta)
    return { type: 'persist', write: { ticket: this.#ticket, dropBefore, cutFrom, entries, meta: this.#meta } }
  }

  /** Holds an effect back until everything written so far is on disk. Order is kept. */
  #whenFlushed(...effects: readonly ReplicaEffect[]): readonly ReplicaEffect[] {
    if (this.#flushedTicket >= this.#ticket && this.#waiting.length === 0) return effects
    for (const effect of effects) this.#waiting.push({ ticket: this.#ticket, effect })
    return []
  }

  #refuse(message: Prepare | Accept, reason: NackReason): readonly ReplicaEffect[] {
    return this.#whenFlushed({
      type: 'send',
      to: message.from.memberId,
      message: {
        type: 'nack',
        from: this.#self,
        ballot: message.ballot,
        promised: this.#meta.promised,
        reason,
        ...(message.type === 'accept' ? { seq: message.seq, sentAtMs: message.sentAtMs } : {}),
      },
    })
  }

  #isVoterIn(voters: readonly Sender[]): boolean {
    const { memberId, incarnation } = this.#self
    return voters.some(voter => voter.memberId === memberId && voter.incarnation === incarnation)
  }

  /**
   * A grant to a leader may still run. After a restart it may have been forgotten, and then only time helps, or the word
   * of the very leader that the promise was given to.
   *
   * Why that word is enough. A grant leaves with an answer to an ACCEPT, and that answer waits until the ballot is
   * promised on disk. So what was forgotten was granted to ballots up to the promise that was found, `promised`, or has
   * become since.
   * - Granted to `promised` itself: its leader has ended before it said so, and the ballot is never used again.
   * - Granted to an earlier ballot: that reign has no lease any more. If `promised` was given to a candidate, this very
   *   rule had found no such grant in force, after earlier restarts too, or one of the member that asked, which had ended
   *   that reign before it did. If it was raised by an ACCEPT, that leader had been elected: in its quorum and in any
   *   that the earlier lease rests on there is a common voter, which had let its grant run out, or be released, before it
   *   promised (a leader's own replica: after that leader had ended), and has acknowledged no earlier ballot since. The
   *   same if it was raised by what that leader has committed (`learn`, or a snapshot).
   * A release of any other ballot proves nothing, for the leader of `promised` may be alive.
   *
   * Answers for how long, ms; 0: not at all; infinite: until the own reign ends.
   */
  #heldBackMs(message: Prevote | Prepare, now: Now): number {
    const released = message.type === 'prepare' ? message.releasedBallot : undefined
    const isReleased = (ballot: Ballot): boolean => released !== undefined && sameBallot(released, ballot)
    const silentMs = isReleased(this.#meta.promised) ? 0 : Math.max(0, this.#silentUntilMonoMs - now.monoMs)
    // The own coordinator counts this replica as there at any moment, and hears of a promise only after it was given.
    if (this.#ownReign !== null && message.ballot[1] !== this.#self.memberId) return Number.POSITIVE_INFINITY
    const grant = this.#grant
    if (grant === null || grant.ballot[1] === message.ballot[1] || isReleased(grant.ballot)) return silentMs
    return Math.max(silentMs, grant.untilMonoMs - now.monoMs)
  }

  #holds(prev: LogEnd): boolean {
    if (prev.position <= this.#meta.commit) return true
    const held = this.#runs.ballotAt(prev.position)
    return held !== undefined && sameBallot(held, prev.ballot)
  }

  /** Where the leader should go on: after the own end, or at the first position of the conflicting ballot. */
  #hint(prev: LogEnd): number {
    if (prev.position > this.#runs.end) return this.#runs.end + 1
    return Math.max(this.#runs.firstOfRun(prev.position), this.#meta.commit + 1)
  }

  #voterCount(): number {
    const { descriptor, genesisMembers } = this.#meta
    return descriptor?.members.filter(member => member.role === 'VOTER').length ?? genesisMembers.length
  }

  /** Rules that hold after every message. */
  invariants(): void {
    const { begin, end, commit, promised } = this.#meta
    assert(end === this.#runs.end, 'meta and runs agree on the end', { end, runs: this.#runs.end })
    assert(commit <= end, 'nothing is committed that is not held', { commit, end })
    assert(begin >= 1 && begin <= end + 1, 'begin and end bound the log', { begin, end })
    assert(compareBallots(this.last.ballot, promised) <= 0, 'accepting a ballot promises it', {
      last: ballotText(this.last.ballot),
      promised: ballotText(promised),
    })
  }
}
