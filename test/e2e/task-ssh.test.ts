/** Into the sandboxes of real tasks; in place of the OpenSSH client stand two scripts that do on this machine what it would do on another. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { JobDetail } from '../../src/wire/rest.ts'
import {
  daybreak,
  eventually,
  type RealNode,
  startRealNode,
  taskProcesses,
  temporaryFolder,
} from '../fixtures/real-node.ts'

const KEY = 'local/www-data/devel/hello'

let folder: ReturnType<typeof temporaryFolder>
let node: RealNode | null = null
beforeEach(() => {
  folder = temporaryFolder()
  const bin = join(folder.path, 'bin')
  mkdirSync(bin)
  writeFileSync(join(bin, 'ssh'), `#!/bin/bash\ncd /\nexec bash -c "\${!#}"\n`, { mode: 0o755 })
  writeFileSync(join(bin, 'scp'), `#!/bin/bash\nshift\nexec cp -- "\${@#*@*:}"\n`, { mode: 0o755 })
  vi.stubEnv('PATH', `${bin}:${process.env.PATH}`)
})
afterEach(async () => {
  vi.unstubAllEnvs()
  await node?.crash()
  for (const { pid } of taskProcesses(folder.path)) process.kill(pid, 'SIGKILL')
  await eventually(
    async () => taskProcesses(folder.path).length,
    left => left === 0,
  )
  folder.remove()
})

test('task run, ssh and scp reach the sandbox in which a task runs', async () => {
  node = await startRealNode(folder.path)
  const created = await daybreak(node.url, 'job', 'create', KEY, 'examples/hello.yaml', '--wait')
  expect(created.status, created.stderr).toBe(0)
  const { active } = await node.json<JobDetail>('/api/v1/jobs/www-data/devel/hello')
  const host = active[0]?.host

  const ran = await daybreak(
    node.url,
    'task',
    'run',
    KEY,
    'pwd; ls -d .logs/server; echo {{mesos.instance}}',
    '-t',
    '3',
  )
  expect(ran).toMatchObject({ status: 0, stderr: '' })
  const lines = ran.stdout.trimEnd().split('\n')
  const expected = active.flatMap(task =>
    [task.sandbox, '.logs/server', task.instance].map(text => `${host}:  ${text}`),
  )
  expect(lines.toSorted()).toEqual(expected.toSorted())

  const file = join(folder.path, 'note.txt')
  writeFileSync(file, 'from outside\n')
  expect(await daybreak(node.url, 'task', 'scp', file, `${KEY}/1:`)).toMatchObject({ status: 0, stderr: '' })
  const read = await daybreak(node.url, 'task', 'ssh', `${KEY}/1`, '-c', 'cat note.txt; exit 5')
  expect(read).toMatchObject({ status: 5, stdout: 'from outside\n' })
  const failed = await daybreak(node.url, 'task', 'run', KEY, 'cat note.txt')
  expect(failed.status).toBe(4)
  expect(failed.stdout).toBe(`${host}:  from outside\n`)
  expect(failed.stderr).toContain('The command failed on 2 of 3 tasks')
})
