import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { crc32c, foldDigest } from '../../../src/core/log/crc.ts'
import { descriptorConflict, genesisText, memberFaults, quorumOf } from '../../../src/core/log/descriptor.ts'
import { ENTRY_TYPES, type EntryType, makeEntry, readRecord } from '../../../src/core/log/entry.ts'
import { encodeMeta, readMeta } from '../../../src/core/log/meta.ts'
import { stepEmpty, stepStarting } from '../../../src/core/log/start-up.ts'
import { descriptorOf, metaOf, text } from './log-cluster.ts'

describe('records', () => {
  test('CRC-32C has its published check value, in one piece or in two', () => {
    const bytes = text('123456789')
    expect(crc32c(bytes).toString(16)).toBe('e3069283')
    expect(crc32c(bytes, 4, 9, crc32c(bytes, 0, 4)).toString(16)).toBe('e3069283')
    expect(foldDigest(foldDigest(0, 1), 2)).not.toBe(foldDigest(foldDigest(0, 2), 1))
  })

  test('any entry: read back as it was written', () => {
    const types = Object.keys(ENTRY_TYPES) as EntryType[]
    fc.assert(
      fc.property(
        fc.maxSafeNat().filter(position => position > 0),
        fc.maxSafeNat(),
        fc.nat(1_000_000),
        fc.constantFrom(...types),
        fc.uint8Array({ maxLength: 300 }),
        (position, round, member, type, payload) => {
          const entry = makeEntry(position, [round, member], type, payload)
          const read = readRecord(entry.record, position)
          expect(read).toEqual({ ok: true, entry })
        },
      ),
    )
  })

  test('any changed bit and any truncation: an answer, never a throw and never an entry', () => {
    const { record } = makeEntry(7, [2, 1], 'DATA', text('payload'))
    for (let bit = 0; bit < record.length * 8; bit++) {
      const bad = record.slice()
      bad[bit >> 3]! ^= 1 << (bit & 7)
      expect(readRecord(bad, 7).ok).toBe(false)
    }
    for (let length = 0; length < record.length; length++) expect(readRecord(record.slice(0, length), 7).ok).toBe(false)
    expect(readRecord(record, 8)).toMatchObject({ ok: false, reason: 'is the record of position 7' })
  })

  test('golden bytes of the first version', () => {
    const { record } = makeEntry(2, [3, 1], 'DATA', text('hi'))
    expect(Buffer.from(record).toString('hex')).toMatch(
      /^db10010200000000000000000000000200000000000000030000000100000002[0-9a-f]{8}6869$/,
    )
  })

  test('meta: the newest whole copy wins, damage is told', () => {
    const older = encodeMeta(metaOf(1, 1, { generation: 4 }))
    const newer = encodeMeta(metaOf(1, 1, { generation: 5 }))
    expect(readMeta([older, newer])).toMatchObject({ ok: true, meta: { generation: 5 } })
    newer[9]! ^= 1
    expect(readMeta([older, newer])).toMatchObject({ ok: true, meta: { generation: 4 } })
    expect(readMeta([undefined, newer])).toMatchObject({ ok: false })
  })
})

describe('member lists', () => {
  const ids = (...members: number[]) => members.map(memberId => ({ memberId }))

  test('the quorum is a majority and never anything else', () => {
    expect([1, 3, 5, 7].map(quorumOf)).toEqual([1, 2, 3, 4])
    expect(memberFaults({ members: ids(1, 2, 3), nodeId: 1, quorum: 1 })).toEqual([
      'quorum 1 is wrong for 3 members: it must be 2 (floor(3/2)+1); remove the key',
    ])
    expect(memberFaults({ members: ids(1, 2, 3), nodeId: 1, quorum: 2 })).toEqual([])
  })

  test('even lists, doubles and strangers: all faults at once, in the known words', () => {
    expect(memberFaults({ members: ids(1, 2, 2, 3), nodeId: 4 })).toEqual([
      '4 members listed: use 1, 3, 5 or 7',
      'member id 2 is listed twice',
      'node id 4 is not in the member list',
    ])
  })

  test('genesis: order of the list does not matter, addresses and cluster id do', () => {
    const [a, b] = [1, 2].map(memberId => ({ memberId, name: `n${memberId}`, address: `h${memberId}` }))
    expect(genesisText('c', [a!, b!])).toBe(genesisText('c', [b!, a!]))
    expect(genesisText('c', [a!])).not.toBe(genesisText('d', [a!]))
    const stored = { clusterId: 'c', configVersion: 0, members: [a!] }
    expect(descriptorConflict(stored, { clusterId: null, members: [a!] })).toBeNull()
    expect(descriptorConflict(stored, { clusterId: 'x', members: [a!] })).toContain('cluster c')
    expect(descriptorConflict(stored, { clusterId: 'c', members: [b!] })).toContain('do not match stored descriptor')
    expect(descriptorConflict({ ...stored, configVersion: 9 }, { clusterId: 'c', members: [b!] })).toBeNull()
  })
})

describe('first start', () => {
  const members = [1, 2, 3].map(memberId => ({ memberId, name: `n${memberId}`, address: `h${memberId}` }))
  const facts = {
    clusterId: 'c',
    genesisHash: 'g',
    members,
    autoBootstrap: true,
    hasData: false,
    initializeCommand: 'init',
  }
  const seen = (memberId: number, status: 'EMPTY' | 'STARTING' | 'VOTING', genesisHash = 'g', end = 0) => ({
    memberId,
    status,
    genesisHash,
    incarnation: `i${memberId}`,
    end,
  })

  test('all members STARTING with one genesis: admitted, with the incarnation of each', () => {
    const step = stepStarting({ ...facts, seen: [seen(1, 'STARTING'), seen(2, 'VOTING'), seen(3, 'STARTING')] })
    expect(step).toMatchObject({ type: 'admit', descriptor: { quorum: 2, configVersion: 0 } })
    expect(step.type === 'admit' && step.descriptor.members.map(member => member.incarnation)).toEqual([
      'i1',
      'i2',
      'i3',
    ])
  })

  test('others have begun without waiting: admitted by the descriptor of one that votes, if it names this disk', () => {
    const descriptor = descriptorOf(3)
    const others = [
      { ...seen(2, 'VOTING', 'g', 40), descriptor },
      { ...seen(3, 'VOTING', 'g', 40), descriptor },
    ]
    const step = (incarnation: string) =>
      stepStarting({ ...facts, seen: [seen(1, 'STARTING'), ...others], incarnation })
    expect(step('disk-1')).toEqual({ type: 'admit', descriptor })
    expect(step('another disk')).toMatchObject({ type: 'wait' })
  })

  test.each([
    ['one not reached', [seen(1, 'STARTING'), seen(2, 'STARTING')], 'member 3 (n3, h3) has not been reached'],
    [
      'one EMPTY',
      [seen(1, 'STARTING'), seen(2, 'STARTING'), seen(3, 'EMPTY')],
      'member 3 (n3, h3) is EMPTY: run `init` there',
    ],
    [
      'one EMPTY, which has no cluster id and so no genesis yet',
      [seen(1, 'STARTING'), seen(2, 'STARTING'), seen(3, 'EMPTY', 'of no cluster')],
      'member 3 (n3, h3) is EMPTY: run `init` there',
    ],
    [
      'another genesis',
      [seen(1, 'STARTING'), seen(2, 'STARTING', 'x'), seen(3, 'STARTING')],
      'member 2 (n2, h2) has another genesis',
    ],
    ['one with data', [seen(1, 'STARTING'), seen(2, 'VOTING', 'g', 5), seen(3, 'STARTING')], 'already has data'],
  ])('%s: waits and says for whom', (_what, seenMembers, waitingFor) => {
    const step = stepStarting({ ...facts, seen: seenMembers })
    expect(step).toMatchObject({ type: 'wait', waitingFor: expect.stringContaining(waitingFor) })
  })

  test('auto-bootstrap: only when every listed member is EMPTY or STARTING with the same genesis, and no data is known', () => {
    const all = [1, 2, 3].map(id => seen(id, 'EMPTY'))
    expect(stepEmpty({ ...facts, seen: all })).toEqual({ type: 'format' })
    expect(stepEmpty({ ...facts, seen: all.slice(1) }).type).toBe('wait')
    expect(stepEmpty({ ...facts, seen: all, hasData: true })).toMatchObject({
      waitingFor: expect.stringContaining('already has data, so this disk is not the one that this member had'),
    })
    expect(stepEmpty({ ...facts, seen: all, autoBootstrap: false })).toMatchObject({
      waitingFor: expect.stringContaining('run `init`'),
    })
  })
})
