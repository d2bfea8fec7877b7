import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type FakeScheduler, fakeScheduler } from './fake-scheduler.ts'
import { daybreak } from './terminal.ts'

const JOB = { role: 'www-data', environment: 'devel', name: 'hello' }
const SYSTEM = '/etc/daybreak/clusters.yaml'
const OWN = '/home/ann/.daybreak/clusters.yaml'

describe('the clusters files', () => {
  const list = async (files: Record<string, string>, env: Record<string, string> = {}) =>
    (await daybreak('cluster list --json', null, { files, env })).json<{ name: string; url: string; from: string }[]>()

  test("the machine's, then the user's; the later one wins, and each says where it comes from", async () => {
    const files = {
      [SYSTEM]: 'east: {url: "http://e1:8081"}\nwest: {url: "http://w:8081/"}\n',
      [OWN]: 'east: {url: "http://e2:8081"}\nlocal: {url: "http://l:1"}\n',
    }
    expect(await list(files)).toEqual([
      { name: 'local', url: 'http://l:1', from: OWN },
      { name: 'east', url: 'http://e2:8081', from: OWN },
      { name: 'west', url: 'http://w:8081', from: SYSTEM },
    ])
    const moved = await list(files, { DAYBREAK_URL: 'http://m:2' })
    expect(moved[0]).toEqual({ name: 'local', url: 'http://m:2', from: 'DAYBREAK_URL' })
    const named = await list({ ...files, 'c.yaml': 'north: {url: "http://n:3"}' }, { DAYBREAK_CLUSTERS: 'c.yaml' })
    expect(named.map(({ name }) => name)).toEqual(['local', 'north'])
    expect(await list({})).toEqual([{ name: 'local', url: 'http://127.0.0.1:8081', from: 'built in' }])
  })

  test("Aurora's forms: a list of maps, scheduler_uri; entries without a name are passed over", async () => {
    const text = JSON.stringify([
      { name: 'a', scheduler_uri: 'http://a:8081' },
      { zk: 'h' },
      { name: 'b', url: 'http://b:1' },
    ])
    expect((await list({ [OWN]: text })).map(({ name, url }) => [name, url])).toEqual([
      ['local', 'http://127.0.0.1:8081'],
      ['a', 'http://a:8081'],
      ['b', 'http://b:1'],
    ])
    const zk = await daybreak('cluster list', null, { files: { [OWN]: '[{"name": "c", "zk": "h"}]' } })
    expect(zk).toMatchObject({ exit: 3, out: '' })
    expect(zk.err).toContain('c.url is missing')
    expect(zk.err).toContain('zk is not asked')
  })

  test.each([
    ['7', 'a map of NAME: {url: …} is expected'],
    ['east: {url: 7}', 'east.url is missing'],
    ['east:', 'east.url is missing'],
    ['east: {url: "ftp://x"}', 'no http or https URL'],
  ])('%j: 3, with the place', async (text, why) => {
    const ran = await daybreak('cluster list', null, { files: { [OWN]: text } })
    expect(ran.exit).toBe(3)
    expect(ran.err).toContain(OWN)
    expect(ran.err).toContain(why)
  })

  test('as a table for people', async () => {
    const ran = await daybreak('cluster list', null, { files: { [OWN]: 'east: {url: "http://e:1"}' }, columns: 80 })
    expect(ran.exit).toBe(0)
    expect(ran.out).toMatch(
      /^CLUSTER +URL +FROM\s+local +http:\/\/127.0.0.1:8081 +built in\s+east +http:\/\/e:1 +\/home/,
    )
  })
})

describe('several clusters', () => {
  let east: FakeScheduler
  let west: FakeScheduler
  beforeEach(async () => {
    ;[east, west] = await Promise.all([fakeScheduler(), fakeScheduler()])
  })
  afterEach(() => Promise.all([east.close(), west.close()]))
  const files = (lost: string | null = null) => ({
    [OWN]: [
      `local: {url: "${east.url}"}`,
      `west: {url: "${west.url}"}`,
      ...(lost === null ? [] : [`lost: {url: "${lost}"}`]),
    ].join('\n'),
  })

  test('* asks all of them, each under its own name; a name asks one', async () => {
    east.addTask(JOB, 0, 'RUNNING')
    west.addTask({ ...JOB, name: 'other' }, 0, 'RUNNING')
    const all = await daybreak("job list '*'", null, { files: files() })
    expect(all.out).toBe('local/www-data/devel/hello\nwest/www-data/devel/other\n')
    expect((await daybreak("job list '*/*/*/o*'", null, { files: files() })).out).toBe('west/www-data/devel/other\n')
    expect((await daybreak('job list west', null, { files: files() })).out).toBe('west/www-data/devel/other\n')
  })

  test('one that lets this user see nothing hides nothing of the others either, and the status is 30', async () => {
    east.addTask(JOB, 0, 'RUNNING')
    west.refusals.set('/api/v1/jobs', { status: 401, code: 'UNAUTHENTICATED', detail: 'Who asks has not been shown' })
    const ran = await daybreak("job list '*'", null, { files: files() })
    expect(ran).toMatchObject({ exit: 30, out: 'local/www-data/devel/hello\n' })
    expect(ran.err).toContain('warning: Who asks has not been shown')
  })

  test('one that cannot be reached hides nothing of the others: they are shown, it is told, and the status is 7', async () => {
    east.addTask(JOB, 0, 'RUNNING')
    const lost = 'http://127.0.0.1:1'
    for (const line of ["job list '*'", "job status '*' --json"]) {
      const ran = await daybreak(line, null, { files: files(lost) })
      expect(ran.exit).toBe(7)
      expect(ran.out).toContain('local/www-data/devel/hello')
      expect(ran.err).toContain(`warning: Cannot reach the scheduler at ${lost}`)
    }
    // Nothing was found where it could be looked, which is no word about the other.
    const unknown = await daybreak("job status '*/www-data/devel/nothing'", null, { files: files(lost) })
    expect(unknown).toMatchObject({ exit: 7, out: '' })
    const alone = await daybreak('job list lost', null, { files: files(lost) })
    expect(alone).toMatchObject({ exit: 7, out: '' })
    expect(alone.err).toContain('error: Cannot reach')
  })
})

describe('job open', () => {
  let folder: string
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'daybreak-open-'))
  })
  afterEach(() => rmSync(folder, { recursive: true, force: true }))
  const open = (line: string, browser: string) => {
    const path = join(folder, 'browser')
    writeFileSync(path, `#!/bin/sh\nprintf %s "$1" > '${folder}/opened'\n${browser}\n`, { mode: 0o755 })
    return daybreak(line, null, { env: { BROWSER: path } })
  }

  test.each([
    ['local', '/'],
    ['local/www-data', '/api/v1/jobs?role=www-data'],
    ['local/www-data/devel', '/api/v1/jobs?role=www-data&environment=devel'],
    ['local/www-data/devel/hello', '/api/v1/jobs/www-data/devel/hello'],
  ])('%s: prints the address and hands it to the browser', async (key, path) => {
    const url = `http://127.0.0.1:8081${path}`
    expect(await open(`job open ${key}`, '')).toMatchObject({ exit: 0, out: `${url}\n`, err: '' })
    expect(readFileSync(join(folder, 'opened'), 'utf8')).toBe(url)
    rmSync(join(folder, 'opened'))
    expect((await open(`job open ${key} --json`, '')).json()).toEqual({ url })
    expect(() => readFileSync(join(folder, 'opened'))).toThrow()
  })

  test('no browser, one that fails: 4, and the address stands there all the same; a pattern: 6', async () => {
    const failed = await open('job open local', 'exit 3')
    expect(failed).toMatchObject({ exit: 4, out: 'http://127.0.0.1:8081/\n' })
    expect(failed.err).toContain('browser ended with 3')
    const none = await daybreak('job open local', null, { env: { BROWSER: join(folder, 'none') } })
    expect(none).toMatchObject({ exit: 4 })
    expect(none.err).toContain('on the PATH')
    expect((await open("job open 'local/www-*'", '')).exit).toBe(6)
  })
})
