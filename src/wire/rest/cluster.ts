/** The cluster and who asks: members, agents, the log. */
import { z } from 'zod'
import { SCHEDULER_STATES } from '../../core/lifecycle/scheduler-states.ts'
import { count, resources, text, unknownTasks } from './forms.ts'

/** GET /whoami?may= */
export const whoamiQuery = z.object({ may: text(1024).optional().describe('a permission, SERVICE:CALL:ROLE:ENV:NAME') })

export const whoami = z.object({
  user: z.string(),
  isSecured: z.boolean().describe('false: everybody may do everything here, under any name'),
  permissions: z.array(z.string()),
  may: z.boolean().optional().describe('whether the permission that was asked about is among them'),
})

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

export type AgentView = z.infer<typeof agent>
export type AgentList = z.infer<typeof agentList>
export type ClusterView = z.infer<typeof cluster>
export type LogStatusView = z.infer<typeof logStatus>
export type Whoami = z.infer<typeof whoami>
export type LogTransfer = z.infer<typeof logTransfer>
