/** Why tasks wait and why they are where they are, over REST. Only reads. */
import type { FastifyInstance } from 'fastify'
import type { PendingView, PlacementView } from '../../actors/offer-broker.ts'
import { type JobKey, jobKeyText, taskId } from '../../core/base/ids.ts'
import { rejected } from '../../core/base/rejection.ts'
import type { TaskRow } from '../../core/ledger/rows.ts'
import type { LedgerView } from '../../core/ledger/view.ts'
import type { Explanation } from '../../core/scheduling/explanation.ts'
import { placementStory } from '../../core/scheduling/placement-story.ts'
import type { JobExplanation, TaskWhy } from '../../wire/rest.ts'
import type { HttpDeps } from '../http-server.ts'
import { leading } from './leader-guard.ts'
import { answer } from './rest-answers.ts'
import { API } from './routes.ts'

/** Configurations of one job that are explained in one answer; a job seldom has more than two. */
const GROUPS_MAX = 20

export function addExplainRoutes(app: FastifyInstance, deps: HttpDeps): void {
  app.get<{ Params: { role: string; environment: string; name: string } }>(
    `${API}/jobs/:role/:environment/:name/explain`,
    async (request, reply) => {
      const scheduler = leading(deps, request, reply)
      if (scheduler === null) return reply
      const { role, environment, name } = request.params
      const key: JobKey = { role, environment, name }
      const { view } = scheduler.ledger
      if (view.tasksOfJob(key).length === 0 && view.job(key) === undefined) {
        const remedy = `List the jobs of the role with: daybreak job list CLUSTER/${role}`
        return answer(scheduler, reply, rejected('NOT_FOUND', `Job ${jobKeyText(key)} does not exist`, { remedy }))
      }
      return answer(scheduler, reply, await jobExplanation(view, key, scheduler.placement()))
    },
  )

  app.get<{ Params: { taskId: string } }>(`${API}/tasks/:taskId/why`, (request, reply) => {
    const scheduler = leading(deps, request, reply)
    if (scheduler === null) return reply
    const row = scheduler.ledger.view.task(taskId(request.params.taskId))
    if (row === undefined) {
      return answer(scheduler, reply, rejected('NOT_FOUND', `Task ${request.params.taskId} does not exist`))
    }
    return answer(scheduler, reply, taskWhy(row))
  })
}

async function jobExplanation(view: LedgerView, key: JobKey, placement: PlacementView | null): Promise<JobExplanation> {
  const active = view.activeTasksOfJob(key)
  const waiting = new Set(active.filter(({ status }) => status === 'PENDING').map(({ configId }) => configId))
  const left = new Set([...waiting].slice(GROUPS_MAX))
  const groups = [...waiting].slice(0, GROUPS_MAX).flatMap(configId => placement?.waiting(configId) ?? [])
  const pending: JobExplanation['pending'] = []
  for (const group of groups) {
    const steps = placement?.explain(group.configId) ?? null
    const explained = steps === null ? null : await inSteps(steps)
    // Explaining takes several turns: tasks may have been deleted meanwhile.
    const rows = group.taskIds.map(id => view.task(id)).filter(row => row !== undefined)
    if (explained !== null && rows.length > 0) pending.push(pendingDocument(rows, group, explained))
  }
  const byStatus: Record<string, number> = {}
  for (const { status } of active) byStatus[status] = (byStatus[status] ?? 0) + 1
  return {
    key,
    byStatus,
    pending,
    more: {
      configurations: left.size,
      instances: active
        .filter(({ status, configId }) => status === 'PENDING' && left.has(configId))
        .map(({ instance }) => instance)
        .sort((a, b) => a - b),
    },
    throttled: active
      .filter(({ status }) => status === 'THROTTLED')
      .map(({ instance, readyAtMs, events }) => ({
        instance,
        untilMs: readyAtMs ?? 0,
        why: events.at(-1)?.message ?? '',
      })),
    starting: active
      .filter(({ status }) => status === 'ASSIGNED' || status === 'STARTING')
      .map(({ instance, status, host = '?', events }) => ({
        instance,
        status,
        host,
        sinceMs: events.at(-1)?.atMs ?? 0,
      })),
  }
}

function pendingDocument(
  rows: readonly TaskRow[],
  { penaltyMs, reasons, details }: PendingView,
  { hosts, verdicts, nearest, changes, never }: Explanation,
): JobExplanation['pending'][number] {
  return {
    instances: rows.map(({ instance }) => instance).sort((a, b) => a - b),
    sinceMs: Math.min(...rows.map(({ events }) => events.at(-1)?.atMs ?? 0)),
    nextTryMs: penaltyMs,
    reasons: [...reasons],
    details: [...details],
    hosts,
    verdicts: [...verdicts],
    nearest: nearest.map(({ host, lacks }) => ({ host, lacks: [...lacks] })),
    changes: [...changes],
    never,
  }
}

/** Gives way to everything else between the steps. */
async function inSteps<T>(steps: Generator<undefined, T>): Promise<T> {
  for (;;) {
    const step = steps.next()
    if (step.done === true) return step.value
    await new Promise<void>(resolve => void setImmediate(resolve))
  }
}

function taskWhy(row: TaskRow): TaskWhy {
  const { taskId: id, status, host = null, placement } = row
  const placed = row.events.find(event => event.status === 'ASSIGNED')
  return {
    taskId: id,
    status,
    host,
    placedAtMs: placed?.atMs ?? null,
    scheduler: placed?.scheduler ?? null,
    record:
      placement === undefined
        ? null
        : {
            seed: placement.seed,
            policy: placement.policy,
            tasks: placement.tasks,
            hosts: placement.hosts,
            looked: placement.looked,
            claim: placement.claim ?? null,
            candidates: placement.candidates.map(({ host: on, score, terms }) => ({
              host: on,
              score: score ?? null,
              terms: { ...terms },
            })),
          },
    text: whyText(row),
  }
}

function whyText({ job, status, host, placement }: TaskRow): string[] {
  const command = `daybreak job explain CLUSTER/${jobKeyText(job)}`
  if (placement !== undefined) return [...placementStory(placement)]
  if (host !== undefined) return [`It was placed on ${host} by an earlier release, which kept no record of why.`]
  if (status === 'PENDING') return [`It has no place yet. What it waits for: ${command}`]
  if (status === 'THROTTLED') {
    return [`It has no place yet: it rests, as it has ended too soon several times. Until when: ${command}`]
  }
  return ['It has never had a place.']
}
