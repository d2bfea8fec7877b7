/** Three nodes of the log and clients, each a process of its own on this machine. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { LogStatusReport } from '../../src/actors/ports.ts'
import { freePorts } from '../../test/fixtures/free-ports.ts'
import { percentile } from '../bench.ts'
import { Child } from './child.ts'
import type { ClientQuestions, ClientRound, LostRound } from './client.ts'
import type { NodeCounters, NodeQuestions } from './node.ts'

const NODES = 3
/** Two clients share a core with three nodes as it is: more processes would measure the machine. */
export const CLIENT_PROCESSES = 2
const LEVEL_MS_MAX = 30_000
/** On a machine that stands still for a second now and then leadership moves, and the round counts for nothing. */
const TRIES_MAX = 5
const POLL_MS = 20

export interface Round {
  readonly perSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  /** Of all nodes, all their threads; of all clients. */
  readonly nodeMicrosPerAppend: number
  readonly clientMicrosPerAppend: number
  readonly appendsPerFlush: number
}

export class LogCluster {
  readonly #nodes: readonly Child<NodeQuestions>[]
  readonly #clients: readonly Child<ClientQuestions>[]
  /** Where clients reach each node. */
  #ports: readonly number[] = []
  #leader = 0
  /** How often leadership ended in the middle of a round. */
  lost = 0
  /** The follower that stands still. */
  #stopped: number | null = null

  private constructor() {
    const of = <Q extends Child<NodeQuestions> | Child<ClientQuestions>>(
      count: number,
      make: (at: number) => Q,
    ): readonly Q[] => Array.from({ length: count }, (_, at) => make(at))
    this.#nodes = of(NODES, at => new Child<NodeQuestions>(new URL('./node.js', import.meta.url), `node-${at + 1}`))
    this.#clients = of(
      CLIENT_PROCESSES,
      at => new Child<ClientQuestions>(new URL('./client.js', import.meta.url), `client-${at + 1}`),
    )
  }

  /** Formatted, with a leader that takes appends, and clients that are connected to it. */
  static async start(folder: string): Promise<LogCluster> {
    const cluster = new LogCluster()
    try {
      await cluster.#open(folder)
      return cluster
    } catch (cause) {
      await cluster.end()
      throw cause
    }
  }

  async #open(folder: string): Promise<void> {
    const peerPorts = await freePorts(NODES)
    const members = peerPorts.map((port, at) => ({
      memberId: at + 1,
      name: `node-${at + 1}`,
      address: `127.0.0.1:${port}`,
    }))
    this.#ports = await Promise.all(
      this.#nodes.map((node, at) => {
        const path = join(folder, `node-${at + 1}`)
        mkdirSync(path)
        return node.ask('open', {
          path: join(path, 'log'),
          memberId: at + 1,
          clusterId: 'be0c',
          members,
          httpUrl: '',
          configFile: '',
          autoBootstrap: true,
          peer: { host: '127.0.0.1', port: peerPorts[at]!, secret: '' },
          space: { ballastBytes: 0 },
        })
      }),
    )
    await this.#followLeader()
    await this.level()
  }

  /** All clients together have `writers` appends out for `ms`. */
  async round(writers: number, ms: number): Promise<Round> {
    for (let left = TRIES_MAX; left > 0; left--) {
      const tried = await this.#tryRound(writers, ms)
      if (typeof tried !== 'string') return tried
      this.lost++
      await this.#followLeader()
    }
    throw new Error(`leadership was lost in each of ${TRIES_MAX} rounds: nothing can be measured on this machine now`)
  }

  /** Answers why there is nothing to be read from it, if so. */
  async #tryRound(writers: number, ms: number): Promise<Round | string> {
    const clients = this.#clients.slice(0, Math.min(writers, this.#clients.length))
    const before = await this.#counters()
    const answers = await Promise.all(
      clients.map((client, at) => {
        const share = Math.floor(writers / clients.length) + (at < writers % clients.length ? 1 : 0)
        return client.ask('round', { writers: share, ms })
      }),
    )
    const lost = answers.find(isLost)
    if (lost !== undefined) return lost.lost
    const results = answers as readonly ClientRound[]
    const after = await this.#counters()
    const used = (pick: (counters: NodeCounters) => number): number =>
      after.reduce((sum, counters, at) => sum + pick(counters) - pick(before[at]!), 0)
    const tookMs = results.flatMap(({ tookMs: some }) => [...some])
    return {
      perSecond: tookMs.length / Math.max(...results.map(({ seconds }) => seconds)),
      p50Ms: percentile(tookMs, 0.5),
      p99Ms: percentile(tookMs, 0.99),
      nodeMicrosPerAppend: used(({ cpuMicros }) => cpuMicros) / tookMs.length,
      clientMicrosPerAppend: results.reduce((sum, { cpuMicros }) => sum + cpuMicros, 0) / tookMs.length,
      appendsPerFlush: tookMs.length / Math.max(1, after[0]!.flushes - before[0]!.flushes),
    }
  }

  /**
   * While `writers` have appends out and the thread that a scheduler would run in stands still on the leader for `ms`: how
   * often any node changed its role.
   */
  async roleChangesWhileBlocked(writers: number, ms: number): Promise<number> {
    const count = (counters: readonly NodeCounters[]): number =>
      counters.reduce((sum, { roleChanges }) => sum + roleChanges, 0)
    const before = count(await this.#counters())
    await Promise.all([this.#tryRound(writers, ms + 500), this.#nodes[this.#leader]!.ask('block', { ms })])
    return count(await this.#counters()) - before
  }

  stopFollower(): void {
    this.#stopped = (this.#leader + 1) % NODES
    this.#nodes[this.#stopped]!.signal('SIGSTOP')
  }

  /** Settles when it has caught up. */
  async continueFollower(): Promise<void> {
    if (this.#stopped === null) return
    this.#nodes[this.#stopped]!.signal('SIGCONT')
    this.#stopped = null
    await this.level()
  }

  /** Until all hold and have applied the same, and still see each other. */
  async level(): Promise<void> {
    await this.#until(all => {
      const { end } = all[0]!
      return all.every(one => one.end === end && one.applied === end && one.peers.every(peer => peer.connected))
    })
  }

  async end(): Promise<void> {
    const stopped = this.#stopped
    await Promise.all([
      ...this.#clients.map(client => client.end()),
      ...this.#nodes.map((node, at) => node.end(at === stopped ? 'SIGKILL' : 'itself')),
    ])
  }

  async #followLeader(): Promise<void> {
    const leads = ({ view }: LogStatusReport): boolean => view.role === 'LEADER'
    // The very reports in which one leads: asked again, it may lead no more.
    this.#leader = (await this.#until(all => all.some(leads))).findIndex(leads)
    const port = this.#ports[this.#leader]!
    await Promise.all(this.#clients.map((client, at) => client.ask('connect', { port, name: `client-${at + 1}` })))
  }

  /** Of the nodes that do not stand still, the leader first. */
  #counters(): Promise<readonly NodeCounters[]> {
    return Promise.all(this.#awake().map(node => node.ask('counters', null)))
  }

  #reports(): Promise<readonly LogStatusReport[]> {
    return Promise.all(this.#nodes.map(node => node.ask('status', null)))
  }

  #awake(): readonly Child<NodeQuestions>[] {
    const leaderFirst = this.#nodes.map((_, at) => (this.#leader + at) % NODES)
    return leaderFirst.filter(at => at !== this.#stopped).map(at => this.#nodes[at]!)
  }

  async #until(wanted: (reports: readonly LogStatusReport[]) => boolean): Promise<readonly LogStatusReport[]> {
    for (const endMs = performance.now() + LEVEL_MS_MAX; performance.now() < endMs; ) {
      const reports = await this.#reports()
      if (wanted(reports)) return reports
      await new Promise(resolve => setTimeout(resolve, POLL_MS))
    }
    throw new Error(
      `the nodes did not come together within ${LEVEL_MS_MAX / 1_000} s: ${JSON.stringify(await this.#reports())}`,
    )
  }
}

function isLost(answer: ClientRound | LostRound): answer is LostRound {
  return answer.lost !== null
}
