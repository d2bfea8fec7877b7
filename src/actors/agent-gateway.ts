/**
 * AgentGateway: the way to the machines. Owns the connections of the leader's agents: takes them in (proof, version,
 * identity), compares their task lists with the ledger, sends launches and kills, and hands status updates to the
 * tasks, acknowledging each only after what it led to is committed.
 *
 * Nothing here decides about tasks: a refused launch or a lost task becomes a proposal, and the task's own table says
 * what follows. Launches and kills are idempotent by task id on the agent, so sending one twice is harmless.
 * Source: the agent spec, sections 14 to 19.
 */
import { type Brakes, NO_BRAKES } from '../core/agents/brakes.ts'
import { placeWarnings } from '../core/agents/place-attributes.ts'
import { RECONCILIATION_SETTINGS, type ReconciliationSettings } from '../core/agents/reconcile-schedule.ts'
import type { AgentId, TaskId } from '../core/base/ids.ts'
import type { Rejection } from '../core/base/rejection.ts'
import type { Hmac } from '../wire/agent-proof.ts'
import { type AgentToLeader, CLOSE, type LeaderToAgent, type LogData } from '../wire/messages/agent.ts'
import type { ActorSpec, Behaviour, Context, Ref } from './actor.ts'
import { absentAgents } from './agent-gateway/absent-agents.ts'
import { admission } from './agent-gateway/admission.ts'
import { type HeldReleased, heldOrders, type ReleaseHeld } from './agent-gateway/held-orders.ts'
import { ledgerDigests } from './agent-gateway/ledger-digests.ts'
import { logReads, type ReadExpired } from './agent-gateway/log-reads.ts'
import { type Reconciled, reconciliation } from './agent-gateway/reconciliation.ts'
import { openSessions, type Session, type SessionMessage } from './agent-gateway/sessions.ts'
import { type AcksDue, type StatusApplied, statusUpdates } from './agent-gateway/status-updates.ts'
import { type Reconcile, type SweepMessage, sweeps } from './agent-gateway/sweeps.ts'
import { type ListSettled, taskLists } from './agent-gateway/task-lists.ts'
import { type LaunchesDue, taskOrders } from './agent-gateway/task-orders.ts'
import type { Ledger } from './ledger.ts'
import type { AgentCommand } from './offer-broker.ts'
import type { AgentListener, Ballot, Metrics } from './ports.ts'
import type { TaskDirectory } from './task-state-machine.ts'

/** Sent after the commit of ASSIGNED. Idempotent by task id. */
export interface Launch {
  readonly type: 'launch'
  readonly taskId: TaskId
}
/** Sent after the commit of what asks for the kill; repeated by the task's own timer until it has ended. */
export interface Kill {
  readonly type: 'kill'
  readonly taskId: TaskId
  readonly agentId: AgentId | null
  readonly reason: string
}
export interface ReadLog {
  readonly type: 'readLog'
  readonly taskId: TaskId
  readonly agentId: AgentId
  readonly process: string | null
  readonly run: number | null
  readonly stream: 'stdout' | 'stderr'
  readonly offset: number
  readonly length: number
  readonly replyTo: Ref<LogData | Rejection>
}
export type Command = Launch | Kill | ReadLog | Reconcile | ReleaseHeld

/** What is known of an agent beyond its row; read by the REST edge and by Health. */
export interface AgentLiveView {
  connected(id: AgentId): boolean
  /** Connected, and not draining. */
  takesTasks(id: AgentId): boolean
  /** ms since its last frame; null when it is not connected. */
  silentMs(id: AgentId): number | null
  /** What is held until an operator has looked. */
  brakes(): Brakes
}

export interface AgentGatewayOptions {
  readonly ledger: Ledger
  readonly tasks: TaskDirectory
  readonly broker: Ref<AgentCommand>
  readonly listener: AgentListener<AgentToLeader, LeaderToAgent>
  readonly epoch: Ballot
  readonly clusterId: string
  readonly metrics: Metrics
  readonly crypto: {
    readonly hmac: Hmac
    /** SHA-256 as hex. */
    readonly sha256: (text: string) => string
    readonly uuid: () => string
  }
  /** Derived from the cluster secret; empty when there is none (loopback only). */
  readonly agentKey: string
  /** How often agents say that they live. Default 5,000. */
  readonly heartbeatMs?: number
  /** Without any frame for so long, the connection is given up and nothing is placed there. Default 15,000. */
  readonly silenceMsMax?: number
  /** Away for so long, counted from the last frame, its tasks become PARTITIONED. Default 75,000. */
  readonly unreachableMsMax?: number
  /** An agent that is away for so long and has no tasks is forgotten. Default 7 days. */
  readonly forgetMs?: number
  /** A launch is refused by the agent when it is taken up later than this. Default 60,000. */
  readonly launchDeadlineMs?: number
  /** A log read without an answer for so long is given up. Default 5,000. */
  readonly readMsMax?: number
  /** When whole lists are compared although nothing seems wrong. */
  readonly reconciliation?: ReconciliationSettings
}

/** The options with nothing left open. */
export type GatewayWorld = Required<AgentGatewayOptions>

const DEFAULTS = {
  heartbeatMs: 5_000,
  silenceMsMax: 15_000,
  unreachableMsMax: 75_000,
  forgetMs: 7 * 24 * 3_600_000,
  launchDeadlineMs: 60_000,
  readMsMax: 5_000,
  reconciliation: RECONCILIATION_SETTINGS,
}

type Message =
  | Command
  | SessionMessage
  | StatusApplied
  | AcksDue
  | LaunchesDue
  | ListSettled
  | Reconciled
  | SweepMessage
  | ReadExpired
  | { readonly type: 'silenceChecked' }

export function agentGatewaySpec(options: AgentGatewayOptions): {
  spec: ActorSpec<Command>
  view: AgentLiveView
} {
  const sessions = new Map<AgentId, Session>()
  let monoMs: () => number = () => 0
  let brakes: () => Brakes = () => NO_BRAKES
  const view: AgentLiveView = {
    connected: id => sessions.get(id)?.phase === 'ready',
    takesTasks: id => {
      const session = sessions.get(id)
      return session?.phase === 'ready' && !session.isDraining
    },
    silentMs: id => {
      const session = sessions.get(id)
      return session === undefined ? null : Math.max(0, monoMs() - session.lastFrameMonoMs)
    },
    brakes: () => brakes(),
  }
  const spec: ActorSpec<Message> = {
    name: 'agent-gateway',
    kind: 'AgentGateway',
    mailbox: { capacity: 100_000 },
    start: context => {
      monoMs = () => context.now().monoMs
      return agentGateway(context, { ...DEFAULTS, ...options }, sessions, read => {
        brakes = read
      })
    },
  }
  return { spec: spec as unknown as ActorSpec<Command>, view }
}

function agentGateway(
  context: Context<Message>,
  world: GatewayWorld,
  byAgent: Map<AgentId, Session>,
  publishBrakes: (read: () => Brakes) => void,
): Behaviour<Message> {
  const { ledger, broker, listener, epoch, metrics, silenceMsMax } = world
  const absent = absentAgents(context, world, byAgent)
  const sessions = openSessions(context, world, byAgent, (id, session, wasReady) => {
    absent.left(id, session.lastFrameMonoMs)
    logs.agentLeft(id)
    exchanges.left(session)
    if (wasReady) broker.tell({ type: 'agentDown', agentId: id })
  })
  const door = admission(context, world, sessions)
  const held = heldOrders(context, world)
  const digests = ledgerDigests(world)
  const exchanges = reconciliation(context, world, sessions, digests, held)
  const sweep = sweeps(context, world, sessions, exchanges)
  const lists = taskLists(context, world, sessions, held, id => absent.returned(id))
  const orders = taskOrders(context, world, sessions)
  const statuses = statusUpdates(context, world)
  const logs = logReads(context, world, sessions)
  publishBrakes(() => ({ agentsAway: absent.held, unknownTasks: held.held }))

  context.startPeriodicTimer('silence', Math.max(500, Math.floor(silenceMsMax / 3)), { type: 'silenceChecked' })

  function received(session: Session, message: AgentToLeader): void {
    if (session.phase === 'closed') return
    session.lastFrameMonoMs = context.now().monoMs
    if (session.phase === 'greeting') {
      if (message.type === 'HELLO') return door.greeted(session, message)
      return sessions.drop(session, CLOSE.badFrame, `${message.type} before HELLO`)
    }
    switch (message.type) {
      case 'HELLO':
        return sessions.drop(session, CLOSE.badFrame, 'a second HELLO')
      case 'TASKS':
        return lists.page(session, message.tasks, message.last)
      case 'HEARTBEAT':
        session.connection.send({ type: 'HEARTBEAT_ACK', epoch, n: message.n, position: ledger.applied })
        return exchanges.heartbeat(session, message.taskDigest)
      case 'STATUS':
        return statuses.heard(session, message)
      case 'QUARANTINED_STATUS':
        return statuses.putAside(session, message)
      case 'LAUNCH_ACK':
        return orders.launchAnswered(session, message)
      case 'KILL_ACK':
        return metrics.count('agent_kills_acknowledged_total')
      case 'LOG_DATA':
        return logs.answered(message)
      case 'UPDATE_AGENT':
        return door.changed(session, message)
      case 'RECONCILE_RESULT':
        return exchanges.answered(session, message)
    }
  }

  /** The brakes are let go of: an operator has looked. */
  function releaseHeld({ replyTo, ...order }: ReleaseHeld): void {
    const strays = held.release(order)
    const away = absent.release(order)
    const agents: HeldReleased['agents'][number][] = []
    for (const { agentId, host, tasks } of strays) {
      // What the ledger has come to know meanwhile is no stray.
      const kill = tasks.filter(id => ledger.view.task(id) === undefined)
      const session = sessions.ready(agentId)
      // One that is not here is told when it brings its list.
      if (session !== undefined)
        ledger.whenCommitted(() => void context.self.tell({ type: 'reconciled', session, kill, forget: [] }))
      agents.push({ agentId, host, tasks: kill.length })
    }
    replyTo.tell({ type: 'heldReleased', agents, away })
  }

  const tasksHeld = (): number => held.held.reduce((sum, one) => sum + one.tasks, 0)

  function silenceChecked(): void {
    const { monoMs } = context.now()
    sessions.dropSilent(monoMs)
    door.forgetOldClaims(monoMs)
    absent.look()
    metrics.gauge('agents_away_held', absent.held.length)
    metrics.gauge('agent_tasks_held', tasksHeld())
  }

  const withoutPlace = (): number => {
    let count = 0
    for (const row of ledger.view.agents()) if (placeWarnings(row).length > 0) count++
    return count
  }

  return {
    receive(message) {
      switch (message.type) {
        case 'launch':
          return orders.launch(message.taskId)
        case 'launchesDue':
          return orders.sendLaunches()
        case 'kill':
          return orders.kill(message)
        case 'readLog':
          return logs.read(message)
        case 'reconcile':
          return sweep.asked(message)
        case 'releaseHeld':
          return releaseHeld(message)
        case 'reconciled':
          return exchanges.settled(message)
        case 'sweepDue':
          return sweep.due(message.kind)
        case 'sweepStep':
          return sweep.step(message.kind)
        case 'connected':
          return sessions.connected(message.connection, message.nonce)
        case 'received':
          return received(message.session, message.message)
        case 'closed':
          return sessions.closed(message.session, message.reason)
        case 'applied':
          return statuses.acknowledge(message)
        case 'acksDue':
          return statuses.sendAcks()
        case 'listSettled':
          return lists.settled(message)
        case 'silenceChecked':
          return silenceChecked()
        case 'readExpired':
          return logs.expired(message.request)
      }
    },
    stopping() {
      listener.onConnection = null
      digests.stop()
      sessions.dropAll('this node no longer leads')
    },
    summary: () => ({
      agents: sessions.agents,
      agentsReady: sessions.readyCount(),
      greeting: sessions.greeting,
      away: absent.size,
      awayHeld: absent.held.length,
      tasksHeld: tasksHeld(),
      reconciling: exchanges.open,
      logReads: logs.waiting,
      statusesApplied: statuses.applied,
      withoutHostOrRack: withoutPlace(),
    }),
  }
}
