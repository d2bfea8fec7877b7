/**
 * Who may answer: what rests on the leader's state is sent on to the leader (307), and answered here only while this
 * node leads, its rows are loaded and all that acts for the cluster has begun. Source: the outside interfaces, section 1.
 */
import type { FastifyReply, FastifyRequest } from 'fastify'
import { REJECTIONS, type Rejection, rejected } from '../../core/base/rejection.ts'
import type { HttpDeps, SchedulerDeps } from '../http-server.ts'
import { sendProblem } from './problem.ts'

const BYPASS_HEADER = 'bypass-leader-redirect'

/** The scheduler to use, or null when the reply has been sent. */
export function leading(deps: HttpDeps, request: FastifyRequest, reply: FastifyReply): SchedulerDeps | null {
  const { scheduler } = deps
  if (scheduler === null) {
    const remedy = 'this process is only an agent: ask a scheduler node'
    sendProblem(reply, rejected('STORAGE_NOT_READY', undefined, { remedy }))
    return null
  }
  if (sentOn(scheduler, request, reply)) return null
  const refusal = refusalToLead(scheduler)
  if (refusal === null) return scheduler
  sendProblem(reply, refusal.remedy === undefined ? { ...refusal, remedy: REMEDY } : refusal)
  return null
}

/** Why this node cannot answer for the cluster now; null: it can. */
export function refusalToLead(scheduler: SchedulerDeps): Rejection | null {
  return scheduler.ledger.open ? notActive(scheduler) : (scheduler.ledger.refusal() ?? notReady())
}

/** Leads, has its rows, and does not act for the cluster yet. */
function notActive({ life }: SchedulerDeps): Rejection | null {
  const { isAdvertised, state, waitsFor } = life()
  if (isAdvertised) return null
  const detail = `${REJECTIONS.SCHEDULER_NOT_ACTIVE.text}: it is ${state} and waits for ${waitsFor ?? 'its next step'}`
  return rejected('SCHEDULER_NOT_ACTIVE', detail)
}

/** Leadership was lost before an answer could leave: the same request goes to the new leader if one is known. */
export function passOn(scheduler: SchedulerDeps, reply: FastifyReply, reason: Rejection): void {
  if (!sentOn(scheduler, reply.request, reply)) sendProblem(reply, reason)
}

/** True: another node leads, and the reply says where. */
export function sentOn({ leader }: SchedulerDeps, request: FastifyRequest, reply: FastifyReply): boolean {
  const view = leader()
  // Where a leader serves its clients is not known before it has connected to this node.
  if (view === null || view.role === 'LEADER' || view.leader === null || view.leader.httpUrl === '') return false
  if (isBypassed(request)) return false
  reply
    .header('location', view.leader.httpUrl.replace(/\/$/, '') + request.url)
    .code(307)
    .send()
  return true
}

/** Whoever asks wants this very node, whoever leads. */
export const isBypassed = (request: FastifyRequest): boolean => request.headers[BYPASS_HEADER] !== undefined

const REMEDY =
  'wait a moment and try again; if it lasts, `daybreak log status` on the node says what its log waits for and what to run'

export const notReady = (): Rejection => rejected('STORAGE_NOT_READY', undefined, { remedy: REMEDY })
