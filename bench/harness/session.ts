/** Runs the benches of an order one after the other. What one of them breaks is its own: the others still run. */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Bench, BenchResult } from '../bench.ts'
import { placesFrom } from '../profile/places.ts'
import { drawProfiles, profiledHere, profilesIn } from '../profile/profiler.ts'
import { commit, load, machine, machineLine } from './machine.ts'
import type { Order } from './order.ts'
import { type Measurement, writeReport } from './report.ts'
import { shown, tableOf } from './table.ts'

export interface Output {
  /** Results. */
  readonly print: (line: string) => void
  /** Progress and faults. */
  readonly say: (line: string) => void
}

export async function runBenches(order: Order, { print, say }: Output): Promise<readonly Measurement[]> {
  const where = { machine: machine(), commit: commit() }
  print(machineLine(where.machine))
  if (where.commit !== null) print(`commit ${where.commit}`)
  const done: Measurement[] = []
  for (const bench of order.benches) {
    const before = load()
    print(`\n${bench.name}: ${bench.title} (load ${shown(before)} before)`)
    const startedAt = new Date().toISOString()
    const began = performance.now()
    const folder = order.profile === null ? null : join(order.profile, bench.name)
    if (folder !== null) rmSync(folder, { recursive: true, force: true })
    const { result, failed } = await outcomeOf(bench, order, folder, say)
    if (failed === null) for (const line of tableOf(result)) print(line)
    else say(`${bench.name} FAILED: ${failed}`)
    if (folder !== null) {
      for (const line of drawProfiles(folder, profilesIn(folder), placesFrom(process.cwd()))) print(`  ${line}`)
    }
    const { figures, notes, peers = [] } = result
    done.push({
      ...{ bench: bench.name, title: bench.title, startedAt, tookMs: Math.round(performance.now() - began) },
      ...{ quick: order.quick, runs: order.runs, profiled: folder !== null, ...where, load: { before, after: load() } },
      ...{ failed, figures: [...figures], notes: [...notes], peers: peers as Measurement['peers'] },
      plots: (bench.plots ?? []) as Measurement['plots'],
    } as Measurement)
    if (order.json !== null) writeReport(order.json, done)
  }
  return done
}

interface Outcome {
  readonly result: BenchResult
  /** Its message and where it was thrown. */
  readonly failed: string | null
}

async function outcomeOf(bench: Bench, order: Order, folder: string | null, say: Output['say']): Promise<Outcome> {
  const run = (): Promise<BenchResult> =>
    bench.run({
      quick: order.quick,
      runs: order.runs,
      say: line => say(`  … ${line}`),
      peers: order.peers.filter(peer => bench.peers?.includes(peer)),
    })
  try {
    return { result: await (folder === null ? run() : profiledHere(folder, run)), failed: null }
  } catch (cause) {
    const failed = cause instanceof Error ? (cause.stack ?? cause.message) : String(cause)
    return { result: { figures: [], notes: [] }, failed }
  }
}
