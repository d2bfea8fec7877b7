/** Scenes on the simulated cluster that a test directs itself: real cores and actors, and the oracle looks at every turn. */
import { describe, expect, test } from 'vitest'
import { prng } from '../../../src/core/base/prng.ts'
import { CLOCKS_APART_MS_MAX } from '../../../src/core/log/lease.ts'
import type { LeaderState, LeaderStates } from './leader-state.ts'
import { check, type Operation } from './linearizability.ts'
import type { SimNode } from './node.ts'
import { type Plan, quietPlan } from './plan.ts'
import { Simulation } from './simulation.ts'

const L = 1_000

function begun(seed: number, change: Partial<Plan> = {}): Simulation {
  const simulation = new Simulation(seed, {}, quietPlan(seed, change))
  simulation.advance(4 * L)
  return simulation
}

function leaderOf(simulation: Simulation): { readonly node: SimNode<LeaderStates>; readonly state: LeaderState } {
  const node = simulation.nodes.find(each => each.process?.scheduler.leader)!
  return { node, state: node.process!.scheduler.leader! }
}

function isolate(simulation: Simulation, node: SimNode<LeaderStates>, change: 'cut' | 'mend'): void {
  for (const other of simulation.nodes) {
    if (other === node) continue
    simulation.network[change](node.id, other.id)
    simulation.network[change](other.id, node.id)
  }
}

function finish(simulation: Simulation): void {
  simulation.recover()
  simulation.converge()
  simulation.clients.checkAll()
}

describe('reads under the lease', () => {
  test('a leader that stands still for 3 leases between evaluating and its look at the clock: refused, never stale', () => {
    const simulation = begun(1, { clients: 0 })
    const { node, state } = leaderOf(simulation)
    state.write('register', 'x', 1, 1, () => {})
    simulation.advance(100)
    const answers: (readonly number[] | null)[] = []
    // Evaluated now; the process stands still before it looks at the clock.
    state.read('x', 0.001, seen => answers.push(seen))
    node.pause(3 * L)
    simulation.advance(2.9 * L)
    const newer = simulation.nodes.find(each => each.process?.scheduler.leader && each !== node)!
    newer.process!.scheduler.leader!.write('register', 'x', 2, 1, () => {})
    simulation.advance(L)
    expect(answers).toEqual([null])
    finish(simulation)
  })

  test('a leader in touch with its quorum answers, and one that is not does not for longer than a lease', () => {
    const simulation = begun(2, { clients: 0 })
    const { node, state } = leaderOf(simulation)
    const answers: (readonly number[] | null)[] = []
    state.read('x', 0, seen => answers.push(seen))
    simulation.advance(1)
    isolate(simulation, node, 'cut')
    simulation.advance(L)
    state.read('x', 0, seen => answers.push(seen))
    simulation.advance(1)
    expect(answers).toEqual([[], null])
  })

  test('a machine suspended for a minute, its monotonic clock too: no read under the old lease, and none while nobody renews it', () => {
    const simulation = begun(6, { clients: 0 })
    const { node, state } = leaderOf(simulation)
    state.write('register', 'x', 1, 1, () => {})
    simulation.advance(100)
    const answers: (readonly number[] | null)[] = []
    node.suspend(60 * L)
    simulation.advance(59 * L)
    const newer = simulation.nodes.find(each => each.process?.scheduler.leader && each !== node)!
    newer.process!.scheduler.leader!.write('register', 'x', 2, 1, () => {})
    simulation.advance(L - 0.01)
    // Asked in the very moment in which it wakes, before the log has heard of anybody.
    state.read('x', 0.011, seen => answers.push(seen))
    simulation.advance(L)
    expect(answers).toEqual([null])
    finish(simulation)
  })

  test('suspended for less than anybody waits for: refused until the next heartbeats are answered, then answered again', () => {
    const simulation = begun(7, { clients: 0 })
    const { node, state } = leaderOf(simulation)
    const answers: (readonly number[] | null)[] = []
    const read = (): void => state.read('x', 0, seen => answers.push(seen))
    node.suspend(0.6 * L)
    simulation.advance(0.6 * L + 0.001)
    read()
    simulation.advance(3 * simulation.plan.timing.heartbeatMs)
    read()
    simulation.advance(1)
    expect(answers).toEqual([null, []])
    expect(leaderOf(simulation).state).toBe(state)
  })

  test('cut off and suspended for less than a jump of the clocks is noticed at: never two lease holders', () => {
    let leaders = 0
    for (let seed = 1; seed <= 60; seed++) {
      const simulation = begun(seed, { clients: 0 })
      const { node } = leaderOf(simulation)
      isolate(simulation, node, 'cut')
      node.suspend(CLOCKS_APART_MS_MAX - 5)
      simulation.advance(3 * L)
      leaders += simulation.oracle.leadersSeen
    }
    expect(leaders).toBeGreaterThanOrEqual(120)
  })

  test('clocks that differ by the bound, leaders cut off again and again: never two lease holders', () => {
    let leaders = 0
    for (let seed = 1; seed <= 8; seed++) {
      const simulation = begun(seed, { network: { ...quietPlan(0).network, latencyMsMax: 300 } })
      const random = prng(seed)
      const half = simulation.plan.timing.clockDrift / 2
      for (let round = 0; round < 10; round++) {
        const leading = simulation.nodes.find(node => node.process?.scheduler.leader)
        // The worst case: the clock of the leader is slow, those of its voters are fast.
        for (const node of simulation.nodes) node.clock.setRate(node === leading ? 1 - half : 1 + half)
        if (leading !== undefined) isolate(simulation, leading, 'cut')
        simulation.advance(random.next() * 5 * L)
        if (leading !== undefined) isolate(simulation, leading, 'mend')
        simulation.advance(random.next() * L)
      }
      leaders += simulation.oracle.leadersSeen
      finish(simulation)
    }
    expect(leaders).toBeGreaterThan(40)
  })

  test('a quiet leader that one member does not hear, its only other voter restarted, hand-overs between: never two lease holders', () => {
    let leaders = 0
    for (let seed = 1; seed <= 12; seed++) {
      const network = { ...quietPlan(0).network, latencyMsMax: seed % 2 === 0 ? 2 : 150 }
      const simulation = begun(seed, { clients: 1, thinkMs: 3 * L, network })
      const random = prng(seed)
      for (let round = 0; round < 8; round++) {
        const leading = simulation.nodes.find(node => node.process?.scheduler.leader)
        const others = simulation.nodes.filter(node => node !== leading)
        if (leading === undefined) {
          simulation.advance(L)
          continue
        }
        const deaf = others[random.int(0, others.length)]!
        const voter = others.find(node => node !== deaf)!
        simulation.network.cut(leading.id, deaf.id)
        simulation.advance((1 + 4 * random.next()) * L)
        // What it has granted is forgotten, and the leader does not hear that somebody else is promised something.
        voter.end(unflushed => unflushed)
        const isReleased = random.next() < 0.3
        if (!isReleased) isolate(simulation, leading, 'cut')
        voter.start()
        simulation.advance(60)
        if (isReleased) leading.process?.coordinator.tell({ type: 'handOver' })
        simulation.advance(random.next() * 2 * L)
        if (!isReleased) isolate(simulation, leading, 'mend')
        simulation.network.mend(leading.id, deaf.id)
        simulation.advance(random.next() * 2 * L)
      }
      leaders += simulation.oracle.leadersSeen
      finish(simulation)
    }
    expect(leaders).toBeGreaterThan(30)
  })

  test('clocks far beyond the bound: two lease holders, so the rule above can fail', () => {
    const run = (): void => {
      for (let seed = 1; seed <= 20; seed++) {
        const simulation = begun(seed)
        for (let round = 0; round < 10; round++) {
          const leading = simulation.nodes.find(node => node.process?.scheduler.leader)
          for (const node of simulation.nodes) node.clock.setRate(node === leading ? 0.3 : 3)
          if (leading !== undefined) isolate(simulation, leading, 'cut')
          simulation.advance(3 * L)
          if (leading !== undefined) isolate(simulation, leading, 'mend')
          simulation.advance(L)
        }
      }
    }
    expect(run).toThrow('at most one node may answer reads at any moment')
  })
})

describe('power', () => {
  test('lost on all nodes at once, what was not flushed with it: every acknowledged append is there', () => {
    let acknowledged = 0
    for (let seed = 1; seed <= 5; seed++) {
      const simulation = begun(seed, { flushMsMax: 20, clients: 8, thinkMs: 5 })
      const random = prng(seed)
      for (let round = 0; round < 6; round++) {
        simulation.advance(1.5 * L + random.next() * L)
        for (const node of simulation.nodes) {
          node.end(unflushed => random.int(0, unflushed + 1))
          node.start()
        }
      }
      acknowledged += simulation.clients.counts.ok
      finish(simulation)
    }
    expect(acknowledged).toBeGreaterThan(1_000)
  })

  test('a leader killed after any turn of an append: there for all or for none, and never acknowledged and gone', () => {
    const ends = new Set<string>()
    for (let run = 0; run < 80; run++) {
      const simulation = begun(run, { clients: 0 })
      const { node, state } = leaderOf(simulation)
      let end = 'unknown'
      state.write('list', 'x', 1, 1, how => {
        end = how
      })
      node.countdown = {
        turns: (run >> 1) % 20,
        strike: () => {
          // Half of what is under way is lost with it.
          if (run % 2 === 1) isolate(simulation, node, 'cut')
          node.end(() => 0)
        },
      }
      simulation.advance(4 * L)
      const next = leaderOf(simulation)
      const seen: (readonly number[] | null)[] = []
      next.state.read('x', 0, read => seen.push(read))
      simulation.advance(10)
      const isThere = seen[0]?.length === 1
      expect(seen[0]).not.toBeNull()
      if (end === 'ok') expect(isThere).toBe(true)
      ends.add(`${end} ${isThere ? 'there' : 'gone'}`)
      finish(simulation)
    }
    expect([...ends].sort()).toEqual(['ok there', 'unknown gone', 'unknown there'])
  })
})

describe('leaders', () => {
  test('a leader cut off in each direction while another leads: it acknowledges nothing more, and its log gives way', () => {
    const simulation = begun(4, { clients: 0 })
    const old = leaderOf(simulation)
    isolate(simulation, old.node, 'cut')
    const ends: string[] = []
    old.state.write('list', 'x', 1, 1, end => ends.push(end))
    simulation.advance(5 * L)
    expect(ends).toEqual(['unknown'])
    const next = leaderOf(simulation)
    expect(next.node).not.toBe(old.node)
    next.state.write('list', 'x', 2, 1, end => ends.push(end))
    simulation.advance(L)
    isolate(simulation, old.node, 'mend')
    finish(simulation)
    expect(ends).toEqual(['unknown', 'ok'])
    expect(new TextDecoder().decode(old.node.disk.tables.rows.get('1/x')!.bytes)).toBe('[2]')
  })

  test.each([3, 5, 7])('all of %i nodes begin at once, again and again: a stable leader within 20 leases', nodes => {
    for (let seed = 1; seed <= 10; seed++) {
      const simulation = new Simulation(seed, {}, quietPlan(seed, { nodes, clients: 0 }))
      simulation.advance(20 * L)
      const { ballot } = leaderOf(simulation).state
      simulation.advance(20 * L)
      expect(leaderOf(simulation).state.ballot).toEqual(ballot)
    }
  })

  test('one follower whose flush hangs for 10 s: the others append on', () => {
    const simulation = begun(5, { clients: 0 })
    const { node, state } = leaderOf(simulation)
    const follower = simulation.nodes.find(each => each !== node)!
    follower.hangsUntilMs = simulation.queue.nowMs + 10 * L
    let acknowledged = 0
    for (let at = 0; at < 50; at++) {
      state.write('register', 'x', at, 1, end => {
        acknowledged += end === 'ok' ? 1 : 0
      })
      simulation.advance(50)
    }
    expect(acknowledged).toBe(50)
    simulation.advance(10 * L)
    finish(simulation)
  })
})

describe('the checker of histories', () => {
  const op = (began: number, ended: number, call: Operation['call']): Operation => ({ began, ended, call })
  const never = Number.POSITIVE_INFINITY

  test('overlapping calls in some order: linearizable', () => {
    expect(
      check('register', [
        op(1, 4, { type: 'write', value: 1 }),
        op(2, 3, { type: 'read', seen: [1] }),
        op(5, never, { type: 'write', value: 2 }),
        op(6, 7, { type: 'read', seen: [1] }),
        op(8, 9, { type: 'read', seen: [2] }),
      ]),
    ).toBe('linearizable')
  })

  test.each<[string, 'register' | 'set' | 'list', Operation[]]>([
    ['a stale read', 'register', [op(1, 2, { type: 'write', value: 1 }), op(3, 4, { type: 'read', seen: [] })]],
    [
      'a value that goes back',
      'register',
      [
        op(1, 2, { type: 'write', value: 1 }),
        op(3, never, { type: 'write', value: 2 }),
        op(4, 5, { type: 'read', seen: [2] }),
        op(6, 7, { type: 'read', seen: [1] }),
      ],
    ],
    ['a lost element', 'set', [op(1, 2, { type: 'write', value: 1 }), op(3, 4, { type: 'read', seen: [] })]],
    [
      'an order against time',
      'list',
      [
        op(1, 2, { type: 'write', value: 1 }),
        op(3, 4, { type: 'write', value: 2 }),
        op(5, 6, { type: 'read', seen: [2, 1] }),
      ],
    ],
    ['an element twice', 'list', [op(1, 2, { type: 'write', value: 1 }), op(3, 4, { type: 'read', seen: [1, 1] })]],
    ['a value that nobody wrote', 'register', [op(1, 2, { type: 'read', seen: [9] })]],
  ])('%s: not linearizable', (_name, kind, operations) => {
    expect(check(kind, operations)).toBe('notLinearizable')
  })
})
