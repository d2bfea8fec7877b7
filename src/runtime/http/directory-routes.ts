/** Over REST: which roles there are, and what is called so. */
import type { FastifyInstance } from 'fastify'
import { compareIds } from '../../core/base/ids.ts'
import { search } from '../../core/ledger/search.ts'
import type { LedgerView } from '../../core/ledger/view.ts'
import * as rest from '../../wire/rest.ts'
import type { HttpDeps } from '../http-server.ts'
import { leading } from './leader-guard.ts'
import { readCursor, takePage } from './paging.ts'
import { answer, parsed, refuse } from './rest-answers.ts'
import { API } from './routes.ts'

export function addDirectoryRoutes(app: FastifyInstance, deps: HttpDeps): void {
  app.get(`${API}/roles`, (request, reply) => {
    const query = parsed(reply, rest.pageQuery, request.query)
    if (query === null) return reply
    const cursor = readCursor(query.cursor, ['string'])
    if (!cursor.ok) return refuse(reply, cursor.rejection)
    const scheduler = leading(deps, request, reply)
    if (scheduler === null) return reply
    const keyed = rolesOf(scheduler.ledger.view).map(role => [[role.role], role] as const)
    const { items, next } = takePage(keyed, cursor.after, query.limit)
    return answer(scheduler, reply, { roles: [...items], next } satisfies rest.RoleList)
  })

  app.get(`${API}/search`, (request, reply) => {
    const query = parsed(reply, rest.searchQuery, request.query)
    const scheduler = query === null ? null : leading(deps, request, reply)
    if (query === null || scheduler === null) return reply
    const { hits, hasMore } = search(scheduler.ledger.view, query.q, query.limit)
    return answer(scheduler, reply, { hits: [...hits], hasMore } satisfies rest.SearchFound)
  })
}

/** Roles that have jobs, or tasks of jobs that are gone; by name. */
function rolesOf(view: LedgerView): rest.RoleList['roles'] {
  const roles = new Map<string, { role: string; jobs: number; cronJobs: number }>()
  for (const key of view.jobKeys()) {
    const role = roles.get(key.role) ?? { role: key.role, jobs: 0, cronJobs: 0 }
    role.jobs += 1
    if (view.job(key)?.cron !== undefined) role.cronJobs += 1
    roles.set(key.role, role)
  }
  return [...roles.values()].sort((a, b) => compareIds(a.role, b.role))
}
