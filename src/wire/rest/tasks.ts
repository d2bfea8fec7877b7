/** Tasks, lists of them, and what their processes write. */
import { z } from 'zod'
import { count, jobQuery, resources, taskStatus, text } from './forms.ts'
import { jobKey } from './job-configuration.ts'

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

export const taskList = z.object({ tasks: z.array(task), next: z.string().nullable() })

export const taskQuery = jobQuery.extend({
  status: text(1024).optional().describe('comma-separated statuses, or `active`, `terminal`'),
  job: text(65_536).optional().describe('comma-separated `role/environment/name`'),
  instance: text(4096).optional().describe('numbers and ranges: `0,2-4`'),
  host: text(4096).optional().describe('comma-separated host names'),
  id: text(65_536).optional().describe('comma-separated task ids'),
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

export type TaskQueryText = Omit<z.output<typeof taskQuery>, 'limit' | 'cursor'>
export type Task = z.infer<typeof task>
export type TaskList = z.infer<typeof taskList>
export type LogPiece = z.infer<typeof logPiece>
export type LogQuery = z.infer<typeof logQuery>
