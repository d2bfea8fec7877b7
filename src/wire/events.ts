/** Events as they travel to clients: the query of `GET /api/v1/events` and the JSON of one event. */
import { z } from 'zod'
import { type ClusterEvent, EVENT_TYPES, type TaskTransition } from '../core/events/cluster-events.ts'
import { eventCursorText } from '../core/events/event-cursor.ts'
import type { TaskConfig } from '../core/job/task-config.ts'

const text = (max: number) => z.string().max(max)
const flag = z.enum(['true', 'false']).transform(value => value === 'true')

export const eventQuery = z.object({
  from: text(40)
    .optional()
    .describe(
      'position or id after which to begin, or `begin`: the oldest that is held; default: what happens from now',
    ),
  follow: flag.prefault('true').describe('false: the answer ends with what is committed now'),
  type: text(1024)
    .optional()
    .describe(`comma-separated: ${EVENT_TYPES.join(', ')}`),
  role: text(255).optional(),
  environment: text(255).optional(),
  job: text(1024).optional().describe('a name, or `role/environment/name`'),
  task: text(255).optional().describe('a task id'),
})

const jobKey = z.object({ role: z.string(), environment: z.string(), name: z.string() })
const base = {
  v: z.literal(1),
  id: z.string().describe('`<position>-<n>`: the n-th event of that position of the log'),
  atMs: z.number().nullable().describe('ms since the epoch'),
  who: z.string().nullable(),
  why: z.string().nullable(),
}
const optionalText = z.string().nullable()

export const eventDocument = z.discriminatedUnion('type', [
  z.object({
    ...base,
    type: z.literal('task.transition'),
    taskId: z.string(),
    job: jobKey,
    instance: z.number(),
    oldState: optionalText.describe('null: the task is new'),
    newState: z.string(),
    message: optionalText,
    scheduler: z.string(),
    host: optionalText,
    agentId: optionalText,
    ports: z.record(z.string(), z.number()),
    failureCount: z.number(),
    ancestorId: optionalText,
  }),
  z.object({ ...base, type: z.literal('task.deleted'), taskId: z.string() }),
  z.object({
    ...base,
    type: z.literal('job.changed'),
    job: jobKey,
    instanceCount: z.number().nullable().describe('null: the job is gone'),
  }),
  z.object({
    ...base,
    type: z.literal('agent.changed'),
    agentId: z.string(),
    host: optionalText.describe('null: the machine is forgotten'),
    mode: optionalText,
  }),
  z.object({
    ...base,
    type: z.literal('leader.changed'),
    ballot: z.tuple([z.number(), z.number()]),
    memberId: z.number(),
  }),
])
export type EventDocument = z.infer<typeof eventDocument>
export type EventQuery = z.infer<typeof eventQuery>

export function eventIdOf({ position, n }: ClusterEvent): string {
  return eventCursorText({ position, seen: n })
}

export function toEventDocument(event: ClusterEvent): EventDocument {
  const id = eventIdOf(event)
  switch (event.type) {
    case 'task.transition': {
      const { row, event: entry, oldStatus } = event
      return {
        v: 1,
        id,
        type: event.type,
        atMs: entry.atMs,
        who: entry.who ?? null,
        why: entry.why ?? null,
        taskId: row.taskId,
        job: { role: row.job.role, environment: row.job.environment, name: row.job.name },
        instance: row.instance,
        oldState: oldStatus,
        newState: entry.status,
        message: entry.message ?? null,
        scheduler: entry.scheduler,
        host: row.host ?? null,
        agentId: row.agentId ?? null,
        ports: { ...row.ports },
        failureCount: row.failureCount,
        ancestorId: row.ancestorId ?? null,
      }
    }
    case 'task.deleted':
      return { v: 1, id, type: event.type, ...causeOf(event.cause), taskId: event.taskId }
    case 'job.changed': {
      const [role = '', environment = '', name = ''] = event.job.split('/')
      const instanceCount = event.row?.instanceCount ?? null
      return { v: 1, id, type: event.type, ...causeOf(event.cause), job: { role, environment, name }, instanceCount }
    }
    case 'agent.changed': {
      const { agentId, row, cause } = event
      const place = { agentId, host: row?.host ?? null, mode: row?.mode ?? null }
      return { v: 1, id, type: event.type, ...causeOf(cause), ...place }
    }
    case 'leader.changed': {
      const [round, memberId] = event.ballot
      return { v: 1, id, type: event.type, atMs: null, who: null, why: null, ballot: [round, memberId], memberId }
    }
  }
}

const causeOf = ({ who, why, wallMs }: { who: string; why: string; wallMs: number }) => ({ atMs: wallMs, who, why })

// ---- The body of a webhook: that of Aurora, with an id and states as texts ------------------------------------------

/** JSON of one transition. `config` null: it is stored no more, because its last task is gone. */
export function webhookBody(transition: TaskTransition, config: TaskConfig | null): string {
  const { row, event, oldStatus } = transition
  return JSON.stringify({
    v: 1,
    id: eventIdOf(transition),
    task: {
      assignedTask: {
        taskId: row.taskId,
        slaveId: row.agentId ?? null,
        slaveHost: row.host ?? null,
        task: config ?? { job: row.job },
        assignedPorts: row.ports,
        instanceId: row.instance,
      },
      status: row.status,
      failureCount: row.failureCount,
      timesPartitioned: row.timesPartitioned,
      taskEvents: row.events.map(({ atMs, ...rest }) => ({ timestamp: atMs, ...rest })),
      ancestorId: row.ancestorId ?? null,
    },
    oldState: oldStatus,
    newState: event.status,
    timestamp: event.atMs,
  })
}

/** Transitions from the one until before the position other were not posted: the log holds them no more. */
export function gapBody({ from, to, timestampMs }: { from: string; to: number; timestampMs: number }): string {
  return JSON.stringify({ v: 1, id: `gap-${from}-${to}`, gap: { from, to: `${to}-0` }, timestamp: timestampMs })
}
