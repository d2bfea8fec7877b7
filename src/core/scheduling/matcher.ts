/**
 * Decides where tasks go: the offer book, the limit counters, remembered verdicts and pending reasons, moved together.
 * Chosen room is held until the staged assignment replaces the hold, so every further decision of the same round already
 * sees it (D1, D7).
 *
 * A task whose instance has a claim goes there or waits; a group with claims uses them first. A gang is placed whole or
 * not at all. Every attempt draws one seed: the same cluster and the same seed give the same hosts and ports.
 *
 * It changes nothing but itself. Ledger changes are fed to it in the order of staging; a decision is made only when
 * all of them have been.
 */
import { assert } from '../base/assert.ts'
import { type AgentId, type ConfigId, jobKeyText, type TaskId } from '../base/ids.ts'
import { type Prng, prng } from '../base/prng.ts'
import type { Instant } from '../base/time.ts'
import type { Constraint, Resources } from '../job/task-config.ts'
import { SHIPPED_TIERS, type Tier } from '../job/tiers.ts'
import type { AgentRow, PlacementCandidate, PlacementRecord, TaskRow } from '../ledger/rows.ts'
import type { RowChange } from '../ledger/transaction.ts'
import type { LedgerView } from '../ledger/view.ts'
import type { OfferOrder } from '../offers/candidate-order.ts'
import type { RoomClaim } from '../offers/claims.ts'
import { OfferBook, type OfferedRoom } from '../offers/offer-book.ts'
import { HOST_ASSIGNED } from '../task/status.ts'
import { type Ask, askOf } from './ask.ts'
import { attributeSet } from './constraints.ts'
import { failedHost } from './failed-hosts.ts'
import { type Choice, HostChoice } from './host-choice.ts'
import { HostFilter, type PreparedAsk } from './host-filter.ts'
import { type CountedHost, LimitCounters, type ValueCounts } from './limit-counters.ts'
import { ParkedGroups } from './parked-groups.ts'
import { NO_AGENTS_REASONS, type Reasons } from './pending-reasons.ts'
import { scanReasons } from './reason-scan.ts'
import { ALLOWED, Shapes } from './shape.ts'
import { VetoCounts } from './veto-counts.ts'

/** Tasks of one configuration, in the order in which they are to be served. */
export interface Want {
  readonly configId: ConfigId
  readonly taskIds: readonly TaskId[]
}

export interface Match {
  readonly taskId: TaskId
  readonly configId: ConfigId
  readonly agentId: AgentId
  readonly host: string
  /** By name of the port. */
  readonly ports: Readonly<Record<string, number>>
  /** Why there. */
  readonly record: PlacementRecord
}

type Writable<T> = { -readonly [Field in keyof T]: T[Field] }

export interface MatchResult {
  readonly placed: readonly Match[]
  /** No host takes them now, or room is held for them by another round, which may yet come to nothing. */
  readonly unplaced: readonly TaskId[]
  /** Not PENDING any more. */
  readonly gone: readonly TaskId[]
}

/** What it reads of the ledger. */
export type MatcherView = Pick<LedgerView, 'task' | 'config' | 'agent' | 'tasksOnAgent' | 'activeTasksOfJob'>

export interface MatcherOptions {
  readonly view: MatcherView
  readonly overhead: Resources
  readonly offerOrder: readonly OfferOrder[]
  readonly random: Prng
  /** Default: those that Aurora ships with. */
  readonly tiers?: Readonly<Record<string, Tier>>
  /** A host that is planned to be away within so long takes nothing new, ms. Default: 6 min. */
  readonly unavailabilityThresholdMs?: number
}

/** A task and the room that is held for it. */
interface Made {
  readonly row: TaskRow
  readonly choice: Choice
  readonly ports: readonly number[]
  readonly claim: RoomClaim | null
}

/** One attempt at one group. */
interface Attempt {
  readonly random: Prng
  readonly made: Made[]
  looked: number
  others: readonly PlacementCandidate[]
}

interface Held {
  readonly job: string
  readonly agentId: AgentId
  /** Used up by this hold; open again if the hold comes to nothing. */
  readonly claim: RoomClaim | null
}

const ASKS_MAX = 10_000
/** Tasks of one attempt that are kept off the host where they have just failed; the rest may meet it again. */
const AVOIDED_MAX = 64
const NO_PORTS: Readonly<Record<string, number>> = {}

export class Matcher {
  readonly book: OfferBook
  readonly filter: HostFilter
  readonly shapes: Shapes
  /** Hosts looked at so far, over all passes. */
  evaluated = 0
  readonly vetoCounts = new VetoCounts()
  readonly #view: MatcherView
  readonly #overhead: Resources
  readonly #tiers: Readonly<Record<string, Tier>>
  readonly #policy: string
  readonly #random: Prng
  readonly #counters = new LimitCounters()
  readonly #choice: HostChoice
  readonly #parked: ParkedGroups
  readonly #asks = new Map<ConfigId, Ask>()
  readonly #held = new Map<TaskId, Held>()

  constructor({ view, overhead, offerOrder, random, tiers, unavailabilityThresholdMs }: MatcherOptions) {
    this.#view = view
    this.#overhead = overhead
    this.#tiers = tiers ?? SHIPPED_TIERS.tiers
    this.#policy = offerOrder.length === 0 ? 'RANDOM' : offerOrder.join(',')
    this.#random = random
    this.book = new OfferBook(offerOrder, random)
    this.shapes = new Shapes(this.book.columns, this.book.attributes)
    const countsOf = (ask: Ask, attribute: string): ValueCounts =>
      this.#counters.countsOf(ask.job, attribute, () => this.#hostsOfJob(ask))
    this.filter = new HostFilter(this.book, this.shapes, countsOf, {
      unavailabilityThresholdMs: unavailabilityThresholdMs ?? 6 * 60_000,
    })
    this.#choice = new HostChoice(this.book, this.filter, countsOf, (job, { row: { agentId }, attributes }) =>
      this.#counters.add(job, { agentId, attributes }),
    )
    this.#parked = new ParkedGroups(this.book, this.filter)
  }

  // ---- agents ----

  /** False when the agent has no row, so that nothing is known of what it has. */
  agentUp(agentId: AgentId): boolean {
    const row = this.#view.agent(agentId)
    if (row === undefined) return false
    this.#describe(row)
    this.book.connect(agentId)
    return true
  }

  agentDown(agentId: AgentId): void {
    this.book.disconnect(agentId)
  }

  /**
   * What the offer of a resource manager holds now; null: none is held. Its agent has a row and is up. `launched`: of the
   * tasks that are ASSIGNED there those whose room the manager has taken off already.
   */
  offered(agentId: AgentId, room: OfferedRoom | null, launched: ReadonlySet<TaskId>): void {
    const unlaunched =
      room === null ? [] : this.#view.tasksOnAgent(agentId).filter(task => isUnlaunched(task, launched))
    this.book.setOffered(
      agentId,
      room,
      unlaunched.map(({ taskId }) => taskId),
    )
  }

  // ---- claims ----

  /** False when the agent is not known. */
  claim(claim: RoomClaim): boolean {
    this.#claimMoved(claim)
    return this.book.claim(claim)
  }

  /** False when it is used or expired already. */
  unclaim(id: string): boolean {
    const claim = this.book.claims.get(id)
    if (claim !== undefined) this.#claimMoved(claim)
    return this.book.unclaim(id)
  }

  claims(): Iterable<RoomClaim> {
    return this.book.claims.all()
  }

  /** Gives up the claims whose time is over. */
  expireClaims(nowMs: Instant): readonly RoomClaim[] {
    const expired = this.book.claims.expired(nowMs)
    for (const { id } of expired) this.unclaim(id)
    return expired
  }

  /** Tasks that were bound to the old claim of their instance may go elsewhere now. */
  #claimMoved({ owner }: RoomClaim): void {
    if (owner.type === 'instance') this.#parked.jobFreed(owner.job)
  }

  // ---- matching ----

  /** Holds what it places. `seed`: of an earlier attempt that is to be repeated; default: drawn. */
  match(want: Want, nowMs: Instant, seed = this.#random.int(0, 2 ** 32)): MatchResult {
    this.expireClaims(nowMs)
    const wanted: TaskRow[] = []
    const gone: TaskId[] = []
    const held: TaskId[] = []
    for (const id of want.taskIds) {
      const row = this.#view.task(id)
      if (row?.status !== 'PENDING' || row.configId !== want.configId) gone.push(id)
      else if (this.book.isTaken(id)) held.push(id)
      else wanted.push(row)
    }
    if (wanted.length === 0) return { placed: [], unplaced: held, gone }

    const ask = this.askOf(want.configId)
    const prepared = this.filter.prepare(ask, nowMs)
    const attempt: Attempt = { random: prng(seed), made: [], looked: 0, others: [] }
    const unseen = ask.gang > 1 ? this.#parked.unseen() : null
    const { free, bound } = this.#useClaims(prepared, wanted, attempt)
    this.#chooseHosts(prepared, free, attempt)
    const found = attempt.made.length
    const isTooFew = unseen !== null && found > 0 && this.countRunning(ask) < ask.gang
    if (isTooFew) {
      for (const { row } of attempt.made.splice(0)) this.#dropHold(row.taskId)
      // Room that it had taken itself would wake it at once, for ever.
      this.#parked.undone(unseen)
    }
    const placed = this.#matches(ask, attempt, seed, wanted.length)

    const isPlaced = new Set(placed.map(match => match.taskId))
    const leftOver = wanted.filter(row => !isPlaced.has(row.taskId)).map(row => row.taskId)
    if (leftOver.length === 0) this.#parked.unpark(want.configId)
    else this.#parked.park(ask, this.#reasons(prepared, bound, leftOver.length, isTooFew ? found : 0), bound.length > 0)
    return { placed, unplaced: [...leftOver, ...held], gone }
  }

  /**
   * Takes back what was matched on hosts that have gone since, and with it a gang that is too small without it. Those that
   * were taken back.
   */
  takeBack(configId: ConfigId, placed: readonly Match[]): readonly TaskId[] {
    const lost = placed.filter(({ agentId }) => this.book.host(agentId)?.connected !== true).map(toTaskId)
    if (lost.length === 0) return []
    this.release(lost)
    const ask = this.askOf(configId)
    if (ask.gang <= 1 || this.countRunning(ask) >= ask.gang) return lost
    const all = placed.map(toTaskId)
    this.release(all)
    return all
  }

  /** Gives holds back; those that the store has confirmed meanwhile stay. */
  release(taskIds: readonly TaskId[]): void {
    for (const id of taskIds) {
      if (this.book.isHeld(id)) this.#dropHold(id)
    }
  }

  /** Whoever knew what the holds were for is gone. */
  releaseAll(): void {
    for (const id of [...this.#held.keys()]) this.#dropHold(id)
  }

  /** Parked groups for which something has changed that may let a task in. Each is named once per attempt. */
  takeWakes(nowMs: Instant, groupsMax = Number.POSITIVE_INFINITY): readonly ConfigId[] {
    return this.#parked.takeWakes(nowMs, groupsMax)
  }

  /** Parked groups are still to be looked at. */
  get hasWakes(): boolean {
    return this.#parked.hasWork
  }

  /** No task of this configuration waits any more: nobody needs its claims. */
  groupGone(configId: ConfigId): void {
    this.#parked.unpark(configId)
    for (const { id } of [...this.book.claims.ofGroup(configId)]) this.book.unclaim(id)
  }

  /** Null when the group has not been tried, or its last attempt placed all. */
  reasonsOf(configId: ConfigId): Reasons | null {
    if (this.book.connectedCount === 0) return NO_AGENTS_REASONS
    return this.#parked.reasonsOf(configId)
  }

  get parkedCount(): number {
    return this.#parked.size
  }

  /** Connected agents whose machine allows tasks with such constraints, whatever room they have. */
  allowedHosts(constraints: readonly Constraint[], nowMs: Instant): readonly AgentId[] {
    const shape = this.shapes.shape(constraints)
    const { columns, slotsMax } = this.book
    const allowed: AgentId[] = []
    for (let slot = 0; slot < slotsMax; slot++) {
      if (columns.connected[slot] === 0 || shape.verdict(slot) !== ALLOWED || this.filter.isAway(slot, nowMs)) continue
      allowed.push(this.book.at(slot).row.agentId)
    }
    return allowed
  }

  /** What a task of the configuration asks of a host. The configuration is stored. */
  askOf(configId: ConfigId): Ask {
    const known = this.#asks.get(configId)
    if (known !== undefined) return known
    const config = this.#view.config(configId)
    assert(config !== undefined, 'the configuration of a live task is stored', { configId })
    const ask = askOf(configId, config, this.#overhead, this.#tiers)
    if (this.#asks.size >= ASKS_MAX) this.#asks.clear()
    this.#asks.set(configId, ask)
    return ask
  }

  // ---- one attempt ----

  /** Serves tasks whose room was claimed. `free`: those that may go anywhere; `bound`: those that wait for their claim. */
  #useClaims(prepared: PreparedAsk, wanted: readonly TaskRow[], attempt: Attempt): Record<'free' | 'bound', TaskRow[]> {
    const { claims } = this.book
    const { ask } = prepared
    let free = [...wanted]
    const bound: TaskRow[] = []
    if (claims.hasInstances) {
      free = wanted.filter(row => {
        const claim = claims.ofInstance(ask.job, row.instance)
        if (claim === undefined) return true
        if (!this.#useClaim(prepared, row, claim, attempt)) bound.push(row)
        return false
      })
    }
    for (const claim of [...claims.ofGroup(ask.configId)]) {
      const next = free[0]
      if (next === undefined) break
      if (this.#useClaim(prepared, next, claim, attempt)) free.shift()
    }
    return { free, bound }
  }

  /** False when the room is not there yet, or the host has become unfit. */
  #useClaim(prepared: PreparedAsk, row: TaskRow, claim: RoomClaim, attempt: Attempt): boolean {
    const host = this.book.host(claim.agentId)
    attempt.looked++
    if (host === undefined || !host.connected) return false
    if (!this.filter.fits({ ...prepared, instance: row.instance }, host.slot)) return false
    this.book.unclaim(claim.id)
    this.#countUp(prepared.ask.job, claim.agentId)
    this.#hold(prepared.ask, row, { host, scored: null }, claim, attempt)
    return true
  }

  #chooseHosts(prepared: PreparedAsk, rows: readonly TaskRow[], attempt: Attempt): void {
    const { ask, nowMs } = prepared
    const together: TaskRow[] = []
    let alone = 0
    for (const row of rows) {
      const failed = ask.soft === null && alone < AVOIDED_MAX ? failedHost(this.#view, row, nowMs) : null
      const avoided = failed === null ? undefined : this.book.host(failed)
      if (avoided === undefined || !avoided.connected) {
        together.push(row)
        continue
      }
      alone++
      if (this.#choose({ ...prepared, avoidedSlot: avoided.slot }, [row], attempt) === 0) together.push(row)
    }
    if (together.length > 0) this.#choose(prepared, together, attempt)
  }

  /** How many found a host: the first ones. */
  #choose(prepared: PreparedAsk, rows: readonly TaskRow[], attempt: Attempt): number {
    const { chosen, looked, others } = this.#choice.choose(prepared, rows.length, attempt.random)
    this.evaluated += looked
    attempt.looked += looked
    attempt.others = others
    chosen.forEach((choice, n) => {
      this.#hold(prepared.ask, rows[n]!, choice, null, attempt)
    })
    return chosen.length
  }

  #hold(ask: Ask, row: TaskRow, choice: Choice, claim: RoomClaim | null, attempt: Attempt): void {
    const { host } = choice
    const ports = this.book.hold(row.taskId, host, ask, attempt.random)
    this.#held.set(row.taskId, { job: ask.job, agentId: host.row.agentId, claim })
    attempt.made.push({ row, choice, ports, claim })
  }

  #matches({ configId, portNames }: Ask, attempt: Attempt, seed: number, tasks: number): readonly Match[] {
    const policy = this.#policy
    const hosts = this.book.connectedCount
    const { looked, others } = attempt
    return attempt.made.map(({ row, choice: { host, scored }, ports, claim }) => {
      const first = scored === null ? { host: host.row.host } : { host: host.row.host, ...scored }
      // By name: to spread what all have in common first would cost 3 µs a task.
      const candidates = claim === null ? [first, ...others] : [first]
      const record: Writable<PlacementRecord> = { seed, policy, tasks, hosts, looked, candidates }
      if (claim !== null) record.claim = claim.owner.type === 'group' ? 'preemption' : 'affinity'
      return {
        taskId: row.taskId,
        configId,
        agentId: host.row.agentId,
        host: host.row.host,
        ports: ports.length === 0 ? NO_PORTS : Object.fromEntries(portNames.map((name, n) => [name, ports[n]!])),
        record,
      }
    })
  }

  #reasons(prepared: PreparedAsk, bound: readonly TaskRow[], leftOver: number, gangFound: number): Reasons {
    if (this.book.connectedCount === 0) return NO_AGENTS_REASONS
    if (bound.length === leftOver) return this.#claimReasons(prepared.ask, bound)
    this.evaluated += this.book.connectedCount
    return scanReasons(this.book, this.filter, prepared, gangFound, this.vetoCounts)
  }

  /** All that are left wait for the host that is kept for them. */
  #claimReasons({ job }: Ask, bound: readonly TaskRow[]): Reasons {
    const details = bound.slice(0, 3).flatMap(({ instance }) => {
      const claim = this.book.claims.ofInstance(job, instance)
      const host = claim === undefined ? undefined : this.book.host(claim.agentId)
      if (claim === undefined || host === undefined) return []
      const until = new Date(claim.expiresMs).toISOString()
      return [`instance ${instance} waits for ${host.row.host}, where it ran before the update, until ${until} at most`]
    })
    return { reasons: ['Waiting for reserved agent'], details }
  }

  // ---- limits ----

  /** Tasks of the job that have a host, those just held included. */
  countRunning(ask: Ask): number {
    let running = 0
    for (const task of this.#view.activeTasksOfJob(ask.jobKey)) {
      if (placeOf(task) !== undefined || this.#held.has(task.taskId)) running++
    }
    return running
  }

  *#hostsOfJob({ jobKey, job }: Ask): Iterable<CountedHost> {
    for (const task of this.#view.activeTasksOfJob(jobKey)) {
      const on = placeOf(task)
      if (on !== undefined) yield this.#countedHost(on)
    }
    for (const held of this.#held.values()) if (held.job === job) yield this.#countedHost(held.agentId)
  }

  #countedHost(agentId: AgentId): CountedHost {
    const attributes = this.book.host(agentId)?.attributes ?? attributeSet(this.#view.agent(agentId)?.attributes ?? [])
    return { agentId, attributes }
  }

  #countUp(job: string, agentId: AgentId): void {
    if (this.#isCountedOn(job, agentId)) this.#counters.add(job, this.#countedHost(agentId))
  }

  #countDown(job: string, agentId: AgentId): void {
    if (this.#isCountedOn(job, agentId)) this.#counters.remove(job, this.#countedHost(agentId))
  }

  /** Of an agent that is not in the book nobody tells what it had when it was counted, so the job is counted anew. */
  #isCountedOn(job: string, agentId: AgentId): boolean {
    if (!this.#counters.isTracked(job)) return false
    const isKnown = this.book.host(agentId) !== undefined
    if (!isKnown) this.#counters.forget(job)
    return isKnown
  }

  #freed(job: string, agentId: AgentId): void {
    this.#countDown(job, agentId)
    this.#parked.jobFreed(job)
  }

  // ---- following the ledger ----

  /** One change of the ledger, with the row as it was. */
  apply(change: RowChange, before: unknown): void {
    const after = change.type === 'put' ? change.row : undefined
    if (change.table === 'task') {
      this.#applyTask(before as TaskRow | undefined, after as TaskRow | undefined)
    } else if (change.table === 'agent') {
      this.#applyAgent(change.key as AgentId, before as AgentRow | undefined, after as AgentRow | undefined)
    }
  }

  #applyTask(before: TaskRow | undefined, after: TaskRow | undefined): void {
    const id = (after ?? before)!.taskId
    const was = before === undefined ? undefined : placeOf(before)
    const is = after === undefined ? undefined : placeOf(after)
    const held = this.#held.get(id)
    if (held !== undefined && after?.status !== 'PENDING') {
      if (is === undefined) {
        this.#dropHold(id, false)
      } else {
        this.#held.delete(id)
        // The usual end of a hold: the job has as many tasks there as before.
        if (was === undefined && is === held.agentId) return this.#bindInBook(after!, is)
        this.#countDown(held.job, held.agentId)
      }
    }
    if (was === is) return
    if (was !== undefined) this.#unbind(before!, was)
    if (is !== undefined) this.#bind(after!, is)
  }

  #describe(row: AgentRow): void {
    const isKnown = this.book.host(row.agentId) !== undefined
    this.book.describe(row)
    if (isKnown) return
    // In the book only: the limit counters know of these tasks, whether their agent is connected or not.
    for (const task of this.#view.tasksOnAgent(row.agentId)) this.#bindInBook(task, row.agentId)
  }

  #bindInBook(task: TaskRow, agentId: AgentId): void {
    // Changes come in batches: a task whose configuration is gone already has ended further on in the same batch.
    const isKnown = this.#asks.has(task.configId) || this.#view.config(task.configId) !== undefined
    if (this.book.host(agentId) === undefined || !isKnown) return
    const { needs, isRevocable } = this.askOf(task.configId)
    this.book.bind(task.taskId, agentId, { needs, isRevocable, ports: Object.values(task.ports) })
  }

  #bind(task: TaskRow, agentId: AgentId): void {
    this.#bindInBook(task, agentId)
    this.#countUp(jobKeyText(task.job), agentId)
  }

  #unbind(task: TaskRow, agentId: AgentId): void {
    this.book.release(task.taskId)
    this.#freed(jobKeyText(task.job), agentId)
  }

  /** `isWaiting`: the task is still PENDING, so that it needs what its instance had claimed. */
  #dropHold(id: TaskId, isWaiting = true): void {
    const held = this.#held.get(id)
    assert(held !== undefined, 'every hold is known by its task', { id })
    this.#held.delete(id)
    this.book.release(id)
    this.#freed(held.job, held.agentId)
    if (held.claim !== null && this.#isClaimNeeded(held.claim, isWaiting)) this.claim(held.claim)
  }

  /** A group's claim is for any of its tasks; an instance may have been promised another host meanwhile. */
  #isClaimNeeded({ owner }: RoomClaim, isWaiting: boolean): boolean {
    if (owner.type === 'group') return true
    return isWaiting && this.book.claims.ofInstance(owner.job, owner.instance) === undefined
  }

  #applyAgent(agentId: AgentId, before: AgentRow | undefined, after: AgentRow | undefined): void {
    if (JSON.stringify(before?.attributes) !== JSON.stringify(after?.attributes)) {
      // Ten thousand agents that register for the first time change no count.
      if (before !== undefined || this.#view.tasksOnAgent(agentId).length > 0) this.#counters.clear()
      this.#parked.attributesChanged()
    }
    if (after === undefined) this.#forgetAgent(agentId)
    else if (this.book.host(agentId) !== undefined) this.book.describe(after)
  }

  #forgetAgent(agentId: AgentId): void {
    for (const [id, held] of this.#held) if (held.agentId === agentId) this.#dropHold(id)
    for (const claim of [...this.claims()]) if (claim.agentId === agentId) this.unclaim(claim.id)
    this.book.forget(agentId)
  }
}

const toTaskId = ({ taskId }: Match): TaskId => taskId

function isUnlaunched({ taskId, status }: TaskRow, launched: ReadonlySet<TaskId>): boolean {
  return status === 'ASSIGNED' && !launched.has(taskId)
}

/** Where the task takes room, if it does. */
function placeOf(task: TaskRow): AgentId | undefined {
  return HOST_ASSIGNED.has(task.status) ? task.agentId : undefined
}
