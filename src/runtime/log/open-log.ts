/** A log that is open: its two stores, the actors over them, and what may be read of it. */
import type { ActorSystem } from '../../actors/actor.ts'
import { type LogActors, type LogActorsOptions, spawnLog } from '../../actors/log-actors.ts'
import type { LogEntryView, RowCursor, RowPage } from '../../actors/ports.ts'
import type { Now } from '../../core/base/time.ts'
import type { Entry } from '../../core/log/entry.ts'
import { leaseLeftMs } from '../../core/log/lease.ts'
import type { LogMeta } from '../../core/log/meta.ts'
import { readRangeFault } from '../../core/log/read-range.ts'
import type { SnapshotHeader } from '../../core/log/snapshot.ts'
import type { SpaceReading } from './disk-space.ts'
import type { OpenedStores } from './log-opening.ts'
import type { SpaceLimits } from './log-options.ts'
import { RowReading } from './row-reading.ts'

export class OpenLog {
  readonly actors: LogActors
  readonly system: ActorSystem
  /** For backups. */
  readonly reading = new RowReading()
  readonly #stores: OpenedStores

  constructor(
    stores: OpenedStores,
    system: ActorSystem,
    options: Omit<LogActorsOptions, 'system' | 'store' | 'state'>,
  ) {
    this.#stores = stores
    this.system = system
    this.actors = spawnLog({ ...options, ...stores, system })
  }

  get meta(): LogMeta {
    return this.actors.core().meta
  }
  /** What is on disk for certain. */
  get durable(): LogMeta {
    return this.actors.core().durable
  }
  get applied(): number {
    return this.#stores.state.applied
  }

  /** Null unless it serves as leader, and then for ever if it is alone: there is nobody whose answer could be missed. */
  leaseLeftMs(now: Now): number | null {
    const leader = this.actors.leader()
    if (!leader?.serving) return null
    const leftMs = leader.lease === null ? 0 : leaseLeftMs(leader.lease, now)
    return Number.isFinite(leftMs) ? Math.max(0, Math.round(leftMs)) : null
  }

  /** It may vote now: it may stand, too. */
  begin(): void {
    const { descriptor, memberId } = this.meta
    const voters = descriptor?.members.filter(member => member.role === 'VOTER').map(member => member.memberId)
    this.actors.election.tell({ type: 'ready', voters: voters ?? [memberId] })
  }

  tellSpace({ full, freeBytes }: SpaceReading, { reserveBytes, checkEveryMs: lookMs }: SpaceLimits): void {
    this.actors.coordinator.tell({ type: 'space', full, freeBytes, reserveBytes, lookMs })
    this.actors.replica.tell({ type: 'space', full, freeBytes })
    this.actors.election.tell({ type: 'space', full })
  }

  tellRows(loaded: boolean): void {
    this.actors.replica.tell({ type: 'rows', loaded })
    this.actors.election.tell({ type: 'rows', loaded })
  }

  readRows(cursor: RowCursor | null, rowsMax: number): RowPage {
    return this.#stores.state.readRows(cursor, rowsMax)
  }

  /** Null while the tables do not stand for that position. */
  beginReading(positionMin: number): SnapshotHeader | null {
    const { state } = this.#stores
    if (state.resumeFrom - 1 < positionMin) return null
    const header = this.reading.begin(state)
    return header.position < positionMin ? null : header
  }

  /** Committed entries; throws LogReadError. */
  read(from: number, to: number): readonly LogEntryView[] {
    const fault = readRangeFault(from, to, this.meta)
    if (fault !== null) throw logReadError(fault)
    try {
      return this.#stores.store.read(from, to, to - from + 1).map(viewOf)
    } catch (cause) {
      throw logReadError(`DAMAGED: ${(cause as Error).message}`)
    }
  }

  async stopActors(): Promise<void> {
    await this.system.stop()
  }

  async closeStores(): Promise<void> {
    this.reading.close()
    await this.#stores.state.close()
    await this.#stores.store.close()
  }
}

export function viewOf({ position, ballot, type, payload }: Entry): LogEntryView {
  return { position, ballot, type, payload }
}

/** Keeps its name across threads, where classes do not survive. */
export function logReadError(message: string): Error {
  const error = new Error(message)
  error.name = 'LogReadError'
  return error
}
