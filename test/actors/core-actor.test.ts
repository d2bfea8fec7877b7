import { expect, test } from 'vitest'
import { type Core, coreActor } from '../../src/actors/core-actor.ts'
import { createSimSystem } from '../../src/actors/sim-shell.ts'
import { assert } from '../../src/core/base/assert.ts'

type Message = { readonly type: 'add'; readonly by: number } | { readonly type: 'armed' } | { readonly type: 'expired' }
type Effect =
  | { readonly type: 'say'; readonly text: string }
  | { readonly type: 'startTimer'; readonly afterMs: number }

const adding: Core<number, Message, Effect> = {
  initial: 0,
  step(state, message, now) {
    if (message.type === 'armed') return { state, effects: [{ type: 'startTimer', afterMs: 100 }] }
    if (message.type === 'expired') return { state, effects: [{ type: 'say', text: `expired at ${now.monoMs}` }] }
    const sum = state + message.by
    const say = (text: string): Effect => ({ type: 'say', text })
    return { state: sum, effects: [say(`adding ${message.by}`), say(`makes ${sum}`)] }
  },
  invariants(state) {
    assert(state >= 0, 'the sum is never negative', { state })
  },
}

function start() {
  const said: string[] = []
  const sim = createSimSystem({ seed: 1 })
  const ref = sim.spawn(
    coreActor({
      name: 'adder',
      kind: 'Adder',
      core: adding,
      first: { type: 'armed' },
      run: context => effect => {
        if (effect.type === 'say') said.push(effect.text)
        else context.startTimer('t', effect.afterMs, { type: 'expired' })
      },
      stopping: (state, reason) => void said.push(`${reason} with ${state}`),
      summary: state => ({ sum: state }),
    }),
  )
  return { sim, ref, said }
}

test('a message: the core steps, its effects run in order, the summary shows the state', () => {
  const { sim, ref, said } = start()
  ref.tell({ type: 'add', by: 2 })
  ref.tell({ type: 'add', by: 3 })
  sim.run()
  expect(said).toEqual(['adding 2', 'makes 2', 'adding 3', 'makes 5'])
  expect(sim.inspection.actor('/adder')?.stateSummary).toEqual({ sum: 5 })
})

test('the first message of its own: handled at every start, and what it starts comes back as a message', () => {
  const { sim, said } = start()
  sim.advance(100)
  expect(said).toEqual(['expired at 100'])
})

test('a broken invariant: no effect leaves, the actor begins anew from the initial state', async () => {
  const { sim, ref, said } = start()
  ref.tell({ type: 'add', by: 2 })
  ref.tell({ type: 'add', by: -5 })
  ref.tell({ type: 'add', by: 1 })
  sim.run()
  expect(said).toEqual(['adding 2', 'makes 2', 'restarting with 2'])
  expect(sim.failures).toMatchObject([{ path: '/adder', error: { message: 'the sum is never negative (state=-3)' } }])
  sim.advance(100)
  expect(said.slice(3)).toEqual(['adding 1', 'makes 1'])
  await sim.stop()
  expect(said.at(-1)).toBe('stopped with 1')
})
