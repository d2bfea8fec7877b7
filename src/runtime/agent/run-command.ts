/**
 * How one run is started: where its records and its output go, its environment, and the command line from the shim down
 * to the shell that runs the task's own.
 */
import { randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { ProcessSpec } from '../../core/executor/task-data.ts'
import type { Account } from './accounts.ts'
import type { Folders } from './folders.ts'
import type { LaunchCommand } from './launch-messages.ts'
import { AGENT_VARIABLE, TASK_VARIABLE } from './process-groups.ts'
import { shimCommand } from './shim.ts'

export interface RunOrder {
  readonly taskId: string
  readonly role: string
  readonly process: ProcessSpec
  readonly run: number
}

/** All that a launcher has to know of a run. */
export type RunCommand = Omit<LaunchCommand, 'id' | 'isAgain'>

const PATH_DEFAULT = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
const SHELL = existsSync('/bin/bash') ? '/bin/bash' : '/bin/sh'

export function runCommand(
  folders: Folders,
  order: RunOrder,
  { account, switches }: { readonly account: Account; readonly switches: boolean },
): RunCommand {
  const { taskId, process, run } = order
  const records = folders.runRecords(taskId, process.name, run)
  const logs = folders.logs(taskId, process.name, run)
  const token = randomUUID()
  const command = switches ? commandAs(account, process, logs) : [SHELL, '-c', process.cmdline]
  const [program = '', ...args] = shimCommand(records, token, command)
  return {
    program,
    args,
    cwd: folders.sandbox(taskId),
    env: environment(folders, taskId, account),
    records,
    token,
    output: process.keepsOutput && !switches ? logs : null,
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
