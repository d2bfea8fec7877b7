/**
 * The row tables of one member on LMDB, in an environment of their own so that their commits do not delay the flushes of
 * the log. Rows are opaque bytes under (table number, key); the applied position is written in the same transaction as
 * the rows, so a crash leaves both or neither, and what is missing is applied again from the log.
 * Source: the replicated log, C7 (apply) and C10.
 */
import { mkdirSync, rmSync } from 'node:fs'
import { type Database, open, type RootDatabase } from 'lmdb'
import type { StateStore, StateWrite } from '../../actors/log-ports.ts'
import type { RowCursor, RowPage, StoredRow } from '../../actors/ports.ts'
import { beginOpening, isDamage, type Opening } from '../lmdb-opening.ts'
import { storeTrouble } from './lmdb-trouble.ts'
import { LogRefused } from './log-refused.ts'

/** Whose rows these are: a state folder beside another log must never be believed. */
export interface StateOwner {
  readonly clusterId: string
  readonly incarnation: string
}

interface StateMark extends StateOwner {
  readonly v: 1
  readonly applied: number
  readonly resumeFrom: number
}

const MARK = 'mark'

/**
 * Opens the tables. Those of another owner, unreadable ones, or ones ahead of the log are thrown away and made again,
 * which is possible while the log still has its first position; else they are refused.
 */
export async function openStateStore(
  folder: string,
  owner: StateOwner,
  log: { readonly begin: number; readonly end: number },
  onRemade: (because: string) => void = () => {},
): Promise<LmdbStateStore> {
  mkdirSync(folder, { recursive: true })
  const opening = await beginOpening(folder, TABLE_NAMES)
  const found = opening.damage === null ? tryOpen(folder, owner, log.end, opening) : null
  if (found !== null) return found
  if (log.begin > 1) {
    throw new LogRefused(`The row tables at ${folder} do not belong to this log, which no longer has position 1`)
  }
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  onRemade(opening.damage ?? 'they are damaged, of another log, or ahead of this one')
  const fresh = tryOpen(folder, owner, log.end, opening)
  if (fresh === null) throw new LogRefused(`The row tables at ${folder} cannot be made`)
  return fresh
}

const TABLE_NAMES = ['rows', 'mark'] as const

function tryOpen(folder: string, owner: StateOwner, logEnd: number, opening: Opening): LmdbStateStore | null {
  try {
    const { tables, mark } = openTables(folder, owner)
    const isOurs = mark.clusterId === owner.clusterId && mark.incarnation === owner.incarnation
    if (isOurs && mark.applied <= logEnd) return new LmdbStateStore(folder, tables, mark, opening)
    void tables.root.close()
    return null
  } catch (cause) {
    if (isDamage(cause)) return null
    throw cause
  }
}

function openTables(folder: string, owner: StateOwner): { tables: Tables; mark: StateMark } {
  const root = open<Buffer, Buffer>({
    path: folder,
    noSubdir: false,
    maxDbs: 4,
    encoding: 'binary',
    keyEncoding: 'binary',
    // With it on, what a failed commit has left unflushed is waited for for ever, at the next close too.
    overlappingSync: false,
  })
  const rows = root.openDB<Buffer, Buffer>(TABLE_NAMES[0], { encoding: 'binary', keyEncoding: 'binary' })
  const marks = root.openDB<StateMark, string>(TABLE_NAMES[1], { encoding: 'json' })
  const mark = marks.get(MARK) ?? { v: 1, ...owner, applied: 0, resumeFrom: 1 }
  return { tables: { root, rows, marks }, mark }
}

interface Tables {
  readonly root: RootDatabase<Buffer, Buffer>
  readonly rows: Database<Buffer, Buffer>
  readonly marks: Database<StateMark, string>
}

export class LmdbStateStore implements StateStore {
  readonly #tables: Tables
  readonly #folder: string
  readonly #opening: Opening
  #mark: StateMark

  constructor(folder: string, tables: Tables, mark: StateMark, opening: Opening) {
    this.#folder = folder
    this.#tables = tables
    this.#mark = mark
    this.#opening = opening
  }

  get applied(): number {
    return this.#mark.applied
  }
  get resumeFrom(): number {
    return this.#mark.resumeFrom
  }

  async write(write: StateWrite): Promise<void> {
    const { rows, marks } = this.#tables
    const mark = { ...this.#mark, applied: write.applied, resumeFrom: write.resumeFrom }
    try {
      // One turn, so one transaction: nothing here may wait before the mark is put.
      const settled = new Set<Promise<unknown>>()
      for (const { table, key, bytes } of write.rows) {
        settled.add(bytes === null ? rows.remove(rowKey(table, key)) : rows.put(rowKey(table, key), bytes as Buffer))
      }
      settled.add(marks.put(MARK, mark))
      await Promise.all(settled)
    } catch (cause) {
      throw await storeTrouble(cause, this.#folder, 'a write of the row tables')
    }
    this.#mark = mark
  }

  readRows(cursor: RowCursor | null, rowsMax: number): RowPage {
    const { root, rows, marks } = this.#tables
    // Mark and rows from one read transaction: a write that is settling must show in both or in neither.
    root.resetReadTxn()
    // Parts of a transaction that is not whole have no row yet: whoever reads on must be given them again.
    const applied = (marks.get(MARK)?.resumeFrom ?? 1) - 1
    const start =
      cursor === null ? Buffer.from([0]) : Buffer.concat([rowKey(cursor.table, cursor.key), Buffer.from([0])])
    const page: StoredRow[] = []
    let done = true
    for (const { key, value } of rows.getRange({ start, limit: rowsMax + 1 })) {
      if (page.length === rowsMax) {
        done = false
        break
      }
      page.push({ table: key[0]!, key: key.toString('utf8', 1), bytes: Uint8Array.prototype.slice.call(value) })
    }
    // The last page is reached by reading all of them: only now is it known that nothing in there ends the process.
    if (done) this.#opening.passed()
    return { applied, rows: page, done }
  }

  async close(): Promise<void> {
    await this.#tables.root.close()
    this.#opening.passed()
  }
}

/** More than LMDB takes: what is cut off here is refused there. */
const KEY = Buffer.allocUnsafeSlow(4_096)

/**
 * One byte of table, then the key as UTF-8: byte order is (table, key) order. Good until the next call: LMDB copies it in
 * the turn in which it is given.
 */
function rowKey(table: number, key: string): Buffer {
  KEY[0] = table
  return KEY.subarray(0, 1 + KEY.write(key, 1))
}
