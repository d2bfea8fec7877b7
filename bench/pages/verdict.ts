/** The targets held against what was measured, with the remarks on those that were missed. */
import { LineCounter, parseDocument } from 'yaml'
import { z } from 'zod'
import { type Figure, PEER_NAMES } from '../bench.ts'
import type { Measurement } from '../harness/report.ts'
import type { Beside, Target, TargetGroup } from './targets.ts'

const remark = z.strictObject({
  /** What the profile shows. */
  reason: z.string().min(1),
  /** What is to be done about it. */
  next: z.string().min(1),
})
export type Remark = z.infer<typeof remark>
/** By `<bench>/<figure>`. */
export type Remarks = Readonly<Record<string, Remark>>

export interface TargetVerdict {
  readonly target: Target
  readonly figure: Figure | null
  /** `rough`: measured by a quick run, which decides nothing. */
  readonly verdict: 'met' | 'missed' | 'rough' | 'not measured'
  readonly remark: Remark | null
}

export interface GroupVerdict {
  readonly title: string
  readonly verdicts: readonly TargetVerdict[]
  readonly beside: readonly (Beside & { readonly measured: Figure })[]
}

/** Throws with file and line if the text is not as it must be. */
export function remarksOf(text: string, path: string): Remarks {
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines })
  const [fault] = document.errors
  if (fault !== undefined)
    throw new Error(`${path}:${lines.linePos(fault.pos[0]).line}: ${fault.message.split('\n')[0]}`)
  const read = z.record(z.string(), remark).safeParse(document.toJS() ?? {})
  if (read.success) return read.data
  const [issue] = read.error.issues
  throw new Error(`${path}: ${issue?.path.join('.')}: ${issue?.message}; a remark has a reason and a next step`)
}

export function verdictsOf(
  groups: readonly TargetGroup[],
  measurements: readonly Measurement[],
  remarks: Remarks,
): readonly GroupVerdict[] {
  return groups.map(({ title, targets, beside = [] }) => ({
    title,
    verdicts: targets.map(target => verdictOf(target, measurements, remarks)),
    beside: beside.flatMap(one => {
      const found = figureOf(one, measurements)
      return found === null ? [] : [{ ...one, measured: found.figure }]
    }),
  }))
}

function verdictOf(target: Target, measurements: readonly Measurement[], remarks: Remarks): TargetVerdict {
  const found = figureOf(target, measurements)
  const remark = remarks[`${target.bench}/${target.figure}`] ?? null
  if (found === null) return { target, figure: null, verdict: 'not measured', remark }
  const { figure, quick } = found
  if (figure.unit !== target.unit) {
    throw new Error(
      `${target.bench}/${target.figure} is in ${figure.unit}, its target in ${target.unit}: correct bench/pages/targets.ts`,
    )
  }
  const met = target.better === 'higher' ? figure.median >= target.bound : figure.median <= target.bound
  return { target, figure, verdict: quick ? 'rough' : met ? 'met' : 'missed', remark }
}

function figureOf(
  { bench, figure }: Pick<Target, 'bench' | 'figure'>,
  measurements: readonly Measurement[],
): { readonly figure: Figure; readonly quick: boolean } | null {
  const of = measurements.find(one => one.bench === bench)
  const found = of?.figures.find(({ name }) => name === figure)
  return of === undefined || found === undefined ? null : { figure: found, quick: of.quick }
}

/** Figures that a whole run should have and lacks, missed targets that nobody explains, remarks on what is not missed. */
export function faultsOf(
  groups: readonly GroupVerdict[],
  measurements: readonly Measurement[],
  remarks: Remarks,
): readonly string[] {
  const missed = groups
    .flatMap(({ verdicts }) => verdicts)
    .filter(({ verdict }) => verdict === 'missed')
    .map(({ target }) => `${target.bench}/${target.figure}`)
  // A bench has targets of its own beside these: they may be explained, these must be.
  const ofBenches = measurements.flatMap(({ bench, figures }) =>
    figures.filter(({ met }) => met === false).map(({ name }) => `${bench}/${name}`),
  )
  return [
    ...groups
      .flatMap(({ verdicts }) => verdicts)
      .filter(({ verdict, target }) => verdict === 'not measured' && isDue(target, measurements))
      .map(
        ({ target }) => `${target.bench} has no figure ${target.figure}: correct its name in bench/pages/targets.ts`,
      ),
    ...missed
      .filter(key => remarks[key] === undefined)
      .map(key => `${key} misses its target and has no remark: say its reason and the next step`),
    ...Object.keys(remarks)
      .filter(key => !missed.includes(key) && !ofBenches.includes(key))
      .map(key => `${key} has a remark and misses no target: take the remark away, or correct its name`),
  ]
}

/** Whether the bench was measured whole, with the peer that the figure is of, if it is of one. */
function isDue({ bench, figure }: Target, measurements: readonly Measurement[]): boolean {
  const of = measurements.find(one => one.bench === bench)
  if (of === undefined || of.quick) return false
  const peer = PEER_NAMES.find(name => `-${figure}-`.includes(`-${name}-`))
  return peer === undefined || of.peers.some(({ name, skipped }) => name === peer && skipped === null)
}
