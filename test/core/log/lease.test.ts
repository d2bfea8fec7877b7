import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Now } from '../../../src/core/base/time.ts'
import {
  beginWatch,
  CLOCKS_APART_MS_MAX,
  type Lease,
  type LeaseWatch,
  leaseLeftMs,
  leaseOf,
  watchLease,
} from '../../../src/core/log/lease.ts'
import { LOG_TIMING } from '../../../src/core/log/timing.ts'
import { LogCluster, type Member } from './log-cluster.ts'

const L = LOG_TIMING.leaseMs
const WALL_MS = 1_700_000_000_000
const now = (monoMs: number, wallAheadMs = 0): Now => ({ monoMs, wallMs: WALL_MS + monoMs + wallAheadMs })
const lease = (untilMonoMs: number): Lease => ({ ballot: [3, 1], untilMonoMs, since: now(0) })

describe('what is left of a lease', () => {
  test('both clocks agree: it runs to its end by the monotonic one, and not a moment longer', () => {
    expect(leaseLeftMs(lease(990), now(200))).toBe(790)
    expect(leaseLeftMs(lease(990), now(989.5))).toBe(0.5)
    expect(leaseLeftMs(lease(990), now(990))).toBe(0)
  })

  test('suspended for a minute, the monotonic clock stood still: nothing is left', () => {
    expect(leaseLeftMs(lease(990), now(10, 60_000))).toBe(0)
  })

  test('suspended for less than would be noticed as a jump: what the wall clock says has passed is gone all the same', () => {
    expect(leaseLeftMs(lease(990), now(850, 150))).toBe(-10)
    expect(leaseLeftMs(lease(990), now(700, 150))).toBe(140)
  })

  test.each([3_600_000, -3_600_000, 200.5, -200.5])('wall clock set by %i ms: nothing is left', byMs => {
    expect(leaseLeftMs(lease(990), now(10, byMs))).toBe(0)
  })

  test('wall clock set back a little: the lease is not longer for it', () => {
    expect(leaseLeftMs(lease(990), now(200, -CLOCKS_APART_MS_MAX))).toBe(790)
  })

  test('a voter that is alone: for ever, whatever its clocks do', () => {
    expect(leaseLeftMs(lease(Number.POSITIVE_INFINITY), now(10, 3_600_000))).toBe(Number.POSITIVE_INFINITY)
  })
})

describe('the watch over the own clocks', () => {
  const looked = (watch: LeaseWatch, at: Now, contactMonoMs: number) =>
    watchLease(watch, at, { contactMonoMs, leaseMs: L })

  test('a look every heartbeat and clocks that agree: no doubt, and the reading compared with stays older than the contact', () => {
    let watch = beginWatch(now(0))
    for (let atMs = 150; atMs < 10_000; atMs += 150) {
      const contactMonoMs = atMs - 10
      const { doubt, watch: next } = looked(watch, now(atMs), contactMonoMs)
      expect(doubt).toBeNull()
      expect(next.since.monoMs).toBeLessThanOrEqual(contactMonoMs)
      expect(next.since.monoMs).toBeGreaterThanOrEqual(atMs - 3 * 150)
      watch = next
    }
  })

  test.each([60_000, -60_000])(
    'clocks %i ms apart: no lease on what was sent before, one on what is sent after',
    byMs => {
      const before = looked(beginWatch(now(0)), now(100), 90).watch
      const { doubt, watch } = looked(before, now(120, byMs), 110)
      expect(doubt).toEqual({ because: 'clocks', byMs })
      expect(leaseOf(watch, [1, 1], 119, LOG_TIMING)).toBeNull()
      expect(leaseOf(watch, [1, 1], 120, LOG_TIMING)).toBeNull()
      const renewed = leaseOf(watch, [1, 1], 121, LOG_TIMING)
      expect(renewed).toMatchObject({ untilMonoMs: 121 + L * 0.99 })
      expect(leaseLeftMs(renewed!, now(130, byMs))).toBeCloseTo(981)
      // One jump is one doubt.
      expect(looked(watch, now(140, byMs), 121).doubt).toBeNull()
    },
  )

  test('not run for more than half a lease: in doubt although the clocks agree; for half of one: not', () => {
    expect(looked(beginWatch(now(0)), now(L / 2), 0).doubt).toBeNull()
    expect(looked(beginWatch(now(0)), now(L / 2 + 1), 0).doubt).toEqual({ because: 'gap', byMs: L / 2 + 1 })
  })

  /** Sends, echoes and suspends in any order; a suspend moves the wall clock alone, and so does the world. */
  test('any suspends between sending and answering: a lease never outlives its length in the world', () => {
    const rarely = (ms: fc.Arbitrary<number>) =>
      fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: ms })
    const step = fc.record({
      runsMs: fc.oneof(fc.constant(0), fc.constant(150)),
      suspendedMs: rarely(fc.integer({ min: 1, max: 300 })),
      what: fc.constantFrom('send', 'answer', 'look', 'look', 'look'),
    })
    const walk = fc.array(step, { minLength: 5, maxLength: 40 })
    fc.assert(
      fc.property(walk, steps => {
        let at = now(0)
        let aheadMs = 0
        let watch = beginWatch(at)
        let contact = at
        let sent: Now[] = []
        for (const { runsMs, suspendedMs, what } of steps) {
          aheadMs += suspendedMs
          at = now(at.monoMs + runsMs, aheadMs)
          watch = looked(watch, at, contact.monoMs).watch
          if (what === 'send') sent = [...sent, at]
          if (what === 'answer' && sent.length > 0) {
            contact = sent[0]!
            sent = sent.slice(1)
          }
          const held = leaseOf(watch, [1, 1], contact.monoMs, LOG_TIMING)
          if (held !== null && leaseLeftMs(held, at) > 0) expect(at.wallMs - contact.wallMs).toBeLessThan(L)
        }
      }),
      { numRuns: 3_000 },
    )
  })
})

describe('the lease of a coordinator', () => {
  function leading(count = 3): { readonly cluster: LogCluster; readonly leader: Member } {
    const cluster = new LogCluster(count)
    return { cluster, leader: cluster.lead(1) }
  }
  const leftMs = ({ coordinator }: Member, cluster: LogCluster): number | null =>
    coordinator.lease === null ? null : leaseLeftMs(coordinator.lease, cluster.now())

  test('a quorum answers: it runs from the sending, under the own ballot, and heartbeats renew it', () => {
    const { cluster, leader } = leading()
    expect(leader.coordinator.lease).toMatchObject({ ballot: [1, 1], untilMonoMs: cluster.monoMs + L * 0.99 })
    cluster.advance(10 * L)
    expect(leftMs(leader, cluster)).toBeGreaterThan(L * 0.99 - 2 * LOG_TIMING.heartbeatMs)
  })

  test('answers that come late: the lease is counted from when their ACCEPTs were sent', () => {
    const { cluster, leader } = leading()
    const sentMs = cluster.monoMs
    cluster.monoMs += 400
    leader.append(1, 'a')
    cluster.monoMs += 300
    expect(leftMs(leader, cluster)).toBeCloseTo(L * 0.99 - 700)
    cluster.settle()
    expect(leader.coordinator.lease?.untilMonoMs).toBe(sentMs + 400 + L * 0.99)
  })

  test('suspended for a minute: no lease before answers to what is sent afterwards, and the answers under way do not count', () => {
    const { cluster, leader } = leading()
    cluster.advance(5 * L)
    leader.append(1, 'sent before')
    cluster.wallAheadMs += 60_000
    expect(leftMs(leader, cluster)).toBe(0)
    cluster.settle()
    expect(leader.results.get(1)).toMatchObject({ type: 'ok' })
    expect(leader.doubts).toEqual([{ because: 'clocks', byMs: 60_000 }])
    expect(leader.coordinator.lease).toBeNull()
    cluster.advance(2 * LOG_TIMING.heartbeatMs)
    expect(leftMs(leader, cluster)).toBeGreaterThan(L / 2)
    expect(leader.serving).toEqual([1, 1])
  })

  test.each([3_600_000, -3_600_000])('wall clock set by %i ms: one renewal, leadership stays', byMs => {
    const { cluster, leader } = leading()
    cluster.wallAheadMs += byMs
    expect(leftMs(leader, cluster)).toBe(0)
    cluster.advance(3 * LOG_TIMING.heartbeatMs)
    expect(leader.doubts).toHaveLength(1)
    expect(leftMs(leader, cluster)).toBeGreaterThan(L / 2)
    cluster.advance(5 * L)
    expect(leader.doubts).toHaveLength(1)
    expect(leader.lost).toEqual([])
  })

  test('not run for more than half a lease: no lease until it is renewed', () => {
    const { cluster, leader } = leading()
    cluster.monoMs += 0.6 * L
    expect(leftMs(leader, cluster)).toBeGreaterThan(0)
    leader.toCoordinator({ type: 'tick' })
    expect(leader.doubts).toEqual([{ because: 'gap', byMs: 0.6 * L }])
    expect(leader.coordinator.lease).toBeNull()
    cluster.advance(2 * LOG_TIMING.heartbeatMs)
    expect(leftMs(leader, cluster)).toBeGreaterThan(L / 2)
  })

  test('hands over: without a lease before the message that lets another one lead has left', () => {
    const { cluster, leader } = leading()
    expect(leftMs(leader, cluster)).toBeGreaterThan(0)
    leader.toCoordinator({ type: 'handOver' })
    expect(cluster.wire.map(({ message }) => message.type)).toContain('release')
    expect(leader.coordinator.lease).toBeNull()
  })

  test('LEADER entry not committed: no lease yet', () => {
    const cluster = new LogCluster(3)
    cluster.passes = ({ message }) => message.type !== 'accept'
    const leader = cluster.lead(1)
    expect(leader.coordinator.role).toBe('leading')
    expect(leader.coordinator.lease).toBeNull()
  })

  test('one voter: for ever, and no jump of its clocks is of interest', () => {
    const { cluster, leader } = leading(1)
    cluster.monoMs += 100 * L
    cluster.wallAheadMs -= 3_600_000
    leader.append(1, 'a')
    cluster.settle()
    expect(leftMs(leader, cluster)).toBe(Number.POSITIVE_INFINITY)
    expect(leader.doubts).toEqual([])
  })
})
