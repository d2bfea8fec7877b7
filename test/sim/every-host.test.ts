/** A whole leader on virtual time and a job that runs once on every host, while machines come, go and are not allowed. */
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { JobKey } from '../../src/core/base/ids.ts'
import type { TaskConfig } from '../../src/core/job/task-config.ts'
import { LeaderCluster } from '../fixtures/leader-cluster.ts'

const EXPORTER: JobKey = { role: 'ops', environment: 'prod', name: 'exporter' }
const SMALL = { cpusMilli: 100, ramMb: 16, diskMb: 16, gpus: 0 }
/** After which an agent that nobody has heard of for so long has lost its tasks, and some. */
const AWAY_S = 1_200

let cluster: LeaderCluster
beforeEach(async () => {
  cluster = await new LeaderCluster().begin()
})
afterEach(() => cluster.stop())

const onEveryHost = (more: Partial<TaskConfig> = {}) =>
  cluster.create(EXPORTER, 1, { everyHost: true, isService: true, resources: SMALL, ...more })
const running = (...hosts: string[]) => hosts.map(host => `RUNNING on ${host}`)
const active = () => cluster.activeOf(EXPORTER)
const ids = () => cluster.tasksOf(EXPORTER).map(({ taskId }) => taskId)

test('one instance on each host, and one more with each machine that comes; none on a machine of others', async () => {
  cluster.machine('h0')
  cluster.machine('h1')
  cluster.machine('db', { dedicated: 'mysql/db' })
  await cluster.pass(2)
  await onEveryHost()
  await cluster.pass(10)
  expect(active()).toEqual(running('h0', 'h1'))
  cluster.machine('h2')
  await cluster.pass(10)
  expect(active()).toEqual(running('h0', 'h1', 'h2'))
  expect(cluster.tasksOf(EXPORTER).map(({ instance }) => instance)).toEqual([0, 1, 2])
})

test('a job that comes before the machines waits for them', async () => {
  await onEveryHost()
  await cluster.pass(10)
  expect(active()).toEqual([])
  cluster.machine('h0')
  await cluster.pass(10)
  expect(active()).toEqual(running('h0'))
})

test('constraints choose the hosts', async () => {
  cluster.machine('h0', { disk: 'ssd' })
  cluster.machine('h1', { disk: 'spinning' })
  cluster.machine('h2')
  await cluster.pass(2)
  await onEveryHost({ constraints: [{ name: 'disk', rule: { type: 'value', negated: false, values: ['ssd'] } }] })
  await cluster.pass(10)
  expect(active()).toEqual(running('h0'))
})

test('an instance that fails runs again on its host, and on no other', async () => {
  const [first] = [cluster.machine('h0'), cluster.machine('h1')]
  await cluster.pass(2)
  await onEveryHost()
  await cluster.pass(400)
  first!.report(first!.live[0]!, 'FAILED')
  await cluster.pass(20)
  expect(active()).toEqual(running('h0', 'h1'))
  expect(cluster.endedOf(EXPORTER)).toMatchObject([{ status: 'FAILED', host: 'h0' }])
})

test('a machine goes for good: its instance is not doubled elsewhere, and nothing waits for ever', async () => {
  const [gone] = [cluster.machine('h0'), cluster.machine('h1')]
  await cluster.pass(2)
  await onEveryHost()
  await cluster.pass(10)
  cluster.agents.splice(0, 1)
  gone!.disconnect()
  await cluster.pass(AWAY_S)
  expect(active()).toEqual(running('h1'))
  cluster.agents.push(gone!)
  gone!.reboot()
  await cluster.pass(30)
  expect(active()).toEqual(running('h0', 'h1'))
})

test('a new leader goes on from the rows: nothing ends, nothing is doubled, and machines of before it are served', async () => {
  cluster.machine('h0')
  cluster.machine('h1')
  await cluster.pass(2)
  await onEveryHost()
  await cluster.pass(10)
  const before = ids()
  cluster.log.lose({ type: 'notLeader' })
  await cluster.sim.settle()
  cluster.machine('h2')
  cluster.log.elect()
  await cluster.pass(30)
  expect(active()).toEqual(running('h0', 'h1', 'h2'))
  expect(ids().slice(0, 2)).toEqual(before)
  expect(cluster.endedOf(EXPORTER)).toEqual([])
})

test('a new leader ends no instance that waits for room, although its machines are not connected yet', async () => {
  const filler = { ...EXPORTER, name: 'filler' }
  cluster.machine('h0')
  await cluster.pass(2)
  await cluster.create(filler, 1, { resources: { ...SMALL, cpusMilli: 1_900 } })
  await cluster.pass(10)
  await onEveryHost({ resources: { ...SMALL, cpusMilli: 500 } })
  await cluster.pass(10)
  const before = ids()
  expect(active()).toEqual(['PENDING'])
  cluster.log.lose({ type: 'notLeader' })
  await cluster.sim.settle()
  cluster.log.elect()
  const [machine] = cluster.agents.splice(0, 1)
  machine!.disconnect()
  await cluster.pass(20)
  cluster.agents.push(machine!)
  await cluster.pass(20)
  expect(ids()).toEqual(before)
  await cluster.killall(filler)
  await cluster.pass(20)
  expect(active()).toEqual(running('h0'))
  expect(ids()).toEqual(before)
})

test('killall ends it all, and machines that come later get nothing', async () => {
  cluster.machine('h0')
  await cluster.pass(2)
  await onEveryHost()
  await cluster.pass(10)
  await cluster.killall(EXPORTER)
  cluster.machine('h1')
  await cluster.pass(30)
  expect(active()).toEqual([])
  expect(cluster.started).toHaveLength(1)
})
