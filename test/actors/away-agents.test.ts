import { describe, expect, test } from 'vitest'
import { agentId, taskId } from '../../src/core/base/ids.ts'
import { A1, type FakeConnection, gateway, onA1, report } from '../fixtures/gateway-under-test.ts'
import { agentRow, CAUSE, configRow, putAgent, putConfig } from '../fixtures/rows.ts'

const HOUR_MS = 3_600_000
const NEW = agentId('new')
const beat = (connection: FakeConnection): void =>
  connection.says({ type: 'HEARTBEAT', n: 1, load1: 0, freeRamMb: 1, freeDiskMb: 1, taskDigest: 'd' })

describe('agents that nobody expects back', () => {
  test('away for long, no tasks: forgotten; it comes back all the same: registered anew, with its old id', async () => {
    const { system, ledger, ready } = await gateway({ changes: [putAgent(agentRow('a1'))], forgetMs: HOUR_MS })
    system.advance(80_000)
    await system.settle()
    expect(ledger.view.agent(A1)?.awaySinceMs, 'since the leader began').toBeDefined()
    system.advance(HOUR_MS - 90_000)
    await system.settle()
    expect(ledger.view.agent(A1)).toBeDefined()
    system.advance(90_000)
    await system.settle()
    expect(ledger.view.agent(A1)).toBeUndefined()
    const connection = await ready()
    expect(connection.ofType('WELCOME')).toMatchObject([{ agentId: 'a1' }])
    expect(ledger.view.agent(A1)).toMatchObject({ host: 'h1' })
    expect(ledger.view.agent(A1)).not.toHaveProperty('awaySinceMs')
  })

  test('the time counts on under the next leader', async () => {
    const since = { awaySinceMs: -HOUR_MS }
    const { system, ledger } = await gateway({ changes: [putAgent(agentRow('a1', since))], forgetMs: HOUR_MS })
    system.advance(5_000)
    await system.settle()
    expect(ledger.view.agent(A1)).toBeUndefined()
  })

  test('tasks that have not ended keep its row, however long it is away', async () => {
    const changes = [putAgent(agentRow('a1')), putConfig(configRow()), onA1('t', 'PARTITIONED')]
    const { system, ledger } = await gateway({ changes, forgetMs: HOUR_MS })
    system.advance(3 * HOUR_MS)
    await system.settle()
    expect(ledger.view.agent(A1)?.awaySinceMs).toBeDefined()
    ledger.stage({ cause: CAUSE, changes: [onA1('t', 'LOST')] })
    system.advance(5_000)
    await system.settle()
    expect(ledger.view.agent(A1)).toBeUndefined()
  })
})

describe('another agent has the work folder now', () => {
  const old = putAgent(agentRow('a1', { host: 'h1', place: 'p' }))
  const world = [old, putConfig(configRow()), onA1('t', 'RUNNING'), onA1('u', 'PARTITIONED', { instance: 1 })]

  test('its tasks are proposed LOST once the old one is silent for 15 s, partitioned ones too; then its row goes', async () => {
    const { system, ledger, ready, proposed } = await gateway({ changes: world })
    const connection = await ready({ agentId: NEW, place: 'p' })
    system.advance(10_000)
    expect(proposed, 'the old one may be on its way back to a new leader').toEqual([])
    beat(connection)
    system.advance(5_000)
    const message = 'h1 has come back with an empty work folder, as agent new'
    expect(proposed).toMatchObject([
      { taskId: 't', to: 'LOST', message },
      { taskId: 'u', to: 'LOST', message },
    ])
    expect(ledger.view.agent(A1)).toBeDefined()
    ledger.stage({ cause: CAUSE, changes: [onA1('t', 'LOST'), onA1('u', 'LOST', { instance: 1 })] })
    beat(connection)
    system.advance(5_000)
    await system.settle()
    expect([...ledger.view.agents()].map(row => row.agentId)).toEqual(['new'])
  })

  test.each([
    ['another host name', { host: 'h2', place: 'p' }],
    ['another folder', { place: 'q' }],
    ['an agent that does not say', {}],
  ])('%s: not known to be the same machine, so nothing before 75 s, and then PARTITIONED', async (_, more) => {
    const { system, ready, proposed } = await gateway({ changes: world })
    const connection = await ready({ agentId: NEW, ...more })
    for (let n = 0; n < 14; n++) {
      system.advance(5_000)
      beat(connection)
    }
    expect(proposed).toEqual([])
    system.advance(5_000)
    expect(proposed).toMatchObject([{ taskId: taskId('t'), to: 'PARTITIONED' }])
  })

  test('both are here, whatever they say of their folders: nothing is concluded', async () => {
    const { system, ready, proposed } = await gateway({ changes: world })
    const first = await ready({ place: 'p' }, [report('t', 'RUNNING'), report('u', 'RUNNING')])
    const second = await ready({ agentId: NEW, place: 'p' })
    proposed.length = 0
    for (let n = 0; n < 20; n++) {
      system.advance(5_000)
      beat(first)
      beat(second)
    }
    expect(proposed).toEqual([])
    // One of them is cut off: the other has not taken its place, it was there all the time.
    for (let silentMs = 0; silentMs < 40_000; silentMs += 5_000) {
      system.advance(5_000)
      beat(second)
    }
    expect(proposed).toEqual([])
  })

  test('known before this reign, and here before the other one: nothing is concluded, it may have run beside it', async () => {
    const beside = putAgent(agentRow('new', { host: 'h1', place: 'p' }))
    const { system, ready, proposed } = await gateway({ changes: [...world, beside] })
    const connection = await ready({ agentId: NEW, place: 'p' })
    for (let ms = 0; ms < 40_000; ms += 5_000) {
      system.advance(5_000)
      beat(connection)
    }
    expect(proposed).toEqual([])
  })
})
