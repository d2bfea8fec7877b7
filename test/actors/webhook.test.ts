import { describe, expect, test } from 'vitest'
import * as EventTail from '../../src/actors/event-tail.ts'
import { type LogPort, silentMetrics } from '../../src/actors/ports.ts'
import { WEBHOOK_CURSOR, type WebhookAnswer, type WebhookOptions, webhookSpec } from '../../src/actors/webhook.ts'
import { Deliveries, deliveryPauseMs } from '../../src/core/events/deliveries.ts'
import type { TaskEvent, TaskRow } from '../../src/core/ledger/rows.ts'
import type { TaskStatus } from '../../src/core/task/status.ts'
import { openLedger } from '../fixtures/ledger.ts'
import { CAUSE, configRow, putConfig, putTask, taskRow } from '../fixtures/rows.ts'

const OK: WebhookAnswer = { ok: true, status: 204, why: '' }
const DOWN: WebhookAnswer = { ok: false, status: null, why: 'connection refused' }

const events = (...statuses: TaskStatus[]): TaskEvent[] =>
  statuses.map((status, at) => ({ atMs: 1_000 + at, status, scheduler: 'node-1' }))
const task = (id: string, ...statuses: TaskStatus[]): TaskRow =>
  taskRow(id, { instance: Number(id.slice(1)), status: statuses.at(-1)!, events: events(...statuses) })

interface Received {
  readonly id: string
  readonly body: {
    readonly task?: { readonly assignedTask: { readonly taskId: string } }
    readonly oldState?: string | null
    readonly newState?: string
    readonly gap?: object
  }
}

async function webhook(more: Partial<WebhookOptions> = {}, log: Partial<LogPort> = {}) {
  const fixture = await openLedger({ changes: [putConfig(configRow()), putTask(task('t9', 'PENDING'))] })
  const { system, ledger } = fixture
  const port: Pick<LogPort, 'read' | 'status'> = {
    status: () => fixture.log.status(),
    read: (from, to) => fixture.log.read(from, to),
    ...log,
  }
  const tail = system.spawn(EventTail.eventTailSpec({ log: port }))
  EventTail.toldOfCommits(ledger, tail)
  const received: Received[] = []
  const target = { answer: (_what: Received): WebhookAnswer => OK }
  const start = () =>
    system.spawn(
      webhookSpec({
        ledger,
        events: tail,
        metrics: silentMetrics,
        statuses: [],
        filter: {},
        port: {
          post: async ({ id, body }) => {
            const what = { id, body: JSON.parse(body) as Received['body'] }
            const answer = target.answer(what)
            if (answer.ok) received.push(what)
            return answer
          },
        },
        ...more,
      }),
    )
  const put = async (...rows: TaskRow[]): Promise<void> => {
    ledger.stage({ cause: CAUSE, changes: rows.map(putTask) })
    await system.settle()
  }
  const states = (): string[] =>
    received.map(({ body }) => `${body.task?.assignedTask.taskId} ${body.oldState}>${body.newState}`)
  return { ...fixture, start, received, target, put, states }
}

describe('webhook', () => {
  test('begins with what happens from then on; recovery posts none; each transition once, with its id and the whole task', async () => {
    const { system, start, put, states, received } = await webhook()
    const ref = start()
    await system.settle()
    await put(task('t0', 'PENDING'))
    await put(task('t0', 'PENDING', 'ASSIGNED'))
    expect(states()).toEqual(['t0 null>PENDING', 't0 PENDING>ASSIGNED'])
    expect(received[0]).toMatchObject({
      body: { v: 1, id: received[0]!.id, timestamp: 1_000, task: { assignedTask: { task: { owner: 'www-data' } } } },
    })

    // The next leader goes on behind the cursor.
    system.advance(5_000)
    await system.settle()
    const stopped = system.stopActor(ref)
    await system.settle()
    await stopped
    await put(task('t0', 'PENDING', 'ASSIGNED', 'RUNNING'))
    start()
    await system.settle()
    expect(states().slice(2)).toEqual(['t0 ASSIGNED>RUNNING'])
    expect(system.failures).toEqual([])
  })

  test('statuses [LOST, FAILED]: only those are posted', async () => {
    const { system, start, put, states } = await webhook({ statuses: ['LOST', 'FAILED'] })
    start()
    await system.settle()
    await put(task('t0', 'RUNNING'), task('t1', 'RUNNING'), task('t2', 'RUNNING'))
    await put(task('t0', 'RUNNING', 'LOST'), task('t1', 'RUNNING', 'FAILED'), task('t2', 'RUNNING', 'FINISHED'))
    expect(states()).toEqual(['t0 RUNNING>LOST', 't1 RUNNING>FAILED'])
  })

  test('target down, then back: everything arrives, each task in order; one that is refused holds up no other', async () => {
    const { system, start, put, states, target } = await webhook()
    start()
    await system.settle()
    target.answer = ({ body }) => (body.task?.assignedTask.taskId === 't0' ? DOWN : OK)
    await put(task('t0', 'PENDING'), task('t1', 'PENDING'))
    await put(task('t0', 'PENDING', 'RUNNING'), task('t1', 'PENDING', 'RUNNING'))
    await put(task('t1', 'PENDING', 'RUNNING', 'LOST'))
    expect(states()).toContain('t1 null>PENDING')
    expect(states().some(state => state.startsWith('t0'))).toBe(false)
    target.answer = () => OK
    system.advance(60_000)
    await system.settle()
    const of = (id: string): string[] => states().filter(state => state.startsWith(id))
    expect(of('t0')).toEqual(['t0 null>PENDING', 't0 PENDING>RUNNING'])
    expect(of('t1')).toEqual(['t1 null>PENDING', 't1 PENDING>RUNNING', 't1 RUNNING>LOST'])
  })

  test('the log was truncated behind the cursor: the gap is posted, then what is held', async () => {
    let begin = 1
    const held: { read: LogPort['read'] | null } = { read: null }
    const { system, log, ledger, start, put, received, states } = await webhook(
      {},
      {
        read: async (from, to) => {
          if (from < begin) throw new Error(`TRUNCATED: the log begins at ${begin}`)
          return held.read!(from, to)
        },
      },
    )
    held.read = (from, to) => log.read(from, to)
    const value = { position: 2, seen: 0 }
    const row = { v: 1, name: WEBHOOK_CURSOR, value } as const
    ledger.stage({ cause: CAUSE, changes: [{ type: 'put', table: 'meta', key: WEBHOOK_CURSOR, row }] })
    await put(task('t0', 'PENDING'))
    await put(task('t0', 'PENDING', 'RUNNING'))
    begin = ledger.applied
    start()
    await system.settle()
    expect(received[0]).toMatchObject({ id: `gap-2-0-${begin}`, body: { gap: { from: '2-0', to: `${begin}-0` } } })
    expect(states().slice(1)).toEqual(['t0 PENDING>RUNNING'])
  })

  test('nothing happens: the cursor is not written again and again', async () => {
    const { system, log, start, put } = await webhook()
    start()
    await system.settle()
    await put(task('t0', 'PENDING'))
    system.advance(10_000)
    await system.settle()
    const { length } = log.entries
    for (let at = 0; at < 20; at++) {
      system.advance(10_000)
      await system.settle()
    }
    expect(log.entries.length).toBe(length)
  })
})

describe('deliveries', () => {
  test('lanes go side by side, at most 8; within a lane the next one goes when the one before was taken', () => {
    const list = Array.from({ length: 20 }, (_, at) => ({ id: String(at), lane: `lane-${at % 10}` }))
    const deliveries = new Deliveries(list)
    const first = deliveries.next()
    expect(first.map(({ id }) => id)).toEqual(['0', '1', '2', '3', '4', '5', '6', '7'])
    expect(deliveries.next()).toEqual([])
    deliveries.taken(first[0]!)
    expect(deliveries.next().map(({ id }) => id)).toEqual(['10'])
    expect(deliveries.failed(first[1]!)).toBe(1_000)
    expect(deliveries.failed(first[1]!)).toBe(null)
    expect(deliveries.next().map(({ id }) => id)).toEqual(['8'])
    deliveries.taken({ id: '2', lane: 'lane-2' })
    deliveries.resume('lane-1')
    expect(deliveries.next().map(({ id }) => id)).toEqual(['1'])
    expect(deliveries.isDone).toBe(false)
  })

  test('pauses double from 1 s to a minute', () => {
    expect([1, 2, 3, 6, 7, 100].map(deliveryPauseMs)).toEqual([1_000, 2_000, 4_000, 32_000, 60_000, 60_000])
  })
})
