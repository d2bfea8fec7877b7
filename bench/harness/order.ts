/**
 * What the command line asks for. All that can be known to be wrong is told before anything is measured: a fault that
 * shows after an hour costs the hour.
 */
import { parseArgs } from 'node:util'
import { type Bench, PEER_NAMES, type PeerName } from '../bench.ts'

export interface Order {
  /** In the order of the catalogue; empty if the benches are only to be listed. */
  readonly benches: readonly Bench[]
  readonly quick: boolean
  /** Measured runs of a figure. */
  readonly runs: number
  readonly peers: readonly PeerName[]
  /** File for the results. */
  readonly json: string | null
  /** File of an earlier run. */
  readonly against: string | null
  /** Folder for profiles. */
  readonly profile: string | null
}

/** A fault of whoever typed: its message is one line that says what to do instead. */
export class OrderError extends Error {}

export const PROFILE_FOLDER = 'profiles'
const RUNS = 5
const RUNS_QUICK = 3
const RUNS_MAX = 1_000

/** Throws an OrderError. Touches no file. */
export function orderOf(args: readonly string[], all: readonly Bench[]): Order {
  const { values, positionals } = parsed(withFolderOfProfile(args))
  const names = all.map(({ name }) => name)
  const unknown = positionals.filter(name => name !== 'all' && !names.includes(name))
  if (unknown.length > 0) {
    throw new OrderError(`no benchmark named ${unknown.join(', ')}; there are: ${names.join(', ')}, all`)
  }
  const { quick = false, json = null, against = null } = values
  const isOfAll = ({ isLong = false }: Bench): boolean => positionals.includes('all') && (quick || !isLong)
  const benches = all.filter(bench => positionals.includes(bench.name) || isOfAll(bench))
  const meantForRuns = Object.keys(values)
  if (benches.length === 0 && meantForRuns.length > 0) {
    throw new OrderError(
      `--${meantForRuns[0]} needs a benchmark: name some of ${names.join(', ')}, or all; alone the command lists them`,
    )
  }
  return {
    benches,
    quick,
    runs: runsOf(values.runs) ?? (quick ? RUNS_QUICK : RUNS),
    peers: peersOf(values.peers, benches),
    json,
    against,
    profile: values.profile === undefined ? null : values.profile === '' ? PROFILE_FOLDER : values.profile,
  }
}

/** A folder is optional after `--profile`; a word there that has no slash is the name of a bench. */
function withFolderOfProfile(args: readonly string[]): string[] {
  return args.flatMap((arg, at) => {
    const folder = (word: string | undefined): boolean => word?.includes('/') === true && !word.startsWith('-')
    if (arg === '--profile') return folder(args[at + 1]) ? [`--profile=${args[at + 1]}`] : ['--profile=']
    return at > 0 && args[at - 1] === '--profile' && folder(arg) ? [] : [arg]
  })
}

function parsed(args: string[]) {
  try {
    return parseArgs({
      args,
      options: {
        quick: { type: 'boolean' },
        runs: { type: 'string' },
        peers: { type: 'string' },
        json: { type: 'string' },
        against: { type: 'string' },
        profile: { type: 'string' },
      },
      allowPositionals: true,
    })
  } catch (cause) {
    const said = cause instanceof Error ? cause.message.split(/\.\s|\n/)[0] : String(cause)
    throw new OrderError(
      `${said}; options are --quick, --runs N, --peers LIST, --json FILE, --against FILE, --profile [DIR]`,
    )
  }
}

function runsOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const runs = Number(text)
  if (/^\d+$/.test(text) && runs >= 1 && runs <= RUNS_MAX) return runs
  throw new OrderError(`--runs ${text}: give a whole number from 1 to ${RUNS_MAX}`)
}

function peersOf(text: string | undefined, benches: readonly Bench[]): readonly PeerName[] {
  if (text === undefined) return []
  const known = PEER_NAMES.filter(peer => benches.some(({ peers = [] }) => peers.includes(peer)))
  const these = benches.map(({ name }) => name).join(', ')
  if (known.length === 0) throw new OrderError(`--peers: ${these} measures no peer; leave the option out`)
  const asked = text
    .split(',')
    .map(name => name.trim())
    .filter(name => name !== '')
  if (asked.length === 0) throw new OrderError(`--peers is empty; ${these} can measure: ${known.join(', ')}, all`)
  if (asked.includes('all')) return known
  const unknown = asked.filter(name => !known.some(peer => peer === name))
  if (unknown.length === 0) return known.filter(peer => asked.includes(peer))
  throw new OrderError(`--peers ${unknown.join(', ')}: ${these} can measure: ${known.join(', ')}, all`)
}
