import { describe, expect, test } from 'vitest'
import { Absences, GIVEN_UP_PER_LOOK_MAX } from '../../../src/core/agents/absences.ts'
import { agentId } from '../../../src/core/base/ids.ts'

const MAX_MS = 75_000
const agents = (count: number) => Array.from({ length: count }, (_, n) => agentId(`a${n}`))
const away = (count: number): Absences => {
  const absences = new Absences(MAX_MS)
  for (const id of agents(count)) absences.left(id, 0)
  return absences
}
const always = () => true

describe('agents that are away', () => {
  test.each<[string, number, readonly string[]]>([
    ['not long enough: waited for', MAX_MS - 1, []],
    ['long enough: given up', MAX_MS, ['a0']],
  ])('%s', (_, nowMs, given) => expect(away(1).look(nowMs, 10, always)).toEqual({ type: 'giveUp', agents: given }))

  test('nothing is bound to it: not given up, and it does not count', () => {
    expect(away(9).look(MAX_MS, 3, id => id === 'a4')).toEqual({ type: 'giveUp', agents: ['a4'] })
  })

  test('back, and away again: counted from its last frame', () => {
    const absences = away(1)
    absences.returned(agentId('a0'))
    expect(absences.look(MAX_MS, 10, always)).toEqual({ type: 'giveUp', agents: [] })
    absences.left(agentId('a0'), 5)
    expect(absences.look(MAX_MS, 10, always)).toEqual({ type: 'giveUp', agents: [] })
    expect(absences.look(MAX_MS + 5, 10, always)).toEqual({ type: 'giveUp', agents: ['a0'] })
  })

  test('a quarter of all: given up; more than that: held, and said once', () => {
    expect(away(2).look(MAX_MS, 6, always)).toEqual({ type: 'giveUp', agents: ['a0', 'a1'] })
    const absences = away(2)
    expect(absences.look(MAX_MS, 5, always)).toEqual({ type: 'hold', agents: 2, of: 7, isNew: true })
    expect(absences.look(MAX_MS, 5, always)).toEqual({ type: 'hold', agents: 2, of: 7, isNew: false })
    expect(absences.held.length).toBeGreaterThan(0)
    expect(absences.look(MAX_MS, 6, always)).toEqual({ type: 'giveUp', agents: ['a0', 'a1'] })
    expect(absences.look(MAX_MS, 5, always)).toMatchObject({ type: 'hold', isNew: true })
  })

  test('the only agent there is: given up, as there is no share to speak of', () => {
    expect(away(1).look(MAX_MS, 0, always)).toEqual({ type: 'giveUp', agents: ['a0'] })
  })

  test('many at once, few of all: some at each look, the longest away first', () => {
    const verdict = away(8).look(MAX_MS, 100, always)
    expect(verdict).toEqual({ type: 'giveUp', agents: agents(GIVEN_UP_PER_LOOK_MAX) })
  })
})
