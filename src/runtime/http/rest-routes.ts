/**
 * JSON REST under `/api/v1`. Schemas are those of `src/wire/rest.ts`. Answers are made from the leader's state at once
 * and leave when everything staged so far is committed (output commit) and the lease still runs; refusals of what cannot
 * be read leave at once.
 */
import type { FastifyInstance } from 'fastify'
import type { HttpDeps } from '../http-server.ts'
import { addAdminRoutes } from './admin-routes.ts'
import { addBackupRoutes } from './backup-routes.ts'
import { addClusterRoutes } from './cluster-routes.ts'
import { addDirectoryRoutes } from './directory-routes.ts'
import { addEventRoutes } from './event-routes.ts'
import { addExplainRoutes } from './explain-routes.ts'
import { addJobRoutes } from './job-routes.ts'
import { addLogTransferRoute } from './log-transfer-route.ts'
import { addPlaceRoutes } from './place-routes.ts'
import { addQuotaRoutes } from './quota-routes.ts'
import { addReconciliationRoutes } from './reconciliation-routes.ts'
import { addTaskRoutes } from './task-routes.ts'
import { addWhatIfRoute } from './what-if-route.ts'
import { addWhoamiRoute } from './whoami-route.ts'

export function addRestRoutes(app: FastifyInstance, deps: HttpDeps): void {
  addJobRoutes(app, deps)
  addTaskRoutes(app, deps)
  addExplainRoutes(app, deps)
  addAdminRoutes(app, deps)
  addReconciliationRoutes(app, deps)
  addBackupRoutes(app, deps)
  addPlaceRoutes(app, deps)
  addDirectoryRoutes(app, deps)
  addQuotaRoutes(app, deps)
  addWhatIfRoute(app, deps)
  addClusterRoutes(app, deps)
  addLogTransferRoute(app, deps)
  addEventRoutes(app, deps)
  addWhoamiRoute(app)
}
