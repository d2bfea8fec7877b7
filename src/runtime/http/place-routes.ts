/** Over REST: where tasks can run, in which tiers, and why those that wait do. */
import type { FastifyInstance } from 'fastify'
import { NO_BRAKES } from '../../core/agents/brakes.ts'
import { agentId, compareIds } from '../../core/base/ids.ts'
import { type Rejection, rejected } from '../../core/base/rejection.ts'
import { isProduction } from '../../core/job/tiers.ts'
import type { LedgerView } from '../../core/ledger/view.ts'
import * as rest from '../../wire/rest.ts'
import type { HttpDeps } from '../http-server.ts'
import { leading } from './leader-guard.ts'
import { readCursor, takePage } from './paging.ts'
import { answer, parsed, refuse } from './rest-answers.ts'
import * as views from './rest-views.ts'
import { API } from './routes.ts'

export function addPlaceRoutes(app: FastifyInstance, deps: HttpDeps): void {
  app.get(`${API}/agents`, (request, reply) => {
    const query = parsed(reply, rest.pageQuery, request.query)
    const scheduler = query === null ? null : leading(deps, request, reply)
    if (query === null || scheduler === null) return reply
    const cursor = readCursor(query.cursor, ['string', 'string'])
    if (!cursor.ok) return refuse(reply, cursor.rejection)
    const { view } = scheduler.ledger
    const rows = [...view.agents()].sort((a, b) => compareIds(a.host, b.host) || compareIds(a.agentId, b.agentId))
    const page = takePage(
      rows.map(row => [[row.host, row.agentId], row] as const),
      cursor.after,
      query.limit,
    )
    const agents = page.items.map(row => views.agentDocument(view, row, scheduler.agents(), scheduler.placement()))
    const brakes = scheduler.agents()?.brakes() ?? NO_BRAKES
    return answer(scheduler, reply, { agents, next: page.next, brakes })
  })

  app.get<{ Params: { agentId: string } }>(`${API}/agents/:agentId`, (request, reply) => {
    const scheduler = leading(deps, request, reply)
    if (scheduler === null) return reply
    const { view } = scheduler.ledger
    const row = view.agent(agentId(request.params.agentId))
    if (row === undefined) return answer(scheduler, reply, unknownAgent(view, request.params.agentId))
    return answer(scheduler, reply, views.agentDocument(view, row, scheduler.agents(), scheduler.placement()))
  })

  app.get(`${API}/pending`, (request, reply) => {
    const query = parsed(reply, rest.jobQuery, request.query)
    if (query === null) return reply
    const cursor = readCursor(query.cursor, ['string', 'string'])
    if (!cursor.ok) return refuse(reply, cursor.rejection)
    const scheduler = leading(deps, request, reply)
    if (scheduler === null) return reply
    const keyed = views.pendingGroups(scheduler.ledger.view, query, scheduler.placement(), cursor.after)
    const { items, next } = takePage(keyed, cursor.after, query.limit)
    return answer(scheduler, reply, { pending: [...items], next } satisfies rest.PendingList)
  })

  app.get(`${API}/tiers`, (request, reply) => {
    const scheduler = leading(deps, request, reply)
    if (scheduler === null) return reply
    const { defaultTier, tiers } = scheduler.admission
    const named = Object.entries(tiers).map(([name, tier]) => ({ name, ...tier, production: isProduction(tier) }))
    const list: rest.TierList = { defaultTier, tiers: named.sort((a, b) => compareIds(a.name, b.name)) }
    return answer(scheduler, reply, list)
  })
}

/** People know machines by their names. */
function unknownAgent(view: LedgerView, asked: string): Rejection {
  const ids = [...view.agents()].filter(({ host }) => host === asked).map(row => row.agentId)
  const remedy = ids.length === 0 ? `GET ${API}/agents lists them` : `on host ${asked} is ${ids.join(' and ')}`
  return rejected('NOT_FOUND', `There is no agent ${asked}`, { remedy })
}
