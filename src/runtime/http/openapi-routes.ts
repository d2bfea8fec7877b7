/** What each route under `/api/v1` takes and gives: the words of its schemas, by the names that the OpenAPI document has. */
import { z } from 'zod'
import { eventDocument, eventQuery } from '../../wire/events.ts'
import * as rest from '../../wire/rest.ts'
import type { Refusal } from './openapi-parts.ts'
import { API } from './routes.ts'

export interface Documented {
  readonly query?: z.ZodObject
  readonly body?: z.ZodType
  /** Name of the answer's schema in `SCHEMAS`. */
  readonly answer: keyof typeof SCHEMAS
  readonly status?: 200 | 201
  /** Default: application/json. */
  readonly media?: string
  /** A POST that may be sent again as it is: no request id is kept for it. */
  readonly isRepeatable?: true
  /** `read`: shows a job with its version; `change`: may be made to depend on it. */
  readonly version?: 'read' | 'change'
  /** What it may be refused with beyond what follows from its form. */
  readonly refusals?: readonly Refusal[]
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
const document = z.looseObject({
  openapi: z.literal('3.1.0'),
  info: z.looseObject({ title: z.string(), version: z.string() }),
  paths: z.record(z.string(), z.unknown()),
})
export const SCHEMAS = {
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
  Whoami: rest.whoami,
  Cluster: rest.cluster,
  LogStatus: rest.logStatus,
  LogEntries: logEntries,
  TransferLog: rest.transferLog,
  LogTransfer: rest.logTransfer,
  Event: eventDocument,
  OpenApi: document,
  Problem: rest.problem,
} as const

export const DOCUMENTED: Readonly<Record<string, Documented>> = {
  [`GET ${API}/openapi.json`]: { answer: 'OpenApi' },
  [`GET ${API}/cluster`]: { answer: 'Cluster' },
  [`GET ${API}/log/status`]: { answer: 'LogStatus' },
  [`GET ${API}/log/entries`]: {
    answer: 'LogEntries',
    query: z.object({ from: z.number().int().min(1).optional(), to: z.number().int().min(1).optional() }),
    refusals: [422],
  },
  [`POST ${API}/log:transfer`]: { answer: 'LogTransfer', body: rest.transferLog, isRepeatable: true, refusals: [409] },
  [`GET ${API}/jobs`]: { answer: 'JobList', query: rest.jobQuery },
  [`POST ${API}/jobs`]: { answer: 'JobOutcome', body: rest.createJob, status: 201, version: 'change', refusals: [409] },
  [`GET ${API}/jobs/{role}/{environment}/{name}`]: { answer: 'JobDetail', version: 'read' },
  [`GET ${API}/jobs/{role}/{environment}/{name}/explain`]: { answer: 'JobExplanation' },
  [`POST ${API}/jobs/{role}/{environment}/{name}:kill`]: {
    answer: 'JobOutcome',
    body: rest.killJob,
    version: 'change',
    refusals: [409],
  },
  [`POST ${API}/jobs/{role}/{environment}/{name}:restart`]: {
    answer: 'JobOutcome',
    body: rest.restartJob,
    version: 'change',
    refusals: [409],
  },
  [`POST ${API}/jobs/{role}/{environment}/{name}:add`]: {
    answer: 'JobOutcome',
    body: rest.addInstances,
    version: 'change',
    refusals: [409],
  },
  [`POST ${API}/jobs/{role}/{environment}/{name}:diff`]: {
    answer: 'JobDiff',
    body: rest.diffJob,
    isRepeatable: true,
    version: 'read',
  },
  [`GET ${API}/tasks`]: { answer: 'TaskList', query: rest.taskQuery },
  [`GET ${API}/tasks/{taskId}`]: { answer: 'Task' },
  [`GET ${API}/tasks/{taskId}/why`]: { answer: 'TaskWhy' },
  [`GET ${API}/tasks/{taskId}/logs`]: { answer: 'LogPiece', query: rest.logQuery },
  [`POST ${API}/tasks/{taskId}:force-state`]: { answer: 'Forced', body: rest.forceState, refusals: [409] },
  [`POST ${API}/tasks:prune`]: { answer: 'Pruned', body: rest.pruneTasks },
  [`POST ${API}/admin:reconcile`]: { answer: 'ReconcileStarted', body: rest.reconcile, isRepeatable: true },
  [`POST ${API}/admin:release-held`]: { answer: 'HeldReleased', body: rest.releaseHeld, isRepeatable: true },
  [`GET ${API}/backups`]: { answer: 'BackupList', query: rest.pageQuery },
  [`POST ${API}/backups`]: { answer: 'BackupWritten', body: rest.backupNow, status: 201, refusals: [409] },
  [`POST ${API}/backups:stage`]: { answer: 'StagedBackup', body: rest.stageBackup, refusals: [409] },
  [`GET ${API}/backups/tasks`]: { answer: 'BackupTaskList', query: rest.taskQuery, refusals: [409] },
  [`POST ${API}/backups:drop`]: { answer: 'StagedBackup', body: rest.dropBackupTasks, refusals: [409] },
  [`GET ${API}/backups/diff`]: { answer: 'BackupDiff', refusals: [409] },
  [`POST ${API}/backups:unload`]: { answer: 'StagedBackup', body: rest.unloadBackup, refusals: [409] },
  [`POST ${API}/backups:commit`]: { answer: 'BackupRestored', body: rest.commitBackup, refusals: [409] },
  [`GET ${API}/roles`]: { answer: 'RoleList', query: rest.pageQuery },
  [`GET ${API}/search`]: { answer: 'SearchFound', query: rest.searchQuery },
  [`GET ${API}/agents/{agentId}`]: { answer: 'Agent' },
  [`GET ${API}/agents`]: { answer: 'AgentList', query: rest.pageQuery },
  [`GET ${API}/pending`]: { answer: 'Pending', query: rest.jobQuery },
  [`GET ${API}/tiers`]: { answer: 'TierList' },
  [`GET ${API}/whoami`]: { answer: 'Whoami', query: rest.whoamiQuery },
  [`POST ${API}/what-if`]: { answer: 'WhatIfPlan', body: rest.whatIf, isRepeatable: true },
  [`GET ${API}/quotas`]: { answer: 'QuotaList', query: rest.pageQuery },
  [`GET ${API}/quotas/{role}`]: { answer: 'RoleQuota' },
  [`POST ${API}/quotas/{role}:set`]: { answer: 'QuotaSet', body: rest.setQuota },
  [`POST ${API}/quotas/{role}:increase`]: { answer: 'QuotaSet', body: rest.increaseQuota },
  // Each event of the stream is one of these.
  [`GET ${API}/events`]: { answer: 'Event', query: eventQuery, media: 'text/event-stream', refusals: [410] },
}
