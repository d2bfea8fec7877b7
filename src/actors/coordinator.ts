/**
 * The Coordinator of a node: runs the coordinator core. Appends come in from the scheduler thread, ACCEPTs go to the own
 * replica and to the peers at the same time, results go out in position order. Its timer runs only while there are
 * followers to beat for.
 */
import { assertNever } from '../core/base/assert.ts'
import {
  type AppendOutcome,
  CoordinatorCore,
  type CoordinatorEffect,
  type CoordinatorMessage,
} from '../core/log/coordinator-core.ts'
import type { ElectionMessage } from '../core/log/election-core.ts'
import { BATCH_BYTES_MAX } from '../core/log/follower-feed.ts'
import type { Lease, LeaseDoubt } from '../core/log/lease.ts'
import type { LogLimits } from '../core/log/limits.ts'
import type { PeerMessage } from '../core/log/messages.ts'
import type { TransferAnswer } from '../core/log/succession.ts'
import type { LogTiming } from '../core/log/timing.ts'
import type { ActorSpec, Context, Ref } from './actor.ts'
import type { LogStore, LogTransport } from './log-ports.ts'
import type { Metrics } from './ports.ts'
import type { ReplicaCommand } from './replica.ts'

export interface CoordinatorOptions {
  readonly memberId: number
  readonly software: string
  readonly store: LogStore
  readonly transport: LogTransport
  readonly timing: LogTiming
  readonly limits: LogLimits
  readonly metrics: Metrics
  readonly replica: () => Ref<ReplicaCommand>
  readonly election: () => Ref<ElectionMessage>
  /** In position order. */
  readonly onResults: (results: readonly { readonly id: number; readonly outcome: AppendOutcome }[]) => void
  readonly onStoreTrouble: (cause: unknown) => void
  /** The lease after each message, before anything of it leaves: one that is over is gone before others can know. */
  readonly onLease?: (lease: Lease | null) => void
  /** One for each `transfer` that was asked for. */
  readonly onTransfer?: (answer: TransferAnswer) => void
  /** The core, for reports of the same thread and for the simulation; never changed from outside. */
  readonly onStarted?: (core: CoordinatorCore) => void
}

export function coordinatorSpec(options: CoordinatorOptions): ActorSpec<CoordinatorMessage> {
  return {
    name: 'coordinator',
    kind: 'Coordinator',
    mailbox: { capacity: 100_000 },
    supervision: { type: 'endProcess' },
    start: context => {
      const { memberId, timing, limits, software } = options
      const core = new CoordinatorCore({ self: memberId, timing, limits, software })
      options.onStarted?.(core)
      return {
        receive: message => {
          const effects = core.handle(message, context.now())
          core.invariants()
          options.onLease?.(core.lease)
          for (const effect of effects) run(effect, options, context)
        },
        // Whoever still waits for an append learns that its outcome is not known.
        stopping: () => {
          const effects = core.handle({ type: 'stepDown', reason: 'the log is stopping' }, context.now())
          options.onLease?.(core.lease)
          for (const effect of effects) {
            if (effect.type === 'results') options.onResults(effect.results)
          }
        },
        summary: () => ({
          role: core.role,
          serving: core.serving,
          ballot: `${core.ballot[0]}.${core.ballot[1]}`,
          commit: core.commit,
          inFlight: core.inFlight,
          queued: core.queued,
        }),
      }
    },
  }
}

function run(effect: CoordinatorEffect, options: CoordinatorOptions, context: Context<CoordinatorMessage>): void {
  switch (effect.type) {
    case 'send':
      return send(effect.to, effect.message, options)
    case 'results':
      return options.onResults(effect.results)
    case 'commit':
      options.replica().tell(effect)
      return
    case 'load': {
      const { peer, from, countMax } = effect
      try {
        const entries = options.store.read(from, Number.MAX_SAFE_INTEGER, countMax, BATCH_BYTES_MAX)
        context.self.tell({ type: 'loaded', peer, from, entries })
      } catch (cause) {
        options.onStoreTrouble(cause)
      }
      return
    }
    case 'elected':
      options.election().tell(effect)
      return
    case 'serving':
      context.log.info('log-leader', { ballot: effect.ballot, position: effect.position })
      options.election().tell(effect)
      return
    case 'lost':
      context.log.warn('log-leadership-lost', { reason: effect.reason })
      options.replica().tell({ type: 'reignOver' })
      options.election().tell(effect)
      return
    case 'leaseDoubted':
      return doubted(effect.doubt, options, context)
    case 'transfer':
      return options.onTransfer?.(effect.answer)
    case 'handOverFailed':
      context.log.warn('log-hand-over-failed', { to: effect.to, because: effect.reason })
      return
    case 'cutLater':
      context.startTimer('cut', effect.afterMs, { type: 'cut' })
      return
    case 'ticking':
      if (effect.on) context.startPeriodicTimer('tick', options.timing.heartbeatMs, { type: 'tick' })
      else context.cancelTimer('tick')
      return
    default:
      return assertNever(effect)
  }
}

function doubted(
  { because, byMs }: LeaseDoubt,
  options: CoordinatorOptions,
  context: Context<CoordinatorMessage>,
): void {
  if (because === 'clocks') {
    options.metrics.count('log_clock_jumps_total')
    context.log.warn('log-clocks-apart', { wallAheadMs: Math.round(byMs) })
  } else {
    options.metrics.count('log_stalls_total')
    context.log.warn('log-stalled', { forMs: Math.round(byMs) })
  }
}

function send(to: number, message: PeerMessage, options: CoordinatorOptions): void {
  if (to !== options.memberId) return options.transport.send(to, message)
  if (message.type === 'prepare' || message.type === 'accept') options.replica().tell(message)
}
