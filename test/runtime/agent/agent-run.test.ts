import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import {
  appendFileSync,
  chmodSync,
  chownSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { silentLogger } from '../../../src/actors/ports.ts'
import { Folders } from '../../../src/runtime/agent/folders.ts'
import { allProcesses } from '../../../src/runtime/agent/proc.ts'
import { ProcessMachine } from '../../../src/runtime/agent/process-machine.ts'
import { agentUnderTest, processesOf, workFolder } from '../../fixtures/agent-under-test.ts'
import { taskInfo } from '../../fixtures/fake-leader.ts'

/** Lives until it is signalled, and passes the signal's default on. */
const SLEEPER = 'while :; do sleep 60 & wait $!; done'

/** A process that tells this test something, over a socket: `curl` is not everywhere, bash's /dev/tcp is. */
async function bell(): Promise<{ port: number; rings: (times: number) => Promise<void>; heard: string[] }> {
  const heard: string[] = []
  let changed = (): void => {}
  const server = createServer((request, response) => {
    heard.push(request.url ?? '')
    response.end()
    changed()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  server.unref()
  const rings = async (times: number): Promise<void> => {
    while (heard.length < times) await new Promise<void>(resolve => (changed = resolve))
  }
  return { port: (server.address() as { port: number }).port, rings, heard }
}
const ring = (port: number, word = ''): string =>
  `printf 'GET /${word} HTTP/1.0\\r\\n\\r\\n' >/dev/tcp/127.0.0.1/${port}`

describe('a launch', () => {
  test('acknowledged, STARTING, RUNNING, then FINISHED, with its output in files and its environment bare', async () => {
    const { leader, log, workDir } = await agentUnderTest()
    await leader.ready()
    leader.launch('t-1', taskInfo([{ name: 'hello', cmdline: 'echo hello; echo oops >&2; env; pwd; cat' }]))
    const end = await leader.status('t-1', 'FINISHED')
    expect(end.message).toBe('Task finished.')
    expect(leader.all('LAUNCH_ACK')[0]?.results).toEqual([{ taskId: 't-1', code: 'ok', message: '' }])
    expect(leader.statuses('t-1')).toEqual(['STARTING#1', 'RUNNING#2', 'FINISHED#3'])
    const sandbox = join(workDir, 'tasks', 't-1', 'sandbox')
    expect(statSync(sandbox).mode & 0o777).toBe(0o700)
    expect(log('t-1', 'hello', 0, 'stderr')).toBe('oops\n')
    const lines = log('t-1', 'hello').trim().split('\n')
    expect(lines[0]).toBe('hello')
    expect(lines.at(-1)).toBe(sandbox)
    const names = lines.slice(1, -1).map(line => line.split('=')[0])
    const bare = ['HOME', 'USER', 'LOGNAME', 'PATH', 'DAYBREAK_TASK_ID', 'DAYBREAK_AGENT']
    const shells = ['PWD', 'OLDPWD', 'SHLVL', '_']
    expect(names.filter(name => !shells.includes(name as string)).sort()).toEqual(bare.sort())
  })

  test('instance, host, task id and ports are filled in', async () => {
    const { leader, log } = await agentUnderTest()
    await leader.ready()
    const cmdline = 'echo {{mesos.instance}} {{mesos.hostname}} {{thermos.task_id}} {{thermos.ports[http]}}'
    leader.launch('t-1', taskInfo([{ name: 'p', cmdline }], { instance: 3, ports: { http: 31_007 } }))
    await leader.status('t-1', 'FINISHED')
    expect(log('t-1', 'p')).toBe('3 test-host t-1 31007\n')
  })

  test('an order of processes and a finalizer: one after the other, whatever their place in the list', async () => {
    const { leader, workDir } = await agentUnderTest()
    await leader.ready()
    const info = taskInfo(
      [
        { name: 'last', cmdline: 'echo last >>order', final: true },
        { name: 'b', cmdline: 'echo b >>order' },
        { name: 'a', cmdline: 'echo a >>order' },
      ],
      { task: { constraints: [{ order: ['a', 'b'] }] } },
    )
    leader.launch('t-1', info)
    await leader.status('t-1', 'FINISHED')
    expect(readFileSync(join(workDir, 'tasks/t-1/sandbox/order'), 'utf8')).toBe('a\nb\nlast\n')
  })

  test('an exit status that is not 0: FAILED, naming process and status', async () => {
    const { leader } = await agentUnderTest()
    await leader.ready()
    leader.launch('t-1', taskInfo([{ name: 'p', cmdline: 'exit 42' }]))
    expect((await leader.status('t-1', 'FAILED')).message).toBe('Task failed. p: exited with status 42.')
  })

  test('job-14: killed by somebody else: a failure; its shim killed: run again, no failure counted', async () => {
    const { leader, workDir } = await agentUnderTest()
    await leader.ready()
    const door = await bell()
    const cmdline = `${ring(door.port)}; sleep 60`
    leader.launch('t-1', taskInfo([{ name: 'p', cmdline, min_duration: 0 }]))
    await door.rings(1)
    const shim = readFileSync(join(workDir, 'meta/tasks/t-1/p/0/started'), 'utf8').split(' ')
    process.kill(Number(shim[0]), 'SIGKILL')
    await door.rings(2)
    const again = readFileSync(join(workDir, 'meta/tasks/t-1/p/1/started'), 'utf8').split(' ')
    const command = processesOf(workDir, 't-1').filter(pid => pid !== Number(again[0]))
    for (const pid of command) process.kill(pid, 'SIGKILL')
    const end = await leader.status('t-1', 'FAILED')
    expect(end.message).toBe('Task failed. p: ended by signal 9.')
    expect(leader.statuses('t-1')).toEqual(['STARTING#1', 'RUNNING#2', 'FAILED#3'])
  })

  test('job-14: a shell that ends well and leaves a child: the child is killed, the task goes on', async () => {
    const { leader, workDir } = await agentUnderTest()
    await leader.ready()
    const door = await bell()
    const info = taskInfo(
      [
        { name: 'a', cmdline: '(sleep 60) & echo $! >child' },
        {
          name: 'b',
          cmdline: `while grep -q '^State:.[RSD]' /proc/$(cat child)/status 2>/dev/null; do :; done; ${ring(door.port)}`,
        },
      ],
      { task: { constraints: [{ order: ['a', 'b'] }] } },
    )
    leader.launch('t-1', info)
    await door.rings(1)
    await leader.status('t-1', 'FINISHED')
    expect(processesOf(workDir)).toEqual([])
  })

  test('job-31: a profile written by the first process: the next one sees its exports', async () => {
    const { leader, log } = await agentUnderTest()
    await leader.ready()
    const info = taskInfo(
      [
        { name: 'a', cmdline: 'echo "export COLOUR=blue" >.thermos_profile' },
        { name: 'b', cmdline: 'echo $COLOUR' },
      ],
      { task: { constraints: [{ order: ['a', 'b'] }] } },
    )
    leader.launch('t-1', info)
    await leader.status('t-1', 'FINISHED')
    expect(log('t-1', 'b')).toBe('blue\n')
  })

  test('no file of the agent is open in a process: nothing beyond stdin, stdout and stderr', async () => {
    const { leader, log } = await agentUnderTest()
    await leader.ready()
    leader.launch('t-1', taskInfo([{ name: 'p', cmdline: 'for fd in /proc/$$/fd/*; do readlink $fd; done; true' }]))
    await leader.status('t-1', 'FINISHED')
    const open = log('t-1', 'p').trim().split('\n')
    expect(open.map(path => path.replace(/.*\/sandbox\//, ''))).toEqual([
      '/dev/null',
      '.logs/p/0/stdout',
      '.logs/p/0/stderr',
    ])
  })

  test('the end of a run cannot be written down: its exit status counts all the same, and it is not run again', async () => {
    const { leader, workDir } = await agentUnderTest()
    await leader.ready()
    const cmdline = `rm -r ${workDir}/meta/tasks/t-1/p/0; exit 3`
    leader.launch('t-1', taskInfo([{ name: 'p', cmdline, min_duration: 0 }]))
    expect((await leader.status('t-1', 'FAILED')).message).toBe('Task failed. p: exited with status 3.')
    expect(readdirSync(join(workDir, 'meta/tasks/t-1/p'))).toEqual([])
  })

  test('data that cannot be run: STARTING, then FAILED with the reason', async () => {
    const { leader } = await agentUnderTest()
    await leader.ready()
    leader.launch('t-1', taskInfo([{ name: 'p', cmdline: 'x {{thermos.ports[admin]}}' }]))
    const end = await leader.status('t-1', 'FAILED')
    expect(end.message).toBe('Got invalid task: Task requires unbound port admin!')
    expect(leader.statuses('t-1')).toEqual(['STARTING#1', 'FAILED#2'])
  })

  test('agent-32: delivered twice: one process, both answered ok', async () => {
    const { leader, workDir } = await agentUnderTest()
    await leader.ready()
    const info = taskInfo([{ name: 'p', cmdline: SLEEPER }])
    leader.launch('t-1', info)
    leader.launch('t-1', info)
    await leader.status('t-1', 'RUNNING')
    leader.launch('t-1', info)
    await leader.until(() => leader.all('LAUNCH_ACK').length === 3, 'three answers')
    expect(leader.all('LAUNCH_ACK').flatMap(ack => ack.results.map(({ code }) => code))).toEqual(['ok', 'ok', 'ok'])
    leader.kill('t-1')
    await leader.status('t-1', 'KILLED')
    expect(leader.statuses('t-1').filter(status => status.startsWith('STARTING'))).toHaveLength(1)
    expect(processesOf(workDir)).toEqual([])
  })

  test('agent-32: after its kill: refused, also once the leader has let it be forgotten', async () => {
    const { leader, workDir } = await agentUnderTest()
    await leader.ready()
    leader.kill('t-1')
    const end = await leader.status('t-1', 'LOST')
    expect(end.message).toBe('Task is unknown to the agent')
    leader.launch('t-1', taskInfo([{ name: 'p', cmdline: SLEEPER }]))
    await leader.until(() => leader.all('LAUNCH_ACK').length === 1, 'the first refusal')
    leader.forget('t-1')
    leader.launch('t-1', taskInfo([{ name: 'p', cmdline: SLEEPER }]))
    await leader.until(() => leader.all('LAUNCH_ACK').length === 2, 'the second refusal')
    expect(leader.all('LAUNCH_ACK').map(ack => ack.results[0]?.code)).toEqual(['duplicate_task', 'duplicate_task'])
    expect(processesOf(workDir)).toEqual([])
  })

  test('a kill right behind the launch: KILLED, and nothing of it is left', async () => {
    const { leader, workDir } = await agentUnderTest()
    await leader.ready()
    leader.launch('t-1', taskInfo([{ name: 'p', cmdline: SLEEPER }]))
    leader.kill('t-1')
    const end = await leader.status('t-1', 'KILLED')
    expect(['Task killed during initialization.', 'Instructed to kill task.']).toContain(end.message)
    expect(processesOf(workDir)).toEqual([])
  })

  test('what does not fit beside the others is refused with what is lacking; a draining agent takes nothing', async () => {
    const { leader } = await agentUnderTest()
    await leader.ready()
    leader.launch('t-1', taskInfo([{ name: 'p', cmdline: SLEEPER }], { cpusMilli: 3_000 }))
    leader.launch('t-2', taskInfo([{ name: 'p', cmdline: SLEEPER }], { cpusMilli: 1_500 }))
    await leader.until(() => leader.all('LAUNCH_ACK').length === 2, 'both answers')
    expect(leader.all('LAUNCH_ACK')[1]?.results).toEqual([
      { taskId: 't-2', code: 'does_not_fit', message: 'cpusMilli: 1500 asked, 1000 free' },
    ])
    leader.kill('t-1')
    await leader.status('t-1', 'KILLED')
    leader.launch('t-2', taskInfo([{ name: 'p', cmdline: 'true' }], { cpusMilli: 4_000 }))
    await leader.status('t-2', 'FINISHED')

    const draining = await agentUnderTest({ options: { draining: true } })
    await draining.leader.ready()
    draining.leader.launch('t-3', taskInfo([{ name: 'p', cmdline: 'true' }]))
    await draining.leader.until(() => draining.leader.all('LAUNCH_ACK').length === 1, 'the refusal')
    expect(draining.leader.all('LAUNCH_ACK')[0]?.results[0]?.code).toBe('draining')
  })
})

describe('a kill', () => {
  test('SIGTERM reaches the whole group, not the shell alone, and a child may take its time', async () => {
    const { leader, workDir } = await agentUnderTest()
    await leader.ready()
    const door = await bell()
    const child = `trap "echo child bye >>bye; exit 0" TERM; ${ring(door.port)}; while :; do sleep 0.05; done`
    leader.launch('t-1', taskInfo([{ name: 'p', cmdline: `bash -c '${child.replaceAll("'", `'"'"'`)}' & wait` }]))
    await door.rings(1)
    leader.kill('t-1')
    await leader.status('t-1', 'KILLED')
    expect(readFileSync(join(workDir, 'tasks/t-1/sandbox/bye'), 'utf8')).toBe('child bye\n')
    expect(processesOf(workDir)).toEqual([])
  })

  test('job-18: processes that trap SIGTERM: SIGKILL when the budget is over, KILLED, nobody left', async () => {
    const { leader, workDir } = await agentUnderTest()
    await leader.ready()
    const door = await bell()
    const stubborn = `trap '' TERM; (while :; do sleep 60; done) & ${ring(door.port)}; while :; do sleep 60; done`
    leader.launch('t-1', taskInfo([{ name: 'p', cmdline: stubborn }], { task: { finalization_wait: 60 } }))
    await door.rings(1)
    const begin = performance.now()
    leader.kill('t-1', 0.3)
    await leader.status('t-1', 'KILLED')
    expect(performance.now() - begin).toBeGreaterThanOrEqual(300)
    expect(processesOf(workDir)).toEqual([])
  })

  test('agent-38: a daemon that forked twice and left the session: no survivor', async () => {
    const { leader, workDir } = await agentUnderTest()
    await leader.ready()
    const door = await bell()
    const daemon = `trap '' TERM HUP\n${ring(door.port)}\nwhile :; do sleep 60; done`
    const forkTwice = `(setsid bash daemon </dev/null >/dev/null 2>&1 &)`
    const cmdline = `cat >daemon <<'END'\n${daemon}\nEND\nsetsid bash -c '${forkTwice}'\n${SLEEPER}`
    leader.launch('t-1', taskInfo([{ name: 'p', cmdline }]))
    await door.rings(1)
    expect(processesOf(workDir, 't-1').length).toBeGreaterThan(2)
    leader.kill('t-1', 0.2)
    await leader.status('t-1', 'KILLED')
    expect(processesOf(workDir)).toEqual([])
  })

  test('agent-38: a work folder whose path is not ASCII: the daemon does not survive either', async () => {
    const workDir = join(workFolder(), 'jürgen')
    mkdirSync(workDir)
    const { leader } = await agentUnderTest({ workDir })
    await leader.ready()
    const door = await bell()
    const daemon = `trap "" TERM HUP; echo $$ >pid; ${ring(door.port)}; while :; do sleep 60; done`
    const cmdline = `cat >daemon <<'END'\n${daemon}\nEND\n(setsid bash daemon &)\n${SLEEPER}`
    leader.launch('t-1', taskInfo([{ name: 'p', cmdline }]))
    await door.rings(1)
    const pid = Number(readFileSync(join(workDir, 'tasks/t-1/sandbox/pid'), 'utf8'))
    expect(allProcesses().some(stat => stat.pid === pid)).toBe(true)
    leader.kill('t-1', 0.2)
    await leader.status('t-1', 'KILLED')
    expect(allProcesses().some(stat => stat.pid === pid)).toBe(false)
  })

  test('a process that was stopped: goes on with its SIGTERM, and ends as it wishes', async () => {
    const { leader, workDir } = await agentUnderTest()
    await leader.ready()
    const door = await bell()
    const cmdline = `trap 'echo bye >bye; exit' TERM; ${ring(door.port)}; kill -STOP $$; while :; do sleep 0.05; done`
    leader.launch('t-1', taskInfo([{ name: 'p', cmdline }]))
    await door.rings(1)
    leader.kill('t-1', 10)
    await leader.status('t-1', 'KILLED')
    expect(readFileSync(join(workDir, 'tasks/t-1/sandbox/bye'), 'utf8')).toBe('bye\n')
  })

  test('agent-45: as long as one process lives there is no terminal status and its resources stay booked', async () => {
    const { leader, workDir } = await agentUnderTest()
    await leader.ready()
    const door = await bell()
    const stubborn = `trap '' TERM; ${ring(door.port)}; while :; do sleep 60; done`
    leader.launch('t-1', taskInfo([{ name: 'p', cmdline: stubborn }], { cpusMilli: 4_000 }))
    await door.rings(1)
    leader.kill('t-1', 30)
    await leader.until(() => leader.all('KILL_ACK').length === 1, 'the kill to be acknowledged')
    leader.launch('t-2', taskInfo([{ name: 'p', cmdline: 'true' }]))
    await leader.until(() => leader.all('LAUNCH_ACK').length === 2, 'the refusal')
    expect(leader.all('LAUNCH_ACK')[1]?.results[0]?.code).toBe('does_not_fit')
    expect(leader.statuses('t-1')).toEqual(['STARTING#1', 'RUNNING#2'])
    leader.kill('t-1', 0)
    await leader.status('t-1', 'KILLED')
    expect(processesOf(workDir)).toEqual([])
  })

  test('job-28: asked for twice: acknowledged twice, KILLED once', async () => {
    const { leader } = await agentUnderTest()
    await leader.ready()
    leader.launch('t-1', taskInfo([{ name: 'p', cmdline: SLEEPER }]))
    await leader.status('t-1', 'RUNNING')
    leader.kill('t-1')
    leader.kill('t-1')
    await leader.status('t-1', 'KILLED')
    await leader.until(() => leader.all('KILL_ACK').length === 2, 'both acknowledgements')
    expect(leader.statuses('t-1')).toEqual(['STARTING#1', 'RUNNING#2', 'KILLED#3'])
  })

  test('the agent is stopped with its tasks: every process is gone before it says so', async () => {
    const { leader, workDir, agent } = await agentUnderTest()
    await leader.ready()
    leader.launch('t-1', taskInfo([{ name: 'p', cmdline: SLEEPER }]))
    leader.launch('t-2', taskInfo([{ name: 'p', cmdline: SLEEPER }]))
    await leader.status('t-1', 'RUNNING')
    await leader.status('t-2', 'RUNNING')
    await agent.stop({ killTasks: true })
    expect(processesOf(workDir)).toEqual([])
  })

  test('the agent is being stopped with its tasks: a replacement that the leader sends is refused', async () => {
    const { leader, workDir, agent } = await agentUnderTest()
    await leader.ready()
    const door = await bell()
    const cmdline = `trap '' TERM; ${ring(door.port)}; until [ -e go ]; do sleep 0.02; done`
    leader.launch('t-1', taskInfo([{ name: 'p', cmdline }]))
    await door.rings(1)
    const stopped = agent.stop({ killTasks: true })
    leader.launch('t-2', taskInfo([{ name: 'p', cmdline: SLEEPER }]))
    await leader.until(() => leader.all('LAUNCH_ACK').length === 2, 'the answer')
    expect(leader.all('LAUNCH_ACK')[1]?.results[0]?.code).toBe('draining')
    writeFileSync(join(workDir, 'tasks/t-1/sandbox/go'), '')
    await stopped
    expect(processesOf(workDir)).toEqual([])
  })
})

describe('what belongs to no task', () => {
  test('processes of a task without a record: left alone for the grace, then killed; the others live on', async () => {
    const { leader, workDir } = await agentUnderTest()
    await leader.ready()
    for (const id of ['t-1', 't-2']) leader.launch(id, taskInfo([{ name: 'p', cmdline: SLEEPER }]))
    for (const id of ['t-1', 't-2']) await leader.status(id, 'RUNNING')
    // Another pair of eyes on the same folder, which knows of one task only: as after a record was put aside.
    const folders = new Folders(workDir)
    const machine = new ProcessMachine({
      folders,
      accounts: { userMode: 'shared', allowRoot: false },
      log: silentLogger,
    })
    expect(machine.killOrphans(new Set(['t-1']), 60_000)).toBe(0)
    expect(processesOf(workDir, 't-2').length).toBeGreaterThan(0)
    expect(machine.killOrphans(new Set(['t-1']), 0)).toBe(1)
    await new Promise<void>(resolve => machine.awaitEmpty('t-2', { kill: false }, resolve))
    expect(processesOf(workDir, 't-2')).toEqual([])
    expect(processesOf(workDir, 't-1').length).toBeGreaterThan(0)
    await machine.close()
  })

  test('a sandbox with folders that nobody may write to: removed all the same, with the records of its runs', () => {
    const workDir = workFolder()
    // Root is above such bits, so somebody else does it.
    const user = process.getuid?.() === 0 ? 65_534 : process.getuid?.()
    const locked = join(workDir, 'tasks/t-1/sandbox/cache/module')
    mkdirSync(locked, { recursive: true })
    mkdirSync(join(workDir, 'meta/tasks/t-1/p/0'), { recursive: true })
    writeFileSync(join(locked, 'file'), '')
    for (const path of [
      '',
      'meta',
      'meta/tasks',
      'meta/tasks/t-1',
      'meta/tasks/t-1/p',
      'meta/tasks/t-1/p/0',
      'tasks',
    ]) {
      if (user !== undefined) chownSync(join(workDir, path), user, user)
    }
    for (const path of ['', 'sandbox', 'sandbox/cache', 'sandbox/cache/module', 'sandbox/cache/module/file']) {
      if (user !== undefined) chownSync(join(workDir, 'tasks/t-1', path), user, user)
    }
    chmodSync(locked, 0o555)
    const dist = join(import.meta.dirname, '../../../dist/src/runtime/agent')
    const script = `
      const { ProcessMachine } = await import('${dist}/process-machine.js')
      const { Folders } = await import('${dist}/folders.js')
      const accounts = { userMode: 'shared', allowRoot: false }
      const machine = new ProcessMachine({ folders: new Folders('${workDir}'), accounts, log: console })
      await machine.removeSandbox('t-1')`
    execFileSync(process.execPath, ['--input-type=module', '-e', script], { uid: user, cwd: '/' })
    expect(readdirSync(join(workDir, 'tasks'))).toEqual([])
    expect(readdirSync(join(workDir, 'meta/tasks'))).toEqual([])
  })
})

describe('agent-43: reading logs', () => {
  test('bytes from an offset, the size alone, beyond the end, the newest run, and every way out of the sandbox', async () => {
    const { leader, workDir } = await agentUnderTest()
    await leader.ready()
    leader.launch('t-1', taskInfo([{ name: 'p', cmdline: 'printf "häuser"; printf oops >&2' }]))
    await leader.status('t-1', 'FINISHED')
    const text = (data: { data: Uint8Array }) => Buffer.from(data.data).toString('latin1')
    const whole = await leader.readLog('t-1')
    expect(whole).toMatchObject({ process: 'p', run: 0, offset: 0, size: 7, rotated: false, error: null })
    expect(Buffer.from(whole.data).toString()).toBe('häuser')
    expect(text(await leader.readLog('t-1', { offset: 2, length: 2 }))).toBe('\xa4u')
    expect(await leader.readLog('t-1', { offset: -1 })).toMatchObject({ size: 7, data: new Uint8Array(0) })
    expect(await leader.readLog('t-1', { offset: 7 })).toMatchObject({
      size: 7,
      data: new Uint8Array(0),
      rotated: false,
    })
    expect(await leader.readLog('t-1', { offset: 8 })).toMatchObject({
      size: 7,
      data: new Uint8Array(0),
      rotated: true,
    })
    expect(text(await leader.readLog('t-1', { stream: 'stderr', process: 'p', run: 0 }))).toBe('oops')
    expect((await leader.readLog('t-1', { run: 7 })).error).toContain('run 7')
    expect((await leader.readLog('t-1', { process: '../..' })).error).toBe('no such process')
    expect((await leader.readLog('nobody')).error).toContain('not here')

    const logs = join(workDir, 'tasks/t-1/sandbox/.logs/p/0')
    writeFileSync(join(workDir, 'secret'), 'secret')
    const out = join(logs, 'stdout')
    await import('node:fs').then(fs => fs.rmSync(out))
    symlinkSync(join(workDir, 'secret'), out)
    expect((await leader.readLog('t-1')).error).toBe('stdout leads out of the sandbox')
  })

  test('a file of 3 GB: its end is read from beyond 2 ** 31', async () => {
    const { leader, workDir } = await agentUnderTest()
    await leader.ready()
    leader.launch('t-1', taskInfo([{ name: 'p', cmdline: 'true' }]))
    await leader.status('t-1', 'FINISHED')
    const out = join(workDir, 'tasks/t-1/sandbox/.logs/p/0/stdout')
    truncateSync(out, 3e9)
    appendFileSync(out, 'the end')
    const end = await leader.readLog('t-1', { offset: 3e9 })
    expect([end.size, end.offset, Buffer.from(end.data).toString()]).toEqual([3e9 + 7, 3e9, 'the end'])
  })

  test('of a process that runs several times: the newest run, unless one is named', async () => {
    const { leader } = await agentUnderTest()
    await leader.ready()
    const cmdline = 'echo run >>runs; wc -l <runs; [ $(wc -l <runs) -ge 3 ]'
    leader.launch('t-1', taskInfo([{ name: 'p', cmdline, max_failures: 5, min_duration: 0 }]))
    await leader.status('t-1', 'FINISHED')
    const newest = await leader.readLog('t-1')
    expect([newest.run, Buffer.from(newest.data).toString().trim()]).toEqual([2, '3'])
    expect(
      Buffer.from((await leader.readLog('t-1', { run: 0 })).data)
        .toString()
        .trim(),
    ).toBe('1')
  })
})
