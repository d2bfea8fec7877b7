/**
 * What Aurora's read-only pages tell of the cluster, in its shapes: scripts and dashboards read them. Made from the rows
 * alone. Source: the outside interfaces, section 2.
 */
import { type AgentId, type ConfigId, compareIds, type JobKey, jobKeyText, type TaskId } from '../base/ids.ts'
import type { Resources } from '../job/task-config.ts'
import type { Tiers } from '../job/tiers.ts'
import { jobKeysOfRole } from '../ledger/directory.ts'
import type { AgentRow, HostMode, Quota, TaskRow } from '../ledger/rows.ts'
import type { LedgerView } from '../ledger/view.ts'
import { type Bag, EMPTY, plus, times } from '../quota/bag.ts'
import { type Pool, poolOf } from '../quota/role-use.ts'

/** `/quotas`: by role, in cores and MB. */
export interface QuotaAmounts {
  readonly cpu_cores: number
  readonly ram_mb: number
  readonly disk_mb: number
}

export function quotasDocument(view: LedgerView, role: string | null): Record<string, QuotaAmounts> {
  const rows = [...view.rows('quota').values()].filter(row => role === null || row.role === role)
  return keyed(rows.map(row => [row.role, amountsOf(row.quota)] as const))
}

const amountsOf = ({ cpusMilli, ramMb, diskMb }: Quota): QuotaAmounts => {
  return { cpu_cores: cpusMilli / 1000, ram_mb: ramMb, disk_mb: diskMb }
}

/** `/cron`: the templates with their schedules. */
export function cronDocument(view: LedgerView): { readonly scheduled: Record<string, string> } {
  const templates = [...view.jobs()].flatMap(({ key, cron }) => {
    return cron === undefined ? [] : [[jobKeyText(key), cron.schedule] as const]
  })
  return { scheduled: Object.fromEntries(templates) }
}

/** `/maintenance`: a host that is being drained is named while it still has tasks. */
export interface MaintenanceDocument {
  readonly DRAINED: readonly string[]
  readonly SCHEDULED: readonly string[]
  readonly DRAINING: Record<string, readonly string[]>
}

export function maintenanceDocument(view: LedgerView): MaintenanceDocument {
  const agents = [...view.agents()]
  const hosts = (mode: HostMode): Set<string> => new Set(agents.filter(row => row.mode === mode).map(row => row.host))
  const draining = new Map([...hosts('DRAINING')].map(host => [host, [] as TaskId[]]))
  // A machine whose agent was set up anew has two rows until the old one is forgotten.
  for (const { host, agentId } of agents) {
    draining.get(host)?.push(...view.tasksOnAgent(agentId).map(task => task.taskId))
  }
  return {
    DRAINED: [...hosts('DRAINED')].sort(compareIds),
    SCHEDULED: [...hosts('SCHEDULED')].sort(compareIds),
    DRAINING: keyed([...draining].filter(([, tasks]) => tasks.length > 0)),
  }
}

/** `/state`: which configurations run where. A key stands for a configuration of a job, and is as long as it must be. */
export interface StateDocument<C> {
  readonly taskConfigs: Record<string, C>
  /** Agent id to a key for each of its tasks. */
  readonly agents: Record<string, readonly string[]>
}

export function stateDocument<C>(
  view: LedgerView,
  configDocument: (configId: TaskRow['configId']) => C | null,
): StateDocument<C> {
  const taskConfigs = new Map<string, C>()
  const agents = [...view.agents()].map(row => {
    const keys = view.tasksOnAgent(row.agentId).map(task => {
      const key = `${jobKeyText(task.job)}-${task.configId}`
      if (!taskConfigs.has(key)) {
        const document = configDocument(task.configId)
        if (document !== null) taskConfigs.set(key, document)
      }
      return key
    })
    return [row.agentId, keys] as const
  })
  return { taskConfigs: keyed([...taskConfigs]), agents: keyed(agents.filter(([, keys]) => keys.length > 0)) }
}

/** `/offers`: what each agent has left, as Mesos would offer it; one that has nothing left offers nothing. */
export interface OfferFacts {
  readonly id: string
  readonly free: Resources
  /** Thousandths of a core that are only lent. */
  readonly revocableMilli: number
  /** Free ones: closed, ascending. */
  readonly portRanges: readonly (readonly [number, number])[]
}

/** `framework`: to whom it is offered; who reads an offer as Mesos writes it cannot do without. */
export function offersDocument(
  view: LedgerView,
  offers: Iterable<OfferFacts & { readonly agentId: AgentId }>,
  framework: string,
): object[] {
  return [...offers].flatMap(offer => {
    const agent = view.agent(offer.agentId)
    const document = agent === undefined ? null : offerDocument(offer, agent, framework)
    return document === null || document.resources.length === 0 ? [] : [document]
  })
}

interface OfferDocument {
  readonly id: { readonly value: string }
  readonly framework_id: { readonly value: string }
  readonly agent_id: { readonly value: string }
  readonly hostname: string
  readonly resources: readonly object[]
  readonly attributes: readonly object[]
}

function offerDocument(
  { id, free, revocableMilli, portRanges }: OfferFacts,
  agent: AgentRow,
  framework: string,
): OfferDocument {
  const scalar = (name: string, value: number, more: object = {}): object[] => {
    return value > 0 ? [{ name, type: 'SCALAR', scalar: { value }, ...more }] : []
  }
  const range = portRanges.map(([begin, end]) => ({ begin, end }))
  return {
    id: { value: id },
    framework_id: { value: framework },
    agent_id: { value: agent.agentId },
    hostname: agent.host,
    resources: [
      ...scalar('cpus', free.cpusMilli / 1000),
      ...scalar('cpus', revocableMilli / 1000, { revocable: {} }),
      ...scalar('mem', free.ramMb),
      ...scalar('disk', free.diskMb),
      ...scalar('gpus', free.gpus),
      ...(range.length === 0 ? [] : [{ name: 'ports', type: 'RANGES', ranges: { range } }]),
    ],
    attributes: agent.attributes.flatMap(({ name, values }) => {
      return values.map(value => ({ name, type: 'TEXT', text: { value } }))
    }),
  }
}

/** `/pendingtasks`: a row for each group of equal tasks, so two configurations of a job are two. */
export interface PendingGroup {
  readonly job: JobKey
  readonly taskIds: readonly TaskId[]
  readonly penaltyMs: number
  /** Strongest class first; none where no offer was looked at. */
  readonly reasons: readonly string[]
}

export function pendingTasksDocument(groups: readonly PendingGroup[]): object[] {
  return groups.map(({ job, taskIds, penaltyMs, reasons }) => {
    return { name: jobKeyText(job), taskIds, penaltyMs, reason: `[${reasons.join(', ')}]` }
  })
}

/** `/tiers`: of each only what Aurora's clients know. */
export function tiersDocument({ defaultTier, tiers }: Tiers): object {
  const named = Object.entries(tiers).map(([name, { preemptible, revocable }]) => {
    return [name, { preemptible, revocable }] as const
  })
  return { default: defaultTier, tiers: keyed(named) }
}

/** `/agents`: `name=[v1,v2], …`, by name. */
export function attributesText({ attributes }: Pick<AgentRow, 'attributes'>): string {
  return attributes
    .toSorted((a, b) => compareIds(a.name, b.name))
    .map(({ name, values }) => `${name}=[${values.join(',')}]`)
    .join(', ')
}

// ---- /utilization -------------------------------------------------------------------------------------------------

const POOLS_OF = {
  TOTAL_CONSUMED: ['prodShared', 'prodDedicated', 'nonProdShared', 'nonProdDedicated'],
  DEDICATED_CONSUMED: ['prodDedicated', 'nonProdDedicated'],
  QUOTA_CONSUMED: ['prodShared'],
  FREE_POOL_CONSUMED: ['nonProdShared'],
} as const satisfies Record<string, readonly Pool[]>
export type Utilization = keyof typeof POOLS_OF
export const UTILIZATIONS = Object.keys(POOLS_OF) as readonly Utilization[]

/** In any case; null for a word that is none of them. */
export function utilizationOf(text: string): Utilization | null {
  return UTILIZATIONS.find(name => name === text.toUpperCase()) ?? null
}

export interface Used {
  readonly name: string
  readonly bag: Bag
}

/** What active tasks take: by role, or of one role by job (`environment/name`); by name, none that takes nothing. */
export function utilization(view: LedgerView, metric: Utilization, role: string | null): readonly Used[] {
  const pools: readonly Pool[] = POOLS_OF[metric]
  const sums = new Map<string, Bag>()
  for (const key of role === null ? view.jobKeysFrom('') : jobKeysOfRole(view, role)) {
    const name = role === null ? key.role : `${key.environment}/${key.name}`
    const counts = new Map<ConfigId, number>()
    for (const { configId } of view.activeTasksOfJob(key)) counts.set(configId, (counts.get(configId) ?? 0) + 1)
    for (const [configId, count] of counts) {
      const config = view.config(configId)
      if (config === undefined || !pools.includes(poolOf(config))) continue
      sums.set(name, plus(sums.get(name) ?? EMPTY, times(config.resources, count)))
    }
  }
  return [...sums].map(([name, bag]) => ({ name, bag })).sort((a, b) => compareIds(a.name, b.name))
}

// ---- /mname -------------------------------------------------------------------------------------------------------

const HTTP_PORTS = ['health', 'http', 'HTTP', 'web', 'admin'] as const

/** Where an instance serves HTTP, or why it cannot be told. */
export function instanceAddress(
  view: LedgerView,
  key: JobKey,
  instance: number,
): { readonly host: string; readonly port: number } | { readonly fault: string } {
  const task = view.activeTask(key, instance)
  if (task === undefined) return { fault: 'No such live instance found.' }
  if (task.status !== 'RUNNING') return { fault: `The selected instance is currently in state ${task.status}` }
  const port = HTTP_PORTS.map(name => task.ports[name]).find(found => found !== undefined)
  if (port === undefined || task.host === undefined) {
    return { fault: 'The task does not have a registered http port.' }
  }
  return { host: task.host, port }
}

function keyed<V>(entries: readonly (readonly [string, V])[]): Record<string, V> {
  return Object.fromEntries(entries.toSorted(([a], [b]) => compareIds(a, b)))
}
