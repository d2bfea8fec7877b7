/**
 * The flags of `daybreak start`: every key of the config by its dotted name. Read here rather than by the command line
 * library, so that a wrong flag is told together with the faults of the file, and the keys stand in one place.
 */
import { configKeys } from './config-schema.ts'
import { shown } from './config-units.ts'

/** What bin/daybreak adds to make room for the title of the process. */
export const TITLE_ROOM_FLAG = 'room-for-title'

export type StartArguments =
  | { readonly ok: true; readonly file: string; readonly flags: Readonly<Record<string, string>> }
  | { readonly ok: false; readonly text: string }

/** `FILE --http.port 8181 --log.autoBootstrap --agent.ports=31000-31100`. */
export function readStartArguments(args: readonly string[]): StartArguments {
  const booleans = new Set(
    configKeys()
      .filter(key => typeof key.facts.default === 'boolean')
      .map(key => key.name),
  )
  const names = new Set(configKeys().map(key => key.name))
  const flags: Record<string, string> = {}
  const files: string[] = []
  for (let index = 0; index < args.length; index += 1) {
    const arg = args[index]!
    if (!arg.startsWith('--')) {
      files.push(arg)
      continue
    }
    const equals = arg.indexOf('=')
    const name = arg.slice(2, equals < 0 ? undefined : equals)
    if (name === TITLE_ROOM_FLAG) continue
    if (Object.hasOwn(flags, name)) return { ok: false, text: `--${name} is given twice` }
    const next = args[index + 1]
    if (equals >= 0) flags[name] = arg.slice(equals + 1)
    else if (booleans.has(name) && next !== 'true' && next !== 'false') flags[name] = 'true'
    else if (next === undefined || next.startsWith('--')) {
      if (names.has(name)) return { ok: false, text: `--${name} needs a value behind it` }
      // The check of all keys tells that there is no such flag, and the nearest that there is.
      flags[name] = ''
    } else {
      flags[name] = next
      index += 1
    }
  }
  const [file, ...rest] = files
  if (file === undefined) return { ok: false, text: 'say which config file to start from, such as config/local.yaml' }
  if (rest.length > 0) return { ok: false, text: `one config file, please; ${shown(rest[0])} is another one` }
  return { ok: true, file, flags }
}

/** All keys as flags, for `start --help`. */
export function flagsHelp(): string {
  return configKeys()
    .map(({ name, facts }) => {
      const otherwise = facts.default === null ? (facts.unset ?? 'not set') : defaultText(facts.default)
      const aurora = facts.aurora === null ? '' : `; Aurora: ${facts.aurora}`
      return `  --${name} <${facts.unit}>\n      ${facts.meaning} (default: ${otherwise}${aurora})`
    })
    .join('\n')
}

/** A default as one would write it. */
export function defaultText(value: unknown): string {
  return typeof value === 'object' ? JSON.stringify(value).replaceAll('"', '').replaceAll(',', ', ') : String(value)
}
