/** What people read of preemption. */
import type { TaskId } from '../base/ids.ts'
import type { OpenSlot } from './open-slots.ts'
import type { SlotsFound } from './slot-search.ts'

const HOSTS_SHOWN = 3

/** The pending task that a slot is for, in the history of the victim. */
export function preemptionMessage(pending: TaskId): string {
  return `Preempting in favor of ${pending}`
}

/** Of the slots of one group: where room is being made. */
export function slotsInWords(slots: readonly Pick<OpenSlot, 'host' | 'victims'>[]): readonly string[] {
  const victims = new Map<string, number>()
  for (const slot of slots) victims.set(slot.host, (victims.get(slot.host) ?? 0) + slot.victims.length)
  const shown = [...victims].slice(0, HOSTS_SHOWN).map(([host, count]) => {
    return `preempting ${counted(count, 'task')} on ${host} for this group`
  })
  const more = victims.size - HOSTS_SHOWN
  return more > 0 ? [...shown, `preempting on ${counted(more, 'more host')} for this group`] : shown
}

/** Why a search that found nothing found nothing. */
export function whyNoSlots(found: SlotsFound): string {
  const { hosts, refused, roomy, withoutVictims, tooSmall, suitable, gangFound, isCutShort } = found
  if (hosts === 0) return 'no preemption: no agent is connected'
  const counts: readonly (readonly [count: number, one: string, many: string, text: string])[] = [
    [refused, 'refuses', 'refuse', 'the task whoever runs there'],
    [roomy, 'has', 'have', 'room as it is'],
    [withoutVictims, 'has', 'have', 'no task that this one may preempt'],
    [tooSmall, 'would', 'would', 'be too small, or over a limit, even without all tasks that this one may preempt'],
    [suitable, 'could', 'could', `make room, but for ${counted(gangFound, 'task')} of the gang only`],
  ]
  const parts = counts
    .filter(([count]) => count > 0)
    .map(([count, one, many, text]) => `${count} ${count === 1 ? one : many} ${text}`)
  const rest = isCutShort ? '; more hosts are searched next time' : ''
  return `no preemption: ${counted(hosts, 'host')} searched, of which ${parts.join(', ')}${rest}`
}

const counted = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? '' : 's'}`
