/** The log of a node that is alone: the floor of what an append costs, without peers and without sockets. */
import { join } from 'node:path'
import { silentMetrics } from '../../src/actors/ports.ts'
import { type LogThread, openLogThread } from '../../src/runtime/log/log-client.ts'
import { type BenchOptions, type Figure, figure, percentile } from '../bench.ts'
import { benchPayload } from './frames.ts'

const WRITERS = [1, 64, 1_000]

interface Round {
  readonly perSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly appendsPerFlush: number
}

/** Writers in this thread wait for one append each before the next, as the ledger's clients do. */
export async function oneVoter(folder: string, options: BenchOptions): Promise<readonly Figure[]> {
  const roundMs = options.quick ? 300 : 2_000
  const figures: Figure[] = []
  let flushes = 0
  const metrics = { ...silentMetrics, observe: (name: string) => void (name === 'log_flush_seconds' && flushes++) }
  const log = await openLogThread({
    path: join(folder, 'alone'),
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
      options.say(`one voter: ${writers} writers, ${roundMs / 1_000} s a run`)
      const rounds: Round[] = []
      await round(log, writers, roundMs, () => flushes)
      for (let at = 0; at < options.runs; at++) rounds.push(await round(log, writers, roundMs, () => flushes))
      const of = (name: string, unit: string, better: 'higher' | 'lower', pick: (round: Round) => number): Figure =>
        figure({ name: `${name}-${writers}`, unit, better }, rounds.map(pick))
      figures.push(
        of('appends', 'appends/s', 'higher', one => one.perSecond),
        of('append-p50', 'ms', 'lower', one => one.p50Ms),
        of('append-p99', 'ms', 'lower', one => one.p99Ms),
        of('appends-per-flush', 'appends', 'higher', one => one.appendsPerFlush),
      )
    }
    return figures
  } finally {
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

async function round(log: LogThread, writers: number, ms: number, flushes: () => number): Promise<Round> {
  const took: number[] = []
  const flushesBefore = flushes()
  const start = performance.now()
  const end = start + ms
  const write = async (payload: Uint8Array): Promise<void> => {
    for (;;) {
      const before = performance.now()
      if (before >= end) return
      const result = await log.append(payload)
      if (result.type !== 'ok') throw new Error(`an append was answered ${result.type}`)
      took.push(performance.now() - before)
    }
  }
  await Promise.all(Array.from({ length: writers }, (_, writer) => write(benchPayload(`task-${writer}`))))
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
