import { expect, test } from 'vitest'
import type { Ref } from '../../src/actors/actor.ts'
import type * as TaskAdmin from '../../src/actors/task-admin.ts'
import { type Forced, NOT_TERMINAL, type Pruned, taskAdminSpec } from '../../src/actors/task-admin.ts'
import { taskId } from '../../src/core/base/ids.ts'
import type { Rejection } from '../../src/core/base/rejection.ts'
import { HELLO, putTask, taskRow } from '../fixtures/rows.ts'
import { TaskLeader } from '../fixtures/task-leader.ts'

type Answer = Forced | Pruned | Rejection
type Asked =
  | (Partial<TaskAdmin.ForceState> & Pick<TaskAdmin.ForceState, 'type' | 'taskId' | 'to'>)
  | (Partial<TaskAdmin.PruneTasks> & Pick<TaskAdmin.PruneTasks, 'type' | 'query'>)

class Desk {
  readonly leader: TaskLeader
  readonly #ref: Ref<TaskAdmin.Command>
  #requests = 0
  constructor(leader: TaskLeader) {
    this.leader = leader
    this.#ref = leader.sim.spawn(taskAdminSpec({ ledger: leader.ledger, tasks: leader.tasks }))
  }
  async ask(asked: Asked): Promise<Answer | undefined> {
    return (await this.begin(asked))[0]
  }
  /** Those that have come, and those that are to come. */
  async begin(asked: Asked): Promise<Answer[]> {
    const answers: Answer[] = []
    const replyTo = { path: 'test', tell: (answer: Answer) => answers.push(answer) > 0 }
    const defaults = {
      requestId: `admin-${++this.#requests}`,
      fingerprint: 'f',
      user: 'bob',
      reason: 'a drill',
      limit: null,
    }
    this.#ref.tell({ ...defaults, replyTo, ...asked } as TaskAdmin.Command)
    await this.leader.sim.settle()
    return answers
  }
}
const desk = async () => {
  const leader = await TaskLeader.start()
  await leader.create()
  return new Desk(leader)
}
const count = ({ leader }: Desk) => leader.ledger.view.counts.tasks
const endedRows = (n: number) =>
  Array.from({ length: n }, (_, at) =>
    putTask(
      taskRow(`old-${String(at).padStart(4, '0')}`, {
        instance: 10 + at,
        status: at % 2 === 0 ? 'FAILED' : 'FINISHED',
        events: [{ atMs: 1_000_000 - at, status: at % 2 === 0 ? 'FAILED' : 'FINISHED', scheduler: 's' }],
      }),
    ),
  )

test('forced: goes through the table, with a kill, and the history says who and why', async () => {
  const it = await desk()
  const id = await it.leader.run()
  expect(await it.ask({ type: 'forceState', taskId: id, to: 'RESTARTING' })).toEqual({
    type: 'forced',
    taskId: id,
    from: 'RUNNING',
    to: 'RESTARTING',
  })
  expect(it.leader.ledger.view.task(id)?.events.at(-1)).toMatchObject({
    status: 'RESTARTING',
    message: 'Transition forced by bob',
    who: 'bob',
    why: 'a drill',
  })
  expect(it.leader.kills(id)).toBe(1)
})

test('forced, asked again under the same id: the same answer, not done twice; another request under it is refused', async () => {
  const it = await desk()
  const id = await it.leader.run()
  const first = await it.ask({ type: 'forceState', taskId: id, to: 'LOST', requestId: 'x' })
  const replacement = it.leader.active().taskId
  expect(replacement).not.toBe(id)
  expect(await it.ask({ type: 'forceState', taskId: id, to: 'LOST', requestId: 'x' })).toEqual(first)
  expect(it.leader.active().taskId).toBe(replacement)
  const other = { requestId: 'x', fingerprint: 'g' }
  expect(await it.ask({ type: 'forceState', taskId: replacement, to: 'KILLING', ...other })).toMatchObject({
    code: 'INVALID_REQUEST',
  })
})

test('forced over a failover: the outcome is there with the transition', async () => {
  const it = await desk()
  const id = await it.leader.run()
  const asked = { type: 'forceState', taskId: id, to: 'LOST', requestId: 'x' } as const
  const first = await it.ask(asked)
  const next = new Desk(await it.leader.failover())
  expect(await next.ask(asked)).toEqual(first)
  await next.leader.sim.stop()
})

test('where the task may not go: refused with where it may, nothing is sent to its agent', async () => {
  const it = await desk()
  const id = await it.leader.run()
  expect(await it.ask({ type: 'forceState', taskId: id, to: 'STARTING' })).toMatchObject({
    code: 'ILLEGAL_TRANSITION',
    detail: `Task ${id} is RUNNING: it cannot become STARTING`,
    remedy: expect.stringContaining('RESTARTING'),
  })
  expect(await it.ask({ type: 'forceState', taskId: id, to: 'RUNNING' })).toMatchObject({
    detail: `Task ${id} is RUNNING already`,
  })
  expect(await it.ask({ type: 'forceState', taskId: taskId('nope'), to: 'LOST' })).toMatchObject({ code: 'NOT_FOUND' })
  expect(it.leader.kills(id)).toBe(0)
})

test('DELETED: only what has ended', async () => {
  const it = await desk()
  const id = await it.leader.run()
  expect(await it.ask({ type: 'forceState', taskId: id, to: 'DELETED' })).toMatchObject({ code: 'ILLEGAL_TRANSITION' })
  await it.ask({ type: 'forceState', taskId: id, to: 'KILLING' })
  expect(await it.ask({ type: 'forceState', taskId: id, to: 'DELETED' })).toMatchObject({ code: 'ILLEGAL_TRANSITION' })
  await it.ask({ type: 'forceState', taskId: id, to: 'KILLED' })
  expect(await it.ask({ type: 'forceState', taskId: id, to: 'DELETED' })).toMatchObject({
    type: 'forced',
    from: 'KILLED',
  })
  expect(it.leader.status(id)).toBeUndefined()
})

test('life-51: a prune that names RUNNING is refused with the fixed text', async () => {
  const it = await desk()
  await it.leader.put(endedRows(10))
  const said = await it.ask({ type: 'pruneTasks', query: { statuses: ['FAILED', 'RUNNING'] } })
  expect(said).toMatchObject({ code: 'INVALID_REQUEST', detail: NOT_TERMINAL })
  expect(NOT_TERMINAL).toBe('Tasks in non-terminal state cannot be pruned.')
  // Nor are those of the other status.
  expect(count(it)).toBe(11)
})

test('prune without statuses: all that have ended and match, none that lives; a limit takes the oldest', async () => {
  const it = await desk()
  await it.leader.put(endedRows(10))
  expect(await it.ask({ type: 'pruneTasks', query: {}, limit: 3 })).toEqual({ type: 'pruned', tasks: 3 })
  expect(it.leader.ledger.view.task(taskId('old-0009'))).toBeUndefined()
  expect(it.leader.ledger.view.task(taskId('old-0006'))).toBeDefined()
  expect(await it.ask({ type: 'pruneTasks', query: { statuses: ['FAILED'] } })).toEqual({ type: 'pruned', tasks: 4 })
  expect(await it.ask({ type: 'pruneTasks', query: { role: HELLO.role } })).toEqual({ type: 'pruned', tasks: 3 })
  expect(count(it)).toBe(1)
})

test('prune of many: at most 300 rows a transaction, and a retry after a crash in between keeps to the limit', async () => {
  const it = await desk()
  await it.leader.put(endedRows(90))
  const sizes: number[] = []
  it.leader.ledger.subscribe('committed', ({ transaction }) => {
    if (transaction.cause.who === 'bob')
      sizes.push(transaction.changes.filter(change => change.type === 'delete').length)
  })
  await it.leader.put(endedRows(700).slice(90))
  const asked = { type: 'pruneTasks', query: {}, limit: 650, requestId: 'x' } as const
  expect(await it.ask(asked)).toEqual({ type: 'pruned', tasks: 650 })
  expect(sizes).toEqual([300, 300, 50])
  expect(await it.ask(asked)).toEqual({ type: 'pruned', tasks: 650 })
  // What the leader before had got to when it died.
  const outcome = { type: 'pruning', tasks: 30 }
  const row = { v: 1, requestId: 'y', fingerprint: 'f', outcome, atMs: 1 } as const
  await it.leader.put([{ type: 'put', table: 'request', key: 'y', row }])
  expect(await it.ask({ ...asked, limit: 40, requestId: 'y' })).toEqual({ type: 'pruned', tasks: 40 })
  expect(sizes).toEqual([300, 300, 50, 10])
})

test('a prune whose fate nobody knows, or that is done in part, never sounds as if nothing had happened', async () => {
  const prune = { type: 'pruneTasks', query: {} } as const
  const unknown = await desk()
  await unknown.leader.put(endedRows(10))
  unknown.leader.log.hold()
  const first = await unknown.begin(prune)
  unknown.leader.log.lose({ type: 'unknown' })
  await unknown.leader.sim.settle()
  expect(first).toMatchObject([{ code: 'OUTCOME_UNKNOWN' }])

  const part = await desk()
  await part.leader.put(endedRows(400))
  part.leader.log.hold()
  const second = await part.begin(prune)
  part.leader.log.release(1)
  await part.leader.sim.settle()
  expect(count(part)).toBe(1)
  part.leader.log.fail({ type: 'noSpace', freeBytes: 1 })
  await part.leader.sim.settle()
  expect(second).toMatchObject([{ code: 'OUTCOME_UNKNOWN' }])
})

test('a prune that is committed is told so, lease or not: nobody prunes as many again', async () => {
  const it = await desk()
  await it.leader.put(endedRows(10))
  it.leader.log.isLeased = false
  expect(await it.ask({ type: 'pruneTasks', query: {}, limit: 3 })).toEqual({ type: 'pruned', tasks: 3 })
})
