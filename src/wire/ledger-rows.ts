/**
 * A row as bytes and back. Each kind of row has one fixed order of fields, written as a msgpack array without names:
 * small, quick, and the same row always gives the same bytes. `v` comes first; a row of a version that this release
 * does not know is refused, never guessed at. Values without a fixed form (a task configuration, the outcome of a
 * request) are plain msgpack maps inside.
 *
 * Fields are only ever added at the end of a list; the check below each list keeps it equal to the type of the row.
 */
import { Packr } from 'msgpackr'
import type { JobKey } from '../core/base/ids.ts'
import type {
  AgentRow,
  ConfigRow,
  JobRow,
  MetaRow,
  PlacementRecord,
  QuotaRow,
  RequestRow,
  Rows,
  TableName,
  TaskEvent,
  TaskRow,
  UpdateEventRow,
  UpdateRow,
} from '../core/ledger/rows.ts'
import { TABLE_NUMBERS } from '../core/ledger/rows.ts'
import type { RowChange } from '../core/ledger/transaction.ts'
import { TASK_STATUSES, type TaskStatus } from '../core/task/status.ts'
import { TaskRowReader } from './task-row-reader.ts'

/** Thrown for bytes that are no row of a known form. For a stored row that is a reason to stop the node. */
export class BadRow extends Error {
  override readonly name = 'BadRow'
}

const packr = new Packr({ useRecords: false, variableMapSize: true, int64AsType: 'number' })

/** Valid only until copied by the caller into a payload: the buffer may be part of a larger pool. */
export function encodeRow<T extends TableName>(table: T, row: Rows[T]): Uint8Array {
  return packr.pack(toFields(table, row))
}

/** Reads a row. Job keys and repeated texts are shared between the rows that one reader has read. */
export class RowReader {
  readonly #texts = new Map<string, string>()
  readonly #jobKeys = new Map<string, JobKey>()
  readonly #tasks = new TaskRowReader()

  /** Throws BadRow. */
  read(table: number, key: string, bytes: Uint8Array): RowChange {
    const name = TABLES_BY_NUMBER.get(table)
    if (name === undefined) throw new BadRow(`table ${table} is not known to this release (key ${key})`)
    if (name === 'task') {
      const row = this.#tasks.read(key, bytes)
      if (row !== null) return { type: 'put', table: name, key, row }
    }
    try {
      const fields: unknown = packr.unpack(bytes)
      if (!Array.isArray(fields)) throw new BadRow('not a list of fields')
      if (fields[0] !== 1) throw new BadRow(`form ${String(fields[0])} is not known to this release`)
      const fieldsMin = FIELDS_MIN[name]
      if (fields.length < fieldsMin) throw new BadRow(`${fields.length} of at least ${fieldsMin} fields`)
      const row = this.#fromFields(name, fields)
      return { type: 'put', table: name, key: isReferredTo(name) ? this.#text(key) : key, row } as RowChange
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause)
      throw new BadRow(`the ${name} row ${key} cannot be read: ${why}`, { cause })
    }
  }

  #fromFields(table: TableName, f: readonly unknown[]): Rows[TableName] {
    switch (table) {
      case 'task':
        return this.#task(f)
      case 'job':
        return named<JobRow>(JOB_FIELDS, f)
      case 'config':
        return named<ConfigRow>(CONFIG_FIELDS, f)
      case 'agent':
        return named<AgentRow>(AGENT_FIELDS, f)
      case 'request':
        return named<RequestRow>(REQUEST_FIELDS, f)
      case 'meta':
        return named<MetaRow>(META_FIELDS, f)
      case 'update':
        return named<UpdateRow>(UPDATE_FIELDS, f)
      case 'updateEvent':
        return named<UpdateEventRow>(UPDATE_EVENT_FIELDS, f)
      case 'quota':
        return named<QuotaRow>(QUOTA_FIELDS, f)
    }
  }

  // By hand and not by field list: there may be a million of these, and objects made this way are the smallest.
  #task(f: readonly unknown[]): TaskRow {
    const status = statusOf(f[7])
    const row: Writable<TaskRow> = {
      v: 1,
      taskId: f[1] as TaskRow['taskId'],
      job: this.#jobKey(f[2] as string, f[3] as string, f[4] as string),
      instance: f[5] as number,
      configId: this.#text(f[6]) as TaskRow['configId'],
      status,
      version: f[8] as number,
      ports: f[9] as TaskRow['ports'],
      failureCount: f[10] as number,
      timesPartitioned: f[11] as number,
      agentSeq: f[12] as number,
      events: (f[13] as unknown[][]).map(event => this.#event(event)),
    }
    if (present(f[14])) row.agentId = this.#text(f[14]) as NonNullable<TaskRow['agentId']>
    if (present(f[15])) row.host = this.#text(f[15])
    if (present(f[16])) row.ancestorId = f[16] as NonNullable<TaskRow['ancestorId']>
    if (present(f[17])) row.readyAtMs = f[17] as number
    if (present(f[18])) row.flapCount = f[18] as number
    if (present(f[19])) row.freshEvents = f[19] as number
    if (present(f[20])) row.placement = this.#placement(f[20] as readonly unknown[])
    return row
  }

  #event(f: readonly unknown[]): TaskEvent {
    const event: Writable<TaskEvent> = { atMs: f[0] as number, status: statusOf(f[1]), scheduler: this.#text(f[2]) }
    if (present(f[3])) event.message = this.#text(f[3])
    if (present(f[4])) event.who = this.#text(f[4])
    if (present(f[5])) event.why = this.#text(f[5])
    return event
  }

  #placement(f: readonly unknown[]): PlacementRecord {
    const candidates = (f[5] as readonly unknown[][]).map(([host, score, terms]) => ({
      host: this.#text(host),
      ...(present(score) ? { score: score as number } : {}),
      ...(present(terms) ? { terms: terms as Readonly<Record<string, number>> } : {}),
    }))
    return {
      seed: f[0] as number,
      policy: this.#text(f[1]),
      tasks: f[2] as number,
      hosts: f[3] as number,
      looked: f[4] as number,
      candidates,
      ...(present(f[6]) ? { claim: f[6] as NonNullable<PlacementRecord['claim']> } : {}),
    }
  }

  #text(value: unknown): string {
    const text = value as string
    const known = this.#texts.get(text)
    if (known !== undefined) return known
    if (this.#texts.size >= TEXTS_SHARED_MAX) this.#texts.clear()
    this.#texts.set(text, text)
    return text
  }

  #jobKey(role: string, environment: string, name: string): JobKey {
    const text = `${role}/${environment}/${name}`
    const known = this.#jobKeys.get(text)
    if (known !== undefined) return known
    if (this.#jobKeys.size >= TEXTS_SHARED_MAX) this.#jobKeys.clear()
    const key = { role: this.#text(role), environment: this.#text(environment), name }
    this.#jobKeys.set(text, key)
    return key
  }
}

export function changeBytes(change: RowChange): { table: number; key: string; bytes: Uint8Array | null } {
  const bytes = change.type === 'put' ? encodeRow(change.table, change.row) : null
  return { table: TABLE_NUMBERS[change.table], key: change.key, bytes }
}

// ---- Details ----------------------------------------------------------------------------------------------------

const TEXTS_SHARED_MAX = 100_000
/** Tasks have these keys in their rows: if both are one text, to look one up is to compare two references. */
const isReferredTo = (table: TableName): boolean => table === 'config' || table === 'agent'
type Writable<T> = { -readonly [K in keyof T]: T[K] }

const TABLES_BY_NUMBER = new Map<number, TableName>(
  Object.entries(TABLE_NUMBERS).map(([name, number]) => [number, name as TableName]),
)
const STATUS_BY_NUMBER = new Map<number, TaskStatus>(
  Object.entries(TASK_STATUSES).map(([name, number]) => [number, name as TaskStatus]),
)

const JOB_FIELDS = ['v', 'key', 'configId', 'instanceCount', 'createdAtMs', 'createdBy', 'cron'] as const
const CONFIG_FIELDS = ['v', 'configId', 'config'] as const
const AGENT_FIELDS = [
  'v',
  'agentId',
  'host',
  'attributes',
  'total',
  'portRanges',
  'mode',
  'agentVersion',
  'logUrl',
  'firstSeenMs',
  'awaySinceMs',
  'place',
  'revocable',
  'unavailability',
  'manager',
  'workDir',
] as const
const REQUEST_FIELDS = ['v', 'requestId', 'fingerprint', 'outcome', 'atMs'] as const
const META_FIELDS = ['v', 'name', 'value'] as const
const UPDATE_FIELDS = ['v', 'updateId', 'job', 'user', 'initial', 'settings', 'desired', 'message'] as const
const UPDATE_EVENT_FIELDS = ['v', 'update', 'number', 'atMs', 'status', 'instance', 'user', 'message'] as const
const QUOTA_FIELDS = ['v', 'role', 'quota'] as const
/** The order of `taskFields` below, for the check; the job key takes three places there. */
const TASK_FIELDS = [
  'v',
  'taskId',
  'job',
  'instance',
  'configId',
  'status',
  'version',
  'ports',
  'failureCount',
  'timesPartitioned',
  'agentSeq',
  'events',
  'agentId',
  'host',
  'ancestorId',
  'readyAtMs',
  'flapCount',
  'freshEvents',
  'placement',
] as const
const EVENT_FIELDS = ['atMs', 'status', 'scheduler', 'message', 'who', 'why'] as const

const FIELDS_BEFORE_0_2 = 18
const EVENT_FIELDS_BEFORE_0_2 = 4

/** Fields that every row of form 1 has; what was added later may be missing and reads as absent. */
const FIELDS_MIN: Readonly<Record<TableName, number>> = {
  task: 14,
  job: 6,
  config: 3,
  agent: 10,
  request: 5,
  meta: 3,
  update: 8,
  updateEvent: 8,
  quota: 3,
}

// Does not compile when a row has a field that its list lacks: such a field would be lost at a restart.
type Missing<Row, Fields extends readonly unknown[]> = Exclude<keyof Row, Fields[number]>
const complete: [
  Missing<TaskRow, typeof TASK_FIELDS>,
  Missing<TaskEvent, typeof EVENT_FIELDS>,
  Missing<JobRow, typeof JOB_FIELDS>,
  Missing<ConfigRow, typeof CONFIG_FIELDS>,
  Missing<AgentRow, typeof AGENT_FIELDS>,
  Missing<RequestRow, typeof REQUEST_FIELDS>,
  Missing<MetaRow, typeof META_FIELDS>,
  Missing<UpdateRow, typeof UPDATE_FIELDS>,
  Missing<UpdateEventRow, typeof UPDATE_EVENT_FIELDS>,
  Missing<QuotaRow, typeof QUOTA_FIELDS>,
] extends never[]
  ? true
  : never = true
void complete

function toFields(table: TableName, row: Rows[TableName]): readonly unknown[] {
  switch (table) {
    case 'task':
      return taskFields(row as TaskRow)
    case 'job':
      return withoutAbsentEnd(unnamed(JOB_FIELDS, row as JobRow), FIELDS_MIN.job)
    case 'config':
      return unnamed(CONFIG_FIELDS, row as ConfigRow)
    case 'agent':
      return withoutAbsentEnd(unnamed(AGENT_FIELDS, row as AgentRow), FIELDS_MIN.agent)
    case 'request':
      return unnamed(REQUEST_FIELDS, row as RequestRow)
    case 'meta':
      return unnamed(META_FIELDS, row as MetaRow)
    case 'update':
      return unnamed(UPDATE_FIELDS, row as UpdateRow)
    case 'updateEvent':
      return unnamed(UPDATE_EVENT_FIELDS, row as UpdateEventRow)
    case 'quota':
      return unnamed(QUOTA_FIELDS, row as QuotaRow)
  }
}

function taskFields(row: TaskRow): readonly unknown[] {
  const { role, environment, name } = row.job
  const fields = [
    row.v,
    row.taskId,
    role,
    environment,
    name,
    row.instance,
    row.configId,
    TASK_STATUSES[row.status],
    row.version,
    row.ports,
    row.failureCount,
    row.timesPartitioned,
    row.agentSeq,
    row.events.map(eventFields),
    row.agentId ?? null,
    row.host ?? null,
    row.ancestorId ?? null,
    row.readyAtMs ?? null,
    row.flapCount ?? null,
    row.freshEvents ?? null,
    row.placement === undefined ? null : placementFields(row.placement),
  ]
  return withoutAbsentEnd(fields, FIELDS_BEFORE_0_2)
}

function eventFields(event: TaskEvent): readonly unknown[] {
  const { atMs, status, scheduler, message = null, who = null, why = null } = event
  return withoutAbsentEnd([atMs, TASK_STATUSES[status], scheduler, message, who, why], EVENT_FIELDS_BEFORE_0_2)
}

/** By place and not by name: every task has one, and it is written again with each of its transitions. */
function placementFields({ seed, policy, tasks, hosts, looked, candidates, claim }: PlacementRecord): unknown[] {
  const scored = candidates.map(({ host, score, terms }) =>
    score === undefined ? [host] : [host, score, ...(terms === undefined ? [] : [terms])],
  )
  return [seed, policy, tasks, hosts, looked, scored, ...(claim === undefined ? [] : [claim])]
}

/** What was added later costs nothing where it is absent, and the bytes are those of earlier releases. */
function withoutAbsentEnd(fields: unknown[], countMin: number): unknown[] {
  while (fields.length > countMin && fields.at(-1) === null) fields.pop()
  return fields
}

function unnamed<R extends object>(fields: readonly (keyof R)[], row: R): unknown[] {
  return fields.map(field => row[field] ?? null)
}

/** A null field is an absent one: no row has both. `outcome` and `value` may be null themselves and stay. */
function named<R extends object>(fields: readonly string[], values: readonly unknown[]): R {
  const row: Record<string, unknown> = {}
  fields.forEach((field, index) => {
    const value = values[index]
    if (present(value) || field === 'outcome' || field === 'value') row[field] = value
  })
  return row as R
}

function statusOf(value: unknown): TaskStatus {
  const status = STATUS_BY_NUMBER.get(value as number)
  if (status === undefined) throw new BadRow(`task status ${String(value)} is not known to this release`)
  return status
}

const present = (value: unknown): boolean => value !== null && value !== undefined
