import { expect, test } from 'vitest'
import { createPlacement } from '../../src/actors/placement.ts'
import { silentLogger, silentMetrics } from '../../src/actors/ports.ts'
import { createActorSystem } from '../../src/actors/shell.ts'
import type { TaskDirectory } from '../../src/actors/task-state-machine.ts'
import { agentId, configId, taskId } from '../../src/core/base/ids.ts'
import { prng } from '../../src/core/base/prng.ts'
import { InstantLedger } from '../fixtures/instant-ledger.ts'
import { agentRow, configRow, HELLO, putAgent, putConfig, putTask, taskRow } from '../fixtures/rows.ts'

test('on the real shell, 100 jobs one after the other: each is assigned, at the median within 20 ms of its staging', async () => {
  const failures: unknown[] = []
  const system = createActorSystem({
    name: 'test',
    clock: { read: () => ({ wallMs: Date.now(), monoMs: performance.now() }) },
    random: prng(1),
    log: silentLogger,
    onEndProcess: error => void failures.push(error),
  })
  const ledger = new InstantLedger()
  let onAssigned: () => void = () => {}
  const tasks: TaskDirectory = {
    tell: command => {
      if (command.type !== 'assign') return
      const { taskId: id, agentId: on, host, ports } = command
      ledger.put(putTask({ ...ledger.view.task(id)!, status: 'ASSIGNED', agentId: on, host, ports }))
      command.replyTo?.tell({ taskId: id, result: 'SUCCESS' })
      onAssigned()
    },
  }
  const { broker, view } = createPlacement({
    parent: system,
    ledger,
    metrics: silentMetrics,
    tasks,
    isConnected: () => false,
  })
  ledger.put(putAgent(agentRow('h1')))
  broker.tell({ type: 'agentUp', agentId: agentId('h1') })
  const tookMs: number[] = []
  for (let i = 0; i < 100; i++) {
    const job = { ...HELLO, name: `job${i}` }
    const resources = { cpusMilli: 10, ramMb: 1, diskMb: 1, gpus: 0 }
    const assigned = new Promise<void>(resolve => {
      onAssigned = resolve
    })
    const startedMs = performance.now()
    ledger.put(
      putConfig(configRow(`c${i}`, { job, resources, ports: [] })),
      putTask(taskRow(`t${i}`, { job, configId: configId(`c${i}`) })),
    )
    await assigned
    tookMs.push(performance.now() - startedMs)
    expect(ledger.view.task(taskId(`t${i}`))?.status).toBe('ASSIGNED')
  }
  tookMs.sort((a, b) => a - b)
  expect(tookMs[50]).toBeLessThan(20)
  expect(view.offers()[0]?.free.cpusMilli).toBe(4000 - 100 * 20)
  await system.stop()
  expect(failures).toEqual([])
})
