/** Server-sent events over real HTTP, from a ledger over a log in memory. */
import { connect } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import * as EventTail from '../../src/actors/event-tail.ts'
import type { Logger } from '../../src/actors/ports.ts'
import { silentLogger } from '../../src/actors/ports.ts'
import type { RowChange } from '../../src/core/ledger/transaction.ts'
import type { StreamTiming } from '../../src/runtime/http/event-stream.ts'
import { type HttpServer, startHttpServer } from '../../src/runtime/http-server.ts'
import { httpNode } from '../fixtures/http-node.ts'
import { openLedger } from '../fixtures/ledger.ts'
import { CAUSE, jobRow, putJob, putTask, taskRow } from '../fixtures/rows.ts'

const servers: HttpServer[] = []
const turning: NodeJS.Timeout[] = []
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close(0)
  for (const one of turning.splice(0)) clearInterval(one)
})

async function serve(options: { timing?: Partial<StreamTiming>; logger?: Logger; begin?: number } = {}) {
  const { system, log, ledger } = await openLedger()
  const report = await log.status()
  const port = {
    ...httpNode().deps.scheduler!.log,
    status: async () => ({ ...(await log.status()), begin: options.begin ?? 1 }),
    read: (from: number, to: number) => log.read(from, to),
  }
  const tail = system.spawn(EventTail.eventTailSpec({ log: port }))
  EventTail.toldOfCommits(ledger, tail)
  const { deps } = httpNode()
  const server = await startHttpServer({
    ...deps,
    host: '127.0.0.1',
    port: 0,
    logger: options.logger ?? silentLogger,
    ...(options.timing === undefined ? {} : { eventTiming: options.timing }),
    scheduler: { ...deps.scheduler!, system, log: port, events: tail },
  })
  servers.push(server)
  // The simulated system runs when it is told to: here, as often as the event loop turns.
  turning.push(setInterval(() => void system.settle(), 1))
  const put = async (...changes: RowChange[]): Promise<void> => {
    ledger.stage({ cause: CAUSE, changes })
    await system.settle()
  }
  return { server, put, report, url: `${server.url}/api/v1/events` }
}

/** The text of a stream, read until `isEnough` or its end. */
async function readUntil(response: Response, isEnough: (text: string) => boolean): Promise<string> {
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader()
  let text = ''
  while (!isEnough(text)) {
    const { done, value } = await reader.read()
    if (done) return text
    text += value
  }
  await reader.cancel()
  return text
}
const idsOf = (text: string): string[] => [...text.matchAll(/^id: (.+)\nevent: /gm)].map(([, id = '']) => id)

test('from the beginning, then live: each event with its id, type and document', async () => {
  const { put, url } = await serve()
  await put(putTask(taskRow('a')), putJob(jobRow()))
  const response = await fetch(`${url}?from=begin`)
  expect(response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8')
  const reading = readUntil(response, text => idsOf(text).length === 4)
  await put(putTask(taskRow('b', { instance: 1 })))
  const text = await reading
  expect(idsOf(text)).toEqual(['1-1', '2-1', '2-2', '3-1'])
  const last = JSON.parse(/event: task\.transition\ndata: (.+)\n\n$/.exec(text)![1]!) as object
  expect(last).toMatchObject({ v: 1, id: '3-1', taskId: 'b', oldState: null, newState: 'PENDING', instance: 1 })
})

test('comes again with its last id: no gap and no duplicate; the id beats the query', async () => {
  const { put, url } = await serve()
  await put(putTask(taskRow('a')), putTask(taskRow('b', { instance: 1 })), putTask(taskRow('c', { instance: 2 })))
  const response = await fetch(`${url}?from=begin&follow=false`, { headers: { 'last-event-id': '2-1' } })
  expect(idsOf(await response.text())).toEqual(['2-2', '2-3'])
})

test('filters: only what was asked for; a filter that cannot be is refused and named', async () => {
  const { put, url } = await serve()
  const other = { role: 'bob', environment: 'prod', name: 'web' }
  await put(putTask(taskRow('a')), putTask(taskRow('b', { job: other })), putJob(jobRow(other)))
  const ids = async (query: string) => idsOf(await (await fetch(`${url}?from=1&follow=false&${query}`)).text())
  expect(await ids('job=bob/prod/web')).toEqual(['2-2', '2-3'])
  expect(await ids('role=www-data')).toEqual(['2-1'])
  expect(await ids('task=b')).toEqual(['2-2'])
  expect(await ids('type=leader.changed,job.changed')).toEqual(['1-1', '2-3'])
  const refused = await fetch(`${url}?type=task.moved&job=a/b`)
  expect(refused.status).toBe(422)
  expect(await refused.json()).toMatchObject({ faults: [{ path: 'type' }, { path: 'job' }] })
  expect((await fetch(`${url}?from=yesterday`)).status).toBe(422)
})

test('asked for what is truncated: 410, where the log begins, and what to do', async () => {
  const { url } = await serve({ begin: 12_001 })
  const refused = await fetch(`${url}?from=17-2`)
  expect(refused.status).toBe(410)
  expect(await refused.json()).toMatchObject({
    code: 'LOG_TRUNCATED',
    detail: 'Events from 17-2 on are asked for; the log begins at 12001',
    remedy: expect.stringContaining('?from=12001'),
  })
})

test('nothing happens for a while: a heartbeat with the id where a reader stands, though its filter hides all', async () => {
  const { put, url } = await serve({ timing: { heartbeatMs: 20 } })
  const response = await fetch(`${url}?task=none`)
  await put(putTask(taskRow('a')))
  const text = await readUntil(response, found => found.includes('id: 3-0'))
  expect(text).toContain(': heartbeat\nid: 3-0\n\n')
  expect(idsOf(text)).toEqual([])
})

test('a reader that takes nothing: cut off and named in the log', async () => {
  const lines: { event: string; fields: unknown }[] = []
  const logger: Logger = {
    ...silentLogger,
    warn: (event, fields) => lines.push({ event, fields }),
    child: () => logger,
  }
  const { put, server } = await serve({ timing: { drainMsMax: 50 }, logger })
  const large = 'x'.repeat(500_000)
  for (let at = 0; at < 40; at++) {
    await put(putTask(taskRow(`t-${at}`, { instance: at, events: [{ atMs: 1, status: 'PENDING', scheduler: large }] })))
  }
  const socket = connect(server.port, '127.0.0.1')
  socket.pause()
  socket.on('error', () => {})
  socket.write('GET /api/v1/events?from=begin HTTP/1.1\r\nhost: x\r\ndaybreak-user: ann\r\n\r\n')
  while (lines.length === 0) await new Promise(setImmediate)
  expect(lines[0]).toMatchObject({
    event: 'event-reader-cut',
    fields: { reader: expect.stringMatching(/^ann from 127\.0\.0\.1:\d+$/), because: expect.stringContaining('50 ms') },
  })
  socket.destroy()
})

test('the node stops: its streams end at once, and it waits for none of them', async () => {
  const { server, url } = await serve()
  const response = await fetch(url)
  const ended = response.text()
  await server.close(60_000)
  expect(await ended).toContain('id: 2-0')
})
