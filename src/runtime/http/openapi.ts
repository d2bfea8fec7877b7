/** The OpenAPI 3.1 document of `/api/v1`, made from the schemas that also check the requests. Built when first asked for. */
import { z } from 'zod'
import { eventDocument, eventQuery } from '../../wire/events.ts'
import * as rest from '../../wire/rest.ts'
import { API, ROUTES } from './routes.ts'

type Json = Record<string, unknown>
interface Documented {
  readonly query?: z.ZodObject
  readonly body?: z.ZodType
  /** Name of the answer's schema in `SCHEMAS`. */
  readonly answer: keyof typeof SCHEMAS
  readonly status?: 200 | 201
  /** Default: application/json. */
  readonly media?: string
  /** A POST that may be sent again as it is: no request id is kept for it. */
  readonly isRepeatable?: true
}

const logEntries = z.object({
  entries: z.array(
    z.object({
      position: z.number().int(),
      ballot: z.tuple([z.number(), z.number()]),
      type: z.enum(['NOP', 'DATA', 'TRUNCATE', 'CONFIG', 'LEADER', 'CHECKPOINT']),
      payload: z.string().describe('base64'),
    }),
  ),
  next: z.number().int().nullable(),
})
const SCHEMAS = {
  CreateJob: rest.createJob,
  KillJob: rest.killJob,
  RestartJob: rest.restartJob,
  AddInstances: rest.addInstances,
  DiffJob: rest.diffJob,
  JobDiff: rest.jobDiff,
  JobOutcome: rest.jobOutcome,
  JobList: rest.jobList,
  JobDetail: rest.jobDetail,
  JobExplanation: rest.jobExplanation,
  TaskWhy: rest.taskWhy,
  WhatIf: rest.whatIf,
  WhatIfPlan: rest.whatIfPlan,
  QuotaList: rest.quotaList,
  RoleQuota: rest.roleQuota,
  SetQuota: rest.setQuota,
  IncreaseQuota: rest.increaseQuota,
  QuotaSet: rest.quotaSet,
  TaskList: rest.taskList,
  Task: rest.task,
  LogPiece: rest.logPiece,
  ForceState: rest.forceState,
  Forced: rest.forced,
  PruneTasks: rest.pruneTasks,
  Pruned: rest.pruned,
  Reconcile: rest.reconcile,
  ReconcileStarted: rest.reconcileStarted,
  ReleaseHeld: rest.releaseHeld,
  HeldReleased: rest.heldReleased,
  BackupList: rest.backupList,
  BackupNow: rest.backupNow,
  BackupWritten: rest.backupWritten,
  StageBackup: rest.stageBackup,
  DropBackupTasks: rest.dropBackupTasks,
  UnloadBackup: rest.unloadBackup,
  StagedBackup: rest.stagedBackup,
  BackupTaskList: rest.backupTaskList,
  BackupDiff: rest.backupDiff,
  CommitBackup: rest.commitBackup,
  BackupRestored: rest.backupRestored,
  RoleList: rest.roleList,
  SearchFound: rest.searchFound,
  Agent: rest.agent,
  AgentList: rest.agentList,
  Pending: rest.pending,
  TierList: rest.tierList,
  Cluster: rest.cluster,
  LogStatus: rest.logStatus,
  LogEntries: logEntries,
  TransferLog: rest.transferLog,
  LogTransfer: rest.logTransfer,
  Event: eventDocument,
  Problem: rest.problem,
} as const

const DOCUMENTED: Readonly<Record<string, Documented>> = {
  [`GET ${API}/cluster`]: { answer: 'Cluster' },
  [`GET ${API}/log/status`]: { answer: 'LogStatus' },
  [`GET ${API}/log/entries`]: {
    answer: 'LogEntries',
    query: z.object({ from: z.number().int().min(1).optional(), to: z.number().int().min(1).optional() }),
  },
  [`POST ${API}/log:transfer`]: { answer: 'LogTransfer', body: rest.transferLog },
  [`GET ${API}/jobs`]: { answer: 'JobList', query: rest.jobQuery },
  [`POST ${API}/jobs`]: { answer: 'JobOutcome', body: rest.createJob, status: 201 },
  [`GET ${API}/jobs/{role}/{environment}/{name}`]: { answer: 'JobDetail' },
  [`GET ${API}/jobs/{role}/{environment}/{name}/explain`]: { answer: 'JobExplanation' },
  [`POST ${API}/jobs/{role}/{environment}/{name}:kill`]: { answer: 'JobOutcome', body: rest.killJob },
  [`POST ${API}/jobs/{role}/{environment}/{name}:restart`]: { answer: 'JobOutcome', body: rest.restartJob },
  [`POST ${API}/jobs/{role}/{environment}/{name}:add`]: { answer: 'JobOutcome', body: rest.addInstances },
  [`POST ${API}/jobs/{role}/{environment}/{name}:diff`]: { answer: 'JobDiff', body: rest.diffJob, isRepeatable: true },
  [`GET ${API}/tasks`]: { answer: 'TaskList', query: rest.taskQuery },
  [`GET ${API}/tasks/{taskId}`]: { answer: 'Task' },
  [`GET ${API}/tasks/{taskId}/why`]: { answer: 'TaskWhy' },
  [`GET ${API}/tasks/{taskId}/logs`]: { answer: 'LogPiece', query: rest.logQuery },
  [`POST ${API}/tasks/{taskId}:force-state`]: { answer: 'Forced', body: rest.forceState },
  [`POST ${API}/tasks:prune`]: { answer: 'Pruned', body: rest.pruneTasks },
  [`POST ${API}/admin:reconcile`]: { answer: 'ReconcileStarted', body: rest.reconcile, isRepeatable: true },
  [`POST ${API}/admin:release-held`]: { answer: 'HeldReleased', body: rest.releaseHeld, isRepeatable: true },
  [`GET ${API}/backups`]: { answer: 'BackupList', query: rest.pageQuery },
  [`POST ${API}/backups`]: { answer: 'BackupWritten', body: rest.backupNow, status: 201 },
  [`POST ${API}/backups:stage`]: { answer: 'StagedBackup', body: rest.stageBackup },
  [`GET ${API}/backups/tasks`]: { answer: 'BackupTaskList', query: rest.taskQuery },
  [`POST ${API}/backups:drop`]: { answer: 'StagedBackup', body: rest.dropBackupTasks },
  [`GET ${API}/backups/diff`]: { answer: 'BackupDiff' },
  [`POST ${API}/backups:unload`]: { answer: 'StagedBackup', body: rest.unloadBackup },
  [`POST ${API}/backups:commit`]: { answer: 'BackupRestored', body: rest.commitBackup },
  [`GET ${API}/roles`]: { answer: 'RoleList', query: rest.pageQuery },
  [`GET ${API}/search`]: { answer: 'SearchFound', query: rest.searchQuery },
  [`GET ${API}/agents/{agentId}`]: { answer: 'Agent' },
  [`GET ${API}/agents`]: { answer: 'AgentList', query: rest.pageQuery },
  [`GET ${API}/pending`]: { answer: 'Pending', query: rest.jobQuery },
  [`GET ${API}/tiers`]: { answer: 'TierList' },
  [`POST ${API}/what-if`]: { answer: 'WhatIfPlan', body: rest.whatIf, isRepeatable: true },
  [`GET ${API}/quotas`]: { answer: 'QuotaList', query: rest.pageQuery },
  [`GET ${API}/quotas/{role}`]: { answer: 'RoleQuota' },
  [`POST ${API}/quotas/{role}:set`]: { answer: 'QuotaSet', body: rest.setQuota },
  [`POST ${API}/quotas/{role}:increase`]: { answer: 'QuotaSet', body: rest.increaseQuota },
  // Each event of the stream is one of these.
  [`GET ${API}/events`]: { answer: 'Event', query: eventQuery, media: 'text/event-stream' },
}

let built: { readonly version: string; readonly document: Json } | null = null

export function openApiDocument(version: string): Json {
  if (built?.version !== version) built = { version, document: build(version) }
  return built.document
}

function build(version: string): Json {
  const paths: Record<string, Json> = {}
  for (const route of ROUTES) {
    const documented = DOCUMENTED[`${route.method} ${route.path}`]
    if (documented === undefined) continue
    const path = route.path.slice(API.length)
    paths[path] = { ...paths[path], [route.method.toLowerCase()]: operation(route, documented) }
  }
  const schemas = Object.fromEntries(
    Object.entries(SCHEMAS).map(([name, schema]) => [
      name,
      schemaOf(schema, REQUEST_BODIES.has(name) ? 'input' : 'output'),
    ]),
  )
  return {
    openapi: '3.1.0',
    info: {
      title: 'Daybreak',
      version,
      description: 'Times are ms since the epoch. Paths marked x-answered-by: leader answer 307 on other nodes.',
    },
    servers: [{ url: API }],
    paths,
    components: { schemas },
  }
}

const REQUEST_BODIES: ReadonlySet<string> = new Set([
  'CreateJob',
  'KillJob',
  'RestartJob',
  'AddInstances',
  'DiffJob',
  'ForceState',
  'PruneTasks',
  'Reconcile',
  'ReleaseHeld',
  'TransferLog',
  'BackupNow',
  'StageBackup',
  'DropBackupTasks',
  'UnloadBackup',
  'CommitBackup',
  'SetQuota',
  'WhatIf',
  'IncreaseQuota',
])

function operation(
  route: (typeof ROUTES)[number],
  { query, body, answer, status = 200, media = 'application/json', isRepeatable }: Documented,
): Json {
  const mutates = route.method === 'POST'
  const parameters = [
    ...[...route.path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({
      name,
      in: 'path',
      required: true,
      schema: { type: 'string' },
    })),
    ...(query === undefined ? [] : queryParameters(query)),
    ...(mutates ? HEADERS.filter(({ name }) => !isRepeatable || name !== 'Idempotency-Key') : []),
  ]
  const bodyName = Object.entries(SCHEMAS).find(([, schema]) => schema === body)?.[0]
  return {
    operationId: operationId(route.method, route.path),
    summary: route.meaning,
    'x-answered-by': route.by,
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(bodyName === undefined
      ? {}
      : { requestBody: { required: true, content: { 'application/json': { schema: reference(bodyName) } } } }),
    responses: {
      [String(status)]: { description: 'Done', content: { [media]: { schema: reference(answer) } } },
      ...(route.by === 'leader' ? { 307: { description: 'Another node leads; ask it at Location' } } : {}),
      default: { description: 'Refused', content: { 'application/problem+json': { schema: reference('Problem') } } },
    },
  }
}

const HEADERS = [
  {
    name: 'Idempotency-Key',
    in: 'header',
    required: false,
    description: 'The id of this request: a retry under the same id gets the first answer and is not done twice',
    schema: { type: 'string', maxLength: 255 },
  },
  {
    name: 'Daybreak-User',
    in: 'header',
    required: false,
    description: 'Who asks',
    schema: { type: 'string', maxLength: 255 },
  },
] as const

const reference = (name: string): Json => ({ $ref: `#/components/schemas/${name}` })

/** `GET /api/v1/jobs/{role}/{environment}/{name}` is `getJobsByRoleEnvironmentName`. */
function operationId(method: string, path: string): string {
  const parts = path
    .slice(API.length)
    .split(/[/:]/)
    .filter(part => part !== '')
  const words = parts.map(part => (part.startsWith('{') ? part.slice(1, -1) : part))
  const named = words.map((word, index) => {
    const big = word.charAt(0).toUpperCase() + word.slice(1)
    return parts[index]?.startsWith('{') && !parts[index - 1]?.startsWith('{') ? `By${big}` : big
  })
  return method.toLowerCase() + named.join('')
}

function queryParameters(query: z.ZodObject): Json[] {
  const { properties, required } = schemaOf(query, 'input') as { properties: Record<string, Json>; required?: string[] }
  return Object.entries(properties).map(([name, { description, ...schema }]) => ({
    name,
    in: 'query',
    required: required?.includes(name) ?? false,
    ...(description === undefined ? {} : { description }),
    schema,
  }))
}

function schemaOf(schema: z.ZodType, io: 'input' | 'output'): Json {
  const { $schema: _dialect, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: 'any' }) as Json
  return rest
}
