/**
 * Which tasks of one host have to go so that one more fits: all that may be preempted are taken away, and if it fits
 * then, they are given their place back one by one, as long as it still fits: what is not preemptible first, then the
 * highest priority, of equal ones the smallest, then the one that has worked longest. None of those left over can stay.
 * Where a smaller task of no higher standing will do in place of one of them, it goes instead.
 */
import type { Instant } from '../base/time.ts'
import { NEED_KINDS, type Needs } from '../offers/needs.ts'
import type { Victim } from './victim-index.ts'

export interface VictimSet {
  readonly victims: readonly Victim[]
  /** How many of them an agreement with their owner protects. */
  readonly violations: number
  /** How many of them are not preemptible: of the same role and a lower priority. */
  readonly notPreemptible: number
  readonly priorityMax: number
  /** Work that is lost, ms. */
  readonly lostMs: number
}

export interface VictimChoice {
  /** Free for whoever asks; claims are taken off. */
  readonly free: Needs
  readonly needs: Needs
  /** Whether the asker runs on lent cores. */
  readonly isRevocable: boolean
  /** The asker's job. */
  readonly job: string
  /** Those that may be preempted for it. */
  readonly eligible: readonly Victim[]
  /** Whether an agreement says that it stays, unless nothing else works. */
  readonly mustStay: (victim: Victim) => boolean
  /** Whether limits allow one more here when so many tasks of the asker's job are gone. More gone is never worse. */
  readonly isWithinLimits: (gone: number) => boolean
  readonly nowMs: Instant
}

/** Sets of more victims are not looked through for smaller ones. */
const EXCHANGED_MAX = 8

/** Null when it does not fit whoever goes, or fits without any going: then there is nothing to preempt. */
export function victimSet(choice: VictimChoice): VictimSet | null {
  const { eligible, mustStay } = choice
  if (eligible.length === 0 || fitsAsItIs(choice)) return null
  const kept = new Set(eligible.filter(mustStay))
  const willing = kept.size === 0 ? eligible : eligible.filter(victim => !kept.has(victim))
  const gone = smallest(choice, willing, kept) ?? (kept.size === 0 ? null : smallest(choice, eligible, kept))
  if (gone === null) return null
  let lostMs = 0
  let violations = 0
  let notPreemptible = 0
  let priorityMax = Number.NEGATIVE_INFINITY
  for (const victim of gone) {
    lostMs += Math.max(0, choice.nowMs - victim.runningSinceMs)
    priorityMax = Math.max(priorityMax, victim.priority)
    if (kept.has(victim)) violations++
    if (!victim.isPreemptible) notPreemptible++
  }
  return { victims: gone, violations, notPreemptible, priorityMax, lostMs }
}

/** Whether it fits with nobody going. */
export function fitsAsItIs(choice: Omit<VictimChoice, 'eligible' | 'mustStay' | 'nowMs'>): boolean {
  return new Room(choice).fits()
}

/** Negative: `a` is better than `b`. */
export function compareVictimSets(a: VictimSet, b: VictimSet): number {
  return (
    a.violations - b.violations ||
    a.notPreemptible - b.notPreemptible ||
    compareNumbers(a.priorityMax, b.priorityMax) ||
    a.victims.length - b.victims.length ||
    a.lostMs - b.lostMs
  )
}

/** What the host would have with some tasks gone. */
class Room {
  readonly #choice: Omit<VictimChoice, 'eligible' | 'mustStay' | 'nowMs'>
  #cpusMilli: number
  #ramMb: number
  #diskMb: number
  #ports: number
  #gpus: number
  #gone = 0

  constructor(choice: Omit<VictimChoice, 'eligible' | 'mustStay' | 'nowMs'>) {
    this.#choice = choice
    const { free } = choice
    this.#cpusMilli = free.cpusMilli
    this.#ramMb = free.ramMb
    this.#diskMb = free.diskMb
    this.#ports = free.ports
    this.#gpus = free.gpus
  }

  goes(victim: Victim): void {
    this.#change(victim, 1)
  }

  stays(victim: Victim): void {
    this.#change(victim, -1)
  }

  fits(): boolean {
    const { needs, isWithinLimits } = this.#choice
    return (
      (needs.cpusMilli <= 0 || this.#cpusMilli >= needs.cpusMilli) &&
      (needs.ramMb <= 0 || this.#ramMb >= needs.ramMb) &&
      (needs.diskMb <= 0 || this.#diskMb >= needs.diskMb) &&
      (needs.ports <= 0 || this.#ports >= needs.ports) &&
      (needs.gpus <= 0 || this.#gpus >= needs.gpus) &&
      isWithinLimits(this.#gone)
    )
  }

  #change({ needs, isRevocable, job }: Victim, sign: 1 | -1): void {
    // Lent cores are no cores for others, and the other way round.
    if (isRevocable === this.#choice.isRevocable) this.#cpusMilli += sign * needs.cpusMilli
    this.#ramMb += sign * needs.ramMb
    this.#diskMb += sign * needs.diskMb
    this.#ports += sign * needs.ports
    this.#gpus += sign * needs.gpus
    if (job === this.#choice.job) this.#gone += sign
  }
}

/** Null when it does not fit though all of them go. */
function smallest(choice: VictimChoice, from: readonly Victim[], kept: ReadonlySet<Victim>): readonly Victim[] | null {
  const room = new Room(choice)
  for (const victim of from) room.goes(victim)
  if (!room.fits()) return null
  const gone: Victim[] = []
  const staying: Victim[] = []
  for (const victim of [...from].sort(stayFirst(kept))) {
    room.stays(victim)
    if (room.fits()) {
      staying.push(victim)
      continue
    }
    room.goes(victim)
    gone.push(victim)
  }
  if (gone.length > EXCHANGED_MAX) return gone
  const rules = { kept, job: choice.job }
  return gone.map(victim => exchanged(victim, staying, room, rules))
}

/**
 * The smallest task that will do in place of the victim, of those that stay; they change places. It gives less than the
 * victim in every respect, so none of the other victims becomes superfluous.
 */
function exchanged(victim: Victim, staying: Victim[], room: Room, { kept, job }: ExchangeRules): Victim {
  let best = -1
  room.stays(victim)
  staying.forEach((other, index) => {
    if (compareStandings(other, victim, kept) < 0 || !givesLess(other, victim, job)) return
    if (best >= 0 && compareSizes(other.needs, staying[best]!.needs) >= 0) return
    room.goes(other)
    if (room.fits()) best = index
    room.stays(other)
  })
  const chosen = best < 0 ? victim : staying[best]!
  room.goes(chosen)
  if (best >= 0) staying[best] = victim
  return chosen
}

interface ExchangeRules {
  readonly kept: ReadonlySet<Victim>
  readonly job: string
}

function givesLess(a: Victim, b: Victim, job: string): boolean {
  if (a.isRevocable !== b.isRevocable || (a.job === job && b.job !== job)) return false
  return NEED_KINDS.every(({ type }) => a.needs[type] <= b.needs[type]) && compareSizes(a.needs, b.needs) < 0
}

function stayFirst(kept: ReadonlySet<Victim>): (a: Victim, b: Victim) => number {
  return (a, b) =>
    compareStandings(a, b, kept) ||
    compareSizes(a.needs, b.needs) ||
    a.runningSinceMs - b.runningSinceMs ||
    (a.taskId < b.taskId ? -1 : 1)
}

/** Negative: `a` is to stay rather than `b`. Priorities of tasks that are not alike in being preemptible say nothing. */
function compareStandings(a: Victim, b: Victim, kept: ReadonlySet<Victim>): number {
  return (
    Number(kept.has(b)) - Number(kept.has(a)) ||
    Number(a.isPreemptible) - Number(b.isPreemptible) ||
    b.priority - a.priority
  )
}

/** Type by type, in the order in which people see them. */
function compareSizes(a: Needs, b: Needs): number {
  for (const { type } of NEED_KINDS) if (a[type] !== b[type]) return a[type] - b[type]
  return 0
}

/** Of two infinite ones, too. */
function compareNumbers(a: number, b: number): number {
  return a === b ? 0 : a - b
}
