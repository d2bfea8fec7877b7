/** TaskStateMachine: one per live task; runs its transitions, timers and retries over the pure table in core/task. */
import type { AgentId, TaskId } from '../core/base/ids.ts'
import type { TaskStatus } from '../core/task/status.ts'
import type { Ref } from './actor.ts'

export type TransitionResult = 'NOOP' | 'SUCCESS' | 'ILLEGAL' | 'ILLEGAL_WITH_SIDE_EFFECTS' | 'INVALID_CAS_STATE'

/** Answered only after everything staged up to the decision is committed. */
export interface Transitioned {
  readonly taskId: TaskId
  readonly result: TransitionResult
}

export interface Propose {
  readonly type: 'propose'
  readonly taskId: TaskId
  readonly to: TaskStatus
  /** Nothing happens unless the task has this status now. */
  readonly expectStatus?: TaskStatus
  readonly expectVersion?: number
  readonly message?: string
  readonly who: string
  /** The agent's sequence number, for status updates: lower than the row's is answered without a decision. */
  readonly agentSeq?: number
  readonly replyTo?: Ref<Transitioned>
}

/** PENDING to ASSIGNED with everything the launch needs, in one record; the launch leaves after its commit. */
export interface Assign {
  readonly type: 'assign'
  readonly taskId: TaskId
  readonly agentId: AgentId
  readonly host: string
  readonly ports: Readonly<Record<string, number>>
  readonly replyTo?: Ref<Transitioned>
}

export type Command = Propose | Assign

/** The way to a task's actor, which is made on first need; ids without a live row go to the StrayTask actor. */
export interface TaskDirectory {
  tell(command: Command): void
}
