/**
 * What a call of Aurora's interface comes to, by whatever protocol it came: made from the leader's state or by the actor
 * that changes it, counted, timed and logged. A change that nobody can say has happened gets no answer at all: these
 * clients repeat whatever is ERROR_TRANSIENT, and to be told that they would do it twice.
 *
 * Source: the outside interfaces, sections 4 and 16.
 */
import { createHash } from 'node:crypto'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { type JobKey, jobKeyText } from '../../core/base/ids.ts'
import { REJECTIONS, type Rejection } from '../../core/base/rejection.ts'
import { adminPermission, jobPermission } from '../../core/security/permission.ts'
import type { Call } from '../../wire/thrift/message.ts'
import type { Response } from '../../wire/thrift/types.ts'
import { ReplyTooLarge } from '../../wire/thrift/writer.ts'
import type { HttpDeps, SchedulerDeps } from '../http-server.ts'
import type { Subject } from '../security/guard.ts'
import { answerOf, argumentsText, type Need, needOf } from '../thrift/calls.ts'
import { type Answer, failed, refused } from '../thrift/response.ts'
import { audit, challenge, NO_JOB_KEY, refusalOf } from './gate.ts'
import { notReady, refusalToLead, sentOn } from './leader-guard.ts'
import { userOf } from './mutation.ts'

/** So long the writing of a reply may keep everybody else waiting. */
const SLICE_MS = 8

/** Null: the reply has left, to whoever leads now, or the connection is closed. */
export async function answerCall(
  deps: HttpDeps,
  request: FastifyRequest,
  reply: FastifyReply,
  call: Call,
): Promise<Response | null> {
  const { scheduler } = deps
  const startedMs = performance.now()
  const user = userOf(request)
  const need = needOf(call)
  if (request.subject?.name === null && !isForAnyone(deps, need)) {
    if (need.type !== 'none') audit(deps, request, { what: whatOf(need), outcome: '401' })
    challenge(reply)
    return null
  }
  const said = await outcomeOf(deps, request, call)
  const code = said === 'unknown' ? 'UNKNOWN' : (said.responseCode ?? 'ERROR')
  deps.metrics.count('thrift_responses_total', 1, { method: call.method, code })
  deps.metrics.observe('thrift_call_seconds', (performance.now() - startedMs) / 1000, { method: call.method })
  const fields = {
    ...{ method: call.method, user, code, callId: request.id },
    // Reads are many, and mostly nobody asks for their lines.
    get arguments() {
      return argumentsText(call)
    },
  }
  if (need.type === 'none') deps.logger.debug('thrift-call', fields)
  else {
    deps.logger.info('thrift-call', fields)
    audit(deps, request, { what: whatOf(need), outcome: code })
  }
  if (said === 'unknown') {
    reply.hijack()
    reply.raw.destroy()
    return null
  }
  // Leadership was lost while it was looked at: whoever leads now can say.
  if (code === 'ERROR_TRANSIENT' && scheduler !== null && sentOn(scheduler, request, reply)) return null
  return responseOf(deps, said)
}

/** The same, told which cluster it comes from. */
export function responseOf({ node }: Pick<HttpDeps, 'node'>, said: Answer): Response {
  return { ...said, serverInfo: { clusterName: node.cluster.name, statsUrlPrefix: '' } }
}

/** A reply as bytes; one that is too large for anybody is an ERROR that says so. */
export async function replyBytes(
  deps: Pick<HttpDeps, 'node' | 'logger'>,
  response: Response,
  write: (response: Response) => Generator<undefined, Buffer>,
): Promise<Buffer> {
  try {
    return await inSlices(write(response))
  } catch (cause) {
    if (!(cause instanceof ReplyTooLarge)) throw cause
    deps.logger.warn('thrift-reply-too-large', { result: Object.keys(response.result ?? {}).join() })
    return inSlices(write(responseOf(deps, failed('ERROR', cause.message))))
  }
}

/** Others get their turn while a long reply is written. */
async function inSlices(steps: Generator<undefined, Buffer>): Promise<Buffer> {
  for (let untilMs = performance.now() + SLICE_MS; ; ) {
    const step = steps.next()
    if (step.done === true) return step.value
    if (performance.now() < untilMs) continue
    await new Promise<void>(resolve => void setImmediate(resolve))
    untilMs = performance.now() + SLICE_MS
  }
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
    deps.logger.error('thrift-call-failed', { method: call.method, callId: request.id, cause })
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

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')
