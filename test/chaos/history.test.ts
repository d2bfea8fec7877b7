/** The checks of chaos can fail: each kind of wrong history is shown to them. */
import { describe, expect, test } from 'vitest'
import { CREATION, digestFault, historyFaults, jobFaults, type LoggedOperation } from './history.ts'

const created = (requestId: string): LoggedOperation => ({ requestId, why: CREATION })
const killed = (requestId: string): LoggedOperation => ({ requestId, why: 'job kill' })
/** Two clients, whose operations came between each other. */
const TOLD = [
  ['a-1', 'a-2', 'a-3'],
  ['b-1', 'b-2'],
]
const LOG = [created('a-1'), created('b-1'), killed('a-2'), killed('a-2'), created('b-2'), created('a-3')]

describe('a log against what clients were told', () => {
  test('all of it there, once and in order: nothing is wrong', () => {
    expect(historyFaults(LOG, TOLD)).toEqual([])
  })

  test('more in the log than was acknowledged: nothing is wrong, the answer may have been lost', () => {
    expect(historyFaults([...LOG, created('b-3')], TOLD)).toEqual([])
  })

  test.each(['a-1', 'a-2', 'a-3', 'b-1', 'b-2'])('%s acknowledged and not in the log: found', missing => {
    const log = LOG.filter(({ requestId }) => requestId !== missing)
    expect(historyFaults(log, TOLD)).toEqual([`${missing} was acknowledged and is not in the log`])
  })

  test('a creation written twice: found, next to a kill that rightly is', () => {
    expect(historyFaults([...LOG, created('b-1')], TOLD)).toEqual(['b-1 is in the log 2 times'])
  })

  test('two operations of one client the wrong way round: found', () => {
    const log = [created('a-3'), ...LOG.filter(({ requestId }) => requestId !== 'a-3')]
    expect(historyFaults(log, TOLD)).toEqual(['a-3 is in the log before what came before it'])
  })

  test('two clients the other way round: nothing is wrong, nobody has promised an order between them', () => {
    const log = [created('b-1'), created('b-2'), created('a-1'), killed('a-2'), created('a-3')]
    expect(historyFaults(log, TOLD)).toEqual([])
  })

  test('a log that has lost its beginning by truncation: only what is missing after the first that is there is found', () => {
    const log = LOG.filter(({ requestId }) => requestId !== 'a-1')
    expect(historyFaults(log, TOLD, false)).toEqual([])
    const holed = LOG.filter(({ requestId }) => requestId !== 'a-2')
    expect(historyFaults(holed, TOLD, false)).toEqual(['a-2 was acknowledged and is not in the log'])
  })
})

describe('nodes against each other, and the ledger against the clients', () => {
  test('equal digests: nothing is wrong; one that differs: found, with all of them', () => {
    expect(digestFault('rows', [7, 7, 7])).toBeNull()
    expect(digestFault('rows', [7, 8, 7])).toBe('rows differ: node 1 has 7, node 2 has 8, node 3 has 7')
  })

  test('jobs as they were told: nothing is wrong; lost, doubled, undone and unknown ones: found', () => {
    const known = [
      { name: 'here', instances: 2, killed: false },
      { name: 'gone', instances: 3, killed: true },
    ]
    expect(
      jobFaults(
        known,
        new Map([
          ['here', 2],
          ['gone', 0],
        ]),
      ),
    ).toEqual([])
    expect(jobFaults(known, new Map())).toEqual(['here has 0 active instances, the clients know of 2'])
    expect(jobFaults(known, new Map([['here', 4]]))).toEqual(['here has 4 active instances, the clients know of 2'])
    expect(
      jobFaults(
        known,
        new Map([
          ['here', 2],
          ['gone', 3],
          ['other', 1],
        ]),
      ),
    ).toEqual(['gone has 3 active instances, the clients know of 0', 'nobody knows of other'])
  })
})
