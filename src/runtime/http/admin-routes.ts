/** What operators may do to tasks by hand, over REST. Each needs a reason and leaves under a request id. */
import type { FastifyInstance } from 'fastify'
import type * as TaskAdmin from '../../actors/task-admin.ts'
import { taskId } from '../../core/base/ids.ts'
import { rejected } from '../../core/base/rejection.ts'
import * as rest from '../../wire/rest.ts'
import type { HttpDeps, SchedulerDeps } from '../http-server.ts'
import { mutateAt, type Target } from './mutation.ts'
import { parsed, refuse } from './rest-answers.ts'
import { API } from './routes.ts'

const ref = (scheduler: SchedulerDeps) => scheduler.taskAdmin()
const FORCE: Target<TaskAdmin.ForceState, TaskAdmin.Forced> = {
  ref,
  document: ({ taskId, from, to }): rest.ForcedView => ({ taskId, from, to }),
}
const PRUNE: Target<TaskAdmin.PruneTasks, TaskAdmin.Pruned> = {
  ref,
  document: ({ tasks }): rest.PrunedView => ({ tasks }),
}

export function addAdminRoutes(app: FastifyInstance, deps: HttpDeps): void {
  // A task's id has no colon, so what follows the last one is the verb.
  app.post<{ Params: { rest: string } }>(`${API}/tasks/:rest`, (request, reply) => {
    const { rest: end } = request.params
    const colon = end.lastIndexOf(':')
    if (colon < 0 || end.slice(colon + 1) !== 'force-state') return reply.callNotFound()
    const body = parsed(reply, rest.forceState, request.body ?? {})
    if (body === null) return reply
    const { status: to, reason } = body
    const id = taskId(end.slice(0, colon))
    return mutateAt(FORCE, deps, request, reply, { status: 200, body }, mutation => {
      return { type: 'forceState', taskId: id, to, reason, ...mutation }
    })
  })

  app.post(`${API}/tasks::prune`, (request, reply) => {
    const body = parsed(reply, rest.pruneTasks, request.body ?? {})
    if (body === null) return reply
    const { all, limit = null, reason, jobs, ids, statuses, ...parts } = body
    // Never "all" by accident.
    const isFiltered = [jobs, ids, statuses, ...Object.values(parts)].some(part => part !== undefined)
    if (isFiltered === (all === true)) {
      const text = `say either filters or \`all\`, found ${isFiltered ? 'both' : 'neither'}`
      return refuse(
        reply,
        rejected('INVALID_REQUEST', `The request is not valid: ${text}`, { faults: [{ path: '', text }] }),
      )
    }
    const { role = null, environment = null, name = null, instances = null, hosts = null } = parts
    const query = {
      role,
      environment,
      jobName: name,
      jobKeys: jobs ?? null,
      taskIds: ids?.map(taskId) ?? null,
      statuses: statuses ?? null,
      instances,
      hosts,
    }
    return mutateAt(PRUNE, deps, request, reply, { status: 200, body }, mutation => {
      return { type: 'pruneTasks' as const, query, limit, reason, ...mutation }
    })
  })
}
