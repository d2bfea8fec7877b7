/**
 * Assigner: runs a round from want to assignment: the OfferBroker matches, the DedicatedGuard vets, and each match is
 * sent to its task as `assign`. The task decides: it stages ASSIGNED only while it is PENDING, and launches after the
 * commit. Any other answer than SUCCESS, or none in time, frees the held room again.
 *
 * A round is done when its assignments are sent, not when they are durable, so the next can be matched meanwhile; but
 * no more than a bounded number may be unanswered.
 */
import type { TaskId } from '../core/base/ids.ts'
import type { Match, Want } from '../core/scheduling/matcher.ts'
import type { ActorSpec, Behaviour, Context, Ref } from './actor.ts'
import type { RoundVetted, VetRound } from './dedicated-guard.ts'
import type { MatchRound, ReleaseHolds, RoundResult } from './offer-broker.ts'
import type { Metrics } from './ports.ts'
import type { RoundDone, RoundsLost, TasksReturned } from './task-groups.ts'
import type { TaskDirectory, Transitioned } from './task-state-machine.ts'

/** Answered by RoundDone. */
export interface StartRound {
  readonly type: 'startRound'
  readonly roundId: number
  readonly wants: readonly Want[]
}
interface Sweep {
  readonly type: 'sweep'
}
interface Restarted {
  readonly type: 'restarted'
}
export type AssignerCommand = StartRound | RoundResult | RoundVetted | Transitioned | Sweep | Restarted

export interface AssignerOptions {
  readonly tasks: TaskDirectory
  readonly metrics: Metrics
  readonly broker: () => Ref<MatchRound | ReleaseHolds>
  readonly guard: () => Ref<VetRound>
  readonly groups: () => Ref<RoundDone | TasksReturned | RoundsLost>
  /** Asked when the task decides: an assignment that was overtaken by a restart or by its own release is refused. */
  readonly isHeld: (match: Match) => boolean
  /** With so many assignments unanswered, the next round waits. */
  readonly unansweredMax: number
  /** An assignment without an answer is taken for lost after so long, ms. */
  readonly answerMsMax: number
}

export function assignerSpec(options: AssignerOptions): ActorSpec<AssignerCommand> {
  let starts = 0
  return {
    name: 'assigner',
    kind: 'Assigner',
    start: context => {
      if (starts++ > 0) context.self.tell({ type: 'restarted' })
      return startAssigner(context, options)
    },
  }
}

function startAssigner(context: Context<AssignerCommand>, options: AssignerOptions): Behaviour<AssignerCommand> {
  const { metrics } = options
  /** By round id: being matched (null), or matched and with the guard. */
  const rounds = new Map<number, RoundResult | null>()
  /** Tasks whose answer is awaited, in the order of sending; when it was, monotonic ms. */
  const unanswered = new Map<TaskId, number>()
  let waitingDone: RoundDone[] = []
  let assigned = 0
  let refused = 0

  const matched = (result: RoundResult): void => {
    const placed = result.groups.flatMap(group => group.placed)
    if (!rounds.has(result.roundId)) {
      // Of a round before a restart of this actor: nobody else will free it.
      release(placed.map(match => match.taskId))
      return
    }
    if (placed.length === 0) return finish(result, [])
    rounds.set(result.roundId, result)
    const { roundId, dedicatedVersion: version } = result
    options.guard().tell({ type: 'vetRound', roundId, version, pairs: placed, replyTo: context.self })
  }

  const vetted = ({ roundId, rejected }: RoundVetted): void => {
    const result = rounds.get(roundId)
    if (result === undefined || result === null) return
    if (rejected.length > 0) {
      context.log.warn('dedicated-guard-refused-placements', { roundId, tasks: rejected.length })
      release(rejected)
    }
    finish(result, rejected)
  }

  const finish = (result: RoundResult, rejected: readonly TaskId[]): void => {
    rounds.delete(result.roundId)
    const isRejected = new Set(rejected)
    const groups = result.groups.map(({ configId, placed, unplaced, gone }) => {
      const accepted = placed.filter(match => !isRejected.has(match.taskId))
      for (const match of byAgent(accepted)) assign(match)
      const refusedIds = placed.filter(match => isRejected.has(match.taskId)).map(match => match.taskId)
      const placedIds = accepted.map(match => match.taskId)
      return { configId, placed: placedIds, unplaced: [...refusedIds, ...unplaced], gone }
    })
    waitingDone.push({ type: 'roundDone', roundId: result.roundId, groups })
    flushDone()
  }

  const assign = (match: Match): void => {
    const { taskId, agentId, host, ports, record } = match
    if (unanswered.size === 0) context.startTimer('sweep', options.answerMsMax, { type: 'sweep' })
    unanswered.set(taskId, context.now().monoMs)
    const isHeld = (): boolean => options.isHeld(match)
    options.tasks.tell({ type: 'assign', taskId, agentId, host, ports, record, isHeld, replyTo: context.self })
  }

  const answered = ({ taskId, result }: Transitioned): void => {
    // A refusal of what was sent before a restart is still a refusal.
    if (!unanswered.delete(taskId) && result === 'SUCCESS') return
    if (unanswered.size === 0) context.cancelTimer('sweep')
    if (result === 'SUCCESS') {
      assigned++
      metrics.count('tasks_assigned')
    } else {
      giveBack([taskId])
    }
    flushDone()
  }

  const sweep = (): void => {
    const now = context.now().monoMs
    const lost: TaskId[] = []
    let nextMs: number | null = null
    for (const [taskId, sentMs] of unanswered) {
      if (now - sentMs >= options.answerMsMax) lost.push(taskId)
      else nextMs ??= sentMs + options.answerMsMax - now
    }
    for (const taskId of lost) unanswered.delete(taskId)
    if (lost.length > 0) {
      context.log.warn('assignments-unanswered', { tasks: lost.length, afterMs: options.answerMsMax })
      giveBack(lost)
    }
    if (nextMs !== null) context.startTimer('sweep', nextMs, { type: 'sweep' })
    flushDone()
  }

  const giveBack = (taskIds: readonly TaskId[]): void => {
    refused += taskIds.length
    metrics.count('assigner_launch_failures', taskIds.length)
    release(taskIds)
    options.groups().tell({ type: 'tasksReturned', taskIds })
  }

  const release = (taskIds: readonly TaskId[]): void => {
    if (taskIds.length > 0) options.broker().tell({ type: 'releaseHolds', taskIds })
  }

  const flushDone = (): void => {
    if (unanswered.size >= options.unansweredMax) return
    const done = waitingDone
    waitingDone = []
    for (const round of done) options.groups().tell(round)
  }

  return {
    receive(message) {
      if ('result' in message) return answered(message)
      switch (message.type) {
        case 'restarted':
          options.broker().tell({ type: 'releaseHolds', taskIds: 'all' })
          options.groups().tell({ type: 'roundsLost' })
          break
        case 'startRound':
          // One round at a time: an older one without a result was lost with the broker that matched it.
          for (const [roundId, result] of rounds) if (result === null) rounds.delete(roundId)
          rounds.set(message.roundId, null)
          options.broker().tell({
            type: 'matchRound',
            roundId: message.roundId,
            wants: message.wants,
            replyTo: context.self,
          })
          break
        case 'roundResult':
          matched(message)
          break
        case 'roundVetted':
          vetted(message)
          break
        case 'sweep':
          sweep()
          break
      }
    },
    summary: () => ({ roundsOpen: rounds.size, unanswered: unanswered.size, assigned, refused }),
  }
}

/**
 * Those of one agent one after the other, agents in the order of their first: what is staged together is committed
 * together, and what is committed together reaches an agent as one launch.
 */
function byAgent(matches: readonly Match[]): Iterable<Match> {
  const groups = new Map<string, Match[]>()
  for (const match of matches) {
    const known = groups.get(match.agentId)
    if (known === undefined) groups.set(match.agentId, [match])
    else known.push(match)
  }
  return [...groups.values()].flat()
}
