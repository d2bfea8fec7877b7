/**
 * `npm run sim -- --seeds 1000`: whole clusters in one process, on simulated clocks, networks and disks, through faults of
 * every kind. The profile `log` runs the replicated log alone, `tasks` whole schedulers over it, with agents and clients. Prints what was run and which faults struck, and for every failure the one command
 * that replays it; failing seeds belong into test/sim/log/seeds.json, which every test run repeats.
 */
import { parseArgs } from 'node:util'
import { mutationNames, proveMutation } from '../test/sim/log/mutants.ts'
import { CONDITIONS, FAULTS } from '../test/sim/log/plan.ts'
import { type RunOptions, simulate } from '../test/sim/log/simulation.ts'
import { AGENT_FAULTS } from '../test/sim/tasks/plan.ts'
import { simulateTasks } from '../test/sim/tasks/simulation.ts'

const HELP = `npm run sim -- [--profile log|tasks] [--seeds 1000] [--from 1] [--seed N] [--nodes 3|5|7] [--minutes 1] [--only FAULT,…] [--trace]
npm run sim -- [--profile log|tasks] --mutations [NAME[@SEED],…] [--seeds 2000]

  --profile P    log (default): the replicated log alone; tasks: whole schedulers, with agents and clients
  --seeds N      how many seeds to run (default 200; with --mutations at most so many for each, default 2000)
  --from N       the first of them (default 1)
  --seed N       this seed alone
  --nodes N      clusters of this size (default: drawn from 3, 5 and 7)
  --minutes N    simulated minutes of faults in each run (default 1), before a quorum is healed for good
  --only FAULTS  leaves out every other fault: for finding out what a failure needs
  --trace        prints every event of the run
  --shrink       with --seed: leaves out one fault after the other while the run still fails the same way
  --mutations    puts known bugs back, one at a time, into a copy of the built program, and counts the seeds until each is
                 found; status 1 if one is not. NAME@SEED begins at that seed
`

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    profile: { type: 'string', default: 'log' },
    seeds: { type: 'string' },
    from: { type: 'string' },
    seed: { type: 'string' },
    nodes: { type: 'string' },
    minutes: { type: 'string' },
    only: { type: 'string' },
    trace: { type: 'boolean', default: false },
    shrink: { type: 'boolean', default: false },
    mutations: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})

if (flags.profile !== 'log' && flags.profile !== 'tasks') stop(`--profile takes log or tasks, not ${flags.profile}`)
const profile: 'log' | 'tasks' = flags.profile

const say = (line: string): void => void process.stdout.write(`${line}\n`)

if (flags.help) say(HELP)
else if (flags.mutations) await proveMutations()
else if (flags.shrink) await shrink()
else await runSeeds()

/** What both profiles tell of a run: what goes into the trace, sums to be added up, and times to be ranked. */
interface Told {
  readonly seed: number
  readonly nodes: number
  readonly failure: { readonly invariant: string; readonly message: string; readonly atMs: number } | null
  readonly faults: readonly string[]
  readonly traceHash: string
  /** By the line they stand in, `faults powerLoss` for instance. */
  readonly sums: ReadonlyMap<string, number>
  readonly timesMs: ReadonlyMap<string, number>
}

async function run(seed: number, options: RunOptions): Promise<Told> {
  const sums = new Map<string, number>()
  const add = (line: string, values: Iterable<[string, number]>): void => {
    for (const [name, times] of values) sums.set(`${line} ${name}`, times)
  }
  const timesMs = new Map<string, number>()
  const time = (name: string, ms: number | null): void => void (ms !== null && timesMs.set(name, ms))
  const result = profile === 'log' ? simulate(seed, options) : await simulateTasks(seed, options)
  if ('calls' in result) {
    add('calls of clients', Object.entries(result.calls))
    add('logs', Object.entries(result.upkeep))
    time('a healed quorum committed after', result.recoveredMs)
  } else {
    add('requests of clients', Object.entries(result.requests))
    add('tasks', Object.entries(result.tasks))
    time('a healed quorum had a scheduler that served after', result.recoveredMs)
    time('once all was healed nothing moved after', result.quietMs)
  }
  add('faults', result.faults)
  add('', [
    ['ms', result.simulatedMs],
    ['turns', result.turns],
    ['committed', result.committed],
    ['leaders', result.leaders],
  ])
  const { plan, failure, traceHash } = result
  return { seed, nodes: plan.nodes, failure, faults: [...plan.faults.keys()], traceHash, sums, timesMs }
}

async function runSeeds(): Promise<void> {
  const from = numberOf('seed', flags.seed) ?? numberOf('from', flags.from) ?? 1
  const count = flags.seed === undefined ? (numberOf('seeds', flags.seeds) ?? 200) : 1
  const nodes = numberOf('nodes', flags.nodes)
  if (nodes !== undefined && ![1, 3, 5, 7].includes(nodes)) stop('--nodes takes 1, 3, 5 or 7')
  const minutes = numberOf('minutes', flags.minutes)
  const only = flags.only === undefined ? undefined : new Set(flags.only.split(','))
  const trace = flags.trace ? say : undefined
  const startedMs = performance.now()
  const sums = new Map<string, number>()
  const timesMs = new Map<string, number[]>()
  const failed: number[] = []
  let saidMs = startedMs
  for (let seed = from; seed < from + count; seed++) {
    const told = await run(seed, { nodes, minutes, only, trace })
    for (const [name, by] of told.sums) sums.set(name, (sums.get(name) ?? 0) + by)
    for (const [name, ms] of told.timesMs) timesMs.set(name, [...(timesMs.get(name) ?? []), ms])
    if (told.failure !== null) {
      failed.push(seed)
      const { invariant, message, atMs } = told.failure
      say(`seed ${seed} FAILED after ${(atMs / 1_000).toFixed(3)} s: ${invariant}`)
      say(`  ${message.slice(0, 2_000)}`)
      say(`  faults of this seed: ${told.faults.join(', ') || 'of the network only'}`)
      say(`  replay: npm run sim -- ${profileFlag()}--seed ${seed}${replayFlags()}`)
    }
    if (performance.now() - saidMs > 10_000) {
      saidMs = performance.now()
      say(`… ${seed - from + 1} of ${count} seeds, ${failed.length} failed`)
    }
    if (flags.seed !== undefined) say(`seed ${seed}: trace ${told.traceHash}, ${told.nodes} nodes`)
  }
  const tookS = (performance.now() - startedMs) / 1_000
  const sum = (name: string): number => sums.get(` ${name}`) ?? 0
  say(`${count} seeds, ${(sum('ms') / 3_600_000).toFixed(2)} simulated hours in ${tookS.toFixed(1)} s`)
  say(`  ${(count / tookS).toFixed(1)} seeds/s, ${Math.round(sum('turns') / tookS)} turns of actors/s`)
  say(`  ${sum('committed')} positions committed under ${sum('leaders')} leaders`)
  const lines = new Map<string, string[]>()
  for (const [name, times] of [...sums].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const at = name.lastIndexOf(' ')
    if (at > 0)
      lines.set(name.slice(0, at), [...(lines.get(name.slice(0, at)) ?? []), `${name.slice(at + 1)} ${times}`])
  }
  for (const [line, parts] of lines) say(`  ${line}: ${parts.join(', ')}`)
  for (const [name, all] of timesMs) {
    all.sort((a, b) => a - b)
    say(`  ${name} ${Math.round(all[all.length >> 1]!)} ms at the median, ${Math.round(all.at(-1)!)} ms at worst`)
  }
  say(`  ${failed.length === 0 ? 'no failures' : `${failed.length} FAILED: ${failed.join(', ')}`}`)
  process.exitCode = failed.length === 0 ? 0 : 1
}

async function shrink(): Promise<void> {
  const seed = numberOf('seed', flags.seed)
  if (seed === undefined) stop('--shrink needs --seed')
  const options = { nodes: numberOf('nodes', flags.nodes), minutes: numberOf('minutes', flags.minutes) }
  const wanted = (await run(seed, options)).failure?.invariant
  if (wanted === undefined) return say(`seed ${seed} does not fail`)
  const all = [...FAULTS, ...CONDITIONS, ...(profile === 'tasks' ? AGENT_FAULTS : [])]
  let only: readonly string[] = flags.only?.split(',') ?? all
  for (const left of only) {
    const fewer = only.filter(name => name !== left)
    const { failure } = await run(seed, { ...options, only: new Set(fewer) })
    if (failure?.invariant === wanted) only = fewer
  }
  say(`${wanted}: still fails with ${only.join(', ') || 'no fault at all'}`)
  say(`  replay: npm run sim -- ${profileFlag()}--seed ${seed}${replayFlags()} --only ${only.join() || 'none'}`)
}

async function proveMutations(): Promise<void> {
  const seedsMax = numberOf('seeds', flags.seeds) ?? 2_000
  const asked = positionals
    .flatMap(names => names.split(','))
    .map(text => {
      const [name = '', from] = text.split('@')
      return { name, from: numberOf('mutations', from) ?? 1 }
    })
  const known = mutationNames(profile)
  const unknown = asked.map(({ name }) => name).filter(name => !known.includes(name))
  if (unknown.length > 0) stop(`no mutation is called ${unknown.join(', ')}; there are ${known.join(', ')}`)
  for (const { name, from } of asked.length > 0 ? asked : known.map(name => ({ name, from: 1 }))) {
    const found = await proveMutation(name, { profile, seedsMax, from, nodes: numberOf('nodes', flags.nodes) })
    if (found === null) {
      say(`${name}: NOT FOUND in ${seedsMax} seeds`)
      process.exitCode = 1
    } else say(`${name}: found by seed ${from + found.seeds - 1} (${found.invariant})`)
  }
}

function profileFlag(): string {
  return profile === 'log' ? '' : `--profile ${profile} `
}

function replayFlags(): string {
  const given = ['nodes', 'minutes', 'only'] as const
  return given.map(name => (flags[name] === undefined ? '' : ` --${name} ${flags[name]}`)).join('')
}

function numberOf(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const value = Number(text)
  if (!Number.isFinite(value) || value < 0) stop(`--${name} takes a number, not ${text}`)
  return value
}

function stop(reason: string): never {
  process.stderr.write(`sim: ${reason}\n${HELP}`)
  process.exit(2)
}
