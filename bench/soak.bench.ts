/**
 * An hour of ordinary load on three real scheduler processes, during which leadership changes every five minutes, nodes are
 * restarted and one is killed: whether memory, files, descriptors and latency stay as they are once everything that is kept
 * for a time has been kept for that time, and whether anything that was acknowledged is missing at the end.
 */
import { loadavg } from 'node:os'
import { eventually } from '../test/fixtures/real-node.ts'
import type { Bench, BenchOptions, BenchResult } from './bench.ts'
import { LargeCluster } from './lifecycle/large-cluster.ts'
import { Child } from './log/child.ts'
import { disturb, transfer } from './soak/disturber.ts'
import type { LoadQuestions, Taken } from './soak/load.ts'
import { FIRST, planOf } from './soak/plan.ts'
import { Sampler } from './soak/sampler.ts'
import {
  type Disturbance,
  type Failure,
  figuresOf,
  JUDGED_S_LEAST,
  minutesOf,
  named,
  type Sample,
  type SoakRun,
  seriesName,
  type Timing,
  unexpected,
} from './soak/soak-report.ts'

const MINUTES = 60
const QUICK_MINUTES = 1 / 3
const MINUTES_ENV = 'DAYBREAK_BENCH_SOAK_MINUTES'

export const bench: Bench = {
  name: 'soak',
  title: 'three nodes, an hour of mixed load with changes of leader: what grows, what slows, what gets lost',
  isLong: true,
  plots: [
    plot('memory', 'Memory of the node that is never restarted, MiB', ['memory', 'heap']),
    plot('files', 'Databases of all nodes, MiB', ['files']),
    plot('latency', 'Latency outside of changes of leader, p99, ms', ['write-p99', 'read-p99']),
  ],
  run,
}

function plot(name: string, title: string, series: readonly string[]): NonNullable<Bench['plots']>[number] {
  const points = series.flatMap(one =>
    minutesOf(MINUTES * 60).map(minute => {
      return { figure: seriesName(one, minute), series: one, label: String(minute), x: minute }
    }),
  )
  return { name, title, kind: 'lines', xTitle: 'minutes', points }
}

const AGENTS = 50
const LIFE = { leastMs: 5_000, mostMs: 25_000 }
/** Everything that is kept for a time is so for at most two minutes, so that after ten nothing more comes to it. */
const FLAGS = [
  ...['--scheduler.pruning.keep', '1min', '--scheduler.pruning.keepMin', '30s', '--scheduler.pruning.perJob', '5'],
  ...['--backup.interval', '1min', '--backup.keep', '2', '--log.keepEntries', '2000', '--logging.level', 'warn'],
]
const SAMPLES_S = 10
const QUICK_SAMPLES_S = 1
const CHECK_MS_MAX = 30_000

interface Noticed {
  readonly samples: Sample[]
  readonly timings: Timing[]
  readonly failures: Failure[]
  readonly disturbances: Disturbance[]
}

/** Ended by whoever waits for it, or from outside. */
class Interruption {
  isTold = false
  #tell: () => void = () => {}
  readonly #told = new Promise<void>(resolve => {
    this.#tell = resolve
  })

  tell(): void {
    this.isTold = true
    this.#tell()
  }

  /** Settles at that time of `performance.now()`, or earlier when told. */
  async until(atMs: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined
    const timeout = new Promise<void>(resolve => {
      timer = setTimeout(resolve, Math.max(0, atMs - performance.now()))
    })
    await Promise.race([timeout, this.#told])
    clearTimeout(timer)
  }
}

async function run(options: BenchOptions): Promise<BenchResult> {
  const plannedS = minutesAsked(options) * 60
  const loadBefore = loadavg()[0]!
  const interruption = new Interruption()
  const onInterrupt = (): void => {
    options.say('interrupted: what was measured so far is checked and reported; once more ends it at once')
    interruption.tell()
  }
  const { soak, findings } = await LargeCluster.with(
    { jobs: 0, instances: 0, agents: AGENTS },
    FLAGS,
    cluster => soaked(cluster, plannedS, options, interruption),
    { interruptible: { onInterrupt } },
  )
  const bad = unexpected(soak)
  const minutes = (seconds: number): string => (seconds / 60).toFixed(1)
  return {
    figures: figuresOf(soak),
    notes: [
      ...(interruption.isTold
        ? [`INTERRUPTED after ${minutes(soak.lengthS)} of ${minutes(plannedS)} minutes: figures are of those`]
        : [`${minutes(soak.lengthS)} minutes`]),
      ...(soak.lengthS < JUDGED_S_LEAST
        ? ['too short to judge what grows: it has not been steady yet, and there is no target for it']
        : []),
      'drift: the last sixth of the run over the second one; the mean of memory and descriptors, the median of files, the tenth part of the heap that was lowest; node 1, which is never restarted and leads for half of each sixth; files are the databases of all nodes',
      `history, backups and log are kept for about a minute; the answers to writes are kept for a day whatever is set, and are what still grows`,
      `changes: launches and statuses that were acknowledged, and writes that were accepted; ${AGENTS} simulated agents, tasks live for ${LIFE.leastMs / 1_000} to ${LIFE.mostMs / 1_000} s and come again`,
      'write and read: from when it was due to its answer, the windows of a minute in order, without those due while leadership changed and 5 s after; -worst is of all, retries through a change of leader included',
      `changes of leader: ${soak.disturbances.map(({ what }) => what).join('; ')}`,
      `failed attempts: ${soak.failures.length}, of which ${bad.length} were not within 5 s of a change of leader${bad.length === 0 ? '' : `: ${named(bad).join('; ')}`}`,
      ...findings,
      `load average ${loadBefore.toFixed(1)} before, ${loadavg()[0]!.toFixed(1)} after`,
    ],
  }
}

function minutesAsked({ quick }: BenchOptions): number {
  const text = process.env[MINUTES_ENV]
  if (text === undefined || text === '') return quick ? QUICK_MINUTES : MINUTES
  const minutes = Number(text)
  if (!Number.isFinite(minutes) || minutes <= 0 || minutes > 24 * 60)
    throw new Error(`${MINUTES_ENV} must be minutes, more than 0 and at most 1440, found '${text}'`)
  return minutes
}

async function soaked(
  cluster: LargeCluster,
  plannedS: number,
  options: BenchOptions,
  interruption: Interruption,
): Promise<{ readonly soak: SoakRun; readonly findings: readonly string[] }> {
  const { nodes } = cluster
  const load = new Child<LoadQuestions>(new URL('./soak/load.js', import.meta.url), 'load')
  try {
    await transfer(nodes, FIRST)
    await cluster.connectAgents({ agents: AGENTS })
    await cluster.agents.ask('liveByThemselves', LIFE)
    await load.ask('begin', { urls: nodes.urls })
    options.say(`the load goes on for ${(plannedS / 60).toFixed(1)} minutes; SIGINT ends it early with what there is`)
    const noticed: Noticed = { samples: [], timings: [], failures: [], disturbances: [] }
    const changesBefore = await changesOf(cluster, await load.ask('take', null))
    const sampler = new Sampler(cluster)
    const beganMs = performance.now()
    const endMs = beganMs + plannedS * 1_000
    await Promise.all([
      watch(cluster, load, sampler, noticed, { beganMs, endMs }, options, interruption),
      changeLeaders(cluster, noticed, { beganMs, plannedS }, options, interruption),
    ])
    const lengthS = (performance.now() - beganMs) / 1_000
    const last = await load.ask('stop', null)
    note(noticed, last)
    const changes = (await changesOf(cluster, last)) - changesBefore
    // What is missing may only show under somebody else.
    await transfer(nodes, 2)
    const { lost, findings } = await checked(cluster, load)
    const soak = {
      ...{ ...noticed, beganMs: performance.timeOrigin + beganMs, lengthS, changes, events: last.events, lost },
    }
    return { soak, findings }
  } finally {
    await load.end('SIGKILL')
  }
}

async function changesOf(cluster: LargeCluster, { accepted }: Taken): Promise<number> {
  return accepted + (await cluster.agents.ask('changes', null))
}

function note({ timings, failures }: Noticed, taken: Taken): void {
  timings.push(...taken.timings)
  failures.push(...taken.failures)
}

/** Samples until the end. */
async function watch(
  cluster: LargeCluster,
  load: Child<LoadQuestions>,
  sampler: Sampler,
  noticed: Noticed,
  { beganMs, endMs }: { readonly beganMs: number; readonly endMs: number },
  { quick, say }: BenchOptions,
  interruption: Interruption,
): Promise<void> {
  const everyMs = (quick ? QUICK_SAMPLES_S : SAMPLES_S) * 1_000
  for (let turn = 1; beganMs + turn * everyMs <= endMs && !interruption.isTold; turn++) {
    await interruption.until(beganMs + turn * everyMs)
    const sample = await sampler.sample()
    noticed.samples.push(sample)
    note(noticed, await load.ask('take', null))
    if (turn % 6 !== 0) continue
    const mib = (bytes: number): string => (bytes / 1_048_576).toFixed(0)
    const memory = sample.nodes.map(node => (node === null ? '–' : mib(node.rssBytes))).join('/')
    const files = mib(sample.nodes.reduce((sum, node) => sum + (node?.lmdbBytes ?? 0), 0))
    const changes = await cluster.agents.ask('changes', null)
    say(
      `${(sample.atS / 60).toFixed(1)} min: memory ${memory} MiB, databases ${files} MiB, ${sample.cores.toFixed(2)} cores, ${changes} changes of tasks, ${noticed.failures.length} failed attempts`,
    )
  }
  await interruption.until(endMs)
}

async function changeLeaders(
  cluster: LargeCluster,
  { disturbances }: Noticed,
  { beganMs, plannedS }: { readonly beganMs: number; readonly plannedS: number },
  { say }: BenchOptions,
  interruption: Interruption,
): Promise<void> {
  for (const step of planOf(plannedS)) {
    await interruption.until(beganMs + step.atS * 1_000)
    if (interruption.isTold) return
    const disturbance = await disturb(cluster.nodes, step)
    disturbances.push(disturbance)
    say(`${(step.atS / 60).toFixed(1)} min: ${disturbance.what}`)
  }
}

/** What was in the middle of something may come to its end first. */
async function checked(
  cluster: LargeCluster,
  load: Child<LoadQuestions>,
): Promise<{ readonly lost: number; readonly findings: readonly string[] }> {
  const { node } = await cluster.nodes.leader()
  const lateMs = performance.now() + CHECK_MS_MAX
  const { lost, revived, uneven, acknowledged } = await eventually(
    () => load.ask('check', { url: node.url }),
    found => found.lost.length + found.revived.length + found.uneven.length === 0 || performance.now() > lateMs,
  )
  const told = (what: string, names: readonly string[]): string[] =>
    names.length === 0 ? [] : [`${names.length} ${what}: ${names.slice(0, 5).join(', ')}`]
  return {
    lost: lost.length + revived.length,
    findings: [
      `${acknowledged} jobs were acknowledged; at the end the leader has been asked for each`,
      ...told('acknowledged jobs are not there', lost),
      ...told('killed jobs are there', revived),
      ...told('jobs have not as many active tasks as instances', uneven),
    ],
  }
}
