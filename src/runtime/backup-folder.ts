/**
 * The folder of backups of this node. A file is written under a temporary name, synced, read back, and only then gets its
 * own name; whatever fails on the way, nothing half-written stays.
 */
import { readdir, rename, rm, stat, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { type BackupFile, type BackupFolder, BackupTrouble } from '../actors/backup-ports.ts'
import type { Clock, Logger, StoredRow } from '../actors/ports.ts'
import { type BackupHeader, BadBackup } from '../core/backup/backup-form.ts'
import { backupName, isLeftOver, readBackupName, temporaryName } from '../core/backup/backup-name.ts'
import type { SnapshotHeader } from '../core/log/snapshot.ts'
import { type BackupPage, readBackupFile, writeBackupFile } from './backup-file.ts'
import { syncFolder } from './log/durable-file.ts'

/** The row tables of this node, one reading at a time. Body: the log thread. */
export interface RowSource {
  /** Null while the tables do not stand for that position yet. */
  begin(positionMin: number): Promise<SnapshotHeader | null>
  /** Rejects when the reading was given up meanwhile. */
  page(id: string): Promise<BackupPage & { readonly done: boolean }>
  end(id: string): Promise<void>
}

export interface BackupFolderOptions {
  readonly path: string
  readonly rows: RowSource
  readonly clusterId: () => string | null
  readonly software: string
  /** Bytes that stay free: the log needs them more. */
  readonly reserveBytes: number
  readonly clock: Clock
  readonly logger: Logger
}

const POSITION_MS_MAX = 10_000
const POSITION_POLL_MS = 20

export function backupFolder(options: BackupFolderOptions): BackupFolder {
  const { path, rows, clusterId, software, reserveBytes, clock, logger } = options
  const at = (name: string): string => join(path, name)

  async function begun(positionMin: number): Promise<SnapshotHeader> {
    for (const until = clock.read().monoMs + POSITION_MS_MAX; clock.read().monoMs < until; ) {
      const header = await rows.begin(positionMin)
      if (header !== null) return header
      await new Promise(done => setTimeout(done, POSITION_POLL_MS))
    }
    throw new Error(`the row tables of this node do not reach position ${positionMin}`)
  }

  async function* pagesOf(id: string): AsyncGenerator<BackupPage> {
    for (let done = false; !done; ) {
      const page = await rows.page(id)
      done = page.done
      yield page
    }
  }

  async function enoughRoom(bytes: number): Promise<void> {
    const disk = await statfs(path)
    const left = disk.bavail * disk.bsize - bytes
    if (left < reserveBytes)
      throw new Error(`only ${left + bytes} bytes are free there, and ${reserveBytes} are to stay`)
  }

  async function write(positionMin: number): Promise<BackupFile> {
    const snapshot = await begun(positionMin)
    const { wallMs } = clock.read()
    const name = backupName(wallMs, snapshot.position)
    const temporary = at(temporaryName(name))
    const header: BackupHeader = {
      clusterId: snapshot.clusterId,
      position: snapshot.position,
      ballot: snapshot.base.ballot,
      rowsDigest: snapshot.rowsDigest,
      writtenAtMs: wallMs,
      software,
    }
    try {
      // One of the very same second and position: what it lacks nothing can.
      await rm(temporary, { force: true })
      await enoughRoom(0)
      await writeBackupFile(temporary, header, pagesOf(snapshot.id), enoughRoom)
      await readBackupFile(temporary)
      await rename(temporary, at(name))
      syncFolder(path)
      const { size } = await stat(at(name))
      return { name, atMs: wallMs, position: snapshot.position, bytes: size }
    } catch (cause) {
      await rm(temporary, { force: true }).catch(() => {})
      throw cause
    } finally {
      // The log thread gives it up by itself when it is not asked any more.
      await rows.end(snapshot.id).catch(() => {})
    }
  }

  async function read(name: string, take: (rows: readonly StoredRow[]) => void): Promise<void> {
    await readBackupFile(at(name), take, header => {
      const own = clusterId()
      if (header.clusterId === own) return
      const text = `Backup ${name} is of cluster ${header.clusterId}, not of this one (${own})`
      throw new BackupTrouble('foreign', text)
    })
  }

  return {
    path,
    async clean() {
      const left = (await readdir(path)).filter(isLeftOver)
      for (const name of left) await rm(at(name), { force: true })
      if (left.length > 0) logger.info('backup-left-overs-deleted', { path, names: left })
    },
    async list() {
      const names = await readdir(path).catch(cause => {
        throw new BackupTrouble('unreadable', `The backup folder ${path} cannot be read: ${textOf(cause)}`, { cause })
      })
      const files: BackupFile[] = []
      for (const name of names.sort()) {
        const named = readBackupName(name)
        if (named === null) continue
        const found = await stat(at(name)).catch(() => null)
        if (found?.isFile()) files.push({ ...named, bytes: found.size })
      }
      return files
    },
    write: positionMin =>
      write(positionMin).catch(cause => {
        const text = `The backup could not be written to ${path}: ${textOf(cause)}`
        throw new BackupTrouble('notWritten', text, { cause })
      }),
    remove: name => rm(at(name)),
    async read(name, take) {
      // Never anything else of this machine.
      if (readBackupName(name) === null) throw new BackupTrouble('missing', missing(name))
      await read(name, take).catch(cause => {
        if (cause instanceof BackupTrouble) throw cause
        if (cause instanceof BadBackup)
          throw new BackupTrouble('damaged', `Failed to decode backup ${name}: ${cause.message}`, { cause })
        if (cause.code === 'ENOENT') throw new BackupTrouble('missing', missing(name), { cause })
        throw new BackupTrouble('unreadable', `Failed to read backup ${name}: ${textOf(cause)}`, { cause })
      })
    },
  }
}

const missing = (name: string): string => `Backup ${name} does not exist.`
const textOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause))
