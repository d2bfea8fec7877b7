/** What several parts of the REST API share: forms of values, pages of lists, headers, problem documents. */
import { z } from 'zod'
import { TASK_STATUSES, type TaskStatus } from '../../core/task/status.ts'

export const text = (max: number) => z.string().max(max)

export const count = z.number().int().nonnegative().max(Number.MAX_SAFE_INTEGER)

export const taskStatus = z.enum(Object.keys(TASK_STATUSES) as [TaskStatus, ...TaskStatus[]])

export const resources = z.object({
  cpusMilli: count.describe('thousandths of a core'),
  ramMb: count.describe('MB of 2^20 bytes'),
  diskMb: count.describe('MB of 2^20 bytes'),
  gpus: count,
})

export const instances = z.array(z.number().int().nonnegative()).min(1).max(100_000)

/** Lists come in pages: `next` is the cursor of the following page, null on the last. */
export const pageQuery = z.object({
  limit: z.coerce.number().int().min(1).max(1000).default(100),
  cursor: text(2048).optional(),
})

export const jobQuery = pageQuery.extend({
  role: text(255).optional(),
  environment: text(255).optional(),
  name: text(255).optional().describe('`*` and `?` stand for any characters and for one, in all three'),
})

export const reason = text(1024)
  .refine(given => given.trim() !== '', 'must say why')
  .describe('why; stands in the history')

export const unknownTasks = z.array(z.object({ agentId: z.string(), host: z.string(), tasks: count }))

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

/** `Idempotency-Key`: the request id of a mutation; a retry under the same one gets the first answer. */
export const REQUEST_ID_HEADER = 'idempotency-key'

/** Who the client says it is; believed only while security is off, and then written down as it is. */
export const USER_HEADER = 'daybreak-user'

export type Problem = z.infer<typeof problem>
