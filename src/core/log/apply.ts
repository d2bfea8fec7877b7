/**
 * From committed entries to row changes: one at a time, in order, from the entries alone, so that every replica ends with
 * the same rows. Large transactions come in parts and take effect whole, at their last part. Source: the replicated
 * log, C7.
 */
import { PayloadJoiner, payloadRows, type RowBytes } from '../ledger/payload.ts'
import { foldDigest } from './crc.ts'
import type { Entry } from './entry.ts'
import type { LogBase } from './meta.ts'

export interface AppliedBatch {
  /** What the entries leave of each row they change, in no order: of several changes of a row only the last. */
  readonly rows: readonly RowBytes[]
  readonly applied: number
  /** Where replay must begin after a restart. Everything before it has taken effect. */
  readonly resumeFrom: number
  /** Of the position before `resumeFrom`. */
  readonly base: LogBase
}

export class Applier {
  readonly #joiner = new PayloadJoiner()
  #base: LogBase
  #tip: LogBase

  /** `base` of the position before the first entry that will be applied. */
  constructor(base: LogBase) {
    this.#base = base
    this.#tip = base
  }

  /** Transactions in parts that a new leader cut off; they never take effect. */
  get voided(): number {
    return this.#joiner.voided
  }

  /** `entries` continue where the last call ended. Throws BadPayload: a committed entry that cannot be read. */
  apply(entries: readonly Entry[]): AppliedBatch {
    const changed = new LastChanges()
    let applied = 0
    for (const entry of entries) {
      const { position, type } = entry
      applied = position
      if (type === 'DATA') {
        const whole = this.#joiner.data(position, entry.payload)
        if (whole !== null) for (const row of payloadRows(whole)) changed.add(row)
      } else this.#joiner.other(position, type)
      const before = this.#tip
      this.#tip = { ballot: entry.ballot, digest: foldDigest(before.digest, entry.crc) }
      const { pendingFrom } = this.#joiner
      if (pendingFrom === null) this.#base = this.#tip
      else if (pendingFrom === position) this.#base = before
    }
    return {
      rows: changed.rows(),
      applied,
      resumeFrom: this.#joiner.pendingFrom ?? applied + 1,
      base: this.#base,
    }
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
