/**
 * What the ledger costs the scheduler thread: staging and delivering one change of one task over a log that commits at
 * once, reading a row back, and the memory of a task with its indices. The log itself has a bench of its own.
 */
import { createLedger, type LedgerActor } from '../src/actors/ledger.ts'
import { type LogListener, type LogPort, type StoredRow, silentLogger, silentMetrics } from '../src/actors/ports.ts'
import { createSimSystem } from '../src/actors/sim-shell.ts'
import { agentId, configId, taskId } from '../src/core/base/ids.ts'
import type { TaskRow } from '../src/core/ledger/rows.ts'
import { TABLE_NUMBERS } from '../src/core/ledger/rows.ts'
import { Tables } from '../src/core/ledger/tables.ts'
import { encodeRow, RowReader } from '../src/wire/ledger-rows.ts'
import { type Bench, type BenchOptions, type BenchResult, measure } from './bench.ts'

export const bench: Bench = { name: 'ledger', title: 'Ledger: stage, commit and load', run }

async function run(options: BenchOptions): Promise<BenchResult> {
  const tasks = options.quick ? 20_000 : 200_000
  const changes = options.quick ? 20_000 : 200_000
  const figures = [
    await measure({ name: 'stage-and-commit', unit: 'transactions/s', better: 'higher' }, options, () =>
      stageAndCommit(changes, 100),
    ),
    await measure({ name: 'stage-and-commit-one-turn-each', unit: 'transactions/s', better: 'higher' }, options, () =>
      stageAndCommit(Math.floor(changes / 10), 1),
    ),
    await measure({ name: 'load', unit: 'rows/s', better: 'higher' }, options, () => load(tasks)),
    await measure({ name: 'memory-per-task', unit: 'bytes', better: 'lower', target: 4_096 }, options, () =>
      memoryPerTask(tasks),
    ),
  ]
  const notes = [
    `${changes} transactions of one task each, on ${tasks} tasks of 4 events; ${rowBytes()} bytes per stored row`,
    'the log commits at once in the same thread: the figures are the cost of the ledger alone',
  ]
  if (globalThis.gc === undefined) notes.push('memory without --expose-gc is only rough')
  return { figures, notes }
}

/** A log that commits whatever it is given and keeps only the count. */
class InstantLog {
  position = 0
  listener: LogListener | null = null
  port(): LogPort {
    const ok = async () => ({ type: 'ok' as const, position: ++this.position })
    const none = async () => ({ applied: this.position, rows: [] as StoredRow[], done: true })
    const port: Partial<LogPort> = { append: ok, readRows: none, read: async () => [] }
    return port as LogPort
  }
}

async function stageAndCommit(transactions: number, perTurn: number): Promise<number> {
  const system = createSimSystem({ seed: 1 })
  const log = new InstantLog()
  const options = { system, log: log.port(), clock: system.clock, metrics: silentMetrics, logger: silentLogger }
  const ledger = createLedger(options)
  elect(ledger)
  await system.settle()
  const rows = Array.from({ length: 1_000 }, (_, i) => task(i))
  let committed = 0
  const from = process.hrtime.bigint()
  for (let staged = 0; staged < transactions; ) {
    for (let i = 0; i < perTurn && staged < transactions; i++, staged++) {
      const row = { ...(rows[staged % rows.length] as TaskRow), version: staged }
      const change = { type: 'put', table: 'task', key: row.taskId, row } as const
      ledger.stage({ cause: { who: 'bench', why: 'status update', wallMs: staged }, changes: [change] }, () => {
        committed++
      })
    }
    await system.settle()
  }
  const seconds = Number(process.hrtime.bigint() - from) / 1e9
  if (committed !== transactions) throw new Error(`${committed} of ${transactions} transactions were committed`)
  await system.stop()
  return transactions / seconds
}

function elect(ledger: LedgerActor): void {
  const view = { version: 1, role: 'LEADER', ballot: [1, 1], leader: { memberId: 1, httpUrl: 'http://bench' } } as const
  ledger.listener.viewChanged(view, {
    status: 'VOTING',
    view,
    clusterId: 'bench',
    memberId: 1,
    members: [],
    quorum: 1,
    promised: [1, 1],
    begin: 0,
    end: 0,
    commit: 0,
    applied: 0,
    bootCounter: 1,
    path: 'memory',
    diskFreeBytes: 1e12,
    waitingFor: null,
    notWritable: null,
    peers: [],
    leaderSinceMs: null,
    leaseLeftMs: null,
  })
}

function load(tasks: number): number {
  const stored = Array.from({ length: tasks }, (_, i) => Uint8Array.from(encodeRow('task', task(i))))
  const tables = new Tables()
  const reader = new RowReader()
  const from = process.hrtime.bigint()
  tables.beginLoading()
  stored.forEach((bytes, i) => {
    tables.apply([reader.read(TABLE_NUMBERS.task, `task-${i}`, bytes)])
  })
  tables.endLoading()
  const seconds = Number(process.hrtime.bigint() - from) / 1e9
  if (tables.counts.tasks !== tasks) throw new Error(`${tables.counts.tasks} of ${tasks} rows were loaded`)
  return tasks / seconds
}

function memoryPerTask(tasks: number): number {
  const reader = new RowReader()
  globalThis.gc?.()
  const before = process.memoryUsage().heapUsed
  const tables = new Tables()
  for (let i = 0; i < tasks; i++) {
    const row = task(i)
    tables.apply([reader.read(TABLE_NUMBERS.task, row.taskId, encodeRow('task', row))])
  }
  globalThis.gc?.()
  const after = process.memoryUsage().heapUsed
  // Read after the measurement, so that the tables are alive until here.
  if (tables.counts.tasks !== tasks) throw new Error('the rows are there')
  return (after - before) / tasks
}

function task(i: number): TaskRow {
  const event = (atMs: number, status: TaskRow['status']) => ({ atMs, status, scheduler: 'node-1.example' })
  return {
    v: 1,
    taskId: taskId(`www-data-prod-hello-${i}-0b6c1f4e-8a51-4c0e-9a55-${String(i).padStart(12, '0')}`),
    job: { role: 'www-data', environment: 'prod', name: `hello-${Math.floor(i / 100)}` },
    instance: i % 100,
    configId: configId('3b9c0f5a1d3b9c0f5a1d3b9c0f5a1d3b9c0f5a1d3b9c0f5a1d3b9c0f5a1d'),
    status: 'RUNNING',
    version: 4,
    agentId: agentId(`agent-${i % 1_000}`),
    host: `host-${i % 1_000}.example`,
    ports: { http: 31_000 + (i % 1_000) },
    failureCount: 0,
    timesPartitioned: 0,
    agentSeq: 3,
    events: [event(1, 'PENDING'), event(2, 'ASSIGNED'), event(3, 'STARTING'), event(4, 'RUNNING')],
  }
}

const rowBytes = (): number => encodeRow('task', task(1)).length
