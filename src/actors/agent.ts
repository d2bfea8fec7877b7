/**
 * Agent: one machine's part in the cluster. Owns the connection to the leader, the book of accepted tasks, the outbox
 * of statuses and the highest epoch it has seen. It holds no scheduling policy: it refuses what cannot be right, starts
 * a TaskRunner for the rest and reports until it is acknowledged.
 *
 * Whatever others may build on (an accepted launch or kill, a status, an epoch) is durable before it is answered or
 * acted on; the store writes in the order of the calls, so answers wait for everything before them.
 * Source: the agent spec, sections 14 to 20.
 */
import {
  type AgentIdentity,
  type Capacity,
  decideLaunch,
  digestLines,
  fence,
  isEnd,
  isLive,
  type LaunchCode,
  type RecordState,
  redialDelayMs,
  type TaskRecord,
} from '../core/executor/agent-book.ts'
import { Outbox, type OutboxEntry } from '../core/executor/outbox.ts'
import { readTaskData } from '../core/executor/task-data.ts'
import {
  AGENT_PROTOCOL_MAX,
  AGENT_PROTOCOL_MIN,
  type AgentToLeader,
  CLOSE,
  type Kill,
  type Launch,
  type LeaderToAgent,
  type TaskReport,
  type Welcome,
} from '../wire/messages/agent.ts'
import type { ActorSpec, AnyRef, Behaviour, Context, Nest, Ref } from './actor.ts'
import type { AgentSecret, AgentStore, LogChunk, MachineOffer, StoreChange, TaskMachine } from './agent-ports.ts'
import type { AgentDialer, Connection, Metrics } from './ports.ts'
import { type SandboxKeeperCommand, sandboxKeeper } from './sandbox-keeper.ts'
import { type TaskTold, taskRunner } from './task-runner.ts'

export interface AgentReport {
  readonly agentId: string | null
  readonly connection: string
  readonly leaderUrl: string | null
  readonly tasks: readonly { readonly taskId: string; readonly state: string; readonly lastSeq: number }[]
}

/** Asks for the end of every task here; `done` is told when none is left alive. */
export interface KillAllTasks {
  readonly type: 'killAllTasks'
  readonly replyTo: Ref<{ readonly type: 'allEnded' }>
}
export interface Inspect {
  readonly type: 'inspect'
  readonly replyTo: Ref<AgentReport>
}
export type Command = KillAllTasks | Inspect

type LeaderConnection = Connection<LeaderToAgent, AgentToLeader>
type Dialed = Awaited<ReturnType<AgentDialer<LeaderToAgent, AgentToLeader>['dial']>>

type Message =
  | Command
  | { readonly type: 'dial' }
  | { readonly type: 'dialed'; readonly attempt: number; readonly result: Dialed }
  | { readonly type: 'dialFailed'; readonly attempt: number; readonly because: string }
  | { readonly type: 'frame'; readonly link: Link; readonly message: LeaderToAgent; readonly atMonoMs: number }
  | { readonly type: 'closed'; readonly link: Link; readonly code: number; readonly reason: string }
  | { readonly type: 'helloExpired'; readonly link: Link }
  | { readonly type: 'heartbeat' }
  | { readonly type: 'resend' }
  | { readonly type: 'told'; readonly told: TaskTold }
  | { readonly type: 'stored'; readonly then: () => void }
  | { readonly type: 'storeFailed'; readonly cause: unknown }
  | { readonly type: 'tombstoneExpired'; readonly taskId: string }
  | { readonly type: 'logRead'; readonly link: Link; readonly request: number; readonly chunk: LogChunk }

/** One connection, from the dial's success to its end. */
interface Link {
  readonly url: string
  readonly connection: LeaderConnection
  readonly listenerNonce: string
  readonly nonce: string
  phase: 'greeting' | 'listing' | 'ready' | 'closed'
  heartbeatMs: number
  lastFrameMonoMs: number
  readyMonoMs: number
}

export interface AgentActorOptions {
  readonly host: string
  readonly schedulers: readonly string[]
  readonly attributes: readonly { readonly name: string; readonly values: readonly string[] }[]
  readonly offer: MachineOffer
  readonly draining: boolean
  readonly logUrl: string | null
  readonly agentVersion: string
  /** New at every start. */
  readonly instanceId: string
  readonly killCapMs: number
  readonly sandboxKeepMs: number
  readonly redialMsMax: number
  readonly secret: AgentSecret | null
  readonly newNonce: () => string
  /** SHA-256 as hex. */
  readonly hash: (text: string) => string
  readonly dialer: AgentDialer<LeaderToAgent, AgentToLeader>
  readonly store: AgentStore
  readonly machine: TaskMachine
  readonly metrics: Metrics
  /** A failed flush: what was promised cannot be kept, so the process must end. */
  readonly fatal: (cause: unknown) => void
}

export const EXECUTOR_NAME = 'AuroraExecutor'
const TASKS_PAGE = 500
const HELLO_MS_MAX = 10_000
const REDIRECTS_MAX = 5
const STABLE_MS = 60_000
const RESEND_CHECK_MS = 1_000
const LOG_BYTES_MAX = 1024 * 1024

export function agent(options: AgentActorOptions): ActorSpec<Command> {
  const spec: ActorSpec<Message> = {
    name: 'agent',
    kind: 'Agent',
    mailbox: { capacity: 100_000 },
    start: context => new Agent(options, context),
  }
  return spec as unknown as ActorSpec<Command>
}

class Agent implements Behaviour<Message> {
  private readonly options: AgentActorOptions
  private readonly context: Context<Message>
  private capacity: Capacity
  private readonly runners: Nest
  private readonly keeper: Ref<SandboxKeeperCommand>

  private identity: AgentIdentity
  private readonly records = new Map<string, TaskRecord>()
  private readonly tombstones = new Set<string>()
  private readonly outbox = new Outbox()
  /** The last status of every task that has ended and is not forgotten: told again on each new connection. */
  private readonly finals = new Map<string, OutboxEntry>()

  private link: Link | null = null
  private dialing = false
  private attempt = 0
  private failures = 0
  private nextScheduler = 0
  private redirect: string | null = null
  private redirects = 0
  private notBeforeMs = 0
  private beats = 0
  private isStopping = false
  private readonly endWaiters: Ref<{ readonly type: 'allEnded' }>[] = []

  constructor(options: AgentActorOptions, context: Context<Message>) {
    this.options = options
    this.context = context
    this.capacity = { ...options.offer, draining: options.draining, executors: [EXECUTOR_NAME] }
    this.runners = context.spawnSilent('tasks')
    const stored = options.store.load()
    this.identity = stored.identity
    for (const key of stored.quarantined) context.log.warn('agent-record-quarantined', { key })
    for (const taskId of stored.tombstones.keys()) this.tombstones.add(taskId)
    for (const record of stored.records) this.records.set(record.taskId, record)
    this.keeper = context.spawn(
      sandboxKeeper({
        machine: options.machine,
        store: options.store,
        keepMs: options.sandboxKeepMs,
        metrics: options.metrics,
        forgotten: stored.tombstones,
        known: () => new Set(this.records.keys()),
        expired: taskId => void context.self.tell({ type: 'tombstoneExpired', taskId }),
      }) as ActorSpec<SandboxKeeperCommand>,
    )
    for (const entry of stored.statuses) {
      const record = this.records.get(entry.taskId)
      if (record === undefined) continue
      if (isEnd(entry.state)) this.finals.set(entry.taskId, entry)
      if (entry.seq > record.ackedSeq) this.outbox.put(entry)
    }
    for (const record of stored.records) if (isLive(record)) this.adopt(record, stored.checkpoints.get(record.taskId))
    context.self.tell({ type: 'dial' })
  }

  receive(message: Message): void {
    switch (message.type) {
      case 'dial':
        return this.dial()
      case 'dialed':
        return this.dialed(message.attempt, message.result)
      case 'dialFailed':
        return this.dialFailed(message.attempt, message.because)
      case 'frame':
        return this.frame(message.link, message.message, message.atMonoMs)
      case 'closed':
        return this.closed(message.link, message.code, message.reason)
      case 'helloExpired':
        if (message.link.phase === 'greeting' || message.link.phase === 'listing') {
          this.hangUp(message.link, CLOSE.goingAway, 'no answer to HELLO within 10 s')
        }
        return
      case 'heartbeat':
        return this.heartbeat()
      case 'resend':
        this.outbox.expire(this.context.now().monoMs)
        return this.sendStatuses()
      case 'told':
        return this.told(message.told)
      case 'stored':
        return message.then()
      case 'storeFailed':
        return this.options.fatal(message.cause)
      case 'tombstoneExpired':
        this.tombstones.delete(message.taskId)
        return
      case 'logRead':
        if (message.link.phase === 'ready') {
          message.link.connection.send({ type: 'LOG_DATA', request: message.request, ...message.chunk })
        }
        return
      case 'killAllTasks':
        return this.killAllTasks(message.replyTo)
      case 'inspect':
        message.replyTo.tell(this.report())
        return
      default:
        message satisfies never
    }
  }

  stopping(): void {
    this.isStopping = true
    if (this.link !== null) this.hangUp(this.link, CLOSE.goingAway, 'the agent stops')
  }

  summary(): Record<string, string | number | boolean | null> {
    const { agentId, connection, leaderUrl } = this.report()
    return {
      agentId,
      connection,
      leaderUrl,
      liveTasks: [...this.records.values()].filter(isLive).length,
      records: this.records.size,
      statusesWaiting: this.outbox.size,
      tombstones: this.tombstones.size,
      epoch: this.identity.maxEpoch?.join('.') ?? null,
      position: this.identity.maxPosition,
    }
  }

  private report(): AgentReport {
    return {
      agentId: this.identity.agentId,
      connection: this.link?.phase ?? (this.dialing ? 'dialing' : 'waiting'),
      leaderUrl: this.link?.url ?? null,
      tasks: [...this.records.values()].map(({ taskId, state, lastSeq }) => ({ taskId, state, lastSeq })),
    }
  }

  // ---- tasks ----

  /** A task that was taken before this agent started. */
  private adopt(record: TaskRecord, checkpoint: Parameters<typeof taskRunner>[0]['checkpoint'] | undefined): void {
    if (record.bootId !== this.options.machine.bootId) {
      this.context.log.warn('task-lost-by-reboot', { taskId: record.taskId })
      this.options.metrics.count('agent_tasks_lost_on_restart')
      this.enter(record.taskId, 'LOST', 'agent', 'AGENT_RESTARTED', 'host rebooted')
      return
    }
    this.options.metrics.count('agent_tasks_adopted')
    this.runTask(record, checkpoint ?? null)
  }

  private runTask(record: TaskRecord, checkpoint: Parameters<typeof taskRunner>[0]['checkpoint']): void {
    const { taskId, info } = record
    if (info === null) return
    const { instance, ports } = info
    const read = readTaskData(info.executor.data, { instance, ports, taskId, hostname: this.options.host })
    if (!read.ok) {
      this.context.log.warn('task-invalid', { taskId, text: read.text })
      if (record.lastSeq === 0) this.enter(taskId, 'STARTING', 'executor', null, 'Initializing sandbox.')
      // An older release may have taken it and run it: it has ended when nothing of it is left.
      const told: TaskTold = { type: 'status', taskId, state: 'FAILED', reason: null, message: read.text }
      this.options.machine.awaitEmpty(taskId, { kill: true }, () => this.context.self.tell({ type: 'told', told }))
      return
    }
    for (const port of read.droppedPorts) this.context.log.warn('task-port-without-number', { taskId, port })
    this.runners.spawn(
      taskRunner({
        record,
        killed: () => this.records.get(taskId)?.kill ?? null,
        role: info.job.role,
        task: read.task,
        checkpoint,
        machine: this.options.machine,
        store: this.options.store,
        killCapMs: this.options.killCapMs,
        tell: told => void this.context.self.tell({ type: 'told', told }),
        storeFailed: cause => void this.context.self.tell({ type: 'storeFailed', cause }),
      }),
    )
  }

  private told(told: TaskTold): void {
    const record = this.records.get(told.taskId)
    if (record === undefined || isEnd(record.state)) return
    this.enter(told.taskId, told.state, 'executor', told.reason, told.message)
    if (!isEnd(told.state)) return
    const runner = this.runners.child(told.taskId)
    if (runner !== undefined) this.context.stop(runner as AnyRef)
    this.tellIfAllEnded()
  }

  /** A new status of a task: numbered, made durable, then on its way. */
  private enter(
    taskId: string,
    state: OutboxEntry['state'],
    source: OutboxEntry['source'],
    reason: string | null,
    message: string | null,
  ): void {
    const record = this.records.get(taskId)
    if (record === undefined) return
    const seq = record.lastSeq + 1
    const entry: OutboxEntry = { taskId, seq, state, source, reason, message, atMs: this.context.now().wallMs }
    const shown: RecordState = record.kill !== null && !isEnd(state) ? 'KILLING' : state
    const next: TaskRecord = { ...record, state: shown, lastSeq: seq }
    this.records.set(taskId, next)
    if (isEnd(state)) this.finals.set(taskId, entry)
    this.options.metrics.count('agent_statuses', 1, { state })
    this.context.log.debug('task-status', { taskId, state, message })
    this.store({ records: [next], statuses: [entry] }, () => {
      if (!this.records.has(taskId)) return
      this.outbox.put(entry)
      this.sendStatuses()
    })
  }

  private launch(message: Launch, atMonoMs: number): void {
    const waitedMs = this.context.now().monoMs - atMonoMs
    const fresh: TaskRecord[] = []
    const results = message.tasks.map(request => {
      const decision = decideLaunch(request, this.records, this.tombstones, this.capacity, waitedMs)
      if (decision.fresh) {
        const record: TaskRecord = {
          taskId: request.taskId,
          digest: request.digest,
          info: request.info,
          acceptedAtMs: this.context.now().wallMs,
          bootId: this.options.machine.bootId,
          state: 'ACCEPTED',
          kill: null,
          lastSeq: 0,
          ackedSeq: 0,
        }
        this.records.set(record.taskId, record)
        fresh.push(record)
      }
      this.options.metrics.count('agent_launches', 1, { code: decision.code })
      return { taskId: request.taskId, code: decision.code satisfies LaunchCode, message: decision.message }
    })
    this.store({ records: fresh }, () => {
      this.send({ type: 'LAUNCH_ACK', results })
      for (const { taskId } of fresh) {
        const record = this.records.get(taskId)
        if (record !== undefined && isLive(record)) this.runTask(record, null)
      }
    })
  }

  private kill(taskId: string, graceMs: number | null, acknowledge: boolean): void {
    const ack = (): void => (acknowledge ? this.send({ type: 'KILL_ACK', taskId }) : undefined)
    const record = this.records.get(taskId)
    if (record === undefined) return this.killUnknown(taskId, ack)
    if (isEnd(record.state)) {
      this.store({}, () => {
        ack()
        this.repeatEnd(taskId)
      })
      return
    }
    const kill = { graceMs, atMs: this.context.now().wallMs }
    // A runner that has not told STARTING yet is on its way; its record says that it must not start anything.
    const next: TaskRecord = { ...record, kill, state: record.state === 'ACCEPTED' ? 'ACCEPTED' : 'KILLING' }
    this.records.set(taskId, next)
    this.context.log.debug('task-kill', { taskId, graceMs })
    this.store({ records: [next] }, () => {
      ack()
      this.runners.child(taskId)?.tell({ type: 'kill', graceMs })
    })
  }

  /** Never seen here: a launch that comes late must find the door shut. */
  private killUnknown(taskId: string, ack: () => void): void {
    if (this.tombstones.has(taskId)) return this.store({}, ack)
    const atMs = this.context.now().wallMs
    const record: TaskRecord = {
      taskId,
      digest: 'none',
      info: null,
      acceptedAtMs: atMs,
      bootId: this.options.machine.bootId,
      state: 'ACCEPTED',
      kill: { graceMs: null, atMs },
      lastSeq: 0,
      ackedSeq: 0,
    }
    this.records.set(taskId, record)
    this.bury(taskId)
    this.store({ tombstones: [{ taskId, atMs }] }, ack)
    this.enter(taskId, 'LOST', 'agent', 'TASK_UNKNOWN', 'Task is unknown to the agent')
  }

  private forget(taskIds: readonly string[]): void {
    const atMs = this.context.now().wallMs
    const gone = taskIds.filter(taskId => {
      const record = this.records.get(taskId)
      // A live task is not forgotten by word alone: it would be left without an owner.
      if (record === undefined || isLive(record)) return false
      this.records.delete(taskId)
      this.finals.delete(taskId)
      this.outbox.drop(taskId)
      this.bury(taskId)
      return true
    })
    if (gone.length === 0) return
    this.store({ dropTasks: gone, tombstones: gone.map(taskId => ({ taskId, atMs })) }, () => {})
  }

  private bury(taskId: string): void {
    this.tombstones.add(taskId)
    this.keeper.tell({ type: 'forgotten', taskId, atMs: this.context.now().wallMs })
  }

  private killAllTasks(replyTo: Ref<{ readonly type: 'allEnded' }>): void {
    this.endWaiters.push(replyTo)
    // Whoever is told that all have ended must not find new ones: a leader replaces what we end.
    this.capacity = { ...this.capacity, draining: true }
    for (const record of this.records.values()) if (isLive(record)) this.kill(record.taskId, null, false)
    this.tellIfAllEnded()
  }

  private tellIfAllEnded(): void {
    if (this.endWaiters.length === 0 || [...this.records.values()].some(isLive)) return
    this.store({}, () => {
      for (const waiter of this.endWaiters.splice(0)) waiter.tell({ type: 'allEnded' })
    })
  }

  // ---- statuses ----

  private sendStatuses(): void {
    if (this.link?.phase !== 'ready') return
    for (const entry of this.outbox.take(this.context.now().monoMs)) {
      this.send({ type: 'STATUS', ...entry, reason: entry.reason, message: entry.message?.slice(0, 4096) ?? null })
    }
    if (this.outbox.anyInFlight) this.context.startTimer('resend', RESEND_CHECK_MS, { type: 'resend' })
  }

  private acknowledged(taskId: string, seq: number): void {
    const record = this.records.get(taskId)
    if (record === undefined || seq <= record.ackedSeq) {
      this.outbox.acknowledge(taskId, seq)
    } else {
      const next: TaskRecord = { ...record, ackedSeq: Math.min(seq, record.lastSeq) }
      this.records.set(taskId, next)
      const done = this.outbox.acknowledge(taskId, seq).filter(entry => !isEnd(entry.state))
      // Not waited for: an acknowledgement that is lost here only means that the status is told once more.
      this.store({ records: [next], dropStatuses: done.map(entry => ({ taskId, seq: entry.seq })) }, () => {})
    }
    this.sendStatuses()
  }

  private repeatEnd(taskId: string): void {
    const final = this.finals.get(taskId)
    const record = this.records.get(taskId)
    if (final === undefined || record === undefined || record.ackedSeq < final.seq) return this.sendStatuses()
    this.outbox.put(final)
    this.sendStatuses()
  }

  // ---- the connection ----

  private dial(): void {
    if (this.link !== null || this.dialing || this.options.schedulers.length === 0) return
    const url =
      this.redirect ?? (this.options.schedulers[this.nextScheduler % this.options.schedulers.length] as string)
    const attempt = ++this.attempt
    this.dialing = true
    this.context.pipe(this.options.dialer.dial(url), settled =>
      settled.ok
        ? { type: 'dialed', attempt, result: settled.value }
        : { type: 'dialFailed', attempt, because: textOf(settled.cause) },
    )
  }

  private dialed(attempt: number, result: Dialed): void {
    if (attempt !== this.attempt || !this.dialing) return
    this.dialing = false
    if ('redirect' in result) {
      this.redirects += 1
      if (this.redirects > REDIRECTS_MAX) return this.redial(`more than ${REDIRECTS_MAX} redirects`)
      this.redirect = result.redirect
      return this.dial()
    }
    const now = this.context.now().monoMs
    const link: Link = {
      url: this.redirect ?? (this.options.schedulers[this.nextScheduler % this.options.schedulers.length] as string),
      connection: result.connection,
      listenerNonce: result.nonce,
      nonce: this.options.newNonce(),
      phase: 'greeting',
      heartbeatMs: 5_000,
      lastFrameMonoMs: now,
      readyMonoMs: now,
    }
    this.link = link
    result.connection.onMessage = message => {
      const taken = this.context.self.tell({ type: 'frame', link, message, atMonoMs: this.context.now().monoMs })
      if (!taken) result.connection.close(CLOSE.goingAway, 'the agent has more work than it can take in')
    }
    result.connection.onClose = (code, reason) => void this.context.self.tell({ type: 'closed', link, code, reason })
    this.hello(link)
    this.context.startTimer('hello', HELLO_MS_MAX, { type: 'helloExpired', link })
  }

  private hello(link: Link): void {
    const { options, identity } = this
    link.connection.send({
      type: 'HELLO',
      nonce: link.nonce,
      proof: options.secret?.prove(link.listenerNonce, link.nonce) ?? '',
      agentId: identity.agentId,
      instanceId: options.instanceId,
      bootId: options.machine.bootId,
      agentVersion: options.agentVersion,
      protoMin: AGENT_PROTOCOL_MIN,
      protoMax: AGENT_PROTOCOL_MAX,
      host: options.host,
      logUrl: options.logUrl,
      attributes: options.attributes.map(({ name, values }) => ({ name, values: [...values] })),
      resources: { ...options.offer.resources },
      portRanges: options.offer.portRanges.map(([from, to]): [number, number] => [from, to]),
      isolation: { cpu: false, memory: false, pids: false, disk: false },
      executors: [EXECUTOR_NAME],
      draining: options.draining,
      clusterId: identity.clusterId,
      maxEpoch: identity.maxEpoch === null ? null : [identity.maxEpoch[0], identity.maxEpoch[1]],
      maxPosition: identity.maxPosition,
      taskCount: this.records.size,
      outboxCount: this.outbox.size,
    })
  }

  private dialFailed(attempt: number, because: string): void {
    if (attempt !== this.attempt || !this.dialing) return
    this.dialing = false
    this.redial(because)
  }

  /** Again after a pause, at the next address; a leader that sent us away is asked no more. */
  private redial(because: string): void {
    const url = this.redirect ?? this.options.schedulers[this.nextScheduler % this.options.schedulers.length] ?? ''
    const loopback = /\/\/(127\.|localhost|\[::1\])/.test(url)
    if (this.redirects > 0) this.redirect = null
    this.redirects = 0
    this.nextScheduler += 1
    const now = this.context.now()
    const pauseMs = redialDelayMs(this.failures, this.context.random.next(), loopback, this.options.redialMsMax)
    const afterMs = Math.max(pauseMs, this.notBeforeMs - now.monoMs)
    this.failures += 1
    this.options.metrics.count('agent_redials')
    // At start on one machine the first dials fail by design; after a while somebody should know.
    if (this.failures === 1 || this.failures % 20 === 0) {
      this.context.log.info('agent-leader-unreachable', { url, because, failures: this.failures })
    }
    this.context.startTimer('dial', afterMs, { type: 'dial' })
  }

  private closed(link: Link, code: number, reason: string): void {
    if (link.phase === 'closed') return
    const stable = link.phase === 'ready' && this.context.now().monoMs - link.readyMonoMs >= STABLE_MS
    const wasReady = link.phase === 'ready'
    link.phase = 'closed'
    if (this.link !== link) return
    this.link = null
    for (const timer of ['hello', 'heartbeat', 'resend']) this.context.cancelTimer(timer)
    this.outbox.recallAll()
    if (stable) this.failures = 0
    const level = wasReady && !this.isStopping ? 'warn' : 'info'
    this.context.log[level]('leader-lost', { url: link.url, code, reason })
    if (this.isStopping) return
    if (code === CLOSE.notLeader && /^(https?|wss?):\/\//.test(reason) && this.redirects < REDIRECTS_MAX) {
      this.redirects += 1
      this.redirect = reason
      return this.dial()
    }
    this.redial(reason === '' ? `closed with ${code}` : reason)
  }

  private hangUp(link: Link, code: number, reason: string): void {
    link.connection.close(code, reason)
    this.closed(link, code, reason)
  }

  private heartbeat(): void {
    const link = this.link
    if (link === null || link.phase !== 'ready') return
    const silentMs = this.context.now().monoMs - link.lastFrameMonoMs
    if (silentMs >= link.heartbeatMs * 3) {
      this.hangUp(link, CLOSE.goingAway, `nothing heard for ${Math.round(silentMs / 1000)} s`)
      return
    }
    const { load1, freeRamMb, freeDiskMb } = this.options.machine.vitals()
    this.beats += 1
    this.send({
      type: 'HEARTBEAT',
      n: this.beats,
      load1,
      freeRamMb,
      freeDiskMb,
      taskDigest: this.options.hash(digestLines(this.records.values())),
    })
  }

  // ---- frames ----

  private frame(link: Link, message: LeaderToAgent, atMonoMs: number): void {
    if (link.phase === 'closed' || this.link !== link) return
    link.lastFrameMonoMs = atMonoMs
    if (message.type === 'REJECT') {
      this.notBeforeMs = this.context.now().monoMs + message.retryAfterMs
      this.context.log.error('agent-rejected', { url: link.url, code: message.code, message: message.message })
      return this.hangUp(link, CLOSE.rejected, message.message)
    }
    const stale = fence(this.identity, {
      epoch: message.epoch,
      ...('clusterId' in message ? { clusterId: message.clusterId } : {}),
      ...('position' in message ? { position: message.position } : {}),
    })
    if (stale !== null) {
      this.options.metrics.count('agent_epoch_rejections')
      this.context.log.error('agent-leader-refused', { url: link.url, because: stale })
      return this.hangUp(link, CLOSE.staleLeader, stale)
    }
    if (link.phase === 'greeting') {
      if (message.type === 'WELCOME') return this.welcome(link, message)
      return this.hangUp(link, CLOSE.badFrame, `${message.type} before WELCOME`)
    }
    if (this.identity.maxEpoch !== null && message.epoch.join() !== this.identity.maxEpoch.join()) {
      // A new ballot on an old connection: the leader that welcomed us is not the one that speaks.
      return this.hangUp(link, CLOSE.staleLeader, `epoch ${message.epoch.join('.')} was not in the WELCOME`)
    }
    switch (message.type) {
      case 'WELCOME':
        return
      case 'TASKS_DONE':
        return this.tasksDone(link, message.kill, message.forget)
      case 'LAUNCH':
        // Before our list was compared the leader cannot know what we run; it will send this again.
        return link.phase === 'ready' ? this.launch(message, atMonoMs) : undefined
      case 'KILL':
        return this.kill(message.taskId, graceOf(message), true)
      case 'STATUS_ACK':
        for (const { taskId, seq } of message.acks) this.acknowledged(taskId, seq)
        return
      case 'HEARTBEAT_ACK':
        if (message.position > this.identity.maxPosition) {
          this.identity = { ...this.identity, maxPosition: message.position }
          this.store({ identity: this.identity }, () => {})
        }
        return
      case 'RECONCILE':
        return this.reconcile(message.taskIds)
      case 'FORGET':
        return this.forget(message.taskIds)
      case 'LOG_READ': {
        const { request, taskId, process, run, stream, offset } = message
        const length = Math.min(message.length, LOG_BYTES_MAX)
        const reading = this.options.machine.readLog({ taskId, process, run, stream, offset, length })
        this.context.pipe(reading, settled => ({
          type: 'logRead',
          link,
          request,
          chunk: settled.ok ? settled.value : failedRead(message.process, message.run, textOf(settled.cause)),
        }))
        return
      }
      default:
        message satisfies never
    }
  }

  private welcome(link: Link, message: Welcome): void {
    const { secret } = this.options
    if (secret !== null && !secret.verify(message.proof, link.listenerNonce, link.nonce)) {
      this.context.log.error('agent-leader-refused', { url: link.url, because: 'it does not know the cluster secret' })
      return this.hangUp(link, CLOSE.rejected, 'wrong proof')
    }
    const { agentId, clusterId, epoch, position } = message
    this.identity = { agentId, clusterId, maxEpoch: epoch, maxPosition: position }
    link.phase = 'listing'
    link.heartbeatMs = Math.max(message.heartbeatMs, 100)
    this.store({ identity: this.identity }, () => {
      if (link.phase === 'listing') this.sendTasks(link)
    })
  }

  private sendTasks(link: Link): void {
    for (const { page, last } of pages(this.reports())) link.connection.send({ type: 'TASKS', tasks: page, last })
  }

  private tasksDone(link: Link, kill: readonly string[], forget: readonly string[]): void {
    if (link.phase !== 'listing') return
    link.phase = 'ready'
    link.readyMonoMs = this.context.now().monoMs
    this.context.cancelTimer('hello')
    this.context.startPeriodicTimer('heartbeat', link.heartbeatMs, { type: 'heartbeat' })
    this.context.log.info('agent-connected', {
      url: link.url,
      agentId: this.identity.agentId,
      epoch: this.identity.maxEpoch?.join('.'),
      tasks: this.records.size,
    })
    this.forget(forget)
    for (const taskId of kill) this.kill(taskId, null, false)
    for (const final of this.finals.values()) {
      const record = this.records.get(final.taskId)
      if (record !== undefined && record.ackedSeq >= final.seq) this.outbox.put(final)
    }
    this.heartbeat()
    this.sendStatuses()
  }

  private reconcile(taskIds: readonly string[] | null): void {
    const asked = taskIds === null ? null : new Set(taskIds)
    const reports = this.reports().filter(({ taskId }) => asked === null || asked.has(taskId))
    const unknown = [...(asked ?? [])].filter(taskId => !this.records.has(taskId))
    for (const { page, last } of pages(reports)) {
      this.send({ type: 'RECONCILE_RESULT', tasks: page, unknown: last ? unknown : [], last })
    }
  }

  private reports(): TaskReport[] {
    return [...this.records.values()].map(record => ({
      taskId: record.taskId,
      state: record.state,
      lastSeq: record.lastSeq,
      ackedSeq: record.ackedSeq,
      digest: record.digest,
      killRequested: record.kill !== null,
    }))
  }

  // ---- ports ----

  /** To the leader, if one is listening; what must arrive is repeated by those who sent it. */
  private send(message: AgentToLeader): void {
    if (this.link?.phase === 'ready') this.link.connection.send(message)
  }

  private store(change: StoreChange, then: () => void): void {
    this.context.pipe(this.options.store.write(change), settled =>
      settled.ok ? { type: 'stored', then } : { type: 'storeFailed', cause: settled.cause },
    )
  }
}

function* pages(reports: readonly TaskReport[]): Generator<{ page: TaskReport[]; last: boolean }> {
  for (let from = 0; ; from += TASKS_PAGE) {
    const last = from + TASKS_PAGE >= reports.length
    yield { page: reports.slice(from, from + TASKS_PAGE), last }
    if (last) return
  }
}

function graceOf(kill: Kill): number | null {
  return kill.graceSecs === null ? null : Math.round(kill.graceSecs * 1000)
}

function failedRead(process: string | null, run: number | null, error: string): LogChunk {
  return {
    offset: 0,
    size: 0,
    data: new Uint8Array(0),
    rotated: false,
    error: error.slice(0, 1024),
    process: process ?? '',
    run: run ?? 0,
  }
}

const textOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause))
