/**
 * What a user of one node feels: how long a start takes until `/health` says OK, how long a create request takes until
 * its task is RUNNING, and what an idle node costs. Real process, real disk, real task processes. A run is a node; all stay
 * up until the end, so that the time in which they do nothing has to pass only once.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type JobDetail, REQUEST_ID_HEADER } from '../src/wire/rest.ts'
import { type Bench, type Figure, type FigureSpec, figure } from './bench.ts'
import { cpuMicrosOf, residentOf } from './memory/cpu.ts'

/** V8 tidies its heaps about 8 s after the last work, for a second or so; a node that has been idle is past that. */
const WHOLE = { jobs: 20, calmMs: 15_000, idleMs: 20_000 }
const QUICK = { jobs: 3, calmMs: 10_000, idleMs: 3_000 }

export const bench: Bench = {
  name: 'startup',
  title: 'one node: start to healthy, create to RUNNING, memory and CPU when idle',
  async run({ runs, quick, say }) {
    const { jobs, calmMs, idleMs } = quick ? QUICK : WHOLE
    const startMs: number[] = []
    const createMs: number[] = []
    const nodes: Node[] = []
    try {
      // The first one warms the disk's cache and is not counted.
      for (let run = 0; run <= runs; run++) {
        const began = performance.now()
        nodes.push(await startNode())
        startMs.push(performance.now() - began)
        say(`run ${run}: healthy after ${startMs.at(-1)!.toFixed(0)} ms`)
        await untilAgentIsThere(nodes.at(-1)!.url)
      }
      for (const [run, { url }] of nodes.entries()) {
        const samples: number[] = []
        for (let n = 0; n < jobs; n++) samples.push(await createToRunning(url, `job-${n}`))
        await Promise.all(samples.map((_, n) => kill(url, `job-${n}`)))
        createMs.push(median(samples))
        say(`run ${run}: RUNNING after ${createMs.at(-1)!.toFixed(0)} ms`)
      }
      say(`all nodes are left alone: ${calmMs / 1000} s to calm down, ${idleMs / 1000} s that are measured`)
      await pause(calmMs)
      const idle = await idleOf(nodes, idleMs)
      const of = (spec: FigureSpec, values: readonly number[]): Figure => figure(spec, values.slice(1))
      return {
        figures: [
          of({ name: 'start-to-healthy', unit: 'ms', better: 'lower', target: 1_500 }, startMs),
          of({ name: 'create-to-running-p50', unit: 'ms', better: 'lower', target: 200 }, createMs),
          of(
            { name: 'resident-when-idle', unit: 'MB', better: 'lower', target: 150 },
            idle.map(({ residentMb }) => residentMb),
          ),
          of(
            { name: 'cpu-when-idle', unit: '% of a core', better: 'lower', target: 1 },
            idle.map(({ cpuPercent }) => cpuPercent),
          ),
        ],
        notes: [
          'start-to-healthy: from the spawn of the process to the first 200 of /health, empty data folder; the nodes of the runs before are there, and idle',
          'create-to-running-p50: from sending the create request to RUNNING as a client sees it, asked every 2 ms; the median of the jobs of a node',
          `cpu-when-idle, resident-when-idle: all nodes at the same time, over ${idleMs / 1000} s, beginning ${calmMs / 1000} s after all jobs have ended (V8 compacts its heaps in between), all threads; each value is a node`,
        ],
      }
    } finally {
      await Promise.all(nodes.map(node => node.end()))
    }
  },
}

interface Idle {
  readonly cpuPercent: number
  readonly residentMb: number
}

/** By node, all of them over the same time. */
async function idleOf(nodes: readonly Node[], ms: number): Promise<readonly Idle[]> {
  const beganMs = performance.now()
  const before = nodes.map(({ pid }) => cpuMicrosOf(pid))
  await pause(ms)
  return nodes.map(({ pid }, at) => ({
    cpuPercent: ((cpuMicrosOf(pid) - before[at]!) / 1_000 / (performance.now() - beganMs)) * 100,
    residentMb: residentOf(pid).all / (1024 * 1024),
  }))
}

interface Node {
  readonly pid: number
  readonly url: string
  /** Settles when the process and its data are gone. */
  end(): Promise<void>
}

async function startNode(): Promise<Node> {
  const dir = mkdtempSync(join(process.env.DAYBREAK_BENCH_DIR ?? tmpdir(), 'daybreak-bench-startup-'))
  const root = packageRoot()
  const args = [join(root, 'dist/bundle/main.js'), 'start', join(root, 'config/local.yaml')]
  const flags = ['--data.dir', dir, '--http.port', '0', '--peer.port', '0', '--logging.level', 'warn']
  const child = spawn(process.execPath, [...args, ...flags], { stdio: ['ignore', 'pipe', 'inherit'] })
  const ended = once(child, 'exit')
  const end = async (): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM')
    await ended
    rmSync(dir, { recursive: true, force: true, maxRetries: 5 })
  }
  try {
    const url = await new Promise<string>((resolve, reject) => {
      let said = ''
      child.stdout.on('data', (chunk: Buffer) => {
        said += chunk.toString('utf8')
        const up = /up at (http:\/\/\S+)/.exec(said)
        if (up?.[1] !== undefined) resolve(up[1])
      })
      child.once('exit', code => reject(new Error(`the node ended with status ${code}`)))
    })
    while ((await fetch(`${url}/health`)).status !== 200);
    return { pid: child.pid!, url, end }
  } catch (cause) {
    await end()
    throw cause
  }
}

async function untilAgentIsThere(url: string): Promise<void> {
  for (;;) {
    const { agents } = (await (await fetch(`${url}/api/v1/agents`)).json()) as { agents?: { connected: boolean }[] }
    if (agents?.[0]?.connected === true) return
    await pause(5)
  }
}

async function createToRunning(url: string, name: string): Promise<number> {
  const key = { role: 'bench', environment: 'test', name }
  const resources = { cpusMilli: 10, ramMb: 8, diskMb: 8, gpus: 0 }
  const process = { name: 'idles', cmdline: 'exec sleep 1000' }
  const data = {
    ...{ name, role: 'bench', environment: 'test', cluster: 'local', service: true },
    task: { name, processes: [process], resources: { cpu: 0.01, ram: 8 << 20, disk: 8 << 20, gpu: 0 } },
  }
  const task = {
    ...{ job: key, owner: 'bench', isService: true, maxTaskFailures: 1, priority: 0, production: false },
    ...{ tier: 'preemptible', resources, ports: [], constraints: [], metadata: [] },
    executor: { name: 'AuroraExecutor', data: JSON.stringify(data) },
  }
  const body = JSON.stringify({ job: { key, owner: 'bench', instanceCount: 1, task } })
  const began = performance.now()
  const headers = { 'content-type': 'application/json', [REQUEST_ID_HEADER]: `bench-${name}-${began}` }
  const created = await fetch(`${url}/api/v1/jobs`, { method: 'POST', headers, body })
  if (!created.ok) throw new Error(`create: ${created.status} ${await created.text()}`)
  for (;;) {
    const detail = (await (await fetch(`${url}/api/v1/jobs/bench/test/${name}`)).json()) as JobDetail
    if (detail.active[0]?.status === 'RUNNING') return performance.now() - began
    await pause(2)
  }
}

async function kill(url: string, name: string): Promise<void> {
  const headers = { 'content-type': 'application/json' }
  const path = `${url}/api/v1/jobs/bench/test/${name}`
  await fetch(`${path}:kill`, { method: 'POST', headers, body: '{"all":true}' })
  for (;;) {
    const response = await fetch(path)
    if (response.status === 404 || ((await response.json()) as JobDetail).active.length === 0) return
    await pause(20)
  }
}

function pause(ms: number): Promise<void> {
  return new Promise(done => setTimeout(done, ms))
}

function median(samples: readonly number[]): number {
  const sorted = [...samples].sort((a, b) => a - b)
  return sorted[sorted.length >> 1] ?? Number.NaN
}

function packageRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url))
  while (!existsSync(join(folder, 'package.json'))) folder = dirname(folder)
  return folder
}
