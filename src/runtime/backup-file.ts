/**
 * A backup as a file: written page by page as the pages come, and read back frame by frame. What a page costs, its
 * compression and its way to the disk, happens in the threads that Node has for that, not in the one that asks.
 */
import { type FileHandle, open } from 'node:fs/promises'
import { promisify } from 'node:util'
import { constants, gunzip, gzip } from 'node:zlib'
import {
  type BackupHeader,
  BackupReading,
  BadBackup,
  checkFrame,
  checkMagic,
  FRAME,
  FRAME_HEADER_BYTES,
  type FrameHeader,
  type FrameKind,
  frameHeader,
  jsonBytes,
  MAGIC,
  readFrameHeader,
} from '../core/backup/backup-form.ts'
import { TRANSACTION_BYTES_MAX } from '../core/ledger/payload-parts.ts'
import type { StoredRow } from '../core/log/snapshot.ts'

const compress = promisify(gzip)
const decompress = promisify(gunzip)
/** A page is one row at the least, and a row fits a transaction. */
const PAGE_BYTES_MAX = TRANSACTION_BYTES_MAX + 1024 * 1024

export interface BackupPage {
  readonly payload: Uint8Array
  /** How many rows are in it, by number of their table. */
  readonly rows: Readonly<Record<string, number>>
}

/** A new file of that path, synced to the disk. `beforeWrite`: told how many bytes come, may throw. */
export async function writeBackupFile(
  path: string,
  header: BackupHeader,
  pages: AsyncIterable<BackupPage>,
  beforeWrite: (bytes: number) => Promise<void>,
): Promise<void> {
  const file = await open(path, 'wx', 0o600)
  try {
    const write = async (...parts: readonly Uint8Array[]): Promise<void> => {
      await beforeWrite(parts.reduce((sum, part) => sum + part.length, 0))
      await file.writev(parts)
    }
    const writeFrame = (kind: FrameKind, bytes: Uint8Array) => write(frameHeader(kind, bytes), bytes)
    await write(MAGIC)
    await writeFrame(FRAME.header, jsonBytes(header))
    const rows: Record<string, number> = {}
    for await (const page of pages) {
      for (const [table, count] of Object.entries(page.rows)) rows[table] = (rows[table] ?? 0) + count
      await writeFrame(FRAME.page, await compress(page.payload, { level: constants.Z_BEST_SPEED }))
    }
    await writeFrame(FRAME.trailer, jsonBytes({ rows }))
    await file.sync()
  } finally {
    await file.close()
  }
}

export interface ReadBackup {
  readonly header: BackupHeader
  /** By number of their table. */
  readonly counts: ReadonlyMap<number, number>
}

/**
 * Reads a file to its end. `onHeader` may throw; `take` is given rows that are not yet known to be those of a whole file.
 * Throws BadBackup for what is wrong with its content, and what the system says otherwise.
 */
export async function readBackupFile(
  path: string,
  take: (rows: readonly StoredRow[]) => void | Promise<void> = () => {},
  onHeader: (header: BackupHeader) => void = () => {},
): Promise<ReadBackup> {
  const file = await open(path, 'r')
  try {
    const frames = new Frames(file, (await file.stat()).size)
    await frames.magic()
    const reading = new BackupReading()
    for (let frame = await frames.next(); frame !== null; frame = await frames.next()) {
      const { kind, bytes } = frame
      if (kind === FRAME.header) onHeader(reading.header(bytes))
      else if (kind === FRAME.trailer) reading.trailer(bytes)
      else await take(reading.page(await decompressed(bytes)))
    }
    return { header: reading.end(), counts: reading.counts }
  } finally {
    await file.close()
  }
}

class Frames {
  readonly #file: FileHandle
  readonly #size: number
  #at = 0

  constructor(file: FileHandle, size: number) {
    this.#file = file
    this.#size = size
  }

  async magic(): Promise<void> {
    if (this.#size < MAGIC.length) throw new BadBackup('it is no backup of Daybreak')
    checkMagic(await this.#take(MAGIC.length))
  }

  /** Null at the end of the file. */
  async next(): Promise<(FrameHeader & { readonly bytes: Uint8Array }) | null> {
    if (this.#at === this.#size) return null
    const header = readFrameHeader(await this.#take(FRAME_HEADER_BYTES), this.#size - this.#at)
    const bytes = await this.#take(header.length)
    checkFrame(header, bytes)
    return { ...header, bytes }
  }

  async #take(length: number): Promise<Uint8Array> {
    if (length > this.#size - this.#at) throw new BadBackup('the file is cut short')
    const bytes = new Uint8Array(length)
    for (let have = 0; have < length; ) {
      const { bytesRead } = await this.#file.read(bytes, have, length - have, this.#at + have)
      if (bytesRead === 0) throw new BadBackup('the file is cut short')
      have += bytesRead
    }
    this.#at += length
    return bytes
  }
}

async function decompressed(bytes: Uint8Array): Promise<Uint8Array> {
  try {
    return await decompress(bytes, { maxOutputLength: PAGE_BYTES_MAX })
  } catch (cause) {
    throw new BadBackup(`a page cannot be decompressed: ${(cause as Error).message}`, { cause })
  }
}
