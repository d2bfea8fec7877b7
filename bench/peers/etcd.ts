/** Three nodes of etcd on loopback, at its defaults: an fsync before each acknowledgement, heartbeat 100 ms, election 1 s. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Client } from '@grpc/grpc-js'
import { freePorts } from '../../test/fixtures/free-ports.ts'
import { connectEtcd, type EtcdStatus, status } from './etcd-wire.ts'
import type { EtcdInstalled } from './installed.ts'
import { PeerNodes } from './nodes.ts'
import { PEER_NODES, type PeerCluster } from './peer.ts'

const STATUS_MS_MAX = 1_000

/** All that is set; what durability and elections rest on is left at its default. */
export function etcdFlags(folder: string, at: number, clientPorts: readonly number[], peerPorts: readonly number[]) {
  const url = (port: number): string => `http://127.0.0.1:${port}`
  return [
    ['--name', `node-${at + 1}`],
    ['--data-dir', join(folder, `node-${at + 1}`)],
    ['--listen-client-urls', url(clientPorts[at]!)],
    ['--advertise-client-urls', url(clientPorts[at]!)],
    ['--listen-peer-urls', url(peerPorts[at]!)],
    ['--initial-advertise-peer-urls', url(peerPorts[at]!)],
    ['--initial-cluster', peerPorts.map((port, other) => `node-${other + 1}=${url(port)}`).join(',')],
    ['--initial-cluster-state', 'new'],
    ['--log-level', 'warn'],
  ].flat()
}

export async function startEtcd(installed: EtcdInstalled, folder: string): Promise<PeerCluster> {
  mkdirSync(folder, { recursive: true })
  const ports = await freePorts(2 * PEER_NODES)
  const clientPorts = ports.slice(0, PEER_NODES)
  const peerPorts = ports.slice(PEER_NODES)
  const addresses = clientPorts.map(port => `127.0.0.1:${port}`)
  const clients: readonly Client[] = addresses.map(connectEtcd)
  const nodes = new PeerNodes('etcd', at => ({
    title: `etcd node ${at + 1}`,
    command: installed.server,
    args: etcdFlags(folder, at, clientPorts, peerPorts),
    cwd: folder,
    logFile: join(folder, `node-${at + 1}.log`),
  }))
  const end = async (): Promise<void> => {
    for (const client of clients) client.close()
    await nodes.stop()
  }
  const agreed = (): Promise<readonly (EtcdStatus | null)[]> =>
    nodes.agreed(
      at => status(clients[at]!, STATUS_MS_MAX),
      alive =>
        alive.every(
          one => one.leader !== 0n && one.leader === alive[0]!.leader && one.raftAppliedIndex === alive[0]!.raftIndex,
        ),
    )
  try {
    const { version } = (await agreed())[0]!
    return {
      name: 'etcd',
      version,
      configuration: [
        `${PEER_NODES} nodes on loopback, at etcd's defaults: every write is acknowledged after an fsync of the write-ahead log on a majority (no --unsafe-no-fsync), --heartbeat-interval 100, --election-timeout 1000, --snapshot-count and --quota-backend-bytes as they come, no compaction`,
        `set are names, URLs, data folders (on the disk that Daybreak's nodes use) and --log-level warn`,
      ],
      addresses,
      nodes: nodes.all,
      leader: async () => (await agreed()).findIndex(one => one !== null && one.memberId === one.leader),
      kill: at => nodes.kill(at),
      start: at => nodes.start(at),
      end,
    }
  } catch (cause) {
    await end()
    throw cause
  }
}
