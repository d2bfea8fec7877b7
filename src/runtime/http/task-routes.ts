/** Tasks over REST: the list, one task, and pieces of its logs, which are asked of its agent. */
import type { FastifyInstance } from 'fastify'
import type { Ref } from '../../actors/actor.ts'
import { taskId } from '../../core/base/ids.ts'
import { type Rejection, rejected } from '../../core/base/rejection.ts'
import type { LogData } from '../../wire/messages/agent.ts'
import * as rest from '../../wire/rest.ts'
import type { HttpDeps } from '../http-server.ts'
import { leading, notReady } from './leader-guard.ts'
import { readCursor, takePage } from './paging.ts'
import { answer, asked, parsed, refuse } from './rest-answers.ts'
import * as views from './rest-views.ts'
import { API } from './routes.ts'

const LOG_READ_MS_MAX = 15_000

export function addTaskRoutes(app: FastifyInstance, deps: HttpDeps): void {
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
