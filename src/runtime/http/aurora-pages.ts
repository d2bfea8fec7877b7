/** Aurora's pages for people: `/agents` (which was `/slaves`) and `/utilization`. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import {
  attributesText,
  type Used,
  UTILIZATIONS,
  type Utilization,
  utilization,
  utilizationOf,
} from '../../core/aurora/state-documents.ts'
import { compareIds } from '../../core/base/ids.ts'
import type { LedgerView } from '../../core/ledger/view.ts'
import { EMPTY, plus } from '../../core/quota/bag.ts'
import type { HttpDeps } from '../http-server.ts'
import { leadingPage, whenTrue } from './leader-page.ts'
import { escapeHtml, page, sendHtml, tableHtml } from './page.ts'

export function addAuroraPages(app: FastifyInstance, deps: HttpDeps): void {
  const serve = (request: FastifyRequest, reply: FastifyReply, make: (view: LedgerView) => string): FastifyReply => {
    const scheduler = leadingPage(deps, request, reply)
    if (scheduler === null) return reply
    const text = make(scheduler.ledger.view)
    return whenTrue(scheduler, reply, () => void sendHtml(reply, text))
  }
  for (const path of ['/agents', '/slaves']) app.get(path, (request, reply) => serve(request, reply, agentsPage))

  app.get('/utilization', (request, reply) => serve(request, reply, totalsPage))
  type Params = { readonly metric: string; readonly role?: string }
  for (const path of ['/utilization/:metric', '/utilization/:metric/:role']) {
    app.get<{ Params: Params }>(path, (request, reply) => {
      const { metric, role } = request.params
      const known = utilizationOf(metric)
      if (known !== null) return serve(request, reply, view => utilizationPage(view, known, role ?? null))
      const text = `Invalid metric type.\nIt is ${metric}; known ones: ${UTILIZATIONS.join(', ')}.\n`
      return reply.code(400).type('text/plain; charset=utf-8').send(text)
    })
  }
}

// ---- /agents ------------------------------------------------------------------------------------------------------

function agentsPage(view: LedgerView): string {
  const rows = [...view.agents()].sort((a, b) => compareIds(a.host, b.host) || compareIds(a.agentId, b.agentId))
  const cells = rows.map(row => {
    const host = escapeHtml(row.host)
    return [
      // What an agent says of itself must not run in the browser of who may do more.
      !/^https?:/i.test(row.logUrl ?? '') ? host : `<a href="${escapeHtml(row.logUrl)}">${host}</a>`,
      escapeHtml(row.agentId),
      row.mode,
      escapeHtml(attributesText(row)),
    ]
  })
  const table = tableHtml(['Host', 'Agent ID', 'Maintenance mode', 'Attributes'], cells)
  return page({ title: 'Agents' }, `<h1>Agents</h1>${table}`)
}

// ---- /utilization -------------------------------------------------------------------------------------------------

const AMOUNTS = ['CPU', 'RAM MB', 'Disk MB'] as const
const titleOf = (metric: Utilization): string => metric.toLowerCase().replaceAll('_', ' ')

function totalsPage(view: LedgerView): string {
  const rows = UTILIZATIONS.map(metric => {
    const bag = utilization(view, metric, null).reduce((sum, used) => plus(sum, used.bag), EMPTY)
    return [`<a href="/utilization/${metric}">${titleOf(metric)}</a>`, ...amountCells({ name: metric, bag })]
  })
  return page({ title: 'Utilization' }, `<h1>Utilization</h1>${tableHtml(['Metric', ...AMOUNTS], rows)}`)
}

function utilizationPage(view: LedgerView, metric: Utilization, role: string | null): string {
  const rows = utilization(view, metric, role).map(used => {
    const name = escapeHtml(used.name)
    const path = `/utilization/${metric}/${encodeURIComponent(used.name)}`
    return [role === null ? `<a href="${path}">${name}</a>` : name, ...amountCells(used)]
  })
  const title = role === null ? titleOf(metric) : `${titleOf(metric)} of ${role}`
  const above = `<nav><a href="/utilization">all</a>${role === null ? '' : `<a href="/utilization/${metric}">all roles</a>`}</nav>`
  const table = tableHtml([role === null ? 'Role' : 'Job', ...AMOUNTS], rows)
  return page({ title }, `${above}<h1>${escapeHtml(title)}</h1>${table}`)
}

/** Whole cores and MB: what is begun does not count. */
function amountCells({ bag }: Used): string[] {
  return [Math.trunc(bag.cpusMilli / 1000), Math.trunc(bag.ramMb), Math.trunc(bag.diskMb)].map(String)
}
