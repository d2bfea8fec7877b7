/** Events of a real cluster, followed by the real client while the leader it reads from is killed. */
import { type ChildProcess, spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { EventDocument } from '../../src/wire/events.ts'
import { type RealCluster, startRealCluster } from '../fixtures/real-cluster.ts'
import { daybreak, eventually, projectRoot, taskProcesses, temporaryFolder } from '../fixtures/real-node.ts'

const JOB = 'local/www-data/devel/followed'
let folder: ReturnType<typeof temporaryFolder>
let cluster: RealCluster | null = null
let reader: ChildProcess | null = null

beforeAll(() => {
  folder = temporaryFolder()
})
afterAll(async () => {
  reader?.kill('SIGKILL')
  await cluster?.end()
  for (const { pid } of taskProcesses(folder.path)) process.kill(pid, 'SIGKILL')
  await eventually(
    async () => taskProcesses(folder.path).length,
    left => left === 0,
  )
  folder.remove()
})

/** `daybreak events -f` against that node, and what it has printed. */
function follow(url: string, ...more: string[]): { events: () => EventDocument[]; err: () => string } {
  const main = join(projectRoot, 'dist', 'bundle', 'main.js')
  const child = spawn(process.execPath, [main, 'events', '-f', '--json', '--job', JOB, ...more], {
    env: { ...process.env, DAYBREAK_URL: url },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  reader = child
  let out = ''
  let err = ''
  child.stdout.on('data', chunk => {
    out += String(chunk)
  })
  child.stderr.on('data', chunk => {
    err += String(chunk)
  })
  const whole = (): string[] => out.slice(0, out.lastIndexOf('\n') + 1).split('\n')
  return {
    events: () => whole().flatMap(line => (line === '' ? [] : [JSON.parse(line) as EventDocument])),
    err: () => err,
  }
}

const textOf = (event: EventDocument): string => {
  if (event.type !== 'task.transition') return `${event.id} ${event.type}`
  return `${event.id} ${event.taskId} ${event.oldState} ${event.newState}`
}

test('events -f across kill -9 of the leader it reads from: every transition once, in order, as the log has it', {
  timeout: 120_000,
}, async () => {
  const file = join(folder.path, 'job.yaml')
  writeFileSync(
    file,
    `service: true
instances: 4
task:
  processes:
    - { name: idles, cmdline: 'exec sleep 1000' }
  resources: { cpu: 0.01, ram: 1MiB, disk: 1MiB }
`,
  )
  cluster = await startRealCluster(folder.path, 3)
  const first = await cluster.leader()
  const survivor = cluster.nodes.find(node => node !== null && node !== first.node)!
  const { events, err } = follow(first.node.url, '--from', '1')
  expect(await daybreak(first.node.url, 'job', 'create', JOB, file, '--wait')).toMatchObject({ status: 0 })
  await eventually(
    async () => events().length,
    count => count > 0,
  )

  // In the middle of a restart of all of them.
  const restarted = await fetch(`${first.node.url}/api/v1/jobs/www-data/devel/followed:restart`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ instances: [0, 1, 2, 3] }),
  })
  expect(restarted.status, await restarted.text()).toBe(200)
  await eventually(
    async () => events().some(event => event.type === 'task.transition' && event.newState === 'RESTARTING'),
    found => found,
  )
  await first.node.crash()
  cluster.nodes[first.memberId - 1] = null
  const killed = await daybreak(survivor.url, 'job', 'killall', JOB, '--timeout', '60s')
  expect(killed.status, killed.stderr).toBe(0)
  const ended = async (): Promise<EventDocument[]> => {
    const text = await daybreak(survivor.url, 'events', '--json', '--job', JOB)
    return text.stdout.split('\n').flatMap(line => (line === '' ? [] : [JSON.parse(line) as EventDocument]))
  }
  const open = (all: readonly EventDocument[]): string[] => {
    const states = new Map<string, string>()
    for (const event of all) {
      if (event.type === 'task.transition') states.set(event.taskId, event.newState)
      if (event.type === 'task.deleted') states.delete(event.taskId)
    }
    return [...states.values()].filter(state => !['KILLED', 'FAILED', 'LOST', 'FINISHED'].includes(state))
  }
  const told = await eventually(ended, all => all.length > 20 && open(all).length === 0)
  await eventually(
    async () => events().at(-1)?.id,
    id => id === told.at(-1)?.id,
  )
  expect(events().map(textOf)).toEqual(told.map(textOf))
  expect(err()).toContain(`going on at http`)

  // Each transition begins where the last one of its task ended.
  const states = new Map<string, string>()
  for (const event of told) {
    if (event.type !== 'task.transition') continue
    expect(event.oldState, textOf(event)).toBe(states.get(event.taskId) ?? null)
    states.set(event.taskId, event.newState)
  }
  expect((await daybreak(survivor.url, 'events', '--job', JOB)).stdout).toMatch(
    /^\S+Z {2}\d+-\d+ {2}www-data\/devel\/followed\/0 {2}PENDING → ASSIGNED on agent-1/m,
  )
})
