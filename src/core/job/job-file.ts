import { compareIds } from '../base/ids.ts'
import type { FieldFault, Loose, Path, Place } from './field-schema.ts'
import { jobFaults } from './job-configuration.ts'
import { type JobPart, jobParts, profileOf } from './job-parts.ts'
import { type Job, jobSchema } from './job-schema.ts'
import { nearestName } from './nearest-name.ts'
import { isStruct, parseRef, refsIn, type Struct, scopeOf, type Tree, textsIn } from './template.ts'

/**
 * Reads what a job file holds, once its text has become plain values; `job-parts.ts` has its shapes. Variables come from
 * the command line, then the job, then its profile, then the file; role, environment, name and cluster may be left to
 * the command line too, and must agree with it when they are given.
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
  /** From a path inside the job to where it is written in the file. */
  placeOf(path: Path): Path
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
  const { parts, written, faults: shape } = jobParts(tree)
  const faults: FieldFault[] = [...shape]
  const jobs: ReadJob[] = []
  const isSingle = parts.length === 1
  for (const part of parts) {
    const read = readJob(part, { ...options, isSingle, isNameOpen: written === 1 })
    faults.push(...read.faults)
    if (read.job !== null) jobs.push(read.job)
  }
  const once = withoutEchoes(faults)
  return once.length > 0 ? { ok: false, faults: once } : { ok: true, jobs }
}

export interface ListedJob extends ReadJob {
  /** The parts of its key that are left to the command line; they are called what help calls them, such as ROLE. */
  readonly open: readonly (keyof FullKey)[]
}
const OPEN_KEY: FullKey = { cluster: 'CLUSTER', role: 'ROLE', environment: 'ENV', name: 'NAME' }

/** What the file describes, whatever key it is used with; or all faults of it. */
export function listJobs(
  tree: Tree,
  binds: readonly Struct[] = [],
):
  | { readonly ok: true; readonly jobs: readonly ListedJob[] }
  | { readonly ok: false; readonly faults: readonly FieldFault[] } {
  const { parts, written, faults: shape } = jobParts(tree)
  const isNameOpen = written === 1
  const reads = parts.map(part => readJob(part, { key: OPEN_KEY, binds, isSingle: false, isNameOpen }))
  const twice = reads.filter((read, index) => reads.findIndex(other => sameKey(other.key, read.key)) < index)
  const doubled = twice.map(({ key }) => ({ path: ['jobs'], text: `Several jobs of the file are ${fullKeyText(key)}` }))
  const faults = withoutEchoes([...shape, ...reads.flatMap(read => read.faults)])
  if (faults.length > 0) return { ok: false, faults }
  if (doubled.length > 0) return { ok: false, faults: withoutEchoes(doubled) }
  const jobs = reads.flatMap(({ job }) => (job === null ? [] : [job]))
  const places = ['cluster', 'role', 'environment', ...(isNameOpen ? (['name'] as const) : [])] as const
  return { ok: true, jobs: jobs.map(job => ({ ...job, open: places.filter(part => !job.given.has(part)) })) }
}

/**
 * The one job of the file that a key names. With several jobs in the file the others may be faulty without harm; a
 * single job must be the one the key names, and says where it is not. When none is, the fault says which keys the file
 * has.
 */
export function readJobOf(
  tree: Tree,
  key: FullKey,
  binds: readonly Struct[] = [],
): { readonly ok: true; readonly job: ReadJob } | { readonly ok: false; readonly faults: readonly FieldFault[] } {
  const { parts, written, faults: shape } = jobParts(tree)
  const isSingle = parts.length === 1
  const reads = parts.map(part => readJob(part, { key, binds, isSingle, isNameOpen: written === 1 }))
  const wanted = isSingle ? reads : reads.filter(read => sameKey(read.key, key))
  const faults = [...shape, ...wanted.flatMap(read => read.faults)]
  if (wanted.length === 0 && faults.length === 0) {
    // A job whose faults hide its key may be the one that was meant.
    const hidden = reads.filter(read => Object.values(read.key).includes('')).flatMap(read => read.faults)
    faults.push({ path: Array.isArray(tree) ? [] : ['jobs'], text: notFound(key, reads) }, ...withoutEchoes(hidden))
  }
  if (wanted.length > 1) {
    faults.push({ path: ['jobs'], text: `${wanted.length} jobs of the file are ${fullKeyText(key)}` })
  }
  const job = wanted[0]?.job
  return faults.length > 0 || job === null || job === undefined ? { ok: false, faults } : { ok: true, job }
}

function notFound(key: FullKey, reads: readonly { readonly key: FullKey }[]): string {
  const known = reads.filter(read => !Object.values(read.key).includes('')).map(read => fullKeyText(read.key))
  const candidates = [...new Set(known)].sort(compareIds)
  const nearest = reads.find(read => isOneSlipAway(key, read.key))
  const meant = nearest === undefined ? '' : `; did you mean ${fullKeyText(nearest.key)}?`
  return `Could not find job ${fullKeyText(key)}. Candidates are: ${candidates.join(', ') || 'none'}${meant}`
}

/** `name=value` of the command line as a variable; `profile.name=value` reaches into a struct. Null when it is none. */
export function parseBind(argument: string): Struct | null {
  const at = argument.indexOf('=')
  const ref = at < 1 ? null : parseRef(argument.slice(0, at))
  if (ref === null) return null
  return ref.steps.reduceRight<Tree>((inner, step) => ({ [step.value]: inner }), argument.slice(at + 1)) as Struct
}
/** All binds of the command line as one struct, the latest over the others. */
export const bindsTogether = (binds: readonly Struct[]): Struct => binds.reduce<Struct>(merge, {})

export const BIND_FAULT = 'Binding parameter must be formatted name=value'

/**
 * The binds of the command line that nothing in the file refers to, as `name` or `profile.name`: most likely mistyped.
 * None where refs are put together from others, as nobody can say then what is referred to.
 */
export function unusedBinds(tree: Tree, binds: readonly Struct[]): readonly string[] {
  const texts = textsIn(tree)
  if (texts.some(text => /\{\{[^{}]*\{\{/.test(text))) return []
  const used = new Set(texts.flatMap(refsIn).flatMap(ref => parseRef(ref)?.steps.map(({ value }) => value) ?? []))
  const paths = binds.flatMap(bind => pathsIn(bind))
  return paths.filter(path => path.some(step => !used.has(step))).map(path => path.join('.'))
}

function pathsIn(tree: Tree): readonly (readonly string[])[] {
  if (!isStruct(tree)) return [[]]
  return Object.entries(tree).flatMap(([name, inner]) => pathsIn(inner).map(path => [name, ...path]))
}

export const fullKeyText = (key: FullKey): string => `${key.cluster}/${key.role}/${key.environment}/${key.name}`

/** All parts but one are the same, and that one is near. */
function isOneSlipAway(key: FullKey, other: FullKey): boolean {
  const wrong = (['cluster', 'role', 'environment', 'name'] as const).filter(part => key[part] !== other[part])
  const [part] = wrong
  return wrong.length === 1 && part !== undefined && nearestName(key[part], [other[part]]) !== undefined
}

interface ReadOptions {
  readonly key?: FullKey
  readonly cluster?: string
  readonly binds?: readonly Struct[]
  /** The file describes one job in one environment: then it must be the one that the key names. */
  readonly isSingle: boolean
  readonly isNameOpen: boolean
}

function readJob(
  part: JobPart,
  { key, cluster: asked, binds = [], isSingle, isNameOpen }: ReadOptions,
): { readonly key: FullKey; readonly job: ReadJob | null; readonly faults: readonly FieldFault[] } {
  const { raw } = part
  if (!isStruct(raw)) {
    return { key: NO_KEY, job: null, faults: [{ path: part.placeOf([]), text: 'A job is a map of its fields' }] }
  }
  if (part.faults.length > 0) {
    const { cluster, role, environment, name } = { cluster: asked, ...key, ...raw }
    const texts = [cluster, role, environment, name].map(value => (typeof value === 'string' ? value : ''))
    const [where = '', who = '', stage = '', what = ''] = texts
    const stated = { cluster: where, role: who, environment: raw.environment === undefined ? '' : stage, name: what }
    return { key: stated, job: null, faults: part.faults }
  }
  const given = new Set(Object.keys(raw).filter(name => raw[name] !== null))
  // One job alone may leave its name to the command line; among several it is the name that tells them apart.
  const { name, ...place } = key ?? { name: undefined, ...(asked === undefined ? {} : { cluster: asked }) }
  const open: Struct = { ...place, ...(isNameOpen && name !== undefined ? { name } : {}) }
  const withKey = { ...open, ...Object.fromEntries(Object.entries(raw).filter(([, value]) => value !== null)) }
  // Names that Aurora's client binds in every job, under the job's own fields so that a file can still shadow them.
  const { role, cluster } = withKey as Struct
  const aliases = { mesos: { role, cluster }, thermos: { user: role } }
  const { profile: _, ...fields } = withCliBinds(jobSchema.fill(withKey), binds) as Struct
  const faults: FieldFault[] = []
  const inside: FieldFault[] = []
  const doubts: FieldFault[] = []
  const file = scopeOf({}, null, [part.fileBind, aliases])
  const profile = profileOf(part, { ...fields, profile: withKey.profile }, file, faults)
  const at: Place = { path: [], scope: scopeOf({}, null, [profile, ...file.binds]), faults: inside, doubts }
  const read = (jobSchema.read(fields, at) ?? {}) as Loose<Job>
  inside.push(...jobFaults(read))
  const found: FullKey = {
    cluster: read.cluster ?? '',
    role: read.role ?? '',
    environment: read.environment ?? '',
    name: read.name ?? '',
  }
  const said: Partial<FullKey> = key !== undefined && isSingle ? key : asked === undefined ? {} : { cluster: asked }
  for (const name_ of ['cluster', 'role', 'environment', 'name'] as const) {
    if (said[name_] === undefined || read[name_] === undefined || found[name_] === said[name_]) continue
    inside.push({ path: [name_], text: `The file says ${name_} '${found[name_]}', the command says '${said[name_]}'` })
  }
  if (faults.length + inside.length === 0) inside.push(...doubts)
  // Without its profile every {{profile.x}} is unbound: that has been said once.
  const told = faults.length === 0 ? inside : inside.filter(({ text }) => !text.includes('{{profile.'))
  faults.push(...told.map(fault => ({ ...fault, path: part.placeOf(fault.path) })))
  const job = faults.length > 0 ? null : { key: found, job: read as Job, given, placeOf: part.placeOf }
  return { key: found, job, faults }
}

/** What a job says for all of its environments is read once for each, and told once. */
function withoutEchoes(faults: readonly FieldFault[]): readonly FieldFault[] {
  const seen = new Set<string>()
  return faults.filter(({ path, text }) => {
    const fault = JSON.stringify([path, text])
    if (seen.has(fault)) return false
    seen.add(fault)
    return true
  })
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
