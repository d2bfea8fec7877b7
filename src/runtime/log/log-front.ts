/**
 * The log port over a log node, wherever that runs: keeps the appends that wait, gathers those of one event turn into one
 * call, and hands events to the listener in the order they happened.
 */
import type {
  AppendResult,
  LeaseView,
  LogEntryView,
  Logger,
  LogListener,
  LogPort,
  LogStatusReport,
  Metrics,
  RowCursor,
  RowPage,
  TransferOutcome,
} from '../../actors/ports.ts'
import type { AppendBasis, AppendRequest } from '../../core/log/coordinator-core.ts'
import { EXIT } from '../exit.ts'
import type { LogEvent } from './log-node-ports.ts'

/** What a log node answers, in this thread or in another. */
export interface RemoteLog {
  readonly lease: LeaseView
  open(): Promise<LogStatusReport>
  report(): LogStatusReport | Promise<LogStatusReport>
  append(requests: readonly AppendRequest[]): void
  readRows(cursor: RowCursor | null, rowsMax: number): RowPage | Promise<RowPage>
  read(from: number, to: number): readonly LogEntryView[] | Promise<readonly LogEntryView[]>
  rowsLoaded(loaded: boolean): void
  transfer(to: number | null): Promise<TransferOutcome>
  stop(): Promise<void>
}

export interface LogThreadDeath {
  /** What the process should end with: 75 for the store, 70 for a bug. */
  readonly status: number
  readonly reason: string
}

/** Beside the log's own events, what the log thread has to say to the logger and the metrics of the process. */
export type FrontEvent =
  | LogEvent
  | {
      readonly type: 'log'
      readonly level: 'debug' | 'info' | 'warn' | 'error'
      readonly event: string
      readonly fields?: Readonly<Record<string, unknown>>
    }
  | {
      readonly type: 'count'
      readonly name: string
      readonly by: number
      readonly labels: Readonly<Record<string, string>>
    }
  | {
      readonly type: 'gauge'
      readonly name: string
      readonly value: number
      readonly labels?: Readonly<Record<string, string>> | undefined
    }
  | { readonly type: 'observe'; readonly name: string; readonly values: readonly number[] }

export interface FrontPorts {
  readonly log: Logger
  readonly metrics: Metrics
  readonly onDeath: (death: LogThreadDeath) => void
}

export class LogFront implements LogPort {
  readonly #remote: RemoteLog
  readonly #ports: FrontPorts
  readonly #waiting = new Map<number, (result: AppendResult) => void>()
  #outbox: AppendRequest[] = []
  #nextId = 1
  #listener: LogListener | null = null
  #died = false
  #stopping = false

  constructor(remote: RemoteLog, ports: FrontPorts) {
    this.#remote = remote
    this.#ports = ports
  }

  get lease(): LeaseView {
    return this.#remote.lease
  }

  start(listener: LogListener): Promise<LogStatusReport> {
    this.#listener = listener
    return this.#remote.open()
  }

  async status(): Promise<LogStatusReport> {
    return this.#remote.report()
  }

  append(payload: Uint8Array, basis?: AppendBasis): Promise<AppendResult> {
    if (this.#died || this.#stopping) return Promise.resolve({ type: 'notLeader' })
    return new Promise(resolve => {
      const id = this.#nextId++
      this.#waiting.set(id, resolve)
      if (this.#outbox.push({ id, payload, basis }) === 1) queueMicrotask(() => this.#post())
    })
  }

  async readRows(cursor: RowCursor | null, rowsMax: number): Promise<RowPage> {
    return this.#remote.readRows(cursor, rowsMax)
  }

  async read(from: number, to: number): Promise<readonly LogEntryView[]> {
    return this.#remote.read(from, to)
  }

  rowsLoaded(loaded: boolean): void {
    if (!this.#died && !this.#stopping) this.#remote.rowsLoaded(loaded)
  }

  transfer(to: number | null): Promise<TransferOutcome> {
    return this.#remote.transfer(to)
  }

  async stop(): Promise<void> {
    this.#stopping = true
    await this.#remote.stop()
    this.#endWaiting()
  }

  /** Events of the node, in order. */
  told(events: readonly FrontEvent[]): void {
    for (const event of events) this.#onEvent(event)
  }

  died(death: LogThreadDeath): void {
    if (this.#died || this.#stopping) return
    this.#died = true
    this.#endWaiting()
    this.#ports.onDeath(death)
  }

  #post(): void {
    const requests = this.#outbox
    this.#outbox = []
    this.#remote.append(requests)
  }

  #onEvent(event: FrontEvent): void {
    const { log, metrics } = this.#ports
    switch (event.type) {
      case 'results':
        for (const { id, outcome } of event.results) {
          const resolve = this.#waiting.get(id)
          this.#waiting.delete(id)
          resolve?.(outcome)
        }
        return
      case 'view':
        return this.#listener?.viewChanged(event.view, event.report)
      case 'committed':
        return this.#listener?.committed(event.entries)
      case 'writable':
        return this.#listener?.writable(event.reason)
      case 'death':
        return this.died(event)
      case 'log':
        return log[event.level](event.event, event.fields)
      case 'count':
        return metrics.count(event.name, event.by, event.labels)
      case 'gauge':
        return metrics.gauge(event.name, event.value, event.labels)
      case 'observe':
        for (const value of event.values) metrics.observe(event.name, value)
        return
    }
  }

  #endWaiting(): void {
    const waiting = [...this.#waiting.values()]
    this.#waiting.clear()
    for (const resolve of waiting) resolve({ type: 'unknown' })
  }
}

export function endProcess({ status, reason }: LogThreadDeath): void {
  process.stderr.write(`daybreak: the log has ended: ${reason}\n`)
  process.exit(status === 0 ? EXIT.bug : status)
}
