import Table from 'cli-table3'
import { type Paint, printable, type Style } from './screen.ts'

/**
 * Tables without borders that fit the terminal: wide columns give way, a column that may wrap does, and columns of
 * little worth are left out before anything is cut. Without a terminal nothing is cut, so that pipes see whole values.
 */
export interface Column {
  readonly head: string
  /** Breaks over lines instead of being cut, and gives way first. */
  readonly wraps?: boolean
  readonly right?: boolean
  /** Characters below which it is not cut. */
  readonly min?: number
  /** The lowest is left out first when there is no room; without one it stays. */
  readonly worth?: number
}

const GAP = 2
const WRAP_MIN = 16

export interface Cell {
  readonly text: string
  readonly paint?: Paint
}

export function tableText(
  columns: readonly Column[],
  rows: readonly (readonly (string | Cell)[])[],
  style: Style,
): string {
  const cells = rows.map(row =>
    row.map(cell => (typeof cell === 'string' ? { text: printable(cell) } : { ...cell, text: printable(cell.text) })),
  )
  const natural = columns.map((column, at) => {
    return Math.max(column.head.length, ...cells.map(row => (row[at]?.text ?? '').length))
  })
  const { widths, kept } = fitWidths(columns, natural, style.width)
  const shown = kept.map(at => columns[at] as Column)
  const table = new Table({
    chars: EMPTY_CHARS,
    style: { 'padding-left': 0, 'padding-right': GAP, head: [], border: [], compact: true },
    head: shown.map(column => style.paint(column.head, 'dim')),
    colWidths: kept.map(at => (widths[at] as number) + GAP),
    colAligns: shown.map(column => (column.right === true ? 'right' : 'left')),
    wordWrap: true,
    wrapOnWordBoundary: true,
  })
  for (const row of cells) {
    table.push(
      kept.map(at => {
        const cell = row[at] ?? { text: '' }
        const width = widths[at] as number
        const wraps = columns[at]?.wraps === true
        const text = wraps ? brokenWords(cell.text, width) : cut(cell.text, width)
        return 'paint' in cell && cell.paint !== undefined ? style.paint(text, cell.paint) : text
      }),
    )
  }
  const lines = table.toString().split('\n')
  return `${lines.map(line => line.trimEnd()).join('\n')}\n`
}

/** Widths of the columns that stay, so that all of them with their gaps fill at most `width`. */
function fitWidths(
  columns: readonly Column[],
  natural: readonly number[],
  width: number,
): { readonly widths: readonly number[]; readonly kept: readonly number[] } {
  let kept = columns.map((_, at) => at)
  for (;;) {
    const widths = [...natural]
    const least = (at: number): number => {
      const column = columns[at] as Column
      const min = column.min ?? (column.wraps === true ? WRAP_MIN : (natural[at] as number))
      return Math.min(
        natural[at] as number,
        Math.max(min, column.wraps === true ? longestWord(column.head) : column.head.length),
      )
    }
    const total = (): number => kept.reduce((sum, at) => sum + (widths[at] as number) + GAP, -GAP)
    const give = (wrapping: boolean): void => {
      while (total() > width) {
        const giving = kept.filter(at => (columns[at]?.wraps === true) === wrapping && widths[at]! > least(at))
        if (giving.length === 0) return
        const widest = giving.reduce((a, b) => (widths[b]! > widths[a]! ? b : a))
        widths[widest] = Math.max(least(widest), widths[widest]! - (total() - width))
      }
    }
    give(true)
    const spare = kept.filter(at => columns[at]?.worth !== undefined)
    if (total() > width && spare.length > 0) {
      const cheapest = spare.reduce((a, b) => (columns[b]!.worth! < columns[a]!.worth! ? b : a))
      kept = kept.filter(at => at !== cheapest)
      continue
    }
    give(false)
    return { widths, kept }
  }
}

const longestWord = (text: string): number => Math.max(...text.split(' ').map(word => word.length))
const cut = (text: string, width: number): string =>
  text.length <= width ? text : `${text.slice(0, Math.max(0, width - 1))}…`

/** A word longer than the column would be cut by the table, so it is broken here. */
function brokenWords(text: string, width: number): string {
  const pieces = (word: string): string[] => word.match(new RegExp(`.{1,${Math.max(1, width)}}`, 'gu')) ?? ['']
  return text
    .split(' ')
    .flatMap(word => (word.length <= width ? [word] : pieces(word)))
    .join(' ')
}

const EMPTY_CHARS = Object.fromEntries(
  ['top', 'top-mid', 'top-left', 'top-right', 'bottom', 'bottom-mid', 'bottom-left', 'bottom-right']
    .concat(['left', 'left-mid', 'mid', 'mid-mid', 'right', 'right-mid', 'middle'])
    .map(name => [name, '']),
)
