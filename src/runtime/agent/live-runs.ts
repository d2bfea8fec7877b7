/**
 * The runs that are alive as far as we know, and how we hear of their ends: from the launcher that began them, or, where
 * that is gone, from a watch on their record folder and, for shims that were killed, from a slow look at all of them
 * together. Nothing polls when nothing waits.
 */
import { existsSync, type FSWatcher, statSync, watch } from 'node:fs'
import { join } from 'node:path'
import type { RunEnded } from '../../actors/agent-ports.ts'
import type { Logger } from '../../actors/ports.ts'
import type { FoundRun } from '../../core/executor/run-state.ts'
import type { Folders } from './folders.ts'
import { LauncherClient, type Shim } from './launcher-client.ts'
import { commandLineOf, isSameProcess } from './proc.ts'
import type { ProcessGroups } from './process-groups.ts'
import type { RunCommand } from './run-command.ts'
import { namesIn } from './sandboxes.ts'
import { readEnded, readStarted } from './shim.ts'

/** Of a run that is over. */
export interface OverRun extends Shim {
  /** When we heard of it, ms of `performance.now()`: whatever is left of it was there by then. */
  readonly heardMs: number
}

export interface RunId {
  readonly taskId: string
  readonly process: string
  readonly run: number
}

interface LiveRun extends RunId, Shim {
  readonly folder: string
  readonly ended: RunEnded
  /** Its launcher is gone: nobody tells us when it ends. */
  adopted: boolean
  watcher: FSWatcher | null
}

export interface LiveRunsParts {
  readonly folders: Folders
  readonly groups: ProcessGroups
  readonly log: Logger
  /** A run of the task has ended, and its owner knows. */
  readonly over: (taskId: string) => void
}

const ADOPTED_CHECK_MS = 1_000

export class LiveRuns {
  private readonly parts: LiveRunsParts
  private readonly launcher: LauncherClient
  private readonly live = new Map<string, LiveRun>()
  /** Task → runs that are on their way: begun or not, nobody can say. */
  private readonly starting = new Map<string, number>()
  /** Runs that are over and not yet swept → who led their session. */
  private readonly over = new Map<string, OverRun>()
  private adoptedCheck: NodeJS.Timeout | null = null
  private closed = false

  constructor(parts: LiveRunsParts) {
    this.parts = parts
    const { folders, log } = parts
    this.launcher = new LauncherClient({ work: folders.work, log, orphaned: () => this.adoptAll() })
  }

  /** Before the first start or find: afterwards nobody but us begins runs. */
  open(): Promise<void> {
    return this.launcher.open()
  }

  async start(id: RunId, command: RunCommand, ended: RunEnded): Promise<void> {
    const { taskId } = id
    await this.launcher.launch({
      taskId,
      command,
      begun: shim => {
        const { pid, startTicks } = shim
        const live = this.add({ ...id, pid, startTicks, folder: command.records, ended, adopted: false, watcher: null })
        return code => this.runOver(live, code)
      },
      wasBegun: () => this.wasBegun(id, ended),
    })
  }

  /** While `start` goes on, the task is not without processes, whatever a look says. */
  async whileStarting<T>(taskId: string, start: () => Promise<T>): Promise<T> {
    this.starting.set(taskId, (this.starting.get(taskId) ?? 0) + 1)
    try {
      return await start()
    } finally {
      const left = (this.starting.get(taskId) ?? 0) - 1
      if (left > 0) this.starting.set(taskId, left)
      else this.starting.delete(taskId)
    }
  }

  isStarting(taskId: string): boolean {
    return this.starting.has(taskId)
  }

  /** Runs of the task that no launcher has got yet are refused. */
  cancelStarts(taskId: string): void {
    this.launcher.cancel(taskId)
  }

  /** Every run of the task that has a folder; those that still run are adopted. */
  async find(taskId: string, ended: RunEnded): Promise<readonly FoundRun[]> {
    const records = this.parts.folders.records(taskId)
    const found: FoundRun[] = []
    for (const process of await namesIn(records)) {
      for (const name of await namesIn(join(records, process))) {
        const run = Number(name)
        if (Number.isInteger(run) && run >= 0) found.push(this.findRun({ taskId, process, run }, ended))
      }
    }
    return found
  }

  /** Of all tasks. */
  shims(): ReadonlySet<number> {
    return new Set([...this.live.values()].map(live => live.pid))
  }

  ofTask(taskId: string): readonly Shim[] {
    return [...this.live.values()].filter(live => live.taskId === taskId)
  }

  /** Who led the session of a run that is over; asked once per run. Null: its shim never said who it was. */
  takeOver(id: RunId): OverRun | null {
    const key = keyOf(id)
    const shim = this.over.get(key)
    this.over.delete(key)
    if (shim !== undefined) return shim
    try {
      const started = readStarted(this.parts.folders.runRecords(id.taskId, id.process, id.run))
      return started === null ? null : { ...started, heardMs: performance.now() }
    } catch {
      return null // already reported where it was read first
    }
  }

  /** Nobody waits for this task any more. */
  release(taskId: string): void {
    for (const key of this.over.keys()) if (key.startsWith(`${taskId}/`)) this.over.delete(key)
  }

  /** Settles when nothing can begin any more. */
  async close(): Promise<void> {
    this.closed = true
    for (const live of this.live.values()) live.watcher?.close()
    if (this.adoptedCheck !== null) clearInterval(this.adoptedCheck)
    await this.launcher.close()
  }

  private add(live: LiveRun): LiveRun {
    this.live.set(keyOf(live), live)
    this.parts.groups.addSession(live.pid, live.taskId)
    return live
  }

  private findRun(id: RunId, ended: RunEnded): FoundRun {
    const { taskId, process, run } = id
    const folder = this.parts.folders.runRecords(taskId, process, run)
    const madeMs = Math.floor(statSync(folder).mtimeMs)
    let end: ReturnType<typeof readEnded> = null
    let started: ReturnType<typeof readStarted> = null
    try {
      end = readEnded(folder)
      started = readStarted(folder)
    } catch (cause) {
      // One damaged record must not cost the others; without it the run counts as lost, and its group is searched for.
      this.parts.log.warn('agent-record-quarantined', { folder, cause: String(cause) })
    }
    const startedAtMs = started?.atMs ?? madeMs
    if (end !== null) return { process, run, startedAtMs, end: { code: end.code, atMs: end.atMs } }
    const known = this.live.get(keyOf(id))
    if (known !== undefined) {
      this.live.set(keyOf(known), { ...known, ended })
      return { process, run, startedAtMs, end: null }
    }
    const shim = started ?? this.searchShim(taskId, folder)
    if (shim === null || !isSameProcess(shim.pid, shim.startTicks)) {
      return { process, run, startedAtMs, end: { code: null, atMs: Date.now() } }
    }
    const { pid, startTicks } = shim
    this.watchAdopted(this.add({ ...id, pid, startTicks, folder, ended, adopted: true, watcher: null }))
    return { process, run, startedAtMs, end: null }
  }

  /** After the death of its launcher, and only once nothing of that is left. */
  private wasBegun(id: RunId, ended: RunEnded): boolean {
    const folder = this.parts.folders.runRecords(id.taskId, id.process, id.run)
    if (!existsSync(folder)) return false
    const { end } = this.findRun(id, ended)
    if (end === null) return true // and adopted
    if (end.code === null && !existsSync(join(folder, 'started'))) return false
    ended(id.process, id.run, end.code)
    this.parts.over(id.taskId)
    return true
  }

  private adoptAll(): void {
    for (const live of this.live.values()) {
      if (live.adopted || this.closed) continue
      live.adopted = true
      this.watchAdopted(live)
    }
  }

  /** A shim whose first record was not written when its launcher was killed: its records folder is among its arguments. */
  private searchShim(taskId: string, folder: string): Shim | null {
    const { groups } = this.parts
    groups.refresh()
    for (const stat of groups.ofTask(taskId)) {
      if (stat.session === stat.pid && commandLineOf(stat.pid)?.includes(folder) === true) return stat
    }
    return null
  }

  private watchAdopted(live: LiveRun): void {
    const failed = (cause: unknown): void => {
      // The slow look finds its end as well, up to a second later.
      this.parts.log.warn('agent-watch-failed', { folder: live.folder, cause: String(cause) })
    }
    const hasEnded = (): boolean => existsSync(join(live.folder, 'ended'))
    try {
      live.watcher = watch(live.folder, { persistent: false }, () => {
        if (hasEnded()) this.runOver(live, null)
      })
      live.watcher.on('error', failed)
    } catch (cause) {
      failed(cause)
    }
    if (this.adoptedCheck === null) {
      this.adoptedCheck = setInterval(() => this.checkAdopted(), ADOPTED_CHECK_MS)
      this.adoptedCheck.unref()
    }
    // It may have ended between the look and the watch.
    if (hasEnded()) queueMicrotask(() => this.runOver(live, null))
  }

  private checkAdopted(): void {
    let adopted = 0
    for (const live of this.live.values()) {
      if (!live.adopted) continue
      if (isSameProcess(live.pid, live.startTicks)) adopted += 1
      else this.runOver(live, null)
    }
    if (adopted > 0 || this.adoptedCheck === null) return
    clearInterval(this.adoptedCheck)
    this.adoptedCheck = null
  }

  /**
   * Called once per run: its shim has ended, or has written down the end. What it wrote counts; the shim's own status,
   * which is that of the command, stands in when it could not write (a full disk).
   */
  private runOver(over: LiveRun, shimStatus: number | null): void {
    const live = this.live.get(keyOf(over))
    if (live === undefined || live.pid !== over.pid || this.closed) return
    over.watcher?.close()
    live.watcher?.close()
    this.live.delete(keyOf(live))
    this.over.set(keyOf(live), { pid: live.pid, startTicks: live.startTicks, heardMs: performance.now() })
    let code = shimStatus
    try {
      code = readEnded(live.folder)?.code ?? shimStatus
    } catch (cause) {
      this.parts.log.warn('agent-record-quarantined', { folder: live.folder, cause: String(cause) })
    }
    live.ended(live.process, live.run, code)
    this.parts.over(live.taskId)
  }
}

const keyOf = (id: RunId): string => `${id.taskId}/${id.process}/${id.run}`
