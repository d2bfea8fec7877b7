/** What faults and checks know of the cluster under chaos: who lives, who is held, who leads, what is acknowledged. */
import type { ChildProcess } from 'node:child_process'
import type { LogStatusView } from '../../src/wire/rest.ts'
import type { RealCluster } from '../fixtures/real-cluster.ts'
import type { Equipment } from './equipment.ts'

const ANSWER_MS_MAX = 1_000

export interface World {
  readonly cluster: RealCluster
  readonly folder: string
  readonly equipment: Equipment
  readonly leaseMs: number
  /** Members that a fault has in hand: no other fault may touch them. */
  readonly held: Set<number>
  /** The last process of each member, also while it is starting. */
  readonly processes: ReadonlyMap<number | 'agent', ChildProcess>
  /** Operations acknowledged so far, by all clients. */
  readonly acknowledged: () => number
  readonly say: (line: string) => void
  readonly violation: (text: string) => void
  /** Rejects once the run is broken off, so that nothing waits for ever. */
  readonly stopped: AbortSignal
}

/** Null when there is no answer in a second. */
export async function statusOf(world: World, memberId: number): Promise<LogStatusView | null> {
  try {
    const signal = AbortSignal.timeout(ANSWER_MS_MAX)
    const response = await fetch(`${world.cluster.urls[memberId - 1]}/api/v1/log/status`, { signal })
    return response.ok ? ((await response.json()) as LogStatusView) : null
  } catch {
    return null
  }
}

export const memberIds = (world: World): readonly number[] => world.cluster.urls.map((_url, at) => at + 1)

/** The member that says of itself that it leads, under the highest ballot; null when nobody does. */
export async function leaderOf(world: World): Promise<number | null> {
  const reports = await Promise.all(memberIds(world).map(id => statusOf(world, id)))
  const leading = reports.filter(report => report?.view.role === 'LEADER')
  const latest = leading.sort((a, b) => (b?.promised[0] ?? 0) - (a?.promised[0] ?? 0))[0]
  return latest?.memberId ?? null
}

/** Answers when `ask` gives something; null after `msMax`. */
export async function within<T>(world: World, msMax: number, ask: () => Promise<T | null>): Promise<T | null> {
  const until = performance.now() + msMax
  for (;;) {
    world.stopped.throwIfAborted()
    const answer = await ask()
    if (answer !== null) return answer
    if (performance.now() > until) return null
    await new Promise(resolve => setTimeout(resolve, 50))
  }
}

/** How long a fault lasts; ends at once when the run is broken off. */
export function lasting(world: World, ms: number): Promise<void> {
  const { stopped } = world
  return new Promise((resolve, reject) => {
    const end = (): void => {
      clearTimeout(timer)
      stopped.removeEventListener('abort', end)
      if (stopped.aborted) reject(stopped.reason)
      else resolve()
    }
    const timer = setTimeout(end, ms)
    stopped.addEventListener('abort', end)
    if (stopped.aborted) end()
  })
}

/** Ms until `count` more operations are acknowledged than `before`; null if they are not within `msMax`. */
export async function acknowledgedMore(
  world: World,
  count: number,
  msMax: number,
  before = world.acknowledged(),
): Promise<number | null> {
  const began = performance.now()
  const more = await within(world, msMax, async () => (world.acknowledged() >= before + count ? true : null))
  return more === null ? null : Math.round(performance.now() - began)
}

/** Acts while no other fault can touch these members; null, and nothing was done, when one of them is held already. */
export async function holding(
  world: World,
  members: readonly number[],
  act: () => Promise<string>,
): Promise<string | null> {
  if (members.some(id => world.held.has(id))) return null
  for (const id of members) world.held.add(id)
  try {
    return await act()
  } finally {
    for (const id of members) world.held.delete(id)
  }
}

// ---- processes ----

export async function kill(world: World, memberId: number): Promise<void> {
  await world.cluster.nodes[memberId - 1]?.crash()
  world.cluster.nodes[memberId - 1] = null
}

export async function start(world: World, memberId: number): Promise<void> {
  world.stopped.throwIfAborted()
  await world.cluster.start(memberId)
}

export async function stop(world: World, memberId: number): Promise<void> {
  const status = await world.cluster.nodes[memberId - 1]?.stop()
  world.cluster.nodes[memberId - 1] = null
  if (status !== 0 && !world.stopped.aborted) world.violation(`member ${memberId} ended a planned stop with ${status}`)
}

export function signal(world: World, memberId: number, name: 'SIGSTOP' | 'SIGCONT'): void {
  world.cluster.nodes[memberId - 1]?.child.kill(name)
}
