/** Three scheduler processes and an agent process, as an operator would run them: leaders are killed and stopped. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { JobDetail } from '../../src/wire/rest.ts'
import { jobConfigurationOf } from '../fixtures/job-configurations.ts'
import { type RealCluster, startRealCluster } from '../fixtures/real-cluster.ts'
import { daybreak, eventually, type RealNode, taskProcesses, temporaryFolder } from '../fixtures/real-node.ts'

const ROLE = 'www-data'
let folder: ReturnType<typeof temporaryFolder>
let cluster: RealCluster | null = null
let file: string

beforeAll(() => {
  folder = temporaryFolder()
  file = join(folder.path, 'job.yaml')
  writeFileSync(
    file,
    `service: true
task:
  processes:
    - { name: idles, cmdline: 'exec sleep 1000' }
  resources: { cpu: 0.01, ram: 1MiB, disk: 1MiB }
`,
  )
})
afterAll(async () => {
  await cluster?.end()
  for (const { pid } of taskProcesses(folder.path)) process.kill(pid, 'SIGKILL')
  await eventually(
    async () => taskProcesses(folder.path).length,
    left => left === 0,
  )
  folder.remove()
})

const jobPath = (name: string): string => `/api/v1/jobs/${ROLE}/devel/${name}`
const running = (node: RealNode, name: string): Promise<JobDetail> =>
  eventually(
    async () => JSON.parse((await node.get(jobPath(name))).text) as JobDetail,
    detail => detail.active?.length === 1 && detail.active[0]?.status === 'RUNNING',
  )
const create = (node: RealNode, name: string, requestId: string): Promise<Response | null> =>
  fetch(`${node.url}/api/v1/jobs`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'idempotency-key': requestId },
    body: JSON.stringify({ job: jobConfigurationOf(file, { role: ROLE, environment: 'devel', name }) }),
  }).catch(() => null)

test('leader killed with SIGKILL: the job is untouched, a new one is created, a request cut off by it is done once; then leadership moved as asked, and a planned stop', {
  timeout: 120_000,
}, async () => {
  cluster = await startRealCluster(folder.path, 3)
  const first = await cluster.leader()
  const follower = cluster.nodes.find(node => node !== null && node !== first.node)!

  // A follower sends clients on to the leader.
  const redirect = await fetch(`${follower.url}${jobPath('one')}`, { redirect: 'manual' })
  expect([redirect.status, redirect.headers.get('location')]).toEqual([307, `${first.node.url}${jobPath('one')}`])
  const created = await daybreak(follower.url, 'job', 'create', `local/${ROLE}/devel/one`, file)
  expect(created).toMatchObject({ status: 0 })
  const before = await running(follower, 'one')
  const task = before.active[0]!
  const pids = taskProcesses(folder.path).map(one => one.pid)

  // Cut off in the middle of a request, which is then sent again under the same id.
  const cut = create(first.node, 'cut', 'request-cut')
  await first.node.crash()
  cluster.nodes[first.memberId - 1] = null
  await cut
  const made = await daybreak(follower.url, 'job', 'create', `local/${ROLE}/devel/two`, file, '--timeout', '30s')
  expect(made).toMatchObject({ status: 0 })
  const again = await eventually(
    () => create(follower, 'cut', 'request-cut'),
    answer => answer?.status !== 503 && answer !== null,
  )
  expect(again?.status, await again?.clone().text()).toBe(201)
  await running(follower, 'two')
  await running(follower, 'cut')
  const after = await running(follower, 'one')
  expect(after.active.map(one => one.taskId)).toEqual([task.taskId])
  expect(pids.every(pid => taskProcesses(folder.path).some(one => one.pid === pid))).toBe(true)

  // The dead one comes back and catches up.
  await cluster.start(first.memberId)
  const second = await cluster.leader()
  expect(second.memberId).not.toBe(first.memberId)
  const status = await eventually(
    () => daybreak(follower.url, 'cluster', 'status'),
    ({ stdout }) => (stdout.match(/VOTING +\d+ +0 +/g) ?? []).length === 3,
  )
  expect(status.stdout).toMatch(new RegExp(`${second.memberId} +node-${second.memberId} +LEADER +VOTING`))
  expect(status.stdout).toMatch(/agent-1 +\w+ +ready +3/)

  // Asked of the member that is to lead, by its config file: sent on to the leader, and done when the command ends.
  const heir = (second.memberId % 3) + 1
  const ask = () =>
    daybreak('http://127.0.0.1:1', 'log', 'transfer', cluster!.configs[heir - 1]!, '--to', `node-${heir}`)
  const moved = new RegExp(
    `^member ${heir} \\(node-${heir}\\) leads now at ${cluster.urls[heir - 1]}; it took \\d+ ms\n$`,
  )
  expect(await ask()).toMatchObject({ status: 0, stdout: expect.stringMatching(moved) })
  expect(await ask()).toMatchObject({ status: 0, stdout: `member ${heir} (node-${heir}) leads already\n` })
  const mover = await cluster.leader()
  expect(mover.memberId).toBe(heir)
  await running(second.node, 'one')

  // A planned stop hands over instead of letting the lease run out.
  const stopping = mover.node.stop()
  const others = cluster.nodes.filter((node): node is RealNode => node !== null && node !== mover.node)
  cluster.nodes[mover.memberId - 1] = null
  expect(await stopping).toBe(0)
  const third = await cluster.leader()
  expect(others).toContain(third.node)
  expect(mover.node.output()).toContain('this node stops')
  await running(third.node, 'one')
  expect((await daybreak(third.node.url, 'job', 'create', `local/${ROLE}/devel/three`, file)).status).toBe(0)
  await running(third.node, 'three')
})
