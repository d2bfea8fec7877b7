/** Processes that are killed, stopped, frozen, or given next to no time. */
import { once } from 'node:events'
import { EndedEarly } from '../fixtures/real-node.ts'
import type { DrawnFault } from './draw.ts'
import { holding, kill, lasting, leaderOf, memberIds, signal, start, stop, type World } from './world.ts'

/** About as long as a node takes from its start until it is up. */
const STARTING_MS = 1_500
const STARVED_RUNS_MS = 50
const STARVED_PERIOD_MS = 1_000
/** Starving shows only after a while. */
const STARVED_LEASES_MIN = 3

export async function killOnce(world: World, memberId: number, forMs: number): Promise<string> {
  await kill(world, memberId)
  await lasting(world, forMs)
  await start(world, memberId)
  return `SIGKILL of member ${memberId}, started again after ${forMs} ms`
}

export function killAll(world: World, forMs: number): Promise<string | null> {
  return holding(world, memberIds(world), async () => {
    await Promise.all(memberIds(world).map(id => kill(world, id)))
    await lasting(world, forMs)
    await Promise.all(memberIds(world).map(id => start(world, id)))
    return `SIGKILL of all, started again after ${forMs} ms`
  })
}

/** Whoever leads, and then, at any moment of the next two and a half leases, whoever leads by then or is about to. */
export async function killInTakeOver(world: World, leader: number, fault: DrawnFault): Promise<string> {
  const afterMs = Math.round(fault.moment * 2.5 * world.leaseMs)
  await kill(world, leader)
  await lasting(world, afterMs)
  const next = await leaderOf(world)
  const others = memberIds(world).filter(id => id !== leader && !world.held.has(id))
  const second = next !== null && others.includes(next) ? next : others[fault.which % others.length]
  if (second === undefined) {
    await start(world, leader)
    return `SIGKILL of member ${leader}, nobody else to kill`
  }
  await holding(world, [second], async () => {
    await kill(world, second)
    await lasting(world, Math.round(fault.second * world.leaseMs))
    await Promise.all([start(world, leader), start(world, second)])
    return ''
  })
  const role = next === second ? 'which led by then' : 'while nobody led'
  return `SIGKILL of member ${leader}, and after ${afterMs} ms of member ${second}, ${role}`
}

export async function killWhileStarting(world: World, memberId: number, fault: DrawnFault): Promise<string> {
  const afterMs = Math.round(fault.moment * STARTING_MS)
  await kill(world, memberId)
  const starting = start(world, memberId).then(
    () => 'and it was up already',
    cause => {
      if (cause instanceof EndedEarly && cause.signal === 'SIGKILL') return 'before it was up'
      throw cause
    },
  )
  await Promise.race([lasting(world, afterMs), starting])
  const child = world.processes.get(memberId)
  if (child !== undefined && child.exitCode === null && child.signalCode === null) {
    const ended = once(child, 'exit')
    child.kill('SIGKILL')
    await ended
  }
  const when = await starting
  world.cluster.nodes[memberId - 1] = null
  await start(world, memberId)
  return `SIGKILL of member ${memberId}, again ${afterMs} ms after it was started, ${when}`
}

export async function freeze(world: World, memberId: number, forMs: number): Promise<string> {
  signal(world, memberId, 'SIGSTOP')
  await lasting(world, forMs)
  signal(world, memberId, 'SIGCONT')
  return `SIGSTOP of member ${memberId} for ${forMs} ms`
}

/** As if others had taken the processor: no quota is needed for that, and no root. */
export async function starve(world: World, memberId: number, fault: DrawnFault): Promise<string> {
  const periods = Math.round(STARVED_LEASES_MIN + fault.leases * 2)
  try {
    for (let period = 0; period < periods; period++) {
      signal(world, memberId, 'SIGSTOP')
      await lasting(world, STARVED_PERIOD_MS - STARVED_RUNS_MS)
      signal(world, memberId, 'SIGCONT')
      await lasting(world, STARVED_RUNS_MS)
    }
  } finally {
    signal(world, memberId, 'SIGCONT')
  }
  return `member ${memberId} ran for ${STARVED_RUNS_MS} ms of every ${STARVED_PERIOD_MS} ms, ${periods} times`
}

export async function restart(world: World, memberId: number): Promise<string> {
  await stop(world, memberId)
  await start(world, memberId)
  return `member ${memberId} stopped as planned and started again`
}

export async function killAgent(world: World, forMs: number): Promise<string> {
  await world.cluster.agent().crash()
  await lasting(world, forMs)
  await world.cluster.startAgent()
  return `SIGKILL of the agent, started again after ${forMs} ms`
}
