/**
 * The call id: one HTTP request in the answer's `X-Request-Id`, in log lines and in problem documents, so that what a user
 * was told can be found in the log. Not the request id of a change (`Idempotency-Key`): a retry is another call.
 */
import { randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { FastifyInstance } from 'fastify'

export const CALL_ID_HEADER = 'x-request-id'
/** Safe in a header and as one word of a log line. */
const SANE = /^[\w.:@/+=~-]{1,128}$/

/** The caller's own id where it gave a sane one, else a new one. */
export function callIdOf({ headers }: Pick<IncomingMessage, 'headers'>): string {
  const given = headers[CALL_ID_HEADER]
  return typeof given === 'string' && SANE.test(given) ? given : randomUUID()
}

/** Every answer says it, those that are written past the framework too. */
export function addCallIds(app: FastifyInstance): void {
  app.addHook('onRequest', (request, reply, done) => {
    reply.raw.setHeader(CALL_ID_HEADER, request.id)
    done()
  })
}
