/** The ledger on the real log: LMDB, the log thread, comlink between. Waits for events only. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { createLedger, type LedgerActor } from '../../src/actors/ledger.ts'
import { type Clock, silentLogger, silentMetrics } from '../../src/actors/ports.ts'
import { createActorSystem } from '../../src/actors/shell.ts'
import { prng } from '../../src/core/base/prng.ts'
import type { RowChange } from '../../src/core/ledger/transaction.ts'
import { openLogThread } from '../../src/runtime/log/log-client.ts'
import {
  CAUSE,
  configRow,
  deleteTask,
  HELLO,
  jobRow,
  putConfig,
  putJob,
  putTask,
  putUpdate,
  putUpdateEvent,
  taskRow,
  updateEvent,
  updateRow,
} from '../fixtures/rows.ts'

const folders: string[] = []
const nodes: Node[] = []
afterEach(async () => {
  for (const node of nodes.splice(0)) await node.stop()
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true })
})

interface Node {
  readonly ledger: LedgerActor
  /** Settles when everything staged so far is committed. */
  committed(): Promise<void>
  stop(): Promise<void>
}

function dataFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'daybreak-ledger-'))
  folders.push(folder)
  return folder
}

async function openNode(folder: string): Promise<Node> {
  const clock: Clock = { read: () => ({ wallMs: Date.now(), monoMs: performance.now() }) }
  const system = createActorSystem({
    name: 'test',
    clock,
    random: prng(1),
    log: silentLogger,
    onEndProcess: error => {
      throw error
    },
  })
  const log = await openLogThread({
    path: join(folder, 'log'),
    memberId: 1,
    clusterId: null,
    members: [{ memberId: 1, name: 'node-1', address: 'alone' }],
    httpUrl: 'http://127.0.0.1:8081',
    configFile: 'local.yaml',
    autoBootstrap: true,
    space: { reserveBytes: 0, alarmBytes: 0, ballastBytes: 0 },
  })
  const ledger = createLedger({ system, log, clock, metrics: silentMetrics, logger: silentLogger, pageRowsMax: 100 })
  const opened = new Promise<void>(resolve => ledger.onOpen(() => resolve()))
  await log.start(ledger.listener)
  await opened
  let isStopped = false
  const node: Node = {
    ledger,
    committed: () => new Promise((resolve, reject) => ledger.whenCommitted(resolve, reason => reject(reason.detail))),
    stop: async () => {
      if (isStopped) return
      isStopped = true
      await system.stop()
      await log.terminate()
    },
  }
  nodes.push(node)
  return node
}

const stage = (node: Node, ...changes: RowChange[]): void => node.ledger.stage({ cause: CAUSE, changes })

describe('ledger on the log of one voter', () => {
  test('1,000 transactions, then a restart: the same rows at the same position, and it goes on from there', async () => {
    const folder = dataFolder()
    const first = await openNode(folder)
    stage(first, putConfig(configRow()), putJob(jobRow()))
    for (let i = 0; i < 1_000; i++) stage(first, putTask(taskRow(`t${i}`, { instance: i })))
    await first.committed()
    for (let i = 0; i < 1_000; i += 2) stage(first, deleteTask(`t${i}`))
    await first.committed()
    const before = first.ledger.view.tasksOfJob(HELLO)
    const { applied } = first.ledger
    await first.stop()

    const second = await openNode(folder)
    expect(second.ledger.view.tasksOfJob(HELLO)).toEqual(before)
    expect(second.ledger.view.counts).toEqual({ tasks: 500, jobs: 1, agents: 0, configs: 1 })
    // One LEADER entry came after what the first had.
    expect(second.ledger.applied).toBe(applied + 1)
    stage(second, deleteTask('t1'))
    await second.committed()
    expect(second.ledger.applied).toBe(applied + 2)
  })

  test('life-62: a pruned update and its events, then a restart: they stay pruned', async () => {
    const folder = dataFolder()
    const first = await openNode(folder)
    const events = [1, 2].map(number => updateEvent('u1', number, { status: 'ERROR' }))
    stage(first, putUpdate(updateRow('u1')), ...events.map(putUpdateEvent), putUpdate(updateRow('u2')))
    await first.committed()
    stage(
      first,
      { type: 'delete', table: 'update', key: putUpdate(updateRow('u1')).key },
      ...events.map(event => ({ type: 'delete', table: 'updateEvent', key: putUpdateEvent(event).key }) as const),
    )
    await first.committed()
    await first.stop()
    const second = await openNode(folder)
    expect([...second.ledger.view.rows('update').values()]).toEqual([updateRow('u2')])
    expect(second.ledger.view.rows('updateEvent').size).toBe(0)
    expect(second.ledger.view.updateEvents(events[0]?.update ?? '')).toEqual([])
  })

  test('a transaction of 5 MiB: committed in parts, whole after a restart', async () => {
    const folder = dataFolder()
    const first = await openNode(folder)
    const value = 'x'.repeat(5 * 1_024 * 1_024)
    stage(first, { type: 'put', table: 'meta', key: 'large', row: { v: 1, name: 'large', value } })
    await first.committed()
    expect(first.ledger.applied).toBe(12)
    await first.stop()
    const second = await openNode(folder)
    expect(second.ledger.view.meta('large')?.value).toBe(value)
  })

  test('outputs of many transactions, several batches in flight: in the order of staging', async () => {
    const node = await openNode(dataFolder())
    const ran: number[] = []
    const done = new Promise<void>(resolve => {
      const stageNext = (i: number): void => {
        if (i === 2_000) return
        const changes = [putTask(taskRow('t', { version: i + 1 }))]
        node.ledger.stage({ cause: CAUSE, changes }, () => {
          ran.push(i)
          if (i === 1_999) resolve()
        })
        if (i % 50 === 49) setImmediate(() => stageNext(i + 1))
        else stageNext(i + 1)
      }
      stageNext(0)
    })
    await done
    expect(ran).toEqual(Array.from({ length: 2_000 }, (_, i) => i))
  })
})
