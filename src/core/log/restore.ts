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
  | {
      readonly ok: false
      readonly reason: string
      /** When nothing else is wrong: committed positions whose records are bad or gone. Other members have them too. */
      readonly mendable: readonly number[]
    }

/** More than this is not a matter of a few bad records. */
const MENDABLE_MAX = 10_000

/** `found` in order of position, everything that is there. */
export function restoreLog(meta: LogMeta, found: Iterable<FoundRecord>): RestoreResult {
  const runs = new BallotRuns(meta.begin, meta.base.ballot)
  const crcs = new Map<number, number>()
  let { digest } = meta.base
  let expected = meta.begin
  let reason: string | null = null
  const mendable: number[] = []
  /** False: it is not known to be committed, so it may be what this replica has voted for. */
  const missing = (from: number, to: number): boolean => {
    reason ??= `the record of position ${from} is missing`
    if (to > meta.commit || to - from + mendable.length >= MENDABLE_MAX) return false
    for (let at = from; at <= to; at++) mendable.push(at)
    return true
  }
  for (const { position, record } of found) {
    if (position < expected)
      return { ok: false, reason: `position ${position} was truncated and is there`, mendable: [] }
    if (position > expected && !missing(expected, position - 1)) return { ok: false, reason: reason!, mendable: [] }
    expected = position
    if (!record.ok) {
      reason ??= `the record of position ${position}: ${record.reason}`
      if (position > meta.commit || mendable.length >= MENDABLE_MAX) return { ok: false, reason, mendable: [] }
      mendable.push(position)
      expected++
      continue
    }
    expected++
    // What lies between is read again once it is mended.
    if (mendable.length > 0) continue
    const { crc, ballot } = record.entry
    runs.push(position, ballot)
    if (position <= meta.commit) digest = foldDigest(digest, crc)
    else crcs.set(position, crc)
  }
  if (expected - 1 > meta.end) {
    return { ok: false, reason: `position ${expected - 1} is after the end ${meta.end}`, mendable: [] }
  }
  if (expected - 1 < meta.end && !missing(expected, meta.end)) return { ok: false, reason: reason!, mendable: [] }
  if (reason !== null) return { ok: false, reason, mendable }
  if (digest === meta.digest) return { ok: true, restored: { meta, runs, crcs } }
  const text = `the digest of positions 1 to ${meta.commit} is not the one that was written`
  return { ok: false, reason: text, mendable: [] }
}
