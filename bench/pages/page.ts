/** `docs/benchmarks.md` and its pictures, from results and remarks alone. Pure: the same results give the same bytes. */
import type { Figure } from '../bench.ts'
import { machineLine } from '../harness/machine.ts'
import type { Measurement } from '../harness/report.ts'
import { boundOf, shown } from '../harness/table.ts'
import { pictureOf } from './picture.ts'
import type { TargetGroup } from './targets.ts'
import { type GroupVerdict, type Remarks, type TargetVerdict, verdictsOf } from './verdict.ts'

export interface Pages {
  /** `docs/benchmarks.md` */
  readonly markdown: string
  /** By file name below `docs/benchmarks/`. */
  readonly pictures: ReadonlyMap<string, string>
  readonly verdicts: readonly GroupVerdict[]
}

/** `measurements`: one of each bench. Throws if a target or a plot does not fit what was measured. */
export function pagesOf(measurements: readonly Measurement[], groups: readonly TargetGroup[], remarks: Remarks): Pages {
  const verdicts = verdictsOf(groups, measurements, remarks)
  const pictures = new Map<string, string>()
  const parts = measurements.map(one => {
    const names = one.plots.flatMap(plot => {
      const svg = pictureOf(one.bench, plot, one.figures)
      if (svg === null) return []
      const name = `${one.bench}-${plot.name}.svg`
      pictures.set(name, svg)
      return [`![${text(plot.title)}](benchmarks/${name})`]
    })
    return benchPart(one, names, remarks)
  })
  const markdown = [
    ...head(measurements),
    ...machines(measurements),
    '## Targets',
    '',
    ...targetTable(verdicts),
    ...parts.flat(),
  ].join('\n')
  return { markdown: `${markdown.trimEnd()}\n`, pictures, verdicts }
}

const head = (measurements: readonly Measurement[]): readonly string[] => [
  '# Benchmarks',
  '',
  '<!-- Made by `npm run bench:docs` from bench/results: measure again instead of typing here. -->',
  '',
  'A figure is the median of several runs after a warm-up, with the least and the most of them beside it, or says that it was',
  'measured once. Where its bench says so in its notes, the values are something else than runs: hosts, seeds, minutes. Peers are',
  'measured in the same run, on the same machine, in turns with Daybreak. How to read a bench, and what is real in it, is in',
  '`bench/README.md`.',
  '',
  ...(measurements.length === 0 ? ['**Nothing has been measured yet.**', ''] : []),
  'To measure again:',
  '',
  '```text',
  'npm ci',
  ...measurements.map(({ bench, quick, peers }) => {
    const beside = peers.length === 0 ? '' : ` --peers ${peers.map(({ name }) => name).join(',')}`
    return `npm run bench -- ${bench}${quick ? ' --quick' : ''}${beside} --json bench/results/${bench}.json`
  }),
  'npm run bench:docs',
  '```',
  '',
]

function machines(measurements: readonly Measurement[]): readonly string[] {
  const benches = new Map<string, string[]>()
  for (const { machine, bench } of measurements) {
    const { disk, ...rest } = machine
    // How long a flush takes differs from run to run and stands with each bench.
    const key = machineLine({ ...rest, disk: { ...disk, flushMs: 0 } }).replace(/ where a flush.*/, '')
    benches.set(key, [...(benches.get(key) ?? []), bench])
  }
  if (benches.size === 0) return []
  const lines = [...benches].map(([line, of]) =>
    benches.size === 1 ? `- ${text(line)}` : `- ${of.join(', ')}: ${text(line)}`,
  )
  return ['## Machine', '', ...lines, '- All nodes, clients, agents and peers of a bench share it.', '']
}

function targetTable(groups: readonly GroupVerdict[]): readonly string[] {
  const all = groups.flatMap(({ verdicts }) => verdicts)
  const count = (which: TargetVerdict['verdict']): number => all.filter(({ verdict }) => verdict === which).length
  const sums = [`${count('met')} of ${all.length} met`, `${count('missed')} missed`]
  if (count('rough') > 0) sums.push(`${count('rough')} measured by a quick run only, which decides nothing`)
  if (count('not measured') > 0) sums.push(`${count('not measured')} not measured`)
  const missed = all.filter(({ verdict }) => verdict === 'missed')
  return [
    `${sums.join(', ')}.`,
    '',
    ...groups.flatMap(({ title, verdicts, beside }) => [
      `### ${title}`,
      '',
      '| What | Target | Measured | Least to most | |',
      '|---|--:|--:|--:|---|',
      ...verdicts.map(({ target, figure, verdict }) =>
        row(
          text(target.text),
          `${boundOf(target.better, target.bound)} ${unitOf(target.unit)}`,
          ...valuesOf(figure),
          WORDS[verdict],
        ),
      ),
      ...beside.map(({ text: what, measured }) => row(text(what), '', ...valuesOf(measured), 'for comparison')),
      '',
    ]),
    ...(missed.length === 0 ? [] : ['### Missed, and why', '', ...missed.map(remarkLine), '']),
  ]
}

const WORDS: Record<TargetVerdict['verdict'], string> = {
  met: 'met',
  missed: '**missed**',
  rough: 'quick run: rough',
  'not measured': 'not measured',
}

function remarkLine({ target, remark }: TargetVerdict): string {
  const name = `**${text(target.text)}** (\`${target.bench}/${target.figure}\`)`
  return remark === null
    ? `- ${name}: not yet explained.`
    : `- ${name}: ${oneLine(remark.reason)} Next: ${oneLine(remark.next)}`
}

function benchPart(one: Measurement, pictures: readonly string[], remarks: Remarks): readonly string[] {
  const { bench, title, quick, startedAt, commit, tookMs, load, runs, machine, figures, notes, peers } = one
  const explained = figures.filter(({ name, met }) => met === false && remarks[`${bench}/${name}`] !== undefined)
  const facts = [
    `Measured ${startedAt.slice(0, 16).replace('T', ' ')} UTC${commit === null ? '' : ` at commit ${commit}`}`,
    `${runs} runs of a figure unless a note says otherwise`,
    `took ${duration(tookMs)}`,
    `load ${shown(load.before)} before and ${shown(load.after)} after`,
    `a flush of 4 KiB took ${shown(machine.disk.flushMs)} ms`,
  ]
  return [
    `## ${bench}`,
    '',
    `${text(title)}.`,
    '',
    ...(quick ? ['**A quick run: small sizes, rough figures. They decide nothing.**', ''] : []),
    `${facts.join('; ')}.`,
    '',
    '| Figure | Median | Least to most | Unit | Target | |',
    '|---|--:|--:|---|--:|---|',
    ...figures.map(figure => {
      const { name, unit, better, target, met } = figure
      const aim = target === undefined ? '' : boundOf(better, target)
      const verdict = met === null ? '' : quick ? 'rough' : met ? 'met' : '**missed**'
      const [median, range] = [shown(figure.median), rangeOf(figure)]
      return row(`\`${name}\``, median, range, text(unit), aim, verdict)
    }),
    '',
    ...pictures.flatMap(picture => [picture, '']),
    ...notes.map(note => `- ${text(note)}`),
    ...explained.map(({ name }) => {
      const { reason, next } = remarks[`${bench}/${name}`]!
      return `- \`${name}\` misses its target: ${oneLine(reason)} Next: ${oneLine(next)}`
    }),
    ...(notes.length + explained.length > 0 ? [''] : []),
    ...peers.flatMap(({ name, version, skipped, configuration }) =>
      skipped === null
        ? [`**${name}** ${text(version ?? '')}`.trimEnd(), '', ...configuration.map(fact => `- ${text(fact)}`), '']
        : [`**${name}** was skipped: ${text(skipped)}`, ''],
    ),
  ]
}

const row = (...cells: readonly string[]): string => `| ${cells.join(' | ')} |`
const unitOf = (unit: string): string => (unit === 'ratio' ? '×' : text(unit))
const rangeOf = ({ values, min, max }: Figure): string =>
  values.length === 1 ? 'once' : `${shown(min)} to ${shown(max)}`

function valuesOf(figure: Figure | null): readonly [string, string] {
  return figure === null ? ['', ''] : [`${shown(figure.median)} ${unitOf(figure.unit)}`, rangeOf(figure)]
}

function duration(ms: number): string {
  const seconds = Math.round(ms / 1_000)
  return seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`
}

const oneLine = (of: string): string => text(of.trim().replace(/\s+/g, ' '))

/** What others wrote, so that Markdown shows it as it is: no cell ends early, no tag begins. */
function text(of: string): string {
  return of
    .replace(/[\r\n]+/g, ' ')
    .replace(/[|<>*_[\]]/g, sign => (sign === '<' ? '&lt;' : sign === '>' ? '&gt;' : `\\${sign}`))
}
