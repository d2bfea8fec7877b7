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
import { assert, assertNever } from '../base/assert.ts'
import type { Instant, Now } from '../base/time.ts'
import { complaints, hasStarted, isComplete, isDeadlocked, isFree, isHealthy } from './plan-progress.ts'
import { RunDraft } from './run-draft.ts'
import type { Effect, EndState, FoundRun, Message, RunState, TimerKey } from './run-state.ts'
import type { TaskSpec } from './task-data.ts'
import { type PlanName, processesOf } from './task-plan.ts'

export interface RunOptions {
  /** The operator's bound on what a kill may take, ms. */
  readonly killCapMs: number
}

export const STUCK_AFTER_MS = 10_000
export const HEALTHY_TEXT = 'No health-check defined, task is assumed healthy.'
export const KILLED_TEXT = 'Instructed to kill task.'
export const KILLED_EARLY_TEXT = 'Task killed during initialization.'

/** Never throws but on a bug; messages about runs that are over are ignored. */
export function stepRun(
  task: TaskSpec,
  options: RunOptions,
  state: RunState,
  message: Message,
  now: Now,
): { readonly state: RunState; readonly effects: readonly Effect[] } {
  const draft = new RunDraft(task, state, now)
  if (state.stage !== 'DONE') {
    take(draft, message, options)
    advance(draft)
    if (draft.state !== state && draft.state.stage !== 'DONE') draft.owe({ type: 'checkpoint' })
  }
  draft.checkRules()
  return { state: draft.state, effects: draft.effects }
}

function take(draft: RunDraft, message: Message, options: RunOptions): void {
  switch (message.type) {
    case 'begin':
      begin(draft, message.found)
      break
    case 'prepared':
      if (draft.state.stage === 'PREPARING') draft.change({ stage: 'ACTIVE' })
      break
    case 'prepareFailed':
      if (draft.state.stage === 'PREPARING') end(draft, 'FAILED', null, message.text)
      break
    case 'runStarted':
      onStarted(draft, message.process, message.run)
      break
    case 'startFailed':
      if (draft.isRunning(message.process, message.run)) draft.startFailed(message.process, message.text)
      break
    case 'runEnded':
      if (draft.isRunning(message.process, message.run)) {
        draft.ended(message.process, message.run, message.code, draft.now.wallMs)
      }
      break
    case 'groupEmpty':
      // A run that was started while the question was open makes the answer stale. After SIGTERM the group may be empty
      // before the word of a run's end has come; what counts then is the group.
      if (draft.wasSignalled || !draft.anyRunning) draft.change({ empty: true })
      break
    case 'kill':
      kill(draft, message.graceMs, options.killCapMs)
      break
    case 'timerExpired':
      onTimer(draft, message.key)
      break
    default:
      assertNever(message)
  }
}

// ---- messages ----

function begin(draft: RunDraft, found: readonly FoundRun[]): void {
  draft.change({ empty: false }) // true of the world as it was, not as it is
  if (draft.state.told === 'nothing') {
    draft.change({ told: 'STARTING' })
    draft.owe({ type: 'status', state: 'STARTING', reason: null, message: 'Initializing sandbox.' })
  }
  if (draft.state.stage === 'PREPARING') {
    if (found.length === 0) {
      draft.owe({ type: 'prepare' })
      return
    }
    draft.change({ stage: 'ACTIVE' }) // the sandbox was ready, or nothing could have been started
  }
  replay(draft, found)
  if (draft.state.deadlineMs !== null) armBudget(draft)
  if (draft.state.stage === 'CLEANING') {
    draft.owe({ type: 'terminate' }, { type: 'awaitEmpty', kill: false })
  }
  if (draft.state.stage === 'ENDING') awaitEnd(draft)
}

/** What happened while no agent looked, in the order in which it happened. */
function replay(draft: RunDraft, found: readonly FoundRun[]): void {
  const runs = found
    .filter(({ process }) => draft.processes[process] !== undefined)
    .toSorted((a, b) => a.startedAtMs - b.startedAtMs || a.run - b.run || (a.process < b.process ? -1 : 1))
  const seen = new Set<string>()
  for (const { process, run, startedAtMs, end } of runs) {
    const known = draft.process(process).runs
    if (run < known && !draft.isRunning(process, run)) continue // its end is in the checkpoint
    draft.set(process, { runs: run + 1, phase: { type: 'running', startedAtMs, confirmed: true } })
    seen.add(process)
    if (end !== null) draft.ended(process, run, end.code, end.atMs)
  }
  for (const { name } of draft.task.processes) {
    if (draft.process(name).phase.type === 'running' && !seen.has(name)) draft.lost(name)
  }
}

function onStarted(draft: RunDraft, name: string, run: number): void {
  if (!draft.isRunning(name, run)) return
  const phase = draft.process(name).phase
  if (phase.type === 'running') draft.set(name, { phase: { ...phase, confirmed: true } })
}

function kill(draft: RunDraft, graceMs: number | null, killCapMs: number): void {
  const budgetMs = Math.min(draft.task.finalizationWaitMs, killCapMs, graceMs ?? Number.POSITIVE_INFINITY)
  const deadlineMs = Math.min(draft.state.deadlineMs ?? Number.POSITIVE_INFINITY, draft.now.wallMs + budgetMs)
  switch (draft.state.stage) {
    case 'PREPARING':
      end(draft, 'KILLED', 'TASK_KILLED_DURING_LAUNCH', KILLED_EARLY_TEXT)
      return
    case 'ACTIVE':
      draft.change({ killed: true })
      clean(draft, deadlineMs)
      return
    case 'CLEANING':
    case 'FINALIZING':
      draft.change({ killed: true, result: { state: 'KILLED', message: KILLED_TEXT } })
      if (deadlineMs !== draft.state.deadlineMs) {
        draft.change({ deadlineMs })
        armBudget(draft)
      }
      return
    case 'ENDING':
    case 'DONE':
      return
    default:
      assertNever(draft.state.stage)
  }
}

function onTimer(draft: RunDraft, key: TimerKey): void {
  const { stage } = draft.state
  if (key === 'budget' && (stage === 'CLEANING' || stage === 'FINALIZING')) finish(draft)
  if (key === 'stuck' && stage === 'ENDING') {
    draft.owe({ type: 'warnStuck' }, { type: 'startTimer', key: 'stuck', afterMs: STUCK_AFTER_MS })
  }
  // 'gap' needs no more than the pass that follows every message.
}

// ---- the pass after every message ----

function advance(draft: RunDraft): void {
  if (draft.state.stage === 'ACTIVE') {
    launch(draft, 'regular')
    tellRunning(draft)
    const { task, processes } = draft
    if (isComplete(task, processes, 'regular') || !isHealthy(task, processes)) {
      clean(draft, draft.now.wallMs + draft.task.finalizationWaitMs)
    }
  }
  if (draft.state.stage === 'CLEANING' && draft.state.empty) draft.change({ stage: 'FINALIZING' })
  if (draft.state.stage === 'FINALIZING') {
    launch(draft, 'final')
    const { task, processes } = draft
    if (isComplete(task, processes, 'final') || isDeadlocked(task, processes, 'final')) finish(draft)
  }
  if (draft.state.stage === 'ENDING' && draft.state.empty) {
    const result = draft.state.result
    assert(result !== null, 'a task that is ending has a result')
    end(draft, result.state, null, result.message)
  }
}

function launch(draft: RunDraft, plan: PlanName): void {
  const processes = processesOf(draft.task, plan)
  let running = processes.filter(({ name }) => draft.process(name).phase.type === 'running').length
  let gapMs = Number.POSITIVE_INFINITY
  for (const process of processes) {
    const { phase } = draft.process(process.name)
    if (phase.type !== 'waiting' || !isFree(draft.task, draft.processes, process.name)) continue
    if (draft.task.maxConcurrency > 0 && running >= draft.task.maxConcurrency) break
    if (phase.notBeforeMs > draft.now.wallMs) {
      gapMs = Math.min(gapMs, phase.notBeforeMs - draft.now.wallMs)
      continue
    }
    draft.start(process)
    running += 1
  }
  if (gapMs !== Number.POSITIVE_INFINITY) draft.owe({ type: 'startTimer', key: 'gap', afterMs: gapMs })
}

/** Once, when everything that could start at first has started. Other checkers join here with the health engine. */
function tellRunning(draft: RunDraft): void {
  if (draft.state.told !== 'STARTING' || !hasStarted(draft.task, draft.processes)) return
  draft.change({ told: 'RUNNING' })
  draft.owe({ type: 'status', state: 'RUNNING', reason: null, message: HEALTHY_TEXT })
}

// ---- stages ----

function clean(draft: RunDraft, deadlineMs: Instant): void {
  assert(draft.state.stage === 'ACTIVE', 'cleaning follows the active stage', { stage: draft.state.stage })
  draft.change({ stage: 'CLEANING', deadlineMs, result: judge(draft) })
  draft.owe({ type: 'cancelTimer', key: 'gap' }, { type: 'terminate' }, { type: 'awaitEmpty', kill: false })
  armBudget(draft)
}

/** Everything still alive is killed; the end is told when nothing is left. */
function finish(draft: RunDraft): void {
  draft.change({ stage: 'ENDING' })
  draft.owe({ type: 'cancelTimer', key: 'budget' }, { type: 'cancelTimer', key: 'gap' })
  if (!draft.state.empty) awaitEnd(draft)
}

function awaitEnd(draft: RunDraft): void {
  draft.owe({ type: 'awaitEmpty', kill: true }, { type: 'startTimer', key: 'stuck', afterMs: STUCK_AFTER_MS })
}

function end(draft: RunDraft, state: EndState, reason: string | null, message: string): void {
  draft.change({ stage: 'DONE', told: 'end', result: { state, message } })
  for (const key of ['gap', 'budget', 'stuck'] as const) draft.owe({ type: 'cancelTimer', key })
  draft.owe({ type: 'status', state, reason, message })
}

function judge({ state, task, processes }: RunDraft): { state: EndState; message: string } {
  if (state.killed) return { state: 'KILLED', message: KILLED_TEXT }
  if (isHealthy(task, processes)) return { state: 'FINISHED', message: 'Task finished.' }
  return { state: 'FAILED', message: ['Task failed.', ...complaints(task, processes)].join(' ').slice(0, 1000) }
}

function armBudget(draft: RunDraft): void {
  assert(draft.state.deadlineMs !== null, 'a budget has an end')
  // Clocks may have been set back meanwhile: never longer than the whole budget.
  const whole = Math.max(draft.task.finalizationWaitMs, 0)
  const afterMs = Math.min(Math.max(draft.state.deadlineMs - draft.now.wallMs, 0), whole)
  draft.owe({ type: 'startTimer', key: 'budget', afterMs })
}
