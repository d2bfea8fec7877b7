/** Why a task waits, and why it is where it is. */
import { z } from 'zod'
import { count, taskStatus } from './forms.ts'
import { jobKey } from './job-configuration.ts'

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

export type JobExplanation = z.infer<typeof jobExplanation>
export type TaskWhy = z.infer<typeof taskWhy>
export type PendingList = z.infer<typeof pending>
