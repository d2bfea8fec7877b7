/**
 * Thrift's JSON protocol (TJSON), read as the interface says. A field is `{"<id>": {"<type>": value}}`; lists and maps
 * begin with the types and the number of what follows. Faults name their place as a path of keys.
 */
import { ThriftFault } from './binary-reader.ts'
import type { StructPlan, TypePlan } from './plan.ts'

export function readJsonStruct(plan: StructPlan, json: unknown, path: string): Record<string, unknown> {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) throw fault(path, 'is no object')
  const value: Record<string, unknown> = {}
  for (const [id, entry] of Object.entries(json)) {
    const field = /^-?\d{1,5}$/.test(id) ? plan.byId.get(Number(id)) : undefined
    if (field === undefined) continue
    const at = `${path}.${id}`
    if (typeof entry !== 'object' || entry === null || Array.isArray(entry)) throw fault(at, 'is no object')
    // Passed over, `instances` of a wrong type would be all instances.
    if (!Object.hasOwn(entry, field.type.tag)) throw fault(at, `is ${field.name} of another type`)
    const read = readValue(field.type, (entry as Record<string, unknown>)[field.type.tag], at)
    if (read !== undefined) value[field.name] = read
  }
  return value
}

function readValue(type: TypePlan, json: unknown, path: string): unknown {
  switch (type.kind) {
    case 'bool':
      if (json === 1 || json === true) return true
      if (json === 0 || json === false) return false
      throw fault(path, 'is neither 1 nor 0')
    case 'double': {
      const number = typeof json === 'string' && /^(NaN|-?Infinity)$/.test(json) ? Number(json) : json
      if (typeof number !== 'number') throw fault(path, 'is no number')
      return number
    }
    case 'i32':
      return integer(json, path, I32_MAX)
    case 'i64':
      return integer(json, path, Number.MAX_SAFE_INTEGER)
    case 'string':
      if (typeof json !== 'string') throw fault(path, 'is no text')
      return json
    case 'enum':
      return type.names.get(integer(json, path, I32_MAX))
    case 'struct':
      return readJsonStruct(type.struct, json, path)
    case 'list':
    case 'set': {
      const [tag, count, ...elements] = arrayOf(json, path)
      if (count !== elements.length) throw fault(path, `says ${String(count)} elements and has ${elements.length}`)
      if (elements.length > 0 && tag !== type.element.tag) throw fault(path, 'has elements of another type')
      return elements.map((element, at) => readValue(type.element, element, `${path}[${at}]`)).filter(isThere)
    }
    case 'map': {
      const [, valueTag, count, entries] = arrayOf(json, path)
      if (typeof entries !== 'object' || entries === null || Array.isArray(entries)) throw fault(path, 'is no map')
      const all = Object.entries(entries)
      if (count !== all.length) throw fault(path, `says ${String(count)} entries and has ${all.length}`)
      if (all.length > 0 && valueTag !== type.value.tag) throw fault(path, 'has values of another type')
      return Object.fromEntries(all.map(([key, value]) => [key, readValue(type.value, value, `${path}.${key}`)]))
    }
  }
}

const I32_MAX = 2 ** 31
const isThere = (value: unknown): boolean => value !== undefined

function integer(json: unknown, path: string, max: number): number {
  if (typeof json !== 'number' || !Number.isSafeInteger(json) || Math.abs(json) > max)
    throw fault(path, `is no whole number up to ${max}`)
  return json
}

function arrayOf(json: unknown, path: string): unknown[] {
  if (!Array.isArray(json)) throw fault(path, 'is no list')
  return json
}

const fault = (path: string, what: string): ThriftFault => new ThriftFault(`${path} ${what}`)
