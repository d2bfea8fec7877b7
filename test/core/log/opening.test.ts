import { describe, expect, test } from 'vitest'
import {
  CLOSED,
  type OpeningEffect,
  type OpeningEvent,
  type OpeningState,
  stepOpening,
} from '../../../src/core/log/opening.ts'

/** The machine as its owner sees it: what it wants done is under way until the test says how it ended. */
class Bench {
  state: OpeningState = CLOSED
  effects: OpeningEffect[] = []

  tell(...events: OpeningEvent[]): this {
    for (const event of events) {
      const step = stepOpening(this.state, event)
      this.state = step.state
      this.effects.push(...step.effects)
    }
    return this
  }

  get said(): readonly string[] {
    return this.effects.map(({ type }) => type)
  }
}

const WANTED = { type: 'wanted' } as const
const OPENED = { type: 'opened' } as const
const OUTDATED = { type: 'outdated' } as const
const CLOSED_NOW = { type: 'closed' } as const
const STOP = { type: 'stop' } as const
const full = { type: 'diskFull', cause: 'no room' } as const
const failed = (why: 'full' | 'lacks' | 'broken') => ({ type: 'openFailed', why, cause: why }) as const

describe('what comes while something else is under way', () => {
  test('a snapshot arrives during an opening: the stores are opened once more, right after it', () => {
    const bench = new Bench().tell(WANTED, OUTDATED, OPENED, CLOSED_NOW, OPENED)
    expect(bench.said).toEqual(['open', 'close', 'open'])
    expect(bench.state).toEqual({ type: 'open' })
  })

  test('a snapshot arrives while the stores close for want of room: they close once, and wait for room', () => {
    const bench = new Bench().tell(WANTED, OPENED, full, OUTDATED, CLOSED_NOW)
    expect(bench.said).toEqual(['open', 'tellFull', 'close', 'awaitRoom'])
    expect(bench.tell({ type: 'room' }, OPENED).state).toEqual({ type: 'open' })
  })

  test('the disk is full while the stores close for a snapshot: they close once, and open when there is room', () => {
    const bench = new Bench().tell(WANTED, OPENED, OUTDATED, full, full, CLOSED_NOW, { type: 'room' })
    expect(bench.said).toEqual(['open', 'close', 'tellFull', 'awaitRoom', 'open'])
  })

  test('stopped during an opening: what it opened is closed before the end', () => {
    const bench = new Bench().tell(WANTED, STOP, OPENED)
    expect(bench.said).toEqual(['open', 'close'])
    expect(bench.tell(CLOSED_NOW).said.at(-1)).toBe('ended')
  })

  test('stopped while the stores close for a snapshot: they stay closed', () => {
    expect(new Bench().tell(WANTED, OPENED, OUTDATED, STOP, CLOSED_NOW).said).toEqual(['open', 'close', 'ended'])
  })

  test('the process is going to end: nothing is closed or opened until it is stopped', () => {
    const bench = new Bench().tell(WANTED, OPENED, { type: 'halt' }, OUTDATED, full)
    expect(bench.said).toEqual(['open'])
    expect(bench.tell(STOP, CLOSED_NOW).said).toEqual(['open', 'close', 'ended'])
  })
})

describe('an opening that fails', () => {
  test('the first one, for whatever reason but what others hold: whoever asked is told, and may ask again', () => {
    for (const why of ['full', 'broken'] as const) {
      const bench = new Bench().tell(WANTED, failed(why))
      expect(bench.effects.at(-1)).toEqual({ type: 'refuse', cause: why })
      expect(bench.tell(WANTED, OPENED).state).toEqual({ type: 'open' })
    }
  })

  test('a later one for want of room: waits for it; for another reason: the process ends', () => {
    const later = (): Bench => new Bench().tell(WANTED, OPENED, OUTDATED, CLOSED_NOW)
    expect(later().tell(failed('full')).said.slice(-2)).toEqual(['tellFull', 'awaitRoom'])
    expect(later().tell(failed('broken')).effects.at(-1)).toEqual({ type: 'die', cause: 'broken' })
  })

  test('others hold what is missing: mended, then opened; the mending is cut short by a stop', () => {
    const bench = new Bench().tell(WANTED, failed('lacks'))
    expect(bench.effects.at(-1)).toEqual({ type: 'mend', cause: 'lacks' })
    expect(new Bench().tell(WANTED, failed('lacks'), STOP, { type: 'mended' }).said).toEqual([
      'open',
      'mend',
      'stopMending',
      'ended',
    ])
    expect(bench.tell({ type: 'mended' }, OPENED).state).toEqual({ type: 'open' })
  })

  test('the disk is full while it is mended: waits for room, and opens again', () => {
    const bench = new Bench().tell(WANTED, failed('lacks'), { type: 'mendFailed', why: 'full', cause: 'no room' })
    expect(bench.tell({ type: 'room' }).said).toEqual(['open', 'mend', 'tellFull', 'awaitRoom', 'open'])
  })
})

/** What the world around the machine is like: at most one work under way, and what the next opening would find. */
interface World {
  readonly state: OpeningState
  readonly work: 'open' | 'close' | 'mend' | 'room' | null
  readonly isOpen: boolean
  /** Something on disk that only an opening from now on finds. */
  readonly owed: boolean
  readonly stopped: boolean
}

const BY_WORK = {
  open: [OPENED, failed('full'), failed('lacks'), failed('broken')],
  close: [CLOSED_NOW, { type: 'closeFailed', cause: 'broken' }],
  mend: [
    { type: 'mended' },
    { type: 'mendFailed', why: 'full', cause: '' },
    { type: 'mendFailed', why: 'broken', cause: '' },
  ],
  room: [{ type: 'room' }],
} as const satisfies Record<string, readonly OpeningEvent[]>

/** All that may happen in a world. Of closed stores, actors say nothing; but they speak until they are closed. */
function eventsIn({ work, isOpen }: World): readonly OpeningEvent[] {
  const outside: readonly OpeningEvent[] = [WANTED, { type: 'halt' }, STOP]
  const ofActors: readonly OpeningEvent[] = isOpen || work === 'open' ? [OUTDATED, full] : []
  return [...outside, ...ofActors, ...(work === null ? [] : BY_WORK[work])]
}

function next(world: World, event: OpeningEvent): World {
  const ends = world.work !== null && (BY_WORK[world.work] as readonly OpeningEvent[]).includes(event)
  let { work, isOpen, owed } = world
  if (ends) work = null
  if (event.type === 'opened') isOpen = true
  if (event.type === 'closed') isOpen = false
  if (event.type === 'outdated') owed = true
  const { state, effects } = stepOpening(world.state, event)
  for (const { type } of effects) {
    if (type === 'stopWaiting') work = null
    if (type !== 'open' && type !== 'close' && type !== 'mend' && type !== 'awaitRoom') continue
    expect(work, `${JSON.stringify(world)} ${event.type}: ${type}`).toBeNull()
    expect(isOpen, `${JSON.stringify(world)} ${event.type}: ${type}`).toBe(type === 'close')
    work = type === 'awaitRoom' ? 'room' : type
    if (type === 'open') owed = false
  }
  return { state, work, isOpen, owed, stopped: world.stopped || event.type === 'stop' || event.type === 'halt' }
}

describe('every state that can be reached, with every event that can come in it', () => {
  const seen = new Map<string, World>()
  const begin: World = { state: CLOSED, work: null, isOpen: false, owed: false, stopped: false }
  const open = [begin]
  for (let world = open.pop(); world !== undefined; world = open.pop()) {
    const key = JSON.stringify(world)
    if (seen.has(key)) continue
    seen.set(key, world)
    for (const event of eventsIn(world)) open.push(next(world, event))
  }
  const worlds = [...seen.values()]

  test('one work at a time; opened only when closed, closed only when open', () => {
    // `next` looks at each step; this is that it has looked at something.
    expect(worlds.length).toBeGreaterThan(30)
    expect(new Set(worlds.map(({ state }) => state.type)).size).toBe(8)
  })

  test('what has arrived is found by an opening that is still to come, unless the node ends', () => {
    for (const { owed, state, stopped } of worlds) {
      if (!owed || stopped || state.type === 'ended') continue
      // Closed after a failure: whoever was told of it asks again, or ends.
      const isToCome = 'next' in state ? state.next !== 'stay' : state.type === 'full' || state.type === 'closed'
      expect(isToCome, JSON.stringify(state)).toBe(true)
    }
  })

  test('ended: nothing is under way, and stopped: nothing is open', () => {
    for (const { state, work, isOpen } of worlds.filter(world => world.state.type === 'ended')) {
      expect(work).toBeNull()
      expect(state).toEqual({ type: 'ended' })
      // A closing that failed has no better idea.
      if (isOpen) expect(worlds.some(other => other.work === 'close')).toBe(true)
    }
  })

  test('stopped anywhere: whatever the work under way comes to, it ends', () => {
    for (const world of worlds) {
      for (const outcome of [0, 1, 2, 3]) {
        let at = next(world, STOP)
        for (let steps = 0; at.work !== null && steps < 5; steps++) {
          const outcomes: readonly OpeningEvent[] = BY_WORK[at.work]
          at = next(at, outcomes[outcome % outcomes.length]!)
        }
        expect(at.state, JSON.stringify(world)).toEqual({ type: 'ended' })
      }
    }
  })
})
