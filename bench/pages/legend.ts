/** How series of a plot are told apart, and the rows of names above it. */

/** Okabe and Ito's colours, which people with any kind of sight can tell apart. */
const COLOURS = ['#0072b2', '#e69f00', '#009e73', '#cc79a7', '#56b4e9', '#d55e00'] as const
/** When all colours are used they come again: as other lines with other points, as hatched bars. */
const STROKES = [
  { dash: 'solid', symbol: 'circle', hatch: null },
  { dash: [8, 4], symbol: 'rect', hatch: Math.PI / 4 },
  { dash: [2, 3], symbol: 'triangle', hatch: -Math.PI / 4 },
] as const

/** In pixels. */
const [ROW_HEIGHT, GAP, ICON_WIDTH, LETTER_WIDTH, MARGIN] = [22, 24, 30, 7, 20]

export interface Look {
  readonly color: string
  /** The line: whole, or pixels of dash and gap in turn. */
  readonly dash: 'solid' | readonly [number, number]
  readonly symbol: 'circle' | 'rect' | 'triangle'
  /** Angle of the hatching of a bar, in radians; null for a plain one. */
  readonly hatch: number | null
}

/** Of the series at this place, from 0. */
export function lookOf(at: number): Look {
  const stroke = STROKES[Math.floor(at / COLOURS.length) % STROKES.length]!
  return { color: COLOURS[at % COLOURS.length]!, ...stroke }
}

export interface LegendItem {
  readonly name: string
  readonly icon?: string
}

/** As many in a row as fit, by a guess of how wide their letters are. None for no items. */
export function legendRows(items: readonly LegendItem[], width: number): LegendItem[][] {
  const rows: LegendItem[][] = []
  let left = 0
  for (const item of items) {
    const taken = ICON_WIDTH + LETTER_WIDTH * item.name.length
    if (rows.length === 0 || taken > left) {
      rows.push([])
      left = width - 2 * MARGIN
    }
    rows.at(-1)!.push(item)
    left -= taken + GAP
  }
  return rows
}

/** Rows of names, each a legend of its own and centred, from `top` on; and by how much what is below them moves down. */
export function legendsOf(items: readonly LegendItem[], width: number, top: number, color: string) {
  const rows = legendRows(items, width)
  const legends = rows.map((data, at) => ({ top: top + at * ROW_HEIGHT, itemGap: GAP, data, textStyle: { color } }))
  return { legends, moved: Math.max(0, rows.length - 1) * ROW_HEIGHT }
}
