import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { configId } from '../../../src/core/base/ids.ts'
import { jobVersion, versionFault } from '../../../src/core/job/job-version.ts'
import { Tables } from '../../../src/core/ledger/tables.ts'
import type { RowChange } from '../../../src/core/ledger/transaction.ts'
import { configRow, HELLO, jobRow, putConfig, putJob, putTask, taskRow } from '../../fixtures/rows.ts'

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')
const running = (id: string, instance: number, more = {}) =>
  putTask(taskRow(id, { instance, status: 'RUNNING', ...more }))
/** The version with these rows on top of a job with two instances. */
function versionWith(...changes: RowChange[]): string | null {
  const tables = new Tables()
  tables.apply([
    putConfig(configRow()),
    putConfig(configRow('other', { priority: 7 })),
    putJob(jobRow(HELLO, { instanceCount: 2 })),
    running('a', 0),
    running('b', 1),
  ])
  tables.apply(changes)
  return jobVersion(tables, HELLO, sha256)
}
const BEFORE = versionWith()

describe('version of a job', () => {
  test('16 hexadecimal digits, the same from the same rows', () => {
    expect(BEFORE).toMatch(/^[0-9a-f]{16}$/)
    expect(versionWith()).toBe(BEFORE)
  })

  test.each<[string, RowChange[]]>([
    ['the configuration of the job', [putJob(jobRow(HELLO, { instanceCount: 2, configId: configId('other') }))]],
    ['its count', [putJob(jobRow(HELLO, { instanceCount: 3 }))]],
    ['when it was created: another job of that name', [putJob(jobRow(HELLO, { instanceCount: 2, createdAtMs: 9 }))]],
    [
      'its schedule',
      [putJob(jobRow(HELLO, { instanceCount: 2, cron: { schedule: '* * * * *', collisionPolicy: 'CANCEL_NEW' } }))],
    ],
    ['an instance more', [running('c', 2)]],
    ['an instance that is killed', [putTask(taskRow('b', { instance: 1, status: 'KILLING' }))]],
    ['an instance that has ended for good', [putTask(taskRow('b', { instance: 1, status: 'FINISHED' }))]],
    ['the configuration of one instance', [running('b', 1, { configId: configId('other') })]],
    ['its row: it was killed whole', [{ type: 'delete', table: 'job', key: 'www-data/devel/hello' }]],
  ])('moves with %s', (_case, changes) => {
    expect(versionWith(...changes)).not.toBe(BEFORE)
  })

  test.each<[string, RowChange[]]>([
    ['a task that is restarted', [putTask(taskRow('b', { instance: 1, status: 'RESTARTING' }))]],
    [
      'a task that is replaced',
      [putTask(taskRow('b', { instance: 1, status: 'LOST' })), putTask(taskRow('b2', { instance: 1 }))],
    ],
    ['old tasks of ended instances', [putTask(taskRow('z', { instance: 5, status: 'FAILED' }))]],
    ['a kill that reaches its end', []],
  ])('stays with %s', (name, changes) => {
    if (name.startsWith('a kill')) {
      const killing = versionWith(putTask(taskRow('b', { instance: 1, status: 'KILLING' })))
      expect(versionWith(putTask(taskRow('b', { instance: 1, status: 'KILLED' })))).toBe(killing)
    } else expect(versionWith(...changes)).toBe(BEFORE)
  })

  test('of a job on every host: stays while hosts come and go, moves with a configuration', () => {
    const host = { configId: configId('host') }
    const tables = new Tables()
    tables.apply([
      putConfig(configRow('host', { everyHost: true })),
      putConfig(configRow('other')),
      putJob(jobRow(HELLO, { ...host, instanceCount: 1 })),
      running('h0', 0, host),
    ])
    const before = jobVersion(tables, HELLO, sha256)
    tables.apply([running('h1', 1, host), putJob(jobRow(HELLO, { ...host, instanceCount: 2 }))])
    expect(jobVersion(tables, HELLO, sha256)).toBe(before)
    tables.apply([running('h2', 2, { configId: configId('other') })])
    expect(jobVersion(tables, HELLO, sha256)).not.toBe(before)
  })

  test('of a cron job: stays when it runs', () => {
    const cron = { schedule: '* * * * *', collisionPolicy: 'CANCEL_NEW' } as const
    const of = (...changes: RowChange[]) => versionWith(putJob(jobRow(HELLO, { cron })), ...changes)
    expect(of(running('c', 2))).toBe(of())
  })

  test('no job, no version; with tasks of it left there is one', () => {
    const tables = new Tables()
    expect(jobVersion(tables, HELLO, sha256)).toBeNull()
    tables.apply([putConfig(configRow()), putTask(taskRow('z', { status: 'FAILED' }))])
    expect(jobVersion(tables, HELLO, sha256)).toMatch(/^[0-9a-f]{16}$/)
  })
})

describe('a change on a condition', () => {
  test('no condition, any version, or one of those named: made', () => {
    expect(versionFault(HELLO, undefined, null)).toBeNull()
    expect(versionFault(HELLO, 'any', 'now')).toBeNull()
    expect(versionFault(HELLO, ['old', 'now'], 'now')).toBeNull()
  })

  test('another version: refused, with the one there is and what to do', () => {
    expect(versionFault(HELLO, ['old', 'older'], 'now')).toEqual({
      type: 'rejected',
      code: 'VERSION_MISMATCH',
      detail: 'Job www-data/devel/hello is at version "now", and the change was asked for at "old" or "older"',
      remedy: 'look at the job again, and if the change is still right, send it with If-Match: "now"',
      version: 'now',
    })
  })

  test('no job: refused, whatever the condition', () => {
    for (const wanted of ['any', ['old']] as const)
      expect(versionFault(HELLO, wanted, null)).toMatchObject({ code: 'VERSION_MISMATCH' })
  })
})
