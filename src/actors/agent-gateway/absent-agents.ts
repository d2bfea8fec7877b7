/**
 * Looks after the agents that are not here. The tasks of one that is away for too long are proposed PARTITIONED; what
 * follows is the business of each task and its partition policy.
 */
import { Absences } from '../../core/agents/absences.ts'
import type { AgentId } from '../../core/base/ids.ts'
import { isPartitionable } from '../../core/task/agent-list.ts'
import type { Context } from '../actor.ts'
import type { GatewayWorld } from '../agent-gateway.ts'

export interface AbsentAgents {
  readonly size: number
  readonly isHolding: boolean
  left(id: AgentId, lastHeardMonoMs: number): void
  returned(id: AgentId): void
  /** An operator says that of those held these are gone (null: all). Answers which. */
  release(ids: readonly string[] | null): readonly AgentId[]
  /** `present`: agents that have a session. */
  look(nowMonoMs: number, present: number): void
}

/** Every agent that the ledger knows counts as away from now on, until it comes. */
export function absentAgents(
  context: Pick<Context<never>, 'now' | 'log'>,
  { ledger, tasks, metrics, unreachableMsMax }: GatewayWorld,
): AbsentAgents {
  const absences = new Absences(unreachableMsMax)
  for (const agent of ledger.view.agents()) absences.left(agent.agentId, context.now().monoMs)

  function look(nowMonoMs: number, present: number): void {
    if (ledger.refusal() !== null) return
    const verdict = absences.look(nowMonoMs, present, id => ledger.view.tasksOnAgent(id).some(isPartitionable))
    if (verdict.type === 'giveUp') return verdict.agents.forEach(giveUp)
    if (!verdict.isNew) return
    context.log.error('agents-unreachable-held', {
      agents: verdict.agents,
      of: verdict.of,
      because:
        'so many at once are more likely cut off than dead: their tasks are kept until enough are back or an operator releases them; look at the network',
    })
  }

  function giveUp(id: AgentId): void {
    const host = ledger.view.agent(id)?.host ?? id
    const bound = ledger.view.tasksOnAgent(id).filter(isPartitionable)
    context.log.warn('agent-unreachable', { agent: id, host, tasks: bound.length })
    metrics.count('agents_unreachable_total')
    const message = `Nothing was heard of ${host} for over ${unreachableMsMax / 1000} s`
    for (const { taskId } of bound)
      tasks.tell({ type: 'propose', taskId, to: 'PARTITIONED', message, who: 'agent gateway' })
  }

  return {
    get size() {
      return absences.size
    },
    get isHolding() {
      return absences.isHolding
    },
    left: (id, lastHeardMonoMs) => absences.left(id, lastHeardMonoMs),
    returned: id => absences.returned(id),
    release(ids) {
      const out = absences.release(ids === null ? null : new Set(ids))
      for (const id of out)
        context.log.warn('agent-absence-released', { agent: id, host: ledger.view.agent(id)?.host ?? id })
      return out
    },
    look,
  }
}
