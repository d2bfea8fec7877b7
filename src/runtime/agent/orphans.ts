import { signalProcess } from './proc.ts'
import type { ProcessGroups } from './process-groups.ts'

/** Processes of this agent that belong to no task it knows: seen for a while, they are killed. */
export class Orphans {
  private readonly groups: ProcessGroups
  /** Task → when its processes were first found without a record, monotonic ms. */
  private readonly since = new Map<string, number>()

  constructor(groups: ProcessGroups) {
    this.groups = groups
  }

  /** Answers how many tasks were ended. */
  kill(known: ReadonlySet<string>, graceMs: number): number {
    this.groups.refresh()
    const now = performance.now()
    let ended = 0
    const tasks = this.groups.tasks()
    for (const taskId of this.since.keys()) if (!tasks.has(taskId) || known.has(taskId)) this.since.delete(taskId)
    for (const [taskId, processes] of tasks) {
      if (known.has(taskId)) continue
      const since = this.since.get(taskId) ?? now
      this.since.set(taskId, since)
      if (now - since < graceMs) continue
      for (const stat of processes) signalProcess(stat.pid, stat.startTicks, 'SIGKILL')
      ended += 1
    }
    return ended
  }
}
