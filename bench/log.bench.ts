/**
 * Durable appends through the log thread: writers in this thread wait for one append each before the next, as the ledger's
 * clients do. Every acknowledgement is after a flush to a real disk (the system's temporary folder, or where
 * DAYBREAK_BENCH_DIR says: a RAM disk would measure nothing).
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { silentMetrics } from '../src/actors/ports.ts'
import { batchPayload, encodeTransaction } from '../src/core/ledger/payload.ts'
import { type LogThread, openLogThread } from '../src/runtime/log/log-client.ts'
import { type Bench, type BenchOptions, type BenchResult, type Figure, figure, percentile } from './bench.ts'

export const bench: Bench = {
  name: 'log',
  title: 'the replicated log with one voter: durable appends per second, latency, flushes',
  run,
}

const WRITERS = [1, 64, 256, 1_000]
const PAYLOAD_BYTES = 256

interface Round {
  readonly perSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly appendsPerFlush: number
}

async function run(options: BenchOptions): Promise<BenchResult> {
  const folder = mkdtempSync(join(process.env.DAYBREAK_BENCH_DIR ?? tmpdir(), 'daybreak-bench-log-'))
  const roundMs = options.quick ? 500 : 3_000
  const figures: Figure[] = []
  let flushes = 0
  const metrics = { ...silentMetrics, observe: (name: string) => void (name === 'log_flush_seconds' && flushes++) }
  const log = await openLogThread({
    path: join(folder, 'log'),
    memberId: 1,
    clusterId: null,
    members: [{ memberId: 1, name: 'node-1', address: 'alone' }],
    httpUrl: '',
    configFile: '',
    autoBootstrap: true,
    space: { ballastBytes: 0 },
    metrics,
  })
  try {
    await leading(log)
    for (const writers of WRITERS) {
      options.say(`${writers} writers, ${roundMs / 1_000} s a run`)
      const rounds: Round[] = []
      await round(log, writers, roundMs, () => flushes)
      for (let at = 0; at < options.runs; at++) rounds.push(await round(log, writers, roundMs, () => flushes))
      const of = (
        name: string,
        unit: string,
        better: 'higher' | 'lower',
        pick: (round: Round) => number,
        target?: number,
      ) =>
        figure(
          { name: `${name}-${writers}`, unit, better, ...(target === undefined ? {} : { target }) },
          rounds.map(pick),
        )
      figures.push(
        of('appends', 'appends/s', 'higher', one => one.perSecond),
        of('append-p50', 'ms', 'lower', one => one.p50Ms, writers === 1 ? 3 : undefined),
        of('append-p99', 'ms', 'lower', one => one.p99Ms),
        of('appends-per-flush', 'appends', 'higher', one => one.appendsPerFlush),
      )
    }
  } finally {
    await log.terminate()
    rmSync(folder, { recursive: true, force: true })
  }
  return {
    figures,
    notes: [
      `Payloads are batches of the ledger with one row, ${PAYLOAD_BYTES} bytes in all; the row tables are written too.`,
      'A flush is one write of the log that was waited for; LMDB may join several into one fdatasync.',
      'The target of one writer is the p50 of a single client (design, section 10) on a local disk; with three nodes it includes a peer.',
    ],
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

async function round(log: LogThread, writers: number, ms: number, flushes: () => number): Promise<Round> {
  const took: number[] = []
  const flushesBefore = flushes()
  const start = performance.now()
  const end = start + ms
  const write = async (writer: number): Promise<void> => {
    for (let at = 0; ; at++) {
      const before = performance.now()
      if (before >= end) return
      const result = await log.append(payload(`task-${writer}-${at % 100}`))
      if (result.type !== 'ok') throw new Error(`an append was answered ${result.type}`)
      took.push(performance.now() - before)
    }
  }
  await Promise.all(Array.from({ length: writers }, (_, writer) => write(writer)))
  const seconds = (performance.now() - start) / 1_000
  // Flush times arrive a little later, in bundles: the next answer comes after them.
  await log.status()
  return {
    perSecond: took.length / seconds,
    p50Ms: percentile(took, 0.5),
    p99Ms: percentile(took, 0.99),
    appendsPerFlush: took.length / Math.max(1, flushes() - flushesBefore),
  }
}

function payload(key: string): Uint8Array {
  const make = (rowBytes: number): Uint8Array =>
    batchPayload([
      encodeTransaction({ who: 'bench', why: 'append', wallMs: 0 }, [
        { table: 1, key, bytes: new Uint8Array(rowBytes) },
      ]),
    ])
  return make(Math.max(0, PAYLOAD_BYTES - make(0).length))
}
