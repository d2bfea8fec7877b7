/**
 * What is asked of a leader to see whether it costs more where there is more: each operation answers the same amount
 * whatever the size of the cluster, and each time something else is asked for, but for pages, which are the same page.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { jobKeyText } from '../../src/core/base/ids.ts'
import { writeCursor } from '../../src/runtime/http/paging.ts'
import { jobConfigurationOf } from '../../test/fixtures/job-configurations.ts'
import type { Client } from '../api/client.ts'
import { hostOf, jobKeyOf, type Sizes, taskIdOf } from '../lifecycle/rows.ts'

export type Group = 'lookup' | 'list' | 'write'

export interface Operation {
  readonly name: string
  readonly group: Group
  /** How many different ones there are to ask for, each by one of as many numbers in a row; null: always the same, or new ones. */
  readonly things: number | null
  /** The n-th; answers when the last byte is there. */
  ask(client: Client, n: number): Promise<unknown>
}

const INSTANCES = 20
const LIVE = 4
const JOBS_OF_ROLE = 10
/** Of a list: every size has more than twice as much. */
const PAGE = { tasks: 100, jobs: 20, roles: 2 }
/** So many tasks a host, ended ones too. */
const TASKS_OF_HOST = 50

/** `tasks` in all: jobs of 20 instances, of which 4 run and 16 have ended unless all are to run. */
export function sizesOf(tasks: number, live: 'some' | 'all' = 'some'): Required<Pick<Sizes, 'roles' | 'live'>> & Sizes {
  const jobs = tasks / INSTANCES
  // One host more than is even, so that tasks of all instances meet on each.
  const agents = Math.ceil(tasks / TASKS_OF_HOST) + 1
  return { jobs, instances: INSTANCES, agents, roles: jobs / JOBS_OF_ROLE, live: live === 'all' ? INSTANCES : LIVE }
}

/** On a cluster of `sizesOf`. `run`: another word for each run of the benchmark on it, for the names of what is made. */
export function operations(sizes: ReturnType<typeof sizesOf>): readonly Operation[] {
  const { jobs, agents, roles, live } = sizes
  // A step that has no factor in common with the numbers here, so that neighbours are not asked for one after the other.
  const jobAt = (n: number) => jobKeyOf((n * 7_919) % jobs, roles)
  const taskAt = (n: number) => taskIdOf(jobAt(n), n % INSTANCES, n % INSTANCES < live)
  const middle = jobKeyOf(Math.floor(jobs / 2), roles)
  const behindMiddle = encodeURIComponent(writeCursor([jobKeyText(middle), 0, taskIdOf(middle, 0, true)]))
  const behindMiddleJob = encodeURIComponent(writeCursor([jobKeyText(middle)]))
  const behindMiddleRole = encodeURIComponent(writeCursor([middle.role]))
  const get = (name: string, group: Group, things: number | null, path: (n: number) => string): Operation => {
    return { name, group, things, ask: (client, n) => client.get(`/api/v1/${path(n)}`) }
  }
  return [
    get('task', 'lookup', jobs, n => `tasks/${taskAt(n)}`),
    get('instance', 'lookup', jobs, n => `tasks?job=${jobKeyText(jobAt(n))}&instance=${n % INSTANCES}`),
    get('job', 'lookup', jobs, n => `jobs/${jobKeyText(jobAt(n))}`),
    get('search-job', 'lookup', jobs, n => `search?q=${jobAt(n).name}`),
    get('search-host', 'lookup', agents, n => `search?q=${hostOf((n * 7_919) % agents)}&limit=1`),
    get('search-part', 'lookup', jobs, n => `search?q=${jobAt(n).name.slice(3)}&limit=1`),
    get('search-task', 'lookup', jobs, n => `search?q=${taskAt(n).slice(0, -4)}`),
    get('tasks-of-job', 'list', jobs, n => `tasks?job=${jobKeyText(jobAt(n))}`),
    get('tasks-of-host', 'list', agents, n => `tasks?host=${hostOf((n * 7_919) % agents)}`),
    get('tasks-first-page', 'list', null, () => `tasks?limit=${PAGE.tasks}`),
    get('tasks-middle-page', 'list', null, () => `tasks?limit=${PAGE.tasks}&cursor=${behindMiddle}`),
    get('jobs-first-page', 'list', null, () => `jobs?limit=${PAGE.jobs}`),
    get('jobs-middle-page', 'list', null, () => `jobs?limit=${PAGE.jobs}&cursor=${behindMiddleJob}`),
    get('jobs-of-role', 'list', roles, n => `jobs?role=${jobAt(n).role}`),
    get('roles-first-page', 'list', null, () => `roles?limit=${PAGE.roles}`),
    get('roles-middle-page', 'list', null, () => `roles?limit=${PAGE.roles}&cursor=${behindMiddleRole}`),
    {
      name: 'thrift-tasks-of-job',
      group: 'list',
      things: jobs,
      ask: (client, n) => client.thrift('getTasksStatus', { query: { jobKeys: [jobAt(n)] } }),
    },
    {
      name: 'thrift-jobs-of-role',
      group: 'list',
      things: roles,
      ask: (client, n) => client.thrift('getJobSummary', { role: jobAt(n).role }),
    },
    createAndKill(),
    createAndList(),
  ]
}

/** A job that no machine can run is made and, once that is durable, killed; that is durable too when it is answered. */
function createAndKill(): Operation {
  const made = jobMaker('made')
  return { name: 'create-and-kill', group: 'write', things: null, ask: (client, n) => made(client, n, async () => {}) }
}

/** The same, and the list of jobs is read in between: what keeps lists in order is kept so while jobs come and go. */
function createAndList(): Operation {
  const made = jobMaker('listed')
  return {
    name: 'create-list-and-kill',
    group: 'write',
    things: null,
    ask: (client, n) => made(client, n, () => client.get(`/api/v1/jobs?limit=${PAGE.jobs}`)),
  }
}

const NAME = 'name-of-the-job'

function jobMaker(prefix: string) {
  const folder = mkdtempSync(join(tmpdir(), 'daybreak-bench-memory-'))
  const file = join(folder, 'job.yaml')
  writeFileSync(
    file,
    `service: true
constraints: { host: nowhere }
task:
  processes:
    - { name: idles, cmdline: 'exec sleep 1000' }
  resources: { cpu: 0.01, ram: 1MiB, disk: 1MiB }
`,
  )
  const key = { role: 'made', environment: 'devel', name: NAME }
  const text = JSON.stringify({ job: { ...jobConfigurationOf(file, key), instanceCount: 1 } })
  rmSync(folder, { recursive: true, force: true })
  let jobs = 0
  return async (client: Client, n: number, between: () => Promise<unknown>): Promise<void> => {
    const name = `${prefix}-${n}-${++jobs}`
    await client.post('/api/v1/jobs', JSON.parse(text.replaceAll(NAME, name)), `make-${name}`)
    await between()
    await client.post(`/api/v1/jobs/made/devel/${name}:kill`, { all: true }, `kill-${name}`)
  }
}
