/**
 * The leader subtree: every actor that acts for the cluster, under one actor that exists only while this node leads, its
 * rows are loaded and its driver is registered. Losing leadership stops all of them, leaves first; the next leader makes
 * them anew from the rows. When it is made and when it ends is decided by the life cycle of the scheduler.
 */
import { createHmac, hash, randomUUID } from 'node:crypto'
import type { ActorSystem, Context, Ref } from '../actors/actor.ts'
import * as AgentGateway from '../actors/agent-gateway.ts'
import type * as Backup from '../actors/backup.ts'
import { type BackupOptions, backupSpec } from '../actors/backup.ts'
import { everyHostKeeperSpec } from '../actors/every-host-keeper.ts'
import * as JobKeeper from '../actors/job-keeper.ts'
import type { LedgerActor } from '../actors/ledger.ts'
import type { PlacementView } from '../actors/offer-broker.ts'
import type { OfferDriverPort } from '../actors/offer-driver.ts'
import * as OfferDriver from '../actors/offer-driver.ts'
import { createPlacement, PLACEMENT_DEFAULTS } from '../actors/placement.ts'
import type { AgentListener, Ballot, DriverPort, Logger, Metrics, TransferOutcome } from '../actors/ports.ts'
import { prunerSpec } from '../actors/pruner.ts'
import type * as QuotaKeeper from '../actors/quota-keeper.ts'
import { quotaKeeperSpec } from '../actors/quota-keeper.ts'
import * as TaskAdmin from '../actors/task-admin.ts'
import { createTaskDirectory } from '../actors/task-directory.ts'
import { type WebhookOptions, webhookSpec } from '../actors/webhook.ts'
import type * as WhatIf from '../actors/what-if.ts'
import { whatIfSpec } from '../actors/what-if.ts'
import { assert } from '../core/base/assert.ts'
import { readJobFilter } from '../core/events/event-filter.ts'
import { SHIPPED_TIERS, type Tiers } from '../core/job/tiers.ts'
import { EXPIRING_OFFERS } from '../core/offers/expiring-offers.ts'
import { DEADLINE_SETTINGS } from '../core/task/deadlines.ts'
import { agentKey } from '../wire/agent-proof.ts'
import type { AgentToLeader, LeaderToAgent } from '../wire/messages/agent.ts'
import { admissionOf, executorOverheadOf } from './admission-settings.ts'
import type { NodeConfig } from './config.ts'

export interface LeaderParts {
  readonly system: ActorSystem
  readonly ledger: LedgerActor
  readonly listener: AgentListener<AgentToLeader, LeaderToAgent>
  readonly config: Pick<NodeConfig, 'scheduler' | 'executor'>
  /** Empty: none. */
  readonly secret: string
  readonly hostName: string
  /** Default: those that Aurora ships. */
  readonly tiers?: Tiers
  /** Absent: nobody is told of transitions. */
  readonly webhook?: Pick<WebhookOptions, 'events' | 'port'>
  /** Absent: none is written and none brought back. */
  readonly backup?: Pick<BackupOptions, 'folder' | 'schedule' | 'intervalMs' | 'keep'>
  /** Absent: all agents are our own. */
  readonly resourceManager?: { readonly name: string; readonly port: OfferDriverPort }
  /** A random UUID v4; the default draws one. A simulation gives its own, so that one seed gives one run. */
  readonly uuid?: () => string
  /** Default: that of our own agents, which registers at once. */
  readonly driver?: DriverPort
  /** Gives leadership to whoever holds most, when a reign has ended by itself. */
  readonly handOver: () => Promise<TransferOutcome>
  /** Reigns fail again and again by a fault of the program. */
  readonly endProcess: (cause: unknown) => void
  readonly metrics: Metrics
  readonly logger: Logger
}

export interface Quotas {
  readonly keeper: Ref<QuotaKeeper.Command>
  readonly view: () => QuotaKeeper.QuotaView
}

/** What the HTTP edge reaches while this node leads. */
export interface Leading {
  readonly jobKeeper: Ref<JobKeeper.Command>
  readonly gateway: Ref<AgentGateway.Command>
  readonly taskAdmin: Ref<TaskAdmin.Command>
  /** Null where there is no folder for any. */
  readonly backup: Ref<Backup.Command> | null
  readonly quotas: Quotas
  readonly whatIf: Ref<WhatIf.Command>
  readonly placement: PlacementView
  readonly agents: AgentGateway.AgentLiveView
}

export const sha256 = (text: string): string => hash('sha256', text, 'hex')
export const hmac = (key: Uint8Array | string, text: string): string =>
  createHmac('sha256', key).update(text).digest('hex')

/** What a reign is made under. */
export type ReignContext = Pick<Context<never>, 'spawn' | 'spawnSilent' | 'log' | 'random'>

/**
 * Ends the actors of the reign within the call, runs `last`, which may still stage, and has leadership given up when that
 * has settled: the next reign begins from the rows as they are then.
 */
export type Resign = BackupOptions['resign']

/** Makes the actors of a reign; nothing of them acts before the turn of this call is over. */
export function startReign(context: ReignContext, parts: LeaderParts, epoch: Ballot, resign: Resign): Leading {
  const { ledger, listener, config, secret, hostName, metrics, uuid = randomUUID, tiers = SHIPPED_TIERS } = parts
  const { scheduler, executor } = config
  const { reconciliation: sweeps, preemption } = scheduler
  const clusterId = ledger.leadership?.report.clusterId ?? null
  assert(clusterId !== null, 'a leader knows its cluster')
  const admission = admissionOf(config, tiers)
  const executorOverhead = executorOverheadOf(executor)

  // Tasks and gateway speak to each other, so one of them is known by a promise of it first.
  let gatewayRef: Ref<AgentGateway.Command> | null = null
  let managerRef: Ref<OfferDriver.Command> | null = null
  const isManaged = (command: AgentGateway.Launch | AgentGateway.Kill): boolean => {
    const agentId = command.type === 'kill' ? command.agentId : (ledger.view.task(command.taskId)?.agentId ?? null)
    return agentId !== null && ledger.view.agent(agentId)?.manager !== undefined
  }
  const gateway: Ref<AgentGateway.Command> = {
    path: '/leader/agent-gateway',
    tell: command => {
      assert(gatewayRef !== null, 'the gateway exists before any task speaks to it')
      if ((command.type === 'launch' || command.type === 'kill') && isManaged(command)) {
        return managerRef?.tell(command) ?? false
      }
      return gatewayRef.tell(command)
    },
  }
  let connected: AgentGateway.AgentLiveView['connected'] = () => false
  const tasks = createTaskDirectory({
    context,
    ledger,
    gateway,
    uuid,
    schedulerName: hostName,
    metrics,
    flapping: {
      thresholdMs: scheduler.flapping.threshold,
      pauseMsMin: scheduler.flapping.pauseMin,
      pauseMsMax: scheduler.flapping.pauseMax,
    },
    restartBudget: scheduler.flapping,
    deadlines: {
      ...DEADLINE_SETTINGS,
      transientTimeoutMs: scheduler.transientTimeout,
      killRetryMs: scheduler.killRetry,
    },
  })
  const {
    broker,
    view: placement,
    holdsOn,
  } = createPlacement({
    parent: context,
    ledger,
    metrics,
    tasks,
    isConnected: id => connected(id),
    onBrokerRestart: () => void managerRef?.tell({ type: 'brokerRestarted' }),
    options: {
      executorOverhead,
      tiers: tiers.tiers,
      schedulePenaltyMsMax: scheduler.schedulePenaltyMax,
      startSpreadMs: scheduler.startSpread,
      offerOrder: scheduler.offerOrder,
      preemption: {
        isEnabled: preemption.enabled,
        delayMs: preemption.delay,
        intervalMs: preemption.interval,
        slotsMax: preemption.batch,
        reservationMs: preemption.reservation,
      },
    },
  })
  const { spec, view: agents } = AgentGateway.agentGatewaySpec({
    ledger,
    tasks,
    broker,
    listener,
    epoch,
    clusterId,
    metrics,
    crypto: { hmac, sha256, uuid },
    agentKey: agentKey(hmac, secret),
    heartbeatMs: scheduler.agentHeartbeat,
    silenceMsMax: 3 * scheduler.agentHeartbeat,
    unreachableMsMax: scheduler.agentUnreachable,
    forgetMs: scheduler.agentForget,
    reconciliation: {
      initialDelayMs: sweeps.initialDelay,
      spreadMs: sweeps.spread,
      explicitIntervalMs: sweeps.explicitInterval,
      implicitIntervalMs: sweeps.implicitInterval,
      batchSize: sweeps.batchSize,
      batchIntervalMs: sweeps.batchInterval,
    },
  })
  connected = agents.takesTasks
  gatewayRef = context.spawn(spec)
  if (parts.resourceManager !== undefined) {
    managerRef = context.spawn(
      OfferDriver.offerDriverSpec({
        ledger,
        tasks,
        metrics,
        broker,
        holdsOn,
        overhead: executorOverhead,
        tiers: tiers.tiers,
        offers: EXPIRING_OFFERS,
        refuseMs: 5_000,
        ...parts.resourceManager,
      }),
    )
  }
  let quotaView: QuotaKeeper.QuotaView | null = null
  const quotaOf = (): QuotaKeeper.QuotaView => {
    assert(quotaView !== null, 'the quota keeper publishes its view when it is made')
    return quotaView
  }
  const quotaKeeper = context.spawn(
    quotaKeeperSpec({
      ledger,
      metrics,
      publish: view => {
        quotaView = view
      },
    }),
  )
  const jobKeeper = context.spawn(
    JobKeeper.jobKeeperSpec({
      ledger,
      tasks,
      placement,
      quotas: quotaOf,
      uuid,
      sha256,
      schedulerName: hostName,
      metrics,
      admission,
    }),
  )
  const whatIf = context.spawn(
    whatIfSpec({
      ledger,
      placement,
      isConnected: id => agents.takesTasks(id),
      admission,
      quotas: quotaOf,
      sha256,
      planning: {
        overhead: executorOverhead,
        tiers: admission.tiers,
        offerOrder: scheduler.offerOrder,
        unavailabilityThresholdMs: PLACEMENT_DEFAULTS.unavailabilityThresholdMs,
        isPreemptionEnabled: preemption.enabled,
      },
    }),
  )
  context.spawn(
    everyHostKeeperSpec({
      ledger,
      tasks,
      placement,
      uuid,
      schedulerName: hostName,
      tasksMax: scheduler.maxTasksPerJob,
      quotas: quotaOf,
    }),
  )
  const { keep, keepMin, perJob } = scheduler.pruning
  const { updatePruning: updates } = scheduler
  context.spawn(
    prunerSpec({
      ledger,
      metrics,
      settings: { perJobMax: perJob, ageMsMin: keepMin, ageMsMax: keep },
      updates: { perJobMax: updates.perJob, ageMsMax: updates.keep, intervalMs: updates.interval },
    }),
  )
  const taskAdmin = context.spawn(TaskAdmin.taskAdminSpec({ ledger, tasks, metrics }))
  tasks.recover()
  if (parts.webhook !== undefined) {
    const { statuses, job } = scheduler.webhook
    const filter = job === null ? {} : (readJobFilter(job) ?? {})
    context.spawn(webhookSpec({ ledger, metrics, statuses, filter, ...parts.webhook }))
  }
  const backup =
    parts.backup === undefined
      ? null
      : context.spawn(backupSpec({ ledger, metrics, uuid, schedulerName: hostName, resign, ...parts.backup }))
  return {
    jobKeeper,
    gateway: gatewayRef,
    taskAdmin,
    backup,
    quotas: { keeper: quotaKeeper, view: quotaOf },
    whatIf,
    placement,
    agents,
  }
}
