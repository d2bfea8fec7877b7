/**
 * DedicatedGuard: the dedicated rule wherever it matters. Job admission asks it, the Assigner has every round vetted
 * before anything is assigned, and it keeps a list of running tasks that their machine would refuse today. It watches
 * the machines' attributes itself, so that a fault in the offer book cannot let a task through.
 */
import type { AgentId, TaskId } from '../core/base/ids.ts'
import type { Constraint } from '../core/job/task-config.ts'
import { dedicatedFault } from '../core/scheduling/dedicated.ts'
import { DedicatedAudit, type Misplaced, type Pair } from '../core/scheduling/dedicated-audit.ts'
import type { ActorSpec, Behaviour, Context, Ref } from './actor.ts'
import type { Ledger, LedgerChange } from './ledger.ts'
import type { Metrics } from './ports.ts'

/** Answered by RoundVetted. `version` is the one the round was decided under: when it still holds, nothing is looked at. */
export interface VetRound {
  readonly type: 'vetRound'
  readonly roundId: number
  readonly version: number
  readonly pairs: readonly Pair[]
  readonly replyTo: Ref<RoundVetted>
}
interface LedgerChanged {
  readonly type: 'ledgerChanged'
}
interface AuditOn {
  readonly type: 'auditOn'
}
export type DedicatedGuardCommand = VetRound | LedgerChanged | AuditOn

export interface RoundVetted {
  readonly type: 'roundVetted'
  readonly roundId: number
  readonly rejected: readonly TaskId[]
}

/** Plain reads; every one first takes in what has been staged. */
export interface DedicatedView {
  /** Rises whenever the dedicated values of any machine change. */
  readonly version: number
  /** Tasks that run where the rule would refuse them today; never evicted. */
  misplaced(): readonly Misplaced[]
  /** What is wrong with a job's dedicated constraints, in Aurora's words; null when nothing is. */
  checkJob(role: string, constraints: readonly Constraint[]): string | null
}

export interface DedicatedGuardOptions {
  readonly ledger: Ledger
  readonly metrics: Metrics
  readonly publish: (view: DedicatedView) => void
  /** Tasks looked at per turn while the audit of a new leader runs. */
  readonly auditsPerTurn: number
}

export function dedicatedGuardSpec(options: DedicatedGuardOptions): ActorSpec<DedicatedGuardCommand> {
  return { name: 'dedicated-guard', kind: 'DedicatedGuard', start: context => startDedicatedGuard(context, options) }
}

function startDedicatedGuard(
  context: Context<DedicatedGuardCommand>,
  { ledger, metrics, publish, auditsPerTurn }: DedicatedGuardOptions,
): Behaviour<DedicatedGuardCommand> {
  const audit = new DedicatedAudit(ledger.view)
  let toAudit: AgentId[] = [...ledger.view.agents()].map(agent => agent.agentId)
  let changes: LedgerChange[] = []
  let reported = 0
  let refusedJobs = 0
  let refusedPlacements = 0

  const unsubscribe = ledger.subscribe('staged', change => {
    if (changes.push(change) === 1) context.self.tell({ type: 'ledgerChanged' })
  })
  const takeIn = (): void => {
    const taken = changes
    changes = []
    for (const { changes: rows } of taken) for (const { change, before } of rows) audit.apply(change, before)
  }
  publish({
    get version() {
      takeIn()
      return audit.version
    },
    misplaced: () => {
      takeIn()
      return audit.misplaced()
    },
    checkJob: (role, constraints) => {
      const fault = dedicatedFault(role, constraints)
      if (fault !== null) refusedJobs++
      return fault
    },
  })
  context.self.tell({ type: 'auditOn' })

  const report = (): void => {
    const count = audit.misplacedCount
    if (count === reported) return
    metrics.gauge('misplaced_tasks', count)
    if (count > reported) context.log.warn('tasks-misplaced', { tasks: count })
    reported = count
  }

  const auditOn = (): void => {
    let left = auditsPerTurn
    while (left > 0) {
      const agentId = toAudit.pop()
      if (agentId === undefined) {
        toAudit = []
        return
      }
      left -= 1 + audit.auditAgent(agentId)
    }
    context.self.tell({ type: 'auditOn' })
  }

  return {
    receive(message) {
      takeIn()
      switch (message.type) {
        case 'vetRound': {
          const rejected = audit.vet(message.version, message.pairs)
          refusedPlacements += rejected.length
          message.replyTo.tell({ type: 'roundVetted', roundId: message.roundId, rejected })
          break
        }
        case 'auditOn':
          auditOn()
          break
        case 'ledgerChanged':
          break
      }
      report()
    },
    stopping: () => unsubscribe(),
    summary: () => ({
      version: audit.version,
      dedicatedAgents: audit.dedicatedCount,
      misplaced: audit.misplacedCount,
      misplacedTasks: audit
        .misplaced()
        .slice(0, 5)
        .map(task => `${task.taskId} on ${task.host}`)
        .join(', '),
      agentsToAudit: toAudit.length,
      refusedJobs,
      refusedPlacements,
    }),
  }
}
