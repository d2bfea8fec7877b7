/**
 * Decides where tasks go: the offer book, the limit counters, remembered verdicts and pending reasons, moved together.
 * A group of equal tasks is served in one pass over the candidates, and the pass is never begun again for the next
 * task. Chosen room is held until the staged assignment replaces the hold, so every further decision of the same round
 * already sees it (D1, D7).
 *
 * Under a random order a group is spread: one task per host and turn, as Aurora's one task per offer does; under a
 * packing order each host is filled as far as resources and limits allow.
 *
 * It changes nothing but itself. Ledger changes are fed to it in the order of staging; a decision is made only when
 * all of them have been.
 */
import { assert } from '../base/assert.ts'
import { type AgentId, type ConfigId, type JobKey, jobKeyText, type TaskId } from '../base/ids.ts'
import type { Prng } from '../base/prng.ts'
import type { Constraint, Resources } from '../job/task-config.ts'
import type { AgentRow, TaskRow } from '../ledger/rows.ts'
import type { RowChange } from '../ledger/transaction.ts'
import type { LedgerView } from '../ledger/view.ts'
import { type OfferOrder, rankOf } from '../offers/candidate-order.ts'
import { type Needs, needsOf, timesFitting } from '../offers/needs.ts'
import { type Host, OfferBook } from '../offers/offer-book.ts'
import { StaticVerdicts } from '../offers/static-verdicts.ts'
import { HOST_ASSIGNED } from '../task/status.ts'
import { type AttributeSet, attributeSet, type CountOf } from './constraints.ts'
import { LimitCounters } from './limit-counters.ts'
import { NO_AGENTS_REASONS, type Reasons, ReasonTally } from './pending-reasons.ts'
import { limitVeto, shortages } from './veto.ts'

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
}

export interface MatchResult {
  readonly placed: readonly Match[]
  /** No host takes them now, or room is held for them by another round, which may yet come to nothing. */
  readonly unplaced: readonly TaskId[]
  /** Not PENDING any more. */
  readonly gone: readonly TaskId[]
}

export interface MatcherOptions {
  readonly view: LedgerView
  readonly overhead: Resources
  readonly offerOrder: readonly OfferOrder[]
  readonly random: Prng
}

interface Ask {
  readonly jobKey: JobKey
  /** The same as text. */
  readonly job: string
  readonly needs: Needs
  readonly portNames: readonly string[]
  readonly constraints: readonly Constraint[]
  readonly hasLimits: boolean
}

/** A group whose last attempt left tasks over. */
interface Parked {
  readonly ask: Ask
  readonly reasons: Reasons
  isWoken: boolean
}

const ASKS_MAX = 10_000
const NO_COUNTS: CountOf = () => 0

export class Matcher {
  readonly book: OfferBook
  readonly verdicts = new StaticVerdicts()
  /** Hosts looked at so far, over all passes. */
  evaluated = 0
  readonly #view: LedgerView
  readonly #overhead: Resources
  readonly #counters = new LimitCounters()
  readonly #asks = new Map<ConfigId, Ask>()
  readonly #held = new Map<TaskId, { readonly job: string; readonly agentId: AgentId }>()
  readonly #parked = new Map<ConfigId, Parked>()
  /** Jobs of which a task has left its host, since wake-ups were last taken. */
  readonly #freedJobs = new Set<string>()
  #attributesChanged = false

  constructor({ view, overhead, offerOrder, random }: MatcherOptions) {
    this.#view = view
    this.#overhead = overhead
    this.book = new OfferBook(offerOrder, random)
  }

  /** False when the agent has no row, so that nothing is known of what it has. */
  agentUp(agentId: AgentId): boolean {
    const row = this.#view.agent(agentId)
    if (row === undefined) return false
    const isKnown = this.book.host(agentId) !== undefined
    this.book.describe(row)
    if (!isKnown) {
      // In the book only: the limit counters know of these tasks, whether their agent is connected or not.
      for (const task of this.#view.tasksOnAgent(agentId)) this.#bindInBook(task, agentId)
    }
    this.book.connect(agentId)
    return true
  }

  agentDown(agentId: AgentId): void {
    this.book.disconnect(agentId)
  }

  /** One change of the ledger, with the row as it was. */
  apply(change: RowChange, before: unknown): void {
    const after = change.type === 'put' ? change.row : undefined
    if (change.table === 'task') {
      this.#applyTask(before as TaskRow | undefined, after as TaskRow | undefined)
    } else if (change.table === 'agent') {
      this.#applyAgent(change.key as AgentId, before as AgentRow | undefined, after as AgentRow | undefined)
    }
  }

  /** Holds what it places. */
  match(want: Want): MatchResult {
    const wanted: TaskId[] = []
    const gone: TaskId[] = []
    const held: TaskId[] = []
    for (const id of want.taskIds) {
      const row = this.#view.task(id)
      if (row?.status !== 'PENDING' || row.configId !== want.configId) gone.push(id)
      else if (this.book.isTaken(id)) held.push(id)
      else wanted.push(id)
    }
    if (wanted.length === 0) return { placed: [], unplaced: held, gone }

    const ask = this.#askOf(want.configId)
    const hosts = this.#choose(ask, wanted.length)
    const placed = hosts.map((host, index): Match => {
      const id = wanted[index]!
      const ports = this.book.hold(id, host, ask.needs)
      this.#held.set(id, { job: ask.job, agentId: host.row.agentId })
      return {
        taskId: id,
        configId: want.configId,
        agentId: host.row.agentId,
        host: host.row.host,
        ports: Object.fromEntries(ask.portNames.map((name, n) => [name, ports[n]!])),
      }
    })
    const leftOver = wanted.slice(placed.length)
    if (leftOver.length === 0) this.#parked.delete(want.configId)
    else this.#parked.set(want.configId, { ask, reasons: this.#explain(ask), isWoken: false })
    return { placed, unplaced: [...leftOver, ...held], gone }
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
  takeWakes(): readonly ConfigId[] {
    const { grown } = this.book
    if (grown.size === 0 && this.#freedJobs.size === 0 && !this.#attributesChanged) return []
    const woken: ConfigId[] = []
    for (const [configId, parked] of this.#parked) {
      if (parked.isWoken || !this.#mayFitNow(parked)) continue
      parked.isWoken = true
      woken.push(configId)
    }
    grown.clear()
    this.#freedJobs.clear()
    this.#attributesChanged = false
    return woken
  }

  /** No task of this configuration waits any more. */
  groupGone(configId: ConfigId): void {
    this.#parked.delete(configId)
  }

  /** Null when the group has not been tried, or its last attempt placed all. */
  reasonsOf(configId: ConfigId): Reasons | null {
    if (this.book.connectedCount === 0) return NO_AGENTS_REASONS
    return this.#parked.get(configId)?.reasons ?? null
  }

  get parkedCount(): number {
    return this.#parked.size
  }

  // ---- matching ----

  /** One host per task that finds one, at most `count`; limit counters are bumped already. */
  #choose(ask: Ask, count: number): readonly Host[] {
    const { candidates } = this.book
    const shape = this.verdicts.shape(ask.constraints, this.book.slotsMax)
    const countOf = this.#countOf(ask)
    const chosen: Host[] = []
    const take = (host: Host): boolean => {
      if (ask.hasLimits && limitVeto(host.attributes, ask.constraints, countOf) !== null) return false
      this.#counters.add(ask.job, host.attributes)
      chosen.push(host)
      return true
    }
    let rank = -1
    let withRoom: { readonly host: Host; left: number }[] = []
    const useUpRank = (): void => {
      while (withRoom.length > 0 && chosen.length < count) {
        withRoom = withRoom.filter(entry => {
          if (chosen.length === count || !take(entry.host)) return false
          return --entry.left > 0
        })
      }
      withRoom = []
    }
    candidates.walk(slot => {
      this.evaluated++
      const host = this.book.at(slot)
      const times = timesFitting(host.free, ask.needs, count - chosen.length)
      if (times === 0 || this.verdicts.verdict(shape, host) !== null) return false
      if (rankOf(host) !== rank) {
        useUpRank()
        rank = rankOf(host)
        if (chosen.length === count) return true
      }
      if (candidates.isPacking) {
        for (let n = 0; n < times; n++) if (!take(host)) break
      } else if (take(host) && times > 1) {
        withRoom.push({ host, left: times - 1 })
      }
      return chosen.length === count
    })
    useUpRank()
    return chosen
  }

  #explain(ask: Ask): Reasons {
    const shape = this.verdicts.shape(ask.constraints, this.book.slotsMax)
    const countOf = this.#countOf(ask)
    const tally = new ReasonTally()
    for (const host of this.book.hosts()) {
      if (!host.connected) continue
      this.evaluated++
      const first = this.verdicts.verdict(shape, host) ?? limitVeto(host.attributes, ask.constraints, countOf)
      const found = first === null ? shortages(host.free, ask.needs) : [first]
      assert(found.length > 0, 'a task is left over only when every host refuses it', { host: host.row.host })
      tally.note(host, found)
    }
    return tally.finish(ask.needs)
  }

  #mayFitNow({ ask, reasons }: Parked): boolean {
    if (ask.hasLimits && (this.#attributesChanged || this.#freedJobs.has(ask.job))) return true
    const shape = this.verdicts.shape(ask.constraints, this.book.slotsMax)
    for (const slot of this.book.grown) {
      const host = this.book.at(slot)
      if (!host.connected) continue
      // The reason is not true any more, so that another attempt is due even if it only finds a better one.
      if (reasons === NO_AGENTS_REASONS) return true
      if (timesFitting(host.free, ask.needs, 1) === 0 || this.verdicts.verdict(shape, host) !== null) continue
      if (limitVeto(host.attributes, ask.constraints, this.#countOf(ask)) === null) return true
    }
    return false
  }

  #isKnown(configId: ConfigId): boolean {
    return this.#asks.has(configId) || this.#view.config(configId) !== undefined
  }

  #askOf(configId: ConfigId): Ask {
    const known = this.#asks.get(configId)
    if (known !== undefined) return known
    const config = this.#view.config(configId)
    assert(config !== undefined, 'the configuration of a live task is stored', { configId })
    const ask: Ask = {
      jobKey: config.job,
      job: jobKeyText(config.job),
      needs: needsOf(config, this.#overhead),
      portNames: config.ports,
      constraints: config.constraints,
      hasLimits: config.constraints.some(constraint => constraint.rule.type === 'limit'),
    }
    if (this.#asks.size >= ASKS_MAX) this.#asks.clear()
    this.#asks.set(configId, ask)
    return ask
  }

  // ---- limits ----

  #countOf(ask: Ask): CountOf {
    return ask.hasLimits ? this.#counters.countsOf(ask.job, () => this.#hostsOfJob(ask)) : NO_COUNTS
  }

  *#hostsOfJob({ jobKey, job }: Ask): Iterable<AttributeSet> {
    for (const task of this.#view.activeTasksOfJob(jobKey)) {
      const on = placeOf(task)
      if (on !== undefined) yield this.#attributesOf(on)
    }
    for (const held of this.#held.values()) if (held.job === job) yield this.#attributesOf(held.agentId)
  }

  #attributesOf(agentId: AgentId): AttributeSet {
    return this.book.host(agentId)?.attributes ?? attributeSet(this.#view.agent(agentId)?.attributes ?? [])
  }

  // ---- following the ledger ----

  #applyTask(before: TaskRow | undefined, after: TaskRow | undefined): void {
    const id = (after ?? before)!.taskId
    const was = before === undefined ? undefined : placeOf(before)
    const is = after === undefined ? undefined : placeOf(after)
    const held = this.#held.get(id)
    if (held !== undefined && after?.status !== 'PENDING') {
      if (is === undefined) {
        this.#dropHold(id)
      } else {
        this.#held.delete(id)
        this.#counters.remove(held.job, this.#attributesOf(held.agentId))
      }
    }
    if (was === is) return
    if (was !== undefined) this.#unbind(before!, was)
    if (is !== undefined) this.#bind(after!, is)
  }

  #bindInBook(task: TaskRow, agentId: AgentId): void {
    // Changes come in batches: a task whose configuration is gone already has ended further on in the same batch.
    if (this.book.host(agentId) === undefined || !this.#isKnown(task.configId)) return
    const { needs } = this.#askOf(task.configId)
    this.book.bind(task.taskId, agentId, { needs, ports: Object.values(task.ports) })
  }

  #bind(task: TaskRow, agentId: AgentId): void {
    this.#bindInBook(task, agentId)
    const job = jobKeyText(task.job)
    if (this.#counters.isTracked(job)) this.#counters.add(job, this.#attributesOf(agentId))
  }

  #unbind(task: TaskRow, agentId: AgentId): void {
    this.book.release(task.taskId)
    this.#countDown(jobKeyText(task.job), agentId)
  }

  #dropHold(id: TaskId): void {
    const held = this.#held.get(id)
    assert(held !== undefined, 'every hold is known by its task', { id })
    this.#held.delete(id)
    this.book.release(id)
    this.#countDown(held.job, held.agentId)
  }

  #countDown(job: string, agentId: AgentId): void {
    if (this.#counters.isTracked(job)) this.#counters.remove(job, this.#attributesOf(agentId))
    this.#freedJobs.add(job)
  }

  #applyAgent(agentId: AgentId, before: AgentRow | undefined, after: AgentRow | undefined): void {
    if (JSON.stringify(before?.attributes) !== JSON.stringify(after?.attributes)) {
      this.#counters.clear()
      this.#attributesChanged = true
    }
    if (after === undefined) this.#forgetAgent(agentId)
    else if (this.book.host(agentId) !== undefined) this.book.describe(after)
  }

  #forgetAgent(agentId: AgentId): void {
    for (const [id, held] of this.#held) if (held.agentId === agentId) this.#dropHold(id)
    this.book.forget(agentId)
  }
}

/** Where the task takes room, if it does. */
function placeOf(task: TaskRow): AgentId | undefined {
  return HOST_ASSIGNED.has(task.status) ? task.agentId : undefined
}
