/** One TaskRunner for every live task, whether it was just launched or taken over from an agent that is gone. */
import type { TaskRecord } from '../../core/executor/agent-book.ts'
import type { RunState } from '../../core/executor/run-state.ts'
import { readTaskData } from '../../core/executor/task-data.ts'
import type { AnyRef, Nest } from '../actor.ts'
import type { AgentActorOptions } from '../agent.ts'
import { type TaskTold, taskRunner } from '../task-runner.ts'
import type { AgentContext } from './agent-message.ts'
import type { StatusSender } from './status-sender.ts'
import type { TaskBook } from './task-book.ts'

export class Runners {
  private readonly options: AgentActorOptions
  private readonly context: AgentContext
  private readonly book: TaskBook
  private readonly statuses: StatusSender
  private readonly nest: Nest

  constructor(options: AgentActorOptions, context: AgentContext, book: TaskBook, statuses: StatusSender, nest: Nest) {
    this.options = options
    this.context = context
    this.book = book
    this.statuses = statuses
    this.nest = nest
  }

  /** A task that was taken before this agent started. */
  adopt(record: TaskRecord, checkpoint: RunState | null): void {
    const { machine, metrics } = this.options
    const { taskId } = record
    if (record.bootId !== machine.bootId) {
      this.context.log.warn('task-lost-by-reboot', { taskId })
      metrics.count('agent_tasks_lost_on_restart')
      const reason = 'AGENT_RESTARTED'
      this.statuses.enter(taskId, { state: 'LOST', source: 'agent', reason, message: 'host rebooted' })
      return
    }
    metrics.count('agent_tasks_adopted')
    this.run(record, checkpoint)
  }

  /** `checkpoint`: null for a task that has not begun. */
  run(record: TaskRecord, checkpoint: RunState | null): void {
    const { taskId, info } = record
    if (info === null) return
    const { host, killCapMs, machine, store } = this.options
    const { instance, ports } = info
    const read = readTaskData(info.executor.data, { instance, ports, taskId, hostname: host })
    if (!read.ok) return this.fail(record, read.text)
    for (const port of read.droppedPorts) this.context.log.warn('task-port-without-number', { taskId, port })
    this.nest.spawn(
      taskRunner({
        record,
        killed: () => this.book.get(taskId)?.kill ?? null,
        role: info.job.role,
        task: read.task,
        checkpoint,
        machine,
        store,
        killCapMs,
        tell: told => this.tell(told),
        storeFailed: cause => void this.context.self.tell({ type: 'storeFailed', cause }),
      }),
    )
  }

  kill(taskId: string, graceMs: number | null): void {
    this.nest.child(taskId)?.tell({ type: 'kill', graceMs })
  }

  /** Its task has ended. */
  stop(taskId: string): void {
    const runner = this.nest.child(taskId)
    if (runner !== undefined) this.context.stop(runner as AnyRef)
  }

  private fail({ taskId, lastSeq }: TaskRecord, text: string): void {
    this.context.log.warn('task-invalid', { taskId, text })
    if (lastSeq === 0) {
      const message = 'Initializing sandbox.'
      this.statuses.enter(taskId, { state: 'STARTING', source: 'executor', reason: null, message })
    }
    // An older release may have taken it and run it: it has ended when nothing of it is left.
    const told: TaskTold = { type: 'status', taskId, state: 'FAILED', reason: null, message: text }
    this.options.machine.awaitEmpty(taskId, { kill: true }, () => this.tell(told))
  }

  private tell(told: TaskTold): void {
    this.context.self.tell({ type: 'told', told })
  }
}
