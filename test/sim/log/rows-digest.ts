/** A digest of row tables that does not depend on the order of rows and is kept up to date row by row. */
import { crc32c } from '../../../src/core/log/crc.ts'

const TEXT = new TextEncoder()

export function rowsDigestChange(
  digest: number,
  id: string,
  before: Uint8Array | undefined,
  after: Uint8Array | null,
): number {
  const key = crc32c(TEXT.encode(id))
  const removed = before === undefined ? 0 : crc32c(before, 0, before.length, key)
  const added = after === null ? 0 : crc32c(after, 0, after.length, key)
  return (digest - removed + added) >>> 0
}
