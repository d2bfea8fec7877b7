/**
 * What a transaction comes down to before it is staged: one change per row, nothing that changes nothing, and no
 * configuration left behind that nobody uses. The result is what is appended, shown and told to listeners.
 */

import { assert } from '../base/assert.ts'
import type { ConfigId } from '../base/ids.ts'
import { jobKeyText } from '../base/ids.ts'
import { isActive } from '../task/status.ts'
import { updateEventKey, updateKey } from '../update/update-status.ts'
import type { JobRow, Rows, TableName, TaskRow } from './rows.ts'
import type { Tables } from './tables.ts'
import type { RowChange } from './transaction.ts'

/**
 * Shape: at most one change per row, the last one given, in the order in which rows were first named; deletes of
 * configurations that lose their last user come at the end.
 *
 * Left out: deleting a row that is not there, putting a row as it is, putting a configuration that is stored (its key
 * is the hash of its content).
 *
 * Refuses, as a bug: a key that is not its row's, and a second active task for one instance.
 */
export function netChanges(tables: Tables, changes: readonly RowChange[]): RowChange[] {
  const [only] = changes
  if (changes.length === 1 && only !== undefined && isTaskPut(only) && keepsConfig(tables, only)) {
    return netOfTask(tables, only)
  }
  const net = coalesce(changes).filter(change => changesSomething(tables, change))
  for (const change of net) if (change.type === 'put') assertKey(change)
  assertSlots(tables, net)
  return withConfigSweep(tables, net)
}

/** Most transactions are one step of one task: the same checks, without the collections that several changes need. */
function netOfTask(tables: Tables, change: TaskPut): RowChange[] {
  const { row } = change
  if (tables.row('task', change.key) === row) return []
  assertKey(change)
  if (!isActive(row.status)) return [change]
  const holder = tables.activeTask(row.job, row.instance)
  const isFree = holder === undefined || holder.taskId === row.taskId
  // The fields of a fault are made only for one.
  if (!isFree) assertSlots(tables, [change])
  return [change]
}

/** No configuration loses a user by it. */
function keepsConfig(tables: Tables, { key, row }: TaskPut): boolean {
  const before = tables.row('task', key)
  return before === undefined || before.configId === row.configId
}

/** Several changes of one row become one: the last. */
export function coalesce(changes: readonly RowChange[]): RowChange[] {
  if (changes.length < 2) return [...changes]
  const last = new Map<string, RowChange>()
  for (const change of changes) last.set(`${change.table} ${change.key}`, change)
  return last.size === changes.length ? [...changes] : [...last.values()]
}

/** Adds the deletes of configurations whose last task or job goes with this transaction. */
export function withConfigSweep(tables: Tables, changes: readonly RowChange[]): RowChange[] {
  const delta = new Map<ConfigId, number>()
  const add = (id: ConfigId | undefined, by: number): void => {
    if (id !== undefined) delta.set(id, (delta.get(id) ?? 0) + by)
  }
  for (const change of changes) {
    if (change.table !== 'task' && change.table !== 'job') continue
    const before = configOf(tables.row(change.table, change.key))
    const after = change.type === 'put' ? configOf(change.row) : undefined
    if (before === after) continue
    add(before, -1)
    add(after, 1)
  }
  const unused = new Set<ConfigId>()
  for (const [id, by] of delta) {
    if (by < 0 && tables.configUses(id) + by === 0) unused.add(id)
  }
  if (unused.size === 0) return [...changes]
  const kept = changes.filter(change => change.table !== 'config' || !unused.has(change.key as ConfigId))
  for (const id of unused) {
    if (tables.config(id) !== undefined) kept.push({ type: 'delete', table: 'config', key: id })
  }
  return kept
}

function changesSomething(tables: Tables, change: RowChange): boolean {
  const before = tables.row(change.table, change.key)
  if (change.type === 'delete') return before !== undefined
  if (before === undefined) return true
  if (change.table === 'config' || before === change.row) return false
  // A task's row counts its changes and an outcome is put once; the others are often said again as they are.
  return change.table === 'task' || change.table === 'request' || !sameValue(before, change.row)
}

/** Equal as plain data: the same fields with the same values. */
export function sameValue(a: unknown, b: unknown): boolean {
  if (a === b) return true
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false
  if (Array.isArray(a) !== Array.isArray(b)) return false
  const fields = Object.keys(a)
  if (fields.length !== Object.keys(b).length) return false
  return fields.every(field => Object.hasOwn(b, field) && sameValue((a as Plain)[field], (b as Plain)[field]))
}
type Plain = Readonly<Record<string, unknown>>

function configOf(row: Rows[TableName] | undefined): ConfigId | undefined {
  return (row as TaskRow | JobRow | undefined)?.configId
}

function assertKey(change: RowChange & { type: 'put' }): void {
  const key = keyOf(change)
  assert(change.key === key, 'a row is put under its own key', { table: change.table, key: change.key, own: key })
}

function keyOf(change: RowChange & { type: 'put' }): string {
  switch (change.table) {
    case 'task':
      return change.row.taskId
    case 'config':
      return change.row.configId
    case 'job':
      return jobKeyText(change.row.key)
    case 'agent':
      return change.row.agentId
    case 'request':
      return change.row.requestId
    case 'meta':
      return change.row.name
    case 'update':
      return updateKey(change.row.job, change.row.updateId)
    case 'updateEvent':
      return updateEventKey(change.row.update, change.row.number)
    case 'quota':
      return change.row.role
  }
}

/** Checked before anything is applied, so that a transaction that breaks the rule leaves no trace. */
function assertSlots(tables: Tables, changes: readonly RowChange[]): void {
  let taken: Set<string> | null = null
  let tasks: Map<string, TaskChange> | null = null
  for (const change of changes) {
    if (change.table !== 'task' || change.type !== 'put' || !isActive(change.row.status)) continue
    const { row } = change
    const slot = `${jobKeyText(row.job)}/${row.instance}`
    taken ??= new Set()
    assert(!taken.has(slot), 'a transaction makes at most one task of an instance active', { slot })
    taken.add(slot)
    const holder = tables.activeTask(row.job, row.instance)
    if (holder === undefined || holder.taskId === row.taskId) continue
    tasks ??= new Map(changes.filter(isTaskChange).map(other => [other.key, other]))
    const other = tasks.get(holder.taskId)
    const leaves =
      other !== undefined &&
      (other.type === 'delete' || !isActive(other.row.status) || other.row.instance !== row.instance)
    assert(leaves, 'an instance has at most one active task', { slot, holder: holder.taskId, task: row.taskId })
  }
}

type TaskPut = RowChange & { table: 'task'; type: 'put' }
const isTaskPut = (change: RowChange): change is TaskPut => change.table === 'task' && change.type === 'put'
type TaskChange = RowChange & { table: 'task' }
const isTaskChange = (change: RowChange): change is TaskChange => change.table === 'task'
