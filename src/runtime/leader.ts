/**
 * The leader subtree: every actor that acts for the cluster, under one actor that exists only while this node leads and
 * its rows are loaded. Losing leadership stops all of them, leaves first; the next leader makes them anew from the rows.
 */
import { createHash, createHmac, randomUUID } from 'node:crypto'
import type { ActorSystem, AnyRef, Context, Ref } from '../actors/actor.ts'
import * as AgentGateway from '../actors/agent-gateway.ts'
import * as JobKeeper from '../actors/job-keeper.ts'
import type { LedgerActor } from '../actors/ledger.ts'
import type { PlacementView } from '../actors/offer-broker.ts'
import { createPlacement } from '../actors/placement.ts'
import type { AgentListener, Ballot, LeaderView, Logger, Metrics } from '../actors/ports.ts'
import { createTaskDirectory } from '../actors/task-directory.ts'
import { type WebhookOptions, webhookSpec } from '../actors/webhook.ts'
import { assert } from '../core/base/assert.ts'
import { readJobFilter } from '../core/events/event-filter.ts'
import { ADMISSION_SETTINGS } from '../core/job/admission.ts'
import { DEADLINE_SETTINGS } from '../core/task/deadlines.ts'
import { agentKey } from '../wire/agent-proof.ts'
import type { AgentToLeader, LeaderToAgent } from '../wire/messages/agent.ts'
import type { NodeConfig } from './config.ts'

const MIB = 1024 * 1024

export interface LeaderParts {
  readonly system: ActorSystem
  readonly ledger: LedgerActor
  readonly listener: AgentListener<AgentToLeader, LeaderToAgent>
  readonly config: Pick<NodeConfig, 'scheduler' | 'executor'>
  /** Empty: none. */
  readonly secret: string
  readonly hostName: string
  /** Absent: nobody is told of transitions. */
  readonly webhook?: Pick<WebhookOptions, 'events' | 'port'>
  /** A random UUID v4; the default draws one. A simulation gives its own, so that one seed gives one run. */
  readonly uuid?: () => string
  readonly metrics: Metrics
  readonly logger: Logger
}

/** What the HTTP edge reaches while this node leads. */
export interface Leading {
  readonly jobKeeper: Ref<JobKeeper.Command>
  readonly gateway: Ref<AgentGateway.Command>
  readonly placement: PlacementView
  readonly agents: AgentGateway.AgentLiveView
}

export interface LeaderTree {
  /** Null while this node does not lead. */
  readonly leading: Leading | null
  stop(): Promise<void>
}

export const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')
export const hmac = (key: Uint8Array | string, text: string): string =>
  createHmac('sha256', key).update(text).digest('hex')

/** Starts and stops the subtree as leadership comes and goes. */
export function followLeadership(parts: LeaderParts): LeaderTree {
  const { system, ledger, logger } = parts
  let leading: Leading | null = null
  let root: AnyRef | null = null
  // A reign begins only after the actors of the last one are gone: their names are the same.
  let stopped: Promise<void> = Promise.resolve()

  const open = (view: LeaderView): void => {
    stopped = stopped.then(() => {
      // Lost again while the last subtree was still stopping.
      if (!ledger.open || root !== null) return
      root = system.spawn<never>({
        name: 'leader',
        kind: 'Leader',
        start: context => {
          leading = startReign(context, parts, view)
          return {
            receive: () => {},
            summary: () => ({ epoch: (view.ballot ?? []).join('.'), since: view.version }),
          }
        },
        // A half-made subtree is worse than none: the process ends and its supervisor starts it again.
        supervision: { type: 'endProcess' },
      })
      logger.info('leading', { epoch: view.ballot, position: ledger.applied })
    })
  }
  const close = (reason: string): void => {
    const last = root
    if (last === null) return
    root = null
    leading = null
    logger.warn('leadership-ended', { because: reason })
    stopped = stopped.then(() => system.stopActor(last))
  }
  ledger.onOpen(open)
  ledger.onClose(reason => close(reason.detail))
  const present = ledger.leadership
  if (ledger.open && present !== null) open(present.view)
  return {
    get leading() {
      return leading
    },
    stop() {
      close('the node stops')
      return stopped
    },
  }
}

function startReign(context: Context<never>, parts: LeaderParts, view: LeaderView): Leading {
  const { ledger, listener, config, secret, hostName, metrics, uuid = randomUUID } = parts
  const { scheduler, executor } = config
  const epoch: Ballot | null = view.ballot
  const clusterId = ledger.leadership?.report.clusterId ?? null
  assert(epoch !== null, 'a leader has a ballot')
  assert(clusterId !== null, 'a leader knows its cluster')
  const executorOverhead = {
    cpusMilli: executor.overheadCpus,
    ramMb: Math.ceil(executor.overheadRam / MIB),
    diskMb: 0,
    gpus: 0,
  }

  // Tasks and gateway speak to each other, so one of them is known by a promise of it first.
  let gatewayRef: Ref<AgentGateway.Command> | null = null
  const gateway: Ref<AgentGateway.Command> = {
    path: '/leader/agent-gateway',
    tell: command => {
      assert(gatewayRef !== null, 'the gateway exists before any task speaks to it')
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
    restartPauseMs: scheduler.restartPause,
    deadlines: {
      ...DEADLINE_SETTINGS,
      transientTimeoutMs: scheduler.transientTimeout,
      killRetryMs: scheduler.killRetry,
    },
  })
  const { broker, view: placement } = createPlacement({
    parent: context,
    ledger,
    metrics,
    tasks,
    isConnected: id => connected(id),
    options: { executorOverhead, schedulePenaltyMsMax: scheduler.schedulePenaltyMax },
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
  })
  connected = agents.connected
  gatewayRef = context.spawn(spec)
  const jobKeeper = context.spawn(
    JobKeeper.jobKeeperSpec({
      ledger,
      tasks,
      placement,
      uuid,
      sha256,
      schedulerName: hostName,
      metrics,
      admission: {
        ...ADMISSION_SETTINGS,
        allowedEnvironments: scheduler.allowedEnvironments,
        tasksPerJobMax: scheduler.maxTasksPerJob,
        executorOverhead,
      },
    }),
  )
  tasks.recover()
  if (parts.webhook !== undefined) {
    const { statuses, job } = scheduler.webhook
    const filter = job === null ? {} : (readJobFilter(job) ?? {})
    context.spawn(webhookSpec({ ledger, metrics, statuses, filter, ...parts.webhook }))
  }
  return { jobKeeper, gateway: gatewayRef, placement, agents }
}
