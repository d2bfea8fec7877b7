/**
 * Looks after the agents that are not here. The tasks of one that is away for too long are proposed PARTITIONED; what
 * follows is the business of each task and its partition policy.
 */
import { Absences } from '../../core/agents/absences.ts'
import type { AgentId } from '../../core/base/ids.ts'
import { isPartitionable } from '../../core/task/agent-list.ts'
import type { Context } from '../actor.ts'
import type { GatewayWorld } from '../agent-gateway.ts'
import type { Release } from './held-orders.ts'

export interface AbsentAgents {
  readonly size: number
  /** So many are away at once that their tasks are kept. */
  readonly held: readonly AgentId[]
  left(id: AgentId, lastHeardMonoMs: number): void
  returned(id: AgentId): void
  /** An operator says that of those held these are gone (null: all). Answers which. */
  release(order: Release): readonly AgentId[]
  /** `present`: agents that have a session. */
  look(nowMonoMs: number, present: number): void
}

/** Every agent that the ledger knows counts as away from now on, until it comes. */
export function absentAgents(
  context: Pick<Context<never>, 'now' | 'log'>,
  { ledger, tasks, metrics, unreachableMsMax }: GatewayWorld,
): AbsentAgents {
  const absences = new Absences(unreachableMsMax)
  const releasedBy = new Map<AgentId, Pick<Release, 'user' | 'reason'>>()
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
        'so many at once are more likely cut off than dead: their tasks are kept until enough are back or `daybreak admin release-held`; look at the network',
    })
  }

  function giveUp(id: AgentId): void {
    const host = ledger.view.agent(id)?.host ?? id
    const bound = ledger.view.tasksOnAgent(id).filter(isPartitionable)
    context.log.warn('agent-unreachable', { agent: id, host, tasks: bound.length })
    metrics.count('agents_unreachable_total')
    const message = `Nothing was heard of ${host} for over ${unreachableMsMax / 1000} s`
    const by = releasedBy.get(id)
    const cause = by === undefined ? { who: 'agent gateway' } : { who: by.user, why: by.reason }
    for (const { taskId } of bound) tasks.tell({ type: 'propose', taskId, to: 'PARTITIONED', message, ...cause })
  }

  return {
    get size() {
      return absences.size
    },
    get held() {
      return absences.held
    },
    left: (id, lastHeardMonoMs) => absences.left(id, lastHeardMonoMs),
    returned(id) {
      absences.returned(id)
      releasedBy.delete(id)
    },
    release({ agentIds, user, reason }) {
      const out = absences.release(agentIds === null ? null : new Set(agentIds))
      for (const id of out) {
        releasedBy.set(id, { user, reason })
        context.log.warn('agent-absence-released', { agent: id, host: ledger.view.agent(id)?.host ?? id, user, reason })
      }
      return out
    },
    look,
  }
}
