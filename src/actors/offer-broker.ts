/**
 * OfferBroker: what every agent can still take, and who may take it. It follows the ledger's staged changes, so that
 * capacity is exact at every decision, and hears from the AgentGateway which agents are connected. The Assigner asks it
 * to match a round; what is matched is held until the staged assignment comes by, or until the hold is released.
 *
 * Agents that are not connected are offered to nobody; what is bound to them stays bound. After a restart of this
 * actor the book is read anew from the ledger.
 */
import type { AgentId, ConfigId, JobKey, TaskId } from '../core/base/ids.ts'
import type { Resources, TaskConfig } from '../core/job/task-config.ts'
import type { Tier } from '../core/job/tiers.ts'
import type { OfferOrder } from '../core/offers/candidate-order.ts'
import type { RoomClaim } from '../core/offers/claims.ts'
import type { Host, OfferedRoom } from '../core/offers/offer-book.ts'
import type { PortRanges } from '../core/offers/port-space.ts'
import { type SlotRequest, SlotSearch, type SlotsFound } from '../core/preempt/slot-search.ts'
import { VictimIndex } from '../core/preempt/victim-index.ts'
import { type Explanation, explain } from '../core/scheduling/explanation.ts'
import { type Match, Matcher, type Want } from '../core/scheduling/matcher.ts'
import type { Reasons } from '../core/scheduling/pending-reasons.ts'
import type { ActorSpec, Behaviour, Context, Ref } from './actor.ts'
import type { DedicatedView } from './dedicated-guard.ts'
import type { Ledger, LedgerChange } from './ledger.ts'
import type { Metrics } from './ports.ts'

/** The agent has registered (or changed); its row is staged already. */
export interface AgentUp {
  readonly type: 'agentUp'
  readonly agentId: AgentId
}
/** Disconnected: nothing is placed there until it is up again. Its tasks keep their resources. */
export interface AgentDown {
  readonly type: 'agentDown'
  readonly agentId: AgentId
}
/** What an agent of a resource manager can take now, by its offer; null: nothing is offered. Its row is staged. */
export interface AgentOffered {
  readonly type: 'agentOffered'
  readonly agentId: AgentId
  readonly room: OfferedRoom | null
  /** Of the tasks that are ASSIGNED there those that are launched; the others take of this offer. */
  readonly launched: readonly TaskId[]
}
export type AgentCommand = AgentUp | AgentDown | AgentOffered

/** One standing offer per connected agent; `id` is `<agentId>#<n>`, n rising with every change. */
export interface OfferView {
  readonly id: string
  readonly agentId: AgentId
  readonly host: string
  readonly free: Resources
  /** Of the cores that are only lent, thousandths; not in `free`. */
  readonly revocableMilli: number
  readonly freePorts: number
  /** The same as ranges: closed, ascending, not touching. */
  readonly portRanges: PortRanges
}

/** Why a group of equal tasks is not placed: one row per group. */
export interface PendingView {
  readonly configId: ConfigId
  readonly job: JobKey
  readonly taskIds: readonly TaskId[]
  /** Until the next try by the clock; it may be woken earlier. */
  readonly penaltyMs: number
  /** Aurora's texts, strongest class first: `Insufficient: CPU`; empty when no offer was looked at. */
  readonly reasons: readonly string[]
  /** The same for people, with counts and what would help: `Insufficient: CPU (3 hosts)`, `No agents available`. */
  readonly details: readonly string[]
}

/** Read-only views for the REST edge; plain calls in the same thread. */
export interface PlacementView {
  offers(): readonly OfferView[]
  /** At most so many groups; default: all, which are as many as there are different tasks. */
  pending(groupsMax?: number): readonly PendingView[]
  /** Null when no task of the configuration waits. */
  waiting(configId: ConfigId): PendingView | null
  /** Null when the agent is not connected. */
  offer(agentId: AgentId): OfferView | null
  /**
   * Connected agents whose machine allows tasks of the configuration, whatever room they have. One that is stored is named
   * by its id.
   */
  allowedHosts(of: ConfigId | TaskConfig): readonly AgentId[]
  /** Why tasks of the configuration wait, in full; cut into steps. Null when it is not stored. */
  explain(configId: ConfigId): Generator<undefined, Explanation> | null
  /** Free and total of the host with the most room, for "can never fit: largest host has …"; null without agents. */
  largestHost(): { readonly host: string; readonly total: Resources; readonly ports: number } | null
}

// ---- between the actors of placement ------------------------------------------------------------------------------

/** Answered by RoundResult, after a few turns when there is much to look at. Rounds are served in order. */
export interface MatchRound {
  readonly type: 'matchRound'
  readonly roundId: number
  readonly wants: readonly Want[]
  readonly replyTo: Ref<RoundResult>
}
/** Holds that came to nothing. Those that the ledger has confirmed meanwhile stay. */
export interface ReleaseHolds {
  readonly type: 'releaseHolds'
  /** `all` after a restart of the Assigner, which no longer knows what they were for. */
  readonly taskIds: readonly TaskId[] | 'all'
}
/** Nothing of these configurations is PENDING any more. */
export interface GroupsGone {
  readonly type: 'groupsGone'
  readonly configIds: readonly ConfigId[]
}
/** Room that is kept for somebody from now on; those on agents that are not known come to nothing. */
export interface ClaimRoom {
  readonly type: 'claimRoom'
  readonly claims: readonly RoomClaim[]
  /** Told which of them hold, before anybody else is offered the room. */
  readonly replyTo?: Ref<RoomClaimed>
}
export interface RoomClaimed {
  readonly type: 'roomClaimed'
  readonly claimIds: readonly string[]
}
/** Claims that nobody needs any more; unknown ones are ignored. */
export interface ReleaseClaims {
  readonly type: 'releaseClaims'
  readonly claimIds: readonly string[]
}
/** The changes themselves wait beside the mailbox: every message begins by taking them in. */
interface LedgerChanged {
  readonly type: 'ledgerChanged'
}
interface MatchOn {
  readonly type: 'matchOn'
}
interface WakeOn {
  readonly type: 'wakeOn'
}
interface ClaimsExpire {
  readonly type: 'claimsExpire'
}
export type OfferBrokerCommand =
  | AgentCommand
  | MatchRound
  | ReleaseHolds
  | GroupsGone
  | ClaimRoom
  | ReleaseClaims
  | LedgerChanged
  | MatchOn
  | WakeOn
  | ClaimsExpire

export interface RoundResult {
  readonly type: 'roundResult'
  readonly roundId: number
  /** The dedicated rule's version under which it was decided. */
  readonly dedicatedVersion: number
  readonly groups: readonly {
    readonly configId: ConfigId
    readonly placed: readonly Match[]
    readonly unplaced: readonly TaskId[]
    readonly gone: readonly TaskId[]
  }[]
}

/** Plain reads for the edge; every call first takes in what has been staged. */
export interface OfferBookView {
  offers(): readonly OfferView[]
  offer(agentId: AgentId): OfferView | null
  largestHost(): { readonly host: string; readonly total: Resources; readonly ports: number } | null
  reasonsOf(configId: ConfigId): Reasons | null
  explain(configId: ConfigId): Generator<undefined, Explanation> | null
  allowedHosts(of: ConfigId | TaskConfig): readonly AgentId[]
  /** Tasks that a round has placed there and that are not staged yet. */
  holdsOn(agentId: AgentId): number
  claims(): Iterable<RoomClaim>
  /** Where tasks of the group would fit if others made way. Changes nothing. */
  searchSlots(request: SlotRequest): SlotsFound
  /** Whether the room of a match is held for it still. */
  isHeld(match: Pick<Match, 'taskId' | 'agentId' | 'ports'>): boolean
}

export interface OfferBrokerOptions {
  readonly ledger: Ledger
  readonly metrics: Metrics
  readonly overhead: Resources
  readonly offerOrder: readonly OfferOrder[]
  readonly tiers: Readonly<Record<string, Tier>>
  /** A host that is planned to be away within so long takes nothing new, ms. */
  readonly unavailabilityThresholdMs: number
  /** For a restart of the actor: who is connected right now. */
  readonly isConnected: (id: AgentId) => boolean
  readonly dedicated: () => DedicatedView
  /** Parked groups that should be tried again. */
  readonly onWake: (configIds: readonly ConfigId[]) => void
  /** The rounds of before and their holds are forgotten. */
  readonly onRestart: () => void
  readonly publish: (view: OfferBookView) => void
  /** Hosts looked at before a round is continued in the next turn; 10,000 are 2 to 4 ms. */
  readonly evaluationsPerTurn: number
}

interface Round extends MatchRound {
  readonly dedicatedVersion: number
  readonly done: RoundResult['groups'][number][]
}

/** What a placement costs, in looks at hosts. */
const LOOKS_PER_PLACEMENT = 100
/** Parked groups that are looked at per turn when hosts have more to give. */
const WAKES_PER_TURN = 2000

export function offerBrokerSpec(options: OfferBrokerOptions): ActorSpec<OfferBrokerCommand> {
  let starts = 0
  return {
    name: 'offer-broker',
    kind: 'OfferBroker',
    start: context => {
      if (starts++ > 0) options.onRestart()
      return startOfferBroker(context, options)
    },
  }
}

function startOfferBroker(
  context: Context<OfferBrokerCommand>,
  options: OfferBrokerOptions,
): Behaviour<OfferBrokerCommand> {
  const { ledger, metrics, overhead, offerOrder, tiers, unavailabilityThresholdMs } = options
  const matcher = new Matcher({
    view: ledger.view,
    overhead,
    offerOrder,
    random: context.random,
    tiers,
    unavailabilityThresholdMs,
  })
  const { book } = matcher
  const victims = new VictimIndex(
    ledger.view,
    task => (ledger.view.config(task.configId) === undefined ? null : matcher.askOf(task.configId)),
    tiers,
  )
  const slots = new SlotSearch(matcher, victims, ledger.view)
  let rounds: Round[] = []
  let changes: LedgerChange[] = []
  let isWaking = false
  /** For when the timer of the claims is set. */
  let armedMs: number | null = null

  const unsubscribe = ledger.subscribe('staged', change => {
    if (changes.push(change) === 1) context.self.tell({ type: 'ledgerChanged' })
  })
  const takeIn = (): void => {
    const taken = changes
    changes = []
    for (const { changes: rows } of taken) {
      for (const { change, before } of rows) {
        matcher.apply(change, before)
        victims.apply(change)
      }
    }
  }
  for (const { agentId } of ledger.view.agents()) if (options.isConnected(agentId)) matcher.agentUp(agentId)
  options.publish({
    offers: () => {
      takeIn()
      return [...book.hosts()].filter(host => host.connected).map(offerOf)
    },
    offer: agentId => {
      takeIn()
      const host = book.host(agentId)
      return host?.connected === true ? offerOf(host) : null
    },
    largestHost: () => {
      takeIn()
      return largestOf(book.hosts())
    },
    reasonsOf: configId => {
      takeIn()
      return matcher.reasonsOf(configId)
    },
    explain: configId => {
      takeIn()
      if (ledger.view.config(configId) === undefined) return null
      return explain(matcher, matcher.askOf(configId), context.now().wallMs)
    },
    allowedHosts: of => {
      takeIn()
      const config = typeof of === 'string' ? ledger.view.config(of) : of
      return config === undefined ? [] : matcher.allowedHosts(config.constraints, context.now().wallMs)
    },
    holdsOn: agentId => {
      takeIn()
      return book.host(agentId)?.holds ?? 0
    },
    claims: () => {
      takeIn()
      return matcher.claims()
    },
    searchSlots: request => {
      takeIn()
      return slots.search(request)
    },
    isHeld: ({ taskId, agentId, ports }) => {
      takeIn()
      return book.isHeldFor(taskId, agentId, Object.values(ports))
    },
  })

  /** Serves groups until the work of one turn is done; the rest continues in the next. */
  const matchOn = (): void => {
    const before = matcher.evaluated
    matchTurn()
    metrics.count('veto_evaluated_offers', matcher.evaluated - before)
    for (const [name, hosts] of matcher.vetoCounts.take()) metrics.count(name, hosts)
  }
  const matchTurn = (): void => {
    const stopAt = matcher.evaluated + options.evaluationsPerTurn
    let placed = 0
    for (let round = rounds[0]; round !== undefined; round = rounds[0]) {
      while (round.done.length < round.wants.length) {
        if (matcher.evaluated + placed * LOOKS_PER_PLACEMENT >= stopAt) {
          context.self.tell({ type: 'matchOn' })
          return
        }
        const want = round.wants[round.done.length]!
        const result = matcher.match(want, context.now().wallMs)
        placed += result.placed.length
        metrics.count('schedule_attempts_fired', result.placed.length + result.unplaced.length)
        metrics.count('schedule_attempts_no_match', result.unplaced.length)
        round.done.push({ configId: want.configId, ...result })
      }
      rounds = rounds.slice(1)
      answer(round)
    }
  }

  /** An agent may have gone between the turns of a round: what was matched there is taken back. */
  const answer = ({ roundId, dedicatedVersion, done, replyTo }: Round): void => {
    const groups = done.map(group => {
      const lost = matcher.takeBack(group.configId, group.placed)
      if (lost.length === 0) return group
      const placed = group.placed.filter(match => !lost.includes(match.taskId))
      return { ...group, placed, unplaced: [...lost, ...group.unplaced] }
    })
    replyTo.tell({ type: 'roundResult', roundId, dedicatedVersion, groups })
  }

  const wake = (): void => {
    const woken = matcher.takeWakes(context.now().wallMs, WAKES_PER_TURN)
    if (woken.length > 0) options.onWake(woken)
    if (matcher.hasWakes && !isWaking) {
      isWaking = true
      context.self.tell({ type: 'wakeOn' })
    }
  }

  const offered = ({ agentId, room, launched }: AgentOffered): void => {
    const isKnown = room === null ? true : matcher.agentUp(agentId)
    if (!isKnown) return context.log.warn('agent-without-row', { agentId })
    matcher.offered(agentId, room, new Set(launched))
    if (room === null) matcher.agentDown(agentId)
    metrics.gauge('outstanding_offers', book.connectedCount)
  }

  /** Claims end by their own time although nothing else happens, and so do those that are open again. */
  const armExpiry = (): void => {
    const nextMs = book.claims.nextExpiryMs()
    if (nextMs === armedMs) return
    armedMs = nextMs
    if (nextMs === null) return context.cancelTimer('claims')
    context.startTimer('claims', Math.max(0, nextMs - context.now().wallMs), { type: 'claimsExpire' })
  }

  const claimRoom = ({ claims, replyTo }: ClaimRoom): void => {
    const claimIds: string[] = []
    for (const claim of claims) {
      if (matcher.claim(claim)) claimIds.push(claim.id)
      else context.log.warn('claim-on-unknown-agent', { agentId: claim.agentId })
    }
    replyTo?.tell({ type: 'roomClaimed', claimIds })
  }

  return {
    receive(message) {
      takeIn()
      // Before a round is matched, or what it already sees would wake its groups once more.
      wake()
      switch (message.type) {
        case 'agentUp':
          if (!matcher.agentUp(message.agentId)) context.log.warn('agent-without-row', { agentId: message.agentId })
          metrics.gauge('outstanding_offers', book.connectedCount)
          break
        case 'agentDown':
          matcher.agentDown(message.agentId)
          metrics.gauge('outstanding_offers', book.connectedCount)
          break
        case 'agentOffered':
          offered(message)
          break
        case 'matchRound':
          rounds.push({ ...message, dedicatedVersion: options.dedicated().version, done: [] })
          if (rounds.length === 1) matchOn()
          break
        case 'matchOn':
          matchOn()
          break
        case 'releaseHolds':
          if (message.taskIds === 'all') matcher.releaseAll()
          else matcher.release(message.taskIds)
          break
        case 'groupsGone':
          for (const configId of message.configIds) matcher.groupGone(configId)
          break
        case 'claimRoom':
          claimRoom(message)
          break
        case 'releaseClaims':
          for (const id of message.claimIds) matcher.unclaim(id)
          break
        case 'claimsExpire':
          armedMs = null
          matcher.expireClaims(context.now().wallMs)
          break
        case 'wakeOn':
          isWaking = false
          break
        case 'ledgerChanged':
          break
      }
      wake()
      armExpiry()
    },
    stopping: () => unsubscribe(),
    summary: () => ({
      agents: book.hostCount,
      connected: book.connectedCount,
      holds: book.holdCount,
      claims: book.claims.size,
      parkedGroups: matcher.parkedCount,
      evaluated: matcher.evaluated,
      changesWaiting: changes.length,
    }),
  }
}

function offerOf({ row, changes, free, revocableMilli, ports: space }: Host): OfferView {
  const { cpusMilli, ramMb, diskMb, gpus, ports } = free
  return {
    id: `${row.agentId}#${changes}`,
    agentId: row.agentId,
    host: row.host,
    free: { cpusMilli, ramMb, diskMb, gpus },
    revocableMilli,
    freePorts: ports,
    portRanges: space.freeRanges(),
  }
}

/** By cores, then RAM, then disk, in all and not only free. */
function largestOf(hosts: Iterable<Host>): ReturnType<OfferBookView['largestHost']> {
  let largest: Host | null = null
  for (const host of hosts) {
    if (host.connected && (largest === null || isLarger(host, largest))) largest = host
  }
  if (largest === null) return null
  return { host: largest.row.host, total: largest.row.total, ports: largest.total.ports }
}

function isLarger({ total: a }: Host, { total: b }: Host): boolean {
  if (a.cpusMilli !== b.cpusMilli) return a.cpusMilli > b.cpusMilli
  return a.ramMb === b.ramMb ? a.diskMb > b.diskMb : a.ramMb > b.ramMb
}
