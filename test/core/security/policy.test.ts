import { describe, expect, test } from 'vitest'
import { HASH_COST, passwordHashText, readPasswordHash } from '../../../src/core/security/password-hash.ts'
import { adminPermission, jobPermission } from '../../../src/core/security/permission.ts'
import { may, type Policy, readPolicy } from '../../../src/core/security/policy.ts'

const CALLS = {
  'thrift.ReadOnlyScheduler': ['getJobs'],
  'thrift.AuroraSchedulerManager': ['killTasks'],
  'thrift.AuroraAdmin': ['setQuota'],
}
const HASH = passwordHashText({ ...HASH_COST, salt: 'A'.repeat(22), hash: 'B'.repeat(43) })
const TOKEN = `sha256:${'0'.repeat(64)}`

function policyOf(value: unknown): Policy {
  const read = readPolicy(value, CALLS)
  if (!read.ok) throw new Error(read.faults.map(({ path, text }) => `${path.join('.')}: ${text}`).join('\n'))
  return read.policy
}
const faultsOf = (value: unknown): readonly string[] => {
  const read = readPolicy(value, CALLS)
  return read.ok ? [] : read.faults.map(({ path, text }) => `${path.join('.')}: ${text}`)
}

describe('security.yaml', () => {
  test('a user has the permissions of their roles and their own, and no others', () => {
    const { users, tokens, reads } = policyOf({
      users: {
        ann: { password: HASH, roles: ['web'], permissions: ['thrift.AuroraAdmin:setQuota'] },
        bot: { tokens: [TOKEN] },
      },
      roles: { web: ['thrift.AuroraSchedulerManager:*:web'] },
    })
    const kill = (role: string) => jobPermission('killTasks', { role, environment: 'prod', name: 'x' })
    const ann = users.get('ann')!
    expect([kill('web'), kill('ads'), adminPermission('setQuota')].map(one => may(ann, one))).toEqual([
      true,
      false,
      true,
    ])
    expect(may(users.get('bot')!, kill('web'))).toBe(false)
    expect([tokens.get(TOKEN), reads]).toEqual(['bot', 'users'])
  })

  test('all faults are told at once, each with its place, and none repeats what may be secret', () => {
    const faults = faultsOf({
      reads: 'some',
      user: {},
      users: {
        'a b': {},
        ann: { password: 'swordfish', tokens: ['dbk_secret'], roles: ['wbe'], permissions: ['thrift.AuroraAdmin:fly'] },
        bob: { tokens: [TOKEN], pasword: HASH },
        cid: { tokens: [TOKEN] },
        dan: 'swordfish',
      },
      roles: { web: 'thrift.AuroraAdmin:setQuota' },
    })
    expect(faults).toEqual([
      expect.stringMatching(/^user: unknown key; known here: reads, users, roles/),
      expect.stringMatching(/^reads: must be users or anyone/),
      expect.stringMatching(/^roles.web: must be a list/),
      expect.stringMatching(/^users.a b: a user has a name/),
      expect.stringMatching(/^users.ann.password: is no scrypt hash/),
      expect.stringMatching(/^users.ann.tokens.0: is no hash of a token/),
      expect.stringMatching(/^users.ann.roles.0: there is no role `wbe`; there are web/),
      expect.stringMatching(/^users.ann.permissions.0: thrift.AuroraAdmin has no call `fly`/),
      expect.stringMatching(/^users.bob.pasword: unknown key/),
      expect.stringMatching(/^users.cid.tokens.0: is a token of bob already/),
      expect.stringMatching(/^users.dan: must be a map/),
    ])
    expect(faults.join()).not.toMatch(/swordfish|dbk_secret/)
  })

  test.each([null, [], 'x', 7])('%j is no policy', value => {
    expect(faultsOf(value)).not.toEqual([])
  })

  test('roles alone are enough', () => {
    expect(policyOf({ roles: { web: ['*'] } }).users.size).toBe(0)
  })
})

describe('hashes of passwords', () => {
  test('are read back as they were written', () => {
    expect(readPasswordHash(HASH)).toEqual({ ...HASH_COST, salt: 'A'.repeat(22), hash: 'B'.repeat(43) })
  })

  test.each([
    ['$scrypt$ln=15,r=8,p=3$AAAA$BBBB', 'is no scrypt hash'],
    [HASH.replace('ln=15', 'ln=4'), 'is too cheap'],
    [HASH.replace('ln=15', 'ln=24'), 'costs more'],
    [HASH.replace('p=3', 'p=99'), 'costs more'],
    [HASH.replace('r=8', 'r=0'), 'is too cheap'],
    [undefined, 'is no scrypt hash'],
  ])('%s is refused: %s', (text, fault) => {
    expect(readPasswordHash(text)).toEqual({ fault: expect.stringContaining(fault) })
  })
})
