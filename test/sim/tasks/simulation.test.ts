/** A short run of the simulation of whole schedulers: some seeds, one of them twice, and that every known bug still fits. */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { checkMutations } from '../log/mutants.ts'
import { simulateTasks, type TaskRunResult } from './simulation.ts'

const SEEDS = 10

test('whole schedulers over simulated logs, whatever strikes: promises to clients and agents are kept', {
  timeout: 60_000,
}, async () => {
  const results: TaskRunResult[] = []
  for (let seed = 1; seed <= SEEDS; seed++) results.push(await simulateTasks(seed, { minutes: 0.5 }))
  expect(
    results.flatMap(({ seed, failure }) => (failure === null ? [] : [`seed ${seed}: ${failure.message}`])),
  ).toEqual([])
  // A simulation in which nothing happens proves nothing.
  const sum = (of: (result: TaskRunResult) => number): number => results.reduce((total, one) => total + of(one), 0)
  expect(sum(({ leaders }) => leaders)).toBeGreaterThan(SEEDS)
  expect(sum(({ requests }) => requests.created)).toBeGreaterThan(20)
  expect(sum(({ requests }) => requests.killed)).toBeGreaterThan(20)
  expect(sum(({ tasks }) => tasks.replaced)).toBeGreaterThan(50)
  const struck = new Set(results.flatMap(({ faults }) => [...faults.keys()]))
  for (const fault of ['powerLoss', 'pause', 'partition', 'diskFull', 'agentReboot', 'agentFreeze', 'agentCut'])
    expect(struck).toContain(fault)
})

test('same seed twice: the same run, event by event; another seed: another run', async () => {
  const hashes: string[] = []
  for (const seed of [7, 7, 8]) hashes.push((await simulateTasks(seed, { minutes: 0.2 })).traceHash)
  expect(hashes[0]).toBe(hashes[1])
  expect(hashes[2]).not.toBe(hashes[0])
})

test('known bugs of the life cycle put back: each fits the program as it is, and some are found at once', {
  timeout: 60_000,
}, () => {
  const built = join(import.meta.dirname, '..', '..', '..', 'dist')
  const program = join(built, 'scripts', 'sim.js')
  checkMutations('tasks', built)
  const mutate = (seeds: number, ...names: string[]) =>
    spawnSync(process.execPath, [program, '--profile', 'tasks', '--mutations', '--seeds', String(seeds), ...names], {
      encoding: 'utf8',
    })
  const quick = ['answered-before-commit', 'launched-before-commit']
  const found = mutate(10, ...quick)
  expect(found.stderr).toBe('')
  expect(found.stdout.split('\n').filter(line => line.includes(': found by'))).toHaveLength(quick.length)
})
