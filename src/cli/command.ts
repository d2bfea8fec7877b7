import type { Command } from 'commander'
import { CLIENT_EXIT } from './exit-status.ts'
import type { Hooks } from './hooks.ts'
import { CliFailure, type Io } from './io.ts'
import { reportOutcome } from './report.ts'

/** What every verb shares: how it gets its terminal, ends with a status, and reads its common options. */
export interface Session {
  readonly io: Io
  /** Written by the verb that ran: one of CLIENT_EXIT, or the status of a program that it was there to run. */
  exit: number
}

export interface CommonOptions {
  readonly json?: boolean
  readonly url?: string
  readonly timeout?: string
}

/**
 * Wraps a verb's body so that it reports its failures and has the user's hooks around it. `body` is loaded when the verb
 * runs, not before.
 */
export function action<A extends unknown[]>(
  session: Session,
  body: (io: Io, ...args: A) => Promise<number>,
): (...args: A) => Promise<void> {
  return async (...args) => {
    // Commander hands in arguments, then options, then the command itself.
    const { skipHooks, ...options } = (args.at(-2) ?? {}) as CommonOptions & { readonly skipHooks?: string }
    const told = { arguments: args.slice(0, -2), options: { ...options } }
    let hooks: Hooks | null = null
    session.exit = await reportOutcome(session.io, options.json === true, async () => {
      const { hooksOf } = await import('./hooks.ts')
      const found = await hooksOf(session.io, args.at(-1) as Command, told, skipHooks)
      await found.before()
      hooks = found
      return body(session.io, ...args)
    })
    await (hooks as Hooks | null)?.after(session.exit)
  }
}

/** `--skip-hooks`, on every verb that may have hooks. */
export function withoutHooks(command: Command): void {
  for (const verb of command.commands) withoutHooks(verb)
  if (command.commands.length > 0) return
  command.option('--skip-hooks <names>', 'hooks to go without, a,b, or all')
}

/** `--url` and `--timeout`, as every verb that talks to a scheduler has them. */
export function remote(command: Command): Command {
  return command
    .option('--url <url>', 'the scheduler to talk to, instead of the one the cluster name stands for')
    .option('--timeout <duration>', 'how long to go on trying and waiting: 30, 30s, 5min')
}

/** `30`, `30s`, `500ms`, `5min`, `1h` in ms. */
export function parseDuration(text: string | undefined, name = '--timeout'): number | undefined {
  if (text === undefined) return undefined
  const found = /^(\d+(?:\.\d+)?)\s*(ms|s|secs?|m|min|mins|h)?$/.exec(text)
  if (found === null) throw new CliFailure(CLIENT_EXIT.usage, `${name} is no duration: '${text}' (30, 30s, 5min, 1h)`)
  const unit = found[2] ?? 's'
  const factor = unit === 'ms' ? 1 : unit.startsWith('s') ? 1000 : unit.startsWith('m') ? 60_000 : 3_600_000
  return Math.round(Number(found[1]) * factor)
}

export function parseCount(text: string | number, name: string, min = 0): number {
  const value = Number(text)
  if (Number.isSafeInteger(value) && value >= min && String(text).trim() !== '') return value
  throw new CliFailure(CLIENT_EXIT.usage, `${name} is a whole number of at least ${min}, not '${text}'`)
}

/** For options that may be given several times. */
export const collect = (value: string, before: string[] = []): string[] => [...before, value]
