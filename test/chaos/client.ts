/**
 * One client of the cluster under chaos: one numbered operation after the other, each under a request id of its own and
 * sent again, under the same id, until it is acknowledged. What was acknowledged is remembered and compared at the end;
 * what it reads in between must never be older than what it was told.
 */
import { type Prng, prng } from '../../src/core/base/prng.ts'
import type { JobConfiguration } from '../../src/core/job/task-config.ts'
import { type JobDetail, REQUEST_ID_HEADER } from '../../src/wire/rest.ts'

/** Longer than a lease: a client that waits for a stopped leader must come away from it. */
const ATTEMPT_MS_MAX = 2_000
const RETRY_PAUSE_MS = 50
/** Between two operations: the faults are the point, not the load. */
const PAUSE_MS_MAX = 40
/** Tasks that really run, per client: each is a handful of processes on the machine of the test. */
const RUNNING_JOBS_MAX = 3

export type JobMaker = (name: string, kind: 'pending' | 'running', instances: number) => JobConfiguration

/** What must be true of a job after the last operation on it. */
export interface KnownJob {
  readonly name: string
  readonly kind: 'pending' | 'running'
  readonly instances: number
  killed: boolean
}

export interface ClientOptions {
  readonly number: number
  readonly seed: number
  readonly urls: readonly string[]
  readonly jobPath: (name: string) => string
  readonly jobOf: JobMaker
  readonly onAcknowledged: () => void
  readonly onViolation: (text: string) => void
}

export class Client {
  readonly jobs = new Map<string, KnownJob>()
  /** Request ids in the order of their acknowledgement. */
  readonly acknowledged: string[] = []
  /** Tries after which nobody could say whether it was done, and those that were refused for now. */
  unknown = 0
  refused = 0
  readonly #options: ClientOptions
  readonly #prng: Prng
  #operations = 0
  #turn: number
  #ended = false
  readonly #abandoned = new AbortController()

  constructor(options: ClientOptions) {
    this.#options = options
    this.#prng = prng(options.seed * 1_000 + options.number)
    this.#turn = options.number
  }

  /** The operation that is begun is still brought to its end. */
  end(): void {
    this.#ended = true
  }

  /** Also what is begun: the cluster is about to be taken away, and its addresses may be somebody else's then. */
  abandon(): void {
    this.#ended = true
    this.#abandoned.abort()
  }

  async run(): Promise<void> {
    while (!this.#ended) {
      await this.#operate()
      await pause(this.#prng.int(0, PAUSE_MS_MAX))
    }
  }

  async #operate(): Promise<void> {
    const { number, jobPath, jobOf } = this.#options
    const id = `chaos-${number}-${++this.#operations}`
    const living = [...this.jobs.values()].filter(job => !job.killed)
    const isKill = this.#prng.next() < 0.3
    const victim = isKill ? living[this.#prng.int(0, Math.max(1, living.length))] : undefined
    if (victim !== undefined) {
      if (!(await this.#acknowledge(id, `${jobPath(victim.name)}:kill`, { all: true }))) return
      victim.killed = true
      await this.#readBack(victim)
      return
    }
    const mayRun = living.filter(job => job.kind === 'running').length < RUNNING_JOBS_MAX
    const kind = mayRun && this.#prng.next() < 0.2 ? 'running' : 'pending'
    const instances = kind === 'running' ? 1 : this.#prng.int(1, 4)
    const job = { name: `c${number}-n${this.#operations}`, kind, instances, killed: false } as const
    if (!(await this.#acknowledge(id, '/api/v1/jobs', { job: jobOf(job.name, kind, instances) }))) return
    const known: KnownJob = { ...job }
    this.jobs.set(job.name, known)
    await this.#readBack(known)
  }

  /** False when it was refused for good: which a right scheduler never does here. */
  async #acknowledge(id: string, path: string, body: unknown): Promise<boolean> {
    for (;;) {
      if (this.#abandoned.signal.aborted) return false
      const answer = await this.#ask(path, {
        method: 'POST',
        headers: { 'content-type': 'application/json', [REQUEST_ID_HEADER]: id },
        body: JSON.stringify(body),
      })
      if (this.#abandoned.signal.aborted) return false
      if (answer !== null && answer.status < 300) {
        this.acknowledged.push(id)
        this.#options.onAcknowledged()
        return true
      }
      if (answer !== null && answer.status < 500) {
        this.#options.onViolation(`${id} was refused: ${answer.status} ${answer.text}`)
        return false
      }
      if (answer === null || answer.text.includes('OUTCOME_UNKNOWN')) this.unknown++
      else this.refused++
      await pause(RETRY_PAUSE_MS)
    }
  }

  async #readBack(job: KnownJob): Promise<void> {
    const answer = await this.#ask(this.#options.jobPath(job.name), {})
    // No answer is no stale answer.
    if (answer === null || answer.status >= 500) return
    const active = answer.status === 200 ? (JSON.parse(answer.text) as JobDetail).active : []
    if (!job.killed && active.length !== job.instances) {
      this.#options.onViolation(
        `a stale read: ${job.name} was created with ${job.instances} instances, then read with ${active.length} (${answer.status})`,
      )
    }
    const alive = active.filter(task => task.status !== 'KILLING')
    if (job.killed && alive.length > 0) {
      const statuses = alive.map(task => task.status).join(', ')
      this.#options.onViolation(`a stale read: ${job.name} was killed, then read as ${statuses}`)
    }
  }

  /** Of whichever node is next in turn; redirects are followed. Null: nobody answered. */
  async #ask(path: string, init: RequestInit): Promise<{ status: number; text: string } | null> {
    const { urls } = this.#options
    const url = urls[this.#turn++ % urls.length]!
    try {
      const signal = AbortSignal.any([AbortSignal.timeout(ATTEMPT_MS_MAX), this.#abandoned.signal])
      const response = await fetch(url + path, { ...init, signal })
      return { status: response.status, text: await response.text() }
    } catch (cause) {
      // Nobody took the connection, so nobody has the request.
      const { code } = ((cause as Error).cause ?? {}) as { code?: unknown }
      return code === 'ECONNREFUSED' ? { status: 503, text: 'nobody listens' } : null
    }
  }
}

export function pause(ms: number): Promise<void> {
  return new Promise(done => setTimeout(done, ms))
}
