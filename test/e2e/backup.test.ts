/** A backup taken, and brought back, on a real node with real tasks. */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { BackupDiff, BackupList, TaskList } from '../../src/wire/rest.ts'
import {
  daybreak,
  eventually,
  type RealNode,
  startRealNode,
  taskProcesses,
  temporaryFolder,
} from '../fixtures/real-node.ts'

let folder: ReturnType<typeof temporaryFolder>
let node: RealNode | null = null

beforeEach(() => {
  folder = temporaryFolder()
})
afterEach(async () => {
  await node?.crash()
  for (const { pid } of taskProcesses(folder.path)) process.kill(pid, 'SIGKILL')
  await eventually(
    async () => taskProcesses(folder.path).length,
    left => left === 0,
  )
  folder.remove()
})

async function running(url: string): Promise<readonly string[]> {
  const answer = await fetch(`${url}/api/v1/tasks?status=running`)
  if (!answer.ok) return ['not served']
  return ((await answer.json()) as TaskList).tasks.map(({ job, instance }) => `${job.name}/${instance}`)
}

test('life-66: backup, change, stage, drop one task, commit: the next reign has all but that task, and its strays are killed', async () => {
  const started = await startRealNode(folder.path)
  node = started
  const { url } = started
  const run = async (...args: string[]): Promise<string> => {
    const done = await daybreak(url, ...args)
    expect(done.status, done.stdout + done.stderr).toBe(0)
    return done.stdout
  }
  await run('job', 'create', 'local/www-data/devel/hello', 'examples/hello.yaml', '--wait')
  const before = taskProcesses(folder.path).length
  await run('backup', 'now')
  const [file] = (await started.json<BackupList>('/api/v1/backups')).backups
  expect(readdirSync(join(folder.path, 'backups'))).toEqual([file?.name])
  expect(await run('backup', 'verify', join(folder.path, 'backups', file?.name ?? ''))).toContain('3 task')

  await run('job', 'create', 'local/www-data/devel/since', 'examples/hello.yaml', '--wait')
  await run('backup', 'stage', file?.name ?? '')
  await run('backup', 'drop', '--instance', '2')
  const diff = await started.json<BackupDiff>('/api/v1/backups/diff')
  expect(diff.killed.first.map(({ job, instance }) => `${job.name}/${instance}`)).toEqual([
    'hello/2',
    'since/0',
    'since/1',
    'since/2',
  ])
  expect(diff.jobsRemoved).toEqual(['www-data/devel/since'])
  const wrong = await daybreak(url, 'backup', 'commit', '--digest', '00000000')
  expect(wrong.stderr).toContain('STATE_MOVED')
  expect(await run('backup', 'commit', '--digest', diff.digest, '--reason', 'a drill')).toContain('A new reign begins')

  await eventually(
    () => running(url),
    names => names.join() === 'hello/0,hello/1',
  )
  // The agent comes back to the new reign and is told what is not its own any more.
  await eventually(
    async () => taskProcesses(folder.path).length,
    left => left < before,
  )
  expect(await running(url)).toEqual(['hello/0', 'hello/1'])
  expect(started.output()).toContain('reign-resigned')
}, 90_000)
