/** Lists of jobs and roles, one job, and what a search finds. */
import { z } from 'zod'
import { count, text } from './forms.ts'
import { jobKey, taskConfig } from './job-configuration.ts'
import { task } from './tasks.ts'

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

export const jobList = z.object({ jobs: z.array(jobSummary), next: z.string().nullable() })

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

export type RoleList = z.infer<typeof roleList>
export type SearchFound = z.infer<typeof searchFound>
export type JobSummary = z.infer<typeof jobSummary>
export type JobDetail = z.infer<typeof jobDetail>
export type JobList = z.infer<typeof jobList>
