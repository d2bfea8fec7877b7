/**
 * The machine under the agent: sandboxes, runs under shims, and the ends of process groups. Everything it knows it can
 * find again on disk and in /proc, so an agent that was killed loses nothing but time.
 *
 * While the agent lives, the end of a run is heard from the child itself; of adopted runs, from a watch on their record
 * folder and, for shims that were killed, from a slow look at all of them together. Nothing polls when nothing waits.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { existsSync, type FSWatcher, statSync, watch } from 'node:fs'
import { chmod, chown, mkdir, open, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { LogChunk, LogQuery, Outcome, RunEnded, TaskMachine, Vitals } from '../../actors/agent-ports.ts'
import type { Logger } from '../../actors/ports.ts'
import type { FoundRun } from '../../core/executor/run-state.ts'
import type { ProcessSpec } from '../../core/executor/task-data.ts'
import { type AccountRules, accountFor } from './accounts.ts'
import type { Folders } from './folders.ts'
import { readLog } from './log-reader.ts'
import { machineVitals } from './machine.ts'
import {
  bootId,
  commandLineOf,
  isSameProcess,
  type ProcessStat,
  processStat,
  signalGroup,
  signalProcess,
} from './proc.ts'
import { AGENT_VARIABLE, ProcessGroups, TASK_VARIABLE } from './process-groups.ts'
import { readEnded, readStarted, shimCommand } from './shim.ts'

export interface ProcessMachineOptions {
  readonly folders: Folders
  readonly accounts: AccountRules
  readonly log: Logger
  /** Default: the kernel's. */
  readonly bootId?: string
}

/** A run that is alive as far as we know. */
interface LiveRun {
  readonly taskId: string
  readonly process: string
  readonly run: number
  readonly pid: number
  readonly startTicks: number
  readonly folder: string
  readonly ended: RunEnded
  /** Its shim is no child of ours: nobody tells us when it ends. */
  readonly adopted: boolean
  watcher: FSWatcher | null
}

interface EmptyWait {
  readonly kill: boolean
  readonly empty: () => void
  looks: number
  cleanLooks: number
  timer: NodeJS.Timeout | null
}

const CLEAN_LOOKS = 2
const LOOK_SOON_MS = 5
const LOOK_AGAIN_MS = 100
const LOOK_AGAIN_MS_MAX = 1_000
/** SIGKILL first spares the shims, so that they can write down the ends; a group that resists is killed as a whole. */
const SPARED_KILLS = 2
const ADOPTED_CHECK_MS = 1_000
const NOBODY: ReadonlySet<number> = new Set()
const PATH_DEFAULT = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

export class ProcessMachine implements TaskMachine {
  readonly bootId: string
  private readonly options: ProcessMachineOptions
  private readonly folders: Folders
  private readonly groups: ProcessGroups
  private readonly live = new Map<string, LiveRun>()
  /** Runs that are over and not yet swept → who led their session. */
  private readonly over = new Map<string, { pid: number; startTicks: number }>()
  private readonly waits = new Map<string, EmptyWait>()
  /** Task → who got its SIGTERM. */
  private readonly terminated = new Map<string, Set<string>>()
  private readonly strays = new Map<string, number>()
  private adoptedCheck: NodeJS.Timeout | null = null
  private readonly shell = existsSync('/bin/bash') ? '/bin/bash' : '/bin/sh'
  private closed = false

  constructor(options: ProcessMachineOptions) {
    this.options = options
    this.folders = options.folders
    this.bootId = options.bootId ?? bootId()
    this.groups = new ProcessGroups(this.folders.work)
  }

  async prepare(task: { taskId: string; role: string }): Promise<Outcome> {
    const choice = await accountFor(task.role, this.options.accounts)
    if (!choice.ok) return choice
    const sandbox = this.folders.sandbox(task.taskId)
    await mkdir(sandbox, { recursive: true, mode: 0o700 })
    await chmod(sandbox, 0o700)
    if (choice.switches) {
      await chown(this.folders.task(task.taskId), choice.account.uid, choice.account.gid)
      await chown(sandbox, choice.account.uid, choice.account.gid)
    }
    return { ok: true }
  }

  async startRun(
    order: { taskId: string; role: string; process: ProcessSpec; run: number },
    ended: RunEnded,
  ): Promise<Outcome> {
    const { taskId, process, run } = order
    const choice = await accountFor(order.role, this.options.accounts)
    if (!choice.ok) return choice
    const { account, switches } = choice
    const folder = this.folders.runRecords(taskId, process.name, run)
    const sandbox = this.folders.sandbox(taskId)
    const logs = this.folders.logs(taskId, process.name, run)
    await mkdir(join(folder, '..'), { recursive: true, mode: 0o700 })
    // The folder is the mark that this run was begun: one that exists is never begun again.
    await mkdir(folder, { mode: 0o700 })

    const profile = join(sandbox, '.thermos_profile')
    const env: Record<string, string> = {
      HOME: sandbox,
      USER: account.name,
      LOGNAME: account.name,
      PATH: globalThis.process.env.PATH ?? PATH_DEFAULT,
      ...(existsSync(profile) ? { BASH_ENV: profile } : {}),
      [TASK_VARIABLE]: taskId,
      [AGENT_VARIABLE]: this.folders.work,
    }
    let command = [this.shell, '-c', process.cmdline]
    let output: 'ignore' | { stdout: number; stderr: number } = 'ignore'
    const handles = []
    if (switches) {
      // Folders and files inside a sandbox are made by its owner: what root made there could be led elsewhere.
      const inner = process.keepsOutput
        ? ['/bin/sh', '-c', 'mkdir -p "$1" && exec "$2" -c "$3" >>"$1/stdout" 2>>"$1/stderr"', 'sh', logs]
        : ['/bin/sh', '-c', 'exec "$2" -c "$3"', 'sh', logs]
      const { uid, gid } = account
      const drop = ['setpriv', `--reuid=${uid}`, `--regid=${gid}`, '--init-groups', '--no-new-privs', '--']
      command = [...drop, ...inner, this.shell, process.cmdline]
    } else if (process.keepsOutput) {
      await mkdir(logs, { recursive: true, mode: 0o755 })
      const stdout = await open(join(logs, 'stdout'), 'a', 0o644)
      const stderr = await open(join(logs, 'stderr'), 'a', 0o644)
      handles.push(stdout, stderr)
      output = { stdout: stdout.fd, stderr: stderr.fd }
    }
    try {
      if (this.closed) return { ok: false, text: 'the agent stops' }
      const [program = '', ...args] = shimCommand(this.shell, folder, randomUUID(), command)
      const child = spawn(program, args, {
        cwd: sandbox,
        env,
        detached: true,
        stdio: output === 'ignore' ? 'ignore' : ['ignore', output.stdout, output.stderr],
      })
      await spawned(child)
      const pid = child.pid as number
      const stat = processStat(pid)
      const live = {
        taskId,
        process: process.name,
        run,
        pid,
        startTicks: stat?.startTicks ?? 0,
        folder,
        ended,
        adopted: false,
        watcher: null,
      }
      this.live.set(keyOf(live), live)
      this.groups.addSession(pid, taskId)
      child.once('exit', code => this.runOver(live, code))
      child.unref()
      if (child.exitCode !== null || child.signalCode !== null) this.runOver(live, child.exitCode)
      return { ok: true }
    } finally {
      for (const handle of handles) await handle.close()
    }
  }

  async findRuns(taskId: string, ended: RunEnded): Promise<readonly FoundRun[]> {
    const found: FoundRun[] = []
    const processes = await namesIn(this.folders.records(taskId))
    for (const process of processes) {
      for (const name of await namesIn(join(this.folders.records(taskId), process))) {
        const run = Number(name)
        if (!Number.isInteger(run) || run < 0) continue
        const one = this.findRun(taskId, process, run, ended)
        if (one !== null) found.push(one)
      }
    }
    return found
  }

  private findRun(taskId: string, process: string, run: number, ended: RunEnded): FoundRun | null {
    const folder = this.folders.runRecords(taskId, process, run)
    const madeMs = Math.floor(statSync(folder).mtimeMs)
    const known = this.live.get(keyOf({ taskId, process, run }))
    let end: ReturnType<typeof readEnded> = null
    let started: ReturnType<typeof readStarted> = null
    try {
      end = readEnded(folder)
      started = readStarted(folder)
    } catch (cause) {
      // One damaged record must not cost the others; without it the run counts as lost, and its group is searched for.
      this.options.log.warn('agent-record-quarantined', { folder, cause: String(cause) })
    }
    const startedAtMs = started?.atMs ?? madeMs
    if (end !== null) return { process, run, startedAtMs, end: { code: end.code, atMs: end.atMs } }
    if (known !== undefined) {
      this.live.set(keyOf(known), { ...known, ended })
      return { process, run, startedAtMs, end: null }
    }
    const shim = started ?? this.searchShim(taskId, folder)
    if (shim === null || !isSameProcess(shim.pid, shim.startTicks)) {
      return { process, run, startedAtMs, end: { code: null, atMs: Date.now() } }
    }
    const live: LiveRun = {
      taskId,
      process,
      run,
      pid: shim.pid,
      startTicks: shim.startTicks,
      folder,
      ended,
      adopted: true,
      watcher: null,
    }
    this.live.set(keyOf(live), live)
    this.groups.addSession(shim.pid, taskId)
    this.watchAdopted(live)
    return { process, run, startedAtMs, end: null }
  }

  /** A shim that had not written its first record when the agent was killed: its records folder is among its arguments. */
  private searchShim(taskId: string, folder: string): { pid: number; startTicks: number } | null {
    this.groups.refresh()
    for (const stat of this.groups.ofTask(taskId)) {
      if (stat.session === stat.pid && commandLineOf(stat.pid)?.includes(folder) === true) return stat
    }
    return null
  }

  private watchAdopted(live: LiveRun): void {
    const failed = (cause: unknown): void => {
      // The slow look finds its end as well, up to a second later.
      this.options.log.warn('agent-watch-failed', { folder: live.folder, cause: String(cause) })
    }
    try {
      live.watcher = watch(live.folder, { persistent: false }, () => {
        if (existsSync(join(live.folder, 'ended'))) this.runOver(live, null)
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
    if (existsSync(join(live.folder, 'ended'))) queueMicrotask(() => this.runOver(live, null))
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
    this.over.set(keyOf(live), { pid: live.pid, startTicks: live.startTicks })
    let code = shimStatus
    try {
      code = readEnded(live.folder)?.code ?? shimStatus
    } catch (cause) {
      this.options.log.warn('agent-record-quarantined', { folder: live.folder, cause: String(cause) })
    }
    live.ended(live.process, live.run, code)
    this.lookSoon(live.taskId)
  }

  sweepRun(taskId: string, process: string, run: number): void {
    const key = keyOf({ taskId, process, run })
    let shim: { pid: number; startTicks: number } | null = this.over.get(key) ?? null
    this.over.delete(key)
    try {
      shim ??= readStarted(this.folders.runRecords(taskId, process, run))
    } catch {
      return // already reported where it was read first
    }
    if (shim === null) return
    const { pid, startTicks } = shim
    const sweep = (): void => {
      this.groups.refresh()
      const found = this.groups.ofSession(taskId, pid, startTicks)
      for (const stat of found) signalProcess(stat.pid, stat.startTicks, 'SIGKILL')
      if (found.length > 0 && !this.closed) setTimeout(sweep, LOOK_AGAIN_MS).unref()
    }
    sweep()
  }

  terminate(taskId: string): void {
    const groups = new Set<number>()
    for (const { taskId: owner, pid, startTicks } of this.live.values()) {
      // The shim is of the group too, and lets the signal pass by.
      if (owner !== taskId || !signalGroup(pid, startTicks, 'SIGTERM')) continue
      groups.add(pid)
      // One that was stopped would get its SIGTERM only after its SIGKILL.
      signalGroup(pid, startTicks, 'SIGCONT')
    }
    const signalled = new Set<string>()
    this.terminated.set(taskId, signalled)
    for (const stat of this.groups.ofTask(taskId)) {
      signalled.add(nameOf(stat))
      if (!groups.has(stat.group)) signalProcess(stat.pid, stat.startTicks, 'SIGTERM')
    }
  }

  /**
   * Those that SIGTERM missed because they were being started: the command of a shim, and whatever lost its parent.
   * What a living command starts after its own SIGTERM is part of how it ends, and is left alone.
   */
  private terminateLate(taskId: string, found: readonly ProcessStat[]): void {
    const signalled = this.terminated.get(taskId)
    if (signalled === undefined) return
    const shims = this.shims()
    const pids = new Set(found.map(stat => stat.pid))
    for (const stat of found) {
      const isOwed = !pids.has(stat.ppid) || shims.has(stat.ppid)
      if (!isOwed || shims.has(stat.pid) || signalled.has(nameOf(stat))) continue
      signalled.add(nameOf(stat))
      signalProcess(stat.pid, stat.startTicks, 'SIGTERM')
    }
  }

  awaitEmpty(taskId: string, options: { readonly kill: boolean }, empty: () => void): void {
    stopTimer(this.waits.get(taskId)?.timer ?? null)
    this.waits.set(taskId, { kill: options.kill, empty, looks: 0, cleanLooks: 0, timer: null })
    this.look(taskId)
  }

  release(taskId: string): void {
    const wait = this.waits.get(taskId)
    if (wait !== undefined) stopTimer(wait.timer)
    this.waits.delete(taskId)
    this.terminated.delete(taskId)
    for (const key of this.over.keys()) if (key.startsWith(`${taskId}/`)) this.over.delete(key)
  }

  private look(taskId: string): void {
    const wait = this.waits.get(taskId)
    if (wait === undefined || this.closed) return
    stopTimer(wait.timer)
    const found = this.groups.ofTask(taskId)
    if (found.length === 0) {
      wait.cleanLooks += 1
      if (wait.cleanLooks >= CLEAN_LOOKS) {
        this.waits.delete(taskId)
        this.terminated.delete(taskId)
        wait.empty()
        return
      }
      wait.timer = setTimeout(() => this.look(taskId), LOOK_AGAIN_MS)
      return
    }
    wait.cleanLooks = 0
    if (!wait.kill) this.terminateLate(taskId, found)
    else {
      const spared = wait.looks < SPARED_KILLS ? this.shims() : NOBODY
      for (const stat of found) {
        if (!spared.has(stat.pid)) signalProcess(stat.pid, stat.startTicks, 'SIGKILL')
      }
      if (spared === NOBODY) {
        for (const { taskId: owner, pid, startTicks } of this.live.values()) {
          if (owner === taskId) signalGroup(pid, startTicks, 'SIGKILL')
        }
      }
    }
    const againMs = wait.kill ? LOOK_AGAIN_MS : Math.min(LOOK_AGAIN_MS * 1.3 ** wait.looks, LOOK_AGAIN_MS_MAX)
    wait.looks += 1
    wait.timer = setTimeout(() => this.look(taskId), againMs)
  }

  /** A run of the task has ended, so its group may be empty now. */
  private lookSoon(taskId: string): void {
    const wait = this.waits.get(taskId)
    if (wait === undefined || wait.cleanLooks > 0) return
    stopTimer(wait.timer)
    wait.timer = setTimeout(() => this.look(taskId), LOOK_SOON_MS)
  }

  private shims(): ReadonlySet<number> {
    return new Set([...this.live.values()].map(live => live.pid))
  }

  killOrphans(known: ReadonlySet<string>, graceMs: number): number {
    this.groups.refresh()
    const now = performance.now()
    let ended = 0
    const tasks = this.groups.tasks()
    for (const taskId of this.strays.keys()) if (!tasks.has(taskId) || known.has(taskId)) this.strays.delete(taskId)
    for (const [taskId, processes] of tasks) {
      if (known.has(taskId)) continue
      const since = this.strays.get(taskId) ?? now
      this.strays.set(taskId, since)
      if (now - since < graceMs) continue
      for (const stat of processes) signalProcess(stat.pid, stat.startTicks, 'SIGKILL')
      ended += 1
    }
    return ended
  }

  async removeSandbox(taskId: string): Promise<void> {
    // The sandbox last: it is what the next look at the folders finds when this one is interrupted.
    await removeTree(this.folders.records(taskId))
    await removeTree(this.folders.task(taskId))
  }

  async sandboxes(): Promise<readonly string[]> {
    return namesIn(this.folders.tasks)
  }

  readLog(query: LogQuery): Promise<LogChunk> {
    return readLog(this.folders, query)
  }

  vitals(): Vitals {
    return machineVitals(this.folders.work)
  }

  /** The agent goes, the tasks stay. */
  close(): void {
    this.closed = true
    for (const wait of this.waits.values()) stopTimer(wait.timer)
    this.waits.clear()
    for (const live of this.live.values()) live.watcher?.close()
    if (this.adoptedCheck !== null) clearInterval(this.adoptedCheck)
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

const nameOf = (stat: ProcessStat): string => `${stat.pid} ${stat.startTicks}`

function stopTimer(timer: NodeJS.Timeout | null): void {
  if (timer !== null) clearTimeout(timer)
}

function keyOf(run: { taskId: string; process: string; run: number }): string {
  return `${run.taskId}/${run.process}/${run.run}`
}

function spawned(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    child.once('spawn', resolve)
    child.once('error', reject)
  })
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder)).filter(name => !name.startsWith('.'))
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw cause
  }
}
