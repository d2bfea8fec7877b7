/**
 * What every request passes before its handler: who it is (before the body is read), and whether they may (once it is).
 * And behind the handler: one line of audit for each change that was asked for. Without a guard everybody may do
 * everything, and only pages of other origins are kept out. See docs/design/0024-security.md.
 */
import { isIP } from 'node:net'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { type Rejection, rejected } from '../../core/base/rejection.ts'
import { type Permission, permissionText } from '../../core/security/permission.ts'
import { REQUEST_ID_HEADER, USER_HEADER } from '../../wire/rest.ts'
import type { HttpDeps } from '../http-server.ts'
import { type Guard, type Subject, unauthenticated } from '../security/guard.ts'
import { sendProblem } from './problem.ts'
import { needOfRequest, type RouteNeed } from './route-needs.ts'
import { missingRoute } from './routes.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** Who asks; null while security is off, and nobody proves anything then. */
    subject: Subject | null
  }
}

/** As Aurora names itself; browsers remember a password under it. */
const AURORA_CHALLENGE = 'BASIC realm="Apache Aurora Scheduler"'
const CHALLENGES = ['Basic realm="Daybreak", charset="UTF-8"', 'Bearer realm="Daybreak"']
export const NO_JOB_KEY = 'Missing or invalid job key from request.'

export function addGate(app: FastifyInstance, deps: HttpDeps): void {
  const guard = deps.guard ?? null
  app.decorateRequest('subject', null)

  /** False: the reply has been sent. */
  const admitted = async (guard: Guard, request: FastifyRequest, reply: FastifyReply): Promise<boolean> => {
    const who = await subjectOf(guard, request)
    if (!('type' in who)) {
      request.subject = who
      return true
    }
    request.subject = null
    deps.logger.info('login-refused', { from: fromOf(request), path: pathOf(request), why: who.detail })
    deps.metrics.count('logins_refused_total')
    refuse(reply, who)
    return false
  }

  app.addHook('onRequest', async (request, reply) => {
    if (request.is404) return
    const need = needOfRequest(request)
    if (need?.type === 'open') return
    const foreign = isChange(request, need) ? foreignOrigin(request, deps) : null
    if (foreign !== null) return refuse(reply, foreign)
    if (guard === null) return
    if (!(await admitted(guard, request, reply))) return reply
    if (need === null) {
      const { rejection, status, allow } = missingRoute(request.method, request.url)
      if (allow !== null) reply.header('allow', allow)
      return refuse(reply, rejection, status)
    }
    if (request.subject?.name === null && !isForAnyone(need, guard)) return refuse(reply, unauthenticated(LOG_IN))
  })

  app.addHook('preHandler', async (request, reply) => {
    if (guard === null || request.is404) return
    const need = needOfRequest(request)
    if (need === null || need.type === 'open') return
    // A body may take its time; who has been taken out meanwhile does not get in with it.
    if (request.subject === null || !guard.isCurrent(request.subject)) {
      if (!(await admitted(guard, request, reply))) return reply
      if (request.subject?.name === null && !isForAnyone(need, guard)) return refuse(reply, unauthenticated(LOG_IN))
    }
    if (need.type !== 'permission') return
    const permission = need.of(request)
    if (permission === null) {
      deps.metrics.count('shiro_bad_requests')
      return refuse(reply, rejected('INVALID_REQUEST', NO_JOB_KEY))
    }
    const refusal = refusalOf(request.subject ?? guard.nobody, permission)
    if (refusal === null) return
    deps.metrics.count('shiro_authorization_failures')
    return refuse(reply, refusal)
  })

  app.addHook('onResponse', (request, reply, done) => {
    const need = request.is404 ? null : needOfRequest(request)
    if (need?.type === 'permission' && need.isChange) {
      const outcome = String(reply.statusCode)
      audit(deps, request, { what: `${request.method} ${pathOf(request)}`, outcome })
    }
    done()
  })
}

/** Null: they may. Texts: the outside interfaces, section 7. */
export function refusalOf(subject: Subject, permission: Permission): Rejection | null {
  if (subject.name === null) return unauthenticated(LOG_IN)
  if (subject.may(permission)) return null
  const text = permissionText(permission)
  const detail =
    permission.job === null
      ? `Subject ${subject.name} lacks permission ${text}`
      : `Subject ${subject.name} is not permitted to ${text}.`
  return rejected('AUTH_FAILED', detail, {
    remedy: `who keeps security.yaml of the scheduler nodes can grant \`${text}\` to ${subject.name} or a role of theirs`,
  })
}

/** 401 for a call whose body says that it needs somebody. */
export function challenge(reply: FastifyReply): FastifyReply {
  return refuse(reply, unauthenticated(LOG_IN))
}

/** One line: who, from where, what, and what came of it. */
export function audit(
  { logger, guard }: HttpDeps,
  request: FastifyRequest,
  { what, outcome }: { readonly what: string; readonly outcome: string },
): void {
  const claimed = guard == null ? request.headers[USER_HEADER] : undefined
  const user = request.subject?.name ?? (typeof claimed === 'string' ? claimed.slice(0, 255) : nameless(guard))
  const requestId = request.headers[REQUEST_ID_HEADER]
  logger.info('audit', {
    user,
    from: fromOf(request),
    what,
    outcome,
    ...(typeof requestId === 'string' ? { requestId: requestId.slice(0, 255) } : {}),
  })
}

const pathOf = ({ url }: FastifyRequest): string => url.split('?')[0] ?? url

function fromOf({ socket: { remoteAddress = '?', remotePort = 0 } }: FastifyRequest): string {
  return `${remoteAddress}:${remotePort}`
}

/** Who stands for somebody without a name: nobody can have one, or this one has not shown theirs. */
export const nameless = (guard: Guard | null | undefined): string => (guard == null ? 'UNSECURE' : 'anonymous')

const LOG_IN = 'This needs somebody who has shown who they are'

async function subjectOf(guard: Guard, { headers, socket }: FastifyRequest): Promise<Subject | Rejection> {
  const { authorization } = headers
  return authorization === undefined ? guard.nobody : guard.identify(authorization, socket.remoteAddress ?? '?')
}

/** Which call it is stands in the body of Thrift's, so that is looked at later. */
function isForAnyone({ type }: RouteNeed, { reads }: Guard): boolean {
  return type === 'thrift' || (type === 'read' && reads === 'anyone')
}

const isChange = ({ method }: FastifyRequest, need: RouteNeed | null): boolean =>
  method !== 'GET' && method !== 'HEAD' && need?.type !== 'read'

/**
 * A browser sends a request of any page, with the passwords it remembers, and to loopback too; `Origin` says whose page it
 * is. Programs send none. Where nobody has to show anything, a page of a name of its own is foreign even when `Host` is
 * that name: whoever owns it can let it stand for this address.
 */
function foreignOrigin(
  { headers, protocol }: FastifyRequest,
  { guard, corsOrigins, ownHost }: HttpDeps,
): Rejection | null {
  const { origin, host } = headers
  if (origin === undefined || corsOrigins?.includes(origin) === true) return null
  const url = URL.canParse(origin) ? new URL(origin) : null
  const isOwnName = (name: string): boolean =>
    name === 'localhost' || name === ownHost || isIP(name.replace(/^\[|\]$/g, '')) > 0
  // What came in clear may be a page of somebody in between.
  const isAsSafe = protocol !== 'https' || url?.protocol === 'https:'
  if (url !== null && isAsSafe && url.host === host && (guard != null || isOwnName(url.hostname))) return null
  return rejected('AUTH_FAILED', `A page of ${origin.slice(0, 255)} may not change anything here`, {
    remedy: 'list its origin in http.corsOrigins of the scheduler nodes if it may',
  })
}

function refuse(reply: FastifyReply, rejection: Rejection, status?: number): FastifyReply {
  if (rejection.code === 'UNAUTHENTICATED') {
    const isThrift = /^\/api(beta|$)/.test(reply.request.routeOptions.url ?? '')
    reply.header('www-authenticate', isThrift ? AURORA_CHALLENGE : CHALLENGES)
  }
  sendProblem(reply, rejection, status)
  return reply
}
