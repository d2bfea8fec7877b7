/**
 * The cluster descriptor: which cluster this is and who its members are. It is stored in every replica, and its genesis
 * hash is compared before two replicas exchange anything, so that a wrong member list or a wrong quorum is found before
 * it can cost data. The quorum is always derived from the number of voters and never chosen.
 *
 * Hashing is handed in, because this file stays free of packages. Source: the replicated log, C2 and A11.
 */

export interface ListedMember {
  readonly memberId: number
  readonly name: string
  /** `host:port` where its peers reach it. */
  readonly address: string
}

export interface DescribedMember extends ListedMember {
  /** 128 random bits in hex, drawn when the member's store is formatted: names one disk, not one machine. */
  readonly incarnation: string
  readonly role: 'VOTER' | 'LEARNER'
}

/** Shape: `members` sorted by id. */
export interface ClusterDescriptor {
  readonly formatVersion: 1
  readonly clusterId: string
  readonly genesisHash: string
  /** Position of the CONFIG entry that made it; 0 is the genesis. */
  readonly configVersion: number
  readonly members: readonly DescribedMember[]
  /** Derived; stored only to be cross-checked. */
  readonly quorum: number
  readonly autoReplace: boolean
}

/** floor(N/2)+1 of the voters: 1→1, 3→2, 5→3, 7→4. */
export function quorumOf(voterCount: number): number {
  return Math.floor(voterCount / 2) + 1
}

export const MEMBER_COUNTS = [1, 3, 5, 7] as const

/**
 * What is wrong with a configured member list, all of it, in the words operators see. Empty when nothing is.
 * Checked before any store is opened. `quorum` is what the config states, if it states one.
 */
export function memberFaults(listed: {
  readonly members: readonly { readonly memberId: number }[]
  readonly nodeId: number
  readonly quorum?: number | undefined
}): readonly string[] {
  const faults: string[] = []
  const count = listed.members.length
  const right = quorumOf(count)
  if (listed.quorum !== undefined && listed.quorum !== right && count > 0) {
    faults.push(
      `quorum ${listed.quorum} is wrong for ${count} members: it must be ${right} (floor(${count}/2)+1); remove the key`,
    )
  }
  if (!MEMBER_COUNTS.some(allowed => allowed === count)) faults.push(`${count} members listed: use 1, 3, 5 or 7`)
  const seen = new Set<number>()
  const told = new Set<number>()
  for (const { memberId } of listed.members) {
    if (seen.has(memberId) && !told.has(memberId)) {
      faults.push(`member id ${memberId} is listed twice`)
      told.add(memberId)
    }
    seen.add(memberId)
  }
  if (!seen.has(listed.nodeId)) faults.push(`node id ${listed.nodeId} is not in the member list`)
  return faults
}

/**
 * The text whose hash is the genesis hash: cluster id and members by id, without incarnations, so that every member can
 * compute it from its own config before any store exists.
 */
export function genesisText(clusterId: string, members: readonly ListedMember[]): string {
  const listed = members
    .toSorted((a, b) => a.memberId - b.memberId)
    .map(member => [member.memberId, member.name, member.address])
  return JSON.stringify(['daybreak genesis', 1, clusterId, listed])
}

/** Canonical: the same descriptor always gives the same text. */
export function descriptorText(descriptor: ClusterDescriptor): string {
  const members = descriptor.members
    .toSorted((a, b) => a.memberId - b.memberId)
    .map(({ memberId, name, address, incarnation, role }) => ({ memberId, name, address, incarnation, role }))
  const { formatVersion, clusterId, genesisHash, configVersion, quorum, autoReplace } = descriptor
  return JSON.stringify({ formatVersion, clusterId, genesisHash, configVersion, members, quorum, autoReplace })
}

/**
 * Why a stored descriptor cannot be run by this config, or null. Members are compared only while the stored list is the
 * genesis (version 0): later lists come from the log and the config file may lag behind.
 */
export function descriptorConflict(
  stored: { readonly clusterId: string; readonly configVersion: number; readonly members: readonly ListedMember[] },
  configured: { readonly clusterId: string | null; readonly members: readonly ListedMember[] },
): string | null {
  if (configured.clusterId !== null && configured.clusterId !== stored.clusterId) {
    return `the store belongs to cluster ${stored.clusterId}, the config to cluster ${configured.clusterId}`
  }
  if (stored.configVersion > 0) return null
  if (genesisText('', stored.members) === genesisText('', configured.members)) return null
  return `configured members ${memberList(configured.members)} do not match stored descriptor ${memberList(stored.members)}`
}

export function memberList(members: readonly ListedMember[]): string {
  const shown = members.toSorted((a, b) => a.memberId - b.memberId)
  return `[${shown.map(member => `${member.memberId} ${member.name} ${member.address}`).join(', ')}]`
}
