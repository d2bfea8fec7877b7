/** The actors of the log on the simulated shell, with memory stores and an in-memory network: same seed, same run. */
import { describe, expect, test } from 'vitest'
import type { Ref } from '../../../src/actors/actor.ts'
import { spawnLog } from '../../../src/actors/log-actors.ts'
import { type LogTransport, StoreFailed } from '../../../src/actors/log-ports.ts'
import { silentMetrics } from '../../../src/actors/ports.ts'
import type { ReplicaCommand } from '../../../src/actors/replica.ts'
import { createSimSystem, type SimSystem } from '../../../src/actors/sim-shell.ts'
import type { AppendOutcome, CoordinatorMessage } from '../../../src/core/log/coordinator-core.ts'
import type { ElectionMessage, ElectionView } from '../../../src/core/log/election-core.ts'
import { makeEntry } from '../../../src/core/log/entry.ts'
import { LOG_LIMITS } from '../../../src/core/log/limits.ts'
import type { PeerMessage } from '../../../src/core/log/messages.ts'
import { LOG_TIMING } from '../../../src/core/log/timing.ts'
import { metaOf } from '../../core/log/log-cluster.ts'
import { putRow } from '../../runtime/log/log-folders.ts'
import { MemoryDisk, MemoryLogStore, MemoryStateStore } from '../../runtime/log/memory-stores.ts'

interface Node {
  readonly id: number
  readonly disk: MemoryDisk
  readonly store: MemoryLogStore
  readonly state: MemoryStateStore
  readonly replica: Ref<ReplicaCommand>
  readonly coordinator: Ref<CoordinatorMessage>
  readonly election: Ref<ElectionMessage>
  readonly outcomes: Map<number, AppendOutcome>
  readonly troubles: unknown[]
  readonly receive: (message: PeerMessage) => void
  view: ElectionView | null
}

class Simulation {
  readonly sim: SimSystem
  readonly nodes = new Map<number, Node>()
  passes: (from: number, to: number) => boolean = () => true

  constructor(count: number, seed: number) {
    this.sim = createSimSystem({ seed })
    for (let id = 1; id <= count; id++) this.nodes.set(id, this.#spawn(id, new MemoryDisk(metaOf(id, count))))
    for (const node of this.nodes.values()) node.election.tell({ type: 'ready', voters: [...this.nodes.keys()] })
  }

  async advance(ms: number): Promise<void> {
    for (let at = 0; at < ms; at += 10) {
      this.sim.advance(10)
      await this.sim.settle()
    }
  }

  leader(): Node | undefined {
    return [...this.nodes.values()].find(node => node.view?.role === 'LEADER')
  }

  #spawn(id: number, disk: MemoryDisk): Node {
    const nest = this.sim.spawnSilent(`node-${id}`)
    const store = new MemoryLogStore(disk)
    const state = new MemoryStateStore()
    const transport: LogTransport = {
      send: (to, message) => {
        if (this.passes(id, to)) this.#deliver(to, message)
      },
      onMessage: () => {},
    }
    const timing = LOG_TIMING
    const troubles: unknown[] = []
    const onStoreTrouble = (cause: unknown): void => void troubles.push(cause)
    const outcomes = new Map<number, AppendOutcome>()
    let node: Node
    const actors = spawnLog({
      system: nest,
      memberId: id,
      software: 'test',
      store,
      state,
      transport,
      timing,
      limits: LOG_LIMITS,
      metrics: silentMetrics,
      onView: view => {
        node.view = view
      },
      onVoting: () => {},
      onResults: results => {
        for (const result of results) outcomes.set(result.id, result.outcome)
      },
      onApplied: () => {},
      onInstall: () => {},
      onStoreTrouble,
      onFailStop: reason => void troubles.push(reason),
    })
    node = { id, disk, store, state, outcomes, troubles, view: null, receive: transport.onMessage, ...actors }
    return node
  }

  #deliver(to: number, message: PeerMessage): void {
    const node = this.nodes.get(to)
    if (node === undefined) return
    node.receive(message)
  }
}

const append = (node: Node, id: number, key: string): boolean =>
  node.coordinator.tell({ type: 'append', requests: [{ id, payload: putRow(key, String(id)) }] })

describe('the actors of the log', () => {
  test('three nodes: one leads, appends reach every disk, and all row tables end equal', async () => {
    const simulation = new Simulation(3, 7)
    await simulation.advance(3_000)
    const leader = simulation.leader()!
    for (let id = 1; id <= 20; id++) append(leader, id, `k${id % 7}`)
    await simulation.advance(1_000)
    expect([...leader.outcomes.values()].map(outcome => outcome.type)).toEqual(Array(20).fill('ok'))
    const tables = [...simulation.nodes.values()].map(node =>
      node.state.readRows(null, 99).rows.map(row => `${row.key}=${new TextDecoder().decode(row.bytes)}`),
    )
    expect(tables[0]).toHaveLength(7)
    expect(tables[1]).toEqual(tables[0])
    expect(tables[2]).toEqual(tables[0])
    expect([...simulation.nodes.values()].map(node => node.disk.meta.end)).toEqual([21, 21, 21])
    expect(simulation.sim.failures).toEqual([])
  })

  test('leader cut off: another leads, the old one acks nothing, and after healing all disks are equal', async () => {
    const simulation = new Simulation(3, 11)
    await simulation.advance(3_000)
    const old = simulation.leader()!
    simulation.passes = (from, to) => from !== old.id && to !== old.id
    append(old, 1, 'lost')
    await simulation.advance(5_000)
    expect(old.outcomes.get(1)).toEqual({ type: 'unknown' })
    const next = simulation.leader()!
    expect(next.id).not.toBe(old.id)
    append(next, 2, 'kept')
    await simulation.advance(100)
    expect(next.outcomes.get(2)?.type).toBe('ok')
    simulation.passes = () => true
    await simulation.advance(2_000)
    for (const node of simulation.nodes.values()) {
      expect([...node.state.rows.values()].map(row => row.key)).toEqual(['kept'])
      expect(node.disk.meta.end).toBe(next.disk.meta.end)
    }
    expect(simulation.sim.failures).toEqual([])
  })

  test('rows were just written when leadership is handed over: the new leader does not wait for their next turn', async () => {
    const simulation = new Simulation(3, 13)
    await simulation.advance(3_000)
    const old = simulation.leader()!
    const others = [...simulation.nodes.values()].filter(node => node !== old)
    const applied = (): number => Math.min(...others.map(node => node.state.applied))
    let id = 0
    for (const before = applied(); applied() === before; ) {
      append(old, ++id, `k${id}`)
      await simulation.advance(10)
    }
    old.coordinator.tell({ type: 'handOver' })
    await simulation.advance(30)
    expect(others.map(node => node.view?.role)).toContain('LEADER')
  })

  test('one node whose flush hangs: it never leads and acks nothing; when it ends at last, all is released', async () => {
    const simulation = new Simulation(1, 3)
    const node = simulation.nodes.get(1)!
    node.store.held = true
    await simulation.advance(60_000)
    expect(node.view).toMatchObject({ role: 'CANDIDATE' })
    append(node, 1, 'early')
    await simulation.advance(10)
    expect(node.outcomes.get(1)).toEqual({ type: 'notLeader' })
    node.store.held = false
    node.store.flush()
    await simulation.advance(100)
    expect(node.view).toMatchObject({ role: 'LEADER' })
    node.store.held = true
    append(node, 2, 'late')
    await simulation.advance(60_000)
    expect(node.outcomes.has(2)).toBe(false)
    node.store.flush()
    await simulation.advance(10)
    expect(node.outcomes.get(2)).toEqual({ type: 'ok', position: 2 })
  })

  test('flush that fails: no reply, and the trouble is told', async () => {
    const simulation = new Simulation(1, 3)
    await simulation.advance(100)
    const node = simulation.nodes.get(1)!
    node.store.failure = new StoreFailed('EIO')
    append(node, 1, 'never')
    await simulation.advance(1_000)
    expect(node.outcomes.has(1)).toBe(false)
    expect(node.troubles).toEqual([node.store.failure])
  })

  test('far more flushed than committed: what is too much to keep in memory is read back, and nothing is left out', async () => {
    const simulation = new Simulation(3, 3)
    simulation.passes = () => false
    const follower = simulation.nodes.get(2)!
    const ballot = [50, 1] as const
    let end = 0
    const accept = async (count: number, commit: number): Promise<void> => {
      const prev = { position: end, ballot: end === 0 ? ([0, 0] as const) : ballot }
      const entries = Array.from({ length: count }, () => makeEntry(++end, ballot, 'DATA', putRow(`k${end}`, 'v')))
      const from = { memberId: 1, incarnation: 'disk-1' }
      follower.replica.tell({ type: 'accept', from, ballot, seq: end, prev, entries, commit, begin: 1, sentAtMs: 0 })
      await simulation.advance(10)
    }
    for (let chunk = 0; chunk < 16; chunk++) await accept(2_048, 0)
    await accept(256, 0)
    await accept(0, 4_000)
    await simulation.advance(100)
    await accept(256, 0)
    await accept(0, end)
    await simulation.advance(1_000)
    expect(follower.troubles).toEqual([])
    expect([follower.state.applied, follower.state.rows.size]).toEqual([end, end])
  })

  test('alone: no timer runs but the daily one of the scrub, so an idle node does nothing at all', async () => {
    const simulation = new Simulation(1, 5)
    await simulation.advance(1_000)
    expect(simulation.leader()).toBeDefined()
    expect(simulation.sim.pendingTimers).toBe(1)
  })

  test('same seed: the same run, byte for byte', async () => {
    const run = async (): Promise<string> => {
      const simulation = new Simulation(3, 99)
      await simulation.advance(3_000)
      const leader = simulation.leader()!
      for (let id = 1; id <= 5; id++) append(leader, id, `k${id}`)
      await simulation.advance(500)
      return simulation.sim.traceHash
    }
    expect(await run()).toBe(await run())
  })
})
