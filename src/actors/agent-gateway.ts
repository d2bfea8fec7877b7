/** AgentGateway: the way to the machines. Owns the connections of the leader's agents, launches, kills and status acks. */
import type { AgentId, TaskId } from '../core/base/ids.ts'
import type { Rejection } from '../core/base/rejection.ts'
import type { LogData } from '../wire/messages/agent.ts'
import type { Ref } from './actor.ts'

/** Sent after the commit of ASSIGNED. Idempotent by task id. */
export interface Launch {
  readonly type: 'launch'
  readonly taskId: TaskId
}
/** Sent after the commit of what asks for the kill; repeated by the task's own timer until it has ended. */
export interface Kill {
  readonly type: 'kill'
  readonly taskId: TaskId
  readonly agentId: AgentId | null
  readonly reason: string
}
export interface ReadLog {
  readonly type: 'readLog'
  readonly taskId: TaskId
  readonly agentId: AgentId
  readonly process: string | null
  readonly run: number | null
  readonly stream: 'stdout' | 'stderr'
  readonly offset: number
  readonly length: number
  readonly replyTo: Ref<LogData | Rejection>
}
export type Command = Launch | Kill | ReadLog

/** What is known of an agent beyond its row; read by the REST edge and by Health. */
export interface AgentLiveView {
  connected(id: AgentId): boolean
  /** ms since its last frame; null when it is not connected. */
  silentMs(id: AgentId): number | null
}
