/** `/`, `/inspect` and a page per actor: HTML for people, JSON for programs (Accept, or `?format=json`). */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { healthNow } from '../../actors/health.ts'
import type { LogStatusReport } from '../../actors/ports.ts'
import { rejected } from '../../core/base/rejection.ts'
import type { HttpDeps } from '../http-server.ts'
import { leadership } from './health-routes.ts'
import { actorPage, treePage } from './inspect-page.ts'
import { isWaiting, logSection, logStatusNow } from './log-status.ts'
import { escapeHtml, page } from './page.ts'
import { sendProblem } from './problem.ts'
import { ROUTES } from './routes.ts'

/** While the log of the node waits for something, its page shows it as it is now. */
const WAITING_REFRESH_SECS = 5

type Query = { format?: string; refresh?: string }

export function addInspectRoutes(app: FastifyInstance, deps: HttpDeps): void {
  app.get('/', async (_request, reply) => {
    const log = deps.scheduler === null ? null : await logStatusNow(deps.scheduler.log)
    return sendHtml(reply, indexPage(deps, log))
  })

  app.get<{ Querystring: Query }>('/inspect', async (request, reply) => {
    const report = await deps.inspect()
    if (wantsJson(request, request.query)) return reply.send(report)
    return sendHtml(reply, treePage(report, { refresh: request.query.refresh !== 'off' }))
  })

  app.get<{ Params: { '*': string }; Querystring: Query }>('/inspect/*', async (request, reply) => {
    const path = `/${request.params['*'].replace(/\/+$/, '')}`
    const report = await deps.inspect()
    const actor = report.actors.find(one => one.path === path)
    if (actor === undefined) {
      const end = path.slice(path.lastIndexOf('/') + 1)
      const near = report.actors
        .filter(one => one.path.includes(end))
        .slice(0, 5)
        .map(one => one.path)
      const remedy = near.length === 0 ? 'see /inspect for all of them' : `did you mean ${near.join(', ')}?`
      sendProblem(reply, rejected('NOT_FOUND', `There is no actor ${path}`, { remedy }))
      return reply
    }
    if (!wantsJson(request, request.query)) {
      return sendHtml(reply, actorPage(report, actor, { refresh: request.query.refresh !== 'off' }))
    }
    const below = report.actors.filter(one => one.path === path || one.path.startsWith(`${path}/`))
    return reply.send({ ...report, actors: below })
  })
}

/** HTML only for those who ask for it first. */
function wantsJson(request: FastifyRequest, query: Query): boolean {
  if (query.format !== undefined) return query.format === 'json'
  const accept = request.headers.accept ?? ''
  const json = accept.indexOf('json')
  const html = accept.indexOf('text/html')
  return html < 0 ? json >= 0 : json >= 0 && json < html
}

function sendHtml(reply: FastifyReply, text: string): FastifyReply {
  return reply.header('content-type', 'text/html; charset=utf-8').header('cache-control', 'no-store').send(text)
}

function indexPage(deps: HttpDeps, log: LogStatusReport | null): string {
  const reasons = healthNow(deps.health, deps.clock.read().monoMs)
  const health =
    reasons.length === 0
      ? '<span class="good">healthy</span>'
      : `<span class="bad">sick</span>: ${reasons.map(escapeHtml).join('; ')}`
  const leads = { leading: 'this node leads', following: 'another node leads', none: 'no leader is known' }[
    leadership(deps)
  ]
  const rows = ROUTES.filter(route => route.path !== '/').map(({ method, path, meaning }) => {
    const shown = method === 'GET' && !path.includes('{') ? `<a href="${path}">${path}</a>` : escapeHtml(path)
    return `<tr><td>${method}</td><td><code>${shown}</code></td><td>${escapeHtml(meaning)}</td></tr>`
  })
  const { name, version } = deps.node
  return page(
    { title: `Daybreak ${name}`, refreshSecs: isWaiting(log) ? WAITING_REFRESH_SECS : 0 },
    `<h1>Daybreak ${escapeHtml(version)}: ${escapeHtml(name)}</h1><p>${health}; ${deps.scheduler === null ? 'an agent' : leads}</p>${deps.scheduler === null ? '' : logSection(log)}<table><thead><tr><th></th><th>path</th><th>what it tells</th></tr></thead><tbody>${rows.join('')}</tbody></table>`,
  )
}
