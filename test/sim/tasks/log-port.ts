/**
 * The log of one simulated process as its scheduler sees it: the port that `runtime/log` makes of real ones. Questions and
 * answers take a moment and keep their order; answers settle within a turn of the simulation.
 */
import type {
  AppendResult,
  Ballot,
  LeaderView,
  LeaseView,
  LogEntryView,
  LogListener,
  LogPort,
  LogStatusReport,
  RowCursor,
  RowPage,
  TransferOutcome,
} from '../../../src/actors/ports.ts'
import type { AppendBasis } from '../../../src/core/log/coordinator-core.ts'
import { quorumOf } from '../../../src/core/log/descriptor.ts'
import type { ElectionView } from '../../../src/core/log/election-core.ts'
import type { Entry } from '../../../src/core/log/entry.ts'
import { readRangeFault } from '../../../src/core/log/read-range.ts'
import type { Process } from '../log/node.ts'
import { Settlement } from '../log/settlement.ts'

export const httpUrlOf = (memberId: number): string => `http://node-${memberId}`

export class SimLogPort implements LogPort {
  readonly lease: LeaseView
  #listener: LogListener | null = null
  #view: LeaderView = { version: 0, role: 'NONE', ballot: null, leader: null }
  #notWritable: string | null = null
  readonly #process: Process
  readonly #members: number
  readonly #appends = new Map<number, Settlement<AppendResult>>()

  constructor(process: Process, members: number) {
    this.#process = process
    this.#members = members
    this.lease = { holds: (ballot: Ballot) => process.holdsLease(ballot) }
  }

  // ---- What the scheduler asks ----

  start(listener: LogListener): Promise<LogStatusReport> {
    this.#listener = listener
    return settled(this.report())
  }

  status(): Promise<LogStatusReport> {
    return settled(this.report())
  }

  append(payload: Uint8Array, basis?: AppendBasis): Promise<AppendResult> {
    const settlement = new Settlement<AppendResult>()
    const [id] = this.#process.append([payload], basis)
    this.#appends.set(id!, settlement)
    return settlement.promise
  }

  readRows(cursor: RowCursor | null, rowsMax: number): Promise<RowPage> {
    return this.#ask(() => this.#process.state.readRows(cursor, rowsMax))
  }

  read(from: number, to: number): Promise<readonly LogEntryView[]> {
    return this.#ask(() => {
      const fault = readRangeFault(from, to, this.#process.replicaCore?.meta ?? { begin: 1, commit: 0 })
      if (fault !== null) throw new Error(fault)
      return this.#process.store.read(from, to, to - from + 1).map(viewOf)
    })
  }

  rowsLoaded(loaded: boolean): void {
    this.#process.rowsLoaded(loaded)
  }

  transfer(to: number | null): Promise<TransferOutcome> {
    this.#process.coordinator.tell({ type: 'transfer', to })
    return settled({ type: 'unknown', detail: 'nobody waits for it here', remedy: '' })
  }

  stop(): Promise<void> {
    return settled<void>(undefined)
  }

  // ---- What the log says ----

  viewed({ role, ballot, leaderId }: ElectionView): void {
    const leader = leaderId === null ? null : { memberId: leaderId, httpUrl: httpUrlOf(leaderId) }
    this.#view = { version: this.#view.version + 1, role, ballot, leader }
    this.#listener?.viewChanged(this.#view, this.report())
  }

  ended(id: number, result: AppendResult): void {
    const settlement = this.#appends.get(id)
    this.#appends.delete(id)
    settlement?.settle(null, result)
  }

  committed(entries: readonly Entry[]): void {
    this.#listener?.committed(entries.map(viewOf))
  }

  writable(reason: string | null): void {
    if (reason === this.#notWritable) return
    this.#notWritable = reason
    this.#listener?.writable(reason)
  }

  report(): LogStatusReport {
    const { node, replicaCore } = this.#process
    const meta = replicaCore?.meta ?? node.disk.meta
    return {
      status: 'VOTING',
      view: this.#view,
      clusterId: meta.clusterId,
      memberId: node.id,
      members: [],
      quorum: quorumOf(this.#members),
      promised: meta.promised,
      begin: meta.begin,
      end: meta.end,
      commit: meta.commit,
      applied: node.disk.tables.applied,
      bootCounter: meta.bootCounter,
      path: 'simulated',
      diskFreeBytes: node.isFull ? 0 : 1e9,
      waitingFor: null,
      notWritable: this.#notWritable,
      peers: [],
      leaderSinceMs: null,
      leaseLeftMs: null,
    }
  }

  #ask<T>(answer: () => T): Promise<T> {
    const settlement = new Settlement<T>()
    this.#process.call(0.01, () => {
      let end: { readonly cause: Error | null; readonly value?: T }
      try {
        end = { cause: null, value: answer() }
      } catch (cause) {
        end = { cause: cause as Error }
      }
      this.#process.tellScheduler(() => settlement.settle(end.cause, end.value))
    })
    return settlement.promise
  }
}

function settled<T>(value: T): Promise<T> {
  const settlement = new Settlement<T>()
  settlement.settle(null, value)
  return settlement.promise
}

function viewOf({ position, ballot, type, payload }: Entry): LogEntryView {
  return { position, ballot, type, payload }
}
