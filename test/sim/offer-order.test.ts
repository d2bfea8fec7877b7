import { expect, test } from 'vitest'
import { LeaderCluster } from '../fixtures/leader-cluster.ts'

const HELLO = { role: 'www-data', environment: 'devel', name: 'hello' }

test.each([
  ['[RANDOM]', 4],
  ['[CPU, MEMORY]', 1],
])('scheduler.offerOrder %s: four small tasks on four machines use %i of them', async (order, used) => {
  const cluster = await new LeaderCluster(`startSpread: 0s, offerOrder: ${order}`).begin()
  for (let i = 0; i < 4; i++) cluster.machine(`h${i}`)
  await cluster.pass(3)
  const resources = { cpusMilli: 100, ramMb: 64, diskMb: 64, gpus: 0 }
  await cluster.create(HELLO, 4, { resources, constraints: [] })
  await cluster.pass(5)
  const tasks = cluster.tasksOf(HELLO)
  expect(tasks.map(({ status }) => status)).toEqual(Array(4).fill('RUNNING'))
  expect(new Set(tasks.map(({ host }) => host)).size).toBe(used)
  await cluster.sim.stop()
})
