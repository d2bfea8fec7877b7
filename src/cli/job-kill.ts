import type { Fault } from '../core/base/rejection.ts'
import { type FullKey, fullKeyText } from '../core/job/job-file.ts'
import type { JobDetail, JobOutcomeView, KillJob, Task } from '../wire/rest.ts'
import { clusterUrl } from './clusters.ts'
import { type CommonOptions, parseCount, parseDuration } from './command.ts'
import { CLIENT_EXIT, type ClientExit } from './exit-status.ts'
import { CliFailure, type Io } from './io.ts'
import { instancesText, parseJobAndInstances } from './keys.ts'
import { missingOf, whichThereAre } from './missing-instances.ts'
import { type Progress, progressOn } from './progress.ts'
import { say, sayJson, warn } from './report.ts'
import { jobPath, type RestClient, restClient } from './rest-client.ts'

/**
 * `daybreak job kill KEY/INSTANCES` and `daybreak job killall KEY`. Killing is done when the task has ended, which an
 * agent reports only once nothing of it runs any more; so both wait, batch by batch.
 */
export interface KillOptions extends CommonOptions {
  readonly message?: string
  readonly batchSize?: string
  /** False with `--no-batching`. */
  readonly batching: boolean
  readonly maxTotalFailures: string
}

/** How long a batch may take, ms: Aurora's client polls for as long. */
const BATCH_MS = 254_000

export async function jobKill(io: Io, text: string, options: KillOptions): Promise<ClientExit> {
  const { key, instances } = parseJobAndInstances(text)
  if (instances === null) {
    const text = 'The instances list cannot be omitted in a kill command!; use killall to kill all instances'
    throw new CliFailure(CLIENT_EXIT.notFound, text)
  }
  return kill(io, key, instances, options, 'Job kill succeeded')
}

export async function jobKillAll(io: Io, text: string, options: KillOptions): Promise<ClientExit> {
  const { key, instances } = parseJobAndInstances(text)
  if (instances !== null) {
    throw new CliFailure(CLIENT_EXIT.notFound, 'killall takes no instances; use kill to kill some of them')
  }
  return kill(io, key, null, options, 'Job killall succeeded')
}

async function kill(
  io: Io,
  key: FullKey,
  instances: readonly number[] | null,
  options: KillOptions,
  success: string,
): Promise<ClientExit> {
  const failuresMax = parseCount(options.maxTotalFailures, '--max-total-failures')
  const batchSize = options.batchSize === undefined ? undefined : parseCount(options.batchSize, '--batch-size', 1)
  const timeoutMs = parseDuration(options.timeout)
  const client = restClient(io, await clusterUrl(io, key.cluster, options.url), { timeoutMs })
  const untilMs = timeoutMs === undefined ? undefined : io.now() + timeoutMs
  const detail = await client.find<JobDetail>(jobPath(key))
  const active = detail?.active ?? []
  const victims = active.filter(task => instances === null || instances.includes(task.instance))
  const missing = missingOf(instances ?? [], active)
  const absent = `instances ${instancesText(missing)} are not active`
  if (victims.length === 0) {
    const which = missing.length > 0 ? `: ${absent}` : ''
    throw new CliFailure(CLIENT_EXIT.notFound, `No tasks to kill found for job ${fullKeyText(key)}${which}`, {
      remedy: whichThereAre('active', key, detail, active),
    })
  }
  if (missing.length > 0) warn(io, `Left out: ${absent}; ${whichThereAre('active', key, detail, active)}`)
  const ids = [...new Set(victims.map(task => task.instance))].sort((a, b) => a - b)
  const atOnce = !options.batching || batchSize === undefined
  const size = atOnce ? ids.length : batchSize
  if (instances !== null && isSlaCounted(detail)) warn(io, 'Killing instances without updating SlaPolicy.')
  const killed: number[] = []
  const failed: number[] = []
  const progress = await progressOn(io, options.json === true || !io.stderr.isTTY)
  try {
    await batches(progress)
  } finally {
    progress.end(false)
  }
  if (failed.length > 0) {
    const text = 'Errors occurred while killing instances'
    throw new CliFailure(CLIENT_EXIT.commandFailed, text, { faults: notKilled(failed) })
  }
  if (options.json === true) sayJson(io, { job: fullKeyText(key), killed, notKilledInTime: failed })
  else say(io, success)
  return CLIENT_EXIT.ok

  async function batches(progress: Progress): Promise<void> {
    for (let at = 0; at < ids.length; at += size) {
      const batch = ids.slice(at, at + size)
      // Batches are there so that not too many are away at once: without time to wait for them none is begun.
      if (untilMs !== undefined && failed.length > 0) throw outOfTime(ids.slice(at), failed)
      // The last batch of a killall takes the job itself along, and whatever came to it meanwhile.
      const all = instances === null && at + size >= ids.length
      const target = all ? { all: true as const } : { instances: [...batch] }
      const message = options.message === undefined ? {} : { message: options.message }
      const body: KillJob = { ...target, ...message }
      await client.post<JobOutcomeView>(`${jobPath(key)}:kill`, body)
      const waited = victims.filter(task => batch.includes(task.instance)).map(task => task.taskId)
      progress.show(`${killed.length}/${ids.length} killed, killing ${instancesText(batch)}`)
      const told = (left: readonly Task[]): void => progress.detail(`${left.length} have not ended yet`)
      const left = await untilEnded(io, client, key, { waited, batch }, untilMs ?? io.now() + BATCH_MS, told)
      const late = new Set(left.map(task => task.instance))
      const done = batch.filter(id => !late.has(id))
      killed.push(...done)
      failed.push(...late)
      if (options.json !== true && done.length > 0) {
        progress.aside(() => say(io, `Successfully killed instances ${instancesText(done)}`))
      }
      if (late.size > 0 && atOnce) {
        throw new CliFailure(CLIENT_EXIT.timeout, `Instances ${instancesText([...late])} were not killed in time`)
      }
      if (failed.length > failuresMax) {
        const text = 'Exceeded maximum number of errors while killing instances'
        const remedy = `not killed in time: ${instancesText(failed)}; they are still being killed`
        throw new CliFailure(CLIENT_EXIT.commandFailed, text, { remedy })
      }
    }
  }
}

function outOfTime(left: readonly number[], failed: readonly number[]): CliFailure {
  const text = `Instances ${instancesText([...failed, ...left].sort((a, b) => a - b))} were not killed in time`
  return new CliFailure(CLIENT_EXIT.timeout, text, { remedy: `${instancesText(left)} were not touched` })
}

const notKilled = (instances: readonly number[]): Fault[] =>
  instances.map(id => ({ path: `instance ${id}`, text: 'was not killed in time; it is still being killed' }))

/** Its policy counts instances, or a part of them. */
export function isSlaCounted(detail: JobDetail | null): boolean {
  const type = detail?.config?.slaPolicy?.type
  return type === 'count' || type === 'percentage'
}

/**
 * Waits until nothing that was killed is active any more; gives back what still is when time is up. An instance may have
 * had another task by the time of the kill: what is KILLING right after it is waited for too.
 */
async function untilEnded(
  io: Io,
  client: RestClient,
  key: FullKey,
  { waited, batch }: { readonly waited: readonly string[]; readonly batch: readonly number[] },
  untilMs: number,
  told: (left: readonly Task[]) => void,
): Promise<readonly Task[]> {
  const ids = new Set(waited)
  const instances = new Set(batch)
  for (let round = 0; ; round++) {
    const detail = await client.find<JobDetail>(jobPath(key), { retryUntilMs: untilMs })
    const active = (detail?.active ?? []).filter(task => instances.has(task.instance))
    if (round === 0) for (const task of active) if (task.status === 'KILLING') ids.add(task.taskId)
    const left = active.filter(task => ids.has(task.taskId))
    told(left)
    const delayMs = Math.min(100 * 2 ** Math.floor(round / 5), 2000)
    if (left.length === 0 || io.now() + delayMs > untilMs) return left
    await io.sleep(delayMs)
  }
}
