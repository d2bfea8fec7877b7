/**
 * Lets pages of listed origins use `/api` and `/api/v1` from a browser: the three headers of Aurora, for each origin of
 * the list and not for one alone, with credentials, and preflights are answered. Source: the outside interfaces,
 * sections 7 and 16.
 */
import type { FastifyInstance } from 'fastify'

const METHODS = 'DELETE,GET,HEAD,OPTIONS,POST,PUT'
/** The first four are Aurora's. */
const HEADERS =
  'Accept,Content-Type,Origin,X-Requested-With,Authorization,Idempotency-Key,If-Match,If-None-Match,X-Request-Id,Last-Event-ID'
/** What a page may read of an answer, beside what it always may. */
const EXPOSED = 'ETag,Idempotency-Key,Location,Retry-After,X-Request-Id'
const PREFLIGHT_SECONDS = '600'

export function addCors(app: FastifyInstance, origins: readonly string[]): void {
  if (origins.length === 0) return
  app.addHook('onRequest', async (request, reply) => {
    const path = request.url.split('?')[0] ?? ''
    if (path !== '/api' && !path.startsWith('/api/')) return
    const { origin } = request.headers
    // Aurora has one origin and says it to everybody.
    const allowed = origins.length === 1 ? origins[0] : origins.find(one => one === origin)
    reply.header('vary', 'Origin')
    if (allowed === undefined) return
    reply
      .header('access-control-allow-origin', allowed)
      .header('access-control-allow-methods', METHODS)
      .header('access-control-allow-headers', HEADERS)
      .header('access-control-allow-credentials', 'true')
      .header('access-control-expose-headers', EXPOSED)
    const isPreflight = request.method === 'OPTIONS' && 'access-control-request-method' in request.headers
    if (isPreflight) return reply.code(204).header('access-control-max-age', PREFLIGHT_SECONDS).send()
  })
}
