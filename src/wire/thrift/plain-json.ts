/**
 * Values of Aurora's interface as plain JSON by their Thrift names, as its Gson mapping has them: enums by name, sets as
 * arrays, a union as an object with one key. What is unset is left out, but numbers and booleans are always there: to
 * Java they cannot be unset.
 *
 * Source: the outside interfaces, section 6.
 */
import type { MethodName } from './methods.ts'
import { argumentsPlan, type StructPlan, structPlan, type TypePlan } from './plan.ts'
import type { Arguments, Many, Struct } from './types.ts'
import { clamped, REPLY_BYTES_MAX, ReplyTooLarge, STEP_ELEMENTS } from './writer.ts'

// ---- written ------------------------------------------------------------------------------------------------------

export function plainTaskConfig(config: Struct<'TaskConfig'>): object {
  return plainStruct(structPlan('TaskConfig'), config)
}

export function plainStruct({ fields, isUnion }: StructPlan, value: object): Record<string, unknown> {
  const entries = fields.flatMap(({ name, type }): [string, unknown][] => {
    const inner = (value as Record<string, unknown>)[name] ?? (isUnion ? undefined : zeroOf(type))
    return inner === undefined ? [] : [[name, plainValue(type, inner)]]
  })
  return Object.fromEntries(entries)
}

function zeroOf({ kind }: TypePlan): 0 | false | undefined {
  if (kind === 'bool') return false
  return kind === 'i32' || kind === 'i64' || kind === 'double' ? 0 : undefined
}

function plainValue(type: TypePlan, value: unknown): unknown {
  switch (type.kind) {
    case 'i32':
      return clamped(value as number)
    case 'struct':
      return plainStruct(type.struct, value as object)
    case 'list':
    case 'set':
      return Array.from(value as Many<unknown>, element => plainValue(type.element, element))
    case 'map':
      return Object.fromEntries(
        Object.entries(value as object).map(([key, inner]) => [key, plainValue(type.value, inner)]),
      )
    default:
      return value
  }
}

/** The bytes at the end; a pause after every so many elements of a long list. */
export function* writePlain(
  plan: StructPlan,
  value: object,
  charactersMax = REPLY_BYTES_MAX,
): Generator<undefined, Buffer> {
  const parts = new Parts(charactersMax)
  yield* structInSteps(parts, plan, value)
  return Buffer.from(parts.join())
}

class Parts {
  readonly #texts: string[] = []
  #left: number

  constructor(charactersMax: number) {
    this.#left = charactersMax
  }
  push(text: string): void {
    this.#left -= text.length
    if (this.#left < 0) throw new ReplyTooLarge()
    this.#texts.push(text)
  }
  join(): string {
    return this.#texts.join('')
  }
}

function* structInSteps(parts: Parts, { fields, isUnion }: StructPlan, value: object): Generator<undefined, void> {
  let separator = '{'
  for (const { name, type } of fields) {
    const inner = (value as Record<string, unknown>)[name] ?? (isUnion ? undefined : zeroOf(type))
    if (inner === undefined) continue
    parts.push(`${separator}"${name}":`)
    separator = ','
    if (type.kind === 'struct') yield* structInSteps(parts, type.struct, inner as object)
    else if (type.kind === 'list' || type.kind === 'set')
      yield* listInSteps(parts, type.element, inner as Many<unknown>)
    else parts.push(JSON.stringify(plainValue(type, inner)))
  }
  parts.push(separator === '{' ? '{}' : '}')
}

function* listInSteps(parts: Parts, element: TypePlan, values: Many<unknown>): Generator<undefined, void> {
  let written = 0
  for (const value of values) {
    parts.push(`${written === 0 ? '[' : ','}${JSON.stringify(plainValue(element, value))}`)
    if (++written % STEP_ELEMENTS === 0) yield
  }
  parts.push(written === 0 ? '[]' : ']')
}

// ---- read ---------------------------------------------------------------------------------------------------------

/** Names the parameter, and the place in it. */
export class PlainFault extends Error {}

/**
 * The arguments of a call by their names. What is null or missing is unset, names that are not known are passed over.
 * Throws PlainFault for a value that is not of the type of its field, and for a union without its one key.
 */
export function readPlainArguments<M extends MethodName>(method: M, json: object): Arguments<M> {
  const value: Record<string, unknown> = {}
  for (const { name, type } of argumentsPlan(method).fields) {
    const given = own(json, name)
    if (given === undefined) continue
    try {
      value[name] = readValue(type, given, name)
    } catch (cause) {
      if (!(cause instanceof ValueFault)) throw cause
      const place = cause.path === name ? 'it' : cause.path
      throw new PlainFault(`Failed to parse parameter ${name}: ${place} ${cause.what}`)
    }
  }
  return value as Arguments<M>
}

class ValueFault extends Error {
  readonly path: string
  readonly what: string

  constructor(path: string, what: string) {
    super(`${path} ${what}`)
    this.path = path
    this.what = what
  }
}

/** Undefined where there is nothing. */
function own(json: object, name: string): unknown {
  return Object.hasOwn(json, name) ? ((json as Record<string, unknown>)[name] ?? undefined) : undefined
}

function readStruct({ fields, isUnion }: StructPlan, json: unknown, path: string): Record<string, unknown> {
  const given = objectOf(json, path)
  const value: Record<string, unknown> = {}
  for (const { name, type } of fields) {
    const inner = own(given, name)
    const read = inner === undefined ? undefined : readValue(type, inner, `${path}.${name}`)
    if (read !== undefined) value[name] = read
  }
  if (isUnion && (Object.keys(given).length !== 1 || Object.keys(value).length !== 1)) {
    throw new ValueFault(path, `must have exactly one of ${fields.map(({ name }) => name).join(', ')}`)
  }
  return value
}

function readValue(type: TypePlan, json: unknown, path: string): unknown {
  switch (type.kind) {
    case 'bool':
      if (typeof json !== 'boolean') throw new ValueFault(path, 'is neither true nor false')
      return json
    case 'double':
      if (typeof json !== 'number') throw new ValueFault(path, 'is no number')
      return json
    case 'i32':
      return integer(json, path, 2 ** 31 - 1)
    case 'i64':
      return integer(json, path, Number.MAX_SAFE_INTEGER)
    case 'string':
      if (typeof json !== 'string') throw new ValueFault(path, 'is no text')
      return json
    case 'enum':
      if (typeof json !== 'string') throw new ValueFault(path, 'is no name')
      return type.numbers.has(json) ? json : undefined
    case 'struct':
      return readStruct(type.struct, json, path)
    case 'list':
    case 'set':
      if (!Array.isArray(json)) throw new ValueFault(path, 'is no list')
      return json
        .map((element, at) => readValue(type.element, element, `${path}[${at}]`))
        .filter(element => element !== undefined)
    case 'map': {
      const entries = Object.entries(objectOf(json, path))
      return Object.fromEntries(entries.map(([key, inner]) => [key, readValue(type.value, inner, `${path}.${key}`)]))
    }
  }
}

function objectOf(json: unknown, path: string): object {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) throw new ValueFault(path, 'is no object')
  return json
}

function integer(json: unknown, path: string, max: number): number {
  if (typeof json !== 'number' || !Number.isSafeInteger(json) || json > max || json < -max - 1)
    throw new ValueFault(path, `is no whole number up to ${max}`)
  return json
}
