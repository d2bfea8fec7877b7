/** What the actors of the log thread ask of the world: disks and peers. Bodies: `src/runtime/log/`, and memory in tests. */

import type { RowBytes } from '../core/ledger/payload.ts'
import type { Entry } from '../core/log/entry.ts'
import type { PeerMessage, SnapshotPage } from '../core/log/messages.ts'
import type { LogBase } from '../core/log/meta.ts'
import type { LogWrite, RestoredLog } from '../core/log/replica-core.ts'
import type { SnapshotHeader, SnapshotProgress } from '../core/log/snapshot.ts'
import type { RowCursor, RowPage, StoredRow } from './ports.ts'

/** The durable side of a replica. One process at a time has it open. */
export interface LogStore {
  /** What was found at the opening, checked; the boot counter is already raised and flushed. */
  readonly restored: RestoredLog
  /**
   * One transaction. Resolves when it is committed and flushed, in the order of the calls, never earlier. Rejects with
   * StoreFull (nothing of it is there) or StoreFailed (nothing may be believed any more: the process must end).
   */
  write(write: LogWrite): Promise<void>
  /**
   * Flushed entries from..to, at most `countMax`, and no more once they have `bytesMax` together; ends early only for
   * these, and is empty when `from` has been truncated. Throws DamagedRecord.
   */
  read(from: number, to: number, countMax: number, bytesMax?: number): readonly Entry[]
  close(): Promise<void>
}

/** The row tables, as of `applied`. They follow the log, and stand for what was truncated of it. */
export interface StateStore {
  readonly applied: number
  /** Where replay begins after a restart: after `applied`, or earlier when a transaction in parts is not whole yet. */
  readonly resumeFrom: number
  /** Of the log at the position before `resumeFrom`. */
  readonly base: LogBase
  /** Of all rows as of `applied`. */
  readonly rowsDigest: number
  /** Rows and position in one transaction; one at a time. Resolves when it is committed and flushed, never earlier. */
  write(write: StateWrite): Promise<void>
  readRows(cursor: RowCursor | null, rowsMax: number): RowPage
  /** The rows as they are on disk now, for another member; they stay so while it is open, whatever is written. */
  snapshot(id: string): SnapshotReader
  /** Rows of another member on their way in, beside the tables in use. */
  readonly incoming: IncomingSnapshot
  close(): Promise<void>
}

export interface SnapshotReader {
  readonly header: SnapshotHeader
  /** Rows after the cursor, at least one if there is one, and no more once they have `bytesMax` together. */
  page(cursor: RowCursor | null, bytesMax: number): { readonly rows: readonly StoredRow[]; readonly done: boolean }
  close(): void
}

export interface IncomingSnapshot {
  /** What is on disk of it, also from an earlier process; null: nothing. */
  readonly progress: SnapshotProgress | null
  /**
   * Resolves when the page is flushed. The first page of a snapshot takes the place of whatever was there. After the
   * last one the digest is compared: false, and nothing is there any more, when the rows are not those of the header.
   */
  write(page: Pick<SnapshotPage, 'header' | 'cursor' | 'rows' | 'done'>): Promise<boolean>
}

/** `rows`: each row once, as it is at `applied`. */
export interface StateWrite {
  readonly rows: readonly RowBytes[]
  readonly applied: number
  readonly resumeFrom: number
  readonly base: LogBase
}

/** To and from the peers; may lose, double, delay and reorder. Requests reach the replica, replies the coordinator. */
export interface LogTransport {
  send(to: number, message: PeerMessage): void
  /** Set once by the owner. */
  onMessage: (message: PeerMessage) => void
}

/** For a single member, and until peers are reachable. */
export const noPeers: LogTransport = { send: () => {}, onMessage: () => {} }

export class StoreFull extends Error {
  override readonly name = 'StoreFull'
}
export class StoreFailed extends Error {
  override readonly name = 'StoreFailed'
}
/** The rows of this member are not those of the others: neither disk has failed, and yet one of the two is wrong. */
export class RowsDiverged extends Error {
  override readonly name = 'RowsDiverged'
}
export class DamagedRecord extends Error {
  override readonly name = 'DamagedRecord'
  readonly position: number
  constructor(position: number, reason: string) {
    super(`the record of position ${position} is damaged: ${reason}`)
    this.position = position
  }
}
