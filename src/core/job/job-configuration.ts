import { compareIds, isIdentifier } from '../base/ids.ts'
import type { ProcessSpec } from '../executor/task-data.ts'
import { orderFaults } from '../executor/task-plan.ts'
import type { FieldFault, Loose, Path } from './field-schema.ts'
import type { Job, Process, Task } from './job-schema.ts'
import { CYCLE_TEXT, type Portmap, requestedPorts, resolvePortmap, staticPorts } from './ports.ts'
import { softRuleFaults } from './soft-rule-faults.ts'
import type { Constraint, JobConfiguration, TaskConfig } from './task-config.ts'
import { interpolate, scopeOf, type Tree } from './template.ts'

/**
 * What a job that has been read must fulfil before it is sent, and what is sent: the scheduling facts, and the JSON of
 * the whole job for whoever runs it. That JSON leaves out how many instances there are and how updates go, so that
 * neither makes a configuration look changed.
 *
 * Texts and order are Aurora's; unlike Aurora, all that fails is reported, not the first.
 * Source: jobs and executor, sections 2.8, 2.9, 4 and 5.
 */

const MB = 1024 * 1024
const PROCESS_NAME = /^[^./][^/]*$/

/** All rules that go beyond a single field. Fields that are missing or faulty are passed over: they have been named. */
export function jobFaults(job: Loose<Job>, base: Path = []): FieldFault[] {
  const faults: FieldFault[] = []
  const refuse = (path: Path, text: string): void => void faults.push({ path: [...base, ...path], text })
  if (job.instances !== undefined && job.instances < 1) refuse(['instances'], 'Instance count must be positive.')
  for (const part of ['role', 'environment', 'name'] as const) {
    const value = job[part]
    if (value !== undefined && !isIdentifier(value)) refuse([part], `Invalid ${part} '${value}'`)
  }
  checkNumbers(job, refuse)
  checkConstraints(job, refuse)
  checkPorts(job, refuse)
  checkSoftRules(job, refuse)
  if (job.task !== undefined) checkTask(job.task, job.name ?? '', refuse)
  return faults
}

type Refuse = (path: Path, text: string) => void

function checkNumbers(job: Loose<Job>, refuse: Refuse): void {
  const update = job.update_config
  const negative = (path: Path, value: number | undefined): void => {
    const name = String(path.at(-1))
    if (value !== undefined && value < 0) {
      refuse(path, `Invalid value (${value}) specified for ${name}. Value cannot be less than 0.`)
    }
  }
  if (update?.max_total_failures !== undefined && job.instances !== undefined && job.instances >= 1) {
    if (update.max_total_failures >= job.instances) {
      const allowed = `Based on your job size (${job.instances}) you should use max_total_failures <= ${job.instances - 1}.`
      const text = `max_total_failures in update_config must be lesser than the job size. ${allowed}`
      refuse(['update_config', 'max_total_failures'], text)
    }
  }
  if (update?.batch_size !== undefined && update.batch_size <= 0) {
    refuse(['update_config', 'batch_size'], 'Batch size should be greater than 0')
  }
  if (update?.watch_secs !== undefined && update.watch_secs < 0) {
    refuse(['update_config', 'watch_secs'], 'Watch seconds should be greater than or equal to 0')
  }
  if (update?.pulse_interval_secs !== undefined && update.pulse_interval_secs < 60) {
    refuse(['update_config', 'pulse_interval_secs'], 'Pulse interval seconds must be at least 60 seconds.')
  }
  negative(['update_config', 'max_per_shard_failures'], update?.max_per_shard_failures)
  negative(['update_config', 'max_total_failures'], update?.max_total_failures)
  const health = job.health_check_config
  for (const name of [
    'max_consecutive_failures',
    'min_consecutive_successes',
    'initial_interval_secs',
    'interval_secs',
  ] as const) {
    negative(['health_check_config', name], health?.[name])
  }
}

function checkConstraints(job: Loose<Job>, refuse: Refuse): void {
  for (const [name, rule] of Object.entries(job.constraints ?? {})) {
    if (rule !== undefined && parseConstraint(name, rule) === null) {
      refuse(
        ['constraints', name],
        `'${rule}' is no constraint: limit:N with a whole number, or values such as a,b or !a`,
      )
    }
  }
  const dedicated = job.constraints?.dedicated
  const rule = dedicated === undefined ? null : parseConstraint('dedicated', dedicated)?.rule
  if (rule?.type === 'limit') refuse(['constraints', 'dedicated'], 'A dedicated constraint must be of value type.')
  if (rule?.type === 'value' && rule.values.length !== 1) {
    refuse(['constraints', 'dedicated'], 'A dedicated constraint must have exactly one value')
  }
}

/** The rules of admission, for what could be read; their paths are those of the file. */
function checkSoftRules(job: Loose<Job>, refuse: Refuse): void {
  const prefer = (job.prefer ?? []).flatMap(rule => {
    const { attribute, values, weight = 50 } = rule ?? {}
    return attribute === undefined || values === undefined
      ? []
      : [{ attribute, values: values.filter(value => value !== undefined), weight }]
  })
  const spread = (job.spread ?? []).flatMap(rule => {
    const { attribute, weight = 50, targets } = rule ?? {}
    if (attribute === undefined) return []
    const known = Object.entries(targets ?? {}).filter((entry): entry is [string, number] => entry[1] !== undefined)
    return [{ attribute, weight, targets: Object.fromEntries(known) }]
  })
  const constraints = Object.entries(job.constraints ?? {}).flatMap(([name, rule]) => {
    const parsed = rule === undefined ? null : parseConstraint(name, rule)
    return parsed === null ? [] : [parsed]
  })
  const instanceCount = job.instances ?? 1
  if (job.every_host === true && instanceCount !== 1) {
    refuse(['instances'], 'A job with every_host has as many instances as there are hosts: remove instances.')
  }
  const gang = job.gang === true ? instanceCount : job.gang
  const task = {
    constraints,
    isService: job.service === true,
    prefer,
    spread,
    ...(gang === undefined ? {} : { gang }),
    ...(job.every_host === true ? { everyHost: true as const } : {}),
  }
  for (const { path, text } of softRuleFaults({ task, instanceCount })) {
    refuse(
      path
        .replace(/^task\./, '')
        .replace('everyHost', 'every_host')
        .split(/[.[\]]+/)
        .filter(part => part !== '')
        .map(part => (/^\d+$/.test(part) ? Number(part) : part)),
      text,
    )
  }
}

function checkPorts(job: Loose<Job>, refuse: Refuse): void {
  const portmap = portmapOf(job)
  if (resolvePortmap(portmap) === null) return refuse(['announce', 'portmap'], CYCLE_TEXT)
  if (staticPorts(portmap).length > 0 && job.constraints?.dedicated === undefined) {
    refuse(['announce', 'portmap'], 'Job must be dedicated in order to specify static ports!')
  }
}

function checkTask(task: Loose<Task>, jobName: string, refuse: Refuse): void {
  const processes = task.processes
  if (processes !== undefined && processes.length === 0) {
    refuse(['task', 'processes'], `Processes required for task on job "${jobName}"`)
  }
  const seen = new Set<string>()
  for (const [index, process] of (processes ?? []).entries()) {
    const name = process?.name
    if (name === undefined) continue
    const path = ['task', 'processes', index, 'name']
    if (!PROCESS_NAME.test(name)) refuse(path, `Task has invalid process: Invalid process name: ${name}`)
    else if (seen.has(name)) refuse(path, `Duplicate process name: ${name}`)
    seen.add(name)
  }
  if (task.sequential === true && ((task.constraints?.length ?? 0) > 0 || task.order !== undefined)) {
    refuse(['task', 'sequential'], 'Cannot turn a Task with existing constraints into a SequentialTask!')
  }
  checkPlan(task, refuse)
  const resources = task.resources
  if (resources === undefined) return
  const { cpu, ram, disk } = resources
  if (cpu === undefined || ram === undefined || disk === undefined) return
  const [ramMb, diskMb] = [Math.floor(ram / MB), Math.floor(disk / MB)]
  if (cpu <= 0 || ramMb <= 0 || diskMb <= 0) {
    const found = `cpu:${cpu} ramMb:${ramMb} diskMb:${diskMb}`
    refuse(['task', 'resources'], `Task has invalid resources.  cpu/ramMb/diskMb must all be positive: ${found}`)
  } else if (Math.round(cpu * 1000) < 1) {
    refuse(['task', 'resources', 'cpu'], `cpu is counted in thousandths of a core, and ${cpu} is less than one`)
  }
  if ((resources.gpu ?? 0) < 0) {
    refuse(
      ['task', 'resources', 'gpu'],
      `Invalid value (${resources.gpu}) specified for gpu. Value cannot be less than 0.`,
    )
  }
}

function checkPlan(task: Loose<Task>, refuse: Refuse): void {
  const processes = (task.processes ?? []).filter((process): process is Process => process?.name !== undefined)
  // A process that could not be read would make every order that names it look wrong.
  if (task.sequential === true || processes.length !== task.processes?.length) return
  const names = new Set(processes.map(({ name }) => name))
  if (names.size !== processes.length) return
  const orders = [
    ...(task.constraints ?? []).map((constraint, index) => ({
      path: ['task', 'constraints', index, 'order'],
      order: constraint?.order,
    })),
    { path: ['task', 'order'], order: task.order },
  ]
  const plan = (order: Loose<readonly string[]>): string[] => {
    const read = order.filter(name => name !== undefined)
    return orderFaults({ ...PLAN_FACTS, name: '', processes: processes.map(planFacts), orders: [read] })
  }
  const alone = orders.flatMap(({ path, order }) => {
    const texts = order === undefined ? [] : plan(order)
    for (const text of texts) refuse(path, `Task has invalid plan: ${text}`)
    return texts
  })
  // Orders that are each fine may still make a circle together.
  if (alone.length > 0) return
  const all = orders.flatMap(({ order }) => (order === undefined ? [] : [order.filter(name => name !== undefined)]))
  for (const text of orderFaults({ ...PLAN_FACTS, name: '', processes: processes.map(planFacts), orders: all })) {
    refuse(['task', 'constraints'], `Task has invalid plan: ${text}`)
  }
}

const PLAN_FACTS = { maxFailures: 1, maxConcurrency: 0, finalizationWaitMs: 0 }
function planFacts(process: Process): ProcessSpec {
  const { name, daemon = false, ephemeral = false, final = false } = process
  return { name, daemon, ephemeral, final, cmdline: '', maxFailures: 1, minDurationMs: 0, keepsOutput: true }
}

/** What is submitted for a job without faults. `owner`: the account that submits. */
export function toJobConfiguration(job: Job, owner: string): JobConfiguration {
  const key = { role: job.role, environment: job.environment, name: job.name }
  const contact = job.contact === undefined ? {} : { contactEmail: literal(job.contact) }
  const partition = job.partition_policy
  const { resources } = job.task
  const task: TaskConfig = {
    job: key,
    owner,
    isService: job.service,
    maxTaskFailures: job.max_task_failures,
    priority: job.priority,
    production: job.production,
    // Empty: the scheduler takes its default tier.
    tier: job.tier ?? '',
    ...contact,
    resources: {
      cpusMilli: Math.round(resources.cpu * 1000),
      ramMb: Math.floor(resources.ram / MB),
      diskMb: Math.floor(resources.disk / MB),
      gpus: resources.gpu,
    },
    ports: portsOf(job),
    constraints: Object.entries(job.constraints ?? {})
      .map(([name, rule]) => parseConstraint(name, literal(rule)))
      .filter(constraint => constraint !== null)
      .sort((a, b) => compareIds(a.name, b.name)),
    metadata: uniqueMetadata(job.metadata.map(({ key, value }) => ({ key: literal(key), value: literal(value) }))),
    ...(partition === undefined
      ? {}
      : { partitionPolicy: { reschedule: partition.reschedule, delaySecs: partition.delay_secs } }),
    executor: { name: job.executor_config.name, data: executorData(job) },
    ...slaPolicy(job),
    ...(job.task_links === undefined ? {} : { taskLinks: job.task_links }),
    ...softRules(job),
  }
  const cron =
    job.cron_schedule === undefined || job.cron_collision_policy === 'RUN_OVERLAP'
      ? {}
      : { cronSchedule: job.cron_schedule, cronCollisionPolicy: job.cron_collision_policy }
  return { key, owner, instanceCount: job.instances, task, ...cron }
}

function slaPolicy({ sla_policy: policy }: Job): Pick<TaskConfig, 'slaPolicy'> {
  if (policy === undefined) return {}
  if ('coordinator_url' in policy) {
    const { coordinator_url: coordinatorUrl, status_key: statusKey } = policy
    return { slaPolicy: { type: 'coordinator', coordinatorUrl, statusKey } }
  }
  const { duration_secs: durationSecs } = policy
  if ('count' in policy) return { slaPolicy: { type: 'count', count: policy.count, durationSecs } }
  return { slaPolicy: { type: 'percentage', percentage: policy.percentage, durationSecs } }
}

/** What is not asked for is absent, so that it does not make the configurations of other jobs look changed. */
function softRules(job: Job): Pick<TaskConfig, 'prefer' | 'spread' | 'everyHost' | 'gang'> {
  const spread = job.spread?.map(({ attribute, weight, targets }) => {
    return { attribute, weight, ...(targets === undefined ? {} : { targets }) }
  })
  return {
    ...(job.prefer === undefined || job.prefer.length === 0 ? {} : { prefer: job.prefer }),
    ...(spread === undefined || spread.length === 0 ? {} : { spread }),
    ...(job.every_host ? { everyHost: true as const } : {}),
    ...(job.gang === undefined ? {} : { gang: job.gang === true ? job.instances : job.gang }),
  }
}

/** The ports a job asks for: names in any of its texts, and the ends of its portmap. */
export function portsOf(job: Job): string[] {
  return requestedPorts(travelling(job), portmapOf(job)) ?? []
}

/**
 * The JSON of the whole job with exactly the keys of section 5, in their order; absent fields are left out. Another
 * executor than ours gets the text of `executor_config.data` instead.
 */
export function executorData(job: Job): string {
  if (job.executor_config.name !== 'AuroraExecutor') return job.executor_config.data
  return JSON.stringify(travelling(job))
}

/** `limit:N`, or values with `!` in front to exclude them; null when it is neither. */
export function parseConstraint(name: string, rule: string): Constraint | null {
  if (rule.startsWith('limit:')) {
    const count = rule.slice('limit:'.length).trim()
    return /^\d+$/.test(count) ? { name, rule: { type: 'limit', limit: Number(count) } } : null
  }
  const negated = rule.startsWith('!')
  const values = (negated ? rule.slice(1) : rule).split(',').map(value => value.trim())
  if (values.some(value => value === '')) return null
  return { name, rule: { type: 'value', negated, values: [...new Set(values)] } }
}

/** The orders of a task with its shorthands written out. Final processes are a plan of their own, so an order too. */
export function ordersOf(task: Task): { readonly order: readonly string[] }[] {
  if (task.sequential) {
    const plans = [false, true].map(final => task.processes.filter(entry => entry.final === final))
    return plans.filter(plan => plan.length > 1).map(plan => ({ order: plan.map(({ name }) => name) }))
  }
  return [...task.constraints, ...(task.order === undefined ? [] : [{ order: task.order }])]
}

function travelling(job: Job): Tree {
  const { task } = job
  const present = (fields: Record<string, unknown>): Tree => {
    return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Tree
  }
  return present({
    name: job.name,
    role: job.role,
    environment: job.environment,
    cluster: job.cluster,
    contact: job.contact,
    tier: job.tier,
    service: job.service,
    production: job.production,
    priority: job.priority,
    max_task_failures: job.max_task_failures,
    cron_schedule: job.cron_schedule,
    cron_collision_policy: job.cron_collision_policy,
    constraints: job.constraints,
    metadata: job.metadata,
    health_check_config: job.health_check_config,
    lifecycle: job.lifecycle,
    announce: job.announce,
    container: job.container,
    partition_policy: job.partition_policy,
    sla_policy: job.sla_policy,
    task_links: job.task_links,
    executor_config: job.executor_config,
    enable_hooks: job.enable_hooks,
    task: present({
      name: task.name,
      processes: task.processes.map((process: Process) => {
        const { bind: _, ...travels } = process
        return present(travels)
      }),
      constraints: ordersOf(task),
      resources: task.resources,
      max_failures: task.max_failures,
      max_concurrency: task.max_concurrency,
      finalization_wait: task.finalization_wait,
      user: task.user,
    }),
  })
}

function portmapOf(job: Loose<Job>): Portmap {
  const entries = Object.entries(job.announce?.portmap ?? {})
  return Object.fromEntries(entries.filter((entry): entry is [string, string] => entry[1] !== undefined))
}

function uniqueMetadata(metadata: Job['metadata']): Job['metadata'] {
  const sorted = [...metadata].sort((a, b) => compareIds(a.key, b.key) || compareIds(a.value, b.value))
  return sorted.filter((entry, index) => {
    const before = sorted[index - 1]
    return before === undefined || before.key !== entry.key || before.value !== entry.value
  })
}

/** Facts for the scheduler pass no agent, so their escapes end here. */
function literal(value: string): string {
  return interpolate(value, scopeOf({}), { unescape: true }).text
}
