/**
 * Log lines on standard error: an event with fields, as text for people or as JSON, one object a line. Levels from
 * `logging.level` up are always written; below it, `DEBUG=daybreak:*` (the `debug` package) switches single scopes on
 * without a restart of anything else's config. Event names are listed in docs/operating/log-events.md.
 */
import debug from 'debug'
import type { LogFields, Logger } from '../actors/ports.ts'

type Level = 'debug' | 'info' | 'warn' | 'error'
const WEIGHT: Readonly<Record<Level, number>> = { debug: 10, info: 20, warn: 30, error: 40 }

export interface LoggerOptions {
  readonly format: 'text' | 'json'
  /** Least level that is written; warnings and errors always are. */
  readonly level: 'debug' | 'info' | 'warn'
  /** One whole line with its end. Default: standard error. */
  readonly write?: (line: string) => void
  readonly wallMs?: () => number
}

/** Scopes are joined with colons under `daybreak`: `daybreak:log:replica`. */
export function createLogger(options: LoggerOptions, scope = 'daybreak'): Logger {
  const { format, level, write = line => void process.stderr.write(line), wallMs = Date.now } = options
  const switchable = debug(scope)
  switchable.log = (...args: unknown[]) => write(`${args.map(String).join(' ')}\n`)
  const least = WEIGHT[level]
  const line = (at: Level, event: string, fields: LogFields): void => {
    if (WEIGHT[at] >= least) write(format === 'json' ? jsonLine(at, event, fields) : textLine(at, event, fields))
    else if (!switchable.enabled) return
    else if (format === 'json') write(jsonLine(at, event, fields))
    else switchable('%s%s', event, fieldText(fields))
  }
  const jsonLine = (at: Level, event: string, fields: LogFields): string =>
    `${JSON.stringify({ at: new Date(wallMs()).toISOString(), level: at, scope, event, ...fields }, plain)}\n`
  const textLine = (at: Level, event: string, fields: LogFields): string =>
    `${new Date(wallMs()).toISOString()} ${at.toUpperCase().padEnd(5)} ${scope} ${event}${fieldText(fields)}\n`
  return {
    debug: (event, fields = {}) => line('debug', event, fields),
    isDebugOff: () => WEIGHT.debug < least && !switchable.enabled,
    info: (event, fields = {}) => line('info', event, fields),
    warn: (event, fields = {}) => line('warn', event, fields),
    error: (event, fields = {}) => line('error', event, fields),
    child: inner => createLogger(options, `${scope}:${inner}`),
  }
}

/** ` key=value` each; texts with blanks in quotes, so that a line stays one line. */
function fieldText(fields: LogFields): string {
  const parts = Object.entries(fields).map(([name, value]) => {
    const text =
      typeof value === 'string' ? value : value instanceof Error ? errorText(value) : JSON.stringify(value, plain)
    return ` ${name}=${text !== undefined && /^[^\s"]+$/.test(text) ? text : JSON.stringify(text ?? null)}`
  })
  return parts.join('')
}

/** Errors and big integers have no JSON of their own. */
function plain(_key: string, value: unknown): unknown {
  if (value instanceof Error) return errorText(value)
  return typeof value === 'bigint' ? value.toString() : value
}

function errorText(error: Error): string {
  const own = error.stack ?? `${error.name}: ${error.message}`
  return error.cause instanceof Error ? `${own}\ncaused by ${errorText(error.cause)}` : own
}
