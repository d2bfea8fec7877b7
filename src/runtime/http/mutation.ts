/**
 * A change asked for over REST: told to the actor that makes it under a request id, so that asking again is never doing it twice,
 * and answered when it is committed.
 */
import { createHash, randomUUID } from 'node:crypto'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Ref } from '../../actors/actor.ts'
import type * as JobKeeper from '../../actors/job-keeper.ts'
import { compareIds } from '../../core/base/ids.ts'
import { type Rejection, rejected } from '../../core/base/rejection.ts'
import type { WantedVersion } from '../../core/job/job-version.ts'
import * as rest from '../../wire/rest.ts'
import type { HttpDeps, SchedulerDeps } from '../http-server.ts'
import { leading, notReady } from './leader-guard.ts'
import { readTags } from './preconditions.ts'
import { asked, refuse } from './rest-answers.ts'

/** A change waits for its commit; past this the outcome is unknown and the same request id asks again. */
const MUTATION_MS_MAX = 30_000
const REQUEST_ID = /^[\x21-\x7e]{1,255}$/
const USER = /^[\w.@-]{1,255}$/

export interface Mutation<O> {
  readonly requestId: string
  readonly fingerprint: string
  readonly user: string
  readonly replyTo: Ref<O | Rejection>
}

/** Who makes the change, and how its outcome is shown. */
export interface Target<C, O> {
  readonly ref: (scheduler: SchedulerDeps) => Ref<C> | null
  readonly document: (outcome: O) => object
  /** What is changed has a version, so that a condition on it can be kept. */
  readonly isVersioned?: true
}

/** A change of a job. */
export async function mutate(
  deps: HttpDeps,
  request: FastifyRequest,
  reply: FastifyReply,
  how: { readonly status: 200 | 201; readonly body: object },
  command: (mutation: JobMutation) => JobKeeper.Command,
): Promise<FastifyReply> {
  const ifVersion = readTags('if-match', request, reply)
  if (ifVersion === null) return reply
  const condition = ifVersion === undefined ? {} : { ifVersion }
  return mutateAt(JOBS, deps, request, reply, how, mutation => command({ ...mutation, ...condition }))
}

interface JobMutation extends Mutation<JobKeeper.JobOutcome> {
  readonly ifVersion?: WantedVersion
}

const JOBS: Target<JobKeeper.Command, JobKeeper.JobOutcome> = {
  isVersioned: true,
  ref: scheduler => scheduler.jobKeeper(),
  document: ({ key, instances, message, warnings }): rest.JobOutcomeView => {
    return { key, instances: [...instances], message, warnings: [...warnings] }
  },
}

export async function mutateAt<C, O extends { readonly type: string }>(
  target: Target<C, O>,
  deps: HttpDeps,
  request: FastifyRequest,
  reply: FastifyReply,
  { status, body }: { readonly status: 200 | 201; readonly body: object },
  command: (mutation: Mutation<O>) => C,
): Promise<FastifyReply> {
  const requestId = header(request, rest.REQUEST_ID_HEADER) ?? randomUUID()
  if (!REQUEST_ID.test(requestId)) {
    return refuse(reply, rejected('MALFORMED', `${rest.REQUEST_ID_HEADER} must be 1 to 255 printable characters`))
  }
  // Said back, drawn ones above all: the log of the cluster names a change by it.
  reply.header(rest.REQUEST_ID_HEADER, requestId)
  const user = userOf(request)
  if (typeof user !== 'string') return refuse(reply, user)
  if (request.headers['if-match'] !== undefined && !target.isVersioned) return refuse(reply, notVersioned(request.url))
  const scheduler = leading(deps, request, reply)
  if (scheduler === null) return reply
  const ref = target.ref(scheduler)
  if (ref === null) return refuse(reply, notReady())
  const fingerprint = fingerprintOf(request.method, request.url, body)
  const outcome = await asked(
    scheduler,
    ref,
    (replyTo: Ref<O | Rejection>) => command({ requestId, fingerprint, user, replyTo }),
    MUTATION_MS_MAX,
    () =>
      rejected('OUTCOME_UNKNOWN', `No answer within ${MUTATION_MS_MAX / 1000} s; it may still happen`, {
        remedy: `ask again with the header ${rest.REQUEST_ID_HEADER}: ${requestId}, and it is not done twice`,
      }),
  )
  if (outcome.type === 'rejected') return refuse(reply, outcome as Rejection)
  return reply.code(status).send(target.document(outcome as O))
}

/** A condition that nobody looks at must not seem to be kept. */
function notVersioned(url: string): Rejection {
  return rejected('INVALID_REQUEST', `If-Match is for changes of jobs, and ${url.split('?')[0]} is none`, {
    remedy: 'leave the header out',
  })
}

/** Who asks: as they have shown, or by their own word while security is off. */
export function userOf(request: FastifyRequest): string | Rejection {
  if (request.subject !== null) return request.subject.name ?? 'anonymous'
  const user = header(request, rest.USER_HEADER) ?? 'UNSECURE'
  return USER.test(user) ? user : rejected('MALFORMED', `${rest.USER_HEADER} must be a user name`)
}

function header(request: FastifyRequest, name: string): string | undefined {
  const value = request.headers[name]
  return typeof value === 'string' && value !== '' ? value : undefined
}

/** SHA-256 (hex) of what is asked; keys of objects in order, so that the same request always gives the same. */
export function fingerprintOf(method: string, url: string, body: unknown): string {
  const path = url.split('?')[0] ?? url
  return createHash('sha256')
    .update(`${method}\n${path}\n${canonical(body)}`)
    .digest('hex')
}

function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null'
  const entries = Object.entries(value).filter(([, inner]) => inner !== undefined)
  return `{${entries
    .sort(([a], [b]) => compareIds(a, b))
    .map(([key, inner]) => `${JSON.stringify(key)}:${canonical(inner)}`)
    .join(',')}}`
}
