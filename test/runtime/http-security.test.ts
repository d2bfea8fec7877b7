import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { request } from 'node:https'
import { connect } from 'node:net'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { type Logger, silentLogger } from '../../src/actors/ports.ts'
import { rejected } from '../../src/core/base/rejection.ts'
import { passwordHashText } from '../../src/core/security/password-hash.ts'
import { ROUTES } from '../../src/runtime/http/routes.ts'
import { type HttpDeps, startHttpServer } from '../../src/runtime/http-server.ts'
import { createGuard } from '../../src/runtime/security/guard.ts'
import { NOBODY, tokenHash } from '../../src/runtime/security/scrypt.ts'
import { readSecurityText } from '../../src/runtime/security/security-file.ts'
import { FOLLOWING, type HttpNode, httpNode } from '../fixtures/http-node.ts'
import { taskConfig } from '../fixtures/rows.ts'

const REALM = 'BASIC realm="Apache Aurora Scheduler"'
const KILL = '/api/v1/jobs/www-data/devel/hello:kill'
/** Every user has the password `right`. */
const FILE = (reads: string) => `
reads: ${reads}
users:
  root: {password: "${passwordHashText(NOBODY)}", roles: [all]}
  nil: {password: "${passwordHashText(NOBODY)}"}
  one: {password: "${passwordHashText(NOBODY)}", permissions: ["thrift.AuroraSchedulerManager:killTasks:ads:staging:job"]}
  web: {password: "${passwordHashText(NOBODY)}", permissions: ["thrift.AuroraSchedulerManager:*:webapp"]}
  jobs: {password: "${passwordHashText(NOBODY)}", permissions: ["thrift.AuroraSchedulerManager:*"]}
  keeper: {password: "${passwordHashText(NOBODY)}", permissions: ["thrift.AuroraAdmin:listBackups"]}
  bot: {tokens: ["${tokenHash('dbk_bot')}"], roles: [all]}
roles:
  all: ["*"]
`
const as = (user: string, password = 'right') => ({
  authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`,
})

const nodes: HttpNode[] = []
const lines: { event: string; fields: Record<string, unknown> }[] = []
const logger: Logger = {
  ...silentLogger,
  info: (event, fields = {}) => void lines.push({ event, fields }),
  child: () => logger,
}
const audits = () => lines.filter(({ event }) => event === 'audit').map(({ fields }) => fields)

function node({ reads = 'users', ...more }: Partial<HttpDeps> & { reads?: 'users' | 'anyone' } = {}): HttpNode {
  const read = readSecurityText(FILE(reads), 'security.yaml')
  if (!read.ok) throw new Error(read.faults.join('\n'))
  const guard = createGuard({
    policy: read.policy,
    clock: { read: () => ({ wallMs: 0, monoMs: 0 }) },
    verify: async password => password === 'right',
  })
  const made = httpNode({ guard, logger, ...more })
  nodes.push(made)
  return made
}
afterEach(async () => {
  lines.splice(0)
  for (const { app } of nodes.splice(0)) await app.close()
})

const post = ({ app }: HttpNode, url: string, payload: object, headers: Record<string, string> = {}) =>
  app.inject({ method: 'POST', url, payload, headers })
const createBody = (role: string) => ({
  job: { key: { role, environment: 'devel', name: 'hello' }, owner: role, instanceCount: 1, task: taskConfig() },
})

async function call({ app }: HttpNode, method: string, args: object, headers: Record<string, string> = {}) {
  const payload = JSON.stringify([1, method, 1, 7, args])
  const response = await app.inject({ method: 'POST', url: '/api', payload, headers })
  if (response.statusCode !== 200) return { http: response.statusCode, challenge: response.headers['www-authenticate'] }
  const said = response.json()[4]['0'].rec
  const [, , ...details] = said['6'].lst
  return {
    code: said['1'].i32,
    text: details[0]?.[1].str,
    remedy: details[1]?.[1].str,
    cluster: said['5'].rec['1'].str,
  }
}
const KEY = (role: string, env: string, name: string) => ({
  rec: { 1: { str: role }, 2: { str: env }, 3: { str: name } },
})
const kill = (role: string, env: string, name: string) => ({ 4: KEY(role, env, name) })
const [INVALID, OK, , , AUTH_FAILED] = [0, 1, 2, 3, 4] as const

describe('Thrift', () => {
  test('api-17: Basic and no header: a read is OK where anyone may read; a change is 401 with the realm of Aurora', async () => {
    const made = node({ reads: 'anyone' })
    expect(await call(made, 'getRoleSummary', {})).toMatchObject({ code: OK })
    expect(await call(made, 'killTasks', kill('ads', 'staging', 'job'))).toEqual({ http: 401, challenge: REALM })
    expect(made.told).toEqual([])
  })

  test('where only users may read, a read without a header is 401 too', async () => {
    expect(await call(node(), 'getRoleSummary', {})).toEqual({ http: 401, challenge: REALM })
    expect(await call(node(), 'getRoleSummary', {}, as('nil'))).toMatchObject({ code: OK })
  })

  test('api-18: wrong credentials are 401 even for a read, on a node that does not lead too', async () => {
    for (const headers of [
      as('nil', 'wrong'),
      as('eve'),
      { authorization: 'Bearer x' },
      { authorization: 'Negotiate' },
    ]) {
      const made = node({ reads: 'anyone' })
      expect(await call(made, 'getRoleSummary', {}, headers)).toEqual({ http: 401, challenge: REALM })
      made.set.leader = FOLLOWING
      expect(await call(made, 'getRoleSummary', {}, headers)).toEqual({ http: 401, challenge: REALM })
    }
  })

  test('api-19: no permission: a null key is INVALID_REQUEST, a key AUTH_FAILED; both say which cluster it is', async () => {
    const made = node()
    const missing = 'Missing or invalid job key from request.'
    expect(await call(made, 'killTasks', {}, as('nil'))).toMatchObject({
      code: INVALID,
      text: missing,
      cluster: 'local',
    })
    expect(await call(made, 'createJob', {}, as('nil'))).toMatchObject({ code: INVALID, text: missing })
    expect(await call(made, 'killTasks', kill('ads', 'staging', 'job'), as('nil'))).toMatchObject({
      code: AUTH_FAILED,
      text: 'Subject nil is not permitted to thrift.AuroraSchedulerManager:killTasks:ads:staging:job.',
      remedy: expect.stringContaining('security.yaml'),
      cluster: 'local',
    })
    expect(made.told).toEqual([])
    const vars = await made.deps.metrics.vars()
    expect([vars.get('shiro_bad_requests'), vars.get('shiro_authorization_failures')]).toEqual([2, 1])
  })

  test('api-20: a grant of one job holds for it alone, one of a role for every call on its jobs and nothing else', async () => {
    const made = node()
    expect(await call(made, 'killTasks', kill('ads', 'staging', 'job'), as('one'))).toMatchObject({ code: OK })
    expect(await call(made, 'killTasks', kill('ads', 'prod', 'job'), as('one'))).toMatchObject({ code: AUTH_FAILED })
    expect(await call(made, 'killTasks', kill('webapp', 'prod', 'x'), as('web'))).toMatchObject({ code: OK })
    const restart = { 5: KEY('webapp', 'prod', 'x'), 3: { set: ['i32', 1, 0] } }
    expect(await call(made, 'restartShards', restart, as('web'))).toMatchObject({ code: OK })
    expect(await call(made, 'killTasks', kill('ads', 'staging', 'job'), as('web'))).toMatchObject({ code: AUTH_FAILED })
    expect(await call(made, 'performBackup', {}, as('web'))).toMatchObject({ code: AUTH_FAILED })
  })

  test('api-21: listBackups granted: it is OK, snapshot is not; `*` allows both; all job calls allow none of admin', async () => {
    const made = node()
    made.set.backup = command => {
      if (command.type === 'list') command.replyTo.tell({ type: 'listed', files: [] } as never)
      else command.replyTo.tell(rejected('BACKUP_FAILED'))
    }
    expect(await call(made, 'listBackups', {}, as('keeper'))).toMatchObject({ code: OK })
    expect(await call(made, 'snapshot', {}, as('keeper'))).toMatchObject({
      code: AUTH_FAILED,
      text: 'Subject keeper lacks permission thrift.AuroraAdmin:snapshot',
    })
    expect(await call(made, 'listBackups', {}, as('root'))).toMatchObject({ code: OK })
    expect(await call(made, 'snapshot', {}, as('root'))).toMatchObject({ code: OK })
    expect(await call(made, 'snapshot', {}, as('jobs'))).toMatchObject({ code: AUTH_FAILED })
  })

  test('the user who has shown who they are is written down, whatever the header says', async () => {
    const made = node()
    await call(made, 'killTasks', kill('ads', 'staging', 'job'), { ...as('one'), 'daybreak-user': 'root' })
    expect(made.told).toMatchObject([{ type: 'kill', user: 'one' }])
  })
})

describe('/apibeta', () => {
  const beta = async (made: HttpNode, method: string, payload: object, headers = {}) => {
    const response = await made.app.inject({ method: 'POST', url: `/apibeta/${method}`, payload, headers })
    return { http: response.statusCode, ...response.json() }
  }
  const job = { role: 'ads', environment: 'staging', name: 'job' }

  test('the same users and permissions as over Thrift', async () => {
    const made = node({ reads: 'anyone' })
    expect(await beta(made, 'getRoleSummary', {})).toMatchObject({ http: 200, responseCode: 'OK' })
    expect(await beta(made, 'killTasks', { job })).toMatchObject({ http: 401, code: 'UNAUTHENTICATED' })
    expect(await beta(made, 'killTasks', { job }, as('one', 'wrong'))).toMatchObject({ http: 401 })
    expect(await beta(made, 'killTasks', { job }, as('nil'))).toMatchObject({ http: 200, responseCode: 'AUTH_FAILED' })
    expect(made.told).toEqual([])
    expect(await beta(made, 'killTasks', { job }, as('one'))).toMatchObject({ http: 200, responseCode: 'OK' })
    expect(made.told).toMatchObject([{ type: 'kill', user: 'one' }])
  })
})

describe('REST', () => {
  test('every route but the open ones is 401 without credentials, with both challenges', async () => {
    const { app } = node()
    const shown: Record<string, number> = {}
    for (const { method, path } of ROUTES) {
      const url = path.replace(/\{\w+\}/g, 'x')
      const response = await app.inject({ method, url, ...(method === 'POST' ? { payload: {} } : {}) })
      shown[`${method} ${path}`] = response.statusCode
      if (response.statusCode !== 401 || /^\/api(beta|$)/.test(path)) continue
      expect(response.headers['www-authenticate']).toEqual([
        'Basic realm="Daybreak", charset="UTF-8"',
        'Bearer realm="Daybreak"',
      ])
      expect(response.json()).toMatchObject({
        code: 'UNAUTHENTICATED',
        remedy: expect.stringContaining('security.yaml'),
      })
    }
    const others = Object.entries(shown).filter(([, status]) => status !== 401)
    // What is no Thrift message is told so, whoever sends it.
    expect(others).toEqual([
      ['GET /health', 200],
      ['GET /leaderhealth', 200],
      ['POST /api', 500],
      ['POST /apibeta/{method}', 404],
    ])
  })

  test('a user without permissions may read, and is 403 with what is missing wherever something changes', async () => {
    const { app } = node()
    const denied: string[] = []
    for (const { method, path } of ROUTES.filter(({ path }) => path !== '/api' && path !== '/api/v1/events')) {
      const url = path.replace(/\{\w+\}/g, 'x')
      const payload = path === '/api/v1/jobs' ? createBody('ads') : {}
      const response = await app.inject({ method, url, headers: as('nil'), ...(method === 'POST' ? { payload } : {}) })
      if (response.statusCode === 403)
        denied.push(`${method} ${path}: ${response.json().detail.replace(/^.* (\S+)$/, '$1')}`)
      expect(response.statusCode).not.toBe(401)
    }
    expect(denied).toEqual(
      ROUTES.filter(
        ({ method, path }) =>
          (method === 'POST' && !/^\/(api|apibeta\/.*|mname.*)$|what-if|:diff/.test(path)) ||
          /inspect|entries|backups/.test(path),
      ).map(({ method, path }) => expect.stringContaining(`${method} ${path}: thrift.Aurora`)),
    )
  })

  test('a job is created, killed, restarted and added to by who may for its role only', async () => {
    const made = node()
    const answers = async (role: string) => {
      const path = `/api/v1/jobs/${role}/devel/hello`
      const asked = [
        post(made, '/api/v1/jobs', createBody(role), as('web')),
        post(made, `${path}:kill`, { all: true }, as('web')),
        post(made, `${path}:restart`, { all: true }, as('web')),
        post(made, `${path}:add`, { like: 0, count: 1 }, as('web')),
      ]
      return (await Promise.all(asked)).map(({ statusCode }) => statusCode)
    }
    expect(await answers('webapp')).toEqual([201, 200, 200, 200])
    expect(await answers('ads')).toEqual([403, 403, 403, 403])
    expect(made.told.map(({ type, user }) => `${type} ${user}`)).toEqual([
      'create web',
      'kill web',
      'restart web',
      'add web',
    ])
  })

  test('a refusal names the permission, and who can grant it', async () => {
    const { app } = node()
    const response = await app.inject({ method: 'POST', url: '/api/v1/tasks:prune', headers: as('web'), payload: {} })
    expect(response.json()).toMatchObject({
      status: 403,
      code: 'AUTH_FAILED',
      detail: 'Subject web lacks permission thrift.AuroraAdmin:pruneTasks',
      remedy:
        'who keeps security.yaml of the scheduler nodes can grant `thrift.AuroraAdmin:pruneTasks` to web or a role of theirs',
    })
  })

  test.each([
    ['an escaped colon', '/api/v1/jobs/ads/devel/hello%3Akill', 403],
    ['an escaped letter', '/api/v1/jobs/%61ds/devel/hello:kill', 403],
    ['a slash at the end', `${KILL}/`, 403],
    ['an unknown verb', '/api/v1/jobs/webapp/devel/hello:fly', 404],
    ['two verbs', '/api/v1/jobs/ads/devel/webapp:x:kill', 422],
    ['a role with a slash in it', '/api/v1/jobs/webapp%2Fdevel/x/hello:kill', 422],
    ['a role that would be two parts', '/api/v1/jobs/webapp%3Ax/devel/hello:kill', 422],
  ])('%s does not go round the gate', async (_what, url, status) => {
    const made = node()
    const response = await post(made, url, { all: true }, as('web'))
    expect([response.statusCode, made.told]).toEqual([status, []])
  })

  test('a job without a whole key is created by nobody', async () => {
    const made = node()
    for (const body of [{}, { job: { key: { role: ['webapp'], environment: 'devel', name: 'x' } } }, [1]])
      expect((await post(made, '/api/v1/jobs', body, as('jobs'))).statusCode).toBe(422)
    expect(made.told).toEqual([])
  })

  test('which reconciliation is asked for decides what is needed', async () => {
    const detail = async (kind: string) =>
      (await post(node(), '/api/v1/admin:reconcile', { kind }, as('nil'))).json().detail as string
    expect(await detail('implicit')).toContain('thrift.AuroraAdmin:triggerImplicitTaskReconciliation')
    expect(await detail('explicit')).toContain('thrift.AuroraAdmin:triggerExplicitTaskReconciliation')
  })

  test('a token is as good as a password', async () => {
    const made = node()
    expect((await post(made, KILL, { all: true }, { authorization: 'Bearer dbk_bot' })).statusCode).toBe(200)
    expect(made.told).toMatchObject([{ user: 'bot' }])
  })

  test('anyone may read: reads need nothing, numbers still a user, admin its permission', async () => {
    const { app } = node({ reads: 'anyone' })
    const status = async (url: string) => (await app.inject(url)).statusCode
    expect([await status('/api/v1/jobs'), await status('/vars'), await status('/inspect')]).toEqual([200, 401, 401])
  })

  test('without security nothing is asked for, and the word of the client is its name', async () => {
    const made = node({ guard: null })
    expect((await post(made, KILL, { all: true }, { 'daybreak-user': 'ann', ...as('eve') })).statusCode).toBe(200)
    expect(made.told).toMatchObject([{ user: 'ann' }])
    expect(audits()).toMatchObject([{ user: 'ann', outcome: '200' }])
  })
})

describe('the end of the process', () => {
  test('/quitquitquit and /abortabortabort end it for who may, by POST, once the answer has left', async () => {
    const ended: string[] = []
    const made = node({ processEnd: { quit: () => ended.push('quit'), abort: () => ended.push('abort') } })
    const send = async (url: string, headers: Record<string, string> = {}) =>
      (await made.app.inject({ method: 'POST', url, headers })).statusCode
    for (const url of ['/quitquitquit', '/abortabortabort']) {
      expect([await send(url), await send(url, as('jobs')), await send(url, as('keeper'))]).toEqual([401, 403, 403])
      expect((await made.app.inject({ url, headers: as('root') })).statusCode).toBe(405)
    }
    expect(ended).toEqual([])
    const quit = await made.app.inject({ method: 'POST', url: '/quitquitquit', headers: as('root') })
    expect([quit.statusCode, quit.body]).toEqual([200, 'Notifying quit listener.\n'])
    expect(await send('/abortabortabort', { ...as('root'), 'content-type': 'application/x-www-form-urlencoded' })).toBe(
      200,
    )
    expect(ended).toEqual(['quit', 'abort'])
  })
})

describe('limits', () => {
  test('who does not send the rest of a request is cut off', async () => {
    const made = node()
    const server = await startHttpServer({
      ...made.deps,
      guard: null,
      host: '127.0.0.1',
      port: 0,
      requestTimeoutMs: 50,
    })
    const socket = connect(server.port, '127.0.0.1')
    let said = ''
    socket.on('data', chunk => {
      said += String(chunk)
    })
    socket.write('POST /api HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf')
    await once(socket, 'close')
    await server.close()
    expect(said).toMatch(/^HTTP\/1\.1 408 Request Timeout/)
  })

  test('who is taken out while the body is on its way does not get in with it', async () => {
    for (const path of [KILL, '/api']) {
      const made = node()
      const server = await startHttpServer({ ...made.deps, host: '127.0.0.1', port: 0 })
      const body = path === KILL ? '{"all":true}' : JSON.stringify([1, 'killTasks', 1, 7, kill('a', 'devel', 'b')])
      const socket = connect(server.port, '127.0.0.1')
      let said = ''
      socket.on('data', chunk => {
        said += String(chunk)
      })
      socket.write(
        `POST ${path} HTTP/1.1\r\nHost: x\r\nAuthorization: ${as('root').authorization}\r\nConnection: close\r\n` +
          `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body.slice(0, 5)}`,
      )
      await new Promise(resolve => setTimeout(resolve, 50))
      made.deps.guard?.renew({ reads: 'users', users: new Map(), tokens: new Map() })
      socket.write(body.slice(5))
      await once(socket, 'close')
      await server.close(0)
      expect([said.split('\r\n')[0], made.told]).toEqual(['HTTP/1.1 401 Unauthorized', []])
    }
  })

  test('a body that is too large is refused unread, and without credentials at once', async () => {
    const made = node({ reads: 'anyone' })
    const big = 'x'.repeat(5 * 1024 * 1024)
    const thrift = await made.app.inject({ method: 'POST', url: '/api', payload: big })
    expect(thrift.statusCode).toBe(413)
    const headers = { 'content-type': 'application/json' }
    expect((await made.app.inject({ method: 'POST', url: KILL, payload: big, headers })).statusCode).toBe(401)
  })
})

describe('audit', () => {
  test('each change that is asked for leaves a line: who, from where, what, outcome; a read none', async () => {
    const made = node()
    await post(made, KILL, { all: true }, { ...as('root'), 'idempotency-key': 'r-1' })
    await post(made, KILL, { all: true }, as('nil'))
    await post(made, KILL, { all: true }, as('root', 'wrong'))
    await call(made, 'killTasks', kill('ads', 'staging', 'job'), as('one'))
    await call(made, 'killTasks', kill('ads', 'prod', 'job'), as('one'))
    await made.app.inject({ url: '/api/v1/jobs', headers: as('nil') })
    await call(made, 'getRoleSummary', {}, as('nil'))
    expect(audits()).toEqual([
      {
        user: 'root',
        from: expect.stringContaining('127.0.0.1:'),
        what: `POST ${KILL}`,
        outcome: '200',
        requestId: 'r-1',
      },
      { user: 'nil', from: expect.anything(), what: `POST ${KILL}`, outcome: '403' },
      { user: 'anonymous', from: expect.anything(), what: `POST ${KILL}`, outcome: '401' },
      { user: 'one', from: expect.anything(), what: 'killTasks ads/staging/job', outcome: 'OK' },
      { user: 'one', from: expect.anything(), what: 'killTasks ads/prod/job', outcome: 'AUTH_FAILED' },
    ])
  })
})

test('/whoami: the user, their permissions, and whether one is among them', async () => {
  const { app } = node()
  const ask = async (may: string | null, headers = {}) => {
    const query = may === null ? '' : `?may=${encodeURIComponent(may)}`
    return (await app.inject({ url: `/api/v1/whoami${query}`, headers })).json()
  }
  expect(await ask(null, as('web'))).toEqual({
    user: 'web',
    isSecured: true,
    permissions: ['thrift.AuroraSchedulerManager:*:webapp'],
  })
  expect(await ask('thrift.AuroraSchedulerManager:killTasks:webapp:prod:x', as('web'))).toMatchObject({ may: true })
  expect(await ask('thrift.AuroraSchedulerManager:killTasks:ads:prod:x', as('web'))).toMatchObject({ may: false })
  expect(await ask('thrift.AuroraSchedulerManager:*', as('web'))).toMatchObject({ code: 'INVALID_REQUEST' })
  expect(await ask(null)).toMatchObject({ code: 'UNAUTHENTICATED' })
  const off = await node({ guard: null }).app.inject({ url: '/api/v1/whoami', headers: { 'daybreak-user': 'ann' } })
  expect(off.json()).toEqual({ user: 'ann', isSecured: false, permissions: ['*'] })
})

test('a login that is refused is told with where it came from, and counted; never what was shown', async () => {
  const made = node()
  await made.app.inject({ url: '/api/v1/jobs?x=1', headers: as('eve', 'hunter2') })
  const told = lines.filter(({ event }) => event === 'login-refused').map(({ fields }) => fields)
  expect(told).toEqual([
    { from: expect.stringContaining('127.0.0.1:'), path: '/api/v1/jobs', why: 'The user or the password is wrong' },
  ])
  expect((await made.deps.metrics.vars()).get('logins_refused_total')).toBe(1)
})

describe('browsers', () => {
  const page = (origin: string, host = 'localhost:80') => ({ origin, host })

  test.each([
    ['another origin', page('https://evil.example'), 403],
    ['no origin to speak of', page('null'), 403],
    ['another port of this host', page('http://localhost:9999'), 403],
    ['its own', page('http://localhost:8081', 'localhost:8081'), 200],
    ['a name of its own', page('http://daybreak.example:8081', 'daybreak.example:8081'), 200],
    ['one that is listed', page('https://ui.example'), 200],
    ['a program', {}, 200],
  ])('a change from a page of %s, security off and on', async (_whose, headers, status) => {
    for (const guard of [{}, { guard: null }]) {
      const made = node({ corsOrigins: ['https://ui.example'], ownHost: 'daybreak.example', ...guard })
      expect((await post(made, KILL, { all: true }, { ...as('root'), ...headers })).statusCode).toBe(status)
      const thrift = await call(made, 'killTasks', kill('ads', 'staging', 'job'), { ...as('root'), ...headers })
      expect(thrift).toMatchObject(status === 200 ? { code: OK } : { http: 403 })
      expect(made.told).toHaveLength(status === 200 ? 2 : 0)
    }
  })

  test('security off: a page of a name that was made to stand for this address may change nothing', async () => {
    const made = node({ guard: null, ownHost: 'daybreak.example' })
    const { statusCode } = await post(made, KILL, { all: true }, page('http://evil.example:8081', 'evil.example:8081'))
    expect([statusCode, made.told]).toEqual([403, []])
  })

  test('with TLS, a page that came in clear is foreign, whatever its name: somebody in between may have made it', async () => {
    const pem = (name: string): string => readFileSync(join(import.meta.dirname, `../fixtures/tls/${name}.pem`), 'utf8')
    const made = node()
    const tls = { cert: pem('node-1'), key: pem('node-1-key') }
    const server = await startHttpServer({ ...made.deps, host: '127.0.0.1', port: 0, tls })
    const status = (scheme: string) =>
      new Promise(resolve => {
        const headers = {
          ...as('root'),
          origin: `${scheme}://127.0.0.1:${server.port}`,
          'content-type': 'application/json',
        }
        const sent = request(`${server.url}${KILL}`, { method: 'POST', headers, ca: pem('ca') }, answer => {
          answer.resume()
          resolve(answer.statusCode)
        })
        sent.end('{"all":true}')
      })
    expect([await status('https'), await status('http')]).toEqual([200, 403])
    await server.close(0)
  })

  const CORS = {
    'access-control-allow-origin': 'https://ui.example',
    'access-control-allow-methods': 'DELETE,GET,HEAD,OPTIONS,POST,PUT',
    'access-control-allow-headers': expect.stringMatching(/^Accept,Content-Type,Origin,X-Requested-With/),
  }

  test('api-24: with CORS on, answers of /api carry the three headers, refusals and redirects too; others do not', async () => {
    const made = node({ corsOrigins: ['https://ui.example'], reads: 'anyone' })
    const ask = (headers: Record<string, string> = {}, url = '/api') =>
      made.app.inject({ method: 'POST', url, payload: '[1,"getRoleSummary",1,7,{}]', headers })
    expect((await ask()).headers).toMatchObject(CORS)
    expect(await ask(as('eve'))).toMatchObject({ statusCode: 401, headers: CORS })
    made.set.leader = FOLLOWING
    expect(await ask()).toMatchObject({ statusCode: 307, headers: CORS })
    for (const url of ['/apibeta/getRoleSummary', '/health'])
      expect((await made.app.inject(url)).headers).not.toHaveProperty('access-control-allow-origin')
  })

  test('of several origins each is answered with itself, others with none; without any there are no headers', async () => {
    const origin = async (corsOrigins: string[], from: string) => {
      const { headers } = await node({ corsOrigins, guard: null }).app.inject({
        url: '/api/v1/jobs',
        headers: { origin: from },
      })
      return [headers['access-control-allow-origin'], headers.vary]
    }
    expect(await origin(['https://a.example', 'https://b.example'], 'https://b.example')).toEqual([
      'https://b.example',
      'Origin',
    ])
    expect(await origin(['https://a.example', 'https://b.example'], 'https://c.example')).toEqual([undefined, 'Origin'])
    expect(await origin([], 'https://a.example')).toEqual([undefined, undefined])
  })

  test('events carry them too, although they are a stream', async () => {
    const made = node({ corsOrigins: ['https://ui.example'] })
    const server = await startHttpServer({ ...made.deps, host: '127.0.0.1', port: 0 })
    const answer = await fetch(`${server.url}/api/v1/events?follow=false`, { headers: as('nil') })
    expect([answer.status, answer.headers.get('access-control-allow-origin')]).toEqual([200, 'https://ui.example'])
    await server.close(0)
  })

  test('who is no user any more does not go on to read events', async () => {
    const made = node()
    const server = await startHttpServer({ ...made.deps, host: '127.0.0.1', port: 0 })
    const answer = await fetch(`${server.url}/api/v1/events`, { headers: as('nil') })
    made.deps.guard?.renew({ reads: 'users', users: new Map(), tokens: new Map() })
    expect(await answer.text()).toContain('retry: 1000')
    expect((await fetch(`${server.url}/api/v1/events`, { headers: as('nil') })).status).toBe(401)
    await server.close(0)
  })

  test('nor who is taken out just before the stream begins', async () => {
    const made = node()
    const log = made.deps.scheduler?.log
    if (log === undefined) throw new Error('no scheduler')
    const status = log.status.bind(log)
    log.status = async () => {
      made.deps.guard?.renew({ reads: 'users', users: new Map(), tokens: new Map() })
      return status()
    }
    const server = await startHttpServer({ ...made.deps, host: '127.0.0.1', port: 0 })
    expect((await fetch(`${server.url}/api/v1/events`, { headers: as('nil') })).status).toBe(503)
    await server.close(0)
  })

  test('a preflight is answered without credentials', async () => {
    const { app } = node({ corsOrigins: ['https://ui.example'] })
    const response = await app.inject({
      method: 'OPTIONS',
      url: KILL,
      headers: { origin: 'https://ui.example', 'access-control-request-method': 'POST' },
    })
    expect(response).toMatchObject({
      statusCode: 204,
      headers: { ...CORS, 'access-control-allow-credentials': 'true', 'access-control-max-age': '600' },
    })
  })
})
