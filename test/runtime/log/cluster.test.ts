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
    const startedMs = performance.now()
    await old.stop()
    await Promise.race(rest.map(member => member.when(() => member.view?.role === 'LEADER')))
    expect(performance.now() - startedMs).toBeLessThan(500)
    const { position } = await append(rest, putRow('b', '2'))
    const back = await new Member(old.options).start()
    await back.when(() => back.view?.role === 'FOLLOWER' && back.view.leader?.httpUrl !== '')
    await back.when(() => back.entries.some(entry => entry.position === position))
  })
})

describe('leadership that moves', () => {
  test('asked for: that member leads within 500 ms, every acknowledged append is there, and asked again it leads already', async () => {
    const members = await startCluster(3)
    const { leader: old } = await append(members, putRow('a', '1'))
    const heir = members.find(member => member !== old)!
    const to = heir.options.memberId
    const startedMs = performance.now()
    const outcome = await old.port.transfer(to)
    expect(performance.now() - startedMs).toBeLessThan(500)
    expect(outcome).toMatchObject({ type: 'moved', memberId: to })
    expect(await leaderOf(members)).toBe(heir)
    await append(members, putRow('b', '1'))
    expect(await heir.port.transfer(to)).toEqual({ type: 'already', memberId: to })
    expect(await old.port.transfer(to)).toMatchObject({ type: 'refused', why: 'notLeader' })
  })

  test('appends all the while: those that were acknowledged are there, in order; leadership moved to and fro five times', async () => {
    const members = await startCluster(3)
    await append(members, putRow('n', '0'))
    let done = false
    const acked: number[] = []
    const writer = (async () => {
      while (!done) acked.push((await append(members, putRow('n', 'x'))).position)
    })()
    for (let round = 0; round < 5; round++) {
      const leader = await leaderOf(members)
      const heir = members[leader.options.memberId % 3]!
      expect(await leader.port.transfer(heir.options.memberId)).toMatchObject({ type: 'moved' })
    }
    done = true
    await writer
    const leader = await leaderOf(members)
    const entries = await leader.port.read(1, (await leader.status()).commit)
    const data = new Set(entries.filter(({ type }) => type === 'DATA').map(({ position }) => position))
    expect(acked.filter(position => !data.has(position))).toEqual([])
    expect(acked).toEqual(acked.toSorted((a, b) => a - b))
  })

  test('a follower was restarted a moment ago: a planned stop does not wait for the lease it may have forgotten', async () => {
    const members = await startCluster(3, () => ({ timing: { leaseMs: 3_000 } }))
    const { leader: old } = await append(members, putRow('a', '1'))
    const [heir, other] = members.filter(member => member !== old) as [Member, Member]
    await other.stop()
    const back = await new Member(other.options).start()
    await back.when(() => back.view?.role === 'FOLLOWER')
    await eventually(async () => (await heir.status()).peers.every(({ connected }) => connected))
    const startedMs = performance.now()
    await old.stop()
    await Promise.race([heir, back].map(member => member.when(() => member.view?.role === 'LEADER')))
    expect(performance.now() - startedMs).toBeLessThan(1_000)
  })
})

describe('a disk that fills up', () => {
  const MIB = 1024 * 1024
  const space = { reserveBytes: 256 * MIB, alarmBytes: 512 * MIB, ballastBytes: 0, checkEveryMs: 50 }
  const withDisks = async () => {
    const free = [2_048 * MIB, 2_048 * MIB, 2_048 * MIB]
    const all = await memberOptions(3, () => ({ space }))
    await Promise.all(all.map(options => formatLog(options, CLUSTER)))
    const freeBytesOf = (at: number) => (): number => free[at]!
    const members = await Promise.all(
      all.map((options, at) => new Member(options, { freeBytesOf: freeBytesOf(at) }).start()),
    )
    const set = (member: Member, bytes: number): void => {
      free[member.options.memberId - 1] = bytes
    }
    return { members, set }
  }

  test('of a follower: the others append on; freed again, it catches up without anybody', async () => {
    const { members, set } = await withDisks()
    const { leader } = await append(members, putRow('a', '1'))
    const full = members.find(member => member !== leader)!
    set(full, 10 * MIB)
    await full.said('log-disk-space')
    const { position } = await append(members, putRow('b', '1'))
    expect((await full.status()).notWritable).toContain('only 10 MiB are free at')
    expect(full.entries.at(-1)?.position ?? 0).toBeLessThan(position)
    set(full, 2_048 * MIB)
    await full.when(() => full.entries.at(-1)?.position === position)
  })

  test('of the leader: leadership moves to one with room; freed again, it is a follower, and leadership stays', async () => {
    const { members, set } = await withDisks()
    const { leader: old } = await append(members, putRow('a', '1'))
    const rest = members.filter(member => member !== old)
    set(old, 10 * MIB)
    await Promise.race(rest.map(member => member.when(() => member.view?.role === 'LEADER')))
    const { leader: next, position } = await append(rest, putRow('b', '1'))
    set(old, 2_048 * MIB)
    await old.when(() => old.entries.at(-1)?.position === position)
    expect([old.view?.role, next.view?.role]).toEqual(['FOLLOWER', 'LEADER'])
  })

  test('of all: the leader stays one, refuses appends by name, and says that nobody has more', async () => {
    const { members, set } = await withDisks()
    const { leader } = await append(members, putRow('a', '1'))
    for (const member of members) set(member, 10 * MIB)
    await leader.said('log-disk-space')
    expect(await leader.port.append(putRow('b', '1'))).toEqual({ type: 'noSpace', freeBytes: 10 * MIB })
    expect((await leader.status()).notWritable).toMatch(/and no other member that could lead has enough; appends are/)
    expect(leader.view?.role).toBe('LEADER')
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

describe('a quorum of disks that is lost', () => {
  /** Two of three, one of them the leader's, as if new machines had been put in their place. */
  const twoLost = async (renew: (options: LogNodeOptions) => Promise<unknown> | undefined) => {
    const members = await startCluster(3, () => ({ autoBootstrap: true }))
    const { leader, position } = await append(members, putRow('a', '1'))
    const others = members.filter(member => member !== leader)
    await others[0]!.when(() => others[0]!.entries.at(-1)?.position === position)
    const victims = [leader, others[1]!]
    await Promise.all(victims.map(member => member.stop()))
    const blank = await Promise.all(
      victims.map(async ({ options }) => {
        rmSync(options.path, { recursive: true })
        await renew(options)
        return new Member(options).start()
      }),
    )
    return { kept: others[0]!, blank, position }
  }

  test('two of three blank: all three refuse and say so, and neither votes nor begins anew', async () => {
    const { kept, blank, position } = await twoLost(() => undefined)
    const [first, second] = blank.map(({ options }) => options.memberId).sort()
    const text = new RegExp(
      `quorum of disks lost: member ${first} \\(node-${first}, .* has an empty disk, member ${second} .* has an empty disk; ` +
        '2 of the 3 disks of cluster (ab)+ are needed, at most 1 is left',
    )
    for (const member of [kept, ...blank]) {
      await eventually(async () => text.test((await member.status()).waitingFor ?? ''))
      await member.said('log-disks-lost', 'Put one of the lost disks back as it was; initialize nothing')
    }
    for (const { options, lines } of blank) {
      expect(existsSync(options.path)).toBe(false)
      expect(lines.filter(({ fields }) => fields.run !== undefined)).toEqual([])
    }
    expect(await kept.port.append(putRow('b', '1'))).toEqual({ type: 'notLeader' })
    expect(await kept.status()).toMatchObject({ status: 'VOTING', commit: position })
  })

  test('two of three initialized again: still a quorum of disks lost, on all three', async () => {
    const { kept, blank } = await twoLost(options => formatLog(options, CLUSTER))
    for (const member of [kept, ...blank]) {
      await eventually(async () =>
        /quorum of disks lost: .* has a new disk/.test((await member.status()).waitingFor ?? ''),
      )
    }
    for (const member of blank) expect(await member.status()).toMatchObject({ status: 'STARTING', end: 0 })
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
