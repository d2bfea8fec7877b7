import { type Document, isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from 'yaml'
import type { Fault } from '../core/base/rejection.ts'
import { type FieldFault, type Path, pathText } from '../core/job/field-schema.ts'
import { BIND_FAULT, type FullKey, parseBind, type ReadJob, readJobOf } from '../core/job/job-file.ts'
import type { Struct, Tree } from '../core/job/template.ts'
import { unbuiltFields } from '../core/job/unbuilt-fields.ts'
import { CLIENT_EXIT } from './exit-status.ts'
import { CliFailure, type Io, unreadable } from './io.ts'

/**
 * A job file's text, YAML or JSON (which YAML includes), as plain values that remember their lines, so that a fault
 * can say where it is.
 */
export interface JobText {
  readonly tree: Tree
  readonly faults: readonly Fault[]
  /** 1-based; of the place itself or of what is around it. */
  lineOf(path: Path): number | undefined
}

export function readJobText(text: string): JobText {
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, merge: true, stringKeys: true })
  const faults = [...document.errors, ...document.warnings].map(error => ({
    path: '',
    text: explain(error.message),
    line: lines.linePos(error.pos[0]).line,
  }))
  const lineOf = (path: Path): number | undefined => {
    const at = offsetOf(document, path)
    return at === undefined ? undefined : lines.linePos(at).line
  }
  return { tree: faults.length > 0 ? null : plainValue(document), faults, lineOf }
}

/** Reads the job that the command names, or fails with every fault of the file. Warnings come back for the caller. */
export async function loadJob(
  io: Io,
  path: string,
  key: FullKey,
  binds: readonly string[],
): Promise<{ readonly job: ReadJob; readonly warnings: readonly string[] }> {
  const bound = binds.map(argument => parseBind(argument))
  if (bound.includes(null)) throw new CliFailure(CLIENT_EXIT.usage, BIND_FAULT)
  let text: string
  try {
    text = await io.readText(path)
  } catch (cause) {
    throw new CliFailure(CLIENT_EXIT.configuration, `Error loading configuration: ${path}: ${unreadable(cause)}`, {
      cause,
    })
  }
  const file = readJobText(text)
  if (file.faults.length > 0) throw faulty(path, file.faults)
  const read = readJobOf(file.tree, key, bound as Struct[])
  const withLine = (fault: FieldFault): Fault => {
    const line = file.lineOf(fault.path)
    return { path: pathText(fault.path), text: fault.text, ...(line === undefined ? {} : { line }) }
  }
  if (!read.ok) throw faulty(path, read.faults.map(withLine))
  const unbuilt = unbuiltFields(read.job.job, read.job.given)
  const refused = unbuilt.filter(field => field.verdict === 'refused')
  if (refused.length > 0) {
    const faults = refused.map(field => withLine({ path: [...read.job.path, field.field], text: field.text }))
    throw faulty(path, faults)
  }
  return { job: read.job, warnings: unbuilt.map(field => `${field.field}: ${field.text}`) }
}

function faulty(path: string, faults: readonly Fault[]): CliFailure {
  const count = faults.length === 1 ? '1 fault' : `${faults.length} faults`
  const sorted = [...faults].sort((a, b) => (a.line ?? 0) - (b.line ?? 0))
  const located = sorted.map(fault => ({ ...fault, file: path }))
  return new CliFailure(CLIENT_EXIT.configuration, `Error loading configuration: ${path} has ${count}`, {
    faults: located,
  })
}

function plainValue(document: Document): Tree {
  try {
    return document.toJS({ maxAliasCount: 100 }) as Tree
  } catch (cause) {
    throw new CliFailure(CLIENT_EXIT.configuration, `Error loading configuration: ${(cause as Error).message}`, {
      cause,
    })
  }
}

function offsetOf(document: Document, path: Path): number | undefined {
  let node: unknown = document.contents
  let offset = startOf(node)
  for (const step of path) {
    if (isAlias(node)) node = node.resolve(document)
    if (isMap(node)) {
      const pair = node.items.find(item => isScalar(item.key) && String(item.key.value) === String(step))
      if (pair === undefined) return offset
      offset = startOf(pair.key) ?? offset
      node = pair.value
    } else if (isSeq(node)) {
      node = node.items[Number(step)]
      offset = startOf(node) ?? offset
    } else return offset
  }
  return offset
}

const startOf = (node: unknown): number | undefined => (node as Node | null)?.range?.[0]

function explain(message: string): string {
  if (/all keys must be strings/i.test(message)) return `${message}; a text that begins with {{ must be put in quotes`
  return message
}
