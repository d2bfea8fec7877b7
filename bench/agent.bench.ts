/**
 * Real tasks on one machine: how many a second are launched, run and told to have ended, how soon one begins, and what
 * one costs that only waits. Slurm does the same work in the same run, in turns: arrays against the instances of a job,
 * single jobs against single jobs.
 */
import { mkdirSync, readFileSync } from 'node:fs'
import { loadavg } from 'node:os'
import { join } from 'node:path'
import { type Cost, costOf, nodeCpuSeconds } from './agent/task-cost.ts'
import { type TaskShape, WorkerNode } from './agent/worker-node.ts'
import { type Bench, type BenchOptions, type BenchResult, type Figure, figure, percentile } from './bench.ts'
import { Slurm, slurmMissing } from './peers/slurm.ts'

export const bench: Bench = {
  name: 'agent',
  title: 'one machine: real tasks launched and ended per second, time to begin, memory and CPU of an idle task',
  peers: ['slurm'],
  plots: [
    {
      name: 'launches',
      title: 'Real short processes per second on one machine',
      kind: 'bars',
      points: [
        { figure: 'launches', series: 'Daybreak', label: 'instances of one job, array' },
        { figure: 'slurm-array-jobs', series: 'Slurm', label: 'instances of one job, array' },
        { figure: 'launches-single', series: 'Daybreak', label: 'single jobs' },
        { figure: 'slurm-jobs', series: 'Slurm', label: 'single jobs' },
      ],
    },
    {
      name: 'time-to-begin',
      title: 'From the creation of a job to its process, ms',
      kind: 'bars',
      points: [
        { figure: 'launch-p50', series: 'Daybreak', label: 'p50' },
        { figure: 'launch-p99', series: 'Daybreak', label: 'p99' },
      ],
    },
  ],
  run,
}

/** Tasks that may run at once, for both. Slurm fills free slots in rounds of a second: with 16 it ends 15 jobs a second. */
const SLOTS = 64
/** Requests, or `sbatch` commands, at a time. */
const IN_FLIGHT = 8
const ROUND_MS_MAX = 180_000
/** V8 tidies its heaps about 8 s after the last work; a node that has been idle is past that. */
const CALM_MS = 12_000
const MIB = 1_048_576
/** Tasks of half a slot's least share, so that all that idle find room. Services end by themselves should the bench be killed. */
const IDLE: TaskShape = { cmdline: 'exec sleep 600', isService: true, cpusMilli: 10 }
const TRUE: TaskShape = { cmdline: '/bin/true', isService: false, cpusMilli: 990 }

interface Sizes {
  readonly burst: number
  readonly singles: number
  readonly idle: number
  readonly windows: number
  readonly windowMs: number
  readonly calmMs: number
}
const FULL: Sizes = { burst: 400, singles: 25, idle: 200, windows: 3, windowMs: 20_000, calmMs: CALM_MS }
const QUICK: Sizes = { burst: 32, singles: 5, idle: 40, windows: 1, windowMs: 4_000, calmMs: 1_000 }

async function run(options: BenchOptions): Promise<BenchResult> {
  const sizes = options.quick ? QUICK : FULL
  const loadBefore = loadavg()[0]!
  const wantsSlurm = options.peers.includes('slurm')
  const skipped = wantsSlurm ? slurmMissing() : null
  let slurm: Slurm | null = null
  try {
    if (wantsSlurm && skipped === null) slurm = await Slurm.start({ slots: SLOTS })
    const bursts = await WorkerNode.with({ cores: SLOTS }, node => rounds(node, slurm, sizes, options))
    await slurm?.end()
    // A node of its own: what the tasks before have left in memory is not the cost of those that idle.
    const idle = await WorkerNode.with({ cores: SLOTS }, node => idling(node, sizes, options))
    return {
      figures: [...bursts, ...idle],
      notes: notes(sizes, loadBefore, slurm !== null),
      ...(wantsSlurm
        ? {
            peers: [
              {
                name: 'slurm' as const,
                version: slurm?.version ?? null,
                skipped,
                configuration: slurm?.configuration ?? [],
              },
            ],
          }
        : {}),
    }
  } finally {
    await slurm?.end()
  }
}

async function rounds(node: WorkerNode, slurm: Slurm | null, sizes: Sizes, options: BenchOptions): Promise<Figure[]> {
  const mine: number[] = []
  const mineSingle: number[] = []
  const cpuMs: number[] = []
  const theirs: number[] = []
  const theirsSingle: number[] = []
  const p50: number[] = []
  const p99: number[] = []
  for (let run = 0; run <= options.runs; run++) {
    const cpuBefore = nodeCpuSeconds(node.pid)
    const burst = await perSecond(node, `burst-${run}`, sizes.burst, () =>
      node.create(`burst-${run}`, sizes.burst, TRUE),
    )
    const cpu = ((nodeCpuSeconds(node.pid) - cpuBefore) * 1_000) / sizes.burst
    const array = (await slurm?.array(sizes.burst)) ?? 0
    const singles = await perSecond(node, `single-${run}`, sizes.burst, () =>
      createSingles(node, `single-${run}`, sizes.burst),
    )
    const single = (await slurm?.singles(sizes.burst, IN_FLIGHT)) ?? 0
    const begun = await timesToBegin(node, run, sizes.singles)
    const against = slurm === null ? '' : `; Slurm ${array.toFixed(0)}, single ${single.toFixed(0)}`
    options.say(
      `run ${run}: ${burst.toFixed(0)} tasks/s, single ${singles.toFixed(0)}, begins after ${percentile(begun, 0.5).toFixed(0)} ms${against}`,
    )
    if (run === 0) continue
    mine.push(burst)
    cpuMs.push(cpu)
    mineSingle.push(singles)
    theirs.push(array)
    theirsSingle.push(single)
    p50.push(percentile(begun, 0.5))
    p99.push(percentile(begun, 0.99))
  }
  const figures = [
    figure({ name: 'launches', unit: 'tasks/s', better: 'higher', target: 100 }, mine),
    figure({ name: 'launches-single', unit: 'tasks/s', better: 'higher' }, mineSingle),
    figure({ name: 'launch-cpu', unit: 'ms', better: 'lower' }, cpuMs),
    figure({ name: 'launch-p50', unit: 'ms', better: 'lower' }, p50),
    figure({ name: 'launch-p99', unit: 'ms', better: 'lower' }, p99),
  ]
  if (slurm === null) return figures
  const ratios = (ours: readonly number[], others: readonly number[]): number[] =>
    ours.map((one, n) => one / others[n]!)
  return [
    ...figures,
    figure({ name: 'slurm-array-jobs', unit: 'tasks/s', better: 'higher' }, theirs),
    figure({ name: 'slurm-jobs', unit: 'tasks/s', better: 'higher' }, theirsSingle),
    figure({ name: 'ratio-array-slurm', unit: 'ratio', better: 'higher' }, ratios(mine, theirs)),
    figure({ name: 'ratio-jobs-slurm', unit: 'ratio', better: 'higher' }, ratios(mineSingle, theirsSingle)),
  ]
}

/** From the first request to the last FINISHED as a client sees it. */
async function perSecond(node: WorkerNode, family: string, tasks: number, ask: () => Promise<void>): Promise<number> {
  const begunMs = performance.now()
  await Promise.all([node.events.reached(family, 'FINISHED', tasks, ROUND_MS_MAX), ask()])
  return (tasks * 1_000) / (performance.now() - begunMs)
}

async function createSingles(node: WorkerNode, family: string, jobs: number): Promise<void> {
  let next = 0
  const worker = async (): Promise<void> => {
    for (let n = next++; n < jobs; n = next++) await node.create(`${family}.${n}`, 1, TRUE)
  }
  await Promise.all(Array.from({ length: IN_FLIGHT }, worker))
}

/** One job after the other on an idle node: from its request to the moment that its process writes down, ms. */
async function timesToBegin(node: WorkerNode, run: number, jobs: number): Promise<number[]> {
  const marks = join(node.folder, 'marks')
  mkdirSync(marks, { recursive: true })
  const times: number[] = []
  for (let n = 0; n < jobs; n++) {
    const family = `begin-${run}-${n}`
    const mark = join(marks, family)
    // The shell's own clock where it has one, in s with a fraction: no other program has to be started first.
    const cmdline = `echo "\${EPOCHREALTIME:-$(date +%s.%N)}" >${mark}`
    const finished = node.events.reached(family, 'FINISHED', 1, ROUND_MS_MAX)
    const sentMs = performance.timeOrigin + performance.now()
    await Promise.all([node.create(family, 1, { ...TRUE, cmdline }), finished])
    times.push(Number(readFileSync(mark, 'utf8')) * 1_000 - sentMs)
  }
  return times
}

async function idling(node: WorkerNode, sizes: Sizes, options: BenchOptions): Promise<Figure[]> {
  // One task first, so that code which every task needs is loaded and compiled before it is counted.
  await Promise.all([node.events.reached('first', 'RUNNING', 1, ROUND_MS_MAX), node.create('first', 1, IDLE)])
  await node.kill('first', 1)
  await pause(sizes.calmMs)
  const before = costOf(node.pid)
  await pause(sizes.windowMs)
  const alone = costOf(node.pid)
  const aloneShare = share(before, alone, sizes.windowMs)
  await Promise.all([
    node.events.reached('idle', 'RUNNING', sizes.idle, ROUND_MS_MAX),
    node.create('idle', sizes.idle, IDLE),
  ])
  await pause(sizes.calmMs)
  const memory: number[] = []
  const shims: number[] = []
  const cpu: number[] = []
  for (let window = 0; window < sizes.windows; window++) {
    const from = costOf(node.pid)
    await pause(sizes.windowMs)
    const to = costOf(node.pid)
    if (to.shims !== sizes.idle) throw new Error(`${to.shims} shims of ${sizes.idle} tasks are alive`)
    memory.push((to.nodePssBytes - alone.nodePssBytes + to.shimPssBytes) / sizes.idle / MIB)
    shims.push(to.shimPssBytes / sizes.idle / MIB)
    cpu.push(share(from, to, sizes.windowMs) / sizes.idle)
    options.say(`${sizes.idle} idle tasks: ${memory.at(-1)!.toFixed(2)} MiB and ${cpu.at(-1)!.toFixed(4)} % each`)
  }
  await node.kill('idle', sizes.idle)
  return [
    figure({ name: 'idle-task-memory', unit: 'MiB', better: 'lower', target: 3 }, memory),
    figure({ name: 'idle-task-memory-shim', unit: 'MiB', better: 'lower' }, shims),
    figure({ name: 'idle-task-cpu', unit: '% of a core', better: 'lower', target: 0.1 }, cpu),
    figure({ name: 'idle-node-cpu', unit: '% of a core', better: 'lower' }, [aloneShare]),
  ]
}

/** Of one core, in percent. */
function share(from: Cost, to: Cost, ms: number): number {
  return ((to.cpuSeconds - from.cpuSeconds) / (ms / 1_000)) * 100
}

function notes(sizes: Sizes, loadBefore: number, hasSlurm: boolean): string[] {
  const { burst, singles, idle, windowMs } = sizes
  return [
    `launches: a job of ${burst} instances of /bin/true, from its request to the last FINISHED that a client is told; -single: ${burst} jobs of one instance, ${IN_FLIGHT} requests at a time; at most ${SLOTS} run at once`,
    'each of these tasks is committed to the log five times, has a sandbox and files of its output, and its launch, its start and its end are flushed at the agent',
    'launch-cpu: of the node, its launcher and of everything below them, /bin/true included, per task of a burst',
    `launch-p50, -p99: ${singles} jobs one after the other on the idle node, from sending the request to the first command of the process`,
    `idle-task-memory: growth of the whole node (its agent, its leader and its log are one process; its launcher is another) and the shims, by PSS, per task of ${idle} that sleep; the sleep itself is not counted; -shim: the shims alone`,
    `idle-task-cpu: all that the node used in ${windowMs / 1_000} s, what it uses without tasks (idle-node-cpu) included, and the shims, per task; the executor has no health checks yet, so none run`,
    ...(hasSlurm
      ? [
          `slurm-array-jobs: sbatch --array of ${burst} jobs; slurm-jobs: ${burst} sbatch commands, ${IN_FLIGHT} at a time, because that is how Slurm takes jobs: its figure has a process of a client per job in it, Daybreak’s a request on an open connection`,
          'what is durable: Daybreak answers a creation after it is flushed; slurmctld holds jobs in memory and a thread of its own saves them to StateSaveLocation now and then; Slurm keeps no output of these jobs',
        ]
      : []),
    `node, tasks, peer and client share this machine: load average ${loadBefore.toFixed(1)} before, ${loadavg()[0]!.toFixed(1)} after`,
  ]
}

const pause = (ms: number): Promise<void> => new Promise(done => setTimeout(done, ms))
