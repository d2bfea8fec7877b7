/**
 * `daybreak start FILE`: a node in the foreground, as supervisors want it. Ends with a status per kind of failure
 * (docs/operating/exit-status.md). SIGTERM and SIGINT stop it in order; a second one ends it at once.
 */
import { resolve } from 'node:path'
import type { Command } from 'commander'
import type { NodeConfig } from '../runtime/config.ts'
import { flagsHelp, readStartArguments } from '../runtime/config-flags.ts'

export interface StartEnd {
  /** Ends the process. Default: `process.exit`. */
  readonly exit?: (status: number) => void
}

interface RunningNode {
  stop(): Promise<void>
  readonly httpUrl: string
}

export function registerStart(program: Command, { exit = status => process.exit(status) }: StartEnd = {}): void {
  program
    .command('start')
    .description('start a node from a config file; every key of the config is a flag too (see start --help)')
    .argument('[arguments...]', 'the config file, and flags over it')
    .usage('FILE [--any.key value …]')
    .allowUnknownOption()
    .addHelpText('after', () => helpText(flagsHelp()))
    .action(async (_arguments: string[], _options: unknown, command: Command) => {
      const status = await start(command.args)
      if (status !== null) exit(status)
    })
}

/** Null while the node runs: it ends by a signal. */
async function start(args: readonly string[]): Promise<number | null> {
  const { EXIT, exitStatusOf } = await import('../runtime/exit.ts')
  const read = readStartArguments(args)
  if (!read.ok) {
    process.stderr.write(
      `error: ${read.text}\n  → daybreak start FILE [--any.key value …]; see daybreak start --help\n`,
    )
    return EXIT.usage
  }
  const { faultLines, loadConfig } = await import('../runtime/config.ts')
  const loaded = loadConfig(read.file, { flags: read.flags })
  if (!loaded.ok) {
    const lines = faultLines(read.file, loaded.faults).map(line => `  ${line}\n`)
    process.stderr.write(`error: the config has ${countOf(lines.length, 'fault')}:\n${lines.join('')}`)
    return EXIT.config
  }
  const { config } = loaded
  const configPath = resolve(read.file)
  process.title = titleOf(config, configPath, null)
  const stopOnSignal = signalled()
  try {
    const { startNode } = await import('../runtime/node.ts')
    const node: RunningNode = await startNode(config, { configPath })
    process.title = titleOf(config, configPath, new URL(node.httpUrl).port)
    stopOnSignal(() => stop(node, exitStatusOf))
    return null
  } catch (cause) {
    const status = exitStatusOf(cause)
    const text =
      cause instanceof Error ? (status === EXIT.bug ? (cause.stack ?? cause.message) : cause.message) : String(cause)
    process.stderr.write(`error: the node cannot start: ${text}\n`)
    return status
  }
}

/** `ps` shows this: what runs, as which node, on which ports, from which file. */
export function titleOf(config: NodeConfig, configPath: string, httpPort: string | null): string {
  const schedules = config.roles.includes('scheduler')
  const parts = [
    `daybreak ${config.roles.join('+')}`,
    ...(schedules ? [`node=${config.node.id}`] : []),
    `http=${httpPort ?? config.http.port}`,
    ...(schedules ? [`peer=${config.peer.port}`] : []),
    `config=${configPath}`,
  ]
  return parts.join(' ')
}

/**
 * Listens from before the node starts, as nobody can know when exactly it is up: a signal that comes earlier is kept for
 * whoever takes over here. A second one ends the process at once.
 */
function signalled(): (stop: () => void) => void {
  let stop: (() => void) | null = null
  let first: NodeJS.Signals | null = null
  const hear = (signal: NodeJS.Signals): void => {
    if (first !== null) {
      process.stderr.write(`daybreak: second ${signal}, ending at once\n`)
      process.exit(128 + (signal === 'SIGINT' ? 2 : 15))
    }
    first = signal
    if (stop === null) process.stderr.write(`daybreak: ${signal}, stopping as soon as it has started\n`)
    stop?.()
  }
  process.on('SIGTERM', hear)
  process.on('SIGINT', hear)
  return taken => {
    stop = taken
    if (first !== null) stop()
  }
}

function stop(node: RunningNode, exitStatusOf: (cause: unknown) => number): void {
  node.stop().then(
    () => process.exit(0),
    cause => {
      process.stderr.write(
        `error: the node did not stop in order: ${cause instanceof Error ? cause.stack : String(cause)}\n`,
      )
      process.exit(exitStatusOf(cause))
    },
  )
}

const countOf = (count: number, thing: string): string => `${count} ${thing}${count === 1 ? '' : 's'}`

const helpText = (flags: string): string => `
Starts a node from a config file and stays in the foreground. Every key of the config is a flag, which wins over the
file. Durations and sizes carry their unit: 150ms, 5min, 64MiB. Relative paths begin at the folder one starts in.

${flags}

Ends with 0 after SIGTERM or SIGINT, 2 for wrong arguments, 70 for a bug, 75 for the store, 77 for a port or folder that
cannot be had, 78 for the config (docs/operating/exit-status.md).`
