/** JobKeeper: admits jobs and turns what users ask of a job into proposals to its tasks. One on the leader. */
import type { InstanceId, JobKey } from '../core/base/ids.ts'
import type { Rejection } from '../core/base/rejection.ts'
import type { JobConfiguration } from '../core/job/task-config.ts'
import type { Ref } from './actor.ts'

interface Mutation {
  /** From the `Idempotency-Key` header, or drawn by the edge when the client sent none. */
  readonly requestId: string
  /** SHA-256 (hex) of what was asked, so that a used id cannot carry another request. */
  readonly fingerprint: string
  /** Who asks; `UNSECURE` when nobody proved who they are. */
  readonly user: string
  readonly replyTo: Ref<JobOutcome | Rejection>
}

export interface Create extends Mutation {
  readonly type: 'create'
  readonly job: JobConfiguration
}
export interface Kill extends Mutation {
  readonly type: 'kill'
  readonly key: JobKey
  /** Null: all of them, and the job with them. */
  readonly instances: readonly InstanceId[] | null
  readonly message: string | null
}
export interface Restart extends Mutation {
  readonly type: 'restart'
  readonly key: JobKey
  /** Null: all active ones. */
  readonly instances: readonly InstanceId[] | null
}
export type Command = Create | Kill | Restart

export interface JobOutcome {
  readonly type: 'done'
  readonly key: JobKey
  /** Instances that were created, killed or restarted; ascending. */
  readonly instances: readonly InstanceId[]
  /** `No tasks to kill.` and the like. */
  readonly message: string | null
  /** Such as: `health checks are not run by this version`. */
  readonly warnings: readonly string[]
}
