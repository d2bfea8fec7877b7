/**
 * Durable appends through the replicated log: one voter alone, in this process, and three nodes with clients in other
 * processes. Every acknowledgement is after a flush on a quorum, to a real disk (the system's temporary folder, or where
 * DAYBREAK_BENCH_DIR says: a RAM disk would measure nothing). Under `--profile` every thread of every node and client
 * leaves a CPU profile.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Bench, type BenchOptions, type BenchResult, type Figure, type FigureSpec, figure } from './bench.ts'
import { CLIENT_PROCESSES, LogCluster, type Round } from './log/cluster.ts'
import { PAYLOAD_BYTES } from './log/frames.ts'
import { oneVoter } from './log/one-voter.ts'

export const bench: Bench = {
  name: 'log',
  title: 'the replicated log: durable appends per second, latency, CPU; one voter, and three nodes with clients',
  run,
}

/** Of three nodes, by the number of writers with one append out each. */
const TARGETS: readonly {
  readonly writers: number
  readonly perSecond?: number
  readonly p50Ms?: number
  readonly p99Ms?: number
}[] = [
  { writers: 1, p50Ms: 3 },
  { writers: 64, perSecond: 10_000, p99Ms: 20 },
  { writers: 256, perSecond: 20_000, p99Ms: 25 },
  { writers: 1_000, perSecond: 20_000, p99Ms: 60 },
]
/** Two cores make 2 s of CPU a second: that many appends, clients aside, and nothing is left. */
const NODE_MICROS_TARGET = 100
const WRITERS_TO_WARM_UP = 1_000
const WRITERS_WITH_FOLLOWER_STOPPED = 64
const WRITERS_WHILE_BLOCKED = 64
const BLOCKED_MS = 2_000

async function run(options: BenchOptions): Promise<BenchResult> {
  const folder = mkdtempSync(join(process.env.DAYBREAK_BENCH_DIR ?? tmpdir(), 'daybreak-bench-log-'))
  try {
    const alone = await oneVoter(folder, options)
    const three = await threeNodes(folder, options)
    return {
      figures: [...alone, ...three],
      notes: [
        `Payloads are batches of the ledger with one row, ${PAYLOAD_BYTES} bytes in all; the row tables are written too.`,
        'A flush is one write of the log that was waited for; LMDB may join several into one fdatasync.',
        `three-…: three nodes on loopback, each a process of its own, all on this machine and its one disk; writers live in ${CLIENT_PROCESSES} more processes and reach the leader by WebSocket.`,
        'three-node-cpu: microseconds of all threads of all three nodes per append, the server that stands in for a scheduler included; it moves less than the others when something else runs on the machine.',
        'three-rounds-lost: measured again, because leadership ended in the middle; on a machine that is not kept from running for a second, none.',
        'p99-follower-stopped: that p99 with one follower stopped (SIGSTOP), over the one with all three in the round before.',
      ],
    }
  } finally {
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  }
}

async function threeNodes(folder: string, options: BenchOptions): Promise<readonly Figure[]> {
  const roundMs = options.quick ? 600 : 3_000
  options.say('three nodes: starting')
  const cluster = await LogCluster.start(folder)
  try {
    const figures: Figure[] = []
    // Nodes run for weeks: what the compiler has not seen yet is no matter of theirs.
    await cluster.round(WRITERS_TO_WARM_UP, 2 * roundMs)
    for (const target of TARGETS) {
      options.say(`three nodes: ${target.writers} writers, ${roundMs / 1_000} s a run`)
      const rounds: Round[] = []
      await cluster.round(target.writers, roundMs)
      for (let at = 0; at < options.runs; at++) rounds.push(await cluster.round(target.writers, roundMs))
      figures.push(...figuresOf(target, rounds))
    }
    figures.push(await followerStopped(cluster, roundMs, options), await schedulerBlocked(cluster, options))
    const lost = { name: 'three-rounds-lost', unit: 'rounds', better: 'lower', target: 0 } as const
    return [...figures, figure(lost, [cluster.lost])]
  } finally {
    await cluster.end()
  }
}

function figuresOf(target: (typeof TARGETS)[number], rounds: readonly Round[]): readonly Figure[] {
  const { writers, perSecond, p50Ms, p99Ms } = target
  const of = (
    name: string,
    spec: Pick<FigureSpec, 'unit' | 'better'>,
    pick: (round: Round) => number,
    aim?: number,
  ): Figure =>
    figure(
      { name: `three-${name}-${writers}`, ...spec, ...(aim === undefined ? {} : { target: aim }) },
      rounds.map(pick),
    )
  return [
    of('appends', { unit: 'appends/s', better: 'higher' }, one => one.perSecond, perSecond),
    of('append-p50', { unit: 'ms', better: 'lower' }, one => one.p50Ms, p50Ms),
    of('append-p99', { unit: 'ms', better: 'lower' }, one => one.p99Ms, p99Ms),
    of(
      'node-cpu',
      { unit: 'us/append', better: 'lower' },
      one => one.nodeMicrosPerAppend,
      writers === 1 ? undefined : NODE_MICROS_TARGET,
    ),
    of('client-cpu', { unit: 'us/append', better: 'lower' }, one => one.clientMicrosPerAppend),
    of('appends-per-flush', { unit: 'appends', better: 'higher' }, one => one.appendsPerFlush),
  ]
}

/** In turn with and without, because the machine is not the same from one minute to the next. */
async function followerStopped(cluster: LogCluster, roundMs: number, options: BenchOptions): Promise<Figure> {
  const writers = WRITERS_WITH_FOLLOWER_STOPPED
  const ratios: number[] = []
  for (let at = 0; at < options.runs; at++) {
    options.say(`three nodes: one follower stopped, ${writers} writers, ${at + 1} of ${options.runs}`)
    const whole = await cluster.round(writers, roundMs)
    cluster.stopFollower()
    const left = await cluster.round(writers, roundMs)
    await cluster.continueFollower()
    ratios.push(left.p99Ms / whole.p99Ms)
  }
  return figure({ name: `p99-follower-stopped-${writers}`, unit: 'ratio', better: 'lower', target: 1.2 }, ratios)
}

/** A long scheduling round, or a garbage collection, must not cost leadership: the log has a thread of its own. */
async function schedulerBlocked(cluster: LogCluster, options: BenchOptions): Promise<Figure> {
  options.say(`three nodes: scheduler thread of the leader blocked for ${BLOCKED_MS / 1_000} s`)
  const changes = [await cluster.roleChangesWhileBlocked(WRITERS_WHILE_BLOCKED, BLOCKED_MS)]
  return figure({ name: 'leadership-changes-scheduler-blocked', unit: 'changes', better: 'lower', target: 0 }, changes)
}
