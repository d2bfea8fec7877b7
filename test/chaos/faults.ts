/**
 * The faults of real processes and what must be true while they last. Everything that is drawn is drawn before a fault
 * begins, so that a seed gives the same faults in the same order; who leads then is up to the cluster. Each fault takes
 * its victims in hand, and has put everything back when it settles.
 */
import { cpSync, mkdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Prng } from '../../src/core/base/prng.ts'
import { daybreak } from '../fixtures/real-node.ts'
import { pause } from './client.ts'
import { leaderOf, memberIds, statusOf, type World, within } from './world.ts'

export const FAULTS = [
  'kill-leader',
  'kill-follower',
  'kill-all',
  'freeze-leader',
  'freeze-follower',
  'restart-leader',
  'restart-follower',
  'kill-agent',
  'cut-leader-off',
  'cut-follower-off',
  'leader-cannot-send',
  'leader-cannot-hear',
  'cut-one-link',
  'foreign-folder',
  'old-copy',
  'empty-folder',
  'new-disk',
] as const
export type FaultName = (typeof FAULTS)[number]

export const NETWORK_FAULTS: readonly FaultName[] = [
  'cut-leader-off',
  'cut-follower-off',
  'leader-cannot-send',
  'leader-cannot-hear',
  'cut-one-link',
]
/** They need the others to be well. */
export const IMPOSTORS: readonly FaultName[] = ['foreign-folder', 'old-copy', 'empty-folder', 'new-disk']

export interface DrawnFault {
  readonly name: FaultName
  /** How long it lasts, or how long a killed process stays dead; in leases. */
  readonly leases: number
  /** Which follower. */
  readonly which: number
}

export function drawFault(random: Prng, names: readonly FaultName[]): DrawnFault {
  return {
    name: names[random.int(0, names.length)]!,
    leases: 0.2 + random.next() * 2.8,
    which: random.int(0, 1_000),
  }
}

/** What was done, in words; null when there was nobody to do it to. */
export async function inflict(world: World, fault: DrawnFault): Promise<string | null> {
  const forMs = Math.round(fault.leases * world.leaseMs)
  if (fault.name === 'kill-agent') return killAgent(world, forMs)
  if (fault.name === 'kill-all') {
    return holding(world, memberIds(world), async () => {
      await Promise.all(memberIds(world).map(id => kill(world, id)))
      await pause(forMs)
      await Promise.all(memberIds(world).map(id => start(world, id)))
      return `SIGKILL of all, started again after ${forMs} ms`
    })
  }
  const victim = await victimOf(world, fault)
  if (victim === null) return null
  return holding(world, [victim], async () => {
    switch (fault.name) {
      case 'kill-leader':
      case 'kill-follower':
        await kill(world, victim)
        await pause(forMs)
        await start(world, victim)
        return `SIGKILL of member ${victim}, started again after ${forMs} ms`
      case 'freeze-leader':
      case 'freeze-follower':
        signal(world, victim, 'SIGSTOP')
        await pause(forMs)
        signal(world, victim, 'SIGCONT')
        return `SIGSTOP of member ${victim} for ${forMs} ms`
      case 'restart-leader':
      case 'restart-follower':
        await stop(world, victim)
        await start(world, victim)
        return `member ${victim} stopped as planned and started again`
      case 'cut-leader-off':
      case 'cut-follower-off':
        return cut(world, victim, forMs, others => others.flatMap(other => [[victim, other] as const, [other, victim]]))
      case 'leader-cannot-send':
        return cut(world, victim, forMs, others => others.map(other => [victim, other]))
      case 'leader-cannot-hear':
        return cut(world, victim, forMs, others => others.map(other => [other, victim]))
      case 'cut-one-link':
        return cut(world, victim, forMs, others => {
          const other = others[fault.which % others.length]!
          return [
            [victim, other],
            [other, victim],
          ]
        })
      default:
        return impostor(world, victim, fault.name)
    }
  })
}

/** The leader or a follower, as the name says, if it is in nobody's hand. */
async function victimOf(world: World, { name, which }: DrawnFault): Promise<number | null> {
  const leader = await leaderOf(world)
  if (name.includes('leader')) return leader === null || world.held.has(leader) ? null : leader
  const others = memberIds(world).filter(id => id !== leader && !world.held.has(id))
  return others[which % others.length] ?? null
}

async function holding(world: World, members: readonly number[], act: () => Promise<string>): Promise<string | null> {
  if (members.some(id => world.held.has(id))) return null
  for (const id of members) world.held.add(id)
  try {
    return await act()
  } finally {
    for (const id of members) world.held.delete(id)
  }
}

// ---- processes ----

async function kill(world: World, memberId: number): Promise<void> {
  await world.cluster.nodes[memberId - 1]?.crash()
  world.cluster.nodes[memberId - 1] = null
}

async function start(world: World, memberId: number): Promise<void> {
  world.stopped.throwIfAborted()
  await world.cluster.start(memberId)
}

async function stop(world: World, memberId: number): Promise<void> {
  const status = await world.cluster.nodes[memberId - 1]?.stop()
  world.cluster.nodes[memberId - 1] = null
  if (status !== 0) world.violation(`member ${memberId} ended a planned stop with ${status}`)
}

function signal(world: World, memberId: number, name: 'SIGSTOP' | 'SIGCONT'): void {
  world.cluster.nodes[memberId - 1]?.child.kill(name)
}

async function killAgent(world: World, forMs: number): Promise<string> {
  await world.cluster.agent().crash()
  await pause(forMs)
  await world.cluster.startAgent()
  return `SIGKILL of the agent, started again after ${forMs} ms`
}

// ---- the network ----

type Link = readonly [from: number, to: number]

async function cut(
  world: World,
  victim: number,
  forMs: number,
  linksOf: (others: readonly number[]) => readonly Link[],
): Promise<string> {
  const links = linksOf(memberIds(world).filter(id => id !== victim))
  for (const [from, to] of links) world.network!.cut(from, to)
  await pause(forMs)
  for (const [from, to] of links) world.network!.heal(from, to)
  return `cut for ${forMs} ms: ${links.map(([from, to]) => `${from} to ${to}`).join(', ')}`
}

// ---- what is not the member's own disk ----

const IMPOSTOR_MS_MAX = 60_000

/** What a member on such a folder, or the others of it, must say. */
const REFUSALS: Readonly<Partial<Record<FaultName, RegExp>>> = {
  'foreign-folder': /CLUSTER_ID/,
  'old-copy': /ROLLED_BACK/,
  'empty-folder': /log initialize/,
  'new-disk': /INCARNATION/,
}

/**
 * A member is started on a folder that is not its own. It must be refused and never take part: with one more of three
 * stopped, nobody may lead, because that would need its vote.
 */
async function impostor(world: World, memberId: number, kind: FaultName): Promise<string> {
  const own = join(world.folder, `node-${memberId}`)
  const kept = `${own}.kept`
  const config = world.cluster.configs[memberId - 1]!
  await kill(world, memberId)
  if (kind === 'old-copy') {
    const copy = `${own}.copy`
    cpSync(own, copy, { recursive: true })
    await start(world, memberId)
    await acknowledgedMore(world, memberId)
    await kill(world, memberId)
    renameSync(own, kept)
    renameSync(copy, own)
  } else {
    renameSync(own, kept)
    mkdirSync(own)
    const genesis = kind === 'new-disk' ? ['--genesis', join(world.folder, 'node-1', 'log', 'genesis.json')] : []
    if (memberId === 1 && kind === 'new-disk') genesis[1] = join(kept, 'log', 'genesis.json')
    if (kind !== 'empty-folder') await initialize(config, genesis)
  }
  await start(world, memberId)
  const node = world.cluster.nodes[memberId - 1]!
  const refusal = REFUSALS[kind]!
  const refused = await within(world, IMPOSTOR_MS_MAX, async () => {
    const report = await statusOf(world, memberId)
    const said = [report?.waitingFor, ...(report?.peers.map(peer => peer.trouble) ?? []), node.output()].join('\n')
    return refusal.test(said) ? said : null
  })
  if (refused === null)
    world.violation(`${kind}: member ${memberId} was not refused within a minute:\n${node.output()}`)
  const alone = memberIds(world).length === 3 ? await votesOfImpostor(world, memberId, kind) : ''
  // It may ask for votes as long as nobody hears it.
  if ((await statusOf(world, memberId))?.view.role === 'LEADER') world.violation(`${kind}: member ${memberId} leads`)
  await kill(world, memberId)
  rmSync(own, { recursive: true, force: true })
  renameSync(kept, own)
  await start(world, memberId)
  return `${kind} of member ${memberId}: ${refused === null ? 'NOT refused' : `refused${alone}`}`
}

async function initialize(config: string, flags: readonly string[]): Promise<void> {
  const { status, stderr } = await daybreak('http://127.0.0.1:1', 'log', 'initialize', config, ...flags)
  if (status !== 0) throw new Error(stderr)
}

/**
 * Until the leader has heard that this disk holds something committed that a copy from before does not. What a disk has
 * flushed and not acknowledged may be lost with it: nobody has counted on it.
 */
async function acknowledgedMore(world: World, memberId: number): Promise<void> {
  const ofLeader = async () => {
    const leader = await leaderOf(world)
    return leader === null ? null : await statusOf(world, leader)
  }
  const before = await within(world, IMPOSTOR_MS_MAX, ofLeader)
  const more = await within(world, IMPOSTOR_MS_MAX, async () => {
    const peer = (await ofLeader())?.peers.find(one => one.memberId === memberId)
    return before !== null && (peer?.committed ?? 0) > before.end ? true : null
  })
  if (more === null) throw new Error(`member ${memberId} has acknowledged nothing new within a minute`)
}

/** Of three, one is the impostor and one is stopped: the last alone is no quorum. */
async function votesOfImpostor(world: World, memberId: number, kind: FaultName): Promise<string> {
  const leader = await leaderOf(world)
  const other = memberIds(world).find(id => id !== leader && id !== memberId && !world.held.has(id))
  if (leader === null || other === undefined) return ''
  return (
    (await holding(world, [other], async () => {
      signal(world, other, 'SIGSTOP')
      const gone = await within(world, 10 * world.leaseMs, async () => ((await leaderOf(world)) === null ? true : null))
      if (gone === null) {
        world.violation(`${kind}: member ${leader} leads on although only member ${memberId} could vote for it`)
      }
      const until = performance.now() + 2 * world.leaseMs
      while (performance.now() < until) {
        const led = await leaderOf(world)
        if (led !== null) world.violation(`${kind}: member ${led} leads by the vote of member ${memberId}`)
        await pause(100)
      }
      signal(world, other, 'SIGCONT')
      return `, and gave no vote while member ${other} was stopped`
    })) ?? ''
  )
}
