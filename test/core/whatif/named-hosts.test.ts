import { describe, expect, test } from 'vitest'
import type { AgentRow } from '../../../src/core/ledger/rows.ts'
import { namedAgents } from '../../../src/core/whatif/named-hosts.ts'
import { agentRow } from '../../fixtures/rows.ts'

const names = (count: number, prefix = 'nowhere'): string[] => Array.from({ length: count }, (_, n) => `${prefix}${n}`)
const cluster = (count: number): AgentRow[] => names(count, 'host').map(host => agentRow(`id-${host}`, { host }))

describe('hosts by name', () => {
  const agents = [
    agentRow('a1', { host: 'h1', attributes: [{ name: 'rack', values: ['r1'] }] }),
    agentRow('a2', { host: 'h2', attributes: [{ name: 'rack', values: ['r1'] }] }),
  ]
  const drained = (...list: string[]) => namedAgents({ drain: list }, agents)

  test('a host, an agent id and an attribute each name agents, list by list', () => {
    expect([...drained('h1', 'a2').ids.drain]).toEqual(['a1', 'a2'])
    const { ids } = namedAgents({ drain: ['agent=a2'], lose: ['rack=r1'] }, agents)
    expect([...ids.drain]).toEqual(['a2'])
    expect([...ids.lose]).toEqual(['a1', 'a2'])
  })

  test('what names nothing is a fault with its place, and with what comes near', () => {
    expect(drained('h1', 'h3').faults).toEqual([
      { path: 'drain[1]', text: expect.stringContaining('There is no host h3; did you mean h') },
    ])
    const text = (name: string, known = agents) => namedAgents({ lose: [name] }, known).faults[0]?.text
    expect(text('rak=r1')).toBe('No agent has the attribute rak; did you mean rack?')
    expect(text('rack=r2')).toBe('No agent has rack=r2; did you mean r1?')
    expect(text('agent=a3')).toMatch(/^No agent has agent=a3; did you mean a[12]\?$/)
    expect(text('h1', [])).toBe('No agent has registered, so there is no h1')
  })

  test('many unknown names: only the first one is told what comes near', () => {
    const { faults } = namedAgents({ drain: ['hst1'], lose: ['hst2'] }, cluster(10))
    expect(faults.map(({ text }) => text)).toEqual([
      'There is no host hst1; did you mean host1?',
      'There is no host hst2',
    ])
  })

  test('more than 2,000 agents: nothing is suggested', () => {
    const text = (agentCount: number) => namedAgents({ drain: ['hst1'] }, cluster(agentCount)).faults[0]?.text
    expect(text(2_000)).toBe('There is no host hst1; did you mean host1?')
    expect(text(2_001)).toBe('There is no host hst1')
  })

  test('twenty faults are listed over both lists, the others are counted', () => {
    const { faults, faultsUnlisted } = namedAgents({ drain: names(15), lose: names(15) }, cluster(3))
    expect(faults).toHaveLength(20)
    expect(faults.at(-1)?.path).toBe('lose[4]')
    expect(faultsUnlisted).toBe(10)
  })

  test('however many names there are, each agent is looked at once', () => {
    let looks = 0
    const watched = cluster(500).map(row =>
      Object.defineProperty({ ...row }, 'host', {
        get: () => {
          looks++
          return row.host
        },
      }),
    )
    namedAgents({ drain: names(1_000), lose: names(1_000, 'host') }, watched)
    expect(looks).toBe(500)
  })
})
