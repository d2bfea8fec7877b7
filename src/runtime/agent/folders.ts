/**
 * Where an agent keeps things under its work folder:
 *
 *   meta/                        0700, the agent's own
 *   meta/db/                     LMDB: identity, records, statuses
 *   meta/tasks/ID/PROCESS/RUN/   what the shim of a run wrote down
 *   tasks/ID/sandbox/            0700, the task's; HOME and working folder of its processes
 *   tasks/ID/sandbox/.logs/PROCESS/RUN/{stdout,stderr}
 *
 * Ids and process names were checked before they come here, and are checked once more: they become path elements.
 */
import { accessSync, constants, lstatSync, mkdirSync, statSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { sandboxPath } from '../../core/agents/sandbox-path.ts'
import { assert } from '../../core/base/assert.ts'

export class PlaceError extends Error {
  override readonly name = 'PlaceError'
}

export class Folders {
  readonly work: string
  readonly meta: string
  readonly db: string
  readonly tasks: string

  constructor(workDir: string) {
    this.work = resolve(workDir)
    this.meta = join(this.work, 'meta')
    this.db = join(this.meta, 'db')
    this.tasks = join(this.work, 'tasks')
  }

  /**
   * Refuses a work folder that somebody else could lead elsewhere, that cannot be written to, or, `forOthers`, that
   * other accounts cannot reach: their tasks would end at once, without a word in any log.
   */
  make(options: { readonly forOthers: boolean }): void {
    try {
      mkdirSync(this.work, { recursive: true, mode: 0o755 })
    } catch (cause) {
      throw new PlaceError(`agent.workDir ${this.work} cannot be made: ${(cause as Error).message}`, { cause })
    }
    const stat = lstatSync(this.work)
    if (stat.isSymbolicLink()) throw new PlaceError(`agent.workDir ${this.work} is a symlink; name the folder itself`)
    if (!stat.isDirectory()) throw new PlaceError(`agent.workDir ${this.work} is no folder`)
    if ((stat.mode & 0o002) !== 0) {
      throw new PlaceError(`agent.workDir ${this.work} is writable by everybody; run chmod o-w ${this.work}`)
    }
    for (let folder = this.work; options.forOthers; folder = dirname(folder)) {
      if ((statSync(folder).mode & 0o001) === 0) {
        const remedy = `run chmod o+x ${folder}, or set agent.userMode to shared`
        throw new PlaceError(`agent.workDir ${this.work} is out of reach for the accounts of roles; ${remedy}`)
      }
      if (folder === dirname(folder)) break
    }
    try {
      accessSync(this.work, constants.W_OK)
      mkdirSync(join(this.meta, 'tasks'), { recursive: true, mode: 0o700 })
      mkdirSync(this.tasks, { recursive: true, mode: 0o711 })
    } catch (cause) {
      throw new PlaceError(`agent.workDir ${this.work} is not writable: ${(cause as Error).message}`, { cause })
    }
  }

  task(taskId: string): string {
    return join(this.tasks, element(taskId))
  }
  sandbox(taskId: string): string {
    return sandboxPath(this.work, element(taskId))
  }
  logs(taskId: string, process: string, run: number): string {
    return join(this.sandbox(taskId), '.logs', element(process), String(run))
  }
  records(taskId: string): string {
    return join(this.meta, 'tasks', element(taskId))
  }
  runRecords(taskId: string, process: string, run: number): string {
    return join(this.records(taskId), element(process), String(run))
  }
}

function element(name: string): string {
  const plain = name !== '' && !name.includes('/') && !name.includes('\0') && !name.startsWith('.')
  assert(plain, 'a path element leads nowhere else', { name })
  return name
}
