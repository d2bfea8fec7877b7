import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { leaderSocket } from '../../fixtures/agent-process.ts'
import { agentOptions, processesOf, workFolder } from '../../fixtures/agent-under-test.ts'
import { FakeLeader, taskInfo } from '../../fixtures/fake-leader.ts'

const client = join(import.meta.dirname, '../../../dist/src/runtime/agent/agent-thread-client.js')
type Client = typeof import('../../../src/runtime/agent/agent-thread-client.ts')
const { startAgentThread } = (await import(client)) as Client
const logging = { format: 'text', level: 'warn' } as const
const metrics = { count: () => {}, gauge: () => {}, observe: () => {} }

test('an agent in a thread: runs tasks over a real socket, can be looked into, ends with or without its tasks', async () => {
  const workDir = workFolder()
  const leader = new FakeLeader()
  const socket = await leaderSocket(leader)
  const deaths: unknown[] = []
  const options = agentOptions(workDir, { schedulers: [socket.url] })
  const start = () => startAgentThread({ options, logging }, { metrics, onDeath: cause => deaths.push(cause) })
  try {
    const first = await start()
    await leader.ready()
    leader.launch('t-1', taskInfo([{ name: 'p', cmdline: 'while :; do sleep 60; done' }]))
    await leader.status('t-1', 'RUNNING')
    expect((await first.inspect()).tasks).toMatchObject([{ taskId: 't-1', state: 'RUNNING' }])
    expect((await first.actors()).map(actor => actor.kind)).toEqual(expect.arrayContaining(['Agent', 'TaskRunner']))
    await first.stop({ killTasks: false })
    expect(processesOf(workDir, 't-1').length).toBeGreaterThan(0)

    const second = await start()
    await leader.ready()
    await second.stop({ killTasks: true })
    expect(processesOf(workDir)).toEqual([])
    expect(deaths).toEqual([])
  } finally {
    await socket.close()
  }
})

test('a work folder that is in use: the start is refused with the reason, and no thread is left', async () => {
  const workDir = workFolder()
  const options = agentOptions(workDir)
  const deps = { metrics, onDeath: () => {} }
  const first = await startAgentThread({ options, logging }, deps)
  await expect(startAgentThread({ options, logging }, deps)).rejects.toThrow('another agent uses agent.workDir')
  await first.stop({ killTasks: false })
})

const isRoot = process.getuid?.() === 0
test.runIf(isRoot)(
  'role mode as root: the process runs as the account of its role, root itself is refused',
  async () => {
    const { agentUnderTest } = await import('../../fixtures/agent-under-test.ts')
    const { stdout } = await promisify(execFile)('id', ['-u', 'nobody'])
    const { chmodSync } = await import('node:fs')
    const workDir = workFolder()
    chmodSync(workDir, 0o755)
    const { leader, log } = await agentUnderTest({ workDir, options: { userMode: 'role' } })
    await leader.ready()
    leader.launch('t-1', taskInfo([{ name: 'p', cmdline: 'id -u; id -G; touch mine; exit 5' }], { role: 'nobody' }))
    expect((await leader.status('t-1', 'FAILED')).message).toBe('Task failed. p: exited with status 5.')
    expect(log('t-1', 'p').split('\n')[0]).toBe(stdout.trim())
    leader.launch('t-2', taskInfo([{ name: 'p', cmdline: 'true' }], { role: 'root' }))
    expect((await leader.status('t-2', 'FAILED')).message).toContain('is root')
  },
)
