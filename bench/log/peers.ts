/** The peers of the log benchmark: which of them can be measured, their rounds in turn with Daybreak's, and their figures. */
import { type BenchOptions, type Figure, type FigureSpec, figure, type PeerReport } from '../bench.ts'
import { MS_PER_TICK } from '../cluster/take-over.ts'
import type { PeerCluster, PeerRound } from '../peers/peer.ts'
import { etcdShapes, type LoadShape, type Shapes, zooKeeperShapes } from '../peers/shapes.ts'
import { type ClusterPeerName, startPeers, whyFailed } from '../peers/start.ts'
import type { Round } from './cluster.ts'
import { PAYLOAD_BYTES } from './frames.ts'

/** Rounds with an error in them are measured again, so often. */
const TRIES_MAX = 3

interface Targets {
  readonly appends: Readonly<Record<number, number>>
  readonly p99: Readonly<Record<number, number>>
}

/** How many times the peer's appends Daybreak's are to be, and its p99 of theirs, by the number of writers. */
const RATIO_TARGETS: Readonly<Record<ClusterPeerName, Targets>> = {
  etcd: { appends: { 64: 5, 1000: 10 }, p99: { 64: 1 } },
  zookeeper: { appends: { 64: 5, 1000: 5 }, p99: { 64: 1 } },
}

interface MeasuredRound extends PeerRound {
  /** Of all threads of all three servers. */
  readonly nodeMicrosPerAppend: number
}

/** One that runs. What goes wrong with it ends its part and not the benchmark. */
export class LogPeer {
  readonly name: ClusterPeerName
  readonly #cluster: PeerCluster
  readonly #shapes: Shapes
  readonly #figures: Figure[] = []
  readonly #chosen: string[] = []
  #shape: LoadShape | null = null
  #lost = 0
  #failed: string | null = null
  #idleTicks = 0
  #idleMs = 0
  #idleSince: { readonly ticks: number; readonly ms: number } | null = null

  constructor(name: ClusterPeerName, cluster: PeerCluster, shapes: Shapes) {
    this.name = name
    this.#cluster = cluster
    this.#shapes = shapes
  }

  get hasFailed(): boolean {
    return this.#failed !== null
  }

  /** Servers run for weeks: what a compiler has not seen yet is no matter of theirs. */
  async warmUp(writers: number, ms: number): Promise<void> {
    await this.#guarded(async () => {
      const shape = this.#shapes.of(writers).at(-1)!
      await this.#round(shape, writers, ms)
      await shape.rest()
    })
  }

  /** Warms up with each shape and keeps the fastest. */
  async choose(writers: number, ms: number): Promise<void> {
    await this.#guarded(async () => {
      const tried: { readonly shape: LoadShape; readonly perSecond: number }[] = []
      for (const shape of this.#shapes.of(writers)) {
        // The first round connects, compiles, and tells the load tool how many writes make a round.
        await this.#round(shape, writers, ms / 2)
        tried.push({ shape, perSecond: (await this.#round(shape, writers, ms)).perSecond })
        await shape.rest()
      }
      tried.sort((a, b) => b.perSecond - a.perSecond)
      this.#shape = tried[0]!.shape
      const others = tried.map(({ shape, perSecond }) => `${Math.round(perSecond)}/s by ${shape.title}`)
      this.#chosen.push(`${writers} writers: measured by the first of (as the warm-up went) ${others.join('; ')}`)
    })
  }

  /** Null if it has failed. */
  round(writers: number, ms: number): Promise<MeasuredRound | null> {
    return this.#guarded(async () => this.#round(this.#shape!, writers, ms))
  }

  /** Writers of the number that was chosen for are done. `rounds` are in turns with Daybreak's `own`. */
  async finish(writers: number, own: readonly Round[], rounds: readonly (MeasuredRound | null)[]): Promise<void> {
    await this.#guarded(async () => {
      await this.#shape!.rest()
      this.#figures.push(...peerFigures(this.name, writers, own, rounds as readonly MeasuredRound[]))
    })
  }

  /** Around rounds of others: what the servers use while nobody asks anything of them. */
  beginIdle(): void {
    this.#idleSince = { ticks: this.#ticks(), ms: performance.now() }
  }

  endIdle(): void {
    if (this.#idleSince === null || this.hasFailed) return
    this.#idleTicks += this.#ticks() - this.#idleSince.ticks
    this.#idleMs += performance.now() - this.#idleSince.ms
    this.#idleSince = null
  }

  figures(): readonly Figure[] {
    const lost = { name: `${this.name}-rounds-lost`, unit: 'rounds', better: 'lower' } as const
    return this.#figures.length === 0 ? [] : [...this.#figures, figure(lost, [this.#lost])]
  }

  report(): PeerReport {
    const idle = this.#idleMs === 0 ? 0 : (this.#idleTicks * MS_PER_TICK) / (this.#idleMs / 1_000)
    return {
      name: this.name,
      version: this.#cluster.version,
      skipped: this.#failed,
      configuration: [
        ...this.#cluster.configuration,
        `values of ${PAYLOAD_BYTES} bytes, each writer has a key of its own and one write out`,
        ...this.#chosen,
        `while the others have their turns its three servers stand by, which costs ${idle.toFixed(0)} ms of CPU a second`,
      ],
    }
  }

  async end(): Promise<void> {
    await Promise.all([this.#shapes.end(), this.#cluster.end()])
  }

  async #round(shape: LoadShape, writers: number, ms: number): Promise<MeasuredRound> {
    let lost = ''
    for (let left = TRIES_MAX; left > 0; left--) {
      const before = this.#ticks()
      const round = await shape.round(writers, ms)
      const micros = (this.#ticks() - before) * MS_PER_TICK * 1_000
      if (typeof round !== 'string') return { ...round, nodeMicrosPerAppend: micros / round.writes }
      this.#lost++
      lost = round
      await this.#cluster.leader()
    }
    throw new Error(`each of ${TRIES_MAX} rounds of ${writers} writers had errors, the last: ${lost}`)
  }

  #ticks(): number {
    return this.#cluster.nodes.reduce((sum, node) => sum + (node?.cpuTicks() ?? 0), 0)
  }

  async #guarded<Value>(work: () => Promise<Value>): Promise<Value | null> {
    if (this.#failed !== null) return null
    try {
      return await work()
    } catch (cause) {
      this.#failed = whyFailed(this.name, cause)
      await this.end()
      return null
    }
  }
}

export const startLogPeers = (folder: string, options: Pick<BenchOptions, 'peers' | 'say'>) =>
  startPeers(folder, options, {
    etcd: async (cluster, installed) =>
      new LogPeer('etcd', cluster, await etcdShapes(cluster, installed, PAYLOAD_BYTES)),
    zookeeper: async cluster => new LogPeer('zookeeper', cluster, await zooKeeperShapes(cluster, PAYLOAD_BYTES)),
  })

/** Round by round in turns: a ratio is of one turn, so that both had the same machine. */
export function peerFigures(
  name: ClusterPeerName,
  writers: number,
  own: readonly Pick<Round, 'perSecond' | 'p99Ms'>[],
  rounds: readonly MeasuredRound[],
): readonly Figure[] {
  const targets = RATIO_TARGETS[name]
  const of = (spec: FigureSpec, pick: (round: MeasuredRound, at: number) => number): Figure =>
    figure(spec, rounds.map(pick))
  const ratio = (what: 'appends' | 'p99', better: 'higher' | 'lower'): FigureSpec => {
    const target = targets[what][writers]
    return {
      name: `ratio-${what}-${name}-${writers}`,
      unit: 'ratio',
      better,
      ...(target === undefined ? {} : { target }),
    }
  }
  return [
    of({ name: `${name}-appends-${writers}`, unit: 'appends/s', better: 'higher' }, one => one.perSecond),
    of({ name: `${name}-append-p50-${writers}`, unit: 'ms', better: 'lower' }, one => one.p50Ms),
    of({ name: `${name}-append-p99-${writers}`, unit: 'ms', better: 'lower' }, one => one.p99Ms),
    of({ name: `${name}-node-cpu-${writers}`, unit: 'us/append', better: 'lower' }, one => one.nodeMicrosPerAppend),
    of(ratio('appends', 'higher'), (one, at) => own[at]!.perSecond / one.perSecond),
    of(ratio('p99', 'lower'), (one, at) => own[at]!.p99Ms / one.p99Ms),
  ]
}
