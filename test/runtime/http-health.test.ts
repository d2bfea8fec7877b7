import { once } from 'node:events'
import { connect } from 'node:net'
import { afterAll, describe, expect, test } from 'vitest'
import { createHttpApp, startHttpServer } from '../../src/runtime/http-server.ts'
import { FOLLOWING, httpNode } from '../fixtures/http-node.ts'
import { putTask, taskRow } from '../fixtures/rows.ts'

const open: { close(): Promise<void> }[] = []
afterAll(async () => {
  for (const server of open) await server.close()
})

async function served() {
  const node = httpNode()
  const server = await startHttpServer({ ...node.deps, host: '127.0.0.1', port: 0 })
  open.push(server)
  return { ...node, server }
}

/** Everything the node answers to these very bytes, until it closes. */
async function raw(port: number, text: string): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  const parts: Buffer[] = []
  socket.on('data', part => parts.push(part))
  socket.write(text)
  await once(socket, 'close')
  return Buffer.concat(parts).toString()
}

describe('/health', () => {
  test('asked in HTTP/1.0 without a Host header, as monit does: 200 and `OK`', async () => {
    const { server } = await served()
    const answer = await raw(server.port, 'GET /health HTTP/1.0\r\n\r\n')
    expect(answer).toMatch(/^HTTP\/1\.\d 200 OK\r\n/)
    expect(answer).toMatch(/content-type: text\/plain/i)
    expect(answer.endsWith('\r\n\r\nOK\n')).toBe(true)
  })

  test('asked in HTTP/1.1 by a load balancer with HEAD: 200', async () => {
    const { server } = await served()
    const answer = await raw(server.port, 'HEAD /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
    expect(answer).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
  })

  test('sick: 503, `SICK` and each reason on its line', async () => {
    const { app, board } = httpNode()
    board.verdict = { reasons: ['log not writable: disk full', 'disk nearly full: 1 MiB free'], atMonoMs: 0 }
    const response = await app.inject('/health')
    expect(response.statusCode).toBe(503)
    expect(response.body).toBe('SICK\nlog not writable: disk full\ndisk nearly full: 1 MiB free\n')
  })

  test('Health actor stuck, its last verdict good: sick once that verdict is stale', async () => {
    const { app, board, set } = httpNode()
    set.monoMs = board.staleMsMax
    expect((await app.inject('/health')).statusCode).toBe(200)
    set.monoMs = board.staleMsMax + 1
    const response = await app.inject('/health')
    expect([response.statusCode, response.body]).toEqual([
      503,
      'SICK\nhealth not watched: the last look was 10.0 s ago\n',
    ])
  })

  test('no verdict yet: not healthy yet', async () => {
    const { app, board } = httpNode()
    board.verdict = null
    expect((await app.inject('/health')).statusCode).toBe(503)
  })
})

describe('/leaderhealth', () => {
  test.each([
    ['leading', 200, 'This is the leading scheduler.'],
    ['following', 503, 'Another instance is the leading scheduler.'],
    ['none', 502, 'There is no leading scheduler or the leader is unknown.'],
  ])('%s: %i with the matching sentence', async (which, status, sentence) => {
    const { app, set } = httpNode()
    if (which === 'following') set.leader = FOLLOWING
    if (which === 'none') set.leader = { ...FOLLOWING, leader: null }
    const response = await app.inject('/leaderhealth')
    expect(response.statusCode).toBe(status)
    expect(response.body.startsWith(`Current status: ${sentence}\n\n`)).toBe(true)
    for (const code of ['200', '503', '502']) expect(response.body).toContain(code)
  })
})

describe('/vars and /metrics', () => {
  test('a counter, a gauge with labels, a timing and a fact: under the names of Aurora, sorted', async () => {
    const { app, deps } = httpNode()
    deps.metrics.count('tasks_pruned', 2)
    deps.metrics.gauge('things', 3, { status: 'RUNNING' })
    deps.metrics.observe('scheduler_log_append_seconds', 0.25)
    deps.metrics.addFacts(() => ({ 'config.http.port': 8081, 'config.cluster.name': 'local' }))
    const lines = (await app.inject('/vars')).body.split('\n')
    expect(lines).toEqual(lines.toSorted())
    expect(lines).toEqual(
      expect.arrayContaining([
        'tasks_pruned 2',
        'things_RUNNING 3',
        'scheduler_log_append_events 1',
        'scheduler_log_append_nanos_total 250000000',
        'config.http.port 8081',
        'config.cluster.name local',
      ]),
    )
    expect(lines.some(line => line.startsWith('jvm_uptime_secs '))).toBe(true)
    expect((await app.inject('/vars.json')).json()).toMatchObject({
      things_RUNNING: 3,
      'config.cluster.name': 'local',
    })
    expect((await app.inject('/vars.json?pretty=true')).body).toContain('\n  "')
  })

  test('a leader with two tasks: the tasks by status with zeros, the log, and that it leads', async () => {
    const { app, ledger } = httpNode()
    ledger.put(putTask(taskRow('a')), putTask(taskRow('b', { instance: 1, status: 'RUNNING' })))
    const vars = (await app.inject('/vars.json')).json()
    expect(vars).toMatchObject({
      framework_registered: 1,
      task_store_PENDING: 1,
      task_store_RUNNING: 1,
      task_store_LOST: 0,
      log_commit: 5,
      log_recovered: 1,
    })
  })

  test('a log that fails to answer: the other numbers are still told', async () => {
    const { app, set } = httpNode()
    Object.defineProperty(set, 'logStatus', {
      get: () => {
        throw new Error('gone')
      },
    })
    const vars = (await app.inject('/vars.json')).json()
    expect(vars).toHaveProperty('framework_registered', 1)
    expect(vars).not.toHaveProperty('log_commit')
  })

  test('/metrics: Prometheus text with the prefix, samples set when read', async () => {
    const { app, deps } = httpNode()
    deps.metrics.onRead(() => deps.metrics.gauge('sampled_when_read', 42))
    const { body, headers } = await app.inject('/metrics')
    expect(headers['content-type']).toContain('text/plain')
    expect(body).toContain('# TYPE daybreak_sampled_when_read gauge\ndaybreak_sampled_when_read 42\n')
    expect(body).toMatch(/^daybreak_process_resident_memory_bytes \d+$/m)
  })

  test('requests: counted by status', async () => {
    const { app } = httpNode()
    await app.inject('/nowhere')
    expect((await app.inject('/metrics')).body).toContain('daybreak_http_responses_total{status="404"} 1')
  })
})

describe('/inspect', () => {
  const report = {
    node: 'node-1',
    takenAt: 1_700_000_000_000,
    actors: [
      actor('/scheduler', null, 'Thread', { children: 2 }),
      actor('/scheduler/health', '/scheduler', 'Health', { stateSummary: { healthy: true } }),
      actor('/scheduler/sick', '/scheduler', 'TaskStateMachine', {
        mailboxDepth: 7,
        restarts: 2,
        lastError: { atMs: 1, message: 'boom <script>', stack: 'at x', messageType: 'propose' },
      }),
    ],
  }

  test('asked for JSON: node, moment and actors as they are', async () => {
    const { app, set } = httpNode()
    set.report = report
    for (const request of [
      { url: '/inspect?format=json' },
      { url: '/inspect', headers: { accept: 'application/json' } },
    ]) {
      expect((await app.inject(request)).json()).toEqual(report)
    }
    const one = (await app.inject('/inspect/scheduler/sick?format=json')).json()
    expect(one.actors.map((found: { path: string }) => found.path)).toEqual(['/scheduler/sick'])
  })

  test('asked by a browser: a page without scripts or files from elsewhere, errors escaped', async () => {
    const { app, set } = httpNode()
    set.report = report
    const accept = 'text/html,application/xhtml+xml,*/*;q=0.8'
    const tree = await app.inject({ url: '/inspect', headers: { accept } })
    expect(tree.headers['content-type']).toContain('text/html')
    expect(tree.body).toContain('href="/inspect/scheduler/sick"')
    expect(tree.body).toContain('boom &#60;script&#62;')
    expect(tree.body).not.toMatch(/<script|src=|https?:/)
    expect(tree.body).toContain('http-equiv="refresh"')
    expect((await app.inject('/inspect?refresh=off')).body).not.toContain('http-equiv="refresh"')
    const page = await app.inject('/inspect/scheduler/health')
    expect(page.body).toContain('<th>healthy</th><td>true</td>')
  })

  test('an actor that is not there: 404 with names that are near', async () => {
    const { app, set } = httpNode()
    set.report = report
    const response = await app.inject('/inspect/log/health')
    expect(response.json()).toMatchObject({ status: 404, remedy: 'did you mean /scheduler/health?' })
  })

  test('index page: links everything and says how the node is', async () => {
    const { app } = httpNode()
    const { body } = await app.inject('/')
    for (const path of ['/health', '/vars', '/metrics', '/inspect', '/api/v1/openapi.json'])
      expect(body).toContain(`href="${path}"`)
    expect(body).toContain('this node leads')
    expect(body).toContain('<span class="good">VOTING</span>, the only member; committed 5, applied 5')
    expect(body).not.toContain('http-equiv="refresh"')
  })

  test('index page of a node that is not initialized: its status, what it waits for, the command, and who was seen', async () => {
    const { app, set } = httpNode()
    const peer = { ...PEER, memberId: 2, connected: true, status: 'EMPTY' as const, trouble: null }
    set.leader = null
    set.logStatus = {
      ...set.logStatus,
      status: 'EMPTY',
      waitingFor: 'an initialized log: run `daybreak log initialize <node>.yaml`',
      members: [1, 2, 3].map(memberId => ({ memberId, name: `node-${memberId}`, address: `10.0.0.${memberId}:8083` })),
      quorum: 2,
      peers: [peer, { ...PEER, memberId: 3, trouble: 'connect ECONNREFUSED 10.0.0.3:8083' }],
    }
    const { body } = await app.inject('/')
    expect(body).toContain('<span class="bad">EMPTY</span>, member 1 of 3, quorum 2')
    expect(body).toContain(
      '<strong>It waits for</strong> an initialized log: run <code>daybreak log initialize &#60;node',
    )
    expect(body).toContain('<td>EMPTY</td><td>this node</td>')
    expect(body).toContain('<td>EMPTY</td><td class="good">connected</td>')
    expect(body).toContain('<td class="soft">not known</td><td class="bad">connect ECONNREFUSED 10.0.0.3:8083</td>')
    // As it is now, without a hand on the keyboard.
    expect(body).toContain('http-equiv="refresh" content="5"')
  })

  test('index page, the log does not answer: served without it', async () => {
    const { deps } = httpNode()
    const scheduler = deps.scheduler!
    const app = createHttpApp({
      ...deps,
      scheduler: { ...scheduler, log: { ...scheduler.log, status: () => new Promise(() => {}) } },
    })
    expect((await app.inject('/')).body).toContain('The log does not answer right now.')
  })
})

const PEER = {
  memberId: 0,
  connected: false,
  status: null,
  httpUrl: null,
  matched: null,
  applied: null,
  committed: null,
  acknowledgedMsAgo: null,
  rttMs: null,
  trouble: null,
}

describe('the server', () => {
  test('a port that is taken: refused with EADDRINUSE', async () => {
    const { server, deps } = await served()
    await expect(startHttpServer({ ...deps, host: '127.0.0.1', port: server.port })).rejects.toMatchObject({
      code: 'EADDRINUSE',
    })
  })

  test('closing: listens no more, idle connections are let go', async () => {
    const { deps } = httpNode()
    const server = await startHttpServer({ ...deps, host: '127.0.0.1', port: 0 })
    const idle = connect(server.port, '127.0.0.1')
    await once(idle, 'connect')
    const gone = once(idle, 'close')
    idle.resume()
    await server.close()
    await gone
    await expect(fetch(`${server.url}/health`)).rejects.toThrow()
  })
})

function actor(path: string, parent: string | null, kind: string, more: object) {
  return {
    path,
    parent,
    thread: 'scheduler',
    kind,
    status: 'running' as const,
    mailboxDepth: 0,
    mailboxMax: 10,
    oldestMessageAgeMs: 0,
    processed: 1,
    failed: 0,
    refused: 0,
    restarts: 0,
    busyMs: 1,
    lastError: null,
    stateSummary: {},
    startedAtMs: 1,
    lastMessageAtMs: null,
    children: 0,
    ...more,
  }
}
