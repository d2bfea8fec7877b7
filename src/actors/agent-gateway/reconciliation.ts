/**
 * Finds what was missed between the ledger and an agent that is connected: asks for the agent's list, compares it with
 * the rows as they were when it was asked, and proposes what follows. A row that has changed since is left alone: the
 * answer is older than it. Answers come in the order of the questions, so one question is open per agent at a time.
 */
import { DigestWatch } from '../../core/agents/digest-watch.ts'
import type { TaskId } from '../../core/base/ids.ts'
import { compareAgentList, LOST_MESSAGE, listedTask, overdueReports } from '../../core/task/agent-list.ts'
import { CLOSE, type ReconcileResult, type TaskReport } from '../../wire/messages/agent.ts'
import type { Context } from '../actor.ts'
import type { GatewayWorld, Launch } from '../agent-gateway.ts'
import type { HeldOrders } from './held-orders.ts'
import type { LedgerDigests } from './ledger-digests.ts'
import type { Session, Sessions } from './sessions.ts'
import { LISTED_MAX, sendForgets, sendKills } from './task-lists.ts'

export interface Reconciled {
  readonly type: 'reconciled'
  readonly session: Session
  readonly kill: readonly TaskId[]
  readonly forget: readonly TaskId[]
}

export interface Reconciliation {
  /** Questions without an answer. */
  readonly open: number
  heartbeat(session: Session, digest: string): void
  /** `taskIds` null: all. While a question is open, all are asked for once it is answered. */
  ask(session: Session, taskIds: readonly TaskId[] | null): void
  answered(session: Session, result: ReconcileResult): void
  settled(message: Reconciled): void
  left(session: Session): void
}

interface Question {
  /** The rows it is about, with their versions when it was asked. */
  readonly versions: ReadonlyMap<TaskId, number>
  readonly listed: TaskReport[]
  isAskedAgain: boolean
}

const WHY = 'reconciliation'

export function reconciliation(
  context: Pick<Context<Reconciled | Launch>, 'self' | 'now' | 'log'>,
  { ledger, tasks, epoch, metrics }: GatewayWorld,
  sessions: Sessions,
  digests: LedgerDigests,
  held: HeldOrders,
): Reconciliation {
  const watches = new WeakMap<Session, DigestWatch>()
  const questions = new Map<Session, Question>()

  function heartbeat(session: Session, theirs: string): void {
    const { agentId: id } = session
    if (session.phase !== 'ready' || id === null || questions.has(session)) return
    const watch = watches.get(session) ?? new DigestWatch()
    watches.set(session, watch)
    const ours = digests.of(id)
    if (ours === theirs) return watch.agrees()
    if (!watch.differs(ours, theirs, context.now().monoMs)) return
    metrics.count('agent_digest_mismatches_total')
    context.log.info('agent-digest-differs', { agent: id, host: session.host })
    ask(session, null)
  }

  function ask(session: Session, taskIds: readonly TaskId[] | null): void {
    const { agentId: id, connection } = session
    if (session.phase !== 'ready' || id === null) return
    const open = questions.get(session)
    if (open !== undefined) {
      open.isAskedAgain = true
      return
    }
    const asked = taskIds === null ? null : new Set(taskIds)
    const rows = ledger.view.tasksOnAgent(id).filter(row => asked === null || asked.has(row.taskId))
    if (asked !== null && rows.length === 0) return
    const versions = new Map(rows.map(row => [row.taskId, row.version]))
    questions.set(session, { versions, listed: [], isAskedAgain: false })
    metrics.count('agent_reconciliations_total')
    connection.send({ type: 'RECONCILE', epoch, taskIds: asked === null ? null : [...versions.keys()] })
  }

  function answered(session: Session, { tasks: page, last }: ReconcileResult): void {
    const question = questions.get(session)
    if (question === undefined) return
    question.listed.push(...page)
    if (question.listed.length > LISTED_MAX)
      return sessions.drop(session, CLOSE.badFrame, `a list of more than ${LISTED_MAX} tasks`)
    if (!last) return
    questions.delete(session)
    compare(session, question)
    if (question.isAskedAgain) ask(session, null)
  }

  function compare(session: Session, { versions, listed }: Question): void {
    const { agentId: id, host } = session
    // Without room for proposals nothing would come of it; the next heartbeat finds the same difference.
    if (id === null || ledger.refusal() !== null) return
    const who = `agent ${id}`
    const rowOf = (one: TaskId) => ledger.view.task(one)
    const isAsAsked = (one: TaskId): boolean => versions.get(one) === rowOf(one)?.version
    const bound = ledger.view.tasksOnAgent(id)
    const verdict = compareAgentList(listed.map(listedTask), bound, rowOf, held.released(id))
    const seen = new Set<string>(listed.map(({ taskId }) => taskId))
    const missing = bound.filter(row => versions.has(row.taskId) && !seen.has(row.taskId) && isAsAsked(row.taskId))
    const late = overdueReports(listed, rowOf, id).filter(({ taskId }) => isAsAsked(taskId))
    for (const { taskId, to, version } of late)
      tasks.tell({ type: 'propose', taskId, to, expectVersion: version, who, why: WHY })
    for (const { taskId, status, version } of missing) {
      if (status === 'ASSIGNED') ledger.whenCommitted(() => void context.self.tell({ type: 'launch', taskId }))
      else
        tasks.tell({
          type: 'propose',
          taskId,
          to: 'LOST',
          expectVersion: version,
          message: LOST_MESSAGE,
          who,
          why: WHY,
        })
    }
    held.hold(id, host, verdict.held)
    const { kill, forget } = verdict
    if (kill.length + late.length + missing.length > 0) {
      const found = { missed: late.length, missing: missing.length, strays: kill.length }
      context.log.warn('agent-reconciled', { agent: id, host, ...found })
    }
    if (kill.length + forget.length > 0)
      ledger.whenCommitted(() => void context.self.tell({ type: 'reconciled', session, kill, forget }))
  }

  return {
    get open() {
      return questions.size
    },
    heartbeat,
    ask,
    answered,
    settled({ session, kill, forget }) {
      if (session.phase !== 'ready') return
      sendKills(session, epoch, kill)
      sendForgets(session, epoch, forget)
    },
    left: session => void questions.delete(session),
  }
}
