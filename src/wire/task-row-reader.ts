/**
 * A task row from its bytes, read by hand: a node reads each version of each task that another one writes, and the
 * general reader takes twice as long and makes every text anew. Texts that many rows share (hosts, roles, whoever did
 * something) are made once and found again by their bytes. Whatever is rare (a text beyond ASCII, a score made of terms)
 * or not as it is written today, damage too, is left to the general reader, by answering null.
 */
import type { JobKey, TaskId } from '../core/base/ids.ts'
import type { PlacementCandidate, PlacementRecord, TaskEvent, TaskRow } from '../core/ledger/rows.ts'
import { TASK_STATUSES, type TaskStatus } from '../core/task/status.ts'

/** Powers of two. A text or key that falls on the place of another one takes it over. */
const TEXTS_SHARED = 8_192
const JOBS_SHARED = 2_048
const FIELDS_MIN = 14
const FIELDS_MAX = 21
const NIL = 0xc0

type Writable<T> = { -readonly [K in keyof T]: T[K] }

const NOTHING = new Uint8Array(0)
/** Thrown and caught here only: made once, so that it costs nothing. */
const ODD = new Error('not as it is written here')
const STATUSES: (TaskStatus | undefined)[] = []
for (const [name, number] of Object.entries(TASK_STATUSES)) STATUSES[number] = name as TaskStatus

export class TaskRowReader {
  readonly #texts: (string | undefined)[] = new Array(TEXTS_SHARED)
  readonly #jobs: (JobKey | undefined)[] = new Array(JOBS_SHARED)
  #bytes: Uint8Array = NOTHING
  #at = 0

  /** `key`: the key of the row, which is the id of its task. Null: the general reader must do it. */
  read(key: string, bytes: Uint8Array): TaskRow | null {
    this.#bytes = bytes
    this.#at = 0
    try {
      const row = this.#row(key)
      return this.#at === bytes.length ? row : null
    } catch (cause) {
      if (cause === ODD) return null
      throw cause
    } finally {
      // A payload is not kept for the sake of its last row.
      this.#bytes = NOTHING
    }
  }

  #row(key: string): TaskRow {
    const count = this.#array()
    if (count < FIELDS_MIN || count > FIELDS_MAX || this.#int() !== 1) throw ODD
    const taskId = this.#textLike(key) as TaskId
    const row: Writable<TaskRow> = {
      v: 1,
      taskId,
      job: this.#job(),
      instance: this.#int(),
      configId: this.#shared() as TaskRow['configId'],
      status: this.#status(),
      version: this.#int(),
      ports: this.#ports(),
      failureCount: this.#int(),
      timesPartitioned: this.#int(),
      agentSeq: this.#int(),
      events: this.#events(),
    }
    if (count > 14 && this.#isPresent()) row.agentId = this.#shared() as NonNullable<TaskRow['agentId']>
    if (count > 15 && this.#isPresent()) row.host = this.#shared()
    if (count > 16 && this.#isPresent()) row.ancestorId = this.#own() as TaskId
    if (count > 17 && this.#isPresent()) row.readyAtMs = this.#int()
    if (count > 18 && this.#isPresent()) row.flapCount = this.#int()
    if (count > 19 && this.#isPresent()) row.freshEvents = this.#int()
    if (count > 20 && this.#isPresent()) row.placement = this.#placement()
    return row
  }

  #events(): TaskEvent[] {
    const events: TaskEvent[] = []
    for (let left = this.#array(); left > 0; left--) events.push(this.#event())
    return events
  }

  #event(): TaskEvent {
    const count = this.#array()
    if (count < 3 || count > 6) throw ODD
    const event: Writable<TaskEvent> = { atMs: this.#int(), status: this.#status(), scheduler: this.#shared() }
    if (count > 3 && this.#isPresent()) event.message = this.#shared()
    if (count > 4 && this.#isPresent()) event.who = this.#shared()
    if (count > 5 && this.#isPresent()) event.why = this.#shared()
    return event
  }

  #placement(): PlacementRecord {
    const count = this.#array()
    if (count < 6 || count > 7) throw ODD
    const record: Writable<PlacementRecord> = {
      seed: this.#int(),
      policy: this.#shared(),
      tasks: this.#int(),
      hosts: this.#int(),
      looked: this.#int(),
      candidates: this.#candidates(),
    }
    if (count > 6 && this.#isPresent()) record.claim = this.#shared() as NonNullable<PlacementRecord['claim']>
    return record
  }

  #candidates(): PlacementCandidate[] {
    const candidates: PlacementCandidate[] = []
    for (let left = this.#array(); left > 0; left--) {
      const count = this.#array()
      if (count < 1 || count > 2) throw ODD
      const host = this.#shared()
      candidates.push(count === 1 ? { host } : { host, score: this.#int() })
    }
    return candidates
  }

  #ports(): TaskRow['ports'] {
    const head = this.#byte()
    if (head < 0x80 || head > 0x8f) throw ODD
    const ports: Record<string, number> = {}
    for (let left = head & 0x0f; left > 0; left--) {
      const name = this.#shared()
      if (name === '__proto__') throw ODD
      ports[name] = this.#int()
    }
    return ports
  }

  #job(): JobKey {
    const role = this.#shared()
    const environment = this.#shared()
    const begin = this.#at
    const name = this.#shared()
    const place = (hashOf(this.#bytes, begin, this.#at) + 31 * role.length + environment.length) & (JOBS_SHARED - 1)
    const known = this.#jobs[place]
    if (known !== undefined && known.role === role && known.environment === environment && known.name === name)
      return known
    const key: JobKey = { role, environment, name }
    this.#jobs[place] = key
    return key
  }

  // ---- Details ----------------------------------------------------------------------------------------------------

  /** Takes a nil away; anything else stays to be read. */
  #isPresent(): boolean {
    if (this.#bytes[this.#at] !== NIL) return true
    this.#at++
    return false
  }

  /** Beyond the end it is nothing that anything begins with. */
  #byte(): number {
    const byte = this.#bytes[this.#at++]
    if (byte === undefined) throw ODD
    return byte
  }

  #array(): number {
    const head = this.#byte()
    if (head >= 0x90 && head <= 0x9f) return head & 0x0f
    if (head !== 0xdc) throw ODD
    return (this.#byte() << 8) | this.#byte()
  }

  #status(): TaskStatus {
    const status = STATUSES[this.#int()]
    if (status === undefined) throw ODD
    return status
  }

  #int(): number {
    const head = this.#byte()
    if (head < 0x80) return head
    if (head === 0xcc) return this.#byte()
    if (head === 0xcd) return (this.#byte() << 8) | this.#byte()
    if (head === 0xce) return this.#uint32()
    if (head !== 0xcb) throw ODD
    scratch.setUint32(0, this.#uint32())
    scratch.setUint32(4, this.#uint32())
    return scratch.getFloat64(0)
  }

  #uint32(): number {
    return ((this.#byte() << 24) | (this.#byte() << 16) | (this.#byte() << 8) | this.#byte()) >>> 0
  }

  /** The bytes of a text begin where we are then; answers how many. */
  #length(): number {
    const head = this.#byte()
    let length = -1
    if (head >= 0xa0 && head <= 0xbf) length = head & 0x1f
    else if (head === 0xd9) length = this.#byte()
    else if (head === 0xda) length = (this.#byte() << 8) | this.#byte()
    if (length < 0 || this.#at + length > this.#bytes.length) throw ODD
    return length
  }

  /** `like`, if it is that text: one string less to keep. */
  #textLike(like: string): string {
    const length = this.#length()
    const begin = this.#at
    this.#at += length
    return isSame(this.#bytes, begin, length, like) ? like : this.#fresh(begin, length)
  }

  #own(): string {
    const length = this.#length()
    const begin = this.#at
    this.#at += length
    return this.#fresh(begin, length)
  }

  #shared(): string {
    const length = this.#length()
    const begin = this.#at
    this.#at += length
    const place = hashOf(this.#bytes, begin, this.#at) & (TEXTS_SHARED - 1)
    const known = this.#texts[place]
    if (known !== undefined && isSame(this.#bytes, begin, length, known)) return known
    const text = this.#fresh(begin, length)
    this.#texts[place] = text
    return text
  }

  #fresh(begin: number, length: number): string {
    for (let at = begin; at < begin + length; at++) if ((this.#bytes[at] as number) > 0x7f) throw ODD
    return latin1Slice.call(this.#bytes, begin, begin + length)
  }
}

const scratch = new DataView(new ArrayBuffer(8))
const { latin1Slice } = Buffer.prototype as unknown as {
  latin1Slice(this: Uint8Array, begin: number, end: number): string
}

/** Of what differs most between names of one kind: their length, their beginning and their last letters. */
function hashOf(bytes: Uint8Array, begin: number, end: number): number {
  let hash = end - begin
  if (end > begin) hash = hash * 31 + (bytes[begin] as number)
  for (let at = Math.max(begin, end - 8); at < end; at++) hash = (Math.imul(hash, 31) + (bytes[at] as number)) | 0
  return (hash ^ (hash >>> 15)) >>> 0
}

/** Texts beyond ASCII are never kept, so a letter is a byte. */
function isSame(bytes: Uint8Array, begin: number, length: number, text: string): boolean {
  if (text.length !== length) return false
  for (let index = 0; index < length; index++) if (bytes[begin + index] !== text.charCodeAt(index)) return false
  return true
}
