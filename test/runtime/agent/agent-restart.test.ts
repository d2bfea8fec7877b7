import { once } from 'node:events'
import { appendFileSync, readdirSync, readFileSync, rmSync, watch, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { open } from 'lmdb'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { openAgentStore } from '../../../src/runtime/agent/agent-store.ts'
import { Folders } from '../../../src/runtime/agent/folders.ts'
import { isSameProcess, processStat } from '../../../src/runtime/agent/proc.ts'
import { type AgentProcess, agentProcess, leaderSocket } from '../../fixtures/agent-process.ts'
import { agentUnderTest, processesOf, workFolder } from '../../fixtures/agent-under-test.ts'
import { FakeLeader, taskInfo } from '../../fixtures/fake-leader.ts'

const SLEEPER = 'while :; do sleep 60 & wait $!; done'
/** Runs until the file `go` appears in its sandbox. */
const UNTIL_GO = 'until [ -e go ]; do sleep 0.02; done'

const undo: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step()
})
async function crashable(workDir: string, leader: FakeLeader): Promise<() => AgentProcess> {
  const socket = await leaderSocket(leader)
  undo.push(() => socket.close())
  return () => {
    const agent = agentProcess(workDir, socket.url)
    undo.push(() => agent.crash())
    return agent
  }
}
const shimOf = (workDir: string, taskId: string, process: string, run = 0): { pid: number; ticks: number } => {
  const [pid, ticks] = readFileSync(join(workDir, 'meta/tasks', taskId, process, String(run), 'started'), 'utf8').split(
    ' ',
  )
  return { pid: Number(pid), ticks: Number(ticks) }
}
/** Settles when the file is there. */
async function appears(folder: string, name: string): Promise<void> {
  const { existsSync } = await import('node:fs')
  if (existsSync(join(folder, name))) return
  const watcher = watch(folder)
  while (!existsSync(join(folder, name))) await once(watcher, 'change')
  watcher.close()
}

describe('an agent that was killed', () => {
  test('agent-26: its task runs on, is adopted with the same pid, and later statuses arrive', async () => {
    const workDir = workFolder()
    const leader = new FakeLeader()
    const start = await crashable(workDir, leader)
    const first = start()
    await leader.ready()
    leader.launch('t-1', taskInfo([{ name: 'p', cmdline: UNTIL_GO }]))
    await leader.status('t-1', 'RUNNING')
    await appears(join(workDir, 'meta/tasks/t-1/p/0'), 'started')
    const shim = shimOf(workDir, 't-1', 'p')
    await first.crash()
    expect(isSameProcess(shim.pid, shim.ticks)).toBe(true)

    start()
    await leader.ready()
    expect(leader.all('TASKS').at(-1)?.tasks).toMatchObject([{ taskId: 't-1', state: 'RUNNING', lastSeq: 2 }])
    expect(isSameProcess(shim.pid, shim.ticks)).toBe(true)
    writeFileSync(join(workDir, 'tasks/t-1/sandbox/go'), '')
    await leader.status('t-1', 'FINISHED')
    // An acknowledgement that was on its way when it was killed makes a status come once more, with its number.
    expect([...new Set(leader.statuses('t-1'))]).toEqual(['STARTING#1', 'RUNNING#2', 'FINISHED#3'])
  })

  test('its task ends meanwhile: the exit status is known, and the plan goes on behind it', async () => {
    const workDir = workFolder()
    const leader = new FakeLeader()
    const start = await crashable(workDir, leader)
    const first = start()
    await leader.ready()
    const info = taskInfo(
      [
        { name: 'a', cmdline: `echo a >>order; ${UNTIL_GO}` },
        { name: 'b', cmdline: 'echo b >>order; exit 7' },
      ],
      { task: { constraints: [{ order: ['a', 'b'] }] } },
    )
    leader.launch('t-1', info)
    await leader.status('t-1', 'RUNNING')
    await first.crash()
    writeFileSync(join(workDir, 'tasks/t-1/sandbox/go'), '')
    await appears(join(workDir, 'meta/tasks/t-1/a/0'), 'ended')

    start()
    const end = await leader.status('t-1', 'FAILED')
    expect(end.message).toBe('Task failed. b: exited with status 7.')
    expect(readFileSync(join(workDir, 'tasks/t-1/sandbox/order'), 'utf8')).toBe('a\nb\n')
  })

  test('again and again while tasks come and go: none runs twice, none is left without an owner', async () => {
    const workDir = workFolder()
    const leader = new FakeLeader()
    const start = await crashable(workDir, leader)
    const ids = ['t-0', 't-1', 't-2', 't-3']
    for (const [n, id] of ids.entries()) {
      const agent = start()
      await leader.ready()
      leader.launch(id, taskInfo([{ name: 'p', cmdline: `echo run >>runs; ${SLEEPER}` }]))
      if (n > 0) leader.kill(ids[n - 1] as string)
      await leader.until(
        () => leader.all('LAUNCH_ACK').some(ack => ack.results[0]?.taskId === id),
        `the launch of ${id}`,
      )
      await agent.crash()
    }
    start()
    await leader.ready()
    for (const id of ids) leader.kill(id)
    for (const id of ids) await leader.status(id, 'KILLED')
    expect(processesOf(workDir)).toEqual([])
    for (const id of ids) {
      const runs = join(workDir, 'tasks', id, 'sandbox/runs')
      const { existsSync } = await import('node:fs')
      // Killed between the shell's opening of the file and its write, it is there and empty: no second run either.
      if (existsSync(runs)) expect(['', 'run\n']).toContain(readFileSync(runs, 'utf8'))
    }
  })

  test('in the midst of a kill: the next agent finishes it', async () => {
    const workDir = workFolder()
    const leader = new FakeLeader()
    const start = await crashable(workDir, leader)
    const first = start()
    await leader.ready()
    const stubborn = `trap '' TERM; touch ready; while :; do sleep 60; done`
    leader.launch('t-1', taskInfo([{ name: 'p', cmdline: stubborn }]))
    await leader.status('t-1', 'RUNNING')
    await appears(join(workDir, 'tasks/t-1/sandbox'), 'ready')
    leader.kill('t-1', 1)
    await leader.until(() => leader.all('KILL_ACK').length === 1, 'the acknowledgement')
    await first.crash()
    start()
    await leader.status('t-1', 'KILLED')
    expect(processesOf(workDir)).toEqual([])
  })
})

/** An agent whose only task, `t-1`, has been told RUNNING. */
async function agentRunning(task: ReturnType<typeof taskInfo>) {
  const agent = await agentUnderTest()
  await agent.leader.ready()
  agent.leader.launch('t-1', task)
  await agent.leader.status('t-1', 'RUNNING')
  return agent
}

describe('an agent that comes back', () => {
  /** A task whose first process leaves a child that says nothing, and ends when told to; the second one follows. */
  const leaving = taskInfo(
    [
      { name: 'a', cmdline: `sleep 600 & echo $! >child; touch ready; ${UNTIL_GO}` },
      { name: 'b', cmdline: `while grep -q '^State:.[RSD]' /proc/$(cat child)/status; do sleep 0.02; done` },
    ],
    { task: { constraints: [{ order: ['a', 'b'] }] } },
  )

  async function leftInTheMidst() {
    const first = await agentRunning(leaving)
    await appears(join(first.workDir, 'tasks/t-1/sandbox'), 'ready')
    await first.leave()
    return first
  }

  test('job-14: a run ended meanwhile and left a child: the child is killed before the task goes on', async () => {
    const first = await leftInTheMidst()
    writeFileSync(join(first.workDir, 'tasks/t-1/sandbox/go'), '')
    await appears(join(first.workDir, 'meta/tasks/t-1/a/0'), 'ended')
    const second = await agentUnderTest({ workDir: first.workDir, leader: new FakeLeader() })
    await second.leader.status('t-1', 'FINISHED')
  })

  test('the record of a start is damaged: its run is found by its arguments, adopted, and swept when it ends', async () => {
    const first = await leftInTheMidst()
    writeFileSync(join(first.workDir, 'meta/tasks/t-1/a/0/started'), 'nonsense')
    const second = await agentUnderTest({ workDir: first.workDir, leader: new FakeLeader() })
    await second.leader.ready()
    expect(second.logged.some(line => line.includes('record-quarantined') && line.includes('t-1/a/0'))).toBe(true)
    writeFileSync(join(first.workDir, 'tasks/t-1/sandbox/go'), '')
    await second.leader.status('t-1', 'FINISHED')
    expect(readdirSync(join(first.workDir, 'meta/tasks/t-1/a'))).toEqual(['0'])
  })

  test('the data of a task that runs is no longer accepted: FAILED, and by then nothing of it is left', async () => {
    const first = await agentRunning(taskInfo([{ name: 'p', cmdline: SLEEPER }]))
    await first.leave()
    const store = await openAgentStore(join(first.workDir, 'meta/db'))
    const record = store.load().records[0]
    if (record?.info == null) throw new Error('the record is there')
    const executor = { ...record.info.executor, data: '{}' }
    await store.write({ records: [{ ...record, info: { ...record.info, executor } }] })
    await store.close()
    const leader = new FakeLeader()
    await agentUnderTest({ workDir: first.workDir, leader })
    await leader.until(() => leader.statuses('t-1').includes('FAILED#3'), 'its end')
    expect(processesOf(first.workDir)).toEqual([])
  })

  test('killed after the checkpoint said RUNNING and before that status was stored: RUNNING is told', async () => {
    const first = await agentRunning(taskInfo([{ name: 'p', cmdline: SLEEPER }]))
    await first.leave()
    const store = await openAgentStore(join(first.workDir, 'meta/db'))
    const record = store.load().records[0]
    if (record === undefined) throw new Error('the record is there')
    await store.write({
      records: [{ ...record, state: 'STARTING', lastSeq: 1, ackedSeq: 1 }],
      dropStatuses: [{ taskId: 't-1', seq: 2 }],
    })
    await store.close()
    const leader = new FakeLeader()
    await agentUnderTest({ workDir: first.workDir, leader })
    await leader.status('t-1', 'RUNNING')
    expect(leader.statuses('t-1')).toEqual(['RUNNING#2'])
  })

  test('agent-27: after a reboot: every task LOST exactly once, nothing adopted', async () => {
    const first = await agentRunning(taskInfo([{ name: 'p', cmdline: SLEEPER }]))
    await first.leave()
    const again = async (bootId: string) => {
      const leader = new FakeLeader()
      const agent = await agentUnderTest({ workDir: first.workDir, leader, options: { bootId } })
      await leader.ready()
      return agent
    }
    const second = await again('another-boot')
    const end = await second.leader.status('t-1', 'LOST')
    expect([end.reason, end.message, end.source]).toEqual(['AGENT_RESTARTED', 'host rebooted', 'agent'])
    await second.leave()
    const third = await again('one-more-boot')
    await third.leader.until(() => third.leader.all('STATUS').length > 0, 'the unforgotten end')
    expect(third.leader.statuses('t-1')).toEqual(['LOST#3'])
  })

  test('agent-28: a recorded pid that belongs to another program now: never signalled, the run counts as lost', async () => {
    const first = await agentRunning(taskInfo([{ name: 'p', cmdline: SLEEPER, min_duration: 3_600 }]))
    const folder = join(first.workDir, 'meta/tasks/t-1/p/0')
    await appears(folder, 'started')
    const shim = shimOf(first.workDir, 't-1', 'p')
    await first.leave()
    for (const pid of processesOf(first.workDir)) process.kill(pid, 'SIGKILL')
    // This very test is the other program: a signal would end it. Its session is that of the test runner.
    const self = processStat(process.pid)
    writeFileSync(join(folder, 'started'), `${process.pid} ${shim.ticks} token\n`)
    expect(self?.startTicks).not.toBe(shim.ticks)
    const leader = new FakeLeader()
    await agentUnderTest({ workDir: first.workDir, leader })
    await leader.ready()
    leader.kill('t-1')
    await leader.status('t-1', 'KILLED')
    expect(processStat(process.pid)?.startTicks).toBe(self?.startTicks)
  })

  test('agent-30: statuses made while nobody listened: delivered in order, also by the next agent', async () => {
    const workDir = workFolder()
    const leader = new FakeLeader()
    leader.acknowledges = false
    const first = await agentUnderTest({ workDir, leader })
    await leader.ready()
    leader.launch('t-1', taskInfo([{ name: 'p', cmdline: 'true' }]))
    await leader.status('t-1', 'STARTING')
    leader.reachable = false
    leader.drop()
    while ((await first.agent.inspect()).tasks[0]?.state !== 'FINISHED') await new Promise(setImmediate)
    await first.leave()
    expect(leader.statuses('t-1')).toEqual(['STARTING#1'])

    const second = new FakeLeader()
    await agentUnderTest({ workDir, leader: second })
    await second.status('t-1', 'FINISHED')
    expect(second.statuses('t-1')).toEqual(['STARTING#1', 'RUNNING#2', 'FINISHED#3'])
  })

  test('a record that cannot be read: put aside with a warning, the other tasks are adopted', async () => {
    const first = await agentUnderTest()
    await first.leader.ready()
    first.leader.launch('t-1', taskInfo([{ name: 'p', cmdline: SLEEPER }]))
    first.leader.launch('t-2', taskInfo([{ name: 'p', cmdline: SLEEPER }]))
    await first.leader.status('t-1', 'RUNNING')
    await first.leader.status('t-2', 'RUNNING')
    await first.leave()
    const db = open<string, string>({
      path: join(first.workDir, 'meta/db'),
      encoding: 'string',
      overlappingSync: false,
    })
    await db.put('task/t-1', `${db.get('task/t-1')}x`)
    await db.close()
    const second = await agentUnderTest({ workDir: first.workDir, leader: new FakeLeader() })
    await second.leader.ready()
    expect(second.leader.all('TASKS')[0]?.tasks.map(({ taskId }) => taskId)).toEqual(['t-2'])
    expect(second.logged.some(line => line.includes('record-quarantined') && line.includes('task/t-1'))).toBe(true)
  })

  test('a second agent on the same work folder is refused; after the first has gone it may', async () => {
    const first = await agentUnderTest()
    await expect(agentUnderTest({ workDir: first.workDir })).rejects.toThrow('another agent uses agent.workDir')
    await first.leave()
    const second = await agentUnderTest({ workDir: first.workDir })
    await second.leader.ready()
  })

  test('a work folder that is a symlink or open to everybody is refused with the remedy', async () => {
    const { symlinkSync, chmodSync, mkdirSync } = await import('node:fs')
    const workDir = workFolder()
    symlinkSync(workDir, join(workDir, 'link'))
    await expect(agentUnderTest({ workDir: join(workDir, 'link') })).rejects.toThrow('is a symlink')
    mkdirSync(join(workDir, 'open'))
    chmodSync(join(workDir, 'open'), 0o777)
    await expect(agentUnderTest({ workDir: join(workDir, 'open') })).rejects.toThrow('chmod o-w')
  })

  test('other accounts are to run tasks in a work folder that they cannot reach: refused with the remedy', () => {
    const workDir = workFolder() // 0700, as temporary folders are
    expect(() => new Folders(join(workDir, 'agent')).make({ forOthers: true })).toThrow(`chmod o+x ${workDir},`)
    new Folders(join(workDir, 'agent')).make({ forOthers: false })
  })

  test('a work folder that is removed under a running agent: its process is to end, and the reason names the folder', async () => {
    const { leader, logged, workDir } = await agentUnderTest({ leader: { heartbeatMs: 100 } })
    await leader.ready()
    rmSync(workDir, { recursive: true })
    await vi.waitFor(
      () => expect(logged.join('\n')).toContain(`FATAL PlaceError: agent.workDir ${workDir} cannot be`),
      {
        timeout: 10_000,
      },
    )
  })

  test('a work folder that cannot be written to: refused at the start, not at the first task', async () => {
    const { execFileSync } = await import('node:child_process')
    const workDir = workFolder()
    new Folders(workDir).make({ forOthers: false })
    const { chmodSync } = await import('node:fs')
    chmodSync(workDir, 0o555)
    const folders = join(import.meta.dirname, '../../../dist/src/runtime/agent/folders.js')
    const script = `
      const { Folders } = await import('${folders}')
      new Folders('${workDir}').make({ forOthers: false })`
    // Root may write anywhere, so somebody else tries.
    const uid = process.getuid?.() === 0 ? { uid: 65_534 } : {}
    const start = () => execFileSync(process.execPath, ['--input-type=module', '-e', script], { ...uid, stdio: 'pipe' })
    expect(start).toThrow('is not writable')
    chmodSync(workDir, 0o755) // or it could not be cleared away
  })

  test('a run’s output goes on in its own files', async () => {
    const first = await agentUnderTest()
    await first.leader.ready()
    const cmdline = `echo before; ${UNTIL_GO}; echo after`
    first.leader.launch('t-1', taskInfo([{ name: 'p', cmdline }]))
    await first.leader.status('t-1', 'RUNNING')
    await first.leave()
    appendFileSync(join(first.workDir, 'tasks/t-1/sandbox/go'), '')
    const second = await agentUnderTest({ workDir: first.workDir, leader: new FakeLeader() })
    await second.leader.status('t-1', 'FINISHED')
    expect(second.log('t-1', 'p')).toBe('before\nafter\n')
  })
})
