/**
 * What travels between an agent and the leader: path `/agent/v1`, subprotocol `daybreak.agent.v1`. One WebSocket binary
 * message is a frame; a frame is a msgpack array of envelopes. Source: the agent spec, sections 15 and 16.
 * Unknown types are counted and skipped (answered UNSUPPORTED if they had an id), unknown keys ignored, missing
 * required keys make the frame invalid. Times are ms since the epoch.
 */
import { z } from 'zod'

export const AGENT_PATH = '/agent/v1'
export const AGENT_SUBPROTOCOL = 'daybreak.agent.v1'
export const AGENT_PROTOCOL_MIN = 1
export const AGENT_PROTOCOL_MAX = 1
export const FRAME_BYTES_MAX = 4 * 1024 * 1024
export const BUFFERED_BYTES_MAX = 1024 * 1024
/** Carries the listener's nonce in the answer to the upgrade. */
export const NONCE_HEADER = 'daybreak-nonce'

/** Close codes of this protocol. */
export const CLOSE = {
  goingAway: 1001,
  textFrame: 1003,
  badFrame: 1007,
  tooLarge: 1009,
  notLeader: 4307,
  rejected: 4401,
  replaced: 4408,
  staleLeader: 4409,
} as const

const id = z.string().min(1).max(255)
const count = z.number().int().nonnegative().max(Number.MAX_SAFE_INTEGER)
const ballot = z.tuple([count, count]).readonly()

export const resources = z.object({ cpusMilli: count, ramMb: count, diskMb: count, gpus: count })
const attributes = z.array(z.object({ name: id, values: z.array(z.string().max(255)).max(64) })).max(256)
const portRanges = z.array(z.tuple([z.number().int().min(1).max(65_535), z.number().int().min(1).max(65_535)])).max(256)

/** The states a task has on its agent; only these travel in STATUS and TASKS. */
export const agentTaskState = z.enum([
  'ACCEPTED',
  'STARTING',
  'RUNNING',
  'KILLING',
  'FINISHED',
  'FAILED',
  'KILLED',
  'LOST',
])
export type AgentTaskState = z.infer<typeof agentTaskState>

export const taskInfo = z.object({
  job: z.object({ role: id, environment: id, name: id }),
  instance: count,
  tier: id,
  resources,
  /** Assigned ports by name. */
  ports: z.record(z.string().max(255), z.number().int().min(1).max(65_535)),
  executor: z.object({ name: id, data: z.string() }),
})
export type TaskInfo = z.infer<typeof taskInfo>

// ---- agent to leader ----
const hello = z.object({
  type: z.literal('HELLO'),
  nonce: z.string().min(16).max(128),
  /** HMAC over both nonces under the agent key; empty when the cluster has no secret. */
  proof: z.string().max(128),
  agentId: id.nullable(),
  instanceId: id,
  bootId: id,
  agentVersion: id,
  protoMin: count,
  protoMax: count,
  host: id,
  logUrl: z.string().max(1024).nullable(),
  attributes,
  resources,
  portRanges,
  isolation: z.object({ cpu: z.boolean(), memory: z.boolean(), pids: z.boolean(), disk: z.boolean() }),
  executors: z.array(id).max(64),
  draining: z.boolean(),
  clusterId: id.nullable(),
  maxEpoch: ballot.nullable(),
  maxPosition: count,
  taskCount: count,
  outboxCount: count,
  /** Names its work folder on its machine; a new agent that tells the place of an old one has taken it. */
  place: id.optional(),
  /** Absolute path of that folder; where the sandbox of a task is follows from it. */
  workDir: z.string().max(4096).optional(),
  /** Cores that are only lent, in thousandths, beside those of `resources`. */
  revocableCpusMilli: count.optional(),
})
const taskReport = z.object({
  taskId: id,
  state: agentTaskState,
  lastSeq: count,
  ackedSeq: count,
  digest: id,
  killRequested: z.boolean(),
})
const tasks = z.object({ type: z.literal('TASKS'), tasks: z.array(taskReport).max(1000), last: z.boolean() })
const heartbeat = z.object({
  type: z.literal('HEARTBEAT'),
  n: count,
  load1: z.number(),
  freeRamMb: count,
  freeDiskMb: count,
  /** Hash of the sorted `id:state` lines of the live tasks. */
  taskDigest: id,
})
const launchAck = z.object({
  type: z.literal('LAUNCH_ACK'),
  results: z
    .array(
      z.object({
        taskId: id,
        /** `ok`, or why it was refused: nothing ran then. */
        code: z.enum(['ok', 'duplicate_task', 'does_not_fit', 'draining', 'expired', 'unknown_executor', 'invalid']),
        message: z.string().max(4096),
      }),
    )
    .max(1000),
})
const killAck = z.object({ type: z.literal('KILL_ACK'), taskId: id })
const status = z.object({
  type: z.literal('STATUS'),
  taskId: id,
  /** Per task, from 1. */
  seq: count,
  state: z.enum(['STARTING', 'RUNNING', 'FINISHED', 'FAILED', 'KILLED', 'LOST']),
  source: z.enum(['agent', 'executor']),
  /** `AGENT_RESTARTED`, `TASK_KILLED_DURING_LAUNCH`, `CONTAINER_LIMITATION_DISK` … */
  reason: z.string().max(255).nullable(),
  message: z.string().max(4096).nullable(),
  atMs: count,
})
const reconcileResult = z.object({
  type: z.literal('RECONCILE_RESULT'),
  tasks: z.array(taskReport).max(1000),
  unknown: z.array(id).max(1000),
  last: z.boolean(),
})
const logData = z.object({
  type: z.literal('LOG_DATA'),
  request: count,
  /** Bytes. `size` is the file's size now; `data` empty at the end or when only the size was asked. */
  offset: count,
  size: count,
  data: z.instanceof(Uint8Array),
  rotated: z.boolean(),
  error: z.string().max(1024).nullable(),
  /** Which file it was, once `process` and `run` have been resolved. */
  process: z.string().max(255),
  run: count,
})
/** Repeated with every heartbeat until it is acknowledged. */
const agentChanged = z.object({
  type: z.literal('UPDATE_AGENT'),
  n: count,
  resources,
  portRanges,
  attributes,
  draining: z.boolean(),
  revocableCpusMilli: count.optional(),
})

export const agentToLeader = z.discriminatedUnion('type', [
  hello,
  tasks,
  heartbeat,
  launchAck,
  killAck,
  status,
  reconcileResult,
  logData,
  agentChanged,
])
export type AgentToLeader = z.infer<typeof agentToLeader> | QuarantinedStatus

/**
 * Never on the wire: what the receiving side makes of a STATUS whose body failed its schema. Null: not readable. The
 * sender repeats a status until it is acknowledged, so one that can never be taken must be answered all the same.
 */
export interface QuarantinedStatus {
  readonly type: 'QUARANTINED_STATUS'
  readonly taskId: string | null
  readonly seq: number | null
  /** The first thing that is wrong with it. */
  readonly because: string
}

const readableStatus = z.object({ taskId: id.nullable().catch(null), seq: count.nullable().catch(null) })

export function quarantined(
  type: string,
  body: Readonly<Record<string, unknown>>,
  because: string,
): QuarantinedStatus | null {
  return type === 'STATUS' ? { type: 'QUARANTINED_STATUS', ...readableStatus.parse(body), because } : null
}
export type Hello = z.infer<typeof hello>
export type TaskReport = z.infer<typeof taskReport>
export type StatusUpdate = z.infer<typeof status>
export type LaunchAck = z.infer<typeof launchAck>
export type ReconcileResult = z.infer<typeof reconcileResult>
export type LogData = z.infer<typeof logData>
export type AgentChanged = z.infer<typeof agentChanged>
export type Heartbeat = z.infer<typeof heartbeat>

// ---- leader to agent: every message carries the leader's epoch ----
const epoch = ballot
const welcome = z.object({
  type: z.literal('WELCOME'),
  epoch,
  /** HMAC over both nonces, the other way round; empty without a secret. */
  proof: z.string().max(128),
  agentId: id,
  clusterId: id,
  position: count,
  heartbeatMs: count,
  serverTimeMs: count,
})
const reject = z.object({
  type: z.literal('REJECT'),
  epoch,
  code: z.enum(['auth', 'version', 'duplicate', 'deactivated', 'attributes']),
  message: z.string().max(1024),
  retryAfterMs: count,
})
const tasksDone = z.object({ type: z.literal('TASKS_DONE'), epoch, kill: z.array(id), forget: z.array(id) })
const launch = z.object({
  type: z.literal('LAUNCH'),
  epoch,
  tasks: z
    .array(
      z.object({
        taskId: id,
        /** SHA-256 (hex) of the task info's canonical form. */
        digest: id,
        info: taskInfo,
        /** From receipt; past it the agent refuses. */
        deadlineMs: count,
      }),
    )
    .max(1000),
})
const kill = z.object({
  type: z.literal('KILL'),
  epoch,
  taskId: id,
  graceSecs: z.number().nonnegative().nullable(),
  reason: z.string().max(4096),
})
const statusAck = z.object({
  type: z.literal('STATUS_ACK'),
  epoch,
  acks: z.array(z.object({ taskId: id, seq: count })).max(1000),
})
/** What was said under this number is committed. */
const updateAgentAck = z.object({ type: z.literal('UPDATE_AGENT_ACK'), epoch, n: count })
const heartbeatAck = z.object({ type: z.literal('HEARTBEAT_ACK'), epoch, n: count, position: count })
const reconcile = z.object({ type: z.literal('RECONCILE'), epoch, taskIds: z.array(id).max(1000).nullable() })
const forget = z.object({ type: z.literal('FORGET'), epoch, taskIds: z.array(id).max(1000) })
const logRead = z.object({
  type: z.literal('LOG_READ'),
  epoch,
  request: count,
  taskId: id,
  /** Null: the process that started last. */
  process: z.string().max(255).nullable(),
  /** Null: its newest run. */
  run: count.nullable(),
  stream: z.enum(['stdout', 'stderr']),
  /** Bytes; -1 asks for the size only. At most 1 MiB is answered. */
  offset: z.number().int().min(-1),
  length: count,
})

export const leaderToAgent = z.discriminatedUnion('type', [
  welcome,
  reject,
  tasksDone,
  launch,
  kill,
  statusAck,
  heartbeatAck,
  updateAgentAck,
  reconcile,
  forget,
  logRead,
])
export type LeaderToAgent = z.infer<typeof leaderToAgent>
export type Welcome = z.infer<typeof welcome>
export type Launch = z.infer<typeof launch>
export type Kill = z.infer<typeof kill>
