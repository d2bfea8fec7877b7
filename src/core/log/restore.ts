/**
 * From what a store holds to what a replica begins with, or the reason why it must not begin. Whatever is bad, missing or
 * too much may have been voted for, so it is never taken for never written: positions follow each other from begin to the
 * end that the meta record names, and the committed prefix has the digest that was written with it.
 * Source: the replicated log, C11.
 */
import { BallotRuns } from './ballot-runs.ts'
import { foldDigest } from './crc.ts'
import type { ReadRecord } from './entry.ts'
import type { LogMeta } from './meta.ts'
import type { RestoredLog } from './replica-core.ts'

/** Where something was found, and what was read there. */
export interface FoundRecord {
  readonly position: number
  readonly record: ReadRecord
}

export type RestoreResult =
  | { readonly ok: true; readonly restored: RestoredLog }
  | { readonly ok: false; readonly reason: string }

/** `found` in order of position, everything that is there. */
export function restoreLog(meta: LogMeta, found: Iterable<FoundRecord>): RestoreResult {
  const runs = new BallotRuns(meta.begin, meta.base.ballot)
  const crcs = new Map<number, number>()
  let { digest } = meta.base
  let expected = meta.begin
  for (const { position, record } of found) {
    if (position !== expected) return { ok: false, reason: `the record of position ${expected} is missing` }
    if (!record.ok) return { ok: false, reason: `the record of position ${position}: ${record.reason}` }
    const { crc, ballot } = record.entry
    runs.push(position, ballot)
    if (position <= meta.commit) digest = foldDigest(digest, crc)
    else crcs.set(position, crc)
    expected++
  }
  if (expected - 1 < meta.end) return { ok: false, reason: `the record of position ${expected} is missing` }
  if (expected - 1 > meta.end) return { ok: false, reason: `position ${expected - 1} is after the end ${meta.end}` }
  if (digest === meta.digest) return { ok: true, restored: { meta, runs, crcs } }
  return { ok: false, reason: `the digest of positions 1 to ${meta.commit} is not the one that was written` }
}
