/**
 * Whether a job may exist: the checks of a submitted configuration, in Aurora's order and with Aurora's texts, then
 * those that Aurora does not make. The first fault is the answer's text, as it always was; all of them stand beside it,
 * each with its place, so that a job file is put right in one go.
 *
 * What comes out is filled in and in canonical form: tier, production, constraints, ports and metadata sorted. Two
 * submissions that mean the same have the same configuration.
 *
 * Source: the scheduling spec, section 12 (J2 to T14, J6, Q1), section 6 (dedicated), its improvements D3, D19 and D23,
 * and "can never fit" of the placement part. What a configuration cannot carry yet is not checked: containers and
 * fetched files (T8 to T11, T15, T16); whoever reads them hands their faults in. Quota (Q2) is asked for by whoever admits.
 */
import { assert } from '../base/assert.ts'
import { compareIds, isIdentifier, type JobKey, jobKeyText } from '../base/ids.ts'
import { type Fault, type Rejection, type RejectionCode, rejected } from '../base/rejection.ts'
import { DEDICATED, dedicatedFault } from '../scheduling/dedicated.ts'
import { careFaults } from './care-faults.ts'
import { nearestName } from './nearest-name.ts'
import { slaPolicyFaults } from './sla-policy-faults.ts'
import { softRuleFaults, softRulesInOrder } from './soft-rule-faults.ts'
import type { Constraint, JobConfiguration, Resources, TaskConfig } from './task-config.ts'
import { isProduction, SHIPPED_TIERS, type Tiers } from './tiers.ts'

export interface AdmissionSettings extends Tiers {
  /** The whole environment name must match; without anchors of its own. */
  readonly allowedEnvironments: string
  readonly tasksPerJobMax: number
  /** Names that `executor.name` may have. */
  readonly executors: readonly string[]
  /** Added to what a task asks for, wherever room for it is sought. */
  readonly executorOverhead: { readonly cpusMilli: number; readonly ramMb: number }
  readonly allowGpus: boolean
}
export const ADMISSION_SETTINGS: AdmissionSettings = {
  allowedEnvironments: '^(prod|devel|test|staging\\d*)$',
  tasksPerJobMax: 4000,
  ...SHIPPED_TIERS,
  executors: ['AuroraExecutor'],
  executorOverhead: { cpusMilli: 10, ramMb: 8 },
  allowGpus: false,
}

/** What is known of the machines; nothing of it makes a well-formed job ill-formed, except that none could hold it. */
export interface Machines {
  readonly hosts: readonly Machine[]
  /** None connected: what could never fit is only warned about, for better ones may come. */
  readonly anyConnected: boolean
}
export interface Machine {
  readonly host: string
  readonly total: Resources
  readonly ports: number
  readonly attributes: readonly { readonly name: string }[]
}

export interface Admitted {
  readonly type: 'admitted'
  readonly job: JobConfiguration
  readonly warnings: readonly string[]
}

/**
 * What somebody asked for that a configuration cannot hold, found where it was read; by the place that its check has
 * among ours (T4; T8 to T11; T12; T15; T16).
 */
export interface ForeignFaults {
  readonly executor: readonly Fault[]
  readonly container: readonly Fault[]
  readonly resources: readonly Fault[]
  readonly fetcher: readonly Fault[]
  readonly volumes: readonly Fault[]
}
const NOTHING_FOREIGN: ForeignFaults = { executor: [], container: [], resources: [], fetcher: [], volumes: [] }

/** Filled in and in canonical form, or refused: what can be said of a configuration without knowing the cluster. */
export function checkConfiguration(
  job: JobConfiguration,
  settings: AdmissionSettings,
  foreign: ForeignFaults = NOTHING_FOREIGN,
): JobConfiguration | Rejection {
  const found = configurationFaults(job, settings, foreign)
  return found.length > 0 ? refusal(found) : { ...job, task: normalized(job.task, settings) }
}

function configurationFaults(job: JobConfiguration, settings: AdmissionSettings, foreign: ForeignFaults): Found[] {
  return [
    ...jobFaults(job, settings),
    ...taskFaults(job, settings, foreign),
    ...cronFaults(job),
    ...countFaults(job, settings),
    ...careFaults(job),
    ...softRuleFaults(job),
  ]
}

export function admit(job: JobConfiguration, settings: AdmissionSettings, machines: Machines): Admitted | Rejection {
  const found = configurationFaults(job, settings, NOTHING_FOREIGN)
  const normal = { ...job, task: normalized(job.task, settings) }
  const warnings = attributeWarnings(normal.task, machines)
  const tooLarge = found.length === 0 ? fitFault(normal.task, settings, machines) : null
  if (tooLarge !== null) {
    if (machines.anyConnected) found.push(tooLarge)
    else warnings.push(tooLarge.text)
  }
  return found.length > 0 ? refusal(found) : { type: 'admitted', job: normal, warnings }
}

/** The first fault is what it says; all of them stand beside it. */
function refusal(found: readonly Found[]): Rejection {
  const [first] = found
  assert(first !== undefined, 'nothing is refused without a fault')
  return rejected(first.code ?? 'INVALID_REQUEST', first.text, {
    ...(first.remedy === undefined ? undefined : { remedy: first.remedy }),
    faults: found.map(({ path, text }) => ({ path, text })),
  })
}

/** What a task takes of a machine: its own resources and its executor's. */
export function requestOf(task: TaskConfig, settings: Pick<AdmissionSettings, 'executorOverhead'>): Resources {
  const { cpusMilli, ramMb } = settings.executorOverhead
  return { ...task.resources, cpusMilli: task.resources.cpusMilli + cpusMilli, ramMb: task.resources.ramMb + ramMb }
}

interface Found extends Fault {
  readonly code?: RejectionCode
  readonly remedy?: string
}

/** `fault` when the rule does not hold. */
const unless = (holds: boolean, path: string, text: string): Found[] => (holds ? [] : [{ path, text }])

function cronFaults(job: JobConfiguration): Found[] {
  if (job.cronSchedule === undefined && job.cronCollisionPolicy === undefined) return []
  const path = job.cronSchedule === undefined ? 'cronCollisionPolicy' : 'cronSchedule'
  const text = `${path} is set, and this version has no cron engine: it would never fire.`
  const remedy = `Remove ${path} to run the job once, now.`
  const service = job.task.isService && job.cronSchedule !== undefined
  return [
    ...unless(!service, path, `A service task may not be run on a cron schedule: ${jobKeyText(job.key)}`),
    { path, text, remedy, code: 'NOT_BUILT' },
  ]
}

function jobFaults(job: JobConfiguration, settings: AdmissionSettings): Found[] {
  const { environment } = job.key
  return [
    ...unless(job.instanceCount > 0, 'instanceCount', 'Instance count must be positive.'),
    ...keyFaults(job.key, 'key'),
    ...unless(
      new RegExp(`^(?:${settings.allowedEnvironments})$`).test(environment) && !environment.endsWith('\n'),
      'key.environment',
      `Job environment ${environment} doesn't match: ${settings.allowedEnvironments}`,
    ),
    ...unless(isIdentifier(job.owner), 'owner', `Job user contains illegal characters: ${job.owner}`),
  ]
}

function keyFaults(key: JobKey, path: string): Found[] {
  const isValid = isIdentifier(key.role) && isIdentifier(key.environment) && isIdentifier(key.name)
  return unless(isValid, path, `Job key ${jobKeyText(key)} is invalid.`)
}

/** Those of Aurora. */
function taskFaults(job: JobConfiguration, settings: AdmissionSettings, foreign: ForeignFaults): Found[] {
  const { task } = job
  const { name: executor } = task.executor
  const dedicated = dedicatedFault(job.key.role, task.constraints)
  const tier = task.tier === '' ? settings.defaultTier : task.tier
  return [
    ...tierFaults(tier, settings),
    ...keyFaults(task.job, 'task.job'),
    ...foreign.executor,
    ...unless(executor !== '', 'task.executor.name', 'Executor name may not be left unset.'),
    ...unless(
      executor === '' || settings.executors.includes(executor),
      'task.executor.name',
      `Configuration for executor '${executor}' doesn't exist.`,
    ),
    ...(dedicated === null ? [] : [{ path: dedicatedPath(task.constraints), text: dedicated }]),
    ...foreign.container,
    ...foreign.resources,
    ...resourceFaults(task, settings),
    ...foreign.fetcher,
    ...foreign.volumes,
    ...slaPolicyFaults({ ...task, tier }, job.instanceCount, tierOf(tier, settings)),
  ]
}

const tierOf = (name: string, { tiers }: AdmissionSettings) => (Object.hasOwn(tiers, name) ? tiers[name] : undefined)

function tierFaults(tier: string, { tiers }: AdmissionSettings): Found[] {
  const path = 'task.tier'
  if (!isIdentifier(tier)) return [{ path, text: `Tier contains illegal characters: ${tier}` }]
  if (Object.hasOwn(tiers, tier)) return []
  const known = Object.keys(tiers).sort(compareIds)
  const near = nearestName(tier, known)
  const list = `This cluster has the tiers ${known.join(', ')}.`
  const remedy = near === undefined ? list : `Did you mean ${near}? ${list}`
  return [{ path, text: `Invalid tier '${tier}' in TaskConfig.`, remedy }]
}

const dedicatedPath = (constraints: readonly Constraint[]): string =>
  `task.constraints[${constraints.findIndex(constraint => constraint.name === DEDICATED)}]`

function resourceFaults({ resources }: TaskConfig, settings: AdmissionSettings): Found[] {
  return [
    ...unless(resources.cpusMilli > 0, 'task.resources.cpusMilli', 'num_cpus must be greater than 0.0'),
    ...unless(
      !(resources.cpusMilli > Number.MAX_SAFE_INTEGER),
      'task.resources.cpusMilli',
      'num_cpus is more than can be counted',
    ),
    ...unless(resources.ramMb > 0, 'task.resources.ramMb', 'ram_mb must be greater than 0.0'),
    ...unless(resources.diskMb > 0, 'task.resources.diskMb', 'disk_mb must be greater than 0.0'),
    ...unless(
      resources.gpus === 0 || settings.allowGpus,
      'task.resources.gpus',
      'GPU resource support is disabled in this cluster.',
    ),
    ...unless(resources.gpus >= 0, 'task.resources.gpus', 'num_gpus must not be negative'),
  ]
}

/** One that is not positive was named before. */
function countFaults({ instanceCount }: JobConfiguration, { tasksPerJobMax }: AdmissionSettings): Found[] {
  return unless(instanceCount <= tasksPerJobMax, 'instanceCount', countText(tasksPerJobMax))
}

/** Said whenever a job would have more, whoever adds to it. */
export const countText = (tasksPerJobMax: number): string =>
  `Instance count must be between 1 and ${tasksPerJobMax} inclusive.`

function normalized(task: TaskConfig, settings: AdmissionSettings): TaskConfig {
  const name = task.tier === '' ? settings.defaultTier : task.tier
  const tier = tierOf(name, settings)
  const taskLinks = linksOf(task)
  return {
    ...task,
    tier: name,
    production: tier !== undefined && isProduction(tier),
    constraints: task.constraints
      .map(
        ({ name: of, rule }): Constraint => ({
          name: of,
          rule: rule.type === 'limit' ? rule : { ...rule, values: [...new Set(rule.values)].sort(compareIds) },
        }),
      )
      .sort((a, b) => compareIds(a.name, b.name)),
    ports: [...task.ports].sort(compareIds),
    metadata: [...task.metadata].sort((a, b) => compareIds(a.key, b.key) || compareIds(a.value, b.value)),
    ...softRulesInOrder(task),
    ...(taskLinks === undefined ? {} : { taskLinks }),
  }
}

/** A task with a port of that name has something to be opened there. */
const LINKED_PORTS = ['health', 'http'] as const

/** The task's own, else those of ports that everybody knows; undefined where there are none. */
function linksOf({ taskLinks = {}, ports }: TaskConfig): TaskConfig['taskLinks'] {
  if (Object.keys(taskLinks).length > 0) return taskLinks
  const known = LINKED_PORTS.filter(name => ports.includes(name))
  return known.length === 0 ? undefined : Object.fromEntries(known.map(name => [name, `http://%host%:%port:${name}%`]))
}

/** A job that no machine could hold even if it were empty would wait for ever without a word. */
function fitFault(task: TaskConfig, settings: AdmissionSettings, machines: Machines): Found | null {
  const request = requestOf(task, settings)
  const fits = machines.hosts.some(host => shortages(request, task.ports.length, host).length === 0)
  if (fits) return null
  const [largest] = machines.hosts.toSorted((a, b) => bySize(a, b))
  const asked = `each task asks for ${amounts(request, task.ports.length)} (its executor included)`
  if (largest === undefined)
    return { path: 'task.resources', text: `No agent has registered yet: nothing can run before one does; ${asked}.` }
  const lacking = shortages(request, task.ports.length, largest).join(', ')
  return {
    path: 'task.resources',
    text: `The job can never fit: ${asked}; largest host has ${amounts(largest.total, largest.ports)} (${largest.host}). Insufficient: ${lacking}`,
    remedy: 'Ask for less per task, or add a larger machine.',
  }
}

function bySize(a: Machine, b: Machine): number {
  return (
    b.total.cpusMilli - a.total.cpusMilli ||
    b.total.ramMb - a.total.ramMb ||
    b.total.diskMb - a.total.diskMb ||
    b.ports - a.ports ||
    compareIds(a.host, b.host)
  )
}

function shortages(request: Resources, ports: number, { total, ports: portsTotal }: Machine): string[] {
  return [
    ...(request.cpusMilli > total.cpusMilli ? ['CPU'] : []),
    ...(request.ramMb > total.ramMb ? ['RAM'] : []),
    ...(request.diskMb > total.diskMb ? ['disk'] : []),
    ...(ports > portsTotal ? ['ports'] : []),
    ...(request.gpus > total.gpus ? ['GPU'] : []),
  ]
}

function amounts({ cpusMilli, ramMb, diskMb, gpus }: Resources, ports: number): string {
  const cores = (cpusMilli / 1000).toFixed(3).replace(/\.?0+$/, '')
  const gpu = gpus === 0 ? '' : `, ${gpus} GPU`
  return `${cores} core(s), ${ramMb} MB RAM, ${diskMb} MB disk, ${ports} port(s)${gpu}`
}

function attributeWarnings(task: TaskConfig, { hosts }: Machines): string[] {
  if (hosts.length === 0) return []
  const known = attributesOf(hosts)
  const hard = task.constraints
    .filter(({ name, rule }) => !known.has(name) && !(rule.type === 'value' && rule.negated))
    .map(({ name }) => `No agent has the attribute '${name}' that a constraint asks for: nothing will be placed.`)
  const soft = [...(task.prefer ?? []), ...(task.spread ?? [])]
    .filter(({ attribute }) => !known.has(attribute))
    .map(
      ({ attribute }) =>
        `No agent has the attribute '${attribute}' that prefer or spread names: the rule has no effect.`,
    )
  return [...hard, ...new Set(soft)]
}

/** Names of attributes that any host has; remembered for the list, which is the same for many jobs. */
function attributesOf(hosts: readonly Machine[]): ReadonlySet<string> {
  let names = ATTRIBUTES_OF.get(hosts)
  if (names === undefined) {
    names = new Set(hosts.flatMap(host => host.attributes.map(attribute => attribute.name)))
    ATTRIBUTES_OF.set(hosts, names)
  }
  return names
}
const ATTRIBUTES_OF = new WeakMap<readonly Machine[], ReadonlySet<string>>()
