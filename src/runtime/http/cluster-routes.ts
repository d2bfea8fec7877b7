/** The node and its log over REST: answered by every node, leading or not, and never from staged state. */
import type { FastifyInstance } from 'fastify'
import { rejected } from '../../core/base/rejection.ts'
import { readRangeFault } from '../../core/log/read-range.ts'
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
    // A log may hold nothing at all, such as right after a snapshot: then nothing is what there is to show.
    if (to !== null && from === to + 1 && Object.keys(request.query).length === 0) {
      return reply.send({ entries: [], next: null })
    }
    if (from === null || to === null || to < from) {
      const text = `Bad read range: from ${request.query.from ?? status.begin} to ${request.query.to ?? status.commit}`
      return refuse(reply, rejected('INVALID_REQUEST', text, { remedy: heldText(status) }))
    }
    // Refused at the first page, and not only at the page that would go too far.
    const fault = readRangeFault(from, from, status) ?? readRangeFault(to, to, status)
    if (fault !== null) return refuse(reply, rejected('INVALID_REQUEST', fault, { remedy: heldText(status) }))
    const last = Math.min(to, from + LOG_ENTRIES_MAX - 1)
    try {
      const entries = (await deps.scheduler.log.read(from, last)).map(entry => ({
        position: entry.position,
        ballot: entry.ballot,
        type: entry.type,
        payload: Buffer.from(entry.payload).toString('base64'),
      }))
      return reply.send({ entries, next: last < to ? last + 1 : null })
    } catch (cause) {
      // What the log refuses by name is the caller's range; a damaged record is not.
      if (!(cause instanceof Error) || cause.name !== 'LogReadError' || cause.message.startsWith('DAMAGED')) throw cause
      return refuse(reply, rejected('INVALID_REQUEST', cause.message, { remedy: heldText(status) }))
    }
  })

  app.get(`${API}/openapi.json`, (_request, reply) => reply.send(openApiDocument(deps.node.version)))
}

const heldText = ({ begin, commit }: { readonly begin: number; readonly commit: number }): string =>
  commit < begin || commit === 0
    ? 'no entry is held and committed'
    : `positions ${begin} to ${commit} are held and committed`

function position(text: string | undefined, otherwise: number): number | null {
  if (text === undefined) return otherwise
  return /^\d{1,16}$/.test(text) && Number(text) >= 1 ? Number(text) : null
}
