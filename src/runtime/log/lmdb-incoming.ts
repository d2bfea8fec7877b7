/**
 * A snapshot on its way in: `state.incoming/` beside the tables in use. Each page is flushed with the cursor behind it, so
 * a transfer that a crash cuts off goes on from there. It takes effect only at an opening (`installArrived`): first the log
 * is made to begin after it, in one transaction, then the folders change places. Each step can be done again, so a crash
 * between any two leaves the old store or the new one. Source: the replicated log, C8.
 */
import { existsSync, renameSync, rmSync } from 'node:fs'
import { mkdir, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { IncomingSnapshot } from '../../actors/log-ports.ts'
import { changedDigest } from '../../core/ledger/rows-digest.ts'
import type { SnapshotPage } from '../../core/log/messages.ts'
import type { LogMeta } from '../../core/log/meta.ts'
import { isUseful, type RowCursor, type SnapshotHeader, type SnapshotProgress } from '../../core/log/snapshot.ts'
import { beginOpening, isDamage, markerOf } from '../lmdb-opening.ts'
import { syncFolder } from './durable-file.ts'
import { refuseFull, storeTrouble } from './lmdb-trouble.ts'
import {
  openRowTables,
  putMark,
  ROW_TABLE_NAMES,
  type RowTables,
  readMark,
  rowKey,
  type StateOwner,
} from './row-tables.ts'

interface Arrived {
  readonly header: SnapshotHeader
  readonly cursor: RowCursor | null
  readonly isWhole: boolean
  /** Of the rows so far. */
  readonly rowsDigest: number
}

const ARRIVED = 'arrived'

export function openIncoming(folder: string, owner: StateOwner): IncomingSnapshot & { close(): Promise<void> } {
  return new LmdbIncoming(folder, owner)
}

class LmdbIncoming implements IncomingSnapshot {
  readonly #folder: string
  readonly #owner: StateOwner
  #tables: RowTables | null = null
  #arrived: Arrived | null = null

  constructor(folder: string, { clusterId, incarnation }: StateOwner) {
    this.#folder = folder
    this.#owner = { clusterId, incarnation }
    if (!existsSync(folder)) return
    this.#tables = openRowTables(folder)
    this.#arrived = arrivedIn(this.#tables)
  }

  get progress(): SnapshotProgress | null {
    return this.#arrived
  }

  async write({
    header,
    cursor,
    rows,
    done,
  }: Pick<SnapshotPage, 'header' | 'cursor' | 'rows' | 'done'>): Promise<boolean> {
    try {
      refuseFull(dirname(this.#folder), 'a write of a snapshot')
      if (cursor === null || this.#tables === null) await this.#beginAnew()
      const tables = this.#tables!
      let rowsDigest = cursor === null ? 0 : (this.#arrived?.rowsDigest ?? 0)
      const settled: Promise<unknown>[] = []
      for (const { table, key, bytes } of rows) {
        const at = rowKey(table, key)
        rowsDigest = changedDigest(rowsDigest, at, null, bytes)
        settled.push(tables.rows.put(at, bytes as Buffer))
      }
      if (done && rowsDigest !== header.rowsDigest) {
        await Promise.all(settled)
        await this.#forget()
        return false
      }
      const last = rows.at(-1)
      const next = last === undefined ? cursor : { table: last.table, key: last.key }
      const arrived: Arrived = { header, cursor: next, isWhole: done, rowsDigest }
      const { position: applied, base } = header
      if (done)
        settled.push(putMark(tables, { v: 2, ...this.#owner, applied, resumeFrom: applied + 1, base, rowsDigest }))
      settled.push(tables.marks.put(ARRIVED, arrived))
      await Promise.all(settled)
      this.#arrived = arrived
      return true
    } catch (cause) {
      throw await storeTrouble(cause, this.#folder, 'a write of a snapshot')
    }
  }

  async close(): Promise<void> {
    await this.#tables?.root.close()
    this.#tables = null
  }

  async #beginAnew(): Promise<void> {
    await this.#forget()
    await mkdir(this.#folder, { recursive: true })
    this.#tables = openRowTables(this.#folder)
  }

  async #forget(): Promise<void> {
    this.#arrived = null
    await this.close()
    await rm(this.#folder, { recursive: true, force: true })
  }
}

function arrivedIn({ marks }: RowTables): Arrived | null {
  return (marks.get(ARRIVED) as Arrived | undefined) ?? null
}

/** Also when a crash has left only the tables that were replaced: they take room. */
export function hasArrivals(stateFolder: string): boolean {
  return existsSync(`${stateFolder}.incoming`) || existsSync(`${stateFolder}.replaced`)
}

/**
 * Before an opening: puts a whole snapshot in place if it brings this member further, and throws away one that does not.
 * `install` makes the log begin after it. Answers its position, or null when there was nothing to do.
 */
export async function installArrived(
  stateFolder: string,
  meta: LogMeta,
  install: (header: SnapshotHeader) => Promise<void>,
): Promise<number | null> {
  const incoming = `${stateFolder}.incoming`
  const replaced = `${stateFolder}.replaced`
  rmSync(replaced, { recursive: true, force: true })
  if (!existsSync(incoming)) return null
  const arrived = await readArrived(incoming)
  if (arrived?.isWhole !== true || !isUseful(arrived.header, meta, await coveredBy(stateFolder, meta))) {
    // What has only begun to arrive may go on; what is unreadable or of no use begins anew.
    if (arrived === null || arrived.isWhole) {
      rmSync(incoming, { recursive: true, force: true })
      rmSync(markerOf(incoming), { force: true })
    }
    return null
  }
  await install(arrived.header)
  if (existsSync(stateFolder)) renameSync(stateFolder, replaced)
  renameSync(incoming, stateFolder)
  syncFolder(dirname(stateFolder))
  rmSync(replaced, { recursive: true, force: true })
  return arrived.header.position
}

async function readArrived(folder: string): Promise<Arrived | null> {
  return withTables(folder, arrivedIn)
}

/** Up to where the tables in use stand for the log; 0 when they cannot be used. */
async function coveredBy(folder: string, owner: StateOwner): Promise<number> {
  if (!existsSync(folder)) return 0
  const mark = await withTables(folder, tables => readMark(tables, owner))
  return mark?.clusterId === owner.clusterId && mark.incarnation === owner.incarnation ? mark.resumeFrom - 1 : 0
}

/** Null when they are damaged. Should the look end the process, the next start looks more carefully. */
async function withTables<T>(folder: string, read: (tables: RowTables) => T): Promise<T | null> {
  const opening = await beginOpening(folder, ROW_TABLE_NAMES)
  if (opening.damage !== null) return null
  try {
    const tables = openRowTables(folder)
    try {
      return read(tables)
    } finally {
      await tables.root.close()
      opening.passed()
    }
  } catch (cause) {
    if (isDamage(cause)) return null
    throw cause
  }
}
