/**
 * All processes of a task, however they hide: those in the session of a run, those that carry the task's id in their
 * environment, and the children of either. One look at /proc serves everybody who asks within the same moment.
 *
 * What it cannot see without cgroups: a process that cleared its environment, left its session and whose parent has
 * ended. Names two variables, so that agents on one machine (and tests) never touch each other's tasks.
 */
import { allProcesses, environmentOf, type ProcessStat, TICKS_PER_SECOND, ticksNow } from './proc.ts'

export const TASK_VARIABLE = 'DAYBREAK_TASK_ID'
export const AGENT_VARIABLE = 'DAYBREAK_AGENT'

/**
 * A look may be this old, ms, or twice as old as it took to make: hundreds of tasks that end at once then share looks
 * instead of spending all their time on them.
 */
const LOOK_AGE_MS_MIN = 2

/**
 * A process that has lived so long without our name in its environment will not get it any more: a young one may be
 * between the fork and the exec that brings it.
 */
const STRANGER_TICKS_MIN = 10 * TICKS_PER_SECOND

export class ProcessGroups {
  private readonly agentEntry: string
  /** Session id of a living run → its task. */
  private readonly sessions = new Map<number, string>()
  /** Pid → start ticks of processes that are not ours by their environment and were old when it was read. */
  private strangers = new Map<number, number>()
  /** Tasks with a session that the last look did not know yet. */
  private readonly unseen = new Set<string>()
  private look: { begunMs: number; goodUntilMs: number; byTask: Map<string, ProcessStat[]> } | null = null

  /** `agent`: what names this agent on its machine, its work folder. */
  constructor(agent: string) {
    this.agentEntry = `${AGENT_VARIABLE}=${agent}`
  }

  /**
   * The run's shim leads session `sid`, and everything in it belongs to the task. Forgotten by itself with the first
   * look that finds nobody in it: until then the kernel does not give the number to anybody else, afterwards it may.
   */
  addSession(sid: number, taskId: string): void {
    this.sessions.set(sid, taskId)
    this.unseen.add(taskId)
  }

  /**
   * Living processes in the session that a shim of the task led. Once all of them have ended, the number may name
   * another session: its leader then has other start ticks, or nobody in it belongs to the task.
   */
  ofSession(taskId: string, sid: number, startTicks: number): readonly ProcessStat[] {
    const inside = (): ProcessStat[] => this.ofTask(taskId).filter(stat => stat.session === sid)
    const found = inside()
    if (found.some(stat => stat.pid === sid && stat.startTicks !== startTicks)) return []
    if (found.length === 0 || this.sessions.has(sid)) return found
    // One of ours lives in it, so it is the session of old and all of it is ours.
    this.addSession(sid, taskId)
    return inside()
  }

  /** Living processes of the task now; empty when none is left. */
  ofTask(taskId: string): readonly ProcessStat[] {
    if (this.unseen.has(taskId)) this.look = null
    return this.looked().get(taskId) ?? []
  }

  /** Every task of this agent that has a living process. */
  tasks(): ReadonlyMap<string, readonly ProcessStat[]> {
    if (this.unseen.size > 0) this.look = null
    return this.looked()
  }

  /**
   * The next question is answered by a look that began later than this, ms of `performance.now()`. Default: it looks
   * anew, because what matters may have begun this very moment.
   */
  refresh(sinceMs = Number.POSITIVE_INFINITY): void {
    if (this.look !== null && this.look.begunMs <= sinceMs) this.look = null
  }

  private looked(): ReadonlyMap<string, readonly ProcessStat[]> {
    const begunMs = performance.now()
    if (this.look === null || begunMs > this.look.goodUntilMs) {
      this.unseen.clear()
      const byTask = this.lookNow()
      const endMs = performance.now()
      this.look = { begunMs, goodUntilMs: endMs + Math.max(LOOK_AGE_MS_MIN, 2 * (endMs - begunMs)), byTask }
    }
    return this.look.byTask
  }

  private lookNow(): Map<string, ProcessStat[]> {
    const owner = new Map<number, string>()
    const processes = allProcesses()
    const inhabited = new Set(processes.map(stat => stat.session))
    for (const sid of this.sessions.keys()) if (!inhabited.has(sid)) this.sessions.delete(sid)
    const youngFrom = ticksNow() - STRANGER_TICKS_MIN
    const strangers = new Map<number, number>()
    for (const { pid, session, startTicks } of processes) {
      let task = this.sessions.get(session)
      const isStranger = this.strangers.get(pid) === startTicks
      if (task === undefined && !isStranger) {
        const environment = environmentOf(pid)
        task = this.taskIn(environment)
        if (task === undefined && (environment === null || startTicks >= youngFrom)) continue
      }
      if (task !== undefined) owner.set(pid, task)
      else strangers.set(pid, startTicks)
    }
    this.strangers = strangers
    // Parents come in no order, so until nothing is found any more.
    for (let found = owner.size > 0; found; ) {
      found = false
      for (const stat of processes) {
        const task = owner.get(stat.ppid)
        if (task === undefined || owner.has(stat.pid)) continue
        owner.set(stat.pid, task)
        found = true
      }
    }
    const byTask = new Map<string, ProcessStat[]>()
    for (const stat of processes) {
      const task = owner.get(stat.pid)
      if (task === undefined) continue
      const list = byTask.get(task)
      if (list === undefined) byTask.set(task, [stat])
      else list.push(stat)
    }
    return byTask
  }

  private taskIn(environment: readonly string[] | null): string | undefined {
    if (environment === null || !environment.includes(this.agentEntry)) return undefined
    const entry = environment.find(text => text.startsWith(`${TASK_VARIABLE}=`))
    return entry?.slice(TASK_VARIABLE.length + 1)
  }
}
