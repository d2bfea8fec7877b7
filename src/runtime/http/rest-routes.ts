/**
 * JSON REST under `/api/v1`. Schemas are those of `src/wire/rest.ts`. Answers are made from the leader's state at once
 * and leave when everything staged so far is committed (output commit); refusals of what cannot be read leave at once.
 */
import { createHash, randomUUID } from 'node:crypto'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { z } from 'zod'
import { ActorGone, AskTimeout, type Ref } from '../../actors/actor.ts'
import type * as JobKeeper from '../../actors/job-keeper.ts'
import { compareIds, type JobKey, jobKeyText, taskId } from '../../core/base/ids.ts'
import { type Rejection, rejected } from '../../core/base/rejection.ts'
import type { JobConfiguration } from '../../core/job/task-config.ts'
import type { LogData } from '../../wire/messages/agent.ts'
import * as rest from '../../wire/rest.ts'
import type { HttpDeps, SchedulerDeps } from '../http-server.ts'
import { leading, notReady } from './leader-guard.ts'
import { openApiDocument } from './openapi.ts'
import { type PageKey, readCursor, takePage } from './paging.ts'
import { sendProblem } from './problem.ts'
import * as views from './rest-views.ts'
import { API } from './routes.ts'

/** A create waits for its commit; past this the outcome is unknown and the same request id asks again. */
const MUTATION_MS_MAX = 30_000
const LOG_READ_MS_MAX = 15_000
const LOG_ENTRIES_MAX = 1000
const REQUEST_ID = /^[\x21-\x7e]{1,255}$/
const USER = /^[\w.@-]{1,255}$/

interface JobParams {
  readonly role: string
  readonly environment: string
  /** The name, with `:kill` and the like behind it. */
  readonly rest: string
}

export function addRestRoutes(app: FastifyInstance, deps: HttpDeps): void {
  addJobRoutes(app, deps)
  addTaskRoutes(app, deps)
  addPlaceRoutes(app, deps)
  addClusterRoutes(app, deps)
}

function addJobRoutes(app: FastifyInstance, deps: HttpDeps): void {
  app.get(`${API}/jobs`, (request, reply) => {
    const query = parsed(reply, rest.jobQuery, request.query)
    const scheduler = query === null ? null : leading(deps, request, reply)
    if (query === null || scheduler === null) return reply
    const cursor = readCursor(query.cursor, ['string'])
    if (!cursor.ok) return refuse(reply, cursor.rejection)
    const { view } = scheduler.ledger
    const after = cursor.after === null ? null : String(cursor.after[0])
    const keyed = (function* (): Generator<readonly [PageKey, JobKey]> {
      for (const key of views.matchingJobs(view, query, after)) yield [[jobKeyText(key)], key]
    })()
    const page = takePage(keyed, cursor.after, query.limit)
    return answer(scheduler, reply, {
      jobs: page.items.map(key => views.jobSummaryDocument(view, key)),
      next: page.next,
    })
  })

  app.post(`${API}/jobs`, (request, reply) => {
    const body = parsed(reply, rest.createJob, request.body)
    if (body === null) return reply
    // The schema is the type: only optional keys differ in how they may be absent.
    const job = body.job as JobConfiguration
    return mutate(deps, request, reply, { status: 201, body }, mutation => ({ type: 'create', job, ...mutation }))
  })

  app.get<{ Params: JobParams }>(`${API}/jobs/:role/:environment/:rest`, (request, reply) => {
    const { key, verb } = jobOf(request.params)
    if (verb !== null) return reply.callNotFound()
    const scheduler = leading(deps, request, reply)
    if (scheduler === null) return reply
    const reasons = views.pendingReasons(scheduler.placement())
    const detail = views.jobDetailDocument(scheduler.ledger.view, key, reasons)
    return answer(scheduler, reply, detail ?? rejected('NOT_FOUND', `Job ${jobKeyText(key)} does not exist`))
  })

  app.post<{ Params: JobParams }>(`${API}/jobs/:role/:environment/:rest`, (request, reply) => {
    const { key, verb } = jobOf(request.params)
    if (verb === 'kill') {
      const body = parsed(reply, rest.killJob, request.body ?? {})
      const which = body === null ? null : chosen(reply, body)
      if (body === null || which === null) return reply
      const { instances } = which
      return mutate(deps, request, reply, { status: 200, body }, mutation => ({
        type: 'kill',
        key,
        instances,
        message: body.message ?? null,
        ...mutation,
      }))
    }
    if (verb === 'restart') {
      const body = parsed(reply, rest.restartJob, request.body ?? {})
      const which = body === null ? null : chosen(reply, body)
      if (body === null || which === null) return reply
      return mutate(deps, request, reply, { status: 200, body }, mutation => ({
        type: 'restart',
        key,
        instances: which.instances,
        ...mutation,
      }))
    }
    return reply.callNotFound()
  })
}

function addTaskRoutes(app: FastifyInstance, deps: HttpDeps): void {
  app.get(`${API}/tasks`, (request, reply) => {
    const query = parsed(reply, rest.taskQuery, request.query)
    if (query === null) return reply
    const statuses = views.statusFilter(query.status)
    if (statuses === null) {
      const fault = {
        path: 'status',
        text: `must be statuses, \`active\` or \`terminal\`, found ${JSON.stringify(query.status)}`,
      }
      return refuse(reply, rejected('INVALID_REQUEST', 'The query is not valid', { faults: [fault] }))
    }
    const cursor = readCursor(query.cursor, ['string', 'number', 'string'])
    if (!cursor.ok) return refuse(reply, cursor.rejection)
    const scheduler = leading(deps, request, reply)
    if (scheduler === null) return reply
    const { view } = scheduler.ledger
    const reasons = views.pendingReasons(scheduler.placement())
    const page = takePage(views.keyedTasks(view, { ...query, statuses }, cursor.after), cursor.after, query.limit)
    return answer(scheduler, reply, {
      tasks: page.items.map(row => views.taskDocument(view, row, reasons)),
      next: page.next,
    })
  })

  app.get<{ Params: { taskId: string } }>(`${API}/tasks/:taskId`, (request, reply) => {
    const scheduler = leading(deps, request, reply)
    if (scheduler === null) return reply
    const row = scheduler.ledger.view.task(taskId(request.params.taskId))
    if (row === undefined) return answer(scheduler, reply, unknownTask(request.params.taskId))
    const reasons = views.pendingReasons(scheduler.placement())
    return answer(scheduler, reply, views.taskDocument(scheduler.ledger.view, row, reasons))
  })

  app.get<{ Params: { taskId: string } }>(`${API}/tasks/:taskId/logs`, async (request, reply) => {
    const query = parsed(reply, rest.logQuery, request.query)
    const scheduler = query === null ? null : leading(deps, request, reply)
    if (query === null || scheduler === null) return reply
    const row = scheduler.ledger.view.task(taskId(request.params.taskId))
    if (row === undefined) return answer(scheduler, reply, unknownTask(request.params.taskId))
    const { agentId } = row
    if (agentId === undefined) {
      return answer(
        scheduler,
        reply,
        rejected('NOT_FOUND', `Task ${row.taskId} has not been placed yet, so it has written nothing`),
      )
    }
    const gateway = scheduler.gateway()
    if (gateway === null) return refuse(reply, notReady())
    const question = (replyTo: Ref<LogData | Rejection>) => ({
      type: 'readLog' as const,
      taskId: row.taskId,
      agentId,
      process: query.process ?? null,
      run: query.run ?? null,
      stream: query.stream,
      offset: query.offset,
      length: query.length,
      replyTo,
    })
    const data = await asked(scheduler, gateway, question, LOG_READ_MS_MAX, () =>
      rejected('AGENT_UNREACHABLE', `The agent on ${row.host ?? agentId} did not answer`),
    )
    if (data.type === 'rejected') return refuse(reply, data)
    if (data.error !== null) return refuse(reply, rejected('NOT_FOUND', data.error))
    const { process, run, offset, size, rotated } = data
    const piece: rest.LogPiece = {
      process,
      run,
      stream: query.stream,
      offset: Math.max(0, offset),
      size,
      rotated,
      data: Buffer.from(data.data).toString('base64'),
    }
    return reply.send(piece)
  })
}

function addPlaceRoutes(app: FastifyInstance, deps: HttpDeps): void {
  app.get(`${API}/agents`, (request, reply) => {
    const query = parsed(reply, rest.pageQuery, request.query)
    const scheduler = query === null ? null : leading(deps, request, reply)
    if (query === null || scheduler === null) return reply
    const cursor = readCursor(query.cursor, ['string', 'string'])
    if (!cursor.ok) return refuse(reply, cursor.rejection)
    const { view } = scheduler.ledger
    const rows = [...view.agents()].sort((a, b) => compareIds(a.host, b.host) || compareIds(a.agentId, b.agentId))
    const page = takePage(
      rows.map(row => [[row.host, row.agentId], row] as const),
      cursor.after,
      query.limit,
    )
    const agents = page.items.map(row => views.agentDocument(view, row, scheduler.agents(), scheduler.placement()))
    return answer(scheduler, reply, { agents, next: page.next })
  })

  app.get(`${API}/pending`, (request, reply) => {
    const scheduler = leading(deps, request, reply)
    if (scheduler === null) return reply
    return answer(scheduler, reply, views.pendingDocument(scheduler.placement()))
  })
}

function addClusterRoutes(app: FastifyInstance, deps: HttpDeps): void {
  app.get(`${API}/cluster`, async (_request, reply) => {
    const { scheduler, node } = deps
    if (scheduler === null) return refuse(reply, notReady())
    const status = await scheduler.log.status()
    const view = scheduler.leader() ?? status.view
    const document: rest.ClusterView = {
      clusterId: status.clusterId,
      memberId: node.memberId,
      role: view.role,
      status: status.status,
      leader: view.leader === null ? null : { memberId: view.leader.memberId, httpUrl: view.leader.httpUrl },
      commit: status.commit,
      applied: status.applied,
      version: node.version,
    }
    return reply.send(document)
  })

  app.get(`${API}/log/status`, async (_request, reply) => {
    if (deps.scheduler === null) return refuse(reply, notReady())
    return reply.send(await deps.scheduler.log.status())
  })

  app.get<{ Querystring: { from?: string; to?: string } }>(`${API}/log/entries`, async (request, reply) => {
    if (deps.scheduler === null) return refuse(reply, notReady())
    const status = await deps.scheduler.log.status()
    const from = position(request.query.from, Math.max(1, status.begin))
    const to = position(request.query.to, status.commit)
    if (from === null || to === null || to < from) {
      const text = `Bad read range: from ${request.query.from ?? status.begin} to ${request.query.to ?? status.commit}`
      return refuse(
        reply,
        rejected('INVALID_REQUEST', text, {
          remedy: `positions ${status.begin} to ${status.commit} are held and committed`,
        }),
      )
    }
    const last = Math.min(to, from + LOG_ENTRIES_MAX - 1)
    const entries = (await deps.scheduler.log.read(from, last)).map(entry => ({
      position: entry.position,
      ballot: entry.ballot,
      type: entry.type,
      payload: Buffer.from(entry.payload).toString('base64'),
    }))
    return reply.send({ entries, next: last < to ? last + 1 : null })
  })

  app.get(`${API}/openapi.json`, (_request, reply) => reply.send(openApiDocument(deps.node.version)))
}

// ---- reading requests -----------------------------------------------------------------------------------------------

/** The value, or null when the refusal has been sent. */
function parsed<S extends z.ZodType>(reply: FastifyReply, schema: S, value: unknown): z.output<S> | null {
  const done = schema.safeParse(value)
  if (done.success) return done.data
  const faults = done.error.issues.map(issue => ({ path: faultPath(issue.path), text: issue.message }))
  refuse(reply, rejected('INVALID_REQUEST', `The request is not valid: ${faults.map(lineOf).join('; ')}`, { faults }))
  return null
}

const lineOf = ({ path, text }: { path: string; text: string }): string => (path === '' ? text : `${path}: ${text}`)

function faultPath(path: readonly PropertyKey[]): string {
  return path.reduce<string>((text, part) => {
    if (typeof part === 'number') return `${text}[${part}]`
    return text === '' ? String(part) : `${text}.${String(part)}`
  }, '')
}

function position(text: string | undefined, otherwise: number): number | null {
  if (text === undefined) return otherwise
  return /^\d{1,16}$/.test(text) && Number(text) >= 1 ? Number(text) : null
}

/** A job's name has no colon, so what follows the last one is the verb. */
function jobOf({ role, environment, rest: end }: JobParams): { readonly key: JobKey; readonly verb: string | null } {
  const colon = end.lastIndexOf(':')
  if (colon < 0) return { key: { role, environment, name: end }, verb: null }
  return { key: { role, environment, name: end.slice(0, colon) }, verb: end.slice(colon + 1) }
}

/** Never "all" by accident: one of the two has to be said. */
function chosen(
  reply: FastifyReply,
  { instances, all }: { readonly instances?: readonly number[] | undefined; readonly all?: true | undefined },
): { readonly instances: readonly number[] | null } | null {
  if ((instances === undefined) !== (all === undefined)) return { instances: instances ?? null }
  const found = instances === undefined ? 'neither' : 'both'
  const fault = { path: '', text: `say either \`instances\` or \`all\`, found ${found}` }
  refuse(reply, rejected('INVALID_REQUEST', `The request is not valid: ${fault.text}`, { faults: [fault] }))
  return null
}

// ---- answers --------------------------------------------------------------------------------------------------------

function refuse(reply: FastifyReply, rejection: Rejection): FastifyReply {
  sendProblem(reply, rejection)
  return reply
}

const unknownTask = (id: string): Rejection => rejected('NOT_FOUND', `Task ${id} does not exist`)

const isRejection = (value: object): value is Rejection => 'type' in value && value.type === 'rejected'

/** Sends what was computed on staged state once that state is committed. */
function answer(scheduler: SchedulerDeps, reply: FastifyReply, document: object): FastifyReply {
  const send = (): void => {
    if (isRejection(document)) sendProblem(reply, document)
    else reply.send(document)
  }
  scheduler.ledger.whenCommitted(send, reason => sendProblem(reply, reason))
  return reply
}

type Mutation = Pick<JobKeeper.Create, 'requestId' | 'fingerprint' | 'user' | 'replyTo'>

async function mutate(
  deps: HttpDeps,
  request: FastifyRequest,
  reply: FastifyReply,
  { status, body }: { readonly status: 200 | 201; readonly body: object },
  command: (mutation: Mutation) => JobKeeper.Command,
): Promise<FastifyReply> {
  const requestId = header(request, rest.REQUEST_ID_HEADER) ?? randomUUID()
  const user = header(request, rest.USER_HEADER) ?? 'UNSECURE'
  if (!REQUEST_ID.test(requestId)) {
    return refuse(reply, rejected('MALFORMED', `${rest.REQUEST_ID_HEADER} must be 1 to 255 printable characters`))
  }
  if (!USER.test(user)) return refuse(reply, rejected('MALFORMED', `${rest.USER_HEADER} must be a user name`))
  const scheduler = leading(deps, request, reply)
  if (scheduler === null) return reply
  const keeper = scheduler.jobKeeper()
  if (keeper === null) return refuse(reply, notReady())
  const fingerprint = fingerprintOf(request.method, request.url, body)
  const outcome = await asked(
    scheduler,
    keeper,
    (replyTo: Ref<JobKeeper.JobOutcome | Rejection>) => command({ requestId, fingerprint, user, replyTo }),
    MUTATION_MS_MAX,
    () =>
      rejected('OUTCOME_UNKNOWN', `No answer within ${MUTATION_MS_MAX / 1000} s; it may still happen`, {
        remedy: `ask again with the header ${rest.REQUEST_ID_HEADER}: ${requestId}, and it is not done twice`,
      }),
  )
  if (outcome.type === 'rejected') return refuse(reply, outcome)
  const { key, instances, message, warnings } = outcome
  const document: rest.JobOutcomeView = { key, instances: [...instances], message, warnings: [...warnings] }
  return reply.code(status).send(document)
}

async function asked<Q, A>(
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
