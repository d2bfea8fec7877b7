/**
 * How many tasks of one job may be run again a second after having ended too soon, so that the crash loop of a job of
 * thousands leaves the scheduler to the others. A run is about five transitions, and what does not run changes nothing:
 * whoever bounds the runs bounds the transitions, and no report of an agent ever has to wait.
 *
 * Every such run takes the next place in its job's line; places are evenly spaced in time, but for a first burst. One
 * number per job, so nothing is polled. Launches, kills, restarts and drains take no place. A new leader finds the line as
 * it was from the replacements in the rows, so a change of leader brings no second burst.
 */
import type { Instant } from '../base/time.ts'
import type { TaskRow } from '../ledger/rows.ts'

export interface RestartBudgetSettings {
  readonly restartsPerSecond: number
}
export const RESTART_BUDGET_SETTINGS: RestartBudgetSettings = { restartsPerSecond: 100 }

export interface HeldBack {
  /** How long the run has to wait for its place, ms; 0: not at all. */
  readonly waitMs: number
  /** The first of the job's to wait since it was last told, a minute ago or longer. */
  readonly isNews: boolean
}

interface Line {
  /** The place after the last one taken, monotonic ms. */
  endMs: number
  toldMs: number
}

/** Restarts up to this many seconds' worth wait for nothing, if the job has been quiet. */
const BURST_SECONDS = 10
const TELL_EVERY_MS = 60_000
const LINES_MAX = 10_000

export class RestartBudget {
  readonly #spacingMs: number
  readonly #lines = new Map<string, Line>()

  constructor({ restartsPerSecond }: RestartBudgetSettings) {
    this.#spacingMs = 1000 / restartsPerSecond
  }

  get size(): number {
    return this.#lines.size
  }

  /**
   * Takes the next place in the job's line. `nowMs`: monotonic. `takenMsAgo`: how long ago each place of the job was taken,
   * in any order; asked only when this budget does not know the job yet.
   */
  take(job: string, nowMs: number, takenMsAgo: () => readonly number[]): HeldBack {
    const line = this.#lineOf(job, nowMs, takenMsAgo)
    // Who is within the burst goes now: the line may run that far ahead of the clock.
    line.endMs = this.#endAfter(line.endMs, nowMs)
    const waitMs = Math.max(0, Math.ceil(line.endMs - nowMs - BURST_SECONDS * 1000))
    const isNews = waitMs > 0 && nowMs - line.toldMs >= TELL_EVERY_MS
    if (isNews) line.toldMs = nowMs
    return { waitMs, isNews }
  }

  /** The end of a line that ended at `endMs`, when a place more is taken. */
  #endAfter(endMs: number, takenAtMs: number): number {
    return Math.max(endMs, takenAtMs) + this.#spacingMs
  }

  #lineOf(job: string, nowMs: number, takenMsAgo: () => readonly number[]): Line {
    const known = this.#lines.get(job)
    if (known !== undefined) return known
    if (this.#lines.size >= LINES_MAX) this.#forgetQuiet(nowMs)
    // Clocks of two leaders differ: nothing was taken in the future.
    const takenAtMs = takenMsAgo().map(agoMs => nowMs - Math.max(0, agoMs))
    const endMs = takenAtMs
      .sort((a, b) => a - b)
      .reduce((end, atMs) => this.#endAfter(end, atMs), Number.NEGATIVE_INFINITY)
    const line = { endMs, toldMs: Number.NEGATIVE_INFINITY }
    this.#lines.set(job, line)
    return line
  }

  /** A line without anybody in it is like a new one. */
  #forgetQuiet(nowMs: number): void {
    for (const [job, { endMs }] of this.#lines) if (endMs <= nowMs) this.#lines.delete(job)
  }
}

/** How long ago places in the job's line were taken, as its tasks tell: one for each replacement of one that flapped. */
export function placesTakenMsAgo(tasksOfJob: readonly TaskRow[], nowWallMs: Instant): readonly number[] {
  return tasksOfJob.flatMap(({ flapCount = 0, events: [born] }) =>
    flapCount > 0 && born !== undefined ? [nowWallMs - born.atMs] : [],
  )
}
