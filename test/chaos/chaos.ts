/**
 * A real cluster under faults: scheduler nodes and an agent as processes, clients that apply numbered operations
 * throughout, and faults drawn from a seed, one after the other or two at a time. When time is up everything is healed,
 * the clients end what they have begun, and what was acknowledged is compared with what is there.
 */
import type { ChildProcess } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { prng } from '../../src/core/base/prng.ts'
import { jobConfigurationOf } from '../fixtures/job-configurations.ts'
import { type Placement, startRealCluster } from '../fixtures/real-cluster.ts'
import { eventually, taskProcesses } from '../fixtures/real-node.ts'
import { FAULTS, type FaultName, type Need, needsOf } from './catalogue.ts'
import { checkLedger, checkLogs, checkRows, settled } from './checks.ts'
import { Client, pause } from './client.ts'
import { type DrawnFault, drawn, FaultBag } from './draw.ts'
import { type Equipment, makeEquipment } from './equipment.ts'
import { inflict } from './faults.ts'
import { MEMBER_VARIABLE } from './relay.ts'
import { acknowledgedMore, type World, within } from './world.ts'

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
  /** New faults begin until then. */
  readonly faultsForMs: number
  /** Only these are drawn; default: all. */
  readonly faults?: readonly FaultName[]
  /** Instead of drawing for a time: exactly these, one after the other. */
  readonly plan?: readonly FaultName[]
  /** The data of the nodes stays in the folder also when nothing was wrong. */
  readonly keep?: boolean
  readonly say: (line: string) => void
  readonly stopped: AbortSignal
}

export interface ChaosResult {
  readonly violations: readonly string[]
  readonly faults: ReadonlyMap<FaultName, number>
  readonly acknowledged: number
  /** Tries after which nobody could say whether it was done, and tries that were refused for now. */
  readonly unknown: number
  readonly refused: number
  /** Between two operations acknowledged one after the other; ms. */
  readonly longestGapMs: number
  /** What was compared, in words. */
  readonly checked: readonly string[]
}

export async function runChaos(options: ChaosOptions): Promise<ChaosResult> {
  const { folder, nodes, say } = options
  const names = options.plan ?? options.faults ?? FAULTS
  const equipment = makeEquipment(folder, nodes, new Set(names.flatMap(needsOf)))
  let keepData = true
  try {
    for (const line of skippedLines(names, equipment.missing)) say(line)
    if (names.every(name => !isPossible(name, equipment))) throw new Error('none of these faults is possible here')
    const result = await runOn(equipment, options)
    keepData = options.keep === true || result.violations.length > 0
    return result
  } finally {
    await equipment.remove({ keepData })
  }
}

/** Which kinds are left out, by the reason. */
export function skippedLines(names: readonly FaultName[], missing: ReadonlyMap<Need, string>): readonly string[] {
  const byReason = new Map<string, FaultName[]>()
  for (const name of new Set(names)) {
    const reason = needsOf(name).flatMap(need => missing.get(need) ?? [])[0]
    if (reason !== undefined) byReason.set(reason, [...(byReason.get(reason) ?? []), name])
  }
  return [...byReason].map(([reason, skipped]) => `skipped, because ${reason}: ${skipped.join(', ')}`)
}

const isPossible = (name: FaultName, { missing }: Equipment): boolean => needsOf(name).every(need => !missing.has(need))

async function runOn(equipment: Equipment, options: ChaosOptions): Promise<ChaosResult> {
  const { folder, nodes, say, stopped, seed } = options
  const violations: string[] = []
  const violation = (text: string): void => {
    violations.push(text)
    say(`VIOLATION: ${text}`)
  }
  const pulse = new Pulse()
  const processes = new Map<number | 'agent', ChildProcess>()
  const all = new Set<ChildProcess>()
  const onSpawn = (who: number | 'agent', child: ChildProcess): void => {
    processes.set(who, child)
    all.add(child)
    child.once('exit', () => all.delete(child))
  }
  let clients: readonly Client[] = []
  let ended: Promise<unknown> = Promise.resolve()
  try {
    const cluster = await startRealCluster(folder, nodes, { ...placementOf(folder, equipment), onSpawn })
    const acknowledged = (): number => pulse.count
    const base = { cluster, folder, equipment, processes, acknowledged, leaseMs: LEASE_MS, held: new Set<number>() }
    const world: World = { ...base, say, violation, stopped }
    clients = makeClients(world, seed, () => pulse.beat())
    ended = Promise.all(clients.map(client => client.run()))
    const faults = await inflictAll(world, options)
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
      acknowledged: pulse.count,
      unknown: clients.reduce((sum, client) => sum + client.unknown, 0),
      refused: clients.reduce((sum, client) => sum + client.refused, 0),
      longestGapMs: Math.round(pulse.longestGapMs),
      checked,
    }
  } finally {
    for (const client of clients) client.abandon()
    // Whatever has become of them was told above, if anybody still cared.
    await Promise.allSettled([ended])
    await endAll(all)
    for (const { pid } of taskProcesses(folder)) process.kill(pid, 'SIGKILL')
    await eventually(
      async () => taskProcesses(folder).length,
      left => left === 0,
    )
  }
}

/** When operations were acknowledged, by whichever client. */
class Pulse {
  count = 0
  longestGapMs = 0
  #lastMs = 0

  beat(): void {
    const nowMs = performance.now()
    if (this.count > 0) this.longestGapMs = Math.max(this.longestGapMs, nowMs - this.#lastMs)
    this.#lastMs = nowMs
    this.count++
  }
}

function placementOf(folder: string, { network, relays, disks, preload }: Equipment): Placement {
  const spaceOf = (memberId: number): readonly string[] => network?.within(memberId) ?? []
  return {
    ...(network === null ? {} : { hosts: network.hosts, within: spaceOf }),
    ...(disks === null ? {} : { dataDir: disks.dataDirOf }),
    ...(relays === null ? {} : { relay: (id, listed, own) => relays.start(id, listed, own, spaceOf(id)) }),
    env: memberId => ({ [MEMBER_VARIABLE]: `${folder}:${memberId}`, ...preload?.env(memberId) }),
    logFile: who => join(folder, who === 'agent' ? 'agent.log' : `node-${who}.log`),
  }
}

async function endAll(processes: ReadonlySet<ChildProcess>): Promise<void> {
  await Promise.all(
    [...processes].map(
      child =>
        new Promise<void>(resolve => {
          if (child.exitCode !== null || child.signalCode !== null) return resolve()
          child.once('exit', () => resolve())
          child.kill('SIGKILL')
        }),
    ),
  )
}

/** Answers how often each fault struck. */
async function inflictAll(world: World, options: ChaosOptions): Promise<ReadonlyMap<FaultName, number>> {
  const random = prng(options.seed)
  const bag = new FaultBag(random, options.faults ?? FAULTS)
  const faults = new Map<FaultName, number>()
  const plan = options.plan === undefined ? null : [...options.plan]
  const began = performance.now()
  const isDone = (): boolean => (plan === null ? performance.now() - began > options.faultsForMs : plan.length === 0)
  await progress(world)
  while (!isDone()) {
    world.stopped.throwIfAborted()
    const planned = plan?.shift()
    // What is not possible here is drawn all the same: a seed gives the same order on every machine.
    const next = planned === undefined ? bag.next() : [drawn(random, planned)]
    const struck = next.filter(({ name }) => isPossible(name, world.equipment))
    if (struck.length > 0) await strike(world, struck, faults, began)
  }
  return faults
}

async function strike(
  world: World,
  struck: readonly DrawnFault[],
  faults: Map<FaultName, number>,
  began: number,
): Promise<void> {
  const before = world.acknowledged()
  const done = await Promise.all(
    struck.map(async fault => {
      const what = await inflict(world, fault)
      if (what !== null) faults.set(fault.name, (faults.get(fault.name) ?? 0) + 1)
      return `${fault.name}: ${what ?? 'nobody to do it to'}`
    }),
  )
  const during = world.acknowledged() - before
  const afterMs = await progress(world)
  world.say(`${seconds(began)}  ${done.join(' and ')}; ${during} acknowledged meanwhile, the next ${afterMs} ms later`)
}

/** Ms until one more operation is acknowledged. */
async function progress(world: World): Promise<number> {
  const afterMs = await acknowledgedMore(world, 1, PROGRESS_MS_MAX)
  if (afterMs === null)
    throw new Error(`nothing was acknowledged for ${PROGRESS_MS_MAX / 1_000} s after all was healed`)
  return afterMs
}

function makeClients(world: World, seed: number, onAcknowledged: () => void): readonly Client[] {
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
        onAcknowledged,
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
