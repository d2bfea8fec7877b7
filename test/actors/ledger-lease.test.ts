import { describe, expect, test } from 'vitest'
import type { Metrics } from '../../src/actors/ports.ts'
import { silentMetrics } from '../../src/actors/ports.ts'
import type { Rejection } from '../../src/core/base/rejection.ts'
import { LOG_TIMING } from '../../src/core/log/timing.ts'
import { type LedgerFixture, openLedger } from '../fixtures/ledger.ts'
import { CAUSE, putTask, taskRow } from '../fixtures/rows.ts'

const L = LOG_TIMING.leaseMs

interface Reader extends LedgerFixture {
  /** What left, in order. */
  readonly told: string[]
  readonly counts: Map<string, number>
  read(name: string): void
}

async function reader(): Promise<Reader> {
  const counts = new Map<string, number>()
  const metrics: Metrics = {
    ...silentMetrics,
    count: (name, by = 1, labels = {}) => {
      const key = [name, ...Object.values(labels)].join(' ')
      counts.set(key, (counts.get(key) ?? 0) + by)
    },
  }
  const fixture = await openLedger({ metrics })
  const told: string[] = []
  const read = (name: string): void =>
    fixture.ledger.whenLeased(
      () => told.push(name),
      (reason: Rejection) => told.push(`${name} ${reason.code}`),
    )
  return { ...fixture, told, counts, read }
}

describe('reads under the lease', () => {
  test('the lease runs and nothing is staged: the answer leaves in the same turn', async () => {
    const { read, told, counts } = await reader()
    read('a')
    expect(told).toEqual(['a'])
    expect(counts.get('ledger_reads_without_lease confirmed')).toBeUndefined()
  })

  test('evaluated under the lease, committed when it has run out: the look comes last, so nothing leaves', async () => {
    const { system, log, ledger, read, told } = await reader()
    log.hold()
    ledger.stage({ cause: CAUSE, changes: [putTask(taskRow('t'))] }, () => told.push('change'))
    read('a')
    log.isLeased = false
    log.letGo()
    await system.settle()
    // What a quorum has just taken needs no lease.
    expect(told).toEqual(['change'])
  })

  test('no lease, renewed within it: confirmed and answered, as soon as it is seen', async () => {
    const { system, log, read, told, counts } = await reader()
    log.isLeased = false
    read('a')
    read('b')
    system.advance(L / 2)
    expect(told).toEqual([])
    log.isLeased = true
    system.advance(10)
    expect(told).toEqual(['a', 'b'])
    expect(counts.get('ledger_reads_without_lease confirmed')).toBe(2)
    expect(system.pendingTimers).toBe(1)
  })

  test('no lease, another node turns out to lead: refused, with the way to it', async () => {
    const { system, log, ledger, told, counts } = await reader()
    log.isLeased = false
    const refusals: Rejection[] = []
    ledger.whenLeased(
      () => told.push('stale'),
      reason => refusals.push(reason),
    )
    system.advance(30)
    log.lose()
    await system.settle()
    expect(told).toEqual([])
    expect(refusals).toMatchObject([
      { code: 'NOT_LEADER', remedy: 'Send the request to the leader at http://127.0.0.1:8181' },
    ])
    expect(counts.get('ledger_reads_without_lease refused')).toBe(1)
  })

  test('no lease and the log says nothing more: refused after one and a half, each by its own time', async () => {
    const { system, log, read, told } = await reader()
    log.isLeased = false
    read('a')
    system.advance(L)
    read('b')
    system.advance(L / 2 - 10)
    expect(told).toEqual([])
    system.advance(10)
    expect(told).toEqual(['a NOT_LEADER'])
    system.advance(L)
    expect(told).toEqual(['a NOT_LEADER', 'b NOT_LEADER'])
  })

  test('another reign of this very node has begun in the log and the ledger has not heard of it: its lease does not count', async () => {
    const { system, log, read, told } = await reader()
    log.elect()
    expect(log.isLeased).toBe(true)
    read('of the first reign')
    expect(told).toEqual([])
    await system.settle()
    expect(told).toEqual(['of the first reign STORAGE_NOT_READY'])
    read('of the second reign')
    expect(told.at(-1)).toBe('of the second reign')
  })

  test('leadership lost before the commit: refused once, by the commit that did not come', async () => {
    const { system, log, ledger, read, told } = await reader()
    log.hold()
    ledger.stage({ cause: CAUSE, changes: [putTask(taskRow('t'))] })
    read('a')
    log.lose()
    await system.settle()
    system.advance(2 * L)
    expect(told).toEqual(['a NOT_LEADER'])
  })

  test('more wait than may: the rest is refused at once, and those that wait are answered', async () => {
    const { system, log, read, told } = await reader()
    log.isLeased = false
    for (let at = 0; at < 10_001; at++) read(String(at))
    expect(told).toEqual(['10000 BUSY'])
    log.isLeased = true
    system.advance(10)
    expect(told).toHaveLength(10_001)
  })
})
