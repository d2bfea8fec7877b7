/**
 * SIGKILL at any moment, again and again, while jobs are created and killed: what was acknowledged stays, nothing
 * acknowledged is undone, no instance runs twice, no process is left without an owner.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { prng } from '../../src/core/base/prng.ts'
import { jobConfigurationOf } from '../fixtures/job-configurations.ts'
import { eventually, type RealNode, startRealNode, taskProcesses, temporaryFolder } from '../fixtures/real-node.ts'

const CRASHES = 20
const ROLE = 'www-data'

let folder: ReturnType<typeof temporaryFolder>
let node: RealNode | null = null

beforeAll(() => {
  folder = temporaryFolder()
})
afterAll(async () => {
  await node?.crash()
  for (const { pid } of taskProcesses(folder.path)) process.kill(pid, 'SIGKILL')
  await eventually(
    async () => taskProcesses(folder.path).length,
    left => left === 0,
  )
  folder.remove()
})

interface Wanted {
  /** What was acknowledged last: the job is there, or it is gone. `unsure`: the answer to the last change never came. */
  state: 'there' | 'gone' | 'unsure'
}

test(`${CRASHES} crashes under load: every acknowledged job is there, none runs twice, none is left behind`, {
  timeout: 180_000,
}, async () => {
  const chance = prng(20_261_122)
  const wanted = new Map<string, Wanted>()
  const file = join(folder.path, 'job.yaml')
  writeFileSync(
    file,
    `service: true
task:
  processes:
    - { name: idles, cmdline: 'exec sleep 1000' }
  resources: { cpu: 0.01, ram: 1MiB, disk: 1MiB }
`,
  )
  let acknowledged = 0
  let serial = 0

  /** Creates and kills until the node is gone under it. */
  async function load(url: string, isOver: () => boolean): Promise<void> {
    while (!isOver()) {
      const there = [...wanted].filter(([, job]) => job.state === 'there').map(([name]) => name)
      const victim =
        there.length > 6 || (there.length > 2 && chance.next() < 0.4) ? there[chance.int(0, there.length)] : undefined
      const name = victim ?? `job-${serial++}`
      const before = wanted.get(name)?.state
      wanted.set(name, { state: 'unsure' })
      const headers = {
        'content-type': 'application/json',
        'idempotency-key': `${name}-${victim === undefined ? 'create' : 'kill'}`,
      }
      const request =
        victim === undefined
          ? {
              path: '/api/v1/jobs',
              body: { job: jobConfigurationOf(file, { role: ROLE, environment: 'devel', name }) },
            }
          : { path: `/api/v1/jobs/${ROLE}/devel/${name}:kill`, body: { all: true } }
      const response = await fetch(url + request.path, {
        method: 'POST',
        headers,
        body: JSON.stringify(request.body),
      }).catch(() => null)
      if (response === null) return
      const text = await response.text().catch(() => null)
      if (text === null) return
      if (response.ok) {
        wanted.set(name, { state: victim === undefined ? 'there' : 'gone' })
        acknowledged++
      } else if (response.status === 503) {
        // Not taken, or unknown: the same as no answer, unless it said that nothing was done.
        wanted.set(name, { state: before === undefined ? 'unsure' : before })
        if (/OUTCOME_UNKNOWN/.test(text)) wanted.set(name, { state: 'unsure' })
      } else {
        throw new Error(`${request.path}: ${response.status} ${text}`)
      }
    }
  }

  for (let crash = 0; crash < CRASHES; crash++) {
    node = await startRealNode(folder.path, {
      flags: ['--scheduler.startSpread', '0s', '--scheduler.flapping.pauseMin', '0s'],
    })
    let over = false
    const work = load(node.url, () => over)
    // The moment is drawn in changes, not in time: crash when so many more have been acknowledged.
    const target = acknowledged + chance.int(1, 8)
    await eventually(
      async () => acknowledged,
      count => count >= target,
    )
    await node.crash()
    over = true
    await work
  }

  node = await startRealNode(folder.path, {
    flags: ['--scheduler.startSpread', '0s', '--scheduler.flapping.pauseMin', '0s'],
  })
  const last = node
  type Tasks = { tasks: { taskId: string; job: { name: string }; instance: number; status: string }[] }
  const settled = await eventually(
    () => last.json<Tasks>(`/api/v1/tasks?role=${ROLE}&status=active&limit=1000`),
    list => list.tasks.every(task => task.status === 'RUNNING'),
  )
  const active = new Set(settled.tasks.map(task => task.job.name))
  for (const [name, { state }] of wanted) {
    if (state === 'there') expect(active.has(name), `${name} was acknowledged and is missing`).toBe(true)
    if (state === 'gone') expect(active.has(name), `${name} was killed and is back`).toBe(false)
  }
  const slots = settled.tasks.map(task => `${task.job.name}/${task.instance}`)
  expect(new Set(slots).size).toBe(slots.length)

  // Every process belongs to a task that the ledger has as RUNNING, and every such task has its one sleep.
  const owned = new Set(settled.tasks.map(task => task.taskId))
  const alive = await eventually(
    async () => taskProcesses(folder.path),
    processes =>
      processes.every(one => owned.has(one.taskId)) && new Set(processes.map(one => one.taskId)).size === owned.size,
  )
  expect(new Set(alive.map(one => one.taskId))).toEqual(owned)
  expect(acknowledged).toBeGreaterThan(CRASHES)
})
