/**
 * How one run is started: its folders and output files, its environment, and the command line from the shim down to
 * the shell that runs the task's own. The folder of its records is the mark that the run was begun.
 */
import { randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { type FileHandle, mkdir, open } from 'node:fs/promises'
import { join } from 'node:path'
import type { ProcessSpec } from '../../core/executor/task-data.ts'
import type { Account } from './accounts.ts'
import type { Folders } from './folders.ts'
import { AGENT_VARIABLE, TASK_VARIABLE } from './process-groups.ts'
import { shimCommand } from './shim.ts'

export interface RunOrder {
  readonly taskId: string
  readonly role: string
  readonly process: ProcessSpec
  readonly run: number
}

export interface RunCommand {
  readonly program: string
  readonly args: readonly string[]
  readonly cwd: string
  readonly env: Readonly<Record<string, string>>
  readonly stdio: 'ignore' | ['ignore', number, number]
  /** Where the shim writes what it has to say. */
  readonly records: string
  /** Once the process has its files, or is not to be started after all. */
  close(): Promise<void>
}

const PATH_DEFAULT = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
const SHELL = existsSync('/bin/bash') ? '/bin/bash' : '/bin/sh'

/** Rejects when the run has a folder already: one that was begun is never begun again. */
export async function runCommand(
  folders: Folders,
  order: RunOrder,
  { account, switches }: { readonly account: Account; readonly switches: boolean },
): Promise<RunCommand> {
  const { taskId, process, run } = order
  const records = folders.runRecords(taskId, process.name, run)
  const sandbox = folders.sandbox(taskId)
  const logs = folders.logs(taskId, process.name, run)
  await mkdir(join(records, '..'), { recursive: true, mode: 0o700 })
  await mkdir(records, { mode: 0o700 })
  const files = process.keepsOutput && !switches ? await outputFiles(logs) : null
  const command = switches ? commandAs(account, process, logs) : [SHELL, '-c', process.cmdline]
  const [program = '', ...args] = shimCommand(SHELL, records, randomUUID(), command)
  return {
    program,
    args,
    cwd: sandbox,
    env: environment(folders, taskId, account),
    stdio: files === null ? 'ignore' : ['ignore', files[0].fd, files[1].fd],
    records,
    async close() {
      for (const file of files ?? []) await file.close()
    },
  }
}

function environment(folders: Folders, taskId: string, account: Account): Record<string, string> {
  const sandbox = folders.sandbox(taskId)
  const profile = join(sandbox, '.thermos_profile')
  return {
    HOME: sandbox,
    USER: account.name,
    LOGNAME: account.name,
    PATH: process.env.PATH ?? PATH_DEFAULT,
    ...(existsSync(profile) ? { BASH_ENV: profile } : {}),
    [TASK_VARIABLE]: taskId,
    [AGENT_VARIABLE]: folders.work,
  }
}

/**
 * Folders and files inside a sandbox are made by its owner: what root made there could be led elsewhere. So the command
 * of another account opens its own output.
 */
function commandAs({ uid, gid }: Account, process: ProcessSpec, logs: string): string[] {
  const script = process.keepsOutput
    ? 'mkdir -p "$1" && exec "$2" -c "$3" >>"$1/stdout" 2>>"$1/stderr"'
    : 'exec "$2" -c "$3"'
  const drop = ['setpriv', `--reuid=${uid}`, `--regid=${gid}`, '--init-groups', '--no-new-privs', '--']
  return [...drop, '/bin/sh', '-c', script, 'sh', logs, SHELL, process.cmdline]
}

async function outputFiles(logs: string): Promise<[FileHandle, FileHandle]> {
  await mkdir(logs, { recursive: true, mode: 0o755 })
  return [await open(join(logs, 'stdout'), 'a', 0o644), await open(join(logs, 'stderr'), 'a', 0o644)]
}
