import { expect, test } from 'vitest'
import { brakeTexts, NO_BRAKES } from '../../../src/core/agents/brakes.ts'

test('nothing is held: nothing is said', () => {
  expect(brakeTexts(NO_BRAKES)).toEqual([])
})

test('each brake has its sentence, with the agents it is about and the command that releases these and no others', () => {
  const [away, unknown, ...more] = brakeTexts({
    agentsAway: ['b1', 'b2'],
    unknownTasks: [
      { agentId: 'a1', host: 'h1', tasks: 30 },
      { agentId: 'a2', host: 'h2', tasks: 21 },
    ],
  })
  expect(away).toContain('2 agents that went away at once (b1, b2)')
  expect(away).toContain('daybreak admin release-held b1 b2 --reason TEXT')
  expect(unknown).toContain('51 tasks that the ledger does not know on 2 agents (a1, a2)')
  expect(unknown).toContain('daybreak admin release-held a1 a2 --reason TEXT')
  expect(more).toEqual([])
})

test('a hundred agents away: five are named', () => {
  const [text] = brakeTexts({ agentsAway: Array.from({ length: 100 }, (_, n) => `b${n}`), unknownTasks: [] })
  expect(text).toContain('b0, b1, b2, b3, b4 and 95 more')
  expect(text).toContain('daybreak admin release-held AGENT…')
})
