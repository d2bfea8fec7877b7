import type { Instant } from '../base/time.ts'
import type { Rows, TableName } from './rows.ts'

/** Who changed something and why: makes the log an audit trail. */
export interface Cause {
  /** `www-data`, `agent <id>`, `throttle timer`; a user that is not known is `UNSECURE`. */
  readonly who: string
  /** One short phrase: `job create`, `status update`, `assign`. */
  readonly why: string
  readonly requestId?: string
  readonly wallMs: Instant
}

export type RowChange = {
  [T in TableName]:
    | { readonly type: 'put'; readonly table: T; readonly key: string; readonly row: Rows[T] }
    | { readonly type: 'delete'; readonly table: T; readonly key: string }
}[TableName]

/** Whole-row puts and deletes that become true together or not at all. Empty means: nothing is appended. */
export interface Transaction {
  readonly cause: Cause
  readonly changes: readonly RowChange[]
}
