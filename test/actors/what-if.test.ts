import { expect, test } from 'vitest'
import type { Ref } from '../../src/actors/actor.ts'
import { PLACEMENT_DEFAULTS } from '../../src/actors/placement.ts'
import { type QuotaView, quotaKeeperSpec } from '../../src/actors/quota-keeper.ts'
import { createSimSystem } from '../../src/actors/sim-shell.ts'
import { type TriedOut, whatIfSpec } from '../../src/actors/what-if.ts'
import type { Rejection } from '../../src/core/base/rejection.ts'
import { ADMISSION_SETTINGS } from '../../src/core/job/admission.ts'
import type { JobConfiguration } from '../../src/core/job/task-config.ts'
import { InstantLedger } from '../fixtures/instant-ledger.ts'
import { HELLO, taskConfig } from '../fixtures/rows.ts'

/** A production job of one core for each instance. */
function production(name: string, instanceCount: number): JobConfiguration {
  const key = { ...HELLO, name }
  const resources = { cpusMilli: 1000, ramMb: 1, diskMb: 1, gpus: 0 }
  const executor = { name: 'AuroraExecutor', data: '{}' }
  return { key, owner: 'ann', instanceCount, task: taskConfig({ job: key, tier: 'preferred', resources, executor }) }
}

test('jobs of one trial that only together exceed the quota: the one that is too much is refused, and what is left is told', async () => {
  const sim = createSimSystem({ seed: 1 })
  const ledger = new InstantLedger()
  const quota = { cpusMilli: 5000, ramMb: 100, diskMb: 100 }
  ledger.put({ type: 'put', table: 'quota', key: HELLO.role, row: { v: 1, role: HELLO.role, quota } })
  let quotas!: QuotaView
  sim.spawn(
    quotaKeeperSpec({
      ledger,
      publish: view => {
        quotas = view
      },
    }),
  )
  const { executorOverhead: overhead, offerOrder, tiers, unavailabilityThresholdMs } = PLACEMENT_DEFAULTS
  const whatIf = sim.spawn(
    whatIfSpec({
      ledger,
      placement: {
        offers: () => [],
        offer: () => null,
        pending: () => [],
        waiting: () => null,
        explain: () => null,
        allowedHosts: () => [],
        largestHost: () => null,
      },
      isConnected: () => false,
      admission: ADMISSION_SETTINGS,
      quotas: () => quotas,
      sha256: text => `sha-${text.length}`,
      planning: { overhead, tiers, offerOrder, unavailabilityThresholdMs, isPreemptionEnabled: true },
    }),
  )
  const told: (TriedOut | Rejection)[] = []
  const replyTo: Ref<TriedOut | Rejection> = { path: 'test', tell: answer => told.push(answer) > 0 }
  const apply = [production('a', 3), production('b', 3), production('c', 2)]
  whatIf.tell({ type: 'tryOut', drain: [], lose: [], apply, isCreation: true, seed: 1, replyTo })
  await sim.settle()
  expect(told).toMatchObject([
    {
      type: 'triedOut',
      refused: [
        {
          key: 'www-data/devel/b',
          rejection: { detail: 'Insufficient resource quota: CPU quota exceeded by 1.00 core(s)' },
        },
      ],
      quotaLeft: [{ role: HELLO.role, left: { cpusMilli: 0, ramMb: 95, diskMb: 95 } }],
    },
  ])
  expect(sim.failures).toEqual([])
  await sim.stop()
})
