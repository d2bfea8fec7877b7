/**
 * A snapshot is the row tables as of one position: they stand for every entry up to there. No copy is ever made of them;
 * a member that lacks entries which nobody holds any more reads them page by page from another one's store, writes them
 * beside its own, and puts them in their place when the last one is there. What its log then holds follows from here.
 * Source: the replicated log, C8.
 */
import { assert } from '../base/assert.ts'
import { type Ballot, compareBallots, sameBallot } from './ballot.ts'
import type { LogBase, LogMeta } from './meta.ts'

/** One row as it is stored: the log never looks inside `bytes`. */
export interface StoredRow {
  readonly table: number
  readonly key: string
  readonly bytes: Uint8Array
}

/** Rows come in (table, key) order; a cursor names the last one that was seen. */
export interface RowCursor {
  readonly table: number
  readonly key: string
}

/** Of which state the rows of a snapshot are. */
export interface SnapshotHeader {
  /** Names one reading of one store: pages of different readings never mix. */
  readonly id: string
  readonly clusterId: string
  readonly position: number
  /** Ballot and digest of the log at `position`. */
  readonly base: LogBase
  readonly rowsDigest: number
}

/** What has arrived of a snapshot. */
export interface SnapshotProgress {
  readonly header: SnapshotHeader
  /** The last row that is on disk; null: none yet. */
  readonly cursor: RowCursor | null
  /** All rows are there and have the digest that the header names. */
  readonly isWhole: boolean
}

/** The name of a reading says whose it is: only that member can go on with it. */
export function snapshotId(memberId: number, reading: number): string {
  return `${memberId}-${reading.toString(16)}`
}

export function snapshotSource(id: string): number {
  return Number(id.split('-', 1)[0])
}

/** A reading of the tables holds back what is replaced meanwhile, and the log after it: that takes room. */
const READING_MS_MAX = 5 * 60_000
/** And however much room there is: one who never comes to the end must not hold it for ever. */
const ROOMY_READING_MS_MAX = 60 * 60_000

/**
 * Whether a reading is gone on with for those who want the next page. After some minutes only while at least half of the
 * room that was free when it began still is; another one means that they begin anew.
 */
export function mayReadOn(ageMs: number, freeBytes: number | null, freeBytesAtBegin: number | null): boolean {
  if (ageMs < READING_MS_MAX) return true
  if (freeBytes === null || freeBytesAtBegin === null) return false
  return ageMs < ROOMY_READING_MS_MAX && freeBytes >= freeBytesAtBegin / 2
}

/**
 * Whether a whole snapshot brings this member further: its tables stand for everything up to `covered`, or for nothing
 * when they cannot be used; then the log must go on from the snapshot.
 */
export function isUseful(header: SnapshotHeader, log: Pick<LogMeta, 'clusterId' | 'begin'>, covered: number): boolean {
  const { clusterId, position } = header
  return clusterId === log.clusterId && position > covered && position >= log.begin - 1
}

export interface Installed {
  readonly meta: LogMeta
  /** Entries after the snapshot stay; else all go. */
  readonly keepsTail: boolean
}

/**
 * The log beneath an installed snapshot. `held`: the ballot of the own entry at its position, if there is one. Entries
 * after it stay when that entry is the one the snapshot ends with; else they follow another history, which cannot be
 * committed any more. The promise stays, and is at least the ballot of what was taken over, as after any ACCEPT.
 */
export function installedLog(meta: LogMeta, held: Ballot | undefined, { position, base }: SnapshotHeader): Installed {
  const keepsTail = held !== undefined && sameBallot(held, base.ballot)
  assert(keepsTail || meta.commit <= position, 'what is committed after a snapshot follows from it', {
    commit: meta.commit,
    position,
  })
  const isAhead = keepsTail && meta.commit > position
  return {
    keepsTail,
    meta: {
      ...meta,
      generation: meta.generation + 1,
      promised: compareBallots(meta.promised, base.ballot) >= 0 ? meta.promised : base.ballot,
      begin: position + 1,
      base,
      end: keepsTail ? meta.end : position,
      commit: isAhead ? meta.commit : position,
      digest: isAhead ? meta.digest : base.digest,
    },
  }
}
