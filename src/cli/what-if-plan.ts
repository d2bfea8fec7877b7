/** The work of `daybreak what-if` and of `daybreak job create --dry-run`. */
import { toJobConfiguration } from '../core/job/job-configuration.ts'
import type { FullKey } from '../core/job/job-file.ts'
import type { JobConfiguration } from '../core/job/task-config.ts'
import { bagText } from '../core/quota/bag.ts'
import type { WhatIfPlan } from '../wire/rest.ts'
import { clusterUrl } from './clusters.ts'
import { type CommonOptions, parseCount, parseDuration } from './command.ts'
import { CLIENT_EXIT, type ClientExit } from './exit-status.ts'
import { CliFailure, type Io } from './io.ts'
import { loadJob, loadJobs } from './job-file-text.ts'
import { parseJobKey } from './keys.ts'
import { say, sayJson, warn } from './report.ts'
import { restClient } from './rest-client.ts'
import { printable, type Style, styleOf } from './screen.ts'
import { tableText } from './table.ts'

export interface WhatIfOptions extends CommonOptions {
  readonly drain: readonly string[]
  readonly lose: readonly string[]
  readonly apply: readonly string[]
  readonly bind: readonly string[]
  readonly seed?: string
}

export async function whatIf(io: Io, cluster: string, options: WhatIfOptions): Promise<ClientExit> {
  const drain = options.drain.flatMap(names)
  const lose = options.lose.flatMap(names)
  if (drain.length + lose.length + options.apply.length === 0) {
    throw new CliFailure(CLIENT_EXIT.usage, 'Nothing to try', { remedy: 'give --drain, --lose or --apply' })
  }
  const files: JobsOfFile[] = []
  for (const argument of options.apply) files.push(await jobsOf(io, cluster, argument, options.bind))
  const apply = namedOnce(files)
  const seed = options.seed === undefined ? undefined : parseCount(options.seed, '--seed')
  const body = { drain, lose, apply, ...(seed === undefined ? {} : { seed }) }
  return tried(io, cluster, body, options, isAllFine)
}

/**
 * `daybreak job create --dry-run`: everything that a creation would be refused for, and where its tasks would go. How it
 * ends tells of this job alone: others that wait take part in the trial, and are no fault of it.
 */
export async function dryRun(io: Io, key: FullKey, job: JobConfiguration, options: CommonOptions): Promise<ClientExit> {
  const isFine = ({ refused, jobs }: WhatIfPlan): boolean =>
    refused.length === 0 && jobs.every(one => keyText(one.key) !== keyText(job.key) || one.pending.length === 0)
  return tried(io, key.cluster, { apply: [job], isCreation: true }, options, isFine)
}

const isAllFine = ({ refused, jobs }: WhatIfPlan): boolean =>
  refused.length === 0 && jobs.every(({ pending }) => pending.length === 0)

async function tried(
  io: Io,
  cluster: string,
  body: object,
  options: CommonOptions,
  isFine: (plan: WhatIfPlan) => boolean,
): Promise<ClientExit> {
  const timeoutMs = parseDuration(options.timeout)
  const client = restClient(io, await clusterUrl(io, cluster, options.url), { timeoutMs })
  const plan = await client.post<WhatIfPlan>('/api/v1/what-if', body)
  if (options.json === true) sayJson(io, plan)
  else {
    for (const { key, text } of plan.warnings) warn(io, `${key}: ${text}`)
    say(io, planText(plan, styleOf(io.stdout, io.env)))
  }
  return isFine(plan) ? CLIENT_EXIT.ok : CLIENT_EXIT.commandFailed
}

export function planText(plan: WhatIfPlan, style: Style): string {
  const { hosts, jobs, preempted, refused, quotaLeft } = plan
  const lines = [
    style.paint('Nothing was changed. If it were done now:', 'strong'),
    `${count(hosts.connected, 'host')} connected${hosts.drained > 0 ? `, ${hosts.drained} draining` : ''}${hosts.lost > 0 ? `, ${hosts.lost} lost` : ''}`,
  ]
  for (const { key, detail, remedy, faults } of refused) {
    lines.push('', style.paint(printable(`${key} would be refused: ${detail}`), 'bad'))
    for (const { path, text } of faults) if (text !== detail) lines.push(`  ${printable(path)}: ${printable(text)}`)
    if (remedy !== null) lines.push(`  ${printable(remedy)}`)
  }
  lines.push('', summary(plan))
  if (jobs.length > 0) lines.push('', jobTable(plan, style))
  for (const { key, pending, reasons, details } of jobs) {
    if (pending.length === 0) continue
    const why = reasons.length > 0 ? reasons.join(', ') : (details[0] ?? 'no host takes them')
    lines.push(printable(`${keyText(key)}: ${count(pending.length, 'task')} would stay PENDING: ${why}`))
    for (const text of details.slice(0, DETAILS_MAX)) if (text !== why) lines.push(`  ${printable(text)}`)
  }
  for (const { key, instance, host, inFavorOf } of preempted.slice(0, PREEMPTED_MAX)) {
    lines.push(printable(`${keyText(key)}/${instance} on ${host} would be preempted in favor of ${keyText(inFavorOf)}`))
  }
  if (preempted.length > PREEMPTED_MAX) lines.push(`and ${preempted.length - PREEMPTED_MAX} more`)
  for (const { role, gpus, ...amounts } of quotaLeft) {
    const left = bagText({ ...amounts, ...(gpus === undefined ? {} : { gpus }) })
    lines.push(printable(`Quota left for ${role}: ${left}`))
  }
  lines.push(style.paint(`seed ${plan.seed}`, 'dim'))
  return lines.join('\n')
}

const DETAILS_MAX = 4
const PREEMPTED_MAX = 20

function summary({ jobs, preempted }: WhatIfPlan): string {
  const displaced = jobs.reduce((sum, job) => sum + job.displaced, 0)
  const pending = jobs.reduce((sum, job) => sum + job.pending.length, 0)
  const asked = jobs.reduce((sum, job) => sum + job.asked, 0)
  if (asked === 0) return 'No task has to move and none waits.'
  const moved = displaced === 0 ? '' : `${count(displaced, 'task')} would have to move. `
  const rest =
    pending === 0
      ? asked === 1
        ? 'The task finds a place.'
        : `All ${count(asked, 'task')} find a place.`
      : `${count(pending, 'task')} of ${asked} would find no place.`
  return `${moved}${rest}${preempted.length === 0 ? '' : ` ${count(preempted.length, 'task')} would be preempted.`}`
}

function jobTable({ jobs }: WhatIfPlan, style: Style): string {
  const columns = [
    { head: 'JOB', min: 20 },
    { head: 'LOOK FOR A PLACE', right: true },
    { head: 'MOVED', right: true },
    { head: 'PLACED', right: true },
    { head: 'PENDING', right: true },
    { head: 'WHERE', wraps: true, min: 16 },
  ]
  const rows = jobs.map(({ key, asked, displaced, placed, pending, placements }) => [
    keyText(key),
    String(asked),
    String(displaced),
    String(placed),
    String(pending.length),
    whereText(placements),
  ])
  return tableText(columns, rows, style).trimEnd()
}

/** `h1 (2), h2`: hosts with the number of tasks that go there. */
function whereText(placements: WhatIfPlan['jobs'][number]['placements']): string {
  const counts = new Map<string, number>()
  for (const { host } of placements) counts.set(host, (counts.get(host) ?? 0) + 1)
  const shown = [...counts].slice(0, 8).map(([host, n]) => (n === 1 ? host : `${host} (${n})`))
  return counts.size > shown.length ? `${shown.join(', ')} and ${counts.size - shown.length} more` : shown.join(', ')
}

const count = (n: number, noun: string): string => `${n} ${noun}${n === 1 ? '' : 's'}`
const keyText = ({ role, environment, name }: { role: string; environment: string; name: string }): string =>
  `${role}/${environment}/${name}`
const names = (text: string): string[] =>
  text
    .split(',')
    .map(name => name.trim())
    .filter(name => name !== '')

interface JobsOfFile {
  readonly file: string
  readonly jobs: readonly JobConfiguration[]
}

/** Which of two that have the same key would be meant is not for a trial to guess. */
function namedOnce(files: readonly JobsOfFile[]): readonly JobConfiguration[] {
  const holders = new Map<string, string>()
  const twice: string[] = []
  for (const { file, jobs } of files) {
    for (const { key } of jobs) {
      const job = keyText(key)
      const holder = holders.get(job)
      if (holder === undefined) holders.set(job, file)
      else twice.push(`Job ${job} is in ${holder === file ? `${file} twice` : `${holder} and in ${file}`}`)
    }
  }
  if (twice.length === 0) return files.flatMap(({ jobs }) => jobs)
  throw new CliFailure(CLIENT_EXIT.configuration, twice.join('; '), { remedy: 'Try each job once.' })
}

async function jobsOf(io: Io, cluster: string, argument: string, binds: readonly string[]): Promise<JobsOfFile> {
  const named = /^([^=/]+\/[^=/]+\/[^=/]+)=(.+)$/.exec(argument)
  if (named !== null) {
    const { job, warnings } = await loadJob(io, named[2]!, parseJobKey(`${cluster}/${named[1]}`), binds)
    for (const text of warnings) warn(io, text)
    return { file: named[2]!, jobs: [toJobConfiguration(job.job, io.user)] }
  }
  const { jobs, warnings } = await loadJobs(io, argument, cluster, binds)
  for (const text of warnings) warn(io, text)
  return { file: argument, jobs: jobs.map(({ job }) => toJobConfiguration(job, io.user)) }
}
