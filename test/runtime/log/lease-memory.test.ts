import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { Now } from '../../../src/core/base/time.ts'
import type { Lease } from '../../../src/core/log/lease.ts'
import { realClock } from '../../../src/runtime/clock.ts'
import { LeaseMemory } from '../../../src/runtime/log/lease-memory.ts'

const built = new URL('../../../dist/src/runtime/', import.meta.url).href

/** Both ends of one memory, and the clocks of the reader. */
function memory(): { readonly writer: LeaseMemory; readonly reader: LeaseMemory; now: Now } {
  const writer = new LeaseMemory()
  const clocks = { now: { wallMs: 1_700_000_000_000, monoMs: 5_000 } }
  const reader = new LeaseMemory(writer.buffer, { clock: { read: () => clocks.now } })
  return Object.assign(clocks, { writer, reader })
}
const lease = (change: Partial<Lease> = {}): Lease => ({
  ballot: [7, 2],
  untilMonoMs: 6_000,
  since: { wallMs: 1_700_000_000_000, monoMs: 5_000 },
  ...change,
})
const passed = (now: Now, monoMs: number, wallMs = monoMs): Now => ({
  monoMs: now.monoMs + monoMs,
  wallMs: now.wallMs + wallMs,
})

describe('the lease in shared memory', () => {
  test('nothing published yet: no lease', () => {
    expect(memory().reader.holds([0, 0])).toBe(false)
  })

  test('published: holds for that reign until its end, and for no other reign, of the same member neither', () => {
    const both = memory()
    both.writer.publish(lease())
    expect(both.reader.read()).toEqual(lease())
    expect(both.reader.holds([7, 2])).toBe(true)
    expect([both.reader.holds([8, 2]), both.reader.holds([6, 2]), both.reader.holds([7, 1])]).toEqual([
      false,
      false,
      false,
    ])
    both.now = passed(both.now, 999)
    expect(both.reader.holds([7, 2])).toBe(true)
    both.now = passed(both.now, 1)
    expect(both.reader.holds([7, 2])).toBe(false)
  })

  test('the reader was suspended since the last word of the log thread: no lease', () => {
    const both = memory()
    both.writer.publish(lease())
    both.now = passed(both.now, 1, 60_000)
    expect(both.reader.holds([7, 2])).toBe(false)
  })

  test('withdrawn: gone for the reader at once; another reign: only that one', () => {
    const { writer, reader } = memory()
    writer.publish(lease())
    writer.publish(null)
    expect([reader.read(), reader.holds([7, 2])]).toEqual([null, false])
    writer.publish(lease({ ballot: [9, 2] }))
    expect([reader.holds([7, 2]), reader.holds([9, 2])]).toEqual([false, true])
  })

  test('a voter that is alone, large rounds, and fractions of a millisecond: as written', () => {
    const { writer, reader } = memory()
    writer.publish(lease({ ballot: [2 ** 53 - 1, 7], untilMonoMs: Number.POSITIVE_INFINITY }))
    expect(reader.read()).toMatchObject({ ballot: [2 ** 53 - 1, 7], untilMonoMs: Number.POSITIVE_INFINITY })
    writer.publish(lease({ untilMonoMs: 1_234_567_890.125 }))
    expect(reader.read()?.untilMonoMs).toBe(1_234_567_890.125)
  })

  test('the writer stopped half-way: no lease, and the reader does not wait for it', () => {
    const { writer, reader } = memory()
    writer.publish(lease())
    Atomics.add(new BigInt64Array(writer.buffer), 0, 1n)
    expect(reader.holds([7, 2])).toBe(false)
  })

  test('another thread writes as fast as it can: every reading is one that was written', async () => {
    const { buffer } = new LeaseMemory()
    const enough = new Int32Array(new SharedArrayBuffer(4))
    const reader = new LeaseMemory(buffer)
    const script = `
      import { workerData } from 'node:worker_threads'
      const { LeaseMemory } = await import(${JSON.stringify(`${built}log/lease-memory.js`)})
      const memory = new LeaseMemory(workerData.buffer)
      for (let round = 1; Atomics.load(workerData.enough, 0) === 0; round++)
        memory.publish({ ballot: [round, round % 7], untilMonoMs: round, since: { monoMs: round * 2, wallMs: round * 3 } })`
    const workerData = { buffer, enough }
    const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(script)}`), { workerData })
    onTestFinished(async () => void (await worker.terminate()))
    const ended = once(worker, 'exit')
    const seen = new Set<number>()
    const torn: Lease[] = []
    while (seen.size < 2_000) {
      const read = reader.read()
      if (read === null) {
        await new Promise(resolve => setImmediate(resolve))
        continue
      }
      const { ballot, untilMonoMs, since } = read
      const [round] = ballot
      seen.add(round)
      const isWhole =
        ballot[1] === round % 7 && untilMonoMs === round && since.monoMs === round * 2 && since.wallMs === round * 3
      if (!isWhole) torn.push(read)
    }
    Atomics.store(enough, 0, 1)
    await ended
    expect(torn).toEqual([])
  })

  test('the clock of two threads is one: a thread that starts later reads a later moment, not its own age', async () => {
    const before = realClock.read()
    const script = `
      import { parentPort } from 'node:worker_threads'
      const { realClock } = await import(${JSON.stringify(`${built}clock.js`)})
      parentPort.postMessage(realClock.read())`
    const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(script)}`))
    const [theirs] = (await once(worker, 'message')) as [Now]
    const after = realClock.read()
    expect(theirs.monoMs).toBeGreaterThanOrEqual(before.monoMs)
    expect(theirs.monoMs).toBeLessThanOrEqual(after.monoMs)
    expect(realClock.monoMs!()).toBeGreaterThanOrEqual(after.monoMs)
  })
})
