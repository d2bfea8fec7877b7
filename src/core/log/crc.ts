/**
 * CRC-32C (Castagnoli), the checksum of every record. Pure tables, eight bytes per step, because core may not reach for a
 * package; Node 20.20 has no crc32 of its own either. Source: RFC 3720, B.4; check value of "123456789" is e3069283.
 */
const TABLES: readonly Uint32Array[] = makeTables()

function makeTables(): readonly Uint32Array[] {
  const tables = Array.from({ length: 8 }, () => new Uint32Array(256))
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1
    tables[0]![byte] = crc >>> 0
  }
  for (let byte = 0; byte < 256; byte++) {
    for (let table = 1; table < 8; table++) {
      const before = tables[table - 1]![byte]!
      tables[table]![byte] = ((before >>> 8) ^ tables[0]![before & 0xff]!) >>> 0
    }
  }
  return tables
}

const [T0, T1, T2, T3, T4, T5, T6, T7] = TABLES as unknown as [
  Uint32Array,
  Uint32Array,
  Uint32Array,
  Uint32Array,
  Uint32Array,
  Uint32Array,
  Uint32Array,
  Uint32Array,
]

/** Of `bytes[from..to)`. `seed` continues an earlier checksum over the bytes before. An unsigned 32-bit number. */
export function crc32c(bytes: Uint8Array, from = 0, to = bytes.length, seed = 0): number {
  let crc = ~seed
  let at = from
  for (const blocksEnd = to - 7; at < blocksEnd; at += 8) {
    const low = crc ^ (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24))
    crc =
      T7[low & 0xff]! ^
      T6[(low >>> 8) & 0xff]! ^
      T5[(low >>> 16) & 0xff]! ^
      T4[low >>> 24]! ^
      T3[bytes[at + 4]!]! ^
      T2[bytes[at + 5]!]! ^
      T1[bytes[at + 6]!]! ^
      T0[bytes[at + 7]!]!
  }
  for (; at < to; at++) crc = (crc >>> 8) ^ T0[(crc ^ bytes[at]!) & 0xff]!
  return ~crc >>> 0
}

/** Joins a running digest with the checksum of the next record: order matters, so a swapped record shows. */
export function foldDigest(digest: number, crc: number): number {
  let mixed = (digest ^ crc) >>> 0
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x7feb352d)
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x846ca68b)
  return ((mixed ^ (mixed >>> 16)) + 0x9e3779b9) >>> 0
}

/** As people are shown checksums and digests. */
export function checksumText(checksum: number): string {
  return checksum.toString(16).padStart(8, '0')
}
