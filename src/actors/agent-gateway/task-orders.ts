/**
 * Launches and kills on their way to an agent. Both are idempotent by task id there, so one that may have been lost is
 * simply sent again; one for an agent that is not here is not kept, as the comparison with its list will show it.
 * Launches that one commit lets go leave together, one message an agent, and before any kill of that agent's tasks.
 */
import { type TaskId, taskId } from '../../core/base/ids.ts'
import type { Launch, LaunchAck, TaskInfo } from '../../wire/messages/agent.ts'
import type { Context } from '../actor.ts'
import type { GatewayWorld, Kill } from '../agent-gateway.ts'
import type { Session, Sessions } from './sessions.ts'

/** Behind the launches that one commit has let go. */
export interface LaunchesDue {
  readonly type: 'launchesDue'
}

export interface TaskOrders {
  launch(id: TaskId): void
  sendLaunches(): void
  launchAnswered(session: Session, answer: LaunchAck): void
  kill(command: Kill): void
}

/** What one message may carry: tasks, and characters of what they are. A task that has more travels alone. */
const LAUNCHES_MAX = 1_000
const LAUNCH_CHARS_MAX = 64 * 1_024

type LaunchTask = Launch['tasks'][number]

interface Due {
  /** By id: one that is asked for twice goes once. */
  readonly tasks: Map<string, LaunchTask>
  chars: number
}

export function taskOrders(
  context: Pick<Context<LaunchesDue>, 'log' | 'self'>,
  { ledger, tasks, epoch, metrics, crypto, launchDeadlineMs }: GatewayWorld,
  sessions: Sessions,
): TaskOrders {
  const due = new Map<Session, Due>()
  /** False: the mailbox was full, so nothing can wait. */
  let isAsked = true

  function launch(id: TaskId): void {
    const row = ledger.view.task(id)
    if (row === undefined || row.status !== 'ASSIGNED' || row.agentId === undefined) return
    const session = sessions.ready(row.agentId)
    const config = ledger.view.config(row.configId)
    // Not connected: the list that it sends when it is back shows that the launch never arrived.
    if (session === undefined || config === undefined) return
    const info: TaskInfo = {
      job: { role: row.job.role, environment: row.job.environment, name: row.job.name },
      instance: row.instance,
      tier: config.tier,
      resources: { ...config.resources },
      ports: { ...row.ports },
      executor: { name: config.executor.name, data: config.executor.data },
    }
    const text = JSON.stringify(info)
    metrics.count('agent_launches_total')
    let one = dueTo(session)
    if (one.chars > 0 && (one.chars + text.length > LAUNCH_CHARS_MAX || one.tasks.size >= LAUNCHES_MAX)) {
      sendTo(session)
      one = dueTo(session)
    }
    one.tasks.set(id, { taskId: id, digest: crypto.sha256(text), info, deadlineMs: launchDeadlineMs })
    one.chars += text.length
    if (!isAsked) sendLaunches()
  }

  function dueTo(session: Session): Due {
    const known = due.get(session)
    if (known !== undefined) return known
    if (due.size === 0) isAsked = context.self.tell({ type: 'launchesDue' })
    const fresh: Due = { tasks: new Map(), chars: 0 }
    due.set(session, fresh)
    return fresh
  }

  function sendTo(session: Session): void {
    const one = due.get(session)
    if (one === undefined) return
    due.delete(session)
    // What a connection took with it is seen missing when the agent brings its list.
    if (session.phase === 'closed') return
    session.connection.send({ type: 'LAUNCH', epoch, tasks: [...one.tasks.values()] })
  }

  function sendLaunches(): void {
    for (const session of due.keys()) sendTo(session)
  }

  function launchAnswered(session: Session, answer: LaunchAck): void {
    for (const { taskId: id, code, message } of answer.results) {
      if (code === 'ok') continue
      metrics.count('agent_launches_refused_total', 1, { code })
      // A launch that crossed its own repetition is refused as a duplicate although the first one runs.
      if (code === 'duplicate_task') continue
      context.log.warn('launch-refused', { task: id, agent: session.agentId, code, message })
      tasks.tell({
        type: 'propose',
        taskId: taskId(id),
        // What can run nowhere counts as a failure: as a loss it would be replaced for ever.
        to: code === 'invalid' ? 'FAILED' : 'LOST',
        expectStatus: 'ASSIGNED',
        message: `${session.host} refused the launch: ${message === '' ? code : message}`,
        who: `agent ${session.agentId}`,
      })
    }
  }

  function kill({ taskId: id, agentId, reason }: Kill): void {
    const session = agentId === null ? undefined : sessions.of(agentId)
    // Not welcomed yet: the comparison with its list will order the kill.
    if (session?.phase !== 'listing' && session?.phase !== 'ready') return
    metrics.count('agent_kills_total')
    sendTo(session)
    session.connection.send({ type: 'KILL', epoch, taskId: id, graceSecs: null, reason })
  }

  return { launch, sendLaunches, launchAnswered, kill }
}
