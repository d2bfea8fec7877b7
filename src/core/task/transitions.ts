/**
 * What may happen to a task, as one table, and the one function that reads it. Every change of a task's row, by a user,
 * an agent, a timer or the scheduler itself, is a proposal that goes through `decide`.
 *
 * The effects of a transition always come in one order: count the failure, save, make the replacement, give up a
 * partitioned task, ask for the kill, drop the row. (The count must reach the replacement, a task must exist to be
 * replaced, and it is dropped last.) A chain, such as KILLING met by PARTITIONED, is folded into one decision: its rows
 * become true together, its events stand in their order.
 *
 * Nothing is sent from here: `outputs` are what the caller owes the world once `changes` are committed.
 *
 * Source: the task life cycle, sections 3 to 6, with the improvements 2 to 6 of its section 17 worked into the table.
 */
import { assert } from '../base/assert.ts'
import type { AgentId, InstanceId, JobKey, TaskId } from '../base/ids.ts'
import type { Prng } from '../base/prng.ts'
import type { Instant } from '../base/time.ts'
import type { TaskConfig } from '../job/task-config.ts'
import type { PlacementRecord, TaskRow } from '../ledger/rows.ts'
import type { RowChange } from '../ledger/transaction.ts'
import { type FlappingSettings, flapsBehind, penaltyMs } from './flapping.ts'
import { type OwnRow, opened, type RecordFacts, record, recorded } from './history.ts'
import { isTerminal, type TaskStatus, type TaskStatusOrDeleted } from './status.ts'

/** In the order in which they are carried out. The three conditional forms of RESCHED are one effect. */
export type Step =
  | 'INC'
  | 'SAVE'
  | 'RESCHED'
  | 'RESCHED if service'
  | 'RESCHED if service or runs are left'
  | 'RESCHED unless killing'
  | 'TO_LOST'
  | 'KILL'
  | 'DEL'
export type Effect = 'INC' | 'SAVE' | 'RESCHED' | 'TO_LOST' | 'KILL' | 'DEL'
export const EFFECT_ORDER: readonly Effect[] = ['INC', 'SAVE', 'RESCHED', 'TO_LOST', 'KILL', 'DEL']

type Cell = readonly Step[]

const MOVE: Cell = ['SAVE']
const DONE: Cell = ['SAVE', 'RESCHED if service']
const FAIL: Cell = ['INC', 'SAVE', 'RESCHED if service or runs are left']
const REDO: Cell = ['SAVE', 'RESCHED']
const LOSE: Cell = ['SAVE', 'RESCHED', 'KILL']
const WANE: Cell = ['SAVE', 'RESCHED unless killing', 'KILL']
const STOP: Cell = ['SAVE', 'KILL']
const QUIT: Cell = ['SAVE', 'TO_LOST']
const DROP: Cell = ['DEL']
/** Neither saved nor dropped, so illegal; but whoever claims to run this task must be told to stop. */
const FOES: Cell = ['KILL']

type Row = Readonly<Partial<Record<TaskStatusOrDeleted, Cell>>>

// Claims to be alive, made for a task that has ended, or that is to end.
const ghost: Row = { ASSIGNED: FOES, STARTING: FOES, RUNNING: FOES }
const ended: Row = { ...ghost, DELETED: DROP }
// What users and operators may ask of a task that runs somewhere.
const asked: Row = { KILLING: STOP, RESTARTING: STOP, DRAINING: STOP, PREEMPTING: STOP }
const dying: Row = { ...ghost, FAILED: REDO, KILLED: REDO, LOST: LOSE, PARTITIONED: QUIT, KILLING: MOVE }

/** From (rows) and to. A missing cell is illegal and does nothing; the same state again is a no-op, everywhere. */
// biome-ignore format: a table
export const TRANSITIONS: Readonly<Record<TaskStatusOrDeleted, Row>> = {
  INIT:        { PENDING: MOVE, THROTTLED: MOVE },
  THROTTLED:   { PENDING: MOVE, KILLING: DROP },
  PENDING:     { ASSIGNED: MOVE, KILLING: DROP },
  ASSIGNED:    { STARTING: MOVE, RUNNING: MOVE, FINISHED: DONE, FAILED: FAIL, KILLED: REDO, LOST: LOSE, PARTITIONED: QUIT, ...asked },
  STARTING:    { RUNNING: MOVE, FINISHED: DONE, FAILED: FAIL, KILLED: REDO, LOST: LOSE, PARTITIONED: MOVE, ...asked },
  RUNNING:     { FINISHED: DONE, FAILED: FAIL, KILLED: REDO, LOST: LOSE, PARTITIONED: MOVE, ...asked },
  PARTITIONED: { ASSIGNED: MOVE, STARTING: MOVE, RUNNING: MOVE, FINISHED: DONE, FAILED: FAIL, KILLED: REDO, LOST: WANE,
                 KILLING: QUIT, RESTARTING: QUIT, DRAINING: QUIT, PREEMPTING: QUIT },
  PREEMPTING:  { ...dying, FINISHED: DONE },
  RESTARTING:  { ...dying, FINISHED: REDO },
  DRAINING:    { ...dying, FINISHED: DONE },
  KILLING:     { ...ghost, FINISHED: MOVE, FAILED: MOVE, KILLED: MOVE, LOST: STOP, PARTITIONED: QUIT, DELETED: DROP },
  FINISHED:    ended,
  FAILED:      ended,
  KILLED:      ended,
  LOST:        ended,
  DELETED:     ghost,
}

export const LOST_BY_PARTITION = 'Action performed on partitioned task, marking as LOST.'
export const RESCHEDULED = 'Rescheduled'

export type TransitionResult = 'NOOP' | 'SUCCESS' | 'ILLEGAL' | 'ILLEGAL_WITH_SIDE_EFFECTS' | 'INVALID_CAS_STATE'

/** Where a task goes: written together with ASSIGNED, so that whoever sees that event sees host and ports too. */
export interface Placement {
  readonly agentId: AgentId
  readonly host: string
  readonly ports: Readonly<Record<string, number>>
  /** What it was decided on. */
  readonly placement?: PlacementRecord
}

export interface Proposal {
  readonly taskId: TaskId
  readonly to: TaskStatusOrDeleted
  /** Compare and set: nothing happens unless the task has this status (this version) now. */
  readonly expectStatus?: TaskStatus
  readonly expectVersion?: number
  readonly message?: string
  /** For the history: who wants it, and the reason that was given. */
  readonly who?: string
  readonly why?: string
  /** Per task and agent. Lower than the row's: an old report, answered without a decision. Equal: decided again. */
  readonly agentSeq?: number
  /** The machine that reports; a kill of a task that should not be there goes to it. */
  readonly agentId?: AgentId
  /** Required for PENDING to ASSIGNED, else that is illegal. */
  readonly placement?: Placement
}

export interface Facts {
  readonly nowMs: Instant
  /** Host name of this leader; stands in the events. */
  readonly scheduler: string
  readonly flapping: FlappingSettings
  /** For the penalty of a replacement. */
  readonly random: Prng
  /**
   * How long a task that ended too soon by itself has to wait for its job's turn to run one again, ms. Called at most
   * once, for the replacement.
   */
  readonly heldBackMs: (job: JobKey) => number
  /** Called at most once, for the replacement. */
  readonly newTaskId: (job: JobKey, instance: InstanceId) => TaskId
}

/** What leaves after the commit, in this order. */
export type Output =
  | { readonly type: 'launch'; readonly taskId: TaskId }
  | { readonly type: 'kill'; readonly taskId: TaskId; readonly agentId: AgentId | null; readonly reason: string }

export interface Decision {
  readonly result: TransitionResult
  /** What was carried out, in order; the effects of a chain follow its TO_LOST. */
  readonly effects: readonly Effect[]
  readonly changes: readonly RowChange[]
  readonly outputs: readonly Output[]
  /** As it is afterwards; null when there is none (any more). */
  readonly row: TaskRow | null
  readonly replacement: TaskRow | null
  /** Set when the task failed for the last time its limit allows. */
  readonly limitReached: boolean
}

/** A stored task with its configuration; null for an id that is not stored (never was, or deleted). */
export type Subject = { readonly row: TaskRow; readonly config: TaskConfig } | null

/**
 * Decides one proposal.
 *
 * Shape: `changes` hold the whole new row of the task first, then its replacement's. No changes: nothing to append.
 * Refuses: nothing by throwing; what the table does not allow is `ILLEGAL`.
 */
export function decide(subject: Subject, proposal: Proposal, facts: Facts): Decision {
  const from: TaskStatusOrDeleted = subject?.row.status ?? 'DELETED'
  const unchanged = (result: TransitionResult): Decision => ({ ...NOTHING, result, row: subject?.row ?? null })

  if (proposal.expectStatus !== undefined && proposal.expectStatus !== from) return unchanged('INVALID_CAS_STATE')
  if (proposal.expectVersion !== undefined && proposal.expectVersion !== subject?.row.version)
    return unchanged('INVALID_CAS_STATE')
  if (subject !== null && proposal.agentSeq !== undefined && proposal.agentSeq < subject.row.agentSeq)
    return unchanged('NOOP')
  if (from === proposal.to) return unchanged('NOOP')

  const cell = TRANSITIONS[from][proposal.to]
  if (cell === undefined) return unchanged('ILLEGAL')
  if (!isLegal(cell)) {
    const kill: Output = {
      type: 'kill',
      taskId: proposal.taskId,
      agentId: proposal.agentId ?? subject?.row.agentId ?? null,
      reason: from === 'DELETED' ? 'Unknown task.' : `Task is ${from}.`,
    }
    return { ...unchanged('ILLEGAL_WITH_SIDE_EFFECTS'), effects: ['KILL'], outputs: [kill] }
  }
  assert(subject !== null, 'only a stored task moves', { task: proposal.taskId, to: proposal.to })
  const isPlacing = from === 'PENDING' && proposal.to === 'ASSIGNED'
  if (isPlacing && proposal.placement === undefined) return unchanged('ILLEGAL')

  // Every field by its name: to spread the constant ones first costs 7 µs a decision.
  const work: Work = {
    row: begin(subject.row, proposal),
    freshEvents: 0,
    config: subject.config,
    facts,
    by: { nowMs: facts.nowMs, scheduler: facts.scheduler, who: proposal.who, why: proposal.why },
    effects: [],
    outputs: [],
    replacement: null,
    isDropped: false,
    limitReached: false,
  }
  carryOut(work, cell, proposal.to, proposal.message)
  if (isPlacing) work.outputs.push({ type: 'launch', taskId: work.row.taskId })

  work.row.version++
  const row = work.isDropped ? null : work.row
  const key = subject.row.taskId
  const changes: RowChange[] = [
    row === null ? { type: 'delete', table: 'task', key } : { type: 'put', table: 'task', key, row },
  ]
  if (work.replacement !== null)
    changes.push({ type: 'put', table: 'task', key: work.replacement.taskId, row: work.replacement })
  return {
    result: 'SUCCESS',
    effects: work.effects,
    changes,
    outputs: work.outputs,
    row,
    replacement: work.replacement,
    limitReached: work.limitReached,
  }
}

const NOTHING = { effects: [], changes: [], outputs: [], row: null, replacement: null, limitReached: false } as const

/** Where a task of that status may go, in the order of the table. */
export function movesFrom(from: TaskStatusOrDeleted): TaskStatusOrDeleted[] {
  const cells = Object.entries(TRANSITIONS[from]) as [TaskStatusOrDeleted, Cell][]
  return cells.filter(([, cell]) => isLegal(cell)).map(([to]) => to)
}

const isLegal = (cell: Cell): boolean => cell.includes('SAVE') || cell.includes('DEL')

/** The state of one decision while its effects are carried out, each reading what those before it have written. */
interface Work {
  /** Ours until the decision is handed out. */
  readonly row: OwnRow
  /** How many of its events this decision has added. */
  freshEvents: number
  readonly config: TaskConfig
  readonly facts: Facts
  readonly by: RecordFacts
  readonly effects: Effect[]
  readonly outputs: Output[]
  replacement: TaskRow | null
  isDropped: boolean
  limitReached: boolean
}

function begin(row: TaskRow, { placement, agentSeq }: Proposal): OwnRow {
  const begun = opened(row)
  if (row.status === 'PENDING' && placement !== undefined) {
    begun.agentId = placement.agentId
    begun.host = placement.host
    begun.ports = placement.ports
    if (placement.placement !== undefined) begun.placement = placement.placement
  }
  if (agentSeq !== undefined && agentSeq > row.agentSeq) begun.agentSeq = agentSeq
  return begun
}

function carryOut(work: Work, cell: Cell, to: TaskStatusOrDeleted, message: string | undefined): void {
  for (const step of cell) {
    const effect = effectOf(step)
    if (effect === 'RESCHED' && !isReplaced(work, step)) continue
    work.effects.push(effect)
    switch (effect) {
      case 'INC':
        work.row.failureCount++
        break
      case 'SAVE':
        assert(to !== 'DELETED', 'a deleted task has no row to save', { task: work.row.taskId })
        record(work.row, work.freshEvents++, to, message, work.by)
        break
      case 'RESCHED':
        assert(work.replacement === null, 'a task is replaced once', { task: work.row.taskId })
        work.replacement = replacementOf(work.row, work.facts)
        break
      case 'TO_LOST': {
        const lost = TRANSITIONS[work.row.status].LOST
        assert(lost !== undefined, 'what cannot be lost is not given up', { from: work.row.status })
        carryOut(work, lost, 'LOST', LOST_BY_PARTITION)
        break
      }
      case 'KILL': {
        const { taskId, agentId, status } = work.row
        work.outputs.push({ type: 'kill', taskId, agentId: agentId ?? null, reason: message ?? `Task is ${status}.` })
        break
      }
      case 'DEL':
        work.isDropped = true
        break
    }
  }
}

function effectOf(step: Step): Effect {
  return step.startsWith('RESCHED') ? 'RESCHED' : (step as Effect)
}

function isReplaced(work: Work, step: Step): boolean {
  const { isService, maxTaskFailures } = work.config
  switch (step) {
    case 'RESCHED if service':
      return isService
    case 'RESCHED if service or runs are left':
      // The failure is counted already: below the limit means below it with this one.
      if (isService || maxTaskFailures === -1 || work.row.failureCount < maxTaskFailures) return true
      work.limitReached = true
      return false
    case 'RESCHED unless killing':
      return !work.row.events.some(event => event.status === 'KILLING')
    default:
      return true
  }
}

/**
 * Same instance, same configuration, failures so far; no host, no ports, a history of its own. THROTTLED when the ended
 * task was one of several in a row that ended too soon by themselves (`flapping.ts`), or when its job runs too many such
 * tasks again; else PENDING.
 */
function replacementOf(ended: TaskRow, facts: Facts): TaskRow {
  assert(isTerminal(ended.status), 'only an ended task is replaced', { task: ended.taskId, status: ended.status })
  const taskId = facts.newTaskId(ended.job, ended.instance)
  assert(taskId !== ended.taskId, 'a replacement has an id of its own', { taskId })
  const unborn: TaskRow = {
    v: 1,
    taskId,
    job: ended.job,
    instance: ended.instance,
    configId: ended.configId,
    status: 'INIT',
    version: 1,
    ports: {},
    failureCount: ended.failureCount,
    timesPartitioned: 0,
    ancestorId: ended.taskId,
    agentSeq: 0,
    events: [],
  }
  const endedAtMs = ended.events.at(-1)?.atMs ?? facts.nowMs
  const bornAt = { ...facts, nowMs: Math.max(facts.nowMs, endedAtMs), who: 'rescheduler', why: endOf(ended) }
  const flapCount = flapsBehind(ended, facts.flapping)
  if (flapCount === 0) return recorded(unborn, 'PENDING', RESCHEDULED, bornAt)
  const flapping = { ...unborn, flapCount }
  const pauseMs = Math.max(penaltyMs(flapCount, facts.flapping, facts.random), facts.heldBackMs(ended.job))
  if (pauseMs === 0) return recorded(flapping, 'PENDING', RESCHEDULED, bornAt)
  const penalized = `${RESCHEDULED}, penalized for ${pauseMs} ms for flapping`
  return { ...recorded(flapping, 'THROTTLED', penalized, bornAt), readyAtMs: bornAt.nowMs + pauseMs }
}

/** `was RUNNING, ended FAILED`: why there is a replacement, for its history. */
function endOf({ events }: TaskRow): string {
  const [before, end] = events.slice(-2).map(event => event.status)
  return end === undefined ? `ended ${before}` : `was ${before}, ended ${end}`
}

// Checked at load: a cell that broke the order would lose a failure count or replace what is gone.
for (const [from, row] of Object.entries(TRANSITIONS))
  for (const [to, cell] of Object.entries(row)) {
    const places = cell.map(step => EFFECT_ORDER.indexOf(effectOf(step)))
    const ascending = places.every((place, at) => place > (places[at - 1] ?? -1))
    assert(ascending, 'the effects of a transition stand in their order, each once', { from, to })
  }
