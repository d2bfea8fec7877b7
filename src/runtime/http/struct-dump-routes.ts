/**
 * `/structdump`: one stored record as it is, for whoever looks for a fault: a task, or the template of a cron job, each
 * with the configuration that it names. Only a node that leads has them.
 */
import type { FastifyInstance, FastifyReply } from 'fastify'
import { type ConfigId, taskId } from '../../core/base/ids.ts'
import { type Rejection, rejected } from '../../core/base/rejection.ts'
import type { LedgerView } from '../../core/ledger/view.ts'
import type { HttpDeps } from '../http-server.ts'
import { notReady, refusalToLead } from './leader-guard.ts'
import { escapeHtml, page, sendHtml } from './page.ts'

interface Stored {
  readonly configId: ConfigId
}

export function addStructDumpRoutes(app: FastifyInstance, deps: HttpDeps): void {
  app.get('/structdump', (_request, reply) => sendHtml(reply.code(400), USAGE))

  app.get<{ Params: { id: string } }>('/structdump/task/:id', (request, reply) => {
    const { id } = request.params
    return dump(deps, reply, `Task ${id}`, view => view.task(taskId(id)))
  })

  app.get<{ Params: { role: string; environment: string; job: string } }>(
    '/structdump/cron/:role/:environment/:job',
    (request, reply) => {
      const { role, environment, job: name } = request.params
      return dump(deps, reply, `Cron job ${role}/${environment}/${name}`, view => {
        const row = view.job({ role, environment, name })
        return row?.cron === undefined ? undefined : row
      })
    },
  )
}

function dump(
  { scheduler }: HttpDeps,
  reply: FastifyReply,
  title: string,
  find: (view: LedgerView) => Stored | undefined,
): FastifyReply {
  const cannot = (reason: Rejection): void => void sendHtml(reply.code(500), dumpPage(title, failureText(reason)))
  const refusal = scheduler === null ? AGENT_ONLY : refusalToLead(scheduler)
  if (scheduler === null || refusal !== null) {
    cannot(refusal ?? notReady())
    return reply
  }
  const { view } = scheduler.ledger
  const row = find(view)
  const text =
    row === undefined
      ? 'Exception: Entity not found'
      : JSON.stringify({ ...row, config: view.config(row.configId) }, null, 2)
  scheduler.ledger.whenLeased(() => void sendHtml(reply, dumpPage(title, text)), cannot)
  return reply
}

const AGENT_ONLY = rejected('STORAGE_NOT_READY', undefined, {
  remedy: 'this process is only an agent: ask a scheduler node',
})

const failureText = ({ detail, remedy }: Rejection): string => {
  return `Exception: ${detail}${remedy === undefined ? '' : `\n\nWhat helps: ${remedy}`}`
}

function dumpPage(title: string, text: string): string {
  return page({ title }, `<h1>${escapeHtml(title)}</h1><pre>${escapeHtml(text)}</pre>`)
}

const USAGE = page(
  { title: 'Dump of a stored record' },
  '<h1>Dump of a stored record</h1><p>One of:</p><ul><li><code>/structdump/task/{task id}</code></li>' +
    '<li><code>/structdump/cron/{role}/{environment}/{job}</code></li></ul>',
)
