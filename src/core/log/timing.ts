/** Times of failure detection and of the lease. Defaults and the ratio between them: the replicated log, C6. */
import { assert } from '../base/assert.ts'

export interface LogTiming {
  readonly heartbeatMs: number
  readonly leaseMs: number
  /** How much two monotonic clocks may differ in rate. */
  readonly clockDrift: number
  readonly retransmitMs: number
  /** An append that stays undecided for this long although others answer makes the leader step down. */
  readonly undecidedMsMax: number
  /** A disk that has not finished a flush for this long is a slow one: a leader hands over, nobody stands with one. */
  readonly slowFlushMs: number
  /** How long appends wait while a successor is brought up to the end of the log; then the leader goes on. */
  readonly handOverMsMax: number
  readonly electionBackoffMsMin: number
  readonly electionBackoffMsMax: number
}

export const LOG_TIMING: LogTiming = {
  heartbeatMs: 150,
  leaseMs: 1_000,
  clockDrift: 0.01,
  retransmitMs: 500,
  undecidedMsMax: 30_000,
  slowFlushMs: 2_000,
  handOverMsMax: 2_000,
  electionBackoffMsMin: 100,
  electionBackoffMsMax: 2_000,
}

/** A lease must outlive a few lost heartbeats. */
export const HEARTBEATS_IN_LEASE_MIN = 6

export function checkTiming(timing: LogTiming): void {
  assert(timing.leaseMs >= HEARTBEATS_IN_LEASE_MIN * timing.heartbeatMs, 'a lease lasts at least six heartbeats', {
    leaseMs: timing.leaseMs,
    heartbeatMs: timing.heartbeatMs,
  })
}
