import { afterEach, beforeEach, expect, test } from 'vitest'
import { type FakeScheduler, fakeScheduler } from './fake-scheduler.ts'
import { daybreak } from './terminal.ts'

const KEY = 'local/www-data/devel/node-exporter'
const JOB = { role: 'www-data', environment: 'devel', name: 'node-exporter' }
const FILE = 'examples/node-exporter.yaml'

let scheduler: FakeScheduler
beforeEach(async () => {
  scheduler = await fakeScheduler()
})
afterEach(() => scheduler.close())
const status = async () => (await daybreak(`job status ${KEY}`, scheduler)).out.split('\n')[0]

test('job status: on how many of the hosts it is', async () => {
  scheduler.hosts = 2
  scheduler.addTask(JOB, 0, 'RUNNING')
  expect(await status()).toBe(`${KEY}  on every host: 1 of 2 hosts, 1 RUNNING`)
  scheduler.hosts = 1
  expect(await status()).toBe(`${KEY}  on every host: 1 of 1 host, 1 RUNNING`)
})

test('job status: no host that it may be on is said', async () => {
  scheduler.hosts = 0
  expect(await status()).toContain('on every host: none is connected that its constraints allow')
})

test('job create --wait: until each host has an instance that runs', async () => {
  scheduler.hosts = 2
  const ran = await daybreak(`job create ${KEY} ${FILE} --wait`, scheduler, {
    onSleep: (_, sleeps) => {
      if (sleeps === 5) scheduler.addTask(JOB, 1, 'PENDING')
    },
  })
  expect(ran.exit).toBe(0)
  const progress = ran.err.trim().split('\n')
  expect(progress).toContain('1/1 RUNNING, 1 of 2 hosts have an instance')
  expect(progress.at(-1)).toBe('2/2 RUNNING, 2 of 2 hosts have an instance')
})

test('job create --wait without a host: waits, and ends with the status of a timeout', async () => {
  scheduler.hosts = 0
  scheduler.next = () => null
  const ran = await daybreak(`job create ${KEY} ${FILE} --wait --timeout 2s`, scheduler)
  expect(ran.exit).toBe(9)
  expect(ran.err).toContain('0 of 0 hosts have an instance')
})

test('job inspect: says that the hosts decide how many there are', async () => {
  const ran = await daybreak(`job inspect ${KEY} ${FILE}`, null)
  expect(ran.out).toContain('every host: one instance on each that the constraints allow')
  expect(ran.out).not.toContain('instances: 1')
})
