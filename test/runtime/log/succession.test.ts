/** Leadership that moves when it should: asked for, planned, for want of room, from a slow disk. Real members and sockets. */
import { describe, expect, test } from 'vitest'
import { openLogStore } from '../../../src/runtime/log/lmdb-log-store.ts'
import { formatLog } from '../../../src/runtime/log/log-folder.ts'
import type { LogNodePorts } from '../../../src/runtime/log/log-node-ports.ts'
import { putRow } from './log-folders.ts'
import { append, CLUSTER, eventually, leaderOf, Member, memberOptions, startCluster } from './member.ts'

describe('leadership that moves', () => {
  test('asked for: that member leads within 500 ms, every acknowledged append is there, and asked again it leads already', async () => {
    const members = await startCluster(3)
    const { leader: old } = await append(members, putRow('a', '1'))
    const heir = members.find(member => member !== old)!
    const to = heir.options.memberId
    const startedMs = performance.now()
    const outcome = old.port.transfer(to)
    await heir.when(() => heir.view?.role === 'LEADER')
    expect(performance.now() - startedMs).toBeLessThan(500)
    expect(await outcome).toMatchObject({ type: 'moved', memberId: to })
    expect(await leaderOf(members)).toBe(heir)
    await append(members, putRow('b', '1'))
    expect(await heir.port.transfer(to)).toEqual({ type: 'already', memberId: to })
    expect(await old.port.transfer(to)).toMatchObject({ type: 'refused', why: 'notLeader' })
  })

  test('asked where nobody leads: refused, and it says what the log waits for', async () => {
    const [options] = await memberOptions(3)
    const empty = await new Member(options!).start()
    expect(await empty.port.transfer(2)).toEqual({
      type: 'refused',
      why: 'notLeader',
      detail: 'nobody is known to lead',
      remedy: 'its log waits for an initialized log: run `daybreak log initialize node.yaml`',
    })
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
    expect((await leader.status()).notWritable).toMatch(/and leadership stays here as long as .*; appends are/)
    expect(leader.view?.role).toBe('LEADER')
  })
})

describe('a disk that flushes nothing for long', () => {
  /** Writes of a member whose id is in `hanging` are begun and not ended until it is out of it. */
  const withSlowDisks = async () => {
    const hanging = new Set<number>()
    const released: (() => void)[] = []
    const openStore =
      (memberId: number): NonNullable<LogNodePorts['openStore']> =>
      async (folder, options) => {
        const store = await openLogStore(folder, options)
        return {
          restored: store.restored,
          write: async write => {
            if (hanging.has(memberId)) await new Promise<void>(resolve => released.push(resolve))
            return store.write(write)
          },
          read: (from, to, countMax, bytesMax) => store.read(from, to, countMax, bytesMax),
          close: () => store.close(),
        }
      }
    const all = await memberOptions(3, () => ({ timing: { slowFlushMs: 400 } }))
    await Promise.all(all.map(options => formatLog(options, CLUSTER)))
    const members = await Promise.all(
      all.map(options => new Member(options, { openStore: openStore(options.memberId) }).start()),
    )
    const goOn = (): void => {
      hanging.clear()
      for (const resolve of released.splice(0)) resolve()
    }
    return { members, hanging, goOn }
  }

  test('of a follower: every append is acknowledged while it hangs, and it has them all afterwards', async () => {
    const { members, hanging, goOn } = await withSlowDisks()
    const { leader } = await append(members, putRow('a', '1'))
    const slow = members.find(member => member !== leader)!
    hanging.add(slow.options.memberId)
    let position = 0
    for (let count = 0; count < 50; count++) position = (await append(members, putRow('a', '2'))).position
    expect(slow.entries.at(-1)?.position ?? 0).toBeLessThan(position)
    goOn()
    await slow.when(() => slow.entries.at(-1)?.position === position)
  })

  test('of the leader: another leads, the append under way is not lost, and the old leader follows once it has flushed', async () => {
    const { members, hanging, goOn } = await withSlowDisks()
    const { leader: old } = await append(members, putRow('a', '1'))
    const rest = members.filter(member => member !== old)
    hanging.add(old.options.memberId)
    expect(await old.port.append(putRow('b', '2'))).toEqual({ type: 'unknown' })
    const { leader: next, position } = await append(rest, putRow('c', '3'))
    const types = (await next.port.read(1, position)).map(({ type }) => type)
    expect(types.slice(-4)).toEqual(['DATA', 'DATA', 'LEADER', 'DATA'])
    goOn()
    await old.when(() => old.view?.role === 'FOLLOWER' && old.entries.at(-1)?.position === position)
  })
})
