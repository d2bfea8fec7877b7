/**
 * What has names, in order and to be found by any part of them: the keys of jobs, their roles with what each has, the
 * machines, and the ids of tasks. Kept by the tables as rows come and go; a page of any of these lists, and a search,
 * cost what they show and not what there is.
 */
import type { AgentId, JobKey, TaskId } from '../base/ids.ts'
import { SortedMap } from '../base/sorted-map.ts'
import { IdEndings } from './id-endings.ts'
import { NameIndex, type Ranked } from './name-index.ts'
import type { AgentRow } from './rows.ts'

export interface RoleCounts {
  readonly role: string
  /** With a job row or tasks, ended ones too. */
  readonly jobs: number
  /** Of these: with tasks, ended ones too. */
  readonly jobsWithTasks: number
  /** With a timetable. */
  readonly cronJobs: number
}

/** What a search looks into. */
export interface Names {
  roles(words: readonly string[], limit: number): Ranked<string>[]
  jobs(words: readonly string[], limit: number): Ranked<JobKey>[]
  agents(words: readonly string[], limit: number): Ranked<NamedAgent>[]
  /** In order, from the first that is not before `text` on. */
  taskIdsFrom(text: string): Iterable<TaskId>
  /** In any order. Shape: at least `ENDING_LETTERS_MIN` letters. */
  taskIdsEndingWith(text: string): readonly TaskId[]
}

export type NamedAgent = Pick<AgentRow, 'agentId' | 'host'>

type Counted = 'jobs' | 'jobsWithTasks' | 'cronJobs'

export class Directory implements Names {
  readonly #jobs = new SortedMap<JobKey>()
  readonly #roles = new SortedMap<{ role: string } & Record<Counted, number>>()
  readonly #taskIds = new SortedMap<undefined>()
  readonly #taskEndings = new IdEndings<TaskId>()
  readonly #roleNames = new NameIndex<string>()
  readonly #jobNames = new NameIndex<JobKey>()
  readonly #agentNames = new NameIndex<NamedAgent>()

  // ---- What comes and goes ----

  /** `text`: of the key. Not there yet. */
  addJob(text: string, key: JobKey): void {
    this.#jobs.set(text, key)
    this.#jobNames.set(text, [text, key.name], key)
    this.count(key.role, 'jobs', 1)
  }
  deleteJob(text: string, { role }: JobKey): void {
    this.#jobs.delete(text)
    this.#jobNames.delete(text)
    this.count(role, 'jobs', -1)
  }

  /** A role of which nothing is left is no role. */
  count(role: string, what: Counted, by: 1 | -1): void {
    let counts = this.#roles.get(role)
    if (counts === undefined) {
      counts = { role, jobs: 0, jobsWithTasks: 0, cronJobs: 0 }
      this.#roles.set(role, counts)
      this.#roleNames.set(role, [role], role)
    }
    counts[what] += by
    if (counts.jobs > 0 || counts.jobsWithTasks > 0 || counts.cronJobs > 0) return
    this.#roles.delete(role)
    this.#roleNames.delete(role)
  }

  putAgent(row: AgentRow, before: AgentRow | undefined): void {
    if (before?.host === row.host) return
    if (before !== undefined) this.deleteAgent(before)
    const { agentId, host } = row
    this.#agentNames.set(agentPlace(host, agentId), [host, agentId], { agentId, host })
  }
  deleteAgent({ host, agentId }: AgentRow): void {
    this.#agentNames.delete(agentPlace(host, agentId))
  }

  addTask(id: TaskId): void {
    this.#taskIds.set(id, undefined)
    this.#taskEndings.add(id)
  }
  deleteTask(id: TaskId): void {
    this.#taskIds.delete(id)
    this.#taskEndings.delete(id)
  }

  clear(): void {
    for (const part of [this.#jobs, this.#roles, this.#taskIds, this.#taskEndings]) part.clear()
    for (const names of [this.#roleNames, this.#jobNames, this.#agentNames]) names.clear()
  }

  // ---- What is asked ----

  /** In the order of their texts. */
  jobKeys(): JobKey[] {
    return this.#jobs.values()
  }
  /** From the first whose text is not before `text` on. */
  *jobKeysFrom(text: string): Generator<JobKey> {
    for (const [, key] of this.#jobs.from(text)) yield key
  }
  *rolesFrom(name: string): Generator<RoleCounts> {
    for (const [, counts] of this.#roles.from(name)) yield counts
  }
  roles(words: readonly string[], limit: number): Ranked<string>[] {
    return this.#roleNames.find(words, limit)
  }
  jobs(words: readonly string[], limit: number): Ranked<JobKey>[] {
    return this.#jobNames.find(words, limit)
  }
  agents(words: readonly string[], limit: number): Ranked<NamedAgent>[] {
    return this.#agentNames.find(words, limit)
  }
  *taskIdsFrom(text: string): Generator<TaskId> {
    for (const [id] of this.#taskIds.from(text)) yield id as TaskId
  }
  taskIdsEndingWith(text: string): readonly TaskId[] {
    return this.#taskEndings.endingWith(text)
  }
}

/** Keys of one role in order, from the first whose text is not before `from` on. */
export function* jobKeysOfRole(
  view: { jobKeysFrom(text: string): Iterable<JobKey> },
  role: string,
  from = '',
): Generator<JobKey> {
  const first = `${role}/`
  for (const key of view.jobKeysFrom(from < first ? first : from)) {
    if (key.role !== role) return
    yield key
  }
}

/** By host, then by id. */
const agentPlace = (host: string, id: AgentId): string => `${host}\0${id}`
