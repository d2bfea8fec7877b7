/**
 * `npm run sim -- --seeds 1000`: whole clusters of the replicated log in one process, on simulated clocks, networks and
 * disks, through faults of every kind. Prints what was run and which faults struck, and for every failure the one command
 * that replays it; failing seeds belong into test/sim/log/seeds.json, which every test run repeats.
 */
import { parseArgs } from 'node:util'
import { mutationNames, proveMutation } from '../test/sim/log/mutants.ts'
import { CONDITIONS, FAULTS } from '../test/sim/log/plan.ts'
import { type RunResult, simulate } from '../test/sim/log/simulation.ts'

const HELP = `npm run sim -- [--seeds 1000] [--from 1] [--seed N] [--nodes 3|5|7] [--minutes 1] [--only FAULT,…] [--trace]
npm run sim -- --mutations [NAME,…] [--seeds 2000]

  --seeds N      how many seeds to run (default 200; with --mutations at most so many for each, default 2000)
  --from N       the first of them (default 1)
  --seed N       this seed alone
  --nodes N      clusters of this size (default: drawn from 3, 5 and 7)
  --minutes N    simulated minutes of faults in each run (default 1), before a quorum is healed for good
  --only FAULTS  leaves out every other fault: for finding out what a failure needs
  --trace        prints every event of the run
  --shrink       with --seed: leaves out one fault after the other while the run still fails the same way
  --mutations    puts known bugs back, one at a time, into a copy of the built program, and counts the seeds until each is
                 found; status 1 if one is not
`

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: {
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

const say = (line: string): void => void process.stdout.write(`${line}\n`)

if (flags.help) say(HELP)
else if (flags.mutations) await proveMutations()
else if (flags.shrink) shrink()
else runSeeds()

function runSeeds(): void {
  const from = numberOf('seed', flags.seed) ?? numberOf('from', flags.from) ?? 1
  const count = flags.seed === undefined ? (numberOf('seeds', flags.seeds) ?? 200) : 1
  const nodes = numberOf('nodes', flags.nodes)
  if (nodes !== undefined && ![1, 3, 5, 7].includes(nodes)) stop('--nodes takes 1, 3, 5 or 7')
  const minutes = numberOf('minutes', flags.minutes)
  const only = flags.only === undefined ? undefined : new Set(flags.only.split(','))
  const trace = flags.trace ? say : undefined
  const startedMs = performance.now()
  const sums = new Map<string, number>()
  const add = (name: string, by: number): void => void sums.set(name, (sums.get(name) ?? 0) + by)
  const failed: RunResult[] = []
  const recoveredMs: number[] = []
  let saidMs = startedMs
  for (let seed = from; seed < from + count; seed++) {
    const result = simulate(seed, { nodes, minutes, only, trace })
    for (const [fault, times] of result.faults) add(`fault ${fault}`, times)
    for (const [how, times] of Object.entries(result.calls)) add(`calls ${how}`, times)
    for (const [what, times] of Object.entries(result.upkeep)) add(`log ${what}`, times)
    add('ms', result.simulatedMs)
    add('turns', result.turns)
    add('committed', result.committed)
    add('leaders', result.leaders)
    if (result.recoveredMs !== null) recoveredMs.push(result.recoveredMs)
    if (result.failure !== null) {
      failed.push(result)
      const { invariant, message, atMs } = result.failure
      say(`seed ${seed} FAILED after ${(atMs / 1_000).toFixed(3)} s: ${invariant}`)
      say(`  ${message.slice(0, 2_000)}`)
      say(`  faults of this seed: ${[...result.plan.faults.keys()].join(', ') || 'of the network only'}`)
      say(`  replay: npm run sim -- --seed ${seed}${replayFlags()}`)
    }
    if (performance.now() - saidMs > 10_000) {
      saidMs = performance.now()
      say(`… ${seed - from + 1} of ${count} seeds, ${failed.length} failed`)
    }
    if (flags.seed !== undefined) say(`seed ${seed}: trace ${result.traceHash}, ${result.plan.nodes} nodes`)
  }
  const tookS = (performance.now() - startedMs) / 1_000
  const sum = (name: string): number => sums.get(name) ?? 0
  const all = (prefix: string): string =>
    [...sums]
      .filter(([name]) => name.startsWith(prefix))
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, times]) => `${name.slice(prefix.length)} ${times}`)
      .join(', ')
  recoveredMs.sort((a, b) => a - b)
  say(`${count} seeds, ${(sum('ms') / 3_600_000).toFixed(2)} simulated hours in ${tookS.toFixed(1)} s`)
  say(`  ${(count / tookS).toFixed(1)} seeds/s, ${Math.round(sum('turns') / tookS)} turns of actors/s`)
  say(`  ${sum('committed')} positions committed under ${sum('leaders')} leaders`)
  say(`  calls of clients: ${all('calls ')}`)
  say(`  logs: ${all('log ')}`)
  say(`  faults: ${all('fault ')}`)
  say(
    `  a healed quorum committed after ${recoveredMs[recoveredMs.length >> 1] ?? 0} ms at the median, ${recoveredMs.at(-1) ?? 0} ms at worst`,
  )
  say(
    `  ${failed.length === 0 ? 'no failures' : `${failed.length} FAILED: ${failed.map(({ seed }) => seed).join(', ')}`}`,
  )
  process.exitCode = failed.length === 0 ? 0 : 1
}

function shrink(): void {
  const seed = numberOf('seed', flags.seed)
  if (seed === undefined) stop('--shrink needs --seed')
  const options = { nodes: numberOf('nodes', flags.nodes), minutes: numberOf('minutes', flags.minutes) }
  const wanted = simulate(seed, options).failure?.invariant
  if (wanted === undefined) return say(`seed ${seed} does not fail`)
  let only: readonly string[] = flags.only?.split(',') ?? [...FAULTS, ...CONDITIONS]
  for (const left of only) {
    const fewer = only.filter(name => name !== left)
    if (simulate(seed, { ...options, only: new Set(fewer) }).failure?.invariant === wanted) only = fewer
  }
  say(`${wanted}: still fails with ${only.join(', ') || 'no fault at all'}`)
  say(`  replay: npm run sim -- --seed ${seed}${replayFlags()} --only ${only.join() || 'none'}`)
}

async function proveMutations(): Promise<void> {
  const seedsMax = numberOf('seeds', flags.seeds) ?? 2_000
  const asked = positionals.flatMap(names => names.split(','))
  const unknown = asked.filter(name => !mutationNames.includes(name))
  if (unknown.length > 0) stop(`no mutation is called ${unknown.join(', ')}; there are ${mutationNames.join(', ')}`)
  for (const name of asked.length > 0 ? asked : mutationNames) {
    const found = await proveMutation(name, { seedsMax, nodes: numberOf('nodes', flags.nodes) })
    if (found === null) {
      say(`${name}: NOT FOUND in ${seedsMax} seeds`)
      process.exitCode = 1
    } else say(`${name}: found by seed ${found.seeds} (${found.invariant})`)
  }
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
