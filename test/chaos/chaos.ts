/**
 * A real cluster under faults: scheduler nodes and an agent as processes, clients that apply numbered operations
 * throughout, and faults drawn from a seed, one after the other or two at a time. When time is up everything is healed,
 * the clients end what they have begun, and what was acknowledged is compared with what is there.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { prng } from '../../src/core/base/prng.ts'
import { jobConfigurationOf } from '../fixtures/job-configurations.ts'
import { startRealCluster } from '../fixtures/real-cluster.ts'
import { eventually, taskProcesses } from '../fixtures/real-node.ts'
import { checkLedger, checkLogs, checkRows, settled } from './checks.ts'
import { Client, pause } from './client.ts'
import { drawFault, FAULTS, type FaultName, IMPOSTORS, inflict, NETWORK_FAULTS } from './faults.ts'
import type { Network } from './network.ts'
import { type World, within } from './world.ts'

const LEASE_MS = 1_000
const CLIENTS = 4
/** A healed cluster that takes nothing for longer is broken. */
const PROGRESS_MS_MAX = 60_000
const ROLE = 'www-data'
const ENVIRONMENT = 'devel'

export interface ChaosOptions {
  readonly seed: number
  readonly nodes: number
  readonly folder: string
  readonly network: Network | null
  /** New faults begin until then. */
  readonly faultsForMs: number
  /** Only these are drawn. */
  readonly only?: readonly FaultName[]
  /** Instead of drawing for a time: exactly these, one after the other. */
  readonly plan?: readonly FaultName[]
  readonly say: (line: string) => void
  readonly stopped: AbortSignal
}

export interface ChaosResult {
  readonly violations: readonly string[]
  readonly faults: ReadonlyMap<FaultName, number>
  readonly acknowledged: number
  readonly retries: number
  readonly longestMs: number
  /** What was compared, in words. */
  readonly checked: readonly string[]
}

export async function runChaos(options: ChaosOptions): Promise<ChaosResult> {
  const { folder, nodes, network, say, stopped, seed } = options
  const violations: string[] = []
  const violation = (text: string): void => {
    violations.push(text)
    say(`VIOLATION: ${text}`)
  }
  const placement = network === null ? undefined : { hosts: network.hosts, within: network.within }
  const cluster = await startRealCluster(folder, nodes, placement)
  const world: World = { cluster, folder, network, leaseMs: LEASE_MS, held: new Set(), say, violation, stopped }
  try {
    const clients = makeClients(world, seed)
    const acknowledged = (): number => clients.reduce((sum, client) => sum + client.acknowledged.length, 0)
    const ended = Promise.all(clients.map(client => client.run()))
    const faults = await inflictAll(world, options, acknowledged)
    for (const client of clients) client.end()
    if ((await within(world, PROGRESS_MS_MAX, () => Promise.race([ended, pause(50).then(() => null)]))) === null) {
      throw new Error(`operations are not acknowledged ${PROGRESS_MS_MAX / 1_000} s after all is healed`)
    }
    const checked = [await checkLedger(world, clients)]
    const commit = await settled(world)
    if (commit === null) violation('the nodes do not come to the same position within a minute')
    else {
      checked.push(await checkLogs(world, clients, commit))
      await cluster.end()
      checked.push(await checkRows(world, commit))
    }
    return {
      violations,
      faults,
      acknowledged: acknowledged(),
      retries: clients.reduce((sum, client) => sum + client.retries, 0),
      longestMs: Math.max(...clients.map(client => client.longestMs)),
      checked,
    }
  } finally {
    await cluster.end()
    for (const { pid } of taskProcesses(folder)) process.kill(pid, 'SIGKILL')
    await eventually(
      async () => taskProcesses(folder).length,
      left => left === 0,
    )
  }
}

/** Answers how often each fault struck. */
async function inflictAll(
  world: World,
  options: ChaosOptions,
  acknowledged: () => number,
): Promise<ReadonlyMap<FaultName, number>> {
  const random = prng(options.seed)
  const possible = (options.only ?? FAULTS).filter(name => world.network !== null || !NETWORK_FAULTS.includes(name))
  if (possible.length === 0) throw new Error('none of these faults is possible here')
  const together = possible.filter(name => !IMPOSTORS.includes(name) && name !== 'kill-all')
  const faults = new Map<FaultName, number>()
  const plan = options.plan === undefined ? null : [...options.plan]
  const began = performance.now()
  const isDone = (): boolean => (plan === null ? performance.now() - began > options.faultsForMs : plan.length === 0)
  await progress(world, acknowledged)
  while (!isDone()) {
    world.stopped.throwIfAborted()
    const planned = plan?.shift()
    const first = drawFault(random, planned === undefined ? possible : [planned])
    const second = drawFault(random, together.length === 0 ? possible : together)
    const isPair = planned === undefined && random.next() < 0.3 && together.includes(first.name)
    const before = acknowledged()
    const done = await Promise.all(
      (isPair ? [first, second] : [first]).map(async fault => {
        const what = await inflict(world, fault)
        if (what !== null) faults.set(fault.name, (faults.get(fault.name) ?? 0) + 1)
        return what
      }),
    )
    const during = acknowledged() - before
    const afterMs = await progress(world, acknowledged)
    const text = done.filter(what => what !== null).join(' and ') || `${first.name}: nobody to do it to`
    world.say(`${seconds(began)}  ${text}; ${during} acknowledged meanwhile, the next ${afterMs} ms later`)
  }
  return faults
}

/** Ms until one more operation is acknowledged. */
async function progress(world: World, acknowledged: () => number): Promise<number> {
  const [before, began] = [acknowledged(), performance.now()]
  const more = await within(world, PROGRESS_MS_MAX, async () => (acknowledged() > before ? true : null))
  if (more === null) throw new Error(`nothing was acknowledged for ${PROGRESS_MS_MAX / 1_000} s after all was healed`)
  return Math.round(performance.now() - began)
}

function makeClients(world: World, seed: number): readonly Client[] {
  const files = { pending: join(world.folder, 'pending.yaml'), running: join(world.folder, 'running.yaml') }
  writeFileSync(files.running, jobFile(''))
  // No machine is called that, so it stays PENDING: a change of the ledger that costs no process.
  writeFileSync(files.pending, jobFile('constraints: { host: nowhere }\n'))
  return Array.from(
    { length: CLIENTS },
    (_none, at) =>
      new Client({
        number: at + 1,
        seed,
        urls: world.cluster.urls,
        jobPath: name => `/api/v1/jobs/${ROLE}/${ENVIRONMENT}/${name}`,
        jobOf: (name, kind, instances) => ({
          ...jobConfigurationOf(files[kind], { role: ROLE, environment: ENVIRONMENT, name }),
          instanceCount: instances,
        }),
        onViolation: world.violation,
      }),
  )
}

const jobFile = (more: string): string => `service: true
${more}task:
  processes:
    - { name: idles, cmdline: 'exec sleep 100000' }
  resources: { cpu: 0.01, ram: 1MiB, disk: 1MiB }
`

const seconds = (began: number): string => `${((performance.now() - began) / 1_000).toFixed(1).padStart(6)} s`
