/**
 * What a client was told about its jobs, and whether the cluster still holds to it. A job whose creation or kill was never
 * answered may be there or not, and says nothing. Pure.
 */

/** A job as the cluster lists it. */
export interface FoundJob {
  readonly name: string
  /** False for one of which only ended tasks are left. */
  readonly isStored: boolean
  readonly active: number
}

export interface Findings {
  /** Acknowledged, never killed, and not there. */
  readonly lost: readonly string[]
  /** Killed, and there. */
  readonly revived: readonly string[]
  /** There, with fewer or more active tasks than instances: `name: 2 of 3`. */
  readonly uneven: readonly string[]
}

type State = 'creating' | 'created' | 'killing' | 'killed'

export class JobAccounts {
  readonly #jobs = new Map<string, { state: State; readonly instances: number }>()

  /** Asked for, and not answered yet. */
  creating(name: string, instances: number): void {
    if (this.#jobs.has(name)) throw new Error(`job ${name} was asked for already`)
    this.#jobs.set(name, { state: 'creating', instances })
  }
  created(name: string): void {
    this.#move(name, 'creating', 'created')
  }
  killing(name: string): void {
    this.#move(name, 'created', 'killing')
  }
  killed(name: string): void {
    this.#move(name, 'killing', 'killed')
  }

  /** Names of those that are known to be there, the oldest first. */
  living(): string[] {
    return [...this.#jobs].filter(([, { state }]) => state === 'created').map(([name]) => name)
  }
  get acknowledged(): number {
    return [...this.#jobs.values()].filter(({ state }) => state === 'created' || state === 'killed').length
  }

  /** Jobs that are not of this client are passed over. */
  compare(found: Iterable<FoundJob>): Findings {
    const there = new Map([...found].map(job => [job.name, job]))
    const lost: string[] = []
    const revived: string[] = []
    const uneven: string[] = []
    for (const [name, { state, instances }] of this.#jobs) {
      const job = there.get(name)
      const isThere = job !== undefined && (job.isStored || job.active > 0)
      if (state === 'killed' && isThere) revived.push(name)
      if (state !== 'created') continue
      if (!isThere) lost.push(name)
      else if (job.active !== instances) uneven.push(`${name}: ${job.active} of ${instances}`)
    }
    return { lost, revived, uneven }
  }

  #move(name: string, from: State, to: State): void {
    const job = this.#jobs.get(name)
    if (job?.state !== from) throw new Error(`job ${name} is ${job?.state ?? 'unknown'}, not ${from}`)
    job.state = to
  }
}
