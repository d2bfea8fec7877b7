/** Which ranges of the log may be read, and the refusals, with a code in front for programs. Source: replicated log, C8. */

/** Most positions of one read: an answer is never cut short without saying so. */
export const READ_POSITIONS_MAX = 10_000

/** Null when `from..to`, both included, may be read: committed, still held, and not too many at once. */
export function readRangeFault(from: number, to: number, log: { begin: number; commit: number }): string | null {
  if (!Number.isSafeInteger(from) || !Number.isSafeInteger(to) || from < 1) {
    return `BAD_RANGE: positions are whole numbers from 1, not ${from} to ${to}`
  }
  if (to < from) return `BAD_RANGE: ${to} is before ${from}`
  if (from < log.begin) return `TRUNCATED: the log begins at ${log.begin}`
  if (to > log.commit) return `PAST_COMMIT: the log is committed up to ${log.commit}`
  if (to - from >= READ_POSITIONS_MAX) return `BAD_RANGE: at most ${READ_POSITIONS_MAX} positions are read at once`
  return null
}
