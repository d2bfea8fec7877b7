/** What a task of one configuration asks of a host, worked out once for all tasks that have it. */
import { type ConfigId, type JobKey, jobKeyText } from '../base/ids.ts'
import type { Constraint, Resources, TaskConfig } from '../job/task-config.ts'
import type { Tier } from '../job/tiers.ts'
import { type Needs, needsOf } from '../offers/needs.ts'
import type { SoftRules } from './soft-rules.ts'

export interface Ask {
  readonly configId: ConfigId
  readonly jobKey: JobKey
  /** The same as text. */
  readonly job: string
  readonly needs: Needs
  /** It runs on lent cores only, and nothing else may run on them. */
  readonly isRevocable: boolean
  readonly portNames: readonly string[]
  readonly constraints: readonly Constraint[]
  readonly limits: readonly { readonly name: string; readonly limit: number }[]
  /** Null: it has none. */
  readonly soft: SoftRules | null
  /** One task of the job on a host, whatever else is said. */
  readonly isEveryHost: boolean
  /** So many tasks of the job are placed together, those that run included; 1: each alone. */
  readonly gang: number
}

export function askOf(
  configId: ConfigId,
  config: TaskConfig,
  overhead: Resources,
  tiers: Readonly<Record<string, Tier>>,
): Ask {
  const { prefer = [], spread = [] } = config
  return {
    configId,
    jobKey: config.job,
    job: jobKeyText(config.job),
    needs: needsOf(config, overhead),
    isRevocable: tiers[config.tier]?.revocable ?? false,
    portNames: config.ports,
    constraints: config.constraints,
    limits: config.constraints.flatMap(({ name, rule }) =>
      rule.type === 'limit' ? [{ name, limit: rule.limit }] : [],
    ),
    soft: prefer.length + spread.length === 0 ? null : { prefer, spread },
    isEveryHost: config.everyHost === true,
    gang: config.gang ?? 1,
  }
}

/** What is decided about it depends on where other tasks of the job are. */
export function isCounted({ limits, isEveryHost, soft }: Ask): boolean {
  return limits.length > 0 || isEveryHost || (soft !== null && soft.spread.length > 0)
}
