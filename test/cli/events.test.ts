/** `daybreak events` against nodes that are web servers of this test. */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { readSse } from '../../src/cli/sse.ts'
import type { EventDocument } from '../../src/wire/events.ts'
import { CLIENT_EXIT, daybreak } from './terminal.ts'

const servers: Server[] = []
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections()
    server.close()
  }
})

type Answer = (request: IncomingMessage, response: ServerResponse) => void

/** A node that knows `peers`; `answers` are given to readers of events, one after the other, the last one again. */
async function node(
  answers: readonly Answer[],
  peers: readonly string[] = [],
): Promise<{ url: string; seen: string[] }> {
  const seen: string[] = []
  const server = createServer((request, response) => {
    if (request.url?.startsWith('/api/v1/log/status')) {
      response.end(JSON.stringify({ peers: peers.map(httpUrl => ({ httpUrl })), view: { leader: null } }))
      return
    }
    const answer = answers[Math.min(seen.length, answers.length - 1)]!
    seen.push(`${request.url} ${request.headers['last-event-id'] ?? '-'}`)
    answer(request, response)
  })
  servers.push(server)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, seen }
}

const event = (id: string, newState: string, more: Partial<EventDocument> = {}): string => {
  const document = {
    v: 1,
    id,
    type: 'task.transition',
    atMs: Date.UTC(2026, 0, 31, 12),
    who: 'ann',
    why: null,
    taskId: 't',
    job: { role: 'www-data', environment: 'devel', name: 'hello' },
    instance: 0,
    oldState: 'PENDING',
    newState,
    message: null,
    scheduler: 'node-1',
    host: 'h1',
    agentId: 'a',
    ports: {},
    failureCount: 0,
    ancestorId: null,
    ...more,
  }
  return `id: ${id}\nevent: task.transition\ndata: ${JSON.stringify(document)}\n\n`
}
const problem =
  (status: number, code: string): Answer =>
  (_request, response) =>
    void response.writeHead(status).end(JSON.stringify({ code, detail: `refused with ${code}`, remedy: 'do that' }))
const idsOf = (out: string): string[] => [...out.matchAll(/"id":"(.+?)"/g)].map(([, id = '']) => id)

test('without -f: everything that is held, as lines for people', async () => {
  const { url, seen } = await node([(_request, response) => response.end(`id: 1-0\n\n${event('2-1', 'RUNNING')}`)])
  const ran = await daybreak(`events --url ${url} --job local/www-data/devel/hello`, null)
  expect(ran.out).toBe('2026-01-31T12:00:00.000Z  2-1  www-data/devel/hello/0  PENDING → RUNNING on h1  (ann)\n')
  expect(ran.exit).toBe(CLIENT_EXIT.ok)
  expect(seen).toEqual(['/api/v1/events?follow=false&from=begin&job=www-data%2Fdevel%2Fhello -'])
})

test('-f, the node dies in the middle of an event: goes on at the next one behind the last whole event', async () => {
  const second = await node([
    (_request, response) => response.end(event('2-2', 'STARTING') + event('3-1', 'RUNNING')),
    problem(410, 'LOG_TRUNCATED'),
  ])
  const first = await node(
    [
      (_request, response) => {
        response.write(`id: 2-0\n\n${event('2-1', 'ASSIGNED')}${event('2-2', 'STARTING').slice(0, 40)}`)
        setImmediate(() => setImmediate(() => response.destroy()))
      },
      problem(503, 'STORAGE_NOT_READY'),
    ],
    [second.url],
  )
  const ran = await daybreak(`events -f --json --url ${first.url}`, null)
  expect(idsOf(ran.out.split('\n').slice(0, 3).join('\n'))).toEqual(['2-1', '2-2', '3-1'])
  expect(ran.err).toContain(`going on at ${second.url} behind 2-1`)
  expect(second.seen[0]).toBe('/api/v1/events?follow=true 2-1')
  // The first one cannot answer, so the second is asked again; it says that the log has moved on.
  expect(second.seen[1]).toBe('/api/v1/events?follow=true 3-1')
  expect(ran.exit).toBe(CLIENT_EXIT.refused)
  expect(ran.err).toContain('refused with LOG_TRUNCATED')
})

test('-f, truncated while it reads: ends and says where the log begins', async () => {
  const { url } = await node([
    (_request, response) => response.end('event: gone\ndata: {"detail":"the log begins at 12"}\n\n'),
  ])
  const ran = await daybreak(`events -f --url ${url}`, null)
  expect([ran.exit, ran.err]).toEqual([CLIENT_EXIT.refused, expect.stringContaining('the log begins at 12')])
})

test('-f, no node for a minute: ends with what the last one said', async () => {
  const { url } = await node([problem(503, 'STORAGE_NOT_READY')])
  const ran = await daybreak(`events -f --url ${url}`, null)
  expect(ran.exit).toBe(CLIENT_EXIT.network)
  expect(ran.sleptMs).toBeGreaterThanOrEqual(60_000)
  expect(ran.err).toContain('STORAGE_NOT_READY')
})

test('a filter that the node refuses: its words, at once', async () => {
  const { url } = await node([problem(422, 'INVALID_REQUEST')])
  const ran = await daybreak(`events -f --type x --url ${url}`, null)
  expect([ran.exit, ran.sleptMs]).toEqual([CLIENT_EXIT.refused, 0])
})

test('server-sent events cut anywhere, between bytes of a character too: the same blocks', async () => {
  const bytes = Buffer.from(`: hello\n\nid: 1-1\nevent: x\ndata: a → b\ndata: c\n\nid: 2-0\n\nid: 3-1\ndata: lost`)
  for (let size = 1; size < bytes.length; size++) {
    async function* pieces(): AsyncGenerator<Uint8Array> {
      for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
    }
    const blocks = []
    for await (const block of readSse(pieces())) blocks.push(block)
    expect(blocks).toEqual([
      { id: null, event: 'message', data: '' },
      { id: '1-1', event: 'x', data: 'a → b\nc' },
      { id: '2-0', event: 'message', data: '' },
    ])
  }
})
