/**
 * The scheduler thread's end of the log: starts the log thread and speaks the log port with it over comlink. Appends of
 * one event turn travel as one call, and their results come back as one call per commit, in the same channel as the
 * changes of leadership, so their order is kept. If the thread dies, everything in flight ends unknown and `onDeath` is
 * told; by default the process then ends with the thread's exit status.
 */
import type { LogPort } from '../../actors/ports.ts'
import type { LogNodeOptions } from './log-options.ts'

export interface LogThreadOptions extends LogNodeOptions {
  /** Told once when the thread ends without having been asked to. Default: ends the process with that status. */
  readonly onDeath?: (death: LogThreadDeath) => void
}

export interface LogThreadDeath {
  /** What the process should end with: 75 for the store, 70 for a bug. */
  readonly status: number
  readonly reason: string
}

export interface LogThread extends LogPort {
  /** Closes the store, then ends the thread. */
  terminate(): Promise<void>
}

export function openLogThread(options: LogThreadOptions): Promise<LogThread> {
  return Promise.reject(new Error(`the log thread for ${options.path} is being written`))
}
