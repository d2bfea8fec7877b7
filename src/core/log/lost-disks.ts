/**
 * Whether so many members have lost their disks that nothing can be decided any more. What they had promised and
 * acknowledged is gone with them, so they must not vote, and no new cluster may begin in place of the old one by itself:
 * only people can know whether the disks come back. Source: the replicated log, C9 and C2.
 */
import { type ClusterDescriptor, quorumOf } from './descriptor.ts'

/** What a member shows of its disk, by its own word. */
export interface ShownDisk {
  readonly memberId: number
  /** Null: an empty one. */
  readonly incarnation: string | null
  /** Version of the list of members it knows; 0 also where it knows none. */
  readonly configVersion: number
  /** It was refused because it had once shown more. */
  readonly isOlderCopy: boolean
}

/** In words for people, or null. `descriptor`: the list of members and disks of one that has its own still. */
export function disksLost(descriptor: ClusterDescriptor, shown: readonly ShownDisk[]): string | null {
  const voters = descriptor.members.filter(member => member.role === 'VOTER')
  const lost = voters.flatMap(({ memberId, name, address, incarnation }) => {
    const disk = shown.find(one => one.memberId === memberId)
    // Whoever knows a later list may be on a disk that this one has not heard of.
    if (disk === undefined || disk.configVersion > descriptor.configVersion) return []
    if (disk.incarnation === incarnation && !disk.isOlderCopy) return []
    const what =
      disk.incarnation === null ? 'an empty disk' : disk.isOlderCopy ? 'an older copy of its disk' : 'a new disk'
    return [{ memberId, text: `member ${memberId} (${name}, ${address}) has ${what}` }]
  })
  const quorum = quorumOf(voters.length)
  const left = voters.length - lost.length
  if (left >= quorum) return null
  const missing = quorum - left
  const disks = missing === 1 ? 'one of the lost disks' : `${missing} of the lost disks`
  return (
    `quorum of disks lost: ${lost.map(({ text }) => text).join(', ')}; ${quorum} of the ${voters.length} disks of ` +
    `cluster ${descriptor.clusterId} are needed, at most ${left} ${left === 1 ? 'is' : 'are'} left. ` +
    `Nobody votes and no new cluster begins: what was acknowledged could be gone. Put ${disks} back as it was; ` +
    'initialize nothing, and keep the log folders of all other members'
  )
}
