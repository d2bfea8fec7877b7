import { type FullKey, fullKeyText } from '../core/job/job-file.ts'
import type { JobDetail, JobOutcomeView, RestartJob } from '../wire/rest.ts'
import { clusterUrl } from './clusters.ts'
import { type CommonOptions, parseCount, parseDuration } from './command.ts'
import { CLIENT_EXIT, type ClientExit } from './exit-status.ts'
import { CliFailure, Interrupted, type Io } from './io.ts'
import { instancesText, parseJobAndInstances } from './keys.ts'
import { missingOf, whichThereAre } from './missing-instances.ts'
import { progressOn } from './progress.ts'
import { say, sayJson } from './report.ts'
import { jobPath, type RestClient, restClient } from './rest-client.ts'
import { printable } from './screen.ts'
import { newestTask } from './wait.ts'

/**
 * `daybreak job restart KEY[/INSTANCES]`: a rolling restart driven from here. An instance is healthy once the task that
 * replaced its old one has stayed RUNNING for the watch time; one that does not is tried again, so often, and then
 * counts as failed. More failed instances than allowed end the command, with the status of a failure.
 */
export interface RestartOptions extends CommonOptions {
  readonly batchSize: string
  readonly maxTotalFailures: string
  readonly maxPerInstanceFailures: string
  readonly watchSecs: string
}

/** How long the new tasks of a batch may take until they run, ms. */
const START_MS = 5 * 60_000

export async function jobRestart(io: Io, text: string, options: RestartOptions): Promise<ClientExit> {
  const { key, instances } = parseJobAndInstances(text)
  if (Number(options.maxTotalFailures) < 0) {
    const text = `max_total_failures option must be >0, but you specified ${options.maxTotalFailures}`
    throw new CliFailure(CLIENT_EXIT.notFound, text)
  }
  const failuresMax = parseCount(options.maxTotalFailures, '--max-total-failures')
  const triesMax = parseCount(options.maxPerInstanceFailures, '--max-per-instance-failures') + 1
  const batchSize = parseCount(options.batchSize, '--batch-size', 1)
  const watchMs = parseCount(options.watchSecs, '--watch-secs') * 1000
  const timeoutMs = parseDuration(options.timeout)
  const client = restClient(io, await clusterUrl(io, key.cluster, options.url), { timeoutMs })
  const detail = await client.find<JobDetail>(jobPath(key))
  const active = [...new Set((detail?.active ?? []).map(task => task.instance))].sort((a, b) => a - b)
  const wanted = instances ?? active
  const missing = missingOf(wanted, detail?.active ?? [])
  if (wanted.length === 0 || missing.length > 0) {
    const which = missing.length > 0 ? `: instances ${instancesText(missing)} are not active` : ''
    throw new CliFailure(CLIENT_EXIT.notFound, `No active tasks to restart found for job ${fullKeyText(key)}${which}`, {
      remedy: whichThereAre('active', key, detail, detail?.active ?? []),
    })
  }

  const tries = new Map<number, number>()
  const failed = new Map<number, string>()
  const restarted: number[] = []
  const queue = [...wanted]
  const progress = await progressOn(io)
  let batch: readonly number[] = []
  try {
    await batches()
  } catch (cause) {
    progress.end(false)
    if (cause instanceof Interrupted) io.stderr.write(standingText(restarted, batch, queue))
    throw cause
  }
  progress.end(failed.size === 0)
  const job = fullKeyText(key)
  if (options.json === true) sayJson(io, { job, restarted, failed: [...failed.keys()] })
  else if (failed.size === 0) say(io, `Job ${job} restarted successfully`)
  else say(io, `Job ${job} restarted but for instances ${instancesText(sorted(failed.keys()))}, as many as may fail`)
  return CLIENT_EXIT.ok

  async function batches(): Promise<void> {
    while (queue.length > 0) {
      batch = sorted(queue.splice(0, batchSize))
      // Watching takes its time, and nobody should wonder.
      progress.show(`Restarting instances ${instancesText(batch)}; each must stay RUNNING for ${watchMs / 1000} s`)
      const round = await restartBatch(io, client, key, batch, { watchMs, startMs: timeoutMs ?? START_MS }, running =>
        progress.detail(`${running} of ${batch.length} run, ${restarted.length} of ${wanted.length} are done`),
      )
      const good = batch.filter(id => !round.has(id))
      restarted.push(...good)
      if (good.length > 0 && options.json !== true) {
        progress.aside(() => say(io, `Restarted instances ${instancesText(good)}`))
      }
      for (const [id, why] of round) {
        const tried = (tries.get(id) ?? 0) + 1
        tries.set(id, tried)
        progress.aside(() => io.stderr.write(`Instance ${id}: ${printable(why)}\n`))
        if (tried < triesMax) queue.push(id)
        else failed.set(id, why)
      }
      if (failed.size > failuresMax) {
        const faults = [...failed].map(([id, why]) => ({ path: `instance ${id}`, text: why }))
        const text = `Restart of job ${fullKeyText(key)} stopped: ${failed.size} failed instances, ${failuresMax} allowed`
        throw new CliFailure(CLIENT_EXIT.commandFailed, text, { faults })
      }
    }
  }
}

const sorted = (instances: Iterable<number>): readonly number[] => [...instances].sort((a, b) => a - b)

/** What a command that is broken off leaves behind. */
function standingText(done: readonly number[], begun: readonly number[], left: readonly number[]): string {
  const parts = [
    done.length === 0 ? 'Nothing is restarted yet' : `Restarted: ${instancesText(sorted(done))}`,
    ...(begun.length === 0 ? [] : [`begun: ${instancesText(begun)}`]),
    ...(left.length === 0 ? [] : [`not touched: ${instancesText(sorted(left))}`]),
  ]
  return `${parts.join('; ')}\n`
}

/** Restarts a batch and watches it. Gives the instances that did not become healthy, with the reason. */
async function restartBatch(
  io: Io,
  client: RestClient,
  key: FullKey,
  batch: readonly number[],
  limits: { watchMs: number; startMs: number },
  told: (running: number) => void,
): Promise<ReadonlyMap<number, string>> {
  const before = await client.get<JobDetail>(jobPath(key))
  const old = new Map(batch.map(id => [id, newestTask(before, id)?.taskId]))
  await client.post<JobOutcomeView>(`${jobPath(key)}:restart`, { instances: [...batch] } satisfies RestartJob)
  const startUntilMs = io.now() + limits.startMs
  const running = new Map<number, { taskId: string; sinceMs: number }>()
  const failed = new Map<number, string>()
  for (;;) {
    const detail = await client.get<JobDetail>(jobPath(key), { retryUntilMs: io.now() + limits.startMs })
    const now = io.now()
    for (const id of batch) {
      if (failed.has(id)) continue
      const task = newestTask(detail, id)
      const isNew = task !== null && task.taskId !== old.get(id)
      const seen = running.get(id)
      // An ad-hoc task that has done its work will not run on to be watched.
      if (isNew && task.status === 'FINISHED' && !task.isService) {
        running.set(id, { taskId: task.taskId, sinceMs: now - limits.watchMs })
        continue
      }
      if (seen !== undefined && (task === null || task.taskId !== seen.taskId || task.status !== 'RUNNING')) {
        failed.set(id, `did not stay RUNNING for ${limits.watchMs / 1000} s: ${lastMessage(task)}`)
      } else if (seen === undefined && isNew && task.status === 'RUNNING') {
        running.set(id, { taskId: task.taskId, sinceMs: now })
      } else if (seen === undefined && isNew && task.status === 'FAILED') {
        failed.set(id, lastMessage(task))
      } else if (seen === undefined && now > startUntilMs) {
        failed.set(id, `was not RUNNING in time: ${lastMessage(task)}`)
      }
    }
    const watched = batch.every(id => failed.has(id) || now - (running.get(id)?.sinceMs ?? now + 1) >= limits.watchMs)
    if (watched) return failed
    told(running.size)
    await io.sleep(Math.min(500, Math.max(100, limits.watchMs / 4)))
  }
}

function lastMessage(task: ReturnType<typeof newestTask>): string {
  if (task === null) return 'it is gone'
  const message = task.pendingReason ?? task.events.at(-1)?.message
  return message == null || message === '' ? task.status : `${task.status}: ${message}`
}
