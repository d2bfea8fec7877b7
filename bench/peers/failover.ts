/** What the death of a peer's leader costs its clients: the leader gets SIGKILL, and the next accepted write is waited for. */
import { type BenchOptions, type Figure, figure, type PeerReport } from '../bench.ts'
import { connectEtcd, put, putRequest } from './etcd-wire.ts'
import type { PeerCluster } from './peer.ts'
import { type ClusterPeerName, startPeers, whyFailed } from './start.ts'
import { closeSession, createZnode, openSession, setData } from './zookeeper-session.ts'

const VALUE_BYTES = 256
/** Of one try; the next begins at once. What hangs at a node without a leader costs no more than this. */
const TRY_MS_MAX = 250
const REFUSED_PAUSE_MS = 5
/** As between two failovers of Daybreak. */
const SETTLE_MS = 2_000
const WAIT_MS_MAX = 60_000

/** One node as a client sees it. */
interface Target {
  /** True if the write was accepted. */
  write(): Promise<boolean>
  close(): Promise<void> | void
}

export class FailoverPeer {
  readonly name: ClusterPeerName
  readonly #cluster: PeerCluster
  readonly #connect: (address: string) => Promise<Target>
  readonly #killMs: number[] = []
  #failed: string | null = null

  constructor(name: ClusterPeerName, cluster: PeerCluster, connect: (address: string) => Promise<Target>) {
    this.name = name
    this.#cluster = cluster
    this.#connect = connect
  }

  /** Milliseconds; null if the peer has failed, now or before. The node that was killed is started again. */
  async kill(): Promise<number | null> {
    if (this.#failed !== null) return null
    try {
      const tookMs = await this.#kill()
      this.#killMs.push(tookMs)
      return tookMs
    } catch (cause) {
      this.#failed = whyFailed(this.name, cause)
      await this.end()
      return null
    }
  }

  /** `ownMs`: Daybreak's of the same run. */
  figures(ownMs: readonly number[]): readonly Figure[] {
    if (this.#killMs.length === 0) return []
    const killed = figure({ name: `${this.name}-kill-to-write`, unit: 'ms', better: 'lower' }, this.#killMs)
    const own = figure({ name: 'kill-to-write', unit: 'ms', better: 'lower' }, ownMs)
    const target = this.name === 'etcd' ? { target: 1 } : {}
    const spec = { name: `ratio-kill-to-write-${this.name}`, unit: 'ratio', better: 'lower', ...target } as const
    return [killed, figure(spec, [own.median / killed.median])]
  }

  report(): PeerReport {
    return {
      name: this.name,
      version: this.#cluster.version,
      skipped: this.#failed,
      configuration: [
        ...this.#cluster.configuration,
        `values of ${VALUE_BYTES} bytes, few keys; both nodes that are left are asked at the same time over connections that are open, again as soon as they refuse, and after ${TRY_MS_MAX} ms at the latest`,
      ],
    }
  }

  end(): Promise<void> {
    return this.#cluster.end()
  }

  async #kill(): Promise<number> {
    await this.#cluster.leader()
    await pause(SETTLE_MS)
    const leader = await this.#cluster.leader()
    const left = this.#cluster.addresses.filter((_, at) => at !== leader)
    const targets = await Promise.all(left.map(this.#connect))
    try {
      if (!(await targets[0]!.write())) throw new Error('a whole cluster refused a write')
      const beganMs = performance.now()
      const ended = this.#cluster.kill(leader)
      await firstAccepted(targets)
      const tookMs = performance.now() - beganMs
      await ended
      return tookMs
    } finally {
      if (this.#cluster.nodes[leader] === null) this.#cluster.start(leader)
      await Promise.all(targets.map(target => target.close()))
    }
  }
}

/** All are asked at the same time, each again as soon as it has refused. */
export async function firstAccepted(targets: readonly Pick<Target, 'write'>[]): Promise<void> {
  let isOver = false
  const late = new AbortController()
  const ask = async (target: Pick<Target, 'write'>): Promise<void> => {
    while (!isOver) {
      if (await target.write()) return
      await pause(REFUSED_PAUSE_MS)
    }
  }
  try {
    await Promise.race([...targets.map(ask), tooLate(late.signal)])
  } finally {
    isOver = true
    late.abort()
  }
}

function tooLate(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    const timer = setTimeout(
      () => reject(new Error(`no write was accepted within ${WAIT_MS_MAX / 1_000} s`)),
      WAIT_MS_MAX,
    )
    signal.addEventListener('abort', () => clearTimeout(timer))
  })
}

const pause = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms))

async function etcdTarget(address: string): Promise<Target> {
  const client = connectEtcd(address)
  const request = putRequest('failover', new Uint8Array(VALUE_BYTES))
  return {
    write: () => new Promise(resolve => put(client, request, TRY_MS_MAX, fault => resolve(fault === null))),
    close: () => client.close(),
  }
}

/** Its client keeps what is asked while it has no connection, and dials again without a pause. */
async function zooKeeperTarget(address: string): Promise<Target> {
  const client = await openSession(address)
  const value = Buffer.alloc(VALUE_BYTES)
  await createZnode(client, '/failover', value)
  return {
    write: () => new Promise(resolve => setData(client, '/failover', value, fault => resolve(fault === null))),
    close: () => closeSession(client),
  }
}

export const startFailoverPeers = (folder: string, options: Pick<BenchOptions, 'peers' | 'say'>) =>
  startPeers(folder, options, {
    etcd: cluster => new FailoverPeer('etcd', cluster, etcdTarget),
    zookeeper: cluster => new FailoverPeer('zookeeper', cluster, zooKeeperTarget),
  })
