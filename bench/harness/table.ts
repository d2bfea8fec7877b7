/** Figures as lines of text. */
import type { BenchResult, Figure } from '../bench.ts'

const whole = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 })
const fine = new Intl.NumberFormat('en-US', { maximumSignificantDigits: 3 })

/** Three digits that count, or all before the point. */
export const shown = (value: number): string => (Math.abs(value) >= 1_000 ? whole : fine).format(value)

/** `≥ 20,000`. */
export const boundOf = (better: Figure['better'], bound: number): string =>
  `${better === 'higher' ? '≥' : '≤'} ${shown(bound)}`

export function tableOf({ figures, notes, peers = [] }: BenchResult): readonly string[] {
  const width = Math.max(0, ...figures.map(figure => figure.name.length))
  return [
    `  ${'figure'.padEnd(width)} ${'median'.padStart(12)} ${'unit'.padEnd(13)} (least to most)`,
    ...figures.map(figure => figureLine(figure, width)),
    ...notes.map(note => `  - ${note}`),
    ...peers.flatMap(({ name, version, skipped, configuration }) =>
      skipped === null
        ? [`  peer ${name} ${version ?? ''}`.trimEnd(), ...configuration.map(fact => `    - ${fact}`)]
        : [`  peer ${name}: skipped: ${skipped}`],
    ),
  ]
}

function figureLine(figure: Figure, width: number): string {
  const { name, median, unit, min, max, better, target, met } = figure
  const aim = target === undefined ? '' : `target ${boundOf(better, target)}: ${met ? 'met' : 'MISSED'}`
  const range = `(${shown(min)} to ${shown(max)})`
  const line = [name.padEnd(width), shown(median).padStart(12), unit.padEnd(13), range.padEnd(26), aim]
  return `  ${line.join(' ')}`.trimEnd()
}
