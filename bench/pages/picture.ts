/**
 * A plot of a bench as SVG, by echarts, which draws without a browser. The same figures give the same bytes, so that a
 * picture that is checked in can be held against its figures.
 */
import * as echarts from 'echarts'
import type { Figure, Plot } from '../bench.ts'
import { shown } from '../harness/table.ts'
import { legendsOf, lookOf } from './legend.ts'
import { INK, type Layout, mediansOf, type Point, rangesOf, targetLegend, targetsOf } from './marks.ts'

const [WIDTH, HEIGHT] = [760, 420]
const LEGEND_TOP = 36
const FAINT = '#dddddd'
/** From this span on, small values would be lost on a linear scale. */
const DECADES = 30
/** More letters than this do not fit beside each other. */
const LABEL_LETTERS_ALL = 80

/** Null if none of the plot's figures was measured. Throws if their units differ. */
export function pictureOf(bench: string, plot: Plot, figures: readonly Figure[]): string | null {
  const points = plot.points.flatMap(({ figure, series, label, x }): Point[] => {
    const found = figures.find(({ name }) => name === figure)
    if (found === undefined || !Number.isFinite(found.median)) return []
    if (plot.kind === 'lines' && x === undefined) throw new Error(`plot ${bench}-${plot.name}: ${figure} has no x`)
    return [{ series, label, x: x ?? 0, figure: found }]
  })
  if (points.length === 0) return null
  const units = [...new Set(points.map(({ figure }) => figure.unit))]
  if (units.length > 1) throw new Error(`plot ${bench}-${plot.name} has figures in ${units.join(' and ')}: make two`)
  const { option, height } = drawingOf(plot, points, units[0]!)
  const chart = echarts.init(null, null, { renderer: 'svg', ssr: true, width: WIDTH, height })
  try {
    chart.setOption(option)
    return `${renamed(chart.renderToSVGString())}\n`
  } finally {
    chart.dispose()
  }
}

/** The names that echarts gives to styles and clips count all charts of the process: here they count from one. */
function renamed(svg: string): string {
  const names = new Map<string, string>()
  return svg.replace(/\bzr\d+-(?:[a-z]+-?)?\d+\b/g, name => {
    const known = names.get(name) ?? `s${names.size + 1}`
    names.set(name, known)
    return known
  })
}

/** Rows of the legend after the first make the picture higher, so that the plot below them is as large as ever. */
function drawingOf(plot: Plot, points: readonly Point[], unit: string) {
  const labels = [...new Set(points.map(({ label }) => label))]
  const names = [...new Set(points.map(({ series }) => series))]
  const lines = plot.kind === 'lines'
  const layout: Layout = { points, labels, names, lines }
  const rotated = labels.join('').length > LABEL_LETTERS_ALL
  const items = [...(names.length > 1 ? names.map(name => ({ name })) : []), ...targetLegend(points)]
  const { legends, moved } = legendsOf(items, WIDTH, LEGEND_TOP, INK)
  const option: echarts.EChartsOption = {
    animation: false,
    backgroundColor: '#ffffff',
    color: names.map((_, at) => lookOf(at).color),
    textStyle: { fontFamily: 'sans-serif', color: INK },
    title: { text: plot.title, left: 'center', top: 8, textStyle: { fontSize: 15, color: INK } },
    legend: legends,
    grid: { left: 90, right: 76, top: 80 + moved, bottom: rotated ? 110 : lines ? 62 : 44 },
    xAxis: lines
      ? { ...axis(plot.xTitle ?? '', spanOf(points.map(({ x }) => x))), nameLocation: 'middle', nameGap: 34 }
      : {
          type: 'category',
          data: labels,
          axisTick: { show: false },
          axisLabel: { color: INK, interval: 0, rotate: rotated ? 30 : 0 },
          axisLine: { lineStyle: { color: INK } },
        },
    yAxis: {
      ...axis(unit, spanOf(points.flatMap(({ figure }) => [0.8 * figure.min, 1.2 * figure.max, ...aims(figure)]))),
      nameLocation: 'middle',
      nameGap: 66,
    },
    series: [
      ...names.map((name, at) => mediansOf(name, layout, lookOf(at))),
      ...names.map((name, at) => rangesOf(name, layout, lookOf(at).color)),
      ...targetsOf(layout),
    ],
  }
  return { option, height: HEIGHT + moved }
}

const aims = ({ target }: Figure): readonly number[] => (target === undefined ? [] : [target])

interface Span {
  readonly log: boolean
  /** Powers of ten around the values, where the scale is logarithmic. */
  readonly least: number
  readonly most: number
}

function spanOf(values: readonly number[]): Span {
  const [least, most] = [Math.min(...values), Math.max(...values)]
  const log = least > 0 && most / least >= DECADES
  return { log, least: 10 ** Math.floor(Math.log10(least)), most: 10 ** Math.ceil(Math.log10(most)) }
}

function axis(name: string, { log, least, most }: Span) {
  return {
    ...(log ? { type: 'log' as const, min: least, max: most } : { type: 'value' as const }),
    name: log ? `${name} (logarithmic)` : name,
    nameTextStyle: { color: INK, fontSize: 13 },
    axisLabel: { color: INK, formatter: (value: number) => shown(value) },
    axisLine: { show: true, lineStyle: { color: INK } },
    splitLine: { lineStyle: { color: FAINT } },
  }
}
