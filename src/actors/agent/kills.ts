/**
 * How tasks leave this agent: killed by order, all of them when the machine is given up, forgotten once their end was
 * taken over. A kill is durable before it is acknowledged or acted on; a task that was forgotten, or killed before it
 * ever came, leaves a tombstone.
 */
import { isEnd, isLive, recordAfterKill, shutRecord } from '../../core/executor/agent-book.ts'
import type { Ref } from '../actor.ts'
import type { KillAllTasks } from '../agent.ts'
import type { SandboxKeeperCommand } from '../sandbox-keeper.ts'
import type { AgentContext } from './agent-message.ts'
import type { Journal } from './journal.ts'
import type { Runners } from './runners.ts'
import type { StandingOffer } from './standing-offer.ts'
import type { StatusSender } from './status-sender.ts'
import type { TaskBook } from './task-book.ts'

export interface KillsParts {
  readonly context: AgentContext
  readonly journal: Journal
  readonly book: TaskBook
  readonly statuses: StatusSender
  readonly runners: Runners
  readonly offer: StandingOffer
  readonly keeper: Ref<SandboxKeeperCommand>
  /** Of the machine, now. */
  readonly bootId: string
}

export class Kills {
  private readonly parts: KillsParts
  private readonly endWaiters: KillAllTasks['replyTo'][] = []

  constructor(parts: KillsParts) {
    this.parts = parts
  }

  /** `graceMs`: null for the task's own. `acknowledge` is called once the kill is durable. */
  kill(taskId: string, graceMs: number | null, acknowledge: () => void = () => {}): void {
    const { book, context, journal, runners, statuses } = this.parts
    const record = book.get(taskId)
    if (record === undefined) return this.killUnknown(taskId, acknowledge)
    if (isEnd(record.state)) {
      journal.write({}, () => {
        acknowledge()
        statuses.repeatEnd(taskId)
      })
      return
    }
    const next = recordAfterKill(record, { graceMs, atMs: context.now().wallMs })
    book.put(next)
    context.log.debug('task-kill', { taskId, graceMs })
    journal.write({ records: [next] }, () => {
      acknowledge()
      runners.kill(taskId, graceMs)
    })
  }

  private killUnknown(taskId: string, acknowledge: () => void): void {
    const { bootId, book, context, journal, statuses } = this.parts
    if (book.tombstones.has(taskId)) return journal.write({}, acknowledge)
    const atMs = context.now().wallMs
    book.put(shutRecord(taskId, atMs, bootId))
    this.bury(taskId)
    journal.write({ tombstones: [{ taskId, atMs }] }, acknowledge)
    const message = 'Task is unknown to the agent'
    statuses.enter(taskId, { state: 'LOST', source: 'agent', reason: 'TASK_UNKNOWN', message })
  }

  forget(taskIds: readonly string[]): void {
    const { book, context, journal, statuses } = this.parts
    const atMs = context.now().wallMs
    const gone = taskIds.filter(taskId => {
      const record = book.get(taskId)
      // A live task is not forgotten by word alone: it would be left without an owner.
      if (record === undefined || isLive(record)) return false
      book.records.delete(taskId)
      statuses.forget(taskId)
      this.bury(taskId)
      return true
    })
    if (gone.length === 0) return
    journal.write({ dropTasks: gone, tombstones: gone.map(taskId => ({ taskId, atMs })) })
  }

  /** Tells `replyTo` once nothing is left alive. */
  killAll(replyTo: KillAllTasks['replyTo']): void {
    this.endWaiters.push(replyTo)
    // Whoever is told that all have ended must not find new ones: a leader replaces what we end.
    this.parts.offer.drain()
    for (const { taskId } of this.parts.book.live()) this.kill(taskId, null)
    this.tellIfAllEnded()
  }

  /** After every end of a task. */
  tellIfAllEnded(): void {
    const { book, journal } = this.parts
    if (this.endWaiters.length === 0 || book.live().length > 0) return
    journal.write({}, () => {
      for (const waiter of this.endWaiters.splice(0)) waiter.tell({ type: 'allEnded' })
    })
  }

  private bury(taskId: string): void {
    this.parts.book.tombstones.add(taskId)
    this.parts.keeper.tell({ type: 'forgotten', taskId, atMs: this.parts.context.now().wallMs })
  }
}
