/**
 * An agent that comes tells all the tasks it knows, page by page, and takes nothing before they have been compared with
 * the ledger. What follows for tasks is proposed to them; what the agent is to do is sent once all that is committed.
 */
import type { AgentId, TaskId } from '../../core/base/ids.ts'
import { compareAgentList, healedTasks, LOST_MESSAGE, listedTask } from '../../core/task/agent-list.ts'
import { CLOSE, type TaskReport } from '../../wire/messages/agent.ts'
import type { Context } from '../actor.ts'
import type { GatewayWorld, Launch } from '../agent-gateway.ts'
import type { Ballot } from '../ports.ts'
import type { HeldOrders } from './held-orders.ts'
import type { Session, Sessions } from './sessions.ts'

export interface ListSettled {
  readonly type: 'listSettled'
  readonly session: Session
  /** Tasks in the list. */
  readonly listed: number
  readonly kill: readonly TaskId[]
  readonly forget: readonly TaskId[]
}

export interface TaskLists {
  page(session: Session, tasks: readonly TaskReport[], last: boolean): void
  settled(message: ListSettled): void
}

/** Tasks that one machine may know of. */
export const LISTED_MAX = 100_000
/** Ids that one message may carry. */
const IDS_MAX = 1000

/** `onReady`: told before the agent is sent anything. */
export function taskLists(
  context: Context<ListSettled | Launch>,
  { ledger, tasks, broker, epoch }: GatewayWorld,
  sessions: Sessions,
  brake: HeldOrders,
  onReady: (id: AgentId) => void,
): TaskLists {
  function page(session: Session, reports: readonly TaskReport[], last: boolean): void {
    if (session.phase !== 'listing') return
    session.listed.push(...reports)
    if (session.listed.length > LISTED_MAX)
      return sessions.drop(session, CLOSE.badFrame, `a list of more than ${LISTED_MAX} tasks`)
    if (last) compare(session)
  }

  function compare(session: Session): void {
    const { agentId: id, listed, host } = session
    if (id === null) return
    session.listed = []
    const who = `agent ${id}`
    const rowOf = (one: TaskId) => ledger.view.task(one)
    const healed = healedTasks(listed, rowOf)
    const verdict = compareAgentList(listed.map(listedTask), ledger.view.tasksOnAgent(id), rowOf, brake.released(id))
    for (const lost of verdict.lost)
      tasks.tell({ type: 'propose', taskId: lost, to: 'LOST', message: LOST_MESSAGE, who })
    brake.hold(id, host, verdict.held)
    for (const { taskId: one, to } of healed)
      tasks.tell({ type: 'propose', taskId: one, to, expectStatus: 'PARTITIONED', who, why: 'its agent is back' })
    const { kill, forget } = verdict
    ledger.whenCommitted(
      () => void context.self.tell({ type: 'listSettled', session, listed: listed.length, kill, forget }),
    )
  }

  function settled({ session, listed, kill, forget }: ListSettled): void {
    const { agentId: id, host, connection } = session
    if (session.phase !== 'listing' || id === null) return
    session.phase = 'ready'
    onReady(id)
    connection.send({ type: 'TASKS_DONE', epoch, kill: kill.slice(0, IDS_MAX), forget: forget.slice(0, IDS_MAX) })
    sendKills(session, epoch, kill.slice(IDS_MAX))
    sendForgets(session, epoch, forget.slice(IDS_MAX))
    // Launches that never arrived, or were asked for while the list was on its way. The rows may be staged only.
    for (const { taskId: one, status } of ledger.view.tasksOnAgent(id))
      if (status === 'ASSIGNED') ledger.whenCommitted(() => void context.self.tell({ type: 'launch', taskId: one }))
    context.log.info('agent-ready', { agent: id, host, remote: connection.remote, tasks: listed, kills: kill.length })
    if (!session.isDraining) broker.tell({ type: 'agentUp', agentId: id })
  }

  return { page, settled }
}

export function sendKills({ connection }: Session, epoch: Ballot, kill: readonly TaskId[]): void {
  for (const taskId of kill)
    connection.send({ type: 'KILL', epoch, taskId, graceSecs: null, reason: 'The task is not to run.' })
}

export function sendForgets({ connection }: Session, epoch: Ballot, forget: readonly TaskId[]): void {
  for (let at = 0; at < forget.length; at += IDS_MAX)
    connection.send({ type: 'FORGET', epoch, taskIds: forget.slice(at, at + IDS_MAX) })
}
