/**
 * `npm run demo`: what a new user sees first. Starts a real node from config/local.yaml, gives it examples/hello.yaml,
 * shows the instances come up, asks one of them over HTTP, says what to look at next, and on Ctrl-C puts everything
 * back as it was. `--once` ends by itself: 0 when all of that happened, 1 with the reason, at the latest after 60 s.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { styleOf } from '../src/cli/screen.ts'
import { tableText } from '../src/cli/table.ts'
import type { JobDetail, PendingList, Problem } from '../src/wire/rest.ts'

const LIMIT_MS = 60_000
const STOP_MS_MAX = 15_000
const POLL_MS = 150
const INDENT = '  '
const KEY = { cluster: 'local', role: 'www-data', environment: 'devel', name: 'hello' }
const root = packageRoot()
const main = join(root, 'dist', 'src', 'cli', 'main.js')

const HELP = `npm run demo -- [--once] [--data DIR] [--port N]

  --once      end when everything has been shown: status 0, or 1 with the reason, at the latest after 60 s
  --data DIR  keep the node's data there (default: a fresh temporary folder, removed at the end)
  --port N    HTTP port of the node (default 8081; if it is taken, any free one)
`
const flags = readFlags()

interface Node {
  readonly child: ChildProcess
  /** Null until it is up. */
  url: string | null
  /** What it said so far. */
  output: string
}

const say = (line = ''): void => void process.stdout.write(`${line}\n`)
const stopping = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => stopping.abort(signal === 'SIGINT' ? 'Ctrl-C' : signal))
}
// Nobody reads any more (`npm run demo | head`), but tasks and node have to be ended all the same.
for (const output of [process.stdout, process.stderr])
  output.on('error', () => stopping.abort('nobody reads the output'))

let dataStays = flags.data !== undefined
const data = flags.data === undefined ? mkdtempSync(join(tmpdir(), 'daybreak-demo-')) : resolve(flags.data)
let node: Node | null = null
let failure: string | null = null
const limit = flags.once ? setTimeout(() => stopping.abort(`not done after ${LIMIT_MS / 1000} s`), LIMIT_MS) : null
const startedAt = performance.now()

try {
  const url = await startNode()
  await createJob(url)
  const detail = await showUntilRunning(url)
  await askOne(detail)
  sayWhatNext(url)
  if (!flags.once) await interrupted()
} catch (cause) {
  const [reason, what] = [String(stopping.signal.reason), textOf(cause)]
  failure = stopping.signal.aborted && reason !== what ? `${reason}: ${what}` : what
}
if (limit !== null) clearTimeout(limit)
const leftOver = await putBack()
if (!flags.once && stopping.signal.aborted) failure = null
if (failure !== null) say(`\nThe demo failed: ${failure}`)
if (leftOver !== null) say(`\nNot everything could be put back: ${leftOver}`)
process.exit(failure === null && leftOver === null ? 0 : 1)

// ---- the steps ----

async function startNode(): Promise<string> {
  const wanted = Number(flags.port)
  const port = (await isFree(wanted)) ? wanted : 0
  say('Daybreak demo: one node that is its own quorum, with an agent in it.\n')
  if (port !== wanted) say(`  port ${wanted} is taken, so the node takes any free one`)
  const url = await launch(port, stopping.signal)
  say(`  node     ${url}, up after ${seconds()} s`)
  say(`  data     ${data}`)
  return url
}

/** A node of its own session, so that Ctrl-C is for the demo, which ends the tasks before the node. Gives its URL. */
async function launch(port: number, given?: AbortSignal): Promise<string> {
  const args = [main, 'start', join(root, 'config', 'local.yaml'), '--data.dir', data, '--http.port', String(port)]
  given?.throwIfAborted()
  const child = spawn(process.execPath, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'], detached: true })
  // Known from here on, so that whatever happens next, it is ended.
  const started: Node = { child, url: null, output: '' }
  node = started
  return await new Promise<string>((done, failed) => {
    const hear = (chunk: Buffer): void => {
      started.output += chunk.toString('utf8')
      started.url ??= /up at (http:\/\/\S+)/.exec(started.output)?.[1] ?? null
      if (started.url !== null) done(started.url)
    }
    child.stdout.on('data', hear)
    child.stderr.on('data', hear)
    child.once('error', failed)
    child.once('exit', (code, signal) => failed(new Error(`the node ended with ${code ?? signal}:\n${started.output}`)))
    given?.addEventListener('abort', () => failed(new Error(String(given.reason))))
  })
}

async function createJob(url: string): Promise<void> {
  const key = `${KEY.cluster}/${KEY.role}/${KEY.environment}/${KEY.name}`
  const args = [main, 'job', 'create', key, join(root, 'examples', 'hello.yaml')]
  const client = spawn(process.execPath, args, {
    cwd: root,
    env: { ...process.env, DAYBREAK_URL: url, NO_COLOR: '1' },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let said = ''
  client.stdout.on('data', (chunk: Buffer) => (said += chunk.toString('utf8')))
  client.stderr.on('data', (chunk: Buffer) => (said += chunk.toString('utf8')))
  const [code] = (await once(client, 'exit')) as [number | null]
  if (code !== 0) throw new Error(`creating the job failed with status ${code}:\n${said}`)
  say(`  job      ${key} from examples/hello.yaml\n`)
}

/** Draws the table again whenever it changes: in place on a terminal, once more below otherwise. */
async function showUntilRunning(url: string): Promise<JobDetail> {
  let shown = ''
  for (;;) {
    const detail = await getJson<JobDetail>(url, jobPath())
    const table = statusTable(detail)
    if (table !== shown) {
      if (process.stdout.isTTY && shown !== '') process.stdout.write(`\u001b[${shown.split('\n').length}A\u001b[J`)
      say(table)
      shown = table
    }
    const running = detail.active.filter(task => task.status === 'RUNNING').length
    if (running === detail.job.instanceCount) {
      say(`\n  all ${running} instances are RUNNING after ${seconds()} s`)
      return detail
    }
    if (stopping.signal.aborted) {
      const pending = await getJson<PendingList>(url, '/api/v1/pending')
      const reasons = pending.pending.flatMap(one => (one.details.length > 0 ? one.details : one.reasons))
      const why = reasons.length === 0 ? 'no reason is known' : reasons.join('; ')
      throw new Error(`${running} of ${detail.job.instanceCount} instances are RUNNING; waiting: ${why}`)
    }
    await pause(POLL_MS)
  }
}

async function askOne(detail: JobDetail): Promise<void> {
  const task = detail.active[0]
  const port = task?.ports.http
  if (task === undefined || port === undefined) throw new Error('instance 0 has no port called http')
  const url = `http://127.0.0.1:${port}/`
  for (;;) {
    // RUNNING says that its process was started; the server in it may need a moment more.
    const answer = await fetch(url, { signal: AbortSignal.timeout(2_000) }).then(
      response => response.text(),
      cause => new Error(textOf(cause), { cause }),
    )
    if (typeof answer === 'string') {
      say(`\n  GET ${url}\n  ${answer.trim()}`)
      return
    }
    if (stopping.signal.aborted)
      throw new Error(`instance ${task.instance} did not answer at ${url}: ${answer.message}`)
    await pause(POLL_MS)
  }
}

function sayWhatNext(url: string): void {
  const env = url === 'http://127.0.0.1:8081' ? '' : `DAYBREAK_URL=${url} `
  say(`
Look next at
  ${url}/inspect                the actors, in a browser
  ${url}/api/v1/openapi.json    the REST API
  ${url}/metrics                numbers for Prometheus
  ${env}npx daybreak job status local/www-data/devel/hello
  ${env}npx daybreak task logs local/www-data/devel/hello/0 -f
  ${env}npx daybreak inspect`)
  if (!flags.once) say('\nCtrl-C ends the tasks and the node, and leaves nothing behind.')
}

/** Ends the tasks, then the node, and takes the data away. Gives what could not be done, or null. */
async function putBack(): Promise<string | null> {
  const faults: string[] = []
  if (node?.url != null) {
    try {
      if (hasEnded(node.child)) {
        // Its tasks go on without it; a node on the same data adopts them, and then they can be ended.
        faults.push(`the node ended by itself with ${node.child.exitCode ?? node.child.signalCode}:\n${node.output}`)
        await launch(0)
      }
      say('\n  ending the tasks …')
      await endTasks(String(node.url))
    } catch (cause) {
      faults.push(`${textOf(cause)}; data and tasks are in ${data}`)
      dataStays = true
    }
  }
  if (node !== null && !hasEnded(node.child)) {
    const ended = once(node.child, 'exit')
    node.child.kill('SIGTERM')
    const late = setTimeout(() => node?.child.kill('SIGKILL'), STOP_MS_MAX)
    const [code, signal] = (await ended) as [number | null, NodeJS.Signals | null]
    clearTimeout(late)
    // Before it is up, a signal ends it as it ends any program.
    if (code !== 0 && (node.url !== null || signal !== 'SIGTERM')) faults.push(`the node ended with ${code ?? signal}`)
  }
  if (!dataStays) rmSync(data, { recursive: true, force: true, maxRetries: 5 })
  say(dataStays ? `  data stays in ${data}` : '  tasks and node have ended, their data is removed')
  return faults.length === 0 ? null : faults.join('; ')
}

async function endTasks(url: string): Promise<void> {
  const path = `${jobPath()}:kill`
  const response = await fetch(url + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ all: true, message: 'the demo is over' }),
  })
  if (response.status === 404) return
  if (!response.ok) throw new Error(`killing the job: ${((await response.json()) as Problem).detail}`)
  const until = performance.now() + STOP_MS_MAX
  for (;;) {
    const left = await fetch(`${url}${jobPath()}`)
    if (left.status === 404) return
    if (((await left.json()) as JobDetail).active.length === 0) return
    if (performance.now() > until) throw new Error(`tasks still run ${STOP_MS_MAX / 1000} s after their kill`)
    await pause(POLL_MS)
  }
}

// ---- small parts ----

/** As wide as the terminal, so that drawing it again in place finds every line. */
function statusTable(detail: JobDetail): string {
  const columns = [
    { head: 'INSTANCE', right: true },
    { head: 'STATUS' },
    { head: 'HOST', min: 12 },
    { head: 'PORT', right: true },
    { head: 'MESSAGE', min: 20 },
  ]
  const rows = detail.active.map(task => {
    const message = task.pendingReason ?? task.events.at(-1)?.message ?? ''
    return [String(task.instance), task.status, task.host ?? '', String(task.ports.http ?? ''), message]
  })
  const style = styleOf(process.stdout, process.env)
  const text = tableText(columns, rows, { ...style, width: style.width - INDENT.length })
  return text.trimEnd().replaceAll(/^/gm, INDENT)
}

function readFlags(): { once: boolean; data?: string; port: string } {
  try {
    const { values } = parseArgs({
      options: {
        once: { type: 'boolean', default: false },
        data: { type: 'string' },
        port: { type: 'string', default: '8081' },
        help: { type: 'boolean', default: false },
      },
    })
    if (values.help) {
      process.stdout.write(HELP)
      process.exit(0)
    }
    if (!/^\d{1,5}$/.test(values.port) || Number(values.port) > 65_535)
      throw new Error(`--port is no port: ${values.port}`)
    return values
  } catch (cause) {
    process.stderr.write(`error: ${textOf(cause)}\n\n${HELP}`)
    process.exit(2)
  }
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null
}

function textOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause)
}

function jobPath(): string {
  return `/api/v1/jobs/${KEY.role}/${KEY.environment}/${KEY.name}`
}

async function getJson<T>(url: string, path: string): Promise<T> {
  const response = await fetch(url + path)
  if (!response.ok) throw new Error(`GET ${path}: ${response.status} ${await response.text()}`)
  return (await response.json()) as T
}

function seconds(): string {
  return ((performance.now() - startedAt) / 1000).toFixed(1)
}

function pause(ms: number): Promise<void> {
  return new Promise(done => setTimeout(done, ms))
}

function interrupted(): Promise<void> {
  if (stopping.signal.aborted) return Promise.resolve()
  const ended = node === null ? Promise.resolve() : once(node.child, 'exit').then(() => {})
  return Promise.race([new Promise<void>(done => stopping.signal.addEventListener('abort', () => done())), ended])
}

async function isFree(port: number): Promise<boolean> {
  const probe = createServer()
  try {
    probe.listen(port, '127.0.0.1')
    await once(probe, 'listening')
    return true
  } catch {
    return false
  } finally {
    probe.close()
  }
}

/** The nearest folder upwards that has a package.json: this file runs from dist/. */
function packageRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url))
  while (!existsSync(join(folder, 'package.json'))) folder = dirname(folder)
  return folder
}
