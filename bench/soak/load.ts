/**
 * The load of a soak, in a process of its own: jobs created, restarted and killed, reads of every kind, and a reader of
 * the events, each at a constant rate whatever the cluster does. A write that fails is sent again under the same request
 * id until it is answered; what failed and when is told to the benchmark, which knows what was to be expected.
 */
import { prng } from '../../src/core/base/prng.ts'
import { REQUEST_ID_HEADER } from '../../src/wire/rest.ts'
import { THRIFT_HEADERS, thriftCall } from '../api/client.ts'
import { jobBody } from '../lifecycle/job-body.ts'
import { answer } from '../log/child.ts'
import { type Findings, type FoundJob, JobAccounts } from './accounts.ts'
import { EventReader } from './event-reader.ts'
import type { Failure, Timing } from './soak-report.ts'

export interface Taken {
  readonly timings: readonly Timing[]
  readonly failures: readonly Failure[]
  /** Writes that were accepted so far. */
  readonly accepted: number
  readonly events: number
}

export type LoadQuestions = {
  /** Settles when the first jobs are there; the load goes on from then. */
  begin: { readonly ask: { readonly urls: readonly string[] }; readonly answer: null }
  /** What has happened since the last time. */
  take: { readonly ask: null; readonly answer: Taken }
  /** Nothing more is begun; settles when all that was begun has been answered, or given up. */
  stop: { readonly ask: null; readonly answer: Taken }
  /** Whether the cluster has what it said it has. */
  check: { readonly ask: { readonly url: string }; readonly answer: Findings & { readonly acknowledged: number } }
}

const KEY = { role: 'soak', environment: 'test' }
const JOBS = 100
const INSTANCES = 4
/** Jobs that fit nowhere: they wait as long as they are there. */
const WAITING_JOBS = 20
const PER_SECOND = {
  create: 0.7,
  kill: 0.7,
  restart: 0.3,
  job: 5,
  tasks: 2,
  jobs: 0.5,
  thriftTasks: 1,
  thriftSummary: 1,
}
const TICK_MS = 10
const ATTEMPT_MS_MAX = 5_000
/** Of one operation, from when it was due: what takes longer is given up, and an error. */
const OPERATION_MS_MAX = 60_000
const RETRY_MS = 100
const IN_FLIGHT_MAX = 200
const LISTED = 1_000

type Kind = keyof typeof PER_SECOND
const WRITES: readonly Kind[] = ['create', 'kill', 'restart']

const random = prng(1)
const accounts = new JobAccounts()
const busyJobs = new Set<string>()
let urls: readonly string[] = []
let at = 0
let serial = 0
let inFlight = 0
let accepted = 0
let timings: Timing[] = []
let failures: Failure[] = []
let timer: NodeJS.Timeout | null = null
let reader: EventReader | null = null

const wallMs = (): number => performance.timeOrigin + performance.now()
const pause = (ms: number): Promise<void> => new Promise(done => setTimeout(done, ms))

async function begin(ask: { readonly urls: readonly string[] }): Promise<null> {
  urls = ask.urls
  for (let job = 0; job < WAITING_JOBS; job++) await create(wallMs(), 'waiting', 1)
  for (let job = 0; job < JOBS; job++) await create(wallMs(), 'job', INSTANCES)
  timings = []
  reader = new EventReader(urls, failed)
  pace()
  return null
}

/** One step of each kind whenever it is due. */
function pace(): void {
  const beganMs = wallMs()
  const done = new Map<Kind, number>()
  timer = setInterval(() => {
    const nowMs = wallMs()
    for (const [kind, perSecond] of Object.entries(PER_SECOND) as [Kind, number][]) {
      let said = done.get(kind) ?? 0
      for (; said / perSecond <= (nowMs - beganMs) / 1_000; said++) {
        const dueMs = beganMs + (said / perSecond) * 1_000
        if (inFlight >= IN_FLIGHT_MAX) failed(`${kind}: not begun, ${IN_FLIGHT_MAX} operations have no answer yet`)
        else void operate(kind, dueMs)
      }
      done.set(kind, said)
    }
  }, TICK_MS)
}

async function operate(kind: Kind, dueMs: number): Promise<void> {
  inFlight++
  try {
    if (await stepOf(kind, dueMs)) timings.push({ isWrite: WRITES.includes(kind), dueMs, tookMs: wallMs() - dueMs })
  } catch (cause) {
    failed(`${kind}: ${textOf(cause)}`)
  } finally {
    inFlight--
  }
}

/** False when there was nothing to do it to, or when it was given up. */
async function stepOf(kind: Kind, dueMs: number): Promise<boolean> {
  const path = (name: string): string => `/api/v1/jobs/${KEY.role}/${KEY.environment}/${name}`
  switch (kind) {
    case 'create':
      return create(dueMs, 'job', INSTANCES)
    case 'kill': {
      const name = freeJobs()[0]
      if (name === undefined) return false
      accounts.killing(name)
      const isDone = await write(dueMs, `${path(name)}:kill`, `kill-${name}`, { all: true })
      if (isDone) accounts.killed(name)
      return isDone
    }
    case 'restart': {
      const name = oneOf(freeJobs())
      if (name === undefined) return false
      busyJobs.add(name)
      try {
        return await write(dueMs, `${path(name)}:restart`, `restart-${++serial}`, { all: true })
      } finally {
        busyJobs.delete(name)
      }
    }
    case 'job': {
      const name = oneOf(accounts.living())
      return name !== undefined && (await attempts(dueMs, url => get(`${url}${path(name)}`)))
    }
    case 'tasks':
      return attempts(dueMs, url => get(`${url}/api/v1/tasks?limit=100`))
    case 'jobs':
      return attempts(dueMs, url => get(`${url}/api/v1/jobs?limit=100`))
    case 'thriftTasks': {
      const name = oneOf(accounts.living())
      if (name === undefined) return false
      const call = thriftCall('getTasksStatus', { query: { jobKeys: [{ ...KEY, name }] } })
      return attempts(dueMs, url => thrift(url, call))
    }
    case 'thriftSummary':
      return attempts(dueMs, url => thrift(url, thriftCall('getJobSummary', { role: KEY.role })))
  }
}

async function create(dueMs: number, prefix: 'job' | 'waiting', instances: number): Promise<boolean> {
  const name = `${prefix}-${++serial}`
  accounts.creating(name, instances)
  const body = jobBody({ ...KEY, name }, instances, prefix === 'job' ? undefined : 'nowhere')
  const isDone = await write(dueMs, '/api/v1/jobs', `create-${name}`, body)
  if (isDone) accounts.created(name)
  return isDone
}

/** Those that nothing is being done to, the oldest first; the waiting ones stay. */
function freeJobs(): string[] {
  return accounts.living().filter(name => name.startsWith('job-') && !busyJobs.has(name))
}
const oneOf = (names: readonly string[]): string | undefined => names[random.int(0, Math.max(1, names.length))]

async function write(dueMs: number, path: string, requestId: string, body: object): Promise<boolean> {
  const headers = { 'content-type': 'application/json', [REQUEST_ID_HEADER]: requestId }
  const isDone = await attempts(dueMs, url =>
    request(`${url}${path}`, { method: 'POST', headers, body: JSON.stringify(body) }),
  )
  if (isDone) accepted++
  return isDone
}

/** Asks one node after the other until one has answered as it should. */
async function attempts(dueMs: number, once: (url: string) => Promise<unknown>): Promise<boolean> {
  for (;;) {
    const asked = at
    try {
      await once(urls[asked % urls.length]!)
      return true
    } catch (cause) {
      failed(textOf(cause))
      if (at === asked) at++
    }
    if (wallMs() - dueMs > OPERATION_MS_MAX) {
      failed(`given up after ${OPERATION_MS_MAX / 1_000} s`, true)
      return false
    }
    await pause(RETRY_MS)
  }
}

const get = (url: string): Promise<void> => request(url, {})

/** Follows to the leader, and asks that one from then on. */
async function request(url: string, init: RequestInit): Promise<void> {
  const answered = await fetch(url, { ...init, signal: AbortSignal.timeout(ATTEMPT_MS_MAX) })
  const text = await answered.text()
  const { pathname } = new URL(url)
  if (!answered.ok) throw new Error(`${answered.status} ${text.slice(0, 200)} (${pathname.replace(/-\d+/g, '-N')})`)
  if (!answered.redirected) return
  const leader = urls.indexOf(new URL(answered.url).origin)
  if (leader >= 0) at = leader
}

function thrift(url: string, body: Buffer): Promise<void> {
  return request(`${url}/api`, { method: 'POST', headers: THRIFT_HEADERS, body })
}

function failed(what: string, isFinal = false): void {
  failures.push({ atMs: wallMs(), what: what.replace(/127\.0\.0\.1:\d+/g, 'NODE'), isFinal })
}

function textOf(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause)
  return cause.cause instanceof Error ? `${cause.message}: ${cause.cause.message}` : cause.message
}

function take(): Taken {
  const taken = { timings, failures, accepted, events: reader?.events ?? 0 }
  timings = []
  failures = []
  return taken
}

async function stop(): Promise<Taken> {
  if (timer !== null) clearInterval(timer)
  reader?.end()
  while (inFlight > 0) await pause(TICK_MS)
  return take()
}

interface JobPage {
  readonly jobs: readonly {
    readonly key: { readonly name: string }
    readonly active: number
    readonly createdAtMs: number | null
  }[]
  readonly next: string | null
}

async function check({ url }: { readonly url: string }): Promise<Findings & { readonly acknowledged: number }> {
  const found: FoundJob[] = []
  for (let cursor: string | null = ''; cursor !== null; ) {
    const behind: string = cursor === '' ? '' : `&cursor=${cursor}`
    const answered = await fetch(`${url}/api/v1/jobs?role=${KEY.role}&limit=${LISTED}${behind}`)
    if (!answered.ok) throw new Error(`list of jobs: ${answered.status} ${await answered.text()}`)
    const page = (await answered.json()) as JobPage
    found.push(
      ...page.jobs.map(({ key, active, createdAtMs }) => ({ name: key.name, active, isStored: createdAtMs !== null })),
    )
    cursor = page.next
  }
  return { ...accounts.compare(found), acknowledged: accounts.acknowledged }
}

answer<LoadQuestions>({ begin, take, stop, check }, () => {})
