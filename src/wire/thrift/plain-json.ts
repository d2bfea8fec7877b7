/**
 * Values of Aurora's interface as plain JSON by their Thrift names, as its Gson mapping has them: enums by name, sets as
 * arrays, a union as an object with one key. What is unset is left out, but numbers and booleans are always there: to
 * Java they cannot be unset.
 *
 * Source: the outside interfaces, section 6.
 */
import { type StructPlan, structPlan, type TypePlan } from './plan.ts'
import type { Many, Struct } from './types.ts'
import { clamped } from './writer.ts'

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

export function zeroOf({ kind }: TypePlan): 0 | false | undefined {
  if (kind === 'bool') return false
  return kind === 'i32' || kind === 'i64' || kind === 'double' ? 0 : undefined
}

export function plainValue(type: TypePlan, value: unknown): unknown {
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
