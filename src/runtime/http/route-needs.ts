/**
 * What whoever asks needs for each route, while security is on. The type of the table is complete only with all of
 * `ROUTES`, so a route without its need does not compile. Calls are those of Aurora's interface, so that one permission
 * holds for both ways to ask.
 */
import type { FastifyRequest } from 'fastify'
import { isIdentifier, type JobKey } from '../../core/base/ids.ts'
import { adminPermission, jobPermission, type Permission } from '../../core/security/permission.ts'
import type { MethodName } from '../../wire/thrift/methods.ts'
import type { AdminCall } from '../security/permitted-calls.ts'
import { API, ROUTES } from './routes.ts'

export type RouteNeed =
  /** Supervisors and load balancers ask here. */
  | { readonly type: 'open' }
  /** Whoever may read, as `reads` of security.yaml says. */
  | { readonly type: 'read' }
  /** Anybody who has shown who they are. */
  | { readonly type: 'user' }
  /** Only the body says what is asked. */
  | { readonly type: 'thrift' }
  /** `null`: the request does not say which job it is about. */
  | {
      readonly type: 'permission'
      readonly isChange: boolean
      readonly of: (request: FastifyRequest) => Permission | null
    }

type NameOf<R> = R extends { readonly method: infer M extends string; readonly path: infer P extends string }
  ? `${M} ${P}`
  : never
type RouteName = NameOf<(typeof ROUTES)[number]>

const OPEN: RouteNeed = { type: 'open' }
const READ: RouteNeed = { type: 'read' }
const USER: RouteNeed = { type: 'user' }
const admin = (call: AdminCall, isChange = true): RouteNeed => {
  return { type: 'permission', isChange, of: () => adminPermission(call) }
}
const adminRead = (call: AdminCall): RouteNeed => admin(call, false)
const job = (call: MethodName, keyOf: (request: FastifyRequest) => JobKey | null): RouteNeed => ({
  type: 'permission',
  isChange: true,
  of: request => {
    const key = keyOf(request)
    return key === null ? null : jobPermission(call, key)
  },
})

const NEEDS: Readonly<Record<RouteName, RouteNeed>> = {
  'GET /': READ,
  'GET /health': OPEN,
  'GET /leaderhealth': OPEN,
  // They tell the config, paths included.
  'GET /vars': USER,
  'GET /vars.json': USER,
  'GET /metrics': USER,
  'GET /inspect': adminRead('inspect'),
  'GET /inspect/{path}': adminRead('inspect'),
  'POST /quitquitquit': admin('quit'),
  'POST /abortabortabort': admin('abort'),
  'POST /api': { type: 'thrift' },
  'GET /apibeta': READ,
  'POST /apibeta/{method}': { type: 'thrift' },
  'GET /agents': READ,
  'GET /slaves': READ,
  'GET /offers': READ,
  'GET /pendingtasks': READ,
  'GET /cron': READ,
  'GET /maintenance': READ,
  'GET /quotas': READ,
  'GET /state': READ,
  'GET /tiers': READ,
  'GET /utilization': READ,
  'GET /utilization/{metric}': READ,
  'GET /utilization/{metric}/{role}': READ,
  'GET /mname': READ,
  // It says where to go; whoever is there decides.
  'GET /mname/{role}/{environment}/{job}/{instance}': READ,
  'PUT /mname/{role}/{environment}/{job}/{instance}': READ,
  'POST /mname/{role}/{environment}/{job}/{instance}': READ,
  'DELETE /mname/{role}/{environment}/{job}/{instance}': READ,
  'GET /mname/{role}/{environment}/{job}/{instance}/{path}': READ,
  'PUT /mname/{role}/{environment}/{job}/{instance}/{path}': READ,
  'POST /mname/{role}/{environment}/{job}/{instance}/{path}': READ,
  'DELETE /mname/{role}/{environment}/{job}/{instance}/{path}': READ,
  'GET /services': USER,
  'GET /threads': USER,
  'GET /structdump': USER,
  'GET /structdump/task/{id}': USER,
  'GET /structdump/cron/{role}/{environment}/{job}': USER,
  [`GET ${API}/openapi.json`]: READ,
  [`GET ${API}/whoami`]: USER,
  [`GET ${API}/cluster`]: READ,
  [`GET ${API}/log/status`]: READ,
  [`GET ${API}/log/entries`]: adminRead('readLog'),
  [`POST ${API}/log:transfer`]: admin('transferLeadership'),
  [`GET ${API}/jobs`]: READ,
  [`POST ${API}/jobs`]: job('createJob', keyInBody),
  [`GET ${API}/jobs/{role}/{environment}/{name}`]: READ,
  [`GET ${API}/jobs/{role}/{environment}/{name}/explain`]: READ,
  [`POST ${API}/jobs/{role}/{environment}/{name}:kill`]: job('killTasks', keyInPath),
  [`POST ${API}/jobs/{role}/{environment}/{name}:restart`]: job('restartShards', keyInPath),
  [`POST ${API}/jobs/{role}/{environment}/{name}:add`]: job('addInstances', keyInPath),
  [`POST ${API}/jobs/{role}/{environment}/{name}:diff`]: USER,
  [`GET ${API}/tasks`]: READ,
  [`GET ${API}/tasks/{taskId}`]: READ,
  [`GET ${API}/tasks/{taskId}/why`]: READ,
  [`GET ${API}/tasks/{taskId}/logs`]: READ,
  [`POST ${API}/tasks/{taskId}:force-state`]: admin('forceTaskState'),
  [`POST ${API}/tasks:prune`]: admin('pruneTasks'),
  [`POST ${API}/admin:reconcile`]: {
    type: 'permission',
    isChange: true,
    of: ({ body }) =>
      adminPermission(
        fieldOf(body, 'kind') === 'implicit'
          ? 'triggerImplicitTaskReconciliation'
          : 'triggerExplicitTaskReconciliation',
      ),
  },
  [`POST ${API}/admin:release-held`]: admin('releaseHeld'),
  [`GET ${API}/backups`]: adminRead('listBackups'),
  [`POST ${API}/backups`]: admin('performBackup'),
  [`POST ${API}/backups:stage`]: admin('stageRecovery'),
  [`GET ${API}/backups/tasks`]: adminRead('queryRecovery'),
  [`POST ${API}/backups:drop`]: admin('deleteRecoveryTasks'),
  [`GET ${API}/backups/diff`]: adminRead('queryRecovery'),
  [`POST ${API}/backups:unload`]: admin('unloadRecovery'),
  [`POST ${API}/backups:commit`]: admin('commitRecovery'),
  [`GET ${API}/agents`]: READ,
  [`GET ${API}/agents/{agentId}`]: READ,
  [`GET ${API}/roles`]: READ,
  [`GET ${API}/search`]: READ,
  [`GET ${API}/pending`]: READ,
  // It changes nothing, and costs as much as a round of placement.
  [`POST ${API}/what-if`]: USER,
  [`GET ${API}/quotas`]: READ,
  [`GET ${API}/quotas/{role}`]: READ,
  [`POST ${API}/quotas/{role}:set`]: admin('setQuota'),
  [`POST ${API}/quotas/{role}:increase`]: admin('setQuota'),
  [`GET ${API}/tiers`]: READ,
  [`GET ${API}/events`]: READ,
}

/** Of a request that has found its handler; null: the handler has no such verb and will say so. */
export function needOfRequest(request: FastifyRequest): RouteNeed | null {
  const { url = '' } = request.routeOptions
  // A call is a call, whichever way it is sent.
  const method = url === '/api' ? 'POST' : request.method === 'HEAD' ? 'GET' : request.method
  return NEED_BY_SHAPE.get(shapeOfRequest(method, url, request.params)) ?? null
}

/** As the router knows it, with the parameters left out: `POST /api/v1/jobs/{}/{}/{}:kill`. */
function shapeOfRequest(method: string, url: string, params: unknown): string {
  const end = fieldOf(params, 'rest')
  // A handler for several verbs has them behind the last colon of its last parameter.
  const colon = typeof end === 'string' ? end.lastIndexOf(':') : -1
  const verb = colon < 0 ? '' : String(end).slice(colon)
  const path = url.replaceAll('::', '\0').replace(/:\w+/g, '{}').replace(/\*$/, '{}').replaceAll('\0', ':')
  return `${method} ${path}${verb}`
}

const NEED_BY_SHAPE: ReadonlyMap<string, RouteNeed> = new Map(
  ROUTES.map(({ method, path }) => {
    const name = `${method} ${path}` as RouteName
    return [name.replace(/\{\w+\}/g, '{}'), NEEDS[name]]
  }),
)

function keyInPath({ params }: FastifyRequest): JobKey | null {
  const end = fieldOf(params, 'rest')
  const name = typeof end === 'string' ? end.slice(0, Math.max(0, end.lastIndexOf(':'))) : null
  return wholeKey(fieldOf(params, 'role'), fieldOf(params, 'environment'), name)
}

function keyInBody({ body }: FastifyRequest): JobKey | null {
  const key = fieldOf(fieldOf(body, 'job'), 'key')
  return wholeKey(fieldOf(key, 'role'), fieldOf(key, 'environment'), fieldOf(key, 'name'))
}

function wholeKey(role: unknown, environment: unknown, name: unknown): JobKey | null {
  const isWhole = [role, environment, name].every(part => typeof part === 'string' && isIdentifier(part))
  return isWhole ? { role: String(role), environment: String(environment), name: String(name) } : null
}

const fieldOf = (value: unknown, field: string): unknown =>
  typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[field] : undefined
