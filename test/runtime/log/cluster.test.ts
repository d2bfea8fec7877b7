import { describe, expect, test } from 'vitest'
import { putRow } from './log-folders.ts'
import { leaderOf, Member, startCluster } from './member.ts'

describe('three members over real sockets', () => {
  test('all initialized: one leads, position 1 is LEADER, an append is on all of them, and everybody knows where clients go', async () => {
    const members = await startCluster(3)
    const leader = await leaderOf(members)
    expect(await leader.port.append(putRow('a', '1'))).toEqual({ type: 'ok', position: 2 })
    for (const member of members) {
      if (member === leader) continue
      expect(await member.port.append(putRow('b', '1'))).toEqual({ type: 'notLeader' })
      await member.when(() => member.entries.at(-1)?.position === 2)
      expect(member.entries.map(entry => entry.type)).toEqual(['LEADER', 'DATA'])
    }
  })

  test('leader stopped: it hands over, another leads within 500 ms, appends go on, and the old one comes back as a follower', async () => {
    const members = await startCluster(3)
    const old = await leaderOf(members)
    await old.port.append(putRow('a', '1'))
    const rest = members.filter(member => member !== old)
    const startedMs = performance.now()
    await old.stop()
    await Promise.race(rest.map(member => member.when(() => member.view?.role === 'LEADER')))
    expect(performance.now() - startedMs).toBeLessThan(500)
    const next = await leaderOf(rest)
    const result = await next.port.append(putRow('b', '2'))
    expect(result).toEqual({ type: 'ok', position: 4 })
    const back = await new Member(old.options).start()
    await back.when(() => back.view?.leader?.httpUrl === next.options.httpUrl)
    await back.when(() => back.entries.some(entry => entry.position === 4))
    expect((await back.status()).end).toBe(4)
  })
})
