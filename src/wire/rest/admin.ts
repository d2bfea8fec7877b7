/** What administrators do to tasks: forced transitions, pruning, reconciliation, the brake. */
import { z } from 'zod'
import { count, instances, reason, taskStatus, text, unknownTasks } from './forms.ts'
import { jobKey } from './job-configuration.ts'

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
