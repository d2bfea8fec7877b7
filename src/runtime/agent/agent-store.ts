/**
 * The agent's memory on disk: one LMDB environment under `meta/db`. A write settles only after the flush that covers it
 * (`overlappingSync` off), in the order of the calls. Every value carries a checksum; one that is damaged is put aside
 * and the rest is used, because one bad record must not cost a machine its tasks.
 */
import { crc32 } from 'node:zlib'
import { open, type RootDatabase } from 'lmdb'
import type { AgentStore, StoreChange, StoredAgent } from '../../actors/agent-ports.ts'
import { type AgentIdentity, NO_IDENTITY, type TaskRecord } from '../../core/executor/agent-book.ts'
import type { OutboxEntry } from '../../core/executor/outbox.ts'
import type { RunState } from '../../core/executor/run-state.ts'
import { beginOpening } from '../lmdb-opening.ts'
import { storeTrouble } from '../log/lmdb-trouble.ts'
import { PlaceError } from './folders.ts'

const MAP_BYTES_MAX = 1024 * 1024 * 1024
const IDENTITY = 'identity'
const TABLES = { record: 'task/', checkpoint: 'run/', status: 'status/', tombstone: 'tombstone/' } as const

export interface LmdbAgentStore extends AgentStore {
  close(): Promise<void>
}

/** Rejects with PlaceError when it is damaged, or cannot be had for another reason. */
export async function openAgentStore(folder: string): Promise<LmdbAgentStore> {
  const opening = await beginOpening(folder, [])
  if (opening.damage !== null) throw unusable(folder, opening.damage)
  let db: RootDatabase<string, string>
  /** What was found at the opening; only the first actor begins with it, one that was restarted reads again. */
  let found: StoredAgent | null
  try {
    db = open<string, string>({
      path: folder,
      encoding: 'string',
      overlappingSync: false,
      mapSize: MAP_BYTES_MAX,
    })
    found = load(db)
  } catch (cause) {
    throw unusable(folder, (cause as Error).message, cause)
  } finally {
    opening.passed()
  }
  return {
    load: () => {
      const stored = found ?? load(db)
      found = null
      return stored
    },
    async write(change) {
      try {
        await db.batch(() => apply(db, change))
        await db.committed
      } catch (cause) {
        const { message } = await storeTrouble(cause, folder, `a write of the agent's store ${folder}`)
        throw new PlaceError(message, { cause })
      }
    },
    close: () => db.close(),
  }
}

function unusable(folder: string, reason: string, cause?: unknown): PlaceError {
  const remedy = 'if it is damaged, move the agent.workDir away: the agent then registers as a new one'
  return new PlaceError(`the agent's store ${folder} cannot be opened: ${reason}; ${remedy}`, { cause })
}

function load(db: RootDatabase<string, string>): StoredAgent {
  const quarantined: string[] = []
  const damaged: [string, string][] = []
  const values = <T>(prefix: string): [string, T][] => {
    const found: [string, T][] = []
    for (const { key, value } of db.getRange({ start: prefix, end: `${prefix}\uffff` })) {
      const read = decode(value)
      if (read.ok) found.push([key.slice(prefix.length), read.value as T])
      else damaged.push([key, value])
    }
    return found
  }
  const identity = values<AgentIdentity>(IDENTITY)[0]?.[1] ?? NO_IDENTITY
  const stored = {
    identity,
    records: values<TaskRecord>(TABLES.record).map(([, record]) => record),
    checkpoints: new Map(values<RunState>(TABLES.checkpoint)),
    statuses: values<OutboxEntry>(TABLES.status).map(([, entry]) => entry),
    tombstones: new Map(values<number>(TABLES.tombstone)),
  }
  for (const [key, value] of damaged) {
    quarantined.push(key)
    void db.put(`quarantine/${key}`, value)
    void db.remove(key)
  }
  return { ...stored, quarantined }
}

function apply(db: RootDatabase<string, string>, change: StoreChange): void {
  if (change.identity !== undefined) void db.put(IDENTITY, encode(change.identity))
  for (const record of change.records ?? []) void db.put(TABLES.record + record.taskId, encode(record))
  for (const entry of change.statuses ?? []) void db.put(statusKey(entry.taskId, entry.seq), encode(entry))
  for (const { taskId, seq } of change.dropStatuses ?? []) void db.remove(statusKey(taskId, seq))
  for (const { taskId, atMs } of change.tombstones ?? []) void db.put(TABLES.tombstone + taskId, encode(atMs))
  for (const taskId of change.dropTombstones ?? []) void db.remove(TABLES.tombstone + taskId)
  if (change.checkpoint !== undefined) {
    const { taskId, state } = change.checkpoint
    void db.put(TABLES.checkpoint + taskId, encode(state))
  }
  for (const taskId of change.dropTasks ?? []) {
    void db.remove(TABLES.record + taskId)
    void db.remove(TABLES.checkpoint + taskId)
    for (const key of db.getKeys({ start: `${TABLES.status}${taskId}/`, end: `${TABLES.status}${taskId}/\uffff` })) {
      void db.remove(key)
    }
  }
}

/** Sequence numbers in fixed width, so that the order of keys is theirs. */
function statusKey(taskId: string, seq: number): string {
  return `${TABLES.status}${taskId}/${String(seq).padStart(12, '0')}`
}

function encode(value: unknown): string {
  const text = JSON.stringify(value)
  return `${crc32(text).toString(16).padStart(8, '0')} ${text}`
}

function decode(stored: string): { ok: true; value: unknown } | { ok: false } {
  const text = stored.slice(9)
  if (stored[8] !== ' ' || crc32(text).toString(16).padStart(8, '0') !== stored.slice(0, 8)) return { ok: false }
  try {
    return { ok: true, value: JSON.parse(text) }
  } catch {
    return { ok: false }
  }
}
