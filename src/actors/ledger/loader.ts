/**
 * Brings the rows in memory up to the log and keeps them there while another node leads: first the stored tables page
 * by page, then the entries committed since the first page, then the feed. Rows are whole, so applying an entry twice,
 * or on top of a page that already has it, changes nothing; that is why pages of different moments do no harm once the
 * entries between them are applied in order.
 *
 * Asks for one thing at a time; its answer comes to the owner as a message, which hands it to `receive`.
 */
import { PayloadJoiner, payloadTransactions } from '../../core/ledger/payload.ts'
import { TABLE_NUMBERS, type TableName } from '../../core/ledger/rows.ts'
import type { Tables } from '../../core/ledger/tables.ts'
import type { RowChange } from '../../core/ledger/transaction.ts'
import { RowReader } from '../../wire/ledger-rows.ts'
import type { Context } from '../actor.ts'
import type { LogEntryView, LogPort, RowCursor, RowPage } from '../ports.ts'

export type LoaderMessage =
  | { readonly type: 'page'; readonly attempt: number; readonly page: RowPage }
  | { readonly type: 'tail'; readonly attempt: number; readonly entries: readonly LogEntryView[] }
  | { readonly type: 'loadFailed'; readonly attempt: number; readonly cause: unknown }
  | { readonly type: 'retryLoad' }

const TAIL_ENTRIES_MAX = 1_000

export class Loader {
  phase: 'cold' | 'loading' | 'warm' = 'cold'
  /** The last position whose entry has taken effect here; parts of an unfinished transaction have none. */
  applied = 0

  readonly #tables: Tables
  readonly #log: LogPort
  readonly #pageRowsMax: number
  #reader = new RowReader()
  #joiner = new PayloadJoiner()
  /** The last position taken in, parts included. */
  #fed = 0
  /** Entries up to here are known to be committed, though the stored tables may not have them yet. */
  #goal = 0
  #cursor: RowCursor | null = null
  /** True until a page asked under one's own leadership shows that nothing is missing. */
  #isUnconfirmed = true
  #isWaiting = false
  #isResting = false
  #attempt = 0
  #feed: LogEntryView[] = []

  constructor(tables: Tables, log: LogPort, pageRowsMax: number) {
    this.#tables = tables
    this.#log = log
    this.#pageRowsMax = pageRowsMax
  }

  get isCurrent(): boolean {
    return this.isLoaded && !this.#isUnconfirmed && !this.#isWaiting
  }

  /** All rows are in memory, and whatever is known to be committed has been applied to them. */
  get isLoaded(): boolean {
    return this.phase === 'warm' && this.#fed >= this.#goal
  }

  /** The rows here may have come from anywhere: read them all again. The old ones stay until the first page. */
  forget(): void {
    this.phase = 'cold'
    this.#attempt++
    this.#isWaiting = false
    this.#isResting = false
    this.#feed = []
  }

  /** This node leads now: whatever was committed before must be here before it opens. */
  confirm(): void {
    this.#isUnconfirmed = true
    if (this.phase !== 'warm') return
    // A page on its way was asked under an earlier leadership and may be older than this one.
    this.#attempt++
    this.#isWaiting = false
  }

  /** The leader's own append is committed, under this reign or as the late answer of an earlier one. */
  committed(position: number): void {
    this.#goal = Math.max(this.#goal, position)
  }

  /** The leader's own append took effect here, since its changes were staged. */
  appended(position: number): void {
    this.committed(position)
    this.applied = position
    this.#fed = position
  }

  /** Entries that another leader wrote, in order; what is too early is kept, what is missing will be read. */
  feed(entries: readonly LogEntryView[]): void {
    if (this.phase === 'cold') return
    for (const entry of entries) if (entry.position > this.#fed) this.#feed.push(entry)
    this.#takeFeed()
  }

  /** Asks the log for what is missing; false when nothing is. An answer that is awaited counts as asked. */
  ask(isLeader: boolean, context: Context<LoaderMessage>): boolean {
    if (this.#isWaiting) return true
    if (this.phase === 'cold') this.#begin()
    if (this.phase === 'loading') this.#askPage(this.#cursor, this.#pageRowsMax, context)
    else if (this.#fed < this.#goal) this.#askTail(context)
    else if (isLeader && this.#isUnconfirmed) this.#askPage(null, 1, context)
    else return false
    return true
  }

  receive(message: LoaderMessage): void {
    if (message.type === 'retryLoad') {
      if (this.#isResting) this.#isWaiting = false
      this.#isResting = false
      return
    }
    if (message.attempt !== this.#attempt) return
    this.#isWaiting = false
    switch (message.type) {
      case 'page':
        if (this.phase === 'loading') this.#takePage(message.page)
        else {
          this.#goal = Math.max(this.#goal, message.page.applied)
          if (this.#fed >= message.page.applied) this.#isUnconfirmed = false
        }
        return
      case 'tail':
        return this.#takeTail(message.entries)
      case 'loadFailed':
        // Nothing is asked until `retryLoad`.
        this.forget()
        this.#isWaiting = true
        this.#isResting = true
    }
  }

  #begin(): void {
    this.phase = 'loading'
    this.#attempt++
    this.#cursor = null
    this.#reader = new RowReader()
    this.#joiner = new PayloadJoiner()
    this.#fed = 0
    this.#isUnconfirmed = true
    this.applied = 0
    this.#tables.clear()
    this.#tables.beginLoading()
  }

  #askPage(cursor: RowCursor | null, rowsMax: number, context: Context<LoaderMessage>): void {
    const attempt = this.#attempt
    this.#await(this.#log.readRows(cursor, rowsMax), page => ({ type: 'page', attempt, page }), context)
  }

  #askTail(context: Context<LoaderMessage>): void {
    const attempt = this.#attempt
    const from = this.#fed + 1
    const to = Math.min(this.#goal, this.#fed + TAIL_ENTRIES_MAX)
    this.#await(this.#log.read(from, to), entries => ({ type: 'tail', attempt, entries }), context)
  }

  #await<T>(answer: Promise<T>, said: (value: T) => LoaderMessage, context: Context<LoaderMessage>): void {
    const attempt = this.#attempt
    this.#isWaiting = true
    context.pipe(answer, end => (end.ok ? said(end.value) : { type: 'loadFailed', attempt, cause: end.cause }))
  }

  #takePage(page: RowPage): void {
    if (this.#cursor === null) {
      this.applied = page.applied
      this.#fed = page.applied
      this.#feed = this.#feed.filter(entry => entry.position > page.applied)
    }
    this.#goal = Math.max(this.#goal, page.applied)
    this.#tables.apply(page.rows.map(row => this.#reader.read(row.table, row.key, row.bytes)))
    const last = page.rows[page.rows.length - 1]
    if (last !== undefined) this.#cursor = { table: last.table, key: last.key }
    if (!page.done) return
    this.phase = 'warm'
    if (this.#fed >= this.#goal) this.#tables.endLoading()
    this.#takeFeed()
  }

  #takeTail(entries: readonly LogEntryView[]): void {
    const before = this.#fed
    for (const entry of entries) this.#takeEntry(entry)
    // Entries that are gone cannot be applied any more: only the tables have them.
    if (this.#fed === before) this.forget()
    else this.#takeFeed()
  }

  #takeFeed(): void {
    if (this.phase !== 'warm') return
    for (const entry of this.#feed) {
      if (entry.position > this.#fed + 1) {
        this.#goal = Math.max(this.#goal, entry.position - 1)
        break
      }
      this.#takeEntry(entry)
    }
    this.#feed = this.#feed.filter(entry => entry.position > this.#fed)
  }

  #takeEntry(entry: LogEntryView): void {
    if (entry.position !== this.#fed + 1) return
    this.#fed = entry.position
    if (entry.type === 'DATA') {
      const whole = this.#joiner.data(entry.position, entry.payload)
      if (whole !== null) this.#applyPayload(whole)
    } else {
      this.#joiner.other(entry.position, entry.type)
    }
    this.applied = this.#joiner.pendingFrom === null ? this.#fed : this.#joiner.pendingFrom - 1
    if (this.#tables.isLoading && this.#fed >= this.#goal) this.#tables.endLoading()
  }

  #applyPayload(payload: Uint8Array): void {
    for (const { rows } of payloadTransactions(payload)) {
      this.#tables.apply(
        rows.map(({ table, key, bytes }) =>
          bytes === null ? deleted(table, key) : this.#reader.read(table, key, bytes),
        ),
      )
    }
  }
}

const TABLES_BY_NUMBER = new Map<number, TableName>(
  Object.entries(TABLE_NUMBERS).map(([name, number]) => [number, name as TableName]),
)

function deleted(table: number, key: string): RowChange {
  const name = TABLES_BY_NUMBER.get(table)
  if (name === undefined) throw new Error(`table ${table} is not known to this release (key ${key})`)
  return { type: 'delete', table: name, key }
}
