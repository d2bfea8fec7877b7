/**
 * Where a reader of events stands. The id of an event is `<position>-<n>`: the n-th event, from 1, of that position of the
 * log, the same on every node and at every reading. `<position>-0` stands before the first event of the position, and a
 * position alone means the same; so a stream can be begun anywhere, and a quiet reader can be told how far it is.
 */

export interface EventCursor {
  /** From 1. */
  readonly position: number
  /** How many events of that position have been seen. */
  readonly seen: number
}

const FORM = /^(\d{1,16})(?:-(\d{1,9}))?$/

/** Null for a text that is no cursor. */
export function readEventCursor(text: string): EventCursor | null {
  const found = FORM.exec(text)
  if (found === null) return null
  const position = Number(found[1])
  const seen = Number(found[2] ?? 0)
  return position >= 1 && Number.isSafeInteger(position) ? { position, seen } : null
}

export function eventCursorText({ position, seen }: EventCursor): string {
  return `${position}-${seen}`
}

/** Ascending: first what is read first. */
export function compareEventCursors(a: EventCursor, b: EventCursor): number {
  return a.position - b.position || a.seen - b.seen
}
