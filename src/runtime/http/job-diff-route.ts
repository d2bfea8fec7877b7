/** What it would take to make a job what a configuration says, over REST. Only a read. */
import { createHash } from 'node:crypto'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { InstanceId, JobKey } from '../../core/base/ids.ts'
import { type Rejection, rejected } from '../../core/base/rejection.ts'
import { type AdmissionSettings, checkConfiguration } from '../../core/job/admission.ts'
import { configIdOf } from '../../core/job/canonical-config.ts'
import type { JobConfiguration } from '../../core/job/task-config.ts'
import type { LedgerView } from '../../core/ledger/view.ts'
import { type InstanceGroup, jobDiff } from '../../core/update/job-diff.ts'
import * as rest from '../../wire/rest.ts'
import type { HttpDeps } from '../http-server.ts'
import { leading } from './leader-guard.ts'
import { versionOf } from './preconditions.ts'
import { answer, parsed } from './rest-answers.ts'

export function answerJobDiff(deps: HttpDeps, request: FastifyRequest, reply: FastifyReply, key: JobKey): FastifyReply {
  const body = parsed(reply, rest.diffJob, request.body ?? {})
  const scheduler = body === null ? null : leading(deps, request, reply)
  if (body === null || scheduler === null) return reply
  const { ledger, admission } = scheduler
  // The schema is the type: only optional keys differ in how they may be absent.
  return answer(scheduler, reply, diffDocument(ledger.view, key, body as Asked, admission), {
    version: versionOf(ledger.view, key),
  })
}

interface Asked {
  readonly job: JobConfiguration
  readonly instances?: readonly number[]
}

function diffDocument(
  view: LedgerView,
  key: JobKey,
  { job, instances }: Asked,
  admission: AdmissionSettings,
): rest.JobDiffView | Rejection {
  const checked = checkConfiguration(job, admission)
  if ('type' in checked) return checked
  if (view.job(key)?.cron !== undefined || job.cronSchedule !== undefined) {
    return rejected('INVALID_REQUEST', 'Cron jobs are not supported.', {
      remedy: 'A cron job has no instances between its runs that could be compared.',
    })
  }
  const { task } = checked
  const everyHost = task.everyHost === true
  const active = view.activeTasksOfJob(key)
  // On every host the hosts decide how many there are: what is there is compared.
  const last = active.reduce((highest, { instance }) => Math.max(highest, instance), -1)
  const there = everyHost ? active.map(({ instance }) => instance) : null
  const asked = instances === undefined ? null : new Set<InstanceId>(instances)
  const only = there === null ? asked : asked === null ? there : there.filter(id => asked.has(id))
  const diff = jobDiff(active, {
    configId: configIdOf(task, sha256),
    instanceCount: everyHost ? last + 1 : checked.instanceCount,
    only: only === null ? null : new Set<InstanceId>(only),
  })
  const groups = (found: readonly InstanceGroup[]): rest.JobDiffView['remove'] =>
    found.map(({ configId, instances: ids }) => ({ instances: [...ids], config: configDocument(view, configId) }))
  const numbers = (found: readonly InstanceGroup[]): number[] => found.flatMap(({ instances: ids }) => [...ids])
  return {
    key,
    config: task as rest.JobDiffView['config'],
    everyHost,
    active: active.length,
    add: numbers(diff.add),
    remove: groups(diff.remove),
    update: groups(diff.update),
    unchanged: numbers(diff.unchanged),
  }
}

function configDocument(view: LedgerView, id: InstanceGroup['configId']): rest.JobDiffView['remove'][number]['config'] {
  return (view.config(id) ?? null) as rest.JobDiffView['remove'][number]['config']
}

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')
