/**
 * How a member gets from an empty disk to a vote. A blank replica must not answer, because the promises of a lost disk may
 * be in flight; so a new cluster begins only when every listed member has shown the same genesis. Nothing here is a
 * matter of time: who was seen decides. Source: the replicated log, C2 "first start".
 */
import { type ClusterDescriptor, type ListedMember, quorumOf } from './descriptor.ts'

/** What a member tells about itself; the own one is counted too. */
export interface SeenMember {
  readonly memberId: number
  readonly status: 'EMPTY' | 'STARTING' | 'RECOVERING' | 'VOTING'
  readonly genesisHash: string
  /** Null while there is no store. */
  readonly incarnation: string | null
  readonly end: number
  /** What a VOTING member has as the list of members, with their disks. */
  readonly descriptor?: ClusterDescriptor | null
}

export type StartUpStep =
  | { readonly type: 'admit'; readonly descriptor: ClusterDescriptor }
  | { readonly type: 'format' }
  /** In words: what is missing and from whom. */
  | { readonly type: 'wait'; readonly waitingFor: string }

export interface StartUpFacts {
  readonly clusterId: string
  readonly genesisHash: string
  readonly members: readonly ListedMember[]
  readonly seen: readonly SeenMember[]
  readonly autoBootstrap: boolean
  /** Some reachable peer or agent knows this cluster with data in it. */
  readonly hasData: boolean
  /** In words: so many disks of this cluster are lost that nothing can begin. */
  readonly disksLost?: string | null
  /** What to run, for people. */
  readonly initializeCommand: string
  /** Of the own disk, once there is one. */
  readonly incarnation?: string
  /** Why a member is not among the seen, as far as that is known. */
  readonly trouble?: ReadonlyMap<number, string>
}

/**
 * STARTING → VOTING when all listed members report STARTING, or VOTING at position 0, with the same genesis; or when the
 * others have begun without waiting longer: then a VOTING member's descriptor names this very disk.
 */
export function stepStarting(facts: StartUpFacts): StartUpStep {
  if (facts.disksLost != null) return { type: 'wait', waitingFor: facts.disksLost }
  const begun = facts.seen.find(
    ({ status, genesisHash, descriptor }) =>
      status === 'VOTING' &&
      genesisHash === facts.genesisHash &&
      descriptor?.members.some(member => member.incarnation === facts.incarnation),
  )
  if (begun?.descriptor != null) return { type: 'admit', descriptor: begun.descriptor }
  const seen = new Map(facts.seen.map(member => [member.memberId, member]))
  const missing: string[] = []
  // One that holds a restored backup among others that do not would be outvoted by them.
  const end = Math.max(...facts.seen.map(member => member.end))
  for (const member of facts.members) {
    const told = seen.get(member.memberId)
    if (told === undefined) missing.push(`${named(member)} has not been reached${because(facts, member)}`)
    // Without a log there is no genesis yet, so it is not a matter of another one.
    else if (told.status === 'EMPTY')
      missing.push(`${named(member)} is EMPTY: run \`${facts.initializeCommand}\` there`)
    else if (told.genesisHash !== facts.genesisHash) missing.push(`${named(member)} has another genesis`)
    else if (told.status === 'RECOVERING' || (told.status === 'VOTING' && told.end > 0)) {
      missing.push(`${named(member)} already has data`)
    } else if (told.end !== end) {
      missing.push(`${named(member)} lacks the backup that another member holds: restore the same one there`)
    }
  }
  if (missing.length > 0) {
    return {
      type: 'wait',
      waitingFor: `all ${facts.members.length} members for the first start: ${missing.join('; ')}`,
    }
  }
  const members = facts.members
    .toSorted((a, b) => a.memberId - b.memberId)
    .map(member => ({ ...member, incarnation: seen.get(member.memberId)!.incarnation!, role: 'VOTER' as const }))
  const descriptor: ClusterDescriptor = {
    formatVersion: 1,
    clusterId: facts.clusterId,
    genesisHash: facts.genesisHash,
    configVersion: 0,
    members,
    quorum: quorumOf(members.length),
    autoReplace: true,
  }
  return { type: 'admit', descriptor }
}

/** EMPTY → STARTING by itself: only where the config allows it and every listed member shows that nothing exists yet. */
export function stepEmpty(facts: StartUpFacts): StartUpStep {
  const advice = `run \`${facts.initializeCommand}\``
  if (facts.disksLost != null) return { type: 'wait', waitingFor: facts.disksLost }
  if (facts.hasData) {
    const cluster = facts.clusterId === '' ? 'the cluster' : `cluster ${facts.clusterId}`
    const what = 'so this disk is not the one that this member had: put that one back. Do not initialize this one'
    return { type: 'wait', waitingFor: `an operator: ${cluster} already has data, ${what}` }
  }
  if (!facts.autoBootstrap) return { type: 'wait', waitingFor: `an initialized log: ${advice}` }
  if (facts.clusterId === '' && facts.members.length > 1) {
    return { type: 'wait', waitingFor: `the same cluster.id in the config of every member, or ${advice}` }
  }
  const ready = facts.members.filter(member =>
    facts.seen.some(
      told =>
        told.memberId === member.memberId &&
        (told.status === 'EMPTY' || told.status === 'STARTING') &&
        told.genesisHash === facts.genesisHash,
    ),
  )
  if (ready.length === facts.members.length) return { type: 'format' }
  const missing = facts.members
    .filter(member => !ready.includes(member))
    .map(member => `${named(member)}${because(facts, member)}`)
  return { type: 'wait', waitingFor: `${missing.join(', ')} to be EMPTY with the same genesis, or ${advice}` }
}

function because({ trouble }: StartUpFacts, { memberId }: ListedMember): string {
  const why = trouble?.get(memberId)
  return why === undefined ? '' : ` (${why})`
}

function named(member: ListedMember): string {
  return `member ${member.memberId} (${member.name}, ${member.address})`
}
