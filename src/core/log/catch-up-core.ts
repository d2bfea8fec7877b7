/**
 * How a member that lags by very much gets what is committed, without any ballot and without disturbing the leader: it asks
 * another member for committed entries, page after page, and when that one no longer holds the next one, for the rows of a
 * snapshot. It pulls: all that must be remembered is on its own side, the other one just answers, and a transfer that was
 * cut off anywhere goes on from what is on disk. (Pushing by the leader was rejected: the leader would have to keep the
 * state of every such transfer, and is the one that has the least time.)
 *
 * Followers are asked before the leader, and last of all who has not answered lately. Who does not answer in time is
 * passed over for the next one, in a snapshot only at the second time, because with another one it begins anew. When
 * nobody helps it rests for a while; then the leader's next heartbeat begins anew. Source: the replicated log, C8.
 */
import { assertNever } from '../base/assert.ts'
import type { Entry } from './entry.ts'
import { CATCH_UP_BYTES_PER_MS, type LogLimits } from './limits.ts'
import type { Entries, Fetch, Sender, SnapshotFetch, SnapshotPage } from './messages.ts'
import { type RowCursor, type SnapshotProgress, snapshotSource } from './snapshot.ts'

export type CatchUpMessage =
  /** A leader's log, committed up to `end`, does not go on from the own one, which is committed up to `commit`. */
  | {
      readonly type: 'behind'
      readonly leader: number
      readonly begin: number
      readonly end: number
      readonly commit: number
    }
  | Entries
  | SnapshotPage
  /** What was to be learned is on disk, or was refused: then the commit is as it was. */
  | { readonly type: 'learned'; readonly commit: number }
  /** A page of a snapshot is on disk; `isSound` false: the rows are all there and are not those that were sent. */
  | { readonly type: 'pageStored'; readonly ask: number; readonly isSound: boolean }
  | { readonly type: 'due'; readonly ask: number }
  /** What is left of the own disk is for what cannot wait: nothing is asked for while that is so. */
  | { readonly type: 'space'; readonly full: boolean; readonly freeBytes: number }

export type CatchUpEffect =
  | { readonly type: 'send'; readonly to: number; readonly message: Fetch | SnapshotFetch }
  | { readonly type: 'learn'; readonly entries: readonly Entry[] }
  | { readonly type: 'store'; readonly page: SnapshotPage }
  | { readonly type: 'install'; readonly position: number }
  | { readonly type: 'startTimer'; readonly afterMs: number; readonly ask: number }
  | { readonly type: 'cancelTimer' }
  | {
      readonly type: 'note'
      readonly what: 'began' | 'snapshot' | 'unsound' | 'refused' | 'done' | 'nobody'
      readonly position: number
    }

/** For who has answered in this catch-up, or was passed over in its first round. */
const ANSWER_MS_MAX = 2_000
/** For all others: who is gone must not hold up what a new leader may be waiting for. */
const FIRST_ANSWER_MS_MAX = 500
/** Learned pages that may wait for the own disk. */
const UNFLUSHED_MAX = 4
/** All are asked so many times, in a row without any gain, before it is given up. */
const ROUNDS_MAX = 2
/** Then a leader's next word is not heeded for so long: it comes with every heartbeat, and what failed would only fail again. */
const REST_MS = 2_000
/** After nobody has answered: they may be back at any moment. */
const NOBODY_REST_MS = 500

type Phase = 'idle' | 'entries' | 'snapshot' | 'installing' | 'resting'

export class CatchUpCore {
  readonly #self: Sender
  readonly #limits: LogLimits
  readonly #others: () => readonly number[]
  readonly #covered: () => number
  #phase: Phase = 'idle'
  #leader = 0
  #next = 1
  #sources: readonly number[] = []
  /** Who of them is asked. */
  #at = 0
  /** Asked in a row without any gain. */
  #misses = 0
  /** The same one was asked for the same page before. */
  #isSecondTry = false
  /** The first of those who were asked in a row that no longer holds the next entry. */
  #truncatedAt: number | null = null
  /** Has not answered when it was asked last. */
  readonly #silent = new Set<number>()
  /** Have answered in this catch-up. */
  readonly #answering = new Set<number>()
  #ask = 0
  /** Whether an answer is awaited, the own disk, or only the time for the next page. */
  #awaits: 'answer' | 'disk' | 'pace' | 'nothing' = 'nothing'
  #unflushed = 0
  #full = false
  #pageBytes = 0
  #progress: SnapshotProgress | null

  constructor(options: {
    readonly self: Sender
    readonly limits: LogLimits
    /** The other voters. */
    readonly others: () => readonly number[]
    /** Up to where the own tables stand for the log: after a crash perhaps further than the log is known committed. */
    readonly covered: () => number
    /** What an earlier process has left of a snapshot. */
    readonly progress: SnapshotProgress | null
  }) {
    this.#self = options.self
    this.#limits = options.limits
    this.#others = options.others
    this.#covered = options.covered
    this.#progress = options.progress
  }

  get phase(): Phase {
    return this.#phase
  }
  get next(): number {
    return this.#next
  }
  /** Who is asked at present. */
  get source(): number | null {
    return this.#phase === 'idle' || this.#phase === 'resting' ? null : (this.#sources[this.#at] ?? null)
  }

  handle(message: CatchUpMessage): readonly CatchUpEffect[] {
    switch (message.type) {
      case 'behind':
        return this.#onBehind(message)
      case 'entries':
        return this.#onEntries(message)
      case 'snapshotPage':
        return this.#onPage(message)
      case 'learned':
        return this.#onLearned(message.commit)
      case 'pageStored':
        return this.#onPageStored(message.ask, message.isSound)
      case 'due':
        return message.ask === this.#ask ? this.#onDue() : []
      case 'space':
        this.#full = message.full
        return this.#full && (this.#phase === 'entries' || this.#phase === 'snapshot') ? this.#stop('refused') : []
      default:
        return assertNever(message)
    }
  }

  #onBehind(message: CatchUpMessage & { type: 'behind' }): readonly CatchUpEffect[] {
    const isNewLeader = message.leader !== this.#leader
    this.#leader = message.leader
    if (isNewLeader) this.#silent.delete(message.leader)
    const isFar = message.end - message.commit > this.#limits.lagMax || message.commit + 1 < message.begin
    const isFree = this.#phase === 'idle' || (isNewLeader && this.#isInVain)
    if (!isFree || !isFar || this.#unflushed > 0 || this.#full) return []
    this.#phase = 'entries'
    this.#answering.clear()
    this.#next = message.commit + 1
    const rank = (id: number): number => Number(id === this.#leader) + 2 * Number(this.#silent.has(id))
    this.#sources = this.#others().toSorted((a, b) => rank(a) - rank(b) || a - b)
    this.#beginWith(0)
    if (this.#sources.length === 0) return this.#stop('nobody')
    return [{ type: 'note', what: 'began', position: this.#next }, ...this.#askEntries()]
  }

  /** Resting, or waiting for the entries of somebody who may not be there. A new leader is. */
  get #isInVain(): boolean {
    if (this.#phase === 'resting') return true
    return this.#phase === 'entries' && this.#awaits === 'answer' && !this.#answering.has(this.source!)
  }

  #beginWith(source: number): void {
    this.#at = source
    this.#gained()
  }

  #gained(): void {
    this.#misses = 0
    this.#isSecondTry = false
    this.#truncatedAt = null
  }

  #askEntries(): readonly CatchUpEffect[] {
    const message: Fetch = {
      type: 'fetch',
      from: this.#self,
      ask: ++this.#ask,
      position: this.#next,
      bytesMax: this.#limits.pageBytes,
    }
    return this.#send(message)
  }

  #askPage(): readonly CatchUpEffect[] {
    const message: SnapshotFetch = {
      type: 'snapshotFetch',
      from: this.#self,
      ask: ++this.#ask,
      id: this.#progress?.header.id ?? null,
      cursor: this.#progress?.cursor ?? null,
      bytesMax: this.#limits.pageBytes,
    }
    return this.#send(message)
  }

  #send(message: Fetch | SnapshotFetch): readonly CatchUpEffect[] {
    this.#awaits = 'answer'
    return [
      { type: 'send', to: this.source!, message },
      { type: 'startTimer', afterMs: this.#patienceMs(), ask: this.#ask },
    ]
  }

  /** All were asked in vain: then the network is slow, or nobody is there. */
  #patienceMs(): number {
    const isKnown = this.#answering.has(this.source!) || this.#misses >= this.#sources.length
    return isKnown ? ANSWER_MS_MAX : FIRST_ANSWER_MS_MAX
  }

  #answeredBy(memberId: number): void {
    this.#silent.delete(memberId)
    this.#answering.add(memberId)
  }

  #onEntries(message: Entries): readonly CatchUpEffect[] {
    if (this.#phase !== 'entries' || this.#awaits !== 'answer' || message.ask !== this.#ask) return []
    if (message.position !== this.#next) return []
    this.#answeredBy(message.from.memberId)
    const last = message.entries.at(-1)
    if (last === undefined) {
      if (message.begin > this.#next) this.#truncatedAt ??= this.#at
      // Another one may still hold it, such as the one that has just sent its snapshot.
      if (this.#misses + 1 < this.#sources.length) return this.#askAgain('elsewhere')
      // If none has truncated it, none knows more than this member does. Near the end the leader's stream takes over.
      return this.#truncatedAt === null ? this.#stop('done') : this.#beginSnapshot(this.#truncatedAt)
    }
    this.#gained()
    this.#next = last.position + 1
    this.#unflushed++
    const effects: CatchUpEffect[] = [{ type: 'learn', entries: message.entries }]
    if (this.#next > message.commit) return [...effects, ...this.#stop('done')]
    let bytes = 0
    for (const entry of message.entries) bytes += entry.record.length
    return [...effects, ...this.#pace(bytes)]
  }

  /** Whoever has sent a part of one is asked to go on with it. */
  #beginSnapshot(from: number): readonly CatchUpEffect[] {
    this.#phase = 'snapshot'
    const begun = this.#progress === null ? -1 : this.#sources.indexOf(snapshotSource(this.#progress.header.id))
    this.#beginWith(begun < 0 ? from : begun)
    return [{ type: 'note', what: 'snapshot', position: this.#next }, ...this.#askPage()]
  }

  /** The next page is asked for when its turn has come and the own disk keeps up. */
  #pace(bytes: number): readonly CatchUpEffect[] {
    this.#awaits = 'pace'
    return [{ type: 'startTimer', afterMs: bytes / CATCH_UP_BYTES_PER_MS, ask: this.#ask }]
  }

  #onLearned(commit: number): readonly CatchUpEffect[] {
    this.#unflushed = Math.max(0, this.#unflushed - 1)
    if (this.#phase !== 'entries') return []
    // The own replica would not have it, such as for want of room: there is no use in more.
    if (this.#unflushed === 0 && commit < this.#next - 1) {
      this.#next = commit + 1
      return this.#stop('refused')
    }
    return this.#awaits === 'disk' ? this.#askEntries() : []
  }

  #onPage(page: SnapshotPage): readonly CatchUpEffect[] {
    if (this.#phase !== 'snapshot' || this.#awaits !== 'answer' || page.ask !== this.#ask) return []
    this.#answeredBy(page.from.memberId)
    const isSame = page.header.id === this.#progress?.header.id
    // No further than what is here already: of no use, and an opening would put it aside for this to begin anew.
    if (page.header.position < Math.max(this.#next, this.#covered() + 1)) return this.#askAgain('elsewhere')
    const goesOn = page.cursor === null || (isSame && sameCursor(page.cursor, this.#progress!.cursor))
    if (!goesOn) return this.#askAgain('elsewhere')
    this.#gained()
    this.#pageBytes = 0
    for (const row of page.rows) this.#pageBytes += row.bytes.length + row.key.length
    const last = page.rows.at(-1)
    const cursor = last === undefined ? page.cursor : { table: last.table, key: last.key }
    this.#progress = { header: page.header, cursor, isWhole: page.done }
    this.#awaits = 'disk'
    return [{ type: 'cancelTimer' }, { type: 'store', page }]
  }

  #onPageStored(ask: number, isSound: boolean): readonly CatchUpEffect[] {
    const progress = this.#progress
    // Nothing of it is there any more, whatever is asked for by now.
    if (!isSound) this.#progress = null
    if (progress === null || this.#phase !== 'snapshot' || this.#awaits !== 'disk' || ask !== this.#ask) return []
    if (!isSound) {
      const note = { type: 'note', what: 'unsound', position: progress.header.position } as const
      return [note, ...this.#askAgain('elsewhere')]
    }
    if (!progress.isWhole) return this.#pace(this.#pageBytes)
    this.#phase = 'installing'
    this.#awaits = 'nothing'
    return [{ type: 'install', position: progress.header.position }]
  }

  #onDue(): readonly CatchUpEffect[] {
    if (this.#phase === 'resting') {
      this.#phase = 'idle'
      return []
    }
    if (this.#awaits === 'answer') {
      this.#silent.add(this.source!)
      this.#answering.delete(this.source!)
      return this.#askAgain(this.#phase === 'snapshot' && !this.#isSecondTry ? 'there' : 'elsewhere')
    }
    if (this.#awaits !== 'pace') return []
    if (this.#phase === 'snapshot') return this.#askPage()
    if (this.#unflushed < UNFLUSHED_MAX) return this.#askEntries()
    this.#awaits = 'disk'
    return []
  }

  #askAgain(where: 'there' | 'elsewhere'): readonly CatchUpEffect[] {
    if (++this.#misses >= ROUNDS_MAX * this.#sources.length) return this.#stop('nobody')
    if (where === 'elsewhere') this.#at = (this.#at + 1) % this.#sources.length
    this.#isSecondTry = where === 'there'
    return this.#phase === 'snapshot' ? this.#askPage() : this.#askEntries()
  }

  #stop(what: 'done' | 'refused' | 'nobody'): readonly CatchUpEffect[] {
    this.#awaits = 'nothing'
    const note = { type: 'note', what, position: this.#next - 1 } as const
    if (what === 'done') {
      this.#phase = 'idle'
      return [{ type: 'cancelTimer' }, note]
    }
    this.#phase = 'resting'
    return [{ type: 'startTimer', afterMs: what === 'nobody' ? NOBODY_REST_MS : REST_MS, ask: ++this.#ask }, note]
  }
}

function sameCursor(a: RowCursor, b: RowCursor | null): boolean {
  return b !== null && a.table === b.table && a.key === b.key
}
