import { existsSync, rmSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { formatLog } from '../../../src/runtime/log/log-folder.ts'
import type { LogNodeOptions } from '../../../src/runtime/log/log-options.ts'
import { putRow } from './log-folders.ts'
import { append, CLUSTER, eventually, Member, startCluster } from './member.ts'

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
