/**
 * `npm run chaos -- --minutes 5`: real scheduler processes and an agent under kills, freezes, bad networks, bad disks, wrong
 * clocks and folders that are not their own, while clients apply numbered operations. Prints what this machine lacks, every
 * fault as it strikes, what was compared at the end, and for a failure where all of it lies and the one command that
 * begins it again. Status 0: nothing was lost, doubled or stale; 1: something was; 2: wrong usage.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { FAULTS, type FaultName, isFault, kindOf, needsOf } from '../test/chaos/catalogue.ts'
import { type ChaosResult, runChaos } from '../test/chaos/chaos.ts'
import { findMissing } from '../test/chaos/equipment.ts'

const HELP = `npm run chaos -- [--minutes 5] [--nodes 3|5] [--seed N] [--faults FAULT,…] [--keep]
npm run chaos -- --list

  --minutes N      how long new faults are begun (default 5)
  --nodes N        3 or 5 scheduler nodes (default 3)
  --seed N         the faults that this seed gives, in its order (default: any). Real processes are never quite the same
                   twice: a seed gives the faults again, not the run
  --faults FAULTS  only these
  --list           what faults there are, and which this machine cannot have
  --keep           keep the folder also when nothing was wrong
`

interface Flags {
  readonly minutes: number
  readonly nodes: number
  readonly seed: number
  readonly faults?: readonly FaultName[]
  readonly keep: boolean
}

const say = (line: string): void => void process.stdout.write(`${line}\n`)
const flags = readFlags()
const folder = mkdtempSync(join(tmpdir(), 'daybreak-chaos-'))
if (flags === 'list') await list()
else process.exit(await run(flags))

async function run({ minutes, nodes, seed, faults, keep }: Flags): Promise<number> {
  const stopping = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => stopping.abort(new Error(`stopped by ${signal}`)))
  }
  const only = faults === undefined ? '' : ` --faults ${faults.join(',')}`
  const again = `npm run chaos -- --seed ${seed} --nodes ${nodes} --minutes ${minutes}${only}`
  say(`chaos: ${nodes} nodes and an agent, seed ${seed}, ${minutes} minutes of faults, data in ${folder}`)
  let verdict: 'passed' | 'FAILED' | 'broken off' = 'FAILED'
  try {
    const options = { seed, nodes, folder, faultsForMs: minutes * 60_000, keep, say, stopped: stopping.signal }
    const result = await runChaos({ ...options, ...(faults === undefined ? {} : { faults }) })
    if (result.violations.length === 0) verdict = 'passed'
    report(result, faults ?? FAULTS)
  } catch (cause) {
    const { message, stack } = cause as Error
    say(`\n${stopping.signal.aborted ? message : (stack ?? message)}`)
    if (stopping.signal.aborted) verdict = 'broken off'
  }
  if (verdict === 'FAILED' || keep) say(`\nlogs, configs and data stay in ${folder}`)
  else rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  say(`${verdict}; the same faults again: ${again}`)
  return verdict === 'passed' ? 0 : 1
}

function report(result: ChaosResult, asked: readonly FaultName[]): void {
  const counts = [...result.faults].sort(([a], [b]) => FAULTS.indexOf(a) - FAULTS.indexOf(b))
  say(`\nfaults: ${counts.map(([name, times]) => `${name} ${times}`).join(', ')}`)
  const never = asked.filter(name => !result.faults.has(name))
  if (never.length > 0) say(`did not strike: ${never.join(', ')}`)
  say(
    `operations: ${result.acknowledged} acknowledged; of their tries ${result.unknown} had an unknown outcome and ${result.refused} were refused for now; ` +
      `longest gap between two acknowledged ${(result.longestGapMs / 1_000).toFixed(1)} s`,
  )
  for (const line of result.checked) say(line)
  for (const line of result.violations) say(`VIOLATION: ${line}`)
}

async function list(): Promise<void> {
  const missing = await findMissing(folder)
  rmSync(folder, { recursive: true, force: true })
  const width = Math.max(...FAULTS.map(name => name.length))
  for (const name of FAULTS) {
    const reason = needsOf(name).flatMap(need => missing.get(need) ?? [])[0]
    say(`${name.padEnd(width)}  ${kindOf(name).does}${reason === undefined ? '' : ` (not here: ${reason})`}`)
  }
}

function readFlags(): Flags | 'list' {
  try {
    const { values } = parseArgs({
      options: {
        minutes: { type: 'string', default: '5' },
        nodes: { type: 'string', default: '3' },
        seed: { type: 'string', default: String(Math.floor(Math.random() * 1_000_000)) },
        faults: { type: 'string' },
        list: { type: 'boolean', default: false },
        keep: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    })
    if (values.help) {
      process.stdout.write(HELP)
      process.exit(0)
    }
    if (values.list) return 'list'
    const [minutes, nodes, seed] = [Number(values.minutes), Number(values.nodes), Number(values.seed)]
    if (!(minutes > 0)) throw new Error(`--minutes takes a number above 0, not ${values.minutes}`)
    if (nodes !== 3 && nodes !== 5) throw new Error(`--nodes takes 3 or 5, not ${values.nodes}`)
    if (!Number.isSafeInteger(seed)) throw new Error(`--seed takes a whole number, not ${values.seed}`)
    const faults = values.faults?.split(',').map(name => {
      if (!isFault(name)) throw new Error(`no fault is called ${name}; npm run chaos -- --list shows all`)
      return name
    })
    return { minutes, nodes, seed, keep: values.keep, ...(faults === undefined ? {} : { faults }) }
  } catch (cause) {
    process.stderr.write(`error: ${(cause as Error).message}\n\n${HELP}`)
    process.exit(2)
  }
}
