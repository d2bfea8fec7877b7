import { describe, expect, test } from 'vitest'
import type * as TaskAdmin from '../../src/actors/task-admin.ts'
import { rejected } from '../../src/core/base/rejection.ts'
import * as rest from '../../src/wire/rest.ts'
import { httpNode } from '../fixtures/http-node.ts'

function node() {
  const { app, set } = httpNode()
  const told: TaskAdmin.Command[] = []
  set.admin = command => {
    told.push(command)
    if (command.type === 'pruneTasks') command.replyTo.tell({ type: 'pruned', tasks: 4 })
    else command.replyTo.tell({ type: 'forced', taskId: command.taskId, from: 'RUNNING', to: command.to })
  }
  const post = (path: string, payload: object) =>
    app.inject({
      method: 'POST',
      url: `/api/v1${path}`,
      headers: { 'idempotency-key': 'abc', 'daybreak-user': 'bob' },
      payload,
    })
  return { set, told, post }
}

test('force-state: reaches the task admin with task, status, reason, user and request id', async () => {
  const { told, post } = node()
  const answer = await post('/tasks/t-1:force-state', { status: 'LOST', reason: 'scrapped' })
  expect(answer.statusCode).toBe(200)
  expect(rest.forced.parse(answer.json())).toEqual({ taskId: 't-1', from: 'RUNNING', to: 'LOST' })
  expect(told).toMatchObject([
    { type: 'forceState', taskId: 't-1', to: 'LOST', reason: 'scrapped', user: 'bob', requestId: 'abc' },
  ])
})

test('without a reason, or with a blank one, or an unknown status: 422, and nobody is told', async () => {
  const { told, post } = node()
  for (const body of [{ status: 'LOST' }, { status: 'LOST', reason: '  ' }, { status: 'ALIVE', reason: 'x' }])
    expect((await post('/tasks/t-1:force-state', body)).statusCode).toBe(422)
  expect((await post('/tasks:prune', { all: true })).statusCode).toBe(422)
  expect(told).toEqual([])
})

test('a verb that is none: 404; a node that does not lead yet: 503', async () => {
  const { set, post } = node()
  expect((await post('/tasks/t-1:explode', { reason: 'x' })).statusCode).toBe(404)
  set.admin = null
  expect((await post('/tasks/t-1:force-state', { status: 'LOST', reason: 'x' })).statusCode).toBe(503)
})

test('a move that the table does not have: 409 with its remedy', async () => {
  const { set, post } = node()
  set.admin = command => command.replyTo.tell(rejected('ILLEGAL_TRANSITION', 'no', { remedy: 'elsewhere' }))
  const answer = await post('/tasks/t-1:force-state', { status: 'LOST', reason: 'x' })
  expect(answer.statusCode).toBe(409)
  expect(answer.json()).toMatchObject({ code: 'ILLEGAL_TRANSITION', remedy: 'elsewhere' })
})

test('prune: filters, limit and reason arrive', async () => {
  const { told, post } = node()
  const jobs = [{ role: 'ads', environment: 'prod', name: 'web' }]
  const body = { jobs, statuses: ['FAILED'], hosts: ['a'], limit: 5, reason: 'noise' }
  expect(rest.pruned.parse((await post('/tasks:prune', body)).json())).toEqual({ tasks: 4 })
  expect(told).toMatchObject([
    { type: 'pruneTasks', limit: 5, reason: 'noise', query: { jobKeys: jobs, statuses: ['FAILED'], hosts: ['a'] } },
  ])
})

test('prune of everything by accident: neither filter nor `all`, both, blank or empty filters, limit 0: refused', async () => {
  const { told, post } = node()
  const reason = 'x'
  for (const body of [
    {},
    { all: true, role: 'ads' },
    { role: ' ' },
    { statuses: [] },
    { ids: [] },
    { jobs: [] },
    { all: true, limit: 0 },
    { all: true, limit: -1 },
  ])
    expect((await post('/tasks:prune', { ...body, reason })).statusCode).toBe(422)
  expect(told).toEqual([])
  expect((await post('/tasks:prune', { all: true, reason })).statusCode).toBe(200)
})

describe('what the agent gateway is asked', () => {
  function gatewayNode() {
    const { app, set, asked } = httpNode()
    set.gateway = command => {
      if (command.type === 'reconcile')
        command.replyTo.tell({ type: 'reconcileStarted', kind: command.kind, steps: 3, isUnderWay: false })
      if (command.type === 'releaseHeld')
        command.replyTo.tell({
          type: 'heldReleased',
          agents: [{ agentId: 'a1', host: 'h1', tasks: 30 }],
          away: ['b1'],
        })
    }
    const post = (verb: string, payload: object) =>
      app.inject({ method: 'POST', url: `/api/v1/admin:${verb}`, headers: { 'daybreak-user': 'bob' }, payload })
    return { app, set, asked, post }
  }

  test('reconcile: explicit and as configured unless said otherwise; the answer says what has begun', async () => {
    const { asked, post } = gatewayNode()
    const plain = await post('reconcile', {})
    expect(rest.reconcileStarted.parse(plain.json())).toEqual({ kind: 'explicit', steps: 3, isUnderWay: false })
    await post('reconcile', { kind: 'explicit', batchSize: 10 })
    await post('reconcile', { kind: 'implicit' })
    expect(asked).toMatchObject([
      { type: 'reconcile', kind: 'explicit', batchSize: null, user: 'bob' },
      { type: 'reconcile', kind: 'explicit', batchSize: 10 },
      { type: 'reconcile', kind: 'implicit', batchSize: null },
    ])
  })

  test.each([0, -1, 1.5])(
    'life-47: reconcile in batches of %s: refused with text and remedy, nobody is told',
    async size => {
      const { asked, post } = gatewayNode()
      const answer = await post('reconcile', { batchSize: size })
      expect(answer.statusCode).toBe(422)
      expect(answer.json()).toMatchObject({
        code: 'INVALID_REQUEST',
        detail: 'Batch size must be greater than zero.',
        faults: [{ path: 'batchSize' }],
      })
      expect(answer.json().remedy).toContain('1 to 1000')
      expect(asked).toEqual([])
    },
  )

  test('reconcile in batches of over 1,000, implicit ones in batches, an unknown kind: refused, nobody is told', async () => {
    const { asked, post } = gatewayNode()
    for (const body of [{ batchSize: 1001 }, { kind: 'implicit', batchSize: 10 }, { kind: 'all' }])
      expect((await post('reconcile', body)).statusCode).toBe(422)
    expect(asked).toEqual([])
  })

  test('release-held: agents, user and reason arrive; the answer says what was released', async () => {
    const { asked, post } = gatewayNode()
    const answer = await post('release-held', { agents: ['a1', 'b1'], reason: 'scrapped' })
    expect(rest.heldReleased.parse(answer.json())).toEqual({
      killed: [{ agentId: 'a1', host: 'h1', tasks: 30 }],
      away: ['b1'],
    })
    await post('release-held', { reason: 'all of it' })
    expect(asked).toMatchObject([
      { type: 'releaseHeld', agentIds: ['a1', 'b1'], user: 'bob', reason: 'scrapped' },
      { type: 'releaseHeld', agentIds: null, reason: 'all of it' },
    ])
  })

  test('release-held without a reason, or of an empty list: 422; a node that does not lead yet: 503', async () => {
    const { set, asked, post } = gatewayNode()
    for (const body of [{}, { reason: ' ' }, { reason: 'x', agents: [] }])
      expect((await post('release-held', body)).statusCode).toBe(422)
    set.gateway = null
    expect((await post('release-held', { reason: 'x' })).statusCode).toBe(503)
    expect((await post('reconcile', {})).statusCode).toBe(503)
    expect(asked).toEqual([])
  })

  test('a brake holds something: /agents lists it, and /health stays the OK that supervisors compare with', async () => {
    const { app, set } = gatewayNode()
    set.brakes = { agentsAway: ['b1', 'b2'], unknownTasks: [{ agentId: 'a1', host: 'h1', tasks: 30 }] }
    const health = await app.inject('/health')
    expect([health.statusCode, health.body]).toEqual([200, 'OK\n'])
    expect(rest.agentList.parse((await app.inject('/api/v1/agents')).json()).brakes).toEqual(set.brakes)
  })
})
