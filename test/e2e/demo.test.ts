/** `npm run demo` as a new user meets it, on a folder for temporary files of its own, so that leftovers are seen. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'

const root = join(import.meta.dirname, '..', '..')
let folder = ''

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'daybreak-demo-test-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

function demo(...flags: string[]): { child: ChildProcess; said: () => string; until(text: string): Promise<void> } {
  const child = spawn(process.execPath, [join(root, 'dist/scripts/demo.js'), '--port', '0', ...flags], {
    env: { ...process.env, TMPDIR: folder },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let said = ''
  const heard = new Set<() => void>()
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (chunk: Buffer) => {
      said += chunk.toString('utf8')
      for (const look of heard) look()
    })
  }
  const until = (text: string): Promise<void> =>
    new Promise((done, failed) => {
      heard.add(() => said.includes(text) && done())
      child.once('exit', code => failed(new Error(`ended with ${code} before it said '${text}':\n${said}`)))
    })
  return { child, said: () => said, until }
}

/** Whatever the demo started has its folder in the environment. */
function processesLeft(): string[] {
  return readdirSync('/proc')
    .filter(name => /^\d+$/.test(name))
    .filter(pid => {
      try {
        return readFileSync(`/proc/${pid}/environ`, 'utf8').includes(`TMPDIR=${folder}\0`)
      } catch {
        // It has ended meanwhile, or is somebody else's.
        return false
      }
    })
}

test('the demo with --once: shows the instances, an answer and where to look, ends with 0 and leaves nothing', async () => {
  const run = demo('--once')
  const [code] = await once(run.child, 'exit')
  expect(code, run.said()).toBe(0)
  expect(run.said()).toMatch(/all 3 instances are RUNNING[\s\S]*hello from instance 0[\s\S]*\/inspect/)
  expect(processesLeft()).toEqual([])
  expect(readdirSync(folder)).toEqual([])
})

test('the demo with three nodes whose leader it kills: another leads, the tasks are the same, and nothing is left', {
  timeout: 60_000,
}, async () => {
  const run = demo('--once', '--nodes', '3', '--kill-leader')
  const [code] = await once(run.child, 'exit')
  expect(code, run.said()).toBe(0)
  expect(run.said()).toMatch(
    /kill -9 (node-\d)[\s\S]*(?!\1)node-\d leads after[\s\S]*all 3 tasks are the same as before/,
  )
  expect(processesLeft()).toEqual([])
  expect(readdirSync(folder)).toEqual([])
})

test.for([
  ['before its node is up', 'one node that is its own quorum'],
  ['while it creates its job', 'up after'],
  ['while its tasks come up', 'local/www-data/devel/hello from'],
] as const)('the demo interrupted %s: ends what it started and leaves nothing', async ([, said]) => {
  const run = demo()
  await run.until(said)
  run.child.kill('SIGINT')
  const [code] = await once(run.child, 'exit')
  expect(code, run.said()).toBe(0)
  expect(processesLeft()).toEqual([])
  expect(readdirSync(folder)).toEqual([])
})

test('the demo whose node is killed: ends the tasks that outlived it, tells so and leaves nothing', async () => {
  const run = demo()
  await run.until('Ctrl-C ends')
  const node = processesLeft().find(pid =>
    readFileSync(`/proc/${pid}/cmdline`, 'utf8').startsWith('daybreak scheduler'),
  )
  process.kill(Number(node), 'SIGKILL')
  const [code] = await once(run.child, 'exit')
  expect(code, run.said()).toBe(1)
  expect(run.said()).toContain('the node ended by itself with SIGKILL')
  expect(processesLeft()).toEqual([])
  expect(readdirSync(folder)).toEqual([])
})
