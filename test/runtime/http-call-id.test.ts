import { describe, expect, test } from 'vitest'
import type { LogFields, Logger } from '../../src/actors/ports.ts'
import { createHttpApp } from '../../src/runtime/http-server.ts'
import * as rest from '../../src/wire/rest.ts'
import { httpNode } from '../fixtures/http-node.ts'
import { configRow, putConfig, putTask, taskRow } from '../fixtures/rows.ts'

/** A node whose log lines are kept. */
function loggedNode() {
  const node = httpNode()
  const lines: { event: string; fields: LogFields }[] = []
  const write = (event: string, fields: LogFields = {}): void => void lines.push({ event, fields })
  const logger: Logger = { debug: write, info: write, warn: write, error: write, child: () => logger }
  return { ...node, app: createHttpApp({ ...node.deps, logger }), lines }
}
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

describe('X-Request-Id', () => {
  test.each(['/health', '/api/v1/jobs', '/api/v1/jobs/a/b/none', '/nothing', '/', '/offers', '/api/v1/jobs/%zz'])(
    '%s: the id of the caller comes back, another for each call that gives none',
    async url => {
      const { app } = loggedNode()
      const mine = await app.inject({ url, headers: { 'x-request-id': 'trace-1:a/b' } })
      expect(mine.headers['x-request-id']).toBe('trace-1:a/b')
      const ids = [await app.inject(url), await app.inject(url)].map(({ headers }) => String(headers['x-request-id']))
      for (const id of ids) expect(id).toMatch(UUID)
      expect(ids[0]).not.toBe(ids[1])
    },
  )

  test.each(['', 'a b', 'x'.repeat(129), 'a"b', 'é'])('an id that is not sane (%j): another is made', async id => {
    const { app } = loggedNode()
    const response = await app.inject({ url: '/api/v1/jobs', headers: { 'x-request-id': id } })
    expect(response.headers['x-request-id']).toMatch(UUID)
  })

  test('a problem document has it: refused by the schema, by the edge and by nobody', async () => {
    const { app } = loggedNode()
    const headers = { 'x-request-id': 'mine' }
    for (const url of ['/api/v1/jobs?limit=x', '/api/v1/jobs/a/b/none', '/api/v1/nothing', '/api/v1/jobs/%zz']) {
      const response = await app.inject({ url, headers })
      expect(response.headers['content-type']).toBe('application/problem+json')
      expect(rest.problem.parse(response.json()).callId).toBe('mine')
    }
  })

  test('a fault of the node: the log line and the remedy name the same id', async () => {
    const { app, set, lines } = loggedNode()
    Object.defineProperty(set, 'placement', {
      get: () => {
        throw new Error('broken')
      },
    })
    const response = await app.inject({ url: '/api/v1/pending', headers: { 'x-request-id': 'mine' } })
    expect(rest.problem.parse(response.json())).toMatchObject({
      code: 'INTERNAL',
      callId: 'mine',
      remedy: 'look for `request-failed` with callId=mine in the log of node-1',
    })
    expect(lines.find(({ event }) => event === 'request-failed')?.fields).toMatchObject({ callId: 'mine' })
  })

  test('every answer leaves a line with it for those who want to see all', async () => {
    const { app, ledger, lines } = loggedNode()
    ledger.put(putConfig(configRow()), putTask(taskRow('t')))
    await app.inject({ url: '/api/v1/tasks/t?x=1', headers: { 'x-request-id': 'mine' } })
    expect(lines).toMatchObject([
      { event: 'http-answered', fields: { method: 'GET', path: '/api/v1/tasks/t?x=1', status: 200, callId: 'mine' } },
    ])
  })
})

describe('Idempotency-Key', () => {
  const kill = { method: 'POST', url: '/api/v1/jobs/www-data/devel/hello:kill', payload: { all: true } } as const

  test('a change: the request id it was made under comes back, the one that was drawn too', async () => {
    const { app, told } = loggedNode()
    const given = await app.inject({ ...kill, headers: { 'idempotency-key': 'mine' } })
    expect(given.headers['idempotency-key']).toBe('mine')
    const drawn = await app.inject(kill)
    expect(drawn.headers['idempotency-key']).toBe(told[1]?.requestId)
  })

  test('the call id is no request id: one call id on two changes, two request ids', async () => {
    const { app, told } = loggedNode()
    for (let round = 0; round < 2; round += 1) await app.inject({ ...kill, headers: { 'x-request-id': 'trace' } })
    expect(told[0]?.requestId).not.toBe(told[1]?.requestId)
  })
})
