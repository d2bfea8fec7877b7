import { describe, expect, test } from 'vitest'
import { prng } from '../../../src/core/base/prng.ts'
import { ElectionCore, type ElectionEffect, type ElectionMessage } from '../../../src/core/log/election-core.ts'
import { LOG_TIMING } from '../../../src/core/log/timing.ts'
import { Disk, LogCluster, metaOf } from './log-cluster.ts'

const { leaseMs, heartbeatMs } = LOG_TIMING

/** The election of one member alone, whose clock and timer the test holds in its hand. */
class Alone {
  monoMs = 0
  timer: { readonly atMs: number; readonly attempt: number } | null = null
  readonly #core: ElectionCore

  constructor(self: number, voters: readonly number[]) {
    this.#core = new ElectionCore({ self, timing: LOG_TIMING, random: prng(1) })
    this.handle({ type: 'ready', voters })
  }

  get phase() {
    return this.#core.phase
  }
  get dueInMs(): number {
    return this.timer!.atMs - this.monoMs
  }

  handle(message: ElectionMessage): readonly ElectionEffect[] {
    const effects = this.#core.handle(message, { monoMs: this.monoMs })
    for (const effect of effects) {
      if (effect.type === 'startTimer') this.timer = { atMs: this.monoMs + effect.afterMs, attempt: effect.attempt }
      else if (effect.type === 'cancelTimer') this.timer = null
    }
    return effects
  }

  /** Time goes on until the timer runs out. */
  due(): readonly ElectionEffect[] {
    const { atMs, attempt } = this.timer!
    this.monoMs = Math.max(this.monoMs, atMs)
    return this.handle({ type: 'timeout', attempt })
  }
}

/** Led by `leader`, which has just been heard by all; every follower is at rest. */
function ledBy(leader: number, count = 3): LogCluster {
  const cluster = new LogCluster(count)
  for (const member of cluster.members.values()) {
    member.toElection({ type: 'ready', voters: [...cluster.members.keys()] })
  }
  cluster.lead(leader)
  beat(cluster, leader)
  expect(cluster.leaders()).toEqual([leader])
  return cluster
}

/** Heartbeats of all that are due now. */
function beat(cluster: LogCluster, leader: number): void {
  cluster.monoMs += heartbeatMs
  cluster.member(leader).toCoordinator({ type: 'tick' })
  cluster.settle()
}

const dueIn = (cluster: LogCluster, id: number): number => cluster.member(id).electionTimer!.atMs - cluster.monoMs

describe('the leader is gone', () => {
  test('the next in line asks when its grant is over, the others half a heartbeat later each', () => {
    const cluster = ledBy(2, 5)
    expect([1, 3, 4, 5].map(id => dueIn(cluster, id) - leaseMs)).toEqual([0, 1, 2, 3].map(at => (at * heartbeatMs) / 2))
  })

  test('whoever still reads its rows asks behind all others, until it has them', () => {
    const cluster = ledBy(2, 5)
    cluster.member(1).toElection({ type: 'rows', loaded: false })
    beat(cluster, 2)
    expect([1, 3, 4, 5].map(id => dueIn(cluster, id) - leaseMs)).toEqual([5, 1, 2, 3].map(at => (at * heartbeatMs) / 2))
    cluster.crash(2)
    cluster.advance(leaseMs + heartbeatMs / 2, 1)
    expect(cluster.leaders()).toEqual([3])
    cluster.member(1).toElection({ type: 'rows', loaded: true })
    beat(cluster, 3)
    expect(dueIn(cluster, 1)).toBe(leaseMs)
  })

  test('all that are left still read their rows: one of them leads all the same', () => {
    const cluster = ledBy(3)
    for (const id of [1, 2]) cluster.member(id).toElection({ type: 'rows', loaded: false })
    beat(cluster, 3)
    cluster.crash(3)
    cluster.advance(leaseMs + (3 * heartbeatMs) / 2, 1)
    expect(cluster.leaders()).toEqual([1])
  })

  test('another leads in the very millisecond in which the grants of a quorum are over, and not before', () => {
    const cluster = ledBy(3)
    cluster.crash(3)
    cluster.advance(leaseMs - 1, 1)
    expect(cluster.leaders()).toEqual([])
    cluster.advance(1, 1)
    expect(cluster.leaders()).toEqual([1])
  })

  test('the first in line lacks what another holds: that one leads half a heartbeat after its grant is over', () => {
    const cluster = ledBy(3)
    cluster.passes = ({ to }) => to === 2 || to === 3
    cluster.monoMs += 20
    cluster.member(3).append(1, 'a')
    cluster.settle()
    expect(dueIn(cluster, 1)).toBe(leaseMs - 20)
    cluster.passes = () => true
    cluster.crash(3)
    cluster.advance(leaseMs - 1, 1)
    expect(cluster.leaders()).toEqual([])
    cluster.advance(heartbeatMs / 2 + 1, 1)
    expect(cluster.leaders()).toEqual([2])
  })

  test('a voter whose grant runs a little longer says for how long, and is asked again right then', () => {
    const cluster = ledBy(3)
    cluster.passes = ({ to }) => to !== 1
    cluster.monoMs += 20
    cluster.member(2).receive(heartbeatOf(cluster, 3))
    cluster.settle()
    cluster.passes = () => true
    cluster.crash(3)
    cluster.advance(leaseMs - 1, 1)
    expect(cluster.leaders()).toEqual([])
    cluster.advance(1, 1)
    expect(cluster.leaders()).toEqual([1])
  })

  test('the first in line is gone too: the second leads half a heartbeat later', () => {
    const cluster = ledBy(5, 5)
    cluster.crash(5)
    cluster.crash(1)
    cluster.advance(leaseMs + heartbeatMs / 2 - 1, 1)
    expect(cluster.leaders()).toEqual([])
    cluster.advance(1, 1)
    expect(cluster.leaders()).toEqual([2])
  })

  test('a slow disk of the winner does not bring the next in line onto the scene', () => {
    const cluster = ledBy(3)
    cluster.crash(3)
    cluster.monoMs += leaseMs
    const first = cluster.member(1)
    first.toElection({ type: 'timeout', attempt: first.electionTimer!.attempt })
    for (let turn = 0; turn < 6; turn++) cluster.deliver()
    first.flush()
    // Its own promise is told, then its PREPARE arrives; the promise to it is still on its way to the disk.
    cluster.deliver()
    cluster.deliver()
    expect(dueIn(cluster, 2)).toBe(leaseMs)
    cluster.settle()
    expect(cluster.leaders()).toEqual([1])
  })
})

test('whoever said that it would promise lets the other stand first', () => {
  const cluster = ledBy(3)
  cluster.crash(3)
  cluster.monoMs += leaseMs
  const first = cluster.member(1)
  first.toElection({ type: 'timeout', attempt: first.electionTimer!.attempt })
  cluster.deliver()
  expect(dueIn(cluster, 2)).toBe(2 * heartbeatMs)
  // It is gone before it stood: the other has its turn all the same.
  cluster.crash(1)
  const [second, third] = [cluster.member(2), cluster.restart(3, new Disk(metaOf(3, 3)))]
  expect(third.replica.last.position).toBe(0)
  cluster.advance(3 * heartbeatMs, 1)
  expect(second.serving).not.toBeNull()
})

test('two ask at once, and one is promised before the other stands: that one is not deposed', () => {
  const cluster = ledBy(3)
  cluster.crash(3)
  cluster.monoMs += 2 * leaseMs
  const [first, second] = [cluster.member(1), cluster.member(2)]
  for (const one of [first, second]) one.toElection({ type: 'timeout', attempt: one.electionTimer!.attempt })
  const canvassed = first.replica.meta.promised
  // Their questions and answers.
  cluster.deliver()
  const prepare = { type: 'prepare', from: { memberId: 1, incarnation: 'disk-1' } } as const
  second.receive({
    ...prepare,
    ballot: [canvassed[0] + 1, 1],
    last: first.replica.last,
    voters: first.replica.voters,
  })
  const { phase } = second.election
  second.toReplica({ type: 'stand', roundSeen: 0, canvassed: [canvassed[0] + 1, 1] })
  expect([phase, second.replica.meta.promised]).toEqual(['waiting', [canvassed[0] + 1, 1]])
  expect(dueIn(cluster, 2)).toBe(leaseMs)
})

describe('the leader is there', () => {
  test('one follower cut off for long: all others refuse it, and no ballot grows', () => {
    const cluster = ledBy(3)
    const ballot = cluster.member(3).serving
    cluster.passes = ({ from, to }) => !(from === 3 && to === 1)
    for (let at = 0; at < 20; at++) cluster.advance(leaseMs / 2)
    expect(cluster.member(3).serving).toEqual(ballot)
    expect(cluster.member(1).replica.meta.promised).toEqual(ballot)
    cluster.passes = () => true
    cluster.advance(2 * leaseMs)
    expect(cluster.member(3).serving).toEqual(ballot)
  })

  test('a flap shorter than the lease: nobody even asks', () => {
    const cluster = ledBy(3)
    const ballot = cluster.member(3).serving
    cluster.passes = ({ from, to }) => from === to
    cluster.advance(leaseMs - 2 * heartbeatMs)
    cluster.passes = () => true
    cluster.advance(5 * leaseMs)
    expect(cluster.member(3).serving).toEqual(ballot)
  })

  test('a leader that stood still longer than its lease finds itself deposed', () => {
    const cluster = ledBy(3)
    const stopped = cluster.member(3)
    cluster.crash(3)
    cluster.advance(leaseMs + 100, 1)
    expect(cluster.leaders()).toEqual([1])
    cluster.members.set(3, stopped)
    expect(stopped.coordinator.lease!.untilMonoMs).toBeLessThan(cluster.monoMs)
    stopped.append(1, 'late')
    cluster.settle()
    expect(stopped.serving).toBeNull()
    expect(stopped.results.get(1)).toEqual({ type: 'unknown' })
  })
})

test('a candidacy that the own replica has dropped without a word: time runs out, and another attempt is due', () => {
  const election = new Alone(1, [1, 2, 3])
  election.due()
  const ballot = [7, 1] as const
  const from = { memberId: 1, incarnation: 'disk-1' }
  const voters = [1, 2, 3].map(memberId => ({ memberId, incarnation: `disk-${memberId}` }))
  const last = { position: 0, ballot: [0, 0] as const }
  election.handle({ type: 'canvass', prevote: { type: 'prevote', from, ballot, last, voters } })
  for (const memberId of [1, 2])
    election.handle({
      ...{ type: 'prevoteReply', from: { memberId, incarnation: `disk-${memberId}` }, ballot, granted: true },
      promised: [0, 0],
    })
  expect(election.phase).toBe('standing')
  expect(election.due()).toContainEqual({ type: 'giveUp', reason: 'no quorum has promised in time' })
  expect(election.dueInMs).toBeGreaterThan(0)
  expect(election.phase).toBe('waiting')
})

describe('a quorum comes back after a long time without one', () => {
  const voters = [1, 2, 3, 4, 5].map(memberId => ({ memberId, incarnation: `disk-${memberId}` }))
  const alone = (self = 2): Alone => new Alone(self, [1, 2, 3, 4, 5])
  /** Asks in vain so many times; how long each pause was. */
  function inVain(election: Alone, times: number): number[] {
    return Array.from({ length: times }, () => {
      election.due()
      expect(election.phase).toBe('canvassing')
      election.due()
      expect(election.phase).toBe('waiting')
      return election.dueInMs
    })
  }
  const ask = (election: Alone, ballot: readonly [number, number]) =>
    election.handle({
      type: 'canvass',
      prevote: { type: 'prevote', from: voters[1]!, ballot, last: { position: 0, ballot: [0, 0] }, voters },
    })
  /** Asks about this ballot when its time has come, and a quorum says yes. */
  function stand(election: Alone, ballot: readonly [number, number]): void {
    election.due()
    ask(election, ballot)
    for (const from of voters.slice(0, 3))
      election.handle({ type: 'prevoteReply', from, ballot, granted: true, promised: [0, 0] })
    expect(election.phase).toBe('standing')
    election.handle({ type: 'promised', ballot })
  }

  test('asked in vain a hundred times: asked again within two heartbeats, as after the first time', () => {
    const pausesMs = inVain(alone(), 100)
    expect(Math.min(...pausesMs)).toBeGreaterThanOrEqual(heartbeatMs)
    expect(Math.max(...pausesMs)).toBeLessThanOrEqual(2 * heartbeatMs)
  })

  test('whoever still reads its rows asks behind all others, after a question in vain too', () => {
    const election = alone()
    election.handle({ type: 'rows', loaded: false })
    const pausesMs = inVain(election, 100)
    expect(Math.min(...pausesMs)).toBeGreaterThanOrEqual(heartbeatMs + (5 * heartbeatMs) / 2)
    expect(Math.max(...pausesMs)).toBeLessThanOrEqual(2 * heartbeatMs + (5 * heartbeatMs) / 2)
  })

  test('a candidacy that fails again and again is backed off from, for it raises ballots', () => {
    const election = alone()
    for (let failures = 0; failures < 8; failures++) {
      stand(election, [failures + 1, 2])
      election.handle({ type: 'lost', reason: 'refused', roundSeen: failures + 1 })
    }
    expect(election.dueInMs).toBe(LOG_TIMING.electionBackoffMsMax)
  })

  test('somebody who holds less asks: whoever holds more asks at once, the first by id first', () => {
    const election = alone()
    election.handle({ type: 'surpassed', memberId: 5 })
    expect(election.dueInMs).toBe(heartbeatMs / 2)
    // Not put off by the next one that asks.
    expect(election.handle({ type: 'surpassed', memberId: 4 })).toEqual([])
  })

  test('somebody who holds less asks when one was about to ask anyway: that is not put off', () => {
    const election = alone(5)
    inVain(election, 1)
    const { atMs, attempt } = election.timer!
    election.monoMs = atMs - 1
    expect(election.handle({ type: 'surpassed', memberId: 3 })).toEqual([])
    expect(election.timer).toEqual({ atMs, attempt })
    // Nor when its turn comes late, because it still reads its rows.
    election.monoMs = atMs - (3 * heartbeatMs) / 2 - 1
    election.handle({ type: 'rows', loaded: false })
    expect(election.handle({ type: 'surpassed', memberId: 3 })).toEqual([])
  })

  test('somebody who holds less asks while one backs off from a failed candidacy: the two are kept apart', () => {
    const election = alone()
    stand(election, [1, 2])
    election.handle({ type: 'lost', reason: 'refused', roundSeen: 1 })
    expect(election.handle({ type: 'surpassed', memberId: 5 })).toEqual([])
  })

  test('somebody who holds less asks while another has the promise of this member: that one is let lead', () => {
    const election = alone()
    election.handle({ type: 'promised', ballot: [4, 3] })
    expect(election.handle({ type: 'surpassed', memberId: 5 })).toEqual([])
  })

  test('members whose questions arrive and whose answers do not: each is let go first once, not for ever', () => {
    const election = alone()
    inVain(election, 1)
    for (const memberId of [4, 5]) {
      election.monoMs += 10
      election.handle({ type: 'favoured', memberId })
      expect(election.dueInMs).toBe(2 * heartbeatMs + heartbeatMs / 2)
    }
    for (const memberId of [4, 5]) expect(election.handle({ type: 'favoured', memberId })).toEqual([])
    expect(election.due().map(({ type }) => type)).toContain('canvass')
  })

  test('a member with an old ballot returns: the next question names a higher one, and is asked within two heartbeats', () => {
    const election = alone()
    election.due()
    ask(election, [1, 2])
    const reply = { type: 'prevoteReply', ballot: [1, 2], granted: false, promised: [9, 3] } as const
    election.handle({ ...reply, from: voters[2]! })
    // Whoever has just been promised that ballot is not deposed before it could be heard.
    expect(election.dueInMs).toBeGreaterThanOrEqual(heartbeatMs)
    expect(election.dueInMs).toBeLessThanOrEqual(2 * heartbeatMs)
    election.monoMs += 10
    expect(election.handle({ ...reply, from: voters[3]! })).toEqual([])
    expect(election.due()).toContainEqual({ type: 'canvass', roundSeen: 9 })
  })

  test('elected: it is left the time to bring up its followers; told late of an earlier candidacy, it is not', () => {
    const election = alone()
    stand(election, [1, 2])
    election.due()
    stand(election, [2, 2])
    expect(election.handle({ type: 'elected', ballot: [1, 2] })).toEqual([])
    expect(election.dueInMs).toBeLessThanOrEqual(2 * leaseMs)
    election.handle({ type: 'elected', ballot: [2, 2] })
    expect(election.dueInMs).toBe(LOG_TIMING.undecidedMsMax)
    const reason = 'it was elected, and does not serve after 30000 ms'
    expect(election.due()).toContainEqual({ type: 'giveUp', reason })
  })

  test('the only one that can win asks as soon as another has asked it', () => {
    const cluster = ledBy(5, 5)
    // What 3 holds beyond the others is not committed, and 1 and 2 are gone.
    cluster.passes = ({ to }) => to === 3 || to === 5
    cluster.member(5).append(1, 'a')
    cluster.settle()
    cluster.passes = ({ from, to }) => from === to
    for (const gone of [1, 2, 5]) cluster.crash(gone)
    cluster.restart(1, new Disk(metaOf(1, 5)))
    cluster.member(1).toElection({ type: 'ready', voters: [1, 2, 3, 4, 5] })
    cluster.advance(30 * leaseMs)
    expect(cluster.leaders()).toEqual([])
    cluster.passes = () => true
    cluster.advance(LOG_TIMING.retransmitMs + 4 * heartbeatMs, 10)
    expect(cluster.leaders()).toEqual([3])
  })
})

test('a leader whose followers are long on the way to it is not ended by its own time out', () => {
  const cluster = ledBy(3)
  const held = cluster.member(1).replica.last.position
  cluster.crash(3)
  // ACCEPTs are answered, and what they carry does not arrive: as if the follower were fetching it from elsewhere.
  cluster.passes = ({ from, to, message }) =>
    !(from !== to && message.type === 'accept' && message.entries.length > 0) &&
    !(message.type === 'prevote' && from === 2)
  cluster.advance(5 * leaseMs)
  expect([cluster.member(1).coordinator.role, cluster.member(1).lost]).toEqual(['leading', []])
  cluster.passes = () => true
  cluster.advance(leaseMs)
  expect(cluster.leaders()).toEqual([1])
  expect(cluster.member(2).replica.last.position).toBeGreaterThan(held)
})

test('a new leader whose own disk does not take its first entry: it ends, and another leads', () => {
  const cluster = ledBy(5, 5)
  cluster.crash(5)
  cluster.advance(leaseMs - 1, 1)
  const first = cluster.member(1)
  const leads = (): boolean => first.coordinator.role === 'leading'
  // Its promise gets onto the disk, the entry after it does not.
  while (!leads()) {
    cluster.monoMs++
    const timer = first.electionTimer
    if (timer !== null && timer.atMs <= cluster.monoMs && first.election.phase === 'waiting')
      first.toElection({ type: 'timeout', attempt: timer.attempt })
    for (let turn = 0; turn < 12 && !leads(); turn++) {
      cluster.deliver()
      if (!leads()) for (const member of cluster.members.values()) member.flush()
    }
  }
  first.disk.hangs = true
  cluster.advance(LOG_TIMING.slowFlushMs + 3 * leaseMs)
  expect(first.lost).toEqual([expect.stringMatching(/^the own disk has not taken the first entry for \d+ ms$/)])
  expect(cluster.leaders()).toEqual([2])
})

function heartbeatOf(cluster: LogCluster, leader: number) {
  cluster.wire = []
  const { ballot } = cluster.member(leader).coordinator
  const { last, meta } = cluster.member(leader).replica
  const from = { memberId: leader, incarnation: `disk-${leader}` }
  return {
    type: 'accept',
    from,
    ballot,
    seq: 1_000,
    prev: last,
    entries: [],
    commit: meta.commit,
    begin: 1,
    sentAtMs: cluster.monoMs,
  } as const
}
