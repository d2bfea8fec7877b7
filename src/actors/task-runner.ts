/**
 * TaskRunner: one task on this machine. Owns the course of its processes and stores it; the agent asks it to kill and
 * hears its statuses. What is decided is in `core/executor/task-run.ts`; here effects meet the machine.
 */
import { textOf } from '../core/base/cause.ts'
import type { TaskRecord } from '../core/executor/agent-book.ts'
import {
  type Effect,
  initialRun,
  type Message as RunMessage,
  type RunState,
  toldAfter,
} from '../core/executor/run-state.ts'
import type { TaskSpec } from '../core/executor/task-data.ts'
import { stepRun } from '../core/executor/task-run.ts'
import type { ActorSpec, Behaviour, Context } from './actor.ts'
import type { AgentStore, TaskMachine } from './agent-ports.ts'

export type Command = { readonly type: 'kill'; readonly graceMs: number | null }
/** Private: only our own machine and timers send these. */
type Message = Command | RunMessage | { readonly type: 'findFailed'; readonly cause: unknown }

export type TaskTold = Extract<Effect, { type: 'status' }> & { readonly taskId: string }

export interface TaskRunnerOptions {
  readonly record: TaskRecord
  /** The kill that the agent has promised by now, if any. */
  readonly killed: () => TaskRecord['kill']
  readonly role: string
  readonly task: TaskSpec
  /** As stored; null for a task that has not begun. */
  readonly checkpoint: RunState | null
  readonly machine: TaskMachine
  readonly store: AgentStore
  readonly killCapMs: number
  readonly tell: (told: TaskTold) => void
  /** A failed write is the agent's affair. */
  readonly storeFailed: (cause: unknown) => void
}

export function taskRunner(options: TaskRunnerOptions): ActorSpec<Command> {
  const { record, checkpoint, task } = options
  // Outlives the runner: one that is made anew after a failure goes on from here.
  const course = { state: { ...(checkpoint ?? initialRun(task)), told: toldAfter(record.lastSeq) } }
  return {
    name: record.taskId,
    kind: 'TaskRunner',
    start: context => new TaskRunner(options, course, context as unknown as Context<Message>) as Behaviour<Command>,
  }
}

class TaskRunner implements Behaviour<Message> {
  private readonly options: TaskRunnerOptions
  private readonly context: Context<Message>
  private readonly course: { state: RunState }
  /** Until the runs of an earlier agent were looked up, kills wait. */
  private begun = false
  private readonly early: RunMessage[] = []

  constructor(options: TaskRunnerOptions, course: { state: RunState }, context: Context<Message>) {
    this.options = options
    this.course = course
    this.context = context
    const { taskId } = options.record
    const kill = options.killed()
    if (kill !== null) this.early.push({ type: 'kill', graceMs: kill.graceMs })
    context.pipe(options.machine.findRuns(taskId, this.ended), settled => {
      return settled.ok ? { type: 'begin', found: settled.value } : { type: 'findFailed', cause: settled.cause }
    })
  }

  receive(message: Message): void {
    // What runs is unknown, so nothing may be started: supervision tries again after a pause.
    if (message.type === 'findFailed') throw message.cause
    if (!this.begun && message.type !== 'begin') {
      this.early.push(message)
      return
    }
    if (message.type === 'begin') this.begun = true
    this.step(message)
    if (message.type === 'begin') for (const waited of this.early.splice(0)) this.step(waited)
  }

  stopping(): void {
    this.options.machine.release(this.options.record.taskId)
  }

  summary(): Record<string, string | number | boolean> {
    const { stage, told, killed, processes } = this.course.state
    const phases = Object.entries(processes).map(([name, process]) => `${name} ${process.phase.type}#${process.runs}`)
    return { stage, told, killed, processes: phases.join(', ').slice(0, 1000) }
  }

  private step(message: RunMessage): void {
    const { options, context, course } = this
    const next = stepRun(options.task, { killCapMs: options.killCapMs }, course.state, message, context.now())
    course.state = next.state
    for (const effect of next.effects) this.run(effect)
  }

  private run(effect: Effect): void {
    const { machine, record, role } = this.options
    const { taskId } = record
    switch (effect.type) {
      case 'prepare':
        this.context.pipe(machine.prepare({ taskId, role }), settled => {
          if (!settled.ok)
            return { type: 'prepareFailed', text: `Failed to initialize sandbox: ${textOf(settled.cause)}` }
          return settled.value.ok ? { type: 'prepared' } : { type: 'prepareFailed', text: settled.value.text }
        })
        return
      case 'startRun': {
        const { process, run } = effect
        this.context.pipe(machine.startRun({ taskId, role, process, run }, this.ended), settled => {
          if (!settled.ok) return { type: 'startFailed', process: process.name, run, text: textOf(settled.cause) }
          return settled.value.ok
            ? { type: 'runStarted', process: process.name, run }
            : { type: 'startFailed', process: process.name, run, text: settled.value.text }
        })
        return
      }
      case 'sweepRun':
        machine.sweepRun(taskId, effect.process, effect.run)
        return
      case 'terminate':
        machine.terminate(taskId)
        return
      case 'awaitEmpty':
        machine.awaitEmpty(taskId, { kill: effect.kill }, () => this.context.self.tell({ type: 'groupEmpty' }))
        return
      case 'startTimer':
        this.context.startTimer(effect.key, effect.afterMs, { type: 'timerExpired', key: effect.key })
        return
      case 'cancelTimer':
        this.context.cancelTimer(effect.key)
        return
      case 'status':
        this.options.tell({ ...effect, taskId })
        return
      case 'warnStuck':
        this.context.log.warn('task-stuck', { taskId, hint: 'SIGKILL did not end it; its resources stay booked' })
        return
      case 'checkpoint':
        this.options.store.write({ checkpoint: { taskId, state: this.course.state } }).catch(this.options.storeFailed)
        return
      default:
        effect satisfies never
    }
  }

  private readonly ended = (process: string, run: number, code: number | null): void => {
    this.context.self.tell({ type: 'runEnded', process, run, code })
  }
}
