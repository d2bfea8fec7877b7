/**
 * One process of a task, from run to run: how often it ran, what the end of a run makes of it, and when it may start
 * again. An end means something else once the task itself is being ended: then our own signals were the reason.
 * Source: jobs and executor, section 8.
 */
import type { Instant } from '../base/time.ts'
import type { ProcessSpec } from './task-data.ts'

export type Phase =
  | { readonly type: 'waiting'; readonly notBeforeMs: Instant }
  | { readonly type: 'running'; readonly startedAtMs: Instant; readonly confirmed: boolean }
  | { readonly type: 'finished' }
  | { readonly type: 'failed' }
  /** Ended by our own signals. */
  | { readonly type: 'stopped' }

export interface ProcessState {
  /** Runs started so far; they are numbered from 0. */
  readonly runs: number
  readonly failures: number
  /** Runs in a row that ended soon after their start. */
  readonly quickRuns: number
  readonly phase: Phase
  /** How its last run went wrong, for the message of a failed task. */
  readonly complaint: string | null
}

export const QUICK_RUN_MS = 60_000
/** Quick runs in a row that are rerun at the job's own pace; after them the pause doubles from 1 s. */
export const QUICK_RUNS_FREE = 10
export const BACKOFF_MS_MAX = 300_000

export const FRESH_PROCESS: ProcessState = {
  runs: 0,
  failures: 0,
  quickRuns: 0,
  phase: { type: 'waiting', notBeforeMs: 0 },
  complaint: null,
}

/** When a run ended, and the clock now: after a while without an agent the two are far apart. */
export interface EndTimes {
  readonly atMs: Instant
  readonly nowMs: Instant
}

/** A run of a task that goes on has ended. `code` as a shell gives it; null: its shim died without a record. */
export function afterRun(spec: ProcessSpec, before: ProcessState, code: number | null, times: EndTimes): ProcessState {
  if (code !== null && code !== 0) return afterFailure(spec, before, describe(code), times)
  if (code === null || spec.daemon) return again(spec, before, times)
  return { ...before, phase: { type: 'finished' } }
}

/** A run went wrong, or could not be started. */
export function afterFailure(
  spec: ProcessSpec,
  before: ProcessState,
  complaint: string,
  times: EndTimes,
): ProcessState {
  const failed = { ...before, failures: before.failures + 1, complaint }
  if (spec.maxFailures === 0 || failed.failures < spec.maxFailures) return again(spec, failed, times)
  return { ...failed, phase: { type: spec.ephemeral ? 'finished' : 'failed' } }
}

/** A run ended after the whole task was signalled. */
export function afterSignals(before: ProcessState, code: number | null): ProcessState {
  return { ...before, phase: { type: code === 0 ? 'finished' : 'stopped' } }
}

/** Waits for its gap, counted from the end of the run, and longer when it keeps ending soon. */
function again(spec: ProcessSpec, before: ProcessState, { atMs, nowMs }: EndTimes): ProcessState {
  const { phase, quickRuns } = before
  const quick = phase.type === 'running' && atMs - phase.startedAtMs < QUICK_RUN_MS ? quickRuns + 1 : 0
  const over = quick - QUICK_RUNS_FREE
  const backoffMs = over <= 0 ? 0 : Math.min(1000 * 2 ** Math.min(over - 1, 20), BACKOFF_MS_MAX)
  const notBeforeMs = Math.min(atMs, nowMs) + Math.max(spec.minDurationMs, backoffMs)
  return { ...before, quickRuns: quick, phase: { type: 'waiting', notBeforeMs } }
}

/** Shells pass the death by signal n on as 128 + n. */
function describe(code: number): string {
  return code > 128 && code <= 192 ? `ended by signal ${code - 128}.` : `exited with status ${code}.`
}
