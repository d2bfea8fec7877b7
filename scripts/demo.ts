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
import Table from 'cli-table3'
import type { JobDetail, PendingList, Problem } from '../src/wire/rest.ts'

const LIMIT_MS = 60_000
const STOP_MS_MAX = 15_000
const POLL_MS = 150
const KEY = { cluster: 'local', role: 'www-data', environment: 'devel', name: 'hello' }
const root = packageRoot()
const main = join(root, 'dist', 'src', 'cli', 'main.js')

const { values: flags } = parseArgs({
  options: {
    once: { type: 'boolean', default: false },
    data: { type: 'string' },
    port: { type: 'string', default: '8081' },
    help: { type: 'boolean', default: false },
  },
})
if (flags.help) {
  process.stdout.write(`npm run demo -- [--once] [--data DIR] [--port N]

  --once      end when everything has been shown: status 0, or 1 with the reason, at the latest after 60 s
  --data DIR  keep the node's data there (default: a fresh temporary folder, removed at the end)
  --port N    HTTP port of the node (default 8081; if it is taken, any free one)
`)
  process.exit(0)
}

interface Node {
  child: ChildProcess
  url: string
  output: () => string
}

const say = (line = ''): void => void process.stdout.write(`${line}\n`)
const stopping = new AbortController()
process.on('SIGINT', () => stopping.abort('Ctrl-C'))
process.on('SIGTERM', () => stopping.abort('SIGTERM'))

const dataIsOurs = flags.data === undefined
const data = flags.data === undefined ? mkdtempSync(join(tmpdir(), 'daybreak-demo-')) : resolve(flags.data)
let node: Node | null = null
let failure: string | null = null
const limit = flags.once ? setTimeout(() => stopping.abort(`not done after ${LIMIT_MS / 1000} s`), LIMIT_MS) : null
const startedAt = performance.now()

try {
  node = await startNode()
  await createJob(node)
  const detail = await showUntilRunning(node)
  await askOne(detail)
  sayWhatNext(node)
  if (!flags.once) await interrupted()
} catch (cause) {
  failure = stopping.signal.aborted
    ? String(stopping.signal.reason)
    : cause instanceof Error
      ? cause.message
      : String(cause)
}
if (limit !== null) clearTimeout(limit)
const leftOver = await putBack()
if (!flags.once && stopping.signal.aborted) failure = null
if (failure !== null) say(`\nThe demo failed: ${failure}`)
if (leftOver !== null) say(`\nNot everything could be put back: ${leftOver}`)
process.exit(failure === null && leftOver === null ? 0 : 1)

// ---- the steps ----

async function startNode(): Promise<Node> {
  const wanted = Number(flags.port)
  const port = (await isFree(wanted)) ? wanted : 0
  say('Daybreak demo: one node that is its own quorum, with an agent in it.\n')
  if (port !== wanted) say(`  port ${wanted} is taken, so the node takes any free one`)
  const args = [main, 'start', join(root, 'config', 'local.yaml'), '--data.dir', data, '--http.port', String(port)]
  // In a session of its own: Ctrl-C is for the demo, which then ends the tasks before the node.
  const child = spawn(process.execPath, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'], detached: true })
  let said = ''
  const url = await new Promise<string>((done, failed) => {
    const hear = (chunk: Buffer): void => {
      said += chunk.toString('utf8')
      const up = /up at (http:\/\/\S+)/.exec(said)
      if (up?.[1] !== undefined) done(up[1])
    }
    child.stdout.on('data', hear)
    child.stderr.on('data', hear)
    child.once('error', failed)
    child.once('exit', code => failed(new Error(`the node ended with status ${code}:\n${said}`)))
    stopping.signal.addEventListener('abort', () => failed(new Error(String(stopping.signal.reason))))
  })
  say(`  node     up at ${url} after ${seconds()} s, data in ${data}`)
  return { child, url, output: () => said }
}

async function createJob(at: Node): Promise<void> {
  const key = `${KEY.cluster}/${KEY.role}/${KEY.environment}/${KEY.name}`
  const args = [main, 'job', 'create', key, join(root, 'examples', 'hello.yaml')]
  const client = spawn(process.execPath, args, {
    cwd: root,
    env: { ...process.env, DAYBREAK_URL: at.url, NO_COLOR: '1' },
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
async function showUntilRunning(at: Node): Promise<JobDetail> {
  let shown = ''
  for (;;) {
    const detail = await getJson<JobDetail>(at, jobPath())
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
      const pending = await getJson<PendingList>(at, '/api/v1/pending')
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
      cause => (cause instanceof Error ? cause : new Error(String(cause))),
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

function sayWhatNext(at: Node): void {
  const env = at.url === 'http://127.0.0.1:8081' ? '' : `DAYBREAK_URL=${at.url} `
  say(`
Look next at
  ${at.url}/inspect                the actors of the node, in a browser
  ${at.url}/api/v1/openapi.json    the REST API
  ${at.url}/metrics                numbers for Prometheus
  ${env}npx daybreak job status local/www-data/devel/hello
  ${env}npx daybreak task logs local/www-data/devel/hello/0 -f
  ${env}npx daybreak inspect`)
  if (!flags.once) say('\nCtrl-C ends the tasks and the node, and leaves nothing behind.')
}

async function putBack(): Promise<string | null> {
  if (node === null) {
    removeData()
    return null
  }
  const { child, url } = node
  const faults: string[] = []
  if (child.exitCode === null && child.signalCode === null) {
    say('\n  ending the tasks …')
    try {
      await endTasks(url)
    } catch (cause) {
      faults.push(cause instanceof Error ? cause.message : String(cause))
    }
    child.kill('SIGTERM')
    const ended = once(child, 'exit')
    const late = setTimeout(() => child.kill('SIGKILL'), STOP_MS_MAX)
    const [code] = (await ended) as [number | null]
    clearTimeout(late)
    if (code !== 0) faults.push(`the node ended with status ${code ?? child.signalCode}`)
  } else if (failure === null) {
    faults.push(`the node ended by itself with status ${child.exitCode ?? child.signalCode}:\n${node.output()}`)
  }
  if (faults.length === 0) {
    removeData()
    say(
      dataIsOurs
        ? '  tasks and node have ended, their data is removed'
        : `  tasks and node have ended; data is in ${data}`,
    )
  }
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

function removeData(): void {
  if (dataIsOurs) rmSync(data, { recursive: true, force: true, maxRetries: 5 })
}

function statusTable(detail: JobDetail): string {
  const table = new Table({
    head: ['instance', 'status', 'host', 'port', 'message'],
    style: { head: [], border: [], compact: true },
    chars: {
      left: '  ',
      'left-mid': '',
      mid: '',
      'mid-mid': '',
      right: '',
      'right-mid': '',
      middle: '  ',
      top: '',
      'top-mid': '',
      'top-left': '',
      'top-right': '',
      bottom: '',
      'bottom-mid': '',
      'bottom-left': '',
      'bottom-right': '',
    },
  })
  for (const task of detail.active) {
    const message = task.pendingReason ?? task.events.at(-1)?.message ?? ''
    table.push([task.instance, task.status.padEnd(9), task.host ?? '', task.ports.http ?? '', message.slice(0, 50)])
  }
  return table.toString()
}

function jobPath(): string {
  return `/api/v1/jobs/${KEY.role}/${KEY.environment}/${KEY.name}`
}

async function getJson<T>(at: Node, path: string): Promise<T> {
  const response = await fetch(at.url + path)
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
