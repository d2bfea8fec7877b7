/**
 * The node that the bench of the agent asks: a real process with a scheduler and an agent, its own ports and folder, and
 * the jobs and events of it over HTTP. Tasks outlive their agent by design, so ending it well ends them first, and
 * ending it badly finds them by what they carry in their environment.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { AGENT_VARIABLE } from '../../src/runtime/agent/process-groups.ts'
import { REQUEST_ID_HEADER } from '../../src/wire/rest.ts'
import { type RealNode, startRealNode } from '../../test/fixtures/real-node.ts'
import { PROFILE_VARIABLE } from '../profile/profiler.ts'
import { TaskEvents } from './task-events.ts'

export interface TaskShape {
  readonly cmdline: string
  readonly isService: boolean
  readonly cpusMilli: number
}

export interface WorkerNodeOptions {
  /** Cores that its agent claims to have. */
  readonly cores: number
}

const ENDING_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
const TIED = ['setpriv', '--pdeathsig', 'KILL']
/** Node takes this option on its command line only, and worker threads leave profiles only for it. Then the folder. */
const PROFILED = [...['sh', '-c'], `node=$1; shift; exec ${TIED.join(' ')} "$node" --cpu-prof --cpu-prof-dir="$0" "$@"`]
const WAIT_MS_MAX = 120_000
const RAM_MB = 4

export class WorkerNode {
  readonly pid: number
  readonly folder: string
  readonly events: TaskEvents
  readonly #node: RealNode
  readonly #http = new Agent({ keepAlive: true })
  readonly #killAll: () => void
  readonly #onSignal: (signal: NodeJS.Signals) => void

  private constructor(node: RealNode, folder: string, events: TaskEvents) {
    this.#node = node
    this.pid = node.child.pid!
    this.folder = folder
    this.events = events
    this.#killAll = () => {
      node.child.kill('SIGKILL')
      killTasksOf(workFolder(folder))
      rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
    }
    this.#onSignal = signal => {
      this.#killAll()
      this.#forget()
      process.kill(process.pid, signal)
    }
    process.once('exit', this.#killAll)
    for (const signal of ENDING_SIGNALS) process.once(signal, this.#onSignal)
  }

  /** A node for the time of `work`; nothing of it is left afterwards, whatever happens. */
  static async with<T>(options: WorkerNodeOptions, work: (node: WorkerNode) => Promise<T>): Promise<T> {
    const folder = mkdtempSync(join(process.env.DAYBREAK_BENCH_DIR ?? tmpdir(), 'daybreak-bench-agent-'))
    let node: WorkerNode | null = null
    try {
      node = await WorkerNode.#start(options, folder)
      return await work(node)
    } finally {
      if (node !== null) await node.#end()
      rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
    }
  }

  static async #start({ cores }: WorkerNodeOptions, folder: string): Promise<WorkerNode> {
    const profiles = process.env[PROFILE_VARIABLE]
    const node = await startRealNode(folder, {
      flags: [
        ...['--logging.level', 'warn', '--agent.resources.cpus', String(cores), '--agent.resources.ram', '16GiB'],
        ...['--agent.workDir', workFolder(folder)],
      ],
      // The kernel ends it with us, should we be killed.
      within: profiles === undefined ? TIED : [...PROFILED, profiles],
    })
    const worker = new WorkerNode(node, folder, new TaskEvents(node.url))
    try {
      await worker.events.begin()
      await worker.#untilAgentIsThere()
      return worker
    } catch (cause) {
      await worker.#end()
      throw cause
    }
  }

  /** Settles when the creation is accepted, which is when it is durable. */
  async create(name: string, instanceCount: number, shape: TaskShape): Promise<void> {
    const body = JSON.stringify({ job: jobOf(name, instanceCount, shape) })
    const headers = { 'content-type': 'application/json', [REQUEST_ID_HEADER]: `bench-${name}` }
    const { status, text } = await this.#post('/api/v1/jobs', headers, body)
    if (status >= 300) throw new Error(`creation of ${name}: ${status} ${text}`)
  }

  /** Every instance of it, until all have ended. */
  async kill(name: string, instances: number): Promise<void> {
    const ended = this.events.reached(name, 'KILLED', instances, WAIT_MS_MAX)
    const headers = { 'content-type': 'application/json' }
    const { status, text } = await this.#post(`/api/v1/jobs/bench/test/${name}:kill`, headers, '{"all":true}')
    if (status >= 300) throw new Error(`kill of ${name}: ${status} ${text}`)
    await ended
  }

  #post(path: string, headers: Record<string, string>, body: string): Promise<{ status: number; text: string }> {
    return new Promise((resolve, reject) => {
      const asked = request(`${this.#node.url}${path}`, { method: 'POST', agent: this.#http, headers }, answer => {
        let text = ''
        answer.setEncoding('utf8')
        answer.on('data', (chunk: string) => {
          text += chunk
        })
        answer.on('end', () => resolve({ status: answer.statusCode ?? 0, text }))
        answer.on('error', reject)
      })
      asked.on('error', reject)
      asked.end(body)
    })
  }

  async #untilAgentIsThere(): Promise<void> {
    for (const endMs = performance.now() + WAIT_MS_MAX; performance.now() < endMs; ) {
      const { agents } = await this.#node.json<{ agents?: { connected: boolean }[] }>('/api/v1/agents')
      if (agents?.[0]?.connected === true) return
      await new Promise(done => setTimeout(done, 20))
    }
    throw new Error(`the agent of the node did not register: ${this.#node.output()}`)
  }

  async #end(): Promise<void> {
    this.events.end()
    this.#http.destroy()
    await this.#node.stop()
    killTasksOf(workFolder(this.folder))
    this.#forget()
  }

  #forget(): void {
    process.removeListener('exit', this.#killAll)
    for (const signal of ENDING_SIGNALS) process.removeListener(signal, this.#onSignal)
  }
}

const workFolder = (folder: string): string => join(folder, 'agent')

function jobOf(name: string, instanceCount: number, { cmdline, isService, cpusMilli }: TaskShape): object {
  const key = { role: 'bench', environment: 'test', name }
  const data = {
    ...{ ...key, cluster: 'local', service: isService },
    task: {
      ...{ name, processes: [{ name: 'main', cmdline }] },
      resources: { cpu: cpusMilli / 1000, ram: RAM_MB << 20, disk: 1 << 20, gpu: 0 },
    },
  }
  const task = {
    ...{ job: key, owner: 'bench', isService, maxTaskFailures: 1, priority: 0, production: false },
    ...{ tier: 'preemptible', resources: { cpusMilli, ramMb: RAM_MB, diskMb: 1, gpus: 0 }, ports: [] },
    ...{ constraints: [], metadata: [], executor: { name: 'AuroraExecutor', data: JSON.stringify(data) } },
  }
  return { key, owner: 'bench', instanceCount, task }
}

/** Every process that was started for a task of the agent with this work folder. */
function killTasksOf(work: string): void {
  const mark = `${AGENT_VARIABLE}=${work}`
  for (const name of readdirSync('/proc')) {
    const pid = Number(name)
    if (!Number.isInteger(pid) || pid === process.pid) continue
    try {
      if (readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0').includes(mark)) process.kill(pid, 'SIGKILL')
    } catch {
      // It has ended, or is somebody else's.
    }
  }
}
