/** What both protocols can do to a reply. */
import type { StructPlan } from './plan.ts'

export interface Writer {
  struct(plan: StructPlan, value: object): void
  /** The same, with a pause after so many elements of its outer lists. */
  structInSteps(plan: StructPlan, value: object): Generator<undefined, void>
  /** All that was written. */
  take(): Buffer
}

export const STEP_ELEMENTS = 100

/** Of one reply, which is made in the leader's memory: beyond it no text can be, and none should. */
export const REPLY_BYTES_MAX = 400 * 1024 * 1024

/** Thrown while a reply is written, before it takes more than it may. */
export class ReplyTooLarge extends Error {
  override readonly name = 'ReplyTooLarge'
  constructor() {
    super('The answer would be too large: ask for less, by role, job, limit and offset, or getTasksWithoutConfigs')
  }
}

/** Values of this type are told apart by identity: the same object is written the same way each time. */
export const isShared = (plan: StructPlan): boolean => plan.name === 'TaskConfig'

/** Numbers of ours may be larger than the interface can say: the nearest that it can. */
export const clamped = (value: number): number => Math.max(-(2 ** 31), Math.min(2 ** 31 - 1, Math.trunc(value)))
