/**
 * The interface as an IDL file for the Thrift compiler, written from the facts that the codec itself works by, so that
 * what clients are generated from is what is served.
 */
import { ENUMS } from './enums.ts'
import { METHODS, type ServiceName } from './methods.ts'
import { STRUCTS, UNIONS } from './structs.ts'

type Fields = Readonly<Record<string, readonly [number, string]>>

const HEAD = `/*
 * The calls that Daybreak answers at /api, for the Thrift compiler: thrift --gen py daybreak.thrift
 * Written by \`npm run idl\` from the tables that the server itself reads and writes by; a test compares the two.
 */
namespace py daybreak.api
namespace java org.daybreak.api
`

/** Each service with the one that it adds to. */
const SERVICES: readonly (readonly [ServiceName, ServiceName | null])[] = [
  ['ReadOnlyScheduler', null],
  ['AuroraSchedulerManager', 'ReadOnlyScheduler'],
  ['AuroraAdmin', 'AuroraSchedulerManager'],
]

export function idlText(): string {
  const composed = [
    ...Object.entries<Fields>(STRUCTS).map(([name, fields]) => ({ kind: 'struct' as const, name, fields })),
    ...Object.entries<Fields>(UNIONS).map(([name, fields]) => ({ kind: 'union' as const, name, fields })),
  ]
  return [
    HEAD,
    ...Object.entries(ENUMS).map(([name, values]) => enumText(name, values)),
    ...inOrderOfUse(composed).map(({ kind, name, fields }) => composedText(kind, name, fields)),
    ...SERVICES.map(([name, base]) => serviceText(name, base)),
  ].join('\n')
}

function enumText(name: string, values: Readonly<Record<string, number>>): string {
  const lines = Object.entries(values).map(([value, number]) => `  ${value} = ${number}`)
  return `enum ${name} {\n${lines.join(',\n')}\n}\n`
}

function composedText(kind: 'struct' | 'union', name: string, fields: Fields): string {
  const lines = Object.entries(fields).map(([field, [id, type]]) => {
    const isOptional = kind === 'struct' && type.endsWith('?')
    return `  ${id}: ${isOptional ? 'optional ' : ''}${bare(type)} ${field}`
  })
  return `${kind} ${name} {\n${lines.join('\n')}\n}\n`
}

function serviceText(name: ServiceName, base: ServiceName | null): string {
  const lines = Object.entries<{ readonly service: ServiceName; readonly args: Fields }>(METHODS)
    .filter(([, { service }]) => service === name)
    .map(([method, { args }]) => {
      const list = Object.entries(args).map(([arg, [id, type]]) => `${id}: ${bare(type)} ${arg}`)
      return `  Response ${method}(${list.join(', ')})`
    })
  return `service ${name}${base === null ? '' : ` extends ${base}`} {\n${lines.join('\n')}\n}\n`
}

/** The compiler wants a type before it is used. */
function inOrderOfUse<T extends { readonly name: string; readonly fields: Fields }>(all: readonly T[]): readonly T[] {
  const byName = new Map(all.map(each => [each.name, each]))
  const ordered = new Set<T>()
  const add = (each: T): void => {
    if (ordered.has(each)) return
    for (const [, type] of Object.values(each.fields)) {
      for (const word of type.split(/[^A-Za-z0-9]/)) {
        const used = byName.get(word)
        if (used !== undefined) add(used)
      }
    }
    ordered.add(each)
  }
  for (const each of all) add(each)
  return [...ordered]
}

function bare(type: string): string {
  return type.replace('?', '').replaceAll(',', ', ')
}
