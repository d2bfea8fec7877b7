/** How long the tasks of one job take to run while another job of many instances ends again and again, and without it. */
import { REQUEST_ID_HEADER } from '../../src/wire/rest.ts'
import { type BenchOptions, type BenchResult, figure } from '../bench.ts'
import { jobBody } from './job-body.ts'
import { LargeCluster } from './large-cluster.ts'

const INSTANCES = 1_000
const NORMAL_INSTANCES = 10
/** Room for every task that the benchmark creates: what is measured is the scheduler, not a queue for room. */
const AGENTS = 50
const PAUSE_MS = 50
const CRASHING = 'crashing'
const BURST_MS = 12_000
const CREATED_MS_MAX = 60_000
const FLAGS = ['--logging.level', 'warn']

export async function crashLoop(options: BenchOptions): Promise<BenchResult> {
  const jobs = options.quick ? 5 : 20
  return LargeCluster.with({ jobs: 0, instances: 0, agents: AGENTS }, FLAGS, async cluster => {
    await cluster.connectAgents({ agents: AGENTS })
    await cluster.agents.ask('runByThemselves', { crashing: CRASHING })
    const { node } = await cluster.nodes.leader()
    const client = new JobClient(node.url)
    // The first runs of the code are slow, and would be all on one side of the comparison.
    await rounds(client, 'warms-up', jobs, 1)
    const alone = await rounds(client, 'alone', jobs, options.runs)
    options.say(`a job of ${INSTANCES} instances that fail at once`)
    await client.create(CRASHING, INSTANCES)
    // What the budget lets through at once is over.
    await pause(options.quick ? 2_000 : BURST_MS)
    const cpuBefore = cluster.cpuMs()
    const began = performance.now()
    const beside = await rounds(client, 'beside', jobs, options.runs)
    const cpu = (cluster.cpuMs() - cpuBefore) / (performance.now() - began)
    const ratios = beside.map((ms, at) => ms / alone[at]!)
    return {
      figures: [
        figure({ name: 'create-to-running', unit: 'ms', better: 'lower' }, alone),
        figure({ name: 'create-to-running-beside-crash-loop', unit: 'ms', better: 'lower' }, beside),
        figure({ name: 'crash-loop-slows', unit: 'ratio', better: 'lower', target: 2 }, ratios),
        figure({ name: 'crash-loop-cpu', unit: 'cores', better: 'lower' }, [cpu]),
      ],
      notes: [
        `crash loop: ${INSTANCES} instances that report FAILED at once, paused for ${PAUSE_MS} ms only, so that nothing but the budget of the job slows them; the other job has ${NORMAL_INSTANCES} instances, all of which must be RUNNING; medians of ${jobs} creations`,
      ],
    }
  })
}

async function rounds(client: JobClient, name: string, jobs: number, runs: number): Promise<readonly number[]> {
  const medians: number[] = []
  for (let run = 0; run < runs; run++) {
    const tookMs: number[] = []
    for (let at = 0; at < jobs; at++) tookMs.push(await client.createToRunning(`${name}-${run}-${at}`))
    medians.push(tookMs.sort((a, b) => a - b)[jobs >> 1]!)
  }
  return medians
}

class JobClient {
  readonly #url: string

  constructor(url: string) {
    this.#url = url
  }

  async create(name: string, instanceCount: number): Promise<void> {
    const key = { role: 'bench', environment: 'test', name }
    const answer = await fetch(`${this.#url}/api/v1/jobs`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', [REQUEST_ID_HEADER]: `bench-${name}` },
      body: JSON.stringify(jobBody(key, instanceCount)),
    })
    if (!answer.ok) throw new Error(`create: ${answer.status} ${await answer.text()}`)
    await answer.arrayBuffer()
  }

  /** Until all instances run, as a client sees it. */
  async createToRunning(name: string): Promise<number> {
    const path = `${this.#url}/api/v1/jobs/bench/test/${name}`
    const began = performance.now()
    await this.create(name, NORMAL_INSTANCES)
    for (;;) {
      const { job } = (await (await fetch(path)).json()) as { readonly job: { byStatus: Record<string, number> } }
      const tookMs = performance.now() - began
      if (job.byStatus.RUNNING === NORMAL_INSTANCES) return tookMs
      if (tookMs > CREATED_MS_MAX) throw new Error(`${name} does not run: ${JSON.stringify(job.byStatus)}`)
      await pause(2)
    }
  }
}

const pause = (ms: number): Promise<void> => new Promise(done => setTimeout(done, ms))
