/**
 * A run held against an earlier one: which figures are better or worse beyond what chance explains.
 *
 * Chance is judged by the runs of both sides, with a rank test, because times of runs are not spread normally. Where too
 * few runs were made for it to decide anything, only a large change whose ranges do not touch counts. Nothing is
 * converted from one machine to another: it is said that they differ, and the reader judges.
 */
import type { Figure } from '../bench.ts'
import { rankTest, rankTestLeast } from './rank-test.ts'
import type { Measurement } from './report.ts'
import { shown } from './table.ts'

/** Smaller changes of a median are not told, however sure: they are within what a restart of the program changes. */
export const CHANGE_MIN = 0.05
/** The same where the rank test cannot decide: one run on a side, or three against three. */
export const CHANGE_MIN_FEW_RUNS = 0.25
const CHANCE_MAX = 0.05
/** Difference of the load before, in runnable threads a core. */
const LOAD_APART = 0.25

export interface Change {
  readonly bench: string
  readonly figure: string
  readonly unit: string
  readonly before: number
  readonly after: number
  /** Of the median: 0.1 is a tenth more. */
  readonly change: number
  readonly verdict: 'worse' | 'better' | 'same'
}

export interface Comparison {
  readonly changes: readonly Change[]
  /** What makes the two hard to compare, and which figures have no counterpart. */
  readonly warnings: readonly string[]
}

/** Benches that both have, each figure by its name. Failed ones, and quick ones against whole ones, are only warned of. */
export function compared(before: readonly Measurement[], after: readonly Measurement[]): Comparison {
  const changes: Change[] = []
  const warnings: string[] = []
  for (const now of after) {
    const then = before.find(({ bench }) => bench === now.bench)
    if (then === undefined) {
      warnings.push(`${now.bench}: not in the earlier run`)
      continue
    }
    const hindrance = hindranceOf(then, now)
    if (hindrance !== null) {
      warnings.push(`${now.bench}: ${hindrance}`)
      continue
    }
    warnings.push(...differences(then, now).map(difference => `${now.bench}: ${difference}`))
    for (const figure of now.figures) {
      const earlier = then.figures.find(({ name }) => name === figure.name)
      if (earlier === undefined) warnings.push(`${now.bench}: ${figure.name} is new`)
      else if (earlier.unit !== figure.unit || earlier.better !== figure.better) {
        warnings.push(`${now.bench}: ${figure.name} was in ${earlier.unit} and is in ${figure.unit}: not compared`)
      } else changes.push(changeOf(now.bench, earlier, figure))
    }
    const gone = then.figures.filter(({ name }) => !now.figures.some(figure => figure.name === name))
    warnings.push(...gone.map(({ name }) => `${now.bench}: ${name} was not measured this time`))
  }
  return { changes, warnings }
}

/** Why these two cannot be compared at all; null if they can. */
export function hindranceOf(
  then: Pick<Measurement, 'quick' | 'failed'>,
  now: Pick<Measurement, 'quick' | 'failed'>,
): string | null {
  if (then.failed !== null) return 'the earlier run failed'
  if (now.failed !== null) return 'this run failed'
  if (then.quick === now.quick) return null
  return then.quick ? 'the earlier run was --quick, this one is not' : 'this run is --quick, the earlier one was not'
}

function changeOf(bench: string, then: Figure, now: Figure): Change {
  const [before, after] = [then.median, now.median]
  const change = before === after ? 0 : (after - before) / Math.abs(before)
  const rose = change > 0 === (now.better === 'higher')
  const verdict = beyondNoise(then, now, change) ? (rose ? 'better' : 'worse') : 'same'
  return { bench, figure: now.name, unit: now.unit, before, after, change, verdict }
}

function beyondNoise(then: Figure, now: Figure, change: number): boolean {
  if (rankTestLeast(then.values.length, now.values.length) < CHANCE_MAX) {
    return Math.abs(change) > CHANGE_MIN && rankTest(then.values, now.values) < CHANCE_MAX
  }
  return Math.abs(change) > CHANGE_MIN_FEW_RUNS && (then.max < now.min || now.max < then.min)
}

function differences(then: Measurement, now: Measurement): readonly string[] {
  const facts = (['cpu', 'cores', 'memoryMiB', 'kernel', 'node'] as const)
    .filter(fact => then.machine[fact] !== now.machine[fact])
    .map(fact => `${fact} was ${then.machine[fact]}, is ${now.machine[fact]}`)
  if (then.machine.disk.fileSystem !== now.machine.disk.fileSystem) {
    facts.push(`file system was ${then.machine.disk.fileSystem}, is ${now.machine.disk.fileSystem}`)
  }
  const loads = [then.load.before, now.load.before] as const
  const apart = Math.abs(loads[0] - loads[1]) / Math.max(1, now.machine.cores) > LOAD_APART
  return [
    ...(facts.length === 0 ? [] : [`ANOTHER MACHINE: ${facts.join('; ')}: a difference may be the machine's`]),
    ...(apart
      ? [`ANOTHER LOAD: was ${shown(loads[0])} before, is ${shown(loads[1])}: a difference may be the load's`]
      : []),
    ...(then.profiled === now.profiled ? [] : ['only one of the two ran under a profiler, which costs time']),
  ]
}

/** Warnings, then what is worse, then what is better, then how many did not change. */
export function comparisonLines({ changes, warnings }: Comparison, file: string): readonly string[] {
  const of = (verdict: Change['verdict']): readonly Change[] => changes.filter(change => change.verdict === verdict)
  return [
    `against ${file}:`,
    ...warnings.map(warning => `  ! ${warning}`),
    ...of('worse').map(change => `  WORSE  ${changeText(change)}`),
    ...of('better').map(change => `  better ${changeText(change)}`),
    `  ${of('worse').length} worse, ${of('better').length} better, ${of('same').length} within noise`,
  ]
}

function changeText({ bench, figure, unit, before, after, change }: Change): string {
  const percent = Number.isFinite(change) ? ` (${change > 0 ? '+' : ''}${shown(change * 100)} %)` : ''
  return `${bench} ${figure}: ${shown(before)} → ${shown(after)} ${unit}${percent}`
}
