/**
 * What makes the ledger equal to the rows of a backup, and what that does to the tasks that run now. The rows of before are
 * put back as they were, but for what would be wrong today: see the table in docs/design/0016-backup.md.
 *
 * A task that waited for its place then, or for its agent to take it, and has come further since is the one exception: its
 * id has been on a machine, whose folders bear it. If it still lives it stays as it is now; if it has ended it waits again
 * under a new id.
 */
import { compareIds, type InstanceId, type JobKey, type TaskId } from '../base/ids.ts'
import type { Instant } from '../base/time.ts'
import { sameValue } from '../ledger/net-changes.ts'
import { TABLE_NUMBERS, type TableName, type TaskEvent, type TaskRow } from '../ledger/rows.ts'
import type { RowChange } from '../ledger/transaction.ts'
import type { LedgerView } from '../ledger/view.ts'
import { crc32c, foldDigest } from '../log/crc.ts'
import { recorded } from '../task/history.ts'
import { HOST_ASSIGNED, isTerminal, TRANSIENT } from '../task/status.ts'

export interface RestoreFacts {
  /** Of the backup; stands in the history of tasks. */
  readonly name: string
  readonly nowMs: Instant
  readonly scheduler: string
  readonly newTaskId: (job: JobKey, instance: InstanceId) => TaskId
}

/** What happens to tasks, machines and jobs because of a restore. Lists are sorted. */
export interface Consequences {
  /** They run now and the backup does not know them alive: their agents are told to kill them. */
  readonly killed: readonly TaskRow[]
  /** The backup has them on a machine, and they are gone: they will be LOST, and replaced as their job wants. */
  readonly lost: readonly TaskRow[]
  /** They waited then and have ended since: they wait again, under new ids. */
  readonly again: readonly TaskRow[]
  /** They wait now and the backup does not know them. */
  readonly forgotten: readonly TaskRow[]
  readonly jobsAdded: readonly string[]
  readonly jobsRemoved: readonly string[]
  readonly jobsChanged: readonly string[]
  /** Of all of the above; what it is of a moment later it is again, unless one of them has changed. */
  readonly digest: string
}

export interface RestorePlan {
  readonly consequences: Consequences
  readonly changes: readonly RowChange[]
  /** Rows put and deleted, by table. */
  readonly counts: Readonly<Partial<Record<TableName, { readonly put: number; readonly deleted: number }>>>
}

/** How the rows of a table come back. A table that is new must decide. */
const BY_TABLE = {
  task: 'tasks',
  // Those that lose their last user go with the transaction anyway.
  config: 'added',
  job: 'equal',
  agent: 'added',
  request: 'equal',
  meta: 'kept',
  update: 'equal',
  updateEvent: 'equal',
  quota: 'equal',
} as const satisfies Record<TableName, 'equal' | 'added' | 'kept' | 'tasks'>

export function restorePlan(now: LedgerView, staged: LedgerView, facts: RestoreFacts): RestorePlan {
  const changes: RowChange[] = []
  const counts: { [T in TableName]?: { put: number; deleted: number } } = {}
  const tasks = new TaskRestore(now, staged, facts)
  for (const table of Object.keys(TABLE_NUMBERS) as TableName[]) {
    const how = BY_TABLE[table]
    if (how === 'kept') continue
    const ofTable = how === 'tasks' ? tasks.changes() : rowChanges(table, now, staged, how)
    const put = ofTable.filter(({ type }) => type === 'put').length
    if (ofTable.length > 0) counts[table] = { put, deleted: ofTable.length - put }
    changes.push(...ofTable)
  }
  return { changes, counts, consequences: withDigest(tasks, jobChanges(now, staged)) }
}

/** Of a table whose rows are only compared. */
function rowChanges(table: TableName, now: LedgerView, staged: LedgerView, how: 'equal' | 'added'): RowChange[] {
  const changes: RowChange[] = []
  const [before, after] = [now.rows(table), staged.rows(table)]
  for (const [key, row] of after) {
    const present = before.get(key)
    const isWanted = present === undefined || (how === 'equal' && !sameValue(present, row))
    if (isWanted) changes.push({ type: 'put', table, key, row } as RowChange)
  }
  if (how === 'added') return changes
  for (const key of before.keys()) if (!after.has(key)) changes.push({ type: 'delete', table, key })
  return changes
}

class TaskRestore {
  readonly killed: TaskRow[] = []
  readonly lost: TaskRow[] = []
  readonly again: TaskRow[] = []
  readonly forgotten: TaskRow[] = []
  readonly #now: LedgerView
  readonly #staged: LedgerView
  readonly #facts: RestoreFacts

  constructor(now: LedgerView, staged: LedgerView, facts: RestoreFacts) {
    this.#now = now
    this.#staged = staged
    this.#facts = facts
  }

  changes(): RowChange[] {
    const changes: RowChange[] = []
    const put = (row: TaskRow): void => void changes.push({ type: 'put', table: 'task', key: row.taskId, row })
    const remove = (key: string): void => void changes.push({ type: 'delete', table: 'task', key })
    for (const row of this.#staged.tasks()) {
      const present = this.#now.task(row.taskId)
      const isGone = present === undefined || isTerminal(present.status)
      if (!isTerminal(row.status) && isGone && !isWaiting(row)) this.lost.push(row)
      if (isWaiting(row) && isPlaced(present)) continue
      if (isWaiting(row) && isGone) {
        this.again.push(row)
        if (present !== undefined) remove(row.taskId)
        put(this.#anew(row))
      } else if (present === undefined || !isSameTask(present, row)) put(this.#asBefore(row))
    }
    for (const present of this.#now.tasks()) {
      const row = this.#staged.task(present.taskId)
      if (row === undefined) remove(present.taskId)
      if (row !== undefined && !isTerminal(row.status)) continue
      if (isPlaced(present)) this.killed.push(present)
      else if (row === undefined && !isTerminal(present.status)) this.forgotten.push(present)
    }
    for (const list of [this.killed, this.lost, this.again, this.forgotten]) list.sort(byId)
    return changes
  }

  /** What it waits for, at most some minutes, it waits for from now on. */
  #asBefore(row: TaskRow): TaskRow {
    const back = TRANSIENT.has(row.status) ? this.#told(row, row.status) : row
    return { ...back, freshEvents: 0 }
  }

  #anew(row: TaskRow): TaskRow {
    const { agentId: _agent, host: _host, readyAtMs: _ready, freshEvents: _fresh, ...rest } = row
    const taskId = this.#facts.newTaskId(row.job, row.instance)
    return this.#told({ ...rest, taskId, version: 1, ports: {}, agentSeq: 0, events: [] }, 'PENDING')
  }

  #told(row: TaskRow, status: TaskRow['status']): TaskRow {
    return recorded(row, status, `Restored from ${this.#facts.name}`, this.#facts)
  }
}

/** It is not known to have been on a machine. */
const isWaiting = ({ status }: TaskRow): boolean =>
  status === 'PENDING' || status === 'THROTTLED' || status === 'ASSIGNED'
const isPlaced = (row: TaskRow | undefined): boolean => row !== undefined && HOST_ASSIGNED.has(row.status)
const byId = (a: TaskRow, b: TaskRow): number => compareIds(a.taskId, b.taskId)

/**
 * But for which of the events were new when the row was written: that says nothing about the task. By hand, since nearly
 * all of very many are the same.
 */
function isSameTask(a: TaskRow, b: TaskRow): boolean {
  if (a.version !== b.version || a.status !== b.status || a.events.length !== b.events.length) return false
  const { freshEvents: _a, events: ours, job, ports, ...left } = a
  const { freshEvents: _b, events: theirs, job: theirJob, ports: theirPorts, ...right } = b
  return (
    ours.every((event, at) => isSameEvent(event, theirs[at] as TaskEvent)) &&
    sameValue(left, right) &&
    sameValue(job, theirJob) &&
    sameValue(ports, theirPorts)
  )
}

function isSameEvent(a: TaskEvent, b: TaskEvent): boolean {
  return (
    a.atMs === b.atMs &&
    a.status === b.status &&
    a.scheduler === b.scheduler &&
    a.message === b.message &&
    a.who === b.who &&
    a.why === b.why
  )
}

function jobChanges(now: LedgerView, staged: LedgerView): { added: string[]; removed: string[]; changed: string[] } {
  const [before, after] = [now.rows('job'), staged.rows('job')]
  const added = [...after.keys()].filter(key => !before.has(key))
  const removed = [...before.keys()].filter(key => !after.has(key))
  const changed = [...after].flatMap(([key, row]) => {
    const present = before.get(key)
    return present === undefined || sameValue(present, row) ? [] : [key]
  })
  return { added: added.sort(compareIds), removed: removed.sort(compareIds), changed: changed.sort(compareIds) }
}

function withDigest(
  { killed, lost, again, forgotten }: TaskRestore,
  jobs: ReturnType<typeof jobChanges>,
): Consequences {
  const text = new TextEncoder()
  let digest = 0
  const add = (what: string, keys: readonly string[]): void => {
    for (const key of [what, ...keys]) digest = foldDigest(digest, crc32c(text.encode(key)))
  }
  const idsOf = (rows: readonly TaskRow[]): readonly string[] => rows.map(({ taskId }) => taskId)
  add('killed', idsOf(killed))
  add('lost', idsOf(lost))
  add('again', idsOf(again))
  add('forgotten', idsOf(forgotten))
  add('jobs added', jobs.added)
  add('jobs removed', jobs.removed)
  add('jobs changed', jobs.changed)
  return {
    killed,
    lost,
    again,
    forgotten,
    jobsAdded: jobs.added,
    jobsRemoved: jobs.removed,
    jobsChanged: jobs.changed,
    digest: digest.toString(16).padStart(8, '0'),
  }
}
