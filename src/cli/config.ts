/**
 * `daybreak config check FILE` and `config show FILE`: what a node would make of a config file, without starting it; and
 * `config list FILE`, which Aurora has here: the jobs of a job file.
 */
import type { Command } from 'commander'
import type { LoadedConfig, Source } from '../runtime/config.ts'
import { action, collect, type Session } from './command.ts'
import type { ListOptions } from './config-list.ts'
import { example } from './job.ts'

export interface ConfigEnd {
  /** Ends the process. Default: `process.exit`. */
  readonly exit?: (status: number) => void
}

const MIB = 1024 ** 2

type Checked = Extract<LoadedConfig, { ok: true }>

export function registerConfig(
  program: Command,
  session: Session,
  { exit = status => process.exit(status) }: ConfigEnd = {},
): void {
  const config = program.command('config').description('look at a config file, or list the jobs of a job file')
  const add = (
    verb: string,
    description: string,
    show: (file: string, loaded: Checked, json: boolean) => Promise<void> | void,
  ): Command =>
    config
      .command(verb)
      .description(description)
      .argument('<file...>', 'the config file, and flags over it')
      .usage('[--json] FILE [--any.key value …]')
      .option('--json', 'print JSON')
      .allowUnknownOption()
      .action(async (_arguments: string[], { json = false }: { json?: boolean }, command: Command) => {
        exit(await checked(command.args, json, show))
      })
  add('check', 'check a config file and tell all of its faults', (file, _loaded, json) =>
    write(json ? JSON.stringify({ ok: true, faults: [] }, null, 2) : `${file}: no faults`),
  )
  add('show', 'show the effective values and where each comes from; flags as for start', async (_file, loaded, json) =>
    write(json ? JSON.stringify(await valuesJson(loaded), null, 2) : (await valueLines(loaded)).join('\n')),
  )
  // For bin/daybreak, before it starts a node: MiB, or nothing where there is no such heap. Faults are told by the start.
  config
    .command('heap', { hidden: true })
    .argument('[arguments...]')
    .allowUnknownOption()
    .action(async (_arguments: string[], _options: unknown, command: Command) => {
      exit(
        await checked(command.args, false, (_file, { config: { roles, scheduler } }) => {
          if (roles.includes('scheduler')) write(String(Math.floor(scheduler.heap / MIB)))
        }),
      )
    })
  config
    .command('list')
    .summary('list the jobs of a job file')
    .description('Lists the jobs of a job file: a table on a terminal, one CLUSTER/ROLE/ENV/NAME per line elsewhere.')
    .argument('<file>', 'job file: YAML, JSON, TypeScript or JavaScript')
    .option('--bind <name=value>', 'sets a variable of the job file, name=value; repeatable', collect)
    .option('--json', 'print JSON')
    .option('--skip-hooks <names>', 'hooks to go without, a,b, or all')
    .addHelpText('after', example('config list examples/environments.yaml'))
    .action(
      action(session, async (io, file: string, options: ListOptions) =>
        (await import('./config-list.ts')).configList(io, file, options),
      ),
    )
}

async function checked(
  args: readonly string[],
  json: boolean,
  show: (file: string, loaded: Checked, json: boolean) => Promise<void> | void,
): Promise<number> {
  const { EXIT } = await import('../runtime/exit.ts')
  const { readStartArguments } = await import('../runtime/config-flags.ts')
  const { faultLines, loadConfig } = await import('../runtime/config.ts')
  const read = readStartArguments(args)
  if (!read.ok) {
    process.stderr.write(`error: ${read.text}
`)
    return EXIT.usage
  }
  const loaded = loadConfig(read.file, { flags: read.flags })
  if (loaded.ok) {
    await show(read.file, loaded, json)
    return EXIT.ok
  }
  if (json) write(JSON.stringify({ ok: false, faults: loaded.faults }, null, 2))
  else for (const line of faultLines(read.file, loaded.faults)) process.stderr.write(`${line}\n`)
  return EXIT.config
}

/** By dotted key: the value as it is written, and its source. */
async function valuesJson(loaded: Checked): Promise<Record<string, { value: unknown; source: string; line?: number }>> {
  const { configKeys } = await import('../runtime/config.ts')
  return Object.fromEntries(
    configKeys().map(({ name }) => {
      const source = loaded.sources.get(name) ?? { type: 'default' }
      const value = loaded.written.get(name) ?? null
      return [name, { value, source: source.type, ...(source.type === 'file' ? { line: source.line } : {}) }]
    }),
  )
}

async function valueLines(loaded: Checked): Promise<string[]> {
  const { configKeys } = await import('../runtime/config.ts')
  const { defaultText } = await import('../runtime/config-flags.ts')
  const rows = configKeys().map(({ name, facts }) => {
    const value = loaded.written.get(name) ?? null
    const shown = value === null ? `(${facts.unset ?? 'not set'})` : defaultText(value)
    return { name, shown, source: sourceText(loaded.sources.get(name)) }
  })
  const width = (column: 'name' | 'shown', max: number) =>
    Math.min(max, Math.max(...rows.map(row => row[column].length)))
  const [names, values] = [width('name', 40), width('shown', 40)]
  return rows.map(row => `${row.name.padEnd(names)}  ${row.shown.padEnd(values)}  ${row.source}`)
}

function sourceText(source: Source | undefined): string {
  if (source?.type === 'file') return `line ${source.line}`
  return source?.type ?? 'default'
}

function write(text: string): void {
  process.stdout.write(`${text}\n`)
}
