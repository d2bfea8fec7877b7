import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer as createHttpServer, type IncomingMessage } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo, Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, describe, expect, test } from 'vitest'
import { fetchWithAccess } from '../../src/cli/access.ts'
import { processFiles } from '../../src/cli/io.ts'
import { type FakeScheduler, fakeScheduler } from './fake-scheduler.ts'
import { daybreak, type TerminalOptions } from './terminal.ts'

const CREDENTIALS = '/home/ann/.daybreak/credentials'
const CLUSTERS = '/home/ann/.daybreak/clusters.yaml'
const pem = (name: string): string => join(import.meta.dirname, '../fixtures/tls', `${name}.pem`)
const folder = mkdtempSync(join(tmpdir(), 'daybreak-access-'))
afterAll(() => rmSync(folder, { recursive: true }))

const schedulers: FakeScheduler[] = []
const servers: Server[] = []
afterEach(async () => {
  for (const scheduler of schedulers.splice(0)) await scheduler.close()
  for (const server of servers.splice(0)) server.close()
})

async function scheduler(): Promise<FakeScheduler> {
  const made = await fakeScheduler()
  schedulers.push(made)
  return made
}

/** What a node was shown by one command. */
async function shown(made: FakeScheduler, options: TerminalOptions): Promise<string | undefined> {
  await daybreak('job status local/www-data/devel/hello', made, options)
  return made.seen.at(-1)?.headers.authorization
}

describe('what the client shows', () => {
  test('nothing, unless there is something', async () => {
    expect(await shown(await scheduler(), {})).toBeUndefined()
  })

  test('DAYBREAK_TOKEN, before the file', async () => {
    const files = { [CREDENTIALS]: 'local: {token: dbk_file}' }
    expect(await shown(await scheduler(), { env: { DAYBREAK_TOKEN: 'dbk_env' }, files })).toBe('Bearer dbk_env')
    expect(await shown(await scheduler(), { files })).toBe('Bearer dbk_file')
  })

  test('of a cluster by name or by URL; what is of another is not shown', async () => {
    const made = await scheduler()
    const of = (text: string, more: Record<string, string> = {}) =>
      shown(made, { files: { [CREDENTIALS]: text, ...more } })
    expect(await of(`"${made.url}/": {user: ann, password: "a:b"}`)).toBe(
      `Basic ${Buffer.from('ann:a:b').toString('base64')}`,
    )
    expect(await of('east: {token: t}', { [CLUSTERS]: `east: {url: "${made.url}"}` })).toBe('Bearer t')
    expect(await of('east: {token: t}', { [CLUSTERS]: 'east: {url: "http://east.example"}' })).toBeUndefined()
    expect(await of('"http://east.example": {token: t}\nwest: {token: u}')).toBeUndefined()
    expect(await of('')).toBeUndefined()
  })

  test.each([
    ['local: {password: hunter2}', 'local has neither a token nor a user and a password'],
    ['- hunter2', 'a map is expected'],
    ['local: {token: "hunter2', 'it is no YAML'],
    ['local: {token: "hun ter2"}', 'The token has blanks'],
  ])('%j is refused without repeating it, status 3', async (text, fault) => {
    const made = await scheduler()
    const ran = await daybreak('job status local/www-data/devel/hello', made, { files: { [CREDENTIALS]: text } })
    expect([ran.exit, made.seen.length]).toEqual([3, 0])
    expect(ran.err).toContain(fault)
    expect(ran.err).not.toMatch(/hun ?ter2/)
  })

  test('a file that others may read is not read', async () => {
    const path = join(folder, 'credentials')
    writeFileSync(path, 'local: {token: t}', { mode: 0o644 })
    await expect(processFiles().readPrivate(path)).rejects.toThrow('others than its owner may use it')
    writeFileSync(join(folder, 'own'), 'x', { mode: 0o600 })
    expect(await processFiles().readPrivate(join(folder, 'own'))).toBe('x')
  })

  test('events carry it too', async () => {
    const seen: IncomingMessage[] = []
    const server = createHttpServer((request, response) => {
      seen.push(request)
      response.writeHead(401, { 'content-type': 'application/problem+json' })
      response.end('{"code":"UNAUTHENTICATED","detail":"who are you"}')
    }).listen(0, '127.0.0.1')
    servers.push(server)
    await new Promise(resolve => server.once('listening', resolve))
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const ran = await daybreak(`events --url ${url}`, null, { env: { DAYBREAK_TOKEN: 't' } })
    expect([ran.exit, seen[0]?.headers.authorization]).toEqual([30, 'Bearer t'])
  })
})

describe('whoami', () => {
  const answer = { user: 'web', isSecured: true, permissions: ['thrift.AuroraSchedulerManager:*:webapp'] }

  test('the user and what they may; of one permission yes or no, as the status too', async () => {
    const made = await scheduler()
    made.pages.set('/api/v1/whoami', answer)
    expect((await daybreak('whoami', made)).out).toBe('web may\n  thrift.AuroraSchedulerManager:*:webapp\n')
    for (const [may, out, exit] of [
      [true, 'yes\n', 0],
      [false, 'no\n', 30],
    ] as const) {
      made.pages.set('/api/v1/whoami', { ...answer, may })
      expect(await daybreak('whoami --may thrift.AuroraAdmin:setQuota', made)).toMatchObject({ out, exit })
      expect(made.seen.at(-1)?.url).toBe('/api/v1/whoami?may=thrift.AuroraAdmin%3AsetQuota')
    }
  })

  test('nothing granted, and security off, are said so', async () => {
    const made = await scheduler()
    made.pages.set('/api/v1/whoami', { ...answer, permissions: [] })
    expect((await daybreak('whoami', made)).out).toBe('web may only read\n')
    made.pages.set('/api/v1/whoami', { ...answer, isSecured: false })
    expect((await daybreak('whoami', made)).out).toContain('security is off')
  })
})

describe('what is refused', () => {
  test.each([
    [401, 'UNAUTHENTICATED'],
    [403, 'AUTH_FAILED'],
  ])('api-48: %i ends a command at once with status 30', async (status, code) => {
    const made = await scheduler()
    made.refusals.set('/api/v1/jobs/www-data/devel/hello:kill', { status, code, detail: 'no' })
    made.addTask({ role: 'www-data', environment: 'devel', name: 'hello' }, 0, 'RUNNING')
    const ran = await daybreak('job kill local/www-data/devel/hello/0', made)
    expect([ran.exit, ran.sleptMs]).toEqual([30, 0])
  })
})

describe('https', () => {
  async function secure(answer: (url: string) => { status: number; location?: string; body?: string }) {
    const seen: IncomingMessage[] = []
    const tls = { cert: readFileSync(pem('node-1')), key: readFileSync(pem('node-1-key')) }
    const server = createServer(tls, (request, response) => {
      seen.push(request)
      const { status, location, body = '{"jobs":[],"next":null}' } = answer(request.url ?? '')
      response.writeHead(status, location === undefined ? {} : { location })
      response.end(body)
    }).listen(0, '127.0.0.1')
    servers.push(server)
    await new Promise(resolve => server.once('listening', resolve))
    return { url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`, seen }
  }
  const STATUS = 'job status local/www-data/devel/*'

  test('a node whose CA is told by DAYBREAK_CA or by the clusters file is spoken to; of another CA it is not', async () => {
    const { url, seen } = await secure(() => ({ status: 200 }))
    const run = (env: Record<string, string>, files = {}) =>
      daybreak(STATUS, null, { env: { DAYBREAK_TOKEN: 't', ...env }, files })
    await run({ DAYBREAK_URL: url, DAYBREAK_CA: pem('ca') })
    await run({}, { [CLUSTERS]: `local: {url: "${url}", ca: ${pem('ca')}}` })
    expect(seen.map(({ headers }) => headers.authorization)).toEqual(['Bearer t', 'Bearer t'])
    const other = await run({ DAYBREAK_URL: url, DAYBREAK_CA: pem('other-ca') })
    const none = await run({ DAYBREAK_URL: url })
    expect([other.exit, none.exit, seen.length]).toEqual([7, 7, 2])
    expect(none.err).toContain('DAYBREAK_CA')
  })

  test('sent on to another node by https: shown there too', async () => {
    const leader = await secure(() => ({ status: 200 }))
    const { url } = await secure(path => ({ status: 307, location: `${leader.url}${path}` }))
    await daybreak(STATUS, null, { env: { DAYBREAK_TOKEN: 't', DAYBREAK_URL: url, DAYBREAK_CA: pem('ca') } })
    expect(leader.seen.map(({ headers }) => headers.authorization)).toEqual(['Bearer t'])
  })

  test('sent on from https to http: not followed, so that nothing is shown there', async () => {
    const plain = await scheduler()
    const { url } = await secure(path => ({ status: 307, location: `${plain.url}${path}` }))
    const ran = await daybreak(STATUS, null, {
      env: { DAYBREAK_TOKEN: 't', DAYBREAK_URL: url, DAYBREAK_CA: pem('ca') },
    })
    expect([ran.exit, plain.seen]).toEqual([7, []])
    expect(ran.err).toContain('it sends on from https to http://')
  })

  test('daybreak log speaks https and shows the same', async () => {
    const { url, seen } = await secure(() => ({ status: 200, body: '{"x":1}' }))
    Object.assign(process.env, { DAYBREAK_CA: pem('ca'), DAYBREAK_TOKEN: 't' })
    try {
      const answer = await fetchWithAccess(`${url}/api/v1/log/status`)
      expect([answer.ok, await answer.json(), seen[0]?.headers.authorization]).toEqual([true, { x: 1 }, 'Bearer t'])
    } finally {
      delete process.env.DAYBREAK_CA
      delete process.env.DAYBREAK_TOKEN
    }
  })
})
