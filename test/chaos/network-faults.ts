/** Links between members that pass nothing, lose packets, are slow, or hold back what was sent and deliver it late. */
import type { DrawnFault } from './draw.ts'
import type { LinkState } from './relay.ts'
import { lasting, memberIds, type World } from './world.ts'

export type Link = readonly [from: number, to: number]

const SLOW: LinkState = { delayMs: 300, held: false }
const HELD: LinkState = { delayMs: 0, held: true }
/** Packets that are lost and links that are slow show only after a while. */
const BAD_LEASES_MIN = 2

export const linksFrom = (world: World, memberId: number): readonly Link[] =>
  memberIds(world)
    .filter(id => id !== memberId)
    .map(other => [memberId, other])

export const linksTo = (world: World, memberId: number): readonly Link[] =>
  linksFrom(world, memberId).map(([own, other]) => [other, own])

export const linksAround = (world: World, memberId: number): readonly Link[] => [
  ...linksFrom(world, memberId),
  ...linksTo(world, memberId),
]

export const linksBetween = (one: number, other: number): readonly Link[] => [
  [one, other],
  [other, one],
]

const allLinks = (world: World): readonly Link[] => memberIds(world).flatMap(id => linksFrom(world, id))

export async function cut(world: World, links: readonly Link[], forMs: number): Promise<string> {
  const network = world.equipment.network!
  for (const [from, to] of links) network.cut(from, to)
  await lasting(world, forMs)
  for (const [from, to] of links) network.heal(from, to)
  return `cut for ${forMs} ms: ${links.map(([from, to]) => `${from} to ${to}`).join(', ')}`
}

/** `victim` null: all links. */
export async function lose(world: World, victim: number | null, fault: DrawnFault): Promise<string> {
  const network = world.equipment.network!
  const links = victim === null ? allLinks(world) : linksAround(world, victim)
  const forMs = badMs(world, fault)
  for (const [from, to] of links) network.lose(from, to)
  await lasting(world, forMs)
  for (const [from, to] of links) network.loseNoMore(from, to)
  return `every fifth packet ${whose(victim)} lost for ${forMs} ms`
}

export async function slow(world: World, victim: number | null, fault: DrawnFault): Promise<string> {
  const forMs = badMs(world, fault)
  await relayed(world, victim === null ? allLinks(world) : linksAround(world, victim), SLOW, forMs)
  return `everything ${whose(victim)} ${SLOW.delayMs} ms late for ${forMs} ms`
}

export async function holdBack(world: World, victim: number, forMs: number): Promise<string> {
  await relayed(world, linksAround(world, victim), HELD, forMs)
  return `everything ${whose(victim)} held back for ${forMs} ms, then delivered`
}

async function relayed(world: World, links: readonly Link[], state: LinkState, forMs: number): Promise<void> {
  const relays = world.equipment.relays!
  const holds = links.map(([from, to]) => relays.hold(from, to, { ...state }))
  await lasting(world, forMs)
  for (const hold of holds) hold.release()
}

const badMs = (world: World, { leases }: DrawnFault): number => Math.round((BAD_LEASES_MIN + leases) * world.leaseMs)

const whose = (victim: number | null): string =>
  victim === null ? 'between any two members' : `between member ${victim} and the others`
