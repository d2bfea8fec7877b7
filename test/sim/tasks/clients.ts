/**
 * Clients that create, kill and restart jobs under request ids, and repeat what they got no answer to, on whichever node.
 * What they were told and what they have asked is what the oracle holds the cluster to.
 */
import type { Ref } from '../../../src/actors/actor.ts'
import type { Command, JobOutcome } from '../../../src/actors/job-keeper.ts'
import { type JobKey, jobKeyText } from '../../../src/core/base/ids.ts'
import type { Prng } from '../../../src/core/base/prng.ts'
import type { Rejection } from '../../../src/core/base/rejection.ts'
import type { Constraint } from '../../../src/core/job/task-config.ts'
import { taskConfig } from '../../fixtures/rows.ts'
import type { EventQueue } from '../log/event-queue.ts'
import { holds } from '../log/violation.ts'
import type { TaskPlan } from './plan.ts'
import type { NodeScheduler } from './scheduler.ts'

/** What a client knows of a job of its own. */
export interface Job {
  readonly key: JobKey
  readonly isService: boolean
  readonly maxTaskFailures: number
  readonly instances: number
  /** It was acknowledged. */
  isCreated: boolean
  /** Instances that some kill has asked for, answered or not. */
  readonly killAsked: Set<number>
  readonly killDone: Set<number>
  isWholeKillAsked: boolean
  isWholeKillDone: boolean
}

export type Asked = 'create' | 'kill' | 'restart'

/** Repeated under its id until it has a final answer. */
interface Request {
  readonly id: string
  readonly type: Asked
  readonly job: Job
  readonly command: (replyTo: Ref<JobOutcome | Rejection>) => Command
  readonly done: () => void
  /** The first outcome it was told. */
  outcome: string | null
  isOver: boolean
}

export interface ClientWorld {
  readonly plan: TaskPlan
  readonly queue: EventQueue
  readonly random: Prng
  schedulers(): readonly NodeScheduler[]
  /** An outcome has reached its client. */
  acknowledged(request: { readonly id: string; readonly type: Asked; readonly job: Job }): void
}

const TRY_AGAIN = new Set(['NOT_LEADER', 'OUTCOME_UNKNOWN', 'BUSY', 'STORAGE_NOT_READY'])
const ANSWER_MS_MAX = 6_000
/** Each client leaves a job running and turns to another when it has so many. */
const JOBS_KEPT_MAX = 3

type Kept = { job: Job; open: number }

export class JobClients {
  readonly counts = { created: 0, killed: 0, restarted: 0, refused: 0, repeated: 0 }
  readonly open = new Set<Request>()
  /** The newest under each name. */
  readonly jobs = new Map<string, Job>()
  isStopped = false
  readonly #world: ClientWorld
  #names = 0
  #requests = 0

  constructor(world: ClientWorld) {
    this.#world = world
    for (let client = 0; client < world.plan.clients; client++) this.#think([])
  }

  #think(kept: Kept[]): void {
    const { queue, random, plan } = this.#world
    queue.after(random.next() * 2 * plan.thinkMs, () => {
      if (this.isStopped) return
      this.#act(kept)
      this.#think(kept)
    })
  }

  #act(kept: Kept[]): void {
    const { random, plan } = this.#world
    const one = kept[random.int(0, JOBS_KEPT_MAX)]
    if (one === undefined) {
      const fresh: Kept = { job: this.#newJob(`job${this.#names++}`), open: 0 }
      kept.push(fresh)
      return this.#create(fresh)
    }
    if (one.open > 0 && random.next() >= plan.haste) return
    if (one.job.isWholeKillDone) {
      if (one.open > 0) return
      // Under the old name, or under a new one.
      one.job = this.#newJob(random.next() < 0.5 ? one.job.key.name : `job${this.#names++}`)
      return this.#create(one)
    }
    // It was refused.
    if (!one.job.isCreated && one.open === 0) return this.#create(one)
    const dice = random.next()
    if (dice < 0.25) this.#kill(one, null)
    else if (dice < 0.5) this.#kill(one, [random.int(0, one.job.instances)])
    else if (dice < 0.75) this.#restart(one)
  }

  #newJob(name: string): Job {
    const { random, plan } = this.#world
    const key: JobKey = { role: 'www-data', environment: 'devel', name }
    const job: Job = {
      key,
      isService: random.next() < 0.6,
      maxTaskFailures: random.int(-1, 4),
      instances: random.int(1, Math.min(3, plan.agents) + 1),
      isCreated: false,
      killAsked: new Set(),
      killDone: new Set(),
      isWholeKillAsked: false,
      isWholeKillDone: false,
    }
    this.jobs.set(jobKeyText(key), job)
    return job
  }

  #create(one: Kept): void {
    const { random } = this.#world
    const { job } = one
    const limits: Constraint[] = [{ name: 'host', rule: { type: 'limit', limit: 1 } }]
    const task = taskConfig({
      job: job.key,
      isService: job.isService,
      maxTaskFailures: job.maxTaskFailures,
      resources: { cpusMilli: random.int(1, 4) * 50, ramMb: 32, diskMb: 32, gpus: 0 },
      ports: random.next() < 0.4 ? ['http'] : [],
      constraints: random.next() < 0.2 ? limits : [],
      executor: { name: 'AuroraExecutor', data: '{}' },
      ...(random.next() < 0.3
        ? { partitionPolicy: { reschedule: random.next() < 0.8, delaySecs: random.int(0, 5) } }
        : {}),
    })
    const submitted = { key: job.key, owner: 'www-data', instanceCount: job.instances, task }
    this.#request(
      one,
      'create',
      ids => ({ type: 'create', ...ids, job: submitted }),
      () => {
        job.isCreated = true
        this.counts.created++
      },
    )
  }

  #kill(one: Kept, instances: readonly number[] | null): void {
    const { job } = one
    const meant = instances ?? Array.from({ length: job.instances }, (_, n) => n)
    for (const instance of meant) job.killAsked.add(instance)
    if (instances === null) job.isWholeKillAsked = true
    // Only what was asked after the creation is known to have come after it.
    const isCreated = job.isCreated
    this.#request(
      one,
      'kill',
      ids => ({ type: 'kill', ...ids, key: job.key, instances, message: null }),
      () => {
        this.counts.killed++
        if (!isCreated) return
        for (const instance of meant) job.killDone.add(instance)
        if (instances === null) job.isWholeKillDone = true
      },
    )
  }

  #restart(one: Kept): void {
    const { key } = one.job
    this.#request(
      one,
      'restart',
      ids => ({ type: 'restart', ...ids, key, instances: null }),
      () => {
        this.counts.restarted++
      },
    )
  }

  #request(
    one: Kept,
    type: Asked,
    command: (ids: Pick<Command, 'requestId' | 'fingerprint' | 'user' | 'replyTo'>) => Command,
    done: () => void,
  ): void {
    const id = `request-${++this.#requests}`
    one.open++
    const request: Request = {
      id,
      type,
      job: one.job,
      // A user of its own, so that what it led to can be told from the history of tasks.
      command: replyTo => command({ requestId: id, fingerprint: 'f', user: `user-${id}`, replyTo }),
      done: () => {
        one.open--
        done()
      },
      outcome: null,
      isOver: false,
    }
    this.open.add(request)
    this.#send(request, () => one.open--)
  }

  /** Asks some node; when that does not help, another, a little later. */
  #send(request: Request, refused: () => void): void {
    const { queue, random, plan } = this.#world
    let isWaiting = true
    const again = (afterMs: number): void => {
      if (!isWaiting) return
      isWaiting = false
      cancel()
      queue.after(afterMs, () => {
        if (request.isOver) return
        this.counts.repeated++
        this.#send(request, refused)
      })
    }
    const cancel = queue.after(ANSWER_MS_MAX, () => again(0))
    const answered = (said: JobOutcome | Rejection): void => {
      if (said.type === 'rejected' && TRY_AGAIN.has(said.code)) return again(random.next() * 1_000)
      if (said.type === 'done') this.#told(request, said)
      if (request.isOver) return
      request.isOver = true
      isWaiting = false
      cancel()
      this.open.delete(request)
      if (said.type === 'done') {
        request.done()
        this.#world.acknowledged(request)
      } else {
        this.counts.refused++
        refused()
      }
    }
    const travels = (): number => 0.05 + random.next() * (random.next() < 0.05 ? 5_000 : 2)
    const node = this.#anyNode()
    if (node === undefined) return again(random.next() * 1_000)
    queue.after(travels(), () => {
      const replyTo: Ref<JobOutcome | Rejection> = {
        path: '/client',
        tell: said => {
          if (this.isStopped || random.next() >= plan.answersLost) queue.after(travels(), () => answered(said))
          return true
        },
      }
      node.call(
        leading => void leading.jobKeeper.tell(request.command(replyTo)),
        () => queue.after(travels(), () => again(random.next() * 1_000)),
      )
    })
  }

  /** However often it was asked, it was done once. */
  #told(request: Request, { instances }: JobOutcome): void {
    const outcome = instances.join()
    request.outcome ??= outcome
    holds(
      request.outcome === outcome,
      'a request that is repeated gets the first outcome',
      () => `${request.type} ${request.id} of ${request.job.key.name}: ${request.outcome}, then ${outcome}`,
    )
  }

  #anyNode(): NodeScheduler | undefined {
    const { random } = this.#world
    const found = this.#world.schedulers()
    const leading = found.filter(({ leads }) => leads)
    const from = leading.length > 0 && random.next() < 0.8 ? leading : found
    return from[random.int(0, from.length)]
  }
}
