/**
 * The way of staged transactions to their commit, without the log itself: what is staged waits in order, is cut into
 * batches whenever the pipeline has room, and its outputs are handed out after the commit, strictly in the order of
 * staging. Nothing is ever rolled back: one append that does not succeed drops everything that is not committed.
 *
 * A batch is cut at once when nothing is in flight, else when it is full or its oldest transaction has waited
 * `LINGER_MS`; so a lone writer never waits for company, and under load batches grow by themselves.
 */
import { assert } from '../base/assert.ts'
import { type Rejection, rejected } from '../base/rejection.ts'
import { BATCH_BYTES_MAX, BATCH_TRANSACTIONS_MAX, batchPayload, splitPayload } from './payload.ts'
import type { AppliedChange } from './tables.ts'
import type { Transaction } from './transaction.ts'

export const LINGER_MS = 1
export const BATCHES_IN_FLIGHT_MAX = 32
/** Staged and not committed, all together; beyond it `refusal` says BUSY. */
export const PENDING_TRANSACTIONS_MAX = 100_000
export const PENDING_BYTES_MAX = 64 * 1_024 * 1_024

/** What an output waits for, in staging order. `bytes` null: it changes nothing and only waits for what came before. */
export interface Entry {
  readonly bytes: Uint8Array | null
  readonly transaction: Transaction | null
  readonly changes: readonly AppliedChange[]
  readonly output: (() => void) | undefined
  readonly lost: ((reason: Rejection) => void) | undefined
}

/** One append, or several at consecutive positions when a transaction needs parts. */
export interface Batch {
  readonly id: number
  readonly payloads: readonly Uint8Array[]
  readonly transactions: number
}

export interface Committed {
  /** Of the last part: the position at which the batch took effect. */
  readonly position: number
  readonly entries: readonly Entry[]
}

export interface Lost {
  readonly entry: Entry
  readonly reason: Rejection
}

interface InFlight {
  readonly id: number
  readonly entries: Entry[]
  left: number
}

export class Pipeline {
  #queue: Entry[] = []
  #queueBytes = 0
  #queueTransactions = 0
  #queuedSinceMs = 0
  #inFlight: InFlight[] = []
  #inFlightBytes = 0
  #bytesOf = new Map<number, number>()
  #batches = 0

  get isIdle(): boolean {
    return this.#queue.length === 0 && this.#inFlight.length === 0
  }
  /** Transactions staged and not yet sent to the log. */
  get staged(): number {
    return this.#queueTransactions
  }
  get batchesInFlight(): number {
    return this.#inFlight.length
  }
  /** Null, or why no more may be staged now. */
  get full(): string | null {
    if (this.#queueTransactions >= PENDING_TRANSACTIONS_MAX) return `${this.#queueTransactions} transactions wait`
    const bytes = this.#queueBytes + this.#inFlightBytes
    return bytes >= PENDING_BYTES_MAX ? `${bytes} bytes wait to be written` : null
  }

  /** Nothing before this batch is in flight any more, so what is known of it holds for all that is pending. */
  isFirst(batchId: number): boolean {
    return this.#inFlight[0]?.id === batchId
  }

  /** Takes an entry behind all others; false when it has nothing to wait for and may run at once. */
  add(entry: Entry, monoMs: number): boolean {
    if (entry.bytes === null && this.#queue.length === 0) {
      const last = this.#inFlight[this.#inFlight.length - 1]
      if (last === undefined) return false
      last.entries.push(entry)
      return true
    }
    if (this.#queue.length === 0) this.#queuedSinceMs = monoMs
    this.#queue.push(entry)
    if (entry.bytes !== null) {
      this.#queueTransactions++
      this.#queueBytes += entry.bytes.length
    }
    return true
  }

  /** The next batch to append now; call again until it answers null. */
  next(monoMs: number): Batch | null {
    if (this.#queueTransactions === 0 || this.#inFlight.length >= BATCHES_IN_FLIGHT_MAX) return null
    if (this.#inFlight.length > 0 && !this.#isFull && monoMs - this.#queuedSinceMs < LINGER_MS) return null
    return this.#cut(monoMs)
  }

  /** How long until `next` may have a batch that it does not have now; null when only a commit can change that. */
  lingerMs(monoMs: number): number | null {
    if (this.#queueTransactions === 0 || this.#inFlight.length >= BATCHES_IN_FLIGHT_MAX) return null
    return Math.max(0, this.#queuedSinceMs + LINGER_MS - monoMs)
  }

  /** One payload of a batch is committed, in order; null while the batch has more parts to come. */
  committed(batchId: number, position: number): Committed | null {
    const batch = this.#inFlight[0]
    assert(batch !== undefined && batch.id === batchId, 'results of the log come in the order of the appends', {
      batch: batchId,
      expected: batch?.id,
    })
    batch.left--
    if (batch.left > 0) return null
    this.#inFlight.shift()
    this.#inFlightBytes -= this.#bytesOf.get(batchId) ?? 0
    this.#bytesOf.delete(batchId)
    return { position, entries: batch.entries }
  }

  /**
   * Drops everything, in staging order. What is in flight may still be committed, so its outcome is unknown, unless the
   * log said of the first batch that it was certainly not written: then nothing after it was either.
   */
  drop(reason: Rejection, isFirstWritten: 'perhaps' | 'no'): Lost[] {
    const unknown = isFirstWritten === 'no' ? reason : rejected('OUTCOME_UNKNOWN')
    const lost: Lost[] = []
    for (const batch of this.#inFlight) for (const entry of batch.entries) lost.push({ entry, reason: unknown })
    for (const entry of this.#queue) lost.push({ entry, reason })
    this.#inFlight = []
    this.#bytesOf.clear()
    this.#inFlightBytes = 0
    this.#queue = []
    this.#queueBytes = 0
    this.#queueTransactions = 0
    return lost
  }

  get #isFull(): boolean {
    return this.#queueTransactions >= BATCH_TRANSACTIONS_MAX || this.#queueBytes >= BATCH_BYTES_MAX
  }

  /** Takes whole transactions up to the bounds, at least one, and the waits between and right behind them. */
  #cut(monoMs: number): Batch {
    const bytes: Uint8Array[] = []
    let size = 0
    let taken = 0
    for (const entry of this.#queue) {
      if (entry.bytes !== null) {
        const fits = bytes.length < BATCH_TRANSACTIONS_MAX && size + entry.bytes.length <= BATCH_BYTES_MAX
        if (bytes.length > 0 && !fits) break
        bytes.push(entry.bytes)
        size += entry.bytes.length
      }
      taken++
    }
    const entries = taken === this.#queue.length ? this.#queue : this.#queue.slice(0, taken)
    this.#queue = taken === this.#queue.length ? [] : this.#queue.slice(taken)
    this.#queueTransactions -= bytes.length
    this.#queueBytes -= size
    this.#queuedSinceMs = monoMs
    const id = ++this.#batches
    const payloads = splitPayload(batchPayload(bytes), id)
    this.#inFlight.push({ id, entries, left: payloads.length })
    this.#inFlightBytes += size
    this.#bytesOf.set(id, size)
    return { id, payloads, transactions: bytes.length }
  }
}
