/**
 * Durable appends through the replicated log: one voter alone, in this process, and three nodes with clients in other
 * processes. Every acknowledgement is after a flush on a quorum, to a real disk (the system's temporary folder, or where
 * DAYBREAK_BENCH_DIR says: a RAM disk would measure nothing). Peers do the same work in the same run, round by round in
 * turn with Daybreak, with their data on the same disk. Under `--profile` every thread of every node and client leaves a
 * CPU profile.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type Bench,
  type BenchOptions,
  type BenchResult,
  type Figure,
  type FigureSpec,
  figure,
  type PeerReport,
  type Plot,
} from './bench.ts'
import { CLIENT_PROCESSES, LogCluster, type Round } from './log/cluster.ts'
import { PAYLOAD_BYTES } from './log/frames.ts'
import { oneVoter } from './log/one-voter.ts'
import { type LogPeer, startLogPeers } from './log/peers.ts'
import { CLUSTER_PEERS } from './peers/start.ts'

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

export const bench: Bench = {
  name: 'log',
  title: 'the replicated log: durable appends per second, latency, CPU; one voter, and three nodes with clients',
  peers: CLUSTER_PEERS,
  plots: [
    byWriters('appends', 'appends', 'Durable appends per second, three nodes'),
    byWriters('p99', 'append-p99', 'Milliseconds until a durable append is acknowledged, three nodes, 99 of 100'),
  ],
  run,
}

function byWriters(name: string, ending: string, title: string): Plot {
  const line = (series: string, prefix: string) =>
    TARGETS.map(({ writers }) => ({
      figure: `${prefix}-${ending}-${writers}`,
      series,
      label: String(writers),
      x: writers,
    }))
  const points = [...line('Daybreak', 'three'), ...line('etcd', 'etcd'), ...line('ZooKeeper', 'zookeeper')]
  return { name, title, kind: 'lines', xTitle: 'writers with one append out each', points }
}

/** Two cores make 2 s of CPU a second: that many appends, clients aside, and nothing is left. */
const NODE_MICROS_TARGET = 100
const WRITERS_TO_WARM_UP = 1_000
const QUICK_PEER_WRITERS = [64, 1_000]
const WRITERS_WITH_FOLLOWER_STOPPED = 64
const WRITERS_WHILE_BLOCKED = 64
const BLOCKED_MS = 2_000

async function run(options: BenchOptions): Promise<BenchResult> {
  const folder = mkdtempSync(join(process.env.DAYBREAK_BENCH_DIR ?? tmpdir(), 'daybreak-bench-log-'))
  try {
    const alone = await oneVoter(folder, options)
    const three = await threeNodes(folder, options)
    return {
      figures: [...alone, ...three.figures],
      peers: three.peers,
      notes: [
        `Payloads are batches of the ledger with one row, ${PAYLOAD_BYTES} bytes in all; the row tables are written too.`,
        'A flush is one write of the log that was waited for; LMDB may join several into one fdatasync.',
        `three-…: three nodes on loopback, each a process of its own, all on this machine and its one disk; writers live in ${CLIENT_PROCESSES} more processes that reach the leader by one WebSocket each, and what its writers append in one turn of a process travels in one frame. This is the log alone behind an entrance of the bench; users reach it through HTTP and the scheduler, which placement-durable, lifecycle and api measure.`,
        'three-node-cpu: microseconds of all threads of all three nodes per append, the server that stands in for a scheduler included; it moves less than the others when something else runs on the machine.',
        'three-rounds-lost: measured again, because leadership ended in the middle; on a machine that is not kept from running for a second, none.',
        'p99-follower-stopped: that p99 with one follower stopped (SIGSTOP), over the one with all three in the round before.',
        ...(options.peers.length === 0
          ? []
          : [
              'etcd-…, zookeeper-…: the same number of writers with one write of the same size out each, in turn with the three-… of the same number, after a warm-up of each; appends of the shape of load that was fastest in the warm-up, which the report of the peer names.',
              'ratio-…: of the two rounds of one turn, Daybreak over the peer; the median of those is not the ratio of the medians.',
            ]),
      ],
    }
  } finally {
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  }
}

async function threeNodes(
  folder: string,
  options: BenchOptions,
): Promise<{ readonly figures: readonly Figure[]; readonly peers: readonly PeerReport[] }> {
  const roundMs = roundMsOf(options)
  options.say('three nodes: starting')
  const cluster = await LogCluster.start(folder)
  const { started: peers, missing } = await startLogPeers(folder, options)
  try {
    const figures: Figure[] = []
    // Nodes run for weeks: what the compiler has not seen yet is no matter of theirs.
    await cluster.round(WRITERS_TO_WARM_UP, 2 * roundMs)
    for (const peer of peers) await peer.warmUp(WRITERS_TO_WARM_UP, 2 * roundMs)
    for (const target of TARGETS) {
      // Under --quick the peers are only seen to work, where ratios have a target.
      const beside = options.quick && !QUICK_PEER_WRITERS.includes(target.writers) ? [] : peers
      const rounds = await inTurns(cluster, beside, target.writers, options)
      figures.push(...figuresOf(target, rounds))
    }
    await Promise.all(peers.map(peer => peer.end()))
    figures.push(await followerStopped(cluster, roundMs, options), await schedulerBlocked(cluster, options))
    const lost = { name: 'three-rounds-lost', unit: 'rounds', better: 'lower', target: 0 } as const
    return {
      figures: [...figures, figure(lost, [cluster.lost]), ...peers.flatMap(peer => peer.figures())],
      peers: [...peers.map(peer => peer.report()), ...missing],
    }
  } finally {
    await Promise.all([cluster.end(), ...peers.map(peer => peer.end())])
  }
}

/** Beside peers shorter, so that all of them have their turns within minutes. */
function roundMsOf({ quick, peers }: BenchOptions): number {
  if (quick) return peers.length === 0 ? 600 : 300
  return peers.length === 0 ? 3_000 : 2_000
}

/** Daybreak's rounds; each is followed by one of every peer. */
async function inTurns(
  cluster: LogCluster,
  peers: readonly LogPeer[],
  writers: number,
  options: BenchOptions,
): Promise<readonly Round[]> {
  const roundMs = roundMsOf(options)
  options.say(`three nodes: ${writers} writers, ${roundMs / 1_000} s a run`)
  await cluster.round(writers, roundMs)
  for (const peer of peers) {
    options.say(`${peer.name}: ${writers} writers, the fastest way to load it`)
    await peer.choose(writers, roundMs / 2)
  }
  const own: Round[] = []
  const theirs = peers.map((): Awaited<ReturnType<LogPeer['round']>>[] => [])
  for (let run = 0; run < options.runs; run++) {
    for (const peer of peers) peer.beginIdle()
    own.push(await cluster.round(writers, roundMs))
    for (const peer of peers) peer.endIdle()
    for (const [at, peer] of peers.entries()) theirs[at]!.push(await peer.round(writers, roundMs))
  }
  for (const [at, peer] of peers.entries()) await peer.finish(writers, own, theirs[at]!)
  return own
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
