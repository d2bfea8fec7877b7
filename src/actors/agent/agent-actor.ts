/**
 * The body of the Agent: puts its parts together and hands each message to the one it is for. Parts know each other by
 * name; what they share (records, the journal, the link) has one owner each.
 */
import { isEnd, isLive } from '../../core/executor/agent-book.ts'
import type { Behaviour, Ref } from '../actor.ts'
import type { AgentActorOptions, AgentReport } from '../agent.ts'
import { type SandboxKeeperCommand, sandboxKeeper } from '../sandbox-keeper.ts'
import type { TaskTold } from '../task-runner.ts'
import type { AgentContext, AgentMessage, Link } from './agent-message.ts'
import { Journal } from './journal.ts'
import { Kills } from './kills.ts'
import { Launches } from './launches.ts'
import { LeaderLink, type LeaderOrder } from './leader-link.ts'
import { LogReads } from './log-reads.ts'
import { Runners } from './runners.ts'
import { StandingOffer } from './standing-offer.ts'
import { StatusSender } from './status-sender.ts'
import { pagesOf, TaskBook } from './task-book.ts'

export class AgentActor implements Behaviour<AgentMessage> {
  private readonly options: AgentActorOptions
  private readonly book = new TaskBook()
  private readonly link: LeaderLink
  private readonly offer: StandingOffer
  private readonly statuses: StatusSender
  private readonly runners: Runners
  private readonly launches: Launches
  private readonly kills: Kills
  private readonly logReads: LogReads

  constructor(options: AgentActorOptions, context: AgentContext) {
    this.options = options
    const { book } = this
    const nest = context.spawnSilent('tasks')
    const stored = options.store.load()
    for (const key of stored.quarantined) context.log.warn('agent-record-quarantined', { key })
    for (const taskId of stored.tombstones.keys()) book.tombstones.add(taskId)
    for (const record of stored.records) book.put(record)
    const keeper = context.spawn(
      sandboxKeeper({
        machine: options.machine,
        store: options.store,
        keepMs: options.sandboxKeepMs,
        metrics: options.metrics,
        forgotten: stored.tombstones,
        known: () => new Set(book.records.keys()),
        isFolderNew: stored.identity.agentId === null && stored.quarantined.length === 0,
        expired: taskId => void context.self.tell({ type: 'tombstoneExpired', taskId }),
      }),
    ) as Ref<SandboxKeeperCommand>

    const journal = new Journal(context, options.store)
    this.offer = new StandingOffer({ options, context, send: message => this.link.send(message) })
    const { offer } = this
    // Records were lost: tasks of an earlier agent may still run here, so nobody may conclude that they are gone.
    const place = stored.quarantined.length === 0 ? options.place : undefined
    this.link = new LeaderLink({
      options: { ...options, place },
      context,
      journal,
      book,
      identity: stored.identity,
      offer,
      statusesWaiting: () => this.statuses.waiting,
      lost: () => this.statuses.recall(),
    })
    const { link } = this
    this.statuses = new StatusSender({ context, journal, book, link, metrics: options.metrics }, stored)
    const { statuses } = this
    this.runners = new Runners(options, context, book, statuses, nest)
    const { runners } = this
    this.launches = new Launches({ options, context, journal, book, link, runners, offer })
    const { bootId } = options.machine
    this.kills = new Kills({ context, journal, book, statuses, runners, offer, keeper, bootId })
    this.logReads = new LogReads(context, options.machine)

    for (const record of stored.records) {
      if (isLive(record)) runners.adopt(record, stored.checkpoints.get(record.taskId) ?? null)
    }
    context.self.tell({ type: 'dial' })
  }

  receive(message: AgentMessage): void {
    switch (message.type) {
      case 'dial':
        return this.link.dial()
      case 'dialed':
        return this.link.dialler.dialed(message.attempt, message.result)
      case 'dialFailed':
        return this.link.dialler.dialFailed(message.attempt, message.because)
      case 'frame': {
        const order = this.link.accept(message.link, message.message, message.atMonoMs)
        return order === null ? undefined : this.obey(message.link, order, message.atMonoMs)
      }
      case 'closed':
        return this.link.closed(message.link, message.code, message.reason)
      case 'helloExpired':
        return this.link.helloExpired(message.link)
      case 'heartbeat':
        this.link.heartbeat()
        return this.offer.repeat()
      case 'lookAtMachine':
        return this.offer.look()
      case 'resend':
        return this.statuses.resend()
      case 'told':
        return this.told(message.told)
      case 'stored':
        return message.then()
      case 'storeFailed':
        return this.options.fatal(message.cause)
      case 'tombstoneExpired':
        this.book.tombstones.delete(message.taskId)
        return
      case 'logRead':
        return this.logReads.answer(message.link, message.request, message.chunk)
      case 'killAllTasks':
        return this.kills.killAll(message.replyTo)
      case 'inspect':
        message.replyTo.tell(this.report())
        return
      default:
        message satisfies never
    }
  }

  stopping(): void {
    this.link.stop()
  }

  summary(): Record<string, string | number | boolean | null> {
    const { agentId, connection, leaderUrl } = this.report()
    const { maxEpoch, maxPosition } = this.link.identity
    return {
      agentId,
      connection,
      leaderUrl,
      liveTasks: this.book.live().length,
      records: this.book.records.size,
      statusesWaiting: this.statuses.waiting,
      tombstones: this.book.tombstones.size,
      epoch: maxEpoch?.join('.') ?? null,
      position: maxPosition,
    }
  }

  private report(): AgentReport {
    return {
      agentId: this.link.identity.agentId,
      connection: this.link.phase,
      leaderUrl: this.link.url,
      tasks: [...this.book.records.values()].map(({ taskId, state, lastSeq }) => ({ taskId, state, lastSeq })),
    }
  }

  private obey(link: Link, order: LeaderOrder, atMonoMs: number): void {
    switch (order.type) {
      case 'TASKS_DONE':
        return this.listed(link, order.kill, order.forget)
      case 'LAUNCH':
        // Before our list was compared the leader cannot know what we run; it will send this again.
        return link.phase === 'ready' ? this.launches.launch(order, atMonoMs) : undefined
      case 'KILL': {
        const { taskId, graceSecs } = order
        const graceMs = graceSecs === null ? null : Math.round(graceSecs * 1000)
        return this.kills.kill(taskId, graceMs, () => this.link.send({ type: 'KILL_ACK', taskId }))
      }
      case 'STATUS_ACK':
        return this.statuses.acknowledged(order.acks)
      case 'UPDATE_AGENT_ACK':
        return this.offer.acknowledged(order.n)
      case 'RECONCILE':
        return this.reconcile(order.taskIds)
      case 'FORGET':
        return this.kills.forget(order.taskIds)
      case 'LOG_READ':
        return this.logReads.read(link, order)
      default:
        order satisfies never
    }
  }

  /** Both lists were compared: what the leader does not want goes, what it may have missed is told again. */
  private listed(link: Link, kill: readonly string[], forget: readonly string[]): void {
    if (!this.link.listed(link)) return
    this.kills.forget(forget)
    for (const taskId of kill) this.kills.kill(taskId, null)
    this.statuses.repeatEnds()
    this.link.heartbeat()
    this.statuses.send()
  }

  private reconcile(taskIds: readonly string[] | null): void {
    const asked = taskIds === null ? null : new Set(taskIds)
    const reports = this.book.reports().filter(({ taskId }) => asked === null || asked.has(taskId))
    const unknown = [...(asked ?? [])].filter(taskId => this.book.get(taskId) === undefined)
    for (const { page, last } of pagesOf(reports)) {
      this.link.send({ type: 'RECONCILE_RESULT', tasks: page, unknown: last ? unknown : [], last })
    }
  }

  private told({ taskId, state, reason, message }: TaskTold): void {
    const record = this.book.get(taskId)
    if (record === undefined || isEnd(record.state)) return
    this.statuses.enter(taskId, { state, source: 'executor', reason, message })
    if (!isEnd(state)) return
    this.runners.stop(taskId)
    this.kills.tellIfAllEnded()
  }
}
