/**
 * What flows between the scheduler thread and the log thread without anybody waiting for the call: appends one way, events
 * the other, each turn as one message over a channel of its own. comlink is for questions: it answers every call, knows
 * callers by random names, and what it carries is cloned object by object, which together cost more than the log's own
 * work on an append. Here payloads travel in one buffer that changes hands, and results that follow each other as a run.
 */
import type { AppendResult, LogEntryView } from '../../actors/ports.ts'
import { assert } from '../../core/base/assert.ts'
import { sameBallot } from '../../core/log/ballot.ts'
import type { AppendBasis, AppendRequest } from '../../core/log/coordinator-core.ts'
import type { FrontEvent } from './log-front.ts'

/** The sizes of so many byte strings as 32-bit numbers, then the strings. */
interface PackedBytes {
  readonly count: number
  readonly buffer: ArrayBuffer
}

export interface PackedAppends {
  /** The ids of the others follow it. */
  readonly firstId: number
  readonly payloads: PackedBytes
  readonly bases: readonly { readonly basis: AppendBasis | undefined; readonly count: number }[]
}

type Results = Extract<FrontEvent, { type: 'results' }>
type Committed = Extract<FrontEvent, { type: 'committed' }>
type EntryRun = Omit<LogEntryView, 'payload'> & { readonly count: number }

export type PackedEvent =
  | Exclude<FrontEvent, Results | Committed>
  /** Appends with consecutive ids, committed at consecutive positions. */
  | { readonly type: 'acked'; readonly firstId: number; readonly firstPosition: number; readonly count: number }
  /** Any other results. */
  | { readonly type: 'ended'; readonly results: Results['results'] }
  | { readonly type: 'entries'; readonly runs: readonly EntryRun[]; readonly payloads: PackedBytes }

export interface Packed<Message> {
  readonly message: Message
  /** To be handed over with the message. */
  readonly transfer: readonly ArrayBuffer[]
}

/** `requests` of one turn: their ids follow each other. */
export function packAppends(requests: readonly AppendRequest[]): Packed<PackedAppends> {
  const firstId = requests[0]!.id
  const bases: { basis: AppendBasis | undefined; count: number }[] = []
  for (const [at, { id, basis }] of requests.entries()) {
    assert(id === firstId + at, 'ids of one turn follow each other', { id, firstId, at })
    const last = bases.at(-1)
    if (last !== undefined && sameBasis(last.basis, basis)) last.count++
    else bases.push({ basis, count: 1 })
  }
  const payloads = packBytes(requests.map(request => request.payload))
  return { message: { firstId, payloads, bases }, transfer: [payloads.buffer] }
}

export function unpackAppends({ firstId, payloads, bases }: PackedAppends): readonly AppendRequest[] {
  const unpacked = unpackBytes(payloads)
  const requests: AppendRequest[] = []
  for (const { basis, count } of bases) {
    for (let at = 0; at < count; at++) {
      requests.push({ id: firstId + requests.length, payload: unpacked[requests.length]!, basis })
    }
  }
  return requests
}

/** In order. */
export function packEvents(events: readonly FrontEvent[]): Packed<readonly PackedEvent[]> {
  const message: PackedEvent[] = []
  const transfer: ArrayBuffer[] = []
  for (const event of events) {
    if (event.type === 'results') message.push(...packResults(event.results))
    else if (event.type === 'committed') {
      const payloads = packBytes(event.entries.map(entry => entry.payload))
      message.push({ type: 'entries', runs: runsOf(event.entries), payloads })
      transfer.push(payloads.buffer)
    } else message.push(event)
  }
  return { message, transfer }
}

export function unpackEvents(packed: readonly PackedEvent[]): readonly FrontEvent[] {
  return packed.map((event): FrontEvent => {
    switch (event.type) {
      case 'acked': {
        const { firstId, firstPosition, count } = event
        const results = Array.from({ length: count }, (_, at) => ({
          id: firstId + at,
          outcome: { type: 'ok', position: firstPosition + at } as const,
        }))
        return { type: 'results', results }
      }
      case 'ended':
        return { type: 'results', results: event.results }
      case 'entries':
        return { type: 'committed', entries: entriesOf(event.runs, unpackBytes(event.payloads)) }
      default:
        return event
    }
  })
}

function packResults(results: Results['results']): readonly PackedEvent[] {
  const packed: PackedEvent[] = []
  for (let at = 0; at < results.length; ) {
    const count = ackedRun(results, at)
    const { id, outcome } = results[at]!
    if (outcome.type === 'ok') packed.push({ type: 'acked', firstId: id, firstPosition: outcome.position, count })
    else packed.push({ type: 'ended', results: results.slice(at, at + count) })
    at += count
  }
  return packed
}

/** How many from `at` on are one run: of consecutive successes, or of anything else. */
function ackedRun(results: Results['results'], at: number): number {
  const first = results[at]!
  const continues = (outcome: AppendResult, id: number, count: number): boolean =>
    first.outcome.type === 'ok'
      ? outcome.type === 'ok' && id === first.id + count && outcome.position === first.outcome.position + count
      : outcome.type !== 'ok'
  let count = 1
  for (; at + count < results.length; count++) {
    const { id, outcome } = results[at + count]!
    if (!continues(outcome, id, count)) break
  }
  return count
}

function runsOf(entries: readonly LogEntryView[]): readonly EntryRun[] {
  const runs: { position: number; ballot: EntryRun['ballot']; type: EntryRun['type']; count: number }[] = []
  for (const { position, ballot, type } of entries) {
    const last = runs.at(-1)
    const continues = last?.type === type && sameBallot(last.ballot, ballot) && last.position + last.count === position
    if (continues) last.count++
    else runs.push({ position, ballot, type, count: 1 })
  }
  return runs
}

function entriesOf(runs: readonly EntryRun[], payloads: readonly Uint8Array[]): readonly LogEntryView[] {
  const entries: LogEntryView[] = []
  for (const { position, ballot, type, count } of runs) {
    for (let at = 0; at < count; at++) {
      entries.push({ position: position + at, ballot, type, payload: payloads[entries.length]! })
    }
  }
  return entries
}

function packBytes(strings: readonly Uint8Array[]): PackedBytes {
  const count = strings.length
  const sizes = new Uint32Array(count)
  let total = sizes.byteLength
  for (const [at, { length }] of strings.entries()) {
    sizes[at] = length
    total += length
  }
  const bytes = new Uint8Array(total)
  bytes.set(new Uint8Array(sizes.buffer))
  let at = sizes.byteLength
  for (const string of strings) {
    bytes.set(string, at)
    at += string.length
  }
  return { count, buffer: bytes.buffer }
}

function unpackBytes({ count, buffer }: PackedBytes): readonly Uint8Array[] {
  const sizes = new Uint32Array(buffer, 0, count)
  let at = sizes.byteLength
  return Array.from(sizes, size => {
    const string = new Uint8Array(buffer, at, size)
    at += size
    return string
  })
}

function sameBasis(a: AppendBasis | undefined, b: AppendBasis | undefined): boolean {
  if (a === undefined || b === undefined) return a === b
  return a === b || (a.opening === b.opening && sameBallot(a.ballot, b.ballot))
}
