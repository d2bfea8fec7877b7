/**
 * Preemptor: makes room for tasks that have waited long enough, at the cost of tasks that may be preempted for them. One
 * on the leader.
 *
 * It looks at the groups that are parked, the most important first, one search a turn. For each slot found it first has
 * the room claimed for the group, so that nobody else gets it, and then asks every victim to go. The tasks decide: a
 * victim that has changed meanwhile refuses, and then the claim is given up and the group is searched for again. The
 * group's own attempt uses the claim when the room is free.
 *
 * Claims are memory: after a change of leader, victims that were asked to go still go, and their room is for whoever is
 * first in turn; a group that comes away empty is searched for anew.
 * Source: the scheduling spec, sections 9 and 17, item D9.
 */
import { type AgentId, type ConfigId, type JobKey, jobKeyText, type TaskId } from '../core/base/ids.ts'
import type { RoomClaim } from '../core/offers/claims.ts'
import { preemptionMessage, type Slot, type SlotsFound } from '../core/preempt/slot-search.ts'
import type { ActorSpec, Behaviour, Context, Ref } from './actor.ts'
import type { Ledger } from './ledger.ts'
import type { ClaimRoom, OfferBookView, ReleaseClaims } from './offer-broker.ts'
import type { Metrics } from './ports.ts'
import type { PendingGroupsView } from './task-groups.ts'
import type { TaskDirectory, Transitioned } from './task-state-machine.ts'

export interface PreemptorSettings {
  readonly isEnabled: boolean
  /** A task is preempted for only when it has been PENDING for so long, ms. */
  readonly delayMs: number
  /** Between two looks at the pending groups, ms. */
  readonly intervalMs: number
  /** Slots that one search takes for a group. */
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

/** Room that is being made for a group. */
export interface SlotView {
  readonly taskId: TaskId
  readonly host: string
  readonly victims: readonly TaskId[]
}

/** What is known of preemption for a group; plain reads. */
export interface PreemptionView {
  slotsOf(configId: ConfigId): readonly SlotView[]
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
  readonly settings: PreemptorSettings
  readonly publish: (view: PreemptionView) => void
}

/** A claim with its victims. */
interface Open {
  readonly claim: RoomClaim
  readonly configId: ConfigId
  readonly taskId: TaskId
  readonly host: string
  readonly agentId: AgentId
  readonly victims: readonly TaskId[]
  /** Victims that have not answered yet. */
  readonly asked: Set<TaskId>
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
  | { readonly type: 'answered'; readonly open: Open; readonly answer: Transitioned }

export function preemptorSpec(options: PreemptorOptions): ActorSpec<never> {
  const spec: ActorSpec<Message> = {
    name: 'preemptor',
    kind: 'Preemptor',
    start: context => preemptor(context, options),
  }
  return spec as ActorSpec<never>
}

function preemptor(context: Context<Message>, options: PreemptorOptions): Behaviour<Message> {
  const { ledger, metrics, tasks, settings } = options
  const open = new Map<string, Open>()
  const why = new Map<ConfigId, string>()
  let queue: Waiting[] = []
  let claimIds = 0
  let searches = 0
  let preempted = 0

  options.publish({
    slotsOf: configId => [...open.values()].filter(slot => slot.configId === configId),
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

  function look(): void {
    isArmed = false
    arm()
    forgetUsed()
    if (ledger.refusal() !== null) return
    const nowMs = context.now().wallMs
    const isIdle = queue.length === 0
    queue = waitingGroups(nowMs).sort(
      (a, b) => Number(b.isProduction) - Number(a.isProduction) || b.priority - a.priority || a.sinceMs - b.sinceMs,
    )
    const known = new Set(queue.map(({ configId }) => configId))
    for (const configId of why.keys()) if (!known.has(configId)) why.delete(configId)
    if (isIdle && queue.length > 0) context.self.tell({ type: 'searchOn' })
  }

  /** Groups with tasks that have waited long enough, that have been tried in vain, and for which no room is being made yet. */
  function waitingGroups(nowMs: number): Waiting[] {
    const waiting: Waiting[] = []
    const book = options.book()
    for (const { configId, job, priority, taskIds } of options.pending().groups()) {
      const [first] = taskIds
      const config = ledger.view.config(configId)
      if (first === undefined || config === undefined || book.reasonsOf(configId) === null) continue
      const sinceMs = ledger.view.task(first)?.events.at(-1)?.atMs ?? nowMs
      if (nowMs - sinceMs < settings.delayMs) continue
      waiting.push({ configId, job, priority, taskIds, sinceMs, isProduction: config.production })
    }
    return waiting
  }

  /** One search a turn. */
  function searchOn(): void {
    const next = queue.shift()
    if (next === undefined) return
    if (ledger.refusal() === null) search(next)
    if (queue.length > 0) context.self.tell({ type: 'searchOn' })
  }

  function search({ configId, job, taskIds, isProduction }: Waiting): void {
    const nowMs = context.now().wallMs
    const served = new Set([...open.values()].map(({ taskId }) => taskId))
    const due = taskIds.filter(id => {
      const row = ledger.view.task(id)
      return (
        row?.status === 'PENDING' && !served.has(id) && nowMs - (row.events.at(-1)?.atMs ?? nowMs) >= settings.delayMs
      )
    })
    const count = Math.min(due.length, settings.slotsMax)
    if (count === 0) return
    searches++
    const kind = isProduction ? 'prod' : 'non_prod'
    metrics.count(`preemptor_slot_search_attempts_for_${kind}`)
    const seed = context.random.int(0, 2 ** 32)
    const found = options.book().searchSlots({ configId, count, nowMs, seed })
    if (found.slots.length === 0) {
      metrics.count(`preemptor_slot_search_failed_for_${kind}`)
      metrics.count('preemptor_unmatched_tasks', count)
      why.set(configId, whyNothing(found))
      return
    }
    why.delete(configId)
    metrics.count(`preemptor_slot_search_successful_for_${kind}`)
    const slots = found.slots.map((slot, n) => opened(configId, due[n]!, slot, nowMs))
    options.broker().tell({ type: 'claimRoom', claims: slots.map(({ claim }) => claim) })
    context.log.info('preempting', {
      job: jobKeyText(job),
      slots: slots.length,
      hosts: slots
        .map(({ host }) => host)
        .slice(0, 5)
        .join(', '),
    })
    found.slots.forEach((slot, n) => {
      for (const victim of slot.victims) ask(slots[n]!, victim.taskId, victim.status)
    })
  }

  function opened(configId: ConfigId, taskId: TaskId, slot: Slot, nowMs: number): Open {
    const { agentId, host, needs } = slot
    const victims = slot.victims.map(victim => victim.taskId)
    const id = `preemption-${++claimIds}`
    const expiresMs = nowMs + settings.reservationMs
    const claim: RoomClaim = { id, agentId, needs, owner: { type: 'group', configId }, expiresMs }
    const made: Open = { claim, configId, taskId, host, agentId, victims, asked: new Set(victims) }
    open.set(id, made)
    return made
  }

  function ask(slot: Open, victim: TaskId, expectStatus: Slot['victims'][number]['status']): void {
    tasks.tell({
      type: 'propose',
      taskId: victim,
      to: 'PREEMPTING',
      expectStatus,
      message: preemptionMessage(slot.taskId),
      who: 'preemptor',
      replyTo: {
        path: context.self.path,
        tell: answer => context.self.tell({ type: 'answered', open: slot, answer }),
      },
    })
  }

  function answered(slot: Open, { taskId, result }: Transitioned): void {
    slot.asked.delete(taskId)
    if (result === 'SUCCESS') {
      preempted++
      const isProduction = ledger.view.config(ledger.view.task(taskId)?.configId ?? slot.configId)?.production ?? false
      metrics.count(`preemptor_tasks_preempted_${isProduction ? 'prod' : 'non_prod'}`)
      return
    }
    // It has gone by itself, or is going: its room comes all the same. Whoever has moved on and stays is no victim any more.
    metrics.count('preemptor_slot_validation_failed')
    const row = ledger.view.task(taskId)
    if (row !== undefined && (row.status === 'STARTING' || row.status === 'RUNNING')) giveUp(slot)
  }

  function giveUp({ claim }: Open): void {
    if (!open.delete(claim.id)) return
    options.broker().tell({ type: 'releaseClaims', claimIds: [claim.id] })
  }

  /** Used, expired, of no use any more: what is left are slots whose room is still to come. */
  function forgetUsed(): void {
    const claimed = new Set<string>()
    for (const { id } of options.book().claims()) claimed.add(id)
    for (const slot of [...open.values()]) {
      if (!claimed.has(slot.claim.id)) {
        open.delete(slot.claim.id)
        continue
      }
      // All have gone, and the group has had its turn: the room is too small after all, or not needed any more.
      const isVacated = slot.victims.every(id => ledger.view.task(id)?.agentId !== slot.agentId || isGone(id))
      if (isVacated && ledger.view.task(slot.taskId)?.status !== 'PENDING') giveUp(slot)
    }
  }

  function isGone(id: TaskId): boolean {
    const row = ledger.view.task(id)
    return (
      row === undefined || !ledger.view.tasksOnAgent(row.agentId ?? ('' as AgentId)).some(task => task.taskId === id)
    )
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
        case 'answered':
          return answered(message.open, message.answer)
      }
    },
    stopping: () => unsubscribe(),
    summary: () => ({
      enabled: settings.isEnabled,
      slotsOpen: open.size,
      groupsWaiting: queue.length,
      searches,
      preempted,
    }),
  }
}

/** For people: why nobody is preempted. */
function whyNothing({ hosts, refused, withoutVictims, tooSmall }: SlotsFound): string {
  const parts = [
    ...(refused > 0 ? [`${refused} refuse the task whoever runs there`] : []),
    ...(withoutVictims > 0 ? [`${withoutVictims} have no task that may be preempted for it`] : []),
    ...(tooSmall > 0 ? [`${tooSmall} would be too small even then`] : []),
  ]
  return `no preemption: of ${hosts} hosts ${parts.join(', ')}`
}
