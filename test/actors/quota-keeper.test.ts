import { afterEach, describe, expect, test } from 'vitest'
import type { Ref } from '../../src/actors/actor.ts'
import { type Logger, silentLogger } from '../../src/actors/ports.ts'
import type { IncreaseQuota, QuotaSet, SetQuota } from '../../src/actors/quota-keeper.ts'
import type { Rejection } from '../../src/core/base/rejection.ts'
import type { JobConfiguration } from '../../src/core/job/task-config.ts'
import { HELLO, taskConfig } from '../fixtures/rows.ts'
import { job, type LeaderOptions, TaskLeader } from '../fixtures/task-leader.ts'

const ROLE = HELLO.role
const leaders: TaskLeader[] = []
async function lead(options: LeaderOptions = {}): Promise<TaskLeader> {
  const leader = await TaskLeader.start({ quotas: {}, ...options })
  leaders.push(leader)
  return leader
}
const cores = (n: number) => ({ cpusMilli: n * 1000, ramMb: n * 1024, diskMb: n * 1024 })

type Told = (QuotaSet | Rejection)[]
type Ask = (Pick<SetQuota, 'type' | 'quota'> | Pick<IncreaseQuota, 'type' | 'by'>) & { requestId?: string }
let requests = 0
/** Tells the keeper, does not wait. */
function change(leader: TaskLeader, command: Ask): Told {
  const told: Told = []
  const replyTo: Ref<QuotaSet | Rejection> = { path: 'test', tell: answer => told.push(answer) > 0 }
  const fingerprint = JSON.stringify(command)
  leader.quotaKeeper.tell({ requestId: `q-${++requests}`, fingerprint, user: 'root', role: ROLE, replyTo, ...command })
  return told
}
async function set(leader: TaskLeader, n: number): Promise<void> {
  const told = change(leader, { type: 'setQuota', quota: cores(n) })
  await leader.sim.settle()
  expect(told).toEqual([{ type: 'quotaSet', role: ROLE, quota: cores(n) }])
}

/** A production job of one core, 1 GB of RAM and of disk for each instance. */
function production(name: string, instanceCount: number): JobConfiguration {
  const key = { ...HELLO, name }
  const resources = { cpusMilli: 1000, ramMb: 1024, diskMb: 1024, gpus: 0 }
  const executor = { name: 'AuroraExecutor', data: '{}' }
  const task = taskConfig({ job: key, tier: 'preferred', production: true, constraints: [], resources, executor })
  return job({ key, instanceCount, task })
}
const create = (leader: TaskLeader, one: JobConfiguration) => leader.ask({ type: 'create', job: one })

afterEach(async () => {
  for (const leader of leaders.splice(0)) {
    expect(leader.sim.failures).toEqual([])
    await leader.sim.stop()
  }
})

describe('jobs and quotas', () => {
  test('sched-84: two creations at once that only together exceed: exactly one passes, before either is committed', async () => {
    const leader = await lead()
    await set(leader, 3)
    leader.log.hold()
    const answers = [create(leader, production('a', 2)), create(leader, production('b', 2))]
    await leader.sim.settle()
    expect(answers).toEqual([[], []])
    leader.log.letGo()
    await leader.sim.settle()
    expect(answers[0]).toMatchObject([{ type: 'done', instances: [0, 1] }])
    expect(answers[1]).toMatchObject([
      {
        code: 'QUOTA_EXCEEDED',
        detail:
          'Insufficient resource quota: CPU quota exceeded by 1.00 core(s); RAM quota exceeded by 1024.00 MB; disk quota exceeded by 1024.00 MB',
      },
    ])
    expect(leader.ledger.view.counts).toMatchObject({ jobs: 1, tasks: 2 })
  })

  test('a creation and a quota that is lowered at once: whichever comes second is refused', async () => {
    const leader = await lead()
    await set(leader, 3)
    const created = create(leader, production('a', 2))
    const lowered = change(leader, { type: 'setQuota', quota: cores(1) })
    await leader.sim.settle()
    expect(created).toMatchObject([{ type: 'done' }])
    expect(lowered).toMatchObject([{ detail: expect.stringContaining('is less then current prod reservation') }])
    expect(leader.quotas?.quotaOf(ROLE)).toEqual(cores(3))
  })

  test('a job that is refused leaves nothing behind, and fits once others have ended', async () => {
    const leader = await lead()
    await set(leader, 2)
    const first = await leader.create(production('a', 2))
    expect(first).toMatchObject({ type: 'done' })
    expect(await leader.create(production('b', 1))).toMatchObject({ code: 'QUOTA_EXCEEDED' })
    expect(leader.ledger.view.counts).toMatchObject({ jobs: 1, configs: 1, tasks: 2 })
    for (const { taskId } of leader.ledger.view.tasks()) leader.propose(taskId, 'KILLING')
    await leader.sim.settle()
    expect(leader.quotas?.useOf(ROLE).prodShared.cpusMilli).toBe(0)
    expect(await leader.create(production('b', 1))).toMatchObject({ type: 'done' })
  })

  test('what is not production needs none, and is told in its own pool', async () => {
    const leader = await lead()
    expect(await leader.create({ instanceCount: 3 })).toMatchObject({ type: 'done' })
    const { prodShared, nonProdShared } = leader.quotas!.useOf(ROLE)
    expect(prodShared.cpusMilli).toBe(0)
    expect(nonProdShared.cpusMilli).toBe(3 * job().task.resources.cpusMilli)
    expect(leader.quotas?.roles()).toEqual([ROLE])
  })
})

describe('set and increase', () => {
  test('answered after the commit, and the next leader has it', async () => {
    const leader = await lead()
    leader.log.hold()
    const told = change(leader, { type: 'setQuota', quota: cores(2) })
    await leader.sim.settle()
    expect(told).toEqual([])
    leader.log.letGo()
    await leader.sim.settle()
    expect(told).toHaveLength(1)
    const next = await leader.failover(0, { quotas: {} })
    leaders.push(next)
    expect(next.ledger.view.quota(ROLE)).toEqual({ v: 1, role: ROLE, quota: cores(2) })
  })

  test('two who increase at once both get what they asked for, from nothing too', async () => {
    const leader = await lead()
    const by = { cpusMilli: 500, ramMb: 10, diskMb: 0 }
    const both = [change(leader, { type: 'increaseQuota', by }), change(leader, { type: 'increaseQuota', by })]
    await leader.sim.settle()
    expect(both).toMatchObject([
      [{ quota: { cpusMilli: 500, ramMb: 10, diskMb: 0 } }],
      [{ quota: { cpusMilli: 1000, ramMb: 20, diskMb: 0 } }],
    ])
  })

  test('the same request again, also at the next leader: the first answer, added once', async () => {
    const leader = await lead()
    const request: Ask = { type: 'increaseQuota', by: cores(1), requestId: 'mine' }
    const [first, again] = [change(leader, request), change(leader, request)]
    await leader.sim.settle()
    expect(again).toEqual(first)
    const next = await leader.failover(0, { quotas: {} })
    leaders.push(next)
    const later = change(next, request)
    await next.sim.settle()
    expect(later).toEqual(first)
    expect(next.quotas?.quotaOf(ROLE)).toEqual(cores(1))
  })

  test('one request id for two changes: the second is refused', async () => {
    const leader = await lead()
    change(leader, { type: 'setQuota', quota: cores(1), requestId: 'mine' })
    const other = change(leader, { type: 'setQuota', quota: cores(2), requestId: 'mine' })
    await leader.sim.settle()
    expect(other).toMatchObject([{ type: 'rejected', code: 'INVALID_REQUEST' }])
    expect(leader.quotas?.quotaOf(ROLE)).toEqual(cores(1))
  })

  test('less than is used, below zero, or past what can be counted: refused, nothing changes', async () => {
    const leader = await lead()
    await set(leader, 2)
    await leader.create(production('a', 2))
    const asked: Ask[] = [
      { type: 'increaseQuota', by: { cpusMilli: -1, ramMb: 0, diskMb: 0 } },
      { type: 'increaseQuota', by: cores(-3) },
      { type: 'increaseQuota', by: { cpusMilli: Number.MAX_SAFE_INTEGER, ramMb: 0, diskMb: 0 } },
    ]
    const told = asked.map(one => change(leader, one))
    await leader.sim.settle()
    expect(told.flat()).toMatchObject([
      {
        detail: expect.stringMatching(
          /^Quota: 1.999 core\(s\), .* is less then current prod reservation: 2 core\(s\), /,
        ),
      },
      { detail: 'Negative values in: -1 core(s), -1024 MB RAM, -1024 MB disk' },
      { detail: 'Quota: CPU of www-data would be more than can be counted' },
    ])
    expect(leader.quotas?.quotaOf(ROLE)).toEqual(cores(2))
  })

  test('GPUs are limited only where the quota says so', async () => {
    const leader = await lead()
    await set(leader, 4)
    const one = production('a', 1)
    const config = { ...one.task, resources: { ...one.task.resources, gpus: 1 } }
    expect(leader.quotas?.addFault(ROLE, config, 4)).toBeNull()
    change(leader, { type: 'setQuota', quota: { ...cores(4), gpus: 0 } })
    change(leader, { type: 'increaseQuota', by: { ...cores(0), gpus: 1 } })
    await leader.sim.settle()
    expect(leader.quotas?.addFault(ROLE, config, 1)).toBeNull()
    expect(leader.quotas?.addFault(ROLE, config, 2)?.detail).toBe(
      'Insufficient resource quota: GPU quota exceeded by 1.00 GPU(s)',
    )
  })

  test('GPUs added where they are not limited: refused, as that would limit them, and still not limited', async () => {
    const leader = await lead()
    await set(leader, 4)
    const told = [2, 0].map(gpus => change(leader, { type: 'increaseQuota', by: { ...cores(1), gpus } }))
    await leader.sim.settle()
    const refused = {
      code: 'INVALID_REQUEST',
      detail: `The quota of ${ROLE} does not limit GPUs, so none can be added to it`,
      remedy: `To limit them: daybreak quota set CLUSTER/${ROLE} CPU RAM DISK --gpu N.`,
    }
    expect(told).toMatchObject([[refused], [refused]])
    expect(leader.quotas?.quotaOf(ROLE)).toEqual(cores(4))
  })

  test('quota-set, the record of who did it, is written when it is done and not when it is asked for', async () => {
    const lines: unknown[] = []
    const logger: Logger = {
      ...silentLogger,
      info: (event, fields) => void (event === 'quota-set' && lines.push(fields)),
      child: () => logger,
    }
    const leader = await lead({ logger })
    leader.log.hold()
    change(leader, { type: 'setQuota', quota: cores(2) })
    await leader.sim.settle()
    expect(lines).toEqual([])
    leader.log.letGo()
    await leader.sim.settle()
    expect(lines).toMatchObject([{ role: ROLE, user: 'root', ...cores(2) }])
  })
})

test('the keeper fails: who holds its view still gets true answers, and its successor counts on', async () => {
  const leader = await TaskLeader.start({ quotas: {} })
  await set(leader, 2)
  const old = leader.quotas!
  leader.quotaKeeper.tell({ type: 'nonsense' } as never)
  await leader.sim.settle()
  expect(leader.sim.failures).toHaveLength(1)
  // In its back-off: nobody tells it of this job.
  expect(leader.quotas).toBe(old)
  expect(await leader.create(production('a', 2))).toMatchObject({ type: 'done' })
  expect(await leader.create(production('b', 1))).toMatchObject({ code: 'QUOTA_EXCEEDED' })
  leader.sim.advance(1_000)
  await leader.sim.settle()
  expect(leader.quotas).not.toBe(old)
  expect(leader.quotas?.useOf(ROLE).prodShared.cpusMilli).toBe(2000)
  await leader.sim.stop()
})

test('the numbers: what is used and what is granted, under the names of Aurora; zero when they are no longer ours to tell', async () => {
  const gauges = new Map<string, number>()
  const metrics = {
    count: () => {},
    observe: () => {},
    gauge: (name: string, value: number, labels: Readonly<Record<string, string>> = {}) =>
      void gauges.set([name, ...Object.values(labels)].join('_'), value),
  }
  const leader = await lead({ quotas: { metrics } })
  await set(leader, 5)
  await leader.create(production('a', 2))
  await leader.create({ instanceCount: 3 })
  leader.sim.advance(60_000)
  await leader.sim.settle()
  const small = job().task.resources
  expect(Object.fromEntries(gauges)).toMatchObject({
    resources_total_consumed_cpu_cores: 2 + (3 * small.cpusMilli) / 1000,
    resources_quota_consumed_ram_mb: 2048,
    resources_free_pool_consumed_disk_mb: 3 * small.diskMb,
    resources_dedicated_consumed_cpu_cores: 0,
    [`resources_per_role_${ROLE}_ram_mb`]: 2048 + 3 * small.ramMb,
    [`quota_per_role_${ROLE}_cpu_cores`]: 5,
    resources_allocated_quota_disk_mb: 5 * 1024,
  })
  const changes = [...leader.ledger.view.tasks()].map(
    ({ taskId }) => ({ type: 'delete', table: 'task', key: taskId }) as const,
  )
  await leader.put(changes)
  leader.sim.advance(60_000)
  await leader.sim.settle()
  expect(gauges.get(`resources_per_role_${ROLE}_ram_mb`)).toBe(0)
  expect(gauges.get(`quota_per_role_${ROLE}_cpu_cores`)).toBe(5)
  await leader.sim.stop()
  expect([...gauges].filter(([, value]) => value !== 0)).toEqual([])
})
