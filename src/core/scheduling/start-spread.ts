/**
 * Over how long a new leader spreads the tasks that it finds waiting. The spread keeps a take-over with a thousand of them
 * from trying all at once; a few of them, as on a laptop that was restarted, need none of it.
 */
export const SPREAD_GROUPS_FULL = 100
export const SPREAD_TASKS_FULL = 1_000

/**
 * All of `fullMs` from 100 groups and 1,000 tasks on, in proportion to the smaller share below. Where jobs are counted
 * for groups there may be some fewer: those that are being updated have two.
 */
export function startSpreadMs(groups: number, tasks: number, fullMs: number): number {
  return Math.round(fullMs * Math.min(1, groups / SPREAD_GROUPS_FULL, tasks / SPREAD_TASKS_FULL))
}
