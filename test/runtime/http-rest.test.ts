import { describe, expect, test } from 'vitest'
import { agentId, configId } from '../../src/core/base/ids.ts'
import { REJECTIONS, rejected } from '../../src/core/base/rejection.ts'
import { fingerprintOf } from '../../src/runtime/http/mutation.ts'
import { writeCursor } from '../../src/runtime/http/paging.ts'
import { jsonFaultAt } from '../../src/runtime/http/problem.ts'
import * as rest from '../../src/wire/rest.ts'
import { FOLLOWING, httpNode, LEADING } from '../fixtures/http-node.ts'
import {
  agentRow,
  configRow,
  HELLO,
  jobRow,
  putAgent,
  putConfig,
  putJob,
  putTask,
  taskConfig,
  taskRow,
} from '../fixtures/rows.ts'

const JOB = { key: HELLO, owner: 'www-data', instanceCount: 1, task: taskConfig() }
const KILL_URL = '/api/v1/jobs/www-data/devel/hello:kill'

describe('jobs', () => {
  test('create: reaches the job keeper with the request id, the user and a fingerprint; 201 with the outcome', async () => {
    const { app, told } = httpNode()
    const response = await app.inject({
      method: 'POST',
      url: '/api/v1/jobs',
      headers: { 'idempotency-key': 'abc', 'daybreak-user': 'alice' },
      payload: { job: JOB },
    })
    expect(response.statusCode).toBe(201)
    expect(rest.jobOutcome.parse(response.json())).toEqual({ key: HELLO, instances: [0], message: null, warnings: [] })
    expect(told).toMatchObject([{ type: 'create', job: JOB, requestId: 'abc', user: 'alice' }])
    expect(told[0]?.fingerprint).toMatch(/^[0-9a-f]{64}$/)
  })

  test('create without headers: a request id is drawn, the user is UNSECURE', async () => {
    const { app, told } = httpNode()
    for (let round = 0; round < 2; round += 1)
      await app.inject({ method: 'POST', url: '/api/v1/jobs', payload: { job: JOB } })
    expect(told.map(command => command.user)).toEqual(['UNSECURE', 'UNSECURE'])
    expect(told[0]?.requestId).not.toBe(told[1]?.requestId)
    expect(told[0]?.fingerprint).toBe(told[1]?.fingerprint)
  })

  test('fingerprint: the same for another order of keys, another for another path or body', () => {
    const base = fingerprintOf('POST', '/a?x=1', { a: 1, b: [1, 2] })
    expect(fingerprintOf('POST', '/a', { b: [1, 2], a: 1 })).toBe(base)
    expect(fingerprintOf('POST', '/a', { b: [2, 1], a: 1 })).not.toBe(base)
    expect(fingerprintOf('POST', '/b', { a: 1, b: [1, 2] })).not.toBe(base)
  })

  test('create refused by the job keeper: its code, text, remedy and faults arrive as a problem', async () => {
    const { app, set } = httpNode()
    set.keeper = command =>
      command.replyTo.tell(
        rejected('JOB_EXISTS', 'Job www-data/devel/hello already exists', { remedy: 'kill it first' }),
      )
    const response = await app.inject({ method: 'POST', url: '/api/v1/jobs', payload: { job: JOB } })
    expect(response.statusCode).toBe(409)
    expect(response.headers['content-type']).toBe('application/problem+json')
    expect(response.json()).toEqual({
      type: 'urn:daybreak:error:JOB_EXISTS',
      title: 'The job already exists',
      status: 409,
      code: 'JOB_EXISTS',
      detail: 'Job www-data/devel/hello already exists',
      callId: response.headers['x-request-id'],
      remedy: 'kill it first',
    })
  })

  test('a job without a task, or a task that nobody would run: refused in Aurora’s words, with the place', async () => {
    const { app, told } = httpNode()
    const post = async (job: object) =>
      rest.problem.parse((await app.inject({ method: 'POST', url: '/api/v1/jobs', payload: { job } })).json()).faults
    const { task, ...bare } = JOB
    const { executor: _, ...idle } = task
    expect(await post(bare)).toEqual([{ path: 'job.task', text: 'Job configuration must have taskConfig set.' }])
    expect(await post({ ...bare, task: null })).toEqual([
      { path: 'job.task', text: 'Job configuration must have taskConfig set.' },
    ])
    expect(await post({ ...bare, task: idle })).toEqual([
      { path: 'job.task.executor', text: 'Configuration may not be null.' },
    ])
    expect((await post({ ...bare, task: 3 }))?.[0]?.text).not.toContain('taskConfig')
    expect(told).toEqual([])
  })

  test('a body that breaks the schema: 422 with every fault and its path', async () => {
    const { app, told } = httpNode()
    const payload = { job: { ...JOB, instanceCount: 'many', task: { ...JOB.task, ports: 3 } } }
    const response = await app.inject({ method: 'POST', url: '/api/v1/jobs', payload })
    expect(response.statusCode).toBe(422)
    const problem = rest.problem.parse(response.json())
    expect(problem.code).toBe('INVALID_REQUEST')
    expect(problem.faults?.map(fault => fault.path)).toEqual(['job.instanceCount', 'job.task.ports'])
    expect(told).toEqual([])
  })

  test('a body that is not JSON: 400 with line and column', async () => {
    const { app } = httpNode()
    const headers = { 'content-type': 'application/json' }
    const response = await app.inject({
      method: 'POST',
      url: '/api/v1/jobs',
      headers,
      payload: '{"job": {\n  "key": }}',
    })
    expect(response.statusCode).toBe(400)
    expect(response.json()).toMatchObject({
      code: 'MALFORMED',
      detail: 'The body is not JSON: line 2, column 10: unexpected "}}"',
    })
  })

  test.each([
    ['neither instances nor all', {}],
    ['both instances and all', { instances: [1], all: true }],
  ])('kill with %s: refused, nothing is killed', async (_case, payload) => {
    const { app, told } = httpNode()
    const response = await app.inject({ method: 'POST', url: KILL_URL, payload })
    expect(response.statusCode).toBe(422)
    expect(told).toEqual([])
  })

  test('kill of everything, restart of two, two more like instance 0: reach the job keeper so', async () => {
    const { app, told } = httpNode()
    await app.inject({ method: 'POST', url: KILL_URL, payload: { all: true, message: 'bye' } })
    await app.inject({
      method: 'POST',
      url: '/api/v1/jobs/www-data/devel/hello:restart',
      payload: { instances: [0, 2] },
    })
    await app.inject({
      method: 'POST',
      url: '/api/v1/jobs/www-data/devel/hello:add',
      payload: { like: 0, count: 2 },
    })
    expect(told).toMatchObject([
      { type: 'kill', key: HELLO, instances: null, message: 'bye' },
      { type: 'restart', key: HELLO, instances: [0, 2] },
      { type: 'add', key: HELLO, like: 0, count: 2 },
    ])
  })

  test('an unknown verb of a job: 404', async () => {
    const { app } = httpNode()
    const response = await app.inject({ method: 'POST', url: '/api/v1/jobs/www-data/devel/hello:explode', payload: {} })
    expect(response.statusCode).toBe(404)
    expect(response.json()).toMatchObject({ code: 'NOT_FOUND', remedy: expect.stringContaining(':kill') })
  })

  test('diff: which instances would be added, removed and changed, with the configurations; nothing is asked of anybody', async () => {
    const { app, ledger, told } = httpNode()
    ledger.put(
      putConfig(configRow()),
      putTask(taskRow('a', { instance: 0, status: 'RUNNING' })),
      putTask(taskRow('b', { instance: 3, status: 'RUNNING' })),
    )
    const task = taskConfig({ executor: { name: 'AuroraExecutor', data: '{}' } })
    const ask = async (payload: object) =>
      app.inject({ method: 'POST', url: '/api/v1/jobs/www-data/devel/hello:diff', payload })
    const answered = rest.jobDiff.parse((await ask({ job: { ...JOB, instanceCount: 2, task } })).json())
    expect(answered).toMatchObject({
      key: HELLO,
      everyHost: false,
      active: 2,
      add: [1],
      remove: [{ instances: [3], config: { executor: { name: 'DaybreakExecutor' } } }],
      update: [{ instances: [0], config: { executor: { name: 'DaybreakExecutor' } } }],
      unchanged: [],
      config: { executor: { name: 'AuroraExecutor' } },
    })
    const one = rest.jobDiff.parse((await ask({ job: { ...JOB, instanceCount: 2, task }, instances: [3] })).json())
    expect({ add: one.add, update: one.update, removed: one.remove.length }).toEqual({
      add: [],
      update: [],
      removed: 1,
    })
    expect(told).toEqual([])
  })

  test('diff: a body that breaks the schema, a job that would not be admitted, and a node that does not lead', async () => {
    const { app, set } = httpNode()
    const ask = async (payload: object) =>
      app.inject({ method: 'POST', url: '/api/v1/jobs/www-data/devel/hello:diff', payload })
    const broken = rest.problem.parse((await ask({ instances: [] })).json())
    expect(broken.faults?.map(({ path }) => path)).toEqual(['job', 'instances'])
    const refused = rest.problem.parse((await ask({ job: { ...JOB, instanceCount: 0 } })).json())
    expect(refused.detail).toBe('Instance count must be positive.')
    set.leader = FOLLOWING
    const sent = await ask({ job: JOB })
    expect({ status: sent.statusCode, to: sent.headers.location }).toEqual({
      status: 307,
      to: 'http://127.0.0.1:8181/api/v1/jobs/www-data/devel/hello:diff',
    })
  })

  test('detail: the job, its configuration, active tasks by instance and ended ones', async () => {
    const { app, ledger } = httpNode()
    ledger.put(
      putConfig(configRow()),
      putJob(jobRow(HELLO, { instanceCount: 2 })),
      putTask(taskRow('b', { instance: 1, status: 'RUNNING', ports: { http: 31_000 } })),
      putTask(taskRow('a', { instance: 0, status: 'PENDING' })),
      putTask(taskRow('z', { instance: 0, status: 'FAILED' })),
    )
    const response = await app.inject('/api/v1/jobs/www-data/devel/hello')
    const detail = rest.jobDetail.parse(response.json())
    expect(detail.job).toMatchObject({
      kind: 'service',
      instanceCount: 2,
      active: 2,
      inactive: 1,
      byStatus: { RUNNING: 1, PENDING: 1, FAILED: 1 },
      createdBy: 'www-data',
    })
    expect(detail.active.map(task => task.taskId)).toEqual(['a', 'b'])
    expect(detail.inactive.map(task => task.taskId)).toEqual(['z'])
    expect(detail.config?.ports).toEqual(['http'])
  })

  test('detail: its ETag stays while tasks move and goes with the count; If-None-Match with it: 304 without a body', async () => {
    const { app, ledger } = httpNode()
    ledger.put(putConfig(configRow()), putJob(jobRow()), putTask(taskRow('a')))
    const get = (tag?: string) =>
      app.inject({
        url: '/api/v1/jobs/www-data/devel/hello',
        ...(tag === undefined ? {} : { headers: { 'if-none-match': tag } }),
      })
    const etag = String((await get()).headers.etag)
    expect(etag).toMatch(/^"[0-9a-f]{16}"$/)
    for (const tag of [etag, `"x", W/${etag}`, '*']) {
      const same = await get(tag)
      expect([same.statusCode, same.body, same.headers.etag]).toEqual([304, '', etag])
    }
    ledger.put(putTask(taskRow('a', { status: 'RUNNING' })))
    const moved = await get()
    expect([moved.headers.etag, moved.headers['cache-control']]).toEqual([etag, 'no-store'])
    ledger.put(putTask(taskRow('b', { instance: 1 })))
    const changed = await get(etag)
    expect([changed.statusCode, changed.headers.etag === etag]).toEqual([200, false])
    const broken = await get('abc')
    expect([broken.statusCode, broken.json().remedy]).toEqual([400, expect.stringContaining('copy the ETag')])
    expect((await app.inject('/api/v1/jobs/www-data/devel/none')).headers.etag).toBeUndefined()
  })

  test('304 is a read: it waits for the lease, and a node that has lost it does not say it', async () => {
    const { app, ledger, set } = httpNode()
    ledger.put(putConfig(configRow()), putJob(jobRow()))
    ledger.lost = rejected('NOT_LEADER')
    set.leader = null
    const url = '/api/v1/jobs/www-data/devel/hello'
    const response = await app.inject({ url, headers: { 'if-none-match': '*' } })
    expect([response.statusCode, response.headers.etag]).toEqual([503, undefined])
  })

  test('If-Match reaches the job keeper, which decides; its refusal is 412 with the current version, also as ETag', async () => {
    const { app, told, set } = httpNode()
    const post = (verb: string, ifMatch: string, payload: object) =>
      app.inject({
        method: 'POST',
        url: `/api/v1/jobs/www-data/devel/hello:${verb}`,
        headers: { 'if-match': ifMatch },
        payload,
      })
    await post('kill', '"a1", W/"b2"', { all: true })
    await post('restart', '*', { all: true })
    await post('add', '"a1"', { like: 0, count: 1 })
    expect(told.map(({ type, ifVersion }) => [type, ifVersion])).toEqual([
      ['kill', ['a1', 'b2']],
      ['restart', 'any'],
      ['add', ['a1']],
    ])
    set.keeper = command =>
      command.replyTo.tell(rejected('VERSION_MISMATCH', 'moved', { remedy: 'look', version: 'c3' }))
    const refused = await post('kill', '"a1"', { all: true })
    expect([refused.statusCode, refused.headers.etag]).toEqual([412, '"c3"'])
    expect(rest.problem.parse(refused.json())).toMatchObject({
      code: 'VERSION_MISMATCH',
      version: 'c3',
      remedy: 'look',
    })
    expect((await post('kill', 'a1', { all: true })).statusCode).toBe(400)
    const quota = await app.inject({
      method: 'POST',
      url: '/api/v1/quotas/www-data:set',
      headers: { 'if-match': '"a1"' },
      payload: { cpusMilli: 1, ramMb: 1, diskMb: 1 },
    })
    expect([quota.statusCode, quota.json().remedy]).toEqual([422, 'leave the header out'])
    expect(told).toHaveLength(4)
  })

  test('detail of a job on every host: how many hosts there are, and on how many it is', async () => {
    const { app, ledger, set } = httpNode()
    const on = (id: string) => ({ agentId: agentRow(id).agentId, host: id, status: 'RUNNING' as const })
    ledger.put(
      putConfig(configRow('c', { everyHost: true })),
      putJob(jobRow(HELLO, { configId: configId('c') })),
      putTask(taskRow('t0', { instance: 0, configId: configId('c'), ...on('a') })),
      putTask(taskRow('t1', { instance: 1, configId: configId('c'), ...on('gone') })),
      putTask(taskRow('t2', { instance: 2, configId: configId('c') })),
    )
    const detail = async () => rest.jobDetail.parse((await app.inject('/api/v1/jobs/www-data/devel/hello')).json())
    expect(await detail()).not.toHaveProperty('everyHost')
    set.placement = {
      offers: () => [],
      pending: () => [],
      explain: () => null,
      allowedHosts: () => ['a', 'b', 'c'].map(id => agentRow(id).agentId),
      waiting: () => null,
      offer: () => null,
      largestHost: () => null,
    }
    expect((await detail()).everyHost).toEqual({ hosts: 3, served: 1 })
  })

  test('detail of a job that does not exist: 404 that names it', async () => {
    const { app } = httpNode()
    const response = await app.inject('/api/v1/jobs/www-data/devel/nope')
    expect(response.statusCode).toBe(404)
    expect(response.json()).toMatchObject({ detail: 'Job www-data/devel/nope does not exist' })
  })

  test('list: pages neither miss nor repeat a job while others come and go', async () => {
    const { app, ledger } = httpNode()
    const named = (name: string) => putJob(jobRow({ ...HELLO, name }))
    ledger.put(putConfig(configRow()), ...['a', 'b', 'c', 'd'].map(named))
    const first = rest.jobList.parse((await app.inject('/api/v1/jobs?limit=2')).json())
    expect(first.jobs.map(job => job.key.name)).toEqual(['a', 'b'])
    ledger.put({ type: 'delete', table: 'job', key: 'www-data/devel/b' }, named('aa'), named('cc'))
    const second = rest.jobList.parse((await app.inject(`/api/v1/jobs?limit=10&cursor=${first.next}`)).json())
    expect(second.jobs.map(job => job.key.name)).toEqual(['c', 'cc', 'd'])
    expect(second.next).toBeNull()
  })

  test('list with patterns: only what matches', async () => {
    const { app, ledger } = httpNode()
    ledger.put(putConfig(configRow()), putJob(jobRow()), putJob(jobRow({ ...HELLO, role: 'ads', name: 'bids' })))
    const names = async (query: string) =>
      rest.jobList.parse((await app.inject(`/api/v1/jobs?${query}`)).json()).jobs.map(job => job.key.name)
    expect(await names('role=w*')).toEqual(['hello'])
    expect(await names('name=b?ds')).toEqual(['bids'])
    expect(await names('role=w')).toEqual([])
  })

  test.each(['nonsense', writeCursor([1]), writeCursor(['a', 'b'])])('cursor %s: refused', async cursor => {
    const { app } = httpNode()
    const response = await app.inject(`/api/v1/jobs?cursor=${cursor}`)
    expect(response.statusCode).toBe(400)
    expect(response.json()).toMatchObject({ code: 'MALFORMED', remedy: 'begin again without `cursor`' })
  })

  test.each(['limit=0', 'limit=1001', 'limit=x'])('%s: refused with its name', async query => {
    const { app } = httpNode()
    expect((await app.inject(`/api/v1/jobs?${query}`)).json()).toMatchObject({
      code: 'INVALID_REQUEST',
      faults: [{ path: 'limit' }],
    })
  })
})

describe('questions that would keep the leader busy', () => {
  const tookMs = async (work: () => Promise<unknown>): Promise<number> => {
    const startMs = performance.now()
    await work()
    return performance.now() - startMs
  }

  test('a pattern of many stars: answered in time, and rightly', async () => {
    const { app, ledger } = httpNode()
    const key = { role: 'www-data', environment: 'prod', name: 'front-cache-of-the-shop-0123456789' }
    ledger.put(putConfig(configRow()), putJob(jobRow(key)))
    const found = async (name: string) =>
      rest.jobList.parse((await app.inject(`/api/v1/jobs?name=${encodeURIComponent(name)}`)).json()).jobs.length
    expect(await tookMs(async () => expect(await found(`${'*?'.repeat(8)}*!`)).toBe(0))).toBeLessThan(300)
    for (const good of ['front*', '*9', '*cache*shop*', '?ront-*', '*', '**', key.name])
      expect(await found(good)).toBe(1)
    for (const bad of ['front', '*8', '?', '*shop*cache*', `?${key.name}`, 'f.*']) expect(await found(bad)).toBe(0)
  })

  test('ranges of instances over and over: refused instead of written out', async () => {
    const { app, ledger } = httpNode()
    ledger.put(putConfig(configRow()))
    const query = Array.from({ length: 500 }, () => '0-99999').join(',')
    let response = { statusCode: 0, json: (): unknown => null }
    const ms = await tookMs(async () => {
      response = await app.inject(`/api/v1/tasks?instance=${query}`)
    })
    expect(response.statusCode).toBe(422)
    expect(response.json()).toMatchObject({ faults: [{ path: 'instance' }] })
    expect(ms).toBeLessThan(300)
  })

  test.each([
    [900, 'The request is not valid: it has more than 150000 parts'],
    [120, expect.stringMatching(/and 119900 more faults$/)],
  ])('a body with a thousand lists of %d things that are wrong: refused in time, and shortly', async (each, detail) => {
    const { app } = httpNode()
    const values = Array.from({ length: each }, () => 1)
    const constraint = { name: 'rack', rule: { type: 'value', negated: false, values } }
    const constraints = Array.from({ length: 1000 }, () => constraint)
    const payload = { job: { ...JOB, task: { ...JOB.task, constraints } } }
    const startMs = performance.now()
    const response = await app.inject({ method: 'POST', url: '/api/v1/jobs', payload })
    expect([response.statusCode, response.json().detail]).toEqual([422, detail])
    expect(response.payload.length).toBeLessThan(50_000)
    expect(performance.now() - startMs).toBeLessThan(each === 900 ? 1_000 : 3_000)
  })
})

describe('tasks', () => {
  test('list by status and instance: stable pages in the order of job, instance and id', async () => {
    const { app, ledger } = httpNode()
    ledger.put(
      putConfig(configRow()),
      putTask(taskRow('t1', { instance: 1, status: 'RUNNING' })),
      putTask(taskRow('t0', { instance: 0, status: 'RUNNING' })),
      putTask(taskRow('x0', { instance: 0, status: 'LOST' })),
    )
    const ids = async (query: string) => {
      const list = rest.taskList.parse((await app.inject(`/api/v1/tasks?${query}`)).json())
      return { ids: list.tasks.map(task => task.taskId), next: list.next }
    }
    expect((await ids('')).ids).toEqual(['t0', 'x0', 't1'])
    expect((await ids('status=active')).ids).toEqual(['t0', 't1'])
    expect((await ids('status=lost,RUNNING&instance=0')).ids).toEqual(['t0', 'x0'])
    const first = await ids('limit=1')
    expect((await ids(`limit=5&cursor=${first.next}`)).ids).toEqual(['x0', 't1'])
    expect((await app.inject('/api/v1/tasks?status=ALIVE')).statusCode).toBe(422)
  })

  test('list by job, host, id and ranges of instances: each filter holds; nonsense is named', async () => {
    const { app, ledger, deps } = httpNode()
    const web = { role: 'ads', environment: 'prod', name: 'web' }
    ledger.put(
      putConfig(configRow()),
      putTask(taskRow('h0', { instance: 0, status: 'RUNNING', host: 'a' })),
      putTask(taskRow('h3', { instance: 3, status: 'FAILED', host: 'b' })),
      putTask(taskRow('w0', { job: web, instance: 0, status: 'LOST', host: 'a' })),
      putTask(taskRow('w7', { job: web, instance: 7, status: 'RUNNING' })),
    )
    const ids = async (query: string) =>
      rest.taskList.parse((await app.inject(`/api/v1/tasks?${query}`)).json()).tasks.map(task => task.taskId)
    expect(await ids('job=ads/prod/web,no/such/job')).toEqual(['w0', 'w7'])
    expect(await ids('host=a')).toEqual(['w0', 'h0'])
    expect(await ids('host=a,b&instance=0-2&status=active')).toEqual(['h0'])
    expect(await ids('id=w7,h3,nope')).toEqual(['w7', 'h3'])
    expect(await ids('role=a*&instance=1,5-9')).toEqual(['w7'])
    expect(await ids('role=ads&environment=prod&name=web&status=LOST')).toEqual(['w0'])
    const metrics = await deps.metrics.text()
    for (const plan of ['by_job', 'by_host', 'by_id']) expect(metrics).toContain(`task_queries_${plan}`)
    for (const query of ['instance=x', 'instance=4-2', 'job=web', 'instance=0-999999999'])
      expect((await app.inject(`/api/v1/tasks?${query}`)).json()).toMatchObject({
        code: 'INVALID_REQUEST',
        faults: [{ path: query.split('=')[0] }],
      })
  })

  test('history: who wanted each step and why, null where nobody said', async () => {
    const { app, ledger } = httpNode()
    const events = [
      { atMs: 1, status: 'PENDING', scheduler: 's' },
      { atMs: 2, status: 'DRAINING', scheduler: 's', who: 'bob', why: 'a drill' },
    ] as const
    ledger.put(putConfig(configRow()), putTask(taskRow('t', { status: 'DRAINING', events })))
    const shown = rest.task.parse((await app.inject('/api/v1/tasks/t')).json()).events
    expect(shown.map(({ who, why }) => [who, why])).toEqual([
      [null, null],
      ['bob', 'a drill'],
    ])
  })

  test('where its sandbox is: by what its agent said of its work folder, null where nobody knows', async () => {
    const { app, ledger } = httpNode()
    ledger.put(
      putConfig(configRow()),
      putAgent(agentRow('told', { workDir: '/var/lib/daybreak' })),
      putAgent(agentRow('mute')),
      putTask(taskRow('t', { status: 'RUNNING', agentId: agentId('told'), host: 'h' })),
      putTask(taskRow('u', { status: 'RUNNING', instance: 1, agentId: agentId('mute'), host: 'i' })),
      putTask(taskRow('v', { status: 'PENDING', instance: 2 })),
    )
    const sandbox = async (id: string) => rest.task.parse((await app.inject(`/api/v1/tasks/${id}`)).json()).sandbox
    expect(await sandbox('t')).toBe('/var/lib/daybreak/tasks/t/sandbox')
    expect(await sandbox('u')).toBeNull()
    expect(await sandbox('v')).toBeNull()
  })

  test('a PENDING task: shows why it has no place', async () => {
    const { app, ledger, set } = httpNode()
    const row = taskRow('t')
    ledger.put(putConfig(configRow()), putTask(row))
    const group = {
      configId: row.configId,
      job: HELLO,
      taskIds: [row.taskId],
      penaltyMs: 5,
      reasons: ['Insufficient: CPU'],
      details: ['Insufficient: CPU (1 host)'],
    }
    set.placement = {
      offers: () => [],
      pending: () => [group],
      explain: () => null,
      allowedHosts: () => [],
      waiting: () => group,
      offer: () => null,
      largestHost: () => null,
    }
    expect(rest.task.parse((await app.inject('/api/v1/tasks/t')).json()).pendingReason).toBe('Insufficient: CPU')
    const { configId: _, ...shown } = group
    expect(rest.pending.parse((await app.inject('/api/v1/pending')).json()).pending).toEqual([shown])
  })

  test('an unknown task: 404 that names it', async () => {
    const { app } = httpNode()
    expect((await app.inject('/api/v1/tasks/nope')).json()).toMatchObject({
      status: 404,
      detail: 'Task nope does not exist',
    })
  })

  test('logs: asked of the agent, bytes as base64', async () => {
    const { app, ledger, asked, set } = httpNode()
    const agent = agentRow('a')
    ledger.put(
      putConfig(configRow()),
      putTask(taskRow('t', { status: 'RUNNING', agentId: agent.agentId, host: agent.host })),
    )
    set.gateway = command => {
      if (command.type !== 'readLog') throw new Error('expected a read')
      command.replyTo.tell({
        type: 'LOG_DATA',
        request: 1,
        offset: 3,
        size: 6,
        data: new Uint8Array([104, 105]),
        rotated: false,
        error: null,
        process: 'server',
        run: 2,
      })
    }
    const piece = rest.logPiece.parse((await app.inject('/api/v1/tasks/t/logs?offset=3&length=2&stream=stderr')).json())
    expect(piece).toEqual({
      process: 'server',
      run: 2,
      stream: 'stderr',
      offset: 3,
      size: 6,
      rotated: false,
      data: 'aGk=',
    })
    expect(asked).toMatchObject([
      { taskId: 't', agentId: 'a', process: null, run: null, stream: 'stderr', offset: 3, length: 2 },
    ])
  })

  test('logs of a task without a host: 404; with an agent that is gone: 503', async () => {
    const { app, ledger, set } = httpNode()
    ledger.put(putConfig(configRow()), putTask(taskRow('p')))
    ledger.put(putTask(taskRow('t', { instance: 1, status: 'RUNNING', agentId: agentRow('a').agentId })))
    set.gateway = command => {
      if (command.type === 'readLog') command.replyTo.tell(rejected('AGENT_UNREACHABLE'))
    }
    expect((await app.inject('/api/v1/tasks/p/logs')).statusCode).toBe(404)
    const gone = await app.inject('/api/v1/tasks/t/logs')
    expect([gone.statusCode, gone.headers['retry-after']]).toEqual([503, '1'])
  })
})

describe('agents', () => {
  test('list: free resources and ports from the offer, tasks counted', async () => {
    const { app, ledger, set } = httpNode()
    const row = agentRow('a')
    ledger.put(
      putConfig(configRow()),
      putAgent(row),
      putTask(taskRow('t', { status: 'RUNNING', agentId: row.agentId })),
    )
    const free = { cpusMilli: 1, ramMb: 2, diskMb: 3, gpus: 0 }
    const offer = {
      id: 'a#1',
      agentId: row.agentId,
      host: row.host,
      free,
      revocableMilli: 0,
      freePorts: 7,
      portRanges: [],
    }
    set.placement = {
      offers: () => [offer],
      pending: () => [],
      explain: () => null,
      allowedHosts: () => [],
      waiting: () => null,
      offer: () => offer,
      largestHost: () => null,
    }
    const list = rest.agentList.parse((await app.inject('/api/v1/agents')).json())
    expect(list.agents).toMatchObject([{ agentId: 'a', connected: true, silentMs: 12, free, freePorts: 7, tasks: 1 }])
  })
})

describe('output commit', () => {
  test('a read of what is staged but not committed: answered only after the commit', async () => {
    const { app, ledger } = httpNode()
    ledger.isHeld = true
    ledger.put(putConfig(configRow()), putJob(jobRow()))
    let answered = false
    const response = app.inject('/api/v1/jobs').then(got => {
      answered = true
      return got
    })
    // Every other read of the node still answers, so the first one had its turn.
    await app.inject('/health')
    expect(answered).toBe(false)
    ledger.commit()
    expect(rest.jobList.parse((await response).json()).jobs).toHaveLength(1)
  })
})

describe('who answers', () => {
  test('another node leads: 307 to it with path and query', async () => {
    const { app, set, told } = httpNode()
    set.leader = FOLLOWING
    const read = await app.inject('/api/v1/jobs?role=a')
    expect([read.statusCode, read.headers.location]).toEqual([307, 'http://127.0.0.1:8181/api/v1/jobs?role=a'])
    const write = await app.inject({ method: 'POST', url: KILL_URL, payload: { all: true } })
    expect([write.statusCode, write.headers.location]).toEqual([307, `http://127.0.0.1:8181${KILL_URL}`])
    expect(told).toEqual([])
  })

  test('another node leads and has not told its address yet: 503, and nobody is sent round in circles', async () => {
    const { app, set, ledger } = httpNode()
    set.leader = { ...FOLLOWING, leader: { memberId: 2, httpUrl: '' } }
    Object.assign(ledger, { open: false, refused: rejected('NOT_LEADER') })
    const response = await app.inject('/api/v1/jobs')
    expect([response.statusCode, response.headers.location]).toEqual([503, undefined])
  })

  test('no leader: 503 `Storage is not READY` with Retry-After and a remedy', async () => {
    const { app, set, ledger } = httpNode()
    set.leader = null
    Object.assign(ledger, { open: false, refused: rejected('STORAGE_NOT_READY') })
    const response = await app.inject('/api/v1/jobs')
    expect([response.statusCode, response.headers['retry-after']]).toEqual([503, '1'])
    expect(response.json()).toMatchObject({
      code: 'STORAGE_NOT_READY',
      detail: 'Storage is not READY',
      remedy: expect.stringContaining('daybreak log status'),
    })
  })

  test('another node leads, with the bypass header: answered here, as not ready', async () => {
    const { app, set, ledger } = httpNode()
    set.leader = FOLLOWING
    Object.assign(ledger, { open: false, refused: rejected('NOT_LEADER') })
    const response = await app.inject({ url: '/api/v1/jobs', headers: { 'bypass-leader-redirect': '1' } })
    expect(response.json()).toMatchObject({ status: 503, code: 'NOT_LEADER' })
  })

  test('leadership lost while a read waits for the lease: on to the new leader if it is known, else refused; never answered', async () => {
    const { app, set, ledger } = httpNode()
    ledger.put(putConfig(configRow()), putJob(jobRow()), putTask(taskRow('t')))
    const urls = ['jobs', 'jobs/www-data/devel/hello', 'tasks', 'tasks/t', 'tasks/nobody', 'agents', 'pending']
    ledger.lost = rejected('NOT_LEADER', undefined, { remedy: 'try again' })
    for (const url of urls.map(end => `/api/v1/${end}`)) {
      // Evaluated while it seemed to lead, as after standing still.
      set.leader = LEADING
      ledger.isHeld = true
      const response = app.inject(url).then(got => got)
      await app.inject('/health')
      set.leader = url.endsWith('pending') ? null : FOLLOWING
      ledger.commit()
      const { statusCode, headers } = await response
      if (set.leader === null) expect([statusCode, headers['retry-after']]).toEqual([503, '1'])
      else expect([statusCode, headers.location]).toEqual([307, `http://127.0.0.1:8181${url}`])
    }
  })

  test('a process that is only an agent: REST says so', async () => {
    const { deps } = httpNode()
    const { createHttpApp } = await import('../../src/runtime/http-server.ts')
    const agent = createHttpApp({ ...deps, scheduler: null })
    for (const url of ['/api/v1/jobs', '/api/v1/cluster', '/api/v1/log/status']) {
      expect((await agent.inject(url)).statusCode).toBe(503)
    }
    expect((await agent.inject('/health')).statusCode).toBe(200)
  })
})

describe('place of a fault in JSON', () => {
  test.each<[string, number]>([
    ['{"a": }', 6],
    ['[1, 2', 5],
    ['{"a": 1,}', 8],
    ['{"a" 1}', 5],
    ['[tru]', 1],
    ['{"a": "x', 6],
    ['[1] x', 4],
    ['{a: 1}', 1],
    ['[1, -]', 4],
  ])('%s: offset %i', (text, offset) => {
    expect(jsonFaultAt(text)).toBe(offset)
  })

  test('JSON without a fault: its end', () => {
    const text = ' {"a": [1, -2.5e3, "\\u00e9\\n", true, null, {}], "b": []} '
    expect(JSON.parse(text)).toBeTruthy()
    expect(jsonFaultAt(text)).toBe(text.length)
  })
})

describe('errors', () => {
  test('an unknown path: 404 problem that lists routes nearby', async () => {
    const { app } = httpNode()
    const response = await app.inject('/api/v1/job')
    expect(response.statusCode).toBe(404)
    expect(response.headers['content-type']).toBe('application/problem+json')
    expect(response.json()).toMatchObject({ code: 'NOT_FOUND', remedy: expect.stringContaining('GET /api/v1/jobs') })
  })

  test('a wrong method: 405 with Allow', async () => {
    const { app } = httpNode()
    const response = await app.inject({ method: 'DELETE', url: '/api/v1/jobs' })
    expect([response.statusCode, response.headers.allow]).toEqual([405, 'GET, HEAD, POST'])
    const kill = await app.inject({ method: 'GET', url: KILL_URL })
    expect([kill.statusCode, kill.headers.allow]).toEqual([405, 'POST'])
  })

  test('a body that is too large, or of another type: 413 and 415 problems', async () => {
    const { deps } = httpNode()
    const { createHttpApp } = await import('../../src/runtime/http-server.ts')
    const app = createHttpApp(deps, { bodyMax: 100 })
    const large = await app.inject({ method: 'POST', url: '/api/v1/jobs', payload: { job: 'x'.repeat(200) } })
    expect([large.statusCode, large.json().detail]).toEqual([413, 'The body is larger than 100 bytes'])
    const text = await app.inject({
      method: 'POST',
      url: '/api/v1/jobs',
      headers: { 'content-type': 'text/plain' },
      payload: 'x',
    })
    expect([text.statusCode, text.headers['content-type']]).toEqual([415, 'application/problem+json'])
  })

  test('a fault of the node itself: 500 that tells nothing of the inside', async () => {
    const { app, set } = httpNode()
    Object.defineProperty(set, 'placement', {
      get: () => {
        throw new Error('inner secret')
      },
    })
    const response = await app.inject('/api/v1/pending')
    expect(response.statusCode).toBe(500)
    expect(response.json().code).toBe('INTERNAL')
    expect(response.body).not.toContain('inner secret')
  })

  test('every rejection of the table: its own status, as a problem', async () => {
    const { app, set } = httpNode()
    for (const [code, row] of Object.entries(REJECTIONS)) {
      set.keeper = command => command.replyTo.tell(rejected(code as keyof typeof REJECTIONS))
      const response = await app.inject({ method: 'POST', url: KILL_URL, payload: { all: true } })
      expect([response.statusCode, rest.problem.parse(response.json()).code]).toEqual([row.http, code])
    }
  })

  test('a request id with a control character: refused', async () => {
    const { app, told } = httpNode()
    const response = await app.inject({
      method: 'POST',
      url: KILL_URL,
      headers: { 'idempotency-key': 'a b' },
      payload: { all: true },
    })
    expect(response.statusCode).toBe(400)
    expect(told).toEqual([])
  })
})

describe('cluster and log', () => {
  test('cluster: who leads and how far this node is', async () => {
    const { app } = httpNode()
    expect(rest.cluster.parse((await app.inject('/api/v1/cluster')).json())).toMatchObject({
      role: 'LEADER',
      scheduler: { state: 'ACTIVE', waitsFor: null },
      commit: 5,
      memberId: 1,
    })
  })

  test('log status and entries: as the log tells them, payloads as base64', async () => {
    const { app } = httpNode()
    expect((await app.inject('/api/v1/log/status')).json()).toMatchObject({ status: 'VOTING', quorum: 1 })
    const { entries, next } = (await app.inject('/api/v1/log/entries?from=2&to=3')).json()
    expect(next).toBeNull()
    expect(entries).toEqual([
      { position: 2, ballot: [1, 1], type: 'DATA', payload: 'AA==' },
      { position: 3, ballot: [1, 1], type: 'DATA', payload: 'AQ==' },
    ])
    expect((await app.inject('/api/v1/log/entries?from=5&to=3')).json().detail).toContain('Bad read range')
  })

  test('log entries that are truncated or not committed yet: refused by name, saying what is held', async () => {
    const { app, set } = httpNode()
    set.logStatus = { ...set.logStatus, begin: 51, end: 70, commit: 60 }
    const before = await app.inject('/api/v1/log/entries?from=50')
    expect(before.statusCode).toBe(422)
    expect(before.json().detail).toBe('TRUNCATED: the log begins at 51')
    expect(before.json().remedy).toBe('positions 51 to 60 are held and committed')
    const after = await app.inject('/api/v1/log/entries?from=55&to=61')
    expect(after.json().detail).toBe('PAST_COMMIT: the log is committed up to 60')
    expect(after.statusCode).toBe(422)
    expect((await app.inject('/api/v1/log/entries')).json().entries).toHaveLength(10)
  })

  test('log entries of which only the last are not committed yet: refused at the first page already', async () => {
    const { app, set } = httpNode()
    set.logStatus = { ...set.logStatus, begin: 1, end: 6_000, commit: 5_000 }
    const answer = await app.inject('/api/v1/log/entries?from=1&to=5001')
    expect(answer.statusCode).toBe(422)
    expect(answer.json().detail).toBe('PAST_COMMIT: the log is committed up to 5000')
  })

  test('log entries right after a snapshot, before the first one: none, and asked for one by number: refused', async () => {
    const { app, set } = httpNode()
    set.logStatus = { ...set.logStatus, begin: 51, end: 50, commit: 50 }
    expect((await app.inject('/api/v1/log/entries')).json()).toEqual({ entries: [], next: null })
    const one = (await app.inject('/api/v1/log/entries?from=50&to=50')).json()
    expect(one).toMatchObject({ detail: 'TRUNCATED: the log begins at 51', remedy: 'no entry is held and committed' })
  })
})

describe('openapi', () => {
  test('the document: every route under /api/v1 with its answer, every reference resolves, served as JSON', async () => {
    const { app } = httpNode()
    const document = (await app.inject('/api/v1/openapi.json')).json()
    expect(document.openapi).toBe('3.1.0')
    const operations = Object.entries(document.paths as Record<string, object>).flatMap(([path, methods]) =>
      Object.keys(methods).map(method => `${method.toUpperCase()} ${path}`),
    )
    expect(operations.sort()).toEqual([
      'GET /agents',
      'GET /agents/{agentId}',
      'GET /backups',
      'GET /backups/diff',
      'GET /backups/tasks',
      'GET /cluster',
      'GET /events',
      'GET /jobs',
      'GET /jobs/{role}/{environment}/{name}',
      'GET /jobs/{role}/{environment}/{name}/explain',
      'GET /log/entries',
      'GET /log/status',
      'GET /openapi.json',
      'GET /pending',
      'GET /quotas',
      'GET /quotas/{role}',
      'GET /roles',
      'GET /search',
      'GET /tasks',
      'GET /tasks/{taskId}',
      'GET /tasks/{taskId}/logs',
      'GET /tasks/{taskId}/why',
      'GET /tiers',
      'GET /whoami',
      'POST /admin:reconcile',
      'POST /admin:release-held',
      'POST /backups',
      'POST /backups:commit',
      'POST /backups:drop',
      'POST /backups:stage',
      'POST /backups:unload',
      'POST /jobs',
      'POST /jobs/{role}/{environment}/{name}:add',
      'POST /jobs/{role}/{environment}/{name}:diff',
      'POST /jobs/{role}/{environment}/{name}:kill',
      'POST /jobs/{role}/{environment}/{name}:restart',
      'POST /log:transfer',
      'POST /quotas/{role}:increase',
      'POST /quotas/{role}:set',
      'POST /tasks/{taskId}:force-state',
      'POST /tasks:prune',
      'POST /what-if',
    ])
    const references = [...JSON.stringify(document).matchAll(/"\$ref":"#\/components\/schemas\/(\w+)"/g)].map(
      match => match[1] ?? '',
    )
    expect(references.length).toBeGreaterThan(10)
    for (const name of references) expect(document.components.schemas).toHaveProperty(name)
    const ids = Object.values(document.paths as Record<string, Record<string, { operationId: string }>>)
      .flatMap(methods => Object.values(methods))
      .map(operation => operation.operationId)
    expect(new Set(ids).size).toBe(ids.length)
    const { parameters } = document.paths['/jobs'].get
    expect(
      parameters.map((parameter: { name: string; required: boolean }) => [parameter.name, parameter.required]),
    ).toContainEqual(['limit', false])
  })

  test('the schema of a job: carries the bounds that requests are checked by', async () => {
    const { app } = httpNode()
    const { components } = (await app.inject('/api/v1/openapi.json')).json()
    expect(components.schemas.CreateJob.properties.job.properties.task.properties.ports).toMatchObject({
      type: 'array',
      maxItems: 1000,
    })
  })
})

describe('leadership of the log', () => {
  const transfer = (app: ReturnType<typeof httpNode>['app'], payload?: object) =>
    app.inject({ method: 'POST', url: '/api/v1/log:transfer', ...(payload === undefined ? {} : { payload }) })

  test('handed over: who leads now and how long it took; nobody named: whoever holds most', async () => {
    const { app, transfers, set } = httpNode()
    set.logStatus = { ...set.logStatus, view: FOLLOWING }
    const response = await transfer(app, { to: 2 })
    expect(response.statusCode).toBe(200)
    expect(rest.logTransfer.parse(response.json())).toEqual({
      memberId: 2,
      httpUrl: 'http://127.0.0.1:8181',
      moved: true,
      tookMs: 40,
    })
    await transfer(app)
    expect(transfers).toEqual([2, null])
  })

  test('the member leads already: says so, and it is no error', async () => {
    const { app, set } = httpNode()
    set.transfer = { type: 'already', memberId: 1 }
    const response = await transfer(app, { to: 1 })
    expect([response.statusCode, response.json()]).toEqual([
      200,
      { memberId: 1, httpUrl: 'http://127.0.0.1:8081', moved: false, tookMs: 0 },
    ])
  })

  test('asked of a follower: sent on to the leader, and nothing is done here', async () => {
    const { app, transfers, set } = httpNode()
    set.leader = FOLLOWING
    const response = await transfer(app, { to: 3 })
    expect([response.statusCode, response.headers.location]).toEqual([307, 'http://127.0.0.1:8181/api/v1/log:transfer'])
    expect(transfers).toEqual([])
  })

  test.each([
    ['notNow', 409, 'HAND_OVER_REFUSED'],
    ['noSuchMember', 422, 'INVALID_REQUEST'],
    ['notLeader', 503, 'NOT_LEADER'],
  ] as const)('refused (%s): %i %s, with the reason and what to do', async (why, status, code) => {
    const { app, set } = httpNode()
    set.transfer = { type: 'refused', why, detail: 'member 2 is away', remedy: 'start it' }
    const response = await transfer(app, { to: 2 })
    expect(response.statusCode).toBe(status)
    expect(response.json()).toMatchObject({ code, detail: 'member 2 is away', remedy: 'start it' })
  })

  test('released, but nobody was seen to lead: the outcome is unknown', async () => {
    const { app, set } = httpNode()
    set.transfer = { type: 'unknown', detail: 'nobody was seen to lead', remedy: 'look' }
    expect((await transfer(app)).json()).toMatchObject({ code: 'OUTCOME_UNKNOWN', detail: 'nobody was seen to lead' })
  })

  test('a member that is none: refused before anything is done', async () => {
    const { app, transfers } = httpNode()
    expect((await transfer(app, { to: 'node-2' })).statusCode).toBe(422)
    expect(transfers).toEqual([])
  })
})
