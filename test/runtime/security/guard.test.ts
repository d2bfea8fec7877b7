import { describe, expect, test } from 'vitest'
import { HASH_COST } from '../../../src/core/security/password-hash.ts'
import type { Policy } from '../../../src/core/security/policy.ts'
import {
  createGuard,
  REMEMBERED_MS,
  readAuthorization,
  WAITING_FROM_ONE_MAX,
  WAITING_MAX,
} from '../../../src/runtime/security/guard.ts'
import { tokenHash } from '../../../src/runtime/security/scrypt.ts'

const HASH = { ...HASH_COST, salt: 'A'.repeat(22), hash: 'B'.repeat(43) }
const POLICY: Policy = {
  reads: 'users',
  users: new Map([
    ['ann', { name: 'ann', password: HASH, grants: [] }],
    ['bot', { name: 'bot', password: null, grants: [] }],
  ]),
  tokens: new Map([[tokenHash('dbk_1'), 'bot']]),
}
const basic = (name: string, password: string): string =>
  `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}`

/** `ann` has the password `right`; scrypt is a function that counts, and answers when `let` is called. */
function guarded({ held = false } = {}) {
  const checks: string[] = []
  const held_: (() => void)[] = []
  let monoMs = 0
  const guard = createGuard({
    policy: POLICY,
    clock: { read: () => ({ wallMs: 0, monoMs }) },
    verify: async password => {
      checks.push(password)
      if (held) await new Promise<void>(resolve => held_.push(resolve))
      return password === 'right'
    },
  })
  const named = async (header: string, from = 'here'): Promise<string | null> => {
    const found = await guard.identify(header, from)
    return 'type' in found ? found.code : found.name
  }
  return {
    guard,
    named,
    checks,
    pass: (ms: number) => {
      monoMs += ms
    },
    release: () => held_.shift()?.(),
  }
}
const turns = () => new Promise(resolve => setImmediate(resolve))

describe('passwords', () => {
  test('right, wrong, of nobody, of a user without one: and each costs a scrypt', async () => {
    const { named, checks } = guarded()
    expect(await named(basic('ann', 'right'))).toBe('ann')
    expect(await named(basic('ann', 'wrong'))).toBe('UNAUTHENTICATED')
    expect(await named(basic('eve', 'right'))).toBe('UNAUTHENTICATED')
    expect(await named(basic('bot', 'right'))).toBe('UNAUTHENTICATED')
    expect(checks).toHaveLength(4)
  })

  test('who is taken out while scrypt is at it does not get in; nor what was found out before', async () => {
    const { guard, named, release } = guarded({ held: true })
    const asked = named(basic('ann', 'right'))
    await turns()
    guard.renew({ ...POLICY, users: new Map() })
    release()
    await turns()
    release()
    expect(await asked).toBe('UNAUTHENTICATED')
    const { guard: other } = guarded()
    const ann = await other.identify(basic('ann', 'right'), 'here')
    if ('type' in ann) throw new Error(ann.code)
    expect([other.isCurrent(ann), other.isCurrent(other.nobody)]).toEqual([true, true])
    const { nobody } = other
    other.renew(POLICY)
    expect([other.isCurrent(ann), other.isCurrent(nobody)]).toEqual([false, false])
  })

  test('right: no scrypt again until the time is over; a wrong one beside it is not taken for it', async () => {
    const { named, checks, pass } = guarded()
    await named(basic('ann', 'right'))
    pass(REMEMBERED_MS - 1)
    expect(await named(basic('ann', 'right'))).toBe('ann')
    expect(checks).toHaveLength(1)
    expect(await named(basic('ann', 'righ'))).toBe('UNAUTHENTICATED')
    pass(1)
    expect(await named(basic('ann', 'right'))).toBe('ann')
    expect(checks).toHaveLength(3)
  })

  test('asked many times at once: one scrypt; different ones one after the other', async () => {
    const { named, checks, release } = guarded({ held: true })
    const same = Array.from({ length: 50 }, () => named(basic('ann', 'right')))
    const other = named(basic('ann', 'wrong'))
    await turns()
    expect(checks).toEqual(['right'])
    release()
    expect(new Set(await Promise.all(same))).toEqual(new Set(['ann']))
    await turns()
    expect(checks).toEqual(['right', 'wrong'])
    release()
    expect(await other).toBe('UNAUTHENTICATED')
  })

  test('too many wait: BUSY at once; a token goes through', async () => {
    const { named, release } = guarded({ held: true })
    const waiting = Array.from({ length: WAITING_MAX }, (_, at) => named(basic('ann', `no-${at}`), `host-${at}`))
    expect(await named(basic('ann', 'right'))).toBe('BUSY')
    expect(await named('Bearer dbk_1')).toBe('bot')
    for (const answer of waiting) {
      await turns()
      release()
      await answer
    }
    const late = named(basic('ann', 'right'))
    await turns()
    release()
    expect(await late).toBe('ann')
  })

  test('one address fills its own places and no more: from another one a password is checked in its turn', async () => {
    const { named, release } = guarded({ held: true })
    const waiting = Array.from({ length: WAITING_MAX }, (_, at) => named(basic('ann', `no-${at}`), 'attacker'))
    const other = named(basic('ann', 'right'), 'elsewhere')
    const refused = (await Promise.all(waiting.slice(WAITING_FROM_ONE_MAX))).filter(code => code === 'BUSY')
    expect(refused).toHaveLength(WAITING_MAX - WAITING_FROM_ONE_MAX)
    for (let checks = 0; checks <= WAITING_FROM_ONE_MAX; checks++) {
      await turns()
      release()
    }
    expect(await other).toBe('ann')
    // Its places are free again.
    const again = named(basic('ann', 'right'), 'attacker')
    await turns()
    release()
    expect(await again).toBe('ann')
  })

  test('a check that fails is a failure of that request, and the next one is checked', async () => {
    let fails = true
    const guard = createGuard({
      policy: POLICY,
      clock: { read: () => ({ wallMs: 0, monoMs: 0 }) },
      verify: async () => {
        if (fails) throw new Error('no memory')
        return true
      },
    })
    await expect(guard.identify(basic('ann', 'right'), 'here')).rejects.toThrow('no memory')
    fails = false
    expect(await guard.identify(basic('ann', 'right'), 'here')).toMatchObject({ name: 'ann' })
  })
})

test('another policy: who is not in it is out at once, a password that was right before is checked anew', async () => {
  const { guard, named, checks } = guarded()
  expect([await named(basic('ann', 'right')), await named('Bearer dbk_1')]).toEqual(['ann', 'bot'])
  guard.renew({ ...POLICY, reads: 'anyone', tokens: new Map() })
  expect([guard.reads, await named('Bearer dbk_1')]).toEqual(['anyone', 'UNAUTHENTICATED'])
  await named(basic('ann', 'right'))
  expect(checks).toHaveLength(2)
  guard.renew({ ...POLICY, users: new Map() })
  expect(await named(basic('ann', 'right'))).toBe('UNAUTHENTICATED')
})

test('tokens: the user whose it is', async () => {
  const { named, checks } = guarded()
  expect([await named('Bearer dbk_1'), await named('bearer  dbk_1'), await named('Bearer dbk_2')]).toEqual([
    'bot',
    'bot',
    'UNAUTHENTICATED',
  ])
  expect(checks).toEqual([])
})

test.each([
  ['Basic YW5uOmE6Yg==', { type: 'password', name: 'ann', password: 'a:b' }],
  ['BASIC YW5uOmE6Yg', { type: 'password', name: 'ann', password: 'a:b' }],
  ['Basic YW5u', { type: 'other', text: expect.stringContaining('cannot be read') }],
  ['Basic :', { type: 'other', text: expect.stringContaining('cannot be read') }],
  ['Basic', { type: 'other', text: expect.stringContaining('cannot be read') }],
  ['Bearer', { type: 'other', text: expect.stringContaining('cannot be read') }],
  ['Bearer a b', { type: 'other', text: expect.stringContaining('neither') }],
  ['Negotiate YII', { type: 'other', text: expect.stringContaining('neither Basic nor Bearer') }],
  ['', { type: 'other', text: expect.stringContaining('neither') }],
  [`Bearer ${'x'.repeat(5_000)}`, { type: 'other', text: expect.stringContaining('longer') }],
])('%s', (header, given) => {
  expect(readAuthorization(header)).toEqual(given)
})
