/** Disks that are full, slow, stuck or failing, and clocks that are wrong. */
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { LogStatusView } from '../../src/wire/rest.ts'
import { daybreak, EndedEarly } from '../fixtures/real-node.ts'
import type { DrawnFault } from './draw.ts'
import { acknowledgedMore, kill, lasting, leaderOf, start, statusOf, type World, within } from './world.ts'

/** Within so many leases appends go on while one member is in trouble, counted from when another leads. */
const GOES_ON_LEASES = 20
const LEADERSHIP_MOVES_MS_MAX = 30_000
const BACK_MS_MAX = 60_000
const ENDS_MS_MAX = 30_000
/** The status of a node that ends for its store, docs/operating/exit-status.md. */
export const STORE_STATUS = 75
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
    if (next === null) {
      const what = `member ${victim} leads on for ${LEADERSHIP_MOVES_MS_MAX / 1_000} s`
      world.violation(`${trouble}, and ${what}`)
      return what
    }
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
export async function backAgain(world: World, memberId: number, after: string): Promise<void> {
  let last: LogStatusView | null = null
  const back = await within(world, BACK_MS_MAX, async () => {
    last = await statusOf(world, memberId)
    return last?.status === 'VOTING' && last.notWritable === null && last.view.leader !== null ? true : null
  })
  if (back === null) world.violation(`${after}, and it is not back within a minute: ${JSON.stringify(last)}`)
}

// ---- power ----

/** The disks first: what is under way in that moment is lost, as it would be. */
export async function cutPower(world: World, victims: readonly number[], forMs: number): Promise<string> {
  const disks = world.equipment.disks!
  for (const id of victims) disks.cutPower(id)
  await Promise.all(victims.map(id => kill(world, id)))
  await lasting(world, forMs)
  for (const id of victims) disks.restorePower(id)
  await Promise.all(victims.map(id => start(world, id)))
  return `power of member ${victims.join(', ')} cut, back after ${forMs} ms`
}

// ---- flushes ----

export async function slowFlush(world: World, victim: number, forMs: number): Promise<string> {
  const preload = world.equipment.preload!
  preload.order(victim, `flush-delay-ms ${SLOW_FLUSH_MS}`)
  await lasting(world, forMs)
  preload.order(victim)
  return `flushes of member ${victim} took ${SLOW_FLUSH_MS} ms longer for ${forMs} ms`
}

export async function stuckFlush(world: World, victim: number, wasLeader: boolean, forMs: number): Promise<string> {
  const preload = world.equipment.preload!
  preload.order(victim, `flush-delay-ms ${STUCK_FLUSH_MS}`)
  let what: string
  try {
    await lasting(world, forMs)
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

/** How its start was refused; null when it came up. */
export async function refusal(world: World, memberId: number): Promise<EndedEarly | null> {
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

// ---- clocks ----

export async function wrongClock(world: World, victim: number, fault: DrawnFault, forMs: number): Promise<string> {
  const preload = world.equipment.preload!
  const offsetS = fault.moment < 0.5 ? -AN_HOUR_S : AN_HOUR_S
  preload.order(victim, `realtime-offset-s ${offsetS}`)
  await lasting(world, forMs)
  preload.order(victim)
  return `wall clock of member ${victim} an hour ${offsetS < 0 ? 'behind' : 'ahead'} for ${forMs} ms`
}
