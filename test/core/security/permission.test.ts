import { describe, expect, test } from 'vitest'
import {
  adminPermission,
  implies,
  jobPermission,
  type Permission,
  permissionText,
  readGrant,
  readPermission,
} from '../../../src/core/security/permission.ts'

const CALLS = {
  'thrift.ReadOnlyScheduler': ['getJobs'],
  'thrift.AuroraSchedulerManager': ['killTasks', 'createJob'],
  'thrift.AuroraAdmin': ['setQuota', 'listBackups', 'snapshot'],
}
const kill = (role: string, environment: string, name: string): Permission =>
  jobPermission('killTasks', { role, environment, name })
const holds = (grant: string, permission: Permission): boolean => {
  const read = readGrant(grant, CALLS)
  if (!read.ok) throw new Error(read.text)
  return implies(read.grant, permission)
}

test('what is asked for is written as the grant that would allow just that', () => {
  expect(permissionText(kill('ads', 'staging', 'job'))).toBe('thrift.AuroraSchedulerManager:killTasks:ads:staging:job')
  expect(permissionText(adminPermission('setQuota'))).toBe('thrift.AuroraAdmin:setQuota')
})

test('a permission is read back as it is written; less, more and other things are none', () => {
  for (const permission of [kill('Ads', 'staging', 'job'), adminPermission('setQuota')])
    expect(readPermission(permissionText(permission), CALLS)).toEqual(permission)
  for (const text of [
    '*',
    'thrift.AuroraSchedulerManager:killTasks',
    'thrift.AuroraAdmin:setQuota:x',
    'thrift.AuroraAdmin:fly',
  ])
    expect(readPermission(text, CALLS)).toBeNull()
})

describe('grants', () => {
  test.each<[string, Permission, boolean]>([
    ['*', kill('ads', 'staging', 'job'), true],
    ['*', adminPermission('setQuota'), true],
    ['thrift.AuroraSchedulerManager:*', kill('ads', 'staging', 'job'), true],
    ['thrift.AuroraSchedulerManager', kill('ads', 'staging', 'job'), true],
    ['thrift.AuroraSchedulerManager:*', adminPermission('setQuota'), false],
    ['thrift.AuroraSchedulerManager:*:webapp', kill('webapp', 'prod', 'x'), true],
    ['thrift.AuroraSchedulerManager:*:webapp', kill('ads', 'prod', 'x'), false],
    ['thrift.AuroraSchedulerManager:*:webapp', adminPermission('setQuota'), false],
    ['*:*:webapp', adminPermission('setQuota'), false],
    ['thrift.AuroraSchedulerManager:killTasks:ads:staging:job', kill('ads', 'staging', 'job'), true],
    ['thrift.AuroraSchedulerManager:killTasks:ads:staging:job', kill('ads', 'staging', 'job2'), false],
    ['thrift.AuroraSchedulerManager:killTasks:ads:staging:job', kill('ads', 'prod', 'job'), false],
    ['thrift.AuroraSchedulerManager:createJob:ads', kill('ads', 'prod', 'job'), false],
    ['thrift.AuroraSchedulerManager:createJob,killTasks:ads,web', kill('web', 'prod', 'job'), true],
    ['thrift.AuroraSchedulerManager:*:*:devel', kill('web', 'devel', 'job'), true],
    ['thrift.AuroraSchedulerManager:*:*:devel', kill('web', 'prod', 'job'), false],
    ['thrift.AuroraAdmin:setQuota', adminPermission('setQuota'), true],
    ['thrift.AuroraAdmin:setQuota', adminPermission('snapshot'), false],
    ['thrift.AuroraAdmin:setQuota:*:*', adminPermission('setQuota'), true],
    ['thrift.AuroraAdmin:setQuota:web', adminPermission('setQuota'), false],
    ['THRIFT.auroraadmin:SETQUOTA', adminPermission('setQuota'), true],
    ['thrift.AuroraSchedulerManager:*:WebApp', kill('webapp', 'prod', 'x'), false],
    [' thrift.AuroraAdmin : setQuota , snapshot ', adminPermission('snapshot'), true],
  ])('%s, asked for %o: %s', (grant, permission, expected) => {
    expect(holds(grant, permission)).toBe(expected)
  })

  test.each([
    ['', 'has an empty part'],
    ['thrift.AuroraAdmin::x', 'has an empty part'],
    ['thrift.AuroraAdmin:setQuota,', 'has an empty part'],
    ['thrift.AuroraAdmin:set*', '`set*` matches nothing'],
    ['thrift.AuroraAdmn:setQuota', 'there is no service `thrift.AuroraAdmn`'],
    [
      'thrift.AuroraAdmin:setQuotas',
      'thrift.AuroraAdmin has no call `setQuotas`: there are listBackups, setQuota, snapshot',
    ],
    ['thrift.AuroraAdmin:killTasks', 'it is a call of thrift.AuroraSchedulerManager'],
    ['thrift.AuroraSchedulerManager:killTasks:a:b:c:d', 'has more than 5 parts'],
  ])('`%s` is refused: %s', (grant, text) => {
    expect(readGrant(grant, CALLS)).toEqual({ ok: false, text: expect.stringContaining(text) })
  })
})
