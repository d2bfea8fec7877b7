/**
 * The life of a scheduler node, from the opening of its log to the end of the last reign: which state it is in, what
 * follows, and what must have happened before it may act for the cluster.
 *
 *   IDLE ─► PREPARING_STORAGE ─► STORAGE_PREPARED ─► LEADER_AWAITING_REGISTRATION ─► ACTIVE ─► DEAD
 *                                       ▲                                                       │
 *                                       └───────────────────────────────────────────────────────┘
 *
 * The names and their order are Aurora's, so its dashboards go on to work. What differs is DEAD: there it is the end of
 * the process, here it is the end of a reign. Everything that acts for the cluster stops, leadership is given to another
 * node, and this one is a follower again whose replica votes as before. So a driver that is never let in, or a bug that
 * only a leader meets, costs the cluster a reign and not a voter. A node that cannot give leadership away, because it is
 * alone or nobody else is able, begins again after a pause; clients are never sent to it meanwhile.
 *
 * While a reign is being made nothing of it acts: the actors are made only after the driver was registered, and clients
 * and agents find them only when all have begun. A failure of the program itself ends the reign. The third within ten
 * minutes ends the process: then it is not one unlucky moment, and whoever supervises the process should see it.
 *
 * Every word about a reign carries its number, and a late one of an earlier reign is ignored. A step out of order is a
 * bug and throws. Source: the task life cycle, section 13; Aurora's SchedulerLifecycle.
 */
import { assert, assertNever } from '../base/assert.ts'
import type { Now } from '../base/time.ts'
import type { Ballot } from '../log/ballot.ts'

export const SCHEDULER_STATES = [
  'IDLE',
  'PREPARING_STORAGE',
  'STORAGE_PREPARED',
  'LEADER_AWAITING_REGISTRATION',
  'ACTIVE',
  'DEAD',
] as const
export type SchedulerState = (typeof SCHEDULER_STATES)[number]

/** What may follow; DEAD follows everything. */
const NEXT: Readonly<Record<SchedulerState, SchedulerState | null>> = {
  IDLE: 'PREPARING_STORAGE',
  PREPARING_STORAGE: 'STORAGE_PREPARED',
  STORAGE_PREPARED: 'LEADER_AWAITING_REGISTRATION',
  LEADER_AWAITING_REGISTRATION: 'ACTIVE',
  ACTIVE: null,
  DEAD: 'STORAGE_PREPARED',
}

/** What is under way within a state. */
export type SchedulerPhase =
  | 'none'
  /** The driver was started and has not been let in. */
  | 'registering'
  /** The actors of the reign are being made; nobody is sent to them yet. */
  | 'starting'
  /** Advertised: clients and agents are served. */
  | 'serving'
  /** The actors of the reign and the driver are being stopped. */
  | 'stopping'
  /** Another node is asked to take over. */
  | 'handingOver'
  /** Nobody took over: the next try begins after a pause. */
  | 'pausing'
  /** The node stops. */
  | 'over'

const PHASES: Readonly<Record<SchedulerState, readonly SchedulerPhase[]>> = {
  IDLE: ['none'],
  PREPARING_STORAGE: ['none'],
  STORAGE_PREPARED: ['none', 'pausing'],
  LEADER_AWAITING_REGISTRATION: ['registering'],
  ACTIVE: ['starting', 'serving'],
  DEAD: ['stopping', 'handingOver', 'over'],
}

export interface SchedulerLife {
  readonly state: SchedulerState
  readonly phase: SchedulerPhase
  /** The ballot under which this node leads and has its rows; null while it does not. */
  readonly epoch: Ballot | null
  /** Counts how often this node began to lead; the same ballot twice when the ledger had to read its rows again. */
  readonly elections: number
  /** Counts the reigns begun here, and of which election the last one is: there can be several of one. */
  readonly reign: number
  readonly reignElection: number
  /** Monotonic ms; null while not serving. */
  readonly servingSinceMs: number | null
  /** Tries in a row after which nobody took over and this node had not served for long: they make the pause longer. */
  readonly fruitless: number
  /** Monotonic ms of reigns that failed by a fault of the program, oldest first; those of the last ten minutes. */
  readonly failuresMs: readonly number[]
  /** The node stops: nothing begins any more. */
  readonly isOver: boolean
}

export interface LifeSettings {
  /** ms. How long a driver may take to be registered. */
  readonly registrationDelayMs: number
  /** ms. First pause of a leader that nobody relieves; doubles up to the longest. Default 1 s and 1 min. */
  readonly pauseMs: number
  readonly pauseMsMax: number
  /** ms. How long actors and driver may take to stop before another node is asked to take over all the same. */
  readonly endingMsMax: number
  /** So many failures by a fault of the program within so long end the process. Default 3 within 10 min. */
  readonly failuresMax: number
  readonly failuresWithinMs: number
}

export const LIFE_SETTINGS: LifeSettings = {
  registrationDelayMs: 60_000,
  pauseMs: 1_000,
  pauseMsMax: 60_000,
  // An actor has 10 s for what it does when it stops.
  endingMsMax: 15_000,
  failuresMax: 3,
  failuresWithinMs: 600_000,
}

export type LifeMessage =
  | { readonly type: 'prepare' }
  | { readonly type: 'prepared' }
  | { readonly type: 'prepareFailed' }
  /** This node leads and its rows are loaded. */
  | { readonly type: 'elected'; readonly epoch: Ballot }
  | { readonly type: 'lost'; readonly reason: string }
  | { readonly type: 'registered'; readonly reign: number }
  | { readonly type: 'driverExited'; readonly reign: number; readonly reason: string }
  | { readonly type: 'registrationExpired'; readonly reign: number }
  /** Every actor of the reign has begun. */
  | { readonly type: 'servicesBegan'; readonly reign: number }
  /** It ends its reign itself: what comes next is to begin anew, from the rows as they are then. */
  | { readonly type: 'resigned'; readonly reign: number; readonly reason: string }
  /** A step or an actor of the reign has failed for good. */
  | { readonly type: 'failed'; readonly reign: number; readonly cause: unknown }
  /** The actors of the reign and its driver are gone. */
  | { readonly type: 'ended'; readonly reign: number }
  /** They take too long to. */
  | { readonly type: 'endExpired'; readonly reign: number }
  | { readonly type: 'handedOver'; readonly reign: number; readonly how: string }
  | { readonly type: 'retry'; readonly reign: number }
  | { readonly type: 'stop' }

export type LifeEffect =
  | { readonly type: 'startDriver'; readonly reign: number; readonly epoch: Ballot }
  | { readonly type: 'startTimer'; readonly key: LifeTimer; readonly afterMs: number; readonly message: LifeMessage }
  | { readonly type: 'cancelTimer'; readonly key: LifeTimer }
  | { readonly type: 'startServices'; readonly reign: number; readonly epoch: Ballot }
  | { readonly type: 'advertise' }
  /** Actors and driver; answered by `ended`. */
  | { readonly type: 'endReign'; readonly reign: number; readonly reason: string }
  | { readonly type: 'handOver'; readonly reign: number }
  | { readonly type: 'endProcess'; readonly cause: unknown }
  | { readonly type: 'say'; readonly what: LifeEvent }
export type LifeTimer = 'registration' | 'ending' | 'retry'

/** What an operator should see in the log. */
export type LifeEvent =
  | { readonly type: 'elected'; readonly epoch: Ballot }
  | { readonly type: 'leading'; readonly epoch: Ballot }
  | { readonly type: 'notRegistered'; readonly toleratedMs: number }
  | { readonly type: 'driverExited'; readonly reason: string }
  | { readonly type: 'resigned'; readonly reason: string }
  | { readonly type: 'reignFailed'; readonly cause: unknown; readonly failures: number }
  | { readonly type: 'lost'; readonly reason: string }
  | { readonly type: 'endingLate'; readonly afterMs: number }
  | { readonly type: 'notRelieved'; readonly how: string; readonly pauseMs: number }
  | { readonly type: 'alreadyDead' }

export interface LifeStep {
  readonly life: SchedulerLife
  readonly effects: readonly LifeEffect[]
}

export const IDLE_LIFE: SchedulerLife = {
  state: 'IDLE',
  phase: 'none',
  epoch: null,
  elections: 0,
  reign: 0,
  reignElection: 0,
  servingSinceMs: null,
  fruitless: 0,
  failuresMs: [],
  isOver: false,
}

/** Never waits; throws only when told something that cannot be. */
export function step(life: SchedulerLife, message: LifeMessage, now: Now, settings: LifeSettings): LifeStep {
  if (life.isOver && message.type !== 'ended' && message.type !== 'stop') return { life, effects: [] }
  switch (message.type) {
    case 'prepare':
      return { life: moved(life, 'PREPARING_STORAGE', 'none'), effects: [] }
    case 'prepared':
      assert(life.state === 'PREPARING_STORAGE', 'a storage is prepared once', shown(life))
      return rest(moved(life, 'STORAGE_PREPARED', 'none'), settings)
    case 'prepareFailed':
      assert(life.state === 'PREPARING_STORAGE', 'only a storage that is being prepared can fail to be', shown(life))
      return { life: { ...moved(life, 'DEAD', 'over'), isOver: true }, effects: [] }
    case 'elected':
      return onElected(life, message.epoch, settings)
    case 'lost':
      return onLost(life, message.reason, now, settings)
    case 'stop':
      return onStop(life, now, settings)
    default:
      // Of an earlier reign, or of a step that is over.
      if (message.reign !== life.reign) return { life, effects: [] }
      return onReign(life, message, now, settings)
  }
}

/** Asserted after every step. */
export function invariants(life: SchedulerLife): void {
  assert(PHASES[life.state].includes(life.phase), 'a phase belongs to its state', shown(life))
  assert((life.phase === 'serving') === (life.servingSinceMs !== null), 'who serves knows since when', shown(life))
  const acts = life.phase === 'registering' || life.phase === 'starting' || life.phase === 'serving'
  assert(!acts || life.epoch !== null, 'a reign goes on only while this node leads', shown(life))
  assert(!acts || life.reignElection === life.elections, 'a reign is of the present election', shown(life))
  const rests = life.state === 'STORAGE_PREPARED' && life.phase === 'none'
  assert(!rests || life.epoch === null, 'a node that leads does not stay a follower', shown(life))
}

// ---- Messages ----

function onElected(life: SchedulerLife, epoch: Ballot, settings: LifeSettings): LifeStep {
  assert(life.state !== 'IDLE', 'nobody leads before its log is opened', shown(life))
  assert(life.epoch === null, 'a reign begins after the last one was lost', shown(life))
  const elected = { ...life, epoch, elections: life.elections + 1 }
  // The log tells who leads before it has said that it is open; a last reign has its end first.
  if (life.state !== 'STORAGE_PREPARED') return { life: elected, effects: [] }
  return begin(elected, settings)
}

function onLost(life: SchedulerLife, reason: string, now: Now, settings: LifeSettings): LifeStep {
  assert(life.epoch !== null, 'only who leads can lose leadership', shown(life))
  const lost = { ...life, epoch: null }
  switch (life.phase) {
    case 'registering':
    case 'starting':
    case 'serving':
      return end(lost, { type: 'lost', reason }, now, settings)
    case 'pausing':
      return { life: { ...lost, phase: 'none' }, effects: [{ type: 'cancelTimer', key: 'retry' }] }
    default:
      return { life: lost, effects: [] }
  }
}

function onStop(life: SchedulerLife, now: Now, settings: LifeSettings): LifeStep {
  const said: LifeEffect = { type: 'say', what: { type: 'alreadyDead' } }
  if (life.state === 'DEAD') return { life: { ...life, isOver: true }, effects: [said] }
  return end({ ...life, isOver: true }, null, now, settings)
}

type ReignMessage = Extract<LifeMessage, { readonly reign: number }>

function onReign(life: SchedulerLife, message: ReignMessage, now: Now, settings: LifeSettings): LifeStep {
  const { phase, reign, epoch } = life
  const isUnderWay = phase === 'registering' || phase === 'starting' || phase === 'serving'
  switch (message.type) {
    case 'registered': {
      if (phase !== 'registering' || epoch === null) break
      const effects: LifeEffect[] = [
        { type: 'cancelTimer', key: 'registration' },
        { type: 'startServices', reign, epoch },
      ]
      return { life: moved(life, 'ACTIVE', 'starting'), effects }
    }
    case 'servicesBegan': {
      if (phase !== 'starting' || epoch === null) break
      const serving: SchedulerLife = { ...life, phase: 'serving', servingSinceMs: now.monoMs }
      const what: LifeEvent = { type: 'leading', epoch }
      return { life: serving, effects: [{ type: 'advertise' }, { type: 'say', what }] }
    }
    case 'registrationExpired':
      if (phase !== 'registering') break
      return end(life, { type: 'notRegistered', toleratedMs: settings.registrationDelayMs }, now, settings)
    case 'driverExited':
      if (!isUnderWay) break
      return end(life, { type: 'driverExited', reason: message.reason }, now, settings)
    case 'resigned':
      if (!isUnderWay) break
      return end(life, { type: 'resigned', reason: message.reason }, now, settings)
    case 'failed':
      if (!isUnderWay) break
      return onFailed(life, message.cause, now, settings)
    case 'ended':
      if (phase !== 'stopping') break
      return onEnded(life, { type: 'cancelTimer', key: 'ending' }, settings)
    case 'endExpired':
      if (phase !== 'stopping') break
      return onEnded(life, { type: 'say', what: { type: 'endingLate', afterMs: settings.endingMsMax } }, settings)
    case 'handedOver':
      if (phase !== 'handingOver') break
      if (!isSameElection(life)) return rest(life, settings)
      return pause(life, message.how, settings)
    case 'retry':
      if (phase !== 'pausing') break
      return begin(life, settings)
    default:
      return assertNever(message)
  }
  return { life, effects: [] }
}

function onFailed(life: SchedulerLife, cause: unknown, now: Now, settings: LifeSettings): LifeStep {
  const recent = life.failuresMs.filter(at => now.monoMs - at < settings.failuresWithinMs)
  const failuresMs = [...recent, now.monoMs]
  const isHopeless = failuresMs.length >= settings.failuresMax
  const failed = { ...life, failuresMs, isOver: isHopeless }
  const ended = end(failed, { type: 'reignFailed', cause, failures: failuresMs.length }, now, settings)
  return isHopeless ? { ...ended, effects: [...ended.effects, { type: 'endProcess', cause }] } : ended
}

function onEnded(life: SchedulerLife, first: LifeEffect, settings: LifeSettings): LifeStep {
  if (life.isOver) return { life: { ...life, phase: 'over' }, effects: [first] }
  if (isSameElection(life)) {
    return { life: { ...life, phase: 'handingOver' }, effects: [first, { type: 'handOver', reign: life.reign }] }
  }
  const rested = rest(life, settings)
  return { ...rested, effects: [first, ...rested.effects] }
}

// ---- Steps ----

function begin(life: SchedulerLife, settings: LifeSettings): LifeStep {
  const { epoch } = life
  assert(epoch !== null, 'a reign begins only where this node leads', shown(life))
  const reign = life.reign + 1
  const begun = { ...moved(life, 'LEADER_AWAITING_REGISTRATION', 'registering'), reign, reignElection: life.elections }
  const expired: LifeMessage = { type: 'registrationExpired', reign }
  const effects: LifeEffect[] = [
    { type: 'say', what: { type: 'elected', epoch } },
    { type: 'startTimer', key: 'registration', afterMs: settings.registrationDelayMs, message: expired },
    { type: 'startDriver', reign, epoch },
  ]
  return { life: begun, effects }
}

/** `what` null: the node stops, and says so itself. */
function end(life: SchedulerLife, what: LifeEvent | null, now: Now, settings: LifeSettings): LifeStep {
  const { servingSinceMs, reign } = life
  const hasServedLong = servingSinceMs !== null && now.monoMs - servingSinceMs >= settings.failuresWithinMs
  const fruitless = hasServedLong ? 0 : life.fruitless
  const dead: SchedulerLife = { ...moved(life, 'DEAD', 'stopping'), fruitless, servingSinceMs: null }
  const effects: LifeEffect[] = [
    { type: 'cancelTimer', key: 'registration' },
    { type: 'cancelTimer', key: 'retry' },
    { type: 'startTimer', key: 'ending', afterMs: settings.endingMsMax, message: { type: 'endExpired', reign } },
    { type: 'endReign', reign, reason: what === null ? 'the node stops' : reasonOf(what) },
  ]
  return { life: dead, effects: what === null ? effects : [{ type: 'say', what }, ...effects] }
}

/** Back to a follower; or on to the next reign, if this node was elected meanwhile. */
function rest(life: SchedulerLife, settings: LifeSettings): LifeStep {
  const resting: SchedulerLife =
    life.state === 'STORAGE_PREPARED' ? life : { ...moved(life, 'STORAGE_PREPARED', 'none'), fruitless: 0 }
  return life.epoch === null ? { life: resting, effects: [] } : begin(resting, settings)
}

/** Nobody took over, so the same reign is tried again. */
function pause(life: SchedulerLife, how: string, settings: LifeSettings): LifeStep {
  const pauseMs = Math.min(settings.pauseMsMax, settings.pauseMs * 2 ** life.fruitless)
  const fruitless = Math.min(life.fruitless + 1, DOUBLINGS_MAX)
  const paused = { ...moved(life, 'STORAGE_PREPARED', 'pausing'), fruitless }
  const effects: LifeEffect[] = [
    { type: 'say', what: { type: 'notRelieved', how, pauseMs } },
    { type: 'startTimer', key: 'retry', afterMs: pauseMs, message: { type: 'retry', reign: life.reign } },
  ]
  return { life: paused, effects }
}

/** Past this many the pause is at its longest anyway. */
const DOUBLINGS_MAX = 30

// ---- Details ----

/** False: leadership was lost since the last reign began, whether or not it was won again. */
function isSameElection({ epoch, elections, reignElection }: SchedulerLife): boolean {
  return epoch !== null && elections === reignElection
}

function moved(life: SchedulerLife, state: SchedulerState, phase: SchedulerPhase): SchedulerLife {
  const isAllowed = state === 'DEAD' ? life.state !== 'DEAD' : NEXT[life.state] === state
  assert(isAllowed, 'a scheduler goes from one state to the next in their order', { from: life.state, to: state })
  return { ...life, state, phase }
}

/** In words, for the log and for those whose work is cut off. */
export function reasonOf(event: LifeEvent): string {
  switch (event.type) {
    case 'lost':
    case 'resigned':
      return event.reason
    case 'notRegistered':
      return 'its driver was not registered in time'
    case 'driverExited':
      return `its driver has exited: ${event.reason}`
    case 'reignFailed':
      return 'it failed by a fault of the program'
    default:
      return event.type
  }
}

const shown = ({ state, phase, reign }: SchedulerLife): Readonly<Record<string, unknown>> => ({ state, phase, reign })
