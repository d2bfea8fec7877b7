/** What is done to a backup as a file of this machine. */
import { BadBackup } from '../core/backup/backup-form.ts'
import { TABLE_NUMBERS } from '../core/ledger/rows.ts'
import { type ReadBackup, readBackupFile } from '../runtime/backup-file.ts'
import { RestoreRefused, restoreOffline } from '../runtime/offline-restore.ts'
import type { CommonOptions } from './command.ts'
import { CLIENT_EXIT, type ClientExit } from './exit-status.ts'
import { CliFailure, type Io } from './io.ts'
import { say, sayJson } from './report.ts'
import { printable } from './screen.ts'

export async function verifyFile(io: Io, path: string, options: CommonOptions): Promise<ClientExit> {
  const { header, counts } = await readFile(path)
  const rows = Object.fromEntries([...counts].map(([number, count]) => [TABLE_NAMES.get(number) ?? number, count]))
  if (options.json === true) {
    sayJson(io, { file: path, ...header, rows })
    return CLIENT_EXIT.ok
  }
  say(io, `${printable(path)} is whole`)
  say(io, `  cluster ${header.clusterId}, position ${header.position}, ballot ${header.ballot.join('.')}`)
  say(io, `  written ${new Date(header.writtenAtMs).toISOString()} by Daybreak ${printable(header.software)}`)
  const told = Object.entries(rows).map(([table, count]) => `${count} ${table}`)
  say(io, `  rows: ${told.length === 0 ? 'none' : told.join(', ')}`)
  return CLIENT_EXIT.ok
}

export async function restoreInto(
  io: Io,
  path: string,
  options: CommonOptions & { readonly into: string; readonly otherCluster?: boolean },
): Promise<ClientExit> {
  const { into, otherCluster = false, json } = options
  const done = await told(path, () => restoreOffline(path, into, { otherCluster }))
  const { memberId, clusterId, position, others } = done
  if (json === true) sayJson(io, done)
  else {
    say(
      io,
      `Restored into the log of member ${memberId} of cluster ${clusterId}: it goes on after position ${position}`,
    )
    if (others.length > 0) say(io, `Do the same with this file on members ${others.join(', ')}; none starts without`)
  }
  return CLIENT_EXIT.ok
}

function readFile(path: string): Promise<ReadBackup> {
  return told(path, () => readBackupFile(path))
}

/** What is wrong with a file, or with where it is to go, in words. */
async function told<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    if (cause instanceof RestoreRefused) throw new CliFailure(CLIENT_EXIT.refused, cause.message, { cause })
    if (cause instanceof BadBackup) {
      throw new CliFailure(CLIENT_EXIT.refused, `Failed to decode backup ${path}: ${cause.message}`, { cause })
    }
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') {
      throw new CliFailure(CLIENT_EXIT.notFound, `Backup ${path} does not exist.`, { cause })
    }
    throw new CliFailure(CLIENT_EXIT.refused, `Failed to read backup ${path}: ${(cause as Error).message}`, { cause })
  }
}

const TABLE_NAMES = new Map<number, string>(Object.entries(TABLE_NUMBERS).map(([name, number]) => [number, name]))
