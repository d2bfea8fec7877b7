/** Three log threads of one cluster under one scheduler thread, which is kept busy without a pause. */
import { expect, onTestFinished, test } from 'vitest'
import type { LeaderView, Logger } from '../../../src/actors/ports.ts'
import { silentLogger } from '../../../src/actors/ports.ts'
import { LOG_TIMING } from '../../../src/core/log/timing.ts'
import { type LogThread, openLogThread } from '../../../src/runtime/log/log-client.ts'
import { formatLog } from '../../../src/runtime/log/log-folder.ts'
import type { LogNodeOptions } from '../../../src/runtime/log/log-options.ts'
import { putRow } from './log-folders.ts'
import { CLUSTER, eventually, memberOptions } from './member.ts'

interface Threads {
  readonly log: LogThread
  view: LeaderView | null
  readonly events: string[]
}

async function open(options: LogNodeOptions): Promise<Threads> {
  await formatLog(options, CLUSTER)
  const events: string[] = []
  const note = (event: string): void => void events.push(event)
  const logger: Logger = { ...silentLogger, info: note, warn: note, error: note }
  const log = await openLogThread({ ...options, log: logger })
  onTestFinished(() => log.terminate())
  const threads: Threads = { log, view: null, events }
  const viewChanged = (view: LeaderView): void => {
    threads.view = view
  }
  await log.start({ viewChanged, committed: () => {}, writable: () => {} })
  return threads
}

function block(ms: number): void {
  for (const until = performance.now() + ms; performance.now() < until; );
}

test('scheduler thread blocked for two leases: no leadership is lost, and its first look finds the lease renewed', {
  timeout: 60_000,
}, async () => {
  const members = await Promise.all((await memberOptions(3)).map(open))
  const leads = ({ view }: Threads): boolean => view?.role === 'LEADER'
  // A machine too busy to run a log thread for a whole lease proves nothing, and is given another chance. If one thread
  // waited for the other, every round would fail.
  for (let roundsLeft = 4; ; roundsLeft--) {
    await eventually(async () => members.some(leads))
    const leader = members.find(leads)!
    const ballot = leader.view!.ballot!
    if ((await leader.log.append(putRow('before', '1'))).type !== 'ok') continue
    const said = leader.events.length
    block(2 * LOG_TIMING.leaseMs)
    const isHeld = leader.log.lease.holds(ballot)
    const views = await Promise.all(members.map(async ({ log }) => (await log.status()).view))
    const events = leader.events.slice(said)
    if (roundsLeft > 0 && (!isHeld || events.includes('log-leadership-lost'))) continue
    expect(isHeld).toBe(true)
    expect(events).not.toContain('log-leadership-lost')
    for (const view of views)
      expect(view).toMatchObject({ ballot, leader: { memberId: leader.view!.leader!.memberId } })
    expect(await leader.log.append(putRow('after', '2'))).toMatchObject({ type: 'ok' })
    return
  }
})
