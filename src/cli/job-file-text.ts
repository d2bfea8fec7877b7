import { type Document, isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from 'yaml'
import type { Fault } from '../core/base/rejection.ts'
import { type FieldFault, type Path, pathText } from '../core/job/field-schema.ts'
import {
  BIND_FAULT,
  bindsTogether,
  type FullKey,
  type ListedJob,
  listJobs,
  parseBind,
  type ReadJob,
  readJobFile,
  readJobOf,
  unusedBinds,
} from '../core/job/job-file.ts'
import type { Struct, Tree } from '../core/job/template.ts'
import { unbuiltFields } from '../core/job/unbuilt-fields.ts'
import { yamlValues } from '../wire/yaml-values.ts'
import { CLIENT_EXIT } from './exit-status.ts'
import { CliFailure, Interrupted, type Io, unreadable } from './io.ts'

/**
 * A job file's text, YAML or JSON (which YAML includes), as plain values that remember their lines, so that a fault
 * can say where it is.
 */
export interface JobText {
  readonly tree: Tree
  readonly faults: readonly Fault[]
  /** 1-based; of the place itself or of what is around it. `about`: of where it stands in the value, if it does. */
  lineOf(path: Path, about?: string): number | undefined
}

export function readJobText(text: string): JobText {
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, merge: true, stringKeys: true })
  const faults = [...document.errors, ...document.warnings].map(error => ({
    path: '',
    text: explain(error.message),
    line: lines.linePos(error.pos[0]).line,
  }))
  const lineOf = (path: Path, about?: string): number | undefined => {
    const { at, value } = placeOf(document, path)
    if (at === undefined) return undefined
    const [from, to] = value?.range ?? [0, 0]
    const inside = about === undefined ? -1 : text.slice(from, to).indexOf(about)
    return lines.linePos(inside < 0 ? at : from + inside).line
  }
  if (faults.length > 0) return { tree: null, faults, lineOf }
  const values = yamlValues(document)
  if (values.ok) return { tree: values.value as Tree, faults, lineOf }
  const broken = values.faults.map(({ offset, text }) => ({
    path: '',
    text,
    ...(offset === undefined ? {} : { line: lines.linePos(offset).line }),
  }))
  return { tree: null, faults: broken, lineOf }
}

/** All jobs of a file, whatever it leaves to the key of a command. */
export async function listedJobs(
  io: Io,
  path: string,
  binds: readonly string[],
): Promise<{ readonly jobs: readonly ListedJob[]; readonly warnings: readonly string[] }> {
  const loaded = await loadFile(io, path, binds, null)
  const read = listJobs(loaded.file.tree, loaded.binds)
  if (!read.ok) throw faultsIn(path, loaded.file, read.faults)
  return { jobs: read.jobs, warnings: [...loaded.warnings, ...unbuiltWarnings(path, loaded.file, read.jobs)] }
}

interface LoadedFile {
  readonly file: JobText
  readonly binds: readonly Struct[]
  readonly warnings: readonly string[]
}

const PYTHON =
  'job files are YAML, JSON, TypeScript or JavaScript; `aurora job inspect --write-json KEY FILE` prints what such a file says as JSON'
const MODULE = /\.[cm]?[jt]s$/

/** Reads the job that the command names, or fails with every fault of the file. Warnings come back for the caller. */
export async function loadJob(
  io: Io,
  path: string,
  key: FullKey,
  binds: readonly string[],
): Promise<{ readonly job: ReadJob; readonly warnings: readonly string[] }> {
  const loaded = await loadFile(io, path, binds, key)
  const read = readJobOf(loaded.file.tree, key, loaded.binds)
  if (!read.ok) throw faultsIn(path, loaded.file, read.faults)
  return { job: read.job, warnings: [...loaded.warnings, ...unbuiltWarnings(path, loaded.file, [read.job])] }
}

/** All jobs of a file that says itself which they are; the cluster it may leave to the command. */
export async function loadJobs(
  io: Io,
  path: string,
  cluster: string,
  binds: readonly string[],
): Promise<{ readonly jobs: readonly ReadJob[]; readonly warnings: readonly string[] }> {
  const loaded = await loadFile(io, path, binds, null)
  const read = readJobFile(loaded.file.tree, { cluster, binds: loaded.binds })
  if (!read.ok) throw faultsIn(path, loaded.file, read.faults)
  return { jobs: read.jobs, warnings: [...loaded.warnings, ...unbuiltWarnings(path, loaded.file, read.jobs)] }
}

async function loadFile(io: Io, path: string, given: readonly string[], key: FullKey | null): Promise<LoadedFile> {
  const parsed = given.map(argument => parseBind(argument))
  const wrong = given.find((_, index) => parsed[index] === null)
  if (wrong !== undefined) throw new CliFailure(CLIENT_EXIT.usage, `${BIND_FAULT}, not '${wrong}'`)
  const binds = parsed.filter(bind => bind !== null)
  const { file, asked } = MODULE.test(path) ? await moduleOf(io, path, binds, key) : await textOf(io, path)
  const unused = asked ? [] : unusedBinds(file.tree, binds)
  const warnings = unused.map(
    name => `--bind ${name}: nothing in ${path} refers to {{${name}}}, and a bind sets no field`,
  )
  return { file, binds, warnings }
}

async function textOf(io: Io, path: string): Promise<{ readonly file: JobText; readonly asked: boolean }> {
  if (/\.aurora$/.test(path))
    throw new CliFailure(CLIENT_EXIT.configuration, `${path} is a Python file of Aurora's`, { remedy: PYTHON })
  let text: string
  try {
    text = await io.readText(path)
  } catch (cause) {
    throw unreadableFile(path, cause)
  }
  const file = readJobText(text)
  if (file.faults.length > 0) throw faulty(path, file.faults)
  return { file, asked: false }
}

/** A module has values and no text of them, so their faults have paths and no lines. */
async function moduleOf(
  io: Io,
  path: string,
  binds: readonly Struct[],
  key: FullKey | null,
): Promise<{ readonly file: JobText; readonly asked: boolean }> {
  const read = await io.readModule(path, { bind: bindsTogether(binds), key }).catch(cause => {
    throw unreadableFile(path, cause)
  })
  if (io.interrupted.aborted) throw new Interrupted()
  if (!read.ok) throw faulty(path, read.faults)
  const file = { tree: read.tree, faults: [], lineOf: () => undefined }
  if (read.faults.length > 0) throw faultsIn(path, file, read.faults)
  return { file, asked: read.asked }
}

function unreadableFile(path: string, cause: unknown): CliFailure {
  const text = `Error loading configuration: ${path}: ${unreadable(cause)}`
  return new CliFailure(CLIENT_EXIT.configuration, text, { cause })
}

/** What this version does not do: refused where the job would not be what was asked for, told elsewhere. */
function unbuiltWarnings(path: string, file: JobText, jobs: readonly ReadJob[]): readonly string[] {
  const unbuilt = jobs.flatMap(job => unbuiltFields(job.job, job.given).map(field => ({ job, ...field })))
  const refused = unbuilt.filter(field => field.verdict === 'refused')
  if (refused.length > 0) {
    const faults = refused.map(({ job, field, text }) => ({ path: job.placeOf([field]), text }))
    throw faultsIn(path, file, faults)
  }
  return unbuilt.map(({ field, text }) => `${field}: ${text}`)
}

function faultsIn(path: string, file: JobText, faults: readonly FieldFault[]): CliFailure {
  return faulty(
    path,
    faults.map(fault => {
      const line = file.lineOf(fault.path, fault.about)
      return { path: pathText(fault.path), text: fault.text, ...(line === undefined ? {} : { line }) }
    }),
  )
}

function faulty(path: string, faults: readonly Fault[]): CliFailure {
  const count = faults.length === 1 ? '1 fault' : `${faults.length} faults`
  const sorted = [...faults].sort((a, b) => (a.line ?? 0) - (b.line ?? 0))
  const located = sorted.map(fault => ({ file: path, ...fault }))
  return new CliFailure(CLIENT_EXIT.configuration, `Error loading configuration: ${path} has ${count}`, {
    faults: located,
  })
}

/** Where a place begins, or what is around it when it is not there; and the value that stands there. */
function placeOf(document: Document, path: Path): { readonly at: number | undefined; readonly value: Node | null } {
  let node: unknown = document.contents
  let at = startOf(node)
  for (const step of path) {
    if (isAlias(node)) node = node.resolve(document)
    if (isMap(node)) {
      const pair = node.items.find(item => isScalar(item.key) && String(item.key.value) === String(step))
      if (pair === undefined) return { at, value: null }
      at = startOf(pair.key) ?? at
      node = pair.value
    } else if (isSeq(node)) {
      node = node.items[Number(step)]
      at = startOf(node) ?? at
    } else return { at, value: null }
  }
  return { at, value: isScalar(node) ? node : null }
}

const startOf = (node: unknown): number | undefined => (node as Node | null)?.range?.[0]

function explain(message: string): string {
  if (/all keys must be strings/i.test(message)) return `${message}; a text that begins with {{ must be put in quotes`
  return message
}
