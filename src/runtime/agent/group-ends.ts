/**
 * How the processes of a task end: SIGTERM to all of them, looks until nothing is left, SIGKILL when their time is up.
 * The shims are spared as long as possible, so that they can write down the ends.
 */
import type { LiveRuns, RunId } from './live-runs.ts'
import { type ProcessStat, signalGroup, signalProcess } from './proc.ts'
import type { ProcessGroups } from './process-groups.ts'
import { untilGridMs } from './shared-moments.ts'

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
/** SIGKILL first spares the shims; a group that resists is killed as a whole. */
const SPARED_KILLS = 2

export class GroupEnds {
  private readonly groups: ProcessGroups
  private readonly runs: LiveRuns
  private readonly waits = new Map<string, EmptyWait>()
  /** Task → who got its SIGTERM. */
  private readonly terminated = new Map<string, Set<string>>()
  private closed = false

  constructor(groups: ProcessGroups, runs: LiveRuns) {
    this.groups = groups
    this.runs = runs
  }

  /** SIGKILL to what is left in the session of a run that is over, until nothing is. */
  sweep(id: RunId): void {
    const shim = this.runs.takeOver(id)
    if (shim === null) return
    const { pid, startTicks, heardMs } = shim
    const sweep = (sinceMs?: number): void => {
      this.groups.refresh(sinceMs)
      const found = this.groups.ofSession(id.taskId, pid, startTicks)
      for (const stat of found) signalProcess(stat.pid, stat.startTicks, 'SIGKILL')
      if (found.length > 0 && !this.closed) setTimeout(() => sweep(), LOOK_AGAIN_MS).unref()
    }
    // Runs whose ends were heard together share a look.
    sweep(heardMs)
  }

  terminate(taskId: string): void {
    this.runs.cancelStarts(taskId)
    const groups = new Set<number>()
    for (const { pid, startTicks } of this.runs.ofTask(taskId)) {
      // The shim is of the group too, and lets the signal pass by.
      if (!signalGroup(pid, startTicks, 'SIGTERM')) continue
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

  /** See `TaskMachine`. */
  awaitEmpty(taskId: string, options: { readonly kill: boolean }, empty: () => void): void {
    if (options.kill) this.runs.cancelStarts(taskId)
    stopTimer(this.waits.get(taskId))
    this.waits.set(taskId, { kill: options.kill, empty, looks: 0, cleanLooks: 0, timer: null })
    this.look(taskId)
  }

  /** A run of the task has ended, so its group may be empty now. */
  lookSoon(taskId: string): void {
    const wait = this.waits.get(taskId)
    if (wait === undefined || wait.cleanLooks > 0) return
    this.lookIn(LOOK_SOON_MS, taskId, wait)
  }

  /** Nobody waits for this task any more. */
  release(taskId: string): void {
    stopTimer(this.waits.get(taskId))
    this.waits.delete(taskId)
    this.terminated.delete(taskId)
  }

  close(): void {
    this.closed = true
    for (const wait of this.waits.values()) stopTimer(wait)
    this.waits.clear()
  }

  private look(taskId: string): void {
    const wait = this.waits.get(taskId)
    if (wait === undefined || this.closed) return
    stopTimer(wait)
    const found = this.groups.ofTask(taskId)
    if (found.length === 0 && !this.runs.isStarting(taskId)) {
      wait.cleanLooks += 1
      if (wait.cleanLooks < CLEAN_LOOKS) return this.lookIn(LOOK_AGAIN_MS, taskId, wait)
      this.waits.delete(taskId)
      this.terminated.delete(taskId)
      wait.empty()
      return
    }
    wait.cleanLooks = 0
    if (wait.kill) this.kill(taskId, found, { sparesShims: wait.looks < SPARED_KILLS })
    else this.terminateLate(taskId, found)
    const againMs = wait.kill ? LOOK_AGAIN_MS : Math.min(LOOK_AGAIN_MS * 1.3 ** wait.looks, LOOK_AGAIN_MS_MAX)
    wait.looks += 1
    this.lookIn(againMs, taskId, wait)
  }

  private lookIn(afterMs: number, taskId: string, wait: EmptyWait): void {
    stopTimer(wait)
    const waitMs = afterMs < LOOK_AGAIN_MS ? afterMs : untilGridMs(afterMs, performance.now())
    wait.timer = setTimeout(() => this.look(taskId), waitMs)
  }

  private kill(taskId: string, found: readonly ProcessStat[], { sparesShims }: { sparesShims: boolean }): void {
    const spared: ReadonlySet<number> = sparesShims ? this.runs.shims() : new Set()
    for (const stat of found) {
      if (!spared.has(stat.pid)) signalProcess(stat.pid, stat.startTicks, 'SIGKILL')
    }
    if (sparesShims) return
    for (const { pid, startTicks } of this.runs.ofTask(taskId)) signalGroup(pid, startTicks, 'SIGKILL')
  }

  /**
   * Those that SIGTERM missed because they were being started: the command of a shim, and whatever lost its parent.
   * What a living command starts after its own SIGTERM is part of how it ends, and is left alone.
   */
  private terminateLate(taskId: string, found: readonly ProcessStat[]): void {
    const signalled = this.terminated.get(taskId)
    if (signalled === undefined) return
    const shims = this.runs.shims()
    const pids = new Set(found.map(stat => stat.pid))
    for (const stat of found) {
      const isOwed = !pids.has(stat.ppid) || shims.has(stat.ppid)
      if (!isOwed || shims.has(stat.pid) || signalled.has(nameOf(stat))) continue
      signalled.add(nameOf(stat))
      signalProcess(stat.pid, stat.startTicks, 'SIGTERM')
    }
  }
}

const nameOf = (stat: ProcessStat): string => `${stat.pid} ${stat.startTicks}`

function stopTimer(wait: EmptyWait | undefined): void {
  if (wait !== undefined && wait.timer !== null) clearTimeout(wait.timer)
}
