/**
 * One proposal, from decision to consequence: decide on the rows as they are now (staged ones included), stage what
 * changes, and let launch, kill and reply leave only after the commit. Replies to proposals that change nothing wait
 * for what was staged before them: a no-op is never acknowledged early.
 *
 * Run by the task's own actor, or by StrayTask for ids without a live row; never waits.
 */
import { assert, assertNever } from '../core/base/assert.ts'
import { type JobKey, jobKeyText, type TaskId } from '../core/base/ids.ts'
import type { Prng } from '../core/base/prng.ts'
import type { Now } from '../core/base/time.ts'
import type { TaskRow } from '../core/ledger/rows.ts'
import type { DeadlineSettings } from '../core/task/deadlines.ts'
import type { FlappingSettings } from '../core/task/flapping.ts'
import { placesTakenMsAgo, type RestartBudget } from '../core/task/restart-budget.ts'
import { isTerminal } from '../core/task/status.ts'
import { newTaskId } from '../core/task/task-id.ts'
import { type Decision, decide, type Output, type Proposal } from '../core/task/transitions.ts'
import type { Ref } from './actor.ts'
import type * as AgentGateway from './agent-gateway.ts'
import type { Ledger } from './ledger.ts'
import type { Logger, Metrics } from './ports.ts'
import { countLoss } from './task-losses.ts'
import type { Assign, Command } from './task-state-machine.ts'

export interface TaskSettings {
  readonly flapping: FlappingSettings
  readonly deadlines: DeadlineSettings
  /** Host name of this leader, for the events. */
  readonly schedulerName: string
}

/** What all task actors of one leader share. */
export interface TaskWorld {
  readonly ledger: Ledger
  readonly gateway: Ref<AgentGateway.Command>
  readonly settings: TaskSettings
  readonly uuid: () => string
  readonly random: Prng
  readonly restartBudget: RestartBudget
  readonly metrics: Metrics
  readonly log: Logger
  /** The task needs an actor now, for its timer. */
  readonly wake: (id: TaskId) => void
}

export function transition(world: TaskWorld, command: Command, now: Now): Decision {
  const { ledger, settings, metrics } = world
  const row = ledger.view.task(command.taskId)
  const config = row === undefined ? undefined : ledger.view.config(row.configId)
  assert(row === undefined || config !== undefined, 'a stored task has its configuration', { task: command.taskId })
  const subject = row === undefined || config === undefined ? null : { row, config }
  const proposal = proposalOf(command)
  const decision = decide(subject, proposal, {
    nowMs: now.wallMs,
    scheduler: settings.schedulerName,
    flapping: settings.flapping,
    random: world.random,
    heldBackMs: job => heldBackMs(world, job, now),
    newTaskId: (job, instance) => newTaskId(job, instance, world.uuid()),
  })
  report(world, command, row, decision)

  const settled = (): void => {
    for (const output of decision.outputs) send(world, output)
    command.replyTo?.tell({ taskId: command.taskId, result: decision.result })
  }
  if (decision.changes.length === 0) {
    ledger.whenCommitted(settled)
    return decision
  }
  const cause = { who: command.type === 'assign' ? 'assigner' : command.who, why: whyOf(command), wallMs: now.wallMs }
  const alongside = command.type === 'propose' ? command.alongside : undefined
  const changes = alongside === undefined ? decision.changes : [...decision.changes, ...alongside]
  ledger.stage({ cause, changes }, settled)
  metrics.count('task_transitions_total', 1, { to: proposal.to })
  if (row !== undefined && decision.result === 'SUCCESS') countLoss(metrics, ledger.view, row, proposal.to)
  // Only a timer needs an actor that nobody has spoken to yet.
  if (decision.replacement?.status === 'THROTTLED') world.wake(decision.replacement.taskId)
  return decision
}

function proposalOf(command: Command): Proposal {
  switch (command.type) {
    case 'propose':
      // Which agent reports is in the row.
      return command.agentSeq === undefined ? command : { ...command, who: 'agent' }
    case 'assign': {
      const { taskId, agentId, host, ports, record } = command
      const placement = record === undefined ? { agentId, host, ports } : { agentId, host, ports, placement: record }
      return { taskId, to: 'ASSIGNED', expectStatus: 'PENDING', placement, who: 'assigner' }
    }
    default:
      return assertNever(command)
  }
}

function whyOf(command: Command): string {
  if (command.type === 'assign') return 'assign'
  return command.agentSeq === undefined ? `propose ${command.to}` : 'status update'
}

/** What was asked for and is not owed to the agent: the assigner learns that nothing was placed. */
export function refuseAssignment(world: TaskWorld, command: Assign): void {
  const { taskId, replyTo } = command
  world.ledger.whenCommitted(() => void replyTo?.tell({ taskId, result: 'INVALID_CAS_STATE' }))
}

function send(world: TaskWorld, output: Output): void {
  world.gateway.tell(output)
}

/** Every transition comes by here: what most do not need is not made, and fields are named, as spreading them costs more. */
function report(world: TaskWorld, command: Command, row: TaskRow | undefined, decision: Decision): void {
  const task = command.taskId
  const from = row?.status ?? 'DELETED'
  const to = command.type === 'assign' ? 'ASSIGNED' : command.to
  if (decision.result === 'ILLEGAL' || decision.result === 'ILLEGAL_WITH_SIDE_EFFECTS') {
    world.metrics.count('scheduler_illegal_task_state_transitions')
    const killed = decision.outputs.length > 0
    // Agents that were away tell of tasks that have been given up meanwhile: nobody has done anything wrong.
    if (isReport(command) && (row === undefined || isTerminal(row.status)))
      world.log.info('task-report-late', { task, from, to, killed })
    else world.log.error('task-transition-illegal', { task, from, to, killed })
  } else if (decision.result === 'SUCCESS' && world.log.isDebugOff?.() !== true) {
    world.log.debug('task-transition', { task, from, to, replacement: decision.replacement?.taskId ?? null })
  }
  if (decision.limitReached) {
    const message = `Task ${task} reached failure limit, not rescheduling`
    world.log.info('task-failure-limit', { task, from, to, message })
  }
}

const isReport = (command: Command): boolean => command.type === 'propose' && command.agentSeq !== undefined

function heldBackMs({ ledger, restartBudget, metrics, log }: TaskWorld, job: JobKey, now: Now): number {
  const takenMsAgo = () => placesTakenMsAgo(ledger.view.tasksOfJob(job), now.wallMs)
  const { waitMs, isNews } = restartBudget.take(jobKeyText(job), now.monoMs, takenMsAgo)
  if (waitMs > 0) metrics.count('task_restarts_held_back')
  if (isNews)
    log.warn('job-restarts-held-back', {
      job: jobKeyText(job),
      waitMs,
      message: 'So many of its tasks end too soon that they are run again more slowly; see why they end.',
    })
  return waitMs
}
