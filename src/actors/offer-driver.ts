/**
 * OfferDriver: the way to machines that belong to somebody else and are lent by offers, such as those of Mesos. It
 * keeps one row per agent that was ever offered, tells the OfferBroker what each can take now, and turns launches into
 * accepted offers: all tasks that a round has placed on an agent go in one. Everything else about tasks is as with our
 * own agents.
 *
 * The manager itself is behind a port, so that what speaks to it can be replaced, as in tests.
 */
import { assert } from '../core/base/assert.ts'
import type { AgentId, TaskId } from '../core/base/ids.ts'
import type { Resources } from '../core/job/task-config.ts'
import type { Tier } from '../core/job/tiers.ts'
import type { TaskRow } from '../core/ledger/rows.ts'
import {
  ExpiringOffers,
  type ExpiringOffersOptions,
  type Launching,
  type OfferEffect,
} from '../core/offers/expiring-offers.ts'
import { needsOf } from '../core/offers/needs.ts'
import { type ManagerOffer, offeredAgent } from '../core/offers/offered-agent.ts'
import type { TaskStatus } from '../core/task/status.ts'
import type { ActorSpec, Behaviour, Context, Ref } from './actor.ts'
import type { Kill, Launch } from './agent-gateway.ts'
import type { Ledger } from './ledger.ts'
import type { AgentOffered } from './offer-broker.ts'
import type { Metrics } from './ports.ts'
import type { TaskDirectory } from './task-state-machine.ts'

export type { ManagerOffer }

export interface ManagerStatus {
  readonly taskId: TaskId
  readonly agentId: AgentId
  readonly status: TaskStatus
  readonly message: string
  /** Given back with the acknowledgement. */
  readonly uuid: string
}

/** What speaks to the manager. */
export interface OfferDriverPort {
  /**
   * Set by the actor when it starts; null when it stops. A new one knows of no offer: those that are out are void from
   * then on, for which the port subscribes to the manager anew.
   */
  listener: OfferDriverListener | null
  decline(offerIds: readonly string[], refuseMs: number): void
  accept(offerId: string, tasks: readonly TaskRow[]): void
  kill(taskId: TaskId, agentId: AgentId | null): void
  /** What the status led to is committed. */
  acknowledge(status: ManagerStatus): void
}
export interface OfferDriverListener {
  offers(offers: readonly ManagerOffer[]): void
  rescinded(offerId: string): void
  status(status: ManagerStatus): void
  disconnected(): void
}

export interface OfferDriverOptions {
  readonly ledger: Ledger
  readonly tasks: TaskDirectory
  readonly metrics: Metrics
  readonly broker: Ref<AgentOffered>
  readonly port: OfferDriverPort
  /** Its name, for the rows. */
  readonly name: string
  /** Placed on the agent and not staged yet. */
  readonly holdsOn: (agentId: AgentId) => number
  /** Of the executor, beside every task. */
  readonly overhead: Resources
  readonly tiers: Readonly<Record<string, Tier>>
  readonly offers: ExpiringOffersOptions
  /** The manager keeps a declined part back for so long, ms. Source: Aurora's `offer_filter_duration`. */
  readonly refuseMs: number
}

/** What it was told of offers has to be told again. */
export interface BrokerRestarted {
  readonly type: 'brokerRestarted'
}
export type Command = Launch | Kill | BrokerRestarted
type Message =
  | Command
  | { readonly type: 'offers'; readonly offers: readonly ManagerOffer[] }
  | { readonly type: 'rescinded'; readonly offerId: string }
  | { readonly type: 'status'; readonly status: ManagerStatus }
  | { readonly type: 'disconnected' }
  | { readonly type: 'expire' }
  | { readonly type: 'accept' }

/** Aurora's words. */
export const OFFER_VANISHED = 'Offer no longer exists in offer queue, likely data race.'
export const LAUNCH_FAILED = 'Unknown exception attempting to schedule task.'

/** A round's other launches on the agent are waited for, but not for ever. */
const ACCEPT_WAIT_MS = 20
const ACCEPT_WAITS_MAX = 50

export function offerDriverSpec(options: OfferDriverOptions): ActorSpec<Command> {
  let starts = 0
  const spec: ActorSpec<Message> = {
    name: 'offer-driver',
    kind: 'OfferDriver',
    start: context => {
      if (starts++ > 0) forgetOffers(options)
      return offerDriver(context, options)
    },
  }
  return spec as ActorSpec<Command>
}

function offerDriver(context: Context<Message>, options: OfferDriverOptions): Behaviour<Message> {
  const { ledger, tasks, metrics, broker, port } = options
  const offers = new ExpiringOffers(options.offers, context.random)
  /** Launches that wait to be accepted together, by agent, and how often they were put off. */
  const launches = new Map<AgentId, { readonly ids: Set<TaskId>; waits: number }>()
  /** Sent to the manager and not heard of yet, by agent. */
  const accepted = new Map<AgentId, Set<TaskId>>()
  let races = 0

  port.listener = {
    offers: of => void context.self.tell({ type: 'offers', offers: of }),
    rescinded: offerId => void context.self.tell({ type: 'rescinded', offerId }),
    status: status => void context.self.tell({ type: 'status', status }),
    disconnected: () => void context.self.tell({ type: 'disconnected' }),
  }

  function received(of: readonly ManagerOffer[]): void {
    if (of.length === 0) return
    if (ledger.refusal() !== null)
      return port.decline(
        of.map(({ offerId }) => offerId),
        0,
      )
    metrics.count('scheduler_resource_offers', of.length)
    const changes = of.flatMap(offer => {
      const before = ledger.view.agent(offer.agentId)
      const row = offeredAgent(offer, before, options.name, context.now().wallMs)
      return JSON.stringify(row) === JSON.stringify(before)
        ? []
        : [{ type: 'put' as const, table: 'agent' as const, key: row.agentId, row }]
    })
    if (changes.length > 0) {
      const cause = { who: `resource manager ${options.name}`, why: 'agents offered', wallMs: context.now().wallMs }
      ledger.stage({ cause, changes })
    }
    carryOut(offers.received(of, context.now().monoMs))
  }

  function carryOut(effects: readonly OfferEffect[]): void {
    for (const effect of effects) {
      if (effect.type === 'decline') port.decline(effect.offerIds, options.refuseMs)
      else broker.tell({ ...effect, type: 'agentOffered', launched: [...acceptedOn(effect.agentId)] })
    }
    const { rescinded, cancelFailures } = offers.counts
    metrics.gauge('offers_rescinded', rescinded)
    metrics.gauge('offer_cancel_failures', cancelFailures)
    metrics.gauge('globally_banned_offers_size', offers.bannedCount)
    const dueMs = offers.nextDueMs()
    if (dueMs === null) context.cancelTimer('expire')
    else context.startTimer('expire', Math.max(ACCEPT_WAIT_MS, dueMs - context.now().monoMs), { type: 'expire' })
  }

  function launch(taskId: TaskId): void {
    const agentId = ledger.view.task(taskId)?.agentId
    if (agentId === undefined) return
    const waiting = launches.get(agentId) ?? { ids: new Set(), waits: 0 }
    launches.set(agentId, waiting)
    waiting.ids.add(taskId)
    context.self.tell({ type: 'accept' })
  }

  function accept(): void {
    for (const [agentId, waiting] of [...launches]) {
      if (!isComplete(agentId, waiting.ids) && waiting.waits++ < ACCEPT_WAITS_MAX) {
        context.startTimer('accept', ACCEPT_WAIT_MS, { type: 'accept' })
        continue
      }
      launches.delete(agentId)
      const rows = [...waiting.ids].flatMap(id => ledger.view.task(id) ?? []).filter(row => row.status === 'ASSIGNED')
      if (rows.length > 0) use(agentId, rows)
      // What was placed there takes nothing of the offer after all.
      else carryOut(offers.again(agentId))
    }
  }

  function use(agentId: AgentId, rows: readonly TaskRow[]): void {
    const { offerId, launched, vanished, effects } = offers.use(agentId, rows.map(launchingOf))
    if (offerId !== null) {
      accepted.set(agentId, new Set([...acceptedOn(agentId), ...launched.map(({ taskId }) => taskId)]))
      port.accept(offerId, launched)
    }
    carryOut(effects)
    for (const row of vanished) lost(row)
  }

  function launchingOf(row: TaskRow): Launching<TaskRow> {
    const config = ledger.view.config(row.configId)
    assert(config !== undefined, 'the configuration of a live task is stored', { configId: row.configId })
    const isRevocable = options.tiers[config.tier]?.revocable ?? false
    return { id: row, needs: needsOf(config, options.overhead), isRevocable, ports: Object.values(row.ports) }
  }

  /** Launched on the agent and not heard of yet. */
  function acceptedOn(agentId: AgentId): ReadonlySet<TaskId> {
    const ids = accepted.get(agentId) ?? new Set()
    for (const id of ids) if (ledger.view.task(id)?.status !== 'ASSIGNED') ids.delete(id)
    if (ids.size === 0) accepted.delete(agentId)
    return ids
  }

  /** An offer can be accepted once: other tasks that are placed there and not launched yet are to come along. */
  function isComplete(agentId: AgentId, ids: ReadonlySet<TaskId>): boolean {
    if (options.holdsOn(agentId) > 0) return false
    const launched = acceptedOn(agentId)
    const assigned = ledger.view.tasksOnAgent(agentId).filter(({ status }) => status === 'ASSIGNED')
    return assigned.every(({ taskId }) => ids.has(taskId) || launched.has(taskId))
  }

  function lost({ taskId }: TaskRow): void {
    races++
    metrics.count('offer_accept_races')
    metrics.count('assigner_launch_failures')
    const who = `resource manager ${options.name}`
    tasks.tell({
      type: 'propose',
      taskId,
      to: 'LOST',
      expectStatus: 'ASSIGNED',
      message: LAUNCH_FAILED,
      who,
      why: OFFER_VANISHED,
    })
  }

  function statusTold(status: ManagerStatus): void {
    const { taskId, agentId, status: to, message } = status
    const tell = (): true => {
      port.acknowledge(status)
      return true
    }
    const replyTo: Ref<unknown> = { path: context.self.path, tell }
    tasks.tell({ type: 'propose', taskId, to, agentId, message, who: `agent ${agentId}`, replyTo })
  }

  return {
    receive(message) {
      switch (message.type) {
        case 'offers':
          return received(message.offers)
        case 'rescinded':
          return carryOut(offers.rescinded(message.offerId, context.now().monoMs))
        case 'status':
          return statusTold(message.status)
        case 'disconnected':
          return carryOut(offers.disconnected())
        case 'expire':
          return carryOut(offers.expire(context.now().monoMs, agentId => isInUse(agentId)))
        case 'launch':
          return launch(message.taskId)
        case 'accept':
          return accept()
        case 'kill':
          return port.kill(message.taskId, message.agentId)
        case 'brokerRestarted':
          return carryOut(offers.again())
      }
    },
    stopping() {
      port.listener = null
    },
    summary: () => ({ held: offers.size, banned: offers.bannedCount, launchesWaiting: launches.size, races }),
  }

  function isInUse(agentId: AgentId): boolean {
    return launches.has(agentId) || options.holdsOn(agentId) > 0
  }
}

/** Of the driver before this one: nobody knows of these offers any more, so nothing is to be placed on them. */
function forgetOffers({ ledger, broker, name }: OfferDriverOptions): void {
  for (const { agentId, manager } of ledger.view.agents()) {
    if (manager === name) broker.tell({ type: 'agentOffered', agentId, room: null, launched: [] })
  }
}
