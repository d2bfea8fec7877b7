/**
 * How every REST route reads what it is asked and how its answer leaves: a refusal of what cannot be read at once, an
 * answer made from the leader's state when everything staged so far is committed (output commit) and the lease, looked at
 * after that, says that nobody else can have led meanwhile.
 */
import type { FastifyReply } from 'fastify'
import type { z } from 'zod'
import { ActorGone, AskTimeout, type Ref } from '../../actors/actor.ts'
import { type Rejection, rejected } from '../../core/base/rejection.ts'
import type { SchedulerDeps } from '../http-server.ts'
import { notReady, passOn } from './leader-guard.ts'
import { sendProblem } from './problem.ts'

export function refuse(reply: FastifyReply, rejection: Rejection): FastifyReply {
  sendProblem(reply, rejection)
  return reply
}

const isRejection = (value: object): value is Rejection => 'type' in value && value.type === 'rejected'

/** Whoever asks has it already. */
export const NOT_MODIFIED = 'not modified'

/** The one door for what was computed on the leader's state, staged changes included: it leaves when that is known to be true. `version`: of the job it shows. */
export function answer(
  scheduler: SchedulerDeps,
  reply: FastifyReply,
  document: object | typeof NOT_MODIFIED,
  { version = null }: { readonly version?: string | null } = {},
): FastifyReply {
  const send = (): void => {
    if (typeof document === 'object' && isRejection(document)) return sendProblem(reply, document)
    // Tasks move while the version of their job stays, so nobody but who asks for the version should hear it is the same.
    if (version !== null) reply.header('etag', `"${version}"`).header('cache-control', 'no-store')
    if (document === NOT_MODIFIED) reply.code(304).send()
    else reply.send(document)
  }
  scheduler.ledger.whenLeased(send, reason => passOn(scheduler, reply, reason))
  return reply
}

/** Asks an actor; `late`: what to say when it does not answer in time. */
export async function asked<Q, A>(
  { system }: SchedulerDeps,
  ref: Ref<Q>,
  question: (replyTo: Ref<A | Rejection>) => Q,
  timeoutMs: number,
  late: () => Rejection,
): Promise<A | Rejection> {
  try {
    return await system.ask(ref, question, { timeoutMs })
  } catch (cause) {
    if (cause instanceof AskTimeout) return late()
    if (cause instanceof ActorGone) return notReady()
    throw cause
  }
}

/** The value, or null when the refusal has been sent. */
export function parsed<S extends z.ZodType>(reply: FastifyReply, schema: S, value: unknown): z.output<S> | null {
  if (!isFewParts(value)) {
    refuse(reply, rejected('INVALID_REQUEST', `The request is not valid: it has more than ${PARTS_MAX} parts`))
    return null
  }
  const done = schema.safeParse(value)
  if (done.success) return done.data
  const { issues } = done.error
  const faults = issues.slice(0, FAULTS_MAX).map(issue => ({ path: faultPath(issue.path), text: issue.message }))
  const more = issues.length > FAULTS_MAX ? [`and ${issues.length - FAULTS_MAX} more faults`] : []
  const detail = `The request is not valid: ${[...faults.map(lineOf), ...more].join('; ')}`
  refuse(reply, rejected('INVALID_REQUEST', detail, { faults }))
  return null
}

/** More than anything well-formed has. Each that is wrong costs microseconds, and a body has room for a million. */
const PARTS_MAX = 150_000

/** Elements of lists and fields of objects, at any depth. */
function isFewParts(value: unknown): boolean {
  let left = PARTS_MAX
  for (const open: unknown[] = [value]; open.length > 0; ) {
    const next = open.pop()
    if (typeof next !== 'object' || next === null) continue
    const parts: readonly unknown[] = Array.isArray(next) ? next : Object.values(next)
    left -= parts.length
    if (left < 0) return false
    for (const part of parts) if (typeof part === 'object') open.push(part)
  }
  return true
}

/** Nobody mends more at a time, and the texts of a million of them hold up the node. */
const FAULTS_MAX = 100

const lineOf = ({ path, text }: { path: string; text: string }): string => (path === '' ? text : `${path}: ${text}`)

function faultPath(path: readonly PropertyKey[]): string {
  return path.reduce<string>((text, part) => {
    if (typeof part === 'number') return `${text}[${part}]`
    return text === '' ? String(part) : `${text}.${String(part)}`
  }, '')
}
