/**
 * The row tables of one member on LMDB, in an environment of their own so that their commits do not delay the flushes of
 * the log. The applied position is written in the same transaction as the rows, so a crash leaves both or neither, and
 * what is missing is applied again from the log. Every write is flushed before it is reported: what the tables stand for
 * may be truncated from the log. Source: the replicated log, C7 (apply), C8 (snapshots) and C10.
 */
import { mkdirSync, rmSync } from 'node:fs'
import type { IncomingSnapshot, SnapshotReader, StateStore, StateWrite } from '../../actors/log-ports.ts'
import type { RowCursor, RowPage, StoredRow } from '../../actors/ports.ts'
import { RowHashes } from '../../core/ledger/row-hashes.ts'
import { hashOrNone, movedDigest } from '../../core/ledger/rows-digest.ts'
import type { LogBase } from '../../core/log/meta.ts'
import { beginOpening, isDamage, type Opening } from '../lmdb-opening.ts'
import { openIncoming } from './lmdb-incoming.ts'
import { refuseFull, storeTrouble } from './lmdb-trouble.ts'
import { LogLacks, LogRefused } from './log-refused.ts'
import {
  openRowTables,
  putMark,
  ROW_TABLE_NAMES,
  type RowTables,
  readMark,
  rowKey,
  rowsAfter,
  rowsDigestOf,
  type StateMark,
  type StateOwner,
} from './row-tables.ts'

/**
 * Opens the tables and reads all of them, to compare their digest with the one that was written with them. Those of another
 * owner, unreadable or changed ones, or ones that do not go with the log are thrown away and made again, which is possible while the log still has its first position; else they are refused as lacking.
 */
export async function openStateStore(
  folder: string,
  owner: StateOwner,
  log: { readonly begin: number; readonly end: number },
  onRemade: (because: string) => void = () => {},
): Promise<LmdbStateStore> {
  mkdirSync(folder, { recursive: true })
  const opening = await beginOpening(folder, ROW_TABLE_NAMES)
  const found = opening.damage === null ? tryOpen(folder, owner, log, opening) : null
  if (found !== null) return found
  if (log.begin > 1) {
    const why = opening.damage ?? 'they are damaged, of another log, or do not reach to where this one begins'
    const text =
      `The row tables at ${folder} cannot be used (${why}), and the log beside them begins at ${log.begin}, so they ` +
      'cannot be made again from it. Restore the data folder from a backup'
    throw new LogLacks(text, null, null)
  }
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  onRemade(opening.damage ?? 'they are damaged, of another log or another release, or ahead of this one')
  const fresh = tryOpen(folder, owner, log, opening)
  if (fresh === null) throw new LogRefused(`The row tables at ${folder} cannot be made`)
  return fresh
}

function tryOpen(
  folder: string,
  owner: StateOwner,
  log: { readonly begin: number; readonly end: number },
  opening: Opening,
): LmdbStateStore | null {
  try {
    const tables = openRowTables(folder)
    const mark = readMark(tables, owner)
    const isOurs = mark?.clusterId === owner.clusterId && mark.incarnation === owner.incarnation
    const goesWithLog = isOurs && mark.applied <= log.end && mark.resumeFrom >= log.begin
    // A row that a bad disk has changed looks like any other, and a leader would act on it.
    if (goesWithLog && rowsDigestOf(tables) === mark.rowsDigest) {
      return new LmdbStateStore(folder, tables, mark, opening)
    }
    void tables.root.close()
    return null
  } catch (cause) {
    if (isDamage(cause)) return null
    throw cause
  }
}

export class LmdbStateStore implements StateStore {
  readonly incoming: IncomingSnapshot & { close(): Promise<void> }
  readonly #tables: RowTables
  readonly #folder: string
  readonly #opening: Opening
  /** Of rows as this object has written them: after a failed write it is not used any more. */
  readonly #hashes = new RowHashes()
  #mark: StateMark

  constructor(folder: string, tables: RowTables, mark: StateMark, opening: Opening) {
    this.#folder = folder
    this.#tables = tables
    this.#mark = mark
    this.#opening = opening
    this.incoming = openIncoming(`${folder}.incoming`, mark)
  }

  get applied(): number {
    return this.#mark.applied
  }
  get resumeFrom(): number {
    return this.#mark.resumeFrom
  }
  get base(): LogBase {
    return this.#mark.base
  }
  get rowsDigest(): number {
    return this.#mark.rowsDigest
  }

  async write({ rows: changes, applied, resumeFrom, base }: StateWrite): Promise<void> {
    const { rows } = this.#tables
    let { rowsDigest } = this.#mark
    let mark: StateMark
    try {
      refuseFull(this.#folder, 'a write of the row tables')
      this.#tables.root.resetReadTxn()
      // One turn, so one transaction: nothing here may wait before the mark is put.
      const settled = new Set<Promise<unknown>>()
      for (const { table, key, bytes } of changes) {
        const at = rowKey(table, key)
        const before = this.#hashes.get(table, key) ?? hashOrNone(at, rows.getBinary(at))
        const after = hashOrNone(at, bytes)
        this.#hashes.set(table, key, after)
        rowsDigest = movedDigest(rowsDigest, before, after)
        settled.add(bytes === null ? rows.remove(at) : rows.put(at, bytes as Buffer))
      }
      mark = { ...this.#mark, applied, resumeFrom, base, rowsDigest }
      settled.add(putMark(this.#tables, mark))
      await Promise.all(settled)
    } catch (cause) {
      throw await storeTrouble(cause, this.#folder, 'a write of the row tables')
    }
    this.#mark = mark
  }

  readRows(cursor: RowCursor | null, rowsMax: number): RowPage {
    const { root } = this.#tables
    // Mark and rows from one read transaction: a write that is settling must show in both or in neither.
    root.resetReadTxn()
    // Parts of a transaction that is not whole have no row yet: whoever reads on must be given them again.
    const applied = (readMark(this.#tables, this.#mark)?.resumeFrom ?? 1) - 1
    const page: StoredRow[] = []
    let done = true
    for (const row of rowsAfter(this.#tables, cursor, { limit: rowsMax + 1 })) {
      if (page.length === rowsMax) {
        done = false
        break
      }
      page.push(row)
    }
    // The last page is reached by reading all of them: only now is it known that nothing in there ends the process.
    if (done) this.#opening.passed()
    return { applied, rows: packed(page), done }
  }

  snapshot(id: string): SnapshotReader {
    const transaction = this.#tables.root.useReadTransaction()
    const { clusterId, resumeFrom, base, rowsDigest } = readMark(this.#tables, this.#mark, transaction) ?? this.#mark
    return {
      header: { id, clusterId, position: resumeFrom - 1, base, rowsDigest },
      page: (cursor, bytesMax) => {
        const rows: StoredRow[] = []
        let bytes = 0
        for (const row of rowsAfter(this.#tables, cursor, { transaction })) {
          if (bytes >= bytesMax || rows.length >= SNAPSHOT_ROWS_MAX) return { rows, done: false }
          rows.push(row)
          bytes += row.bytes.length + row.key.length
        }
        return { rows, done: true }
      },
      close: () => transaction.done(),
    }
  }

  async close(): Promise<void> {
    await this.incoming.close()
    await this.#tables.root.close()
    this.#opening.passed()
  }
}

/** Of one page: small rows must not make a message of very many parts. */
const SNAPSHOT_ROWS_MAX = 8_192

/**
 * With their bytes behind each other in one buffer: a page changes hands between threads, and thousands of buffers cost
 * more there than what is in them.
 */
function packed(rows: readonly StoredRow[]): readonly StoredRow[] {
  const page = new Uint8Array(rows.reduce((sum, { bytes }) => sum + bytes.length, 0))
  let end = 0
  return rows.map(({ table, key, bytes }) => {
    const begin = end
    end += bytes.length
    page.set(bytes, begin)
    return { table, key, bytes: page.subarray(begin, end) }
  })
}
