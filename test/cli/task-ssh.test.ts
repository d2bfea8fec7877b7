import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { optionWords } from '../../src/cli/live-tasks.ts'
import { type FakeScheduler, fakeScheduler } from './fake-scheduler.ts'
import { daybreak, type Ran } from './terminal.ts'

const KEY = 'local/www-data/devel/hello'
const JOB = { role: 'www-data', environment: 'devel', name: 'hello' }

/** Writes its arguments down, one file a call, and then does what `then` says with `$HOST` and `$LAST`, its last argument. */
const fakeProgram = (folder: string, then: string): string => `#!/bin/bash
LAST="\${!#}"
for arg in "$@"; do [[ "$arg" == *@* ]] && HOST="\${arg#*@}"; done
printf '%s\\0' "$@" > '${folder}/call-'$$
${then}
`

let scheduler: FakeScheduler
let folder: string
beforeEach(async () => {
  scheduler = await fakeScheduler()
  scheduler.next = () => null
  folder = mkdtempSync(join(tmpdir(), 'daybreak-ssh-'))
})
afterEach(async () => {
  rmSync(folder, { recursive: true, force: true })
  await scheduler.close()
})

function program(name: 'ssh' | 'scp', then = ':'): void {
  writeFileSync(join(folder, name), fakeProgram(folder, then), { mode: 0o755 })
}
const onPath = (line: string, env: Record<string, string> = {}): Promise<Ran> =>
  daybreak(line, scheduler, { env: { PATH: `${folder}:${process.env.PATH}`, ...env } })
const calls = async (): Promise<string[][]> => {
  return readdirSync(folder)
    .filter(name => name.startsWith('call-'))
    .map(name => readFileSync(join(folder, name), 'utf8').split('\0').slice(0, -1))
    .sort((a, b) => (a.join() < b.join() ? -1 : 1))
}
const running = (instance: number, more = {}) =>
  scheduler.addTask(JOB, instance, 'RUNNING', {
    host: `worker-${instance}`,
    sandbox: `/var/lib/daybreak/tasks/t${instance}/sandbox`,
    ...more,
  })

describe('task run', () => {
  test('in the sandbox of each task that runs, as the role, lines with their host in front', async () => {
    program('ssh', 'echo "one $HOST"; echo two; echo oops >&2; printf "no newline"')
    running(0)
    running(1)
    scheduler.addTask(JOB, 2, 'PENDING')
    const ran = await onPath(`task run ${KEY} 'ls -l'`)
    expect(ran.exit).toBe(0)
    expect(ran.out).toBe(
      [0, 1].map(n => `worker-${n}:  one worker-${n}\nworker-${n}:  two\nworker-${n}:  no newline\n`).join(''),
    )
    expect(ran.err).toBe('worker-0:  oops\nworker-1:  oops\n')
    expect(await calls()).toEqual(
      [0, 1].map(n => [
        '-n',
        '--',
        `www-data@worker-${n}`,
        `cd '/var/lib/daybreak/tasks/t${n}/sandbox' || exit 1; ls -l`,
      ]),
    )
  })

  test.each(['-oProxyCommand=x', 'a;id', 'a b', '$(id)', 'a\n'])(
    'a host by the name of %j: nothing is run',
    async host => {
      program('ssh')
      running(0, { host })
      const ran = await onPath(`task run ${KEY} ls`)
      expect(ran.exit).toBe(4)
      expect(ran.err).toContain('is no name of a host to log in to')
      expect(await calls()).toEqual([])
    },
  )

  test('what a launch fills in is filled in for each task; the user and options of ssh are the ones given', async () => {
    program('ssh')
    running(3, { ports: { http: 31_003 } })
    const command = 'echo {{mesos.instance}} {{mesos.hostname}} {{thermos.ports[http]}} {{mesos.role}} {{&kept}}'
    const ran = await onPath(`task run ${KEY}/3 '${command}' -l ops --ssh-options '-p 2222 -o "User Known=x y"'`)
    expect(ran.exit).toBe(0)
    expect(await calls()).toEqual([
      [
        ...['-n', '-p', '2222', '-o', 'User Known=x y', '--', 'ops@worker-3'],
        "cd '/var/lib/daybreak/tasks/t3/sandbox' || exit 1; echo 3 worker-3 31003 www-data {{kept}}",
      ],
    ])
  })

  test('a name that stands for nothing: 6, and nothing has run anywhere', async () => {
    program('ssh')
    running(0)
    running(1, { ports: {} })
    const ran = await onPath(`task run ${KEY} 'curl :{{thermos.ports[http]}}'`)
    expect(ran.exit).toBe(6)
    expect(ran.err).toContain('{{thermos.ports[http]}} stands for nothing')
    expect(ran.err).toContain('ports of instance 1: none')
    expect(await calls()).toEqual([])
  })

  test('one that fails keeps no other from running; the command ends with 4 and says which', async () => {
    program('ssh', 'if [ "$HOST" = worker-1 ]; then exit 255; fi; echo fine')
    for (const n of [0, 1, 2]) running(n)
    const ran = await onPath(`task run ${KEY} true`)
    expect(ran.exit).toBe(4)
    expect(ran.out).toBe('worker-0:  fine\nworker-2:  fine\n')
    expect(ran.err).toContain('The command failed on 1 of 3 tasks')
    expect(ran.err).toContain('instance 1: ended with 255 on worker-1, which ssh uses when it cannot connect')
  })

  test('--threads 2: two at a time, never three', async () => {
    // Each waits until there were two of them; alone it would wait for ever.
    program(
      'ssh',
      `touch '${folder}/here-'$HOST
while [ "$(ls '${folder}' | grep -c '^here-\\|^gone-')" -lt 2 ]; do sleep 0.02; done
ls '${folder}' | grep -c '^here-'
mv '${folder}/here-'$HOST '${folder}/gone-'$HOST`,
    )
    for (const n of [0, 1, 2, 3]) running(n)
    const ran = await onPath(`task run ${KEY} true -t 2`)
    expect(ran.exit).toBe(0)
    const atOnce = [...ran.out.matchAll(/: {2}(\d)/g)].map(found => Number(found[1]))
    expect(atOnce).toHaveLength(4)
    expect(Math.max(...atOnce)).toBeLessThanOrEqual(2)
  })

  test('nothing runs, or not the instances that were named: 6, and they are told', async () => {
    program('ssh')
    scheduler.addTask(JOB, 0, 'PENDING')
    expect(await onPath(`task run ${KEY} true`)).toMatchObject({ exit: 6 })
    running(1)
    const some = await onPath(`task run ${KEY}/0-2 true`)
    expect(some.exit).toBe(6)
    expect(some.err).toContain(`No running tasks found for job ${KEY}: instances [0, 2] do not run`)
    expect(some.err).toContain(`→ running instances of ${KEY}: [1]; `)
    expect(await calls()).toEqual([])
  })

  test('an agent that does not say where its sandboxes are, and a machine without ssh: 4, with the remedy', async () => {
    running(0, { sandbox: null })
    const mute = await onPath(`task run ${KEY} true`)
    expect(mute).toMatchObject({ exit: 4 })
    expect(mute.err).toContain('The agent on worker-0 does not say where its sandboxes are')
    running(1)
    const none = await onPath(`task run ${KEY}/1 true`, { PATH: folder })
    expect(none).toMatchObject({ exit: 4 })
    expect(none.err).toContain('There is no ssh on the PATH')
  })

  test.each(['--threads 0', '--threads x', `--ssh-options '"open'`])('%s: a usage error', async options => {
    program('ssh')
    running(0)
    const line = options.replaceAll('"', '"')
    expect((await onPath(`task run ${KEY} true ${line}`)).exit).toBe(2)
  })
})

describe('task ssh', () => {
  test('a shell in the sandbox of the lowest instance that runs, with a terminal; ends as ssh ends', async () => {
    program('ssh', 'exit 37')
    scheduler.addTask(JOB, 0, 'PENDING')
    running(2)
    running(1)
    expect(await onPath(`task ssh ${KEY}`)).toMatchObject({ exit: 37, out: '' })
    expect(await calls()).toEqual([
      ['-t', '--', 'www-data@worker-1', "cd '/var/lib/daybreak/tasks/t1/sandbox' || exit 1; exec bash -l"],
    ])
  })

  test('-c runs a command without a terminal in a pipe; tunnels lead to ports by name; the pid is written down', async () => {
    program('ssh', `echo $$ > '${folder}/own-pid'`)
    running(1, { ports: { http: 31_001, admin: 31_002 } })
    const tunnels = '-L 8080:http -L 8081:admin'
    const ran = await onPath(`task ssh ${KEY}/1 -c 'echo {{mesos.instance}}' ${tunnels} -p ${folder}/pid -l ops`)
    expect(ran.exit).toBe(0)
    expect(await calls()).toEqual([
      [
        ...['-L', '8080:worker-1:31001', '-L', '8081:worker-1:31002', '--', 'ops@worker-1'],
        "cd '/var/lib/daybreak/tasks/t1/sandbox' || exit 1; echo 1",
      ],
    ])
    expect(readFileSync(`${folder}/pid`, 'utf8')).toBe(readFileSync(`${folder}/own-pid`, 'utf8'))
  })

  test('a command without an instance, more than one instance, a port that is not there: 6; a bad tunnel: 2', async () => {
    program('ssh')
    running(0)
    const needs = await onPath(`task ssh ${KEY} -c ls`)
    expect(needs).toMatchObject({ exit: 6 })
    expect(needs.err).toContain('--command needs an instance')
    expect((await onPath(`task ssh ${KEY}/0-1`)).exit).toBe(6)
    const port = await onPath(`task ssh ${KEY}/0 -L 80:nope`)
    expect(port).toMatchObject({ exit: 6 })
    expect(port.err).toContain("Instance 0 has no port 'nope'; its ports: http")
    for (const tunnel of ['http', '0:http', '70000:http']) {
      expect((await onPath(`task ssh ${KEY}/0 -L ${tunnel}`)).exit).toBe(2)
    }
    expect(await calls()).toEqual([])
  })

  test('a sandbox with a quote in its path stays one word', async () => {
    program('ssh')
    running(0, { sandbox: "/it's/tasks/t/sandbox" })
    await onPath(`task ssh ${KEY}/0`)
    expect((await calls())[0]?.at(-1)).toBe(`cd '/it'\\''s/tasks/t/sandbox' || exit 1; exec bash -l`)
  })
})

describe('task scp', () => {
  test('paths begin at the sandbox or at the root; local ones with a colon stay local; ends as scp ends', async () => {
    program('scp', 'exit 3')
    running(0)
    running(1)
    const ran = await onPath(`task scp --scp-options -r ${KEY}/0:logs/a ${KEY}/1:/etc/hosts odd:name ./b`)
    expect(ran.exit).toBe(3)
    expect(await calls()).toEqual([
      [
        '-r',
        '--',
        'www-data@worker-0:/var/lib/daybreak/tasks/t0/sandbox/logs/a',
        'www-data@worker-1:/etc/hosts',
        './odd:name',
        './b',
      ],
    ])
  })

  test('into the sandbox itself, as another user, at an IPv6 host', async () => {
    program('scp')
    running(0, { host: 'fd00::1' })
    await onPath(`task scp conf ${KEY}/0:`, { DAYBREAK_SSH_USER: 'env' })
    await onPath(`task scp conf ${KEY}/0: -l ops`, { DAYBREAK_SSH_USER: 'env' })
    expect(await calls()).toEqual(
      ['env', 'ops'].map(user => ['--', 'conf', `${user}@[fd00::1]:/var/lib/daybreak/tasks/t0/sandbox/`]),
    )
  })

  test('~, no path in a task: 6; one path, a job without an instance: 2; nothing is copied', async () => {
    program('scp')
    running(0)
    const home = await onPath(`task scp ${KEY}/0:~/x .`)
    expect(home).toMatchObject({ exit: 6 })
    expect(home.err).toContain('~ is not understood')
    expect((await onPath('task scp a b')).exit).toBe(6)
    expect((await onPath(`task scp ${KEY}/0:x`)).exit).toBe(2)
    expect((await onPath(`task scp ${KEY}:x .`)).exit).toBe(2)
    expect((await onPath(`task scp ${KEY}/7:x .`)).exit).toBe(6)
    expect(await calls()).toEqual([])
    expect(existsSync(join(folder, 'x'))).toBe(false)
  })
})

test.each([
  [undefined, []],
  ['', []],
  ['-v', ['-v']],
  [' -o  A=b\t-p 1 ', ['-o', 'A=b', '-p', '1']],
  [
    `-o 'ProxyCommand nc %h %p' -i "my key" a\\ b "q\\"q"`,
    ['-o', 'ProxyCommand nc %h %p', '-i', 'my key', 'a b', 'q"q'],
  ],
])('options %j are the words %j', (text, words) => expect(optionWords(text, '--ssh-options')).toEqual(words))
