import { afterEach, expect, test } from 'vitest'
import { everyHostKeeperSpec } from '../../src/actors/every-host-keeper.ts'
import type { PlacementView } from '../../src/actors/offer-broker.ts'
import type { Logger } from '../../src/actors/ports.ts'
import { silentLogger } from '../../src/actors/ports.ts'
import { type QuotaView, quotaKeeperSpec } from '../../src/actors/quota-keeper.ts'
import { createSimSystem, type SimSystem } from '../../src/actors/sim-shell.ts'
import { agentId } from '../../src/core/base/ids.ts'
import { InstantLedger } from '../fixtures/instant-ledger.ts'
import { configRow, HELLO, jobRow, putConfig, putJob } from '../fixtures/rows.ts'

const systems: SimSystem[] = []
afterEach(async () => {
  for (const sim of systems.splice(0)) {
    expect(sim.failures).toEqual([])
    await sim.stop()
  }
})

/** A job that wants an instance of one core on each of so many hosts, and a quota of so many cores. */
async function world(hosts: number, cores: number | null, production = true) {
  const warnings: object[] = []
  const log: Logger = {
    ...silentLogger,
    warn: (event, fields) => void warnings.push({ event, ...fields }),
    child: () => log,
  }
  const sim = createSimSystem({ seed: 1, log })
  systems.push(sim)
  const ledger = new InstantLedger()
  const resources = { cpusMilli: 1000, ramMb: 1, diskMb: 1, gpus: 0 }
  const setQuota = (n: number) => {
    const quota = { cpusMilli: n * 1000, ramMb: 1000, diskMb: 1000 }
    ledger.put({ type: 'put', table: 'quota', key: HELLO.role, row: { v: 1, role: HELLO.role, quota } })
  }
  if (cores !== null) setQuota(cores)
  ledger.put(putConfig(configRow('c1', { everyHost: true, production, resources })), putJob(jobRow()))
  let quotas!: QuotaView
  sim.spawn(
    quotaKeeperSpec({
      ledger,
      publish: view => {
        quotas = view
      },
    }),
  )
  let uuids = 0
  const placement: PlacementView = {
    offers: () => [],
    offer: () => null,
    pending: () => [],
    waiting: () => null,
    explain: () => null,
    allowedHosts: () => Array.from({ length: hosts }, (_, n) => agentId(`a${n}`)),
    largestHost: () => null,
  }
  sim.spawn(
    everyHostKeeperSpec({
      ledger,
      tasks: { tell: () => true },
      placement,
      uuid: () => `00000000-0000-4000-8000-${String(++uuids).padStart(12, '0')}`,
      schedulerName: 'leader',
      tasksMax: 100,
      quotas: () => quotas,
    }),
  )
  await sim.settle()
  return {
    setQuota,
    warnings,
    /** Instances after so long. */
    after: async (ms: number) => {
      sim.advance(ms)
      await sim.settle()
      return ledger.view.activeTasksOfJob(HELLO).length
    },
  }
}

test('production on every host: as many instances as the quota holds, the others when it is raised', async () => {
  const { after, setQuota, warnings } = await world(10, 7)
  expect(await after(1_000)).toBe(7)
  expect(await after(60_000)).toBe(7)
  expect(warnings).toMatchObject([
    {
      event: 'every-host-over-quota',
      job: 'www-data/devel/hello',
      wanted: 10,
      detail: 'Insufficient resource quota: CPU quota exceeded by 3.00 core(s)',
    },
  ])
  setQuota(20)
  expect(await after(6_000)).toBe(10)
  expect(warnings).toHaveLength(1)
})

test('no quota at all: none of production, all of what is not', async () => {
  expect(await (await world(3, null)).after(10_000)).toBe(0)
  expect(await (await world(3, null, false)).after(10_000)).toBe(3)
})
