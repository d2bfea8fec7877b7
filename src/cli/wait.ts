import { isTerminal, type TaskStatus } from '../core/task/status.ts'
import type { JobDetail, PendingList, Task } from '../wire/rest.ts'
import { CLIENT_EXIT } from './exit-status.ts'
import { CliFailure, type Io } from './io.ts'
import { progressOn } from './progress.ts'
import { jobPath, type RestClient } from './rest-client.ts'
import { printable } from './screen.ts'

/**
 * Waits until all instances of a job are where the user wants them, shows on the way how many are, and why those that
 * are not placed are pending. Ends with a failure as soon as waiting has become pointless.
 */
export type WaitGoal = 'PENDING' | 'RUNNING' | 'FINISHED'

/** A service is restarted for ever; after so many failed runs of an instance nobody should wait any longer. */
const SERVICE_FAILURES_MAX = 3
export const WAIT_MS = 5 * 60_000

export interface WaitState {
  readonly done: boolean
  readonly failure: string | null
  /** `2/3 RUNNING, 1 PENDING` */
  readonly summary: string
  /** One line each: what keeps an instance back. */
  readonly reasons: readonly string[]
}

/** Of `--wait` and `--wait-until`; without either nothing is waited for. */
export function goalOf(options: { readonly wait?: boolean; readonly waitUntil?: string }): WaitGoal {
  const wanted = (options.waitUntil ?? (options.wait === true ? 'RUNNING' : 'PENDING')).toUpperCase()
  if (wanted === 'PENDING' || wanted === 'RUNNING' || wanted === 'FINISHED') return wanted
  throw new CliFailure(CLIENT_EXIT.usage, `--wait-until is PENDING, RUNNING or FINISHED, not '${options.waitUntil}'`)
}

/**
 * Where the wait stands. `wanted`: instances that are waited for; of a job on every host it is those that there are, and
 * one on each host.
 */
export function waitState(detail: JobDetail, wanted: readonly number[], goal: WaitGoal): WaitState {
  const { everyHost } = detail
  const instances = everyHost === undefined ? wanted : detail.active.map(({ instance }) => instance)
  const newest = instances.map(instance => newestTask(detail, instance))
  const there = newest.filter(task => task !== null && reached(task.status, goal))
  const counts = new Map<string, number>()
  for (const task of newest) {
    const status = task?.status ?? 'missing'
    counts.set(status, (counts.get(status) ?? 0) + 1)
  }
  const goalText = goal === 'PENDING' ? 'accepted' : goal
  const others = [...counts].filter(([status]) => status !== goal).map(([status, count]) => `${count} ${status}`)
  const served = everyHost === undefined ? [] : [`${everyHost.served} of ${everyHost.hosts} hosts have an instance`]
  const summary = [`${there.length}/${instances.length} ${goalText}`, ...others, ...served].join(', ')
  const reasons = newest
    .filter(task => task?.status === 'PENDING' && task.pendingReason !== null)
    .map(task => `pending: ${task?.pendingReason}`)
  const failure = newest.map(task => (task === null ? null : hopeless(task, detail, goal))).find(text => text !== null)
  const isEverywhere = everyHost === undefined || (everyHost.hosts > 0 && everyHost.served === everyHost.hosts)
  const done = isEverywhere && there.length === instances.length
  return { done, failure: done ? null : (failure ?? null), summary, reasons: [...new Set(reasons)] }
}

/** The task that stands for an instance: the active one, else the newest that ended. */
export function newestTask(detail: JobDetail, instance: number): Task | null {
  const of = (tasks: readonly Task[]): Task | undefined => {
    const mine = tasks.filter(task => task.instance === instance)
    return mine.reduce<Task | undefined>((a, b) => (a === undefined || startedAt(b) > startedAt(a) ? b : a), undefined)
  }
  return of(detail.active) ?? of(detail.inactive) ?? null
}

export async function waitForJob(
  io: Io,
  client: RestClient,
  options: {
    key: { role: string; environment: string; name: string }
    instances: readonly number[]
    goal: WaitGoal
    timeoutMs: number | undefined
    /** Shows nothing on the way. */
    quiet: boolean
  },
): Promise<JobDetail> {
  const untilMs = io.now() + (options.timeoutMs ?? WAIT_MS)
  const progress = await progressOn(io, options.quiet)
  let last: WaitState | null = null
  try {
    for (let round = 0; ; round++) {
      const detail = await client.get<JobDetail>(jobPath(options.key), { retryUntilMs: untilMs })
      const state = waitState(detail, options.instances, options.goal)
      const reasons = state.reasons.length === 0 ? [] : await withDetails(client, options.key, state.reasons, untilMs)
      last = { ...state, reasons }
      progress.show([last.summary, ...last.reasons.map(reason => `  ${printable(reason)}`)].join('\n'))
      if (state.done) {
        progress.end(true)
        return detail
      }
      if (state.failure !== null) throw new CliFailure(CLIENT_EXIT.commandFailed, state.failure)
      const delayMs = round < 20 ? 100 : 500
      if (io.now() + delayMs > untilMs) throw timedOut(options.goal, last)
      await io.sleep(delayMs)
    }
  } finally {
    progress.end(false)
  }
}

function reached(status: TaskStatus, goal: WaitGoal): boolean {
  if (goal === 'PENDING') return true
  if (goal === 'FINISHED') return status === 'FINISHED'
  return status === 'RUNNING' || status === 'FINISHED'
}

/** Why an instance will not get where it is waited for, or null. */
function hopeless(task: Task, detail: JobDetail, goal: WaitGoal): string | null {
  if (goal === 'PENDING') return null
  if (isTerminal(task.status)) {
    if (task.status === 'FINISHED' && !task.isService) return null
    if (task.status === 'KILLED' || !task.isService) return ended(task)
  }
  if (!task.isService) return null
  const failed = detail.inactive.filter(old => old.instance === task.instance && old.status === 'FAILED')
  if (Math.max(failed.length, task.failureCount) < SERVICE_FAILURES_MAX) return null
  const newest = failed.reduce<Task | undefined>((a, b) => (a && startedAt(a) > startedAt(b) ? a : b), undefined)
  return newest === undefined ? `Instance ${task.instance} has failed ${task.failureCount} times` : ended(newest)
}

function ended(task: Task): string {
  const message = task.events.findLast(event => event.message !== null && event.message !== '')?.message
  return `Instance ${task.instance} is ${task.status}${message == null ? '' : `: ${message}`}`
}

/** The scheduler's longer explanation, where it has one. */
async function withDetails(
  client: RestClient,
  key: { role: string; environment: string; name: string },
  reasons: readonly string[],
  untilMs: number,
): Promise<readonly string[]> {
  const { role, environment, name } = key
  const query = new URLSearchParams({ role, environment, name, limit: '1000' })
  const found = await client.find<PendingList>(`/api/v1/pending?${query}`, { retryUntilMs: untilMs })
  const mine = (found?.pending ?? []).filter(entry => {
    return entry.job.role === key.role && entry.job.environment === key.environment && entry.job.name === key.name
  })
  // Where the explanation has no more to say than the reason, once is enough.
  const details = mine
    .flatMap(entry => entry.details)
    .filter(detail => !reasons.includes(`pending: ${detail}`))
    .map(detail => `  ${detail}`)
  return [...reasons, ...new Set(details)]
}

function timedOut(goal: WaitGoal, state: WaitState): CliFailure {
  const why = state.reasons.length === 0 ? '' : ` (${state.reasons.map(reason => reason.trim()).join('; ')})`
  const text = `Not all instances were ${goal} in time: ${state.summary}${why}`
  return new CliFailure(CLIENT_EXIT.timeout, text, { remedy: 'the job goes on; `daybreak job status` shows it' })
}

const startedAt = (task: Task): number => task.events[0]?.atMs ?? 0
