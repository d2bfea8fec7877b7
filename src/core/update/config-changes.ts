/**
 * What is different between two configurations of a job, in the words of job files: a path, and the value before and
 * after. Most of it stands in the JSON that travels to the agent, which is the job file with everything filled in;
 * what only the scheduler knows (owner, tier, ports, soft rules) is told beside it, and nothing is told twice.
 *
 * Shape: in the order of the fields, those that go last; entries of a list that have names are compared by name, whatever their
 * place, as `task.processes[server].cmdline`.
 */

import type { TaskConfig } from '../job/task-config.ts'
import { isStruct, type Struct, type Tree } from '../job/template.ts'

export interface FieldChange {
  readonly path: string
  /** Undefined: there was none, or there will be none. */
  readonly before: Tree
  readonly after: Tree
}

/** Facts of the scheduler, and where the same stands in a job file. */
const FACTS: Readonly<Record<Exclude<keyof TaskConfig, 'executor'>, string>> = {
  job: 'job',
  owner: 'owner',
  isService: 'service',
  maxTaskFailures: 'max_task_failures',
  priority: 'priority',
  production: 'production',
  tier: 'tier',
  contactEmail: 'contact',
  resources: 'task.resources',
  ports: 'ports',
  constraints: 'constraints',
  metadata: 'metadata',
  partitionPolicy: 'partition_policy',
  slaPolicy: 'sla_policy',
  taskLinks: 'task_links',
  prefer: 'prefer',
  spread: 'spread',
  everyHost: 'every_host',
  gang: 'gang',
}

export function configChanges(before: TaskConfig, after: TaskConfig): readonly FieldChange[] {
  const jobs = [jobOf(before), jobOf(after)] as const
  const written = jobs[0] === null || jobs[1] === null ? executors(before, after) : changesOf(...jobs, '')
  const isTold = (name: string): boolean => written.some(({ path }) => isAtOrIn(path, name))
  const facts = Object.entries(FACTS).flatMap(([field, name]) => {
    // The key is told as the fields of the job that make it up.
    if (isTold(name) || (field === 'job' && ['role', 'environment', 'name'].some(isTold))) return []
    const values = [before, after].map(config => config[field as keyof TaskConfig] as Tree)
    return changesOf(values[0], values[1], name)
  })
  return [...facts, ...written]
}

/** The job that the agent reads; null when another executor has it, in a form of its own. */
function jobOf({ executor }: TaskConfig): Struct | null {
  if (executor.name !== 'AuroraExecutor') return null
  try {
    const read = JSON.parse(executor.data) as Tree
    return isStruct(read) ? read : null
  } catch {
    return null
  }
}

function executors(before: TaskConfig, after: TaskConfig): FieldChange[] {
  const [from, to] = [before, after].map(({ executor: { name, data } }) => ({ name, data }))
  return changesOf(from, to, 'executor_config')
}

function changesOf(before: Tree, after: Tree, path: string): FieldChange[] {
  if (isStruct(before) && isStruct(after)) {
    const names = [...new Set([...Object.keys(after), ...Object.keys(before)])]
    return names.flatMap(name => changesOf(before[name], after[name], path === '' ? name : `${path}.${name}`))
  }
  const [from, to] = [named(before), named(after)]
  if (from !== null && to !== null) return namedChanges(from, to, path)
  return same(before, after) ? [] : [{ path, before, after }]
}

function namedChanges(
  before: ReadonlyMap<string, Tree>,
  after: ReadonlyMap<string, Tree>,
  path: string,
): FieldChange[] {
  const names = [...new Set([...before.keys(), ...after.keys()])]
  const changes = names.flatMap(name => changesOf(before.get(name), after.get(name), `${path}[${name}]`))
  const stay = (names: Iterable<string>, others: ReadonlyMap<string, Tree>): string[] =>
    [...names].filter(name => others.has(name))
  const [from, to] = [stay(before.keys(), after), stay(after.keys(), before)]
  return same(from, to) ? changes : [...changes, { path, before: from, after: to }]
}

/** A list whose entries have names, none twice. */
function named(value: Tree): ReadonlyMap<string, Tree> | null {
  if (!Array.isArray(value) || value.length === 0) return null
  const entries = value.map((entry: Tree) => [isStruct(entry) ? entry.name : undefined, entry] as const)
  const names = new Map(entries.flatMap(([name, entry]) => (typeof name === 'string' ? [[name, entry] as const] : [])))
  return names.size === value.length ? names : null
}

function same(a: Tree, b: Tree): boolean {
  if (isStruct(a) && isStruct(b)) {
    const names = new Set([...Object.keys(a), ...Object.keys(b)])
    return [...names].every(name => same(a[name], b[name]))
  }
  if (Array.isArray(a) && Array.isArray(b)) {
    return a.length === b.length && a.every((entry: Tree, index) => same(entry, (b as readonly Tree[])[index]))
  }
  return a === b
}

const isAtOrIn = (path: string, name: string): boolean =>
  path === name || path.startsWith(`${name}.`) || path.startsWith(`${name}[`)
