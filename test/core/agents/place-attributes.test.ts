import { expect, test } from 'vitest'
import { placeWarnings } from '../../../src/core/agents/place-attributes.ts'
import { agentRow } from '../../fixtures/rows.ts'

const having = (...names: string[]) => ({ attributes: names.map(name => ({ name, values: ['x'] })) })

test('a machine that says its host and rack: nothing', () => {
  expect(placeWarnings(having('rack', 'disk', 'host'))).toEqual([])
})

test('no rack: what will not work, and which key to set', () => {
  expect(placeWarnings(having('host'))).toEqual([
    'It has no attribute rack: jobs with a limit on rack are never placed on it, and spreads over rack use it last; set agent.attributes.rack in its config.',
  ])
})

test('a machine of a resource manager is told where its attributes come from', () => {
  const { attributes } = having()
  const [host, rack] = placeWarnings(agentRow('a', { attributes, manager: 'mesos' }))
  for (const [name, text] of Object.entries({ host, rack })) {
    expect(text).toContain(`set the attribute ${name} where the resource manager's agent is started`)
  }
})
