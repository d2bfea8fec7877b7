/**
 * The ways to load a peer that are tried against each other, in the warm-up of each number of writers: the fastest is the
 * one that is measured. With as many writes out as there are writers, the fastest has the least latency on average too.
 */
import { runLoadTool } from './etcd-load-tool.ts'
import type { EtcdInstalled } from './installed.ts'
import { PeerLoad } from './load.ts'
import type { PeerCluster, Shape } from './peer.ts'

export interface Shapes {
  /** For so many writers. */
  of(writers: number): readonly LoadShape[]
  end(): Promise<void>
}

export interface LoadShape extends Shape {
  /** Lets go of connections until it is used again. */
  rest(): Promise<void>
}

/** What the load tool is first taken to do, until it has done it. */
const FIRST_PER_SECOND_PER_WRITER = 20
/** The tool takes a number of writes and not a time. */
const TOTAL_MIN = 100
const TOOL_MS_MAX = 20_000

/**
 * etcd's own load tool over one, four and eight connections, and our gRPC clients, all with the leader: writes that reach
 * another node are sent on to it, which was slower in every shape that was tried.
 */
export async function etcdShapes(cluster: PeerCluster, installed: EtcdInstalled, valueBytes: number): Promise<Shapes> {
  const addresses = [cluster.addresses[await cluster.leader()]!]
  const load = new PeerLoad(new URL('./etcd-client.js', import.meta.url), 'etcd', {
    addresses,
    connections: 2,
    valueBytes,
  })
  const own: LoadShape = {
    title: 'our gRPC clients (@grpc/grpc-js), two processes with up to two connections to the leader each',
    round: (writers, ms) => load.round(writers, ms),
    rest: () => load.rest(),
  }
  const tools =
    installed.loadTool === null ? [] : [1, 4, 8].map(connections => toolShape(installed.loadTool!, connections))
  function toolShape(program: string, connections: number): LoadShape {
    const perSecond = new Map<number, number>()
    return {
      title: `etcd's own load tool, ${connections === 1 ? 'one connection' : `${connections} connections`} to the leader`,
      async round(writers, ms) {
        const expected = perSecond.get(writers) ?? FIRST_PER_SECOND_PER_WRITER * writers
        const total = Math.max(TOTAL_MIN, 2 * writers, Math.round((expected * ms) / 1_000))
        const round = await runLoadTool({
          program,
          addresses,
          connections,
          writers,
          valueBytes,
          total,
          msMax: TOOL_MS_MAX + 5 * ms,
        })
        if (typeof round !== 'string') perSecond.set(writers, round.perSecond)
        return round
      },
      rest: async () => {},
    }
  }
  return {
    of: writers => [...tools.slice(0, writers === 1 ? 1 : tools.length), own],
    end: () => load.end(),
  }
}

/** As users do, with servers in turn: a session goes to any of them, and writes travel on to the leader from there. */
export async function zooKeeperShapes(cluster: PeerCluster, valueBytes: number): Promise<Shapes> {
  const entry = new URL('./zookeeper-client.js', import.meta.url)
  const leader = [cluster.addresses[await cluster.leader()]!]
  const shape = (title: string, addresses: readonly string[], connections: number | 'each') => {
    const load = new PeerLoad(entry, 'zookeeper', { addresses, connections, valueBytes })
    return {
      title: `node-zookeeper-client, two processes, ${title}`,
      round: (writers: number, ms: number) => load.round(writers, ms),
      rest: () => load.rest(),
      end: () => load.end(),
    }
  }
  const shapes = [
    shape('a session for each writer, spread over the three servers', cluster.addresses, 'each'),
    shape('three sessions each, one with every server, shared by the writers', cluster.addresses, 3),
    shape('two sessions each with the leader, shared by the writers', leader, 2),
    shape('eight sessions each with the leader, shared by the writers', leader, 8),
    shape('sixteen sessions each with the leader, shared by the writers', leader, 16),
  ]
  return {
    of: writers => (writers === 1 ? [shapes[0]!, shapes[2]!] : shapes),
    end: async () => void (await Promise.all(shapes.map(one => one.end()))),
  }
}
