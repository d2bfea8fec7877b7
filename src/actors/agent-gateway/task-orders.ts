/**
 * Launches and kills on their way to an agent. Both are idempotent by task id there, so one that may have been lost is
 * simply sent again; one for an agent that is not here is not kept, as the comparison with its list will show it.
 */
import { type TaskId, taskId } from '../../core/base/ids.ts'
import type { LaunchAck, TaskInfo } from '../../wire/messages/agent.ts'
import type { Context } from '../actor.ts'
import type { GatewayWorld, Kill } from '../agent-gateway.ts'
import type { Session, Sessions } from './sessions.ts'

export interface TaskOrders {
  launch(id: TaskId): void
  launchAnswered(session: Session, answer: LaunchAck): void
  kill(command: Kill): void
}

export function taskOrders(
  context: Pick<Context<never>, 'log'>,
  { ledger, tasks, epoch, metrics, crypto, launchDeadlineMs }: GatewayWorld,
  sessions: Sessions,
): TaskOrders {
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
    const digest = crypto.sha256(JSON.stringify(info))
    metrics.count('agent_launches_total')
    session.connection.send({
      type: 'LAUNCH',
      epoch,
      tasks: [{ taskId: id, digest, info, deadlineMs: launchDeadlineMs }],
    })
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
    session.connection.send({ type: 'KILL', epoch, taskId: id, graceSecs: null, reason })
  }

  return { launch, launchAnswered, kill }
}
