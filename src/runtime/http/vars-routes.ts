/** The numbers of the node: `/vars` and `/vars.json` as Aurora has them, `/metrics` for Prometheus. */
import type { FastifyInstance } from 'fastify'
import type { HttpDeps } from '../http-server.ts'
import { collectClusterNumbers } from './cluster-numbers.ts'

export function addVarsRoutes(app: FastifyInstance, { metrics, scheduler }: HttpDeps): void {
  if (scheduler !== null) collectClusterNumbers(metrics, scheduler)
  app.get('/vars', async (_request, reply) => {
    const lines = [...(await metrics.vars())].map(([name, value]) => `${name} ${value}`)
    return reply.header('content-type', 'text/plain; charset=utf-8').send(lines.sort().join('\n'))
  })
  app.get<{ Querystring: { pretty?: string } }>('/vars.json', async (request, reply) => {
    const flat = Object.fromEntries(await metrics.vars())
    const text = JSON.stringify(flat, null, request.query.pretty === 'true' ? 2 : 0)
    return reply.header('content-type', 'application/json; charset=utf-8').send(text)
  })
  app.get('/metrics', async (_request, reply) =>
    reply.header('content-type', metrics.contentType).send(await metrics.text()),
  )
}
