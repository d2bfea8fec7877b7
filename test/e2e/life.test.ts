/** The main path on real parts: a real node process, real task processes, the real client. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { JobDetail, TaskList } from '../../src/wire/rest.ts'
import {
  daybreak,
  eventually,
  type RealNode,
  startRealNode,
  taskProcesses,
  temporaryFolder,
} from '../fixtures/real-node.ts'

const KEY = 'local/www-data/devel/hello'
const JOB = '/api/v1/jobs/www-data/devel/hello'

let folder: ReturnType<typeof temporaryFolder>
let node: RealNode
const nodes: RealNode[] = []

async function start(flags: readonly string[] = []): Promise<RealNode> {
  const started = await startRealNode(folder.path, { flags })
  nodes.push(started)
  return started
}

function makeFolder(): void {
  folder = temporaryFolder()
}

/** All nodes and tasks that have to do with the folder are gone, and so is it. */
async function clearAway(): Promise<void> {
  for (const one of nodes.splice(0)) await one.crash()
  for (const { pid } of taskProcesses(folder.path)) process.kill(pid, 'SIGKILL')
  await eventually(
    async () => taskProcesses(folder.path).length,
    left => left === 0,
  )
  folder.remove()
}

const running = (detail: JobDetail) => detail.active.filter(task => task.status === 'RUNNING')
const jobFile = (name: string, body: string): string => {
  const path = join(folder.path, `${name}.yaml`)
  writeFileSync(path, body)
  return path
}

describe('a node that ends', () => {
  beforeEach(makeFolder)
  afterEach(clearAway)

  test('create, RUNNING, an answer over HTTP, kill: no process is left', async () => {
    node = await start()
    expect(await node.get('/health')).toMatchObject({ status: 200, text: 'OK\n' })

    const created = await daybreak(node.url, 'job', 'create', KEY, 'examples/hello.yaml', '--wait')
    expect(created.stderr + created.stdout).toContain('Job create succeeded')
    expect(created.status).toBe(0)

    const detail = await node.json<JobDetail>(JOB)
    expect(running(detail).map(task => task.instance)).toEqual([0, 1, 2])
    const ports = running(detail).map(task => task.ports.http)
    expect(new Set(ports).size).toBe(3)
    const answer = await eventually(
      () =>
        fetch(`http://127.0.0.1:${ports[1]}/`).then(
          response => response.text(),
          () => '',
        ),
      text => text !== '',
    )
    expect(answer).toContain('instance 1')

    const killed = await daybreak(node.url, 'job', 'killall', KEY)
    expect(killed.status).toBe(0)
    await eventually(
      async () => taskProcesses(folder.path),
      left => left.length === 0,
    )
    const after = await node.json<TaskList>('/api/v1/tasks?role=www-data&status=active')
    expect(after.tasks).toEqual([])
    expect(await node.stop()).toBe(0)
  })

  test('SIGKILL of the node: its tasks go on, the next start adopts them with the same process ids', async () => {
    node = await start()
    await daybreak(node.url, 'job', 'create', KEY, 'examples/hello.yaml', '--wait')
    const before = await node.json<JobDetail>(JOB)
    const pids = taskProcesses(folder.path).map(one => one.pid)
    await node.crash()
    expect(taskProcesses(folder.path).map(one => one.pid)).toEqual(pids)
    node = await start()
    const ids = (detail: JobDetail) => detail.active.map(task => `${task.instance} ${task.taskId} ${task.status}`)
    expect(ids(await node.json<JobDetail>(JOB))).toEqual(ids(before))
    await eventually(
      () => node.json<{ agents: { connected: boolean }[] }>('/api/v1/agents'),
      list => list.agents.length === 1 && list.agents[0]?.connected === true,
    )
    expect(taskProcesses(folder.path).map(one => one.pid)).toEqual(pids)
    expect(ids(await node.json<JobDetail>(JOB))).toEqual(ids(before))
  })

  test('a task that ended while the node was down: its exit status is known at the next start', async () => {
    node = await start()
    const go = join(folder.path, 'go')
    const file = jobFile(
      'waits',
      `task:
  processes:
    - name: waits
      cmdline: while [ ! -e ${go} ]; do sleep 0.02; done; exit 7
  resources: { cpu: 0.1, ram: 32MiB, disk: 32MiB }
`,
    )
    const created = await daybreak(
      node.url,
      'job',
      'create',
      'local/www-data/devel/waits',
      file,
      '--wait-until',
      'RUNNING',
    )
    expect(created.status, created.stderr).toBe(0)
    await node.crash()
    writeFileSync(go, '')
    await eventually(
      async () => taskProcesses(folder.path),
      left => left.length === 0,
    )
    node = await start()
    const detail = await eventually(
      () => node.json<JobDetail>('/api/v1/jobs/www-data/devel/waits'),
      one => one.inactive.length === 1,
    )
    expect(detail.active).toEqual([])
    expect(detail.inactive[0]?.status).toBe('FAILED')
  })
})

describe('a node that stays, with jobs of other tests', () => {
  beforeAll(async () => {
    makeFolder()
    node = await start()
  })
  afterAll(clearAway)

  test('a killed service process: another task takes its instance, with the old one as ancestor', async () => {
    const IDLES = '/api/v1/jobs/www-data/devel/idles'
    const file = jobFile(
      'idles',
      `instances: 3
service: true
task:
  processes:
    - { name: idles, cmdline: exec sleep 1000 }
  resources: { cpu: 0.1, ram: 32MiB, disk: 32MiB }
`,
    )
    const created = await daybreak(node.url, 'job', 'create', 'local/www-data/devel/idles', file, '--wait')
    expect(created.status, created.stderr).toBe(0)
    const before = (await node.json<JobDetail>(IDLES)).active.find(task => task.instance === 0)
    // The process itself, not the shim around it, which writes down how it ended.
    const sleepers = taskProcesses(folder.path).filter(one => one.taskId === before?.taskId && one.command === 'sleep')
    expect(sleepers.length).toBe(1)
    for (const { pid } of sleepers) process.kill(pid, 'SIGKILL')
    const after = await eventually(
      () => node.json<JobDetail>(IDLES),
      detail => running(detail).some(task => task.instance === 0 && task.taskId !== before?.taskId),
    )
    expect(after.active.find(task => task.instance === 0)?.ancestorId).toBe(before?.taskId)
    expect(running(after).length).toBe(3)
  })

  test('an ad-hoc job runs its processes in order and ends FINISHED; its output can be read', async () => {
    const created = await daybreak(
      node.url,
      'job',
      'create',
      'local/www-data/devel/batch',
      'examples/batch.yaml',
      '--wait-until',
      'FINISHED',
    )
    expect(created.status, created.stderr + created.stdout).toBe(0)
    const detail = await node.json<JobDetail>('/api/v1/jobs/www-data/devel/batch')
    expect(detail.inactive.map(task => task.status)).toEqual(detail.inactive.map(() => 'FINISHED'))
    const logs = await daybreak(node.url, 'task', 'logs', 'local/www-data/devel/batch/0')
    expect(logs.status, logs.stderr).toBe(0)
    expect(logs.stdout).not.toBe('')
  })

  test('restart of one instance: a new task there, the others untouched', async () => {
    await daybreak(node.url, 'job', 'create', KEY, 'examples/hello.yaml', '--wait')
    const before = await node.json<JobDetail>(JOB)
    const restarted = await daybreak(node.url, 'job', 'restart', `${KEY}/1`, '--watch-secs', '0')
    expect(restarted.status, restarted.stderr + restarted.stdout).toBe(0)
    const after = await eventually(
      () => node.json<JobDetail>(JOB),
      detail => running(detail).length === 3,
    )
    const idOf = (detail: JobDetail, instance: number) => detail.active.find(task => task.instance === instance)?.taskId
    expect(idOf(after, 0)).toBe(idOf(before, 0))
    expect(idOf(after, 1)).not.toBe(idOf(before, 1))
    expect(idOf(after, 2)).toBe(idOf(before, 2))
  })

  test('a job that can never fit says so at once, with the largest host', async () => {
    await eventually(
      () => node.json<{ agents: { connected: boolean }[] }>('/api/v1/agents'),
      list => list.agents[0]?.connected === true,
    )
    const file = jobFile(
      'huge',
      `service: true
task:
  processes:
    - { name: huge, cmdline: 'true' }
  resources: { cpu: 5000, ram: 32MiB, disk: 32MiB }
`,
    )
    const refused = await daybreak(node.url, 'job', 'create', 'local/www-data/devel/huge', file)
    expect(refused.status).not.toBe(0)
    expect(refused.stderr + refused.stdout).toMatch(/largest host/i)
  })

  test('a job whose constraint no host meets is PENDING, and says why', async () => {
    const file = jobFile(
      'picky',
      `service: true
constraints: { rack: r99 }
task:
  processes:
    - { name: picky, cmdline: 'true' }
  resources: { cpu: 0.1, ram: 32MiB, disk: 32MiB }
`,
    )
    expect((await daybreak(node.url, 'job', 'create', 'local/www-data/devel/picky', file)).status).toBe(0)
    const list = await eventually(
      () => node.json<{ pending: { reasons: string[] }[] }>('/api/v1/pending'),
      one => (one.pending[0]?.reasons.length ?? 0) > 0,
    )
    expect(list.pending[0]?.reasons).toEqual(['Constraint not satisfied: rack'])
    const status = await daybreak(node.url, 'job', 'status', 'local/www-data/devel/picky')
    expect(status.stdout).toContain('Constraint not satisfied: rack')
  })
})
