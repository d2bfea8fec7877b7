import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { ACTIVE, isTerminal, type TaskStatus } from '../../src/core/task/status.ts'
import {
  addInstances,
  createJob,
  type JobDetail,
  type JobSummary,
  killJob,
  type Problem,
  restartJob,
  type Task,
} from '../../src/wire/rest.ts'

/**
 * A scheduler in memory behind real HTTP, as far as the client sees one. Nothing moves by itself: each `step` (which the
 * fake clock takes when a command sleeps) moves every task one status on, as `next` says.
 */
export interface SeenRequest {
  readonly method: string
  readonly url: string
  readonly headers: IncomingMessage['headers']
  readonly body: unknown
}

export interface FakeScheduler {
  readonly url: string
  readonly seen: SeenRequest[]
  readonly tasks: Task[]
  readonly logs: Map<string, string>
  /** What a task becomes at the next step; null stays. */
  next: (task: Task) => TaskStatus | null
  /** Answers to give before any other; `drop` closes the connection without one. */
  readonly trouble: ('drop' | { status: number; problem: Partial<Problem>; headers?: Record<string, string> })[]
  readonly pages: Map<string, unknown>
  /** Paths that are always refused. */
  readonly refusals: Map<string, { status: number; code: string; detail: string }>
  pendingReason: string | null
  pendingDetails: string[]
  /** Its jobs run on every host, and there are so many; null: they have so many instances as they were given. */
  hosts: number | null
  step(nowMs: number): void
  addTask(key: Task['job'], instance: number, status: TaskStatus, more?: Partial<Task>): Task
  close(): Promise<void>
}

export const START_MS = Date.UTC(2026, 0, 31, 12, 0, 0)

const PATH: Partial<Record<TaskStatus, TaskStatus>> = {
  PENDING: 'ASSIGNED',
  ASSIGNED: 'STARTING',
  STARTING: 'RUNNING',
  KILLING: 'KILLED',
}

export async function fakeScheduler(): Promise<FakeScheduler> {
  let clockMs = START_MS
  let ids = 0
  const answers = new Map<string, { status: number; body: unknown }>()
  const services = new Set<string>()
  const move = (task: Task, status: TaskStatus, message: string | null = null): void => {
    Object.assign(task, {
      status,
      events: [...task.events, { atMs: clockMs, status, message, scheduler: 'fake', who: null, why: null }],
    })
    if (status === 'FAILED') Object.assign(task, { failureCount: task.failureCount + 1 })
  }
  const fake: FakeScheduler = {
    url: '',
    seen: [],
    tasks: [],
    logs: new Map(),
    next: task => PATH[task.status] ?? null,
    trouble: [],
    pages: new Map(),
    refusals: new Map(),
    pendingReason: null,
    pendingDetails: [],
    hosts: null,
    addTask: (job, instance, status, more = {}) => {
      const task: Task = {
        taskId: `task-${ids++}`,
        job,
        instance,
        status,
        host: status === 'PENDING' ? null : 'worker-1',
        agentId: null,
        sandbox: status === 'PENDING' ? null : `/var/lib/daybreak/tasks/task-${ids - 1}/sandbox`,
        ports: { http: 31_000 + instance },
        failureCount: 0,
        maxTaskFailures: 1,
        isService: services.has(JSON.stringify(job)),
        ancestorId: null,
        resources: { cpusMilli: 100, ramMb: 64, diskMb: 64, gpus: 0 },
        metadata: [],
        events: [{ atMs: clockMs, status, message: null, scheduler: 'fake', who: null, why: null }],
        pendingReason: null,
        ...more,
      }
      fake.tasks.push(task)
      return task
    },
    step: nowMs => {
      clockMs = nowMs
      for (const task of [...fake.tasks]) {
        const status = fake.next(task)
        if (status === null || isTerminal(task.status)) continue
        move(task, status, status === 'FAILED' ? 'Command exited with status 7' : null)
        const again = status === 'FAILED' ? task.isService : restarting.delete(task.taskId)
        if (isTerminal(status) && again) {
          fake.addTask(task.job, task.instance, 'PENDING', {
            failureCount: task.failureCount,
            isService: task.isService,
            ancestorId: task.taskId,
          })
        }
      }
    },
    close: () => new Promise(resolve => server.close(() => resolve())),
  }
  const restarting = new Set<string>()

  const summary = (key: Task['job']): JobSummary => {
    const mine = fake.tasks.filter(task => same(task.job, key))
    const active = mine.filter(task => ACTIVE.has(task.status))
    const byStatus: Record<string, number> = {}
    for (const task of active) byStatus[task.status] = (byStatus[task.status] ?? 0) + 1
    return {
      key,
      kind: mine.some(task => task.isService) ? 'service' : 'adhoc',
      tier: 'preemptible',
      instanceCount: new Set(mine.map(task => task.instance)).size,
      active: active.length,
      inactive: mine.length - active.length,
      byStatus,
      createdAtMs: START_MS,
      createdBy: 'ann',
    }
  }
  const shown = (task: Task): Task => {
    return task.status === 'PENDING' ? { ...task, pendingReason: fake.pendingReason } : task
  }
  const isPlaced = ({ status }: Task): boolean => status !== 'PENDING' && !isTerminal(status)
  const detail = (key: Task['job']): JobDetail | null => {
    const mine = fake.tasks.filter(task => same(task.job, key))
    if (mine.length === 0 && fake.hosts === null) return null
    return {
      job: summary(key),
      config: null,
      active: mine.filter(task => !isTerminal(task.status)).map(shown),
      inactive: mine.filter(task => isTerminal(task.status)),
      ...(fake.hosts === null ? {} : { everyHost: { hosts: fake.hosts, served: mine.filter(isPlaced).length } }),
    }
  }

  const route = (request: SeenRequest): { status: number; body: unknown } => {
    const url = new URL(request.url, 'http://fake')
    const refusal = fake.refusals.get(url.pathname)
    if (refusal !== undefined) return problem(refusal.status, refusal.code, refusal.detail)
    const page = fake.pages.get(url.pathname)
    if (page !== undefined) return { status: 200, body: page }
    if (url.pathname === '/api/v1/jobs' && request.method === 'POST') {
      const { job } = createJob.parse(request.body)
      if (fake.tasks.some(task => same(task.job, job.key) && ACTIVE.has(task.status))) {
        return problem(409, 'JOB_EXISTS', `Job ${Object.values(job.key).join('/')} already exists`)
      }
      if (job.task.isService) services.add(JSON.stringify(job.key))
      const instances = Array.from({ length: job.instanceCount }, (_, id) => id)
      for (const id of instances) fake.addTask(job.key, id, 'PENDING')
      return { status: 201, body: { key: job.key, instances, message: null, warnings: [] } }
    }
    if (url.pathname === '/api/v1/jobs') {
      const keys = [...new Map(fake.tasks.map(task => [JSON.stringify(task.job), task.job])).values()]
      const fits = (name: 'role' | 'environment' | 'name', value: string): boolean => {
        const pattern = url.searchParams.get(name)
        return pattern === null || new RegExp(`^${pattern.replaceAll('*', '.*')}$`).test(value)
      }
      const jobs = keys.filter(
        key => fits('role', key.role) && fits('environment', key.environment) && fits('name', key.name),
      )
      return { status: 200, body: { jobs: jobs.map(summary), next: null } }
    }
    if (url.pathname === '/api/v1/pending') {
      const pending = fake.tasks.filter(task => task.status === 'PENDING')
      const details = fake.pendingDetails
      return {
        status: 200,
        body: {
          pending: pending.map(({ job, taskId }) => ({ job, taskIds: [taskId], penaltyMs: 0, reasons: [], details })),
        },
      }
    }
    const job = /^\/api\/v1\/jobs\/([^/]+)\/([^/]+)\/([^/:]+)(?::(kill|restart|add))?$/.exec(url.pathname)
    if (job !== null) {
      const [, role = '', environment = '', name = '', verb] = job
      const key = { role, environment, name }
      const found = detail(key)
      if (found === null) return problem(404, 'NOT_FOUND', `There is no job ${role}/${environment}/${name}`)
      if (verb === undefined) return { status: 200, body: found }
      if (verb === 'add') {
        const { like, count } = addInstances.parse(request.body)
        const active = fake.tasks.filter(task => same(task.job, key) && !isTerminal(task.status))
        if (!active.some(task => task.instance === like))
          return problem(422, 'INVALID_REQUEST', 'No active task found for a given instance ID.')
        const first = Math.max(...active.map(task => task.instance)) + 1
        const instances = Array.from({ length: count }, (_, at) => first + at)
        for (const id of instances) fake.addTask(key, id, 'PENDING')
        return { status: 200, body: { key, instances, message: null, warnings: [] } }
      }
      const body = verb === 'kill' ? killJob.parse(request.body) : restartJob.parse(request.body)
      const chosen = fake.tasks.filter(task => {
        return same(task.job, key) && !isTerminal(task.status) && (body.all || body.instances?.includes(task.instance))
      })
      for (const task of chosen) {
        if (verb === 'restart') restarting.add(task.taskId)
        move(task, 'KILLING', 'Killed by ann')
      }
      return { status: 200, body: { key, instances: chosen.map(task => task.instance), message: null, warnings: [] } }
    }
    const log = /^\/api\/v1\/tasks\/([^/]+)\/logs$/.exec(url.pathname)
    if (log !== null) {
      const process = url.searchParams.get('process') ?? 'main'
      const stream = url.searchParams.get('stream') ?? 'stdout'
      const text = fake.logs.get(`${log[1]}/${process}/${stream}`)
      if (text === undefined) return problem(404, 'NOT_FOUND', 'There are no such logs')
      const bytes = Buffer.from(text)
      const asked = Number(url.searchParams.get('offset'))
      const offset = asked < 0 ? bytes.length : Math.min(asked, bytes.length)
      const length = asked < 0 ? 0 : Math.min(Number(url.searchParams.get('length') ?? 65_536), 7)
      const data = bytes.subarray(offset, offset + length).toString('base64')
      return { status: 200, body: { process, run: 0, stream, offset, size: bytes.length, rotated: false, data } }
    }
    return problem(404, 'NOT_FOUND', `There is no ${url.pathname}`)
  }

  const answer = (request: SeenRequest, response: ServerResponse): void => {
    const trouble = fake.trouble.shift()
    if (trouble === 'drop') {
      // The change is made, and nobody hears of it: what a retry under the same request id is for.
      remember(request)
      response.destroy()
      return
    }
    if (trouble !== undefined) return send(response, trouble.status, trouble.problem, trouble.headers)
    const { status, body } = remember(request)
    send(response, status, body)
  }
  const remember = (request: SeenRequest): { status: number; body: unknown } => {
    const id = request.headers['idempotency-key']
    const before = typeof id === 'string' ? answers.get(id) : undefined
    if (before !== undefined) return before
    const result = route(request)
    if (typeof id === 'string') answers.set(id, result)
    return result
  }
  const server: Server = createServer((message, response) => {
    const chunks: Buffer[] = []
    message.on('data', chunk => chunks.push(chunk))
    message.on('end', () => {
      const text = Buffer.concat(chunks).toString()
      const body: unknown = text === '' ? null : JSON.parse(text)
      const request = { method: message.method ?? '', url: message.url ?? '', headers: message.headers, body }
      fake.seen.push(request)
      answer(request, response)
    })
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  return Object.assign(fake, { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` })
}

function problem(status: number, code: string, detail: string): { status: number; body: unknown } {
  return { status, body: { type: 'about:blank', title: code, status, code, detail } }
}

function send(response: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}): void {
  response.writeHead(status, { 'content-type': 'application/json', connection: 'close', ...headers })
  response.end(JSON.stringify(body))
}

const same = (a: Task['job'], b: Task['job']): boolean => {
  return a.role === b.role && a.environment === b.environment && a.name === b.name
}
