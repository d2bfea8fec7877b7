/**
 * The LeaderElection of a node: runs the election core, whose timer is the only thing it waits with, and tells the rest of
 * the node who leads. Alone in its cluster it elects itself once and then has no timer at all.
 */
import { assertNever } from '../core/base/assert.ts'
import type { CoordinatorMessage } from '../core/log/coordinator-core.ts'
import {
  ElectionCore,
  type ElectionEffect,
  type ElectionMessage,
  type ElectionView,
} from '../core/log/election-core.ts'
import { type TakeOverMs, TakeOverWatch } from '../core/log/take-over-watch.ts'
import type { LogTiming } from '../core/log/timing.ts'
import type { ActorSpec, Context, Ref } from './actor.ts'
import type { LogTransport } from './log-ports.ts'
import type { Metrics } from './ports.ts'
import type { ReplicaCommand } from './replica.ts'

export interface LeaderElectionOptions {
  readonly memberId: number
  readonly timing: LogTiming
  readonly transport: LogTransport
  readonly replica: () => Ref<ReplicaCommand>
  readonly coordinator: () => Ref<CoordinatorMessage>
  readonly onView: (view: ElectionView) => void
  readonly metrics: Metrics
}

export function leaderElectionSpec(options: LeaderElectionOptions): ActorSpec<ElectionMessage> {
  return {
    name: 'leader-election',
    kind: 'LeaderElection',
    supervision: { type: 'endProcess' },
    start: context => {
      const { memberId, timing } = options
      const core = new ElectionCore({ self: memberId, timing, random: context.random })
      const watch = new TakeOverWatch()
      return {
        receive: message => {
          const now = context.now()
          const effects = core.handle(message, now)
          const took = watch.look(message, effects, now.monoMs)
          for (const effect of effects) run(effect, options, context)
          if (took !== null) tell(took, options, context)
        },
        summary: () => ({
          phase: core.phase,
          role: core.view.role,
          leader: core.view.leaderId,
          ballot: core.view.ballot === null ? null : `${core.view.ballot[0]}.${core.view.ballot[1]}`,
        }),
      }
    },
  }
}

function tell(
  took: TakeOverMs,
  { metrics }: Pick<LeaderElectionOptions, 'metrics'>,
  context: Context<ElectionMessage>,
): void {
  const { silence, canvass, election } = took
  context.log.info('log-take-over', {
    silenceMs: silence === null ? null : Math.round(silence),
    canvassMs: Math.round(canvass),
    electionMs: Math.round(election),
  })
  for (const [phase, ms] of Object.entries({ silence: silence ?? 0, canvass, election })) {
    metrics.gauge('takeover_seconds', ms / 1_000, { phase })
  }
}

function run(effect: ElectionEffect, options: LeaderElectionOptions, context: Context<ElectionMessage>): void {
  switch (effect.type) {
    case 'startTimer':
      return context.startTimer('election', effect.afterMs, { type: 'timeout', attempt: effect.attempt })
    case 'cancelTimer':
      return context.cancelTimer('election')
    case 'canvass':
    case 'stand':
      options.replica().tell(effect)
      return
    case 'send':
      if (effect.to === options.memberId) options.replica().tell(effect.message)
      else options.transport.send(effect.to, effect.message)
      return
    case 'giveUp':
      options.coordinator().tell({ type: 'stepDown', reason: effect.reason })
      return
    case 'view':
      return options.onView(effect.view)
    default:
      return assertNever(effect)
  }
}
