/**
 * Pages that stay stable while the list changes: a cursor holds the key of the last item that was given, in an order
 * that never changes for an item, and the next page begins behind it. Opaque to clients: base64url of JSON.
 */
import { compareIds } from '../../core/base/ids.ts'
import { type Rejection, rejected } from '../../core/base/rejection.ts'

/** Compared part by part. */
export type PageKey = readonly (string | number)[]

export interface Page<T> {
  readonly items: readonly T[]
  readonly next: string | null
}

/** `keyed` must come in ascending order of its keys; reading stops as soon as the page is full. */
export function takePage<T>(keyed: Iterable<readonly [PageKey, T]>, after: PageKey | null, limit: number): Page<T> {
  const items: T[] = []
  let last: PageKey | null = null
  for (const [key, item] of keyed) {
    if (after !== null && comparePageKeys(key, after) <= 0) continue
    if (items.length === limit) return { items, next: last === null ? null : writeCursor(last) }
    items.push(item)
    last = key
  }
  return { items, next: null }
}

export function writeCursor(key: PageKey): string {
  return Buffer.from(JSON.stringify(key)).toString('base64url')
}

/** `shape` says which parts a cursor of this list has: one of another list is refused. */
export function readCursor(
  cursor: string | undefined,
  shape: readonly ('string' | 'number')[],
): { readonly ok: true; readonly after: PageKey | null } | { readonly ok: false; readonly rejection: Rejection } {
  if (cursor === undefined) return { ok: true, after: null }
  const refused = {
    ok: false,
    rejection: rejected('MALFORMED', 'The cursor is not one that this list has given', {
      remedy: 'begin again without `cursor`',
    }),
  } as const
  let key: unknown
  try {
    key = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'))
  } catch (cause) {
    if (cause instanceof SyntaxError) return refused
    throw cause
  }
  if (!Array.isArray(key) || key.length !== shape.length) return refused
  if (!key.every((part, index) => typeof part === shape[index])) return refused
  return { ok: true, after: key as PageKey }
}

export function comparePageKeys(a: PageKey, b: PageKey): number {
  for (let index = 0; index < a.length; index += 1) {
    const [x, y] = [a[index]!, b[index]!]
    const order = typeof x === 'number' && typeof y === 'number' ? x - y : compareIds(String(x), String(y))
    if (order !== 0) return order
  }
  return 0
}
