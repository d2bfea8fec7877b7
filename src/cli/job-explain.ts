/** `daybreak job explain KEY`: why tasks of a job wait, and what would help. */
import type { JobExplanation } from '../wire/rest.ts'
import { clusterUrl } from './clusters.ts'
import { type CommonOptions, parseDuration } from './command.ts'
import { CLIENT_EXIT, type ClientExit } from './exit-status.ts'
import type { Io } from './io.ts'
import { parseJobKey } from './keys.ts'
import { say, sayJson } from './report.ts'
import { jobPath, restClient } from './rest-client.ts'
import { durationText, printable, type Style, styleOf } from './screen.ts'
import { tableText } from './table.ts'

export async function jobExplain(io: Io, keyText: string, options: CommonOptions): Promise<ClientExit> {
  const key = parseJobKey(keyText)
  const client = restClient(io, await clusterUrl(io, key.cluster, options.url), {
    timeoutMs: parseDuration(options.timeout),
  })
  const explained = await client.get<JobExplanation>(`${jobPath(key)}/explain`)
  if (options.json === true) sayJson(io, explained)
  else say(io, explanationText(keyText, explained, io.now(), styleOf(io.stdout, io.env)).trimEnd())
  return CLIENT_EXIT.ok
}

export function explanationText(key: string, explained: JobExplanation, nowMs: number, style: Style): string {
  const { byStatus, pending, more, throttled, starting } = explained
  const counts = Object.entries(byStatus).map(([status, count]) => `${count} ${status}`)
  const lines = [`${style.paint(key, 'strong')}  ${counts.length === 0 ? 'no active tasks' : counts.join(', ')}`]
  for (const group of pending) lines.push('', ...groupLines(group, nowMs, style))
  if (more.configurations > 0) lines.push('', ...wrapped(moreText(key, explained), style))
  if (throttled.length > 0) lines.push('', ...throttledLines(throttled, nowMs))
  if (starting.length > 0) lines.push('', ...startingLines(starting, nowMs))
  if (pending.length + more.configurations + throttled.length + starting.length === 0)
    lines.push('', 'Nothing of this job waits for a place.')
  return lines.join('\n')
}

type Group = JobExplanation['pending'][number]

function groupLines(group: Group, nowMs: number, style: Style): string[] {
  const { instances, sinceMs, nextTryMs, reasons, details, never, verdicts, nearest, changes, hosts } = group
  const which = instances.length === 1 ? `Instance ${instances[0]} has` : `Instances ${rangesText(instances)} have`
  const why = reasons.length > 0 ? reasons.join(', ') : (details[0] ?? 'not tried yet')
  const lines = [
    ...wrapped(`${which} waited for a place for ${durationText(nowMs - sinceMs)}: ${printable(why)}`, style),
    `Tried again ${nextTryMs < 1000 ? 'within a second' : `in ${durationText(nextTryMs)}`}, or at once when something changes that may help.`,
  ]
  const doing = details.filter(
    text => text.startsWith('preempting') || text.startsWith('no preemption') || text.startsWith('instance '),
  )
  for (const text of doing) lines.push(...wrapped(printable(text), style))
  if (never !== null) lines.push(...wrapped(printable(never), style).map(line => style.paint(line, 'bad')))
  if (hosts === 0)
    return [...lines, 'No agent has registered: start one, or see why it does not (daybreak cluster status).']
  const table = verdicts.map(({ text, hosts: count }) => [String(count), text])
  lines.push(
    '',
    ...tableText(
      [
        { head: 'HOSTS', right: true },
        { head: 'WHY NOT', wraps: true },
      ],
      table,
      style,
    )
      .trimEnd()
      .split('\n'),
  )
  if (nearest.length > 0) {
    lines.push('', style.paint('Nearest', 'dim'))
    for (const { host, lacks } of nearest)
      lines.push(...wrapped(`${printable(host)} ${printable(lacks.join('; '))}`, style, '  '))
  }
  if (changes.length > 0) {
    lines.push('', style.paint('What would help', 'dim'))
    for (const { text } of changes.slice(0, CHANGES_MAX)) lines.push(...wrapped(printable(text), style, '  '))
  } else if (never === null && !verdicts.some(({ text }) => text === 'Fits now')) {
    lines.push('', 'No single change opens a host: on each of them several things stand in the way.')
  }
  return lines
}

const CHANGES_MAX = 6

function throttledLines(throttled: JobExplanation['throttled'], nowMs: number): string[] {
  return throttled.map(({ instance, untilMs, why }) => {
    return `Instance ${instance} rests for another ${durationText(Math.max(0, untilMs - nowMs))}: ${printable(why)}`
  })
}

function startingLines(starting: JobExplanation['starting'], nowMs: number): string[] {
  return starting.map(({ instance, status, host, sinceMs }) => {
    return `Instance ${instance} has been ${status} on ${printable(host)} for ${durationText(nowMs - sinceMs)}: its agent has yet to say that it runs.`
  })
}

function moreText(key: string, { more, pending }: JobExplanation): string {
  const { configurations, instances } = more
  const waits = configurations === 1 ? '1 more configuration waits' : `${configurations} more configurations wait`
  const which = `${instances.length === 1 ? 'instance' : 'instances'} ${rangesText(instances)}`
  return `${waits} (${which}); the first ${pending.length} are looked at here. Why each task waits, in short: daybreak job status ${key}`
}

/** Lines of the terminal's width at most, unless a word is longer; from the second on further in. */
function wrapped(text: string, { width }: Style, indent = ''): string[] {
  const lines: string[] = []
  let line = indent
  for (const word of text.split(' ')) {
    const isFirst = line.trim() === ''
    if (!isFirst && line.length + 1 + word.length > width) {
      lines.push(line)
      line = `${indent}  ${word}`
    } else line += isFirst ? word : ` ${word}`
  }
  return [...lines, line]
}

/** `0-3, 7` */
function rangesText(sorted: readonly number[]): string {
  const ranges: [number, number][] = []
  for (const instance of sorted) {
    const last = ranges.at(-1)
    if (last !== undefined && last[1] + 1 === instance) last[1] = instance
    else ranges.push([instance, instance])
  }
  return ranges.map(([from, to]) => (from === to ? String(from) : `${from}-${to}`)).join(', ')
}
