import type { LogMeta } from '../../core/log/meta.ts'

/** Why a log cannot be opened, for operators: what is wrong, where, and what to do. The process ends with status 75. */
export class LogRefused extends Error {
  override readonly name = 'LogRefused'
}

/** What is lost can be had again from other members, if there are any. */
export class LogLacks extends LogRefused {
  /** Committed positions whose records are bad or gone; null: the row tables. */
  readonly positions: readonly number[] | null
  /** Of the log, when its own opening says so. */
  readonly meta: LogMeta | null
  constructor(message: string, meta: LogMeta | null, positions: readonly number[] | null) {
    super(message)
    this.meta = meta
    this.positions = positions
  }
}

/** As the errors of worker threads and of comlink arrive: an Error with the name, no longer of the class. */
export function isLogRefused(cause: unknown): cause is Error {
  return cause instanceof Error && cause.name === 'LogRefused'
}
