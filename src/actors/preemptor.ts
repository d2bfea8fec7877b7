/**
 * Preemptor: makes room for tasks that have waited long enough, at the cost of tasks that may be preempted for them. One
 * on the leader.
 *
 * It looks at the groups that are parked, the most important first, one search a turn. The room of the slots found is
 * claimed for the group, so that nobody else gets it, and only then are the victims asked to go. The tasks decide: one
 * that has changed meanwhile refuses; it is asked again while it runs, and otherwise the claim is given up and the group
 * is searched for anew. The next search waits for all these answers, so that it sees what they have led to. The group's
 * own attempt uses the claim when the room is free.
 *
 * Claims are memory: after a change of leader, victims that were asked to go still go, and their room is for whoever is
 * first in turn; a group that comes away empty is searched for anew.
 * Source: the scheduling spec, sections 9 and 17, item D9.
 */
import { type AgentId, type ConfigId, type JobKey, jobKeyText, type TaskId } from '../core/base/ids.ts'
import { type OpenSlot, OpenSlots } from '../core/preempt/open-slots.ts'
import type { SlotsFound } from '../core/preempt/slot-search.ts'
import type { Victim } from '../core/preempt/victim-index.ts'
import { preemptionMessage, whyNoSlots } from '../core/preempt/words.ts'
import { HOST_ASSIGNED, type TaskStatus } from '../core/task/status.ts'
import type { ActorSpec, Behaviour, Context, Ref } from './actor.ts'
import type { Ledger } from './ledger.ts'
import type { ClaimRoom, OfferBookView, ReleaseClaims, RoomClaimed } from './offer-broker.ts'
import type { Metrics } from './ports.ts'
import type { PendingGroupsView } from './task-groups.ts'
import type { TaskDirectory, Transitioned } from './task-state-machine.ts'

export interface PreemptorSettings {
  readonly isEnabled: boolean
  /** A task is preempted for only when it has been PENDING for so long, ms. */
  readonly delayMs: number
  /** Between two looks at the pending groups, ms. */
  readonly intervalMs: number
  /** Slots that one search takes for a group; a gang is searched for whole. */
  readonly slotsMax: number
  /** Room is kept for the group for so long, ms. */
  readonly reservationMs: number
}
export const PREEMPTOR_SETTINGS: PreemptorSettings = {
  isEnabled: true,
  delayMs: 3 * 60_000,
  intervalMs: 10_000,
  slotsMax: 100,
  reservationMs: 3 * 60_000,
}

/** What is known of preemption for a group; plain reads. */
export interface PreemptionView {
  slotsOf(configId: ConfigId): readonly OpenSlot[]
  /** Why the last search found nothing; null when there was none, or it did. */
  whyNone(configId: ConfigId): string | null
}

export interface PreemptorOptions {
  readonly ledger: Ledger
  readonly metrics: Metrics
  readonly tasks: TaskDirectory
  readonly book: () => OfferBookView
  readonly pending: () => PendingGroupsView
  readonly broker: () => Ref<ClaimRoom | ReleaseClaims>
  /** Never the same twice, restarts of this actor included. */
  readonly nextClaimId: () => string
  /** Whether an agreement says that it stays, unless nothing else works. Default: none does. */
  readonly mustStay?: (victim: Victim) => boolean
  readonly settings: PreemptorSettings
  readonly publish: (view: PreemptionView) => void
}

/** How long answers are waited for; the last resort only, ms. */
const ANSWERS_MS_MAX = 30_000
/** A victim that has moved on between the search and its decision is asked again, so many times. */
const ASKED_MAX = 3
const LIVE: ReadonlySet<TaskStatus> = new Set(['ASSIGNED', 'STARTING', 'RUNNING'])

/** One search that found something, until everybody has answered. */
interface Asking {
  readonly job: JobKey
  readonly slots: readonly OpenSlot[]
  readonly statuses: ReadonlyMap<TaskId, TaskStatus>
  /** Victims that have not answered yet, with how often they were asked. */
  readonly asked: Map<TaskId, number>
}

interface Waiting {
  readonly configId: ConfigId
  readonly job: JobKey
  readonly taskIds: readonly TaskId[]
  readonly isProduction: boolean
  readonly priority: number
  readonly sinceMs: number
}

type Message =
  | { readonly type: 'arm' }
  | { readonly type: 'look' }
  | { readonly type: 'searchOn' }
  | { readonly type: 'claimed'; readonly asking: Asking; readonly answer: RoomClaimed }
  | { readonly type: 'answered'; readonly asking: Asking; readonly slot: OpenSlot; readonly answer: Transitioned }
  | { readonly type: 'unanswered' }

export function preemptorSpec(options: PreemptorOptions): ActorSpec<never> {
  const spec: ActorSpec<Message> = {
    name: 'preemptor',
    kind: 'Preemptor',
    start: context => preemptor(context, options),
  }
  return spec as ActorSpec<never>
}

function preemptor(context: Context<Message>, options: PreemptorOptions): Behaviour<Message> {
  const { ledger, metrics, tasks, settings, mustStay } = options
  const open = new OpenSlots()
  const why = new Map<ConfigId, string>()
  let queue: Waiting[] = []
  let asking: Asking | null = null
  let searches = 0
  let preempted = 0

  options.publish({
    slotsOf: configId => open.ofGroup(configId),
    whyNone: configId => why.get(configId) ?? null,
  })
  // Nobody waits: nothing to look at, and no timer either.
  let isArmed = false
  const arm = (): void => {
    const isNeeded = open.size > 0 || ledger.view.statusCount('PENDING') > 0
    if (settings.isEnabled && !isArmed && isNeeded) isArmed = context.self.tell({ type: 'arm' })
  }
  const unsubscribe = ledger.subscribe('staged', arm)
  arm()

  // ---- who waits ----

  function look(): void {
    isArmed = false
    arm()
    const nowMs = context.now().wallMs
    review(nowMs)
    // What is still in the queue comes first, or the last ones would never have their turn.
    if (ledger.refusal() !== null || queue.length > 0 || asking !== null) return
    metrics.count('preemptor_task_processor_runs')
    queue = waitingGroups(nowMs).sort(
      (a, b) => Number(b.isProduction) - Number(a.isProduction) || b.priority - a.priority || a.sinceMs - b.sinceMs,
    )
    const known = new Set(queue.map(({ configId }) => configId))
    for (const configId of why.keys()) if (!known.has(configId)) why.delete(configId)
    if (queue.length > 0) context.self.tell({ type: 'searchOn' })
  }

  function review(nowMs: number): void {
    if (open.size === 0) return
    const claimed = new Set<string>()
    for (const { id } of options.book().claims()) claimed.add(id)
    if (asking !== null) for (const { claim } of asking.slots) claimed.add(claim.id)
    const useless = open.review(claimed, isThere, { nowMs, unusedMs: settings.intervalMs })
    release(useless)
  }

  function isThere(victim: TaskId, agentId: AgentId): boolean {
    const row = ledger.view.task(victim)
    return row !== undefined && row.agentId === agentId && HOST_ASSIGNED.has(row.status)
  }

  /** Groups with tasks that have waited long enough, and that have been tried in vain. */
  function waitingGroups(nowMs: number): Waiting[] {
    const waiting: Waiting[] = []
    const book = options.book()
    for (const { configId, job, priority, taskIds } of options.pending().groups()) {
      const [first] = taskIds
      const config = ledger.view.config(configId)
      if (first === undefined || config === undefined || book.reasonsOf(configId) === null) continue
      const sinceMs = pendingSinceMs(first) ?? nowMs
      if (nowMs - sinceMs < settings.delayMs) continue
      waiting.push({ configId, job, priority, taskIds, sinceMs, isProduction: config.production })
    }
    return waiting
  }

  /** Null when it does not wait (any more). */
  function pendingSinceMs(id: TaskId): number | null {
    const row = ledger.view.task(id)
    return row?.status === 'PENDING' ? (row.events.at(-1)?.atMs ?? null) : null
  }

  // ---- searching ----

  /** One search a turn, and none while victims of the last one have yet to answer. */
  function searchOn(): void {
    if (asking !== null) return
    const next = queue.shift()
    if (next !== undefined && ledger.refusal() === null) search(next)
    if (queue.length > 0 && asking === null) context.self.tell({ type: 'searchOn' })
  }

  function search({ configId, job, taskIds, isProduction }: Waiting): void {
    const nowMs = context.now().wallMs
    const due = taskIds.filter(id => {
      const sinceMs = pendingSinceMs(id)
      return sinceMs !== null && nowMs - sinceMs >= settings.delayMs
    })
    const served = new Set(open.ofGroup(configId).map(({ taskId }) => taskId))
    const named = [...due.filter(id => !served.has(id)), ...served]
    const slotsMax = Math.max(settings.slotsMax, ledger.view.config(configId)?.gang ?? 1)
    const count = Math.min(due.length - claimsOf(configId), slotsMax)
    if (count <= 0) return
    searches++
    const kind = isProduction ? 'prod' : 'non_prod'
    metrics.count(`preemptor_slot_search_attempts_for_${kind}`)
    const seed = context.random.int(0, 2 ** 32)
    const request = { configId, count, nowMs, seed }
    const found = options.book().searchSlots(mustStay === undefined ? request : { ...request, mustStay })
    if (found.slots.length === 0) {
      metrics.count(`preemptor_slot_search_failed_for_${kind}`)
      metrics.count('preemptor_unmatched_tasks', count)
      why.set(configId, whyNoSlots(found))
      return
    }
    why.delete(configId)
    metrics.count(`preemptor_slot_search_successful_for_${kind}`)
    claim(configId, job, named, found, nowMs)
  }

  /** Those of before a restart of this actor, too. */
  function claimsOf(configId: ConfigId): number {
    let claims = 0
    for (const { owner } of options.book().claims()) {
      if (owner.type === 'group' && owner.configId === configId) claims++
    }
    return claims
  }

  function claim(configId: ConfigId, job: JobKey, named: readonly TaskId[], found: SlotsFound, nowMs: number): void {
    const owner = { type: 'group', configId } as const
    const expiresMs = nowMs + settings.reservationMs
    const statuses = new Map<TaskId, TaskStatus>()
    const slots = found.slots.map(({ agentId, host, needs, isRevocable, victims }, n): OpenSlot => {
      for (const { taskId, status } of victims) statuses.set(taskId, status)
      const taskId = named[n]!
      const claim = { id: options.nextClaimId(), agentId, needs, isRevocable, owner, expiresMs }
      return { claim, configId, taskId, host, victims: victims.map(victim => victim.taskId) }
    })
    for (const slot of slots) open.add(slot)
    const made: Asking = { job, slots, statuses, asked: new Map() }
    asking = made
    context.startTimer('answers', ANSWERS_MS_MAX, { type: 'unanswered' })
    options.broker().tell({
      type: 'claimRoom',
      claims: slots.map(slot => slot.claim),
      replyTo: {
        path: context.self.path,
        tell: answer => context.self.tell({ type: 'claimed', asking: made, answer }),
      },
    })
  }

  // ---- asking the victims ----

  function claimed(made: Asking, { claimIds }: RoomClaimed): void {
    if (made !== asking) return
    const holding = new Set(claimIds)
    for (const { claim, configId } of made.slots) {
      if (!holding.has(claim.id)) release(open.giveUp(configId, claim.agentId))
    }
    const slots = made.slots.filter(({ claim }) => open.has(claim.id))
    const hosts = [...new Set(slots.map(({ host }) => host))]
    if (slots.length > 0) {
      const shown = hosts.slice(0, 5).join(', ')
      context.log.info('preempting', { job: jobKeyText(made.job), slots: slots.length, hosts: shown })
    }
    for (const slot of slots) for (const victim of slot.victims) ask(made, slot, victim, made.statuses.get(victim)!)
    if (made.asked.size === 0) goOn()
  }

  function ask(made: Asking, slot: OpenSlot, victim: TaskId, expectStatus: TaskStatus): void {
    made.asked.set(victim, (made.asked.get(victim) ?? 0) + 1)
    tasks.tell({
      type: 'propose',
      taskId: victim,
      to: 'PREEMPTING',
      expectStatus,
      message: preemptionMessage(slot.taskId),
      who: 'preemptor',
      replyTo: {
        path: context.self.path,
        tell: answer => context.self.tell({ type: 'answered', asking: made, slot, answer }),
      },
    })
  }

  function answered(made: Asking, slot: OpenSlot, { taskId, result }: Transitioned): void {
    const row = ledger.view.task(taskId)
    if (result === 'SUCCESS') {
      preempted++
      const isProduction = row !== undefined && ledger.view.config(row.configId)?.production === true
      metrics.count(`preemptor_tasks_preempted_${isProduction ? 'prod' : 'non_prod'}`)
      metrics.count('preemptor_slot_validation_successful')
    } else if (row !== undefined && isThere(taskId, slot.claim.agentId)) {
      const isAskable = LIVE.has(row.status) && open.has(slot.claim.id)
      if (isAskable && (made.asked.get(taskId) ?? 0) < ASKED_MAX) return ask(made, slot, taskId, row.status)
      metrics.count('preemptor_slot_validation_failed')
      // What is dying for another reason frees its room all the same.
      if (LIVE.has(row.status) || row.status === 'PARTITIONED') {
        release(open.giveUp(slot.configId, slot.claim.agentId))
      }
    }
    made.asked.delete(taskId)
    if (made === asking && made.asked.size === 0) goOn()
  }

  function goOn(): void {
    asking = null
    context.cancelTimer('answers')
    if (queue.length > 0) context.self.tell({ type: 'searchOn' })
  }

  function release(claimIds: readonly string[]): void {
    if (claimIds.length > 0) options.broker().tell({ type: 'releaseClaims', claimIds })
  }

  return {
    receive(message) {
      switch (message.type) {
        case 'arm':
          return context.startTimer('look', settings.intervalMs, { type: 'look' })
        case 'look':
          return look()
        case 'searchOn':
          return searchOn()
        case 'claimed':
          return claimed(message.asking, message.answer)
        case 'answered':
          return answered(message.asking, message.slot, message.answer)
        case 'unanswered':
          return goOn()
      }
    },
    stopping: () => unsubscribe(),
    summary: () => ({
      enabled: settings.isEnabled,
      slotsOpen: open.size,
      answersAwaited: asking?.asked.size ?? 0,
      groupsWaiting: queue.length,
      searches,
      preempted,
    }),
  }
}
