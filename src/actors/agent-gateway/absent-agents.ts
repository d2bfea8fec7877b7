/**
 * Looks after the agents that are not here. The tasks of one that is away for too long are proposed PARTITIONED; what
 * follows is the business of each task and its partition policy. Where another agent has taken over the work folder,
 * nobody can ever tell of the tasks again: they are proposed LOST without waiting. Rows of agents that nobody expects
 * back are forgotten.
 */
import { Absences, GIVEN_UP_PER_LOOK_MAX } from '../../core/agents/absences.ts'
import { type AwayAgent, awayRows, Places } from '../../core/agents/away-rows.ts'
import type { AgentId } from '../../core/base/ids.ts'
import type { AgentRow } from '../../core/ledger/rows.ts'
import { isPartitionable } from '../../core/task/agent-list.ts'
import type { Context } from '../actor.ts'
import type { GatewayWorld } from '../agent-gateway.ts'
import type { Release } from './held-orders.ts'
import type { Session } from './sessions.ts'

export interface AbsentAgents {
  readonly size: number
  /** So many are away at once that their tasks are kept. */
  readonly held: readonly AgentId[]
  left(id: AgentId, lastHeardMonoMs: number): void
  returned(id: AgentId): void
  /** An operator says that of those held these are gone (null: all). Answers which. */
  release(order: Release): readonly AgentId[]
  look(): void
}

/** Every agent that the ledger knows counts as away from now on, until it comes. `byAgent`: those with a session. */
export function absentAgents(
  context: Pick<Context<never>, 'now' | 'log'>,
  { ledger, tasks, metrics, unreachableMsMax, silenceMsMax, forgetMs }: GatewayWorld,
  byAgent: ReadonlyMap<AgentId, Session>,
): AbsentAgents {
  const absences = new Absences(unreachableMsMax)
  const { view } = ledger
  const releasedBy = new Map<AgentId, Pick<Release, 'user' | 'reason'>>()
  // Whether a machine of a resource manager is there, the manager knows.
  for (const agent of view.agents()) if (agent.manager === undefined) absences.left(agent.agentId, context.now().monoMs)

  function look(): void {
    if (ledger.refusal() !== null) return
    const { monoMs, wallMs } = context.now()
    const away = [...awayNow(monoMs, wallMs)]
    replaced(away)
    partition(monoMs)
    writeDown(away)
  }

  /** In the order in which they left. */
  function* awayNow(nowMonoMs: number, nowWallMs: number): Generator<AwayAgent> {
    let places: Places | null = null
    for (const [id, sinceMonoMs] of absences.all()) {
      const row = view.agent(id)
      if (row === undefined || byAgent.has(id)) continue
      const awayMs = nowMonoMs - sinceMonoMs
      // Two agents can have had one folder in turn, and a new leader hears of both: the later one has it.
      const isGone = awayMs >= silenceMsMax && row.place !== undefined
      if (isGone) places ??= new Places(rowsHere())
      const successor = isGone ? (places?.successorOf(row, nowWallMs - awayMs) ?? null) : null
      yield { row, awayMs, successor, isBound: view.tasksOnAgent(id).length > 0 }
    }
  }

  function* rowsHere(): Generator<AgentRow> {
    for (const [id, session] of byAgent) {
      const row = session.phase === 'ready' ? view.agent(id) : undefined
      if (row !== undefined) yield row
    }
  }

  /** No brake: these machines are there, and so few at a look that a bad day is no large transaction. */
  function replaced(away: readonly AwayAgent[]): void {
    const due = away.filter(({ successor, isBound }) => successor !== null && isBound).slice(0, GIVEN_UP_PER_LOOK_MAX)
    for (const { row, successor } of due) {
      const bound = view.tasksOnAgent(row.agentId)
      const { agentId: agent, host } = row
      context.log.warn('agent-replaced', { agent, host, by: successor, tasks: bound.length })
      metrics.count('agents_replaced_total')
      const message = `${host} has come back with an empty work folder, as agent ${successor}`
      for (const { taskId } of bound)
        tasks.tell({ type: 'propose', taskId, to: 'LOST', message, who: 'agent gateway', why: 'agent replaced' })
    }
  }

  function partition(nowMonoMs: number): void {
    const verdict = absences.look(nowMonoMs, byAgent.size, id => view.tasksOnAgent(id).some(isPartitionable))
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
    const host = view.agent(id)?.host ?? id
    const bound = view.tasksOnAgent(id).filter(isPartitionable)
    context.log.warn('agent-unreachable', { agent: id, host, tasks: bound.length })
    metrics.count('agents_unreachable_total')
    const message = `Nothing was heard of ${host} for over ${unreachableMsMax / 1000} s`
    const by = releasedBy.get(id)
    const cause = by === undefined ? { who: 'agent gateway' } : { who: by.user, why: by.reason }
    for (const { taskId } of bound) tasks.tell({ type: 'propose', taskId, to: 'PARTITIONED', message, ...cause })
  }

  function writeDown(away: readonly AwayAgent[]): void {
    const { wallMs } = context.now()
    const { changes, forgotten } = awayRows(away, wallMs, { unreachableMsMax, forgetMs })
    if (changes.length === 0) return
    for (const { row } of forgotten) returned(row.agentId)
    ledger.stage({ cause: { who: 'agent gateway', why: 'agents away', wallMs }, changes }, () => {
      for (const { row, successor } of forgotten) {
        const { agentId: agent, host, awaySinceMs } = row
        const away = `away since ${new Date(awaySinceMs ?? wallMs).toISOString()}`
        const because = successor === null ? away : `agent ${successor} has its work folder now`
        context.log.info('agent-forgotten', { agent, host, because })
        metrics.count('agents_forgotten_total')
      }
    })
  }

  function returned(id: AgentId): void {
    absences.returned(id)
    releasedBy.delete(id)
  }

  return {
    get size() {
      return absences.size
    },
    get held() {
      return absences.held
    },
    left: (id, lastHeardMonoMs) => absences.left(id, lastHeardMonoMs),
    returned,
    release({ agentIds, user, reason }) {
      const out = absences.release(agentIds === null ? null : new Set(agentIds))
      for (const id of out) {
        releasedBy.set(id, { user, reason })
        context.log.warn('agent-absence-released', { agent: id, host: view.agent(id)?.host ?? id, user, reason })
      }
      return out
    },
    look,
  }
}
