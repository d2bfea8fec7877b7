import { MessageChannel } from 'node:worker_threads'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { AppendResult, LogEntryView } from '../../../src/actors/ports.ts'
import type { AppendRequest } from '../../../src/core/log/coordinator-core.ts'
import type { FrontEvent } from '../../../src/runtime/log/log-front.ts'
import {
  type Packed,
  packAppends,
  packEvents,
  unpackAppends,
  unpackEvents,
} from '../../../src/runtime/log/log-stream.ts'

/** As it arrives at the other end of a port. */
function sent<Message>({ message, transfer }: Packed<Message>): Promise<Message> {
  const { port1, port2 } = new MessageChannel()
  return new Promise(resolve => {
    port2.once('message', (arrived: Message) => {
      port1.close()
      resolve(arrived)
    })
    port1.postMessage(message, transfer)
  })
}

const eventsAfter = async (events: readonly FrontEvent[]): Promise<readonly FrontEvent[]> =>
  unpackEvents(await sent(packEvents(events)))

const bytes = fc.uint8Array({ maxLength: 40 })
const outcome: fc.Arbitrary<AppendResult> = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: 1, max: 6 }).map(position => ({ type: 'ok', position }) as const) },
  fc.constantFrom<AppendResult>({ type: 'unknown' }, { type: 'notLeader' }, { type: 'busy' }),
  fc.constant({ type: 'tooLarge', bytes: 9, bytesMax: 8 } as const),
)
const results = fc.array(fc.record({ id: fc.integer({ min: 1, max: 6 }), outcome }), { maxLength: 12 })
const entry: fc.Arbitrary<LogEntryView> = fc.record({
  position: fc.integer({ min: 1, max: 5 }),
  ballot: fc.constantFrom([1, 1] as const, [1, 2] as const),
  type: fc.constantFrom('DATA' as const, 'LEADER' as const),
  payload: bytes,
})

/** Results may come in several events; what matters is who is answered what, and in which order. */
const flat = (events: readonly FrontEvent[]): readonly unknown[] =>
  events.flatMap((event): readonly unknown[] => (event.type === 'results' ? event.results : [event]))

describe('the stream between the two threads', () => {
  test('any results, entries and other events: they arrive as they were told, in order', async () => {
    const event = fc.oneof(
      results.map(some => ({ type: 'results', results: some }) as const),
      fc.array(entry, { maxLength: 8 }).map(entries => ({ type: 'committed', entries }) as const),
      fc.constant({ type: 'writable', reason: 'the disk is full' } as const),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(event, { maxLength: 6 }), async events => {
        expect(flat(await eventsAfter(events))).toEqual(flat(events))
      }),
      { numRuns: 60 },
    )
  })

  test('1,000 appends committed one after the other: one small message, whatever their number', async () => {
    const acked = Array.from({ length: 1_000 }, (_, at) => ({
      id: 7 + at,
      outcome: { type: 'ok', position: 50 + at } as const,
    }))
    const { message } = packEvents([{ type: 'results', results: acked }])
    expect(message).toEqual([{ type: 'acked', firstId: 7, firstPosition: 50, count: 1_000 }])
    expect(await eventsAfter([{ type: 'results', results: acked }])).toEqual([{ type: 'results', results: acked }])
  })

  test('appends of one turn: ids, payloads and what they were computed on arrive; the payloads of the caller stay his', async () => {
    const basis = (round: number, opening: number) => ({ ballot: [round, 1] as const, opening })
    const requests: AppendRequest[] = [
      { id: 3, payload: Uint8Array.of(1, 2), basis: undefined },
      { id: 4, payload: new Uint8Array(0), basis: basis(1, 1) },
      { id: 5, payload: Uint8Array.of(0, 3, 4).subarray(1), basis: basis(1, 1) },
      { id: 6, payload: new Uint8Array(70_000).fill(5), basis: basis(1, 2) },
      { id: 7, payload: Uint8Array.of(6), basis: basis(2, 2) },
    ]
    const { message, transfer } = packAppends(requests)
    expect(message.bases.map(({ count }) => count)).toEqual([1, 2, 1, 1])
    expect(unpackAppends(await sent({ message, transfer }))).toEqual(
      requests.map(request => ({ ...request, payload: Uint8Array.from(request.payload) })),
    )
    expect(requests.map(({ payload }) => payload.length)).toEqual([2, 0, 2, 70_000, 1])
  })
})
