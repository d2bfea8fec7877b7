/**
 * Room on a host that is kept for somebody before it is taken: for a group whose task other tasks were preempted for, or
 * for an instance that an update will bring back. A claim is an amount, never a whole host, and nobody else may use that
 * amount; its owner may also go elsewhere. It may be of room that is not free yet, while victims still end.
 *
 * Claims are memory of the leader. A new leader starts without any: whoever needs one asks again.
 * Source: the scheduling spec, section 8 and items D8 to D10.
 */
import type { AgentId, ConfigId, InstanceId } from '../base/ids.ts'
import type { Needs } from './needs.ts'

export type ClaimOwner =
  /** Any task of the group. */
  | { readonly type: 'group'; readonly configId: ConfigId }
  /** The next task of the instance, whatever its configuration; `job` is the text of its key. It goes nowhere else. */
  | { readonly type: 'instance'; readonly job: string; readonly instance: InstanceId }

export interface RoomClaim {
  /** Unique among those that are open. */
  readonly id: string
  readonly agentId: AgentId
  readonly needs: Needs
  /** Its cores are lent ones, and others' own cores are not touched by it. Default: false. */
  readonly isRevocable?: boolean
  readonly owner: ClaimOwner
  /** Wall clock of the leader, ms. */
  readonly expiresMs: number
}
