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
import type { LogTiming } from '../core/log/timing.ts'
import type { ActorSpec, Context, Ref } from './actor.ts'
import type { LogTransport } from './log-ports.ts'
import type { ReplicaCommand } from './replica.ts'

export interface LeaderElectionOptions {
  readonly memberId: number
  readonly timing: LogTiming
  readonly transport: LogTransport
  readonly replica: () => Ref<ReplicaCommand>
  readonly coordinator: () => Ref<CoordinatorMessage>
  readonly onView: (view: ElectionView) => void
}

export function leaderElectionSpec(options: LeaderElectionOptions): ActorSpec<ElectionMessage> {
  return {
    name: 'leader-election',
    kind: 'LeaderElection',
    supervision: { type: 'endProcess' },
    start: context => {
      const { memberId, timing } = options
      const core = new ElectionCore({ self: memberId, timing, random: context.random })
      return {
        receive: message => {
          for (const effect of core.handle(message)) run(effect, options, context)
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
