/**
 * What a replica keeps besides its entries: identity, promise, bounds and counts. Written with every batch, in the same
 * transaction, as two equal copies: if one is damaged the other still has the newest promise. (Copies that take turns were
 * rejected: of a damaged one nobody could say whether it held a newer promise.) The end and the digest of the committed
 * prefix are compared with what is found at the next start, so a record that is silently gone shows.
 * Source: the replicated log, C4, C10 and C11.
 */
import { type Ballot, NO_BALLOT } from './ballot.ts'
import { crc32c } from './crc.ts'
import type { ClusterDescriptor, ListedMember } from './descriptor.ts'

/** EMPTY is the absence of a store and therefore never stored. */
export type StoredStatus = 'STARTING' | 'RECOVERING' | 'VOTING'

/** What is known of the last position before the first one held: the row tables stand for everything up to there. */
export interface LogBase {
  readonly ballot: Ballot
  /** Fold of the record checksums of everything up to there. */
  readonly digest: number
}

export const NO_BASE: LogBase = { ballot: NO_BALLOT, digest: 0 }

export interface LogMeta {
  readonly formatVersion: 1
  /** Counts writes of this store. */
  readonly generation: number
  readonly clusterId: string
  readonly genesisHash: string
  readonly memberId: number
  readonly incarnation: string
  /** The members of the genesis; incarnations are known only once VOTING. */
  readonly genesisMembers: readonly ListedMember[]
  readonly descriptor: ClusterDescriptor | null
  readonly status: StoredStatus
  readonly bootCounter: number
  readonly promised: Ballot
  /** First and last position held; an empty log has begin 1 and end 0. */
  readonly begin: number
  readonly base: LogBase
  readonly end: number
  /** Known to be committed; may lag behind what is. */
  readonly commit: number
  /** Fold of the record checksums of 1..commit. */
  readonly digest: number
}

export function encodeMeta(meta: LogMeta): Uint8Array {
  const text = new TextEncoder().encode(JSON.stringify(meta))
  const bytes = new Uint8Array(4 + text.length)
  bytes.set(text, 4)
  new DataView(bytes.buffer).setUint32(0, crc32c(text))
  return bytes
}

export type ReadMeta = { readonly ok: true; readonly meta: LogMeta } | { readonly ok: false; readonly reason: string }

/** The newest whole copy. Copies that are missing or damaged are passed over as long as one is whole. */
export function readMeta(copies: readonly (Uint8Array | undefined)[]): ReadMeta {
  let newest: LogMeta | undefined
  for (const bytes of copies) {
    if (bytes === undefined || bytes.length < 4) continue
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    if (view.getUint32(0) !== crc32c(bytes, 4)) continue
    // A log that was never truncated may have been written before there was a base.
    const read = JSON.parse(new TextDecoder().decode(bytes.subarray(4))) as LogMeta & { readonly base?: LogBase }
    const meta: LogMeta = { ...read, base: read.base ?? NO_BASE }
    if (newest === undefined || meta.generation > newest.generation) newest = meta
  }
  if (newest === undefined) return { ok: false, reason: 'no copy of the meta record is whole' }
  if (newest.formatVersion !== 1) {
    return { ok: false, reason: `format version ${String(newest.formatVersion)} is not known to this software` }
  }
  return { ok: true, meta: newest }
}
