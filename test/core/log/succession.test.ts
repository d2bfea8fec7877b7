import { describe, expect, test } from 'vitest'
import { leaseLeftMs } from '../../../src/core/log/lease.ts'
import { SUCCESSOR_LAG_MAX } from '../../../src/core/log/succession.ts'
import { LOG_TIMING } from '../../../src/core/log/timing.ts'
import { LogCluster, type Member, type Parcel } from './log-cluster.ts'

const { leaseMs, handOverMsMax, slowFlushMs } = LOG_TIMING
const MIB = 1024 * 1024
const LOOK_MS = 500

/** With a leader that serves and has been quiet for a while. */
function started(count = 3): { cluster: LogCluster; old: Member; others: Member[] } {
  const cluster = new LogCluster(count)
  for (const member of cluster.members.values())
    member.toElection({ type: 'ready', voters: [...cluster.members.keys()] })
  cluster.advance(5_000)
  const old = cluster.member(cluster.leaders()[0]!)
  return { cluster, old, others: [...cluster.members.values()].filter(member => member !== old) }
}

const outcomes = (member: Member): Record<number, string> =>
  Object.fromEntries([...member.results].map(([id, { type }]) => [id, type]))
const without =
  (...away: Member[]) =>
  ({ from, to }: Parcel) =>
    !away.some(({ id }) => id === from || id === to)

/** As the node tells it: room on the disk of a member. */
function room(member: Member, freeBytes: number, reserveBytes = 256 * MIB): void {
  const full = freeBytes < reserveBytes
  member.toCoordinator({ type: 'space', full, freeBytes, reserveBytes, lookMs: LOOK_MS })
  member.toReplica({ type: 'space', full, freeBytes })
  member.toElection({ type: 'space', full })
}

describe('a hand-over that is asked for', () => {
  test('to a member that holds everything: it leads at once, and whoever asked is told', () => {
    const { cluster, old, others } = started()
    const heir = others[1]!
    const ballot = old.serving
    const atMs = cluster.monoMs
    old.append(1, 'a')
    cluster.settle()
    old.toCoordinator({ type: 'transfer', to: heir.id })
    expect(old.transfers).toEqual([{ type: 'released', successor: heir.id, ballot }])
    expect(old.serving).toBeNull()
    cluster.settle()
    expect([cluster.leaders(), cluster.monoMs]).toEqual([[heir.id], atMs])
    expect(old.lost).toEqual([`handed over to member ${heir.id}: it was asked for`])
  })

  test('nobody named: whoever holds most', () => {
    const { cluster, old, others } = started()
    const [behind, ahead] = others as [Member, Member]
    cluster.passes = without(behind)
    for (let id = 1; id <= 3; id++) old.append(id, 'x')
    cluster.settle()
    cluster.passes = () => true
    old.toCoordinator({ type: 'transfer', to: null })
    cluster.settle()
    expect(cluster.leaders()).toEqual([ahead.id])
  })

  /** Both hold the same; `loading` has told with its last answer that its rows are still read. */
  function askedWhileLoading(which: 0 | 1, loading: readonly boolean[]): readonly number[] {
    const { cluster, old, others } = started()
    others.forEach((member, i) => {
      member.toReplica({ type: 'rows', loaded: !loading[i] })
    })
    cluster.advance(LOG_TIMING.heartbeatMs)
    old.toCoordinator({ type: which === 0 ? 'transfer' : 'handOver', to: null })
    cluster.settle()
    return cluster.leaders().map(id => others.findIndex(member => member.id === id))
  }

  for (const [which, what] of [
    [0, 'nobody named'],
    [1, 'the leader stops'],
  ] as const) {
    test(`${what}: a member that still reads its rows gets it only if all others do, too`, () => {
      expect(askedWhileLoading(which, [false, false])).toEqual([0])
      expect(askedWhileLoading(which, [true, false])).toEqual([1])
      expect(askedWhileLoading(which, [true, true])).toEqual([0])
    })
  }

  test('the leader stops: one that holds more gets it even while it reads its rows, for it would refuse the other', () => {
    const { cluster, old, others } = started()
    const [behind, ahead] = others as [Member, Member]
    ahead.toReplica({ type: 'rows', loaded: false })
    cluster.advance(LOG_TIMING.heartbeatMs)
    cluster.passes = without(behind)
    old.append(1, 'a')
    cluster.settle()
    cluster.passes = () => true
    old.toCoordinator({ type: 'handOver' })
    cluster.settle()
    expect(cluster.leaders()).toEqual([ahead.id])
  })

  test('a member that has its rows by now counts like any other', () => {
    const { cluster, old, others } = started()
    others[0]!.toReplica({ type: 'rows', loaded: false })
    cluster.advance(LOG_TIMING.heartbeatMs)
    others[0]!.toReplica({ type: 'rows', loaded: true })
    cluster.advance(LOG_TIMING.heartbeatMs)
    old.toCoordinator({ type: 'transfer', to: null })
    cluster.settle()
    expect(cluster.leaders()).toEqual([others[0]!.id])
  })

  test('appends under way: those that are out end well before it, those that come meanwhile were certainly not written', () => {
    const { cluster, old, others } = started()
    const heir = others[0]!
    cluster.passes = without(heir)
    old.append(1, 'a')
    cluster.settle()
    old.append(2, 'b')
    cluster.passes = ({ to, message }) => !(to === heir.id && message.type === 'accept' && message.entries.length > 0)
    old.toCoordinator({ type: 'transfer', to: heir.id })
    old.append(3, 'late')
    cluster.advance(300)
    expect(outcomes(old)).toEqual({ 1: 'ok', 2: 'ok' })
    expect(old.transfers).toEqual([])
    cluster.passes = () => true
    cluster.advance(LOG_TIMING.retransmitMs)
    expect(outcomes(old)).toEqual({ 1: 'ok', 2: 'ok', 3: 'notLeader' })
    expect(cluster.leaders()).toEqual([heir.id])
    expect(heir.log().map(line => line.split(':')[2])).toEqual(['LEADER', 'a', 'b', 'LEADER'])
  })

  test('the successor does not get to the end in time: the leader goes on, takes what waited, and says what was missing', () => {
    const { cluster, old, others } = started()
    const heir = others[0]!
    const ballot = old.serving
    cluster.passes = ({ to, message }) => !(to === heir.id && message.type === 'accept' && message.entries.length > 0)
    old.append(1, 'a')
    cluster.settle()
    old.toCoordinator({ type: 'transfer', to: heir.id })
    old.append(2, 'waits')
    cluster.advance(handOverMsMax - 100)
    expect(outcomes(old)).toEqual({ 1: 'ok' })
    cluster.advance(300)
    expect(old.transfers).toMatchObject([
      {
        type: 'refused',
        why: 'notNow',
        detail: `member ${heir.id} still lacked 1 positions after ${handOverMsMax} ms`,
      },
    ])
    expect(outcomes(old)).toEqual({ 1: 'ok', 2: 'ok' })
    expect(old.serving).toEqual(ballot)
  })

  test('who did not get there in time is asked again only after the others, even before one that still reads its rows', () => {
    const { cluster, old, others } = started()
    const [slow, loading] = others as [Member, Member]
    loading.toReplica({ type: 'rows', loaded: false })
    cluster.passes = ({ to, message }) => !(to === slow.id && message.type === 'accept' && message.entries.length > 0)
    old.append(1, 'a')
    cluster.advance(LOG_TIMING.heartbeatMs)
    old.toCoordinator({ type: 'transfer', to: null })
    cluster.advance(handOverMsMax + 200)
    expect(old.transfers).toMatchObject([
      { type: 'refused', detail: expect.stringMatching(`^member ${slow.id} still`) },
    ])
    old.toCoordinator({ type: 'transfer', to: null })
    cluster.settle()
    expect(old.transfers[1]).toMatchObject({ type: 'released', successor: loading.id })
    expect(cluster.leaders()).toEqual([loading.id])
  })

  test('nobody got there in time: the first one is asked again', () => {
    const { cluster, old, others } = started()
    cluster.passes = ({ message }) => message.type !== 'accept' || message.entries.length === 0
    old.append(1, 'a')
    for (let n = 0; n < 3; n++) {
      old.toCoordinator({ type: 'transfer', to: null })
      cluster.advance(handOverMsMax + 200)
    }
    const [first, second] = others.map(({ id }) => id)
    const asked = old.transfers.map(said => (said.type === 'refused' ? said.detail.split(' ')[1] : said.type))
    expect(asked).toEqual([first, second, first].map(String))
  })

  test('leadership is lost while it is prepared: whoever asked is told why', () => {
    const { cluster, old, others } = started()
    cluster.passes = ({ to, message }) => !(to === others[0]!.id && message.type === 'accept')
    old.append(1, 'a')
    cluster.settle()
    old.toCoordinator({ type: 'transfer', to: others[0]!.id })
    old.toCoordinator({ type: 'stepDown', reason: 'a test says so' })
    const detail = expect.stringContaining('was prepared: a test says so')
    expect(old.transfers).toMatchObject([{ type: 'refused', why: 'notNow', detail }])
  })

  test('only a voter that answers, has room and is near enough is given it; each refusal says what to do', () => {
    const { cluster, old, others } = started()
    const [away, far] = others as [Member, Member]
    const ask = (to: number | null): unknown => {
      old.toCoordinator({ type: 'transfer', to })
      return old.transfers.pop()
    }
    const refusal = (why: string, detail: string | RegExp) => ({
      type: 'refused',
      why,
      detail: typeof detail === 'string' ? detail : expect.stringMatching(detail),
      remedy: expect.stringMatching(/\w/),
    })
    expect(ask(old.id)).toEqual({ type: 'already' })
    expect(ask(9)).toEqual(refusal('noSuchMember', 'member 9 is not a voter of this cluster'))
    room(old, 4_096 * MIB)
    room(far, 100 * MIB)
    cluster.advance(300)
    expect(ask(far.id)).toEqual(refusal('notNow', `member ${far.id} has only 100 MiB free on its disk`))
    room(far, 4_096 * MIB)
    cluster.advance(300)
    cluster.passes = ({ to, message, from }) =>
      from !== away.id && !(to === far.id && message.type === 'accept' && message.entries.length > 0)
    // A quorum of three is not there for long without the one that is away, so all of it within a lease.
    const lag = SUCCESSOR_LAG_MAX + 1
    for (let id = 1; id <= lag; id++) old.append(id, 'x')
    cluster.advance(leaseMs)
    expect(ask(away.id)).toEqual(refusal('notNow', new RegExp(`member ${away.id} has not answered for \\d+ ms`)))
    expect(ask(far.id)).toEqual(refusal('notNow', `member ${far.id} is ${lag} positions behind`))
    expect(ask(null)).toEqual(refusal('notNow', /has not answered for \d+ ms; member \d is \d+ positions behind/))
    expect(old.serving).not.toBeNull()
    others[0]!.toCoordinator({ type: 'transfer', to: far.id })
    expect(others[0]!.transfers).toEqual([refusal('notLeader', 'this node does not lead')])
  })

  test('the only voter: nobody else can lead', () => {
    const { old } = started(1)
    old.toCoordinator({ type: 'transfer', to: null })
    expect(old.transfers).toMatchObject([{ detail: 'this node is the only voter, so nobody else can lead' }])
    expect(old.serving).not.toBeNull()
  })

  test('the release was meant for another: who receives it does not stand', () => {
    const { cluster, old, others } = started()
    const [first, second] = others as [Member, Member]
    const from = { memberId: old.id, incarnation: `disk-${old.id}` }
    first.toElection({ type: 'release', from, ballot: old.serving!, commit: 1, successor: second.id })
    expect(cluster.wire).toEqual([])
    expect(first.disk.pending).toEqual([])
  })
})

describe('a hand-over soon after a voter was restarted', () => {
  /** The others were restarted just now and have heard the leader since, which then stops for good. */
  const stopAfterRestart = (heard: boolean) => {
    const { cluster, old, others } = started()
    const [heir, restarted] = others as [Member, Member]
    const { disk } = restarted
    cluster.crash(restarted.id)
    const back = cluster.restart(restarted.id, disk, cluster.monoMs)
    back.toElection({ type: 'ready', voters: [1, 2, 3] })
    if (!heard) cluster.passes = ({ from, to }) => !(from === old.id && to === back.id)
    cluster.advance(200)
    cluster.passes = () => true
    old.toCoordinator({ type: 'handOver' })
    // Its process is gone before anybody asks for its promise.
    const release = cluster.wire.find(({ message }) => message.type === 'release')!
    cluster.crash(old.id)
    cluster.wire.push(release)
    return { cluster, heir, back }
  }

  test.each([true, false])(
    'the released ballot is the one it has promised, heard of since or not (%s): it promises at once',
    heard => {
      const { cluster, heir } = stopAfterRestart(heard)
      const atMs = cluster.monoMs
      cluster.settle()
      expect([cluster.leaders(), cluster.monoMs]).toEqual([[heir.id], atMs])
    },
  )

  test('its promise is asked for again with every heartbeat: the connection to it may be younger than the release', () => {
    const { cluster, heir, back } = stopAfterRestart(true)
    const from = cluster.monoMs
    cluster.passes = without(back)
    cluster.settle()
    cluster.passes = () => true
    expect(cluster.leaders()).toEqual([])
    cluster.advance(2 * LOG_TIMING.heartbeatMs)
    expect(cluster.leaders()).toEqual([heir.id])
    expect(heir.replica.meta.promised[0]).toBe(2)
    expect(cluster.monoMs - from).toBeLessThan(LOG_TIMING.retransmitMs)
  })
})

describe('a disk without room', () => {
  test('the leader has none and a follower has twice the reserve: leadership moves there, and appends go on', () => {
    const { cluster, old, others } = started()
    for (const member of others) room(member, 600 * MIB)
    room(old, 600 * MIB)
    cluster.advance(1_000)
    expect(cluster.leaders()).toEqual([old.id])
    room(old, 200 * MIB)
    cluster.advance(LOOK_MS + leaseMs - 100)
    expect(cluster.leaders()).toEqual([old.id])
    cluster.advance(300)
    const [next] = cluster.leaders()
    expect(next).not.toBe(old.id)
    expect(old.lost[0]).toContain('only 200 MiB are free on the disk of this node, and 600 MiB on that of member')
    cluster.member(next!).append(1, 'a')
    cluster.settle()
    expect(outcomes(cluster.member(next!))).toEqual({ 1: 'ok' })
    // A voter still: nothing is kept from it but entries.
    cluster.advance(10_000)
    expect(cluster.leaders()).toEqual([next])
    room(old, 500 * MIB)
    cluster.advance(1_000)
    expect(old.log()).toEqual(cluster.member(next!).log())
    expect(cluster.leaders()).toEqual([next])
  })

  test('disks of one machine fill up together: what was told before does not count, and the leader stays', () => {
    const { cluster, old, others } = started()
    for (const member of cluster.members.values()) room(member, 600 * MIB)
    cluster.advance(300)
    room(old, 200 * MIB)
    cluster.advance(LOOK_MS)
    for (const member of others) room(member, 200 * MIB)
    cluster.advance(10_000)
    expect([cluster.leaders(), old.lost]).toEqual([[old.id], []])
  })

  test('one has room, but no quorum: nobody else could begin a reign, so the leader stays, asked or not', () => {
    const { cluster, old, others } = started()
    const [much, little] = others as [Member, Member]
    room(much, 4_096 * MIB)
    for (const member of [old, little]) room(member, 200 * MIB)
    cluster.advance(10_000)
    old.toCoordinator({ type: 'transfer', to: much.id })
    expect(old.transfers).toMatchObject([
      { detail: 'only 1 of 3 members have room on their disks, and a new leader needs 2' },
    ])
    expect([cluster.leaders(), old.lost]).toEqual([[old.id], []])
  })

  test('nobody has clearly more: the leader stays, and refuses appends by name; it does not go to and fro', () => {
    const { cluster, old, others } = started()
    for (const member of others) room(member, 500 * MIB)
    room(old, 200 * MIB)
    cluster.advance(10_000)
    old.append(1, 'a')
    expect(old.results.get(1)).toEqual({ type: 'noSpace', freeBytes: 200 * MIB })
    expect([cluster.leaders(), old.lost]).toEqual([[old.id], []])
  })

  test('the only voter: it stays leader', () => {
    const { cluster, old } = started(1)
    room(old, 0)
    cluster.advance(10_000)
    old.append(1, 'a')
    expect([outcomes(old), cluster.leaders()]).toEqual([{ 1: 'noSpace' }, [old.id]])
  })

  test('a full follower: the others append on, it says so with every answer, and it catches up when it has room', () => {
    const { cluster, old, others } = started()
    const full = others[0]!
    room(full, 10 * MIB)
    for (let id = 1; id <= 50; id++) {
      old.append(id, `v${id}`)
      cluster.advance(50)
    }
    expect(new Set(Object.values(outcomes(old)))).toEqual(new Set(['ok']))
    expect(full.log()).toHaveLength(1)
    room(full, 600 * MIB)
    cluster.advance(2_000)
    expect(full.log()).toEqual(old.log())
  })
})

describe('a slow disk', () => {
  test('of a follower, 10 s for one flush: appends end without waiting for it', () => {
    const { cluster, old, others } = started()
    const slow = others[0]!
    slow.disk.hangs = true
    for (let id = 1; id <= 100; id++) {
      const atMs = cluster.monoMs
      old.append(id, `v${id}`)
      cluster.settle()
      expect([old.results.get(id)?.type, cluster.monoMs]).toEqual(['ok', atMs])
      cluster.advance(100)
    }
    expect(cluster.leaders()).toEqual([old.id])
    slow.disk.hangs = false
    cluster.advance(1_000)
    expect(slow.log()).toEqual(old.log())
  })

  test('of the leader: leadership moves to a member that has everything, and the old leader keeps still until it has flushed', () => {
    const { cluster, old } = started()
    const ballot = old.serving!
    old.disk.hangs = true
    old.append(1, 'a')
    cluster.advance(slowFlushMs - 100)
    expect(cluster.leaders()).toEqual([old.id])
    cluster.advance(500)
    const [next] = cluster.leaders()
    expect(next).not.toBe(old.id)
    expect(outcomes(old)).toEqual({ 1: 'unknown' })
    expect(old.lost[0]).toMatch(/the disk of this node has not finished a flush for \d{4} ms/)
    const leader = cluster.member(next!)
    leader.append(2, 'b')
    cluster.settle()
    expect(outcomes(leader)).toEqual({ 2: 'ok' })
    expect(leader.log()).toContain(`2:${ballot.join('.')}:a`)
    cluster.advance(10_000)
    old.disk.hangs = false
    cluster.advance(1_000)
    expect([cluster.leaders(), old.log()]).toEqual([[next], leader.log()])
    expect(leader.serving).toEqual([ballot[0] + 1, next])
  })

  test('of the leader, and the one that was chosen does not get there: the next try is with the other, which reads its rows', () => {
    const { cluster, old, others } = started()
    const [slow, loading] = others as [Member, Member]
    loading.toReplica({ type: 'rows', loaded: false })
    cluster.advance(LOG_TIMING.heartbeatMs)
    old.disk.hangs = true
    cluster.passes = ({ from, to, message }) =>
      !(from === old.id && to === slow.id && message.type === 'accept' && message.entries.length > 0)
    old.append(1, 'a')
    cluster.advance(slowFlushMs + handOverMsMax + 500)
    expect(old.handOversFailed).toHaveLength(1)
    cluster.advance(handOverMsMax + 500)
    expect([cluster.leaders(), old.handOversFailed]).toEqual([
      [loading.id],
      [expect.stringMatching(new RegExp(`: member ${slow.id} still lacked`))],
    ])
  })

  test('of a member that hears no leader: it does not stand and says no to others, so no ballot grows', () => {
    const { cluster, old, others } = started()
    const [slow, other] = others as [Member, Member]
    slow.disk.hangs = true
    old.append(1, 'a')
    cluster.settle()
    cluster.crash(old.id)
    const promised = () => [slow, other].map(({ replica }) => replica.meta.promised)
    // Until it counts as slow one may have tried.
    cluster.advance(2 * slowFlushMs)
    const before = promised()
    cluster.advance(20_000)
    expect([cluster.leaders(), promised()]).toEqual([[], before])
    slow.disk.hangs = false
    cluster.advance(5_000)
    expect(cluster.leaders()).toHaveLength(1)
  })

  test('of the leader and nobody else has everything: it goes on until it has flushed', () => {
    const { cluster, old } = started()
    old.disk.hangs = true
    cluster.passes = ({ message }) => message.type !== 'accept' || message.entries.length === 0
    old.append(1, 'a')
    cluster.advance(15_000)
    expect([cluster.leaders(), old.lost]).toEqual([[old.id], []])
    expect(old.handOversFailed[0]).toMatch(/^\d: member \d still lacked 1 positions after 2000 ms$/)
    cluster.passes = () => true
    old.disk.hangs = false
    cluster.advance(1_000)
    expect(outcomes(old)).toEqual({ 1: 'ok' })
  })
})

describe('a leader that appends nothing', () => {
  test('one member does not hear it: its own replica promises nothing while it leads, so there are never two with a lease', () => {
    const { cluster, old, others } = started()
    const deaf = others[1]!
    cluster.advance(3_000)
    // What would end the old reign does not reach it either.
    cluster.passes = ({ from, to, message }) => {
      if (from === old.id && to === deaf.id) return message.type !== 'accept'
      return to !== old.id || !(message.type === 'nack' || (from === deaf.id && message.type === 'accept'))
    }
    for (let at = 0; at < 10_000; at += 50) {
      cluster.advance(50)
      const holders = [...cluster.members.values()].filter(
        ({ coordinator }) => coordinator.lease !== null && leaseLeftMs(coordinator.lease, cluster.now()) > 0,
      )
      expect(holders.length).toBeLessThanOrEqual(1)
    }
    expect(cluster.leaders()).toEqual([old.id])
  })
})
