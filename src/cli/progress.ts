import type { Io } from './io.ts'

/**
 * What a long command shows on the way, on stderr, so that stdout stays its answer: a spinner on a terminal, lines
 * elsewhere.
 */
export interface Progress {
  /** Where things stand; elsewhere than on a terminal a line, when it differs from the one before. */
  show(text: string): void
  /** What changes too often for lines: seen on a terminal only, below what was shown. */
  detail(text: string): void
  /** Lets something else be written without tearing the spinner. */
  aside(write: () => void): void
  /** A second time does nothing. */
  end(success: boolean): void
}

export async function progressOn(io: Io, quiet = false): Promise<Progress> {
  if (quiet) return { show: () => {}, detail: () => {}, aside: write => write(), end: () => {} }
  if (io.stderr.isTTY && !io.env.NO_COLOR) return spinner()
  let shown = ''
  return {
    show: text => {
      if (text !== shown) io.stderr.write(`${text}\n`)
      shown = text
    },
    detail: () => {},
    aside: write => write(),
    end: () => {},
  }
}

async function spinner(): Promise<Progress> {
  const { default: ora } = await import('ora')
  const turning = ora({ text: 'waiting', discardStdin: false }).start()
  let open = true
  let head = ''
  return {
    show: text => {
      head = text
      turning.text = text
    },
    detail: text => {
      turning.text = `${head}\n  ${text}`
    },
    aside: write => {
      turning.clear()
      write()
    },
    end: success => {
      turning.text = head
      if (open && success) turning.succeed()
      else if (open) turning.stop()
      open = false
    },
  }
}
