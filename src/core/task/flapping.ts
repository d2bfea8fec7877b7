/**
 * Tasks that end too soon by themselves, again and again. The first such run is free: its replacement is PENDING at
 * once. From the second on the replacement waits as THROTTLED, longer with every run, until one has lasted.
 *
 * A replacement carries the count of the runs before it and the moment at which it may run, both computed once, when
 * the run before it ended. So no ancestor is ever read again, a pruned one is not missed, and the message, the timer and
 * the next leader all mean the same moment.
 *
 * Source: the task life cycle, section 6, with improvement 6 of its section 17.
 */
import type { Prng } from '../base/prng.ts'
import type { TaskEvent, TaskRow } from '../ledger/rows.ts'
import { isTerminal, type TaskStatus } from './status.ts'

export interface FlappingSettings {
  /** A run that ends by itself before it has lasted so long is a flap, ms. */
  readonly thresholdMs: number
  /** The first penalty is one to two times this, ms; 0: there are none. */
  readonly pauseMsMin: number
  /** Longest penalty, ms. */
  readonly pauseMsMax: number
}
export const FLAPPING_SETTINGS: FlappingSettings = { thresholdMs: 300_000, pauseMsMin: 30_000, pauseMsMax: 300_000 }

/** Somebody or something else wanted the end: the task is not to blame. */
const INTERRUPTIONS: ReadonlySet<TaskStatus> = new Set(['KILLING', 'RESTARTING', 'DRAINING', 'PREEMPTING'])

/** Chance could draw the same wait for ever; so many steps reach any limit in earnest. */
const STEPS_MAX = 64

/** Whether the run ended too soon by itself. Its beginning is the first report of it: links that break in between do not count. */
export function isFlap(ended: TaskRow, { thresholdMs }: FlappingSettings): boolean {
  const { events } = ended
  const end = events.at(-1)
  if (end === undefined || !isTerminal(end.status)) return false
  if (events.some(({ status }) => INTERRUPTIONS.has(status))) return false
  if (end.status === 'LOST' && events.at(-2)?.status === 'PARTITIONED') return false
  const begin = beginOf(events)
  return begin !== undefined && end.atMs - begin.atMs < thresholdMs
}

/** A task that never started began when it was assigned, so that launches that fail are slowed down too. */
function beginOf(events: readonly TaskEvent[]): TaskEvent | undefined {
  const started = events.find(({ status }) => status === 'STARTING' || status === 'RUNNING')
  return started ?? events.find(({ status }) => status === 'ASSIGNED')
}

/** How many flaps in a row the replacement of this task has behind it, this one's included. */
export function flapsBehind(ended: TaskRow, settings: FlappingSettings): number {
  return isFlap(ended, settings) ? (ended.flapCount ?? 0) + 1 : 0
}

/** Truncated binary back-off with up to 100 % jitter, a step for every flap but the first, ms. */
export function penaltyMs(flaps: number, { pauseMsMin, pauseMsMax }: FlappingSettings, random: Prng): number {
  const steps = Math.min(flaps - 1, STEPS_MAX)
  let pauseMs = 0
  for (let step = 0; step < steps && pauseMs < pauseMsMax; step++) {
    const baseMs = pauseMs === 0 ? pauseMsMin : pauseMs
    pauseMs = Math.min(pauseMsMax, baseMs + Math.round(random.next() * baseMs))
  }
  return pauseMs
}
