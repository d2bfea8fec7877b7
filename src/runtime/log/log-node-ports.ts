/** What a log node is given, and what it has to tell. */
import type { ActorSystem } from '../../actors/actor.ts'
import type { LogTransport } from '../../actors/log-ports.ts'
import type { AppendResult, LeaderView, LogEntryView, LogStatusReport } from '../../actors/ports.ts'
import type { LeaseMemory } from './lease-memory.ts'
import type { OpeningPorts } from './log-opening.ts'

export type LogEvent =
  | { readonly type: 'results'; readonly results: readonly { readonly id: number; readonly outcome: AppendResult }[] }
  | { readonly type: 'view'; readonly view: LeaderView; readonly report: LogStatusReport }
  | { readonly type: 'committed'; readonly entries: readonly LogEntryView[] }
  | { readonly type: 'writable'; readonly reason: string | null }
  /** The process must end with this status. */
  | { readonly type: 'death'; readonly status: number; readonly reason: string }

export interface LogNodePorts extends OpeningPorts {
  readonly emit: (event: LogEvent) => void
  /** Where the lease is written, by the clock of `makeSystem`; the default is read by this thread alone, by `realClock`. */
  readonly lease?: LeaseMemory
  /** Makes the actor system of one opening; a new one after the disk was full. */
  readonly makeSystem: (onEndProcess: (error: unknown, path: string) => void) => ActorSystem
  /** Default: WebSockets to the other members, if there are any and the options say where to listen. */
  readonly transport?: LogTransport
  /** Default: the file system's word. Tests hand in disks that fill up. */
  readonly freeBytesOf?: (folder: string) => number
}
