/**
 * When leadership changes in a soak, and how. The first node is never restarted, so that its memory tells of the whole
 * run, and leads in every second slot, so that each sixth of an hour holds the same. The others lead in between; whoever
 * does is stopped and started again at the end of its slot, and killed once in the middle of the run. Pure.
 */

export const FIRST = 1

export type Step = {
  /** Seconds since the load began. */
  readonly atS: number
} & (
  | { readonly what: 'transfer'; readonly to: 2 | 3 }
  /** Of the leader, which is not the first node; that one leads then. */
  | { readonly what: 'stop' | 'kill' }
)

const SLOTS = 12
const SLOTS_LEAST = 3
const SLOT_S_LEAST = 60

export function planOf(lengthS: number): readonly Step[] {
  const slots = Math.min(SLOTS, Math.max(SLOTS_LEAST, Math.floor(lengthS / SLOT_S_LEAST)))
  const middle = 2 * Math.round(slots / 4)
  return Array.from({ length: slots - 1 }, (_, before): Step => {
    const slot = before + 1
    const atS = (slot * lengthS) / slots
    if (slot % 2 === 0) return { atS, what: slot === middle ? 'kill' : 'stop' }
    return { atS, what: 'transfer', to: slot % 4 === 1 ? 2 : 3 }
  })
}
