/**
 * Reads a config file: YAML to values, flags over them, defaults below them, and each value through its own form. Goes
 * on after every fault, so that one run tells all of them, in the order of the file.
 */
import { readFileSync } from 'node:fs'
import { isMap, isNode, LineCounter, type Node, parse, parseDocument, type YAMLMap } from 'yaml'
import { z } from 'zod'
import type { Fault } from '../core/base/rejection.ts'
import { yamlValues } from '../wire/yaml-values.ts'
import { configRuleFaults } from './config-rules.ts'
import { type ConfigKey, configKeys, configSchema, type NodeConfig } from './config-schema.ts'
import { shown } from './config-units.ts'

export type Source =
  | { readonly type: 'file'; readonly line: number }
  | { readonly type: 'flag' }
  | { readonly type: 'default' }

export type LoadedConfig =
  | {
      readonly ok: true
      readonly config: NodeConfig
      /** Where the value of each dotted key came from. */
      readonly sources: ReadonlyMap<string, Source>
      /** The value of each dotted key as it was written (or its default); for `config show`. */
      readonly written: ReadonlyMap<string, unknown>
    }
  | { readonly ok: false; readonly faults: readonly Fault[] }

export interface LoadOptions {
  /** Raw texts by dotted key: `{ 'http.port': '8181' }`. */
  readonly flags?: Readonly<Record<string, string>>
  /**
   * Whether the secret, the certificates and the tiers are read too. Default true; not for those who only look at what a
   * node has on its disk: it may be theirs when the secret is not, and a certificate may have expired.
   */
  readonly readFiles?: boolean
}

/** Refuses with all faults at once; `line` is set for those that have one in the file. */
export function loadConfig(path: string, options: LoadOptions = {}): LoadedConfig {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    return { ok: false, faults: [{ path: '', text: `the config file cannot be read: ${why}` }] }
  }
  return readConfig(text, options.flags, options)
}

/** The same for a text at hand. */
export function readConfig(
  text: string,
  flags: Readonly<Record<string, string>> = {},
  { readFiles = true }: Pick<LoadOptions, 'readFiles'> = {},
): LoadedConfig {
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false })
  if (document.errors.length > 0) {
    const faults = document.errors.map(error => ({
      path: '',
      text: `not valid YAML: ${error.message}`,
      line: lines.linePos(error.pos[0]).line,
    }))
    return { ok: false, faults }
  }
  const values = yamlValues(document)
  if (!values.ok) {
    const faults = values.faults.map(({ offset, text }) => ({
      path: '',
      text,
      ...(offset === undefined ? {} : { line: lines.linePos(offset).line }),
    }))
    return { ok: false, faults }
  }
  const root = document.contents
  if (root !== null && !isMap(root)) {
    return { ok: false, faults: [{ path: '', text: 'must be a map of keys, such as `http: {port: 8081}`', line: 1 }] }
  }
  const lineOf = (node: unknown): number => (isNode(node) && node.range ? lines.linePos(node.range[0]).line : 1)
  const keys = configKeys()
  const faults: Fault[] = [...(root === null ? [] : shapeFaults(root, lineOf)), ...flagFaults(flags, keys)]
  const sources = new Map<string, Source>()
  const written = new Map<string, unknown>()
  const bad = new Set<string>()
  const config: Record<string, unknown> = {}
  for (const key of keys) {
    const node = root === null ? undefined : nodeAt(root, key.path)
    const given = givenFor(key, flags[key.name], node)
    const source: Source = given.from === 'file' ? { type: 'file', line: lineOf(node) } : { type: given.from }
    sources.set(key.name, source)
    written.set(key.name, given.value)
    const done = given.fault === undefined ? key.schema.safeParse(given.value) : null
    if (done?.success) {
      put(config, key.path, done.data)
      continue
    }
    bad.add(key.name)
    put(config, key.path, key.schema.parse(key.facts.default))
    const where = (path: readonly PropertyKey[]) =>
      source.type === 'file' ? { line: lineOf(root === null ? undefined : nodeAt(root, [...key.path, ...path])) } : {}
    const named = (path: readonly PropertyKey[]) =>
      (source.type === 'flag' ? '--' : '') + dotted([...key.path, ...path])
    if (given.fault !== undefined) faults.push({ path: named([]), text: given.fault, ...where([]) })
    else for (const issue of done!.error.issues) faults.push(...issueFaults(issue, named, where))
  }
  const checked = config as unknown as NodeConfig
  for (const fault of configRuleFaults(checked, { readFiles })) {
    if (fault.keys.some(name => bad.has(name))) continue
    const at = fault.keys.map(name => sources.get(name)).find(source => source?.type === 'file')
    faults.push({ path: fault.keys[0] ?? '', text: fault.text, ...(at?.type === 'file' ? { line: at.line } : {}) })
  }
  if (faults.length === 0) return { ok: true, config: checked, sources, written }
  return { ok: false, faults: faults.sort((a, b) => (a.line ?? 0) - (b.line ?? 0)) }
}

/** `config/local.yaml:12: http.port: must be …`, one line a fault. */
export function faultLines(path: string, faults: readonly Fault[]): readonly string[] {
  return faults.map(({ line, path: key, text }) => {
    const place = line !== undefined ? `${path}:${line}` : key.startsWith('--') ? 'command line' : path
    return [place, ...(key === '' || text.startsWith('unknown flag') ? [] : [key]), text].join(': ')
  })
}

function givenFor(
  key: ConfigKey,
  flag: string | undefined,
  node: Node | undefined,
): {
  from: 'flag' | 'file' | 'default'
  value: unknown
  fault?: string
} {
  if (flag !== undefined) {
    const read = flagValue(key, flag)
    return read.ok ? { from: 'flag', value: read.value } : { from: 'flag', value: flag, fault: read.text }
  }
  if (node === undefined) return { from: 'default', value: key.facts.default }
  const value: unknown = node.toJSON()
  if (value === null && key.facts.default !== null) {
    return {
      from: 'file',
      value,
      fault: `is empty: write a value, or remove the key for its default ${shown(key.facts.default)}`,
    }
  }
  return { from: 'file', value }
}

/** Texts stay as they are; numbers, booleans, lists and maps are read as YAML; a list may be written with commas. */
function flagValue(key: ConfigKey, text: string): { ok: true; value: unknown } | { ok: false; text: string } {
  const sample = key.facts.default
  if (key.facts.default === null && text === 'null') return { ok: true, value: null }
  if (Array.isArray(sample) && !text.trimStart().startsWith('[')) {
    const parts = text.split(',').map(part => part.trim())
    return { ok: true, value: parts.filter(part => part !== '') }
  }
  if (
    typeof sample === 'string' ||
    /^(name|path|host|text|bytes|duration|32 hex|port ranges|regular|host or)/.test(key.facts.unit)
  ) {
    return { ok: true, value: text }
  }
  try {
    return { ok: true, value: parse(text) as unknown }
  } catch (cause) {
    return { ok: false, text: `cannot be read as ${key.facts.unit}: ${cause instanceof Error ? cause.message : ''}` }
  }
}

/** Unknown keys, and plain values where a section belongs. */
function shapeFaults(root: YAMLMap, lineOf: (node: unknown) => number): Fault[] {
  const faults: Fault[] = []
  const walk = (map: YAMLMap, section: z.ZodObject, path: readonly string[]): void => {
    for (const { key, value } of map.items) {
      const name = String(isNode(key) ? key.toJSON() : key)
      const inner: unknown = section.shape[name]
      const here = [...path, name]
      if (inner === undefined) {
        faults.push({
          path: dotted(here),
          text: unknownText('key', name, here, Object.keys(section.shape)),
          line: lineOf(key),
        })
      } else if (inner instanceof z.ZodObject) {
        if (isMap(value)) walk(value as YAMLMap, inner, here)
        else if (isNode(value) && value.toJSON() !== null) {
          const text = `must hold keys (${Object.keys(inner.shape).join(', ')}), found ${shown(value.toJSON())}`
          faults.push({ path: dotted(here), text, line: lineOf(key) })
        }
      }
    }
  }
  walk(root, configSchema, [])
  return faults
}

function flagFaults(flags: Readonly<Record<string, string>>, keys: readonly ConfigKey[]): Fault[] {
  const known = new Set(keys.map(key => key.name))
  return Object.keys(flags)
    .filter(name => !known.has(name))
    .map(name => ({ path: `--${name}`, text: unknownText('flag', `--${name}`, name.split('.'), []) }))
}

function unknownText(
  what: 'key' | 'flag',
  written: string,
  path: readonly string[],
  siblings: readonly string[],
): string {
  const near = nearest(path.at(-1) ?? '', siblings)
  if (near !== null) return `unknown ${what} \`${written}\`, did you mean \`${near}\`?`
  const everywhere = configKeys()
  const end = path.at(-1) ?? ''
  const name =
    everywhere.find(key => key.path.at(-1)?.toLowerCase() === end.toLowerCase() && key.path.length !== path.length)
      ?.name ??
    nearest(
      path.join('.'),
      everywhere.map(key => key.name),
    )
  if (name === null) {
    return siblings.length === 0
      ? `unknown ${what} \`${written}\``
      : `unknown ${what} \`${written}\`; known here: ${siblings.join(', ')}`
  }
  return `unknown ${what} \`${written}\`, did you mean \`${what === 'flag' ? '--' : ''}${name}\`?`
}

/** The candidate with the fewest edits, if those are few enough to be a slip. */
export function nearest(written: string, candidates: readonly string[]): string | null {
  let best: string | null = null
  let bestEdits = Math.max(2, Math.floor(written.length / 3)) + 1
  for (const candidate of candidates) {
    const edits = editDistance(written.toLowerCase(), candidate.toLowerCase())
    if (edits < bestEdits) {
      best = candidate
      bestEdits = edits
    }
  }
  return best
}

/** Insertions, deletions and replacements; two neighbours changed round count as one. */
function editDistance(a: string, b: string): number {
  const rows: number[][] = [Array.from({ length: b.length + 1 }, (_, j) => j)]
  for (let i = 1; i <= a.length; i += 1) {
    const row = [i]
    for (let j = 1; j <= b.length; j += 1) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1
      let edits = Math.min(rows[i - 1]![j]! + 1, row[j - 1]! + 1, rows[i - 1]![j - 1]! + same)
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        edits = Math.min(edits, rows[i - 2]![j - 2]! + 1)
      row.push(edits)
    }
    rows.push(row)
  }
  return rows[a.length]![b.length]!
}

function issueFaults(
  issue: z.core.$ZodIssue,
  named: (path: readonly PropertyKey[]) => string,
  where: (path: readonly PropertyKey[]) => { line?: number },
): Fault[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map(name => ({
      path: named([...issue.path, name]),
      text: unknownText('key', name, [name], ['id', 'host', 'port', 'name']),
      ...where([...issue.path, name]),
    }))
  }
  return [{ path: named(issue.path), text: issue.message, ...where(issue.path) }]
}

function nodeAt(root: YAMLMap, path: readonly PropertyKey[]): Node | undefined {
  const node = root.getIn(path, true)
  if (isNode(node)) return node
  return undefined
}

function dotted(path: readonly PropertyKey[]): string {
  return path.reduce<string>(
    (text, part) =>
      typeof part === 'number' ? `${text}[${part}]` : text === '' ? String(part) : `${text}.${String(part)}`,
    '',
  )
}

function put(target: Record<string, unknown>, path: readonly string[], value: unknown): void {
  let section = target
  for (const part of path.slice(0, -1)) {
    section[part] ??= {}
    section = section[part] as Record<string, unknown>
  }
  section[path.at(-1) ?? ''] = value
}
