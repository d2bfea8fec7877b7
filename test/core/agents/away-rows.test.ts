import { describe, expect, test } from 'vitest'
import { AWAY_CHANGES_MAX, type AwayAgent, awayRows, Places } from '../../../src/core/agents/away-rows.ts'
import { registration } from '../../../src/core/agents/registration.ts'
import { agentId } from '../../../src/core/base/ids.ts'
import type { AgentRow } from '../../../src/core/ledger/rows.ts'
import { agentRow } from '../../fixtures/rows.ts'

const NOW = 1_000_000_000
const SETTINGS = { unreachableMsMax: 75_000, forgetMs: 3_600_000 }
const away = (row: Partial<AgentRow> = {}, more: Partial<AwayAgent> = {}): AwayAgent => ({
  row: agentRow('a1', row),
  awayMs: 80_000,
  isBound: false,
  successor: null,
  ...more,
})
const verdict = (agent: AwayAgent) => {
  const { changes, forgotten } = awayRows([agent], NOW, SETTINGS)
  const [change] = changes
  if (change === undefined) return 'nothing'
  expect(forgotten).toEqual(change.type === 'delete' ? [agent] : [])
  return change.type === 'delete' ? 'forgotten' : change.table === 'agent' && change.row.awaySinceMs
}

describe('the row of an agent that is away', () => {
  const longAgo = { awaySinceMs: NOW - SETTINGS.forgetMs }
  test.each<[string, AwayAgent, number | string]>([
    ['for a moment: nothing', away({}, { awayMs: 74_999 }), 'nothing'],
    ['unreachable: since when is written down', away({}, { awayMs: 75_000 }), NOW - 75_000],
    ['unreachable with tasks: likewise', away({}, { isBound: true }), NOW - 80_000],
    ['written down already: nothing', away({ awaySinceMs: NOW - 1 }), 'nothing'],
    ['just not long enough to forget: nothing', away({ awaySinceMs: NOW - SETTINGS.forgetMs + 1 }), 'nothing'],
    ['long enough: forgotten', away(longAgo), 'forgotten'],
    ['long enough under the leader before this one: forgotten', away(longAgo, { awayMs: 0 }), 'forgotten'],
    ['long enough with a task that has not ended: stays', away(longAgo, { isBound: true }), 'nothing'],
    ['long enough, put aside by an operator: stays', away({ ...longAgo, mode: 'DRAINED' }), 'nothing'],
    ['its work folder is another one’s: forgotten', away({}, { successor: agentId('a2') }), 'forgotten'],
    ['and tasks are bound to it: not yet', away(longAgo, { successor: agentId('a2'), isBound: true }), 'nothing'],
  ])('%s', (_, agent, expected) => expect(verdict(agent)).toBe(expected))

  test('10,000 of them: so many at a time, always the same ones', () => {
    const many = Array.from({ length: 10_000 }, (_, n) => ({ ...away(longAgo), row: agentRow(`a${n}`, longAgo) }))
    const { changes } = awayRows(many, NOW, SETTINGS)
    expect(changes).toHaveLength(AWAY_CHANGES_MAX)
    expect(awayRows([...many].reverse(), NOW, SETTINGS).changes).toEqual(changes)
  })

  test('it comes back: the row says nothing of it any more, and is otherwise as it was', () => {
    const { attributes, total: resources, portRanges } = agentRow('a1')
    const facts = { attributes, resources, portRanges, place: 'p' }
    const first = registration(agentId('a1'), facts, undefined, NOW).changes[0]
    const before = first?.type === 'put' && first.table === 'agent' ? first.row : agentRow('never')
    const [change] = awayRows([{ ...away(), row: before }], NOW, SETTINGS).changes
    const gone = change?.type === 'put' && change.table === 'agent' ? change.row : agentRow('never')
    const back = registration(agentId('a1'), facts, gone, NOW + 1)
    expect(back.cause.why).toBe('agent back')
    expect(back.changes).toEqual([first])
  })
})

test('a place is a work folder and a host name: both must be those of the agent that is here', () => {
  const places = new Places([agentRow('new', { host: 'h1', place: 'p1' }), agentRow('silent', { host: 'h3' })])
  expect(places.successorOf(agentRow('old', { host: 'h1', place: 'p1' }), 0)).toBe('new')
  expect(places.successorOf(agentRow('old', { host: 'h1', place: 'p2' }), 0)).toBeNull()
  expect(places.successorOf(agentRow('old', { host: 'h2', place: 'p1' }), 0)).toBeNull()
  expect(places.successorOf(agentRow('old', { host: 'h3' }), 0)).toBeNull()
})

test('known before the old one was last heard of: it ran beside it and has taken nothing over', () => {
  const places = new Places([agentRow('new', { host: 'h1', place: 'p', firstSeenMs: 1_000 })])
  expect(places.successorOf(agentRow('old', { host: 'h1', place: 'p' }), 1_000)).toBe('new')
  expect(places.successorOf(agentRow('old', { host: 'h1', place: 'p' }), 1_001)).toBeNull()
})
