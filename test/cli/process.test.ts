/** The client as a process of its own: signals, closed pipes, files that are none. Needs the built program. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type FakeScheduler, fakeScheduler } from './fake-scheduler.ts'

const root = join(import.meta.dirname, '..', '..')
const HELLO = join(root, 'examples/hello.yaml')
const KEY = 'local/www-data/devel/hello'
/** What a terminal on standard error looks like to the spinner. */
const AS_TERMINAL =
  'data:text/javascript,for (const name of ["cursorTo","clearLine","moveCursor"]) process.stderr[name] = () => true; process.stderr.isTTY = true'

let scheduler: FakeScheduler
let folder = ''
beforeEach(async () => {
  scheduler = await fakeScheduler()
  folder = mkdtempSync(join(tmpdir(), 'daybreak-cli-'))
})
afterEach(async () => {
  await scheduler.close()
  rmSync(folder, { recursive: true, force: true })
})

function start(args: readonly string[], nodeFlags: readonly string[] = []): ChildProcess {
  // The spinner stays still where CI is set, whatever the terminal.
  const { CI: _, ...inherited } = process.env
  const env = { ...inherited, DAYBREAK_URL: scheduler.url, NO_COLOR: '', TERM: 'xterm' }
  const command = [...nodeFlags, join(root, 'dist/bundle/main.js'), ...args]
  return spawn(process.execPath, command, { env, stdio: ['ignore', 'pipe', 'pipe'] })
}

async function ended(child: ChildProcess): Promise<{ code: number | null; out: string; err: string }> {
  let out = ''
  let err = ''
  child.stdout?.on('data', (chunk: Buffer) => (out += chunk.toString()))
  child.stderr?.on('data', (chunk: Buffer) => (err += chunk.toString()))
  const [code] = (await once(child, 'close')) as [number | null]
  return { code, out, err }
}

describe('the client as a process', () => {
  test.for([{ more: [] }, { more: ['--json'] }])(
    'Ctrl-C during --wait $more: status 130, the cursor shown again',
    async ({ more }) => {
      const child = start(['job', 'create', KEY, HELLO, '--wait', ...more], ['--import', AS_TERMINAL])
      let shown = ''
      child.stderr?.on('data', (chunk: Buffer) => (shown += chunk.toString()))
      const end = ended(child)
      // It waits: asks again and again, and on a terminal the spinner turns and has hidden the cursor.
      const waits = () =>
        scheduler.seen.some(request => request.method === 'GET') && (more.length > 0 || shown.includes('\u001b[?25l'))
      await expect.poll(waits, { timeout: 15_000 }).toBe(true)
      child.kill('SIGINT')
      const { code, out, err } = await end
      expect(code).toBe(130)
      if (more.length === 0) expect(err.lastIndexOf('\u001b[?25h')).toBeGreaterThan(err.lastIndexOf('\u001b[?25l'))
      else expect(JSON.parse(out)).toMatchObject({ error: { exit: 130 } })
    },
  )

  test('job kill on a terminal: a spinner shows how far it is, batch after batch, and is gone in the end', async () => {
    for (const id of [0, 1]) scheduler.addTask({ role: 'www-data', environment: 'devel', name: 'hello' }, id, 'RUNNING')
    const child = start(['job', 'kill', `${KEY}/0-1`], ['--import', AS_TERMINAL])
    let shown = ''
    child.stderr?.on('data', (chunk: Buffer) => (shown += chunk.toString()))
    const end = ended(child)
    for (const text of ['0/2 killed, killing [0]', '1/2 killed, killing [1]']) {
      await expect.poll(() => shown, { timeout: 15_000 }).toContain(text)
      scheduler.step(Date.now())
    }
    const { code, out, err } = await end
    expect({ code, out }).toEqual({
      code: 0,
      out: 'Successfully killed instances [0]\nSuccessfully killed instances [1]\nJob kill succeeded\n',
    })
    expect(err.lastIndexOf('\u001b[?25h')).toBeGreaterThan(err.lastIndexOf('\u001b[?25l'))
  })

  test.for([
    ['start', '--help'],
    ['config', 'show', join(root, 'config/local.yaml')],
    ['completion', 'bash'],
  ])('a reader that closes the pipe at once ends `%s %s` quietly', async args => {
    const child = start(args)
    child.stdout?.destroy()
    const { code, err } = await ended(child)
    expect({ code, err }).toEqual({ code: 0, err: '' })
  })

  test('Ctrl-C while a job file that is a program runs: status 130, and nothing of it is left', async () => {
    const file = join(folder, 'loop.mjs')
    writeFileSync(file, "console.error('looping')\nawait new Promise(done => setTimeout(done, 600_000))\n")
    const child = start(['config', 'list', file])
    const end = ended(child)
    await once(child.stderr!, 'data')
    child.kill('SIGINT')
    expect(await end).toMatchObject({ code: 130, err: 'looping\n' })
  })

  test('a wrong command line with --json: the fault as JSON too, status 2', async () => {
    const { code, out } = await ended(start(['job', 'create', '--json']))
    expect(code).toBe(2)
    expect(JSON.parse(out)).toEqual({ error: { exit: 2, detail: "missing required argument 'key'" } })
  })

  test('a job file that is a folder, or far too large: said in words at once', async () => {
    const large = join(folder, 'large.yaml')
    writeFileSync(large, 'instances: 1\n')
    truncateSync(large, 5_000_000)
    expect((await ended(start(['job', 'inspect', KEY, large]))).err).toContain('large.yaml: it is larger than 4 MiB')
    const { code, err } = await ended(start(['job', 'inspect', KEY, folder]))
    expect({ code, err }).toEqual({
      code: 3,
      err: `error: Error loading configuration: ${folder}: it is a folder, not a file\n`,
    })
  })
})
