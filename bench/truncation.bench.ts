/**
 * Appends while the log is being truncated: 64 writers on one voter, with and without the deletion of records going on
 * beside them, in turns on one and the same log, so that a busy machine slows down both. The log is filled first by
 * appending; each turn opens it anew, because what is kept is said at the opening.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { silentMetrics } from '../src/actors/ports.ts'
import { batchPayload, encodeTransaction } from '../src/core/ledger/payload.ts'
import { LOG_LIMITS } from '../src/core/log/limits.ts'
import { type LogThread, openLogThread } from '../src/runtime/log/log-client.ts'
import { type Bench, type BenchOptions, type BenchResult, figure, percentile } from './bench.ts'

export const bench: Bench = {
  name: 'truncation',
  title: 'the replicated log with one voter: appends while a million records are being truncated',
  run,
}

const WRITERS = 64
const FILLERS = 1_000
const ROW_BYTES = 160

interface Turn {
  readonly perSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly droppedPerSecond: number
}

async function run(options: BenchOptions): Promise<BenchResult> {
  const folder = mkdtempSync(join(process.env.DAYBREAK_BENCH_DIR ?? tmpdir(), 'daybreak-bench-truncation-'))
  const records = options.quick ? 100_000 : 1_000_000
  const turnMs = options.quick ? 500 : 3_000
  try {
    options.say(`${records} records to begin with`)
    await opened(folder, records * 10, log => fill(log, records))
    const plain: Turn[] = []
    const truncating: Turn[] = []
    for (let at = 0; at <= options.runs; at++) {
      options.say(`turn ${at} of ${options.runs}, ${turnMs / 1_000} s each with and without`)
      const without = await opened(folder, records * 10, log => turn(log, turnMs))
      const beside = await opened(folder, LOG_LIMITS.entriesKept, log => turn(log, turnMs))
      if (beside.droppedPerSecond === 0) throw new Error('nothing was truncated in that turn')
      // The first ones warm up.
      if (at > 0) plain.push(without)
      if (at > 0) truncating.push(beside)
    }
    const ms = (name: string, turns: readonly Turn[], pick: (turn: Turn) => number) =>
      figure({ name, unit: 'ms', better: 'lower' }, turns.map(pick))
    return {
      figures: [
        ms('append-p50-plain', plain, one => one.p50Ms),
        ms('append-p50-truncating', truncating, one => one.p50Ms),
        ms('append-p99-plain', plain, one => one.p99Ms),
        ms('append-p99-truncating', truncating, one => one.p99Ms),
        figure(
          { name: 'append-p99-ratio', unit: 'ratio', better: 'lower', target: 2 },
          truncating.map((one, at) => one.p99Ms / plain[at]!.p99Ms),
        ),
        figure(
          { name: 'appends-ratio', unit: 'ratio', better: 'higher' },
          truncating.map((one, at) => one.perSecond / plain[at]!.perSecond),
        ),
        figure(
          { name: 'dropped', unit: 'positions/s', better: 'higher' },
          truncating.map(one => one.droppedPerSecond),
        ),
      ],
      notes: [
        `${records} records of about ${ROW_BYTES} bytes at the beginning; ${WRITERS} writers that wait for each append.`,
        `${LOG_LIMITS.dropStep} positions are dropped at a time, with pauses; a ratio compares two turns that follow each other.`,
      ],
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

async function opened<T>(folder: string, entriesKept: number, use: (log: LogThread) => Promise<T>): Promise<T> {
  const log = await openLogThread({
    path: join(folder, 'log'),
    memberId: 1,
    clusterId: null,
    members: [{ memberId: 1, name: 'node-1', address: 'alone' }],
    httpUrl: '',
    configFile: '',
    autoBootstrap: true,
    space: { ballastBytes: 0 },
    limits: { ...LOG_LIMITS, entriesKept },
    metrics: silentMetrics,
  })
  try {
    await leading(log)
    return await use(log)
  } finally {
    await log.stop()
    await log.terminate()
  }
}

function leading(log: LogThread): Promise<void> {
  return new Promise((resolve, reject) => {
    log
      .start({
        viewChanged: view => {
          if (view.role === 'LEADER') resolve()
        },
        committed: () => {},
        writable: () => {},
      })
      .catch(reject)
  })
}

/** So many records, as fast as they are taken. */
async function fill(log: LogThread, records: number): Promise<void> {
  let left = records
  await writing(FILLERS, log, () => left-- > 0)
}

async function turn(log: LogThread, ms: number): Promise<Turn> {
  // The first appends say what may go; from then on it goes.
  const warm = performance.now() + ms / 5
  await writing(WRITERS, log, () => performance.now() < warm)
  const before = await log.status()
  const took: number[] = []
  const start = performance.now()
  await writing(WRITERS, log, () => performance.now() - start < ms, took)
  const seconds = (performance.now() - start) / 1_000
  const after = await log.status()
  return {
    perSecond: took.length / seconds,
    p50Ms: percentile(took, 0.5),
    p99Ms: percentile(took, 0.99),
    droppedPerSecond: (after.begin - before.begin) / seconds,
  }
}

async function writing(writers: number, log: LogThread, goesOn: () => boolean, took: number[] = []): Promise<void> {
  const write = async (writer: number): Promise<void> => {
    for (let at = 0; goesOn(); at++) {
      const before = performance.now()
      const result = await log.append(payload(`task-${writer}-${at % 100}`))
      if (result.type !== 'ok') throw new Error(`an append was answered ${result.type}`)
      took.push(performance.now() - before)
    }
  }
  await Promise.all(Array.from({ length: writers }, (_, writer) => write(writer)))
}

function payload(key: string): Uint8Array {
  const row = { table: 1, key, bytes: new Uint8Array(ROW_BYTES) }
  return batchPayload([encodeTransaction({ who: 'bench', why: 'append', wallMs: 0 }, [row])])
}
