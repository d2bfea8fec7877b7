/**
 * Pages of events, read from the committed log of this node. A page ends where no transaction is half read, so whoever
 * goes on from its end needs nothing of what was before; a cursor given from outside may stand anywhere, and then the
 * parts before it are looked up.
 */
import { type ClusterEvent, eventsOf, leaderEvent } from '../../core/events/cluster-events.ts'
import { compareEventCursors, type EventCursor } from '../../core/events/event-cursor.ts'
import { PayloadJoiner, payloadPart, payloadTransactions } from '../../core/ledger/payload.ts'
import { TABLE_NUMBERS } from '../../core/ledger/rows.ts'
import type { RowChange, Transaction } from '../../core/ledger/transaction.ts'
import { RowReader } from '../../wire/ledger-rows.ts'
import type { LogEntryView, LogPort } from '../ports.ts'

export type EventPage =
  | {
      readonly type: 'page'
      /** The cursor that was asked for. */
      readonly from: EventCursor
      readonly events: readonly ClusterEvent[]
      /** Where to go on; not behind where the page began, and the same when there is nothing new. */
      readonly next: EventCursor
    }
  /** What was asked for is in the log no more. */
  | { readonly type: 'gone'; readonly from: EventCursor; readonly begin: number }

/** Entries asked of the log thread at a time: each may have half a MiB. */
const POSITIONS_MAX = 64
/** A page ends after the position with which it has so many. */
const EVENTS_MAX = 1_000

export class EventPages {
  readonly #log: Pick<LogPort, 'read'>
  readonly #rows = new RowReader()

  constructor(log: Pick<LogPort, 'read'>) {
    this.#log = log
  }

  /** `commit`: up to where the log of this node is known to be committed; at least the cursor's position. */
  async read(cursor: EventCursor, commit: number): Promise<EventPage> {
    try {
      return await this.#page(cursor, commit)
    } catch (cause) {
      const begin = beginOfTruncated(cause)
      if (begin === null) throw cause
      return { type: 'gone', from: cursor, begin }
    }
  }

  async #page(cursor: EventCursor, commit: number): Promise<EventPage> {
    const joiner = new PayloadJoiner()
    const events: ClusterEvent[] = []
    let next = cursor
    for (let from = cursor.position; from <= commit; ) {
      const entries = await this.#log.read(from, Math.min(commit, from + POSITIONS_MAX - 1))
      if (entries.length === 0) throw new Error(`the log of this node has no entry at ${from}`)
      if (from === cursor.position && maybeContinues(entries[0]!)) {
        for (const entry of await this.#before(cursor)) take(joiner, entry)
      }
      for (const entry of entries) {
        if (entry.position !== from) throw new Error(`the log of this node has no entry at ${from}`)
        events.push(...this.#eventsAt(entry, take(joiner, entry)).filter(event => isAfter(event, cursor)))
        from += 1
        if (joiner.pendingFrom === null) next = { position: from, seen: 0 }
        if (joiner.pendingFrom === null && events.length >= EVENTS_MAX)
          return { type: 'page', from: cursor, events, next }
      }
      if (joiner.pendingFrom === null) break
    }
    return { type: 'page', from: cursor, events, next }
  }

  /** What of the transaction that the cursor may stand in comes before it; empty when that cannot be told any more. */
  async #before({ position, seen }: EventCursor): Promise<readonly LogEntryView[]> {
    const found: LogEntryView[] = []
    for (let to = position - 1; to >= 1; ) {
      let from = Math.max(1, to - POSITIONS_MAX + 1)
      let entries: readonly LogEntryView[]
      try {
        entries = await this.#log.read(from, to)
      } catch (cause) {
        const begin = beginOfTruncated(cause)
        if (begin === null) throw cause
        // Of a position whose first events were seen the others would be missed: that is a gap, and said so.
        if (begin > to && seen > 0) throw cause
        if (begin > to) return []
        from = begin
        entries = await this.#log.read(from, to)
      }
      found.unshift(...entries)
      if (entries.some(entry => !maybeContinues(entry))) return found
      to = from - 1
    }
    return found
  }

  #eventsAt({ position, ballot, type }: LogEntryView, whole: Uint8Array | null): readonly ClusterEvent[] {
    if (type === 'LEADER') return [leaderEvent(position, ballot)]
    return whole === null ? [] : eventsOf(position, this.#transactions(whole))
  }

  #transactions(payload: Uint8Array): readonly Transaction[] {
    return payloadTransactions(payload).map(({ cause, rows }) => ({
      cause,
      changes: rows.flatMap(({ table, key, bytes }): RowChange[] => {
        const name = TOLD.get(table)
        if (name === undefined) return []
        return [bytes === null ? { type: 'delete', table: name, key } : this.#rows.read(table, key, bytes)]
      }),
    }))
  }
}

/** Tables whose rows tell events; the others are not even read. */
const TOLD = new Map<number, 'task' | 'job' | 'agent'>(
  (['task', 'job', 'agent'] as const).map(table => [TABLE_NUMBERS[table], table]),
)

const isAfter = (event: ClusterEvent, cursor: EventCursor): boolean =>
  compareEventCursors({ position: event.position, seen: event.n }, cursor) > 0

/** The payload that takes effect with the entry; null when none does. */
function take(joiner: PayloadJoiner, { position, type, payload }: LogEntryView): Uint8Array | null {
  if (type === 'DATA') return joiner.data(position, payload)
  joiner.other(position, type)
  return null
}

/** True for an entry before which a transaction may have begun that is not whole by then. */
function maybeContinues({ type, payload }: LogEntryView): boolean {
  if (type === 'DATA') return (payloadPart(payload)?.index ?? 0) > 0
  return type !== 'LEADER'
}

function beginOfTruncated(cause: unknown): number | null {
  const found = /^TRUNCATED: the log begins at (\d+)/.exec(cause instanceof Error ? cause.message : '')
  return found === null ? null : Number(found[1])
}
