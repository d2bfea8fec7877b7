/**
 * What has happened in the cluster, told from the log alone: the events of a position follow from its bytes and from
 * nothing else, so they are the same live, read again later, and on another node. Nothing is remembered between
 * positions: a row says itself which of its events are new and what its status was before.
 *
 * Shape: in the order of the transactions of the position and of their rows; `n` runs over all of them, from 1. The events
 * of one task are therefore in the order in which they became true.
 */

import type { AgentRow, JobRow, TaskEvent, TaskRow } from '../ledger/rows.ts'
import type { Cause, RowChange, Transaction } from '../ledger/transaction.ts'
import type { Ballot } from '../log/ballot.ts'
import type { TaskStatus } from '../task/status.ts'

interface Placed {
  readonly position: number
  readonly n: number
}

/** A task came into a status. */
export interface TaskTransition extends Placed {
  readonly type: 'task.transition'
  /** As of the end of its transaction; its status may be a later one when several events came at once. */
  readonly row: TaskRow
  readonly event: TaskEvent
  /** Null: the task is new. */
  readonly oldStatus: TaskStatus | null
}
/** The row of a task is gone: pruned, or killed before it was placed. Only its id is known from then on. */
export interface TaskDeleted extends Placed {
  readonly type: 'task.deleted'
  readonly taskId: string
  readonly cause: Cause
}
/** A job was written, or deleted when `row` is null. */
export interface JobChanged extends Placed {
  readonly type: 'job.changed'
  /** `role/environment/name` */
  readonly job: string
  readonly row: JobRow | null
  readonly cause: Cause
}
/** A machine was described anew, or forgotten when `row` is null. */
export interface AgentChanged extends Placed {
  readonly type: 'agent.changed'
  readonly agentId: string
  readonly row: AgentRow | null
  readonly cause: Cause
}
export interface LeaderChanged extends Placed {
  readonly type: 'leader.changed'
  readonly ballot: Ballot
}

export type ClusterEvent = TaskTransition | TaskDeleted | JobChanged | AgentChanged | LeaderChanged
export type ClusterEventType = ClusterEvent['type']

export const EVENT_TYPES = [
  'task.transition',
  'task.deleted',
  'job.changed',
  'agent.changed',
  'leader.changed',
] as const satisfies readonly ClusterEventType[]

/** Of a position that carries changes. Rows of tables that tell no events may be left out. */
export function eventsOf(position: number, transactions: readonly Transaction[]): ClusterEvent[] {
  const events: ClusterEvent[] = []
  for (const { cause, changes } of transactions) {
    for (const change of changes) addEvents(events, position, change, cause)
  }
  return events
}

/** Of a position with which a leader begins. */
export function leaderEvent(position: number, ballot: Ballot): LeaderChanged {
  return { type: 'leader.changed', position, n: 1, ballot }
}

function addEvents(events: ClusterEvent[], position: number, change: RowChange, cause: Cause): void {
  switch (change.table) {
    case 'task':
      if (change.type === 'put') return addTransitions(events, position, change.row)
      events.push({ type: 'task.deleted', position, n: events.length + 1, taskId: change.key, cause })
      return
    case 'job': {
      const row = change.type === 'put' ? change.row : null
      events.push({ type: 'job.changed', position, n: events.length + 1, job: change.key, row, cause })
      return
    }
    case 'agent': {
      const row = change.type === 'put' ? change.row : null
      events.push({ type: 'agent.changed', position, n: events.length + 1, agentId: change.key, row, cause })
      return
    }
    default:
    // Configurations, outcomes of requests and facts of the cluster are no events.
  }
}

function addTransitions(events: ClusterEvent[], position: number, row: TaskRow): void {
  const first = Math.max(0, row.events.length - (row.freshEvents ?? 1))
  for (let at = first; at < row.events.length; at++) {
    events.push({
      type: 'task.transition',
      position,
      n: events.length + 1,
      row,
      event: row.events[at] as TaskEvent,
      oldStatus: row.events[at - 1]?.status ?? null,
    })
  }
}
