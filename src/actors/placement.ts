/**
 * Placement: the four actors that bring PENDING tasks to machines, put together. They live under the leader and are
 * made anew by every leader; what they know comes from the ledger and from the agents that connect.
 *
 *   TaskGroups --round--> Assigner --match--> OfferBroker
 *        ^                   |  \--vet--> DedicatedGuard
 *        |                   \--assign--> the task itself (ledger: PENDING to ASSIGNED)
 *        \---- wake: capacity came or was freed ---- OfferBroker
 */
import type { AgentId, ConfigId } from '../core/base/ids.ts'
import type { Resources } from '../core/job/task-config.ts'
import { SHIPPED_TIERS, type Tier } from '../core/job/tiers.ts'
import { OFFER_ORDER_DEFAULT, type OfferOrder } from '../core/offers/candidate-order.ts'
import { EXECUTOR_OVERHEAD_DEFAULT } from '../core/offers/needs.ts'
import { slotsInWords } from '../core/preempt/words.ts'
import { dedicatedFault } from '../core/scheduling/dedicated.ts'
import { type GroupView, TASK_GROUPS_DEFAULTS } from '../core/scheduling/task-groups.ts'
import type { ActorSpec, Ref } from './actor.ts'
import { type AssignerCommand, assignerSpec } from './assigner.ts'
import { type DedicatedGuardCommand, type DedicatedView, dedicatedGuardSpec } from './dedicated-guard.ts'
import type { Ledger } from './ledger.ts'
import {
  type AgentCommand,
  type OfferBookView,
  type OfferBrokerCommand,
  offerBrokerSpec,
  type PendingView,
  type PlacementView,
} from './offer-broker.ts'
import type { Metrics } from './ports.ts'
import { PREEMPTOR_SETTINGS, type PreemptionView, type PreemptorSettings, preemptorSpec } from './preemptor.ts'
import { type PendingGroupsView, type TaskGroupsCommand, taskGroupsSpec } from './task-groups.ts'
import type { TaskDirectory } from './task-state-machine.ts'

export interface PlacementOptions {
  /** What every task takes beside its own; default 0.01 core and 8 MB. */
  readonly executorOverhead: Resources
  /** Order of candidates; default RANDOM. `['CPU', 'MEMORY', 'RANDOM']` fills hosts one by one. */
  readonly offerOrder: readonly OfferOrder[]
  /** Most time a new task waits for others to join its round; default 1 ms. */
  readonly firstScheduleDelayMs: number
  /** Over at most so long the groups of tasks that were PENDING when the leader started are spread; default 30 s. */
  readonly startSpreadMs: number
  /** Wait after the first fruitless attempt of a group; default 1 s. */
  readonly schedulePenaltyMsInitial: number
  /** Longest wait; default 60 s. */
  readonly schedulePenaltyMsMax: number
  /** Default: those that Aurora ships with. */
  readonly tiers: Readonly<Record<string, Tier>>
  /** A host that is planned to be away within so long takes nothing new; default 6 min. */
  readonly unavailabilityThresholdMs: number
  readonly preemption: PreemptorSettings
}

export const PLACEMENT_DEFAULTS: PlacementOptions = {
  executorOverhead: EXECUTOR_OVERHEAD_DEFAULT,
  offerOrder: OFFER_ORDER_DEFAULT,
  firstScheduleDelayMs: 1,
  startSpreadMs: 30_000,
  schedulePenaltyMsInitial: TASK_GROUPS_DEFAULTS.penaltyMsInitial,
  schedulePenaltyMsMax: TASK_GROUPS_DEFAULTS.penaltyMsMax,
  tiers: SHIPPED_TIERS.tiers,
  unavailabilityThresholdMs: 6 * 60_000,
  preemption: PREEMPTOR_SETTINGS,
}

/** Until the guard has begun: no version of its own is 0, so a round that is decided meanwhile is looked at whole. */
const GUARD_TO_COME: DedicatedView = { version: 0, misplaced: () => [], checkJob: dedicatedFault }

export interface PlacementParts {
  /** The leader's context, or whatever holds its actors. */
  readonly parent: { spawn<C>(spec: ActorSpec<C>): Ref<C> }
  readonly ledger: Ledger
  readonly metrics: Metrics
  readonly tasks: TaskDirectory
  /** Who is connected right now; asked when the OfferBroker (re)starts. */
  readonly isConnected: (id: AgentId) => boolean
  /** The OfferBroker has forgotten what it was told of offers. */
  readonly onBrokerRestart?: () => void
  readonly options?: Partial<PlacementOptions>
}

export interface Placement {
  /** Where the AgentGateway tells of agents. */
  readonly broker: Ref<AgentCommand>
  readonly view: PlacementView
  readonly guard: DedicatedView
  /** Tasks that a round has placed on the agent and that are not staged yet. */
  readonly holdsOn: (agentId: AgentId) => number
}

export function createPlacement(parts: PlacementParts): Placement {
  const { parent, ledger, metrics, tasks, isConnected, options } = parts
  const chosen: PlacementOptions = { ...PLACEMENT_DEFAULTS, ...options }
  // Each actor publishes its view when it starts, again after a restart; refs are known before any message is handled.
  const refs = {} as {
    broker: Ref<OfferBrokerCommand>
    guard: Ref<DedicatedGuardCommand>
    assigner: Ref<AssignerCommand>
    groups: Ref<TaskGroupsCommand>
  }
  const views = { dedicated: GUARD_TO_COME } as {
    book: OfferBookView
    dedicated: DedicatedView
    pending: PendingGroupsView
    preemption: PreemptionView
  }

  let roundIds = 0
  let claimIds = 0
  // An actor that was restarted has not taken over from another leader: it spreads nothing.
  let spreadMs = chosen.startSpreadMs
  const startSpreadMs = (): number => {
    const onceMs = spreadMs
    spreadMs = 0
    return onceMs
  }

  refs.guard = parent.spawn(
    dedicatedGuardSpec({
      ledger,
      metrics,
      publish: view => {
        views.dedicated = view
      },
      auditsPerTurn: 2000,
    }),
  )
  refs.broker = parent.spawn(
    offerBrokerSpec({
      ledger,
      metrics,
      overhead: chosen.executorOverhead,
      offerOrder: chosen.offerOrder,
      tiers: chosen.tiers,
      unavailabilityThresholdMs: chosen.unavailabilityThresholdMs,
      isConnected,
      dedicated: () => views.dedicated,
      onWake: configIds => refs.groups.tell({ type: 'wakeGroups', configIds }),
      onRestart: () => {
        refs.groups.tell({ type: 'roundsLost' })
        parts.onBrokerRestart?.()
      },
      publish: view => {
        views.book = view
      },
      evaluationsPerTurn: 10_000,
    }),
  )
  refs.assigner = parent.spawn(
    assignerSpec({
      tasks,
      metrics,
      broker: () => refs.broker,
      guard: () => refs.guard,
      groups: () => refs.groups,
      isHeld: match => views.book.isHeld(match),
      unansweredMax: 1024,
      answerMsMax: 10_000,
    }),
  )
  refs.groups = parent.spawn(
    taskGroupsSpec({
      ledger,
      metrics,
      groups: {
        ...TASK_GROUPS_DEFAULTS,
        penaltyMsInitial: chosen.schedulePenaltyMsInitial,
        penaltyMsMax: chosen.schedulePenaltyMsMax,
      },
      assigner: () => refs.assigner,
      onGroupsGone: configIds => refs.broker.tell({ type: 'groupsGone', configIds }),
      publish: view => {
        views.pending = view
      },
      firstScheduleDelayMs: chosen.firstScheduleDelayMs,
      startSpreadMs,
      tasksPerRound: 1024,
      nextRoundId: () => ++roundIds,
      roundMsMax: 30_000,
      loadsPerTurn: 500,
    }),
  )

  parent.spawn(
    preemptorSpec({
      ledger,
      metrics,
      tasks,
      book: () => views.book,
      pending: () => views.pending,
      broker: () => refs.broker,
      nextClaimId: () => `preemption-${++claimIds}`,
      settings: chosen.preemption,
      publish: view => {
        views.preemption = view
      },
    }),
  )

  return {
    broker: refs.broker,
    holdsOn: agentId => views.book.holdsOn(agentId),
    view: {
      offers: () => views.book.offers(),
      pending: (groupsMax = Number.POSITIVE_INFINITY) => {
        const found: PendingView[] = []
        for (const group of views.pending.groups()) {
          if (found.length === groupsMax) break
          found.push(pendingView(group, views))
        }
        return found
      },
      waiting: configId => {
        const group = views.pending.group(configId)
        return group === null ? null : pendingView(group, views)
      },
      offer: agentId => views.book.offer(agentId),
      explain: configId => views.book.explain(configId),
      allowedHosts: of => views.book.allowedHosts(of),
      largestHost: () => views.book.largestHost(),
    },
    guard: {
      get version() {
        return views.dedicated.version
      },
      misplaced: () => views.dedicated.misplaced(),
      checkJob: (role, constraints) => views.dedicated.checkJob(role, constraints),
    },
  }
}

function pendingView(
  { configId, job, taskIds, dueMs }: GroupView,
  { pending, book, preemption }: { pending: PendingGroupsView; book: OfferBookView; preemption: PreemptionView },
): PendingView {
  const why = book.reasonsOf(configId)
  return {
    configId,
    job,
    taskIds,
    penaltyMs: Math.max(0, Math.round(dueMs - pending.nowMs())),
    reasons: why?.reasons ?? [],
    details: [...(why?.details ?? []), ...preemptionDetails(preemption, configId)],
  }
}

function preemptionDetails(preemption: PreemptionView, configId: ConfigId): readonly string[] {
  const whyNone = preemption.whyNone(configId)
  return [...slotsInWords(preemption.slotsOf(configId)), ...(whyNone === null ? [] : [whyNone])]
}
