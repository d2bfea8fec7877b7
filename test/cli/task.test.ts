import { spawnSync } from 'node:child_process'
import type { Command } from 'commander'
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import type { Io } from '../../src/cli/io.ts'
import { commandTree } from '../../src/cli/main.ts'
import type { Task } from '../../src/wire/rest.ts'
import { type FakeScheduler, fakeScheduler } from './fake-scheduler.ts'
import { daybreak } from './terminal.ts'

const KEY = 'local/www-data/devel/hello'
const JOB = { role: 'www-data', environment: 'devel', name: 'hello' }
const LINES = 'one\ntwo\nthree\nfour\n'

let scheduler: FakeScheduler
beforeEach(async () => {
  scheduler = await fakeScheduler()
})
afterEach(() => scheduler.close())

describe('task logs', () => {
  test('prints the bytes as they are, piece by piece', async () => {
    const task = scheduler.addTask(JOB, 0, 'RUNNING')
    scheduler.logs.set(`${task.taskId}/main/stdout`, 'größer\u001b[1m\n'.repeat(5))
    const ran = await daybreak(`task logs ${KEY}/0`, scheduler)
    expect(ran).toMatchObject({ exit: 0, err: '', out: 'größer\u001b[1m\n'.repeat(5) })
  })

  test.each([
    [0, ''],
    [1, 'four\n'],
    [2, 'three\nfour\n'],
    [4, LINES],
    [9, LINES],
  ])('--tail %d', async (count, expected) => {
    const task = scheduler.addTask(JOB, 0, 'RUNNING')
    scheduler.logs.set(`${task.taskId}/main/stdout`, LINES)
    expect((await daybreak(`task logs ${KEY}/0 --tail ${count}`, scheduler)).out).toBe(expected)
  })

  test('--process and --stderr choose', async () => {
    const task = scheduler.addTask(JOB, 2, 'RUNNING')
    scheduler.logs.set(`${task.taskId}/side/stderr`, 'trouble\n')
    expect((await daybreak(`task logs ${KEY}/2 --process side --stderr`, scheduler)).out).toBe('trouble\n')
    const none = await daybreak(`task logs ${KEY}/2 --process other`, scheduler)
    expect(none.exit).toBe(6)
    expect(none.err).toContain(`There are no logs of process other of ${KEY}/2`)
  })

  test('-f: what comes later, then the next task of the instance, until it has ended', async () => {
    const first = scheduler.addTask(JOB, 0, 'RUNNING', { isService: true })
    scheduler.logs.set(`${first.taskId}/main/stdout`, 'a1\n')
    scheduler.next = () => null
    let second = ''
    const ran = await daybreak(`task logs ${KEY}/0 -f`, scheduler, {
      onSleep: (_, sleeps) => {
        if (sleeps === 1) scheduler.logs.set(`${first.taskId}/main/stdout`, 'a1\na2\n')
        if (sleeps === 2) {
          scheduler.logs.set(`${first.taskId}/main/stdout`, 'a1\na2\na3\n')
          Object.assign(first, { status: 'FAILED' })
          second = scheduler.addTask(JOB, 0, 'RUNNING', { isService: true }).taskId
          scheduler.logs.set(`${second}/main/stdout`, 'b1\n')
        }
        if (sleeps === 3) Object.assign(scheduler.tasks[1] as object, { status: 'FINISHED' })
      },
    })
    expect(ran.exit).toBe(0)
    expect(ran.out).toBe('a1\na2\na3\nb1\n')
    expect(ran.err).toBe(`==> main, run 0, task ${second} <==\n==> the task is FINISHED <==\n`)
  })

  test('--json: one document that says whose it is; with --follow a usage error', async () => {
    const task = scheduler.addTask(JOB, 0, 'RUNNING')
    scheduler.logs.set(`${task.taskId}/main/stdout`, 'größe\n'.repeat(3))
    expect((await daybreak(`task logs ${KEY}/0 --tail 2 --json`, scheduler)).json()).toEqual({
      ...{ job: KEY, instance: 0, taskId: task.taskId, process: 'main', run: 0, stream: 'stdout', offset: 8 },
      text: 'größe\ngröße\n',
    })
    expect((await daybreak(`task logs ${KEY}/0 -f --json`, scheduler)).exit).toBe(2)
  })

  test('-f, nothing written yet: waits for it; Ctrl-C ends it with 130', async () => {
    const task = scheduler.addTask(JOB, 0, 'PENDING')
    scheduler.next = () => null
    const ran = await daybreak(`task logs ${KEY}/0 -f`, scheduler, {
      onSleep: (_, sleeps) => {
        if (sleeps === 2) scheduler.logs.set(`${task.taskId}/main/stdout`, 'at last\n')
      },
      interruptAt: 5,
    })
    expect(ran).toMatchObject({ exit: 130, out: 'at last\n' })
  })

  test('no such job, no such instance: status 6; no instance named: status 2', async () => {
    scheduler.addTask(JOB, 0, 'RUNNING')
    expect((await daybreak('task logs local/a/devel/b/0', scheduler)).exit).toBe(6)
    expect((await daybreak(`task logs ${KEY}/5`, scheduler)).err).toContain(
      `has no instance 5\n  → known instances of ${KEY}: [0]\n`,
    )
    expect((await daybreak(`task logs ${KEY}`, scheduler)).exit).toBe(2)
  })
})

describe('inspect', () => {
  const actor = (path: string, more: object = {}) => ({
    path,
    parent: path.split('/').slice(0, -1).join('/') || null,
    kind: 'Actor',
    status: 'running',
    mailboxDepth: 0,
    processed: 7,
    restarts: 0,
    lastError: null,
    ...more,
  })

  test('the tree: children under their parents, troubled ones with their error', async () => {
    const lastError = { atMs: 1, message: 'it broke', messageType: 'x' }
    const actors = [actor('/a/c', { restarts: 2, lastError }), actor('/b'), actor('/a'), actor('/lost/child')]
    scheduler.pages.set('/inspect', { node: 'n', takenAt: 0, actors })
    const ran = await daybreak('inspect', scheduler, { columns: 80 })
    expect(ran.exit).toBe(0)
    expect(ran.out).toMatchInlineSnapshot(`
      "ACTOR        KIND   STATUS   DEPTH  PROCESSED  RESTARTS  LAST ERROR
      /a           Actor  running      0          7         0
        c          Actor  running      0          7         2  it broke
      /b           Actor  running      0          7         0
      /lost/child  Actor  running      0          7         0
      "
    `)
    expect((await daybreak('inspect --json', scheduler)).json()).toMatchObject({ actors: [{}, {}, {}, {}] })
  })

  test('one actor: its fields, its state, its last messages', async () => {
    const asked = { ...actor('/a'), stateSummary: { depth: 3 }, messages: [{ type: 'x', ms: 1 }] }
    scheduler.pages.set('/inspect/a', { node: 'n', takenAt: 0, actors: [actor('/a/b'), asked] })
    const ran = await daybreak('inspect /a', scheduler)
    expect(ran.out).toContain('node: n\n')
    expect(ran.out).toContain('path: /a\n')
    expect(ran.out).toContain('/a/b')
    expect(ran.out).toContain('stateSummary:\n  depth: 3\n')
    expect(ran.out).toContain('messages:\n  type=x  ms=1\n')
    expect((await daybreak('inspect /gone', scheduler)).exit).toBe(6)
  })
})

describe('task history', () => {
  const event = (atMs: number, status: string, message: string | null, who: string, why: string | null = null) =>
    ({ atMs, status, message, scheduler: 'x', who, why }) as Task['events'][number]
  const killed = [
    event(1_000, 'PENDING', null, 'bob'),
    event(2_000, 'KILLING', 'Killed by bob.\nit leaks', 'bob', 'it leaks'),
    event(3_000, 'KILLED', 'Instructed to kill task.', 'agent'),
  ]
  const forced = [event(4_000, 'LOST', 'Transition forced by eve', 'eve', 'scrapped')]
  const replaced = [event(5_000, 'PENDING', 'Rescheduled', 'rescheduler', 'was RUNNING, ended LOST')]

  test('every task of the instance, oldest first, each event with who and why; a reason is not said twice', async () => {
    scheduler.addTask(JOB, 0, 'PENDING', { taskId: 't-3', host: null, events: replaced })
    scheduler.addTask(JOB, 0, 'LOST', { taskId: 't-2', host: null, events: forced })
    scheduler.addTask(JOB, 0, 'KILLED', { taskId: 't-1', host: 'worker-1', events: killed })
    scheduler.addTask(JOB, 1, 'RUNNING', { taskId: 'other' })
    const ran = await daybreak(`task history ${KEY}/0`, scheduler)
    expect(ran.exit).toBe(0)
    expect(ran.out).toMatchInlineSnapshot(`
      "t-1 on worker-1
        1970-01-01T00:00:01.000Z  PENDING  (bob)
        1970-01-01T00:00:02.000Z  KILLING: Killed by bob. it leaks  (bob)
        1970-01-01T00:00:03.000Z  KILLED: Instructed to kill task.  (agent)
      t-2
        1970-01-01T00:00:04.000Z  LOST: Transition forced by eve  (eve: scrapped)
      t-3
        1970-01-01T00:00:05.000Z  PENDING: Rescheduled  (rescheduler: was RUNNING, ended LOST)
      "
    `)
    const json = (await daybreak(`task history ${KEY}/0 --json`, scheduler)).json() as Task[]
    expect(json.map(task => task.taskId)).toEqual(['t-1', 't-2', 't-3'])
  })

  test('an instance of which nothing is known: 6, with the reason why it may be so', async () => {
    scheduler.addTask(JOB, 2, 'RUNNING')
    const ran = await daybreak(`task history ${KEY}/7`, scheduler)
    expect(ran.exit).toBe(6)
    expect(ran.err).toContain(`known instances of ${KEY}: [2]; `)
    expect(ran.err).toContain('scheduler.pruning')
  })

  test('job status of what has ended: who asked for it and why, and any end but the one asked for', async () => {
    const late = killed.with(2, event(3_000, 'LOST', 'Task timed out', 'transient timer'))
    scheduler.addTask(JOB, 0, 'KILLED', { events: killed })
    scheduler.addTask(JOB, 1, 'LOST', { events: forced })
    scheduler.addTask(JOB, 2, 'LOST', { events: late })
    const { out } = await daybreak(`job status ${KEY}`, scheduler)
    expect(out).toContain('Killed by bob. it leaks\n')
    expect(out).toContain('Transition forced by eve: scrapped\n')
    expect(out).toContain('Killed by bob. it leaks; Task timed out\n')
    const verbose = (await daybreak(`job status ${KEY} -v`, scheduler)).out
    expect(verbose).toContain('LOST: Transition forced by eve (eve: scrapped)\n')
    expect(verbose).toContain('KILLED: Instructed to kill task. (agent)\n')
  })
})

test('cluster status: leader, log, agents, which of two rows of one host is the machine, and what a brake holds', async () => {
  const total = { cpusMilli: 2000, ramMb: 4096, diskMb: 9000, gpus: 0 }
  scheduler.pages.set('/api/v1/cluster', {
    clusterId: 'c',
    memberId: 1,
    role: 'leader',
    status: 'VOTING',
    leader: { memberId: 1, httpUrl: scheduler.url },
    commit: 12,
    applied: 12,
    version: '0.1.0',
  })
  const agent = {
    agentId: 'a',
    host: 'worker-1',
    connected: true,
    silentMs: 0,
    mode: 'NONE',
    attributes: [],
    freePorts: 9,
  }
  scheduler.pages.set('/api/v1/agents', {
    agents: [
      { ...agent, total, free: { ...total, cpusMilli: 500 }, tasks: 3, agentVersion: '0.1.0' },
      { ...agent, agentId: 'b', host: 'worker-2', draining: true, total, free: total, tasks: 1, agentVersion: '0.1.0' },
      ...['old', 'lonely'].map((agentId, n) => ({
        ...agent,
        agentId,
        host: ['worker-1', 'worker-3'][n],
        connected: false,
        awaySinceMs: 1_700_000_000_000,
        total,
        free: null,
        tasks: n * 2,
        agentVersion: '0.1.0',
      })),
    ],
    next: null,
  })
  const ran = await daybreak('cluster status', scheduler, { columns: 80 })
  expect(ran.out).toContain('node 1 is leader, VOTING; node 1 leads')
  expect(ran.out).toContain('committed 12, applied 12')
  expect(ran.out).toMatch(/worker-1 +a +ready +3 +0\.5\/2 +4096\/4096/)
  expect(ran.out).toMatch(/worker-2 +b +draining/)
  const since = 'is not connected since 2023-11-14T22:13:20.000Z'
  expect(ran.out).toContain(`\nworker-1 (old) ${since}; a machine of that name is connected as a\n`)
  expect(ran.out).toContain(`\nworker-3 (lonely) ${since}, 2 tasks are bound to it\n`)
  expect(ran.out).not.toContain('brake')
  const brakes = { agentsAway: ['b1', 'b2'], unknownTasks: [] }
  scheduler.pages.set('/api/v1/agents', { agents: [], next: null, brakes })
  const braked = await daybreak('cluster status', scheduler, { columns: 80 })
  expect(braked.out).toContain('daybreak admin release-held b1 b2 --reason TEXT')
  expect((await daybreak('cluster status --json', scheduler)).json()).toMatchObject({ brakes })
})

test('cluster status of a leader whose driver is not registered: the state, what it waits for, and the log all the same', async () => {
  scheduler.pages.set('/api/v1/cluster', {
    memberId: 1,
    role: 'LEADER',
    status: 'VOTING',
    leader: { memberId: 1, httpUrl: scheduler.url },
    scheduler: { state: 'LEADER_AWAITING_REGISTRATION', waitsFor: 'its driver to be registered, at most 60 s' },
    commit: 12,
    applied: 12,
    version: '0.1.0',
  })
  const text = 'This node leads and is not active yet'
  scheduler.refusals.set('/api/v1/agents', { status: 503, code: 'SCHEDULER_NOT_ACTIVE', detail: text })
  const ran = await daybreak('cluster status', scheduler, { columns: 100 })
  expect(ran.out).toContain(
    'node 1 is LEADER_AWAITING_REGISTRATION and waits for its driver to be registered, at most 60 s\n',
  )
  expect(ran.out).toContain('committed 12, applied 12')
  expect(ran.out).toContain('the agents are known to the leader only, and it is not active yet')
  expect(ran.exit).toBe(7)
})

test('cluster status of three: every member is asked itself; behind, not reached and waiting are told', async () => {
  const members = [1, 2, 3].map(memberId => ({ memberId, name: `node-${memberId}`, address: `h:${memberId}` }))
  const log = (memberId: number, commit: number, waitingFor: string | null = null) => ({
    status: 'VOTING',
    view: { version: 1, role: memberId === 1 ? 'LEADER' : 'FOLLOWER', ballot: [1, 1], leader: null },
    leaderSinceMs: Date.UTC(2026, 0, 31, 12),
    leaseLeftMs: 870,
    memberId,
    members,
    commit,
    applied: commit,
    waitingFor,
    notWritable: null,
    peers: [
      { memberId: 2, httpUrl: second.url, trouble: null },
      { memberId: 3, httpUrl: null, trouble: 'connect ECONNREFUSED' },
    ],
  })
  const second = await fakeScheduler()
  onTestFinished(() => second.close())
  second.pages.set('/api/v1/log/status', log(2, 9, 'a quorum'))
  scheduler.pages.set('/api/v1/log/status', log(1, 12))
  scheduler.pages.set('/api/v1/cluster', {
    memberId: 1,
    role: 'LEADER',
    status: 'VOTING',
    leader: null,
    commit: 12,
    applied: 12,
  })
  scheduler.pages.set('/api/v1/agents', { agents: [], next: null })
  const ran = await daybreak('cluster status', scheduler, { columns: 100 })
  expect(ran.out).toMatch(/1 +node-1 +LEADER +VOTING +12 +0 +12/)
  expect(ran.out).toMatch(/2 +node-2 +FOLLOWER +VOTING +9 +3 +9/)
  expect(ran.out).toMatch(/3 +node-3 +not reached +- +- +- +- +connect ECONNREFUSED/)
  expect(ran.out).toContain('node 2 waits for a quorum')
  expect(ran.out).toContain('leads since 2026-01-31T12:00:00.000Z, epoch 1.1, lease for another 870 ms')
})

describe('completion', () => {
  test.each(['bash', 'zsh', 'fish'])('%s: knows every noun, verb and option', async shell => {
    const ran = await daybreak(`completion ${shell}`, null)
    expect(ran.exit).toBe(0)
    for (const word of ['job', 'task', 'inspect', 'start', 'config', 'log', 'create', 'killall', 'restart', 'logs']) {
      expect(ran.out).toMatch(new RegExp(`\\b${word}\\b`))
    }
    expect(ran.out).toContain('watch-secs')
  })

  test('--json is on every verb but those that run a program, print a script or are a node, and --skip-hooks likewise', async () => {
    const program = await commandTree(['help'], { io: { stdout: {}, stderr: {} } as Io, exit: 0 })
    const leaves = (command: Command, path: string): [string, Command][] => {
      if (command.commands.length === 0) return [[path, command]]
      return command.commands.flatMap(verb => leaves(verb, `${path} ${verb.name()}`.trim()))
    }
    const without = (flag: string): string[] =>
      leaves(program, '')
        .filter(([, { options }]) => !options.some(({ long }) => long === flag))
        .map(([path]) => path)
    // `log read` has --format json.
    const node = ['log initialize', 'log read', 'log verify', 'start']
    // One number for the script that starts Node.
    const forScripts = ['completion', 'config heap']
    expect(without('--json').toSorted()).toEqual([...forScripts, ...node, 'task run', 'task scp', 'task ssh'])
    expect(without('--skip-hooks').filter(path => !/^(start|log .*|config (check|heap|show))$/.test(path))).toEqual([
      'completion',
    ])
  })

  test.each(['bash', 'zsh', 'fish'])('%s: offers each verb and each of its options', async shell => {
    const io = { stdout: {}, stderr: {} } as Io
    const program = await commandTree(['help'], { io, exit: 0 })
    const { out } = await daybreak(`completion ${shell}`, null)
    const missing: string[] = []
    const seek = (command: Command, path: readonly string[]): void => {
      const flags = command.options.flatMap(({ long }) => (long == null ? [] : [long]))
      const words = [...command.commands.map(verb => verb.name()), ...flags]
      const lines = out.split('\n').filter(line => {
        if (shell !== 'fish') return line.trimStart().startsWith(`'${path.join(' ')}')`)
        return path.every(word => line.includes(`__fish_seen_subcommand_from ${word}`))
      })
      const offered = (word: string): boolean => {
        const form = shell !== 'fish' ? word : word.startsWith('--') ? `-l ${word.slice(2)}` : `-a ${word}`
        return lines.some(line => ` ${line.replaceAll("'", ' ')} `.includes(` ${form} `))
      }
      missing.push(...words.filter(word => !offered(word)).map(word => [...path, word].join(' ')))
      for (const verb of command.commands) seek(verb, [...path, verb.name()])
    }
    seek(program, [])
    expect(missing).toEqual([])
    for (const verb of ['run', 'ssh', 'scp', 'open']) expect(out).toMatch(new RegExp(`\\b${verb}\\b`))
  })

  test.each([
    ['', 'job task'],
    ['task s', 'ssh scp'],
    ['task run --ssh', '--ssh-user --ssh-options'],
    ['cluster l', 'list'],
    ['job kill --skip', '--skip-hooks'],
    ['job k', 'kill killall'],
    ['task logs --f', '--follow'],
    ['log initialize --g', '--genesis'],
  ])('bash, at `daybreak %s`: offers %s', async (typed, expected) => {
    const { out } = await daybreak('completion bash', null)
    const words = ['daybreak', ...typed.split(' ')]
    const quoted = words.map(word => `'${word}'`).join(' ')
    const ask = `COMP_WORDS=(${quoted}); COMP_CWORD=${words.length - 1}; _daybreak; echo "\${COMPREPLY[@]}"`
    const shell = spawnSync('/bin/bash', ['-c', `${out}\n${ask}`], { encoding: 'utf8' })
    expect(shell.stderr).toBe('')
    expect(shell.stdout.trim()).toContain(expected)
  })

  test('another shell: status 2', async () => {
    expect((await daybreak('completion tcsh', null)).exit).toBe(2)
  })
})
