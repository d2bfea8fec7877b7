/**
 * `npm run chaos -- --minutes 5`: real scheduler processes and an agent under SIGKILL, SIGSTOP, cut networks and disks that
 * are not their own, while clients apply numbered operations. Prints every fault as it strikes, what was compared at the
 * end, and for a failure the one command that begins it again. Status 0: nothing was lost, doubled or stale; 1: something
 * was; 2: wrong usage.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { runChaos } from '../test/chaos/chaos.ts'
import { FAULTS, type FaultName } from '../test/chaos/faults.ts'
import { makeNetwork } from '../test/chaos/network.ts'

const HELP = `npm run chaos -- [--minutes 5] [--nodes 3|5] [--seed N] [--only FAULT,…] [--keep]

  --minutes N    how long new faults are begun (default 5)
  --nodes N      3 or 5 scheduler nodes (default 3)
  --seed N       the faults that this seed gives, in its order (default: any). Real processes are never quite the same
                 twice: a seed gives the faults again, not the run
  --only FAULTS  only these: ${FAULTS.join(', ')}
  --keep         keep the folder with the nodes' data
`

const say = (line: string): void => void process.stdout.write(`${line}\n`)
const flags = readFlags()
const stopping = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => stopping.abort(new Error(`stopped by ${signal}`)))
}

const folder = mkdtempSync(join(tmpdir(), 'daybreak-chaos-'))
const made = makeNetwork(flags.nodes)
const network = typeof made === 'string' ? null : made
const replay = `npm run chaos -- --seed ${flags.seed} --nodes ${flags.nodes} --minutes ${flags.minutes}${flags.only === undefined ? '' : ` --only ${flags.only.join(',')}`}`
say(
  `chaos: ${flags.nodes} nodes and an agent, seed ${flags.seed}, ${flags.minutes} minutes of faults, data in ${folder}`,
)
if (typeof made === 'string') say(`no faults of the network: ${made}`)

let failed = true
try {
  const result = await runChaos({
    seed: flags.seed,
    nodes: flags.nodes,
    folder,
    network,
    faultsForMs: flags.minutes * 60_000,
    ...(flags.only === undefined ? {} : { only: flags.only }),
    say,
    stopped: stopping.signal,
  })
  failed = result.violations.length > 0
  const faults = [...result.faults].map(([name, times]) => `${name} ${times}`)
  say(`\nfaults: ${faults.join(', ')}`)
  const longest = (result.longestMs / 1_000).toFixed(1)
  say(
    `${result.acknowledged} operations acknowledged, after ${result.retries} tries in vain; the longest took ${longest} s`,
  )
  for (const line of result.checked) say(line)
  for (const line of result.violations) say(`VIOLATION: ${line}`)
} catch (cause) {
  say(`\nbroken off: ${(cause as Error).stack ?? String(cause)}`)
} finally {
  network?.remove()
}
if (failed || flags.keep) say(`\ndata stays in ${folder}`)
else rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
say(failed ? `FAILED; the same faults again: ${replay}` : `passed; the same faults again: ${replay}`)
process.exit(failed ? 1 : 0)

function readFlags(): { minutes: number; nodes: number; seed: number; only?: readonly FaultName[]; keep: boolean } {
  try {
    const { values } = parseArgs({
      options: {
        minutes: { type: 'string', default: '5' },
        nodes: { type: 'string', default: '3' },
        seed: { type: 'string', default: String(Math.floor(Math.random() * 1_000_000)) },
        only: { type: 'string' },
        keep: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    })
    if (values.help) {
      process.stdout.write(HELP)
      process.exit(0)
    }
    const [minutes, nodes, seed] = [Number(values.minutes), Number(values.nodes), Number(values.seed)]
    if (!(minutes > 0)) throw new Error(`--minutes takes a number above 0, not ${values.minutes}`)
    if (nodes !== 3 && nodes !== 5) throw new Error(`--nodes takes 3 or 5, not ${values.nodes}`)
    if (!Number.isSafeInteger(seed)) throw new Error(`--seed takes a whole number, not ${values.seed}`)
    const only = values.only?.split(',')
    const unknown = only?.find(name => !FAULTS.some(fault => fault === name))
    if (unknown !== undefined) throw new Error(`no fault is called ${unknown}`)
    return { minutes, nodes, seed, keep: values.keep, ...(only === undefined ? {} : { only: only as FaultName[] }) }
  } catch (cause) {
    process.stderr.write(`error: ${(cause as Error).message}\n\n${HELP}`)
    process.exit(2)
  }
}
