/** The paths that Aurora serves beside its Thrift interface, over a real HTTP server. */
import { gunzipSync } from 'node:zlib'
import { afterEach, describe, expect, test } from 'vitest'
import type { OfferView, PlacementView } from '../../src/actors/offer-broker.ts'
import { agentId, configId, taskId } from '../../src/core/base/ids.ts'
import type { TaskConfig } from '../../src/core/job/task-config.ts'
import type { RowChange } from '../../src/core/ledger/transaction.ts'
import { FOLLOWING, type HttpNode, httpNode, LEADING } from '../fixtures/http-node.ts'
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

interface Served extends HttpNode {
  readonly url: string
}
const nodes: HttpNode[] = []
async function serve(...rows: RowChange[]): Promise<Served> {
  const made = httpNode()
  nodes.push(made)
  if (rows.length > 0) made.ledger.put(...rows)
  return { ...made, url: await made.app.listen({ host: '127.0.0.1', port: 0 }) }
}
afterEach(async () => {
  for (const { app } of nodes.splice(0)) await app.close()
})

const ask = ({ url }: Served, path: string, init: RequestInit = {}): Promise<Response> =>
  fetch(url + path, { redirect: 'manual', ...init })
async function json({ url }: Served, path: string): Promise<unknown> {
  const response = await fetch(url + path)
  expect([response.status, response.headers.get('content-type')]).toEqual([200, 'application/json; charset=utf-8'])
  return response.json()
}
async function html(served: Served, path: string): Promise<string> {
  const response = await ask(served, path)
  expect([response.status, response.headers.get('content-type')]).toEqual([200, 'text/html; charset=utf-8'])
  return response.text()
}
/** Texts of the cells of each row of the table. */
function cells(page: string): string[][] {
  return [...page.matchAll(/<tr>(<td>.*?)<\/tr>/g)].map(([, row = '']) =>
    [...row.matchAll(/<td>(.*?)<\/td>/g)].map(([, cell = '']) => cell.replace(/<[^>]*>/g, '')),
  )
}
const quotaRow = (role: string, cpusMilli: number): RowChange => {
  return { type: 'put', table: 'quota', key: role, row: { v: 1, role, quota: { cpusMilli, ramMb: 128, diskMb: 256 } } }
}
const NO_PLACEMENT: PlacementView = {
  offers: () => [],
  pending: () => [],
  explain: () => null,
  allowedHosts: () => [],
  waiting: () => null,
  offer: () => null,
  largestHost: () => null,
}

const LEADER_PATHS = [
  '/agents',
  '/slaves',
  '/offers',
  '/cron',
  '/maintenance',
  '/pendingtasks',
  '/quotas',
  '/state',
  '/tiers',
  '/utilization',
  '/utilization/TOTAL_CONSUMED',
  '/mname/www-data/devel/hello/0/x',
] as const

describe('who answers', () => {
  test('api-1: the leader answers; another node sends to it, with path and query as they were', async () => {
    const served = await serve(
      putTask(taskRow('t', { status: 'RUNNING', host: 'h1', agentId: agentId('a'), ports: { http: 31_000 } })),
    )
    for (const path of LEADER_PATHS) {
      served.set.leader = LEADING
      expect([path, (await ask(served, path)).status]).toEqual([path, path.startsWith('/mname') ? 307 : 200])
      served.set.leader = FOLLOWING
      const sent = await ask(served, `${path}?a=b%20c&d`)
      expect([sent.status, sent.headers.get('location')]).toEqual([307, `http://127.0.0.1:8181${path}?a=b%20c&d`])
    }
  })

  test('api-2: nobody leads: 503 with the page that says so, and the page of the node itself is there', async () => {
    const served = await serve()
    served.set.leader = null
    served.ledger.open = false
    for (const path of LEADER_PATHS) {
      const none = await ask(served, path, { headers: { accept: 'text/html,*/*' } })
      expect([none.status, none.headers.get('content-type')]).toEqual([503, 'text/html; charset=utf-8'])
      expect(none.headers.get('retry-after')).toBeNull()
      const page = await none.text()
      expect(page).toContain('<title>No Leader Found</title>')
      expect(page).toContain('Storage is not READY')
    }
    expect((await ask(served, '/')).status).toBe(200)
    const problem = await ask(served, '/offers', { headers: { accept: 'application/json' } })
    expect([problem.status, problem.headers.get('content-type')]).toEqual([503, 'application/problem+json'])
    expect(await problem.json()).toMatchObject({ code: 'STORAGE_NOT_READY' })
  })

  test('api-3: whose the reign is cannot be told: /leaderhealth 502, leader paths 503, never a redirect', async () => {
    const served = await serve()
    const lives = [
      // The ballot is this node's, and it has not begun to act for the cluster.
      { leader: LEADING, isAdvertised: false, open: true },
      // A ballot is known, and nobody who holds it.
      { leader: { ...FOLLOWING, leader: null }, isAdvertised: false, open: false },
      { leader: null, isAdvertised: false, open: false },
    ]
    for (const { leader, isAdvertised, open } of lives) {
      served.set.leader = leader
      served.set.life = { state: 'LEADER_AWAITING_REGISTRATION', isAdvertised, isRegistered: false, waitsFor: 'x' }
      served.ledger.open = open
      expect((await ask(served, '/leaderhealth')).status).toBe(502)
      for (const path of LEADER_PATHS) expect([path, (await ask(served, path)).status]).toEqual([path, 503])
    }
  })

  test('passing by the redirect, a node that does not lead says that its storage is not ready', async () => {
    const served = await serve()
    served.set.leader = FOLLOWING
    served.ledger.open = false
    const response = await ask(served, '/state', { headers: { 'bypass-leader-redirect': 'true' } })
    expect([response.status, await response.json()]).toEqual([
      503,
      expect.objectContaining({ detail: 'Storage is not READY' }),
    ])
  })

  test('leadership is lost before an answer may leave: it does not leave, the new leader is named', async () => {
    const served = await serve()
    served.ledger.isHeld = true
    const asked = ask(served, '/quotas?role=x')
    await expect.poll(() => served.ledger.waiting).toBe(1)
    served.set.leader = FOLLOWING
    served.ledger.lost = { type: 'rejected', code: 'NOT_LEADER', detail: 'This node is not the leader' }
    served.ledger.commit()
    expect((await asked).headers.get('location')).toBe('http://127.0.0.1:8181/quotas?role=x')
  })

  test('a method that is not served: 405 with those that are', async () => {
    const served = await serve()
    const posted = await ask(served, '/offers', { method: 'POST' })
    expect([posted.status, posted.headers.get('allow')]).toEqual([405, 'GET, HEAD'])
    const patched = await ask(served, '/mname/r/e/j/0/a/b', { method: 'PATCH' })
    expect([patched.status, patched.headers.get('allow')]).toEqual([405, 'GET, HEAD, PUT, POST, DELETE'])
  })

  test('api-8: a long answer is compressed for who takes gzip', async () => {
    const { app } = await serve(...Array.from({ length: 200 }, (_, n) => quotaRow(`role-${n}`, 1_000)))
    const response = await app.inject({ url: '/quotas', headers: { 'accept-encoding': 'gzip' } })
    expect(response.headers['content-encoding']).toBe('gzip')
    expect(Object.keys(JSON.parse(String(gunzipSync(response.rawPayload))))).toHaveLength(200)
  })
})

describe('documents', () => {
  test('nothing is there: each is empty in its own shape', async () => {
    const served = await serve()
    expect(await json(served, '/offers')).toEqual([])
    expect(await json(served, '/cron')).toEqual({ scheduled: {} })
    expect(await json(served, '/maintenance')).toEqual({ DRAINED: [], SCHEDULED: [], DRAINING: {} })
    expect(await json(served, '/pendingtasks')).toEqual([])
    expect(await json(served, '/quotas')).toEqual({})
    expect(await json(served, '/state')).toEqual({ taskConfigs: {}, agents: {} })
  })

  test('/offers: what is free, lent cores apart, ports as ranges; an agent that has nothing left has no offer', async () => {
    const attributes = [{ name: 'rack', values: ['r1', 'r2'] }]
    const served = await serve(putAgent(agentRow('a', { attributes })), putAgent(agentRow('b')))
    const free = { cpusMilli: 1_500, ramMb: 64, diskMb: 0, gpus: 0 }
    const none = { cpusMilli: 0, ramMb: 0, diskMb: 0, gpus: 0 }
    const offer = (id: string, more: Partial<OfferView>): OfferView => ({
      id: `${id}#1`,
      agentId: agentId(id),
      host: id,
      free: none,
      revocableMilli: 0,
      freePorts: 0,
      portRanges: [],
      ...more,
    })
    served.set.placement = {
      ...NO_PLACEMENT,
      offers: () => [
        offer('a', { free, revocableMilli: 250, freePorts: 3, portRanges: [[31_000, 31_002]] }),
        offer('b', {}),
      ],
    }
    expect(await json(served, '/offers')).toEqual([
      {
        id: { value: 'a#1' },
        framework_id: { value: 'local' },
        agent_id: { value: 'a' },
        hostname: 'a.example',
        resources: [
          { name: 'cpus', type: 'SCALAR', scalar: { value: 1.5 } },
          { name: 'cpus', type: 'SCALAR', scalar: { value: 0.25 }, revocable: {} },
          { name: 'mem', type: 'SCALAR', scalar: { value: 64 } },
          { name: 'ports', type: 'RANGES', ranges: { range: [{ begin: 31_000, end: 31_002 }] } },
        ],
        attributes: [
          { name: 'rack', type: 'TEXT', text: { value: 'r1' } },
          { name: 'rack', type: 'TEXT', text: { value: 'r2' } },
        ],
      },
    ])
  })

  test('/cron: templates alone, by key', async () => {
    const nightly = { ...HELLO, name: 'nightly' }
    const cron = { schedule: '0 3 * * *', collisionPolicy: 'KILL_EXISTING' } as const
    const served = await serve(putJob(jobRow(HELLO)), putJob(jobRow(nightly, { cron })))
    expect(await json(served, '/cron')).toEqual({ scheduled: { 'www-data/devel/nightly': '0 3 * * *' } })
  })

  test('api-42: a host that is drained and has no tasks any more is not named as such; the others are, by their mode', async () => {
    const on = (id: string) => ({ agentId: agentId(id), host: `${id}.example` })
    const served = await serve(
      putAgent(agentRow('a', { mode: 'DRAINING' })),
      putAgent(agentRow('b', { mode: 'DRAINING' })),
      putAgent(agentRow('d', { mode: 'DRAINED' })),
      putAgent(agentRow('c', { mode: 'DRAINED' })),
      putAgent(agentRow('e', { mode: 'SCHEDULED' })),
      putAgent(agentRow('f')),
      putTask(taskRow('t1', { status: 'DRAINING', ...on('a') })),
      putTask(taskRow('t2', { status: 'KILLED', ...on('b') })),
      putTask(taskRow('t3', { instance: 1, status: 'RUNNING', ...on('f') })),
    )
    expect(await json(served, '/maintenance')).toEqual({
      DRAINED: ['c.example', 'd.example'],
      SCHEDULED: ['e.example'],
      DRAINING: { 'a.example': ['t1'] },
    })
  })

  test('/maintenance: a host whose agent was set up anew while it is drained has the tasks of both', async () => {
    const both = { mode: 'DRAINING', host: 'a.example' } as const
    const on = (id: string) => ({ status: 'DRAINING', agentId: agentId(id), host: 'a.example' }) as const
    const served = await serve(
      putAgent(agentRow('a1', both)),
      putAgent(agentRow('a2', both)),
      putTask(taskRow('t1', on('a1'))),
      putTask(taskRow('t2', { instance: 1, ...on('a2') })),
    )
    expect(await json(served, '/maintenance')).toMatchObject({ DRAINING: { 'a.example': ['t1', 't2'] } })
  })

  test('api-42: two configurations of one job that wait are two entries, each with its own reason', async () => {
    const served = await serve()
    const group = (of: string, ids: string[], reasons: string[], penaltyMs: number) => ({
      configId: configId(of),
      job: HELLO,
      taskIds: ids.map(taskId),
      penaltyMs,
      reasons,
      details: [],
    })
    served.set.placement = {
      ...NO_PLACEMENT,
      pending: () => [
        group('c1', ['t0', 't1'], ['Insufficient: CPU', 'Insufficient: RAM'], 4_000),
        group('c2', ['t2'], [], 1_000),
      ],
    }
    const name = 'www-data/devel/hello'
    expect(await json(served, '/pendingtasks')).toEqual([
      { name, taskIds: ['t0', 't1'], penaltyMs: 4_000, reason: '[Insufficient: CPU, Insufficient: RAM]' },
      { name, taskIds: ['t2'], penaltyMs: 1_000, reason: '[]' },
    ])
  })

  test('/quotas: of every role, or of one; of an unknown one nothing', async () => {
    const served = await serve(quotaRow('www-data', 2_500), quotaRow('ads', 1_000))
    const webData = { cpu_cores: 2.5, ram_mb: 128, disk_mb: 256 }
    expect(await json(served, '/quotas')).toEqual({ ads: { ...webData, cpu_cores: 1 }, 'www-data': webData })
    expect(await json(served, '/quotas?role=www-data')).toEqual({ 'www-data': webData })
    expect(await json(served, '/quotas?role=nobody')).toEqual({})
  })

  test('/state: a key for each task that an agent has, and what the keys stand for', async () => {
    const on = { agentId: agentId('a'), host: 'a.example', status: 'RUNNING' } as const
    const c1 = { configId: configId('c1') }
    const served = await serve(
      putConfig(configRow('c1')),
      putAgent(agentRow('a')),
      putAgent(agentRow('b')),
      putTask(taskRow('t0', { instance: 0, ...on, ...c1 })),
      putTask(taskRow('t1', { instance: 1, ...on, ...c1 })),
      putTask(taskRow('t2', { instance: 2, ...c1 })),
      putTask(taskRow('t3', { instance: 3, ...on, ...c1, status: 'FAILED' })),
    )
    const key = 'www-data/devel/hello-c1'
    const { taskConfigs, agents } = (await json(served, '/state')) as { taskConfigs: object; agents: object }
    expect(agents).toEqual({ a: [key, key] })
    expect(taskConfigs).toEqual({
      [key]: {
        job: { role: 'www-data', environment: 'devel', name: 'hello' },
        owner: { user: 'www-data' },
        isService: true,
        priority: 0,
        maxTaskFailures: 1,
        production: false,
        tier: 'preemptible',
        resources: [{ numCpus: 0.1 }, { ramMb: 64 }, { diskMb: 64 }, { namedPort: 'http' }],
        constraints: [],
        mesosFetcherUris: [],
        taskLinks: {},
        executorConfig: { name: 'DaybreakExecutor', data: '{}' },
        metadata: [],
        container: { mesos: { volumes: [] } },
      },
    })
  })

  test('/tiers: the default one and what each means', async () => {
    expect(await json(await serve(), '/tiers')).toEqual({
      default: 'preemptible',
      tiers: {
        preferred: { preemptible: false, revocable: false },
        preemptible: { preemptible: true, revocable: false },
        revocable: { preemptible: true, revocable: true },
      },
    })
  })
})

describe('pages', () => {
  test("what an agent says of itself runs in nobody's browser: no link to a script, and no script at all", async () => {
    const served = await serve(
      putAgent(agentRow('a', { logUrl: 'javascript:fetch("/abortabortabort",{method:"POST"})' })),
    )
    const response = await ask(served, '/agents')
    expect(await response.text()).not.toContain('javascript:')
    expect(response.headers.get('content-security-policy')).toMatch(/^default-src 'none'/)
  })

  test('/agents and /slaves: hosts by name with mode and attributes, linked where the agent serves; markup is shown as text', async () => {
    const served = await serve(
      putAgent(agentRow('b', { mode: 'DRAINED', logUrl: 'http://b.example:8080' })),
      putAgent(
        agentRow('a', {
          attributes: [
            { name: 'rack', values: ['r1', '<b>'] },
            { name: 'dedicated', values: ['ads/x'] },
          ],
        }),
      ),
    )
    for (const path of ['/agents', '/slaves']) {
      const page = await html(served, path)
      expect(cells(page)).toEqual([
        ['a.example', 'a', 'NONE', 'dedicated=[ads/x], rack=[r1,&#60;b&#62;]'],
        ['b.example', 'b', 'DRAINED', ''],
      ])
      expect(page).toContain('<a href="http://b.example:8080">b.example</a>')
    }
  })

  test('/utilization: whole cores and MB of active tasks by pool, by role and by job; any case; another metric is 400', async () => {
    const other = { role: 'ads', environment: 'prod', name: 'x' }
    const amounts = (cpusMilli: number) => ({ cpusMilli, ramMb: 100, diskMb: 10, gpus: 0 })
    const config = (id: string, more: Partial<TaskConfig>) => putConfig({ ...configRow(id), config: taskConfig(more) })
    const dedicated = [
      { name: 'dedicated', rule: { type: 'value', negated: false, values: ['ads/x'] } },
    ] satisfies TaskConfig['constraints']
    const served = await serve(
      config('c1', { resources: amounts(1_900) }),
      config('c2', { resources: amounts(1_000), production: true, job: other }),
      config('c3', { resources: amounts(500), production: true, job: other, constraints: dedicated }),
      putTask(taskRow('t0', { configId: configId('c1'), status: 'RUNNING' })),
      putTask(taskRow('t1', { configId: configId('c1'), instance: 1, status: 'FINISHED' })),
      putTask(taskRow('t2', { configId: configId('c2'), job: other })),
      putTask(taskRow('t3', { configId: configId('c3'), job: other, instance: 1 })),
      putTask(taskRow('t4', { configId: configId('c3'), job: other, instance: 2 })),
    )
    expect(cells(await html(served, '/utilization'))).toEqual([
      ['total consumed', '3', '400', '40'],
      ['dedicated consumed', '1', '200', '20'],
      ['quota consumed', '1', '100', '10'],
      ['free pool consumed', '1', '100', '10'],
    ])
    expect(cells(await html(served, '/utilization/total_consumed'))).toEqual([
      ['ads', '2', '300', '30'],
      ['www-data', '1', '100', '10'],
    ])
    expect(cells(await html(served, '/utilization/TOTAL_CONSUMED/ads'))).toEqual([['prod/x', '2', '300', '30']])
    const wrong = await ask(served, '/utilization/most')
    expect(wrong.status).toBe(400)
    expect(await wrong.text()).toMatch(/^Invalid metric type\.\nIt is most; known ones: TOTAL_CONSUMED, /)
  })

  test('/structdump: a task or a template with its configuration; what is not there; how to ask', async () => {
    const cron = { schedule: '0 3 * * *', collisionPolicy: 'KILL_EXISTING' } as const
    const served = await serve(
      putConfig(configRow('c1', { contactEmail: '<me>' })),
      putTask(taskRow('t0', { configId: configId('c1') })),
      putJob(jobRow({ ...HELLO, name: 'nightly' }, { cron })),
      putJob(jobRow(HELLO)),
    )
    const shown = async (path: string): Promise<string> => {
      const text = /<pre>(.*)<\/pre>/s.exec(await html(served, path))?.[1] ?? ''
      return text.replace(/&#(\d+);/g, (_all, code) => String.fromCharCode(Number(code)))
    }
    expect(JSON.parse(await shown('/structdump/task/t0'))).toMatchObject({
      taskId: 't0',
      status: 'PENDING',
      config: { contactEmail: '<me>' },
    })
    expect(JSON.parse(await shown('/structdump/cron/www-data/devel/nightly'))).toMatchObject({ cron })
    for (const path of ['/structdump/task/none', '/structdump/cron/www-data/devel/hello'])
      expect(await shown(path)).toBe('Exception: Entity not found')
    const usage = await ask(served, '/structdump')
    expect([usage.status, await usage.text()]).toEqual([400, expect.stringContaining('/structdump/task/{task id}')])
    served.set.leader = FOLLOWING
    served.ledger.open = false
    const standby = await ask(served, '/structdump/task/t0')
    expect([standby.status, await standby.text()]).toEqual([500, expect.stringContaining('Storage is not READY')])
  })
})

describe('/mname', () => {
  const NAME = '/mname/www-data/devel/hello'
  const host = { agentId: agentId('a'), host: 'h1' }

  test('api-43: PENDING, no instance, no http port: 404, each with its text', async () => {
    const served = await serve(
      putTask(taskRow('t0', { instance: 0 })),
      putTask(taskRow('t1', { instance: 1, status: 'RUNNING', ...host, ports: { aurora: 1 } })),
      putTask(taskRow('t2', { instance: 2, status: 'FINISHED', ...host, ports: { http: 1 } })),
    )
    const said = async (path: string) => {
      const response = await ask(served, NAME + path)
      return [response.status, await response.text()]
    }
    expect(await said('/0')).toEqual([404, 'The selected instance is currently in state PENDING'])
    expect(await said('/1')).toEqual([404, 'The task does not have a registered http port.'])
    for (const instance of [2, 7]) expect(await said(`/${instance}`)).toEqual([404, 'No such live instance found.'])
    expect(await said('/x')).toEqual([400, expect.stringContaining('must be a whole number')])
  })

  test('api-43: RUNNING: 307 to the instance, path and query as they were, by every method, whatever the body', async () => {
    const ports = { admin: 31_002, http: 31_001 }
    const served = await serve(putTask(taskRow('t0', { status: 'RUNNING', ...host, ports })))
    for (const [path, location] of [
      ['/0', 'http://h1:31001/'],
      ['/0?a=b', 'http://h1:31001/?a=b'],
      ['/0/x/y%2Fz/?q=%20&r', 'http://h1:31001/x/y%2Fz/?q=%20&r'],
    ]) {
      const sent = await ask(served, NAME + path)
      expect([sent.status, sent.headers.get('location')]).toEqual([307, location])
    }
    for (const method of ['PUT', 'POST', 'DELETE']) {
      const body = { method, body: 'no JSON', headers: { 'content-type': 'application/json' } }
      expect((await ask(served, `${NAME}/0/x`, body)).headers.get('location')).toBe('http://h1:31001/x')
    }
    const large = { method: 'PUT', body: Buffer.alloc(5 * 1024 * 1024) }
    expect((await ask(served, `${NAME}/0/x`, large)).status).toBe(307)
  })

  test('without an instance it says how to ask', async () => {
    const usage = await ask(await serve(), '/mname')
    expect([usage.status, await usage.text()]).toEqual([400, expect.stringContaining('/mname/{role}')])
  })
})

describe('the node itself', () => {
  const actor = (path: string, more: object = {}) => ({
    path,
    parent: null,
    thread: path.split('/')[1] ?? '',
    kind: 'Part',
    status: 'running' as const,
    mailboxDepth: 0,
    mailboxMax: 0,
    oldestMessageAgeMs: 0,
    processed: 3,
    failed: 0,
    refused: 0,
    restarts: 0,
    busyMs: 1,
    lastError: null,
    stateSummary: {},
    startedAtMs: 0,
    lastMessageAtMs: null,
    children: 0,
    ...more,
  })
  const broken = { atMs: 1, message: 'it broke', stack: '', messageType: 'x' }
  async function inspected(): Promise<Served> {
    const served = await serve()
    served.set.leader = FOLLOWING
    served.set.report = {
      node: 'node-1',
      takenAt: 1,
      actors: [
        actor('/log', { status: 'mute', lastError: { ...broken, message: 'no answer within 1000 ms' } }),
        actor('/scheduler'),
        actor('/scheduler/leader', { status: 'stopping' }),
        actor('/scheduler/leader/broker', { status: 'restarting', lastError: broken, mailboxDepth: 7 }),
        actor('/scheduler/leader/tasks/t0'),
        actor('/scheduler/tail', { lastError: broken }),
      ],
    }
    return served
  }

  test('/services: the parts of this node, whoever leads, with the cause of those that fail', async () => {
    expect(await json(await inspected(), '/services')).toEqual([
      { name: '/log', state: 'FAILED', failureCause: 'no answer within 1000 ms' },
      { name: '/scheduler', state: 'RUNNING' },
      { name: '/scheduler/leader', state: 'STOPPING' },
      { name: '/scheduler/leader/broker', state: 'FAILED', failureCause: 'it broke' },
      { name: '/scheduler/tail', state: 'RUNNING' },
    ])
  })

  test('/threads: each thread with its state and what waits in it, the event loop and what is open', async () => {
    const response = await ask(await inspected(), '/threads')
    expect([response.status, response.headers.get('content-type')]).toEqual([200, 'text/plain; charset=utf-8'])
    const text = await response.text()
    expect(text).toMatch(/^Name: main\nEvent loop: came round in \d+\.\d ms\nHandles: .*TCPServerWrap \d/)
    expect(text).toContain('Name: log\nState: mute (no answer within 1000 ms)\n')
    expect(text).toContain('Name: scheduler\nState: running\nActors: 5; messages that wait: 7')
    expect(text).toContain('  /scheduler/leader/broker (Part) restarting, 7 wait')
  })
})
