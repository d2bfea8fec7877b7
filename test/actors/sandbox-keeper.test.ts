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
  isFolderNew?: boolean
}) {
  const sim = createSimSystem({ seed: 1 })
  const onDisk = new Set(options.sandboxes)
  const graces: number[] = []
  const removed: string[] = []
  const expired: string[] = []
  const changes: StoreChange[] = []
  const machine = {
    killOrphans: (_: unknown, graceMs: number) => {
      graces.push(graceMs)
      return 0
    },
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
      isFolderNew: options.isFolderNew ?? false,
      expired: taskId => void expired.push(taskId),
    }),
  )
  return { sim, removed, expired, changes, graces }
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

test.each([
  ['new: what runs in its name is of a folder that is gone, and ends at once', true, [0, 60_000]],
  ['not new: a record may be on its way to the disk', false, [60_000, 60_000]],
])('work folder %s', async (_, isFolderNew, expected) => {
  const { sim, graces } = keeper({ used: 0, sandboxes: [], forgottenAgoMs: {}, isFolderNew })
  await sim.settle()
  sim.advance(SWEEP_MS)
  await sim.settle()
  expect(graces).toEqual(expected)
})
