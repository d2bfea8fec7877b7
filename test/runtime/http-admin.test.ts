import { expect, test } from 'vitest'
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
