import { describe, expect, test } from 'vitest'
import { prng } from '../../../src/core/base/prng.ts'
import { lifeView } from '../../../src/core/lifecycle/life-view.ts'
import {
  IDLE_LIFE,
  invariants,
  LIFE_SETTINGS,
  type LifeEffect,
  type LifeMessage,
  type SchedulerLife,
  step,
} from '../../../src/core/lifecycle/scheduler-states.ts'

const EPOCH = [3, 1] as const
const CAUSE = new Error('a fault of the program')

/** A life that is played message by message; the clock stands unless it is moved. */
class Played {
  life: SchedulerLife = IDLE_LIFE
  nowMs = 0
  /** Of the last message. */
  effects: readonly LifeEffect[] = []

  tell(...messages: LifeMessage[]): this {
    for (const message of messages) {
      const next = step(this.life, message, { monoMs: this.nowMs, wallMs: this.nowMs }, LIFE_SETTINGS)
      invariants(next.life)
      this.life = next.life
      this.effects = next.effects
    }
    return this
  }
  get at(): string {
    return `${this.life.state} ${this.life.phase}`
  }
  get types(): string[] {
    return this.effects.map(effect => (effect.type === 'say' ? `say ${effect.what.type}` : effect.type))
  }
}

const elected: LifeMessage = { type: 'elected', epoch: EPOCH }
const lost: LifeMessage = { type: 'lost', reason: 'another leads' }
const registered: LifeMessage = { type: 'registered', reign: 1 }
const began: LifeMessage = { type: 'servicesBegan', reign: 1 }
const failed: LifeMessage = { type: 'failed', reign: 1, cause: CAUSE }
const expired: LifeMessage = { type: 'registrationExpired', reign: 1 }
const ended: LifeMessage = { type: 'ended', reign: 1 }
const handedOver: LifeMessage = { type: 'handedOver', reign: 1, how: 'nobody else is there' }

/** One way to every place a life can be at. */
const PLACES: Readonly<Record<string, readonly LifeMessage[]>> = {
  'IDLE none': [],
  'PREPARING_STORAGE none': [{ type: 'prepare' }],
  'STORAGE_PREPARED none': [{ type: 'prepare' }, { type: 'prepared' }],
  'LEADER_AWAITING_REGISTRATION registering': [{ type: 'prepare' }, { type: 'prepared' }, elected],
  'ACTIVE starting': [{ type: 'prepare' }, { type: 'prepared' }, elected, registered],
  'ACTIVE serving': [{ type: 'prepare' }, { type: 'prepared' }, elected, registered, began],
  'DEAD stopping': [{ type: 'prepare' }, { type: 'prepared' }, elected, expired],
  'DEAD handingOver': [{ type: 'prepare' }, { type: 'prepared' }, elected, expired, ended],
  'STORAGE_PREPARED pausing': [{ type: 'prepare' }, { type: 'prepared' }, elected, expired, ended, handedOver],
  'DEAD over': [{ type: 'prepare' }, { type: 'prepareFailed' }],
}
const at = (place: keyof typeof PLACES): Played => new Played().tell(...(PLACES[place] ?? []))

/** What a place answers to each message: the place after it, or `bug`. What is left out stays where it is. */
const MESSAGES: readonly LifeMessage[] = [
  { type: 'prepare' },
  { type: 'prepared' },
  { type: 'prepareFailed' },
  elected,
  lost,
  registered,
  began,
  expired,
  { type: 'driverExited', reign: 1, reason: 'gone' },
  { type: 'resigned', reign: 1, reason: 'restored' },
  failed,
  ended,
  { type: 'endExpired', reign: 1 },
  handedOver,
  { type: 'retry', reign: 1 },
  { type: 'stop' },
]
type Answers = Partial<Record<LifeMessage['type'], string>>
const STEPS_OUT_OF_ORDER: Answers = { prepare: 'bug', prepared: 'bug', prepareFailed: 'bug' }
const ENDS: Answers = {
  lost: 'DEAD stopping',
  driverExited: 'DEAD stopping',
  resigned: 'DEAD stopping',
  failed: 'DEAD stopping',
  stop: 'DEAD stopping',
}
const TABLE: Readonly<Record<string, Answers>> = {
  'IDLE none': {
    ...STEPS_OUT_OF_ORDER,
    prepare: 'PREPARING_STORAGE none',
    elected: 'bug',
    lost: 'bug',
    stop: 'DEAD stopping',
  },
  'PREPARING_STORAGE none': {
    prepare: 'bug',
    prepared: 'STORAGE_PREPARED none',
    prepareFailed: 'DEAD over',
    lost: 'bug',
    stop: 'DEAD stopping',
  },
  'STORAGE_PREPARED none': {
    ...STEPS_OUT_OF_ORDER,
    elected: 'LEADER_AWAITING_REGISTRATION registering',
    lost: 'bug',
    stop: 'DEAD stopping',
  },
  'LEADER_AWAITING_REGISTRATION registering': {
    ...STEPS_OUT_OF_ORDER,
    ...ENDS,
    elected: 'bug',
    registered: 'ACTIVE starting',
    registrationExpired: 'DEAD stopping',
  },
  'ACTIVE starting': { ...STEPS_OUT_OF_ORDER, ...ENDS, elected: 'bug', servicesBegan: 'ACTIVE serving' },
  'ACTIVE serving': { ...STEPS_OUT_OF_ORDER, ...ENDS, elected: 'bug' },
  'DEAD stopping': { ...STEPS_OUT_OF_ORDER, elected: 'bug', ended: 'DEAD handingOver', endExpired: 'DEAD handingOver' },
  'DEAD handingOver': { ...STEPS_OUT_OF_ORDER, elected: 'bug', handedOver: 'STORAGE_PREPARED pausing' },
  'STORAGE_PREPARED pausing': {
    ...STEPS_OUT_OF_ORDER,
    elected: 'bug',
    lost: 'STORAGE_PREPARED none',
    retry: 'LEADER_AWAITING_REGISTRATION registering',
    stop: 'DEAD stopping',
  },
  'DEAD over': {},
}

describe('every place, every message', () => {
  test.for(Object.keys(TABLE))('%s: as the table says, and a step out of order throws', place => {
    expect(at(place).at, 'the way there').toBe(place)
    for (const message of MESSAGES) {
      const wanted = TABLE[place]?.[message.type] ?? place
      const played = at(place)
      if (wanted === 'bug') expect(() => played.tell(message), message.type).toThrow()
      else expect(played.tell(message).at, message.type).toBe(wanted)
    }
  })
})

describe('the way to a reign', () => {
  test('elected: the driver is started and timed, and nothing that acts is made before it is registered', () => {
    const life = at('LEADER_AWAITING_REGISTRATION registering')
    expect(life.types).toEqual(['say elected', 'startTimer', 'startDriver'])
    expect(life.effects[1]).toMatchObject({ key: 'registration', afterMs: 60_000, message: expired })
    expect(life.tell(registered).types).toEqual(['cancelTimer', 'startServices'])
    expect(life.tell(began).types).toEqual(['advertise', 'say leading'])
  })

  test('elected while the log is still being opened: begins when it is', () => {
    const life = at('PREPARING_STORAGE none').tell(elected)
    expect([life.at, life.types]).toEqual(['PREPARING_STORAGE none', []])
    expect(life.tell({ type: 'prepared' }).at).toBe('LEADER_AWAITING_REGISTRATION registering')
  })

  test('only a reign whose actors have all begun is advertised', () => {
    const shown = Object.keys(PLACES).filter(place => lifeView(at(place).life, true, LIFE_SETTINGS).isAdvertised)
    expect(shown).toEqual(['ACTIVE serving'])
    expect(lifeView(at('ACTIVE serving').life, false, LIFE_SETTINGS)).toMatchObject({
      isAdvertised: false,
      waitsFor: 'the actors of its last reign to stop',
    })
    expect(lifeView(at('LEADER_AWAITING_REGISTRATION registering').life, false, LIFE_SETTINGS)).toEqual({
      state: 'LEADER_AWAITING_REGISTRATION',
      isAdvertised: false,
      isRegistered: false,
      waitsFor: 'its driver to be registered, at most 60 s',
    })
  })

  test('word of an earlier reign is ignored, whatever it says', () => {
    const second = at('STORAGE_PREPARED pausing').tell({ type: 'retry', reign: 1 })
    expect(second.life.reign).toBe(2)
    for (const message of MESSAGES.filter(message => 'reign' in message)) {
      expect([second.tell(message).at, second.types], message.type).toEqual([
        'LEADER_AWAITING_REGISTRATION registering',
        [],
      ])
    }
  })
})

describe('the end of a reign', () => {
  test('driver not registered in time: said, stopped, leadership given away, a follower again', () => {
    const life = at('LEADER_AWAITING_REGISTRATION registering').tell(expired)
    expect(life.types).toEqual(['say notRegistered', 'cancelTimer', 'cancelTimer', 'startTimer', 'endReign'])
    expect(life.tell(ended).types).toEqual(['cancelTimer', 'handOver'])
    expect(life.tell(lost).at).toBe('DEAD handingOver')
    expect(life.tell(handedOver).at).toBe('STORAGE_PREPARED none')
    expect(life.effects).toEqual([])
  })

  test('leadership lost: nothing is left to give away', () => {
    const life = at('ACTIVE serving').tell(lost)
    expect(life.types).toEqual(['say lost', 'cancelTimer', 'cancelTimer', 'startTimer', 'endReign'])
    expect(life.tell(ended).at).toBe('STORAGE_PREPARED none')
    expect(life.types).toEqual(['cancelTimer'])
  })

  test('lost and won again under the same ballot while the last reign stops: the next begins when it is gone', () => {
    const life = at('ACTIVE serving').tell(lost, elected)
    expect(life.at).toBe('DEAD stopping')
    expect(life.tell(ended).at).toBe('LEADER_AWAITING_REGISTRATION registering')
    expect(life.life.reign).toBe(2)
  })

  test('nobody takes over: again with pauses that double from 1 s to 1 min', () => {
    const life = at('STORAGE_PREPARED none').tell(elected)
    const pauses = [1, 2, 3, 4, 5, 6, 7, 8].map(reign => {
      life.tell(
        { type: 'registrationExpired', reign },
        { type: 'ended', reign },
        { type: 'handedOver', reign, how: 'alone' },
      )
      const pauseMs = life.effects.find(effect => effect.type === 'startTimer')?.afterMs
      life.tell({ type: 'retry', reign })
      return pauseMs
    })
    expect(pauses).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000])
  })

  test('a reign that served for ten minutes: the next pause is the first one again', () => {
    const life = at('STORAGE_PREPARED pausing').tell(
      { type: 'retry', reign: 1 },
      { type: 'registered', reign: 2 },
      { type: 'servicesBegan', reign: 2 },
    )
    life.nowMs += 600_000
    life.tell({ type: 'driverExited', reign: 2, reason: 'gone' }, { type: 'ended', reign: 2 })
    life.tell({ type: 'handedOver', reign: 2, how: 'alone' })
    expect(life.effects).toMatchObject([{ type: 'say' }, { type: 'startTimer', afterMs: 1_000 }])
  })

  test.for([
    { everyMs: 1_000, wanted: [false, false, true] },
    { everyMs: 300_000, wanted: [false, false, false] },
  ])('three failures of the program, one every $everyMs ms: the process ends is $wanted', ({ everyMs, wanted }) => {
    const life = at('STORAGE_PREPARED none').tell(elected)
    const endings = [1, 2, 3].map(reign => {
      life.tell({ type: 'failed', reign, cause: CAUSE })
      const doesEnd = life.types.includes('endProcess')
      life.tell({ type: 'ended', reign }, { type: 'handedOver', reign, how: 'alone' }, { type: 'retry', reign })
      life.nowMs += everyMs
      return doesEnd
    })
    expect(endings).toEqual(wanted)
  })

  test('the node stops: nothing begins any more, whatever is told after it', () => {
    const life = at('ACTIVE serving').tell({ type: 'stop' })
    expect(life.types).toEqual(['cancelTimer', 'cancelTimer', 'startTimer', 'endReign'])
    expect(life.tell(lost, elected, ended).at).toBe('DEAD over')
    expect(life.types).toEqual(['cancelTimer'])
    expect(life.tell({ type: 'stop' }).types).toEqual(['say alreadyDead'])
  })
})

test('random words of drivers, actors and the log: never out of order, never acting without leading', () => {
  for (let seed = 1; seed <= 200; seed++) {
    const random = prng(seed)
    const played = new Played().tell({ type: 'prepare' }, { type: 'prepared' })
    for (let n = 0; n < 200; n++) {
      played.nowMs += random.int(0, 120_000)
      const isLed = played.life.epoch !== null
      const reign = played.life.reign - (random.next() < 0.2 ? 1 : 0)
      const words: LifeMessage[] = [
        { type: 'registered', reign },
        { type: 'servicesBegan', reign },
        { type: 'registrationExpired', reign },
        { type: 'driverExited', reign, reason: 'gone' },
        { type: 'resigned', reign, reason: 'restored' },
        { type: 'failed', reign, cause: CAUSE },
        { type: 'ended', reign },
        { type: 'endExpired', reign },
        { type: 'handedOver', reign, how: 'alone' },
        { type: 'retry', reign },
        isLed ? lost : elected,
      ]
      played.tell(words[random.int(0, words.length)] as LifeMessage)
      if (played.types.includes('advertise')) expect(isLed, `seed ${seed}`).toBe(true)
    }
  }
})
