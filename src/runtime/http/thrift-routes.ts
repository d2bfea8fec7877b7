/**
 * `/api`: Aurora's Thrift interface over HTTP. The status is 200 for every outcome of a call; the verdict is in the body.
 * Without a leader the answer is a well-formed ERROR_TRANSIENT, so that old clients try again; a change that nobody can
 * say has happened gets no answer at all, so that they do not.
 *
 * Source: the outside interfaces, sections 3, 4 and 16.
 */
import { createHash } from 'node:crypto'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { type JobKey, jobKeyText } from '../../core/base/ids.ts'
import { REJECTIONS, type Rejection } from '../../core/base/rejection.ts'
import { adminPermission, jobPermission } from '../../core/security/permission.ts'
import { type Call, type Protocol, readCall, writeException, writeReply } from '../../wire/thrift/message.ts'
import type { Response } from '../../wire/thrift/types.ts'
import type { HttpDeps, SchedulerDeps } from '../http-server.ts'
import type { Subject } from '../security/guard.ts'
import { answerOf, argumentsText, type Need, needOf } from '../thrift/calls.ts'
import { type Answer, failed, refused } from '../thrift/response.ts'
import { audit, challengeThrift, NO_JOB_KEY, refusalOf } from './gate.ts'
import { notReady, refusalToLead, sentOn } from './leader-guard.ts'
import { userOf } from './mutation.ts'

const TYPES = { binary: 'application/vnd.apache.thrift.binary', json: 'application/vnd.apache.thrift.json' } as const
const JSON_TYPES: ReadonlySet<string> = new Set([TYPES.json, 'application/x-thrift', 'application/json'])
/** So long the writing of a reply may keep everybody else waiting. */
const SLICE_MS = 8

export function addThriftRoutes(app: FastifyInstance, deps: HttpDeps): void {
  // The body is a message, whatever it is called.
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body))
  for (const method of ['GET', 'POST'] as const)
    app.route({ method, url: '/api', exposeHeadRoute: false, handler: (request, reply) => serve(deps, request, reply) })
}

async function serve(deps: HttpDeps, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  const given = request.headers['content-type']
  const protocol = protocolOf(given)
  if (protocol === null) return reply.code(415).type('text/plain').send(`Unsupported Content-Type: ${given}`)
  const { scheduler } = deps
  if (scheduler !== null && sentOn(scheduler, request, reply)) return reply
  const body = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0)
  const accepted: Protocol = request.headers.accept === TYPES.binary ? 'binary' : 'json'
  const call = readCall(body, protocol)
  if (call.type === 'unreadable') {
    const text = `The body is no Thrift message in the ${protocol} protocol: ${call.text}\n`
    return reply.code(500).type('text/plain').send(text)
  }
  if (call.type === 'refusal') return reply.type(TYPES[accepted]).send(writeException(call, accepted))
  return answer(deps, request, reply, call, accepted)
}

/** Of the type alone: the character set is always UTF-8. Null: none of ours. */
function protocolOf(contentType: string | undefined): Protocol | null {
  if (contentType === undefined) return 'json'
  const [type = '', ...parameters] = contentType.split(';').map(part => part.trim().toLowerCase())
  if (parameters.some(parameter => !/^(charset="?utf-8"?)?$/.test(parameter))) return null
  if (type === TYPES.binary) return 'binary'
  return JSON_TYPES.has(type) ? 'json' : null
}

async function answer(
  deps: HttpDeps,
  request: FastifyRequest,
  reply: FastifyReply,
  call: Call,
  accepted: Protocol,
): Promise<FastifyReply> {
  const { scheduler } = deps
  const startedMs = performance.now()
  const user = userOf(request)
  const { subject } = request
  const need = needOf(call)
  if (subject?.name === null && !isForAnyone(deps, need)) {
    if (need.type !== 'none') audit(deps, request, { what: call.method, outcome: '401' })
    return challengeThrift(reply)
  }
  const said = await outcomeOf(deps, request, call)
  const code = said === 'unknown' ? 'UNKNOWN' : (said.responseCode ?? 'ERROR')
  deps.metrics.count('thrift_responses_total', 1, { method: call.method, code })
  deps.metrics.observe('thrift_call_seconds', (performance.now() - startedMs) / 1000, { method: call.method })
  const fields = { method: call.method, user, code, arguments: argumentsText(call) }
  if (need.type === 'none') deps.logger.debug('thrift-call', fields)
  else {
    deps.logger.info('thrift-call', fields)
    audit(deps, request, { what: whatOf(need), outcome: code })
  }
  if (said === 'unknown') {
    // To be told that it was transient they would do it twice.
    reply.hijack()
    reply.raw.destroy()
    return reply
  }
  // Leadership was lost while it was looked at: whoever leads now can say.
  if (code === 'ERROR_TRANSIENT' && scheduler !== null && sentOn(scheduler, request, reply)) return reply
  const { name } = deps.node.cluster
  const response: Response = { ...said, serverInfo: { clusterName: name, statsUrlPrefix: '' } }
  return reply.type(TYPES[accepted]).send(await inSlices(writeReply(call, response, accepted)))
}

async function outcomeOf(deps: HttpDeps, request: FastifyRequest, call: Call): Promise<Answer | 'unknown'> {
  const { scheduler, metrics } = deps
  const { subject } = request
  const need = needOf(call)
  const keyless = need.type === 'job' && need.key === null
  if (subject !== null) {
    // Before it is looked at whether this node can answer at all, as with Aurora.
    if (keyless) {
      metrics.count('shiro_bad_requests')
      return failed('INVALID_REQUEST', NO_JOB_KEY)
    }
    const denied = denial(subject, need)
    if (denied !== null) {
      metrics.count('shiro_authorization_failures')
      return refused(denied)
    }
  }
  if (scheduler === null) return refused(notReady())
  const refusal = refusalToLead(scheduler)
  if (refusal !== null) return failed('ERROR_TRANSIENT', REJECTIONS.STORAGE_NOT_READY.text, refusal.detail)
  // What a job to be created lacks is said among its other faults.
  if (keyless && !('description' in call.args)) return failed('INVALID_REQUEST', NO_JOB_KEY)
  const user = userOf(request)
  if (typeof user !== 'string') return refused(user)
  const { ledger, admission } = scheduler
  const world = {
    view: ledger.view,
    quotas: () => scheduler.quotas()?.view() ?? null,
    placement: scheduler.placement(),
    admission,
    sha256,
  }
  try {
    const said = answerOf(call, world, { scheduler, user })
    return said instanceof Promise ? await said : await whenLeased(scheduler, said)
  } catch (cause) {
    deps.logger.error('thrift-call-failed', { method: call.method, cause })
    return failed('ERROR', cause instanceof Error ? cause.message : String(cause))
  }
}

function isForAnyone({ guard }: HttpDeps, { type }: Need): boolean {
  return type === 'none' && guard?.reads === 'anyone'
}

function denial(subject: Subject, need: Need): Rejection | null {
  if (need.type === 'none' || (need.type === 'job' && need.key === null)) return null
  const permission =
    need.type === 'admin' ? adminPermission(need.method) : jobPermission(need.method, need.key as JobKey)
  return refusalOf(subject, permission)
}

/** `killTasks www-data/devel/hello` */
function whatOf(need: Exclude<Need, { readonly type: 'none' }>): string {
  return need.type === 'job' && need.key !== null ? `${need.method} ${jobKeyText(need.key)}` : need.method
}

/** What rests on the leader's state leaves when all of it is known to be true. */
function whenLeased({ ledger }: SchedulerDeps, said: Answer): Promise<Answer> {
  return new Promise(resolve => {
    ledger.whenLeased(
      () => resolve(said),
      (reason: Rejection) => resolve(refused(reason)),
    )
  })
}

async function inSlices(steps: Generator<undefined, Buffer>): Promise<Buffer> {
  for (let untilMs = performance.now() + SLICE_MS; ; ) {
    const step = steps.next()
    if (step.done === true) return step.value
    if (performance.now() < untilMs) continue
    await new Promise<void>(resolve => void setImmediate(resolve))
    untilMs = performance.now() + SLICE_MS
  }
}

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')
