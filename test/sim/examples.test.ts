/** The examples of jobs with rules about machines, given to a whole leader on virtual time. */
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { JobKey } from '../../src/core/base/ids.ts'
import { jobConfigurationOf } from '../fixtures/job-configurations.ts'
import { LeaderCluster } from '../fixtures/leader-cluster.ts'

const key = (name: string): JobKey => ({ role: 'www-data', environment: 'devel', name })

let cluster: LeaderCluster
beforeEach(async () => {
  cluster = await new LeaderCluster().begin()
})
afterEach(() => cluster.stop())

const submit = (name: string) => cluster.submit(jobConfigurationOf(`examples/${name}.yaml`, key(name)))
/** Instances that run, by a name that is made of their host's. */
function running(name: string, of: (host: string) => string): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const { status, host } of cluster.tasksOf(key(name))) {
    if (status === 'RUNNING' && host !== undefined) counts[of(host)] = (counts[of(host)] ?? 0) + 1
  }
  return counts
}
const byRack = (name: string) => running(name, host => host.split('-')[0]!)
const byHost = (name: string) => running(name, host => host)

test('spread-web: two in each rack although one rack has most of the machines, and the one with an ssd is used', async () => {
  for (let n = 0; n < 6; n++) cluster.machine(`r1-${n}`, { rack: 'r1' })
  cluster.machine('r2-0', { rack: 'r2' })
  cluster.machine('r3-0', { rack: 'r3' })
  cluster.machine('r3-ssd', { rack: 'r3', disk: 'ssd' })
  await cluster.pass(2)
  await submit('spread-web')
  await cluster.pass(20)
  expect(byRack('spread-web')).toEqual({ r1: 2, r2: 2, r3: 2 })
  expect(byHost('spread-web')['r3-ssd']).toBeGreaterThan(0)
})

test('spread-web: a machine that starts anew gets its two instances back, as no other may take a third', async () => {
  for (const host of ['r1-0', 'r1-1', 'r2-0']) cluster.machine(host, { rack: host.slice(0, 2) })
  await cluster.pass(2)
  await submit('spread-web')
  await cluster.pass(20)
  expect(byHost('spread-web')).toEqual({ 'r1-0': 2, 'r1-1': 2, 'r2-0': 2 })
  cluster.agents[2]!.reboot()
  await cluster.pass(60)
  expect(byHost('spread-web')).toEqual({ 'r1-0': 2, 'r1-1': 2, 'r2-0': 2 })
  expect(cluster.started).toHaveLength(8)
})

test('database: waits until all three members have a machine of their own, on those that are set apart for it', async () => {
  cluster.machine('web-0')
  cluster.machine('db-0', { dedicated: 'www-data/database' })
  cluster.machine('db-1', { dedicated: 'www-data/database' })
  await cluster.pass(2)
  await submit('database')
  await cluster.pass(60)
  expect(byHost('database')).toEqual({})
  cluster.machine('db-2', { dedicated: 'www-data/database' })
  await cluster.pass(60)
  expect(byHost('database')).toEqual({ 'db-0': 1, 'db-1': 1, 'db-2': 1 })
})

test('database: a member that fails starts again alone', async () => {
  for (let n = 0; n < 3; n++) cluster.machine(`db-${n}`, { dedicated: 'www-data/database' })
  await cluster.pass(2)
  await submit('database')
  await cluster.pass(400)
  const [machine] = cluster.agents
  machine!.report(machine!.live[0]!, 'FAILED')
  await cluster.pass(60)
  expect(byHost('database')).toEqual({ 'db-0': 1, 'db-1': 1, 'db-2': 1 })
  expect(cluster.started).toHaveLength(4)
})

test('node-exporter: on every machine, but for those that are set apart for others', async () => {
  for (let n = 0; n < 4; n++) cluster.machine(`m-${n}`)
  cluster.machine('db-0', { dedicated: 'www-data/database' })
  await cluster.pass(2)
  await submit('node-exporter')
  await cluster.pass(20)
  expect(byHost('node-exporter')).toEqual({ 'm-0': 1, 'm-1': 1, 'm-2': 1, 'm-3': 1 })
})
