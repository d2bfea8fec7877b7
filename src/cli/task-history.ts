import type { FullKey } from '../core/job/job-file.ts'
import { isTerminal } from '../core/task/status.ts'
import type { JobDetail, Task } from '../wire/rest.ts'
import { clusterUrl } from './clusters.ts'
import { type CommonOptions, parseDuration } from './command.ts'
import { CLIENT_EXIT, type ClientExit } from './exit-status.ts'
import { CliFailure, type Io } from './io.ts'
import { parseTaskInstance } from './keys.ts'
import { whichThereAre } from './missing-instances.ts'
import { say, sayJson } from './report.ts'
import { jobPath, restClient } from './rest-client.ts'
import { printable, styleOf } from './screen.ts'
import { byText } from './task-story.ts'

/** `daybreak task history KEY/INSTANCE`: every event of every task of the instance that is still known, oldest first. */
export async function taskHistory(io: Io, text: string, options: CommonOptions): Promise<ClientExit> {
  const { key, instance } = parseTaskInstance(text)
  const client = restClient(io, await clusterUrl(io, key.cluster, options.url), {
    timeoutMs: parseDuration(options.timeout),
  })
  const detail = await client.find<JobDetail>(jobPath(key))
  const known = [...(detail?.inactive ?? []), ...(detail?.active ?? [])]
  const tasks = known
    .filter(task => task.instance === instance)
    .sort((a, b) => bornMs(a) - bornMs(b) || Number(isTerminal(b.status)) - Number(isTerminal(a.status)))
  if (tasks.length === 0) throw noTask(key, instance, whichThereAre('known', key, detail, known))
  if (options.json === true) {
    sayJson(io, tasks)
    return CLIENT_EXIT.ok
  }
  const style = styleOf(io.stdout, io.env)
  for (const task of tasks) {
    const host = task.host === null ? '' : ` on ${task.host}`
    say(io, style.paint(printable(`${task.taskId}${host}`), 'strong'))
    for (const event of task.events) {
      const by = byText(event)
      const at = style.paint(new Date(event.atMs).toISOString(), 'dim')
      const what = [event.status, event.message ?? ''].filter(part => part !== '').join(': ')
      say(io, `  ${at}  ${printable(what)}${by === '' ? '' : style.paint(`  (${printable(by)})`, 'dim')}`)
    }
  }
  return CLIENT_EXIT.ok
}

const bornMs = (task: Task): number => task.events[0]?.atMs ?? 0

function noTask({ role, environment, name }: FullKey, instance: number, which: string): CliFailure {
  return new CliFailure(
    CLIENT_EXIT.notFound,
    `No task of instance ${instance} of ${role}/${environment}/${name} is known`,
    {
      remedy: `${which}; ended tasks are forgotten after a while (scheduler.pruning)`,
    },
  )
}
