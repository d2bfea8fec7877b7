/**
 * What replicas tell each other. Plain data, the same between threads of one test process and on the wire. Any message
 * may be lost, doubled, late or out of order; every handler is safe against that. Source: the replicated log, C3.
 */
import type { Ballot, LogEnd } from './ballot.ts'
import type { Entry } from './entry.ts'

/** Who speaks: a reply counts only while this incarnation is a voter of the config it is counted under. */
export interface Sender {
  readonly memberId: number
  readonly incarnation: string
}

export interface Prevote {
  readonly type: 'prevote'
  readonly from: Sender
  readonly ballot: Ballot
  readonly last: LogEnd
  readonly voters: readonly Sender[]
}
export interface PrevoteReply {
  readonly type: 'prevoteReply'
  readonly from: Sender
  readonly ballot: Ballot
  readonly granted: boolean
  readonly promised: Ballot
}
export interface Prepare {
  readonly type: 'prepare'
  readonly from: Sender
  readonly ballot: Ballot
  readonly last: LogEnd
  /** The voters of the latest config in the candidate's log. */
  readonly voters: readonly Sender[]
  /** The ballot of a leader that stepped down in favour of the candidate: its lease no longer holds anybody back. */
  readonly releasedBallot?: Ballot
}
export interface Promised {
  readonly type: 'promise'
  readonly from: Sender
  readonly ballot: Ballot
  readonly last: LogEnd
  readonly commit: number
  readonly begin: number
}
export interface Accept {
  readonly type: 'accept'
  readonly from: Sender
  readonly ballot: Ballot
  readonly seq: number
  readonly prev: LogEnd
  /** At consecutive positions after `prev`; none for a heartbeat. */
  readonly entries: readonly Entry[]
  readonly commit: number
  /** The leader's monotonic clock, echoed: only the leader reads it. */
  readonly sentAtMs: number
}
export interface Accepted {
  readonly type: 'accepted'
  readonly from: Sender
  readonly ballot: Ballot
  readonly seq: number
  /** The sender's log equals the leader's up to here, flushed. */
  readonly matched: number
  readonly sentAtMs: number
  readonly applied: number
  /** Free on the sender's disk when it last looked; null while it has not. */
  readonly freeBytes: number | null
}
export type NackReason =
  | { readonly type: 'BALLOT' }
  | { readonly type: 'LEASE' }
  | { readonly type: 'BEHIND'; readonly last: LogEnd }
  | { readonly type: 'MISMATCH'; readonly next: number }
  | { readonly type: 'NOT_VOTING' }
  | { readonly type: 'NO_SPACE' }
  | { readonly type: 'CORRUPT' }
export interface Nack {
  readonly type: 'nack'
  readonly from: Sender
  /** The ballot of the refused request. */
  readonly ballot: Ballot
  readonly promised: Ballot
  readonly reason: NackReason
  /** Of the refused ACCEPT; even a MISMATCH shows that the follower is there. */
  readonly seq?: number
  readonly sentAtMs?: number
}
/** A leader has given up its ballot for good; the successor may stand at once and names it as released. */
export interface Release {
  readonly type: 'release'
  readonly from: Sender
  readonly ballot: Ballot
  readonly commit: number
  /** Null: whoever receives it. */
  readonly successor: number | null
}
/** Requests go to the replica of the receiving member, replies to its coordinator (a pre-vote's to its election). */
export type ReplicaRequest = Prevote | Prepare | Accept
export type ReplicaReply = PrevoteReply | Promised | Accepted | Nack
export type PeerMessage = ReplicaRequest | ReplicaReply | Release
