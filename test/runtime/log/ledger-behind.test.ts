/** The ledger of a member whose log begins anew with a snapshot: what happened in between never comes as entries. */
import { expect, onTestFinished, test } from 'vitest'
import { createLedger, type LedgerActor } from '../../../src/actors/ledger.ts'
import { silentLogger, silentMetrics } from '../../../src/actors/ports.ts'
import { createActorSystem } from '../../../src/actors/shell.ts'
import { prng } from '../../../src/core/base/prng.ts'
import type { RowChange } from '../../../src/core/ledger/transaction.ts'
import { LOG_LIMITS } from '../../../src/core/log/limits.ts'
import { realClock } from '../../../src/runtime/clock.ts'
import { formatLog } from '../../../src/runtime/log/log-folder.ts'
import {
  CAUSE,
  configRow,
  deleteTask,
  HELLO,
  jobRow,
  putConfig,
  putJob,
  putTask,
  taskRow,
} from '../../fixtures/rows.ts'
import { CLUSTER, eventually, leaderOf, Member, memberOptions } from './member.ts'

const limits = {
  ...LOG_LIMITS,
  entriesKept: 20,
  truncateStep: 10,
  lagMax: 50,
  pageBytes: 2_000,
}

/** A member with a ledger on it, as a node has. */
function withLedger(member: Member): LedgerActor {
  const system = createActorSystem({
    name: 'scheduler',
    clock: realClock,
    random: prng(1),
    log: silentLogger,
    onEndProcess: error => {
      throw error
    },
  })
  onTestFinished(() => system.stop())
  const ledger = createLedger({
    system,
    log: member.port,
    clock: realClock,
    metrics: silentMetrics,
    logger: silentLogger,
  })
  member.also = ledger.listener
  return ledger
}

test('a follower far behind, its rows already in memory when the snapshot comes: they are read anew, and are those of the leader', {
  timeout: 60_000,
}, async () => {
  const options = await memberOptions(3, () => ({ timing: { leaseMs: 2_000 }, limits }))
  await Promise.all(options.map(one => formatLog(one, CLUSTER)))
  const members = options.map(one => new Member(one))
  const ledgers = new Map(members.map(member => [member, withLedger(member)]))
  await Promise.all(members.map(member => member.start()))
  const leader = await leaderOf(members)
  const ledger = ledgers.get(leader)!
  await new Promise<void>(resolve => ledger.onOpen(() => resolve()))
  const write = async (...changes: RowChange[]): Promise<void> => {
    ledger.stage({ cause: CAUSE, changes })
    await new Promise<void>((resolve, reject) => ledger.whenCommitted(resolve, reason => reject(reason.detail)))
  }
  await write(putConfig(configRow()), putJob(jobRow()))
  for (let at = 0; at < 5; at++) await write(putTask(taskRow(`early-${at}`, { instance: at })))
  const away = members.find(member => member !== leader)!
  await eventually(async () => ledgers.get(away)!.applied >= ledger.applied)
  await away.stop()
  const { end } = await away.status()
  for (let at = 0; at < 5; at++) await write(deleteTask(`early-${at}`))
  for (let at = 0; at < 60; at++) await write(putTask(taskRow(`late-${at}`, { instance: at })))
  const rest = members.filter(member => member !== away)
  await eventually(async () => (await Promise.all(rest.map(one => one.status()))).every(({ begin }) => begin > end + 1))

  const back = new Member(away.options)
  const follower = withLedger(back)
  await back.start()
  await back.said('log-snapshot-installed')
  await write(putTask(taskRow('last', { instance: 99 })))
  await eventually(async () => follower.applied >= ledger.applied)
  const shown = (one: LedgerActor) => one.view.tasksOfJob(HELLO).map(row => row.taskId)
  expect(shown(follower)).toEqual(shown(ledger))
  expect(shown(follower)).toHaveLength(61)
})
