/** `daybreak task why TASK|KEY/INSTANCE`: why a task was placed where it is. */
import { isTerminal } from '../core/task/status.ts'
import type { JobDetail, Task, TaskWhy } from '../wire/rest.ts'
import { clusterUrl } from './clusters.ts'
import { type CommonOptions, parseDuration } from './command.ts'
import { CLIENT_EXIT, type ClientExit } from './exit-status.ts'
import { CliFailure, type Io } from './io.ts'
import { parseTaskInstance } from './keys.ts'
import { whichThereAre } from './missing-instances.ts'
import { say, sayJson } from './report.ts'
import { jobPath, type RestClient, restClient } from './rest-client.ts'
import { printable, styleOf } from './screen.ts'

export interface WhyOptions extends CommonOptions {
  /** Of a task id, which does not name its cluster. */
  readonly cluster?: string
}

export async function taskWhy(io: Io, text: string, options: WhyOptions): Promise<ClientExit> {
  const isKey = text.includes('/')
  const named = isKey ? parseTaskInstance(text) : null
  const cluster = named?.key.cluster ?? options.cluster ?? 'local'
  const client = restClient(io, await clusterUrl(io, cluster, options.url), {
    timeoutMs: parseDuration(options.timeout),
  })
  const id = named === null ? text : await newestTask(client, text, named)
  const why = await client.get<TaskWhy>(`/api/v1/tasks/${encodeURIComponent(id)}/why`)
  if (options.json === true) {
    sayJson(io, why)
    return CLIENT_EXIT.ok
  }
  const style = styleOf(io.stdout, io.env)
  say(io, style.paint(printable(`${why.taskId}  ${why.status}${why.host === null ? '' : ` on ${why.host}`}`), 'strong'))
  if (why.placedAtMs !== null) {
    say(io, `Placed ${new Date(why.placedAtMs).toISOString()} by the leader ${printable(why.scheduler ?? '?')}.`)
  }
  for (const line of why.text) say(io, printable(line))
  return CLIENT_EXIT.ok
}

/** The one that is active, or else the one that ended last. */
async function newestTask(
  client: RestClient,
  text: string,
  { key, instance }: ReturnType<typeof parseTaskInstance>,
): Promise<string> {
  const detail = await client.find<JobDetail>(jobPath(key))
  const known = [...(detail?.active ?? []), ...(detail?.inactive ?? [])]
  const [newest] = known
    .filter(task => task.instance === instance)
    .sort((a, b) => Number(isTerminal(a.status)) - Number(isTerminal(b.status)) || lastMs(b) - lastMs(a))
  if (newest === undefined) {
    throw new CliFailure(CLIENT_EXIT.notFound, `No task of ${text} is known`, {
      remedy: `${whichThereAre('known', key, detail, known)}; ended tasks are forgotten after a while (scheduler.pruning)`,
    })
  }
  return newest.taskId
}

const lastMs = (task: Task): number => task.events.at(-1)?.atMs ?? 0
