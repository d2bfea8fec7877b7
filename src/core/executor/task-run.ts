import { assert, assertNever } from '../base/assert.ts'
import type { Instant, Now } from '../base/time.ts'
import type { ProcessSpec, TaskSpec } from './task-data.ts'
import { type PlanName, predecessors, processesOf } from './task-plan.ts'

/**
 * One task from its sandbox to its end: which process runs when, what an end means, how a kill escalates. It starts
 * nothing itself: it is told what happened and says what is owed (start this run, signal them all, report this).
 *
 * Promises: a terminal status comes last, exactly once, and only after the world has said that no process of the task
 * is left. The state is plain data; together with the records that the shims leave behind, a checkpoint of it brings an
 * agent that was killed back to where the task really is.
 *
 * Other than Thermos: a signal that we did not send is a failure like any other (a process that is always killed for
 * its memory would be rerun for ever); there is no cap of 100 runs, instead the pause between quick runs grows; the
 * whole group is signalled, not the shell alone. Source: jobs and executor, sections 8, 12, 13 and 18.
 */

export type Stage = 'PREPARING' | 'ACTIVE' | 'CLEANING' | 'FINALIZING' | 'ENDING' | 'DONE'

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

export interface RunOptions {
  /** The operator's bound on what a kill may take, ms. */
  readonly killCapMs: number
}

export const QUICK_RUN_MS = 60_000
/** Quick runs in a row that are rerun at the job's own pace; after them the pause doubles from 1 s. */
export const QUICK_RUNS_FREE = 10
export const BACKOFF_MS_MAX = 300_000
export const STUCK_AFTER_MS = 10_000
export const HEALTHY_TEXT = 'No health-check defined, task is assumed healthy.'
export const KILLED_TEXT = 'Instructed to kill task.'
export const KILLED_EARLY_TEXT = 'Task killed during initialization.'

export function initialRun(task: TaskSpec): RunState {
  const fresh: ProcessState = {
    runs: 0,
    failures: 0,
    quickRuns: 0,
    phase: { type: 'waiting', notBeforeMs: 0 },
    complaint: null,
  }
  return {
    stage: 'PREPARING',
    processes: Object.fromEntries(task.processes.map(process => [process.name, fresh])),
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

/** Never throws but on a bug; messages about runs that are over are ignored. */
export function stepRun(
  task: TaskSpec,
  options: RunOptions,
  state: RunState,
  message: Message,
  now: Now,
): { readonly state: RunState; readonly effects: readonly Effect[] } {
  const course = new Course(task, options, state, now)
  if (state.stage !== 'DONE') course.take(message)
  course.checkRules()
  return { state: course.state, effects: course.effects }
}

/** One step in the making: the state it is at, and what is owed so far. Lives only inside `stepRun`. */
class Course {
  readonly task: TaskSpec
  readonly options: RunOptions
  readonly now: Now
  readonly before: RunState
  state: RunState
  readonly effects: Effect[] = []

  constructor(task: TaskSpec, options: RunOptions, state: RunState, now: Now) {
    this.task = task
    this.options = options
    this.state = state
    this.before = state
    this.now = now
  }

  take(message: Message): void {
    switch (message.type) {
      case 'begin':
        this.begin(message.found)
        break
      case 'prepared':
        if (this.state.stage === 'PREPARING') this.become('ACTIVE')
        break
      case 'prepareFailed':
        if (this.state.stage === 'PREPARING') this.end('FAILED', null, message.text)
        break
      case 'runStarted':
        this.onStarted(message.process, message.run)
        break
      case 'startFailed':
        if (this.isRunning(message.process, message.run)) this.failed(message.process, message.text, this.now.wallMs)
        break
      case 'runEnded':
        if (this.isRunning(message.process, message.run)) {
          if (this.state.stage !== 'CLEANING') this.sweep(message.process, message.run)
          this.ended(message.process, message.code, this.now.wallMs)
        }
        break
      case 'groupEmpty':
        // A run that was started while the question was open makes the answer stale.
        if (!this.anyRunning()) this.state = { ...this.state, empty: true }
        break
      case 'kill':
        this.kill(message.graceMs)
        break
      case 'timerExpired':
        this.onTimer(message.key)
        break
      default:
        assertNever(message)
    }
    this.advance()
    if (this.state !== this.before && this.state.stage !== 'DONE') this.effects.push({ type: 'checkpoint' })
  }

  // ---- messages ----

  private begin(found: readonly FoundRun[]): void {
    this.state = { ...this.state, empty: false } // true of the world as it was, not as it is
    if (this.state.told === 'nothing') {
      this.state = { ...this.state, told: 'STARTING' }
      this.effects.push({ type: 'status', state: 'STARTING', reason: null, message: 'Initializing sandbox.' })
    }
    if (this.state.stage === 'PREPARING') {
      if (found.length === 0) {
        this.effects.push({ type: 'prepare' })
        return
      }
      this.become('ACTIVE') // the sandbox was ready, or nothing could have been started
    }
    this.replay(found)
    if (this.state.deadlineMs !== null) this.armBudget()
    if (this.state.stage === 'CLEANING') {
      this.effects.push({ type: 'terminate' }, { type: 'awaitEmpty', kill: false })
    }
    if (this.state.stage === 'ENDING') this.awaitEnd()
  }

  /** What happened while no agent looked, in the order in which it happened. */
  private replay(found: readonly FoundRun[]): void {
    const runs = found
      .filter(run => this.state.processes[run.process] !== undefined)
      .toSorted((a, b) => a.startedAtMs - b.startedAtMs || a.run - b.run || (a.process < b.process ? -1 : 1))
    const seen = new Set<string>()
    for (const { process, run, startedAtMs, end } of runs) {
      const known = this.process(process)
      const current = known.phase.type === 'running' && run === known.runs - 1
      if (run < known.runs && !current) continue // its end is in the checkpoint
      this.set(process, { runs: run + 1, phase: { type: 'running', startedAtMs, confirmed: true } })
      seen.add(process)
      if (end !== null) {
        if (this.state.stage !== 'CLEANING') this.sweep(process, run)
        this.ended(process, end.code, end.atMs)
      }
    }
    for (const { name } of this.task.processes) {
      if (this.process(name).phase.type === 'running' && !seen.has(name)) this.ended(name, null, this.now.wallMs)
    }
  }

  private onStarted(name: string, run: number): void {
    if (!this.isRunning(name, run)) return
    const phase = this.process(name).phase
    if (phase.type === 'running') this.set(name, { phase: { ...phase, confirmed: true } })
  }

  private kill(graceMs: number | null): void {
    const budgetMs = Math.min(this.task.finalizationWaitMs, this.options.killCapMs, graceMs ?? Number.POSITIVE_INFINITY)
    const deadlineMs = Math.min(this.state.deadlineMs ?? Number.POSITIVE_INFINITY, this.now.wallMs + budgetMs)
    switch (this.state.stage) {
      case 'PREPARING':
        this.end('KILLED', 'TASK_KILLED_DURING_LAUNCH', KILLED_EARLY_TEXT)
        return
      case 'ACTIVE':
        this.state = { ...this.state, killed: true }
        this.clean(deadlineMs)
        return
      case 'CLEANING':
      case 'FINALIZING':
        this.state = { ...this.state, killed: true, result: { state: 'KILLED', message: KILLED_TEXT } }
        if (deadlineMs !== this.state.deadlineMs) {
          this.state = { ...this.state, deadlineMs }
          this.armBudget()
        }
        return
      case 'ENDING':
      case 'DONE':
        return
      default:
        assertNever(this.state.stage)
    }
  }

  private onTimer(key: TimerKey): void {
    const { stage } = this.state
    if (key === 'budget' && (stage === 'CLEANING' || stage === 'FINALIZING')) this.finish()
    if (key === 'stuck' && stage === 'ENDING') {
      this.effects.push({ type: 'warnStuck' }, { type: 'startTimer', key: 'stuck', afterMs: STUCK_AFTER_MS })
    }
    // 'gap' needs no more than the pass that follows every message.
  }

  // ---- the pass after every message ----

  private advance(): void {
    if (this.state.stage === 'ACTIVE') {
      this.launch('regular')
      this.tellRunning()
      const complete = this.isComplete('regular')
      if (complete || !this.isHealthy()) {
        this.clean(this.now.wallMs + this.task.finalizationWaitMs)
      }
    }
    if (this.state.stage === 'CLEANING' && this.state.empty) this.become('FINALIZING')
    if (this.state.stage === 'FINALIZING') {
      this.launch('final')
      if (this.isComplete('final') || this.isDeadlocked('final')) this.finish()
    }
    if (this.state.stage === 'ENDING' && this.state.empty) {
      const result = this.state.result
      assert(result !== null, 'a task that is ending has a result')
      this.end(result.state, null, result.message)
    }
  }

  private launch(plan: PlanName): void {
    const processes = processesOf(this.task, plan)
    let running = processes.filter(({ name }) => this.process(name).phase.type === 'running').length
    let gapMs = Number.POSITIVE_INFINITY
    for (const process of processes) {
      const { phase, runs } = this.process(process.name)
      if (phase.type !== 'waiting' || !this.isFree(process.name)) continue
      if (this.task.maxConcurrency > 0 && running >= this.task.maxConcurrency) break
      if (phase.notBeforeMs > this.now.wallMs) {
        gapMs = Math.min(gapMs, phase.notBeforeMs - this.now.wallMs)
        continue
      }
      this.set(process.name, {
        runs: runs + 1,
        phase: { type: 'running', startedAtMs: this.now.wallMs, confirmed: false },
      })
      this.state = { ...this.state, empty: false }
      this.effects.push({ type: 'startRun', process, run: runs })
      running += 1
    }
    if (gapMs !== Number.POSITIVE_INFINITY) this.effects.push({ type: 'startTimer', key: 'gap', afterMs: gapMs })
  }

  /** Once, when everything that could start at first has started. Other checkers join here with the health engine. */
  private tellRunning(): void {
    if (this.state.told !== 'STARTING') return
    const phases = this.task.processes.map(({ name }) => this.process(name).phase)
    const open = phases.some(phase => phase.type === 'running' && !phase.confirmed)
    const begun = this.task.processes.some(({ name }) => this.process(name).runs > 0)
    if (!begun || open || !phases.some(phase => phase.type !== 'failed' && phase.type !== 'waiting')) return
    this.state = { ...this.state, told: 'RUNNING' }
    this.effects.push({ type: 'status', state: 'RUNNING', reason: null, message: HEALTHY_TEXT })
  }

  // ---- stages ----

  private clean(deadlineMs: Instant): void {
    assert(this.state.stage === 'ACTIVE', 'cleaning follows the active stage', { stage: this.state.stage })
    this.state = { ...this.state, deadlineMs, result: this.judge() }
    this.become('CLEANING')
    this.effects.push({ type: 'cancelTimer', key: 'gap' }, { type: 'terminate' }, { type: 'awaitEmpty', kill: false })
    this.armBudget()
  }

  /** Everything still alive is killed; the end is told when nothing is left. */
  private finish(): void {
    this.become('ENDING')
    this.effects.push({ type: 'cancelTimer', key: 'budget' }, { type: 'cancelTimer', key: 'gap' })
    if (!this.state.empty) this.awaitEnd()
  }

  private awaitEnd(): void {
    this.effects.push({ type: 'awaitEmpty', kill: true }, { type: 'startTimer', key: 'stuck', afterMs: STUCK_AFTER_MS })
  }

  private end(state: EndState, reason: string | null, message: string): void {
    this.state = { ...this.state, told: 'end', result: { state, message } }
    this.become('DONE')
    for (const key of ['gap', 'budget', 'stuck'] as const) this.effects.push({ type: 'cancelTimer', key })
    this.effects.push({ type: 'status', state, reason, message })
  }

  private judge(): { state: EndState; message: string } {
    if (this.state.killed) return { state: 'KILLED', message: KILLED_TEXT }
    if (this.isHealthy()) return { state: 'FINISHED', message: 'Task finished.' }
    const complaints = processesOf(this.task, 'regular').flatMap(({ name }) => {
      const { phase, complaint } = this.process(name)
      return phase.type === 'failed' && complaint !== null ? [`${name}: ${complaint}`] : []
    })
    return { state: 'FAILED', message: ['Task failed.', ...complaints].join(' ').slice(0, 1000) }
  }

  private armBudget(): void {
    assert(this.state.deadlineMs !== null, 'a budget has an end')
    // Clocks may have been set back meanwhile: never longer than the whole budget.
    const whole = Math.max(this.task.finalizationWaitMs, 0)
    const afterMs = Math.min(Math.max(this.state.deadlineMs - this.now.wallMs, 0), whole)
    this.effects.push({ type: 'startTimer', key: 'budget', afterMs })
  }

  // ---- ends of runs ----

  private ended(name: string, code: number | null, atMs: Instant): void {
    if (this.state.stage === 'CLEANING' || this.state.stage === 'ENDING') {
      this.set(name, { phase: code === 0 ? { type: 'finished' } : { type: 'stopped' } })
    } else if (code === null) this.again(name, atMs, {})
    else if (code !== 0) this.failed(name, describe(code), atMs)
    else if (this.spec(name).daemon) this.again(name, atMs, {})
    else this.set(name, { phase: { type: 'finished' } })
  }

  private failed(name: string, complaint: string, atMs: Instant): void {
    if (this.state.stage === 'CLEANING' || this.state.stage === 'ENDING') {
      this.set(name, { phase: { type: 'stopped' } })
      return
    }
    const spec = this.spec(name)
    const failures = this.process(name).failures + 1
    if (spec.maxFailures === 0 || failures < spec.maxFailures) this.again(name, atMs, { failures, complaint })
    else this.set(name, { failures, complaint, phase: { type: spec.ephemeral ? 'finished' : 'failed' } })
  }

  /** Waits for its gap, counted from the end of the run, and longer when it keeps ending soon. */
  private again(name: string, atMs: Instant, change: Partial<ProcessState>): void {
    const { phase, quickRuns } = this.process(name)
    const quick = phase.type === 'running' && atMs - phase.startedAtMs < QUICK_RUN_MS ? quickRuns + 1 : 0
    const over = quick - QUICK_RUNS_FREE
    const backoffMs = over <= 0 ? 0 : Math.min(1000 * 2 ** Math.min(over - 1, 20), BACKOFF_MS_MAX)
    const endMs = Math.min(atMs, this.now.wallMs)
    const notBeforeMs = endMs + Math.max(this.spec(name).minDurationMs, backoffMs)
    this.set(name, { ...change, quickRuns: quick, phase: { type: 'waiting', notBeforeMs } })
  }

  private sweep(process: string, run: number): void {
    this.effects.push({ type: 'sweepRun', process, run })
  }

  // ---- questions ----

  private isFree(name: string): boolean {
    return [...predecessors(this.task, name)].every(before => this.process(before).phase.type === 'finished')
  }

  private isComplete(plan: PlanName): boolean {
    return processesOf(this.task, plan).every(({ name, ephemeral }) => {
      const { type } = this.process(name).phase
      return ephemeral || type === 'finished' || type === 'failed'
    })
  }

  /** Nothing runs, nothing can start now or later, and yet it is not complete: a successor of a failed process. */
  private isDeadlocked(plan: PlanName): boolean {
    const moving = processesOf(this.task, plan).some(({ name }) => {
      const { type } = this.process(name).phase
      return type === 'running' || (type === 'waiting' && this.isFree(name))
    })
    return !moving && !this.isComplete(plan)
  }

  private isHealthy(): boolean {
    const failed = processesOf(this.task, 'regular').filter(({ name }) => this.process(name).phase.type === 'failed')
    const tolerated = this.task.maxFailures === 0 || failed.length < this.task.maxFailures
    return tolerated && !this.isDeadlocked('regular')
  }

  private anyRunning(): boolean {
    // After SIGTERM the group may be empty before the word of a run's end has come; what counts then is the group.
    if (this.state.stage === 'CLEANING' || this.state.stage === 'ENDING') return false
    return this.task.processes.some(({ name }) => this.process(name).phase.type === 'running')
  }

  private isRunning(name: string, run: number): boolean {
    const process = this.state.processes[name]
    return process !== undefined && process.phase.type === 'running' && process.runs - 1 === run
  }

  private process(name: string): ProcessState {
    const found = this.state.processes[name]
    assert(found !== undefined, 'every process of the task has a state', { process: name })
    return found
  }

  private spec(name: string): ProcessSpec {
    const found = this.task.processes.find(process => process.name === name)
    assert(found !== undefined, 'a process belongs to the task', { process: name })
    return found
  }

  private set(name: string, change: Partial<ProcessState>): void {
    const process = { ...this.process(name), ...change }
    this.state = { ...this.state, processes: { ...this.state.processes, [name]: process } }
  }

  private become(stage: Stage): void {
    this.state = { ...this.state, stage }
  }

  checkRules(): void {
    const { stage, told, result, deadlineMs } = this.state
    assert((stage === 'DONE') === (told === 'end'), 'the end is told when the task is over', { stage, told })
    if (stage === 'CLEANING' || stage === 'FINALIZING') {
      assert(deadlineMs !== null && result !== null, 'cleaning has a budget and a result', { stage })
    }
    const ends = this.effects.filter(effect => effect.type === 'status' && effect.state !== 'STARTING')
    assert(ends.length <= 2, 'a step reports at most RUNNING and an end', { reports: ends.length })
  }
}

/** Shells pass the death by signal n on as 128 + n. */
function describe(code: number): string {
  return code > 128 && code <= 192 ? `ended by signal ${code - 128}.` : `exited with status ${code}.`
}
