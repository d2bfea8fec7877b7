/**
 * `/api`: Aurora's Thrift interface over HTTP. The status is 200 for every outcome of a call; the verdict is in the body.
 * Without a leader the answer is a well-formed ERROR_TRANSIENT, so that old clients try again; a change that nobody can
 * say has happened gets no answer at all, so that they do not.
 *
 * Source: the outside interfaces, sections 3, 4 and 16.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { type Protocol, readCall, writeException, writeReply } from '../../wire/thrift/message.ts'
import type { HttpDeps } from '../http-server.ts'
import { sentOn } from './leader-guard.ts'
import { answerCall, replyBytes } from './thrift-answer.ts'

const TYPES = { binary: 'application/vnd.apache.thrift.binary', json: 'application/vnd.apache.thrift.json' } as const
const JSON_TYPES: ReadonlySet<string> = new Set([TYPES.json, 'application/json'])
/** What the HTTP transports of Thrift's own libraries say of every protocol, before anything their user sets. */
const ANY_TYPE = 'application/x-thrift'
/** Of a strict binary message; JSON cannot begin with it. */
const BINARY_FIRST = 0x80

/** Expects bodies as bytes, whatever they are called. */
export function addThriftRoutes(app: FastifyInstance, deps: HttpDeps): void {
  for (const method of ['GET', 'POST'] as const)
    app.route({ method, url: '/api', exposeHeadRoute: false, handler: (request, reply) => serve(deps, request, reply) })
}

async function serve(deps: HttpDeps, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  const given = request.headers['content-type']
  const body = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0)
  const protocol = protocolOf(given, body)
  if (protocol === null) return reply.code(415).type('text/plain').send(`Unsupported Content-Type: ${given}`)
  const { scheduler } = deps
  if (scheduler !== null && sentOn(scheduler, request, reply)) return reply
  const accepted: Protocol = request.headers.accept === TYPES.binary ? 'binary' : 'json'
  const call = readCall(body, protocol)
  if (call.type === 'unreadable') {
    const text = `The body is no Thrift message in the ${protocol} protocol: ${call.text}\n`
    return reply.code(500).type('text/plain').send(text)
  }
  if (call.type === 'refusal') return reply.type(TYPES[accepted]).send(writeException(call, accepted))
  const response = await answerCall(deps, request, reply, call)
  if (response === null) return reply
  const bytes = await replyBytes(deps, response, said => writeReply(call, said, accepted))
  return reply.type(TYPES[accepted]).send(bytes)
}

/** Of the type alone: the character set is always UTF-8. Null: none of ours. */
function protocolOf(contentType: string | undefined, body: Buffer): Protocol | null {
  if (contentType === undefined) return 'json'
  const [type = '', ...parameters] = contentType.split(';').map(part => part.trim().toLowerCase())
  if (parameters.some(parameter => !/^(charset="?utf-8"?)?$/.test(parameter))) return null
  if (type === TYPES.binary || (type === ANY_TYPE && body[0] === BINARY_FIRST)) return 'binary'
  if (type === ANY_TYPE) return 'json'
  return JSON_TYPES.has(type) ? 'json' : null
}
