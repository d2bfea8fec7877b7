/**
 * The row tables of a member as they lie in an LMDB environment: rows as opaque bytes under (table number, key), and a
 * mark that says up to where the log has taken effect in them. In use they are `state/`; a snapshot of another member
 * gathers in `state.incoming/`, in the same form, until it takes their place.
 */
import { type Database, open, type RootDatabase, type Transaction } from 'lmdb'
import type { StoredRow } from '../../actors/ports.ts'
import { changedDigest } from '../../core/ledger/rows-digest.ts'
import { type LogBase, NO_BASE } from '../../core/log/meta.ts'
import type { RowCursor } from '../../core/log/snapshot.ts'

/** Whose rows these are: a state folder beside another log must never be believed. */
export interface StateOwner {
  readonly clusterId: string
  readonly incarnation: string
}

export interface StateMark extends StateOwner {
  readonly v: 2
  readonly applied: number
  readonly resumeFrom: number
  /** Of the log at the position before `resumeFrom`. */
  readonly base: LogBase
  readonly rowsDigest: number
}

export interface RowTables {
  readonly root: RootDatabase<Buffer, Buffer>
  readonly rows: Database<Buffer, Buffer>
  readonly marks: Database<unknown, string>
}

export const ROW_TABLE_NAMES = ['rows', 'mark'] as const
const MARK = 'mark'

export function openRowTables(folder: string): RowTables {
  const root = open<Buffer, Buffer>({
    path: folder,
    noSubdir: false,
    maxDbs: 4,
    encoding: 'binary',
    keyEncoding: 'binary',
    // With it on, what a failed commit has left unflushed is waited for for ever, at the next close too.
    overlappingSync: false,
  })
  const rows = root.openDB<Buffer, Buffer>(ROW_TABLE_NAMES[0], { encoding: 'binary', keyEncoding: 'binary' })
  const marks = root.openDB<unknown, string>(ROW_TABLE_NAMES[1], { encoding: 'json' })
  return { root, rows, marks }
}

/** Of tables to which nothing was ever applied when there is none; null when it is of another format. */
export function readMark({ marks }: RowTables, owner: StateOwner, transaction?: Transaction): StateMark | null {
  const mark = marks.get(MARK, transaction === undefined ? {} : { transaction }) as StateMark | undefined
  if (mark === undefined) return { v: 2, ...owner, applied: 0, resumeFrom: 1, base: NO_BASE, rowsDigest: 0 }
  return mark.v === 2 ? mark : null
}

export function putMark({ marks }: RowTables, mark: StateMark): Promise<boolean> {
  return marks.put(MARK, mark)
}

/** More than LMDB takes: what is cut off here is refused there. */
const KEY = Buffer.allocUnsafeSlow(4_096)

/**
 * One byte of table, then the key as UTF-8: byte order is (table, key) order. Good until the next call: LMDB copies it in
 * the turn in which it is given.
 */
export function rowKey(table: number, key: string): Buffer {
  KEY[0] = table
  return KEY.subarray(0, 1 + KEY.write(key, 1))
}

/** Of what is there, as opposed to the one that is kept up to date with every write. Reads every row. */
export function rowsDigestOf({ rows }: RowTables): number {
  let digest = 0
  for (const { key, value } of rows.getRange({})) digest = changedDigest(digest, key, null, value)
  return digest
}

/** Rows after the cursor, in order; the caller takes as many as it wants. Their bytes are copies of what LMDB has mapped. */
export function* rowsAfter(
  { rows }: RowTables,
  cursor: RowCursor | null,
  options: { readonly limit?: number; readonly transaction?: Transaction } = {},
): Iterable<StoredRow> {
  const start = cursor === null ? Buffer.from([0]) : Buffer.concat([rowKey(cursor.table, cursor.key), Buffer.from([0])])
  for (const { key, value } of rows.getRange({ start, ...options })) {
    yield { table: key[0]!, key: key.toString('utf8', 1), bytes: value }
  }
}
