/** A short run of the simulation: some seeds, those that ever failed, the same seed twice, and some of the known bugs. */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { checkMutations } from './mutants.ts'
import { simulate } from './simulation.ts'

const SEEDS = 40
const BUILT = join(import.meta.dirname, '..', '..', '..', 'dist')
/** Failed once; `npm run sim -- --seed N` with these options replays one. */
const kept = JSON.parse(readFileSync(join(import.meta.dirname, 'seeds.json'), 'utf8')) as readonly {
  readonly seed: number
  readonly nodes?: number
  readonly minutes?: number
  readonly story: string
}[]

describe('the simulated cluster', () => {
  test('some seeds: nothing breaks, whatever strikes', { timeout: 60_000 }, () => {
    const results = Array.from({ length: SEEDS }, (_, at) => simulate(at + 1, { minutes: 0.5 }))
    expect(
      results.flatMap(({ seed, failure }) => (failure === null ? [] : [`seed ${seed}: ${failure.message}`])),
    ).toEqual([])
    // A simulation in which nothing happens proves nothing.
    const struck = new Set(results.flatMap(({ faults }) => [...faults.keys()]))
    for (const fault of [
      'powerLoss',
      'partition',
      'pause',
      'dropped',
      'late',
      'doubled',
      'garbled',
      'diskFull',
      'rot',
    ]) {
      expect(struck).toContain(fault)
    }
    for (const what of ['dropped', 'fetched', 'installed', 'checkpoints'] as const) {
      expect(
        results.reduce((sum, { upkeep }) => sum + upkeep[what], 0),
        what,
      ).toBeGreaterThan(10)
    }
    expect(results.reduce((sum, { leaders }) => sum + leaders, 0)).toBeGreaterThan(SEEDS)
    expect(results.reduce((sum, { calls }) => sum + calls.ok, 0)).toBeGreaterThan(1_000)
    expect(results.reduce((sum, { calls }) => sum + calls.reads, 0)).toBeGreaterThan(100)
  })

  test('seeds that once failed: they hold', { timeout: 60_000 }, () => {
    for (const { seed, nodes, minutes } of kept) {
      expect(simulate(seed, { nodes, minutes }).failure, `seed ${seed}`).toBeNull()
    }
  })

  test('same seed twice: the same run, event by event; another seed: another run', () => {
    const hashes = [7, 7, 8].map(seed => simulate(seed, { minutes: 0.3 }).traceHash)
    expect(hashes[0]).toBe(hashes[1])
    expect(hashes[2]).not.toBe(hashes[0])
  })

  test('known bugs put back: found, and every mutation fits the program as it is', { timeout: 120_000 }, () => {
    // All are found by `npm run sim -- --mutations`; here those that take few seeds; the others only have to fit.
    checkMutations('log', BUILT)
    const quick = mutate(QUICK, 400)
    expect(quick.stderr).toBe('')
    expect(quick.stdout.split('\n').filter(line => line.includes(': found by'))).toHaveLength(QUICK.length)
  })
})

/** Behind the @ a seed shortly before the first that finds it. */
const QUICK: readonly string[] = [
  'refused-leader-goes-on@355',
  'suspend-not-noticed',
  'older-ballot-counted',
  'vote-for-less-advanced',
  'duplicate-shortens-log',
  'nop-for-lost-entry',
]

/** In a process of its own, from the built program: mutants are copies of that. */
function mutate(names: readonly string[], seeds: number): { readonly stdout: string; readonly stderr: string } {
  const program = join(BUILT, 'scripts', 'sim.js')
  const run = spawnSync(process.execPath, [program, '--mutations', '--seeds', String(seeds), ...names], {
    encoding: 'utf8',
  })
  return { stdout: run.stdout, stderr: run.stderr }
}
