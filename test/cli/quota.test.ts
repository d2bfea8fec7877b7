import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { CLIENT_EXIT } from '../../src/cli/exit-status.ts'
import type { RoleQuota } from '../../src/wire/rest.ts'
import { type FakeScheduler, fakeScheduler } from './fake-scheduler.ts'
import { daybreak } from './terminal.ts'

const NOTHING = { cpusMilli: 0, ramMb: 0, diskMb: 0, gpus: 0 }
const WEB: RoleQuota = {
  role: 'www-data',
  quota: { cpusMilli: 4000, ramMb: 8192, diskMb: 100 },
  prodShared: { cpusMilli: 1000, ramMb: 1, diskMb: 1, gpus: 0 },
  prodDedicated: { cpusMilli: 1500, ramMb: 2, diskMb: 3, gpus: 2 },
  nonProdShared: NOTHING,
  nonProdDedicated: NOTHING,
}

let scheduler: FakeScheduler
beforeEach(async () => {
  scheduler = await fakeScheduler()
})
afterEach(() => scheduler.close())

describe('quota get', () => {
  test('a role: the headings and rows that Aurora prints', async () => {
    scheduler.pages.set('/api/v1/quotas/www-data', WEB)
    const ran = await daybreak('quota get local/www-data', scheduler)
    expect(ran).toMatchObject({ exit: 0, err: '' })
    expect(ran.out).toBe(
      [
        'Allocated:',
        '  CPU: 4.0 core(s)',
        '  RAM: 8192 MB',
        '  Disk: 100 MB',
        'Production shared pool resources consumed:',
        '  CPU: 1.0 core(s)',
        '  RAM: 1 MB',
        '  Disk: 1 MB',
        'Production dedicated pool resources consumed:',
        '  CPU: 1.5 core(s)',
        '  RAM: 2 MB',
        '  Disk: 3 MB',
        '  GPU: 2',
        'Non-production shared pool resources consumed:',
        '  CPU: 0.0 core(s)',
        '  RAM: 0 MB',
        '  Disk: 0 MB',
        'Non-production dedicated pool resources consumed:',
        '  CPU: 0.0 core(s)',
        '  RAM: 0 MB',
        '  Disk: 0 MB',
        '',
      ].join('\n'),
    )
  })

  test('a quota of no GPUs is shown: it limits, unlike one without a word on them', async () => {
    scheduler.pages.set('/api/v1/quotas/www-data', { ...WEB, quota: { ...WEB.quota, gpus: 0 } })
    const { out } = await daybreak('quota get local/www-data', scheduler)
    expect(out.split('\n').slice(0, 5)).toEqual([
      'Allocated:',
      '  CPU: 4.0 core(s)',
      '  RAM: 8192 MB',
      '  Disk: 100 MB',
      '  GPU: 0',
    ])
  })

  test('a role without one: what that means', async () => {
    scheduler.pages.set('/api/v1/quotas/www-data', { ...WEB, quota: null })
    const { out } = await daybreak('quota get local/www-data', scheduler)
    expect(out).toMatch(/^Allocated:\n {2}none: production jobs on shared machines are refused\nProduction shared/)
  })

  test('--json: as the scheduler says it', async () => {
    scheduler.pages.set('/api/v1/quotas/www-data', WEB)
    expect((await daybreak('quota get local/www-data --json', scheduler)).json()).toEqual(WEB)
    scheduler.pages.set('/api/v1/quotas', { quotas: [WEB] })
    expect((await daybreak('quota get local --json', scheduler)).json()).toEqual([WEB])
  })

  test('a cluster alone: one line a role', async () => {
    scheduler.pages.set('/api/v1/quotas', { quotas: [{ ...WEB, role: 'ads', quota: null }, WEB] })
    const { out } = await daybreak('quota get local', scheduler)
    expect(out.split('\n').map(line => line.trim().split(/\s{2,}/))).toEqual([
      ['ROLE', 'CPU', 'USED', 'RAM MB', 'USED', 'DISK MB', 'USED'],
      ['ads', 'none', '1', 'none', '1', 'none', '1'],
      ['www-data', '4', '1', '8192', '1', '100', '1'],
      [''],
    ])
    scheduler.pages.set('/api/v1/quotas', { quotas: [] })
    expect((await daybreak('quota get local', scheduler)).out).toBe('No role has a quota or uses anything.\n')
  })
})

describe('quota set and increase', () => {
  test.each<[string, string, object]>([
    ['20 64GB 1TB', 'set', { cpusMilli: 20_000, ramMb: 65_536, diskMb: 1_048_576 }],
    ['0.25 512 0.5gb', 'set', { cpusMilli: 250, ramMb: 512, diskMb: 512 }],
    ['0 0 0 --gpu 2', 'set', { cpusMilli: 0, ramMb: 0, diskMb: 0, gpus: 2 }],
    ['0.0010 0 0', 'set', { cpusMilli: 1, ramMb: 0, diskMb: 0 }],
    ['-1 -4GB 0 --gpu -1', 'increase', { cpusMilli: -1000, ramMb: -4096, diskMb: 0, gpus: -1 }],
  ])('%s: %s as %j', async (amounts, verb, body) => {
    const path = `/api/v1/quotas/www-data:${verb}`
    scheduler.pages.set(path, { role: 'www-data', quota: WEB.quota })
    const ran = await daybreak(`quota ${verb} local/www-data ${amounts}`, scheduler)
    expect(ran).toMatchObject({
      exit: 0,
      err: '',
      out: 'The quota of www-data is now 4 core(s), 8192 MB RAM, 100 MB disk\n',
    })
    expect(scheduler.seen).toMatchObject([{ method: 'POST', url: path, body }])
    expect(scheduler.seen[0]?.headers['idempotency-key']).toMatch(/^request-/)
  })

  test('the connection breaks before the answer: asked again under the same request id', async () => {
    scheduler.pages.set('/api/v1/quotas/www-data:increase', { role: 'www-data', quota: WEB.quota })
    scheduler.trouble.push('drop')
    expect((await daybreak('quota increase local/www-data 1 1 1', scheduler)).exit).toBe(0)
    const ids = scheduler.seen.map(request => request.headers['idempotency-key'])
    expect(ids).toHaveLength(2)
    expect(new Set(ids).size).toBe(1)
  })

  test.each<[string, string]>([
    ['set local/www-data four 4GB 4GB', "CPU is a number of cores such as 4 or 0.5, not 'four'"],
    ['set local/www-data -1 4GB 4GB', "CPU is a number of cores such as 4 or 0.5, not '-1'"],
    ['set local/www-data 4 4KB 4GB', "RAM is an amount such as 512MB, 64GB or 1TB, not '4KB'"],
    ['set local/www-data 4 4GB 0.3', "disk is an amount such as 512MB, 64GB or 1TB, not '0.3'"],
    ['set local/www-data 4 4GB 4GB --gpu 0.5', "--gpu is a whole number, not '0.5'"],
    ['set local/www-data 4 4GB 4GB --gpu=-1', "--gpu is a whole number, not '-1'"],
    ['increase local/www-data 1 1 --jsn', "disk is an amount such as 512MB, 64GB or 1TB, not '--jsn'"],
    ['increase local/www-data 1 1 1 --jsn', 'too many arguments'],
    ['set local/www-data 0.0004 1 1', "CPU is counted in thousandths of a core: '0.0004' is finer"],
    ['set local/www-data 1.00051 1 1', 'write at most three digits after the point, such as 1.001'],
    ['set local/www-data 9999999999999999999 1 1', "CPU is more than can be counted: '9999999999999999999'"],
    ['set local/www-data 9999999999999999999 1 1', 'the largest value is 9007199254740 cores'],
    ['set local/www-data 1 99999999999TB 1', 'the largest value is 9007199254740991 MB'],
    ['set local/www-data 1 1 1 --gpu 99999999999999999', "--gpu is more than can be counted: '99999999999999999'"],
    ['get local/', "'local/' is not CLUSTER[/ROLE]"],
    ['set local/ 1 1 1', "'local/' is not CLUSTER/ROLE"],
    ['set local 4 4GB 4GB', "'local' names no role"],
    ['set local/a/b 4 4GB 4GB', "'local/a/b' is not CLUSTER/ROLE"],
    ["set 'local/a b' 4 4GB 4GB", "Invalid role 'a b'"],
    ['set local/www-data 4 4GB', 'disk'],
  ])('%s: status 2, and what is wrong', async (line, text) => {
    const ran = await daybreak(`quota ${line}`, scheduler)
    expect(ran).toMatchObject({ exit: 2, out: '' })
    expect(ran.err).toContain(text)
    expect(scheduler.seen).toEqual([])
  })

  test('--gpu of increase is not that of set: each help says what it does', async () => {
    expect((await daybreak('quota set --help', scheduler)).out).toMatch(/GPUs; without it GPUs are not\s+limited/)
    expect((await daybreak('quota increase --help', scheduler)).out).toMatch(
      /GPUs; only for a quota that\s+limits them/,
    )
  })

  test('refused by the scheduler: its text and its remedy', async () => {
    const detail = 'Quota: 0 core(s), … is less then current prod reservation: 1 core(s), …'
    scheduler.trouble.push({
      status: 422,
      problem: { status: 422, code: 'INVALID_REQUEST', detail, remedy: 'Set at least what is used' },
    })
    const ran = await daybreak('quota set local/www-data 0 0 0', scheduler)
    expect(ran.exit).toBe(10)
    expect(ran.err).toContain(detail)
    expect(ran.err).toContain('Set at least what is used')
  })
})

test('a clusters file with an alias of nothing: status, file and remedy, no crash', async () => {
  const files = { 'clusters.yaml': 'east: *q\n' }
  const ran = await daybreak('quota get east', null, { files, env: { DAYBREAK_CLUSTERS: 'clusters.yaml' } })
  expect(ran).toMatchObject({ exit: CLIENT_EXIT.configuration, out: '' })
  expect(ran.err).toContain('Unable to parse clusters.yaml: Unresolved alias')
  expect(ran.err).toContain('mend the file, or name the scheduler with --url http://HOST:8081')
})
