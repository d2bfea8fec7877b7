/** The node and its log over REST: answered by every node, leading or not, and never from staged state. */
import type { FastifyInstance } from 'fastify'
import { rejected } from '../../core/base/rejection.ts'
import type * as rest from '../../wire/rest.ts'
import type { HttpDeps } from '../http-server.ts'
import { notReady } from './leader-guard.ts'
import { openApiDocument } from './openapi.ts'
import { refuse } from './rest-answers.ts'
import { API } from './routes.ts'

const LOG_ENTRIES_MAX = 1000

export function addClusterRoutes(app: FastifyInstance, deps: HttpDeps): void {
  app.get(`${API}/cluster`, async (_request, reply) => {
    const { scheduler, node } = deps
    if (scheduler === null) return refuse(reply, notReady())
    const status = await scheduler.log.status()
    const view = scheduler.leader() ?? status.view
    const { state, waitsFor } = scheduler.life()
    const document: rest.ClusterView = {
      clusterId: status.clusterId,
      memberId: node.memberId,
      role: view.role,
      status: status.status,
      leader: view.leader === null ? null : { memberId: view.leader.memberId, httpUrl: view.leader.httpUrl },
      scheduler: { state, waitsFor },
      commit: status.commit,
      applied: status.applied,
      version: node.version,
    }
    return reply.send(document)
  })

  app.get(`${API}/log/status`, async (_request, reply) => {
    if (deps.scheduler === null) return refuse(reply, notReady())
    return reply.send(await deps.scheduler.log.status())
  })

  app.get<{ Querystring: { from?: string; to?: string } }>(`${API}/log/entries`, async (request, reply) => {
    if (deps.scheduler === null) return refuse(reply, notReady())
    const status = await deps.scheduler.log.status()
    const from = position(request.query.from, Math.max(1, status.begin))
    const to = position(request.query.to, status.commit)
    if (from === null || to === null || to < from) {
      const text = `Bad read range: from ${request.query.from ?? status.begin} to ${request.query.to ?? status.commit}`
      return refuse(
        reply,
        rejected('INVALID_REQUEST', text, {
          remedy: `positions ${status.begin} to ${status.commit} are held and committed`,
        }),
      )
    }
    const last = Math.min(to, from + LOG_ENTRIES_MAX - 1)
    const entries = (await deps.scheduler.log.read(from, last)).map(entry => ({
      position: entry.position,
      ballot: entry.ballot,
      type: entry.type,
      payload: Buffer.from(entry.payload).toString('base64'),
    }))
    return reply.send({ entries, next: last < to ? last + 1 : null })
  })

  app.get(`${API}/openapi.json`, (_request, reply) => reply.send(openApiDocument(deps.node.version)))
}

function position(text: string | undefined, otherwise: number): number | null {
  if (text === undefined) return otherwise
  return /^\d{1,16}$/.test(text) && Number(text) >= 1 ? Number(text) : null
}
