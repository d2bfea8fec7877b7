import { fullKeyText } from '../core/job/job-file.ts'
import type { AddInstances, JobDetail, JobOutcomeView } from '../wire/rest.ts'
import { clusterUrl } from './clusters.ts'
import { type CommonOptions, parseCount, parseDuration } from './command.ts'
import { CLIENT_EXIT, type ClientExit } from './exit-status.ts'
import type { Io } from './io.ts'
import { isSlaCounted } from './job-kill.ts'
import { instancesText, parseTaskInstance } from './keys.ts'
import { say, sayJson, warn } from './report.ts'
import { jobPath, restClient } from './rest-client.ts'
import { goalOf, waitForJob } from './wait.ts'

/** `daybreak job add KEY/INSTANCE COUNT`: more of what that instance is. */
export interface AddOptions extends CommonOptions {
  readonly wait?: boolean
  readonly waitUntil?: string
}

export async function jobAdd(io: Io, text: string, countText: string, options: AddOptions): Promise<ClientExit> {
  const { key, instance } = parseTaskInstance(text)
  const count = parseCount(countText, 'count', 1)
  const goal = goalOf(options)
  const timeoutMs = parseDuration(options.timeout)
  const client = restClient(io, await clusterUrl(io, key.cluster, options.url), { timeoutMs })
  if (isSlaCounted(await client.find<JobDetail>(jobPath(key)))) {
    warn(io, 'Adding instances without updating SlaPolicy.')
  }
  const body: AddInstances = { like: instance, count }
  const { instances } = await client.post<JobOutcomeView>(`${jobPath(key)}:add`, body)
  const isJson = options.json === true
  if (!isJson) say(io, `Added instances ${instancesText(instances)} to ${fullKeyText(key)}`)
  if (goal !== 'PENDING') {
    await waitForJob(io, client, { key, instances, goal, timeoutMs, quiet: isJson })
    if (!isJson) say(io, goal === 'FINISHED' ? 'All of them have FINISHED' : 'All of them are RUNNING')
  }
  if (isJson) sayJson(io, { job: fullKeyText(key), instances })
  return CLIENT_EXIT.ok
}
