/**
 * A backup put into the empty log of a member of a new cluster, for when every disk of the old one is lost. The rows are
 * laid beside the log as a snapshot that has arrived; the node puts them in place when it starts, by the path by which it
 * takes any snapshot. Every member gets the same file, so that whoever is elected first has the rows.
 *
 * The agents of a lost cluster have seen later positions and ballots than the backup and obey nobody who is behind: the new
 * log begins far beyond what can have been reached.
 */
import { join } from 'node:path'
import { type BackupHeader, BadBackup } from '../core/backup/backup-form.ts'
import type { LogMeta } from '../core/log/meta.ts'
import type { RowCursor, SnapshotHeader } from '../core/log/snapshot.ts'
import { readBackupFile } from './backup-file.ts'
import { hasArrivals, openIncoming } from './log/lmdb-incoming.ts'
import { metaOfLog } from './log/lmdb-log-store.ts'
import { stateFolder, storeFolder } from './log/log-folder.ts'
import { folderHolder, lockFolder } from './log/store-lock.ts'

export const NON_EMPTY = 'Refusing to recover into non-empty persistence'
/** More than any log writes, and any round of elections needs, in the time for which a backup is of use. */
export const POSITIONS_SKIPPED = 1e10
export const ROUNDS_SKIPPED = 1e6

/** In words for people, with what to do next. */
export class RestoreRefused extends Error {
  override readonly name = 'RestoreRefused'
}

export interface OfflineRestore {
  readonly clusterId: string
  readonly memberId: number
  /** The log goes on behind it. */
  readonly position: number
  /** The members that need the same, this one left out. */
  readonly others: readonly number[]
}

/** `otherCluster`: the new cluster need not be the one of the backup. Throws RestoreRefused, BadBackup. */
export async function restoreOffline(
  file: string,
  dataFolder: string,
  { otherCluster }: { readonly otherCluster: boolean },
): Promise<OfflineRestore> {
  const path = join(dataFolder, 'log')
  const holder = folderHolder(path)
  if (holder !== null) throw new RestoreRefused(`The log at ${path} is in use by process ${holder}: stop it first`)
  // Whole from its first byte to its last before anything is touched.
  const { header } = await readBackupFile(file)
  const meta = await metaOfLog(storeFolder(path))
  if (meta === null) {
    throw new RestoreRefused(
      `There is no formatted log at ${path}: run \`daybreak log initialize\` for this member first`,
    )
  }
  const lock = await lockFolder(path)
  try {
    refuseNonEmpty(path, meta)
    if (header.clusterId !== meta.clusterId && !otherCluster) {
      throw new RestoreRefused(
        `The backup is of cluster ${header.clusterId}, the log at ${path} of cluster ${meta.clusterId}, and agents obey ` +
          'only the cluster they know: set cluster.id to that of the backup and initialize the log anew, or add --other-cluster',
      )
    }
    const snapshot = snapshotOf(header, meta)
    await lay(file, path, meta, snapshot)
    const others = meta.genesisMembers.map(({ memberId }) => memberId).filter(id => id !== meta.memberId)
    return { clusterId: meta.clusterId, memberId: meta.memberId, position: snapshot.position, others }
  } finally {
    await lock.release()
  }
}

function refuseNonEmpty(path: string, { status, end, begin }: LogMeta): void {
  const isFresh = status === 'STARTING' && end === 0 && begin === 1
  if (!isFresh || hasArrivals(stateFolder(path))) throw new RestoreRefused(`${NON_EMPTY}: ${path}`)
}

function snapshotOf({ position, ballot: [round, memberId], rowsDigest }: BackupHeader, meta: LogMeta): SnapshotHeader {
  return {
    id: 'backup',
    clusterId: meta.clusterId,
    position: position + POSITIONS_SKIPPED,
    base: { ballot: [round + ROUNDS_SKIPPED, memberId], digest: 0 },
    rowsDigest,
  }
}

async function lay(file: string, path: string, meta: LogMeta, header: SnapshotHeader): Promise<void> {
  const incoming = openIncoming(`${stateFolder(path)}.incoming`, meta)
  let cursor: RowCursor | null = null
  try {
    await readBackupFile(file, async rows => {
      await incoming.write({ header, cursor, rows, done: false })
      cursor = rows.at(-1) ?? cursor
    })
    if (await incoming.write({ header, cursor, rows: [], done: true })) return
    throw new BadBackup('the rows that were written do not have its digest')
  } finally {
    await incoming.close()
  }
}
