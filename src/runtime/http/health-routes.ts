/** `/health` for supervisors and `/leaderhealth` for load balancers. Texts: the outside interfaces, section 2. */
import type { FastifyInstance } from 'fastify'
import { healthNow } from '../../actors/health.ts'
import type { HttpDeps } from '../http-server.ts'

const LEADER_ANSWERS = {
  leading: { status: 200, text: 'This is the leading scheduler.' },
  following: { status: 503, text: 'Another instance is the leading scheduler.' },
  none: { status: 502, text: 'There is no leading scheduler or the leader is unknown.' },
} as const
const LEADER_HELP = [
  'This page answers with',
  `  ${LEADER_ANSWERS.leading.status}: ${LEADER_ANSWERS.leading.text}`,
  `  ${LEADER_ANSWERS.following.status}: ${LEADER_ANSWERS.following.text}`,
  `  ${LEADER_ANSWERS.none.status}: ${LEADER_ANSWERS.none.text}`,
].join('\n')

export function addHealthRoutes(app: FastifyInstance, deps: HttpDeps): void {
  app.get('/health', (_request, reply) => {
    const reasons = healthNow(deps.health, deps.clock.read().monoMs)
    reply.header('content-type', 'text/plain; charset=utf-8').header('cache-control', 'no-store')
    if (reasons.length === 0) reply.send('OK\n')
    else reply.code(503).send(`SICK\n${reasons.map(reason => `${reason}\n`).join('')}`)
  })
  app.get('/leaderhealth', (_request, reply) => {
    const answer = LEADER_ANSWERS[leadership(deps)]
    reply
      .code(answer.status)
      .header('content-type', 'text/plain; charset=utf-8')
      .header('cache-control', 'no-store')
      .send(`Current status: ${answer.text}\n\n${LEADER_HELP}\n`)
  })
}

/** As this node knows it now. */
export function leadership(deps: HttpDeps): 'leading' | 'following' | 'none' {
  const view = deps.scheduler?.leader() ?? null
  if (view?.role === 'LEADER') return 'leading'
  return view?.leader != null && view.leader.memberId !== deps.node.memberId ? 'following' : 'none'
}
