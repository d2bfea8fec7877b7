/**
 * The statuses of tasks on their way to the leader: numbered, made durable, sent one per task at a time, repeated until
 * they are acknowledged. The order of sending is the outbox's (`core/executor/outbox.ts`).
 */
import { isEnd, recordAfterStatus, type TaskRecord } from '../../core/executor/agent-book.ts'
import { Outbox, type OutboxEntry } from '../../core/executor/outbox.ts'
import type { StoredAgent } from '../agent-ports.ts'
import type { Metrics } from '../ports.ts'
import type { AgentContext } from './agent-message.ts'
import type { Journal } from './journal.ts'
import type { LeaderLink } from './leader-link.ts'
import type { TaskBook } from './task-book.ts'

export interface StatusSenderParts {
  readonly context: AgentContext
  readonly journal: Journal
  readonly book: TaskBook
  readonly link: LeaderLink
  readonly metrics: Metrics
}

export type NewStatus = Pick<OutboxEntry, 'state' | 'source' | 'reason' | 'message'>

const RESEND_CHECK_MS = 1_000
const MESSAGE_CHARACTERS_MAX = 4096

export class StatusSender {
  private readonly parts: StatusSenderParts
  private readonly outbox = new Outbox()
  /** The last status of every task that has ended and is not forgotten: told again on each new connection. */
  private readonly finals = new Map<string, OutboxEntry>()

  /** The book holds the records of `stored` already. */
  constructor(parts: StatusSenderParts, stored: StoredAgent) {
    this.parts = parts
    for (const entry of stored.statuses) {
      const record = parts.book.get(entry.taskId)
      if (record === undefined) continue
      if (isEnd(entry.state)) this.finals.set(entry.taskId, entry)
      if (entry.seq > record.ackedSeq) this.outbox.put(entry)
    }
  }

  get waiting(): number {
    return this.outbox.size
  }

  /** A new status of a task: numbered, made durable, then on its way. */
  enter(taskId: string, status: NewStatus): void {
    const { book, context, journal, metrics } = this.parts
    const record = book.get(taskId)
    if (record === undefined) return
    const next = recordAfterStatus(record, status.state)
    const entry: OutboxEntry = { taskId, seq: next.lastSeq, ...status, atMs: context.now().wallMs }
    book.put(next)
    if (isEnd(status.state)) this.finals.set(taskId, entry)
    metrics.count('agent_statuses', 1, { state: status.state })
    context.log.debug('task-status', { taskId, state: status.state, message: status.message })
    journal.write({ records: [next], statuses: [entry] }, () => {
      if (book.get(taskId) === undefined) return
      this.outbox.put(entry)
      this.send()
    })
  }

  send(): void {
    const { context, link } = this.parts
    if (!link.isReady) return
    for (const entry of this.outbox.take(context.now().monoMs)) {
      link.send({ type: 'STATUS', ...entry, message: entry.message?.slice(0, MESSAGE_CHARACTERS_MAX) ?? null })
    }
    if (this.outbox.anyInFlight) context.startTimer('resend', RESEND_CHECK_MS, { type: 'resend' })
  }

  resend(): void {
    this.outbox.expire(this.parts.context.now().monoMs)
    this.send()
  }

  /** However many: one write. */
  acknowledged(acks: readonly { readonly taskId: string; readonly seq: number }[]): void {
    const { book, journal } = this.parts
    const records: TaskRecord[] = []
    const dropStatuses: { taskId: string; seq: number }[] = []
    for (const { taskId, seq } of acks) {
      const done = this.outbox.acknowledge(taskId, seq)
      const record = book.get(taskId)
      if (record === undefined || seq <= record.ackedSeq) continue
      const next = { ...record, ackedSeq: Math.min(seq, record.lastSeq) }
      book.put(next)
      records.push(next)
      for (const entry of done) if (!isEnd(entry.state)) dropStatuses.push({ taskId, seq: entry.seq })
    }
    // Not waited for: an acknowledgement that is lost here only means that the status is told once more.
    if (records.length > 0) journal.write({ records, dropStatuses })
    this.send()
  }

  /** The leader asked again about a task that has ended. */
  repeatEnd(taskId: string): void {
    const final = this.finals.get(taskId)
    if (final !== undefined) this.putEnd(final)
    this.send()
  }

  /** Every end that was acknowledged and not forgotten; the others are waiting anyway. Sent with the next `send`. */
  repeatEnds(): void {
    for (const final of this.finals.values()) this.putEnd(final)
  }

  /** The connection is gone. */
  recall(): void {
    this.parts.context.cancelTimer('resend')
    this.outbox.recallAll()
  }

  forget(taskId: string): void {
    this.finals.delete(taskId)
    this.outbox.drop(taskId)
  }

  private putEnd(final: OutboxEntry): void {
    const record = this.parts.book.get(final.taskId)
    if (record !== undefined && record.ackedSeq >= final.seq) this.outbox.put(final)
  }
}
