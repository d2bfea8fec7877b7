import { compareIds } from '../base/ids.ts'
import { nearestName } from './nearest-name.ts'

/**
 * The template language of job files: `{{ref}}` stands for a value that is found by its name. One engine serves both
 * ends: the client fills in everything it knows before a job is submitted, the agent fills in what only a launch knows
 * (instance, host, task id, ports). A ref that nobody binds is reported by name and left in the text.
 *
 * Promises: filling in always ends (self-reference is a fault, not a hang), the text stays bounded, and `{{&x}}` comes
 * out as a literal `{{x}}` after both ends, because each end keeps it and only the last one unescapes.
 * Source: jobs and executor, section 3; Pystachio's parser.
 */

/** Anything a ref can lead to: the values of a job file. */
export type Tree = string | number | boolean | null | undefined | readonly Tree[] | { readonly [name: string]: Tree }
export type Struct = { readonly [name: string]: Tree }

/** What a ref is looked up in: the struct's own fields, then what is bound on it, then the same of the struct around. */
export interface Scope {
  readonly fields: Struct
  /** The latest bind first. A bind never sets a field: it is only found when no field of that name is. */
  readonly binds: readonly Struct[]
  readonly parent: Scope | null
}

export interface Interpolation {
  readonly text: string
  /** Refs without a value, as written between the braces; sorted, none twice. */
  readonly unbound: readonly string[]
  /** Refs that cannot be read, and texts that refer to themselves. */
  readonly faults: readonly string[]
}

export interface Ref {
  readonly text: string
  readonly steps: readonly { readonly type: 'name' | 'index'; readonly value: string }[]
}

export const PASSES_MAX = 100
/** A chain of values that double each other must not fill the memory. */
export const TEXT_CHARACTERS_MAX = 1_048_576
const REPLACEMENTS_MAX = 10_000

/** Braces without braces inside, so that the inner ref of `{{a{{b}}}}` is filled in first. */
const MUSTACHE = /\{\{(&?)([^{}]+?)\}\}/g
const STEP = /^(?:\.?([A-Za-z_]\w*)|\[([\w\-./]+)\])/

/** `null` when the text is no ref: identifier, then `.identifier` or `[index]`, without blanks. */
export function parseRef(text: string): Ref | null {
  const steps: { type: 'name' | 'index'; value: string }[] = []
  let rest = text
  while (rest !== '') {
    const found = STEP.exec(rest)
    if (found === null) return null
    const first = steps.length === 0
    if (found[1] !== undefined) {
      if (first === rest.startsWith('.')) return null
      steps.push({ type: 'name', value: found[1] })
    } else {
      if (first) return null
      steps.push({ type: 'index', value: found[2] as string })
    }
    rest = rest.slice(found[0].length)
  }
  return steps.length === 0 ? null : { text, steps }
}

/** A struct's scope. Its own `bind` field, where there is one, holds what is bound on it. */
export function scopeOf(fields: Struct, parent: Scope | null = null, binds: readonly Struct[] = []): Scope {
  const own = isStruct(fields.bind) ? [fields.bind] : []
  return { fields, binds: [...binds, ...own], parent }
}

/** What the agent knows when it launches a task, and nobody before. `ports`: every resolved name, aliases included. */
export function launchScope(launch: {
  readonly instance: number
  readonly hostname: string
  readonly taskId: string
  readonly ports: Readonly<Record<string, number>>
}): Scope {
  return scopeOf({
    mesos: { instance: launch.instance, hostname: launch.hostname },
    thermos: { task_id: launch.taskId, ports: launch.ports },
  })
}

/** True for the four names that only a launch binds: they may remain in what a client submits. */
export function isLaunchRef(text: string): boolean {
  return /^(mesos\.(instance|hostname)|thermos\.(task_id|ports\[[\w\-./]+\]))$/.test(text)
}

/**
 * Fills in every ref of one text. `unescape` turns `{{&x}}` into `{{x}}` at the very end: the agent does, a client must
 * not, or the escape would be read as a ref at the launch.
 */
export function interpolate(text: string, scope: Scope, options: { readonly unescape?: boolean } = {}): Interpolation {
  const faults = new Set<string>()
  const filled = fill(text, scope, { faults, left: REPLACEMENTS_MAX, depth: 0 })
  // A text that could not be filled in to its end still holds refs that are bound.
  const unbound = faults.size > 0 ? [] : refsIn(filled).filter(ref => parseRef(ref) !== null)
  for (const ref of refsIn(filled)) if (parseRef(ref) === null) faults.add(unreadable(ref))
  return {
    text: options.unescape === true ? unescapeText(filled) : filled,
    unbound: [...new Set(unbound)].sort(compareIds),
    faults: [...faults],
  }
}

/** The same for every text inside a value, keys left as they are. */
export function interpolateTree<T extends Tree>(
  tree: T,
  scope: Scope,
  options: { readonly unescape?: boolean } = {},
): { readonly tree: T; readonly unbound: readonly string[]; readonly faults: readonly string[] } {
  const unbound = new Set<string>()
  const faults = new Set<string>()
  const walk = (value: Tree): Tree => {
    if (typeof value === 'string') {
      const done = interpolate(value, scope, options)
      for (const ref of done.unbound) unbound.add(ref)
      for (const fault of done.faults) faults.add(fault)
      return done.text
    }
    if (Array.isArray(value)) return value.map(walk)
    if (isStruct(value)) return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, walk(inner)]))
    return value
  }
  const done = walk(tree) as T
  return { tree: done, unbound: [...unbound].sort(compareIds), faults: [...faults] }
}

/** The refs of one text in their order, as written between the braces. Escaped ones are none. */
export function refsIn(text: string): string[] {
  return [...text.matchAll(MUSTACHE)].filter(found => found[1] === '').map(found => found[2] as string)
}

/** Every text inside a value. */
export function textsIn(tree: Tree): string[] {
  if (typeof tree === 'string') return [tree]
  if (Array.isArray(tree)) return tree.flatMap(textsIn)
  return isStruct(tree) ? Object.values(tree).flatMap(textsIn) : []
}

export function isStruct(value: Tree): value is Struct {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** What a ref that nobody binds was most likely meant to be: the same with its last name corrected. */
export function nearestRef(text: string, from: Scope): string | undefined {
  const steps = parseRef(text)?.steps ?? []
  const last = steps.at(-1)
  if (last === undefined) return undefined
  const known = new Set<string>()
  for (let scope: Scope | null = from; scope !== null; scope = scope.parent) {
    for (const around of [scope.fields, ...scope.binds]) {
      const inside = steps
        .slice(0, -1)
        .reduce<Tree>((value, step) => (isStruct(value) ? value[step.value] : null), around)
      if (isStruct(inside)) for (const name of Object.keys(inside)) known.add(name)
    }
  }
  const nearest = nearestName(last.value, [...known])
  if (nearest === undefined || last.type === 'index') return undefined
  return text.slice(0, text.length - last.value.length) + nearest
}

/** Whether anything is bound under a name, of whatever kind. */
export function isBound(name: string, from: Scope): boolean {
  for (let scope: Scope | null = from; scope !== null; scope = scope.parent) {
    if ([scope.fields, ...scope.binds].some(around => Object.hasOwn(around, name))) return true
  }
  return false
}

interface Progress {
  readonly faults: Set<string>
  /** Replacements that are still allowed, over the whole text and everything it leads to. */
  left: number
  depth: number
}

function fill(text: string, scope: Scope, progress: Progress): string {
  let stream = text
  for (let pass = 0; pass < PASSES_MAX; pass++) {
    let replaced = false
    const next = stream.replace(MUSTACHE, (whole, escaped: string, inner: string) => {
      if (escaped !== '') return whole
      const ref = parseRef(inner)
      const value = ref === null ? undefined : find(ref, scope, progress)
      if (value === undefined) return whole
      if (progress.left <= 0) {
        complain(progress, tooMany(text))
        return whole
      }
      progress.left -= 1
      replaced = true
      return value
    })
    if (next.length > TEXT_CHARACTERS_MAX) {
      complain(progress, `Unable to interpolate ${shorten(text)}!  It grows beyond ${TEXT_CHARACTERS_MAX} characters.`)
      progress.left = 0
      return text
    }
    stream = next
    if (!replaced) return stream
  }
  progress.left = 0
  complain(progress, tooMany(text))
  return text
}

/** The text a ref stands for, or undefined when no scope has it. A struct or a list stands for no text. */
function find(ref: Ref, from: Scope, progress: Progress): string | undefined {
  const [head, ...rest] = ref.steps
  if (head !== undefined && rest.length > 0 && (head.value === 'self' || head.value === 'super')) {
    const scope = head.value === 'self' ? from : from.parent
    if (scope !== null) {
      const found = findIn(rest, scope, progress, ref.text)
      if (found !== undefined) return found
    }
  }
  for (let scope: Scope | null = from; scope !== null; scope = scope.parent) {
    const found = findIn(ref.steps, scope, progress, ref.text)
    if (found !== undefined) return found
  }
  return undefined
}

function findIn(steps: Ref['steps'], scope: Scope, progress: Progress, name: string): string | undefined {
  const own = descend(steps, scope.fields, scope)
  if (own !== undefined) return settle(own, progress, name)
  for (const bind of scope.binds) {
    const bound = descend(steps, bind, null)
    if (bound !== undefined) return settle(bound, progress, name)
  }
  return undefined
}

interface Found {
  readonly value: string | number | boolean
  /** Where the value lives: its own refs are looked up there first. Null for a plain bind, which has no place. */
  readonly home: Scope | null
}

function descend(steps: Ref['steps'], fields: Struct, scope: Scope | null): Found | undefined {
  let value: Tree = fields
  let home = scope
  for (const [index, step] of steps.entries()) {
    if (Array.isArray(value))
      value = step.type === 'index' ? (value as readonly Tree[])[toIndex(step.value)] : undefined
    else if (isStruct(value)) value = Object.hasOwn(value, step.value) ? value[step.value] : undefined
    else return undefined
    if (isStruct(value) && index < steps.length - 1) home = scopeOf(value, home)
  }
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
    ? { value, home }
    : undefined
}

/** A field's own refs are filled in where the field lives; what that leaves open, the asking text's scope may know. */
function settle(found: Found, progress: Progress, name: string): string {
  if (typeof found.value !== 'string') return String(found.value)
  if (found.home === null || !found.value.includes('{{')) return found.value
  if (progress.depth >= PASSES_MAX || progress.left <= 0) {
    progress.left = 0
    complain(progress, tooMany(`{{${name}}}`))
    return found.value
  }
  progress.depth += 1
  progress.left -= 1
  const text = fill(found.value, found.home, progress)
  progress.depth -= 1
  return text
}

function unescapeText(text: string): string {
  return text.replace(MUSTACHE, (whole, escaped: string, inner: string) => (escaped === '' ? whole : `{{${inner}}}`))
}

/** The first complaint names the cause; those that follow are echoes of it. */
function complain(progress: Progress, fault: string): void {
  if (progress.faults.size === 0) progress.faults.add(fault)
}

const tooMany = (text: string): string => `Unable to interpolate ${shorten(text)}!  Maximum replacements reached.`

function unreadable(ref: string): string {
  return `{{${ref}}} is not a reference (a name, then .name or [index], without blanks); write {{&${ref}}} for the text itself`
}

const toIndex = (text: string): number => (/^\d+$/.test(text) ? Number(text) : -1)

const shorten = (text: string): string => (text.length <= 200 ? text : `${text.slice(0, 200)}…`)
