/**
 * From committed entries to row changes: one at a time, in order, from the entries alone, so that every replica ends with
 * the same rows. Large transactions come in parts and take effect whole, at their last part. Source: the replicated
 * log, C7.
 */
import { PayloadJoiner, payloadRows, type RowBytes } from '../ledger/payload.ts'
import type { Entry } from './entry.ts'

export interface AppliedBatch {
  /** What the entries leave of each row they change, in no order: of several changes of a row only the last. */
  readonly rows: readonly RowBytes[]
  readonly applied: number
  /** Where replay must begin after a restart. */
  readonly resumeFrom: number
}

export class Applier {
  readonly #joiner = new PayloadJoiner()

  /** Transactions in parts that a new leader cut off; they never take effect. */
  get voided(): number {
    return this.#joiner.voided
  }

  /** `entries` continue where the last call ended. Throws BadPayload: a committed entry that cannot be read. */
  apply(entries: readonly Entry[]): AppliedBatch {
    const changed = new LastChanges()
    let applied = 0
    for (const entry of entries) {
      applied = entry.position
      if (entry.type !== 'DATA') {
        this.#joiner.interrupt()
        continue
      }
      const whole = this.#joiner.data(entry.position, entry.payload)
      if (whole !== null) for (const row of payloadRows(whole)) changed.add(row)
    }
    return { rows: changed.rows(), applied, resumeFrom: this.#joiner.pendingFrom ?? applied + 1 }
  }
}

/** A task passes several states within one batch, and each row of the tables costs more than finding that out. */
class LastChanges {
  readonly #byTable = new Map<number, Map<string, RowBytes>>()

  add(row: RowBytes): void {
    let table = this.#byTable.get(row.table)
    if (table === undefined) {
      table = new Map()
      this.#byTable.set(row.table, table)
    }
    table.set(row.key, row)
  }

  rows(): readonly RowBytes[] {
    return [...this.#byTable.values()].flatMap(table => [...table.values()])
  }
}
