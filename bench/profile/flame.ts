/**
 * A flame graph as one SVG file that needs no script: callers below, what they called above, as wide as the time it took.
 * Names and shares stand in the titles, which viewers show where the pointer is.
 */
import type { Frame, FrameTree } from './frames.ts'

const WIDTH = 1_200
const ROW = 17
const TOP = 44
const MARGIN = 10
/** Narrower frames are not drawn: nobody could point at them. */
const WIDTH_MIN = 0.4
const LETTER = 6.6

export function flameSvg(title: string, { root, idleMicros }: FrameTree): string {
  const rows = depthOf(root, root.micros)
  const height = TOP + rows * ROW + MARGIN
  const scale = (WIDTH - 2 * MARGIN) / Math.max(1, root.micros)
  const drawn: string[] = []
  const draw = (frame: Frame, x: number, depth: number): void => {
    const width = frame.micros * scale
    if (width < WIDTH_MIN) return
    drawn.push(frameSvg(frame, root.micros, x, TOP + (rows - 1 - depth) * ROW, width))
    let at = x
    for (const child of [...frame.children].sort((a, b) => (a.name < b.name ? -1 : 1))) {
      draw(child, at, depth + 1)
      at += child.micros * scale
    }
  }
  draw(root, MARGIN, 0)
  const whole = root.micros + idleMicros
  const busy = `busy ${seconds(root.micros)} of ${seconds(whole)}; all shares are of the busy time`
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" font-family="monospace" font-size="11">`,
    `<rect width="${WIDTH}" height="${height}" fill="#ffffff"/>`,
    `<text x="${MARGIN}" y="18" font-size="14">${escaped(title)}</text>`,
    `<text x="${MARGIN}" y="34" fill="#555555">${escaped(busy)}</text>`,
    ...drawn,
    '</svg>',
    '',
  ].join('\n')
}

function frameSvg(frame: Frame, wholeMicros: number, x: number, y: number, width: number): string {
  const share = (micros: number): string => `${((100 * micros) / Math.max(1, wholeMicros)).toFixed(1)} %`
  const place = frame.place === '' ? '' : ` ${frame.place}`
  const title = `${frame.name}${place}: ${share(frame.micros)}, ${share(frame.selfMicros)} itself`
  const letters = Math.floor((width - 6) / LETTER)
  const text = frame.name.length <= letters ? frame.name : `${frame.name.slice(0, letters - 1)}…`
  const label = letters < 3 ? '' : `<text x="${round(x + 3)}" y="${y + 12}">${escaped(text)}</text>`
  const box = `<rect x="${round(x)}" y="${y}" width="${round(Math.max(0.2, width - 0.4))}" height="${ROW - 1}" fill="${colour(frame)}"/>`
  return `<g><title>${escaped(title)}</title>${box}${label}</g>`
}

/** Ours, packages, Node's own, and what is not JavaScript: four kinds of colour, a shade for each name. */
function colour({ name, place }: Frame): string {
  let hash = 7
  for (const letter of name) hash = (hash * 31 + letter.charCodeAt(0)) % 1_009
  const light = 62 + (hash % 5) * 4
  if (place === '') return `hsl(0,0%,${light + 8}%)`
  if (place.includes('node_modules/')) return `hsl(210,60%,${light + 4}%)`
  if (place.startsWith('node:')) return `hsl(130,35%,${light}%)`
  return `hsl(${20 + (hash % 25)},85%,${light}%)`
}

function depthOf(frame: Frame, wholeMicros: number): number {
  const drawn = frame.children.filter(({ micros }) => micros * WIDTH >= WIDTH_MIN * wholeMicros)
  return 1 + Math.max(0, ...drawn.map(child => depthOf(child, wholeMicros)))
}

const round = (value: number): number => Math.round(value * 10) / 10
const seconds = (micros: number): string => `${(micros / 1e6).toFixed(2)} s`

function escaped(text: string): string {
  return (
    text
      // biome-ignore lint/suspicious/noControlCharactersInRegex: XML forbids them even when escaped
      .replace(/[\u0000-\u001f\u007f\ufffe\uffff]|[\ud800-\udfff](?![\udc00-\udfff])/gu, '?')
      .replace(/&/g, '&amp;')
      .replace(/</g, '&lt;')
      .replace(/>/g, '&gt;')
      .replace(/"/g, '&quot;')
  )
}
