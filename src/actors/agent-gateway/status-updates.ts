/**
 * What agents say of their tasks on its way to the tasks, and the acknowledgement on its way back: an agent may forget
 * an update only when what it led to is committed. Until then it repeats it, and repeating is harmless.
 * What one commit answers leaves together: one message an agent, however many of its statuses were in it.
 */
import { type TaskId, taskId } from '../../core/base/ids.ts'
import { isTerminal, type TaskStatus } from '../../core/task/status.ts'
import type { QuarantinedStatus, StatusUpdate } from '../../wire/messages/agent.ts'
import type { Context, Ref } from '../actor.ts'
import type { GatewayWorld } from '../agent-gateway.ts'
import type { Propose, Transitioned } from '../task-state-machine.ts'
import type { Session } from './sessions.ts'

export interface StatusApplied {
  readonly type: 'applied'
  readonly update: StatusUpdate
  readonly session: Session
  readonly done: Transitioned
}

/** Behind the answers that one commit has brought. */
export interface AcksDue {
  readonly type: 'acksDue'
}

export interface StatusUpdates {
  readonly applied: number
  heard(session: Session, update: StatusUpdate): void
  /** One that could not be read: acknowledged, so that it is not sent for ever and stands before no other. */
  putAside(session: Session, status: QuarantinedStatus): void
  /** Committed. Illegal and repeated ones are acknowledged too. */
  acknowledge(message: StatusApplied): void
  sendAcks(): void
}

/** Acknowledgements, or tasks to forget, that one message may carry. */
const ACKS_MAX = 1_000

interface Due {
  readonly acks: { readonly taskId: string; readonly seq: number }[]
  readonly forget: TaskId[]
}

export function statusUpdates(
  context: Context<StatusApplied | AcksDue>,
  { ledger, tasks, epoch, metrics }: GatewayWorld,
): StatusUpdates {
  let applied = 0
  const due = new Map<Session, Due>()
  /** False: the mailbox was full, so nothing can wait. */
  let isAsked = true

  function heard(session: Session, update: StatusUpdate): void {
    const id = taskId(update.taskId)
    const row = ledger.view.task(id)
    if (row !== undefined && row.agentId !== undefined && row.agentId !== session.agentId) {
      context.log.warn('status-from-wrong-agent', { task: id, agent: session.agentId, expected: row.agentId })
      if (!isTerminal(update.state))
        session.connection.send({ type: 'KILL', epoch, taskId: id, graceSecs: null, reason: 'It belongs elsewhere.' })
      // Acknowledged, or it would be repeated for ever and stand before others.
      const done: Transitioned = { taskId: id, result: 'ILLEGAL' }
      return ledger.whenCommitted(() => void context.self.tell({ type: 'applied', update, session, done }))
    }
    const message = messageOf(update)
    // A plain ref, as statuses are many: the answer is one more message of our own.
    const replyTo: Ref<Transitioned> = {
      path: `${context.self.path}/status`,
      tell: done => context.self.tell({ type: 'applied', update, session, done }),
    }
    // Statuses are many, and fields that are set afterwards cost less than such that are spread.
    const proposal: { -readonly [Field in keyof Propose]: Propose[Field] } = {
      type: 'propose',
      taskId: id,
      to: update.state satisfies TaskStatus,
      who: `agent ${session.agentId}`,
      agentSeq: update.seq,
      replyTo,
    }
    if (message !== null) proposal.message = message
    if (session.agentId !== null) proposal.agentId = session.agentId
    tasks.tell(proposal)
  }

  function putAside({ agentId, host, connection }: Session, { taskId: task, seq, because }: QuarantinedStatus): void {
    metrics.count('agent_statuses_quarantined_total')
    context.log.error('status-quarantined', { agent: agentId, host, task, seq, because })
    // Nothing follows from it, so there is no commit to wait for. What it would have said shows in the agent's digest.
    if (task !== null && seq !== null) connection.send({ type: 'STATUS_ACK', epoch, acks: [{ taskId: task, seq }] })
  }

  function acknowledge({ session, update, done }: StatusApplied): void {
    applied++
    if (update.reason !== null) metrics.count('status_updates_total', 1, { reason: update.reason, result: done.result })
    if (session.phase === 'closed') return
    const id = taskId(update.taskId)
    const { acks, forget } = dueTo(session)
    acks.push({ taskId: id, seq: update.seq })
    const row = ledger.view.task(id)
    if (isTerminal(update.state) && (row === undefined || isTerminal(row.status))) forget.push(id)
    if (acks.length >= ACKS_MAX || !isAsked) sendAcks()
  }

  function dueTo(session: Session): Due {
    const known = due.get(session)
    if (known !== undefined) return known
    if (due.size === 0) isAsked = context.self.tell({ type: 'acksDue' })
    const fresh: Due = { acks: [], forget: [] }
    due.set(session, fresh)
    return fresh
  }

  function sendAcks(): void {
    for (const [{ connection, phase }, { acks, forget }] of due) {
      if (phase === 'closed') continue
      connection.send({ type: 'STATUS_ACK', epoch, acks })
      if (forget.length > 0) connection.send({ type: 'FORGET', epoch, taskIds: forget })
    }
    due.clear()
  }

  return {
    get applied() {
      return applied
    },
    heard,
    putAside,
    acknowledge,
    sendAcks,
  }
}

/** The agent's words as they are; a limit that was broken without any gets its fixed text. */
function messageOf(update: StatusUpdate): string | null {
  // The words of a machine about itself: nobody who reads the task's history could act on them.
  if (update.reason === 'EXECUTOR_UNREGISTERED') return null
  if (update.message !== null && update.message !== '') return update.message
  if (update.reason === 'CONTAINER_LIMITATION_MEMORY') return 'Task used more memory than requested.'
  if (update.reason === 'CONTAINER_LIMITATION_DISK') return 'Task used more disk than requested.'
  return null
}
