/**
 * One step of a task's run in the making: the state it is at and what is owed so far, with the small moves that every
 * decision is made of. Lives only inside `stepRun`; what it was made from is never changed.
 */
import { assert } from '../base/assert.ts'
import type { Instant, Now } from '../base/time.ts'
import { type ProcessStates, specOf, stateOf } from './plan-progress.ts'
import { afterFailure, afterRun, afterSignals, type ProcessState } from './process-state.ts'
import type { Effect, RunState } from './run-state.ts'
import type { ProcessSpec, TaskSpec } from './task-data.ts'

export class RunDraft {
  readonly task: TaskSpec
  readonly now: Now
  readonly effects: Effect[] = []
  private current: RunState

  constructor(task: TaskSpec, state: RunState, now: Now) {
    this.task = task
    this.current = state
    this.now = now
  }

  get state(): RunState {
    return this.current
  }

  get processes(): ProcessStates {
    return this.current.processes
  }

  /** The whole task got its signals and nothing has been started since: an end is their doing. */
  get wasSignalled(): boolean {
    return this.current.stage === 'CLEANING' || this.current.stage === 'ENDING'
  }

  get anyRunning(): boolean {
    return this.task.processes.some(({ name }) => this.process(name).phase.type === 'running')
  }

  isRunning(name: string, run: number): boolean {
    const process = this.processes[name]
    return process !== undefined && process.phase.type === 'running' && process.runs - 1 === run
  }

  process(name: string): ProcessState {
    return stateOf(this.processes, name)
  }

  change(change: Partial<RunState>): void {
    this.current = { ...this.current, ...change }
  }

  set(name: string, change: Partial<ProcessState>): void {
    this.change({ processes: { ...this.processes, [name]: { ...this.process(name), ...change } } })
  }

  owe(...effects: Effect[]): void {
    this.effects.push(...effects)
  }

  start(process: ProcessSpec): void {
    const { runs } = this.process(process.name)
    this.set(process.name, {
      runs: runs + 1,
      phase: { type: 'running', startedAtMs: this.now.wallMs, confirmed: false },
    })
    this.change({ empty: false })
    this.owe({ type: 'startRun', process, run: runs })
  }

  /** The last run of a process is over. What it left in its session goes too, unless it still has its time to end. */
  ended(name: string, run: number, code: number | null, atMs: Instant): void {
    if (this.current.stage !== 'CLEANING') this.owe({ type: 'sweepRun', process: name, run })
    this.endRun(name, code, atMs)
  }

  /** It was running when last looked, and nothing is known of that run any more. */
  lost(name: string): void {
    this.endRun(name, null, this.now.wallMs)
  }

  startFailed(name: string, text: string): void {
    const before = this.process(name)
    const times = { atMs: this.now.wallMs, nowMs: this.now.wallMs }
    const spec = specOf(this.task, name)
    this.set(name, this.wasSignalled ? afterSignals(before, null) : afterFailure(spec, before, text, times))
  }

  private endRun(name: string, code: number | null, atMs: Instant): void {
    const before = this.process(name)
    const times = { atMs, nowMs: this.now.wallMs }
    const spec = specOf(this.task, name)
    this.set(name, this.wasSignalled ? afterSignals(before, code) : afterRun(spec, before, code, times))
  }

  checkRules(): void {
    const { stage, told, result, deadlineMs } = this.current
    assert((stage === 'DONE') === (told === 'end'), 'the end is told when the task is over', { stage, told })
    if (stage === 'CLEANING' || stage === 'FINALIZING') {
      assert(deadlineMs !== null && result !== null, 'cleaning has a budget and a result', { stage })
    }
    const ends = this.effects.filter(effect => effect.type === 'status' && effect.state !== 'STARTING')
    assert(ends.length <= 2, 'a step reports at most RUNNING and an end', { reports: ends.length })
  }
}
