import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { AppendResult, Logger } from '../../src/actors/ports.ts'
import { silentLogger } from '../../src/actors/ports.ts'
import { agentId, jobKeyText, taskId } from '../../src/core/base/ids.ts'
import type { Rejection } from '../../src/core/base/rejection.ts'
import { batchPayload, encodeTransaction, payloadTransactions } from '../../src/core/ledger/payload.ts'
import { requestChange, requestOutcome } from '../../src/core/ledger/request-outcomes.ts'
import type { RowChange } from '../../src/core/ledger/transaction.ts'
import { changeBytes } from '../../src/wire/ledger-rows.ts'
import { openLedger } from '../fixtures/ledger.ts'
import {
  agentRow,
  CAUSE,
  configRow,
  deleteTask,
  HELLO,
  jobRow,
  putAgent,
  putConfig,
  putJob,
  putTask,
  taskRow,
} from '../fixtures/rows.ts'

const transaction = (...changes: RowChange[]) => ({ cause: CAUSE, changes })
const foreign = (...changes: RowChange[]) => batchPayload([encodeTransaction(CAUSE, changes.map(changeBytes))])
const transactionsIn = (payloads: readonly Uint8Array[]): number =>
  payloads.reduce((sum, payload) => sum + payloadTransactions(payload).length, 0)

describe('ledger, staging', () => {
  test('a staged change shows at once and is in the log after the commit, with its cause', async () => {
    const { system, log, ledger } = await openLedger()
    ledger.stage({ cause: { ...CAUSE, requestId: 'r-1' }, changes: [putTask(taskRow('t'))] })
    expect(ledger.view.task(taskId('t'))).toEqual(taskRow('t'))
    expect(log.appended).toEqual([])
    await system.settle()
    expect(payloadTransactions(log.appended[0] as Uint8Array)[0]?.cause).toEqual({ ...CAUSE, requestId: 'r-1' })
    expect(log.storedRows.map(row => row.key)).toEqual(['t'])
    expect(ledger.applied).toBe(2)
  })

  test('several changes of one row in a transaction: one put, the last version', async () => {
    const { system, log, ledger } = await openLedger()
    const versions = [1, 2, 3].map(version => putTask(taskRow('t', { version })))
    ledger.stage(transaction(...versions))
    await system.settle()
    const [appended] = payloadTransactions(log.appended[0] as Uint8Array)
    expect(appended?.rows.length).toBe(1)
    expect(ledger.view.task(taskId('t'))?.version).toBe(3)
  })

  test('an empty transaction, and one that changes nothing: nothing is appended, the output still runs', async () => {
    const { system, log, ledger } = await openLedger({ changes: [putAgent(agentRow('a'))] })
    const before = log.appended.length
    const ran: string[] = []
    ledger.stage(transaction(), () => ran.push('empty'))
    ledger.stage(transaction(putAgent(agentRow('a')), deleteTask('nobody')), () => ran.push('same'))
    await system.settle()
    expect(ran).toEqual(['empty', 'same'])
    expect(log.appended.length).toBe(before)
  })

  test('an exception while a transaction is computed: nothing of it is staged', async () => {
    const { system, log, ledger } = await openLedger({ changes: [putTask(taskRow('holder'))] })
    const before = log.appended.length
    const second = putTask(taskRow('second'))
    expect(() => ledger.stage(transaction(putTask(taskRow('x', { instance: 9 })), second))).toThrow(
      'at most one active',
    )
    const keyTooLong: RowChange = {
      type: 'put',
      table: 'meta',
      key: 'k'.repeat(2_000),
      row: { v: 1, name: 'k'.repeat(2_000), value: 1 },
    }
    expect(() => ledger.stage(transaction(putAgent(agentRow('a')), keyTooLong))).toThrow('row key')
    await system.settle()
    expect(log.appended.length).toBe(before)
    expect(ledger.view.counts).toMatchObject({ tasks: 1, agents: 0 })
  })

  test('staged in one turn: one batch; staged while it is in flight: the next batch', async () => {
    const { system, log, ledger } = await openLedger()
    log.hold()
    for (let i = 0; i < 10; i++) ledger.stage(transaction(putTask(taskRow(`t${i}`, { instance: i }))))
    await system.settle()
    expect(log.appended.map(payload => transactionsIn([payload]))).toEqual([10])
    ledger.stage(transaction(deleteTask('t0')))
    ledger.stage(transaction(deleteTask('t1')))
    await system.settle()
    expect(log.appended.length).toBe(1)
    system.advance(1)
    expect(log.appended.map(payload => transactionsIn([payload]))).toEqual([10, 2])
    expect(log.waiting).toBe(2)
  })

  test('two saves of one host in a transaction: the later mode wins, in memory and in the log', async () => {
    const { system, log, ledger } = await openLedger()
    const [a, b] = [agentRow('a', { mode: 'DRAINING' }), agentRow('a', { mode: 'DRAINED' })]
    ledger.stage(transaction(putAgent(a), putAgent(b)))
    await system.settle()
    const again = await openLedger({ log: log.restarted() })
    expect([ledger, again.ledger].map(each => each.view.agent(agentId('a'))?.mode)).toEqual(['DRAINED', 'DRAINED'])
  })
})

describe('ledger, output commit', () => {
  test('nothing runs before the commit; then outputs and waits run in the order of staging', async () => {
    const { system, log, ledger } = await openLedger()
    log.hold()
    const ran: string[] = []
    ledger.subscribe('staged', change => ran.push(`staged ${change.position}`))
    ledger.subscribe('committed', change => ran.push(`committed ${change.position}`))
    ledger.stage(transaction(putTask(taskRow('t'))), () => ran.push('first'))
    ledger.whenCommitted(() => ran.push('read'))
    ledger.stage(transaction(), () => ran.push('no-op'))
    ledger.stage(transaction(putTask(taskRow('t', { version: 2 }))), () => ran.push('second'))
    await system.settle()
    ledger.whenCommitted(() => ran.push('late read'))
    await system.settle()
    expect(ran).toEqual(['staged 0', 'staged 0'])
    log.release()
    await system.settle()
    const rest = ['committed 2', 'first', 'read', 'no-op', 'committed 2', 'second', 'late read']
    expect(ran.slice(2)).toEqual(rest)
  })

  test('nothing pending: a wait runs at once; out of an output, behind the outputs of its batch', async () => {
    const { system, ledger } = await openLedger()
    const ran: string[] = []
    ledger.whenCommitted(() => ran.push('at once'))
    expect(ran).toEqual(['at once'])
    ledger.stage(transaction(putTask(taskRow('t'))), () => {
      ran.push('first')
      ledger.whenCommitted(() => ran.push('from first'))
    })
    ledger.stage(transaction(putTask(taskRow('t', { version: 2 }))), () => ran.push('second'))
    await system.settle()
    expect(ran).toEqual(['at once', 'first', 'second', 'from first'])
  })

  test('a no-op behind an uncommitted change waits for its commit', async () => {
    const { system, log, ledger } = await openLedger()
    log.hold()
    let isAnswered = false
    ledger.stage(transaction(putTask(taskRow('t'))))
    await system.settle()
    ledger.stage(transaction(), () => {
      isAnswered = true
    })
    await system.settle()
    expect(isAnswered).toBe(false)
    log.letGo()
    await system.settle()
    expect(isAnswered).toBe(true)
  })

  test('a listener or an output that throws: the others still run, and the fault is logged', async () => {
    const events: string[] = []
    const logger: Logger = { ...silentLogger, error: event => events.push(event) }
    const { system, ledger } = await openLedger({ logger })
    const ran: string[] = []
    ledger.subscribe('committed', () => {
      throw new Error('a bug of a listener')
    })
    ledger.subscribe('committed', () => ran.push('listener'))
    const broken = (): never => {
      throw new Error('a bug of an output')
    }
    ledger.stage(transaction(putTask(taskRow('t'))), broken)
    ledger.stage(transaction(deleteTask('t')), () => ran.push('output'))
    await system.settle()
    expect(ran).toEqual(['listener', 'listener', 'output'])
    expect(events).toEqual(['ledgerListenerFailed', 'ledgerOutputFailed', 'ledgerListenerFailed'])
  })

  test('listeners get the net changes with the rows before them; unsubscribed ones nothing', async () => {
    const { ledger } = await openLedger({ changes: [putTask(taskRow('t'))] })
    const seen: unknown[] = []
    const unsubscribe = ledger.subscribe('staged', change => seen.push(...change.changes))
    const next = putTask(taskRow('t', { version: 2 }))
    ledger.stage(transaction(putTask(taskRow('t', { version: 9 })), next))
    unsubscribe()
    ledger.stage(transaction(deleteTask('t')))
    expect(seen).toEqual([{ change: next, before: taskRow('t') }])
  })

  test('any order of staging, waiting and committing, any seed: outputs run in the order of staging', async () => {
    const step = fc.constantFrom('stage', 'wait', 'noop', 'release', 'settle', 'advance')
    await fc.assert(
      fc.asyncProperty(fc.nat(1_000), fc.array(step, { maxLength: 40 }), async (seed, steps) => {
        const { system, log, ledger } = await openLedger({ seed })
        log.hold()
        const ran: number[] = []
        let asked = 0
        for (const each of steps) {
          const asks = each === 'stage' || each === 'noop' || each === 'wait'
          const id = asks ? asked++ : -1
          const output = () => ran.push(id)
          if (each === 'stage') ledger.stage(transaction(putTask(taskRow('t', { version: asked }))), output)
          else if (each === 'noop') ledger.stage(transaction(), output)
          else if (each === 'wait') ledger.whenCommitted(output)
          else if (each === 'release') log.release(1)
          else if (each === 'settle') await system.settle()
          else system.advance(1)
        }
        log.letGo()
        await system.settle()
        system.advance(5)
        await system.settle()
        expect(ran).toEqual(Array.from({ length: asked }, (_, i) => i))
        expect(system.failures).toEqual([])
      }),
      { numRuns: 60 },
    )
  })
})

describe('ledger, leadership', () => {
  test('before anybody leads: closed, with what to say; when this node leads and has its rows: open, told once', async () => {
    const { system, log, ledger } = await openLedger({ leads: false })
    expect(ledger.refusal()?.code).toBe('STORAGE_NOT_READY')
    ledger.began({ ...(await log.status()), status: 'EMPTY', waitingFor: 'an initialized log: run `x`' })
    expect(ledger.refusal()?.detail).toBe('Storage is not READY: the log waits for an initialized log: run `x`')
    const opened: unknown[] = []
    ledger.onOpen(view => opened.push(view.ballot))
    log.elect()
    expect(ledger.open).toBe(false)
    await system.settle()
    expect(ledger.open).toBe(true)
    expect(ledger.refusal()).toBeNull()
    expect(opened).toEqual([[1, 1]])
  })

  test('lost in flight: no output runs, unknown for what was sent, not leader for the rest, rows as in the log', async () => {
    const { system, log, ledger } = await openLedger({ changes: [putTask(taskRow('t'))] })
    log.hold()
    const told: string[] = []
    const ghost = taskRow('ghost', { instance: 1 })
    const never = () => told.push('output')
    const lost = (name: string) => (reason: Rejection) => told.push(`${name} ${reason.code}`)
    ledger.onClose(reason => told.push(`closed ${reason.code}`))
    ledger.stage(transaction(putTask(taskRow('t', { version: 2 }))), never, lost('sent'))
    await system.settle()
    ledger.stage(transaction(putTask(taskRow('t', { version: 3 })), putTask(ghost)), never, lost('staged'))
    ledger.whenCommitted(never, lost('read'))
    log.lose()
    await system.settle()
    expect(told).toEqual(['closed NOT_LEADER', 'sent OUTCOME_UNKNOWN', 'staged NOT_LEADER', 'read NOT_LEADER'])
    expect(ledger.open).toBe(false)
    expect(ledger.view.task(taskId('t'))?.version).toBe(1)
    expect(ledger.view.task(taskId('ghost'))).toBeUndefined()
    expect(ledger.refusal()).toMatchObject({
      code: 'NOT_LEADER',
      remedy: 'Send the request to the leader at http://127.0.0.1:8181',
    })
  })

  test('closed: staging and waiting are answered at once and change nothing', async () => {
    const { system, log, ledger } = await openLedger()
    log.lose()
    await system.settle()
    const told: string[] = []
    ledger.stage(transaction(putTask(taskRow('t'))), undefined, reason => told.push(reason.code))
    ledger.whenCommitted(
      () => told.push('output'),
      reason => told.push(reason.code),
    )
    await system.settle()
    expect(told).toEqual(['NOT_LEADER', 'NOT_LEADER'])
    expect(ledger.view.counts.tasks).toBe(0)
  })

  test('another leader writes: rows follow; leading again: opens with them', async () => {
    const { system, log, ledger } = await openLedger()
    log.lose()
    await system.settle()
    log.commitForeign(foreign(putTask(taskRow('theirs'))))
    log.commitForeign(foreign(putTask(taskRow('theirs', { version: 2 }))))
    await system.settle()
    expect(ledger.view.task(taskId('theirs'))?.version).toBe(2)
    log.commitForeign(foreign(putTask(taskRow('missed', { instance: 1 }))), { isTold: false })
    log.elect()
    await system.settle()
    expect(ledger.open).toBe(true)
    expect(ledger.view.counts.tasks).toBe(2)
    expect(ledger.applied).toBe(log.applied)
  })

  test('entries missed by a follower: read again from the log before the ones that came', async () => {
    const { system, log, ledger } = await openLedger()
    log.lose()
    await system.settle()
    log.commitForeign(foreign(putTask(taskRow('missed'))), { isTold: false })
    log.commitForeign(foreign(putTask(taskRow('told', { instance: 1 }))))
    await system.settle()
    expect(ledger.view.counts.tasks).toBe(2)
    expect(ledger.applied).toBe(log.applied)
  })

  test('the log hears whether all rows are here: not while they are read, not again when nothing has changed', async () => {
    const { system, log, ledger } = await openLedger({ leads: false, pageRowsMax: 1 })
    await system.settle()
    expect(log.rowsTold).toEqual([false])
    log.commitForeign(foreign(putTask(taskRow('a')), putTask(taskRow('b', { instance: 1 }))))
    log.elect()
    await system.settle()
    expect(ledger.open).toBe(true)
    expect(log.rowsTold).toEqual([false, true])
    log.lose()
    log.commitForeign(foreign(putTask(taskRow('c', { instance: 2 }))))
    await system.settle()
    expect(log.rowsTold).toEqual([false, true, false, true])
    log.commitForeign(foreign(putTask(taskRow('d', { instance: 3 }))))
    await system.settle()
    expect(log.rowsTold.length).toBe(4)
  })

  test('the same view again, a newer one of the same ballot, an older one: nothing is lost', async () => {
    const { system, log, ledger } = await openLedger()
    log.hold()
    const told: string[] = []
    ledger.onClose(() => told.push('closed'))
    ledger.stage(transaction(putTask(taskRow('t'))), () => told.push('output'))
    await system.settle()
    const report = await log.status()
    const { view } = report
    ledger.listener.viewChanged(view, report)
    ledger.listener.viewChanged({ ...view, version: view.version + 1 }, report)
    ledger.listener.viewChanged({ ...view, version: view.version - 1, role: 'FOLLOWER' }, report)
    await system.settle()
    log.letGo()
    await system.settle()
    expect(told).toEqual(['output'])
  })

  test('leadership lost and won again between two looks: what was pending is lost all the same', async () => {
    const { system, log, ledger } = await openLedger()
    log.hold()
    const told: string[] = []
    ledger.onOpen(view => told.push(`open ${view.ballot?.[0]}`))
    ledger.stage(transaction(putTask(taskRow('t'))), undefined, reason => told.push(reason.code))
    await system.settle()
    log.elect()
    log.letGo()
    await system.settle()
    expect(told).toEqual(['OUTCOME_UNKNOWN', 'open 2'])
    // The append was committed after all, which only the log knew: the rows read again show it.
    expect(ledger.view.counts.tasks).toBe(1)
  })

  test.each([
    [{ type: 'notLeader' }, 'NOT_LEADER'],
    [{ type: 'unknown' }, 'OUTCOME_UNKNOWN'],
    [{ type: 'busy' }, 'NOT_LEADER'],
    [{ type: 'noSpace', freeBytes: 5 }, 'STORAGE_NOT_READY'],
  ] as [AppendResult, string][])(
    'an append that ends %j: memory equals the log again, and it is open for more',
    async (result, code) => {
      const { system, log, ledger } = await openLedger({ changes: [putTask(taskRow('t'))] })
      const told: string[] = []
      log.refuseNext(result)
      ledger.stage(
        transaction(deleteTask('t')),
        () => told.push('output'),
        reason => told.push(reason.code),
      )
      expect(ledger.view.counts.tasks).toBe(0)
      await system.settle()
      expect(told).toEqual([code])
      expect(ledger.view.counts.tasks).toBe(1)
      expect(ledger.open).toBe(true)
      ledger.stage(transaction(deleteTask('t')), () => told.push('done'))
      await system.settle()
      expect(told).toEqual([code, 'done'])
    },
  )

  test('the second of two batches in flight is refused: what waits on the first is not told that it was not written', async () => {
    const { system, log, ledger } = await openLedger()
    const told: string[] = []
    log.hold()
    ledger.stage(transaction(putTask(taskRow('first'))), undefined, reason => told.push(reason.code))
    await system.settle()
    log.refuseNext({ type: 'notLeader' })
    ledger.stage(transaction(putTask(taskRow('second', { instance: 1 }))))
    system.advance(1)
    await system.settle()
    expect(told).toEqual(['OUTCOME_UNKNOWN'])
    log.letGo()
    await system.settle()
    expect([...ledger.view.tasks()].map(task => task.taskId)).toEqual(['first'])
  })

  test('every append names the ballot and the reading of the rows it builds on', async () => {
    const { system, log, ledger } = await openLedger({ changes: [putTask(taskRow('t'))] })
    log.refuseNext({ type: 'noSpace', freeBytes: 5 })
    ledger.stage(transaction(deleteTask('t')))
    await system.settle()
    ledger.stage(transaction(deleteTask('t')))
    await system.settle()
    log.elect()
    await system.settle()
    ledger.stage(transaction(putTask(taskRow('t'))))
    await system.settle()
    expect(log.bases.map(basis => [basis?.ballot, basis?.opening])).toEqual([
      [[1, 1], 1],
      [[1, 1], 1],
      [[1, 1], 2],
      [[2, 1], 3],
    ])
  })

  test('the first of two batches in flight is refused: the rows are read only when the fate of the second is known', async () => {
    const { system, log, ledger } = await openLedger()
    log.hold()
    ledger.stage(transaction(putTask(taskRow('first'))))
    await system.settle()
    ledger.stage(transaction(putTask(taskRow('second', { instance: 1 }))))
    system.advance(1)
    expect(log.waiting).toBe(2)
    log.fail({ type: 'unknown' })
    await system.settle()
    expect(ledger.open).toBe(false)
    log.letGo()
    await system.settle()
    expect(ledger.open).toBe(true)
    expect([...ledger.view.tasks()].map(task => task.taskId)).toEqual(['second'])
    expect(ledger.applied).toBe(log.applied)
  })

  test('refused while the stored tables lag behind the log: opens again only with everything that was committed', async () => {
    const { system, log, ledger } = await openLedger()
    log.isApplying = false
    ledger.stage(transaction(putTask(taskRow('t'))))
    await system.settle()
    log.refuseNext({ type: 'noSpace', freeBytes: 0 })
    ledger.stage(transaction(putTask(taskRow('u', { instance: 1 }))))
    await system.settle()
    expect(ledger.open).toBe(true)
    expect([...ledger.view.tasks()].map(task => task.taskId)).toEqual(['t'])
    expect(ledger.applied).toBe(2)
  })

  test('leadership lost and won while the last check before opening is on its way: its answer is not believed', async () => {
    const { system, log, ledger } = await openLedger()
    log.lose()
    await system.settle()
    let checks = 0
    log.onReadRows = () => {
      checks++
      if (checks !== 2) return
      // Behind the reading of the page, before its answer comes in.
      queueMicrotask(() => {
        log.lose()
        log.commitForeign(foreign(putTask(taskRow('theirs'))), { isTold: false })
        log.elect()
      })
    }
    log.elect()
    await system.settle()
    expect(checks).toBeGreaterThan(2)
    expect(ledger.open).toBe(true)
    expect(ledger.view.counts.tasks).toBe(1)
  })

  test('the store cannot be written: refused with the reason before anything is staged, open again when it can', async () => {
    const { system, log, ledger } = await openLedger()
    log.setWritable('9 MiB free, 64 MiB needed')
    await system.settle()
    expect(ledger.refusal()).toMatchObject({
      code: 'STORAGE_NOT_READY',
      detail: 'Storage is not READY: 9 MiB free, 64 MiB needed',
    })
    log.setWritable(null)
    await system.settle()
    expect(ledger.refusal()).toBeNull()
  })

  test('more than can wait: BUSY before anything is staged', async () => {
    const { system, log, ledger } = await openLedger()
    log.hold()
    const value = 'x'.repeat(1_024 * 1_024)
    for (let i = 0; i < 65; i++) {
      ledger.stage(transaction({ type: 'put', table: 'meta', key: `m${i}`, row: { v: 1, name: `m${i}`, value } }))
    }
    expect(ledger.refusal()?.code).toBe('BUSY')
    log.letGo()
    await system.settle()
    system.advance(10)
    await system.settle()
    expect(ledger.refusal()).toBeNull()
  })

  test('the system stops: whoever waits is told', async () => {
    const { system, log, ledger } = await openLedger()
    log.hold()
    const told: string[] = []
    ledger.stage(transaction(putTask(taskRow('t'))), undefined, reason => told.push(reason.code))
    await system.settle()
    await system.stop()
    expect(told).toEqual(['OUTCOME_UNKNOWN'])
  })
})

describe('ledger, recovery', () => {
  test('any sequence of transactions, a restart after each few: rows and indices as before', async () => {
    const change = fc.oneof(
      fc
        .record({ id: fc.nat(5), version: fc.nat(100) })
        .map(({ id, version }) =>
          putTask(taskRow(`t${id}`, { instance: id, version, agentId: agentId('a'), status: 'RUNNING' })),
        ),
      fc.nat(5).map(id => deleteTask(`t${id}`)),
      fc.nat(3).map(id => putAgent(agentRow(`a${id}`))),
      fc.constant(putConfig(configRow())),
      fc.constant(putJob(jobRow())),
      fc.constant<RowChange>({ type: 'delete', table: 'job', key: jobKeyText(HELLO) }),
    )
    const steps = fc.array(fc.array(fc.array(change, { maxLength: 4 }), { maxLength: 4 }), { maxLength: 4 })
    await fc.assert(
      fc.asyncProperty(steps, fc.integer({ min: 1, max: 4 }), async (runs, pageRowsMax) => {
        let node = await openLedger()
        for (const run of runs) {
          for (const changes of run) node.ledger.stage(transaction(...changes))
          await node.system.settle()
          const { view } = node.ledger
          const before = {
            tasks: [...view.tasks()].sort((a, b) => (a.taskId < b.taskId ? -1 : 1)),
            jobs: [...view.jobs()],
            agents: [...view.agents()],
            counts: view.counts,
            onAgent: view
              .tasksOnAgent(agentId('a'))
              .map(task => task.taskId)
              .sort(),
            applied: node.ledger.applied,
          }
          node = await openLedger({ log: node.log.restarted(), pageRowsMax })
          const after = node.ledger.view
          expect({
            tasks: [...after.tasks()].sort((a, b) => (a.taskId < b.taskId ? -1 : 1)),
            jobs: [...after.jobs()],
            agents: [...after.agents()],
            counts: after.counts,
            onAgent: after
              .tasksOnAgent(agentId('a'))
              .map(task => task.taskId)
              .sort(),
            applied: node.ledger.applied - 1, // the LEADER entry of the new term
          }).toEqual(before)
          expect(node.system.failures).toEqual([])
        }
      }),
      { numRuns: 40 },
    )
  })

  test('the log moves while its tables are being read: the entries since the first page are applied on top', async () => {
    const first = await openLedger({
      changes: Array.from({ length: 5 }, (_, i) => putTask(taskRow(`t${i}`, { instance: i }))),
    })
    const log = first.log.restarted()
    const { system, ledger } = await openLedger({ log, leads: false, pageRowsMax: 2 })
    let pages = 0
    log.onReadRows = () => {
      pages++
      if (pages === 2) {
        const replaced = [putTask(taskRow('t0', { status: 'LOST' })), putTask(taskRow('u0')), deleteTask('t1')]
        log.commitForeign(foreign(...replaced), { isTold: false })
      }
    }
    log.lose()
    await system.settle()
    expect(pages).toBe(3)
    expect(ledger.view.activeTask(HELLO, 0)?.taskId).toBe('u0')
    expect(ledger.view.activeTask(HELLO, 1)).toBeUndefined()
    expect(ledger.view.counts.tasks).toBe(5)
    expect(ledger.applied).toBe(log.applied)
  })

  test('reading the tables fails: tried again after a pause, then open', async () => {
    const { system, log, ledger } = await openLedger({ leads: false })
    log.readFailure = new Error('the log thread is busy')
    log.elect()
    await system.settle()
    expect(ledger.open).toBe(false)
    system.advance(500)
    await system.settle()
    expect(ledger.open).toBe(true)
  })

  test('a stored row that cannot be read: the process would end, nothing is guessed', async () => {
    const { system, log } = await openLedger({ leads: false })
    const damaged = encodeTransaction(CAUSE, [{ table: 1, key: 't', bytes: new Uint8Array([0x93, 2, 3]) }])
    log.commitForeign(batchPayload([damaged]), { isTold: false })
    log.elect()
    await expect(system.settle()).rejects.toThrow('would have ended the process')
  })

  test('a transaction of 5 MiB: applied at its last part and found whole after a restart', async () => {
    const { system, log, ledger } = await openLedger()
    const value = 'x'.repeat(5 * 1_024 * 1_024)
    const put: RowChange = { type: 'put', table: 'meta', key: 'large', row: { v: 1, name: 'large', value } }
    log.hold()
    let position = 0
    ledger.stage(transaction(put, putTask(taskRow('t'))), () => {
      position = ledger.applied
    })
    await system.settle()
    expect(log.appended.length).toBe(11)
    log.release(10)
    await system.settle()
    expect([position, log.storedRows.length]).toEqual([0, 0])
    log.release()
    await system.settle()
    expect(position).toBe(12)
    const again = await openLedger({ log: log.restarted() })
    expect(again.ledger.view.meta('large')?.value).toBe(value)
    expect(again.ledger.view.counts.tasks).toBe(1)
  })

  test('a crash after 2 of its parts: nothing of it applies, later entries do', async () => {
    const { system, log, ledger } = await openLedger()
    const value = 'x'.repeat(5 * 1_024 * 1_024)
    log.hold()
    ledger.stage(transaction({ type: 'put', table: 'meta', key: 'large', row: { v: 1, name: 'large', value } }))
    await system.settle()
    log.release(2)
    const again = await openLedger({ log: log.restarted(), changes: [putTask(taskRow('t'))] })
    expect(again.ledger.view.meta('large')).toBeUndefined()
    const third = await openLedger({ log: again.log.restarted() })
    expect(third.ledger.view.counts.tasks).toBe(1)
    expect(third.ledger.view.meta('large')).toBeUndefined()
  })
})

describe('ledger, requests', () => {
  /** What an actor that takes mutations does with one. */
  function create(
    ledger: Awaited<ReturnType<typeof openLedger>>['ledger'],
    requestId: string,
    answer: (a: unknown) => void,
  ) {
    const known = requestOutcome(ledger.view, requestId, 'fingerprint')
    if (known.type === 'conflict') return answer(known.rejection)
    if (known.type === 'done') return ledger.whenCommitted(() => answer(known.outcome), answer)
    const id = `task-of-${requestId}-${[...ledger.view.tasks()].length}`
    const outcome = { created: id }
    const changes = [putTask(taskRow(id)), requestChange(requestId, 'fingerprint', outcome, CAUSE.wallMs)]
    ledger.stage(transaction(...changes), () => answer(outcome), answer)
  }

  test('an append of unknown outcome that was written, then the retry: the first answer, done once', async () => {
    const { system, log, ledger } = await openLedger()
    const answers: unknown[] = []
    log.hold()
    create(ledger, 'r-1', answer => answers.push(answer))
    await system.settle()
    log.elect()
    log.letGo()
    await system.settle()
    create(ledger, 'r-1', answer => answers.push(answer))
    await system.settle()
    expect(answers).toEqual([expect.objectContaining({ code: 'OUTCOME_UNKNOWN' }), { created: 'task-of-r-1-0' }])
    expect(ledger.view.counts.tasks).toBe(1)
  })

  test('an append of unknown outcome that was not written, then the retry: done once', async () => {
    const { system, log, ledger } = await openLedger()
    const answers: unknown[] = []
    log.hold()
    create(ledger, 'r-1', answer => answers.push(answer))
    await system.settle()
    log.lose()
    await system.settle()
    log.elect()
    log.letGo()
    await system.settle()
    create(ledger, 'r-1', answer => answers.push(answer))
    await system.settle()
    expect(answers[1]).toEqual({ created: 'task-of-r-1-0' })
    expect(ledger.view.counts.tasks).toBe(1)
  })

  test('a retry while the first is in flight: its answer waits for the commit too', async () => {
    const { system, log, ledger } = await openLedger()
    const answers: unknown[] = []
    log.hold()
    create(ledger, 'r-1', answer => answers.push(answer))
    create(ledger, 'r-1', answer => answers.push(answer))
    await system.settle()
    expect(answers).toEqual([])
    log.letGo()
    await system.settle()
    expect(answers).toEqual([{ created: 'task-of-r-1-0' }, { created: 'task-of-r-1-0' }])
  })

  test('outcomes of a day ago: dropped by the timer, the others stay', async () => {
    const { system, log, ledger } = await openLedger({ pruneEveryMs: 60_000 })
    const { wallMs } = system.now()
    ledger.stage(
      transaction(requestChange('old', 'f', 1, wallMs - 24 * 3_600_000), requestChange('new', 'f', 2, wallMs)),
    )
    await system.settle()
    system.advance(60_000)
    await system.settle()
    expect(ledger.view.request('old')).toBeUndefined()
    expect(ledger.view.request('new')?.outcome).toBe(2)
    expect(log.storedRows.map(row => row.key)).toEqual(['new'])
  })

  test('limits set: kept so long and so many as they say, and all that is due goes at one look', async () => {
    const requestLimits = { keptMsMax: 3_600_000, requestsMax: 5, changesMax: 3 }
    const { system, log, ledger } = await openLedger({ pruneEveryMs: 60_000, requestLimits })
    const { wallMs } = system.now()
    const ages = [61, 60, 45, 44, 43, 42, 41, 40, 39, 38, 37]
    ledger.stage(transaction(...ages.map(minutes => requestChange(`${minutes}`, 'f', 1, wallMs - minutes * 60_000))))
    await system.settle()
    system.advance(60_000)
    await system.settle()
    expect(log.storedRows.map(row => row.key).sort()).toEqual(['37', '38', '39', '40', '41'])
  })
})

test('ledger, inspected: phase, position and what waits', async () => {
  const { system, log, ledger } = await openLedger()
  log.hold()
  ledger.stage(transaction(putTask(taskRow('t'))))
  await system.settle()
  expect(system.inspection.actor(ledger.ref.path)?.stateSummary).toMatchObject({
    phase: 'open',
    applied: 1,
    batchesInFlight: 1,
    staged: 0,
    tasks: 1,
  })
})
