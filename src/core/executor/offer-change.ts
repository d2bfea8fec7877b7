/**
 * Whether what a machine has to offer differs enough to be told. Sizes of RAM and disk are measured, and some file
 * systems count what others use of a pool, so small differences would be told for ever.
 */
import type { Resources } from '../job/task-config.ts'

const SMALL_SHARE = 0.01

export function isOfferNews(before: Resources, after: Resources): boolean {
  if (before.cpusMilli !== after.cpusMilli || before.gpus !== after.gpus) return true
  return isFar(before.ramMb, after.ramMb) || isFar(before.diskMb, after.diskMb)
}

const isFar = (a: number, b: number): boolean => Math.abs(a - b) > Math.max(a, b) * SMALL_SHARE
