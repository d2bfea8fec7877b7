/** What the Backup actor asks of the machine: a folder of backups. Body: `src/runtime/backup-folder.ts`. */
import type { NamedBackup } from '../core/backup/backup-name.ts'
import type { StoredRow } from './ports.ts'

export interface BackupFile extends NamedBackup {
  readonly bytes: number
}

/** Every text is one for people: it names the file or the folder, and what is wrong. */
export class BackupTrouble extends Error {
  override readonly name = 'BackupTrouble'
  readonly why: 'missing' | 'damaged' | 'foreign' | 'unreadable' | 'notWritten'
  constructor(why: BackupTrouble['why'], message: string, options?: ErrorOptions) {
    super(message, options)
    this.why = why
  }
}

export interface BackupFolder {
  readonly path: string
  /** Deletes what an earlier process has left half-written. */
  clean(): Promise<void>
  /** The oldest first; only what is a backup by its name. */
  list(): Promise<readonly BackupFile[]>
  /**
   * Writes the row tables as of `positionMin` or later and settles when the file is on disk, was read back whole and has
   * its name. Rejects with BackupTrouble, and then nothing of it is left.
   */
  write(positionMin: number): Promise<BackupFile>
  remove(name: string): Promise<void>
  /**
   * Hands over the rows in pages, in (table, key) order, and settles when the file has turned out to be whole; before that
   * none of them may be used. Rejects with BackupTrouble, also for one of another cluster.
   */
  read(name: string, take: (rows: readonly StoredRow[]) => void): Promise<void>
}
