/**
 * Whether two members may exchange log data. Both tell who they are before anything else, and each judges the other by
 * the same checks in a fixed order; the first that fails is the refusal. Nothing of a HELLO is believed before its proof,
 * so a wrong proof is told nothing else. Source: the replicated log, C2.
 */

import { type Ballot, ballotText, compareBallots } from './ballot.ts'
import { type ClusterDescriptor, genesisText, type ListedMember, memberList, quorumOf } from './descriptor.ts'
import type { StoredStatus } from './meta.ts'

export const LOG_PROTOCOL_MIN = 1
export const LOG_PROTOCOL_MAX = 1
export const LOG_FORMAT = 1

/** What a member tells about itself. Ids, hashes and incarnation are null as long as there is no store to say them. */
export interface PeerFacts {
  readonly protocolMin: number
  readonly protocolMax: number
  readonly formatVersion: number
  readonly memberId: number
  readonly name: string
  /** Where clients reach it. */
  readonly httpUrl: string
  readonly clusterId: string | null
  readonly genesisHash: string | null
  /** The list the genesis hash covers. */
  readonly genesisMembers: readonly ListedMember[]
  readonly configVersion: number
  /** Of the latest committed descriptor; null before the first is complete. */
  readonly configHash: string | null
  readonly descriptor: ClusterDescriptor | null
  readonly incarnation: string | null
  readonly bootCounter: number
  readonly status: 'EMPTY' | StoredStatus
  readonly begin: number
  readonly commit: number
  readonly end: number
  readonly promised: Ballot
}

export type RefusalCode =
  | 'AUTH'
  | 'VERSION'
  | 'CLUSTER_ID'
  | 'GENESIS'
  | 'CONFIG_CONFLICT'
  | 'NOT_MEMBER'
  | 'UNKNOWN_MEMBER'
  | 'INCARNATION'
  | 'ROLLED_BACK'

export interface Refusal {
  readonly code: RefusalCode
  readonly text: string
}

/** The highest that one disk (incarnation) has shown: an intact disk never shows less. */
export interface PeerRecord {
  readonly bootCounter: number
  readonly promised: Ballot
  /** A committed position that it has acknowledged. */
  readonly committed: number
}

export interface Judgement {
  readonly own: PeerFacts
  readonly peer: PeerFacts
  /** Whether the proof of the cluster secret was right. */
  readonly proven: boolean
  /** As of before the peer made its HELLO; null when nothing is known of its disk. */
  readonly record: PeerRecord | null
  /** Ids that are no members any more, with the position that removed them. */
  readonly removed?: ReadonlyMap<number, number>
  /** Whom a dialer meant to reach. */
  readonly expectedId?: number
}

/** Null: log data may be exchanged. */
export function judgePeer(judgement: Judgement): Refusal | null {
  const { own, peer, proven, expectedId } = judgement
  if (!proven) return { code: 'AUTH', text: 'authentication failed' }
  const identity = versionFault(own, peer) ?? clusterFault(own, peer) ?? configFault(own, peer)
  if (identity !== null) return identity
  if (peer.memberId === own.memberId) {
    return unknown(`member ${peer.memberId} is this node itself: give every node an id of its own`)
  }
  if (expectedId !== undefined && expectedId !== peer.memberId) {
    return unknown(`member ${expectedId} is listed at this address, but member ${peer.memberId} answers there`)
  }
  // A receiver that lags behind in the list of members must not judge by its old one.
  return own.configVersion >= peer.configVersion ? memberFault(judgement) : null
}

function versionFault(own: PeerFacts, peer: PeerFacts): Refusal | null {
  if (peer.protocolMax < own.protocolMin || peer.protocolMin > own.protocolMax) {
    const text = `peer ${peer.name} speaks log protocol ${peer.protocolMin}-${peer.protocolMax}, this node ${own.protocolMin}-${own.protocolMax}`
    return { code: 'VERSION', text }
  }
  if (peer.formatVersion === own.formatVersion) return null
  return {
    code: 'VERSION',
    text: `peer ${peer.name} has log format ${peer.formatVersion}, this node ${own.formatVersion}`,
  }
}

function clusterFault(own: PeerFacts, peer: PeerFacts): Refusal | null {
  if (own.clusterId !== null && peer.clusterId !== null && own.clusterId !== peer.clusterId) {
    const text = `peer ${peer.name} belongs to cluster ${peer.clusterId}, this node to ${own.clusterId}; refusing to exchange log data`
    return { code: 'CLUSTER_ID', text }
  }
  // Who does not know the cluster's id yet still has the list that its genesis would cover.
  const isSame =
    own.genesisHash !== null && peer.genesisHash !== null
      ? own.genesisHash === peer.genesisHash
      : genesisText('', own.genesisMembers) === genesisText('', peer.genesisMembers)
  if (isSame) return null
  const cluster = own.clusterId ?? peer.clusterId
  const what = cluster === null ? 'this cluster was listed' : `cluster ${cluster} was initialized`
  const lists = `here ${memberList(own.genesisMembers)}, peer ${memberList(peer.genesisMembers)}`
  return { code: 'GENESIS', text: `${what} twice with different member lists: ${lists}` }
}

function configFault(own: PeerFacts, peer: PeerFacts): Refusal | null {
  const isComparable = own.configHash !== null && peer.configHash !== null && own.configVersion === peer.configVersion
  if (!isComparable || own.configHash === peer.configHash) return null
  const text = `member list for config ${own.configVersion} differs: here ${described(own)}, peer ${described(peer)}`
  return { code: 'CONFIG_CONFLICT', text }
}

/** Disks are shown too: lists that look the same differ in them. */
function described({ descriptor, genesisMembers }: PeerFacts): string {
  if (descriptor === null) return `${memberList(genesisMembers)} quorum ${quorumOf(genesisMembers.length)}`
  const shown = descriptor.members.map(
    ({ memberId, name, address, incarnation }) => `${memberId} ${name} ${address} ${incarnation.slice(0, 8)}`,
  )
  return `[${shown.join(', ')}] quorum ${descriptor.quorum}`
}

function memberFault({ own, peer, record, removed }: Judgement): Refusal | null {
  const { memberId } = peer
  const removedAt = removed?.get(memberId)
  if (removedAt !== undefined) {
    return { code: 'NOT_MEMBER', text: `member ${memberId} was removed at position ${removedAt}` }
  }
  const listed: readonly ListedMember[] = own.descriptor?.members ?? own.genesisMembers
  if (!listed.some(member => member.memberId === memberId)) {
    return unknown(
      `member ${memberId} is not in the member list of cluster ${own.clusterId ?? 'without an id'}; add it first`,
    )
  }
  const expected = own.descriptor?.members.find(member => member.memberId === memberId)?.incarnation
  if (expected !== undefined && expected !== peer.incarnation) {
    const text = `member ${memberId} returned with a new disk (incarnation ${peer.incarnation ?? 'none'}, expected ${expected})`
    return { code: 'INCARNATION', text }
  }
  return isOlder(peer, record)
    ? { code: 'ROLLED_BACK', text: `member ${memberId} returned with an older copy of its disk` }
    : null
}

function isOlder(peer: PeerFacts, record: PeerRecord | null): boolean {
  if (record === null) return false
  return (
    peer.bootCounter < record.bootCounter ||
    compareBallots(peer.promised, record.promised) < 0 ||
    peer.end < record.committed
  )
}

function unknown(text: string): Refusal {
  return { code: 'UNKNOWN_MEMBER', text }
}

/** What is now known of a disk: the higher of both in everything. */
export function mergeRecords(known: PeerRecord | null, shown: PeerRecord): PeerRecord {
  if (known === null) return shown
  return {
    bootCounter: Math.max(known.bootCounter, shown.bootCounter),
    promised: compareBallots(known.promised, shown.promised) >= 0 ? known.promised : shown.promised,
    committed: Math.max(known.committed, shown.committed),
  }
}

/** For logs: `member 2 (node-2), VOTING, end 41, promised 3.1`. */
export function factsText({ memberId, name, status, end, promised }: PeerFacts): string {
  return `member ${memberId} (${name}), ${status}, end ${end}, promised ${ballotText(promised)}`
}
