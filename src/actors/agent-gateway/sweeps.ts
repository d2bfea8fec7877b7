/** Runs the sweeps of `core/agents/reconcile-schedule.ts`: when they are due, or when an operator asks for one. */
import {
  BATCH_TASKS_MAX,
  batchesOf,
  firstRunMs,
  intervalMs,
  pauseMs,
  type ReconciliationSettings,
  type SweepKind,
} from '../../core/agents/reconcile-schedule.ts'
import { type AgentId, compareIds, type TaskId } from '../../core/base/ids.ts'
import { HOST_ASSIGNED } from '../../core/task/status.ts'
import type { Context, Ref } from '../actor.ts'
import type { GatewayWorld } from '../agent-gateway.ts'
import type { Reconciliation } from './reconciliation.ts'
import type { Sessions } from './sessions.ts'

/** An operator wants a sweep now. */
export interface Reconcile {
  readonly type: 'reconcile'
  readonly kind: SweepKind
  /** Of an explicit run, 1–1,000; null: as configured. */
  readonly batchSize: number | null
  /** Who asks, for the log. */
  readonly user: string
  readonly replyTo: Ref<ReconcileStarted>
}
export interface ReconcileStarted {
  readonly type: 'reconcileStarted'
  readonly kind: SweepKind
  /** Steps of this run: batches of an explicit one, agents of an implicit one; 0 when there was nothing to ask. */
  readonly steps: number
  /** One of that kind was under way: it goes on, and no other was begun. */
  readonly isUnderWay: boolean
}

export type SweepMessage =
  | { readonly type: 'sweepDue'; readonly kind: SweepKind }
  | { readonly type: 'sweepStep'; readonly kind: SweepKind }

export interface Sweeps {
  due(kind: SweepKind): void
  step(kind: SweepKind): void
  asked(command: Reconcile): void
}

type Step = () => void

export function sweeps(
  context: Pick<Context<SweepMessage>, 'startTimer' | 'log'>,
  { ledger, metrics, reconciliation: settings }: GatewayWorld & { readonly reconciliation: ReconciliationSettings },
  sessions: Sessions,
  exchanges: Reconciliation,
): Sweeps {
  const steps: Record<SweepKind, Step[]> = { explicit: [], implicit: [] }
  const pauses: Record<SweepKind, number> = { explicit: 0, implicit: 0 }
  const kinds: readonly SweepKind[] = ['explicit', 'implicit']
  for (const kind of kinds) context.startTimer(`sweep-${kind}`, firstRunMs(kind, settings), { type: 'sweepDue', kind })

  function due(kind: SweepKind): void {
    context.startTimer(`sweep-${kind}`, intervalMs(kind, settings), { type: 'sweepDue', kind })
    run(kind, settings.batchSize, null)
  }

  function run(kind: SweepKind, batchSize: number, user: string | null): number {
    if (steps[kind].length > 0) return 0
    const planned = kind === 'explicit' ? explicit(batchSize) : implicit()
    const { length } = planned
    metrics.count(`reconciliation_${kind}_runs`)
    context.log.info('reconciliation-run', { kind, steps: length, ...(user === null ? {} : { user }) })
    steps[kind] = planned
    pauses[kind] = pauseMs(kind, length, settings)
    step(kind)
    return length
  }

  function step(kind: SweepKind): void {
    steps[kind].shift()?.()
    if (steps[kind].length > 0) context.startTimer(`step-${kind}`, pauses[kind], { type: 'sweepStep', kind })
  }

  function explicit(batchSize: number): Step[] {
    const bound: { taskId: TaskId; agentId: AgentId }[] = []
    for (const status of HOST_ASSIGNED)
      for (const { taskId, agentId } of ledger.view.tasksByStatus(status))
        if (agentId !== undefined) bound.push({ taskId, agentId })
    bound.sort((a, b) => compareIds(a.taskId, b.taskId))
    return batchesOf(bound, Math.min(batchSize, BATCH_TASKS_MAX)).map(batch => () => {
      const byAgent = new Map<AgentId, TaskId[]>()
      for (const { taskId, agentId } of batch) {
        const of = byAgent.get(agentId) ?? []
        of.push(taskId)
        byAgent.set(agentId, of)
      }
      for (const [id, of] of byAgent) askReady(id, of)
    })
  }

  function implicit(): Step[] {
    const there = [...ledger.view.agents()].filter(({ agentId }) => sessions.ready(agentId) !== undefined)
    return there.map(
      ({ agentId }) =>
        () =>
          askReady(agentId, null),
    )
  }

  function askReady(id: AgentId, taskIds: readonly TaskId[] | null): void {
    const session = sessions.ready(id)
    if (session !== undefined) exchanges.ask(session, taskIds)
  }

  return {
    due,
    step,
    asked({ kind, batchSize, user, replyTo }) {
      const isUnderWay = steps[kind].length > 0
      const length = run(kind, batchSize ?? settings.batchSize, user)
      replyTo.tell({ type: 'reconcileStarted', kind, steps: length, isUnderWay })
    },
  }
}
