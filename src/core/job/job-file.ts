import { compareIds } from '../base/ids.ts'
import { type FieldFault, type Loose, type Path, type Place, unknownName } from './field-schema.ts'
import { jobFaults } from './job-configuration.ts'
import { type Job, jobSchema } from './job-schema.ts'
import { isStruct, parseRef, type Struct, scopeOf, type Tree } from './template.ts'

/**
 * Reads what a job file holds, once its text has become plain values: one job, or `jobs:` with many and `bind:` with
 * variables for all of them. Variables come from the command line, then the job, then the file; role, environment,
 * name and cluster may be left to the command line too, and must agree with it when they are given.
 *
 * Every fault is listed, with the path of its place; whoever has the text adds the lines.
 */

/** `cluster/role/env/name` as on the command line. */
export interface FullKey {
  readonly cluster: string
  readonly role: string
  readonly environment: string
  readonly name: string
}

export interface ReadJob {
  readonly key: FullKey
  readonly job: Job
  /** The fields that the file itself sets; the others are defaults. */
  readonly given: ReadonlySet<string>
  readonly path: Path
}

export type JobFile =
  | { readonly ok: true; readonly jobs: readonly ReadJob[] }
  | { readonly ok: false; readonly faults: readonly FieldFault[] }

/**
 * All jobs of the file, or all faults of all of them. `key` fills what a job leaves open; `cluster` does where nothing but
 * the cluster is known, and every job must agree with it.
 */
export function readJobFile(
  tree: Tree,
  options: { key?: FullKey; cluster?: string; binds?: readonly Struct[] } = {},
): JobFile {
  const parts = splitFile(tree)
  const faults: FieldFault[] = [...parts.faults]
  const jobs: ReadJob[] = []
  for (const part of parts.jobs) {
    const read = readJob(part, parts.bind, { ...options, single: parts.single })
    faults.push(...read.faults)
    if (read.job !== null) jobs.push(read.job)
  }
  return faults.length > 0 ? { ok: false, faults } : { ok: true, jobs }
}

/**
 * The one job of the file that a key names. With several jobs in the file the others may be faulty without harm; a
 * single job must be the one the key names, and says where it is not.
 */
export function readJobOf(
  tree: Tree,
  key: FullKey,
  binds: readonly Struct[] = [],
): { readonly ok: true; readonly job: ReadJob } | { readonly ok: false; readonly faults: readonly FieldFault[] } {
  const parts = splitFile(tree)
  const reads = parts.jobs.map(part => readJob(part, parts.bind, { key, binds, single: parts.single }))
  const wanted = parts.single ? reads : reads.filter(read => sameKey(read.key, key))
  const faults = [...parts.faults, ...wanted.flatMap(read => read.faults)]
  if (wanted.length === 0 && faults.length === 0) {
    const candidates = [...new Set(reads.map(read => fullKeyText(read.key)))].sort(compareIds)
    const text = `Could not find job ${fullKeyText(key)}. Candidates are: ${candidates.join(', ') || 'none'}`
    return { ok: false, faults: [{ path: ['jobs'], text }] }
  }
  if (wanted.length > 1) {
    faults.push({ path: ['jobs'], text: `${wanted.length} jobs of the file are ${fullKeyText(key)}` })
  }
  const job = wanted[0]?.job
  return faults.length > 0 || job === null || job === undefined ? { ok: false, faults } : { ok: true, job }
}

/** `name=value` of the command line as a variable; `profile.name=value` reaches into a struct. Null when it is none. */
export function parseBind(argument: string): Struct | null {
  const at = argument.indexOf('=')
  const ref = at < 1 ? null : parseRef(argument.slice(0, at))
  if (ref === null) return null
  return ref.steps.reduceRight<Tree>((inner, step) => ({ [step.value]: inner }), argument.slice(at + 1)) as Struct
}
export const BIND_FAULT = 'Binding parameter must be formatted name=value'

export const fullKeyText = (key: FullKey): string => `${key.cluster}/${key.role}/${key.environment}/${key.name}`

interface Part {
  readonly raw: Tree
  readonly path: Path
}
interface Parts {
  readonly jobs: readonly Part[]
  readonly bind: Struct
  readonly single: boolean
  readonly faults: readonly FieldFault[]
}

function splitFile(tree: Tree): Parts {
  if (!isStruct(tree)) {
    const text = 'A job file holds one job (a map of its fields) or several under jobs:'
    return { jobs: [], bind: {}, single: true, faults: [{ path: [], text }] }
  }
  if (!Object.hasOwn(tree, 'jobs')) return { jobs: [{ raw: tree, path: [] }], bind: {}, single: true, faults: [] }
  const known = ['jobs', 'bind']
  const strange = Object.keys(tree).filter(name => !known.includes(name))
  const faults: FieldFault[] = strange.map(name => ({ path: [name], text: unknownName(name, known) }))
  const list = tree.jobs
  if (!Array.isArray(list) || list.length === 0)
    faults.push({ path: ['jobs'], text: 'jobs is a list of at least one job' })
  const jobs = Array.isArray(list) ? list.map((raw: Tree, index) => ({ raw, path: ['jobs', index] })) : []
  return { jobs, bind: isStruct(tree.bind) ? tree.bind : {}, single: jobs.length === 1, faults }
}

function readJob(
  part: Part,
  fileBind: Struct,
  options: { key?: FullKey; cluster?: string; binds?: readonly Struct[]; single: boolean },
): { readonly key: FullKey; readonly job: ReadJob | null; readonly faults: readonly FieldFault[] } {
  const faults: FieldFault[] = []
  if (!isStruct(part.raw)) {
    return { key: NO_KEY, job: null, faults: [{ path: part.path, text: 'A job is a map of its fields' }] }
  }
  const given = new Set(Object.keys(part.raw).filter(name => (part.raw as Struct)[name] !== null))
  const { key, cluster: asked } = options
  // One job alone may leave its name to the command line; among several it is the name that tells them apart.
  const { name, ...place } = key ?? { name: undefined, ...(asked === undefined ? {} : { cluster: asked }) }
  const open: Struct = { ...place, ...(options.single && name !== undefined ? { name } : {}) }
  const withKey = { ...open, ...Object.fromEntries(Object.entries(part.raw).filter(([, value]) => value !== null)) }
  // Names that Aurora's client binds in every job, under the job's own fields so that a file can still shadow them.
  const { role, cluster } = withKey as Struct
  const aliases = { mesos: { role, cluster }, thermos: { user: role } }
  const file = scopeOf({}, null, [fileBind, aliases])
  const doubts: FieldFault[] = []
  const at: Place = { path: part.path, scope: file, faults, doubts }
  const read = (jobSchema.read(withCliBinds(jobSchema.fill(withKey), options.binds ?? []), at) ?? {}) as Loose<Job>
  faults.push(...jobFaults(read, part.path))
  if (faults.length === 0) faults.push(...doubts)
  const found: FullKey = {
    cluster: read.cluster ?? '',
    role: read.role ?? '',
    environment: read.environment ?? '',
    name: read.name ?? '',
  }
  const said: Partial<FullKey> =
    key !== undefined && options.single ? key : asked === undefined ? {} : { cluster: asked }
  for (const name_ of ['cluster', 'role', 'environment', 'name'] as const) {
    if (said[name_] === undefined || read[name_] === undefined || found[name_] === said[name_]) continue
    const text = `The file says ${name_} '${found[name_]}', the command says '${said[name_]}'`
    faults.push({ path: [...part.path, name_], text })
  }
  const job = faults.length > 0 ? null : { key: found, job: read as Job, given, path: part.path }
  return { key: found, job, faults }
}

/** The latest bind is found first: what the command line binds lies over the job's own `bind`. */
function withCliBinds(raw: Tree, binds: readonly Struct[]): Tree {
  if (!isStruct(raw) || binds.length === 0) return raw
  const own = isStruct(raw.bind) ? raw.bind : {}
  return { ...raw, bind: binds.reduce<Struct>(merge, own) }
}

function merge(under: Struct, over: Struct): Struct {
  const merged: Record<string, Tree> = { ...under }
  for (const [name, value] of Object.entries(over)) {
    const below = merged[name]
    merged[name] = isStruct(value) && isStruct(below) ? merge(below, value) : value
  }
  return merged
}

const NO_KEY: FullKey = { cluster: '', role: '', environment: '', name: '' }

function sameKey(a: FullKey, b: FullKey): boolean {
  return fullKeyText(a) === fullKeyText(b)
}
