/**
 * The machine under the agent: sandboxes, runs under shims, and the ends of process groups. Everything it knows it can
 * find again on disk and in /proc, so an agent that was killed loses nothing but time.
 */
import type { LogChunk, LogQuery, Outcome, RunEnded, TaskMachine, Vitals } from '../../actors/agent-ports.ts'
import type { Logger } from '../../actors/ports.ts'
import type { FoundRun } from '../../core/executor/run-state.ts'
import { type AccountRules, accountFor } from './accounts.ts'
import type { Folders } from './folders.ts'
import { GroupEnds } from './group-ends.ts'
import { LiveRuns } from './live-runs.ts'
import { readLog } from './log-reader.ts'
import { machineVitals } from './machine.ts'
import { Orphans } from './orphans.ts'
import { bootId } from './proc.ts'
import { ProcessGroups } from './process-groups.ts'
import { type RunOrder, runCommand } from './run-command.ts'
import { makeSandbox, namesIn, removeSandbox } from './sandboxes.ts'

export interface ProcessMachineOptions {
  readonly folders: Folders
  readonly accounts: AccountRules
  readonly log: Logger
  /** Default: the kernel's. */
  readonly bootId?: string
}

export class ProcessMachine implements TaskMachine {
  readonly bootId: string
  private readonly folders: Folders
  private readonly accounts: AccountRules
  private readonly runs: LiveRuns
  private readonly ends: GroupEnds
  private readonly orphans: Orphans
  private closed = false

  constructor(options: ProcessMachineOptions) {
    const { folders, log } = options
    this.folders = folders
    this.accounts = options.accounts
    this.bootId = options.bootId ?? bootId()
    const groups = new ProcessGroups(folders.work)
    this.runs = new LiveRuns({ folders, groups, log, over: taskId => this.ends.lookSoon(taskId) })
    this.ends = new GroupEnds(groups, this.runs)
    this.orphans = new Orphans(groups)
  }

  prepare(task: { taskId: string; role: string }): Promise<Outcome> {
    return makeSandbox(this.folders, this.accounts, task)
  }

  /** Before anything is started or found: nothing of an earlier agent begins runs any more afterwards. */
  open(): Promise<void> {
    return this.runs.open()
  }

  startRun(order: RunOrder, ended: RunEnded): Promise<Outcome> {
    return this.runs.whileStarting(order.taskId, async () => {
      const choice = await accountFor(order.role, this.accounts)
      if (!choice.ok) return choice
      const command = runCommand(this.folders, order, choice)
      if (this.closed) return { ok: false, text: 'the agent stops' }
      await this.runs.start({ taskId: order.taskId, process: order.process.name, run: order.run }, command, ended)
      return { ok: true }
    })
  }

  findRuns(taskId: string, ended: RunEnded): Promise<readonly FoundRun[]> {
    return this.runs.find(taskId, ended)
  }

  sweepRun(taskId: string, process: string, run: number): void {
    this.ends.sweep({ taskId, process, run })
  }

  terminate(taskId: string): void {
    this.ends.terminate(taskId)
  }

  awaitEmpty(taskId: string, options: { readonly kill: boolean }, empty: () => void): void {
    this.ends.awaitEmpty(taskId, options, empty)
  }

  release(taskId: string): void {
    this.ends.release(taskId)
    this.runs.release(taskId)
  }

  killOrphans(known: ReadonlySet<string>, graceMs: number): number {
    return this.orphans.kill(known, graceMs)
  }

  removeSandbox(taskId: string): Promise<void> {
    return removeSandbox(this.folders, taskId)
  }

  sandboxes(): Promise<readonly string[]> {
    return namesIn(this.folders.tasks)
  }

  readLog(query: LogQuery): Promise<LogChunk> {
    return readLog(this.folders, query)
  }

  vitals(): Vitals {
    return machineVitals(this.folders.work)
  }

  /** The agent goes, the tasks stay. Settles when no run can begin any more. */
  async close(): Promise<void> {
    this.closed = true
    this.ends.close()
    await this.runs.close()
  }
}
