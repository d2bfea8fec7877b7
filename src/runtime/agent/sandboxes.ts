/** The sandboxes of tasks on disk: made for the account a task runs as, listed, and removed with everything in them. */
import { chmod, chown, mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Outcome } from '../../actors/agent-ports.ts'
import { type AccountRules, accountFor } from './accounts.ts'
import type { Folders } from './folders.ts'

export async function makeSandbox(
  folders: Folders,
  rules: AccountRules,
  task: { readonly taskId: string; readonly role: string },
): Promise<Outcome> {
  const choice = await accountFor(task.role, rules)
  if (!choice.ok) return choice
  const sandbox = folders.sandbox(task.taskId)
  await mkdir(sandbox, { recursive: true, mode: 0o700 })
  await chmod(sandbox, 0o700)
  if (choice.switches) {
    await chown(folders.task(task.taskId), choice.account.uid, choice.account.gid)
    await chown(sandbox, choice.account.uid, choice.account.gid)
  }
  return { ok: true }
}

export async function removeSandbox(folders: Folders, taskId: string): Promise<void> {
  // The sandbox last: it is what the next look at the folders finds when this one is interrupted.
  await removeTree(folders.records(taskId))
  await removeTree(folders.task(taskId))
}

/** Entries of a folder but hidden ones; none when there is no such folder. */
export async function namesIn(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder)).filter(name => !name.startsWith('.'))
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw cause
  }
}

/** `rm` removes links, it never follows them. */
async function removeTree(folder: string): Promise<void> {
  const remove = (): Promise<void> => rm(folder, { recursive: true, force: true, maxRetries: 3 })
  try {
    await remove()
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EACCES') throw cause
    // Tasks leave folders behind that forbid their owner to write (caches of modules do); only root is above that.
    await makeWritable(folder)
    await remove()
  }
}

async function makeWritable(folder: string): Promise<void> {
  await chmod(folder, 0o700)
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    if (entry.isDirectory()) await makeWritable(join(folder, entry.name))
  }
}
