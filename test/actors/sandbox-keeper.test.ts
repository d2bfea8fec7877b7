import { expect, test } from 'vitest'
import type { AgentStore, StoreChange, TaskMachine } from '../../src/actors/agent-ports.ts'
import { silentMetrics } from '../../src/actors/ports.ts'
import { SWEEP_MS, sandboxKeeper, TOMBSTONE_MS } from '../../src/actors/sandbox-keeper.ts'
import { createSimSystem } from '../../src/actors/sim-shell.ts'

const KEEP_MS = 3_600_000

function keeper(options: {
  used: number
  sandboxes: string[]
  known?: string[]
  forgottenAgoMs: Record<string, number>
}) {
  const sim = createSimSystem({ seed: 1 })
  const onDisk = new Set(options.sandboxes)
  const removed: string[] = []
  const expired: string[] = []
  const changes: StoreChange[] = []
  const machine = {
    killOrphans: () => 0,
    sandboxes: async () => [...onDisk],
    removeSandbox: async (taskId: string) => {
      removed.push(taskId)
      onDisk.delete(taskId)
    },
    vitals: () => ({ load1: 0, freeRamMb: 0, freeDiskMb: 0, diskUsedFraction: options.used }),
  } as unknown as TaskMachine
  const store: AgentStore = {
    load: () => {
      throw new Error('not asked for here')
    },
    write: async change => void changes.push(change),
  }
  const nowMs = sim.now().wallMs
  const forgotten = new Map(Object.entries(options.forgottenAgoMs).map(([id, agoMs]) => [id, nowMs - agoMs]))
  const known = new Set(options.known ?? [])
  sim.spawn(
    sandboxKeeper({
      machine,
      store,
      keepMs: KEEP_MS,
      metrics: silentMetrics,
      forgotten,
      known: () => known,
      expired: taskId => void expired.push(taskId),
    }),
  )
  return { sim, removed, expired, changes }
}

test('agent-42: a full disk: forgotten sandboxes go at once, the oldest first, one with a record stays', async () => {
  const { sim, removed } = keeper({
    used: 0.95,
    sandboxes: ['young', 'old', 'unacked'],
    known: ['unacked'],
    forgottenAgoMs: { young: 1, old: 1_000 },
  })
  await sim.settle()
  expect(removed).toEqual(['old', 'young'])
})

test('an empty disk: a sandbox stays for nine tenths of its time, then it goes', async () => {
  const { sim, removed } = keeper({ used: 0, sandboxes: ['t'], forgottenAgoMs: { t: 0 } })
  await sim.settle()
  expect(removed).toEqual([])
  for (let ms = 0; ms < KEEP_MS * 0.9; ms += SWEEP_MS) {
    sim.advance(SWEEP_MS)
    await sim.settle()
  }
  expect(removed).toEqual(['t'])
})

test('a tombstone is kept for a day beyond the sandbox, then nobody remembers the task', async () => {
  const { sim, expired, changes } = keeper({ used: 0, sandboxes: [], forgottenAgoMs: { t: 0 } })
  await sim.settle()
  sim.advance(TOMBSTONE_MS)
  await sim.settle()
  expect(expired).toEqual([])
  sim.advance(KEEP_MS)
  await sim.settle()
  expect(expired).toEqual(['t'])
  expect(changes).toEqual([{ dropTombstones: ['t'] }])
})
