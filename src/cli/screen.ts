import type { Output } from './io.ts'

/** What a screen can take: its width, colours where they are welcome, and nothing that would steer it. */
export type Paint = 'good' | 'busy' | 'bad' | 'dim' | 'strong'
const CODES: Readonly<Record<Paint, string>> = { good: '32', busy: '33', bad: '31', dim: '2', strong: '1' }

export interface Style {
  /** Characters per line; Infinity without a terminal. */
  readonly width: number
  paint(text: string, paint: Paint): string
}

export function styleOf(output: Output, env: Readonly<Record<string, string | undefined>>): Style {
  const colours = output.isTTY && !env.NO_COLOR && env.TERM !== 'dumb'
  const width = output.isTTY ? (output.columns ?? 80) : Number.POSITIVE_INFINITY
  return { width, paint: (text, paint) => (colours && text !== '' ? `\u001b[${CODES[paint]}m${text}\u001b[0m` : text) }
}

/** What comes from outside must not steer the terminal. */
export function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
  return text.replace(/\u001b\[[\d;]*[A-Za-z]/g, '').replace(/[\u0000-\u001f\u007f-\u009f]+/g, ' ')
}

/** `4s`, `3m20s`, `5h02m`, `3d04h` */
export function durationText(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000))
  const two = (n: number): string => String(n).padStart(2, '0')
  if (seconds < 60) return `${seconds}s`
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m${two(seconds % 60)}s`
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)}h${two(Math.floor(seconds / 60) % 60)}m`
  return `${Math.floor(seconds / 86_400)}d${two(Math.floor(seconds / 3600) % 24)}h`
}
