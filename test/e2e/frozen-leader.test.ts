/** A leader process that is stopped (SIGSTOP) past its lease and goes on: what it says first after that. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { LOG_TIMING } from '../../src/core/log/timing.ts'
import { jobConfigurationOf } from '../fixtures/job-configurations.ts'
import { type RealCluster, startRealCluster } from '../fixtures/real-cluster.ts'
import { eventually, type RealNode, taskProcesses, temporaryFolder } from '../fixtures/real-node.ts'

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
  // What is stopped cannot be waited for.
  for (const node of cluster?.nodes ?? []) node?.child.kill('SIGCONT')
  await cluster?.end()
  for (const { pid } of taskProcesses(folder.path)) process.kill(pid, 'SIGKILL')
  await eventually(
    async () => taskProcesses(folder.path).length,
    left => left === 0,
  )
  folder.remove()
})

interface Answer {
  readonly status: number
  readonly location: string | null
  readonly text: string
}

async function ask(node: RealNode, path: string, body?: object): Promise<Answer> {
  const response = await fetch(`${node.url}/api/v1/${path}`, {
    redirect: 'manual',
    ...(body === undefined
      ? {}
      : { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
  })
  return { status: response.status, location: response.headers.get('location'), text: await response.text() }
}
const create = (node: RealNode, name: string): Promise<Answer> =>
  ask(node, 'jobs', { job: jobConfigurationOf(file, { role: ROLE, environment: 'devel', name }) })

test('leader stopped for 3 leases while another one leads and changes things: asked meanwhile, it tells nothing old when it goes on', {
  timeout: 120_000,
}, async () => {
  cluster = await startRealCluster(folder.path, 3)
  const { memberId, node: frozen } = await cluster.leader()
  expect((await create(frozen, 'before')).status).toBe(201)
  expect((await ask(frozen, `jobs/${ROLE}/devel/before`)).status).toBe(200)

  const frozenAtMs = performance.now()
  frozen.child.kill('SIGSTOP')
  const others = cluster.nodes.filter((node): node is RealNode => node !== null && node !== frozen)
  const made = await eventually(
    () => Promise.all(others.map(node => create(node, 'after'))),
    answers => answers.some(({ status }) => status === 201 || status === 409),
  )
  expect(made.map(({ status }) => status)).not.toContain(500)

  // All of this is asked after the change, by connections that the stopped process has not even accepted.
  const reads = ['jobs', `jobs?role=${ROLE}`, `jobs/${ROLE}/devel/after`, 'tasks', `tasks?role=${ROLE}`]
  const asked = [
    ...Array.from({ length: 4 }, () => reads.map(path => ask(frozen, path))).flat(),
    // A refusal rests on a read.
    ask(frozen, `jobs/${ROLE}/devel/after:restart`, { instances: [7] }),
  ]
  await eventually(
    async () => performance.now() - frozenAtMs,
    ms => ms > 3 * LOG_TIMING.leaseMs,
  )
  frozen.child.kill('SIGCONT')
  const answers = await Promise.all(asked)
  const isTrue = ({ status, location, text }: Answer): boolean =>
    status === 503 ||
    (status === 307 && location?.startsWith(frozen.url) === false) ||
    (status === 200 && text.includes('"after"')) ||
    text.includes('NOT_ACTIVE')
  expect(answers.filter(answer => !isTrue(answer))).toEqual([])

  // It goes on as a follower, and says what happened to it.
  const { memberId: leads, node: leader } = await cluster.leader()
  expect(leads).not.toBe(memberId)
  expect(frozen.output()).toContain('log-stalled')
  expect(await ask(frozen, 'jobs')).toMatchObject({ status: 307, location: `${leader.url}/api/v1/jobs` })
  expect((await create(leader, 'later')).status).toBe(201)
})
