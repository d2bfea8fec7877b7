import { describe, expect, test } from 'vitest'
import type { HeldReleased } from '../../src/actors/agent-gateway/held-orders.ts'
import type { ReconcileStarted } from '../../src/actors/agent-gateway/sweeps.ts'
import { rowsText } from '../../src/core/agents/task-digest.ts'
import { agentId } from '../../src/core/base/ids.ts'
import type { RowChange } from '../../src/core/ledger/transaction.ts'
import type { TaskReport } from '../../src/wire/messages/agent.ts'
import { A1, collect, type FakeConnection, gateway, onA1, report, sha256 } from '../fixtures/gateway-under-test.ts'
import { agentRow, configRow, putAgent, putConfig, putTask, taskRow } from '../fixtures/rows.ts'

const world = [putAgent(agentRow('a1', { host: 'h1' })), putConfig(configRow())]

async function reconciled(changes: readonly RowChange[], listed: TaskReport[]) {
  const made = await gateway({ changes: [...world, ...changes] })
  const connection = await made.ready({}, listed)
  let n = 0
  const beat = (digest = 'other'): void =>
    connection.says({ type: 'HEARTBEAT', n: ++n, load1: 0, freeRamMb: 1, freeDiskMb: 1, taskDigest: sha256(digest) })
  const agreed = (): string => rowsText(made.ledger.view.tasksOnAgent(A1))
  /** With digests that are the same, or not, twice. */
  const beatTwice = async (digest?: string): Promise<void> => {
    for (let times = 0; times < 2; times++) {
      made.system.advance(5_000)
      beat(digest)
      await made.system.settle()
    }
  }
  const answer = async (tasks: TaskReport[], more: Partial<{ last: boolean; unknown: string[] }> = {}) => {
    connection.says({ type: 'RECONCILE_RESULT', tasks, unknown: [], last: true, ...more })
    await made.system.settle()
  }
  return { ...made, connection, beat, beatTwice, agreed, answer }
}
const asked = (connection: FakeConnection) => connection.ofType('RECONCILE').map(({ taskIds }) => taskIds)

describe('digests with heartbeats', () => {
  test('equal: nothing is asked; different on two heartbeats: the whole list is', async () => {
    const { connection, beatTwice, agreed } = await reconciled([onA1('t', 'RUNNING')], [report('t', 'RUNNING')])
    await beatTwice(agreed())
    expect(asked(connection)).toEqual([])
    await beatTwice()
    expect(asked(connection)).toEqual([null])
    await beatTwice()
    expect(asked(connection), 'one question at a time').toEqual([null])
  })

  test('life-46: a stray is killed, a task that is not there is proposed LOST, within two heartbeats', async () => {
    const { connection, beatTwice, answer, proposed } = await reconciled(
      [onA1('gone', 'RUNNING'), onA1('kept', 'RUNNING', { instance: 1 })],
      [report('gone', 'RUNNING'), report('kept', 'RUNNING')],
    )
    await beatTwice()
    await answer([report('kept', 'RUNNING')], { last: false })
    expect(proposed, 'the list is compared whole').toEqual([])
    await answer([report('stray', 'RUNNING')])
    expect(proposed).toMatchObject([
      { taskId: 'gone', to: 'LOST', expectVersion: 1, message: 'Task is unknown to the agent', why: 'reconciliation' },
    ])
    expect(connection.ofType('KILL')).toMatchObject([{ taskId: 'stray' }])
  })

  test('a row that has changed since the question is left alone', async () => {
    const { beatTwice, answer, proposed, ledger } = await reconciled([onA1('t', 'STARTING')], [report('t', 'STARTING')])
    await beatTwice()
    const changes = [onA1('t', 'RUNNING', { version: 2 })]
    ledger.stage({ cause: { who: 'test', why: 'status', wallMs: 0 }, changes })
    await answer([])
    expect(proposed).toEqual([])
  })

  test('a launch that never arrived is sent again', async () => {
    const { connection, beatTwice, answer, proposed } = await reconciled(
      [onA1('t', 'ASSIGNED')],
      [report('t', 'ACCEPTED')],
    )
    await beatTwice()
    await answer([])
    expect(connection.ofType('LAUNCH')).toHaveLength(2)
    expect(proposed).toEqual([])
  })

  test.each<[string, TaskReport, string | null]>([
    ['RUNNING there, acknowledged: RUNNING', report('t', 'RUNNING'), 'RUNNING'],
    ['RUNNING there, its status still on the way: waited for', report('t', 'RUNNING', { lastSeq: 2 }), null],
    ['ended there, acknowledged: what it says', report('t', 'FAILED'), 'FAILED'],
    ['ended there, its status still on the way: waited for', report('t', 'FAILED', { lastSeq: 2 }), null],
    ['the same there: nothing', report('t', 'STARTING'), null],
  ])('STARTING here, %s', async (_, there, to) => {
    const { beatTwice, answer, proposed } = await reconciled([onA1('t', 'STARTING')], [report('t', 'STARTING')])
    await beatTwice()
    await answer([there])
    expect(proposed).toMatchObject(to === null ? [] : [{ taskId: 't', to, expectVersion: 1 }])
  })

  test('PARTITIONED here, live there: what the agent says', async () => {
    const { beatTwice, answer, proposed, ledger } = await reconciled([onA1('t', 'RUNNING')], [report('t', 'RUNNING')])
    const changes = [onA1('t', 'PARTITIONED', { version: 2 })]
    ledger.stage({ cause: { who: 'test', why: 'cut off', wallMs: 0 }, changes })
    await beatTwice()
    await answer([report('t', 'RUNNING')])
    expect(proposed).toMatchObject([{ taskId: 't', to: 'RUNNING', expectVersion: 2 }])
  })
})

describe('brakes', () => {
  const operator = { user: 'alice', reason: 'scrapped' }
  const strays = Array.from({ length: 30 }, (_, n) => report(`stray-${n}`, 'RUNNING'))

  test('many unknown tasks: none is killed until an operator releases them', async () => {
    const { connection, ref, system, ready, view } = await reconciled([], strays)
    expect(connection.ofType('TASKS_DONE')).toMatchObject([{ kill: [] }])
    expect(view.brakes().unknownTasks).toEqual([{ agentId: 'a1', host: 'h1', tasks: 30 }])
    const { ref: replyTo, got } = collect<HeldReleased>()
    ref.tell({ type: 'releaseHeld', agentIds: ['another'], ...operator, replyTo })
    await system.settle()
    expect(got).toMatchObject([{ agents: [], away: [] }])
    ref.tell({ type: 'releaseHeld', agentIds: null, ...operator, replyTo })
    await system.settle()
    expect(got[1]).toMatchObject({ agents: [{ agentId: 'a1', host: 'h1', tasks: 30 }] })
    expect(connection.ofType('KILL')).toHaveLength(30)
    expect(view.brakes().unknownTasks).toEqual([])
    const again = await ready({}, strays)
    expect(again.ofType('TASKS_DONE')[0]?.kill, 'still there on the next connection').toHaveLength(30)
  })

  test('released while the agent is not connected: killed when it brings its list', async () => {
    const { connection, ref, system, ready } = await reconciled([], strays)
    connection.onClose(1006, 'gone')
    ref.tell({ type: 'releaseHeld', agentIds: ['a1'], ...operator, replyTo: collect<HeldReleased>().ref })
    await system.settle()
    const again = await ready({}, strays)
    expect(again.ofType('TASKS_DONE')[0]?.kill).toHaveLength(30)
  })

  test('many agents away at once: an operator who knows that they are dead lets go of their tasks', async () => {
    const machines = Array.from({ length: 4 }, (_, n) => [
      putAgent(agentRow(`b${n}`, { host: `h${n}` })),
      putTask(taskRow(`t${n}`, { status: 'RUNNING', instance: n, agentId: agentId(`b${n}`), host: `h${n}` })),
    ]).flat()
    const { ref, system, proposed, view } = await gateway({ changes: [...world, ...machines] })
    system.advance(90_000)
    expect(proposed).toEqual([])
    expect(view.brakes().agentsAway.toSorted()).toEqual(['b0', 'b1', 'b2', 'b3'])
    const { ref: replyTo, got } = collect<HeldReleased>()
    ref.tell({ type: 'releaseHeld', agentIds: ['b1', 'b2'], ...operator, replyTo })
    await system.settle()
    expect(got).toMatchObject([{ away: ['b1', 'b2'] }])
    system.advance(5_000)
    // Who let go of them and why stands in their history.
    const byAlice = { to: 'PARTITIONED', who: 'alice', why: 'scrapped' }
    expect(proposed).toMatchObject([
      { taskId: 't1', ...byAlice },
      { taskId: 't2', ...byAlice },
    ])
    expect(view.brakes().agentsAway.toSorted()).toEqual(['b0', 'b3'])
  })
})

describe('sweeps', () => {
  const MINUTE = 60_000

  test('life-45: explicit runs 1, 61 and 121 min after the start, implicit ones at 31 and 91', async () => {
    const { connection, system, beat, agreed, answer } = await reconciled(
      [onA1('t', 'RUNNING')],
      [report('t', 'RUNNING')],
    )
    const startedMs = system.now().monoMs
    const runs: [string, number][] = []
    for (let heard = 0; system.now().monoMs - startedMs < 125 * MINUTE; ) {
      system.advance(10_000)
      beat(agreed())
      await system.settle()
      for (const taskIds of asked(connection).slice(heard)) {
        heard++
        runs.push([taskIds === null ? 'implicit' : taskIds.join(), (system.now().monoMs - startedMs) / MINUTE])
        await answer([report('t', 'RUNNING')])
      }
    }
    expect(runs).toEqual([
      ['t', 1],
      ['implicit', 31],
      ['t', 61],
      ['implicit', 91],
      ['t', 121],
    ])
  })

  test('life-45: 2,500 tasks are asked for in three batches, 5 s apart', async () => {
    const ids = Array.from({ length: 2_500 }, (_, n) => `t${String(n).padStart(4, '0')}`)
    const { connection, system, ref, answer } = await reconciled(
      ids.map((id, instance) => onA1(id, 'RUNNING', { instance })),
      ids.map(id => report(id, 'RUNNING')),
    )
    const { ref: replyTo, got } = collect<ReconcileStarted>()
    ref.tell({ type: 'reconcile', kind: 'explicit', batchSize: null, user: 'alice', replyTo })
    const sizes: number[] = []
    for (const waitMs of [0, 4_999, 1, 5_000, 5_000]) {
      if (waitMs > 0) system.advance(waitMs)
      await system.settle()
      const questions = asked(connection)
      sizes.push(questions.length)
      const last = questions.at(-1)
      if (last !== undefined && sizes.at(-1) !== sizes.at(-2))
        await answer((last ?? []).map(id => report(id, 'RUNNING')))
    }
    expect(got).toEqual([{ type: 'reconcileStarted', kind: 'explicit', steps: 3, isUnderWay: false }])
    expect(sizes).toEqual([1, 1, 2, 3, 3])
    expect(asked(connection).map(ids => ids?.length)).toEqual([1_000, 1_000, 500])
  })

  test('life-46: an explicit run finds a task that the agent does not know', async () => {
    const { connection, ref, system, answer, proposed } = await reconciled(
      [onA1('t', 'RUNNING')],
      [report('t', 'RUNNING')],
    )
    ref.tell({
      type: 'reconcile',
      kind: 'explicit',
      batchSize: 10,
      user: 'alice',
      replyTo: collect<ReconcileStarted>().ref,
    })
    await system.settle()
    expect(asked(connection)).toEqual([['t']])
    await answer([], { unknown: ['t'] })
    expect(proposed).toMatchObject([{ taskId: 't', to: 'LOST' }])
  })
})
