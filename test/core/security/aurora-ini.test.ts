import { expect, test } from 'vitest'
import { readAuroraIni } from '../../../src/core/security/aurora-ini.ts'

const faultsOf = (text: string): readonly string[] => {
  const read = readAuroraIni(text)
  return read.ok ? [] : read.faults.map(fault => `${fault.line ?? '-'}: ${fault.text}`)
}

test('users with passwords and roles, roles with permissions; quotes hold commas together', () => {
  const text = `# who
[users]
ann = s3cret, admin, web
; a robot
bot: x
[roles]
admin = *
web = "thrift.AuroraSchedulerManager:killTasks,createJob:web", \\
      thrift.AuroraAdmin:listBackups
`
  expect(readAuroraIni(text)).toEqual({
    ok: true,
    ini: {
      users: [
        { line: 3, name: 'ann', password: 's3cret', roles: ['admin', 'web'] },
        { line: 5, name: 'bot', password: 'x', roles: [] },
      ],
      roles: [
        { line: 7, name: 'admin', permissions: ['*'] },
        {
          line: 8,
          name: 'web',
          permissions: ['thrift.AuroraSchedulerManager:killTasks,createJob:web', 'thrift.AuroraAdmin:listBackups'],
        },
      ],
    },
  })
})

test('api-22: no sections, and other sections, are refused with the texts of Aurora; roles alone will do', () => {
  expect(faultsOf('')).toEqual(['-: No sections present. Allowed sections are: roles,users'])
  expect(faultsOf('[main]\nx = y\n[users]\nann = x')).toEqual(['-: Extra sections present: [main]'])
  expect(faultsOf('[roles]\nadmin = *')).toEqual([])
})

test('a fault names its line and never what stands in it', () => {
  expect(faultsOf('ann = s3cret\n[users]\n= s3cret\nann = s3cret\nann = s3cret')).toEqual([
    '1: stands before any section: put it under [users] or [roles]',
    '3: has no name: write `name = password, role`',
    '5: names ann a second time in [users]: remove one of the two',
  ])
})
