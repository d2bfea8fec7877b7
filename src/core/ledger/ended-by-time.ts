/**
 * Ids of ended tasks, the one that ended first in front. Tasks end in the order of time nearly always, so an entry is
 * put at the end and the list is sorted only when one was out of order; what is gone stays in the list until it is met
 * from the front, or until half of the list is gone.
 */
import { compareIds } from '../base/ids.ts'
import type { Instant } from '../base/time.ts'

interface Ending {
  readonly atMs: Instant
  readonly taskId: string
}

/** Below this, the entries that are gone are not worth a copy. */
const GONE_MIN = 1_000

export class EndedByTime {
  #entries: Ending[] = []
  /** Everything before it is gone. */
  #head = 0
  /** Entries of tasks that are gone, behind the head. */
  #gone = 0
  #isSorted = true
  /** Id to its end: what is not here, or at another moment, is gone. */
  readonly #endings = new Map<string, Instant>()

  get size(): number {
    return this.#endings.size
  }

  add(taskId: string, atMs: Instant): void {
    const last = this.#entries.at(-1)
    if (last !== undefined && last.atMs > atMs) this.#isSorted = false
    this.#entries.push({ atMs, taskId })
    this.#endings.set(taskId, atMs)
  }

  delete(taskId: string): void {
    if (!this.#endings.delete(taskId)) return
    this.#gone++
    if (this.#gone > GONE_MIN && this.#gone > this.#entries.length / 2) this.#compact()
  }

  clear(): void {
    this.#entries = []
    this.#head = 0
    this.#gone = 0
    this.#isSorted = true
    this.#endings.clear()
  }

  /** After many came in any order: so that the first reader need not wait for it. */
  sort(): void {
    if (!this.#isSorted) this.#compact()
  }

  /** Oldest first; the same moment by id. Nothing may be added or deleted before the reader has had enough. */
  *ids(): Generator<string> {
    this.sort()
    let at = this.#head
    for (; at < this.#entries.length; at++) {
      const { taskId, atMs } = this.#entries[at]!
      if (this.#endings.get(taskId) === atMs) yield taskId
      else if (at === this.#head) {
        this.#head++
        this.#gone--
      }
    }
  }

  #compact(): void {
    this.#entries = this.#entries.slice(this.#head).filter(entry => this.#endings.get(entry.taskId) === entry.atMs)
    if (!this.#isSorted) this.#entries.sort((a, b) => a.atMs - b.atMs || compareIds(a.taskId, b.taskId))
    this.#head = 0
    this.#gone = 0
    this.#isSorted = true
  }
}
