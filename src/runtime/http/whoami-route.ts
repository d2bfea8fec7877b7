/** `GET /api/v1/whoami`: who somebody is to this node, what they may, and whether a permission is among it. */
import type { FastifyInstance } from 'fastify'
import { rejected } from '../../core/base/rejection.ts'
import { readPermission } from '../../core/security/permission.ts'
import * as rest from '../../wire/rest.ts'
import { PERMITTED_CALLS } from '../security/permitted-calls.ts'
import { userOf } from './mutation.ts'
import { parsed, refuse } from './rest-answers.ts'
import { API } from './routes.ts'

export function addWhoamiRoute(app: FastifyInstance): void {
  app.get(`${API}/whoami`, (request, reply) => {
    const query = parsed(reply, rest.whoamiQuery, request.query)
    if (query === null) return reply
    const user = userOf(request)
    if (typeof user !== 'string') return refuse(reply, user)
    const { subject } = request
    const who = { user, isSecured: subject !== null, permissions: [...(subject?.permissions ?? ['*'])] }
    if (query.may === undefined) return reply.send(who satisfies rest.Whoami)
    const permission = readPermission(query.may, PERMITTED_CALLS)
    if (permission === null) {
      const text = 'must be SERVICE:CALL, and :ROLE:ENVIRONMENT:NAME for a call on a job, without * and commas'
      return refuse(reply, rejected('INVALID_REQUEST', `may ${text}`, { faults: [{ path: 'may', text }] }))
    }
    return reply.send({ ...who, may: subject === null || subject.may(permission) } satisfies rest.Whoami)
  })
}
