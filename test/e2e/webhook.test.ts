/** A real node that posts to a real web server, which fails, goes away and comes back. */
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  daybreak,
  eventually,
  type RealNode,
  startRealNode,
  taskProcesses,
  temporaryFolder,
} from '../fixtures/real-node.ts'

const JOB = 'local/www-data/devel/posted'
let folder: ReturnType<typeof temporaryFolder>
let node: RealNode | null = null
let target: Server | null = null

beforeAll(() => {
  folder = temporaryFolder()
})
afterAll(async () => {
  target?.closeAllConnections()
  target?.close()
  await node?.crash()
  for (const { pid } of taskProcesses(folder.path)) process.kill(pid, 'SIGKILL')
  await eventually(
    async () => taskProcesses(folder.path).length,
    left => left === 0,
  )
  folder.remove()
})

interface Posted {
  readonly key: string
  readonly taskId: string
  readonly oldState: string | null
  readonly newState: string
}

test('webhook, target that answers 500, goes away and comes back: every transition arrives, those of a task in order', {
  timeout: 90_000,
}, async () => {
  const taken: Posted[] = []
  let refusals = 3
  const listen = async (port: number): Promise<Server> => {
    const server = createServer((request, response) => {
      const chunks: Buffer[] = []
      request.on('data', chunk => chunks.push(chunk as Buffer))
      request.on('end', () => {
        if (refusals > 0) {
          refusals -= 1
          response.writeHead(500).end()
          return
        }
        const body = JSON.parse(Buffer.concat(chunks).toString()) as {
          id: string
          task: { assignedTask: { taskId: string } }
          oldState: string | null
          newState: string
        }
        expect(request.headers['idempotency-key']).toBe(body.id)
        const { oldState, newState, task } = body
        taken.push({ key: body.id, taskId: task.assignedTask.taskId, oldState, newState })
        response.writeHead(204).end()
      })
    })
    server.listen(port, '127.0.0.1')
    await once(server, 'listening')
    return server
  }
  target = await listen(0)
  const { port } = target.address() as AddressInfo
  node = await startRealNode(folder.path, {
    flags: ['--scheduler.webhook.url', `http://127.0.0.1:${port}/hook`, '--agent.userMode', 'shared'],
  })
  const file = join(folder.path, 'job.yaml')
  writeFileSync(
    file,
    `service: true
instances: 3
task:
  processes:
    - { name: idles, cmdline: 'exec sleep 1000' }
  resources: { cpu: 0.01, ram: 1MiB, disk: 1MiB }
`,
  )
  expect(await daybreak(node.url, 'job', 'create', JOB, file, '--wait')).toMatchObject({ status: 0 })
  await eventually(
    async () => taken.length,
    count => count > 3,
  )
  const gone = once(target, 'close')
  target.closeAllConnections()
  target.close()
  await gone
  expect(await daybreak(node.url, 'job', 'killall', JOB)).toMatchObject({ status: 0 })
  await eventually(
    async () => node!.output(),
    output => output.includes('webhook-failing'),
  )
  target = await listen(port)

  const query = 'from=begin&follow=false&type=task.transition'
  const told = async (): Promise<string[]> => {
    const { text } = await node!.get(`/api/v1/events?${query}`)
    return [...text.matchAll(/^id: (.+)\nevent: /gm)].map(([, id = '']) => id)
  }
  await eventually(told, ids => ids.length >= 3 * 6 && new Set(taken.map(({ key }) => key)).size === ids.length)
  expect([...new Set(taken.map(({ key }) => key))].sort()).toEqual((await told()).sort())
  const states = new Map<string, string>()
  const distinct = taken.filter(({ key }, at) => taken.findIndex(one => one.key === key) === at)
  for (const { taskId, oldState, newState } of distinct) {
    expect(oldState).toBe(states.get(taskId) ?? null)
    states.set(taskId, newState)
  }
  expect([...states.values()]).toEqual(['KILLED', 'KILLED', 'KILLED'])
  expect(refusals).toBe(0)
})
