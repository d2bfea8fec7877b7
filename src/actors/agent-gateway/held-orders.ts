/**
 * Kills that a brake holds back: tasks that run on an agent, are unknown to the ledger and are too many to end on a
 * guess. They run on until an operator releases them; from then on they are strays like others, in this reign.
 */
import type { Brakes } from '../../core/agents/brakes.ts'
import type { AgentId, TaskId } from '../../core/base/ids.ts'
import type { Context, Ref } from '../actor.ts'
import type { GatewayWorld } from '../agent-gateway.ts'

/** `agentIds` null: of all agents. Also lets go of the tasks of agents that are away, if too many at once are. */
export interface ReleaseHeld {
  readonly type: 'releaseHeld'
  readonly agentIds: readonly string[] | null
  /** Who lets go, and why: for the log and for the history of the tasks. */
  readonly user: string
  readonly reason: string
  readonly replyTo: Ref<HeldReleased>
}
export interface HeldReleased {
  readonly type: 'heldReleased'
  /** Per agent, how many tasks unknown to the ledger will be killed there. */
  readonly agents: readonly { readonly agentId: string; readonly host: string; readonly tasks: number }[]
  /** Agents that are away and whose tasks will be PARTITIONED, a few at a time. */
  readonly away: readonly string[]
}

export type Release = Pick<ReleaseHeld, 'agentIds' | 'user' | 'reason'>

export interface HeldOrders {
  /** Tasks held now, by agent. */
  readonly held: Brakes['unknownTasks']
  /** Replaces what was held of this agent; empty: nothing is. */
  hold(id: AgentId, host: string, tasks: readonly TaskId[]): void
  /** May be killed there although unknown: an operator has said so. */
  released(id: AgentId): ReadonlySet<string>
  release(order: Release): readonly { agentId: AgentId; host: string; tasks: readonly TaskId[] }[]
}

export function heldOrders(
  context: Pick<Context<never>, 'log'>,
  { metrics }: Pick<GatewayWorld, 'metrics'>,
): HeldOrders {
  const held = new Map<AgentId, { readonly host: string; readonly tasks: readonly TaskId[] }>()
  const freed = new Map<AgentId, ReadonlySet<string>>()
  const NONE: ReadonlySet<string> = new Set()

  function hold(id: AgentId, host: string, tasks: readonly TaskId[]): void {
    const before = held.get(id)?.tasks.length ?? 0
    if (tasks.length === 0) held.delete(id)
    else held.set(id, { host, tasks })
    if (tasks.length === 0 || tasks.length === before) return
    metrics.count('agent_tasks_held_total', tasks.length)
    context.log.error('agent-tasks-held', {
      agent: id,
      host,
      tasks: tasks.length,
      because:
        'the ledger does not know them; too many to kill on a guess. Was an old backup restored? They run on until `daybreak admin release-held`',
    })
  }

  return {
    get held() {
      return Array.from(held, ([agentId, { host, tasks }]) => ({ agentId, host, tasks: tasks.length }))
    },
    hold,
    released: id => freed.get(id) ?? NONE,
    release({ agentIds, user, reason }) {
      const wanted = agentIds === null ? null : new Set(agentIds)
      const out = [...held].flatMap(([agentId, one]) =>
        wanted === null || wanted.has(agentId) ? [{ agentId, ...one }] : [],
      )
      for (const { agentId, host, tasks } of out) {
        held.delete(agentId)
        freed.set(agentId, new Set([...(freed.get(agentId) ?? []), ...tasks]))
        context.log.warn('agent-tasks-released', { agent: agentId, host, tasks: tasks.length, user, reason })
      }
      return out
    },
  }
}
