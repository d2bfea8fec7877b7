import { describe, expect, test } from 'vitest'
import { readPasswordHash } from '../../src/core/security/password-hash.ts'
import { adminPermission, jobPermission } from '../../src/core/security/permission.ts'
import { may } from '../../src/core/security/policy.ts'
import { drawToken, tokenHash, verifyPassword } from '../../src/runtime/security/scrypt.ts'
import { readSecurityText } from '../../src/runtime/security/security-file.ts'
import { daybreak } from './terminal.ts'

const holds = async (text: string, password: string): Promise<boolean> => {
  const hash = readPasswordHash(text.trim())
  return 'fault' in hash ? false : verifyPassword(password, hash)
}

describe('security hash', () => {
  test('a password from a pipe: a hash that holds for it alone, and a new one each time', async () => {
    const { exit, out } = await daybreak('security hash', null, { piped: 'correct horse' })
    expect(exit).toBe(0)
    expect(await holds(out, 'correct horse')).toBe(true)
    expect(await holds(out, 'correct horsf')).toBe(false)
    expect((await daybreak('security hash', null, { piped: 'correct horse' })).out).not.toBe(out)
  })

  test('on a terminal it is asked for twice', async () => {
    expect((await daybreak('security hash', null, { typed: ['correct horse', 'correct horse'] })).exit).toBe(0)
    const slip = await daybreak('security hash', null, { typed: ['correct horse', 'correct hores'] })
    expect([slip.exit, slip.out, slip.err]).toEqual([2, '', expect.stringContaining('The two are not the same')])
  })

  test.each([
    ['', 'shorter than 8'],
    ['short', 'shorter than 8'],
    ['two\nlines of it', 'more than one line'],
  ])('%j is refused, and not repeated', async (piped, text) => {
    const ran = await daybreak('security hash', null, { piped })
    expect([ran.exit, ran.err]).toEqual([2, expect.stringContaining(text)])
  })

  test('a password on the command line is no argument', async () => {
    expect((await daybreak('security hash secret-words', null)).exit).toBe(2)
  })
})

test('security token: a token, and the hash that security.yaml wants', async () => {
  const { token, hash } = (await daybreak('security token --json', null)).json<{ token: string; hash: string }>()
  expect(hash).toBe(tokenHash(token))
  expect(token).not.toBe(drawToken())
})

describe('security check', () => {
  test('all faults with their lines, status 3', async () => {
    const text =
      'users:\n  ann:\n    password: hunter2hunter2\n    roles: [wbe]\nroles:\n  web: [thrift.AuroraAdmin:fly]\n'
    const { exit, err } = await daybreak('security check s.yaml', null, { files: { 's.yaml': text } })
    expect(exit).toBe(3)
    expect(err).toContain('s.yaml:3: users.ann.password: is no scrypt hash')
    expect(err).toContain('s.yaml:4: users.ann.roles.0: there is no role `wbe`')
    expect(err).toContain('s.yaml:6: roles.web.0: thrift.AuroraAdmin has no call `fly`')
    expect(err).not.toContain('hunter2')
  })
})

describe('security import', () => {
  const INI = `[users]
ann = s3cret words, admin
bob = s4cret words, web, gone
kim = x, web
krb1 = placeholder, web
krb2 = placeholder, web
[roles]
admin = *
web = "thrift.AuroraSchedulerManager:killTasks:web", thrift.AuroraAdmin:flyAway
`
  const read = (text: string) => {
    const found = readSecurityText(text, 'x.yaml')
    if (!found.ok) throw new Error(found.faults.join('\n'))
    return found.policy
  }

  test('users, roles and passwords go over; what would never have held is left out and told with its line', async () => {
    const { exit, out, err } = await daybreak('security import shiro.ini', null, { files: { 'shiro.ini': INI } })
    expect(exit).toBe(0)
    expect(out).not.toContain('s3cret')
    const { users, reads } = read(out)
    expect(reads).toBe('anyone')
    const ann = users.get('ann')!
    const bob = users.get('bob')!
    expect(await verifyPassword('s3cret words', ann.password!)).toBe(true)
    expect(may(ann, adminPermission('setQuota'))).toBe(true)
    expect(may(bob, jobPermission('killTasks', { role: 'web', environment: 'prod', name: 'x' }))).toBe(true)
    expect(may(bob, adminPermission('setQuota'))).toBe(false)
    expect(['kim', 'krb1', 'krb2'].map(name => users.get(name)?.password)).toEqual([null, null, null])
    expect(err).toContain('shiro.ini:3: left out of user bob: there is no role gone')
    expect(err).toContain('shiro.ini:5: the password of krb1 is left out')
    expect(err).toContain('shiro.ini:9: left out of role web: thrift.AuroraAdmin has no call `flyAway`')
  })

  test('--no-passwords: nobody can log in with one', async () => {
    const { out } = await daybreak('security import --no-passwords shiro.ini', null, { files: { 'shiro.ini': INI } })
    expect([...read(out).users.values()].every(user => user.password === null)).toBe(true)
  })

  test('api-22: no sections, [main], or no file: refused; with only [roles] it is read', async () => {
    const imported = (text: string) => daybreak('security import shiro.ini', null, { files: { 'shiro.ini': text } })
    expect(await imported('')).toMatchObject({ exit: 3, err: expect.stringContaining('No sections present.') })
    expect(await imported('[main]\n[users]\n')).toMatchObject({
      exit: 3,
      err: expect.stringContaining('Extra sections present: [main]'),
    })
    expect((await daybreak('security import /home/ann/none.ini', null)).exit).toBe(3)
    expect((await imported('[roles]\nadmin = *\n')).exit).toBe(0)
  })
})
