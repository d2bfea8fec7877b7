/** `daybreak job diff KEY[/INSTANCES] FILE`: what a job file would change in a job that runs. */
import { toJobConfiguration } from '../core/job/job-configuration.ts'
import { fullKeyText } from '../core/job/job-file.ts'
import type { TaskConfig } from '../core/job/task-config.ts'
import { isStruct, type Tree } from '../core/job/template.ts'
import { configChanges, type FieldChange } from '../core/update/config-changes.ts'
import type { DiffJob, JobDiffView } from '../wire/rest.ts'
import { clusterUrl } from './clusters.ts'
import { type CommonOptions, parseDuration } from './command.ts'
import { CLIENT_EXIT, type ClientExit } from './exit-status.ts'
import { CliFailure, type Io } from './io.ts'
import { loadJob } from './job-file-text.ts'
import { instancesText, parseJobAndInstances, parseJobKey } from './keys.ts'
import { say, sayJson, warn } from './report.ts'
import { jobPath, restClient } from './rest-client.ts'
import { printable, type Style, styleOf } from './screen.ts'
import { tableText } from './table.ts'

export interface DiffOptions extends CommonOptions {
  readonly bind?: string[]
  readonly from?: string
  readonly exitCode?: boolean
}

/** What `--json` prints. */
interface JobDiffJson {
  readonly job: string
  readonly from: string
  readonly differs: boolean
  readonly add: readonly number[]
  readonly remove: readonly number[]
  /** One for each configuration that instances have now. */
  readonly update: readonly { readonly instances: readonly number[]; readonly changes: readonly FieldChange[] }[]
  readonly unchanged: readonly number[]
}

export async function jobDiff(io: Io, keyText: string, path: string, options: DiffOptions): Promise<ClientExit> {
  const { key, instances } = parseJobAndInstances(keyText)
  const from = options.from === undefined ? key : parseJobKey(options.from)
  if (from.cluster !== key.cluster) {
    const text = `--from names another cluster: ${from.cluster}, not ${key.cluster}`
    throw new CliFailure(CLIENT_EXIT.usage, text, { remedy: 'only jobs of one cluster can be compared' })
  }
  const { job, warnings } = await loadJob(io, path, key, options.bind ?? [])
  for (const text of warnings) warn(io, text)
  const timeoutMs = parseDuration(options.timeout)
  const client = restClient(io, await clusterUrl(io, key.cluster, options.url), { timeoutMs })
  const asked: DiffJob = {
    job: toJobConfiguration(job.job, io.user) as DiffJob['job'],
    ...(instances === null ? {} : { instances: [...instances] }),
  }
  const diff = await client.post<JobDiffView>(`${jobPath(from)}:diff`, asked)
  if (instances !== null) refuseStrangers(instances, diff)
  const found: JobDiffJson = {
    job: fullKeyText(key),
    from: fullKeyText(from),
    differs: diff.add.length + diff.remove.length + diff.update.length > 0 || (diff.everyHost && diff.active === 0),
    add: diff.add,
    remove: diff.remove.flatMap(group => group.instances).sort((a, b) => a - b),
    update: diff.update.map(group => ({
      instances: group.instances,
      // Only a configuration that was pruned is not known any more; nothing runs by such a one.
      changes: group.config === null ? [] : configChanges(group.config as TaskConfig, diff.config as TaskConfig),
    })),
    unchanged: diff.unchanged,
  }
  if (options.json === true) sayJson(io, found)
  else say(io, diffText(found, diff, path, styleOf(io.stdout, io.env)))
  return options.exitCode === true && found.differs ? CLIENT_EXIT.differs : CLIENT_EXIT.ok
}

/** Instances that were asked for and are neither there nor in the file: a slip, most likely. */
function refuseStrangers(asked: readonly number[], diff: JobDiffView): void {
  const groups = [...diff.remove, ...diff.update].flatMap(({ instances }) => instances)
  const known = new Set([...diff.add, ...diff.unchanged, ...groups])
  const strangers = asked.filter(instance => !known.has(instance))
  if (strangers.length === 0) return
  const text = `Instances ${instancesText(strangers)} neither run nor are in the job file`
  throw new CliFailure(CLIENT_EXIT.notFound, text, { remedy: 'see which there are: daybreak job status KEY' })
}

function diffText(found: JobDiffJson, { everyHost, active }: JobDiffView, path: string, style: Style): string {
  const { job, from, add, remove, update, unchanged } = found
  const other = from === job ? '' : ` (compared with ${from})`
  if (!found.differs) {
    return `Nothing would change: ${job} is what ${path} says, ${count(unchanged.length, 'instance')}${other}`
  }
  const lines = [style.paint(`To make ${job} what ${path} says${other}`, 'strong')]
  if (active === 0) lines.push('Nothing of it runs: daybreak job create would make all of it.')
  if (everyHost && active === 0) lines.push('It would have one instance on every host that its constraints allow.')
  const rows = [
    ...(add.length === 0 ? [] : [[rangesText(add), { text: 'would be added', paint: 'good' as const }, '']]),
    ...(remove.length === 0 ? [] : [[rangesText(remove), { text: 'would be removed', paint: 'bad' as const }, '']]),
    ...update.map(({ instances, changes }) => [
      rangesText(instances),
      { text: 'would be changed', paint: 'busy' as const },
      changes.map(change => change.path).join(', '),
    ]),
    ...(unchanged.length === 0
      ? []
      : [[rangesText(unchanged), { text: 'stay as they are', paint: 'dim' as const }, '']]),
  ]
  if (rows.length > 0) {
    const columns = [{ head: 'INSTANCES', min: 9 }, { head: 'WHAT' }, { head: 'FIELDS', wraps: true, min: 20 }]
    lines.push(tableText(columns, rows, style).trimEnd())
  }
  for (const { instances, changes } of update) {
    lines.push('', style.paint(`Instances ${rangesText(instances)}`, 'strong'))
    for (const change of changes) lines.push(...changeLines(change, style))
  }
  return lines.join('\n')
}

/** A short value on one line; a text of several lines, or anything long, with the lines that differ below each other. */
function changeLines({ path, before, after }: FieldChange, style: Style): string[] {
  const [from, to] = [valueLines(before), valueLines(after)]
  const [first = '', second = ''] = [from[0], to[0]]
  if (from.length === 1 && to.length === 1 && path.length + first.length + second.length <= SHORT_CHARACTERS) {
    return [`  ${printable(path)}: ${style.paint(printable(first), 'bad')} → ${style.paint(printable(second), 'good')}`]
  }
  const [head, tail] = shared(from, to)
  const inside = (lines: readonly string[]): readonly string[] => lines.slice(head, lines.length - tail)
  return [
    `  ${printable(path)}:`,
    ...(head > 0 ? [`      ${printable(from[head - 1] as string)}`] : []),
    ...inside(from).map(line => style.paint(`    - ${printable(line)}`, 'bad')),
    ...inside(to).map(line => style.paint(`    + ${printable(line)}`, 'good')),
    ...(tail > 0 ? [`      ${printable(from[from.length - tail] as string)}`] : []),
  ]
}

const SHORT_CHARACTERS = 72

/** How many lines are the same at the beginning and at the end. */
function shared(from: readonly string[], to: readonly string[]): readonly [number, number] {
  const least = Math.min(from.length, to.length)
  let head = 0
  while (head < least && from[head] === to[head]) head += 1
  let tail = 0
  while (tail < least - head && from[from.length - 1 - tail] === to[to.length - 1 - tail]) tail += 1
  return [head, tail]
}

function valueLines(value: Tree): readonly string[] {
  if (value === undefined || value === null) return ['(none)']
  if (typeof value === 'string') return value.replace(/\n$/, '').split('\n')
  if (isStruct(value) && 'cmdline' in value && typeof value.cmdline === 'string') {
    const { cmdline, ...others } = value
    return [JSON.stringify(others), ...valueLines(cmdline)]
  }
  return [JSON.stringify(value)]
}

/** `0-2,5` */
const rangesText = (instances: readonly number[]): string => instancesText(instances).slice(1, -1).replaceAll(', ', ',')

const count = (n: number, noun: string): string => `${n} ${noun}${n === 1 ? '' : 's'}`
