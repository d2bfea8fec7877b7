/** A member whose disk has lost what others still hold: it asks them, and takes no part until it has it. */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { open } from 'lmdb'
import { describe, expect, test } from 'vitest'
import { setUint53 } from '../../../src/core/log/entry.ts'
import { LOG_LIMITS } from '../../../src/core/log/limits.ts'
import { encodeMeta, readMeta } from '../../../src/core/log/meta.ts'
import { inspectLogStore } from '../../../src/runtime/log/lmdb-log-store.ts'
import { putRow } from './log-folders.ts'
import { append, eventually, Member, startCluster } from './member.ts'

const KEEPS_LITTLE = { ...LOG_LIMITS, entriesKept: 10, truncateStep: 5, dropStep: 50, lagMax: 10, checkpointEvery: 20 }

describe('a record of a stopped member', () => {
  test('flipped or gone, committed: it is had from another member, and the log is the same as before', async () => {
    const { members, position } = await filled(30)
    const victim = members[2]!
    const before = await victim.port.read(1, position)
    await victim.stop()
    await tamper(victim, [5, 9, position - 1], flipped)
    await tamper(victim, [6], gone)
    const back = await new Member(victim.options).start()
    await back.said('log-mended')
    await back.when(() => back.view?.role === 'FOLLOWER')
    expect(back.counts.get('log_records_corrupt')).toBe(4)
    expect(shown(await back.port.read(1, position))).toEqual(shown(before))
    await append(members.slice(0, 2), putRow('after', '1'))
    await eventually(async () => (await back.status()).commit > position)
  })

  test('flipped, and nobody who is reached has it: it waits, says for what, and does not vote', async () => {
    const { members } = await filled(5)
    await Promise.all(members.map(member => member.stop()))
    await tamper(members[0]!, [3], gone)
    const alone = await new Member(members[0]!.options).start()
    const status = await alone.status()
    expect(status.status).toBe('RECOVERING')
    expect(status.waitingFor).toMatch(
      /1 records that this disk has lost, from any of members 2, 3: .*position 3 is missing/,
    )
    await new Member(members[1]!.options).start()
    await alone.said('log-mended')
    await alone.when(() => alone.view?.leader !== null && alone.view !== null)
  })

  test('flipped, not known to be committed: refused, naming it, because it may have been voted for', async () => {
    const { members } = await filled(5)
    const victim = members[2]!
    await victim.stop()
    await tamper(victim, [(await lastOf(victim)).end], gone, { commit: 2 })
    await expect(new Member(victim.options).start()).rejects.toThrow(/damaged: the record of position \d+ is missing/)
  })
})

describe('a record of a running member', () => {
  test('flipped under a leader that has to read it for a member that lags: mended, and the member gets it', async () => {
    const { members, leader } = await filled(5)
    const lagging = members.find(member => member !== leader)!
    await lagging.stop()
    const rest = members.filter(member => member !== lagging)
    const bad = (await append(rest, putRow('k', '1'))).position
    for (let at = 0; at < 20; at++) await append(rest, putRow('k', String(at)))
    await tamper(leader, [bad], flipped)
    const back = await new Member(lagging.options).start()
    await leader.said('log-mended')
    const { position } = await append(
      members.map(member => (member === lagging ? back : member)),
      putRow('end', '1'),
    )
    await eventually(async () => (await back.status()).commit >= position)
  })
})

describe('row tables that cannot be used, beside a log that was truncated', () => {
  test('gone: all rows are had from another member, and what follows is applied', async () => {
    const { members } = await filled(80, KEEPS_LITTLE)
    const victim = members[2]!
    await eventually(async () => (await victim.status()).begin > 1)
    await victim.stop()
    rmSync(join(victim.options.path, 'state'), { recursive: true })
    const back = await new Member(victim.options).start()
    await back.said('log-snapshot-installed')
    const { position } = await append([members[0]!, members[1]!, back], putRow('after', '1'))
    await eventually(async () => (await back.status()).applied >= position)
    const rows = async (member: Member) => (await member.port.readRows(null, 1_000)).rows.map(row => row.key)
    expect(await rows(back)).toEqual([...Array.from({ length: 80 }, (_, at) => `row-${at}`), 'after'].sort())
  })
})

async function filled(count: number, limits = LOG_LIMITS) {
  const members = await startCluster(3, () => ({ limits }))
  let position = 0
  let leader = members[0]!
  for (let at = 0; at < count; at++) {
    const end = await append(members, putRow(`row-${at}`, String(at)))
    position = end.position
    leader = end.leader
  }
  await eventually(async () =>
    (await Promise.all(members.map(one => one.status()))).every(one => one.applied >= position),
  )
  return { members, position, leader }
}

const shown = (entries: readonly { readonly position: number; readonly payload: Uint8Array }[]) =>
  entries.map(({ position, payload }) => `${position} ${Buffer.from(payload).toString('hex')}`)

async function lastOf(member: Member): Promise<{ readonly end: number }> {
  const log = await inspectLogStore(join(member.options.path, 'store'))
  await log.close()
  return log.meta
}

const gone = (): null => null
const flipped = (bytes: Buffer): Buffer => {
  bytes[20]! ^= 4
  return bytes
}

/** Changes records behind the back of a member; null removes one. */
async function tamper(
  member: Member,
  positions: readonly number[],
  change: (bytes: Buffer) => Buffer | null,
  meta: Readonly<Record<string, unknown>> = {},
): Promise<void> {
  const binary = { encoding: 'binary', keyEncoding: 'binary' } as const
  const root = open<Buffer, Buffer>({ path: join(member.options.path, 'store'), noSubdir: false, maxDbs: 4, ...binary })
  const entries = root.openDB<Buffer, Buffer>('entries', binary)
  for (const position of positions) {
    const key = Buffer.alloc(8)
    setUint53(new DataView(key.buffer, key.byteOffset), 0, position)
    const changed = change(Buffer.from(entries.get(key)!))
    if (changed === null) await entries.remove(key)
    else await entries.put(key, changed)
  }
  if (Object.keys(meta).length > 0) await changeMeta(root.openDB<Buffer, Buffer>('meta', binary), meta)
  await root.flushed
  await root.close()
}

async function changeMeta(
  table: { get(key: Buffer): Buffer | undefined; put(key: Buffer, value: Buffer): Promise<boolean> },
  change: Readonly<Record<string, unknown>>,
): Promise<void> {
  const read = readMeta([table.get(Buffer.from('A'))])
  if (!read.ok) throw new Error(read.reason)
  const bytes = Buffer.from(encodeMeta({ ...read.meta, ...change }))
  for (const copy of ['A', 'B']) await table.put(Buffer.from(copy), bytes)
}
