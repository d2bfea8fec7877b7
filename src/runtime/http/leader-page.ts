/**
 * Who may answer at Aurora's own paths: the leader; another node sends there (307), and where nobody leads the answer is
 * the page that operators of Aurora know, 503, or a problem document for who would rather have JSON.
 *
 * Source: the outside interfaces, section 1.
 */
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Rejection } from '../../core/base/rejection.ts'
import type { HttpDeps, SchedulerDeps } from '../http-server.ts'
import { isBypassed, leading, refusalToLead, sentOn } from './leader-guard.ts'
import { escapeHtml, page, sendHtml, wantsJson } from './page.ts'
import { sendProblem } from './problem.ts'

/** The scheduler to use, or null when the reply has been sent. */
export function leadingPage(deps: HttpDeps, request: FastifyRequest, reply: FastifyReply): SchedulerDeps | null {
  const { scheduler } = deps
  // Who passes by the redirect asks this very node, so it is this node that says what it lacks.
  if (scheduler === null || isBypassed(request)) return leading(deps, request, reply)
  if (sentOn(scheduler, request, reply)) return null
  const refusal = refusalToLead(scheduler)
  if (refusal === null) return scheduler
  noLeader(reply, refusal)
  return null
}

/** What was made from the leader's state leaves when all of it is known to be true: `send`, or whoever leads now. */
export function whenTrue(scheduler: SchedulerDeps, reply: FastifyReply, send: () => void): FastifyReply {
  scheduler.ledger.whenLeased(send, reason => {
    if (!sentOn(scheduler, reply.request, reply)) noLeader(reply, reason)
  })
  return reply
}

function noLeader(reply: FastifyReply, reason: Rejection): void {
  if (wantsJson(reply.request)) sendProblem(reply, { remedy: 'wait a moment and try again', ...reason }, 503)
  else sendHtml(reply.code(503), noLeaderPage(reason))
}

function noLeaderPage({ detail, remedy }: Rejection): string {
  const more = remedy === undefined ? '' : ` What helps: ${escapeHtml(remedy)}.`
  return page(
    { title: 'No Leader Found' },
    '<h1>No Leader Found</h1><p>Nobody leads this cluster right now, so nobody can answer this. That is routine while ' +
      'leadership goes over from one node to another; it usually takes seconds and may last a few minutes. Load the ' +
      `page again then.</p><p class="soft">This node says: ${escapeHtml(detail)}.${more} ` +
      '<a href="/">All about this node</a></p>',
  )
}
