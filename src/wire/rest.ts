/**
 * The REST API under `/api/v1`: one source for validation, types and the OpenAPI document. Field names are camelCase;
 * units stand in the names; times are ms since the epoch.
 */
import { z } from 'zod'
import { SCHEDULER_STATES } from '../core/lifecycle/scheduler-states.ts'
import { TASK_STATUSES, type TaskStatus } from '../core/task/status.ts'

const text = (max: number) => z.string().max(max)
const count = z.number().int().nonnegative().max(Number.MAX_SAFE_INTEGER)
export const taskStatus = z.enum(Object.keys(TASK_STATUSES) as [TaskStatus, ...TaskStatus[]])

export const jobKey = z.object({ role: text(255), environment: text(255), name: text(255) })

export const resources = z.object({
  cpusMilli: count.describe('thousandths of a core'),
  ramMb: count.describe('MB of 2^20 bytes'),
  diskMb: count.describe('MB of 2^20 bytes'),
  gpus: count,
})

export const constraint = z.object({
  name: text(255),
  rule: z.discriminatedUnion('type', [
    z.object({ type: z.literal('value'), negated: z.boolean(), values: z.array(text(1024)).max(1000) }),
    z.object({ type: z.literal('limit'), limit: z.number().int() }),
  ]),
})

/** Aurora's text where a part is missing altogether. */
const orAbsent = (text: string) => ({
  error: (issue: { readonly input?: unknown }) => (issue.input == null ? text : undefined),
})

const executorConfig = z.object(
  { name: text(255), data: text(1_048_576).describe('JSON of the whole job, read by the agent') },
  orAbsent('Configuration may not be null.'),
)

const taskFields = {
  job: jobKey,
  owner: text(255),
  isService: z.boolean(),
  maxTaskFailures: z.number().int(),
  priority: z.number().int(),
  production: z.boolean(),
  tier: text(255),
  contactEmail: text(1024).optional(),
  resources,
  ports: z.array(text(255)).max(1000),
  constraints: z.array(constraint).max(1000),
  metadata: z.array(z.object({ key: text(1024), value: text(65_536) })).max(1000),
  partitionPolicy: z.object({ reschedule: z.boolean(), delaySecs: count }).optional(),
  slaPolicy: z
    .discriminatedUnion('type', [
      z.object({ type: z.literal('count'), count: z.number().int(), durationSecs: count }),
      z.object({ type: z.literal('percentage'), percentage: z.number(), durationSecs: count }),
      z.object({ type: z.literal('coordinator'), coordinatorUrl: text(4096), statusKey: text(255) }),
    ])
    .optional()
    .describe('kept for updates and maintenance, which this version does not have'),
  taskLinks: z.record(text(255), text(4096)).optional().describe('URLs by name; %host% and %port:NAME% are filled in'),
  executor: executorConfig,
  prefer: z
    .array(z.object({ attribute: text(255), values: z.array(text(1024)).max(1000), weight: z.number().int() }))
    .max(100)
    .optional()
    .describe('hosts that are better (weight up to 100) or worse (down to -100)'),
  spread: z
    .array(
      z.object({
        attribute: text(255),
        weight: z.number().int(),
        targets: z.record(text(1024), z.number()).optional().describe('percent of the instances by value'),
      }),
    )
    .max(100)
    .optional(),
  everyHost: z.literal(true).optional().describe('one instance on every host that the constraints allow'),
  gang: z.number().int().optional().describe('so many instances are placed together, or none'),
}
export const taskConfig = z.object(taskFields, orAbsent('Job configuration must have taskConfig set.'))

export const jobConfiguration = z.object({
  key: jobKey,
  owner: text(255),
  instanceCount: z.number().int(),
  task: taskConfig,
  cronSchedule: text(255).optional(),
  cronCollisionPolicy: z.enum(['KILL_EXISTING', 'CANCEL_NEW']).optional(),
})

/** GET /tiers */
export const tierList = z.object({
  defaultTier: z.string().describe('of jobs that name none'),
  tiers: z.array(
    z.object({
      name: z.string(),
      preemptible: z.boolean().describe('its tasks may be ended so that those of a better tier find room'),
      revocable: z.boolean().describe('its tasks run on lent cores'),
      production: z.boolean().describe('neither: counted against quotas'),
    }),
  ),
})
export type TierList = z.infer<typeof tierList>

/** POST /jobs */
export const createJob = z.object({ job: jobConfiguration })

const instances = z.array(z.number().int().nonnegative()).min(1).max(100_000)
/** It stands in the history of each task that is killed. */
export const KILL_MESSAGE_CHARACTERS_MAX = 4_096
/** POST /jobs/{role}/{environment}/{name}:kill — exactly one of `instances` and `all`. */
export const killJob = z.object({
  instances: instances.optional(),
  all: z.literal(true).optional().describe('every instance, and the job with them'),
  message: text(KILL_MESSAGE_CHARACTERS_MAX).optional(),
})
/** POST /jobs/{role}/{environment}/{name}:restart — exactly one of `instances` and `all`. */
export const restartJob = z.object({ instances: instances.optional(), all: z.literal(true).optional() })

/** POST /jobs/{role}/{environment}/{name}:add */
export const addInstances = z.object({
  like: z.number().int().nonnegative().describe('an active instance, whose configuration the new ones get'),
  count: z.number().int().describe('how many more'),
})

/** POST /jobs/{role}/{environment}/{name}:diff — the path names what is there, `job` what it should become. */
export const diffJob = z.object({
  job: jobConfiguration,
  instances: instances.optional().describe('only these are looked at; all unless given'),
})
const configGroup = z.object({
  instances: z.array(count).describe('ascending'),
  config: taskConfig.nullable().describe('what they are now'),
})
export const jobDiff = z.object({
  key: jobKey,
  config: taskConfig.describe('what `add` and `update` become: filled in, as it would be stored'),
  everyHost: z.boolean().describe('the hosts decide how many instances there are, so none is added or removed'),
  active: count.describe('active tasks of the job, whatever was asked for'),
  add: z.array(count),
  remove: z.array(configGroup),
  update: z.array(configGroup),
  unchanged: z.array(count),
})
export type JobDiffView = z.infer<typeof jobDiff>
export type DiffJob = z.input<typeof diffJob>

export const jobOutcome = z.object({
  key: jobKey,
  instances: z.array(count),
  message: z.string().nullable(),
  warnings: z.array(z.string()),
})

export const taskEvent = z.object({
  atMs: count,
  status: taskStatus,
  message: z.string().nullable(),
  scheduler: z.string(),
  who: z.string().nullable().describe('who wanted it: a user, an agent, a part of the scheduler; null if not recorded'),
  why: z.string().nullable().describe('the reason that was given'),
})

export const task = z.object({
  taskId: z.string(),
  job: jobKey,
  instance: count,
  status: taskStatus,
  host: z.string().nullable(),
  agentId: z.string().nullable(),
  sandbox: z
    .string()
    .nullable()
    .describe('path of its folder on the host; null: it has none, or its agent does not say where'),
  ports: z.record(z.string(), count),
  failureCount: count,
  maxTaskFailures: z.number().int(),
  isService: z.boolean(),
  ancestorId: z.string().nullable(),
  resources,
  metadata: z.array(z.object({ key: z.string(), value: z.string() })),
  events: z.array(taskEvent).describe('oldest first, never empty'),
  pendingReason: z.string().nullable().describe('why a PENDING task is not placed, if that is known'),
})

/** GET /jobs/{role}/{environment}/{name}/explain */
export const jobExplanation = z.object({
  key: jobKey,
  byStatus: z.record(z.string(), count),
  pending: z
    .array(
      z.object({
        instances: z.array(count),
        sinceMs: count.describe('since when the first of them waits'),
        nextTryMs: count.describe('until the next try by the clock, ms; a change that may help comes first'),
        reasons: z.array(z.string()).describe("Aurora's words for the nearest fit"),
        details: z.array(z.string()).describe('every objection with its hosts, and what is being done about it'),
        hosts: count.describe('all that are known; the verdicts add up to it'),
        verdicts: z.array(z.object({ text: z.string(), hosts: count })),
        nearest: z.array(z.object({ host: z.string(), lacks: z.array(z.string()) })),
        changes: z.array(z.object({ text: z.string(), hosts: count })).describe('what would let a task in, best first'),
        never: z.string().nullable().describe('no machine could take such a task, even an empty one'),
      }),
    )
    .describe('one for each configuration that has PENDING tasks, the first twenty'),
  more: z
    .object({ configurations: count, instances: z.array(count) })
    .describe('that wait too and are not looked at here'),
  throttled: z.array(z.object({ instance: count, untilMs: count, why: z.string() })),
  starting: z
    .array(z.object({ instance: count, status: taskStatus, host: z.string(), sinceMs: count }))
    .describe('placed, and not RUNNING yet'),
})

const placementCandidate = z.object({
  host: z.string(),
  score: z.number().nullable(),
  terms: z.record(z.string(), z.number()),
})
/** GET /tasks/{taskId}/why */
export const taskWhy = z.object({
  taskId: z.string(),
  status: taskStatus,
  host: z.string().nullable(),
  placedAtMs: count.nullable(),
  scheduler: z.string().nullable().describe('the leader that placed it'),
  record: z
    .object({
      seed: z.number(),
      policy: z.string(),
      tasks: count,
      hosts: count,
      looked: count,
      claim: z.enum(['preemption', 'affinity']).nullable(),
      candidates: z.array(placementCandidate).describe('the one taken comes first'),
    })
    .nullable()
    .describe('what it was decided on; null when it was not placed, or by an older release'),
  text: z.array(z.string()).describe('the same in sentences'),
})

export const jobSummary = z.object({
  key: jobKey,
  kind: z.enum(['service', 'adhoc', 'cron']),
  tier: z.string(),
  instanceCount: count.describe('wanted at creation'),
  active: count,
  inactive: count,
  byStatus: z.record(z.string(), count),
  createdAtMs: count.nullable(),
  createdBy: z.string().nullable(),
})
export const jobDetail = z.object({
  job: jobSummary,
  config: taskConfig.nullable(),
  active: z.array(task).describe('by instance'),
  inactive: z.array(task).describe('by instance, the newest first'),
  everyHost: z
    .object({ hosts: count.describe('that the constraints allow'), served: count.describe('those with an instance') })
    .optional()
    .describe('of a job with one instance on every host, from a scheduler that places'),
})

/** Lists come in pages: `next` is the cursor of the following page, null on the last. */
export const pageQuery = z.object({
  limit: z.coerce.number().int().min(1).max(1000).default(100),
  cursor: text(2048).optional(),
})

/** GET /whoami?may= */
export const whoamiQuery = z.object({ may: text(1024).optional().describe('a permission, SERVICE:CALL:ROLE:ENV:NAME') })
export const whoami = z.object({
  user: z.string(),
  isSecured: z.boolean().describe('false: everybody may do everything here, under any name'),
  permissions: z.array(z.string()),
  may: z.boolean().optional().describe('whether the permission that was asked about is among them'),
})

export const jobList = z.object({ jobs: z.array(jobSummary), next: z.string().nullable() })
export const jobQuery = pageQuery.extend({
  role: text(255).optional(),
  environment: text(255).optional(),
  name: text(255).optional().describe('`*` and `?` stand for any characters and for one, in all three'),
})
/** GET /roles */
export const roleList = z.object({
  roles: z.array(
    z.object({
      role: z.string(),
      jobs: count.describe('of which anything is stored, cron jobs among them'),
      cronJobs: count,
    }),
  ),
  next: z.string().nullable(),
})
export type RoleList = z.infer<typeof roleList>

/** GET /search */
export const searchQuery = z.object({
  q: text(255)
    .regex(/\S/, 'must not be blank')
    .describe('words that are all in the name; of a task its id, or how it begins or ends'),
  limit: z.coerce.number().int().min(1).max(100).default(20),
})
export const searchFound = z.object({
  hits: z
    .array(
      z.discriminatedUnion('kind', [
        z.object({ kind: z.literal('role'), name: z.string() }),
        z.object({ kind: z.literal('job'), name: z.string(), job: jobKey }),
        z.object({ kind: z.literal('agent'), name: z.string().describe('of its host'), agentId: z.string() }),
        z.object({ kind: z.literal('task'), name: z.string(), taskId: z.string() }),
      ]),
    )
    .describe('the very name first, then what begins so, then the rest'),
  hasMore: z.boolean(),
})
export type SearchFound = z.infer<typeof searchFound>

export const taskList = z.object({ tasks: z.array(task), next: z.string().nullable() })
export const taskQuery = jobQuery.extend({
  status: text(1024).optional().describe('comma-separated statuses, or `active`, `terminal`'),
  job: text(65_536).optional().describe('comma-separated `role/environment/name`'),
  instance: text(4096).optional().describe('numbers and ranges: `0,2-4`'),
  host: text(4096).optional().describe('comma-separated host names'),
  id: text(65_536).optional().describe('comma-separated task ids'),
})
export type TaskQueryText = Omit<z.output<typeof taskQuery>, 'limit' | 'cursor'>

const reason = text(1024)
  .refine(given => given.trim() !== '', 'must say why')
  .describe('why; stands in the history')

/** POST /tasks/{taskId}:force-state */
export const forceState = z.object({
  status: z.union([taskStatus, z.literal('DELETED')]).describe('DELETED forgets an ended task'),
  reason,
})
export const forced = z.object({
  taskId: z.string(),
  from: taskStatus,
  to: z.union([taskStatus, z.literal('DELETED')]),
})
const name = text(255).regex(/\S/, 'must not be blank')
/** POST /tasks:prune — filters, or `all`; the tasks that ended first go first. */
export const pruneTasks = z.object({
  role: name.optional(),
  environment: name.optional(),
  name: name.optional(),
  jobs: z.array(jobKey).min(1).max(10_000).optional(),
  ids: z.array(text(255)).min(1).max(100_000).optional(),
  statuses: z.array(taskStatus).min(1).optional().describe('terminal ones; all of these unless given'),
  instances: instances.optional(),
  hosts: z.array(text(255)).min(1).max(10_000).optional(),
  all: z.literal(true).optional().describe('every ended task; instead of a filter'),
  limit: z.number().int().min(1).optional(),
  reason,
})
export const pruned = z.object({ tasks: count })
/** POST /admin:reconcile */
export const reconcile = z.object({
  kind: z
    .enum(['explicit', 'implicit'])
    .default('explicit')
    .describe('explicit: asks agents for the tasks the ledger has in batches; implicit: each agent tells all it has'),
  batchSize: z
    .number()
    .optional()
    .describe('tasks in one batch of an explicit run, 1 to 1,000; default: as configured'),
})
export const reconcileStarted = z.object({
  kind: z.enum(['explicit', 'implicit']),
  steps: count.describe('batches or agents to ask; 0 when there is nothing to ask or a run is under way'),
  isUnderWay: z.boolean().describe('a run of that kind goes on, and no other was begun'),
})
/** POST /admin:release-held */
export const releaseHeld = z.object({
  agents: z
    .array(text(255).min(1))
    .min(1)
    .max(10_000)
    .optional()
    .describe('ids of agents; all of which something is held unless given'),
  reason,
})
const unknownTasks = z.array(z.object({ agentId: z.string(), host: z.string(), tasks: count }))
export const heldReleased = z.object({
  killed: unknownTasks.describe('tasks unknown to the ledger that are killed now, or when their agent is back'),
  away: z.array(z.string()).describe('agents whose tasks become PARTITIONED'),
})
export type Reconcile = z.input<typeof reconcile>
export type ReconcileStartedView = z.output<typeof reconcileStarted>
export type ReleaseHeld = z.input<typeof releaseHeld>
export type HeldReleasedView = z.output<typeof heldReleased>
export type ForceState = z.input<typeof forceState>
export type ForcedView = z.output<typeof forced>
export type PruneTasks = z.input<typeof pruneTasks>
export type PrunedView = z.output<typeof pruned>

const backupName = text(255).describe('name of the file')
const backupFile = z.object({ name: z.string(), atMs: count, position: count, bytes: count })
/** GET /backups: those of the node that leads, the oldest first. */
export const backupList = z.object({
  folder: z.string(),
  backups: z.array(backupFile),
  staged: z.string().nullable().describe('the one that is loaded, if any'),
  next: z.string().nullable(),
})
/** POST /backups: written, read back and named. */
export const backupNow = z.object({})
export const backupWritten = backupFile
/** POST /backups:stage */
export const stageBackup = z.object({ name: backupName })
/** POST /backups:drop: filters, or `all`. */
export const dropBackupTasks = taskQuery
  .omit({ limit: true, cursor: true })
  .extend({ all: z.literal(true).optional().describe('every task; instead of a filter') })
/** POST /backups:unload */
export const unloadBackup = z.object({})
export const stagedBackup = z.object({
  staged: z.string().nullable().describe('null: none any more'),
  tasks: count.describe('staged now'),
  jobs: count,
  dropped: count.describe('tasks that this request took away'),
})
const backupTask = z.object({
  taskId: z.string(),
  job: jobKey,
  instance: count,
  status: taskStatus,
  host: z.string().nullable(),
})
/** GET /backups/tasks */
export const backupTaskList = z.object({ staged: z.string(), tasks: z.array(backupTask), next: z.string().nullable() })
const backupTasks = z.object({ count, first: z.array(backupTask).describe('the first 1,000 of them') })
/** GET /backups/diff: what a commit would do. */
export const backupDiff = z.object({
  staged: z.string(),
  digest: z.string().describe('a commit states it, so that it does what was looked at'),
  killed: backupTasks.describe('they run now and are not in the backup, or had ended there: their agents kill them'),
  lost: backupTasks.describe(
    'the backup has them on a machine and they are gone: LOST, and replaced as their job wants',
  ),
  again: backupTasks.describe('they waited then and have ended since: they wait again, under new ids'),
  forgotten: backupTasks.describe('they wait now and are not in the backup'),
  jobsAdded: z.array(z.string()),
  jobsRemoved: z.array(z.string()),
  jobsChanged: z.array(z.string()),
  rows: z.record(z.string(), z.object({ put: count, deleted: count })).describe('by table'),
})
/** POST /backups:commit — the digest of the diff that was looked at, or `force`. The reign ends with it. */
export const commitBackup = z.object({
  digest: z
    .string()
    .regex(/^[0-9a-f]{8}$/, 'must be the digest of a diff')
    .optional(),
  force: z.literal(true).optional().describe('whatever it does by now'),
  reason: text(1024).optional().describe('why; stands in the log'),
})
export const backupRestored = z.object({ restored: z.string(), killed: count, lost: count, rows: count })
export type BackupList = z.output<typeof backupList>
export type BackupWritten = z.output<typeof backupWritten>
export type StagedBackupView = z.output<typeof stagedBackup>
export type BackupTask = z.output<typeof backupTask>
export type BackupTaskList = z.output<typeof backupTaskList>
export type BackupDiff = z.output<typeof backupDiff>
export type CommitBackup = z.input<typeof commitBackup>
export type BackupRestored = z.output<typeof backupRestored>

export const agent = z.object({
  agentId: z.string(),
  host: z.string(),
  connected: z.boolean(),
  silentMs: z.number().nullable(),
  draining: z.boolean().describe('runs what it has and takes nothing new, by its own word'),
  firstSeenMs: count,
  awaySinceMs: count
    .nullable()
    .describe('since when nothing is heard of it, once that is longer than agentUnreachable'),
  mode: z.string(),
  attributes: z.array(z.object({ name: z.string(), values: z.array(z.string()) })),
  total: resources,
  free: resources.nullable().describe('null while it is not connected'),
  freePorts: count.nullable(),
  tasks: count,
  agentVersion: z.string(),
  warnings: z.array(z.string()).describe('what it does not say of its place, and what follows from that'),
})
export const agentList = z.object({
  agents: z.array(agent),
  next: z.string().nullable(),
  brakes: z
    .object({ agentsAway: z.array(z.string()), unknownTasks })
    .describe('what is held until an operator has looked: POST /admin:release-held'),
})

export const pending = z.object({
  pending: z.array(
    z.object({
      job: jobKey,
      taskIds: z.array(z.string()),
      penaltyMs: z.number(),
      reasons: z.array(z.string()),
      details: z.array(z.string()),
    }),
  ),
  next: z.string().nullable(),
})

/** GET /tasks/{id}/logs — one piece of a process' output. Ask offset -1 for the size, then read on from there. */
export const logQuery = z.object({
  process: text(255).optional().describe('default: the one that started last'),
  run: z.coerce.number().int().nonnegative().optional().describe('default: the newest'),
  stream: z.enum(['stdout', 'stderr']).default('stdout'),
  offset: z.coerce.number().int().min(-1).default(-1).describe('bytes; -1 asks for the size only'),
  length: z.coerce.number().int().min(0).max(1_048_576).default(65_536),
})
export const logPiece = z.object({
  process: z.string(),
  run: count,
  stream: z.enum(['stdout', 'stderr']),
  offset: count,
  size: count,
  rotated: z.boolean(),
  data: z.string().describe('base64 of the raw bytes'),
})

/** GET /cluster */
export const cluster = z.object({
  clusterId: z.string().nullable(),
  memberId: count,
  role: z.string(),
  status: z.string(),
  leader: z.object({ memberId: count, httpUrl: z.string() }).nullable(),
  scheduler: z
    .object({ state: z.enum(SCHEDULER_STATES), waitsFor: z.string().nullable() })
    .describe('its life as a scheduler; waitsFor: what must happen before it serves, null when it does or need not'),
  commit: count,
  applied: count,
  version: z.string(),
})

const leaderView = z.object({
  version: z.number(),
  role: z.enum(['LEADER', 'CANDIDATE', 'FOLLOWER', 'LEARNER', 'NONE']),
  ballot: z.tuple([z.number(), z.number()]).nullable(),
  leader: z.object({ memberId: z.number(), httpUrl: z.string() }).nullable(),
})
/** GET /log/status: the report of the log thread, whole. */
export const logStatus = z.object({
  status: z.enum(['EMPTY', 'STARTING', 'RECOVERING', 'VOTING']),
  view: leaderView,
  leaderSinceMs: z.number().nullable(),
  leaseLeftMs: z.number().nullable(),
  clusterId: z.string().nullable(),
  memberId: z.number(),
  members: z.array(z.object({ memberId: z.number(), name: z.string(), address: z.string() })),
  quorum: z.number(),
  promised: z.tuple([z.number(), z.number()]),
  begin: z.number(),
  end: z.number(),
  commit: z.number(),
  applied: z.number(),
  bootCounter: z.number(),
  path: z.string(),
  diskFreeBytes: z.number(),
  waitingFor: z.string().nullable(),
  notWritable: z.string().nullable(),
  peers: z.array(
    z.object({
      memberId: z.number(),
      connected: z.boolean(),
      status: z.enum(['EMPTY', 'STARTING', 'RECOVERING', 'VOTING']).nullable(),
      httpUrl: z.string().nullable(),
      matched: z.number().nullable(),
      applied: z.number().nullable(),
      committed: z.number().nullable(),
      acknowledgedMsAgo: z.number().nullable(),
      rttMs: z.number().nullable(),
      trouble: z.string().nullable(),
    }),
  ),
})

/** POST /log:transfer: the member that is to lead; without one whoever holds most. */
export const transferLog = z.object({ to: z.number().int().min(1).optional() })
/** `moved` false: it led already. `tookMs`: until its reign was seen to have begun. */
export const logTransfer = z.object({
  memberId: count,
  httpUrl: z.string(),
  moved: z.boolean(),
  tookMs: count,
})

/** `application/problem+json`: RFC 9457 with a code from the rejection table. */
export const problem = z.object({
  type: z.string(),
  title: z.string(),
  status: count,
  code: z.string(),
  detail: z.string(),
  callId: z.string().describe('`X-Request-Id` of the answer; log lines have it too'),
  remedy: z.string().optional().describe('what to do next'),
  version: z.string().optional().describe('with VERSION_MISMATCH: that of the job now, for `If-Match`'),
  faults: z.array(z.object({ path: z.string(), text: z.string(), line: count.optional() })).optional(),
})

export type Task = z.infer<typeof task>
export type JobSummary = z.infer<typeof jobSummary>
export type JobExplanation = z.infer<typeof jobExplanation>
export type TaskWhy = z.infer<typeof taskWhy>
/** POST /what-if: changes nothing */
export const whatIf = z.strictObject({
  drain: z.array(text(255)).max(10_000).default([]).describe('host names, agent ids or `attribute=value`'),
  lose: z.array(text(255)).max(10_000).default([]).describe('the same; with everything on them'),
  apply: z.array(jobConfiguration).max(100).default([]).describe('jobs as they are to be'),
  isCreation: z.boolean().default(false).describe('a job that exists already is refused, as a creation would be'),
  seed: z.number().int().nonnegative().optional().describe('the same state and seed give the same plan'),
})
const plannedJob = z.object({
  key: jobKey,
  asked: count.describe('tasks that looked for a place: new ones, displaced ones, those that waited already'),
  displaced: count,
  placed: count,
  placements: z.array(z.object({ instance: count, host: z.string() })).describe('the first hundred'),
  pending: z.array(count).describe('instances that stay PENDING'),
  reasons: z.array(z.string()),
  details: z.array(z.string()),
})
export const whatIfPlan = z.object({
  seed: count,
  hosts: z.object({ connected: count, drained: count, lost: count }),
  jobs: z.array(plannedJob).describe('by key; only jobs of which a task looked for a place'),
  preempted: z.array(z.object({ key: jobKey, instance: count, host: z.string(), inFavorOf: jobKey })),
  refused: z
    .array(
      z.object({
        key: z.string(),
        code: z.string(),
        detail: z.string(),
        remedy: z.string().nullable(),
        faults: z.array(z.object({ path: z.string(), text: z.string() })),
      }),
    )
    .describe('jobs that would not be admitted; they are not part of the plan'),
  warnings: z.array(z.object({ key: z.string(), text: z.string() })),
  quotaLeft: z
    .array(
      z.object({
        role: z.string(),
        cpusMilli: z.number().int(),
        ramMb: z.number().int(),
        diskMb: z.number().int(),
        gpus: z.number().int().optional().describe('absent: GPUs are not counted'),
      }),
    )
    .describe(
      'of roles with production jobs to be applied: what they may take beyond these; below zero: over their quota',
    ),
})
export type WhatIfPlan = z.infer<typeof whatIfPlan>

const quota = z.object({
  cpusMilli: count,
  ramMb: count,
  diskMb: count,
  gpus: count.optional().describe('absent: GPUs are not counted'),
})
const bag = z.object({ cpusMilli: count, ramMb: count, diskMb: count, gpus: count })
export const roleQuota = z.object({
  role: z.string(),
  quota: quota.nullable().describe('null: none was ever set, which counts as zero'),
  prodShared: bag.describe('what production takes of shared machines: the only pool that is limited'),
  prodDedicated: bag,
  nonProdShared: bag,
  nonProdDedicated: bag,
})
export const quotaList = z.object({ quotas: z.array(roleQuota), next: z.string().nullable() })
/** POST /quotas/{role}:set */
export const setQuota = quota.strict()
const signed = z.number().int()
/** POST /quotas/{role}:increase; amounts may be negative */
export const increaseQuota = z.strictObject({
  cpusMilli: signed,
  ramMb: signed,
  diskMb: signed,
  gpus: signed.optional(),
})
export const quotaSet = z.object({ role: z.string(), quota })
export type RoleQuota = z.infer<typeof roleQuota>
export type QuotaList = z.infer<typeof quotaList>
export type QuotaSetView = z.infer<typeof quotaSet>

export type JobDetail = z.infer<typeof jobDetail>
export type JobList = z.infer<typeof jobList>
export type TaskList = z.infer<typeof taskList>
export type AgentView = z.infer<typeof agent>
export type AgentList = z.infer<typeof agentList>
export type PendingList = z.infer<typeof pending>
export type JobOutcomeView = z.infer<typeof jobOutcome>
export type LogPiece = z.infer<typeof logPiece>
export type LogQuery = z.infer<typeof logQuery>
export type ClusterView = z.infer<typeof cluster>
export type LogStatusView = z.infer<typeof logStatus>
export type Whoami = z.infer<typeof whoami>
export type LogTransfer = z.infer<typeof logTransfer>
export type Problem = z.infer<typeof problem>
export type CreateJob = z.infer<typeof createJob>
export type KillJob = z.infer<typeof killJob>
export type AddInstances = z.infer<typeof addInstances>
export type RestartJob = z.infer<typeof restartJob>

/** `Idempotency-Key`: the request id of a mutation; a retry under the same one gets the first answer. */
export const REQUEST_ID_HEADER = 'idempotency-key'
/** Who the client says it is; believed only while security is off, and then written down as it is. */
export const USER_HEADER = 'daybreak-user'
