import { describe, expect, test } from 'vitest'
import type { Ref } from '../../src/actors/actor.ts'
import type { PlacementView } from '../../src/actors/offer-broker.ts'
import { PLACEMENT_DEFAULTS } from '../../src/actors/placement.ts'
import { type QuotaView, quotaKeeperSpec } from '../../src/actors/quota-keeper.ts'
import { createSimSystem } from '../../src/actors/sim-shell.ts'
import { type TriedOut, type TryOut, whatIfSpec } from '../../src/actors/what-if.ts'
import { type AgentId, agentId } from '../../src/core/base/ids.ts'
import type { Rejection } from '../../src/core/base/rejection.ts'
import { ADMISSION_SETTINGS, checkConfiguration } from '../../src/core/job/admission.ts'
import { configIdOf } from '../../src/core/job/canonical-config.ts'
import type { JobConfiguration, TaskConfig } from '../../src/core/job/task-config.ts'
import type { Quota } from '../../src/core/ledger/rows.ts'
import { updateKey } from '../../src/core/update/update-status.ts'
import { InstantLedger } from '../fixtures/instant-ledger.ts'
import {
  agentRow,
  HELLO,
  putAgent,
  putConfig,
  putTask,
  putUpdate,
  putUpdateEvent,
  taskConfig,
  taskRow,
  updateRow,
} from '../fixtures/rows.ts'

const sha256 = (text: string): string => `sha-${text}`
const QUOTA: Quota = { cpusMilli: 5000, ramMb: 100, diskMb: 100 }

/** A production job of so many cores for each instance. */
function production(
  name: string,
  instanceCount: number,
  coresEach = 1,
  more: Partial<TaskConfig> = {},
): JobConfiguration {
  const key = { ...HELLO, name }
  const resources = { cpusMilli: coresEach * 1000, ramMb: 1, diskMb: 1, gpus: 0 }
  const executor = { name: 'AuroraExecutor', data: '{}' }
  const task = taskConfig({ job: key, tier: 'preferred', production: true, resources, executor, ...more })
  return { key, owner: 'ann', instanceCount, task }
}

/** The actor over a ledger without a log; every question is answered before the time moves. */
class Desk {
  readonly sim = createSimSystem({ seed: 1 })
  readonly ledger = new InstantLedger()
  readonly told: (TriedOut | Rejection)[] = []
  allowed: readonly AgentId[] = []
  isConnected: () => boolean = () => false
  readonly #whatIf: Ref<TryOut>

  constructor(quota: Quota = QUOTA) {
    this.ledger.put({ type: 'put', table: 'quota', key: HELLO.role, row: { v: 1, role: HELLO.role, quota } })
    let quotas!: QuotaView
    const publish = (view: QuotaView): void => {
      quotas = view
    }
    this.sim.spawn(quotaKeeperSpec({ ledger: this.ledger, publish }))
    const { executorOverhead: overhead, offerOrder, tiers, unavailabilityThresholdMs } = PLACEMENT_DEFAULTS
    const placement: PlacementView = {
      offers: () => ['a', 'b', 'c'].map(id => ({ agentId: agentId(id) })) as never,
      offer: () => null,
      pending: () => [],
      waiting: () => null,
      explain: () => null,
      allowedHosts: () => this.allowed,
      largestHost: () => null,
    }
    this.#whatIf = this.sim.spawn(
      whatIfSpec({
        ledger: this.ledger,
        placement,
        isConnected: () => this.isConnected(),
        admission: ADMISSION_SETTINGS,
        quotas: () => quotas,
        sha256,
        planning: { overhead, tiers, offerOrder, unavailabilityThresholdMs, isPreemptionEnabled: true },
      }),
    )
  }

  runs(job: JobConfiguration): void {
    const checked = checkConfiguration(job, ADMISSION_SETTINGS)
    if ('type' in checked) throw new Error(checked.detail)
    const { key, instanceCount, task } = checked
    const id = configIdOf(task, sha256)
    this.ledger.put(putConfig({ v: 1, configId: id, config: task }))
    for (let instance = 0; instance < instanceCount; instance++) {
      const more = { job: key, instance, configId: id, status: 'RUNNING', agentId: agentId('h'), host: 'h' } as const
      this.ledger.put(putTask(taskRow(`${key.name}-${instance}`, more)))
    }
  }

  async try(what: Partial<TryOut>): Promise<TriedOut | Rejection | undefined> {
    const replyTo: Ref<TriedOut | Rejection> = { path: 'test', tell: answer => this.told.push(answer) > 0 }
    this.#whatIf.tell({ type: 'tryOut', drain: [], lose: [], apply: [], isCreation: false, seed: 1, ...what, replyTo })
    await this.sim.settle()
    expect(this.sim.failures).toEqual([])
    return this.told.at(-1)
  }
}

describe('quota in a trial', () => {
  test('jobs that only together exceed it: the one that is too much is refused, and what is left is told', async () => {
    const desk = new Desk()
    const apply = [production('a', 3), production('b', 3), production('c', 2)]
    expect(await desk.try({ apply, isCreation: true })).toMatchObject({
      type: 'triedOut',
      refused: [
        {
          key: 'www-data/devel/b',
          rejection: { detail: 'Insufficient resource quota: CPU quota exceeded by 1.00 core(s)' },
        },
      ],
      quotaLeft: [{ role: HELLO.role, left: { cpusMilli: 0, ramMb: 95, diskMb: 95 } }],
    })
  })

  test('a job that is there and grows: the difference counts; need, have and short are told', async () => {
    const desk = new Desk()
    desk.runs(production('a', 2))
    expect(await desk.try({ apply: [production('a', 2, 2.5)] })).toMatchObject({
      refused: [],
      quotaLeft: [{ left: { cpusMilli: 0 } }],
    })
    expect(await desk.try({ apply: [production('a', 2, 3)] })).toMatchObject({
      refused: [
        {
          key: 'www-data/devel/a',
          rejection: {
            code: 'QUOTA_EXCEEDED',
            detail: 'Insufficient resource quota: CPU quota exceeded by 1.00 core(s)',
            faults: [
              {
                path: 'task.resources',
                text: 'CPU: production of www-data uses 2 core(s), this adds 4 core(s); the quota is 5 core(s), so 1 core(s) too little',
              },
            ],
          },
        },
      ],
    })
  })

  test('two changes of jobs that are there, each within the quota: together too much', async () => {
    const desk = new Desk()
    for (const name of ['a', 'b']) desk.runs(production(name, 1))
    const apply = [production('a', 1, 3), production('b', 1, 3)]
    expect(await desk.try({ apply })).toMatchObject({ refused: [{ key: 'www-data/devel/b' }] })
  })

  test('a job that becomes production counts whole; one that ceases to be gives back', async () => {
    const desk = new Desk()
    desk.runs(production('a', 2, 3, { production: false, tier: 'preemptible' }))
    expect(await desk.try({ apply: [production('a', 2, 3)] })).toMatchObject({ refused: [{ key: 'www-data/devel/a' }] })
    desk.runs(production('b', 2))
    const apply = [production('b', 2, 1, { tier: 'preemptible' })]
    expect(await desk.try({ apply })).toMatchObject({ refused: [], quotaLeft: [{ left: QUOTA }] })
  })

  test('over the quota already: a job may stay as it is and instances may go, none may come', async () => {
    const desk = new Desk()
    desk.runs(production('a', 8))
    expect(await desk.try({ apply: [production('a', 8)] })).toMatchObject({ refused: [], plan: { jobs: [] } })
    expect(await desk.try({ apply: [production('a', 7)] })).toMatchObject({
      refused: [],
      quotaLeft: [{ left: { cpusMilli: -2000 } }],
    })
    expect(await desk.try({ apply: [production('a', 9)] })).toMatchObject({ refused: [{ key: 'www-data/devel/a' }] })
  })

  test('GPUs that the quota counts are told with what is left', async () => {
    const desk = new Desk({ ...QUOTA, gpus: 2 })
    expect(await desk.try({ apply: [production('a', 1)] })).toMatchObject({ quotaLeft: [{ left: { gpus: 2 } }] })
  })

  test('one instance on every host: as many count as hosts are allowed, without those that are drained or lost', async () => {
    const desk = new Desk({ ...QUOTA, cpusMilli: 2000 })
    for (const id of ['h', 'i', 'j', 'k']) desk.ledger.put(putAgent(agentRow(id, { host: id })))
    desk.allowed = ['h', 'i', 'j'].map(agentId)
    const apply = [production('exporter', 1, 1, { everyHost: true })]
    expect(await desk.try({ apply })).toMatchObject({
      refused: [
        {
          rejection: {
            faults: [
              { text: expect.stringContaining('this adds 3 core(s); the quota is 2 core(s), so 1 core(s) too') },
            ],
          },
        },
      ],
    })
    expect(await desk.try({ apply, drain: ['h'] })).toMatchObject({
      refused: [],
      quotaLeft: [{ left: { cpusMilli: 0 } }],
    })
    expect(await desk.try({ apply, lose: ['j', 'k'] })).toMatchObject({ refused: [] })
  })
})

describe('what a trial refuses', () => {
  test('a job under an update: as the change itself would be', async () => {
    const desk = new Desk()
    const job = production('a', 1)
    desk.ledger.put(
      putUpdate(updateRow('u1', { job: job.key })),
      putUpdateEvent({ v: 1, update: updateKey(job.key, 'u1'), number: 1, atMs: 1, status: 'ROLLING_FORWARD' }),
    )
    expect(await desk.try({ apply: [job] })).toMatchObject({ refused: [{ rejection: { code: 'JOB_UPDATING' } }] })
  })

  test('a creation of what exists is told what to do, as the creation is', async () => {
    const desk = new Desk()
    desk.runs(production('a', 1))
    expect(await desk.try({ apply: [production('a', 1)], isCreation: true })).toMatchObject({
      refused: [{ rejection: { code: 'JOB_EXISTS', remedy: expect.stringContaining('daybreak job killall') } }],
    })
  })

  test('a job that is named twice: both places', async () => {
    const apply = [production('a', 1), production('b', 1), production('a', 2)]
    expect(await new Desk().try({ apply })).toMatchObject({
      code: 'INVALID_REQUEST',
      detail: 'www-data/devel/a is to be tried twice: it is apply[0] already',
      faults: [{ path: 'apply[2].key' }],
    })
  })

  test('hundreds of unknown hosts: twenty are named, and how many more there are', async () => {
    const desk = new Desk()
    desk.ledger.put(putAgent(agentRow('h', { host: 'h' })))
    const drain = Array.from({ length: 300 }, (_, n) => `nowhere${n}`)
    const told = await desk.try({ drain })
    expect(told).toMatchObject({ code: 'INVALID_REQUEST', detail: expect.stringMatching(/nowhere19; and 280 more$/) })
    expect((told as Rejection).faults).toHaveLength(20)
  })
})

test('a trial that hits a bug: its caller is told at once, and the next trial goes well', async () => {
  const desk = new Desk()
  desk.ledger.put(putAgent(agentRow('h', { host: 'h' })))
  desk.isConnected = () => {
    throw new Error('no such thing')
  }
  expect(await desk.try({})).toMatchObject({
    type: 'rejected',
    code: 'INTERNAL',
    detail: 'The trial failed: no such thing',
    remedy: expect.stringContaining('what-if-failed'),
  })
  desk.isConnected = () => true
  expect(await desk.try({})).toMatchObject({ type: 'triedOut', plan: { hosts: { connected: 1 } } })
})
