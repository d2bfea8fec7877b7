/** What the edges of a node show of its life as a scheduler: HTTP, numbers, the command line. */
import { assertNever } from '../base/assert.ts'
import type { LifeSettings, SchedulerLife, SchedulerState } from './scheduler-states.ts'

export interface LifeView {
  readonly state: SchedulerState
  /** Clients and agents may be sent here. */
  readonly isAdvertised: boolean
  /** The driver of the present reign has been let in. */
  readonly isRegistered: boolean
  /** What must happen before this node serves; null: it serves, or it need not. */
  readonly waitsFor: string | null
}

/** `isServed`: the actors of the reign can be reached; they stop at once when leadership is lost, the life soon after. */
export function lifeView(life: SchedulerLife, isServed: boolean, settings: LifeSettings): LifeView {
  const isAdvertised = life.phase === 'serving' && isServed
  const cutOff = life.phase === 'serving' ? 'the actors of its last reign to stop' : null
  return {
    state: life.state,
    isAdvertised,
    isRegistered: life.state === 'ACTIVE',
    waitsFor: isAdvertised ? null : (waitsFor(life, settings) ?? cutOff),
  }
}

function waitsFor(life: SchedulerLife, settings: LifeSettings): string | null {
  switch (life.phase) {
    case 'none':
      if (life.state === 'STORAGE_PREPARED') return null
      return life.state === 'IDLE' ? 'the start of its log' : 'its log to be opened'
    case 'serving':
      return null
    case 'registering':
      return `its driver to be registered, at most ${settings.registrationDelayMs / 1000} s`
    case 'starting':
      return 'the actors of its reign to begin'
    case 'stopping':
      return 'the actors of its last reign to stop'
    case 'handingOver':
      return 'another node to take over'
    case 'pausing':
      return 'the pause before its next try to be over; the last one failed, see its log'
    case 'over':
      return 'nothing: it stops'
    default:
      return assertNever(life.phase)
  }
}
