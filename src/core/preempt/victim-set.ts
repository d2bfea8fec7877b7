/**
 * Which tasks of one host have to go so that one more fits: all that may be preempted are taken away, and if it fits
 * then, they are given their place back one by one, as long as it still fits: the highest priority first, of equal ones
 * the smallest, then the one that has worked longest. What is left over is a minimal set: none of them can stay.
 */
import type { Instant } from '../base/time.ts'
import { NEED_KINDS, type Needs } from '../offers/needs.ts'
import type { Victim } from './victim-index.ts'

export interface VictimSet {
  readonly victims: readonly Victim[]
  /** How many of them an agreement with their owner protects. */
  readonly violations: number
  readonly priorityMax: number
  /** Work that is lost, ms. */
  readonly lostMs: number
}

export interface VictimChoice {
  /** Free for whoever asks; claims of others are taken off. */
  readonly free: Needs
  readonly needs: Needs
  /** Whether the asker runs on lent cores. */
  readonly isRevocable: boolean
  /** Those that may be preempted for it. */
  readonly eligible: readonly Victim[]
  /** Whether an agreement says that it stays, unless nothing else works. */
  readonly mustStay: (victim: Victim) => boolean
  /** Whether limits allow one more here when these are gone. */
  readonly isWithinLimits: (gone: readonly Victim[]) => boolean
  readonly nowMs: Instant
}

/** Null when it does not fit whoever goes, or fits without any going: then there is nothing to preempt. */
export function victimSet(choice: VictimChoice): VictimSet | null {
  const { eligible, mustStay } = choice
  if (eligible.length === 0 || fits(choice, [])) return null
  const willing = eligible.filter(victim => !mustStay(victim))
  const all = willing.length > 0 && fits(choice, willing) ? willing : eligible
  if (!fits(choice, all)) return null
  let gone = [...all].sort(stayFirst(choice))
  for (const victim of [...gone]) {
    const without = gone.filter(other => other !== victim)
    if (fits(choice, without)) gone = without
  }
  let lostMs = 0
  let priorityMax = Number.NEGATIVE_INFINITY
  for (const { priority, runningSinceMs } of gone) {
    lostMs += Math.max(0, choice.nowMs - runningSinceMs)
    priorityMax = Math.max(priorityMax, priority)
  }
  return { victims: gone, violations: gone.filter(mustStay).length, priorityMax, lostMs }
}

/** Negative: `a` is better than `b`. */
export function compareVictimSets(a: VictimSet, b: VictimSet): number {
  return (
    a.violations - b.violations ||
    a.priorityMax - b.priorityMax ||
    a.victims.length - b.victims.length ||
    a.lostMs - b.lostMs
  )
}

function fits({ free, needs, isRevocable, isWithinLimits }: VictimChoice, gone: readonly Victim[]): boolean {
  for (const { type } of NEED_KINDS) {
    if (needs[type] <= 0) continue
    let room = free[type]
    for (const victim of gone) {
      // Lent cores are no cores for others, and the other way round.
      if (type === 'cpusMilli' && victim.isRevocable !== isRevocable) continue
      room += victim.needs[type]
    }
    if (room < needs[type]) return false
  }
  return isWithinLimits(gone)
}

function stayFirst({ mustStay }: VictimChoice): (a: Victim, b: Victim) => number {
  return (a, b) =>
    Number(mustStay(b)) - Number(mustStay(a)) ||
    b.priority - a.priority ||
    compareSizes(a.needs, b.needs) ||
    a.runningSinceMs - b.runningSinceMs ||
    (a.taskId < b.taskId ? -1 : 1)
}

/** Type by type, in the order in which people see them. */
function compareSizes(a: Needs, b: Needs): number {
  for (const { type } of NEED_KINDS) if (a[type] !== b[type]) return a[type] - b[type]
  return 0
}
