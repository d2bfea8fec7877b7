import { expect, test } from 'vitest'
import { createPlacement } from '../../src/actors/placement.ts'
import { silentMetrics } from '../../src/actors/ports.ts'
import { createSimSystem } from '../../src/actors/sim-shell.ts'
import type { TaskDirectory } from '../../src/actors/task-state-machine.ts'
import { configId, type TaskId, taskId } from '../../src/core/base/ids.ts'
import { InstantLedger } from '../fixtures/instant-ledger.ts'
import { agentRow, configRow, deleteTask, putAgent, putConfig, putTask, taskRow } from '../fixtures/rows.ts'

const HOSTS = 400
const GROUPS = 40
const STEP_MS = 10
/** The log commits so rarely that the burst is faster than what may be unanswered at a time: a queue builds up. */
const COMMIT_STEPS = 5
const TASKS_PER_STEP = 500
const BURST_STEPS = 15
const LIFE_STEPS = 20
const ROOMY = { cpusMilli: 16_000, ramMb: 16_384, diskMb: 65_536, gpus: 0 }

test('sched-93: a stream of new tasks and of tasks that end: all wait little, a group of one in the midst too, and few hosts are looked at', async () => {
  const ledger = new InstantLedger()
  ledger.isHeld = true
  const sim = createSimSystem({ seed: 1 })
  let nowMs = 0
  const sinceMs = new Map<TaskId, number>()
  const waitedMs = new Map<TaskId, number>()
  const running: { readonly id: TaskId; readonly until: number }[] = []
  let step = 0
  let mostWaiting = 0
  const tasks: TaskDirectory = {
    tell: command => {
      if (command.type !== 'assign') return
      const { taskId: id, agentId, host, ports } = command
      ledger.put(putTask({ ...ledger.view.task(id)!, status: 'ASSIGNED', agentId, host, ports }))
      ledger.whenCommitted(() => {
        waitedMs.set(id, nowMs - sinceMs.get(id)!)
        running.push({ id, until: step + LIFE_STEPS })
        command.replyTo?.tell({ taskId: id, result: 'SUCCESS' })
      })
    },
  }
  ledger.put(...Array.from({ length: HOSTS }, (_, n) => putAgent(agentRow(`h${n}`, { total: ROOMY }))))
  createPlacement({ parent: sim, ledger, metrics: silentMetrics, tasks, isConnected: () => true })
  sim.run()

  let made = 0
  const create = (name: string): TaskId => {
    const job = { role: 'r', environment: 'prod', name }
    const id = taskId(`t${made}`)
    const resources = { cpusMilli: 400, ramMb: 64, diskMb: 64, gpus: 0 }
    ledger.put(
      putConfig(configRow(name, { job, resources, ports: [] })),
      putTask(taskRow(id, { job, instance: made++, configId: configId(name) })),
    )
    sinceMs.set(id, nowMs)
    return id
  }
  const singles: TaskId[] = []
  for (; step < 6 * BURST_STEPS; step++) {
    if (step < BURST_STEPS) for (let n = 0; n < TASKS_PER_STEP; n++) create(`job${made % GROUPS}`)
    if (step > 0 && step < BURST_STEPS && step % 4 === 0) singles.push(create(`single${step}`))
    while (running.length > 0 && running[0]!.until <= step) ledger.put(deleteTask(running.shift()!.id))
    sim.advance(STEP_MS)
    nowMs += STEP_MS
    mostWaiting = Math.max(mostWaiting, ledger.view.statusCount('PENDING'))
    if (step % COMMIT_STEPS === 0) ledger.commit()
    sim.run()
  }

  expect(waitedMs.size).toBe(made)
  expect(mostWaiting).toBeGreaterThan(500)
  const sorted = [...waitedMs.values()].sort((a, b) => a - b)
  expect(sorted[sorted.length >> 1]).toBeLessThanOrEqual(150)
  expect(sorted[Math.floor(sorted.length * 0.99)]).toBeLessThanOrEqual(1_000)
  // Nobody stands in line behind the thousands of another group.
  expect(Math.max(...singles.map(id => waitedMs.get(id)!))).toBeLessThanOrEqual(3 * COMMIT_STEPS * STEP_MS)
  const { evaluated } = sim.inspection.actor('/offer-broker')!.stateSummary as { readonly evaluated: number }
  expect(evaluated).toBeGreaterThanOrEqual(made)
  expect(evaluated).toBeLessThanOrEqual(3 * made)
  expect(sim.failures).toEqual([])
  await sim.stop()
})
