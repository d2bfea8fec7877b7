/**
 * A whole leader on virtual time, and machines that speak the wire messages: a production job comes to a cluster that is
 * full of tasks that may be preempted.
 */
import { afterEach, expect, test } from 'vitest'
import type { JobKey } from '../../src/core/base/ids.ts'
import { LeaderCluster } from '../fixtures/leader-cluster.ts'
import { CAUSE } from '../fixtures/rows.ts'

const DELAY_S = 180
const key = (role: string, name: string): JobKey => ({ role, environment: 'prod', name })

let clusters: LeaderCluster[] = []
afterEach(async () => {
  for (const cluster of clusters) await cluster.stop()
  clusters = []
})

const core = { cpusMilli: 900, ramMb: 64, diskMb: 64, gpus: 0 }
const BATCH = key('team', 'batch')
const SHOP = key('shop', 'web')

/** Two machines of two cores, full of a preemptible service; role `shop` may have production. */
async function fullCluster(): Promise<LeaderCluster> {
  const cluster = await new LeaderCluster().begin()
  clusters.push(cluster)
  cluster.machine('h0')
  cluster.machine('h1')
  const quota = { cpusMilli: 8_000, ramMb: 8_192, diskMb: 8_192 }
  const change = { type: 'put', table: 'quota', key: 'shop', row: { v: 1, role: 'shop', quota } } as const
  cluster.ledger.stage({ cause: CAUSE, changes: [change] })
  await cluster.pass(2)
  await cluster.create(BATCH, 4, { tier: 'preemptible', resources: core })
  await cluster.pass(10)
  expect(cluster.activeOf(BATCH)).toEqual(['RUNNING on h0', 'RUNNING on h0', 'RUNNING on h1', 'RUNNING on h1'])
  return cluster
}

test('a production job comes to a full cluster: victims end, it runs, and they run again when there is room', async () => {
  const cluster = await fullCluster()
  await cluster.create(SHOP, 3, { tier: 'preferred', resources: core })
  await cluster.pass(DELAY_S - 20)
  expect(cluster.activeOf(SHOP)).toEqual(['PENDING', 'PENDING', 'PENDING'])
  expect(cluster.endedOf(BATCH)).toEqual([])
  await cluster.pass(60)
  expect(cluster.activeOf(SHOP).map(text => text.slice(0, 7))).toEqual(['RUNNING', 'RUNNING', 'RUNNING'])
  const victims = cluster.endedOf(BATCH)
  expect(victims).toHaveLength(3)
  const pendingIds = cluster.tasksOf(SHOP).map(({ taskId }) => taskId)
  for (const { events } of victims) {
    const event = events.find(({ status }) => status === 'PREEMPTING')
    expect(event).toMatchObject({ who: 'preemptor' })
    expect(pendingIds.map(id => `Preempting in favor of ${id}`)).toContain(event?.message)
  }
  expect(cluster.activeOf(BATCH).filter(text => text === 'PENDING')).toHaveLength(3)
  cluster.machine('h2')
  cluster.machine('h3')
  await cluster.pass(20)
  expect(cluster.activeOf(BATCH).map(text => text.slice(0, 7))).toEqual(['RUNNING', 'RUNNING', 'RUNNING', 'RUNNING'])
})

test('sched-54: a task that is preempted again and again is never THROTTLED for it', async () => {
  const cluster = await fullCluster()
  for (const name of ['one', 'two', 'three']) {
    await cluster.create(key('shop', name), 1, { tier: 'preferred', resources: core })
    await cluster.pass(DELAY_S + 30)
    expect(cluster.activeOf(key('shop', name)).map(text => text.slice(0, 7))).toEqual(['RUNNING'])
    cluster.machine(`more-${name}`)
    await cluster.pass(10)
  }
  const rows = cluster.tasksOf(BATCH)
  expect(rows.filter(({ events }) => events.some(({ status }) => status === 'PREEMPTING')).length).toBeGreaterThan(0)
  expect(rows.filter(({ events }) => events.some(({ status }) => status === 'THROTTLED'))).toEqual([])
})

test('the leader changes while victims end: they end all the same, and the job that waits gets its place', async () => {
  const cluster = await fullCluster()
  await cluster.create(SHOP, 1, { tier: 'preferred', resources: core })
  cluster.endsTasks = false
  await cluster.pass(DELAY_S + 20)
  expect(cluster.activeOf(BATCH)).toContain('PREEMPTING')
  cluster.log.lose({ type: 'notLeader' })
  await cluster.sim.settle()
  cluster.log.elect()
  cluster.endsTasks = true
  await cluster.pass(30)
  expect(cluster.endedOf(BATCH)).toHaveLength(1)
  await cluster.pass(DELAY_S + 60)
  expect(cluster.activeOf(SHOP).map(text => text.slice(0, 7))).toEqual(['RUNNING'])
})
