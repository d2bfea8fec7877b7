/**
 * Finds hosts where a pending task would fit if others made way: a slot is a host and the smallest set of tasks that
 * have to go. Hosts are looked at from a start drawn by the seed; what the machine itself refuses, and what would be too
 * small even when everybody had gone, is passed over in a few reads; of the others a bounded number is looked at closely
 * and the best of those are taken. So a search costs much the same on a thousand hosts and on fifty thousand.
 *
 * Several tasks of a group are served by one search, and no room and no victim is counted on twice.
 * Source: the scheduling spec, sections 9 and 17, item D9.
 */
import type { AgentId, ConfigId, TaskId } from '../base/ids.ts'
import { prng } from '../base/prng.ts'
import type { Instant } from '../base/time.ts'
import type { LedgerView } from '../ledger/view.ts'
import { NEED_KINDS, type Needs } from '../offers/needs.ts'
import type { Host } from '../offers/offer-book.ts'
import type { PreparedAsk } from '../scheduling/host-filter.ts'
import type { Matcher } from '../scheduling/matcher.ts'
import { ALLOWED } from '../scheduling/shape.ts'
import { mayPreempt, type Standing } from './eligibility.ts'
import type { HostVictims, Victim, VictimIndex } from './victim-index.ts'
import { compareVictimSets, type VictimSet, victimSet } from './victim-set.ts'

export interface Slot {
  readonly agentId: AgentId
  readonly host: string
  readonly needs: Needs
  /** Not empty. */
  readonly victims: readonly Victim[]
  readonly violations: number
}

export interface SlotRequest {
  readonly configId: ConfigId
  /** For so many tasks of the group. */
  readonly count: number
  readonly nowMs: Instant
  readonly seed: number
  /** Tasks that are not to be touched unless nothing else works. Default: none. */
  readonly mustStay?: (victim: Victim) => boolean
}

export interface SlotsFound {
  readonly slots: readonly Slot[]
  /** Connected hosts, each in one of the four below it, unless the search ended early with all that was asked for. */
  readonly hosts: number
  /** The machine refuses the task, whoever runs there. */
  readonly refused: number
  /** Nobody there may be preempted for it. */
  readonly withoutVictims: number
  /** Too small even when all who may be preempted had gone; or a limit stands in the way. */
  readonly tooSmall: number
  readonly suitable: number
}

/** Hosts that are looked at closely for one task. */
const CLOSE_LOOKS = 32

export class SlotSearch {
  readonly #matcher: Matcher
  readonly #victims: VictimIndex
  readonly #view: LedgerView

  constructor(matcher: Matcher, victims: VictimIndex, view: LedgerView) {
    this.#matcher = matcher
    this.#victims = victims
    this.#view = view
  }

  search(request: SlotRequest): SlotsFound {
    const { configId, count, nowMs, seed } = request
    const { book, filter } = this.#matcher
    const config = this.#view.config(configId)
    const found = { hosts: 0, refused: 0, withoutVictims: 0, tooSmall: 0, suitable: 0 }
    if (config === undefined || count <= 0) return { slots: [], ...found }
    const prepared = filter.prepare(this.#matcher.askOf(configId), nowMs)
    const standing = this.#victims.standingOf(config)
    const closeLooks = Math.max(CLOSE_LOOKS, 2 * count)
    const trials: HostTrial[] = []
    const given: GivenByValue = new Map()
    const { slotsMax, columns } = book
    const start = slotsMax === 0 ? 0 : prng(seed).int(0, slotsMax)
    for (let n = 0; n < slotsMax && trials.length < closeLooks; n++) {
      const slot = start + n < slotsMax ? start + n : start + n - slotsMax
      if (columns.connected[slot] === 0) continue
      found.hosts++
      if (prepared.shape.verdict(slot) !== ALLOWED || filter.isAway(slot, nowMs)) {
        found.refused++
        continue
      }
      const host = book.at(slot)
      const victims = this.#victims.on(host.row.agentId)
      if (victims === undefined) {
        found.withoutVictims++
        continue
      }
      if (!couldFit(prepared, host, victims, standing)) {
        found.tooSmall++
        continue
      }
      const eligible = [...victims.tasks.values()].filter(victim => mayPreempt(standing, victim))
      if (eligible.length === 0) {
        found.withoutVictims++
        continue
      }
      const trial = new HostTrial(host, eligible, this.#freeFor(prepared, host), prepared, request, given)
      if (trial.best === null) {
        found.tooSmall++
        continue
      }
      found.suitable++
      trials.push(trial)
    }
    return { slots: taken(trials, count, prepared.limits.length > 0), ...found }
  }

  #freeFor({ ask }: PreparedAsk, host: Host): Needs {
    const { book } = this.#matcher
    const free = ask.isRevocable ? host.freeRevocable : host.free
    return book.claims.freeFor(host.slot, free, owner => owner.type === 'group' && owner.configId === ask.configId)
  }
}

/** The pending task that a slot is for, in the words of the victim's history. */
export function preemptionMessage(pending: TaskId): string {
  return `Preempting in favor of ${pending}`
}

/** An upper bound: what is free and what all preemptible tasks take. Tasks of the same role are not summed: they pass. */
function couldFit({ ask }: PreparedAsk, host: Host, victims: HostVictims, { role, isPreemptible }: Standing): boolean {
  if (victims.roles.has(role)) return true
  if (isPreemptible) return false
  const { free } = host
  // A revocable task is preemptible, so whoever gets here runs on cores of its own.
  return NEED_KINDS.every(
    ({ type }) => ask.needs[type] <= 0 || free[type] + victims.preemptible[type] >= ask.needs[type],
  )
}

/** Slots that this search has given, by `attribute\0value`: a limit holds over all hosts that share a value. */
type GivenByValue = Map<string, number>

/** One host, while tasks of the group are given slots on it: each uses up room and victims. */
class HostTrial {
  best: VictimSet | null
  readonly host: Host
  readonly needs: Needs
  readonly #prepared: PreparedAsk
  readonly #request: SlotRequest
  readonly #eligible: Set<Victim>
  readonly #free: { -readonly [K in keyof Needs]: Needs[K] }
  readonly #given: GivenByValue
  /** The same on this host alone. */
  #here = 0

  constructor(
    host: Host,
    eligible: readonly Victim[],
    free: Needs,
    prepared: PreparedAsk,
    request: SlotRequest,
    given: GivenByValue,
  ) {
    this.#given = given
    this.host = host
    this.needs = prepared.ask.needs
    this.#prepared = prepared
    this.#request = request
    this.#eligible = new Set(eligible)
    this.#free = { ...free }
    this.best = this.#search()
  }

  take(): Slot | null {
    const set = this.best
    if (set === null) return null
    const { ask } = this.#prepared
    for (const victim of set.victims) {
      this.#eligible.delete(victim)
      for (const { type } of NEED_KINDS) {
        if (type !== 'cpusMilli' || victim.isRevocable === ask.isRevocable) this.#free[type] += victim.needs[type]
      }
    }
    for (const { type } of NEED_KINDS) this.#free[type] -= ask.needs[type]
    this.#count(-set.victims.filter(({ job }) => job === ask.job).length + 1)
    this.refresh()
    const { agentId, host } = this.host.row
    return { agentId, host, needs: ask.needs, victims: set.victims, violations: set.violations }
  }

  /** After another host of the search was given a task. */
  refresh(): void {
    this.best = this.#search()
  }

  /** So many more tasks of the job are on this host. */
  #count(change: number): void {
    const { limits } = this.#prepared
    for (const { name, column } of limits) {
      for (const value of column.valuesOf(this.host.slot) ?? []) {
        const key = `${name}\0${value}`
        this.#given.set(key, (this.#given.get(key) ?? 0) + change)
      }
    }
    this.#here += change
  }

  #search(): VictimSet | null {
    const { ask } = this.#prepared
    return victimSet({
      free: this.#free,
      needs: ask.needs,
      isRevocable: ask.isRevocable,
      eligible: [...this.#eligible],
      mustStay: this.#request.mustStay ?? (() => false),
      isWithinLimits: gone => this.#isWithinLimits(gone),
      nowMs: this.#request.nowMs,
    })
  }

  /** Those of the same job that go make room under its limits. */
  #isWithinLimits(gone: readonly Victim[]): boolean {
    const { limits, byAgent, ask } = this.#prepared
    if (limits.length === 0 && byAgent === null) return true
    let leaving = 0
    for (const { job } of gone) if (job === ask.job) leaving++
    for (const { name, limit, column, counts } of limits) {
      for (const value of column.valuesOf(this.host.slot) ?? []) {
        const there = (counts.get(value) ?? 0) + (this.#given.get(`${name}\0${value}`) ?? 0) - leaving
        if (there >= limit) return false
      }
    }
    return byAgent === null || (byAgent.get(this.host.row.agentId) ?? 0) + this.#here - leaving < 1
  }
}

/** The best for each of the tasks, one after the other. */
function taken(trials: readonly HostTrial[], count: number, isLimited: boolean): readonly Slot[] {
  const slots: Slot[] = []
  while (slots.length < count) {
    let best: HostTrial | null = null
    for (const trial of trials) {
      if (trial.best !== null && (best?.best == null || compareVictimSets(trial.best, best.best) < 0)) best = trial
    }
    const slot = best?.take() ?? null
    if (slot === null) break
    slots.push(slot)
    if (isLimited) for (const trial of trials) trial.refresh()
  }
  return slots
}
