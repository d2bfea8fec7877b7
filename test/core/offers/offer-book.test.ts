import { expect, test } from 'vitest'
import { agentId, taskId } from '../../../src/core/base/ids.ts'
import { prng } from '../../../src/core/base/prng.ts'
import type { AgentRow } from '../../../src/core/ledger/rows.ts'
import { OfferBook } from '../../../src/core/offers/offer-book.ts'

const NEEDS = { cpusMilli: 500, ramMb: 64, diskMb: 32, ports: 2, gpus: 0 }

function row(name: string, more: Partial<AgentRow> = {}): AgentRow {
  return {
    v: 1,
    agentId: agentId(name),
    host: `host-${name}`,
    attributes: [],
    total: { cpusMilli: 4_000, ramMb: 1_024, diskMb: 2_048, gpus: 0 },
    portRanges: [[31_000, 31_009]],
    mode: 'NONE',
    agentVersion: '1',
    firstSeenMs: 1,
    ...more,
  }
}

function bookOf(...rows: readonly AgentRow[]): OfferBook {
  const book = new OfferBook(['RANDOM'], prng(1))
  for (const one of rows) {
    book.describe(one)
    book.connect(one.agentId)
  }
  return book
}

const freeOf = (book: OfferBook, name: string) => {
  const { cpusMilli, ramMb, diskMb, ports, gpus } = book.host(agentId(name))!.free
  return { cpusMilli, ramMb, diskMb, ports, gpus }
}
const ALL = { cpusMilli: 4_000, ramMb: 1_024, diskMb: 2_048, ports: 10, gpus: 0 }

test('two hosts of equal port ranges: what one gives out, and how its ranges change, leaves the other as it was', () => {
  const book = bookOf(row('a'), row('b'))
  const { slot } = book.host(agentId('a'))!
  book.hold(taskId('t'), slot, { needs: NEEDS, isRevocable: false }, prng(2))
  expect([freeOf(book, 'a').ports, freeOf(book, 'b').ports]).toEqual([8, 10])
  book.describe(row('a', { portRanges: [[40_000, 40_002]] }))
  expect([freeOf(book, 'a').ports, freeOf(book, 'b').ports]).toEqual([3, 10])
  book.release(taskId('t'))
  expect([freeOf(book, 'a').ports, freeOf(book, 'b').ports]).toEqual([3, 10])
  book.check()
})

test('more hosts than there were places for: those that were there keep what they have left', () => {
  const book = bookOf(row('first'))
  const { slot } = book.host(agentId('first'))!
  const ports = book.hold(taskId('t'), slot, { needs: NEEDS, isRevocable: false }, prng(2))
  for (let n = 0; n < 200; n++) {
    book.describe(row(`more${n}`))
    book.connect(agentId(`more${n}`))
  }
  expect(freeOf(book, 'first')).toEqual({ cpusMilli: 3_500, ramMb: 960, diskMb: 2_016, ports: 8, gpus: 0 })
  expect(freeOf(book, 'more199')).toEqual(ALL)
  expect([book.agentAt(slot), book.nameAt(slot), book.columns.holds(slot)]).toEqual(['first', 'host-first', 1])
  book.bind(taskId('t'), agentId('first'), { needs: NEEDS, isRevocable: false, ports })
  expect([book.columns.holds(slot), book.holdCount]).toEqual([0, 0])
  book.check()
})

test('the slot of a host that is gone: the next one begins with everything of its own', () => {
  const book = bookOf(row('old'))
  const { slot } = book.host(agentId('old'))!
  book.hold(taskId('t'), slot, { needs: NEEDS, isRevocable: false }, prng(2))
  book.forget(agentId('old'))
  book.describe(row('new', { host: 'other' }))
  const host = book.host(agentId('new'))!
  expect([host.slot, host.connected, host.holds, host.changes]).toEqual([slot, false, 0, 1])
  expect([book.agentAt(slot), book.nameAt(slot), freeOf(book, 'new')]).toEqual(['new', 'other', ALL])
  book.check()
})
