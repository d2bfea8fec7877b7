/**
 * Whether an instance that is updated keeps its place: a claim for it on the agent where it runs, made when the old task
 * is asked to go. Only where the new configuration fits into the room of the old one and may run on the same machine.
 *
 * Source: the scheduling spec, section 8; Aurora's `enable_update_affinity`.
 */
import { type AgentId, type InstanceId, jobKeyText } from '../base/ids.ts'
import type { Instant } from '../base/time.ts'
import type { Resources, TaskConfig } from '../job/task-config.ts'
import type { RoomClaim } from '../offers/claims.ts'
import { needsOf } from '../offers/needs.ts'

/** Source: Aurora's `update_affinity_reservation_hold_time`. */
export const AFFINITY_HOLD_MS = 3 * 60_000

export interface UpdatedInstance {
  readonly instance: InstanceId
  readonly agentId: AgentId
  readonly before: TaskConfig
  readonly after: TaskConfig
}

/** Null: it goes wherever there is room. */
export function affinityClaim(
  { instance, agentId, before, after }: UpdatedInstance,
  overhead: Resources,
  nowMs: Instant,
  holdMs = AFFINITY_HOLD_MS,
): RoomClaim | null {
  if (!isSmallerOrEqual(after.resources, before.resources) || after.ports.length > before.ports.length) return null
  if (JSON.stringify(after.constraints) !== JSON.stringify(before.constraints)) return null
  const job = jobKeyText(after.job)
  return {
    id: `affinity ${job}/${instance}`,
    agentId,
    needs: needsOf(after, overhead),
    owner: { type: 'instance', job, instance },
    expiresMs: nowMs + holdMs,
  }
}

function isSmallerOrEqual(a: Resources, b: Resources): boolean {
  return a.cpusMilli <= b.cpusMilli && a.ramMb <= b.ramMb && a.diskMb <= b.diskMb && a.gpus <= b.gpus
}
