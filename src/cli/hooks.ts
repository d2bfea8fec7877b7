import { join } from 'node:path'
import type { Command } from 'commander'
import { CLIENT_EXIT } from './exit-status.ts'
import { CliFailure, Interrupted, type Io, unreadable } from './io.ts'
import { warn } from './report.ts'

/**
 * Programs of the user's that run before and after commands, as `~/.daybreak/client.yaml` (or the file that
 * DAYBREAK_CLIENT_CONFIG names) says:
 *
 *   hooks:
 *     - name: freeze
 *       on: [job create, job kill]
 *       before: /usr/local/bin/is-change-allowed
 *
 * A `before` that does not end with 0 keeps the command from running. They read what is asked for as JSON on stdin.
 */
export interface Hooks {
  /** Fails as soon as one of them says no. */
  before(): Promise<void>
  /** All of them, whatever each comes to. */
  after(exit: number): Promise<void>
}

interface Hook {
  readonly name: string
  readonly on: readonly string[]
  readonly before?: string
  readonly after?: string
}

const NONE: Hooks = { before: async () => {}, after: async () => {} }

/** `args`: the arguments of the command, its options without `--skip-hooks`. */
export async function hooksOf(io: Io, command: Command, args: HookArguments, skip?: string): Promise<Hooks> {
  const skipped = (skip ?? '').split(',').map(name => name.trim())
  const path = pathOf(command)
  // A shell asks for its completions at every start.
  if (skipped.includes('all') || path[0] === 'completion') return NONE
  const file = io.env.DAYBREAK_CLIENT_CONFIG || join(io.home, '.daybreak', 'client.yaml')
  const hooks = await readHooks(io, file, rootOf(command))
  for (const name of skipped) {
    if (name !== '' && !hooks.some(hook => hook.name === name)) warn(io, `--skip-hooks: ${file} has no hook '${name}'`)
  }
  const chosen = hooks.filter(hook => !skipped.includes(hook.name) && hook.on.some(words => fits(words, path)))
  if (chosen.length === 0) return NONE
  const run = async (hook: Hook, event: 'before' | 'after', line: string, exit?: number): Promise<number> => {
    const told = { event, command: path.join(' '), ...args, user: io.user, ...(exit === undefined ? {} : { exit }) }
    try {
      const { status } = await io.runProgram({
        name: '/bin/sh',
        args: ['-c', line],
        input: `${JSON.stringify(told)}\n`,
        env: { DAYBREAK_HOOK: hook.name, DAYBREAK_EVENT: event, DAYBREAK_COMMAND: path.join(' ') },
        // Standard output is for what the command says.
        stdio: { line: text => void io.stderr.write(`${text}\n`) },
      })
      return status
    } catch (cause) {
      if (cause instanceof Interrupted) throw cause
      throw new CliFailure(
        CLIENT_EXIT.commandFailed,
        `Cannot run command hook ${hook.name}: ${(cause as Error).message}`,
        {
          cause,
        },
      )
    }
  }
  return {
    before: async () => {
      for (const hook of chosen) {
        const status = hook.before === undefined ? 0 : await run(hook, 'before', hook.before)
        if (status === 0) continue
        throw new CliFailure(status, `Command aborted by command hook ${hook.name} with error code ${status}`, {
          remedy: `nothing was done; --skip-hooks ${hook.name} goes without it (${file})`,
        })
      }
    },
    after: async exit => {
      for (const hook of chosen) {
        if (hook.after === undefined || io.interrupted.aborted) continue
        const status = await run(hook, 'after', hook.after, exit).catch((cause: unknown) => {
          if (cause instanceof Interrupted) return 0
          if (!(cause instanceof CliFailure)) throw cause
          warn(io, cause.message)
          return 0
        })
        if (status !== 0) warn(io, `command hook ${hook.name} ended with error code ${status} after the command`)
      }
    },
  }
}

export interface HookArguments {
  readonly arguments: readonly unknown[]
  readonly options: Readonly<Record<string, unknown>>
}

/** `job create` as its words. */
function pathOf(command: Command): readonly string[] {
  return command.parent === null ? [] : [...pathOf(command.parent), command.name()]
}

const rootOf = (command: Command): Command => (command.parent === null ? command : rootOf(command.parent))

/** `job` is all of its verbs; `*` is any word. */
function fits(pattern: string, path: readonly string[]): boolean {
  return pattern.split(' ').every((word, at) => word === '*' || word === path[at])
}

async function readHooks(io: Io, file: string, root: Command): Promise<readonly Hook[]> {
  let text: string
  try {
    text = await io.readText(file)
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT' && !io.env.DAYBREAK_CLIENT_CONFIG) return []
    throw new CliFailure(CLIENT_EXIT.configuration, `Unable to read ${file}: ${unreadable(cause)}`, { cause })
  }
  // A hook that is written wrongly and for that reason never runs would be worse than none.
  const faulty = (why: string, cause?: unknown): CliFailure =>
    new CliFailure(CLIENT_EXIT.configuration, `Unable to parse ${file}: ${why}`, {
      remedy: 'mend the file; --skip-hooks all goes without it',
      cause,
    })
  const { parse } = await import('yaml')
  let value: unknown
  try {
    value = parse(text)
  } catch (cause) {
    throw faulty((cause as Error).message, cause)
  }
  if (value === null) return []
  if (!isMap(value)) throw faulty('a map with the key hooks is expected')
  const unknown = Object.keys(value).find(key => key !== 'hooks')
  if (unknown !== undefined) throw faulty(`'${unknown}' is not known here; hooks is`)
  if (!Array.isArray(value.hooks ?? [])) throw faulty('hooks is a list')
  const hooks: Hook[] = []
  for (const [at, entry] of ((value.hooks ?? []) as unknown[]).entries()) {
    const read = readHook(entry, root)
    if (typeof read === 'string') throw faulty(`hooks[${at}]${read}`)
    if (hooks.some(({ name }) => name === read.name)) throw faulty(`hooks[${at}].name: '${read.name}' is there twice`)
    hooks.push(read)
  }
  return hooks
}

/** The hook, or where in it what is wrong. */
function readHook(entry: unknown, root: Command): Hook | string {
  if (!isMap(entry)) return ' is a map of name, on, before and after'
  const { name, on, before, after, ...rest } = entry
  const [unknown] = Object.keys(rest)
  if (unknown !== undefined) return `.${unknown} is not known: name, on, before, after`
  if (typeof name !== 'string' || !/^[\w.-]+$/.test(name) || name === 'all') {
    return ".name is a word of letters, digits and .-_, and not 'all'"
  }
  const patterns: readonly unknown[] = Array.isArray(on) ? on : [on]
  if (patterns.length === 0) return '.on is empty: name commands, such as `job create`, or `*`'
  for (const pattern of patterns) {
    if (typeof pattern !== 'string' || !isCommand(pattern, root)) return `.on: there is no command '${String(pattern)}'`
  }
  for (const [key, line] of [['before', before] as const, ['after', after] as const]) {
    if (line !== undefined && (typeof line !== 'string' || line.trim() === '')) return `.${key} is a command line`
  }
  if (before === undefined && after === undefined) return ' has neither before nor after'
  return {
    name,
    on: patterns as string[],
    ...(before === undefined ? {} : { before: before as string }),
    ...(after === undefined ? {} : { after: after as string }),
  }
}

/** Nouns of a node are not in the tree of every command line; of these one can have hooks. */
function isCommand(pattern: string, root: Command): boolean {
  if (pattern === 'config list') return true
  let here: readonly Command[] = [root]
  for (const word of pattern.split(' ')) {
    here = here.flatMap(({ commands }) => commands.filter(command => word === '*' || command.name() === word))
  }
  return here.length > 0
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
