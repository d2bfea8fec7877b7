import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { LAUNCHER_NAME } from '../../../src/runtime/agent/launch-messages.ts'
import { allProcesses, commandLineOf } from '../../../src/runtime/agent/proc.ts'
import { agentProcess, leaderSocket } from '../../fixtures/agent-process.ts'
import { agentUnderTest, processesOf, workFolder } from '../../fixtures/agent-under-test.ts'
import { FakeLeader, taskInfo } from '../../fixtures/fake-leader.ts'

/** Says in its sandbox that it has begun, and runs until the file `go` is there. */
const UNTIL_GO = 'echo run >>runs; until [ -e go ]; do sleep 0.02; done'
const PATIENCE = { timeout: 15_000, interval: 5 }

const undo: (() => Promise<void> | void)[] = []
afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step()
})

function launchersOf(workDir: string): number[] {
  return allProcesses()
    .filter(({ pid }) => {
      const args = commandLineOf(pid) ?? []
      return args.includes(LAUNCHER_NAME) && args.includes(workDir) && args[0] === process.execPath
    })
    .map(({ pid }) => pid)
}

/** The one that is up, other than those. */
function launcherOf(workDir: string, others: readonly number[] = []): Promise<number> {
  return vi.waitFor(() => {
    const found = launchersOf(workDir).filter(pid => !others.includes(pid))
    expect(found).toHaveLength(1)
    return found[0] as number
  }, PATIENCE)
}

const noLauncher = (workDir: string): Promise<void> =>
  vi.waitFor(() => expect(launchersOf(workDir)).toEqual([]), PATIENCE)

/** From now on it takes a command and does not answer. */
async function stopped(workDir: string): Promise<number> {
  const pid = await launcherOf(workDir)
  process.kill(pid, 'SIGSTOP')
  undo.push(() => {
    if (launchersOf(workDir).includes(pid)) process.kill(pid, 'SIGKILL')
  })
  return pid
}

const sandbox = (workDir: string, taskId: string, ...path: string[]): string =>
  join(workDir, 'tasks', taskId, 'sandbox', ...path)
const runsOf = (workDir: string, taskId: string): string => readFileSync(sandbox(workDir, taskId, 'runs'), 'utf8')
const records = (workDir: string, taskId: string): string => join(workDir, 'meta/tasks', taskId, 'p')
const go = (workDir: string, taskId: string): void => writeFileSync(sandbox(workDir, taskId, 'go'), '')
const hasBegun = (workDir: string, taskId: string): Promise<void> =>
  vi.waitFor(() => expect(runsOf(workDir, taskId)).toBe('run\n'), PATIENCE)

describe('a launcher that is killed', () => {
  test('its runs go on, are adopted, and their ends are known', async () => {
    const { leader, workDir, logged } = await agentUnderTest()
    await leader.ready()
    for (const id of ['t-1', 't-2']) leader.launch(id, taskInfo([{ name: 'p', cmdline: `${UNTIL_GO}; exit 7` }]))
    for (const id of ['t-1', 't-2']) await hasBegun(workDir, id)
    const first = await launcherOf(workDir)
    process.kill(first, 'SIGKILL')
    go(workDir, 't-1')
    expect((await leader.status('t-1', 'FAILED')).message).toBe('Task failed. p: exited with status 7.')
    await launcherOf(workDir, [first])
    go(workDir, 't-2')
    expect((await leader.status('t-2', 'FAILED')).message).toBe('Task failed. p: exited with status 7.')
    expect(logged.filter(line => line.startsWith('agent-launcher-ended'))).toHaveLength(1)
    leader.launch('t-3', taskInfo([{ name: 'p', cmdline: 'true' }]))
    await leader.status('t-3', 'FINISHED')
  })

  test('again and again while tasks are launched: each runs once, and all ends are told', async () => {
    const { leader, workDir } = await agentUnderTest({
      options: { resources: { cpusMilli: 64_000, ramMb: 9_000, diskMb: 9_000 } },
    })
    await leader.ready()
    const ids = Array.from({ length: 12 }, (_, n) => `t-${n}`)
    const killed: number[] = []
    for (const [n, id] of ids.entries()) {
      leader.launch(id, taskInfo([{ name: 'p', cmdline: UNTIL_GO }]))
      if (n % 4 !== 3) continue
      const pid = await launcherOf(workDir, killed)
      process.kill(pid, 'SIGKILL')
      killed.push(pid)
    }
    for (const id of ids) await leader.status(id, 'RUNNING')
    for (const id of ids) await hasBegun(workDir, id)
    for (const id of ids) go(workDir, id)
    for (const id of ids) await leader.status(id, 'FINISHED')
    for (const id of ids)
      expect([id, runsOf(workDir, id), readdirSync(records(workDir, id))]).toEqual([id, 'run\n', ['0']])
    expect(killed).toHaveLength(3)
    expect(processesOf(workDir)).toEqual([])
  })

  test('before it began what it was given: the next one begins it', async () => {
    const { leader, workDir } = await agentUnderTest()
    await leader.ready()
    const first = await stopped(workDir)
    leader.launch('t-1', taskInfo([{ name: 'p', cmdline: UNTIL_GO }]))
    await leader.status('t-1', 'STARTING')
    process.kill(first, 'SIGKILL')
    await hasBegun(workDir, 't-1')
    go(workDir, 't-1')
    await leader.status('t-1', 'FINISHED')
    expect(readdirSync(records(workDir, 't-1'))).toEqual(['0'])
  })

  test('after the fork, before it said so or wrote it down: the run is found by its arguments, and not begun again', async () => {
    const { leader, workDir } = await agentUnderTest()
    await leader.ready()
    const first = await stopped(workDir)
    leader.launch('t-1', taskInfo([{ name: 'p', cmdline: UNTIL_GO }]))
    await leader.status('t-1', 'STARTING')
    // The next launcher will wait here for somebody who reads, with the shim forked and nothing told.
    const folder = join(records(workDir, 't-1'), '0')
    mkdirSync(folder, { recursive: true })
    execFileSync('mkfifo', [join(folder, 'started.fresh')])
    process.kill(first, 'SIGKILL')
    await hasBegun(workDir, 't-1')
    expect(leader.statuses('t-1')).toEqual(['STARTING#1'])
    const second = await launcherOf(workDir, [first])
    process.kill(second, 'SIGKILL')
    await leader.status('t-1', 'RUNNING')
    await launcherOf(workDir, [first, second])
    expect(existsSync(join(folder, 'started'))).toBe(false)
    go(workDir, 't-1')
    await leader.status('t-1', 'FINISHED')
    expect(runsOf(workDir, 't-1')).toBe('run\n')
    expect(readdirSync(records(workDir, 't-1'))).toEqual(['0'])
  })

  test('none comes up: what waits for one is refused with the reason, and once one comes up tasks run again', async () => {
    const { leader, workDir, logged } = await agentUnderTest()
    await leader.ready()
    const first = await stopped(workDir)
    const { execPath } = process
    undo.push(() => {
      process.execPath = execPath
    })
    process.execPath = '/bin/false'
    leader.launch('t-1', taskInfo([{ name: 'p', cmdline: UNTIL_GO }]))
    await leader.status('t-1', 'STARTING')
    process.kill(first, 'SIGKILL')
    const end = await leader.status('t-1', 'FAILED')
    expect(end.message).toContain('the launcher has ended 5 times before it could answer')
    expect(logged.filter(line => line.startsWith('agent-launcher-ended')).length).toBeGreaterThanOrEqual(5)
    process.execPath = execPath
    leader.launch('t-2', taskInfo([{ name: 'p', cmdline: 'true' }]))
    await leader.status('t-2', 'FINISHED')
  })
})

describe('an agent that goes while its launcher has a command', { timeout: 60_000 }, () => {
  /** A process of its own, with a launcher that has been stopped and a task on its way to it. */
  async function underWay(workDir: string) {
    const leader = new FakeLeader()
    const socket = await leaderSocket(leader)
    undo.push(() => socket.close())
    const start = () => {
      const agent = agentProcess(workDir, socket.url)
      undo.push(() => agent.crash())
      return agent
    }
    const agent = start()
    await leader.ready()
    const launcher = await stopped(workDir)
    leader.launch('t-1', taskInfo([{ name: 'p', cmdline: UNTIL_GO }]))
    await leader.status('t-1', 'STARTING')
    return { agent, launcher, leader, start }
  }

  async function endsAfterOneRun(workDir: string, leader: FakeLeader): Promise<void> {
    await hasBegun(workDir, 't-1')
    go(workDir, 't-1')
    await leader.status('t-1', 'FINISHED')
    expect(runsOf(workDir, 't-1')).toBe('run\n')
  }

  test('killed: the launcher leaves without beginning it, the next agent begins it once', async () => {
    const workDir = workFolder()
    const { agent, launcher, leader, start } = await underWay(workDir)
    await agent.crash()
    process.kill(launcher, 'SIGCONT')
    await noLauncher(workDir)
    expect(processesOf(workDir)).toEqual([])
    start()
    await endsAfterOneRun(workDir, leader)
  })

  test('both killed: the next agent begins it once', async () => {
    const workDir = workFolder()
    const { agent, launcher, leader, start } = await underWay(workDir)
    await agent.crash()
    process.kill(launcher, 'SIGKILL')
    start()
    await endsAfterOneRun(workDir, leader)
  })

  test('killed, and its launcher does not leave: the next agent ends that before it begins anything', async () => {
    const workDir = workFolder()
    const { agent, launcher, leader, start } = await underWay(workDir)
    await agent.crash()
    const next = start()
    await endsAfterOneRun(workDir, leader)
    expect(launchersOf(workDir)).not.toContain(launcher)
    expect(next.output()).toContain(`warn agent-launcher-stuck {"pids":[${launcher}]}`)
  })

  test('stopped: nothing can begin any more once it says so, and the next agent goes on', async () => {
    const { agent, leader, workDir } = await agentUnderTest()
    await leader.ready()
    const launcher = await stopped(workDir)
    leader.launch('t-1', taskInfo([{ name: 'p', cmdline: UNTIL_GO }]))
    await leader.status('t-1', 'STARTING')
    const stop = agent.stop({ killTasks: false })
    process.kill(launcher, 'SIGCONT')
    await stop
    expect(launchersOf(workDir)).toEqual([])
    const second = await agentUnderTest({ workDir, leader: new FakeLeader() })
    await second.leader.ready()
    await endsAfterOneRun(workDir, second.leader)
  })

  test('stopped with its tasks: what is under way is awaited and killed, what waits behind it is not begun', async () => {
    const { agent, leader, workDir } = await agentUnderTest()
    await leader.ready()
    const launcher = await stopped(workDir)
    for (const id of ['t-1', 't-2']) {
      leader.launch(id, taskInfo([{ name: 'p', cmdline: UNTIL_GO }]))
      await leader.status(id, 'STARTING')
    }
    const stop = agent.stop({ killTasks: true })
    await leader.status('t-2', 'KILLED')
    process.kill(launcher, 'SIGCONT')
    await stop
    expect(leader.statuses('t-1').at(-1)).toContain('KILLED')
    expect(processesOf(workDir)).toEqual([])
    expect(existsSync(records(workDir, 't-2'))).toBe(false)
  })
})

describe('a kill', () => {
  test('of a run that waits for the launcher: KILLED at once, never begun; the one before it ends when its fork is known', async () => {
    const { leader, workDir } = await agentUnderTest()
    await leader.ready()
    const launcher = await stopped(workDir)
    for (const id of ['t-1', 't-2']) {
      leader.launch(id, taskInfo([{ name: 'p', cmdline: UNTIL_GO }]))
      await leader.status(id, 'STARTING')
    }
    for (const id of ['t-1', 't-2']) leader.kill(id)
    await leader.status('t-2', 'KILLED')
    expect(leader.statuses('t-1')).toEqual(['STARTING#1'])
    process.kill(launcher, 'SIGCONT')
    await leader.status('t-1', 'KILLED')
    expect(processesOf(workDir)).toEqual([])
    expect(existsSync(records(workDir, 't-2'))).toBe(false)
  })
})

test('a task that made a pipe where the output of its next process goes: that process fails, nobody else waits', async () => {
  const { leader } = await agentUnderTest()
  await leader.ready()
  const info = taskInfo(
    [
      { name: 'a', cmdline: 'mkdir -p .logs/b/0 && mkfifo .logs/b/0/stdout' },
      { name: 'b', cmdline: 'true' },
    ],
    { task: { constraints: [{ order: ['a', 'b'] }] } },
  )
  leader.launch('t-1', info)
  expect((await leader.status('t-1', 'FAILED')).message).toContain('ENXIO')
  leader.launch('t-2', taskInfo([{ name: 'p', cmdline: 'true' }]))
  await leader.status('t-2', 'FINISHED')
})

test('an agent that leaves takes its launcher along, and one that is killed does too', async () => {
  const first = await agentUnderTest()
  await launcherOf(first.workDir)
  await first.leave()
  expect(launchersOf(first.workDir)).toEqual([])
  const workDir = workFolder()
  const leader = new FakeLeader()
  const socket = await leaderSocket(leader)
  undo.push(() => socket.close())
  const agent = agentProcess(workDir, socket.url)
  undo.push(() => agent.crash())
  await launcherOf(workDir)
  await agent.crash()
  await noLauncher(workDir)
})
