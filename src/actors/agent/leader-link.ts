/**
 * The connection to the leader, from HELLO to its end: proves both sides, refuses leaders of another cluster or of the
 * past, keeps the heartbeat. Owns who we are in the cluster and the highest epoch seen. What a leader orders is handed
 * on only when it may be obeyed.
 */
import { type AgentIdentity, fence } from '../../core/executor/agent-book.ts'
import { type AgentToLeader, CLOSE, type LeaderToAgent, type Welcome } from '../../wire/messages/agent.ts'
import type { AgentActorOptions } from '../agent.ts'
import type { AgentContext, Link } from './agent-message.ts'
import { type Dialled, Dialler } from './dialler.ts'
import { helloOf } from './hello.ts'
import type { Journal } from './journal.ts'
import type { StandingOffer } from './standing-offer.ts'
import { pagesOf, type TaskBook } from './task-book.ts'

/** What concerns tasks; the rest stays in the link. */
export type LeaderOrder = Exclude<LeaderToAgent, { type: 'REJECT' | 'WELCOME' | 'HEARTBEAT_ACK' }>

export interface LeaderLinkParts {
  readonly options: AgentActorOptions
  readonly context: AgentContext
  readonly journal: Journal
  readonly book: TaskBook
  readonly identity: AgentIdentity
  readonly offer: StandingOffer
  readonly statusesWaiting: () => number
  /** The link is no more; nothing of what was sent on it is sure to have arrived. */
  readonly lost: () => void
}

const HELLO_MS_MAX = 10_000
const STABLE_MS = 60_000

export class LeaderLink {
  private readonly parts: LeaderLinkParts
  private readonly options: AgentActorOptions
  private readonly context: AgentContext
  readonly dialler: Dialler
  private known: AgentIdentity
  private link: Link | null = null
  private beats = 0
  private isStopping = false

  constructor(parts: LeaderLinkParts) {
    this.parts = parts
    this.options = parts.options
    this.context = parts.context
    this.known = parts.identity
    this.dialler = new Dialler(parts.options, parts.context, dialled => this.greet(dialled))
  }

  get identity(): AgentIdentity {
    return this.known
  }

  get isReady(): boolean {
    return this.link?.phase === 'ready'
  }

  /** `waiting`: between two dials. */
  get phase(): Link['phase'] | 'dialing' | 'waiting' {
    return this.link?.phase ?? (this.dialler.isDialing ? 'dialing' : 'waiting')
  }

  get url(): string | null {
    return this.link?.url ?? null
  }

  dial(): void {
    if (this.link === null) this.dialler.dial()
  }

  /** To the leader, if one is listening; what must arrive is repeated by those who sent it. */
  send(message: AgentToLeader): void {
    if (this.link?.phase === 'ready') this.link.connection.send(message)
  }

  stop(): void {
    this.isStopping = true
    if (this.link !== null) this.hangUp(this.link, CLOSE.goingAway, 'the agent stops')
  }

  // ---- beginning ----

  private greet({ url, connection, listenerNonce }: Dialled): void {
    const now = this.context.now().monoMs
    const link: Link = {
      url,
      connection,
      listenerNonce,
      nonce: this.options.newNonce(),
      phase: 'greeting',
      heartbeatMs: 5_000,
      lastFrameMonoMs: now,
      readyMonoMs: now,
    }
    this.link = link
    connection.onMessage = message => {
      const taken = this.context.self.tell({ type: 'frame', link, message, atMonoMs: this.context.now().monoMs })
      if (!taken) connection.close(CLOSE.goingAway, 'the agent has more work than it can take in')
    }
    connection.onClose = (code, reason) => void this.context.self.tell({ type: 'closed', link, code, reason })
    const { offer } = this.parts
    const taskCount = this.parts.book.records.size
    const outboxCount = this.parts.statusesWaiting()
    connection.send(helloOf(this.options, this.known, offer.inHello(), link, { taskCount, outboxCount }))
    this.context.startTimer('hello', HELLO_MS_MAX, { type: 'helloExpired', link })
  }

  helloExpired(link: Link): void {
    if (link.phase === 'greeting' || link.phase === 'listing') {
      this.hangUp(link, CLOSE.goingAway, 'no answer to HELLO within 10 s')
    }
  }

  private welcome(link: Link, message: Welcome): void {
    const { secret } = this.options
    if (secret !== null && !secret.verify(message.proof, link.listenerNonce, link.nonce)) {
      this.context.log.error('agent-leader-refused', { url: link.url, because: 'it does not know the cluster secret' })
      return this.hangUp(link, CLOSE.rejected, 'wrong proof')
    }
    const { agentId, clusterId, epoch, position } = message
    this.known = { agentId, clusterId, maxEpoch: epoch, maxPosition: position }
    link.phase = 'listing'
    link.heartbeatMs = Math.max(message.heartbeatMs, 100)
    this.parts.journal.write({ identity: this.known }, () => {
      if (link.phase !== 'listing') return
      for (const { page, last } of pagesOf(this.parts.book.reports())) {
        link.connection.send({ type: 'TASKS', tasks: page, last })
      }
    })
  }

  /** The leader has compared our list with its own. False: it was not asked to. */
  listed(link: Link): boolean {
    if (link.phase !== 'listing') return false
    link.phase = 'ready'
    link.readyMonoMs = this.context.now().monoMs
    this.context.cancelTimer('hello')
    this.context.startPeriodicTimer('heartbeat', link.heartbeatMs, { type: 'heartbeat' })
    this.context.log.info('agent-connected', {
      url: link.url,
      agentId: this.known.agentId,
      epoch: this.known.maxEpoch?.join('.'),
      tasks: this.parts.book.records.size,
    })
    return true
  }

  // ---- frames ----

  /** The order in a frame, if there is one and whoever sent it may give orders. */
  accept(link: Link, message: LeaderToAgent, atMonoMs: number): LeaderOrder | null {
    if (link.phase === 'closed' || this.link !== link) return null
    link.lastFrameMonoMs = atMonoMs
    if (message.type === 'REJECT') {
      this.dialler.search.rejected(this.context.now().monoMs + message.retryAfterMs)
      this.context.log.error('agent-rejected', { url: link.url, code: message.code, message: message.message })
      return this.refuse(link, CLOSE.rejected, message.message)
    }
    const stale = fence(this.known, {
      epoch: message.epoch,
      ...('clusterId' in message ? { clusterId: message.clusterId } : {}),
      ...('position' in message ? { position: message.position } : {}),
    })
    if (stale !== null) {
      this.options.metrics.count('agent_epoch_rejections')
      this.context.log.error('agent-leader-refused', { url: link.url, because: stale })
      return this.refuse(link, CLOSE.staleLeader, stale)
    }
    if (link.phase === 'greeting') {
      if (message.type !== 'WELCOME') return this.refuse(link, CLOSE.badFrame, `${message.type} before WELCOME`)
      this.welcome(link, message)
      return null
    }
    if (this.known.maxEpoch !== null && message.epoch.join() !== this.known.maxEpoch.join()) {
      // A new ballot on an old connection: the leader that welcomed us is not the one that speaks.
      return this.refuse(link, CLOSE.staleLeader, `epoch ${message.epoch.join('.')} was not in the WELCOME`)
    }
    if (message.type === 'WELCOME') return null
    if (message.type !== 'HEARTBEAT_ACK') return message
    if (message.position > this.known.maxPosition) {
      this.known = { ...this.known, maxPosition: message.position }
      this.parts.journal.write({ identity: this.known })
    }
    return null
  }

  heartbeat(): void {
    const link = this.link
    if (link === null || link.phase !== 'ready') return
    const silentMs = this.context.now().monoMs - link.lastFrameMonoMs
    if (silentMs >= link.heartbeatMs * 3) {
      this.hangUp(link, CLOSE.goingAway, `nothing heard for ${Math.round(silentMs / 1000)} s`)
      return
    }
    const { load1, freeRamMb, freeDiskMb } = this.options.machine.vitals()
    this.beats += 1
    const taskDigest = this.options.hash(this.parts.book.digest())
    this.send({ type: 'HEARTBEAT', n: this.beats, load1, freeRamMb, freeDiskMb, taskDigest })
  }

  // ---- its end ----

  closed(link: Link, code: number, reason: string): void {
    if (link.phase === 'closed') return
    const wasReady = link.phase === 'ready'
    const wasStable = wasReady && this.context.now().monoMs - link.readyMonoMs >= STABLE_MS
    link.phase = 'closed'
    if (this.link !== link) return
    this.link = null
    for (const timer of ['hello', 'heartbeat']) this.context.cancelTimer(timer)
    this.parts.lost()
    if (wasStable) this.dialler.search.held()
    const level = wasReady && !this.isStopping ? 'warn' : 'info'
    this.context.log[level]('leader-lost', { url: link.url, code, reason })
    if (this.isStopping) return
    const isSentOn = code === CLOSE.notLeader && /^(https?|wss?):\/\//.test(reason)
    if (isSentOn && this.dialler.search.redirected(reason)) return this.dialler.dial()
    this.dialler.redial(reason === '' ? `closed with ${code}` : reason)
  }

  private hangUp(link: Link, code: number, reason: string): void {
    link.connection.close(code, reason)
    this.closed(link, code, reason)
  }

  private refuse(link: Link, code: number, reason: string): null {
    this.hangUp(link, code, reason)
    return null
  }
}
