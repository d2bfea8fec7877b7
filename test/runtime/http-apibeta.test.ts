/** `/apibeta`: Aurora's calls as plain JSON, over a real HTTP server. */
import { afterEach, expect, test } from 'vitest'
import type * as JobKeeper from '../../src/actors/job-keeper.ts'
import { configId } from '../../src/core/base/ids.ts'
import { rejected } from '../../src/core/base/rejection.ts'
import { FOLLOWING, type HttpNode, httpNode } from '../fixtures/http-node.ts'
import { configRow, HELLO, jobRow, putConfig, putJob, putTask, taskRow } from '../fixtures/rows.ts'

interface Served extends HttpNode {
  readonly url: string
}
const nodes: HttpNode[] = []
async function serve(): Promise<Served> {
  const made = httpNode()
  nodes.push(made)
  return { ...made, url: await made.app.listen({ host: '127.0.0.1', port: 0 }) }
}
afterEach(async () => {
  for (const { app } of nodes.splice(0)) await app.close()
})

interface Said {
  /** Status. */
  readonly http: number
  readonly responseCode: string
  readonly messages: string[]
  // biome-ignore lint/suspicious/noExplicitAny: a document whose form the test knows
  readonly result: any
  readonly serverInfo: unknown
}
async function call({ url }: Served, method: string, body?: string | object, headers: object = {}): Promise<Said> {
  const response = await fetch(`${url}/apibeta/${method}`, {
    method: 'POST',
    redirect: 'manual',
    headers: { ...headers },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  })
  expect(response.headers.get('content-type')).toBe('application/json; charset=utf-8')
  const { details, ...said } = (await response.json()) as Omit<Said, 'http' | 'messages'> & {
    details: { message: string }[]
  }
  return { http: response.status, ...said, messages: details.map(({ message }) => message) }
}
const CLUSTER = { clusterName: 'local', statsUrlPrefix: '' }
const key = { role: 'www-data', environment: 'devel', name: 'hello' }

test('api-16: no body: the Response as JSON by names, with its result', async () => {
  const served = await serve()
  served.ledger.put(putConfig(configRow('c1')), putJob(jobRow(HELLO)))
  served.ledger.put(putTask(taskRow('t0', { status: 'RUNNING', configId: configId('c1') })))
  expect(await call(served, 'getRoleSummary')).toEqual({
    http: 200,
    responseCode: 'OK',
    messages: [],
    serverInfo: CLUSTER,
    result: { roleSummaryResult: { summaries: [{ role: 'www-data', jobCount: 1, cronJobCount: 0 }] } },
  })
})

test('api-16: an unknown method is 404; no JSON, no object, a wrong parameter and a union of two keys are 400', async () => {
  const served = await serve()
  const refused = async (method: string, body: string) => {
    const { http, responseCode, messages, serverInfo, result } = await call(served, method, body)
    expect([responseCode, serverInfo, result]).toEqual(['ERROR', CLUSTER, undefined])
    return [http, ...messages]
  }
  expect(await refused('fly', '{}')).toEqual([404, 'Method fly does not exist.'])
  expect(await refused('constructor', '{}')).toEqual([404, 'Method constructor does not exist.'])
  expect(await refused('getRoleSummary', '{bad}')).toEqual([
    400,
    'Request must be valid JSON',
    'The body is not JSON: line 1, column 2: unexpected "bad}"',
  ])
  for (const body of ['"text"', '[]', '7', 'null'])
    expect(await refused('getRoleSummary', body)).toEqual([
      400,
      'Request data must be a JSON object of method parameters.',
    ])
  expect(await refused('getJobSummary', '{"role": {}}')).toEqual([400, 'Failed to parse parameter role: it is no text'])
  const resources = [{ numCpus: 1, ramMb: 1 }]
  expect(await refused('createJob', JSON.stringify({ description: { taskConfig: { resources } } }))).toEqual([
    400,
    'Failed to parse parameter description: description.taskConfig.resources[0] must have exactly one of numCpus, ramMb, diskMb, namedPort, numGpus',
  ])
  expect(served.told).toEqual([])
})

test('tasks by a query: enums and sets by name, events and configuration as they are', async () => {
  const served = await serve()
  served.ledger.put(
    putConfig(configRow('c1')),
    putTask(taskRow('t0', { status: 'RUNNING', configId: configId('c1') })),
    putTask(taskRow('t1', { instance: 1, configId: configId('c1') })),
  )
  const said = await call(served, 'getTasksStatus', { query: { role: 'www-data', statuses: ['RUNNING'], limit: 5 } })
  const { tasks } = said.result.scheduleStatusResult
  expect(tasks).toHaveLength(1)
  expect(tasks[0]).toMatchObject({
    assignedTask: { taskId: 't0', instanceId: 0, task: { job: key, isService: true, production: false } },
    status: 'RUNNING',
    failureCount: 0,
    timesPartitioned: 0,
    taskEvents: [{ timestamp: 1_000, status: 'RUNNING', scheduler: 'node-1' }],
  })
})

test('a change reaches the job keeper, whatever the content type; what is refused is 200 with its code', async () => {
  const served = await serve()
  const body = { job: key, instances: [0, 3], message: 'bye' }
  for (const type of ['application/json', 'application/x-www-form-urlencoded'])
    expect(await call(served, 'killTasks', body, { 'content-type': type })).toMatchObject({
      http: 200,
      responseCode: 'OK',
    })
  expect(served.told).toMatchObject(Array(2).fill({ type: 'kill', key: HELLO, instances: [0, 3], message: 'bye' }))
  served.set.keeper = command => void command.replyTo.tell(rejected('JOB_UPDATING'))
  expect(await call(served, 'killTasks', { job: key })).toMatchObject({
    http: 200,
    responseCode: 'JOB_UPDATING_ERROR',
    messages: ['Job is currently updating'],
  })
  expect(await call(served, 'killTasks', { job: { role: 'a b' } })).toMatchObject({
    http: 200,
    responseCode: 'INVALID_REQUEST',
    messages: ['Missing or invalid job key from request.'],
  })
})

test('another node leads: 307 with path; nobody does: 503 with an answer that can be read; bypassed: 200 with it', async () => {
  const served = await serve()
  served.ledger.open = false
  served.set.leader = FOLLOWING
  const sent = await fetch(`${served.url}/apibeta/killTasks?x=1`, { method: 'POST', redirect: 'manual', body: '{}' })
  expect([sent.status, sent.headers.get('location')]).toEqual([307, 'http://127.0.0.1:8181/apibeta/killTasks?x=1'])
  const transient = { responseCode: 'ERROR_TRANSIENT', serverInfo: CLUSTER }
  const bypass = { 'bypass-leader-redirect': 'true' }
  expect(await call(served, 'getRoleSummary', undefined, bypass)).toMatchObject({ http: 200, ...transient })
  served.set.leader = null
  const none = await call(served, 'getRoleSummary')
  expect(none).toMatchObject({ http: 503, ...transient })
  expect(none.messages[0]).toBe('Storage is not READY')
})

test('a change that nobody can say has happened: no answer, the connection is closed', async () => {
  const served = await serve()
  served.set.keeper = (command: JobKeeper.Command) => void command.replyTo.tell(rejected('OUTCOME_UNKNOWN'))
  await expect(call(served, 'killTasks', { job: key })).rejects.toThrow()
})

test('/apibeta itself leads to what a node has; a call is made by POST alone', async () => {
  const served = await serve()
  const index = await fetch(`${served.url}/apibeta`, { redirect: 'manual' })
  expect([index.status, index.headers.get('location')]).toEqual([303, '/'])
  const got = await fetch(`${served.url}/apibeta/getRoleSummary`)
  expect([got.status, got.headers.get('allow')]).toEqual([405, 'POST'])
})
