/** The facts of the interface, looked up once: what both protocols need to read and write a value of a type. */
import { assert } from '../../core/base/assert.ts'
import { ENUMS } from './enums.ts'
import { METHODS, type MethodName } from './methods.ts'
import { STRUCTS, UNIONS } from './structs.ts'

/** How Thrift names the types on the wire: numbers in binary, tags in TJSON. */
export const WIRE = {
  bool: 2,
  byte: 3,
  double: 4,
  i16: 6,
  i32: 8,
  i64: 10,
  string: 11,
  struct: 12,
  map: 13,
  set: 14,
  list: 15,
} as const
const TAGS = {
  bool: 'tf',
  double: 'dbl',
  i32: 'i32',
  i64: 'i64',
  string: 'str',
  struct: 'rec',
  map: 'map',
  set: 'set',
  list: 'lst',
} as const

export type TypePlan =
  | { readonly kind: 'bool' | 'double' | 'i32' | 'i64' | 'string'; readonly wire: number; readonly tag: string }
  | {
      readonly kind: 'enum'
      readonly wire: number
      readonly tag: string
      readonly names: ReadonlyMap<number, string>
      readonly numbers: ReadonlyMap<string, number>
    }
  | { readonly kind: 'struct'; readonly wire: number; readonly tag: string; readonly struct: StructPlan }
  | { readonly kind: 'list' | 'set'; readonly wire: number; readonly tag: string; readonly element: TypePlan }
  | {
      readonly kind: 'map'
      readonly wire: number
      readonly tag: string
      readonly key: TypePlan
      readonly value: TypePlan
    }

export interface FieldPlan {
  readonly id: number
  readonly name: string
  readonly type: TypePlan
  /** Written when it is absent, as generated code does with numbers and booleans that are not optional. */
  readonly zero: 0 | false | undefined
}

export interface StructPlan {
  readonly name: string
  readonly isUnion: boolean
  /** In the order in which they are written. */
  readonly fields: readonly FieldPlan[]
  readonly byId: ReadonlyMap<number, FieldPlan>
}

type Fields = { readonly [name: string]: readonly [number, string] }

const structs = new Map<string, StructPlan>()
const types = new Map<string, TypePlan>()

export function structPlan(name: keyof typeof STRUCTS | keyof typeof UNIONS): StructPlan {
  return namedPlan(name)
}

const calls = new Map<string, StructPlan>()

/** The arguments of a call. */
export function argumentsPlan(method: MethodName): StructPlan {
  let plan = calls.get(method)
  if (plan === undefined) {
    plan = built(`${method}_args`, METHODS[method].args, false)
    calls.set(method, plan)
  }
  return plan
}

export const isMethod = (name: string): name is MethodName => Object.hasOwn(METHODS, name)

function namedPlan(name: string): StructPlan {
  const known = structs.get(name)
  if (known !== undefined) return known
  const isUnion = Object.hasOwn(UNIONS, name)
  const facts = (isUnion ? UNIONS : STRUCTS) as unknown as Readonly<Record<string, Fields>>
  assert(Object.hasOwn(facts, name), 'every type that is named is known', { name })
  // Known before its fields are looked at, in case one of them is of the same type.
  const fields: FieldPlan[] = []
  const byId = new Map<number, FieldPlan>()
  structs.set(name, { name, isUnion, fields, byId })
  fill(facts[name] as Fields, isUnion, fields, byId)
  return structs.get(name) as StructPlan
}

function built(name: string, facts: Fields, isUnion: boolean): StructPlan {
  const fields: FieldPlan[] = []
  const byId = new Map<number, FieldPlan>()
  fill(facts, isUnion, fields, byId)
  return { name, isUnion, fields, byId }
}

function fill(facts: Fields, isUnion: boolean, fields: FieldPlan[], byId: Map<number, FieldPlan>): void {
  for (const [name, [id, text]] of Object.entries(facts)) {
    const isOptional = text.endsWith('?')
    const type = typePlan(isOptional ? text.slice(0, -1) : text)
    const zero = isOptional || isUnion ? undefined : type.kind === 'bool' ? false : isNumber(type) ? 0 : undefined
    const field: FieldPlan = { id, name, type, zero }
    fields.push(field)
    byId.set(id, field)
  }
  fields.sort((a, b) => a.id - b.id)
}

const isNumber = ({ kind }: TypePlan): boolean => kind === 'i32' || kind === 'i64' || kind === 'double'

function typePlan(text: string): TypePlan {
  let plan = types.get(text)
  if (plan === undefined) {
    plan = newTypePlan(text)
    types.set(text, plan)
  }
  return plan
}

function newTypePlan(text: string): TypePlan {
  if (text === 'bool' || text === 'double' || text === 'i32' || text === 'i64' || text === 'string')
    return { kind: text, wire: WIRE[text], tag: TAGS[text] }
  const [, container, inside = ''] = /^(set|list|map)<(.*)>$/.exec(text) ?? []
  if (container === 'set' || container === 'list')
    return { kind: container, wire: WIRE[container], tag: TAGS[container], element: typePlan(inside) }
  if (container === 'map') {
    const [key = '', value = ''] = inside.split(',')
    return { kind: 'map', wire: WIRE.map, tag: TAGS.map, key: typePlan(key), value: typePlan(value) }
  }
  if (Object.hasOwn(ENUMS, text)) {
    const entries = Object.entries(ENUMS[text as keyof typeof ENUMS]) as [string, number][]
    const names = new Map(entries.map(([name, number]) => [number, name]))
    return { kind: 'enum', wire: WIRE.i32, tag: TAGS.i32, names, numbers: new Map(entries) }
  }
  return { kind: 'struct', wire: WIRE.struct, tag: TAGS.struct, struct: namedPlan(text) }
}
