import { afterEach, describe, expect, test } from 'vitest'
import type { Transitioned } from '../../src/actors/task-state-machine.ts'
import { agentId, type TaskId, taskId } from '../../src/core/base/ids.ts'
import { prng } from '../../src/core/base/prng.ts'
import type { TaskRow } from '../../src/core/ledger/rows.ts'
import type { TaskStatus } from '../../src/core/task/status.ts'
import { configRow, HELLO, putConfig, putTask, taskRow } from '../fixtures/rows.ts'
import { job, type LeaderOptions, TaskLeader } from '../fixtures/task-leader.ts'

const leaders: TaskLeader[] = []
async function lead(options: LeaderOptions = {}): Promise<TaskLeader> {
  const leader = await TaskLeader.start(options)
  leaders.push(leader)
  return leader
}
async function failover(leader: TaskLeader, pauseMs = 0): Promise<TaskLeader> {
  const next = await leader.failover(pauseMs)
  leaders.push(next)
  return next
}
/** A job whose only instance runs. */
async function running(more: Parameters<TaskLeader['create']>[0] = {}, options: LeaderOptions = {}) {
  const leader = await lead(options)
  await leader.create(more)
  return { leader, id: await leader.run() }
}
const adhoc = { task: { ...job().task, isService: false } }
const MINUTE = 60_000

afterEach(async () => {
  for (const leader of leaders.splice(0)) {
    expect(leader.sim.failures).toEqual([])
    await leader.sim.stop()
  }
})

describe('output commit', () => {
  test('ASSIGNED staged but not committed: no launch and no answer; both after the commit, the launch once', async () => {
    const leader = await lead()
    await leader.create()
    const { taskId: id } = leader.active()
    leader.log.hold()
    const answers = leader.assign(id)
    await leader.sim.settle()
    expect(leader.status(id)).toBe('ASSIGNED')
    expect([answers, leader.sent]).toEqual([[], []])
    leader.log.letGo()
    await leader.sim.settle()
    expect(answers).toEqual([{ taskId: id, result: 'SUCCESS' }])
    expect(leader.launches(id)).toBe(1)
  })

  test('a no-op while the transition it repeats is uncommitted: its answer waits for that commit', async () => {
    const { leader, id } = await running()
    leader.log.hold()
    const first = leader.propose(id, 'KILLING')
    const second = leader.propose(id, 'KILLING')
    await leader.sim.settle()
    expect([first, second]).toEqual([[], []])
    leader.log.letGo()
    await leader.sim.settle()
    expect([first[0]?.result, second[0]?.result]).toEqual(['SUCCESS', 'NOOP'])
    expect(leader.kills(id)).toBe(1)
  })

  test('a status whose append fails: never acknowledged, no kill leaves; the next leader decides it once', async () => {
    const leader = await lead()
    await leader.create({ instanceCount: 3 })
    const [failed, lost] = [await leader.run(0), await leader.run(1)]
    const waiting = leader.ledger.view.activeTask(HELLO, 2)!.taskId
    const { length: sent } = leader.sent
    leader.log.hold()
    // A batch of what would be acknowledged, killed and launched.
    const answers = [
      leader.propose(failed, 'FAILED', { agentSeq: 3 }),
      leader.propose(lost, 'LOST', { agentSeq: 3 }),
      leader.assign(waiting),
    ]
    await leader.sim.settle()
    leader.log.lose({ type: 'unknown' })
    await leader.sim.settle()
    expect([answers, leader.sent.length]).toEqual([[[], [], []], sent])
    const next = await failover(leader)
    expect([failed, lost, waiting].map(id => next.status(id))).toEqual(['RUNNING', 'RUNNING', 'PENDING'])
    expect(next.ledger.view.tasksOfJob(HELLO)).toHaveLength(3)
    for (let time = 0; time < 2; time++) {
      next.propose(failed, 'FAILED', { agentSeq: 3 })
      next.propose(lost, 'LOST', { agentSeq: 3 })
      next.assign(waiting)
    }
    await next.sim.settle()
    expect(next.ledger.view.activeTask(HELLO, 0)?.failureCount).toBe(1)
    expect([next.kills(lost), next.launches(waiting)]).toEqual([1, 1])
    expect(next.ledger.view.tasksOfJob(HELLO)).toHaveLength(5)
  })

  test('an update that comes again after its commit: answered, no event, nothing appended', async () => {
    const { leader, id } = await running(adhoc)
    leader.propose(id, 'FAILED', { agentSeq: 3 })
    await leader.sim.settle()
    const entries = leader.log.entries.length
    const again = leader.propose(id, 'FAILED', { agentSeq: 3 })
    const older = leader.propose(id, 'RUNNING', { agentSeq: 2 })
    await leader.sim.settle()
    expect([again[0]?.result, older[0]?.result]).toEqual(['NOOP', 'NOOP'])
    expect(leader.log.entries).toHaveLength(entries)
    expect(leader.kills(id)).toBe(0)
  })
})

describe('tasks that end too soon', () => {
  /** Runs the only instance for so long, then it fails. */
  async function flap(leader: TaskLeader, lastingMs = 10_000): Promise<TaskRow> {
    const id = await leader.run()
    leader.sim.advance(lastingMs)
    leader.propose(id, 'FAILED')
    await leader.sim.settle()
    return leader.active()
  }
  /** Of its replacement, to be served still. */
  const penaltyMs = (leader: TaskLeader, { readyAtMs = 0 }: TaskRow) => readyAtMs - leader.sim.now().wallMs
  /** The first run was free, the second one was not. */
  async function throttled() {
    const leader = await lead()
    await leader.create()
    await flap(leader)
    const row = await flap(leader)
    return { leader, id: row.taskId, pauseMs: penaltyMs(leader, row) }
  }

  test('service whose runs last 10 s: PENDING at once, then 30 to 60 s, then 30 to 120 s, never above 300 s', async () => {
    const leader = await lead()
    await leader.create()
    expect(await flap(leader)).toMatchObject({ status: 'PENDING', flapCount: 1 })
    const pauses: number[] = []
    for (let run = 2; run <= 12; run++) {
      const row = await flap(leader)
      const pauseMs = penaltyMs(leader, row)
      expect([row.status, row.flapCount]).toEqual(['THROTTLED', run])
      expect(row.events[0]?.message).toBe(`Rescheduled, penalized for ${pauseMs} ms for flapping`)
      pauses.push(pauseMs)
      leader.sim.advance(pauseMs - 1)
      expect(leader.status(row.taskId)).toBe('THROTTLED')
      leader.sim.advance(1)
      await leader.sim.settle()
      expect(leader.history(row.taskId)).toEqual(['THROTTLED', 'PENDING'])
    }
    expect(pauses[0]).toBeGreaterThanOrEqual(30_000)
    expect(pauses[0]).toBeLessThanOrEqual(60_000)
    expect(pauses[1]).toBeGreaterThanOrEqual(30_000)
    expect(pauses[1]).toBeLessThanOrEqual(120_000)
    expect(pauses.at(-1)).toBe(300_000)
    expect(Math.max(...pauses)).toBe(300_000)
    expect(await flap(leader, 5 * MINUTE)).toMatchObject({ status: 'PENDING' })
    expect(leader.active()).not.toHaveProperty('flapCount')
  })

  test('failover during the pause: PENDING at the same moment as before; when it has passed, at once', async () => {
    const { leader, id, pauseMs } = await throttled()
    const next = await failover(leader, 10_000)
    next.sim.advance(pauseMs - 10_001)
    await next.sim.settle()
    expect(next.status(id)).toBe('THROTTLED')
    next.sim.advance(1)
    await next.sim.settle()
    expect(next.status(id)).toBe('PENDING')
    const other = await throttled()
    const later = await failover(other.leader, other.pauseMs + 5000)
    later.sim.advance(0)
    await later.sim.settle()
    expect(later.status(other.id)).toBe('PENDING')
  })

  test('its ancestors are pruned: the penalty is the same, and no row but its own is read', async () => {
    const { leader, id, pauseMs } = await throttled()
    leader.sim.advance(pauseMs)
    await leader.sim.settle()
    const ancestors = leader.ledger.view.tasksOfJob(HELLO).filter(row => row.taskId !== id)
    expect(ancestors).toHaveLength(2)
    await leader.put(ancestors.map(({ taskId: key }) => ({ type: 'delete', table: 'task', key })))
    const row = await flap(leader)
    expect(row).toMatchObject({ status: 'THROTTLED', flapCount: 3 })
    expect(penaltyMs(leader, row)).toBeGreaterThanOrEqual(30_000)
  })

  test('killed while THROTTLED: gone, and its timer does nothing', async () => {
    const { leader, id, pauseMs } = await throttled()
    leader.propose(id, 'KILLING')
    leader.sim.advance(2 * pauseMs)
    await leader.sim.settle()
    expect(leader.status(id)).toBeUndefined()
    expect(leader.ledger.view.activeTasksOfJob(HELLO)).toEqual([])
  })

  test('30 instances fail at once, 10 may run again at once: the others one by one, kills and other ends unhindered', async () => {
    const leader = await lead({ restartsPerSecond: 1 })
    await leader.create({ instanceCount: 30 })
    const ids: TaskId[] = []
    for (let instance = 0; instance < 30; instance++) ids.push(await leader.run(instance))
    const answers = ids.map(id => leader.propose(id, 'FAILED', { agentSeq: 3 }))
    await leader.sim.settle()
    // Every report is decided and answered at once; only what is run again waits.
    expect(answers.every(([answer]) => answer?.result === 'SUCCESS')).toBe(true)
    const active = () => leader.ledger.view.activeTasksOfJob(HELLO).map(row => row.status)
    const pending = () => active().filter(status => status === 'PENDING').length
    expect([active().length, pending()]).toEqual([30, 10])
    leader.sim.advance(5000)
    await leader.sim.settle()
    expect(pending()).toBe(15)
    const last = leader.ledger.view.activeTasksOfJob(HELLO).find(row => row.status === 'THROTTLED')
    const killed = leader.propose(last!.taskId, 'KILLING')
    await leader.sim.settle()
    expect([killed[0]?.result, active().length]).toEqual(['SUCCESS', 29])
    leader.sim.advance(15_000)
    await leader.sim.settle()
    expect(pending()).toBe(29)
  })
})

describe('100,000 live tasks, the leader killed', () => {
  const COUNT = 100_000
  const KILL_PENDING = ['KILLING', 'RESTARTING', 'DRAINING', 'PREEMPTING'] as const

  test('life-75: the next one has every acknowledged transition, launches nothing again and sends each owed kill once', async () => {
    const leader = await lead()
    await leader.put([putConfig(configRow())])
    const statusOf = (at: number): TaskStatus =>
      at % 100 === 0 ? KILL_PENDING[(at / 100) % 4]! : at % 100 === 1 ? 'ASSIGNED' : 'RUNNING'
    // Entered a moment ago, so that nothing is due by itself.
    const atMs = leader.sim.now().wallMs
    for (let from = 0; from < COUNT; from += 1_000)
      await leader.put(
        Array.from({ length: 1_000 }, (_, n) => {
          const [instance, status] = [from + n, statusOf(from + n)]
          const bound = { agentId: agentId(`a${instance % 500}`), host: `h${instance % 500}` }
          return putTask(
            taskRow(`t${instance}`, { instance, status, ...bound, events: [{ atMs, status, scheduler: 'x' }] }),
          )
        }),
      )
    const late = leader.propose(taskId('t2'), 'KILLING')
    await leader.sim.settle()
    expect(late[0]?.result).toBe('SUCCESS')
    const next = await failover(leader)
    expect(next.ledger.view.counts.tasks).toBe(COUNT)
    expect(next.status(taskId('t2'))).toBe('KILLING')
    expect(next.sent.filter(({ type }) => type === 'launch')).toEqual([])
    const killed = next.sent.flatMap(message => (message.type === 'kill' ? [message.taskId] : []))
    const owed = KILL_PENDING.flatMap(status => Array.from(next.ledger.view.tasksByStatus(status), row => row.taskId))
    expect(owed).toHaveLength(COUNT / 100 + 1)
    expect(killed.toSorted()).toEqual(owed.toSorted())
    const more = next.propose(taskId('t3'), 'KILLING')
    await next.sim.settle()
    expect(more[0]?.result).toBe('SUCCESS')
  })
})

describe('a change of leader while a job is held back', () => {
  test('those that fail after it wait behind those that failed before it: no second burst', async () => {
    const restartsPerSecond = 1
    const leader = await lead({ restartsPerSecond })
    await leader.create({ instanceCount: 30 })
    const ids: TaskId[] = []
    for (let instance = 0; instance < 30; instance++) ids.push(await leader.run(instance))
    for (const id of ids.slice(0, 15)) leader.propose(id, 'FAILED', { agentSeq: 3 })
    await leader.sim.settle()
    const next = await leader.failover(0, { restartsPerSecond })
    leaders.push(next)
    for (const id of ids.slice(15)) next.propose(id, 'FAILED', { agentSeq: 3 })
    await next.sim.settle()
    const statuses = () => next.ledger.view.activeTasksOfJob(HELLO).map(row => row.status)
    const pending = () => statuses().filter(status => status === 'PENDING').length
    expect([statuses().length, pending()]).toEqual([30, 10])
    next.sim.advance(20_000)
    await next.sim.settle()
    expect(pending()).toBe(30)
  })
})

describe('passing states', () => {
  test('ASSIGNED for 5 min: LOST with the fixed text, replaced, killed', async () => {
    const leader = await lead()
    await leader.create()
    const { taskId: id } = leader.active()
    leader.assign(id)
    await leader.sim.settle()
    leader.sim.advance(5 * MINUTE - 1)
    await leader.sim.settle()
    expect(leader.status(id)).toBe('ASSIGNED')
    leader.sim.advance(1)
    await leader.sim.settle()
    expect(leader.history(id)).toEqual(['PENDING', 'ASSIGNED', 'LOST'])
    expect(leader.ledger.view.task(id)?.events.at(-1)?.message).toBe('Task timed out')
    expect(leader.active().ancestorId).toBe(id)
    expect(leader.kills(id)).toBe(1)
  })

  test('KILLING entered at 4 min: the timer of ASSIGNED does nothing, KILLING times out at 9 min', async () => {
    const leader = await lead()
    await leader.create()
    const { taskId: id } = leader.active()
    leader.assign(id)
    await leader.sim.settle()
    leader.sim.advance(4 * MINUTE)
    leader.propose(id, 'KILLING')
    await leader.sim.settle()
    leader.sim.advance(5 * MINUTE - 1)
    await leader.sim.settle()
    expect(leader.status(id)).toBe('KILLING')
    leader.sim.advance(1)
    await leader.sim.settle()
    expect(leader.history(id)).toEqual(['PENDING', 'ASSIGNED', 'KILLING', 'LOST'])
    expect(leader.ledger.view.activeTasksOfJob(HELLO)).toEqual([])
  })

  test('ASSIGNED for 4 min, then a failover: LOST one minute later', async () => {
    const leader = await lead()
    await leader.create()
    const { taskId: id } = leader.active()
    leader.assign(id)
    await leader.sim.settle()
    const next = await failover(leader, 4 * MINUTE)
    next.sim.advance(MINUTE - 1)
    await next.sim.settle()
    expect(next.status(id)).toBe('ASSIGNED')
    next.sim.advance(1)
    await next.sim.settle()
    expect(next.status(id)).toBe('LOST')
  })

  test('PARTITIONED with a delay of 10 s, healed at 9 s and broken again: LOST 10 s after the second time', async () => {
    const partitionPolicy = { reschedule: true, delaySecs: 10 }
    const { leader, id } = await running({ task: { ...job().task, partitionPolicy } })
    leader.propose(id, 'PARTITIONED')
    leader.sim.run()
    leader.sim.advance(9000)
    leader.propose(id, 'RUNNING')
    leader.sim.advance(500)
    leader.propose(id, 'PARTITIONED')
    leader.sim.run()
    leader.sim.advance(9999)
    await leader.sim.settle()
    expect(leader.status(id)).toBe('PARTITIONED')
    leader.sim.advance(1)
    await leader.sim.settle()
    expect(leader.ledger.view.task(id)?.events.at(-1)).toMatchObject({
      status: 'LOST',
      message: 'Task partitioned for too long.',
    })
    // It comes back all the same: the machine is told, and only about the old one.
    leader.propose(id, 'RUNNING')
    await leader.sim.settle()
    expect(leader.kills(id)).toBe(2)
    expect(leader.kills(leader.active().taskId)).toBe(0)
  })

  test('PARTITIONED: without a policy LOST at once; delay 10 s and a failover after 5 s: 5 s later; reschedule=false: stays', async () => {
    const partitioned = async (partitionPolicy?: { reschedule: boolean; delaySecs: number }) => {
      const policy = partitionPolicy === undefined ? {} : { partitionPolicy }
      const { leader, id } = await running({ task: { ...job().task, ...policy } })
      leader.propose(id, 'PARTITIONED')
      await leader.sim.settle()
      return { leader, id }
    }
    const plain = await partitioned()
    plain.leader.sim.advance(0)
    expect(plain.leader.ledger.view.task(plain.id)?.events.at(-1)).toMatchObject({
      status: 'LOST',
      message: 'Task partitioned for too long.',
      who: 'partition timer',
    })
    const stays = await partitioned({ reschedule: false, delaySecs: 0 })
    stays.leader.sim.advance(600 * MINUTE)
    expect(stays.leader.status(stays.id)).toBe('PARTITIONED')
    const delayed = await partitioned({ reschedule: true, delaySecs: 10 })
    const next = await failover(delayed.leader, 5000)
    next.sim.advance(4999)
    expect(next.status(delayed.id)).toBe('PARTITIONED')
    next.sim.advance(1)
    expect(next.status(delayed.id)).toBe('LOST')
  })
})

describe('kills', () => {
  test('KILLING, the agent silent: asked again after 15 to 30 s, ever more rarely, and no more once it has ended', async () => {
    const { leader, id } = await running()
    leader.propose(id, 'KILLING')
    await leader.sim.settle()
    expect(leader.kills(id)).toBe(1)
    leader.sim.advance(14_999)
    expect(leader.kills(id)).toBe(1)
    leader.sim.advance(15_001)
    expect(leader.kills(id)).toBe(2)
    leader.sim.advance(2 * MINUTE)
    const soFar = leader.kills(id)
    expect(soFar).toBeGreaterThanOrEqual(3)
    leader.propose(id, 'KILLED')
    await leader.sim.settle()
    leader.sim.advance(10 * MINUTE)
    expect(leader.kills(id)).toBe(soFar)
  })

  test('failover with kills owed: the new leader sends each at once', async () => {
    for (const status of ['KILLING', 'RESTARTING', 'DRAINING', 'PREEMPTING'] as const) {
      const { leader, id } = await running()
      leader.propose(id, status)
      await leader.sim.settle()
      const next = await failover(leader)
      expect(next.sent).toEqual([{ type: 'kill', taskId: id, agentId: 'agent-1', reason: `Task is ${status}.` }])
    }
  })

  test('unknown id: one that claims to run is killed where it runs, one that has ended is answered only', async () => {
    const leader = await lead()
    const stranger = taskId('stranger')
    const runs = leader.tell({
      type: 'propose',
      taskId: stranger,
      to: 'RUNNING',
      who: 'agent',
      agentSeq: 1,
      agentId: agentId('agent-9'),
    })
    const done = leader.propose(stranger, 'FINISHED')
    await leader.sim.settle()
    expect([runs[0]?.result, done[0]?.result]).toEqual(['ILLEGAL_WITH_SIDE_EFFECTS', 'ILLEGAL'])
    expect(leader.sent).toEqual([{ type: 'kill', taskId: stranger, agentId: 'agent-9', reason: 'Unknown task.' }])
  })
})

describe('actors', () => {
  test('running tasks after a failover: no actor until someone speaks to them', async () => {
    const { leader, id } = await running()
    const next = await failover(leader)
    expect(next.tasks.size).toBe(0)
    next.propose(id, 'FAILED')
    next.sim.run()
    expect(next.active().ancestorId).toBe(id)
  })

  test('a task ends: its actor leaves, and what was told to it meanwhile is answered all the same', async () => {
    const { leader, id } = await running(adhoc)
    const answers = [
      leader.propose(id, 'FINISHED'),
      leader.propose(id, 'FINISHED'),
      leader.propose(id, 'RUNNING'),
      leader.propose(id, 'KILLING'),
    ]
    await leader.sim.settle()
    expect(answers.map(list => list[0]?.result)).toEqual(['SUCCESS', 'NOOP', 'ILLEGAL_WITH_SIDE_EFFECTS', 'ILLEGAL'])
    expect(leader.tasks.size).toBe(0)
    expect(leader.sim.inspection.deadLetterCount).toBe(0)
    const paths = leader.sim.inspection.actors().map(actor => actor.path)
    expect(paths.filter(path => path.includes(id))).toEqual([])
  })

  test('told while its actor is leaving: answered all the same, whatever runs first', async () => {
    for (let seed = 1; seed <= 60; seed++) {
      // Leaves because its task has ended, or because there are too many.
      const isCrowded = seed % 2 === 0
      const { leader, id } = await running(adhoc, { seed, actorsMax: isCrowded ? 0 : 100 })
      const answers: Transitioned[][] = []
      const other = leader.sim.spawn<'speak'>({
        name: 'other',
        kind: 'Other',
        start: () => ({ receive: () => void answers.push(leader.propose(id, 'RUNNING')) }),
      })
      leader.propose(id, isCrowded ? 'STARTING' : 'FINISHED')
      other.tell('speak')
      await leader.sim.settle()
      expect(answers[0]).toHaveLength(1)
      expect([leader.sim.inspection.deadLetterCount, leader.tasks.size]).toEqual([0, 0])
    }
  })

  test('more actors than wished for: those of running tasks leave, and nothing told to them is lost', async () => {
    const leader = await lead({ actorsMax: 2 })
    await leader.create({ instanceCount: 10 })
    for (let instance = 0; instance < 10; instance++) await leader.run(instance)
    expect(leader.tasks.size).toBeLessThanOrEqual(2)
    const tasks = leader.ledger.view.activeTasksOfJob(HELLO).map(task => task.taskId)
    const answers = tasks.flatMap(id => [leader.propose(id, 'RESTARTING'), leader.propose(id, 'KILLED')])
    await leader.sim.settle()
    expect(answers.map(list => list[0]?.result)).toEqual(Array.from({ length: 20 }, () => 'SUCCESS'))
    expect(leader.ledger.view.activeTasksOfJob(HELLO)).toHaveLength(10)
    expect(leader.sim.inspection.deadLetterCount).toBe(0)
  })

  test('the disk is full: a status waits and is applied once there is room; an assignment is turned down at once', async () => {
    const { leader, id } = await running({ instanceCount: 2 })
    const { taskId: pending } = leader.active(1)
    leader.log.setWritable('disk full')
    await leader.sim.settle()
    const failed = leader.propose(id, 'FAILED', { agentSeq: 3 })
    const assigned = leader.assign(pending)
    leader.sim.advance(5000)
    await leader.sim.settle()
    expect([failed, assigned[0]?.result, leader.status(pending)]).toEqual([[], 'INVALID_CAS_STATE', 'PENDING'])
    leader.log.setWritable(null)
    await leader.sim.settle()
    leader.sim.advance(250)
    await leader.sim.settle()
    expect(failed[0]?.result).toBe('SUCCESS')
    expect(leader.status(id)).toBe('FAILED')
  })
})

test('a task that fails again and again: its job keeps at most 100 ended tasks older than an hour', async () => {
  const leader = await lead()
  await leader.create()
  for (let n = 0; n < 130; n++) {
    const id = await leader.run()
    leader.sim.advance(5 * MINUTE)
    leader.propose(id, 'FAILED')
    await leader.sim.settle()
  }
  const { view } = leader.ledger
  // 12 ended within the last hour.
  expect(view.tasksOfJob(HELLO).length).toBeLessThanOrEqual(102)
  expect(view.counts.configs).toBe(1)
  expect(leader.active().failureCount).toBe(130)
})

test('any interleaving: 200 random proposals, at most one active task per instance, every ancestor known or pruned', async () => {
  for (let seed = 1; seed <= 10; seed++) {
    const leader = await lead({ seed })
    await leader.create({ instanceCount: 4 })
    const random = prng(seed)
    const born = new Set<string>()
    for (let step = 0; step < 200; step++) {
      const rows = leader.ledger.view.tasksOfJob(HELLO)
      for (const row of rows) born.add(row.taskId)
      const row = rows[random.int(0, rows.length)]
      if (row === undefined) break
      if (row.status === 'PENDING' && random.next() < 0.7) leader.assign(row.taskId)
      else leader.propose(row.taskId, STATES[random.int(0, STATES.length)] ?? 'RUNNING')
      if (random.next() < 0.5) leader.sim.run()
      if (random.next() < 0.3) leader.sim.advance(random.next() * 2000)
      const slots = leader.ledger.view.activeTasksOfJob(HELLO).map(task => task.instance)
      expect(new Set(slots).size).toBe(slots.length)
    }
    await leader.sim.settle()
    for (const row of leader.ledger.view.tasksOfJob(HELLO)) {
      born.add(row.taskId)
      if (row.ancestorId !== undefined) expect(born.has(row.ancestorId)).toBe(true)
    }
    // What was staged is what a restart finds.
    const before = [...leader.ledger.view.tasksOfJob(HELLO)]
    const next = await failover(leader)
    expect(next.ledger.view.tasksOfJob(HELLO).map(task => task.taskId)).toEqual(before.map(task => task.taskId))
  }
})

const STATES = [
  'PENDING',
  'STARTING',
  'RUNNING',
  'FINISHED',
  'FAILED',
  'KILLED',
  'LOST',
  'PARTITIONED',
  'RESTARTING',
  'DRAINING',
  'PREEMPTING',
] as const
