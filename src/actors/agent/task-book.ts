import { recordsText } from '../../core/agents/task-digest.ts'
import { isLive, type TaskRecord } from '../../core/executor/agent-book.ts'
import type { TaskReport } from '../../wire/messages/agent.ts'

const PAGE_TASKS = 500

/** The tasks this agent answers for, and the ids that may not come back. What is durable of it goes through the journal. */
export class TaskBook {
  readonly records = new Map<string, TaskRecord>()
  /** Killed or forgotten here within a day. */
  readonly tombstones = new Set<string>()

  get(taskId: string): TaskRecord | undefined {
    return this.records.get(taskId)
  }

  put(record: TaskRecord): void {
    this.records.set(record.taskId, record)
  }

  /** In the order of their launch. */
  live(): TaskRecord[] {
    return [...this.records.values()].filter(isLive)
  }

  /** What a heartbeat carries the hash of. */
  digest(): string {
    return recordsText(this.records.values())
  }

  reports(): TaskReport[] {
    return [...this.records.values()].map(record => ({
      taskId: record.taskId,
      state: record.state,
      lastSeq: record.lastSeq,
      ackedSeq: record.ackedSeq,
      digest: record.digest,
      killRequested: record.kill !== null,
    }))
  }
}

/** At least one page, the last of them marked: none at all would leave the leader waiting. */
export function* pagesOf(reports: readonly TaskReport[]): Generator<{ page: TaskReport[]; last: boolean }> {
  for (let from = 0; ; from += PAGE_TASKS) {
    const last = from + PAGE_TASKS >= reports.length
    yield { page: reports.slice(from, from + PAGE_TASKS), last }
    if (last) return
  }
}
