/** What the parts of an agent tell it: the ends of what they began, frames, timers. All of it goes through one mailbox. */
import type { AgentToLeader, LeaderToAgent } from '../../wire/messages/agent.ts'
import type { Context } from '../actor.ts'
import type { Command } from '../agent.ts'
import type { LogChunk } from '../agent-ports.ts'
import type { AgentDialer, Connection } from '../ports.ts'
import type { TaskTold } from '../task-runner.ts'

export type LeaderConnection = Connection<LeaderToAgent, AgentToLeader>
export type Dialed = Awaited<ReturnType<AgentDialer<LeaderToAgent, AgentToLeader>['dial']>>

/** One connection, from the dial's success to its end. */
export interface Link {
  readonly url: string
  readonly connection: LeaderConnection
  readonly listenerNonce: string
  readonly nonce: string
  phase: 'greeting' | 'listing' | 'ready' | 'closed'
  heartbeatMs: number
  lastFrameMonoMs: number
  readyMonoMs: number
}

export type AgentMessage =
  | Command
  | { readonly type: 'dial' }
  | { readonly type: 'dialed'; readonly attempt: number; readonly result: Dialed }
  | { readonly type: 'dialFailed'; readonly attempt: number; readonly because: string }
  | { readonly type: 'frame'; readonly link: Link; readonly message: LeaderToAgent; readonly atMonoMs: number }
  | { readonly type: 'closed'; readonly link: Link; readonly code: number; readonly reason: string }
  | { readonly type: 'helloExpired'; readonly link: Link }
  | { readonly type: 'heartbeat' }
  | { readonly type: 'lookAtMachine' }
  | { readonly type: 'resend' }
  | { readonly type: 'told'; readonly told: TaskTold }
  | { readonly type: 'stored'; readonly then: () => void }
  | { readonly type: 'storeFailed'; readonly cause: unknown }
  | { readonly type: 'tombstoneExpired'; readonly taskId: string }
  | { readonly type: 'logRead'; readonly link: Link; readonly request: number; readonly chunk: LogChunk }

export type AgentContext = Context<AgentMessage>
