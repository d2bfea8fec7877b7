/** What is drawn into a plot: medians as bars or lines, the range of the runs at each, targets. */
import type * as echarts from 'echarts'
import type { Figure } from '../bench.ts'
import { boundOf, shown } from '../harness/table.ts'
import type { LegendItem, Look } from './legend.ts'

export interface Point {
  readonly series: string
  readonly label: string
  readonly x: number
  readonly figure: Figure
}

export interface Layout {
  readonly points: readonly Point[]
  /** Places of bars, from left to right. */
  readonly labels: readonly string[]
  /** Series. */
  readonly names: readonly string[]
  /** True if places are numbers, false if they are labels. */
  readonly lines: boolean
}

export const INK = '#222222'
const AIM = '#c00000'
const TARGET = 'target'
const BAR_WIDTH_MAX = 56
const BAR_GAP = '10%'
/** More numbers than this at bars run into each other; the table beside the picture has them. */
const NUMBERS_MAX = 20

export function mediansOf(name: string, { points, labels, lines }: Layout, look: Look): echarts.SeriesOption {
  const { color } = look
  const own = points.filter(({ series }) => series === name)
  if (lines) {
    const data = [...own].sort((a, b) => a.x - b.x).map(({ x, figure }) => [x, figure.median])
    const lineStyle = { width: 2, color, type: look.dash === 'solid' ? look.dash : [...look.dash] }
    return { name, type: 'line', data, symbol: look.symbol, symbolSize: 8, lineStyle }
  }
  const data = labels.map(label => own.find(point => point.label === label)?.figure.median ?? '-')
  return {
    name,
    type: 'bar',
    data,
    barMaxWidth: BAR_WIDTH_MAX,
    barGap: BAR_GAP,
    itemStyle: { color, ...hatching(look) },
  }
}

const hatching = ({ hatch }: Look) =>
  hatch === null ? {} : { decal: { rotation: hatch, dashArrayX: [1, 0], dashArrayY: [2, 5], color: '#ffffff' } }

/**
 * From the least to the most of the runs, with the median as a number above. Ranges of several lines are at one place: they
 * have the colour of their line, and no numbers, which would be written over each other.
 */
export function rangesOf(name: string, layout: Layout, color: string): echarts.SeriesOption {
  const own = layout.points.filter(({ series }) => series === name)
  const at = layout.names.indexOf(name)
  const several = layout.lines && layout.names.length > 1
  const numbers = layout.points.length <= NUMBERS_MAX && !several
  return {
    type: 'custom',
    silent: true,
    z: 10,
    encode: { x: 0, y: [1, 2] },
    data: own.map(({ x, label, figure }) => [placeOf({ x, label }, layout), figure.min, figure.max, figure.median]),
    renderItem: (_, api) => {
      const [x = 0, low = 0] = api.coord([api.value(0), api.value(1)])
      const [, high = 0] = api.coord([api.value(0), api.value(2)])
      const centre = x + offsetOf(api, at, layout)
      const style = { stroke: several ? color : INK, lineWidth: several ? 2 : 1 }
      const line = (x1: number, y1: number, x2: number, y2: number) =>
        ({ type: 'line', shape: { x1, y1, x2, y2 }, style }) as const
      const cap = 4
      const range = [
        line(centre, low, centre, high),
        line(centre - cap, low, centre + cap, low),
        line(centre - cap, high, centre + cap, high),
      ]
      const text = shown(Number(api.value(3)))
      const place = { x: centre, y: high - 5, align: 'center', verticalAlign: 'bottom' } as const
      const halo = { fill: INK, stroke: '#ffffff', lineWidth: 3, fontSize: 11 }
      const number = { type: 'text', z2: 100, style: { text, ...place, ...halo } } as const
      return { type: 'group', children: [...(low === high ? [] : range), ...(numbers ? [number] : [])] }
    },
  }
}

export const targetLegend = (points: readonly Point[]): LegendItem[] =>
  points.some(({ figure }) => figure.target !== undefined)
    ? [{ name: TARGET, icon: 'path://M0 4h10v3h-10zM15 4h10v3h-10z' }]
    : []

/** A dashed line: across the picture if there is one target for all, else at each bar or point that has one. */
export function targetsOf(layout: Layout): echarts.SeriesOption[] {
  const aimed = layout.points.filter(({ figure }) => figure.target !== undefined)
  const [first] = aimed
  if (first === undefined) return []
  const one = aimed.every(({ figure }) => figure.target === first.figure.target)
  const style = { stroke: AIM, lineWidth: 2, lineDash: [6, 4] }
  return [
    {
      name: TARGET,
      type: 'custom',
      silent: true,
      z: 5,
      itemStyle: { color: AIM },
      encode: { x: 0, y: 1 },
      data: (one ? [first] : aimed).map(({ x, label, series, figure }) => {
        return [placeOf({ x, label }, layout), figure.target!, layout.names.indexOf(series)]
      }),
      renderItem: (params, api) => {
        const [x = 0, y = 0] = api.coord([api.value(0), api.value(1)])
        const grid = params.coordSys as unknown as { readonly x: number; readonly width: number }
        const centre = x + offsetOf(api, Number(api.value(2)), layout)
        const half = layout.lines ? 24 : (barsOf(api, layout)[0]?.width ?? 0) / 2 + 6
        const [x1, x2] = one ? [grid.x, grid.x + grid.width] : [centre - half, centre + half]
        const line = { type: 'line', shape: { x1, y1: y, x2, y2: y }, style } as const
        if (!one) return line
        const text = boundOf(first.figure.better, first.figure.target!)
        const place = { x: x2 + 4, y, align: 'left', verticalAlign: 'middle' } as const
        return { type: 'group', children: [line, { type: 'text', style: { text, ...place, fill: AIM, fontSize: 11 } }] }
      },
    },
  ]
}

const placeOf = ({ x, label }: Pick<Point, 'x' | 'label'>, { lines, labels }: Layout): number =>
  lines ? x : labels.indexOf(label)

const offsetOf = (api: echarts.CustomSeriesRenderItemAPI, at: number, layout: Layout): number =>
  layout.lines ? 0 : (barsOf(api, layout)[at]?.offsetCenter ?? 0)

/** As echarts places the bars of one label side by side. */
const barsOf = (api: echarts.CustomSeriesRenderItemAPI, { names }: Layout) =>
  api.barLayout({ count: names.length, barGap: BAR_GAP, barMaxWidth: BAR_WIDTH_MAX }) ?? []
