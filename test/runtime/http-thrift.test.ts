import { gunzipSync } from 'node:zlib'
import { afterEach, describe, expect, test } from 'vitest'
import type * as JobKeeper from '../../src/actors/job-keeper.ts'
import type * as TaskAdmin from '../../src/actors/task-admin.ts'
import { agentId, configId } from '../../src/core/base/ids.ts'
import { rejected } from '../../src/core/base/rejection.ts'
import { replyBytes } from '../../src/runtime/http/thrift-answer.ts'
import { argumentsText, UNBUILT } from '../../src/runtime/thrift/calls.ts'
import { readCall } from '../../src/wire/thrift/message.ts'
import type { Response } from '../../src/wire/thrift/types.ts'
import { ReplyTooLarge } from '../../src/wire/thrift/writer.ts'
import { FOLLOWING, type HttpNode, httpNode } from '../fixtures/http-node.ts'
import { agentRow, configRow, HELLO, jobRow, putAgent, putConfig, putJob, putTask, taskRow } from '../fixtures/rows.ts'

const JSON_TYPE = 'application/vnd.apache.thrift.json'
const BINARY_TYPE = 'application/vnd.apache.thrift.binary'
const BINARY_CALL = Buffer.from('800100010000000e676574526f6c6553756d6d6172790000000100', 'hex')
const JSON_CALL = '[1,"getRoleSummary",1,7,{}]'
const KEY = { 1: { str: 'www-data' }, 2: { str: 'devel' }, 3: { str: 'hello' } }

const nodes: HttpNode[] = []
function node(): HttpNode {
  const made = httpNode()
  nodes.push(made)
  return made
}
afterEach(async () => {
  for (const { app } of nodes.splice(0)) await app.close()
})

interface Answer {
  /** Status. */
  readonly http: number
  readonly type: string | undefined
  readonly code: number
  readonly messages: string[]
  // biome-ignore lint/suspicious/noExplicitAny: a document whose form the test knows
  readonly result: any
  readonly clusterName: string
}
async function call({ app }: HttpNode, method: string, args: object = {}, headers: object = {}): Promise<Answer> {
  const payload = JSON.stringify([1, method, 1, 7, args])
  const response = await app.inject({ method: 'POST', url: '/api', payload, headers: { ...headers } })
  const [, name, kind, seqid, body] = response.json()
  expect([name, kind, seqid]).toEqual([method, 2, 7])
  const said = body['0'].rec
  const [, , ...details] = said['6'].lst
  return {
    http: response.statusCode,
    type: String(response.headers['content-type']),
    code: said['1'].i32,
    messages: details.map((detail: { 1: { str: string } }) => detail[1].str),
    result: said['3']?.rec,
    clusterName: said['5'].rec['1'].str,
  }
}
const [INVALID, OK, ERROR, , , UPDATING, TRANSIENT] = [0, 1, 2, 3, 4, 5, 6] as const

describe('/api over HTTP', () => {
  test.each([
    'application/x-thrift',
    'application/json',
    JSON_TYPE,
    `${JSON_TYPE}; charset=UTF-8`,
    `${JSON_TYPE}; charset=utf-8`,
    'application/json; charset=utf-8',
  ])('api-9: TJSON as %s: answered in TJSON', async type => {
    const response = await node().app.inject({
      method: 'POST',
      url: '/api',
      payload: JSON_CALL,
      headers: { 'content-type': type },
    })
    expect([response.statusCode, response.headers['content-type']]).toEqual([200, JSON_TYPE])
    expect(response.json().slice(0, 4)).toEqual([1, 'getRoleSummary', 2, 7])
  })

  test('api-9: without a content type it is TJSON', async () => {
    const response = await node().app.inject({ method: 'POST', url: '/api', payload: Buffer.from(JSON_CALL) })
    expect([response.statusCode, response.headers['content-type']]).toEqual([200, JSON_TYPE])
  })

  test('api-10: the type of the reply is that of Accept, whatever the request was', async () => {
    const { app } = node()
    const ask = async (payload: Buffer | string, type: string, accept?: string) => {
      const headers = { 'content-type': type, ...(accept === undefined ? {} : { accept }) }
      return (await app.inject({ method: 'POST', url: '/api', payload, headers })).headers['content-type']
    }
    expect(await ask(BINARY_CALL, BINARY_TYPE, BINARY_TYPE)).toBe(BINARY_TYPE)
    expect(await ask(BINARY_CALL, BINARY_TYPE)).toBe(JSON_TYPE)
    expect(await ask(JSON_CALL, JSON_TYPE, BINARY_TYPE)).toBe(BINARY_TYPE)
  })

  test('application/x-thrift, which the libraries of Thrift always send, is binary where the message is', async () => {
    const headers = { 'content-type': 'application/x-thrift', accept: BINARY_TYPE }
    const response = await node().app.inject({ method: 'POST', url: '/api', payload: BINARY_CALL, headers })
    expect([response.statusCode, response.headers['content-type']]).toEqual([200, BINARY_TYPE])
  })

  test('api-11: another content type is 415 and says so; several accepted types are TJSON', async () => {
    const { app } = node()
    const headers = { 'content-type': 'text/plain; charset=utf-8' }
    const refused = await app.inject({ method: 'POST', url: '/api', payload: 'x', headers })
    expect([refused.statusCode, refused.body]).toEqual([415, 'Unsupported Content-Type: text/plain; charset=utf-8'])
    const several = await app.inject({
      method: 'POST',
      url: '/api',
      payload: JSON_CALL,
      headers: { accept: `${BINARY_TYPE}, ${JSON_TYPE}` },
    })
    expect(several.headers['content-type']).toBe(JSON_TYPE)
  })

  test('api-12: an unknown method is an exception with its seqid; an empty body is 500 and the node stays up', async () => {
    const { app } = node()
    const unknown = await app.inject({ method: 'POST', url: '/api', payload: '[1,"fly",1,42,{}]' })
    expect([unknown.statusCode, unknown.json().slice(0, 4)]).toEqual([200, [1, 'fly', 3, 42]])
    for (const payload of ['', '[1,"getRole', '{}'])
      expect((await app.inject({ method: 'POST', url: '/api', payload })).statusCode).toBe(500)
    expect((await app.inject({ method: 'POST', url: '/api', payload: JSON_CALL })).statusCode).toBe(200)
  })

  test('api-8: gzip for who takes it', async () => {
    const made = node()
    fill(made, 40)
    const response = await made.app.inject({
      method: 'POST',
      url: '/api',
      payload: '[1,"getTasksStatus",1,7,{}]',
      headers: { 'accept-encoding': 'gzip' },
    })
    expect(response.headers['content-encoding']).toBe('gzip')
    expect(JSON.parse(String(gunzipSync(response.rawPayload)))[1]).toBe('getTasksStatus')
  })

  test('api-4: a standby sends the call on, with its method and body, also to a leader on its own host', async () => {
    const made = node()
    made.set.leader = FOLLOWING
    const response = await made.app.inject({ method: 'POST', url: '/api', payload: JSON_CALL })
    expect([response.statusCode, response.headers.location]).toEqual([307, 'http://127.0.0.1:8181/api'])
  })

  test('api-5, api-14: no leader: a well-formed ERROR_TRANSIENT, so that clients try again; bypassed: the same', async () => {
    const made = node()
    made.set.leader = null
    made.ledger.open = false
    const said = await call(made, 'getRoleSummary')
    expect([said.http, said.code, said.messages[0]]).toEqual([200, TRANSIENT, 'Storage is not READY'])
    made.set.leader = FOLLOWING
    const bypassed = await call(made, 'createJob', {}, { 'bypass-leader-redirect': 'true' })
    expect([bypassed.code, bypassed.messages[0]]).toEqual([TRANSIENT, 'Storage is not READY'])
  })

  test('api-13: every answer says which cluster it is of, and has its list of details', async () => {
    const made = node()
    for (const [method, args] of [
      ['getRoleSummary', {}],
      ['killTasks', {}],
      ['startMaintenance', {}],
      ['setQuota', {}],
    ] as const) {
      const said = await call(made, method, args)
      expect(said.clusterName).toBe('local')
      expect(said.messages).toBeInstanceOf(Array)
    }
  })

  test('engines that are not there say so by name', async () => {
    const made = node()
    expect(UNBUILT.length).toBeGreaterThan(0)
    for (const method of UNBUILT) {
      const first = /Maintenance|maintenance|Hosts/.test(method)
        ? { 1: { set: ['str', 1, 'h1'] } }
        : { 1: { rec: KEY } }
      const said = await call(made, method, { 1: { rec: first }, 4: { rec: KEY } })
      expect(said.code).toBe(INVALID)
      const text = said.messages.join(' ')
      expect(text).toMatch(/no (updates|cron|maintenance) engine|Missing or invalid job key/)
    }
  })
})

/** So many RUNNING tasks of one configuration, and one that has failed. */
function fill({ ledger }: HttpNode, count: number): void {
  ledger.put(
    putConfig(configRow('c1')),
    putJob(jobRow(HELLO)),
    ...Array.from({ length: count }, (_, instance) =>
      putTask(taskRow(`t${instance}`, { instance, status: 'RUNNING', configId: configId('c1') })),
    ),
    putTask(taskRow('old', { instance: 0, status: 'FAILED', configId: configId('c1') })),
  )
}

describe('reading', () => {
  test('roles and jobs with their counts, history included', async () => {
    const made = node()
    fill(made, 3)
    const roles = await call(made, 'getRoleSummary')
    expect(roles.result[17].rec[1].set.slice(2)).toEqual([{ 1: { str: 'www-data' }, 2: { i32: 1 }, 3: { i32: 0 } }])
    const jobs = await call(made, 'getJobSummary', { 1: { str: 'www-data' } })
    const [, count, summary] = jobs.result[18].rec[1].set
    expect(count).toBe(1)
    expect(summary[1].rec[8]).toEqual({ i32: 4 })
    expect(summary[2].rec).toEqual({ 1: { i32: 3 }, 2: { i32: 0 }, 3: { i32: 1 }, 4: { i32: 0 } })
    expect((await call(made, 'getJobSummary', { 1: { str: 'nobody' } })).result[18].rec[1].set[1]).toBe(0)
  })

  test('api-40: offset 1 and limit 1 of three tasks are one, limit 0 is all of them', async () => {
    const made = node()
    fill(made, 3)
    const tasks = async (query: object) => {
      const { result } = await call(made, 'getTasksStatus', { 1: { rec: query } })
      return result[3].rec[1].lst.slice(2).map((task: { 1: { rec: { 1: { str: string } } } }) => task[1].rec[1].str)
    }
    const running = { 5: { set: ['i32', 1, 2] } }
    expect(await tasks({ ...running, 12: { i32: 1 }, 13: { i32: 1 } })).toEqual(['t1'])
    expect(await tasks({ ...running, 13: { i32: 0 } })).toEqual(['t0', 't1', 't2'])
    expect(await tasks({})).toHaveLength(4)
  })

  test('without configurations the data of the executor is left out, the rest is there', async () => {
    const made = node()
    fill(made, 1)
    const config = async (method: string) => {
      const { result } = await call(made, method, { 1: { rec: { 4: { set: ['str', 1, 't0'] } } } })
      return result[3].rec[1].lst[2][1].rec[4].rec[25].rec
    }
    expect(Object.keys(await config('getTasksStatus'))).toEqual(['1', '2'])
    expect(Object.keys(await config('getTasksWithoutConfigs'))).toEqual(['1'])
  })

  test('api-37: pending reasons: hosts and statuses cannot be asked for; reasons are joined by commas', async () => {
    const made = node()
    made.ledger.put(putConfig(configRow('c1')), putTask(taskRow('t', { configId: configId('c1') })))
    const hosts = await call(made, 'getPendingReason', { 1: { rec: { 10: { set: ['str', 1, 'h1'] } } } })
    expect([hosts.code, hosts.messages]).toEqual([
      INVALID,
      ['SlaveHosts are not supported in TaskQuery(slaveHosts:[h1])'],
    ])
    const statuses = await call(made, 'getPendingReason', { 1: { rec: { 5: { set: ['i32', 1, 0] } } } })
    expect(statuses.messages).toEqual(['Statuses is not supported in TaskQuery(statuses:[PENDING])'])
    made.set.placement = {
      ...NO_PLACEMENT,
      waiting: of => ({
        configId: of,
        job: HELLO,
        taskIds: [],
        penaltyMs: 0,
        reasons: ['Insufficient: CPU', 'Insufficient: RAM'],
        details: [],
      }),
    }
    const said = await call(made, 'getPendingReason', {})
    expect(said.result[21].rec[1].set.slice(2)).toEqual([
      { 1: { str: 't' }, 2: { str: 'Insufficient: CPU,Insufficient: RAM' } },
    ])
  })

  test('configurations by ranges of instances; an unknown job has none, and that is fine', async () => {
    const made = node()
    fill(made, 3)
    const groups = async (key: object) =>
      (await call(made, 'getConfigSummary', { 1: { rec: key } })).result[20].rec[1].rec[2].set
    const [, count, group] = await groups(KEY)
    expect(count).toBe(1)
    expect(group[3].rec ?? group[3].set.slice(2)).toEqual([{ 1: { i32: 0 }, 2: { i32: 2 } }])
    expect((await groups({ ...KEY, 3: { str: 'nobody' } }))[1]).toBe(0)
  })

  test('a diff looks at the instances of its ranges, however many those hold and however often they say so', async () => {
    const made = node()
    fill(made, 3)
    const diff = async (...ranges: (readonly [number, number])[]) => {
      const set = ranges.map(([first, last]) => ({ 1: { i32: first }, 2: { i32: last } }))
      const settings = { 7: { set: ['rec', set.length, ...set] } }
      const request = { 1: { rec: TASK }, 2: { i32: 5 }, 3: { rec: settings } }
      const said = await call(made, 'getJobUpdateDiff', { 1: { rec: request } })
      const groups = said.result[26].rec
      const [add, remove, update] = [1, 2, 3].map(id =>
        groups[id].set
          .slice(2)
          .map((group: { 3: { set: { 1: { i32: number }; 2: { i32: number } }[] } }) =>
            group[3].set.slice(2).map(range => [range[1].i32, range[2].i32]),
          ),
      )
      return { add, remove, update }
    }
    const all = { add: [[[3, 4]]], remove: [], update: [[[0, 2]]] }
    expect(await diff()).toEqual(all)
    expect(await diff([1, 1], [4, 9])).toEqual({ add: [[[4, 4]]], remove: [], update: [[[1, 1]]] })
    expect(await diff([-2_147_483_648, 0])).toEqual({ add: [], remove: [], update: [[[0, 0]]] })
    expect(await diff([2, 1])).toEqual({ add: [], remove: [], update: [] })
    expect(await diff(...Array.from({ length: 50_000 }, () => [0, 2_147_483_647] as const))).toEqual(all)
  })

  test('what was taken for an answer stays with it: its configuration too, whatever goes while it waits', async () => {
    const made = node()
    fill(made, 1)
    made.ledger.isHeld = true
    const asked = call(made, 'getTasksStatus')
    while (made.ledger.waiting === 0) await new Promise(done => setImmediate(done))
    made.ledger.view.apply([
      { type: 'delete', table: 'task', key: 't0' },
      { type: 'delete', table: 'task', key: 'old' },
      { type: 'delete', table: 'config', key: 'c1' },
    ])
    made.ledger.commit()
    const [, , ...tasks] = (await asked).result[3].rec[1].lst
    expect(tasks.map((task: { 1: { rec: object } }) => Object.hasOwn(task[1].rec, '4'))).toEqual([true, true])
  })

  test('tasks of a backup come with the configurations of the backup, which the cluster need not have', async () => {
    const made = node()
    const { config } = configRow('c9')
    made.set.backup = command => {
      const configs = new Map([[configId('c9'), config]])
      const tasks = [taskRow('t', { configId: configId('c9') })]
      command.replyTo.tell({ type: 'shown', name: 'b', tasks, configs } as never)
    }
    const [, , task] = (await call(made, 'queryRecovery', { 1: { rec: {} } })).result[9].rec[1].set
    expect(task[1].rec[4].rec[28]).toEqual({ rec: KEY })
  })
})

const NO_PLACEMENT = {
  offers: () => [],
  pending: () => [],
  explain: () => null,
  allowedHosts: () => [],
  waiting: () => null,
  offer: () => null,
  largestHost: () => null,
}

const TASK = {
  28: { rec: KEY },
  17: { rec: { 2: { str: 'www-data' } } },
  7: { tf: 1 },
  11: { i32: 0 },
  13: { i32: 1 },
  32: { set: ['rec', 4, { 1: { dbl: 0.5 } }, { 2: { i64: 64 } }, { 3: { i64: 64 } }, { 4: { str: 'http' } }] },
  20: { set: ['rec', 1, { 1: { str: 'host' }, 2: { rec: { 2: { rec: { 1: { i32: 1 } } } } } }] },
  25: { rec: { 1: { str: 'AuroraExecutor' }, 2: { str: '{"secret":1}' } } },
}
const job = (task: object = {}, more: object = {}) => ({
  1: {
    rec: {
      9: { rec: KEY },
      7: { rec: { 2: { str: 'www-data' } } },
      6: { rec: { ...TASK, ...task } },
      8: { i32: 2 },
      ...more,
    },
  },
})

test('api-15: the log of a call has the configuration of its executor blanked', () => {
  const call = readCall(Buffer.from(JSON.stringify([1, 'createJob', 1, 1, job()])), 'json')
  if (call.type !== 'call') throw new Error('it was not read')
  const text = argumentsText(call)
  expect(text).toContain('"executorConfig":"BLANKED"')
  expect(text).not.toContain('secret')
})

test('an answer that nobody should make is an ERROR that says what to ask instead', async () => {
  const made = node()
  const write = function* (response: Response): Generator<undefined, Buffer> {
    yield
    if (response.result !== undefined) throw new ReplyTooLarge()
    return Buffer.from(JSON.stringify(response))
  }
  const bytes = await replyBytes(made.deps, { responseCode: 'OK', result: {} }, write)
  expect(JSON.parse(String(bytes))).toMatchObject({
    responseCode: 'ERROR',
    serverInfo: { clusterName: 'local' },
    details: [{ message: expect.stringContaining('getTasksWithoutConfigs') }],
  })
})

describe('changing', () => {
  test('createJob reaches the job keeper as the configuration that it is', async () => {
    const made = node()
    const said = await call(made, 'createJob', job())
    expect([said.code, said.messages, said.result]).toEqual([OK, [], undefined])
    expect(made.told).toMatchObject([
      {
        type: 'create',
        user: 'UNSECURE',
        job: {
          key: HELLO,
          owner: 'www-data',
          instanceCount: 2,
          task: {
            isService: true,
            resources: { cpusMilli: 500, ramMb: 64, diskMb: 64, gpus: 0 },
            ports: ['http'],
            constraints: [{ name: 'host', rule: { type: 'limit', limit: 1 } }],
            executor: { name: 'AuroraExecutor', data: '{"secret":1}' },
          },
        },
      },
    ])
  })

  test.each<[string, object, string]>([
    [
      'a cron schedule, even an empty one',
      job({}, { 4: { str: '' } }),
      'Cron jobs may only be created/updated by calling scheduleCronJob.',
    ],
    [
      'no configuration',
      { 1: { rec: { 9: { rec: KEY }, 8: { i32: 1 } } } },
      'Job configuration must have taskConfig set.',
    ],
    ['no instances', job({}, { 8: { i32: 0 } }), 'Instance count must be positive.'],
    ['no executor', job({ 25: { rec: undefined } }), 'Configuration may not be null.'],
    [
      'a Docker container',
      job({ 29: { rec: { 2: { rec: { 1: { str: 'x' } } } } } }),
      'This scheduler is not configured to allow the container type DOCKER',
    ],
    [
      'two values of CPU',
      job({ 32: { set: ['rec', 2, { 1: { dbl: 1 } }, { 1: { dbl: 2 } }] } }),
      'Multiple resource values are not supported for CPU',
    ],
    [
      'endless cores',
      job({ 32: { set: ['rec', 3, { 1: { dbl: 'Infinity' } }, { 2: { i64: 64 } }, { 3: { i64: 64 } }] } }),
      'num_cpus is more than can be counted',
    ],
    [
      'files to fetch',
      job({ 33: { set: ['rec', 1, { 1: { str: 'http://x' } }] } }),
      'Mesos Fetcher for individual jobs is disabled in this cluster.',
    ],
    [
      'volumes',
      job({ 29: { rec: { 1: { rec: { 2: { lst: ['rec', 1, {}] } } } } } }),
      'This scheduler is configured to disallow container volumes.',
    ],
  ])('createJob with %s: INVALID_REQUEST, nothing is created', async (_case, args, text) => {
    const made = node()
    const said = await call(made, 'createJob', JSON.parse(JSON.stringify(args).replace('"25":{},', '')))
    expect([said.code, said.messages[0]]).toEqual([INVALID, text])
    expect(made.told).toEqual([])
  })

  test('a constraint of a kind that is not known is refused, not left out', async () => {
    const made = node()
    const task = { ...TASK, 20: { set: ['rec', 1, { 1: { str: 'rack' }, 2: { rec: { 9: { rec: {} } } } }] } }
    const said = await call(made, 'createJob', { 1: { rec: { 9: { rec: KEY }, 6: { rec: task }, 8: { i32: 1 } } } })
    expect(said).toMatchObject({ code: INVALID })
    expect(said.messages.join()).toContain('The constraint rack is of a kind that is not known here.')
    expect(made.told).toEqual([])
  })

  test('what the job keeper refuses comes with its text first, then the remedy', async () => {
    const made = node()
    made.set.keeper = command => void command.replyTo.tell(rejected('JOB_UPDATING', undefined, { remedy: 'wait' }))
    const said = await call(made, 'killTasks', { 4: { rec: KEY } })
    expect([said.code, said.messages]).toEqual([UPDATING, ['Job is currently updating', 'wait']])
  })

  test('killTasks: no set and an empty one are the whole job; a job that is not there has nothing to kill', async () => {
    const made = node()
    await call(made, 'killTasks', { 4: { rec: KEY }, 6: { str: 'bye' } })
    await call(made, 'killTasks', { 4: { rec: KEY }, 5: { set: ['i32', 0] } })
    await call(made, 'killTasks', { 4: { rec: KEY }, 5: { set: ['i32', 2, 0, 3] } })
    expect(made.told).toMatchObject([
      { type: 'kill', key: HELLO, instances: null, message: 'bye' },
      { type: 'kill', instances: null, message: null },
      { type: 'kill', instances: [0, 3] },
    ])
    made.set.keeper = command => void command.replyTo.tell(rejected('NOT_FOUND'))
    expect(await call(made, 'killTasks', { 4: { rec: KEY } })).toMatchObject({
      code: OK,
      messages: ['No tasks to kill.'],
    })
  })

  test('killTasks: a message that would swell the history of every task is refused, and nothing is killed', async () => {
    const made = node()
    const kill = (message: string) => call(made, 'killTasks', { 4: { rec: KEY }, 6: { str: message } })
    expect(await kill('x'.repeat(4_097))).toMatchObject({
      code: INVALID,
      messages: ['The message has 4097 characters; at most 4096 are kept with each task.'],
    })
    expect(made.told).toEqual([])
    expect(await kill('x'.repeat(4_096))).toMatchObject({ code: OK })
  })

  test('setQuota: a role that is no name is refused, and its keeper goes on', async () => {
    const made = node()
    for (const role of ['a b', 'a/b', 'x'.repeat(2_000)])
      expect(await call(made, 'setQuota', { 1: { str: role } })).toMatchObject({
        code: INVALID,
        messages: [`Role ${role.slice(0, 255)} is invalid.`],
      })
  })

  test('restartShards and addInstances reach the job keeper; an empty set of shards is an ERROR', async () => {
    const made = node()
    await call(made, 'restartShards', { 5: { rec: KEY }, 3: { set: ['i32', 1, 4] } })
    await call(made, 'addInstances', { 3: { rec: { 1: { rec: KEY }, 2: { i32: 1 } } }, 4: { i32: 3 } })
    expect(made.told).toMatchObject([
      { type: 'restart', key: HELLO, instances: [4] },
      { type: 'add', key: HELLO, like: 1, count: 3 },
    ])
    const empty = await call(made, 'restartShards', { 5: { rec: KEY }, 3: { set: ['i32', 0] } })
    expect([empty.code, empty.messages]).toEqual([ERROR, ['Argument cannot be blank']])
  })

  test('no job key, or one that is none: refused before anything is looked at', async () => {
    const made = node()
    for (const args of [{}, { 4: { rec: { ...KEY, 1: { str: 'a b' } } } }])
      expect(await call(made, 'killTasks', args)).toMatchObject({
        code: INVALID,
        messages: ['Missing or invalid job key from request.'],
      })
    expect(made.told).toEqual([])
  })

  test('a change that nobody can say has happened: no answer, the connection is closed', async () => {
    const made = node()
    made.set.keeper = (command: JobKeeper.Command) => void command.replyTo.tell(rejected('OUTCOME_UNKNOWN'))
    const url = await made.app.listen({ host: '127.0.0.1', port: 0 })
    const asked = fetch(`${url}/api`, {
      method: 'POST',
      headers: { 'content-type': JSON_TYPE },
      body: JSON.stringify([1, 'killTasks', 1, 1, { 4: { rec: KEY } }]),
    })
    await expect(asked).rejects.toThrow()
  })

  test('api-38: a quota below what production uses, or of two amounts, is refused and the old one kept', async () => {
    const made = node()
    const task = taskRow('t', { status: 'RUNNING', agentId: agentId('h1'), host: 'h1' })
    const resources = { cpusMilli: 2000, ramMb: 64, diskMb: 64, gpus: 0 }
    const production = configRow('c1', { production: true, tier: 'preferred', resources })
    made.ledger.put(putAgent(agentRow('h1')), putConfig(production), putJob(jobRow(HELLO)), putTask(task))
    const amounts = (...lines: object[]) => ({
      1: { str: 'www-data' },
      2: { rec: { 4: { set: ['rec', lines.length, ...lines] } } },
    })
    const [cpu, ram, disk] = [{ 1: { dbl: 4 } }, { 2: { i64: 512 } }, { 3: { i64: 512 } }]
    const set = async (...lines: object[]) => {
      const asked = call(made, 'setQuota', amounts(...lines))
      const ended = { isOver: false }
      void asked.finally(() => {
        ended.isOver = true
      })
      while (!ended.isOver) {
        made.system.run()
        await new Promise(done => setImmediate(done))
      }
      return asked
    }
    expect(await set(cpu, ram, disk)).toMatchObject({ code: OK })
    const kept = made.ledger.view.quota('www-data')
    expect(kept?.quota).toMatchObject({ cpusMilli: 4000, ramMb: 512 })
    expect(await set({ 1: { dbl: 1 } }, ram, disk)).not.toMatchObject({ code: OK })
    expect(await set(cpu, ram)).toMatchObject({ code: ERROR })
    expect(made.ledger.view.quota('www-data')).toEqual(kept)
  })

  test('api-39: pruneTasks with RUNNING is an ERROR, and so is an empty set of statuses; the rest is passed on', async () => {
    const made = node()
    const asked: TaskAdmin.Command[] = []
    made.set.admin = command => {
      asked.push(command)
      command.replyTo.tell({ type: 'pruned', tasks: 3 } as never)
    }
    const prune = (query: object) => call(made, 'pruneTasks', { 1: { rec: query } })
    expect(await prune({ 5: { set: ['i32', 2, 2, 3] } })).toMatchObject({
      code: ERROR,
      messages: ['Tasks in non-terminal state cannot be pruned.'],
    })
    expect(await prune({ 5: { set: ['i32', 0] } })).toMatchObject({ code: ERROR })
    expect(asked).toEqual([])
    expect(await prune({ 13: { i32: 3 } })).toMatchObject({ code: OK })
    expect(asked).toMatchObject([{ type: 'pruneTasks', limit: 3 }])
  })

  test('api-41: a name of 256 letters, with a space or with a line end behind it is none', async () => {
    const made = node()
    for (const text of ['a'.repeat(256), 'a b', 'hello\n', ''])
      expect(await call(made, 'killTasks', { 4: { rec: { ...KEY, 3: { str: text } } } })).toMatchObject({
        code: INVALID,
      })
    expect(made.told).toEqual([])
    expect(await call(made, 'killTasks', { 4: { rec: { ...KEY, 3: { str: 'a'.repeat(255) } } } })).toMatchObject({
      code: OK,
    })
  })

  test('api-14: a fault of ours is an ERROR with its text, and counted', async () => {
    const made = node()
    made.set.placement = {
      ...NO_PLACEMENT,
      waiting: () => {
        throw new Error('it broke')
      },
    }
    made.ledger.put(putConfig(configRow('c1')), putTask(taskRow('t', { configId: configId('c1') })))
    expect(await call(made, 'getPendingReason')).toMatchObject({ code: ERROR, messages: ['it broke'] })
    const { body } = await made.app.inject({ method: 'GET', url: '/metrics' })
    expect(body).toMatch(/thrift_responses_total\{[^}]*method="getPendingReason",code="ERROR"[^}]*\} 1/)
  })
})
