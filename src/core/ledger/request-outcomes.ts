/**
 * Outcomes of client mutations, kept so that a retry gets the first answer and is not done twice. Kept for 24 hours,
 * at most 100,000 of them (both are settings), and none is dropped before 10 minutes whatever the number.
 */

import { type Rejection, rejected } from '../base/rejection.ts'
import type { Instant } from '../base/time.ts'
import type { RequestRow } from './rows.ts'
import type { RowChange } from './transaction.ts'

export const REQUEST_KEPT_MS_MAX = 24 * 3_600_000
export const REQUEST_KEPT_MS_MIN = 10 * 60_000
export const REQUESTS_MAX = 100_000

/** Keys are short: the deletes of one transaction stay well below the size of a batch. */
export const EXPIRED_REQUESTS_MAX = 5_000

export interface RequestLimits {
  readonly keptMsMax?: number
  readonly requestsMax?: number
  /** Deletes in one transaction. */
  readonly changesMax?: number
}

export type RequestOutcome =
  /** Not seen before: do it, and stage its outcome with `requestChange` in the same transaction. */
  | { readonly type: 'new' }
  /** Done before: give this answer again, after all that is staged is committed. */
  | { readonly type: 'done'; readonly outcome: unknown }
  /** The id was used for another request. */
  | { readonly type: 'conflict'; readonly rejection: Rejection }

/** What to do with a request that carries this id. */
export function requestOutcome(
  view: { request(id: string): RequestRow | undefined },
  requestId: string,
  fingerprint: string,
): RequestOutcome {
  const row = view.request(requestId)
  if (row === undefined) return { type: 'new' }
  if (row.fingerprint === fingerprint) return { type: 'done', outcome: row.outcome }
  const rejection = rejected('INVALID_REQUEST', `Request id ${requestId} was used before, for another request`, {
    remedy: 'Send each new request under a new id (header Idempotency-Key).',
  })
  return { type: 'conflict', rejection }
}

/** The change that records an outcome, for the transaction that makes it true. `outcome` is plain data. */
export function requestChange(requestId: string, fingerprint: string, outcome: unknown, wallMs: Instant): RowChange {
  return {
    type: 'put',
    table: 'request',
    key: requestId,
    row: { v: 1, requestId, fingerprint, outcome, atMs: wallMs },
  }
}

/** Deletes of outcomes that need not be kept at `wallMs`; oldest first, at most `changesMax` of them. */
export function expiredRequests(
  requests: Iterable<RequestRow>,
  wallMs: Instant,
  limits: RequestLimits = {},
): RowChange[] {
  const { keptMsMax = REQUEST_KEPT_MS_MAX, requestsMax = REQUESTS_MAX, changesMax = EXPIRED_REQUESTS_MAX } = limits
  const rows = [...requests]
  const surplus = rows.length - requestsMax
  const droppable = rows.filter(row => wallMs - row.atMs >= REQUEST_KEPT_MS_MIN)
  if (surplus <= 0 && !droppable.some(row => wallMs - row.atMs >= keptMsMax)) return []
  droppable.sort((a, b) => a.atMs - b.atMs || (a.requestId < b.requestId ? -1 : 1))
  return droppable
    .filter((row, index) => index < surplus || wallMs - row.atMs >= keptMsMax)
    .slice(0, changesMax)
    .map(row => ({ type: 'delete', table: 'request', key: row.requestId }))
}
