/**
 * What a node does with its stores, and when: they are opened, closed and opened again because a snapshot has arrived, a
 * record is damaged, the disk is full or what it has lost was mended, and these come together. One piece of work is under
 * way at any time (opening, closing, mending, the wait for room), each ends with one event, and what was asked for
 * meanwhile follows it: nothing is forgotten, and no two ever close the same stores. Pure; `OpeningKeeper` does the work.
 */
import { assert, assertNever } from '../base/assert.ts'

/** What follows the work under way; of two that were asked for, the later in this list: it holds the other one. */
const ORDER = ['stay', 'open', 'awaitRoom', 'end'] as const
type Next = (typeof ORDER)[number]

export type OpeningState =
  /** There was nothing to open yet. */
  | { readonly type: 'closed' }
  /** `isFirst`: whoever asked for it is told of a failure, and decides. */
  | { readonly type: 'opening'; readonly isFirst: boolean; readonly next: Next }
  | { readonly type: 'open' }
  | { readonly type: 'closing'; readonly next: Exclude<Next, 'stay'> }
  /** Closed, until there is room on the disk. */
  | { readonly type: 'full' }
  /** Closed, until what this disk has lost was had from other members. */
  | { readonly type: 'mending'; readonly next: 'open' | 'end' }
  /** Open, with nothing to come but the end. */
  | { readonly type: 'halted' }
  | { readonly type: 'ended' }

/** `lacks`: other members have what is missing; `broken`: it stays as it is, however often it is tried. */
export type OpeningTrouble = 'full' | 'lacks' | 'broken'

export type OpeningEvent =
  /** There is something to open, or to be formatted. */
  | { readonly type: 'wanted' }
  | { readonly type: 'opened' }
  | { readonly type: 'openFailed'; readonly why: OpeningTrouble; readonly cause: unknown }
  /** What is on disk is no longer what is open: a snapshot has arrived whole, or a record is found damaged. */
  | { readonly type: 'outdated' }
  /** A write of the open stores has met the full disk. */
  | { readonly type: 'diskFull'; readonly cause: unknown }
  | { readonly type: 'closed' }
  | { readonly type: 'closeFailed'; readonly cause: unknown }
  | { readonly type: 'room' }
  | { readonly type: 'mended' }
  | { readonly type: 'mendFailed'; readonly why: Exclude<OpeningTrouble, 'lacks'>; readonly cause: unknown }
  /** The process is going to end: nothing is begun any more, and nothing closed before it is asked for. */
  | { readonly type: 'halt' }
  | { readonly type: 'stop' }

export type OpeningEffect =
  /** Ends with `opened` or `openFailed`. */
  | { readonly type: 'open' }
  /** Ends with `closed` or `closeFailed`. `handOver`: the stores are sound, and a leader has the time to let go first. */
  | { readonly type: 'close'; readonly handOver: boolean }
  /** Ends with `mended` or `mendFailed`, soon after `stopMending`. */
  | { readonly type: 'mend'; readonly cause: unknown }
  | { readonly type: 'stopMending' }
  /** Nothing can be written until there is room. */
  | { readonly type: 'tellFull'; readonly cause: unknown }
  /** Ends with `room`, or with `stopWaiting`. */
  | { readonly type: 'awaitRoom' }
  | { readonly type: 'stopWaiting' }
  /** To whoever asked for the first opening. */
  | { readonly type: 'refuse'; readonly cause: unknown }
  | { readonly type: 'die'; readonly cause: unknown }
  /** Nothing is open and nothing under way. */
  | { readonly type: 'ended'; readonly cause?: unknown }

export interface OpeningStep {
  readonly state: OpeningState
  readonly effects: readonly OpeningEffect[]
}

export const CLOSED: OpeningState = { type: 'closed' }

export function stepOpening(state: OpeningState, event: OpeningEvent): OpeningStep {
  switch (event.type) {
    case 'wanted':
      return state.type === 'closed' ? opening(true) : stays(state)
    case 'opened':
      return onOpened(state)
    case 'openFailed':
      assert(state.type === 'opening', 'only an opening under way can fail', { state: state.type })
      if (state.next === 'end') return end()
      if (event.why === 'lacks') return to({ type: 'mending', next: 'open' }, { type: 'mend', cause: event.cause })
      if (state.isFirst) return to(CLOSED, { type: 'refuse', cause: event.cause })
      return failed(event.why, event.cause)
    case 'outdated':
      return reopened(state, 'open')
    case 'diskFull':
      return reopened(state, 'awaitRoom', { type: 'tellFull', cause: event.cause })
    case 'closed':
      assert(state.type === 'closing', 'only stores that are being closed are closed', { state: state.type })
      if (state.next === 'end') return end()
      return state.next === 'open' ? opening(false) : to({ type: 'full' }, { type: 'awaitRoom' })
    case 'closeFailed':
      assert(state.type === 'closing', 'only a closing under way can fail', { state: state.type })
      if (state.next === 'end') return to({ type: 'ended' }, { type: 'ended', cause: event.cause })
      return failed('broken', event.cause)
    case 'room':
      return state.type === 'full' ? opening(false) : stays(state)
    case 'mended':
      assert(state.type === 'mending', 'only what is being mended is mended', { state: state.type })
      return state.next === 'end' ? end() : opening(false)
    case 'mendFailed':
      assert(state.type === 'mending', 'only mending under way can fail', { state: state.type })
      return state.next === 'end' ? end() : failed(event.why, event.cause)
    case 'halt':
      return state.type === 'open' ? to({ type: 'halted' }) : ending(state)
    case 'stop':
      if (state.type === 'open') return closing('end', true)
      return state.type === 'halted' ? closing('end', false) : ending(state)
    default:
      return assertNever(event)
  }
}

function onOpened(state: OpeningState): OpeningStep {
  assert(state.type === 'opening', 'only an opening under way ends', { state: state.type })
  return state.next === 'stay' ? to({ type: 'open' }) : closing(state.next, false)
}

/** Closed stores are opened anew anyway, and those that end are not opened again. */
function reopened(state: OpeningState, next: 'open' | 'awaitRoom', ...told: OpeningEffect[]): OpeningStep {
  if (state.type === 'open') {
    const step = closing(next, next === 'awaitRoom')
    return { state: step.state, effects: [...told, ...step.effects] }
  }
  if (state.type !== 'opening' && state.type !== 'closing') return stays(state)
  return isLater(next, state.next) ? to({ ...state, next }, ...told) : stays(state)
}

/** The end of stores that are not open. */
function ending(state: Exclude<OpeningState, { type: 'open' }>): OpeningStep {
  switch (state.type) {
    case 'opening':
    case 'closing':
      return to({ ...state, next: 'end' })
    case 'mending':
      return to({ ...state, next: 'end' }, { type: 'stopMending' })
    case 'full':
      return to({ type: 'ended' }, { type: 'stopWaiting' }, { type: 'ended' })
    case 'halted':
      return stays(state)
    case 'closed':
    case 'ended':
      return end()
    default:
      return assertNever(state)
  }
}

function failed(why: Exclude<OpeningTrouble, 'lacks'>, cause: unknown): OpeningStep {
  return why === 'full'
    ? to({ type: 'full' }, { type: 'tellFull', cause }, { type: 'awaitRoom' })
    : to({ type: 'ended' }, { type: 'die', cause })
}

function opening(isFirst: boolean): OpeningStep {
  return to({ type: 'opening', isFirst, next: 'stay' }, { type: 'open' })
}

function closing(next: Exclude<Next, 'stay'>, handOver: boolean): OpeningStep {
  return to({ type: 'closing', next }, { type: 'close', handOver })
}

const end = (): OpeningStep => to({ type: 'ended' }, { type: 'ended' })
const stays = (state: OpeningState): OpeningStep => to(state)
const isLater = (a: Next, b: Next): boolean => ORDER.indexOf(a) > ORDER.indexOf(b)

function to(state: OpeningState, ...effects: OpeningEffect[]): OpeningStep {
  return { state, effects }
}
