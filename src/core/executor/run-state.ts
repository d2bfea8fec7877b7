/**
 * What a task's run is made of: where it stands, what it is told and what it owes. All of it is plain data: the state
 * is stored as a checkpoint, effects are carried out by the task's actor. What follows from what is in `task-run.ts`.
 */
import type { Instant } from '../base/time.ts'
import { FRESH_PROCESS, type ProcessState } from './process-state.ts'
import type { ProcessSpec, TaskSpec } from './task-data.ts'

export type Stage = 'PREPARING' | 'ACTIVE' | 'CLEANING' | 'FINALIZING' | 'ENDING' | 'DONE'

export interface RunState {
  readonly stage: Stage
  readonly processes: Readonly<Record<string, ProcessState>>
  /** What has been reported already: RUNNING is reported once. */
  readonly told: 'nothing' | 'STARTING' | 'RUNNING' | 'end'
  readonly killed: boolean
  /** End of the budget for cleaning and finalizing. */
  readonly deadlineMs: Instant | null
  readonly result: { readonly state: EndState; readonly message: string } | null
  /** No process of the task was left when last looked, and none was started since. */
  readonly empty: boolean
}

export type EndState = 'FINISHED' | 'FAILED' | 'KILLED'

/** A run whose folder was found by an agent that has just started. */
export interface FoundRun {
  readonly process: string
  readonly run: number
  readonly startedAtMs: Instant
  /** Null while it runs. `code` null: its shim is gone and left no word. */
  readonly end: { readonly code: number | null; readonly atMs: Instant } | null
}

export type Message =
  /** The first one: a new task has no runs, an adopted one may. */
  | { readonly type: 'begin'; readonly found: readonly FoundRun[] }
  | { readonly type: 'prepared' }
  | { readonly type: 'prepareFailed'; readonly text: string }
  | { readonly type: 'runStarted'; readonly process: string; readonly run: number }
  | { readonly type: 'startFailed'; readonly process: string; readonly run: number; readonly text: string }
  /** `code`: 0–255, above 128 a signal; null: the shim died without a record. */
  | { readonly type: 'runEnded'; readonly process: string; readonly run: number; readonly code: number | null }
  | { readonly type: 'groupEmpty' }
  | { readonly type: 'kill'; readonly graceMs: number | null }
  | { readonly type: 'timerExpired'; readonly key: TimerKey }

export type TimerKey = 'gap' | 'budget' | 'stuck'

export type Effect =
  | { readonly type: 'prepare' }
  | { readonly type: 'startRun'; readonly process: ProcessSpec; readonly run: number }
  /** SIGKILL to what a run that has ended left behind in its session. */
  | { readonly type: 'sweepRun'; readonly process: string; readonly run: number }
  /** SIGTERM to every process of the task. */
  | { readonly type: 'terminate' }
  /** Answer `groupEmpty` once nothing is left; with `kill`, SIGKILL until then. Replaces an earlier one. */
  | { readonly type: 'awaitEmpty'; readonly kill: boolean }
  | { readonly type: 'startTimer'; readonly key: TimerKey; readonly afterMs: number }
  | { readonly type: 'cancelTimer'; readonly key: TimerKey }
  | {
      readonly type: 'status'
      readonly state: 'STARTING' | 'RUNNING' | EndState
      readonly reason: string | null
      readonly message: string | null
    }
  /** Nothing was left alive by SIGKILL for a while: an operator should look. */
  | { readonly type: 'warnStuck' }
  /** The state should be stored; not waited for. */
  | { readonly type: 'checkpoint' }

export function initialRun(task: TaskSpec): RunState {
  return {
    stage: 'PREPARING',
    processes: Object.fromEntries(task.processes.map(process => [process.name, FRESH_PROCESS])),
    told: 'nothing',
    killed: false,
    deadlineMs: null,
    result: null,
    empty: false,
  }
}

/**
 * What has been told, by the number of statuses that are stored. Checkpoints are written apart from statuses, so after
 * a crash one may know of a report that was never stored, or not of one that was: the stored ones are the truth.
 */
export function toldAfter(statuses: number): RunState['told'] {
  return statuses === 0 ? 'nothing' : statuses === 1 ? 'STARTING' : 'RUNNING'
}
