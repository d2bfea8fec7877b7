/** Over REST: which roles there are, and what is called so. */
import type { FastifyInstance } from 'fastify'
import type { RoleCounts } from '../../core/ledger/directory.ts'
import { search } from '../../core/ledger/search.ts'
import * as rest from '../../wire/rest.ts'
import type { HttpDeps } from '../http-server.ts'
import { leading } from './leader-guard.ts'
import { type PageKey, readCursor, takePage } from './paging.ts'
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
    const from = cursor.after === null ? '' : String(cursor.after[0])
    const { items, next } = takePage(keyed(scheduler.ledger.view.rolesFrom(from)), cursor.after, query.limit)
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
function* keyed(roles: Iterable<RoleCounts>): Generator<readonly [PageKey, rest.RoleList['roles'][number]]> {
  for (const { role, jobs, cronJobs } of roles) yield [[role], { role, jobs, cronJobs }]
}
