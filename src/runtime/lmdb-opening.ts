/**
 * Opening an LMDB environment that may be damaged. LMDB maps its file and trusts it: a file that was cut short, or pages
 * of garbage, can end the whole process by a signal, with no word about why. So a file is mapped here only while nothing
 * speaks against it: its length must be what its meta pages say, and the last opening must have got through (a marker
 * beside the folder is there from the first look until everything was read once). Else another process reads all of it
 * first, and if that one dies, the store is called damaged instead. A start that is not suspect pays for two small reads.
 */
import { execFile } from 'node:child_process'
import { closeSync, existsSync, fstatSync, openSync, readSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export interface Opening {
  /** What is wrong with the store, or null when it may be opened. */
  readonly damage: string | null
  /** Everything was read once, or the opening ended in order: the next one need not be careful. */
  passed(): void
}

/** `tables` are the named databases in it; none: the unnamed one is read. A folder without a store is no damage. */
export async function beginOpening(folder: string, tables: readonly string[]): Promise<Opening> {
  const marker = markerOf(folder)
  const damage = await suspectedDamage(folder, tables, () => writeFileSync(marker, `process ${process.pid}\n`))
  return { damage, passed: () => rmSync(marker, { force: true }) }
}

/** Null when nothing speaks against the store, or another process could read all of it; else what is wrong. */
export async function suspectedDamage(
  folder: string,
  tables: readonly string[],
  beforeReading = (): void => {},
): Promise<string | null> {
  const file = join(folder, 'data.mdb')
  if (!existsSync(file)) return null
  // LMDB would take it for a new one.
  if (statSync(file).size === 0) return 'its file is empty'
  const isSuspect = existsSync(markerOf(folder)) || !isAsLongAsItSays(file)
  beforeReading()
  return isSuspect ? readInAnotherProcess(folder, tables) : null
}

/** Goes with a folder that is thrown away. */
export const markerOf = (folder: string): string => `${folder}.opening`

/** True for what LMDB throws about the content of a file, as opposed to the system's refusals (no room, no permission). */
export function isDamage(cause: unknown): boolean {
  const { code } = cause as { code?: unknown }
  // MDB_PAGE_NOTFOUND, MDB_CORRUPTED, MDB_PANIC, MDB_VERSION_MISMATCH, MDB_INVALID.
  return typeof code === 'number' && code >= -30_797 && code <= -30_793
}

/** Of a meta page: where its fields are, after the header of the page. */
const MAGIC_AT = 24
const PAGE_BYTES_AT = 48
const LAST_PAGE_AT = 144
const TRANSACTION_AT = 152
const META_BYTES = 160
const MAGIC = 0xbeefc0de

/** A file may rightly be shorter, when its last pages are free ones: then it is only looked at more closely. */
function isAsLongAsItSays(path: string): boolean {
  const file = openSync(path, 'r')
  try {
    const first = metaAt(file, 0)
    const second = first === null ? null : metaAt(file, first.pageBytes)
    if (first === null || second === null) return false
    const newest = second.transaction > first.transaction ? second : first
    return (newest.lastPage + 1) * first.pageBytes <= fstatSync(file).size
  } finally {
    closeSync(file)
  }
}

function metaAt(file: number, position: number) {
  const page = Buffer.alloc(META_BYTES)
  if (readSync(file, page, 0, META_BYTES, position) < META_BYTES || page.readUInt32LE(MAGIC_AT) !== MAGIC) return null
  return {
    pageBytes: page.readUInt32LE(PAGE_BYTES_AT),
    lastPage: Number(page.readBigUInt64LE(LAST_PAGE_AT)),
    transaction: page.readBigUInt64LE(TRANSACTION_AT),
  }
}

/** Null when all of it could be read; else how that failed. */
export function readInAnotherProcess(folder: string, tables: readonly string[]): Promise<string | null> {
  return new Promise((resolve, reject) => {
    execFile(process.execPath, [trialEntry(), folder, ...tables], (failure, _output, errors) => {
      if (failure === null) return resolve(null)
      if (typeof failure.code === 'string') return reject(failure)
      if (failure.signal) return resolve(`reading it ended a process by ${failure.signal}`)
      resolve(errors.trim().split('\n').at(-1) || `reading it ended a process with status ${failure.code}`)
    })
  })
}

/** Runs as built code. Beside this file when it is built itself; in `dist` when it runs from the source (tests). */
function trialEntry(): string {
  const isBuilt = import.meta.url.endsWith('.js')
  return fileURLToPath(new URL(isBuilt ? './lmdb-trial.js' : '../../dist/bundle/lmdb-trial.js', import.meta.url))
}
