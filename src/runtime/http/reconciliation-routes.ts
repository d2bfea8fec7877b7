/**
 * What operators may ask of the leader's agent gateway over REST: a comparison of task lists now, and to let go of what a
 * brake holds. Neither changes a row by itself, so asking twice does no harm and no request id is kept.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Ref } from '../../actors/actor.ts'
import type { HeldReleased } from '../../actors/agent-gateway/held-orders.ts'
import type { ReconcileStarted } from '../../actors/agent-gateway/sweeps.ts'
import type * as AgentGateway from '../../actors/agent-gateway.ts'
import { BATCH_TASKS_MAX } from '../../core/agents/reconcile-schedule.ts'
import { type Rejection, rejected } from '../../core/base/rejection.ts'
import * as rest from '../../wire/rest.ts'
import type { HttpDeps } from '../http-server.ts'
import { leading, notReady } from './leader-guard.ts'
import { userOf } from './mutation.ts'
import { answer, asked, parsed, refuse } from './rest-answers.ts'
import { API } from './routes.ts'

const ANSWER_MS_MAX = 10_000

export function addReconciliationRoutes(app: FastifyInstance, deps: HttpDeps): void {
  app.post(`${API}/admin::reconcile`, (request, reply) => {
    const body = parsed(reply, rest.reconcile, request.body ?? {})
    if (body === null) return reply
    const { kind, batchSize = null } = body
    const fault = batchSize === null ? null : batchFault(kind, batchSize)
    if (fault !== null) return refuse(reply, fault)
    return askGateway<ReconcileStarted>(
      deps,
      request,
      reply,
      (user, replyTo) => ({ type: 'reconcile', kind, batchSize, user, replyTo }),
      ({ steps, isUnderWay }): rest.ReconcileStartedView => ({ kind, steps, isUnderWay }),
    )
  })

  app.post(`${API}/admin::release-held`, (request, reply) => {
    const body = parsed(reply, rest.releaseHeld, request.body ?? {})
    if (body === null) return reply
    const { agents: agentIds = null, reason } = body
    return askGateway<HeldReleased>(
      deps,
      request,
      reply,
      (user, replyTo) => ({ type: 'releaseHeld', agentIds, user, reason, replyTo }),
      ({ agents, away }): rest.HeldReleasedView => ({ killed: [...agents], away: [...away] }),
    )
  })
}

function batchFault(kind: 'explicit' | 'implicit', batchSize: number): Rejection | null {
  const path = 'batchSize'
  const fault = (text: string, remedy: string): Rejection =>
    rejected('INVALID_REQUEST', text, { remedy, faults: [{ path, text }] })
  const range = `give a whole number from 1 to ${BATCH_TASKS_MAX}, or leave it out for scheduler.reconciliation.batchSize`
  if (batchSize <= 0 || !Number.isInteger(batchSize)) return fault('Batch size must be greater than zero.', range)
  if (batchSize > BATCH_TASKS_MAX) return fault(`Batch size must be at most ${BATCH_TASKS_MAX}.`, range)
  if (kind === 'implicit')
    return fault('Batch size is for explicit runs.', 'leave it out: an implicit run asks one agent after the other')
  return null
}

async function askGateway<A extends { readonly type: string }>(
  deps: HttpDeps,
  request: FastifyRequest,
  reply: FastifyReply,
  command: (user: string, replyTo: Ref<A | Rejection>) => AgentGateway.Command,
  document: (answer: A) => object,
): Promise<FastifyReply> {
  const user = userOf(request)
  if (typeof user !== 'string') return refuse(reply, user)
  const scheduler = leading(deps, request, reply)
  if (scheduler === null) return reply
  const gateway = scheduler.gateway()
  if (gateway === null) return refuse(reply, notReady())
  const said = await asked(
    scheduler,
    gateway,
    (replyTo: Ref<A | Rejection>) => command(user, replyTo),
    ANSWER_MS_MAX,
    () => rejected('BUSY', `The agent gateway did not answer within ${ANSWER_MS_MAX / 1000} s`),
  )
  return answer(scheduler, reply, said.type === 'rejected' ? (said as Rejection) : document(said as A))
}
