/**
 * When whole lists are compared although nothing seems wrong: the safety net under digests. `explicit`: the leader asks
 * for the tasks it believes in, in batches; `implicit`: each agent tells all it has. The two are kept apart in time.
 * Source: the task life cycle, section 8.
 */
export type SweepKind = 'explicit' | 'implicit'

export interface ReconciliationSettings {
  /** From the beginning of the reign to the first explicit run, ms. Default 1 min. */
  readonly initialDelayMs: number
  /** The first implicit run comes so much later than the first explicit one, ms. Default 30 min. */
  readonly spreadMs: number
  /** ms. Default 1 h each. */
  readonly explicitIntervalMs: number
  readonly implicitIntervalMs: number
  /** Tasks in one batch of an explicit run, 1–1,000. Default 1,000. */
  readonly batchSize: number
  /** Between two batches, ms. Default 5 s. */
  readonly batchIntervalMs: number
}

export const RECONCILIATION_SETTINGS: ReconciliationSettings = {
  initialDelayMs: 60_000,
  spreadMs: 30 * 60_000,
  explicitIntervalMs: 60 * 60_000,
  implicitIntervalMs: 60 * 60_000,
  batchSize: 1_000,
  batchIntervalMs: 5_000,
}

export const BATCH_TASKS_MAX = 1_000

export function firstRunMs(kind: SweepKind, { initialDelayMs, spreadMs }: ReconciliationSettings): number {
  return kind === 'explicit' ? initialDelayMs : initialDelayMs + spreadMs
}

export function intervalMs(kind: SweepKind, settings: ReconciliationSettings): number {
  return kind === 'explicit' ? settings.explicitIntervalMs : settings.implicitIntervalMs
}

/** An implicit run asks one agent at a time and is done in half its interval, however many there are. */
export function pauseMs(kind: SweepKind, steps: number, settings: ReconciliationSettings): number {
  if (kind === 'explicit') return settings.batchIntervalMs
  return Math.min(settings.batchIntervalMs, Math.floor(settings.implicitIntervalMs / 2 / Math.max(steps, 1)))
}

export function batchesOf<T>(items: readonly T[], size: number): readonly (readonly T[])[] {
  const batches: T[][] = []
  for (let from = 0; from < items.length; from += size) batches.push(items.slice(from, from + size))
  return batches
}
