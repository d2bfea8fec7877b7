/** Clusters of the peers that were asked for, each started if it is installed, and why the others are left out. */
import { join } from 'node:path'
import type { BenchOptions, PeerName, PeerReport } from '../bench.ts'
import { startEtcd } from './etcd.ts'
import { type EtcdInstalled, findEtcd, findZooKeeper, INSTALL_HINT } from './installed.ts'
import type { PeerCluster } from './peer.ts'
import { startZooKeeper } from './zookeeper.ts'

export const CLUSTER_PEERS = ['etcd', 'zookeeper'] as const satisfies readonly PeerName[]
export type ClusterPeerName = (typeof CLUSTER_PEERS)[number]

/** What a bench makes of a cluster that runs. If it throws, the cluster is ended. */
export interface Makers<Peer> {
  etcd(cluster: PeerCluster, installed: EtcdInstalled): Peer | Promise<Peer>
  zookeeper(cluster: PeerCluster): Peer | Promise<Peer>
}

/** Those of `options.peers` that run, and the reports of those that do not. */
export async function startPeers<Peer>(
  folder: string,
  { peers, say }: Pick<BenchOptions, 'peers' | 'say'>,
  makers: Makers<Peer>,
): Promise<{ readonly started: readonly Peer[]; readonly missing: readonly PeerReport[] }> {
  const started: Peer[] = []
  const missing: PeerReport[] = []
  for (const name of CLUSTER_PEERS.filter(name => peers.includes(name))) {
    const absent = (skipped: string): void => {
      say(`${name} is left out: ${skipped}`)
      missing.push({ name, version: null, skipped, configuration: [] })
    }
    say(`${name}: starting three nodes`)
    try {
      const peer = await (name === 'etcd' ? etcd : zooKeeper)(join(folder, name), makers)
      if (typeof peer === 'string') absent(peer)
      else started.push(peer.made)
    } catch (cause) {
      absent(`${whyFailed(name, cause)}, or ${INSTALL_HINT}`)
    }
  }
  return { started, missing }
}

export const whyFailed = (name: PeerName, cause: unknown): string =>
  `${name} failed (${cause instanceof Error ? cause.message : String(cause)}); run the bench again on a quiet machine`

async function etcd<Peer>(folder: string, makers: Makers<Peer>): Promise<{ readonly made: Peer } | string> {
  const { installed, skipped } = findEtcd()
  return skipped ?? made(await startEtcd(installed, folder), cluster => makers.etcd(cluster, installed))
}

async function zooKeeper<Peer>(folder: string, makers: Makers<Peer>): Promise<{ readonly made: Peer } | string> {
  const { installed, skipped } = findZooKeeper()
  return skipped ?? made(await startZooKeeper(installed, folder), cluster => makers.zookeeper(cluster))
}

async function made<Peer>(
  cluster: PeerCluster,
  make: (cluster: PeerCluster) => Peer | Promise<Peer>,
): Promise<{ readonly made: Peer }> {
  try {
    return { made: await make(cluster) }
  } catch (cause) {
    await cluster.end()
    throw cause
  }
}
