import type { Command } from 'commander'
import { action, type Session } from './command.ts'
import { CLIENT_EXIT } from './exit-status.ts'
import { CliFailure } from './io.ts'
import { example } from './job.ts'

/**
 * `daybreak completion bash|zsh|fish`: a script for the shell, made from the command tree itself, so that it cannot
 * forget a verb. It is static: completing a word starts no node process.
 */
export function registerCompletion(program: Command, session: Session): void {
  program
    .command('completion')
    .summary('print a completion script for your shell')
    .description('Prints a script that completes nouns, verbs and options.')
    .argument('<shell>', 'bash, zsh or fish')
    .addHelpText(
      'after',
      `${example('completion bash > ~/.local/share/bash-completion/completions/daybreak')}  source <(daybreak completion zsh)\n  daybreak completion fish > ~/.config/fish/completions/daybreak.fish\n`,
    )
    .action(
      action(session, async (io, shell: string) => {
        const script = completionScript(program, shell)
        if (script === null)
          throw new CliFailure(CLIENT_EXIT.usage, `There is no completion for '${shell}': bash, zsh or fish`)
        io.stdout.write(script)
        return CLIENT_EXIT.ok
      }),
    )
}

interface Entry {
  /** `job create`; empty for the program itself. */
  readonly path: string
  readonly words: readonly { readonly word: string; readonly about: string }[]
  readonly options: readonly { readonly flag: string; readonly about: string }[]
}

export function completionScript(program: Command, shell: string): string | null {
  const entries = entriesOf(program, '')
  if (shell === 'bash') return bash(entries)
  if (shell === 'zsh') return `#compdef daybreak\nautoload -Uz bashcompinit && bashcompinit\n${bash(entries)}`
  return shell === 'fish' ? fish(entries) : null
}

function entriesOf(command: Command, path: string): Entry[] {
  const verbs = command.commands.filter(verb => verb.name() !== '')
  const words = verbs.map(verb => ({ word: verb.name(), about: verb.summary() || verb.description() }))
  if (path === '') words.push({ word: 'help', about: 'show help' })
  const flags = command.options.flatMap(option => {
    return [option.short, option.long].flatMap(flag => (flag ? [{ flag, about: option.description }] : []))
  })
  const options = [...flags, { flag: '--help', about: 'show help' }]
  const own: Entry = { path, words, options }
  return [own, ...verbs.flatMap(verb => entriesOf(verb, path === '' ? verb.name() : `${path} ${verb.name()}`))]
}

function bash(entries: readonly Entry[]): string {
  const cases = entries.map(({ path, words, options }) => {
    const all = [...words.map(({ word }) => word), ...options.map(({ flag }) => flag)].join(' ')
    return `    '${path}') words='${all}' ;;`
  })
  const paths = entries.map(({ path }) => `'${path}'`).filter(path => path !== "''")
  return `# daybreak: completes nouns, verbs and options; file names elsewhere.
_daybreak() {
  local path='' word words='' i current="\${COMP_WORDS[COMP_CWORD]}"
  for ((i = 1; i < COMP_CWORD; i++)); do
    word="\${path:+$path }\${COMP_WORDS[i]}"
    case "$word" in
      ${paths.join('|')}) path="$word" ;;
    esac
  done
  case "$path" in
${cases.join('\n')}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _daybreak daybreak
`
}

function fish(entries: readonly Entry[]): string {
  const lines = ['# daybreak: completes nouns, verbs and options; file names elsewhere.']
  const quoted = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`
  for (const { path, words, options } of entries) {
    const steps = path === '' ? [] : path.split(' ')
    const seen = steps.map(step => `__fish_seen_subcommand_from ${step}`)
    const none =
      words.length === 0 ? [] : [`not __fish_seen_subcommand_from ${words.map(({ word }) => word).join(' ')}`]
    const where = (conditions: readonly string[]): string =>
      conditions.length === 0 ? '' : ` -n ${quoted(conditions.join('; and '))}`
    for (const { word, about } of words) {
      lines.push(`complete -c daybreak -f${where([...seen, ...none])} -a ${word} -d ${quoted(about)}`)
    }
    for (const { flag, about } of options) {
      const name = flag.startsWith('--') ? `-l ${flag.slice(2)}` : `-s ${flag.slice(1)}`
      lines.push(`complete -c daybreak${where([...seen, ...none])} ${name} -d ${quoted(about)}`)
    }
  }
  return `${lines.join('\n')}\n`
}
