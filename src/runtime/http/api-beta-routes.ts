/**
 * `/apibeta/{method}`: the calls of Aurora's interface as plain JSON, for scripts that have no Thrift. Arguments go by
 * their names; the answer is a Response. What a call comes to is 200 with its code in the body; 404 and 400 are for a call
 * that cannot be made, 503 for one that nobody can answer now.
 *
 * Source: the outside interfaces, section 6.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Call } from '../../wire/thrift/message.ts'
import { PlainFault, readPlainArguments, writePlain } from '../../wire/thrift/plain-json.ts'
import { isMethod, structPlan } from '../../wire/thrift/plan.ts'
import type { Response } from '../../wire/thrift/types.ts'
import type { HttpDeps } from '../http-server.ts'
import { failed } from '../thrift/response.ts'
import { isBypassed, sentOn } from './leader-guard.ts'
import { readJsonBody } from './problem.ts'
import { answerCall, replyBytes, responseOf } from './thrift-answer.ts'

/** Expects bodies as bytes, whatever they are called. */
export function addApiBetaRoutes(app: FastifyInstance, deps: HttpDeps): void {
  app.get('/apibeta', (_request, reply) => reply.header('location', '/').code(303).send())
  app.post<{ Params: { method: string } }>('/apibeta/:method', async (request, reply) => {
    const { scheduler } = deps
    if (scheduler !== null && sentOn(scheduler, request, reply)) return reply
    const read = readPlainCall(request.params.method, request.body)
    if ('fault' in read) return send(deps, reply, read.status, responseOf(deps, failed('ERROR', ...read.fault)))
    const response = await answerCall(deps, request, reply, read)
    return response === null ? reply : send(deps, reply, statusOf(response, request), response)
  })
}

/** Who passes by the redirect wants the answer of this node, and has it. */
function statusOf({ responseCode }: Response, request: FastifyRequest): 200 | 503 {
  return responseCode === 'ERROR_TRANSIENT' && !isBypassed(request) ? 503 : 200
}

async function send(deps: HttpDeps, reply: FastifyReply, status: number, response: Response): Promise<FastifyReply> {
  const text = await replyBytes(deps, response, said => writePlain(structPlan('Response'), said))
  return reply.code(status).type('application/json; charset=utf-8').send(text)
}

interface Faulty {
  readonly status: 400 | 404
  readonly fault: readonly string[]
}

function readPlainCall(method: string, body: unknown): Call | Faulty {
  if (!isMethod(method)) return { status: 404, fault: [`Method ${method} does not exist.`] }
  const json = readJsonBody(Buffer.isBuffer(body) ? body.toString('utf8') : '')
  if (!json.ok) return { status: 400, fault: ['Request must be valid JSON', json.detail] }
  const { value = {} } = json
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return { status: 400, fault: ['Request data must be a JSON object of method parameters.'] }
  try {
    return { type: 'call', method, seqid: 0, args: readPlainArguments(method, value) } as Call
  } catch (cause) {
    if (cause instanceof PlainFault) return { status: 400, fault: [cause.message] }
    throw cause
  }
}
