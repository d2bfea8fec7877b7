/** The actors of one opening of a log, wired to each other, to the stores and to the peers. */

import type { AppendOutcome, CoordinatorCore, CoordinatorMessage } from '../core/log/coordinator-core.ts'
import type { ElectionMessage, ElectionView } from '../core/log/election-core.ts'
import type { Entry } from '../core/log/entry.ts'
import type { Lease } from '../core/log/lease.ts'
import type { LogLimits } from '../core/log/limits.ts'
import { type PeerMessage, recipientOf } from '../core/log/messages.ts'
import type { ReplicaCore } from '../core/log/replica-core.ts'
import type { TransferAnswer } from '../core/log/succession.ts'
import type { LogTiming } from '../core/log/timing.ts'
import type { Nest, Ref } from './actor.ts'
import { type CatchUpCommand, catchUpSpec } from './catch-up.ts'
import { coordinatorSpec } from './coordinator.ts'
import { leaderElectionSpec } from './leader-election.ts'
import type { LogStore, LogTransport, StateStore } from './log-ports.ts'
import type { Metrics } from './ports.ts'
import { type ReplicaCommand, replicaSpec } from './replica.ts'

export interface LogActorsOptions {
  readonly system: Pick<Nest, 'spawn'>
  readonly memberId: number
  readonly software: string
  readonly store: LogStore
  readonly state: StateStore
  readonly transport: LogTransport
  readonly timing: LogTiming
  readonly limits: LogLimits
  readonly metrics: Metrics
  readonly onView: (view: ElectionView) => void
  readonly onVoting: () => void
  /** In position order. */
  readonly onResults: (results: readonly { readonly id: number; readonly outcome: AppendOutcome }[]) => void
  readonly onApplied: (entries: readonly Entry[]) => void
  /** A whole snapshot has arrived: it takes effect at the next opening. */
  readonly onInstall: (position: number) => void
  readonly onTransfer?: (answer: TransferAnswer) => void
  readonly onStoreTrouble: (cause: unknown) => void
  readonly onFailStop: (reason: string) => void
  /** Before anything that the change brought about leaves. */
  readonly onLease?: (lease: Lease | null) => void
  /** The cores, for whoever watches them. */
  readonly onReplica?: (core: ReplicaCore) => void
  readonly onCoordinator?: (core: CoordinatorCore) => void
}

export interface LogActors {
  readonly core: () => Pick<ReplicaCore, 'meta' | 'durable'>
  readonly leader: () => CoordinatorCore | null
  readonly replica: Ref<ReplicaCommand>
  readonly coordinator: Ref<CoordinatorMessage>
  readonly election: Ref<ElectionMessage>
  readonly catchUp: Ref<CatchUpCommand>
}

export function spawnLog(options: LogActorsOptions): LogActors {
  const { system, store, transport } = options
  const { meta } = store.restored
  let replicaCore: ReplicaCore | null = null
  let leader: CoordinatorCore | null = null
  const refs: { -readonly [K in 'replica' | 'coordinator' | 'election' | 'catchUp']?: LogActors[K] } = {}
  const shared = {
    ...options,
    replica: () => refs.replica!,
    coordinator: () => refs.coordinator!,
    election: () => refs.election!,
    catchUp: () => refs.catchUp!,
  }
  // Until the replica's first turn the store's own record is the truth, and reports may be asked for already.
  const core = () => replicaCore ?? { meta, durable: meta }
  refs.election = system.spawn(leaderElectionSpec(shared))
  refs.coordinator = system.spawn(
    coordinatorSpec({
      ...shared,
      onStarted: started => {
        leader = started
        options.onCoordinator?.(started)
      },
    }),
  )
  refs.catchUp = system.spawn(
    catchUpSpec({
      ...shared,
      self: { memberId: meta.memberId, incarnation: meta.incarnation },
      meta: () => core().meta,
      others: () => othersOf(replicaCore),
    }),
  )
  refs.replica = system.spawn(
    replicaSpec({
      ...shared,
      onStarted: started => {
        replicaCore = started
        options.onReplica?.(started)
      },
    }),
  )
  transport.onMessage = (message: PeerMessage): void => {
    const ref: Ref<never> = refs[recipientOf(message)]!
    ref.tell(message as never)
  }
  return {
    core,
    leader: () => leader,
    replica: refs.replica,
    coordinator: refs.coordinator,
    election: refs.election,
    catchUp: refs.catchUp,
  }
}

function othersOf(core: ReplicaCore | null): readonly number[] {
  if (core === null) return []
  return core.voters.map(({ memberId }) => memberId).filter(memberId => memberId !== core.meta.memberId)
}
