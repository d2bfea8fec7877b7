import { CLIENT_EXIT } from './exit-status.ts'
import { CliFailure, Interrupted, type Io } from './io.ts'
import { printable, styleOf } from './screen.ts'

/** How a command ends on the screen: the exit status, and for a failure its text, its faults and the remedy. */
export async function reportOutcome(io: Io, json: boolean, command: () => Promise<number>): Promise<number> {
  try {
    return await command()
  } catch (error) {
    if (error instanceof Interrupted || io.interrupted.aborted) {
      if (json) sayFailure(io, new CliFailure(CLIENT_EXIT.interrupted, 'interrupted; what was started goes on'))
      return CLIENT_EXIT.interrupted
    }
    if (!(error instanceof CliFailure)) throw error
    io.stderr.write(failureText(io, error))
    if (json) sayFailure(io, error)
    return error.exit
  }
}

/** The one JSON document of a command that failed. */
export function sayFailure(io: Io, failure: CliFailure): void {
  sayJson(io, { error: failureJson(failure) })
}

export function warn(io: Io, text: string): void {
  const style = styleOf(io.stderr, io.env)
  io.stderr.write(`${style.paint('warning:', 'busy')} ${printable(text)}\n`)
}

export function say(io: Io, text: string): void {
  io.stdout.write(`${text}\n`)
}

export function sayJson(io: Io, value: unknown): void {
  io.stdout.write(`${JSON.stringify(value, null, 2)}\n`)
}

function failureText(io: Io, failure: CliFailure): string {
  const style = styleOf(io.stderr, io.env)
  const code = failure.code === undefined ? '' : ` (${failure.code})`
  const lines = [`${style.paint('error:', 'bad')} ${manyLines(failure.message)}${code}`]
  // A single fault may be all that the message says already.
  for (const fault of failure.faults.filter(({ text }) => !failure.message.includes(text))) {
    const file = (fault as { file?: string }).file
    const place = file === undefined ? '' : `${file}${fault.line === undefined ? '' : `:${fault.line}`}  `
    const line = file === undefined && fault.line !== undefined ? ` (line ${fault.line})` : ''
    lines.push(
      `  ${style.paint(place, 'dim')}${fault.path === '' ? '' : `${printable(fault.path)}${line}: `}${printable(fault.text)}`,
    )
  }
  if (failure.remedy !== undefined) lines.push(`  ${style.paint('→', 'dim')} ${manyLines(failure.remedy)}`)
  return `${lines.join('\n')}\n`
}

function failureJson(failure: CliFailure): Record<string, unknown> {
  return {
    exit: failure.exit,
    ...(failure.code === undefined ? {} : { code: failure.code }),
    detail: failure.message,
    ...(failure.remedy === undefined ? {} : { remedy: failure.remedy }),
    ...(failure.faults.length === 0 ? {} : { faults: failure.faults }),
  }
}

const manyLines = (text: string): string => text.split('\n').map(printable).join('\n')
