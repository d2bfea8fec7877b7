/**
 * The leader subtree: every actor that acts for the cluster, under one actor that exists only while this node leads, its
 * rows are loaded and its driver is registered. Losing leadership stops all of them, leaves first; the next leader makes
 * them anew from the rows. When it is made and when it ends is decided by the life cycle of the scheduler.
 */
import { createHash, createHmac, randomUUID } from 'node:crypto'
import type { ActorSystem, AnyRef, Context, Ref } from '../actors/actor.ts'
import * as AgentGateway from '../actors/agent-gateway.ts'
import * as JobKeeper from '../actors/job-keeper.ts'
import type { LedgerActor } from '../actors/ledger.ts'
import type { PlacementView } from '../actors/offer-broker.ts'
import { createPlacement } from '../actors/placement.ts'
import type {
  AgentListener,
  Ballot,
  DriverPort,
  LeaderView,
  Logger,
  Metrics,
  TransferOutcome,
} from '../actors/ports.ts'
import { type ReignPort, schedulerLifecycleSpec } from '../actors/scheduler-lifecycle.ts'
import { createTaskDirectory } from '../actors/task-directory.ts'
import { assert } from '../core/base/assert.ts'
import { ADMISSION_SETTINGS } from '../core/job/admission.ts'
import {
  IDLE_LIFE,
  LIFE_SETTINGS,
  type LifeSettings,
  type LifeView,
  lifeView,
} from '../core/lifecycle/scheduler-states.ts'
import { DEADLINE_SETTINGS } from '../core/task/deadlines.ts'
import { agentKey } from '../wire/agent-proof.ts'
import type { AgentToLeader, LeaderToAgent } from '../wire/messages/agent.ts'
import type { NodeConfig } from './config.ts'

const MIB = 1024 * 1024
const DRIVER_STOP_MS_MAX = 5_000

export interface LeaderParts {
  readonly system: ActorSystem
  readonly ledger: LedgerActor
  readonly listener: AgentListener<AgentToLeader, LeaderToAgent>
  readonly config: Pick<NodeConfig, 'scheduler' | 'executor'>
  /** Empty: none. */
  readonly secret: string
  readonly hostName: string
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

/** What the HTTP edge reaches while this node leads. */
export interface Leading {
  readonly jobKeeper: Ref<JobKeeper.Command>
  readonly gateway: Ref<AgentGateway.Command>
  readonly placement: PlacementView
  readonly agents: AgentGateway.AgentLiveView
}

export interface LeaderTree {
  /** Null unless this node leads and all that acts for the cluster has begun: clients and agents may be served. */
  readonly leading: Leading | null
  readonly life: LifeView
  /** The log is open. */
  prepared(): void
  /** The log cannot be opened: this node never leads. */
  prepareFailed(): void
  /** Told whenever `leading` has become something. Answers the way to leave. */
  onAdvertised(listener: () => void): () => void
  stop(): Promise<void>
}

export const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')
export const hmac = (key: Uint8Array | string, text: string): string =>
  createHmac('sha256', key).update(text).digest('hex')

/**
 * Makes and ends the subtree as the life cycle of the scheduler wants it, which follows what the ledger tells. Call
 * `prepared` when the log is open; until then nothing begins.
 */
export function followLeadership(parts: LeaderParts): LeaderTree {
  const { system, ledger, logger, driver = GATEWAY_DRIVER } = parts
  const settings: LifeSettings = { ...LIFE_SETTINGS, registrationDelayMs: parts.config.scheduler.registrationDelay }
  let life = IDLE_LIFE
  let made: Leading | null = null
  let leading: Leading | null = null
  let root: AnyRef | null = null
  let isStopped = false
  let stopped: Promise<void> = Promise.resolve()
  const onAdvertised = new Set<() => void>()

  const start: ReignPort['start'] = (epoch, told) => {
    // Lost since: the life cycle is told next.
    if (!ledger.open) return null
    const started = system.spawn<never>({
      name: 'leader',
      kind: 'Leader',
      start: context => {
        try {
          made = startReign(watchStarts(context, told.began), parts, epoch)
        } catch (cause) {
          told.failed(cause)
          throw cause
        }
        return { receive: () => {}, summary: () => ({ epoch: epoch.join('.'), since: ledger.applied }) }
      },
      // A half-made subtree never acts: what was made of it stops before its first turn, and the life cycle is told.
      supervision: { type: 'stop' },
    })
    root = started
    return started
  }
  const end = (): Promise<void> => {
    const last = root
    root = null
    made = null
    leading = null
    if (last !== null) stopped = Promise.all([stopped, system.stopActor(last)]).then(() => {})
    return stopped
  }
  const lifecycle = system.spawn(
    schedulerLifecycleSpec({
      driver,
      reign: {
        start,
        advertise() {
          leading = made
          if (leading === null) return
          for (const tell of [...onAdvertised]) tell()
        },
        end,
      },
      handOver: parts.handOver,
      endProcess: parts.endProcess,
      onLife: next => {
        life = next
      },
      logger,
      settings,
    }),
  )
  const elected = (view: LeaderView): void => {
    assert(view.ballot !== null, 'a leader has a ballot')
    if (!isStopped) lifecycle.tell({ type: 'elected', epoch: view.ballot })
  }
  ledger.onOpen(elected)
  ledger.onClose(reason => {
    // The subtree stops now, however much the life cycle has to do: its next message would meet rows that are gone.
    end()
    if (!isStopped) lifecycle.tell({ type: 'lost', reason: reason.detail })
  })
  lifecycle.tell({ type: 'prepare' })
  const present = ledger.leadership
  if (ledger.open && present !== null) elected(present.view)
  return {
    get leading() {
      return leading
    },
    get life() {
      return lifeView(life, leading !== null, settings)
    },
    prepared: () => void lifecycle.tell({ type: 'prepared' }),
    prepareFailed: () => void lifecycle.tell({ type: 'prepareFailed' }),
    onAdvertised(listener) {
      onAdvertised.add(listener)
      return () => onAdvertised.delete(listener)
    },
    stop() {
      isStopped = true
      lifecycle.tell({ type: 'stop' })
      // Not only on its way through a mailbox: the system may stop before that has its turn.
      return Promise.all([end(), stopDriver(driver, logger)]).then(() => {})
    },
  }
}

/** Agents come to whoever leads: there is nobody to ask. */
const GATEWAY_DRIVER: DriverPort = {
  name: 'agents',
  start: (_epoch, events) => events.registered(),
  stop: async () => {},
}

/** A node that ends waits for its driver, but not for ever and not for it to succeed. */
async function stopDriver(driver: DriverPort, logger: Logger): Promise<void> {
  let late: NodeJS.Timeout | undefined
  const patience = new Promise<never>((_, reject) => {
    late = setTimeout(() => reject(new Error(`it did not stop within ${DRIVER_STOP_MS_MAX} ms`)), DRIVER_STOP_MS_MAX)
  })
  try {
    await Promise.race([driver.stop(), patience])
  } catch (cause) {
    logger.warn('driver-stop-failed', { driver: driver.name, cause })
  } finally {
    clearTimeout(late)
  }
}

/** What a reign is made under: its direct children are waited for, those of its nests are its own matter. */
type ReignContext = Pick<Context<never>, 'spawn' | 'spawnSilent' | 'log'>

/** `began`: once everyone who was spawned in the turn of this call has begun, after that turn. */
function watchStarts(context: Context<never>, began: () => void): ReignContext {
  const waiting = new Set<string>()
  let isTold = false
  return {
    log: context.log,
    spawnSilent: name => context.spawnSilent(name),
    spawn(spec) {
      waiting.add(spec.name)
      return context.spawn({
        ...spec,
        start(child) {
          const behaviour = spec.start(child)
          waiting.delete(spec.name)
          if (waiting.size === 0 && !isTold) {
            isTold = true
            began()
          }
          return behaviour
        },
      })
    },
  }
}

function startReign(context: ReignContext, parts: LeaderParts, epoch: Ballot): Leading {
  const { ledger, listener, config, secret, hostName, metrics, uuid = randomUUID } = parts
  const { scheduler, executor } = config
  const clusterId = ledger.leadership?.report.clusterId ?? null
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
  return { jobKeeper, gateway: gatewayRef, placement, agents }
}
