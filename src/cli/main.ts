import { readFileSync, realpathSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Command, CommanderError } from 'commander'
import { registerAdmin } from './admin.ts'
import { registerBackup } from './backup.ts'
import { registerCluster } from './cluster.ts'
import { type Session, withoutHooks } from './command.ts'
import { registerCompletion } from './completion.ts'
import { registerEvents } from './events.ts'
import { CLIENT_EXIT } from './exit-status.ts'
import { registerInspect } from './inspect.ts'
import { CliFailure, type Io, processIo } from './io.ts'
import { registerJob } from './job.ts'
import { registerQuota } from './quota.ts'
import { sayFailure } from './report.ts'
import { registerSecurity } from './security.ts'
import { registerTask } from './task.ts'
import { registerWhatIf } from './what-if.ts'
import { registerWhoami } from './whoami.ts'

/**
 * The `daybreak` command: nouns with verbs. This file loads only the names of things; what a verb does is loaded when
 * it runs, so that a status starts in well under a fifth of a second. The nouns that bring a node along (start, config,
 * log) are loaded when they are named, or when all are listed.
 */

/** Parts of a node. They end the process themselves where a node's exit status says more. */
const NODE_NOUNS = {
  start: async program => (await import('./start.ts')).registerStart(program),
  config: async (program, session) => (await import('./config.ts')).registerConfig(program, session),
  log: async program => (await import('./log.ts')).registerLog(program),
} as const satisfies Record<string, (program: Command, session: Session) => Promise<void>>

/** Runs one command line, without the program's own name. */
export async function run(args: readonly string[], io: Io): Promise<number> {
  const session: Session = { io, exit: CLIENT_EXIT.ok }
  const program = await commandTree(args, session)
  if (args.length === 0) {
    io.stdout.write(program.helpInformation())
    return CLIENT_EXIT.ok
  }
  try {
    await program.parseAsync([...args], { from: 'user' })
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    // Commander has said what is wrong. Help and version end here too, with success.
    if (error.exitCode === 0) return CLIENT_EXIT.ok
    if (args.includes('--json')) {
      sayFailure(io, new CliFailure(CLIENT_EXIT.usage, error.message.replace(/^error: /, ''), { cause: error }))
    }
    return CLIENT_EXIT.usage
  }
  return session.exit
}

/** The whole of it for the executable: the process's terminal, Ctrl-C, and its exit status. */
export async function main(args: readonly string[] = process.argv.slice(2)): Promise<void> {
  // A node has signal handlers of its own.
  const isClient = !Object.hasOwn(NODE_NOUNS, args[0] ?? '') || (args[0] === 'config' && args[1] === 'list')
  const interrupt = new AbortController()
  if (isClient) {
    // Not `once`: the spinner's own handler takes itself for the last one then, and kills the process with the signal.
    process.on('SIGINT', () => {
      if (interrupt.signal.aborted) process.exit(CLIENT_EXIT.interrupted)
      interrupt.abort()
    })
  }
  // `daybreak … | head` closes the pipe early: that is no failure of ours, and a node goes on without its readers.
  for (const output of [process.stdout, process.stderr]) {
    output.on('error', error => {
      if ((error as NodeJS.ErrnoException).code !== 'EPIPE') throw error
      if (args[0] !== 'start') process.exit(CLIENT_EXIT.ok)
    })
  }
  try {
    const exit = await run(args, processIo(interrupt.signal))
    if (exit !== CLIENT_EXIT.ok) process.exitCode = exit
  } catch (error) {
    process.stderr.write(`A fault of this program itself: ${error instanceof Error ? error.stack : String(error)}\n`)
    process.exitCode = CLIENT_EXIT.fatal
  }
}

/** Every noun and verb; those of a node only where this command line may show or run them. */
export async function commandTree(args: readonly string[], session: Session): Promise<Command> {
  const { io } = session
  const width = (columns: number | undefined): number => columns ?? 80
  const program = new Command('daybreak')
    .description('A cluster scheduler: runs services and one-off jobs over a replicated log.')
    .version(version(), '--version', 'print the version')
    .helpCommand('help [command]', 'show help')
    .showHelpAfterError('(add --help for what it takes)')
    .exitOverride()
    .configureOutput({
      writeOut: text => void io.stdout.write(text),
      writeErr: text => void io.stderr.write(text),
      getOutHelpWidth: () => width(io.stdout.columns),
      getErrHelpWidth: () => width(io.stderr.columns),
    })
    .addHelpText('after', FIRST_STEPS)
  registerJob(program, session)
  registerTask(program, session)
  registerQuota(program, session)
  registerWhatIf(program, session)
  registerCluster(program, session)
  registerAdmin(program, session)
  registerBackup(program, session)
  registerInspect(program, session)
  registerEvents(program, session)
  registerSecurity(program, session)
  registerWhoami(program, session)
  for (const noun of program.commands) withoutHooks(noun)
  registerCompletion(program, session)
  const noun = args.find(arg => !arg.startsWith('-'))
  const all = noun === undefined || noun === 'help' || noun === 'completion' || !isNoun(program, noun)
  for (const [name, load] of Object.entries(NODE_NOUNS)) if (all || name === noun) await load(program, session)
  return program
}

const FIRST_STEPS = `
Examples:
  daybreak start config/local.yaml
  daybreak job create local/www-data/devel/hello examples/hello.yaml --wait
  daybreak job status local/www-data/devel/hello
`

function isNoun(program: Command, name: string): boolean {
  return Object.hasOwn(NODE_NOUNS, name) || program.commands.some(command => command.name() === name)
}

/** From the package this file belongs to, wherever it is installed. */
function version(): string {
  for (const up of ['../..', '../../..']) {
    try {
      const found: unknown = JSON.parse(readFileSync(new URL(`${up}/package.json`, import.meta.url), 'utf8'))
      if ((found as { name?: string }).name === 'daybreak') return (found as { version: string }).version
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
  }
  return 'unknown'
}

const entry = process.argv[1]
if (entry !== undefined && realpathSync(entry) === fileURLToPath(import.meta.url)) await main()
