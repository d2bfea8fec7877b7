import { once } from 'node:events'
import { cpSync, existsSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { describe, expect, onTestFinished, test } from 'vitest'
import { formatLog } from '../../../src/runtime/log/log-folder.ts'
import type { LogNodeOptions } from '../../../src/runtime/log/log-options.ts'
import { putRow } from './log-folders.ts'
import { append, CLUSTER, eventually, leaderOf, Member, memberOptions, startCluster } from './member.ts'

describe('three members over real sockets', () => {
  test('all initialized: one leads, position 1 is LEADER, an append is on all of them, and everybody knows where clients go', async () => {
    const members = await startCluster(3)
    const { leader, position } = await append(members, putRow('a', '1'))
    // The two others are a quorum: its own disk may be the last one that has it.
    await eventually(async () => (await leader.status()).applied >= position)
    expect((await leader.port.read(1, position)).map(entry => entry.type)).toEqual([
      ...Array.from({ length: position - 1 }, () => 'LEADER'),
      'DATA',
    ])
    const { leaseLeftMs, leaderSinceMs } = await leader.status()
    expect(leaseLeftMs).toBeGreaterThan(0)
    expect(leaseLeftMs).toBeLessThanOrEqual(1_000)
    expect(leaderSinceMs).toBeGreaterThan(Date.now() - 60_000)
    for (const member of members) {
      if (member === leader) continue
      expect(await member.port.append(putRow('b', '1'))).toEqual({ type: 'notLeader' })
      await member.when(() => member.entries.at(-1)?.position === position)
    }
  })

  test('leader stopped: it hands over, another leads within 500 ms, appends go on, and the old one comes back as a follower', async () => {
    const members = await startCluster(3)
    const { leader: old } = await append(members, putRow('a', '1'))
    const rest = members.filter(member => member !== old)
    const ballot = old.view!.ballot!
    const startedMs = performance.now()
    await old.stop()
    expect(old.port.lease.holds(ballot)).toBe(false)
    await Promise.race(rest.map(member => member.when(() => member.view?.role === 'LEADER')))
    expect(performance.now() - startedMs).toBeLessThan(500)
    const { position } = await append(rest, putRow('b', '2'))
    const back = await new Member(old.options).start()
    await back.when(() => back.view?.role === 'FOLLOWER' && back.view.leader?.httpUrl !== '')
    await back.when(() => back.entries.some(entry => entry.position === position))
  })
})

describe('who does not belong', () => {
  const secret = 'a secret of this cluster'

  /** Members 1 and 2 as one cluster has them; 3 changed. */
  const withStranger = async (change: Partial<LogNodeOptions>): Promise<readonly Member[]> => {
    const options = await memberOptions(3, memberId => (memberId === 3 ? change : {}))
    await Promise.all(options.map(one => formatLog(one, one.clusterId ?? CLUSTER)))
    return Promise.all(options.map(one => new Member(one).start()))
  }

  test('another cluster: refused by id both ways, and no log data changes hands', async () => {
    const [first, , third] = await withStranger({ clusterId: 'cd'.repeat(16) })
    const text = `belongs to cluster ${'cd'.repeat(16)}, this node to ${CLUSTER}; refusing to exchange log data`
    await first!.said('log-peer-refused', text)
    await third!.said('log-peer-refused', 'CLUSTER_ID')
    expect(first!.counts.get('log_handshake_refused CLUSTER_ID')).toBeGreaterThan(0)
    expect(await third!.status()).toMatchObject({ status: 'STARTING', end: 0, promised: [0, 0] })
    expect((await first!.status()).waitingFor).toContain('member 3 (node-3')
  })

  test('another secret, or none: authentication failed, and nothing else is told', async () => {
    const options = await memberOptions(3)
    const secrets = [secret, secret, 'another secret, just as long']
    const members = await Promise.all(
      options.map(async (one, at) => {
        await formatLog(one, CLUSTER)
        return new Member({ ...one, peer: { ...one.peer!, secret: secrets[at]! } }).start()
      }),
    )
    await members[0]!.said('log-peer-refused', 'AUTH')
    await members[2]!.said('log-peer-refused', 'authentication failed')
    await members[0]!.said('log-peer-connected', 'member 2')
    expect((await members[2]!.status()).peers.every(peer => peer.status === null)).toBe(true)
  })

  test('another member list: refused, and both lists are named', async () => {
    const options = await memberOptions(3)
    const longer = [
      ...options[0]!.members,
      { memberId: 4, name: 'node-4', address: '127.0.0.1:1' },
      { memberId: 5, name: 'node-5', address: '127.0.0.1:2' },
    ]
    const members = await Promise.all(
      options.map(async (one, at) => {
        const changed = at === 2 ? { ...one, members: longer } : one
        await formatLog(changed, CLUSTER)
        return new Member(changed).start()
      }),
    )
    await members[0]!.said('log-peer-refused', 'was initialized twice with different member lists: here [1 node-1')
    await members[2]!.said('log-peer-refused', '5 node-5 127.0.0.1:2')
  })

  test('a member initialized again after the first start: a new disk, refused by both and never voting', async () => {
    const members = await startCluster(3)
    const { leader } = await append(members, putRow('a', '1'))
    const victim = members.find(member => member !== leader)!
    await victim.stop()
    rmSync(victim.options.path, { recursive: true })
    await formatLog(victim.options, CLUSTER)
    const again = await new Member(victim.options).start()
    await again.said('log-refused-by-peer', 'returned with a new disk')
    await leader.said('log-peer-refused', 'INCARNATION')
    expect(await again.status()).toMatchObject({ status: 'STARTING', end: 0 })
    await append([leader, members.find(member => member !== leader && member !== victim)!], putRow('b', '1'))
  })

  test('a member that comes back with an older copy of its disk: refused by what it had acknowledged', async () => {
    const members = await startCluster(3)
    const { leader } = await append(members, putRow('a', '1'))
    const victim = members.find(member => member !== leader)!
    await victim.stop()
    const copy = `${victim.options.path}-copy`
    cpSync(victim.options.path, copy, { recursive: true })
    const back = await new Member(victim.options).start()
    await back.when(() => back.view?.role === 'FOLLOWER')
    const { position } = await append(
      [leader, ...members.filter(member => member !== victim && member !== leader), back],
      putRow('b', '1'),
    )
    // It hears of the commit with the next heartbeat, and acknowledges that too.
    await back.when(() => back.entries.at(-1)?.position === position)
    // The other follower sees no acknowledgements: it is told.
    const other = members.find(member => member !== victim && member !== leader)!
    await eventually(async () => {
      const { peers } = await other.status()
      return peers.find(peer => peer.memberId === victim.options.memberId)?.committed === position
    })
    await back.stop()
    rmSync(victim.options.path, { recursive: true })
    cpSync(copy, victim.options.path, { recursive: true })
    const old = await new Member(victim.options).start()
    await old.said('log-refused-by-peer', 'returned with an older copy of its disk')
    await Promise.all([leader, other].map(member => member.said('log-peer-refused', 'ROLLED_BACK')))
    expect(old.view?.role ?? 'NONE').not.toBe('FOLLOWER')
  })

  test('an address beyond loopback without a secret: not opened', async () => {
    const [options] = await memberOptions(3)
    const open = { ...options!, peer: { ...options!.peer!, host: '0.0.0.0' } }
    await expect(new Member(open).start()).rejects.toThrow(
      'peer.host 0.0.0.0 is not a loopback address and there is no secret',
    )
  })

  test('a port that is taken: not opened, and it says which', async () => {
    const [options] = await memberOptions(3)
    const holder = createServer().listen(options!.peer!.port, '127.0.0.1')
    onTestFinished(() => void holder.close())
    await once(holder, 'listening')
    await expect(new Member(options!).start()).rejects.toThrow(/port \d+ on 127\.0\.0\.1 is taken/)
  })
})

describe('the first start', () => {
  test('one of three initialized: nobody votes, all three say what is missing; then the others are, and they begin', async () => {
    const options = await memberOptions(3)
    await formatLog(options[0]!, CLUSTER)
    const members = await Promise.all(options.map(one => new Member(one).start()))
    const [first, second, third] = members
    await eventually(async () => {
      const text = (await first!.status()).waitingFor ?? ''
      return [2, 3].every(id =>
        new RegExp(`member ${id} [^;]* is EMPTY: run \`daybreak log initialize node.yaml\` there`).test(text),
      )
    })
    for (const empty of [second!, third!]) {
      expect((await empty.status()).waitingFor).toBe('an initialized log: run `daybreak log initialize node.yaml`')
    }
    await Promise.all(options.slice(1).map(one => formatLog(one, CLUSTER)))
    await append(members, putRow('a', '1'))
  })

  test('auto-bootstrap: three empty members begin by themselves; one that lost its disk later does not begin anew', async () => {
    const options = await memberOptions(3, () => ({ autoBootstrap: true }))
    const members = await Promise.all(options.map(one => new Member(one).start()))
    const { leader } = await append(members, putRow('a', '1'))
    const victim = members.find(member => member !== leader)!
    await victim.stop()
    rmSync(victim.options.path, { recursive: true })
    const again = await new Member(victim.options).start()
    await eventually(async () => (await again.status()).waitingFor?.includes('already has data') === true)
    expect(existsSync(victim.options.path)).toBe(false)
  })
})

describe('a follower that was away', () => {
  test('3,000 positions behind: caught up through the stream of the leader, whose ballot stays', {
    timeout: 40_000,
  }, async () => {
    // A lease that outlives what a busy machine does to three members in one thread.
    const members = await startCluster(3, () => ({ timing: { leaseMs: 4_000 } }))
    const { leader, position: first } = await append(members, putRow('a', '1'))
    const away = members.find(member => member !== leader)!
    await away.stop()
    const payload = putRow('a', 'x'.repeat(2_000))
    const results = await Promise.all(Array.from({ length: 3_000 }, () => leader.port.append(payload)))
    expect(results.every(result => result.type === 'ok')).toBe(true)
    const { ballot } = leader.view!
    const back = await new Member(away.options).start()
    await back.when(() => back.entries.at(-1)?.position === first + 3_000)
    const positions = back.entries.map(entry => entry.position)
    expect(positions).toEqual(positions.map((_, at) => positions[0]! + at))
    expect(leader.view).toMatchObject({ role: 'LEADER', ballot })
    const peer = (await leader.status()).peers.find(one => one.memberId === back.options.memberId)
    expect(peer).toMatchObject({ connected: true, status: 'VOTING', matched: first + 3_000, trouble: null })
  })

  test('both followers gone: the leader steps down within a lease, says for whom it waits, and appends again when one is back', async () => {
    const members = await startCluster(3)
    const leader = await leaderOf(members)
    const others = members.filter(member => member !== leader)
    await Promise.all(others.map(member => member.stop()))
    await leader.when(() => leader.view?.role !== 'LEADER')
    expect(await leader.port.append(putRow('a', '1'))).toEqual({ type: 'notLeader' })
    await eventually(async () => (await leader.status()).waitingFor?.includes('a quorum: 2 of 3 members') === true)
    const back = await new Member(others[0]!.options).start()
    const { leader: next } = await append([leader, back], putRow('b', '1'))
    expect((await next.status()).waitingFor).toBeNull()
  })
})
