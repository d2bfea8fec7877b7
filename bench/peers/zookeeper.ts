/** Three nodes of ZooKeeper on loopback, configured as its administrator's guide says. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { freePorts } from '../../test/fixtures/free-ports.ts'
import type { ZooKeeperInstalled } from './installed.ts'
import { PeerNodes } from './nodes.ts'
import { PEER_NODES, type PeerCluster } from './peer.ts'

const HEAP = '1g'
const ANSWER_MS_MAX = 1_000

export interface ZooKeeperPorts {
  readonly client: number
  readonly quorum: number
  readonly election: number
}

/** zoo.cfg of one node. Each acknowledgement is after a flush: `forceSync` is yes unless it is set. */
export function zooConfig(folder: string, at: number, ports: readonly ZooKeeperPorts[]): string {
  const servers = ports.map(({ quorum, election }, other) => `server.${other + 1}=127.0.0.1:${quorum}:${election}`)
  return `${[
    'tickTime=2000',
    'initLimit=10',
    'syncLimit=5',
    `dataDir=${join(folder, `node-${at + 1}`)}`,
    `dataLogDir=${join(folder, `node-${at + 1}-log`)}`,
    `clientPort=${ports[at]!.client}`,
    'clientPortAddress=127.0.0.1',
    'maxClientCnxns=0',
    'admin.enableServer=false',
    'autopurge.snapRetainCount=3',
    'autopurge.purgeInterval=1',
    ...servers,
  ].join('\n')}\n`
}

export interface ZooKeeperStatus {
  readonly version: string
  /** `leader` or `follower`. */
  readonly mode: string
}

/** The answer to `srvr`; null while the node does not serve. */
export function readSrvr(text: string): ZooKeeperStatus | null {
  const value = (name: string): string | undefined => new RegExp(`^${name}: *(.*)$`, 'm').exec(text)?.[1]
  const [version, mode] = [value('Zookeeper version'), value('Mode')]
  if (version === undefined || mode === undefined) return null
  return { version: /^[0-9.]+[0-9]/.exec(version)?.[0] ?? version, mode }
}

function srvr(port: number): Promise<ZooKeeperStatus | null> {
  return new Promise((resolve, reject) => {
    let text = ''
    const socket = connect(port, '127.0.0.1', () => socket.write('srvr'))
    socket.setTimeout(ANSWER_MS_MAX, () => socket.destroy(new Error('no answer to srvr')))
    socket.on('data', bytes => {
      text += bytes.toString()
    })
    socket.on('error', reject)
    socket.on('close', () => resolve(readSrvr(text)))
  })
}

export async function startZooKeeper(installed: ZooKeeperInstalled, folder: string): Promise<PeerCluster> {
  const flat = await freePorts(3 * PEER_NODES)
  const ports = Array.from({ length: PEER_NODES }, (_, at) => {
    const [client, quorum, election] = flat.slice(3 * at)
    return { client: client!, quorum: quorum!, election: election! }
  })
  for (const [at] of ports.entries()) {
    mkdirSync(join(folder, `node-${at + 1}`), { recursive: true })
    mkdirSync(join(folder, `node-${at + 1}-log`))
    writeFileSync(join(folder, `node-${at + 1}`, 'myid'), `${at + 1}\n`)
    writeFileSync(join(folder, `node-${at + 1}.cfg`), zooConfig(folder, at, ports))
  }
  const nodes = new PeerNodes('ZooKeeper', at => ({
    title: `ZooKeeper node ${at + 1}`,
    command: installed.java,
    args: [
      `-Xms${HEAP}`,
      `-Xmx${HEAP}`,
      '-Dzookeeper.jmx.log4j.disable=true',
      '-Dorg.slf4j.simpleLogger.defaultLogLevel=warn',
      '-cp',
      installed.classPath,
      'org.apache.zookeeper.server.quorum.QuorumPeerMain',
      join(folder, `node-${at + 1}.cfg`),
    ],
    cwd: folder,
    logFile: join(folder, `node-${at + 1}.log`),
  }))
  // A follower serves once it has what the leader has.
  const agreed = (): Promise<readonly (ZooKeeperStatus | null)[]> =>
    nodes.agreed(
      at => srvr(ports[at]!.client),
      alive => alive.some(({ mode }) => mode === 'leader'),
    )
  try {
    const { version } = (await agreed())[0]!
    return {
      name: 'zookeeper',
      version,
      configuration: [
        `${PEER_NODES} nodes on loopback: every write is acknowledged after a flush of the transaction log on a majority (forceSync as it comes, which is yes), tickTime 2000, initLimit 10, syncLimit 5, autopurge every hour with 3 snapshots kept, snapCount and preAllocSize as they come`,
        `set too: maxClientCnxns 0 (the limit of 60 would refuse the writers), admin.enableServer false, heap ${HEAP} (-Xms and -Xmx), garbage collector as Java chooses; dataDir and dataLogDir are folders on the disk that Daybreak's nodes use (the guide advises a disk of its own for the log, and here nobody has one)`,
      ],
      addresses: ports.map(({ client }) => `127.0.0.1:${client}`),
      nodes: nodes.all,
      leader: async () => (await agreed()).findIndex(one => one?.mode === 'leader'),
      kill: at => nodes.kill(at),
      start: at => nodes.start(at),
      end: () => nodes.stop(),
    }
  } catch (cause) {
    await nodes.stop()
    throw cause
  }
}
