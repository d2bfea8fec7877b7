/**
 * TaskStateMachine: one per live task; runs its transitions, timers and retries over the pure table in core/task.
 *
 * It holds no state that its row does not have: made on first need, it arms its timers from the row, and it leaves once
 * the task has ended (or when nothing is due and there are many). Commands are answered in the order of their arrival;
 * while the ledger takes nothing in (busy, or out of space) they wait here. What is asked of an ended task goes to
 * StrayTask. Others reach it through the TaskDirectory only (`task-directory.ts`).
 *
 * Source: the task life cycle, sections 8 and 16.
 */
import type { AgentId, TaskId } from '../core/base/ids.ts'
import type { PlacementRecord, TaskRow } from '../core/ledger/rows.ts'
import type { RowChange } from '../core/ledger/transaction.ts'
import { isKillOwed } from '../core/task/agent-list.ts'
import { deadlineOf, dueInMs, killRetryDelayMs } from '../core/task/deadlines.ts'
import { isTerminal, type TaskStatus } from '../core/task/status.ts'
import type { TransitionResult } from '../core/task/transitions.ts'
import type { ActorSpec, Behaviour, Context, Ref } from './actor.ts'
import { refuseAssignment, type TaskWorld, transition } from './task-transition.ts'

export type { TransitionResult }

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
  /** The reason that was given, for the task's history. */
  readonly why?: string
  /** The agent's sequence number, for status updates: lower than the row's is answered without a decision. */
  readonly agentSeq?: number
  /** The agent that reports, for status updates: what should not run is killed there, even if no row names the agent. */
  readonly agentId?: AgentId
  /** Becomes true together with the transition, if it is one: the outcome of the request that asked for it. */
  readonly alongside?: readonly RowChange[]
  readonly replyTo?: Ref<Transitioned>
}

/** PENDING to ASSIGNED with everything the launch needs, in one record; the launch leaves after its commit. */
export interface Assign {
  readonly type: 'assign'
  readonly taskId: TaskId
  readonly agentId: AgentId
  readonly host: string
  readonly ports: Readonly<Record<string, number>>
  /** What the placement was decided on, for the row. */
  readonly record?: PlacementRecord
  /**
   * Asked at the decision: false when the room was given back meanwhile (an actor of placement was restarted, or the
   * answer took too long), so that nobody else's room is taken. Absent: the room is sure.
   */
  readonly isHeld?: () => boolean
  readonly replyTo?: Ref<Transitioned>
}

export type Command = Propose | Assign

/** The way to a task's actor, which is made on first need; ids without a live row go to the StrayTask actor. */
export interface TaskDirectory {
  tell(command: Command): void
}

/** How the directory and a task's actor agree that nothing is on its way when the actor leaves. */
export interface Lodging {
  /** A command has been taken out of the mailbox. */
  taken(): void
  /** False while commands are still queued; true: from now on they go elsewhere. */
  release(): boolean
  /** There are so many actors that one with nothing to do had better go. */
  readonly isCrowded: boolean
}

type Message =
  | Command
  /** Only our own timers and ourselves send these. */
  | { readonly type: 'deadlinePassed'; readonly version: number }
  | { readonly type: 'killRepeated'; readonly version: number; readonly afterMs: number }
  | { readonly type: 'heldRetried' }
  | { readonly type: 'leave' }

/** While the ledger takes nothing in, this many commands wait per task; agents repeat what is dropped beyond. */
const HELD_MAX = 100
const HELD_RETRY_MS = 250

export function taskStateMachineSpec(
  name: string,
  taskId: TaskId,
  world: TaskWorld,
  lodging: Lodging,
): ActorSpec<Command> {
  const spec: ActorSpec<Message> = {
    name,
    kind: 'TaskStateMachine',
    mailbox: { capacity: 1000 },
    // A task that trips over a bug is tried again ever more rarely; it must not take the other tasks with it.
    supervision: { type: 'restart', backoffMs: 1000, backoffMsMax: 60_000, limit: 100, withinMs: 60_000 },
    start: context => taskStateMachine(context, taskId, world, lodging),
  }
  return spec as ActorSpec<Command>
}

function taskStateMachine(
  context: Context<Message>,
  taskId: TaskId,
  world: TaskWorld,
  lodging: Lodging,
): Behaviour<Message> {
  const { ledger, settings, metrics } = world
  const held: Command[] = []
  /** The version whose timers are armed, 0 for none. */
  let armed = 0
  let isLeaving = false
  arm()

  /** Timers follow from the row alone. */
  function arm(): void {
    const row = ledger.view.task(taskId)
    if (row === undefined || isTerminal(row.status)) {
      disarm()
      return leave()
    }
    if (row.version !== armed) {
      disarm()
      armed = row.version
      armDeadline(row)
      if (isKillOwed(row)) armKill(row, 0)
    }
    if (row.status === 'RUNNING' && lodging.isCrowded) leave()
  }

  /** Behind what is queued already; what comes after it keeps us here. */
  function leave(): void {
    if (!isLeaving) isLeaving = context.self.tell({ type: 'leave' })
  }

  function disarm(): void {
    armed = 0
    context.cancelTimer('deadline')
    context.cancelTimer('kill')
  }

  function armDeadline(row: TaskRow): void {
    const config = ledger.view.config(row.configId)
    const deadline = config === undefined ? null : deadlineOf(row, config, settings.deadlines)
    if (deadline === null) return
    const afterMs = dueInMs(deadline, row, context.now().wallMs)
    context.startTimer('deadline', afterMs, { type: 'deadlinePassed', version: row.version })
  }

  function armKill(row: TaskRow, lastMs: number): void {
    const afterMs = killRetryDelayMs(lastMs, settings.deadlines, context.random)
    context.startTimer('kill', afterMs, { type: 'killRepeated', version: row.version, afterMs })
  }

  function commanded(command: Command): void {
    const refusal = held.length > 0 ? null : ledger.refusal()
    if (held.length === 0 && refusal === null) {
      if (command.type === 'assign' && command.isHeld?.() === false) return refuseAssignment(world, command)
      transition(world, command, context.now())
      return arm()
    }
    // Without leadership the whole subtree is about to stop, and whoever asked learns it from there.
    if (refusal?.code === 'NOT_LEADER') return
    // A place that was free a while ago is no place: the assigner shall look again.
    if (command.type === 'assign') return refuseAssignment(world, command)
    if (held.length >= HELD_MAX) return metrics.count('task_commands_dropped_total')
    held.push(command)
    context.startTimer('held', HELD_RETRY_MS, { type: 'heldRetried' })
  }

  function heldRetried(): void {
    const waiting = held.splice(0)
    for (const command of waiting) commanded(command)
  }

  function deadlinePassed(version: number): void {
    const row = ledger.view.task(taskId)
    const config = row === undefined ? undefined : ledger.view.config(row.configId)
    if (row === undefined || config === undefined || row.version !== version) return
    const deadline = deadlineOf(row, config, settings.deadlines)
    if (deadline === null) return
    if (ledger.refusal() !== null)
      return context.startTimer('deadline', HELD_RETRY_MS, { type: 'deadlinePassed', version })
    const { to, who, message } = deadline
    if (who === 'transient timer') metrics.count('timed_out_tasks')
    const reason = message === undefined ? undefined : { message }
    const command: Propose = { type: 'propose', taskId, to, expectVersion: version, who, ...reason }
    transition(world, command, context.now())
    arm()
  }

  function killRepeated(version: number, afterMs: number): void {
    const row = ledger.view.task(taskId)
    if (row === undefined || row.version !== version || !isKillOwed(row)) return
    metrics.count('task_kill_retries')
    sendKill(world, row)
    armKill(row, afterMs)
  }

  return {
    receive(message) {
      switch (message.type) {
        case 'propose':
        case 'assign':
          lodging.taken()
          return commanded(message)
        case 'deadlinePassed':
          return deadlinePassed(message.version)
        case 'killRepeated':
          return killRepeated(message.version, message.afterMs)
        case 'heldRetried':
          return heldRetried()
        case 'leave':
          isLeaving = false
          if (held.length === 0 && lodging.release()) context.stop(context.self)
          return
      }
    },
    summary() {
      const row = ledger.view.task(taskId)
      return {
        status: row?.status ?? 'DELETED',
        version: row?.version ?? 0,
        instance: row?.instance ?? null,
        host: row?.host ?? null,
        failureCount: row?.failureCount ?? 0,
        held: held.length,
      }
    },
  }
}

/** Asks again for a kill that is on record; what is on record must be committed first. */
export function sendKill(world: TaskWorld, row: TaskRow): void {
  const reason = row.events.at(-1)?.message ?? `Task is ${row.status}.`
  const { taskId, agentId = null } = row
  world.ledger.whenCommitted(() => void world.gateway.tell({ type: 'kill', taskId, agentId, reason }))
}
