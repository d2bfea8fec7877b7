/** The state of a large cluster as rows, put into the logs of nodes that do not run. */
import { agentId, configId, type JobKey, jobKeyText, type TaskId } from '../../src/core/base/ids.ts'
import type { TaskConfig } from '../../src/core/job/task-config.ts'
import { batchPayload, encodeTransaction, type RowBytes } from '../../src/core/ledger/payload.ts'
import { type Rows, TABLE_NUMBERS, type TableName, type TaskRow } from '../../src/core/ledger/rows.ts'
import type { TaskStatus } from '../../src/core/task/status.ts'
import { newTaskId } from '../../src/core/task/task-id.ts'
import { encodeRow } from '../../src/wire/ledger-rows.ts'

export interface Sizes {
  readonly jobs: number
  /** Of each job: so many live, and as many that have ended; but see `live`. */
  readonly instances: number
  /** Of each job the first so many instances have a task that runs, and the others one that has ended: no instance has both. */
  readonly live?: number
  readonly agents: number
  /** Jobs are of so many roles in turn. Default: 50. */
  readonly roles?: number
  /** One job more, with so many live tasks. Default: none. */
  readonly largeJob?: number
}

export const LARGE_JOB: JobKey = { role: 'team-large', environment: 'prod', name: 'large' }

const ROWS_PER_POSITION = 500
const HISTORY: readonly TaskStatus[] = ['PENDING', 'ASSIGNED', 'STARTING', 'RUNNING', 'FINISHED']

/** Live tasks are ASSIGNED, the state with a timer and a launch to repeat: the dearest that a leader can find. */
const LIVE = 2
const RUNNING = 4

export const agentIdOf = (at: number): string => `bench-agent-${at}`
export const hostOf = (at: number): string => `host-${at}`

export const jobKeyOf = (at: number, roles: number): JobKey => {
  return { role: `team-${at % roles}`, environment: 'prod', name: `job-${String(at).padStart(5, '0')}` }
}
/** As a leader makes them, but always the same UUID for the same task. */
export const taskIdOf = (key: JobKey, instance: number, isLive: boolean): TaskId =>
  newTaskId(key, instance, uuidOf(`${jobKeyText(key)}/${instance}/${isLive ? 'live' : 'ended'}`))

function uuidOf(text: string): string {
  let digits = ''
  for (let part = 0; part < 4; part++) {
    let hash = 0x811c9dc5 ^ part
    for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193)
    // Names that differ in their last letter would else give numbers that are alike.
    hash = Math.imul(hash ^ (hash >>> 15), 0x85ebca6b)
    hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
    digits += ((hash ^ (hash >>> 16)) >>> 0).toString(16).padStart(8, '0')
  }
  const [a, b, c, d, e] = [
    digits.slice(0, 8),
    digits.slice(8, 12),
    digits.slice(13, 16),
    digits.slice(17, 20),
    digits.slice(20),
  ]
  return `${a}-${b}-4${c}-8${d}-${e}`
}

/** Payloads of log positions, in order. */
export function* payloads(sizes: Sizes, nowMs: number): Generator<Uint8Array> {
  let waiting: RowBytes[] = []
  for (const row of rows(sizes, nowMs)) {
    if (waiting.push(row) < ROWS_PER_POSITION) continue
    yield payload(waiting, nowMs)
    waiting = []
  }
  if (waiting.length > 0) yield payload(waiting, nowMs)
}

function payload(changes: readonly RowBytes[], wallMs: number): Uint8Array {
  return batchPayload([encodeTransaction({ who: 'bench', why: 'fill', wallMs }, changes)])
}

function* rows({ jobs, instances, agents, live, roles = 50, largeJob = 0 }: Sizes, nowMs: number): Generator<RowBytes> {
  for (let at = 0; at < agents; at++) {
    const id = agentId(agentIdOf(at))
    yield put('agent', id, {
      v: 1,
      agentId: id,
      host: hostOf(at),
      attributes: [{ name: 'host', values: [hostOf(at)] }],
      total: { cpusMilli: 2_000, ramMb: 2_048, diskMb: 8_192, gpus: 0 },
      portRanges: [[31_000, 31_009]],
      mode: 'NONE',
      agentVersion: '1',
      firstSeenMs: nowMs,
    })
  }
  for (let job = 0; job < jobs; job++) {
    const lives = (instance: number): readonly number[] =>
      live === undefined ? [LIVE, HISTORY.length] : [instance < live ? RUNNING : HISTORY.length]
    yield* jobRows(jobKeyOf(job, roles), instances, lives, at => (job * instances + at) % agents, nowMs)
  }
  if (largeJob > 0)
    yield* jobRows(
      LARGE_JOB,
      largeJob,
      () => [LIVE],
      at => at % agents,
      nowMs,
    )
}

/** `lives`: tasks of an instance, each with so many steps of the history behind it. */
function* jobRows(
  key: JobKey,
  instances: number,
  lives: (instance: number) => readonly number[],
  agentOf: (instance: number) => number,
  nowMs: number,
): Generator<RowBytes> {
  const config = configId(`config-${key.name}`)
  yield put('config', config, { v: 1, configId: config, config: configOf(key) })
  yield put('job', jobKeyText(key), {
    ...{ v: 1, key, configId: config, instanceCount: instances, createdAtMs: nowMs, createdBy: 'bench' },
  })
  for (let instance = 0; instance < instances; instance++) {
    const agent = agentOf(instance)
    for (const steps of lives(instance)) {
      const id = taskIdOf(key, instance, steps < HISTORY.length)
      const row: TaskRow = {
        ...{ v: 1, taskId: id, job: key, instance, configId: config, status: HISTORY[steps - 1]!, version: steps },
        ...{ agentId: agentId(agentIdOf(agent)), host: hostOf(agent), ports: {} },
        ...{ failureCount: 0, timesPartitioned: 0, agentSeq: Math.max(0, steps - LIVE) },
        events: HISTORY.slice(0, steps).map(status => ({ atMs: nowMs, status, scheduler: 'node-1', who: 'bench' })),
      }
      yield put('task', id, row)
    }
  }
}

/** Not a service: a task that finishes is not run again, so every status is one transition and nothing else happens. */
function configOf(job: JobKey): TaskConfig {
  return {
    ...{ job, owner: 'bench', isService: false, maxTaskFailures: 1, priority: 0, production: false },
    ...{ tier: 'preemptible', resources: { cpusMilli: 1, ramMb: 1, diskMb: 1, gpus: 0 }, ports: [] },
    ...{ constraints: [], metadata: [], executor: { name: 'AuroraExecutor', data: '{}' } },
  }
}

function put<T extends TableName>(table: T, key: string, row: Rows[T]): RowBytes {
  return { table: TABLE_NUMBERS[table], key, bytes: Uint8Array.prototype.slice.call(encodeRow(table, row)) }
}
