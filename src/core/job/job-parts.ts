import { type FieldFault, type Path, unboundText, unknownName } from './field-schema.ts'
import { nearestName } from './nearest-name.ts'
import { interpolate, isStruct, type Scope, type Struct, scopeOf, type Tree } from './template.ts'

/**
 * A job file taken apart into the jobs it describes, before any of them is read: a file is one job, a list of jobs, or
 * `jobs:` with `bind:` and `profiles:` for all of them; and a job with `environments:` stands for one job in each.
 *
 * What an environment says lies over what the job says: maps are merged key by key, everything else is replaced, and an
 * empty value takes the field away. Faults are told by path; a path of the resulting job leads back to where it was
 * written.
 */
export interface JobPart {
  /** The fields of the job in this environment. No struct: a fault that reading tells. */
  readonly raw: Tree
  /** The `bind:` of the file; the job's own is among its fields. */
  readonly fileBind: Struct
  readonly profiles: Struct
  /** Why it cannot be read at all, by paths of the file: its environments have no shape. */
  readonly faults: readonly FieldFault[]
  /** From a path inside the job to the path in the file. */
  placeOf(path: Path): Path
}

export interface JobParts {
  readonly parts: readonly JobPart[]
  /** How many jobs are written: one alone may leave its name to the command line. */
  readonly written: number
  readonly faults: readonly FieldFault[]
}

const FILE_FIELDS = ['jobs', 'bind', 'profiles'] as const
const SHAPES = 'A job file holds one job (a map of its fields), a list of jobs, or several under jobs:'

export function jobParts(tree: Tree): JobParts {
  if (Array.isArray(tree)) return partsOf(tree, [], {})
  if (!isStruct(tree)) return { parts: [], written: 1, faults: [{ path: [], text: SHAPES }] }
  if (Object.hasOwn(tree, 'jobs')) {
    const strange = Object.keys(tree).filter(name => !FILE_FIELDS.some(known => known === name))
    const faults = strange.map(name => ({ path: [name], text: unknownName(name, FILE_FIELDS) }))
    const found = partsOf(tree.jobs, ['jobs'], tree)
    return { ...found, faults: [...faults, ...found.faults] }
  }
  const { profiles, ...job } = tree
  const faults: FieldFault[] = []
  const parts = inEnvironments(job, [], { bind: {}, profiles: profilesOf(profiles, faults) })
  return { parts, written: 1, faults }
}

/**
 * The profile that a job names with `profile:`, as what `{{profile.x}}` is looked up in; the name may hold refs itself.
 * Empty when the job names none.
 */
export function profileOf(part: JobPart, job: Struct, scope: Scope, faults: FieldFault[]): Struct {
  const { profile } = job
  if (profile === undefined || profile === null) return {}
  const refuse = (text: string): Struct => {
    faults.push({ path: part.placeOf(['profile']), text })
    return {}
  }
  if (typeof profile !== 'string') return refuse('profile is the name of one of the profiles of the file')
  const around = scopeOf({ ...job, profile: null }, scope)
  const { text: name, unbound, faults: broken } = interpolate(profile, around)
  if (broken.length > 0) return refuse(broken.join('; '))
  if (unbound.length > 0) return refuse(unbound.map(ref => unboundText(ref, around)).join('; '))
  const known = Object.keys(part.profiles)
  if (Object.hasOwn(part.profiles, name)) return { profile: part.profiles[name] ?? {} }
  if (known.length === 0) return refuse(`There is no profile '${name}': the file has no profiles: of its own`)
  const nearest = nearestName(name, known)
  const meant = nearest === undefined ? '.' : `; did you mean ${nearest}?`
  return refuse(`There is no profile '${name}'${meant} The file has ${known.join(', ')}`)
}

/** Values of an environment over those of the job. */
export function overlay(under: Tree, over: Tree): Tree {
  if (!isStruct(under) || !isStruct(over)) return over
  const merged: Record<string, Tree> = { ...under }
  for (const [name, value] of Object.entries(over)) {
    if (value === null || value === undefined) delete merged[name]
    else merged[name] = overlay(isStruct(value) && !isStruct(merged[name]) ? {} : merged[name], value)
  }
  return merged
}

interface FileWide {
  readonly bind: Struct
  readonly profiles: Struct
}

function partsOf(list: Tree, path: Path, file: Struct): JobParts {
  const faults: FieldFault[] = []
  const wide = { bind: bindOf(file.bind, faults), profiles: profilesOf(file.profiles, faults) }
  if (!Array.isArray(list) || list.length === 0) {
    faults.push({ path, text: path.length === 0 ? SHAPES : 'jobs is a list of at least one job' })
    return { parts: [], written: 0, faults }
  }
  const parts = list.flatMap((job: Tree, index) => inEnvironments(job, [...path, index], wide))
  return { parts, written: list.length, faults }
}

function inEnvironments(job: Tree, base: Path, wide: FileWide): readonly JobPart[] {
  const placeOf = (path: Path): Path => [...base, ...path]
  const whole = { fileBind: wide.bind, profiles: wide.profiles, faults: [], placeOf }
  if (!isStruct(job) || job.environments === undefined) return [{ ...whole, raw: job }]
  const { environments, ...common } = job
  const broken = (raw: Struct, path: Path, text: string): readonly JobPart[] => {
    return [{ ...whole, raw, faults: [{ path: placeOf(path), text }] }]
  }
  if (common.environment !== undefined && common.environment !== null) {
    const text = 'A job has either environment or environments, not both: remove one of them'
    return broken(common, ['environments'], text)
  }
  const named = environmentsOf(environments)
  if (named === null || named.length === 0) {
    const shape = 'a map from the name of each to what is different there, or a list of names'
    return broken(common, ['environments'], `environments is ${shape}`)
  }
  return named.flatMap(({ name, over, path }) => {
    const here = { ...common, environment: name }
    if (over !== null && !isStruct(over)) {
      return broken(here, path, `What is different in ${name} is a map of fields of the job, or nothing`)
    }
    const nested = ['environment', 'environments'].find(field => over !== null && Object.hasOwn(over, field))
    if (nested !== undefined) {
      return broken(here, [...path, nested], `The environment is ${name} here: remove ${nested}`)
    }
    const raw = { ...(overlay(common, over ?? {}) as Struct), environment: name }
    return [{ ...whole, raw, placeOf: inside => placeOf(isWrittenHere(over, inside) ? placeIn(path, inside) : inside) }]
  })
}

const isWrittenHere = (over: Tree, inside: Path): boolean =>
  inside[0] === 'environment' || (inside.length > 0 && isWritten(over, inside))
/** The environment itself is the key that the rest stands under. */
const placeIn = (path: Path, inside: Path): Path => (inside[0] === 'environment' ? path : [...path, ...inside])

function environmentsOf(tree: Tree): readonly { name: string; over: Tree; path: Path }[] | null {
  if (isStruct(tree)) {
    return Object.entries(tree).map(([name, over]) => ({ name, over: over ?? null, path: ['environments', name] }))
  }
  if (!Array.isArray(tree) || !tree.every((name: Tree) => typeof name === 'string')) return null
  return tree.map((name: string, index) => ({ name, over: null, path: ['environments', index] }))
}

/** Whether a value, or what is around it, comes from the environment: what a list says there it says whole. */
function isWritten(over: Tree, path: Path): boolean {
  let value = over
  for (const step of path) {
    if (!isStruct(value)) return value !== undefined && value !== null
    value = value[String(step)]
    if (value === undefined) return false
  }
  return true
}

function bindOf(bind: Tree, faults: FieldFault[]): Struct {
  if (bind === undefined || bind === null) return {}
  if (isStruct(bind)) return bind
  faults.push({ path: ['bind'], text: 'bind is a map from the name of each variable to its value' })
  return {}
}

function profilesOf(profiles: Tree, faults: FieldFault[]): Struct {
  if (profiles === undefined || profiles === null) return {}
  if (!isStruct(profiles)) {
    faults.push({ path: ['profiles'], text: 'profiles is a map from the name of each to its values' })
    return {}
  }
  for (const [name, profile] of Object.entries(profiles)) {
    if (isStruct(profile) || profile === null) continue
    faults.push({ path: ['profiles', name], text: `Profile ${name} is a map of values, used as {{profile.NAME}}` })
  }
  return profiles
}
