import { nearestName } from './nearest-name.ts'
import {
  interpolate,
  isBound,
  isLaunchRef,
  isStruct,
  launchScope,
  nearestRef,
  refsIn,
  type Scope,
  scopeOf,
  type Tree,
} from './template.ts'

/**
 * A small language in which the job schema is written: kinds of values, and structs of required, defaulted and
 * optional fields. Reading a value goes in Aurora's order: defaults are filled in, refs are filled in by the scopes the
 * structs make, and only then a text is coerced to what the field wants.
 *
 * Promises: reading never throws and never stops at the first fault; every fault carries the path of its place.
 * zod was not taken here because coercion must come after the filling in, which needs the scopes around a value.
 * Source: jobs and executor, section 2.
 */

export type Path = readonly (string | number)[]
export interface FieldFault {
  readonly path: Path
  readonly text: string
  /** What the fault is about, as it stands in the value: a text of many lines has its fault in one of them. */
  readonly about?: string
}

export interface Place {
  readonly path: Path
  readonly scope: Scope
  /** Faults are added here. */
  readonly faults: FieldFault[]
  /** Faults of values that nobody wrote: a default that refers to something faulty. Told when nothing else is wrong. */
  readonly doubts: FieldFault[]
}

export interface Kind<T> {
  readonly name: string
  /** Adds the defaults of all structs inside, so that refs can find them. Leaves what has the wrong shape alone. */
  fill(raw: Tree): Tree
  /** Undefined after adding faults; a struct comes back with holes where its fields were faulty. */
  read(raw: Tree, at: Place): T | undefined
}
export type KindType<K> = K extends Kind<infer T> ? T : never

/** What reading gives while there may be faults: anything may be missing. */
export type Loose<T> = T extends readonly (infer U)[]
  ? readonly (Loose<U> | undefined)[]
  : T extends object
    ? { readonly [K in keyof T]?: Loose<T[K]> | undefined }
    : T | undefined

type Presence = 'required' | 'defaulted' | 'optional'
export interface Field<T, P extends Presence = Presence> {
  readonly kind: Kind<T>
  readonly presence: P
  readonly default?: Tree
}
export const required = <T>(kind: Kind<T>): Field<T, 'required'> => ({ kind, presence: 'required' })
export const optional = <T>(kind: Kind<T>): Field<T, 'optional'> => ({ kind, presence: 'optional' })
export const defaulted = <T>(kind: Kind<T>, value: Tree): Field<T, 'defaulted'> => {
  return { kind, presence: 'defaulted', default: value }
}

type Fields = { readonly [name: string]: Field<unknown> }
type OptionalNames<F extends Fields> = { [K in keyof F]: F[K]['presence'] extends 'optional' ? K : never }[keyof F]
type StructOf<F extends Fields> = {
  readonly [K in Exclude<keyof F, OptionalNames<F>>]: KindType<F[K]['kind']>
} & { readonly [K in OptionalNames<F>]?: KindType<F[K]['kind']> }

export interface StructKind<T> extends Kind<T> {
  readonly fieldNames: readonly string[]
}

export function struct<F extends Fields>(name: string, fields: F): StructKind<StructOf<F>> {
  const fieldNames = Object.keys(fields)
  return {
    name,
    fieldNames,
    fill: raw => {
      if (!isStruct(raw)) return raw
      const filled: Record<string, Tree> = {}
      for (const [key, field] of Object.entries(fields)) {
        const value = raw[key] ?? field.default
        if (value !== undefined && value !== null) filled[key] = field.kind.fill(value)
      }
      // Unknown keys stay, for `read` to refuse.
      for (const key of Object.keys(raw)) if (!Object.hasOwn(fields, key)) filled[key] = raw[key]
      return filled
    },
    read: (raw, at) => {
      if (!isStruct(raw)) return refuse(at, cannotCoerce(raw, name))
      const scope = scopeOf(raw, at.scope)
      const found: Record<string, unknown> = {}
      for (const key of Object.keys(raw)) {
        if (Object.hasOwn(fields, key)) continue
        refuse({ ...at, path: [...at.path, key] }, unknownName(key, fieldNames))
      }
      for (const [key, field] of Object.entries(fields)) {
        const value = raw[key]
        const isDefault = field.presence === 'defaulted' && value === field.default
        const faults = isDefault ? at.doubts : at.faults
        const place: Place = { path: [...at.path, key], scope, faults, doubts: at.doubts }
        if (value === undefined) {
          if (field.presence === 'required') refuse(place, `${key} is required`)
          continue
        }
        const read = field.kind.read(value, place)
        if (read !== undefined) found[key] = read
      }
      return found as StructOf<F>
    },
  }
}

export function listOf<T>(kind: Kind<T>): Kind<readonly T[]> {
  const name = `List(${kind.name})`
  return {
    name,
    fill: raw => (Array.isArray(raw) ? raw.map(kind.fill) : raw),
    read: (raw, at) => {
      if (!Array.isArray(raw)) return refuse(at, cannotCoerce(raw, name))
      // A faulty element stays as a hole, so that the others keep their index.
      return raw.map((value: Tree, index) => kind.read(value, { ...at, path: [...at.path, index] })) as T[]
    },
  }
}

/** Keys are taken as they are written. */
export function mapOf<T>(kind: Kind<T>): Kind<{ readonly [name: string]: T }> {
  const name = `Map(String, ${kind.name})`
  return {
    name,
    fill: raw => raw,
    read: (raw, at) => {
      if (!isStruct(raw)) return refuse(at, cannotCoerce(raw, name))
      const read = Object.entries(raw).map(([key, value]) => [
        key,
        kind.read(value, { ...at, path: [...at.path, key] }),
      ])
      return Object.fromEntries(read.filter(([, value]) => value !== undefined))
    },
  }
}

/** The first alternative that takes the value wins; when none does, the faults of the one that came nearest. */
export function choice<T extends readonly Kind<unknown>[]>(name: string, kinds: T): Kind<KindType<T[number]>> {
  return {
    name,
    fill: raw => raw,
    read: (raw, at) => {
      const tries = kinds.map(kind => {
        const faults: FieldFault[] = []
        return { value: kind.read(kind.fill(raw), { ...at, faults, doubts: faults }), faults }
      })
      const best = tries.reduce((a, b) => (b.faults.length < a.faults.length ? b : a))
      at.faults.push(...best.faults)
      return best.value as KindType<T[number]> | undefined
    },
  }
}

/** Kept as it is written: binds, and fields that are accepted and not looked at. */
export const anything: Kind<Tree> = { name: 'anything', fill: raw => raw, read: raw => raw }

function scalar<T>(
  name: string,
  coerce: (value: string | number | boolean) => T | undefined,
  expected?: string,
): Kind<T> {
  return {
    name,
    fill: raw => raw,
    read: (raw, at) => {
      const before = at.faults.length
      const value = typeof raw === 'string' ? filledIn(raw, at) : raw
      // A text with unbound refs has been refused for that; that it is no number either helps nobody.
      if (at.faults.length > before) return undefined
      const plain = typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
      const found = plain ? coerce(value) : undefined
      return found ?? refuse(at, expected === undefined ? cannotCoerce(value, name) : expected)
    },
  }
}

export const text = scalar('String', value => (typeof value === 'boolean' ? undefined : String(value)))

export const integer = scalar('Integer', value => {
  if (typeof value === 'number') return safe(Math.trunc(value))
  return typeof value === 'string' && /^\s*[+-]?\d+\s*$/.test(value) ? safe(Number(value)) : undefined
})

/** `true` stands for all that there are. */
export const integerOrTrue = scalar('Integer or true', value => {
  if (value === true || value === 'true') return true
  if (typeof value === 'number') return safe(Math.trunc(value))
  return typeof value === 'string' && /^\s*[+-]?\d+\s*$/.test(value) ? safe(Number(value)) : undefined
})

export const float = scalar('Float', value => {
  const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value
  return typeof number === 'number' && Number.isFinite(number) ? number : undefined
})

export const boolean = scalar('Boolean', value => {
  if (typeof value === 'boolean') return value
  if (typeof value === 'number') return value !== 0
  const lower = value.toLowerCase()
  return lower === 'true' || lower === '1' ? true : lower === 'false' || lower === '0' ? false : undefined
})

const SIZE_STEPS: Readonly<Record<string, number>> = { '': 0, B: 0, K: 1, M: 2, G: 3, T: 4 }
/** Bytes: a number, or a text such as `128MiB` or `128 MB`. KB, MB, GB and TB are steps of 1024, as in Aurora. */
export const size = scalar('Integer', value => {
  if (typeof value === 'number') return safe(Math.trunc(value))
  if (typeof value === 'boolean') return undefined
  const found = /^\s*([+-]?\d+(?:\.\d+)?)\s*(?:([KMGT])(?:i?B)?|B)?\s*$/i.exec(value)
  const step = SIZE_STEPS[(found?.[2] ?? '').toUpperCase()]
  return found === null || step === undefined ? undefined : safe(Math.trunc(Number(found[1]) * 1024 ** step))
})

export function oneOf<const V extends readonly string[]>(name: string, values: V, fold = false): Kind<V[number]> {
  const expected = `${name} only accepts the following values: ${values.join(', ')}`
  const same = (value: string, known: string): boolean => value === known || (fold && value.toUpperCase() === known)
  return scalar(name, value => values.find(known => same(String(value), known)), expected)
}

export function unknownName(name: string, known: readonly string[]): string {
  const nearest = nearestName(name, known)
  return `Unknown schema attribute ${name}${nearest === undefined ? '' : `; did you mean ${nearest}?`}`
}

export function pathText(path: Path): string {
  return path.reduce<string>((all, step) => {
    if (typeof step === 'number') return `${all}[${step}]`
    return all === '' ? step : `${all}.${step}`
  }, '')
}

/** Fills in what is known before a launch, and refuses refs that no launch will bind either. */
function filledIn(raw: string, at: Place): string {
  if (!raw.includes('{{')) return raw
  const done = interpolate(raw, at.scope)
  for (const fault of done.faults) refuse(at, fault)
  const unbound = done.unbound.filter(ref => !isLaunchRef(ref))
  for (const ref of unbound) refuse(at, unboundText(ref, at.scope), `{{${ref}}}`)
  if (done.faults.length > 0 || unbound.length > 0) return done.text
  // A launch with made-up values shows whether refs are made of what only the launch knows.
  const names = refsIn(done.text).map(ref => /^thermos\.ports\[(.*)\]$/.exec(ref)?.[1] ?? '')
  const ports = Object.fromEntries(names.map(name => [name, 31_337]))
  const launch = interpolate(done.text, launchScope({ instance: 31_337, hostname: 'host', taskId: 'task', ports }))
  if (launch.unbound.length > 0) {
    const refs = launch.unbound.map(ref => `{{${ref}}}`).join(' ')
    refuse(at, `Unexpected unbound refs: ${refs}. Make sure you are not nesting template variables.`)
  }
  return done.text
}

/** Names the ref, what to do, and the name that was most likely meant. */
export function unboundText(ref: string, scope: Scope): string {
  if (ref.startsWith('profile.') && !isBound('profile', scope)) {
    return `Unbound variable {{${ref}}}: choose one of the profiles of the file with profile: NAME, or give --bind ${ref}=VALUE`
  }
  const nearest = nearestRef(ref, scope)
  const meant = nearest === undefined ? '' : `; did you mean {{${nearest}}}?`
  return `Unbound variable {{${ref}}}: bind it in the file or with --bind ${ref}=VALUE${meant}`
}

function cannotCoerce(value: Tree, name: string): string {
  if (isStruct(value) && Object.keys(value).length === 1 && Object.keys(value)[0]?.startsWith('{ ') === true) {
    return `Cannot coerce a map to ${name}: a text that begins with {{ must be put in quotes`
  }
  const shown = typeof value === 'string' ? value : (JSON.stringify(value) ?? 'nothing')
  return `Cannot coerce '${shown.length <= 80 ? shown : `${shown.slice(0, 80)}…`}' to ${name}`
}

function refuse(at: Place, fault: string, about?: string): undefined {
  at.faults.push({ path: at.path, text: fault, ...(about === undefined ? {} : { about }) })
  return undefined
}

const safe = (value: number): number | undefined => (Number.isSafeInteger(value) ? value : undefined)
