/**
 * What an SLA policy may ask: that so many instances, or such a part of them, stay up while others are ended, or that
 * somebody outside is asked first. One that would let nobody be ended for ever is refused.
 * Source: the scheduling spec, section 12 (T17 to T21).
 */
import type { Fault } from '../base/rejection.ts'
import type { SlaPolicy, TaskConfig } from './task-config.ts'
import { isProduction, type Tier } from './tiers.ts'

export interface SlaPolicySettings {
  /** Jobs with fewer instances have no policy that counts them. */
  readonly instancesMin: number
  readonly durationSecsMax: number
}
export const SLA_POLICY_SETTINGS: SlaPolicySettings = { instancesMin: 20, durationSecsMax: 7200 }

/** `tier`: the one the task will have; undefined: an unknown one, which is refused elsewhere. */
export function slaPolicyFaults(
  { slaPolicy: policy, tier: tierName }: Pick<TaskConfig, 'slaPolicy' | 'tier'>,
  instanceCount: number,
  tier: Tier | undefined,
  settings: SlaPolicySettings = SLA_POLICY_SETTINGS,
): Fault[] {
  if (policy === undefined) return []
  const path = 'task.slaPolicy'
  const found: Fault[] = []
  if (tier !== undefined && !isProduction(tier))
    found.push({ path, text: `Tier '${tierName}' does not support SlaPolicy.` })
  if (policy.type === 'coordinator') return found
  if (instanceCount < settings.instancesMin) {
    const text = `Job with fewer than ${settings.instancesMin} instances cannot have Percentage/Count SlaPolicy.`
    found.push({ path, text })
  }
  const stuck = stuckText(policy, instanceCount)
  if (stuck !== null) found.push({ path: `${path}.${policy.type}`, text: stuck })
  if (policy.durationSecs > settings.durationSecsMax) {
    const name = policy.type === 'count' ? 'CountSlaPolicy' : 'PercentageSlaPolicy'
    const text = `${name}: durationSecs=${policy.durationSecs} must be less than cluster-wide maximum of ${settings.durationSecsMax} secs.`
    found.push({ path: `${path}.durationSecs`, text })
  }
  return found
}

/** Why no instance could ever be ended; null when one can. */
function stuckText(policy: Exclude<SlaPolicy, { type: 'coordinator' }>, instances: number): string | null {
  const never = 'will not allow any instances to be killed. Must be less than'
  if (policy.type === 'count') {
    if (instances - policy.count >= 1) return null
    return `Current CountSlaPolicy: count=${policy.count} ${never} instanceCount=${instances}.`
  }
  if (instances - (instances * policy.percentage) / 100 >= 1) return null
  const most = ((instances - 1) / instances) * 100
  return `Current PercentageSlaPolicy: percentage=${policy.percentage.toFixed(6)} ${never} ${most.toFixed(6)}.`
}
