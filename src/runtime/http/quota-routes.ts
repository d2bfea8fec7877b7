/** Quotas over REST: what roles may use, what they use, and how that is changed. */
import type { FastifyInstance } from 'fastify'
import type * as QuotaKeeper from '../../actors/quota-keeper.ts'
import { isIdentifier } from '../../core/base/ids.ts'
import { rejected } from '../../core/base/rejection.ts'
import type { Quota } from '../../core/ledger/rows.ts'
import * as rest from '../../wire/rest.ts'
import type { HttpDeps } from '../http-server.ts'
import type { Quotas } from '../leader.ts'
import { leading, notReady } from './leader-guard.ts'
import { mutateAt, type Target } from './mutation.ts'
import { readCursor, takePage } from './paging.ts'
import { answer, parsed, refuse } from './rest-answers.ts'
import { API } from './routes.ts'

const QUOTAS: Target<QuotaKeeper.Command, QuotaKeeper.QuotaSet> = {
  ref: scheduler => scheduler.quotas()?.keeper ?? null,
  document: ({ role, quota }): rest.QuotaSetView => ({ role, quota: quotaOf(quota) }),
}

export function addQuotaRoutes(app: FastifyInstance, deps: HttpDeps): void {
  app.get(`${API}/quotas`, (request, reply) => {
    const query = parsed(reply, rest.pageQuery, request.query)
    if (query === null) return reply
    const cursor = readCursor(query.cursor, ['string'])
    if (!cursor.ok) return refuse(reply, cursor.rejection)
    const scheduler = leading(deps, request, reply)
    if (scheduler === null) return reply
    const quotas = scheduler.quotas()
    if (quotas === null) return refuse(reply, notReady())
    const roles = quotas
      .view()
      .roles()
      .map(role => [[role], role] as const)
    const { items, next } = takePage(roles, cursor.after, query.limit)
    return answer(scheduler, reply, { quotas: items.map(role => roleDocument(quotas, role)), next })
  })

  app.get<{ Params: { role: string } }>(`${API}/quotas/:role`, (request, reply) => {
    const scheduler = leading(deps, request, reply)
    if (scheduler === null) return reply
    const quotas = scheduler.quotas()
    if (quotas === null) return refuse(reply, notReady())
    const { role } = request.params
    if (!isIdentifier(role)) return refuse(reply, invalidRole(role))
    return answer(scheduler, reply, roleDocument(quotas, role))
  })

  // A role has no colon, so what follows the last one is the verb.
  app.post<{ Params: { rest: string } }>(`${API}/quotas/:rest`, (request, reply) => {
    const { rest: end } = request.params
    const colon = end.lastIndexOf(':')
    const role = end.slice(0, colon)
    const verb = end.slice(colon + 1)
    if (colon < 0 || (verb !== 'set' && verb !== 'increase')) return reply.callNotFound()
    if (!isIdentifier(role)) return refuse(reply, invalidRole(role))
    if (verb === 'set') {
      const body = parsed(reply, rest.setQuota, request.body)
      if (body === null) return reply
      const quota = quotaOf(body)
      return mutateAt(QUOTAS, deps, request, reply, { status: 200, body }, mutation => {
        return { type: 'setQuota' as const, role, quota, ...mutation }
      })
    }
    const body = parsed(reply, rest.increaseQuota, request.body)
    if (body === null) return reply
    return mutateAt(QUOTAS, deps, request, reply, { status: 200, body }, mutation => {
      return { type: 'increaseQuota' as const, role, by: quotaOf(body), ...mutation }
    })
  })
}

const invalidRole = (role: string) => rejected('INVALID_REQUEST', `Role ${role} is invalid.`)

function roleDocument(quotas: Quotas, role: string): rest.RoleQuota {
  const view = quotas.view()
  const quota = view.quotaOf(role)
  const { prodShared, prodDedicated, nonProdShared, nonProdDedicated } = view.useOf(role)
  return {
    role,
    quota: quota === undefined ? null : quotaOf(quota),
    prodShared: { ...prodShared },
    prodDedicated: { ...prodDedicated },
    nonProdShared: { ...nonProdShared },
    nonProdDedicated: { ...nonProdDedicated },
  }
}

function quotaOf({ cpusMilli, ramMb, diskMb, gpus }: { [K in keyof Quota]: Quota[K] | undefined }): {
  cpusMilli: number
  ramMb: number
  diskMb: number
  gpus?: number
} {
  return {
    cpusMilli: cpusMilli ?? 0,
    ramMb: ramMb ?? 0,
    diskMb: diskMb ?? 0,
    ...(gpus === undefined ? {} : { gpus }),
  }
}
