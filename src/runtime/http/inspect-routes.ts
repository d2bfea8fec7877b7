/** `/`, `/inspect` and a page per actor: HTML for people, JSON for programs (Accept, or `?format=json`). */
import type { FastifyInstance } from 'fastify'
import { healthNow } from '../../actors/health.ts'
import type { LogStatusReport } from '../../actors/ports.ts'
import { rejected } from '../../core/base/rejection.ts'
import type { HttpDeps } from '../http-server.ts'
import { leadership } from './health-routes.ts'
import { actorPage, treePage } from './inspect-page.ts'
import { isWaiting, logSection, logStatusNow } from './log-status.ts'
import { escapeHtml, page, sendHtml, wantsJson } from './page.ts'
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
    if (wantsJson(request)) return reply.send(report)
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
    if (!wantsJson(request)) {
      return sendHtml(reply, actorPage(report, actor, { refresh: request.query.refresh !== 'off' }))
    }
    const below = report.actors.filter(one => one.path === path || one.path.startsWith(`${path}/`))
    return reply.send({ ...report, actors: below })
  })
}

function indexPage(deps: HttpDeps, log: LogStatusReport | null): string {
  const reasons = healthNow(deps.health, deps.clock.read().monoMs)
  const health =
    reasons.length === 0
      ? '<span class="good">healthy</span>'
      : `<span class="bad">sick</span>: ${reasons.map(escapeHtml).join('; ')}`
  const leads = { leading: 'this node leads', following: 'another node leads', none: noLeader(deps) }[leadership(deps)]
  const rows = byPath().map(({ methods, path, meaning }) => {
    const isLink = methods.includes('GET') && !path.includes('{')
    const shown = isLink ? `<a href="${path}">${path}</a>` : escapeHtml(path)
    return `<tr><td>${methods.join(' ')}</td><td><code>${shown}</code></td><td>${escapeHtml(meaning)}</td></tr>`
  })
  const { name, version } = deps.node
  return page(
    { title: `Daybreak ${name}`, refreshSecs: isWaiting(log) ? WAITING_REFRESH_SECS : 0 },
    `<h1>Daybreak ${escapeHtml(version)}: ${escapeHtml(name)}</h1><p>${health}; ${deps.scheduler === null ? 'an agent' : leads}</p>${deps.scheduler === null ? '' : logSection(log)}<table><thead><tr><th></th><th>path</th><th>what it tells</th></tr></thead><tbody>${rows.join('')}</tbody></table>`,
  )
}

/** In words, escaped: nobody is known to lead, or this node does and does not serve yet. */
function noLeader({ scheduler }: HttpDeps): string {
  const waitsFor = scheduler?.life().waitsFor ?? null
  if (scheduler?.leader()?.role !== 'LEADER' || waitsFor === null) return 'no leader is known'
  return `this node leads and waits for ${escapeHtml(waitsFor)}`
}

/** A line for each path, though for one that means something else by each method a line for each of them. */
function byPath(): { readonly methods: string[]; readonly path: string; readonly meaning: string }[] {
  const lines = new Map<string, { readonly methods: string[]; readonly path: string; readonly meaning: string }>()
  for (const { method, path, meaning } of ROUTES) {
    if (path === '/') continue
    const known = lines.get(path + meaning)
    if (known === undefined) lines.set(path + meaning, { methods: [method], path, meaning })
    else known.methods.push(method)
  }
  return [...lines.values()]
}
