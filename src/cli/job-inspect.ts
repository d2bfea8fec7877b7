import { executorData, ordersOf, portsOf, toJobConfiguration } from '../core/job/job-configuration.ts'
import { fullKeyText } from '../core/job/job-file.ts'
import type { CommonOptions } from './command.ts'
import { CLIENT_EXIT, type ClientExit } from './exit-status.ts'
import type { Io } from './io.ts'
import { loadJob } from './job-file-text.ts'
import { parseJobKey } from './keys.ts'
import { say, sayJson, warn } from './report.ts'
import { printable, styleOf } from './screen.ts'

export interface InspectOptions extends CommonOptions {
  readonly bind?: string[]
}

/** `daybreak job inspect KEY FILE`: what the file says once its variables are filled in. Needs no scheduler. */
export async function jobInspect(io: Io, keyText: string, path: string, options: InspectOptions): Promise<ClientExit> {
  const key = parseJobKey(keyText)
  const { job: read, warnings } = await loadJob(io, path, key, options.bind ?? [])
  for (const text of warnings) warn(io, text)
  if (options.json === true) {
    sayJson(io, toJobConfiguration(read.job, io.user))
    return CLIENT_EXIT.ok
  }
  const { job } = read
  const { task } = job
  const style = styleOf(io.stdout, io.env)
  const line = (indent: number, name: string, value: unknown): void => {
    say(io, `${' '.repeat(indent)}${style.paint(`${name}:`, 'dim')} ${printable(String(value))}`)
  }
  const list = (values: readonly string[]): string => (values.length === 0 ? 'none' : values.join(', '))
  say(io, style.paint(fullKeyText(read.key), 'strong'))
  line(2, 'kind', job.service ? 'service' : 'ad-hoc')
  if (!job.every_host) line(2, 'instances', job.instances)
  line(2, 'tier', job.tier ?? "the cluster's default")
  line(2, 'priority', job.priority)
  if (!job.service) line(2, 'max task failures', job.max_task_failures)
  if (job.contact !== undefined) line(2, 'contact', job.contact)
  if (job.every_host) line(2, 'every host', 'one instance on each that the constraints allow')
  if (job.gang !== undefined) line(2, 'gang', job.gang === true ? 'all instances' : job.gang)
  const weighed = (job.prefer ?? []).map(
    ({ attribute, values, weight }) => `${attribute}=${values.join(',')} (${weight})`,
  )
  if (weighed.length > 0) line(2, 'prefer', list(weighed))
  if (job.spread !== undefined)
    line(2, 'spread', list(job.spread.map(({ attribute, weight }) => `${attribute} (${weight})`)))
  line(2, 'constraints', list(Object.entries(job.constraints ?? {}).map(([name, rule]) => `${name}=${rule}`)))
  line(2, 'ports', list(portsOf(job)))
  line(2, 'metadata', list(job.metadata.map(({ key, value }) => `${key}=${value}`)))
  say(io, `  ${style.paint('task', 'strong')} ${printable(task.name)}`)
  const { cpu, ram, disk, gpu } = task.resources
  const gpus = gpu > 0 ? `, ${gpu} gpus` : ''
  line(
    4,
    'resources',
    `${cpu} cores, ${Math.floor(ram / 1_048_576)} MB RAM, ${Math.floor(disk / 1_048_576)} MB disk${gpus}`,
  )
  const orders = ordersOf(task).map(({ order }) => order.join(' → '))
  line(4, 'order', orders.length === 0 ? 'all at once' : orders.join('; '))
  line(4, 'finalization wait', `${task.finalization_wait} s`)
  for (const process of task.processes) {
    const marks = (['daemon', 'ephemeral', 'final'] as const).filter(mark => process[mark])
    const shown = marks.length === 0 ? '' : ` (${marks.join(', ')})`
    say(io, `    ${style.paint('process', 'strong')} ${printable(process.name)}${shown}`)
    for (const text of process.cmdline.trimEnd().split('\n')) say(io, `      ${printable(text)}`)
  }
  line(2, 'size of the configuration', `${Buffer.byteLength(executorData(job))} bytes`)
  return CLIENT_EXIT.ok
}
