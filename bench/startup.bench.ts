/**
 * What a user of one node feels: how long a start takes until `/health` says OK, how long a create request takes until
 * its task is RUNNING, and what an idle node costs. Real process, real disk, real task processes.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type JobDetail, REQUEST_ID_HEADER } from '../src/wire/rest.ts'
import { type Bench, figure } from './bench.ts'

/** V8 tidies its heaps about 8 s after the last work, for a second or so; a node that has been idle is past that. */
const CALM_MS = 15_000
const IDLE_MS = 20_000
const TICKS_PER_SECOND = 100
const PAGE_BYTES = 4096

export const bench: Bench = {
  name: 'startup',
  title: 'one node: start to healthy, create to RUNNING, memory and CPU when idle',
  async run({ runs, quick, say }) {
    const startMs: number[] = []
    const createMs: number[] = []
    const rssMb: number[] = []
    const idlePercent: number[] = []
    for (let run = 0; run <= runs; run++) {
      const dir = mkdtempSync(join(tmpdir(), 'daybreak-bench-'))
      const began = performance.now()
      const node = await startNode(dir)
      const healthyMs = performance.now() - began
      try {
        await untilAgentIsThere(node.url)
        const jobs = quick ? 5 : 20
        const samples: number[] = []
        for (let n = 0; n < jobs; n++) samples.push(await createToRunning(node.url, `job-${n}`))
        for (let n = 0; n < jobs; n++) await kill(node.url, `job-${n}`)
        const pid = node.child.pid ?? 0
        await pause(CALM_MS)
        const before = cpuTicks(pid)
        await pause(IDLE_MS)
        const idle = ((cpuTicks(pid) - before) / TICKS_PER_SECOND / (IDLE_MS / 1000)) * 100
        const rss = residentBytes(pid) / (1024 * 1024)
        say(
          `run ${run}: healthy ${healthyMs.toFixed(0)} ms, RUNNING ${median(samples).toFixed(0)} ms, ${rss.toFixed(0)} MB, idle ${idle.toFixed(2)} %`,
        )
        // The first run warms the disk's cache and is not counted.
        if (run === 0) continue
        startMs.push(healthyMs)
        createMs.push(median(samples))
        rssMb.push(rss)
        idlePercent.push(idle)
      } finally {
        const ended = once(node.child, 'exit')
        node.child.kill('SIGTERM')
        await ended
        rmSync(dir, { recursive: true, force: true, maxRetries: 5 })
      }
    }
    return {
      figures: [
        figure({ name: 'start-to-healthy', unit: 'ms', better: 'lower', target: 1_500 }, startMs),
        figure({ name: 'create-to-running-p50', unit: 'ms', better: 'lower', target: 200 }, createMs),
        figure({ name: 'resident-when-idle', unit: 'MB', better: 'lower', target: 150 }, rssMb),
        figure({ name: 'cpu-when-idle', unit: '% of a core', better: 'lower', target: 1 }, idlePercent),
      ],
      notes: [
        'start-to-healthy: from the spawn of the process to the first 200 of /health, empty data folder',
        'create-to-running-p50: from sending the create request to RUNNING as a client sees it, asked every 2 ms; the median of the jobs of a run',
        `cpu-when-idle, resident-when-idle: over ${IDLE_MS / 1000} s, beginning ${CALM_MS / 1000} s after all jobs have ended (V8 compacts its heaps in between), all threads`,
      ],
    }
  },
}

interface Node {
  readonly child: ChildProcess
  readonly url: string
}

async function startNode(dir: string): Promise<Node> {
  const root = packageRoot()
  const args = [join(root, 'dist/bundle/main.js'), 'start', join(root, 'config/local.yaml')]
  const flags = ['--data.dir', dir, '--http.port', '0', '--peer.port', '0', '--logging.level', 'warn']
  const child = spawn(process.execPath, [...args, ...flags], { stdio: ['ignore', 'pipe', 'inherit'] })
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
  return { child, url }
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

/** User and system time of all threads, in ticks: fields 14 and 15 of /proc/<pid>/stat. */
function cpuTicks(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
  return Number(fields[11]) + Number(fields[12])
}

function residentBytes(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ')[1]) * PAGE_BYTES
}

function packageRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url))
  while (!existsSync(join(folder, 'package.json'))) folder = dirname(folder)
  return folder
}
