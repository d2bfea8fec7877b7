/**
 * AgentGateway: the way to the machines. Owns the connections of the leader's agents: takes them in (proof, version,
 * identity), compares their task lists with the ledger, sends launches and kills, and hands status updates to the
 * tasks, acknowledging each only after what it led to is committed.
 *
 * Nothing here decides about tasks: a refused launch or a lost task becomes a proposal, and the task's own table says
 * what follows. Launches and kills are idempotent by task id on the agent, so sending one twice is harmless.
 * Source: the agent spec, sections 14 to 19.
 */
import { type AgentId, agentId, type TaskId, taskId } from '../core/base/ids.ts'
import { type Rejection, rejected } from '../core/base/rejection.ts'
import type { AgentRow } from '../core/ledger/rows.ts'
import { portRangesOf } from '../core/offers/port-space.ts'
import { compareAgentList, isPartitionable, type ListedTask, LOST_MESSAGE } from '../core/task/agent-list.ts'
import { isTerminal, type TaskStatus } from '../core/task/status.ts'
import { agentProof, type Hmac, leaderProof } from '../wire/agent-proof.ts'
import {
  AGENT_PROTOCOL_MAX,
  AGENT_PROTOCOL_MIN,
  type AgentToLeader,
  CLOSE,
  type Hello,
  type LaunchAck,
  type LeaderToAgent,
  type LogData,
  type StatusUpdate,
  type TaskInfo,
  type TaskReport,
} from '../wire/messages/agent.ts'
import type { ActorSpec, Behaviour, Context, Ref } from './actor.ts'
import type { Ledger } from './ledger.ts'
import type { AgentCommand } from './offer-broker.ts'
import type { AgentListener, Ballot, Connection, Metrics } from './ports.ts'
import type { TaskDirectory, Transitioned, TransitionResult } from './task-state-machine.ts'

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
export type Command = Launch | Kill | ReadLog

type Message =
  | Command
  | { readonly type: 'connected'; readonly connection: AgentConnection; readonly nonce: string }
  | { readonly type: 'received'; readonly session: Session; readonly message: AgentToLeader }
  | { readonly type: 'closed'; readonly session: Session; readonly reason: string }
  | { readonly type: 'applied'; readonly update: StatusUpdate; readonly session: Session; readonly done: Transitioned }
  | { readonly type: 'listSettled'; readonly session: Session; readonly kill: TaskId[]; readonly forget: TaskId[] }
  | { readonly type: 'silenceChecked' }
  | { readonly type: 'readExpired'; readonly request: number }

/** What is known of an agent beyond its row; read by the REST edge and by Health. */
export interface AgentLiveView {
  connected(id: AgentId): boolean
  /** ms since its last frame; null when it is not connected. */
  silentMs(id: AgentId): number | null
}

type AgentConnection = Connection<AgentToLeader, LeaderToAgent>

/** One connection from its first frame to its end. */
interface Session {
  readonly connection: AgentConnection
  readonly listenerNonce: string
  /**
   * `greeting`: no HELLO yet; `admitting`: its row is on its way into the log, and nothing may be said before WELCOME;
   * `listing`: WELCOME sent, its task list is coming; `ready`: takes launches.
   */
  phase: 'greeting' | 'admitting' | 'listing' | 'ready' | 'closed'
  agentId: AgentId | null
  host: string
  listed: TaskReport[]
  lastFrameMonoMs: number
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
  /** A launch is refused by the agent when it is taken up later than this. Default 60,000. */
  readonly launchDeadlineMs?: number
  /** A log read without an answer for so long is given up. Default 5,000. */
  readonly readMsMax?: number
}

const HELLO_MS_MAX = 10_000
/** Connections that have not said HELLO; an honest agent does at once, so the oldest makes way for one more. */
const GREETING_MAX = 1000
/** With more of the agents than this share away at once it is our network and not their machines: nothing is given up. */
const UNREACHABLE_SHARE_MAX = 0.25
const TAKE_OVERS_MAX = 3
const TAKE_OVERS_WITHIN_MS = 60_000
/** Agents whose tasks are given up at one look. */
const UNREACHABLE_PER_CHECK_MAX = 5
const REJECT_RETRY_MS = 10_000

export function agentGatewaySpec(options: AgentGatewayOptions): {
  spec: ActorSpec<Command>
  view: AgentLiveView
} {
  const sessions = new Map<AgentId, Session>()
  let monoMs: () => number = () => 0
  const view: AgentLiveView = {
    connected: id => sessions.get(id)?.phase === 'ready',
    silentMs: id => {
      const session = sessions.get(id)
      return session === undefined ? null : Math.max(0, monoMs() - session.lastFrameMonoMs)
    },
  }
  const spec: ActorSpec<Message> = {
    name: 'agent-gateway',
    kind: 'AgentGateway',
    mailbox: { capacity: 100_000 },
    start: context => {
      monoMs = () => context.now().monoMs
      return agentGateway(context, options, sessions)
    },
  }
  return { spec: spec as unknown as ActorSpec<Command>, view }
}

function agentGateway(
  context: Context<Message>,
  options: AgentGatewayOptions,
  ready: Map<AgentId, Session>,
): Behaviour<Message> {
  const { ledger, tasks, broker, listener, epoch, clusterId, metrics, crypto, agentKey } = options
  const heartbeatMs = options.heartbeatMs ?? 5_000
  const silenceMsMax = options.silenceMsMax ?? 15_000
  const launchDeadlineMs = options.launchDeadlineMs ?? 60_000
  const readMsMax = options.readMsMax ?? 5_000
  const unreachableMsMax = options.unreachableMsMax ?? 75_000
  const greeting = new Set<Session>()
  const reads = new Map<number, { replyTo: Ref<LogData | Rejection>; agentId: AgentId }>()
  let nextRead = 1
  let statusesApplied = 0
  /** Agents that are not ready, and since when (monotonic ms). A new leader waits for all of them anew. */
  const away = new Map<AgentId, number>()
  for (const agent of ledger.view.agents()) away.set(agent.agentId, context.now().monoMs)
  let isHolding = false
  const takeOvers = new Map<AgentId, { bootId: string; host: string; atMonoMs: number }[]>()

  listener.onConnection = (connection, nonce) => {
    if (!context.self.tell({ type: 'connected', connection, nonce })) {
      connection.close(CLOSE.goingAway, 'the scheduler has more work than it can take in')
    }
  }
  context.startPeriodicTimer('silence', Math.max(500, Math.floor(silenceMsMax / 3)), { type: 'silenceChecked' })

  function connected(connection: AgentConnection, listenerNonce: string): void {
    const session: Session = {
      connection,
      listenerNonce,
      phase: 'greeting',
      agentId: null,
      host: '?',
      listed: [],
      lastFrameMonoMs: context.now().monoMs,
    }
    const [oldest] = greeting
    if (oldest !== undefined && greeting.size >= GREETING_MAX)
      drop(oldest, CLOSE.goingAway, 'too many connections wait here without a HELLO')
    greeting.add(session)
    connection.onClose = (_, reason) => void context.self.tell({ type: 'closed', session, reason })
    connection.onMessage = message => {
      if (context.self.tell({ type: 'received', session, message })) return
      connection.close(CLOSE.goingAway, 'the scheduler has more work than it can take in')
    }
  }

  function received(session: Session, message: AgentToLeader): void {
    if (session.phase === 'closed') return
    session.lastFrameMonoMs = context.now().monoMs
    if (session.phase === 'greeting') {
      if (message.type === 'HELLO') return greet(session, message)
      return drop(session, CLOSE.badFrame, `${message.type} before HELLO`)
    }
    switch (message.type) {
      case 'HELLO':
        return drop(session, CLOSE.badFrame, 'a second HELLO')
      case 'TASKS':
        return listedTasks(session, message.tasks, message.last)
      case 'HEARTBEAT':
        return session.connection.send({ type: 'HEARTBEAT_ACK', epoch, n: message.n, position: ledger.applied })
      case 'STATUS':
        return statusUpdate(session, message)
      case 'LAUNCH_ACK':
        return launchAnswered(session, message)
      case 'KILL_ACK':
        return metrics.count('agent_kills_acknowledged_total')
      case 'LOG_DATA':
        return logRead(message)
      case 'UPDATE_AGENT':
        return agentChanged(session, message)
      case 'RECONCILE_RESULT':
        return
    }
  }

  // ---- taking an agent in ----

  function greet(session: Session, hello: Hello): void {
    const expected = agentProof(crypto.hmac, agentKey, session.listenerNonce, hello.nonce)
    if (!sameText(expected, hello.proof)) {
      context.log.warn('agent-refused', { remote: session.connection.remote, because: 'its proof is wrong' })
      return refuse(session, 'auth', 'authentication failed')
    }
    if (hello.protoMin > AGENT_PROTOCOL_MAX || hello.protoMax < AGENT_PROTOCOL_MIN) {
      const ours = `${AGENT_PROTOCOL_MIN}-${AGENT_PROTOCOL_MAX}`
      return refuse(session, 'version', `agent speaks ${hello.protoMin}-${hello.protoMax}, this scheduler ${ours}`)
    }
    if (hello.clusterId !== null && hello.clusterId !== clusterId) {
      const remedy = 'to move it, stop it and give it an empty work folder'
      return refuse(session, 'deactivated', `agent belongs to cluster ${hello.clusterId}, not ${clusterId}; ${remedy}`)
    }
    const refusal = ledger.refusal()
    if (refusal !== null) return drop(session, CLOSE.notLeader, refusal.detail)

    const id = hello.agentId === null ? agentId(crypto.uuid()) : agentId(hello.agentId)
    const older = ready.get(id)
    const others = otherMachines(id, hello, older !== undefined)
    if (others !== null) {
      if (older !== undefined) refuse(older, 'duplicate', others)
      return refuse(session, 'duplicate', others)
    }
    if (older !== undefined) drop(older, CLOSE.replaced, 'another connection of this agent took over')
    greeting.delete(session)
    session.agentId = id
    session.host = hello.host
    session.phase = 'admitting'
    ready.set(id, session)
    stageAgent(id, hello, () => {
      if (session.phase !== 'admitting') return
      session.phase = 'listing'
      metrics.count('agents_admitted_total')
      // The agent learns its id only once the cluster is sure to remember it.
      session.connection.send({
        type: 'WELCOME',
        epoch,
        proof: leaderProof(crypto.hmac, agentKey, session.listenerNonce, hello.nonce),
        agentId: id,
        clusterId,
        position: ledger.applied,
        heartbeatMs,
        serverTimeMs: context.now().wallMs,
      })
    })
  }

  /**
   * Two machines with one agent id, as after a work folder was cloned, would take the place from each other for ever.
   * Null unless there were three take-overs within a minute, of more than one machine; else what to tell both.
   */
  function otherMachines(id: AgentId, { bootId, host }: Hello, isTakeOver: boolean): string | null {
    const now = context.now().monoMs
    const claims = (takeOvers.get(id) ?? []).filter(claim => now - claim.atMonoMs < TAKE_OVERS_WITHIN_MS)
    if (isTakeOver || claims.length >= TAKE_OVERS_MAX) claims.push({ bootId, host, atMonoMs: now })
    if (claims.length === 0) takeOvers.delete(id)
    else takeOvers.set(id, claims)
    const machines = new Map(claims.map(claim => [claim.bootId, claim.host]))
    if (claims.length < TAKE_OVERS_MAX || machines.size < 2) return null
    const hosts = [...machines.values()].sort().join(' and ')
    return `duplicate agent id ${id}, used on ${hosts}: stop one of them and give it an empty work folder`
  }

  function stageAgent(
    id: AgentId,
    facts: Pick<Hello, 'attributes' | 'resources' | 'portRanges'> &
      Partial<Pick<Hello, 'host' | 'agentVersion' | 'logUrl'>>,
    then: () => void,
  ): void {
    const before = ledger.view.agent(id)
    const now = context.now().wallMs
    const logUrl = facts.logUrl === undefined ? before?.logUrl : (facts.logUrl ?? undefined)
    const row: AgentRow = {
      v: 1,
      agentId: id,
      host: facts.host ?? before?.host ?? '?',
      attributes: facts.attributes
        .map(({ name, values }) => ({ name, values: [...new Set(values)].sort() }))
        .sort((a, b) => (a.name < b.name ? -1 : 1)),
      total: facts.resources,
      portRanges: portRangesOf(facts.portRanges),
      mode: before?.mode ?? 'NONE',
      agentVersion: facts.agentVersion ?? before?.agentVersion ?? '?',
      ...(logUrl === undefined ? {} : { logUrl }),
      firstSeenMs: before?.firstSeenMs ?? now,
    }
    const same = before !== undefined && JSON.stringify(before) === JSON.stringify(row)
    const cause = { who: `agent ${id}`, why: before === undefined ? 'agent registered' : 'agent changed', wallMs: now }
    const changes = same ? [] : [{ type: 'put', table: 'agent', key: id, row } as const]
    ledger.stage({ cause, changes }, then)
  }

  function agentChanged(session: Session, change: AgentToLeader & { type: 'UPDATE_AGENT' }): void {
    const id = session.agentId
    if (id === null || ledger.refusal() !== null) return
    stageAgent(id, change, () => {
      if (session.phase === 'ready') broker.tell({ type: 'agentUp', agentId: id })
    })
  }

  /** The whole list is here: compare, order what follows, and let the machine be used. */
  function listedTasks(session: Session, page: readonly TaskReport[], last: boolean): void {
    if (session.phase !== 'listing') return
    session.listed.push(...page)
    if (session.listed.length > LISTED_MAX)
      return drop(session, CLOSE.badFrame, `a list of more than ${LISTED_MAX} tasks`)
    const id = session.agentId
    if (!last || id === null) return
    const listed: ListedTask[] = session.listed.map(report => {
      const ended =
        report.state === 'FINISHED' || report.state === 'FAILED' || report.state === 'KILLED' || report.state === 'LOST'
      return { taskId: report.taskId, live: !ended, settled: ended && report.ackedSeq >= report.lastSeq }
    })
    const healed = session.listed.flatMap(({ taskId: text, state }) => {
      const to = HEALED_STATES[state]
      return to !== undefined && ledger.view.task(taskId(text))?.status === 'PARTITIONED'
        ? [{ taskId: taskId(text), state: to }]
        : []
    })
    session.listed = []
    const verdict = compareAgentList(listed, ledger.view.tasksOnAgent(id), one => ledger.view.task(one))
    for (const lost of verdict.lost) {
      tasks.tell({ type: 'propose', taskId: lost, to: 'LOST', message: LOST_MESSAGE, who: `agent ${id}` })
    }
    if (verdict.held.length > 0) {
      context.log.error('agent-tasks-held', {
        agent: id,
        host: session.host,
        tasks: verdict.held.length,
        because: 'the ledger does not know them; too many to kill on a guess. Was an old backup restored?',
      })
    }
    // It was away and is back in time: its tasks are what it says they are.
    for (const { taskId: id, state } of healed) {
      tasks.tell({
        type: 'propose',
        taskId: id,
        to: state,
        expectStatus: 'PARTITIONED',
        who: `agent ${session.agentId}`,
      })
    }
    const order: Message = { type: 'listSettled', session, kill: [...verdict.kill], forget: [...verdict.forget] }
    ledger.whenCommitted(() => void context.self.tell(order))
  }

  function listSettled(session: Session, kill: TaskId[], forget: TaskId[]): void {
    const id = session.agentId
    if (session.phase !== 'listing' || id === null) return
    session.phase = 'ready'
    away.delete(id)
    const { connection } = session
    connection.send({ type: 'TASKS_DONE', epoch, kill: kill.slice(0, IDS_MAX), forget: forget.slice(0, IDS_MAX) })
    for (const one of kill.slice(IDS_MAX))
      connection.send({ type: 'KILL', epoch, taskId: one, graceSecs: null, reason: 'The task is not to run.' })
    for (let at = IDS_MAX; at < forget.length; at += IDS_MAX)
      connection.send({ type: 'FORGET', epoch, taskIds: forget.slice(at, at + IDS_MAX) })
    // Launches that never arrived, or were asked for while the list was on its way. The rows may be staged only.
    for (const { taskId: one, status } of ledger.view.tasksOnAgent(id))
      if (status === 'ASSIGNED') ledger.whenCommitted(() => void context.self.tell({ type: 'launch', taskId: one }))
    context.log.info('agent-ready', { agent: id, host: session.host, remote: session.connection.remote })
    broker.tell({ type: 'agentUp', agentId: id })
  }

  // ---- launches, kills, statuses ----

  function launch(id: TaskId): void {
    const row = ledger.view.task(id)
    if (row === undefined || row.status !== 'ASSIGNED' || row.agentId === undefined) return
    const session = ready.get(row.agentId)
    const config = ledger.view.config(row.configId)
    // Not connected: the list that it sends when it is back shows that the launch never arrived.
    if (session?.phase !== 'ready' || config === undefined) return
    const info: TaskInfo = {
      job: { role: row.job.role, environment: row.job.environment, name: row.job.name },
      instance: row.instance,
      tier: config.tier,
      resources: { ...config.resources },
      ports: { ...row.ports },
      executor: { name: config.executor.name, data: config.executor.data },
    }
    const digest = crypto.sha256(JSON.stringify(info))
    metrics.count('agent_launches_total')
    session.connection.send({
      type: 'LAUNCH',
      epoch,
      tasks: [{ taskId: id, digest, info, deadlineMs: launchDeadlineMs }],
    })
  }

  function launchAnswered(session: Session, answer: LaunchAck): void {
    for (const { taskId: id, code, message } of answer.results) {
      if (code === 'ok') continue
      metrics.count('agent_launches_refused_total', 1, { code })
      // A launch that crossed its own repetition is refused as a duplicate although the first one runs.
      if (code === 'duplicate_task') continue
      context.log.warn('launch-refused', { task: id, agent: session.agentId, code, message })
      tasks.tell({
        type: 'propose',
        taskId: taskId(id),
        to: 'LOST',
        expectStatus: 'ASSIGNED',
        message: `${session.host} refused the launch: ${message === '' ? code : message}`,
        who: `agent ${session.agentId}`,
      })
    }
  }

  function kill(command: Kill): void {
    const session = command.agentId === null ? undefined : ready.get(command.agentId)
    // Not welcomed yet: the comparison with its list will order the kill.
    if (session?.phase !== 'listing' && session?.phase !== 'ready') return
    metrics.count('agent_kills_total')
    session.connection.send({ type: 'KILL', epoch, taskId: command.taskId, graceSecs: null, reason: command.reason })
  }

  function statusUpdate(session: Session, update: StatusUpdate): void {
    const id = taskId(update.taskId)
    const row = ledger.view.task(id)
    if (row !== undefined && row.agentId !== undefined && row.agentId !== session.agentId) {
      context.log.warn('status-from-wrong-agent', { task: id, agent: session.agentId, expected: row.agentId })
      if (!isTerminal(update.state))
        session.connection.send({ type: 'KILL', epoch, taskId: id, graceSecs: null, reason: 'It belongs elsewhere.' })
      // Acknowledged, or it would be repeated for ever and stand before others.
      const done: Transitioned = { taskId: id, result: 'ILLEGAL' }
      return ledger.whenCommitted(() => void context.self.tell({ type: 'applied', update, session, done }))
    }
    const message = messageOf(update)
    // A plain ref, as statuses are many: the answer is one more message of our own.
    const replyTo: Ref<Transitioned> = {
      path: `${context.self.path}/status`,
      tell: done => context.self.tell({ type: 'applied', update, session, done }),
    }
    tasks.tell({
      type: 'propose',
      taskId: id,
      to: update.state satisfies TaskStatus,
      ...(message === null ? {} : { message }),
      who: `agent ${session.agentId}`,
      ...(session.agentId === null ? {} : { agentId: session.agentId }),
      agentSeq: update.seq,
      replyTo,
    })
  }

  /** Committed: only now may the agent forget the update. Illegal and repeated ones are acknowledged too. */
  function applied(session: Session, update: StatusUpdate, result: TransitionResult): void {
    statusesApplied++
    if (update.reason !== null) metrics.count('status_updates_total', 1, { reason: update.reason, result })
    if (session.phase === 'closed') return
    session.connection.send({ type: 'STATUS_ACK', epoch, acks: [{ taskId: update.taskId, seq: update.seq }] })
    const row = ledger.view.task(taskId(update.taskId))
    const ended = isTerminal(update.state) && (row === undefined || isTerminal(row.status))
    if (ended) session.connection.send({ type: 'FORGET', epoch, taskIds: [update.taskId] })
  }

  // ---- reading logs ----

  function readLog(command: ReadLog): void {
    const session = ready.get(command.agentId)
    if (session?.phase !== 'ready') {
      const host = ledger.view.agent(command.agentId)?.host ?? command.agentId
      const detail = `The agent on ${host} is not connected, so its logs cannot be read now`
      command.replyTo.tell(rejected('AGENT_UNREACHABLE', detail, { remedy: 'try again once it is back' }))
      return
    }
    const request = nextRead++
    reads.set(request, { replyTo: command.replyTo, agentId: command.agentId })
    context.startTimer(`read-${request}`, readMsMax, { type: 'readExpired', request })
    session.connection.send({
      type: 'LOG_READ',
      epoch,
      request,
      taskId: command.taskId,
      process: command.process,
      run: command.run,
      stream: command.stream,
      offset: command.offset,
      length: command.length,
    })
  }

  function logRead(data: LogData): void {
    const read = reads.get(data.request)
    if (read === undefined) return
    reads.delete(data.request)
    context.cancelTimer(`read-${data.request}`)
    read.replyTo.tell(data.error === null ? data : rejected('NOT_FOUND', data.error))
  }

  function readExpired(request: number): void {
    const read = reads.get(request)
    if (read === undefined) return
    reads.delete(request)
    const detail = `The agent did not answer within ${readMsMax / 1000} s`
    read.replyTo.tell(rejected('AGENT_UNREACHABLE', detail, { remedy: 'try again' }))
  }

  // ---- the end of a connection ----

  function refuse(session: Session, code: 'auth' | 'version' | 'deactivated' | 'duplicate', message: string): void {
    session.connection.send({ type: 'REJECT', epoch, code, message, retryAfterMs: REJECT_RETRY_MS })
    metrics.count('agents_refused_total', 1, { code })
    if (code !== 'auth') context.log.warn('agent-refused', { remote: session.connection.remote, because: message })
    drop(session, CLOSE.rejected, message)
  }

  function drop(session: Session, code: number, reason: string): void {
    session.connection.close(code, reason)
    closed(session, reason)
  }

  function closed(session: Session, reason: string): void {
    if (session.phase === 'closed') return
    const wasReady = session.phase === 'ready'
    session.phase = 'closed'
    greeting.delete(session)
    const id = session.agentId
    if (id === null || ready.get(id) !== session) return
    ready.delete(id)
    away.set(id, session.lastFrameMonoMs)
    for (const [request, read] of reads) if (read.agentId === id) readExpired(request)
    if (wasReady) broker.tell({ type: 'agentDown', agentId: id })
    context.log.warn('agent-disconnected', {
      agent: id,
      host: session.host,
      because: reason === '' ? 'closed' : reason,
    })
  }

  function silenceChecked(): void {
    const now = context.now().monoMs
    for (const session of [...ready.values(), ...greeting]) {
      const limit = session.phase === 'greeting' ? HELLO_MS_MAX : silenceMsMax
      if (now - session.lastFrameMonoMs > limit) drop(session, CLOSE.goingAway, `silent for over ${limit / 1000} s`)
    }
    for (const [id, claims] of takeOvers)
      if (claims.every(claim => now - claim.atMonoMs >= TAKE_OVERS_WITHIN_MS)) takeOvers.delete(id)
    giveUpUnreachable(now)
  }

  /** Tasks of agents that are away for too long; what follows is the business of each task and its partition policy. */
  function giveUpUnreachable(nowMonoMs: number): void {
    if (ledger.refusal() !== null) return
    const due: AgentId[] = []
    for (const [id, sinceMs] of away) {
      if (nowMonoMs - sinceMs >= unreachableMsMax && ledger.view.tasksOnAgent(id).some(isPartitionable)) due.push(id)
    }
    const share = due.length / (ready.size + due.length)
    const isTooMany = due.length > 1 && share > UNREACHABLE_SHARE_MAX
    if (isTooMany && !isHolding) {
      context.log.error('agents-unreachable-held', {
        agents: due.length,
        of: ready.size + due.length,
        because: 'so many at once are more likely cut off than dead: their tasks are kept; look at the network',
      })
    }
    isHolding = isTooMany
    if (isTooMany) return
    for (const id of due.slice(0, UNREACHABLE_PER_CHECK_MAX)) {
      const host = ledger.view.agent(id)?.host ?? id
      const bound = ledger.view.tasksOnAgent(id).filter(isPartitionable)
      context.log.warn('agent-unreachable', { agent: id, host, tasks: bound.length })
      metrics.count('agents_unreachable_total')
      const message = `Nothing was heard of ${host} for over ${unreachableMsMax / 1000} s`
      for (const { taskId: one } of bound)
        tasks.tell({ type: 'propose', taskId: one, to: 'PARTITIONED', message, who: 'agent gateway' })
    }
  }

  return {
    receive(message) {
      switch (message.type) {
        case 'launch':
          return launch(message.taskId)
        case 'kill':
          return kill(message)
        case 'readLog':
          return readLog(message)
        case 'connected':
          return connected(message.connection, message.nonce)
        case 'received':
          return received(message.session, message.message)
        case 'closed':
          return closed(message.session, message.reason)
        case 'applied':
          return applied(message.session, message.update, message.done.result)
        case 'listSettled':
          return listSettled(message.session, message.kill, message.forget)
        case 'silenceChecked':
          return silenceChecked()
        case 'readExpired':
          return readExpired(message.request)
      }
    },
    stopping() {
      listener.onConnection = null
      for (const session of [...ready.values(), ...greeting])
        drop(session, CLOSE.goingAway, 'this node no longer leads')
    },
    summary: () => ({
      agents: ready.size,
      agentsReady: [...ready.values()].filter(session => session.phase === 'ready').length,
      greeting: greeting.size,
      away: away.size,
      unreachableHeld: isHolding,
      logReads: reads.size,
      statusesApplied,
    }),
  }
}

/** Tasks that one machine may know of. */
const LISTED_MAX = 100_000
/** Ids that one message may carry. */
const IDS_MAX = 1000

/** What a live task of an agent that is back goes back to. */
const HEALED_STATES: Readonly<Partial<Record<TaskReport['state'], TaskStatus>>> = {
  ACCEPTED: 'ASSIGNED',
  STARTING: 'STARTING',
  RUNNING: 'RUNNING',
}

/** The agent's words as they are; a limit that was broken without any gets its fixed text. */
function messageOf(update: StatusUpdate): string | null {
  if (update.message !== null && update.message !== '') return update.message
  if (update.reason === 'CONTAINER_LIMITATION_MEMORY') return 'Task used more memory than requested.'
  if (update.reason === 'CONTAINER_LIMITATION_DISK') return 'Task used more disk than requested.'
  return null
}

/** Compares without telling by its time how much was right. */
function sameText(expected: string, given: string): boolean {
  let difference = expected.length ^ given.length
  for (let n = 0; n < expected.length; n++) difference |= expected.charCodeAt(n) ^ (given.charCodeAt(n) || 0)
  return difference === 0
}
