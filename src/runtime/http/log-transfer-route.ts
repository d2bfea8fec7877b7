/**
 * `POST /api/v1/log:transfer`: leadership of the log goes to another member. Asked of a follower it is sent on to the
 * leader. Asking again is harmless: whoever leads already says so.
 */
import type { FastifyInstance } from 'fastify'
import { assertNever } from '../../core/base/assert.ts'
import { type RejectionCode, rejected } from '../../core/base/rejection.ts'
import type { TransferRefusal } from '../../core/log/succession.ts'
import * as rest from '../../wire/rest.ts'
import type { HttpDeps, SchedulerDeps } from '../http-server.ts'
import { notReady, sentOn } from './leader-guard.ts'
import { userOf } from './mutation.ts'
import { parsed, refuse } from './rest-answers.ts'
import { API } from './routes.ts'

const CODES = {
  notLeader: 'NOT_LEADER',
  noSuchMember: 'INVALID_REQUEST',
  notNow: 'HAND_OVER_REFUSED',
} as const satisfies Record<TransferRefusal['why'], RejectionCode>

export function addLogTransferRoute(app: FastifyInstance, deps: HttpDeps): void {
  app.post(`${API}/log::transfer`, async (request, reply) => {
    const body = parsed(reply, rest.transferLog, request.body ?? {})
    if (body === null) return reply
    const user = userOf(request)
    if (typeof user !== 'string') return refuse(reply, user)
    const { scheduler, logger } = deps
    if (scheduler === null) return refuse(reply, notReady())
    if (sentOn(scheduler, request, reply)) return reply
    const outcome = await scheduler.log.transfer(body.to ?? null)
    logger.info('leadership-transfer', { user, to: body.to ?? null, outcome: outcome.type, callId: request.id })
    switch (outcome.type) {
      case 'refused':
        return refuse(reply, rejected(CODES[outcome.why], outcome.detail, { remedy: outcome.remedy }))
      case 'unknown':
        return refuse(reply, rejected('OUTCOME_UNKNOWN', outcome.detail, { remedy: outcome.remedy }))
      case 'already':
        return reply.send(await leaderDocument(scheduler, outcome.memberId, { moved: false, tookMs: 0 }))
      case 'moved':
        return reply.send(await leaderDocument(scheduler, outcome.memberId, { moved: true, tookMs: outcome.tookMs }))
      default:
        return assertNever(outcome)
    }
  })
}

/** Where clients reach the new leader is known once it has connected to this node. */
async function leaderDocument(
  { log }: SchedulerDeps,
  memberId: number,
  how: Pick<rest.LogTransfer, 'moved' | 'tookMs'>,
): Promise<rest.LogTransfer> {
  const { leader } = (await log.status()).view
  return { memberId, httpUrl: leader?.memberId === memberId ? leader.httpUrl : '', ...how }
}
