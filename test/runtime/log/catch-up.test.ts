/** Members that were away for long, over real sockets and real stores: fed, fetching, or brought up with a snapshot. */
import { rmSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import type { StoredRow } from '../../../src/actors/ports.ts'
import { sameBallot } from '../../../src/core/log/ballot.ts'
import { LOG_LIMITS, type LogLimits } from '../../../src/core/log/limits.ts'
import { EXIT } from '../../../src/runtime/exit.ts'
import { metaOfLog } from '../../../src/runtime/log/lmdb-log-store.ts'
import { openStateStore } from '../../../src/runtime/log/lmdb-state-store.ts'
import { acceptVerified, stateFolder, storeFolder } from '../../../src/runtime/log/log-folder.ts'
import { putRow } from './log-folders.ts'
import { append, eventually, leaderOf, Member, startCluster } from './member.ts'

const SMALL: LogLimits = {
  ...LOG_LIMITS,
  entriesKept: 50,
  truncateStep: 20,
  dropStep: 25,
  lagMax: 100,
  pageBytes: 2_000,
  checkpointEvery: 100,
}
/** A lease that outlives what a busy machine does to three members in one thread. */
const timing = { leaseMs: 2_000 }
const start = (limits: LogLimits) => startCluster(3, () => ({ timing, limits }))

let writes = 0
/** One of 40 rows of about 200 bytes, with a value of its own. */
const nextRow = (): Uint8Array => {
  writes++
  return putRow(`row-${writes % 40}`, `${writes} ${'x'.repeat(200)}`)
}

/** So many appends, 50 at a time. */
async function fill(members: readonly Member[], count: number): Promise<void> {
  for (let at = 0; at < count; at += 50) {
    const { leader } = await append(members, nextRow())
    await Promise.all(Array.from({ length: 49 }, () => leader.port.append(nextRow())))
  }
}

/** Appends on and on until `stop` is called, which answers how many were taken. */
function appending(members: readonly Member[]): { stop(): Promise<number> } {
  let taken = 0
  let isOn = true
  const run = (async () => {
    while (isOn) {
      await fill(members, 50)
      taken += 50
      // The members are in this thread too.
      await new Promise(resolve => setImmediate(resolve))
    }
  })()
  return {
    stop: async () => {
      isOn = false
      await run
      return taken
    },
  }
}

const beginOf = async (member: Member): Promise<number> => (await member.status()).begin
/** None of them holds what a log that ends there lacks. */
const truncatedPast = (end: number, members: readonly Member[]): Promise<void> =>
  eventually(async () => {
    const begins = await Promise.all(members.map(beginOf))
    return begins.every(begin => begin > end + 1)
  })
const caughtUp = (lines: Member['lines']): string[] =>
  lines.filter(line => line.event === 'log-catch-up').map(line => String(line.fields.what))
const positionsOf = (member: Member, what: string): number[] =>
  member.lines
    .filter(line => line.event === 'log-catch-up' && line.fields.what === what)
    .map(line => Number(line.fields.position))

/** All members have applied what one more append needs. */
async function settled(members: readonly Member[]): Promise<number> {
  const { position } = await append(members, nextRow())
  await eventually(async () => {
    const reports = await Promise.all(members.map(member => member.status()))
    return reports.every(({ applied }) => applied >= position)
  })
  return position
}

async function rowsOf(member: Member): Promise<readonly StoredRow[]> {
  const page = await member.port.readRows(null, 1_000)
  expect(page.done).toBe(true)
  return page.rows
}

async function expectEqualRows(members: readonly Member[]): Promise<void> {
  const [first, ...others] = await Promise.all(members.map(rowsOf))
  expect(first!.length).toBeGreaterThan(30)
  for (const rows of others) expect(rows).toEqual(first)
}

/** Of a stopped member, as a start would find it. */
async function onDisk(member: Member): Promise<{ applied: number; rowsDigest: number; begin: number; end: number }> {
  const { path } = member.options
  const meta = (await metaOfLog(storeFolder(path)))!
  const state = await openStateStore(stateFolder(path), meta, meta)
  const { applied, rowsDigest } = state
  await state.close()
  return { applied, rowsDigest, begin: meta.begin, end: meta.end }
}

describe('a member that was away', () => {
  test('far behind, all of it still held: it fetches, and the ballot of the leader stays', {
    timeout: 60_000,
  }, async () => {
    const members = await start({ ...SMALL, entriesKept: 100_000 })
    await fill(members, 50)
    const leader = await leaderOf(members)
    const away = members.find(member => member !== leader)!
    await away.stop()
    await fill([leader], 1_000)
    const { ballot } = leader.view!
    const back = await new Member(away.options).start()
    await back.said('log-catch-up', 'done')
    const position = await settled([leader, back])
    const fed = back.entries.map(entry => entry.position)
    expect(fed).toEqual(fed.map((_, at) => fed[0]! + at))
    await back.when(() => back.entries.at(-1)!.position >= position)
    expect(caughtUp(back.lines)).not.toContain('snapshot')
    expect(leader.view).toMatchObject({ role: 'LEADER', ballot })
    await expectEqualRows([leader, back])
  })

  test('behind the truncation, while appends go on: a snapshot, then what follows it; equal rows and digests, and so after restarts', {
    timeout: 120_000,
  }, async () => {
    const members = await start(SMALL)
    await fill(members, 50)
    const leader = await leaderOf(members)
    const away = members.find(member => member !== leader)!
    const other = members.find(member => member !== leader && member !== away)!
    await away.stop()
    await fill([leader, other], 400)
    const { end } = await onDisk(away)
    await truncatedPast(end, [leader, other])
    const { ballot } = leader.view!

    const writers = appending([leader, other])
    const back = await new Member(away.options).start()
    await back.said('log-snapshot-installed')
    expect(await writers.stop()).toBeGreaterThan(0)
    const all = [leader, other, back]
    const position = await settled(all)
    expect(leader.view).toMatchObject({ role: 'LEADER', ballot })
    await expectEqualRows(all)
    expect(back.counts.get('log_snapshots_installed')).toBe(1)
    expect(await beginOf(back)).toBeGreaterThan(end + 1)
    // The digests were compared at every hundredth position.
    expect(all.flatMap(member => member.deaths)).toEqual([])

    await Promise.all(all.map(member => member.stop()))
    const disks = await Promise.all(all.map(onDisk))
    expect(new Set(disks.map(({ rowsDigest }) => rowsDigest)).size).toBe(1)
    for (const disk of disks) expect(disk.applied).toBeGreaterThanOrEqual(position)
    const again = await Promise.all(all.map(member => new Member(member.options).start()))
    await settled(again)
    await expectEqualRows(again)
    expect(again.flatMap(member => member.lines.filter(line => line.event === 'log-rows-remade'))).toEqual([])
  })

  test('truncated behind it while it fetches: it goes over to a snapshot in the middle, and ends without a gap', {
    timeout: 120_000,
  }, async () => {
    const members = await start({ ...SMALL, entriesKept: 300, pageBytes: 1 })
    await fill(members, 50)
    const leader = await leaderOf(members)
    const away = members.find(member => member !== leader)!
    const other = members.find(member => member !== leader && member !== away)!
    await away.stop()
    await fill([leader, other], 200)
    const { end } = await onDisk(away)
    expect(await beginOf(leader)).toBeLessThanOrEqual(end + 1)

    const writers = appending([leader, other])
    const back = await new Member({ ...away.options, limits: { ...SMALL, pageBytes: 1 } }).start()
    await back.said('log-snapshot-installed')
    await writers.stop()
    expect(positionsOf(back, 'snapshot')[0]).toBeGreaterThan(positionsOf(back, 'began')[0]!)
    const all = [leader, other, back]
    await settled(all)
    await expectEqualRows(all)
    const { begin, commit } = await back.status()
    const entries = await back.port.read(begin, commit)
    expect(entries.map(entry => entry.position)).toEqual(entries.map((_, at) => begin + at))
    const theirs = (await leader.port.read(Math.max(begin, await beginOf(leader)), commit)).at(-1)!
    expect(sameBallot(theirs.ballot, entries.at(-1)!.ballot)).toBe(true)
  })

  test('the only other one left is a leader that began with a snapshot itself: it brings the member up and then has its quorum', {
    timeout: 120_000,
  }, async () => {
    const members = await start(SMALL)
    await fill(members, 50)
    const first = await leaderOf(members)
    const [x, y] = members.filter(member => member !== first)
    await x!.stop()
    await fill([first, y!], 300)
    await truncatedPast((await onDisk(x!)).end, [first, y!])
    const installed = await new Member(x!.options).start()
    await installed.said('log-snapshot-installed')
    await settled([first, y!, installed])
    // Now the other follower stays away until it is behind the truncation too, and then the first leader is gone.
    await y!.stop()
    const { end } = await onDisk(y!)
    await fill([first, installed], 300)
    await settled([first, installed])
    await truncatedPast(end, [installed])
    await first.stop()
    const back = await new Member(y!.options).start()
    await back.said('log-snapshot-installed')
    const pair = [installed, back]
    await settled(pair)
    expect(await leaderOf(pair)).toBe(installed)
    await expectEqualRows(pair)
    const whole = [...pair, await new Member(first.options).start()]
    await settled(whole)
    await expectEqualRows(whole)
    expect(whole.flatMap(member => member.deaths)).toEqual([])
  })
})

describe('replay', () => {
  test('two snapshots of one member, then entries: the state is the second one and what follows it', {
    timeout: 60_000,
  }, async () => {
    const members = await start(SMALL)
    await fill(members, 50)
    const leader = await leaderOf(members)
    const away = members.find(member => member !== leader)!
    let other = members.find(member => member !== leader && member !== away)!
    await away.stop()
    for (let round = 1; round <= 2; round++) {
      const { end } = await onDisk(away)
      await fill([leader, other], 300)
      await truncatedPast(end, [leader, other])
      const back = await new Member(away.options).start()
      await back.said('log-snapshot-installed')
      await settled([leader, other, back])
      await back.stop()
      // Who has given a snapshot keeps what follows it for a while; not after a restart.
      await other.stop()
      other = await new Member(other.options).start()
    }
    await fill([leader, other], 60)
    const last = await new Member(away.options).start()
    await settled([leader, other, last])
    await expectEqualRows([leader, other, last])
    expect(last.counts.get('log_snapshots_installed')).toBeUndefined()
    // Replay begins where the tables end, not where the log does.
    await last.stop()
    const { begin, applied } = await onDisk(last)
    expect(applied).toBeGreaterThan(begin)
  })

  test('rows that are not those of the others: at the next checkpoint the member ends with the status of a bad store, and starts again only without them', {
    timeout: 60_000,
  }, async () => {
    const members = await start(SMALL)
    await fill(members, 150)
    const leader = await leaderOf(members)
    const victim = members.find(member => member !== leader)!
    await settled(members)
    await victim.stop()
    await tamper(victim)
    const back = await new Member(victim.options).start()
    const others = members.filter(member => member !== victim)
    await settled([...others, back])
    await fill(others, 150)
    await back.when(() => back.deaths.length > 0)
    expect(back.deaths[0]).toMatchObject({ status: EXIT.store })
    expect(back.deaths[0]!.reason).toMatch(
      new RegExp(
        `^state divergence at \\d+00: the rows of this member have digest [0-9a-f]{8}, those of member ${leader.options.memberId}, which led, [0-9a-f]{8}\\. The digest that most members have is the right one`,
      ),
    )
    expect(back.counts.get('log_divergence')).toBe(1)
    await back.stop()
    await expect(new Member(victim.options).start()).rejects.toThrow(
      /The rows of the log at .* are not those of the leader \(state divergence at \d+00.*remove .*\/state.*log verify .*--accept/,
    )
    expect(others.flatMap(member => member.deaths)).toEqual([])
    await settled(others)
    // The others agree, so these rows are the wrong ones: they are thrown away, and others have them.
    const { path } = victim.options
    expect((await metaOfLog(storeFolder(path)))!.begin).toBeGreaterThan(1)
    rmSync(stateFolder(path), { recursive: true })
    acceptVerified(path)
    const whole = [...others, await new Member(victim.options).start()]
    await settled(whole)
    await expectEqualRows(whole)
  })
})

/** One row is another, and the digest goes with it, as after a bug that both follow. */
async function tamper(member: Member): Promise<void> {
  const { path } = member.options
  const meta = (await metaOfLog(storeFolder(path)))!
  const state = await openStateStore(stateFolder(path), meta, meta)
  const { applied, resumeFrom, base } = state
  await state.write({
    rows: [{ table: 1, key: 'row-never', bytes: new Uint8Array([1]) }],
    applied,
    resumeFrom,
    base,
  })
  await state.close()
}
