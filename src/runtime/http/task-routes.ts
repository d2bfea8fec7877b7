/** Tasks over REST: the list, one task, and pieces of its logs, which are asked of its agent. */
import type { FastifyInstance } from 'fastify'
import type { Ref } from '../../actors/actor.ts'
import { jobKeyText, taskId } from '../../core/base/ids.ts'
import { type Rejection, rejected } from '../../core/base/rejection.ts'
import type { TaskRow } from '../../core/ledger/rows.ts'
import { planTaskQuery, type TaskPlan } from '../../core/task/query.ts'
import type { LogData } from '../../wire/messages/agent.ts'
import * as rest from '../../wire/rest.ts'
import type { HttpDeps } from '../http-server.ts'
import { leading, notReady } from './leader-guard.ts'
import { type PageKey, readCursor, takePage } from './paging.ts'
import { answer, asked, parsed, refuse } from './rest-answers.ts'
import * as views from './rest-views.ts'
import { API } from './routes.ts'

const LOG_READ_MS_MAX = 15_000
/** A page that takes longer to find is worth a line. */
const SLOW_MS = 25

export function addTaskRoutes(app: FastifyInstance, deps: HttpDeps): void {
  app.get(`${API}/tasks`, (request, reply) => {
    const query = parsed(reply, rest.taskQuery, request.query)
    if (query === null) return reply
    const asked = views.taskQueryOf(query)
    if ('path' in asked)
      return refuse(reply, rejected('INVALID_REQUEST', 'The query is not valid', { faults: [asked] }))
    const cursor = readCursor(query.cursor, ['string', 'number', 'string'])
    if (!cursor.ok) return refuse(reply, cursor.rejection)
    const scheduler = leading(deps, request, reply)
    if (scheduler === null) return reply
    const { view } = scheduler.ledger
    const startMs = deps.clock.read().monoMs
    const plan = planTaskQuery(view, asked)
    if ('type' in plan) return refuse(reply, plan)
    deps.metrics.count(plan.counter)
    const reasons = views.pendingReasons(scheduler.placement())
    // The plan begins behind the cursor itself.
    const page = takePage(keyed(plan, cursor.after), null, query.limit)
    const tookMs = deps.clock.read().monoMs - startMs
    if (tookMs >= SLOW_MS) {
      const { limit: _, cursor: __, ...filter } = query
      deps.logger.warn('task-query-slow', {
        tookMs: Math.round(tookMs),
        plan: plan.kind,
        callId: request.id,
        ...filter,
      })
    }
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
    if (data.error !== null) return answer(scheduler, reply, rejected('NOT_FOUND', data.error))
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
    return answer(scheduler, reply, piece)
  })
}

const unknownTask = (id: string): Rejection => rejected('NOT_FOUND', `Task ${id} does not exist`)

function* keyed(plan: TaskPlan, after: PageKey | null): Generator<readonly [PageKey, TaskRow]> {
  const [job, instance, id] = after ?? []
  const position = after === null ? null : { job: String(job), instance: Number(instance), taskId: String(id) }
  for (const row of plan.read(position)) yield [[jobKeyText(row.job), row.instance, row.taskId], row]
}
