/** How much of the log is kept, and how far a member may lag before it is brought up another way. Source: C8. */

export interface LogLimits {
  /** Positions behind the commit that are kept, so that a member that was away for a moment needs no snapshot. */
  readonly entriesKept: number
  /** Truncated in steps of so many positions, so that the entry that says so is a rare one. */
  readonly truncateStep: number
  /** Positions that one transaction deletes at the most: more would make appends wait for it. */
  readonly dropStep: number
  /**
   * Who lags by more than this fetches what is committed by itself; the leader's stream is for those who are near. The
   * same on all members: were a leader to call a member far that calls itself near, nobody would bring it up.
   */
  readonly lagMax: number
  /** What is asked for at a time by a member that lags. */
  readonly pageBytes: number
  /** The digests of the row tables are compared at each multiple of this. */
  readonly checkpointEvery: number
}

export const LOG_LIMITS: LogLimits = {
  entriesKept: 10_000,
  truncateStep: 10_000,
  dropStep: 500,
  lagMax: 10_000,
  pageBytes: 1024 * 1024,
  checkpointEvery: 10_000,
}

/** The limits for a member that keeps so many entries. Members may keep different numbers of them. */
export function limitsFor(entriesKept: number): LogLimits {
  const step = Math.max(1, Math.min(LOG_LIMITS.truncateStep, entriesKept))
  return { ...LOG_LIMITS, entriesKept, truncateStep: step }
}

/** Whoever asks, and whoever is asked, has other things to do too: 50 MiB a second at the most. */
export const CATCH_UP_BYTES_PER_MS = (50 * 1024 * 1024) / 1_000
