/** Jobs over REST: the list, one job, and what can be done to it. Changes leave through `mutation.ts`. */
import type { FastifyInstance, FastifyReply } from 'fastify'
import { type JobKey, jobKeyText } from '../../core/base/ids.ts'
import { rejected } from '../../core/base/rejection.ts'
import type { JobConfiguration } from '../../core/job/task-config.ts'
import * as rest from '../../wire/rest.ts'
import type { HttpDeps } from '../http-server.ts'
import { answerJobDiff } from './job-diff-route.ts'
import { leading } from './leader-guard.ts'
import { mutate } from './mutation.ts'
import { type PageKey, readCursor, takePage } from './paging.ts'
import { isKnown, readTags, versionOf } from './preconditions.ts'
import { answer, NOT_MODIFIED, parsed, refuse } from './rest-answers.ts'
import * as views from './rest-views.ts'
import { API } from './routes.ts'

interface JobParams {
  readonly role: string
  readonly environment: string
  /** The name, with `:kill` and the like behind it. */
  readonly rest: string
}

export function addJobRoutes(app: FastifyInstance, deps: HttpDeps): void {
  app.get(`${API}/jobs`, (request, reply) => {
    const query = parsed(reply, rest.jobQuery, request.query)
    const scheduler = query === null ? null : leading(deps, request, reply)
    if (query === null || scheduler === null) return reply
    const cursor = readCursor(query.cursor, ['string'])
    if (!cursor.ok) return refuse(reply, cursor.rejection)
    const { view } = scheduler.ledger
    const after = cursor.after === null ? null : String(cursor.after[0])
    const keyed = (function* (): Generator<readonly [PageKey, JobKey]> {
      for (const key of views.matchingJobs(view, query, after)) yield [[jobKeyText(key)], key]
    })()
    const page = takePage(keyed, cursor.after, query.limit)
    return answer(scheduler, reply, {
      jobs: page.items.map(key => views.jobSummaryDocument(view, key)),
      next: page.next,
    })
  })

  app.post(`${API}/jobs`, (request, reply) => {
    const body = parsed(reply, rest.createJob, request.body)
    if (body === null) return reply
    // The schema is the type: only optional keys differ in how they may be absent.
    const job = body.job as JobConfiguration
    return mutate(deps, request, reply, { status: 201, body }, mutation => ({ type: 'create', job, ...mutation }))
  })

  app.get<{ Params: JobParams }>(`${API}/jobs/:role/:environment/:rest`, (request, reply) => {
    const { key, verb } = jobOf(request.params)
    if (verb !== null) return reply.callNotFound()
    const unless = readTags('if-none-match', request, reply)
    const scheduler = unless === null ? null : leading(deps, request, reply)
    if (unless === null || scheduler === null) return reply
    const { view } = scheduler.ledger
    const version = versionOf(view, key)
    if (isKnown(version, unless)) return answer(scheduler, reply, NOT_MODIFIED, { version })
    const placement = scheduler.placement()
    const reasons = views.pendingReasons(placement)
    const detail = views.jobDetailDocument(view, key, reasons, placement)
    return answer(scheduler, reply, detail ?? rejected('NOT_FOUND', `Job ${jobKeyText(key)} does not exist`), {
      version,
    })
  })

  app.post<{ Params: JobParams }>(`${API}/jobs/:role/:environment/:rest`, (request, reply) => {
    const { key, verb } = jobOf(request.params)
    if (verb === 'kill') {
      const body = parsed(reply, rest.killJob, request.body ?? {})
      const which = body === null ? null : chosen(reply, body)
      if (body === null || which === null) return reply
      const { instances } = which
      return mutate(deps, request, reply, { status: 200, body }, mutation => ({
        type: 'kill',
        key,
        instances,
        message: body.message ?? null,
        ...mutation,
      }))
    }
    if (verb === 'restart') {
      const body = parsed(reply, rest.restartJob, request.body ?? {})
      const which = body === null ? null : chosen(reply, body)
      if (body === null || which === null) return reply
      return mutate(deps, request, reply, { status: 200, body }, mutation => ({
        type: 'restart',
        key,
        instances: which.instances,
        ...mutation,
      }))
    }
    if (verb === 'add') {
      const body = parsed(reply, rest.addInstances, request.body ?? {})
      if (body === null) return reply
      return mutate(deps, request, reply, { status: 200, body }, mutation => ({
        type: 'add',
        key,
        ...body,
        ...mutation,
      }))
    }
    if (verb === 'diff') return answerJobDiff(deps, request, reply, key)
    return reply.callNotFound()
  })
}

/** A job's name has no colon, so what follows the last one is the verb. */
function jobOf({ role, environment, rest: end }: JobParams): { readonly key: JobKey; readonly verb: string | null } {
  const colon = end.lastIndexOf(':')
  if (colon < 0) return { key: { role, environment, name: end }, verb: null }
  return { key: { role, environment, name: end.slice(0, colon) }, verb: end.slice(colon + 1) }
}

/** Never "all" by accident: one of the two has to be said. */
function chosen(
  reply: FastifyReply,
  { instances, all }: { readonly instances?: readonly number[] | undefined; readonly all?: true | undefined },
): { readonly instances: readonly number[] | null } | null {
  if ((instances === undefined) !== (all === undefined)) return { instances: instances ?? null }
  const found = instances === undefined ? 'neither' : 'both'
  const fault = { path: '', text: `say either \`instances\` or \`all\`, found ${found}` }
  refuse(reply, rejected('INVALID_REQUEST', `The request is not valid: ${fault.text}`, { faults: [fault] }))
  return null
}
