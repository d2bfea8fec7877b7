import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Ref } from '../../src/actors/actor.ts'
import * as EventTail from '../../src/actors/event-tail.ts'
import type { LogPort } from '../../src/actors/ports.ts'
import { createSimSystem, type SimSystem } from '../../src/actors/sim-shell.ts'
import type { EventCursor } from '../../src/core/events/event-cursor.ts'
import type { TaskEvent, TaskRow } from '../../src/core/ledger/rows.ts'
import { toEventDocument } from '../../src/wire/events.ts'
import { openLedger } from '../fixtures/ledger.ts'
import { MemoryLog } from '../fixtures/memory-log.ts'
import { CAUSE, deleteTask, putTask, taskRow } from '../fixtures/rows.ts'

const BEGIN: EventCursor = { position: 1, seen: 0 }
let readers = 0

/** Reads on and on; what it has got is in `lines`. */
class Reader {
  readonly lines: string[] = []
  readonly ids: string[] = []
  gone: number | null = null
  cursor: EventCursor
  readonly #name = `reader-${++readers}`

  constructor(sim: SimSystem, tail: Ref<EventTail.Command>, cursor = BEGIN) {
    this.cursor = cursor
    const replyTo = sim.function<EventTail.EventPage>(this.#name, page => {
      if (page.type === 'gone') {
        this.gone = page.begin
        return
      }
      for (const event of page.events.map(toEventDocument)) {
        this.ids.push(event.id)
        this.lines.push(JSON.stringify(event))
      }
      this.cursor = page.next
      ask()
    })
    const ask = (): void => void tail.tell({ type: 'read', reader: this.#name, cursor: this.cursor, replyTo })
    ask()
  }
}

const moved = (row: TaskRow, atMs: number, message: string): TaskRow => {
  const status = row.status === 'RUNNING' ? 'PARTITIONED' : 'RUNNING'
  const event: TaskEvent = { atMs, status, scheduler: 'node-1', message }
  return { ...row, status, version: row.version + 1, events: [...row.events.slice(-3), event] }
}
/** More than one position of the log takes. */
const LARGE = 'x'.repeat(700_000)

const step = fc.record({
  task: fc.integer({ min: 0, max: 3 }),
  what: fc.oneof(
    { weight: 12, arbitrary: fc.constant('move' as const) },
    { weight: 2, arbitrary: fc.constant('delete' as const) },
    { weight: 1, arbitrary: fc.constant('large' as const) },
    { weight: 2, arbitrary: fc.constant('elect' as const) },
  ),
  /** Otherwise it shares its position with the next one. */
  settles: fc.boolean(),
})

describe('event tail', () => {
  test('any run: the same events live, read again, from any place, and on a follower', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 30 }), fc.nat(), async (steps, seed) => {
        const { system, log, ledger } = await openLedger()
        const tail = system.spawn(EventTail.eventTailSpec({ log }))
        EventTail.toldOfCommits(ledger, tail)
        const live = new Reader(system, tail)
        let expected = 0
        for (const [at, { task, what, settles }] of steps.entries()) {
          const row = ledger.view.task(taskRow(`t-${task}`).taskId)
          if (what === 'elect') {
            // What is only staged would be dropped with its reign.
            await system.settle()
            log.elect()
            await system.settle()
            expected += 1
            continue
          }
          if (what === 'delete' && row === undefined) continue
          const text = what === 'large' ? LARGE : `step ${at}`
          const next = row === undefined ? taskRow(`t-${task}`, { instance: task }) : moved(row, at, text)
          const change = what === 'delete' ? deleteTask(`t-${task}`) : putTask(next)
          ledger.stage({ cause: CAUSE, changes: [change] })
          expected += 1
          if (settles) await system.settle()
        }
        await system.settle()
        system.advance(1_000)
        await system.settle()
        expect(live.lines.length).toBe(expected + 1)

        const again = new Reader(system, tail)
        const middle = live.ids[seed % live.ids.length]!
        const [position = 0, seen = 0] = middle.split('-').map(Number)
        const rest = new Reader(system, tail, { position, seen })
        await system.settle()
        expect(again.lines).toEqual(live.lines)
        expect(rest.lines).toEqual(live.lines.slice(live.ids.indexOf(middle) + 1))

        const other = createSimSystem({ seed })
        const followerLog = new MemoryLog()
        const followerTail = other.spawn(EventTail.eventTailSpec({ log: followerLog }))
        const follower = new Reader(other, followerTail)
        for (const entry of log.entries) {
          followerLog.entries.push(entry)
          followerTail.tell({ type: 'committed', position: entry.position })
          if (entry.position % 3 !== 0) await other.settle()
        }
        await other.settle()
        expect(follower.lines).toEqual(live.lines)
        expect(new Set(live.ids).size).toBe(live.ids.length)
        expect([...system.failures, ...other.failures]).toEqual([])
      }),
      { numRuns: 40 },
    )
  })

  test('a reader from every position of the log, in the middle of a large transaction too: the rest, once', async () => {
    const { system, log, ledger } = await openLedger({ changes: [putTask(taskRow('t'))] })
    ledger.stage({ cause: CAUSE, changes: [putTask(moved(taskRow('t'), 1, LARGE + LARGE))] })
    ledger.stage({ cause: CAUSE, changes: [putTask(taskRow('u', { instance: 1 }))] })
    await system.settle()
    const tail = system.spawn(EventTail.eventTailSpec({ log }))
    const whole = new Reader(system, tail)
    await system.settle()
    for (const { position } of log.entries) {
      const reader = new Reader(system, tail, { position, seen: 0 })
      await system.settle()
      const from = whole.ids.findIndex(id => Number(id.split('-')[0]) >= position)
      expect(reader.ids, `from ${position}`).toEqual(whole.ids.slice(from))
    }
    expect(log.entries.length).toBeGreaterThan(whole.ids.length)
  })

  test('what is asked for is truncated: gone, with where the log begins', async () => {
    const { system, log } = await openLedger({ changes: [putTask(taskRow('t'))] })
    const truncated: Pick<LogPort, 'read' | 'status'> = {
      status: () => log.status(),
      read: async (from, to) => {
        if (from < 2) throw new Error('TRUNCATED: the log begins at 2')
        return log.read(from, to)
      },
    }
    const tail = system.spawn(EventTail.eventTailSpec({ log: truncated }))
    const late = new Reader(system, tail)
    const first = new Reader(system, tail, { position: 2, seen: 0 })
    await system.settle()
    expect(late.gone).toBe(2)
    expect(first.ids).toEqual(['2-1'])
  })

  test('the log of the node fails for a while: the reader waits and misses nothing', async () => {
    const { system, log } = await openLedger({ changes: [putTask(taskRow('t'))] })
    let fails = true
    const shaky: Pick<LogPort, 'read' | 'status'> = {
      status: () => log.status(),
      read: (from, to) => (fails ? Promise.reject(new Error('the log is being opened')) : log.read(from, to)),
    }
    const tail = system.spawn(EventTail.eventTailSpec({ log: shaky, lookEveryMs: 500 }))
    const reader = new Reader(system, tail)
    await system.settle()
    expect(reader.ids).toEqual([])
    fails = false
    system.advance(500)
    await system.settle()
    expect(reader.ids).toEqual(['1-1', '2-1'])
    expect(system.failures).toEqual([])
  })
})
