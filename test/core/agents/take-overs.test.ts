import { describe, expect, test } from 'vitest'
import { TAKE_OVERS_WITHIN_MS, TakeOvers } from '../../../src/core/agents/take-overs.ts'
import { agentId } from '../../../src/core/base/ids.ts'

const A = agentId('a')
const by = (name: string) => ({ bootId: `boot of ${name}`, host: name })

describe('who takes the place of an agent', () => {
  test('two machines, the third take-over within a minute: told to both', () => {
    const takeOvers = new TakeOvers()
    expect(takeOvers.claimed(A, by('h1'), true, 0)).toBeNull()
    expect(takeOvers.claimed(A, by('h2'), true, 1)).toBeNull()
    expect(takeOvers.claimed(A, by('h1'), true, 2)).toMatch(/duplicate agent id a, used on h1 and h2/)
  })

  test('then the place is free, but the claims are fresh: still refused, until a minute has passed without any', () => {
    const takeOvers = new TakeOvers()
    for (const at of [0, 1, 2]) takeOvers.claimed(A, by(`h${at % 2}`), true, at)
    expect(takeOvers.claimed(A, by('h1'), false, 3)).not.toBeNull()
    expect(takeOvers.claimed(A, by('h1'), false, 3 + TAKE_OVERS_WITHIN_MS)).toBeNull()
  })

  test('one machine, however often: nobody is refused', () => {
    const takeOvers = new TakeOvers()
    for (let at = 0; at < 10; at++) expect(takeOvers.claimed(A, by('h1'), true, at)).toBeNull()
  })

  test('take-overs a minute apart, or of another agent: not counted together', () => {
    const takeOvers = new TakeOvers()
    takeOvers.claimed(A, by('h1'), true, 0)
    takeOvers.claimed(A, by('h2'), true, TAKE_OVERS_WITHIN_MS - 1)
    takeOvers.claimed(agentId('b'), by('h1'), true, TAKE_OVERS_WITHIN_MS)
    expect(takeOvers.claimed(A, by('h1'), true, TAKE_OVERS_WITHIN_MS)).toBeNull()
  })

  test('fresh claims outlive the forgetting of old ones', () => {
    const takeOvers = new TakeOvers()
    for (const at of [0, 1]) takeOvers.claimed(A, by(`h${at}`), true, at)
    takeOvers.forgetOld(TAKE_OVERS_WITHIN_MS - 1)
    expect(takeOvers.claimed(A, by('h0'), true, TAKE_OVERS_WITHIN_MS - 1)).not.toBeNull()
  })
})
