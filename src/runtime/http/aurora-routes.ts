/**
 * What Aurora serves beside its Thrift interface, at the same paths and in the same shapes, for scripts and dashboards
 * that read them. The leader answers, another node sends there. What an engine has nothing of is empty, as with Aurora.
 *
 * Source: the outside interfaces, section 2.
 */
import type { FastifyInstance } from 'fastify'
import * as documents from '../../core/aurora/state-documents.ts'
import type { LedgerView } from '../../core/ledger/view.ts'
import { plainTaskConfig } from '../../wire/thrift/plain-json.ts'
import { auroraTaskConfig } from '../../wire/thrift/task-config-mapping.ts'
import type { HttpDeps, SchedulerDeps } from '../http-server.ts'
import { addAuroraPages } from './aurora-pages.ts'
import { leadingPage, whenTrue } from './leader-page.ts'
import { addMnameRoutes } from './mname-routes.ts'
import { addServiceRoutes } from './service-routes.ts'
import { addStructDumpRoutes } from './struct-dump-routes.ts'

export function addAuroraRoutes(app: FastifyInstance, deps: HttpDeps): void {
  for (const [path, make] of Object.entries(DOCUMENTS)) {
    app.get(path, (request, reply) => {
      const scheduler = leadingPage(deps, request, reply)
      if (scheduler === null) return reply
      const document = make(scheduler, request.query as Query, deps)
      return whenTrue(scheduler, reply, () => void reply.send(document))
    })
  }
  addAuroraPages(app, deps)
  addStructDumpRoutes(app, deps)
  addMnameRoutes(app, deps)
  addServiceRoutes(app, deps)
}

type Query = Readonly<Record<string, string | readonly string[] | undefined>>

type Make = (scheduler: SchedulerDeps, query: Query, deps: HttpDeps) => object

const DOCUMENTS: Readonly<Record<string, Make>> = {
  '/offers': ({ ledger, placement }, _query, { node }) =>
    documents.offersDocument(ledger.view, placement()?.offers() ?? [], node.cluster.name),
  '/cron': ({ ledger }) => documents.cronDocument(ledger.view),
  '/maintenance': ({ ledger }) => documents.maintenanceDocument(ledger.view),
  '/pendingtasks': ({ placement }) => documents.pendingTasksDocument(placement()?.pending() ?? []),
  '/quotas': ({ ledger }, { role }) => documents.quotasDocument(ledger.view, role === undefined ? null : String(role)),
  '/state': ({ ledger }) => stateDocument(ledger.view),
  '/tiers': ({ admission }) => documents.tiersDocument(admission),
}

function stateDocument(view: LedgerView): object {
  return documents.stateDocument(view, configId => {
    const config = view.config(configId)
    return config === undefined ? null : plainTaskConfig(auroraTaskConfig(config))
  })
}
