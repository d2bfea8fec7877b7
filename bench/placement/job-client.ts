/** Creates jobs over HTTP, in a process of its own, and tells when it asked for each. */
import { REQUEST_ID_HEADER } from '../../src/wire/rest.ts'
import { answer } from '../log/child.ts'

export interface Asked {
  readonly name: string
  /** When the request was sent, wall ms. */
  readonly atMs: number
}

export type JobQuestions = {
  /** So many jobs named `<prefix>-<n>`, at most `inFlight` requests at a time; with `everyMs`, one begins every so often. */
  create: {
    readonly ask: {
      readonly url: string
      readonly prefix: string
      readonly jobs: number
      readonly instances: number
      readonly inFlight: number
      readonly everyMs: number
    }
    readonly answer: readonly Asked[]
  }
}

const KEY = { role: 'bench', environment: 'test' }

async function create(ask: JobQuestions['create']['ask']): Promise<readonly Asked[]> {
  const asked: Asked[] = []
  const began = performance.now()
  let next = 0
  const worker = async (): Promise<void> => {
    for (let n = next++; n < ask.jobs; n = next++) {
      const dueMs = n * ask.everyMs - (performance.now() - began)
      if (dueMs > 0) await new Promise(done => setTimeout(done, dueMs))
      const name = `${ask.prefix}-${n}`
      asked.push({ name, atMs: performance.timeOrigin + performance.now() })
      await post(ask.url, name, ask.instances)
    }
  }
  await Promise.all(Array.from({ length: ask.inFlight }, worker))
  return asked
}

async function post(url: string, name: string, instanceCount: number): Promise<void> {
  const key = { ...KEY, name }
  const process = { name: 'idles', cmdline: 'exec sleep 1000' }
  const data = {
    ...{ ...key, cluster: 'local', service: true },
    task: { name, processes: [process], resources: { cpu: 0.01, ram: 1 << 20, disk: 1 << 20, gpu: 0 } },
  }
  const task = {
    ...{ job: key, owner: 'bench', isService: true, maxTaskFailures: -1, priority: 0, production: false },
    ...{ tier: 'preemptible', resources: { cpusMilli: 10, ramMb: 1, diskMb: 1, gpus: 0 }, ports: [] },
    ...{ constraints: [], metadata: [], executor: { name: 'AuroraExecutor', data: JSON.stringify(data) } },
  }
  const response = await fetch(`${url}/api/v1/jobs`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', [REQUEST_ID_HEADER]: `bench-${name}` },
    body: JSON.stringify({ job: { key, owner: 'bench', instanceCount, task } }),
  })
  if (!response.ok) throw new Error(`create ${name}: ${response.status} ${await response.text()}`)
  await response.arrayBuffer()
}

answer<JobQuestions>({ create }, () => {})
