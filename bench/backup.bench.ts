/**
 * A backup of a large cluster beside its work: appends of 64 writers on one voter with and without a backup being written,
 * in turns, and how late the scheduler thread comes round meanwhile. Then what a restore costs: loading it, and the diff.
 */
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { StagedBackup } from '../src/actors/backup/staged-backup.ts'
import { silentLogger, silentMetrics } from '../src/actors/ports.ts'
import { restorePlan } from '../src/core/backup/restore-plan.ts'
import { configId, taskId } from '../src/core/base/ids.ts'
import { batchPayload, encodeTransaction } from '../src/core/ledger/payload.ts'
import { TABLE_NUMBERS, type TaskRow } from '../src/core/ledger/rows.ts'
import { backupFolder } from '../src/runtime/backup-folder.ts'
import { realClock } from '../src/runtime/clock.ts'
import { type LogThread, openLogThread } from '../src/runtime/log/log-client.ts'
import { encodeRow } from '../src/wire/ledger-rows.ts'
import { type Bench, type BenchOptions, type BenchResult, figure, percentile } from './bench.ts'

export const bench: Bench = {
  name: 'backup',
  title: 'backup of a large cluster: what appends and the scheduler thread feel of it, and what a restore costs',
  run,
}

const WRITERS = 64
const CLUSTER = '00000000000000000000000000000001'

interface Turn {
  readonly p50Ms: number
  readonly p99Ms: number
  readonly maxMs: number
  /** Of the thread that asks for the backup. */
  readonly lagMsMax: number
  readonly tookMs: number
}

async function run(options: BenchOptions): Promise<BenchResult> {
  const path = mkdtempSync(join(process.env.DAYBREAK_BENCH_DIR ?? tmpdir(), 'daybreak-bench-backup-'))
  const rows = options.quick ? 20_000 : 200_000
  const log = await opened(join(path, 'log'))
  const folder = backupFolder({
    path,
    rows: log.rows,
    clusterId: () => CLUSTER,
    software: 'bench',
    reserveBytes: 0,
    clock: realClock,
    logger: silentLogger,
  })
  try {
    options.say(`${rows} task rows to begin with`)
    for (let at = 0; at < rows; at += 500) await log.append(tasks(at, 500))
    const [plain, beside]: [Turn[], Turn[]] = [[], []]
    let name = ''
    for (let at = 0; at <= options.runs; at++) {
      options.say(`turn ${at} of ${options.runs}`)
      const during = await turn(log, async () => {
        name = (await folder.write(0)).name
      })
      const without = await turn(log, () => new Promise(done => setTimeout(done, during.tookMs)))
      if (at > 0) beside.push(during)
      if (at > 0) plain.push(without)
    }
    const ms = (of: string, turns: readonly Turn[], pick: (turn: Turn) => number) =>
      figure({ name: of, unit: 'ms', better: 'lower' }, turns.map(pick))
    const lag = lagMeter()
    const loadBegan = performance.now()
    const staged = await StagedBackup.read(folder, name)
    const loadMs = performance.now() - loadBegan
    const loadLagMs = lag()
    const other = await StagedBackup.read(folder, name)
    const planBegan = performance.now()
    restorePlan(staged.view, other.view, { name, nowMs: 0, scheduler: '', newTaskId: () => taskId('') })
    const planMs = performance.now() - planBegan
    return {
      figures: [
        ms('backup-time', beside, one => one.tookMs),
        ms('append-p50-plain', plain, one => one.p50Ms),
        ms('append-p50-beside', beside, one => one.p50Ms),
        ms('append-p99-plain', plain, one => one.p99Ms),
        ms('append-p99-beside', beside, one => one.p99Ms),
        ms('append-max-plain', plain, one => one.maxMs),
        ms('append-max-beside', beside, one => one.maxMs),
        ms('scheduler-lag-max-plain', plain, one => one.lagMsMax),
        ms('scheduler-lag-max-beside', beside, one => one.lagMsMax),
        figure({ name: 'stage-time', unit: 'ms', better: 'lower' }, [loadMs]),
        figure({ name: 'stage-lag-max', unit: 'ms', better: 'lower' }, [loadLagMs]),
        figure({ name: 'diff-time', unit: 'ms', better: 'lower' }, [planMs]),
      ],
      notes: [
        `${rows} tasks of ${encodeRow('task', task(0)).length} bytes; the file has ${statSync(join(path, name)).size} bytes.`,
        `${WRITERS} writers that wait for each append, in the thread that writes the backup. The diff runs in one turn.`,
      ],
    }
  } finally {
    await log.stop()
    await log.terminate()
    rmSync(path, { recursive: true, force: true })
  }
}

function task(at: number): TaskRow {
  const id = `www-data-devel-hello-${at}-4fc9d72e-678d-488c-944f-5a37bf7fcfe3`
  const statuses = ['PENDING', 'ASSIGNED', 'STARTING', 'RUNNING'] as const
  return {
    v: 1,
    taskId: taskId(id),
    job: { role: 'www-data', environment: 'devel', name: `hello-${at % 1_000}` },
    instance: at,
    configId: configId('4fc9d72e678d488c944f5a37bf7fcfe34fc9d72e678d488c944f5a37bf7fcfe3'),
    status: 'RUNNING',
    version: 4,
    host: `host-${at % 5_000}.example.org`,
    ports: { http: 31_000 + (at % 1_000) },
    failureCount: 0,
    timesPartitioned: 0,
    agentSeq: 3,
    events: statuses.map((status, n) => ({
      atMs: 1_795_793_857_492 + at + n,
      status,
      scheduler: 'node-1',
      who: 'agent',
    })),
  }
}

function tasks(from: number, count: number): Uint8Array {
  const rows = Array.from({ length: count }, (_, at) => {
    const row = task(from + at)
    return { table: TABLE_NUMBERS.task, key: row.taskId, bytes: encodeRow('task', row) }
  })
  return batchPayload([encodeTransaction({ who: 'bench', why: 'fill', wallMs: 0 }, rows)])
}

async function opened(path: string): Promise<LogThread> {
  const log = await openLogThread({
    path,
    memberId: 1,
    clusterId: CLUSTER,
    members: [{ memberId: 1, name: 'node-1', address: 'alone' }],
    httpUrl: '',
    configFile: '',
    autoBootstrap: true,
    space: { ballastBytes: 0 },
    metrics: silentMetrics,
  })
  await new Promise<void>((resolve, reject) => {
    const viewChanged = ({ role }: { role: string }): void => void (role === 'LEADER' && resolve())
    log.start({ viewChanged, committed: () => {}, writable: () => {} }).catch(reject)
  })
  return log
}

/** Writers append until the work is done. */
async function turn(log: LogThread, work: () => Promise<void>): Promise<Turn> {
  const latencies: number[] = []
  let isOver = false
  const writer = async (n: number): Promise<void> => {
    for (let at = n; !isOver; at += WRITERS) {
      const began = performance.now()
      await log.append(tasks(at % 20_000, 1))
      latencies.push(performance.now() - began)
    }
  }
  const lag = lagMeter()
  const began = performance.now()
  const writing = Promise.all(Array.from({ length: WRITERS }, (_, n) => writer(n)))
  await work()
  const tookMs = performance.now() - began
  isOver = true
  await writing
  const [p50Ms, p99Ms] = [percentile(latencies, 0.5), percentile(latencies, 0.99)]
  return { p50Ms, p99Ms, maxMs: Math.max(...latencies.slice(-100_000)), lagMsMax: lag(), tookMs }
}

/** The longest that this thread did not come round since. */
function lagMeter(): () => number {
  const meter = monitorEventLoopDelay({ resolution: 1 })
  meter.enable()
  return () => {
    meter.disable()
    return meter.max / 1e6
  }
}
