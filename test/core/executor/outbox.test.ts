import { expect, test } from 'vitest'
import { IN_FLIGHT_TASKS_MAX, Outbox, type OutboxEntry } from '../../../src/core/executor/outbox.ts'

const entry = (taskId: string, seq: number): OutboxEntry => ({
  taskId,
  seq,
  state: 'RUNNING',
  source: 'executor',
  reason: null,
  message: null,
  atMs: 0,
})
const keys = (entries: readonly OutboxEntry[]): string[] => entries.map(({ taskId, seq }) => `${taskId}#${seq}`)

test('two statuses of a task: the second leaves when the first is acknowledged', () => {
  const outbox = new Outbox()
  outbox.put(entry('t', 1))
  outbox.put(entry('t', 2))
  expect(keys(outbox.take(0))).toEqual(['t#1'])
  expect(outbox.take(0)).toEqual([])
  expect(keys(outbox.acknowledge('t', 1))).toEqual(['t#1'])
  expect(keys(outbox.take(0))).toEqual(['t#2'])
})

test('an acknowledgement of something else changes nothing; a late one frees nothing twice', () => {
  const outbox = new Outbox()
  outbox.put(entry('t', 1))
  outbox.take(0)
  expect(outbox.acknowledge('t', 0)).toEqual([])
  expect(outbox.acknowledge('x', 5)).toEqual([])
  outbox.acknowledge('t', 1)
  outbox.acknowledge('t', 1)
  expect(outbox.anyInFlight).toBe(false)
  expect(outbox.size).toBe(0)
})

test('no acknowledgement: sent again after 5 s, then 10 s, up to 60 s', () => {
  const outbox = new Outbox()
  outbox.put(entry('t', 1))
  let nowMs = 0
  const pauses: number[] = []
  outbox.take(nowMs)
  for (let n = 0; n < 6; n++) {
    const sentMs = nowMs
    while (outbox.take(nowMs).length === 0) {
      nowMs += 1_000
      outbox.expire(nowMs)
    }
    pauses.push(nowMs - sentMs)
  }
  expect(pauses).toEqual([5_000, 10_000, 20_000, 40_000, 60_000, 60_000])
})

test('a new connection: everything unacknowledged leaves at once, each task’s oldest first', () => {
  const outbox = new Outbox()
  for (const seq of [1, 2, 3]) outbox.put(entry('t', seq))
  outbox.take(0)
  outbox.recallAll()
  expect(keys(outbox.take(1))).toEqual(['t#1'])
})

test('many tasks: 64 in flight, the next when one is acknowledged', () => {
  const outbox = new Outbox()
  for (let n = 0; n < 100; n++) outbox.put(entry(`t${n}`, 1))
  expect(outbox.take(0)).toHaveLength(IN_FLIGHT_TASKS_MAX)
  outbox.acknowledge('t0', 1)
  expect(keys(outbox.take(0))).toEqual(['t64#1'])
})

test('a forgotten task leaves nothing behind, in flight or not', () => {
  const outbox = new Outbox()
  outbox.put(entry('t', 1))
  outbox.put(entry('t', 2))
  outbox.take(0)
  expect(outbox.drop('t')).toHaveLength(2)
  expect(outbox.size).toBe(0)
  expect(outbox.anyInFlight).toBe(false)
})

test('the same status put in again while it waits: kept once', () => {
  const outbox = new Outbox()
  for (let times = 0; times < 3; times++) outbox.put(entry('t', 3))
  expect(outbox.size).toBe(1)
})
