/**
 * A digest of all row tables that does not depend on the order of rows, so that it is kept up to date by each change:
 * the hash of what a row was is taken off, the hash of what it becomes is added. Replicas that have applied the same
 * position have the same one, or have diverged. Source: the replicated log, C8.
 */
import { crc32c, foldDigest } from '../log/crc.ts'

const TEXT = new TextEncoder()

/** One byte of table, then the key as UTF-8: byte order is (table, key) order. */
export function rowKey(table: number, key: string): Uint8Array {
  const text = TEXT.encode(key)
  const bytes = new Uint8Array(1 + text.length)
  bytes[0] = table
  bytes.set(text, 1)
  return bytes
}

export function rowHash(key: Uint8Array, bytes: Uint8Array): number {
  return foldDigest(crc32c(key), crc32c(bytes))
}

/** Null or undefined: there is no such row. An unsigned 32-bit number. */
export function changedDigest(
  digest: number,
  key: Uint8Array,
  before: Uint8Array | null | undefined,
  after: Uint8Array | null,
): number {
  return movedDigest(digest, hashOrNone(key, before), hashOrNone(key, after))
}

/** By the hashes of what a row was and becomes, see `hashOrNone`. */
export function movedDigest(digest: number, before: number, after: number): number {
  return (digest - before + after) >>> 0
}

/** 0 where there is no such row. */
export function hashOrNone(key: Uint8Array, bytes: Uint8Array | null | undefined): number {
  return bytes == null ? 0 : rowHash(key, bytes)
}
