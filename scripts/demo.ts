/**
 * `npm run demo`: what a new user sees first. Starts a real node from config/local.yaml, gives it examples/hello.yaml,
 * shows the instances come up, asks one of them over HTTP, says what to look at next, and on Ctrl-C puts everything
 * back as it was. `--once` ends by itself: 0 when all of that happened, 1 with the reason, at the latest after 60 s.
 * `--nodes 3` does the same with three scheduler processes and an agent process; `--kill-leader` shows a failover.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { styleOf } from '../src/cli/screen.ts'
import { tableText } from '../src/cli/table.ts'
import type { JobDetail, PendingList, Problem } from '../src/wire/rest.ts'
import { isFree, leaderOf, prepareCluster } from './demo-cluster.ts'

const LIMIT_MS = 60_000
const STOP_MS_MAX = 15_000
const POLL_MS = 150
const INDENT = '  '
const KEY = { cluster: 'local', role: 'www-data', environment: 'devel', name: 'hello' }
const root = packageRoot()
const main = join(root, 'dist', 'bundle', 'main.js')

const HELP = `npm run demo -- [--once] [--data DIR] [--port N] [--nodes N [--kill-leader]]

  --once      end when everything has been shown: status 0, or 1 with the reason, at the latest after 60 s
  --data DIR  keep the node's data there (default: a fresh temporary folder, removed at the end)
  --port N    HTTP port of the node (default 8081; if it is taken, any free one)
  --nodes N   3, 5 or 7 scheduler nodes and an agent, each a process of its own, on any free ports (default 1, which
              has its agent in it)
  --kill-leader  with several nodes: SIGKILL the one that leads, and show what happens
`
const flags = readFlags()

interface Node {
  readonly name: string
  readonly child: ChildProcess
  /** Killed by the demo itself. */
  isVictim: boolean
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
const nodes: Node[] = []
let failure: string | null = null
const limit = flags.once ? setTimeout(() => stopping.abort(`not done after ${LIMIT_MS / 1000} s`), LIMIT_MS) : null
const startedAt = performance.now()

try {
  const url = flags.nodes === 1 ? await startNode() : await startNodes(flags.nodes)
  await createJob(url)
  const detail = await showUntilRunning(url)
  await askOne(detail)
  if (flags.killLeader) await killLeader(detail)
  sayWhatNext(flags.killLeader ? aliveUrl() : url)
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
  const { url } = await launchLocal(port, stopping.signal)
  say(`  node     ${url}, up after ${seconds()} s`)
  say(`  data     ${data}`)
  return url
}

async function startNodes(count: number): Promise<string> {
  say(`Daybreak demo: ${count} scheduler nodes and an agent, each a process of its own.\n`)
  const files = await prepareCluster(main, data, count)
  const up = await Promise.all(
    files.nodes.map((path, at) => launch(`node-${at + 1}`, [main, 'start', path], stopping.signal)),
  )
  for (const { name, url } of up) say(`  ${name}   ${url}`)
  const agent = await launch('agent', [main, 'start', files.agent], stopping.signal)
  say(`  agent    ${agent.url}`)
  const leader = await leaderOf(
    up.map(({ url }) => url),
    stopping.signal,
  )
  say(`  leader   node-${leader.memberId}, elected after ${seconds()} s; any node may be asked`)
  say(`  data     ${data}`)
  return up[0]!.url
}

/** The one that leads is killed as a crash would do it; the tasks must not notice, and changes must go on. */
async function killLeader(before: JobDetail): Promise<void> {
  const urls = nodes.flatMap(({ name, url }) => (name === 'agent' || url === null ? [] : [url]))
  const { memberId } = await leaderOf(urls, stopping.signal)
  const victim = nodes.find(({ name }) => name === `node-${memberId}`)
  if (victim === undefined) throw new Error(`member ${memberId} leads and is none of the demo`)
  say(`\n  kill -9 node-${memberId}, which leads`)
  const sinceMs = performance.now()
  victim.isVictim = true
  victim.child.kill('SIGKILL')
  await once(victim.child, 'exit')
  const rest = urls.filter(url => url !== victim.url)
  const next = await leaderOf(rest, stopping.signal, memberId)
  say(`  node-${next.memberId} leads after ${((performance.now() - sinceMs) / 1000).toFixed(1)} s`)
  const after = await getJson<JobDetail>(next.url, jobPath(), sinceMs + STOP_MS_MAX)
  const same = after.active.filter(task => before.active.some(one => one.taskId === task.taskId)).length
  if (same !== before.active.length)
    throw new Error(`only ${same} of ${before.active.length} tasks outlived the leader`)
  say(`  all ${same} tasks are the same as before`)
  await askOne(after)
}

/** Of a scheduler node that lives. */
function aliveUrl(): string {
  const alive = nodes.find(({ name, child, url }) => name !== 'agent' && url !== null && !hasEnded(child))
  if (alive?.url == null) throw new Error('no scheduler node lives')
  return alive.url
}

function launchLocal(port: number, given?: AbortSignal): Promise<{ name: string; url: string }> {
  const config = join(root, 'config', 'local.yaml')
  return launch('node', [main, 'start', config, '--data.dir', data, '--http.port', String(port)], given)
}

/** A process of its own session, so that Ctrl-C is for the demo, which ends the tasks first. Gives its URL. */
async function launch(
  name: string,
  args: readonly string[],
  given?: AbortSignal,
): Promise<{ name: string; url: string }> {
  given?.throwIfAborted()
  const child = spawn(process.execPath, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'], detached: true })
  // Known from here on, so that whatever happens next, it is ended.
  const started: Node = { name, child, isVictim: false, url: null, output: '' }
  nodes.push(started)
  const url = await new Promise<string>((done, failed) => {
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
  return { name, url }
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
  const what = flags.nodes === 1 ? 'the node' : 'the nodes'
  if (!flags.once) say(`\nCtrl-C ends the tasks and ${what}, and leaves nothing behind.`)
}

/** Ends the tasks, then the node, and takes the data away. Gives what could not be done, or null. */
async function putBack(): Promise<string | null> {
  const faults: string[] = []
  if (nodes.some(({ url }) => url !== null)) {
    try {
      for (const { name, child, output } of nodes.filter(one => hasEnded(one.child) && !one.isVictim)) {
        faults.push(`the ${name} ended by itself with ${child.exitCode ?? child.signalCode}:\n${output}`)
      }
      // Its tasks go on without it; a node on the same data adopts them, and then they can be ended.
      if (flags.nodes === 1 && faults.length > 0) await launchLocal(0)
      say('\n  ending the tasks …')
      await endTasks(aliveUrl())
    } catch (cause) {
      faults.push(`${textOf(cause)}; data and tasks are in ${data}`)
      dataStays = true
    }
  }
  await Promise.all(
    nodes.map(async ({ name, child, url }) => {
      if (hasEnded(child)) return
      const ended = once(child, 'exit')
      child.kill('SIGTERM')
      const late = setTimeout(() => child.kill('SIGKILL'), STOP_MS_MAX)
      const [code, signal] = (await ended) as [number | null, NodeJS.Signals | null]
      clearTimeout(late)
      // Before it is up, a signal ends it as it ends any program.
      if (code !== 0 && (url !== null || signal !== 'SIGTERM')) faults.push(`the ${name} ended with ${code ?? signal}`)
    }),
  )
  if (!dataStays) rmSync(data, { recursive: true, force: true, maxRetries: 5 })
  say(dataStays ? `  data stays in ${data}` : '  tasks and node have ended, their data is removed')
  return faults.length === 0 ? null : faults.join('; ')
}

async function endTasks(url: string): Promise<void> {
  const until = performance.now() + STOP_MS_MAX
  const kill = () =>
    fetch(`${url}${jobPath()}:kill`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ all: true, message: 'the demo is over' }),
    })
  let response = await kill()
  // Between two leaders nobody can do it.
  for (; response.status === 503 && performance.now() < until; response = await kill()) await pause(POLL_MS)
  if (response.status === 404) return
  if (!response.ok) throw new Error(`killing the job: ${((await response.json()) as Problem).detail}`)
  for (;;) {
    const left = await fetch(`${url}${jobPath()}`)
    if (left.status === 404) return
    if (left.ok && ((await left.json()) as JobDetail).active.length === 0) return
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

function readFlags(): { once: boolean; data?: string; port: string; nodes: number; killLeader: boolean } {
  try {
    const { values } = parseArgs({
      options: {
        once: { type: 'boolean', default: false },
        data: { type: 'string' },
        port: { type: 'string', default: '8081' },
        nodes: { type: 'string', default: '1' },
        'kill-leader': { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    })
    if (values.help) {
      process.stdout.write(HELP)
      process.exit(0)
    }
    if (!/^\d{1,5}$/.test(values.port) || Number(values.port) > 65_535)
      throw new Error(`--port is no port: ${values.port}`)
    if (!['1', '3', '5', '7'].includes(values.nodes)) throw new Error(`--nodes is 1, 3, 5 or 7, not ${values.nodes}`)
    const killLeader = values['kill-leader']
    if (killLeader && values.nodes === '1') throw new Error('--kill-leader needs --nodes 3, 5 or 7')
    return { ...values, nodes: Number(values.nodes), killLeader }
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

/** Asked again until `untilMs` while nobody can answer. */
async function getJson<T>(url: string, path: string, untilMs = 0): Promise<T> {
  let response = await fetch(url + path)
  for (; response.status === 503 && performance.now() < untilMs; response = await fetch(url + path))
    await pause(POLL_MS)
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
  // One node alone that ends is the end; of several any may be killed, that is what they are for.
  const ended = nodes.length === 1 ? [once(nodes[0]!.child, 'exit').then(() => {})] : []
  return Promise.race([new Promise<void>(done => stopping.signal.addEventListener('abort', () => done())), ...ended])
}

/** The nearest folder upwards that has a package.json: this file runs from dist/. */
function packageRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url))
  while (!existsSync(join(folder, 'package.json'))) folder = dirname(folder)
  return folder
}
