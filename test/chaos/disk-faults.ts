/** Disks that are full, slow, stuck or failing, bytes that change while nobody looks, and clocks that are wrong. */
import { once } from 'node:events'
import { closeSync, existsSync, openSync, readFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { inspectLogStore } from '../../src/runtime/log/lmdb-log-store.ts'
import { storeFolder } from '../../src/runtime/log/log-folder.ts'
import type { LogStatusView } from '../../src/wire/rest.ts'
import { daybreak, EndedEarly } from '../fixtures/real-node.ts'
import type { DrawnFault } from './draw.ts'
import { acknowledgedMore, kill, lasting, leaderOf, memberIds, start, statusOf, type World, within } from './world.ts'

/** Within so many leases appends go on while one member is in trouble, counted from when another leads. */
const GOES_ON_LEASES = 20
const LEADERSHIP_MOVES_MS_MAX = 30_000
const BACK_MS_MAX = 60_000
const ENDS_MS_MAX = 30_000
/** The status of a node that ends for its store, docs/operating/exit-status.md. */
const STORE_STATUS = 75
const SLOW_FLUSH_MS = 400
const STUCK_FLUSH_MS = 10_000
const AN_HOUR_S = 3_600

// ---- full ----

export async function fillDisk(world: World, victim: number, wasLeader: boolean, forMs: number): Promise<string> {
  const disks = world.equipment.disks!
  const trouble = `the disk of member ${victim} is full`
  disks.fill(victim)
  let what: string
  try {
    what = await othersGoOn(world, victim, wasLeader, trouble)
    await lasting(world, forMs)
  } finally {
    disks.free(victim)
  }
  await backAgain(world, victim, `${trouble} and was freed`)
  return `disk of member ${victim} full, freed later: ${what}`
}

/** With a follower in trouble appends go on; with the leader, once another leads. */
async function othersGoOn(world: World, victim: number, wasLeader: boolean, trouble: string): Promise<string> {
  const began = performance.now()
  if (wasLeader) {
    const next = await within(world, LEADERSHIP_MOVES_MS_MAX, async () => {
      const leader = await leaderOf(world)
      return leader !== null && leader !== victim ? leader : null
    })
    if (next === null) return `member ${victim} led on for ${LEADERSHIP_MOVES_MS_MAX / 1_000} s`
  }
  const movedMs = Math.round(performance.now() - began)
  // More than were under way when it began.
  const goesOnMs = await acknowledgedMore(world, 8, GOES_ON_LEASES * world.leaseMs)
  if (goesOnMs === null) {
    world.violation(`${trouble}, and nothing is acknowledged for ${GOES_ON_LEASES} leases although others are well`)
    return 'NOTHING acknowledged'
  }
  return wasLeader ? `another led after ${movedMs} ms, appends went on` : 'appends went on'
}

/** It votes, takes writes and is up to date, and nobody had to do anything for it. */
async function backAgain(world: World, memberId: number, after: string): Promise<void> {
  let last: LogStatusView | null = null
  const back = await within(world, BACK_MS_MAX, async () => {
    last = await statusOf(world, memberId)
    return last?.status === 'VOTING' && last.notWritable === null && last.view.leader !== null ? true : null
  })
  if (back === null) world.violation(`${after}, and it is not back within a minute: ${JSON.stringify(last)}`)
}

// ---- flushes ----

export async function slowFlush(world: World, victim: number, forMs: number): Promise<string> {
  const preload = world.equipment.preload!
  preload.order(victim, `flush-delay-ms ${SLOW_FLUSH_MS}`)
  await lasting(world, forMs)
  preload.order(victim)
  return `flushes of member ${victim} took ${SLOW_FLUSH_MS} ms longer for ${forMs} ms`
}

export async function stuckFlush(world: World, victim: number, wasLeader: boolean): Promise<string> {
  const preload = world.equipment.preload!
  preload.order(victim, `flush-delay-ms ${STUCK_FLUSH_MS}`)
  let what: string
  try {
    what = await othersGoOn(world, victim, wasLeader, `flushes of member ${victim} take ${STUCK_FLUSH_MS / 1_000} s`)
  } finally {
    preload.order(victim)
  }
  await backAgain(world, victim, `flushes of member ${victim} took ${STUCK_FLUSH_MS / 1_000} s`)
  return `flushes of member ${victim} took ${STUCK_FLUSH_MS / 1_000} s longer: ${what}`
}

/** The node must end, say so, stay down until somebody has looked at the disk, and be whole after that. */
export async function failFlush(world: World, victim: number): Promise<string> {
  const preload = world.equipment.preload!
  const config = world.cluster.configs[victim - 1]!
  const child = world.cluster.nodes[victim - 1]!.child
  const ended = once(child, 'exit')
  preload.order(victim, 'flush-fail EIO')
  const status = await Promise.race([
    ended.then(([code]) => code as number | null),
    lasting(world, ENDS_MS_MAX).then(() => 'runs' as const),
  ])
  if (status !== STORE_STATUS) world.violation(`flushes of member ${victim} fail, and it ${ending(status)}`)
  if (status === 'runs') await kill(world, victim)
  world.cluster.nodes[victim - 1] = null
  await mustBeRefused(world, victim, /daybreak log verify/, 'its flushes fail')
  preload.order(victim)
  if (!existsSync(join(world.cluster.dataDirs[victim - 1]!, 'log', 'needs-verify'))) {
    world.violation(`flushes of member ${victim} failed, and no needs-verify is in its folder`)
  }
  await mustBeRefused(world, victim, /daybreak log verify/, 'its flushes failed and nobody has looked at the disk')
  const asked = await verify(config)
  if (asked.status !== 1 || !asked.stderr.includes('--accept')) {
    world.violation(`log verify of member ${victim} without --accept: status ${asked.status}, ${asked.stderr}`)
  }
  const accepted = await verify(config, '--accept')
  if (accepted.status !== 0) world.violation(`log verify --accept of member ${victim}: ${accepted.stderr}`)
  await start(world, victim)
  await backAgain(world, victim, `flushes of member ${victim} failed and its log was verified`)
  return `flushes of member ${victim} failed: it ${ending(status)}, was refused, verified and started again`
}

const verify = (...args: readonly string[]) => daybreak('http://127.0.0.1:1', 'log', 'verify', ...args)

const ending = (status: number | null | 'runs'): string =>
  status === 'runs' ? 'runs on' : status === null ? 'ends by a signal' : `ended with ${status}`

/** Null when it was, else where it came up, which is a violation here and maybe not for the caller. */
async function refusal(world: World, memberId: number): Promise<EndedEarly | null> {
  try {
    await start(world, memberId)
    return null
  } catch (cause) {
    if (cause instanceof EndedEarly) return cause
    throw cause
  }
}

async function mustBeRefused(world: World, memberId: number, says: RegExp, because: string): Promise<void> {
  const refused = await refusal(world, memberId)
  if (refused === null) {
    world.violation(`member ${memberId} starts although ${because}`)
    await kill(world, memberId)
  } else if (refused.code !== STORE_STATUS || !says.test(refused.said)) {
    world.violation(`member ${memberId} does not start since ${because}, but does not say so: ${refused.message}`)
  }
}

// ---- bytes ----

/**
 * A byte of a committed record, on all copies of it in the file: pages that are no longer in use hold older ones. The
 * node must refuse the log and name the position, or repair the record from its peers; never believe it.
 */
export async function flipRecord(world: World, victim: number, fault: DrawnFault): Promise<string> {
  await kill(world, victim)
  const folder = storeFolder(join(world.cluster.dataDirs[victim - 1]!, 'log'))
  const { position, places } = await recordIn(folder, fault)
  if (position === null) {
    await start(world, victim)
    return `no record of member ${victim} to flip a byte in`
  }
  const file = join(folder, 'data.mdb')
  flip(file, places)
  const refused = await refusal(world, victim)
  if (refused !== null) {
    const names = new RegExp(`damaged.*\\b${position}\\b`)
    if (refused.code !== STORE_STATUS || !names.test(refused.said)) {
      world.violation(`member ${victim} has a damaged record at ${position} and does not say so: ${refused.message}`)
    }
    flip(file, places)
    await start(world, victim)
    return `one byte of position ${position} of member ${victim} flipped: refused, position named`
  }
  const repaired = await within(world, BACK_MS_MAX, async () => {
    const texts = await Promise.all(memberIds(world).map(id => entryText(world, id, position)))
    return texts[victim - 1] !== null && new Set(texts).size === 1 ? true : null
  })
  if (repaired === null) {
    world.violation(
      `member ${victim} started with a damaged record at ${position}, and it is not as the others have it`,
    )
  }
  return `one byte of position ${position} of member ${victim} flipped: it started and ${repaired ? 'has it whole again' : 'BELIEVED it'}`
}

async function recordIn(folder: string, { which, moment }: DrawnFault) {
  const log = await inspectLogStore(folder)
  const { begin, commit } = log.meta
  const position = begin + (which % Math.max(1, commit - begin + 1))
  const [found] = log.read(position, position)
  await log.close()
  const payload = found?.entry?.payload
  if (payload === undefined || payload.length < 16) return { position: null, places: [] }
  const bytes = readFileSync(join(folder, 'data.mdb'))
  const places: number[] = []
  const at = Math.floor(moment * payload.length)
  for (let from = bytes.indexOf(payload); from !== -1; from = bytes.indexOf(payload, from + 1)) places.push(from + at)
  return { position: places.length === 0 ? null : position, places }
}

/** Twice is as before. */
function flip(path: string, places: readonly number[]): void {
  const bytes = readFileSync(path)
  const file = openSync(path, 'r+')
  try {
    for (const place of places) writeSync(file, Buffer.from([(bytes[place] ?? 0) ^ 0x10]), 0, 1, place)
  } finally {
    closeSync(file)
  }
}

/** Null when it does not answer. Truncated by one is an answer too, as long as it is that of all. */
async function entryText(world: World, memberId: number, position: number): Promise<string | null> {
  const url = `${world.cluster.urls[memberId - 1]}/api/v1/log/entries?from=${position}&to=${position}`
  const answer = await fetch(url, { signal: AbortSignal.timeout(1_000) }).catch(() => null)
  if (answer === null || answer.status >= 500) return null
  return answer.ok ? answer.text().catch(() => null) : 'TRUNCATED'
}

// ---- clocks ----

export async function wrongClock(world: World, victim: number, fault: DrawnFault, forMs: number): Promise<string> {
  const preload = world.equipment.preload!
  const offsetS = fault.moment < 0.5 ? -AN_HOUR_S : AN_HOUR_S
  preload.order(victim, `realtime-offset-s ${offsetS}`)
  await lasting(world, forMs)
  preload.order(victim)
  return `wall clock of member ${victim} an hour ${offsetS < 0 ? 'behind' : 'ahead'} for ${forMs} ms`
}
