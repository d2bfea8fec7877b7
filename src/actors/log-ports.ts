/** What the actors of the log thread ask of the world: disks and peers. Bodies: `src/runtime/log/`, and memory in tests. */

import type { RowBytes } from '../core/ledger/payload.ts'
import type { Entry } from '../core/log/entry.ts'
import type { PeerMessage } from '../core/log/messages.ts'
import type { LogWrite, RestoredLog } from '../core/log/replica-core.ts'
import type { RowCursor, RowPage } from './ports.ts'

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
   * these. Throws DamagedRecord.
   */
  read(from: number, to: number, countMax: number, bytesMax?: number): readonly Entry[]
  close(): Promise<void>
}

/** The row tables, as of `applied`. Can always be made again from the log, so it may lag behind a crash. */
export interface StateStore {
  readonly applied: number
  /** Where replay begins after a restart: after `applied`, or earlier when a transaction in parts is not whole yet. */
  readonly resumeFrom: number
  /** Rows and position in one transaction; resolves when visible. */
  write(write: StateWrite): Promise<void>
  readRows(cursor: RowCursor | null, rowsMax: number): RowPage
  close(): Promise<void>
}

/** `rows` in order: a later change of a row replaces an earlier one. */
export interface StateWrite {
  readonly rows: readonly RowBytes[]
  readonly applied: number
  readonly resumeFrom: number
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
export class DamagedRecord extends Error {
  override readonly name = 'DamagedRecord'
  readonly position: number
  constructor(position: number, reason: string) {
    super(`the record of position ${position} is damaged: ${reason}`)
    this.position = position
  }
}
