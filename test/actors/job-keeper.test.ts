import { createHash } from 'node:crypto'
import { afterEach, describe, expect, test } from 'vitest'
import { agentId } from '../../src/core/base/ids.ts'
import { jobVersion } from '../../src/core/job/job-version.ts'
import { HELLO, putUpdate, putUpdateEvent, updateEvent, updateRow } from '../fixtures/rows.ts'
import { job, type LeaderOptions, TaskLeader } from '../fixtures/task-leader.ts'

const leaders: TaskLeader[] = []
async function lead(options: LeaderOptions = {}): Promise<TaskLeader> {
  const leader = await TaskLeader.start(options)
  leaders.push(leader)
  return leader
}
async function failover(leader: TaskLeader): Promise<TaskLeader> {
  const next = await leader.failover()
  leaders.push(next)
  return next
}
const done = (instances: number[], message: string | null = null) => ({
  type: 'done',
  key: HELLO,
  instances,
  message,
  warnings: [],
})
const adhoc = { ...job().task, isService: false }
/** Ended by its agent: no replacement follows. */
async function finishKill(leader: TaskLeader): Promise<void> {
  for (const { taskId, status } of leader.ledger.view.activeTasksOfJob(HELLO))
    if (status === 'KILLING') leader.propose(taskId, 'KILLED')
  await leader.sim.settle()
}

afterEach(async () => {
  for (const leader of leaders.splice(0)) {
    expect(leader.sim.failures).toEqual([])
    await leader.sim.stop()
  }
})

describe('create', () => {
  test('a new job: configuration, job, tasks and outcome in one transaction, the answer after its commit', async () => {
    const leader = await lead()
    leader.log.hold()
    const entries = leader.log.entries.length
    const answers = leader.ask({ type: 'create', job: job({ instanceCount: 3 }) })
    await leader.sim.settle()
    expect(answers).toEqual([])
    leader.log.letGo()
    await leader.sim.settle()
    expect(answers).toMatchObject([{ type: 'done', instances: [0, 1, 2] }])
    expect(leader.log.entries).toHaveLength(entries + 1)
    const { view } = leader.ledger
    expect(view.counts).toMatchObject({ tasks: 3, jobs: 1, configs: 1 })
    expect(view.tasksOfJob(HELLO).map(task => [task.instance, task.status])).toEqual([
      [0, 'PENDING'],
      [1, 'PENDING'],
      [2, 'PENDING'],
    ])
    expect(view.job(HELLO)).toMatchObject({ instanceCount: 3, createdBy: 'alice' })
  })

  test('refused for what an old memory says, without a lease: no refusal leaves; renewed: it does', async () => {
    const leader = await lead()
    await leader.create()
    leader.log.isLeased = false
    const answers = [
      leader.ask({ type: 'create', job: job() }),
      leader.ask({ type: 'kill', key: { ...HELLO, name: 'nobody' } }),
      leader.ask({ type: 'restart', instances: [7] }),
    ]
    await leader.sim.settle()
    expect(answers.flat()).toEqual([])
    leader.log.isLeased = true
    leader.sim.advance(10)
    expect(answers.flat()).toMatchObject([{ code: 'JOB_EXISTS' }, { code: 'NOT_FOUND' }, { code: 'NOT_ACTIVE' }])
  })

  test('a transaction that is too large for one position: all of it or nothing', async () => {
    const leader = await lead()
    expect(await leader.create({ instanceCount: 4000 })).toMatchObject({ type: 'done' })
    expect((await failover(leader)).ledger.view.counts.tasks).toBe(4000)
  })

  test('one instance on every host: as many are wanted, and asked of the quota, as hosts are allowed', async () => {
    const allowedHosts = () => ['h', 'i'].map(agentId)
    const offers = () => Array.from({ length: 9 }, (_, n) => ({ agentId: agentId(`o${n}`) })) as never
    const nothing = { pending: () => [], explain: () => null, waiting: () => null, offer: () => null }
    const leader = await lead({ quotas: {}, placement: { ...nothing, offers, allowedHosts, largestHost: () => null } })
    const setQuota = (cpusMilli: number) => {
      const row = { v: 1, role: HELLO.role, quota: { cpusMilli, ramMb: 1000, diskMb: 1000 } } as const
      return leader.put([{ type: 'put', table: 'quota', key: HELLO.role, row }])
    }
    const task = { ...job().task, everyHost: true, tier: 'preferred' } as const
    await setQuota(199)
    expect(await leader.create({ task })).toMatchObject({
      code: 'QUOTA_EXCEEDED',
      faults: [{ text: expect.stringContaining('this adds 0.2 core(s)') }],
    })
    await setQuota(200)
    expect(await leader.create({ task })).toMatchObject({ type: 'done' })
    expect(leader.ledger.view.job(HELLO)?.instanceCount).toBe(2)
  })

  test('the job is there: refused, and the answer waits for what it rests on', async () => {
    const leader = await lead()
    leader.log.hold()
    leader.ask({ type: 'create' })
    const second = leader.ask({ type: 'create' })
    await leader.sim.settle()
    expect(second).toEqual([])
    leader.log.letGo()
    await leader.sim.settle()
    expect(second).toMatchObject([{ code: 'JOB_EXISTS', detail: 'Job www-data/devel/hello already exists' }])
  })

  test('all its tasks have ended: the name is free again, and no configuration is left behind', async () => {
    const leader = await lead()
    await leader.create({ task: adhoc })
    const id = await leader.run()
    leader.propose(id, 'FINISHED')
    await leader.sim.settle()
    expect(await leader.create({ instanceCount: 2 })).toMatchObject({ type: 'done', instances: [0, 1] })
    expect(leader.ledger.view.job(HELLO)?.instanceCount).toBe(2)
    expect(leader.ledger.view.tasksOfJob(HELLO)).toHaveLength(3)
    expect(leader.ledger.view.counts.configs).toBe(2)
  })

  test('the same request again, also after a failover: the first answer, nothing done twice', async () => {
    const leader = await lead()
    const first = leader.ask({ type: 'create', requestId: 'mine' })
    const again = leader.ask({ type: 'create', requestId: 'mine' })
    await leader.sim.settle()
    expect(first).toMatchObject([{ type: 'done', instances: [0] }])
    expect(again).toEqual(first)
    const next = await failover(leader)
    const later = next.ask({ type: 'create', requestId: 'mine' })
    await next.sim.settle()
    expect(later).toEqual(first)
    expect(next.ledger.view.counts.tasks).toBe(1)
  })

  test('a used request id with another request: refused', async () => {
    const leader = await lead()
    leader.ask({ type: 'create', requestId: 'mine' })
    const other = leader.ask({ type: 'kill', requestId: 'mine', fingerprint: 'other' })
    await leader.sim.settle()
    expect(other).toMatchObject([{ code: 'INVALID_REQUEST' }])
    expect(leader.active().status).toBe('PENDING')
  })

  test('a request id that no row could have: refused', async () => {
    const leader = await lead()
    for (const requestId of ['', 'x'.repeat(256)]) {
      const answers = leader.ask({ type: 'create', requestId })
      await leader.sim.settle()
      expect(answers).toMatchObject([{ code: 'MALFORMED' }])
    }
  })

  test('a faulty job: the text, every fault, and nothing stored', async () => {
    const leader = await lead()
    const entries = leader.log.entries.length
    const answer = await leader.create({ owner: 'a b', instanceCount: 0 })
    expect(answer).toMatchObject({ code: 'INVALID_REQUEST', detail: 'Instance count must be positive.' })
    expect(answer).toHaveProperty('faults.length', 2)
    expect(leader.log.entries).toHaveLength(entries)
  })

  test('leadership lost while it is being written: the asker is told, and the next leader knows nothing of it', async () => {
    const leader = await lead()
    leader.log.hold()
    const answers = leader.ask({ type: 'create' })
    await leader.sim.settle()
    leader.log.lose({ type: 'unknown' })
    await leader.sim.settle()
    expect(answers).toMatchObject([{ type: 'rejected' }])
    const after = leader.ask({ type: 'create' })
    await leader.sim.settle()
    expect(after).toMatchObject([{ code: 'NOT_LEADER' }])
    expect((await failover(leader)).ledger.view.counts.tasks).toBe(0)
  })
})

describe('on a condition', () => {
  const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')
  const versionOf = (leader: TaskLeader) => jobVersion(leader.ledger.view, HELLO, sha256) ?? 'none'

  test.each([
    { type: 'kill' },
    { type: 'kill', instances: [0] },
    { type: 'restart' },
    { type: 'add', like: 0, count: 1 },
  ] as const)(
    '%o at another version: refused with the current one, nothing happens; at the current one: done',
    async command => {
      const leader = await lead({ sha256 })
      await leader.create({ instanceCount: 2 })
      const ids = [await leader.run(0), await leader.run(1)]
      const version = versionOf(leader)
      const before = leader.log.entries.length
      const refused = leader.ask({ ...command, ifVersion: ['0000000000000000'] })
      await leader.sim.settle()
      expect(refused).toMatchObject([{ code: 'VERSION_MISMATCH', version }])
      expect(leader.log.entries).toHaveLength(before)
      expect(ids.map(id => leader.status(id))).toEqual(['RUNNING', 'RUNNING'])
      const made = leader.ask({ ...command, ifVersion: [version] })
      await leader.sim.settle()
      expect(made).toMatchObject([{ type: 'done' }])
    },
  )

  test('two changes at the same version, one right after the other: one is made, whatever is committed yet', async () => {
    const leader = await lead({ sha256 })
    await leader.create()
    await leader.run()
    const ifVersion = [versionOf(leader)]
    leader.log.hold()
    const answers = [1, 2].map(count => leader.ask({ type: 'add', like: 0, count, ifVersion }))
    await leader.sim.settle()
    expect(answers.flat()).toEqual([])
    leader.log.letGo()
    await leader.sim.settle()
    expect(answers).toMatchObject([[{ type: 'done', instances: [1] }], [{ code: 'VERSION_MISMATCH' }]])
  })

  test('a kill at a version moves it at once, also before its tasks have heard of it', async () => {
    const leader = await lead({ sha256 })
    await leader.create({ instanceCount: 3 })
    const [first] = [await leader.run(0), await leader.run(1), await leader.run(2)]
    const ifVersion = [versionOf(leader)]
    leader.cutOff.add(first)
    leader.ask({ type: 'kill', instances: [0], requestId: 'mine', ifVersion })
    const answers = [
      leader.ask({ type: 'kill', instances: [1], ifVersion }),
      leader.ask({ type: 'add', like: 2, count: 1, ifVersion }),
    ]
    await leader.sim.settle()
    expect(answers).toMatchObject([[{ code: 'VERSION_MISMATCH' }], [{ code: 'VERSION_MISMATCH' }]])
    // The version that it names is the one that the job has when the kill has come through.
    leader.propose(first, 'KILLING')
    await leader.sim.settle()
    expect(answers[0]).toMatchObject([{ version: versionOf(leader) }])
  })

  test('the same request again after it has moved the version: the first answer, and no refusal', async () => {
    const leader = await lead()
    await leader.create()
    const command = { type: 'add', like: 0, count: 1, requestId: 'mine', ifVersion: 'any' as const } as const
    const first = leader.ask(command)
    await leader.sim.settle()
    const again = leader.ask({ ...command, ifVersion: ['0000000000000000'] })
    await leader.sim.settle()
    expect(first).toMatchObject([{ type: 'done', instances: [1] }])
    expect(again).toEqual(first)
    expect(leader.ledger.view.activeTasksOfJob(HELLO)).toHaveLength(2)
  })

  test('any version, and there is no job: refused', async () => {
    const leader = await lead()
    const commands = [{ type: 'kill' }, { type: 'create' }] as const
    const answers = commands.map(command => leader.ask({ ...command, ifVersion: 'any' }))
    await leader.sim.settle()
    expect(answers.flat()).toMatchObject([{ code: 'VERSION_MISMATCH' }, { code: 'VERSION_MISMATCH' }])
    expect(leader.ledger.view.counts.jobs).toBe(0)
  })
})

describe('kill', () => {
  test('all of a running job: KILLING with the audit text, kills sent, the job gone, answered after the commit', async () => {
    const leader = await lead()
    await leader.create({ instanceCount: 2 })
    const ids = [await leader.run(0), await leader.run(1)]
    leader.log.hold()
    const answers = leader.ask({ type: 'kill', message: 'too loud' })
    await leader.sim.settle()
    expect([answers, leader.kills(ids[0]!)]).toEqual([[], 0])
    leader.log.letGo()
    await leader.sim.settle()
    expect(answers).toEqual([done([0, 1])])
    expect(leader.ledger.view.job(HELLO)).toBeUndefined()
    for (const id of ids) {
      expect(leader.ledger.view.task(id)?.events.at(-1)).toMatchObject({
        status: 'KILLING',
        message: 'Killed by alice.\ntoo loud',
      })
      expect(leader.kills(id)).toBe(1)
    }
  })

  test('all of a job that only waits: nothing of it is left, its configuration included', async () => {
    const leader = await lead()
    await leader.create({ instanceCount: 3 })
    const answers = leader.ask({ type: 'kill' })
    await leader.sim.settle()
    expect(answers).toEqual([done([0, 1, 2])])
    expect(leader.ledger.view.counts).toMatchObject({ tasks: 0, jobs: 0, configs: 0 })
  })

  test('some instances: those only, unknown ones passed over, the job stays', async () => {
    const leader = await lead()
    await leader.create({ instanceCount: 3 })
    const answers = leader.ask({ type: 'kill', instances: [2, 0, 7] })
    await leader.sim.settle()
    expect(answers).toEqual([done([0, 2])])
    expect(leader.ledger.view.activeTasksOfJob(HELLO).map(task => task.instance)).toEqual([1])
    expect(leader.ledger.view.job(HELLO)).toBeDefined()
  })

  test('nothing active is meant: done, with Aurora’s words', async () => {
    const leader = await lead()
    await leader.create()
    const answers = leader.ask({ type: 'kill', instances: [9] })
    await leader.sim.settle()
    expect(answers).toEqual([done([], 'No tasks to kill.')])
  })

  test('a second kill while the first is under way: nothing more to kill', async () => {
    const leader = await lead()
    await leader.create()
    await leader.run()
    leader.ask({ type: 'kill', instances: [0] })
    await leader.sim.settle()
    const again = leader.ask({ type: 'kill', instances: [0] })
    await leader.sim.settle()
    expect(again).toEqual([done([], 'No tasks to kill.')])
  })

  test('a job that never was: not found, with its name and how to list', async () => {
    const leader = await lead()
    const answers = leader.ask({ type: 'kill' })
    await leader.sim.settle()
    expect(answers).toMatchObject([
      {
        code: 'NOT_FOUND',
        detail: 'There is no job www-data/devel/hello',
        remedy: 'List the jobs of the role with: daybreak job list CLUSTER/www-data',
      },
    ])
  })

  test('a task fails just before the kill reaches it: its replacement is killed, in any order of events', async () => {
    for (let seed = 1; seed <= 20; seed++) {
      const leader = await lead({ seed })
      await leader.create({ instanceCount: 2 })
      const id = await leader.run(0)
      await leader.run(1)
      const answers = leader.ask({ type: 'kill' })
      leader.propose(id, 'FAILED')
      await leader.sim.settle()
      expect(answers).toEqual([done([0, 1])])
      await finishKill(leader)
      leader.sim.advance(2000)
      await leader.sim.settle()
      expect(leader.ledger.view.activeTasksOfJob(HELLO)).toEqual([])
    }
  })

  test('killed, ended and created again: the old kill does not touch the new job', async () => {
    const leader = await lead()
    await leader.create()
    await leader.run()
    leader.ask({ type: 'kill', requestId: 'mine' })
    await leader.sim.settle()
    await finishKill(leader)
    await leader.create()
    const again = leader.ask({ type: 'kill', requestId: 'mine' })
    await leader.sim.settle()
    expect(again).toEqual([done([0])])
    expect(leader.active().status).toBe('PENDING')
    expect(leader.ledger.view.job(HELLO)).toBeDefined()
  })
})

describe('restart', () => {
  test('running tasks: RESTARTING with the audit text; each comes back without a pause once it has ended', async () => {
    const leader = await lead()
    await leader.create({ instanceCount: 2 })
    const id = await leader.run(0)
    await leader.run(1)
    const answers = leader.ask({ type: 'restart', instances: [0] })
    await leader.sim.settle()
    expect(answers).toEqual([done([0])])
    expect(leader.ledger.view.task(id)?.events.at(-1)).toMatchObject({
      status: 'RESTARTING',
      message: 'Restarted by alice',
    })
    leader.propose(id, 'KILLED')
    await leader.sim.settle()
    expect(leader.active(0)).toMatchObject({ status: 'PENDING', ancestorId: id })
    expect(leader.active(1).status).toBe('RUNNING')
  })

  test('one of those asked for is not active: none is touched, and it is named', async () => {
    const leader = await lead()
    await leader.create()
    await leader.run()
    const answers = leader.ask({ type: 'restart', instances: [0, 4] })
    await leader.sim.settle()
    expect(answers).toMatchObject([
      {
        code: 'NOT_ACTIVE',
        detail: 'Not all requested shards are active.',
        faults: [{ path: 'instances', text: 'Instance 4 is not active.' }],
      },
    ])
    expect(leader.active().status).toBe('RUNNING')
  })

  test('tasks that only wait: there is nothing to restart', async () => {
    const leader = await lead()
    await leader.create()
    const answers = leader.ask({ type: 'restart' })
    await leader.sim.settle()
    expect(answers).toEqual([done([], 'No tasks to restart.')])
  })
})

describe('add', () => {
  test('more of an active instance: numbers follow the highest, the job grows, the answer after the commit', async () => {
    const leader = await lead()
    await leader.create({ instanceCount: 2 })
    leader.log.hold()
    const answers = leader.ask({ type: 'add', like: 0, count: 2 })
    await leader.sim.settle()
    expect(answers).toEqual([])
    leader.log.letGo()
    await leader.sim.settle()
    expect(answers).toEqual([done([2, 3])])
    const { view } = leader.ledger
    expect(view.activeTasksOfJob(HELLO).map(task => [task.instance, task.status])).toEqual([
      [0, 'PENDING'],
      [1, 'PENDING'],
      [2, 'PENDING'],
      [3, 'PENDING'],
    ])
    expect(view.job(HELLO)?.instanceCount).toBe(4)
    expect(leader.active(3).events).toMatchObject([{ status: 'PENDING', who: 'alice' }])
  })

  test('two who add at once get different numbers; a repeat of one gets its first answer', async () => {
    const leader = await lead()
    await leader.create()
    const first = leader.ask({ type: 'add', like: 0, count: 1, requestId: 'mine' })
    const second = leader.ask({ type: 'add', like: 0, count: 1 })
    const again = leader.ask({ type: 'add', like: 0, count: 1, requestId: 'mine' })
    await leader.sim.settle()
    expect([first, second, again]).toEqual([[done([1])], [done([2])], [done([1])]])
  })

  test('of an instance that is not active, or none at all: refused, nothing added', async () => {
    const leader = await lead()
    await leader.create()
    const answers = [
      leader.ask({ type: 'add', like: 7, count: 1 }),
      leader.ask({ type: 'add', like: 0, count: 0 }),
      leader.ask({ type: 'add', like: 0, count: 4000 }),
    ]
    await leader.sim.settle()
    expect(answers.flat()).toMatchObject([
      { detail: 'No active task found for a given instance ID.' },
      { detail: 'Instance count must be positive.' },
      { detail: 'Instance count must be between 1 and 4000 inclusive.' },
    ])
    expect(leader.ledger.view.counts.tasks).toBe(1)
  })
})

describe('while an update owns the job', () => {
  for (const status of ['ROLLING_FORWARD', 'ROLL_BACK_PAUSED', 'ROLL_FORWARD_AWAITING_PULSE'] as const)
    test(`api-26: ${status}: create, kill, restart and add are refused and change nothing`, async () => {
      const leader = await lead()
      await leader.create()
      await leader.run()
      await leader.put([putUpdate(updateRow('u-1')), putUpdateEvent(updateEvent('u-1', 1, { status }))])
      const rows = leader.log.entries.length
      const answers = [
        leader.ask({ type: 'create' }),
        leader.ask({ type: 'kill' }),
        leader.ask({ type: 'restart' }),
        leader.ask({ type: 'add', like: 0, count: 1 }),
      ]
      await leader.sim.settle()
      expect(answers.flat()).toMatchObject(
        Array.from({ length: 4 }, () => ({ code: 'JOB_UPDATING', detail: 'Job is currently updating' })),
      )
      expect(leader.log.entries).toHaveLength(rows)
    })

  test('once it has ended, the job is its users’ again', async () => {
    const leader = await lead()
    await leader.create()
    await leader.put([putUpdate(updateRow('u-1')), putUpdateEvent(updateEvent('u-1', 1, { status: 'ROLLED_BACK' }))])
    const answers = leader.ask({ type: 'add', like: 0, count: 1 })
    await leader.sim.settle()
    expect(answers).toEqual([done([1])])
  })
})

describe('a crash in the middle', () => {
  // The request is recorded, then come the tasks one by one, then the outcome: cut after each of these.
  for (const type of ['kill', 'restart'] as const) {
    for (let reached = 0; reached <= 3; reached++)
      test(`${type}, ${reached} of 3 tasks reached: its retry finishes it, once for every task`, async () => {
        const leader = await lead()
        await leader.create({ instanceCount: 3 })
        const ids = [await leader.run(0), await leader.run(1), await leader.run(2)]
        for (const id of ids.slice(reached)) leader.cutOff.add(id)
        const answers = leader.ask({ type, requestId: 'mine' })
        await leader.sim.settle()
        expect(answers).toHaveLength(reached === 3 ? 1 : 0)
        const next = await failover(leader)
        expect(ids.filter(id => next.status(id) !== 'RUNNING')).toHaveLength(reached)
        await finishes(next, type, ids)
      })

    test(`${type}, only its first commits are there: its retry finishes it, once for every task`, async () => {
      for (let commits = 0; commits <= 3; commits++) {
        const leader = await lead()
        await leader.create({ instanceCount: 3 })
        const ids = [await leader.run(0), await leader.run(1), await leader.run(2)]
        leader.log.hold()
        leader.ask({ type, requestId: 'mine' })
        for (let n = 0; n < commits; n++) {
          await leader.sim.settle()
          leader.log.release(1)
        }
        await finishes(await failover(leader), type, ids)
      }
    })
  }

  async function finishes(next: TaskLeader, type: 'kill' | 'restart', ids: readonly string[]): Promise<void> {
    // What was reached ends meanwhile, and is replaced if it was a restart.
    for (const { taskId, status } of next.ledger.view.tasksOfJob(HELLO))
      if (status === 'KILLING' || status === 'RESTARTING') next.propose(taskId, 'KILLED')
    await next.sim.settle()
    const retried = next.ask({ type, requestId: 'mine' })
    await next.sim.settle()
    expect(retried).toEqual([done([0, 1, 2])])
    const asked = type === 'kill' ? 'KILLING' : 'RESTARTING'
    for (const { taskId, events } of next.ledger.view.tasksOfJob(HELLO)) {
      const times = events.filter(event => event.status === asked).length
      expect([taskId, times]).toEqual([taskId, ids.includes(taskId) ? 1 : 0])
    }
    expect(next.ledger.view.job(HELLO) === undefined).toBe(type === 'kill')
    const again = next.ask({ type, requestId: 'mine' })
    await next.sim.settle()
    expect(again).toEqual(retried)
  }

  test.each(['kill', 'restart'] as const)(
    '%s, its outcome is certainly not written: unknown all the same, for its tasks were reached',
    async type => {
      const leader = await lead()
      await leader.create()
      await leader.run()
      leader.log.hold()
      const answers = leader.ask({ type, requestId: 'mine' })
      await leader.sim.settle()
      const outcome = () => leader.ledger.view.request('mine')?.outcome as { type: string } | undefined
      for (let n = 0; n < 9 && outcome()?.type !== 'done'; n++) {
        leader.log.release(1)
        await leader.sim.settle()
      }
      expect([outcome()?.type, leader.log.waiting, answers]).toEqual(['done', 1, []])
      leader.log.fail({ type: 'noSpace', freeBytes: 1 })
      await leader.sim.settle()
      expect(answers).toMatchObject([{ code: 'OUTCOME_UNKNOWN' }])
    },
  )

  test('a repeat while the first is under way: both get the one answer', async () => {
    const leader = await lead()
    await leader.create()
    await leader.run()
    leader.log.hold()
    const first = leader.ask({ type: 'restart', requestId: 'mine' })
    const second = leader.ask({ type: 'restart', requestId: 'mine' })
    await leader.sim.settle()
    leader.log.letGo()
    await leader.sim.settle()
    expect([first, second]).toEqual([[done([0])], [done([0])]])
  })

  test('the tasks cannot answer: unknown after 30 s, with how to go on, and the retry finishes it', async () => {
    const leader = await lead()
    await leader.create()
    await leader.run()
    const first = leader.ask({ type: 'restart', requestId: 'mine' })
    leader.log.hold()
    await leader.sim.settle()
    leader.sim.advance(30_000)
    await leader.sim.settle()
    expect(first).toMatchObject([{ code: 'OUTCOME_UNKNOWN', remedy: expect.stringContaining('same id') }])
    leader.log.letGo()
    await leader.sim.settle()
    const second = leader.ask({ type: 'restart', requestId: 'mine' })
    await leader.sim.settle()
    expect(second).toEqual([done([0])])
  })
})
