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
    const who = leadership(deps)
    const answer = LEADER_ANSWERS[who]
    const life = deps.scheduler?.life()
    const waits =
      who === 'none' && life?.waitsFor ? `\n\nThis node is ${life.state}: it waits for ${life.waitsFor}.` : ''
    reply
      .code(answer.status)
      .header('content-type', 'text/plain; charset=utf-8')
      .header('cache-control', 'no-store')
      .send(`Current status: ${answer.text}\n\n${LEADER_HELP}${waits}\n`)
  })
}

/** As this node knows it now. One that leads and does not act for the cluster yet is not the leader for anyone. */
export function leadership({ scheduler, node }: HttpDeps): 'leading' | 'following' | 'none' {
  const view = scheduler?.leader() ?? null
  if (view?.role === 'LEADER') return scheduler?.life().isAdvertised ? 'leading' : 'none'
  return view?.leader != null && view.leader.memberId !== node.memberId ? 'following' : 'none'
}
