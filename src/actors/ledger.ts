/**
 * The Ledger owns the committed and staged rows of the cluster and is the only way to change them. Actors of the same
 * thread stage transactions with plain calls; nothing they send to the outside leaves before what they rest on is
 * committed (output commit). See docs/design/0003-ledger.md.
 */
import type { Rejection } from '../core/base/rejection.ts'
import type { RowChange, Transaction } from '../core/ledger/transaction.ts'
import type { LedgerView } from '../core/ledger/view.ts'

export { createLedger, type LedgerActor, type LedgerOptions } from './ledger/ledger-actor.ts'

export interface Ledger {
  readonly view: LedgerView
  /** True when this node leads and its rows are loaded: staging is allowed. */
  readonly open: boolean
  /**
   * Null when a transaction may be staged now; else what to answer: not leader, storage not ready, busy, or no space.
   * Ask before deciding, so that a refusal never meets staged state.
   */
  refusal(): Rejection | null
  /**
   * Makes the changes visible at once and sends them to the log with the next batch. `then` runs after the commit,
   * strictly in the order of staging. A transaction without changes appends nothing; its `then` still waits for all
   * that was staged before. If leadership is lost, `then` never runs, and `lost` (if given) does.
   */
  stage(transaction: Transaction, then?: () => void, lost?: (reason: Rejection) => void): void
  /** Runs `output` once everything staged so far is committed; at once when nothing is pending. */
  whenCommitted(output: () => void, lost?: (reason: Rejection) => void): void
  /**
   * For answers that show state and change nothing (reads, refusals, no-ops): runs `output` once everything staged so far
   * is committed and the lease of this reign runs at a look after that. Evaluate before the call. Without a lease it
   * waits for its renewal; if leadership is lost instead, or nothing is heard for too long, `lost` runs. What goes to
   * agents needs none of this: it carries the epoch, and an agent that has seen a higher one refuses it.
   */
  whenLeased(output: () => void, lost?: (reason: Rejection) => void): void
  /**
   * `staged`: told in the turn of the staging, for books that decisions build on. `committed`: told at the commit, before the
   * transaction's own `then`. Returns the way to unsubscribe. A listener that throws is a bug of its owner's and is
   * logged; the others are still told.
   */
  subscribe(moment: 'staged' | 'committed', listener: (change: LedgerChange) => void): () => void
  /** Position of the last commit this node has applied. */
  readonly applied: number
}

export interface LedgerChange {
  /** The position it was committed at; 0 at the moment of staging. */
  readonly position: number
  readonly transaction: Transaction
  /** With the row as it was before, for indices: undefined when there was none. */
  readonly changes: readonly { readonly change: RowChange; readonly before: unknown }[]
}
