import { expect, test } from 'vitest'
import type { Ref } from '../../src/actors/actor.ts'
import type { Logger } from '../../src/actors/ports.ts'
import { createSimSystem, type SimSystem } from '../../src/actors/sim-shell.ts'
import { actorShellContract, type Body } from '../contract/actor-shell.ts'

function makeSimBody(seed: number): Body {
  const ended: { error: unknown; path: string }[] = []
  const logged: string[] = []
  const take = (event: string): void => void logged.push(event)
  const log: Logger = { debug: take, info: take, warn: take, error: take, child: () => log }
  const system = createSimSystem({ seed, log, onEndProcess: (error, path) => ended.push({ error, path }) })
  return {
    system,
    settle: () => system.settle(),
    advance: async ms => {
      await system.settle()
      system.advance(ms)
      await system.settle()
    },
    spend: () => {},
    get pendingTimers() {
      return system.pendingTimers
    },
    ended,
    logged,
  }
}

actorShellContract('actor system on the seeded scheduler, seed 1', () => makeSimBody(1))
actorShellContract('actor system on the seeded scheduler, seed 2', () => makeSimBody(2))

/** Ten actors that pass a ball on to one drawn by chance, now and then with a pause. */
function playBall(sim: SimSystem): string[] {
  const order: string[] = []
  const players: Ref<number>[] = []
  for (let number = 0; number < 10; number++) {
    players.push(
      sim.spawn<number>({
        name: `p${number}`,
        kind: 'Player',
        start: context => ({
          receive(left) {
            order.push(`${sim.now().monoMs} ${number}`)
            if (left === 0) return
            if (left % 7 === 0) context.startTimer(`later-${left}`, context.random.int(1, 50), left - 1)
            else players[context.random.int(0, 10)]!.tell(left - 1)
          },
        }),
      }),
    )
  }
  for (const player of players) player.tell(40)
  sim.run()
  sim.advance(1_000)
  return order
}

test('one seed, two runs: the same order, times and trace hash', () => {
  const [first, second] = [createSimSystem({ seed: 42 }), createSimSystem({ seed: 42 })]
  expect(playBall(first)).toEqual(playBall(second))
  expect(first.traceHash).toBe(second.traceHash)
})

test('another seed: another order and another trace hash', () => {
  const [first, second] = [createSimSystem({ seed: 42 }), createSimSystem({ seed: 43 })]
  expect(playBall(first)).not.toEqual(playBall(second))
  expect(first.traceHash).not.toBe(second.traceHash)
})

test('the next actor is drawn from the seed: over many seeds both orders of two ready actors happen', () => {
  const orders = new Set<string>()
  for (let seed = 0; seed < 20; seed++) {
    const sim = createSimSystem({ seed })
    const order: string[] = []
    const spawn = (name: string) =>
      sim.spawn<string>({ name, kind: 'A', start: () => ({ receive: () => void order.push(name) }) })
    for (const ref of [spawn('a'), spawn('b')]) ref.tell('go')
    sim.run()
    orders.add(order.join(''))
  }
  expect([...orders].toSorted()).toEqual(['ab', 'ba'])
})

test('several messages for one actor: one per turn, so others may come in between', () => {
  const orders = new Set<string>()
  for (let seed = 0; seed < 50; seed++) {
    const sim = createSimSystem({ seed })
    const order: string[] = []
    for (const name of ['a', 'b']) {
      const ref = sim.spawn<string>({ name, kind: 'A', start: () => ({ receive: () => void order.push(name) }) })
      for (const message of ['first', 'second']) ref.tell(message)
    }
    expect(sim.run()).toBe(6)
    orders.add(order.join(''))
  }
  expect([...orders].toSorted()).toEqual(['aabb', 'abab', 'abba', 'baab', 'baba', 'bbaa'])
})

test('nothing moves by itself: actors run when told to, time moves when told to', async () => {
  const sim = createSimSystem({ seed: 1 })
  const heard: string[] = []
  const ref = sim.spawn<string>({
    name: 'one',
    kind: 'O',
    start: context => {
      context.startTimer('t', 1, 'timer')
      return { receive: message => void heard.push(message) }
    },
  })
  ref.tell('hello')
  await new Promise(resolve => setImmediate(resolve))
  expect(heard).toEqual([])
  expect(sim.run()).toBe(2)
  expect(heard).toEqual(['hello'])
  expect([sim.pendingTimers, sim.nextTimerInMs]).toEqual([1, 1])
  await sim.settle()
  expect(heard).toEqual(['hello'])
  sim.advance(1)
  expect(heard).toEqual(['hello', 'timer'])
  expect([sim.pendingTimers, sim.nextTimerInMs]).toEqual([0, null])
  expect(sim.now()).toEqual({ wallMs: 1_767_225_600_001, monoMs: 1 })
})

test('time within one advance: each timer sees its own moment, and what it starts counts from there', () => {
  const sim = createSimSystem({ seed: 1 })
  const moments: number[] = []
  sim.spawn<number>({
    name: 'one',
    kind: 'O',
    start: context => {
      context.startTimer('t', 10, 3)
      return {
        receive(left) {
          moments.push(context.now().monoMs)
          if (left > 0) context.startTimer('t', 10, left - 1)
        },
      }
    },
  })
  sim.advance(35)
  expect(moments).toEqual([10, 20, 30])
  sim.advance(5)
  expect(moments).toEqual([10, 20, 30, 40])
})

test('a failure that would end the process: thrown out of run with its cause, and kept in failures', () => {
  const sim = createSimSystem({ seed: 1 })
  const ref = sim.spawn<string>({
    name: 'ledger',
    kind: 'L',
    supervision: { type: 'endProcess' },
    start: () => ({
      receive() {
        throw new Error('broken')
      },
    }),
  })
  ref.tell('go')
  expect(() => sim.run()).toThrow('/ledger would have ended the process: Error: broken')
  expect(sim.failures).toMatchObject([{ path: '/ledger', error: { message: 'broken' } }])
})

test('actors that never come to rest: run gives up and says so', () => {
  const sim = createSimSystem({ seed: 1, turnsMax: 1_000 })
  const ref = sim.spawn<string>({
    name: 'endless',
    kind: 'E',
    start: context => ({ receive: message => void context.self.tell(message) }),
  })
  ref.tell('again')
  expect(() => sim.run()).toThrow('the actors come to rest')
})

test('run from inside an actor: refused', () => {
  const sim = createSimSystem({ seed: 1 })
  const ref = sim.spawn<string>({ name: 'one', kind: 'O', start: () => ({ receive: () => void sim.run() }) })
  ref.tell('go')
  sim.run()
  expect(sim.failures).toMatchObject([{ error: { message: 'the simulation is run from outside its actors' } }])
})

test('the trace: one line per turn, saying when, who and what', () => {
  const lines: string[] = []
  const sim = createSimSystem({ seed: 1, trace: line => void lines.push(line) })
  sim.spawn<{ type: 'hello' }>({ name: 'one', kind: 'O', start: () => ({ receive: () => {} }) }).tell({ type: 'hello' })
  sim.run()
  expect(lines).toEqual(['0 /one new', '0 /one receives hello'])
})
