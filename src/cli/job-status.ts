import { isActive, type TaskStatus } from '../core/task/status.ts'
import type { JobDetail, JobList, JobSummary, Task } from '../wire/rest.ts'
import { clusterUrl, knownClusters } from './clusters.ts'
import { type CommonOptions, parseDuration } from './command.ts'
import { CLIENT_EXIT, type ClientExit } from './exit-status.ts'
import { CliFailure, type Io } from './io.ts'
import { type JobPattern, parseJobPattern } from './keys.ts'
import { say, sayJson, warn } from './report.ts'
import { everyPage, jobPath, type RestClient, restClient } from './rest-client.ts'
import { durationText, type Paint, printable, type Style, styleOf } from './screen.ts'
import { tableText } from './table.ts'
import { byText, storyOf } from './task-story.ts'

/** `daybreak job status PATTERN` and `daybreak job list PATTERN` */

export interface StatusOptions extends CommonOptions {
  readonly writeJson?: boolean
  readonly verbose?: boolean
}

const INACTIVE_MAX = 5

export async function jobStatus(io: Io, text: string, options: StatusOptions): Promise<ClientExit> {
  const pattern = parseJobPattern(text)
  const { found, exit } = await findJobs(io, pattern, options)
  if (options.json === true || options.writeJson === true) {
    // Scripts of Aurora's client expect status 0 and this text.
    if (found.length === 0) sayJson(io, { jobspec: text, error: 'No matching jobs found' })
    else
      sayJson(
        io,
        found.map(({ cluster, detail }) => ({
          job: fullKey(cluster, detail.job),
          active: detail.active,
          inactive: detail.inactive,
        })),
      )
    return exit
  }
  if (found.length === 0) {
    // It may well be in the cluster that was not asked.
    throw new CliFailure(exit === CLIENT_EXIT.ok ? CLIENT_EXIT.notFound : exit, `Found no jobs matching ${text}`)
  }
  const style = styleOf(io.stdout, io.env)
  const shown = found.map(({ cluster, detail }) => {
    return options.verbose === true ? auroraText(cluster, detail) : statusText(cluster, detail, io.now(), style)
  })
  io.stdout.write(shown.join('\n'))
  return exit
}

export async function jobList(io: Io, text: string, options: CommonOptions): Promise<ClientExit> {
  const pattern = parseJobPattern(text)
  const { found, exit } = await overClusters(io, pattern, options, async (cluster, client) =>
    (await listJobs(client, pattern)).map(summary => ({ cluster, summary })),
  )
  if (options.json === true) {
    sayJson(
      io,
      found.map(({ cluster, summary }) => ({ job: fullKey(cluster, summary), ...summary })),
    )
  } else if (!io.stdout.isTTY) {
    for (const { cluster, summary } of found) say(io, fullKey(cluster, summary))
  } else if (found.length === 0) {
    say(io, `No jobs match ${text}`)
  } else {
    const columns = [
      { head: 'JOB', min: 20 },
      { head: 'KIND', worth: 3 },
      { head: 'WANTED', right: true, worth: 4 },
      { head: 'ACTIVE', right: true, worth: 5 },
      { head: 'STATUS', wraps: true },
      { head: 'TIER', worth: 2 },
      { head: 'CREATED BY', worth: 1 },
    ]
    const rows = found.map(({ cluster, summary }) => [
      fullKey(cluster, summary),
      summary.kind,
      String(summary.instanceCount),
      String(summary.active),
      countsText(summary),
      summary.tier,
      summary.createdBy ?? '',
    ])
    io.stdout.write(tableText(columns, rows, styleOf(io.stdout, io.env)))
  }
  return exit
}

/** One job as a table of its instances, and the newest that ended. */
export function statusText(cluster: string, detail: JobDetail, nowMs: number, style: Style): string {
  const { job, everyHost } = detail
  const wanted =
    everyHost === undefined
      ? `${job.kind === 'adhoc' ? 'ad-hoc' : job.kind}, ${job.instanceCount} wanted`
      : everyHostText(everyHost)
  const head = `${style.paint(fullKey(cluster, job), 'strong')}  ${wanted}, ${countsText(job)}\n`
  const isWaiting = detail.active.some(({ status }) => status === 'PENDING')
  const hint = isWaiting ? `What they wait for: daybreak job explain ${fullKey(cluster, job)}\n` : ''
  const active = detail.active.length === 0 ? '' : taskTable(detail.active, nowMs, style) + hint
  const ended = [...detail.inactive].sort((a, b) => lastAt(b) - lastAt(a)).slice(0, INACTIVE_MAX)
  if (ended.length === 0) return head + active
  const more = detail.inactive.length - ended.length
  const title = `${style.paint('ended', 'strong')}${more > 0 ? ` (the newest ${ended.length} of ${detail.inactive.length})` : ''}\n`
  return `${head}${active}${active === '' ? '' : '\n'}${title}${taskTable(ended, nowMs, style)}`
}

function everyHostText({ hosts, served }: NonNullable<JobDetail['everyHost']>): string {
  if (hosts === 0) return 'on every host: none is connected that its constraints allow'
  return `on every host: ${served} of ${hosts} ${hosts === 1 ? 'host' : 'hosts'}`
}

function taskTable(tasks: readonly Task[], nowMs: number, style: Style): string {
  const columns = [
    { head: 'INST', right: true },
    { head: 'STATUS' },
    { head: 'FOR', right: true },
    { head: 'HOST', min: 12 },
    { head: 'PORTS', min: 12 },
    { head: 'FAILED', right: true, worth: 1 },
    { head: 'MESSAGE', wraps: true, min: 20 },
  ]
  const rows = tasks.map(task => [
    String(task.instance),
    { text: task.status, ...paintOf(task.status) },
    durationText(nowMs - lastAt(task)),
    task.host ?? '',
    Object.entries(task.ports)
      .map(([name, port]) => `${name}:${port}`)
      .join(' '),
    String(task.failureCount),
    messageOf(task),
  ])
  return tableText(columns, rows, style)
}

/** Aurora's own text, for eyes and scripts that know it. */
export function auroraText(cluster: string, detail: JobDetail): string {
  const lines: string[] = [fullKey(cluster, detail.job)]
  const section = (title: string, tasks: readonly Task[]): void => {
    lines.push(`${title} tasks (${tasks.length}):`)
    for (const task of tasks) {
      const { role, environment, name } = task.job
      const on = task.host === null ? '' : ` on ${task.host}`
      lines.push(
        `\tTask role: ${role}, env: ${environment}, name: ${name}, instance: ${task.instance}, status: ${task.status}${on}`,
      )
      const { cpusMilli, ramMb, diskMb } = task.resources
      lines.push(`\t  CPU: ${cpusMilli / 1000} core(s), RAM: ${ramMb} MB, Disk: ${diskMb} MB`)
      if (Object.keys(task.ports).length > 0) {
        lines.push(
          `\t  assigned ports: {${Object.entries(task.ports)
            .map(([port, number]) => `${port}: ${number}`)
            .join(', ')}}`,
        )
        lines.push(`\t  failure count: ${task.failureCount} (max ${task.maxTaskFailures})`)
      }
      lines.push('\t  events:')
      for (const event of task.events)
        lines.push(
          `\t   ${localTime(event.atMs)} ${event.status}: ${printable(event.message ?? '')}${behind(byText(event))}`,
        )
      if (task.metadata.length > 0) {
        lines.push('\t  metadata:')
        for (const { key, value } of task.metadata)
          lines.push(`\t\t  (key: '${printable(key)}', value: '${printable(value)}')`)
      }
      lines.push('')
    }
  }
  section('Active', detail.active)
  section('Inactive', detail.inactive)
  return `${lines.join('\n')}\n`
}

interface FoundJob {
  readonly cluster: string
  readonly detail: JobDetail
}

async function findJobs(io: Io, pattern: JobPattern, options: CommonOptions): Promise<Found<FoundJob>> {
  return overClusters(io, pattern, options, async (cluster, client) => {
    const found: FoundJob[] = []
    const keys = pattern.exact ? [pattern] : (await listJobs(client, pattern)).map(summary => summary.key)
    for (const key of keys) {
      const detail = await client.find<JobDetail>(jobPath(key))
      if (detail !== null) found.push({ cluster, detail })
    }
    return found
  })
}

/** Of all clusters that match. Where there are several, one that cannot be reached hides nothing of the others. */
async function overClusters<T>(
  io: Io,
  pattern: JobPattern,
  options: CommonOptions,
  read: (cluster: string, client: RestClient) => Promise<readonly T[]>,
): Promise<Found<T>> {
  const found: T[] = []
  const clients = await clientsOf(io, pattern, options)
  const lost: CliFailure[] = []
  for (const [cluster, client] of clients) {
    try {
      found.push(...(await read(cluster, client)))
    } catch (cause) {
      // Away, or not for this user: no reason to hide what the others say.
      const isOfOne = cause instanceof CliFailure && OF_ONE_CLUSTER.has(cause.exit)
      if (!isOfOne) throw cause
      lost.push(cause)
    }
  }
  if (lost.length === clients.length) throw lost[0]
  for (const { message } of lost) warn(io, message)
  return { found, exit: (lost[0]?.exit ?? CLIENT_EXIT.ok) as ClientExit }
}

const OF_ONE_CLUSTER: ReadonlySet<number> = new Set([CLIENT_EXIT.network, CLIENT_EXIT.authentication])

interface Found<T> {
  readonly found: readonly T[]
  /** How to end when all else went well. */
  readonly exit: ClientExit
}

async function clientsOf(
  io: Io,
  pattern: JobPattern,
  options: CommonOptions,
): Promise<readonly [string, RestClient][]> {
  const timeoutMs = parseDuration(options.timeout)
  if (pattern.cluster !== '*') {
    return [[pattern.cluster, restClient(io, await clusterUrl(io, pattern.cluster, options.url), { timeoutMs })]]
  }
  const known = options.url === undefined ? await knownClusters(io) : [{ name: 'local', url: options.url }]
  return known.map(({ name, url }) => [name, restClient(io, url, { timeoutMs })])
}

async function listJobs(client: RestClient, pattern: JobPattern): Promise<readonly JobSummary[]> {
  const parts = (['role', 'environment', 'name'] as const).filter(part => pattern[part] !== '*')
  const query = Object.fromEntries(parts.map(part => [part, pattern[part]]))
  return (await everyPage(client, '/api/v1/jobs', (page: JobList) => page.jobs, query)).items
}

function fullKey(cluster: string, job: { key: { role: string; environment: string; name: string } }): string {
  return `${cluster}/${job.key.role}/${job.key.environment}/${job.key.name}`
}

function countsText(job: JobSummary): string {
  const all = Object.entries(job.byStatus).filter(([, count]) => count > 0)
  const active = all.filter(([status]) => isActive(status as TaskStatus))
  // What has ended says something only when nothing goes on.
  const counts = active.length > 0 ? active : all
  return counts.length === 0 ? 'no tasks' : counts.map(([status, count]) => `${count} ${status}`).join(', ')
}

function messageOf(task: Task): string {
  if (task.pendingReason !== null) return task.pendingReason
  return storyOf(task)
}

function paintOf(status: TaskStatus): { paint?: Paint } {
  if (status === 'RUNNING' || status === 'FINISHED') return { paint: 'good' }
  if (status === 'FAILED' || status === 'LOST') return { paint: 'bad' }
  return status === 'KILLED' ? { paint: 'dim' } : { paint: 'busy' }
}

/** Aurora's line has no room for who and why, so they come behind. */
const behind = (text: string): string => (text === '' ? '' : ` (${printable(text)})`)

/** `2026-01-31 23:59:59`, in the time of whoever looks. */
function localTime(atMs: number): string {
  const at = new Date(atMs)
  const two = (n: number): string => String(n).padStart(2, '0')
  const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`
  return `${day} ${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`
}

const lastAt = (task: Task): number => task.events.at(-1)?.atMs ?? 0
