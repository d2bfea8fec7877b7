/**
 * Ballots: who may lead. A ballot is (round, member id), so no two members ever use the same one, and they compare
 * lexicographically. Zero stands for "no promise yet" and for "before the log".
 */

/** `[round, memberId]`; round at most 2^53-1, member id 0 only in `NO_BALLOT`. */
export type Ballot = readonly [round: number, memberId: number]

export const NO_BALLOT: Ballot = [0, 0]

export function compareBallots(a: Ballot, b: Ballot): number {
  return a[0] - b[0] || a[1] - b[1]
}

export function sameBallot(a: Ballot, b: Ballot): boolean {
  return a[0] === b[0] && a[1] === b[1]
}

/** `3.1`: round 3 of member 1, for logs and people. */
export function ballotText(ballot: Ballot): string {
  return `${ballot[0]}.${ballot[1]}`
}

/** Where a log ends: "more advanced" compares the ballot of the last entry first, then its position. */
export interface LogEnd {
  readonly ballot: Ballot
  readonly position: number
}

export function compareEnds(a: LogEnd, b: LogEnd): number {
  return compareBallots(a.ballot, b.ballot) || a.position - b.position
}
