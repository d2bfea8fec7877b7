/**
 * One host, while tasks of a group are given slots on it: each uses up room and victims, and what victims leave over is
 * for the next one. Limits are kept over all hosts of a search: slots that were given count like tasks that run.
 */
import type { Needs } from '../offers/needs.ts'
import { NEED_KINDS } from '../offers/needs.ts'
import type { Host } from '../offers/offer-book.ts'
import type { PreparedAsk } from '../scheduling/host-filter.ts'
import type { Victim } from './victim-index.ts'
import { compareVictimSets, fitsAsItIs, type VictimSet, victimSet } from './victim-set.ts'

export interface TrialRules {
  readonly prepared: PreparedAsk
  readonly mustStay: (victim: Victim) => boolean
  readonly nowMs: number
  readonly given: GivenSlots
}

/** What the counts of a job do not know yet: slots that were given, and victims of the job that go for them. */
export class GivenSlots {
  /** Rises with every change. */
  version = 0
  readonly #prepared: PreparedAsk
  /** As the limits of the ask: by value. */
  readonly #byValue: readonly Map<string, number>[]
  readonly #bySlot = new Map<number, number>()

  constructor(prepared: PreparedAsk) {
    this.#prepared = prepared
    this.#byValue = prepared.limits.map(() => new Map())
  }

  /** So many more tasks of the job are to be on the host. */
  add(slot: number, change: number): void {
    if (change === 0) return
    this.version++
    this.#prepared.limits.forEach(({ column }, n) => {
      const counts = this.#byValue[n]!
      for (const value of column.valuesOf(slot) ?? []) counts.set(value, (counts.get(value) ?? 0) + change)
    })
    this.#bySlot.set(slot, (this.#bySlot.get(slot) ?? 0) + change)
  }

  /** Whether limits allow one more there, when so many tasks of the job that are there now are gone. */
  isWithinLimits(host: Host, gone: number): boolean {
    const { limits, byAgent } = this.#prepared
    for (let n = 0; n < limits.length; n++) {
      const { limit, column, counts } = limits[n]!
      const given = this.#byValue[n]!
      for (const value of column.valuesOf(host.slot) ?? []) {
        if ((counts.get(value) ?? 0) + (given.get(value) ?? 0) - gone >= limit) return false
      }
    }
    if (byAgent === null) return true
    return (byAgent.get(host.row.agentId) ?? 0) + (this.#bySlot.get(host.slot) ?? 0) - gone < 1
  }
}

/** Room that victims of an earlier slot on the host leave over. */
const LEFT_OVER: VictimSet = {
  victims: [],
  violations: 0,
  notPreemptible: 0,
  priorityMax: Number.NEGATIVE_INFINITY,
  lostMs: 0,
}

export class HostTrial {
  readonly host: Host
  /** For the next task; null: none fits any more. */
  best: VictimSet | null
  readonly #rules: TrialRules
  #eligible: readonly Victim[]
  readonly #free: { -readonly [K in keyof Needs]: Needs[K] }
  #taken = 0
  #version: number

  /** `free`: nobody has a claim on it. */
  constructor(host: Host, eligible: readonly Victim[], free: Needs, rules: TrialRules) {
    this.host = host
    this.#eligible = eligible
    const { cpusMilli, ramMb, diskMb, ports, gpus } = free
    this.#free = { cpusMilli, ramMb, diskMb, ports, gpus }
    this.#rules = rules
    this.#version = rules.given.version
    this.best = this.#search()
  }

  /** What is best is given to a task. */
  take(set: VictimSet): void {
    const { ask } = this.#rules.prepared
    const going = new Set(set.victims)
    this.#eligible = this.#eligible.filter(victim => !going.has(victim))
    let ofJob = 0
    for (const { needs, isRevocable, job } of going) {
      if (job === ask.job) ofJob++
      for (const { type } of NEED_KINDS) {
        if (type !== 'cpusMilli' || isRevocable === ask.isRevocable) this.#free[type] += needs[type]
      }
    }
    for (const { type } of NEED_KINDS) this.#free[type] -= ask.needs[type]
    this.#rules.given.add(this.host.slot, 1 - ofJob)
    this.#taken++
    this.#renew()
  }

  /** Slots that were given elsewhere may stand in the way by a limit. */
  refresh(): void {
    if (this.#version !== this.#rules.given.version && isCounted(this.#rules.prepared)) this.#renew()
  }

  #renew(): void {
    this.#version = this.#rules.given.version
    this.best = this.#search()
  }

  #search(): VictimSet | null {
    const { prepared, mustStay, nowMs, given } = this.#rules
    const { needs, isRevocable, job } = prepared.ask
    const isWithinLimits = (gone: number): boolean => given.isWithinLimits(this.host, gone)
    const choice = { free: this.#free, needs, isRevocable, job, isWithinLimits }
    if (this.#taken > 0 && fitsAsItIs(choice)) return LEFT_OVER
    return victimSet({ ...choice, eligible: this.#eligible, mustStay, nowMs })
  }
}

/** Where tasks of the job are decides what fits. */
export function isCounted({ limits, byAgent }: PreparedAsk): boolean {
  return limits.length > 0 || byAgent !== null
}

/** The best for each of so many tasks, one after the other. The trials are used up. */
export function* bestFirst(
  trials: readonly HostTrial[],
  count: number,
): Generator<{ readonly host: Host; readonly set: VictimSet }> {
  // Best last.
  const waiting: HostTrial[] = []
  for (const trial of [...trials].reverse()) insert(waiting, trial)
  for (let given = 0; given < count; ) {
    const trial = waiting.pop()
    if (trial === undefined) return
    const before = trial.best
    trial.refresh()
    const set = trial.best
    if (set === null) continue
    if (set !== before && isBehind(trial, waiting.at(-1))) {
      insert(waiting, trial)
      continue
    }
    trial.take(set)
    given++
    yield { host: trial.host, set }
    insert(waiting, trial)
  }
}

function isBehind({ best }: HostTrial, next: HostTrial | undefined): boolean {
  return best !== null && next?.best != null && compareVictimSets(best, next.best) > 0
}

/** Keeps the order; of equal ones the last that came is the next to be popped. */
function insert(waiting: HostTrial[], trial: HostTrial): void {
  if (trial.best === null) return
  let low = 0
  let high = waiting.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (compareVictimSets(waiting[middle]!.best!, trial.best) >= 0) low = middle + 1
    else high = middle
  }
  waiting.splice(low, 0, trial)
}
