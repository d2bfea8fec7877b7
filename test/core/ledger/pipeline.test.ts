import { describe, expect, test } from 'vitest'
import { rejected } from '../../../src/core/base/rejection.ts'
import { BATCH_BYTES_MAX, BATCH_TRANSACTIONS_MAX, batchPayload } from '../../../src/core/ledger/payload.ts'
import { BATCHES_IN_FLIGHT_MAX, type Entry, LINGER_MS, Pipeline } from '../../../src/core/ledger/pipeline.ts'

const NOT_LEADER = rejected('NOT_LEADER')

/** An entry of a transaction with so many bytes; null for one that only waits. */
function entry(bytes: number | null): Entry {
  return {
    bytes: bytes === null ? null : new Uint8Array(bytes),
    transaction: null,
    changes: [],
    output: undefined,
    lost: undefined,
  }
}

function add(pipeline: Pipeline, count: number, bytes = 10, atMs = 0): Entry[] {
  return Array.from({ length: count }, () => {
    const one = entry(bytes)
    pipeline.add(one, atMs)
    return one
  })
}

describe('pipeline, cutting batches', () => {
  test('nothing in flight: everything staged leaves at once as one batch', () => {
    const pipeline = new Pipeline()
    add(pipeline, 3)
    expect(pipeline.next(0)).toMatchObject({ id: 1, transactions: 3 })
    expect(pipeline.next(0)).toBeNull()
  })

  test('a batch in flight: the next one waits for company, at most the linger', () => {
    const pipeline = new Pipeline()
    add(pipeline, 1)
    pipeline.next(0)
    add(pipeline, 1, 10, 5)
    expect(pipeline.next(5)).toBeNull()
    expect(pipeline.lingerMs(5)).toBe(LINGER_MS)
    add(pipeline, 1, 10, 5 + LINGER_MS / 2)
    expect(pipeline.lingerMs(5 + LINGER_MS / 2)).toBe(LINGER_MS / 2)
    expect(pipeline.next(5 + LINGER_MS)).toMatchObject({ transactions: 2 })
    expect(pipeline.lingerMs(9)).toBeNull()
  })

  test('a batch in flight that commits: what has gathered leaves without waiting', () => {
    const pipeline = new Pipeline()
    add(pipeline, 1)
    const first = pipeline.next(0)
    add(pipeline, 1, 10, 0)
    expect(pipeline.next(0)).toBeNull()
    pipeline.committed(first?.id ?? 0, 1)
    expect(pipeline.next(0)).toMatchObject({ transactions: 1 })
  })

  test('2,500 transactions at once: batches of at most 1,000, several in flight', () => {
    const pipeline = new Pipeline()
    add(pipeline, 2_500)
    const sizes = [pipeline.next(0), pipeline.next(0)].map(batch => batch?.transactions)
    expect(sizes).toEqual([BATCH_TRANSACTIONS_MAX, BATCH_TRANSACTIONS_MAX])
    expect(pipeline.next(0)).toBeNull()
    expect(pipeline.next(LINGER_MS)?.transactions).toBe(500)
    expect(pipeline.batchesInFlight).toBe(3)
  })

  test('large transactions: a batch of several stays under its bytes, one that is larger goes alone', () => {
    const pipeline = new Pipeline()
    add(pipeline, 2, BATCH_BYTES_MAX * 0.6)
    add(pipeline, 1, BATCH_BYTES_MAX * 3)
    add(pipeline, 1)
    const batches = [pipeline.next(0), pipeline.next(0), pipeline.next(0)]
    expect(batches.map(batch => batch?.transactions)).toEqual([1, 1, 1])
    expect(batches.map(batch => batch?.payloads.length)).toEqual([1, 1, 4])
    expect(pipeline.next(LINGER_MS)).toMatchObject({ transactions: 1 })
  })

  test('so many batches in flight: no further one until the first commits', () => {
    const pipeline = new Pipeline()
    for (let i = 0; i < BATCHES_IN_FLIGHT_MAX; i++) {
      add(pipeline, 1, 10, i * 10)
      expect(pipeline.next(i * 10 + 5)).not.toBeNull()
    }
    add(pipeline, BATCH_TRANSACTIONS_MAX)
    expect(pipeline.next(1e6)).toBeNull()
    expect(pipeline.lingerMs(1e6)).toBeNull()
    pipeline.committed(1, 1)
    expect(pipeline.next(1e6)?.transactions).toBe(BATCH_TRANSACTIONS_MAX)
  })

  test('the payload holds the transactions in the order of staging', () => {
    const pipeline = new Pipeline()
    const [a, b] = [1, 2].map(n => Uint8Array.from([n, n])) as [Uint8Array, Uint8Array]
    pipeline.add({ ...entry(1), bytes: a }, 0)
    pipeline.add({ ...entry(1), bytes: b }, 0)
    expect(pipeline.next(0)?.payloads).toEqual([batchPayload([a, b])])
  })

  test('full: says so in transactions and in bytes, and no more once they are sent or committed', () => {
    const many = new Pipeline()
    add(many, 100_000, 1)
    expect(many.full).toContain('100000 transactions')
    many.next(0)
    expect(many.full).toBeNull()
    const heavy = new Pipeline()
    add(heavy, 1, 64 * 1_024 * 1_024)
    expect(heavy.full).toContain('bytes wait')
    const batch = heavy.next(0)
    expect(heavy.full).not.toBeNull()
    for (let i = 0; i < (batch?.payloads.length ?? 0); i++) heavy.committed(batch?.id ?? 0, i)
    expect(heavy.full).toBeNull()
  })
})

describe('pipeline, output commit', () => {
  test('a wait with nothing pending is not taken: it may run at once', () => {
    const pipeline = new Pipeline()
    expect(pipeline.add(entry(null), 0)).toBe(false)
    expect(pipeline.isIdle).toBe(true)
  })

  test('waits come out with the batch of what was staged before them, in order', () => {
    const pipeline = new Pipeline()
    const [a] = add(pipeline, 1)
    const waits = [entry(null), entry(null), entry(null)]
    pipeline.add(waits[0] as Entry, 0)
    const [b] = add(pipeline, 1)
    pipeline.add(waits[1] as Entry, 0)
    const batch = pipeline.next(0)
    expect(pipeline.add(waits[2] as Entry, 0)).toBe(true)
    const [c] = add(pipeline, 1)
    expect(pipeline.committed(batch?.id ?? 0, 7)).toEqual({
      position: 7,
      entries: [a, waits[0], b, waits[1], waits[2]],
    })
    expect(pipeline.next(0)?.transactions).toBe(1)
    expect(pipeline.committed(2, 8)?.entries).toEqual([c])
    expect(pipeline.isIdle).toBe(true)
  })

  test('a transaction in parts is committed at its last part', () => {
    const pipeline = new Pipeline()
    const [large] = add(pipeline, 1, BATCH_BYTES_MAX * 2)
    const batch = pipeline.next(0)
    expect(batch?.payloads.length).toBe(3)
    expect(pipeline.committed(1, 10)).toBeNull()
    expect(pipeline.committed(1, 11)).toBeNull()
    expect(pipeline.committed(1, 12)).toEqual({ position: 12, entries: [large] })
  })

  test('a result that is not of the first batch in flight is a bug', () => {
    const pipeline = new Pipeline()
    add(pipeline, 1)
    pipeline.next(0)
    add(pipeline, 1)
    pipeline.next(LINGER_MS)
    expect(() => pipeline.committed(2, 1)).toThrow('in the order of the appends')
  })

  test('leadership lost: what was in flight is of unknown outcome, what was staged was certainly not written', () => {
    const pipeline = new Pipeline()
    const [sent] = add(pipeline, 1)
    pipeline.next(0)
    const [staged] = add(pipeline, 1)
    const lost = pipeline.drop(NOT_LEADER, 'perhaps')
    expect(lost.map(each => each.entry)).toEqual([sent, staged])
    expect(lost.map(each => each.reason.code)).toEqual(['OUTCOME_UNKNOWN', 'NOT_LEADER'])
    expect(pipeline.isIdle).toBe(true)
  })

  test('the log refused the first batch as not its leader: nothing behind it was written either', () => {
    const pipeline = new Pipeline()
    add(pipeline, 1)
    pipeline.next(0)
    expect(pipeline.drop(NOT_LEADER, 'no').map(each => each.reason.code)).toEqual(['NOT_LEADER'])
  })
})
