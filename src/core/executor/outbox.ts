import type { Instant } from '../base/time.ts'
import type { RecordState } from './agent-book.ts'

/**
 * Statuses on their way to the leader: at most one in flight per task, so that their order holds, and none forgotten
 * before it was acknowledged. Who keeps this stores an entry durably before it is put in here.
 * Source: the agent spec, section 18.
 */
export interface OutboxEntry {
  readonly taskId: string
  readonly seq: number
  readonly state: Exclude<RecordState, 'ACCEPTED' | 'KILLING'>
  readonly source: 'agent' | 'executor'
  readonly reason: string | null
  readonly message: string | null
  readonly atMs: Instant
}

interface Queue {
  /** Oldest first. */
  readonly entries: OutboxEntry[]
  /** Monotonic, ms; null: the first entry is not in flight. */
  sentMonoMs: number | null
  sends: number
}

export const IN_FLIGHT_TASKS_MAX = 64
export const RESEND_MS_MIN = 5_000
export const RESEND_MS_MAX = 60_000

export class Outbox {
  private readonly queues = new Map<string, Queue>()
  private inFlight = 0
  private waiting = 0
  /** Tasks whose first entry may be sent at once. */
  private readonly ready = new Set<string>()

  get size(): number {
    return this.waiting
  }

  get anyInFlight(): boolean {
    return this.inFlight > 0
  }

  put(entry: OutboxEntry): void {
    let queue = this.queues.get(entry.taskId)
    if (queue === undefined) {
      queue = { entries: [], sentMonoMs: null, sends: 0 }
      this.queues.set(entry.taskId, queue)
    }
    if ((queue.entries.at(-1)?.seq ?? 0) >= entry.seq) return // told again while it still waits
    queue.entries.push(entry)
    this.waiting += 1
    if (queue.sentMonoMs === null) this.ready.add(entry.taskId)
  }

  /** What to send now; each is in flight from here on. */
  take(nowMonoMs: number): OutboxEntry[] {
    const taken: OutboxEntry[] = []
    for (const taskId of this.ready) {
      if (this.inFlight >= IN_FLIGHT_TASKS_MAX) break
      this.ready.delete(taskId)
      const queue = this.queues.get(taskId)
      const first = queue?.entries[0]
      if (queue === undefined || first === undefined) continue
      queue.sentMonoMs = nowMonoMs
      queue.sends += 1
      this.inFlight += 1
      taken.push(first)
    }
    return taken
  }

  /** Those whose acknowledgement is overdue are ready again. */
  expire(nowMonoMs: number): void {
    for (const [taskId, queue] of this.queues) {
      if (queue.sentMonoMs === null) continue
      const patienceMs = Math.min(RESEND_MS_MIN * 2 ** (queue.sends - 1), RESEND_MS_MAX)
      if (nowMonoMs - queue.sentMonoMs >= patienceMs) this.recall(taskId, queue)
    }
  }

  /** The connection is gone: everything is to be sent again, at once, on the next one. */
  recallAll(): void {
    for (const [taskId, queue] of this.queues) {
      queue.sends = 0
      if (queue.sentMonoMs !== null) this.recall(taskId, queue)
    }
  }

  /** Everything up to `seq` was taken over by the leader. Answers what may be deleted. */
  acknowledge(taskId: string, seq: number): OutboxEntry[] {
    const queue = this.queues.get(taskId)
    if (queue === undefined) return []
    const done = queue.entries.filter(entry => entry.seq <= seq)
    if (done.length === 0) return []
    queue.entries.splice(0, done.length)
    this.waiting -= done.length
    if (queue.sentMonoMs !== null) this.inFlight -= 1
    queue.sentMonoMs = null
    queue.sends = 0
    if (queue.entries.length === 0) {
      this.queues.delete(taskId)
      this.ready.delete(taskId)
    } else this.ready.add(taskId)
    return done
  }

  /** The leader wants to hear no more of the task. */
  drop(taskId: string): OutboxEntry[] {
    return this.acknowledge(taskId, Number.POSITIVE_INFINITY)
  }

  private recall(taskId: string, queue: Queue): void {
    queue.sentMonoMs = null
    this.inFlight -= 1
    this.ready.add(taskId)
  }
}
