/**
 * What replicas tell each other. Plain data, the same between threads of one test process and on the wire. Any message
 * may be lost, doubled, late or out of order; every handler is safe against that. Source: the replicated log, C3.
 */

import type { Ballot, LogEnd } from './ballot.ts'
import type { Entry } from './entry.ts'
import type { RowCursor, SnapshotHeader, StoredRow } from './snapshot.ts'

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
  /** Refused only because a grant still runs: for so long, ms. */
  readonly freeInMs?: number
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
  /** The first position that the leader still holds: who lacks anything before it cannot be fed by it. */
  readonly begin: number
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
  /** The sender's row tables, on disk, stand for everything up to here: it needs no entry before it any more. */
  readonly snapshot: number
  /** Free on the sender's disk when it last looked; null while it has not. */
  readonly freeBytes: number | null
  /** The sender's ledger still reads its rows: were it to lead now, everybody would wait for that. */
  readonly isLoading?: true
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
/** Asks for committed entries from there on: no ballot is involved, so nobody is disturbed. */
export interface Fetch {
  readonly type: 'fetch'
  readonly from: Sender
  readonly position: number
  readonly bytesMax: number
  /** Echoed: an answer that nobody waits for any more is passed over. */
  readonly ask: number
}
/** As many as fit, none if the sender does not know the first one to be committed or does not hold it any more. */
export interface Entries {
  readonly type: 'entries'
  readonly from: Sender
  readonly ask: number
  readonly position: number
  readonly entries: readonly Entry[]
  readonly begin: number
  readonly commit: number
}
/** Asks for rows of a snapshot: of the named one after the cursor, or of a new one from its first row. */
export interface SnapshotFetch {
  readonly type: 'snapshotFetch'
  readonly from: Sender
  readonly ask: number
  readonly id: string | null
  readonly cursor: RowCursor | null
  readonly bytesMax: number
}
/** Rows in (table, key) order after `cursor`. The header says of which snapshot: if not the one asked for, begin anew. */
export interface SnapshotPage {
  readonly type: 'snapshotPage'
  readonly from: Sender
  readonly ask: number
  readonly header: SnapshotHeader
  readonly cursor: RowCursor | null
  readonly rows: readonly StoredRow[]
  readonly done: boolean
}
/** Requests go to the replica of the receiving member, replies to its coordinator (a pre-vote's to its election). */
export type ReplicaRequest = Prevote | Prepare | Accept
export type ReplicaReply = PrevoteReply | Promised | Accepted | Nack
/** Between those who serve what is committed and those who lack it. */
export type CatchUpTraffic = Fetch | Entries | SnapshotFetch | SnapshotPage
export type PeerMessage = ReplicaRequest | ReplicaReply | Release | CatchUpTraffic

/** Which actor of the receiving member a message is for. */
export function recipientOf(message: PeerMessage): 'replica' | 'coordinator' | 'election' | 'catchUp' {
  switch (message.type) {
    case 'prevote':
    case 'prepare':
    case 'accept':
      return 'replica'
    case 'prevoteReply':
    case 'release':
      return 'election'
    case 'promise':
    case 'accepted':
    case 'nack':
      return 'coordinator'
    default:
      return 'catchUp'
  }
}
