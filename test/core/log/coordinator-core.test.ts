import { describe, expect, test } from 'vitest'
import { QUEUE_MAX, WINDOW_POSITIONS_MAX } from '../../../src/core/log/coordinator-core.ts'
import { PAYLOAD_BYTES_MAX } from '../../../src/core/log/entry.ts'
import { HOLD_MS_MAX, WORTH_HOLDING_MAX } from '../../../src/core/log/group-commit.ts'
import { LOG_LIMITS } from '../../../src/core/log/limits.ts'
import { LogCluster, type Member, type Parcel, text } from './log-cluster.ts'

const acked = (member: Member): number[] =>
  [...member.results].filter(([, outcome]) => outcome.type === 'ok').map(([id]) => id)
const isolate =
  (...cut: number[]) =>
  ({ from, to }: Parcel) =>
    !cut.includes(from) && !cut.includes(to)

describe('taking over', () => {
  test('new cluster: position 1 is LEADER, the first append is 2', () => {
    const cluster = new LogCluster(3)
    const leader = cluster.lead(1)
    expect(leader.serving).toEqual([1, 1])
    leader.append(1, 'a')
    cluster.settle()
    expect(leader.results.get(1)).toEqual({ type: 'ok', position: 2 })
    for (const member of cluster.members.values()) expect(member.log()).toEqual(['1:1.1:LEADER', '2:1.1:a'])
  })

  test('one voter: elects itself without any other, quorum is itself', () => {
    const cluster = new LogCluster(1)
    cluster.member(1).toElection({ type: 'ready', voters: [1] })
    cluster.settle()
    expect(cluster.member(1).serving).toEqual([1, 1])
    expect(cluster.member(1).ticking).toBe(false)
    expect(cluster.member(1).electionTimer).toBeNull()
  })

  test('own promise not flushed: no PREPARE leaves, so the ballot can never be used twice', () => {
    const cluster = new LogCluster(3)
    cluster.member(1).toReplica({ type: 'stand', roundSeen: 0 })
    cluster.deliver()
    expect(cluster.wire).toEqual([])
    cluster.member(1).flush()
    cluster.deliver()
    expect(cluster.wire.map(({ to, message }) => `${message.type} ${to}`)).toEqual(['prepare 2', 'prepare 3'])
  })

  test('append before the LEADER entry is committed: not leader', () => {
    const cluster = new LogCluster(3)
    cluster.passes = ({ message }) => message.type !== 'accept'
    const leader = cluster.lead(1)
    leader.append(1, 'early')
    expect(leader.results.get(1)).toEqual({ type: 'notLeader' })
  })

  test('leader restarts: its next ballot is higher than any before, even one that only it has heard of', () => {
    const cluster = new LogCluster(3)
    cluster.passes = isolate(1)
    cluster.lead(1)
    cluster.lead(1)
    const disk = cluster.member(1).disk
    cluster.crash(1)
    cluster.restart(1, disk)
    cluster.passes = () => true
    expect(cluster.lead(1).serving).toEqual([3, 1])
  })

  test('quorum of NOT_VOTING: the candidate gives up and may try again', () => {
    const cluster = new LogCluster(3)
    const candidate = cluster.member(1)
    candidate.toReplica({ type: 'stand', roundSeen: 0 })
    candidate.flush()
    for (const id of [2, 3]) cluster.member(id).toReplica({ type: 'damaged' })
    cluster.settle()
    expect(candidate.lost).toEqual(['member 3 refused to promise: CORRUPT'])
  })

  test('two candidates at once: at most one leads, and never two with one ballot', () => {
    const cluster = new LogCluster(3)
    for (const id of [1, 2]) cluster.member(id).toReplica({ type: 'stand', roundSeen: 0 })
    cluster.settle()
    expect(cluster.leaders()).toHaveLength(1)
  })

  test('p lost and p+1 held by nobody without p: a batch that skips ahead is refused', () => {
    const cluster = new LogCluster(3)
    const leader = cluster.lead(1)
    // Only the second of two batches reaches member 2, and none member 3.
    cluster.passes = ({ to, message }) =>
      message.type !== 'accept' || (to === 2 && message.entries.some(entry => entry.position >= 3))
    leader.append(1, 'p')
    cluster.deliver()
    leader.flush()
    cluster.deliver()
    leader.append(2, 'p+1')
    cluster.settle()
    expect(cluster.member(2).log()).toEqual(['1:1.1:LEADER'])
    cluster.crash(1)
    cluster.passes = () => true
    cluster.lead(2)
    for (const id of [2, 3]) expect(cluster.member(id).log()).toEqual(['1:1.1:LEADER', '2:2.2:LEADER'])
  })

  test('entries on a quorum, commit known to the dead leader only: their holder wins, who lacks them is BEHIND', () => {
    const cluster = new LogCluster(3)
    const leader = cluster.lead(1)
    cluster.passes = ({ to, message }) => message.type !== 'accept' || to !== 3
    leader.append(1, 'kept')
    cluster.deliver()
    for (const member of cluster.members.values()) member.flush()
    cluster.deliver()
    expect(acked(leader)).toEqual([1])
    cluster.crash(1)
    cluster.passes = () => true
    const refusals: unknown[] = []
    cluster.passes = ({ message }) => {
      if (message.type === 'nack') refusals.push(message.reason.type)
      return true
    }
    expect(cluster.lead(3).serving).toBeNull()
    expect(refusals).toEqual(['BEHIND'])
    // Member 3 has promised itself ballot 2.3 meanwhile: the first attempt of member 2 learns of that.
    cluster.lead(2)
    const next = cluster.lead(2)
    expect(next.serving).not.toBeNull()
    for (const id of [2, 3]) expect(cluster.member(id).log()).toContain('2:1.1:kept')
  })

  test('older ballot: copies of an old entry on a quorum commit nothing until an own entry does', () => {
    const cluster = new LogCluster(3)
    const first = cluster.lead(1)
    // Ballot 1: an entry that reaches member 2 only, and is not committed.
    cluster.passes = ({ from, to }) => to === 2 && from === 1
    first.append(1, 'old')
    cluster.settle()
    expect(acked(first)).toEqual([])
    cluster.crash(1)
    cluster.passes = () => true
    // Member 2 leads; the old entry reaches member 3, its own LEADER entry does not.
    cluster.passes = ({ to, message }) => message.type !== 'accept' || to !== 3
    const second = cluster.lead(2)
    const { promised } = second.replica.meta
    cluster.member(3).toReplica({
      type: 'accept',
      from: { memberId: 2, incarnation: 'disk-2' },
      ballot: promised,
      seq: 900,
      prev: { position: 1, ballot: [1, 1] },
      entries: [second.disk.entries.get(2)!],
      commit: 0,
      begin: 1,
      sentAtMs: 0,
    })
    cluster.settle()
    expect(cluster.member(3).log()).toEqual(['1:1.1:LEADER', '2:1.1:old'])
    expect(second.coordinator.commit).toBeLessThan(2)
    expect(second.serving).toBeNull()
    // Now its own entry gets through, and the old one commits with it.
    cluster.passes = () => true
    cluster.advance(700)
    expect(second.coordinator.commit).toBe(3)
    expect(cluster.member(3).log()).toEqual(['1:1.1:LEADER', '2:1.1:old', `3:${promised.join('.')}:LEADER`])
  })
})

describe('appending', () => {
  test('64 batches in flight, acks arriving in reverse: completions in position order', () => {
    const cluster = new LogCluster(3)
    const leader = cluster.lead(1)
    const toOthers: Parcel[] = []
    for (let batch = 0; batch < 64 + 32; batch++) {
      leader.toCoordinator({
        type: 'append',
        requests: Array.from({ length: 128 }, (_, at) => ({ id: batch * 128 + at, payload: new Uint8Array([at]) })),
      })
      // Flushed here at once, so that the next is a batch of its own; the others hear of nothing yet.
      toOthers.push(...cluster.wire.filter(({ to }) => to !== 1))
      cluster.wire = cluster.wire.filter(({ to }) => to === 1)
      cluster.deliver()
      leader.flush()
      cluster.deliver()
    }
    cluster.wire = toOthers
    expect(leader.coordinator.inFlight).toBe(8_192)
    expect(leader.coordinator.queued).toBe(4_096)
    cluster.deliver()
    for (const member of cluster.members.values()) member.flush()
    cluster.wire.reverse()
    cluster.settle()
    const order = leader.resultOrder.filter(id => leader.results.get(id)?.type === 'ok')
    expect(order).toHaveLength(8_192 + 4_096)
    expect(order).toEqual([...order].sort((a, b) => a - b))
    const positions = order.map(id => (leader.results.get(id) as { position: number }).position)
    expect(positions).toEqual(positions.map((_, at) => at + 2))
  })

  test('more waits than the window takes: the last batch fills it to the position and not beyond', () => {
    const cluster = new LogCluster(3)
    const leader = cluster.lead(1)
    cluster.passes = () => false
    let id = 0
    for (const length of [100, 4_096, 4_096]) {
      leader.toCoordinator({
        type: 'append',
        requests: Array.from({ length }, () => ({ id: ++id, payload: new Uint8Array(1) })),
      })
      cluster.settle()
    }
    expect(leader.coordinator.inFlight).toBe(WINDOW_POSITIONS_MAX)
    expect(leader.coordinator.queued).toBe(100 + 2 * 4_096 - WINDOW_POSITIONS_MAX)
    cluster.passes = () => true
    cluster.advance(1_000)
    expect(acked(leader)).toHaveLength(100 + 2 * 4_096)
  })

  test('1,000 appends issued in one turn: flushes per replica are at most the batches', () => {
    const cluster = new LogCluster(3)
    const leader = cluster.lead(1)
    const before = [...cluster.members.values()].map(member => member.disk.flushes)
    leader.toCoordinator({
      type: 'append',
      requests: Array.from({ length: 1_000 }, (_, id) => ({ id, payload: new Uint8Array(100) })),
    })
    cluster.settle()
    expect(acked(leader)).toHaveLength(1_000)
    const flushes = [...cluster.members.values()].map((member, at) => member.disk.flushes - before[at]!)
    expect(Math.max(...flushes)).toBeLessThanOrEqual(1)
  })

  test('flush of the leader pending: the next appends gather into one batch', () => {
    const cluster = new LogCluster(1)
    const leader = cluster.lead(1)
    leader.append(1, 'a')
    for (let id = 2; id <= 50; id++) leader.append(id, 'b')
    cluster.deliver()
    expect(leader.disk.pending).toHaveLength(1)
    leader.flush()
    cluster.deliver()
    cluster.deliver()
    expect(leader.disk.pending.map(write => write.entries.length)).toEqual([49])
  })

  test('two halves of the writers, each in a batch of its own: after one answer they share one', () => {
    const cluster = new LogCluster(3)
    const leader = cluster.lead(1)
    const batches = (): number[] => leader.disk.pending.map(write => write.entries.length).filter(count => count > 0)
    let id = 0
    const append = (count: number): void =>
      leader.toCoordinator({
        type: 'append',
        requests: Array.from({ length: count }, () => ({ id: ++id, payload: new Uint8Array(1) })),
      })
    const answered = (): number => acked(leader).length
    append(32)
    cluster.deliver()
    append(32)
    expect(batches()).toEqual([32])
    cluster.monoMs += 4
    leader.flush()
    cluster.deliver()
    // On the own disk; the others have not answered yet. What waits is not cut for that.
    expect(batches()).toEqual([])
    for (const other of [2, 3]) cluster.member(other).flush()
    cluster.deliver()
    expect(answered()).toBe(32)
    expect(batches()).toEqual([])
    append(31)
    cluster.deliver()
    expect(batches()).toEqual([])
    append(1)
    cluster.deliver()
    expect(batches()).toEqual([64])
  })

  test('held for long, then for a short time: the short one counts', () => {
    const cluster = new LogCluster(3)
    const leader = cluster.lead(1)
    cluster.passes = isolate(2, 3)
    leader.append(1, 'slow flush')
    cluster.monoMs += HOLD_MS_MAX
    cluster.deliver()
    leader.flush()
    cluster.deliver()
    leader.append(2, 'waits')
    const longMs = leader.cutAtMs!
    expect(longMs).toBe(cluster.monoMs + HOLD_MS_MAX)
    // So many are a batch by themselves, and this one is on the own disk after 1 ms.
    for (let id = 3; id <= WORTH_HOLDING_MAX + 1; id++) leader.append(id, 'x')
    cluster.monoMs += 1
    cluster.deliver()
    leader.flush()
    cluster.deliver()
    leader.append(WORTH_HOLDING_MAX + 2, 'waits again')
    expect(leader.cutAtMs).toBe(cluster.monoMs + 1)
    expect(leader.cutAtMs).toBeLessThan(longMs)
  })

  test('a quorum that is slower than the own disk: batches follow each other before they are committed', () => {
    const cluster = new LogCluster(3)
    const leader = cluster.lead(1)
    cluster.passes = isolate(2, 3)
    for (let id = 1; id <= 3; id++) {
      leader.append(id, 'x')
      cluster.advance(HOLD_MS_MAX, HOLD_MS_MAX / 2)
      expect(leader.coordinator.inFlight).toBe(id)
    }
    expect(acked(leader)).toEqual([])
  })

  test('flush that never ends: no append is acknowledged, on whichever side it hangs', () => {
    const cluster = new LogCluster(3)
    const leader = cluster.lead(1)
    leader.append(1, 'a')
    for (let turn = 0; turn < 5; turn++) {
      cluster.deliver()
      leader.flush()
    }
    expect(leader.results.size).toBe(0)
    cluster.member(2).flush()
    cluster.deliver()
    expect(acked(leader)).toEqual([1])
    leader.append(2, 'b')
    for (let turn = 0; turn < 5; turn++) {
      cluster.deliver()
      cluster.member(2).flush()
      cluster.member(3).flush()
    }
    expect(acked(leader)).toEqual([1])
  })

  test('one follower of three stopped: appends go on; two: the leader steps down within a lease', () => {
    const cluster = new LogCluster(3)
    const leader = cluster.lead(1)
    cluster.passes = isolate(3)
    leader.append(1, 'a')
    cluster.settle()
    expect(acked(leader)).toEqual([1])
    cluster.passes = isolate(2, 3)
    leader.append(2, 'in flight')
    cluster.settle()
    for (let id = 3; id <= 4; id++) leader.append(id, 'more')
    cluster.advance(1_300)
    expect(leader.serving).toBeNull()
    expect(leader.results.get(2)).toEqual({ type: 'unknown' })
    expect(leader.results.get(4)).toEqual({ type: 'unknown' })
    leader.append(5, 'late')
    expect(leader.results.get(5)).toEqual({ type: 'notLeader' })
  })

  test('old leader cut off while a new one leads: none of its appends is acked, and it never writes with the rival ballot', () => {
    const cluster = new LogCluster(3)
    const old = cluster.lead(1)
    cluster.passes = isolate(1)
    cluster.lead(2)
    old.append(1, 'x')
    cluster.settle()
    cluster.passes = () => true
    old.append(2, 'y')
    cluster.settle()
    expect(old.lost).toEqual([expect.stringContaining('has promised ballot 2.2')])
    for (const id of [1, 2]) expect(old.results.get(id)).toEqual({ type: 'unknown' })
    old.append(3, 'z')
    expect(old.results.get(3)).toEqual({ type: 'notLeader' })
    cluster.advance(700)
    cluster.settle()
    for (const member of cluster.members.values()) expect(member.log()).toEqual(['1:1.1:LEADER', '2:2.2:LEADER'])
  })

  test('leader dies after one follower flushed: present for all or absent for all, and the caller got no ok', () => {
    const cluster = new LogCluster(3)
    const leader = cluster.lead(1)
    leader.append(1, 'perhaps')
    cluster.deliver()
    cluster.member(2).flush()
    cluster.crash(1)
    cluster.member(3).disk.pending = []
    const disk = cluster.member(3).disk
    cluster.crash(3)
    cluster.restart(3, disk)
    expect(acked(leader)).toEqual([])
    cluster.lead(2)
    expect(cluster.member(2).log()).toContain('2:1.1:perhaps')
    expect(cluster.member(3).log()).toEqual(cluster.member(2).log())
  })

  test('too large, no space, and too many queued: refused by name, nothing written', () => {
    const cluster = new LogCluster(1)
    const leader = cluster.lead(1)
    leader.toCoordinator({ type: 'append', requests: [{ id: 1, payload: new Uint8Array(PAYLOAD_BYTES_MAX + 1) }] })
    expect(leader.results.get(1)).toEqual({
      type: 'tooLarge',
      bytes: PAYLOAD_BYTES_MAX + 1,
      bytesMax: PAYLOAD_BYTES_MAX,
    })
    leader.toCoordinator({ type: 'space', full: true, freeBytes: 5, reserveBytes: 8, lookMs: 0 })
    leader.append(2, 'a')
    expect(leader.results.get(2)).toEqual({ type: 'noSpace', freeBytes: 5 })
    leader.toCoordinator({ type: 'space', full: false, freeBytes: 9, reserveBytes: 8, lookMs: 0 })
    const requests = Array.from({ length: 8_192 + QUEUE_MAX + 10 }, (_, at) => ({
      id: 10 + at,
      payload: new Uint8Array(1),
    }))
    for (const request of requests) leader.toCoordinator({ type: 'append', requests: [request] })
    const busy = [...leader.results.values()].filter(outcome => outcome.type === 'busy')
    expect(busy.length).toBeGreaterThan(0)
    cluster.settle()
    expect(acked(leader)).toHaveLength(requests.length - busy.length)
  })

  test('one append refused: later ones that build on it are refused too, until the caller has begun anew', () => {
    const cluster = new LogCluster(1)
    const leader = cluster.lead(1)
    const append = (id: number, opening: number, ballot: readonly [number, number] = [1, 1]): string => {
      const request = { id, payload: new Uint8Array([id]), basis: { ballot, opening } }
      leader.toCoordinator({ type: 'append', requests: [request] })
      cluster.settle()
      return leader.results.get(id)?.type ?? 'none'
    }
    expect(append(1, 1)).toBe('ok')
    leader.toCoordinator({ type: 'space', full: true, freeBytes: 5, reserveBytes: 8, lookMs: 0 })
    expect(append(2, 1)).toBe('noSpace')
    leader.toCoordinator({ type: 'space', full: false, freeBytes: 9, reserveBytes: 8, lookMs: 0 })
    expect(append(3, 1)).toBe('notLeader')
    expect(append(4, 2)).toBe('ok')
  })

  test('leadership lost and won again: an append that was computed under the old ballot is refused', () => {
    const cluster = new LogCluster(1)
    const leader = cluster.lead(1)
    cluster.lead(1)
    expect(leader.serving).toEqual([2, 1])
    const late = { id: 1, payload: new Uint8Array([1]), basis: { ballot: [1, 1], opening: 1 } } as const
    const fresh = { id: 2, payload: new Uint8Array([2]), basis: { ballot: [2, 1], opening: 2 } } as const
    leader.toCoordinator({ type: 'append', requests: [late, fresh] })
    cluster.settle()
    expect([leader.results.get(1)?.type, leader.results.get(2)?.type]).toEqual(['notLeader', 'ok'])
  })

  test('follower far behind: fed from the store of the leader until it is equal', () => {
    const cluster = new LogCluster(3)
    const leader = cluster.lead(1)
    cluster.passes = isolate(3)
    for (let id = 1; id <= 700; id++) {
      leader.append(id, `v${id}`)
      cluster.settle()
    }
    expect(acked(leader)).toHaveLength(700)
    cluster.passes = () => true
    cluster.advance(1_500)
    expect(cluster.member(3).log()).toEqual(leader.log())
    expect(cluster.member(3).committed).toBe(701)
  })

  test('probe for where the logs part is lost, heartbeats are not: it is sent again, and the follower catches up', () => {
    const cluster = new LogCluster(3)
    const leader = cluster.lead(1)
    cluster.passes = isolate(3)
    for (let id = 1; id <= 20; id++) {
      leader.append(id, `v${id}`)
      cluster.settle()
    }
    let lost = 0
    cluster.passes = ({ to, message }) => {
      const isProbe = to === 3 && message.type === 'accept' && message.prev.position === 1
      return !isProbe || lost++ > 0
    }
    cluster.advance(2_000)
    expect(lost).toBeGreaterThan(1)
    expect(cluster.member(3).log()).toEqual(leader.log())
  })

  test('the tables of a quorum reach the end after the last append: truncated all the same, with the next heartbeats', () => {
    const cluster = new LogCluster(3, { ...LOG_LIMITS, entriesKept: 5, truncateStep: 5 })
    const leader = cluster.lead(1)
    cluster.passes = isolate(3)
    leader.toCoordinator({
      type: 'append',
      requests: Array.from({ length: 20 }, (_, at) => ({ id: at + 1, payload: text(`v${at}`) })),
    })
    cluster.settle()
    const truncations = () => leader.log().filter(entry => entry.endsWith('TRUNCATE')).length
    expect(truncations()).toBe(0)
    cluster.advance(1_000)
    expect(truncations()).toBe(1)
    cluster.advance(5_000)
    expect(truncations()).toBe(1)
  })
})

describe('elections by time', () => {
  const start = (count: number): LogCluster => {
    const cluster = new LogCluster(count)
    for (const member of cluster.members.values())
      member.toElection({ type: 'ready', voters: [...cluster.members.keys()] })
    return cluster
  }

  test.each([3, 5, 7])('%i members: one stable leader emerges, and stays', count => {
    const cluster = start(count)
    cluster.advance(5_000)
    const [leader, ...more] = cluster.leaders()
    expect(more).toEqual([])
    const ballot = cluster.member(leader!).serving
    cluster.advance(10_000)
    expect(cluster.member(leader!).serving).toEqual(ballot)
  })

  test('no quorum for 10 s: no leader and no growing ballots; after healing one leads', () => {
    const cluster = start(3)
    cluster.passes = () => false
    cluster.advance(10_000)
    expect(cluster.leaders()).toEqual([])
    for (const member of cluster.members.values()) expect(member.replica.meta.promised).toEqual([0, 0])
    cluster.passes = () => true
    cluster.advance(10_000)
    expect(cluster.leaders()).toHaveLength(1)
  })

  test('leader gone: another leads within two leases and a second', () => {
    const cluster = start(3)
    cluster.advance(5_000)
    const [gone] = cluster.leaders()
    cluster.crash(gone!)
    cluster.advance(3_000)
    expect(cluster.leaders()).toHaveLength(1)
  })

  test('member back from a partition: neither the leader nor its ballot changes', () => {
    const cluster = start(3)
    cluster.advance(5_000)
    const leader = cluster.member(cluster.leaders()[0]!)
    const ballot = leader.serving
    const other = [...cluster.members.keys()].find(id => id !== leader.id)!
    cluster.passes = isolate(other)
    cluster.advance(10_000)
    cluster.passes = () => true
    cluster.advance(5_000)
    expect(leader.serving).toEqual(ballot)
    expect(cluster.leaders()).toEqual([leader.id])
  })

  test('planned stop: the follower that holds most leads at once, without waiting for the lease, and nothing acked is lost', () => {
    const cluster = start(3)
    cluster.advance(5_000)
    const old = cluster.member(cluster.leaders()[0]!)
    const [ahead, behind] = [1, 2, 3].filter(id => id !== old.id)
    cluster.passes = isolate(behind!)
    old.append(1, 'a')
    cluster.settle()
    expect(acked(old)).toEqual([1])
    cluster.passes = () => true
    const ballot = old.serving!
    const atMs = cluster.monoMs
    old.toCoordinator({ type: 'handOver' })
    expect(old.serving).toBeNull()
    old.append(2, 'late')
    expect(old.results.get(2)).toEqual({ type: 'notLeader' })
    cluster.settle()
    expect(cluster.monoMs).toBe(atMs)
    expect(cluster.leaders()).toEqual([ahead])
    expect(cluster.member(ahead!).log()).toContain(`2:${ballot.join('.')}:a`)
  })

  test('released ballot is not the one that is followed: nothing happens', () => {
    const cluster = start(3)
    cluster.advance(5_000)
    const leader = cluster.leaders()[0]!
    const other = cluster.member(leader === 1 ? 2 : 1)
    const from = { memberId: 3, incarnation: 'disk-3' }
    other.toElection({ type: 'release', from, ballot: [0, 3], commit: 0, successor: null })
    cluster.settle()
    expect(cluster.leaders()).toEqual([leader])
  })

  test('leader that can send but not receive: steps down within a lease, another leads', () => {
    const cluster = start(3)
    cluster.advance(5_000)
    const deaf = cluster.leaders()[0]!
    cluster.passes = ({ to }) => to !== deaf
    cluster.advance(1_300)
    expect(cluster.member(deaf).serving).toBeNull()
    cluster.advance(5_000)
    expect(cluster.leaders()).toHaveLength(1)
    expect(cluster.leaders()).not.toContain(deaf)
  })
})
