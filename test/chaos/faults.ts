/**
 * One fault from its name to what was done. It takes its victims in hand, so that no other touches them, and has put
 * everything back when it settles; who leads when it begins is up to the cluster.
 */
import { assertNever } from '../../src/core/base/assert.ts'
import { flipRecord, flipRow } from './byte-faults.ts'
import type { FaultName } from './catalogue.ts'
import { cutPower, failFlush, fillDisk, slowFlush, stuckFlush, wrongClock } from './disk-faults.ts'
import type { DrawnFault } from './draw.ts'
import { impostor } from './impostors.ts'
import { cut, holdBack, linksAround, linksBetween, linksFrom, linksTo, lose, slow } from './network-faults.ts'
import {
  freeze,
  killAgent,
  killAll,
  killInTakeOver,
  killOnce,
  killWhileStarting,
  restart,
  starve,
} from './process-faults.ts'
import { holding, leaderOf, memberIds, type World, within } from './world.ts'

/** Nobody in particular is its victim. */
type Common = 'kill-agent' | 'kill-all' | 'power-cut-all' | 'lossy-network' | 'slow-network'

/** What was done, in words; null when there was nobody to do it to. */
export async function inflict(world: World, fault: DrawnFault): Promise<string | null> {
  const { name } = fault
  const forMs = Math.round(fault.leases * world.leaseMs)
  switch (name) {
    case 'kill-agent':
      return killAgent(world, forMs)
    case 'kill-all':
      return killAll(world, forMs)
    case 'power-cut-all':
      return holding(world, memberIds(world), () => cutPower(world, memberIds(world), forMs))
    case 'lossy-network':
      return lose(world, null, fault)
    case 'slow-network':
      return slow(world, null, fault)
    default: {
      const victim = await victimOf(world, fault)
      return victim === null ? null : holding(world, [victim], () => inflictOn(world, victim, name, fault, forMs))
    }
  }
}

function inflictOn(
  world: World,
  victim: number,
  name: Exclude<FaultName, Common>,
  fault: DrawnFault,
  forMs: number,
): Promise<string> {
  switch (name) {
    case 'kill-leader':
    case 'kill-follower':
      return killOnce(world, victim, forMs)
    case 'kill-in-take-over':
      return killInTakeOver(world, victim, fault)
    case 'kill-while-starting':
      return killWhileStarting(world, victim, fault)
    case 'freeze-leader':
    case 'freeze-follower':
      return freeze(world, victim, forMs)
    case 'starve-leader':
    case 'starve-follower':
      return starve(world, victim, fault)
    case 'restart-leader':
    case 'restart-follower':
      return restart(world, victim)
    case 'cut-leader-off':
    case 'cut-follower-off':
      return cut(world, linksAround(world, victim), forMs)
    case 'leader-cannot-send':
      return cut(world, linksFrom(world, victim), forMs)
    case 'leader-cannot-hear':
      return cut(world, linksTo(world, victim), forMs)
    case 'cut-one-link': {
      const others = memberIds(world).filter(id => id !== victim)
      return cut(world, linksBetween(victim, others[fault.which % others.length]!), forMs)
    }
    case 'lossy-leader':
      return lose(world, victim, fault)
    case 'slow-leader':
      return slow(world, victim, fault)
    case 'late-messages':
      return holdBack(world, victim, forMs + world.leaseMs)
    case 'full-disk-leader':
    case 'full-disk-follower':
      return fillDisk(world, victim, isOfLeader(name), forMs)
    case 'power-cut-leader':
    case 'power-cut-follower':
      return cutPower(world, [victim], forMs)
    case 'slow-flush-leader':
    case 'slow-flush-follower':
      return slowFlush(world, victim, forMs)
    case 'stuck-flush-leader':
    case 'stuck-flush-follower':
      return stuckFlush(world, victim, isOfLeader(name), forMs)
    case 'failed-flush-leader':
    case 'failed-flush-follower':
      return failFlush(world, victim)
    case 'wall-clock-leader':
    case 'wall-clock-follower':
      return wrongClock(world, victim, fault, forMs)
    case 'flip-record':
      return flipRecord(world, victim, fault)
    case 'flip-row':
      return flipRow(world, victim, fault)
    case 'foreign-folder':
    case 'old-copy':
    case 'empty-folder':
    case 'new-disk':
      return impostor(world, victim, name)
    default:
      return assertNever(name)
  }
}

const LEADER_LEASES = 5
const OF_LEADER: readonly FaultName[] = ['kill-in-take-over', 'late-messages']

const isOfLeader = (name: FaultName): boolean => name.includes('leader') || OF_LEADER.includes(name)

/** The leader or a follower, as the name says, if it is in nobody's hand. */
async function victimOf(world: World, { name, which }: DrawnFault): Promise<number | null> {
  // Between two leaders, or while one is too busy to answer, it is not known who is which.
  const leader = await within(world, LEADER_LEASES * world.leaseMs, () => leaderOf(world))
  if (isOfLeader(name)) return leader === null || world.held.has(leader) ? null : leader
  const others = memberIds(world).filter(id => id !== leader && !world.held.has(id))
  return others[which % others.length] ?? null
}
