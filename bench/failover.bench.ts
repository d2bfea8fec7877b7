/**
 * What a failover costs clients: three real scheduler processes on this machine, many tasks in the ledger, the leader
 * killed with SIGKILL (and, for comparison, stopped as planned), and the time until another one accepts a write. One
 * client asks every node in turn, without a pause, as clients do that do not know who leads. Leaders of peers are killed
 * in turn with Daybreak's.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type RealCluster, startRealCluster } from '../test/fixtures/real-cluster.ts'
import { type Bench, type BenchOptions, type BenchResult, type Figure, figure, type PeerReport } from './bench.ts'
import { level, MS_PER_TICK, replaceLeader, ticksOf, Writer } from './cluster/take-over.ts'
import { type FailoverPeer, startFailoverPeers } from './peers/failover.ts'
import { CLUSTER_PEERS } from './peers/start.ts'

export const bench: Bench = {
  name: 'failover',
  title: 'three nodes: from the death of the leader to the next accepted write, and from a planned stop, by lease',
  peers: CLUSTER_PEERS,
  plots: [
    {
      name: 'kill-to-write',
      title: 'Milliseconds from the death of the leader to the next accepted write',
      kind: 'bars',
      points: [
        { figure: 'kill-to-write', series: 'Daybreak', label: 'Daybreak' },
        { figure: 'kill-to-write-lease-500', series: 'Daybreak', label: 'Daybreak, lease 500 ms' },
        { figure: 'etcd-kill-to-write', series: 'etcd', label: 'etcd' },
        { figure: 'zookeeper-kill-to-write', series: 'ZooKeeper', label: 'ZooKeeper' },
      ],
    },
  ],
  run,
}

const INSTANCES_MAX = 4_000

/** Times of failure detection, and how much is done with them. */
interface Setting {
  readonly leaseMs: number
  readonly heartbeatMs: number
  readonly kills: number
  readonly stops: number
  /** Each kill of Daybreak's leader is followed by one of every peer's. */
  readonly peers: BenchOptions['peers']
  readonly killMsTarget: number
  /** At the end of the name of each figure. */
  readonly suffix: string
}

const settings = ({ quick, peers }: BenchOptions): readonly Setting[] => [
  {
    leaseMs: 1_000,
    heartbeatMs: 150,
    // Beside peers fewer, so that all have their turns within minutes.
    kills: peers.length === 0 ? (quick ? 3 : 20) : quick ? 2 : 10,
    stops: quick ? 2 : 10,
    peers,
    killMsTarget: 2_000,
    suffix: '',
  },
  {
    leaseMs: 500,
    heartbeatMs: 80,
    kills: quick ? 2 : 10,
    stops: 0,
    peers: [],
    killMsTarget: 1_000,
    suffix: '-lease-500',
  },
]

async function run(options: BenchOptions): Promise<BenchResult> {
  const { quick, say, peers } = options
  const [tasks, idleMs] = quick ? [1_000, 2_000] : [100_000, 10_000]
  const figures: Figure[] = []
  const notes: string[] = []
  const reports: PeerReport[] = []
  for (const setting of settings(options)) {
    const measured = await failovers(setting, { tasks, idleMs, say })
    figures.push(...measured.figures)
    notes.push(...measured.notes)
    reports.push(...(measured.peers ?? []))
  }
  return {
    figures,
    peers: reports,
    notes: [
      ...notes,
      'kill-to-write: from the signal to the answer 201 of a job of one instance; every node is asked in turn, the next as soon as one has refused',
      'between two of them the ended node is started again and waited for until all three hold the same position, and then two leases more',
      'idle-cpu: CPU of all three nodes together per second while nobody asks anything of them; a leader of three sends two heartbeats each time, and two are answered',
      'all three nodes, an agent and the client share this machine and its disk',
      ...(peers.length === 0
        ? []
        : [
            'etcd-…, zookeeper-…: from the signal to the next accepted write, in turn with the kills of Daybreak of no suffix; the peer starts its killed node again, is waited for until it has caught up, and rests as long as Daybreak does',
            `clients differ in the peers' favour: both nodes that are left are asked at the same time over open connections, Daybreak's one after the other; and Daybreak has ${tasks} tasks in its ledger while the peers hold a few keys`,
          ]),
    ],
  }
}

async function failovers(
  setting: Setting,
  { tasks, idleMs, say }: { readonly tasks: number; readonly idleMs: number; readonly say: BenchOptions['say'] },
): Promise<BenchResult> {
  const { leaseMs, heartbeatMs, kills, stops, killMsTarget, suffix } = setting
  const folder = mkdtempSync(join(process.env.DAYBREAK_BENCH_DIR ?? tmpdir(), 'daybreak-bench-failover-'))
  const flags = ['--log.lease', `${leaseMs}ms`, '--log.heartbeat', `${heartbeatMs}ms`]
  const cluster = await startRealCluster(folder, 3, undefined, flags)
  let peers: readonly FailoverPeer[] = []
  try {
    const writer = new Writer(cluster, folder)
    const began = performance.now()
    for (let left = tasks; left > 0; left -= INSTANCES_MAX) await writer.write(Math.min(left, INSTANCES_MAX))
    const fillMs = Math.round(performance.now() - began)
    say(`lease ${leaseMs} ms: ${tasks} tasks in the ledger after ${fillMs} ms`)
    const idle = await idleCpu(cluster, idleMs)
    const { started, missing } = await startFailoverPeers(folder, { peers: setting.peers, say })
    peers = started
    const killMs: number[] = []
    for (let at = 0; at < kills; at++) {
      killMs.push(await replaceLeader(cluster, writer, 'kill', leaseMs))
      say(`lease ${leaseMs} ms, kill ${at + 1}: ${killMs.at(-1)!.toFixed(0)} ms`)
      await killPeers(peers, say)
    }
    await Promise.all(peers.map(peer => peer.end()))
    const stopMs: number[] = []
    for (let at = 0; at < stops; at++) {
      stopMs.push(await replaceLeader(cluster, writer, 'stop', leaseMs))
      say(`lease ${leaseMs} ms, planned stop ${at + 1}: ${stopMs.at(-1)!.toFixed(0)} ms`)
    }
    const of = (name: string, values: readonly number[], target: number): Figure =>
      figure({ name: `${name}${suffix}`, unit: 'ms', better: 'lower', target }, values)
    const planned = stops === 0 ? [] : [of('planned-stop-to-write', stopMs, 500)]
    return {
      figures: [
        of('kill-to-write', killMs, killMsTarget),
        of('kill-to-write-worst', [Math.max(...killMs)], 1.5 * killMsTarget),
        ...planned,
        figure({ name: `idle-cpu${suffix}`, unit: 'ms/s', better: 'lower' }, [idle]),
        ...peers.flatMap(peer => peer.figures(killMs)),
      ],
      peers: [...peers.map(peer => peer.report()), ...missing],
      notes: [
        `${suffix === '' ? 'no suffix' : suffix}: lease ${leaseMs} ms, heartbeat ${heartbeatMs} ms; ${tasks} PENDING tasks in the ledger, made by jobs of at most ${INSTANCES_MAX} instances over REST in ${fillMs} ms`,
      ],
    }
  } finally {
    await Promise.all([cluster.end(), ...peers.map(peer => peer.end())])
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  }
}

async function killPeers(peers: readonly FailoverPeer[], say: BenchOptions['say']): Promise<void> {
  for (const peer of peers) {
    const tookMs = await peer.kill()
    say(tookMs === null ? `${peer.name} has failed` : `${peer.name}, kill: ${tookMs.toFixed(0)} ms`)
  }
}

/** Milliseconds of CPU a second of all nodes. */
async function idleCpu(cluster: RealCluster, ms: number): Promise<number> {
  await level(cluster)
  const usedTicks = (): number => cluster.nodes.reduce((sum, node) => sum + ticksOf(node!.child.pid!), 0)
  const before = usedTicks()
  await new Promise(done => setTimeout(done, ms))
  return ((usedTicks() - before) * MS_PER_TICK) / (ms / 1_000)
}
